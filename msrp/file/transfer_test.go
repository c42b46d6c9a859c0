package file_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/cpim"
	"github.com/webmsrp/webmsrp/msrp/file"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// guard is how long a test waits for something that should happen at once.
const guard = 20 * time.Second

// octets returns a file in memory.
func octets(t testing.TB, size int64) []byte {
	b, err := io.ReadAll(msrptest.Octets(size, 1))
	require.NoError(t, err)
	return b
}

func photo(content []byte) *file.File {
	return &file.File{Name: "My cool picture.jpg", Type: "image/jpeg", Size: int64(len(content)), Octets: bytes.NewReader(content)}
}

func describe(t testing.TB, f *file.File) sdp.FileSelector {
	selector, err := f.Describe(t.Context(), nil)
	require.NoError(t, err)
	return selector
}

// offered reads a description of one stream.
func offered(t testing.TB, description string) sdp.Stream {
	t.Helper()
	d, err := sdp.Parse(description)
	require.NoError(t, err)
	require.Len(t, d.Media, 1)
	s, err := d.Stream(0)
	require.NoError(t, err)
	return s
}

// attributes returns the values of the a=file- lines of a description.
func attributes(description string) map[string]string {
	list := map[string]string{}
	for _, m := range regexp.MustCompile(`a=(file-[a-z-]+):([^\r]*)\r`).FindAllStringSubmatch(description, -1) {
		list[m[1]] = m[2]
	}
	return list
}

// wire keeps what a user's connections have carried.
type wire struct {
	mu      sync.Mutex
	units   []msrp.TraceEvent
	changed chan struct{} // closed and renewed with each change
}

func watch(u *msrptest.User) *wire {
	w := &wire{changed: make(chan struct{})}
	u.Endpoint = msrp.NewEndpoint(&msrp.Options{Trace: func(e msrp.TraceEvent) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.units = append(w.units, e)
		close(w.changed)
		w.changed = make(chan struct{})
	}})
	return w
}

// chunks returns the SENDs with a body, in order.
func (w *wire) chunks() (list []msrp.TraceEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.units {
		if !e.Unit.IsResponse() && e.Unit.Method == msrp.MethodSend && e.Body != nil {
			list = append(list, e)
		}
	}
	return list
}

// aborted waits for a chunk with the flag #.
func (w *wire) aborted(t *testing.T, ctx context.Context) {
	t.Helper()
	for {
		w.mu.Lock()
		changed := w.changed
		w.mu.Unlock()
		if slices.ContainsFunc(w.chunks(), func(e msrp.TraceEvent) bool { return e.Unit.Flag == msrp.FlagAborted }) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("no chunk with #")
		}
	}
}

// codes returns those of the responses that came in, other than 200.
func (w *wire) codes() (list []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.units {
		if e.Unit.IsResponse() && !e.Outgoing && e.Unit.Code != msrp.StatusOK {
			list = append(list, e.Unit.Code)
		}
	}
	return list
}

// A transfer is under way between alice, who sends, and bob.
type transfer struct {
	from, to *call.Call
	wire     *wire // alice's
	sender   *msrptest.User
	f        *file.File
	offer    string
	answer   string
	ctx      context.Context
	r        *file.Receiver
	received *bytes.Buffer
}

// pushed sets up a push of f, or of a part.
func pushed(t *testing.T, f *file.File, from int64) *transfer {
	var network msrptest.Network
	alice, bob := network.User(t, "alice"), network.User(t, "bob")
	x := &transfer{f: f, wire: watch(alice), sender: alice, received: &bytes.Buffer{}}
	var cancel context.CancelFunc
	x.ctx, cancel = context.WithTimeout(t.Context(), guard)
	t.Cleanup(cancel)
	x.from = alice.Call(t, func(o *call.Options) {
		o.Direction, o.File = sdp.SendOnly, file.NewTransfer(describe(t, f), from)
	})
	var err error
	x.offer, err = x.from.Offer(x.ctx)
	require.NoError(t, err)
	peer := offered(t, x.offer)
	x.r, err = file.NewReceiver(x.received, peer.File.Selector)
	require.NoError(t, err)
	own := &sdp.FileTransfer{Selector: sdp.FileSelector{Size: -1}, Range: peer.File.Range}
	if from == 0 {
		own, err = x.r.Accept(peer.File)
		require.NoError(t, err)
	}
	x.to = bob.Call(t, func(o *call.Options) { o.File = own })
	x.answer, err = x.to.Answer(x.ctx, x.offer)
	require.NoError(t, err)
	require.NoError(t, x.from.Accept(x.ctx, x.answer))
	return x
}

