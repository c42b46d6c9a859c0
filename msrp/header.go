package msrp

import (
	"errors"
	"strconv"
	"strings"
)

// A Field is one header field. Fields that MSRP defines carry their registered
// spelling when they come from a [Reader].
type Field struct{ Name, Value string }

// A Header is the list of fields after To-Path and From-Path, in wire order.
type Header []Field

// Get returns the value of the first field of that name, whatever its case, or
// "".
func (h Header) Get(name string) string {
	value, _ := h.Lookup(name)
	return value
}

// Lookup is Get that tells an empty value from an absent field.
func (h Header) Lookup(name string) (value string, ok bool) {
	for i := range h {
		if len(h[i].Name) == len(name) && (h[i].Name == name || strings.EqualFold(h[i].Name, name)) {
			return h[i].Value, true
		}
	}
	return "", false
}

// Values returns the values of every field of that name, in order.
func (h Header) Values(name string) []string {
	var values []string
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			values = append(values, h[i].Value)
		}
	}
	return values
}

// check refuses what would break the framing when written: the guard against
// line breaks in anything a user supplied.
func (h Header) check() error {
	for _, f := range h {
		if !isFieldName(f.Name) {
			return errors.New("msrp: bad header name " + strconv.Quote(f.Name))
		}
		if !isText(f.Value) {
			return errors.New("msrp: control character in header " + f.Name)
		}
	}
	return nil
}

func isFieldName(s string) bool { return s != "" && isAlpha(s[0]) && isToken(s) }

// The fields that MSRP defines; they occur at most once unless said otherwise.
// The reader compares without regard to case and keeps this spelling, which
// some peers need to the letter.
var knownFields = [...]string{
	"To-Path", "From-Path", "Message-ID", "Byte-Range", "Success-Report", "Failure-Report", "Status",
	"Content-Type", "Expires", "Min-Expires", "Max-Expires", "Use-Path", "Authorization",
	"WWW-Authenticate", "Authentication-Info", "Use-Nickname",
	"Content-ID", "Content-Description", "Content-Disposition",
}

// fieldsOfLength lists them by the length of their names.
var fieldsOfLength = func() (lists [24][]int) {
	for i, known := range knownFields {
		lists[len(known)] = append(lists[len(known)], i)
	}
	return lists
}()

// knownField returns the registered spelling and a bit that is unique to the
// name, or the name itself and 0.
func knownField(name string) (string, uint32) {
	if len(name) < len(fieldsOfLength) {
		for _, i := range fieldsOfLength[len(name)] {
			if known := knownFields[i]; known == name || strings.EqualFold(known, name) {
				return known, 1 << i
			}
		}
	}
	return name, 0
}

// fieldBit returns the bit of a name in knownFields.
func fieldBit(name string) uint32 {
	_, bit := knownField(name)
	return bit
}

var (
	toPathBit      = fieldBit("To-Path")
	fromPathBit    = fieldBit("From-Path")
	messageIDBit   = fieldBit("Message-ID")
	byteRangeBit   = fieldBit("Byte-Range")
	successBit     = fieldBit("Success-Report")
	failureBit     = fieldBit("Failure-Report")
	statusBit      = fieldBit("Status")
	contentTypeBit = fieldBit("Content-Type")
	// A 401 carries one challenge an algorithm.
	repeatableBits = fieldBit("WWW-Authenticate")
)

// fieldClasses is how many classes of fields there are.
const fieldClasses = 3

// fieldClass returns the place of a field among others (RFC 4975, section 7.1): 0
// for those of the message, 1 for those that describe a body (section 9:
// Other-Mime-header) and 2 for Content-Type.
func fieldClass(name string) int {
	switch {
	case len(name) <= 8 || name[0]|0x20 != 'c' || !strings.EqualFold(name[:8], "Content-"):
		return 0
	case strings.EqualFold(name[8:], "Type"):
		return 2
	}
	return 1
}

// A ByteRange is the value of a Byte-Range field (RFC 4975, section 7.1.1).
// The first octet of a message has number 1. End and Total are -1 where the
// wire has *. The zero value is an absent field.
type ByteRange struct{ Start, End, Total int64 }

// IsZero reports whether the field is absent.
func (r ByteRange) IsZero() bool { return r.Start == 0 }

// maxOctet is the highest octet number taken, 2^62. RFC 4975 sets none; what is
// counted on from there still fits.
const maxOctet = 1 << 62

