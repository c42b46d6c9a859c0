package sdp

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/webmsrp/webmsrp/msrp"
)

// Agreement is what an offer and its answer settle for one side about one
// stream.
type Agreement struct {
	// Peer is the other side's stream.
	Peer Stream
	// Active is set where this side sends the first request, and connects
	// unless it has a relay.
	Active bool
	// Direction is which way ordinary messages go, as this side sees it.
	Direction Direction
	// Anchor is where to connect instead of the first URI of the peer's path,
	// if it is set: a middlebox (RFC 6714, section 4).
	Anchor Address
	// Err says why there is no agreement, for [AnswerStreams] alone; Peer then
	// is as far as it could be read.
	Err error
}

// Offer returns a description that offers each stream on a line of its own. A
// stream's Setup should be actpass where peers can reach the path, else active;
// passive becomes actpass, and nothing active (RFC 6135, section 4.2).
// [Stream.Check] tells whether a stream can be offered.
func Offer(username string, id uint64, streams ...Stream) *Description {
	media := make([]Media, len(streams))
	for i, s := range streams {
		switch {
		case s.Setup == Passive, s.CEMA && s.relayed():
			s.Setup = ActPass
		case s.Setup != ActPass: // holdconn would be among the others
			s.Setup = Active
		}
		if s.File != nil && s.File.Disposition == "" && s.Direction == SendOnly {
			file := *s.File
			file.Disposition = "render" // the default, but crocodile-msrp fails without
			s.File = &file
		}
		media[i] = s.Media()
	}
	return describe(username, id, media...)
}

func describe(username string, id uint64, media ...Media) *Description {
	host := anywhere
	for _, m := range media {
		if m.Connection != "" {
			host = m.Connection
			break
		}
	}
	return &Description{Origin: Origin{username, id, 1, host}, Connection: host, Media: media}
}

// Answer answers an offer with the stream own, of which Setup says which role
// it can take: active, passive, or actpass for either. In the answer to a
// renewed offer it should be the role taken before. The first stream that can
// be used is taken and all others are refused. The error tells why none can;
// then the offer is to be refused as a whole (RFC 4975, section 8.6: 488).
//
// Without a File own is for a conversation. Only where the offer has no other
// stream it takes one on which the peer sends a whole file, see Peer.File. With
// a File it takes nothing else: the part of the file that is to be received, or
// the file to be sent.
func Answer(username string, id uint64, offer *Description, own Stream) (answer *Description, agreed Agreement, err error) {
	taken, isFile := -1, false
	problems := []error{errors.New("sdp: the offer has no MSRP stream that can be used")}
	for i := range offer.Media {
		peer, err := offer.Stream(i)
		if err == nil {
			err = own.accept(&peer, &Stream{}, &Agreement{})
		}
		switch {
		case err != nil:
			problems = append(problems, errors.New("m= line "+strconv.Itoa(i+1)+": "+err.Error()))
		case taken < 0, isFile && own.File == nil && peer.transfer() == nil:
			taken, isFile = i, peer.transfer() != nil
		}
	}
	if taken < 0 {
		return nil, agreed, errors.Join(problems...)
	}
	answer, agreements := AnswerStreams(username, id, offer, func(i int, _ *Stream) (*Stream, error) {
		if i != taken {
			return nil, nil
		}
		return &own, nil
	})
	return answer, agreements[taken], nil
}

// AnswerStreams answers an offer line by line. For each stream that can be read
// it asks choose for the own one, which is as for [Answer]; an error, or none,
// refuses the stream. The agreements stand in the order of the m= lines (RFC
// 3264, section 6). If all have an Err, the offer is better refused as a whole.
func AnswerStreams(username string, id uint64, offer *Description, choose func(i int, peer *Stream) (own *Stream, err error)) (*Description, []Agreement) {
	media := make([]Media, len(offer.Media))
	agreements := make([]Agreement, len(offer.Media))
	for i := range offer.Media {
		media[i] = offer.Media[i].Refused()
		a := &agreements[i]
		if a.Peer, a.Err = offer.Stream(i); a.Err != nil {
			continue
		}
		var own *Stream
		if own, a.Err = choose(i, &a.Peer); own == nil && a.Err == nil {
			a.Err = ErrRefused
		}
		if a.Err == nil {
			var taken Stream
			if a.Err = own.accept(&a.Peer, &taken, a); a.Err == nil {
				media[i] = taken.Media()
			}
		}
	}
	return describe(username, id, media...), agreements
}

