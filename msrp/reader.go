package msrp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unsafe"
)

// Bounds on what a peer can make a reader hold, in octets. RFC 4975 sets none.
const (
	maxStartLine   = 1024
	maxHeaderLine  = 16 << 10
	maxHeaderLines = 64
	maxHead        = 64 << 10 // start line and all header lines

	minBuffer = 4 << 10
	maxBuffer = 72 << 10 // takes a chunk of 64 KiB
)

// A Reader cuts octets into requests and responses (RFC 4975, section 7). The
// result does not depend on how a stream was split into reads. It is not safe
// for concurrent use.
type Reader struct {
	r    io.Reader
	buf  []byte
	from int // buf[from:to] was read and not used yet
	to   int
	err  error // what r said, for when buf is used up

	last  *Body // of the latest unit, or nil
	lines []int // start and end of the header lines at hand

	reuse *Unit  // with Reuse: what every call fills
	head  []byte // with Reuse: where its strings lie
	paths *[2]lastPath
}

// NewReader returns a reader of the stream r; nil is fine for a reader that
// only serves [Reader.Parse]. It holds a buffer of 4 KiB, which grows to 72 KiB
// while large bodies pass.
func NewReader(r io.Reader) *Reader {
	rd := &Reader{r: r}
	if r == nil {
		rd.err = io.EOF
	}
	return rd
}

// Reuse makes the reader return the same Unit every time, with strings that
// the following call overwrites. This is for relays, which are done with one
// unit before they take the next: nothing is allocated then.
func (r *Reader) Reuse() { r.reuse, r.paths = new(Unit), new([2]lastPath) }

// Next returns the next request or response of the stream as soon as its
// header is complete. What was left unread of the body before is dropped.
//
// A unit that breaks a rule but can be told from the next comes with
// [Unit.Invalid] set. The error is io.EOF where the stream ends between units
// and io.ErrUnexpectedEOF where it ends within one. A *[SyntaxError] is fatal:
// the stream cannot be read on.
func (r *Reader) Next() (*Unit, error) {
	if r.last != nil {
		if err := r.last.drain(); err != nil {
			return nil, err
		}
		r.last = nil
	}
	u, hasBody, err := r.readHead()
	if err != nil {
		return nil, err
	}
	if hasBody {
		u.body = Body{r: r, unit: u}
		u.body.setEnd(u.TransactionID)
		u.Body = &u.body
		r.last = u.Body
	}
	return u, nil
}

// Parse returns the one request or response that msg holds, as a WebSocket
// message does (RFC 7977, section 5.1). Anything else in msg, nothing at all
// and a missing end-line included, is a *[SyntaxError]. The body of the unit
// lies in msg.
func (r *Reader) Parse(msg []byte) (*Unit, error) {
	whole := Reader{buf: msg, to: len(msg), err: io.EOF, lines: r.lines, reuse: r.reuse, head: r.head, paths: r.paths}
	u, hasBody, err := whole.readHead()
	r.lines, r.head = whole.lines, whole.head
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = &SyntaxError{Offset: len(msg), Expected: "a whole request or response", Fatal: true}
	}
	if err != nil {
		return nil, err
	}
	rest := msg[whole.from:]
	if hasBody {
		u.body = Body{unit: u}
		u.body.setEnd(u.TransactionID)
		u.Body = &u.body
		if !u.body.cut(rest) {
			return nil, &SyntaxError{Offset: len(msg), Expected: "the end-line, and nothing after it", Fatal: true}
		}
	} else if len(rest) > 0 {
		return nil, &SyntaxError{Offset: whole.from, Expected: "nothing after the end-line", Got: clip(rest), Fatal: true}
	}
	return u, nil
}

// clip makes an excerpt of octets for an error.
func clip(b []byte) string { return string(b[:min(len(b), 60)]) }

// readHead reads up to the empty line, or to the end-line where there is none.
func (r *Reader) readHead() (u *Unit, hasBody bool, err error) {
	startLen, err := r.line(0, maxStartLine, true)
	if err == errTooLong {
		return r.overlongStart()
	}
	if err != nil {
		return nil, false, err
	}
	start := r.reuse
	if start == nil {
		start = new(Unit)
	} else {
		r.poison()
	}
	*start = Unit{}
	if e := start.parseStartLine(view(r.buf[r.from : r.from+startLen])); e != nil {
		return nil, false, clone(e)
	}
	var storage [len(hyphens) + 32]byte
	end := append(append(storage[:0], hyphens...), start.TransactionID...)

	r.lines = r.lines[:0]
	at := startLen + 2
	var flag Flag
	for {
		n, err := r.line(at, maxHeaderLine, false)
		if err == errTooLong || err == nil && at > maxHead || len(r.lines) > 2*maxHeaderLines {
			return r.overlongHead(start, startLen, at, end)
		}
		if err != nil {
			return nil, false, noEOF(err)
		}
		line := r.buf[r.from+at : r.from+at+n]
		if n == 0 {
			hasBody = true
			break
		}
		if flag = endFlag(line, end); flag != 0 {
			break
		}
		r.lines = append(r.lines, at, at+n)
		at += n + 2
	}
	u = r.parseHead(start, startLen, at, hasBody)
	u.Flag = flag
	r.from += at
	if hasBody {
		r.from += 2
	} else {
		r.from += len(end) + 3
	}
	return u, hasBody, nil
}

