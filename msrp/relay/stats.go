package relay

import (
	"sync/atomic"

	"github.com/webmsrp/webmsrp/msrp"
)

// counters count events since the start.
type counters struct {
	requests, reports, linksRefused, authsFailed, authsLocked, dials, dialsFailed atomic.Int64
	toClients, toPeers                                                            traffic
	rejected, outcomes, auths                                                     codes
}

// traffic counts SENDs in one direction.
type traffic struct{ sends, messages, octets atomic.Int64 }

// codes counts by status code. A peer may choose it: it has three digits.
type codes [1000]atomic.Int64

func (c *codes) add(code int) {
	if code >= 0 && code < len(c) {
		c[code].Add(1)
	}
}

func (c *codes) snapshot() map[int]int64 {
	counts := make(map[int]int64)
	for code := range c {
		if n := c[code].Load(); n > 0 {
			counts[code] = n
		}
	}
	return counts
}

// traffic returns what counts the SENDs of a route: by who gets them from this
// relay, a client of its own or somebody else.
func (rt *route) traffic(r *Relay) *traffic {
	switch rt.hops[len(rt.hops)-1].way {
	case inbound, directIn:
		return &r.toClients
	}
	return &r.toPeers
}

// A Kind tells links apart in [Stats].
type Kind struct {
	Transport string // ws, tls or tcp
	Dialled   bool   // by this relay
}

// Traffic are the SENDs that were forwarded in one direction, the messages
// that ended with one of them, and their octets.
type Traffic struct{ Sends, Messages, Octets int64 }

func (t *traffic) snapshot() Traffic {
	return Traffic{t.sends.Load(), t.messages.Load(), t.octets.Load()}
}

// Stats is a snapshot of what a relay has done and is doing. It names nobody.
type Stats struct {
	// Now: connections, those of each kind, tokens, those of them that are
	// direct, requests that wait for the response of their next hop, and the
	// octets of SENDs that wait for their next hops.
	Links        int
	LinksByKind  map[Kind]int
	Tokens       int
	DirectTokens int
	Transactions int
	Queued       int64

	// Since the start: requests that were not AUTH, those that this relay did
	// not take, by status code, and what became of SENDs at their next hops.
	Requests           int64
	Rejected, Outcomes map[int]int64
	ToClients, ToPeers Traffic
	FailureReports     int64 // made by this relay
	LinksRefused       int64 // connections, because there were too many
	// AUTHs that were granted, had wrong credentials, or were locked out, and
	// all of them by the code of the answer.
	Auths, AuthsFailed, AuthsLocked int64
	AuthCodes                       map[int]int64
	Dials, DialsFailed              int64
}

// Stats returns a snapshot.
func (r *Relay) Stats() Stats {
	s := Stats{
		LinksByKind: make(map[Kind]int), Queued: r.queued.Load(),
		Requests: r.requests.Load(), Rejected: r.rejected.snapshot(), Outcomes: r.outcomes.snapshot(),
		ToClients: r.toClients.snapshot(), ToPeers: r.toPeers.snapshot(), FailureReports: r.reports.Load(), LinksRefused: r.linksRefused.Load(),
		Auths: r.auths[msrp.StatusOK].Load(), AuthCodes: r.auths.snapshot(), AuthsFailed: r.authsFailed.Load(), AuthsLocked: r.authsLocked.Load(),
		Dials: r.dials.Load(), DialsFailed: r.dialsFailed.Load(),
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	s.Links, s.Tokens = len(r.links), len(r.tokens)
	for l := range r.links {
		k := Kind{"tcp", l.token != nil}
		switch {
		case l.info.WebSocket:
			k.Transport = "ws"
		case l.info.Secure:
			k.Transport = "tls"
		}
		s.LinksByKind[k]++
		l.mu.Lock()
		s.Transactions += l.inFlight.Len()
		l.mu.Unlock()
	}
	for _, t := range r.tokens {
		if t.direct {
			s.DirectTokens++
		}
	}
	return s
}
