package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// A client that sends to itself and does not read waits for itself alone: the
// relay can still end it.
func TestSendingToOneself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		alice := r.browser()
		alice.c.SetDeadline(time.Time{})
		d := alice.token("alice", aliceURI, true)
		u := msrp.Unit{
			TransactionID: "tr4ns4ct", Method: msrp.MethodSend, To: path(t, d+" "+d), From: path(t, aliceURI),
			Header: msrp.Header{{Name: "Message-ID", Value: "m3ss4ge1"}, {Name: "Failure-Report", Value: "no"}, {Name: "Content-Type", Value: "text/plain"}},
		}
		wire := u.Append(nil, []byte(strings.Repeat("x", 60<<10)))
		for range (maxQueued+overrun)/len(wire) + 2 {
			_, err := alice.c.Write(wire)
			require.NoError(t, err)
		}
		require.NoError(t, r.relay.Close())
		<-alice.done
	})
}

// What is just within the limits of readers would exceed them with the relay's
// own URI in it, and end the connection of whoever reads it.
func TestNothingGrowsBeyondTheLimits(t *testing.T) {
	for name, c := range map[string]struct{ method, from string }{
		"a long From-Path":  {"SEND", strings.Repeat("msrp://bob.example.net:9000/"+strings.Repeat("s", 1500)+";tcp ", 10) + bobURI},
		"many URIs":         {"SEND", strings.Repeat(bobURI+" ", 31) + bobURI},
		"a long method":     {strings.Repeat("X", 1000), bobURI},
		"just too many URI": {"SEND", strings.Repeat(bobURI+" ", maxURIs-1) + bobURI},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			alice := r.browser()
			d := alice.token("alice", aliceURI, true)
			bob := r.peer()
			go bob.write([]byte("MSRP abcd " + c.method + "\r\nTo-Path: " + d + "\r\nFrom-Path: " + c.from + "\r\nMessage-ID: m3ss4ge1\r\n-------abcd$\r\n"))
			assert.Equal(t, msrp.StatusBadRequest, bob.next(true).Code)
			alice.wantSilence(d, aliceURI)
		})
	}
}

// Connections to peers that do not read end with their token.
func TestNextHopThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		dialled := r.door(bobHost)
		alice := r.browser()
		alice.c.SetDeadline(time.Time{})
		d := alice.token("alice", aliceURI, true)
		alice.send("SEND", d+" "+bobURI, aliceURI, text(strings.Repeat("x", 60000)), "Message-ID: m3ss4ge1", "Failure-Report: no")
		dialled() // and never reads
		alice.c.Close()
		time.Sleep(stallTimeout)
		synctest.Wait()
		assert.Zero(t, r.relay.Stats().Links)
	})
}

// A stubborn transport does not close before somebody lets it, as TLS whose
// neighbour does not read.
type stubborn struct {
	msrp.Transport
	closing, let chan struct{}
}

func (s *stubborn) Close(reason error) error {
	close(s.closing)
	<-s.let
	return s.Transport.Close(reason)
}

// Whoever ends the connection to a next hop does not wait for it: it may be the
// reader of a connection that serves many, or the timer of all tokens.
func TestNextHopThatDoesNotClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hop := &stubborn{closing: make(chan struct{}), let: make(chan struct{})}
		r := newRig(t, func(c *Config) {
			dial := c.Dial
			c.Dial = func(ctx context.Context, to Hop) (msrp.Transport, error) {
				var err error
				hop.Transport, err = dial(ctx, to)
				return hop, err
			}
		})
		dialled := r.door(bobHost)
		alice := r.browser()
		d := alice.token("alice", aliceURI, true)
		alice.send("SEND", d+" "+bobURI, aliceURI, nil, "Message-ID: h3ll0", "Failure-Report: no")
		dialled().want("SEND", bobURI, d)
		link := r.relay.lookup(path(t, d)[0]).linkTo(path(t, bobURI)[0], nil)
		synctest.Wait() // until nobody writes to it
		link.finish()
		<-hop.closing
		close(hop.let)
	})
}

