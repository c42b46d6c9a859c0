package relay

import (
	"container/heap"
	"time"
)

// expiries are the tokens of a relay in the order in which they expire. One timer
// serves all of them; the relay's mutex guards it.
type expiries struct {
	soonest byExpiry
	timer   *time.Timer // for the first of them, or for one that was before it
}

// epoch is what expiries count from.
var epoch = time.Now()

// add enters a token; expire is called when one has expired.
func (e *expiries) add(t *token, after time.Duration, expire func()) {
	t.expires = time.Since(epoch) + after
	heap.Push(&e.soonest, t)
	switch {
	case e.timer == nil:
		e.timer = time.AfterFunc(after, expire)
	case t.place == 0:
		e.timer.Reset(after)
	}
}

// remove takes a token out, if it is still there.
func (e *expiries) remove(t *token) {
	if t.place >= 0 {
		heap.Remove(&e.soonest, int(t.place))
	}
	if len(e.soonest) == 0 && e.timer != nil {
		e.timer.Stop()
	}
}

// take takes out the tokens that have expired.
func (e *expiries) take() (late []*token) {
	now := time.Since(epoch)
	for len(e.soonest) > 0 {
		t := e.soonest[0]
		if t.expires > now {
			e.timer.Reset(t.expires - now)
			break
		}
		heap.Pop(&e.soonest)
		late = append(late, t)
	}
	return late
}

// byExpiry implements [heap.Interface].
type byExpiry []*token

func (b byExpiry) Len() int           { return len(b) }
func (b byExpiry) Less(i, j int) bool { return b[i].expires < b[j].expires }

func (b byExpiry) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].place, b[j].place = int32(i), int32(j)
}

func (b *byExpiry) Push(x any) {
	t := x.(*token)
	t.place = int32(len(*b))
	*b = append(*b, t)
}

func (b *byExpiry) Pop() any {
	last := len(*b) - 1
	t := (*b)[last]
	(*b)[last] = nil
	*b = (*b)[:last]
	t.place = -1
	return t
}
