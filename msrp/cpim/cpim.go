// Package cpim is the format Message/CPIM (RFC 3862): a wrapper that says from
// whom a message is, to whom and when it was sent, whatever carries it (RFC
// 4975, section 13).
//
//	From: Alice <sip:alice@example.com>        the message headers
//	To: Bob <sip:bob@example.com>
//	DateTime: 2006-05-15T15:02:31-03:00
//
//	Content-Type: text/plain; charset=utf-8    the headers of the content
//
//	Hello, Bob!                                the content
//
// [Read] takes the two headers off a stream and leaves the content to be read.
// [Message.Encode] puts them in front of a content. Neither holds it, so that
// both do for a file of any size. A wrapper is made before the message is cut
// into chunks, and nobody on the way changes it: who has something to add wraps
// it once more.
package cpim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ContentType is the media type of a wrapped message.
const ContentType = "message/cpim"

// The most that may stand in front of a content, in octets and in lines, blank
// ones not counted. RFC 3862, section 2.2 would not have lines limited, but a
// peer must not be able to fill the memory.
const (
	maxHead  = 64 << 10
	maxLines = 64
)

// maxShort is up to what length in octets a content in memory is copied behind
// its header: the message is then in memory too, and needs no goroutine to be
// sent.
const maxShort = 16 << 10

// A Message is a wrapper and what is in it.
type Message struct {
	// Header holds the message headers in the order of the wire. To be sent
	// it must have one From, a To for each recipient (RFC 4975, section 13),
	// and a DateTime if it is signed.
	Header Header
	// ContentType is the media type of the content, with its parameters. It is
	// required (RFC 3862, section 2.4).
	ContentType string
	// MIME holds the further headers of the content, such as Content-ID.
	MIME MIMEHeader
	// Body is the content; nil is an empty one. In a message from [Read] it is
	// the rest of the stream.
	Body io.Reader
	// Size is the length of Body in octets for [Message.Encode]. 0 stands for
	// unknown, except that the readers of the packages bytes and strings tell
	// it themselves. Read leaves it at 0.
	Size int64
	// HeadSize is set by Read to the length in octets of what stood in front of
	// the content.
	HeadSize int64
}

// A MIMEHeader is a list of headers of a content, other than its type.
type MIMEHeader []MIMEField

// A MIMEField is one header of a content.
type MIMEField struct{ Name, Value string }

// Get returns the value of the first field of that name, whatever its case, or
// "".
func (h MIMEHeader) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Head returns the two headers and the blank lines behind them: what is sent in
// front of the content. It fails where From, To or the type of the content are
// missing, where a header of RFC 3862 other than To, cc and NS occurs twice (RFC
// 4975, section 13), where an address or the DateTime is none, and where
// something would break the lines or the encoding of the header, whoever
// supplied it. It also fails above 64 KiB or 64 lines, which [Read] would not
// take.
func (m *Message) Head() ([]byte, error) {
	if err := m.Header.check(); err != nil {
		return nil, err
	}
	mime := append(MIMEHeader{{"Content-Type", m.ContentType}}, m.MIME...)
	for i, f := range mime {
		switch {
		case f.Name == "" || !all(f.Name, isMIMENameChar):
			return nil, errors.New("cpim: bad name " + strconv.Quote(f.Name) + " of a content header")
		case !isMIMEValue(f.Value):
			return nil, errors.New("cpim: content header " + f.Name + " has a control character or a blank around it")
		case i == 0 && f.Value == "":
			return nil, errors.New("cpim: a content without a type")
		case i > 0 && strings.EqualFold(f.Name, "Content-Type"):
			return nil, errors.New("cpim: Content-Type twice")
		}
	}
	var head []byte
	for _, f := range m.Header {
		head = append(head, f.Name+":"+f.Params+" "+f.Value+"\r\n"...)
	}
	head = append(head, "\r\n"...)
	for _, f := range mime {
		head = append(head, f.Name+": "+f.Value+"\r\n"...)
	}
	head = append(head, "\r\n"...)
	if len(m.Header)+len(mime) > maxLines || len(head) > maxHead {
		return nil, errTooLong
	}
	return head, nil
}

