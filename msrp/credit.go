package msrp

import "time"

// A sender may have so many octets without a 200, then it waits: the 200s are
// its credit, and holding them back stops it (RFC 4975 has no other way).

const (
	// stallTimeout is how long the 200s of a sender are held back. Together with
	// a relay that does the same it stays below the sender's 30 seconds.
	stallTimeout = 10 * time.Second

	// overrun is what a sender may have on its way when its 200s are held back,
	// heads included: its window, of which this package's is 1 MiB and as much
	// again for what is short, and our relay's 2. Beyond MaxBuffered and this it
	// ignores them.
	overrun = 2<<20 + 256<<10
)

// owedOK is a 200 that is held back because the application does not read.
type owedOK struct {
	id       string // of the transaction
	to, from URI    // of the response
	in       *Incoming
	end      int64 // the octets of the message up to the end of the chunk
	cost     int   // what it counts in buffered
	until    time.Time
}

// response makes the response only now: there may be many that wait.
func (o *owedOK) response(code int) *Unit {
	return &Unit{TransactionID: o.id, Code: code, To: Path{o.to}, From: Path{o.from}}
}

// hold keeps the 200 to a chunk that ends at that octet back until the
// application has read.
func (s *Session) hold(u *Unit, in *Incoming, end int64) {
	cost := u.head // which the strings of the response pin
	if in.chunks == 1 {
		cost = 0 // as those of the message do
	}
	s.buffered += cost
	s.owed = append(s.owed, owedOK{u.TransactionID, u.From[0], u.To[0], in, end, cost, time.Now().Add(stallTimeout)})
	if s.owedTime == nil {
		s.owedTime = time.AfterFunc(stallTimeout, s.stalled)
	} else if len(s.owed) == 1 {
		s.owedTime.Reset(stallTimeout)
	}
}

// caughtUp reports whether the application has read the message up to that
// octet, or all there is of it so far.
func (in *Incoming) caughtUp(end int64) bool {
	return in.shown && !in.queued && (in.octets.read >= end || in.octets.available() == 0)
}

// release gives back octets of the buffer, which may be those of in, and pays
// the 200s that waited for them: all of them below MaxBuffered, else those for
// what was read of in. So one message goes on while nobody reads another.
func (s *Session) release(in *Incoming, octets int) {
	if octets > 0 {
		s.buffered -= octets
		s.stuck = false
		s.room.Broadcast()
	}
	if len(s.owed) == 0 {
		return
	}
	kept := s.owed[:0]
	for _, o := range s.owed {
		if s.buffered > s.opts.MaxBuffered && !(o.in == in && in.caughtUp(o.end)) {
			kept = append(kept, o)
			continue
		}
		s.buffered -= o.cost
		s.conn.send(o.response(StatusOK))
	}
	clear(s.owed[len(kept):])
	if s.owed = kept; len(kept) == 0 {
		s.owedTime.Stop()
	}
}

// stalled answers what was held back for too long: messages that are complete
// are here to stay, others are refused.
func (s *Session) stalled() {
	s.mu.Lock()
	defer s.unlock()
	if s.isEarly() && s.err == nil {
		s.owedTime.Reset(stallTimeout) // nobody can read before Start
		return
	}
	now := time.Now()
	owed := s.owed
	s.owed = nil
	for _, o := range owed {
		late := !o.until.After(now)
		if late && !o.in.finished && o.in.err == nil {
			s.refuse(o.in, &StatusError{Code: StatusStopSending, Comment: "the application did not read", MessageID: o.in.ID})
			s.release(nil, o.in.octets.drop())
		}
		if !late && o.in.err == nil {
			s.owed = append(s.owed, o)
			continue
		}
		code := StatusOK
		if o.in.err != nil {
			code = StatusStopSending
		}
		s.buffered -= o.cost
		s.conn.send(o.response(code))
	}
	s.release(nil, 0)
	if len(s.owed) > 0 {
		s.owedTime.Reset(s.owed[0].until.Sub(now))
	}
}

// full reports whether the session holds all it may. Who keeps sending while
// his 200s are held back is stopped: by not reading on where that harms nobody
// else, else by a refusal.
func (s *Session) full(c *Conn) bool {
	for s.buffered > s.opts.MaxBuffered+overrun {
		if s.err != nil || c.Sessions() > 1 || !s.waitForRoom() {
			return true
		}
	}
	return false
}

// waitForRoom waits until the application has read something, but no longer
// than stallTimeout, and reports whether it has. Where it was in vain once, it
// does not wait again.
func (s *Session) waitForRoom() bool {
	timer := time.AfterFunc(stallTimeout, func() {
		s.mu.Lock()
		s.stuck = true
		s.room.Broadcast()
		s.mu.Unlock()
	})
	defer timer.Stop()
	for before := s.buffered; s.err == nil && !s.stuck; {
		s.room.Wait()
		if s.buffered < before {
			return true
		}
	}
	return false
}
