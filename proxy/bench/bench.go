//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type bench struct {
	relayProgram string
	rounds       int
	length       time.Duration
	clients      int
	only         *regexp.Regexp

	dir                      string
	peer                     *peer
	relay, haproxy, kamailio *server // the latter two nil where they are absent
	goals                    []string
}

// A figure is what one round has measured.
type figure struct {
	messages, octets float64 // a second
	cpu              float64 // of the server, microseconds a message
	mallocs          float64 // of the relay, a message
	p50, p99         float64 // microseconds
	down             float64 // the p99 of what goes the other way, microseconds
	memory           float64 // by which the server grew, octets
}

func (b *bench) run() error {
	var err error
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.peer = newPeer()
	defer b.peer.close()
	if b.relay, err = startRelay(b.relayProgram, b.dir, "127.0.0.1", false); err != nil {
		return err
	}
	defer b.relay.stop()
	if b.haproxy, err = startHAProxy(b.dir, b.peer.listener.Addr().String()); err == nil {
		defer b.haproxy.stop()
	} else if !errors.Is(err, errAbsent) {
		return err
	}
	if b.kamailio, err = startKamailio(b.dir); err == nil {
		defer b.kamailio.stop()
	} else if !errors.Is(err, errAbsent) {
		return err
	}

	rates := func(f figure) string {
		return fmt.Sprintf("%9.0f msg/s %7.1f MB/s %7.2f µs CPU/msg", f.messages, f.octets/1e6, f.cpu)
	}
	for _, size := range []int{100, 2 << 10, 10 << 10} {
		least := map[int]float64{100: 10, 2 << 10: 6, 10 << 10: 3}[size]
		b.compare(fmt.Sprintf("up, answered, %d B", size), b.kamailio, "kamailio", rates, func(s *server) (figure, error) {
			return b.up(s, size, true)
		}, goal{"messages/s", func(f figure) float64 { return f.messages }, least, math.Inf(1)},
			goal{"CPU", func(f figure) float64 { return f.cpu }, 0, 0})
	}
	b.compare("paced, answered, 50 clients, 100 B", b.kamailio, "kamailio", rates, func(s *server) (figure, error) {
		return b.paced(s, 50, 10_000)
	}, goal{"CPU", func(f figure) float64 { return f.cpu }, 0, 1})
	for _, size := range []int{100, 2 << 10, 16 << 10, 64 << 10} {
		var least float64
		if size >= 16<<10 {
			least = 1.15
		}
		b.compare(fmt.Sprintf("up, %d B", size), b.haproxy, "haproxy", rates, func(s *server) (figure, error) {
			return b.up(s, size, false)
		}, goal{"MB/s", func(f figure) float64 { return f.octets }, least, math.Inf(1)})
	}
	for _, size := range []int{16 << 10, 64 << 10} {
		least := map[int]float64{16 << 10: 1.15, 64 << 10: 0.85}[size]
		b.compare(fmt.Sprintf("down, %d B", size), b.haproxy, "haproxy", rates, func(s *server) (figure, error) {
			return b.down(s, size)
		}, goal{"MB/s", func(f figure) float64 { return f.octets }, least, math.Inf(1)})
	}
	b.compare("round trip", b.haproxy, "haproxy", func(f figure) string {
		return fmt.Sprintf("p50 %5.0f µs, p99 %5.0f µs", f.p50, f.p99)
	}, b.roundTrip, goal{"p50", func(f figure) float64 { return f.p50 }, 0, 1.5})
	b.allocations()
	b.fairness()
	b.overLink()
	b.stalled()
	b.idle("ws", false, 12<<10)
	b.idle("wss", true, 30<<10)

	fmt.Println("\nGoals")
	for _, g := range b.goals {
		fmt.Println(" ", g)
	}
	return nil
}

// A goal is a range for the ratio of the relay's figure to the baseline's. One
// of no width is no goal: the ratio is shown only.
type goal struct {
	what        string
	of          func(figure) float64
	least, most float64
}

