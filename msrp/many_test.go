//go:build !js

// Not where all run in one thread: the order of goroutines would be measured.

package msrp_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

// RFC 4975, section 7.1.1: the sessions that share a connection get a fair share
// of it, however many they are and however much each has to send.
func TestManySessions(t *testing.T) {
	t.Attr("requirement", "S-20")
	t.Attr("requirement", "S-27")
	for _, c := range []struct{ sessions, inFlight int }{{10_000, 10}, {100, 1000}} {
		rounds := 10
		if os.Getenv("SOAK") == "" {
			c.sessions /= 10
			rounds = 3
		}
		t.Run(fmt.Sprintf("%d with %d messages in flight each", c.sessions, c.inFlight), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			received := race(t, ctx, c.sessions, c.inFlight, rounds)
			total := 0
			for _, n := range received {
				total += n
			}
			mean, worst := total/len(received), slices.Min(received)
			assert.GreaterOrEqual(t, worst, mean/2)
			t.Logf("%d messages; of each session %d, of the worst one %d", total, mean, worst)
		})
	}
}

// race lets sessions on one connection send as fast as they can, each with so
// many messages on their way, until each had about so many rounds. It returns how
// many messages were received of each by then, and sees to it that all arrive
// once and in order.
func race(t *testing.T, ctx context.Context, sessions, inFlight, rounds int) []int {
	a, b := net.Pipe()
	alices, bobs := msrp.NewEndpoint(nil), msrp.NewEndpoint(nil)
	ours, theirs := alices.NewConn(msrp.NewStream(a)), bobs.NewConn(msrp.NewStream(b))
	defer ours.Close()
	defer theirs.Close()

	var (
		total    atomic.Int64
		finish   = int64(sessions * inFlight * rounds)
		over     = make(chan struct{})
		received = make([]int, sessions) // when it was over
		counts   = make([]atomic.Int64, sessions)
		wg       sync.WaitGroup

		greeted sync.WaitGroup // the race begins when every session has sent something
		begin   = make(chan struct{})
	)
	end := sync.OnceFunc(func() {
		for i := range counts {
			received[i] = int(counts[i].Load())
		}
		close(over)
	})
	type pair struct{ alice, bob *msrp.Session }
	pairs := make([]pair, sessions)
	for i := range pairs {
		var err error
		pairs[i].alice, err = alices.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "alice")})
		require.NoError(t, err)
		pairs[i].bob, err = bobs.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "bob")})
		require.NoError(t, err)
		require.NoError(t, pairs[i].bob.Start(msrp.Remote{Path: msrp.Path{pairs[i].alice.URI()}}))
		require.NoError(t, pairs[i].alice.Start(msrp.Remote{Path: msrp.Path{pairs[i].bob.URI()}, Conn: ours, Active: true}))
	}
	greeted.Add(sessions)
	go func() {
		greeted.Wait()
		close(begin)
	}()
	for i, p := range pairs {
		wg.Go(func() { // Alice
			out, err := p.alice.Send(ctx, msrp.Text("hello"))
			if assert.NoError(t, err) {
				assert.NoError(t, out.Sent(ctx))
			}
			greeted.Done()
			<-begin
			slots := make(chan struct{}, inFlight)
			for n := 0; ; n++ {
				select {
				case slots <- struct{}{}:
				case <-over:
					p.alice.Send(ctx, &msrp.Message{ContentType: "text/plain", Body: bytes.NewReader([]byte("the end"))})
					return
				}
				_, err := p.alice.Send(ctx, &msrp.Message{
					ContentType: "text/plain", Body: bytes.NewReader(fmt.Appendf(nil, "%d of session %d", n, i)),
					Changed: func(p msrp.Progress) {
						if p.Sent || p.Err != nil {
							<-slots
						}
					},
				})
				if !assert.NoError(t, err) {
					return
				}
			}
		})
		wg.Go(func() { // Bob
			assert.Equal(t, "hello", msrptest.Read(t, ctx, p.bob))
			for n := 0; ; n++ {
				in, err := p.bob.Receive(ctx)
				if !assert.NoError(t, err) {
					end()
					return
				}
				var body [64]byte
				size, _ := in.Read(body[:])
				text := string(body[:size])
				if text == "the end" {
					return
				}
				if !assert.Equal(t, fmt.Sprintf("%d of session %d", n, i), text) {
					end()
					return
				}
				counts[i].Add(1)
				if total.Add(1) == finish {
					end()
				}
			}
		})
	}
	wg.Wait()
	return received
}
