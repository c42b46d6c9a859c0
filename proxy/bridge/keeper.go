package bridge

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	pingEvery   = 30 * time.Second
	pingTimeout = 20 * time.Second
)

// A keeper knows the WebSockets that are open, pings each from time to time, and
// ends those where no pong comes (RFC 7977, section 6). Its zero value is ready.
// One timer serves all: most connections do nothing but this.
type keeper struct {
	mu    sync.Mutex
	turns [pingEvery / time.Second]map[*webSocket]struct{} // one each second
	now   int                                              // the latest
	open  int
	timer *time.Timer // runs while there are any
}

func (k *keeper) enter(w *webSocket) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.turn = k.now
	if k.turns[k.now] == nil {
		k.turns[k.now] = make(map[*webSocket]struct{})
	}
	k.turns[k.now][w] = struct{}{}
	if k.open++; k.open > 1 {
		return
	}
	if k.timer == nil {
		k.timer = time.AfterFunc(time.Second, k.tick)
	} else {
		k.timer.Reset(time.Second)
	}
}

func (k *keeper) leave(w *webSocket) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.turns[w.turn], w)
	if k.open--; k.open == 0 {
		k.timer.Stop()
	}
}

// tick pings those whose turn it is.
func (k *keeper) tick() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open == 0 {
		return
	}
	k.now = (k.now + 1) % len(k.turns)
	for w := range k.turns[k.now] {
		go w.ping()
	}
	k.timer.Reset(time.Second)
}

// all returns those that are open.
func (k *keeper) all() []*webSocket {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []*webSocket
	for _, turn := range k.turns {
		all = slices.AppendSeq(all, maps.Keys(turn))
	}
	return all
}

// ping ends the connection where no pong comes, nor anything else. Over a slow link
// a ping may have to wait for messages before it, longer than websocket waits.
func (w *webSocket) ping() {
	ctx, cancel := context.WithTimeout(background, pingTimeout)
	defer cancel()
	w.heard.Store(false)
	for {
		err := w.c.Ping(ctx)
		if err == nil || w.heard.Load() || w.closing.Load() {
			return
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			w.c.CloseNow()
			return
		}
	}
}
