package rendezvous

import (
	"context"
	"errors"
)

// A Call is a call that a client made or got.
type Call struct {
	client *Client
	id     string
	// Peer is the name of the other party, Offer the offer of an incoming call.
	Peer, Offer string

	answer chan Message // to an offer, or what there is instead
	offers chan Offer
	back   chan struct{}
	over   chan struct{} // closed at the end
	reason string        // valid then
	err    error

	// Guarded by client.mu:
	own      bool // this client made it
	answered bool
	number   int // of the own last further offer
	offered  int // the same as long as it waits for its answer, or 0
	heard    int // number of the other party's last further offer
}

// An Offer is a further offer of the other party.
type Offer struct {
	SDP    string
	number int
}

// ErrGaveWay is the end of a further offer that the other party, who made the
// call, has made as well: that one is to be answered.
var ErrGaveWay = errors.New("rendezvous: the other party has made an offer at the same time")

// take takes what the other party or the server sends, and returns whether it
// counts; client.mu is held.
func (call *Call) take(m Message) bool {
	switch m.Type {
	case TypeOffer:
		if m.Again <= call.heard {
			return false
		}
		call.heard = m.Again
		if call.offered > 0 {
			call.offered = 0
			call.tell(m)
			if call.own {
				return false
			}
		}
		call.leaveOut()
		call.offers <- Offer{m.SDP, m.Again}
	case TypeAnswer, TypeRefuse:
		if m.Again != call.offered || call.answered != (m.Again > 0) || m.Type == TypeAnswer && !call.own && !call.answered {
			return false
		}
		call.answered = call.answered || m.Type == TypeAnswer
		call.offered = 0
		call.tell(m)
	}
	return true
}

// tell wakes who waits for an answer.
func (call *Call) tell(m Message) {
	select {
	case call.answer <- m:
	default:
	}
}

// leaveOut forgets the offer of the other party that was not taken; client.mu is
// held.
func (call *Call) leaveOut() {
	select {
	case <-call.offers:
	default:
	}
}

// wait waits for the answer to the offer that was sent.
func (call *Call) wait(ctx context.Context) (string, error) {
	outcome := func(m Message) (string, error) {
		switch m.Type {
		case TypeAnswer:
			return m.SDP, nil
		case TypeOffer:
			return "", ErrGaveWay
		case TypeRefuse:
			return "", &RefusedError{m.Code, m.Reason}
		}
		return "", errAway
	}
	select {
	case m := <-call.answer:
		return outcome(m)
	case <-call.over:
		select {
		case m := <-call.answer: // the refusal that ended it came as well
			if m.Type == TypeRefuse {
				return outcome(m)
			}
		default:
		}
		return "", &RefusedError{CodeNobody, call.reason}
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Answer accepts an incoming call.
func (call *Call) Answer(answer string) error {
	c := call.client
	c.mu.Lock()
	open := c.calls[call.id] == call
	call.answered = true
	c.mu.Unlock()
	if !open {
		return errOver
	}
	return c.write(Message{Type: TypeAnswer, Call: call.id, To: call.Peer, SDP: answer})
}

// Again makes a further offer within a call that was answered, and waits for the
// answer. The error is a *[RefusedError] where there is none, of which only
// that ends the call after which Over is closed; [ErrGaveWay]; or something else
// after which the offer can be made again, as after the end of ctx. One offer can
// be made at a time.
func (call *Call) Again(ctx context.Context, offer string) (answer string, err error) {
	c := call.client
	c.mu.Lock()
	if c.calls[call.id] != call {
		c.mu.Unlock()
		return "", errOver
	}
	if len(call.offers) > 0 && !call.own {
		c.mu.Unlock()
		return "", ErrGaveWay
	}
	call.leaveOut()
	c.mu.Unlock()
	for {
		if answer, err = call.ask(ctx, offer); err != ErrGaveWay || !call.own {
			return answer, err
		}
		// The other party may have answered before it made its offer, over a
		// connection that was lost.
	}
}

// ask makes a further offer.
func (call *Call) ask(ctx context.Context, offer string) (answer string, err error) {
	c := call.client
	c.mu.Lock()
	select {
	case <-call.answer: // of an offer that was given up
	default:
	}
	call.number++
	call.offered = call.number
	m := Message{Type: TypeOffer, Call: call.id, To: call.Peer, SDP: offer, Again: call.number}
	c.mu.Unlock()
	if err = c.write(m); err == nil {
		answer, err = call.wait(ctx)
	}
	c.mu.Lock()
	call.offered = 0
	c.mu.Unlock()
	return answer, err
}

// Offers delivers the further offers of the other party, each to be answered
// with AnswerAgain. Of several that nobody took the last one stands.
func (call *Call) Offers() <-chan Offer { return call.offers }

// AnswerAgain answers a further offer.
func (call *Call) AnswerAgain(offer Offer, answer string) error {
	return call.client.write(Message{Type: TypeAnswer, Call: call.id, To: call.Peer, SDP: answer, Again: offer.number})
}

// RefuseAgain refuses a further offer. The call goes on, and the other party may
// offer again, if code is 404, 408, 429 or 503.
func (call *Call) RefuseAgain(offer Offer, code int, reason string) error {
	m := Message{Type: TypeRefuse, Call: call.id, To: call.Peer, Again: offer.number, Code: code, Reason: reason}
	if m.ends() {
		return call.finish(m)
	}
	return call.client.write(m)
}

// Back tells that the client was lost and has registered again: Again is to be
// called, until there is an answer, or the call ends for the other party.
func (call *Call) Back() <-chan struct{} { return call.back }

// Refuse declines an incoming call.
func (call *Call) Refuse(code int, reason string) error {
	return call.finish(Message{Type: TypeRefuse, Call: call.id, To: call.Peer, Code: code, Reason: reason})
}

// Bye ends a call. The other party is told once the client is back, where that is
// lost.
func (call *Call) Bye(reason string) error { return call.finish(call.bye(reason)) }

func (call *Call) bye(reason string) Message {
	return Message{Type: TypeBye, Call: call.id, To: call.Peer, Reason: reason}
}

func (call *Call) finish(m Message) error {
	c := call.client
	c.mu.Lock()
	if c.calls[call.id] != call {
		c.mu.Unlock()
		return nil
	}
	delete(c.calls, call.id)
	c.mu.Unlock()
	call.end(m.Reason, nil)
	return c.tell(m)
}

func (call *Call) end(reason string, err error) {
	call.reason, call.err = reason, err
	close(call.over)
}

// Over is closed when the call has ended, by either side; Reason says why.
func (call *Call) Over() <-chan struct{} { return call.over }

// Reason returns why the call ended; it is valid once Over is closed.
func (call *Call) Reason() string { return call.reason }

// Err returns nil where a party has ended the call, and why it ended where none
// has; it is valid once Over is closed.
func (call *Call) Err() error { return call.err }
