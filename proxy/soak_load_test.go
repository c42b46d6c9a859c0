//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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
	"github.com/webmsrp/webmsrp/msrp/msrptest"
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

// octets are those of the n-th message, of which one in twenty is long.
func octets(seed, n uint64) (io.Reader, int64) {
	size := int64(1 + (seed+n*7919)%3000)
	if n%20 == 0 {
		size *= 100
	}
	return msrptest.Octets(size, seed+n), size
}

// say sends one message after the other until stop is closed, at least so many,
// each when the one before is confirmed.
func say(ctx context.Context, stop <-chan struct{}, s *msrp.Session, seed uint64, every time.Duration, least uint64) (uint64, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := uint64(1); ; n++ {
		m := msrp.Text("that is all")
		select {
		case <-stop:
		case <-tick.C:
		}
		stopped := false
		select {
		case <-stop:
			stopped = n > least
		default:
		}
		if !stopped {
			body, size := octets(seed, n)
			m = &msrp.Message{ContentType: "application/octet-stream", Body: body, Size: size, SuccessReport: true}
		}
		out, err := s.Send(ctx, m)
		if err == nil {
			err = out.Delivered(ctx)
		}
		if err != nil {
			return n, fmt.Errorf("message %d of %d octets: %w", n, m.Size, err)
		}
		if stopped {
			return n - 1, nil
		}
	}
}

// hear takes what say sends.
func hear(ctx context.Context, s *msrp.Session, seed uint64) (uint64, error) {
	for n := uint64(1); ; n++ {
		in, err := s.Receive(ctx)
		if err != nil {
			return n, fmt.Errorf("message %d: %w", n, err)
		}
		got, err := io.ReadAll(in)
		if err != nil {
			return n, fmt.Errorf("message %d, of which %d octets came: %w", n, len(got), err)
		}
		if in.ContentType == "text/plain" {
			return n - 1, nil
		}
		body, _ := octets(seed, n)
		if want, _ := io.ReadAll(body); !bytes.Equal(got, want) {
			return n, fmt.Errorf("message %d is not what was sent", n)
		}
	}
}

// A talk is between two who mean well.
type talk struct {
	name       string
	alice, bob side
	secure     bool
	calls      [2]*call.Call
	every      time.Duration
	least      uint64
}

// begin connects the two.
func (k *talk) begin(ctx context.Context) error {
	for i, s := range []side{k.alice, k.bob} {
		k.calls[i] = call.New(call.Options{Endpoint: s.endpoint, Host: s.host, Secure: k.secure})
	}
	offer, err := k.calls[0].Offer(ctx)
	if err != nil {
		return err
	}
	answer, err := k.calls[1].Answer(ctx, offer)
	if err != nil {
		return err
	}
	return k.calls[0].Accept(ctx, answer)
}

func (k *talk) end() {
	for _, c := range k.calls {
		if c != nil {
			c.Close()
		}
	}
	k.alice.close()
	k.bob.close()
}

