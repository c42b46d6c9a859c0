package msrpnet_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

// guard is how long a test waits for something that should happen at once.
const guard = 20 * time.Second

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func uriFor(t *testing.T, l net.Listener, secure bool) msrp.URI {
	uri, err := msrp.MakeURI(secure, "127.0.0.1", l.Addr().(*net.TCPAddr).Port, msrp.NewID(), msrp.TransportTCP)
	require.NoError(t, err)
	return uri
}

func selfSigned(t *testing.T, hosts ...string) tls.Certificate {
	pair, err := msrpnet.SelfSigned(hosts...)
	require.NoError(t, err)
	return pair
}

// Alice dials, Bob serves.
func TestSuite(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "TCP", true: "TLS"}[secure], func(t *testing.T) {
			pair := selfSigned(t)
			msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
				l := listen(t)
				bobURI := uriFor(t, l, secure)
				o := &msrpnet.Options{}
				if secure {
					l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}})
					o.Fingerprints = []string{msrpnet.Fingerprint(pair.Certificate[0])}
				}
				bobs := msrp.NewEndpoint(nil)
				go msrpnet.Serve(l, bobs)
				aliceURI, err := msrp.MakeURI(secure, "alice.example.com", 9, msrp.NewID(), msrp.TransportTCP)
				require.NoError(t, err)
				bob, err := bobs.NewSession(msrp.SessionOptions{URI: bobURI})
				require.NoError(t, err)
				require.NoError(t, bob.Start(msrp.Remote{Path: msrp.Path{aliceURI}}))

				c, err := msrpnet.Dial(t.Context(), bobURI, o)
				require.NoError(t, err)
				alices := msrp.NewEndpoint(nil)
				conn := alices.NewConn(msrp.NewStream(c))
				t.Cleanup(func() { conn.Close() }) // Bob's end follows
				alice, err := alices.NewSession(msrp.SessionOptions{URI: aliceURI})
				require.NoError(t, err)
				require.NoError(t, alice.Start(msrp.Remote{Path: msrp.Path{bobURI}, Conn: conn, Active: true}))
				return alice, bob
			})
		})
	}
}

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authority{t: t, key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return a
}

func (a *authority) issue(host string, until time.Time) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{host}, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// redirect connects to one address, whatever is asked for.
type redirect string

func (r redirect) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, string(r))
}

