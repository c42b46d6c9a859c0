//go:build js && wasm

package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
	"unsafe"

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
	socket           safejs.Value
	send, next, take safejs.Value // methods of it
	changed          safejs.Func
	wake             chan struct{} // holds one if something has changed
	closed           chan struct{} // with Close
	close            sync.Once
	silent           func() // asks the relay for a sign of life
	buf              []byte // what ReadMessage returned
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
	w.send, w.next, w.take = socket.get("send"), socket.get("next"), socket.get("take")
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
		size, err := integer(w.next.Invoke())
		if err != nil {
			return nil, err
		}
		if size >= 0 {
			if cap(w.buf) < size {
				w.buf = make([]byte, max(size, 80<<10))
			}
			w.buf = w.buf[:size]
			_, err := w.take.Invoke(address(w.buf))
			return w.buf, err
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

// WriteMessage implements msrp.MessageConn. It waits while the browser holds
// too much that was not sent.
func (w *webSocket) WriteMessage(msg []byte) error {
	buffered, err := integer(w.send.Invoke(address(msg), len(msg)))
	if buffered > highWater {
		for err == nil && buffered > lowWater {
			time.Sleep(pollEvery)
			buffered, err = integer(w.socket.Call("buffered"))
		}
	}
	if err == nil && buffered < 0 {
		err = w.failed()
	}
	return err
}

// address is where JavaScript finds the octets in memory, as long as it was
// called from here: they do not move then.
func address(b []byte) int {
	defer runtime.KeepAlive(b)
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}

func integer(v safejs.Value, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return v.Int()
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
