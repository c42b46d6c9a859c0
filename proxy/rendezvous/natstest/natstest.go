// Package natstest runs NATS servers on loopback, for tests.
package natstest

import (
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

const guard = 20 * time.Second

// Start starts a server on a port, 0 for any, until the end of the test. It
// joins the cluster of the others, and waits until it has. Clients are not told
// of them.
func Start(t testing.TB, port int, others ...*server.Server) *server.Server {
	o := &server.Options{Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true}
	o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoAdvertise: true, PoolSize: -1}
	if port == 0 {
		o.Port = server.RANDOM_PORT
	}
	for _, s := range others {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: s.ClusterAddr().String()})
	}
	return StartWith(t, o, len(others))
}

// StartWith starts a server with options, and waits for its routes.
func StartWith(t testing.TB, o *server.Options, routes int) *server.Server {
	s, err := server.NewServer(o)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { Stop(s) })
	require.True(t, s.ReadyForConnections(guard), "NATS does not start")
	require.Eventually(t, func() bool { return s.NumRoutes() >= routes }, guard, time.Millisecond, "NATS finds no cluster")
	return s
}

// Stop ends a server at once, and its connections with it.
func Stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// Port returns where a server takes clients.
func Port(s *server.Server) int { return s.Addr().(*net.TCPAddr).Port }
