package rendezvous

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/proxy/rendezvous/natstest"
)

const guard = 20 * time.Second

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	t.Cleanup(cancel)
	return ctx
}

// everywhere runs a test with two buses whose members reach each other: one and
// the same in memory, and those of two instances with NATS between them.
func everywhere(t *testing.T, test func(t *testing.T, here, there Bus)) {
	t.Run("memory", func(t *testing.T) {
		bus := &Memory{}
		test(t, bus, bus)
	})
	t.Run("NATS", func(t *testing.T) {
		s := natstest.Start(t, 0)
		test(t, connect(t, s), connect(t, s))
	})
}

func connect(t *testing.T, servers ...*server.Server) *NATS {
	c := NATSConfig{Log: slog.New(slog.DiscardHandler)}
	for _, s := range servers {
		c.Servers = append(c.Servers, s.ClientURL())
	}
	b, err := ConnectNATS(c)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

func serve(t *testing.T, bus Bus, adjust ...func(*Server)) (url string) {
	s := &Server{Bus: bus, Log: slog.New(slog.DiscardHandler)}
	for _, f := range adjust {
		f(s)
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return strings.Replace(h.URL, "http", "ws", 1)
}

func dial(t *testing.T, url, name string) *Client {
	c, err := Dial(deadline(t), Registration{URL: url, Name: name})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func incoming(t *testing.T, c *Client) *Call {
	select {
	case call := <-c.Incoming():
		return call
	case <-time.After(guard):
		require.FailNow(t, "no call came")
		return nil
	}
}

func over(t *testing.T, call *Call) string {
	select {
	case <-call.Over():
		return call.Reason()
	case <-time.After(guard):
		require.FailNow(t, "the call does not end")
		return ""
	}
}

func TestCall(t *testing.T) { everywhere(t, testCall) }

func testCall(t *testing.T, here, there Bus) {
	alice, bob := dial(t, serve(t, here), "alice"), dial(t, serve(t, there), "bob")
	done := make(chan bool)
	go func() {
		defer close(done)
		call := incoming(t, bob)
		assert.Equal(t, "alice", call.Peer)
		assert.Equal(t, "the offer", call.Offer)
		call.Answer("the answer")
		over(t, call)
		assert.Equal(t, "that is all", call.Reason())
		call.Bye("too late, and no harm")
	}()
	call, answer, err := alice.Call(deadline(t), "bob", "the offer")
	require.NoError(t, err)
	assert.Equal(t, "the answer", answer)
	require.NoError(t, call.Bye("that is all"))
	<-done
}

func TestRefusals(t *testing.T) { everywhere(t, testRefusals) }

func testRefusals(t *testing.T, here, there Bus) {
	alice, bob := dial(t, serve(t, here), "alice"), dial(t, serve(t, there), "bob")
	refused := func(to string) *RefusedError {
		_, _, err := alice.Call(deadline(t), to, "offer")
		var r *RefusedError
		require.ErrorAs(t, err, &r)
		return r
	}
	assert.Equal(t, &RefusedError{CodeNobody, "nobody is not here"}, refused("nobody"))
	assert.Equal(t, CodeBusy, refused("alice").Code, "oneself")
	go func() { incoming(t, bob).Refuse(CodeDeclined, "not now") }()
	assert.Equal(t, &RefusedError{CodeDeclined, "not now"}, refused("bob"))
}

func TestTheOtherSideGoes(t *testing.T) { everywhere(t, testTheOtherSideGoes) }

func testTheOtherSideGoes(t *testing.T, here, there Bus) {
	alice, bob := dial(t, serve(t, here), "alice"), dial(t, serve(t, there), "bob")
	go func() { incoming(t, bob).Answer("answer") }()
	call, _, err := alice.Call(deadline(t), "bob", "offer")
	require.NoError(t, err)
	bob.Close()
	assert.Equal(t, "bob is gone", over(t, call))

	bob = dial(t, serve(t, there), "bob")
	go func() {
		incoming(t, bob)
		bob.Close() // while it rings
	}()
	_, _, err = alice.Call(deadline(t), "bob", "offer")
	assert.ErrorContains(t, err, "bob is gone")
}

func TestCallerGivesUp(t *testing.T) { everywhere(t, testCallerGivesUp) }

func testCallerGivesUp(t *testing.T, here, there Bus) {
	alice, bob := dial(t, serve(t, here), "alice"), dial(t, serve(t, there), "bob")
	ctx, cancel := context.WithCancel(t.Context())
	go alice.Call(ctx, "bob", "offer")
	call := incoming(t, bob)
	cancel()
	assert.Equal(t, "canceled", over(t, call))
}

func TestNewestTakesTheName(t *testing.T) { everywhere(t, testNewestTakesTheName) }

func testNewestTakesTheName(t *testing.T, here, there Bus) {
	first := dial(t, serve(t, here), "alice")
	second := dial(t, serve(t, there), "alice")
	<-first.Done()
	assert.ErrorContains(t, first.Err(), "registered in another place")
	go func() { incoming(t, second).Answer("answer") }()
	_, answer, err := dial(t, serve(t, here), "bob").Call(deadline(t), "alice", "offer")
	require.NoError(t, err)
	assert.Equal(t, "answer", answer)
}

func TestRegister(t *testing.T) {
	url := serve(t, &Memory{}, func(s *Server) {
		s.Check = func(_ *http.Request, username, password string) (string, bool) { return username, password == "secret" }
	})
	for name, c := range map[string]struct {
		name, username, password string
		code                     int
	}{
		"right":           {"alice", "alice", "secret", 0},
		"wrong password":  {"alice", "alice", "wrong", CodeUnauthorized},
		"not one's own":   {"bob", "alice", "secret", CodeForbidden},
		"empty":           {" ", " ", "secret", 400},
		"too long":        {strings.Repeat("ä", 65), "alice", "secret", 400},
		"an address":      {"#x", "#x", "secret", 400},
		"a control char":  {"a\x00", "a\x00", "secret", 400},
		"sixty-four long": {strings.Repeat("ä", 64), strings.Repeat("ä", 64), "secret", 0},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := Dial(deadline(t), Registration{URL: url, Name: c.name, Username: c.username, Password: c.password})
			if c.code == 0 {
				require.NoError(t, err)
				client.Close()
				return
			}
			var r *RefusedError
			require.ErrorAs(t, err, &r)
			assert.Equal(t, c.code, r.Code)
		})
	}
}

func TestBadInput(t *testing.T) {
	url := serve(t, &Memory{})
	for name, texts := range map[string][]string{
		"no JSON":            {`hello`},
		"no register":        {`{"type":"offer"}`},
		"no call":            {`{"type":"register","name":"x"}`, `{"type":"bye"}`},
		"a long call":        {`{"type":"register","name":"x"}`, `{"type":"bye","call":"` + strings.Repeat("x", 65) + `"}`},
		"an empty offer":     {`{"type":"register","name":"x"}`, `{"type":"offer","call":"c"}`},
		"too long a message": {`{"type":"register","name":"` + strings.Repeat("x", maxMessage) + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := deadline(t)
			c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{Subprotocol}})
			require.NoError(t, err)
			defer c.CloseNow()
			for _, text := range texts {
				require.NoError(t, c.Write(ctx, websocket.MessageText, []byte(text)))
			}
			for err == nil {
				_, _, err = c.Read(ctx)
			}
			assert.Contains(t, []websocket.StatusCode{websocket.StatusPolicyViolation, websocket.StatusMessageTooBig}, websocket.CloseStatus(err), "%v", err)
		})
	}
	t.Run("no subprotocol", func(t *testing.T) {
		c, _, err := websocket.Dial(deadline(t), url, nil)
		require.NoError(t, err)
		_, _, err = c.Read(deadline(t))
		assert.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err))
	})
}

func TestNoAnswerInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &Memory{}
		alice, bob := join(bus, "alice"), join(bus, "bob")
		require.NoError(t, alice.send(offerOf("c", "bob")))
		begin := time.Now()
		refused := <-alice.line.out
		assert.Equal(t, ringTime, time.Since(begin))
		assert.Equal(t, CodeTimeout, refused.Code)
		assert.Equal(t, "bob does not answer", refused.Reason)
		assert.Equal(t, TypeOffer, (<-bob.line.out).Type)
		assert.Equal(t, TypeBye, (<-bob.line.out).Type)
		synctest.Wait()
		assert.Empty(t, alice.line.out, "told once")
		assert.Empty(t, bob.line.out, "told once")
	})
}
