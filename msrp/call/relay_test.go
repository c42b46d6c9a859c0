package call_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/digest"
	"github.com/webmsrp/webmsrp/msrp/relay"
)

// RFC 7977, section 5.2: AUTH goes to the host and port of the WebSocket.
func TestRelayURI(t *testing.T) {
	for _, c := range []struct {
		url    string
		secure bool
		want   string // "" is an error
	}{
		{"wss://relay.example.com/msrp", true, "msrps://relay.example.com:443;ws"},
		{"wss://relay.example.com/msrp", false, "msrp://relay.example.com:443;ws"},
		{"ws://relay.example.com", false, "msrp://relay.example.com:80;ws"},
		{"WS://relay.example.com:8080/msrp?a=b:c", false, "msrp://relay.example.com:8080;ws"},
		{"wss://user:word@relay.example.com/", true, "msrps://relay.example.com:443;ws"},
		{"wss://relay.example.com?x@y", true, "msrps://relay.example.com:443;ws"},
		{"wss://[2001:db8::1]/msrp", true, "msrps://[2001:db8::1]:443;ws"},
		{"ws://[::1]:8080#top", false, "msrp://[::1]:8080;ws"},
		{"https://relay.example.com/msrp", true, ""},
		{"relay.example.com", true, ""},
		{"", true, ""},
		{"wss://", true, ""},
		{"wss://relay.example.com:x/", true, ""},
		{"wss://relay.example.com:/", true, ""},
		{"wss://relay.example.com:70000/", true, ""},
		{"wss://relay example/", true, ""},
	} {
		got, err := call.RelayURI(c.url, c.secure)
		assert.Equal(t, c.want, got.String(), c.url)
		assert.Equal(t, c.want == "", err != nil, c.url)
	}
}

// users are alice with the password secret.
type users struct{}

func (users) Algorithms() []digest.Algorithm { return []digest.Algorithm{digest.SHA256} }

func (users) HA1(a digest.Algorithm, username string) (ha1, user string, ok bool) {
	return digest.HA1(a, username, "relay.example.com", "secret"), username, username == "alice"
}

// A place that was reserved serves the next session of its kind, once, and only
// while enough of its time is left.
func TestReserve(t *testing.T) {
	t.Attr("requirement", "S-05") // all of them over one connection
	synctest.Test(t, func(t *testing.T) {
		r, err := relay.New(relay.Config{
			Host: "relay.example.com", Port: 2855, PlainPort: 2856, PlainPeers: true, Users: users{}, DefaultExpires: time.Hour,
			Dial: func(context.Context, relay.Hop) (msrp.Transport, error) { return nil, relay.ErrRefused },
		})
		require.NoError(t, err)
		defer r.Close()
		ours, theirs := net.Pipe()
		go r.Serve(msrp.NewStream(theirs), relay.LinkInfo{WebSocket: true, Secure: true})
		password := "wrong"
		conn := msrp.NewEndpoint(nil).NewConn(msrp.NewStream(ours))
		defer conn.Close()
		host := &call.RelayHost{
			Conn: conn, Transport: msrp.TransportWS,
			Relay: func(secure bool) (msrp.URI, error) {
				return call.RelayURI("wss://relay.example.com:"+map[bool]string{true: "2855", false: "2856"}[secure], secure)
			},
			Credentials: func(context.Context) (string, string, error) { return "alice", password, nil },
		}
		var status *msrp.StatusError
		require.ErrorAs(t, host.Reserve(t.Context(), true), &status)
		assert.Equal(t, msrp.StatusUnauthorized, status.Code)
		password = "secret"

		place := func(secure bool, auths int64) *call.Place {
			t.Helper()
			p, err := host.Place(t.Context(), secure)
			require.NoError(t, err)
			assert.Equal(t, auths, r.Stats().Auths)
			assert.Equal(t, secure, p.URI.Secure())
			assert.Same(t, conn, p.Conn)
			return p
		}
		require.NoError(t, host.Reserve(t.Context(), true))
		assert.EqualValues(t, 1, r.Stats().Auths)
		other := place(false, 2) // another kind
		first := place(true, 2)  // the reserved one
		second := place(true, 3)
		assert.NotEqual(t, first.URI, second.URI)
		assert.NotEqual(t, first.Path, other.Path)

		require.NoError(t, host.Reserve(t.Context(), true))
		time.Sleep(31 * time.Minute)
		place(true, 5) // less than half an hour is left of the reserved one
	})
}

