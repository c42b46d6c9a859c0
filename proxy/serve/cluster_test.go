package serve

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/proxy/bridge"
	"github.com/webmsrp/webmsrp/proxy/credential"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
	"github.com/webmsrp/webmsrp/proxy/rendezvous/natstest"
)

// TestInstance is an instance in a process of its own, which TestCluster and
// TestFaults can kill. Its arguments are lines of SERVE_ARGS; it prints where it
// listens.
func TestInstance(t *testing.T) {
	args := os.Getenv("SERVE_ARGS")
	if args == "" {
		t.Skip("is run by TestCluster and TestFaults")
	}
	c, err := Parse(strings.Split(args, "\n"), io.Discard)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		io.Copy(io.Discard, os.Stdin) // ends with the test that runs us
		cancel()
	}()
	require.NoError(t, Run(ctx, c, os.Stderr, func(s *Server) {
		line, _ := json.Marshal(s.Addr)
		fmt.Printf("%s\n", line)
	}))
}

// launchTest runs a test in a process of its own, until this test ends.
func launchTest(t *testing.T, logTo io.Writer, test, variable string) (process *exec.Cmd, in io.WriteCloser, out io.Reader) {
	process = exec.Command(os.Args[0], "-test.run=^"+test+"$")
	process.Env = append(os.Environ(), variable)
	process.Stderr = logTo
	in, err := process.StdinPipe()
	require.NoError(t, err)
	out, err = process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	t.Cleanup(func() {
		process.Process.Kill()
		process.Wait()
	})
	return process, in, out
}

// launchInstance runs TestInstance and returns where it listens.
func launchInstance(t *testing.T, logTo io.Writer, args ...string) (listen string, process *exec.Cmd) {
	process, _, out := launchTest(t, logTo, "TestInstance", "SERVE_ARGS="+strings.Join(args, "\n"))
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err)
	var addr map[string]string
	require.NoError(t, json.Unmarshal(line, &addr), "%s", line)
	return addr["listen"], process
}

// A user is someone at an instance, as a browser is.
type user struct {
	name     string
	endpoint *msrp.Endpoint
	host     *call.RelayHost
	names    *rendezvous.Client
}

// login connects to both WebSockets of an instance.
func login(t *testing.T, listen, name string, roots *x509.CertPool) *user {
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	username, password := credential.Mint("north", name, time.Now().Add(time.Hour))
	ws, err := bridge.DialWebSocket(ctx, "wss://"+listen+"/msrp", 1<<20, client)
	require.NoError(t, err)
	u := &user{name: name, endpoint: msrp.NewEndpoint(nil)}
	conn := u.endpoint.NewConn(msrp.NewMessages(ws))
	t.Cleanup(func() { conn.Close() })
	u.host = &call.RelayHost{
		Conn: conn, Transport: msrp.TransportWS,
		Relay:       func(secure bool) (msrp.URI, error) { return call.RelayURI("wss://"+listen+"/msrp", secure) },
		Credentials: func(context.Context) (string, string, error) { return username, password, nil },
	}
	u.names, err = rendezvous.Dial(ctx, rendezvous.Registration{
		URL: "wss://" + listen + "/rendezvous", Name: name, Username: username, Password: password, HTTPClient: client,
	})
	require.NoError(t, err)
	t.Cleanup(func() { u.names.Close() })
	return u
}

// offer calls once more as long as the callee is not known everywhere yet, or
// NATS is about to be connected again.
func (u *user) offer(ctx context.Context, to, offer string) (answer string, err error) {
	for {
		_, answer, err = u.names.Call(ctx, to, offer)
		var refused *rendezvous.RefusedError
		if errors.As(err, &refused) && (refused.Code == rendezvous.CodeNobody || refused.Code == rendezvous.CodeUnavailable) && ctx.Err() == nil {
			continue
		}
		return answer, err
	}
}

// talk is a session between two, as the caller and the callee have it.
type talk [2]*call.Call

func (u *user) call(t *testing.T, to *user) talk {
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	from, answerer := newCall(u.endpoint, u.host, true), newCall(to.endpoint, to.host, true)
	t.Cleanup(func() { from.Close(); answerer.Close() })
	offer, err := from.Offer(ctx)
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case in := <-to.names.Incoming():
			assert.Equal(t, u.name, in.Peer)
			answer, err := answerer.Answer(ctx, in.Offer)
			if assert.NoError(t, err) {
				assert.NoError(t, in.Answer(answer))
			}
		case <-ctx.Done():
		}
	})
	answer, err := u.offer(ctx, to.name, offer)
	wg.Wait()
	require.NoError(t, err, "%s calls %s", u.name, to.name)
	require.NoError(t, from.Accept(ctx, answer))
	return talk{from, answerer}
}

