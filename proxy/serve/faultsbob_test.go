package serve

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// TestFaultsBob is bob in a process of his own, which TestFaults can kill. He keeps
// what he has received and sent in a ledger, and goes on from there.
func TestFaultsBob(t *testing.T) {
	arguments := strings.Split(os.Getenv("FAULTS_BOB"), "\n")
	if len(arguments) != 3 {
		t.Skip("is run by TestFaults")
	}
	certificate, err := tls.LoadX509KeyPair(arguments[1], arguments[2])
	require.NoError(t, err)
	b := &bob{
		endpoint: msrp.NewEndpoint(nil), ledger: openLedger(t, arguments[0]),
		certificate: certificate, roots: x509.NewCertPool(), threads: map[string]*bobsThread{},
	}
	b.roots.AddCert(certificate.Leaf)
	for i, secure := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		b.ports[i] = l.Addr().(*net.TCPAddr).Port
		if secure {
			l = tls.NewListener(l, msrpnet.ServerConfig(certificate))
		}
		go b.accept(l)
	}
	for _, c := range conversations {
		b.threads[c.name] = &bobsThread{conversation: c, talker: newTalker(c.name, b.ledger, c.resends)}
	}
	orders := bufio.NewReader(os.Stdin)
	var mu sync.Mutex
	for {
		line, err := orders.ReadBytes('\n')
		if err != nil {
			os.Exit(0) // with the test that runs us
		}
		var o order
		require.NoError(t, json.Unmarshal(line, &o))
		go func() {
			var err error
			if o.Text, err = b.obey(o); err != nil {
				o.Err = err.Error()
			}
			line, _ := json.Marshal(o)
			mu.Lock()
			defer mu.Unlock()
			os.Stdout.Write(append(line, '\n'))
		}()
	}
}

// A bob runs the far end of the conversations.
type bob struct {
	endpoint    *msrp.Endpoint
	ledger      *ledger
	certificate tls.Certificate
	roots       *x509.CertPool
	ports       [2]int // without and with TLS
	threads     map[string]*bobsThread
}

type bobsThread struct {
	conversation
	*talker

	answering sync.Mutex
	call      *call.Call // nil before an offer that could be answered
}

func (b *bob) obey(o order) (string, error) {
	th := b.threads[o.Name]
	switch o.Do {
	case "answer":
		return b.answer(th, o.Text)
	case "pause":
		th.pause(o.Text)
	case "stop":
		th.stop()
	case "close":
		th.call.Close()
		th.wg.Wait()
	}
	return "", nil
}

func (b *bob) answer(th *bobsThread, offer string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	th.answering.Lock()
	defer th.answering.Unlock()
	c := th.call
	if c == nil {
		c = call.New(call.Options{Endpoint: b.endpoint, Host: &bobsPlace{b, th.dials}, Session: th.terms()})
	}
	answer, err := c.Answer(ctx, offer)
	if err == nil {
		th.call = c
		th.connect(c.Session())
	}
	return answer, err
}

func (b *bob) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		b.newConn(c)
	}
}

func (b *bob) newConn(c net.Conn) *msrp.Conn {
	return b.endpoint.NewConn(&durable{Stream: msrp.NewStream(c), ledger: b.ledger, sends: map[string]*msrp.Unit{}})
}

// A bobsPlace is where bob is reached, or from where he connects.
type bobsPlace struct {
	*bob
	dials bool
}

// Place implements [call.Host].
func (p *bobsPlace) Place(_ context.Context, secure bool) (*call.Place, error) {
	port := p.ports[0]
	if secure {
		port = p.ports[1]
	}
	uri, err := msrp.MakeURI(secure, "127.0.0.1", port, msrp.NewID(), msrp.TransportTCP)
	if err != nil {
		return nil, err
	}
	place := &call.Place{URI: uri, Path: msrp.Path{uri}, Setup: sdp.Passive}
	if secure {
		place.Fingerprint = msrpnet.Fingerprint(p.certificate.Certificate[0])
	}
	if p.dials {
		place.Setup = sdp.Active
		place.Dial = func(ctx context.Context, peer sdp.Stream) (*msrp.Conn, error) {
			c, err := msrpnet.Dial(ctx, peer.Path.First(), &msrpnet.Options{TLS: &tls.Config{RootCAs: p.roots}})
			if err != nil {
				return nil, err
			}
			return p.newConn(c), nil
		}
	}
	return place, nil
}

// A remoteParty is bob, in a process of his own.
type remoteParty struct {
	mu      sync.Mutex
	in      io.Writer
	latest  int
	waiting map[int]chan order // nil once the process is gone
}

// An order is what bob is told to do, and then what came of it.
type order struct {
	N    int
	Do   string // answer, pause, stop or close
	Name string // of the conversation
	Text string // the offer, or what was killed; the answer
	Err  string
}

// launchBob runs TestFaultsBob; the files are his ledger, a certificate and its
// key.
func launchBob(t *testing.T, files ...string) (*exec.Cmd, *remoteParty) {
	process, in, out := launchTest(t, os.Stderr, "TestFaultsBob", "FAULTS_BOB="+strings.Join(files, "\n"))
	p := &remoteParty{in: in, waiting: map[int]chan order{}}
	go p.read(out)
	return process, p
}

func (p *remoteParty) read(out io.Reader) {
	decoder := json.NewDecoder(out)
	for {
		var o order
		err := decoder.Decode(&o)
		p.mu.Lock()
		if err != nil {
			for _, ch := range p.waiting {
				close(ch)
			}
			p.waiting = nil
			p.mu.Unlock()
			return
		}
		p.waiting[o.N] <- o
		delete(p.waiting, o.N)
		p.mu.Unlock()
	}
}

func (p *remoteParty) ask(ctx context.Context, do, name, text string) (string, error) {
	gone := errors.New("bob is gone")
	ch := make(chan order, 1)
	p.mu.Lock()
	if p.waiting == nil {
		p.mu.Unlock()
		return "", gone
	}
	p.latest++
	p.waiting[p.latest] = ch
	line, _ := json.Marshal(order{p.latest, do, name, text, ""})
	_, err := p.in.Write(append(line, '\n'))
	p.mu.Unlock()
	if err != nil {
		return "", gone
	}
	select {
	case o, ok := <-ch:
		if !ok {
			return "", gone
		}
		if o.Err != "" {
			return "", errors.New("bob: " + o.Err)
		}
		return o.Text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
