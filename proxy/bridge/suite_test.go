package bridge

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/digest"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/msrp/relay"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// The two ends of a WebSocket, with nothing in between.
func TestSuiteOverWebSocket(t *testing.T) {
	t.Attr("requirement", "B-01")
	t.Attr("requirement", "B-02")
	msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
		a, b := webSocketPair(t)
		alice, bob := msrptest.PairOver(t, msrp.NewMessages(a), msrp.NewMessages(b), msrptest.Options{}, msrptest.Options{})
		return alice.Session, bob.Session
	})
}

func webSocketPair(t *testing.T) (client, server msrp.MessageConn) {
	accepted := make(chan *webSocket, 1)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}})
		if assert.NoError(t, err) {
			accepted <- newWebSocket(c, nil, 64<<10)
		}
	}))
	t.Cleanup(h.Close)
	client, err := DialWebSocket(t.Context(), h.URL, 64<<10, nil)
	require.NoError(t, err)
	return client, <-accepted
}

// users are those of the relay, all with the password secret.
type users struct{}

func (users) Algorithms() []digest.Algorithm { return []digest.Algorithm{digest.SHA256} }

func (users) HA1(a digest.Algorithm, username string) (ha1, user string, ok bool) {
	return digest.HA1(a, username, "127.0.0.1", "secret"), username, true
}

// A proxy is a door and a relay behind it, on loopback.
type proxy struct {
	t     *testing.T
	door  *httptest.Server
	relay *relay.Relay
	port  int // of the listener for peers
}

func newProxy(t *testing.T) *proxy {
	peers, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{t: t, port: peers.Addr().(*net.TCPAddr).Port}
	dialer := &Dialer{Policy: Policy{Allow: rules(t, "127.0.0.0/8")}}
	p.relay, err = relay.New(relay.Config{
		Host: "127.0.0.1", PlainPort: p.port, PlainAuth: true, PlainPeers: true, Users: users{}, Dial: dialer.Dial,
	})
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	door := &Door{Relay: p.relay, ChunkSize: 64 << 10, Log: log}
	p.door = httptest.NewServer(door)
	ended := make(chan error, 1)
	go func() { ended <- Serve(peers, p.relay, false, nil, log) }()
	t.Cleanup(func() {
		peers.Close()
		<-ended
		p.relay.Close()
		door.Wait(guard)
		p.door.Close()
	})
	return p
}

// browser makes a call as a browser does.
func (p *proxy) browser(name string, direct bool) *call.Call {
	ws, err := DialWebSocket(p.t.Context(), p.door.URL, 64<<10, nil)
	require.NoError(p.t, err)
	endpoint := msrp.NewEndpoint(nil)
	conn := endpoint.NewConn(msrp.NewMessages(ws))
	p.t.Cleanup(func() { conn.Close() })
	return call.New(call.Options{Endpoint: endpoint, Host: &call.RelayHost{
		Conn: conn, Transport: msrp.TransportWS, NoDirect: !direct,
		Relay:       func(bool) (msrp.URI, error) { return msrp.MakeURI(false, "127.0.0.1", p.port, "", msrp.TransportWS) },
		Credentials: func(context.Context) (string, string, error) { return name, "secret", nil },
	}})
}

// peer makes a call as an endpoint that listens for TCP connections.
func (p *proxy) peer() *call.Call {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(p.t, err)
	p.t.Cleanup(func() { l.Close() })
	endpoint := msrp.NewEndpoint(nil)
	go msrpnet.Serve(l, endpoint)
	uri, err := msrp.MakeURI(false, "127.0.0.1", l.Addr().(*net.TCPAddr).Port, msrp.NewID(), msrp.TransportTCP)
	require.NoError(p.t, err)
	return call.New(call.Options{Endpoint: endpoint, Host: place{
		URI: uri, Path: msrp.Path{uri}, Setup: sdp.ActPass, Dial: func(ctx context.Context, peer sdp.Stream) (*msrp.Conn, error) {
			c, err := msrpnet.Dial(ctx, peer.Path[0], nil)
			if err != nil {
				return nil, err
			}
			conn := endpoint.NewConn(msrp.NewStream(c))
			p.t.Cleanup(func() { conn.Close() })
			return conn, nil
		},
	}})
}

// A place is the one that its host has.
type place call.Place

func (p place) Place(context.Context, bool) (*call.Place, error) { return (*call.Place)(&p), nil }

// connect sets up a session by offer and answer.
func connect(t *testing.T, from, to *call.Call) (*msrp.Session, *msrp.Session) {
	offer, err := from.Offer(t.Context())
	require.NoError(t, err)
	answer, err := to.Answer(t.Context(), offer)
	require.NoError(t, err)
	require.NoError(t, from.Accept(t.Context(), answer))
	t.Cleanup(func() { from.Close(); to.Close() })
	return from.Session(), to.Session()
}

// Through the door: a browser, the relay, a TCP peer that is dialled.
func TestSuiteThroughDoor(t *testing.T) {
	for name, direct := range map[string]bool{"direct": true, "as RFC 7977 has it": false} {
		t.Run(name, func(t *testing.T) {
			msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
				p := newProxy(t)
				return connect(t, p.browser("alice", direct), p.peer())
			})
		})
	}
	t.Run("from the peer", func(t *testing.T) {
		msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
			p := newProxy(t)
			return connect(t, p.peer(), p.browser("alice", true))
		})
	})
}
