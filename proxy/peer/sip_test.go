package peer

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/proxy/settings"
	"github.com/webmsrp/webmsrp/proxy/sip"
	"github.com/webmsrp/webmsrp/proxy/sip/siptest"
)

// user returns the arguments of a user of a registrar.
func user(r *siptest.Registrar, name, transport string, args ...string) []string {
	return append([]string{"--sip=" + r.URI(name) + ";transport=" + transport, "--sip-password=secret"}, args...)
}

// Two peers call each other through a SIP proxy: text and a file both ways, over
// TCP and over TLS, and either of them offers the session anew in between.
func TestCallsBySIP(t *testing.T) {
	r := siptest.Start(t, 3600)
	for _, way := range []struct {
		name, transport string
		msrp            []string
	}{
		{"TCP", "tcp", nil},
		{"TLS", "tcp", []string{"--tls"}},
		{"TCP, SIP over UDP", "udp", nil},
		{"TCP, SIP over a WebSocket", "ws", nil},
	} {
		t.Run(way.name, func(t *testing.T) {
			dir, back := t.TempDir(), t.TempDir()
			args := append([]string{"--listen=127.0.0.1:0"}, way.msrp...)
			bob := run(t, user(r, "bob", way.transport, append(args, "--register", "--receive="+dir)...)...)
			bob.want(EventRegistered)
			alice := run(t, user(r, "alice", way.transport, append(args, "--call="+r.URI("bob"), "--receive="+back)...)...)
			assert.Equal(t, r.URI("bob"), alice.want(EventConnected).Peer)
			assert.Equal(t, r.URI("alice"), bob.want(EventConnected).Peer)
			file := writeFile(t, "photo.png", 500_000)
			_, sum := sumOf(t, file)
			exchange := func(text string) {
				alice.type_("Grüße " + text)
				assert.Equal(t, "Grüße "+text, bob.want(EventMessage).Text)
				alice.want(EventDelivered)
				bob.type_("zurück " + text)
				assert.Equal(t, "zurück "+text, alice.want(EventMessage).Text)
				bob.want(EventDelivered)
			}
			exchange("first")
			alice.type_("/file " + file)
			assert.Equal(t, sum, bob.want(EventMessage).SHA256)
			alice.want(EventDelivered)
			bob.type_("/file " + file)
			assert.Equal(t, sum, alice.want(EventMessage).SHA256)
			bob.want(EventDelivered)
			for _, who := range []struct {
				name       string
				one, other *command
			}{{"the caller", alice, bob}, {"the called", bob, alice}} {
				who.one.type_("/renew")
				assert.Equal(t, 1, who.one.want(EventMoved).Session)
				assert.Equal(t, 1, who.other.want(EventMoved).Session)
				exchange("after an offer of " + who.name)
			}
			alice.cancel()
			assert.NoError(t, alice.end())
			assert.Empty(t, bob.want(EventClosed).Error)
			// And nothing is in the way of the next.
			again := run(t, user(r, "carol", way.transport, append(args, "--call=bob")...)...)
			again.want(EventConnected)
			assert.Equal(t, 2, bob.want(EventConnected).Session)
			bob.cancel()
			assert.NoError(t, bob.end())
			assert.NoError(t, again.end())
		})
	}
}

