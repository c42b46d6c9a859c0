package sdp

import (
	"strings"

	"github.com/webmsrp/webmsrp/msrp/internal/percent"
)

// cutQuoted cuts s at the first sep outside of quotes, and all that follow off
// the rest. ok is false where a quote does not end. With escapes a backslash
// keeps a quote from ending.
func cutQuoted(s string, sep byte, escapes bool) (head, rest string, ok bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && escapes:
			i++
		case c == sep && !quoted:
			for rest = s[i:]; rest != "" && rest[0] == sep; rest = rest[1:] {
			}
			return s[:i], rest, true
		}
	}
	return s, "", !quoted
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

const hexDigits = "0123456789ABCDEF"

// escape puts the escapes of RFC 5547, section 6: for what would end the quoted
// string or the line, and for what separates directories.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c == 0x7f || strings.IndexByte(`"%/\`, c) >= 0 {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			c = hexDigits[c&15]
		}
		b.WriteByte(c)
	}
	return b.String()
}

// FileType returns a media type in the form of [FileSelector.Type], from that
// of Content-Type. In both the values of parameters stand in quotes, but with
// the escapes of RFC 5547, section 6, in the one, and of a quoted string (RFC
// 5322, section 3.2.4) in the other.
func FileType(contentType string) string {
	return mapParameters(contentType, true, func(value string) string {
		var b strings.Builder
		for i := 0; i < len(value); i++ {
			if value[i] == '\\' && i+1 < len(value) {
				i++
			}
			b.WriteByte(value[i])
		}
		return escape(b.String())
	})
}

// ContentType returns the media type in the form of Content-Type, or "".
func (f *FileSelector) ContentType() string {
	return mapParameters(f.Type, false, func(value string) string {
		return strings.ReplaceAll(strings.ReplaceAll(percent.Decode(value), `\`, `\\`), `"`, `\"`)
	})
}

// mapParameters rewrites what stands in the quotes of a media type's
// parameters, adds the quotes where they are missing and takes blanks out.
func mapParameters(s string, escapes bool, rewrite func(string) string) string {
	out, s, _ := cutQuoted(s, ';', escapes)
	out = strings.TrimSpace(out)
	for s != "" {
		var parameter string
		parameter, s, _ = cutQuoted(s, ';', escapes)
		if name, value, ok := strings.Cut(parameter, "="); ok {
			out += ";" + strings.TrimSpace(name) + `="` + rewrite(unquote(strings.TrimSpace(value))) + `"`
		}
	}
	return out
}

// FileDate holds dates in the form of RFC 5322, section 3.3, with a numeric
// zone, "Mon, 15 May 2006 15:01:31 +0300", or "".
type FileDate struct{ Creation, Modification, Read string }

// ParseFileDate reads the value of a=file-date, but not the dates themselves
// (RFC 5547, section 6).
func ParseFileDate(s string) (d FileDate) {
	for s != "" {
		var word string
		word, s, _ = cutQuoted(s, ' ', false)
		kind, date, _ := strings.Cut(word, ":")
		date = unquote(date) // Boghe writes no quotes
		switch kind {
		case "creation":
			d.Creation = date
		case "modification":
			d.Modification = date
		case "read":
			d.Read = date
		}
	}
	return d
}

// String returns the value of a=file-date.
func (d FileDate) String() string {
	var words []string
	for _, date := range [...][2]string{{"creation", d.Creation}, {"modification", d.Modification}, {"read", d.Read}} {
		if date[1] != "" {
			words = append(words, date[0]+`:"`+date[1]+`"`)
		}
	}
	return strings.Join(words, " ")
}
