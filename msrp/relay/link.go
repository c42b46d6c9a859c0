package relay

import (
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/internal/fair"
	"github.com/webmsrp/webmsrp/msrp/internal/inflight"
)

const (
	// firstRequest is how long a connection may stay without a request that
	// succeeds (RFC 4976, section 6.1).
	firstRequest = 30 * time.Second
	// maxFailures is how many requests may fail on a connection of which none
	// has succeeded, and how many AUTHs on any (RFC 4976, sections 6.1 and 6.3).
	maxFailures = 10
	maxAuths    = 3

	// maxControl is how many octets of responses and reports may wait for a
	// neighbour to read them. Beyond it reports are dropped, and nothing more
	// is read from that neighbour.
	maxControl = 1 << 20
)

// LinkInfo tells a relay what lies at the other end of a transport.
type LinkInfo struct {
	// Remote is the address, for logs and for Config.Guard.
	Remote string
	// User is who the client is, where that is known without AUTH, from the
	// handshake of a WebSocket for instance (RFC 7977, section 5.3.1). Its
	// AUTHs are granted without a challenge then.
	User string
	// WebSocket marks a client of RFC 7977: it speaks through tokens of its
	// own only, and gets chunks of at most Config.ChunkSize.
	WebSocket bool
	// Secure is set where TLS protects the connection.
	Secure bool
	// Matches reports whether the neighbour's certificate has one of these
	// fingerprints (RFC 8122). nil stands for a neighbour without one.
	Matches func(fingerprints []string) bool
	// Proves reports whether the neighbour showed a certificate of an authority
	// that is trusted, and whether that has the name of a host: then it is the
	// relay of that name, if it says so (RFC 4976, section 6.3). It is not
	// called before the first request. nil stands for a neighbour without one.
	Proves func(host string) (certified, named bool)
	// Host is the name under which a WebSocket client reached the relay; AUTH
	// may use it.
	Host string
}

// A Link is one connection of a relay.
type Link struct {
	relay *Relay
	info  LinkInfo
	t     msrp.Transport // nil while dialling
	chunk int            // the most octets of body in one SEND, 0 as they come
	token *token         // for whose owner the relay opened the connection, or nil

	used atomic.Int64 // when a request or response came last, in seconds

	fingerprints string // of which the neighbour's certificate has one: those of Hop

	mu       sync.Mutex
	changed  *sync.Cond // a queue got shorter, or the end; nil before somebody waits for it
	closed   bool
	refuses  bool        // it was never connected: the policy does not allow it
	closing  bool        // closes once control is sent
	writing  bool        // a goroutine is in write
	over     atomic.Bool // what closed says, without the mutex
	accepted atomic.Bool // a request made sense
	crowded  atomic.Bool // control has more than maxControl
	refusing atomic.Bool // there is refused
	defers   bool        // the transport calls catchUp
	shared   bool        // SENDs of several tokens came; only the reader
	control  *units      // nil where there are none
	flows    flows
	turns    fair.Queue[*flow]
	queued   int      // octets of flows
	tokens   []*token // that the neighbour owns; most clients have one
	inFlight inflight.Table[transactionID, *transaction]
	timer    *time.Timer
	refused  *refusals       // nil where there were none
	first    *time.Timer     // ends the link before that, nil where nothing does
	guesses  int             // AUTHs that failed
	loose    []transactionID // of inFlight, what no window bounds, oldest first

	deferring sync.Mutex // guards later; no other is locked with it held
	later     []*Link    // what the reader has queued for them, it writes in catchUp

	// Only the reader:
	now      time.Time // when the batch at hand came
	batch    int32     // units that were handled since catchUp or handOver
	failures int32     // requests that made none
	*reading           // nil before the first request that is no AUTH
}

// A reading is what the reader of a link keeps from one request to the next.
type reading struct {
	hops     []hop // storage of the route at hand, and of its paths
	to, from msrp.Path
	origin   msrp.Path // of the latest SEND, its From-Path
	target   msrp.URI  // and the token it was sent to
	sole     *token    // of all SENDs so far
}

// maxLoose bounds the transactions of a link that no window bounds: SENDs with
// Failure-Report partial, and all other requests. The oldest are forgotten.
const maxLoose = 1024

// maxComment is the longest comment of a response that is passed on, in octets.
const maxComment = 512

