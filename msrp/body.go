package msrp

import (
	"bytes"
	"io"
)

// A Body streams the body of a request in pieces as they arrive. It is valid
// until the following call of its reader's Next or Parse, and not safe for
// concurrent use.
type Body struct {
	r      *Reader // nil where the whole body is in data
	unit   *Unit
	data   []byte // with r nil: what is left of it
	keeper Keeper // has the body instead of data, or nil
	rest   []byte // of the latest piece, not yet Read
	err    error
	tap    func([]byte) // sees every piece once, or nil

	begun bool // octets were passed on: the first CRLF counts from here
	n     int
	end   [2 + len(hyphens) + 32]byte // CRLF and end-line up to the flag
}

func (b *Body) setEnd(transactionID string) {
	b.n = copy(b.end[:], "\r\n"+hyphens)
	b.n += copy(b.end[b.n:], transactionID)
}

// Next returns the next octets of the body in memory that the following call
// overwrites, at least one, or io.EOF after the last. Then the unit's Flag is
// set.
func (b *Body) Next() ([]byte, error) {
	if len(b.rest) > 0 {
		piece := b.rest
		b.rest = nil
		return piece, nil
	}
	piece, err := b.next()
	if b.tap != nil {
		b.tap(piece)
	}
	return piece, err
}

func (b *Body) next() ([]byte, error) {
	if kept := b.kept(); kept != nil {
		b.data = kept.Load()
	}
	if len(b.data) > 0 {
		piece := b.data
		b.data = nil
		return piece, nil
	}
	if b.r == nil && b.err == nil {
		b.err = io.EOF
	}
	for b.err == nil {
		window := b.r.buf[b.r.from:b.r.to]
		n, endLen := b.find(window)
		if n > 0 {
			b.begun = true
			b.r.from += n
			return window[:n], nil
		}
		if endLen > 0 {
			b.unit.Flag = Flag(window[endLen-3])
			b.r.from += endLen
			b.err = io.EOF
			break
		}
		b.err = noEOF(b.r.fill())
	}
	return nil, b.err
}

// kept returns the body once where it is kept outside of memory, or nil.
func (b *Body) kept() Octets {
	k := b.keeper
	if k == nil {
		return nil
	}
	b.keeper = nil
	return k.Kept()
}

// Take returns the next n octets of the body in one piece, which the following
// call overwrites, or all that is left where that is less. For as long it waits,
// and until it is known whether more follows: last is set where nothing does, as
// is the unit's Flag. No piece exceeds 64 KiB. It is for relays, which make a
// request of each piece, and does not mix with Next and Read.
func (b *Body) Take(n int) (piece []byte, last bool, err error) {
	n = min(n, maxTake)
	if kept := b.kept(); kept != nil {
		b.data = kept.Load()
	}
	if b.r == nil {
		n = min(n, len(b.data))
		piece, b.data = b.data[:n:n], b.data[n:]
		return piece, len(b.data) == 0, nil
	}
	known := 0 // octets ahead that are body for certain
	for b.err == nil {
		window := b.r.buf[b.r.from:b.r.to]
		var endLen int
		known, endLen = b.ahead(window, known)
		switch {
		case endLen > 0 && known <= n:
			b.unit.Flag = Flag(window[known+endLen-3])
			b.r.from += known + endLen
			b.err = io.EOF
			return window[:known], true, nil
		case known > n:
			b.begun = true
			b.r.from += n
			return window[:n], false, nil
		}
		b.err = noEOF(b.r.fill())
	}
	return nil, false, b.err
}

// maxTake is the most octets that fit into a reader's buffer beside the octets
// that tell whether the body goes on.
const maxTake = 64 << 10

// ahead finds how many octets of window are body, known of which are so for
// certain, and the length of the end-line behind them where it is there whole.
// Byte-Range is no help: who wrote it, and what else is in the body, need not be
// the one who framed it.
func (b *Body) ahead(window []byte, known int) (n, endLen int) {
	b.begun = b.begun || known > 0
	n, endLen = b.find(window[known:])
	if n > 0 {
		b.begun = true
		endLen, _ = matchEnd(window[known+n:], b.end[:b.n])
	}
	return known + n, endLen
}

// Read implements io.Reader over Next.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	piece, err := b.Next()
	if err != nil {
		return 0, err
	}
	n := copy(p, piece)
	b.rest = piece[n:]
	return n, nil
}

func (b *Body) drain() error {
	for {
		if _, err := b.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// find looks for the end-line in window: n octets before it, or before what may
// turn out to be one, are body. endLen is its length where n is 0 and it is
// there whole.
//
// The end-line counts only behind CRLF, or as the first thing of the body, and
// only if whole: seven hyphens, this transaction ID, a flag and CRLF. All else
// is body (RFC 4975, section 7.1).
func (b *Body) find(window []byte) (n, endLen int) {
	end := b.end[:b.n]
	if !b.begun {
		// An empty body that lacks the CRLF of the grammar.
		switch length, more := matchEnd(window, end[2:]); {
		case length > 0:
			return 0, length
		case more:
			return 0, 0
		}
	}
	for at := 0; ; {
		// Hyphens are rarer than CRLF in what people write.
		i := bytes.Index(window[min(at+2, len(window)):], end[2:])
		if i < 0 {
			return len(window) - heldBack(window[at:], end), 0
		}
		i += at
		length, more := matchEnd(window[i:], end)
		if i == 0 && length > 0 {
			return 0, length
		}
		if length > 0 || more {
			return i, 0
		}
		at = i + 1
	}
}

// matchEnd returns the length of the end-line at the start of s, or whether
// more octets could still make it one.
func matchEnd(s, end []byte) (length int, more bool) {
	if len(s) < len(end) {
		return 0, bytes.HasPrefix(end, s)
	}
	if !bytes.HasPrefix(s, end) {
		return 0, false
	}
	s = s[len(end):]
	switch {
	case len(s) > 0 && !isFlag(s[0]), len(s) > 1 && s[1] != '\r', len(s) > 2 && s[2] != '\n':
		return 0, false
	case len(s) < 3:
		return 0, true
	}
	return len(end) + 3, false
}

// heldBack returns how many of the last octets of s could be the start of end.
func heldBack(s, end []byte) int {
	tail := s[max(0, len(s)-len(end)+1):]
	for i, c := range tail {
		if c == '\r' && bytes.HasPrefix(end, tail[i:]) {
			return len(tail) - i
		}
	}
	return 0
}

// cut takes rest, the remainder of a unit that is there whole, as body and
// end-line.
func (b *Body) cut(rest []byte) bool {
	end := b.end[:b.n]
	at := len(rest) - len(end) - 3
	if at < 0 {
		at, end = 0, end[2:]
	}
	if length, _ := matchEnd(rest[at:], end); length == 0 || at+length != len(rest) {
		return false
	}
	b.data = rest[:at]
	b.unit.Flag = Flag(rest[len(rest)-3])
	return true
}
