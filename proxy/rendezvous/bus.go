// Package rendezvous brings people together who have no SIP: names register
// over a WebSocket and exchange offers and answers of SDP as JSON.
//
// The protocol is symmetrical. A client registers a name; then either side of
// the WebSocket sends offer, answer, refuse and bye, which the server passes to
// the other party of the call, see [Message].
package rendezvous

import (
	"errors"
	"slices"
	"sync"

	"github.com/webmsrp/webmsrp/msrp"
)

// Types of a [Message].
const (
	TypeRegister   = "register"   // client: Name, Username, Password
	TypeRegistered = "registered" // server: Name is the client's now
	TypeOffer      = "offer"      // Call (new), To or From, SDP
	TypeAnswer     = "answer"     // Call, SDP
	TypeRefuse     = "refuse"     // Call, Code, Reason: instead of an answer
	TypeBye        = "bye"        // Call, Reason: the call is over
	TypeError      = "error"      // server: Code, Reason; the WebSocket ends
)

// Codes of refuse and error, those of SIP.
const (
	CodeUnauthorized = 401 // register: wrong username or password
	CodeForbidden    = 403 // register: not your name
	CodeNobody       = 404 // nobody has registered the name
	CodeTimeout      = 408 // no answer within a minute
	CodeReplaced     = 409 // error: the name was registered elsewhere
	CodeTooMany      = 429 // too many calls at once or in a short time
	CodeBusy         = 486
	CodeUnacceptable = 488 // the offer cannot be accepted
	CodeDeclined     = 603 // the person does not want to
)

// A Message is what both sides send, as one text message of JSON.
type Message struct {
	Type string `json:"type"`
	// Call names a call. The caller chooses it at random; both sides and the
	// server use it for all that follows.
	Call   string `json:"call,omitempty"`
	To     string `json:"to,omitempty"`   // a name
	From   string `json:"from,omitempty"` // a name, filled in by the server
	SDP    string `json:"sdp,omitempty"`
	Code   int    `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`

	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`

	// Sender is the address to answer to, between members of a [Bus].
	Sender string `json:"-"`
}

// ErrNobody is the error of a message to a name or member that is not there.
var ErrNobody = errors.New("rendezvous: nobody of that name is here")

// A Bus passes messages between members, wherever they are. Its methods are
// safe for concurrent use.
type Bus interface {
	// Join enters a member under a name. deliver gets its messages, in order
	// from each sender; it must not block. Several members may share a name:
	// the newest gets what is sent to the name, and the others get an error
	// message with [CodeReplaced].
	Join(name string, deliver func(Message)) Member
}

// A Member is one party on a bus.
type Member interface {
	// Post sends a message to a name, or to the Sender of an earlier message.
	// The error is ErrNobody where it certainly reaches no one.
	Post(to string, m Message) error
	// Leave ends the membership; nothing is delivered after it returns but for
	// what is being delivered.
	Leave()
}

// Memory is a bus for one process. Its zero value is ready.
type Memory struct {
	mu      sync.Mutex
	names   map[string]*memoryMember
	members map[string]*memoryMember // by address
}

type memoryMember struct {
	bus           *Memory
	name, address string
	deliver       func(Message)
}

// Join implements [Bus].
func (b *Memory) Join(name string, deliver func(Message)) Member {
	m := &memoryMember{b, name, "#" + msrp.NewID(), deliver}
	b.mu.Lock()
	if b.names == nil {
		b.names, b.members = map[string]*memoryMember{}, map[string]*memoryMember{}
	}
	old := b.names[name]
	b.names[name] = m
	b.members[m.address] = m
	b.mu.Unlock()
	if old != nil {
		old.deliver(Message{Type: TypeError, Code: CodeReplaced, Reason: name + " was registered in another place"})
	}
	return m
}

// Names returns the names that are registered now, sorted.
func (b *Memory) Names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for name := range b.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (m *memoryMember) Post(to string, msg Message) error {
	m.bus.mu.Lock()
	target := m.bus.members[to]
	if target == nil {
		target = m.bus.names[to]
	}
	m.bus.mu.Unlock()
	if target == nil {
		return ErrNobody
	}
	msg.From, msg.Sender = m.name, m.address
	target.deliver(msg)
	return nil
}

func (m *memoryMember) Leave() {
	m.bus.mu.Lock()
	defer m.bus.mu.Unlock()
	delete(m.bus.members, m.address)
	if m.bus.names[m.name] == m {
		delete(m.bus.names, m.name)
	}
}