// send sends the file over the sender's session.
func (x *transfer) send(t *testing.T, o *file.SendOptions) *file.Sending {
	t.Helper()
	s, err := x.f.Send(x.ctx, x.from.Session(), x.from.File(), o)
	require.NoError(t, err)
	return s
}

func (x *transfer) receive() error { return x.r.Receive(x.ctx, x.to.Session(), x.to.File()) }

// RFC 5547, sections 8.2.1, 8.3.1 and 8.7.
func TestPush(t *testing.T) {
	wrapper := cpim.Header{
		cpim.From(cpim.Address{Name: "Alice", URI: "sip:alice@example.com"}),
		cpim.To(cpim.Address{Name: "Bob", URI: "sip:bob@example.com"}),
	}
	for name, options := range map[string]*file.SendOptions{"bare": nil, "wrapped": {Wrapper: wrapper}} {
		for _, size := range []int64{0, 1, 5000, 300_000, 1<<20 + 1} {
			t.Run(name, func(t *testing.T) {
				for _, id := range []string{"X-10", "X-11", "X-12", "X-14", "X-15", "D-11"} {
					t.Attr("requirement", id)
				}
				content := octets(t, size)
				x := pushed(t, photo(content), 0)

				peer, answered := offered(t, x.offer), offered(t, x.answer)
				assert.Equal(t, sdp.SendOnly, peer.Direction)
				assert.Equal(t, sdp.RecvOnly, answered.Direction)
				assert.Len(t, peer.File.ID, 32)
				require.Len(t, peer.File.Selector.Hashes, 2)
				sum := sha1.Sum(content)
				assert.Equal(t, sdp.NewHash("sha-1", sum[:]), peer.File.Selector.Hashes[0])
				assert.Equal(t, "sha-256", peer.File.Selector.Hashes[1].Algorithm)
				assert.Equal(t, size, peer.File.Selector.Size)
				said := attributes(x.offer)
				assert.Equal(t, map[string]string{"file-selector": said["file-selector"], "file-transfer-id": peer.File.ID}, attributes(x.answer))

				told := make(chan int64, 10_000)
				o := file.SendOptions{Progress: func(n int64) { told <- n }}
				if options != nil {
					o.Wrapper = options.Wrapper
				}
				var written int64
				x.r.Progress = func(n int64) { written = n }
				s := x.send(t, &o)
				require.NoError(t, x.receive())
				require.NoError(t, s.Delivered(x.ctx)) // reports go against the direction
				assert.True(t, bytes.Equal(content, x.received.Bytes()))
				assert.True(t, x.r.Whole())
				assert.Equal(t, peer.File.Selector, x.r.Selector())
				assert.Equal(t, size, x.r.Octets())
				assert.Equal(t, size, s.Octets())
				for last := int64(-1); last != size; {
					select {
					case n := <-told:
						assert.GreaterOrEqual(t, n, last)
						last = n
					case <-x.ctx.Done():
						t.Fatal("progress does not come to its end")
					}
				}
				assert.Equal(t, size, written)

				ids := map[string]bool{}
				for _, c := range x.wire.chunks() {
					ids[c.Unit.MessageID()] = true
					assert.Equal(t, `attachment; filename="My cool picture.jpg"`, c.Unit.Header.Get("Content-Disposition"))
					assert.Equal(t, map[bool]string{true: "message/cpim", false: "image/jpeg"}[options != nil], c.Unit.ContentType())
				}
				assert.Len(t, ids, 1) // one message

				// Nothing else goes the other way, except what keeps it alive.
				_, err := x.to.Session().Send(x.ctx, msrp.Text("thanks"))
				assert.ErrorIs(t, err, msrp.ErrRecvOnly)
				assert.NoError(t, x.to.Session().Probe(x.ctx))
			})
		}
	}
}

