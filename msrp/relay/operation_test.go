package relay

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// RFC 7977, section 5.3.1: who is known from the handshake sends AUTH all the
// same, and gets a token without a challenge.
func TestUserOfTheHandshake(t *testing.T) {
	t.Attr("requirement", "B-10")
	r := newRig(t, func(c *Config) { c.MaxTokensPerUser = 1 })
	alice := r.connect(LinkInfo{WebSocket: true, Secure: true, User: "alice"})
	id := alice.send("SEND", relayURI+" "+bobURI, aliceURI, nil, "Message-ID: m3ss4ge1")
	alice.wantCode(id, msrp.StatusNoSession, aliceURI, relayURI) // no AUTH yet
	id = alice.send("AUTH", relayURI, aliceURI, nil)
	g := alice.wantCode(id, 200, aliceURI, relayURI)
	assert.NotEmpty(t, g.Header.Get("Use-Path"))
	assert.NotEmpty(t, g.Header.Get("Expires"))
	assert.Empty(t, g.Header.Get("Authentication-Info"), "there is no password to prove")
	alice.wantSilence(g.Header.Get("Use-Path"), aliceURI)

	// The token is that user's, whoever else the AUTH may name.
	alice.send("AUTH", relayURI, "msrp://a2.invalid:2855/al1ceS3ss1112;ws", nil,
		`Authorization: Digest username="carol", realm="relay.example.com", nonce="x", response="x", qop=auth, cnonce="x", nc=00000001`)
	assert.Equal(t, msrp.StatusForbidden, alice.next(true).Code, "alice has one token, and may have one")
	alice.send("AUTH", relayURI, aliceURI, nil, "Expires: 1")
	assert.Equal(t, msrp.StatusOutOfBounds, alice.next(true).Code)
}

// guessing is a Guard that remembers.
type guessing struct {
	mu     sync.Mutex
	locked bool
	calls  []string
}

func (g *guessing) Locked(remote, username string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.locked
}

func (g *guessing) Failed(remote, username string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, "failed "+remote+" "+username)
	return 5 * time.Second
}

func (g *guessing) Passed(remote, username string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, "passed "+remote+" "+username)
}

// The answer to wrong credentials waits, and who is locked out is not even
// asked for the password.
func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guessing{}
		r := newRig(t, func(c *Config) { c.Guard = g })
		alice := r.connect(LinkInfo{WebSocket: true, Secure: true, Remote: "192.0.2.1:5"})
		alice.c.SetDeadline(time.Time{})
		start := time.Now()
		assert.Equal(t, 401, alice.auth("alice", "wrong", aliceURI).Code)
		assert.Equal(t, 5*time.Second, time.Since(start))
		require.Equal(t, 200, alice.auth("alice", "secret", aliceURI).Code)
		assert.Equal(t, 5*time.Second, time.Since(start), "a right password is answered at once")
		assert.Equal(t, []string{"failed 192.0.2.1:5 alice", "passed 192.0.2.1:5 alice"}, g.calls)
		g.locked = true
		late := r.connect(LinkInfo{WebSocket: true, Secure: true})
		assert.Equal(t, msrp.StatusForbidden, late.auth("alice", "secret", aliceURI).Code)
		late.wantEnd()
		assert.EqualValues(t, 1, r.relay.Stats().AuthsLocked)
		assert.EqualValues(t, 1, r.relay.Stats().AuthsFailed)
	})
}

// A user gets through what the rate allows, and no more.
func TestBytesPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 64 << 10
		r := newRig(t, func(c *Config) { c.MaxBytesPerSecond = rate })
		dialled := r.door(bobHost)
		alice, carol := r.browser(), r.browser()
		alice.c.SetDeadline(time.Time{})
		carol.c.SetDeadline(time.Time{})
		d := alice.token("alice", aliceURI, true)
		other := carol.token("carol", carolURI, true)
		start := time.Now()
		var bob *side
		const sends, size = 20, 32 << 10
		go func() {
			for i := range sends {
				alice.send("SEND", d+" "+bobURI, aliceURI, text(strings.Repeat("x", size)), fmt.Sprint("Message-ID: m3ss4ge", i), "Failure-Report: no")
				if i == 0 {
					carol.wantSilence(other, carolURI) // nobody else waits
				}
			}
		}()
		bob = dialled()
		bob.c.SetDeadline(time.Time{})
		got := 0
		for got < sends*size {
			got += len(bob.next(false).body)
		}
		took := time.Since(start)
		assert.Greater(t, took, (sends*size/rate-2)*time.Second, "all but the burst takes its time")
		assert.Less(t, took, (sends*size/rate+2)*time.Second)
	})
}

// The more the relay holds for all, the less each session may have waiting.
func TestBufferBudget(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxBuffered = 4 << 20 })
	for queued, want := range map[int64]int{
		0: maxQueued, 2 << 20: maxQueued, 3 << 20: maxQueued / 2, 4 << 20: 0, 8 << 20: 0,
	} {
		r.relay.queued.Store(queued)
		assert.Equal(t, want, r.relay.bound(), queued)
	}
}

