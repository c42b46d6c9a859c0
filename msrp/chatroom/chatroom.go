// Package chatroom speaks with chat rooms (RFC 7701): conferences in which a
// switch passes what one participant sends to all others, or to one of them.
//
// A [Room] is what its SDP says of it. It wraps messages to everyone,
// [Room.Message], and to one participant, [Room.PrivateMessage], and tells of
// those that arrive which they are, [Room.Envelope]. [Room.SetNickname] asks for
// a nickname. What the room does not declare is refused.
//
// For who is the room itself, [Room.Deliver] decides about a message. The
// session with each participant has [msrp.SessionOptions.Nickname].
package chatroom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/cpim"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// What a room does not declare.
var (
	ErrNoNicknames       = errors.New("chatroom: the room has no nicknames")
	ErrNoPrivateMessages = errors.New("chatroom: the room has no private messages")
)

// A Room is a chat room. A new exchange of SDP makes a new one: what the latest
// SDP does not declare is not there any more (RFC 7701, section 8).
type Room struct {
	// URI is that by which participants join the room.
	URI string
	// Stream is what the latest SDP of the room says; for the room itself, its
	// own.
	Stream sdp.Stream
}

// Nicknames reports whether participants can have nicknames.
func (r Room) Nicknames() bool { return slices.Contains(r.Stream.Chatroom, sdp.ChatroomNickname) }

// PrivateMessages reports whether participants can write to a single one.
func (r Room) PrivateMessages() bool { return hasPrivateMessages(&r.Stream) }

func hasPrivateMessages(s *sdp.Stream) bool {
	return slices.Contains(s.Chatroom, sdp.ChatroomPrivateMessages)
}

// SetNickname asks the room for a nickname, as [msrp.Session.SetNickname] does.
// The error is [ErrNoNicknames] where the room does not declare any.
func (r Room) SetNickname(ctx context.Context, s *msrp.Session, name string) error {
	if !r.Nicknames() {
		return ErrNoNicknames
	}
	return s.SetNickname(ctx, name)
}

// Message wraps a message to everyone in the room (RFC 7701, section 6.1), to be
// sent as [cpim.Message.Encode] says. from is the sender as the room knows it. A
// type that the room does not take is [msrp.ErrUnsupportedType].
func (r Room) Message(from cpim.Address, contentType string, body io.Reader) (*cpim.Message, error) {
	return r.wrap(from, cpim.Address{URI: r.URI}, contentType, body)
}

// PrivateMessage wraps a message to one participant (RFC 7701, section 6.2). The
// error is [ErrNoPrivateMessages] where the room does not declare such: it could
// show the message to everyone. Else it is as for [Room.Message].
func (r Room) PrivateMessage(from, to cpim.Address, contentType string, body io.Reader) (*cpim.Message, error) {
	switch {
	case !r.PrivateMessages():
		return nil, ErrNoPrivateMessages
	case sameURI(to.URI, r.URI):
		return nil, errors.New("chatroom: a private message to the room itself")
	}
	return r.wrap(from, to, contentType, body)
}

func (r Room) wrap(from, to cpim.Address, contentType string, body io.Reader) (*cpim.Message, error) {
	if !takes(&r.Stream, contentType) {
		return nil, msrp.ErrUnsupportedType
	}
	m := &cpim.Message{
		Header:      cpim.Header{cpim.From(from), cpim.To(to), cpim.DateTime(time.Now())},
		ContentType: contentType, Body: body,
	}
	if _, err := m.Head(); err != nil {
		return nil, err
	}
	return m, nil
}

// takes reports whether a type may be sent within message/cpim.
func takes(s *sdp.Stream, contentType string) bool {
	_, wrapped := s.Takes(contentType)
	return wrapped
}

// An Envelope says from whom a message in a room is, and to whom.
type Envelope struct {
	// From is the participant who wrote it, by a URI that the room vouches for.
	From cpim.Address
	// To is the room, or the participant to whom a private message is.
	To      cpim.Address
	Private bool
}

