package call_test

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// An answerer's part of an exchange.
type answerer func(ctx context.Context, offer string) (string, error)

// exchange hands an offer to one side and the answer back.
func exchange(t *testing.T, offer string, err error, answer answerer, from *call.Call) (answered string) {
	t.Helper()
	require.NoError(t, err)
	answered, err = answer(t.Context(), offer)
	require.NoError(t, err)
	require.NoError(t, from.Accept(t.Context(), answered))
	return answered
}

// connected returns alice's and bob's calls, with which they can talk, and what
// set them up.
func connected(t *testing.T, network *msrptest.Network) (from, to *call.Call, offer, answer string) {
	from, to = network.User(t, "alice").Call(t, nil), network.User(t, "bob").Call(t, nil)
	offer, err := from.Offer(t.Context())
	answer = exchange(t, offer, err, to.Answer, from)
	talk(t, from.Session(), to.Session())
	return from, to, offer, answer
}

// version returns that of the o= line.
func version(description string) string {
	return regexp.MustCompile(`o=\S+ \d+ (\d+)`).FindStringSubmatch(description)[1]
}

// ports returns the ports of the m= lines.
func ports(description string) (list []string) {
	for _, m := range regexp.MustCompile(`m=\S+ (\d+)`).FindAllStringSubmatch(description, -1) {
		list = append(list, m[1])
	}
	return list
}

// RFC 4975, section 8.4: who changes nothing sends the same o= line, and nothing
// happens to the session.
func TestRepeatedExchange(t *testing.T) {
	t.Attr("requirement", "D-07")
	from, to, offer, answer := connected(t, &msrptest.Network{})
	alice, bob := from.Session(), to.Session()
	for range 2 {
		again, err := from.Offer(t.Context())
		assert.Equal(t, offer, again)
		assert.Equal(t, answer, exchange(t, again, err, to.Answer, from))
	}
	// Now from the other side, which never offered before: nobody offers to be
	// passive (RFC 6135, section 4.2).
	back, err := to.Offer(t.Context())
	assert.Equal(t, "2", version(back))
	assert.Equal(t, "actpass", attribute(back, "setup"))
	assert.Equal(t, attribute(answer, "path"), attribute(back, "path"))
	answered := exchange(t, back, err, from.Answer, to)
	assert.Equal(t, attribute(offer, "path"), attribute(answered, "path"))
	assert.Equal(t, "active", attribute(answered, "setup")) // as before
	again, err := to.Offer(t.Context())
	assert.Equal(t, back, again)
	assert.Equal(t, answered, exchange(t, again, err, from.Answer, to))

	assert.Same(t, alice, from.Session())
	assert.Same(t, bob, to.Session())
	talk(t, alice, bob)
	talk(t, bob, alice)
}

// RFC 4975, section 8.4: the terms can change alone.
func TestNewTerms(t *testing.T) {
	from, to, _, _ := connected(t, &msrptest.Network{})
	alice, bob := from.Session(), to.Session()
	offer, err := from.Offer(t.Context())
	require.NoError(t, err)
	offer = strings.Replace(offer, "a=accept-types:*\r\n", "a=accept-types:text/*\r\na=max-size:3\r\na=sendonly\r\n", 1)
	answer, err := to.Answer(t.Context(), offer)
	require.NoError(t, err)
	assert.Contains(t, answer, "a=recvonly\r\n")
	assert.Equal(t, "2", version(answer))
	assert.Same(t, bob, to.Session())
	_, err = bob.Send(t.Context(), msrp.Text("no"))
	assert.ErrorIs(t, err, msrp.ErrRecvOnly)
	require.NoError(t, from.Accept(t.Context(), answer))
	assert.Equal(t, sdp.SendOnly, from.Agreement().Direction)
	_, err = alice.Send(t.Context(), msrp.Text("go on"))
	require.NoError(t, err)

	offer, err = from.Offer(t.Context())
	require.NoError(t, err)
	exchange(t, strings.Replace(offer, "a=accept-types:*\r\n", "a=accept-types:text/*\r\na=max-size:3\r\n", 1), nil, to.Answer, from)
	_, err = bob.Send(t.Context(), msrp.Text("long"))
	assert.ErrorIs(t, err, msrp.ErrMessageTooLarge)
	_, err = bob.Send(t.Context(), &msrp.Message{ContentType: "image/png", Body: strings.NewReader("x")})
	assert.ErrorIs(t, err, msrp.ErrUnsupportedType)
}

// states collects what the callback of a session is told.
type states struct {
	mu   sync.Mutex
	list []msrp.State
}

