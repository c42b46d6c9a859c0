package relay

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
)

// send queues a response or report ahead of all SENDs and reports whether
// there was room.
func (l *Link) send(u *msrp.Unit) bool {
	return l.sendRequest(u, nil, nil, nil)
}

// sendRequest queues a unit ahead of all SENDs, with the transaction that takes
// its response, if any. by is the link whose reader calls, or nil.
func (l *Link) sendRequest(u *msrp.Unit, body []byte, tx *transaction, by *Link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.control.len() > maxControl {
		return false
	}
	if l.control == nil {
		l.control = smallUnits.Get().(*units)
	}
	l.control.octets = u.Append(l.control.octets, body)
	l.control.ends = append(l.control.ends, len(l.control.octets))
	if l.control.len() > maxControl {
		l.crowded.Store(true)
	}
	if tx != nil {
		tx.sentAs = transactionID([]byte(u.TransactionID))
		l.expect(tx, time.Now())
	}
	l.startWriting(by)
	return true
}

// sendOK queues the 200 for a SEND. by is the link whose reader calls, or nil.
func (l *Link) sendOK(id string, to, from msrp.Path, by *Link) {
	l.sendRequest(&msrp.Unit{TransactionID: id, Code: msrp.StatusOK, To: to, From: from}, nil, nil, by)
}

// startWriting makes sure that someone writes; l.mu is held. No goroutine
// waits where nothing is to be sent: most links are idle most of the time. by is
// the link whose reader calls, or nil: where it can, it writes itself before it
// waits for more.
func (l *Link) startWriting(by *Link) {
	if l.writing || l.t == nil {
		return
	}
	l.writing = true
	if by == nil || !by.postpone(l) {
		go l.write(nil)
	}
}

// postpone leaves it to the reader of l to write for next, and reports whether it
// will.
func (l *Link) postpone(next *Link) bool {
	if !l.defers {
		return false
	}
	l.deferring.Lock()
	defer l.deferring.Unlock()
	if l.isClosed() {
		return false // close has spread the rest
	}
	l.later = append(l.later, next)
	return true
}

// A prompt is a transport whose reader may write: messages that come one by one
// then need no goroutine, and no turn of it, to go on.
type prompt interface {
	// OnWait makes Receive call f before it waits for the neighbour, and reports
	// whether it can.
	OnWait(f func()) bool
	// Ready reports whether Send takes maxInline octets without waiting. It is
	// followed by Flush or TryFlush.
	Ready() bool
	// TryFlush is Flush that does not wait; done is false where something is left.
	TryFlush() (done bool, err error)
}

const (
	// maxInline is how many octets a reader writes itself for a link.
	maxInline = 16 << 10
	// maxDeferred is how many units a reader handles before it leaves to others
	// what it wanted to write: it may go on without waiting.
	maxDeferred = 32
)

// catchUp writes what the reader has queued for others, or for its own
// neighbour. It waits for nobody.
func (l *Link) catchUp() {
	l.batch = 0
	for next := l.postponed(); next != nil; next = l.postponed() { // each may add to them
		next.writeInline(l)
	}
}

// handOver leaves to others what catchUp would write: before the reader waits for
// anything but the transport.
func (l *Link) handOver() {
	l.batch = 0
	l.spread()
}

// spread lets goroutines of their own write what the reader would.
func (l *Link) spread() {
	for next := l.postponed(); next != nil; next = l.postponed() {
		go next.write(nil)
	}
}

// postponed takes the first of those for whom the reader is to write, nil for none.
func (l *Link) postponed() *Link {
	l.deferring.Lock()
	defer l.deferring.Unlock()
	if len(l.later) == 0 {
		return nil
	}
	next := l.later[0]
	l.later = slices.Delete(l.later, 0, 1)
	return next
}

// writeInline is write for the reader of by. What may have to wait it leaves to a
// goroutine.
func (l *Link) writeInline(by *Link) {
	t, ok := l.t.(prompt)
	if !ok || !t.Ready() {
		go l.write(nil)
		return
	}
	w := writings.Get().(*writing)
	l.mu.Lock()
	switch {
	case l.closed, l.control.len()+l.queued > maxInline:
		l.mu.Unlock()
		go l.write(w)
		return
	case l != by && len(l.flows.more) > 0:
		// Others may be about to write to it as well, and one write serves all.
		l.mu.Unlock()
		go func() {
			runtime.Gosched()
			l.write(w)
		}()
		return
	}
	control := l.takeControl()
	l.nextFrames(w)
	l.mu.Unlock()
	err := l.sendAll(control, w)
	done := false
	if err == nil {
		done, err = t.TryFlush()
	}
	l.mu.Lock()
	l.sent(w)
	l.wake()
	more := !done || err != nil || l.closed || l.closing || l.control != nil || !l.turns.Empty()
	l.writing = more
	l.mu.Unlock()
	w.pay(by)
	switch {
	case err != nil:
		go l.close(err) // it may be the one that reads
	case more:
		go l.write(w)
		return
	}
	writings.Put(w)
}

// maxBatch is how many octets of SENDs are taken at once: what is taken does
// not let others go ahead any more.
const maxBatch = 64 << 10

// write sends what is queued and returns when nothing is left. w is what is at
// hand, or nil.
func (l *Link) write(w *writing) {
	if w == nil {
		w = writings.Get().(*writing)
	}
	defer writings.Put(w)
	var err error
	flushed := false
	for {
		l.mu.Lock()
		l.sent(w)
		if l.closed || err != nil {
			l.mu.Unlock()
			w.pay(nil)
			if err != nil {
				l.close(err)
			}
			return
		}
		control := l.takeControl()
		l.nextFrames(w)
		nothing := control == nil && len(w.batch) == 0
		if nothing && flushed && len(w.held) == 0 {
			l.writing = false
			closing := l.closing
			l.mu.Unlock()
			if closing {
				l.close(msrp.ErrConnClosed)
			}
			return
		}
		l.mu.Unlock()
		w.pay(nil)
		err = l.sendAll(control, w)
		if flushed = nothing; flushed && err == nil {
			err = l.t.Flush()
		}
	}
}

// takeControl takes the small units that are queued, nil for none; l.mu is held.
func (l *Link) takeControl() *units {
	control := l.control
	l.control = nil
	l.crowded.Store(false)
	l.wake()
	return control
}

// sendAll sends small units, nil for none, and a batch of SENDs.
func (l *Link) sendAll(control *units, w *writing) error {
	if control != nil {
		if err := control.send(l.t); err != nil {
			return err
		}
	}
	for i := range w.batch {
		if err := l.t.Send(w.batch[i].octets); err != nil {
			return err
		}
	}
	return nil
}

// units are responses and other small units in wire form.
type units struct {
	octets []byte
	ends   []int // of each
}

var smallUnits = sync.Pool{New: func() any { return new(units) }}

func (s *units) len() int {
	if s == nil {
		return 0
	}
	return len(s.octets)
}

// send sends them all, and gives their memory to others.
func (s *units) send(t msrp.Transport) error {
	from := 0
	for _, to := range s.ends {
		if err := t.Send(s.octets[from:to]); err != nil {
			return err
		}
		from = to
	}
	if cap(s.octets) <= maxBatch {
		s.octets, s.ends = s.octets[:0], s.ends[:0]
		smallUnits.Put(s)
	}
	return nil
}
