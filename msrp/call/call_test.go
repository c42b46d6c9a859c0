package call_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// guard is how long a test waits for something that should happen at once.
const guard = 20 * time.Second

// A user has an endpoint on a port of its own and gives its sessions places
// there.
type user struct {
	t        *testing.T
	endpoint *msrp.Endpoint
	setup    sdp.Setup // the roles it can take
	tls      *tls.Certificate
	port     int
	dials    atomic.Int32

	adjust func(*call.Place) // may be nil
}

func newUser(t *testing.T, setup sdp.Setup, secure bool) *user {
	u := &user{t: t, endpoint: msrp.NewEndpoint(nil), setup: setup}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	u.port = l.Addr().(*net.TCPAddr).Port
	if secure {
		pair, err := msrpnet.SelfSigned("127.0.0.1")
		require.NoError(t, err)
		u.tls = &pair
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}})
	}
	if setup == sdp.Active {
		l.Close() // nobody can connect (RFC 6135, section 4.2.2)
		u.port = 9
	} else {
		go msrpnet.Serve(l, u.endpoint)
	}
	return u
}

// Place implements [call.Host].
func (u *user) Place(_ context.Context, secure bool) (*call.Place, error) {
	uri, err := msrp.MakeURI(secure, "127.0.0.1", u.port, msrp.NewID(), msrp.TransportTCP)
	if err != nil {
		return nil, err
	}
	p := &call.Place{URI: uri, Path: msrp.Path{uri}, Setup: u.setup, Dial: u.dial}
	if u.tls != nil {
		p.Fingerprint = msrpnet.Fingerprint(u.tls.Certificate[0])
	}
	if u.adjust != nil {
		u.adjust(p)
	}
	return p, nil
}

func (u *user) dial(ctx context.Context, peer sdp.Stream) (*msrp.Conn, error) {
	u.dials.Add(1)
	c, err := msrpnet.Dial(ctx, peer.Path.First(), &msrpnet.Options{Fingerprints: peer.Fingerprints})
	if err != nil {
		return nil, err
	}
	conn := u.endpoint.NewConn(msrp.NewStream(c))
	u.t.Cleanup(func() { conn.Close() })
	return conn, nil
}

func (u *user) call(adjust ...func(*call.Options)) *call.Call {
	o := call.Options{Endpoint: u.endpoint, Host: u, Secure: u.tls != nil}
	for _, f := range adjust {
		f(&o)
	}
	c := call.New(o)
	u.t.Cleanup(func() { c.Close() })
	return c
}

// talk sends text each way; the active side begins (RFC 4975, section 5.4).
func talk(t *testing.T, alice, bob *msrp.Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	for _, way := range [][2]*msrp.Session{{alice, bob}, {bob, alice}} {
		out, err := way[0].Send(ctx, msrp.Text("Grüße ☃"))
		require.NoError(t, err)
		assert.Equal(t, "Grüße ☃", msrptest.Read(t, ctx, way[1]))
		require.NoError(t, out.Delivered(ctx))
	}
}

// attribute returns the value of the first a= line of that name.
func attribute(description, name string) string {
	_, after, _ := strings.Cut(description, "\r\na="+name+":")
	value, _, _ := strings.Cut(after, "\r\n")
	return value
}

