package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/coder/websocket"

	"github.com/webmsrp/webmsrp/msrp"
)

// A Client registers a name at a server and makes and takes calls. Its methods
// are safe for concurrent use.
type Client struct {
	c        *websocket.Conn
	incoming chan *Call
	done     chan struct{}

	mu    sync.Mutex
	calls map[string]*Call
	err   error
}

// A Call is a call that a client made or got.
type Call struct {
	client *Client
	id     string
	// Peer is the name of the other party, Offer the offer of an incoming call.
	Peer, Offer string

	answer chan Message  // to an offer
	over   chan struct{} // closed at the end
	reason string        // valid then
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
	// HTTPClient makes the handshake, nil is http.DefaultClient.
	HTTPClient *http.Client
}

// Dial registers a name at a server.
func Dial(ctx context.Context, r Registration) (*Client, error) {
	ws, _, err := websocket.Dial(ctx, r.URL, &websocket.DialOptions{Subprotocols: []string{Subprotocol}, HTTPClient: r.HTTPClient})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(maxMessage)
	m := Message{Type: TypeRegister, Name: r.Name, Username: r.Username, Password: r.Password}
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
	c := &Client{c: ws, incoming: make(chan *Call, 16), done: make(chan struct{}), calls: make(map[string]*Call)}
	go c.receive()
	return c, nil
}

// Done is closed when the connection has ended; Err says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, or nil.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the registration, and its calls with it.
func (c *Client) Close() error { return c.c.Close(websocket.StatusNormalClosure, "") }

// Incoming delivers the calls of others, each to be answered or refused.
func (c *Client) Incoming() <-chan *Call { return c.incoming }

func (c *Client) receive() {
	err := func() error {
		for {
			m, err := read(context.Background(), c.c)
			if err != nil {
				return err
			}
			if m.Type == TypeError {
				return &RefusedError{m.Code, m.Reason}
			}
			c.handle(m)
		}
	}()
	c.c.CloseNow() // the server waits for it
	c.mu.Lock()
	c.err = err
	calls := c.calls
	c.calls = nil
	c.mu.Unlock()
	for _, call := range calls {
		call.end("the rendezvous was lost")
	}
	close(c.done)
}

func (c *Client) handle(m Message) {
	c.mu.Lock()
	call := c.calls[m.Call]
	switch {
	case m.Type == TypeOffer && call == nil:
		call = c.newCall(m.Call, m.From)
		call.Offer = m.SDP
	case call == nil:
		c.mu.Unlock()
		return
	case m.Type == TypeRefuse || m.Type == TypeBye:
		delete(c.calls, m.Call)
	}
	c.mu.Unlock()
	switch m.Type {
	case TypeOffer:
		select {
		case c.incoming <- call:
		default:
			call.Refuse(CodeBusy, "busy")
		}
	case TypeAnswer, TypeRefuse:
		select {
		case call.answer <- m:
		default:
		}
		if m.Type == TypeRefuse {
			call.end(m.Reason)
		}
	case TypeBye:
		call.end(m.Reason)
	}
}

// newCall enters a call; c.mu is held.
func (c *Client) newCall(id, peer string) *Call {
	call := &Call{client: c, id: id, Peer: peer, answer: make(chan Message, 1), over: make(chan struct{})}
	c.calls[id] = call
	return call
}

func (call *Call) end(reason string) {
	call.reason = reason
	close(call.over)
}

// Call offers a call to a name and waits for the answer. The error is a
// *[RefusedError] where there is none.
func (c *Client) Call(ctx context.Context, to, offer string) (call *Call, answer string, err error) {
	c.mu.Lock()
	if c.calls == nil {
		c.mu.Unlock()
		return nil, "", errors.New("rendezvous: the connection has ended")
	}
	call = c.newCall(msrp.NewID(), to)
	c.mu.Unlock()
	// Not with ctx: canceled in the middle, it would end the whole connection.
	if err := write(context.Background(), c.c, Message{Type: TypeOffer, Call: call.id, To: to, SDP: offer}); err != nil {
		return nil, "", err
	}
	select {
	case m := <-call.answer:
		if m.Type == TypeRefuse {
			return nil, "", &RefusedError{m.Code, m.Reason}
		}
		return call, m.SDP, nil
	case <-call.over:
		refused := &RefusedError{CodeNobody, call.reason}
		select {
		case m := <-call.answer: // the refusal that ended it came as well
			if m.Type == TypeRefuse {
				refused.Code = m.Code
			}
		default:
		}
		return nil, "", refused
	case <-ctx.Done():
		call.Bye("canceled")
		return nil, "", context.Cause(ctx)
	}
}

// Answer accepts an incoming call.
func (call *Call) Answer(answer string) error {
	return write(context.Background(), call.client.c, Message{Type: TypeAnswer, Call: call.id, SDP: answer})
}

// Refuse declines an incoming call.
func (call *Call) Refuse(code int, reason string) error {
	return call.finish(Message{Type: TypeRefuse, Call: call.id, Code: code, Reason: reason})
}

// Bye ends a call.
func (call *Call) Bye(reason string) error {
	return call.finish(Message{Type: TypeBye, Call: call.id, Reason: reason})
}

func (call *Call) finish(m Message) error {
	c := call.client
	c.mu.Lock()
	_, open := c.calls[call.id]
	delete(c.calls, call.id)
	c.mu.Unlock()
	if !open {
		return nil
	}
	call.end(m.Reason)
	return write(context.Background(), c.c, m)
}

// Over is closed when the call has ended, by either side; Reason says why.
func (call *Call) Over() <-chan struct{} { return call.over }

// Reason returns why the call ended; it is valid once Over is closed.
func (call *Call) Reason() string { return call.reason }
