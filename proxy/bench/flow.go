//go:build linux

package main

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Small messages of many sessions share a connection with one session that sends
// all it can. What the fair turns of the relay bring shows beside a FIFO: the
// relay itself, with the small messages in the session of the large ones, where
// they cannot go ahead. It is no deeper than its buffers make it; haproxy, with
// all messages on one connection, has the same delays.

// hopRate is what a next hop takes, octets a second.
const hopRate = 100e6

// A scene is 100 clients that chat with a peer, one message a millisecond in all,
// and one that sends it large messages. The peer has one connection for all.
type scene struct {
	s            *server
	p            *peer
	fifo         bool // the small messages are in the session of the large ones
	answered     bool // 200s are wanted for the large ones, though not waited for
	rate         int  // of the large messages, octets a second, 0 for all that goes
	stalled      bool // the peer answers the small ones, and sends to a client that does not read
	warm, length time.Duration
}

// fairness measures how long small messages take to a peer that takes 100 MB/s.
func (b *bench) fairness() {
	name := "fairness, 1 bulk and 100 small"
	if !b.only.MatchString(name) {
		return
	}
	f := b.repeat(name, func() (figure, error) {
		p := newPeer()
		p.rate = hopRate
		return one(scene{s: b.relay, p: p, warm: b.length / 2, length: 2 * b.length}.run(1))
	})
	b.judge(name+": p99", f.p99/1e3, 0, 10, "ms")
	b.judge(name+": bulk", f.octets/1e6, 0.97*hopRate/1e6, math.Inf(1), "MB/s")
}

// overLink measures the same over a long and narrow link, and what one session
// has of it alone.
func (b *bench) overLink() {
	name := "100 Mbit/s, 100 ms"
	if !b.only.MatchString(name) {
		return
	}
	l, err := newLink()
	if err != nil {
		b.skip(name, err)
		return
	}
	defer l.close()
	s, err := startRelay(b.relayProgram, b.dir, nearEnd, false)
	if err != nil {
		b.skip(name, err)
		return
	}
	defer s.stop()
	// The large messages want to be answered, as is usual: then there is an end to
	// how much of them the relay sends ahead. Without, TCP fills the queue of the
	// link every few seconds until packets are lost, and all wait for these.
	beside := func(what string, fifo bool) figure {
		return b.repeat(name+", "+what, func() (figure, error) {
			p, err := l.newPeer()
			if err != nil {
				return figure{}, err
			}
			return one(scene{s: s, p: p, fifo: fifo, answered: true, warm: 4 * b.length, length: 3 * b.length}.run(1))
		})
	}
	fair, fifo := beside("beside bulk", false), beside("FIFO", true)
	b.judge(name+", beside bulk: p99 of a FIFO's", fair.p99/fifo.p99, 0, 0.2, "×")
	for _, answered := range []bool{false, true} {
		what := name + ", alone"
		if answered {
			what += ", answered"
		}
		f := b.repeat(what, func() (figure, error) {
			p, err := l.newPeer()
			if err != nil {
				return figure{}, err
			}
			defer p.close()
			c, err := connect(s, 0)
			if err != nil {
				return figure{}, err
			}
			stop := b.flood(c, p, 64<<10, answered)
			time.Sleep(4 * b.length)
			start, octets := time.Now(), p.octets.Load()
			time.Sleep(3 * b.length)
			f := figure{octets: float64(p.octets.Load()-octets) / time.Since(start).Seconds()}
			return f, stop()
		})
		b.judge(what+": of the link", f.octets/linkRate, 0.9, math.Inf(1), "×")
	}
}

// stalled measures chats and the memory of the relay beside a transfer of 1 GiB
// and a receiver that does not read, whose sender does not heed that. One relay
// takes one transfer; its parts give the figures.
func (b *bench) stalled() {
	const name, size = "stalled, 1 GiB, 100 chats", 1 << 30
	if !b.only.MatchString(name) {
		return
	}
	run := func(what string, rate int, fifo bool) figure {
		s, err := startRelay(b.relayProgram, b.dir, "127.0.0.1", false)
		if err != nil {
			b.skip(name, err)
			return figure{}
		}
		defer s.stop()
		p := newPeer()
		p.rate = hopRate
		length := size * time.Second / hopRate
		if rate > 0 {
			length = size * time.Second / time.Duration(rate)
		}
		all, err := scene{s: s, p: p, rate: rate, stalled: true, fifo: fifo, warm: b.length, length: length / time.Duration(b.rounds)}.run(b.rounds)
		if err != nil {
			b.skip(name, err)
			return figure{}
		}
		f := medians(all)
		f.memory = all[len(all)-1].memory
		fmt.Printf("%-36s %-9s p50 %.1f ms, p99 %.1f ms, back %.1f ms, %.1f MB/s, memory +%.1f MiB\n", name+what, s.name, f.p50/1e3, f.p99/1e3, f.down/1e3, f.octets/1e6, f.memory/(1<<20))
		return f
	}
	paced := run(", paced", 50e6, false)
	b.judge(name+", paced: p99", max(paced.p99, paced.down)/1e3, 0, 10, "ms")
	fair, fifo := run("", 0, false), run(", FIFO", 0, true)
	b.judge(name+": p99 of a FIFO's", fair.p99/fifo.p99, 0, 0.2, "×")
	b.judge(name+": memory", max(paced.memory, fair.memory, fifo.memory)/(1<<20), 0, 64, "MiB")
}

