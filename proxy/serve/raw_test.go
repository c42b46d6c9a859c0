package serve

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
)

// A raw client writes whatever it likes, over a WebSocket or over TCP.
type raw struct {
	t  *testing.T
	c  net.Conn
	in *bufio.Reader
	ws bool

	units *msrp.Reader // over TCP
	own   string       // its URI
	relay string       // the URI for its AUTH
	token string
}

// request makes an HTTP request of lines on a connection of its own, and
// returns the connection and the answer.
func (s *Server) request(t *testing.T, lines ...string) (net.Conn, *bufio.Reader, *http.Response) {
	c, err := net.Dial("tcp", s.Addr["listen"])
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(guard))
	go io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n\r\n") // it may be cut off in the middle
	in := bufio.NewReader(c)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return c, in, &http.Response{StatusCode: 0, Header: http.Header{}}
	}
	return c, in, response
}

// handshake is the lines of a request for a WebSocket, with others in place of
// those of the same name; one that ends in a colon is left out.
func (s *Server) handshake(others ...string) []string {
	lines := []string{"GET /msrp HTTP/1.1", "Host: " + s.Addr["listen"], "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: msrp"}
next:
	for _, other := range others {
		name, value, _ := strings.Cut(other, ":")
		for i, line := range lines {
			if n, _, _ := strings.Cut(line, ":"); n == name || i == 0 && !strings.Contains(other, ": ") && value == "" && strings.Contains(other, " /") {
				lines[i] = other
				continue next
			}
		}
		lines = append(lines, other)
	}
	var kept []string
	for _, line := range lines {
		if !strings.HasSuffix(line, ":") {
			kept = append(kept, line)
		}
	}
	return kept
}

// open opens a WebSocket.
func (s *Server) open(t *testing.T, others ...string) *raw {
	c, in, response := s.request(t, s.handshake(others...)...)
	require.Equal(t, 101, response.StatusCode)
	return &raw{t: t, c: c, in: in, ws: true, own: "msrp://" + msrp.NewID() + ".invalid:2855/" + msrp.NewID() + ";ws", relay: "msrp://" + s.Addr["listen"] + ";ws"}
}

// dial opens a TCP connection to a listener for MSRP.
func (s *Server) dial(t *testing.T, flagName string) *raw {
	c, err := net.Dial("tcp", s.Addr[flagName])
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(guard))
	return &raw{t: t, c: c, units: msrp.NewReader(c), own: "msrp://" + c.LocalAddr().String() + "/" + msrp.NewID() + ";tcp", relay: "msrp://" + s.Addr[flagName] + ";tcp"}
}

// octets writes octets; that the other side has hung up is no failure.
func (r *raw) octets(s string) { io.WriteString(r.c, s) }

// frame writes a frame as a client masks it, with a key of zeros. first is the
// octet with FIN and opcode.
func (r *raw) frame(first byte, payload string) {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	r.octets(string(append(head, 0, 0, 0, 0)) + payload)
}

// send writes a message.
func (r *raw) send(msg string) {
	if r.ws {
		r.frame(0x82, msg)
	} else {
		r.octets(msg)
	}
}

// unit writes a request: its method, To-Path, further header lines, and a body
// if there is an empty line among them.
func (r *raw) unit(method, to string, lines ...string) string {
	id := msrp.NewTransactionID()
	head := append([]string{"MSRP " + id + " " + method, "To-Path: " + to, "From-Path: " + r.own}, lines...)
	r.send(strings.Join(head, "\r\n") + "\r\n-------" + id + "$\r\n")
	return id
}

// read returns the next unit or how the connection ended: "end", or the status
// of a close frame.
func (r *raw) read() (*msrp.Unit, string) {
	if !r.ws {
		u, err := r.units.Next()
		if err != nil {
			return nil, r.ended(err)
		}
		return u, ""
	}
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(r.in, head); err != nil {
			return nil, r.ended(err)
		}
		n := int(head[1])
		switch n {
		case 126:
			var size [2]byte
			io.ReadFull(r.in, size[:])
			n = int(binary.BigEndian.Uint16(size[:]))
		case 127:
			var size [8]byte
			io.ReadFull(r.in, size[:])
			n = int(binary.BigEndian.Uint64(size[:]))
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(r.in, payload); err != nil {
			return nil, r.ended(err)
		}
		switch head[0] & 15 {
		case 8:
			return nil, fmt.Sprint("close ", binary.BigEndian.Uint16(payload))
		case 1, 2:
			u, err := msrp.NewReader(nil).Parse(payload)
			require.NoError(r.t, err)
			return u, ""
		}
	}
}

func (r *raw) ended(err error) string {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "nothing happens"
	}
	return "end"
}

// next says in short what comes next: a code, a method, a REPORT with its
// status, or how the connection ended.
func (r *raw) next() string {
	u, end := r.read()
	switch {
	case u == nil:
		return end
	case u.IsResponse():
		stale := ""
		if strings.Contains(u.Header.Get("WWW-Authenticate"), "stale=true") {
			stale = " stale"
		}
		return fmt.Sprint(u.Code, stale)
	case u.Method == msrp.MethodReport:
		return fmt.Sprint("REPORT ", u.Status().Code)
	}
	return u.Method
}

// challenge asks for one and returns it.
func (r *raw) challenge() digest.Challenge {
	r.unit("AUTH", r.relay)
	u, end := r.read()
	require.NotNil(r.t, u, end)
	c, err := digest.Strongest(u.Header.Values("WWW-Authenticate"))
	require.NoError(r.t, err)
	return c
}

// auth sends an AUTH with credentials and returns its answer.
func (r *raw) auth(username, password string, lines ...string) (*msrp.Unit, string) {
	answer := r.challenge().Answer(username, password, "AUTH", r.relay, "cnonce", 1)
	r.unit("AUTH", r.relay, append(lines, "Authorization: "+answer.String())...)
	return r.read()
}

// login gets a token, a direct one.
func (r *raw) login(username, password string) *raw {
	u, end := r.auth(username, password, "Relay-Features: direct")
	require.NotNil(r.t, u, end)
	require.Equal(r.t, 200, u.Code)
	r.token = u.Header.Get("Use-Path")
	return r
}

// probe shows that nothing else is on its way: the answer to a request to the
// own token is next.
func (r *raw) probe() string {
	r.unit("SEND", r.token, "Message-ID: pr0be")
	return r.next()
}
