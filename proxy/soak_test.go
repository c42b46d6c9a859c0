//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/digest"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
)

const (
	// maxHeapGrowth is how much more may live after a round than after the first:
	// what is remembered of the last minutes, such as nonces, differs.
	maxHeapGrowth = 4 << 20
	// churnEvery is how often another client comes to each instance.
	churnEvery = 50 * time.Millisecond
	// patience is longer than the relay has with anybody.
	patience = 3 * time.Minute
)

// Two relays under a mixed load: people who talk, to each other, across the
// relays and with peers over TCP and TLS, and twenty connections a second at each
// that come, do something good or bad, and go. After each round nothing of it is
// left: no goroutine, no descriptor, no memory, and no gauge is above zero. What
// was said between those who mean well has all arrived.
//
// SOAK=1 makes it an hour, SOAK_TIME something else, such as 10m.
func TestSoak(t *testing.T) {
	length := 6 * time.Second
	if os.Getenv("SOAK") != "" {
		length = time.Hour
	}
	if text := os.Getenv("SOAK_TIME"); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		require.NoError(t, err)
	}

	rounds := 1
	if length > 10*time.Minute {
		rounds = 7 // of which the first fills what is filled once
	}
	trust := newTrust(t)
	l := newLoad(t, trust)
	started := map[*instance]sample{}
	for _, secure := range []bool{true, false} {
		in := startInstance(t, trust, secure)
		l.instances = append(l.instances, in)
		in.room = l.room(in)
		for in.sample(t)[`webmsrp_connections{kind="tcp",opened_by="them"}`] == 0 {
			time.Sleep(time.Millisecond)
		}
		in.collect(t)
		started[in] = in.sample(t)
	}
	begin := time.Now()
	for round := range rounds {
		share := length / time.Duration(rounds)
		until := begin.Add(share * time.Duration(round+1))
		l.run(time.Until(until)-min(share/4, 20*time.Second), trust.renew) // the rest is for what comes to its end by itself
		for _, in := range l.instances {
			now := in.settle(t, started[in])
			in.collect(t)
			heap := in.sample(t)["go_gc_heap_live_bytes"]
			t.Logf("%s, round %d of %d: %s, heap %.2f MiB, RSS %.1f MiB, CPU %.1f s", in.name, round+1, rounds, now, heap/(1<<20),
				now["process_resident_memory_bytes"]/(1<<20), now["process_cpu_seconds_total"])
			if round == 0 && rounds > 1 {
				started[in]["go_gc_heap_live_bytes"] = heap
			}
			assert.Less(t, heap, started[in]["go_gc_heap_live_bytes"]+maxHeapGrowth, "%s, round %d: the heap grows", in.name, round+1)
			assert.Zero(t, in.errors.Load(), "%s says that something is wrong", in.name)
		}
		l.release()
	}
	t.Log(l.summary())
	for _, in := range l.instances {
		assert.Positive(t, in.reread.Load(), "%s read no new certificate", in.name)
		require.NoError(t, in.cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, wait(t, in.cmd))
	}
}

// A trust is the certificate of the relays, in files that are replaced from time
// to time, and the users.
type trust struct {
	dir   string
	roots *x509.CertPool
	pairs []tls.Certificate
	age   int
}

const users = 40

func userName(n int) string { return fmt.Sprint("user", n%users) }

func newTrust(t *testing.T) *trust {
	tr := &trust{dir: t.TempDir(), roots: x509.NewCertPool()}
	var authorities []byte
	for range 3 { // two for the relays in turn, one for peers
		pair, err := msrpnet.SelfSigned("localhost", "127.0.0.1")
		require.NoError(t, err)
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		require.NoError(t, err)
		tr.roots.AddCert(leaf)
		tr.pairs = append(tr.pairs, pair)
		authorities = append(authorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})...)
	}
	require.NoError(t, os.WriteFile(tr.file("ca.pem"), authorities, 0o600))
	require.NoError(t, tr.renew())
	return tr
}

func (tr *trust) file(name string) string { return filepath.Join(tr.dir, name) }

// renew writes the files once more: another certificate, and the users with one
// who comes and goes.
func (tr *trust) renew() error {
	pair := tr.pairs[tr.age%2]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return err
	}
	var list strings.Builder
	for n := range users + tr.age%2 {
		name := fmt.Sprint("user", n)
		fmt.Fprintf(&list, "%s:localhost:%s\n", name, digest.HA1(digest.SHA256, name, "localhost", "secret"))
	}
	tr.age++
	at := time.Now().Add(time.Duration(tr.age) * time.Second)
	for name, data := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"users":    []byte(list.String()),
	} {
		if err := os.WriteFile(tr.file(name+".new"), data, 0o600); err != nil {
			return err
		}
		if err := os.Chtimes(tr.file(name+".new"), at, at); err != nil {
			return err
		}
		if err := os.Rename(tr.file(name+".new"), tr.file(name)); err != nil {
			return err
		}
	}
	return nil
}

