package relay

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/webmsrp/webmsrp/msrp"
)

// A hasty transport is one whose reader may write. It says so before it waits for
// octets, or never, as where there always are some.
type hasty struct {
	*msrp.Stream
	c       *hastyConn
	ready   atomic.Bool   // what Ready reports
	gate    chan struct{} // TryFlush waits until it is closed, nil for nothing
	partial bool          // TryFlush gets nothing done
	lingers bool          // Close does not end Receive, as that of a WebSocket
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

func (h *hasty) Close(reason error) error {
	if h.lingers {
		return nil
	}
	return h.Stream.Close(reason)
}

func (h *hasty) TryFlush() (bool, error) {
	h.tried.Add(1)
	if h.gate != nil {
		<-h.gate
	}
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

// What a reader has queued for others goes out when its own link ends, even if the
// transport leaves it waiting for the neighbour's last words.
func TestReaderThatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		alice := r.browser()
		d := alice.token("alice", aliceURI, true)
		bob, h := r.connectHasty(LinkInfo{}, false)
		h.lingers = true
		bob.send("SEND", d, bobURI, text("hello"), "Message-ID: h3ll0", "Failure-Report: no")
		synctest.Wait()
		r.relay.lookup(path(t, d)[0]).linkTo(path(t, bobURI)[0], nil).close(errIdle)
		assert.Equal(t, "hello", alice.want("SEND", aliceURI, d+" "+bobURI).body)
	})
}

// Whoever waits for room goes on when another's reader has made some.
func TestReaderMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxBuffered = 1 })
		alice, h := r.connectHasty(LinkInfo{WebSocket: true, Secure: true}, true)
		d := alice.token("alice", aliceURI, true)
		h.gate = make(chan struct{})
		bob, _ := r.connectHasty(LinkInfo{}, true)
		bob.send("SEND", d, bobURI, text("first"), "Message-ID: m3ss4ge1", "Failure-Report: no")
		synctest.Wait()
		r.peer().send("SEND", d, carolURI, text("second"), "Message-ID: m3ss4ge2", "Failure-Report: no")
		synctest.Wait()
		start := time.Now()
		close(h.gate)
		assert.Equal(t, "first", alice.want("SEND", aliceURI, d+" "+bobURI).body)
		assert.Equal(t, "second", alice.want("SEND", aliceURI, d+" "+carolURI).body)
		assert.Less(t, time.Since(start), stallTimeout)
	})
}