// compare takes rounds of the relay and of the baseline in turn.
func (b *bench) compare(name string, baseline *server, baselineName string, show func(figure) string, measure func(*server) (figure, error), goals ...goal) {
	if !b.only.MatchString(name) {
		return
	}
	var ours, theirs []figure
	for range b.rounds {
		for _, side := range []struct {
			s   *server
			all *[]figure
		}{{b.relay, &ours}, {baseline, &theirs}} {
			if side.s == nil {
				continue
			}
			f, err := measure(side.s)
			if err != nil {
				fmt.Printf("%s, %s: %v\n%s", name, side.s.name, err, &side.s.log)
				continue
			}
			*side.all = append(*side.all, f)
		}
	}
	line := func(who string, all []figure) {
		if len(all) > 0 {
			fmt.Printf("%-36s %-9s %s\n", name, who, show(medians(all)))
		}
	}
	line("relay", ours)
	line(baselineName, theirs)
	if len(theirs) == 0 {
		fmt.Printf("%-36s NOT COMPARED: %s is not here\n", name, baselineName)
	}
	for _, g := range goals {
		var ratios []float64
		for i := range min(len(ours), len(theirs)) {
			ratios = append(ratios, g.of(ours[i])/g.of(theirs[i]))
		}
		what := fmt.Sprintf("%s: %s of %s's", name, g.what, baselineName)
		switch {
		case len(ratios) == 0 && g.least+g.most > 0:
			b.goals = append(b.goals, fmt.Sprintf("%-60s NOT COMPARED", what))
		case len(ratios) == 0:
		case g.least == 0 && g.most == 0, g.least == 0 && math.IsInf(g.most, 1):
			fmt.Printf("%-36s %s ratio %.2f\n", name, g.what, median(ratios))
		default:
			b.judge(what, median(ratios), g.least, g.most, "×")
		}
	}
}

// judge enters a figure beside its goal.
func (b *bench) judge(what string, value, least, most float64, unit string) {
	verdict := "reached"
	if !(value >= least && value <= most) {
		verdict = "NOT REACHED"
	}
	want := fmt.Sprintf("at most %.4g", most)
	if math.IsInf(most, 1) {
		want = fmt.Sprintf("at least %.4g", least)
	}
	b.goals = append(b.goals, fmt.Sprintf("%-60s %8.3g %-6s %-14s %s", what, value, unit, want, verdict))
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func medians(all []figure) figure {
	of := func(f func(figure) float64) float64 {
		var values []float64
		for _, one := range all {
			values = append(values, f(one))
		}
		return median(values)
	}
	return figure{
		of(func(f figure) float64 { return f.messages }), of(func(f figure) float64 { return f.octets }),
		of(func(f figure) float64 { return f.cpu }), of(func(f figure) float64 { return f.mallocs }),
		of(func(f figure) float64 { return f.p50 }), of(func(f figure) float64 { return f.p99 }),
		of(func(f figure) float64 { return f.down }), of(func(f figure) float64 { return f.memory }),
	}
}

// measure takes the figures of what passes while others make it pass.
func (b *bench) measure(s *server, messages, octets *atomic.Int64) figure {
	time.Sleep(b.length / 3)
	var f figure
	var mallocs float64
	if s == b.relay {
		mallocs = s.mallocs()
	}
	start, cpu, m, o := time.Now(), s.cpu(), messages.Load(), octets.Load()
	time.Sleep(b.length)
	took, count := time.Since(start), float64(messages.Load()-m)
	f.messages = count / took.Seconds()
	f.octets = float64(octets.Load()-o) / took.Seconds()
	f.cpu = float64(s.cpu()-cpu) / 1e3 / count
	if s == b.relay {
		f.mallocs = (s.mallocs() - mallocs) / count
	}
	return f
}

// text makes a body of letters.
func text(n int) []byte { return bytes.Repeat([]byte("MSRP for the Web "), n/17+1)[:n] }

// open makes a client of a server, or what passes for one at haproxy.
func (b *bench) open(s *server) (*client, error) {
	if s != b.haproxy {
		return connect(s, 0)
	}
	c, err := dialPlain(s)
	return &client{conn: c, uri: "msrp://127.0.0.1:9/al1ceS3ss10n;tcp", path: ""}, err
}

// to returns the path from a client to the peer.
func (b *bench) to(c *client) string { return strings.TrimSpace(c.path + " " + b.peer.uri) }

// window is how many octets may wait for their answers, about as in browsers.
const window = 1 << 20

// up measures messages of one client to the peer, as fast as they go.
func (b *bench) up(s *server, size int, answered bool) (figure, error) {
	c, err := b.open(s)
	if err != nil {
		return figure{}, err
	}
	stop := b.flood(c, b.peer, size, answered)
	f := b.measure(s, &b.peer.messages, &b.peer.octets)
	err = stop()
	for {
		select {
		case <-b.peer.connected:
		default:
			return f, err
		}
	}
}

// flood sends messages of a client to a peer as fast as they go until stop is
// called, which closes the client and says what else came back than 200s.
func (b *bench) flood(c *client, p *peer, size int, answered bool) (stop func() error) {
	msg := message(strings.TrimSpace(c.path+" "+p.uri), c.uri, text(size), answered)
	batch := newBatch(msg, max(1, 64<<10/len(msg)), c.webSocket)
	var answers atomic.Int64
	more := make(chan struct{}, 1)
	failed := make(chan error, 1)
	go func() {
		defer close(more)
		for {
			got, err := c.next()
			if err != nil {
				return
			}
			if !bytes.Contains(got[:min(len(got), 60)], []byte(" 200 OK\r\n")) {
				failed <- fmt.Errorf("got %.200q", got)
				return
			}
			answers.Add(1)
			if c.in.Buffered() == 0 {
				select {
				case more <- struct{}{}:
				default:
				}
			}
		}
	}()
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sent := int64(0); !over.Load(); sent += int64(batch.count) {
			for answered && (sent-answers.Load())*int64(len(msg)) > window {
				if _, ok := <-more; !ok {
					return
				}
			}
			if err := batch.write(c); err != nil {
				return
			}
		}
	}()
	return func() error {
		over.Store(true)
		c.Close()
		<-done
		select {
		case err := <-failed:
			return err
		default:
			return nil
		}
	}
}