// A peer that serves many sessions over one connection still gets what was queued
// when one of them ends, and then nothing of that session is left.
func TestQueueEndsAfterItsToken(t *testing.T) {
	r := newRig(t)
	alice, bob := r.browser(), r.peer()
	d := alice.token("alice", aliceURI, true)
	bob.wantCode(bob.send("SEND", d, bobURI, nil, "Message-ID: h3ll0"), 200, bobURI, d)
	alice.answer(alice.want("SEND", aliceURI, d+" "+bobURI).TransactionID, 200, d, aliceURI)
	bodies := []string{strings.Repeat("1", 8000), strings.Repeat("2", 8000), strings.Repeat("3", 8000)} // too much for a buffer
	for _, body := range bodies {
		alice.send("SEND", d+" "+bobURI, aliceURI, text(body), "Message-ID: m3ss4ge"+body[:1], "Failure-Report: no")
	}
	alice.wantSilence(d, aliceURI)
	alice.c.Close()
	<-alice.done
	require.Zero(t, r.relay.Stats().Tokens)
	for _, body := range bodies {
		assert.Equal(t, body, bob.want("SEND", bobURI, d).body)
	}
	bob.wantCode(bob.send("SEND", d, bobURI, nil, "Message-ID: pr0be"), 481, bobURI, d)
	require.Len(t, r.relay.links, 1)
	for l := range r.relay.links {
		l.mu.Lock()
		assert.Zero(t, l.flows)
		l.mu.Unlock()
	}
}

// Dialling for one user locks nobody out, and has an end.
func TestManyNextHops(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxLinks = maxHops })
	for i := range 2 * maxHops {
		r.doors[fmt.Sprintf("h%d.example.net:9000", i)] = make(chan net.Conn, 1)
	}
	alice := r.browser()
	d := alice.token("alice", aliceURI, true)
	for i := range 2 * maxHops {
		want := msrp.StatusOK
		if i >= maxHops {
			want = msrp.StatusForbidden
		}
		id := alice.send("SEND", d+fmt.Sprintf(" msrp://h%d.example.net:9000/abcd;tcp", i), aliceURI, nil, "Message-ID: m3ss4ge1")
		alice.wantCode(id, want, aliceURI, d)
	}
	for range maxHops - 1 {
		r.browser().token("carol", carolURI, true)
	}
	late := r.browser()
	assert.Equal(t, errFull, <-late.done)
	assert.EqualValues(t, 1, r.relay.Stats().LinksRefused)
}

// What is owed to a sender that ignores its credit is bounded, even where its peer
// reads all the time.
func TestSenderThatIgnoresItsCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		t.Cleanup(func() { synctest.Wait() })
		t.Cleanup(func() { r.relay.Close() })
		alice := r.browser()
		alice.c.SetDeadline(time.Time{})
		d := alice.token("alice", aliceURI, true)
		bob := r.peer()
		bob.c.SetDeadline(time.Time{})
		go io.Copy(io.Discard, bob.c)
		send := func(size int, failure string) {
			u := msrp.Unit{
				TransactionID: "tr4ns4ct", Method: msrp.MethodSend, To: path(t, d), From: path(t, bobURI),
				Header: msrp.Header{{Name: "Message-ID", Value: "m3ss4ge1"}, {Name: "Failure-Report", Value: failure}, {Name: "Content-Type", Value: "text/plain"}},
			}
			bob.c.Write(u.Append(nil, []byte(strings.Repeat("x", size))))
		}
		for range 2 * maxQueued / (60 << 10) {
			send(60<<10, "no")
		}
		more := make(chan struct{})
		defer close(more)
		go func() {
			for range more {
				for range 100 {
					send(1, "yes")
				}
			}
		}()
		owner, token := r.relay.lookup(path(t, d)[0]).owner, r.relay.lookup(path(t, d)[0])
		state := func() (queued, owed int) {
			synctest.Wait()
			owner.mu.Lock()
			defer owner.mu.Unlock()
			f := owner.flows.of(token)
			return f.queued, f.owed.len()
		}
		queued, owed := state()
		next := func() {
			if g := alice.read(); g.FailureReport().WantsOK() {
				alice.answer(g.TransactionID, 200, d, aliceURI)
			}
		}
		most := 0
		for owed >= most && owed <= 2*maxOwed {
			most = owed
			select {
			case more <- struct{}{}:
			default:
				next() // the sender is not read from any more
			}
			for queued, owed = state(); queued > 2*maxQueued; queued, owed = state() {
				next()
			}
		}
		assert.Less(t, most, 2*maxOwed)
		assert.Zero(t, owed) // paid
	})
}

