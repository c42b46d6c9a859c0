//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/sdp"
	"github.com/webmsrp/webmsrp/proxy/bridge"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
)

// A load is everybody who uses the instances.
type load struct {
	t *testing.T
	tally
	instances []*instance
	roots     *x509.CertPool

	plain, secure *native // peers that mean well, over TCP and over TLS
	// Peers that do not: one never answers, one never reads, two hang up, over TCP
	// and over TLS, one takes connections and says nothing, and where the last
	// should be nobody is.
	silent, stalled, leaving, leavingTLS, deaf, gone msrp.Path

	mu   sync.Mutex
	held []net.Conn // that the relays have to let go of by themselves
}

func newLoad(t *testing.T, tr *trust) *load {
	l := &load{t: t, roots: tr.roots}
	l.plain, l.secure = l.native(nil), l.native(&tr.pairs[2])
	l.silent = l.peer(false, 0, func(c net.Conn) {
		defer c.Close()
		io.Copy(io.Discard, c)
	})
	l.stalled = l.peer(false, 4096, l.hold)
	l.deaf = l.peer(true, 0, l.hold)
	vanish := func(c, below net.Conn) {
		io.CopyN(io.Discard, c, 500)
		below.(*net.TCPConn).SetLinger(0)
		below.Close()
	}
	l.leaving = l.peer(false, 0, func(c net.Conn) { vanish(c, c) })
	l.leavingTLS = l.peer(true, 0, func(c net.Conn) { vanish(tls.Server(c, msrpnet.ServerConfig(tr.pairs[2])), c) })
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.gone = pathTo(t, nobody, false)
	nobody.Close()
	t.Cleanup(l.release)
	return l
}

func pathTo(t *testing.T, listener net.Listener, secure bool) msrp.Path {
	uri, err := msrp.MakeURI(secure, "127.0.0.1", listener.Addr().(*net.TCPAddr).Port, msrp.NewID(), msrp.TransportTCP)
	require.NoError(t, err)
	return msrp.Path{uri}
}

// peer listens, with so much room for what is not read, 0 for the usual, and
// returns where.
func (l *load) peer(secure bool, room int, take func(net.Conn)) msrp.Path {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if room > 0 {
			c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, room) })
		}
		return err
	}}
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(l.t, err)
	l.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go take(c)
		}
	}()
	return pathTo(l.t, listener, secure)
}

// A room is a peer that connects to a relay once and has the sessions of many
// there, which it reads no faster than it can.
type room struct {
	net.Conn
	path msrp.Path
	mu   sync.Mutex // of who writes
}

