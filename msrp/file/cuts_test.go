package file_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/file"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// A file gets through however often the connection breaks off, in whatever
// place: each time the rest is a new transfer, which either side offers, and no
// octet is stored twice (RFC 5547, sections 8.1 and 8.7).
func TestFileResumesAfterCuts(t *testing.T) {
	for _, id := range []string{"X-13", "X-15", "X-16", "S-09"} {
		t.Attr("requirement", id)
	}
	cuts, size := 20, int64(400_000)
	if os.Getenv("SOAK") != "" {
		cuts, size = 200, 4_000_000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	content, err := io.ReadAll(msrptest.Octets(size, seed))
	require.NoError(t, err)
	f := photo(content)
	whole := describe(t, f)

	var network msrptest.Network
	alice, bob := network.User(t, "alice"), network.User(t, "bob")
	from, to := alice.Call(t, nil), bob.Call(t, nil)
	stored := &bytes.Buffer{}
	var r *file.Receiver
	known := int64(0) // of what bob has, to alice
	pushes, resumed := 0, 0
	for round := 0; r == nil || !r.Whole(); round++ {
		require.LessOrEqual(t, round, cuts)
		if left := int64(cuts - round); left > 0 {
			// Never enough for all that is missing.
			missing := size - int64(stored.Len())
			at := 1 + random.Int64N(min(missing, 2*missing/left))
			network.Wrap = func(c net.Conn) net.Conn { return msrptest.Cut(c, at) }
		} else {
			network.Wrap = nil
		}
		if round%5 == 0 {
			// Bob's program was ended meanwhile.
			r, err = file.NewReceiver(stored, whole)
			require.NoError(t, err)
			require.NoError(t, r.Have(bytes.NewReader(stored.Bytes())))
		}
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		if random.IntN(2) == 0 {
			pushes++
			from.SetFile(sdp.SendOnly, file.NewTransfer(whole, known))
			offer, err := from.Offer(ctx)
			require.NoError(t, err)
			own, err := r.Accept(offered(t, offer).File)
			require.NoError(t, err)
			to.SetFile("", own)
			answer, err := to.Answer(ctx, offer)
			require.NoError(t, err)
			require.NoError(t, from.Accept(ctx, answer))
		} else {
			to.SetFile(sdp.RecvOnly, r.Ask())
			offer, err := to.Offer(ctx)
			require.NoError(t, err)
			from.SetFile("", &sdp.FileTransfer{Selector: whole})
			answer, err := from.Answer(ctx, offer)
			require.NoError(t, err)
			require.NoError(t, to.Accept(ctx, answer))
		}
		if from.File().Range.Start > 0 {
			resumed++
		}

		received, sent := make(chan error, 1), make(chan error, 1)
		go func() { received <- r.Receive(ctx, to.Session(), to.File()) }()
		go func() {
			sending, err := f.Send(ctx, from.Session(), from.File(), nil)
			if err == nil {
				err = sending.Delivered(ctx)
				known = max(known, sending.Octets())
			}
			sent <- err
		}()
		if network.Wrap == nil {
			require.NoError(t, <-sent)
			require.NoError(t, <-received)
		} else {
			active, passive := from.Session(), to.Session()
			if to.Agreement().Active {
				active, passive = passive, active
			}
			<-active.Done()
			if passive.State() == msrp.StateConnecting {
				cancel() // it was not even told of the session
			}
			require.Error(t, <-sent)
			require.Error(t, <-received)
			require.NotErrorIs(t, ctx.Err(), context.DeadlineExceeded)
		}
		cancel()
		assert.LessOrEqual(t, known, r.Octets())
		assert.EqualValues(t, stored.Len(), r.Octets())
	}
	assert.EqualValues(t, size, stored.Len())
	assert.Equal(t, sha256.Sum256(content), sha256.Sum256(stored.Bytes()))
	assert.Equal(t, whole, r.Selector())
	assert.Greater(t, resumed, cuts/2)
	t.Logf("%d octets over %d connections, %d times pushed", size, cuts+1, pushes)
}
