package msrp

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

var addresses = []string{
	"192.0.2.1", "0.0.0.0", "255.255.255.255", "256.0.0.1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "01.2.3.4", "1.2.3.4x", "1.2.3.-4", "",
	"::", "::1", "1::", "2001:db8::1", "2001:0DB8:0:0:0:0:0:1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::2:3:4:5:6:7:8",
	"::ffff:192.0.2.1", "::192.0.2.1", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "64:ff9b::1.2.3.4", "::1.2.3", "::1.2.3.4:5",
	":", ":::", "1:::2", "1::2::3", "1:", ":1", "12345::", "g::", "1::%eth0", "1:2", "::G",
}

func checkIP(t *testing.T, s string) {
	want, err := netip.ParseAddr(s)
	got, ok := parseIP(s)
	if assert.Equal(t, err == nil && want.Zone() == "", ok, "%q", s) && ok {
		assert.Equal(t, want.As16(), got, "%q", s)
	}
}

func TestParseIP(t *testing.T) {
	for _, s := range addresses {
		checkIP(t, s)
	}
}

func FuzzParseIP(f *testing.F) {
	for _, s := range addresses {
		f.Add(s)
	}
	f.Fuzz(checkIP)
}
