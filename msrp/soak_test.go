//go:build !js

package msrp

import (
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// soak tells whether the long proofs run whole, as "make soak" has it.
var soak = os.Getenv("SOAK") != ""

// A body of any size goes through a session in bounded memory.
func TestMemoryOfALargeBody(t *testing.T) {
	size := int64(64 << 20)
	if soak {
		size = 10 << 30
	}
	const limit = 32 << 20 // of heap, at any time

	a, c := net.Pipe()
	alice, bob := startedPair(t, a, c)
	sum := sha256.New()
	source := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), sum)
	out, err := alice.Send(t.Context(), &Message{ContentType: "application/octet-stream", Body: source, Size: size, SuccessReport: true})
	require.NoError(t, err)
	in, err := bob.Receive(t.Context())
	require.NoError(t, err)
	received, n, peak := sha256.New(), int64(0), uint64(0)
	for buf, next := make([]byte, 64<<10), int64(0); ; {
		m, err := in.Read(buf)
		received.Write(buf[:m])
		n += int64(m)
		if n >= next {
			next += size / 64
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapAlloc)
		}
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
	}
	assert.Equal(t, size, n)
	assert.Equal(t, sum.Sum(nil), received.Sum(nil))
	assert.Less(t, peak, uint64(limit))
	assert.NoError(t, out.Delivered(context.Background()))
	t.Logf("%d MiB, at most %d MiB of heap", size>>20, peak>>20)
}
