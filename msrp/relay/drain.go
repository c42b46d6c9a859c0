package relay

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
)

// lookEvery is how often Drain looks which links have nothing under way. One
// that has nothing twice is closed: between a 200 and the REPORT that follows
// it there may be a moment of nothing.
const lookEvery = 100 * time.Millisecond

// Drain ends the relay gently: it takes no connections and no requests that
// want an answer any more, lets those under way come to their responses, and
// closes each link as soon as nothing concerns it. What was not taken is not
// answered, so its sender knows that it did not arrive. Drain returns how many
// links were still busy when ctx ended; [Relay.Close] ends them.
func (r *Relay) Drain(ctx context.Context) int {
	r.draining.Store(true)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	quiet := make(map[*Link]bool) // at the last look
	for {
		r.mu.RLock()
		links := slices.Collect(maps.Keys(r.links))
		r.mu.RUnlock()
		if len(links) == 0 {
			return 0
		}
		busy := make(map[*Link]bool)
		for _, l := range links {
			l.findBusy(busy)
		}
		var wg sync.WaitGroup
		for _, l := range links {
			switch {
			case busy[l]:
				delete(quiet, l)
			case quiet[l]:
				wg.Go(func() { l.close(ErrStopping) })
			default:
				quiet[l] = true
			}
		}
		wg.Wait()
		select {
		case <-ctx.Done():
			return len(busy)
		case <-ticker.C:
		}
	}
}

// findBusy enters the links that something under way on l concerns: those
// that it goes to, and those that hear of its outcome.
func (l *Link) findBusy(busy map[*Link]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	concerns := func(tx *transaction) {
		// With Failure-Report partial silence means success.
		if tx != nil && (!tx.send || tx.failure.WantsOK()) {
			busy[l], busy[tx.origin] = true, true
		}
	}
	l.inFlight.Each(concerns)
	for f := range l.flows.all {
		if f.queued > 0 {
			busy[l] = true
		}
		for _, fr := range f.frames {
			concerns(fr.tx)
		}
		for i := range f.owed.len() {
			busy[f.owed.all[i].link] = true
		}
	}
	if l.writing || l.control != nil {
		busy[l] = true
	}
}

// expectsAnswer reports whether the sender of a request learns from silence
// that it was not taken. Others are forwarded to the end.
func expectsAnswer(u *msrp.Unit) bool {
	switch u.Method {
	case msrp.MethodReport:
		return false
	case msrp.MethodSend:
		return u.FailureReport().WantsOK()
	}
	return true
}
