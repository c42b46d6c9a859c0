//go:build js && wasm

package main

import (
	"context"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
)

// maxTraced is how many octets of a body the page is shown.
const maxTraced = 1024

// A places hands out the places of one session, and notes whose they are.
type places struct {
	*call.RelayHost
	session *session
}

// Place implements [call.Host].
func (p places) Place(ctx context.Context, secure bool) (*call.Place, error) {
	place, err := p.RelayHost.Place(ctx, secure)
	if err == nil {
		s := p.session.service
		s.mu.Lock()
		s.owners[place.URI.SessionID()] = p.session
		s.mu.Unlock()
	}
	return place, err
}

// disown forgets the places of a session that is over.
func (s *service) disown(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, owner := range s.owners {
		if owner == x {
			delete(s.owners, id)
		}
	}
}

// trace shows the page what passes of a session from now on.
func (s *service) trace(x *session) {
	s.mu.Lock()
	x.traced = true
	s.mu.Unlock()
	x.client.endpoint.SetTrace(func(e msrp.TraceEvent) {
		own := e.Unit.To
		if e.Outgoing {
			own = e.Unit.From
		}
		s.mu.Lock()
		owner := s.owners[own.First().SessionID()]
		wanted := owner != nil && owner.traced
		s.mu.Unlock()
		if wanted {
			body := e.Body[:min(len(e.Body), maxTraced)]
			s.postOctets(object{"event": "trace", "session": owner.number, "outgoing": e.Outgoing, "size": e.Size}, "data", e.Unit.Append(nil, body))
		}
	})
}
