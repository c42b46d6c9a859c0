package cpim

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// An Address is the value of a From, To or cc header.
type Address struct {
	Name string // of the person, without escapes, or ""
	URI  string
}

// ParseAddress reads the value of a header: a URI in angle brackets with a name
// in front or not, either words or one string in double quotes.
func ParseAddress(s string) (Address, error) {
	problem := func() (Address, error) {
		return Address{}, errors.New("cpim: want name <uri>, got " + strconv.Quote(s))
	}
	var a Address
	rest := s
	if strings.HasPrefix(s, `"`) {
		end := 1
		for ; end < len(s) && s[end] != '"'; end++ {
			if s[end] == '\\' {
				end++
			}
		}
		if end >= len(s) {
			return problem()
		}
		a.Name = Unescape(s[1:end])
		rest = strings.TrimLeft(s[end+1:], " ")
		if !strings.HasPrefix(rest, "<") {
			return problem()
		}
	}
	name, uri, ok := strings.Cut(rest, "<")
	uri, ok2 := strings.CutSuffix(uri, ">")
	if !ok || !ok2 || !isURI(uri) || !isHeaderText(s) {
		return problem()
	}
	if name = strings.Trim(name, " "); name != "" {
		a.Name = Unescape(name)
	}
	a.URI = uri
	return a, nil
}

// String returns the value of a header. The name is put in quotes where it is
// not a list of words with single blanks between them.
func (a Address) String() string {
	uri := "<" + a.URI + ">"
	if a.Name == "" {
		return uri
	}
	for _, word := range strings.Split(a.Name, " ") {
		if !isToken(word) {
			return `"` + escape(a.Name, true) + `" ` + uri
		}
	}
	return a.Name + " " + uri
}

// isToken reports whether s is a Token of RFC 3862, section 3.6.
func isToken(s string) bool {
	return s != "" && all(s, func(b byte) bool { return b >= utf8.RuneSelf || b == '.' || isNameChar(b) })
}

// isURI reports whether s can stand in angle brackets. Which schemes make sense
// is not looked at.
func isURI(s string) bool {
	return s != "" && all(s, func(b byte) bool { return b > ' ' && b != 0x7f && strings.IndexByte("<>\"\\", b) < 0 })
}

const hexDigits = "0123456789abcdef"

// Escape returns text as it stands in a header: with backslashes and control
// characters, line breaks among them, escaped (RFC 3862, section 2.3.1).
func Escape(text string) string { return escape(text, false) }

// escape escapes double quotes too, if text is to stand between such.
func escape(text string, quoted bool) string {
	var b []byte // nil while nothing was escaped
	for i := 0; i < len(text); i++ {
		c := text[i]
		if !isControl(c) && c != '\\' && (c != '"' || !quoted) {
			if b != nil {
				b = append(b, c)
			}
			continue
		}
		if b == nil {
			b = append(make([]byte, 0, len(text)+8), text[:i]...)
		}
		switch c {
		case '\b':
			c = 'b'
		case '\t':
			c = 't'
		case '\n':
			c = 'n'
		case '\r':
			c = 'r'
		case '\\', '"':
		default:
			b = append(b, `\u00`...)
			b = append(b, hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		b = append(b, '\\', c)
	}
	if b == nil {
		return text
	}
	return string(b)
}

// Unescape is the reverse. An escape that RFC 3862 does not know stands for the
// character behind the backslash, and a backslash at the end for nothing.
func Unescape(value string) string {
	i := strings.IndexByte(value, '\\')
	if i < 0 {
		return value
	}
	b := append(make([]byte, 0, len(value)), value[:i]...)
	for ; i < len(value); i++ {
		if value[i] != '\\' {
			b = append(b, value[i])
			continue
		}
		if i++; i == len(value) {
			break
		}
		switch value[i] {
		case 'b':
			b = append(b, '\b')
		case 't':
			b = append(b, '\t')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 'u':
			r, n := unescapeUnicode(value[i-1:])
			if n == 0 {
				b = append(b, 'u')
				continue
			}
			b = utf8.AppendRune(b, r)
			i += n - 2
		default:
			b = append(b, value[i])
		}
	}
	return string(b)
}

// unescapeUnicode reads the \uXXXX at the start of s, or the two that stand for
// a character beyond the 16 bits of UCS-2, as in Java, and returns the length
// of what it read. Half of such a pair becomes U+FFFD.
func unescapeUnicode(s string) (rune, int) {
	r, ok := fourHex(s)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := fourHex(s[6:]); ok && utf16.IsSurrogate(low) {
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				return both, 12
			}
		}
	}
	return r, 6
}

func fourHex(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for i := 2; i < 6; i++ {
		digit := strings.IndexByte(hexDigits, s[i]|0x20)
		if digit < 0 || s[i] < '0' {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}
