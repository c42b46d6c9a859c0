package msrp

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// A source hands out the body of a message in chunks. Its methods are called
// with the mutex of the session held.
type source interface {
	// start enters the message among those that can send, now or as soon as
	// there is something to send.
	start()
	// ready returns how many octets the next chunk has and whether it is the
	// last.
	ready(limit int) (n int, last bool)
	// take returns the next n octets, valid until the following call.
	take(n int) []byte
	// waiting reports whether another chunk is ready.
	waiting() bool
	stop()
}

// newSource returns the source of a message and its length, -1 if unknown.
func newSource(o *Outgoing) (source, int64) {
	m := &o.message
	switch body := m.Body.(type) {
	case nil:
		return &memory{o: o}, 0
	case *strings.Reader:
		return &memory{o: o, body: body, left: body.Len()}, int64(body.Len())
	case *bytes.Reader:
		return &memory{o: o, body: body, left: body.Len()}, int64(body.Len())
	case *bytes.Buffer:
		return &memory{o: o, body: body, left: body.Len()}, int64(body.Len())
	}
	size := m.Size
	if size <= 0 {
		size = -1
	}
	return newPump(o, size), size
}

// memory is a body that never makes anyone wait.
type memory struct {
	o    *Outgoing
	body io.Reader
	left int
	buf  []byte
}

func (m *memory) start()                      { m.o.session.enqueue(m.o) }
func (m *memory) ready(limit int) (int, bool) { return min(limit, m.left), m.left <= limit }
func (m *memory) waiting() bool               { return true }
func (m *memory) stop()                       { m.left = 0 }

func (m *memory) take(n int) []byte {
	if cap(m.buf) < n {
		m.buf = make([]byte, n)
	}
	n, _ = io.ReadFull(m.body, m.buf[:n])
	m.left -= n
	return m.buf[:n]
}

// A pump reads a body in a goroutine of its own, one chunk ahead of the
// connection, so that a slow reader holds up nobody else.
type pump struct {
	o    *Outgoing
	left int64 // octets of a known length still to come, or -1

	taken   *sync.Cond
	chunk   []byte // to be sent next; nil while there is none
	last    bool
	stopped bool

	sent, free []byte // buffers: of the latest chunk, and to be used again
}

func newPump(o *Outgoing, size int64) *pump {
	return &pump{o: o, left: size, taken: sync.NewCond(&o.session.mu)}
}

func (p *pump) start()                { go p.run() }
func (p *pump) ready(int) (int, bool) { return len(p.chunk), p.last }
func (p *pump) waiting() bool         { return p.chunk != nil }

func (p *pump) take(int) []byte {
	p.sent, p.free = p.chunk, p.sent
	p.chunk = nil
	p.taken.Signal()
	return p.sent
}

func (p *pump) stop() {
	p.stopped = true
	p.chunk = nil
	p.taken.Signal()
}

// run reads until the body ends. Where its length is not known, a chunk waits
// until it is clear whether another follows: only so the last one can say that
// it is.
func (p *pump) run() {
	var held []byte
	for {
		chunk, err := p.fill()
		switch {
		case err == io.EOF && p.left > 0:
			err = io.ErrUnexpectedEOF
		case err == io.EOF && p.left < 0 && len(chunk) == 0 && held != nil:
			p.put(held, true)
			return
		}
		if err != nil && err != io.EOF {
			p.fail(err)
			return
		}
		if held != nil && !p.put(held, false) {
			return
		}
		held = nil
		switch {
		case p.left == 0 || err == io.EOF:
			p.put(chunk, true)
			return
		case p.left > 0:
			if !p.put(chunk, false) {
				return
			}
		default:
			held = chunk
		}
	}
}

// fill reads the next chunk: at least what a chunk should have, and as much as
// it may have while the connection is busy anyway.
func (p *pump) fill() ([]byte, error) {
	s := p.o.session
	s.mu.Lock()
	limit, buf := s.remote.ChunkSize, p.free
	p.free = nil
	s.mu.Unlock()
	if limit == 0 {
		limit = defaultChunkSize
	}
	if cap(buf) < limit {
		buf = make([]byte, limit)
	}
	if p.left >= 0 {
		limit = int(min(int64(limit), p.left))
	}
	buf = buf[:limit]
	n, idle := 0, 0
	for n < limit && (n < minChunk || !p.wanted()) {
		m, err := p.o.message.Body.Read(buf[n:])
		n += m
		if p.left > 0 {
			p.left -= int64(m)
		}
		if err != nil {
			return buf[:n], err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return buf[:n], io.ErrNoProgress
		}
	}
	return buf[:n], nil
}

// wanted reports whether the connection could send a chunk now.
func (p *pump) wanted() bool {
	p.o.session.mu.Lock()
	defer p.o.session.mu.Unlock()
	return p.chunk == nil
}

// put hands a chunk to the connection once it has taken the one before, and
// reports whether the message goes on.
func (p *pump) put(chunk []byte, last bool) bool {
	s := p.o.session
	s.mu.Lock()
	defer s.unlock()
	for p.chunk != nil && !p.stopped {
		p.taken.Wait()
	}
	if p.stopped {
		return false
	}
	if limit := s.remote.MaxSize; limit > 0 && p.o.offset+int64(len(chunk)) > limit {
		s.failMessage(p.o, ErrMessageTooLarge)
		return false
	}
	p.chunk, p.last = chunk, last
	s.enqueue(p.o)
	return true
}

func (p *pump) fail(err error) {
	s := p.o.session
	s.mu.Lock()
	defer s.unlock()
	s.failMessage(p.o, fmt.Errorf("msrp: reading the body: %w", err))
}
