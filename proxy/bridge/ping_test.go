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

// openPipe opens a WebSocket; client is the other side's connection.
func openPipe(t *testing.T) (ws *webSocket, client net.Conn) {
	ours, client := net.Pipe()
	c, err := websocket.Accept(hijacked{ours, http.Header{}}, &http.Request{
		Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Host: "localhost",
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {Subprotocol},
		},
	}, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}})
	require.NoError(t, err)
	return newWebSocket(c, nil, 1000), client
}

// RFC 7977, section 6: a WebSocket on which nothing is said is pinged, and ends
// where no pong comes.
func TestPing(t *testing.T) {
	t.Attr("requirement", "B-11")
	synctest.Test(t, func(t *testing.T) {
		ws, client := openPipe(t)
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

// A client that takes a message more slowly than websocket waits with a ping is not
// gone as long as anything comes from it.
func TestPingSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ws, client := openPipe(t)
		messages := make(chan string, 2)
		go func() {
			defer close(messages)
			for {
				msg, err := ws.ReadMessage()
				if err != nil {
					ws.Close(nil)
					return
				}
				messages <- string(msg)
			}
		}()
		wrote := make(chan error, 1)
		go func() { wrote <- ws.WriteMessage([]byte("slow")) }()
		synctest.Wait() // it waits for the client to read

		go ws.ping()
		time.Sleep(pingTimeout - time.Second)
		_, err := client.Write([]byte{0x82, 0x81, 0, 0, 0, 0, 'a'})
		require.NoError(t, err)
		assert.Equal(t, "a", <-messages)
		time.Sleep(pingTimeout)

		frame := make([]byte, 6)
		_, err = io.ReadFull(client, frame)
		require.NoError(t, err)
		assert.Equal(t, "\x82\x04slow", string(frame))
		assert.NoError(t, <-wrote)

		go func() { wrote <- ws.WriteMessage([]byte("dead")) }()
		synctest.Wait()
		start := time.Now()
		ws.ping()
		assert.Equal(t, pingTimeout, time.Since(start))
		assert.Error(t, <-wrote)
		_, more := <-messages
		assert.False(t, more)
		client.Close()
		<-ws.end()
	})
}

// One timer pings all, each at its own time.
func TestPingTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k keeper
		start := time.Now()
		pinged := make(chan string)
		open := func(name string) (*webSocket, net.Conn) {
			ws, client := openPipe(t)
			k.enter(ws)
			go func() {
				defer ws.Close(nil)
				ws.ReadMessage()
			}()
			go func() {
				ping := make([]byte, 3)
				for {
					if _, err := io.ReadFull(client, ping); err != nil || ping[0] != 0x89 {
						client.Close()
						return
					}
					pinged <- name
					client.Write([]byte{0x8a, 0x81, 0, 0, 0, 0, ping[2]})
				}
			}()
			return ws, client
		}
		at := func(name string, seconds int) {
			t.Helper()
			assert.Equal(t, name, <-pinged)
			assert.Equal(t, time.Duration(seconds)*time.Second, time.Since(start))
		}
		alice, aliceConn := open("alice")
		time.Sleep(10*time.Second + time.Millisecond)
		bob, bobConn := open("bob")
		assert.ElementsMatch(t, []*webSocket{alice, bob}, k.all())
		at("alice", 30)
		at("bob", 40)
		at("alice", 60)
		k.leave(alice)
		aliceConn.Close()
		at("bob", 70)
		at("bob", 100)
		k.leave(bob)
		assert.Empty(t, k.all())
		carol, carolConn := open("carol") // the timer runs again
		assert.Equal(t, "carol", <-pinged)
		assert.Equal(t, 130*time.Second, time.Since(start))
		k.leave(carol)
		bobConn.Close()
		carolConn.Close()
		for _, ws := range []*webSocket{alice, bob, carol} {
			<-ws.end()
		}
	})
}
