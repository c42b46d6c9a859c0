package bridge

import (
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Only what trusted proxies added to X-Forwarded-For is believed.
func TestClientBehindProxies(t *testing.T) {
	trusted := Trusted{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1:5"},
		{"192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1:5"},
		{"10.0.0.1:5", nil, "10.0.0.1:5"},
		{"10.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"127.0.0.1, 198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"127.0.0.1", "198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"198.51.100.1:4000"}, "198.51.100.1"},
		{"[fd00::1]:5", []string{"[2001:db8::1]:4000"}, "2001:db8::1"},
		{"[fd00::1]:5", []string{"2001:db8::1"}, "2001:db8::1"},
		{"[::ffff:10.0.0.1]:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"198.51.100.1, unknown"}, "10.0.0.1:5"},
		{"10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		assert.Equal(t, c.want, trusted.Client(r), "%+v", c)
	}
}

func TestPerAddress(t *testing.T) {
	p := &PerAddress{Max: 2}
	first, ok := p.Enter("192.0.2.1:1")
	require.True(t, ok)
	_, ok = p.Enter("192.0.2.1:2")
	assert.True(t, ok)
	_, ok = p.Enter("192.0.2.1")
	assert.False(t, ok)
	_, ok = p.Enter("192.0.2.2:1")
	assert.True(t, ok)
	for range 2 {
		_, ok = p.Enter("[2001:db8::1]:1")
		assert.True(t, ok)
	}
	_, ok = p.Enter("[2001:db8::ffff]:1")
	assert.False(t, ok, "the same network")
	first()
	first()
	_, ok = p.Enter("192.0.2.1:3")
	assert.True(t, ok)
	_, ok = p.Enter("192.0.2.1:4")
	assert.False(t, ok, "leaving twice counts once")
	_, ok = (*PerAddress)(nil).Enter("192.0.2.1:1")
	assert.True(t, ok)
}

// What is too much is closed, and what ended makes room.
func TestBoundedListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	refused := make(chan struct{}, 9)
	l := (&PerAddress{Max: 1, Refused: func() { refused <- struct{}{} }}).Listen(inner)
	defer l.Close()
	accepted := make(chan net.Conn, 9)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(guard))
		return c
	}
	dial()
	first := <-accepted
	_, err = dial().Read(make([]byte, 1))
	assert.Error(t, err)
	<-refused
	first.Close()
	dial()
	(<-accepted).Close()
}
