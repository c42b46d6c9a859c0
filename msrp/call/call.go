// Package call sets up an MSRP session by the offer/answer exchange of SDP, for
// hosts that leave the transport of the descriptions to others.
//
// One side makes a [Call], sends what [Call.Offer] returns to the other, and
// gives the answer to [Call.Accept]. The other gives the offer to
// [Call.Answer] and sends back what that returns. Who does not want the call
// sends back what [Call.Refuse] returns.
//
// Either side can begin a new exchange at any time, with the same methods (RFC
// 4975, section 8.4). Where nothing has happened the new offer is the old one,
// and nothing does. After the connection was lost it names a new place, and so
// it does before a relay's token expires, by [Call.Renew]: then both sides get
// a new session in place of the old one. Each side has to look, after an
// exchange, whether [Call.Session] is still the same.
//
// [Call.End] makes the offer that ends it all.
//
// With [Options.File] a call is for one file, see package file.
package call

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

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
	// Dial connects to a peer that this side is to reach without a relay, at the
	// first URI of its path (RFC 4975, section 8.3); it is nil with one. The
	// connection is the host's to close, once the session is over.
	Dial func(ctx context.Context, peer sdp.Stream) (*msrp.Conn, error)
	// Setup is which roles this side can take: active where nobody can connect
	// to it.
	Setup sdp.Setup
	// ChunkSize is the most octets of body in one SEND, 0 for the default.
	ChunkSize int
	// Fingerprint is that of the certificate peers meet at Path, or "".
	Fingerprint string
	// Verify says whether a connection that was opened to Path is the peer's, see
	// Verify of [msrp.Remote]. nil takes all.
	Verify func(conn *msrp.Conn, peer sdp.Stream) error
	// Direct is set where Path is a relay's that stands in for this side.
	Direct bool
	// Until is when the relay gives the place to nobody any more, zero where that
	// is not known.
	Until time.Time
	// Release is called when the place is not needed any more. It may be nil.
	Release func()
}

// A Host provides places; secure asks for one that is reached over TLS. It is
// [RelayHost] behind a relay, and your own without one, as in the example.
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
	// must take, [sdp.ContainerTypes]. Of a session that has been replaced
	// StateChanged is told nothing more. StateChanged may run within a method of
	// the Call, so it must not call any itself.
	Session msrp.SessionOptions
	// AcceptWrappedTypes are taken inside containers only.
	AcceptWrappedTypes []string
	// Chatroom are the features of chat rooms that are declared to the peer,
	// such as [sdp.ChatroomPrivateMessages], without which a room delivers none
	// (RFC 7701, section 8). Default: nothing is said of chat rooms.
	Chatroom []string
	// Direction restricts ordinary messages (RFC 4975, section 8.9). An offer
	// of a file says sendonly, one that asks for a file recvonly (RFC 5547,
	// section 8.2). Default: both ways, or what an offer leaves.
	Direction sdp.Direction
	// File is the file to be offered or asked for. Answers to the offer of a
	// file name what is wanted of it, those to one that asks for a file the
	// file that there is; the ID in it does not count then. nil is a
	// conversation, of which the answer also takes a whole file, see
	// [sdp.Answer].
	File *sdp.FileTransfer
}

// A Call is one stream of a session description, the exchanges about it, and
// the session that comes of them. Other streams that a peer offers beside it are
// refused. Its methods are safe for concurrent use.
type Call struct {
	opts Options
	id   uint64 // of the o= line

	mu     sync.Mutex
	leg    *leg          // the session there is, nil before the first and without one
	latest *msrp.Session // that was made, which the next one resumes
	agreed sdp.Agreement
	file   *sdp.FileTransfer // agreed on, or nil
	own    *sdp.Description  // what this side said last, nil before
	line   int               // the stream's among its m= lines
	ended  bool              // by port 0, which both sides know
	closed bool              // by Close

	waiting *offer // for its answer, or nil
}

// An offer waits for its answer.
type offer struct {
	*sdp.Description
	leg *leg // what it offers: the one there is, or a new one; nil for port 0
}

// New returns a call that has not begun.
func New(opts Options) *Call {
	if len(opts.Session.AcceptTypes) == 0 {
		opts.Session.AcceptTypes = []string{"*"}
	}
	return &Call{opts: opts, id: rand.Uint64() >> 1}
}

// Session returns the session there is, nil before Offer or Answer. An exchange
// can replace it: once the new one is connected the old one ends, if it still
// lives. What it has received can be read afterwards, and what was not delivered
// is to be sent once more in the new one, see [msrp.Outgoing.Again], which takes
// nothing that the old one has taken.
func (c *Call) Session() *msrp.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leg == nil {
		return nil
	}
	return c.leg.session
}