// RFC 5547, sections 8.2.2 and 8.3.2.
func TestPull(t *testing.T) {
	content := octets(t, 200_000)
	f := photo(content)
	whole := describe(t, f)
	for name, c := range map[string]struct {
		ask     sdp.FileSelector
		has     int
		refused bool
	}{
		"by its hash":          {ask: sdp.FileSelector{Size: -1, Hashes: whole.Hashes[:1]}},
		"by its name":          {ask: sdp.FileSelector{Name: f.Name, Size: -1}},
		"by type and size":     {ask: sdp.FileSelector{Type: "image/*", Size: f.Size}},
		"the rest":             {ask: sdp.FileSelector{Size: -1, Hashes: whole.Hashes[:1]}, has: 123_456},
		"the rest, size known": {ask: whole, has: 199_999},
		"another one":          {ask: sdp.FileSelector{Name: "notes.txt", Size: -1}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, id := range []string{"X-11", "X-12", "X-15", "X-16"} {
				t.Attr("requirement", id)
			}
			var network msrptest.Network
			alice, bob := network.User(t, "alice"), network.User(t, "bob")
			w := watch(alice)
			ctx, cancel := context.WithTimeout(t.Context(), guard)
			defer cancel()
			received := bytes.NewBuffer(slices.Clone(content[:c.has]))
			r, err := file.NewReceiver(received, c.ask)
			require.NoError(t, err)
			require.NoError(t, r.Have(bytes.NewReader(content[:c.has])))
			to := bob.Call(t, func(o *call.Options) { o.Direction, o.File = sdp.RecvOnly, r.Ask() })
			offer, err := to.Offer(ctx)
			require.NoError(t, err)
			assert.Equal(t, sdp.RecvOnly, offered(t, offer).Direction)

			from := alice.Call(t, func(o *call.Options) { o.File = &sdp.FileTransfer{Selector: whole} })
			answer, err := from.Answer(ctx, offer)
			if c.refused {
				assert.ErrorContains(t, err, "not the one")
				answer, err = from.Refuse(offer)
				require.NoError(t, err)
				assert.Equal(t, attributes(offer), attributes(answer))
				assert.ErrorIs(t, to.Accept(ctx, answer), sdp.ErrRefused)
				return
			}
			require.NoError(t, err)
			answered := offered(t, answer)
			assert.Equal(t, sdp.SendOnly, answered.Direction)
			assert.Equal(t, whole, answered.File.Selector)
			assert.Equal(t, attributes(offer)["file-transfer-id"], answered.File.ID)
			assert.Equal(t, attributes(offer)["file-range"], attributes(answer)["file-range"])
			require.NoError(t, to.Accept(ctx, answer))

			s, err := f.Send(ctx, from.Session(), from.File(), nil)
			require.NoError(t, err)
			require.NoError(t, r.Receive(ctx, to.Session(), to.File()))
			require.NoError(t, s.Delivered(ctx))
			assert.True(t, bytes.Equal(content, received.Bytes()))
			assert.Equal(t, whole.Hashes, r.Selector().Hashes)
			assert.Equal(t, f.Name, r.Selector().Name)
			first := w.chunks()[0].Unit.ByteRange()
			assert.EqualValues(t, 1, first.Start)
			assert.EqualValues(t, len(content)-c.has, first.Total)
		})
	}
}

