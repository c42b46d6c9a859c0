package peer

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/msrp/sdp"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
)

// passive is a host that waits to be connected to.
type passive struct{ uri msrp.URI }

func (p passive) Place(context.Context, bool) (*call.Place, error) {
	return &call.Place{URI: p.uri, Path: msrp.Path{p.uri}, Setup: sdp.Passive}, nil
}

// A connection that a peer has dialled for a call ends with the call, and not
// with the peer, which may be called a thousand times.
func TestDialledConnectionEndsWithCall(t *testing.T) {
	t.Attr("requirement", "D-14")
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	server := httptest.NewServer(&rendezvous.Server{Bus: &rendezvous.Memory{}, Log: slog.New(slog.DiscardHandler)})
	defer server.Close()
	url := strings.Replace(server.URL, "http", "ws", 1)
	p, err := Start(ctx, Config{Echo: true, Name: "echo", Rendezvous: url}, func(Event) {})
	require.NoError(t, err)
	defer p.Close()
	alice, err := rendezvous.Dial(ctx, rendezvous.Registration{URL: url, Name: "alice"})
	require.NoError(t, err)
	defer alice.Close()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	endpoint := msrp.NewEndpoint(nil)
	conns := make(chan *msrp.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- endpoint.NewConn(msrp.NewStream(c))
		}
	}()
	for range 3 {
		uri, err := msrp.MakeURI(false, "127.0.0.1", l.Addr().(*net.TCPAddr).Port, msrp.NewID(), msrp.TransportTCP)
		require.NoError(t, err)
		c := call.New(call.Options{Endpoint: endpoint, Host: passive{uri}})
		offer, err := c.Offer(ctx)
		require.NoError(t, err)
		remote, answer, err := alice.Call(ctx, "echo", offer)
		require.NoError(t, err)
		conn := <-conns
		// RFC 6135, section 4.2.2: nobody can connect to that peer.
		assert.Contains(t, answer, "\r\nm=message 9 TCP/MSRP *\r\n")
		assert.Contains(t, answer, "\r\na=setup:active\r\n")
		assert.Contains(t, answer, "\r\na=path:msrp://127.0.0.1:9/")
		require.NoError(t, c.Accept(ctx, answer))
		_, err = c.Session().Send(ctx, msrp.Text("hello"))
		require.NoError(t, err)
		assert.Equal(t, "hello", msrptest.Read(t, ctx, c.Session()))
		c.Close()
		require.NoError(t, remote.Bye("that is all"))
		select {
		case <-conn.Done():
		case <-time.After(guard):
			require.FailNow(t, "the connection stays open")
		}
	}
	assert.NoError(t, p.ctx.Err(), "the peer goes on")
}
