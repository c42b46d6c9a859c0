// Package serve is the command "webmsrp serve": the relay with its doors, the
// rendezvous and the page.
package serve

import (
	"flag"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/proxy/bridge"
	"github.com/webmsrp/webmsrp/proxy/settings"
)

// Config are the settings of the command, as flags name them.
type Config struct {
	Dev bool

	Listen, MSRPSListen, MSRPListen, AdminListen string
	PublicHost                                   string
	PublicPort, PublicPlainPort                  int
	TLSCert, TLSKey                              string
	TrustedProxy, AuthHeader                     string

	Realm, Users, Secret string

	Origin, ConnectSrc               string
	PeerAllow, PeerDeny, PeerCA      string
	PlainPeers                       bool
	PeerChunk                        string
	MaxConnections, MaxTokensPerUser int
	TokenTime                        time.Duration
	MaxConnectionsPerAddress         int
	MaxBytesPerSecond                int
	MaxBuffered                      int64
	DrainTimeout                     time.Duration
	NATSURL, NATSCredentials, NATSCA string
	LogLevel, LogFormat              string

	// Hurry, once it is closed, cuts a drain short.
	Hurry <-chan struct{}

	given                  map[string]bool // flags and variables that were set
	allow, deny            []bridge.Rule
	trusted                bridge.Trusted
	peerChunk              func(msrp.URI) int
	natsServers, natsHosts []string // the latter without passwords
	logLevel               slog.Level
	unknown                []string // variables that are no settings
}

// otherSettings are those of webmsrp peer and credential, in whose environment
// this may run.
var otherSettings = []string{
	"ca", "call", "connect", "echo", "host", "json", "name", "password", "receive", "relay", "rendezvous", "send", "session-id", "tls", "ttl", "uri", "user",
}

const summary = `webmsrp serve runs the MSRP relay for browsers: the WebSocket door /msrp, the
TCP and TLS side towards ordinary MSRP peers and relays, the rendezvous and the
page. It starts only in a safe setting and says what is missing; --dev needs
nothing and stays on this machine.`

