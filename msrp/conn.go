package msrp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webmsrp/webmsrp/msrp/internal/fair"
	"github.com/webmsrp/webmsrp/msrp/internal/inflight"
)

// TransactionTimeout is how long a request waits for its response from its
// last octet on; then it counts as answered with 408 (RFC 4975, sections 7.1.1
// and 10.4).
const TransactionTimeout = 30 * time.Second

// An answer takes the response to a request, or nil and the reason why none
// will come. It is called once and without locks held.
type answer func(*Unit, error)

const (
	// maxControl is how many octets of responses and reports may wait for the
	// neighbour to read them. Beyond that nothing more is read from it: it would
	// only add to them. Two neighbours that do so to each other would wait
	// forever, so it is more than answers to all that a sender has on its way: 3
	// MiB where 2 MiB of the shortest requests want a success report.
	maxControl = 4 << 20

	// stuckTimeout is how long the neighbour may take nothing at all before the
	// connection counts as lost, up to twice as long if it took something before.
	// The timers of the requests do not see to that: those behind the one that
	// is stuck were not sent, and some have none.
	stuckTimeout = time.Minute

	// slowSend is what a transport may need for a chunk before it matters to the
	// time of its transaction.
	slowSend = time.Second

	// keptControl is the most memory that is kept for further responses.
	keptControl = 64 << 10
)

// A Conn speaks MSRP over one transport. It carries any number of sessions of
// its [Endpoint]. Its methods are safe for concurrent use.
type Conn struct {
	endpoint *Endpoint
	t        Transport

	wake chan struct{} // tells writeLoop that there is something to do
	done chan struct{} // closed when err is set

	authTurn chan struct{} // held while an AUTH is under way

	mu       sync.Mutex
	drained  *sync.Cond // responses and reports got less, or the end
	err      error
	control  unitQueue // goes before the chunks of the sessions
	leaving  int       // octets of control that the transport is taking
	turns    fair.Queue[*Session]
	bound    map[*Session]struct{}
	inFlight inflight.Table[string, transaction]
	progress time.Time                           // when the oldest of inFlight was last answered
	deadline time.Time                           // of the latest of inFlight
	timer    *time.Timer                         // for the next deadline of inFlight, nil before the first
	quiet    inflight.Table[string, transaction] // requests that only failures are answered to

	writing     string      // transaction ID of the chunk that the transport is taking, or ""
	writingFrom time.Time   // since when
	busy        bool        // the transport is taking something
	stuck       *time.Timer // looks after that, nil before the first time
	watching    bool        // stuck runs
	stepsBefore uint64      // what steps was when stuck looked last

	steps atomic.Uint64 // counts what the transport takes, and the beginnings of that

	// Only readLoop:
	begun bool // a unit arrived
}

// maxQuiet bounds the requests that are remembered for a failure.
const maxQuiet = 4096

// A transaction is a request that waits for its response.
type transaction struct {
	id       string
	done     answer
	deadline time.Time // at the earliest, see expire
}

// unitQueue holds units in wire form.
type unitQueue struct {
	octets []byte
	ends   []int
}

func (q *unitQueue) add(u *Unit, body []byte) {
	q.octets = u.Append(q.octets, body)
	q.ends = append(q.ends, len(q.octets))
}

// NewConn starts to serve t, which the Conn owns from then on.
func (e *Endpoint) NewConn(t Transport) *Conn {
	c := &Conn{
		endpoint: e, t: t,
		wake: make(chan struct{}, 1), done: make(chan struct{}), authTurn: make(chan struct{}, 1),
		bound: make(map[*Session]struct{}),
	}
	c.drained = sync.NewCond(&c.mu)
	go c.writeLoop()
	go c.readLoop()
	return c
}

// Close ends the connection. The sessions it carries fail: MSRP has no other
// way to tell the peer, whose side of them fails as well (RFC 4975, section
// 5.4). It is idempotent.
func (c *Conn) Close() error {
	c.fail(ErrConnClosed)
	return nil
}