// Encode returns the wrapped message as a stream, and its length in octets, or
// 0 if that of the content is not known: the Body and Size of an MSRP message
// whose type is [ContentType]. The content is read as the stream is, or at once
// if it is in memory and short. The error is that of [Message.Head] or of
// reading the content.
func (m *Message) Encode() (body io.Reader, size int64, err error) {
	head, err := m.Head()
	if err != nil {
		return nil, 0, err
	}
	content, size := m.Body, m.Size
	inMemory := true
	switch body := content.(type) {
	case nil:
		content, size = bytes.NewReader(nil), 0
	case *bytes.Reader:
		size = int64(body.Len())
	case *strings.Reader:
		size = int64(body.Len())
	case *bytes.Buffer:
		size = int64(body.Len())
	default:
		inMemory = false
	}
	switch {
	case inMemory && size <= maxShort:
		rest, err := io.ReadAll(content)
		return bytes.NewReader(append(head, rest...)), int64(len(head) + len(rest)), err
	case size <= 0:
		return io.MultiReader(bytes.NewReader(head), content), 0, nil
	}
	return io.MultiReader(bytes.NewReader(head), content), int64(len(head)) + size, nil
}

var errTooLong = errors.New("cpim: more than 64 KiB or 64 lines in front of the content")

// Read takes the headers off r, of up to 64 KiB and 64 lines, and returns them
// with the rest of r as the content. It reads ahead a little. An error of r, and
// its end within the headers as [io.ErrUnexpectedEOF], are wrapped.
//
// Lines may end in LF alone, and blanks around a value do not count. Read takes
// what is well formed; whether addresses and time are, the methods of [Header]
// tell. What [Header.Unknown] lists forbids to treat the message as understood.
func Read(r io.Reader) (*Message, error) {
	in := &lines{r: r}
	m := &Message{}
	if err := m.read(in); err != nil {
		return nil, err
	}
	m.Body = io.MultiReader(bytes.NewReader(in.ahead), r)
	m.HeadSize = int64(in.taken)
	return m, nil
}

func (m *Message) read(in *lines) error {
	line, err := in.next()
	if err != nil {
		return err
	}
	// The headers of the whole belong to what carries it, but some repeat them
	// here, as RFC 3862, section 5.1 prints them; Linphone reads them too.
	if isMIMEField(line) {
		if err := m.readMIME(in, line); err != nil {
			return err
		}
		mediaType, _, _ := strings.Cut(m.ContentType, ";")
		if !strings.EqualFold(strings.Trim(mediaType, " \t"), ContentType) {
			return nil
		}
		m.ContentType, m.MIME = "", nil
		if line, err = in.next(); err != nil {
			return err
		}
	}
	for line != "" && !isMIMEField(line) {
		f, ok := parseField(line)
		if !ok {
			return in.problem("want Name: value", line)
		}
		m.Header = append(m.Header, f)
		if line, err = in.next(); err != nil {
			return err
		}
	}
	// The blank line is missing in all examples of RFC 5438, and so in what was
	// written after them.
	if line == "" {
		if line, err = in.next(); err != nil {
			return err
		}
	}
	return m.readMIME(in, line)
}

