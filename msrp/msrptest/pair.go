// Package msrptest holds what tests of MSRP programs need: a pair of sessions
// in memory, a suite that two sessions pass whatever lies between them,
// conversations with other software that are recorded once and played back, and
// a look for goroutines that are left behind. It is for tests only.
package msrptest

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// NewURI returns a URI of its own for a session that is reached without
// dialling, such as one at the end of a pipe.
func NewURI(t testing.TB, host string) msrp.URI {
	uri, err := msrp.MakeURI(false, host+".example.com", msrp.DefaultPort, msrp.NewID(), msrp.TransportTCP)
	require.NoError(t, err)
	return uri
}

// Side is one end of a [Pair].
type Side struct {
	Session  *msrp.Session
	Conn     *msrp.Conn
	Endpoint *msrp.Endpoint
}

// Options adjust the two sides of a [Pair]; the zero value is fine.
type Options struct {
	Session msrp.SessionOptions // URI is filled in
	Remote  msrp.Remote         // Path, Conn and Active are filled in
}

// Pair returns two sessions that are connected through the two ends of a
// connection, of which alice is the active side. They end with the test.
func Pair(t testing.TB, a, b net.Conn, alice, bob Options) (Side, Side) {
	return PairOver(t, msrp.NewStream(a), msrp.NewStream(b), alice, bob)
}

// PairOver is [Pair] over the two ends of any transport.
func PairOver(t testing.TB, a, b msrp.Transport, alice, bob Options) (Side, Side) {
	side := func(name string, tr msrp.Transport, o Options) Side {
		endpoint := msrp.NewEndpoint(nil)
		o.Session.URI = NewURI(t, name)
		session, err := endpoint.NewSession(o.Session)
		require.NoError(t, err)
		conn := endpoint.NewConn(tr)
		t.Cleanup(func() { conn.Close() })
		return Side{session, conn, endpoint}
	}
	as, bs := side("alice", a, alice), side("bob", b, bob)
	bob.Remote.Path = msrp.Path{as.Session.URI()}
	require.NoError(t, bs.Session.Start(bob.Remote))
	alice.Remote.Path = msrp.Path{bs.Session.URI()}
	alice.Remote.Conn, alice.Remote.Active = as.Conn, true
	require.NoError(t, as.Session.Start(alice.Remote))
	return as, bs
}
