package rendezvous

import (
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// ringTime is how long a call waits for its answer.
	ringTime = time.Minute
	// Grace is how long a call goes on, as a rule, whose party was lost.
	Grace = 2 * time.Minute
	// maxCalls bounds the calls that a member has made, and those it was made.
	maxCalls = 100
	// maxUnanswered bounds the calls of a member that wait for their answer,
	// maxUnansweredFrom those at a member that one caller made.
	maxUnanswered     = 10
	maxUnansweredFrom = 2
)

// calls are the calls of one member: they route what its client sends to the
// other party, and what comes from there to the client.
type calls struct {
	bus    Bus
	member Member
	name   string
	line   *line         // to the client
	grace  time.Duration // for the other parties
	// resumes is set where the client comes back after its connection was lost, and
	// takes further offers.
	resumes bool

	mu   sync.Mutex
	open map[string]*openCall
	over bool
}

type openCall struct {
	own      bool        // this member made it
	peer     string      // the other member's name
	party    string      // its address, or its name until it is heard
	answered bool        // both sides know of each other
	offered  int         // number of the own further offer that waits, or 0
	heard    int         // number of the party's last further offer
	timer    *time.Timer // until the answer, or for a party that was lost; or nil
}

// claimed tells that the other party says there is this call, and the client has
// not said so yet.
func (call *openCall) claimed() bool { return !call.answered && call.timer == nil }

// stop ends all waiting; c.mu is held.
func (call *openCall) stop() {
	if call.timer != nil {
		call.timer.Stop()
		call.timer = nil
	}
}

// start joins the bus under a name. configure may set what is not of it.
func start(bus Bus, name string, l *line, configure ...func(*calls)) *calls {
	c := &calls{bus: bus, name: name, line: l, grace: Grace, open: make(map[string]*openCall)}
	for _, f := range configure {
		f(c)
	}
	c.mu.Lock() // nothing is delivered before member is set
	defer c.mu.Unlock()
	c.member = bus.Join(name, c.deliver)
	return c
}

// send passes on what the client sends. The error ends the client's
// connection.
func (c *calls) send(m Message) error {
	m.Name, m.Username, m.Password, m.Resumes = "", "", "", false
	if m.Call == "" || len(m.Call) > 64 || m.Again < 0 {
		return errors.New("a message needs a call of 1 to 64 characters, and again is positive")
	}
	if m.Type == TypeOffer {
		return c.offer(m)
	}
	c.mu.Lock()
	call := c.open[m.Call]
	if call == nil || m.To != "" && m.To != call.peer {
		c.mu.Unlock()
		if call == nil && m.Type == TypeBye && m.To != "" && c.bus.MayOffer(c.name) {
			c.member.Post(m.To, m) // of a call from before the client was lost
		}
		return nil // else the other side was faster to end it
	}
	switch m.Type {
	case TypeAnswer:
		if call.own && !call.answered {
			c.mu.Unlock()
			return errors.New("the call " + m.Call + " is for the other party to answer")
		}
		if !call.answered {
			call.stop()
		}
		call.answered = true
	case TypeRefuse, TypeBye:
		if m.ends() {
			c.forget(m.Call)
		}
	default:
		c.mu.Unlock()
		return errors.New("unknown type " + m.Type)
	}
	party := call.party
	c.mu.Unlock()
	c.member.Post(party, m)
	return nil
}

// offer starts a call, or goes on with one.
func (c *calls) offer(m Message) error {
	if m.To == "" || m.SDP == "" {
		return errors.New("an offer needs to and sdp")
	}
	c.mu.Lock()
	call, again := c.open[m.Call], m.Again > 0
	if call != nil && again && call.claimed() {
		call = nil // the client knows better
	}
	if call != nil && (!again || !call.answered || call.peer != m.To) {
		c.mu.Unlock()
		return errors.New("the call " + m.Call + " is under way")
	}
	problem := ""
	switch {
	case call == nil && c.count(isOwn) >= maxCalls:
		problem = "too many calls at once"
	case !again && c.count(isOwn, isUnanswered) >= maxUnanswered:
		problem = "too many calls that wait for an answer"
	case !c.bus.MayOffer(c.name):
		problem = "too many calls in a short time, try again in a minute"
	}
	if problem != "" {
		c.mu.Unlock()
		c.line.send(refusalOf(m, CodeTooMany, problem))
		return nil
	}
	switch {
	case call != nil:
	case again:
		call = &openCall{own: true, peer: m.To, party: m.To, answered: true}
		c.open[m.Call] = call
	default:
		call = &openCall{own: true, peer: m.To, party: m.To}
		c.enter(m.Call, call)
	}
	call.offered = m.Again
	c.mu.Unlock()
	c.member.Post(m.To, m)
	return nil
}

