//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
	"github.com/webmsrp/webmsrp/proxy/credential"
)

// A conn carries MSRP messages of the load, in frames where it is a WebSocket.
type conn struct {
	net.Conn
	in        *bufio.Reader
	webSocket bool
	out       []byte
	length    int // of the message before, in a stream
}

func newConn(c net.Conn, webSocket bool) *conn {
	return &conn{Conn: c, in: bufio.NewReaderSize(c, inSize), webSocket: webSocket}
}

// inSize takes a chunk of 64 KiB with its header.
const inSize = 72 << 10

// dialWebSocket opens a WebSocket for MSRP to a server. Number makes it come
// from an address of its own behind a trusted proxy.
func dialWebSocket(s *server, number int) (*conn, error) {
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		return nil, err
	}
	size := inSize
	if s.secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	if number > 0 {
		size = 512 // one of many
	}
	fmt.Fprintf(c, "GET /msrp HTTP/1.1\r\nHost: %s\r\nOrigin: http://%[1]s\r\nX-Forwarded-For: 10.%d.%d.%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: msrp\r\n\r\n",
		s.address, number>>16, number>>8&255, number&255)
	in := bufio.NewReaderSize(c, size)
	r, err := http.ReadResponse(in, nil)
	if err == nil && r.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("%s: no WebSocket: %s", s.name, r.Status)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return &conn{Conn: c, in: in, webSocket: true}, nil
}

// appendFrame wraps a message for a connection to the server. The mask of zeros
// costs the server as much as any other.
func appendFrame(dst, msg []byte, webSocket bool) []byte {
	if webSocket {
		dst = append(dst, 0x82)
		switch n := len(msg); {
		case n < 126:
			dst = append(dst, 0x80|byte(n))
		case n < 1<<16:
			dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
		default:
			dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
		}
		dst = append(dst, 0, 0, 0, 0)
	}
	return append(dst, msg...)
}

func (c *conn) send(msg []byte) error {
	c.out = appendFrame(c.out[:0], msg, c.webSocket)
	_, err := c.Write(c.out)
	return err
}

// next returns the next message, valid until the following call if it fits into
// the buffer.
func (c *conn) next() ([]byte, error) {
	if !c.webSocket {
		return c.nextOfStream()
	}
	for {
		head, err := c.in.Peek(2)
		if err != nil {
			return nil, err
		}
		opcode, length, skip := head[0]&15, int(head[1]&127), 2
		switch length {
		case 126:
			skip = 4
		case 127:
			skip = 10
		}
		if head, err = c.in.Peek(skip); err != nil {
			return nil, err
		}
		switch skip {
		case 4:
			length = int(binary.BigEndian.Uint16(head[2:]))
		case 10:
			length = int(binary.BigEndian.Uint64(head[2:]))
		}
		c.in.Discard(skip)
		msg, err := c.take(length)
		if err != nil || opcode == 1 || opcode == 2 {
			return msg, err
		}
		if opcode == 8 {
			return nil, io.EOF
		}
	}
}

// take returns the next octets, in the buffer where they fit.
func (c *conn) take(n int) ([]byte, error) {
	if n > c.in.Size() {
		b := make([]byte, n)
		_, err := io.ReadFull(c.in, b)
		return b, err
	}
	b, err := c.in.Peek(n)
	c.in.Discard(len(b))
	return b, err
}

// nextOfStream returns the next message from its start line to its end-line,
// which it looks for first where that of the message before was: the load must
// cost less than what it measures.
func (c *conn) nextOfStream() ([]byte, error) {
	var storage [64]byte
	for seen := 0; ; {
		b, err := c.in.Peek(seen + 1)
		if err != nil {
			return nil, err
		}
		b, _ = c.in.Peek(c.in.Buffered())
		if id := transactionID(b); id != nil {
			end := append(append(storage[:0], "\r\n-------"...), id...)
			length := c.length
			if at := length - len(end) - 3; at < 0 || length > len(b) || !bytes.HasPrefix(b[at:], end) {
				length = 0
				from := max(0, seen-len(end)-3)
				if i := bytes.Index(b[from:], end); i >= 0 && from+i+len(end)+3 <= len(b) {
					length = from + i + len(end) + 3
				}
			}
			if length > 0 {
				c.length = length
				c.in.Discard(length)
				return b[:length], nil
			}
		}
		if seen = len(b); seen == c.in.Size() {
			return nil, bufio.ErrBufferFull
		}
	}
}

