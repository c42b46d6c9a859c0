package relay

import (
	"slices"
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
	// maxOwed is how many 200s of one session may be held back: more than SENDs of
	// that size. Whoever ignores them has as many as pass in stallTimeout.
	maxOwed = 16 << 10
	// stallStep is how often at most they are looked through for late ones.
	stallStep = 100 * time.Millisecond
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
	owed       *debts    // 200s held back, or nil
	timer      *time.Timer
}

// A frame is a SEND in wire form.
type frame struct {
	octets []byte
	memory *frameMemory
	id     transactionID
	tx     *transaction // nil where no response counts
}

// owed is a 200 that is held back while a flow is full.
type owed struct {
	link        *Link
	to, from    [1]msrp.URI
	id, message []byte // transaction ID and Message-ID
	until       time.Time
}

func (o *owed) response(code int, comment string) *msrp.Unit {
	return &msrp.Unit{TransactionID: string(o.id), Code: code, Comment: comment, To: o.to[:], From: o.from[:]}
}

// debts are what is owed for one flow, oldest first.
type debts struct{ all []owed }

var ledgers = sync.Pool{New: func() any { return new(debts) }}

func (d *debts) len() int {
	if d == nil {
		return 0
	}
	return len(d.all)
}

// add makes room for one more, in memory used before.
func (d *debts) add() *owed {
	if n := len(d.all); n < cap(d.all) {
		d.all = d.all[:n+1]
	} else {
		d.all = append(d.all, owed{})
	}
	return &d.all[len(d.all)-1]
}

// maxLedger is how many debts a flow may have had for its memory to be kept.
const maxLedger = 4096

// pay sends the 200s. by is the link whose reader calls, or nil.
func (d *debts) pay(by *Link) {
	for i := range d.all {
		o := &d.all[i]
		o.link.sendOK(view(o.id), o.to[:], o.from[:], by)
		*o = owed{id: o.id, message: o.message}
	}
	if cap(d.all) <= maxLedger {
		d.all = d.all[:0]
		ledgers.Put(d)
	}
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
		l.queued -= len(fr.octets)
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
	if f.owed != nil {
		f.owed.pay(nil)
	}
	for _, fr := range f.frames {
		if fr.tx != nil {
			fr.tx.fail(code, comment)
		}
	}
}

// What became of a SEND at enqueue.
type queued int

const (
	unqueued queued = iota // the link or the session is over
	crowded                // there is no room, see room
	full                   // it waits, and its sender gets no more credit for now
	credited               // it waits, and is answered at once
)

// enqueue adds a SEND of a session to its flow. by is the link whose reader calls.
func (l *Link) enqueue(t *token, fr frame, by *Link) queued {
	if t.isOver() {
		return unqueued
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return unqueued
	}
	f := l.flows.of(t)
	if fr.memory != nil && !l.fits(f) { // the end of a message needs no room
		l.mu.Unlock()
		return crowded
	}
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
	l.queued += len(fr.octets)
	l.relay.queued.Add(int64(len(fr.octets)))
	if !f.blocked {
		l.turns.Ready(&f.turn)
		l.startWriting(by)
	}
	state := credited
	if f.queued > l.relay.bound() {
		state = full
	}
	l.mu.Unlock()
	if began && t.isOver() {
		l.forget(t) // revoke may have been here before it began
	}
	return state
}

// A turn is a frame on its way, and whose it is.
type turn struct {
	flow *flow
	frame
}

// A writing is what a link that writes has at hand.
type writing struct {
	batch []turn   // on their way
	held  []*debts // that they held up
}

var writings = sync.Pool{New: func() any { return new(writing) }}

// nextFrames takes a batch of SENDs; l.mu is held.
func (l *Link) nextFrames(w *writing) {
	if l.turns.Empty() {
		return
	}
	now := time.Now()
	for octets := 0; octets < maxBatch; {
		t, ok := l.nextFrame(now)
		if !ok {
			return
		}
		w.batch = append(w.batch, t)
		octets += len(t.octets)
	}
}

