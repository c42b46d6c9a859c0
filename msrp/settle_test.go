package msrp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// Whatever two sides do with their messages, each of them comes to an end that
// is told, nothing is left over, and nobody waits forever.
func TestEverythingSettles(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				up, down := newLine([]int{0, 100 << 10, 1 << 20}[random.IntN(3)]), newLine(0)
				up.room, down.room = 1<<(10+random.IntN(9)), 1<<(10+random.IntN(9))
				alice, bob := pairOverLines(t, up, down)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var mu sync.Mutex
				var all []*Outgoing
				var running sync.WaitGroup
				for _, s := range []*Session{alice, bob} {
					for range 3 {
						seed := random.Uint64()
						running.Go(func() {
							sendAnyhow(t, ctx, s, seed, func(o *Outgoing) { mu.Lock(); all = append(all, o); mu.Unlock() })
						})
					}
					for range 1 + random.IntN(3) {
						seed := random.Uint64()
						running.Go(func() { receiveAnyhow(s, seed) })
					}
				}
				cut := seed%3 == 2
				if cut {
					time.Sleep(time.Duration(random.IntN(20_000)) * time.Millisecond)
					up.Close()
					time.Sleep(stallTimeout + time.Second) // somebody may not be reading
					cancel()                               // nothing new
				} else {
					time.Sleep(20 * time.Minute)
				}
				mu.Lock()
				for _, out := range all {
					select {
					case <-out.sent:
					default:
						t.Errorf("%s hangs: %+v of %d", out.id, out.progress, out.size)
					}
				}
				mu.Unlock()
				for _, s := range []*Session{alice, bob} {
					s.mu.Lock()
					assert.Zero(t, s.unanswered)
					if cut {
						assert.ErrorIs(t, s.err, ErrConnLost)
						s.mu.Unlock()
						continue
					}
					assert.True(t, s.messages.empty())
					assert.Empty(t, s.partial)
					assert.Empty(t, s.queue)
					assert.Empty(t, s.owed)
					assert.Zero(t, s.buffered)
					s.mu.Unlock()
					s.conn.mu.Lock()
					assert.Zero(t, s.conn.inFlight.Len())
					assert.NoError(t, s.conn.err)
					s.conn.mu.Unlock()
				}
				alice.conn.Close()
				bob.conn.Close()
				running.Wait()
				for _, out := range all {
					if out.message.SuccessReport {
						select {
						case <-out.delivered:
						default:
							t.Errorf("%s is neither delivered nor failed", out.id)
						}
					}
				}
			})
		})
	}
}

// sendAnyhow sends messages of every kind, and gives up some of them.
func sendAnyhow(t *testing.T, ctx context.Context, s *Session, seed uint64, sent func(*Outgoing)) {
	random := rand.New(rand.NewPCG(seed, 2))
	for range 15 {
		time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
		size := int64(random.IntN(1 << (1 + random.IntN(21))))
		m := &Message{ContentType: "image/jpeg", SuccessReport: random.IntN(2) == 0, FailureReport: FailureReport(random.IntN(4))}
		switch random.IntN(6) {
		case 0:
			m.Body = strings.NewReader(strings.Repeat("x", int(size)))
		case 1:
			m.Body = stream(int(size))
		case 2:
			m.Body, m.Size = stream(int(size)), size
		case 3: // one that breaks off
			m.Body, m.Size = io.MultiReader(stream(int(size)), broken{}), size+1
		case 4: // one that makes people wait
			m.Body = &sluggish{stream(int(size)), rand.New(rand.NewPCG(seed, 3))}
		case 5:
			m.ContentType = ""
		}
		sending, cancel := context.WithCancel(ctx)
		out, err := s.Send(sending, m)
		if err != nil {
			assert.True(t, ctx.Err() != nil || s.Err() != nil, "%v", err)
			cancel()
			return
		}
		sent(out)
		switch random.IntN(4) {
		case 0:
			time.AfterFunc(time.Duration(random.IntN(5000))*time.Millisecond, out.Abort)
		case 1:
			time.AfterFunc(time.Duration(random.IntN(5000))*time.Millisecond, cancel)
		}
		time.AfterFunc(time.Hour, cancel)
	}
}

// receiveAnyhow reads some messages and not others, fast and slowly, until the
// session ends.
func receiveAnyhow(s *Session, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 4))
	for {
		in, err := s.Receive(context.Background())
		if err != nil {
			return
		}
		time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
		switch random.IntN(4) {
		case 0:
			in.Close()
		case 1:
			io.CopyN(io.Discard, in, int64(random.IntN(1<<20)))
			in.Close()
		case 2:
			io.Copy(io.Discard, &sluggish{in, random})
			in.Close()
		default:
			io.Copy(io.Discard, in)
			in.Close()
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

// sluggish stops now and then.
type sluggish struct {
	io.Reader
	random *rand.Rand
}

func (r *sluggish) Read(p []byte) (int, error) {
	if r.random.IntN(20) == 0 {
		time.Sleep(time.Duration(r.random.IntN(1000)) * time.Millisecond)
	}
	return r.Reader.Read(p[:min(len(p), 1+r.random.IntN(20_000))])
}
