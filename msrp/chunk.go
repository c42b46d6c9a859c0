package msrp

// A request is a chunk in flight, for the connection to match with its response.
type request struct {
	id    string // transaction ID
	done  answer // takes the response, or nil where none can come
	quiet bool   // no answer is a good one
	more  bool   // the message goes on, but its next chunk is not there yet
}

// nextChunk appends the next chunk of the session to buf, and returns what
// waits for its response. It appends nothing where there is nothing to send.
func (s *Session) nextChunk(buf []byte) ([]byte, request) {
	s.mu.Lock()
	defer s.unlock()
	if s.err != nil || !s.open {
		return buf, request{}
	}
	next := s.nextInTurn()
	o := next.message
	s.blocked = o == nil && !s.messages.empty()
	if o == nil {
		return buf, request{}
	}
	lane := o.lane
	if o.offset == 0 {
		s.messages.begin(o)
	}
	chunk, r := o.appendChunk(buf, next.octets, next.last)
	switch {
	case o.ended || !o.source.waiting():
		s.messages.remove(o)
		r.more = !o.ended
	case lane != s.messages.laneOf(o):
		s.messages.remove(o)
		s.messages.add(o)
	}
	return chunk, r
}

// A chunk is one that could be sent now.
type chunk struct {
	message *Outgoing // nil for none
	octets  int
	last    bool
}

// nextInTurn returns the chunk whose turn it is, in the order of the queue.
// Where a message waits for 200s, those that come after wait too, except for a
// small chunk of each that has begun, and of one more. If one of those is
// answered although it was sent later, the peer does not read the message
// ahead, and it is passed.
func (s *Session) nextInTurn() chunk {
	var next, oldest chunk
	waits := 0
search:
	for i := range s.messages.lanes {
		for o := s.messages.lanes[i].first; o != nil; o = o.after {
			c, fits := s.nextOf(o, waits)
			switch {
			case fits:
				if next.message == nil {
					next = c
				}
				if o.offset > 0 && (oldest.message == nil || o.serial < oldest.message.serial) {
					oldest = c
				}
				continue search
			case o.offset == 0:
				continue search // no other of the lane has begun
			case o.latest > s.answeredUpTo || o.unanswered == 0:
				waits++
			}
		}
	}
	if oldest.message == nil || oldest.message.serial >= next.message.serial {
		return next
	}
	// What has begun goes on, however much is sent after it. What has not begun
	// waits: the peer does not know of it.
	if s.messages.passed++; s.messages.passed <= maxPassed {
		return next
	}
	s.messages.passed = 0
	return oldest
}

// nextOf returns the next chunk of a message and whether the window lets it go
// now. A message takes half of what the others leave, so that those that the
// peer does not read never take all. A small chunk goes beyond the window, up
// to twice as much, if nothing of its message is under way: what a person types
// does not wait, and every message gets on. waits is how many wait ahead of it.
func (s *Session) nextOf(o *Outgoing, waits int) (c chunk, fits bool) {
	if o.aborting {
		return chunk{o, 0, false}, true
	}
	n, last := o.source.ready(s.remote.ChunkSize)
	window, all, own := int64(s.remote.Window), s.outbox.unanswered, o.unanswered
	switch {
	case !o.message.FailureReport.WantsOK(), all == 0:
		return chunk{o, n, last}, true
	case waits == 0 && own+int64(n) <= (window-all+own)/2:
		return chunk{o, n, last}, true
	case own == 0 && all < 2*window && (o.offset > 0 || waits <= 1):
		if n >= 2*minChunk { // else too little would be left for the next
			n, last = o.source.ready(minChunk)
		}
		return chunk{o, n, last}, true
	}
	return chunk{}, false
}

// appendChunk appends the chunk of the next n octets; s.mu is held.
func (o *Outgoing) appendChunk(buf []byte, n int, last bool) ([]byte, request) {
	s, m := o.session, &o.message
	flag := FlagInterrupted
	switch {
	case o.aborting:
		flag = FlagAborted
		o.aborting = false
	case last:
		flag = FlagComplete
		o.size = o.offset + int64(n)
	}
	r := ByteRange{Start: o.offset + 1, End: o.offset + int64(n), Total: o.size}
	if n > minChunk {
		r.End = -1 // interruptible, the RFC's way to say so
	}
	u := Unit{Method: MethodSend, To: s.remote.Path, From: Path{s.opts.URI}, Flag: flag}
	u.Header = append(u.fields[:0], Field{"Message-ID", o.id}, Field{"Byte-Range", r.String()})
	if m.SuccessReport {
		u.Header = append(u.Header, Field{"Success-Report", "yes"})
	}
	switch {
	case m.FailureReport != FailureDefault:
		u.Header = append(u.Header, Field{"Failure-Report", m.FailureReport.String()})
	case m.SuccessReport:
		// The default, but msrp-node-lib reports success only to those who
		// spell it out.
		u.Header = append(u.Header, Field{"Failure-Report", "yes"})
	}
	u.Header = append(s.remote.appendFingerprints(u.Header), m.Header...)
	var body []byte
	if m.ContentType != "" {
		if o.offset == 0 && flag == FlagInterrupted && m.Header.Get("Content-Disposition") == "" {
			// crocodile-msrp drops a chunked message without one.
			u.Header = append(u.Header, Field{"Content-Disposition", "inline"})
		}
		u.Header = append(u.Header, Field{"Content-Type", m.ContentType})
		body = []byte{} // nil would be no body at all
	}
	if n > 0 {
		body = o.source.take(n)
	}
	for {
		u.TransactionID = NewTransactionID()
		if !BodyHolds(body, u.TransactionID) {
			break
		}
	}
	before := len(buf)
	buf = u.Append(buf, body)

	o.offset += int64(n)
	o.ended = o.ended || last
	if !m.FailureReport.WantsOK() {
		s.answered(o, n, nil)
		if m.FailureReport == FailureNo {
			return buf, request{}
		}
		return buf, request{id: u.TransactionID, done: func(u *Unit, err error) { s.objected(o, u) }, quiet: true}
	}
	octets := int64(len(buf) - before) // a receiver that does not read holds the head too
	s.latest++
	o.latest = s.latest
	o.unanswered += octets
	s.outbox.unanswered += octets
	number := s.latest
	return buf, request{id: u.TransactionID, done: func(u *Unit, err error) {
		if err == nil {
			err = failureOf(u)
		}
		s.mu.Lock()
		defer s.unlock()
		o.unanswered -= octets
		s.outbox.unanswered -= octets
		s.answeredUpTo = max(s.answeredUpTo, number)
		s.answered(o, n, err)
		if s.blocked {
			s.blocked = false
			if s.open && s.err == nil {
				s.conn.ready(s)
			}
		}
	}}
}

// objected takes the response to a chunk whose sender wants to hear of failures
// only; no response is success (RFC 4975, section 7.1.4).
func (s *Session) objected(o *Outgoing, u *Unit) {
	if err := failureOf(u); err != nil {
		s.mu.Lock()
		defer s.unlock()
		s.answered(o, 0, err)
	}
}
