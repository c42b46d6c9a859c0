// Package multipart reads message bodies of several parts (RFC 2046, section
// 5.1). Every endpoint must be able to take multipart/mixed and
// multipart/alternative (RFC 4975, section 7.3.1) and the type multipart/signed
// (section 14.3); file transfers with an icon need multipart/related (RFC 5547).
//
// [NewReader] takes the body and its Content-Type. [Reader.Next] returns one
// part after the other while they arrive; none is held in memory. That is how to
// read multipart/mixed, and every type that is not known (RFC 2046, section
// 5.1.7). A multipart/signed has two parts, the content and its signature, which
// is for others to verify. [Reader.Best] reads a multipart/alternative and
// [Reader.Related] a multipart/related. Parts have parts again where
// [Part.IsMultipart] says so.
//
// MSRP transfers bodies as they are (RFC 4975, sections 7.1.1 and 14.3), and
// parts are read octet by octet as they stand there. A part that was made for
// mail can nevertheless be encoded, which [Part.Decode] undoes.
//
// What a peer sends cannot make a Reader hold more than some 20 KiB for each level
// of parts within parts. There may be 8 levels and 1000 parts in all, each with a
// header of up to 64 lines and 16 KiB.
//
// It is for browsers too: there it has less than half the code of the
// standard library's mime/multipart, which reaches package net.
package multipart

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/webmsrp/webmsrp/msrp"
)

const (
	maxDepth  = 8
	maxParts  = 1000
	maxHeader = 16 << 10 // octets
	maxLines  = 64       // of a header, those that go on counted
	// maxBoundary is that of RFC 2046, section 5.1.1.
	maxBoundary = 70
)

// A Reader reads the parts of one body. It is not safe for concurrent use.
type Reader struct {
	in       *bufio.Reader
	dash     []byte // the boundary, two hyphens in front
	delim    []byte // and before them the line end, once it is known
	start    string // which part is the root, of multipart/related
	fallback string // the type of parts that do not say theirs
	depth    int
	parts    *int // so far, on all levels

	n    int     // parts so far
	body *stream // of the latest part
	err  error   // after which there are no more
}

// NewReader returns a reader of a body with that Content-Type, a multipart type
// with a boundary.
func NewReader(body io.Reader, contentType string) (*Reader, error) {
	return newReader(body, contentType, 1, new(int))
}

func newReader(body io.Reader, contentType string, depth int, parts *int) (*Reader, error) {
	kind, params, err := parseParams(contentType)
	if err != nil {
		return nil, fmt.Errorf("multipart: Content-Type %q: %w", contentType, err)
	}
	boundary := params["boundary"]
	problem := ""
	switch {
	case !strings.HasPrefix(kind, "multipart/"):
		problem = "not a multipart type"
	case boundary == "":
		problem = "no boundary"
	case len(boundary) > maxBoundary:
		problem = "a boundary of more than " + strconv.Itoa(maxBoundary) + " characters"
	case !isBoundary(boundary):
		problem = "characters in the boundary that cannot be there"
	case depth > maxDepth:
		return nil, errors.New("multipart: parts within parts, more than " + strconv.Itoa(maxDepth) + " deep")
	}
	if problem != "" {
		return nil, errors.New("multipart: Content-Type " + strconv.Quote(contentType) + ": " + problem)
	}
	r := &Reader{
		in: bufio.NewReader(body), dash: []byte("--" + boundary),
		start: params["start"], fallback: "text/plain", depth: depth, parts: parts,
	}
	if kind == "multipart/digest" {
		r.fallback = "message/rfc822" // RFC 2046, section 5.1.5
	}
	return r, nil
}

// isBoundary is wider than RFC 2046, section 5.1.1, but keeps lines whole.
func isBoundary(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s[len(s)-1] != ' '
}