// RFC 4975, section 8.5; RFC 6135, section 4.2; the roles are those of RFC
// 4145: who can be reached does not decide alone who connects.
func TestRoles(t *testing.T) {
	for _, c := range []struct {
		name         string
		alice, bob   sdp.Setup
		rewrite      [2]string // in the offer
		offer, reply string    // their a=setup, "" where there is no call
		aliceDials   bool
	}{
		{"both can be reached", sdp.ActPass, sdp.ActPass, [2]string{}, "actpass", "passive", true},
		{"both want to be reached", sdp.Passive, sdp.Passive, [2]string{}, "actpass", "passive", true},
		{"only the offerer can be reached", sdp.ActPass, sdp.Active, [2]string{}, "actpass", "active", false},
		{"a passive offerer offers both roles", sdp.Passive, sdp.Active, [2]string{}, "actpass", "active", false},
		{"only the answerer can be reached", sdp.Active, sdp.Passive, [2]string{}, "active", "passive", true},
		{"only the answerer can be reached, and could do both", sdp.Active, sdp.ActPass, [2]string{}, "active", "passive", true},
		{"an offer without a=setup is active", sdp.ActPass, sdp.ActPass, [2]string{"a=setup:actpass\r\n", ""}, "actpass", "passive", true},
		{"holdconn is ignored", sdp.ActPass, sdp.ActPass, [2]string{"setup:actpass", "setup:holdconn"}, "actpass", "passive", true},
		{"nobody can be reached", sdp.Active, sdp.Active, [2]string{}, "active", "", false},
		{"without a=setup, to one that cannot be reached", sdp.ActPass, sdp.Active, [2]string{"a=setup:actpass\r\n", ""}, "actpass", "", false},
		{"a passive offer to one that wants to be reached", sdp.ActPass, sdp.Passive, [2]string{"actpass", "passive"}, "actpass", "", false},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(c.name+map[bool]string{false: ", TCP", true: ", TLS"}[secure], func(t *testing.T) {
				t.Attr("requirement", "S-01")
				t.Attr("requirement", "D-12")
				if strings.Contains(c.name, "without a=setup") {
					t.Attr("requirement", "D-15")
				}
				if strings.Contains(c.name, "holdconn") {
					t.Attr("requirement", "D-13")
				}
				alice, bob := newUser(t, c.alice, secure), newUser(t, c.bob, secure)
				from, to := alice.call(), bob.call()
				offer, err := from.Offer(t.Context())
				require.NoError(t, err)
				assert.Equal(t, c.offer, attribute(offer, "setup"))
				assert.Equal(t, secure, strings.Contains(offer, " TCP/TLS/MSRP *\r\n"))
				assert.Equal(t, secure, attribute(offer, "fingerprint") != "")
				answer, err := to.Answer(t.Context(), strings.Replace(offer, c.rewrite[0], c.rewrite[1], 1))
				if c.reply == "" {
					assert.ErrorContains(t, err, "a role it cannot take")
					assert.Empty(t, answer)
					assert.Equal(t, msrp.StateClosed, to.Session().State())
					return
				}
				require.NoError(t, err)
				assert.Equal(t, c.reply, attribute(answer, "setup"))
				require.NoError(t, from.Accept(t.Context(), answer))
				talk(t, from.Session(), to.Session())
				talk(t, to.Session(), from.Session())
				assert.Equal(t, c.aliceDials, alice.dials.Load() == 1)
				assert.Equal(t, !c.aliceDials, bob.dials.Load() == 1)
			})
		}
	}
}

// RFC 4975, section 14.4; RFC 8122, section 6: SDP tells which certificate is
// the right one.
func TestFingerprints(t *testing.T) {
	fingerprint := regexp.MustCompile(`a=fingerprint:.*\r\n`)
	other, err := msrpnet.SelfSigned("127.0.0.1")
	require.NoError(t, err)
	wrong := "a=fingerprint:" + msrpnet.Fingerprint(other.Certificate[0]) + "\r\n"
	for _, c := range []struct {
		name, with string
		refused    func(error) bool
	}{
		{"of someone else", wrong, func(err error) bool { return errors.Is(err, msrpnet.ErrFingerprint) }},
		{"taken out", "", func(err error) bool { _, ok := errors.AsType[x509.UnknownAuthorityError](err); return ok }},
	} {
		t.Run(c.name+", in the answer", func(t *testing.T) {
			t.Attr("requirement", "S-52")
			from, to := newUser(t, sdp.ActPass, true).call(), newUser(t, sdp.Passive, true).call()
			offer, err := from.Offer(t.Context())
			require.NoError(t, err)
			answer, err := to.Answer(t.Context(), offer)
			require.NoError(t, err)
			err = from.Accept(t.Context(), fingerprint.ReplaceAllLiteralString(answer, c.with))
			assert.True(t, c.refused(err), "%v", err)
			assert.Equal(t, msrp.StateNew, from.Session().State())
			assert.Equal(t, msrp.StateConnecting, to.Session().State()) // it heard nothing
		})
		t.Run(c.name+", in the offer", func(t *testing.T) {
			t.Attr("requirement", "S-52")
			from, to := newUser(t, sdp.Passive, true).call(), newUser(t, sdp.Active, true).call()
			offer, err := from.Offer(t.Context())
			require.NoError(t, err)
			_, err = to.Answer(t.Context(), fingerprint.ReplaceAllLiteralString(offer, c.with))
			assert.True(t, c.refused(err), "%v", err)
			assert.Equal(t, msrp.StateClosed, to.Session().State())
		})
	}
}

