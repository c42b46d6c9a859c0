package relay

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// caller makes calls through the relay, as a browser does.
func (r *rig) caller(user, password string, direct bool) func() *call.Call {
	ours, theirs := net.Pipe()
	go r.relay.Serve(msrp.NewStream(theirs), LinkInfo{WebSocket: true, Secure: true})
	endpoint := msrp.NewEndpoint(nil)
	conn := endpoint.NewConn(msrp.NewStream(ours))
	r.t.Cleanup(func() { conn.Close() })
	host := &call.RelayHost{
		Conn: conn, Transport: msrp.TransportWS, NoDirect: !direct,
		Relay:       func(bool) (msrp.URI, error) { return msrp.ParseURI(relayURI) },
		Credentials: func(context.Context) (string, string, error) { return user, password, nil },
	}
	return func() *call.Call { return call.New(call.Options{Endpoint: endpoint, Host: host}) }
}

// native makes calls without a relay: the relay under test dials it.
func (r *rig) native(address string) func() *call.Call {
	door := make(chan net.Conn, 1)
	r.mu.Lock()
	r.doors[address] = door
	r.mu.Unlock()
	endpoint := msrp.NewEndpoint(nil)
	go func() {
		for c := range door {
			conn := endpoint.NewConn(msrp.NewStream(c))
			r.t.Cleanup(func() { conn.Close() })
		}
	}()
	r.t.Cleanup(func() { close(door) })
	host := placeFunc(func() (*call.Place, error) {
		uri, err := msrp.ParseURI("msrp://" + address + "/" + msrp.NewID() + ";tcp")
		return &call.Place{URI: uri, Path: msrp.Path{uri}, Setup: sdp.ActPass, Dial: func(context.Context, sdp.Stream) (*msrp.Conn, error) {
			ours, theirs := net.Pipe()
			go r.relay.Serve(msrp.NewStream(theirs), LinkInfo{})
			conn := endpoint.NewConn(msrp.NewStream(ours))
			r.t.Cleanup(func() { conn.Close() })
			return conn, nil
		}}, err
	})
	return func() *call.Call { return call.New(call.Options{Endpoint: endpoint, Host: host}) }
}

type placeFunc func() (*call.Place, error)

func (f placeFunc) Place(context.Context, bool) (*call.Place, error) { return f() }

// connect sets up a session by offer and answer.
func connect(t *testing.T, from, to *call.Call) (*msrp.Session, *msrp.Session) {
	ctx := t.Context()
	offer, err := from.Offer(ctx)
	require.NoError(t, err)
	answer, err := to.Answer(ctx, offer)
	require.NoError(t, err)
	require.NoError(t, from.Accept(ctx, answer))
	t.Cleanup(func() { from.Close(); to.Close() })
	return from.Session(), to.Session()
}

func TestSuiteThroughRelay(t *testing.T) {
	for _, direct := range []bool{false, true} {
		t.Run(fmt.Sprintf("to a peer, direct %v", direct), func(t *testing.T) {
			msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
				r := newRig(t)
				return connect(t, r.caller("alice", "secret", direct)(), r.native("bob.example.net:9000")())
			})
		})
		t.Run(fmt.Sprintf("from a peer, direct %v", direct), func(t *testing.T) {
			msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
				r := newRig(t)
				bob, alice := connect(t, r.native("bob.example.net:9000")(), r.caller("alice", "secret", direct)())
				return alice, bob
			})
		})
		t.Run(fmt.Sprintf("between browsers, direct %v", direct), func(t *testing.T) {
			if !direct {
				t.Attr("requirement", "B-05")
				t.Attr("requirement", "R-41")
			}
			msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
				r := newRig(t)
				return connect(t, r.caller("alice", "secret", direct)(), r.caller("carol", "hidden", direct)())
			})
		})
	}
	t.Run("two sessions on one WebSocket", func(t *testing.T) {
		msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
			caller := newRig(t).caller("alice", "secret", true)
			return connect(t, caller(), caller())
		})
	})
}

func TestDirectOfferHidesTheBrowser(t *testing.T) {
	r := newRig(t)
	offer, err := r.caller("alice", "secret", true)().Offer(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, offer, ";ws")
	assert.Contains(t, offer, "m=message 2856 TCP/MSRP *")
}

// RFC 7977, section 5.2 and appendix A: what SDP says of a browser that does not
// ask for direct mode.
func TestOfferOfABrowser(t *testing.T) {
	t.Attr("requirement", "B-07")
	t.Attr("requirement", "B-08")
	offers := newRig(t).caller("alice", "secret", false)
	hosts := map[string]bool{}
	for range 2 {
		offer, err := offers().Offer(t.Context())
		require.NoError(t, err)
		assert.Contains(t, offer, "m=message 2856 TCP/MSRP *")
		m := regexp.MustCompile(`a=path:msrp://relay\.example\.com:2856/\S+;tcp msrp://(\S+)\.invalid:\d+/\S+;ws\r\n`).FindStringSubmatch(offer)
		require.NotNil(t, m, offer)
		assert.GreaterOrEqual(t, len(m[1]), 11, "64 bits")
		hosts[m[1]] = true
	}
	assert.Len(t, hosts, 2)
}

// RFC 7977, section 5.3.1: a client that the handshake has authenticated needs a
// token all the same.
func TestAuthWithoutCredentials(t *testing.T) {
	t.Attr("requirement", "B-10")
	ours, theirs := net.Pipe()
	endpoint := msrp.NewEndpoint(nil)
	conn := endpoint.NewConn(msrp.NewStream(ours))
	t.Cleanup(func() { conn.Close() })
	host := &call.RelayHost{Conn: conn, Transport: msrp.TransportWS, NoDirect: true, Relay: func(bool) (msrp.URI, error) { return msrp.ParseURI(relayURI) }}
	relay := newSide(t, theirs)
	const token = "msrp://relay.example.com:2856/t0kent0ken;tcp"
	go func() {
		g := relay.next(false)
		assert.Equal(t, "AUTH", g.Method)
		assert.Empty(t, g.Header.Values("Authorization"))
		u := msrp.Unit{TransactionID: g.TransactionID, Code: 200, To: g.From, From: g.To, Header: msrp.Header{{Name: "Use-Path", Value: token}, {Name: "Expires", Value: "60"}}}
		relay.c.Write(u.Append(nil, nil))
	}()
	place, err := host.Place(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, token, place.UsePath.String())
}

func TestWrongPasswordIsTold(t *testing.T) {
	_, err := newRig(t).caller("alice", "wrong", true)().Offer(t.Context())
	var status *msrp.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, msrp.StatusUnauthorized, status.Code)
}
