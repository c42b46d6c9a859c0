// Package fair decides whose turn it is where several flows share one
// connection: deficit round robin over octets, in which a flow that was idle
// goes ahead of those that keep the connection busy. Small messages then do
// not wait behind files, and nobody starves.
package fair

// Quantum is how many octets a flow may send before others get their turn.
const Quantum = 16 << 10

// A Flow is one competitor. Its zero value is idle.
type Flow[T any] struct {
	Value T

	credit  int // octets it may still send in this turn
	waiting bool
	served  bool // it had a turn before
	next    *Flow[T]
}

// maxRun is how many turns fresh flows get in a row while busy ones wait: an
// endless supply of new flows must not stop the others.
const maxRun = 16

// A Queue holds the flows that have something to send. Its zero value is
// empty. It is not safe for concurrent use.
type Queue[T any] struct {
	fresh, busy list[T]
	run         int // turns given to fresh flows in a row
}

type list[T any] struct{ head, tail *Flow[T] }

func (l *list[T]) push(f *Flow[T]) {
	f.next = nil
	if l.tail == nil {
		l.head = f
	} else {
		l.tail.next = f
	}
	l.tail = f
}

func (l *list[T]) pop() *Flow[T] {
	f := l.head
	if l.head = f.next; l.head == nil {
		l.tail = nil
	}
	f.next = nil
	return f
}

// Ready enters f unless it waits already. Call it when f has something to send
// and again after each Next as long as it has more.
func (q *Queue[T]) Ready(f *Flow[T]) {
	if f.waiting {
		return
	}
	f.waiting = true
	if !f.served {
		f.served = true
		f.credit = Quantum
	}
	if f.credit > 0 {
		q.fresh.push(f)
	} else {
		q.busy.push(f)
	}
}

// Next takes out the flow whose turn it is, or returns nil where none waits.
func (q *Queue[T]) Next() *Flow[T] {
	for {
		from := &q.fresh
		if from.head == nil || q.run >= maxRun && q.busy.head != nil {
			from = &q.busy
			q.run = 0
		} else {
			q.run++
		}
		if from.head == nil {
			return nil
		}
		f := from.pop()
		if f.credit <= 0 {
			f.credit += Quantum
		}
		if f.credit > 0 {
			f.waiting = false
			return f
		}
		q.busy.push(f)
	}
}

// Empty reports whether no flow waits.
func (q *Queue[T]) Empty() bool { return q.fresh.head == nil && q.busy.head == nil }

// Charge takes the octets that f sent in its turn from its credit.
func (f *Flow[T]) Charge(octets int) { f.credit -= octets }
