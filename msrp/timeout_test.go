package msrp

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A line is one direction of a connection, behind a buffer.
type line struct {
	mu     sync.Mutex
	moved  *sync.Cond
	octets []byte
	ended  bool
	rate   int // octets a second of fake time, 0 for no time at all
	room   int // of the buffer, 0 for any number
}

func newLine(rate int) *line {
	l := &line{rate: rate}
	l.moved = sync.NewCond(&l.mu)
	return l
}

func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(p) && !l.ended {
		m := len(p) - n
		if l.room > 0 {
			m = min(m, l.room-len(l.octets))
		}
		if m == 0 {
			l.moved.Wait()
			continue
		}
		l.octets = append(l.octets, p[n:n+m]...)
		n += m
		l.moved.Broadcast()
	}
	if n < len(p) {
		return n, io.ErrClosedPipe
	}
	return n, nil
}

func (l *line) Read(p []byte) (int, error) {
	l.mu.Lock()
	for len(l.octets) == 0 && !l.ended {
		l.moved.Wait()
	}
	n := copy(p[:min(len(p), 1024)], l.octets)
	l.octets = l.octets[n:]
	l.moved.Broadcast()
	l.mu.Unlock()
	if n == 0 {
		return 0, io.EOF
	}
	if l.rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(l.rate))
	}
	return n, nil
}

func (l *line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.octets = true, nil
	l.moved.Broadcast()
	return nil
}

// lineEnd is one end of two lines.
type lineEnd struct {
	io.Reader
	io.Writer
	close func() error
}

func (e lineEnd) Close() error { return e.close() }

func pairOverLines(t *testing.T, up, down *line) (alice, bob *Session) {
	end := func() error { return errors.Join(up.Close(), down.Close()) }
	return pairOver(t, lineEnd{down, up, end}, lineEnd{up, down, end})
}

// The window takes longer than 30 seconds to pass, and no request waits so
// long once it was its turn (RFC 4975, section 7.1.1).
func TestSlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob := pairOverLines(t, newLine(4<<10), newLine(1<<20))
		go readAfterEachOther(bob)
		file := send(t, alice, 2<<20, bytes.NewReader(make([]byte, 2<<20)))
		time.Sleep(20 * time.Second)
		text, err := alice.Send(t.Context(), Text("still there?"))
		require.NoError(t, err)
		assert.NoError(t, text.Delivered(t.Context()))
		assert.NoError(t, file.Sent(t.Context()))
	})
}

// A neighbour that answers no more is noticed 30 seconds after it did last, and
// so is a request that is lost among others.
func TestTimeout(t *testing.T) {
	t.Attr("requirement", "S-41")
	setUp := func(t *testing.T) (start time.Time, s *Session, p *rawPeer, out *Outgoing) {
		s, p = newRawPeer(t, SessionOptions{}, Remote{ChunkSize: 1000}, func(*Unit) int { return 0 })
		start = time.Now()
		out = send(t, s, 10_000, bytes.NewReader(make([]byte, 10_000)))
		synctest.Wait()
		require.Len(t, p.got(), 10)
		return start, s, p, out
	}
	answer := func(p *rawPeer, u *Unit) {
		p.write(string(response(u, 200).Append(nil, nil)))
		synctest.Wait()
	}
	expect := func(t *testing.T, start time.Time, s *Session, out *Outgoing, after time.Duration) {
		var status *StatusError
		require.ErrorAs(t, out.Sent(t.Context()), &status)
		assert.Equal(t, StatusTimeout, status.Code)
		assert.True(t, status.Local)
		assert.Equal(t, after, time.Since(start).Truncate(time.Millisecond))
		s.conn.Close()
	}
	t.Run("silence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start, s, _, out := setUp(t)
			expect(t, start, s, out, TransactionTimeout)
		})
	})
	t.Run("silence after progress", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start, s, p, out := setUp(t)
			for i := range 3 {
				time.Sleep(20 * time.Second)
				answer(p, p.got()[i])
			}
			text, err := s.Send(t.Context(), Text("still there?"))
			require.NoError(t, err)
			expect(t, start, s, out, time.Minute+TransactionTimeout)
			assert.Error(t, text.Sent(t.Context()))
			assert.Equal(t, time.Minute+TransactionTimeout, time.Since(start).Truncate(time.Millisecond))
		})
	})
	t.Run("lost among others", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start, s, p, out := setUp(t)
			time.Sleep(time.Second)
			answer(p, p.got()[0])
			for i := 2; i < 10; i++ {
				time.Sleep(3 * time.Second)
				answer(p, p.got()[i])
			}
			expect(t, start, s, out, time.Second+TransactionTimeout)
		})
	})
}