func (l *load) room(in *instance) *room {
	c, err := net.Dial("tcp", in.msrp)
	require.NoError(l.t, err)
	l.t.Cleanup(func() { c.Close() })
	require.NoError(l.t, c.(*net.TCPConn).SetReadBuffer(32<<10))
	go func() {
		for buf := make([]byte, 16<<10); ; time.Sleep(10 * time.Millisecond) {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	uri, err := msrp.MakeURI(false, "room.invalid", 2855, msrp.NewID(), msrp.TransportTCP)
	require.NoError(l.t, err)
	return &room{Conn: c, path: msrp.Path{uri}}
}

// greet sends the first request to a participant: what that one sends comes here.
func (r *room) greet(to msrp.Path) error {
	u := msrp.Unit{
		TransactionID: msrp.NewTransactionID(), Method: msrp.MethodSend, To: to, From: r.path,
		Header: msrp.Header{{Name: "Message-ID", Value: msrp.NewID()}, {Name: "Failure-Report", Value: "no"}},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.Write(u.Append(nil, nil))
	return err
}

// hold keeps a connection open that nobody reads any more.
func (l *load) hold(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = append(l.held, c)
}

// release closes what is held.
func (l *load) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.held {
		c.Close()
	}
	l.held = nil
}

// A native is a peer without a relay of its own.
type native struct {
	endpoint    *msrp.Endpoint
	port        int
	roots       *x509.CertPool
	certificate *tls.Certificate // nil over TCP
}

func (l *load) native(certificate *tls.Certificate) *native {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(l.t, err)
	l.t.Cleanup(func() { listener.Close() })
	n := &native{msrp.NewEndpoint(nil), listener.Addr().(*net.TCPAddr).Port, l.roots, certificate}
	if certificate != nil {
		listener = tls.NewListener(listener, msrpnet.ServerConfig(*certificate))
	}
	go msrpnet.Serve(listener, n.endpoint)
	return n
}

// A side is one of two who talk.
type side struct {
	endpoint *msrp.Endpoint
	host     call.Host
	close    func()
}

// side returns a place of a native peer: where it waits, or from where it connects.
func (n *native) side(waits bool) side {
	var dialled *msrp.Conn
	host := placeFunc(func(context.Context, bool) (*call.Place, error) {
		uri, err := msrp.MakeURI(n.certificate != nil, "127.0.0.1", n.port, msrp.NewID(), msrp.TransportTCP)
		place := &call.Place{URI: uri, Path: msrp.Path{uri}, Setup: sdp.Passive}
		config := &tls.Config{RootCAs: n.roots}
		if n.certificate != nil {
			place.Fingerprint = msrpnet.Fingerprint(n.certificate.Certificate[0])
			config.Certificates = []tls.Certificate{*n.certificate}
		}
		if !waits {
			place.Setup = sdp.Active
			place.Dial = func(ctx context.Context, peer sdp.Stream) (*msrp.Conn, error) {
				c, err := msrpnet.Dial(ctx, peer.Path.First(), &msrpnet.Options{TLS: config, Fingerprints: peer.Fingerprints})
				if err != nil {
					return nil, err
				}
				dialled = n.endpoint.NewConn(msrp.NewStream(c))
				return dialled, nil
			}
		}
		return place, err
	})
	return side{n.endpoint, host, func() {
		if dialled != nil {
			dialled.Close()
		}
	}}
}

type placeFunc func(context.Context, bool) (*call.Place, error)

func (f placeFunc) Place(ctx context.Context, secure bool) (*call.Place, error) {
	return f(ctx, secure)
}

// A browser is a client with its WebSocket.
type browser struct {
	*msrp.Conn
	endpoint *msrp.Endpoint
	raw      net.Conn // what carries its frames
	gated    *gated
	gate     chan struct{} // to be closed
	in       *instance
	number   int
}

// gated is a connection that is not read any more behind a gate.
type gated struct {
	net.Conn
	gate   <-chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (g *gated) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	select {
	case <-g.gate:
		<-g.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (g *gated) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Conn.Close()
}

// httpClient makes handshakes from an address of its own for each number, those
// below zero among them. What carries the octets passes through wrap, unless that
// is nil.
func (l *load) httpClient(in *instance, number int, wrap func(net.Conn) net.Conn) *http.Client {
	if wrap == nil {
		wrap = func(c net.Conn) net.Conn { return c }
	}
	address := fmt.Sprintf("9.%d.9", 100+number)
	dialer := net.Dialer{}
	if in.secure {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP("127." + address)}
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, in.listen)
		if err != nil {
			return nil, err
		}
		return wrap(c), nil
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	transport.DialTLSContext = func(ctx context.Context, network, target string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, in.listen)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(c, &tls.Config{RootCAs: l.roots, ServerName: "localhost"})
		if err := secure.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		return wrap(secure), nil
	}
	return &http.Client{Transport: named{transport, "10." + address}}
}

// named says for whom a proxy connects.
type named struct {
	http.RoundTripper
	address string
}

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", n.address)
	return n.RoundTripper.RoundTrip(r)
}

func (in *instance) url(path string) string {
	return map[bool]string{true: "wss://", false: "ws://"}[in.secure] + in.listen + path
}

func (l *load) browser(ctx context.Context, in *instance, number int) (*browser, error) {
	number %= users
	b := &browser{in: in, number: number, endpoint: msrp.NewEndpoint(nil)}
	b.gate = make(chan struct{})
	ws, err := bridge.DialWebSocket(ctx, in.url("/msrp"), 64<<10, l.httpClient(in, number, func(c net.Conn) net.Conn {
		b.raw = c
		b.gated = &gated{Conn: c, gate: b.gate, closed: make(chan struct{})}
		return b.gated
	}))
	if err != nil {
		return nil, err
	}
	b.Conn = b.endpoint.NewConn(msrp.NewMessages(ws))
	return b, nil
}

func (b *browser) relay(secure bool) (msrp.URI, error) {
	return call.RelayURI(b.in.url("/msrp"), secure)
}

