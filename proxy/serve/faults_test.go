package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/sdp"
	"github.com/webmsrp/webmsrp/proxy/bridge"
	"github.com/webmsrp/webmsrp/proxy/credential"
)

// A conversation is one of those that alice and bob have at the same time.
type conversation struct {
	name    string
	secure  bool
	chained bool // through the second relay as well
	dials   bool // bob connects, to the relay that is nearest to him
	resends bool // both
}

var conversations = []conversation{
	{"chained", true, true, false, true},
	{"plain", false, false, true, true},
	{"chained-once", true, true, true, false},
	{"direct-once", true, false, false, false},
}

// passes reports whether a process has to do with the conversation.
func (c conversation) passes(process string) bool { return process != "upstream" || c.chained }

// TestFaults kills the relays between alice and bob, and bob, with SIGKILL: at any
// moment, again and again, while messages go both ways. Of every message its
// sender learns what became of it, and rightly so:
//
//   - Delivered, by a success report, is with the receiver, once and octet by octet.
//   - Failed, by a code about the message other than 408, is not.
//   - Without either, or with 408, it may have arrived; where the sender sends it
//     again under its Message-ID until it is delivered, it is there once.
//   - Who asks for no success report learns from the 200 that the next hop has it.
//     It is lost only with a relay further on, which is what success reports are
//     for; with the next hop the connection goes, and that tells.
func TestFaults(t *testing.T) {
	for _, id := range []string{"S-10", "S-11", "R-24"} {
		t.Attr("requirement", id)
	}
	kills := 20
	if os.Getenv("SOAK") != "" {
		kills = 300
	}
	seed := rand.Uint64()
	if s := os.Getenv("FAULTS_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("FAULTS_SEED=%d", seed)
	f := newFaults(t)
	f.start("proxy")
	f.start("upstream")
	f.start("bob")
	down := slices.Clone(f.threads)
	random := rand.New(rand.NewPCG(seed, 0))
	killed, large, interrupted := map[string]int{}, 0, 0
	for range kills {
		up := f.setUp(down)
		f.moment(random)
		process := []string{"proxy", "upstream", "bob"}[random.IntN(3)]
		if slices.ContainsFunc(f.threads, func(th *thread) bool { return th.alice.large.Load() > 0 }) {
			large++
		}
		f.kill(process)
		killed[process]++
		if down = <-up; len(down) > 0 {
			interrupted++ // these could not be set up
		}
		for _, th := range f.threads {
			if th.passes(process) && !slices.Contains(down, th) {
				down = append(down, th)
			}
		}
		restart := sync.OnceFunc(func() { f.start(process) })
		if random.IntN(2) == 0 {
			restart()
		}
		f.settle(down, process)
		restart()
	}
	require.Empty(t, <-f.setUp(down), "cannot be set up, though nothing was killed")
	f.finish()
	t.Logf("%d kills (%v), %d of them with a large message under way, %d while sessions were set up", kills, killed, large, interrupted)
	alice, _ := readAccount(t, filepath.Join(f.dir, "alice"))
	bob, _ := readAccount(t, filepath.Join(f.dir, "bob"))
	check(t, "alice", alice, bob)
	check(t, "bob", bob, alice)
	assert.NotZero(t, large)
}

// A thread is a conversation as alice has it.
type thread struct {
	conversation
	call  *call.Call
	alice *talker
}

type faults struct {
	t     *testing.T
	ctx   context.Context
	dir   string
	args  map[string][]string // of the relays
	roots *x509.CertPool

	certificate, key string // files

	listen, upstream string // addresses of the proxy's WebSockets, and of the upstream's MSRP
	http             *http.Client
	endpoint         *msrp.Endpoint
	ledger           *ledger
	threads          []*thread

	processes map[string]*exec.Cmd // only the test's goroutine
	bob       *remoteParty

	mu   sync.Mutex
	conn *msrp.Conn // to the proxy
}

func newFaults(t *testing.T) *faults {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	t.Cleanup(cancel)
	certificate, common := files(t)
	f := &faults{
		t: t, ctx: ctx, dir: t.TempDir(), roots: x509.NewCertPool(), processes: map[string]*exec.Cmd{}, endpoint: msrp.NewEndpoint(nil),
		certificate: strings.TrimPrefix(common[0], "--tls-cert="), key: strings.TrimPrefix(common[1], "--tls-key="),
	}
	f.roots.AddCert(certificate)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.roots, ServerName: "localhost"}}
	t.Cleanup(transport.CloseIdleConnections)
	f.http = &http.Client{Transport: transport}
	f.ledger = openLedger(t, filepath.Join(f.dir, "alice"))
	f.listen, f.upstream = fixedAddress(t), fixedAddress(t)
	common = append(common, "--admin-listen=", "--peer-allow=localhost,127.0.0.1", "--peer-ca="+f.certificate, "--log-level=error",
		"--max-tokens-per-user=10000") // those at the upstream outlive the proxy
	f.args = map[string][]string{
		"proxy":    append(slices.Clone(common), "--listen="+f.listen, "--msrps-listen="+fixedAddress(t), "--plain-peers", "--msrp-listen="+fixedAddress(t)),
		"upstream": append(slices.Clone(common), "--public-host=127.0.0.1", "--msrps-listen="+f.upstream),
	}
	for _, c := range conversations {
		alice := newTalker(c.name, f.ledger, c.resends)
		f.threads = append(f.threads, &thread{
			c, call.New(call.Options{Endpoint: f.endpoint, Host: place{f, c.chained}, Secure: c.secure, Session: alice.terms()}), alice,
		})
	}
	return f
}

