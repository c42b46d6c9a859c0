package msrp_test

import (
	"io"
	"net"
	"path/filepath"
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

// peer plays what another implementation was seen to say, and returns the session
// that has to cope with it, which is the passive side.
func peer(t *testing.T, file, name, transport string, opts msrp.SessionOptions) (*msrptest.Conversation, *msrp.Session) {
	var session *msrp.Session
	c, conn := neighbour(t, file, name, transport, &opts, func(own *msrp.Endpoint) {
		var err error
		session, err = own.NewSession(opts)
		require.NoError(t, err)
	})
	path, err := msrp.ParsePath(c.Value("peer", nil))
	require.NoError(t, err)
	require.NoError(t, session.Start(msrp.Remote{Path: path, Conn: conn}))
	return c, session
}

// neighbour connects to what was seen of an implementation; prepare, which may be
// nil, makes the sessions that the first octets arrive for.
func neighbour(t *testing.T, file, name, transport string, opts *msrp.SessionOptions, prepare func(*msrp.Endpoint)) (*msrptest.Conversation, *msrp.Conn) {
	c := msrptest.NewConversation(t, filepath.Join("testdata", "peers", file+".txt"), false)
	var tr msrp.Transport
	if transport == msrp.TransportWS {
		tr = c.Messages(name, nil)
	} else {
		tr = c.Stream(name, nil)
	}
	endpoint := msrp.NewEndpoint(nil)
	opts.URI = uri(t, c.Value("own", nil))
	if prepare != nil {
		prepare(endpoint)
	}
	conn := endpoint.NewConn(tr)
	t.Cleanup(func() { conn.Close() })
	return c, conn
}

func TestMsrplib(t *testing.T) {
	t.Attr("requirement", "S-50")
	c, bob := peer(t, "msrplib", "bob", msrp.TransportTCP, msrp.SessionOptions{})
	ctx := t.Context()
	assert.Equal(t, "hello from msrplib", msrptest.Read(t, ctx, bob))
	out, err := bob.Send(ctx, msrp.Text("hello"))
	require.NoError(t, err)
	require.NoError(t, out.Delivered(ctx))
	long := msrptest.Read(t, ctx, bob)
	assert.Len(t, long, 4096, "and the keep-alive before it is not shown")
	assert.Equal(t, long[:2048], long[2048:])
	c.End()
}

func TestMsrpNodeLib(t *testing.T) {
	t.Attr("requirement", "S-50")
	t.Attr("requirement", "W-35")
	t.Attr("requirement", "S-25")
	c, bob := peer(t, "msrp-node-lib", "bob", msrp.TransportTCP, msrp.SessionOptions{})
	ctx := t.Context()
	assert.Equal(t, "hello from msrp-node-lib", msrptest.Read(t, ctx, bob))
	damaged := msrptest.Read(t, ctx, bob)
	assert.Equal(t, strings.Repeat("0123456789", 205)[:2047]+"\xef\ufffd"+strings.Repeat("9876543210", 50), damaged,
		"the heartbeat is not shown, and of octets that come twice the later ones stand")
	c.End()
}

func TestCrocodile(t *testing.T) {
	t.Attr("requirement", "S-28")
	c, bob := peer(t, "crocodile", "bob", msrp.TransportWS, msrp.SessionOptions{StreamAfter: 1})
	ctx := t.Context()
	assert.Equal(t, "hello from alice", msrptest.Read(t, ctx, bob))
	long := msrptest.Read(t, ctx, bob)
	assert.Len(t, long, 4096)
	assert.Equal(t, long[:2048], long[2048:])
	aborted, err := bob.Receive(ctx)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, aborted)
	assert.ErrorIs(t, err, msrp.ErrAborted)
	out, err := bob.Send(ctx, msrp.Text("hello"))
	require.NoError(t, err)
	require.NoError(t, out.Delivered(ctx))
	c.End()
}

func TestMsrprelay(t *testing.T) {
	t.Attr("requirement", "S-39")
	c, alice := peer(t, "msrprelay", "alice", msrp.TransportTCP, msrp.SessionOptions{})
	ctx := t.Context()
	assert.Equal(t, "hello from B", msrptest.Read(t, ctx, alice))
	out, err := alice.Send(ctx, msrp.Text("hello"))
	require.NoError(t, err)
	require.NoError(t, out.Sent(ctx))
	assertStatus(t, out.Delivered(ctx), msrp.StatusStopSending)
	c.End()
}

// msrprelay proves that it knows the password, in an order of its own; what it
// repeats of the answer cannot come out of a recording.
func TestMsrprelayAuth(t *testing.T) {
	const relay, own = "msrp://127.0.0.1:2857;tcp", "msrp://127.0.0.1:37444/sessA;tcp"
	const opaque, nonce = "674fbb567311d636d3df8ef05b43339a", "wphOw4bCrG1NecOXIDfDpMOMw4Ugwr8oMTc5NTQwNDc2Ny4yODE6MTI3LjAuMC4x"
	ours, theirs := net.Pipe()
	conn := msrp.NewEndpoint(nil).NewConn(msrp.NewStream(ours))
	defer conn.Close()
	go func() {
		r := msrp.NewReader(theirs)
		answer := func(u *msrp.Unit, status, fields string) {
			io.WriteString(theirs, "MSRP "+u.TransactionID+" "+status+"\r\nTo-Path: "+own+"\r\nFrom-Path: "+relay+"\r\n"+fields+"-------"+u.TransactionID+"$\r\n")
		}
		for {
			u, err := r.Next()
			if err != nil {
				return
			}
			cr, err := digest.ParseCredentials(u.Header.Get("Authorization"))
			if err != nil {
				answer(u, "401 Unauthenticated", `WWW-Authenticate: Digest realm="rig", qop="auth", nonce="`+nonce+`", opaque="`+opaque+"\"\r\n")
				continue
			}
			assert.Equal(t, opaque, cr.Opaque)
			info := cr.Info(digest.HA1(digest.MD5, "alice", "rig", "secret"), relay)
			answer(u, "200 OK", "Use-Path: msrp://127.0.0.1:2857/"+nonce+";tcp\r\nExpires: 600\r\n"+
				`Authentication-Info: qop=auth, cnonce="`+info.CNonce+`", nc=00000001, rspauth="`+info.RspAuth+"\"\r\n")
		}
	}()
	grant, err := conn.Authenticate(t.Context(), msrp.Auth{Relay: msrp.Path{uri(t, relay)}, URI: uri(t, own), Username: "alice", Password: "secret"})
	require.NoError(t, err)
	assert.Equal(t, 10*time.Minute, grant.Expires)
	assert.Equal(t, nonce, grant.UsePath[0].SessionID())
}

// Kamailio can lose an end-line. Over a WebSocket that breaks off the connection,
// over TCP the request is as good as lost: it fails, and nothing hangs.
func TestKamailioJunk(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opts msrp.SessionOptions
				c, conn := neighbour(t, "kamailio-junk-"+transport, "alice", transport, &opts, nil)
				_, err := conn.Authenticate(t.Context(), msrp.Auth{
					Relay: msrp.Path{uri(t, c.Value("relay", nil))}, URI: opts.URI, Username: "alice", Password: "secret", Expires: 10 * time.Minute,
				})
				if transport == msrp.TransportWS {
					var syntax *msrp.SyntaxError
					require.ErrorAs(t, err, &syntax)
					assert.ErrorIs(t, err, msrp.ErrConnLost)
				} else {
					assertStatus(t, err, msrp.StatusTimeout)
				}
				c.End()
			})
		})
	}
}