func (r *Relay) newLink(t msrp.Transport, info LinkInfo, forToken *token) (*Link, error) {
	l := &Link{relay: r, info: info, t: t, token: forToken}
	l.attach()
	l.used.Store(time.Now().Unix())
	if info.WebSocket {
		l.chunk = r.config.ChunkSize
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if forToken == nil {
		for !r.closed && r.accepted >= r.config.MaxLinks {
			idle := r.idleLink()
			if idle == nil {
				r.linksRefused.Add(1)
				return nil, errFull
			}
			r.mu.Unlock()
			idle.close(errDisplaced)
			r.mu.Lock()
		}
	}
	if r.closed || forToken == nil && r.draining.Load() {
		return nil, ErrStopping
	}
	if forToken == nil {
		r.accepted++
	}
	r.links[l] = struct{}{}
	return l, nil
}

// How long the connections of clients and of others may be unused where another
// wants their place: as long as clients leave them open (RFC 4976, section 5.4).
const (
	clientIdle = time.Hour
	otherIdle  = 5 * time.Minute
)

// idleLink returns the link that gives way to another where there is no room
// (RFC 4976, section 6.5): the one unused for longest, first of those on which no
// request has succeeded yet, or nil. r.mu is held.
func (r *Relay) idleLink() *Link {
	now := time.Now().Unix()
	var found *Link
	fresh := false // found has made no request
	for l := range r.links {
		if l.token != nil {
			continue
		}
		l.mu.Lock()
		accepted, patience := l.isAccepted(), otherIdle
		if len(l.tokens) > 0 {
			patience = clientIdle
		}
		l.mu.Unlock()
		if used := l.used.Load(); accepted && (fresh || now-used < int64(patience/time.Second)) {
			continue
		} else if found == nil || !accepted && !fresh || used < found.used.Load() {
			found, fresh = l, !accepted
		}
	}
	return found
}

// Serve relays for the neighbour at the other end of t until the connection
// ends, and closes it. The error is io.EOF where the neighbour closed it.
func (r *Relay) Serve(t msrp.Transport, info LinkInfo) error {
	l, err := r.Open(t, info)
	if err != nil {
		return err
	}
	return l.Serve()
}

// Open is the first half of [Relay.Serve], for those who serve in a goroutine
// that has little on its stack. After an error t is closed.
func (r *Relay) Open(t msrp.Transport, info LinkInfo) (*Link, error) {
	l, err := r.newLink(t, info, nil)
	if err != nil {
		t.Close(err)
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.first = time.AfterFunc(firstRequest, func() {
			if !l.isAccepted() {
				l.close(errIdle)
			}
		})
	}
	return l, nil
}

// Serve is the other half of [Relay.Serve].
func (l *Link) Serve() error { return l.read() }

var (
	errFull      = errors.New("relay: too many connections")
	errDisplaced = errors.New("relay: unused, and another connection needed the room")
)

var errIdle = errors.New("relay: no request that succeeded within 30 seconds")

// read handles one unit after the other until an error.
func (l *Link) read() error {
	for {
		if l.crowded.Load() {
			l.handOver()
			l.mu.Lock()
			for l.control.len() > maxControl && !l.closed {
				l.wait()
			}
			l.mu.Unlock()
		}
		u, err := l.t.Receive()
		if err == nil {
			if l.batch == 0 {
				l.now = time.Now()
				l.used.Store(l.now.Unix())
			}
			l.batch++
			if err = l.handle(u); l.batch >= maxDeferred || !l.defers {
				l.handOver()
			}
		}
		if err != nil {
			if err == io.ErrUnexpectedEOF {
				err = io.EOF
			}
			l.close(err)
			return err
		}
	}
}

// close ends the link and what depends on it. It is the only place where a
// link ends.
func (l *Link) close(reason error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	l.over.Store(true)
	l.refuses = errors.Is(reason, ErrRefused)
	open := l.inFlight.All()
	var lost []flow
	for f := range l.flows.all {
		lost = append(lost, l.take(f))
	}
	l.flows = flows{}
	tokens := l.tokens
	l.tokens = nil
	l.control = nil
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.first != nil {
		l.first.Stop()
	}
	t := l.t
	l.wake()
	l.mu.Unlock()
	l.spread() // the transport may end without a word to the reader

	l.relay.mu.Lock()
	delete(l.relay.links, l)
	if l.token == nil {
		l.relay.accepted--
	}
	l.relay.mu.Unlock()
	for _, tok := range tokens {
		l.relay.revoke(tok)
	}
	code, comment := l.whyLost()
	for _, tx := range open {
		tx.fail(code, comment)
	}
	for _, f := range lost {
		f.fail(code, comment)
	}
	if t != nil { // last, because it may wait for the neighbour
		var syntax *msrp.SyntaxError
		switch {
		case errors.As(reason, &syntax):
			t.Close(syntax)
		case errors.Is(reason, ErrStopping):
			t.Close(ErrStopping)
		default:
			t.Close(nil)
		}
	}
}

// whyLost says in MSRP's terms why a closed link forwards nothing. RFC 4976 has
// no code for a next hop that cannot be reached; 408 has the reaction that is
// wanted.
func (l *Link) whyLost() (code int, comment string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuses {
		return msrp.StatusForbidden, "Next hop not allowed"
	}
	return msrp.StatusTimeout, "Next hop unreachable"
}

func (l *Link) isClosed() bool { return l.over.Load() }

// finish closes the link once what is queued for it was sent, or a neighbour
// that does not read had its time. It waits for nobody.
func (l *Link) finish() {
	l.mu.Lock()
	l.closing = true
	idle := !l.writing && l.t != nil
	l.mu.Unlock()
	if idle {
		go l.close(msrp.ErrConnClosed)
	} else {
		time.AfterFunc(stallTimeout, func() { l.close(msrp.ErrConnClosed) })
	}
}

// wait waits for wake; l.mu is held.
func (l *Link) wait() {
	if l.changed == nil {
		l.changed = sync.NewCond(&l.mu)
	}
	l.changed.Wait()
}

// wake lets those who wait look again; l.mu is held.
func (l *Link) wake() {
	if l.changed != nil {
		l.changed.Broadcast()
	}
}

// own enters a token of the neighbour.
func (l *Link) own(t *token) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.tokens = append(l.tokens, t)
	return true
}

