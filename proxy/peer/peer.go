// Package peer is the command "webmsrp peer": an ordinary MSRP endpoint on the
// same core, for the terminal, for tests, and as the echo of the demo.
package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/sdp"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
	"github.com/webmsrp/webmsrp/proxy/settings"
)

// Config says what a peer does. The zero value of most fields leaves the thing
// out.
type Config struct {
	// Listen is the address to take connections on, as the passive side.
	// Listener is used in its place if it is set.
	Listen   string
	Listener net.Listener
	// Host is what the own URI says where Listen names no host that others can
	// reach.
	Host string
	// URI is the own URI, or SessionID its session ID; both have defaults.
	URI, SessionID string
	// Connect is the URI of a peer to connect to, without signalling.
	Connect string

	// Name and Rendezvous register at a rendezvous, Call calls someone there.
	Name, Rendezvous, Call string
	// Relay is a relay to sit behind, as a wss or ws URL or an msrps URI.
	Relay string
	// SIP is the own SIP URI, with which Call calls another through its server.
	// Register lets others call there.
	SIP      string
	Register bool
	// User and Password are for the rendezvous and the relay. For SIP there are
	// others, which default to the user of the SIP URI, and to Password.
	User, Password       string
	SIPUser, SIPPassword string
	// Decline refuses every call with this status code, if it is not 0.
	Decline int

	// TLS speaks over TLS, as listener with Certificate or a self-signed one.
	TLS         bool
	Certificate *tls.Certificate
	// Roots are the authorities of others, nil for those of the system.
	Roots *x509.CertPool

	// Grace is how long a call goes on, and the registration at the rendezvous,
	// while connections are lost. Default [rendezvous.Grace].
	Grace time.Duration

	// Echo sends everything back. Receive is a directory for files.
	Echo    bool
	Receive string
}