// ParseByteRange reads "start-end/total" and refuses what cannot be true: a
// start of 0, an end before start-1 or after the total, numbers above 2^62.
func ParseByteRange(s string) (ByteRange, error) {
	start, rest, ok1 := strings.Cut(s, "-")
	end, total, ok2 := strings.Cut(rest, "/")
	var r ByteRange
	var ok [3]bool
	r.Start, ok[0] = parseNumber(start)
	r.End, ok[1] = parseNumberOrStar(end)
	r.Total, ok[2] = parseNumberOrStar(total)
	switch {
	case !ok1 || !ok2 || ok != [3]bool{true, true, true}:
		return ByteRange{}, errors.New("msrp: Byte-Range " + strconv.Quote(s) + " is not start-end/total")
	case max(r.Start, r.End, r.Total) > maxOctet:
		return ByteRange{}, errors.New("msrp: Byte-Range " + strconv.Quote(s) + " is beyond 2^62")
	case r.Start == 0,
		r.End >= 0 && r.End < r.Start-1,
		r.End >= 0 && r.Total >= 0 && r.End > r.Total,
		r.Total >= 0 && r.Start-1 > r.Total:
		return ByteRange{}, errors.New("msrp: Byte-Range " + strconv.Quote(s) + " contradicts itself")
	}
	return r, nil
}

// parseNumber reads 1*DIGIT up to 2^63-1.
func parseNumber(s string) (int64, bool) {
	if s == "" || len(s) > 19 {
		return 0, false
	}
	var n uint64 // nineteen digits fit
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return int64(n), n < 1<<63
}

func parseNumberOrStar(s string) (int64, bool) {
	if s == "*" {
		return -1, true
	}
	return parseNumber(s)
}

// String returns the wire form.
func (r ByteRange) String() string { return string(r.append(nil)) }

func (r ByteRange) append(dst []byte) []byte {
	star := func(dst []byte, n int64) []byte {
		if n < 0 {
			return append(dst, '*')
		}
		return strconv.AppendInt(dst, n, 10)
	}
	dst = strconv.AppendInt(dst, r.Start, 10)
	dst = star(append(dst, '-'), r.End)
	return star(append(dst, '/'), r.Total)
}

// FailureReport is the value of a Failure-Report field: which failures the
// sender wants to hear of (RFC 4975, section 7.1.1). The zero value is an
// absent field and means yes.
type FailureReport uint8

const (
	FailureDefault FailureReport = iota // no field written: yes
	FailureYes                          // the same, spelled out
	FailureNo                           // neither responses nor reports
	FailurePartial                      // failures only: no 200, no timer
)

var failureNames = [...]string{"", "yes", "no", "partial"}

func (f FailureReport) String() string { return failureNames[f] }

// WantsOK reports whether a 200 is owed, which also is what starts the
// sender's 30 second timer.
func (f FailureReport) WantsOK() bool { return f == FailureDefault || f == FailureYes }

func parseFailureReport(s string) (FailureReport, bool) {
	for i, name := range failureNames {
		if name != "" && strings.EqualFold(s, name) {
			return FailureReport(i), true
		}
	}
	return 0, false
}

func parseYesNo(s string) (yes, ok bool) {
	yes = strings.EqualFold(s, "yes")
	return yes, yes || strings.EqualFold(s, "no")
}

// A Status is the value of a REPORT's Status field (RFC 4975, section 7.1.3).
type Status struct {
	// Namespace 0 means that Code is a response code of MSRP; a report in any
	// other namespace is to be ignored.
	Namespace int
	Code      int
	Comment   string
}

// ParseStatus reads "000 200 OK"; the comment may be absent.
func ParseStatus(s string) (Status, error) {
	namespace, rest, _ := strings.Cut(s, " ")
	code, comment, _ := strings.Cut(rest, " ")
	n, ok1 := parseCode(namespace)
	c, ok2 := parseCode(code)
	if !ok1 || !ok2 {
		return Status{}, errors.New("msrp: Status " + strconv.Quote(s) + " is not 3DIGIT 3DIGIT comment")
	}
	return Status{n, c, trimBlanks(comment)}, nil
}

// parseCode reads 3DIGIT.
func parseCode(s string) (int, bool) {
	if len(s) != 3 || !all(s, isDigit) {
		return 0, false
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0'), true
}

// String returns the wire form.
func (s Status) String() string {
	out := threeDigits(s.Namespace) + " " + threeDigits(s.Code)
	if s.Comment != "" {
		out += " " + s.Comment
	}
	return out
}

func threeDigits(n int) string {
	return string([]byte{'0' + byte(n/100%10), '0' + byte(n/10%10), '0' + byte(n%10)})
}
