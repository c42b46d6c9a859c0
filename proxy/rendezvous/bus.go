// Package rendezvous brings people together who have no SIP: names register
// over a WebSocket and exchange offers and answers of SDP as JSON.
//
// The protocol is symmetrical. A client registers a name; then either side of
// the WebSocket sends offer, answer, refuse and bye, which the server passes to
// the other party of the call, see [Message].
//
// # Further offers
//
// Within a call that was answered either party may send further offers, with the
// call and the name of the other party in to. Each party numbers its own with
// again, from 1 on, and begins anew for no reason; the answer or refusal repeats
// the number. A client leaves out what does not count: an offer whose number is
// not above all before of that party, and an answer or refusal with another number
// than that of its last offer, or none. It refuses with 481 an offer in a call that
// it does not have with the name in from: the server knows whose name that is, but
// need not know of the call.
//
// Where both have offered at once, the offer of the one who made the call counts.
// The callee takes back its own and answers. The caller leaves out the other's, and
// makes its own once more: that may have been answered before, over a connection
// that was lost.
//
// A refusal of a further offer ends the call, except with 404, 408, 429 and 503:
// then it can be offered again, with the next number. So it can where no answer
// comes, for which a client has a clock of its own.
//
// # After a WebSocket was lost
//
// A client that registers with resumes knows all this and comes back to its calls:
// for others the server refuses further offers with 481. Once it has registered
// again, at the same server or at another instance, it sends an offer in each call
// that was answered, which may say what was said before, and goes on to do so until
// there is an answer. Calls that were not answered are over. The server may have
// been started anew meanwhile.
//
// Names are free as soon as a WebSocket is lost, and found lost. The other parties
// of who resumes hear nothing before the grace is over, which is two minutes; then
// they get a bye with 408. That comes from the server that each of them is
// connected to: a client whose server went away with the other's has to end a call
// itself that nobody comes back to within the grace. A client that closes its
// WebSocket is gone at once, whose parties get a bye; one that takes it for dead
// closes it with [StatusComesBack] for that not to happen late.
//
// A client that has ended a call while it was lost sends bye, with the name of the
// other party in to, when it is back. To may stand in answer, refuse and bye at any
// time: the server leaves the message out where the call is with somebody else.
package rendezvous

import (
	"errors"
	"sync"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
)

// Types of a [Message].
const (
	TypeRegister   = "register"   // client: Name, Username, Password, Resumes
	TypeRegistered = "registered" // server: Name is the client's now
	TypeOffer      = "offer"      // Call (new, or with Again), To or From, SDP
	TypeAnswer     = "answer"     // Call, SDP, Again as in the offer
	TypeRefuse     = "refuse"     // Call, Code, Reason, Again as in the offer: instead of an answer
	TypeBye        = "bye"        // Call, Reason: the call is over; from the server perhaps Code
	TypeError      = "error"      // server: Code, Reason; the WebSocket ends
	TypePing       = "ping"       // client: to be answered
	TypePong       = "pong"       // server

	typeLost = "lost" // between members: the sender was lost, and may come back to the call
)

// Codes of refuse and error, those of SIP.
const (
	CodeUnauthorized = 401 // register: wrong username or password
	CodeForbidden    = 403 // register: not your name
	CodeNobody       = 404 // nobody has registered the name
	CodeTimeout      = 408 // no answer within a minute; bye: lost and not come back
	CodeReplaced     = 409 // error: the name was registered elsewhere
	CodeTooMany      = 429 // too many calls at once or in a short time
	CodeNoCall       = 481 // the call of an offer with Again is not known
	CodeBusy         = 486
	CodeUnacceptable = 488 // the offer cannot be accepted
	CodeUnavailable  = 503 // the server is cut off from others, or stops
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
	Again  int    `json:"again,omitempty"` // counts the further offers of a party in a call, from 1 on
	Code   int    `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`

	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	Resumes  bool   `json:"resumes,omitempty"` // the client comes back to its calls after its WebSocket was lost

	// Sender is the address to answer to, between members of a [Bus].
	Sender string `json:"-"`
	// Lost is why a message of one's own has come back, see [Member].
	Lost error `json:"-"`
}

// Why a message is lost.
var (
	ErrNobody      = errors.New("rendezvous: nobody of that name is here")
	ErrUnavailable = errors.New("rendezvous: other instances cannot be reached")
)

// A Bus passes messages between members, wherever they are: [Memory] within one
// process, [NATS] between several. Its methods are safe for concurrent use.
type Bus interface {
	// Join enters a member under a name. deliver gets its messages, in order
	// from each sender; it must not block. Several members may share a name:
	// the newest gets what is sent to the name, and the others get an error
	// message with [CodeReplaced].
	Join(name string, deliver func(Message)) Member
	// MayOffer reports whether a name may make a call now, and counts it.
	MayOffer(name string) bool
	// Ready returns nil, or why not everyone can be reached at the moment.
	Ready() error
}

// A Member is one party on a bus.
type Member interface {
	// Post sends a message to a name, or to the Sender of an earlier message.
	// An offer or answer that reaches no one comes back to deliver, at once or
	// within seconds, with Lost set to ErrNobody or ErrUnavailable.
	Post(to string, m Message)
	// Leave ends the membership; nothing is delivered after it returns but for
	// what is being delivered.
	Leave()
}

// comesBack tells for which messages a sender waits.
func comesBack(m Message) bool { return m.Type == TypeOffer || m.Type == TypeAnswer }

// Memory is a bus for one process. Its zero value is ready.
type Memory struct {
	offers limiter

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
	if old := b.enter(m); old != nil {
		old.replaced()
	}
	return m
}

// MayOffer implements [Bus].
func (b *Memory) MayOffer(name string) bool { return b.offers.allow(name, time.Now()) }

// Ready implements [Bus].
func (b *Memory) Ready() error { return nil }

// enter gives a member its name and returns who had it.
func (b *Memory) enter(m *memoryMember) (old *memoryMember) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.names == nil {
		b.names, b.members = map[string]*memoryMember{}, map[string]*memoryMember{}
	}
	old = b.names[m.name]
	b.names[m.name] = m
	b.members[m.address] = m
	return old
}

// drop takes its name from a member, if it still has it. Its address stays.
func (b *Memory) drop(m *memoryMember) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.names[m.name] == m {
		delete(b.names, m.name)
	}
}

// find returns the member of a name or address, or nil.
func (b *Memory) find(to string) *memoryMember {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.members[to]; m != nil {
		return m
	}
	return b.names[to]
}

func (m *memoryMember) replaced() {
	m.deliver(Message{Type: TypeError, Code: CodeReplaced, Reason: m.name + " was registered in another place"})
}

func (m *memoryMember) Post(to string, msg Message) {
	if target := m.bus.find(to); target != nil {
		msg.From, msg.Sender = m.name, m.address
		target.deliver(msg)
	} else {
		m.lose(msg, ErrNobody)
	}
}

// lose gives a message back.
func (m *memoryMember) lose(msg Message, err error) {
	if comesBack(msg) {
		msg.Lost = err
		m.deliver(msg)
	}
}

func (m *memoryMember) Leave() {
	m.bus.drop(m)
	m.bus.mu.Lock()
	defer m.bus.mu.Unlock()
	delete(m.bus.members, m.address)
}
