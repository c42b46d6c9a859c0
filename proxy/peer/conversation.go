package peer

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
)

const (
	// answerTime is how long a further offer waits for its answer, and what came of
	// it for the session to connect.
	answerTime = 10 * time.Second
	// backoff is the time between two further offers that failed, twice as long
	// each time until longestBackoff.
	backoff        = 250 * time.Millisecond
	longestBackoff = 8 * time.Second
)

// A remote is the other side of a call, as the signalling has it: a
// *[rendezvous.Call], or a call by SIP.
type remote interface {
	Answer(answer string) error
	Refuse(code int, reason string) error
	Bye(reason string) error
	Over() <-chan struct{}
	Err() error

	Again(ctx context.Context, offer string) (answer string, err error)
	Offers() <-chan rendezvous.Offer
	AnswerAgain(offer rendezvous.Offer, answer string) error
	RefuseAgain(offer rendezvous.Offer, code int, reason string) error
	Back() <-chan struct{}
}

// A conversation is a call that outlives its MSRP session and the connection to
// the rendezvous.
type conversation struct {
	*session
	call   *call.Call
	remote remote
	told   *states
	moves  chan struct{} // asks for another place

	moving   bool             // another place is to be offered
	owed     bool             // an offer, because the rendezvous was lost
	failures int              // one after the other
	again    <-chan time.Time // when to make a further offer, or nil
	agreed   bool             // that is if nobody connects, as was agreed on
	grace    <-chan time.Time // the end, or nil as long as there is a session
}

// converse holds a conversation until it ends, on either side, and returns the
// event that tells so.
func (p *Peer) converse(c *call.Call, r remote, with string, told *states) Event {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	v := &conversation{session: p.begin(with, true), call: c, remote: r, told: told, moves: make(chan struct{}, 1)}
	v.quit, v.renew = cancel, func() {
		select {
		case v.moves <- struct{}{}:
		default: // it is asked for already
		}
	}
	v.add(c.Session())
	err := v.keep(ctx)
	c.Close()
	return v.end(err)
}

// keep keeps the conversation going, and returns why it ended, nil where that was
// on purpose.
func (v *conversation) keep(ctx context.Context) error {
	for {
		if over, err := v.look(); over {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-v.remote.Over():
			return v.remote.Err()
		case <-v.told.changed:
		case <-v.remote.Back():
			v.owed, v.failures = true, 0
			v.again = time.After(0)
		case <-v.moves:
			v.moving, v.failures = true, 0
			v.offer(ctx)
		case offer := <-v.remote.Offers():
			v.answer(ctx, offer)
		case <-v.again:
			v.offer(ctx)
		case <-v.grace:
			reason := v.with + " was lost and has not come back"
			v.remote.Bye(reason)
			return errors.New(reason)
		}
	}
}

// look looks at the state of the MSRP session.
func (v *conversation) look() (over bool, err error) {
	state, err := msrp.StateClosed, msrp.ErrConnLost
	if s := v.call.Session(); s != nil {
		state, err = s.State(), s.Err()
	}
	switch {
	case errors.Is(err, msrp.ErrSessionClosed):
		return true, nil
	case state == msrp.StateConnected:
		v.grace, v.failures, v.agreed = nil, 0, false
		if v.lost.Swap(false) {
			v.peer.emit(Event{Event: EventResumed, Session: v.number, Peer: v.with})
		}
		if !v.owed && !v.moving {
			v.again = nil
		}
	case state == msrp.StateClosed && !v.told.connected.Load():
		return v.told.failed.Load(), err // or it is about to be told
	case state == msrp.StateClosed && !v.lost.Swap(true):
		v.again = time.After(0)
		v.wait()
		v.peer.emit(Event{Event: EventLost, Session: v.number, Peer: v.with, Error: err.Error()})
	case state == msrp.StateClosed && v.agreed:
		v.later()
	}
	return false, nil
}

// wait gives the conversation its time to go on.
func (v *conversation) wait() {
	if v.grace == nil {
		v.grace = time.After(v.peer.config.Grace)
	}
}

// later lets a further offer follow, after a while.
func (v *conversation) later() {
	wait := min(backoff<<min(v.failures, 10), longestBackoff)
	v.failures++
	v.agreed, v.again = false, time.After(wait/2+rand.N(wait))
}

// offer makes a further offer: with another place, where there is no session.
func (v *conversation) offer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	makeOffer := v.call.Offer
	if s := v.call.Session(); v.moving || s != nil && s.State() == msrp.StateConnecting {
		makeOffer = v.call.Renew // or nobody has connected
	}
	err := func() error {
		offer, err := makeOffer(ctx)
		if err != nil {
			return err
		}
		answer, err := v.remote.Again(ctx, offer)
		if err == nil {
			err = v.call.Accept(ctx, answer)
		}
		if err != nil {
			v.call.Rollback()
		}
		return err
	}()
	switch {
	case err == nil:
		v.settled()
	case errors.Is(err, rendezvous.ErrGaveWay):
		v.again = time.After(answerTime) // it comes before that
	default:
		v.later()
	}
}

// answer answers a further offer of the other party.
func (v *conversation) answer(ctx context.Context, offer rendezvous.Offer) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer, err := v.call.Answer(ctx, offer.SDP)
	if err != nil {
		v.remote.RefuseAgain(offer, rendezvous.CodeUnavailable, err.Error()) // until the grace is over
		return
	}
	v.remote.AnswerAgain(offer, answer) // or it is offered again
	v.settled()
}

// settled takes the outcome of an exchange.
func (v *conversation) settled() {
	v.moving, v.owed, v.agreed, v.again = false, false, true, time.After(answerTime)
	if s := v.call.Session(); s != nil && v.add(s) && !v.lost.Load() {
		v.peer.emit(Event{Event: EventMoved, Session: v.number, Peer: v.with})
	}
	v.wait() // unless look finds that it is connected
}
