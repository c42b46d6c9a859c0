package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

const (
	nearURI = "msrps://near.example.com:2855;tcp"
	farURI  = "msrps://far.example.com:2855;tcp"
	chained = "msrps://bob.example.net:9000/b0b;tcp"
)

// A chain is two relays, of which alice knows the nearer one and has a place at
// both: alice – near – far – bob.
type chain struct {
	t         *testing.T
	near, far *Relay
	bobs      *msrp.Endpoint
	alices    *msrp.Endpoint
	conn      *msrp.Conn // alice's to near
}

func newChain(t *testing.T) *chain {
	c := &chain{t: t, bobs: msrp.NewEndpoint(nil), alices: msrp.NewEndpoint(nil)}
	c.near = c.relay("near.example.com", func(theirs net.Conn, to Hop) error {
		if to.URI.Host() != "far.example.com" {
			return errors.New("connection refused")
		}
		go c.far.Serve(msrp.NewStream(theirs), LinkInfo{Secure: true})
		return nil
	})
	c.far = c.relay("far.example.com", func(theirs net.Conn, to Hop) error {
		if to.URI.Host() != "bob.example.net" {
			return errors.New("connection refused")
		}
		conn := c.bobs.NewConn(msrp.NewStream(theirs))
		t.Cleanup(func() { conn.Close() })
		return nil
	})
	c.conn = connectTo(c.near, c.alices)
	t.Cleanup(func() { c.conn.Close() })
	return c
}

func (c *chain) relay(host string, dial func(theirs net.Conn, to Hop) error) *Relay {
	r, err := New(Config{
		Host: host, Port: 2855, Realm: "relay.example.com", Users: passwords{"alice": "secret"},
		Dial: func(_ context.Context, to Hop) (msrp.Transport, error) {
			ours, theirs := net.Pipe()
			if err := dial(theirs, to); err != nil {
				return nil, err
			}
			return msrp.NewStream(ours), nil
		},
	})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { r.Close() })
	return r
}

func connectTo(r *Relay, e *msrp.Endpoint) *msrp.Conn {
	ours, theirs := net.Pipe()
	go r.Serve(msrp.NewStream(theirs), LinkInfo{Secure: true})
	return e.NewConn(msrp.NewStream(ours))
}

// auth gets alice a place at the last relay of a path.
func (c *chain) auth(own msrp.URI, relay msrp.Path) *msrp.Grant {
	g, err := c.conn.Authenticate(c.t.Context(), msrp.Auth{Relay: relay, URI: own, Username: "alice", Password: "secret"})
	require.NoError(c.t, err)
	return g
}

// sessions returns those of alice and bob; bob calls alice or is called.
func (c *chain) sessions(bobCalls bool) (alice, bob *msrp.Session) {
	t := c.t
	own, err := msrp.ParseURI("msrps://alice.invalid:2855/" + msrp.NewID() + ";tcp")
	require.NoError(t, err)
	near := c.auth(own, path(t, nearURI))
	require.Len(t, near.UsePath, 1)
	grant := c.auth(own, near.UsePath.Join(path(t, farURI)...))
	require.Len(t, grant.UsePath, 2)
	assert.Equal(t, near.UsePath[0], grant.UsePath[0], "nearest relay first")
	assert.Equal(t, "far.example.com", grant.UsePath[1].Host())

	alice, err = c.alices.NewSession(msrp.SessionOptions{URI: own})
	require.NoError(t, err)
	bob, err = c.bobs.NewSession(msrp.SessionOptions{URI: path(t, chained)[0]})
	require.NoError(t, err)
	toBob := msrp.Remote{Path: grant.ToPath(path(t, chained)), Conn: c.conn, Active: !bobCalls}
	toAlice := msrp.Remote{Path: grant.PathFor(own), Active: bobCalls}
	assert.Equal(t, msrp.Path{grant.UsePath[1], grant.UsePath[0], own}, toAlice.Path)
	if bobCalls {
		toAlice.Conn = connectTo(c.far, c.bobs)
		t.Cleanup(func() { toAlice.Conn.Close() })
		require.NoError(t, alice.Start(toBob))
		require.NoError(t, bob.Start(toAlice))
	} else {
		require.NoError(t, bob.Start(toAlice))
		require.NoError(t, alice.Start(toBob))
	}
	return alice, bob
}

