package msrp

import "strings"

// parseIP reads an IPv4 or IPv6 address, an IPv4 address in the form that IPv6
// maps it to. Package netip can do the same, and costs the browser's program
// 26 KB; a test holds the two against each other.
func parseIP(s string) (addr [16]byte, ok bool) {
	if strings.IndexByte(s, ':') < 0 {
		addr[10], addr[11] = 0xff, 0xff
		return addr, parseIPv4(s, addr[12:])
	}
	// Groups are written to the front, and those behind the gap moved to the
	// end afterwards.
	n, gap := 0, -1
	if strings.HasPrefix(s, "::") {
		gap, s = 0, s[2:]
	}
	for s != "" {
		if n == 16 {
			return addr, false
		}
		group := s
		end := strings.IndexByte(s, ':')
		if end >= 0 {
			group = s[:end]
		} else if strings.IndexByte(s, '.') >= 0 {
			if n > 12 || !parseIPv4(s, addr[n:n+4]) {
				return addr, false
			}
			n += 4
			break
		}
		value := 0
		for i := 0; i < len(group); i++ {
			digit := strings.IndexByte("0123456789abcdef", group[i]|0x20)
			if digit < 0 || group[i] < '0' {
				return addr, false
			}
			value = value<<4 | digit
		}
		if group == "" || len(group) > 4 {
			return addr, false
		}
		addr[n], addr[n+1] = byte(value>>8), byte(value)
		n += 2
		if end < 0 {
			break
		}
		s = s[end+1:]
		if strings.HasPrefix(s, ":") {
			if gap >= 0 {
				return addr, false // a second ::
			}
			gap, s = n, s[1:]
		} else if s == "" {
			return addr, false // ends in one colon
		}
	}
	switch {
	case gap < 0:
		return addr, n == 16
	case n == 16:
		return addr, false // :: stands for at least one group
	}
	behind := n - gap
	copy(addr[16-behind:], addr[gap:n])
	clear(addr[gap : 16-behind])
	return addr, true
}

// parseIPv4 reads four numbers of 0 to 255 without leading zeros.
func parseIPv4(s string, addr []byte) bool {
	for i := range 4 {
		digits, rest, more := strings.Cut(s, ".")
		if more != (i < 3) || digits == "" || len(digits) > 3 || len(digits) > 1 && digits[0] == '0' {
			return false
		}
		value := 0
		for j := 0; j < len(digits); j++ {
			if !isDigit(digits[j]) {
				return false
			}
			value = value*10 + int(digits[j]-'0')
		}
		if value > 255 {
			return false
		}
		addr[i] = byte(value)
		s = rest
	}
	return true
}