// Until returns when the place of [Call.Session] ends, by which [Call.Renew] has
// to have found another, or zero.
func (c *Call) Until() (t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leg != nil {
		t = c.leg.place.Until
	}
	return t
}

// Peer returns what the peer's SDP says, with which the session was started, and
// before that the zero value.
func (c *Call) Peer() sdp.Stream { return c.Agreement().Peer }

// Agreement returns what the last exchange has settled, of which Err is not
// used.
func (c *Call) Agreement() sdp.Agreement {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.agreed
}

// File returns the transfer that the last exchange has settled, as the sender
// of the file describes it, or nil. Another ID than before means that the file,
// or the part of it, is to be transferred now, whatever was transferred before.
func (c *Call) File() *sdp.FileTransfer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.file
}

// SetFile changes Direction and File of the options for the next exchange. A
// file with another ID is offered with a new place: each session is for one
// transfer (RFC 5547, section 8.7).
func (c *Call) SetFile(d sdp.Direction, f *sdp.FileTransfer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opts.Direction, c.opts.File = d, f
}

var (
	errWaiting = errors.New("call: an offer of this side waits for its answer")
	errNoOffer = errors.New("call: an answer without an offer")
)

// Offer returns an offer, at first and again at any time. It takes a new place
// where there is none yet, where the session has failed, after the end of the
// call, and for another file. Else it repeats what this side said last, with the
// same o= line if that was an offer already. It fails where an offer waits for
// its answer, and with [msrp.ErrSessionClosed] after Close.
func (c *Call) Offer(ctx context.Context) (string, error) { return c.offer(ctx, false) }

// Renew is Offer with a new place in any case: before the relay's token for the
// old one expires, or to use another connection. The old session goes on until
// the new one is connected.
func (c *Call) Renew(ctx context.Context) (string, error) { return c.offer(ctx, true) }

func (c *Call) offer(ctx context.Context, move bool) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return "", msrp.ErrSessionClosed
	case c.waiting != nil:
		return "", errWaiting
	}
	secure, lost := c.opts.Secure, error(nil)
	if c.leg != nil {
		secure, lost = c.leg.place.URI.Secure(), c.leg.session.Err()
	}
	another := c.opts.File != nil && c.opts.File.ID != "" && (c.file == nil || c.opts.File.ID != c.file.ID)
	switch {
	case errors.Is(lost, msrp.ErrSessionClosed) && !c.ended:
		return "", lost
	case lost != nil && c.file != nil && !another:
		return "", errors.New("call: the transfer is over, and another needs a new ID") // RFC 5547, section 8.1
	}
	if c.leg != nil && !move && lost == nil && !another {
		// The same once more, except that nobody offers to be passive (RFC 6135,
		// section 4.2).
		next := *c.own
		next.Media = slices.Clone(next.Media)
		m := &next.Media[c.line]
		m.Attributes = slices.Clone(m.Attributes)
		for i, a := range m.Attributes {
			if a == (sdp.Attribute{Name: "setup", Value: string(sdp.Passive)}) {
				m.Attributes[i].Value = string(sdp.ActPass)
			}
		}
		c.waiting = &offer{next.After(c.own), c.leg}
		return c.waiting.String(), nil
	}
	leg, err := c.take(ctx, secure)
	if err != nil {
		return "", err
	}
	stream := c.stream(leg)
	if c.file != nil && !another {
		stream.Direction, stream.File = c.agreed.Direction, c.file
	}
	if err := stream.Check(); err != nil {
		leg.drop()
		return "", err
	}
	d := sdp.Offer(c.opts.Username, c.id, stream)
	if c.own != nil {
		media := slices.Clone(c.own.Media)
		d.Media = append(media[:c.line], append(d.Media, media[min(c.line+1, len(media)):]...)...)
		d = d.After(c.own)
	}
	if c.own == nil || c.leg == nil {
		c.leg = leg
	}
	c.waiting = &offer{d, leg}
	return d.String(), nil
}

