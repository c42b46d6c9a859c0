package rendezvous

import (
	"errors"
	"sync"
	"time"
)

const (
	// ringTime is how long a call waits for its answer.
	ringTime = time.Minute
	// maxCalls bounds the calls of one member.
	maxCalls = 100
)

// calls are the calls of one member: they route what its client sends to the
// other party, and what comes from there to the client.
type calls struct {
	member Member
	client func(Message) // must not block

	mu   sync.Mutex
	open map[string]*openCall
	over bool
}

type openCall struct {
	party    string      // the other member's address, or its name until it answers
	answered bool        // both sides know of each other
	timer    *time.Timer // until the answer, for the caller
}

// start joins the bus under a name.
func start(bus Bus, name string, client func(Message)) *calls {
	c := &calls{client: client, open: make(map[string]*openCall)}
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
		call.answered = true
	case TypeRefuse, TypeBye:
		c.forget(m.Call)
	default:
		c.mu.Unlock()
		return errors.New("unknown type " + m.Type)
	}
	party := call.party
	c.mu.Unlock()
	if c.member.Post(party, m) != nil && m.Type == TypeAnswer {
		c.end(m.Call, Message{Type: TypeBye, Call: m.Call, Reason: "the caller is gone"})
	}
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
	if len(c.open) >= maxCalls {
		c.mu.Unlock()
		c.client(Message{Type: TypeRefuse, Call: m.Call, Code: CodeTooMany, Reason: "too many calls at once"})
		return nil
	}
	c.open[m.Call] = &openCall{party: m.To, timer: time.AfterFunc(ringTime, func() {
		c.member.Post(m.To, Message{Type: TypeBye, Call: m.Call, Reason: "not answered in time"})
		c.end(m.Call, Message{Type: TypeRefuse, Call: m.Call, Code: CodeTimeout, Reason: m.To + " does not answer"})
	})}
	c.mu.Unlock()
	if c.member.Post(m.To, m) != nil {
		c.end(m.Call, Message{Type: TypeRefuse, Call: m.Call, Code: CodeNobody, Reason: m.To + " is not here"})
	}
	return nil
}

// deliver takes what comes from the bus.
func (c *calls) deliver(m Message) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	call := c.open[m.Call]
	switch m.Type {
	case TypeError:
		c.mu.Unlock()
		c.client(m)
		return
	case TypeOffer:
		if call != nil || len(c.open) >= maxCalls {
			c.mu.Unlock()
			c.member.Post(m.Sender, Message{Type: TypeRefuse, Call: m.Call, Code: CodeBusy, Reason: "busy"})
			return
		}
		c.open[m.Call] = &openCall{party: m.Sender}
	case TypeAnswer:
		if call == nil || call.answered || call.timer == nil {
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
	c.mu.Unlock()
	m.Sender = ""
	c.client(m)
}

// end forgets a call and tells the client, unless it is over already.
func (c *calls) end(id string, m Message) {
	c.mu.Lock()
	_, there := c.open[id]
	c.forget(id)
	c.mu.Unlock()
	if there {
		c.client(m)
	}
}

func (c *calls) forget(id string) {
	if call := c.open[id]; call != nil && call.timer != nil {
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
		if call.timer != nil {
			call.timer.Stop()
		}
		c.member.Post(call.party, Message{Type: TypeBye, Call: id, Reason: reason})
	}
	c.member.Leave()
}
