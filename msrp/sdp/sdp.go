// Package sdp is the part of SDP that sets up MSRP sessions: the m=message
// lines of RFC 4975, section 8, with the roles of RFC 6135 and the fingerprints
// of RFC 8122.
//
// [Offer] and [Answer] do the whole exchange for a session of one stream.
// Those who keep a larger description of their own read and write its stream
// with [Media.Stream] and [Stream.Media].
package sdp

import (
	"errors"
	"strconv"
	"strings"

	"github.com/webmsrp/webmsrp/msrp"
)

// Bounds on what [Parse] reads, in octets and in media descriptions.
const (
	maxSize  = 64 << 10
	maxMedia = 64
)

// A Description is a session description (RFC 8866). Lines that MSRP has no
// use for are not kept.
type Description struct {
	Origin     Origin
	Name       string // of the session, "-" if empty
	Connection string // the host of the session's c= line, or ""
	Attributes []Attribute
	Media      []Media
}

// Origin identifies a session and its versions: a new version follows each
// change of the description, and nothing else.
type Origin struct {
	Username string // "-" if empty
	ID       uint64
	Version  uint64
	Address  string
}

// An Attribute is an a= line. Value is "" for a bare name.
type Attribute struct{ Name, Value string }

// Media is an m= line with what belongs to it.
type Media struct {
	Kind       string // "message" for MSRP
	Port       int    // 0 where the stream is refused or over
	Proto      string
	Formats    string
	Connection string // the host of its own c= line, or ""
	Attributes []Attribute
}

// Get returns the value of the first attribute of that name and whether there
// is one.
func (m *Media) Get(name string) (string, bool) { return get(m.Attributes, name) }

func get(list []Attribute, name string) (string, bool) {
	for _, a := range list {
		if strings.EqualFold(a.Name, name) {
			return a.Value, true
		}
	}
	return "", false
}

