package bridge

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hijacked is the response to a request on a connection that is not one of
// net/http.
type hijacked struct {
	net.Conn
	header http.Header
}

func (h hijacked) Header() http.Header { return h.header }
func (h hijacked) WriteHeader(int)     {}
func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.Conn, bufio.NewReadWriter(bufio.NewReader(h.Conn), bufio.NewWriter(h.Conn)), nil
}

// RFC 7977, section 6: a WebSocket on which nothing is said is pinged, and ends
// where no pong comes.
func TestPing(t *testing.T) {
	t.Attr("requirement", "B-11")
	synctest.Test(t, func(t *testing.T) {
		ours, client := net.Pipe()
		c, err := websocket.Accept(hijacked{ours, http.Header{}}, &http.Request{
			Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Host: "localhost",
			Header: http.Header{
				"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
				"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {Subprotocol},
			},
		}, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}})
		require.NoError(t, err)
		ws := newWebSocket(c, nil, 1000)
		var k keeper
		k.enter(ws)
		defer k.leave(ws)
		ended := make(chan error, 1)
		go func() {
			_, err := ws.ReadMessage()
			ended <- err
			ws.Close(nil)
		}()
		start := time.Now()
		for n := range 3 {
			ping := make([]byte, 3)
			_, err := io.ReadFull(client, ping)
			require.NoError(t, err)
			assert.Equal(t, "\x89\x01", string(ping[:2]))
			assert.Equal(t, time.Duration(n+1)*pingEvery, time.Since(start))
			if n < 2 {
				_, err = client.Write([]byte{0x8a, 0x81, 0, 0, 0, 0, ping[2]})
				require.NoError(t, err)
			}
		}
		assert.Error(t, <-ended)
		assert.Equal(t, 3*pingEvery+pingTimeout, time.Since(start))
		client.Close()
		<-ws.end()
	})
}
