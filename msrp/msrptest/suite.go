package msrptest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// Guard is how long the suite waits for what should happen soon. It is there
// so that nothing hangs, not to measure.
const Guard = time.Minute

// Languages are texts that break what is not octet-clean.
var Languages = []string{
	"Hello, Bob!", "Grüße aus Köln", "Привет, Боб", "مرحبا يا بوب", "שלום בוב", "你好，鲍勃", "こんにちは、ボブ", "안녕 밥",
	"สวัสดีบ๊อบ", "नमस्ते बॉब", "👩‍👩‍👧‍👦 🏳️‍🌈 ☃", "e\u0301 ≠ é", "line\r\nline\r\n", "-------a786hjs2$\r\n", "MSRP a786hjs2 SEND\r\n", " ",
}

// Suite runs what every pair of connected sessions must be able to do. open
// returns the two for one test; the one that is not allowed to send first
// yet may still be waiting.
func Suite(t *testing.T, open func(t *testing.T) (alice, bob *msrp.Session)) {
	t.Run("text in many languages, both ways", func(t *testing.T) {
		alice, bob := open(t)
		ctx := deadline(t)
		for _, text := range Languages {
			exchange(t, ctx, alice, bob, text)
			exchange(t, ctx, bob, alice, text)
		}
	})
	t.Run("an empty message", func(t *testing.T) {
		alice, bob := open(t)
		exchange(t, deadline(t), alice, bob, "")
	})
	t.Run("order", func(t *testing.T) {
		alice, bob := open(t)
		ctx := deadline(t)
		const n = 200
		for i := range n {
			_, err := alice.Send(ctx, msrp.Text(fmt.Sprint(i)))
			require.NoError(t, err)
		}
		for i := range n {
			assert.Equal(t, fmt.Sprint(i), Read(t, ctx, bob))
		}
	})
	for _, size := range []int64{1, 2047, 2048, 2049, 8192, 8193, 100_000, 5_000_000} {
		t.Run(fmt.Sprintf("%d octets", size), func(t *testing.T) {
			alice, bob := open(t)
			transfer(t, deadline(t), alice, bob, size, size)
		})
		t.Run(fmt.Sprintf("%d octets, length unknown, back", size), func(t *testing.T) {
			alice, bob := open(t)
			exchange(t, deadline(t), alice, bob, "you first")
			transfer(t, deadline(t), bob, alice, size, 0)
		})
	}
	t.Run("a file does not hold up chat", func(t *testing.T) {
		alice, bob := open(t)
		ctx := deadline(t)
		hold, release := io.Pipe()
		file, err := alice.Send(ctx, &msrp.Message{ContentType: "application/octet-stream", Body: io.MultiReader(Octets(300_000, 1), hold), SuccessReport: true})
		require.NoError(t, err)
		in, err := bob.Receive(ctx)
		require.NoError(t, err)
		exchange(t, ctx, alice, bob, "still here")
		exchange(t, ctx, bob, alice, "so am I")
		release.Close()
		body, err := io.ReadAll(in)
		require.NoError(t, err)
		assert.Len(t, body, 300_000)
		require.NoError(t, file.Delivered(ctx))
	})
	for _, inTurn := range []bool{false, true} {
		t.Run(fmt.Sprintf("many messages at once, both ways, read one after the other: %v", inTurn), func(t *testing.T) {
			alice, bob := open(t)
			ctx := deadline(t)
			exchange(t, ctx, alice, bob, "begin")
			var wg sync.WaitGroup
			for _, way := range [][2]*msrp.Session{{alice, bob}, {bob, alice}} {
				sums := map[string]string{}
				for i := range 20 {
					size := int64(rand.IntN(200_000))
					sum := sha256.New()
					io.Copy(sum, Octets(size, uint64(i)))
					id := msrp.NewID()
					sums[id] = hex.EncodeToString(sum.Sum(nil))
					_, err := way[0].Send(ctx, &msrp.Message{ID: id, ContentType: "application/octet-stream", Body: Octets(size, uint64(i)), Size: size})
					require.NoError(t, err)
				}
				wg.Go(func() {
					for range sums {
						in, err := way[1].Receive(ctx)
						if !assert.NoError(t, err) {
							return
						}
						read := func() {
							sum := sha256.New()
							_, err := io.Copy(sum, in)
							assert.NoError(t, err)
							assert.Equal(t, sums[in.ID], hex.EncodeToString(sum.Sum(nil)))
						}
						if inTurn {
							read()
						} else {
							wg.Go(read)
						}
					}
				})
			}
			wg.Wait()
		})
	}
	t.Run("abort by the sender", func(t *testing.T) {
		alice, bob := open(t)
		ctx := deadline(t)
		hold, release := io.Pipe()
		defer release.Close()
		out, err := alice.Send(ctx, &msrp.Message{ContentType: "application/octet-stream", Body: io.MultiReader(Octets(200_000, 2), hold)})
		require.NoError(t, err)
		in, err := bob.Receive(ctx)
		require.NoError(t, err)
		out.Abort()
		_, err = io.Copy(io.Discard, in)
		assert.ErrorIs(t, err, msrp.ErrAborted)
		assert.ErrorIs(t, out.Sent(ctx), msrp.ErrAborted)
		exchange(t, ctx, alice, bob, "after the abort")
	})
	t.Run("refusal by the receiver", func(t *testing.T) {
		alice, bob := open(t)
		ctx := deadline(t)
		endless := rand.NewChaCha8([32]byte{})
		out, err := alice.Send(ctx, &msrp.Message{ContentType: "application/octet-stream", Body: endless})
		require.NoError(t, err)
		in, err := bob.Receive(ctx)
		require.NoError(t, err)
		in.Close()
		var status *msrp.StatusError
		require.ErrorAs(t, settled(t, ctx, out), &status)
		assert.Equal(t, msrp.StatusStopSending, status.Code)
		exchange(t, ctx, alice, bob, "after the refusal")
	})
}