// Next passes over what is left of the latest part and returns the next one, or
// io.EOF after the last, with the whole body read. Where the body ends before
// its parts do, the error is [io.ErrUnexpectedEOF]; those of the body's reader
// are passed on.
func (r *Reader) Next() (*Part, error) {
	if r.err != nil {
		return nil, r.err
	}
	p, err := r.next()
	if err != nil {
		if err != io.EOF {
			err = fmt.Errorf("multipart: part %d: %w", r.n+1, err)
		}
		r.err = err
		return nil, err
	}
	r.n++
	return p, nil
}

func (r *Reader) next() (*Part, error) {
	if r.body == nil {
		if err := r.skipPreamble(); err != nil {
			return nil, err
		}
	} else {
		if _, err := io.Copy(io.Discard, r.body); err != nil {
			return nil, err
		}
		if err := r.passBoundary(); err != nil {
			return nil, err
		}
	}
	if *r.parts++; *r.parts > maxParts {
		return nil, errors.New("more than " + strconv.Itoa(maxParts) + " parts")
	}
	r.body = &stream{r: r}
	p := &Part{body: r.body, depth: r.depth, parts: r.parts}
	if err := r.readHeader(p); err != nil {
		return nil, noEOF(err)
	}
	types := p.Header.Values("Content-Type")
	if len(types) > 1 {
		return nil, errors.New("Content-Type twice") // the two ends could take different ones
	}
	if p.ContentType = strings.Join(types, ""); p.ContentType == "" {
		p.ContentType = r.fallback
	}
	return p, nil
}

// skipPreamble passes over all up to the first boundary and its line (RFC 2046,
// section 5.1.1). How this line ends is how lines end before all others: with
// CRLF, or some do not care, with LF alone.
func (r *Reader) skipPreamble() error {
	whole := true // what comes is the start of a line
	for {
		if whole && r.atBoundary() {
			return r.passBoundary()
		}
		_, err := r.in.ReadSlice('\n')
		switch err {
		case nil:
			whole = true
		case bufio.ErrBufferFull:
			whole = false
		default:
			return noEOF(err)
		}
	}
}

// atBoundary reports whether a boundary comes next.
func (r *Reader) atBoundary() bool {
	next, err := r.in.Peek(len(r.dash) + 2)
	return bytes.HasPrefix(next, r.dash) && endsBoundary(next[len(r.dash):], err != nil) == yes
}

type verdict int

const (
	no verdict = iota
	yes
	unclear
)

// endsBoundary tells by what comes behind whether it is a boundary, and not the
// start of a longer line, such as the boundary of parts within a part; or that
// this cannot be told before more has come, if it will.
func endsBoundary(behind []byte, all bool) verdict {
	switch {
	case len(behind) > 0 && strings.IndexByte(" \t\r\n", behind[0]) >= 0,
		len(behind) > 1 && behind[0] == '-' && behind[1] == '-':
		return yes
	case all, len(behind) > 1, len(behind) > 0 && behind[0] != '-':
		return no
	}
	return unclear
}

// passBoundary reads the line of a boundary, and for the last one all that
// follows; then it returns io.EOF.
func (r *Reader) passBoundary() error {
	r.in.Discard(len(r.dash))
	if next, _ := r.in.Peek(2); string(next) == "--" {
		// Not before the end is known to be the end: the sender may still abort.
		if _, err := io.Copy(io.Discard, r.in); err != nil {
			return err
		}
		return io.EOF
	}
	line, err := r.in.ReadSlice('\n')
	if err != nil && err != bufio.ErrBufferFull {
		return noEOF(err)
	}
	padding := strings.TrimRight(string(line), "\r\n")
	if err != nil || strings.Trim(padding, " \t") != "" {
		return errors.New("text behind the boundary")
	}
	if r.delim == nil {
		r.delim = append(append(r.delim, line[len(padding):]...), r.dash...)
	}
	return nil
}

