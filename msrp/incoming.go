package msrp

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"
)

// Bounds on what a peer can make a session remember.
const (
	maxPartial = 4096 // messages that are not complete; see also maxHistory

	// partialTimeout is how long an incomplete message waits for its next
	// chunk. RFC 4975 has no such timer, RFC 7701, section 6.1 suggests the
	// order of magnitude.
	partialTimeout = 540 * time.Second
)

// heartbeatType is what msrp-node-lib sends every 5 seconds to see whether the
// peer answers; it is not meant to be shown.
const heartbeatType = "text/x-msrp-heartbeat"

// An Incoming is a message that is arriving, or has arrived. Read it to its
// end, or Close it. Its fields do not change; its methods are safe for
// concurrent use.
type Incoming struct {
	// ID is the Message-ID.
	ID string
	// ContentType is the media type with its parameters.
	ContentType string
	// Header holds the fields of the chunk that came first.
	Header Header
	// From is the path the message took, the peer's own URI last.
	From Path

	session *Session
	success bool // a success report is owed
	head    int  // octets of the head of the first chunk, which all strings above are part of

	// Guarded by session.mu:
	octets   assembly
	size     int64 // announced, or -1
	chunks   int   // begun so far
	finished bool  // complete
	err      error // why it will not be
	shown    bool  // given to Receive
	queued   bool  // which did not return it yet
	pins     int   // how many of partial and queue hold it, and its head
	readable *sync.Cond
	timer    *time.Timer
}

// inbox is the part of a Session that receives; its mutex guards it.
type inbox struct {
	partial  map[string]*Incoming
	seen     *history
	resumes  bool          // another session
	early    []*Incoming   // whole, and wait for Start
	queue    []*Incoming   // for Receive
	arrived  chan struct{} // closed and renewed with each change of queue
	buffered int           // octets held, with heads of messages and what pieces cost

	room     *sync.Cond // buffered got less, or the session ended
	stuck    bool       // waiting for room was in vain, and nothing was read since
	owed     []owedOK   // 200s held back
	owedTime *time.Timer
}

// Receive waits for the next message: one that is complete, or has grown
// beyond StreamAfter, or cannot go on unread, see MaxBuffered. Messages that
// have arrived are returned even after the end of the session; then its error
// follows. What it returns before [Session.Start] comes from whoever knows the
// session's URI: Verify of [Remote] was not asked. In a session that resumes
// another, none is complete before.
func (s *Session) Receive(ctx context.Context) (*Incoming, error) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			in := s.queue[0]
			s.queue[0] = nil
			s.queue = s.queue[1:]
			in.queued = false
			s.unpin(in)
			s.release(in, 0)
			s.unlock()
			return in, nil
		}
		err, arrived := s.err, s.arrived
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Size returns the length of the message in octets: as announced, or as it is
// once complete, or -1.
func (in *Incoming) Size() int64 {
	in.session.mu.Lock()
	defer in.session.mu.Unlock()
	if in.octets.sealed {
		return in.octets.total
	}
	return in.size
}

// Received returns how many octets have arrived, gaps not counted.
func (in *Incoming) Received() int64 {
	in.session.mu.Lock()
	defer in.session.mu.Unlock()
	return in.octets.read + int64(in.octets.held)
}

// Buffered returns how many octets Read returns without waiting, at least.
func (in *Incoming) Buffered() int {
	in.session.mu.Lock()
	defer in.session.mu.Unlock()
	return in.octets.available()
}

// Complete reports whether the whole message has arrived.
func (in *Incoming) Complete() bool {
	in.session.mu.Lock()
	defer in.session.mu.Unlock()
	return in.finished
}

