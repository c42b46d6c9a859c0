package rendezvous

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A rawClient speaks the protocol by hand.
type rawClient struct {
	t *testing.T
	*websocket.Conn
}

func register(t *testing.T, url, name string) rawClient {
	c, _, err := websocket.Dial(deadline(t), url, &websocket.DialOptions{Subprotocols: []string{Subprotocol}})
	require.NoError(t, err)
	t.Cleanup(func() { c.CloseNow() })
	r := rawClient{t, c}
	r.say(Message{Type: TypeRegister, Name: name, Resumes: true})
	assert.Equal(t, TypeRegistered, r.hear().Type)
	return r
}

func (r rawClient) say(m Message) { require.NoError(r.t, write(deadline(r.t), r.Conn, m)) }

func (r rawClient) hear() Message {
	m, err := read(deadline(r.t), r.Conn)
	require.NoError(r.t, err)
	return m
}

// A call outlives the WebSockets of both parties, and the server: it is taken up
// by an offer that is counted.
func TestCallGoesOn(t *testing.T) { everywhere(t, testCallGoesOn) }

func testCallGoesOn(t *testing.T, here, there Bus) {
	var bobs *Server
	urlA, urlB := serve(t, here), serve(t, there, func(s *Server) { bobs = s })
	alice, bob := register(t, urlA, "alice"), register(t, urlB, "bob")
	alice.say(Message{Type: TypeOffer, Call: "c1", To: "bob", SDP: "offer"})
	assert.Equal(t, Message{Type: TypeOffer, Call: "c1", To: "bob", From: "alice", SDP: "offer"}, bob.hear())
	bob.say(Message{Type: TypeAnswer, Call: "c1", SDP: "answer"})
	assert.Equal(t, "answer", alice.hear().SDP)

	exchange := func(from, to rawClient, a, b string, n int) {
		from.say(Message{Type: TypeOffer, Call: "c1", To: b, SDP: "again", Again: n})
		assert.Equal(t, Message{Type: TypeOffer, Call: "c1", To: b, From: a, SDP: "again", Again: n}, to.hear())
		to.say(Message{Type: TypeAnswer, Call: "c1", SDP: "yes", Again: n})
		assert.Equal(t, Message{Type: TypeAnswer, Call: "c1", From: b, SDP: "yes", Again: n}, from.hear())
	}
	exchange(alice, bob, "alice", "bob", 1)
	exchange(bob, alice, "bob", "alice", 1)

	// The WebSocket is cut, and bob hears nothing of it.
	alice.CloseNow()
	alice = register(t, urlA, "alice")
	exchange(alice, bob, "alice", "bob", 2)
	exchange(bob, alice, "bob", "alice", 2)

	// Nobody there is no end.
	bob.CloseNow()
	require.Eventually(t, func() bool { return bobs.Stats().Names == 0 }, guard, time.Millisecond)
	alice.say(Message{Type: TypeOffer, Call: "c1", To: "bob", SDP: "again", Again: 3})
	assert.Equal(t, CodeNobody, alice.hear().Code)
	bob = register(t, urlB, "bob")
	exchange(alice, bob, "alice", "bob", 4)

	// A stranger who has learned of the call cannot take it.
	carol := register(t, urlA, "carol")
	carol.say(Message{Type: TypeOffer, Call: "c1", To: "bob", SDP: "mine", Again: 1})
	assert.Equal(t, CodeNoCall, carol.hear().Code)

	alice.say(Message{Type: TypePing})
	assert.Equal(t, TypePong, alice.hear().Type)

	// Who closes is gone at once.
	alice.Close(websocket.StatusGoingAway, "")
	assert.Equal(t, TypeBye, bob.hear().Type)
}

// resuming makes a member whose client resumes.
func resuming(bus Bus, name string) *calls {
	return start(bus, name, newLine(), func(c *calls) { c.resumes = true })
}

// talking lets alice call bob.
func talking(t *testing.T, alice, bob *calls) {
	require.NoError(t, alice.send(offerOf("c1", "bob")))
	require.Equal(t, TypeOffer, told(t, bob).Type)
	require.NoError(t, bob.send(Message{Type: TypeAnswer, Call: "c1", SDP: "answer"}))
	require.Equal(t, TypeAnswer, told(t, alice).Type)
}

// again makes a further offer.
func again(call, to string, n int) Message {
	return Message{Type: TypeOffer, Call: call, To: to, SDP: "again", Again: n}
}

// Whoever knows of a call can neither take it over, nor answer, refuse or end it,
// nor keep its parties from it: while it rings, when it goes on, and when the server
// of one does not know it yet.
func TestStrangers(t *testing.T) { everywhere(t, testStrangers) }