// readHeader reads the header of a part. Where the boundary follows at once, the
// part has neither blank line nor body.
func (r *Reader) readHeader(p *Part) error {
	left := maxHeader
	for n := 0; !r.atBoundary(); n++ {
		line, err := r.line(&left)
		if err != nil || line == "" {
			return err
		}
		if n == maxLines {
			return errors.New("a header of more than " + strconv.Itoa(maxLines) + " lines")
		}
		name, value, ok := strings.Cut(line, ":")
		if n := len(p.Header); n > 0 && (line[0] == ' ' || line[0] == '\t') { // the line before goes on
			name, value, ok = p.Header[n-1].Name, p.Header[n-1].Value+" "+strings.Trim(line, " \t"), true
			p.Header = p.Header[:n-1]
		}
		if !ok || !isFieldName(name) || !isText(value) {
			if len(line) > 80 {
				line = line[:80] + "…"
			}
			return errors.New("want Name: value, got " + strconv.Quote(line))
		}
		p.Header = append(p.Header, msrp.Field{Name: name, Value: strings.Trim(value, " \t")})
	}
	return nil
}

// line returns the next line of a header without its end, and takes its length
// off what is left.
func (r *Reader) line(left *int) (string, error) {
	var line []byte
	for {
		piece, err := r.in.ReadSlice('\n')
		if *left -= len(piece); *left < 0 {
			return "", errors.New("a header of more than " + strconv.Itoa(maxHeader>>10) + " KiB")
		}
		line = append(line, piece...)
		if err == nil {
			line = bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'})
			return string(line), nil
		}
		if err != bufio.ErrBufferFull {
			return "", err
		}
	}
}

// noEOF returns err, where the end cannot be.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A stream is the body of the part that is being read.
type stream struct {
	r     *Reader
	data  int   // octets of what was read ahead that are known to be of the body
	begun bool  // octets of the body were passed on
	end   error // why there is nothing to be read any more
	err   error
}

// Read reads up to the boundary, which it leaves to be read, but not the line
// end before it.
func (s *stream) Read(b []byte) (int, error) {
	if s.r.body != s {
		return 0, errors.New("multipart: the part was passed over")
	}
	if len(b) == 0 {
		return 0, nil
	}
	in := s.r.in
	for s.data == 0 && s.err == nil {
		ahead, _ := in.Peek(in.Buffered())
		found := false
		s.data, found = s.scan(ahead)
		switch {
		case s.data > 0:
		case found:
			if !bytes.HasPrefix(ahead, s.r.dash) {
				in.Discard(len(s.r.delim) - len(s.r.dash))
			}
			s.err = io.EOF
		case s.end != nil:
			s.err = noEOF(s.end)
		default:
			_, s.end = in.Peek(len(ahead) + 1)
		}
	}
	if s.data == 0 {
		return 0, s.err
	}
	ahead, _ := in.Peek(s.data)
	n := copy(b, ahead)
	in.Discard(n)
	s.data -= n
	s.begun = true
	return n, nil
}

// scan returns how many octets at the start of ahead are of the body, or with
// none whether a boundary is there.
func (s *stream) scan(ahead []byte) (data int, found bool) {
	all := s.end != nil
	if dash := s.r.dash; !s.begun {
		// The blank line behind the header is the line end in front of it.
		switch {
		case bytes.HasPrefix(ahead, dash):
			if v := endsBoundary(ahead[len(dash):], all); v != no {
				return 0, v == yes
			}
		case !all && bytes.HasPrefix(dash, ahead):
			return 0, false
		}
	}
	delim := s.r.delim
	if i := bytes.Index(ahead, delim); i > 0 {
		return i, false
	} else if i == 0 {
		if v := endsBoundary(ahead[len(delim):], all); v != no {
			return 0, v == yes
		}
		return len(delim), false
	}
	if all {
		return len(ahead), false
	}
	// The start of a boundary may be at the end.
	for i := max(0, len(ahead)-len(delim)+1); i < len(ahead); i++ {
		if bytes.HasPrefix(delim, ahead[i:]) {
			return i, false
		}
	}
	return len(ahead), false
}

func isFieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// isText reports whether s has no control character but HTAB.
func isText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