// RFC 4975, section 14.4: also who is connected to can look who it is.
func TestVerify(t *testing.T) {
	for name, refusal := range map[string]error{"the peer": nil, "someone else": errors.New("someone else")} {
		t.Run(name, func(t *testing.T) {
			alice, bob := newUser(t, sdp.ActPass, false), newUser(t, sdp.Passive, false)
			from := alice.call()
			var asked sdp.Stream
			bob.adjust = func(p *call.Place) {
				p.Verify = func(_ *msrp.Conn, peer sdp.Stream) error { asked = peer; return refusal }
			}
			to := bob.call()
			offer, err := from.Offer(t.Context())
			require.NoError(t, err)
			answer, err := to.Answer(t.Context(), offer)
			require.NoError(t, err)
			require.NoError(t, from.Accept(t.Context(), answer))
			if refusal == nil {
				talk(t, from.Session(), to.Session())
				assert.Equal(t, msrp.Path{from.Session().URI()}, asked.Path)
				return
			}
			<-to.Session().Done()
			assert.ErrorIs(t, to.Session().Err(), refusal)
			<-from.Session().Done()
		})
	}
}

// The answer follows the offer, whatever this side would have offered.
func TestAnswerFollowsTheOffer(t *testing.T) {
	alice, bob := newUser(t, sdp.Passive, true), newUser(t, sdp.Active, false)
	from, to := alice.call(), bob.call()
	offer, err := from.Offer(t.Context())
	require.NoError(t, err)
	answer, err := to.Answer(t.Context(), offer)
	require.NoError(t, err)
	assert.Contains(t, answer, "m=message 9 TCP/TLS/MSRP *\r\n")
	require.NoError(t, from.Accept(t.Context(), answer))
	talk(t, to.Session(), from.Session())
}

// RFC 4975, section 8.3; RFC 4976, section 5.1: who is connected to, and what
// stands in the paths of the first request.
func TestPaths(t *testing.T) {
	const own, target = "msrp://relay.example.com:2855/0wnt0ken;tcp", "msrp://bob.example.com:9/s3ss10n;tcp"
	for _, c := range []struct {
		name  string
		relay bool // of the caller's own, to which there is a connection
	}{
		{"without an own relay: the leftmost URI of the peer's path", false},
		{"with an own relay: that, and in front of the peer's path", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Attr("requirement", "S-02")
			t.Attr("requirement", "S-13")
			l, err := net.Listen("tcp", "127.0.0.1:0") // the peer's relay
			require.NoError(t, err)
			defer l.Close()
			theirs := "msrp://" + l.Addr().String() + "/t0ken;tcp " + target

			alice := newUser(t, sdp.ActPass, false)
			arrived := func() net.Conn {
				conn, err := l.Accept()
				require.NoError(t, err)
				return conn
			}
			want := theirs
			if c.relay {
				ours, relay := net.Pipe()
				conn := alice.endpoint.NewConn(msrp.NewStream(ours))
				t.Cleanup(func() { conn.Close() })
				want = own + " " + theirs
				arrived = func() net.Conn { return relay }
				alice.adjust = func(p *call.Place) {
					p.UsePath, err = msrp.ParsePath(own)
					require.NoError(t, err)
					p.Path, p.Conn, p.Dial = p.UsePath.Reverse().Join(p.URI), conn, nil
				}
			}
			from := alice.call()
			_, err = from.Offer(t.Context())
			require.NoError(t, err)
			answer := head + "m=message 9 TCP/MSRP *\r\na=setup:passive\r\na=accept-types:*\r\na=path:" + theirs + "\r\n"
			require.NoError(t, from.Accept(t.Context(), answer))
			conn := arrived()
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(guard))
			r := msrp.NewReader(conn)
			for n := range 2 {
				u, err := r.Next()
				require.NoError(t, err)
				assert.Equal(t, msrp.MethodSend, u.Method)
				assert.Equal(t, want, u.To.String())
				assert.Equal(t, from.Session().URI().String(), u.From.String())
				if n == 0 {
					_, err = from.Session().Send(t.Context(), msrp.Text("hello"))
					require.NoError(t, err)
				}
			}
		})
	}
}

