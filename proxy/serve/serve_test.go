package serve

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/proxy/bridge"
	"github.com/webmsrp/webmsrp/proxy/credential"
	"github.com/webmsrp/webmsrp/proxy/peer"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
	"github.com/webmsrp/webmsrp/proxy/settings"
)

const guard = 20 * time.Second

// run starts the command with arguments and returns it once it listens.
func run(t *testing.T, args ...string) *Server { return runTo(t, io.Discard, args...) }

func runTo(t *testing.T, logTo io.Writer, args ...string) *Server {
	c, err := Parse(args, io.Discard)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan *Server, 1), make(chan error, 1)
	go func() { ended <- Run(ctx, c, logTo, func(s *Server) { ready <- s }) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	select {
	case s := <-ready:
		return s
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(guard):
		require.FailNow(t, "the server does not start")
	}
	return nil
}

var devArgs = []string{"--dev", "--listen=127.0.0.1:0", "--msrp-listen=127.0.0.1:0", "--msrps-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"}

func dev(t *testing.T) *Server { return run(t, devArgs...) }

func (s *Server) ws(path string) string { return "ws://" + s.Addr["listen"] + path }

// caller makes calls as a browser does: over a WebSocket, with the demo's
// credentials.
func (s *Server) caller(t *testing.T, name string) (*msrp.Endpoint, *call.RelayHost) {
	ws, err := bridge.DialWebSocket(t.Context(), s.ws("/msrp"), 1<<20, nil)
	require.NoError(t, err)
	endpoint := msrp.NewEndpoint(nil)
	conn := endpoint.NewConn(msrp.NewMessages(ws))
	t.Cleanup(func() { conn.Close() })
	username, password := credential.Mint(s.secret, name, time.Now().Add(time.Hour))
	return endpoint, &call.RelayHost{
		Conn: conn, Transport: msrp.TransportWS,
		Relay:       func(secure bool) (msrp.URI, error) { return call.RelayURI(s.ws("/msrp"), secure) },
		Credentials: func(context.Context) (string, string, error) { return username, password, nil },
	}
}

func newCall(endpoint *msrp.Endpoint, host call.Host, secure bool) *call.Call {
	return call.New(call.Options{Endpoint: endpoint, Host: host, Secure: secure})
}

func setUp(t *testing.T, from, to *call.Call) (*msrp.Session, *msrp.Session) {
	offer, err := from.Offer(t.Context())
	require.NoError(t, err)
	answer, err := to.Answer(t.Context(), offer)
	require.NoError(t, err)
	require.NoError(t, from.Accept(t.Context(), answer))
	t.Cleanup(func() { from.Close(); to.Close() })
	return from.Session(), to.Session()
}

// The whole suite over real WebSockets.
func TestSuiteOverWebSocket(t *testing.T) {
	s := dev(t)
	msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
		aliceEndpoint, aliceHost := s.caller(t, "alice")
		bobEndpoint, bobHost := s.caller(t, "bob")
		return setUp(t, newCall(aliceEndpoint, aliceHost, false), newCall(bobEndpoint, bobHost, false))
	})
}

// A native peer on every way there is: plain and over TLS, dialled by the
// proxy and dialling it.
func TestPeers(t *testing.T) {
	s := dev(t)
	for _, secure := range []bool{false, true} {
		for _, listens := range []bool{true, false} {
			t.Run(fmt.Sprintf("TLS %v, peer listens %v", secure, listens), func(t *testing.T) {
				config := peer.Config{Echo: true, Name: t.Name(), Rendezvous: s.ws("/rendezvous"), TLS: secure}
				if listens {
					config.Listen = "127.0.0.1:0"
				}
				echo, err := peer.Start(t.Context(), config, func(peer.Event) {})
				require.NoError(t, err)
				defer echo.Close()
				s.talkToEcho(t, t.Name(), secure)
			})
		}
	}
	t.Run("the demo's echo", func(t *testing.T) { s.talkToEcho(t, "echo", false) })
}