// deliver takes what comes from the bus.
func (c *calls) deliver(m Message) {
	if m.Lost != nil {
		c.lost(m)
		return
	}
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	call := c.open[m.Call]
	switch {
	case m.Type == TypeError:
		c.mu.Unlock()
		c.line.send(m)
		return
	case m.Type == TypeOffer && m.Again > 0 && call != nil && m.Again <= call.heard && call.peer == m.From:
		c.mu.Unlock()
		return // overtaken by a later one
	case m.Type == TypeOffer:
		if code, problem := c.take(m, call); code != 0 {
			c.mu.Unlock()
			c.member.Post(m.Sender, refusalOf(m, code, problem))
			return
		}
	case call == nil || call.peer != m.From || !call.take(m):
		c.mu.Unlock()
		return
	case m.Type == typeLost:
		c.await(m.Call, call)
		c.mu.Unlock()
		return
	case m.ends():
		c.forget(m.Call)
	}
	m.Sender = ""
	c.line.send(m) // before anything else that changes the call
	c.mu.Unlock()
}

// take takes an offer, or returns why not; call is the one it names, if there is
// one; c.mu is held.
func (c *calls) take(m Message, call *openCall) (code int, problem string) {
	from := func(call *openCall) bool { return call.peer == m.From }
	switch known := call != nil && !call.claimed(); {
	case m.Again == 0 && (call != nil || c.count(isIncoming) >= maxCalls || c.line.crowded()):
		return CodeBusy, "busy"
	case m.Again == 0 && c.count(isIncoming, isUnanswered, from) >= maxUnansweredFrom:
		return CodeTooMany, "too many calls to " + c.name + " that wait for an answer"
	case m.Again == 0:
		c.enter(m.Call, &openCall{peer: m.From, party: m.Sender})
	case !c.resumes, known && (call.peer != m.From || !call.answered):
		return CodeNoCall, "no such call"
	case call == nil && c.count(isIncoming) >= maxCalls, c.line.crowded():
		return CodeTooMany, c.name + " has too many calls"
	case known:
		call.stop()
		call.party, call.heard = m.Sender, m.Again
	default:
		c.open[m.Call] = &openCall{peer: m.From, party: m.Sender, heard: m.Again}
	}
	return 0, ""
}

// take takes what the other party sends except offers, and returns whether it
// counts. What was sent before the party came back, or of an offer that has been
// replaced, does not.
func (call *openCall) take(m Message) bool {
	switch m.Type {
	case TypeAnswer:
		if m.Again == 0 && (call.answered || !call.own) || m.Again != call.offered {
			return false
		}
		call.stop()
		call.answered, call.offered, call.party = true, 0, m.Sender
	case TypeRefuse:
		if m.Again == 0 && call.answered || m.Again != call.offered {
			return false
		}
		call.offered = 0
	case typeLost:
		return call.answered && call.party == m.Sender
	}
	return true
}

// refusalOf returns the server's refusal of an offer.
func refusalOf(offer Message, code int, reason string) Message {
	return Message{Type: TypeRefuse, Call: offer.Call, Again: offer.Again, Code: code, Reason: reason}
}

// ends tells whether a message ends the call.
func (m *Message) ends() bool {
	if m.Type == TypeRefuse && m.Again > 0 {
		return !slices.Contains([]int{CodeNobody, CodeTimeout, CodeTooMany, CodeUnavailable}, m.Code)
	}
	return m.Type == TypeRefuse || m.Type == TypeBye
}

func isOwn(call *openCall) bool        { return call.own }
func isIncoming(call *openCall) bool   { return !call.own }
func isUnanswered(call *openCall) bool { return !call.answered }

