package cpim

import (
	"strings"
	"time"
)

// parseTime reads a date-time of RFC 3339, section 5.6. A leap second is the
// second after it. Package time does it too, with 30 KB more of code in a
// browser.
func parseTime(s string) (t time.Time, ok bool) {
	var n [6]int // year, month, day, hour, minute, second
	for i, form := range [...]string{"0000", "-00", "-00", "T00", ":00", ":00"} {
		if n[i], s, ok = cutNumber(s, form); !ok {
			return t, false
		}
	}
	nanosecond := 0
	if strings.HasPrefix(s, ".") {
		digits := 0
		for s = s[1:]; s != "" && isDigit(s[0]); s = s[1:] {
			if digits++; digits <= 9 {
				nanosecond = nanosecond*10 + int(s[0]-'0')
			}
		}
		if digits == 0 {
			return t, false
		}
		for ; digits < 9; digits++ {
			nanosecond *= 10
		}
	}
	zone, ok := parseZone(s)
	year, month, day := n[0], time.Month(n[1]), n[2]
	if y, m, d := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Date(); y != year || m != month || d != day {
		return t, false // there is no such day
	}
	if !ok || n[3] > 23 || n[4] > 59 || n[5] > 60 {
		return t, false
	}
	return time.Date(year, month, day, n[3], n[4], n[5], nanosecond, zone), true
}

func parseZone(s string) (zone *time.Location, ok bool) {
	if s == "Z" || s == "z" {
		return time.UTC, true
	}
	sign := 1
	form := "+00"
	if strings.HasPrefix(s, "-") {
		sign, form = -1, "-00"
	}
	hours, s, ok1 := cutNumber(s, form)
	minutes, s, ok2 := cutNumber(s, ":00")
	if !ok1 || !ok2 || s != "" || hours > 23 || minutes > 59 {
		return nil, false
	}
	return time.FixedZone("", sign*(hours*60+minutes)*60), true
}

// cutNumber reads the number at the start of s, which has a digit for each 0 of
// form and otherwise what form has, letters in either case.
func cutNumber(s, form string) (n int, rest string, ok bool) {
	if len(s) < len(form) {
		return 0, s, false
	}
	for i := range len(form) {
		switch {
		case form[i] != '0' && (s[i] == form[i] || form[i] == 'T' && s[i] == 't'):
		case form[i] == '0' && isDigit(s[i]):
			n = n*10 + int(s[i]-'0')
		default:
			return 0, s, false
		}
	}
	return n, s[len(form):], true
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
