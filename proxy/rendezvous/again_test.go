package rendezvous

import (
	"testing"
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