// is reports whether an error is one of type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// RFC 4975, sections 14.2 and 14.4; RFC 8122, section 6: who is trusted, and
// that nobody else gets to see a single octet.
func TestTrust(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	self, impostor := selfSigned(t, "bob.example.com"), selfSigned(t, "bob.example.com")
	fingerprint := func(pair tls.Certificate) []string {
		return []string{msrpnet.Fingerprint(pair.Certificate[0])}
	}
	elsewhere := selfSigned(t, "x.example.com")
	mismatch := func(err error) bool { return errors.Is(err, msrpnet.ErrFingerprint) }
	tooOld := func(err error) bool { return strings.Contains(err.Error(), "protocol version not supported") }
	for _, c := range []struct {
		name         string
		server       tls.Certificate // none is a server without TLS
		max          uint16          // version of TLS
		fingerprints []string
		want         func(error) bool // nil for none
	}{
		{"right fingerprint", self, 0, fingerprint(self), nil},
		{"right fingerprint over TLS 1.2", self, tls.VersionTLS12, fingerprint(self), nil},
		{"right fingerprint of another name's certificate", elsewhere, 0, fingerprint(elsewhere), nil},
		{"wrong fingerprint", impostor, 0, fingerprint(self), mismatch},
		{"wrong fingerprint over TLS 1.2", impostor, tls.VersionTLS12, fingerprint(self), mismatch},
		{"wrong fingerprint, right authority", ours.issue("bob.example.com", later), 0, fingerprint(self), mismatch},
		{"fingerprint of no known hash", self, 0, []string{"md5 00:11"}, mismatch},
		{"self-signed without fingerprint", self, 0, nil, is[x509.UnknownAuthorityError]},
		{"right authority and name", ours.issue("bob.example.com", later), 0, nil, nil},
		{"right authority, by wildcard", ours.issue("*.example.com", later), 0, nil, nil},
		{"right authority, wrong name", ours.issue("mallory.example.com", later), 0, nil, is[x509.HostnameError]},
		{"right authority, expired", ours.issue("bob.example.com", before), 0, nil, is[x509.CertificateInvalidError]},
		{"wrong authority", other.issue("bob.example.com", later), 0, nil, is[x509.UnknownAuthorityError]},
		{"TLS 1.1", ours.issue("bob.example.com", later), tls.VersionTLS11, nil, tooOld},
		{"no TLS", tls.Certificate{}, 0, nil, is[tls.RecordHeaderError]},
	} {
		t.Run(c.name, func(t *testing.T) {
			if len(c.fingerprints) > 0 {
				t.Attr("requirement", "S-52")
			} else {
				t.Attr("requirement", "S-51")
			}
			l := listen(t)
			type arrival struct{ octets, name string }
			arrived := make(chan arrival, 1)
			go func() {
				var a arrival
				defer func() { arrived <- a }()
				raw, err := l.Accept()
				if err != nil {
					return
				}
				defer raw.Close()
				raw.SetDeadline(time.Now().Add(guard))
				if c.server.Certificate == nil {
					io.WriteString(raw, "MSRP a786hjs2 200 OK\r\n")
					return
				}
				conn := tls.Server(raw, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: c.max, Certificates: []tls.Certificate{c.server}})
				octets, _ := io.ReadAll(conn)
				a = arrival{string(octets), conn.ConnectionState().ServerName}
			}()

			uri, err := msrp.ParseURI("msrps://bob.example.com:2855/s3ss10n;tcp")
			require.NoError(t, err)
			conn, err := msrpnet.Dial(t.Context(), uri, &msrpnet.Options{
				Dialer: redirect(l.Addr().String()), Fingerprints: c.fingerprints,
				TLS: &tls.Config{RootCAs: roots},
			})
			if c.want == nil {
				require.NoError(t, err)
				io.WriteString(conn, "MSRP")
				conn.Close()
				assert.Equal(t, arrival{"MSRP", "bob.example.com"}, <-arrived)
				return
			}
			assert.True(t, c.want(err), "%v", err)
			assert.Nil(t, conn)
			assert.ErrorContains(t, err, "bob.example.com:2855")
			assert.Empty(t, (<-arrived).octets)
		})
	}
}

// RFC 8122, section 6.2: the peer that connected is the one of the SDP, whether
// that came before its connection or after.
func TestVerifyPeer(t *testing.T) {
	t.Attr("requirement", "S-52")
	right, wrong, bobs := selfSigned(t), selfSigned(t), selfSigned(t)
	fingerprints := []string{msrpnet.Fingerprint(right.Certificate[0])}
	for _, c := range []struct {
		name         string
		certificates []tls.Certificate // of alice
		fingerprints []string          // what her SDP says
		plain        bool
		refused      bool
	}{
		{"right", []tls.Certificate{right}, fingerprints, false, false},
		{"wrong", []tls.Certificate{wrong}, fingerprints, false, true},
		{"no certificate", nil, fingerprints, false, true},
		{"no TLS", nil, fingerprints, true, true},
		{"nothing promised", []tls.Certificate{wrong}, nil, false, false},
	} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, connected before the answer: %v", c.name, early), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), guard)
				defer cancel()
				l := listen(t)
				bobURI := uriFor(t, l, !c.plain)
				if !c.plain {
					l = tls.NewListener(l, msrpnet.ServerConfig(bobs))
				}
				endpoint := msrp.NewEndpoint(nil)
				go msrpnet.Serve(l, endpoint)
				greeted := make(chan struct{})
				bob, err := endpoint.NewSession(msrp.SessionOptions{URI: bobURI, Greeted: func(msrp.Path) { close(greeted) }})
				require.NoError(t, err)
				remote := msrp.Remote{Path: msrp.Path{msrptest.NewURI(t, "alice")}, Verify: func(conn *msrp.Conn) error { return msrpnet.VerifyPeer(conn, c.fingerprints) }}
				if !early {
					require.NoError(t, bob.Start(remote))
				}
				conn, err := msrpnet.Dial(ctx, bobURI, &msrpnet.Options{
					TLS: &tls.Config{Certificates: c.certificates}, Fingerprints: []string{msrpnet.Fingerprint(bobs.Certificate[0])},
				})
				require.NoError(t, err)
				alices := msrp.NewEndpoint(nil)
				alice, err := alices.NewSession(msrp.SessionOptions{URI: remote.Path.First()})
				require.NoError(t, err)
				aliceConn := alices.NewConn(msrp.NewStream(conn))
				defer aliceConn.Close()
				require.NoError(t, alice.Start(msrp.Remote{Path: msrp.Path{bobURI}, Conn: aliceConn, Active: true}))
				out, err := alice.Send(ctx, msrp.Text("Hello, Bob!"))
				if early {
					require.NoError(t, err)
					require.NoError(t, out.Sent(ctx))
					<-greeted
					err := bob.Start(remote)
					require.Equal(t, c.refused, errors.Is(err, msrpnet.ErrFingerprint), "%v", err)
				}
				if !c.refused {
					assert.Equal(t, "Hello, Bob!", msrptest.Read(t, ctx, bob))
					return
				}
				<-alice.Done()
				<-bob.Done()
				assert.ErrorIs(t, bob.Err(), msrpnet.ErrFingerprint)
				_, err = bob.Receive(ctx)
				assert.ErrorIs(t, err, msrpnet.ErrFingerprint, "nothing of it counts")
			})
		}
	}
}