// Parse reads the settings from arguments and environment.
func Parse(args []string, out io.Writer) (*Config, error) {
	c := &Config{given: map[string]bool{}}
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.BoolVar(&c.Dev, "dev", false, "everything on loopback with nothing to configure: plain ws and msrp, demo\ncredentials for the page, an echo peer in the rendezvous")
	fs.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "`address` for HTTP and WebSocket, with TLS where --tls-cert is given and no\n--trusted-proxy")
	fs.StringVar(&c.MSRPSListen, "msrps-listen", "", "`address` for MSRP over TLS; default :2855 where there is a certificate")
	fs.StringVar(&c.MSRPListen, "msrp-listen", "", "`address` for MSRP over plain TCP, with --plain-peers only")
	fs.StringVar(&c.AdminListen, "admin-listen", "127.0.0.1:9090", "`address` for /metrics, /healthz and /readyz; empty for none")
	fs.StringVar(&c.PublicHost, "public-host", "", "`name` by which peers and relays reach this instance; it stands in Use-Path")
	fs.IntVar(&c.PublicPort, "public-port", 0, "`port` of --msrps-listen as peers see it; default the same")
	fs.IntVar(&c.PublicPlainPort, "public-plain-port", 0, "`port` of --msrp-listen as peers see it; default the same")
	fs.StringVar(&c.TLSCert, "tls-cert", "", "`file` with the certificate chain in PEM, read again when it changes")
	fs.StringVar(&c.TLSKey, "tls-key", "", "`file` with its private key in PEM")
	fs.StringVar(&c.TrustedProxy, "trusted-proxy", "", "`networks` of proxies in front that end TLS: connections from there count as\nTLS, and only theirs may name the client in X-Forwarded-For")
	fs.StringVar(&c.AuthHeader, "auth-header", "", "`name` of the header in which a --trusted-proxy says which user it has\nauthenticated, X-Forwarded-User for instance; it must remove that of clients")
	fs.StringVar(&c.Realm, "realm", "", "digest `realm`; default --public-host")
	fs.StringVar(&c.Users, "users", "", "`file` of users as htdigest writes it, with MD5 or SHA-256 hashes")
	fs.StringVar(&c.Secret, "secret", "", "shared `secret` for time-limited credentials, see webmsrp credential")
	fs.StringVar(&c.Origin, "origin", "", "further `origins` whose pages may connect, such as https://app.example.com or\n*.example.com; the own origin always may")
	fs.StringVar(&c.ConnectSrc, "connect-src", "", "further `sources` to which the page may connect (its Content-Security-Policy)")
	fs.StringVar(&c.PeerAllow, "peer-allow", "", "`rules` of peers to connect to beyond public addresses on port 443 and above\n1023: *.example.com, 10.1.2.0/24, sbc.example.com:2855, [2001:db8::1]:9000-9010")
	fs.StringVar(&c.PeerDeny, "peer-deny", "", "`rules` of peers not to connect to; --peer-allow comes first, * is everybody")
	fs.StringVar(&c.PeerCA, "peer-ca", "", "`file` of further authorities in PEM for the certificates of peers")
	fs.BoolVar(&c.PlainPeers, "plain-peers", false, "allow peers without TLS, whose URIs begin with msrp: in place of msrps:")
	fs.StringVar(&c.PeerChunk, "peer-chunk", "8192", "most `octets` in one chunk to a peer, 0 as it comes; exceptions by host:\n8192,*.example.com=0,old.example.net=2048")
	fs.IntVar(&c.MaxConnections, "max-connections", 10_000, "greatest `number` of connections of clients and peers at a time")
	fs.IntVar(&c.MaxTokensPerUser, "max-tokens-per-user", 100, "greatest `number` of sessions of one user at a time")
	settings.Duration(fs, &c.TokenTime, "token-time", 15*time.Minute, "how long a session lasts before its client has to authenticate anew and take\nanother place, unless it asks for another time")
	fs.IntVar(&c.MaxConnectionsPerAddress, "max-connections-per-address", 1000, "greatest `number` of connections from one address, or IPv6 network of 64 bits,\nat a time; 0 for no limit")
	fs.IntVar(&c.MaxBytesPerSecond, "max-bytes-per-second", 0, "most `octets` a second that one user sends and is sent, at least 16384; 0 for no\nlimit")
	fs.Int64Var(&c.MaxBuffered, "max-buffered", 1<<30, "most `octets` that wait for connections, all together: from half of it on\nsenders get credit for less")
	settings.Duration(fs, &c.DrainTimeout, "drain-timeout", 20*time.Second, "how long requests under way may take when the program is told to stop, such as\n30s or 1m")
	fs.StringVar(&c.NATSURL, "nats-url", "", "`servers` of a NATS cluster over which instances share the rendezvous, such as\ntls://user:password@nats1:4222,tls://user:password@nats2:4222; default none")
	fs.StringVar(&c.NATSCredentials, "nats-credentials", "", "`file` with a JWT and its key to log in to NATS, in place of those in --nats-url")
	fs.StringVar(&c.NATSCA, "nats-ca", "", "`file` of further authorities in PEM for the certificates of NATS, which must\nuse TLS then")
	fs.StringVar(&c.LogLevel, "log-level", "info", "`level`: debug, info, warn or error")
	fs.StringVar(&c.LogFormat, "log-format", "text", "`format`: text or json")
	if err := settings.Parse(fs, args, summary, out); err != nil {
		return nil, err
	}
	fs.Visit(func(f *flag.Flag) { c.given[f.Name] = true })
	c.unknown = settings.Unknown(fs, otherSettings...)
	return c, c.check()
}