// RFC 5547, section 8.7: both ends of a range are included, and the message
// begins with octet 1.
func TestRanges(t *testing.T) {
	t.Attr("requirement", "X-16")
	content := octets(t, 1000)
	for _, c := range []struct {
		part       sdp.FileRange
		from, to   int
		has        int
		whole, gap bool
	}{
		{part: sdp.FileRange{Start: 1, Stop: 1}, from: 0, to: 1},
		{part: sdp.FileRange{Start: 101, Stop: 200}, from: 100, to: 200, has: 100},
		{part: sdp.FileRange{Start: 101, Stop: 1000}, from: 100, to: 1000, has: 100, whole: true},
		{part: sdp.FileRange{Start: 1000, Stop: -1}, from: 999, to: 1000, has: 1000, whole: true},
		{part: sdp.FileRange{Start: 1, Stop: -1}, from: 0, to: 1000, has: 500, whole: true},
		{part: sdp.FileRange{Start: 502, Stop: -1}, has: 500, gap: true},
	} {
		received := bytes.NewBuffer(slices.Clone(content[:c.has]))
		x := pushed(t, photo(content), 0)
		x.from.File().Range, x.to.File().Range = c.part, c.part
		r, err := file.NewReceiver(received, x.to.File().Selector)
		require.NoError(t, err)
		require.NoError(t, r.Have(bytes.NewReader(content[:c.has])))
		_, err = r.Accept(x.to.File())
		if c.gap {
			assert.ErrorIs(t, err, file.ErrGap)
			assert.ErrorIs(t, r.Receive(x.ctx, x.to.Session(), x.to.File()), file.ErrGap)
			continue
		}
		require.NoError(t, err)
		x.send(t, nil)
		require.NoError(t, r.Receive(x.ctx, x.to.Session(), x.to.File()))
		assert.Equal(t, c.whole, r.Whole())
		assert.True(t, bytes.Equal(content[:max(c.to, c.has)], received.Bytes()))
		chunk := x.wire.chunks()[0]
		assert.Equal(t, msrp.ByteRange{Start: 1, End: int64(c.to - c.from), Total: int64(c.to - c.from)}, chunk.Unit.ByteRange())
		assert.Equal(t, content[c.from:c.to], chunk.Body)
		if r.Whole() {
			_, err = r.Accept(x.to.File())
			assert.ErrorContains(t, err, "all of it is there")
		}
	}
}

// RFC 5547, section 8.3: a refusal says which file is not wanted.
func TestRefusedFile(t *testing.T) {
	t.Attr("requirement", "X-11")
	x := pushed(t, photo(octets(t, 10)), 0)
	var network msrptest.Network
	answer, err := network.User(t, "bob").Call(t, nil).Refuse(x.offer)
	require.NoError(t, err)
	assert.Contains(t, answer, "m=message 0 ")
	said := attributes(x.offer)
	delete(said, "file-disposition")
	assert.Equal(t, said, attributes(answer))
}

