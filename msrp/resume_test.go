package msrp_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

// resumed returns two sessions over a new connection that take the place of
// the two given, which may be nil.
func resumed(t *testing.T, a, b net.Conn, alice, bob *msrp.Session) (msrptest.Side, msrptest.Side) {
	return msrptest.Pair(t, a, b,
		msrptest.Options{Session: msrp.SessionOptions{Resumes: alice}},
		msrptest.Options{Session: msrp.SessionOptions{Resumes: bob}})
}

// RFC 4975, section 5.4: what was not confirmed when the connection was lost
// goes out once more in a new session, under its Message-ID, and is not
// presented twice.
func TestResending(t *testing.T) {
	t.Attr("requirement", "S-10")
	t.Attr("requirement", "S-11")
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		// The text arrives and its response does not: the last octets that
		// pass are those of the text.
		a, b := net.Pipe()
		silent := &mute{Conn: b}
		alice, bob := resumed(t, a, silent, nil, nil)
		first, err := alice.Session.Send(ctx, msrp.Text("before"))
		require.NoError(t, err)
		require.NoError(t, first.Delivered(ctx))
		assert.Equal(t, "before", msrptest.Read(t, ctx, bob.Session))
		silent.mute()
		out, err := alice.Session.Send(ctx, msrp.Text("Hello, Bob!"))
		require.NoError(t, err)
		assert.Equal(t, "Hello, Bob!", msrptest.Read(t, ctx, bob.Session))
		a.Close()
		require.ErrorIs(t, out.Delivered(ctx), msrp.ErrConnLost)

		a, b = net.Pipe()
		alice, bob2 := resumed(t, a, b, alice.Session, bob.Session)
		again, err := out.Again(ctx)
		require.NoError(t, err)
		assert.Equal(t, out.ID(), again.ID)
		out, err = alice.Session.Send(ctx, again)
		require.NoError(t, err)
		require.NoError(t, out.Delivered(ctx), "it is confirmed all the same")
		last, err := alice.Session.Send(ctx, msrp.Text("after"))
		require.NoError(t, err)
		require.NoError(t, last.Delivered(ctx))
		assert.Equal(t, "after", msrptest.Read(t, ctx, bob2.Session), "the first thing that is new")
	})
}

// A mute connection loses what is written to it.
type mute struct {
	net.Conn
	mu    sync.Mutex
	muted bool
}

func (m *mute) mute() { m.mu.Lock(); m.muted = true; m.mu.Unlock() }

func (m *mute) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.muted {
		return len(p), nil
	}
	return m.Conn.Write(p)
}

// A message that was on its way in the old session is taken once, whichever of
// the two sessions has it whole first.
func TestResendingWhileTheOldOneGoesOn(t *testing.T) {
	t.Attr("requirement", "S-11")
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a, b := net.Pipe()
		alice, bob := resumed(t, a, b, nil, nil)
		c, d := net.Pipe()
		alice2, bob2 := resumed(t, c, d, alice.Session, bob.Session)

		hold, release := io.Pipe()
		m := &msrp.Message{ID: "m3ss4ge1", ContentType: "image/jpeg", Body: hold, Size: 100_000, SuccessReport: true}
		slow, err := alice.Session.Send(ctx, m)
		require.NoError(t, err)
		release.Write(make([]byte, 90_000))
		partial, err := bob.Session.Receive(ctx)
		require.NoError(t, err)

		m.Body = bytes.NewReader(make([]byte, 100_000))
		fast, err := alice2.Session.Send(ctx, m)
		require.NoError(t, err)
		in, err := bob2.Session.Receive(ctx)
		require.NoError(t, err)
		assert.Equal(t, partial.ID, in.ID)
		body, err := io.ReadAll(in)
		require.NoError(t, err)
		assert.Len(t, body, 100_000)
		require.NoError(t, fast.Delivered(ctx))

		release.Write(make([]byte, 10_000))
		_, err = io.Copy(io.Discard, partial)
		assert.ErrorIs(t, err, msrp.ErrDuplicate)
		assert.NoError(t, slow.Delivered(ctx), "the peer has it")
	})
}

