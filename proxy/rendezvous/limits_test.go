package rendezvous

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// join makes a member whose messages wait in its line.
func join(bus Bus, name string) *calls { return start(bus, name, newLine()) }

// unlimited is a bus for callers who call often.
type unlimited struct{ Bus }

func (unlimited) MayOffer(string) bool { return true }

// told returns what the client of a member is told next.
func told(t *testing.T, c *calls) *Message {
	select {
	case m := <-c.line.out:
		return m
	case <-time.After(guard):
		require.FailNow(t, c.name+" is told nothing")
		return nil
	}
}

func offerOf(call, to string) Message {
	return Message{Type: TypeOffer, Call: call, To: to, SDP: "offer"}
}

// raw registers a client that reads only when it is told to.
func raw(t *testing.T, url, name string) *websocket.Conn {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(4096)
		}
		return c, err
	}}
	c, _, err := websocket.Dial(deadline(t), url, &websocket.DialOptions{
		Subprotocols: []string{Subprotocol}, HTTPClient: &http.Client{Transport: transport},
	})
	require.NoError(t, err)
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(maxMessage)
	require.NoError(t, write(deadline(t), c, Message{Type: TypeRegister, Name: name}))
	require.Equal(t, TypeRegistered, next(t, c).Type)
	return c
}

func next(t *testing.T, c *websocket.Conn) Message {
	m, err := read(deadline(t), c)
	require.NoError(t, err)
	return m
}

// Whoever calls someone again and again gets no further than two calls, and
// keeps nobody else from calling or being called.
func TestCallsToOne(t *testing.T) { everywhere(t, testCallsToOne) }

func testCallsToOne(t *testing.T, here, there Bus) {
	bob, carol := dial(t, serve(t, here), "bob"), dial(t, serve(t, there), "carol")
	mallory := raw(t, serve(t, there), "mallory")
	for i := range 5 {
		require.NoError(t, write(deadline(t), mallory, offerOf(fmt.Sprint(i), "bob")))
	}
	for i := maxUnansweredFrom; i < 5; i++ {
		m := next(t, mallory)
		assert.Equal(t, fmt.Sprint(i), m.Call)
		assert.Equal(t, CodeTooMany, m.Code)
		assert.Equal(t, "too many calls to bob that wait for an answer", m.Reason)
	}
	annoying := incoming(t, bob)
	assert.Equal(t, "mallory", annoying.Peer)
	assert.Equal(t, "mallory", incoming(t, bob).Peer)
	for _, way := range []struct {
		from, to *Client
		name     string
	}{{carol, bob, "bob"}, {bob, carol, "carol"}} {
		go func() { incoming(t, way.to).Answer("answer") }()
		_, _, err := way.from.Call(deadline(t), way.name, "offer")
		require.NoError(t, err)
	}
	require.NoError(t, annoying.Refuse(CodeDeclined, "no"))
	assert.Equal(t, CodeDeclined, next(t, mallory).Code)
	require.NoError(t, write(deadline(t), mallory, offerOf("again", "bob")))
	assert.Equal(t, "mallory", incoming(t, bob).Peer)
}

// Calls that others make do not count against one's own.
func TestCallsAreCountedApart(t *testing.T) { everywhere(t, testCallsAreCountedApart) }

func testCallsAreCountedApart(t *testing.T, here, there Bus) {
	bob, carol := join(here, "bob"), join(there, "carol")
	for i := range maxCalls {
		require.NoError(t, join(there, fmt.Sprint("mallory", i)).send(offerOf(fmt.Sprint(i), "bob")))
		assert.Equal(t, TypeOffer, told(t, bob).Type)
	}
	require.NoError(t, bob.send(offerOf("own", "carol")))
	assert.Empty(t, bob.line.out, "no refusal")
	assert.Equal(t, TypeOffer, told(t, carol).Type)
	require.NoError(t, carol.send(offerOf("hers", "bob")))
	assert.Equal(t, CodeBusy, told(t, carol).Code, "that is enough")
}

func TestCallsOfOne(t *testing.T) { everywhere(t, testCallsOfOne) }

func testCallsOfOne(t *testing.T, here, there Bus) {
	mallory := join(here, "mallory")
	for i := range maxUnanswered {
		join(there, fmt.Sprint(i))
		require.NoError(t, mallory.send(offerOf(fmt.Sprint(i), fmt.Sprint(i))))
	}
	assert.Empty(t, mallory.line.out)
	join(there, "bob")
	require.NoError(t, mallory.send(offerOf("bob", "bob")))
	assert.Equal(t, CodeTooMany, told(t, mallory).Code)
	// Nor does an answer of one's own make room.
	assert.ErrorContains(t, mallory.send(Message{Type: TypeAnswer, Call: "0", SDP: "answer"}), "the other party")
	require.NoError(t, mallory.send(offerOf("bob", "bob")))
	assert.Equal(t, CodeTooMany, told(t, mallory).Code)
}

// Who offers and takes back is refused after a while, and the one who is called
// stays, however slowly he reads.
func TestOfferFlood(t *testing.T) { everywhere(t, testOfferFlood) }

