// Package msrpnet connects MSRP to the network: TCP, and TLS with certificates
// that are checked against their authority or against a fingerprint from SDP
// (RFC 4975, section 14; RFC 8122).
package msrpnet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
)

// Options adjust [Dial]. nil is fine.
type Options struct {
	// Dialer makes the TCP connection. Default: a net.Dialer that gives up
	// after 10 seconds.
	Dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	}
	// Resolver finds relays whose URIs name no port. Default: that of package
	// net.
	Resolver interface {
		LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	}
	// TLS is the configuration for msrps URIs; the server name comes from the
	// URI. Default: TLS 1.2 and above with the authorities of the system.
	TLS *tls.Config
	// Fingerprints are those of the peer's SDP, "sha-256 AB:CD…". If there are
	// any, the certificate must match one of them, and its name and authority
	// do not count (RFC 8122, section 6).
	Fingerprints []string
}

// Dial connects to the host of uri, over TLS where its scheme is msrps. A relay's
// msrps URI may name a domain without a port: then DNS knows where its relays are
// (RFC 4976, section 8), and the certificate is still that of the domain.
func Dial(ctx context.Context, uri msrp.URI, o *Options) (net.Conn, error) {
	if o == nil {
		o = &Options{}
	}
	if !uri.HasTransport(msrp.TransportTCP) {
		return nil, fmt.Errorf("msrpnet: cannot connect over %q to %s", uri.Transport(), uri)
	}
	conn, err := o.dialTCP(ctx, uri)
	if err != nil || !uri.Secure() {
		return conn, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		config = o.TLS.Clone()
	}
	config.ServerName = uri.Host() // also the SNI, which RFC 4975, section 14.2 wants
	if len(o.Fingerprints) > 0 {
		config.InsecureSkipVerify = true // replaced by:
		config.VerifyConnection = func(state tls.ConnectionState) error {
			return CheckFingerprint(state.PeerCertificates, o.Fingerprints)
		}
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("msrpnet: TLS with %s: %w", uri.HostPort(), err)
	}
	return secure, nil
}

// dialTCP connects to the host of uri, or to the first of the relays in its
// domain that can be reached.
func (o *Options) dialTCP(ctx context.Context, uri msrp.URI) (net.Conn, error) {
	dialer := o.Dialer
	if dialer == nil {
		dialer = &net.Dialer{Timeout: 10 * time.Second}
	}
	if uri.Port() != 0 {
		return dialer.DialContext(ctx, "tcp", uri.HostPort())
	}
	addresses, err := o.relays(ctx, uri)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, address := range addresses {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// maxRelays bounds how many relays of a domain are tried.
const maxRelays = 8

// relays returns where the relays of a domain are, in the order of RFC 2782.
func (o *Options) relays(ctx context.Context, uri msrp.URI) ([]string, error) {
	if !uri.Secure() {
		return nil, fmt.Errorf("msrpnet: no port in %s", uri) // AUTH goes over TLS, so only its service has a name
	}
	resolver := o.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	_, records, err := resolver.LookupSRV(ctx, "msrps", "tcp", uri.Host())
	if missing, ok := errors.AsType[*net.DNSError](err); ok && missing.IsNotFound || err == nil && len(records) == 0 {
		return []string{net.JoinHostPort(uri.Host(), strconv.Itoa(msrp.DefaultPort))}, nil
	}
	if err != nil && len(records) == 0 { // records beside an error are the valid ones
		return nil, err
	}
	if len(records) == 1 && records[0].Target == "." {
		return nil, fmt.Errorf("msrpnet: %s has no MSRP relay", uri.Host())
	}
	var addresses []string
	for _, r := range records[:min(len(records), maxRelays)] {
		addresses = append(addresses, net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port))))
	}
	return addresses, nil
}

// ErrFingerprint is the error of a certificate that is not the one which the
// peer's SDP promised: someone is in between.
var ErrFingerprint = errors.New("msrpnet: the certificate does not match the fingerprint")