// Read waits for octets in their order and returns io.EOF after the last. It
// fails with [ErrAborted] where the sender gave up, with a *[StatusError] of
// 413 where this side did, with [ErrDuplicate], and with the end of the session.
func (in *Incoming) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s := in.session
	s.mu.Lock()
	defer s.unlock()
	if err := in.wait(); err != nil {
		return 0, err
	}
	before := in.octets.cost()
	n := in.octets.copy(p)
	s.release(in, before-in.octets.cost())
	return n, nil
}

// Next is Read without a copy: it returns the next octets, which belong to the
// caller from then on, in memory or as they are kept outside of it, see [Keeper].
func (in *Incoming) Next() ([]byte, Octets, error) {
	s := in.session
	s.mu.Lock()
	defer s.unlock()
	if err := in.wait(); err != nil {
		return nil, nil, err
	}
	before := in.octets.cost()
	p := in.octets.take()
	s.release(in, before-in.octets.cost())
	return p.data, p.kept, nil
}

// wait waits until octets are available; s.mu is held.
func (in *Incoming) wait() error {
	for in.octets.available() == 0 {
		switch {
		case in.finished:
			return io.EOF
		case in.err != nil:
			return in.err
		}
		if in.readable == nil {
			in.readable = sync.NewCond(&in.session.mu)
		}
		in.readable.Wait()
	}
	return nil
}

// Close gives up the message. If it is still arriving, its sender is told 413
// with the next chunk (RFC 4975, section 10.5).
func (in *Incoming) Close() error {
	s := in.session
	s.mu.Lock()
	defer s.unlock()
	s.refuse(in, &StatusError{Code: StatusStopSending, MessageID: in.ID})
	s.release(in, in.octets.drop())
	return nil
}

