// Package inflight keeps the requests that wait for their responses. All of a
// table wait equally long, so the order of their start is that of their
// deadlines and one timer serves them all.
package inflight

import "time"

// A Table holds what waits under keys of type K. Its zero value is empty. It is
// not safe for concurrent use.
type Table[K comparable, V any] struct {
	entries map[K]entry[V]
	queue   []start[K] // by deadline
	head    int        // of queue: those before are answered
	passed  int        // how many left the queue, which is what entries count from
}

type entry[V any] struct {
	value V
	place int // in the queue, from the very first
}

type start[K comparable] struct {
	key      K
	deadline time.Duration // since epoch
	answered bool
}

// epoch is what deadlines count from. Durations in place of times keep time's
// formatting, which nobody needs, out of the browser's program.
var epoch = time.Now()

// Add enters a value whose deadline is not before that of any other.
func (t *Table[K, V]) Add(key K, value V, deadline time.Time) {
	if t.entries == nil {
		t.entries = make(map[K]entry[V])
	}
	if old, ok := t.entries[key]; ok {
		t.answer(old.place)
	}
	if t.head > len(t.queue)/2 {
		t.queue = t.queue[:copy(t.queue, t.queue[t.head:])]
		t.passed += t.head
		t.head = 0
	}
	if len(t.queue) == cap(t.queue) && len(t.entries) < len(t.queue)/2 {
		t.compact()
	}
	t.entries[key] = entry[V]{value, t.passed + len(t.queue)}
	t.queue = append(t.queue, start[K]{key: key, deadline: deadline.Sub(epoch)})
}

// compact takes the answered out of the queue: its head may wait for long while
// others come and go.
func (t *Table[K, V]) compact() {
	waiting := t.queue[:0]
	for _, s := range t.queue[t.head:] {
		if !s.answered {
			t.entries[s.key] = entry[V]{t.entries[s.key].value, t.passed + len(waiting)}
			waiting = append(waiting, s)
		}
	}
	t.queue, t.head = waiting, 0
}

// Take removes and returns the value under key.
func (t *Table[K, V]) Take(key K) (V, bool) {
	e, ok := t.entries[key]
	if ok {
		delete(t.entries, key)
		t.answer(e.place)
	}
	return e.value, ok
}

// answer marks a place of the queue and steps over the answered at its head.
func (t *Table[K, V]) answer(place int) {
	t.queue[place-t.passed].answered = true
	for t.head < len(t.queue) && t.queue[t.head].answered {
		t.head++
	}
	if t.head == len(t.queue) {
		t.passed += t.head
		t.queue, t.head = t.queue[:0], 0
	}
}

// Len returns how many values wait.
func (t *Table[K, V]) Len() int { return len(t.entries) }

// Each calls f with every value, in any order.
func (t *Table[K, V]) Each(f func(V)) {
	for _, e := range t.entries {
		f(e.value)
	}
}

// Next returns the earliest deadline, or the zero time of an empty table.
func (t *Table[K, V]) Next() time.Time {
	if t.head == len(t.queue) {
		return time.Time{}
	}
	return epoch.Add(t.queue[t.head].deadline)
}

// Expired removes and returns the values whose deadline is not after now.
func (t *Table[K, V]) Expired(now time.Time) []V {
	var late []V
	for t.head < len(t.queue) && t.queue[t.head].deadline <= now.Sub(epoch) {
		value, _ := t.Take(t.queue[t.head].key)
		late = append(late, value)
	}
	return late
}

// All removes and returns every value, in order.
func (t *Table[K, V]) All() []V {
	var all []V
	for t.head < len(t.queue) {
		value, _ := t.Take(t.queue[t.head].key)
		all = append(all, value)
	}
	return all
}