// fixedAddress returns an address to listen on, again and again: its port is not
// one of those that connections get.
func fixedAddress(t *testing.T) string {
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err == nil {
			l.Close()
			return l.Addr().String()
		}
	}
	require.FailNow(t, "no free port")
	return ""
}

func (f *faults) start(process string) {
	if process == "bob" {
		f.processes[process], f.bob = launchBob(f.t, filepath.Join(f.dir, "bob"), f.certificate, f.key)
		return
	}
	_, f.processes[process] = launchInstance(f.t, os.Stderr, f.args[process]...)
}

func (f *faults) kill(process string) {
	cmd := f.processes[process]
	require.NoError(f.t, cmd.Process.Kill())
	cmd.Wait()
}

// moment waits for a random one: until so many things have happened, or so much
// time is over, which is as long as it takes to set up a conversation.
func (f *faults) moment(random *rand.Rand) {
	if random.IntN(3) == 0 {
		time.Sleep(time.Duration(random.Int64N(int64(100 * time.Millisecond))))
		return
	}
	until := f.ledger.written.Load() + random.Int64N(400)
	eventually(f.t, "messages flow", func() bool { return f.ledger.written.Load() >= until })
}

// setUp begins to set conversations up, and sends those that could not be.
func (f *faults) setUp(threads []*thread) (left chan []*thread) {
	left = make(chan []*thread, 1)
	bob := f.bob
	go func() {
		var mu sync.Mutex
		var failed []*thread
		var wg sync.WaitGroup
		for _, th := range threads {
			wg.Go(func() {
				if err := f.connect(th, bob); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = append(failed, th)
				}
			})
		}
		wg.Wait()
		left <- failed
	}()
	return left
}

func (f *faults) connect(t *thread, bob *remoteParty) error {
	ctx, cancel := context.WithTimeout(f.ctx, guard)
	defer cancel()
	err := func() error {
		offer, err := t.call.Renew(ctx)
		if err != nil {
			return err
		}
		answer, err := bob.ask(ctx, "answer", t.name, offer)
		if err == nil {
			err = t.call.Accept(ctx, answer)
		}
		if err != nil {
			t.call.Rollback()
		}
		return err
	}()
	if err == nil {
		t.alice.connect(t.call.Session())
	}
	assert.NoError(f.t, ctx.Err(), "%s is neither set up nor refused", t.name)
	return err
}

// settle waits until both know what became of all they sent, in the
// conversations of those who do not send again.
func (f *faults) settle(threads []*thread, killed string) {
	ctx, cancel := context.WithTimeout(f.ctx, guard)
	defer cancel()
	var wg sync.WaitGroup
	for _, t := range threads {
		if t.resends {
			continue
		}
		wg.Go(func() { t.alice.pause(killed) })
		if killed != "bob" {
			wg.Go(func() {
				_, err := f.bob.ask(ctx, "pause", t.name, killed)
				assert.NoError(f.t, err)
			})
		}
	}
	f.wait(&wg)
}

func (f *faults) wait(wg *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(guard):
		require.FailNow(f.t, "of some message nobody is told")
	}
}