// handleSend takes a SEND for this session, body included. The error is one of
// the transport.
func (s *Session) handleSend(c *Conn, u *Unit) error {
	if u.Body == nil || mediaTypeOf(u.ContentType()) == heartbeatType {
		return s.handleBodiless(c, u)
	}
	in, code := s.begin(c, u)
	if code != StatusOK {
		c.answer(u, code) // at once: the sender may stop in mid-chunk
		return nil
	}
	start := max(u.ByteRange().Start, 1) - 1
	at := start
	for {
		var p piece
		var err error
		if u.Body.tap == nil {
			p.kept = u.Body.kept()
		}
		if p.kept == nil {
			p.data, err = u.Body.Next()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		p.at = at
		at = p.end()
		if in == nil {
			p.drop()
		} else if code := s.take(c, in, p); code != StatusOK {
			c.answer(u, code)
			return nil
		}
	}
	s.finish(c, u, in, start, at)
	return nil
}

// handleBodiless answers a SEND that carries nothing to show: the first one of
// a session, or one that keeps it alive. With the flag # it is how
// crocodile-msrp aborts.
func (s *Session) handleBodiless(c *Conn, u *Unit) error {
	var size int64
	for u.Body != nil {
		piece, err := u.Body.Next()
		size += int64(len(piece))
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	c.answer(u, StatusOK)
	if u.Flag == FlagAborted {
		s.mu.Lock()
		if in := s.partial[u.MessageID()]; in != nil {
			s.refuse(in, ErrAborted)
		}
		s.unlock()
	} else if u.SuccessReport() {
		c.send(report(s.opts.URI, u.From, u.MessageID(), ByteRange{1, size, size}, StatusOK))
	}
	return nil
}

// begin finds the message of a chunk, or returns the code that refuses it. The
// message is nil where the chunk repeats one that was complete.
func (s *Session) begin(c *Conn, u *Unit) (*Incoming, int) {
	id, r := u.MessageID(), u.ByteRange()
	s.mu.Lock()
	defer s.unlock()
	full := s.full(c)
	if s.err != nil {
		return nil, StatusNoSession // nobody would receive it
	}
	if in := s.partial[id]; in != nil {
		if full {
			s.refuse(in, &StatusError{Code: StatusStopSending, MessageID: id})
			return nil, StatusStopSending
		}
		in.chunks++
		if in.timer != nil {
			in.timer.Stop() // until the end of the chunk, however long it takes
		}
		return in, StatusOK
	}
	// A message may be sent once more after a failure (RFC 4975, section 5.4):
	// from its first octet on, and not after a 413, which ends it (section 10.5).
	before := s.seen.of(id)
	switch {
	case before == taken:
		return nil, StatusOK
	case before == refused, before == dropped && r.Start > 1, full:
		return nil, StatusStopSending
	case !accepts(s.opts.AcceptTypes, u.ContentType()):
		return nil, StatusUnsupportedType
	case s.opts.MaxSize > 0 && r.Total > s.opts.MaxSize, len(s.partial) >= maxPartial:
		return nil, StatusStopSending
	}
	in := &Incoming{
		ID: id, ContentType: u.ContentType(), Header: u.Header, From: u.From,
		session: s, success: u.SuccessReport(), head: u.head, chunks: 1, pins: 1, size: -1,
	}
	if !r.IsZero() {
		in.size = r.Total
	}
	if s.buffered > s.opts.MaxBuffered {
		// It may wait long, without the rest of its unit, which is larger.
		in.Header, in.From = slices.Clone(u.Header), slices.Clone(u.From)
	}
	s.partial[id] = in
	s.buffered += in.head
	return in, StatusOK
}

// take adds octets to a message and returns 200 if it goes on.
func (s *Session) take(c *Conn, in *Incoming, p piece) int {
	s.mu.Lock()
	defer s.unlock()
	if limit := s.opts.MaxSize; s.full(c) || limit > 0 && p.at > limit-int64(p.len()) {
		s.refuse(in, &StatusError{Code: StatusStopSending, MessageID: in.ID})
	}
	switch {
	case s.err != nil:
		p.drop()
		return StatusNoSession
	case in.err != nil:
		p.drop()
		return StatusStopSending
	}
	before := in.octets.cost()
	ok := false
	if p.kept != nil {
		ok = in.octets.keep(p.at, p.kept)
	} else {
		ok = in.octets.add(p.at, p.data)
	}
	s.buffered += in.octets.cost() - before
	if !ok {
		s.refuse(in, &StatusError{Code: StatusStopSending, MessageID: in.ID})
		return StatusStopSending
	}
	if in.octets.held >= s.opts.StreamAfter || in.size > int64(s.opts.StreamAfter) {
		s.show(in)
	}
	in.wake()
	return StatusOK
}

// finish takes the end of a chunk that held the octets from..to-1: what its
// flag says, and the answer.
func (s *Session) finish(c *Conn, u *Unit, in *Incoming, from, to int64) {
	s.mu.Lock()
	defer s.unlock()
	if s.err != nil {
		// It ended in the middle of the chunk: nobody may get the message.
		c.answer(u, StatusNoSession)
		return
	}
	if in == nil {
		// A message that came before, sent once more because its sender did
		// not learn so (RFC 4975, section 5.4).
		c.answer(u, StatusOK)
		if u.Flag == FlagComplete && u.SuccessReport() {
			c.send(report(s.opts.URI, u.From, u.MessageID(), ByteRange{1, to, to}, StatusOK))
		}
		return
	}
	if u.Flag == FlagAborted {
		s.refuse(in, ErrAborted)
		c.answer(u, StatusOK)
		return
	}
	if in.err != nil { // meanwhile
		c.answer(u, StatusStopSending)
		return
	}
	if u.Flag == FlagComplete {
		before := in.octets.cost()
		in.octets.seal(to)
		s.buffered -= before - in.octets.cost()
	}
	whole := in.octets.complete()
	switch {
	case !whole:
		s.watch(in)
	case !s.isEarly():
		s.complete(in)
	case !slices.Contains(s.early, in):
		s.early = append(s.early, in)
	}
	held := s.buffered > s.opts.MaxBuffered && !in.caughtUp(to) && in.err == nil
	if held {
		s.show(in) // it may not go on before it is read
	}
	if held && owesResponse(u.FailureReport(), StatusOK) {
		s.hold(u, in, to)
	} else {
		c.answer(u, StatusOK)
	}
	if whole && !s.isEarly() {
		s.confirm(in)
	}
}

// confirm sends the success report for a message, if its sender wants one.
func (s *Session) confirm(in *Incoming) {
	if in.success {
		r := ByteRange{1, in.octets.total, in.octets.total}
		s.conn.send(report(s.opts.URI, in.From, in.ID, r, StatusOK))
	}
}

// isEarly tells whether what comes is to wait for Start, in a session that resumes
// another. Who has offered one, and gets no answer or too late, must have received
// nothing in it: its peer sends that again in the next one.
func (s *Session) isEarly() bool { return s.resumes && len(s.remote.Path) == 0 }

// takeEarly takes what came whole before Start.
func (s *Session) takeEarly() {
	for _, in := range s.early {
		if in.err == nil { // not refused since
			s.complete(in)
			s.confirm(in)
		}
	}
	s.early = nil
}

// complete takes a message that is whole, unless it has come whole in another
// session meanwhile.
func (s *Session) complete(in *Incoming) {
	if s.seen.add(in.ID, taken) {
		in.finished = true
		s.show(in)
		in.wake()
	} else {
		s.giveUp(in, ErrDuplicate)
	}
	s.forget(in)
}

// watch gives up a message whose next chunk does not come.
func (s *Session) watch(in *Incoming) {
	if in.timer != nil {
		in.timer.Reset(partialTimeout)
		return
	}
	in.timer = time.AfterFunc(partialTimeout, func() {
		s.mu.Lock()
		defer s.unlock()
		s.refuse(in, &StatusError{Code: StatusTimeout, MessageID: in.ID, Local: true})
	})
}

// show gives a message to Receive, once.
func (s *Session) show(in *Incoming) {
	if in.shown {
		return
	}
	in.shown, in.queued = true, true
	in.pins++
	s.queue = append(s.queue, in)
	s.signal()
}

// signal wakes those who wait in Receive.
func (s *Session) signal() {
	close(s.arrived)
	s.arrived = make(chan struct{})
}

func (in *Incoming) wake() {
	if in.readable != nil {
		in.readable.Broadcast()
	}
}

// refuse ends a message before its completion, with the reason its reader gets.
func (s *Session) refuse(in *Incoming, reason error) {
	if in.finished || in.err != nil {
		return
	}
	became := dropped
	if status, ok := reason.(*StatusError); ok && status.Code == StatusStopSending {
		became = refused
	}
	s.seen.add(in.ID, became)
	s.forget(in)
	s.giveUp(in, reason)
}

// giveUp ends a message with the reason its reader gets.
func (s *Session) giveUp(in *Incoming, reason error) {
	in.err = reason
	if !in.shown {
		s.release(in, in.octets.drop())
	}
	in.wake()
}

// forget takes a message off those that wait for chunks.
func (s *Session) forget(in *Incoming) {
	delete(s.partial, in.ID)
	if in.timer != nil {
		in.timer.Stop()
	}
	s.unpin(in)
}

// unpin takes the head of a message off the octets held once neither partial
// nor queue holds it.
func (s *Session) unpin(in *Incoming) {
	if in.pins--; in.pins == 0 {
		s.release(in, in.head)
	}
}

// fail ends what is still arriving when the session ends.
func (b *inbox) fail(err error) {
	for _, in := range b.partial {
		in.err = err
		if in.timer != nil {
			in.timer.Stop()
		}
		if !in.shown {
			in.octets.drop()
		}
		in.wake()
	}
	clear(b.partial)
	if b.owedTime != nil {
		b.owedTime.Stop()
	}
	b.owed = nil
	b.room.Broadcast()
	close(b.arrived)
	b.arrived = make(chan struct{})
}
