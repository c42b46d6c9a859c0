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

	// Browsers let a page close with 1000 and 3000 to 4999 only.
	closeNormal   = 1000
	closeProtocol = 3002
)

// A webSocket is the browser's WebSocket as a connection of whole messages, see
// web/socket.js.
type webSocket struct {
	socket  safejs.Value
	number  int32 // by which the functions of imports_js.go know it
	changed safejs.Func
	wake    chan struct{} // holds one if something has changed
	closed  chan struct{} // with Close
	close   sync.Once
	silent  func() // asks the relay for a sign of life
	buf     []byte // what ReadMessage returned
}

// dialWebSocket opens a WebSocket with the subprotocol msrp, unless canceled is
// closed before it is open.
func dialWebSocket(host safejs.Value, url string, canceled <-chan struct{}) (*webSocket, error) {
	w := &webSocket{wake: make(chan struct{}, 1), closed: make(chan struct{})}
	var err error
	w.changed, err = safejs.FuncOf(func(safejs.Value, []safejs.Value) any {
		select {
		case w.wake <- struct{}{}:
		default:
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if w.socket, err = host.Call("socket", url, w.changed); err != nil {
		w.changed.Release()
		return nil, fmt.Errorf("%q is not a WebSocket URL: %w", url, err)
	}
	socket := request{w.socket}
	w.number = int32(socket.num("number"))
	for !socket.flag("opened") {
		if socket.flag("over") {
			w.Close(nil)
			return nil, fmt.Errorf("no MSRP over WebSocket at %s: is the proxy running, does it let pages of this origin in, and does the page's Content-Security-Policy allow it?", url)
		}
		select {
		case <-w.wake:
		case <-canceled:
			w.Close(nil)
			return nil, msrp.ErrConnClosed
		}
	}
	if socket.str("protocol") != "msrp" {
		w.Close(nil)
		return nil, fmt.Errorf("the server at %s does not speak MSRP over WebSocket", url)
	}
	return w, nil
}

// failed returns why the connection is over, or nil.
func (w *webSocket) failed() error {
	select {
	case <-w.closed:
		return io.ErrClosedPipe
	default:
	}
	socket := request{w.socket}
	if !socket.flag("over") {
		return nil
	}
	code, reason := int(socket.num("code")), socket.str("reason")
	switch {
	case code == closeNormal || code == 1001:
		return io.EOF
	case code == 0:
		return errors.New(reason)
	case reason != "":
		return fmt.Errorf("the WebSocket was closed with %d: %s", code, reason)
	case code == 1006:
		return errors.New("the WebSocket broke off")
	}
	return fmt.Errorf("the WebSocket was closed with %d", code)
}

// ReadMessage implements msrp.MessageConn.
func (w *webSocket) ReadMessage() ([]byte, error) {
	for {
		if size := int(socketNext(w.number)); size >= 0 {
			if cap(w.buf) < size {
				w.buf = make([]byte, size)
			}
			w.buf = w.buf[:size]
			socketTake(w.number, pointer(w.buf))
			return w.buf, nil
		}
		if err := w.failed(); err != nil {
			return nil, err
		}
		select {
		case <-w.wake:
			if (request{w.socket}).flag("silent") {
				w.silent()
			}
		case <-w.closed:
		}
	}
}

// Kept implements msrp.Keeper: the bodies of long messages stay with the browser.
func (w *webSocket) Kept() msrp.Octets {
	number := socketKeep(w.number)
	if number == 0 {
		return nil
	}
	return kept(number)
}

// WriteMessage implements msrp.MessageConn. It waits while the browser holds
// too much that was not sent.
func (w *webSocket) WriteMessage(msg []byte) error {
	buffered := socketSend(w.number, pointer(msg), int32(len(msg)))
	if buffered > highWater {
		for buffered > lowWater {
			time.Sleep(pollEvery)
			buffered = socketBuffered(w.number)
		}
	}
	if buffered < 0 {
		return w.failed()
	}
	return nil
}

// Flush implements msrp.MessageConn: nothing is held back.
func (w *webSocket) Flush() error { return nil }

// Close implements msrp.MessageConn.
func (w *webSocket) Close(reason error) error {
	var err error
	w.close.Do(func() {
		code, text := closeNormal, ""
		var syntax *msrp.SyntaxError
		if errors.As(reason, &syntax) {
			code, text = closeProtocol, "MSRP protocol error"
		}
		_, err = w.socket.Call("close", code, text)
		w.changed.Release()
		close(w.closed)
	})
	return err
}
