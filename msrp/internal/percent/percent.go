// Package percent takes the escapes of URLs out of other values that have them.
package percent

import (
	"strconv"
	"strings"
)

// Decode replaces each %XX by its octet. A % that begins no escape stands for
// itself: not everyone escapes it.
func Decode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c = byte(n)
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
