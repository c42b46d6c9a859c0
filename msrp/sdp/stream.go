package sdp

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/webmsrp/webmsrp/msrp"
)

// Setup says who connects, or under a relay who sends first (RFC 6135, section
// 4.2). "" is an absent attribute: the offerer is active (RFC 4975, section
// 8.5).
type Setup string

const (
	Active  Setup = "active"  // connects
	Passive Setup = "passive" // is connected to
	ActPass Setup = "actpass" // in offers: the other side may choose
)

// A Direction restricts ordinary messages, not reports and what else keeps the
// conversation going (RFC 4975, section 8.9). "" means both ways.
type Direction string

// Directions, from the side that says them.
const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// Sends reports whether the side that says d may send ordinary messages.
func (d Direction) Sends() bool { return d != RecvOnly && d != Inactive }

// Receives reports whether the side that says d takes ordinary messages.
func (d Direction) Receives() bool { return d != SendOnly && d != Inactive }

// Reverse returns d as the other side sees it.
func (d Direction) Reverse() Direction {
	switch d {
	case SendOnly:
		return RecvOnly
	case RecvOnly:
		return SendOnly
	}
	return d
}

// within returns what d and limit both allow (RFC 3264, section 6.1).
func (d Direction) within(limit Direction) Direction {
	sends, receives := d.Sends() && limit.Sends(), d.Receives() && limit.Receives()
	switch {
	case sends && receives:
		return d
	case sends:
		return SendOnly
	case receives:
		return RecvOnly
	}
	return Inactive
}

// An Address is where c= and m= lines say that a stream is. Host is "" if there
// is none.
type Address struct {
	Host string // a name or an IP address, IPv6 without brackets
	Port int
}

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
	// CEMA says that the endpoint copes with middleboxes that write themselves
	// into the c= and m= lines (RFC 6714).
	CEMA bool
	// Anchor is what the c= and m= lines say where no URI of Path says the
	// same: a middlebox, where it is not just carelessness. Only CEMA makes use
	// of it; all others connect by Path (RFC 4975, section 8.1).
	Anchor Address
	// File is the file that the stream is for, nil for a conversation.
	File *FileTransfer
	// Chatroom are the features of a chat room, such as [ChatroomNickname]:
	// nil where there is none, empty where it has none (RFC 7701, section 8).
	Chatroom []string
	// Resumes says that the endpoint remembers Message-IDs across the sessions of
	// one call: what it has received is not presented again when it comes once
	// more under its Message-ID in a session that a later offer made. So it is safe
	// to send again what was not confirmed (RFC 4975, section 5.4). The attribute,
	// a=webmsrp-resumes, is not registered; endpoints that do not know it ignore it.
	Resumes bool
	// Attributes are the others, in order.
	Attributes []Attribute
}

// Features of chat rooms, of which there may be others (RFC 7701, section 8).
const (
	ChatroomNickname        = "nickname"         // the NICKNAME method
	ChatroomPrivateMessages = "private-messages" // to one participant
)

// Protocols of m=message lines (RFC 4975, section 8.1).
const (
	ProtoTCP = "TCP/MSRP"
	ProtoTLS = "TCP/TLS/MSRP"
)

// discard is the port of those who will connect themselves (RFC 6135, section
// 4.2.2).
const discard = 9

// Secure reports whether the stream runs over TLS.
func (s *Stream) Secure() bool { return s.Path.First().Secure() }

// relayed reports whether the endpoint is behind a relay.
func (s *Stream) relayed() bool { return len(s.Path) > 1 }

// Takes reports whether the endpoint takes messages of a type as they are, and
// whether it takes them in message/cpim. Neither means that they must not be
// sent (RFC 4975, section 8.6).
func (s *Stream) Takes(contentType string) (bare, wrapped bool) {
	bare = takes(s.AcceptTypes, contentType)
	return bare, (bare || takes(s.AcceptWrappedTypes, contentType)) && takes(s.AcceptTypes, "message/cpim")
}

// PrefersWrapped reports whether the endpoint names message/cpim before all other
// types: then every message to it should be wrapped. It can be a gateway to
// systems that have nothing else (RFC 4975, section 13).
func (s *Stream) PrefersWrapped() bool {
	return len(s.AcceptTypes) > 0 && msrp.MatchType("message/cpim", s.AcceptTypes[0])
}

// ContainerTypes are the types that every endpoint must take and tell so in its
// accept-types, each or with * (RFC 4975, sections 7.3.1, 8.6, 13 and 14.3).
// Packages cpim and multipart read them.
var ContainerTypes = []string{"message/cpim", "multipart/mixed", "multipart/alternative", "multipart/signed"}

// hasContainer reports whether accept-types list a type that can contain
// others.
func hasContainer(list []string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		return msrp.MatchType(entry, "message/cpim") || msrp.MatchType("multipart/*", entry)
	})
}

func takes(list []string, contentType string) bool {
	return slices.ContainsFunc(list, func(entry string) bool { return msrp.MatchType(entry, contentType) })
}

// ErrRefused is the error of a stream whose port is 0: the peer does not want
// it, or not any longer.
var ErrRefused = errors.New("sdp: the stream was refused")

// Stream reads m alone as an MSRP stream. The error says why it cannot be used
// and is to be refused; it is [ErrRefused] where the port is 0.
func (m *Media) Stream() (Stream, error) {
	d := Description{Media: []Media{*m}}
	return d.Stream(0)
}

// What streams take from the session as a whole where they do not say it
// themselves (RFC 8866, section 6.7; RFC 4145, section 4; RFC 8122, section 5).
var inheritable = []string{"sendrecv", "sendonly", "recvonly", "inactive", "setup", "fingerprint"}