// settled waits for the failure of a message, whichever way it becomes known.
func settled(t testing.TB, ctx context.Context, out *msrp.Outgoing) error {
	t.Helper()
	if err := out.Sent(ctx); err != nil {
		return err
	}
	return out.Progress().Err
}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), Guard)
	t.Cleanup(cancel)
	return ctx
}

// exchange sends a text and waits until it was received and reported.
func exchange(t testing.TB, ctx context.Context, from, to *msrp.Session, text string) {
	t.Helper()
	out, err := from.Send(ctx, msrp.Text(text))
	require.NoError(t, err)
	assert.Equal(t, text, Read(t, ctx, to))
	require.NoError(t, out.Sent(ctx))
	require.NoError(t, out.Delivered(ctx))
}

// Read receives the next message and returns its body.
func Read(t testing.TB, ctx context.Context, s *msrp.Session) string {
	t.Helper()
	in, err := s.Receive(ctx)
	require.NoError(t, err)
	var body strings.Builder
	_, err = io.Copy(&body, in)
	require.NoError(t, err)
	return body.String()
}

// transfer sends octets and compares what arrives; announced is the length
// told to the peer, 0 for none.
func transfer(t testing.TB, ctx context.Context, from, to *msrp.Session, size, announced int64) {
	t.Helper()
	want, got := sha256.New(), sha256.New()
	out, err := from.Send(ctx, &msrp.Message{
		ContentType: "application/octet-stream", SuccessReport: true, Size: announced,
		Body: io.TeeReader(Octets(size, uint64(size)), want),
	})
	require.NoError(t, err)
	in, err := to.Receive(ctx)
	require.NoError(t, err)
	n, err := io.Copy(got, in)
	require.NoError(t, err)
	assert.Equal(t, size, n)
	assert.Equal(t, size, in.Size())
	require.NoError(t, out.Delivered(ctx))
	assert.Equal(t, want.Sum(nil), got.Sum(nil))
	assert.Equal(t, size, out.Progress().Acknowledged)
}

// Octets returns a reader of that many octets, which differ with the seed.
func Octets(size int64, seed uint64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return io.LimitReader(rand.NewChaCha8(key), size)
}