// Accept takes the answer to the offer that waits for one, and starts the
// session where it is a new one. Where the peer refuses the stream the error is
// [sdp.ErrRefused]; a session that there was ends by that. After any other error
// the offer still waits.
func (c *Call) Accept(ctx context.Context, answer string) error {
	d, err := sdp.Parse(answer)
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting
	if waiting != nil && waiting.leg == nil {
		// The end, whatever the answer says.
		c.end(waiting.Description)
		return nil
	}
	if err != nil {
		return err
	}
	if waiting == nil {
		return errNoOffer
	}
	agreed, err := sdp.Conclude(waiting.Description, d, c.line)
	if errors.Is(err, sdp.ErrRefused) && c.own != nil {
		if waiting.leg != c.leg {
			waiting.leg.drop()
		}
		c.end(waiting.Description)
	}
	if err != nil {
		return err
	}
	if c.closed {
		return msrp.ErrSessionClosed
	}
	leg := waiting.leg
	switch {
	case !leg.started:
		err = c.start(ctx, leg, agreed)
	case agreed.Peer.Path.Equal(c.agreed.Peer.Path):
		if err = leg.session.Err(); err == nil {
			leg.session.Update(leg.remote(agreed))
		}
	default:
		// The peer has moved, to a new session of its own (RFC 4975, section
		// 8.4), and knows this side's as offered.
		if leg, err = c.enter(leg.place); err == nil {
			c.leg, waiting.leg = leg, leg
			err = leg.start(ctx, agreed)
		}
	}
	if err != nil {
		return err
	}
	c.waiting = nil // or the answer, come twice, would connect twice
	c.settled(waiting.Description, agreed, leg)
	return nil
}

// Rollback takes back the offer that waits for an answer, because the peer
// refused it as a whole or there will be no answer. What was there before stays
// (RFC 3261, section 14.1), and another offer can be made.
func (c *Call) Rollback() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting
	if waiting == nil {
		return errNoOffer
	}
	c.waiting = nil
	if waiting.leg != nil && !waiting.leg.started {
		waiting.leg.drop()
		if c.leg == waiting.leg {
			c.leg = nil
		}
	}
	if c.own != nil {
		// A version stands for one description only.
		own := *c.own
		own.Origin = waiting.Origin
		c.own = &own
	}
	return nil
}

// Answer takes an offer and returns the answer. At first it takes a place and
// starts the session; where the offer cannot be accepted, the error says why and
// the call is over.
//
// Later offers start a new session where the peer has a new path, or the session
// has failed. An offer with port 0, and one that comes
// after Close, end the call: the answer says the same and there is no error.
// Where a later offer cannot be accepted, things stay as they were, with one
// exception: if it makes another file of a transfer that is known, that is given
// up, and the answer that says so is returned beside the error (RFC 5547,
// section 8.1). It fails also where an offer of this side waits for its answer:
// one of the two has to be taken back.
func (c *Call) Answer(ctx context.Context, offer string) (string, error) {
	d, err := sdp.Parse(offer)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed && c.own == nil:
		return "", msrp.ErrSessionClosed
	case c.closed:
		return c.refuse(d), nil
	case c.waiting != nil:
		return "", errWaiting
	case c.own != nil:
		return c.answerAgain(ctx, d)
	case c.leg != nil:
		return "", errors.New("call: an offer could not be answered already")
	}
	if c.leg, err = c.take(ctx, wantsSecure(d)); err != nil {
		return "", err
	}
	answer, agreed, err := sdp.Answer(c.opts.Username, c.id, d, c.stream(c.leg))
	if err == nil {
		err = c.leg.start(ctx, agreed)
	}
	if err != nil {
		c.leg.close()
		return "", err
	}
	c.line = slices.IndexFunc(answer.Media, func(m sdp.Media) bool { return m.Port != 0 })
	c.settled(answer, agreed, c.leg)
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