// talkToEcho calls an echo peer and has text and five megabytes come back.
func (s *Server) talkToEcho(t *testing.T, name string, secure bool) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	endpoint, host := s.caller(t, "alice")
	c := newCall(endpoint, host, secure)
	defer c.Close()
	meeting, err := rendezvous.Dial(ctx, rendezvous.Registration{URL: s.ws("/rendezvous"), Name: "alice"})
	require.NoError(t, err)
	defer meeting.Close()
	offer, err := c.Offer(ctx)
	require.NoError(t, err)
	remote, answer, err := meeting.Call(ctx, name, offer)
	require.NoError(t, err)
	require.NoError(t, c.Accept(ctx, answer))
	session := c.Session()
	for _, text := range msrptest.Languages {
		out, err := session.Send(ctx, msrp.Text(text))
		require.NoError(t, err)
		require.NoError(t, out.Delivered(ctx))
		assert.Equal(t, text, msrptest.Read(t, ctx, session))
	}
	const size = 5_000_000
	want, got := sha256.New(), sha256.New()
	_, err = session.Send(ctx, &msrp.Message{
		ContentType: "image/png", Size: size, Body: io.TeeReader(msrptest.Octets(size, 1), want),
	})
	require.NoError(t, err)
	in, err := session.Receive(ctx)
	require.NoError(t, err)
	n, err := io.Copy(got, in)
	require.NoError(t, err)
	assert.EqualValues(t, size, n)
	assert.Equal(t, want.Sum(nil), got.Sum(nil))
	remote.Bye("that is all")
}

// RFC 7977, section 4.1: the handshake.
func TestHandshake(t *testing.T) {
	t.Attr("requirement", "B-01")
	t.Attr("requirement", "B-12")
	s := dev(t)
	for name, c := range map[string]struct {
		path    string
		header  map[string]string
		status  int
		allowed string
	}{
		"msrp":                  {"/msrp", map[string]string{"Sec-WebSocket-Protocol": "msrp"}, 101, ""},
		"one of several":        {"/msrp", map[string]string{"Sec-WebSocket-Protocol": "sip, msrp"}, 101, ""},
		"no subprotocol":        {"/msrp", nil, 400, ""},
		"in upper case":         {"/msrp", map[string]string{"Sec-WebSocket-Protocol": "MSRP"}, 400, ""},
		"the own origin":        {"/msrp", map[string]string{"Sec-WebSocket-Protocol": "msrp", "Origin": "http://" + s.Addr["listen"]}, 101, "http://" + s.Addr["listen"]},
		"another origin":        {"/msrp", map[string]string{"Sec-WebSocket-Protocol": "msrp", "Origin": "https://evil.example"}, 403, ""},
		"another path":          {"/elsewhere", map[string]string{"Sec-WebSocket-Protocol": "msrp"}, 404, ""},
		"the page":              {"/", map[string]string{"Sec-WebSocket-Protocol": "msrp"}, 404, ""},
		"a name that is not us": {"/msrp", map[string]string{"Sec-WebSocket-Protocol": "msrp", "Host": "evil.example"}, 421, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", s.Addr["listen"])
			require.NoError(t, err)
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(guard))
			r, err := http.NewRequest("GET", "http://"+s.Addr["listen"]+c.path, nil)
			require.NoError(t, err)
			r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			if host := r.Header.Get("Host"); host != "" {
				r.Host = host
			}
			require.NoError(t, r.Write(conn))
			response, err := http.ReadResponse(bufio.NewReader(conn), r)
			require.NoError(t, err)
			assert.Equal(t, c.status, response.StatusCode)
			if c.status == 101 {
				assert.Equal(t, "msrp", response.Header.Get("Sec-WebSocket-Protocol"))
				assert.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", response.Header.Get("Sec-WebSocket-Accept"))
				assert.Empty(t, response.Header.Get("Sec-WebSocket-Extensions"), "no compression")
			}
			if c.allowed != "" {
				assert.Equal(t, c.allowed, response.Header.Get("Access-Control-Allow-Origin"))
			}
		})
	}
}

