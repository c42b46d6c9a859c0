package credential

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

// A Lockout slows down and locks out those who guess passwords: by address,
// where IPv6 networks of 64 bits count as one, and by username. It implements
// [relay.Guard]; the zero value is ready. What it remembers is bounded.
//
// Who has logged in as a user from an address within a day is counted apart, so
// that nobody can lock out another by guessing.
type Lockout struct {
	mu     sync.Mutex
	spent  map[string]time.Time // by key, when all attempts are there again
	proven map[string]time.Time // address and username, until when
}

const (
	// How many attempts may fail in a row, and how often one more may.
	addressAttempts = 10
	userAttempts    = 50
	attemptEvery    = 30 * time.Second

	// The answer to the first failure waits for firstDelay, the next ones twice
	// as long each.
	firstDelay = 250 * time.Millisecond
	maxDelay   = 8 * time.Second

	provenFor  = 24 * time.Hour
	maxEntries = 10_000 // of each table
)

// keys returns those of an attempt.
func keys(remote, username string) (address, user, both string) {
	address, user = "address "+Network(remote), "user "+username[:min(len(username), 128)]
	return address, user, address + " " + user
}

// Network returns the address of an address with or without a port, or its
// network where one party has many: the first 64 bits of IPv6.
func Network(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	addr := at.Addr()
	if err != nil {
		if addr, err = netip.ParseAddr(remote); err != nil {
			return remote
		}
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().String()
	}
	return addr.String()
}

// Locked implements [relay.Guard].
func (l *Lockout) Locked(remote, username string) bool {
	now := time.Now()
	address, user, both := keys(remote, username)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.proven[both].After(now) {
		return l.used(both, now) >= addressAttempts
	}
	return l.used(address, now) >= addressAttempts || l.used(user, now) >= userAttempts
}

// used returns how many attempts of a key failed that were not forgiven yet;
// l.mu is held.
func (l *Lockout) used(key string, now time.Time) int {
	return int((l.spent[key].Sub(now) + attemptEvery - 1) / attemptEvery)
}

// Failed implements [relay.Guard].
func (l *Lockout) Failed(remote, username string) time.Duration {
	now := time.Now()
	address, user, both := keys(remote, username)
	l.mu.Lock()
	defer l.mu.Unlock()
	counted := []string{address, user}
	if l.proven[both].After(now) {
		counted = []string{both}
	}
	for _, key := range counted {
		until := l.spent[key]
		if until.Before(now) {
			until = now
		}
		enter(&l.spent, key, until.Add(attemptEvery), now)
	}
	return min(maxDelay, firstDelay<<min(l.used(counted[0], now)-1, 10))
}

// Passed implements [relay.Guard].
func (l *Lockout) Passed(remote, username string) {
	now := time.Now()
	_, _, both := keys(remote, username)
	l.mu.Lock()
	defer l.mu.Unlock()
	enter(&l.proven, both, now.Add(provenFor), now)
}

// enter remembers a key until a time. Where there is no room it forgets those
// whose time is over, or else some.
func enter(table *map[string]time.Time, key string, until, now time.Time) {
	if *table == nil {
		*table = make(map[string]time.Time)
	}
	t := *table
	if _, known := t[key]; !known && len(t) >= maxEntries {
		maps.DeleteFunc(t, func(_ string, until time.Time) bool { return !until.After(now) })
		for k := range t {
			if len(t) <= maxEntries*9/10 {
				break
			}
			delete(t, k)
		}
	}
	t[key] = until
}
