package relay

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// A silent neighbour reads everything and answers when it is told to.
type silent struct {
	*side
	mu     sync.Mutex
	unread []got // not answered
	octets int   // of those, in wire form
}

// silent reads until the connection ends.
func (s *side) silent() *silent {
	n := &silent{side: s}
	s.c.SetDeadline(time.Time{})
	go func() {
		for {
			u, err := s.in.Next()
			if err != nil {
				return
			}
			var body strings.Builder
			for u.Body != nil {
				piece, err := u.Body.Next()
				if err != nil {
					break
				}
				body.Write(piece)
			}
			n.mu.Lock()
			n.unread = append(n.unread, got{u, body.String()})
			n.octets += len(u.Append(nil, []byte(body.String())))
			n.mu.Unlock()
		}
	}()
	return n
}

// has waits until nothing more comes and returns how many requests and octets
// wait for their answer.
func (n *silent) has() (requests, octets int) {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.unread), n.octets
}

// answerNext answers the oldest requests.
func (n *silent) answerNext(count, code int) {
	n.mu.Lock()
	next := n.unread[:count]
	n.unread = n.unread[count:]
	for _, g := range next {
		n.octets -= len(g.Append(nil, []byte(g.body)))
	}
	n.mu.Unlock()
	for _, g := range next {
		n.answer(g.TransactionID, code, g.From.First().String(), g.To.First().String())
	}
}

// The 200s of the next hop are the relay's own credit (RFC 4976, section 6.4.1):
// it sends no more of a session than the window without them, and its sender
// feels that.
func TestWindow(t *testing.T) {
	const size = 60 << 10
	chunk := strings.Repeat("x", size)
	setUp := func(t *testing.T) (alice *side, token string, bob *silent) {
		r := newRig(t, func(c *Config) { c.PeerChunk = func(msrp.URI) int { return 0 } })
		dialled := r.door(bobHost)
		alice = r.browser()
		alice.c.SetDeadline(time.Time{})
		token = alice.token("alice", aliceURI, true)
		id := alice.send("SEND", token+" "+bobURI, aliceURI, nil, "Message-ID: f1rst")
		alice.wantCode(id, 200, aliceURI, token)
		bob = dialled().silent()
		bob.has()
		bob.answerNext(1, 200)
		t.Cleanup(func() { synctest.Wait() })
		t.Cleanup(func() { r.relay.Close() })
		return alice, token, bob
	}
	send := func(s *side, token, own, message string, n int, fields ...string) string {
		r := fmt.Sprintf("Byte-Range: %d-*/*", 1+n*size)
		return s.send("SEND", token+" "+bobURI, own, &chunk, append(fields, "Message-ID: "+message, r, "flag: +")...)
	}
	// fill sends as long as the relay answers at once: the window, and then
	// what it queues.
	fill := func(t *testing.T, alice *side, token string) (sent int, held string) {
		for {
			id := send(alice, token, aliceURI, "m3ss4ge1", sent)
			sent++
			synctest.Wait() // until Bob has what he gets
			probe := alice.send("SEND", token, aliceURI, nil, "Message-ID: pr0be")
			g := alice.next(true)
			if g.TransactionID == probe {
				return sent, id
			}
			require.Equal(t, id, g.TransactionID)
			require.Equal(t, 200, g.Code)
			alice.wantCode(probe, 200, aliceURI, token)
			require.Less(t, sent*size, 2*(window+maxQueued), "no end")
		}
	}
	t.Run("no more than the window, and on with the answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			alice, token, bob := setUp(t)
			sent, held := fill(t, alice, token)
			requests, octets := bob.has()
			assert.LessOrEqual(t, octets, window)
			assert.Greater(t, octets+octets/requests, window, "the window is not used up")
			assert.Less(t, requests, sent)

			// One answer makes room for one request, and pays the 200 that was
			// held back.
			bob.answerNext(1, 200)
			after, _ := bob.has()
			assert.Equal(t, requests, after)
			alice.wantCode(held, 200, aliceURI, token)

			// All answers, and all the rest comes, in its order.
			for n := 1; n < sent; n++ {
				left, _ := bob.has()
				require.NotZero(t, left)
				require.EqualValues(t, 1+n*size, bob.unread[0].ByteRange().Start)
				bob.answerNext(1, 200)
			}
			rest, _ := bob.has()
			assert.Zero(t, rest)
			alice.wantSilence(token, aliceURI)
		})
	})
	t.Run("a refusal is an answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			alice, token, bob := setUp(t)
			_, held := fill(t, alice, token)
			before, _ := bob.has()
			bob.answerNext(1, 413)
			after, _ := bob.has()
			assert.Equal(t, before, after)
			g := alice.want("REPORT", aliceURI, token)
			assert.Equal(t, 413, g.Unit.Status().Code)
			alice.wantCode(held, 200, aliceURI, token)
		})
	})
	t.Run("silence makes room after 30 seconds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			alice, token, bob := setUp(t)
			sent, held := fill(t, alice, token)
			first, _ := bob.has()
			alice.wantCode(held, 408, aliceURI, token) // the relay's queue, after 10
			for range first {
				g := alice.want("REPORT", aliceURI, token)
				assert.Equal(t, 408, g.Unit.Status().Code)
			}
			all, _ := bob.has()
			assert.Equal(t, sent, all)
			for range sent - first {
				alice.want("REPORT", aliceURI, token)
			}
		})
	})
	for _, failure := range []string{"no", "partial"} {
		t.Run("where no 200 is to be expected, Failure-Report "+failure, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				alice, token, bob := setUp(t)
				const many = 2 * window / size
				for n := range many {
					send(alice, token, aliceURI, "m3ss4ge1", n, "Failure-Report: "+failure)
				}
				requests, _ := bob.has()
				assert.Equal(t, many, requests)
				alice.wantSilence(token, aliceURI)
			})
		})
	}
	t.Run("nothing that waits for its 200 is forgotten", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			alice, token, bob := setUp(t)
			const many = maxLoose + 10
			for range many {
				id := alice.send("SEND", token+" "+bobURI, aliceURI, text("x"), "Message-ID: m3ss4ge1")
				alice.wantCode(id, 200, aliceURI, token)
			}
			requests, _ := bob.has()
			require.Equal(t, many, requests)
			bob.answerNext(1, 413)
			assert.Equal(t, 413, alice.want("REPORT", aliceURI, token).Unit.Status().Code)
			for range many - 1 {
				assert.Equal(t, 408, alice.want("REPORT", aliceURI, token).Unit.Status().Code)
			}
		})
	})
	t.Run("one session does not stop another on the same connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.PeerChunk = func(msrp.URI) int { return 0 } })
			t.Cleanup(func() { synctest.Wait() })
			t.Cleanup(func() { r.relay.Close() })
			alice, carol := r.browser(), r.browser()
			forAlice, forCarol := alice.token("alice", aliceURI, true), carol.token("carol", carolURI, true)
			// Bob reaches both over one connection, which then carries what they
			// send.
			peer := r.peer()
			for _, to := range []string{forAlice, forCarol} {
				id := peer.send("SEND", to, bobURI, nil, "Message-ID: b1nd")
				peer.wantCode(id, 200, bobURI, to)
			}
			alice.read()
			carol.read()
			bob := peer.silent()
			fill(t, alice, forAlice)
			before, _ := bob.has()
			id := send(carol, forCarol, carolURI, "m3ss4ge2", 0)
			carol.wantCode(id, 200, carolURI, forCarol)
			after, _ := bob.has()
			assert.Equal(t, before+1, after)
		})
	})
}