func transactionID(msg []byte) []byte {
	id, ok := bytes.CutPrefix(msg, []byte("MSRP "))
	end := bytes.IndexByte(id, ' ')
	if !ok || end < 0 {
		return nil
	}
	return id[:end]
}

// line returns what stands between a name in the header and the end of its line.
func line(msg []byte, name string) []byte {
	i := bytes.Index(msg, []byte(name))
	if i < 0 {
		return nil
	}
	value, _, _ := bytes.Cut(msg[i+len(name):], []byte("\r\n"))
	return value
}

// answer appends the 200 for a SEND to dst.
func answer(dst, msg []byte) []byte {
	id := transactionID(msg)
	first, _, _ := bytes.Cut(line(msg, "\r\nFrom-Path: "), []byte(" "))
	self, _, _ := bytes.Cut(line(msg, "\r\nTo-Path: "), []byte(" "))
	dst = append(append(append(dst, "MSRP "...), id...), " 200 OK\r\nTo-Path: "...)
	dst = append(append(append(dst, first...), "\r\nFrom-Path: "...), self...)
	return append(append(append(dst, "\r\n-------"...), id...), "$\r\n"...)
}

func isSend(msg []byte) bool {
	id := transactionID(msg)
	return bytes.HasPrefix(msg[len("MSRP ")+len(id):], []byte(" SEND\r\n"))
}

// message makes a SEND as endpoints write them. The transaction ID has eight
// digits in the end that differ in each message of a batch.
func message(to, from string, body []byte, failure bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "MSRP b3nch00000000 SEND\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: 7yZ3cK9mQ2xw00000000\r\nByte-Range: 1-%d/%[3]d\r\n", to, from, len(body))
	if !failure {
		b.WriteString("Failure-Report: no\r\n")
	}
	fmt.Fprintf(&b, "Content-Type: text/plain\r\n\r\n%s\r\n-------b3nch00000000$\r\n", body)
	return b.Bytes()
}

// A batch holds messages to be written at once, each with an ID of its own.
type batch struct {
	octets []byte
	count  int
	places []int // of the eight digits
	serial uint32
}

func newBatch(msg []byte, count int, webSocket bool) *batch {
	b := &batch{count: count}
	for range count {
		from := len(b.octets)
		b.octets = appendFrame(b.octets, msg, webSocket)
		for at := from; ; {
			i := bytes.Index(b.octets[at:], []byte("b3nch"))
			if i < 0 {
				break
			}
			at += i + 5
			b.places = append(b.places, at)
		}
	}
	return b
}

func (b *batch) write(w io.Writer) error {
	var serial [4]byte
	for i, at := range b.places {
		if i%2 == 0 {
			b.serial++
			binary.BigEndian.PutUint32(serial[:], b.serial)
		}
		hex.Encode(b.octets[at:], serial[:])
	}
	_, err := w.Write(b.octets)
	return err
}

// dialPlain connects over TCP alone.
func dialPlain(s *server) (*conn, error) {
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		return nil, err
	}
	return newConn(c, false), nil
}

// A client is the owner of a session at a server.
type client struct {
	*conn
	uri  string
	path string // through which it is reached: tokens
}

var clients atomic.Int64

// connect opens a WebSocket and asks for a token, where the server is the relay.
func connect(s *server, number int) (*client, error) {
	ws, err := dialWebSocket(s, number)
	if err != nil {
		return nil, err
	}
	id := strconv.FormatInt(clients.Add(1), 10)
	c := &client{conn: ws, uri: "msrp://al1ce" + id + ".invalid:2855/al1ceS3ss10n" + id + ";ws"}
	if s.name != "relay" {
		c.path = "msrp://" + s.address + "/t0k3nt0k3nt0k3nt0k3n;tcp"
		return c, nil
	}
	to := "msrp://" + s.peers + ";tcp"
	username, password := credential.Mint(secret, "user"+id, time.Now().Add(time.Hour))
	authorization := ""
	for range 2 {
		auth := fmt.Sprintf("MSRP a83b AUTH\r\nTo-Path: %s\r\nFrom-Path: %s\r\n%s-------a83b$\r\n", to, c.uri, authorization)
		if err := c.send([]byte(auth)); err != nil {
			return nil, err
		}
		got, err := c.next()
		if err != nil {
			return nil, err
		}
		u, err := msrp.NewReader(nil).Parse(got)
		if err != nil {
			return nil, err
		}
		if u.Code == msrp.StatusOK {
			c.path = strings.Clone(u.Header.Get("Use-Path"))
			return c, nil
		}
		challenge, err := digest.Strongest(u.Header.Values("WWW-Authenticate"))
		if err != nil {
			return nil, fmt.Errorf("%d: %w", u.Code, err)
		}
		authorization = "Authorization: " + challenge.Answer(username, password, "AUTH", to, "cn0nce", 1).String() + "\r\n"
	}
	return nil, errors.New("the relay does not take the credentials")
}

