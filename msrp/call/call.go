// Package call sets up an MSRP session by the offer/answer exchange of SDP, for
// hosts that leave the transport of the descriptions to others.
//
// One side makes a [Call], sends what [Call.Offer] returns to the other, and
// gives the answer to [Call.Accept]. The other gives the offer to
// [Call.Answer] and sends back what that returns.
package call

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// A Place is where peers reach a session, and how it reaches them.
type Place struct {
	// URI is the session's own URI.
	URI msrp.URI
	// Path is what SDP tells the peer.
	Path msrp.Path
	// UsePath goes in front of the peer's path: the own relays.
	UsePath msrp.Path
	// Conn is the connection to the own relay, nil without one.
	Conn *msrp.Conn
	// Dial connects to a peer that this side is to reach without a relay. It
	// is nil with one.
	Dial func(ctx context.Context, peer sdp.Stream) (*msrp.Conn, error)
	// Setup is which roles this side can take: active where nobody can connect
	// to it.
	Setup sdp.Setup
	// ChunkSize is the most octets of body in one SEND, 0 for the default.
	ChunkSize int
	// Fingerprint is that of the certificate peers meet at Path, or "".
	Fingerprint string
	// Direct is set where Path is a relay's that stands in for this side.
	Direct bool
}

// A Host provides places; secure asks for one that is reached over TLS.
type Host interface {
	Place(ctx context.Context, secure bool) (*Place, error)
}

// Options are the terms of a call.
type Options struct {
	Endpoint *msrp.Endpoint
	Host     Host
	// Secure asks for TLS in an offer; an answer follows the offer.
	Secure bool
	// Username stands in the o= line. Default "-".
	Username string
	// Session are the terms of the session; its URI comes from the Place.
	// AcceptTypes defaults to all types; a list should have what every endpoint
	// must take, [sdp.ContainerTypes].
	Session msrp.SessionOptions
	// AcceptWrappedTypes are taken inside containers only.
	AcceptWrappedTypes []string
	// Chatroom are the features of chat rooms that are declared to the peer,
	// such as [sdp.ChatroomPrivateMessages], without which a room delivers none
	// (RFC 7701, section 8). Default: nothing is said of chat rooms.
	Chatroom []string
}

// A Call is one session and the exchange that sets it up. Its methods are safe
// for concurrent use.
type Call struct {
	opts Options
	id   uint64 // of the o= line

	mu      sync.Mutex
	place   *Place
	session *msrp.Session
	peer    sdp.Stream
	offered sdp.Setup // what this side offered, "" before and once it was answered
}

// New returns a call that has not begun.
func New(opts Options) *Call {
	if len(opts.Session.AcceptTypes) == 0 {
		opts.Session.AcceptTypes = []string{"*"}
	}
	return &Call{opts: opts, id: rand.Uint64() >> 1}
}

// Session returns the session, nil before Offer or Answer.
func (c *Call) Session() *msrp.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Peer returns what the peer's SDP says, with which the session was started, and
// before that the zero value.
func (c *Call) Peer() sdp.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer
}

// Offer takes a place and returns the offer.
func (c *Call) Offer(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.place != nil {
		return "", errors.New("call: an offer or answer was made already")
	}
	if err := c.settle(ctx, c.opts.Secure); err != nil {
		return "", err
	}
	own := c.stream()
	if own.Setup == sdp.Passive {
		own.Setup = sdp.ActPass // offers must not be passive (RFC 6135, section 4.2)
	}
	c.offered = own.Setup
	return sdp.Offer(c.opts.Username, c.id, own).String(), nil
}

// Accept takes the answer to the offer and starts the session.
func (c *Call) Accept(ctx context.Context, answer string) error {
	d, err := sdp.Parse(answer)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.offered == "" {
		return errors.New("call: an answer without an offer")
	}
	agreed, err := sdp.Accepted(c.offered, d)
	if err != nil {
		return err
	}
	if err := c.start(ctx, agreed); err != nil {
		return err
	}
	c.offered = "" // or the answer, come twice, would connect twice
	return nil
}

// Answer takes an offer, starts the session and returns the answer. Where the
// offer cannot be accepted, the error says why and the call is over.
func (c *Call) Answer(ctx context.Context, offer string) (string, error) {
	d, err := sdp.Parse(offer)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.place != nil {
		return "", errors.New("call: an offer or answer was made already")
	}
	if err := c.settle(ctx, wantsSecure(d)); err != nil {
		return "", err
	}
	answer, agreed, err := sdp.Answer(c.opts.Username, c.id, d, c.stream())
	if err == nil {
		err = c.start(ctx, agreed)
	}
	if err != nil {
		c.session.Close()
		return "", err
	}
	return answer.String(), nil
}

// wantsSecure tells whether the first stream that could be taken runs over TLS.
func wantsSecure(offer *sdp.Description) bool {
	for i := range offer.Media {
		if s, err := offer.Media[i].Stream(); err == nil {
			return s.Secure()
		}
	}
	return false
}

// settle takes a place and makes the session; c.mu is held.
func (c *Call) settle(ctx context.Context, secure bool) error {
	place, err := c.opts.Host.Place(ctx, secure)
	if err != nil {
		return err
	}
	opts := c.opts.Session
	opts.URI = place.URI
	session, err := c.opts.Endpoint.NewSession(opts)
	if err != nil {
		return err
	}
	c.place, c.session = place, session
	return nil
}

func (c *Call) stream() sdp.Stream {
	s := sdp.Stream{
		Path:               c.place.Path,
		AcceptTypes:        c.opts.Session.AcceptTypes,
		AcceptWrappedTypes: c.opts.AcceptWrappedTypes,
		MaxSize:            c.opts.Session.MaxSize,
		Setup:              c.place.Setup,
		Chatroom:           c.opts.Chatroom,
	}
	if c.place.Fingerprint != "" && s.Secure() {
		s.Fingerprints = []string{c.place.Fingerprint}
	}
	return s
}

func (c *Call) start(ctx context.Context, agreed sdp.Agreement) error {
	r := msrp.Remote{
		Path:        c.place.UsePath.Join(agreed.Peer.Path...),
		Conn:        c.place.Conn,
		Active:      agreed.Active,
		AcceptTypes: agreed.Peer.AcceptTypes,
		MaxSize:     agreed.Peer.MaxSize,
		ChunkSize:   c.place.ChunkSize,
	}
	if c.place.Direct {
		r.Fingerprints = agreed.Peer.Fingerprints
	}
	if err := c.session.Err(); err != nil {
		return err // closed by now: nobody is to be connected to
	}
	if r.Active && r.Conn == nil {
		if c.place.Dial == nil {
			return errors.New("call: this side would have to connect, and cannot")
		}
		conn, err := c.place.Dial(ctx, agreed.Peer)
		if err != nil {
			return err
		}
		r.Conn = conn
	}
	if err := c.session.Start(r); err != nil {
		return err
	}
	c.peer = agreed.Peer
	return nil
}

// Close ends the session, if there is one.
func (c *Call) Close() error {
	if s := c.Session(); s != nil {
		return s.Close()
	}
	return nil
}
