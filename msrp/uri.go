package msrp

import (
	"errors"
	"strconv"
	"strings"
)

// DefaultPort is the port registered for MSRP. It is a recommendation for
// listeners, never a default that a URI leaves out (RFC 4975, section 6).
const DefaultPort = 2855

// Transports named in MSRP URIs. Others are carried along unread.
const (
	TransportTCP = "tcp" // RFC 4975; with the scheme msrps it is TLS over TCP
	TransportWS  = "ws"  // RFC 7977
)

// maxURI is the longest URI accepted, in octets.
const maxURI = 2048

// A URI is an MSRP URI (RFC 4975, section 6):
//
//	msrps://alice@host.example.com:2855/sessionid;tcp
//
// A URI is an immutable value that remembers its exact spelling, because
// peers compare paths as text. The zero value is no URI. Compare with
// [URI.Equal]; == compares spellings.
type URI struct {
	raw string
	// Offsets into raw; an empty range is an absent part.
	host, session, transport span
	port                     uint16
	secure                   bool
}

type span struct{ from, to uint16 }

func (u URI) part(s span) string { return u.raw[s.from:s.to] }

// ParseURI reads one URI. The port may be absent, as in the To-Path of an AUTH
// request, only where the host is a name.
func ParseURI(s string) (URI, error) {
	u, problem := parseURI(s)
	if problem != "" {
		if len(s) > 200 {
			s = s[:200] + "…"
		}
		return URI{}, errors.New("msrp: URI " + strconv.Quote(s) + ": " + problem)
	}
	return u, nil
}

// MakeURI builds a URI from its parts. The host may be a name or an IP address
// (IPv6 with or without brackets); port 0 and an empty session ID leave the
// part out.
func MakeURI(secure bool, host string, port int, sessionID, transport string) (URI, error) {
	var b strings.Builder
	b.WriteString("msrp")
	if secure {
		b.WriteString("s")
	}
	b.WriteString("://")
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		b.WriteString("[" + host + "]")
	} else {
		b.WriteString(host)
	}
	if port != 0 {
		b.WriteString(":" + strconv.Itoa(port))
	}
	if sessionID != "" {
		b.WriteString("/" + sessionID)
	}
	b.WriteString(";" + transport)
	return ParseURI(b.String())
}

// parseURI returns what is wrong with s, or "" and the URI.
func parseURI(s string) (u URI, problem string) {
	if len(s) > maxURI {
		return URI{}, "longer than " + strconv.Itoa(maxURI) + " octets"
	}
	u.raw = s
	scheme, _, ok := strings.Cut(s, "://")
	switch {
	case !ok:
		return URI{}, "no scheme msrp:// or msrps://"
	case strings.EqualFold(scheme, "msrp"):
	case strings.EqualFold(scheme, "msrps"):
		u.secure = true
	default:
		return URI{}, "the scheme is not msrp or msrps"
	}
	at := len(scheme) + len("://")

	// The authority ends at the session ID or at the transport.
	end := at
	for end < len(s) && s[end] != '/' && s[end] != ';' {
		end++
	}
	if end == len(s) {
		return URI{}, "no ;transport"
	}
	authority := s[at:end]
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user := authority[:i]
		if strings.Contains(user, ":") {
			return URI{}, "a password in the user part"
		}
		if !all(user, isUserChar) {
			return URI{}, "a bad character in the user part"
		}
		at += i + 1
		authority = authority[i+1:]
	}
	hostLen, ip, problem := parseHost(authority)
	if problem != "" {
		return URI{}, problem
	}
	u.host = span{uint16(at), uint16(at + hostLen)}
	if rest := authority[hostLen:]; rest != "" {
		port, err := strconv.ParseUint(rest[1:], 10, 16)
		if rest[0] != ':' || err != nil || port == 0 {
			return URI{}, "the port is not a number from 1 to 65535"
		}
		u.port = uint16(port)
	} else if ip {
		return URI{}, "an IP address needs a port"
	}

	at = end
	if s[at] == '/' {
		at++
		end = at + strings.IndexByte(s[at:], ';')
		if end < at {
			return URI{}, "no ;transport"
		}
		if end == at {
			return URI{}, "the session ID is empty"
		}
		if !all(s[at:end], isSessionIDChar) {
			return URI{}, "a bad character in the session ID"
		}
		u.session = span{uint16(at), uint16(end)}
		at = end
	}

	at++ // the semicolon
	end = at
	for end < len(s) && isAlphanum(s[end]) {
		end++
	}
	if end == at {
		return URI{}, "no ;transport"
	}
	u.transport = span{uint16(at), uint16(end)}
	for params := s[end:]; params != ""; {
		if params[0] != ';' {
			return URI{}, "a bad character after the transport"
		}
		var param string
		param, params = cutParam(params[1:])
		name, value, hasValue := strings.Cut(param, "=")
		if !isToken(name) || hasValue && !isToken(value) {
			return URI{}, "a bad URI parameter"
		}
	}
	return u, ""
}

