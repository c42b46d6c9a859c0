package bridge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/msrp/relay"
)

// An authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{t, cert, key}
}

func (a *authority) pool() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return roots
}

// issue makes a certificate as servers have them.
func (a *authority) issue(name string, until time.Time) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A secureRelay is a relay of "localhost" that listens for TLS connections.
type secureRelay struct {
	*relay.Relay
	uri   msrp.URI
	names chan string // that clients of TLS called it by
}

func (a *authority) relay(shows *tls.Certificate, demand tls.ClientAuthType) *secureRelay {
	t := a.t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	s := &secureRelay{names: make(chan string, 100)}
	s.uri, err = msrp.MakeURI(true, "localhost", port, "", msrp.TransportTCP)
	require.NoError(t, err)
	dialer := &Dialer{
		Policy: Policy{Allow: rules(t, "127.0.0.0/8,[::1]")}, Roots: a.pool(),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shows, nil },
	}
	s.Relay, err = relay.New(relay.Config{Host: "localhost", Port: port, Realm: "127.0.0.1", Users: users{}, Dial: dialer.Dial})
	require.NoError(t, err)
	listener := tls.NewListener(l, &tls.Config{ClientAuth: demand, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		s.names <- hello.ServerName
		return shows, nil
	}})
	ended := make(chan error, 1)
	go func() { ended <- Serve(listener, s.Relay, true, a.pool(), slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		l.Close()
		<-ended
		s.Relay.Close()
	})
	return s
}

// connect opens a connection that shows a certificate, or none.
func (s *secureRelay) connect(t *testing.T, a *authority, shows *tls.Certificate) *msrp.Stream {
	config := &tls.Config{RootCAs: a.pool()}
	if shows != nil {
		config.Certificates = []tls.Certificate{*shows}
	}
	c, err := msrpnet.Dial(t.Context(), s.uri, &msrpnet.Options{TLS: config})
	require.NoError(t, err)
	c.SetDeadline(time.Now().Add(guard))
	t.Cleanup(func() { c.Close() })
	return msrp.NewStream(c)
}

// ask sends a request and returns the response.
func ask(t *testing.T, s *msrp.Stream, method string, to, from msrp.Path, fields ...msrp.Field) *msrp.Unit {
	u := &msrp.Unit{TransactionID: msrp.NewTransactionID(), Method: method, To: to, From: from, Header: fields}
	require.NoError(t, s.Send(u.Append(nil, nil)))
	require.NoError(t, s.Flush())
	r, err := s.Receive()
	require.NoError(t, err)
	require.Equal(t, u.TransactionID, r.TransactionID)
	return r
}

func parsePath(t *testing.T, s string) msrp.Path {
	p, err := msrp.ParsePath(s)
	require.NoError(t, err)
	return p
}

// RFC 4976, sections 6.1, 6.3 and 9.2: what the certificate of a connection makes
// of it.
func TestCertificatesOfConnections(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	self, err := msrpnet.SelfSigned("localhost")
	require.NoError(t, err)
	far := ours.relay(ours.issue("localhost", hour), tls.RequestClientCert)
	for _, c := range []struct {
		name  string
		ids   []string
		shows *tls.Certificate
		relay bool // it is taken for the relay that it says it is
		code  int  // of the AUTH
	}{
		{"section 6.3: a relay", []string{"R-12", "R-35"}, ours.issue("localhost", hour), true, 200},
		{"section 6.3: another relay", []string{"R-35"}, ours.issue("other.example.com", hour), false, 403},
		{"section 6.1: no certificate", []string{"R-12", "R-35"}, nil, false, 200},
		{"section 6.1: of an unknown authority", []string{"R-12", "R-35"}, other.issue("localhost", hour), false, 200},
		{"section 6.1: of no authority", []string{"R-12", "R-35"}, &self, false, 200},
		{"section 6.1: out of date", []string{"R-12", "R-35"}, ours.issue("localhost", time.Now().Add(-time.Minute)), false, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, id := range c.ids {
				t.Attr("requirement", id)
			}
			to, from := msrp.Path{far.uri}, parsePath(t, "msrps://localhost:2855/ne4rt0ken;tcp msrps://a1.invalid:2855/al1ceS3ss10n;ws")
			first := far.connect(t, ours, c.shows)
			r := ask(t, first, "AUTH", to, from)
			if c.code == 403 {
				assert.Equal(t, 403, r.Code)
				return
			}
			require.Equal(t, 401, r.Code)
			challenge, err := digest.Strongest(r.Header.Values("WWW-Authenticate"))
			require.NoError(t, err)
			credentials := challenge.Answer("alice", "secret", "AUTH", far.uri.String(), "cnonce", 1).String()
			r = ask(t, first, "AUTH", to, from, msrp.Field{Name: "Authorization", Value: credentials})
			require.Equal(t, c.code, r.Code)
			use := parsePath(t, r.Header.Get("Use-Path"))
			require.Len(t, use, 2)
			assert.True(t, use[0].Equal(from[0]))

			keepAlive := msrp.Field{Name: "Message-ID", Value: "m3ss4ge1"}
			assert.Equal(t, 200, ask(t, first, "SEND", use[1:], from, keepAlive).Code)
			second := far.connect(t, ours, c.shows)
			assert.Equal(t, map[bool]int{true: 200, false: 481}[c.relay], ask(t, second, "SEND", use[1:], from, keepAlive).Code)
			third := far.connect(t, ours, ours.issue("other.example.com", hour))
			assert.Equal(t, 481, ask(t, third, "SEND", use[1:], from, keepAlive).Code)
		})
	}
}