// Done returns a channel that is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns nil while the connection lives, and then why it ended:
// [ErrConnClosed], or [ErrConnLost] with the cause: io.EOF where the neighbour
// closed it, a *[SyntaxError] where it broke the protocol, an error of the
// transport, or that the neighbour has taken nothing for a minute or two.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Transport returns what [Endpoint.NewConn] was given, for those who ask it for
// the neighbour's certificate or address. Only the Conn sends and receives.
func (c *Conn) Transport() Transport { return c.t }

// Sessions returns how many sessions the connection carries.
func (c *Conn) Sessions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.bound)
}

// fail ends the connection and tells everyone who waits for it. Tear-down
// happens here and nowhere else.
func (c *Conn) fail(err error) {
	if err != ErrConnClosed {
		err = fmt.Errorf("%w: %w", ErrConnLost, err)
	}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	open := c.inFlight.All()
	sessions := c.bound
	c.bound = nil
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.stuck != nil {
		c.stuck.Stop()
	}
	c.drained.Broadcast()
	close(c.done)
	c.mu.Unlock()

	var reason *SyntaxError
	if errors.As(err, &reason) {
		c.t.Close(reason)
	} else {
		c.t.Close(nil)
	}
	for _, tx := range open {
		tx.done(nil, err)
	}
	for s := range sessions {
		s.end(err)
	}
}

// bind makes c the connection of s, as its first request or [Session.Start]
// asks for.
func (c *Conn) bind(s *Session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.bound[s] = struct{}{}
	return nil
}

func (c *Conn) unbind(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.bound, s)
}

// send queues a unit ahead of all chunks.
func (c *Conn) send(u *Unit) {
	c.mu.Lock()
	if c.err == nil {
		c.control.add(u, nil)
	}
	c.mu.Unlock()
	c.kick()
}

// sendOctets is send for a unit in wire form.
func (c *Conn) sendOctets(unit []byte) {
	c.mu.Lock()
	if c.err == nil {
		c.control.octets = append(c.control.octets, unit...)
		c.control.ends = append(c.control.ends, len(c.control.octets))
	}
	c.mu.Unlock()
	c.kick()
}

// request queues a request and calls done with its response.
func (c *Conn) request(u *Unit, done answer) {
	c.mu.Lock()
	err := c.err
	if err == nil {
		c.control.add(u, nil)
		c.expect(u.TransactionID, done)
	}
	c.mu.Unlock()
	if err != nil {
		go done(nil, err) // the caller may hold a lock that done wants
		return
	}
	c.kick()
}