// RFC 8122, section 5: of several, those with the strongest hash count.
func TestCheckFingerprint(t *testing.T) {
	pair, second := selfSigned(t), selfSigned(t)
	cert := func(pair tls.Certificate) *x509.Certificate {
		c, err := x509.ParseCertificate(pair.Certificate[0])
		require.NoError(t, err)
		return c
	}
	chain := []*x509.Certificate{cert(pair), cert(second)}
	der := pair.Certificate[0]
	right, wrong := msrpnet.Fingerprint(der), msrpnet.Fingerprint(second.Certificate[0])
	write := func(name string, sum []byte) string {
		return name + " " + strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
	}
	weak, strong := sha1.Sum(der), sha512.Sum512(der)
	for _, c := range []struct {
		name         string
		chain        []*x509.Certificate
		fingerprints []string
		want         bool
	}{
		{"right", chain, []string{right}, true},
		{"in other case", chain, []string{strings.ToLower(right)}, true},
		{"name in capitals", chain, []string{strings.ToUpper(right)}, true},
		{"with blanks around", chain, []string{" " + strings.Replace(right, " ", "  ", 1) + " "}, true},
		{"one of two", chain, []string{wrong, right}, true},
		{"SHA-1", chain, []string{write("sha-1", weak[:])}, true},
		{"SHA-512", chain, []string{write("sha-512", strong[:])}, true},
		{"the stronger one right", chain, []string{wrong, write("sha-512", strong[:])}, true},
		{"the stronger one wrong", chain, []string{right, write("sha-512", make([]byte, 64))}, false},
		{"wrong", chain, []string{wrong}, false},
		{"cut short", chain, []string{right[:len(right)-3]}, false},
		{"of another hash", chain, []string{"sha-512" + strings.TrimPrefix(right, "sha-256")}, false},
		{"MD5, even beside", chain, []string{"md5 00"}, false},
		{"without a value", chain, []string{"sha-256"}, false},
		{"empty", chain, []string{""}, false},
		{"none", chain, nil, false},
		{"no certificate", nil, []string{right}, false},
	} {
		err := msrpnet.CheckFingerprint(c.chain, c.fingerprints)
		if c.want {
			assert.NoError(t, err, c.name)
		} else {
			assert.ErrorIs(t, err, msrpnet.ErrFingerprint, c.name)
		}
	}
	assert.Regexp(t, `^sha-256 [0-9A-F]{2}(:[0-9A-F]{2}){31}$`, right)
}

func TestSelfSigned(t *testing.T) {
	pair := selfSigned(t, "bob.example.com", "127.0.0.1", "::1")
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	for host, want := range map[string]bool{"bob.example.com": true, "127.0.0.1": true, "::1": true, "alice.example.com": false, "127.0.0.2": false} {
		assert.Equal(t, want, cert.VerifyHostname(host) == nil, host)
	}
	assert.True(t, cert.NotAfter.After(time.Now()) && cert.NotBefore.Before(time.Now()))
	assert.False(t, bytes.Equal(pair.Certificate[0], selfSigned(t).Certificate[0]))
}

