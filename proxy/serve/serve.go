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
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
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

// shortSecret is how many octets a secret has that nobody finds by trying.
const shortSecret = 16

// cipherSuites are those of TLS 1.2 that encrypt and authenticate in one (RFC
// 9325, section 4.2); those of TLS 1.3 are as good and cannot be chosen.
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

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

	lockout    credential.Lockout
	perAddress *bridge.PerAddress
	counts     *counts
	draining   atomic.Bool
	stopped    chan struct{} // closed when draining begins

	servers   []*http.Server // the first is that of --listen
	listeners []net.Listener // all but that of --admin-listen, which stays to the end
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
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel() // before close, which waits for what ends with it
	if err := s.start(life); err != nil {
		return err
	}
	if !c.Dev {
		s.log.Info("ready", "page", s.URL, "msrps", s.Addr["msrps-listen"], "msrp", s.Addr["msrp-listen"], "admin", s.Addr["admin-listen"])
	}
	if ready != nil {
		ready(s)
	}
	s.notify("READY=1")
	select {
	case <-ctx.Done():
		s.notify("STOPPING=1")
		s.drain()
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
		failed: make(chan error, 8), Addr: map[string]string{}, counts: newCounts(), stopped: make(chan struct{}),
	}
	s.perAddress = &bridge.PerAddress{
		Max: c.MaxConnectionsPerAddress, Trusted: c.trusted,
		Refused: func() { s.counts.refused.WithLabelValues("address").Inc() },
	}
	if c.Dev || c.Users == "" && c.Secret == "" { // nobody else knows it
		var key [32]byte
		rand.Read(key[:])
		s.secret = base64.RawURLEncoding.EncodeToString(key[:])
	}
	if len(c.unknown) > 0 {
		s.log.Warn("these variables are no settings and change nothing: are they misspelt?", "variables", strings.Join(c.unknown, " "))
	}
	if 0 < len(c.Secret) && len(c.Secret) < shortSecret {
		s.log.Warn("--secret is short: whoever has one time-limited password can find it out by trying", "octets", len(c.Secret), "wanted", shortSecret)
	}
	var err error
	if s.users, err = credential.NewStore(c.Users, s.secret, c.Realm, s.log); err != nil {
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
	s.Addr[flagName] = l.Addr().String()
	if flagName == "admin-listen" {
		return l, nil // its server closes it, last of all
	}
	s.listeners = append(s.listeners, l)
	return s.perAddress.Listen(l), nil
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
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites, GetCertificate: certificate}
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
		MaxLinks: c.MaxConnections, MaxTokensPerUser: c.MaxTokensPerUser, DefaultExpires: c.TokenTime,
		MaxBytesPerSecond: c.MaxBytesPerSecond, MaxBuffered: c.MaxBuffered, Guard: &s.lockout,
		ChunkSize: chunkSize, PeerChunk: c.peerChunk, Fingerprint: fingerprint,
		Dial: func(ctx context.Context, to relay.Hop) (msrp.Transport, error) {
			t, err := dialer.Dial(ctx, to)
			if err != nil {
				s.counts.dialsFailed.WithLabelValues(bridge.Reason(err)).Inc()
			}
			return t, err
		},
		Log: s.log,
	})
	if err != nil {
		return err
	}
	if secure != nil {
		peers := tlsConfig.Clone()
		peers.ClientAuth = tls.RequestClientCert // relays prove their names by it, peers have its fingerprint in SDP
		s.serve("msrps-listen", func() error { return bridge.Serve(tls.NewListener(secure, peers), s.relay, true, dialer.Roots, s.log) })
	}
	if plain != nil {
		s.serve("msrp-listen", func() error { return bridge.Serve(plain, s.relay, false, nil, s.log) })
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
		c, err := bridge.LoadCertificate(s.config.TLSCert, s.config.TLSKey, s.log)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		// Peers and relays look for the name of Use-Path in it (RFC 4976, section
		// 9.2).
		pair, err := c.Get(nil)
		if err == nil {
			err = pair.Leaf.VerifyHostname(strings.Trim(s.config.PublicHost, "[]"))
		}
		if err != nil {
			return nil, fmt.Errorf("--tls-cert is not for --public-host: %w", err)
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
		Handler: h, MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 5 * time.Minute, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.servers = append(s.servers, server)
	s.serve(flagName, func() error { return server.Serve(l) })
}

// drain ends what can end in order, within the time of --drain-timeout: nothing
// new is taken, requests under way come to their responses, clients are told.
func (s *Server) drain() {
	s.draining.Store(true) // as /readyz says
	close(s.stopped)
	s.log.Info("stopping", "drain_timeout", s.config.DrainTimeout)
	for _, l := range s.listeners {
		l.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	go func() {
		select {
		case <-s.config.Hurry:
			cancel()
		case <-ctx.Done():
		}
	}()
	s.names.Close(time.Second) // those who register are told, too
	if busy := s.relay.Drain(ctx); busy > 0 {
		s.log.Warn("connections were still busy", "number", busy)
	}
	s.servers[0].Shutdown(ctx) // downloads of the page
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
		return s.config.trusted.Contains(r.RemoteAddr)
	}
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
