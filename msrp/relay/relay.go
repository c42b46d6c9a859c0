// Package relay is an MSRP relay (RFC 4976) with the WebSocket side of RFC
// 7977. It works over [msrp.Transport] values: whoever uses it listens, accepts
// and dials.
//
// A client proves who it is with AUTH and gets a token, a URI of this relay
// that stands for it. The relay forwards only what passes a token: requests of
// its owner to anybody the dial policy allows, and requests of anybody to its
// owner. It never is an open relay.
//
// Beside the mode of the RFC, in which the client's own URI stays in the paths,
// a token can be direct: towards the peer the token is the whole path, so that
// the client looks like an ordinary endpoint. Many peers know no other.
package relay

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
)

// Users knows who may use a relay.
type Users interface {
	// Algorithms returns those that every user can answer, strongest first.
	Algorithms() []digest.Algorithm
	// HA1 returns the hash of name, the relay's realm and password that proves
	// a username, see [digest.HA1]; user is the name that limits and logs go
	// by. ok is false for a name that is unknown, expired, or has no hash of
	// this algorithm.
	HA1(a digest.Algorithm, username string) (ha1, user string, ok bool)
}

// ErrRefused is what [Config.Dial] returns, wrapped or not, for an address that
// the policy does not allow: the client is told 403 and not 408.
var ErrRefused = errors.New("relay: the address is not allowed")

// ErrStopping is the reason with which a relay that is closed closes its
// transports: a WebSocket tells its client that the server is going away.
var ErrStopping = errors.New("relay: the relay is stopping")

// A Guard slows down and locks out those who guess passwords. Its methods are
// safe for concurrent use; remote is [LinkInfo.Remote], username as the client
// gives it.
type Guard interface {
	// Locked reports whether credentials are not even looked at.
	Locked(remote, username string) bool
	// Failed counts wrong credentials and returns how long the answer waits.
	Failed(remote, username string) time.Duration
	// Passed counts right ones.
	Passed(remote, username string)
}

// A Hop is where a relay wants to connect to.
type Hop struct {
	URI  msrp.URI
	User string // on whose behalf
	// Fingerprints are those of the peer's SDP, if the client told them: then
	// the certificate must match one, and its authority does not count.
	Fingerprints []string
}

// Config are the settings of a [Relay]. Host, Users and Dial are required.
type Config struct {
	// Host is the name that Use-Path carries and peers connect to; Port leads
	// to the TLS listener, PlainPort to the one without TLS, 0 where there is
	// none.
	Host            string
	Port, PlainPort int
	// Aliases are further names by which clients may address the relay in AUTH.
	Aliases []string
	// Realm of the digest. Default: Host.
	Realm string
	Users Users
	// PlainAuth accepts AUTH on connections that are not secure, against RFC
	// 4976, section 8: for a relay that is reached over loopback only.
	PlainAuth bool
	// PlainPeers hands out msrp tokens and connects to msrp URIs.
	PlainPeers bool
	// DefaultExpires is how long a token lives unless the client asks for
	// MinExpires to MaxExpires. Defaults: one hour, one minute, one day.
	DefaultExpires, MinExpires, MaxExpires time.Duration
	// MaxLinks bounds the connections that were accepted. One more takes the
	// place of the one that was unused for longest (RFC 4976, section 6.5).
	// Default 10,000.
	MaxLinks int
	// MaxTokensPerUser bounds the tokens of one user. Default 100.
	MaxTokensPerUser int
	// MaxBytesPerSecond bounds what one user sends and is sent, in octets of
	// requests. Whoever sends more is not read from for a while, where that
	// holds up nobody else. Default: no bound.
	MaxBytesPerSecond int
	// MaxBuffered bounds the octets of SENDs that wait for next hops, all
	// together. From half of it on each session may have less waiting before
	// the 200s of its sender are held back, which are its credit. Default 1 GiB.
	MaxBuffered int64
	// Guard hears of AUTH requests with credentials. Default: nobody does.
	Guard Guard
	// ChunkSize is the most octets of body in one SEND to a WebSocket, and
	// what clients are asked to use. Default 64 KiB.
	ChunkSize int
	// PeerChunk returns the most octets of body in one SEND to that next hop.
	// 0 leaves chunks as they come up to ChunkSize. Default: 8 KiB for all.
	PeerChunk func(next msrp.URI) int
	// Fingerprint returns that of the certificate peers meet on Port, as SDP
	// has it. nil tells clients nothing.
	Fingerprint func() string
	// Dial connects to the next hop of a request.
	Dial func(ctx context.Context, to Hop) (msrp.Transport, error)
	// Log gets what operators want to know; never bodies, credentials or whole
	// tokens. Default: nothing.
	Log *slog.Logger
}