// answerAgain answers an offer that is not the first; c.mu is held.
func (c *Call) answerAgain(ctx context.Context, d *sdp.Description) (string, error) {
	if len(d.Media) < len(c.own.Media) {
		return "", errors.New("call: the offer has fewer m= lines than before") // RFC 3264, section 8
	}
	peer, err := d.Stream(c.line)
	if errors.Is(err, sdp.ErrRefused) {
		return c.refuse(d), nil
	}
	if err != nil {
		return "", err
	}
	var lost error
	if c.leg != nil {
		lost = c.leg.session.Err()
	}
	alive := c.leg != nil && lost == nil
	if errors.Is(lost, msrp.ErrSessionClosed) && !c.ended {
		return c.refuse(d), nil
	}
	if c.file != nil && peer.File != nil {
		known, err := peer.File.Continues(c.file)
		if err != nil || known && !alive {
			return c.refuse(d), err // it is not transferred twice
		}
	}
	leg, stay := c.leg, alive && peer.Path.Equal(c.agreed.Peer.Path)
	if !stay {
		if leg, err = c.take(ctx, peer.Secure()); err != nil {
			return "", err
		}
	}
	own := c.stream(leg)
	switch {
	case stay && peer.Setup == sdp.ActPass:
		own.Setup = sdp.Passive
		if c.agreed.Active {
			own.Setup = sdp.Active
		}
	case stay:
		own.Setup = sdp.ActPass // nobody connects
	case !alive && peer.Setup == sdp.ActPass && own.Setup == sdp.ActPass:
		own.Setup = sdp.Passive // the peer may have to replace its session first
	}
	answer, agreements := sdp.AnswerStreams(c.opts.Username, c.id, d, func(i int, _ *sdp.Stream) (*sdp.Stream, error) {
		if i != c.line {
			return nil, nil
		}
		return &own, nil
	})
	agreed := agreements[c.line]
	if err = agreed.Err; err == nil {
		if stay {
			agreed.Active = c.agreed.Active
			leg.session.Update(leg.remote(agreed))
		} else {
			err = c.start(ctx, leg, agreed)
		}
	}
	if err != nil {
		if !stay {
			leg.drop()
		}
		return "", err
	}
	answer = answer.After(c.own)
	c.settled(answer, agreed, leg)
	return answer.String(), nil
}

// Refuse returns the answer that refuses every stream of an offer, naming the
// file if there is one (RFC 5547, section 8.3). A session that there was ends.
func (c *Call) Refuse(offer string) (string, error) {
	d, err := sdp.Parse(offer)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != nil {
		return "", errWaiting
	}
	return c.refuse(d), nil
}

// refuse answers an offer with port 0; c.mu is held.
func (c *Call) refuse(d *sdp.Description) string {
	answer, _ := sdp.AnswerStreams(c.opts.Username, c.id, d, func(int, *sdp.Stream) (*sdp.Stream, error) { return nil, nil })
	if c.own != nil {
		answer = answer.After(c.own)
	} else if c.line = slices.IndexFunc(answer.Media, func(m sdp.Media) bool { return m.Kind == "message" }); c.line < 0 {
		c.line = len(answer.Media)
	}
	c.end(answer)
	return answer.String()
}

// End returns the offer that ends the call: every port is 0, and a file is named
// (RFC 3264, section 8.2; RFC 5547, section 8.4). The session goes on until the
// answer is given to Accept, which can be any: so the peer still hears that a
// message was given up, from either side. Close ends it at once. After the end
// another offer begins anew.
func (c *Call) End() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.waiting != nil:
		return "", errWaiting
	case c.own == nil:
		return "", errors.New("call: nothing was agreed on that could end")
	}
	d := (&sdp.Description{Connection: c.own.Connection}).After(c.own)
	c.waiting = &offer{d, nil}
	return d.String(), nil
}

// Close ends the session, if there is one, and tells nobody. No other will
// begin. It waits for a method that is under way.
func (c *Call) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.waiting != nil && c.waiting.leg != nil && c.waiting.leg != c.leg {
		c.waiting.leg.drop()
	}
	if c.leg != nil {
		c.leg.close()
	}
	return nil
}

// start starts a leg that is to replace the one there is, if that is another;
// c.mu is held.
func (c *Call) start(ctx context.Context, leg *leg, agreed sdp.Agreement) error {
	old := c.leg
	if old == nil || old == leg {
		return leg.start(ctx, agreed)
	}
	// The peer may end the old one as soon as it hears of the new one.
	was := old.replaced.Swap(true)
	err := leg.start(ctx, agreed)
	if err != nil {
		old.replaced.Store(was)
	}
	return err
}

// settled takes the outcome of an exchange; c.mu is held.
func (c *Call) settled(own *sdp.Description, agreed sdp.Agreement, leg *leg) {
	if c.leg != nil && c.leg != leg {
		leg.replace(c.leg)
	}
	c.leg, c.own, c.agreed, c.ended = leg, own, agreed, false
	c.file = agreed.Peer.File
	if agreed.Direction.Sends() {
		c.file = nil
		if s, err := own.Stream(c.line); err == nil {
			c.file = s.File
		}
	}
	if c.file != nil && c.file.ID == "" && c.file.Selector.IsZero() {
		c.file = nil // the peer only says that it knows files (RFC 5547, section 8.5)
	}
}

// end takes it that the stream is over; c.mu is held.
func (c *Call) end(own *sdp.Description) {
	c.own, c.ended, c.waiting = own, true, nil
	if c.leg != nil {
		c.leg.close()
	}
}
