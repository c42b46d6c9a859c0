package msrp

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// RFC 4975, section 7.1.4: with Failure-Report partial only failures are
// answered, and silence is success.
func TestFailureReportPartial(t *testing.T) {
	t.Attr("requirement", "S-42")
	for name, code := range map[string]int{"refused": 415, "silence": 0, "accepted all the same": 200} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := newRawPeer(t, SessionOptions{}, Remote{Window: 1}, func(u *Unit) int { return code })
				out, err := s.Send(t.Context(), &Message{ContentType: "image/jpeg", Body: strings.NewReader(strings.Repeat("x", 100_000)), FailureReport: FailurePartial})
				require.NoError(t, err)
				synctest.Wait()
				if code == 415 {
					var status *StatusError
					require.ErrorAs(t, out.Progress().Err, &status)
					assert.Equal(t, code, status.Code)
				} else {
					time.Sleep(2 * TransactionTimeout)
					assert.NoError(t, out.Sent(t.Context()))
					assert.Equal(t, Progress{Acknowledged: 100_000, Sent: true}, out.Progress())
				}
				s.mu.Lock()
				assert.Zero(t, s.unanswered)
				s.mu.Unlock()
				s.conn.Close()
			})
		})
	}
}

func TestQuietRequestsAreBounded(t *testing.T) {
	s, _ := newRawPeer(t, SessionOptions{}, Remote{ChunkSize: 10}, func(u *Unit) int { return 0 })
	out, err := s.Send(t.Context(), &Message{ContentType: "image/jpeg", Body: stream(10 * (maxQuiet + 100)), FailureReport: FailurePartial})
	require.NoError(t, err)
	require.NoError(t, out.Sent(t.Context()))
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	assert.LessOrEqual(t, s.conn.quiet.Len(), maxQuiet)
}

// A busy peer reports late on what came at once.
func TestLateSuccessReports(t *testing.T) {
	s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
	var all []*Outgoing
	for range 2 * maxUnconfirmed {
		o, err := s.Send(t.Context(), &Message{ContentType: "text/plain", Body: strings.NewReader("hi"), SuccessReport: true})
		require.NoError(t, err)
		require.NoError(t, o.Sent(t.Context()))
		all = append(all, o)
	}
	for _, o := range all {
		p.send("method: REPORT", "Message-ID: "+o.ID(), "Byte-Range: 1-2/2", "Status: 000 200 OK")
		require.NoError(t, o.Delivered(t.Context()))
	}
}

// What was sent is remembered without its body, and not without end.
func TestSentMessagesAreForgotten(t *testing.T) {
	for name, report := range map[string]bool{"no report wanted": false, "the report never comes": true} {
		t.Run(name, func(t *testing.T) {
			s, _ := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			var first, latest *Outgoing
			most := maxUnreported
			if report {
				most = maxUnconfirmed
			}
			for i := range 2*most + 1 {
				body := io.Reader(bytes.NewReader(make([]byte, 2500)))
				if i%2 == 1 {
					body = stream(2500)
				}
				var err error
				latest, err = s.Send(t.Context(), &Message{ContentType: "image/jpeg", Body: body, SuccessReport: report})
				require.NoError(t, err)
				require.NoError(t, latest.Sent(t.Context()))
				if first == nil {
					first = latest
				}
			}
			s.mu.Lock()
			assert.LessOrEqual(t, len(s.sent), 2*most)
			for _, o := range s.sent {
				assert.Nil(t, o.source)
				assert.Nil(t, o.message.Body)
			}
			s.mu.Unlock()
			if report {
				var status *StatusError
				require.ErrorAs(t, first.Delivered(t.Context()), &status)
				assert.Equal(t, StatusTimeout, status.Code)
				assert.True(t, status.Local)
			}
			assert.NoError(t, latest.Progress().Err)
		})
	}
}

// RFC 4975, section 5.4: after a failure a message is sent once more under its
// Message-ID.
func TestSentOnceMore(t *testing.T) {
	const id = "Message-ID: m3ss4ge"
	begin := []string{id, "Byte-Range: 1-4/8", "flag: +", "body: abcd"}
	rest := []string{id, "Byte-Range: 5-8/8", "body: efgh"}
	whole := []string{id, "Byte-Range: 1-8/8", "body: ABCDEFGH", "Success-Report: yes"}
	read := func(t *testing.T, s *Session) string {
		in, err := s.Receive(t.Context())
		require.NoError(t, err)
		body, err := io.ReadAll(in)
		require.NoError(t, err)
		return string(body)
	}
	reports := func(p *rawPeer) int {
		synctest.Wait()
		return len(p.got())
	}
	for name, end := range map[string]func(*rawPeer){
		"after an abort":           func(p *rawPeer) { p.send(id, "Byte-Range: 5-4/8", "flag: #", "body: ") },
		"after a bodiless abort":   func(p *rawPeer) { p.send(id, "flag: #") },
		"after it was given up on": func(p *rawPeer) { time.Sleep(partialTimeout + time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
				for range 2 {
					assert.Equal(t, 200, p.code(p.send(begin...)))
					end(p)
					assert.Equal(t, 413, p.code(p.send(rest...)), "a chunk that comes late")
				}
				assert.Equal(t, 200, p.code(p.send(whole...)))
				assert.Equal(t, "ABCDEFGH", read(t, s))
				assert.Equal(t, 1, reports(p))
				assert.Equal(t, 200, p.code(p.send(whole...)), "its sender did not learn that it arrived")
				assert.Equal(t, 2, reports(p))
				s.mu.Lock()
				assert.Empty(t, s.queue, "shown once")
				assert.Len(t, s.seen.ids, 1)
				s.mu.Unlock()
				s.conn.Close()
			})
		})
	}
	t.Run("not after a refusal", func(t *testing.T) {
		s, p := newRawPeer(t, SessionOptions{StreamAfter: 1}, Remote{}, nil)
		assert.Equal(t, 200, p.code(p.send(begin...)))
		in, err := s.Receive(t.Context())
		require.NoError(t, err)
		in.Close()
		assert.Equal(t, 413, p.code(p.send(rest...)))
		assert.Equal(t, 413, p.code(p.send(whole...)))
	})
	t.Run("by a session", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			alice, bob := pair(t)
			hold, release := io.Pipe()
			m := &Message{ID: "m3ss4ge1", ContentType: "image/jpeg", Body: hold, Size: 20_000}
			out, err := alice.Send(t.Context(), m)
			require.NoError(t, err)
			release.Write(make([]byte, 10_000))
			synctest.Wait()
			out.Abort()
			release.Close()
			m.Body, m.SuccessReport = bytes.NewReader(make([]byte, 20_000)), true
			out, err = alice.Send(t.Context(), m)
			require.NoError(t, err)
			go readAfterEachOther(bob)
			assert.NoError(t, out.Delivered(t.Context()))
		})
	})
}