// RFC 4975, section 8.6: each side keeps to what the other's SDP says.
func TestTermsOfThePeer(t *testing.T) {
	alice, bob := newUser(t, sdp.ActPass, false), newUser(t, sdp.ActPass, false)
	from := alice.call(func(o *call.Options) { o.Username = "alice" })
	to := bob.call(func(o *call.Options) {
		o.Session = msrp.SessionOptions{AcceptTypes: []string{"text/plain", "message/cpim"}, MaxSize: 5}
		o.AcceptWrappedTypes = []string{"*"}
	})
	offer, err := from.Offer(t.Context())
	require.NoError(t, err)
	assert.Regexp(t, `^v=0\r\no=alice \d+ 1 IN IP4 127\.0\.0\.1\r\n`, offer)
	assert.Equal(t, "*", attribute(offer, "accept-types"))
	answer, err := to.Answer(t.Context(), offer)
	require.NoError(t, err)
	assert.Equal(t, "text/plain message/cpim", attribute(answer, "accept-types"))
	assert.Equal(t, "*", attribute(answer, "accept-wrapped-types"))
	assert.Equal(t, "5", attribute(answer, "max-size"))
	assert.Equal(t, to.Session().URI().String(), attribute(answer, "path"))
	require.NoError(t, from.Accept(t.Context(), answer))

	_, err = from.Session().Send(t.Context(), msrp.Text("123456"))
	assert.ErrorIs(t, err, msrp.ErrMessageTooLarge)
	_, err = from.Session().Send(t.Context(), &msrp.Message{ContentType: "image/png", Body: strings.NewReader("x")})
	assert.ErrorIs(t, err, msrp.ErrUnsupportedType)
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	_, err = from.Session().Send(ctx, msrp.Text("12345"))
	require.NoError(t, err)
	assert.Equal(t, "12345", msrptest.Read(t, ctx, to.Session()))
	_, err = to.Session().Send(ctx, msrp.Text("123456")) // Alice set no limit
	assert.NoError(t, err)
}

// RFC 4975, sections 8.1 and 8.3: it is the first URI of the path that is
// connected to, whatever c= and m= lines say, and requests carry the whole path.
func TestConnectsByThePath(t *testing.T) {
	t.Attr("requirement", "D-04")
	t.Attr("requirement", "D-05")
	alice := newUser(t, sdp.Active, false)
	relay, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer relay.Close()
	path := "msrp://" + relay.Addr().String() + "/t0ken;tcp msrp://bob.invalid:2855/s3ss10n;carrierpigeon"
	from := alice.call()
	_, err = from.Offer(t.Context())
	require.NoError(t, err)
	require.NoError(t, from.Accept(t.Context(), "v=0\r\no=bob 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"+
		"m=message 1 TCP/MSRP *\r\nc=IN IP4 192.0.2.2\r\na=accept-types:*\r\na=setup:passive\r\na=path:"+path+"\r\n"))
	conn, err := relay.Accept()
	require.NoError(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(guard))
	u, err := msrp.NewReader(conn).Next()
	require.NoError(t, err)
	assert.Equal(t, msrp.MethodSend, u.Method)
	assert.Equal(t, path, u.To.String())
	assert.Equal(t, from.Session().URI().String(), u.From.String())
	assert.EqualValues(t, 1, alice.dials.Load())
}

const (
	head   = "v=0\r\no=alice 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
	stream = "a=accept-types:text/plain\r\na=path:msrp://127.0.0.1:9/s3ss10n;tcp\r\n"
)

