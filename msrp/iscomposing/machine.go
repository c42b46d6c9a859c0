package iscomposing

import (
	"sync"
	"time"
)

const (
	defaultIdle = 15 * time.Second
	// defaultRefresh is also the shortest interval (RFC 3994, section 3.2).
	defaultRefresh = 60 * time.Second
	// defaultTimeout is how long a status without a refresh holds (RFC 3994,
	// section 3.3).
	defaultTimeout = 120 * time.Second
	// transit is how much longer one with a refresh holds: a refresh that is
	// sent in time has still to arrive.
	transit = 5 * time.Second
)

// calls hands statuses to a function, in order, one at a time and without the
// mutex held. Of those that come while a call lasts only the latest counts.
type calls struct {
	f func(Status)

	mu     sync.Mutex
	next   *Status     // guarded by mu: what f is to be called with
	busy   bool        // guarded by mu: a goroutine is calling f
	timer  *time.Timer // guarded by mu
	closed bool        // guarded by mu
}

// unlock releases mu, and calls f with what is waiting, if nobody does already.
func (c *calls) unlock() {
	for c.next != nil && !c.busy {
		s := *c.next
		c.next, c.busy = nil, true
		c.mu.Unlock()
		c.f(s)
		c.mu.Lock()
		c.busy = false
	}
	c.mu.Unlock()
}

// wake has f called after d, whatever was to be called before. The mutex is
// held.
func (c *calls) wake(d time.Duration, f func()) {
	if c.timer == nil {
		c.timer = time.AfterFunc(d, f)
	} else {
		c.timer.Reset(d)
	}
}

// rest lets go of the timer. The mutex is held.
func (c *calls) rest() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

// A Composer says to a peer whether the user is composing (RFC 3994, section
// 3.2). Its methods are safe for concurrent use.
type Composer struct {
	calls
	contentType   string
	idle, refresh time.Duration // refresh is 0 for never

	active   bool      // guarded by mu
	edited   time.Time // guarded by mu: when the user last did something
	repeated time.Time // guarded by mu: when the last active status was sent
}

// ComposerOptions are the terms of a Composer.
type ComposerOptions struct {
	// ContentType is what the user composes, such as "text/plain" or "audio".
	// Default: it is not told.
	ContentType string
	// IdleTimeout is how long a user who does nothing still counts as
	// composing. Default: 15 seconds.
	IdleTimeout time.Duration
	// Refresh is after how long the peer is told again of a user who goes on
	// composing. Default and least: 60 seconds. It is not told again, and
	// forgets after 120 seconds, if Refresh is negative.
	Refresh time.Duration
}

// NewComposer returns the composer of a session. It calls send with each status
// to be sent, one call at a time; send may call the composer's methods. options
// may be nil.
func NewComposer(send func(Status), options *ComposerOptions) *Composer {
	c := &Composer{calls: calls{f: send}, idle: defaultIdle, refresh: defaultRefresh}
	if options != nil {
		c.contentType = options.ContentType
		if options.IdleTimeout > 0 {
			c.idle = options.IdleTimeout
		}
		c.refresh = max(c.refresh, options.Refresh)
		if options.Refresh < 0 {
			c.refresh = 0
		}
	}
	return c
}

// Edited is to be called whenever the user adds to a message or changes it: for
// every key, if need be.
func (c *Composer) Edited() {
	c.mu.Lock()
	if !c.closed {
		now := time.Now()
		c.edited = now
		if !c.active {
			c.active = true
			c.say(now)
			c.wait(now)
		}
	}
	c.unlock()
}

// Sent is to be called when the user has sent the message: the peer takes it
// for the end of composing, so that no status is sent.
func (c *Composer) Sent() {
	c.mu.Lock()
	c.stop()
	c.unlock()
}

// Close ends the composer: nothing more is sent, but what send has been called
// with already. It is to be called at the end of the session, and before it if
// the peer refuses a status with 415 (RFC 3994, section 4).
func (c *Composer) Close() {
	c.mu.Lock()
	c.closed = true
	c.stop()
	c.unlock()
}

// stop, say and wait are called with the mutex held.

func (c *Composer) stop() {
	c.active, c.next = false, nil
	c.rest()
}

// say sends the active status.
func (c *Composer) say(now time.Time) {
	c.repeated = now
	c.next = &Status{Active: true, ContentType: c.contentType, Refresh: c.refresh}
}

// wait sets the timer to when something is due at the earliest.
func (c *Composer) wait(now time.Time) {
	due := c.edited.Add(c.idle)
	if repeat := c.repeated.Add(c.refresh); c.refresh > 0 && repeat.Before(due) {
		due = repeat
	}
	c.wake(due.Sub(now), c.tick)
}

// tick does what is due. The timer is not set anew for each edit, so that
// often nothing is.
func (c *Composer) tick() {
	c.mu.Lock()
	if c.active {
		now := time.Now()
		switch {
		case !now.Before(c.edited.Add(c.idle)):
			c.stop()
			c.next = &Status{LastActive: c.edited.UTC().Format(time.RFC3339), ContentType: c.contentType}
		case c.refresh > 0 && !now.Before(c.repeated.Add(c.refresh)):
			c.say(now)
			fallthrough
		default:
			c.wait(now)
		}
	}
	c.unlock()
}

// A Watcher knows whether one peer is composing (RFC 3994, section 3.3). Its
// methods are safe for concurrent use.
type Watcher struct {
	calls
	told Status // what changed was last called with; for whoever calls f

	active bool      // guarded by mu
	until  time.Time // guarded by mu: when active ends by itself
}

// NewWatcher returns the watcher of a peer. It calls changed when the peer
// begins to compose, goes on with something of another type, or ends; one call
// at a time. changed may call the watcher's methods.
func NewWatcher(changed func(Status)) *Watcher {
	w := &Watcher{}
	w.f = func(s Status) {
		if s.Active != w.told.Active || s.Active && s.ContentType != w.told.ContentType {
			w.told = s
			changed(s)
		}
	}
	return w
}

// Status takes in a status message of the peer. One that is active holds until
// the refresh it promises is overdue, or for 120 seconds.
func (w *Watcher) Status(s Status) {
	w.mu.Lock()
	switch {
	case w.closed:
	case s.Active:
		hold := defaultTimeout
		if s.Refresh > 0 {
			hold = min(s.Refresh, maxRefresh) + transit
		}
		w.active, w.next, w.until = true, &s, time.Now().Add(hold)
		w.wake(hold, w.tick)
	default:
		w.end(s)
	}
	w.unlock()
}

// Received is to be called when a message with content comes from the peer: it
// ends the composing.
func (w *Watcher) Received() {
	w.mu.Lock()
	w.end(Status{})
	w.unlock()
}

// Close ends the watcher: changed is not called any more. A call that has begun
// goes on.
func (w *Watcher) Close() {
	w.mu.Lock()
	w.closed, w.next, w.active = true, nil, false
	w.rest()
	w.unlock()
}

// end is called with the mutex held.
func (w *Watcher) end(s Status) {
	if w.active {
		w.active, w.next = false, &s
		w.rest()
	}
}

func (w *Watcher) tick() {
	w.mu.Lock()
	if left := time.Until(w.until); w.active && left > 0 {
		w.wake(left, w.tick) // set anew while this was waiting for the mutex
	} else {
		w.end(Status{})
	}
	w.unlock()
}
