package bridge

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/relay"
)

// rebinding is a DNS server that gives each question for an address another
// answer: the first two are public, the others lead to this machine.
func rebinding(t *testing.T) (*net.Resolver, *atomic.Int32) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	var asked atomic.Int32
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			q := buf[:n]
			end := 12
			for end < n && q[end] != 0 {
				end += int(q[end]) + 1
			}
			if end += 5; end > n {
				continue
			}
			// The question again, one answer where it is of type A.
			answer := append([]byte{}, q[:end]...)
			copy(answer[2:12], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
			if q[end-3] == 1 {
				answer[7] = 1
				address := []byte{127, 0, 0, 1}
				if asked.Add(1) == 1 {
					address = []byte{198, 18, 0, 1} // not public either, and nobody is there
				}
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				answer = append(answer, address...)
			}
			c.WriteTo(answer, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", c.LocalAddr().String())
	}}, &asked
}

// DNS rebinding: the policy is asked with the address that is dialled, each
// time, and a name that is allowed leads nowhere else.
func TestRebinding(t *testing.T) {
	t.Attr("requirement", "R-45")
	resolver, asked := rebinding(t)
	old := net.DefaultResolver
	net.DefaultResolver = resolver
	t.Cleanup(func() { net.DefaultResolver = old })
	victim, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer victim.Close()
	connected := make(chan net.Conn, 1)
	go func() {
		if c, err := victim.Accept(); err == nil {
			connected <- c
		}
	}()
	_, port, err := net.SplitHostPort(victim.Addr().String())
	require.NoError(t, err)
	uri, err := msrp.ParseURI("msrp://peer.example.com:" + port + "/s3ss10n;tcp")
	require.NoError(t, err)
	d := &Dialer{Policy: Policy{Allow: rules(t, "*.example.com,198.18.0.2")}}
	for i, address := range []string{"198.18.0.1", "127.0.0.1", "127.0.0.1"} {
		_, err = d.Dial(t.Context(), relay.Hop{URI: uri})
		assert.ErrorIs(t, err, relay.ErrRefused)
		assert.ErrorContains(t, err, address)
		assert.EqualValues(t, i+1, asked.Load(), "each dial asks anew")
		assert.Equal(t, "address", Reason(err))
	}
	assert.Empty(t, connected)

	// The same with an allowed address connects: it was the policy that refused.
	d.Policy.Allow = rules(t, "127.0.0.0/8")
	c, err := d.Dial(t.Context(), relay.Hop{URI: uri})
	require.NoError(t, err)
	c.Close(nil)
	(<-connected).Close()
}

// Why a dial failed, in few words that stand in metrics.
func TestReason(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("this is no TLS at all"))
			c.Close()
		}
	}()
	open := l.Addr().String()
	defer l.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	old := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}
	t.Cleanup(func() { net.DefaultResolver = old })
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx        context.Context
		uri, allow string
		want       string
	}{
		{t.Context(), "msrp://127.0.0.1:2855/s3ss10n;tcp", "", "address"},
		{t.Context(), "msrp://127.0.0.1:80/s3ss10n;tcp", "", "port"},
		{t.Context(), "msrp://192.0.2.1:2855/s3ss10n;tcp", "", "denied"},
		{t.Context(), "msrp://" + closed.Addr().String() + "/s3ss10n;tcp", "127.0.0.0/8", "connect"},
		{t.Context(), "msrp://nobody.invalid:2855/s3ss10n;tcp", "127.0.0.0/8", "name"},
		{t.Context(), "msrps://" + open + "/s3ss10n;tcp", "127.0.0.0/8", "tls"},
		{canceled, "msrp://" + open + "/s3ss10n;tcp", "127.0.0.0/8", "timeout"},
	} {
		uri, err := msrp.ParseURI(c.uri)
		require.NoError(t, err)
		d := &Dialer{Policy: Policy{Allow: rules(t, c.allow), Deny: rules(t, "192.0.2.0/24")}}
		_, err = d.Dial(c.ctx, relay.Hop{URI: uri})
		assert.Equal(t, c.want, Reason(err), "%s: %v", c.uri, err)
	}
}