// Stream reads line i of the description as an MSRP stream, together with what
// the session says for all streams. Errors are those of [Media.Stream].
func (d *Description) Stream(i int) (s Stream, err error) {
	if i >= len(d.Media) {
		return s, errors.New("sdp: no m= line")
	}
	m := &d.Media[i]
	secure := m.Proto == ProtoTLS
	problem := ""
	switch {
	case m.Kind != "message":
		problem = m.Kind + " is not MSRP"
	case !secure && m.Proto != ProtoTCP:
		problem = "the protocol " + m.Proto + " is not MSRP's"
	case m.Formats != "*":
		problem = "the format list of m=message must be *"
	case m.Port == 0:
		return s, ErrRefused
	}
	if problem != "" {
		return s, errors.New("sdp: " + problem)
	}
	certificates := 0 // of the session, which count for TLS, and if there are no own
	for n, a := range append(append([]Attribute(nil), d.Attributes...), m.Attributes...) {
		name := strings.ToLower(a.Name)
		if n < len(d.Attributes) && !slices.Contains(inheritable, name) {
			continue
		}
		switch name {
		case "path":
			s.Path, err = msrp.ParsePath(a.Value)
		case "accept-types":
			s.AcceptTypes = strings.Fields(a.Value)
		case "accept-wrapped-types":
			s.AcceptWrappedTypes = nil
			if a.Value != "" {
				s.AcceptWrappedTypes = strings.Fields(a.Value)
			}
		case "max-size":
			s.MaxSize, _ = parseCount(a.Value)
		case "setup":
			// holdconn is to be ignored (RFC 6135, section 4.2.1).
			if v := Setup(strings.ToLower(a.Value)); v == Active || v == Passive || v == ActPass {
				s.Setup = v
			}
		case "connection": // to be ignored as well (RFC 6135, section 4.4)
		case "sendrecv", "sendonly", "recvonly", "inactive":
			s.Direction = Direction(name)
		case "fingerprint":
			s.Fingerprints = append(s.Fingerprints, a.Value)
			if n < len(d.Attributes) {
				certificates++
			}
		case "msrp-cema":
			s.CEMA = true
		case "webmsrp-resumes":
			s.Resumes = true
		case "chatroom":
			// Several lines count as one; SylkServer reads them so.
			s.Chatroom = append(append([]string{}, s.Chatroom...), strings.Fields(a.Value)...)
		default:
			file, known := s.File, false
			if strings.HasPrefix(name, "file-") {
				if file == nil {
					file = &FileTransfer{Selector: FileSelector{Size: -1}}
				}
				known, err = file.attribute(name, a.Value)
			}
			if known {
				s.File = file
			} else {
				s.Attributes = append(s.Attributes, a)
			}
		}
		if err != nil {
			return s, err
		}
	}
	if len(s.Fingerprints) > certificates || !secure {
		s.Fingerprints = s.Fingerprints[certificates:]
	}
	first := s.Path.First()
	switch {
	case s.Path == nil:
		problem = "the stream has no a=path"
	case len(s.AcceptTypes) == 0:
		problem = "the stream has no a=accept-types"
	case secure != first.Secure():
		problem = m.Proto + " contradicts " + first.String()
	}
	at := Address{m.Connection, m.Port}
	if at.Host == "" {
		at.Host = d.Connection
	}
	anchored := at.Host != "" && at.Host != anywhere && at.Host != "::" && at.Port != discard
	for _, uri := range s.Path {
		if uri.Port() == 0 {
			problem = "no port in " + uri.String()
		}
		anchored = anchored && !isAt(uri, at.Host, at.Port)
	}
	if anchored {
		s.Anchor = at
	}
	if problem != "" {
		return s, errors.New("sdp: " + problem)
	}
	return s, nil
}

// isAt reports whether a URI is there, without looking names up.
func isAt(uri msrp.URI, host string, port int) bool {
	u, err := msrp.MakeURI(uri.Secure(), host, port, "", msrp.TransportTCP)
	return err == nil && u.SameAuthority(uri)
}

// Media writes s. Host and port of the c= and m= lines are those of the first
// URI of the path, so that a peer that compares them finds them equal (RFC
// 6714, section 4), unless there is an Anchor.
func (s Stream) Media() Media {
	first := s.Path.First()
	m := Media{Kind: "message", Port: first.Port(), Proto: ProtoTCP, Formats: "*", Connection: first.Host()}
	if first.Secure() {
		m.Proto = ProtoTLS
	}
	if s.Anchor.Host != "" {
		m.Connection, m.Port = s.Anchor.Host, s.Anchor.Port
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
	if s.Direction != "" {
		add(string(s.Direction), "")
	}
	for _, f := range s.Fingerprints {
		add("fingerprint", f)
	}
	if s.CEMA {
		add("msrp-cema", "")
	}
	add("path", s.Path.String())
	if s.File != nil {
		s.File.write(add)
	}
	if s.Chatroom != nil {
		add("chatroom", strings.Join(s.Chatroom, " "))
	}
	if s.Resumes {
		add("webmsrp-resumes", "")
	}
	m.Attributes = append(m.Attributes, s.Attributes...)
	return m
}

// Check says what an own stream lacks to be offered, in terms of RFC 4975,
// section 8, and of RFC 5547, sections 6 and 8.2, for a file.
func (s Stream) Check() error {
	m := s.Media()
	if _, err := m.Stream(); err != nil {
		return err
	}
	if len(s.AcceptWrappedTypes) > 0 && !hasContainer(s.AcceptTypes) {
		return errors.New("sdp: accept-wrapped-types, and no container in accept-types that they could be in")
	}
	if s.File == nil {
		return nil
	}
	return s.File.checkOwn(s.Direction)
}
