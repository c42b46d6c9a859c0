package relay

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// One timer ends each token at its own time.
func TestExpiries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var e expiries
		start := time.Now()
		var got []string
		add := func(user string, seconds int) *token {
			mu.Lock()
			defer mu.Unlock()
			tok := &token{user: user}
			e.add(tok, time.Duration(seconds)*time.Second, func() {
				mu.Lock()
				defer mu.Unlock()
				for _, late := range e.take() {
					got = append(got, late.user+" "+time.Since(start).String())
				}
			})
			return tok
		}
		remove := func(tok *token) {
			mu.Lock()
			defer mu.Unlock()
			e.remove(tok)
		}
		alice, bob := add("alice", 50), add("bob", 20)
		carol, dave := add("carol", 10), add("dave", 40)
		add("erin", 20)
		remove(carol)
		remove(dave)
		remove(dave)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.ElementsMatch(t, []string{"bob 20s", "erin 20s"}, got[:2])
		assert.Equal(t, []string{"alice 50s"}, got[2:])
		remove(alice)
		remove(bob)
		got = nil
		add("frank", 30)
		add("grace", 5)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []string{"grace 1m5s", "frank 1m30s"}, got)
		assert.Empty(t, e.soonest)
	})
}