// parseHead makes u of the lines found by readHead in the first length octets of
// the buffer.
func (r *Reader) parseHead(u *Unit, startLen, length int, hasBody bool) *Unit {
	section := r.buf[r.from : r.from+length]
	var text string
	if r.reuse != nil {
		r.head = append(r.head[:0], section...)
		text = view(r.head)
	} else {
		text = string(section)
	}
	u.rebase(text[:startLen])
	u.head = length
	u.Header = u.fields[:0]
	h := headParser{unit: u, last: r.paths}
	for i := 0; i < len(r.lines); i += 2 {
		h.line(r.lines[i], text[r.lines[i]:r.lines[i+1]])
	}
	h.finish(length, hasBody)
	if len(r.lines) > 4 && !h.unusual {
		u.lines = text[r.lines[4]:length]
	}
	return u
}

// overlongStart gives up a start line that exceeds its bound. With the
// transaction ID the unit's end can be found, and a relay may have made the line
// longer than its author did; without one the stream is lost.
func (r *Reader) overlongStart() (*Unit, bool, error) {
	tooLong := &SyntaxError{Expected: "a start line of at most 1024 octets", Got: clip(r.buf[r.from:r.to])}
	protocol, rest, _ := strings.Cut(string(r.buf[r.from:r.from+maxStartLine]), " ")
	tid, _, _ := strings.Cut(rest, " ")
	if protocol != "MSRP" || !isIdent(tid) {
		tooLong.Fatal = true
		return nil, false, tooLong
	}
	return r.skipHead(&Unit{TransactionID: tid, Invalid: tooLong}, []byte(hyphens+tid))
}

// overlongHead gives up the header at its octet at, where it exceeds a bound.
// Where the paths are known by then the unit can be answered. It is never the
// end of the stream: each relay on the way makes From-Path longer.
func (r *Reader) overlongHead(u *Unit, startLen, at int, end []byte) (*Unit, bool, error) {
	tooLong := &SyntaxError{Offset: at, Expected: "a header within the limits", Got: clip(r.buf[r.from+at : r.to])}
	r.parseHead(u, startLen, at, true)
	if u.Invalid == nil || u.Invalid.Offset >= at {
		u.Invalid = tooLong
	}
	r.from += at
	return r.skipHead(u, end)
}

// skipHead reads up to the body of u, or to its end-line, and keeps nothing.
func (r *Reader) skipHead(u *Unit, end []byte) (*Unit, bool, error) {
	for midLine := false; ; {
		n, err := r.line(0, maxHeaderLine, false)
		if err == errTooLong {
			r.from += maxHeaderLine // no line ends before
			midLine = true
			continue
		}
		if err != nil {
			return nil, false, noEOF(err)
		}
		line := r.buf[r.from : r.from+n]
		r.from += n + 2
		if !midLine {
			if n == 0 {
				return u, true, nil
			}
			if u.Flag = endFlag(line, end); u.Flag != 0 {
				return u, false, nil
			}
		}
		midLine = false
	}
}

// endFlag returns the flag where line is the end-line that starts with end, or 0.
func endFlag(line, end []byte) Flag {
	if len(line) == len(end)+1 && isFlag(line[len(end)]) && bytes.HasPrefix(line, end) {
		return Flag(line[len(end)])
	}
	return 0
}

// errTooLong is what line says of a line beyond its limit.
var errTooLong = errors.New("line too long")

// line returns the length, without its CRLF, of the line that starts at octets
// behind r.from. Only CRLF ends a line; with strict, a bare LF is an error at
// once, because whoever sends it would wait forever for an answer.
func (r *Reader) line(at, limit int, strict bool) (int, error) {
	for scanned := at; ; {
		window := r.buf[r.from+scanned : r.to]
		if i := bytes.IndexByte(window, '\n'); i >= 0 {
			i += scanned
			if i-at > limit+2 {
				return 0, errTooLong // as where the stream was split before
			}
			if i > at && r.buf[r.from+i-1] == '\r' {
				if i-1-at > limit {
					return 0, errTooLong
				}
				return i - 1 - at, nil
			}
			if strict {
				return 0, &SyntaxError{Offset: i, Expected: "CRLF", Got: "\n", Fatal: true}
			}
			scanned = i + 1
			continue
		}
		scanned += len(window)
		if scanned-at > limit+2 {
			return 0, errTooLong
		}
		if err := r.fill(); err != nil {
			if err == io.EOF && r.from < r.to {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
}

// fill reads more octets into the buffer, moving what is there to its start or
// enlarging it where there is no room.
func (r *Reader) fill() error {
	if r.err != nil {
		return r.err
	}
	if room := len(r.buf) - r.to; r.from > 0 && (r.from == r.to || room < len(r.buf)/2) {
		copy(r.buf, r.buf[r.from:r.to])
		r.from, r.to = 0, r.to-r.from
	}
	if r.to == len(r.buf) {
		r.grow()
	}
	for range 100 {
		n, err := r.r.Read(r.buf[r.to:])
		r.to += n
		r.err = err
		if n > 0 {
			if r.to == len(r.buf) && len(r.buf) < maxBuffer {
				r.grow() // the stream outruns the buffer
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
	r.err = io.ErrNoProgress
	return r.err
}

func (r *Reader) grow() {
	size := max(minBuffer, 2*len(r.buf))
	if len(r.buf) < maxBuffer {
		size = min(size, maxBuffer)
	}
	bigger := make([]byte, size)
	copy(bigger, r.buf[:r.to])
	r.buf = bigger
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// view returns b as a string without copying it; b must not change while the
// string is in use.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func clone(e *SyntaxError) *SyntaxError {
	e.Got = string(append([]byte(nil), e.Got...))
	return e
}
