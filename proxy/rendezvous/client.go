package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/webmsrp/webmsrp/msrp"
)

// A Client registers a name at a server and makes and takes calls. Its methods
// are safe for concurrent use.
type Client struct {
	registration Registration
	incoming     chan *Call
	done         chan struct{}
	ctx          context.Context // until Close
	stop         context.CancelFunc

	mu    sync.Mutex
	ws    *websocket.Conn // nil while it is lost
	calls map[string]*Call
	owed  []Message // ends of calls, to be told when the client is back
	err   error
}

// A RefusedError is the other party's or the server's no to a call.
type RefusedError struct {
	Code   int
	Reason string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("rendezvous: %d %s", e.Code, e.Reason) }

// A Registration is what a client wants of a server.
type Registration struct {
	URL                string // ws or wss
	Name               string
	Username, Password string
	// Grace is how long the client tries to come back after its connection was
	// lost. Calls that were answered go on meanwhile, and are to be offered again
	// then, see [Call.Back]; the further offers of others are to be answered.
	// Default: it does not try.
	Grace time.Duration
	// HTTPClient makes the handshake, nil is http.DefaultClient.
	HTTPClient *http.Client
}

// resumes tells whether the client comes back.
func (r *Registration) resumes() bool { return r.Grace > 0 }

// Times of a client that comes back.
const (
	dialTime = 10 * time.Second // for one attempt
	backoff  = 100 * time.Millisecond
	// longestBackoff is where backoff, twice as long each time, ends.
	longestBackoff = 5 * time.Second
)

var (
	errEnded = errors.New("rendezvous: the connection has ended")
	errAway  = errors.New("rendezvous: the connection is lost at the moment")
	errOver  = errors.New("rendezvous: the call is over")
)

