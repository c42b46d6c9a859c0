package msrp

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	rawPeerURI = "msrp://alice.example.com:7394/2s93i93idj;tcp"
	rawOwnURI  = "msrp://bob.example.com:8493/si438dsaodes;tcp"
)

// A rawPeer speaks to a session octet by octet, and remembers what it hears.
type rawPeer struct {
	net.Conn
	t     *testing.T
	mu    sync.Mutex
	heard *sync.Cond
	codes map[string]int // of responses, by transaction ID
	reply *Unit          // the latest of them
	units []*Unit        // requests
	all   []*Unit        // these and the responses, in their order
	body  map[*Unit]string
	ended bool

	answer func(*Unit) int // of the requests it gets, 0 for silence; by default 200
	serial int
}

// newRawPeer returns a session and its peer, which was connected by then.
func newRawPeer(t *testing.T, opts SessionOptions, remote Remote, answer func(*Unit) int) (*Session, *rawPeer) {
	e := NewEndpoint(nil)
	s := newRawSession(t, e, opts)
	_, p := newRawConn(t, e, answer)
	remote.Path = rawPath(t, rawPeerURI)
	require.NoError(t, s.Start(remote))
	require.Equal(t, 200, p.code(p.send("Message-ID: b1nd", "Byte-Range: 1-0/0")))
	return s, p
}

// newRawSession returns a session under rawOwnURI, or the URI of opts.
func newRawSession(t *testing.T, e *Endpoint, opts SessionOptions) *Session {
	if opts.URI.IsZero() {
		opts.URI = rawPath(t, rawOwnURI)[0]
	}
	s, err := e.NewSession(opts)
	require.NoError(t, err)
	return s
}

// newRawConn connects a peer to an endpoint.
func newRawConn(t *testing.T, e *Endpoint, answer func(*Unit) int) (*Conn, *rawPeer) {
	ours, theirs := net.Pipe()
	p := &rawPeer{Conn: theirs, t: t, codes: map[string]int{}, body: map[*Unit]string{}, answer: answer}
	p.heard = sync.NewCond(&p.mu)
	go p.listen()
	conn := e.NewConn(NewStream(ours))
	t.Cleanup(func() { conn.Close(); theirs.Close() })
	return conn, p
}

func rawPath(t *testing.T, uris string) Path {
	path, err := ParsePath(uris)
	require.NoError(t, err)
	return path
}

func (p *rawPeer) listen() {
	r := NewReader(p)
	for {
		var body []byte
		u, err := r.Next()
		if err == nil && u.Body != nil {
			body, err = io.ReadAll(u.Body)
		}
		p.mu.Lock()
		switch {
		case err != nil:
			p.ended = true
		case u.IsResponse():
			p.codes[u.TransactionID], p.reply = u.Code, u
		default:
			p.units = append(p.units, u)
		}
		if err == nil {
			p.all = append(p.all, u)
			p.body[u] = string(body)
		}
		p.heard.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return
		}
		if !u.IsResponse() && u.Method != MethodReport {
			code := 200
			if p.answer != nil {
				code = p.answer(u)
			}
			if code != 0 {
				go p.Write(response(u, code).Append(nil, nil))
			}
		}
	}
}

// send writes a SEND with these fields and returns its transaction ID. The
// pseudo-fields method, to, from, flag, type and body change what is around them.
func (p *rawPeer) send(fields ...string) string {
	p.serial++
	id := fmt.Sprintf("raw%d", p.serial)
	method, to, from, flag, body, contentType, head := "SEND", rawOwnURI, rawPeerURI, "$", "", "text/plain", ""
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		switch name {
		case "flag":
			flag = value
		case "method":
			method = value
		case "to":
			to = value
		case "from":
			from = value
		case "type":
			contentType = value
		case "body":
			body = "\r\n" + value + "\r\n"
		default:
			head += f + "\r\n"
		}
	}
	if body != "" {
		head += "Content-Type: " + contentType + "\r\n"
	}
	p.write("MSRP " + id + " " + method + "\r\nTo-Path: " + to + "\r\nFrom-Path: " + from + "\r\n" + head + body + "-------" + id + flag + "\r\n")
	return id
}

// nickname writes a NICKNAME with these fields, and returns its transaction ID.
func (p *rawPeer) nickname(to, from string, fields ...string) string {
	p.serial++
	id := fmt.Sprintf("raw%d", p.serial)
	head := []string{"MSRP " + id + " NICKNAME", "To-Path: " + to, "From-Path: " + from}
	p.write(strings.Join(append(append(head, fields...), "-------"+id+"$", ""), "\r\n"))
	return id
}

func (p *rawPeer) write(s string) {
	_, err := p.Write([]byte(s))
	require.NoError(p.t, err)
}

// code waits for the response to a request.
func (p *rawPeer) code(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.codes[id] == 0 && !p.ended {
		p.heard.Wait()
	}
	return p.codes[id]
}

// answered returns how many of the requests were answered with that code.
func (p *rawPeer) answered(code int, ids ...string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, id := range ids {
		if p.codes[id] == code {
			n++
		}
	}
	return n
}

// got returns the requests that arrived.
func (p *rawPeer) got() []*Unit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.units
}

// heardAll returns what arrived, requests and responses, after the first n.
func (p *rawPeer) heardAll(n int) []*Unit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[n:]
}

// bodyOf returns the body of a request that arrived.
func (p *rawPeer) bodyOf(u *Unit) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.body[u]
}
