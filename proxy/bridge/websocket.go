package bridge

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/relay"
)

// Subprotocol is what both sides of a WebSocket must name (RFC 7977, section
// 4.1).
const Subprotocol = "msrp"

// maxHeader is how many octets of a message may be header, beside the body.
const maxHeader = 16 << 10

// DialWebSocket connects to a relay of RFC 7977, for native programs; chunk is
// the most octets of body it may send in one SEND. client makes the handshake,
// nil is http.DefaultClient.
func DialWebSocket(ctx context.Context, address string, chunk int, client *http.Client) (msrp.MessageConn, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	// Kamailio refuses a handshake without an Origin, ours one that is foreign.
	origin := strings.Replace(u.Scheme, "ws", "http", 1) + "://" + u.Host
	c, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		Subprotocols: []string{Subprotocol}, HTTPHeader: http.Header{"Origin": {origin}}, HTTPClient: client,
	})
	if err != nil {
		return nil, err
	}
	if c.Subprotocol() != Subprotocol {
		c.Close(websocket.StatusPolicyViolation, "the subprotocol is not msrp")
		return nil, errors.New("the server at " + address + " does not speak MSRP over WebSocket")
	}
	w := newWebSocket(c, nil, chunk)
	w.patience = time.Second
	return w, nil
}

// A webSocket carries MSRP messages, one in each of its own.
type webSocket struct {
	c    *websocket.Conn
	conn *lazy             // below c, nil for one that was dialled
	buf  []byte            // the message at hand
	lent *[bufferSize]byte // where it lies, unless it is larger, or nil
	// patience is how long Close waits for the close frame of the other side.
	// Programs that dial end soon afterwards, and have one to wait for.
	patience time.Duration

	// slow ends the connection where a message takes longer than messageTime.
	slow        *time.Timer // nil before the first that has to be waited for
	messageTime time.Duration
	within      bool   // a message; only the reader
	onWait      func() // is called before there is nothing to read, nil for nobody
	armed       bool   // slow runs

	turn  int         // of the keeper; its mutex guards it
	heard atomic.Bool // a message, since the latest ping

	once    sync.Once
	closing atomic.Bool
	broken  atomic.Bool // frames could not be read, or ended

	mu   sync.Mutex
	gone bool          // the connection, after Close
	over chan struct{} // closed then, nil before somebody waits for it
}

func newWebSocket(c *websocket.Conn, conn *lazy, chunk int) *webSocket {
	c.SetReadLimit(int64(chunk) + maxHeader)
	w := &webSocket{c: c, conn: conn, messageTime: messageTime}
	if conn != nil {
		conn.waits = w.wait
	}
	return w
}

// wait bounds how long the rest of a message may take, once for each that is
// not there at once.
func (w *webSocket) wait() {
	if w.closing.Load() {
		return // it may be Close that reads, which has a bound of its own
	}
	if w.onWait != nil {
		w.onWait()
	}
	if !w.within || w.armed {
		return
	}
	w.armed = true
	if w.slow == nil {
		w.slow = time.AfterFunc(w.messageTime, func() { w.c.CloseNow() })
	} else {
		w.slow.Reset(w.messageTime)
	}
}

// arrived ends what wait began.
func (w *webSocket) arrived() {
	w.within = false
	if w.armed {
		w.armed = false
		w.slow.Stop()
	}
}

// The calls that follow take no context of their own: one that can be canceled
// costs eight allocations a call, and Close ends them as well.
var background = context.Background()

// ReadMessage implements [msrp.MessageConn]. Text is taken as octets, as RFC
// 7977, section 5.1 has it: some relays send whatever is valid UTF-8 as text.
func (w *webSocket) ReadMessage() ([]byte, error) {
	w.giveBack() // no buffer is held while waiting
	_, r, err := w.c.Reader(background)
	if err != nil {
		return nil, w.ended(err)
	}
	return w.rest(r)
}

// rest reads the message that has begun. ReadMessage, where connections wait,
// takes less of their stacks without it.
//
//go:noinline
func (w *webSocket) rest(r io.Reader) ([]byte, error) {
	w.within = true
	defer w.arrived()
	if w.conn == nil {
		w.wait()
	}
	w.lent = takeBuffer()
	w.buf = w.lent[:0]
	for {
		if len(w.buf) == cap(w.buf) {
			w.buf = slices.Grow(w.buf, maxHeader)
		}
		n, err := r.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		if err == io.EOF {
			if w.closing.Load() {
				return nil, net.ErrClosed // nobody is to hear what follows
			}
			if !w.heard.Load() {
				w.heard.Store(true)
			}
			return w.buf, nil
		}
		if err != nil {
			return nil, w.ended(err)
		}
	}
}

func (w *webSocket) giveBack() {
	if w.lent != nil {
		buffers.Put(w.lent)
		w.lent, w.buf = nil, nil
	}
}

// ended makes io.EOF of an orderly end.
func (w *webSocket) ended(err error) error {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return io.EOF
	}
	w.broken.Store(true)
	return err
}

// WriteMessage implements [msrp.MessageConn]. MSRP is not always valid UTF-8,
// so every message is binary.
func (w *webSocket) WriteMessage(msg []byte) error {
	if w.conn != nil {
		w.conn.hold()
	}
	return w.c.Write(background, websocket.MessageBinary, msg)
}

// Flush implements [msrp.MessageConn].
func (w *webSocket) Flush() error {
	if w.conn == nil {
		return nil // nothing was held back
	}
	return w.conn.flush()
}

// A client is the transport of one that the relay serves.
type client struct {
	*msrp.Messages
	ws *webSocket
}

func newClient(w *webSocket) client { return client{msrp.NewMessages(w), w} }

// OnWait makes Receive call f before it waits for octets, and reports whether it
// can. The relay writes then.
func (c client) OnWait(f func()) bool {
	c.ws.onWait = f
	return c.ws.conn != nil && c.ws.conn.raw != nil
}

// Ready reports whether 16 KiB can be sent without waiting.
func (c client) Ready() bool { return c.ws.conn != nil && c.ws.conn.ready() }

// TryFlush is Flush that does not wait.
func (c client) TryFlush() (done bool, err error) { return c.ws.conn.tryFlush() }

// Close implements [msrp.MessageConn]. The closing handshake (RFC 6455, section
// 7.1.2) goes on behind it, for ten seconds at most: whoever closes many must
// not wait for each that is silent.
func (w *webSocket) Close(reason error) error {
	code, text := websocket.StatusNormalClosure, ""
	var syntax *msrp.SyntaxError
	if w.broken.Load() {
		code = websocket.StatusProtocolError // no MSRP either
	} else if errors.Is(reason, relay.ErrStopping) {
		code, text = websocket.StatusGoingAway, "the server stops"
	} else if errors.As(reason, &syntax) {
		// At most 123 octets fit into a close frame.
		code, text = websocket.StatusProtocolError, syntax.Error()
		text = text[:min(len(text), 120)]
	}
	w.once.Do(func() {
		w.closing.Store(true)
		go func() {
			if w.conn != nil {
				w.conn.release()
			}
			w.c.Close(code, text)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.gone = true
			if w.over != nil {
				close(w.over)
			}
		}()
	})
	if w.patience == 0 {
		return nil
	}
	select {
	case <-w.end():
	case <-time.After(w.patience):
	}
	return nil
}

// end returns what is closed with the connection, after Close.
func (w *webSocket) end() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over == nil {
		w.over = make(chan struct{})
		if w.gone {
			close(w.over)
		}
	}
	return w.over
}
