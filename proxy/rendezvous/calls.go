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
	// awayTime is how long the parties of those who resume are not told that they
	// are gone.
	awayTime = 2 * time.Minute
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
	// resumes is set where the client comes back after its connection was lost.
	resumes bool

	mu   sync.Mutex
	open map[string]*openCall
	over bool
}

type openCall struct {
	own      bool        // this member made it
	peer     string      // the other member's name
	party    string      // its address, or its name until it answers
	answered bool        // both sides know of each other
	timer    *time.Timer // until the answer, nil for a call that goes on
}

func (call *openCall) stop() {
	if call.timer != nil {
		call.timer.Stop()
	}
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
	m.Name, m.Username, m.Password, m.Resumes = "", "", "", false
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
		if call.own && !call.answered {
			c.mu.Unlock()
			return errors.New("the call " + m.Call + " is for the other party to answer")
		}
		call.stop()
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
	call, again := c.open[m.Call], m.Again > 0
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
		c.line.send(Message{Type: TypeRefuse, Call: m.Call, Code: CodeTooMany, Reason: problem})
		return nil
	}
	switch {
	case call != nil:
	case again:
		c.open[m.Call] = &openCall{own: true, peer: m.To, party: m.To, answered: true}
	default:
		c.enter(m.Call, &openCall{own: true, peer: m.To, party: m.To})
	}
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
		case m.Again > 0 && call != nil && call.peer != m.From:
			code, problem = CodeNoCall, "no such call"
		case m.Again > 0 && (call == nil && c.count(isIncoming) >= maxCalls || c.line.crowded()):
			code, problem = CodeTooMany, c.name+" has too many calls"
		case m.Again > 0:
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
		switch {
		case m.Again == 0:
			c.enter(m.Call, &openCall{peer: m.From, party: m.Sender})
		case call == nil:
			c.open[m.Call] = &openCall{peer: m.From, party: m.Sender, answered: true}
		default:
			call.stop()
			call.answered, call.party = true, m.Sender
		}
	case TypeAnswer:
		if call == nil || !call.own && !call.answered || call.answered && (m.Again == 0 || call.peer != m.From) {
			c.mu.Unlock()
			return
		}
		call.stop()
		call.answered = true
		call.party = m.Sender
	case TypeRefuse, TypeBye:
		// An offer in a call goes to a name, whose address may have changed since; a
		// bye may be a late one, from an address that the party has left.
		strange := call != nil && call.answered && call.party != m.Sender
		if m.Type == TypeRefuse && call != nil && call.answered {
			strange = call.peer != m.From
		}
		if call == nil || strange {
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
	nobody := errors.Is(m.Lost, ErrNobody)
	switch {
	case call == nil, m.Again == 0 && call.own && call.answered, m.Again > 0 && m.Type == TypeAnswer:
		c.mu.Unlock()
		return // it is over, has arrived after all, or will be offered again
	case m.Again > 0:
		refuse := Message{Type: TypeRefuse, Call: m.Call, Code: CodeUnavailable, Reason: call.peer + " cannot be reached at the moment"}
		if nobody {
			refuse.Code, refuse.Reason = CodeNobody, call.peer+" is not here"
		}
		c.line.send(refuse)
		c.mu.Unlock()
		return
	}
	c.forget(m.Call)
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
		call.stop()
	}
	delete(c.open, id)
}

// leave ends it all. lost tells that the client has not, and may come back.
func (c *calls) leave(lost bool) {
	if reason := c.name + " is gone"; lost && c.resumes {
		c.away(reason)
	} else {
		c.stop(reason)
	}
}

// stop leaves the bus and tells the other parties why.
func (c *calls) stop(reason string) {
	for id, call := range c.end() {
		c.bye(id, call, reason)
	}
	c.member.Leave()
}

// away leaves the bus because the client was lost. Parties that have answered, or
// were, are told so only later: those to whom the client comes back know it under
// another address then, and do not listen any more.
func (c *calls) away(reason string) {
	open := c.end()
	for id, call := range open {
		if !call.answered {
			c.bye(id, call, reason)
			delete(open, id)
		}
	}
	c.member.Leave()
	if len(open) > 0 {
		time.AfterFunc(awayTime, func() {
			for id, call := range open {
				c.bye(id, call, reason)
			}
		})
	}
}

// end returns the calls there were. Nothing more is delivered.
func (c *calls) end() map[string]*openCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	open := c.open
	c.open = map[string]*openCall{}
	for _, call := range open {
		call.stop()
	}
	return open
}

func (c *calls) bye(id string, call *openCall, reason string) {
	c.member.Post(call.party, Message{Type: TypeBye, Call: id, Reason: reason})
}