// RFC 7977, section 5.1: exactly one MSRP message in each WebSocket message,
// text or binary, in as many frames as the sender likes.
func TestWebSocketMessages(t *testing.T) {
	t.Attr("requirement", "B-02")
	t.Attr("requirement", "B-03")
	s := dev(t)
	own := "msrp://a.invalid:2855/al1ceS3ss10n;ws"
	to := "msrp://" + s.Addr["listen"] + ";ws"
	auth := func(id string) string {
		return "MSRP " + id + " AUTH\r\nTo-Path: " + to + "\r\nFrom-Path: " + own + "\r\n-------" + id + "$\r\n"
	}
	open := func(t *testing.T) (*websocket.Conn, context.Context) {
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		t.Cleanup(cancel)
		c, _, err := websocket.Dial(ctx, s.ws("/msrp"), &websocket.DialOptions{Subprotocols: []string{"msrp"}})
		require.NoError(t, err)
		t.Cleanup(func() { c.CloseNow() })
		return c, ctx
	}
	for name, write := range map[string]func(context.Context, *websocket.Conn) error{
		"binary": func(ctx context.Context, c *websocket.Conn) error {
			return c.Write(ctx, websocket.MessageBinary, []byte(auth("b1nary00")))
		},
		"text": func(ctx context.Context, c *websocket.Conn) error {
			return c.Write(ctx, websocket.MessageText, []byte(auth("t3xt0000")))
		},
		"three frames": func(ctx context.Context, c *websocket.Conn) error {
			w, err := c.Writer(ctx, websocket.MessageBinary)
			require.NoError(t, err)
			msg := auth("fr4mes00")
			for _, part := range []string{msg[:7], msg[7:40], msg[40:]} {
				w.Write([]byte(part))
			}
			return w.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, ctx := open(t)
			require.NoError(t, write(ctx, c))
			kind, data, err := c.Read(ctx)
			require.NoError(t, err)
			assert.Equal(t, websocket.MessageBinary, kind)
			assert.Contains(t, string(data), " 401 Unauthorized\r\n")
		})
	}
	for name, c := range map[string]struct {
		msg  string
		code websocket.StatusCode
	}{
		"two messages in one": {auth("tw0in1aa") + auth("tw0in1bb"), websocket.StatusProtocolError},
		"half a message":      {auth("h4lf0000")[:30], websocket.StatusProtocolError},
		"a trailing CRLF":     {auth("tra1l1ng") + "\r\n", websocket.StatusProtocolError},
		"nothing":             {"", websocket.StatusProtocolError},
		"a megabyte":          {"MSRP b1gb1g00 SEND\r\n" + strings.Repeat("x", 1<<20), websocket.StatusMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			ws, ctx := open(t)
			require.NoError(t, ws.Write(ctx, websocket.MessageBinary, []byte(c.msg)))
			_, _, err := ws.Read(ctx)
			assert.Equal(t, c.code, websocket.CloseStatus(err), "%v", err)
		})
	}
}

// files writes a certificate for localhost and returns flags that use it.
func files(t *testing.T) (certificate *x509.Certificate, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600))
		return path
	}
	return certificate, []string{
		"--tls-cert=" + write("cert.pem", "CERTIFICATE", der), "--tls-key=" + write("key.pem", "PRIVATE KEY", private),
		"--public-host=localhost", "--secret=north", "--listen=127.0.0.1:0", "--msrps-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
	}
}

// In production settings: a dial is refused after the name was resolved, plain
// connections cannot log in, and tokens are msrps only.
func TestProductionIsStrict(t *testing.T) {
	t.Attr("requirement", "B-04")
	t.Attr("requirement", "R-45")
	t.Attr("requirement", "R-46")
	certificate, args := files(t)
	s := run(t, args...)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}}
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "wss://"+s.Addr["listen"]+"/msrp", &websocket.DialOptions{Subprotocols: []string{"msrp"}, HTTPClient: client})
	require.NoError(t, err)
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	endpoint := msrp.NewEndpoint(nil)
	conn := endpoint.NewConn(msrp.NewMessages(&messages{c}))
	defer conn.Close()
	username, password := credential.Mint("north", "alice", time.Now().Add(time.Hour))
	authenticate := func(secure bool) (*msrp.Grant, msrp.URI, error) {
		relay, err := call.RelayURI("wss://"+s.Addr["listen"], secure)
		require.NoError(t, err)
		own, err := msrp.MakeURI(secure, "a.invalid", 2855, msrp.NewID(), "ws")
		require.NoError(t, err)
		grant, err := conn.Authenticate(ctx, msrp.Auth{Relay: msrp.Path{relay}, URI: own, Username: username, Password: password, Direct: true})
		return grant, own, err
	}
	_, _, err = authenticate(false)
	var status *msrp.StatusError
	require.ErrorAs(t, err, &status, "no msrp tokens without --plain-peers")
	assert.Equal(t, msrp.StatusForbidden, status.Code)

	// A listener that must not be reached, by address and by name.
	victim, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer victim.Close()
	port := victim.Addr().(*net.TCPAddr).Port
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"} {
		grant, own, err := authenticate(true)
		require.NoError(t, err)
		session, err := endpoint.NewSession(msrp.SessionOptions{URI: own})
		require.NoError(t, err)
		target, err := msrp.ParsePath(fmt.Sprintf("msrps://%s:%d/v1ct1m;tcp", host, port))
		require.NoError(t, err)
		require.NoError(t, session.Start(msrp.Remote{Path: grant.ToPath(target), Conn: conn, Active: true}))
		out, err := session.Send(ctx, msrp.Text("hello"))
		require.NoError(t, err)
		require.ErrorAs(t, out.Delivered(ctx), &status, host)
		assert.Equal(t, msrp.StatusForbidden, status.Code, host)
	}
	require.NoError(t, victim.(*net.TCPListener).SetDeadline(time.Now()))
	_, err = victim.Accept()
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "nobody connected")

	_, _, err = websocket.Dial(ctx, "wss://"+s.Addr["listen"]+"/rendezvous", &websocket.DialOptions{Subprotocols: []string{rendezvous.Subprotocol}, HTTPClient: client})
	require.NoError(t, err)
	response, err := client.Get("https://" + s.Addr["listen"] + "/credentials?name=alice")
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, http.StatusNotFound, response.StatusCode, "demo credentials are for --dev")
}

