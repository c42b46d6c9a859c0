package msrp

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// elsewhere are octets outside of memory; count is how many of those there are.
type elsewhere struct {
	octets []byte
	count  *atomic.Int64
}

func (e *elsewhere) Len() int { return len(e.octets) }

func (e *elsewhere) Load() []byte {
	e.Drop()
	return e.octets
}

func (e *elsewhere) Drop() {
	if e.count != nil {
		e.count.Add(-1)
	}
}

// A keepingConn takes messages from a channel, and keeps the bodies of those that
// have one elsewhere.
type keepingConn struct {
	in, out chan []byte
	over    chan struct{}
	close   sync.Once
	body    []byte
	count   atomic.Int64 // of the bodies kept
	all     atomic.Int64 // that ever were
}

func (c *keepingConn) ReadMessage() ([]byte, error) {
	select {
	case msg := <-c.in:
		c.body = nil
		if at := bytes.Index(msg, []byte("\r\n\r\n")); at >= 0 {
			end := bytes.LastIndex(msg, []byte("\r\n-------"))
			c.body = msg[at+4 : end]
			msg = append(msg[:at+4:at+4], msg[end:]...)
		}
		return msg, nil
	case <-c.over:
		return nil, io.EOF
	}
}

func (c *keepingConn) Kept() Octets {
	if c.body == nil {
		return nil
	}
	c.count.Add(1)
	c.all.Add(1)
	return &elsewhere{c.body, &c.count}
}

func (c *keepingConn) WriteMessage(msg []byte) error {
	select {
	case c.out <- bytes.Clone(msg):
		return nil
	case <-c.over:
		return io.ErrClosedPipe
	}
}

func (c *keepingConn) Flush() error { return nil }

func (c *keepingConn) Close(error) error {
	c.close.Do(func() { close(c.over) })
	return nil
}

// keepingPair returns two sessions, and the connection of the one that receives.
func keepingPair(t *testing.T) (alice, bob *Session, c *keepingConn) {
	up, down, over := make(chan []byte, 64), make(chan []byte, 64), make(chan struct{})
	a := &keepingConn{in: down, out: up, over: over}
	b := &keepingConn{in: up, out: down, over: make(chan struct{})}
	var sessions []*Session
	var conns []*Conn
	for i, c := range []*keepingConn{a, b} {
		e := NewEndpoint(nil)
		uri, err := ParseURI([]string{rawPeerURI, rawOwnURI}[i])
		require.NoError(t, err)
		s, err := e.NewSession(SessionOptions{URI: uri})
		require.NoError(t, err)
		sessions, conns = append(sessions, s), append(conns, e.NewConn(NewMessages(c)))
		t.Cleanup(func() { conns[i].Close() })
	}
	for i, s := range sessions {
		require.NoError(t, s.Start(Remote{Path: Path{sessions[1-i].URI()}, Conn: conns[i], Active: i == 0, ChunkSize: 50_000}))
	}
	return sessions[0], sessions[1], b
}

func TestKeptBodies(t *testing.T) {
	content := make([]byte, 200_000)
	for i := range content {
		content[i] = byte(i * i >> 5)
	}
	for name, read := range map[string]func(*testing.T, *Incoming) []byte{
		"where they lie": func(t *testing.T, in *Incoming) (got []byte) {
			for {
				data, kept, err := in.Next()
				if err == io.EOF {
					return
				}
				require.NoError(t, err)
				require.Nil(t, data)
				got = append(got, kept.Load()...)
			}
		},
		"in memory": func(t *testing.T, in *Incoming) []byte {
			got, err := io.ReadAll(in)
			require.NoError(t, err)
			return got
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				alice, bob, c := keepingPair(t)
				out := send(t, alice, len(content), bytes.NewReader(content))
				in, err := bob.Receive(t.Context())
				require.NoError(t, err)
				assert.True(t, bytes.Equal(content, read(t, in)), "the same octets")
				require.NoError(t, out.Sent(t.Context()))
				assert.Zero(t, c.count.Load(), "bodies are left")
				assert.EqualValues(t, 4, c.all.Load())
			})
		})
	}
}

// What nobody reads is given back, however it ends.
func TestKeptBodiesAreGivenBack(t *testing.T) {
	for name, end := range map[string]func(alice, bob *Session, c *keepingConn){
		"closed":            func(alice, bob *Session, c *keepingConn) { in, _ := bob.Receive(t.Context()); in.Close() },
		"the session ends":  func(alice, bob *Session, c *keepingConn) { bob.Close() },
		"the socket breaks": func(alice, bob *Session, c *keepingConn) { c.Close(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				alice, bob, c := keepingPair(t)
				// One chunk of a message that is not complete, not shown to anyone.
				r, w := io.Pipe()
				out, err := alice.Send(t.Context(), &Message{ContentType: "image/jpeg", Body: r})
				require.NoError(t, err)
				size := 60_000
				if name == "closed" {
					size = 400_000 // more than is collected before it is shown
				}
				go w.Write(make([]byte, size))
				synctest.Wait()
				require.NotZero(t, c.count.Load())
				end(alice, bob, c)
				synctest.Wait()
				assert.Zero(t, c.count.Load())
				out.Abort()
				w.Close()
			})
		})
	}
}

// A peer that repeats and overlaps its chunks does not get around that.
func TestKeptBodyThatRepeats(t *testing.T) {
	var count atomic.Int64
	body := func(text string) *elsewhere {
		count.Add(1)
		return &elsewhere{[]byte(text), &count}
	}
	var a assembly
	assert.True(t, a.keep(0, body("abcd")))
	assert.True(t, a.keep(4, body("efgh")))
	assert.EqualValues(t, 2, count.Load())
	assert.True(t, a.keep(2, body("CDEF")))
	assert.True(t, a.keep(20, body("late")))
	a.seal(8)
	got := make([]byte, 8)
	n := a.copy(got)
	a.copy(got[n:])
	assert.Equal(t, "abCDEFgh", string(got))
	assert.True(t, a.complete())
	assert.Zero(t, count.Load())
}
