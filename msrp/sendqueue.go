package msrp

import "math/bits"

const (
	// shortMessage bounds the shortest class of messages in octets; each further
	// class reaches up to 64 times as far.
	shortMessage = 16 << 10
	classes      = 5

	// maxPassed is how many chunks in a row may pass a longer message that is
	// older and has begun.
	maxPassed = 3
)

// A sendQueue holds the messages of a session that have a chunk to send: the
// shorter class goes first, and within a class one message after the other. So
// a text does not wait for a picture nor a picture for a film, and few messages
// are incomplete at a time: what interleaves fills a receiver that reads one by
// one with octets it does not read yet. Its zero value is empty.
type sendQueue struct {
	lanes  [classes]lane
	begun  uint64 // messages that have begun
	passed int    // chunks that passed the oldest of them
}

// A lane holds the messages of one class: those that have begun in the order in
// which they did, then the others in the order of their calls.
type lane struct{ first, last *Outgoing }

// notBegun is added to the serial number of a message that has not begun.
const notBegun = 1 << 63

// laneOf returns the lane for a message: by its length, or by what was sent of
// one whose length is not known. An abort goes first.
func (q *sendQueue) laneOf(o *Outgoing) *lane {
	octets := o.size
	switch {
	case o.aborting:
		octets = 0
	case octets < 0:
		octets = o.offset
	}
	return &q.lanes[min((bits.Len64(uint64(octets/shortMessage))+5)/6, classes-1)]
}

// add enters a message, unless it is there, in its lane and in order.
func (q *sendQueue) add(o *Outgoing) {
	if o.lane != nil {
		return
	}
	l := q.laneOf(o)
	o.lane, o.before = l, l.last
	if l.first != nil && o.serial < l.first.serial {
		o.before = nil
	}
	for o.before != nil && o.before.serial > o.serial {
		o.before = o.before.before
	}
	if o.before == nil {
		o.after, l.first = l.first, o
	} else {
		o.after, o.before.after = o.before.after, o
	}
	if o.after == nil {
		l.last = o
	} else {
		o.after.before = o
	}
}

// begin moves a message to those that have begun.
func (q *sendQueue) begin(o *Outgoing) {
	q.remove(o)
	q.begun++
	o.serial = q.begun
	q.add(o)
}

func (q *sendQueue) remove(o *Outgoing) {
	l := o.lane
	if l == nil {
		return
	}
	if o.before == nil {
		l.first = o.after
	} else {
		o.before.after = o.after
	}
	if o.after == nil {
		l.last = o.before
	} else {
		o.after.before = o.before
	}
	o.lane, o.before, o.after = nil, nil, nil
}

func (q *sendQueue) empty() bool { return q.lanes == [classes]lane{} }