// Offers that cannot be accepted are refused with a reason, and leave nothing
// behind (RFC 4975, section 8.6).
func TestRefusedOffers(t *testing.T) {
	for _, c := range []struct{ name, offer, want string }{
		{"empty", "", "line 1"},
		{"no SDP", "INVITE sip:bob@example.com SIP/2.0\r\n", "line 1"},
		{"broken m= line", head + "m=message x TCP/MSRP *\r\n", "line 6"},
		{"no m= line", head, "no MSRP stream"},
		{"no m=message", head + "m=audio 4000 RTP/AVP 0\r\n", "audio is not MSRP"},
		{"port 0", head + "m=message 0 TCP/MSRP *\r\n" + stream, "refused"},
		{"another protocol", head + "m=message 9 UDP/MSRP *\r\n" + stream, "UDP/MSRP"},
		{"no path", head + "m=message 9 TCP/MSRP *\r\na=accept-types:*\r\n", "a=path"},
		{"broken path", head + "m=message 9 TCP/MSRP *\r\na=accept-types:*\r\na=path:http://127.0.0.1/\r\n", "the scheme is not msrp"},
		{"no accept-types", head + "m=message 9 TCP/MSRP *\r\na=path:msrp://127.0.0.1:9/s3ss10n;tcp\r\n", "a=accept-types"},
		{"protocol and path contradict", head + "m=message 9 TCP/TLS/MSRP *\r\n" + stream, "contradicts"},
		{"no common type", head + "m=message 9 TCP/MSRP *\r\n" + strings.Replace(stream, "text/plain", "image/png", 1), "no common type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "no common type" {
				t.Attr("requirement", "D-08")
			}
			if c.name == "protocol and path contradict" {
				t.Attr("requirement", "D-18")
			}
			bob := newUser(t, sdp.ActPass, false)
			to := bob.call(func(o *call.Options) { o.Session.AcceptTypes = []string{"text/*"} })
			answer, err := to.Answer(t.Context(), c.offer)
			assert.ErrorContains(t, err, c.want)
			assert.Empty(t, answer)
			if s := to.Session(); s != nil {
				assert.Equal(t, msrp.StateClosed, s.State())
			}
			assert.Zero(t, bob.dials.Load())
		})
	}
	t.Run("accepted", func(t *testing.T) { // what the others lack
		answer, err := newUser(t, sdp.ActPass, false).call().Answer(t.Context(), head+"m=audio 4000 RTP/AVP 0\r\nm=message 9 TCP/MSRP *\r\n"+stream)
		require.NoError(t, err)
		assert.Contains(t, answer, "m=audio 0 RTP/AVP 0\r\nm=message ")
	})
	t.Run("the peer cannot be reached", func(t *testing.T) {
		alice, bob := newUser(t, sdp.Active, false), newUser(t, sdp.Active, false)
		offer, err := alice.call().Offer(t.Context())
		require.NoError(t, err)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		l.Close() // nobody is there
		to := bob.call()
		_, err = to.Answer(t.Context(), strings.ReplaceAll(strings.Replace(offer, "setup:active", "setup:actpass", 1), "127.0.0.1:9/", l.Addr().String()+"/"))
		assert.ErrorContains(t, err, l.Addr().String())
		assert.Equal(t, msrp.StateClosed, to.Session().State())
	})
	t.Run("no way to connect", func(t *testing.T) {
		alice, bob := newUser(t, sdp.ActPass, false), newUser(t, sdp.Active, false)
		bob.adjust = func(p *call.Place) { p.Dial = nil }
		offer, err := alice.call().Offer(t.Context())
		require.NoError(t, err)
		_, err = bob.call().Answer(t.Context(), offer)
		assert.ErrorContains(t, err, "would have to connect")
	})
	t.Run("no place", func(t *testing.T) {
		to := call.New(call.Options{Endpoint: msrp.NewEndpoint(nil), Host: nowhere{}})
		_, err := to.Answer(t.Context(), head+"m=message 9 TCP/MSRP *\r\n"+stream)
		assert.ErrorIs(t, err, errNowhere)
		_, err = to.Offer(t.Context())
		assert.ErrorIs(t, err, errNowhere)
		assert.Nil(t, to.Session())
	})
}

var errNowhere = errors.New("nowhere to be")

type nowhere struct{}

func (nowhere) Place(context.Context, bool) (*call.Place, error) { return nil, errNowhere }