func testStrangers(t *testing.T, here, there Bus) {
	alice, bob := resuming(here, "alice"), resuming(there, "bob")
	carol := resuming(unlimited{there}, "carol")
	attack := func(to *calls, client bool) {
		for _, m := range []Message{
			{Type: TypeAnswer, SDP: "mine"}, {Type: TypeAnswer, SDP: "mine", Again: 1},
			{Type: TypeRefuse, Code: CodeDeclined}, {Type: TypeRefuse, Code: CodeDeclined, Again: 1}, {Type: TypeBye}, {Type: typeLost},
		} {
			m.Call = "c1"
			carol.member.Post(to.name, m)
		}
		require.NoError(t, carol.send(again("c1", to.name, 9)))
		if client {
			assert.Equal(t, "carol", told(t, to).From)
			return
		}
		m := told(t, carol)
		assert.Equal(t, CodeNoCall, m.Code)
		assert.Equal(t, 9, m.Again)
	}
	require.NoError(t, alice.send(offerOf("c1", "bob")))
	assert.Equal(t, TypeOffer, told(t, bob).Type)
	attack(alice, false)
	attack(bob, false)
	require.NoError(t, bob.send(Message{Type: TypeAnswer, Call: "c1", SDP: "answer"}))
	assert.Equal(t, Message{Type: TypeAnswer, Call: "c1", From: "bob", SDP: "answer"}, *told(t, alice))
	attack(alice, false)
	attack(bob, false)

	// bob comes back, and carol is faster than alice and he.
	bob.leave(true)
	bob = resuming(there, "bob")
	attack(bob, true)
	require.NoError(t, alice.send(again("c1", "bob", 1)))
	assert.Equal(t, "alice", told(t, bob).From)
	require.NoError(t, bob.send(Message{Type: TypeRefuse, Call: "c1", To: "carol", Again: 9, Code: CodeNoCall}))
	require.NoError(t, bob.send(Message{Type: TypeAnswer, Call: "c1", To: "alice", Again: 1, SDP: "yes"}))
	assert.Equal(t, Message{Type: TypeAnswer, Call: "c1", To: "alice", From: "bob", Again: 1, SDP: "yes"}, *told(t, alice))
	attack(bob, false)
	assert.Empty(t, alice.line.out)
	assert.Empty(t, bob.line.out)
}

// Of what comes late, or more often than it was asked for, nothing counts.
func TestLate(t *testing.T) { everywhere(t, testLate) }

func testLate(t *testing.T, here, there Bus) {
	alice, bob := resuming(here, "alice"), resuming(there, "bob")
	talking(t, alice, bob)
	require.NoError(t, alice.send(again("c1", "bob", 1)))
	assert.Equal(t, 1, told(t, bob).Again)
	require.NoError(t, alice.send(again("c1", "bob", 2)))
	assert.Equal(t, 2, told(t, bob).Again)
	for _, n := range []int{1, 2, 2, 3} {
		require.NoError(t, bob.send(Message{Type: TypeAnswer, Call: "c1", SDP: "yes", Again: n}))
	}
	require.NoError(t, bob.send(Message{Type: TypeRefuse, Call: "c1", Code: CodeUnavailable, Again: 2}))
	assert.Equal(t, 2, told(t, alice).Again)

	// alice is somewhere else, before it is known that she was lost.
	old := alice
	alice = resuming(there, "alice")
	require.NoError(t, alice.send(again("c1", "bob", 3)))
	assert.Equal(t, 3, told(t, bob).Again)
	require.NoError(t, bob.send(Message{Type: TypeAnswer, Call: "c1", SDP: "yes", Again: 3}))
	assert.Equal(t, 3, told(t, alice).Again)
	old.leave(true)
	old.member.Post("bob", again("c1", "bob", 2))
	require.NoError(t, bob.send(Message{Type: TypeBye, Call: "c1"})) // it is heard where she is
	assert.Equal(t, TypeBye, told(t, alice).Type)
	assert.Empty(t, bob.line.out)

	// Who does not resume takes no further offers.
	carol := join(there, "carol")
	require.NoError(t, alice.send(again("c2", "carol", 1)))
	assert.Equal(t, CodeNoCall, told(t, alice).Code)
	assert.Empty(t, carol.line.out)
}

// A party that was lost has the grace to come back, and its name is free at once.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &Memory{}
		alice, bob := resuming(bus, "alice"), resuming(bus, "bob")
		talking(t, alice, bob)
		alice.leave(true)
		require.NoError(t, bob.send(offerOf("c2", "alice")))
		assert.Equal(t, CodeNobody, told(t, bob).Code)
		time.Sleep(Grace - 1)
		alice = resuming(bus, "alice")
		require.NoError(t, alice.send(again("c1", "bob", 1)))
		assert.Equal(t, TypeOffer, told(t, bob).Type)
		time.Sleep(2 * Grace)
		assert.Empty(t, bob.line.out, "she is back")

		require.NoError(t, bob.send(Message{Type: TypeAnswer, Call: "c1", Again: 1, SDP: "yes"}))
		assert.Equal(t, TypeAnswer, told(t, alice).Type)
		alice.leave(true)
		begin := time.Now()
		assert.Equal(t, Message{
			Type: TypeBye, Call: "c1", From: "alice", Code: CodeTimeout, Reason: "alice was lost and has not come back",
		}, *<-bob.line.out)
		assert.Equal(t, Grace, time.Since(begin))

		// Too late. bob's client says no.
		alice = resuming(bus, "alice")
		require.NoError(t, alice.send(again("c1", "bob", 2)))
		assert.Equal(t, TypeOffer, told(t, bob).Type)
		require.NoError(t, bob.send(Message{Type: TypeRefuse, Call: "c1", To: "alice", Again: 2, Code: CodeNoCall}))
		assert.Equal(t, CodeNoCall, told(t, alice).Code)
		assert.Empty(t, alice.open)
		assert.Empty(t, bob.open)
	})
}
