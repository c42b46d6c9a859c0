//go:build js && wasm

package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hack-pad/safejs"

	"github.com/webmsrp/webmsrp/msrp"
)

const (
	// Octets that the browser may hold for sending: more only delays what
	// comes after them. There is no event for the falling, so it is polled.
	highWater = 1 << 20
	lowWater  = 256 << 10
	pollEvery = 4 * time.Millisecond

	// maxReceived is how many octets may wait here to be read. The relay keeps
	// to a window that is far below.
	maxReceived = 16 << 20

	// Browsers let a page close with 1000 and 3000 to 4999 only.
	closeNormal   = 1000
	closeProtocol = 3002
)

// A webSocket is the browser's WebSocket as a connection of whole messages.
type webSocket struct {
	ws    safejs.Value
	stage safejs.Value // a Uint8Array to copy into, used again each time
	size  int          // of stage

	listeners []listener

	mu      sync.Mutex
	arrived *sync.Cond
	queue   [][]byte
	waiting int // octets in queue
	free    [][]byte
	last    []byte // what ReadMessage returned
	err     error
}

type listener struct {
	event string
	f     safejs.Func
}

// dialWebSocket opens a WebSocket with the subprotocol msrp, unless canceled is
// closed before it is open.
func dialWebSocket(url string, canceled <-chan struct{}) (*webSocket, error) {
	constructor, err := safejs.Global().Get("WebSocket")
	if err != nil {
		return nil, err
	}
	ws, err := constructor.New(url, "msrp")
	if err != nil {
		return nil, fmt.Errorf("%q is not a WebSocket URL: %w", url, err)
	}
	w := &webSocket{ws: ws}
	w.arrived = sync.NewCond(&w.mu)
	if err := ws.Set("binaryType", "arraybuffer"); err != nil {
		return nil, err
	}
	opened := make(chan error, 1)
	isOpen := false
	end := func(err error) {
		if !isOpen {
			err = fmt.Errorf("no MSRP over WebSocket at %s: is the proxy running, does it let pages of this origin in, and does the page's Content-Security-Policy allow it?", url)
		}
		select {
		case opened <- err:
		default:
		}
		w.end(err)
	}
	err = errors.Join(
		w.listen("open", func(request) {
			isOpen = true
			opened <- nil
		}),
		w.listen("message", func(event request) { w.receive(event.get("data")) }),
		w.listen("error", func(request) {
			// No close follows where a Content-Security-Policy forbids to connect.
			if !isOpen {
				end(nil)
			}
		}),
		w.listen("close", func(event request) { end(closeError(int(event.num("code")), event.str("reason"))) }),
	)
	if err != nil {
		w.Close(nil)
		return nil, err
	}
	select {
	case err := <-opened:
		if err != nil {
			return nil, err
		}
	case <-canceled:
		w.Close(nil)
		return nil, msrp.ErrConnClosed
	}
	if protocol := (request{ws}).str("protocol"); protocol != "msrp" {
		w.Close(nil)
		return nil, fmt.Errorf("the server at %s does not speak MSRP over WebSocket", url)
	}
	return w, nil
}

// listen adds a listener that end removes.
func (w *webSocket) listen(event string, handle func(request)) error {
	f, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		if len(args) == 1 {
			handle(request{args[0]})
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.listeners = append(w.listeners, listener{event, f})
	_, err = w.ws.Call("addEventListener", event, f)
	return err
}

func closeError(code int, reason string) error {
	switch {
	case code == closeNormal || code == 1001:
		return io.EOF
	case reason != "":
		return fmt.Errorf("the WebSocket was closed with %d: %s", code, reason)
	case code == 1006:
		return errors.New("the WebSocket broke off")
	}
	return fmt.Errorf("the WebSocket was closed with %d", code)
}

// receive takes the data of a message event: an ArrayBuffer, or a string where
// the sender thought that it was text.
func (w *webSocket) receive(data safejs.Value) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	var buf []byte
	if n := len(w.free); n > 0 {
		buf, w.free = w.free[n-1][:0], w.free[:n-1]
	}
	if data.Type() == safejs.TypeString {
		s, _ := data.String()
		buf = append(buf, s...)
	} else {
		array, err := uint8Array.New(data)
		if err == nil {
			buf, err = toGo(buf, array)
		}
		if err != nil {
			w.fail(err)
			return
		}
	}
	w.queue = append(w.queue, buf)
	if w.waiting += len(buf); w.waiting > maxReceived {
		w.fail(errors.New("the relay sends faster than it is allowed to"))
	}
	w.arrived.Signal()
}

// ReadMessage implements msrp.MessageConn.
func (w *webSocket) ReadMessage() ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last != nil && len(w.free) < 4 {
		w.free = append(w.free, w.last)
	}
	w.last = nil
	for len(w.queue) == 0 {
		if w.err != nil {
			return nil, w.err
		}
		w.arrived.Wait()
	}
	w.last = w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	w.waiting -= len(w.last)
	return w.last, nil
}

// WriteMessage implements msrp.MessageConn. It waits while the browser holds
// too much that was not sent.
func (w *webSocket) WriteMessage(msg []byte) error {
	if w.size < len(msg) {
		w.size = max(len(msg), 80<<10)
		var err error
		if w.stage, err = uint8Array.New(w.size); err != nil {
			return err
		}
	}
	if buffered := w.bufferedAmount(); buffered > highWater {
		for buffered > lowWater && w.failed() == nil {
			time.Sleep(pollEvery)
			buffered = w.bufferedAmount()
		}
	}
	if err := w.failed(); err != nil {
		return err
	}
	if _, err := safejs.CopyBytesToJS(w.stage, msg); err != nil {
		return err
	}
	view, err := w.stage.Call("subarray", 0, len(msg))
	if err != nil {
		return err
	}
	_, err = w.ws.Call("send", view)
	return err
}

func (w *webSocket) bufferedAmount() int64 { return request{w.ws}.num("bufferedAmount") }

func (w *webSocket) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Flush implements msrp.MessageConn: nothing is held back.
func (w *webSocket) Flush() error { return nil }

// Close implements msrp.MessageConn.
func (w *webSocket) Close(reason error) error {
	code, text := closeNormal, ""
	var syntax *msrp.SyntaxError
	if errors.As(reason, &syntax) {
		code, text = closeProtocol, "MSRP protocol error"
	}
	_, err := w.ws.Call("close", code, text)
	w.end(io.ErrClosedPipe)
	return err
}

// end is the one place where the connection ends. The listeners hold memory on
// both sides of the border until they are released.
func (w *webSocket) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail(err)
	for _, l := range w.listeners {
		w.ws.Call("removeEventListener", l.event, l.f)
		l.f.Release()
	}
	w.listeners = nil
}

func (w *webSocket) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.arrived.Broadcast()
}