func (s *states) options(o *call.Options) {
	o.Session.StateChanged = func(state msrp.State, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list = append(s.list, state)
	}
}

func (s *states) get() []msrp.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]msrp.State(nil), s.list...)
}

// RFC 4975, section 8.4: a new path is a new session on both sides.
func TestRenew(t *testing.T) {
	t.Attr("requirement", "D-07")
	for name, swap := range map[string]bool{"by the offerer": false, "by the answerer": true} {
		t.Run(name, func(t *testing.T) {
			var network msrptest.Network
			var told states
			from, to := network.User(t, "alice").Call(t, told.options), network.User(t, "bob").Call(t, told.options)
			first, err := from.Offer(t.Context())
			last := map[bool]string{false: first, true: exchange(t, first, err, to.Answer, from)}
			talk(t, from.Session(), to.Session())
			if swap {
				from, to = to, from
			}
			alice, bob := from.Session(), to.Session()
			before, err := alice.Send(t.Context(), msrp.Text("before"))
			require.NoError(t, err)
			assert.Equal(t, "before", msrptest.Read(t, t.Context(), bob))
			film, err := alice.Send(t.Context(), &msrp.Message{ContentType: "video/mp4", Body: strings.NewReader(strings.Repeat("x", 5<<20))})
			require.NoError(t, err)

			offer, err := from.Renew(t.Context())
			assert.NotEqual(t, attribute(last[swap], "path"), attribute(offer, "path"))
			assert.Equal(t, "2", version(offer))
			assert.Same(t, alice, from.Session()) // until the answer
			answer := exchange(t, offer, err, to.Answer, from)
			assert.NotEqual(t, attribute(last[!swap], "path"), attribute(answer, "path"))
			assert.Equal(t, "2", version(answer))
			assert.Equal(t, attribute(offer, "path"), from.Session().URI().String())
			for _, old := range []*msrp.Session{alice, bob} {
				<-old.Done()
			}
			assert.Error(t, film.Sent(t.Context()))
			talk(t, from.Session(), to.Session())
			assert.NotContains(t, told.get(), msrp.StateClosed) // one conversation

			// RFC 4975, section 5.4: what was taken before is not taken again.
			ctx, cancel := context.WithTimeout(t.Context(), guard)
			defer cancel()
			out, err := from.Session().Send(ctx, &msrp.Message{ID: before.ID(), ContentType: "text/plain", Body: strings.NewReader("before"), SuccessReport: true})
			require.NoError(t, err)
			require.NoError(t, out.Delivered(ctx))
			talk(t, from.Session(), to.Session())

			again, err := from.Offer(t.Context())
			assert.Equal(t, offer, again)
			assert.Equal(t, answer, exchange(t, again, err, to.Answer, from))
		})
	}
}

// A shared connection is used for all calls of a user.
type sharing struct {
	*msrptest.User
	conn *msrp.Conn
}

func (s *sharing) Place(ctx context.Context, secure bool) (*call.Place, error) {
	p, err := s.User.Place(ctx, secure)
	dial := p.Dial
	p.Dial = func(ctx context.Context, peer sdp.Stream) (conn *msrp.Conn, err error) {
		if s.conn == nil || s.conn.Err() != nil {
			s.conn, err = dial(ctx, peer)
		}
		return s.conn, err
	}
	return p, err
}

// RFC 4975, section 5.4: with a connection all its sessions fail, and only a new
// exchange of SDP brings them back.
func TestLostConnection(t *testing.T) {
	t.Attr("requirement", "S-09")
	var network msrptest.Network
	alice, bob := network.User(t, "alice"), network.User(t, "bob")
	host := &sharing{User: alice}
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	var from, to [2]*call.Call
	for i := range from {
		from[i], to[i] = alice.Call(t, func(o *call.Options) { o.Host = host }), bob.Call(t, nil)
		offer, err := from[i].Offer(ctx)
		exchange(t, offer, err, to[i].Answer, from[i])
		talk(t, from[i].Session(), to[i].Session())
	}
	require.Equal(t, 1, alice.Conns())

	host.conn.Close()
	for i := range from {
		for _, s := range []*msrp.Session{from[i].Session(), to[i].Session()} {
			select {
			case <-s.Done():
			case <-ctx.Done():
				t.Fatal("the session goes on")
			}
			assert.NotErrorIs(t, s.Err(), msrp.ErrSessionClosed)
			_, err := s.Send(ctx, msrp.Text("lost"))
			assert.Equal(t, s.Err(), err)
		}
	}
	// Not by a new connection alone.
	old := to[0].Session().URI()
	conn, err := host.dialOnce(ctx, old)
	require.NoError(t, err)
	stranger, err := alice.Endpoint.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "alice")})
	require.NoError(t, err)
	require.NoError(t, stranger.Start(msrp.Remote{Path: msrp.Path{old}, Conn: conn, Active: true}))
	<-stranger.Done()
	var status *msrp.StatusError
	require.ErrorAs(t, stranger.Err(), &status)
	assert.Equal(t, msrp.StatusNoSession, status.Code)

	// Either side can offer.
	offer, err := from[0].Offer(ctx)
	exchange(t, offer, err, to[0].Answer, from[0])
	talk(t, from[0].Session(), to[0].Session())
	offer, err = to[1].Offer(ctx)
	exchange(t, offer, err, from[1].Answer, to[1])
	talk(t, to[1].Session(), from[1].Session())
}