// side returns places of the browser at its relay.
func (b *browser) side(direct bool) side {
	return side{b.endpoint, &call.RelayHost{
		Conn: b.Conn, Transport: msrp.TransportWS, NoDirect: !direct, Relay: b.relay,
		Credentials: func(context.Context) (string, string, error) { return userName(b.number), "secret", nil },
	}, func() { b.Close() }}
}

// reset ends the connection below the WebSocket, as a machine does that crashes.
func (b *browser) reset() {
	c := b.raw
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	b.Close()
}

// leave goes one way or another.
func (b *browser) leave() {
	switch rand.N(3) {
	case 0:
		b.Close()
	case 1:
		b.raw.Close()
		b.Close()
	default:
		b.reset()
	}
}

// frame returns the frame of a message, masked with zeros.
func frame(msg []byte) []byte {
	return append([]byte{0x82, 0x80 | 126, byte(len(msg) >> 8), byte(len(msg)), 0, 0, 0, 0}, msg...)
}

// A place is what a browser has at a relay.
type place struct {
	*browser
	grant *msrp.Grant
	own   msrp.URI
}

// place logs in. Half of the places are direct.
func (l *load) place(ctx context.Context, in *instance, number int, secure bool, expires time.Duration) (*place, error) {
	b, err := l.browser(ctx, in, number)
	if err != nil {
		return nil, err
	}
	p := &place{browser: b}
	relay, err := b.relay(secure)
	if err == nil {
		p.own, err = msrp.MakeURI(secure, msrp.NewID()+".invalid", 2855, msrp.NewID(), msrp.TransportWS)
	}
	if err == nil {
		p.grant, err = b.Authenticate(ctx, msrp.Auth{
			Relay: msrp.Path{relay}, URI: p.own, Username: userName(number), Password: "secret", Direct: number/2%2 == 0, Expires: expires,
		})
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return p, nil
}

// session starts a session with a peer that may never say anything.
func (p *place) session(peer msrp.Path, fingerprints ...string) (*msrp.Session, error) {
	s, err := p.endpoint.NewSession(msrp.SessionOptions{URI: p.own})
	if err != nil {
		return nil, err
	}
	return s, s.Start(msrp.Remote{Path: p.grant.ToPath(peer), Conn: p.Conn, Active: true, ChunkSize: 64 << 10, Fingerprints: fingerprints})
}

// run puts the load on the instances for a while and waits until all who came
// have gone.
func (l *load) run(length time.Duration, renew func() error) {
	ctx, cancel := context.WithTimeout(context.Background(), length+patience)
	defer cancel()
	stop := make(chan struct{})
	var talking, churning sync.WaitGroup
	for _, k := range l.talks(ctx) {
		talking.Go(func() {
			messages, err := k.run(ctx, stop)
			assert.NoError(l.t, err, k.name)
			l.add("messages", int(messages))
			k.end()
		})
	}
	var callees []*rendezvous.Client // who never answer
	for _, in := range l.instances {
		c, err := l.register(ctx, in, 0)
		require.NoError(l.t, err)
		callees = append(callees, c)
	}

	end := time.Now().Add(length)
	churn, renewal := time.NewTicker(churnEvery), time.NewTicker(max(1500*time.Millisecond, length/8))
	defer churn.Stop()
	defer renewal.Stop()
	for n := 0; time.Now().Before(end); {
		select {
		case <-renewal.C:
			assert.NoError(l.t, renew())
			continue
		case <-churn.C:
		}
		for _, in := range l.instances {
			if n%20 == 0 {
				in.sample(l.t) // as Prometheus does
			}
			kind := manners[n%len(manners)]
			if n%200 == 199 && time.Until(end) > stayTime { // few, because each stays for long
				kind = lasting[n/200%len(lasting)]
			}
			number := n
			churning.Go(func() {
				l.add(kind.name, 1)
				assert.NoError(l.t, kind.do(l, ctx, in, number), "%s, %s", kind.name, in.name)
			})
		}
		n++
	}
	churning.Wait()
	close(stop)
	talking.Wait()
	for _, c := range callees {
		c.Close()
		<-c.Done()
	}
}

// stayTime is longer than any of the lasting kind stays.
const stayTime = 80 * time.Second

func (l *load) register(ctx context.Context, in *instance, number int) (*rendezvous.Client, error) {
	return rendezvous.Dial(ctx, rendezvous.Registration{
		URL: in.url("/rendezvous"), Name: userName(number), Username: userName(number), Password: "secret",
		HTTPClient: l.httpClient(in, number%users, nil),
	})
}