// roundTrip sends a request and waits for its response.
func (c *Conn) roundTrip(ctx context.Context, u *Unit) (*Unit, error) {
	if err := u.Check(); err != nil {
		return nil, err
	}
	type result struct {
		u   *Unit
		err error
	}
	ch := make(chan result, 1)
	c.request(u, func(u *Unit, err error) { ch <- result{u, err} })
	select {
	case r := <-ch:
		return r.u, r.err
	case <-ctx.Done():
		c.mu.Lock()
		c.inFlight.Take(u.TransactionID)
		c.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}

// ready enters s among those that have chunks to send.
func (c *Conn) ready(s *Session) {
	c.mu.Lock()
	c.turns.Ready(&s.turn)
	c.mu.Unlock()
	c.kick()
}

func (c *Conn) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// expect starts a transaction; c.mu is held.
func (c *Conn) expect(transactionID string, done answer) {
	deadline := time.Now().Add(TransactionTimeout)
	if !deadline.After(c.deadline) {
		deadline = c.deadline.Add(1) // coarse clocks; it tells which is older
	}
	c.deadline = deadline
	c.inFlight.Add(transactionID, transaction{transactionID, done, deadline}, deadline)
	if c.timer == nil {
		c.timer = time.AfterFunc(TransactionTimeout, c.expire)
	} else if c.inFlight.Len() == 1 {
		c.timer.Reset(TransactionTimeout)
	}
}

// expectFailure starts a transaction that succeeds if no response comes (RFC
// 4975, section 7.1.4); c.mu is held.
func (c *Conn) expectFailure(transactionID string, done answer) {
	now := time.Now()
	c.quiet.Expired(now)
	if c.quiet.Len() >= maxQuiet {
		c.quiet.Expired(c.quiet.Next())
	}
	c.quiet.Add(transactionID, transaction{done: done}, now.Add(TransactionTimeout))
}

// expire ends the transactions whose time is over. It runs from the last octet
// of a request (RFC 4975, section 7.1.1): not while the transport is still taking
// it. But a transport also takes octets long before they leave, behind those of
// the requests before. So nobody's time is over before that of the oldest, which
// runs from when it became the oldest.
func (c *Conn) expire() {
	c.mu.Lock()
	now := time.Now()
	var late []transaction
	due := c.progress.Add(TransactionTimeout)
	if !due.After(now) {
		late = c.inFlight.Expired(now)
	}
	for i, tx := range late {
		if tx.id == c.writing {
			c.expect(tx.id, tx.done)
			late = append(late[:i], late[i+1:]...)
			break
		}
	}
	if next := c.inFlight.Next(); !next.IsZero() && c.err == nil {
		if next.Before(due) {
			next = due
		}
		c.timer.Reset(next.Sub(now))
	}
	c.mu.Unlock()
	for _, tx := range late {
		tx.done(nil, &StatusError{Code: StatusTimeout, Local: true})
	}
}

// wrote takes note that the transport has taken what it was given; c.mu is held.
func (c *Conn) wrote() {
	c.leaving = 0
	if c.writing == "" {
		return
	}
	if time.Since(c.writingFrom) > slowSend {
		if tx, ok := c.inFlight.Take(c.writing); ok {
			c.expect(tx.id, tx.done)
		}
	}
	c.writing = ""
}

// watch starts to look whether the transport gets on; c.mu is held.
func (c *Conn) watch() {
	c.busy = true
	steps := c.steps.Add(1)
	if c.watching {
		return
	}
	c.watching, c.stepsBefore = true, steps
	if c.stuck == nil {
		c.stuck = time.AfterFunc(stuckTimeout, c.look)
	} else {
		c.stuck.Reset(stuckTimeout)
	}
}

// look ends the connection if the transport is taking the same as when it was
// called last.
func (c *Conn) look() {
	c.mu.Lock()
	steps := c.steps.Load()
	stuck := c.busy && steps == c.stepsBefore
	c.stepsBefore = steps
	if c.watching = c.busy && !stuck && c.err == nil; c.watching {
		c.stuck.Reset(stuckTimeout)
	}
	c.mu.Unlock()
	if stuck {
		c.fail(errors.New("the neighbour takes nothing any more"))
	}
}

// give hands a unit to the transport.
func (c *Conn) give(unit []byte) error {
	c.trace(unit)
	err := c.t.Send(unit)
	c.steps.Add(1)
	return err
}

// writeLoop sends what is queued: responses, reports and other small units
// first, then a chunk of the session whose turn it is.
func (c *Conn) writeLoop() {
	var control unitQueue
	var chunk []byte
	for {
		c.mu.Lock()
		if c.err != nil {
			c.mu.Unlock()
			return
		}
		c.wrote()
		if cap(control.octets) > keptControl {
			control = unitQueue{}
		}
		control, c.control = c.control, unitQueue{control.octets[:0], control.ends[:0]}
		c.leaving = len(control.octets)
		c.drained.Broadcast()
		turn := c.turns.Next()
		c.watch()
		c.mu.Unlock()

		if turn == nil && len(control.ends) == 0 {
			if err := c.t.Flush(); err != nil {
				c.fail(err)
				return
			}
			c.mu.Lock()
			c.busy = false
			c.mu.Unlock()
			select {
			case <-c.wake:
			case <-c.done:
			}
			continue
		}
		from := 0
		for _, to := range control.ends {
			if err := c.give(control.octets[from:to]); err != nil {
				c.fail(err)
				return
			}
			from = to
		}
		if turn == nil {
			continue
		}
		var r request
		chunk, r = turn.Value.nextChunk(chunk[:0])
		if len(chunk) == 0 {
			continue
		}
		c.mu.Lock()
		turn.Charge(len(chunk))
		c.turns.Ready(turn) // nextChunk appends nothing once there is no more
		err := c.err
		switch {
		case r.done == nil || err != nil:
		case r.quiet:
			c.expectFailure(r.id, r.done)
		default:
			c.expect(r.id, r.done)
			c.writing, c.writingFrom = r.id, c.deadline.Add(-TransactionTimeout)
		}
		c.mu.Unlock()
		if err != nil {
			if r.done != nil && !r.quiet {
				r.done(nil, err)
			}
			return
		}
		if err := c.give(chunk); err != nil {
			c.fail(err)
			return
		}
		if r.more {
			runtime.Gosched() // to who reads its body, lest another goes between
		}
	}
}

// readLoop handles one unit after the other until an error.
func (c *Conn) readLoop() {
	for {
		c.mu.Lock()
		for c.leaving+len(c.control.octets) > maxControl && c.err == nil {
			c.drained.Wait()
		}
		c.mu.Unlock()

		u, err := c.t.Receive()
		if err == nil {
			err = c.handle(u)
		}
		if err != nil {
			if err == io.ErrUnexpectedEOF {
				err = io.EOF // cut off in the middle is as good as closed
			}
			c.fail(err)
			return
		}
	}
}

func (c *Conn) handle(u *Unit) error {
	var err error
	trace := c.traceIncoming(u)
	switch {
	case u.IsResponse():
		c.handleResponse(u)
	case u.To == nil:
		// No way to answer. Whoever begins like that is not an MSRP peer.
		if !c.begun {
			err = u.Invalid
		}
	case u.Invalid != nil:
		c.answer(u, StatusBadRequest)
	case u.Method == MethodSend:
		err = c.handleSend(u)
	case u.Method == MethodReport:
		if s := c.endpoint.lookup(u.To.First()); s != nil && len(u.To) == 1 {
			s.handleReport(c, u)
		}
	case u.Method == MethodNickname:
		c.handleNickname(u)
	default:
		c.answer(u, StatusUnknownMethod)
	}
	c.begun = true
	if err == nil {
		err = trace.finish()
	}
	return err
}

// answer sends a response where one is owed.
func (c *Conn) answer(req *Unit, code int) {
	if req.Method == MethodReport || !owesResponse(req.FailureReport(), code) {
		return
	}
	c.send(response(req, code))
}

func (c *Conn) handleResponse(u *Unit) {
	if u.Invalid != nil {
		return // RFC 4976, section 6.4.3: an unreadable response is dropped
	}
	c.mu.Lock()
	oldest := c.inFlight.Next()
	tx, ok := c.inFlight.Take(u.TransactionID)
	if !ok {
		tx, ok = c.quiet.Take(u.TransactionID)
	} else if !tx.deadline.After(oldest) {
		c.progress = time.Now()
	}
	c.mu.Unlock()
	if ok {
		tx.done(u, nil)
	}
}

// sessionOf finds the session of a request, or returns the code that refuses it
// (RFC 4975, sections 5.4 and 7.3).
func (c *Conn) sessionOf(u *Unit) (s *Session, code int) {
	s = c.endpoint.lookup(u.To.First())
	if s == nil || len(u.To) != 1 {
		return nil, StatusNoSession
	}
	return s, s.arrivedOn(c, u.From)
}

func (c *Conn) handleSend(u *Unit) error {
	s, code := c.sessionOf(u)
	if code != StatusOK {
		c.answer(u, code)
		return nil
	}
	return s.handleSend(c, u)
}

// handleNickname answers a NICKNAME, whatever it says of reports: it has none
// (RFC 7701, section 7.1).
func (c *Conn) handleNickname(u *Unit) {
	s, code := c.sessionOf(u)
	if code == StatusOK {
		code = s.handleNickname(u)
	}
	c.send(response(u, code))
}