// Whatever becomes of what waited, the budget gets it back; and with nothing
// left of it a session still works, one SEND after the other.
func TestBufferBudgetIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxBuffered = 1 })
		dialled := r.door(bobHost)
		alice := r.browser()
		alice.c.SetDeadline(time.Time{})
		d := alice.token("alice", aliceURI, true)
		send := func() string {
			return alice.send("SEND", d+" "+bobURI, aliceURI, text(strings.Repeat("x", 10_000)), "Message-ID: m3ss4ge1")
		}
		id := send()
		bob := dialled()
		bob.c.SetDeadline(time.Time{})
		for range 2 { // chunks of 8 KiB
			g := bob.want("SEND", bobURI, d)
			bob.answer(g.TransactionID, 200, d, bobURI)
		}
		alice.wantCode(id, 200, aliceURI, d)
		synctest.Wait()
		assert.Zero(t, r.relay.Stats().Queued)

		send() // and bob does not read it
		synctest.Wait()
		assert.NotZero(t, r.relay.Stats().Queued)
		alice.c.Close()
		time.Sleep(stallTimeout)
		synctest.Wait()
		assert.Zero(t, r.relay.Stats().Queued)
	})
}

// A relay that drains lets what is under way come to its end, takes nothing new,
// and closes what is idle at once.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		dialled := r.door(bobHost)
		alice, idle := r.browser(), r.browser()
		for _, s := range []*side{alice, idle} {
			s.c.SetDeadline(time.Time{})
		}
		idle.token("carol", carolURI, true)
		d := alice.token("alice", aliceURI, true)
		id := alice.send("SEND", d+" "+bobURI, aliceURI, text("under way"), "Message-ID: m3ss4ge1")
		bob := dialled()
		bob.c.SetDeadline(time.Time{})
		g := bob.want("SEND", bobURI, d)
		alice.wantCode(id, 200, aliceURI, d)

		busy := make(chan int, 1)
		go func() { busy <- r.relay.Drain(t.Context()) }()
		idle.wantEnd()
		late := r.browser()
		assert.ErrorIs(t, <-late.done, ErrStopping)
		alice.send("SEND", d+" "+bobURI, aliceURI, text("too late"), "Message-ID: m3ss4ge2")
		alice.send("SEND", d+" "+bobURI, aliceURI, text("by the way"), "Message-ID: m3ss4ge3", "Failure-Report: no")
		assert.Equal(t, "by the way", bob.want("SEND", bobURI, d).body, "silence would not tell that it was lost")
		bob.answer(g.TransactionID, msrp.StatusUnsupportedType, d, bobURI)
		assert.Equal(t, msrp.StatusUnsupportedType, alice.want("REPORT", aliceURI, d).Status().Code)
		alice.wantEnd()
		assert.Zero(t, <-busy)
	})
	t.Run("bounded", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			dialled := r.door(bobHost)
			alice := r.browser()
			alice.c.SetDeadline(time.Time{})
			d := alice.token("alice", aliceURI, true)
			id := alice.send("SEND", d+" "+bobURI, aliceURI, text("hello"), "Message-ID: m3ss4ge1")
			bob := dialled()
			bob.c.SetDeadline(time.Time{})
			bob.want("SEND", bobURI, d)
			alice.wantCode(id, 200, aliceURI, d)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			start := time.Now()
			assert.Equal(t, 2, r.relay.Drain(ctx), "alice, and bob who does not answer")
			assert.Equal(t, 20*time.Second, time.Since(start))
		})
	})
}

// The log at its most talkative follows a session, and shows none of what it
// must not.
func TestTraceHidesSecrets(t *testing.T) {
	var log strings.Builder
	var mu sync.Mutex
	r := newRig(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	alice := r.browser()
	d := alice.token("alice", aliceURI, true)
	alice.send("AUTH", relayURI, aliceURI, nil, `Authorization: Digest realm="x", broken `+strings.Repeat("s3cr3t", 100))
	alice.next(true)
	alice.write([]byte("MSRP abcd SEND\r\nTo-Path: " + d + "\r\nFrom-Path: " + aliceURI + "\r\nb0dy-or-so\r\n-------abcd$\r\n"))
	alice.next(true)
	alice.send("SEND", d+" "+bobURI, aliceURI, text("the b0dy"), "Message-ID: m3ss4ge1")
	alice.next(true)
	mu.Lock()
	defer mu.Unlock()
	token := path(t, d)[0].SessionID()
	for _, secret := range []string{"s3cr3t", "b0dy", token, token[:10], "al1ceS3ss10n", "b0bS3ss10n"} {
		assert.NotContains(t, log.String(), secret)
	}
	assert.Contains(t, log.String(), "message_id=m3ss4ge1")
	assert.Contains(t, log.String(), "session="+token[:6])
	assert.Contains(t, log.String(), "code=401")
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}