// RFC 5547, section 8.1, figure 3.
func TestTransferIDs(t *testing.T) {
	content := octets(t, 100_000)
	start := func(t *testing.T) *transfer {
		t.Attr("requirement", "X-13")
		x := pushed(t, photo(content), 0)
		x.send(t, nil)
		return x
	}
	// To an octet in the middle.
	startHalf := func(t *testing.T) *transfer {
		t.Attr("requirement", "X-13")
		x := pushed(t, photo(content), 0)
		all, more := x.f.Octets, make(chan struct{})
		t.Cleanup(func() { close(more) })
		x.f.Octets = stopping{all, 50_000, more}
		x.send(t, nil)
		x.f.Octets = all
		require.NoError(t, x.from.Session().Probe(x.ctx)) // bob knows of the session
		return x
	}
	renewed := func(t *testing.T, x *transfer, offer string) string {
		answer, err := x.to.Answer(x.ctx, offer)
		require.NoError(t, err)
		require.NoError(t, x.from.Accept(x.ctx, answer))
		return answer
	}
	t.Run("the same file under the same ID goes on", func(t *testing.T) {
		x := start(t)
		alice, bob, before := x.from.Session(), x.to.Session(), x.to.File().ID
		again, err := x.from.Offer(x.ctx)
		require.NoError(t, err)
		assert.Equal(t, x.offer, again)
		assert.Equal(t, x.answer, renewed(t, x, again))
		back, err := x.to.Offer(x.ctx)
		require.NoError(t, err)
		answer, err := x.from.Answer(x.ctx, back)
		require.NoError(t, err)
		require.NoError(t, x.to.Accept(x.ctx, answer))
		assert.Equal(t, sdp.SendOnly, offered(t, answer).Direction)
		assert.Same(t, alice, x.from.Session())
		assert.Same(t, bob, x.to.Session())
		assert.Equal(t, before, x.to.File().ID)
		require.NoError(t, x.receive())
		assert.True(t, bytes.Equal(content, x.received.Bytes()))
	})
	t.Run("and is not transferred again afterwards", func(t *testing.T) {
		x := start(t)
		require.NoError(t, x.receive())
		x.from.Session().Close()
		_, err := x.from.Offer(x.ctx)
		assert.ErrorIs(t, err, msrp.ErrSessionClosed)
		x.to.Close()
		answer, err := x.to.Answer(x.ctx, x.offer)
		require.NoError(t, err)
		assert.Contains(t, answer, "m=message 0 ")
		assert.Equal(t, x.to.File().ID, attributes(answer)["file-transfer-id"])
		answer, err = x.to.Answer(x.ctx, x.offer)
		require.NoError(t, err)
		assert.Contains(t, answer, "m=message 0 ")
	})
	t.Run("another file under the same ID ends it", func(t *testing.T) {
		x := startHalf(t)
		again, err := x.from.Offer(x.ctx)
		require.NoError(t, err)
		answer, err := x.to.Answer(x.ctx, strings.Replace(again, "size:100000", "size:99999", 1))
		assert.ErrorContains(t, err, "became one of another file")
		assert.Contains(t, answer, "m=message 0 ")
		assert.ErrorIs(t, x.to.Session().Err(), msrp.ErrSessionClosed)
		assert.ErrorIs(t, x.from.Accept(x.ctx, answer), sdp.ErrRefused)
		assert.ErrorIs(t, x.receive(), msrp.ErrSessionClosed)
	})
	t.Run("another ID begins again", func(t *testing.T) {
		x := startHalf(t)
		alice, bob, before := x.from.Session(), x.to.Session(), x.to.File().ID
		x.from.SetFile(sdp.SendOnly, file.NewTransfer(describe(t, x.f), 0))
		offer, err := x.from.Offer(x.ctx)
		require.NoError(t, err)
		renewed(t, x, offer)
		assert.NotEqual(t, before, x.to.File().ID)
		for _, old := range []*msrp.Session{alice, bob} {
			<-old.Done()
		}
		x.send(t, nil)
		require.NoError(t, x.receive())
		assert.True(t, bytes.Equal(content, x.received.Bytes()))
	})
	t.Run("going on later takes another ID", func(t *testing.T) {
		x := startHalf(t)
		x.sender.Disconnect()
		<-x.from.Session().Done()
		_, err := x.from.Offer(x.ctx)
		assert.ErrorContains(t, err, "needs a new ID")
		assert.Error(t, x.receive())
		x.to.SetFile(sdp.RecvOnly, x.r.Ask())
		offer, err := x.to.Offer(x.ctx)
		require.NoError(t, err)
		answer, err := x.from.Answer(x.ctx, offer)
		require.NoError(t, err)
		require.NoError(t, x.to.Accept(x.ctx, answer))
		x.send(t, nil)
		require.NoError(t, x.receive())
		assert.True(t, bytes.Equal(content, x.received.Bytes()))
	})
	t.Run("a transfer under another path goes on", func(t *testing.T) {
		x := startHalf(t)
		offer, err := x.from.Renew(x.ctx)
		require.NoError(t, err)
		assert.Equal(t, attributes(x.offer), attributes(offer))
		renewed(t, x, offer)
		x.send(t, nil)
		require.NoError(t, x.receive())
		assert.True(t, bytes.Equal(content, x.received.Bytes()))
	})
}