func (s *sharing) dialOnce(ctx context.Context, to msrp.URI) (*msrp.Conn, error) {
	p, err := s.User.Place(ctx, false)
	if err != nil {
		return nil, err
	}
	return p.Dial(ctx, sdp.Stream{Path: msrp.Path{to}})
}

// RFC 4975, section 8.4: the answer may come from another place than before,
// whatever the offer says. Here from another program of bob's.
func TestPeerMoves(t *testing.T) {
	t.Attr("requirement", "D-07")
	var network msrptest.Network
	from, _, offer, _ := connected(t, &network)
	old := from.Session()
	to := network.User(t, "bob").Call(t, nil)
	again, err := from.Offer(t.Context())
	assert.Equal(t, offer, again)
	exchange(t, again, err, to.Answer, from)
	assert.ErrorIs(t, old.Err(), msrp.ErrSessionClosed)
	assert.Equal(t, old.URI(), from.Session().URI())
	talk(t, from.Session(), to.Session())
}

const others = "m=audio 4000 RTP/AVP 0\r\nm=message 2855 TCP/MSRP *\r\na=accept-types:text/*\r\na=path:msrp://carol.example.com:2855/s1de;tcp\r\n"

// RFC 3264, sections 6 and 8.2: port 0 ends a stream, and lines never change
// their number or order.
func TestEnd(t *testing.T) {
	t.Attr("requirement", "D-06")
	for name, swap := range map[string]bool{"by the offerer": false, "by the answerer": true} {
		t.Run(name, func(t *testing.T) {
			var network msrptest.Network
			from, to := network.User(t, "alice").Call(t, nil), network.User(t, "bob").Call(t, nil)
			_, err := from.End()
			assert.ErrorContains(t, err, "nothing was agreed on")
			offer, err := from.Offer(t.Context())
			require.NoError(t, err)
			if swap {
				// Beside others that bob does not take.
				answer, err := to.Answer(t.Context(), strings.Replace(offer, "m=message", "m=video 4000 RTP/AVP 0\r\nm=message", 1)+others)
				require.NoError(t, err)
				assert.Equal(t, []string{"0", "2855", "0", "0"}, ports(answer))
				lines := strings.SplitAfter(answer, "m=")
				require.NoError(t, from.Accept(t.Context(), lines[0]+strings.TrimSuffix(lines[2], "m=")))
				from, to = to, from
			} else {
				exchange(t, offer, nil, to.Answer, from)
			}
			alice, bob := from.Session(), to.Session()
			talk(t, map[bool]*msrp.Session{false: alice, true: bob}[swap], map[bool]*msrp.Session{false: bob, true: alice}[swap])

			end, err := from.End()
			require.NoError(t, err)
			assert.Equal(t, "2", version(end))
			for _, port := range ports(end) {
				assert.Equal(t, "0", port)
			}
			assert.NoError(t, alice.Err()) // until bob knows
			if swap {
				require.Len(t, ports(end), 4)
				require.NoError(t, from.Accept(t.Context(), end))
			} else {
				answer := exchange(t, end, nil, to.Answer, from)
				assert.Equal(t, []string{"0"}, ports(answer))
				assert.ErrorIs(t, bob.Err(), msrp.ErrSessionClosed)
			}
			assert.ErrorIs(t, alice.Err(), msrp.ErrSessionClosed)

			if !swap { // and begin anew
				offer, err = to.Offer(t.Context())
				assert.Equal(t, "3", version(offer))
				exchange(t, offer, err, from.Answer, to)
				talk(t, to.Session(), from.Session())
			}
		})
	}
}