// disown takes a token off the neighbour's, and fails what is queued for it.
func (l *Link) disown(t *token) {
	l.mu.Lock()
	l.tokens = slices.DeleteFunc(l.tokens, func(o *token) bool { return o == t })
	var lost flow
	if f := l.flows.of(t); f != nil {
		l.flows.remove(f)
		lost = l.take(f)
	}
	l.mu.Unlock()
	lost.fail(msrp.StatusNoSession, msrp.StatusText(msrp.StatusNoSession))
}

// forget takes a token that is over off the link to a peer, which still gets
// what is queued for it.
func (l *Link) forget(t *token) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flows.of(t); f != nil {
		if f.over = true; f.queued == 0 {
			l.flows.remove(f)
		}
	}
}

// attach tells the transport that the link is done with a unit when it takes the
// next, so what it keeps, it clones; and to call catchUp.
func (l *Link) attach() {
	if t, ok := l.t.(interface{ Reuse() }); ok {
		t.Reuse()
	}
	if t, ok := l.t.(prompt); ok {
		l.defers = t.OnWait(l.catchUp)
	}
}

// expect starts a transaction; l.mu is held.
func (l *Link) expect(tx *transaction, now time.Time) {
	l.inFlight.Add(tx.sentAs, tx, now.Add(msrp.TransactionTimeout))
	if tx.flow == nil {
		if len(l.loose) == maxLoose {
			l.inFlight.Take(l.loose[0])
			l.loose = l.loose[1:]
		}
		l.loose = append(l.loose, tx.sentAs)
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(msrp.TransactionTimeout, l.expire)
	} else if l.inFlight.Len() == 1 {
		l.timer.Reset(msrp.TransactionTimeout)
	}
}

// expire ends the transactions whose time is over.
func (l *Link) expire() {
	l.mu.Lock()
	now := time.Now()
	var late []*transaction
	for _, tx := range l.inFlight.Expired(now) {
		if f := tx.flow; f != nil && now.Sub(f.progress) < msrp.TransactionTimeout {
			// What the kernel still holds back was not sent: the time starts with
			// the last octet (RFC 4975, section 7.1.1), and those before it are
			// being answered.
			l.inFlight.Add(tx.sentAs, tx, now.Add(msrp.TransactionTimeout))
			continue
		}
		l.release(tx)
		late = append(late, tx)
	}
	if next := l.inFlight.Next(); !next.IsZero() && !l.closed {
		l.timer.Reset(next.Sub(now))
	}
	l.mu.Unlock()
	for _, tx := range late {
		tx.timeout()
	}
}
