//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

// octets are those of the n-th message, of which one in twenty is long.
func octets(seed, n uint64) (io.Reader, int64) {
	size := int64(1 + (seed+n*7919)%3000)
	if n%20 == 0 {
		size *= 100
	}
	return msrptest.Octets(size, seed+n), size
}

// say sends one message after the other until stop is closed, at least so many,
// each when the one before is confirmed.
func say(ctx context.Context, stop <-chan struct{}, s *msrp.Session, seed uint64, every time.Duration, least uint64) (uint64, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := uint64(1); ; n++ {
		m := msrp.Text("that is all")
		select {
		case <-stop:
		case <-tick.C:
		}
		stopped := false
		select {
		case <-stop:
			stopped = n > least
		default:
		}
		if !stopped {
			body, size := octets(seed, n)
			m = &msrp.Message{ContentType: "application/octet-stream", Body: body, Size: size, SuccessReport: true}
		}
		out, err := s.Send(ctx, m)
		if err == nil {
			err = out.Delivered(ctx)
		}
		if err != nil {
			return n, fmt.Errorf("message %d of %d octets: %w", n, m.Size, err)
		}
		if stopped {
			return n - 1, nil
		}
	}
}

// hear takes what say sends.
func hear(ctx context.Context, s *msrp.Session, seed uint64) (uint64, error) {
	for n := uint64(1); ; n++ {
		in, err := s.Receive(ctx)
		if err != nil {
			return n, fmt.Errorf("message %d: %w", n, err)
		}
		got, err := io.ReadAll(in)
		if err != nil {
			return n, fmt.Errorf("message %d, of which %d octets came: %w", n, len(got), err)
		}
		if in.ContentType == "text/plain" {
			return n - 1, nil
		}
		body, _ := octets(seed, n)
		if want, _ := io.ReadAll(body); !bytes.Equal(got, want) {
			return n, fmt.Errorf("message %d is not what was sent", n)
		}
	}
}

// A talk is between two who mean well.
type talk struct {
	name       string
	alice, bob side
	secure     bool
	calls      [2]*call.Call
	every      time.Duration
	least      uint64
}

// begin connects the two.
func (k *talk) begin(ctx context.Context) error {
	for i, s := range []side{k.alice, k.bob} {
		k.calls[i] = call.New(call.Options{Endpoint: s.endpoint, Host: s.host, Secure: k.secure})
	}
	offer, err := k.calls[0].Offer(ctx)
	if err != nil {
		return err
	}
	answer, err := k.calls[1].Answer(ctx, offer)
	if err != nil {
		return err
	}
	return k.calls[0].Accept(ctx, answer)
}

func (k *talk) end() {
	for _, c := range k.calls {
		if c != nil {
			c.Close()
		}
	}
	k.alice.close()
	k.bob.close()
}

// run has both talk until stop: all must arrive, equal, in order, once.
func (k *talk) run(ctx context.Context, stop <-chan struct{}) (messages uint64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seed := rand.Uint64() >> 1
	var counts [4]uint64
	var wg sync.WaitGroup
	for i := range 4 {
		s := k.calls[i%2].Session()
		wg.Go(func() {
			var err error
			if i < 2 {
				counts[i], err = say(ctx, stop, s, seed+uint64(i)<<32, k.every, k.least)
			} else {
				counts[i], err = hear(ctx, s, seed+uint64(3-i)<<32)
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err = context.Cause(ctx); err == nil && (counts[0] != counts[3] || counts[1] != counts[2]) {
		err = fmt.Errorf("%d and %d messages were sent, %d and %d came", counts[0], counts[1], counts[3], counts[2])
	}
	return counts[0] + counts[1], err
}

// talks are the conversations that last for a round.
func (l *load) talks(ctx context.Context) []*talk {
	var all []*talk
	number := 0
	browser := func(in *instance, direct bool) side {
		number++
		b, err := l.browser(ctx, in, number)
		require.NoError(l.t, err)
		return b.side(direct)
	}
	for i, in := range l.instances {
		other := l.instances[1-i]
		add := func(name string, secure bool, alice, bob side) {
			all = append(all, &talk{name: name + " " + in.name, alice: alice, bob: bob, secure: secure, every: 200 * time.Millisecond})
		}
		add("two browsers", true, browser(in, true), browser(in, true))
		add("two browsers in relay mode", false, browser(in, false), browser(in, false))
		add("across the relays", true, browser(in, true), browser(other, i == 0))
		add("to a peer over TLS", true, browser(in, true), l.secure.side(true))
		add("to a peer over TCP", false, browser(in, i == 0), l.plain.side(true))
		add("from a peer over TLS", true, browser(in, i == 1), l.secure.side(false))
		add("from a peer over TCP", false, browser(in, true), l.plain.side(false))
	}
	for _, k := range all {
		require.NoError(l.t, k.begin(ctx), k.name)
	}
	return all
}
