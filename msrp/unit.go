package msrp

import (
	"strconv"
	"strings"
)

// Methods (RFC 4975, section 7; RFC 4976, section 4; RFC 7701, section 7).
const (
	MethodSend     = "SEND"
	MethodReport   = "REPORT"
	MethodAuth     = "AUTH"
	MethodNickname = "NICKNAME"
)

// A Flag is the continuation flag that ends a request or response (RFC 4975,
// section 7.1).
type Flag byte

const (
	FlagComplete    Flag = '$' // the last octets of the message
	FlagInterrupted Flag = '+' // more chunks follow
	FlagAborted     Flag = '#' // the sender gave up, nothing follows
)

func isFlag(b byte) bool { return b == '$' || b == '+' || b == '#' }

// A Unit is one request or response as it stands on the wire, from its start
// line to its end-line. It has no behaviour; sessions and relays give it
// meaning.
type Unit struct {
	// TransactionID is 4 to 32 letters, digits and .-+%= (RFC 4975, section 9);
	// a response repeats its request's.
	TransactionID string
	// Method is SEND, REPORT, AUTH, NICKNAME or another word of A-Z. It is ""
	// in a response.
	Method string
	// Code and Comment belong to a response. The comment is for people only
	// and may be empty.
	Code    int
	Comment string
	// To and From are the two paths; both are nil where they could not be read.
	To, From Path
	// Header holds the fields after the two paths, in wire order.
	Header Header
	// Body streams the octets between the empty line and the end-line. It is
	// nil where there is no body, which is not the same as an empty one.
	Body *Body
	// Flag is known once Body has ended, and at once where Body is nil.
	Flag Flag
	// Invalid tells which rule is broken by a unit that could still be told
	// from the next one. The answer to such a request is 400; such a response
	// is to be dropped (RFC 4975, section 10.2; RFC 4976, section 6.4.3).
	Invalid *SyntaxError

	octets ByteRange // as it was read, or zero
	lines  string    // the fields as they were read, where they can be written so

	head   int      // octets from the start line to the last header line, where it was read
	fields [8]Field // first storage of Header, To and From: saves allocations
	uris   [4]URI
	body   Body
}

// IsResponse reports whether the unit is a response.
func (u *Unit) IsResponse() bool { return u.Method == "" }

// MessageID returns the value of Message-ID, or "".
func (u *Unit) MessageID() string { return u.Header.Get("Message-ID") }

// ContentType returns the value of Content-Type, or "".
func (u *Unit) ContentType() string { return u.Header.Get("Content-Type") }

// ByteRange returns the value of Byte-Range; the zero value where it is absent
// or unreadable.
func (u *Unit) ByteRange() ByteRange {
	if !u.octets.IsZero() {
		return u.octets
	}
	r, _ := ParseByteRange(u.Header.Get("Byte-Range"))
	return r
}

// SuccessReport reports whether a success report is asked for (RFC 4975,
// section 7.1.1).
func (u *Unit) SuccessReport() bool {
	yes, _ := parseYesNo(u.Header.Get("Success-Report"))
	return yes
}

// FailureReport returns the value of Failure-Report.
func (u *Unit) FailureReport() FailureReport {
	f, _ := parseFailureReport(u.Header.Get("Failure-Report"))
	return f
}

// Status returns the value of Status; the zero value where it is absent.
func (u *Unit) Status() Status {
	s, _ := ParseStatus(u.Header.Get("Status"))
	return s
}

// parseStartLine reads "MSRP tid METHOD" or "MSRP tid 200 comment" without its
// line end. A start line that breaks the grammar is fatal: where the unit ends
// cannot be known.
func (u *Unit) parseStartLine(line string) *SyntaxError {
	fatal := func(offset int, expected string) *SyntaxError {
		return &SyntaxError{Offset: offset, Expected: expected, Got: line[min(offset, len(line)):], Fatal: true}
	}
	const protocol = "MSRP "
	if !strings.HasPrefix(line, protocol) {
		return fatal(0, "MSRP")
	}
	tid, rest, _ := strings.Cut(line[len(protocol):], " ")
	if !isIdent(tid) {
		return fatal(len(protocol), "a transaction ID")
	}
	u.TransactionID = tid
	if rest != "" && all(rest, isUpper) {
		u.Method = rest
		return nil
	}
	at := len(protocol) + len(tid) + 1
	code, comment, _ := strings.Cut(rest, " ")
	var ok bool
	if u.Code, ok = parseCode(code); !ok || u.Code < 100 {
		return fatal(at, "a method or a status code")
	}
	if !isText(comment) {
		return fatal(at+len(code)+1, "a comment without control characters")
	}
	u.Comment = comment
	return nil
}

// rebase makes the parts of the start line those of line, which holds the same
// octets elsewhere.
func (u *Unit) rebase(line string) {
	at := len("MSRP ")
	u.TransactionID = line[at : at+len(u.TransactionID)]
	at += len(u.TransactionID) + 1
	if u.Method != "" {
		u.Method = line[at:]
	} else {
		u.Comment = line[len(line)-len(u.Comment):]
	}
}

