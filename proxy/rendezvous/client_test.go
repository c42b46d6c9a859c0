package rendezvous

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

// through registers a client that comes back, and returns the network in front of it.
func through(t *testing.T, server, name string, grace time.Duration) (*Client, *msrptest.Forwarder) {
	at, err := url.Parse(server)
	require.NoError(t, err)
	f := msrptest.Forward(t, at.Host)
	c, err := Dial(deadline(t), Registration{URL: "ws://" + f.Addr().String(), Name: name, Grace: grace})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c, f
}

// agree lets one call the other.
func agree(t *testing.T, from, to *Client) (ours, theirs *Call) {
	answered := make(chan *Call, 1)
	go func() {
		call := incoming(t, to)
		call.Answer("answer")
		answered <- call
	}()
	ours, _, err := from.Call(deadline(t), to.registration.Name, "offer")
	require.NoError(t, err)
	return ours, <-answered
}

// renew makes a further offer.
func renew(t *testing.T, from, to *Call) {
	go func() {
		select {
		case o := <-to.Offers():
			to.AnswerAgain(o, "answer to "+o.SDP)
		case <-deadline(t).Done():
		}
	}()
	answer, err := from.Again(deadline(t), "again")
	require.NoError(t, err)
	assert.Equal(t, "answer to again", answer)
}

func soon[T any](t *testing.T, c <-chan T) (v T) {
	select {
	case v = <-c:
	case <-time.After(guard):
		require.FailNow(t, "nothing comes")
	}
	return v
}

// A client that was lost is back in its calls, whoever made them.
func TestClientComesBack(t *testing.T) { everywhere(t, testClientComesBack) }

func testClientComesBack(t *testing.T, here, there Bus) {
	alice, wire := through(t, serve(t, here), "alice", guard)
	bob, _ := through(t, serve(t, there), "bob", guard)
	made, got := agree(t, alice, bob)
	back, gone := agree(t, bob, alice)
	renew(t, made, got)
	renew(t, got, made)
	for range 3 {
		wire.Cut()
		soon(t, made.Back())
		soon(t, gone.Back())
		renew(t, made, got)
		renew(t, gone, back)
	}
	// What was ended meanwhile ends.
	wire.Down(true)
	require.Eventually(t, func() bool {
		alice.mu.Lock()
		defer alice.mu.Unlock()
		return alice.ws == nil
	}, guard, time.Millisecond)
	require.NoError(t, made.Bye("enough"))
	wire.Down(false)
	assert.Equal(t, "enough", over(t, got))
	assert.NoError(t, got.Err())
	assert.Empty(t, back.Over())
}

// Of two offers at once the caller's counts.
func TestBothOffer(t *testing.T) { everywhere(t, testBothOffer) }

func testBothOffer(t *testing.T, here, there Bus) {
	urlA, urlB := serve(t, here), serve(t, there)
	alice, _ := through(t, urlA, "alice", guard)
	bob := register(t, urlB, "bob") // by hand
	called := make(chan *Call, 1)
	go func() {
		call, _, err := alice.Call(deadline(t), "bob", "offer")
		assert.NoError(t, err)
		called <- call
	}()
	id := bob.hear().Call
	bob.say(Message{Type: TypeAnswer, Call: id, SDP: "answer"})
	call := <-called
	answer := make(chan string, 1)
	go func() {
		a, err := call.Again(deadline(t), "alice's")
		assert.NoError(t, err)
		answer <- a
	}()
	assert.Equal(t, 1, bob.hear().Again)
	bob.say(Message{Type: TypeOffer, Call: id, To: "alice", SDP: "bob's", Again: 1})
	repeated := bob.hear()
	assert.Equal(t, 2, repeated.Again)
	assert.Equal(t, "alice's", repeated.SDP)
	bob.say(Message{Type: TypeAnswer, Call: id, SDP: "late", Again: 1})
	bob.say(Message{Type: TypeAnswer, Call: id, SDP: "yes", Again: 2})
	assert.Equal(t, "yes", soon(t, answer))
	assert.Empty(t, call.Offers())

	// As callee it gives way.
	bob.say(offerOf("c2", "alice"))
	theirs := incoming(t, alice)
	require.NoError(t, theirs.Answer("answer"))
	assert.Equal(t, TypeAnswer, bob.hear().Type)
	gaveWay := make(chan error, 1)
	go func() {
		_, err := theirs.Again(deadline(t), "alice's")
		gaveWay <- err
	}()
	assert.Equal(t, TypeOffer, bob.hear().Type)
	bob.say(again("c2", "alice", 1))
	assert.ErrorIs(t, soon(t, gaveWay), ErrGaveWay)
	assert.Equal(t, "again", soon(t, theirs.Offers()).SDP)
}

// A client that cannot come back within its grace has lost its calls, and one that
// must not does not try.
func TestClientIsLost(t *testing.T) {
	bus := &Memory{}
	url := serve(t, bus, func(s *Server) { s.Grace = 50 * time.Millisecond })
	alice, wire := through(t, url, "alice", 50*time.Millisecond)
	bob, _ := through(t, url, "bob", guard)
	made, got := agree(t, alice, bob)
	wire.Down(true)
	soon(t, alice.Done())
	assert.Equal(t, "the rendezvous was lost", over(t, made))
	assert.Error(t, made.Err())
	assert.Equal(t, "alice was lost and has not come back", over(t, got))
	assert.Equal(t, &RefusedError{CodeTimeout, got.Reason()}, got.Err())

	dial(t, url, "bob")
	soon(t, bob.Done())
	assert.ErrorContains(t, bob.Err(), "registered in another place")
}