func TestSuiteThroughTwoRelays(t *testing.T) {
	for name, bobCalls := range map[string]bool{"alice calls": false, "bob calls": true} {
		t.Run(name, func(t *testing.T) {
			t.Attr("requirement", "S-13")
			t.Attr("requirement", "D-03")
			t.Attr("requirement", "R-16")
			t.Attr("requirement", "R-42")
			t.Attr("requirement", "R-43")
			msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
				alice, bob := newChain(t).sessions(bobCalls)
				if bobCalls {
					return bob, alice // who calls may send first
				}
				return alice, bob
			})
		})
	}
}

// The far relay knows the password of its own realm, and tells alice through the
// near one that hers is wrong.
func TestWrongPasswordAtTheSecondRelay(t *testing.T) {
	c := newChain(t)
	own := path(t, "msrps://alice.invalid:2855/s3ss;tcp")[0]
	near := c.auth(own, path(t, nearURI))
	_, err := c.conn.Authenticate(t.Context(), msrp.Auth{
		Relay: near.UsePath.Join(path(t, farURI)...), URI: own, Username: "alice", Password: "wrong",
	})
	var status *msrp.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, msrp.StatusUnauthorized, status.Code)
}

// A 200 is the word of the next hop alone (RFC 4976, section 3): with a hop that
// dies what it has taken is lost, of which only the time for the success report
// tells (RFC 4975, section 7.1.1). What it has not answered the relay reports.
func TestHopDiesWithWhatItTook(t *testing.T) {
	t.Attr("requirement", "R-24")
	t.Attr("requirement", "S-41")
	synctest.Test(t, func(t *testing.T) {
		c := &chain{t: t, alices: msrp.NewEndpoint(nil)}
		dialled := make(chan net.Conn, 1)
		c.near = c.relay("near.example.com", func(theirs net.Conn, _ Hop) error {
			dialled <- theirs
			return nil
		})
		c.conn = connectTo(c.near, c.alices)
		defer c.conn.Close()
		own := path(t, "msrps://alice.invalid:2855/s3ss;tcp")[0]
		alice, err := c.alices.NewSession(msrp.SessionOptions{URI: own})
		require.NoError(t, err)
		grant := c.auth(own, path(t, nearURI))
		require.NoError(t, alice.Start(msrp.Remote{Path: grant.ToPath(path(t, chained)), Conn: c.conn, Active: true}))
		hop := msrp.NewStream(<-dialled)
		take := func(code int) {
			u, err := hop.Receive()
			require.NoError(t, err)
			if u.Body != nil {
				_, err = io.Copy(io.Discard, u.Body)
				require.NoError(t, err)
			}
			if code != 0 {
				require.NoError(t, hop.Send((&msrp.Unit{TransactionID: u.TransactionID, Code: code, To: u.From[:1], From: u.To[:1]}).Append(nil, nil)))
				require.NoError(t, hop.Flush())
			}
		}
		take(200) // what opens the session
		send := func(code int, report bool) *msrp.Outgoing {
			m := msrp.Text("Hello, Bob!")
			m.SuccessReport, m.DeliveryTimeout = report, 2*time.Minute
			out, err := alice.Send(t.Context(), m)
			require.NoError(t, err)
			take(code)
			require.NoError(t, out.Sent(t.Context()), "the nearer relay has it")
			return out
		}
		lost, silent, open := send(200, true), send(200, false), send(0, false)
		synctest.Wait() // the relay has read the 200s

		died := time.Now()
		hop.Close(nil)
		synctest.Wait()
		assert.Equal(t, &msrp.StatusError{Code: msrp.StatusTimeout, Comment: "Next hop unreachable", MessageID: open.ID()}, open.Progress().Err)
		assert.NoError(t, lost.Progress().Err)
		assert.Equal(t, &msrp.StatusError{Code: msrp.StatusTimeout, MessageID: lost.ID(), Local: true}, lost.Delivered(t.Context()))
		assert.Equal(t, 2*time.Minute, time.Since(died))
		assert.NoError(t, silent.Progress().Err, "nobody tells of it")
		assert.NoError(t, alice.Err())
	})
}
