package relay

import (
	"slices"

	"github.com/webmsrp/webmsrp/msrp"
)

// A hop is one passage of a request through this relay: past a token, in one
// of four ways. It knows how to turn the paths of the request, and of the
// response that comes back.
type hop struct {
	token *token
	way   way
}

type way int

const (
	// The owner's request to anybody, and anybody's to the owner, as RFC 4976,
	// section 6.4 has it: the token moves from To-Path to From-Path.
	outbound way = iota
	inbound
	// The same past a direct token: the owner's own URI stays on its own side.
	directOut
	directIn
)

// request turns the paths of a route to those after the hop. They lie in l then,
// until its next request.
func (h hop) request(l *Link, rt *route) {
	if h.way == directIn {
		l.to = append(l.to[:0], h.token.client)
		rt.to = l.to
	} else {
		rt.to = rt.to[1:]
	}
	before := rt.from
	if h.way == directOut {
		before = nil
	}
	l.from = slices.Grow(l.from[:0], len(before)+1)[:len(before)+1]
	copy(l.from[1:], before) // which may lie there
	l.from[0] = h.token.uri
	rt.from = l.from
}

// response returns the From-Path of a response after its way back past the hop.
func (h hop) response(from msrp.Path) msrp.Path {
	if h.way == directIn {
		return msrp.Path{h.token.uri}
	}
	return msrp.Path{h.token.uri}.Join(from...)
}

// A route is where a request goes.
type route struct {
	hops     []hop // past which tokens, in order
	to, from msrp.Path
	link     *Link // the connection to take, nil where one must be opened

	// fingerprints are what the owner of a direct token says of the peer's
	// certificate.
	fingerprints []string
}

// Bounds on a forwarded request, far below those of readers: what arrived just
// within them must not exceed them when this relay has added itself.
const (
	maxMethod = 64
	maxFrom   = 8 << 10 // octets of From-Path
	maxURIs   = 16      // in From-Path
)

// fits reports whether every neighbour could read the request.
func (rt *route) fits(u *msrp.Unit) bool {
	octets := 0
	for _, uri := range rt.from {
		octets += len(uri.String()) + 1
	}
	return len(u.Method) <= maxMethod && octets <= maxFrom && len(rt.from) <= maxURIs
}

// token returns the one whose owner the traffic belongs to at its last hop.
func (rt *route) token() *token { return rt.hops[len(rt.hops)-1].token }

// Outcomes of routing that are not status codes.
const (
	forward   = 0  // along the route
	forMe     = -1 // the relay itself is the target
	forAnyone = -2 // To-Path does not name this relay
)

// route finds the way of a request that arrived on l, through this relay again
// if the next hop is one of its own tokens. It returns forward, forMe,
// forAnyone or the code that refuses the request.
func (r *Relay) route(l *Link, u *msrp.Unit) (rt route, outcome int) {
	rt.to, rt.from, rt.hops = u.To, u.From, l.hops[:0]
	for inside := false; ; inside = true {
		t := r.lookup(rt.to[0])
		if t == nil {
			if inside || r.isSelf(rt.to[0]) || rt.to[0].SessionID() == "" {
				return rt, msrp.StatusNoSession
			}
			return rt, forAnyone
		}
		// A hop inside the relay never is the owner: whoever owns a token
		// passes it on the owner's own connection.
		owner := !inside && l.owns(t) && rt.from[0].Equal(t.client) && (len(rt.from) == 1 || !t.direct)
		h := hop{t, outbound}
		switch {
		case owner && len(rt.to) == 1:
			return rt, forMe
		case owner && t.direct:
			if u.Method == msrp.MethodAuth {
				return rt, msrp.StatusForbidden // chains need a token of the RFC's kind
			}
			h.way = directOut
			rt.fingerprints = u.Header.Values(peerFingerprint)
		case owner:
		case !inside && l.info.WebSocket:
			// A WebSocket client speaks through its own tokens or not at all.
			return rt, msrp.StatusNoSession
		case !inside && t.uri.Secure() && !l.info.Secure:
			// The token promises TLS on the way to it.
			return rt, msrp.StatusNoSession
		case t.direct:
			// Anything behind the token would go on to whoever is named there.
			if len(rt.to) != 1 || u.Method == msrp.MethodAuth {
				return rt, msrp.StatusNoSession
			}
			h.way = directIn
		default:
			if len(rt.to) < 2 || !rt.to[1].Equal(t.client) {
				return rt, msrp.StatusNoSession
			}
			h.way = inbound
		}
		if len(rt.hops) > maxInside {
			return rt, msrp.StatusNoSession
		}
		// What goes to a relay that owns the token takes its connections alone.
		if !owner && !inside && rt.from[0].SessionID() != "" && !(t.ofRelay && rt.from[0].Equal(t.client)) {
			t.bind(rt.from[0], l)
		}
		rt.hops = append(rt.hops, h)
		l.hops = rt.hops
		h.request(l, &rt)
		if !owner {
			rt.link = r.toOwner(t)
			return rt, forward
		}
		if next := rt.to[0]; r.lookup(next) == nil && !r.isToken(next) {
			rt.link = t.linkTo(next, rt.fingerprints)
			return rt, forward
		}
	}
}

// maxInside bounds the passages through this relay: the owner's token and the
// peer's are all that there can be.
const maxInside = 2

// isToken reports whether a URI has the form of one of this relay's tokens,
// alive or not.
func (r *Relay) isToken(uri msrp.URI) bool {
	port := r.port(uri.Secure())
	return uri.SessionID() != "" && port != 0 && uri.Port() == port && uri.HasTransport(msrp.TransportTCP) && r.isName(uri.Host())
}