// A sender that is owed too much waits for the 200s to go, also where its queue is
// short: asking again and again would take the processor.
func TestRoomWhereTooMuchIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		t.Cleanup(func() { synctest.Wait() })
		t.Cleanup(func() { r.relay.Close() })
		token := r.relay.lookup(path(t, r.browser().token("alice", aliceURI, true))[0])
		bob := r.peer()
		synctest.Wait()
		owner := token.owner
		var from *Link
		for l := range r.relay.links {
			if l != owner {
				from = l
			}
		}
		f := &flow{token: token, queued: 1, owed: &debts{make([]owed, maxOwed)}}
		owner.mu.Lock()
		owner.flows.add(f)
		owner.mu.Unlock()
		room := make(chan bool, 1)
		go func() { room <- owner.room(token, from) }()
		synctest.Wait()
		require.Empty(t, room)
		owner.mu.Lock()
		f.owed, f.queued = nil, 0
		owner.wake()
		owner.mu.Unlock()
		assert.True(t, <-room)
		bob.c.Close()
	})
}

// With Failure-Report partial no response need ever come, and what waits for
// one is bounded.
func TestManyUnansweredPartials(t *testing.T) {
	r := newRig(t)
	dialled := r.door(bobHost)
	alice := r.browser()
	d := alice.token("alice", aliceURI, true)
	id := ""
	for i := range maxLoose + 10 {
		alice.send("SEND", d+" "+bobURI, aliceURI, text("x"), "Message-ID: m3ss4ge1", "Failure-Report: partial")
		if i == 0 {
			id = "read"
			bob := dialled()
			go io.Copy(io.Discard, bob.c)
		}
	}
	require.NotEmpty(t, id)
	alice.wantSilence(d, aliceURI)
	hop := r.relay.lookup(path(t, d)[0]).linkTo(path(t, bobURI)[0], nil)
	hop.mu.Lock()
	defer hop.mu.Unlock()
	assert.LessOrEqual(t, hop.inFlight.Len(), maxLoose)
}

// RFC 4975, section 7.2: what a refusal is about is one message of one session.
func TestRefusals(t *testing.T) {
	// refused returns a browser whose message was refused by its peer in the
	// middle.
	refused := func(t *testing.T) (r *rig, alice, bob *side, d string) {
		r = newRig(t)
		dialled := r.door(bobHost)
		alice = r.browser()
		d = alice.token("alice", aliceURI, true)
		id := alice.send("SEND", d+" "+bobURI, aliceURI, text("first"), "Message-ID: m3ss4ge1", "Byte-Range: 1-5/100", "flag: +")
		alice.wantCode(id, 200, aliceURI, d)
		bob = dialled()
		g := bob.want("SEND", bobURI, d)
		bob.answer(g.TransactionID, msrp.StatusStopSending, d, bobURI)
		alice.want("REPORT", aliceURI, d)
		id = alice.send("SEND", d+" "+bobURI, aliceURI, text("more"), "Message-ID: m3ss4ge1", "Byte-Range: 6-9/100", "flag: +")
		alice.wantCode(id, msrp.StatusStopSending, aliceURI, d)
		return r, alice, bob, d
	}
	t.Run("the end is passed on", func(t *testing.T) {
		_, alice, bob, d := refused(t)
		id := alice.send("SEND", d+" "+bobURI, aliceURI, text(""), "Message-ID: m3ss4ge1", "Byte-Range: 10-9/100", "flag: #")
		alice.wantCode(id, msrp.StatusStopSending, aliceURI, d)
		g := bob.want("SEND", bobURI, d)
		assert.Equal(t, msrp.FlagAborted, g.Flag)
		assert.Equal(t, "m3ss4ge1", g.MessageID())
		assert.Nil(t, g.Body)
	})
	t.Run("it may begin anew", func(t *testing.T) {
		_, alice, bob, d := refused(t)
		id := alice.send("SEND", d+" "+bobURI, aliceURI, text("again"), "Message-ID: m3ss4ge1", "Byte-Range: 1-5/5")
		alice.wantCode(id, 200, aliceURI, d)
		assert.Equal(t, "again", bob.want("SEND", bobURI, d).body)
	})
	t.Run("other sessions are not concerned", func(t *testing.T) {
		r, alice, _, _ := refused(t)
		const own, peer = "msrp://a2.invalid:2855/al1ceS3ss1112;ws", "msrp://b2.example.net:9000/b2b2;tcp"
		dialled := r.door("b2.example.net:9000")
		d := alice.token("alice", own, true)
		id := alice.send("SEND", d+" "+peer, own, text("there"), "Message-ID: m3ss4ge1", "Byte-Range: 6-10/100")
		alice.wantCode(id, 200, own, d)
		assert.Equal(t, "there", dialled().want("SEND", peer, d).body)
	})
}

