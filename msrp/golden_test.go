package msrp_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

var update = flag.Bool("update", false, "record the conversations with Kamailio anew, which must be installed")

// How a recording gets at Kamailio, where there are sockets.
var (
	startKamailio func(*testing.T) (address string)
	dialTCP       func(address string) (io.ReadWriteCloser, error)
	dialWebSocket func(address string) (msrp.MessageConn, error)
)

// A golden is a conversation with Kamailio, of which a new recording is made
// with -update.
type golden struct {
	*msrptest.Conversation
	t     *testing.T
	relay msrp.URI
}

func withKamailio(t *testing.T, name string) *golden {
	c := msrptest.NewConversation(t, filepath.Join("testdata", "kamailio", name+".txt"), *update)
	relay := c.Value("relay", func() string { return "msrp://" + startKamailio(t) + ";tcp" })
	return &golden{c, t, uri(t, relay)}
}

func uri(t *testing.T, s string) msrp.URI {
	u, err := msrp.ParseURI(s)
	require.NoError(t, err)
	return u
}

// A client of the relay has a connection and a session of its own.
type client struct {
	conn    *msrp.Conn
	session *msrp.Session
	grant   *msrp.Grant
}

// connect connects a client over ws or tcp.
func (g *golden) connect(name, transport string, opts msrp.SessionOptions) client {
	var t msrp.Transport
	if transport == msrp.TransportWS {
		t = g.Messages(name, func() (msrp.MessageConn, error) { return dialWebSocket(g.relay.HostPort()) })
	} else {
		t = g.Stream(name, func() (io.ReadWriteCloser, error) { return dialTCP(g.relay.HostPort()) })
	}
	endpoint := msrp.NewEndpoint(nil)
	c := client{conn: endpoint.NewConn(t)}
	g.t.Cleanup(func() { c.conn.Close() })
	opts.URI = uri(g.t, "msrp://"+name+".invalid:2855/"+name+"SecretSession;"+transport)
	var err error
	c.session, err = endpoint.NewSession(opts)
	require.NoError(g.t, err)
	return c
}

func (g *golden) auth(c client, password string, expires time.Duration) (*msrp.Grant, error) {
	return c.conn.Authenticate(g.t.Context(), msrp.Auth{
		Relay: msrp.Path{g.relay}, URI: c.session.URI(), Username: "alice", Password: password, Expires: expires,
	})
}

// join connects a client and gets it a place.
func (g *golden) join(name, transport string, opts msrp.SessionOptions) client {
	c := g.connect(name, transport, opts)
	var err error
	c.grant, err = g.auth(c, "secret", 0)
	require.NoError(g.t, err)
	return c
}

// call connects the sessions of two clients, of which the first is active.
func (g *golden) call(from, to client) {
	require.NoError(g.t, to.session.Start(msrp.Remote{
		Path: to.grant.ToPath(from.grant.PathFor(from.session.URI())), Conn: to.conn,
	}))
	require.NoError(g.t, from.session.Start(msrp.Remote{
		Path: from.grant.ToPath(to.grant.PathFor(to.session.URI())), Conn: from.conn, Active: true,
	}))
}

// say sends a text and waits until it is read and confirmed.
func (g *golden) say(from, to client, text string) {
	g.t.Helper()
	out, err := from.session.Send(g.t.Context(), msrp.Text(text))
	require.NoError(g.t, err)
	assert.Equal(g.t, text, msrptest.Read(g.t, g.t.Context(), to.session))
	require.NoError(g.t, out.Delivered(g.t.Context()))
}

var bothTransports = []string{msrp.TransportWS, msrp.TransportTCP}

func TestKamailioAuth(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(transport, func(t *testing.T) {
			g := withKamailio(t, "auth-"+transport)
			alice := g.connect("alice", transport, msrp.SessionOptions{})
			grant, err := alice.conn.Authenticate(t.Context(), msrp.Auth{
				Relay: msrp.Path{g.relay}, URI: alice.session.URI(), Username: "alice", Password: "secret", Direct: true,
			})
			require.NoError(t, err)
			assert.Len(t, grant.UsePath, 1)
			assert.Equal(t, g.relay.HostPort(), grant.UsePath[0].HostPort())
			assert.Equal(t, time.Hour, grant.Expires)
			assert.False(t, grant.Direct, "it does not know direct mode")
			g.End()
		})
	}
}

func TestKamailioWrongPassword(t *testing.T) {
	g := withKamailio(t, "wrong-password")
	alice := g.connect("alice", msrp.TransportWS, msrp.SessionOptions{})
	_, err := g.auth(alice, "wrong", 0)
	assertStatus(t, err, msrp.StatusUnauthorized)
	_, err = g.auth(alice, "secret", 0)
	assert.NoError(t, err, "another try on the same connection")
	g.End()
}

