package relay

import (
	"slices"
	"strings"
)

// refused names a message: its session, by the session ID of the token, and
// its Message-ID.
type refused struct{ session, message string }

// refusals remembers the messages that were refused, so that their further
// chunks are as well. It forgets the oldest.
type refusals struct {
	codes map[refused]int
	order []refused
}

const maxRefusals = 64

func (r *refusals) add(m refused, code int) {
	if _, known := r.codes[m]; known {
		return
	}
	if len(r.order) == maxRefusals {
		delete(r.codes, r.order[0])
		r.order = r.order[1:]
	}
	m = refused{strings.Clone(m.session), strings.Clone(m.message)}
	r.codes[m] = code
	r.order = append(r.order, m)
}

func (r *refusals) remove(m refused) {
	if _, known := r.codes[m]; known {
		delete(r.codes, m)
		r.order = slices.DeleteFunc(r.order, func(o refused) bool { return o == m })
	}
}

// refuse makes sure that no further chunk of a message is forwarded.
func (l *Link) refuse(m refused, code int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		l.refused = &refusals{codes: make(map[refused]int)}
		l.refusing.Store(true)
	}
	l.refused.add(m, code)
}

// refusal returns the code for a further chunk of a message that was refused,
// or 0. A chunk that starts with the first octet begins the message anew.
func (l *Link) refusal(m refused, start int64) int {
	if !l.refusing.Load() {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if start <= 1 {
		l.refused.remove(m)
	}
	return l.refused.codes[m]
}