// messages is the least that carries MSRP over a client's WebSocket.
type messages struct{ c *websocket.Conn }

func (m *messages) ReadMessage() ([]byte, error) {
	_, data, err := m.c.Read(context.Background())
	return data, err
}

func (m *messages) WriteMessage(data []byte) error {
	return m.c.Write(context.Background(), websocket.MessageBinary, data)
}
func (m *messages) Flush() error      { return nil }
func (m *messages) Close(error) error { return m.c.CloseNow() }

// Behind a proxy that ends TLS only its connections count as secure.
func TestTrustedProxy(t *testing.T) {
	t.Attr("requirement", "B-04")
	args := []string{"--public-host=localhost", "--secret=north", "--listen=127.0.0.1:0", "--plain-peers", "--msrp-listen=127.0.0.1:0", "--admin-listen="}
	for network, status := range map[string]int{"127.0.0.1": 101, "127.0.0.0/8": 101, "10.0.0.0/8": 403} {
		s := run(t, append(args, "--trusted-proxy="+network)...)
		c, response, err := websocket.Dial(t.Context(), s.ws("/msrp"), &websocket.DialOptions{Subprotocols: []string{"msrp"}})
		require.NotNil(t, response, "%v", err)
		assert.Equal(t, status, response.StatusCode, network)
		if err == nil {
			c.CloseNow()
		}
	}
}

func TestDemoCredentials(t *testing.T) {
	s := dev(t)
	get := func(query, origin string) (int, map[string]any) {
		r, err := http.NewRequest("GET", "http://"+s.Addr["listen"]+"/credentials?"+query, nil)
		require.NoError(t, err)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		assert.Empty(t, response.Header.Get("Access-Control-Allow-Origin"))
		var body map[string]any
		json.NewDecoder(response.Body).Decode(&body)
		return response.StatusCode, body
	}
	status, body := get("name=Zo%C3%AB", "")
	assert.Equal(t, 200, status)
	user, ok := s.users.Check(body["username"].(string), body["password"].(string))
	assert.True(t, ok)
	assert.Equal(t, "Zoë", user)
	assert.EqualValues(t, 86400, body["ttl"])
	status, _ = get("name=", "")
	assert.Equal(t, 400, status)
	status, _ = get("name=alice", "https://evil.example")
	assert.Equal(t, 403, status)
	status, _ = get("name=alice", "http://"+s.Addr["listen"])
	assert.Equal(t, 200, status)
}

func TestAdmin(t *testing.T) {
	s := dev(t)
	_, host := s.caller(t, "alice")
	_, err := host.Place(t.Context(), false) // an answer: the relay counts it
	require.NoError(t, err)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": `webmsrp_connections{kind="ws",opened_by="them"} 1` + "\n"} {
		response, err := http.Get("http://" + s.Addr["admin-listen"] + path)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		response.Body.Close()
		assert.Contains(t, string(body), want)
	}
}