func testOfferFlood(t *testing.T, here, there Bus) {
	// What waits, waits with the server and not in the network.
	s := httptest.NewUnstartedServer(&Server{Bus: here, Log: slog.New(slog.DiscardHandler)})
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		assert.NoError(t, c.(*net.TCPConn).SetWriteBuffer(4096))
		return ctx
	}
	s.Start()
	t.Cleanup(s.Close)
	bob := raw(t, strings.Replace(s.URL, "http", "ws", 1), "bob")
	mallory := join(there, "mallory")
	sdp := strings.Repeat("x", 200)
	for i := range 600 {
		call := fmt.Sprint(i)
		require.NoError(t, mallory.send(Message{Type: TypeOffer, Call: call, To: "bob", SDP: sdp}))
		require.NoError(t, mallory.send(Message{Type: TypeBye, Call: call}))
		for len(mallory.line.out) > 0 {
			<-mallory.line.out
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	carol := dial(t, serve(t, there), "carol")
	go carol.Call(ctx, "bob", "offer")
	for m := next(t, bob); m.From != "carol"; m = next(t, bob) {
		assert.Equal(t, "mallory", m.From)
	}
}

// Registering again does not help.
func TestOffersAreCountedByName(t *testing.T) { everywhere(t, testOffersAreCountedByName) }

func testOffersAreCountedByName(t *testing.T, here, there Bus) {
	begin := time.Now()
	for range 2 {
		mallory := dial(t, serve(t, here), "mallory")
		for range offerBurst / 2 {
			_, _, err := mallory.Call(deadline(t), "nobody", "offer")
			require.ErrorContains(t, err, "404")
		}
		mallory.Close()
	}
	url := serve(t, there)
	mallory := raw(t, url, "mallory")
	for i := 0; ; i++ {
		require.NoError(t, write(deadline(t), mallory, offerOf(fmt.Sprint(i), "nobody")))
		m := next(t, mallory)
		if m.Code == CodeTooMany {
			assert.Equal(t, "too many calls in a short time, try again in a minute", m.Reason)
			break
		}
		require.Equal(t, CodeNobody, m.Code)
		// One for each second that has passed, and one that comes before what
		// the other instance has counted.
		require.LessOrEqual(t, time.Duration(i)*offerEvery, time.Since(begin))
	}
	_, _, err := dial(t, url, "alice").Call(deadline(t), "nobody", "offer")
	assert.ErrorContains(t, err, "404", "the others may go on")
}

func TestLimiter(t *testing.T) {
	var l limiter
	now := time.Now()
	for range offerBurst {
		assert.True(t, l.allow("mallory", now))
	}
	assert.False(t, l.allow("mallory", now))
	assert.True(t, l.allow("alice", now))
	now = now.Add(offerEvery)
	assert.True(t, l.allow("mallory", now))
	assert.False(t, l.allow("mallory", now))
	now = now.Add(2 * offerBurst * offerEvery)
	for range offerBurst {
		assert.True(t, l.allow("mallory", now), "not more than the burst is saved up")
	}
	assert.False(t, l.allow("mallory", now))

	// Names that are long gone take no room, and those that matter stay.
	for i := range 5000 {
		l.allow(fmt.Sprint(i), now.Add(time.Duration(i)*time.Millisecond))
	}
	assert.Less(t, len(l.full), 2500)
	assert.False(t, l.allow("mallory", now))
}

// Together they do not fill a queue either: what is left of it is for the calls
// that are under way.
func TestManyCallASlowClient(t *testing.T) {
	bus := unlimited{&Memory{}}
	bob := join(bus, "bob")
	call := func(from *calls, name string) *calls {
		require.NoError(t, from.send(offerOf("to "+name+" from "+from.name, name)))
		return from
	}
	var friends []*calls
	for i := range maxCalls / 2 {
		name := fmt.Sprint("friend", i)
		friends = append(friends, call(join(bus, fmt.Sprint("caller", i)), "bob"), join(bus, name))
		call(bob, name)
		require.NoError(t, friends[len(friends)-1].send(Message{Type: TypeAnswer, Call: "to " + name + " from bob", SDP: "answer"}))
	}
	for i := range queueLength {
		call(join(bus, fmt.Sprint("mallory", i)), "bob").leave(false)
	}
	mallory := call(join(bus, "mallory"), "bob")
	assert.Equal(t, CodeBusy, told(t, mallory).Code)
	for _, friend := range friends {
		friend.leave(false)
	}
	assert.Empty(t, bob.line.overflow)
}

// A call whose caller is lost ends at the callee as well.
func TestLostCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &Memory{}
		got := make(chan Message, 9)
		bob := join(bus, "bob")
		alice := bus.Join("alice", func(m Message) { got <- m }) // without timers
		alice.Post("bob", offerOf("c", "bob"))
		assert.Equal(t, TypeOffer, (<-bob.line.out).Type)
		begin := time.Now()
		m := <-got
		assert.Equal(t, ringTime, time.Since(begin))
		assert.Equal(t, CodeTimeout, m.Code)
		assert.Equal(t, "bob does not answer", m.Reason)
		assert.Equal(t, TypeBye, (<-bob.line.out).Type)

		// An answer in time stops it.
		alice.Post("bob", offerOf("d", "bob"))
		assert.Equal(t, TypeOffer, (<-bob.line.out).Type)
		require.NoError(t, bob.send(Message{Type: TypeAnswer, Call: "d", SDP: "answer"}))
		assert.Equal(t, TypeAnswer, (<-got).Type)
		alice.Post("bob", offerOf("e", "bob"))
		assert.Equal(t, TypeOffer, (<-bob.line.out).Type)
		assert.Equal(t, "e", (<-got).Call)
		assert.Equal(t, "e", (<-bob.line.out).Call)
		synctest.Wait()
		assert.Empty(t, got)
		assert.Empty(t, bob.line.out)
	})
}