// A place that is not needed any more goes back to the relay: a user may have
// any number of sessions one after the other. Those for long ask for that.
func TestPlacesGoBack(t *testing.T) {
	for _, noDirect := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, err := relay.New(relay.Config{
				Host: "relay.example.com", Port: 2855, Users: users{}, MaxTokensPerUser: 3, DefaultExpires: 15 * time.Minute,
				Dial: func(context.Context, relay.Hop) (msrp.Transport, error) { return nil, relay.ErrRefused },
			})
			require.NoError(t, err)
			defer r.Close()
			ours, theirs := net.Pipe()
			go r.Serve(msrp.NewStream(theirs), relay.LinkInfo{WebSocket: true, Secure: true})
			endpoint := msrp.NewEndpoint(nil)
			conn := endpoint.NewConn(msrp.NewStream(ours))
			defer conn.Close()
			host := &call.RelayHost{
				Conn: conn, Transport: msrp.TransportWS, NoDirect: noDirect,
				Relay:       func(bool) (msrp.URI, error) { return call.RelayURI("wss://relay.example.com:2855", true) },
				Credentials: func(context.Context) (string, string, error) { return "alice", "secret", nil },
			}
			assert.False(t, host.Releases(), "nothing is known of it")
			for range 10 {
				c := call.New(call.Options{Endpoint: endpoint, Host: host, Secure: true})
				offer, err := c.Offer(t.Context())
				require.NoError(t, err)
				// An offer that takes another place gives the one of the last back.
				require.NoError(t, c.Rollback())
				_, err = c.Offer(t.Context())
				require.NoError(t, err)
				assert.WithinDuration(t, time.Now().Add(15*time.Minute), c.Until(), time.Minute)
				assert.Contains(t, offer, "a=webmsrp-resumes\r\n")
				require.NoError(t, c.Close())
			}
			assert.True(t, host.Releases())
			host.KeepAlive() // where there is none any more
			synctest.Wait()
			assert.NoError(t, conn.Err())
			assert.EqualValues(t, 0, r.Stats().Tokens)

			host.Expires = 12 * time.Hour
			p, err := host.Place(t.Context(), true)
			require.NoError(t, err)
			assert.WithinDuration(t, time.Now().Add(12*time.Hour), p.Until, time.Minute)
		})
	}
}

// RFC 4976, section 5.1: behind a relay SDP tells the way in to the own URI, and
// requests go the way out.
func TestPathBehindARelay(t *testing.T) {
	t.Attr("requirement", "D-03")
	synctest.Test(t, func(t *testing.T) {
		r, err := relay.New(relay.Config{
			Host: "relay.example.com", Port: 2855, Users: users{}, DefaultExpires: time.Hour,
			Dial: func(context.Context, relay.Hop) (msrp.Transport, error) { return nil, relay.ErrRefused },
		})
		require.NoError(t, err)
		defer r.Close()
		ours, theirs := net.Pipe()
		go r.Serve(msrp.NewStream(theirs), relay.LinkInfo{WebSocket: true, Secure: true})
		endpoint := msrp.NewEndpoint(nil)
		conn := endpoint.NewConn(msrp.NewStream(ours))
		defer conn.Close()
		host := &call.RelayHost{
			Conn: conn, Transport: msrp.TransportWS, NoDirect: true,
			Relay:       func(bool) (msrp.URI, error) { return call.RelayURI("wss://relay.example.com:2855", true) },
			Credentials: func(context.Context) (string, string, error) { return "alice", "secret", nil },
		}
		c := call.New(call.Options{Endpoint: endpoint, Host: host, Secure: true})
		defer c.Close()
		offer, err := c.Offer(t.Context())
		require.NoError(t, err)
		path, err := msrp.ParsePath(attribute(offer, "path"))
		require.NoError(t, err)
		require.Len(t, path, 2)
		assert.Equal(t, "relay.example.com", path.First().Host())
		assert.NotEmpty(t, path.First().SessionID())
		assert.Equal(t, c.Session().URI(), path.Last())
		assert.True(t, path.Last().HasTransport(msrp.TransportWS))
	})
	const inner, outer, own = "msrps://inner.example.com:2855/t;tcp", "msrps://outer.example.com:2855/u;tcp", "msrps://alice.example.com:2855/s;tcp"
	usePath, err := msrp.ParsePath(inner + " " + outer)
	require.NoError(t, err)
	uri, err := msrp.ParseURI(own)
	require.NoError(t, err)
	peer, err := msrp.ParsePath("msrps://theirs.example.net:2855/v;tcp msrps://bob.example.net:2855/w;tcp")
	require.NoError(t, err)
	grant := msrp.Grant{UsePath: usePath}
	assert.Equal(t, outer+" "+inner+" "+own, grant.PathFor(uri).String())
	assert.Equal(t, inner+" "+outer+" "+peer.String(), grant.ToPath(peer).String())
}
