package bridge

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/relay"
)

func rules(t *testing.T, list string) []Rule {
	r, err := ParseRules(list)
	require.NoError(t, err)
	return r
}

func TestPolicyDefault(t *testing.T) {
	t.Attr("requirement", "R-45")
	var p Policy
	for _, at := range []string{"8.8.8.8:2855", "93.184.216.34:443", "8.8.8.8:1024", "[2606:2800:220:1::1]:65535", "[64:ff9b::808:808]:2855"} {
		assert.NoError(t, p.Check("peer.example.com", netip.MustParseAddrPort(at)), at)
	}
	for _, at := range []string{
		"127.0.0.1:2855", "127.8.8.8:2855", "[::1]:2855", "0.0.0.0:2855", "[::]:2855", "0.1.2.3:2855",
		"10.0.0.1:2855", "172.16.0.1:2855", "172.31.255.255:2855", "192.168.1.1:2855", "[fd00::1]:2855",
		"169.254.169.254:2855", "[fe80::1]:2855", "[fe80::1%eth0]:2855", "[fec0::1]:2855",
		"100.64.0.1:2855", "192.0.0.1:2855", "192.0.2.1:2855", "198.18.0.1:2855", "203.0.113.9:2855", "240.0.0.1:2855", "255.255.255.255:2855",
		"224.0.0.1:2855", "[ff02::1]:2855", "[2001:db8::1]:2855", "[100::1]:2855", "[2001::1]:2855",
		// An IPv4 address in IPv6 clothes.
		"[::ffff:127.0.0.1]:2855", "[::ffff:169.254.169.254]:2855", "[64:ff9b::7f00:1]:2855", "[64:ff9b::a9fe:a9fe]:2855",
		"[::ffff:10.0.0.1]:2855", "[::ffff:0.0.0.0]:2855", "[64:ff9b::a00:1]:2855", "[64:ff9b::c0a8:101]:2855",
		"[2002:a9fe:a9fe::1]:2855", "[2002:c0a8:101::1]:2855", "[fd00:ec2::254]:2855", "169.254.170.2:2855", "[fe80::a9fe:a9fe]:443",
		"[2001:0:7f00:1::]:2855", "[2001:0:4136:e378:8000:63bf:80ff:fffe]:2855", // Teredo, with 127.0.0.1 as its server or client
		"[::ffff:0:169.254.169.254]:2855", "[::]:443", "0.0.0.0:443",
		"[64:ff9b:1::1]:2855", "[2002:7f00:1::]:2855", "[2002:a00:1::1]:2855", "[::7f00:1]:2855", "[::ffff:0:127.0.0.1]:2855",
		// Ports of other services.
		"8.8.8.8:1", "8.8.8.8:442", "8.8.8.8:444", "[2606:2800:220:1::1]:587",
		"8.8.8.8:22", "8.8.8.8:25", "8.8.8.8:80", "8.8.8.8:1023",
	} {
		assert.ErrorIs(t, p.Check("peer.example.com", netip.MustParseAddrPort(at)), relay.ErrRefused, at)
	}
}

