package sdp

import (
	"errors"
	"strconv"
	"strings"

	"github.com/webmsrp/webmsrp/msrp"
)

// Agreement is what an offer and its answer settle for one side.
type Agreement struct {
	// Peer is the other side's stream.
	Peer Stream
	// Active is set where this side sends the first request, and connects
	// unless it has a relay.
	Active bool
}

// Offer returns a description that offers one stream. Its Setup should be
// actpass where peers can reach the path, else active (RFC 6135, section 4.2).
func Offer(username string, id uint64, s Stream) *Description {
	return describe(username, id, s.Media())
}

func describe(username string, id uint64, media ...Media) *Description {
	host := "0.0.0.0"
	for _, m := range media {
		if m.Connection != "" {
			host = m.Connection
			break
		}
	}
	return &Description{Origin: Origin{username, id, 1, host}, Connection: host, Media: media}
}

// Answer answers an offer with the stream own, of which Setup says which role
// it can take: active, passive, or actpass for either. The first stream that
// can be used is taken and all others are refused. The error tells why none
// can; then the offer is to be refused as a whole (RFC 4975, section 8.6: 488).
func Answer(username string, id uint64, offer *Description, own Stream) (*Description, Agreement, error) {
	var (
		agreement Agreement
		media     []Media
		problems  []error
	)
	for i := range offer.Media {
		m := &offer.Media[i]
		refused := Media{Kind: m.Kind, Proto: m.Proto, Formats: m.Formats}
		if agreement.Peer.Path != nil {
			media = append(media, refused)
			continue
		}
		peer, err := m.Stream()
		if err == nil {
			agreement, err = own.accept(peer)
		}
		if err != nil {
			problems = append(problems, errors.New("m= line "+strconv.Itoa(i+1)+": "+err.Error()))
			media = append(media, refused)
			continue
		}
		taken := own
		taken.Setup = Passive
		if agreement.Active {
			taken.Setup = Active
		}
		taken.Direction = reverse(peer.Direction)
		media = append(media, taken.Media())
	}
	if agreement.Peer.Path == nil {
		return nil, Agreement{}, errors.Join(append([]error{errors.New("sdp: the offer has no MSRP stream that can be used")}, problems...)...)
	}
	return describe(username, id, media...), agreement, nil
}

// accept checks an offered stream against this side's own.
func (s *Stream) accept(peer Stream) (Agreement, error) {
	if peer.Secure() != s.Secure() {
		return Agreement{}, errors.New("one side uses TLS and the other does not")
	}
	if !Common(s.AcceptTypes, peer.AcceptTypes) {
		return Agreement{}, errors.New("no common type: the offer takes " + strings.Join(peer.AcceptTypes, " "))
	}
	var active bool
	switch peer.Setup {
	case Passive: // not allowed in offers, but clear
		active = true
	case ActPass:
		active = s.Setup == Active
	}
	if active && s.Setup == Passive || !active && s.Setup == Active {
		return Agreement{}, errors.New("a=setup:" + string(peer.Setup) + " leaves this side a role it cannot take")
	}
	return Agreement{peer, active}, nil
}

// Accepted reads the answer to an offer of one stream, in which this side
// offered that Setup.
func Accepted(offered Setup, answer *Description) (Agreement, error) {
	if len(answer.Media) == 0 {
		return Agreement{}, errors.New("sdp: the answer has no m= line")
	}
	peer, err := answer.Media[0].Stream()
	if err != nil {
		return Agreement{}, err
	}
	active := true
	switch {
	case offered == Passive, offered == ActPass && peer.Setup == Active:
		active = false
	case offered == Active && peer.Setup == Active:
		return Agreement{}, errors.New("sdp: both sides want to be active")
	}
	return Agreement{peer, active}, nil
}

func reverse(d Direction) Direction {
	switch d {
	case SendOnly:
		return RecvOnly
	case RecvOnly:
		return SendOnly
	}
	return d
}

// Common reports whether two lists of media types have a type in common,
// wildcards included and parameters left out (RFC 4975, section 8.6).
func Common(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if msrp.MatchType(x, y) || msrp.MatchType(y, x) {
				return true
			}
		}
	}
	return false
}
