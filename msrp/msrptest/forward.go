package msrptest

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Forwarder is the network in front of a TCP server, and loses its connections
// when it is told to.
type Forwarder struct {
	net.Listener
	target string
	wg     sync.WaitGroup

	mu    sync.Mutex
	down  bool
	lives []int64               // octets of the connections to come
	conns map[net.Conn]struct{} // both ends of each
}

// Forward starts a forwarder to target, a host and port, until the test ends.
func Forward(t *testing.T, target string) *Forwarder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &Forwarder{Listener: l, target: target, conns: map[net.Conn]struct{}{}}
	f.wg.Go(f.run)
	t.Cleanup(func() {
		l.Close()
		f.Down(true)
		f.wg.Wait()
	})
	return f
}

// Cut loses the connections there are.
func (f *Forwarder) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.(*net.TCPConn).SetLinger(0) // whatever is under way
		c.Close()
	}
	clear(f.conns)
}

// Down loses the connections, and those that come as long as it is down.
func (f *Forwarder) Down(down bool) {
	f.mu.Lock()
	f.down = down
	f.mu.Unlock()
	if down {
		f.Cut()
	}
}

// Lives tells after how many octets, both directions together, each of the next
// connections is cut, see [Cut]; further ones are not.
func (f *Forwarder) Lives(octets ...int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lives = octets
}

// limit returns a connection with the next life.
func (f *Forwarder) limit(c net.Conn) net.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lives) == 0 {
		return c
	}
	octets := f.lives[0]
	f.lives = f.lives[1:]
	return Cut(c, octets)
}

// Left returns how many lives are left.
func (f *Forwarder) Left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.lives)
}

func (f *Forwarder) run() {
	for {
		client, err := f.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() {
			defer client.Close()
			server, err := net.Dial("tcp", f.target)
			if err != nil {
				return
			}
			defer server.Close()
			if !f.enter(client, server) {
				return
			}
			near := f.limit(client)
			f.wg.Go(func() {
				defer f.leave(client, server)
				io.Copy(server, near)
			})
			io.Copy(near, server)
			f.leave(client, server)
		})
	}
}

func (f *Forwarder) enter(conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		if !f.down {
			f.conns[c] = struct{}{}
		}
	}
	return !f.down
}

// leave ends both directions: nobody here goes on with one.
func (f *Forwarder) leave(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		delete(f.conns, c)
		c.Close()
	}
}
