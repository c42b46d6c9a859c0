package bridge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
	"github.com/webmsrp/webmsrp/msrp/relay"
)

// guard is how long a test waits for something that should happen soon.
const guard = 20 * time.Second

// nobody is who may use the relay of a test.
type nobody struct{}

func (nobody) Algorithms() []digest.Algorithm { return []digest.Algorithm{digest.MD5} }

func (nobody) HA1(digest.Algorithm, string) (ha1, user string, ok bool) { return "", "", false }

func newRelay(t *testing.T) *relay.Relay {
	r, err := relay.New(relay.Config{
		Host: "relay.example.com", Port: 2855, PlainPort: 2855, Users: nobody{},
		Dial: func(context.Context, relay.Hop) (msrp.Transport, error) { return nil, relay.ErrRefused },
	})
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// flaky is a listener that fails now and then.
type flaky struct {
	net.Listener
	errs chan error
}

func (f *flaky) Accept() (net.Conn, error) {
	select {
	case err := <-f.errs:
		return nil, err
	default:
		return f.Listener.Accept()
	}
}

// A program that has run out of file descriptors goes on once there are some.
func TestServeSurvives(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &flaky{l, make(chan error, 9)}
	full := &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	for _, err := range []error{full, full, io.EOF, errors.New("something else")} {
		f.errs <- err
	}
	var log bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- Serve(f, newRelay(t), false, nil, slog.New(slog.NewTextHandler(&log, nil))) }()
	// answered tells that the next connection is served.
	answered := func() {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(guard))
		io.WriteString(c, "MSRP 4bcd3fgh AUTH\r\nTo-Path: msrp://relay.example.com:2855;tcp\r\nFrom-Path: msrp://alice.example.com:9/s3ss10n;tcp\r\n-------4bcd3fgh$\r\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(line, "MSRP 4bcd3fgh 4"), line)
	}
	answered()
	f.errs <- full // once the next one is in
	answered()
	answered()
	l.Close()
	select {
	case err := <-ended:
		assert.ErrorIs(t, err, net.ErrClosed)
	case <-time.After(guard):
		require.FailNow(t, "a listener that is closed ends it")
	}
	assert.Equal(t, 2, strings.Count(log.String(), "cannot take connections"), "once for each outage:\n%s", &log)
	assert.Contains(t, log.String(), l.Addr().String())
	assert.Contains(t, log.String(), "too many open files")
}