func cutParam(s string) (param, rest string) {
	if i := strings.IndexByte(s, ';'); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// parseHost returns the length of the host at the start of authority and
// whether it is an IP address.
func parseHost(authority string) (length int, ip bool, problem string) {
	if strings.HasPrefix(authority, "[") {
		i := strings.IndexByte(authority, ']')
		if i < 0 {
			return 0, false, "no ] after the IPv6 address"
		}
		inner := authority[1:i]
		if _, ok := parseIP(inner); !ok || !strings.Contains(inner, ":") {
			return 0, false, "what stands in brackets is not an IPv6 address"
		}
		return i + 1, true, ""
	}
	host, _, _ := strings.Cut(authority, ":")
	if host == "" {
		return 0, false, "no host"
	}
	if strings.Count(authority, ":") > 1 {
		return 0, false, "an IPv6 address needs brackets"
	}
	if !all(host, isHostChar) {
		return 0, false, "a bad character in the host"
	}
	_, ip = parseIP(host)
	return len(host), ip, ""
}

// String returns the URI as it was written.
func (u URI) String() string { return u.raw }

// IsZero reports whether u is no URI.
func (u URI) IsZero() bool { return u.raw == "" }

// Secure reports whether the scheme is msrps: the connection must use TLS.
func (u URI) Secure() bool { return u.secure }

// Host returns the host as written, an IPv6 address without its brackets.
func (u URI) Host() string {
	h := u.part(u.host)
	if strings.HasPrefix(h, "[") {
		return h[1 : len(h)-1]
	}
	return h
}

// Port returns the port, or 0 where the URI names none.
func (u URI) Port() int { return int(u.port) }

// HostPort returns host and port in the form that net.Dial takes.
func (u URI) HostPort() string {
	return u.part(u.host) + ":" + strconv.Itoa(int(u.port))
}

// SessionID returns the session ID, or "" where the URI has none.
func (u URI) SessionID() string { return u.part(u.session) }

// Transport returns the transport as written, for instance "tcp" or "ws".
func (u URI) Transport() string { return u.part(u.transport) }

// HasTransport reports whether the URI's transport is t, whatever its case.
func (u URI) HasTransport(t string) bool { return strings.EqualFold(u.Transport(), t) }

// Equal compares as RFC 4975, section 6.1 says: scheme, host and transport
// without regard to case, IP addresses as addresses, ports as numbers, session
// IDs exactly; the user part and further parameters do not count.
func (u URI) Equal(v URI) bool {
	if u.raw == v.raw {
		return true
	}
	return u.SessionID() == v.SessionID() && u.SameAuthority(v) &&
		strings.EqualFold(u.Transport(), v.Transport())
}

// SameAuthority reports whether scheme, host and port are equal, which is when
// two URIs may share a connection (RFC 4975, section 5.4).
func (u URI) SameAuthority(v URI) bool {
	return u.secure == v.secure && u.port == v.port && sameHost(u.part(u.host), v.part(v.host))
}

func sameHost(a, b string) bool {
	if a == b {
		return true
	}
	a, b = unescapeUnreserved(a), unescapeUnreserved(b)
	if strings.EqualFold(a, b) {
		return true
	}
	addrA, okA := parseIP(strings.Trim(a, "[]"))
	addrB, okB := parseIP(strings.Trim(b, "[]"))
	return okA && okB && addrA == addrB
}

// unescapeUnreserved decodes the %-escapes that stand for unreserved
// characters; others keep their meaning only while escaped.
func unescapeUnreserved(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && isUnreserved(byte(c)) {
				out = append(out, byte(c))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// A Path is a list of URIs as To-Path, From-Path and Use-Path carry it: the
// leftmost is the next (or previous) hop, the rightmost the far end (RFC 4975,
// section 7.1).
type Path []URI

// maxPath is the greatest number of URIs in a path.
const maxPath = 32

// ParsePath reads URIs separated by blanks: at least one, at most 32.
func ParsePath(s string) (Path, error) {
	return appendPath(nil, s)
}

func appendPath(p Path, s string) (Path, error) {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			break
		}
		if len(p) == maxPath {
			return nil, errors.New("msrp: a path of more than " + strconv.Itoa(maxPath) + " URIs")
		}
		n := 0
		for n < len(s) && s[n] != ' ' && s[n] != '\t' {
			n++
		}
		word := s[:n]
		s = s[n:]
		u, err := ParseURI(word)
		if err != nil {
			return nil, err
		}
		p = append(p, u)
	}
	if len(p) == 0 {
		return nil, errors.New("msrp: an empty path")
	}
	return p, nil
}

// String returns the URIs separated by single spaces.
func (p Path) String() string { return string(p.append(nil)) }

func (p Path) append(dst []byte) []byte {
	for i, u := range p {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, u.raw...)
	}
	return dst
}

// Equal compares URI by URI, see [URI.Equal].
func (p Path) Equal(q Path) bool {
	if len(p) != len(q) {
		return false
	}
	for i := range p {
		if !p[i].Equal(q[i]) {
			return false
		}
	}
	return true
}

// First returns the leftmost URI, or the zero URI of an empty path.
func (p Path) First() URI {
	if len(p) == 0 {
		return URI{}
	}
	return p[0]
}

// Last returns the rightmost URI, or the zero URI of an empty path.
func (p Path) Last() URI {
	if len(p) == 0 {
		return URI{}
	}
	return p[len(p)-1]
}

// withoutPort returns the first URI that lacks its port, or the zero URI.
func (p Path) withoutPort() URI {
	for _, u := range p {
		if u.port == 0 {
			return u
		}
	}
	return URI{}
}

// Reverse returns a copy in the opposite order, as an SDP path lists a
// Use-Path (RFC 4976, section 5.1).
func (p Path) Reverse() Path {
	q := make(Path, len(p))
	for i, u := range p {
		q[len(p)-1-i] = u
	}
	return q
}

// Clone returns a copy that shares no memory with p, which may be part of a
// whole header.
func (p Path) Clone() Path {
	q := make(Path, len(p))
	for i, u := range p {
		u.raw = strings.Clone(u.raw)
		q[i] = u
	}
	return q
}

// Join returns a new path of p followed by more.
func (p Path) Join(more ...URI) Path {
	return append(append(make(Path, 0, len(p)+len(more)), p...), more...)
}
