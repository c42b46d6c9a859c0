package msrp

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A gate is a transport that takes each unit only when the test lets it.
type gate struct {
	t       testing.TB
	sent    chan []byte
	arrived chan string
	closed  chan struct{}
	Reader
}

// newGate returns a session whose every unit passes a gate, and which was bound
// by a request of its peer.
func newGate(t *testing.T, opts SessionOptions, remote Remote) (*Session, *gate) {
	g := &gate{t: t, sent: make(chan []byte), arrived: make(chan string), closed: make(chan struct{})}
	e := NewEndpoint(nil)
	s := newRawSession(t, e, opts)
	conn := e.NewConn(g)
	t.Cleanup(func() { conn.Close() })
	remote.Path = rawPath(t, rawPeerURI)
	require.NoError(t, s.Start(remote))
	g.arrive("b1nd", "Message-ID: b1nd", "Byte-Range: 1-0/0")
	require.Equal(t, 200, g.take().Code)
	return s, g
}

func (g *gate) Receive() (*Unit, error) {
	select {
	case unit := <-g.arrived:
		return g.Parse([]byte(unit))
	case <-g.closed:
		return nil, io.EOF
	}
}

func (g *gate) Send(unit []byte) error {
	select {
	case g.sent <- append([]byte(nil), unit...):
		return nil
	case <-g.closed:
		return io.ErrClosedPipe
	}
}

func (g *gate) Flush() error { return nil }

func (g *gate) Close(error) error { close(g.closed); return nil }

// arrive lets a SEND of the peer arrive, whose last field may be its body.
func (g *gate) arrive(id string, fields ...string) {
	unit := "MSRP " + id + " SEND\r\nTo-Path: " + rawOwnURI + "\r\nFrom-Path: " + rawPeerURI + "\r\n"
	for _, f := range fields {
		if body, ok := strings.CutPrefix(f, "body: "); ok {
			unit += "Content-Type: text/plain\r\n\r\n" + body + "\r\n"
		} else {
			unit += f + "\r\n"
		}
	}
	g.arrived <- unit + "-------" + id + "$\r\n"
}

// answer lets the response to a request arrive.
func (g *gate) answer(u *Unit, code int) {
	g.arrived <- string(response(u, code).Append(nil, nil))
}

// take takes the next unit, and waits for it as long as there is fake time.
func (g *gate) take() *Unit {
	u, err := new(Reader).Parse(<-g.sent)
	require.NoError(g.t, err)
	require.Nil(g.t, u.Invalid)
	return u
}

func file(t *testing.T, s *Session, size int) *Outgoing {
	return send(t, s, size, strings.NewReader(strings.Repeat("x", size)))
}

// RFC 4975, section 7.1.1: the 30 seconds run from the last octet of the
// transaction, not from its first.
func TestTimeOfSending(t *testing.T) {
	t.Attr("requirement", "S-41")
	synctest.Test(t, func(t *testing.T) {
		s, g := newGate(t, SessionOptions{}, Remote{})
		start := time.Now()
		first := file(t, s, 1000)
		u1 := g.take()
		second := file(t, s, 1000)
		time.Sleep(20 * time.Second)
		g.answer(u1, 200)
		require.NoError(t, first.Sent(t.Context()))
		time.Sleep(20 * time.Second) // the transport is at the second one all the time
		third := file(t, s, 1000)
		synctest.Wait()
		assert.NoError(t, second.Progress().Err)
		g.take()
		u3 := g.take()
		time.Sleep(TransactionTimeout - time.Second)
		assert.NoError(t, second.Progress().Err)
		g.answer(u3, 200)
		require.NoError(t, third.Sent(t.Context()))
		var status *StatusError
		require.ErrorAs(t, second.Sent(t.Context()), &status)
		assert.True(t, status.Local)
		assert.Equal(t, 40*time.Second+TransactionTimeout, time.Since(start).Truncate(time.Millisecond))
		s.conn.Close()
	})
}

// A neighbour that takes nothing any more is noticed, whatever waits for it.
func TestStuckTransport(t *testing.T) {
	for name, f := range map[string]FailureReport{"Failure-Report yes": FailureDefault, "Failure-Report no": FailureNo, "Failure-Report partial": FailurePartial} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, g := newGate(t, SessionOptions{}, Remote{})
				start := time.Now()
				var all []*Outgoing
				for range 2 { // one that the transport takes, and one behind it
					out, err := s.Send(t.Context(), &Message{ContentType: "image/jpeg", Body: strings.NewReader(strings.Repeat("x", 100_000)), FailureReport: f})
					require.NoError(t, err)
					all = append(all, out)
				}
				g.take()
				for _, out := range all {
					assert.Error(t, out.Sent(t.Context()))
				}
				<-s.Done()
				assert.ErrorIs(t, s.Err(), ErrConnLost)
				assert.ErrorContains(t, s.Err(), "takes nothing")
				assert.LessOrEqual(t, time.Since(start), 2*stuckTimeout)
			})
		})
	}
	t.Run("slow is not stuck", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, g := newGate(t, SessionOptions{}, Remote{})
			out := file(t, s, 100_000)
			for range 13 {
				time.Sleep(stuckTimeout - time.Second)
				g.answer(g.take(), 200)
			}
			assert.NoError(t, out.Sent(t.Context()))
			time.Sleep(10 * stuckTimeout) // idle
			assert.NoError(t, s.Err())
			out = file(t, s, 100)
			synctest.Wait()
			time.Sleep(stuckTimeout - time.Second)
			g.answer(g.take(), 200)
			assert.NoError(t, out.Sent(t.Context()))
			for range 5 { // always when somebody looks
				time.Sleep(stuckTimeout)
				out = file(t, s, 100)
				synctest.Wait()
				g.answer(g.take(), 200)
				assert.NoError(t, out.Sent(t.Context()))
			}
			s.conn.Close()
		})
	})
}

// A connection on which there is nothing to say stays.
func TestIdleIsNotStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := newRawConn(t, NewEndpoint(nil), nil)
		time.Sleep(10 * stuckTimeout)
		assert.NoError(t, conn.Err())
		conn.Close()
	})
}

// Who does not read what he is answered is not read either, but no sooner than
// any sender that keeps to a window can come to: two of them would wait for each
// other.
func TestAnswersThatNobodyTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newGate(t, SessionOptions{}, Remote{})
		go readAfterEachOther(s)
		start := time.Now()
		asked, octets := 0, 0
		ask := func() bool {
			id := NewID()
			unit := "MSRP " + id + " SEND\r\nTo-Path: " + rawOwnURI + "\r\nFrom-Path: " + rawPeerURI + "\r\nMessage-ID: " + id +
				"\r\nByte-Range: 1-1/1\r\nSuccess-Report: yes\r\nContent-Type: a/b\r\n\r\nx\r\n-------" + id + "$\r\n"
			select {
			case g.arrived <- unit:
				asked++
				octets += len(unit)
				return true
			case <-g.closed:
				return false
			}
		}
		for octets < 2*defaultWindow {
			require.True(t, ask())
		}
		require.Zero(t, time.Since(start))
		for ask() { // until it is enough
		}
		assert.Less(t, octets, 2*maxControl)
		assert.ErrorContains(t, s.conn.Err(), "takes nothing")
		assert.LessOrEqual(t, time.Since(start), 2*stuckTimeout)
	})
}
