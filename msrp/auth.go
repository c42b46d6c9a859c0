package msrp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/webmsrp/webmsrp/msrp/digest"
)

// relayFeatures is the field in which a client asks for what RFC 4976 does not
// have and its relay grants it. A relay that does not know it says nothing.
const relayFeatures = "Relay-Features"

// Auth is a request for a place at a relay (RFC 4976, section 5.1).
type Auth struct {
	// Relay is the To-Path: the relay's URI, in front of it the Use-Path to
	// nearer relays. It is required.
	Relay Path
	// URI is the own URI of the session that will use the relay. It is
	// required; each session needs an Auth of its own.
	URI URI
	// Username and Password are sent as a digest, SHA-256 or else MD5, if the
	// relay asks for them.
	Username, Password string
	// Expires is how long the place is wanted, in whole seconds. Default: what
	// the relay likes; some relays refuse every wish.
	Expires time.Duration
	// Direct asks for direct mode, see [Grant.Direct].
	Direct bool
	// Release asks whether the relay takes places back, see [Conn.Release].
	Release bool
}

// features are what is asked for beyond RFC 4976, of a relay that is the
// neighbour.
func (a *Auth) features() string {
	switch {
	case len(a.Relay) > 1:
		return ""
	case a.Direct && a.Release:
		return "direct release"
	case a.Direct:
		return "direct"
	case a.Release:
		return "release"
	}
	return ""
}

// A Grant is a place at a relay.
type Grant struct {
	// UsePath goes in front of the peer's path in To-Path, nearest relay first.
	UsePath Path
	// Expires is how long the place lasts, 0 if the relay did not say.
	Expires time.Duration
	// Direct is set when the relay stands in for this side: peers see the
	// relay's URI alone, an ordinary endpoint.
	Direct bool
	// ChunkSize is the most octets of body in one SEND that the relay asks
	// for, 0 if it did not say.
	ChunkSize int
	// Fingerprint is that of the relay's certificate, as SDP has it, for the
	// offers of sessions in direct mode. It may be "".
	Fingerprint string

	// Releases is set when the relay takes the place back, see [Conn.Release].
	Releases bool
}

// ToPath returns the To-Path of requests to a peer with that path.
func (g *Grant) ToPath(peer Path) Path { return g.UsePath.Join(peer...) }

// PathFor returns the path to offer in SDP for a session with that own URI
// (RFC 4976, section 5.1).
func (g *Grant) PathFor(own URI) Path {
	if g.Direct {
		return g.UsePath
	}
	return g.UsePath.Reverse().Join(own)
}

// KeepAlive sends a SEND without a body to the place, which the relay answers:
// whether it still is there (RFC 4975, section 7.1). own is the URI that the
// place was asked for with. Nobody waits for the answer.
func (c *Conn) KeepAlive(g *Grant, own URI) { c.tellRelay(g, own) }

// Release gives a place back that is not needed any more, and waits for
// nothing. RFC 4976 has no way to do that, so it does nothing at relays that have
// not said that they know ours: there the place lasts until it expires.
func (c *Conn) Release(g *Grant, own URI) {
	if g.Releases {
		c.tellRelay(g, own, Field{relayFeatures, "release"})
	}
}

func (c *Conn) tellRelay(g *Grant, own URI, fields ...Field) {
	c.request(&Unit{
		TransactionID: NewTransactionID(), Method: MethodSend, To: g.UsePath, From: Path{own},
		Header: append(Header{{"Message-ID", NewID()}, {"Byte-Range", "1-0/0"}}, fields...),
	}, func(*Unit, error) {})
}

