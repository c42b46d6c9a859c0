package bridge

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/webmsrp/webmsrp/proxy/credential"
)

// Trusted are the networks of proxies in front of this server.
type Trusted []netip.Prefix

// Contains reports whether a remote address, with a port, lies in one of them.
func (t Trusted) Contains(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	return err == nil && t.contains(at.Addr())
}

func (t Trusted) contains(addr netip.Addr) bool {
	for _, p := range t {
		if p.Contains(addr.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// Client returns the address of the client behind a request: the one that
// connected, or what a trusted proxy says in X-Forwarded-For. Each proxy adds
// at the end whom it got the request from, so the last address that is none of
// theirs counts: what stands before it anybody can have written.
func (t Trusted) Client(r *http.Request) string {
	if !t.Contains(r.RemoteAddr) {
		return r.RemoteAddr
	}
	client := r.RemoteAddr
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.TrimSpace(hops[i])
		addr, err := netip.ParseAddr(strings.Trim(hop, "[]"))
		if at, err2 := netip.ParseAddrPort(hop); err2 == nil {
			addr, err = at.Addr(), nil
		}
		if err != nil {
			break
		}
		client = addr.String()
		if !t.contains(addr) {
			break
		}
	}
	return client
}

// A PerAddress bounds the connections of each address; of IPv6 networks with 64
// bits count as one. Its methods are safe for concurrent use.
type PerAddress struct {
	Max int // 0 for no bound
	// Trusted proxies connect for many; those they connect for are counted
	// where their names are known, with Enter.
	Trusted Trusted
	// Refused hears of connections to a listener that were too many.
	Refused func()

	mu   sync.Mutex
	open map[string]int
}

// Enter counts a connection of that address, with or without a port, until
// leave is called, which is safe to do twice. Where ok is false there are too
// many.
func (p *PerAddress) Enter(remote string) (leave func(), ok bool) {
	if p == nil || p.Max <= 0 {
		return func() {}, true
	}
	key := credential.Network(remote)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[key] >= p.Max {
		return nil, false
	}
	if p.open == nil {
		p.open = make(map[string]int)
	}
	p.open[key]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.open[key]--; p.open[key] == 0 {
			delete(p.open, key)
		}
	}), true
}

// Listen returns a listener that closes at once what is too much.
func (p *PerAddress) Listen(l net.Listener) net.Listener { return &boundedListener{l, p} }

type boundedListener struct {
	net.Listener
	bound *PerAddress
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.bound.Trusted.Contains(c.RemoteAddr().String()) {
			return c, err
		}
		if leave, ok := l.bound.Enter(c.RemoteAddr().String()); ok {
			return &boundedConn{c, leave}, nil
		}
		c.Close()
		if l.bound.Refused != nil {
			l.bound.Refused()
		}
	}
}

type boundedConn struct {
	net.Conn
	leave func()
}

func (c *boundedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
