package serve

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/proxy/credential"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
)

// A journal is a log that tests read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// started is a server with its log, and what stops it.
type started struct {
	*Server
	log   *journal
	stop  func() // as SIGTERM does
	hurry func() // as the second one does
	ended chan error
}

// begin starts the command and returns it once it listens.
func begin(t *testing.T, args ...string) *started {
	c, err := Parse(args, io.Discard)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	hurry := make(chan struct{})
	c.Hurry = hurry
	s := &started{log: &journal{}, stop: cancel, hurry: sync.OnceFunc(func() { close(hurry) }), ended: make(chan error, 1)}
	ready := make(chan *Server, 1)
	over := make(chan struct{})
	go func() {
		s.ended <- Run(ctx, c, s.log, func(s *Server) { ready <- s })
		close(over)
	}()
	t.Cleanup(func() {
		cancel()
		s.hurry()
		<-over
	})
	select {
	case s.Server = <-ready:
	case err := <-s.ended:
		require.FailNow(t, "the server does not start", "%v", err)
	case <-time.After(guard):
		require.FailNow(t, "the server does not start")
	}
	return s
}

// behindProxy are settings of a server behind a proxy on this machine.
var behindProxy = []string{
	"--trusted-proxy=127.0.0.1", "--public-host=localhost", "--listen=127.0.0.1:0", "--plain-peers", "--msrp-listen=127.0.0.1:0",
	"--admin-listen=127.0.0.1:0", "--peer-allow=127.0.0.0/8",
}

// eventually waits for what happens in its own time.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	require.Eventually(t, happened, guard, 10*time.Millisecond, what)
}

func (s *Server) get(t *testing.T, flagName, path string) (int, string) {
	response, err := http.Get("http://" + s.Addr[flagName] + path)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// New TLS files are used for those who connect from then on, bad ones are not,
// and nobody is dropped.
func TestNewCertificate(t *testing.T) {
	first, args := files(t)
	second, others := files(t)
	s := begin(t, args...)
	path := func(args []string, flagName string) string {
		for _, a := range args {
			if name, value, _ := strings.Cut(a, "="); name == "--"+flagName {
				return value
			}
		}
		return ""
	}
	replace := func(flagName string, data []byte, modTime time.Time) {
		name := path(args, flagName)
		require.NoError(t, os.WriteFile(name+".new", data, 0o600))
		require.NoError(t, os.Chtimes(name+".new", modTime, modTime))
		require.NoError(t, os.Rename(name+".new", name))
	}
	serial := func(flagName string) *x509.Certificate {
		c, err := tls.Dial("tcp", s.Addr[flagName], &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0]
	}
	roots := x509.NewCertPool()
	roots.AddCert(first)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}}
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	stays, _, err := websocket.Dial(ctx, "wss://"+s.Addr["listen"]+"/msrp", &websocket.DialOptions{Subprotocols: []string{"msrp"}, HTTPClient: client})
	require.NoError(t, err)
	defer stays.CloseNow()
	require.True(t, serial("listen").Equal(first))

	replace("tls-key", []byte("no key at all"), time.Now().Add(time.Hour))
	eventually(t, "it is told", func() bool {
		assert.True(t, serial("msrps-listen").Equal(first), "the old pair stays")
		return strings.Contains(s.log.String(), "the new certificate cannot be used")
	})
	for _, flagName := range []string{"tls-cert", "tls-key"} {
		data, err := os.ReadFile(path(others, flagName))
		require.NoError(t, err)
		replace(flagName, data, time.Now().Add(2*time.Hour))
		if flagName == "tls-cert" {
			assert.True(t, serial("listen").Equal(first), "half a change")
		}
	}
	eventually(t, "the new pair is used", func() bool { return serial("listen").Equal(second) })
	assert.True(t, serial("msrps-listen").Equal(second))
	assert.LessOrEqual(t, strings.Count(s.log.String(), "cannot be used"), 2, "once for each kind of it")
	assert.Equal(t, 1, strings.Count(s.log.String(), "was read again"))

	auth := "MSRP 4bcd3fgh AUTH\r\nTo-Path: msrps://" + s.Addr["listen"] + ";ws\r\nFrom-Path: msrps://a.invalid:2855/s;ws\r\n-------4bcd3fgh$\r\n"
	require.NoError(t, stays.Write(ctx, websocket.MessageBinary, []byte(auth)))
	_, data, err := stays.Read(ctx)
	require.NoError(t, err, "who was there stays")
	assert.Contains(t, string(data), " 401 ")
}