// A body begins once more where it began; one that cannot is left to the caller.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a, b := net.Pipe()
		alice, bob := msrptest.Pair(t, a, b, msrptest.Options{}, msrptest.Options{})
		seekable := strings.NewReader("not this: but this")
		seekable.Seek(10, io.SeekStart)
		pipe, hold := io.Pipe()
		var sent []*msrp.Outgoing
		for _, body := range []io.Reader{seekable, pipe} {
			out, err := alice.Session.Send(ctx, &msrp.Message{ContentType: "text/plain", Body: body, Header: msrp.Header{{Name: "Content-ID", Value: "<a@b>"}}})
			require.NoError(t, err)
			sent = append(sent, out)
		}
		assert.Equal(t, "but this", msrptest.Read(t, ctx, bob.Session))
		require.NoError(t, sent[0].Sent(ctx))
		again, err := sent[0].Again(ctx)
		require.NoError(t, err)
		assert.Nil(t, again.Body, "it has arrived: nothing is kept of it")

		alice.Conn.Close()
		require.ErrorIs(t, sent[1].Sent(ctx), msrp.ErrConnClosed)
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = sent[1].Again(soon)
		assert.ErrorIs(t, err, context.DeadlineExceeded, "it is still being read")
		hold.Close()
		again, err = sent[1].Again(ctx)
		require.NoError(t, err)
		assert.Nil(t, again.Body)
		assert.Equal(t, "<a@b>", again.Header.Get("Content-ID"))

		a, b = net.Pipe()
		alice, bob = msrptest.Pair(t, a, b, msrptest.Options{}, msrptest.Options{})
		file := struct{ io.ReadSeeker }{bytes.NewReader(make([]byte, 2_000_000))} // read ahead, by a goroutine, and more than bob holds unread
		file.Seek(50_000, io.SeekStart)
		out, err := alice.Session.Send(ctx, &msrp.Message{ContentType: "image/png", Body: file})
		require.NoError(t, err)
		_, err = bob.Session.Receive(ctx)
		require.NoError(t, err)
		alice.Session.Close()
		require.ErrorIs(t, out.Sent(ctx), msrp.ErrSessionClosed)
		again, err = out.Again(ctx)
		require.NoError(t, err)
		body, err := io.ReadAll(again.Body)
		require.NoError(t, err)
		assert.Len(t, body, 1_950_000)
	})
}

// RFC 4975, section 7.1.1: an application may put a time limit to the success
// report.
func TestDeliveryTimeout(t *testing.T) {
	t.Attr("requirement", "S-41")
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a, b := net.Pipe()
		alice, bob := msrptest.Pair(t, a, b, msrptest.Options{}, msrptest.Options{})
		send := func(failure msrp.FailureReport) *msrp.Outgoing {
			m := msrp.Text("Hello")
			m.DeliveryTimeout = 2 * time.Minute
			m.FailureReport = failure
			out, err := alice.Session.Send(ctx, m)
			require.NoError(t, err)
			return out
		}
		require.NoError(t, send(msrp.FailureYes).Delivered(ctx))
		bob.Conn.Close()
		a, b = net.Pipe()
		alice, _ = msrptest.Pair(t, a, &deaf{Conn: b}, msrptest.Options{}, msrptest.Options{})
		synctest.Wait() // the first request is all that it hears
		for _, failure := range []msrp.FailureReport{msrp.FailureNo, msrp.FailurePartial} {
			out := send(failure)
			require.NoError(t, out.Sent(ctx))
			start := time.Now()
			var status *msrp.StatusError
			require.ErrorAs(t, out.Delivered(ctx), &status)
			assert.Equal(t, msrp.StatusTimeout, status.Code)
			assert.True(t, status.Local)
			assert.Equal(t, out.ID(), status.MessageID)
			assert.Equal(t, 2*time.Minute, time.Since(start))
		}
	})
}