// headParser reads the lines between start line and body into a Unit.
type headParser struct {
	unit    *Unit
	seen    uint32 // the known fields so far
	class   int    // of the latest field, see fieldClass
	mime    bool   // a field that describes a body was among them
	unusual bool   // the lines are not as this package writes them
	last    *[2]lastPath
}

// A lastPath is a path as the unit before had it: most have the same.
type lastPath struct {
	text []byte
	path Path
}

func (h *headParser) fail(offset int, expected, got string) {
	if h.unit.Invalid == nil {
		h.unit.Invalid = &SyntaxError{Offset: offset, Expected: expected, Got: got}
	}
}

// line takes one header line without its line end.
func (h *headParser) line(offset int, line string) {
	u := h.unit
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isFieldName(name) || !isText(value) {
		// No folding either (RFC 4976, section 3): a line that starts with a
		// blank has no name.
		h.fail(offset, "a header line", line)
		return
	}
	// The grammar has exactly one space after the colon. None and several are
	// seen too: RFC 7977, section 8.2.3 prints two.
	spelled, padded := name, len(value)
	value = trimBlanks(value)
	name, bit := knownField(name)
	if padded != len(value)+1 || line[len(name)+1] != ' ' || name != spelled {
		h.unusual = true
	}
	if h.seen&bit&^repeatableBits != 0 {
		h.fail(offset, name+" only once", line)
		return
	}
	h.seen |= bit
	switch bit {
	case toPathBit:
		if h.seen != toPathBit || len(u.Header) > 0 {
			h.fail(offset, "To-Path as the first header field", line)
		}
		u.To = h.path(offset, 0, value)
		return
	case fromPathBit:
		if h.seen != toPathBit|fromPathBit || len(u.Header) > 0 {
			h.fail(offset, "From-Path as the second header field", line)
		}
		u.From = h.path(offset, 1, value)
		return
	case messageIDBit:
		if !isMessageID(value) {
			h.fail(offset, "a Message-ID", value)
		}
	case byteRangeBit:
		var err error
		if u.octets, err = ParseByteRange(value); err != nil {
			h.fail(offset, "a Byte-Range start-end/total", value)
		}
	case successBit:
		if _, ok := parseYesNo(value); !ok {
			h.fail(offset, "Success-Report yes or no", value)
		}
	case failureBit:
		if _, ok := parseFailureReport(value); !ok {
			h.fail(offset, "Failure-Report yes, no or partial", value)
		}
	case statusBit:
		if _, err := ParseStatus(value); err != nil {
			h.fail(offset, "a Status namespace code comment", value)
		}
	}
	class := fieldClass(name)
	if class > 0 {
		h.mime = true
	}
	if class < h.class {
		h.unusual = true
	}
	h.class = class
	u.Header = append(u.Header, Field{name, value})
}

// path reads the value of To-Path, which is 0, or From-Path, 1.
func (h *headParser) path(offset, which int, value string) Path {
	storage := Path(h.unit.uris[2*which : 2*which : 2*which+2])
	var last *lastPath
	if h.last != nil {
		last = &h.last[which]
		if string(last.text) == value && last.path != nil {
			return last.path
		}
		last.text = append(last.text[:0], value...)
		storage, value, last.path = last.path[:0], view(last.text), nil
	}
	p, err := appendPath(storage, value)
	if err != nil {
		h.fail(offset, "a path of MSRP URIs", strings.Clone(value))
		return nil
	}
	if last != nil {
		last.path = p
	}
	return p
}

// finish checks what only the whole head shows.
func (h *headParser) finish(offset int, hasBody bool) {
	u := h.unit
	if u.To == nil || u.From == nil {
		// Nobody to answer (RFC 4975, section 10.2 leaves it open): keep the
		// two together so that one check is enough.
		u.To, u.From = nil, nil
		h.fail(offset, "a To-Path and a From-Path", "")
		return
	}
	if u.IsResponse() {
		if hasBody {
			h.fail(offset, "no body in a response", "")
		}
		return
	}
	switch {
	case hasBody && h.seen&contentTypeBit == 0:
		h.fail(offset, "a Content-Type before the body", "")
	case !hasBody && h.mime:
		h.fail(offset, "a body after the Content fields", "")
	}
	switch u.Method {
	case MethodSend:
		if h.seen&messageIDBit == 0 {
			h.fail(offset, "a Message-ID", "")
		}
	case MethodReport:
		if h.seen&messageIDBit == 0 || h.seen&statusBit == 0 {
			h.fail(offset, "a Message-ID and a Status", "")
		}
	}
	if uri := u.withoutPort(); !uri.IsZero() {
		h.fail(offset, "a port in every URI", uri.String())
	}
}