// Authenticate asks the relay at the other end of the connection, or one
// behind it, for a place. A *[StatusError] of 401 is a wrong name or password,
// 403 a user who is not allowed. Calls on one connection wait for each other,
// as the RFC wants.
func (c *Conn) Authenticate(ctx context.Context, a Auth) (*Grant, error) {
	if len(a.Relay) == 0 || a.URI.IsZero() {
		return nil, errors.New("msrp: Auth needs a Relay and a URI")
	}
	select {
	case c.authTurn <- struct{}{}:
		defer func() { <-c.authTurn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.done:
		return nil, c.Err()
	}
	grant, err := c.authenticate(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("msrp: AUTH at %s: %w", a.Relay.Last(), err)
	}
	return grant, nil
}

func (c *Conn) authenticate(ctx context.Context, a Auth) (*Grant, error) {
	var (
		answer  *digest.Credentials
		expires = a.Expires
		retried bool // after 423
		target  = a.Relay.Last().String()
	)
	// Each round repairs one thing the relay did not like.
	for range 5 {
		u := &Unit{TransactionID: NewTransactionID(), Method: MethodAuth, To: a.Relay, From: Path{a.URI}}
		if expires > 0 {
			u.Header = append(u.Header, Field{"Expires", strconv.Itoa(int(expires / time.Second))})
		}
		if wanted := a.features(); wanted != "" {
			u.Header = append(u.Header, Field{relayFeatures, wanted})
		}
		if answer != nil {
			u.Header = append(u.Header, Field{"Authorization", answer.String()})
		}
		r, err := c.roundTrip(ctx, u)
		if err != nil {
			return nil, err
		}
		switch {
		case r.Code/100 == 2:
			return readGrant(r, a, answer)
		case r.Code == StatusUnauthorized:
			challenge, err := digest.Strongest(r.Header.Values("WWW-Authenticate"))
			if err != nil {
				return nil, err
			}
			if answer != nil && !challenge.Stale {
				return nil, failureOf(r)
			}
			cr := challenge.Answer(a.Username, a.Password, MethodAuth, target, NewID(), 1)
			answer = &cr
		case r.Code == StatusOutOfBounds && expires > 0:
			// Some Kamailio configurations answer so to any Expires.
			bound := r.Header.Get("Max-Expires")
			if bound == "" {
				bound = r.Header.Get("Min-Expires")
			}
			n, ok := parseNumber(bound)
			if expires = 0; ok && n > 0 && n < 1<<31 && !retried {
				expires = time.Duration(n) * time.Second
			}
			retried = true
			if answer != nil {
				answer = nil // a nonce may serve once only
			}
		default:
			return nil, failureOf(r)
		}
	}
	return nil, errors.New("the relay is never satisfied")
}

// readGrant reads the 200 to an AUTH.
func readGrant(r *Unit, a Auth, answer *digest.Credentials) (*Grant, error) {
	usePath, err := ParsePath(r.Header.Get("Use-Path"))
	if err != nil {
		return nil, fmt.Errorf("no usable Use-Path in the 200: %w", err)
	}
	if proof, ok := r.Header.Lookup("Authentication-Info"); ok && answer != nil {
		// Kamailio sends none; a wrong one is an impostor.
		info, err := digest.ParseInfo(proof)
		if err != nil || !info.Proves(*answer, a.Password) {
			return nil, errors.New("the relay does not know the password itself")
		}
	}
	g := &Grant{UsePath: usePath}
	if n, ok := parseNumber(r.Header.Get("Expires")); ok && n < 1<<31 {
		g.Expires = time.Duration(n) * time.Second
	}
	// Fields pass through chains of relays, so only the neighbour's word about
	// itself counts.
	if a.features() != "" && len(r.From) == 1 {
		g.readFeatures(r.Header.Get(relayFeatures))
		g.Direct = g.Direct && a.Direct
	}
	return g, nil
}

// readFeatures reads `direct release chunk-size=65536 fingerprint="sha-256 AB:CD"`.
func (g *Grant) readFeatures(s string) {
	for s = trimBlanks(s); s != ""; s = trimBlanks(s) {
		end := strings.IndexByte(s, ' ')
		if i := strings.IndexByte(s, '"'); i >= 0 && (end < 0 || i < end) {
			if j := strings.IndexByte(s[i+1:], '"'); j >= 0 {
				end = i + 1 + j + 1
			}
		}
		if end < 0 || end > len(s) {
			end = len(s)
		}
		name, value, _ := strings.Cut(s[:end], "=")
		s = s[end:]
		switch strings.ToLower(name) {
		case "direct":
			g.Direct = true
		case "release":
			g.Releases = true
		case "chunk-size":
			if n, ok := parseNumber(value); ok && n >= minChunk && n <= 1<<20 {
				g.ChunkSize = int(n)
			}
		case "fingerprint":
			g.Fingerprint = strings.Trim(value, `"`)
		}
	}
}