// chat has both say something that the other confirms.
func (s talk) chat(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	for i, text := range msrptest.Languages {
		from, to := s[i%2].Session(), s[1-i%2].Session()
		out, err := from.Send(ctx, msrp.Text(text))
		require.NoError(t, err)
		require.NoError(t, out.Delivered(ctx))
		require.Equal(t, text, msrptest.Read(t, ctx, to))
	}
}

// A logText is what instances write.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Two instances in production settings and three NATS servers: users of one
// reach those of the other, through both relays; a NATS server and an instance
// can die.
func TestCluster(t *testing.T) {
	var nodes []*server.Server
	var urls []string
	for range 3 {
		node := natstest.Start(t, 0, nodes...)
		nodes = append(nodes, node)
		urls = append(urls, strings.Replace(node.ClientURL(), "nats://", "nats://webmsrp:hunter2@", 1))
	}
	certificate, common := files(t)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	common = append(common, "--realm=example.com", "--peer-allow=localhost,127.0.0.1", "--log-level=debug",
		"--peer-ca="+strings.TrimPrefix(common[0], "--tls-cert="), "--nats-url="+strings.Join(urls, ","))
	var logged logText
	t.Cleanup(func() { assert.NotContains(t, logged.String(), "hunter2") })
	one, process := launchInstance(t, &logged, append(common, "--public-host=localhost")...)
	two := runTo(t, &logged, append(common, "--public-host=127.0.0.1")...)

	alice := login(t, one, "alice", roots)
	bob, carol := login(t, two.Addr["listen"], "bob", roots), login(t, two.Addr["listen"], "carol", roots)
	across, local := alice.call(t, bob), bob.call(t, carol)
	across.chat(t)
	local.chat(t)
	assert.Equal(t, "localhost", across[1].Peer().Path.First().Host(), "each relay stands for its client")
	assert.Equal(t, "127.0.0.1", across[0].Peer().Path.First().Host(), "each relay stands for its client")

	in := slices.IndexFunc(nodes, func(node *server.Server) bool { return has(t, node, "webmsrp 127.0.0.1") })
	require.GreaterOrEqual(t, in, 0)
	natstest.Stop(nodes[in]) // two connects to another one
	left := slices.Delete(nodes, in, in+1)
	for _, name := range []string{"webmsrp localhost", "webmsrp 127.0.0.1"} {
		eventually(t, name+" connects again", func() bool {
			return slices.ContainsFunc(left, func(node *server.Server) bool { return has(t, node, name) })
		})
	}
	across.chat(t)
	bob.call(t, alice).chat(t)
	code, _ := two.get(t, "admin-listen", "/readyz")
	assert.Equal(t, 200, code)
	_, text := two.get(t, "admin-listen", "/metrics")
	for _, line := range []string{"webmsrp_nats_connected 1", "webmsrp_nats_reconnects_total 1", "webmsrp_rendezvous_names 2", "webmsrp_rendezvous_lost_total 0"} {
		assert.True(t, strings.Contains(text, "\n"+line+"\n"), line)
	}

	require.NoError(t, process.Process.Kill())
	process.Wait()
	<-alice.names.Done()
	local.chat(t)
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	out, err := across[1].Session().Send(ctx, msrp.Text("Still there?"))
	if err == nil {
		err = out.Delivered(ctx)
	}
	var status *msrp.StatusError
	assert.ErrorAs(t, err, &status, "not lost in silence")
	alice = login(t, two.Addr["listen"], "alice", roots)
	bob.call(t, alice).chat(t)

	for _, node := range left {
		natstest.Stop(node)
	}
	var refused *rendezvous.RefusedError
	for {
		_, _, err := alice.names.Call(ctx, "dave", "offer")
		require.ErrorAs(t, err, &refused)
		if refused.Code != rendezvous.CodeNobody {
			break
		}
	}
	assert.Equal(t, &rendezvous.RefusedError{Code: rendezvous.CodeUnavailable, Reason: "dave cannot be reached at the moment"}, refused)
	code, text = two.get(t, "admin-listen", "/readyz")
	assert.Equal(t, 503, code)
	assert.Contains(t, text, "NATS")
	alice.call(t, carol).chat(t)
}

// has reports whether that client is connected to a NATS server.
func has(t *testing.T, node *server.Server, name string) bool {
	connections, err := node.Connz(nil)
	require.NoError(t, err)
	for _, c := range connections.Conns {
		if c.Name == name {
			return true
		}
	}
	return false
}