func assertStatus(t *testing.T, err error, code int) {
	t.Helper()
	var status *msrp.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, code, status.Code)
}

// Who asks for too much gets what there is (RFC 4976, section 6.3).
func TestKamailioOutOfBounds(t *testing.T) {
	g := withKamailio(t, "out-of-bounds")
	alice := g.connect("alice", msrp.TransportTCP, msrp.SessionOptions{})
	grant, err := g.auth(alice, "secret", 2*time.Hour)
	require.NoError(t, err)
	assert.Equal(t, time.Hour, grant.Expires)
	g.End()
}

func TestKamailioText(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run("alice over ws, bob over "+transport, func(t *testing.T) {
			t.Attr("requirement", "S-13")
			t.Attr("requirement", "S-35")
			t.Attr("requirement", "S-40")
			g := withKamailio(t, "text-ws-"+transport)
			alice := g.join("alice", msrp.TransportWS, msrp.SessionOptions{})
			bob := g.join("bob", transport, msrp.SessionOptions{})
			g.call(alice, bob)
			g.say(alice, bob, "Hello, Bob!")
			g.say(bob, alice, "Grüße, Alice 👋\r\n-------a786hjs2$\r\n\x00\xff")
			require.NoError(t, alice.session.Probe(t.Context()))
			g.say(bob, alice, "")
			g.End()
		})
	}
}

// numbered is a body of lines that is easy to read in a recording, with some
// octets that are no text.
func numbered(size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%05d of %05d \xc3\x28 ------- %s\r\n", b.Len(), size, strings.Repeat("x", i%40))
	}
	return b.Bytes()[:size]
}

func TestKamailioFile(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run("from "+transport, func(t *testing.T) {
			t.Attr("requirement", "S-16")
			t.Attr("requirement", "S-17")
			t.Attr("requirement", "S-18")
			t.Attr("requirement", "S-21")
			g := withKamailio(t, "file-from-"+transport)
			alice := g.join("alice", msrp.TransportWS, msrp.SessionOptions{})
			bob := g.join("bob", msrp.TransportTCP, msrp.SessionOptions{})
			g.call(alice, bob)
			from, to := alice, bob
			if transport == msrp.TransportTCP {
				g.say(alice, bob, "you first")
				from, to = bob, alice
			}
			file := numbered(30_000)
			out, err := from.session.Send(t.Context(), &msrp.Message{
				ContentType: "application/octet-stream", Body: bytes.NewReader(file), SuccessReport: true,
				Header: msrp.Header{{Name: "Content-Disposition", Value: `attachment; filename="lines.txt"`}},
			})
			require.NoError(t, err)
			in, err := to.session.Receive(t.Context())
			require.NoError(t, err)
			assert.EqualValues(t, len(file), in.Size())
			body, err := io.ReadAll(in)
			require.NoError(t, err)
			assert.Equal(t, file, body)
			require.NoError(t, out.Sent(t.Context()))
			require.NoError(t, out.Delivered(t.Context()))
			g.End()
		})
	}
}

func TestKamailioAbort(t *testing.T) {
	t.Attr("requirement", "W-17")
	g := withKamailio(t, "abort")
	alice := g.join("alice", msrp.TransportWS, msrp.SessionOptions{})
	bob := g.join("bob", msrp.TransportTCP, msrp.SessionOptions{StreamAfter: 1})
	g.call(alice, bob)
	hold, release := io.Pipe()
	defer release.Close()
	out, err := alice.session.Send(t.Context(), &msrp.Message{
		ContentType: "application/octet-stream", Body: io.MultiReader(bytes.NewReader(numbered(8192)), hold), Size: 30_000,
	})
	require.NoError(t, err)
	in, err := bob.session.Receive(t.Context())
	require.NoError(t, err)
	_, err = io.ReadFull(in, make([]byte, 8192))
	require.NoError(t, err)
	out.Abort()
	_, err = in.Read(make([]byte, 1))
	assert.ErrorIs(t, err, msrp.ErrAborted)
	g.say(alice, bob, "after the abort")
	g.End()
}