// withoutPort returns a URI of a request that lacks its port, or the zero URI.
// Only the To-Path of AUTH may leave it out (RFC 4976, section 8).
func (u *Unit) withoutPort() URI {
	if u.Method != MethodAuth {
		if uri := u.To.withoutPort(); !uri.IsZero() {
			return uri
		}
	}
	return u.From.withoutPort()
}

// appendHead writes the start line, both paths and the fields, those that
// describe the body behind the others and Content-Type last of all (RFC 4975,
// section 7.1).
func (u *Unit) appendHead(dst []byte) []byte {
	dst = append(dst, "MSRP "...)
	dst = append(dst, u.TransactionID...)
	dst = append(dst, ' ')
	if u.IsResponse() {
		comment := u.Comment
		if comment == "" {
			// Kamailio takes a response without one for a request.
			comment = StatusText(u.Code)
		}
		dst = strconv.AppendInt(dst, int64(u.Code), 10)
		dst = append(dst, ' ')
		dst = append(dst, comment...)
	} else {
		dst = append(dst, u.Method...)
	}
	dst = appendPaths(dst, u.To, u.From)
	if inOrder(u.Header) {
		for _, f := range u.Header {
			dst = appendField(dst, f.Name, f.Value)
		}
		return dst
	}
	for class := range fieldClasses {
		for _, f := range u.Header {
			if fieldClass(f.Name) == class {
				dst = appendField(dst, f.Name, f.Value)
			}
		}
	}
	return dst
}

func inOrder(h Header) bool {
	class := 0
	for _, f := range h {
		c := fieldClass(f.Name)
		if c < class {
			return false
		}
		class = c
	}
	return true
}

func appendPaths(dst []byte, to, from Path) []byte {
	dst = append(dst, "\r\nTo-Path: "...)
	dst = to.append(dst)
	dst = append(dst, "\r\nFrom-Path: "...)
	dst = from.append(dst)
	return append(dst, "\r\n"...)
}

// AppendForwarded writes a request that was read as a relay passes it on (RFC 4976,
// section 6.4), behind dst: with another transaction ID, other paths and the body
// that it is given, everything else as it came. It is faster than Append, and ok
// is false for one whose fields were spelled or ordered in such a way that
// Append must put them right.
func (u *Unit) AppendForwarded(dst []byte, transactionID string, to, from Path, body []byte) (_ []byte, ok bool) {
	if u.lines == "" || u.IsResponse() {
		return dst, false
	}
	dst = append(dst, "MSRP "...)
	dst = append(dst, transactionID...)
	dst = append(dst, ' ')
	dst = append(dst, u.Method...)
	dst = appendPaths(dst, to, from)
	dst = append(dst, u.lines...)
	return u.appendRest(dst, transactionID, body), true
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

const hyphens = "-------"

func appendEndLine(dst []byte, transactionID string, flag Flag) []byte {
	dst = append(dst, hyphens...)
	dst = append(dst, transactionID...)
	dst = append(dst, byte(flag))
	return append(dst, "\r\n"...)
}

// Append writes u in wire form behind dst; body is its body or nil for none,
// and u.Body is not looked at. The fields go out in their order, those that
// describe the body last. Whoever supplies values from outside checks them
// first with [Unit.Check].
//
// The caller sees to it that the end-line does not occur in the body, for
// which [NewTransactionID] is enough in practice and [BodyHolds] for certain
// (RFC 4975, section 7.1).
func (u *Unit) Append(dst, body []byte) []byte {
	return u.appendRest(u.appendHead(dst), u.TransactionID, body)
}

// appendRest writes what follows the fields.
func (u *Unit) appendRest(dst []byte, transactionID string, body []byte) []byte {
	if body != nil {
		dst = append(dst, "\r\n"...)
		dst = append(dst, body...)
		dst = append(dst, "\r\n"...)
	}
	flag := u.Flag
	if flag == 0 || u.Method != MethodSend {
		flag = FlagComplete // nothing but SEND comes in chunks
	}
	return appendEndLine(dst, transactionID, flag)
}

// Check refuses a unit whose parts would break the framing when written, line
// breaks in a header value first of all.
func (u *Unit) Check() error {
	switch {
	case !isIdent(u.TransactionID):
		return &SyntaxError{Expected: "a transaction ID", Got: u.TransactionID}
	case u.Method != "" && !all(u.Method, isUpper):
		return &SyntaxError{Expected: "a method of A-Z", Got: u.Method}
	case u.Method == "" && (u.Code < 100 || u.Code > 999 || !isText(u.Comment)):
		return &SyntaxError{Expected: "a status code and a comment of one line", Got: u.Comment}
	case len(u.To) == 0 || len(u.From) == 0:
		return &SyntaxError{Expected: "a To-Path and a From-Path"}
	case u.Method != "" && !u.withoutPort().IsZero():
		return &SyntaxError{Expected: "a port in every URI", Got: u.withoutPort().String()}
	}
	return u.Header.check()
}
