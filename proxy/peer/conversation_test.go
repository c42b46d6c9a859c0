package peer

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
	"github.com/webmsrp/webmsrp/proxy/rendezvous/natstest"
)

// behind is a listener that others reach through a forwarder.
type behind struct {
	net.Listener
	front net.Addr
}

func (b behind) Addr() net.Addr { return b.front }

// unlimited is a bus for those who offer often.
type unlimited struct{ rendezvous.Bus }

func (unlimited) MayOffer(string) bool { return true }

// A meeting is alice and bob in a call at a rendezvous, whose connections can be
// lost.
type meeting struct {
	t          *testing.T
	alice, bob *party
	talk       *msrptest.Forwarder // alice connects to bob through it
	bus        rendezvous.Bus      // of bob
}

type party struct {
	*Peer
	names  *msrptest.Forwarder // to the rendezvous
	events chan Event
}

// meet lets alice call bob; grace is that of both.
func meet(t *testing.T, grace time.Duration, buses ...rendezvous.Bus) *meeting {
	if buses == nil {
		memory := &rendezvous.Memory{}
		buses = []rendezvous.Bus{memory, memory}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m := &meeting{t: t, bus: buses[1], talk: msrptest.Forward(t, l.Addr().String())}
	m.bob = m.start(buses[1], Config{Name: "bob", Listener: behind{l, m.talk.Addr()}, Grace: grace})
	m.alice = m.start(buses[0], Config{Name: "alice", Call: "bob", Grace: grace})
	m.alice.want(t, EventConnected)
	m.bob.want(t, EventConnected)
	require.NoError(t, m.alice.SendText("hello"))
	assert.Equal(t, "hello", m.bob.want(t, EventMessage).Text)
	m.alice.want(t, EventDelivered)
	return m
}

func (m *meeting) start(bus rendezvous.Bus, c Config) *party {
	server := httptest.NewServer(&rendezvous.Server{Bus: unlimited{bus}, Log: slog.New(slog.DiscardHandler), Grace: c.Grace})
	m.t.Cleanup(server.Close)
	p := &party{names: msrptest.Forward(m.t, server.Listener.Addr().String()), events: make(chan Event, 10_000)}
	c.Rendezvous = "ws://" + p.names.Addr().String()
	var err error
	p.Peer, err = Start(m.t.Context(), c, func(e Event) { p.events <- e })
	require.NoError(m.t, err)
	m.t.Cleanup(p.Close)
	return p
}

// want waits for the next event of one of those names, past others.
func (p *party) want(t *testing.T, names ...string) Event {
	t.Helper()
	timeout := time.After(guard)
	for {
		select {
		case e := <-p.events:
			for _, name := range names {
				if e.Event == name {
					return e
				}
			}
			require.NotContains(t, []string{EventFailed, EventClosed}, e.Event, "%+v", e)
		case <-timeout:
			require.FailNow(t, "no event", "%s: %v", p.config.Name, names)
		}
	}
}

// Messages go both ways while the connections are cut, all at random moments: each
// is there once, in order, and its sender knows it.
func TestCallSurvivesCuts(t *testing.T) {
	messages, cuts := 200, 10
	if os.Getenv("SOAK") != "" {
		messages, cuts = 5000, 500
	}
	seed := rand.Uint64()
	if s := os.Getenv("CUTS_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("CUTS_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	m := meet(t, guard)
	lives := func(least, most int64) (list []int64) {
		for range cuts / 2 {
			list = append(list, least+random.Int64N(most-least))
		}
		return list
	}
	m.talk.Lives(lives(0, 20_000)...)
	m.alice.names.Lives(lives(500, 6000)...)
	m.bob.names.Lives(lives(500, 6000)...)
	for _, f := range []*msrptest.Forwarder{m.talk, m.alice.names, m.bob.names} {
		f.Cut()
	}
	for i := range messages {
		for _, p := range []*party{m.alice, m.bob} {
			require.NoError(t, p.SendText(fmt.Sprint(i)))
		}
	}
	for _, p := range []*party{m.alice, m.bob} {
		for i := range messages {
			require.Equal(t, fmt.Sprint(i), p.want(t, EventMessage).Text, p.config.Name)
		}
		require.NoError(t, p.Drain())
	}
	assert.Zero(t, m.talk.Left(), "cuts that were not made")
}

// Through instances that share names by NATS a call goes on as well, and wherever a
// party comes back.
func TestCallSurvivesOverNATS(t *testing.T) {
	s := natstest.Start(t, 0)
	var buses []rendezvous.Bus
	for range 2 {
		bus, err := rendezvous.ConnectNATS(rendezvous.NATSConfig{Servers: []string{s.ClientURL()}, Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(bus.Close)
		buses = append(buses, bus)
	}
	m := meet(t, guard, buses...)
	for i, wires := range [][]*msrptest.Forwarder{{m.talk}, {m.talk, m.bob.names}, {m.alice.names, m.talk}, {m.alice.names, m.bob.names, m.talk}} {
		for _, w := range wires {
			w.Cut()
		}
		for _, p := range []*party{m.alice, m.bob} {
			require.NoError(t, p.SendText(fmt.Sprint(i)))
		}
		for _, p := range []*party{m.alice, m.bob} {
			assert.Equal(t, fmt.Sprint(i), p.want(t, EventMessage).Text)
		}
	}
}

// A call that nobody comes back to ends, for a reason that can be read, and there is
// room for the next.
func TestCallIsLost(t *testing.T) {
	m := meet(t, 100*time.Millisecond)
	m.alice.names.Down(true)
	m.talk.Down(true)
	assert.NotEmpty(t, m.alice.want(t, EventClosed).Error) // it is bob or the rendezvous
	assert.Contains(t, m.bob.want(t, EventClosed).Error, "alice was lost and has not come back")
	assert.NoError(t, m.bob.ctx.Err())
	m.talk.Down(false)
	carol := m.start(m.bus, Config{Name: "carol", Call: "bob", Grace: guard})
	carol.want(t, EventConnected)
	assert.Equal(t, "carol", m.bob.want(t, EventConnected).Peer)
}

// Who was lost and begins anew does not find the other busy with the call before.
func TestBegunAnew(t *testing.T) {
	m := meet(t, guard)
	m.alice.names.Down(true)
	m.talk.Cut()
	m.bob.want(t, EventLost)
	again := m.start(m.bus, Config{Name: "alice", Call: "bob", Grace: guard})
	again.want(t, EventConnected)
	require.NoError(t, again.SendText("me again"))
	for m.bob.want(t, EventConnected, EventClosed).Event != EventConnected {
	}
	again.want(t, EventDelivered)
}
