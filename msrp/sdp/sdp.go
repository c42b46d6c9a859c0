// Package sdp is the part of SDP that sets up MSRP sessions: the m=message
// lines of RFC 4975, section 8, with the roles of RFC 6135, the fingerprints of
// RFC 8122, the files of RFC 5547, the middleboxes of RFC 6714 and the chat
// rooms of RFC 7701.
//
// [Offer], [Answer] and [Accepted] do the whole exchange for a session of one
// stream. With several, [AnswerStreams] and [Conclude] go line by line. The
// next exchange of the same session ends in [Description.After], which settles
// the version. Those who keep a larger description of their own read and write
// its streams with [Description.Stream] and [Stream.Media].
//
// The functions of the exchange are pure: they do no I/O, look up no names and
// change nothing they are given.
package sdp

import (
	"errors"
	"slices"
	"strconv"
	"strings"
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
	Name       string // of the session, "" for "-"
	Connection string // the host of the session's c= line, or ""
	Attributes []Attribute
	Media      []Media
}

// Origin identifies a session and its versions: a new version follows each
// change of the description, and nothing else (RFC 3264, section 8).
type Origin struct {
	Username string // "" for "-"
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
func (m *Media) Get(name string) (string, bool) {
	for _, a := range m.Attributes {
		if strings.EqualFold(a.Name, name) {
			return a.Value, true
		}
	}
	return "", false
}

// Refused returns m as the side that does not want it, or not any longer,
// writes it: with port 0 (RFC 3264, sections 6 and 8.2), and for a file with
// what says which one (RFC 5547, section 8.3).
func (m *Media) Refused() Media {
	refused := Media{Kind: m.Kind, Proto: m.Proto, Formats: m.Formats}
	for _, a := range m.Attributes {
		if name := strings.ToLower(a.Name); name == "file-selector" || name == "file-transfer-id" {
			refused.Attributes = append(refused.Attributes, a)
		}
	}
	return refused
}

// Parse reads a session description of at most 64 KiB. Lines may end in LF
// alone. Unknown lines are skipped; a broken o= or m= line is an error.
func Parse(s string) (*Description, error) {
	if len(s) > maxSize {
		return nil, errors.New("sdp: longer than 64 KiB")
	}
	d := &Description{Origin: Origin{Address: anywhere}}
	attributes, connection := &d.Attributes, &d.Connection
	begun := false
	for n, line := range strings.Split(s, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue // RCS clients for Android write some
		}
		kind, value, ok := strings.Cut(line, "=")
		if !ok || len(kind) != 1 || strings.ContainsAny(value, "\r\x00") {
			return nil, lineError(n, "want x=value", line)
		}
		if begun == (kind == "v") || !begun && strings.TrimSpace(value) != "0" {
			return nil, lineError(n, "want v=0 as the first line", line)
		}
		begun = true
		switch kind {
		case "o":
			if d.Origin, ok = parseOrigin(value); !ok {
				return nil, lineError(n, "want o=user id version IN IP4 address", line)
			}
		case "s":
			d.Name = fromDash(strings.TrimSpace(value))
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
	if !begun {
		return nil, lineError(0, "want v=0 as the first line", "")
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
	return Origin{fromDash(f[0]), id, version, f[5]}, err1 == nil && err2 == nil
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

// String returns the description in wire form. Line breaks within a value come
// out as blanks.
func (d *Description) String() string {
	o := d.Origin
	id := strconv.FormatUint(o.ID, 10) + " " + strconv.FormatUint(o.Version, 10)
	// One word, whatever the user is called.
	username := strings.Join(strings.Fields(oneLine(o.Username)), "_")
	lines := []string{"v=0", "o=" + orDash(username) + " " + id + " " + network(o.Address), "s=" + orDash(d.Name)}
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
	for i := range lines {
		lines[i] = oneLine(lines[i])
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

// oneLine keeps what a user supplied from making lines of its own.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if c == '\r' || c == '\n' || c == 0 {
			b[i] = ' '
		}
	}
	return string(b)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func fromDash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// anywhere stands where there is no address to tell.
const anywhere = "0.0.0.0"

func network(host string) string {
	if host == "" {
		host = anywhere
	}
	if strings.Contains(host, ":") {
		return "IN IP6 " + host
	}
	return "IN IP4 " + host
}

// After returns d as the description that follows previous, which this side
// sent before in the same session: with the o= line of previous, as it is if
// nothing else changed, else with the next version (RFC 3264, section 8; RFC
// 4975, section 8.4). Streams that d no longer has keep their m= lines, with
// port 0, and that of a file says which and in which direction (RFC 5547, section
// 8.4).
func (d *Description) After(previous *Description) *Description {
	next := *d
	next.Origin = previous.Origin
	if n := len(d.Media); n < len(previous.Media) {
		next.Media = slices.Clone(d.Media)
		for i := range previous.Media[n:] {
			m := &previous.Media[n+i]
			over := m.Refused()
			if len(over.Attributes) > 0 {
				// Offered as what it was (RFC 5547, section 8.4).
				for _, d := range [...]Direction{SendOnly, RecvOnly} {
					if _, ok := m.Get(string(d)); ok {
						over.Attributes = append(over.Attributes, Attribute{string(d), ""})
					}
				}
			}
			next.Media = append(next.Media, over)
		}
	}
	if next.String() != previous.String() {
		next.Origin.Version++
	}
	return &next
}