// count returns how many calls are all of that; c.mu is held.
func (c *calls) count(are ...func(*openCall) bool) int {
	n := 0
	for _, call := range c.open {
		if !slices.ContainsFunc(are, func(is func(*openCall) bool) bool { return !is(call) }) {
			n++
		}
	}
	return n
}

// enter begins a call, which waits for its answer; c.mu is held.
func (c *calls) enter(id string, call *openCall) {
	c.open[id] = call
	c.after(id, call, ringTime, c.expire)
}

// await lets a call wait for its party, which was lost; c.mu is held.
func (c *calls) await(id string, call *openCall) {
	call.stop()
	c.after(id, call, c.grace, func(id string, call *openCall) {
		reason := call.peer + " was lost and has not come back"
		c.line.send(Message{Type: TypeBye, Call: id, From: call.peer, Code: CodeTimeout, Reason: reason})
	})
}

// after ends a call after that time, unless it is stopped, and calls end; c.mu is
// held.
func (c *calls) after(id string, call *openCall, d time.Duration, end func(string, *openCall)) {
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		c.mu.Lock()
		if c.open[id] != call || call.timer != timer {
			c.mu.Unlock()
			return
		}
		delete(c.open, id)
		c.mu.Unlock()
		end(id, call)
	})
	call.timer = timer
}

// expire tells of a call that was not answered. Both sides do, so that one lasts
// no longer where the other is lost.
func (c *calls) expire(id string, call *openCall) {
	bye := Message{Type: TypeBye, Call: id, Reason: "not answered in time"}
	refuse := Message{Type: TypeRefuse, Call: id, Code: CodeTimeout}
	if call.own {
		refuse.Reason = call.peer + " does not answer"
		c.member.Post(call.party, bye)
		c.line.send(refuse)
	} else {
		refuse.Reason = c.name + " does not answer"
		c.member.Post(call.party, refuse)
		c.line.send(bye)
	}
}

// lost ends a call whose offer or answer reached no one. Where that is not
// certain, the other party is told as well. A call that was answered before does
// not end.
func (c *calls) lost(m Message) {
	c.mu.Lock()
	call := c.open[m.Call]
	nobody := errors.Is(m.Lost, ErrNobody)
	code, problem := CodeUnavailable, " cannot be reached at the moment"
	if nobody {
		code, problem = CodeNobody, " is not here"
	}
	switch {
	case call == nil, m.Again == 0 && call.own && call.answered, m.Again > 0 && m.Again != call.offered:
		c.mu.Unlock()
		return // it is over, has arrived after all, or will be offered again
	case m.Again > 0:
		c.line.send(refusalOf(m, code, call.peer+problem))
		c.mu.Unlock()
		return
	}
	c.forget(m.Call)
	end := Message{Type: TypeBye, Call: m.Call, Reason: "the caller" + problem}
	switch {
	case call.own:
		end = refusalOf(m, code, call.peer+problem)
	case nobody:
		end.Reason = "the caller is gone"
	}
	c.line.send(end)
	c.mu.Unlock()
	if !nobody {
		c.member.Post(call.party, Message{Type: TypeBye, Call: m.Call, Reason: c.name + " cannot be reached at the moment"})
	}
}

// forget ends a call; c.mu is held.
func (c *calls) forget(id string) {
	if call := c.open[id]; call != nil {
		call.stop()
	}
	delete(c.open, id)
}

// leave leaves the bus and tells the other parties. lost tells that the client
// has not, and may come back to the calls that were answered.
func (c *calls) leave(lost bool) {
	c.mu.Lock()
	c.over = true
	open := c.open
	c.open = map[string]*openCall{}
	claimed := map[string]bool{}
	for id, call := range open {
		claimed[id] = call.claimed()
		call.stop()
	}
	c.mu.Unlock()
	for id, call := range open {
		m := Message{Type: TypeBye, Call: id, Reason: c.name + " is gone"}
		if back := lost && c.resumes; back && claimed[id] {
			continue // whoever was not answered offers again
		} else if back && call.answered {
			m = Message{Type: typeLost, Call: id}
		}
		c.member.Post(call.party, m)
	}
	c.member.Leave()
}