func (c *Config) setDefaults() {
	or := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	or(&c.DefaultExpires, time.Hour)
	or(&c.MinExpires, time.Minute)
	or(&c.MaxExpires, 24*time.Hour)
	if c.Realm == "" {
		c.Realm = c.Host
	}
	if c.MaxLinks == 0 {
		c.MaxLinks = 10_000
	}
	if c.MaxTokensPerUser == 0 {
		c.MaxTokensPerUser = 100
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = 1 << 30
	}
	if c.ChunkSize == 0 {
		c.ChunkSize = 64 << 10
	}
	if c.PeerChunk == nil {
		c.PeerChunk = func(msrp.URI) int { return 8 << 10 }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// A Relay holds the tokens and the links. Its methods are safe for concurrent
// use.
type Relay struct {
	config Config
	nonces *nonces
	counters

	mu       sync.RWMutex
	tokens   map[string]*token // by the session ID of their URI
	byUser   map[string]*account
	links    map[*Link]struct{}
	closed   bool
	expiries expiries

	accepted int // of links, those that were not dialled

	draining atomic.Bool
	queued   atomic.Int64 // octets of SENDs that wait for next hops
}

// New returns a relay without links.
func New(c Config) (*Relay, error) {
	if c.Host == "" || c.Users == nil || c.Dial == nil {
		return nil, errors.New("relay: Config needs Host, Users and Dial")
	}
	c.setDefaults()
	return &Relay{
		config: c,
		nonces: newNonces(),
		tokens: make(map[string]*token),
		byUser: make(map[string]*account),
		links:  make(map[*Link]struct{}),
	}, nil
}

// Close ends every link; [Relay.Serve] returns for each.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	links, tokens := maps.Clone(r.links), maps.Clone(r.tokens)
	r.mu.Unlock()
	var wg sync.WaitGroup
	for l := range links {
		wg.Go(func() { l.close(ErrStopping) }) // each may wait for its neighbour
	}
	wg.Wait()
	for _, t := range tokens {
		r.revoke(t) // those of relays do not end with a connection
	}
	return nil
}

// A token is a URI of the relay that stands for one session of one client (RFC
// 4976, section 6.3).
type token struct {
	uri     msrp.URI
	owner   *Link    // the connection whose AUTH it answered
	client  msrp.URI // the first URI of that AUTH's From-Path
	user    string
	of      *account      // the user's
	expires time.Duration // since epoch
	place   int32         // in expiries, -1 outside
	direct  bool
	// ofRelay is set where client is a relay that has proved its name: any
	// connection to it is as good as owner.
	ofRelay bool

	over  atomic.Bool // set with mu, which guards what follows
	mu    sync.Mutex
	peers []peer           // that opened connections; most tokens have one
	hops  map[string]*Link // connections opened for the owner, by host and port
	// What linkTo returned for a next hop, as it was spelled, whose certificate
	// does not matter.
	last     *Link
	lastNext string
}

// A peer is who has sent to a token from a URI, and on which connection.
type peer struct {
	uri  string
	link *Link
}

// lookup returns the token with exactly that URI, or nil.
func (r *Relay) lookup(uri msrp.URI) *token {
	r.mu.RLock()
	t := r.tokens[uri.SessionID()]
	r.mu.RUnlock()
	if t == nil || !t.uri.Equal(uri) {
		return nil
	}
	return t
}

// isSelf reports whether a URI names this relay, with a token or without.
func (r *Relay) isSelf(uri msrp.URI) bool {
	c := &r.config
	switch uri.Port() {
	case 0, c.Port, c.PlainPort:
		return r.isName(uri.Host())
	}
	return false
}

func (r *Relay) isName(host string) bool {
	if sameHost(host, r.config.Host) {
		return true
	}
	for _, alias := range r.config.Aliases {
		if sameHost(host, alias) {
			return true
		}
	}
	return false
}

// sameHost compares names and IP addresses; those of IPv6 have many forms (RFC
// 4975, section 6.1).
func sameHost(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	if !strings.Contains(a, ":") || !strings.Contains(b, ":") {
		return false
	}
	x, errA := netip.ParseAddr(a)
	y, errB := netip.ParseAddr(strings.Trim(b, "[]"))
	return errA == nil && errB == nil && x == y
}

// port returns the port to which tokens of a scheme lead, 0 where there is none.
func (r *Relay) port(secure bool) int {
	if secure {
		return r.config.Port
	}
	return r.config.PlainPort
}

// grant gives a token its URI and makes it valid. The error is nil or says which
// limit is reached.
func (r *Relay) grant(t *token, secure bool, expires time.Duration) error {
	uri, err := msrp.MakeURI(secure, r.config.Host, r.port(secure), msrp.NewID(), msrp.TransportTCP)
	if err != nil {
		return err
	}
	t.uri = uri
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.of = r.byUser[t.user]; t.of == nil {
		t.of = &account{}
	}
	if t.of.tokens >= r.config.MaxTokensPerUser {
		return errors.New("too many tokens of one user")
	}
	if r.closed || !t.ofRelay && !t.owner.own(t) {
		return msrp.ErrConnClosed
	}
	t.of.tokens++
	r.byUser[strings.Clone(t.user)] = t.of
	r.tokens[uri.SessionID()] = t
	r.expiries.add(t, expires, r.expire)
	return nil
}

// expire ends the tokens whose time is over.
func (r *Relay) expire() {
	r.mu.Lock()
	late := r.expiries.take()
	r.mu.Unlock()
	for _, t := range late {
		r.revoke(t)
	}
}

// revoke ends a token: at its expiry, or with its owner's connection if that is
// a client's (RFC 4976, section 6.3). What was opened for it is closed.
func (r *Relay) revoke(t *token) {
	r.mu.Lock()
	if r.tokens[t.uri.SessionID()] == t {
		delete(r.tokens, t.uri.SessionID())
		if t.of.tokens--; t.of.tokens == 0 {
			delete(r.byUser, t.user)
		}
		r.expiries.remove(t)
	}
	r.mu.Unlock()
	t.mu.Lock()
	t.over.Store(true) // first of all: no queue begins after those are taken that there are
	hops, peers := t.hops, t.peers
	t.hops, t.peers, t.last = nil, nil, nil
	t.mu.Unlock()
	t.owner.disown(t)
	for _, p := range peers {
		p.link.forget(t)
	}
	for _, l := range hops {
		l.finish()
	}
}

// bind remembers the connection on which a peer reached the token. It carries
// the owner's requests to exactly that peer: whoever merely knows the token
// must not attract what is meant for another.
func (t *token) bind(uri msrp.URI, l *Link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isOver() {
		return
	}
	key := uri.String()
	for _, old := range t.peers {
		if old.uri == key && !old.link.isClosed() {
			return
		}
	}
	t.peers = slices.DeleteFunc(t.peers, func(old peer) bool { return old.link.isClosed() })
	same := 0
	for _, old := range t.peers {
		if old.link == l {
			same++
		}
	}
	if same < maxNames && len(t.peers) < maxPeers {
		t.peers = append(t.peers, peer{strings.Clone(key), l})
		t.last = nil
	}
}

const (
	// maxPeers bounds the peers that a token remembers, maxNames those of one
	// connection: a stranger who knows the token cannot take all places.
	maxPeers = 16
	maxNames = 2
	// maxHops bounds the connections that are open for the owner of a token. A
	// session needs one, and another while its peer moves.
	maxHops = 4
)

// linkTo returns the live connection for requests of the owner to that next
// hop, or nil. With fingerprints it is one whose certificate has one of them.
func (t *token) linkTo(next msrp.URI, fingerprints []string) (found *Link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(fingerprints) == 0 {
		if t.last != nil && t.lastNext == next.String() && !t.last.isClosed() {
			return t.last
		}
		defer func() {
			t.last, t.lastNext = found, strings.Clone(next.String())
		}()
	}
	for _, p := range t.peers {
		if uri, err := msrp.ParseURI(p.uri); err != nil || !uri.Equal(next) || p.link.isClosed() {
			continue
		}
		if len(fingerprints) == 0 || p.link.info.Matches != nil && p.link.info.Matches(fingerprints) {
			return p.link
		}
	}
	if l := t.hops[hopKey(next)]; l != nil && !l.isClosed() && l.fingerprints == strings.Join(fingerprints, "\n") {
		return l
	}
	return nil
}

// owns reports whether the neighbour is the one for whom a token was made: a
// client on the connection of its AUTH, a relay on any (RFC 4976, section 6.3).
func (l *Link) owns(t *token) bool {
	if l == t.owner || !t.ofRelay {
		return l == t.owner
	}
	_, named := l.proves(t.client.Host())
	return named
}

// toOwner returns the connection to the owner of a token, or nil where the relay
// that owns it has none now.
func (r *Relay) toOwner(t *token) *Link {
	if !t.ofRelay || !t.owner.isClosed() {
		return t.owner
	}
	if l := t.linkTo(t.client, nil); l != nil {
		return l
	}
	r.mu.RLock()
	links := slices.Collect(maps.Keys(r.links))
	r.mu.RUnlock()
	for _, l := range links {
		// What has made no request yet may still be proving who it is.
		if l.isAccepted() && l.owns(t) && !l.isClosed() {
			t.bind(t.client, l)
			return l
		}
	}
	return nil
}

func (t *token) isOver() bool { return t.over.Load() }

// mayDial reports whether one more connection may be opened for the owner.
func (t *token) mayDial() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.hops, func(_ string, l *Link) bool { return l.isClosed() })
	return len(t.hops) < maxHops
}

// keep remembers a connection that was opened for the owner, unless the token
// is over.
func (t *token) keep(next msrp.URI, l *Link) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isOver() {
		return false
	}
	if t.hops == nil {
		t.hops = make(map[string]*Link)
	}
	if old := t.hops[hopKey(next)]; old != nil {
		go old.finish() // the peer's certificate changed
	}
	t.hops[hopKey(next)] = l
	t.last = nil
	return true
}

// hopKey names a connection by what RFC 4975, section 5.4 compares.
func hopKey(uri msrp.URI) string {
	scheme := "msrp "
	if uri.Secure() {
		scheme = "msrps "
	}
	return scheme + strings.ToLower(uri.HostPort())
}
