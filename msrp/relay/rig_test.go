package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
)

// guard is how long a test waits for what should happen at once.
const guard = 20 * time.Second

// passwords are Users with a password each.
type passwords map[string]string

func (p passwords) Algorithms() []digest.Algorithm {
	return []digest.Algorithm{digest.SHA256, digest.MD5}
}

func (p passwords) HA1(a digest.Algorithm, username string) (string, string, bool) {
	password, ok := p[username]
	return digest.HA1(a, username, "relay.example.com", password), username, ok
}

// A rig is a relay whose neighbours are written by hand.
type rig struct {
	t     *testing.T
	relay *Relay

	mu    sync.Mutex
	doors map[string]chan net.Conn // where the relay may dial, by host and port
}

func newRig(t *testing.T, adjust ...func(*Config)) *rig {
	r := &rig{t: t, doors: map[string]chan net.Conn{}}
	config := Config{
		Host: "relay.example.com", Port: 2855, PlainPort: 2856, PlainPeers: true,
		Users: passwords{"alice": "secret", "carol": "hidden"},
		Dial: func(ctx context.Context, to Hop) (msrp.Transport, error) {
			r.mu.Lock()
			door := r.doors[to.URI.HostPort()]
			r.mu.Unlock()
			if door == nil {
				return nil, errors.New("connection refused")
			}
			ours, theirs := net.Pipe()
			door <- theirs
			return msrp.NewStream(ours), nil
		},
	}
	for _, f := range adjust {
		f(&config)
	}
	relay, err := New(config)
	require.NoError(t, err)
	r.relay = relay
	t.Cleanup(func() { relay.Close() })
	return r
}

// A side is a neighbour of the relay.
type side struct {
	t    *testing.T
	c    net.Conn
	in   *msrp.Reader
	done chan error // Serve's

	passed []got // read while something else was wanted
}

// connect opens a connection to the relay.
func (r *rig) connect(info LinkInfo) *side {
	ours, theirs := net.Pipe()
	s := newSide(r.t, ours)
	go func() { s.done <- r.relay.Serve(msrp.NewStream(theirs), info) }()
	return s
}

func newSide(t *testing.T, c net.Conn) *side {
	c.SetDeadline(time.Now().Add(guard))
	s := &side{t: t, c: c, in: msrp.NewReader(c), done: make(chan error, 1)}
	t.Cleanup(func() {
		c.Close()
		assert.Empty(t, s.passed)
	})
	return s
}

func (r *rig) browser() *side { return r.connect(LinkInfo{WebSocket: true, Secure: true}) }
func (r *rig) peer() *side    { return r.connect(LinkInfo{}) }

// door lets the relay dial that address and returns what takes the connection.
func (r *rig) door(address string) func() *side {
	ch := make(chan net.Conn, 1)
	r.mu.Lock()
	r.doors[address] = ch
	r.mu.Unlock()
	return func() *side {
		r.t.Helper()
		select {
		case c := <-ch:
			return newSide(r.t, c)
		case <-time.After(guard):
			require.FailNow(r.t, "the relay did not dial "+address)
			return nil
		}
	}
}

func path(t *testing.T, s string) msrp.Path {
	t.Helper()
	p, err := msrp.ParsePath(s)
	require.NoError(t, err)
	return p
}

// send writes a request: its method, paths, header lines and body, which is
// nil for none. It returns the transaction ID.
func (s *side) send(method, to, from string, body *string, fields ...string) string {
	s.t.Helper()
	u := msrp.Unit{TransactionID: msrp.NewTransactionID(), Method: method, To: path(s.t, to), From: path(s.t, from)}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "flag" {
			u.Flag = msrp.Flag(value[0])
			continue
		}
		u.Header = append(u.Header, msrp.Field{Name: name, Value: value})
	}
	var octets []byte
	if body != nil {
		octets = []byte(*body)
		if u.Header.Get("Content-Type") == "" {
			u.Header = append(u.Header, msrp.Field{Name: "Content-Type", Value: "text/plain"})
		}
	}
	s.write(u.Append(nil, octets))
	return u.TransactionID
}

