package rendezvous

import (
	"maps"
	"sync"
	"time"
)

// queueLength is how many messages may wait for a client to read them, and
// crowdedLength how many keep offers out. What is left is room for all that
// the calls of a member may bring, an answer and a bye for each it made and a
// bye for each it was made: nobody can fill the queue of another.
const (
	queueLength   = crowdedLength + 3*maxCalls
	crowdedLength = 128
)

// A line leads to a client, who may be slow.
type line struct {
	out      chan *Message
	overflow chan struct{} // tells that the client does not read
	over     chan struct{} // closed once the client is gone
}

func newLine() *line {
	return &line{make(chan *Message, queueLength), make(chan struct{}, 1), make(chan struct{})}
}

// send queues a message and does not block.
func (l *line) send(m Message) {
	select {
	case l.out <- &m:
	default:
		select {
		case l.overflow <- struct{}{}:
		default:
		}
	}
}

// crowded reports whether so much waits for the client that it is not to be
// called.
func (l *line) crowded() bool { return len(l.out) >= crowdedLength }

// Each name may make offerBurst calls at once, and then one every offerEvery.
const (
	offerBurst = 20
	offerEvery = time.Second
)

// A limiter keeps count of offers by name, which outlives a registration: who
// registers again has no more of them. The zero value is ready.
type limiter struct {
	mu    sync.Mutex
	full  map[string]time.Time // when the whole burst is there again
	sweep int                  // how many names make it worth to look for old ones
}

// allow reports whether a name may make a call now, and counts it.
func (l *limiter) allow(name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.full[name]
	if full.Before(now) {
		full = now
	}
	full = full.Add(offerEvery)
	if full.Sub(now) > offerBurst*offerEvery {
		return false
	}
	if l.full == nil {
		l.full = make(map[string]time.Time)
	}
	l.full[name] = full
	if len(l.full) > l.sweep {
		maps.DeleteFunc(l.full, func(_ string, t time.Time) bool { return t.Before(now) })
		l.sweep = max(1000, 2*len(l.full))
	}
	return true
}