// check refuses what contradicts itself or is not safe, in words that say what
// to do.
func (c *Config) check() error {
	var err error
	if c.allow, err = bridge.ParseRules(c.PeerAllow); err != nil {
		return settings.Errorf("--peer-allow: %v", err)
	}
	if c.deny, err = bridge.ParseRules(c.PeerDeny); err != nil {
		return settings.Errorf("--peer-deny: %v", err)
	}
	if c.peerChunk, err = parsePeerChunk(c.PeerChunk); err != nil {
		return err
	}
	for _, s := range list(c.TrustedProxy) {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			addr, err := netip.ParseAddr(s)
			if err != nil {
				return settings.Errorf("--trusted-proxy: %q is not a network such as 10.0.0.0/8", s)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		c.trusted = append(c.trusted, prefix.Masked())
	}
	if c.AuthHeader != "" && len(c.trusted) == 0 {
		return settings.Errorf("--auth-header is what a proxy says, and anybody could say it: give --trusted-proxy with the network of that proxy")
	}
	if strings.Trim(strings.ToLower(c.AuthHeader), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return settings.Errorf("--auth-header: %q is not the name of a header", c.AuthHeader)
	}
	for name, n := range map[string]int64{
		"max-connections": int64(c.MaxConnections), "max-tokens-per-user": int64(c.MaxTokensPerUser), "max-buffered": c.MaxBuffered,
	} {
		if n <= 0 {
			return settings.Errorf("--%s: %d is not a number above 0", name, n)
		}
	}
	for name, address := range map[string]string{
		"listen": c.Listen, "msrp-listen": c.MSRPListen, "msrps-listen": c.MSRPSListen, "admin-listen": c.AdminListen,
	} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			return settings.Errorf("--%s: %q is not an address such as 127.0.0.1:8080 or :8080", name, address)
		}
	}
	for _, origin := range list(c.Origin) {
		_, host, hasScheme := strings.Cut(origin, "://")
		if !hasScheme {
			host = origin
		}
		if _, err := path.Match(host, ""); err != nil || host == "" || strings.Contains(host, "/") {
			return settings.Errorf("--origin: %q is not an origin such as https://app.example.com, without a path, nor a host pattern", origin)
		}
	}
	if c.MaxConnectionsPerAddress < 0 {
		return settings.Errorf("--max-connections-per-address: %d is below 0", c.MaxConnectionsPerAddress)
	}
	if n := c.MaxBytesPerSecond; n != 0 && n < 16<<10 {
		return settings.Errorf("--max-bytes-per-second: %d is neither 0 nor at least 16384", n)
	}
	if c.TokenTime < time.Second {
		return settings.Errorf("--token-time: %v is below a second", c.TokenTime)
	}
	if c.DrainTimeout < 0 {
		return settings.Errorf("--drain-timeout: %v is below 0", c.DrainTimeout)
	}
	if err := c.logLevel.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return settings.Errorf("--log-level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	if strings.ContainsAny(c.ConnectSrc, ";\"\r\n") {
		return settings.Errorf("--connect-src: %q is not a list of sources such as wss://relay.example.com", c.ConnectSrc)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return settings.Errorf("--log-format: %q is neither text nor json", c.LogFormat)
	}
	for name, port := range map[string]int{"public-port": c.PublicPort, "public-plain-port": c.PublicPlainPort} {
		if port < 0 || port > 65535 {
			return settings.Errorf("--%s: %d is not a port", name, port)
		}
	}
	if _, err := msrp.MakeURI(true, c.PublicHost, msrp.DefaultPort, "", msrp.TransportTCP); c.PublicHost != "" && err != nil {
		return settings.Errorf("--public-host: %q is not the name or address of a host", c.PublicHost)
	}
	if strings.ContainsFunc(c.Realm, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == 0x7f }) {
		return settings.Errorf("--realm: %q has quotes, backslashes or control characters, which clients differ about", c.Realm)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return settings.Errorf("--tls-cert and --tls-key belong together, and one of them is missing")
	}
	if err := c.checkNATS(); err != nil {
		return err
	}
	if c.Dev {
		return c.checkDev()
	}
	switch {
	case c.TLSCert == "" && c.TrustedProxy == "":
		return settings.Errorf("browsers need TLS: give --tls-cert and --tls-key, or --trusted-proxy with the network of the proxy that ends TLS (or try --dev on this machine)")
	case c.Users == "" && c.Secret == "" && c.AuthHeader == "":
		return settings.Errorf("nobody could log in: give --users with an htdigest file or --secret for time-limited credentials (or both), or --auth-header where the proxy in front authenticates")
	case c.PublicHost == "":
		return settings.Errorf("peers could not answer: give --public-host, the name by which they reach this machine")
	case c.TLSCert == "" && !c.PlainPeers:
		return settings.Errorf("peers could not connect: give --tls-cert and --tls-key for MSRP over TLS, or --plain-peers with --msrp-listen")
	case c.MSRPSListen != "" && c.TLSCert == "":
		return settings.Errorf("--msrps-listen needs --tls-cert and --tls-key")
	case c.MSRPListen != "" && !c.PlainPeers:
		return settings.Errorf("--msrp-listen takes peers without TLS and needs --plain-peers")
	case c.PlainPeers && c.MSRPListen == "":
		return settings.Errorf("--plain-peers needs --msrp-listen, such as :2855")
	}
	if c.MSRPSListen == "" && c.TLSCert != "" {
		c.MSRPSListen = ":" + strconv.Itoa(msrp.DefaultPort)
		if c.MSRPListen == c.MSRPSListen {
			return settings.Errorf("--msrp-listen takes port 2855 from --msrps-listen: give one of them another port")
		}
	}
	if c.Realm == "" {
		c.Realm = c.PublicHost
	}
	return nil
}

