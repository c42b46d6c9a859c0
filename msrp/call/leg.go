package call

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// A leg is one of the sessions that a call has one after the other, and its
// place. The mutex of the call guards it.
type leg struct {
	place    *Place
	session  *msrp.Session
	started  bool
	replaced atomic.Bool // nobody is told of its state
	stays    atomic.Bool // another session is at the place
	previous atomic.Pointer[leg]
}

// take takes a place and makes a session there; c.mu is held.
func (c *Call) take(ctx context.Context, secure bool) (*leg, error) {
	place, err := c.opts.Host.Place(ctx, secure)
	if err != nil {
		return nil, err
	}
	return c.enter(place)
}

// enter makes a session at a place. If the session there is has the same URI, it
// ends.
func (c *Call) enter(place *Place) (*leg, error) {
	next := &leg{place: place}
	opts := c.opts.Session
	opts.URI, opts.Resumes = place.URI, c.latest
	if c.leg != nil && c.leg.place.URI.Equal(place.URI) {
		c.leg.stays.Store(true)
		c.leg.drop()
		c.leg = nil
	}
	if opts.StreamAfter == 0 && c.opts.File != nil {
		opts.StreamAfter = 1 // of a file every octet counts that the sender thinks is here
	}
	changed := opts.StateChanged
	opts.StateChanged = func(state msrp.State, err error) {
		if state >= msrp.StateConnected {
			next.takeOver()
		}
		if changed != nil && !next.replaced.Load() {
			changed(state, err)
		}
	}
	var err error
	if next.session, err = c.opts.Endpoint.NewSession(opts); err != nil {
		return nil, err
	}
	c.latest = next.session
	return next, nil
}

// stream is what this side can say of a leg.
func (c *Call) stream(l *leg) sdp.Stream {
	s := sdp.Stream{
		Path:               l.place.Path,
		AcceptTypes:        c.opts.Session.AcceptTypes,
		AcceptWrappedTypes: c.opts.AcceptWrappedTypes,
		MaxSize:            c.opts.Session.MaxSize,
		Setup:              l.place.Setup,
		Direction:          c.opts.Direction,
		File:               c.opts.File,
		Chatroom:           c.opts.Chatroom,
		Resumes:            true,
	}
	if l.place.Fingerprint != "" && s.Secure() {
		s.Fingerprints = []string{l.place.Fingerprint}
	}
	return s
}

// remote is what the session is to know of its peer.
func (l *leg) remote(agreed sdp.Agreement) msrp.Remote {
	r := msrp.Remote{
		Path:        l.place.UsePath.Join(agreed.Peer.Path...),
		Conn:        l.place.Conn,
		Active:      agreed.Active,
		AcceptTypes: agreed.Peer.AcceptTypes,
		MaxSize:     agreed.Peer.MaxSize,
		RecvOnly:    !agreed.Direction.Sends(),
		ChunkSize:   l.place.ChunkSize,
	}
	if verify := l.place.Verify; verify != nil {
		r.Verify = func(conn *msrp.Conn) error { return verify(conn, agreed.Peer) }
	}
	if l.place.Direct {
		r.Fingerprints = agreed.Peer.Fingerprints
	}
	return r
}

// start starts the session, and connects if it is on this side to do so.
func (l *leg) start(ctx context.Context, agreed sdp.Agreement) error {
	if err := l.session.Err(); err != nil {
		return err // closed by now: nobody is to be connected to
	}
	r := l.remote(agreed)
	if r.Active && r.Conn == nil {
		if l.place.Dial == nil {
			return errors.New("call: this side would have to connect, and cannot")
		}
		conn, err := l.place.Dial(ctx, agreed.Peer)
		if err != nil {
			return err
		}
		r.Conn = conn
	}
	err := l.session.Start(r)
	l.started = err == nil
	return err
}

// replace lets l take the place of old, which goes on until l is connected: the
// peer may not know yet, and would hear 481 of what it sends.
func (l *leg) replace(old *leg) {
	l.previous.Store(old)
	if l.session.State() >= msrp.StateConnected {
		l.takeOver()
	}
}

// takeOver ends what l has replaced.
func (l *leg) takeOver() {
	if old := l.previous.Swap(nil); old != nil {
		old.close()
	}
}

func (l *leg) close() {
	l.session.Close()
	if f := l.place.Release; f != nil && !l.stays.Swap(true) {
		f()
	}
	l.takeOver()
}

// drop closes l in silence.
func (l *leg) drop() {
	l.replaced.Store(true)
	l.close()
}