// down measures messages of the peer to one client.
func (b *bench) down(s *server, size int) (figure, error) {
	c, err := b.open(s)
	if err != nil {
		return figure{}, err
	}
	defer c.Close()
	for range len(b.peer.connected) {
		<-b.peer.connected // of who looked whether haproxy listens
	}
	if err := c.send(message(b.to(c), c.uri, text(10), false)); err != nil {
		return figure{}, err
	}
	p := <-b.peer.connected
	defer p.Close()
	to := strings.TrimSpace(c.path + " " + c.uri)
	batch := newBatch(message(to, b.peer.uri, text(size), false), max(1, 64<<10/size), false)
	go func() {
		for batch.write(p) == nil {
		}
	}()
	var messages, octets atomic.Int64
	go func() {
		for {
			msg, err := c.next()
			if err != nil {
				return
			}
			messages.Add(1)
			octets.Add(int64(len(msg)))
		}
	}()
	return b.measure(s, &messages, &octets), nil
}

// paced measures messages of many clients that come one by one, rate of them a
// second in all. The peer has one connection for all, as Kamailio makes it.
func (b *bench) paced(s *server, count, rate int) (figure, error) {
	p := newPeer()
	defer p.close()
	var all []*client
	for range count {
		c, err := connect(s, 0)
		if err != nil {
			return figure{}, err
		}
		defer c.Close()
		all = append(all, c)
	}
	if s == b.relay {
		if _, err := bind(s, p, all...); err != nil {
			return figure{}, err
		}
	}
	var over atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	defer over.Store(true)
	var batches []*batch
	for _, c := range all {
		batches = append(batches, newBatch(message(c.path+" "+p.uri, c.uri, text(100), true), 1, true))
		go func() {
			for {
				if _, err := c.next(); err != nil {
					return
				}
			}
		}()
	}
	wg.Go(func() {
		start := time.Now()
		for sent := 0; !over.Load(); {
			for due := int(time.Since(start).Seconds() * float64(rate)); sent < due; sent++ {
				batches[sent%count].write(all[sent%count])
			}
			time.Sleep(time.Second / time.Duration(rate))
		}
	})
	return b.measure(s, &p.messages, &p.octets), nil
}