func TestPolicyRules(t *testing.T) {
	t.Attr("requirement", "R-45")
	for _, c := range []struct {
		allow, deny, host, at string
		ok                    bool
	}{
		{"127.0.0.0/8", "", "localhost", "127.0.0.1:2855", true},
		{"127.0.0.0/8", "", "localhost", "127.0.0.1:22", true},
		{"127.0.0.0/8:1024-65535", "", "localhost", "127.0.0.1:22", false},
		{"10.1.2.3", "", "sbc", "10.1.2.3:2855", true},
		{"10.1.2.3", "", "sbc", "10.1.2.4:2855", false},
		{"10.1.2.3", "", "sbc", "[::ffff:10.1.2.3]:2855", true},
		{"[fd00::]/8", "", "sbc", "[fd12::1]:2855", true},
		{"fd00::/8", "", "sbc", "[fd12::1]:2855", true},
		{"[::1]:2855", "", "sbc", "[::1]:2855", true},
		{"[::1]:2855", "", "sbc", "[::1]:2856", false},
		{"", "*", "sbc", "8.8.8.8:2855", false},
		{"sbc.example.com", "*", "sbc.example.com", "8.8.8.8:2855", true},
		{"sbc.example.com", "*", "SBC.Example.Com.", "8.8.8.8:2855", true},
		{"sbc.example.com", "*", "evil.example.com", "8.8.8.8:2855", false},
		{"*.example.com", "*", "a.b.example.com", "8.8.8.8:2855", true},
		{"*.example.com", "*", "example.com", "8.8.8.8:2855", false},
		{"*.example.com", "*", "notexample.com", "8.8.8.8:2855", false},
		{"*.example.com:80", "", "a.example.com", "8.8.8.8:80", true},
		{":80", "", "a.example.com", "8.8.8.8:80", true},
		{"", "8.8.0.0/16", "peer", "8.8.8.8:2855", false},
		{"", ":2855", "peer", "8.8.8.8:2855", false},
		{"", ":2855", "peer", "8.8.8.8:2856", true},
		// A network that embeds IPv4 addresses, or is embedded itself.
		{"", "64:ff9b::/96", "peer", "[64:ff9b::808:808]:2855", false},
		{"", "64:ff9b::/96", "peer", "8.8.8.8:2855", true},
		{"", "[64:ff9b::]/96:2855", "peer", "[64:ff9b::808:808]:2856", true},
		{"", "2002::/16", "peer", "[2002:808:808::1]:2855", false},
		{"", "8.8.0.0/16", "peer", "[2002:808:808::1]:2855", false},
		{"", "8.8.0.0/16", "peer", "[64:ff9b::808:808]:2855", false},
		{"", "::ffff:8.8.8.0/120", "peer", "8.8.8.8:2855", false},
		{"", "::ffff:8.8.8.0/120", "peer", "[::ffff:8.8.8.8]:2855", false},
		{"", "::ffff:8.8.8.0/120", "peer", "8.8.9.8:2855", true},
		{"", "::ffff:8.8.8.8", "peer", "8.8.8.8:2855", false},
		{"", "[2606::]/16:1-65535", "peer", "[2606::1]:2855", false},
		// Allowed, it lets in no private address.
		{"64:ff9b::/96", "", "peer", "[64:ff9b::7f00:1]:2855", false},
		{"64:ff9b::/96", "", "peer", "[64:ff9b::808:808]:80", false},
		{"2002::/16", "", "peer", "[2002:a00:1::1]:2855", false},
		{"2002::/16", "*", "peer", "[2002:808:808::1]:2855", false},
		{"::/0", "", "peer", "[::ffff:10.1.2.3]:2855", false},
		{"::ffff:10.1.2.0/120", "", "peer", "10.1.2.3:2855", true},
		{"::ffff:10.1.2.0/120", "", "peer", "10.1.3.3:2855", false},
		// A name that is allowed but leads inside: DNS rebinding.
		{"*.example.com", "", "a.example.com", "127.0.0.1:2855", false},
		{"*", "", "a.example.com", "169.254.169.254:2855", false},
	} {
		p := Policy{Allow: rules(t, c.allow), Deny: rules(t, c.deny)}
		err := p.Check(c.host, netip.MustParseAddrPort(c.at))
		assert.Equal(t, c.ok, err == nil, "%+v: %v", c, err)
	}
}

func TestBadRules(t *testing.T) {
	for _, s := range []string{"10.0.0.0/33", "host:0", "host:70000", "host:9-8", "host:x", "a.*.example.com", "[::1", "[::1]:x", ":"} {
		_, err := ParseRule(s)
		assert.ErrorContains(t, err, s)
	}
}
