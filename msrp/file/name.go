package file

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on names, in octets.
const (
	// maxName leaves room for an addition such as " (2)": file systems take 255.
	maxName = 200
	// maxExtension is up to what length what follows the last dot is kept.
	maxExtension = 32
)

// SafeName makes the name of a file on any system out of what a peer calls it
// (RFC 5547, section 6). It has no directories, no characters that cannot be
// seen or change the direction of text, none that a system forbids, no dot or
// blank at its ends; it is no device of Windows; it has 1 to 200 octets, of
// which an ending such as ".jpeg" is not cut off. Of what has no name left
// "file" is made. It does not say whether such a file exists, and the ending is
// the peer's choice: do not open what only claims to be a picture.
func SafeName(name string) string {
	name = strings.TrimRight(name, `/\`)
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		case !strconv.IsPrint(r):
			return -1
		}
		return r
	}, name)
	name = trimName(name)
	if isDevice(name) {
		name = "_" + name
	}
	if len(name) > maxName {
		stem, extension := name, ""
		if dot := strings.LastIndexByte(name, '.'); len(name)-dot <= maxExtension {
			stem, extension = name[:dot], name[dot:]
		}
		n := maxName - len(extension)
		for !utf8.RuneStart(stem[n]) {
			n--
		}
		name = trimName(stem[:n]) + extension
	}
	if name == "" {
		return "file"
	}
	return name
}

func trimName(name string) string { return strings.Trim(name, ". ") }

// isDevice reports whether Windows takes a name for a device, whatever its
// ending.
func isDevice(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	if len(stem) < 4 || stem[:3] != "COM" && stem[:3] != "LPT" {
		return false
	}
	switch stem[3:] {
	case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
		return true
	}
	return false
}

// disposition returns the Content-Disposition of a file.
func disposition(name string) string { return `attachment; filename="` + SafeName(name) + `"` }

// dispositionName returns the name of the file that a Content-Disposition gives,
// or "".
func dispositionName(value string) string {
	_, rest, ok := cutParameter(value)
	for rest != "" && ok {
		var parameter string
		parameter, rest, ok = cutParameter(rest)
		key, value, _ := strings.Cut(parameter, "=")
		if ok && strings.EqualFold(strings.TrimSpace(key), "filename") {
			return unquote(strings.TrimSpace(value))
		}
	}
	return ""
}

// cutParameter cuts s at the first semicolon outside of quotes. ok is false
// where a quote does not end.
func cutParameter(s string) (head, rest string, ok bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ';' && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", !quoted
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i < len(s)-2 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
