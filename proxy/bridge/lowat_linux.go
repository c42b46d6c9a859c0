package bridge

import (
	"crypto/tls"
	"net"
	"syscall"
)

// unsent is how many octets the kernel may hold of a connection beyond those
// that are on their way. Its buffer for sending is a queue that knows no turns.
const unsent = 128 << 10

const tcpNotSentLowat = 0x19 // linux/tcp.h

// keepShort makes what waits for a connection wait here, where small messages
// overtake files, and not in the kernel.
func keepShort(c net.Conn) {
	for {
		switch t := c.(type) {
		case *boundedConn:
			c = t.Conn
		case *tls.Conn:
			c = t.NetConn()
		case *net.TCPConn:
			if raw, err := t.SyscallConn(); err == nil {
				raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsent) })
			}
			return
		default:
			return
		}
	}
}
