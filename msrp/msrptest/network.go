package msrptest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// A Network connects its users by pipes, for tests of calls. Its zero value is
// a network without users.
type Network struct {
	// Wrap, if set, is put around the end of each connection that dials.
	Wrap func(net.Conn) net.Conn

	mu    sync.Mutex
	users map[string]*User
}

// A User is someone on a [Network]: a [call.Host] whose sessions all others
// reach.
type User struct {
	Endpoint *msrp.Endpoint
	// Setup is which roles the user can take, actpass to begin with.
	Setup sdp.Setup

	network *Network
	name    string
	mu      sync.Mutex
	conns   []*msrp.Conn
}

// User enters a user, whose connections end with the test.
func (n *Network) User(t testing.TB, name string) *User {
	u := &User{Endpoint: msrp.NewEndpoint(nil), Setup: sdp.ActPass, network: n, name: name}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.users == nil {
		n.users = make(map[string]*User)
	}
	n.users[name+".example.com"] = u
	t.Cleanup(u.Disconnect)
	return u
}

// Place implements [call.Host]: a new one each time.
func (u *User) Place(_ context.Context, secure bool) (*call.Place, error) {
	uri, err := msrp.MakeURI(secure, u.name+".example.com", msrp.DefaultPort, msrp.NewID(), msrp.TransportTCP)
	return &call.Place{URI: uri, Path: msrp.Path{uri}, Setup: u.Setup, Dial: u.dial}, err
}

func (u *User) dial(_ context.Context, peer sdp.Stream) (*msrp.Conn, error) {
	u.network.mu.Lock()
	to := u.network.users[peer.Path.First().Host()]
	wrap := u.network.Wrap
	u.network.mu.Unlock()
	if to == nil {
		return nil, errors.New("msrptest: nobody is at " + peer.Path.First().String())
	}
	ours, theirs := net.Pipe()
	if wrap != nil {
		ours = wrap(ours)
	}
	to.connect(theirs)
	return u.connect(ours), nil
}

func (u *User) connect(c net.Conn) *msrp.Conn {
	conn := u.Endpoint.NewConn(msrp.NewStream(c))
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conns = append(u.conns, conn)
	return conn
}

// Call returns a call of the user, which ends with the test. adjust may be nil.
func (u *User) Call(t testing.TB, adjust func(*call.Options)) *call.Call {
	o := call.Options{Endpoint: u.Endpoint, Host: u}
	if adjust != nil {
		adjust(&o)
	}
	c := call.New(o)
	t.Cleanup(func() { c.Close() })
	return c
}

// Conns returns how many connections the user has had.
func (u *User) Conns() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.conns)
}

// Disconnect ends the connections of the user.
func (u *User) Disconnect() {
	u.mu.Lock()
	conns := append([]*msrp.Conn(nil), u.conns...)
	u.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}
