package relay

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/webmsrp/webmsrp/msrp"
)

// A hasty transport is one whose reader may write. It says so before it waits for
// octets, or never, as where there always are some.
type hasty struct {
	*msrp.Stream
	c       *hastyConn
	ready   atomic.Bool // what Ready reports
	partial bool        // TryFlush gets nothing done
	tried   atomic.Int64
}

type hastyConn struct {
	net.Conn
	onWait func()
}

func (c *hastyConn) Read(p []byte) (int, error) {
	if c.onWait != nil {
		c.onWait()
	}
	return c.Conn.Read(p)
}

func (h *hasty) OnWait(f func()) bool {
	if h.c != nil {
		h.c.onWait = f
	}
	return true
}

func (h *hasty) Ready() bool { return h.ready.Load() }

func (h *hasty) TryFlush() (bool, error) {
	h.tried.Add(1)
	if h.partial {
		return false, nil
	}
	return true, h.Flush()
}

// connectHasty opens a connection to the relay over a hasty transport.
func (r *rig) connectHasty(info LinkInfo, tells bool) (*side, *hasty) {
	ours, theirs := net.Pipe()
	s, h := newSide(r.t, ours), &hasty{}
	h.ready.Store(true)
	c := &hastyConn{Conn: theirs}
	if tells {
		h.c = c
	}
	h.Stream = msrp.NewStream(c)
	go func() { s.done <- r.relay.Serve(h, info) }()
	return s, h
}

// What a reader has queued goes out before it waits, from its own hands, or from
// others' where the neighbour takes no more.
func TestReaderWrites(t *testing.T) {
	for name, adjust := range map[string]func(h *hasty){
		"itself":  func(*hasty) {},
		"a part":  func(h *hasty) { h.partial = true },
		"nothing": func(h *hasty) { h.ready.Store(false) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			alice, h := r.connectHasty(LinkInfo{WebSocket: true, Secure: true}, true)
			d := alice.token("alice", aliceURI, true)
			bob := r.peer()
			adjust(h)
			before := h.tried.Load()
			bob.wantCode(bob.send("SEND", d, bobURI, text("hello"), "Message-ID: h3ll0"), 200, bobURI, d)
			alice.answer(alice.want("SEND", aliceURI, d+" "+bobURI).TransactionID, 200, d, aliceURI)
			for i := range 3 {
				alice.wantCode(alice.send("SEND", d+" "+bobURI, aliceURI, text("hello"), fmt.Sprint("Message-ID: m3ss4ge", i)), 200, aliceURI, d)
				bob.answer(bob.want("SEND", bobURI, d).TransactionID, 200, d, bobURI)
			}
			assert.Equal(t, name != "nothing", h.tried.Load() > before)
		})
	}
}

// A reader that always has something to read keeps nobody waiting.
func TestReaderThatNeverWaits(t *testing.T) {
	r := newRig(t)
	alice := r.browser()
	d := alice.token("alice", aliceURI, true)
	bob, _ := r.connectHasty(LinkInfo{}, false)
	for i := range maxDeferred {
		bob.send("SEND", d, bobURI, text("hello"), fmt.Sprint("Message-ID: m3ss4ge", i), "Failure-Report: no")
	}
	for range maxDeferred {
		alice.want("SEND", aliceURI, d+" "+bobURI)
	}
}