// accept answers an offered stream with taken, which is this side's own stream
// s as far as the offer allows, and tells in a all but the peer's.
func (s *Stream) accept(peer, taken *Stream, a *Agreement) error {
	if peer.Secure() != s.Secure() {
		return errors.New("sdp: one side uses TLS and the other does not")
	}
	if !Common(s.AcceptTypes, peer.AcceptTypes) {
		return errors.New("sdp: no common type: the offer takes " + strings.Join(peer.AcceptTypes, " "))
	}
	if s.CEMA && !peer.CEMA && peer.Anchor.Host != "" {
		// It will be offered again (RFC 6714, section 4.3).
		return errors.New("sdp: c= and m= lines contradict the path, and a=msrp-cema is missing")
	}
	cema := s.CEMA && peer.CEMA && !(s.relayed() && peer.relayed())
	switch peer.Setup {
	case Passive: // not allowed in offers, but FreeSWITCH and msrp-node-lib do it
		a.Active = true
	case ActPass:
		// A relay of the offerer cannot be told to connect to a middlebox.
		a.Active = s.Setup == Active || cema && peer.relayed() && s.Setup != Passive
	}
	*taken = *s
	taken.Setup = Passive
	if a.Active {
		taken.Setup = Active
	}
	if s.Setup != ActPass && s.Setup != "" && s.Setup != taken.Setup {
		return errors.New("sdp: a=setup:" + string(peer.Setup) + " leaves this side a role it cannot take")
	}
	taken.CEMA = cema && !(a.Active && s.relayed()) && !(!a.Active && peer.relayed())
	if taken.CEMA && a.Active {
		a.Anchor = peer.Anchor
	}
	taken.Direction = peer.Direction.Reverse().within(s.Direction)
	a.Direction = taken.Direction
	return s.acceptFile(peer, taken)
}

// Accepted reads the answer to an offer of one stream, in which this side
// offered that Setup. [Conclude] knows all of the offer, and checks more.
func Accepted(offered Setup, answer *Description) (a Agreement, err error) {
	if a.Peer, err = answer.Stream(0); err == nil {
		err = a.conclude(offered)
	}
	return a, err
}

// conclude settles the roles where a.Peer answers.
func (a *Agreement) conclude(offered Setup) error {
	a.Active = offered != Passive && !(offered == ActPass && a.Peer.Setup == Active)
	a.Direction = a.Peer.Direction.Reverse()
	if a.Active && a.Peer.Setup == Active {
		return errors.New("sdp: both sides want to be active")
	}
	return nil
}

// ErrFallback is the error of an answer from behind a middlebox that this
// exchange does not get along with: the stream is to be offered again without
// CEMA (RFC 6714, section 4.2).
var ErrFallback = errors.New("sdp: to be offered again without a=msrp-cema")

// Conclude reads what the answer says about line i of an own offer. It returns
// [ErrRefused] for a stream that the peer does not want and [ErrFallback] for
// one to be offered in another way; after any other error the stream should be
// given up by an offer in which it is refused.
func Conclude(offer, answer *Description, i int) (a Agreement, err error) {
	own, err := offer.Stream(i)
	if err != nil {
		return a, err
	}
	if a.Peer, err = answer.Stream(i); err != nil {
		return a, err
	}
	if len(answer.Media) != len(offer.Media) || a.Peer.Secure() != own.Secure() {
		return a, errors.New("sdp: the answer has other m= lines than the offer")
	}
	if err = a.conclude(own.Setup); err != nil {
		return a, err
	}
	a.Direction = a.Direction.within(own.Direction)
	if own.CEMA && a.Peer.Anchor.Host != "" {
		direct := a.Active && !own.relayed()
		if !a.Peer.CEMA && (!direct || a.Peer.relayed()) {
			return a, ErrFallback
		}
		if direct {
			a.Anchor = a.Peer.Anchor
		}
	}
	return a, own.concludeFile(&a.Peer)
}

// Resolve finds out which hosts of c= lines and of paths are the same under
// different names, and makes these c= lines of d say what the path says. CEMA
// needs it, or a host that seems to be another one is taken for a middlebox
// (RFC 6714, section 4). lookup returns the IP addresses of a host, as
// [net.Resolver.LookupHost] does.
func (d *Description) Resolve(lookup func(host string) []string) {
	addresses := func(host string) []string { return append([]string{host}, lookup(host)...) }
	for i := range d.Media {
		s, err := d.Stream(i)
		if err != nil || s.Anchor.Host == "" {
			continue
		}
		anchors := addresses(s.Anchor.Host)
		for _, uri := range s.Path {
			if uri.Port() == s.Anchor.Port && slices.ContainsFunc(addresses(uri.Host()), func(host string) bool {
				u, err := msrp.MakeURI(uri.Secure(), host, uri.Port(), "", uri.Transport())
				return err == nil && slices.ContainsFunc(anchors, func(anchor string) bool {
					return isAt(u, anchor, uri.Port())
				})
			}) {
				d.Media[i].Connection = uri.Host()
				break
			}
		}
	}
}

// Common reports whether two lists of media types have a type in common,
// wildcards included and parameters left out (RFC 4975, section 8.6).
func Common(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return takes(b, x) }) ||
		slices.ContainsFunc(b, func(y string) bool { return takes(a, y) })
}