// A deaf connection never lets its owner hear more than the first request.
type deaf struct {
	net.Conn
	once sync.Once
}

func (d *deaf) Read(p []byte) (n int, err error) {
	d.once.Do(func() { n, err = d.Conn.Read(p) })
	if n > 0 || err != nil {
		return n, err
	}
	_, err = io.Copy(io.Discard, d.Conn)
	return 0, errors.Join(io.EOF, err)
}

// Messages of all sizes go both ways over connections that break off at any
// octet, and each is received once and as it was sent.
func TestCutsLoseNothing(t *testing.T) {
	t.Attr("requirement", "S-10")
	t.Attr("requirement", "S-11")
	cuts := 20
	if os.Getenv("SOAK") != "" {
		cuts = 200
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	alice, bob := newResender(), newResender()
	var was, is [2]*msrp.Session
	for cut := range cuts + 1 {
		a, b := net.Pipe()
		if cut < cuts {
			a = msrptest.Cut(a, 200+random.Int64N(1<<20))
		}
		aliceSide, bobSide := resumed(t, a, b, was[0], was[1])
		is = [2]*msrp.Session{aliceSide.Session, bobSide.Session}
		alice.connect(t, ctx, is[0])
		bob.connect(t, ctx, is[1])
		if cut == cuts {
			break
		}
		// Messages without end, until it breaks off.
		var wg sync.WaitGroup
		for i, r := range []*resender{alice, bob} {
			seed := random.Uint64()
			wg.Go(func() { r.sendUntilTheEnd(t, ctx, is[i], rand.New(rand.NewPCG(seed, 0))) })
		}
		wg.Wait()
		was = is
	}
	for _, r := range []*resender{alice, bob} {
		for _, out := range r.open {
			require.NoError(t, out.Delivered(ctx))
		}
	}
	is[0].Close()
	is[1].Close()
	alice.reading.Wait()
	bob.reading.Wait()
	assert.True(t, maps.Equal(alice.sent, bob.received))
	assert.True(t, maps.Equal(bob.sent, alice.received))
	t.Logf("%d cuts, %d and %d messages, of which %d and %d were sent again", cuts, len(alice.sent), len(bob.sent), alice.again, bob.again)
	assert.NotZero(t, alice.again+bob.again, "nothing was on its way at a cut")
}

// A resender is one side of a conversation, whatever becomes of its connections.
type resender struct {
	open  []*msrp.Outgoing // not confirmed
	sent  map[string][32]byte
	again int

	reading  sync.WaitGroup
	mu       sync.Mutex
	received map[string][32]byte
}

func newResender() *resender {
	return &resender{sent: map[string][32]byte{}, received: map[string][32]byte{}}
}

// connect receives what comes in a new session, and sends once more in it what
// was not confirmed in the one before.
func (r *resender) connect(t *testing.T, ctx context.Context, s *msrp.Session) {
	r.reading.Go(func() {
		for {
			in, err := s.Receive(ctx)
			if err != nil {
				return
			}
			r.reading.Go(func() {
				sum := sha256.New()
				if _, err := io.Copy(sum, in); err != nil {
					return // it will come once more
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				assert.NotContains(t, r.received, in.ID, "received twice")
				r.received[in.ID] = [32]byte(sum.Sum(nil))
			})
		}
	})
	open := r.open
	r.open = nil
	for _, out := range open {
		if out.Delivered(ctx) == nil {
			continue
		}
		m, err := out.Again(ctx)
		require.NoError(t, err)
		next, err := s.Send(ctx, m)
		if err != nil {
			next = out // this connection broke off already
		}
		r.again++
		r.open = append(r.open, next)
	}
}

func (r *resender) sendUntilTheEnd(t *testing.T, ctx context.Context, s *msrp.Session, random *rand.Rand) {
	for {
		size := random.IntN(1000)
		if random.IntN(10) == 0 {
			size = random.IntN(200_000)
		}
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		m := &msrp.Message{ID: msrp.NewID(), ContentType: "application/octet-stream", Body: bytes.NewReader(body), SuccessReport: true}
		out, err := s.Send(ctx, m)
		if err != nil {
			return
		}
		r.sent[m.ID] = sha256.Sum256(body)
		r.open = append(r.open, out)
		if len(r.open)%8 == 0 {
			out.Delivered(ctx) // or the end would be far away
		}
	}
}

// Who has offered to resume, and learns too late or never that the peer has taken
// it, receives nothing by that: the peer sends it in the session that is agreed on.
func TestResumedBeforeTheAnswer(t *testing.T) {
	t.Attr("requirement", "S-11")
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a, b := net.Pipe()
		alice, bob := resumed(t, a, b, nil, nil)
		offered := func() (waits *msrp.Session, out *msrp.Outgoing) {
			a, b := net.Pipe()
			here, there := msrp.NewEndpoint(nil), msrp.NewEndpoint(nil)
			conn := here.NewConn(msrp.NewStream(a))
			t.Cleanup(func() { conn.Close() })
			far := there.NewConn(msrp.NewStream(b))
			t.Cleanup(func() { far.Close() })
			waits, err := there.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "bob"), Resumes: bob.Session})
			require.NoError(t, err)
			s, err := here.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "alice"), Resumes: alice.Session})
			require.NoError(t, err)
			require.NoError(t, s.Start(msrp.Remote{Path: msrp.Path{waits.URI()}, Conn: conn, Active: true}))
			m := msrp.Text("Hello, Bob!")
			m.ID = "m3ss4ge1"
			out, err = s.Send(ctx, m)
			require.NoError(t, err)
			require.NoError(t, out.Sent(ctx))
			synctest.Wait()
			assert.False(t, out.Progress().Delivered)
			t.Cleanup(func() { s.Close() })
			return waits, out
		}
		waits, _ := offered()
		waits.Close()
		_, err := waits.Receive(ctx)
		require.ErrorIs(t, err, msrp.ErrSessionClosed)

		waits, out := offered()
		require.NoError(t, waits.Start(msrp.Remote{Path: msrp.Path{msrptest.NewURI(t, "alice")}}))
		require.NoError(t, out.Delivered(ctx))
		assert.Equal(t, "Hello, Bob!", msrptest.Read(t, ctx, waits))
		waits.Close()
	})
}