func (s *side) write(wire []byte) {
	s.t.Helper()
	_, err := s.c.Write(wire)
	require.NoError(s.t, err)
}

// answer writes a response.
func (s *side) answer(id string, code int, to, from string) {
	u := msrp.Unit{TransactionID: id, Code: code, To: path(s.t, to), From: path(s.t, from)}
	s.write(u.Append(nil, nil))
}

// A got is a unit that was read whole.
type got struct {
	*msrp.Unit
	body string
}

func (s *side) read() got {
	s.t.Helper()
	u, err := s.in.Next()
	require.NoError(s.t, err)
	require.Nil(s.t, u.Invalid)
	g := got{Unit: u}
	if u.Body != nil {
		body, err := io.ReadAll(u.Body)
		require.NoError(s.t, err)
		g.body = string(body)
	}
	return g
}

// next returns the first request, or response, that was not taken yet: the
// two pass each other where one connection carries both.
func (s *side) next(response bool) got {
	s.t.Helper()
	for i, g := range s.passed {
		if g.IsResponse() == response {
			s.passed = slices.Delete(s.passed, i, i+1)
			return g
		}
	}
	for {
		g := s.read()
		if g.IsResponse() == response {
			return g
		}
		s.passed = append(s.passed, g)
	}
}

// want reads a request and compares method and paths.
func (s *side) want(method, to, from string) got {
	s.t.Helper()
	g := s.next(false)
	require.Equal(s.t, method, g.Method, "%d %s", g.Code, g.Comment)
	assert.Equal(s.t, to, g.To.String())
	assert.Equal(s.t, from, g.From.String())
	return g
}

// wantCode reads a response and compares transaction, code and paths.
func (s *side) wantCode(id string, code int, to, from string) got {
	s.t.Helper()
	g := s.next(true)
	assert.Equal(s.t, id, g.TransactionID)
	assert.Equal(s.t, code, g.Code)
	assert.Equal(s.t, to, g.To.String())
	assert.Equal(s.t, from, g.From.String())
	return g
}

// wantSilence shows that nothing is on its way: a request whose answer is
// known is answered next.
func (s *side) wantSilence(token, own string) {
	s.t.Helper()
	id := s.send("SEND", token, own, nil, "Message-ID: pr0be")
	s.wantCode(id, 200, own, token)
	assert.Empty(s.t, s.passed)
}

// wantEnd reads until the relay closes the connection.
func (s *side) wantEnd() {
	s.t.Helper()
	_, err := s.in.Next()
	assert.Equal(s.t, io.EOF, err)
	<-s.done
}

const relayURI = "msrp://relay.example.com:2856;tcp"

// auth gets a token for the URI own.
func (s *side) auth(user, password, own string, fields ...string) got {
	s.t.Helper()
	id := s.send("AUTH", relayURI, own, nil, fields...)
	g := s.wantCode(id, 401, own, relayURI)
	c, err := digest.Strongest(g.Header.Values("WWW-Authenticate"))
	require.NoError(s.t, err)
	answer := c.Answer(user, password, "AUTH", relayURI, "cnonce", 1)
	id = s.send("AUTH", relayURI, own, nil, append(fields, "Authorization: "+answer.String())...)
	g = s.read()
	require.Equal(s.t, id, g.TransactionID)
	return g
}

// token gets a token, direct or of the RFC's kind.
func (s *side) token(user, own string, direct bool) string {
	s.t.Helper()
	password := map[string]string{"alice": "secret", "carol": "hidden"}[user]
	var fields []string
	if direct {
		fields = append(fields, "Relay-Features: direct")
	}
	g := s.auth(user, password, own, fields...)
	require.Equal(s.t, 200, g.Code)
	require.Equal(s.t, direct, strings.HasPrefix(g.Header.Get("Relay-Features"), "direct "))
	return g.Header.Get("Use-Path")
}

func text(s string) *string { return &s }
