package sip

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/proxy/sip/siptest"
)

// guard is how long a test waits for something that should happen soon.
const guard = 30 * time.Second

// next returns what comes next.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(guard):
		require.FailNow(t, "nothing comes")
		panic("unreachable")
	}
}

// start starts an agent of a registrar.
func start(t *testing.T, r *siptest.Registrar, name string) *Agent {
	a, err := Start(t.Context(), Options{URI: r.URI(name), Password: "secret", Register: true})
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	return a
}

// connect has one agent call the other and returns both sides of the call.
func connect(t *testing.T, alice, bob *Agent) (caller, called *Call) {
	made := make(chan *Call)
	go func() {
		c, answer, err := alice.Call(t.Context(), bob.own.String(), "an offer")
		assert.NoError(t, err)
		assert.Equal(t, "an answer", answer)
		made <- c
	}()
	called = next(t, bob.Incoming())
	assert.Equal(t, "an offer", called.Offer)
	assert.Equal(t, alice.own.String(), called.Peer)
	require.NoError(t, called.Answer("an answer"))
	return next(t, made), called
}

// Who calls can give up while the other side rings.
func TestCancel(t *testing.T) {
	r := siptest.Start(t, 3600)
	alice, bob := start(t, r, "alice"), start(t, r, "bob")
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error)
	go func() {
		_, _, err := alice.Call(ctx, "bob", "an offer")
		failed <- err
	}()
	call := next(t, bob.Incoming())
	cancel(reason)
	assert.ErrorIs(t, next(t, failed), reason)
	next(t, call.Over())
	assert.Equal(t, "canceled", call.Reason())
	assert.Error(t, call.Answer("too late"))
	connect(t, alice, bob) // and nothing is in the way of the next
}

// Either side ends a call, and the other hears why.
func TestBye(t *testing.T) {
	r := siptest.Start(t, 3600)
	alice, bob := start(t, r, "alice"), start(t, r, "bob")
	for caller := range 2 {
		a, b := connect(t, alice, bob)
		sides := [2]*Call{a, b}
		sides[caller].Bye(`enough "for now", Bob \ Alice`)
		for _, c := range sides {
			next(t, c.Over())
			assert.Equal(t, `enough "for now", Bob \ Alice`, c.Reason())
		}
		_, err := sides[1-caller].Reoffer(t.Context(), "another offer")
		assert.Error(t, err)
	}
	// Who leaves takes leave of everyone.
	a, b := connect(t, alice, bob)
	bob.Close()
	next(t, a.Over())
	next(t, b.Over())
	_, _, err := alice.Call(t.Context(), "bob", "an offer")
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, 404, refused.Code)
}

// Either side offers anew during a call, and the other takes it or does not.
func TestReoffer(t *testing.T) {
	r := siptest.Start(t, 3600)
	caller, called := connect(t, start(t, r, "alice"), start(t, r, "bob"))
	for _, c := range [][2]*Call{{caller, called}, {called, caller}} {
		type outcome struct {
			answer string
			err    error
		}
		answered := make(chan outcome)
		offer := func() {
			answer, err := c[0].Reoffer(t.Context(), "another offer")
			answered <- outcome{answer, err}
		}
		for range 2 {
			go offer()
			o := next(t, c[1].Offers())
			assert.Equal(t, "another offer", o.SDP)
			// Meanwhile this side cannot offer anything.
			_, err := c[1].Reoffer(t.Context(), "mine")
			var refused *RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, CodePending, refused.Code)
			require.NoError(t, o.Answer("another answer"))
			assert.Equal(t, outcome{"another answer", nil}, next(t, answered))
		}
		go offer()
		next(t, c[1].Offers()).Refuse(CodeUnacceptable, "not like this")
		var refused *RefusedError
		require.ErrorAs(t, next(t, answered).err, &refused)
		assert.Equal(t, RefusedError{488, c[0].Peer, "not like this"}, *refused)
	}
	caller.Bye("that is all")
	next(t, called.Over())
}

// A registrar that comes back, having forgotten everyone, is registered with
// again by itself.
func TestServerComesBack(t *testing.T) {
	defer func(d time.Duration) { keepAlive = d }(keepAlive)
	keepAlive = 100 * time.Millisecond
	r := siptest.Start(t, 3600)
	alice, bob := start(t, r, "alice"), start(t, r, "bob")
	r.Restart()
	r.Says("registered alice", 2)
	r.Says("registered bob", 2)
	connect(t, alice, bob)
	bob.Close()
	alice.Close()
}
