package msrp

import (
	"strings"
	"sync"
)

// maxHistory is how many messages that are over a session remembers: more than
// a peer can have on its way within its window, all of which it sends once more
// after a connection was lost.
const maxHistory = 8192

// A fate is what became of a message.
type fate uint8

const (
	taken   fate = iota + 1 // it was complete
	refused                 // with 413
	dropped                 // its sender stopped, or was not heard of any more
)

// A history remembers what became of the messages of a peer, by Message-ID, for
// when they come once more (RFC 4975, section 5.4): in the same session or in
// one that takes its place, which share it.
type history struct {
	mu    sync.Mutex
	fates map[string]fate
	ids   []string // the keys, oldest first
}

func (h *history) of(id string) fate {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fates[id]
}

// add enters what became of a message and reports whether it stands: nothing
// comes after a message was taken.
func (h *history) add(id string, became fate) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fates == nil {
		h.fates = make(map[string]fate)
	}
	switch h.fates[id] {
	case taken:
		return false
	case 0:
		id = strings.Clone(id) // which is part of a head
		h.ids = append(h.ids, id)
	}
	h.fates[id] = became
	if len(h.ids) > maxHistory {
		delete(h.fates, h.ids[0])
		h.ids = h.ids[1:]
	}
	return true
}
