package msrp

import (
	"context"
	"errors"
	"sync"

	"github.com/webmsrp/webmsrp/msrp/internal/fair"
)

// A State is the stage a [Session] is in. It only ever grows.
type State int

const (
	// StateNew: the peer's path is not known yet.
	StateNew State = iota
	// StateConnecting: the first request was not sent and answered, or as the
	// passive side not received yet.
	StateConnecting
	// StateConnected: messages flow.
	StateConnected
	// StateClosed: the session is over, [Session.Err] says why.
	StateClosed
)

func (s State) String() string {
	return [...]string{"new", "connecting", "connected", "closed"}[s]
}

// SessionOptions are this side's terms for a session: what its SDP told the
// peer. The zero value of each field but URI stands for its default.
type SessionOptions struct {
	// URI is the session's own URI, unique and hard to guess: [NewID] makes a
	// session ID. It is required.
	URI URI
	// AcceptTypes are the media types taken from the peer, with * and type/*
	// as wildcards; others are answered with 415. Default: all.
	AcceptTypes []string
	// MaxSize is the largest message taken, in octets; larger ones are answered
	// with 413. Default: no limit.
	MaxSize int64
	// MaxBuffered is how many octets are held that the application has not
	// read. Beyond it the 200s for what is not read are held back, which stops
	// the sender when its window is used up; after 10 seconds of that a message
	// that is not complete is refused with 413. In memory short messages take up
	// to five times their octets. Default 256 KiB.
	MaxBuffered int
	// StreamAfter is how many octets of a message are collected before
	// [Session.Receive] returns it. Shorter messages are returned once they are
	// complete, in the order of their completion, as long as MaxBuffered is not
	// exceeded. Default 64 KiB.
	StreamAfter int
	// Resumes is the session that this one takes the place of, with the same
	// peer, after its connection was lost or its path changed (RFC 4975, section
	// 5.4): a message that came whole in either is not received once more in the
	// other, only answered and reported. [Session.Receive] of the old one still
	// returns what had arrived. Default: none.
	Resumes *Session
	// Greeted is called when the first request of the peer arrives, with the
	// path that leads back to it: for those who have no SDP and learn only so
	// what to give to Start. It must return quickly.
	Greeted func(from Path)
	// Nickname makes this side the focus of a chat room, of which the peer is a
	// participant: it is called when the peer asks for a nickname, or with ""
	// wants none any more, and returns the answer (RFC 7701, section 7):
	// [StatusOK], by which the peer has it and has lost the one before,
	// [StatusForbidden] or [StatusNicknameInUse]. Which nicknames are the same is
	// told by RFC 8266. It must return quickly. Default: 501 is the answer.
	Nickname func(name string) (code int)
	// Trace is as that of [Options], for what passes of this session, from
	// [Endpoint.SetTracing] on.
	Trace func(TraceEvent)
	// StateChanged is called after each change of the state, in order; err is
	// that of [Session.Err]. It must return quickly.
	StateChanged func(state State, err error)
}

// Remote is what a session needs to know of its peer: what the peer's SDP told.
type Remote struct {
	// Path is the To-Path of every request: the own relays, then the peer's
	// path (RFC 4976, section 5.1).
	Path Path
	// Conn is the connection to the first hop. nil leaves it open to the peer:
	// the connection on which its first request arrives is taken.
	Conn *Conn
	// Active makes this side send the first request. The passive side sends
	// nothing before it received one (RFC 4975, section 5.4).
	Active bool
	// AcceptTypes are the types the peer takes, with wildcards; sending others
	// fails with [ErrUnsupportedType]. What is inside a container such as
	// message/cpim is not looked at. Default: all.
	AcceptTypes []string
	// MaxSize is the largest message the peer takes, in octets; larger ones fail
	// with [ErrMessageTooLarge], as soon as it is known that they are. Default:
	// no limit.
	MaxSize int64
	// RecvOnly is set where the direction that was agreed on keeps this side
	// from sending messages; reports, what has no body, and a Message with Control
	// go on (RFC 4975, section 8.9).
	RecvOnly bool
	// ChunkSize is the most octets of body in one SEND. Default 8 KiB, which
	// every known peer and relay takes.
	ChunkSize int
	// Window is how many octets may wait for their 200; one message takes half
	// of what others leave, so that none that the peer does not read holds up the
	// others. Default 1 MiB.
	Window int
	// Verify is asked about the connection that the peer opened, where that is not
	// Conn, before anything of it counts: whether the certificate is the one of
	// the peer's SDP (RFC 8122, section 6.2; package msrpnet has such a
	// function). Its error ends the connection and the session (RFC 4975, section
	// 14.4). It must return quickly and not call the session. Default: all
	// connections are taken.
	Verify func(*Conn) error
	// Fingerprints are those of the peer's SDP (RFC 8122), to be told to a
	// relay in direct mode, which connects to the peer for this side. They must
	// be empty without such a relay.
	Fingerprints []string
}