func TestRefusedAnswers(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{"no SDP", "488 Not Acceptable Here", "line 1"},
		{"no m= line", head, "no m= line"},
		{"refused stream", head + "m=message 0 TCP/MSRP *\r\n", sdp.ErrRefused.Error()},
		{"another kind", head + "m=audio 4000 RTP/AVP 0\r\n", "audio is not MSRP"},
		{"no path", head + "m=message 9 TCP/MSRP *\r\na=accept-types:*\r\n", "a=path"},
		{"active beside active", head + "m=message 9 TCP/MSRP *\r\na=setup:active\r\n" + stream, "both sides want to be active"},
	} {
		t.Run(c.name, func(t *testing.T) {
			alice := newUser(t, sdp.Active, false)
			from := alice.call()
			_, err := from.Offer(t.Context())
			require.NoError(t, err)
			assert.ErrorContains(t, from.Accept(t.Context(), c.answer), c.want)
			assert.Equal(t, msrp.StateNew, from.Session().State())
			assert.Zero(t, alice.dials.Load())
		})
	}
}

// An exchange goes in its order, and one after the other.
func TestOrderOfTheExchange(t *testing.T) {
	alice, bob := newUser(t, sdp.ActPass, false), newUser(t, sdp.ActPass, false)
	from, to := alice.call(), bob.call()
	answered := head + "m=message 9 TCP/MSRP *\r\n" + stream
	assert.Nil(t, from.Session())
	assert.ErrorContains(t, from.Accept(t.Context(), answered), "an answer without an offer")
	assert.NoError(t, alice.call().Close()) // there is nothing yet
	offer, err := from.Offer(t.Context())
	require.NoError(t, err)
	_, err = from.Offer(t.Context())
	assert.ErrorContains(t, err, "waits for its answer")
	_, err = from.Answer(t.Context(), offer)
	assert.ErrorContains(t, err, "waits for its answer")
	answer, err := to.Answer(t.Context(), offer)
	require.NoError(t, err)
	assert.ErrorContains(t, to.Accept(t.Context(), answered), "an answer without an offer")
	require.NoError(t, from.Accept(t.Context(), answer))
	assert.ErrorContains(t, from.Accept(t.Context(), answer), "an answer without an offer")
	assert.EqualValues(t, 1, alice.dials.Load())
	talk(t, from.Session(), to.Session())
}

// RFC 4975, section 10.8: signalling ends a session; who was not told
// hears 481.
func TestClose(t *testing.T) {
	alice, bob := newUser(t, sdp.ActPass, false), newUser(t, sdp.ActPass, false)
	from, to := alice.call(), bob.call()
	offer, err := from.Offer(t.Context())
	require.NoError(t, err)
	answer, err := to.Answer(t.Context(), offer)
	require.NoError(t, err)
	require.NoError(t, from.Accept(t.Context(), answer))
	talk(t, from.Session(), to.Session())

	require.NoError(t, to.Close())
	require.NoError(t, to.Close())
	<-to.Session().Done()
	assert.ErrorIs(t, to.Session().Err(), msrp.ErrSessionClosed)
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	out, err := from.Session().Send(ctx, msrp.Text("still there?"))
	require.NoError(t, err)
	var status *msrp.StatusError
	require.ErrorAs(t, out.Sent(ctx), &status)
	assert.Equal(t, msrp.StatusNoSession, status.Code)
	<-from.Session().Done()
	require.ErrorAs(t, from.Session().Err(), &status)
	assert.Equal(t, msrp.StatusNoSession, status.Code)
}

// An answer that comes after the end connects to nobody.
func TestCloseBeforeTheAnswer(t *testing.T) {
	alice, bob := newUser(t, sdp.ActPass, false), newUser(t, sdp.ActPass, false)
	from, to := alice.call(), bob.call()
	offer, err := from.Offer(t.Context())
	require.NoError(t, err)
	answer, err := to.Answer(t.Context(), offer)
	require.NoError(t, err)
	require.NoError(t, from.Close())
	assert.ErrorIs(t, from.Accept(t.Context(), answer), msrp.ErrSessionClosed)
	assert.Zero(t, alice.dials.Load())
}
