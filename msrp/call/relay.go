package call

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// A RelayHost takes its places at a relay, each with an AUTH of its own (RFC
// 4976, section 5.1). Its methods are safe for concurrent use.
type RelayHost struct {
	// Conn leads to the relay.
	Conn *msrp.Conn
	// Relay returns the URI of the relay for AUTH, of which the scheme says
	// what is asked for.
	Relay func(secure bool) (msrp.URI, error)
	// Credentials returns username and password; it may be nil.
	Credentials func(ctx context.Context) (username, password string, err error)
	// Transport is that of the own URIs: "ws" behind a WebSocket, else "tcp".
	Transport string
	// NoDirect keeps from asking for direct mode.
	NoDirect bool
	// Expires is how long places are wanted. Default: what the relay likes.
	// Kamailio 5.6 answers with 423 whatever is wanted, or crashes.
	Expires time.Duration
	// ChunkSize is the most octets of body in one SEND, if the relay grants no
	// less. Default: what it grants, else 8 KiB.
	ChunkSize int

	mu       sync.Mutex
	alive    func() // asks at the latest place, see KeepAlive
	releases bool   // the latest place can be given back
	reserved *reservation
}

// A reservation is a place that waits for its session.
type reservation struct {
	place  *Place
	secure bool
	until  time.Time // afterwards too little of it is left
}

// RelayURI returns the URI that AUTH gives a relay behind a WebSocket (RFC 7977,
// section 5.2), from the URL of the WebSocket: wss://relay.example.com/msrp is
// msrps://relay.example.com:443;ws. The scheme says what kind of token is
// wanted.
func RelayURI(webSocketURL string, secure bool) (msrp.URI, error) {
	scheme, rest, _ := strings.Cut(webSocketURL, "://")
	port := map[string]string{"ws": "80", "wss": "443"}[strings.ToLower(scheme)]
	if port == "" {
		return msrp.URI{}, errors.New("call: " + strconv.Quote(webSocketURL) + " is not a ws:// or wss:// URL")
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		authority, port = authority[:i], authority[i+1:]
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return msrp.URI{}, errors.New("call: bad port in " + strconv.Quote(webSocketURL))
	}
	return msrp.MakeURI(secure, authority, n, "", msrp.TransportWS)
}

// Reserve takes the place of the next session already: the relay knows the
// client then, whose connection it would close after 30 seconds otherwise (RFC
// 4976, section 6.1), and wrong credentials show at once.
func (h *RelayHost) Reserve(ctx context.Context, secure bool) error {
	place, expires, err := h.take(ctx, secure)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reserved = &reservation{place, secure, time.Now().Add(expires / 2)}
	return nil
}

// Releases reports whether the relay takes places back: then it is one of ours.
func (h *RelayHost) Releases() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.releases
}

// KeepAlive asks the relay at the place that was taken last, which need not
// stand any more, for a sign of life. It does not wait for it.
func (h *RelayHost) KeepAlive() {
	h.mu.Lock()
	alive := h.alive
	h.mu.Unlock()
	if alive != nil {
		alive()
	}
}

// Place implements [Host].
func (h *RelayHost) Place(ctx context.Context, secure bool) (*Place, error) {
	h.mu.Lock()
	r := h.reserved
	if r != nil && r.secure == secure {
		h.reserved = nil
	}
	h.mu.Unlock()
	if r != nil && r.secure == secure && time.Now().Before(r.until) {
		return r.place, nil
	}
	place, _, err := h.take(ctx, secure)
	return place, err
}

// take authenticates for a place, which lasts for expires.
func (h *RelayHost) take(ctx context.Context, secure bool) (place *Place, expires time.Duration, err error) {
	relay, err := h.Relay(secure)
	if err != nil {
		return nil, 0, err
	}
	// Nobody dials the own URI: a name that cannot exist says so (RFC 7977,
	// appendix A).
	uri, err := msrp.MakeURI(secure, msrp.NewID()+".invalid", msrp.DefaultPort, msrp.NewID(), h.Transport)
	if err != nil {
		return nil, 0, err
	}
	auth := msrp.Auth{Relay: msrp.Path{relay}, URI: uri, Direct: !h.NoDirect, Release: h.Transport == msrp.TransportWS, Expires: h.Expires}
	if h.Credentials != nil {
		if auth.Username, auth.Password, err = h.Credentials(ctx); err != nil {
			return nil, 0, err
		}
	}
	grant, err := h.Conn.Authenticate(ctx, auth)
	if err != nil {
		return nil, 0, err
	}
	chunkSize := grant.ChunkSize
	if h.ChunkSize > 0 && (chunkSize == 0 || h.ChunkSize < chunkSize) {
		chunkSize = h.ChunkSize
	}
	h.mu.Lock()
	h.alive = func() { h.Conn.KeepAlive(grant, uri) }
	h.releases = grant.Releases
	h.mu.Unlock()
	place = &Place{
		URI: uri, Path: grant.PathFor(uri), UsePath: grant.UsePath, Conn: h.Conn,
		Setup: sdp.ActPass, ChunkSize: chunkSize, Fingerprint: grant.Fingerprint, Direct: grant.Direct,
		Release: func() { h.Conn.Release(grant, uri) },
	}
	if grant.Expires > 0 {
		place.Until = time.Now().Add(grant.Expires)
	}
	return place, grant.Expires, nil
}