// skip enters what could not be measured.
func (b *bench) skip(name string, why error) {
	fmt.Println(name, why)
	b.goals = append(b.goals, fmt.Sprintf("%-60s NOT MEASURED: %v", name, why))
}

// repeat takes a figure several times and shows the medians.
func (b *bench) repeat(name string, measure func() (figure, error)) figure {
	var all []figure
	for range b.rounds {
		f, err := measure()
		if err != nil {
			b.skip(name, err)
			return figure{p50: math.NaN(), p99: math.NaN(), octets: math.NaN()}
		}
		all = append(all, f)
	}
	f := medians(all)
	fmt.Printf("%-36s %-9s", name, "relay")
	if f.p99 > 0 {
		fmt.Printf(" p50 %.1f ms, p99 %.1f ms,", f.p50/1e3, f.p99/1e3)
	}
	fmt.Printf(" %.1f MB/s\n", f.octets/1e6)
	return f
}

func one(all []figure, err error) (figure, error) { return append(all, figure{})[0], err }

// delays are how long messages took, microseconds.
type delays struct {
	mu    sync.Mutex
	begin time.Time
	all   []float64
}

// add enters a message that says when it was due.
func (d *delays) add(msg []byte) (number int, ok bool) {
	var due time.Duration
	if _, err := fmt.Sscanf(string(line(msg, "due ")), "%d %d", &due, &number); err != nil || len(msg) > 2000 {
		return 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, float64(time.Since(d.begin)-due)/1e3)
	return number, true
}

func (d *delays) take() []float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.all
	d.all = nil
	return all
}

// run takes figures one after the other.
func (sc scene) run(figures int) ([]figure, error) {
	s, p := sc.s, sc.p
	defer p.close()
	var all []*client
	for i := range 102 {
		c, err := connect(s, i+1)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		all = append(all, c)
	}
	bulk, deaf := all[100], all[101]
	begin := time.Now()
	there, back := &delays{begin: begin}, &delays{begin: begin}
	small := func(to, from string, due time.Duration, number int) []byte {
		return message(to, from, fmt.Appendf(nil, "due %d %d\r\n%s", due, number, text(80)), false)
	}
	p.taken = func(c *conn, msg []byte) {
		if i, ok := there.add(msg); ok && sc.stalled {
			c.send(small(all[i].path+" "+all[i].uri, p.uri, time.Since(begin), i))
		}
	}
	shared, err := bind(s, p, all...)
	if err != nil {
		return nil, err
	}
	defer shared.Close()
	for _, c := range all[:101] {
		go func() {
			for {
				msg, err := c.next()
				if err != nil {
					return
				}
				back.add(msg)
			}
		}()
	}
	memory := s.rss()
	var over atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	defer over.Store(true)
	sent := 0
	send := func() { // what is due
		for ; time.Duration(sent)*time.Millisecond < time.Since(begin); sent++ {
			c := all[sent%100]
			if sc.fifo {
				c = bulk
			}
			c.send(small(c.path+" "+p.uri, c.uri, time.Duration(sent)*time.Millisecond, sent%100))
		}
	}
	if !sc.fifo {
		wg.Go(func() {
			for ; !over.Load(); time.Sleep(time.Millisecond) {
				send()
			}
		})
	}
	// flood ends with the connection.
	flood := func(c *conn, msg []byte, rate int, between func()) {
		batch := newBatch(msg, 1, c.webSocket)
		start, octets := time.Now(), 0
		for batch.write(c) == nil {
			if octets += len(msg); rate > 0 {
				time.Sleep(time.Until(start.Add(time.Duration(octets) * time.Second / time.Duration(rate))))
			}
			between()
		}
	}
	between := func() {}
	if sc.fifo {
		between = send
	}
	go flood(bulk.conn, message(bulk.path+" "+p.uri, bulk.uri, text(64<<10), sc.answered), sc.rate, between)
	if sc.stalled {
		go flood(shared, message(deaf.path+" "+deaf.uri, p.uri, text(64<<10), false), 20e6, func() {})
	}
	time.Sleep(sc.warm) // all that is on its way has filled up
	var found []figure
	grown := 0.0
	for range figures {
		there.take()
		back.take()
		start, octets := time.Now(), p.octets.Load()
		for time.Since(start) < sc.length {
			time.Sleep(min(sc.length, 100*time.Millisecond))
			grown = max(grown, float64(s.rss()-memory))
		}
		f := figure{octets: float64(p.octets.Load()-octets) / time.Since(start).Seconds(), memory: grown}
		to, from := there.take(), back.take()
		f.p50, f.p99, f.down = percentile(to, 50), percentile(to, 99), percentile(from, 99)
		found = append(found, f)
	}
	return found, nil
}