// However long the answer takes, nothing is refused for it: a message that was
// refused does not come again.
func TestMuchBeforeTheAnswer(t *testing.T) {
	t.Attr("requirement", "S-11")
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		a, b := net.Pipe()
		alice, bob := resumed(t, a, b, nil, nil)
		a, b = net.Pipe()
		here, there := msrp.NewEndpoint(nil), msrp.NewEndpoint(nil)
		conn, far := here.NewConn(msrp.NewStream(a)), there.NewConn(msrp.NewStream(b))
		defer conn.Close()
		defer far.Close()
		waits, err := there.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "bob"), Resumes: bob.Session})
		require.NoError(t, err)
		s, err := here.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "alice"), Resumes: alice.Session})
		require.NoError(t, err)
		require.NoError(t, s.Start(msrp.Remote{Path: msrp.Path{waits.URI()}, Conn: conn, Active: true}))
		text := strings.Repeat("x", 8000)
		var sent []*msrp.Outgoing
		for range 100 { // more than bob holds unread
			out, err := s.Send(ctx, msrp.Text(text))
			require.NoError(t, err)
			sent = append(sent, out)
		}
		time.Sleep(25 * time.Second) // on synctest's clock
		require.NoError(t, waits.Start(msrp.Remote{Path: msrp.Path{msrptest.NewURI(t, "alice")}}))
		for _, out := range sent {
			assert.Equal(t, text, msrptest.Read(t, ctx, waits))
			require.NoError(t, out.Delivered(ctx))
		}
		s.Close()
		waits.Close()
	})
}
