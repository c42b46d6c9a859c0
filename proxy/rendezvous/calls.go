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
	line   *line // to the client

	mu   sync.Mutex
	open map[string]*openCall
	over bool
}

type openCall struct {
	own      bool        // this member made it
	peer     string      // the other member's name
	party    string      // its address, or its name until it answers
	answered bool        // both sides know of each other
	timer    *time.Timer // until the answer
}

// start joins the bus under a name.
func start(bus Bus, name string, l *line) *calls {
	c := &calls{bus: bus, name: name, line: l, open: make(map[string]*openCall)}
	c.mu.Lock() // nothing is delivered before member is set
	defer c.mu.Unlock()
	c.member = bus.Join(name, c.deliver)
	return c
}

// send passes on what the client sends. The error ends the client's
// connection.
func (c *calls) send(m Message) error {
	m.Name, m.Username, m.Password = "", "", ""
	if m.Call == "" || len(m.Call) > 64 {
		return errors.New("a message needs a call of 1 to 64 characters")
	}
	if m.Type == TypeOffer {
		return c.offer(m)
	}
	c.mu.Lock()
	call := c.open[m.Call]
	if call == nil {
		c.mu.Unlock()
		return nil // the other side was faster to end it
	}
	switch m.Type {
	case TypeAnswer:
		if call.own {
			c.mu.Unlock()
			return errors.New("the call " + m.Call + " is for the other party to answer")
		}
		call.timer.Stop()
		call.answered = true
	case TypeRefuse, TypeBye:
		c.forget(m.Call)
	default:
		c.mu.Unlock()
		return errors.New("unknown type " + m.Type)
	}
	party := call.party
	c.mu.Unlock()
	c.member.Post(party, m)
	return nil
}

// offer starts a call.
func (c *calls) offer(m Message) error {
	if m.To == "" || m.SDP == "" {
		return errors.New("an offer needs to and sdp")
	}
	c.mu.Lock()
	if c.open[m.Call] != nil {
		c.mu.Unlock()
		return errors.New("the call " + m.Call + " is under way")
	}
	problem := ""
	switch {
	case c.count(isOwn) >= maxCalls:
		problem = "too many calls at once"
	case c.count(isOwn, isUnanswered) >= maxUnanswered:
		problem = "too many calls that wait for an answer"
	case !c.bus.MayOffer(c.name):
		problem = "too many calls in a short time, try again in a minute"
	}
	if problem != "" {
		c.mu.Unlock()
		c.line.send(Message{Type: TypeRefuse, Call: m.Call, Code: CodeTooMany, Reason: problem})
		return nil
	}
	c.enter(m.Call, &openCall{own: true, peer: m.To, party: m.To})
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
	switch m.Type {
	case TypeError:
		c.mu.Unlock()
		c.line.send(m)
		return
	case TypeOffer:
		from := func(call *openCall) bool { return call.peer == m.From }
		code, problem := 0, ""
		switch {
		case call != nil, c.count(isIncoming) >= maxCalls, c.line.crowded():
			code, problem = CodeBusy, "busy"
		case c.count(isIncoming, isUnanswered, from) >= maxUnansweredFrom:
			code, problem = CodeTooMany, "too many calls to "+c.name+" that wait for an answer"
		}
		if code != 0 {
			c.mu.Unlock()
			c.member.Post(m.Sender, Message{Type: TypeRefuse, Call: m.Call, Code: code, Reason: problem})
			return
		}
		c.enter(m.Call, &openCall{peer: m.From, party: m.Sender})
	case TypeAnswer:
		if call == nil || call.answered || !call.own {
			c.mu.Unlock()
			return
		}
		call.timer.Stop()
		call.answered = true
		call.party = m.Sender
	case TypeRefuse, TypeBye:
		if call == nil || call.answered && call.party != m.Sender {
			c.mu.Unlock()
			return
		}
		c.forget(m.Call)
	}
	m.Sender = ""
	c.line.send(m) // before anything else that changes the call
	c.mu.Unlock()
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
	call.timer = time.AfterFunc(ringTime, func() { c.expire(id, call) })
	c.open[id] = call
}

// expire ends a call that was not answered. Both sides do, so that one lasts no
// longer where the other is lost.
func (c *calls) expire(id string, call *openCall) {
	c.mu.Lock()
	if c.open[id] != call || call.answered {
		c.mu.Unlock()
		return
	}
	delete(c.open, id)
	c.mu.Unlock()
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
// certain, the other party is told as well.
func (c *calls) lost(m Message) {
	c.mu.Lock()
	call := c.open[m.Call]
	if call == nil || call.own && call.answered {
		c.mu.Unlock()
		return // it is over, or has arrived after all
	}
	c.forget(m.Call)
	nobody := errors.Is(m.Lost, ErrNobody)
	var end Message
	switch {
	case call.own && nobody:
		end = Message{Type: TypeRefuse, Code: CodeNobody, Reason: call.peer + " is not here"}
	case call.own:
		end = Message{Type: TypeRefuse, Code: CodeUnavailable, Reason: call.peer + " cannot be reached at the moment"}
	case nobody:
		end = Message{Type: TypeBye, Reason: "the caller is gone"}
	default:
		end = Message{Type: TypeBye, Reason: "the caller cannot be reached at the moment"}
	}
	end.Call = m.Call
	c.line.send(end)
	c.mu.Unlock()
	if !nobody {
		c.member.Post(call.party, Message{Type: TypeBye, Call: m.Call, Reason: c.name + " cannot be reached at the moment"})
	}
}

func (c *calls) forget(id string) {
	if call := c.open[id]; call != nil {
		call.timer.Stop()
	}
	delete(c.open, id)
}

// stop leaves the bus and tells the other parties why.
func (c *calls) stop(reason string) {
	c.mu.Lock()
	c.over = true
	open := c.open
	c.open = map[string]*openCall{}
	c.mu.Unlock()
	for id, call := range open {
		call.timer.Stop()
		c.member.Post(call.party, Message{Type: TypeBye, Call: id, Reason: reason})
	}
	c.member.Leave()
}