const (
	defaultMaxBuffered = 256 << 10
	defaultStreamAfter = 64 << 10
	defaultChunkSize   = 8 << 10
	defaultWindow      = 1 << 20
)

// A Session is one conversation with a peer. Its methods are safe for
// concurrent use.
type Session struct {
	endpoint *Endpoint
	opts     SessionOptions
	turn     fair.Flow[*Session] // guarded by the mutex of conn
	done     chan struct{}       // closed with StateClosed

	mu     sync.Mutex
	state  State
	err    error
	conn   *Conn
	remote Remote
	open   bool // requests may be sent
	heard  bool // a request of the peer arrived

	callbacks []func() // to be called by whoever unlocks
	calling   bool

	outbox
	inbox
}

func newSession(e *Endpoint, opts SessionOptions) *Session {
	if opts.MaxBuffered == 0 {
		opts.MaxBuffered = defaultMaxBuffered
	}
	if opts.StreamAfter == 0 {
		opts.StreamAfter = defaultStreamAfter
	}
	s := &Session{endpoint: e, opts: opts, done: make(chan struct{})}
	s.turn.Value = s
	s.outbox.sent = make(map[string]*Outgoing)
	s.inbox.partial = make(map[string]*Incoming)
	if s.inbox.seen = new(history); opts.Resumes != nil {
		s.inbox.seen, s.inbox.resumes = opts.Resumes.inbox.seen, true
	}
	s.opts.Resumes = nil // or sessions that take turns would all be kept
	s.inbox.arrived = make(chan struct{})
	s.inbox.room = sync.NewCond(&s.mu)
	return s
}

// URI returns the session's own URI.
func (s *Session) URI() URI { return s.opts.URI }

// State returns the current state.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Done returns a channel that is closed when the session is over.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns nil until the session is over and then why: [ErrSessionClosed],
// a *[StatusError] of the peer or a relay (481 where it no longer knows the
// session), or what ended the connection.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Start begins the exchange with the peer, once its SDP is known. As the
// active side it sends the first request, which has no body.
func (s *Session) Start(r Remote) error {
	if len(r.Path) == 0 {
		return errors.New("msrp: the session's peer has no path")
	}
	if uri := r.Path.withoutPort(); !uri.IsZero() {
		return errors.New("msrp: no port in " + uri.String() + " of the peer's path")
	}
	if r.Active && r.Conn == nil {
		return errors.New("msrp: the active side needs a connection")
	}
	for _, f := range r.Fingerprints {
		if !isText(f) {
			return errors.New("msrp: control character in a fingerprint")
		}
	}
	if r.ChunkSize <= 0 {
		r.ChunkSize = defaultChunkSize
	}
	if r.Window <= 0 {
		r.Window = defaultWindow
	}
	s.mu.Lock()
	defer s.unlock()
	if s.err != nil {
		return s.err
	}
	if len(s.remote.Path) > 0 {
		return errors.New("msrp: the session was started already")
	}
	s.remote = r
	switch {
	case s.conn != nil && s.conn != r.Conn:
		if err := s.verify(s.conn); err != nil {
			return err
		}
	case s.conn == nil && r.Conn != nil:
		if err := r.Conn.bind(s); err != nil {
			s.remote = Remote{}
			return err
		}
		s.conn = r.Conn
	}
	s.takeEarly()
	s.dropUnfit()
	if s.state == StateNew {
		s.setState(StateConnecting)
	}
	if r.Active {
		s.open = true
		s.conn.request(s.bodiless(), func(u *Unit, err error) { s.greeted(u, err) })
	} else if s.heard {
		s.open = true
		s.setState(StateConnected)
	}
	if s.open && !s.messages.empty() {
		s.conn.ready(s)
	}
	return nil
}

// Update takes the AcceptTypes, MaxSize and RecvOnly of r, the outcome of a
// renewed exchange in which both paths stay as they are (RFC 4975, section
// 8.4). They hold for every message of which nothing was sent yet, and MaxSize
// for each whose length is not known.
func (s *Session) Update(r Remote) {
	s.mu.Lock()
	defer s.unlock()
	s.remote.AcceptTypes, s.remote.MaxSize, s.remote.RecvOnly = r.AcceptTypes, r.MaxSize, r.RecvOnly
	s.dropUnfit()
}

// bodiless returns a SEND without a body, as it starts a session and keeps one
// alive (RFC 4975, sections 5.4 and 7.1).
func (s *Session) bodiless() *Unit {
	return s.newRequest(MethodSend, Field{"Message-ID", NewID()}, Field{"Byte-Range", "1-0/0"})
}

// newRequest returns a request without a body; s.mu is held.
func (s *Session) newRequest(method string, fields ...Field) *Unit {
	return &Unit{
		TransactionID: NewTransactionID(), Method: method,
		To: s.remote.Path, From: Path{s.opts.URI},
		Header: s.remote.appendFingerprints(fields),
	}
}

