//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// What the link does to packets, each way: like a long line with a router at its
// narrowest place.
const (
	linkRate  = 100e6 / 8 // octets a second
	linkDelay = 50 * time.Millisecond
	linkQueue = 1_250_000 // octets that wait before others are dropped
)

// The addresses at the ends of the link.
const (
	nearEnd = "10.255.0.1"
	farEnd  = "10.255.0.2"
)

// A link joins the network of the bench to another, of its own: two TUN devices
// with a long and narrow way between them.
type link struct {
	near, far *os.File
	there     chan func() // runs in the network at the far end
}

// newLink makes both, where the network of the bench is its own.
func newLink() (*link, error) {
	if os.Getenv(inside) != ownNetwork {
		return nil, errors.New("no network namespace of its own, which root has")
	}
	l := &link{there: make(chan func())}
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		for f := range l.there {
			f()
		}
	}()
	var err error
	if l.near, err = openTUN("near", nearEnd, farEnd); err == nil {
		err = l.atFarEnd(func() (err error) {
			if err = syscall.Unshare(syscall.CLONE_NEWNET); err == nil {
				l.far, err = openTUN("far", farEnd, nearEnd)
			}
			return err
		})
	}
	if err != nil {
		l.close()
		return nil, err
	}
	go carry(l.near, l.far)
	go carry(l.far, l.near)
	return l, nil
}

func (l *link) close() {
	close(l.there)
	for _, f := range []*os.File{l.near, l.far} {
		if f != nil {
			f.Close()
		}
	}
}

// atFarEnd runs f where sockets belong to the network at the far end.
func (l *link) atFarEnd(f func() error) error {
	done := make(chan error)
	l.there <- func() { done <- f() }
	return <-done
}

// dial connects from the far end.
func (l *link) dial(network, address string) (c net.Conn, err error) {
	l.atFarEnd(func() error {
		c, err = net.Dial(network, address)
		return nil
	})
	return c, err
}

// newPeer makes a peer at the far end.
func (l *link) newPeer() (*peer, error) {
	var listener net.Listener
	err := l.atFarEnd(func() (err error) {
		listener, err = net.Listen("tcp", farEnd+":0")
		return err
	})
	if err != nil {
		return nil, err
	}
	p := newPeerAt(listener)
	p.dial = l.dial
	return p, nil
}

// openTUN makes a TUN device in the network of the calling thread.
func openTUN(name, address, other string) (*os.File, error) {
	const path, setInterface, tun, bare = "/dev/net/tun", 0x400454ca, 0x1, 0x1000 // linux/if_tun.h
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: tun | bare}
	copy(request.name[:], name)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), setInterface, uintptr(unsafe.Pointer(&request))); errno != 0 {
		syscall.Close(fd)
		return nil, fmt.Errorf("%s: %w", path, errno)
	}
	f := os.NewFile(uintptr(fd), path)
	for _, args := range []string{
		"address add " + address + " peer " + other + " dev " + name,
		"link set " + name + " txqueuelen 10000 up",
		"route replace " + other + " dev " + name + " congctl cubic",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			f.Close()
			return nil, fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
	}
	return f, nil
}

// carry takes packets from one device to the other until one of them closes.
func carry(from, to *os.File) {
	type packet struct {
		due    time.Time
		octets []byte
	}
	underWay := make(chan packet, 2*linkQueue/40) // 40 octets have the smallest
	defer close(underWay)
	go func() {
		for p := range underWay {
			time.Sleep(time.Until(p.due))
			to.Write(p.octets)
		}
	}()
	var free time.Time // when all that waits is sent
	for {
		octets := make([]byte, 1500)
		n, err := from.Read(octets)
		if err != nil {
			return
		}
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		if free.Sub(now).Seconds()*linkRate > linkQueue {
			continue
		}
		free = free.Add(time.Duration(n) * time.Second / linkRate)
		underWay <- packet{free.Add(linkDelay), octets[:n]}
	}
}