// RFC 3264, section 6: who has closed the session on his side says so when he is
// asked.
func TestOfferAfterClose(t *testing.T) {
	from, to, _, _ := connected(t, &msrptest.Network{})
	to.Close()
	_, err := to.Offer(t.Context())
	assert.ErrorIs(t, err, msrp.ErrSessionClosed)
	offer, err := from.Offer(t.Context())
	require.NoError(t, err)
	answer, err := to.Answer(t.Context(), offer)
	require.NoError(t, err)
	assert.Equal(t, []string{"0"}, ports(answer))
	assert.ErrorIs(t, from.Accept(t.Context(), answer), sdp.ErrRefused)
	assert.ErrorIs(t, from.Session().Err(), msrp.ErrSessionClosed)
}

func TestRefuse(t *testing.T) {
	t.Attr("requirement", "D-06")
	var network msrptest.Network
	from, to := network.User(t, "alice").Call(t, nil), network.User(t, "bob").Call(t, nil)
	offer, err := from.Offer(t.Context())
	require.NoError(t, err)
	answer, err := to.Refuse(offer + others)
	require.NoError(t, err)
	assert.Equal(t, []string{"0", "0", "0"}, ports(answer))
	assert.Nil(t, to.Session())
	answer, err = to.Refuse(offer)
	require.NoError(t, err)
	assert.ErrorIs(t, from.Accept(t.Context(), answer), sdp.ErrRefused)
	require.NoError(t, from.Rollback())
	_, err = to.Refuse("488 Not Acceptable Here")
	assert.Error(t, err)

	// Of what was refused the lines stay.
	offer, err = to.Offer(t.Context())
	require.NoError(t, err)
	assert.Len(t, ports(offer), 3)
	assert.Equal(t, "2855", ports(offer)[0])

	alice, bob, _, _ := connected(t, &network)
	offer, err = alice.Offer(t.Context())
	require.NoError(t, err)
	answer, err = bob.Refuse(offer)
	require.NoError(t, err)
	assert.ErrorIs(t, alice.Accept(t.Context(), answer), sdp.ErrRefused)
	for _, c := range []*call.Call{alice, bob} {
		assert.ErrorIs(t, c.Session().Err(), msrp.ErrSessionClosed)
	}
}

// RFC 3261, section 14.1: an offer that is refused as a whole changes nothing.
func TestRollback(t *testing.T) {
	from, to, first, answer := connected(t, &msrptest.Network{})
	assert.Error(t, from.Rollback())
	alice := from.Session()
	for _, offer := range []func() (string, error){
		func() (string, error) { return from.Renew(t.Context()) },
		func() (string, error) { return from.Offer(t.Context()) },
		from.End,
	} {
		_, err := offer()
		require.NoError(t, err)
		_, err = from.Answer(t.Context(), first)
		assert.ErrorContains(t, err, "waits for its answer")
		_, err = from.Refuse(first)
		assert.ErrorContains(t, err, "waits for its answer")
		_, err = offer()
		assert.ErrorContains(t, err, "waits for its answer")
		require.NoError(t, from.Rollback())
		assert.Same(t, alice, from.Session())
		assert.NoError(t, alice.Err())
		talk(t, alice, to.Session())
	}
	// A version stands for one description.
	offer, err := from.Renew(t.Context())
	assert.Equal(t, "4", version(offer))
	assert.NotEqual(t, answer, exchange(t, offer, err, to.Answer, from))
	talk(t, from.Session(), to.Session())

	t.Run("of the first offer", func(t *testing.T) {
		var network msrptest.Network
		from, to := network.User(t, "alice").Call(t, nil), network.User(t, "bob").Call(t, nil)
		_, err := from.Offer(t.Context())
		require.NoError(t, err)
		abandoned := from.Session()
		require.NoError(t, from.Rollback())
		assert.ErrorIs(t, abandoned.Err(), msrp.ErrSessionClosed)
		assert.Nil(t, from.Session())
		offer, err := to.Offer(t.Context())
		exchange(t, offer, err, from.Answer, to)
		talk(t, to.Session(), from.Session())
	})
}

