package msrptest

import (
	"errors"
	"net"
	"sync/atomic"
)

// ErrCut is what a connection made by [Cut] says once it was cut.
var ErrCut = errors.New("msrptest: the connection was cut")

// Cut returns c, which breaks off for both ends after that many octets have
// passed it, both directions together: in the middle of whatever they belong to,
// as a network does.
func Cut(c net.Conn, octets int64) net.Conn {
	cut := &cutConn{Conn: c}
	cut.left.Store(octets)
	return cut
}

type cutConn struct {
	net.Conn
	left atomic.Int64
}

// take counts n octets and returns how many of them still pass.
func (c *cutConn) take(n int) int {
	if left := c.left.Add(-int64(n)); left < 0 {
		c.Conn.Close()
		return int(max(0, int64(n)+left))
	}
	return n
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if pass := c.take(n); pass < n {
		return pass, ErrCut
	}
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	// What passes is written before the connection is closed: the other end
	// gets the first half of a line.
	left := c.left.Load()
	if int64(len(p)) <= left {
		n, err := c.Conn.Write(p)
		c.take(n)
		return n, err
	}
	n := 0
	if left > 0 {
		n, _ = c.Conn.Write(p[:left])
	}
	c.take(len(p))
	return n, ErrCut
}