// roundTrip measures one message at a time to the peer and one back.
func (b *bench) roundTrip(s *server) (figure, error) {
	p := newPeer()
	defer p.close()
	c, err := connect(b.relay, 0)
	if err != nil {
		return figure{}, err
	}
	defer c.Close()
	to, back := c.path+" "+p.uri, c.path+" "+c.uri
	if s == b.haproxy {
		direct, err := startHAProxy(b.dir, p.listener.Addr().String())
		if err != nil {
			return figure{}, err
		}
		defer direct.stop()
		c.Close()
		if c.conn, err = dialPlain(direct); err != nil {
			return figure{}, err
		}
		defer c.Close()
		to, back = p.uri, c.uri
	}
	reply := message(back, p.uri, text(100), false)
	p.taken = func(c *conn, _ []byte) { c.send(reply) }
	ask := message(to, c.uri, text(100), false)
	var times []float64
	for i := range 1000 {
		start := time.Now()
		if err := c.send(ask); err != nil {
			return figure{}, err
		}
		if _, err := c.next(); err != nil {
			return figure{}, err
		}
		if i >= 300 {
			times = append(times, float64(time.Since(start))/1e3)
		}
	}
	return figure{p50: percentile(times, 50), p99: percentile(times, 99)}, nil
}

func percentile(all []float64, p int) float64 {
	if len(all) == 0 {
		return math.NaN()
	}
	all = slices.Sorted(slices.Values(all))
	return all[min(len(all)-1, len(all)*p/100)]
}

// allocations shows what the relay allocates for small messages.
func (b *bench) allocations() {
	for _, answered := range []bool{false, true} {
		name := "allocations, 100 B"
		if answered {
			name += ", answered"
		}
		if !b.only.MatchString(name) {
			continue
		}
		f, err := b.up(b.relay, 100, answered)
		if err != nil {
			fmt.Println(name, err)
			continue
		}
		fmt.Printf("%-36s %-9s %.2f a message, %.2f µs CPU\n", name, "relay", f.mallocs, f.cpu)
		if !answered {
			b.judge(name, f.mallocs, 0, 0.1, "/msg")
		}
	}
}

// idle measures the memory of clients that have a token, are known to a peer
// and say nothing.
func (b *bench) idle(kind string, secure bool, most float64) {
	name := fmt.Sprintf("memory, %d idle over %s", b.clients, kind)
	if !b.only.MatchString(name) {
		return
	}
	s, err := startRelay(b.relayProgram, b.dir, "127.0.0.1", secure)
	if err != nil {
		fmt.Println(name, err)
		return
	}
	defer s.stop()
	p := newPeer()
	defer p.close()
	all := make([]*client, 0, b.clients)
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	begin := func(count int) error {
		batch := all[len(all):len(all)]
		for range count {
			c, err := connect(s, len(all)+1)
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		_, err := bind(s, p, batch[:count]...)
		return err
	}
	// Whatever the first hundred bring into being is not theirs.
	if err := begin(100); err != nil {
		fmt.Println(name, err)
		return
	}
	before := s.rss()
	for len(all)+100 <= b.clients {
		if err := begin(100); err != nil {
			fmt.Println(name, err)
			return
		}
	}
	time.Sleep(2 * time.Second)
	each := float64(s.rss()-before) / float64(len(all)-100)
	fmt.Printf("%-36s %-9s %.1f KiB each; heap %.1f, stacks %.1f\n", name, "relay", each/1024,
		s.metric("go_memstats_heap_inuse_bytes")/float64(len(all))/1024, s.metric("go_memstats_stack_inuse_bytes")/float64(len(all))/1024)
	b.judge(name, each/1024, 0, most/1024, "KiB")
}
