package msrp

import (
	"bufio"
	"io"
	"sync"
)

// A Transport carries units between this side and its neighbour, in order.
// [NewStream] makes one of a TCP or TLS connection, [NewMessages] of a
// WebSocket.
//
// Receive is called by one goroutine at a time, Send and Flush by one other,
// and Close by anyone at any time: it makes the others return.
type Transport interface {
	// Receive returns the next unit; its body is valid until the following
	// call.
	Receive() (*Unit, error)
	// Send takes one whole unit in wire form. It may hold it back until Flush,
	// blocks while the neighbour takes no more, and does not keep the slice.
	Send(unit []byte) error
	// Flush sends what Send held back.
	Flush() error
	// Close ends the transport; the reason, or nil for an orderly end, is for
	// those transports that can tell the neighbour.
	Close(reason error) error
}

// A Stream is a Transport over a connection that carries octets, such as TCP
// or TLS (RFC 4975, section 5.4).
type Stream struct {
	*Reader
	rwc io.ReadWriteCloser
	w   flusher
}

type flusher interface {
	io.Writer
	Flush() error
}

// NewStream returns the transport over rwc, which it closes when it is closed
// itself. One with a method Flush() error is taken to hold back itself what is
// written to it.
func NewStream(rwc io.ReadWriteCloser) *Stream {
	w, ok := rwc.(flusher)
	if !ok {
		w = bufio.NewWriterSize(rwc, 16<<10)
	}
	return &Stream{NewReader(rwc), rwc, w}
}

// Underlying returns what [NewStream] was given.
func (s *Stream) Underlying() io.ReadWriteCloser { return s.rwc }

// Receive implements [Transport].
func (s *Stream) Receive() (*Unit, error) { return s.Next() }

// Send implements [Transport].
func (s *Stream) Send(unit []byte) error {
	_, err := s.w.Write(unit)
	return err
}

// Flush implements [Transport].
func (s *Stream) Flush() error { return s.w.Flush() }

// Close implements [Transport].
func (s *Stream) Close(error) error { return s.rwc.Close() }

// A MessageConn is a connection that carries messages, such as a WebSocket
// with the subprotocol msrp. The rules of [Transport] for concurrent use hold.
type MessageConn interface {
	// ReadMessage returns the next message, valid until the following call. It
	// refuses messages beyond its own limit before it holds them.
	ReadMessage() ([]byte, error)
	// WriteMessage sends one message and does not keep the slice. It may hold
	// it back until Flush.
	WriteMessage([]byte) error
	Flush() error
	// Close ends the connection. A *[SyntaxError] as reason is the peer's
	// breach of protocol, close code 1002 of a WebSocket.
	Close(reason error) error
}

// A Keeper is a MessageConn that may leave the body of a message where it lies.
type Keeper interface {
	MessageConn
	// Kept returns what ReadMessage left out of the message that it returned
	// last, between the header and the end-line: all of the body, or nil. It is
	// called at most once for each message.
	Kept() Octets
}

// Octets are octets that lie outside of the program's memory, such as those that
// a browser has received. Whoever has them calls Load or Drop once.
type Octets interface {
	Len() int
	// Load returns them in memory.
	Load() []byte
	// Drop gives them up.
	Drop()
}

// Messages is a Transport over a connection that carries messages, each of
// which is exactly one unit (RFC 7977, section 5.1).
type Messages struct {
	c    MessageConn
	k    Keeper  // c, where it is one
	r    *Reader // parses the messages, nil with Reuse
	lent *Reader // with Reuse: what parsed the latest message
}

// readers are those of connections that reuse them, while a message is at hand:
// most connections are idle most of the time.
var readers = sync.Pool{New: func() any {
	r := NewReader(nil)
	r.Reuse()
	return r
}}

// Reuse does what [Reader.Reuse] does.
func (m *Messages) Reuse() { m.r = nil }

// NewMessages returns the transport over c, which it closes when it is closed
// itself.
func NewMessages(c MessageConn) *Messages {
	k, _ := c.(Keeper)
	return &Messages{c: c, k: k, r: new(Reader)}
}

// Receive implements [Transport].
func (m *Messages) Receive() (*Unit, error) {
	if m.lent != nil {
		m.lent.poison()
		readers.Put(m.lent)
		m.lent = nil
	}
	msg, err := m.c.ReadMessage()
	if err != nil {
		return nil, err
	}
	r := m.r
	if r == nil {
		m.lent = readers.Get().(*Reader)
		r = m.lent
	}
	u, err := r.Parse(msg)
	if err == nil && u.Body != nil {
		u.Body.keeper = m.k
	}
	return u, err
}

// Send implements [Transport].
func (m *Messages) Send(unit []byte) error { return m.c.WriteMessage(unit) }

// Flush implements [Transport].
func (m *Messages) Flush() error { return m.c.Flush() }

// Close implements [Transport].
func (m *Messages) Close(reason error) error { return m.c.Close(reason) }
