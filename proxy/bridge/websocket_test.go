package bridge

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// silent opens a WebSocket that answers nothing of itself. It sends early with the
// handshake.
func silent(t *testing.T, server *httptest.Server, early ...string) (net.Conn, *bufio.Reader) {
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(guard))
	fmt.Fprintf(c, "GET /msrp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: msrp\r\n\r\n%s", strings.Join(early, ""))
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, r.StatusCode)
	return c, in
}

// Frames as a client masks them (RFC 6455, section 5.3), with a key of zeros,
// and as a server sends them.
const (
	clientText  = "\x81\x85\x00\x00\x00\x00hello"
	clientPing  = "\x89\x80\x00\x00\x00\x00"
	clientClose = "\x88\x82\x00\x00\x00\x00\x03\xe8"
	serverPong  = "\x8a\x00"
	serverClose = "\x88\x02\x03\xe8"
	serverAway  = "\x88\x12\x03\xe9the server stops"
)

func readFrame(t *testing.T, in io.Reader, want string) {
	frame := make([]byte, len(want))
	_, err := io.ReadFull(in, frame)
	require.NoError(t, err)
	require.Equal(t, want, string(frame))
}

// Close does not wait for the other side, whose answer still counts, but what
// it says before is not delivered any more.
func TestCloseDoesNotWait(t *testing.T) {
	for name, says := range map[string]string{"orderly": clientClose, "goes on": clientText + clientClose, "hangs up": ""} {
		t.Run(name, func(t *testing.T) {
			accepted := make(chan *webSocket, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}})
				if assert.NoError(t, err) {
					accepted <- newWebSocket(c, nil, 1000)
				}
			}))
			defer server.Close()
			client, in := silent(t, server)
			ws := <-accepted
			ended := make(chan error, 1)
			go func() {
				_, err := ws.ReadMessage()
				ended <- err
			}()
			io.WriteString(client, clientPing)
			readFrame(t, in, serverPong) // from within ReadMessage
			require.NoError(t, ws.Close(nil))
			require.NoError(t, ws.Close(nil), "a second time")
			readFrame(t, in, serverClose)
			select {
			case <-ws.end():
				assert.Fail(t, "Close has waited until it gave up")
			default:
			}
			io.WriteString(client, says)
			if says == "" {
				client.Close()
			}
			assert.Error(t, <-ended)
			select {
			case <-ws.end():
			case <-time.After(guard):
				assert.Fail(t, "the connection does not end")
			}
		})
	}
}

// A message that drips in ends the connection, also where its sender answers
// pings in between.
func TestMessageThatDrips(t *testing.T) {
	accepted := make(chan *webSocket, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}})
		if assert.NoError(t, err) {
			accepted <- newWebSocket(c, nil, 1000)
		}
	}))
	defer server.Close()
	client, in := silent(t, server)
	ws := <-accepted
	ws.messageTime = 50 * time.Millisecond
	ended := make(chan error, 1)
	go func() {
		_, err := ws.ReadMessage()
		ended <- err
	}()
	io.WriteString(client, "\x01\x81\x00\x00\x00\x00x"+clientPing)
	readFrame(t, in, serverPong)
	select {
	case err := <-ended:
		assert.Error(t, err)
	case <-time.After(guard):
		assert.Fail(t, "it is waited for")
	}
	_, err := in.ReadByte()
	assert.Error(t, err)
}

// Wait waits for those that answer, and not for ever for the others.
func TestDoorWait(t *testing.T) {
	door := &Door{Relay: newRelay(t), ChunkSize: 1000, Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewServer(door)
	defer server.Close()
	first, in := silent(t, server)
	_, other := silent(t, server)
	door.Relay.Close()
	readFrame(t, in, serverAway)
	readFrame(t, other, serverAway)
	door.Wait(time.Millisecond)
	io.WriteString(first, clientClose)
	_, err := in.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
}

// What comes in one piece with the handshake is not lost.
func TestEarlyFrames(t *testing.T) {
	door := &Door{Relay: newRelay(t), ChunkSize: 1000, Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewServer(door)
	defer server.Close()
	c, in := silent(t, server, clientPing, clientPing)
	readFrame(t, in, serverPong+serverPong)
	io.WriteString(c, clientClose)
	readFrame(t, in, serverClose)
}

func TestHostname(t *testing.T) {
	for host, want := range map[string]string{
		"relay.example.com": "relay.example.com", "relay.example.com:8443": "relay.example.com",
		"127.0.0.1:8080": "127.0.0.1", "[::1]:8080": "::1", "[::1]": "::1", "": "",
		"[" + strings.Repeat("0:", 7) + "1]:443": "0:0:0:0:0:0:0:1",
	} {
		assert.Equal(t, want, hostname(host), host)
	}
}