// Later offers that cannot be accepted change nothing.
func TestRefusedRenewals(t *testing.T) {
	from, to, offer, _ := connected(t, &msrptest.Network{})
	for _, c := range []struct{ name, offer, want string }{
		{"no SDP", "INVITE", "line 1"},
		{"the stream is missing", offer[:strings.Index(offer, "m=")], "fewer m= lines"},
		{"it cannot be read", strings.Replace(offer, "a=path", "a=way", 1), "a=path"},
		{"no common type", strings.Replace(offer, "a=accept-types:*", "a=accept-types:", 1), "a=accept-types"},
		{"nobody is there", strings.Replace(strings.ReplaceAll(offer, "alice.example.com", "mallory.example.com"), "actpass", "passive", 1), "nobody is at"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, err := to.Answer(t.Context(), c.offer)
			assert.ErrorContains(t, err, c.want)
			assert.Empty(t, answer)
		})
	}
	talk(t, from.Session(), to.Session())
}

// Close is the end, also where the exchange had ended the call before, and where
// the peer has moved meanwhile.
func TestCloseIsTheEnd(t *testing.T) {
	t.Run("after the end", func(t *testing.T) {
		from, to, offer, _ := connected(t, &msrptest.Network{})
		end, err := from.End()
		exchange(t, end, err, to.Answer, from)
		require.NoError(t, to.Close())
		answer, err := to.Answer(t.Context(), offer)
		require.NoError(t, err)
		assert.Equal(t, []string{"0"}, ports(answer))
		_, err = to.Offer(t.Context())
		assert.ErrorIs(t, err, msrp.ErrSessionClosed)
	})
	t.Run("before it begins", func(t *testing.T) {
		from, to := newUser(t, sdp.ActPass, false).call(), newUser(t, sdp.ActPass, false).call()
		offer, err := from.Offer(t.Context())
		require.NoError(t, err)
		require.NoError(t, to.Close())
		for range 2 {
			_, err := to.Answer(t.Context(), offer)
			assert.ErrorIs(t, err, msrp.ErrSessionClosed)
		}
		assert.Nil(t, to.Session())
	})
	t.Run("before the answer of a peer that moved", func(t *testing.T) {
		from, to, _, answer := connected(t, &msrptest.Network{})
		_, err := from.Offer(t.Context())
		require.NoError(t, err)
		require.NoError(t, from.Close())
		moved := strings.ReplaceAll(answer, to.Session().URI().SessionID(), msrp.NewID())
		assert.ErrorIs(t, from.Accept(t.Context(), moved), msrp.ErrSessionClosed)
		assert.ErrorIs(t, from.Session().Err(), msrp.ErrSessionClosed)
	})
}

// A place whose session ID is in use is of no use, and nothing else happens.
func TestPlaceInUse(t *testing.T) {
	user := newUser(t, sdp.ActPass, false)
	place, err := user.Place(t.Context(), false)
	require.NoError(t, err)
	user.adjust = func(p *call.Place) { *p = *place }
	offer, err := newUser(t, sdp.ActPass, false).call().Offer(t.Context())
	require.NoError(t, err)
	_, err = user.call().Answer(t.Context(), offer)
	require.NoError(t, err)
	second := user.call()
	_, err = second.Answer(t.Context(), offer)
	assert.ErrorContains(t, err, "in use")
	assert.Nil(t, second.Session())
	assert.NoError(t, second.Close())
}

// A message is not taken twice, whatever exchanges have failed in between.
func TestTakenOnceAfterAFailedExchange(t *testing.T) {
	alice, bob := newUser(t, sdp.ActPass, false), newUser(t, sdp.ActPass, false)
	place, err := bob.Place(t.Context(), false)
	require.NoError(t, err)
	bob.adjust = func(p *call.Place) { *p = *place } // always the same
	from := alice.call()
	to := bob.call(func(o *call.Options) { o.Session.AcceptTypes = []string{"text/plain"} })
	offer, err := from.Offer(t.Context())
	exchange(t, offer, err, to.Answer, from)
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	send := func(id, text string) {
		out, err := from.Session().Send(ctx, &msrp.Message{
			ID: id, ContentType: "text/plain", Body: strings.NewReader(text), SuccessReport: true,
		})
		require.NoError(t, err)
		require.NoError(t, out.Delivered(ctx))
	}
	send("0nce", "once")
	assert.Equal(t, "once", msrptest.Read(t, ctx, to.Session()))

	offer, err = from.Renew(t.Context())
	require.NoError(t, err)
	_, err = to.Answer(t.Context(), strings.Replace(offer, "accept-types:*", "accept-types:image/png", 1))
	require.ErrorContains(t, err, "no common type")
	require.NoError(t, from.Rollback())

	offer, err = from.Renew(t.Context())
	exchange(t, offer, err, to.Answer, from)
	send("0nce", "once")
	send("tw1ce", "another")
	assert.Equal(t, "another", msrptest.Read(t, ctx, to.Session()))
}