// Envelope reads that of a message that arrived from the room (RFC 7701,
// sections 6.1 and 6.2). One without sender and with other than one recipient is
// an error.
func (r Room) Envelope(m *cpim.Message) (Envelope, error) {
	from, err := m.Header.From()
	if err != nil {
		return Envelope{}, fmt.Errorf("chatroom: From: %w", err)
	}
	to, err := m.Header.To()
	if err != nil {
		return Envelope{}, fmt.Errorf("chatroom: To: %w", err)
	}
	if len(to) != 1 {
		return Envelope{}, errors.New("chatroom: a message to several recipients")
	}
	return Envelope{from, to[0], !sameURI(to[0].URI, r.URI)}, nil
}

// A Participant is somebody in the room, at one endpoint.
type Participant struct {
	// URIs are those by which the room knows the participant, anonymous ones
	// included.
	URIs []string
	// Stream is what the latest SDP of the participant says.
	Stream sdp.Stream
}

func (p *Participant) is(uri string) bool {
	return slices.ContainsFunc(p.URIs, func(own string) bool { return sameURI(own, uri) })
}

// Deliver says who of all in the room gets a copy of a message of sender, and
// with which code the sender is answered (RFC 7701, sections 6.1 to 6.3): 200, or
// 415 where m is nil, which stands for a message without a wrapper, or of a type
// that the room does not take; 403 where From is not the sender, To are several,
// or private messages are not declared; 404 where To is nobody in the room; 428
// where they do not support private messages. The copy is to be passed on octet
// by octet. The content is not read.
//
// Who does not take the type gets no copy. The sender gets one at other
// endpoints only.
func (r Room) Deliver(m *cpim.Message, sender *Participant, all []*Participant) (to []*Participant, code int) {
	if m == nil {
		return nil, msrp.StatusUnsupportedType
	}
	if from, err := m.Header.From(); err != nil || !sender.is(from.URI) {
		return nil, msrp.StatusForbidden
	}
	recipients, err := m.Header.To()
	switch {
	case len(m.Header.Fields(cpim.Namespace, "To")) > 1:
		return nil, msrp.StatusForbidden
	case err != nil:
		return nil, msrp.StatusNotFound
	case !takes(&r.Stream, m.ContentType):
		return nil, msrp.StatusUnsupportedType
	}
	private := !sameURI(recipients[0].URI, r.URI)
	if private && !r.PrivateMessages() {
		return nil, msrp.StatusForbidden
	}
	code = msrp.StatusOK
	if private {
		code = msrp.StatusNotFound
	}
	for _, p := range all {
		if private {
			switch {
			case !p.is(recipients[0].URI):
				continue
			case !hasPrivateMessages(&p.Stream):
				if code == msrp.StatusNotFound {
					code = msrp.StatusNoPrivateMessage
				}
				continue
			}
			code = msrp.StatusOK
		}
		if p != sender && takes(&p.Stream, m.ContentType) {
			to = append(to, p)
		}
	}
	return to, code
}

// sameURI reports whether two URIs stand for the same participant or room. The
// case of scheme and host does not count, and neither do the parameters of a SIP
// URI: they tell how to get there rather than who it is. In a tel URI they do,
// but not the separators that are for the eye (RFC 3966, section 4).
func sameURI(a, b string) bool { return canonical(a) == canonical(b) }

func canonical(uri string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	scheme = strings.ToLower(scheme)
	if scheme == "tel" {
		return "tel:" + strings.ToLower(strings.NewReplacer("-", "", ".", "", "(", "", ")", "").Replace(rest))
	}
	at := strings.LastIndexByte(rest, '@') + 1
	host := rest[at:]
	if end := strings.IndexAny(host, ";?"); end >= 0 {
		host = host[:end]
	}
	return scheme + ":" + rest[:at] + strings.ToLower(host)
}
