package peer

import (
	"context"
	"errors"
	"sync"

	"github.com/webmsrp/webmsrp/proxy/rendezvous"
	"github.com/webmsrp/webmsrp/proxy/sip"
)

// meet takes and makes calls by SIP.
func (p *Peer) meet() error {
	c := &p.config
	password := c.SIPPassword
	if password == "" {
		password = c.Password
	}
	agent, err := sip.Start(p.ctx, sip.Options{
		URI: c.SIP, Username: c.SIPUser, Password: password, Register: c.Register, Roots: c.Roots,
	})
	if err != nil {
		return err
	}
	if c.Register {
		p.emit(Event{Event: EventRegistered, Peer: agent.URI()})
	}
	p.wg.Go(func() {
		defer agent.Close()
		for {
			select {
			case incoming := <-agent.Incoming():
				p.wg.Go(func() { p.answer(newBySIP(incoming), incoming.Peer, incoming.Offer, agent.URI()) })
			case <-agent.Done():
				if p.ctx.Err() == nil {
					p.end(agent.Err())
				}
				return
			case <-p.ctx.Done():
				return
			}
		}
	})
	if c.Call != "" {
		p.wg.Go(func() {
			p.end(p.call(func(offer string) (remote, string, error) {
				call, answer, err := agent.Call(p.ctx, c.Call, offer)
				if err != nil {
					return nil, "", err
				}
				return newBySIP(call), answer, nil
			}))
		})
	}
	return nil
}

// bySIP is a call by SIP as a conversation knows it.
type bySIP struct {
	*sip.Call
	offers chan rendezvous.Offer

	mu      sync.Mutex
	offered *sip.Offer // waits for its answer
}

func newBySIP(call *sip.Call) *bySIP {
	b := &bySIP{Call: call, offers: make(chan rendezvous.Offer)}
	go func() {
		for {
			select {
			case offer := <-call.Offers():
				b.mu.Lock()
				b.offered = offer
				b.mu.Unlock()
				select {
				case b.offers <- rendezvous.Offer{SDP: offer.SDP}:
				case <-call.Over():
					return
				}
			case <-call.Over():
				return
			}
		}
	}()
	return b
}

// Offers implements [remote]. There is one at a time.
func (b *bySIP) Offers() <-chan rendezvous.Offer { return b.offers }

// AnswerAgain implements [remote].
func (b *bySIP) AnswerAgain(_ rendezvous.Offer, answer string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.offered.Answer(answer)
}

// RefuseAgain implements [remote]. Whatever the reason, things stay as they were
// (RFC 3261, section 14.2).
func (b *bySIP) RefuseAgain(_ rendezvous.Offer, _ int, reason string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.offered.Refuse(sip.CodeUnacceptable, reason)
}

// Again implements [remote].
func (b *bySIP) Again(ctx context.Context, offer string) (string, error) {
	answer, err := b.Reoffer(ctx, offer)
	var refused *sip.RefusedError
	if errors.As(err, &refused) && refused.Code == sip.CodePending && !b.Made() {
		return "", rendezvous.ErrGaveWay // the caller's comes first
	}
	return answer, err
}

// Renew moves the newest call to another place, which the other side is offered.
func (p *Peer) Renew() error {
	p.mu.Lock()
	s := p.newest
	p.mu.Unlock()
	if s == nil || s.renew == nil {
		return errors.New("there is no call that could be moved")
	}
	s.renew()
	return nil
}