// Kamailio answers 200 for itself and keeps what the receiver says: only the
// success report tells the sender that a message arrived.
func TestKamailioHidesRefusals(t *testing.T) {
	g := withKamailio(t, "refusal")
	alice := g.join("alice", msrp.TransportWS, msrp.SessionOptions{})
	bob := g.join("bob", msrp.TransportTCP, msrp.SessionOptions{AcceptTypes: []string{"text/plain"}})
	g.call(alice, bob)
	out, err := alice.session.Send(t.Context(), &msrp.Message{ContentType: "image/jpeg", Body: strings.NewReader("no picture"), SuccessReport: true})
	require.NoError(t, err)
	require.NoError(t, out.Sent(t.Context()))
	g.say(alice, bob, "after the refusal")
	assert.False(t, out.Progress().Delivered)
	g.End()
}

// start begins a session along a path that leads no further than the relay.
func (g *golden) start(c client, session string, chunkSize int) {
	path := msrp.Path{uri(g.t, fmt.Sprintf("msrp://%s/%s;tcp", g.relay.HostPort(), session)), uri(g.t, "msrp://bob.invalid:2855/b0b;tcp")}
	require.NoError(g.t, c.session.Start(msrp.Remote{Path: path, Conn: c.conn, Active: true, ChunkSize: chunkSize}))
}

func TestKamailioNoSession(t *testing.T) {
	t.Attr("requirement", "S-48")
	for _, transport := range bothTransports {
		t.Run(transport, func(t *testing.T) {
			g := withKamailio(t, "no-session-"+transport)
			alice := g.join("alice", transport, msrp.SessionOptions{})
			g.start(alice, "nobodysSession", 0)
			<-alice.session.Done()
			assertStatus(t, alice.session.Err(), msrp.StatusNoSession)
			g.End()
		})
	}
}

// A relay that says nothing: 408 after 30 seconds, which a replay does not wait.
func TestKamailioSilence(t *testing.T) {
	t.Attr("requirement", "S-41")
	t.Attr("requirement", "S-43")
	test := func(t *testing.T) {
		g := withKamailio(t, "silence")
		alice := g.join("alice", msrp.TransportWS, msrp.SessionOptions{})
		began := time.Now()
		g.start(alice, "silence", 0)
		<-alice.session.Done()
		assertStatus(t, alice.session.Err(), msrp.StatusTimeout)
		assert.GreaterOrEqual(t, time.Since(began), msrp.TransactionTimeout)
		g.End()
	}
	if *update {
		test(t)
	} else {
		synctest.Test(t, test)
	}
}

// Kamailio takes 11 KB in all: it misunderstands what is longer, and hangs up on
// what exceeds its buffer of 16 KiB. The default chunk stays below both.
func TestKamailioLongChunks(t *testing.T) {
	for _, c := range []struct {
		name   string
		octets int
	}{{"misunderstood", 12_000}, {"too-long", 20_000}} {
		t.Run(c.name, func(t *testing.T) {
			g := withKamailio(t, c.name)
			alice := g.join("alice", msrp.TransportWS, msrp.SessionOptions{})
			bob := g.join("bob", msrp.TransportTCP, msrp.SessionOptions{})
			require.NoError(t, bob.session.Start(msrp.Remote{Path: bob.grant.ToPath(alice.grant.PathFor(alice.session.URI())), Conn: bob.conn}))
			require.NoError(t, alice.session.Start(msrp.Remote{
				Path: alice.grant.ToPath(bob.grant.PathFor(bob.session.URI())), Conn: alice.conn, Active: true, ChunkSize: c.octets,
			}))
			g.say(alice, bob, "short")
			out, err := alice.session.Send(t.Context(), &msrp.Message{ContentType: "text/plain", Body: bytes.NewReader(numbered(c.octets))})
			require.NoError(t, err)
			err = out.Sent(t.Context())
			if c.name == "too-long" {
				assert.ErrorIs(t, err, msrp.ErrConnLost)
			} else {
				assertStatus(t, err, msrp.StatusUnknownMethod)
				g.say(alice, bob, "after it")
			}
			g.End()
		})
	}
}

// A replay lets credentials differ, as they are random. Those of the recordings
// are right where Kamailio took them, so they show that the digest is.
func TestKamailioTookTheDigest(t *testing.T) {
	files, err := filepath.Glob("testdata/kamailio/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	authorization := regexp.MustCompile(`Authorization: (.*)\\r\\n`)
	status := regexp.MustCompile(`<\nMSRP \S+ (\d+) `)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, at := range authorization.FindAllSubmatchIndex(text, -1) {
			cr, err := digest.ParseCredentials(string(text[at[2]:at[3]]))
			require.NoError(t, err)
			right := cr.Verify(digest.HA1(digest.MD5, "alice", "rig", "secret"), msrp.MethodAuth, cr.URI)
			code := status.FindSubmatch(text[at[1]:])
			require.NotNil(t, code, file)
			assert.Equal(t, right, string(code[1]) != "401", "%s: %s", file, cr)
		}
	}
}
