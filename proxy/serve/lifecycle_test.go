package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/proxy/rendezvous"
)

// launch starts the command with arguments, until cancel; ended tells its end.
func launch(t *testing.T, args ...string) (s *Server, cancel func(), ended chan error) {
	c, err := Parse(args, io.Discard)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ready := make(chan *Server, 1)
	ended = make(chan error, 1)
	go func() { ended <- Run(ctx, c, io.Discard, func(s *Server) { ready <- s }) }()
	select {
	case s = <-ready:
	case err := <-ended:
		require.FailNow(t, "the server does not start", "%v", err)
	case <-time.After(guard):
		require.FailNow(t, "the server does not start")
	}
	return s, cancel, ended
}

func end(t *testing.T, ended chan error) error {
	select {
	case err := <-ended:
		return err
	case <-time.After(guard):
		require.FailNow(t, "the server does not end")
		return nil
	}
}

// Clients that answer nothing hold up nobody's shutdown, and each is told.
func TestShutdownWithSilentClients(t *testing.T) {
	s, cancel, ended := launch(t, devArgs...)
	var clients []io.Reader
	for range 10 {
		c, err := net.Dial("tcp", s.Addr["listen"])
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(guard))
		fmt.Fprintf(c, "GET /msrp HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: msrp\r\n\r\n", s.Addr["listen"])
		in := bufio.NewReader(c)
		r, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, r.StatusCode)
		// It is served once there is a pong to a ping.
		_, err = io.WriteString(c, "\x89\x80\x00\x00\x00\x00")
		require.NoError(t, err)
		pong := make([]byte, 2)
		_, err = io.ReadFull(in, pong)
		require.NoError(t, err)
		require.Equal(t, "\x8a\x00", string(pong))
		clients = append(clients, in)
	}
	cancel()
	assert.NoError(t, end(t, ended))
	for _, in := range clients {
		frame := make([]byte, 4)
		_, err := io.ReadFull(in, frame)
		require.NoError(t, err)
		assert.Equal(t, "\x88\x12\x03\xe9", string(frame), "a close frame that says going away (RFC 6455, section 7.4.1)")
	}
}

// Who is registered is told as well.
func TestShutdownEndsRegistrations(t *testing.T) {
	s, cancel, ended := launch(t, devArgs...)
	alice, err := rendezvous.Dial(t.Context(), rendezvous.Registration{URL: s.ws("/rendezvous"), Name: "alice"})
	require.NoError(t, err)
	cancel()
	assert.NoError(t, end(t, ended))
	select {
	case <-alice.Done():
	case <-time.After(guard):
		require.FailNow(t, "alice is not told")
	}
	assert.Equal(t, &rendezvous.RefusedError{Code: rendezvous.CodeUnavailable, Reason: "the server stops"}, alice.Err())
}

// A server that fails ends with its error, and so does the echo peer in it.
func TestFailureEndsIt(t *testing.T) {
	s, _, ended := launch(t, devArgs...)
	broken := errors.New("broken")
	s.failed <- broken
	assert.ErrorIs(t, end(t, ended), broken)
}

// http://[::1]:8080 is an address like others.
func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	l.Close()
	s := run(t, "--dev", "--listen=[::1]:0", "--msrp-listen=127.0.0.1:0", "--msrps-listen=127.0.0.1:0", "--admin-listen=")
	_, host := s.caller(t, "alice")
	_, err = host.Place(t.Context(), false)
	assert.NoError(t, err)
}

// What keeps the server from starting is called by its setting.
func TestStartErrors(t *testing.T) {
	t.Attr("requirement", "R-36") // a certificate of another name among them
	_, good := files(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	none, text := filepath.Join(dir, "none"), file("text", "hello\n")
	elsewhere := file("elsewhere", "alice:elsewhere:"+strings.Repeat("a", 32)+"\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	taken := l.Addr().String()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	free := closed.Addr().String()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--users=" + none}, []string{"--users", none}},
		{[]string{"--users=" + dir}, []string{"--users", dir}},
		{[]string{"--users=" + text}, []string{"--users", text, "line 1"}},
		{[]string{"--users=" + elsewhere}, []string{"--users", elsewhere, `"localhost"`, `"elsewhere"`}},
		{[]string{"--tls-cert=" + none}, []string{"--tls-cert", none}},
		{[]string{"--public-host=relay.example.com"}, []string{"--tls-cert", "--public-host", "relay.example.com", "localhost"}},
		{[]string{"--tls-key=" + text}, []string{"--tls-key", text}},
		{[]string{"--peer-ca=" + none}, []string{"--peer-ca", none}},
		{[]string{"--peer-ca=" + text}, []string{"--peer-ca", text}},
		{[]string{"--listen=" + taken}, []string{"--listen", taken}},
		{[]string{"--msrps-listen=" + taken}, []string{"--msrps-listen", taken}},
		{[]string{"--plain-peers", "--msrp-listen=" + taken}, []string{"--msrp-listen", taken}},
		{[]string{"--admin-listen=" + taken}, []string{"--admin-listen", taken}},
		{[]string{"--nats-url=nats://x:hunter2@" + free}, []string{"--nats-url", free}},
		{[]string{"--nats-url=" + free, "--nats-ca=" + text}, []string{"--nats-ca", text}},
		{[]string{"--nats-url=" + free, "--nats-credentials=" + none}, []string{"--nats-credentials", none}},
		{[]string{"--listen=nowhere"}, []string{"--listen", "nowhere"}},
		{[]string{"--public-host=relay.example.com:2855"}, []string{"--public-host", "relay.example.com:2855"}},
		{[]string{"--public-port=70000"}, []string{"--public-port", "70000"}},
		{[]string{"--public-plain-port=-1"}, []string{"--public-plain-port", "-1"}},
	} {
		config, err := Parse(append(append([]string{}, good...), c.args...), io.Discard)
		if err == nil {
			err = Run(t.Context(), config, io.Discard, func(*Server) { assert.Fail(t, "it starts", c.args) })
		}
		for _, want := range c.want {
			assert.ErrorContains(t, err, want, c.args)
		}
		assert.NotContains(t, fmt.Sprint(err), "hunter2")
	}
}