// Dial registers a name at a server.
func Dial(ctx context.Context, r Registration) (*Client, error) {
	ws, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &Client{registration: r, ws: ws, incoming: make(chan *Call, 16), done: make(chan struct{}), calls: make(map[string]*Call)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	go c.run(ws)
	return c, nil
}

func (r *Registration) dial(ctx context.Context) (*websocket.Conn, error) {
	ws, _, err := websocket.Dial(ctx, r.URL, &websocket.DialOptions{Subprotocols: []string{Subprotocol}, HTTPClient: r.HTTPClient})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(maxMessage)
	m := Message{Type: TypeRegister, Name: r.Name, Username: r.Username, Password: r.Password, Resumes: r.resumes()}
	if err = write(ctx, ws, m); err == nil {
		m, err = read(ctx, ws)
	}
	if err == nil && m.Type != TypeRegistered {
		err = &RefusedError{m.Code, m.Reason}
	}
	if err != nil {
		ws.CloseNow()
		return nil, err
	}
	return ws, nil
}

// Done is closed when the connection has ended, and does not come back; Err says
// why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, or nil.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the registration, and its calls with it.
func (c *Client) Close() error {
	c.mu.Lock()
	ws := c.ws
	c.stop()
	c.mu.Unlock()
	if ws == nil {
		return nil
	}
	return ws.Close(websocket.StatusNormalClosure, "")
}

// Incoming delivers the calls of others, each to be answered or refused.
func (c *Client) Incoming() <-chan *Call { return c.incoming }

// run receives over one connection after the other.
func (c *Client) run(ws *websocket.Conn) {
	var err error
	for ws != nil {
		err = c.receive(ws)
		ws.CloseNow() // the server waits for it
		ws = nil
		if c.lost(err) {
			ws, err = c.comeBack(err)
		}
	}
	c.mu.Lock()
	c.err = err
	calls := c.calls
	c.calls = nil
	c.mu.Unlock()
	for _, call := range calls {
		call.end("the rendezvous was lost", err)
	}
	c.stop()
	close(c.done)
}

func (c *Client) receive(ws *websocket.Conn) error {
	if c.registration.resumes() {
		ctx, cancel := context.WithCancel(c.ctx)
		defer cancel()
		go keepAlive(ctx, ws)
	}
	for {
		m, err := read(context.Background(), ws)
		if err != nil {
			return err
		}
		if m.Type == TypeError {
			return &RefusedError{m.Code, m.Reason}
		}
		c.handle(m)
	}
}

// keepAlive finds out that a connection is dead.
func keepAlive(ctx context.Context, ws *websocket.Conn) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			ping, cancel := context.WithTimeout(ctx, pingTimeout)
			err := ws.Ping(ping)
			cancel()
			if err != nil && ctx.Err() == nil {
				ws.CloseNow()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// final tells whether a client that hears this cannot come back.
func final(err error) bool {
	var refused *RefusedError
	return errors.As(err, &refused) && refused.Code != CodeUnavailable
}

// lost takes it that the connection is lost, and returns whether to come back.
func (c *Client) lost(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws = nil
	if !c.registration.resumes() || c.ctx.Err() != nil || final(err) {
		return false
	}
	for id, call := range c.calls {
		if call.answered {
			call.tell(Message{Type: TypeError})
			continue
		}
		delete(c.calls, id)
		if call.own {
			c.owed = append(c.owed, call.bye("the rendezvous was lost"))
		}
		call.end("the rendezvous was lost", err)
	}
	return true
}

// comeBack registers again. err is why that is needed, and the error why there
// is no more hope.
func (c *Client) comeBack(err error) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.registration.Grace)
	defer cancel()
	for wait := backoff; ; wait = min(2*wait, longestBackoff) {
		attempt, stop := context.WithTimeout(ctx, dialTime)
		ws, failure := c.registration.dial(attempt)
		stop()
		if failure == nil {
			return c.back(ws)
		}
		if final(failure) {
			return nil, failure
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// back takes a new connection.
func (c *Client) back(ws *websocket.Conn) (*websocket.Conn, error) {
	c.mu.Lock()
	if err := c.ctx.Err(); err != nil {
		c.mu.Unlock()
		ws.Close(websocket.StatusNormalClosure, "")
		return nil, err
	}
	c.ws = ws
	owed := c.owed
	c.owed = nil
	for _, call := range c.calls {
		select {
		case call.back <- struct{}{}:
		default:
		}
	}
	c.mu.Unlock()
	for _, m := range owed {
		write(context.Background(), ws, m)
	}
	return ws, nil
}

// write sends a message, unless the connection is lost.
func (c *Client) write(m Message) error {
	c.mu.Lock()
	ws, ended := c.ws, c.calls == nil
	c.mu.Unlock()
	switch {
	case ended:
		return errEnded
	case ws == nil:
		return errAway
	}
	// Not with the caller's context: canceled in the middle, it would end the whole
	// connection.
	return write(context.Background(), ws, m)
}

// tell sends the end of a call, now or once the client is back.
func (c *Client) tell(m Message) error {
	for {
		c.mu.Lock()
		ws := c.ws
		c.mu.Unlock()
		err := errAway
		if ws != nil {
			err = write(context.Background(), ws, m)
		}
		c.mu.Lock()
		switch {
		case err == nil || !c.registration.resumes() || c.calls == nil:
			c.mu.Unlock()
			return err
		case c.ws == ws:
			c.owed = append(c.owed, m)
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock() // it is back already
	}
}

func (c *Client) handle(m Message) {
	c.mu.Lock()
	call := c.calls[m.Call]
	known := call != nil && (m.From == call.Peer || m.From == "")
	switch {
	case m.Type == TypeOffer && m.Again > 0 && (!known || !call.answered):
		c.mu.Unlock()
		c.write(Message{Type: TypeRefuse, Call: m.Call, To: m.From, Again: m.Again, Code: CodeNoCall, Reason: "no such call"})
		return
	case m.Type == TypeOffer && call == nil:
		call = c.newCall(m.Call, m.From)
		call.Offer = m.SDP
		c.mu.Unlock()
		select {
		case c.incoming <- call:
		default:
			call.Refuse(CodeBusy, "busy")
		}
		return
	case !known || !call.take(m):
		c.mu.Unlock()
		return
	}
	over := m.ends()
	if over {
		delete(c.calls, m.Call)
	}
	c.mu.Unlock()
	if over {
		var err error
		if m.Code != 0 {
			err = &RefusedError{m.Code, m.Reason}
		}
		call.end(m.Reason, err)
	}
}

// newCall enters a call; c.mu is held.
func (c *Client) newCall(id, peer string) *Call {
	call := &Call{
		client: c, id: id, Peer: peer,
		answer: make(chan Message, 1), offers: make(chan Offer, 1), back: make(chan struct{}, 1), over: make(chan struct{}),
	}
	c.calls[id] = call
	return call
}

// Call offers a call to a name and waits for the answer. The error is a
// *[RefusedError] where there is none.
func (c *Client) Call(ctx context.Context, to, offer string) (call *Call, answer string, err error) {
	c.mu.Lock()
	if c.calls == nil {
		c.mu.Unlock()
		return nil, "", errEnded
	}
	call = c.newCall(msrp.NewID(), to)
	call.own = true
	c.mu.Unlock()
	if err := c.write(Message{Type: TypeOffer, Call: call.id, To: to, SDP: offer}); err != nil {
		call.Bye("canceled")
		return nil, "", err
	}
	answer, err = call.wait(ctx)
	if err == nil {
		return call, answer, nil
	}
	if ctx.Err() != nil {
		call.Bye("canceled")
	}
	return nil, "", err
}