// TLS 1.2 and above, with suites that nobody can break.
func TestTLS(t *testing.T) {
	t.Attr("requirement", "B-04")
	_, args := files(t)
	s := begin(t, args...)
	for _, flagName := range []string{"listen", "msrps-listen"} {
		for name, c := range map[string]struct {
			config *tls.Config
			ok     bool
		}{
			"1.3":                {&tls.Config{MinVersion: tls.VersionTLS13}, true},
			"1.2":                {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
			"1.1":                {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
			"1.0":                {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, false},
			"RC4":                {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_RC4_128_SHA}}, false},
			"3DES":               {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}}, false},
			"CBC":                {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}}, false},
			"GCM":                {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, true},
			"no forward secrecy": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false},
		} {
			config := c.config.Clone()
			config.InsecureSkipVerify = true
			conn, err := tls.Dial("tcp", s.Addr[flagName], config)
			assert.Equal(t, c.ok, err == nil, "%s on --%s: %v", name, flagName, err)
			if err == nil {
				conn.Close()
			}
		}
	}
}

// Users are read again: those who were added come in, those who were taken out
// do not any more, and a bad file changes nothing.
func TestNewUsers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	age := 0
	write := func(text string) {
		require.NoError(t, os.WriteFile(name+".new", []byte(text), 0o600))
		age++
		at := time.Now().Add(time.Duration(age) * time.Hour)
		require.NoError(t, os.Chtimes(name+".new", at, at))
		require.NoError(t, os.Rename(name+".new", name))
	}
	line := func(user string) string {
		return user + ":localhost:" + digest.HA1(digest.SHA256, user, "localhost", "secret") + "\n"
	}
	write(line("alice") + line("bob"))
	s := begin(t, append(behindProxy, "--users="+name)...)
	alice := s.open(t).login("alice", "secret")

	write("broken")
	eventually(t, "it is told", func() bool {
		_, ok := s.users.Check("bob", "secret")
		return assert.True(t, ok) && strings.Contains(s.log.String(), "the new users file cannot be used")
	})
	s.open(t).login("bob", "secret")
	write(line("bob") + line("carol"))
	eventually(t, "it is read", func() bool {
		_, ok := s.users.Check("carol", "secret")
		return ok
	})
	s.open(t).login("carol", "secret")
	u, _ := s.open(t).auth("alice", "secret")
	assert.Equal(t, 401, u.Code, "alice was taken out")
	assert.Equal(t, "200", alice.probe(), "but her token lasts until it expires")
	assert.Equal(t, 1, strings.Count(s.log.String(), "cannot be used"))
}

// Credentials that run out let nobody in any more. A token that they got lasts
// for its own time, which the 200 told (RFC 4976, section 6.3).
func TestCredentialsRunOut(t *testing.T) {
	s := begin(t, append(behindProxy, "--secret=north")...)
	username, password := credential.Mint("north", "alice", time.Now().Add(5*time.Second))
	alice := s.open(t)
	u, _ := alice.auth(username, password, "Expires: 60")
	require.Equal(t, 200, u.Code)
	assert.Equal(t, "60", u.Header.Get("Expires"))
	alice.token = u.Header.Get("Use-Path")
	eventually(t, "they are over", func() bool {
		_, ok := s.users.Check(username, password)
		return !ok
	})
	assert.Equal(t, "200", alice.probe())
	u, _ = alice.auth(username, password)
	assert.Equal(t, 401, u.Code)
}

// Who the proxy in front has authenticated needs no password, here and at the
// rendezvous, and nobody else can say so.
func TestAuthHeader(t *testing.T) {
	t.Attr("requirement", "B-09")
	t.Attr("requirement", "B-10")
	s := begin(t, append(behindProxy, "--auth-header=X-Forwarded-User", "--log-level=debug")...)
	alice := s.open(t, "X-Forwarded-User: alice", "X-Forwarded-For: 192.0.2.7")
	alice.unit("AUTH", alice.relay)
	u, _ := alice.read()
	require.Equal(t, 200, u.Code)
	alice.token = u.Header.Get("Use-Path")
	assert.Equal(t, "200", alice.probe())
	assert.Contains(t, s.log.String(), `msg="token granted" user=alice remote=192.0.2.7`)

	nobody := s.open(t)
	nobody.unit("AUTH", nobody.relay)
	assert.Equal(t, "401", nobody.next(), "the proxy named nobody")
	_, _, r := s.request(t, append(s.handshake(), "X-Forwarded-User: alice", "X-Forwarded-User: mallory")...)
	assert.Equal(t, 400, r.StatusCode, "one of the two may be the client's")

	register := func(header, name string) error {
		h := http.Header{}
		if header != "" {
			h.Set("X-Forwarded-User", header)
		}
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		defer cancel()
		client := &http.Client{Transport: addHeader{h}}
		c, err := rendezvous.Dial(ctx, rendezvous.Registration{URL: s.ws("/rendezvous"), Name: name, HTTPClient: client})
		if err == nil {
			c.Close()
		}
		return err
	}
	assert.NoError(t, register("alice", "alice"))
	assert.ErrorContains(t, register("alice", "bob"), "403")
	assert.ErrorContains(t, register("", "alice"), "401")

	// From elsewhere the header is a client's word.
	args := append([]string{}, behindProxy...)
	args[0] = "--trusted-proxy=10.0.0.0/8"
	far := begin(t, append(args, "--auth-header=X-Forwarded-User")...)
	_, _, r = far.request(t, far.handshake("X-Forwarded-User: alice")...)
	assert.Equal(t, 403, r.StatusCode)
}

