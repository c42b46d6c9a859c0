package serve

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/relay"
	"github.com/webmsrp/webmsrp/proxy/bridge"
	"github.com/webmsrp/webmsrp/proxy/credential"
	"github.com/webmsrp/webmsrp/proxy/peer"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
)

// chunkSize is what browsers are asked to send at once: best between 64 and
// 256 KiB in all of them, and 64 aborts and interleaves soonest.
const chunkSize = 64 << 10

// A Server is everything that the command runs.
type Server struct {
	config *Config
	log    *slog.Logger
	relay  *relay.Relay
	door   *bridge.Door
	names  *rendezvous.Server
	users  *credential.Store
	bus    rendezvous.Bus
	secret string

	servers   []*http.Server
	listeners []net.Listener
	wg        sync.WaitGroup
	failed    chan error

	// URL is the page's address, Addr those of the listeners by flag name.
	URL  string
	Addr map[string]string
}

// Run serves until ctx is canceled. ready is called once everything listens.
func Run(ctx context.Context, c *Config, logTo io.Writer, ready func(*Server)) error {
	s, err := newServer(c, logTo)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before close, which waits for what ends with it
	if err := s.start(ctx); err != nil {
		return err
	}
	if !c.Dev {
		s.log.Info("ready", "page", s.URL, "msrps", s.Addr["msrps-listen"], "msrp", s.Addr["msrp-listen"], "admin", s.Addr["admin-listen"])
	}
	if ready != nil {
		ready(s)
	}
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
		return nil
	case err := <-s.failed:
		return err
	}
}

func newLogger(c *Config, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.logLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func newServer(c *Config, logTo io.Writer) (*Server, error) {
	s := &Server{
		config: c, log: newLogger(c, logTo), bus: &rendezvous.Memory{}, secret: c.Secret,
		failed: make(chan error, 8), Addr: map[string]string{},
	}
	if c.Dev {
		var key [32]byte
		rand.Read(key[:])
		s.secret = base64.RawURLEncoding.EncodeToString(key[:])
	}
	var err error
	if s.users, err = credential.NewStore(c.Users, s.secret, c.Realm); err != nil {
		return nil, fmt.Errorf("--users: %w", err)
	}
	return s, nil
}

// listen opens the listener of a flag. In --dev a default port that is taken
// gives way to a free one.
func (s *Server) listen(flagName, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil && s.config.Dev && !s.config.given[flagName] {
		host, _, _ := net.SplitHostPort(address)
		if free, freeErr := net.Listen("tcp", net.JoinHostPort(host, "0")); freeErr == nil {
			s.log.Warn("the port is taken, using another", "flag", "--"+flagName, "wanted", address, "got", free.Addr())
			l, err = free, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flagName, err)
	}
	s.listeners = append(s.listeners, l)
	s.Addr[flagName] = l.Addr().String()
	return l, nil
}

func (s *Server) start(ctx context.Context) error {
	c := s.config
	if len(c.natsServers) > 0 {
		if err := s.connectNATS(); err != nil {
			return err
		}
	}
	certificate, err := s.certificate()
	if err != nil {
		return err
	}
	dialer := &bridge.Dialer{Policy: bridge.Policy{Allow: c.allow, Deny: c.deny}, Certificate: certificate}
	if c.PeerCA != "" {
		if dialer.Roots, err = readRoots("peer-ca", c.PeerCA); err != nil {
			return err
		}
	}

	var tlsConfig *tls.Config
	var fingerprint func() string
	if certificate != nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate}
		// Asked each time: certificates are renewed.
		fingerprint = func() string {
			leaf, err := certificate(nil)
			if err != nil {
				return ""
			}
			return msrpnet.Fingerprint(leaf.Certificate[0])
		}
	}
	var secure, plain net.Listener
	if c.MSRPSListen != "" && tlsConfig != nil {
		if secure, err = s.listen("msrps-listen", c.MSRPSListen); err != nil {
			return err
		}
	}
	if c.MSRPListen != "" {
		if plain, err = s.listen("msrp-listen", c.MSRPListen); err != nil {
			return err
		}
	}

	s.relay, err = relay.New(relay.Config{
		Host: c.PublicHost, Port: portOf(secure, c.PublicPort), PlainPort: portOf(plain, c.PublicPlainPort),
		Realm: c.Realm, Users: s.users, PlainAuth: c.Dev, PlainPeers: c.PlainPeers,
		MaxLinks: c.MaxConnections, MaxTokensPerUser: c.MaxTokensPerUser,
		ChunkSize: chunkSize, PeerChunk: c.peerChunk, Fingerprint: fingerprint,
		Dial: dialer.Dial, Log: s.log,
	})
	if err != nil {
		return err
	}
	if secure != nil {
		peers := tlsConfig.Clone()
		peers.ClientAuth = tls.RequestClientCert // its fingerprint may stand in SDP
		s.serve("msrps-listen", func() error { return bridge.Serve(tls.NewListener(secure, peers), s.relay, true, s.log) })
	}
	if plain != nil {
		s.serve("msrp-listen", func() error { return bridge.Serve(plain, s.relay, false, s.log) })
	}

	l, err := s.listen("listen", c.Listen)
	if err != nil {
		return err
	}
	scheme := "http"
	if tlsConfig != nil && !c.Dev && len(c.trusted) == 0 {
		l, scheme = tls.NewListener(l, tlsConfig), "https"
	}
	s.URL = scheme + "://" + l.Addr().String() + "/"
	s.serveHTTP("listen", l, s.handler())

	if c.AdminListen != "" {
		l, err := s.listen("admin-listen", c.AdminListen)
		if err != nil {
			return err
		}
		s.serveHTTP("admin-listen", l, s.adminHandler())
	}
	if c.Dev {
		return s.startEcho(ctx)
	}
	return nil
}