// checkDev fills in what --dev decides, and keeps everything on loopback.
func (c *Config) checkDev() error {
	for name, value := range map[string]string{
		"users": c.Users, "secret": c.Secret, "tls-cert": c.TLSCert, "trusted-proxy": c.TrustedProxy,
	} {
		if value != "" {
			return settings.Errorf("--dev decides about credentials and TLS itself: leave out --%s, or --dev", name)
		}
	}
	set := func(p *string, value string) {
		if *p == "" {
			*p = value
		}
	}
	set(&c.MSRPListen, "127.0.0.1:2855")
	set(&c.MSRPSListen, "127.0.0.1:2856")
	set(&c.PublicHost, "127.0.0.1")
	set(&c.Realm, "webmsrp")
	for name, address := range map[string]string{
		"listen": c.Listen, "msrp-listen": c.MSRPListen, "msrps-listen": c.MSRPSListen, "admin-listen": c.AdminListen,
	} {
		host, _, err := net.SplitHostPort(address)
		if address != "" && (err != nil || !isLoopback(host)) {
			return settings.Errorf("--dev stays on this machine: --%s %s is not a loopback address", name, address)
		}
	}
	loopback, err := bridge.ParseRules("127.0.0.0/8:1024-65535,[::1]:1024-65535")
	c.PlainPeers = true
	c.allow = append(c.allow, loopback...)
	return err
}

// checkNATS reads --nats-url, which may hold a password: no error repeats it.
func (c *Config) checkNATS() error {
	for i, server := range list(c.NATSURL) {
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		u, err := url.Parse(server)
		switch {
		case err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			return settings.Errorf("--nats-url: URL %d is not of the form nats://user:password@host:port", i+1)
		case u.Scheme != "nats" && u.Scheme != "tls":
			return settings.Errorf("--nats-url: the scheme of URL %d is neither nats nor tls", i+1)
		case c.Dev && !isLoopback(u.Hostname()):
			return settings.Errorf("--dev stays on this machine: --nats-url %s is not a loopback address", u.Host)
		}
		c.natsServers, c.natsHosts = append(c.natsServers, server), append(c.natsHosts, u.Host)
	}
	for name, value := range map[string]string{"nats-credentials": c.NATSCredentials, "nats-ca": c.NATSCA} {
		if value != "" && len(c.natsServers) == 0 {
			return settings.Errorf("--%s needs --nats-url", name)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// parsePeerChunk reads a number of octets and exceptions pattern=number.
func parsePeerChunk(s string) (func(msrp.URI) int, error) {
	type exception struct {
		pattern string
		octets  int
	}
	all, exceptions := 8192, []exception{}
	for _, entry := range list(s) {
		pattern, number, isException := strings.Cut(entry, "=")
		if !isException {
			number = pattern
		}
		n, err := strconv.Atoi(number)
		if err != nil || n != 0 && n < 2048 || n > 1<<20 {
			return nil, settings.Errorf("--peer-chunk: %q is not 0 or 2048 to 1048576", number)
		}
		if !isException {
			all = n
			continue
		}
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, settings.Errorf("--peer-chunk: %q is not a host pattern", pattern)
		}
		exceptions = append(exceptions, exception{strings.ToLower(pattern), n})
	}
	return func(next msrp.URI) int {
		for _, e := range exceptions {
			if ok, _ := path.Match(e.pattern, strings.ToLower(next.Host())); ok {
				return e.octets
			}
		}
		return all
	}, nil
}