// nextFrame takes the next SEND off the flow whose turn it is; l.mu is held.
func (l *Link) nextFrame(now time.Time) (turn, bool) {
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
		if answered { // the window bounds it
			fr.tx.flow, fr.tx.size = f, n
			f.unanswered += n
		}
		if fr.tx != nil {
			fr.tx.sentAs = fr.id
			l.expect(fr.tx, now)
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
		l.startWriting(nil)
	}
}

// sent takes the batch off the accounts of its flows and finds the 200s that it
// held up; l.mu is held.
func (l *Link) sent(w *writing) {
	for _, t := range w.batch {
		n := len(t.octets)
		t.memory.free()
		l.queued -= n
		l.relay.queued.Add(-int64(n))
		f := t.flow
		if f.queued -= n; f.owed != nil && f.queued <= l.relay.bound() {
			w.held = append(w.held, f.owed)
			f.owed = nil
			f.timer.Stop()
		}
		if f.over && f.queued == 0 {
			l.flows.remove(f)
		}
	}
	clear(w.batch)
	w.batch = w.batch[:0]
}

// pay sends the 200s that were held up. by is the link whose reader calls, or nil.
func (w *writing) pay(by *Link) {
	for _, d := range w.held {
		d.pay(by)
	}
	clear(w.held)
	w.held = w.held[:0]
}

// credit sends the 200 for a SEND that came on from and was queued for the session
// on l, or holds it back while that queue is full.
func (l *Link) credit(t *token, from *Link, id, message string) {
	l.mu.Lock()
	f := l.flows.of(t)
	if l.closed || f == nil || f.queued <= l.relay.bound() {
		l.mu.Unlock()
		from.sendOK(id, from.origin[:1], msrp.Path{from.target}, from)
		return
	}
	if f.owed == nil {
		f.owed = ledgers.Get().(*debts)
		if f.timer == nil {
			f.timer = time.AfterFunc(stallTimeout, func() { l.stalled(f) })
		} else {
			f.timer.Reset(stallTimeout)
		}
	}
	o := f.owed.add()
	*o = owed{
		link: from, to: [1]msrp.URI(from.origin), from: [1]msrp.URI{from.target},
		id: append(o.id[:0], id...), message: append(o.message[:0], message...), until: time.Now().Add(stallTimeout),
	}
	l.mu.Unlock()
}

// stalled answers 408 to what was held back for too long: the sender learns in
// time that its peer does not read.
func (l *Link) stalled(f *flow) {
	l.mu.Lock()
	now := time.Now()
	var late []owed
	if f.owed != nil {
		n := 0
		for n < len(f.owed.all) && !f.owed.all[n].until.After(now) {
			n++
		}
		late = slices.Clone(f.owed.all[:n])
		f.owed = &debts{slices.Clone(f.owed.all[n:])}
		if f.owed.len() == 0 {
			f.owed = nil
		} else {
			f.timer.Reset(max(f.owed.all[0].until.Sub(now), stallStep))
		}
	}
	l.mu.Unlock()
	for i := range late {
		o := &late[i]
		o.link.refuse(refused{o.from[0].SessionID(), string(o.message)}, msrp.StatusTimeout)
		o.link.send(o.response(msrp.StatusTimeout, "The peer does not read"))
	}
}

// room waits until the session's queue on l is short enough for another piece,
// which only a sender that ignores its credit must do, and reports whether it
// may go on. Waiting means not reading from the sender any more; where its
// connection carries others as well, the answer is no instead.
func (l *Link) room(t *token, from *Link) bool {
	if from.carriesOthers() {
		return false
	}
	from.handOver()
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.flows.of(t)
	if l.fits(f) {
		return true
	}
	late := false
	timer := time.AfterFunc(stallTimeout, func() {
		l.mu.Lock()
		late = true
		l.wake()
		l.mu.Unlock()
	})
	defer timer.Stop()
	for !l.closed && !late && l.flows.of(t) == f && (f.queued > l.relay.bound() || !l.fits(f)) {
		l.wait()
	}
	return !late || f.queued <= l.relay.bound()
}

// fits reports whether a flow, which may be nil, takes another piece; l.mu is held.
func (l *Link) fits(f *flow) bool {
	return f == nil || f.queued == 0 ||
		f.queued <= maxQueued+overrun && f.owed.len() < maxOwed && l.relay.queued.Load() <= l.relay.config.MaxBuffered
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
