package relay

import (
	"strings"
	"sync"
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
	// maxEnds is what may wait beyond that, to say that messages end unfinished.
	maxEnds = 128 << 10
)

// flows are those of one link by their tokens. Most links have one.
type flows struct {
	one  *flow
	more map[*token]*flow
}

func (fs *flows) of(t *token) *flow {
	if fs.one != nil && fs.one.token == t {
		return fs.one
	}
	return fs.more[t]
}

func (fs *flows) add(f *flow) {
	switch {
	case fs.one == nil:
		fs.one = f
	case fs.more == nil:
		fs.more = map[*token]*flow{f.token: f}
	default:
		fs.more[f.token] = f
	}
}

func (fs *flows) remove(f *flow) {
	if fs.one == f {
		fs.one = nil
	} else {
		delete(fs.more, f.token)
	}
}

// all calls yield with each flow.
func (fs *flows) all(yield func(*flow) bool) {
	if fs.one != nil && !yield(fs.one) {
		return
	}
	for _, f := range fs.more {
		if !yield(f) {
			return
		}
	}
}

// A flow is the queue of one session to one connection; the link's mutex
// guards it.
type flow struct {
	token      *token
	over       bool // the token is: the flow ends with what is queued
	turn       fair.Flow[*flow]
	frames     []frame
	storage    []frame   // of frames
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
	memory *frameMemory
	id     string       // its transaction ID, for tx
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
	f.frames, f.storage, f.owed, f.timer = nil, nil, nil, nil
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
	if l.closed {
		l.mu.Unlock()
		return false
	}
	f := l.flows.of(t)
	began := f == nil
	if began {
		f = &flow{token: t}
		f.turn.Value = f
		l.flows.add(f)
	}
	if len(f.frames) == 0 {
		f.frames = f.storage[:0]
	}
	f.frames = append(f.frames, fr)
	if cap(f.frames) > cap(f.storage) {
		f.storage = f.frames
	}
	f.queued += len(fr.octets)
	l.relay.queued.Add(int64(len(fr.octets)))
	if !f.blocked {
		l.turns.Ready(&f.turn)
		l.startWriting()
	}
	l.mu.Unlock()
	if began && t.isOver() {
		l.forget(t) // revoke may have been here before it began
	}
	return true
}

// A turn is a frame on its way, and whose it is.
type turn struct {
	flow *flow
	frame
}

// nextFrame takes the next SEND off the flow whose turn it is; l.mu is held.
func (l *Link) nextFrame() (turn, bool) {
	for {
		next := l.turns.Next()
		if next == nil {
			return turn{}, false
		}
		f := next.Value
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
		f.frames[0] = frame{}
		f.frames = f.frames[1:]
		if fr.tx != nil {
			l.expect(fr.id, fr.tx)
		}
		if answered {
			fr.tx.flow, fr.tx.size = f, n
			f.unanswered += n
		}
		next.Charge(n)
		if len(f.frames) > 0 {
			l.turns.Ready(next)
		}
		return turn{f, fr}, true
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

// sent takes frames off the accounts of their flows and returns the 200s that
// they held up; l.mu is held.
func (l *Link) sent(batch []turn) (held []owed) {
	for _, t := range batch {
		n := len(t.octets)
		t.memory.free()
		l.relay.queued.Add(-int64(n))
		f := t.flow
		if f.queued -= n; len(f.owed) > 0 && f.queued <= l.relay.bound() {
			held = append(held, f.owed...)
			f.owed = nil
			f.timer.Stop()
		}
		if f.over && f.queued == 0 {
			l.flows.remove(f)
		}
	}
	return held
}

// pay sends 200s that were held up.
func pay(held []owed) {
	for _, o := range held {
		o.link.send(o.response)
	}
}

// credit sends the 200 for the SEND u, which was queued for the session on l, or
// holds it back while that queue is full.
func (l *Link) credit(t *token, from *Link, u *msrp.Unit, message refused) {
	l.mu.Lock()
	f := l.flows.of(t)
	if l.closed || f == nil || f.queued <= l.relay.bound() {
		l.mu.Unlock()
		from.send(&msrp.Unit{TransactionID: u.TransactionID, Code: msrp.StatusOK, To: u.From[:1], From: u.To[:1]})
		return
	}
	response := &msrp.Unit{
		TransactionID: strings.Clone(u.TransactionID), Code: msrp.StatusOK, To: from.origin[:1], From: msrp.Path{from.target},
	}
	message = refused{from.target.SessionID(), strings.Clone(message.message)}
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
	f := l.flows.of(t)
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
		l.wake()
		l.mu.Unlock()
	})
	defer timer.Stop()
	for !l.closed && !late && l.flows.of(t) == f && f.queued > l.relay.bound() {
		l.wait()
	}
	return !late || f.queued <= l.relay.bound()
}

// roomForEnd reports whether the session's queue on l takes the end of a message
// of which nothing more is forwarded.
func (l *Link) roomForEnd(t *token) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.flows.of(t)
	return f == nil || f.queued <= maxQueued+overrun+maxEnds
}

// carriesOthers reports whether a link serves more than one session. Only its
// reader calls it.
func (l *Link) carriesOthers() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shared || len(l.tokens) > 1
}

// largestFrame takes a chunk of 64 KiB with its header.
const largestFrame = 72 << 10

// frameMemory is where a frame lies. It is used again, for frames of about the
// same size: none takes much more than twice its octets.
type frameMemory struct {
	bytes []byte
	class int
}

// frames are of largestFrame, half of it and so on.
var frames [7]sync.Pool

// takeFrame returns memory for about so many octets.
func takeFrame(octets int) *frameMemory {
	class := 0
	for class < len(frames)-1 && largestFrame>>(class+1) >= octets {
		class++
	}
	if m, ok := frames[class].Get().(*frameMemory); ok {
		return m
	}
	return &frameMemory{make([]byte, 0, largestFrame>>class), class}
}

// free gives m, which may be nil, to the next frame.
func (m *frameMemory) free() {
	if m != nil && cap(m.bytes) <= largestFrame>>m.class {
		frames[m.class].Put(m)
	}
}