type addHeader struct{ h http.Header }

func (a addHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range a.h {
		r.Header[name] = values
	}
	return http.DefaultTransport.RoundTrip(r)
}

// A server that is told to stop takes nothing new, finishes what is under way,
// tells its clients, and leaves its ports to the next one.
func TestDrain(t *testing.T) {
	s := begin(t, append(behindProxy, "--secret=north")...)
	username, password := credential.Mint("north", "alice", time.Now().Add(time.Hour))
	alice, idle := s.open(t).login(username, password), s.open(t).login(username, password)
	bob, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer bob.Close()
	to := alice.token + " msrp://" + bob.Addr().String() + "/b0b;tcp"
	alice.unit("SEND", to, mid, "Content-Type: text/plain", "", "under way")
	require.Equal(t, "200", alice.next())
	c, err := bob.Accept()
	require.NoError(t, err)
	defer c.Close()
	in := msrp.NewReader(c)
	under, err := in.Next()
	require.NoError(t, err)
	_, metrics := s.get(t, "admin-listen", "/metrics")
	assert.Contains(t, metrics, "\nwebmsrp_transactions 1\n")

	s.stop()
	assert.Equal(t, "close 1001", idle.next(), "who is idle is told at once")
	status, body := s.get(t, "admin-listen", "/readyz")
	assert.Equal(t, 503, status, body)
	status, _ = s.get(t, "admin-listen", "/healthz")
	assert.Equal(t, 200, status)
	_, err = net.Dial("tcp", s.Addr["listen"])
	assert.Error(t, err, "nobody is taken any more")

	// The request under way fails, and its sender hears of it.
	refusal := msrp.Unit{TransactionID: under.TransactionID, Code: 415, To: under.From, From: under.To}
	_, err = c.Write(refusal.Append(nil, nil))
	require.NoError(t, err)
	assert.Equal(t, "REPORT 415", alice.next())
	assert.Equal(t, "close 1001", alice.next())
	require.NoError(t, end(t, s.ended))
	assert.NotContains(t, s.log.String(), "still busy")

	// The next one has the same ports, and the client is back.
	args := append([]string{}, behindProxy...)
	for i, a := range args {
		if name, _, _ := strings.Cut(strings.TrimPrefix(a, "--"), "="); s.Addr[name] != "" {
			args[i] = "--" + name + "=" + s.Addr[name]
		}
	}
	next := begin(t, append(args, "--secret=north")...)
	assert.Equal(t, s.Addr, next.Addr)
	assert.Equal(t, "200", next.open(t).login(username, password).probe())
}

// It has an end, and an earlier one for who insists.
func TestDrainIsBounded(t *testing.T) {
	for name, args := range map[string][]string{"by its time": {"--drain-timeout=300ms"}, "by a second signal": {"--drain-timeout=1h"}} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, append(append(args, "--secret=north"), behindProxy...)...)
			alice := s.open(t).login(credential.Mint("north", "alice", time.Now().Add(time.Hour)))
			bob, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer bob.Close()
			alice.unit("SEND", alice.token+" msrp://"+bob.Addr().String()+"/b0b;tcp", mid, "Content-Type: text/plain", "", "no answer comes")
			require.Equal(t, "200", alice.next())
			c, err := bob.Accept()
			require.NoError(t, err)
			defer c.Close()
			_, err = msrp.NewReader(c).Next()
			require.NoError(t, err)
			s.stop()
			if name == "by a second signal" {
				eventually(t, "it drains", func() bool {
					status, _ := s.get(t, "admin-listen", "/readyz")
					return status == 503
				})
				s.hurry()
			}
			said := alice.next()
			if said == "REPORT 408" { // where it was faster than the end
				said = alice.next()
			}
			assert.Equal(t, "close 1001", said)
			assert.NoError(t, end(t, s.ended))
			assert.Contains(t, s.log.String(), "still busy")
		})
	}
}