// A peer takes the connections of servers and counts what arrives on them.
type peer struct {
	listener net.Listener
	uri      string
	rate     int // octets a second that it reads in all, 0 for no bound
	dial     func(network, address string) (net.Conn, error)

	messages, octets atomic.Int64
	connected        chan *conn
	taken            func(*conn, []byte) // sees each SEND, or nil
}

func newPeer() *peer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return newPeerAt(l)
}

func newPeerAt(l net.Listener) *peer {
	p := &peer{listener: l, uri: "msrp://" + l.Addr().String() + "/b0bS3ss10n;tcp", connected: make(chan *conn, 1000), dial: net.Dial}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *peer) close() { p.listener.Close() }

// serve takes what arrives on a connection, and answers where an answer is
// owed: as much at once as arrives at once.
func (p *peer) serve(nc net.Conn) {
	defer nc.Close()
	if p.rate > 0 {
		nc = &slow{Conn: nc, rate: p.rate}
	}
	prompt := &prompt{Conn: nc}
	c := newConn(prompt, false)
	p.connected <- c
	for {
		msg, err := c.next()
		if err != nil {
			return
		}
		if isSend(msg) {
			p.messages.Add(1)
			p.octets.Add(int64(len(msg)))
			if !bytes.Contains(msg[:min(len(msg), 500)], []byte("\r\nFailure-Report: no\r\n")) {
				prompt.owed = answer(prompt.owed, msg)
			}
			if p.taken != nil {
				p.taken(c, msg)
			}
		}
	}
}

// prompt is a connection that sends what is owed before it waits for more.
type prompt struct {
	net.Conn
	owed []byte
}

func (c *prompt) Read(p []byte) (int, error) {
	if len(c.owed) > 0 {
		if _, err := c.Write(c.owed); err != nil {
			return 0, err
		}
		c.owed = c.owed[:0]
	}
	return c.Conn.Read(p)
}

// slow is a connection that is read with a bounded rate.
type slow struct {
	net.Conn
	rate  int
	start time.Time
	read  int
}

func (s *slow) Read(p []byte) (int, error) {
	due := s.start.Add(time.Duration(s.read) * time.Second / time.Duration(s.rate))
	time.Sleep(time.Until(due))
	begin := time.Now()
	n, err := s.Conn.Read(p)
	if now := time.Now(); now.Sub(begin) > time.Millisecond {
		s.start, s.read = now, 0 // nothing came: that time is lost, what was overslept is not
	}
	s.read += n
	return n, err
}

// bind opens a connection to the relay as an SBC or room does that serves many
// sessions over one: what their owners send to uri comes there. It returns the
// connection when each of them has heard of it.
func bind(s *server, p *peer, owners ...*client) (*conn, error) {
	c, err := p.dial("tcp", s.peers)
	if err != nil {
		return nil, err
	}
	if p.rate > 0 {
		// What waits in the peer's kernel, twice this, is not the relay's to order.
		c.(*net.TCPConn).SetReadBuffer(128 << 10)
	}
	var hello []byte
	for _, o := range owners {
		hello = fmt.Appendf(hello, "MSRP h3ll0 SEND\r\nTo-Path: %s %s\r\nFrom-Path: %s\r\nMessage-ID: h3ll0\r\nFailure-Report: no\r\n-------h3ll0$\r\n", o.path, o.uri, p.uri)
	}
	if _, err := c.Write(hello); err != nil {
		return nil, err
	}
	go p.serve(c)
	shared := <-p.connected
	for _, o := range owners {
		if _, err := o.next(); err != nil {
			return nil, err
		}
	}
	return shared, nil
}
