package bridge

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/webmsrp/webmsrp/msrp/relay"
)

// A Policy says whom the relay may connect to on behalf of its clients. It is
// asked with the address that the name resolved to, at every dial, so that a
// name cannot lead anywhere else the second time.
//
// Rules of Allow come first, then those of Deny, then the default: any public
// address on port 443 or above 1023. An address that is not public needs a
// rule of Allow that names addresses; a name is not enough, because whoever
// runs its DNS could point it anywhere.
type Policy struct {
	Allow, Deny []Rule
}

// A Rule matches next hops.
type Rule struct {
	text     string
	name     string       // with * as a wildcard for the first labels, "" for any
	prefix   netip.Prefix // addresses, invalid for any
	from, to uint16       // ports, 0 for any
}

// ParseRule reads host patterns, addresses and networks, each with an optional
// port or range of ports: sbc.example.com, *.example.com:2855, 10.1.2.0/24,
// 192.0.2.1:9000-9010, [2001:db8::]/32, [::1]:2855, *, :8000-9000.
func ParseRule(s string) (Rule, error) {
	r := Rule{text: s}
	bad := func(problem string) (Rule, error) {
		return Rule{}, fmt.Errorf("%q is not a host pattern, address or network with optional ports: %s", s, problem)
	}
	host, ports := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.ContainsAny(s[i:], "]/") && (strings.HasPrefix(s, "[") || strings.Count(s, ":") == 1) {
		host, ports = s[:i], s[i+1:]
		first, last, isRange := strings.Cut(ports, "-")
		if !isRange {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || a == 0 || a > b {
			return bad("bad ports")
		}
		r.from, r.to = uint16(a), uint16(b)
	}
	host = strings.NewReplacer("[", "", "]", "").Replace(host)
	switch {
	case host == "" || host == "*":
		if ports == "" && host == "" {
			return bad("empty")
		}
	case strings.Contains(host, "/"):
		prefix, err := netip.ParsePrefix(host)
		if err != nil {
			return bad("bad network")
		}
		if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
		}
		r.prefix = prefix.Masked()
	default:
		if addr, err := netip.ParseAddr(host); err == nil {
			r.prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
			break
		}
		rest := strings.TrimPrefix(host, "*.")
		if strings.ContainsAny(rest, "*:[] \t") || rest == "" {
			return bad("bad host pattern")
		}
		r.name = strings.ToLower(host)
	}
	return r, nil
}

// matches reports whether a hop falls under the rule.
func (r Rule) matches(host string, addr netip.Addr, port uint16) bool {
	if r.from != 0 && (port < r.from || port > r.to) {
		return false
	}
	if r.prefix.IsValid() {
		return r.prefix.Contains(addr)
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if suffix, wild := strings.CutPrefix(r.name, "*"); wild {
		return strings.HasSuffix(host, suffix)
	}
	return r.name == "" || r.name == host
}

// refusal is the error of what the policy does not allow.
type refusal struct {
	reason string // in a word
	text   string
}

func refuse(reason, format string, args ...any) error {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

func (r *refusal) Error() string { return relay.ErrRefused.Error() + ": " + r.text }

func (r *refusal) Unwrap() error { return relay.ErrRefused }

// Check returns nil where the relay may connect to the address that host
// resolved to, or an error that wraps [relay.ErrRefused] and says why not.
func (p *Policy) Check(host string, at netip.AddrPort) error {
	raw, addr, port := at.Addr().WithZone(""), plain(at.Addr()), at.Port()
	allowed := false // by a rule, as far as names and ports go
	for _, r := range p.Allow {
		if r.matches(host, addr, port) {
			if r.prefix.IsValid() {
				return nil
			}
			allowed = true
		}
	}
	if !allowed {
		for _, r := range p.Deny {
			// Also as it came: a rule may name a network that embeds IPv4
			// addresses. In Allow that would let in the private among them.
			if r.matches(host, addr, port) || r.matches(host, raw, port) {
				return refuse("denied", "--peer-deny %s matches %s", r.text, at)
			}
		}
		if port < 1024 && port != 443 {
			return refuse("port", "port %d is below 1024 and needs --peer-allow", port)
		}
	}
	if kind := special(addr); kind != "" {
		return refuse("address", "%s is %s and needs --peer-allow with that address", addr, kind)
	}
	return nil
}

// plain takes an address out of the forms that hide an IPv4 address in an IPv6
// one.
func plain(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() || addr.IsUnspecified() {
		return addr // ::1 and :: lie within ::/96
	}
	for _, p := range embedding {
		if p.prefix.Contains(addr) {
			b := addr.As16()
			return netip.AddrFrom4([4]byte(b[p.at : p.at+4]))
		}
	}
	return addr
}

var embedding = []struct {
	prefix netip.Prefix
	at     int // where the IPv4 address begins
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4, RFC 3056
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible, RFC 4291
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated, RFC 2765
}

// specials are the networks that are not the public Internet (IANA special
// purpose registries), beyond what package netip knows.
var specials = []struct {
	prefix netip.Prefix
	kind   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network's own"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared by a carrier"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved for protocols"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "a local translation"},
	{netip.MustParsePrefix("100::/64"), "for discarding"},
	{netip.MustParsePrefix("2001::/23"), "reserved for protocols"},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
}

// special names the kind of an address that is not public, or returns "".
func special(addr netip.Addr) string {
	switch {
	case !addr.IsValid():
		return "no address"
	case addr.IsUnspecified():
		return "unspecified"
	case addr.IsLoopback():
		return "a loopback address"
	case addr.IsPrivate():
		return "a private address"
	case addr.IsLinkLocalUnicast():
		return "a link-local address" // cloud metadata among them
	case addr.IsMulticast():
		return "a multicast address"
	}
	for _, s := range specials {
		if s.prefix.Contains(addr) {
			return s.kind
		}
	}
	return ""
}

// ParseRules reads a list of rules separated by commas or blanks.
func ParseRules(list string) ([]Rule, error) {
	var rules []Rule
	var problems []error
	for _, s := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' }) {
		r, err := ParseRule(s)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		rules = append(rules, r)
	}
	return rules, errors.Join(problems...)
}
