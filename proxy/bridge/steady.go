package bridge

import (
	"io"
	"net"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
)

const (
	// patience is for how long octets of a request may be missing, in all, and
	// each of minRate that comes gives a second back: whoever lets them drip
	// does not hold a connection for ever. Between requests there is no bound.
	patience = 30 * time.Second
	minRate  = 1 << 10 // octets a second

	// messageTime is how long a WebSocket message may take from its first frame
	// to its last octet. It is small, and a client is no faster by dripping.
	messageTime = time.Minute
)

// A stream is the transport over TCP and TLS.
type stream struct {
	*msrp.Stream
	c *steady
}

func newStream(c net.Conn) *stream {
	s := &steady{Conn: c, out: newLazy(c), patience: patience}
	s.tryRead = s.readIfReady
	keepShort(c)
	return &stream{msrp.NewStream(s), s}
}

// OnWait makes Receive call f before it waits for octets, and reports whether it
// can. The relay writes then.
func (s *stream) OnWait(f func()) bool {
	s.c.onWait = f
	return s.c.out.raw != nil
}

// Ready reports whether 16 KiB can be sent without waiting.
func (s *stream) Ready() bool { return s.c.out.ready() }

// TryFlush is Flush that does not wait.
func (s *stream) TryFlush() (done bool, err error) { return s.c.out.tryFlush() }

// Receive implements [msrp.Transport].
func (s *stream) Receive() (*msrp.Unit, error) {
	s.c.within = false
	return s.Stream.Receive()
}

// steady is a connection that must go on with what it has begun.
type steady struct {
	net.Conn
	out      *lazy // writes to Conn
	patience time.Duration

	// Only the reader:
	within bool // a request, or a response
	armed  bool // there is a deadline
	left   time.Duration
	// Where out is raw: what is read, and what came of it.
	p       []byte
	n       int
	err     error
	tryRead func(fd uintptr) bool
	onWait  func() // is called before there is nothing to read, nil for nobody
}

func (c *steady) Read(p []byte) (int, error) {
	if !c.within {
		if c.armed {
			c.armed = false
			c.SetReadDeadline(time.Time{})
		}
		n, err := c.read(p)
		c.within, c.left = n > 0, c.patience
		return n, err
	}
	// The time in which nobody reads is not the neighbour's fault.
	start := time.Now()
	c.armed = true
	c.SetReadDeadline(start.Add(c.left))
	n, err := c.read(p)
	c.left = min(c.patience, c.left-time.Since(start)+time.Duration(n)*time.Second/minRate)
	return n, err
}

// Write keeps octets back until Flush.
func (c *steady) Write(p []byte) (int, error) {
	c.out.hold()
	return c.out.Write(p)
}

func (c *steady) Flush() error { return c.out.flush() }

// read reads as lazy does.
func (c *steady) read(p []byte) (int, error) {
	if c.out.raw == nil || len(p) == 0 {
		return c.Conn.Read(p)
	}
	c.p, c.n, c.err = p, 0, nil
	err := c.out.raw.Read(c.tryRead)
	c.p = nil
	if err == nil {
		err = c.err
	}
	return c.n, err
}

func (c *steady) readIfReady(fd uintptr) bool {
	var again bool
	c.n, again, c.err = readRaw(fd, c.p)
	if again && c.onWait != nil {
		c.onWait()
	}
	if c.n <= 0 {
		c.n = 0
		if !again && c.err == nil {
			c.err = io.EOF
		}
	}
	return !again
}
