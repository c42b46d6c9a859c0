package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/relay"
)

// A Dialer connects the relay to next hops.
type Dialer struct {
	Policy Policy
	// Roots are the authorities of TLS peers, nil for those of the system.
	Roots *x509.CertPool
	// Certificate returns the own one, which relays know by its name (RFC 4976,
	// section 9.2) and peers by its fingerprint (RFC 8122, section 6.2). nil
	// shows none.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// Dial connects to a hop if the policy allows the address that its name
// resolves to.
func (d *Dialer) Dial(ctx context.Context, to relay.Hop) (msrp.Transport, error) {
	var refused error
	dialer := &net.Dialer{
		// Called with each address about to be connected to.
		Control: func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err == nil {
				err = d.Policy.Check(to.URI.Host(), at)
			}
			if err != nil {
				refused = err
			}
			return err
		},
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: d.Roots}
	if d.Certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return d.Certificate(nil) }
	}
	c, err := msrpnet.Dial(ctx, to.URI, &msrpnet.Options{
		Dialer:       dialer,
		TLS:          config,
		Fingerprints: to.Fingerprints,
	})
	if err != nil {
		if refused != nil {
			err = refused
		}
		return nil, err
	}
	return newStream(c), nil
}

// Reason says in a word why a dial failed: denied, port or address for what the
// policy refuses, name, connect, tls, fingerprint or timeout.
func Reason(err error) string {
	var refused *refusal
	var name *net.DNSError
	var connect *net.OpError
	switch {
	case errors.As(err, &refused):
		return refused.reason
	case errors.Is(err, msrpnet.ErrFingerprint):
		return "fingerprint"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.As(err, &name):
		return "name"
	case errors.As(err, &connect) && connect.Op == "dial":
		if connect.Timeout() {
			return "timeout"
		}
		return "connect"
	}
	return "tls"
}

// How long to wait after a connection could not be taken, at first and at most.
const (
	shortestPause = 5 * time.Millisecond
	longestPause  = time.Second
)

// Serve takes connections of peers and relays until the listener is closed.
// secure says that it is a TLS listener; roots are the authorities of relays that
// connect to it, nil for those of the system. Whatever else fails passes: file
// descriptors, for instance, are free again when connections end.
func Serve(l net.Listener, r *relay.Relay, secure bool, roots *x509.CertPool, log *slog.Logger) error {
	var pause time.Duration
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			if pause == 0 {
				log.Warn("cannot take connections, trying again", "listener", l.Addr(), "error", err)
			}
			pause = min(max(2*pause, shortestPause), longestPause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		go r.Serve(newStream(c), linkInfo(c, secure, roots))
	}
}

func linkInfo(c net.Conn, secure bool, roots *x509.CertPool) relay.LinkInfo {
	info := relay.LinkInfo{Remote: c.RemoteAddr().String(), Secure: secure}
	if over, ok := c.(*tls.Conn); ok {
		info.Matches = func(fingerprints []string) bool {
			return msrpnet.CheckFingerprint(over.ConnectionState().PeerCertificates, fingerprints) == nil
		}
		leaf := sync.OnceValue(func() *x509.Certificate { return trusted(over.ConnectionState().PeerCertificates, roots) })
		info.Proves = func(host string) (certified, named bool) {
			return leaf() != nil, leaf() != nil && leaf().VerifyHostname(host) == nil
		}
	}
	return info
}

// trusted returns the first certificate of a chain if an authority among roots
// vouches for it, or nil: then it is an endpoint's own, which its fingerprint has
// to prove (RFC 8122). Relays show the certificate that they have as servers, so
// it need not be one for clients (RFC 4976, section 9.2).
func trusted(chain []*x509.Certificate, roots *x509.CertPool) *x509.Certificate {
	if len(chain) == 0 {
		return nil
	}
	others := x509.NewCertPool()
	for _, c := range chain[1:] {
		others.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil
	}
	return chain[0]
}

// A Certificate is a key pair in files that is read again when they change.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	modTime [2]time.Time
	checked time.Time
	problem string // why the files could not be read again, "" if they could
}

// LoadCertificate reads a key pair in PEM. The log gets what becomes of later
// changes.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	return c, c.reload()
}

func (c *Certificate) reload() error {
	c.checked = time.Now()
	var modTime [2]time.Time
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		modTime[i] = info.ModTime()
	}
	if modTime == c.modTime {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair, c.modTime = &pair, modTime
	return nil
}

// Get returns the present key pair; it has the form that tls.Config wants.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) > time.Second {
		c.refresh()
	}
	return c.pair, nil
}

// refresh reads the files if they changed. A pair that cannot be read leaves the
// old one in use, and is told once; c.mu is held.
func (c *Certificate) refresh() {
	before, problem := c.pair, ""
	if err := c.reload(); err != nil {
		problem = err.Error()
	}
	if problem != c.problem && problem != "" {
		c.log.Error("the new certificate cannot be used, the old one stays", "error", problem)
	}
	c.problem = problem
	if c.pair != before {
		c.log.Info("the certificate was read again", "file", c.certFile)
	}
}
