package multipart

import (
	"errors"
	"strconv"
	"strings"

	"github.com/webmsrp/webmsrp/msrp/internal/percent"
)

// parseParams reads a value such as that of Content-Type: what it is, in lower
// case, and its parameters, their names in lower case (RFC 2045, section 5.1).
// One with a star has its escapes taken out and counts in place of the one
// without (RFC 2231, section 4), if it is in UTF-8. Package mime does this too,
// and more, with 40 KB of code in a browser.
func parseParams(s string) (value string, params map[string]string, err error) {
	value, rest, more := strings.Cut(s, ";")
	value = strings.ToLower(strings.Trim(value, " \t"))
	if !isToken(strings.Replace(value, "/", "", 1)) {
		return "", nil, errors.New("bad value " + strconv.Quote(value))
	}
	params = make(map[string]string)
	starred := make(map[string]string)
	for more {
		if rest = strings.TrimLeft(rest, " \t"); rest == "" {
			break // a semicolon at the end
		}
		name, behind, ok := strings.Cut(rest, "=")
		name = strings.ToLower(strings.Trim(name, " \t"))
		var text string
		if ok && isToken(name) {
			text, rest, ok = cutValue(strings.TrimLeft(behind, " \t"))
		}
		if !ok || !isToken(name) {
			return "", nil, errors.New("bad parameter " + strconv.Quote(rest))
		}
		if _, twice := params[name]; twice {
			return "", nil, errors.New("parameter " + name + " twice") // the two ends could take different ones
		}
		params[name] = text
		if plain, ok := strings.CutSuffix(name, "*"); ok {
			charset, escaped, _ := strings.Cut(text, "'")
			if _, escaped, ok = strings.Cut(escaped, "'"); ok && strings.EqualFold(charset, "utf-8") {
				starred[plain] = percent.Decode(escaped)
			}
		}
		rest = strings.TrimLeft(rest, " \t")
		if more = strings.HasPrefix(rest, ";"); more {
			rest = rest[1:]
		} else if rest != "" {
			return "", nil, errors.New("bad parameter " + strconv.Quote(rest))
		}
	}
	for name, text := range starred {
		delete(params, name+"*")
		params[name] = text
	}
	return value, params, nil
}

// cutValue cuts the value at the start of s off the rest: a quoted string, or
// what stands up to a semicolon or blank. That can be more than a token: some
// write boundaries and times without the quotes.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, "; \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0 && !strings.Contains(s[:end], `"`)
	}
	var b []byte
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return string(b), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b = append(b, s[i])
	}
	return "", s, false
}

func isToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}