// An address may have so many connections, and one behind a proxy as many.
func TestConnectionsPerAddress(t *testing.T) {
	_, args := files(t)
	s := begin(t, append(args, "--max-connections-per-address=3")...)
	dial := func() error {
		c, err := tls.Dial("tcp", s.Addr["listen"], &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err
	}
	for range 3 {
		require.NoError(t, dial())
	}
	require.Error(t, dial())
	_, metrics := s.get(t, "admin-listen", "/metrics")
	assert.Contains(t, metrics, `webmsrp_handshakes_refused_total{reason="address"} 1`)

	behind := begin(t, append(behindProxy, "--secret=north", "--max-connections-per-address=3")...)
	from := func(address string) int {
		_, _, r := behind.request(t, behind.handshake("X-Forwarded-For: 203.0.113.1, "+address)...)
		return r.StatusCode
	}
	for range 3 {
		require.Equal(t, 101, from("192.0.2.1"))
	}
	assert.Equal(t, 429, from("192.0.2.1"))
	assert.Equal(t, 101, from("192.0.2.2"))
	_, _, r := behind.request(t, append([]string{"GET /rendezvous HTTP/1.1"}, behind.handshake("X-Forwarded-For: 192.0.2.1", "Sec-WebSocket-Protocol: "+rendezvous.Subprotocol)[1:]...)...)
	assert.Equal(t, 429, r.StatusCode, "at the rendezvous as well")
}

// Guessing passwords is slow and has an end, for whoever does it.
func TestGuessing(t *testing.T) {
	s := begin(t, append(behindProxy, "--secret=north")...)
	username, password := credential.Mint("north", "alice", time.Now().Add(time.Hour))
	s.open(t, "X-Forwarded-For: 192.0.2.1").login(username, password)
	for range 10 { // as if the attempts had been made: each would take longer
		s.lockout.Failed("192.0.2.9", username)
	}
	locked := s.open(t, "X-Forwarded-For: 192.0.2.9")
	u, _ := locked.auth(username, password)
	assert.Equal(t, 403, u.Code)
	assert.Equal(t, "close 1000", locked.next())
	s.open(t, "X-Forwarded-For: 192.0.2.1").login(username, password)
	user, ok := s.check(&http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"192.0.2.9"}}}, username, password)
	assert.False(t, ok, "the rendezvous knows of it: %s", user)
	_, metrics := s.get(t, "admin-listen", "/metrics")
	assert.Contains(t, metrics, "webmsrp_auth_locked_total 1\n")
}

// systemd hears that the service is ready, and that it stops.
func TestNotify(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	defer socket.Close()
	socket.SetDeadline(time.Now().Add(guard))
	t.Setenv("NOTIFY_SOCKET", name)
	s := begin(t, devArgs...)
	heard := func() string {
		buf := make([]byte, 100)
		n, err := socket.Read(buf)
		require.NoError(t, err)
		return string(buf[:n])
	}
	assert.Equal(t, "READY=1", heard())
	s.stop()
	assert.Equal(t, "STOPPING=1", heard())
	assert.NoError(t, end(t, s.ended))
}