// finish ends the conversations once every message has its outcome.
func (f *faults) finish() {
	var wg sync.WaitGroup
	tell := func(do string, th *thread) {
		wg.Go(func() {
			_, err := f.bob.ask(f.ctx, do, th.name, "")
			assert.NoError(f.t, err)
		})
	}
	for _, th := range f.threads {
		wg.Go(th.alice.stop)
		tell("stop", th)
	}
	f.wait(&wg)
	for _, th := range f.threads {
		th.call.Close()
		wg.Go(th.alice.wg.Wait)
		tell("close", th)
	}
	f.wait(&wg)
	f.conn.Close()
}

// check compares what a sender was told with what the receiver got.
func check(t *testing.T, sender string, from, to account) {
	counts := map[string]int{}
	arrived := 0
	for _, id := range from.out {
		name := from.about[id]
		c := conversations[slices.IndexFunc(conversations, func(c conversation) bool { return c.name == name })]
		what := fmt.Sprintf("message %s of %s in %s", id, sender, name)
		if !assert.Len(t, from.told[id], 1, "%s has one outcome", what) {
			continue
		}
		outcome, killed, _ := strings.Cut(from.told[id][0], " ")
		counts[outcome]++
		got := to.in[id]
		arrived += len(got)
		if len(got) > 0 {
			assert.Equal(t, []string{"good"}, got, what)
		}
		switch outcome {
		case delivered:
			assert.Len(t, got, 1, "%s was delivered", what)
		case failed:
			assert.Empty(t, got, "%s failed", what)
		case taken:
			// Of the relays between the next hop and the receiver.
			further := map[string]string{"alice": "upstream", "bob": "proxy"}[sender]
			if !c.chained || !strings.Contains(killed, further) {
				assert.Len(t, got, 1, "%s was taken, and no relay further on died, but %q", what, killed)
			} else if len(got) == 0 {
				counts["lost with a relay further on"]++
			}
		}
		if c.resends {
			assert.Equal(t, delivered, outcome, what)
		}
	}
	for id := range to.in {
		assert.NotEmpty(t, from.about[id], "nobody sent %s", id)
	}
	t.Logf("%s: %d messages, %d arrived, %d times sent again; outcomes %v", sender, len(from.out), arrived, from.again, counts)
}

// A place is where alice is reached: at the proxy, and at the upstream relay
// behind it.
type place struct {
	*faults
	chained bool
}

// connection returns the WebSocket to the proxy, a new one if need be.
func (f *faults) connection(ctx context.Context) (*msrp.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn != nil && f.conn.Err() == nil {
		return f.conn, nil
	}
	ws, err := bridge.DialWebSocket(ctx, "wss://"+f.listen+"/msrp", 1<<20, f.http)
	if err != nil {
		return nil, err
	}
	f.conn = f.endpoint.NewConn(msrp.NewMessages(ws))
	return f.conn, nil
}

// Place implements [call.Host].
func (p place) Place(ctx context.Context, secure bool) (*call.Place, error) {
	conn, err := p.connection(ctx)
	if err != nil {
		return nil, err
	}
	username, password := credential.Mint("north", "alice", time.Now().Add(time.Hour))
	relay := func(secure bool) (msrp.URI, error) { return call.RelayURI("wss://"+p.listen+"/msrp", secure) }
	if !p.chained {
		host := &call.RelayHost{
			Conn: conn, Transport: msrp.TransportWS, Relay: relay,
			Credentials: func(context.Context) (string, string, error) { return username, password, nil },
		}
		return host.Place(ctx, secure)
	}
	own, err := msrp.MakeURI(secure, msrp.NewID()+".invalid", msrp.DefaultPort, msrp.NewID(), msrp.TransportWS)
	if err != nil {
		return nil, err
	}
	nearest, err := relay(secure)
	if err != nil {
		return nil, err
	}
	near, err := conn.Authenticate(ctx, msrp.Auth{Relay: msrp.Path{nearest}, URI: own, Username: username, Password: password})
	if err != nil {
		return nil, err
	}
	next, err := msrp.ParsePath("msrps://" + p.upstream + ";tcp")
	if err != nil {
		return nil, err
	}
	far, err := conn.Authenticate(ctx, msrp.Auth{Relay: near.UsePath.Join(next...), URI: own, Username: username, Password: password})
	if err != nil {
		return nil, err
	}
	return &call.Place{URI: own, Path: far.PathFor(own), UsePath: far.UsePath, Conn: conn, Setup: sdp.ActPass, ChunkSize: far.ChunkSize}, nil
}