// An Event is what a peer tells of itself. Fields that do not apply are empty.
type Event struct {
	Event string `json:"event"` // see the constants
	// Session names the session, the same for all its events.
	Session int    `json:"session,omitempty"`
	URI     string `json:"uri,omitempty"`
	Peer    string `json:"peer,omitempty"`
	ID      string `json:"id,omitempty"` // Message-ID
	Type    string `json:"type,omitempty"`
	Text    string `json:"text,omitempty"`
	File    string `json:"file,omitempty"`
	Size    int64  `json:"size,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Names of events.
const (
	EventListening  = "listening"  // URI
	EventRegistered = "registered" // Peer is the own name
	EventConnected  = "connected"  // Session, Peer
	EventMessage    = "message"    // Session, ID, Type, Size and Text or File with SHA256
	EventSent       = "sent"       // Session, ID: the next hop has it
	EventDelivered  = "delivered"  // Session, ID: the peer has confirmed it
	EventFailed     = "failed"     // Session, ID, Error
	EventLost       = "lost"       // Session, Error: the connection, and it is tried to get another
	EventResumed    = "resumed"    // Session: there is another
	EventMoved      = "moved"      // Session: another has taken its place
	EventClosed     = "closed"     // Session, Error
)

// A Peer is an endpoint that runs.
type Peer struct {
	config       Config
	emit         func(Event)
	endpoint     *msrp.Endpoint
	host         call.Host
	certificates []tls.Certificate // with TLS

	cancel context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup

	pending sync.WaitGroup // messages on their way

	mu       sync.Mutex
	conns    map[*msrp.Conn]struct{} // to be closed at the end, if not before
	sessions int
	newest   *session
	failed   error // of the first message that failed
	fatal    error
	ended    chan struct{}
}

// Start runs a peer until ctx is canceled or what it was started for is over;
// emit gets its events, one at a time.
func Start(ctx context.Context, c Config, emit func(Event)) (*Peer, error) {
	p := &Peer{config: c, endpoint: msrp.NewEndpoint(nil), conns: map[*msrp.Conn]struct{}{}, ended: make(chan struct{})}
	var mu sync.Mutex
	p.emit = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		emit(e)
	}
	if c.Grace == 0 {
		p.config.Grace = rendezvous.Grace
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	if err := p.start(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close ends the peer.
func (p *Peer) Close() {
	p.cancel()
	p.wg.Wait()
	p.mu.Lock()
	conns := slices.Collect(maps.Keys(p.conns))
	p.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

// Wait waits until the peer has ended and returns why, nil for a peer that was
// closed.
func (p *Peer) Wait() error {
	select {
	case <-p.ctx.Done():
	case <-p.ended:
	}
	p.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fatal
}

// end ends the peer from inside.
func (p *Peer) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.ended:
	default:
		p.fatal = err
		close(p.ended)
	}
}

func (p *Peer) start() error {
	c := &p.config
	switch {
	case (c.Rendezvous == "") != (c.Name == ""):
		return settings.Errorf("--name and --rendezvous belong together, and one of them is missing")
	case c.Connect == "" && c.Listen == "" && c.Listener == nil && c.Rendezvous == "" && c.SIP == "":
		return settings.Errorf("nothing to do: give --listen, --connect, --name with --rendezvous, or --sip")
	case c.Connect != "" && c.Rendezvous != "":
		return settings.Errorf("--connect is for a peer without signalling, --rendezvous for one with it")
	case c.SIP != "" && (c.Connect != "" || c.Rendezvous != ""):
		return settings.Errorf("--sip is a signalling of its own: leave out --connect and --rendezvous")
	case c.SIP != "" && !c.Register && c.Call == "":
		return settings.Errorf("--sip needs --register to be called, or --call to call somebody")
	case c.Decline != 0 && (c.Decline < 400 || c.Decline > 699):
		return settings.Errorf("--decline is a status code from 400 to 699, such as 486")
	}
	direct, err := p.directHost()
	if err != nil {
		return err
	}
	p.host = direct
	if c.Relay != "" {
		if p.host, err = p.relayHost(); err != nil {
			return err
		}
	}
	switch {
	case c.Rendezvous != "":
		return p.register()
	case c.SIP != "":
		return p.meet()
	case c.Connect != "":
		return p.connect(direct)
	default:
		return p.await(direct)
	}
}

// connect reaches a peer whose URI is known, without any signalling.
func (p *Peer) connect(d *directHost) error {
	target, err := msrp.ParsePath(p.config.Connect)
	if err != nil {
		return settings.Errorf("--connect: %v", err)
	}
	place, err := p.host.Place(p.ctx, target.First().Secure())
	if err != nil {
		return err
	}
	if place.Conn == nil {
		if place.Conn, err = p.dial(p.ctx, target.First(), nil); err != nil {
			return err
		}
	}
	s, err := p.endpoint.NewSession(msrp.SessionOptions{URI: place.URI})
	if err != nil {
		return err
	}
	if err := s.Start(msrp.Remote{Path: place.UsePath.Join(target...), Conn: place.Conn, Active: true, ChunkSize: place.ChunkSize}); err != nil {
		return err
	}
	p.wg.Go(func() {
		p.emit(p.run(s, target.Last().String()))
		if err := s.Err(); errors.Is(err, msrp.ErrSessionClosed) {
			p.end(nil)
		} else {
			p.end(err)
		}
	})
	return nil
}

// await takes one session after the other on the own URI, without any
// signalling: the first request tells where its peer is.
func (p *Peer) await(d *directHost) error {
	uri, err := d.uri(p.config.TLS)
	if err != nil {
		return err
	}
	next := func() (*msrp.Session, chan msrp.Path, error) {
		greeted := make(chan msrp.Path, 1)
		s, err := p.endpoint.NewSession(msrp.SessionOptions{URI: uri, Greeted: func(from msrp.Path) { greeted <- from }})
		return s, greeted, err
	}
	s, greeted, err := next()
	if err != nil {
		return err
	}
	p.emit(Event{Event: EventListening, URI: uri.String()})
	p.wg.Go(func() {
		for err == nil {
			select {
			case from := <-greeted:
				s.Start(msrp.Remote{Path: from})
				closed := p.run(s, from.Last().String())
				s, greeted, err = next() // before anybody knows that there is room
				p.emit(closed)
			case <-p.ctx.Done():
				s.Close()
				return
			}
		}
		p.end(err)
	})
	return nil
}

// register takes and makes calls at the rendezvous.
func (p *Peer) register() error {
	c := &p.config
	client, err := rendezvous.Dial(p.ctx, rendezvous.Registration{
		URL: c.Rendezvous, Name: c.Name, Username: c.User, Password: c.Password,
		Grace: c.Grace, HTTPClient: p.httpClient(),
	})
	if err != nil {
		return fmt.Errorf("rendezvous %s: %w", c.Rendezvous, err)
	}
	p.emit(Event{Event: EventRegistered, Peer: c.Name})
	p.wg.Go(func() {
		defer client.Close()
		for {
			select {
			case incoming := <-client.Incoming():
				p.wg.Go(func() { p.answer(incoming, incoming.Peer, incoming.Offer, c.Name) })
			case <-client.Done():
				if p.ctx.Err() == nil {
					p.end(fmt.Errorf("the rendezvous was lost: %w", client.Err()))
				}
				return
			case <-p.ctx.Done():
				return
			}
		}
	})
	if c.Call != "" {
		p.wg.Go(func() {
			p.end(p.call(func(offer string) (remote, string, error) { return client.Call(p.ctx, c.Call, offer) }))
		})
	}
	return nil
}

// oneCall is the host of one call. It closes what was dialled for the call,
// which carries nothing else: at the end, and before that all but the last two,
// of which one may be about to replace the other.
type oneCall struct {
	peer  *Peer
	conns []*msrp.Conn
}

// Place implements [call.Host].
func (o *oneCall) Place(ctx context.Context, secure bool) (*call.Place, error) {
	place, err := o.peer.host.Place(ctx, secure)
	if err != nil || place.Dial == nil {
		return place, err
	}
	own, dial := *place, place.Dial
	own.Dial = func(ctx context.Context, to sdp.Stream) (*msrp.Conn, error) {
		conn, err := dial(ctx, to)
		if err == nil {
			o.conns = append(o.conns, conn)
			for ; len(o.conns) > 2; o.conns = o.conns[1:] {
				o.peer.closeConn(o.conns[0])
			}
		}
		return conn, err
	}
	return &own, nil
}

// states tells of the MSRP sessions of a call.
type states struct {
	connected atomic.Bool   // one was
	failed    atomic.Bool   // one was not, and is over
	changed   chan struct{} // the state of the newest
}

func (s *states) note(state msrp.State, _ error) {
	switch {
	case state == msrp.StateConnected:
		s.connected.Store(true)
	case state == msrp.StateClosed && !s.connected.Load():
		s.failed.Store(true)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// newCall returns a call and what ends it.
func (p *Peer) newCall() (c *call.Call, told *states, end func()) {
	host, told := &oneCall{peer: p}, &states{changed: make(chan struct{}, 1)}
	c = call.New(call.Options{
		Endpoint: p.endpoint, Host: host, Secure: p.config.TLS, Session: msrp.SessionOptions{StateChanged: told.note},
	})
	return c, told, func() {
		c.Close()
		for _, conn := range host.conns {
			p.closeConn(conn)
		}
	}
}

// call calls the one whom it is to call, with place.
func (p *Peer) call(place func(offer string) (r remote, answer string, err error)) error {
	c, told, end := p.newCall()
	defer end()
	offer, err := c.Offer(p.ctx)
	if err != nil {
		return err
	}
	r, answer, err := place(offer)
	if err != nil {
		return err
	}
	defer r.Bye("the session is over")
	if err := c.Accept(p.ctx, answer); err != nil {
		return err
	}
	p.emit(p.converse(c, r, p.config.Call, told))
	return nil
}

// answer answers the call of a peer with its offer; own is what others call this
// one.
func (p *Peer) answer(r remote, with, offer, own string) {
	switch {
	case p.config.Decline != 0:
		r.Refuse(p.config.Decline, own+" takes no calls")
		return
	case !p.free(with):
		r.Refuse(rendezvous.CodeBusy, own+" is in another conversation")
		return
	}
	c, told, end := p.newCall()
	defer end()
	answer, err := c.Answer(p.ctx, offer)
	if err != nil {
		r.Refuse(rendezvous.CodeUnacceptable, err.Error())
		return
	}
	defer r.Bye("the session is over")
	if err := r.Answer(answer); err != nil {
		return
	}
	p.emit(p.converse(c, r, with, told))
}

// free tells whether there is room for a conversation with that peer. One with the
// same peer that was lost ends: it was begun anew.
func (p *Peer) free(with string) bool {
	p.mu.Lock()
	s := p.newest
	p.mu.Unlock()
	if s == nil || p.config.Echo {
		return true
	}
	if s.with != with || !s.lost.Load() {
		return false
	}
	s.quit()
	return true
}