// The whole log and all metrics of a busy server show no password, secret,
// answer, body or whole token, and metrics name nobody.
func TestNothingSecretIsShown(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			s := begin(t, append(behindProxy, "--secret=n0rthS3cr3t", "--log-level=debug", "--log-format="+format)...)
			secrets := map[string]string{"the secret": "n0rthS3cr3t"}
			username, password := credential.Mint("n0rthS3cr3t", "aliceintheworld", time.Now().Add(time.Hour))
			secrets["a password"] = password
			alice := s.open(t).login(username, password)
			token, err := msrp.ParsePath(alice.token)
			require.NoError(t, err)
			secrets["a token"] = token[0].SessionID()

			// Every way to log in, and to fail.
			for _, wrong := range []string{"wr0ngPassw0rd", password + "x"} {
				challenge := alice.challenge()
				answer := challenge.Answer(username, wrong, "AUTH", alice.relay, "cn0nceOfAlice", 1)
				alice.unit("AUTH", alice.relay, "Authorization: "+answer.String())
				require.Equal(t, "401", alice.next())
				secrets["a wrong password "+wrong], secrets["its answer "+wrong], secrets["its nonce "+wrong] = wrong, answer.Response, challenge.Nonce
			}
			broken := s.open(t)
			broken.unit("AUTH", broken.relay, `Authorization: Digest username="aliceintheworld", response="br0kenAnsw3r", and more`)
			require.Equal(t, "401", broken.next())
			secrets["a broken answer"] = "br0kenAnsw3r"
			broken.send("MSRP 4bcd3fgh SEND\r\nb0dyWithoutAHead")
			require.Equal(t, "close 1002", broken.next())
			secrets["no MSRP"] = "b0dyWithoutAHead"
			_, _, r := s.request(t, s.handshake("Authorization: Basic c3VwZXJzZWNyZXQ=", "Cookie: session=c00kieOfAlice", "Origin: https://evil.example")...)
			require.Equal(t, 403, r.StatusCode)
			secrets["a header"], secrets["a cookie"] = "c3VwZXJzZWNyZXQ", "c00kieOfAlice"
			_, err = rendezvous.Dial(t.Context(), rendezvous.Registration{URL: s.ws("/rendezvous"), Name: "aliceintheworld", Username: username, Password: "rend3zvousGuess"})
			require.Error(t, err)
			secrets["a guess at the rendezvous"] = "rend3zvousGuess"

			// Traffic of all kinds.
			aliceEndpoint, aliceHost := s.caller(t, "aliceintheworld")
			bobEndpoint, bobHost := s.caller(t, "bobthebuilder")
			from, to := setUp(t, newCall(aliceEndpoint, aliceHost, false), newCall(bobEndpoint, bobHost, false))
			out, err := from.Send(t.Context(), msrp.Text("th3Body of a message"))
			require.NoError(t, err)
			require.NoError(t, out.Delivered(t.Context()))
			require.Equal(t, "th3Body of a message", msrptest.Read(t, t.Context(), to))
			secrets["a body"] = "th3Body"
			for _, next := range []string{" msrp://10.0.0.1:2855/pr1vateS3ss10n;tcp", " msrp://127.0.0.1:1/cl0sedS3ss10nOfAPeer;tcp", ""} {
				alice.unit("SEND", alice.token+next, mid, "Content-Type: text/plain", "", "an0therBody")
				for said := alice.next(); said == "200"; said = alice.next() {
				}
			}
			secrets["another body"], secrets["a peer's session"], secrets["another's"] = "an0therBody", "pr1vateS3ss10n", "cl0sedS3ss10nOfAPeer"
			alice.unit("SEND", alice.token, "Message-ID: m3ss4ge1", "b0dyInPlaceOfAHeader")
			require.Equal(t, "400", alice.next())
			secrets["a header that is none"] = "b0dyInPlaceOfAHeader"
			peer := s.dial(t, "msrp-listen")
			peer.unit("SEND", alice.token+" msrp://127.0.0.1:1/x;tcp", mid)
			require.Equal(t, "481", peer.next())

			_, metrics := s.get(t, "admin-listen", "/metrics")
			s.stop()
			require.NoError(t, end(t, s.ended))
			log := s.log.String()
			for what, secret := range secrets {
				assert.NotContains(t, log, secret, what)
				assert.NotContains(t, metrics, secret, what)
			}
			for _, name := range []string{"alice", "bob", "127.0.0.1", "localhost", "m3ss4ge1"} {
				assert.NotContains(t, metrics, name, "metrics name nobody")
			}
			// But they say what happened.
			for _, want := range []string{"aliceintheworld", "AUTH failed", "token granted", "m3ss4ge1", "WebSocket refused"} {
				assert.Contains(t, log, want)
			}
			for _, want := range []string{
				`webmsrp_connections{kind="ws",opened_by="them"} 3`, `webmsrp_tokens{mode="direct"} 3`,
				`webmsrp_messages_total{direction="to_client"}`, `webmsrp_octets_total{direction="to_peer"}`,
				`webmsrp_send_outcomes_total{code="200"}`,
				`webmsrp_auth_failed_total 3`, `webmsrp_auth_total{code="200"} 3`, `webmsrp_auth_total{code="401"}`,
				`webmsrp_dials_failed_total{reason="address"} 1`, `webmsrp_dials_failed_total{reason="connect"} 1`,
				`webmsrp_handshakes_refused_total{reason="origin"} 1`, `webmsrp_requests_rejected_total{code="481"} 1`,
				`webmsrp_queued_octets 0`, "\nwebmsrp_failure_reports_total ", // or answers, where dialling fails that fast
			} {
				assert.Contains(t, metrics, want)
			}
		})
	}
}