// A chunk under way ends with the token it passes (RFC 4976, section 6.3).
func TestTokenEndsWithinAChunk(t *testing.T) {
	r := newRig(t)
	alice := r.browser()
	d := alice.token("alice", aliceURI, true)
	bob := r.peer()
	go bob.c.Write([]byte("MSRP l0ngch4nk SEND\r\nTo-Path: " + d + "\r\nFrom-Path: " + bobURI +
		"\r\nMessage-ID: m3ss4ge1\r\nByte-Range: 1-*/*\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("x", 70_000)))
	alice.want("SEND", aliceURI, d+" "+bobURI)
	r.relay.revoke(r.relay.lookup(path(t, d)[0]))
	go bob.c.Write([]byte(strings.Repeat("y", 140_000) + "\r\n-------l0ngch4nk$\r\n"))
	// One REPORT for the piece that the owner has not answered, one for each
	// of those that followed, and the 200 for the chunk as a whole.
	for {
		g := bob.read()
		if g.IsResponse() {
			assert.Equal(t, msrp.StatusOK, g.Code)
			break
		}
		require.Equal(t, msrp.MethodReport, g.Method)
		assert.GreaterOrEqual(t, g.Status().Code, 400)
	}
	other := alice.token("alice", "msrp://a2.invalid:2855/al1ceS3ss1112;ws", true)
	alice.wantSilence(other, "msrp://a2.invalid:2855/al1ceS3ss1112;ws")
}

// Whoever knows a token cannot take the places of those who connect to it.
func TestNamesOfOneConnection(t *testing.T) {
	r := newRig(t)
	alice := r.browser()
	d := alice.token("alice", aliceURI, true)
	mallory := r.peer()
	for i := range maxPeers {
		mallory.send("REPORT", d, fmt.Sprintf("msrp://x%d.example.net:9/abcd;tcp", i), nil, "Message-ID: m3ss4ge1", "Status: 000 200 OK")
		alice.next(false)
	}
	bob := r.peer()
	const active = "msrp://bob.example.net:9/b0bS3ss10n;tcp"
	bob.send("SEND", d, active, nil, "Message-ID: m3ss4ge1")
	alice.next(false)
	bob.next(true)
	id := alice.send("SEND", d+" "+active, aliceURI, text("hi"), "Message-ID: m3ss4ge2")
	alice.wantCode(id, 200, aliceURI, d)
	assert.Equal(t, "hi", bob.want("SEND", active, d).body)
}

// One notice for each octet that was lost: reports for pieces and a 200 for the
// whole, or a failure of the whole where it is known before the first piece.
func TestOneNoticeForEachPiece(t *testing.T) {
	t.Attr("requirement", "R-24")
	r := newRig(t)
	alice := r.connect(LinkInfo{Secure: true})
	d := alice.token("alice", aliceURI, false)
	go alice.c.Write([]byte("MSRP l0ngch4nk SEND\r\nTo-Path: " + d + " " + bobURI + "\r\nFrom-Path: " + aliceURI +
		"\r\nMessage-ID: m3ss4ge1\r\nByte-Range: 1-*/30000\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("x", 30000) + "\r\n-------l0ngch4nk$\r\n"))
	notices := map[int64]int64{} // from which octet to which
	for octets, response := int64(0), 0; octets < 30000 || response == 0; {
		g := alice.read()
		if g.IsResponse() {
			response = g.Code
			if response == msrp.StatusTimeout {
				assert.Empty(t, notices)
				alice.wantSilence(d, aliceURI)
				return
			}
			assert.Equal(t, msrp.StatusOK, response)
			continue
		}
		require.Equal(t, "REPORT", g.Method)
		assert.Equal(t, msrp.StatusTimeout, g.Status().Code)
		notices[g.ByteRange().Start] = g.ByteRange().End
		octets += g.ByteRange().End - g.ByteRange().Start + 1
	}
	next := int64(1)
	for range len(notices) {
		require.Contains(t, notices, next)
		next = notices[next] + 1
	}
	assert.EqualValues(t, 30001, next)
}

// RFC 4976, section 9.2: AUTH goes over TLS, whatever peers may do.
func TestAuthGoesOverTLS(t *testing.T) {
	t.Attr("requirement", "R-02")
	t.Attr("requirement", "R-46")
	r := newRig(t)
	alice := r.browser()
	d := alice.token("alice", aliceURI, false)
	id := alice.send("AUTH", d+" msrp://x.example.com:2855;tcp", aliceURI, nil)
	g := alice.next(true)
	assert.Equal(t, id, g.TransactionID)
	assert.Equal(t, msrp.StatusForbidden, g.Code)
	assert.Zero(t, r.relay.Stats().Dials)
}

// RFC 4976, section 6.4: a relay that is the client passes its token's traffic,
// with what lies behind it in the From-Path.
func TestOuterRelayOfAChain(t *testing.T) {
	r := newRig(t)
	dialled := r.door(bobHost)
	inner := r.connect(LinkInfo{Secure: true})
	const own = "msrps://r1.example.net:2855/r1t0kenr1t0ken;tcp " + aliceURI
	g := inner.auth("alice", "secret", own)
	require.Equal(t, 200, g.Code)
	use := path(t, g.Header.Get("Use-Path"))
	outer := use.Last().String()
	id := inner.send("SEND", outer+" "+bobURI, own, text("hi"), "Message-ID: m3ss4ge1")
	inner.wantCode(id, 200, path(t, own)[0].String(), outer)
	assert.Equal(t, "hi", dialled().want("SEND", bobURI, outer+" "+own).body)
}

// A token over TLS is served over TLS only, and goes to a peer that connected
// only if its certificate is the one of the peer's SDP (RFC 8122).
func TestSecureTokens(t *testing.T) {
	const own, bob = "msrps://df7jal23ls0d.invalid:2855/al1ceS3ss10n;ws", "msrps://bob.example.net:9/b0bS3ss10n;tcp"
	open := func(t *testing.T) (*rig, *side, string) {
		r := newRig(t)
		alice := r.browser()
		alice.token("alice", aliceURI, true) // the connection is known
		var l *Link
		r.relay.mu.RLock()
		for l = range r.relay.links {
		}
		r.relay.mu.RUnlock()
		tok := &token{owner: l, client: path(t, own)[0], user: "alice", direct: true}
		require.NoError(t, r.relay.grant(tok, true, time.Hour))
		return r, alice, tok.uri.String()
	}
	t.Run("nothing without TLS", func(t *testing.T) {
		r, alice, d := open(t)
		mallory := r.peer()
		mallory.send("SEND", d, bob, nil, "Message-ID: m3ss4ge0")
		assert.Equal(t, msrp.StatusNoSession, mallory.next(true).Code)
		id := alice.send("SEND", d+" "+bob, own, text("for TLS only"), "Message-ID: m3ss4ge1")
		alice.wantCode(id, msrp.StatusTimeout, own, d)
	})
	for fingerprint, want := range map[string]int{"sha-256 AA": 200, "sha-256 BB": 408} {
		t.Run(fingerprint, func(t *testing.T) {
			r, alice, d := open(t)
			peer := r.connect(LinkInfo{Secure: true, Matches: func(f []string) bool { return f[0] == "sha-256 AA" }})
			peer.send("SEND", d, bob, nil, "Message-ID: m3ss4ge0")
			alice.want("SEND", own, d+" "+bob)
			peer.next(true)
			id := alice.send("SEND", d+" "+bob, own, text("hi"), "Message-ID: m3ss4ge1", "Peer-Fingerprint: "+fingerprint)
			alice.wantCode(id, want, own, d)
			if want == 200 {
				g := peer.want("SEND", bob, d)
				assert.Empty(t, g.Header.Get("Peer-Fingerprint"))
				alice.send("NICKNAME", d+" "+bob, own, nil, "Use-Nickname: \"Alice\"", "peer-fingerprint: "+fingerprint)
				g = peer.want("NICKNAME", bob, d)
				assert.Equal(t, "\"Alice\"", g.Header.Get("Use-Nickname"))
				assert.Empty(t, g.Header.Get("Peer-Fingerprint"))
			}
		})
	}
}

// A full queue of one session does not stop the others of a connection.
func TestFullQueueOnASharedConnection(t *testing.T) {
	r := newRig(t)
	slow, fast := r.browser(), r.browser()
	toSlow, toFast := slow.token("alice", aliceURI, true), fast.token("carol", carolURI, true)
	other := r.connect(LinkInfo{Secure: true}) // a relay that carries two peers
	go io.Copy(io.Discard, other.c)
	go func() {
		send := func(to, body string, fields ...msrp.Field) {
			u := msrp.Unit{
				TransactionID: msrp.NewTransactionID(), Method: msrp.MethodSend, To: path(t, to), From: path(t, bobRelay+" "+bobURI),
				Header: append(fields, msrp.Field{Name: "Content-Type", Value: "text/plain"}),
			}
			other.c.Write(u.Append(nil, []byte(body)))
		}
		send(toFast, "first", msrp.Field{Name: "Message-ID", Value: "hello000"})
		for i := range 60 {
			send(toSlow, strings.Repeat("x", 60000), msrp.Field{Name: "Message-ID", Value: fmt.Sprint("m3ss4ge", i)}, msrp.Field{Name: "Failure-Report", Value: "no"})
		}
		send(toFast, "second", msrp.Field{Name: "Message-ID", Value: "hello001"})
	}()
	assert.Equal(t, "first", fast.next(false).body)
	assert.Equal(t, "second", fast.next(false).body)
	// slow has read nothing; that the test did not wait for the relay's patience
	// shows in that nothing of it has run out:
	assert.Zero(t, r.relay.Stats().FailureReports)
}

// What tells a receiver that messages end unfinished has bounds as well.
func TestEndsOfRefusedMessages(t *testing.T) {
	r := newRig(t)
	slow, fast := r.browser(), r.browser()
	toSlow, toFast := slow.token("alice", aliceURI, true), fast.token("carol", carolURI, true)
	other := r.connect(LinkInfo{Secure: true})
	go io.Copy(io.Discard, other.c)
	send := func(to, message, octets, body string) {
		other.send("SEND", to, bobRelay+" "+bobURI, &body, "Message-ID: "+message, "Byte-Range: "+octets, "Failure-Report: no")
	}
	send(toFast, "hello000", "1-5/5", "first")
	fast.next(false)
	for range (maxQueued+overrun)/60000 + 5 {
		send(toSlow, "m3ss4ge1", "1-60000/60001", strings.Repeat("x", 60000))
	}
	for range maxEnds / 100 {
		send(toSlow, "m3ss4ge1", "60001-60001/60001", "x")
	}
	send(toFast, "hello001", "1-6/6", "second")
	fast.next(false) // all before it was handled
	queued := int(r.relay.queued.Load())
	assert.LessOrEqual(t, queued, maxQueued+overrun+maxEnds+largestFrame)
	assert.Greater(t, queued, maxQueued+overrun)
}