// RFC 5547, section 8.3.1: what has come is compared with what was described.
func TestVerification(t *testing.T) {
	content := octets(t, 70_000)
	right := describe(t, photo(content))
	hash := func(i int, sum string) []sdp.Hash {
		h := slices.Clone(right.Hashes)
		h[i].Sum = sum
		return h
	}
	zeros := func(n int) string { return strings.TrimSuffix(strings.Repeat("00:", n), ":") }
	for name, c := range map[string]struct {
		adjust func(s *sdp.FileSelector)
		want   string // the selector that differs
	}{
		"right":         {func(s *sdp.FileSelector) {}, ""},
		"nothing known": {func(s *sdp.FileSelector) { *s = sdp.FileSelector{Size: -1} }, ""},
		"small letters": {func(s *sdp.FileSelector) { s.Hashes = hash(0, strings.ToLower(right.Hashes[0].Sum)) }, ""},
		"a hash of another kind": {func(s *sdp.FileSelector) {
			s.Hashes = append(slices.Clone(right.Hashes), sdp.Hash{Algorithm: "md5", Sum: "00"})
		}, ""},
		"a name that has to change": {func(s *sdp.FileSelector) { s.Name = "/tmp/My cool picture.jpg" }, ""},
		"SHA-1":                     {func(s *sdp.FileSelector) { s.Hashes = hash(0, zeros(20)) }, "sha-1"},
		"SHA-256":                   {func(s *sdp.FileSelector) { s.Hashes = hash(1, zeros(32)) }, "sha-256"},
		"SHA-256 alone":             {func(s *sdp.FileSelector) { s.Hashes = hash(1, zeros(32))[1:] }, "sha-256"},
		"less than it has":          {func(s *sdp.FileSelector) { s.Size-- }, "size"},
		"more than it has":          {func(s *sdp.FileSelector) { s.Size++ }, "size"},
		"type":                      {func(s *sdp.FileSelector) { s.Type = "image/png" }, "type"},
		"name":                      {func(s *sdp.FileSelector) { s.Name = "other.jpg" }, "name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Attr("requirement", "X-14")
			t.Attr("requirement", "X-15")
			x := pushed(t, photo(content), 0)
			selector := right
			c.adjust(&selector)
			r, err := file.NewReceiver(x.received, selector)
			require.NoError(t, err)
			x.send(t, nil)
			err = r.Receive(x.ctx, x.to.Session(), &sdp.FileTransfer{Selector: selector})
			if c.want == "" {
				require.NoError(t, err)
				assert.True(t, r.Whole())
				return
			}
			var mismatch *file.MismatchError
			require.ErrorAs(t, err, &mismatch)
			assert.Equal(t, c.want, mismatch.Selector)
			assert.Contains(t, err.Error(), c.want)
			assert.False(t, r.Whole())
		})
	}
	t.Run("when it comes in parts", func(t *testing.T) {
		t.Attr("requirement", "X-15")
		x := pushed(t, photo(content), 50_000)
		wrong := slices.Clone(content[:50_000])
		wrong[7]++
		require.NoError(t, x.r.Have(bytes.NewReader(wrong)))
		x.send(t, nil)
		var mismatch *file.MismatchError
		require.ErrorAs(t, x.receive(), &mismatch)
		assert.Equal(t, "sha-1", mismatch.Selector)
	})
	t.Run("of another file", func(t *testing.T) {
		r, err := file.NewReceiver(io.Discard, right)
		require.NoError(t, err)
		_, err = r.Accept(&sdp.FileTransfer{Selector: describe(t, photo(content[1:]))})
		assert.ErrorContains(t, err, "of another file")
	})
}

// RFC 5547, section 8.4, figure 4.
func TestSenderAborts(t *testing.T) {
	for name, wait := range map[string]bool{"and waits for the answer": true, "and closes": false} {
		t.Run(name, func(t *testing.T) {
			t.Attr("requirement", "X-17")
			content := octets(t, 500_000)
			more := make(chan struct{})
			f := photo(content)
			x := pushed(t, f, 0)
			t.Cleanup(func() { close(more) })
			f.Octets = stopping{bytes.NewReader(content), 200_000, more}
			s := x.send(t, nil)
			begun := make(chan struct{})
			var once sync.Once
			x.r.Progress = func(int64) { once.Do(func() { close(begun) }) }
			result := make(chan error, 1)
			go func() { result <- x.receive() }()
			<-begun

			s.Abort()
			assert.ErrorIs(t, s.Sent(x.ctx), msrp.ErrAborted)
			end, err := x.from.End()
			require.NoError(t, err)
			if !wait {
				x.from.Close()
			}
			assert.ErrorIs(t, <-result, msrp.ErrAborted)
			x.wire.aborted(t, x.ctx)
			assert.Contains(t, end, "m=message 0 TCP/MSRP *\r\n")
			assert.Contains(t, end, "a=sendonly\r\n")
			assert.Equal(t, x.from.File().ID, attributes(end)["file-transfer-id"])
			answer, err := x.to.Answer(x.ctx, end)
			require.NoError(t, err)
			assert.Equal(t, attributes(end), attributes(answer))
			require.NoError(t, x.from.Accept(x.ctx, answer))
			for _, c := range []*call.Call{x.from, x.to} {
				assert.ErrorIs(t, c.Session().Err(), msrp.ErrSessionClosed)
			}
			assert.Less(t, x.r.Octets(), int64(len(content)))
			assert.True(t, bytes.HasPrefix(content, x.received.Bytes()))
		})
	}
}

