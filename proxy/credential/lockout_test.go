package credential

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/webmsrp/webmsrp/msrp/relay"
)

var _ relay.Guard = (*Lockout)(nil)

func TestLockout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mallory, home = "192.0.2.1:4000", "198.51.100.7:5000"
		var l Lockout
		l.Passed(home, "alice")
		var delays []time.Duration
		for i := range addressAttempts {
			assert.False(t, l.Locked(mallory, "alice"), i)
			delays = append(delays, l.Failed(mallory, "alice"))
		}
		assert.Equal(t, firstDelay, delays[0])
		assert.Equal(t, 4*firstDelay, delays[2])
		assert.Equal(t, maxDelay, delays[9])
		assert.True(t, l.Locked(mallory, "alice"))
		assert.True(t, l.Locked("192.0.2.1:4001", "bob"), "the address, whatever the port and the name")
		assert.False(t, l.Locked("192.0.2.2:4000", "bob"))

		// From ever new addresses only the name is left to count.
		for i := range userAttempts {
			l.Failed(fmt.Sprintf("203.0.113.%d:1", i), "alice")
		}
		assert.True(t, l.Locked("192.0.2.9:1", "alice"))
		assert.False(t, l.Locked(home, "alice"), "where alice has logged in she can again")
		l.Passed(mallory, "mallory")
		assert.True(t, l.Locked(mallory, "alice"), "an own login forgives nothing")
		for range addressAttempts {
			l.Failed(home, "alice")
		}
		assert.True(t, l.Locked(home, "alice"), "but has no more attempts than others")

		time.Sleep(attemptEvery)
		synctest.Wait()
		assert.False(t, l.Locked(mallory, "bob"), "an attempt each half a minute")
		l.Failed(mallory, "bob")
		assert.True(t, l.Locked(mallory, "bob"))
		time.Sleep(provenFor)
		assert.False(t, l.Locked(mallory, "alice"))
	})
}

func TestLockoutIsBounded(t *testing.T) {
	var l Lockout
	for i := range 3 * maxEntries {
		l.Failed(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), fmt.Sprint("name", i))
		l.Passed("192.0.2.1:1", fmt.Sprint("name", i))
	}
	assert.LessOrEqual(t, len(l.spent), maxEntries)
	assert.LessOrEqual(t, len(l.proven), maxEntries)
}

func TestNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "192.0.2.1": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1",
		"[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::9": "2001:db8:1:2::/64", "@": "@",
	} {
		assert.Equal(t, want, Network(remote))
	}
}
