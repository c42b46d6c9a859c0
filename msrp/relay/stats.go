package relay

import "sync/atomic"

// counters count events since the start.
type counters struct {
	requests, rejected, forwarded, reports       atomic.Int64
	auths, authsFailed, dials, dialsFailed, live atomic.Int64
}

// Stats is a snapshot of what a relay has done and is doing.
type Stats struct {
	Links, Tokens int // now
	// Since the start: requests that were not AUTH, those of them that were
	// refused, octets of SENDs forwarded, failure reports made.
	Requests, Rejected, ForwardedOctets, FailureReports int64
	Auths, AuthsFailed                                  int64 // granted, refused
	Dials, DialsFailed                                  int64
}

// Stats returns a snapshot.
func (r *Relay) Stats() Stats {
	r.mu.RLock()
	links, tokens := len(r.links), len(r.tokens)
	r.mu.RUnlock()
	return Stats{
		Links: links, Tokens: tokens,
		Requests: r.requests.Load(), Rejected: r.rejected.Load(), ForwardedOctets: r.forwarded.Load(), FailureReports: r.reports.Load(),
		Auths: r.auths.Load(), AuthsFailed: r.authsFailed.Load(),
		Dials: r.dials.Load(), DialsFailed: r.dialsFailed.Load(),
	}
}
