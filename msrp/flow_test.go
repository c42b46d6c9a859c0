package msrp

import (
	"bytes"
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
)

// pairOver returns two sessions with default settings at the ends of a
// connection; alice is the active side.
func pairOver(t *testing.T, a, b io.ReadWriteCloser) (alice, bob *Session) {
	var sessions []*Session
	var conns []*Conn
	for i, rwc := range []io.ReadWriteCloser{a, b} {
		e := NewEndpoint(nil)
		uri, err := ParseURI([]string{rawPeerURI, rawOwnURI}[i])
		require.NoError(t, err)
		s, err := e.NewSession(SessionOptions{URI: uri})
		require.NoError(t, err)
		sessions, conns = append(sessions, s), append(conns, e.NewConn(NewStream(rwc)))
		t.Cleanup(func() { conns[i].Close() })
	}
	for i, s := range sessions {
		require.NoError(t, s.Start(Remote{Path: Path{sessions[1-i].URI()}, Conn: conns[i], Active: i == 0}))
	}
	return sessions[0], sessions[1]
}

func pair(t *testing.T) (alice, bob *Session) {
	a, b := net.Pipe()
	return pairOver(t, a, b)
}

// stream hides that a body is in memory.
func stream(size int) io.Reader { return io.LimitReader(zeros{}, int64(size)) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func send(t *testing.T, s *Session, size int, body io.Reader) *Outgoing {
	out, err := s.Send(t.Context(), &Message{ContentType: "image/jpeg", Body: body, Size: int64(size)})
	require.NoError(t, err)
	return out
}

// readAfterEachOther is the plainest receiver.
func readAfterEachOther(s *Session) {
	for {
		in, err := s.Receive(context.Background())
		if err != nil {
			return
		}
		io.Copy(io.Discard, in)
	}
}

// Many messages, read one after the other: none waits so long that it fails,
// and in fake time nobody waits at all.
func TestManyReadAfterEachOther(t *testing.T) {
	for _, n := range []struct{ count, size int }{{30, 60_000}, {20, 100_000}, {10, 3_000_000}, {3000, 1000}} {
		for _, kind := range []string{"memory", "stream"} {
			t.Run(fmt.Sprintf("%d of %d octets, %s", n.count, n.size, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					alice, bob := pair(t)
					var sent []*Outgoing
					for range n.count {
						body := stream(n.size)
						if kind == "memory" {
							body = bytes.NewReader(make([]byte, n.size))
						}
						sent = append(sent, send(t, alice, n.size, body))
					}
					start := time.Now()
					go readAfterEachOther(bob)
					for _, out := range sent {
						require.NoError(t, out.Sent(t.Context()))
					}
					assert.Zero(t, time.Since(start))
				})
			})
		}
	}
}

// The same from a peer that sends its messages a chunk of each in turn and has
// a window for each, so that no message is complete when the buffer is full.
func TestInterleavedReadAfterEachOther(t *testing.T) {
	for _, n := range []struct{ count, size int }{{25, 60_000}, {20, 100_000}} {
		t.Run(fmt.Sprintf("%d of %d octets", n.count, n.size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
				const chunk, window = 5000, 40_000
				pending := make([][]string, n.count)
				start := time.Now()
				go readAfterEachOther(s)
				for at, left := make([]int, n.count), n.count; left > 0; {
					moved := false
					for i := range at {
						for len(pending[i]) > 0 && p.answered(200, pending[i][0]) == 1 {
							pending[i] = pending[i][1:]
						}
						if at[i] == n.size || len(pending[i]) == window/chunk {
							continue
						}
						moved = true
						flag := "+"
						r := fmt.Sprintf("Byte-Range: %d-*/%d", at[i]+1, n.size)
						if at[i] += chunk; at[i] == n.size {
							flag = "$"
							left--
						}
						pending[i] = append(pending[i], p.send(fmt.Sprintf("Message-ID: m3ss%d", i), r, "flag: "+flag, "body: "+strings.Repeat("x", chunk)))
					}
					synctest.Wait()
					require.True(t, moved || left == 0 || anyAnswered(p, pending), "nobody gets on")
				}
				synctest.Wait()
				for i := range pending {
					assert.Equal(t, len(pending[i]), p.answered(200, pending[i]...))
				}
				assert.Zero(t, time.Since(start))
				s.conn.Close()
			})
		})
	}
}

func anyAnswered(p *rawPeer, pending [][]string) bool {
	for _, ids := range pending {
		if len(ids) > 0 && p.answered(200, ids[0]) == 1 {
			return true
		}
	}
	return false
}

