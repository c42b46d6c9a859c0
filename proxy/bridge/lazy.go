package bridge

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	// bufferSize takes a whole chunk of 64 KiB with its header.
	bufferSize = 72 << 10
	// direct is from how many octets on reads do without a buffer, and from twice
	// as many on writes.
	direct = 16 << 10
)

// buffers are those of connections that have something in them at the moment.
// Most have not most of the time.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func takeBuffer() *[bufferSize]byte { return buffers.Get().(*[bufferSize]byte) }

// A lazy is a connection that is read and written in large steps, with buffers
// that it holds only as long as there is something in them.
type lazy struct {
	net.Conn
	raw syscall.RawConn // nil for one that does not tell whether there is something to read

	// Only the reader:
	in       *[bufferSize]byte // holds from..to, or nil
	from, to int
	tryRead  func(fd uintptr) bool
	waits    func() // is called when Read may have to wait, nil for nobody
	err      error  // of tryRead

	holding atomic.Uint32 // whether what is written is kept back until flush

	mu  sync.Mutex
	out *[bufferSize]byte // holds the first n octets, or nil
	n   int
}

func newLazy(c net.Conn) *lazy {
	l := &lazy{Conn: c, raw: rawConn(c)}
	l.tryRead = l.readIfReady
	return l
}

// rawConn returns what reads a connection without a goroutine's buffer waiting
// for it, or nil.
func rawConn(c net.Conn) syscall.RawConn {
	for {
		switch t := c.(type) {
		case *boundedConn:
			c = t.Conn
		case *net.TCPConn:
			if raw, err := t.SyscallConn(); err == nil && canReadRaw {
				return raw
			}
			return nil
		default:
			return nil
		}
	}
}

func (c *lazy) Read(p []byte) (int, error) {
	if c.in == nil {
		if c.raw == nil || len(p) >= direct {
			c.wait()
			return c.Conn.Read(p)
		}
		if err := c.raw.Read(c.tryRead); err != nil {
			return 0, err
		}
		if c.err != nil {
			return 0, c.err
		}
	}
	n := copy(p, c.in[c.from:c.to])
	if c.from += n; c.from == c.to {
		buffers.Put(c.in)
		c.in = nil
	}
	return n, nil
}

// readIfReady reads what there is, or returns false and is called again later.
func (c *lazy) readIfReady(fd uintptr) bool {
	b := takeBuffer()
	n, again, err := readRaw(fd, b[:])
	if n <= 0 {
		buffers.Put(b)
		if again {
			c.wait()
			return false
		}
		if c.err = err; err == nil {
			c.err = io.EOF
		}
		return true
	}
	c.in, c.from, c.to, c.err = b, 0, n, nil
	return true
}

func (c *lazy) wait() {
	if c.waits != nil {
		c.waits()
	}
}

// What holding is.
const (
	not uint32 = iota
	held
	never // again
)

// hold makes Write keep octets back until flush.
func (c *lazy) hold() { c.holding.CompareAndSwap(not, held) }

// release ends hold without flush, for good: the next Write takes all with it, and
// whoever writes at the same time cannot keep back what nobody would flush.
func (c *lazy) release() { c.holding.Store(never) }

func (c *lazy) isHeld() bool { return c.holding.Load() == held }

func (c *lazy) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil && (!c.isHeld() || len(p) >= 2*direct) {
		return c.write(p)
	}
	written := 0
	for rest := p; ; {
		if c.out == nil {
			c.out = takeBuffer()
		}
		n := copy(c.out[c.n:], rest)
		c.n += n
		written += n
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
		if err := c.empty(); err != nil {
			return written, err
		}
	}
	if !c.isHeld() {
		return written, c.empty()
	}
	return written, nil
}

// empty writes what was kept back; c.mu is held.
func (c *lazy) empty() error {
	if c.out == nil {
		return nil
	}
	_, err := c.write(c.out[:c.n])
	buffers.Put(c.out)
	c.out, c.n = nil, 0
	return err
}

// write writes; c.mu is held. What is short goes without the scheduler, as what
// is read does: its monitor wakes up at the first call after a pause that it
// knows of, and costs more than the call. It is to know of those that move much.
func (c *lazy) write(p []byte) (int, error) {
	if c.raw == nil || len(p) >= direct {
		return c.Conn.Write(p)
	}
	return c.writeRaw(p, false)
}

// writeRaw writes past the scheduler, with once only what goes at once.
func (c *lazy) writeRaw(p []byte, once bool) (int, error) {
	w := writes.Get().(*rawWrite)
	defer writes.Put(w)
	w.rest, w.err, w.once = p, nil, once
	err := c.raw.Write(w.try)
	if err == nil {
		err = w.err
	}
	n := len(p) - len(w.rest)
	w.rest = nil
	return n, err
}

// A rawWrite is under way. try writes what it can, or returns false and is called
// again later.
type rawWrite struct {
	rest []byte
	err  error
	once bool // what does not go at once is left
	try  func(fd uintptr) bool
}

var writes = sync.Pool{New: func() any {
	w := &rawWrite{}
	w.try = func(fd uintptr) bool {
		for len(w.rest) > 0 {
			n, again, err := writeRaw(fd, w.rest)
			if again {
				return w.once
			}
			if w.err = err; err != nil {
				return true
			}
			w.rest = w.rest[n:]
		}
		return true
	}
	return w
}}

// flush writes what was kept back.
func (c *lazy) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding.CompareAndSwap(held, not)
	return c.empty()
}

// ready reports whether 16 KiB can be written without waiting, which are held then
// until flush or tryFlush.
func (c *lazy) ready() bool {
	if c.raw == nil || !c.mu.TryLock() {
		return false // somebody writes, and may wait
	}
	defer c.mu.Unlock()
	c.hold()
	return c.n <= bufferSize/2
}

// tryFlush is flush that does not wait; done is false where something is left.
func (c *lazy) tryFlush() (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		n, err := c.writeRaw(c.out[:c.n], true)
		if err == nil && n < c.n {
			c.n = copy(c.out[:], c.out[n:c.n])
			return false, nil
		}
		buffers.Put(c.out)
		c.out, c.n = nil, 0
		if err != nil {
			return false, err
		}
	}
	c.holding.CompareAndSwap(held, not)
	return true, nil
}

// A hijacker gives a WebSocket a lazy connection in place of the buffers of
// net/http, 4 KiB each way.
type hijacker struct {
	http.ResponseWriter
	conn *lazy // after Hijack
	in   *bufio.Reader
}

// Hijack implements [http.Hijacker].
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = newLazy(c)
	if n := buffered.Reader.Buffered(); n > 0 { // a client that does not wait for the answer
		early, _ := buffered.Reader.Peek(n)
		h.conn.in = takeBuffer()
		h.conn.to = copy(h.conn.in[:], early)
	}
	// Frame headers have at most 14 octets.
	h.in = bufio.NewReaderSize(h.conn, 16)
	return h.conn, bufio.NewReadWriter(h.in, bufio.NewWriterSize(h.conn, 16)), nil
}

// unwrap makes the WebSocket read from conn again, in place of what Accept put
// before it: nothing that came early is in a buffer of h.
func (h *hijacker) unwrap() { h.in.Reset(h.conn) }