func TestCannotDial(t *testing.T) {
	l := listen(t)
	nobody := uriFor(t, l, false)
	l.Close()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		uri  string
		ctx  context.Context
		want string
	}{
		{"msrp://bob.example.com:2855/s3ss10n;ws", t.Context(), `cannot connect over "ws"`},
		{"msrp://bob.example.com/s3ss10n;tcp", t.Context(), "no port"},
		{nobody.String(), t.Context(), nobody.HostPort()},
		{nobody.String(), canceled, "canceled"},
	} {
		uri, err := msrp.ParseURI(c.uri)
		require.NoError(t, err)
		_, err = msrpnet.Dial(c.ctx, uri, nil)
		assert.ErrorContains(t, err, c.want)
	}
}

func TestServeEndsWithItsListener(t *testing.T) {
	l := listen(t)
	ended := make(chan error, 1)
	go func() { ended <- msrpnet.Serve(l, msrp.NewEndpoint(nil)) }()
	l.Close()
	assert.ErrorIs(t, <-ended, net.ErrClosed)
}

// pipes is a listener in memory, where time can be made to pass.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours
}

// RFC 4976, section 6.1: 30 seconds for a request that makes sense.
func TestIdleConnections(t *testing.T) {
	t.Attr("requirement", "S-12")
	synctest.Test(t, func(t *testing.T) {
		l := make(pipes)
		endpoint := msrp.NewEndpoint(nil)
		bob, err := endpoint.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "bob")})
		require.NoError(t, err)
		go msrpnet.Serve(l, endpoint)
		defer l.Close()

		alices := msrp.NewEndpoint(nil)
		alice, err := alices.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "alice")})
		require.NoError(t, err)
		conn := alices.NewConn(msrp.NewStream(l.dial()))
		defer conn.Close()
		require.NoError(t, alice.Start(msrp.Remote{Path: msrp.Path{bob.URI()}, Conn: conn, Active: true}))

		start := time.Now()
		silent, stranger := l.dial(), l.dial()
		_, err = io.WriteString(stranger, "MSRP a786hjs2 SEND\r\nTo-Path: msrp://bob.example.com:2855/n0ne;tcp\r\n"+
			"From-Path: "+alice.URI().String()+"\r\nMessage-ID: m3ss4ge1\r\n-------a786hjs2$\r\n")
		require.NoError(t, err)
		answer, err := io.ReadAll(stranger)
		assert.NoError(t, err)
		assert.Contains(t, string(answer), " 481 ")
		_, err = silent.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
		assert.Equal(t, 30*time.Second, time.Since(start))
		assert.NoError(t, alice.Probe(t.Context())) // hers stays
		time.Sleep(24 * time.Hour)
		assert.NoError(t, alice.Probe(t.Context()))

		// After its last session it serves another one that comes soon, and ends
		// if none does.
		bob.Close()
		time.Sleep(4 * time.Minute)
		assert.NoError(t, conn.Err())
		alice.Close()
		carol, err := endpoint.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "carol")})
		require.NoError(t, err)
		again, err := alices.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "alice")})
		require.NoError(t, err)
		require.NoError(t, again.Start(msrp.Remote{Path: msrp.Path{carol.URI()}, Conn: conn, Active: true}))
		time.Sleep(time.Hour)
		assert.NoError(t, again.Probe(t.Context()))
		carol.Close()
		ended := time.Now()
		<-conn.Done()
		assert.LessOrEqual(t, time.Since(ended), 10*time.Minute)
		assert.GreaterOrEqual(t, time.Since(ended), 5*time.Minute)
	})
}

// A listener that fails n times before it takes connections, as one does while
// there are no file descriptors.
type failing struct {
	net.Listener
	n int
}

func (l *failing) Accept() (net.Conn, error) {
	if l.n--; l.n >= 0 {
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

func TestServeSurvives(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- msrpnet.Serve(&failing{l, 3}, msrp.NewEndpoint(nil)) }()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	// No session is there; that somebody says so is enough.
	_, err = c.Write([]byte("MSRP abcd SEND\r\nTo-Path: msrp://127.0.0.1:1/x;tcp\r\nFrom-Path: msrp://127.0.0.1:2/y;tcp\r\nMessage-ID: m3ss4ge1\r\n-------abcd$\r\n"))
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-served, net.ErrClosed)
}