// stopping reads up to an octet, and waits there.
type stopping struct {
	io.ReaderAt
	at   int64
	more chan struct{}
}

func (s stopping) ReadAt(p []byte, at int64) (int, error) {
	if at >= s.at {
		<-s.more
		return 0, io.ErrUnexpectedEOF
	}
	return s.ReaderAt.ReadAt(p[:min(int64(len(p)), s.at-at)], at)
}

// RFC 5547, section 8.4, figure 5.
func TestReceiverAborts(t *testing.T) {
	t.Attr("requirement", "X-17")
	full := errors.New("the disk is full")
	for name, stop := range map[string]func(x *transfer, cancel context.CancelCauseFunc){
		"by canceling": func(x *transfer, cancel context.CancelCauseFunc) {
			x.r.Progress = func(n int64) { cancel(full) }
		},
		"because it cannot write": func(x *transfer, cancel context.CancelCauseFunc) {
			r, _ := file.NewReceiver(&disk{300_000, full}, x.to.File().Selector)
			x.r = r
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := pushed(t, photo(octets(t, 5<<20)), 0)
			ctx, cancel := context.WithCancelCause(x.ctx)
			stop(x, cancel)
			s := x.send(t, nil)
			assert.ErrorIs(t, x.r.Receive(ctx, x.to.Session(), x.to.File()), full)
			end, err := x.to.End()
			require.NoError(t, err)
			var status *msrp.StatusError
			require.ErrorAs(t, s.Sent(x.ctx), &status)
			assert.Equal(t, msrp.StatusStopSending, status.Code)
			assert.Contains(t, x.wire.codes(), msrp.StatusStopSending)

			assert.Contains(t, end, "m=message 0 TCP/MSRP *\r\n")
			assert.Contains(t, end, "a=recvonly\r\n")
			assert.Equal(t, x.to.File().ID, attributes(end)["file-transfer-id"])
			answer, err := x.from.Answer(x.ctx, end)
			require.NoError(t, err)
			require.NoError(t, x.to.Accept(x.ctx, answer))
			assert.ErrorIs(t, x.from.Session().Err(), msrp.ErrSessionClosed)
			x.wire.aborted(t, x.ctx)
		})
	}
}

// A disk has room for so many octets.
type disk struct {
	room int
	full error
}

func (d *disk) Write(p []byte) (int, error) {
	n := min(d.room, len(p))
	if d.room -= n; n < len(p) {
		return n, d.full
	}
	return n, nil
}

// RFC 5547, section 8.4, figure 6: by SDP alone.
func TestReceiverAbortsBySDP(t *testing.T) {
	t.Attr("requirement", "X-17")
	content := octets(t, 500_000)
	more := make(chan struct{})
	defer close(more)
	f := photo(content)
	x := pushed(t, f, 0)
	f.Octets = stopping{bytes.NewReader(content), 200_000, more}
	s := x.send(t, nil)
	begun := make(chan struct{})
	var once sync.Once
	x.r.Progress = func(int64) { once.Do(func() { close(begun) }) }
	result := make(chan error, 1)
	go func() { result <- x.receive() }()
	<-begun
	end, err := x.to.End()
	require.NoError(t, err)
	answer, err := x.from.Answer(x.ctx, end)
	require.NoError(t, err)
	assert.ErrorIs(t, s.Sent(x.ctx), msrp.ErrSessionClosed)
	assert.ErrorIs(t, <-result, msrp.ErrAborted) // by #
	require.NoError(t, x.to.Accept(x.ctx, answer))
	assert.ErrorIs(t, x.to.Session().Err(), msrp.ErrSessionClosed)
}