// The hash functions of a=fingerprint, strongest last. MD5 and MD2 must not be
// used (RFC 8122, section 5).
var fingerprintHashes = []struct {
	name string
	sum  func([]byte) []byte
}{
	{"sha-1", func(b []byte) []byte { s := sha1.Sum(b); return s[:] }},
	{"sha-224", func(b []byte) []byte { s := sha256.Sum224(b); return s[:] }},
	{"sha-256", func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }},
	{"sha-384", func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }},
	{"sha-512", func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }},
}

// CheckFingerprint checks a chain's first certificate against the values of
// a=fingerprint attributes: of those with the strongest hash one must match.
func CheckFingerprint(chain []*x509.Certificate, fingerprints []string) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: there is no certificate", ErrFingerprint)
	}
	for i := len(fingerprintHashes) - 1; i >= 0; i-- {
		hash, found := fingerprintHashes[i], false
		for _, f := range fingerprints {
			name, value, _ := strings.Cut(strings.TrimSpace(f), " ")
			if !strings.EqualFold(name, hash.name) {
				continue
			}
			found = true
			if strings.EqualFold(strings.TrimSpace(value), colons(hash.sum(chain[0].Raw))) {
				return nil
			}
		}
		if found {
			return ErrFingerprint
		}
	}
	return fmt.Errorf("%w: no hash function that is known", ErrFingerprint)
}

// VerifyPeer is for Verify of [msrp.Remote]: it requires that the connection that
// the peer opened shows a certificate with one of the fingerprints of its SDP,
// where there are any. The listener's TLS configuration must ask for it, as that
// of [ServerConfig] does (RFC 8122, section 6.2).
func VerifyPeer(c *msrp.Conn, fingerprints []string) error {
	if len(fingerprints) == 0 {
		return nil
	}
	if stream, ok := c.Transport().(*msrp.Stream); ok {
		if conn, ok := stream.Underlying().(*tls.Conn); ok {
			return CheckFingerprint(conn.ConnectionState().PeerCertificates, fingerprints)
		}
	}
	return fmt.Errorf("%w: the connection is not one of TLS", ErrFingerprint)
}

// ServerConfig returns the configuration of a tls.Listener that shows one of the
// certificates and asks the peers for theirs, which [VerifyPeer] then checks: TLS
// 1.2 and above.
func ServerConfig(certificates ...tls.Certificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: certificates, ClientAuth: tls.RequestClientCert}
}

// Fingerprint returns the SHA-256 fingerprint of a certificate in DER, as the
// value of an a=fingerprint attribute.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha-256 " + colons(sum[:])
}

// colons writes octets as AB:CD:EF.
func colons(sum []byte) string {
	digits := strings.ToUpper(hex.EncodeToString(sum))
	pairs := make([]string, 0, len(sum))
	for ; digits != ""; digits = digits[2:] {
		pairs = append(pairs, digits[:2])
	}
	return strings.Join(pairs, ":")
}

// SelfSigned makes a certificate for one session, to be announced by its
// fingerprint: valid for a week, for the given host names and IP addresses.
func SelfSigned(hosts ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "msrp"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(7 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Serve accepts connections for the sessions of an endpoint until the listener
// is closed, and returns its error then; a tls.Listener serves msrps URIs. Other
// failures pass: a lack of file descriptors ends when connections do. A
// connection that carries none of the sessions 30 seconds after it began is
// closed (RFC 4976, section 6.1 asks it of relays), and so is one that has
// carried no session for 5 to 10 minutes: nobody else would do it.
func Serve(l net.Listener, endpoint *msrp.Endpoint) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			time.Sleep(pause)
			pause = min(2*pause, longest)
			continue
		}
		pause = shortest
		conn := endpoint.NewConn(msrp.NewStream(c))
		go closeUnused(conn)
	}
}

// closeUnused closes a connection once it has been of no use for a while.
func closeUnused(conn *msrp.Conn) {
	look := time.NewTimer(30 * time.Second)
	defer look.Stop()
	unused := true // before its first request
	for {
		select {
		case <-conn.Done():
			return
		case <-look.C:
		}
		if before := unused; conn.Sessions() > 0 {
			unused = false
		} else if unused = true; before {
			conn.Close()
			return
		}
		look.Reset(5 * time.Minute)
	}
}