// RFC 4976, section 9.2: alice – near – far – bob, over TLS with certificates on
// both sides.
func TestRelaysOverTLS(t *testing.T) {
	for _, id := range []string{"R-35", "R-36", "R-42", "R-43"} {
		t.Attr("requirement", id)
	}
	ours := newAuthority(t)
	hour := time.Now().Add(time.Hour)
	near := ours.relay(ours.issue("localhost", hour), tls.RequestClientCert)
	far := ours.relay(ours.issue("localhost", hour), tls.RequireAnyClientCert)
	ctx := t.Context()

	alices, bobs := msrp.NewEndpoint(nil), msrp.NewEndpoint(nil)
	toNear, err := msrpnet.Dial(ctx, near.uri, &msrpnet.Options{TLS: &tls.Config{RootCAs: ours.pool()}})
	require.NoError(t, err)
	conn := alices.NewConn(msrp.NewStream(toNear))
	defer conn.Close()
	own, err := msrp.MakeURI(true, "alice.invalid", 2855, msrp.NewID(), msrp.TransportTCP)
	require.NoError(t, err)
	place, err := conn.Authenticate(ctx, msrp.Auth{Relay: msrp.Path{near.uri}, URI: own, Username: "alice", Password: "secret"})
	require.NoError(t, err)
	place, err = conn.Authenticate(ctx, msrp.Auth{Relay: place.UsePath.Join(far.uri), URI: own, Username: "alice", Password: "secret"})
	require.NoError(t, err)
	require.Len(t, place.UsePath, 2)
	assert.True(t, place.UsePath[1].SameAuthority(far.uri))
	assert.Equal(t, "localhost", <-far.names, "the server name")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go msrpnet.Serve(tls.NewListener(l, msrpnet.ServerConfig(*ours.issue("localhost", hour))), bobs)
	bobURI, err := msrp.MakeURI(true, "localhost", l.Addr().(*net.TCPAddr).Port, msrp.NewID(), msrp.TransportTCP)
	require.NoError(t, err)
	alice, err := alices.NewSession(msrp.SessionOptions{URI: own})
	require.NoError(t, err)
	bob, err := bobs.NewSession(msrp.SessionOptions{URI: bobURI})
	require.NoError(t, err)
	require.NoError(t, bob.Start(msrp.Remote{Path: place.PathFor(own)}))
	require.NoError(t, alice.Start(msrp.Remote{Path: place.ToPath(msrp.Path{bobURI}), Conn: conn, Active: true}))
	for _, s := range [][2]*msrp.Session{{alice, bob}, {bob, alice}} {
		out, err := s[0].Send(ctx, msrp.Text("Grüße"))
		require.NoError(t, err)
		require.NoError(t, out.Delivered(ctx))
		assert.Equal(t, "Grüße", msrptest.Read(t, ctx, s[1]))
	}
}

// RFC 4976, section 9.2: a certificate that is not that of the URI's host is not
// talked to, and the sender is told.
func TestNextHopWithAWrongCertificate(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	near := ours.relay(ours.issue("localhost", hour), tls.RequestClientCert)
	for name, shows := range map[string]*tls.Certificate{
		"section 9.2: of another name":         ours.issue("other.example.com", hour),
		"section 9.2: of an unknown authority": other.issue("localhost", hour),
		"section 9.2: out of date":             ours.issue("localhost", time.Now().Add(-time.Minute)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, id := range []string{"R-25", "R-36"} {
				t.Attr("requirement", id)
			}
			far := (&authority{t, ours.cert, ours.key}).relay(shows, tls.RequestClientCert)
			conn := msrp.NewEndpoint(nil).NewConn(near.connect(t, ours, nil))
			defer conn.Close()
			own, err := msrp.MakeURI(true, "alice.invalid", 2855, msrp.NewID(), msrp.TransportTCP)
			require.NoError(t, err)
			auth := msrp.Auth{Relay: msrp.Path{near.uri}, URI: own, Username: "alice", Password: "secret"}
			place, err := conn.Authenticate(t.Context(), auth)
			require.NoError(t, err)
			auth.Relay = place.UsePath.Join(far.uri)
			_, err = conn.Authenticate(t.Context(), auth)
			var status *msrp.StatusError
			require.ErrorAs(t, err, &status)
			assert.Equal(t, 408, status.Code)
			conn.Close()

			stream := near.connect(t, ours, nil)
			from := msrp.Path{own}
			r := ask(t, stream, "AUTH", msrp.Path{near.uri}, from)
			challenge, err := digest.Strongest(r.Header.Values("WWW-Authenticate"))
			require.NoError(t, err)
			r = ask(t, stream, "AUTH", msrp.Path{near.uri}, from, msrp.Field{Name: "Authorization", Value: challenge.Answer("alice", "secret", "AUTH", near.uri.String(), "c", 1).String()})
			require.Equal(t, 200, r.Code)
			to := parsePath(t, r.Header.Get("Use-Path")+" "+far.uri.String()[:len(far.uri.String())-len(";tcp")]+"/s3ss10n;tcp")
			send := msrp.Unit{
				TransactionID: "tr4ns4ct", Method: "SEND", To: to, From: from,
				Header: msrp.Header{{Name: "Message-ID", Value: "m3ss4ge1"}, {Name: "Byte-Range", Value: "1-0/0"}},
			}
			require.NoError(t, stream.Send(send.Append(nil, nil)))
			require.NoError(t, stream.Flush())
			for {
				r, err = stream.Receive()
				require.NoError(t, err)
				if r.Code == 200 {
					continue
				}
				if r.Method == "REPORT" {
					assert.Equal(t, 408, r.Status().Code)
					assert.Equal(t, "1-0/0", r.Header.Get("Byte-Range"))
				} else {
					assert.Equal(t, 408, r.Code)
				}
				return
			}
		})
	}
}