// What keeps a call from coming about is said, each in its own words.
func TestNoCallBySIP(t *testing.T) {
	r := siptest.Start(t, 3600)
	taking := func(name string, args ...string) {
		run(t, user(r, name, "tcp", append(args, "--register", "--listen=127.0.0.1:0")...)...).want(EventRegistered)
	}
	taking("busy")
	run(t, user(r, "first", "tcp", "--call=busy")...).want(EventConnected)
	taking("declines", "--decline=603")
	taking("secure", "--tls")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().String()
	l.Close()
	call := func(name string) []string { return user(r, "alice", "tcp", "--call="+r.URI(name)) }
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"unknown user", call("nobody"), []string{"nobody is called " + r.URI("nobody"), "404"}},
		{"busy", call("busy"), []string{r.URI("busy") + " is busy", "486", "another conversation"}},
		{"declined", call("declines"), []string{r.URI("declines") + " declined", "603"}},
		{"not acceptable", call("secure"), []string{r.URI("secure") + " cannot accept this session", "488", "over TLS only"}},
		{"wrong password, calling", append(call("busy"), "--sip-password=wrong"), []string{"wrong username or password", "407"}},
		{"wrong password, registering", user(r, "bob", "tcp", "--register", "--sip-password=wrong"), []string{"wrong username or password", "401", "bob@"}},
		{"another's name", user(r, "bob", "tcp", "--register", "--sip-user=alice"), []string{"does not allow", "403"}},
		{"no server", []string{"--sip=sip:bob@" + nobody, "--register"}, []string{nobody + " cannot be reached", "refused"}},
		{"no URI", []string{"--sip=bob", "--register"}, []string{`"bob"`, "sip:user@host"}},
		{"no such transport", []string{"--sip=sip:bob@" + nobody + ";transport=sctp", "--register"}, []string{"udp, tcp, tls, ws or wss"}},
		{"called by nobody", []string{"--sip=sip:bob@" + nobody}, []string{"--register", "--call"}},
		{"two signallings", []string{"--sip=sip:bob@" + nobody, "--register", "--rendezvous=ws://" + nobody, "--name=bob"}, []string{"--sip", "--rendezvous"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := run(t, c.args...).end()
			for _, want := range c.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
	var usage *settings.UsageError
	assert.ErrorAs(t, run(t, "--sip=sip:bob@example.com", "--register", "--decline=200").end(), &usage)
}

// A registration is renewed before it ends, and ended with the peer.
func TestRegistration(t *testing.T) {
	r := siptest.Start(t, 2)
	bob := run(t, user(r, "bob", "tcp", "--register", "--listen=127.0.0.1:0")...)
	bob.want(EventRegistered)
	r.Says("registered bob", 3)
	bob.cancel()
	assert.NoError(t, bob.end())
	r.Says(";expires=0", 1)
	alice := run(t, user(r, "alice", "tcp", "--call="+r.URI("bob"))...)
	assert.ErrorContains(t, alice.end(), "404")
}

// Of an offer with sound and pictures only the messages are taken.
func TestOtherMediaBySIP(t *testing.T) {
	r := siptest.Start(t, 3600)
	run(t, user(r, "bob", "tcp", "--register", "--listen=127.0.0.1:0")...).want(EventRegistered)
	alice, err := sip.Start(t.Context(), sip.Options{URI: r.URI("alice"), Password: "secret"})
	require.NoError(t, err)
	defer alice.Close()
	offer := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
		"m=audio 4000 RTP/AVP 0\r\nm=message 9 TCP/MSRP *\r\na=accept-types:*\r\na=setup:active\r\na=path:msrp://127.0.0.1:9/s3ss10n;tcp\r\nm=video 4002 RTP/AVP 96\r\n"
	call, answer, err := alice.Call(t.Context(), r.URI("bob"), offer)
	require.NoError(t, err)
	call.Bye("that is all")
	var lines []string
	for line := range strings.SplitSeq(answer, "\r\n") {
		if strings.HasPrefix(line, "m=") {
			lines = append(lines, line)
		}
	}
	require.Len(t, lines, 3)
	assert.Equal(t, "m=audio 0 RTP/AVP 0", lines[0])
	assert.Regexp(t, `^m=message [1-9]\d* TCP/MSRP \*$`, lines[1])
	assert.Equal(t, "m=video 0 RTP/AVP 96", lines[2])
}

// A call by SIP goes on when the connection of its messages is lost: the one who
// finds out offers it anew.
func TestCallBySIPSurvivesCuts(t *testing.T) {
	r := siptest.Start(t, 3600)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	talk := msrptest.Forward(t, l.Addr().String())
	start := func(c Config) *party {
		p := &party{events: make(chan Event, 1000)}
		c.SIP, c.Password = r.URI(c.SIP), "secret"
		p.Peer, err = Start(t.Context(), c, func(e Event) { p.events <- e })
		require.NoError(t, err)
		t.Cleanup(p.Close)
		return p
	}
	bob := start(Config{SIP: "bob", Register: true, Listener: behind{l, talk.Addr()}})
	alice := start(Config{SIP: "alice", Call: "bob"})
	for _, p := range []*party{alice, bob} {
		p.want(t, EventConnected)
	}
	require.NoError(t, alice.SendText("hello"))
	assert.Equal(t, "hello", bob.want(t, EventMessage).Text)
	alice.want(t, EventDelivered)
	for cut := range 3 {
		for i := range 20 {
			require.NoError(t, alice.SendText(fmt.Sprint(cut, i)))
			require.NoError(t, bob.SendText(fmt.Sprint(cut, i)))
			if i == 10 {
				talk.Cut()
			}
		}
		for _, p := range []*party{alice, bob} {
			for i := range 20 {
				require.Equal(t, fmt.Sprint(cut, i), p.want(t, EventMessage).Text)
			}
			require.NoError(t, p.Drain())
		}
	}
	alice.Close()
	assert.Empty(t, bob.want(t, EventClosed).Error)
}
