package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/sdp"
	"github.com/webmsrp/webmsrp/proxy/bridge"
	"github.com/webmsrp/webmsrp/proxy/settings"
)

// directHost gives sessions a URI of their own, reached through the listener
// or not at all.
type directHost struct {
	peer *Peer
	tls  *tls.Config // of the listener
	host string
	port int // 9 where nobody can connect (RFC 6135, section 4.2.2)
	own  msrp.URI
}

func (p *Peer) directHost() (*directHost, error) {
	c, d := &p.config, &directHost{peer: p, host: "127.0.0.1", port: 9}
	l := c.Listener
	if l == nil && c.Listen != "" {
		var err error
		if l, err = net.Listen("tcp", c.Listen); err != nil {
			return nil, err
		}
	}
	if l != nil {
		addr := l.Addr().(*net.TCPAddr)
		d.port = addr.Port
		if !addr.IP.IsUnspecified() {
			d.host = addr.IP.String()
		} else if c.Host == "" {
			l.Close()
			return nil, settings.Errorf("--listen takes every address: give --host, the name by which others reach this machine")
		}
	}
	if c.Host != "" {
		d.host = c.Host
	}
	if c.TLS {
		pair := c.Certificate
		if pair == nil {
			made, err := msrpnet.SelfSigned(d.host)
			if err != nil {
				return nil, err
			}
			pair = &made
		}
		p.certificates = []tls.Certificate{*pair}
		d.tls = msrpnet.ServerConfig(p.certificates...)
	}
	var err error
	switch id := c.SessionID; {
	case c.URI != "":
		if d.own, err = msrp.ParseURI(c.URI); err != nil {
			err = settings.Errorf("--uri: %v", err)
		}
	case id != "":
		d.own, err = msrp.MakeURI(c.TLS, d.host, d.port, id, msrp.TransportTCP)
	}
	if err != nil {
		return nil, err
	}
	if l != nil {
		p.wg.Go(func() {
			<-p.ctx.Done()
			l.Close()
		})
		if d.tls != nil {
			l = tls.NewListener(l, d.tls)
		}
		p.wg.Go(func() { msrpnet.Serve(l, p.endpoint) })
	}
	return d, nil
}

// uri returns the URI for a new session.
func (d *directHost) uri(secure bool) (msrp.URI, error) {
	if !d.own.IsZero() {
		return d.own, nil
	}
	return msrp.MakeURI(secure, d.host, d.port, msrp.NewID(), msrp.TransportTCP)
}

// Place implements [call.Host].
func (d *directHost) Place(_ context.Context, secure bool) (*call.Place, error) {
	listening := d.port != 9
	if listening && secure != (d.tls != nil) {
		return nil, errors.New("this peer listens " + map[bool]string{true: "over TLS only", false: "without TLS only"}[d.tls != nil])
	}
	uri, err := d.uri(secure)
	if err != nil {
		return nil, err
	}
	place := &call.Place{URI: uri, Path: msrp.Path{uri}, Setup: sdp.Active, Dial: func(ctx context.Context, peer sdp.Stream) (*msrp.Conn, error) {
		return d.peer.dial(ctx, peer.Path.First(), peer.Fingerprints)
	}}
	if listening {
		place.Setup = sdp.Passive
		if d.tls != nil {
			place.Fingerprint = msrpnet.Fingerprint(d.tls.Certificates[0].Certificate[0])
			place.Verify = func(conn *msrp.Conn, peer sdp.Stream) error { return msrpnet.VerifyPeer(conn, peer.Fingerprints) }
		}
	}
	return place, nil
}

func (p *Peer) dial(ctx context.Context, uri msrp.URI, fingerprints []string) (*msrp.Conn, error) {
	c, err := msrpnet.Dial(ctx, uri, &msrpnet.Options{
		// Who connects shows its certificate as well, because its fingerprint
		// stands in SDP (RFC 8122, section 6.2).
		TLS:          &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.config.Roots, Certificates: p.certificates},
		Fingerprints: fingerprints,
	})
	if err != nil {
		return nil, err
	}
	return p.newConn(msrp.NewStream(c)), nil
}

// httpClient makes the handshakes of WebSockets.
func (p *Peer) httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.config.Roots},
	}}
}

func (p *Peer) newConn(t msrp.Transport) *msrp.Conn {
	conn := p.endpoint.NewConn(t)
	p.mu.Lock()
	p.conns[conn] = struct{}{}
	p.mu.Unlock()
	return conn
}

func (p *Peer) closeConn(conn *msrp.Conn) {
	conn.Close()
	p.mu.Lock()
	delete(p.conns, conn)
	p.mu.Unlock()
}

// relayHost gives sessions a token at a relay, and connects to that anew where the
// connection was lost.
type relayHost struct {
	connect func(context.Context) (*call.RelayHost, error)
	drop    func(*msrp.Conn)

	mu   sync.Mutex
	host *call.RelayHost
}

// Place implements [call.Host].
func (r *relayHost) Place(ctx context.Context, secure bool) (*call.Place, error) {
	host, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	return host.Place(ctx, secure)
}

func (r *relayHost) current(ctx context.Context) (*call.RelayHost, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.host != nil && r.host.Conn.Err() != nil {
		r.drop(r.host.Conn)
		r.host = nil
	}
	var err error
	if r.host == nil {
		r.host, err = r.connect(ctx)
	}
	return r.host, err
}

func (p *Peer) relayHost() (call.Host, error) {
	c := &p.config
	u, err := url.Parse(c.Relay)
	if err != nil {
		return nil, err
	}
	transport, relay := msrp.TransportWS, func(secure bool) (msrp.URI, error) { return call.RelayURI(c.Relay, secure) }
	dial := func(ctx context.Context) (*msrp.Conn, error) {
		ws, err := bridge.DialWebSocket(ctx, c.Relay, 1<<20, p.httpClient())
		if err != nil {
			return nil, err
		}
		return p.newConn(msrp.NewMessages(ws)), nil
	}
	if u.Scheme != "ws" && u.Scheme != "wss" {
		uri, err := msrp.ParseURI(c.Relay)
		if err != nil {
			return nil, settings.Errorf("--relay: %v", err)
		}
		transport, relay = msrp.TransportTCP, func(bool) (msrp.URI, error) { return uri, nil }
		dial = func(ctx context.Context) (*msrp.Conn, error) { return p.dial(ctx, uri, nil) }
	}
	h := &relayHost{drop: p.closeConn, connect: func(ctx context.Context) (*call.RelayHost, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		credentials := func(context.Context) (string, string, error) { return c.User, c.Password, nil }
		return &call.RelayHost{Conn: conn, Relay: relay, Transport: transport, Credentials: credentials}, nil
	}}
	_, err = h.current(p.ctx)
	return h, err
}