// readMIME reads the headers of a content from their first line on, up to the
// blank line behind them.
func (m *Message) readMIME(in *lines, line string) error {
	var list MIMEHeader
	for line != "" {
		if line[0] == ' ' || line[0] == '\t' { // the line before goes on
			if len(list) == 0 || !isMIMEText(line) {
				return in.problem("want Name: value", line)
			}
			last := &list[len(list)-1].Value
			*last = strings.Trim(*last+" "+strings.Trim(line, " \t"), " ")
		} else {
			name, value, ok := strings.Cut(line, ":")
			if !ok || name == "" || !all(name, isMIMENameChar) || !isMIMEText(value) {
				return in.problem("want Name: value", line)
			}
			list = append(list, MIMEField{name, strings.Trim(value, " \t")})
		}
		var err error
		if line, err = in.next(); err != nil {
			return err
		}
	}
	for _, f := range list {
		switch {
		case !strings.EqualFold(f.Name, "Content-Type"):
			m.MIME = append(m.MIME, f)
		case m.ContentType != "":
			return errors.New("cpim: Content-Type twice") // the two ends could take different ones
		default:
			m.ContentType = f.Value
		}
	}
	if m.ContentType == "" {
		return errors.New("cpim: a content without a type")
	}
	return nil
}

// lines reads the lines of a head.
type lines struct {
	r     io.Reader
	ahead []byte // what was read and not taken yet
	taken int    // octets
	n     int    // lines so far
	full  int    // of them, not blank
}

// next returns the next line without its end.
func (in *lines) next() (string, error) {
	end := bytes.IndexByte(in.ahead, '\n')
	for end < 0 {
		if in.taken+len(in.ahead) > maxHead {
			return "", errTooLong
		}
		var err error
		if end, err = in.more(); err != nil {
			return "", fmt.Errorf("cpim: within the header: %w", err)
		}
	}
	if in.taken += end + 1; in.taken > maxHead {
		return "", errTooLong
	}
	line := bytes.TrimSuffix(in.ahead[:end], []byte{'\r'})
	in.ahead = in.ahead[end+1:]
	in.n++
	if len(line) > 0 {
		if in.full++; in.full > maxLines {
			return "", errTooLong
		}
	}
	return string(line), nil
}

// more reads on and returns where in ahead a line ends, or -1.
func (in *lines) more() (end int, err error) {
	const atOnce = 2048
	have := len(in.ahead)
	if cap(in.ahead)-have < atOnce {
		in.ahead = append(make([]byte, 0, 2*have+atOnce), in.ahead...)
	}
	for range 100 {
		n, err := in.r.Read(in.ahead[have : have+atOnce])
		in.ahead = in.ahead[:have+n]
		switch {
		case n > 0:
			if end = bytes.IndexByte(in.ahead[have:], '\n'); end >= 0 {
				end += have
			}
			return end, nil // an error comes once more
		case err == io.EOF:
			return -1, io.ErrUnexpectedEOF
		case err != nil:
			return -1, err
		}
	}
	return -1, io.ErrNoProgress
}

func (in *lines) problem(want, line string) error {
	if len(line) > 80 {
		line = line[:80] + "…"
	}
	return errors.New("cpim: line " + strconv.Itoa(in.n) + ": " + want + ", got " + strconv.Quote(line))
}

// isMIMEField reports whether a line is a header of a content: RFC 3862 has no
// message header with such a name.
func isMIMEField(line string) bool {
	return len(line) >= 8 && strings.EqualFold(line[:8], "Content-")
}

func isMIMENameChar(b byte) bool { return '!' <= b && b <= '~' && b != ':' }

// isMIMEText reports whether a header of a content may have that value: no
// control character but HTAB.
func isMIMEText(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func isMIMEValue(s string) bool { return isMIMEText(s) && !hasBlanksAround(s) }

func hasBlanksAround(s string) bool { return s != strings.Trim(s, " \t") }

// isHeaderText reports whether s may stand in a message header: UTF-8 without
// control characters (RFC 3862, section 2.2).
func isHeaderText(s string) bool {
	for i, r := range s {
		if r < ' ' || r == 0x7f || r == utf8.RuneError && !strings.HasPrefix(s[i:], string(r)) {
			return false
		}
	}
	return true
}

func isControl(b byte) bool { return b < ' ' || b == 0x7f }

func all(s string, is func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		if !is(s[i]) {
			return false
		}
	}
	return true
}