// An instance is a webmsrp serve in a process of its own.
type instance struct {
	name   string
	secure bool // its WebSockets are over TLS, or else it stands behind a proxy
	cmd    *exec.Cmd
	client *http.Client // of its metrics
	room   *room        // at it

	listen, msrps, msrp, admin string // addresses

	errors, reread atomic.Int64 // lines of its log
}

var readyLine = regexp.MustCompile(`msg=ready page=https?://(\S+)/ msrps=(\S+) msrp=(\S+) admin=(\S+)`)

func startInstance(t *testing.T, tr *trust, secure bool) *instance {
	in := &instance{name: "behind a proxy", secure: secure, client: &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}}
	args := []string{
		"serve", "--listen=127.0.0.1:0", "--msrps-listen=127.0.0.1:0", "--msrp-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--plain-peers",
		"--public-host=localhost", "--users=" + tr.file("users"), "--tls-cert=" + tr.file("cert.pem"), "--tls-key=" + tr.file("key.pem"),
		"--peer-ca=" + tr.file("ca.pem"), "--peer-allow=127.0.0.0/8:1024-65535,[::1]:1024-65535",
	}
	if in.secure {
		in.name = "with TLS"
	} else {
		args = append(args, "--trusted-proxy=127.0.0.1")
	}
	in.cmd = exec.Command(os.Args[0], args...)
	in.cmd.Env = append(os.Environ(), asProgram+"=1")
	in.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := in.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, in.cmd.Start())
	t.Cleanup(func() {
		in.client.CloseIdleConnections()
		in.cmd.Process.Kill()
	})
	ready := make(chan []string, 1)
	go func() {
		for lines := bufio.NewReader(log); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				close(ready)
				return
			}
			switch {
			case strings.Contains(line, "msg=ready"):
				ready <- readyLine.FindStringSubmatch(line)
			case strings.Contains(line, "was read again"):
				in.reread.Add(1)
			case strings.Contains(line, "the new certificate cannot be used"): // half a pair
			case strings.Contains(line, "level=ERROR"), !strings.Contains(line, "level="): // a panic, or the stacks that were asked for
				in.errors.Add(1)
				io.WriteString(os.Stderr, line)
			}
		}
	}()
	select {
	case m := <-ready:
		require.Len(t, m, 5, "it does not start")
		in.listen, in.msrps, in.msrp, in.admin = m[1], m[2], m[3], m[4]
	case <-time.After(20 * time.Second):
		require.FailNow(t, "it does not start")
	}
	return in
}

// A sample is what an instance's metrics say.
type sample map[string]float64

func (s sample) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f descriptors", s["go_goroutines"], s["process_open_fds"])
}

func (in *instance) sample(t *testing.T) sample {
	r, err := in.client.Get("http://" + in.admin + "/metrics")
	require.NoError(t, err, in.name)
	text, err := io.ReadAll(r.Body)
	r.Body.Close()
	require.NoError(t, err)
	s, gauges := sample{}, map[string]bool{}
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		if words[0] == "#" {
			gauges[words[2]] = words[1] == "TYPE" && words[3] == "gauge"
			continue
		}
		name, _, _ := strings.Cut(words[0], "{")
		if gauges[name] || strings.HasPrefix(name, "go_gc_") || strings.HasPrefix(name, "process_") {
			s[words[0]], err = strconv.ParseFloat(words[1], 64)
			require.NoError(t, err)
		}
	}
	return s
}

// above says what is higher than it was.
func (s sample) above(before sample) (higher []string) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if s[name] > before[name] && (strings.HasPrefix(name, "webmsrp_") || name == "go_goroutines" || name == "process_open_fds") {
			higher = append(higher, fmt.Sprintf("%s is %v and was %v", name, s[name], before[name]))
		}
	}
	return higher
}

// settle waits until everything is as it was before.
func (in *instance) settle(t *testing.T, before sample) sample {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		now := in.sample(t)
		higher := now.above(before)
		if len(higher) == 0 {
			return now
		}
		if time.Now().After(deadline) {
			in.cmd.Process.Signal(syscall.SIGQUIT) // shows its stacks
			in.cmd.Wait()
			require.FailNow(t, in.name+" does not let go", strings.Join(higher, "\n"))
		}
	}
}

// collect waits for the second garbage collection from now on, which leaves
// nothing in pools. Asking for metrics makes the garbage for it.
func (in *instance) collect(t *testing.T) {
	t.Helper()
	const count = "go_gc_duration_seconds_count"
	begin := in.sample(t)[count]
	for deadline := time.Now().Add(patience); in.sample(t)[count] < begin+2; {
		require.True(t, time.Now().Before(deadline), "no garbage collection")
	}
}

// tally counts by name.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *tally) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[name] += n
}

func (c *tally) summary() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.counts)) {
		parts = append(parts, fmt.Sprint(name, " ", c.counts[name]))
	}
	return strings.Join(parts, ", ")
}