// The metrics know who waits at the rendezvous, and for whom.
func TestMetricsOfCalls(t *testing.T) {
	s := dev(t)
	register := func(name string) *rendezvous.Client {
		c, err := rendezvous.Dial(t.Context(), rendezvous.Registration{URL: s.ws("/rendezvous"), Name: name})
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	alice, bob := register("alice"), register("bob")
	ended := make(chan error, 1)
	go func() {
		_, _, err := alice.Call(t.Context(), "bob", "v=0")
		ended <- err
	}()
	incoming := <-bob.Incoming()
	_, metrics := s.get(t, "admin-listen", "/metrics")
	assert.Contains(t, metrics, "\nwebmsrp_rendezvous_names 3\n", "with the echo")
	assert.Contains(t, metrics, "\nwebmsrp_rendezvous_calls 1\n")
	assert.Contains(t, metrics, "\ngo_gc_heap_live_bytes ")
	require.NoError(t, incoming.Refuse(rendezvous.CodeDeclined, "not now"))
	assert.Error(t, <-ended)
	_, metrics = s.get(t, "admin-listen", "/metrics")
	assert.Contains(t, metrics, "\nwebmsrp_rendezvous_calls 0\n")
}

// What is unsafe, contradictory or unknown does not start, and the message says
// what to do.
func TestSettings(t *testing.T) {
	_, good := files(t)
	without := func(drop string) []string {
		var args []string
		for _, a := range good {
			if !strings.HasPrefix(a, "--"+drop) {
				args = append(args, a)
			}
		}
		return args
	}
	for want, args := range map[string][]string{
		"--trusted-proxy":              nil,
		"--users":                      without("secret"),
		"the name by which they reach": without("public-host"),
		"--tls-cert and --tls-key":     without("tls-key"),
		"unknown setting --typo":       {"--typo"},
		"unexpected argument \"x\"":    {"--dev", "x"},
		"not a loopback address":       {"--dev", "--listen=0.0.0.0:8080"},
		"--dev decides":                {"--dev", "--secret=x"},
		"--peer-chunk":                 {"--dev", "--peer-chunk=17"},
		"--peer-allow":                 {"--dev", "--peer-allow=10.0.0.0/99"},
		"--log-level":                  {"--dev", "--log-level=loud"},
		"needs --plain-peers":          append([]string{"--msrp-listen=:0"}, good...),
		"--plain-peers needs":          append([]string{"--plain-peers"}, good...),
		"--admin-listen: \"here\"":     {"--dev", "--admin-listen=here"},
		"app.example.com/\" is not":    append([]string{"--origin=https://app.example.com/"}, good...),
		"\"https://\" is not":          append([]string{"--origin=https://"}, good...),
		"is not a network":             append([]string{"--trusted-proxy=me"}, good...),
		"invalid value \"x\"":          {"--max-connections=x"},
		"anybody could say it":         append([]string{"--auth-header=X-Forwarded-User"}, good...),
		"is not the name of a header":  append([]string{"--trusted-proxy=10.0.0.1", "--auth-header=a b"}, good...),
		"--max-connections: 0":         append([]string{"--max-connections=0"}, good...),
		"--max-bytes-per-second: 100":  append([]string{"--max-bytes-per-second=100"}, good...),
		"--max-buffered: -1":           append([]string{"--max-buffered=-1"}, good...),
		"is not a list of sources":     append([]string{"--connect-src=wss://a.example.com; script-src *"}, good...),
		"--drain-timeout: -1s":         append([]string{"--drain-timeout=-1s"}, good...),
		"--realm: \"a\\\"b\" has":      append([]string{`--realm=a"b`}, good...),
		"neither nats nor tls":         append([]string{"--nats-url=http://nats.example.com:4222"}, good...),
		"URL 2 is not of the form":     append([]string{"--nats-url=nats1:4222,nats://x:hunter2@nats2:42x2"}, good...),
		"--nats-ca needs --nats-url":   append([]string{"--nats-ca=ca.pem"}, good...),
		"--nats-credentials needs":     append([]string{"--nats-credentials=webmsrp.creds"}, good...),
		"--nats-url nats1:4222 is not": {"--dev", "--nats-url=x:hunter2@nats1:4222"},
	} {
		_, err := Parse(args, io.Discard)
		var usage *settings.UsageError
		if assert.ErrorAs(t, err, &usage, want) {
			assert.Contains(t, err.Error(), want)
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "hunter2")
		}
	}
	_, err := Parse(good, io.Discard)
	assert.NoError(t, err)
	t.Setenv("WEBMSRP_PUBLIC_HOST", "relay.example.com")
	c, err := Parse(without("public-host"), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, "relay.example.com", c.PublicHost)
	t.Setenv("WEBMSRP_MAX_CONNECTIONS", "many")
	_, err = Parse(good, io.Discard)
	assert.ErrorContains(t, err, "WEBMSRP_MAX_CONNECTIONS")
}

func TestPeerChunk(t *testing.T) {
	f, err := parsePeerChunk("4096,*.Example.com=0,old.example.net=2048")
	require.NoError(t, err)
	for host, want := range map[string]int{"a.example.COM": 0, "old.example.net": 2048, "new.example.net": 4096} {
		uri, err := msrp.ParseURI("msrp://" + host + ":2855/s;tcp")
		require.NoError(t, err)
		assert.Equal(t, want, f(uri), host)
	}
}
