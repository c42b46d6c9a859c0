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
	// take returns the next n octets, valid while the mutex is held.
	take(n int) []byte
	// waiting reports whether another chunk is ready.
	waiting() bool
	// held returns how many octets of the body are known to be there.
	held() int64
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
	return newPump(o, m.Body, size), size
}

// memory is a body that never makes anyone wait.
type memory struct {
	o    *Outgoing
	body io.Reader
	left int
}

func (m *memory) start()                      { m.o.session.enqueue(m.o) }
func (m *memory) ready(limit int) (int, bool) { return min(limit, m.left), m.left <= limit }
func (m *memory) waiting() bool               { return true }
func (m *memory) held() int64                 { return int64(m.left) }

func (m *memory) stop() {
	m.left = 0
	close(m.o.released)
}

func (m *memory) take(n int) []byte {
	b := &m.o.session.outbox
	if cap(b.scratch) < n {
		b.scratch = make([]byte, n)
	}
	n, _ = io.ReadFull(m.body, b.scratch[:n])
	m.left -= n
	return b.scratch[:n]
}

// A pump reads a body in a goroutine of its own ahead of the connection, so
// that a slow reader holds up nobody else, and a fast one is not passed by
// another message between two chunks.
type pump struct {
	o    *Outgoing
	body io.Reader
	left int64 // octets of a known length still to come, or -1
	read int64 // octets put into chunks

	taken   *sync.Cond
	chunks  []readAhead // to be sent next
	stopped bool

	free [][]byte // buffers to be used again
}

// maxAhead is how many chunks of a message that has begun are read ahead.
const maxAhead = 2

// readAhead is a chunk that was read.
type readAhead struct {
	data []byte // what is left to send
	last bool
	buf  []byte // in which data lies
}

func newPump(o *Outgoing, body io.Reader, size int64) *pump {
	return &pump{o: o, body: body, left: size, taken: sync.NewCond(&o.session.mu)}
}

func (p *pump) start()        { go p.run() }
func (p *pump) waiting() bool { return len(p.chunks) > 0 }
func (p *pump) held() int64   { return p.read }

func (p *pump) ready(limit int) (n int, last bool) {
	next := &p.chunks[0]
	n = min(limit, len(next.data))
	return n, next.last && n == len(next.data)
}

func (p *pump) take(n int) []byte {
	next := &p.chunks[0]
	data := next.data[:n]
	if next.data = next.data[n:]; len(next.data) == 0 {
		p.free = append(p.free, next.buf)
		p.chunks = p.chunks[:copy(p.chunks, p.chunks[1:])]
	}
	p.taken.Signal()
	return data
}

func (p *pump) stop() {
	p.stopped = true
	p.chunks, p.free = nil, nil
	p.taken.Signal()
}

// run reads until the body ends. Where its length is not known, a chunk waits
// until it is clear whether another follows: only so the last one can say that
// it is.
func (p *pump) run() {
	defer close(p.o.released)
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
	limit := s.remote.ChunkSize
	var buf []byte
	if n := len(p.free); n > 0 {
		buf, p.free = p.free[n-1], p.free[:n-1]
	}
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
		m, err := p.body.Read(buf[n:])
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
	return len(p.chunks) == 0
}

// put hands a chunk to the connection once it has taken the one before, and
// reports whether the message goes on.
func (p *pump) put(chunk []byte, last bool) bool {
	s := p.o.session
	s.mu.Lock()
	defer s.unlock()
	for !p.stopped && (len(p.chunks) == maxAhead || len(p.chunks) > 0 && p.o.offset == 0) {
		p.taken.Wait()
	}
	if p.stopped {
		return false
	}
	p.read += int64(len(chunk))
	if limit := s.remote.MaxSize; limit > 0 && p.o.size < 0 && p.read > limit {
		s.failMessage(p.o, ErrMessageTooLarge)
		return false
	}
	p.chunks = append(p.chunks, readAhead{chunk, last, chunk})
	s.enqueue(p.o)
	return true
}

func (p *pump) fail(err error) {
	s := p.o.session
	s.mu.Lock()
	defer s.unlock()
	s.failMessage(p.o, fmt.Errorf("msrp: reading the body: %w", err))
}
