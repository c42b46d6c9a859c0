package relay

import (
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/internal/fair"
)

const (
	// maxQueued is how many octets of one session may wait for a connection
	// before the 200s of its sender are held back, for at most stallTimeout:
	// the 200 is the sender's credit.
	maxQueued    = 256 << 10
	stallTimeout = 10 * time.Second
	// window is how many octets of one session may wait for the 200s of the
	// next hop: the credit works the same way on that side.
	window = 2 << 20
	// overrun is what a sender may have under way when its 200s are held back,
	// a relay as above or an endpoint, which has less. Whoever sends more
	// ignores them.
	overrun = window + 256<<10
)

// A flow is the queue of one session to one connection; the link's mutex
// guards it.
type flow struct {
	turn       fair.Flow[*flow]
	frames     []frame
	queued     int       // octets in frames
	unanswered int       // octets that wait for their 200s
	progress   time.Time // when the next hop answered last
	blocked    bool      // by the window: it takes no turns
	owed       []owed    // 200s held back
	timer      *time.Timer
}

// A frame is a SEND in wire form.
type frame struct {
	octets []byte
	id     string       // its transaction ID
	tx     *transaction // nil where no response counts
}

// owed is a 200 that is held back while a flow is full.
type owed struct {
	link     *Link
	response *msrp.Unit
	message  refused
	until    time.Time
}

// bound returns how many octets of one session may wait before its sender gets
// no more credit: the less, the more the relay holds for all of them.
func (r *Relay) bound() int {
	left := 1 - float64(r.queued.Load())/float64(r.config.MaxBuffered)
	return int(maxQueued * min(1, max(0, 2*left)))
}

// take empties a flow of l, whose turn may still come and whose frame may be on its
// way, and returns what it held; the link's mutex is held.
func (l *Link) take(f *flow) flow {
	for _, fr := range f.frames {
		l.relay.queued.Add(-int64(len(fr.octets)))
	}
	held := flow{frames: f.frames, owed: f.owed, timer: f.timer}
	f.frames, f.owed, f.timer = nil, nil, nil
	return held
}

// fail ends what was taken from a flow: its senders get their 200 at once and
// a report of what became of it.
func (f *flow) fail(code int, comment string) {
	if f.timer != nil {
		f.timer.Stop()
	}
	for _, o := range f.owed {
		o.link.send(o.response)
	}
	for _, fr := range f.frames {
		if fr.tx != nil {
			fr.tx.fail(code, comment)
		}
	}
}

// enqueue adds a SEND of a session to its flow and reports whether the link
// still lives.
func (l *Link) enqueue(t *token, fr frame) bool {
	if t.isOver() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	f := l.flows[t]
	if f == nil {
		f = &flow{}
		f.turn.Value = f
		l.flows[t] = f
	}
	f.frames = append(f.frames, fr)
	f.queued += len(fr.octets)
	l.relay.queued.Add(int64(len(fr.octets)))
	if !f.blocked {
		l.turns.Ready(&f.turn)
		l.startWriting()
	}
	return true
}

// nextFrame takes the next SEND off the flow whose turn it is; l.mu is held.
func (l *Link) nextFrame() (*fair.Flow[*flow], frame) {
	for {
		turn := l.turns.Next()
		if turn == nil {
			return nil, frame{}
		}
		f := turn.Value
		if len(f.frames) == 0 {
			continue // its token is over
		}
		fr := f.frames[0]
		n := len(fr.octets)
		answered := fr.tx != nil && fr.tx.failure.WantsOK()
		if answered && f.unanswered > 0 && f.unanswered+n > window {
			f.blocked = true
			continue
		}
		f.frames = f.frames[1:]
		if fr.tx != nil {
			l.expect(fr.id, fr.tx)
		}
		if answered {
			fr.tx.flow, fr.tx.size = f, n
			f.unanswered += n
		}
		turn.Charge(n)
		if len(f.frames) > 0 {
			l.turns.Ready(turn)
		}
		return turn, fr
	}
}

// release gives back the window that a transaction took; l.mu is held.
func (l *Link) release(tx *transaction) {
	f := tx.flow
	if f == nil {
		return
	}
	f.unanswered -= tx.size
	if f.blocked {
		f.blocked = false
		l.turns.Ready(&f.turn)
		l.startWriting()
	}
}

// sent takes a frame off its flow's account and pays the 200s that it held up.
func (l *Link) sent(f *flow, fr frame) {
	l.mu.Lock()
	f.queued -= len(fr.octets)
	var held []owed
	if f.queued <= l.relay.bound() {
		held, f.owed = f.owed, nil
		if f.timer != nil {
			f.timer.Stop()
		}
	}
	l.changed.Broadcast()
	l.mu.Unlock()
	for _, o := range held {
		o.link.send(o.response)
	}
}

// credit sends the 200 for a SEND that was queued for the session on l, or
// holds it back while that queue is full.
func (l *Link) credit(t *token, from *Link, response *msrp.Unit, message refused) {
	l.mu.Lock()
	f := l.flows[t]
	if l.closed || f == nil || f.queued <= l.relay.bound() {
		l.mu.Unlock()
		from.send(response)
		return
	}
	f.owed = append(f.owed, owed{from, response, message, time.Now().Add(stallTimeout)})
	if len(f.owed) == 1 {
		f.timer = time.AfterFunc(stallTimeout, func() { l.stalled(f) })
	}
	l.mu.Unlock()
}

// stalled answers 408 to what was held back for too long: the sender learns in
// time that its peer does not read.
func (l *Link) stalled(f *flow) {
	l.mu.Lock()
	now := time.Now()
	var late []owed
	for len(f.owed) > 0 && !f.owed[0].until.After(now) {
		late = append(late, f.owed[0])
		f.owed = f.owed[1:]
	}
	if len(f.owed) > 0 {
		f.timer.Reset(f.owed[0].until.Sub(now))
	}
	l.mu.Unlock()
	for _, o := range late {
		o.response.Code = msrp.StatusTimeout
		o.response.Comment = "The peer does not read"
		o.link.refuse(o.message, msrp.StatusTimeout)
		o.link.send(o.response)
	}
}

// room waits until the session's queue on l is short enough for another piece,
// which only a sender that ignores its credit must do, and reports whether it
// may go on. Waiting means not reading from the sender any more; where its
// connection carries others as well, the answer is no instead.
func (l *Link) room(t *token, from *Link) bool {
	patient := !from.carriesOthers() // before l is locked: it may be the same
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.flows[t]
	if f == nil || f.queued == 0 || f.queued <= maxQueued+overrun && l.relay.queued.Load() <= l.relay.config.MaxBuffered {
		return true
	}
	if !patient {
		return false
	}
	late := false
	timer := time.AfterFunc(stallTimeout, func() {
		l.mu.Lock()
		late = true
		l.changed.Broadcast()
		l.mu.Unlock()
	})
	defer timer.Stop()
	for !l.closed && !late && l.flows[t] == f && f.queued > l.relay.bound() {
		l.changed.Wait()
	}
	return !late || f.queued <= l.relay.bound()
}

// carriesOthers reports whether a link serves more than one session. Only its
// reader calls it.
func (l *Link) carriesOthers() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shared || len(l.tokens) > 1
}