// What is described is what is there.
func TestDescribe(t *testing.T) {
	t.Attr("requirement", "X-14")
	f := &file.File{Name: "a/b\"c.txt", Type: "text/plain; charset=utf-8", Size: 3, Octets: strings.NewReader("abc")}
	var seen []int64
	selector, err := f.Describe(t.Context(), func(n int64) { seen = append(seen, n) })
	require.NoError(t, err)
	assert.Equal(t, []int64{3}, seen)
	assert.Equal(t, `name:"a%2Fb%22c.txt" type:text/plain;charset="utf-8" size:3`+
		" hash:sha-1:A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D"+
		" hash:sha-256:BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD", selector.String())

	f.Size = 4
	_, err = f.Describe(t.Context(), nil)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	f.Octets = stopping{ReaderAt: strings.NewReader("abcd"), at: 2, more: closed()}
	_, err = f.Describe(t.Context(), nil)
	assert.ErrorContains(t, err, "reading the file")
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	_, err = f.Describe(ctx, nil)
	assert.ErrorIs(t, err, stopped)
	selector, err = (&file.File{Octets: strings.NewReader("")}).Describe(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, "application/octet-stream", selector.Type)
	assert.Zero(t, selector.Size)
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestNewTransfer(t *testing.T) {
	t.Attr("requirement", "X-13")
	for _, c := range []struct {
		size, octets int64
		want         sdp.FileRange
	}{
		{10, 0, sdp.FileRange{}},
		{10, 4, sdp.FileRange{Start: 5, Stop: -1}},
		{10, 10, sdp.FileRange{Start: 10, Stop: -1}},
		{1, 1, sdp.FileRange{}},
		{0, 0, sdp.FileRange{}},
		{-1, 4, sdp.FileRange{Start: 5, Stop: -1}},
	} {
		a, b := file.NewTransfer(sdp.FileSelector{Size: c.size}, c.octets), file.NewTransfer(sdp.FileSelector{Size: c.size}, c.octets)
		assert.Equal(t, c.want, a.Range)
		assert.Len(t, a.ID, 32)
		assert.NotEqual(t, a.ID, b.ID)
	}
}

// What cannot be sent is not begun.
func TestSendRefuses(t *testing.T) {
	x := pushed(t, photo(octets(t, 100)), 0)
	for want, part := range map[string]*sdp.FileTransfer{
		"101 octets were described": {Selector: sdp.FileSelector{Size: 101}},
		"not within the file":       {Selector: sdp.FileSelector{Size: -1}, Range: sdp.FileRange{Start: 5, Stop: 101}},
		"not within the":            {Selector: sdp.FileSelector{Size: -1}, Range: sdp.FileRange{Start: 102, Stop: -1}},
	} {
		_, err := x.f.Send(x.ctx, x.from.Session(), part, nil)
		assert.ErrorContains(t, err, want)
	}
	_, err := x.f.Send(x.ctx, x.from.Session(), x.from.File(), &file.SendOptions{Wrapper: cpim.Header{}})
	assert.ErrorContains(t, err, "From")
	assert.Empty(t, x.wire.chunks())
}

// What a peer sends that is no file in a wrapper.
func TestBadWrappers(t *testing.T) {
	for name, body := range map[string]string{
		"no wrapper":         "hello",
		"an unknown Require": "From: <sip:a@b>\r\nTo: <sip:b@c>\r\nRequire: Mood\r\n\r\nContent-Type: image/jpeg\r\n\r\nx",
		"cut":                "From: <sip:a@b>\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			x := pushed(t, photo([]byte("x")), 0)
			_, err := x.from.Session().Send(x.ctx, &msrp.Message{ContentType: cpim.ContentType, Body: strings.NewReader(body)})
			require.NoError(t, err)
			assert.Error(t, x.receive())
			assert.Zero(t, x.received.Len())
		})
	}
}