// certificate returns what supplies the certificate to TLS, nil where there is
// none.
func (s *Server) certificate() (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	switch {
	case s.config.Dev:
		pair, err := msrpnet.SelfSigned(s.config.PublicHost, "localhost")
		return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }, err
	case s.config.TLSCert != "":
		c, err := bridge.LoadCertificate(s.config.TLSCert, s.config.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		return c.Get, nil
	}
	return nil, nil
}

func readRoots(flagName, name string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flagName, err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--%s: no certificate in %s", flagName, name)
	}
	return roots, nil
}

// portOf returns the public port of a listener: as configured, or its own.
func portOf(l net.Listener, public int) int {
	if l == nil || public != 0 {
		return public
	}
	return l.Addr().(*net.TCPAddr).Port
}

// serve runs one of the servers; its failure is everyone's.
func (s *Server) serve(flagName string, run func() error) {
	s.wg.Go(func() {
		if err := run(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("--%s: %w", flagName, err)
		}
	})
}

func (s *Server) serveHTTP(flagName string, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.servers = append(s.servers, server)
	s.serve(flagName, func() error { return server.Serve(l) })
}

func (s *Server) close() {
	for _, l := range s.listeners {
		l.Close()
	}
	for _, server := range s.servers {
		server.Close()
	}
	if s.relay != nil {
		s.relay.Close()
	}
	if s.names != nil {
		s.names.Close(time.Second)
	}
	if bus, ok := s.bus.(*rendezvous.NATS); ok {
		bus.Close()
	}
	if s.door != nil {
		s.door.Wait(time.Second)
	}
	s.wg.Wait()
}

// secure returns what tells whether TLS protects a request; nil for --dev,
// which takes all.
func (s *Server) secure() func(*http.Request) bool {
	if s.config.Dev {
		return nil
	}
	return func(r *http.Request) bool {
		if r.TLS != nil {
			return true
		}
		at, err := netip.ParseAddrPort(r.RemoteAddr)
		return err == nil && s.isTrusted(at.Addr())
	}
}

func (s *Server) isTrusted(addr netip.Addr) bool {
	for _, p := range s.config.trusted {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// startEcho runs the peer "echo" of --dev: an ordinary endpoint over TCP that
// knows nothing of the proxy it runs in.
func (s *Server) startEcho(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("the echo peer: %w", err)
	}
	s.listeners = append(s.listeners, l)
	url := "ws" + s.URL[len("http"):] + "rendezvous"
	echo, err := peer.Start(ctx, peer.Config{Echo: true, Name: "echo", Rendezvous: url, Listener: l}, func(peer.Event) {})
	if err != nil {
		return fmt.Errorf("the echo peer: %w", err)
	}
	s.wg.Go(func() { echo.Wait() })
	return nil
}

// Welcome tells someone who runs --dev what to try.
func (s *Server) Welcome(w io.Writer) {
	page := "http://" + s.Addr["listen"] + "/"
	fmt.Fprintf(w, `
  webmsrp is ready. Open

      %s

  pick a name and call "echo", or open a second tab with another name and call
  that. From a terminal, an ordinary MSRP peer over TCP joins with

      bin/webmsrp peer --name bob --listen 127.0.0.1:0 --rendezvous ws://%s/rendezvous

  This is --dev: for this machine only. Ctrl-C stops it.

`, page, s.Addr["listen"])
}