// zone answers as the DNS of one domain does.
type zone struct {
	t       *testing.T
	records []*net.SRV
	err     error
	asked   int
}

func (z *zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	z.asked++
	assert.Equal(z.t, "_msrps._tcp.example.com", "_"+service+"._"+proto+"."+name)
	return name, z.records, z.err
}

// doors connects to what is behind the one address that is open.
type doors struct {
	open, behind string
	tried        []string
}

func (d *doors) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d.tried = append(d.tried, address)
	if address != d.open {
		return nil, fmt.Errorf("%s: connection refused", address)
	}
	return redirect(d.behind).DialContext(ctx, network, address)
}

// RFC 4976, section 8: where the relay of a domain is.
func TestFindingRelays(t *testing.T) {
	ours := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	servers := []*net.SRV{{Target: "server1.example.com.", Port: 9000}, {Target: "server2.example.com.", Port: 9001}}
	var many []*net.SRV
	for i := range 100 {
		many = append(many, &net.SRV{Target: fmt.Sprintf("s%d.example.com.", i), Port: 9000})
	}
	const domain = "msrps://example.com;tcp"
	for _, c := range []struct {
		name, uri   string
		zone        zone
		certificate string
		tried       string // the last of it is open
		asked       int
		fails       string
	}{
		{"section 8: an explicit port", "msrps://example.com:2999;tcp", zone{}, "example.com", "example.com:2999", 0, ""},
		{"section 8: the first of the entries", domain, zone{records: servers}, "example.com", "server1.example.com:9000", 1, ""},
		{"RFC 2782: the next where one is down", domain, zone{records: servers}, "example.com", "server1.example.com:9000 server2.example.com:9001", 1, ""},
		{"section 8: no entries, so the domain and the default port", domain, zone{err: &net.DNSError{IsNotFound: true}}, "example.com", "example.com:2855", 1, ""},
		{"an empty answer", domain, zone{}, "example.com", "example.com:2855", 1, ""},
		{"valid entries among others", domain, zone{records: servers, err: errors.New("bad entries")}, "example.com", "server1.example.com:9000", 1, ""},
		{"RFC 2782: the domain says that it has none", domain, zone{records: []*net.SRV{{Target: "."}}}, "example.com", "", 1, "has no MSRP relay"},
		{"DNS fails", domain, zone{err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}}, "example.com", "", 1, "server misbehaving"},
		{"nobody is there", domain, zone{records: many}, "example.com", "s0 s1 s2 s3 s4 s5 s6 s7", 1, "s7.example.com:9000: connection refused"},
		{"section 9.2: the certificate is that of the URI", domain, zone{records: servers}, "server1.example.com", "server1.example.com:9000", 1, "certificate is valid for server1"},
		{"section 8: there is no service _msrp", "msrp://example.com;tcp", zone{}, "example.com", "", 0, "no port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := listen(t)
			pair := ours.issue(c.certificate, time.Now().Add(time.Hour))
			names := make(chan string, 1)
			server := tls.NewListener(l, &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				names <- hello.ServerName
				return &pair, nil
			}})
			go func() {
				for {
					conn, err := server.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						io.Copy(conn, conn)
					}()
				}
			}()
			tried := strings.Fields(c.tried)
			d := &doors{behind: l.Addr().String()}
			if len(tried) > 0 {
				d.open = tried[len(tried)-1]
			}
			uri, err := msrp.ParseURI(c.uri)
			require.NoError(t, err)
			c.zone.t = t
			conn, err := msrpnet.Dial(t.Context(), uri, &msrpnet.Options{Resolver: &c.zone, Dialer: d, TLS: &tls.Config{RootCAs: roots}})
			assert.Equal(t, c.asked, c.zone.asked)
			if len(tried) > 0 && strings.Contains(c.tried, ":") {
				assert.Equal(t, tried, d.tried)
				assert.Equal(t, "example.com", <-names, "the server name")
			} else {
				assert.Len(t, d.tried, len(tried))
			}
			if c.fails != "" {
				assert.ErrorContains(t, err, c.fails)
				return
			}
			require.NoError(t, err)
			conn.Close()
		})
	}
}
