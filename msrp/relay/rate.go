package relay

import (
	"sync"
	"time"
)

// An account is what a relay knows of a user while there are tokens of it.
type account struct {
	tokens int // the relay's mutex guards it

	mu   sync.Mutex
	paid time.Time // when the octets so far are within the rate
}

// burst is how much may pass at once, in time at the user's rate.
const burst = time.Second

// charge counts octets and returns for how long nothing more may come.
func (a *account) charge(octets, rate int) time.Duration {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.paid.Before(now) {
		a.paid = now
	}
	a.paid = a.paid.Add(time.Duration(octets) * time.Second / time.Duration(rate))
	return a.paid.Sub(now) - burst
}

// charge counts octets for the user whose token they came to first, and does
// not return before its rate allows more. Where others would wait as well, they
// are counted only.
func (l *Link) charge(rt *route, octets int) {
	rate := l.relay.config.MaxBytesPerSecond
	if rate <= 0 {
		return
	}
	wait := rt.hops[0].token.of.charge(octets, rate)
	if wait <= 0 || !l.info.WebSocket && l.token == nil && l.carriesOthers() {
		return
	}
	l.handOver()
	over := false
	timer := time.AfterFunc(wait, func() {
		l.mu.Lock()
		over = true
		l.wake()
		l.mu.Unlock()
	})
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for !over && !l.closed {
		l.wait()
	}
}