// Parse reads a session description of at most 64 KiB. Lines may end in LF
// alone. Unknown lines are skipped; a broken o= or m= line is an error.
func Parse(s string) (*Description, error) {
	if len(s) > maxSize {
		return nil, errors.New("sdp: longer than 64 KiB")
	}
	d := &Description{}
	attributes, connection := &d.Attributes, &d.Connection
	for n, line := range strings.Split(strings.TrimRight(s, "\r\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		kind, value, ok := strings.Cut(line, "=")
		if !ok || len(kind) != 1 {
			return nil, lineError(n, "want x=value", line)
		}
		if (n == 0) != (kind == "v") || n == 0 && value != "0" {
			return nil, lineError(n, "want v=0 as the first line", line)
		}
		switch kind {
		case "o":
			if d.Origin, ok = parseOrigin(value); !ok {
				return nil, lineError(n, "want o=user id version IN IP4 address", line)
			}
		case "s":
			d.Name = strings.TrimSpace(value)
		case "c":
			// IN IP4 host, IN IP6 host; a TTL behind a slash is for multicast.
			if f := strings.Fields(value); len(f) == 3 {
				*connection, _, _ = strings.Cut(f[2], "/")
			}
		case "a":
			name, value, _ := strings.Cut(value, ":")
			*attributes = append(*attributes, Attribute{strings.TrimSpace(name), strings.TrimSpace(value)})
		case "m":
			if len(d.Media) == maxMedia {
				return nil, lineError(n, "more than 64 m= lines", line)
			}
			m, ok := parseMedia(value)
			if !ok {
				return nil, lineError(n, "want m=kind port proto formats", line)
			}
			d.Media = append(d.Media, m)
			last := &d.Media[len(d.Media)-1]
			attributes, connection = &last.Attributes, &last.Connection
		}
	}
	return d, nil
}

func lineError(n int, problem, line string) error {
	if len(line) > 80 {
		line = line[:80] + "…"
	}
	return errors.New("sdp: line " + strconv.Itoa(n+1) + ": " + problem + ", got " + strconv.Quote(line))
}

func parseOrigin(s string) (Origin, bool) {
	f := strings.Fields(s)
	if len(f) != 6 {
		return Origin{}, false
	}
	id, err1 := strconv.ParseUint(f[1], 10, 64)
	version, err2 := strconv.ParseUint(f[2], 10, 64)
	return Origin{f[0], id, version, f[5]}, err1 == nil && err2 == nil
}

func parseMedia(s string) (Media, bool) {
	f := strings.Fields(s)
	if len(f) < 4 {
		return Media{}, false
	}
	port, _, _ := strings.Cut(f[1], "/") // a count of ports may follow
	n, err := strconv.ParseUint(port, 10, 16)
	return Media{Kind: f[0], Port: int(n), Proto: f[2], Formats: strings.Join(f[3:], " ")}, err == nil
}

// String returns the description in wire form.
func (d *Description) String() string {
	o := d.Origin
	id := strconv.FormatUint(o.ID, 10) + " " + strconv.FormatUint(o.Version, 10)
	lines := []string{"v=0", "o=" + orDash(o.Username) + " " + id + " " + network(o.Address), "s=" + orDash(d.Name)}
	if d.Connection != "" {
		lines = append(lines, "c="+network(d.Connection))
	}
	lines = appendAttributes(append(lines, "t=0 0"), d.Attributes)
	for _, m := range d.Media {
		lines = append(lines, "m="+m.Kind+" "+strconv.Itoa(m.Port)+" "+m.Proto+" "+m.Formats)
		if m.Connection != "" {
			lines = append(lines, "c="+network(m.Connection))
		}
		lines = appendAttributes(lines, m.Attributes)
	}
	return strings.Join(append(lines, ""), "\r\n")
}

func appendAttributes(lines []string, list []Attribute) []string {
	for _, a := range list {
		line := "a=" + a.Name
		if a.Value != "" {
			line += ":" + a.Value
		}
		lines = append(lines, line)
	}
	return lines
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func network(host string) string {
	if host == "" {
		host = "0.0.0.0"
	}
	if strings.Contains(host, ":") {
		return "IN IP6 " + host
	}
	return "IN IP4 " + host
}

// Setup says who connects, or under a relay who sends first (RFC 6135, section
// 4.2). "" is an absent attribute: the offerer is active (RFC 4975, section
// 8.5).
type Setup string

const (
	Active  Setup = "active"
	Passive Setup = "passive"
	ActPass Setup = "actpass" // in offers: the other side may choose
)

// A Direction restricts ordinary messages, not reports (RFC 4975, section
// 8.9). "" means both ways.
type Direction string

const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// A Stream is an MSRP stream: what an m=message line and its attributes say.
type Stream struct {
	// Path leads to the endpoint; its last URI is the endpoint's own.
	Path msrp.Path
	// AcceptTypes are the media types the endpoint takes, AcceptWrappedTypes
	// those it takes only inside others (RFC 4975, section 8.6).
	AcceptTypes, AcceptWrappedTypes []string
	// MaxSize is the largest message taken, in octets, or 0.
	MaxSize   int64
	Setup     Setup
	Direction Direction
	// Fingerprints are those of the endpoint's certificate, "sha-256 AB:CD…",
	// of which one must match (RFC 8122, section 5).
	Fingerprints []string
	// Attributes are the others, in order.
	Attributes []Attribute
}

// Protocols of m=message lines (RFC 4975, section 8.1).
const (
	ProtoTCP = "TCP/MSRP"
	ProtoTLS = "TCP/TLS/MSRP"
)

// Secure reports whether the stream runs over TLS.
func (s *Stream) Secure() bool { return s.Path.First().Secure() }

// Stream reads m as an MSRP stream. The error says why it cannot be used and
// is to be refused.
func (m *Media) Stream() (Stream, error) {
	if m.Kind != "message" {
		return Stream{}, errors.New("sdp: " + m.Kind + " is not MSRP")
	}
	secure := m.Proto == ProtoTLS
	switch {
	case !secure && m.Proto != ProtoTCP:
		return Stream{}, errors.New("sdp: the protocol " + m.Proto + " is not MSRP's")
	case m.Formats != "*":
		return Stream{}, errors.New("sdp: the format list of m=message must be *")
	case m.Port == 0:
		return Stream{}, ErrRefused
	}
	var s Stream
	for _, a := range m.Attributes {
		var err error
		switch strings.ToLower(a.Name) {
		case "path":
			s.Path, err = msrp.ParsePath(a.Value)
		case "accept-types":
			s.AcceptTypes = strings.Fields(a.Value)
		case "accept-wrapped-types":
			s.AcceptWrappedTypes = strings.Fields(a.Value)
		case "max-size":
			if n, err := strconv.ParseInt(a.Value, 10, 64); err == nil && n > 0 {
				s.MaxSize = n
			}
		case "setup":
			// holdconn is to be ignored (RFC 6135, section 4.2.1).
			if v := Setup(strings.ToLower(a.Value)); v == Active || v == Passive || v == ActPass {
				s.Setup = v
			}
		case "connection": // to be ignored as well (RFC 6135, section 4.4)
		case "sendrecv", "sendonly", "recvonly", "inactive":
			s.Direction = Direction(strings.ToLower(a.Name))
		case "fingerprint":
			s.Fingerprints = append(s.Fingerprints, a.Value)
		default:
			s.Attributes = append(s.Attributes, a)
		}
		if err != nil {
			return Stream{}, err
		}
	}
	switch {
	case s.Path == nil:
		return Stream{}, errors.New("sdp: the stream has no a=path")
	case len(s.AcceptTypes) == 0:
		return Stream{}, errors.New("sdp: the stream has no a=accept-types")
	case secure != s.Secure():
		return Stream{}, errors.New("sdp: " + m.Proto + " contradicts " + s.Path.First().String())
	}
	for _, uri := range s.Path {
		if uri.Port() == 0 {
			return Stream{}, errors.New("sdp: no port in " + uri.String())
		}
	}
	return s, nil
}

// ErrRefused is the error of a stream whose port is 0: the peer does not want
// it, or not any longer.
var ErrRefused = errors.New("sdp: the stream was refused")

// Media writes s. Host and port of the c= and m= lines are those of the first
// URI of the path, so that a peer that compares them finds them equal (RFC
// 6714, section 4).
func (s Stream) Media() Media {
	first := s.Path.First()
	m := Media{Kind: "message", Port: first.Port(), Proto: ProtoTCP, Formats: "*", Connection: first.Host()}
	if first.Secure() {
		m.Proto = ProtoTLS
	}
	add := func(name, value string) { m.Attributes = append(m.Attributes, Attribute{name, value}) }
	add("accept-types", strings.Join(s.AcceptTypes, " "))
	if len(s.AcceptWrappedTypes) > 0 {
		add("accept-wrapped-types", strings.Join(s.AcceptWrappedTypes, " "))
	}
	if s.MaxSize > 0 {
		add("max-size", strconv.FormatInt(s.MaxSize, 10))
	}
	if s.Setup != "" {
		add("setup", string(s.Setup))
	}
	if s.Direction != "" && s.Direction != SendRecv {
		add(string(s.Direction), "")
	}
	for _, f := range s.Fingerprints {
		add("fingerprint", f)
	}
	add("path", s.Path.String())
	m.Attributes = append(m.Attributes, s.Attributes...)
	return m
}
