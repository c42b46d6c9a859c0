package msrp

// Character classes and small rules of the grammar of RFC 4975, section 9.

type class [256]bool

func classOf(chars string) class {
	var c class
	for i := 0; i < len(chars); i++ {
		c[chars[i]] = true
	}
	return c
}

const (
	digits = "0123456789"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lower  = "abcdefghijklmnopqrstuvwxyz"
)

var (
	alphanum   = classOf(digits + upper + lower)
	identChar  = classOf(digits + upper + lower + ".-+%=")
	unreserved = classOf(digits + upper + lower + "-._~")
	sessionID  = classOf(digits + upper + lower + "-._~+=/")
	hostChar   = classOf(digits + upper + lower + "-._~%!$&'()*+,=")
	tokenChar  = classOf(digits + upper + lower + "!#$%&'*+-.^_`{|}~")
)

func isAlphanum(b byte) bool      { return alphanum[b] }
func isUnreserved(b byte) bool    { return unreserved[b] }
func isSessionIDChar(b byte) bool { return sessionID[b] }
func isHostChar(b byte) bool      { return hostChar[b] }
func isUserChar(b byte) bool      { return hostChar[b] }
func isDigit(b byte) bool         { return '0' <= b && b <= '9' }
func isUpper(b byte) bool         { return 'A' <= b && b <= 'Z' }
func isAlpha(b byte) bool         { return isUpper(b &^ 0x20) }

func all(s string, is func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !tokenChar[s[i]] {
			return false
		}
	}
	return s != ""
}

// isIdent reports whether s is an ident: 4 to 32 characters, the first a
// letter or digit. Transaction IDs and Message-IDs are idents.
func isIdent(s string) bool {
	if len(s) < 4 || len(s) > 32 || !alphanum[s[0]] {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !identChar[s[i]] {
			return false
		}
	}
	return true
}

// isMessageID is what is accepted on receipt: up to 128 visible ASCII
// characters. Peers exceed the ident of the grammar, and the value is only
// ever compared and copied.
func isMessageID(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// isText reports whether s may stand in a header value or comment: no control
// character but HTAB. Octets from 0x80 pass unread (RFC 4975, section 9:
// utf8text).
func isText(s string) bool {
	for ; len(s) >= 8; s = s[8:] { // most values have none: eight octets at once
		const ones = 0x0101010101010101
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		del := x ^ 0x7f*ones
		if ((x-' '*ones)&^x|(del-ones)&^del)&(0x80*ones) != 0 {
			break
		}
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// trimBlanks is strings.Trim of blanks, which costs a tenth of reading a head.
func trimBlanks(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