// run has both talk until stop: all must arrive, equal, in order, once.
func (k *talk) run(ctx context.Context, stop <-chan struct{}) (messages uint64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seed := rand.Uint64() >> 1
	var counts [4]uint64
	var wg sync.WaitGroup
	for i := range 4 {
		s := k.calls[i%2].Session()
		wg.Go(func() {
			var err error
			if i < 2 {
				counts[i], err = say(ctx, stop, s, seed+uint64(i)<<32, k.every, k.least)
			} else {
				counts[i], err = hear(ctx, s, seed+uint64(3-i)<<32)
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err = context.Cause(ctx); err == nil && (counts[0] != counts[3] || counts[1] != counts[2]) {
		err = fmt.Errorf("%d and %d messages were sent, %d and %d came", counts[0], counts[1], counts[3], counts[2])
	}
	return counts[0] + counts[1], err
}

// talks are the conversations that last for a round.
func (l *load) talks(ctx context.Context) []*talk {
	var all []*talk
	number := 0
	browser := func(in *instance, direct bool) side {
		number++
		b, err := l.browser(ctx, in, number)
		require.NoError(l.t, err)
		return b.side(direct)
	}
	for i, in := range l.instances {
		other := l.instances[1-i]
		add := func(name string, secure bool, alice, bob side) {
			all = append(all, &talk{name: name + " " + in.name, alice: alice, bob: bob, secure: secure, every: 200 * time.Millisecond})
		}
		add("two browsers", true, browser(in, true), browser(in, true))
		add("two browsers in relay mode", false, browser(in, false), browser(in, false))
		add("across the relays", true, browser(in, true), browser(other, i == 0))
		add("to a peer over TLS", true, browser(in, true), l.secure.side(true))
		add("to a peer over TCP", false, browser(in, i == 0), l.plain.side(true))
		add("from a peer over TLS", true, browser(in, i == 1), l.secure.side(false))
		add("from a peer over TCP", false, browser(in, true), l.plain.side(false))
	}
	for _, k := range all {
		require.NoError(l.t, k.begin(ctx), k.name)
	}
	return all
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

// pause is a moment, for others to come in between.
func pause(longest time.Duration) { time.Sleep(rand.N(longest)) }

// A manner is what a client does between coming and going.
type manner struct {
	name string
	do   func(l *load, ctx context.Context, in *instance, number int) error
}

// withPlace makes a manner of those who log in first and send something.
func withPlace(secure bool, do func(l *load, ctx context.Context, p *place) error) func(*load, context.Context, *instance, int) error {
	return func(l *load, ctx context.Context, in *instance, number int) error {
		p, err := l.place(ctx, in, number, secure, 0)
		if err != nil {
			return err
		}
		defer p.leave()
		return do(l, ctx, p)
	}
}

// sendTo makes a manner of those who send to a peer, and do not wait for what
// becomes of it.
func sendTo(size int64, secure bool, to func(l *load) msrp.Path, fingerprints ...string) func(*load, context.Context, *instance, int) error {
	return withPlace(secure, func(l *load, ctx context.Context, p *place) error {
		s, err := p.session(to(l), fingerprints...)
		if err != nil {
			return err
		}
		_, err = s.Send(ctx, &msrp.Message{ContentType: "text/plain", Body: msrptest.Octets(size, 1), Size: size})
		pause(2 * time.Second)
		return err
	})
}

// outsider makes a manner of those who connect to a listener and say something.
func outsider(address func(*instance) string, say string) func(*load, context.Context, *instance, int) error {
	return func(l *load, ctx context.Context, in *instance, number int) error {
		c, err := net.Dial("tcp", address(in))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.WriteString(c, say)
		pause(time.Second)
		return err
	}
}

const wrongFingerprint = "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"

// manners are taken in turn.
var manners = []manner{
	{"talk to a browser and hang up", func(l *load, ctx context.Context, in *instance, number int) error {
		alice, err := l.browser(ctx, in, number)
		if err != nil {
			return err
		}
		defer alice.Close()
		bob, err := l.browser(ctx, in, number+1)
		if err != nil {
			return err
		}
		k := &talk{alice: alice.side(number/2%2 == 0), bob: bob.side(number/4%2 == 0), secure: number/8%2 == 0, every: 10 * time.Millisecond, least: 3}
		return l.short(ctx, k)
	}},
	{"talk to a peer and hang up", func(l *load, ctx context.Context, in *instance, number int) error {
		alice, err := l.browser(ctx, in, number)
		if err != nil {
			return err
		}
		peer := l.plain
		if number/2%2 == 0 {
			peer = l.secure
		}
		k := &talk{alice: alice.side(number/4%2 == 0), bob: peer.side(true), secure: peer == l.secure, every: 10 * time.Millisecond, least: 3}
		return l.short(ctx, k)
	}},
	{"leave within a frame", withPlace(false, func(l *load, ctx context.Context, p *place) error {
		_, err := p.raw.Write(frame(make([]byte, 1000))[:300])
		pause(time.Second)
		return err
	})},
	{"leave within a message", withPlace(false, func(l *load, ctx context.Context, p *place) error {
		peer, err := msrp.MakeURI(false, "127.0.0.1", l.plain.port, msrp.NewID(), msrp.TransportTCP)
		if err != nil {
			return err
		}
		u := msrp.Unit{
			TransactionID: msrp.NewTransactionID(), Method: msrp.MethodSend, To: p.grant.ToPath(msrp.Path{peer}), From: msrp.Path{p.own},
			Header: msrp.Header{{Name: "Message-ID", Value: msrp.NewID()}, {Name: "Byte-Range", Value: "1-*/100000"}, {Name: "Content-Type", Value: "text/plain"}},
			Flag:   msrp.FlagInterrupted,
		}
		_, err = p.raw.Write(frame(u.Append(nil, make([]byte, 9000))))
		pause(time.Second)
		return err
	})},
	{"never log in", func(l *load, ctx context.Context, in *instance, number int) error {
		b, err := l.browser(ctx, in, number)
		if err != nil {
			return err
		}
		pause(2 * time.Second)
		b.leave()
		return nil
	}},
	{"guess a password", func(l *load, ctx context.Context, in *instance, number int) error {
		b, err := l.browser(ctx, in, -1-number%10) // where nobody else comes from, who would be locked out
		if err != nil {
			return err
		}
		defer b.leave()
		relay, err := b.relay(true)
		if err != nil {
			return err
		}
		own, err := msrp.MakeURI(true, "a.invalid", 2855, msrp.NewID(), msrp.TransportWS)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, rand.N(3*time.Second))
		defer cancel()
		if _, err = b.Authenticate(ctx, msrp.Auth{Relay: msrp.Path{relay}, URI: own, Username: fmt.Sprint("mallory", number%5), Password: "wrong"}); err == nil {
			return errors.New("a wrong password is taken")
		}
		return nil
	}},
	{"send to one who never answers", sendTo(5000, false, func(l *load) msrp.Path { return l.silent })},
	{"send to one who does not read", sendTo(1_000_000, false, func(l *load) msrp.Path { return l.stalled })},
	{"send to one who hangs up", sendTo(5000, false, func(l *load) msrp.Path { return l.leaving })},
	{"send over TLS to one who hangs up", sendTo(5000, true, func(l *load) msrp.Path { return l.leavingTLS })},
	{"send to where nobody is", sendTo(100, false, func(l *load) msrp.Path { return l.gone })},
	{"send to one who is deaf to TLS", sendTo(100, true, func(l *load) msrp.Path { return l.deaf })},
	{"send to one with another certificate", sendTo(100, true, func(l *load) msrp.Path {
		uri, _ := msrp.MakeURI(true, "127.0.0.1", l.secure.port, msrp.NewID(), msrp.TransportTCP)
		return msrp.Path{uri}
	}, wrongFingerprint)},
	{"send to a room and vanish", withPlace(false, func(l *load, ctx context.Context, p *place) error {
		s, err := p.endpoint.NewSession(msrp.SessionOptions{URI: p.own})
		if err == nil {
			err = s.Start(msrp.Remote{Path: p.grant.ToPath(p.in.room.path), Conn: p.Conn, ChunkSize: 64 << 10})
		}
		if err == nil {
			err = p.in.room.greet(p.grant.PathFor(p.own))
		}
		if err != nil {
			return err
		}
		const size = 200_000
		out, err := s.Send(ctx, &msrp.Message{ContentType: "text/plain", Body: msrptest.Octets(size, 1), Size: size, FailureReport: msrp.FailureNo})
		if err == nil {
			err = out.Sent(ctx)
		}
		p.reset()
		return err
	})},
	{"register and call nobody", func(l *load, ctx context.Context, in *instance, number int) error {
		return l.calls(ctx, in, number, "nobody")
	}},
	{"register and call one who does not answer", func(l *load, ctx context.Context, in *instance, number int) error {
		return l.calls(ctx, in, number, userName(0))
	}},
	{"half a request of HTTP", outsider(func(in *instance) string { return in.listen }, "GET /msrp HTTP/1.1\r\nHost: localh")},
	{"half a hello of TLS", outsider(func(in *instance) string { return in.msrps }, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
	{"say nothing over TCP", outsider(func(in *instance) string { return in.msrp }, "")},
	{"no MSRP over TCP", outsider(func(in *instance) string { return in.msrp }, "EHLO relay.example.com\r\n")},
	{"half a SEND to an unknown token", outsider(func(in *instance) string { return in.msrp }, "MSRP a786hjs2 SEND\r\nTo-Path: msrp://localhost:2855/unkn0wn;tcp\r\nFrom-Path: msrp://127.0.0.1:9/s;tcp\r\nMess")},
	{"get the page", func(l *load, ctx context.Context, in *instance, number int) error {
		url := map[bool]string{true: "https://", false: "http://"}[in.secure] + in.listen + "/"
		r, err := l.httpClient(in, number%users, nil).Get(url)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		_, err = io.Copy(io.Discard, r.Body)
		return err
	}},
}

// short has two talk for a moment and hang up.
func (l *load) short(ctx context.Context, k *talk) error {
	defer k.end()
	if err := k.begin(ctx); err != nil {
		return err
	}
	stop := make(chan struct{})
	close(stop)
	messages, err := k.run(ctx, stop)
	l.add("messages", int(messages))
	return err
}

// calls registers, and leaves while the call may still be going on.
func (l *load) calls(ctx context.Context, in *instance, number int, to string) error {
	c, err := l.register(ctx, in, 1+number%(users-1))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rand.N(time.Second))
	defer cancel()
	c.Call(ctx, to, "v=0")
	c.Close()
	<-c.Done()
	return nil
}

// lasting are those who stay until the relay has had enough of them.
var lasting = []manner{
	{"stay until the token is over", func(l *load, ctx context.Context, in *instance, number int) error {
		p, err := l.place(ctx, in, number, true, time.Minute)
		if err != nil {
			return err
		}
		defer p.leave()
		s, err := p.session(nil)
		if err != nil {
			return err
		}
		for ; ; time.Sleep(time.Second) { // the session is with the relay alone, which tells when it is over
			if s.State() == msrp.StateConnecting {
				continue
			}
			var status *msrp.StatusError
			if err := s.Probe(ctx); errors.As(err, &status) && status.Code == msrp.StatusNoSession {
				return nil
			} else if err != nil {
				return err
			}
		}
	}},
	{"stay without logging in", func(l *load, ctx context.Context, in *instance, number int) error {
		b, err := l.browser(ctx, in, number)
		if err != nil {
			return err
		}
		defer b.Close()
		select {
		case <-b.Done():
			return nil
		case <-ctx.Done():
			return errors.New("the relay does not mind")
		}
	}},
	{"stay without reading", func(l *load, ctx context.Context, in *instance, number int) error {
		p, err := l.place(ctx, in, number, true, 0)
		if err != nil {
			return err
		}
		close(p.gate)
		l.hold(p.gated)
		return nil
	}},
	{"wait for one who never answers", withPlace(false, func(l *load, ctx context.Context, p *place) error {
		s, err := p.session(l.silent)
		if err != nil {
			return err
		}
		out, err := s.Send(ctx, msrp.Text("is anybody there?"))
		if err != nil {
			return err
		}
		var status *msrp.StatusError
		if err := out.Delivered(ctx); !errors.As(err, &status) || status.Code != msrp.StatusTimeout {
			return fmt.Errorf("in place of 408: %w", err)
		}
		return nil
	})},
}