// Messages that nobody reads do not hold up others, until they are refused.
func TestUnreadMessagesStarveNobody(t *testing.T) {
	for _, unread := range []int{1, 3, 12} {
		t.Run(fmt.Sprint(unread), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				alice, bob := pair(t)
				var stuck []*Outgoing
				for range unread {
					stuck = append(stuck, send(t, alice, 2_000_000, stream(2_000_000)))
					in, err := bob.Receive(t.Context())
					require.NoError(t, err)
					defer in.Close()
				}
				synctest.Wait()
				start := time.Now()
				go readAfterEachOther(bob)
				for _, size := range []int{100, 10_000, 100_000, 3_000_000} {
					assert.NoError(t, send(t, alice, size, bytes.NewReader(make([]byte, size))).Sent(t.Context()))
				}
				assert.Zero(t, time.Since(start))
				for _, out := range stuck {
					var status *StatusError
					require.ErrorAs(t, out.Sent(t.Context()), &status)
					assert.Equal(t, StatusStopSending, status.Code)
				}
				assert.LessOrEqual(t, time.Since(start), stallTimeout)
				synctest.Wait()
				bob.mu.Lock()
				assert.Zero(t, bob.buffered, "what was refused is dropped")
				bob.mu.Unlock()
			})
		})
	}
}

// unconnected returns a session whose chunks the test takes itself.
func unconnected(t *testing.T, remote Remote) *Session {
	own, err := ParseURI(rawOwnURI)
	require.NoError(t, err)
	s, err := NewEndpoint(nil).NewSession(SessionOptions{URI: own})
	require.NoError(t, err)
	remote.Path, err = ParsePath(rawPeerURI)
	require.NoError(t, err)
	require.NoError(t, s.Start(remote))
	s.conn, s.open = new(Conn), true // which sends nothing
	return s
}

// next takes the next chunk of a session: its message, flag and length of body.
func next(t *testing.T, s *Session) (id string, flag Flag, length int, r request) {
	octets, r := s.nextChunk(nil)
	if len(octets) == 0 {
		return
	}
	u, err := new(Reader).Parse(octets)
	require.NoError(t, err)
	body, err := io.ReadAll(u.Body)
	require.NoError(t, err)
	return u.MessageID(), u.Flag, len(body), r
}

func sendAs(t *testing.T, s *Session, id string, size int) *Outgoing {
	out, err := s.Send(t.Context(), &Message{ID: id, ContentType: "image/jpeg", Body: bytes.NewReader(make([]byte, size))})
	require.NoError(t, err)
	return out
}

// Short messages go first, others of about a size after each other, and what
// has begun goes on.
func TestOrderOfSending(t *testing.T) {
	s := unconnected(t, Remote{})
	var order []string
	run := func(most int) {
		for range most {
			id, _, _, r := next(t, s)
			if id == "" {
				return
			}
			if len(order) == 0 || order[len(order)-1] != id {
				order = append(order, id)
			}
			r.done(&Unit{Code: 200}, nil)
		}
	}
	sendAs(t, s, "f1lm", 80_000_000)
	sendAs(t, s, "p1c1", 40_000)
	sendAs(t, s, "p1c2", 20_000)
	sendAs(t, s, "t3xt1", 9000)
	sendAs(t, s, "t3xt2", 5)
	run(20)
	assert.Equal(t, []string{"t3xt1", "t3xt2", "p1c1", "p1c2", "f1lm"}, order)
	order = nil
	sendAs(t, s, "p1c3", 50_000)
	sendAs(t, s, "p1c4", 10_000)
	run(14)
	assert.Equal(t, []string{"p1c4", "p1c3", "f1lm", "p1c3", "f1lm", "p1c3", "f1lm"}, order)
	order = nil
	film := s.outbox.sent["f1lm"]
	film.Abort()
	s.messages.passed = 0
	sendAs(t, s, "f1lm", 5)
	id, flag, _, _ := next(t, s)
	assert.Equal(t, "f1lm#", id+string(flag), "the end of the first goes before the second")
	id, flag, _, _ = next(t, s)
	assert.Equal(t, "f1lm$", id+string(flag))
	assert.True(t, s.messages.empty())
}

// A message takes half of what others leave of the window; the next one gets on
// with small chunks until it is clear that the first is not read.
func TestShareOfTheWindow(t *testing.T) {
	s := unconnected(t, Remote{Window: 64 << 10, ChunkSize: 4 << 10})
	taken := map[string]int{}
	var answers []request
	run := func() {
		for {
			id, _, n, r := next(t, s)
			if id == "" {
				return
			}
			taken[id] += n
			answers = append(answers, r)
		}
	}
	sendAs(t, s, "f1rst", 1_000_000)
	sendAs(t, s, "sec0nd", 1_000_000)
	sendAs(t, s, "th1rd", 1_000_000)
	run()
	assert.InDelta(t, 32<<10, taken["f1rst"], 4<<10)
	assert.Equal(t, minChunk, taken["sec0nd"])
	assert.Zero(t, taken["th1rd"])
	// The path is slow: all wait their turn.
	answers[0].done(&Unit{Code: 200}, nil)
	answers = answers[1:]
	run()
	assert.InDelta(t, 36<<10, taken["f1rst"], 4<<10)
	assert.Equal(t, minChunk, taken["sec0nd"])
	// The first is not read.
	for len(answers) > 0 {
		late := answers[len(answers)-1]
		answers = answers[:len(answers)-1]
		if late.done(&Unit{Code: 200}, nil); taken["th1rd"] > 0 {
			break
		}
		run()
	}
	assert.NotZero(t, taken["th1rd"])
	assert.LessOrEqual(t, s.outbox.unanswered, int64(2*64<<10))
}