func (r *Remote) appendFingerprints(h Header) Header {
	for _, f := range r.Fingerprints {
		h = append(h, Field{"Peer-Fingerprint", f})
	}
	return h
}

// greeted takes the answer to the first request of the active side.
func (s *Session) greeted(u *Unit, err error) {
	if err == nil {
		err = failureOf(u)
	}
	if err != nil {
		s.end(err)
		return
	}
	s.mu.Lock()
	defer s.unlock()
	if s.state == StateConnecting {
		s.setState(StateConnected)
	}
}

// failureOf returns nil for a response of 2xx and else its *StatusError.
// Codes outside the registry count by their first digit.
func failureOf(u *Unit) error {
	if u.Code/100 == 2 {
		return nil
	}
	return &StatusError{Code: u.Code, Comment: u.Comment}
}

// Probe sends a SEND without a body and waits until the next hop answers: a
// keep-alive that shows whether the connection and the session still stand.
func (s *Session) Probe(ctx context.Context) error { return s.ask(ctx, s.bodiless) }

// ask sends a request, which is made with s.mu held, and waits for the answer.
func (s *Session) ask(ctx context.Context, request func() *Unit) error {
	s.mu.Lock()
	conn, open, err := s.conn, s.open, s.err
	var u *Unit
	if open {
		u = request()
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if !open {
		return errors.New("msrp: the session is not connected")
	}
	u, err = conn.roundTrip(ctx, u)
	if err != nil {
		return err
	}
	err = failureOf(u)
	if u.Code == StatusNoSession || u.Code == StatusSessionInUse {
		s.end(err) // RFC 4975, sections 10.8 and 10.10
	}
	return err
}

// arrivedOn takes the connection on which a request for s came, and returns
// the code that refuses it, or 200 (RFC 4975, section 5.4).
func (s *Session) arrivedOn(c *Conn, from Path) int {
	s.mu.Lock()
	defer s.unlock()
	switch {
	case s.err != nil:
		return StatusNoSession
	case s.conn == nil:
		if len(s.remote.Path) > 0 && s.verify(c) != nil || c.bind(s) != nil {
			return StatusNoSession
		}
		s.conn = c
	case s.conn != c:
		return StatusSessionInUse
	}
	if s.heard {
		return StatusOK
	}
	s.heard = true
	if f := s.opts.Greeted; f != nil {
		s.later(func() { f(from) })
	}
	if len(s.remote.Path) > 0 && !s.open {
		s.open = true
		s.setState(StateConnected)
		if !s.messages.empty() {
			s.conn.ready(s)
		}
	}
	return StatusOK
}

// verify asks Remote.Verify about a connection that the peer opened, and ends it
// and the session where that says no; s.mu is held.
func (s *Session) verify(c *Conn) error {
	if s.remote.Verify == nil {
		return nil
	}
	err := s.remote.Verify(c)
	if err != nil {
		for _, in := range s.queue {
			in.octets.drop()
		}
		s.queue, s.early = nil, nil // what came before Start is not the peer's
		s.later(func() {
			c.fail(err)
			s.end(err)
		})
	}
	return err
}

// Close ends the session on this side. MSRP does not tell the peer, signalling
// does; its later requests are answered with 481. What was not delivered fails
// with [ErrSessionClosed], of which the peer is told as by [Outgoing.Abort], and
// messages that have arrived can still be received. The connection stays. Close
// is idempotent.
func (s *Session) Close() error {
	s.end(ErrSessionClosed)
	return nil
}

// end is the one place where a session ends.
func (s *Session) end(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	if err == ErrSessionClosed && s.open {
		s.abandon()
	}
	s.err = err
	s.setState(StateClosed)
	conn := s.conn
	s.outbox.fail(err)
	s.inbox.fail(err)
	s.endpoint.remove(s)
	close(s.done) // from now on the URI can be used again
	s.unlock()
	if conn != nil {
		conn.unbind(s)
	}
}

// setState enters a state; s.mu is held.
func (s *Session) setState(state State) {
	s.state = state
	if f, err := s.opts.StateChanged, s.err; f != nil {
		s.later(func() { f(state, err) })
	}
}

// later keeps a callback for when s.mu is unlocked: callbacks run in order,
// one at a time, and without locks.
func (s *Session) later(f func()) { s.callbacks = append(s.callbacks, f) }

// unlock unlocks s.mu and runs the callbacks, unless someone is at it.
func (s *Session) unlock() {
	if s.calling {
		s.mu.Unlock()
		return
	}
	for len(s.callbacks) > 0 {
		run := s.callbacks
		s.callbacks = nil
		s.calling = true
		s.mu.Unlock()
		for _, f := range run {
			f()
		}
		s.mu.Lock()
		s.calling = false
	}
	s.mu.Unlock()
}
