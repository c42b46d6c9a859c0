package sip

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// raw is a server, and the other side of calls, that says what a test wants.
type raw struct {
	t    *testing.T
	conn net.Conn
	in   *textproto.Reader
}

// message is what an agent has sent.
type message struct {
	start string
	textproto.MIMEHeader
	body string
}

// startRaw starts an agent with a raw server, which registers it.
func startRaw(t *testing.T, opts Options) (*raw, *Agent) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	opts.URI, opts.Register = "sip:bob@"+l.Addr().String(), true
	started := make(chan *Agent)
	go func() {
		a, err := Start(t.Context(), opts)
		assert.NoError(t, err)
		started <- a
	}()
	conn, err := l.Accept()
	require.NoError(t, err)
	r := &raw{t, conn, textproto.NewReader(bufio.NewReader(conn))}
	m := r.want("REGISTER sip:127.0.0.1")
	r.respond(m, "200 OK", "Contact: "+m.Get("Contact"))
	a := next(t, started)
	t.Cleanup(func() {
		conn.Close()
		a.Close()
	})
	return r, a
}

// read reads the next message, whatever it is.
func (r *raw) read() (m message) {
	r.t.Helper()
	r.conn.SetReadDeadline(time.Now().Add(guard))
	var err error
	for m.start == "" && err == nil { // the agent keeps the connection alive
		m.start, err = r.in.ReadLine()
	}
	require.NoError(r.t, err)
	m.MIMEHeader, err = r.in.ReadMIMEHeader()
	require.NoError(r.t, err)
	n, err := strconv.Atoi(m.Get("Content-Length"))
	require.NoError(r.t, err, "no Content-Length: %v", m)
	body := make([]byte, n)
	_, err = io.ReadFull(r.in.R, body)
	require.NoError(r.t, err)
	m.body = string(body)
	return m
}

// want reads messages until one begins so.
func (r *raw) want(start string) message {
	r.t.Helper()
	for {
		m := r.read()
		if strings.HasPrefix(m.start, start) {
			return m
		}
		require.True(r.t, strings.HasPrefix(m.start, "SIP/2.0 1"), "want %s, got %s", start, m.start)
	}
}

// send writes a message with lines of headers.
func (r *raw) send(start string, lines []string, body string) {
	lines = append([]string{start}, append(lines, "Content-Length: "+strconv.Itoa(len(body)), "", body)...)
	_, err := io.WriteString(r.conn, strings.Join(lines, "\r\n"))
	require.NoError(r.t, err)
}

// respond answers a request. A line for To takes the place of that of the
// request.
func (r *raw) respond(m message, status string, lines ...string) {
	to := "To: " + m.Get("To")
	if !strings.Contains(to, "tag=") {
		to += ";tag=raw"
	}
	body := ""
	var more []string
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "To: "):
			to = line
		case strings.HasPrefix(line, "v=0"):
			body = line
			more = append(more, "Content-Type: application/sdp")
		default:
			more = append(more, line)
		}
	}
	lines = []string{to, "From: " + m.Get("From"), "Call-ID: " + m.Get("Call-ID"), "CSeq: " + m.Get("CSeq")}
	for _, via := range m.Values("Via") {
		lines = append(lines, "Via: "+via)
	}
	r.send("SIP/2.0 "+status, append(lines, more...), body)
}

var branches int

// request writes a request of a dialog, or of none without a tag of the agent.
func (r *raw) request(method, tag string, cseq int, body string, more ...string) {
	if tag != "" {
		tag = ";tag=" + tag
	}
	branches++
	lines := []string{
		fmt.Sprintf("Via: SIP/2.0/TCP %s;branch=z9hG4bK%d", r.conn.LocalAddr(), branches),
		"From: <sip:alice@example.com>;tag=raw", "To: <sip:bob@example.com>" + tag, "Call-ID: c1",
		fmt.Sprintf("CSeq: %d %s", cseq, method),
	}
	if method == "INVITE" {
		lines = append(lines, fmt.Sprintf("Contact: <sip:alice@%s;transport=tcp>", r.conn.LocalAddr()))
	}
	if body != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	r.send(method+" sip:bob@127.0.0.1 SIP/2.0", append(lines, more...), body)
}

// tagOfValue returns the tag of the value of a From or To.
func tagOfValue(s string) string { return parameter(s, "tag") }

// What an agent is asked and cannot do, it refuses as the RFC says.
func TestRefusedRequests(t *testing.T) {
	r, _ := startRaw(t, Options{})
	for _, c := range []struct {
		name   string
		ask    func()
		status string
		header string // and its value
	}{
		{"OPTIONS", func() { r.request("OPTIONS", "", 1, "") }, "200", "Accept: application/sdp"},
		{"a method that is not known", func() { r.request("MESSAGE", "", 1, "") }, "405", "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS"},
		{"an extension that is not known", func() { r.request("INVITE", "", 1, "v=0", "Require: 100rel") }, "420", "Unsupported: 100rel"},
		{"no offer", func() { r.request("INVITE", "", 1, "") }, "488", `Warning: 399 webmsrp "an INVITE without an offer"`},
		{"an unknown call, INVITE", func() { r.request("INVITE", "n0ne", 1, "v=0") }, "481", ""},
		{"an unknown call, BYE", func() { r.request("BYE", "n0ne", 1, "") }, "481", ""},
		{"an unknown transaction, CANCEL", func() { r.request("CANCEL", "", 1, "") }, "481", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.ask()
			m := r.want("SIP/2.0 " + c.status)
			if name, value, ok := strings.Cut(c.header, ": "); ok {
				assert.Equal(t, value, m.Get(name))
			}
			if strings.Contains(m.Get("CSeq"), "INVITE") {
				assert.NotEmpty(t, tagOfValue(m.Get("To")))
			}
		})
	}
	t.Run("another kind of body", func(t *testing.T) {
		r.send("INVITE sip:bob@127.0.0.1 SIP/2.0", []string{
			"Via: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bKx", "From: <sip:a@b>;tag=raw", "To: <sip:bob@b>", "Call-ID: c2", "CSeq: 1 INVITE",
			"Contact: <sip:a@b>", "Content-Type: multipart/mixed;boundary=x",
		}, "--x--")
		assert.Equal(t, "application/sdp", r.want("SIP/2.0 415").Get("Accept"))
	})
	t.Run("no Contact", func(t *testing.T) {
		r.send("INVITE sip:bob@127.0.0.1 SIP/2.0", []string{
			"Via: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bKy", "From: <sip:a@b>;tag=raw", "To: <sip:bob@b>", "Call-ID: c3", "CSeq: 1 INVITE",
			"Content-Type: application/sdp",
		}, "v=0")
		r.want("SIP/2.0 400")
	})
	t.Run("no From", func(t *testing.T) {
		r.send("OPTIONS sip:bob@127.0.0.1 SIP/2.0", []string{"Via: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bKz", "To: <sip:bob@b>", "Call-ID: c4", "CSeq: 1 OPTIONS"}, "")
		r.want("SIP/2.0 400")
	})
}

// An answer is sent again until it is confirmed (RFC 3261, section 13.3.1.4), and
// further offers come one after the other.
func TestCalledByHand(t *testing.T) {
	r, a := startRaw(t, Options{})
	r.request("INVITE", "", 1, "v=0 offer", "Record-Route: <sip:"+r.conn.LocalAddr().String()+";transport=tcp;lr>, <sip:p2.example.com;lr>")
	tag := tagOfValue(r.want("SIP/2.0 180").Get("To"))
	call := next(t, a.Incoming())
	assert.Equal(t, "v=0 offer", call.Offer)
	assert.Equal(t, "sip:alice@example.com", call.Peer)
	require.NoError(t, call.Answer("v=0 answer"))
	for range 2 {
		m := r.want("SIP/2.0 200")
		assert.Equal(t, "v=0 answer", m.body)
		assert.Equal(t, tag, tagOfValue(m.Get("To")))
		assert.Contains(t, m.Get("Contact"), "sip:bob@"+r.conn.RemoteAddr().String())
		assert.Len(t, m.Values("Record-Route"), 2)
	}
	r.request("ACK", tag, 1, "")

	r.request("INVITE", tag, 2, "v=0 more")
	offer := next(t, call.Offers())
	r.request("INVITE", tag, 3, "v=0 impatient")
	assert.Equal(t, "1", r.want("SIP/2.0 500").Get("Retry-After"))
	require.NoError(t, offer.Answer("v=0 yes"))
	assert.Equal(t, "v=0 yes", r.want("SIP/2.0 200").body)
	r.request("ACK", tag, 2, "")
	r.request("INVITE", tag, 2, "v=0 old")
	r.want("SIP/2.0 500")

	// While an offer of this side waits, another is refused (section 14.2).
	answered := make(chan error)
	go func() {
		_, err := call.Reoffer(t.Context(), "v=0 mine")
		answered <- err
	}()
	mine := r.want("INVITE sip:alice@")
	assert.Equal(t, []string{"<sip:" + r.conn.LocalAddr().String() + ";transport=tcp;lr>", "<sip:p2.example.com;lr>"}, mine.Values("Route"))
	r.request("INVITE", tag, 4, "v=0 theirs")
	r.want("SIP/2.0 491")
	r.respond(mine, "491 Request Pending")
	var refused *RefusedError
	require.ErrorAs(t, next(t, answered), &refused)
	assert.Equal(t, CodePending, refused.Code)

	r.request("BYE", tag, 5, "", `Reason: SIP ;cause=200 ;text="that is \"all\""`)
	for {
		if m := r.read(); strings.HasPrefix(m.start, "SIP/2.0 200") {
			break
		} else {
			assert.Equal(t, "ACK sip:", m.start[:8]) // of the 491
		}
	}
	next(t, call.Over())
	assert.Equal(t, `that is "all"`, call.Reason())
}

// call begins a call and returns the INVITE that comes of it.
func (r *raw) call(ctx context.Context, a *Agent) (invite message, made <-chan *Call, failed <-chan error) {
	c, e := make(chan *Call, 1), make(chan error, 1)
	go func() {
		call, answer, err := a.Call(ctx, "sip:alice@example.com", "v=0 offer")
		if err != nil {
			e <- err
			return
		}
		assert.Equal(r.t, "v=0 answer", answer)
		c <- call
	}()
	invite = r.want("INVITE sip:alice@example.com ")
	assert.Equal(r.t, "v=0 offer", invite.body)
	return invite, c, e
}

// An answer that comes again is confirmed again, and a second one, of another who
// was called, is confirmed and ended.
func TestCallingByHand(t *testing.T) {
	r, a := startRaw(t, Options{})
	invite, made, _ := r.call(t.Context(), a)
	r.respond(invite, "100 Trying")
	r.respond(invite, "180 Ringing")
	route := "<sip:" + r.conn.LocalAddr().String() + ";transport=tcp;lr>"
	answer := []string{"v=0 answer", "Contact: <sip:alice@192.0.2.1:5060>", "Record-Route: <sip:p1.example.com;lr>", "Record-Route: " + route}
	for range 2 {
		r.respond(invite, "200 OK", answer...)
		ack := r.want("ACK sip:alice@192.0.2.1:5060 ")
		assert.Equal(t, []string{route, "<sip:p1.example.com;lr>"}, ack.Values("Route"))
		assert.Equal(t, strings.Replace(invite.Get("CSeq"), "INVITE", "ACK", 1), ack.Get("CSeq"))
	}
	r.respond(invite, "200 OK", append(answer, "To: <sip:alice@example.com>;tag=other")...)
	assert.Contains(t, r.want("ACK ").Get("To"), "tag=other")
	bye := r.want("BYE ")
	assert.Contains(t, bye.Get("To"), "tag=other")
	r.respond(bye, "200 OK")

	call := next(t, made)
	call.Bye("that is all")
	bye = r.want("BYE sip:alice@192.0.2.1:5060 ")
	assert.Contains(t, bye.Get("To"), "tag=raw")
	assert.Equal(t, `SIP ;cause=200 ;text="that is all"`, bye.Get("Reason"))
	r.respond(bye, "200 OK")
}

// A call can be canceled only when something was heard of it (RFC 3261, section
// 9.1), and what is accepted nevertheless is ended.
func TestCancelByHand(t *testing.T) {
	reason := errors.New("enough")
	t.Run("in time", func(t *testing.T) {
		r, a := startRaw(t, Options{})
		ctx, cancel := context.WithCancelCause(t.Context())
		invite, _, failed := r.call(ctx, a)
		cancel(reason)
		assert.ErrorIs(t, next(t, failed), reason)
		r.respond(invite, "180 Ringing")
		m := r.want("CANCEL sip:alice@example.com ")
		assert.Equal(t, invite.Get("Via"), m.Get("Via"))
		r.respond(m, "200 OK")
		r.respond(invite, "487 Request Terminated")
		r.want("ACK ")
	})
	t.Run("too late", func(t *testing.T) {
		r, a := startRaw(t, Options{})
		ctx, cancel := context.WithCancelCause(t.Context())
		invite, _, failed := r.call(ctx, a)
		r.respond(invite, "180 Ringing")
		cancel(reason)
		assert.ErrorIs(t, next(t, failed), reason)
		r.want("CANCEL ")
		r.respond(invite, "200 OK", "v=0 answer", "Contact: <sip:alice@example.com>", "Record-Route: <sip:"+r.conn.LocalAddr().String()+";transport=tcp;lr>")
		r.want("ACK ")
		r.respond(r.want("BYE "), "200 OK")
	})
}

// Challenges are answered, and a password that was wrong is not tried again.
func TestChallenges(t *testing.T) {
	r, a := startRaw(t, Options{Username: "robert", Password: "secret"})
	invite, _, failed := r.call(t.Context(), a)
	answer := func(status, challenge, header string, want ...string) {
		r.respond(invite, status, challenge)
		r.want("ACK ")
		invite = r.want("INVITE ")
		for _, w := range append(want, `username="robert"`, `uri="sip:alice@example.com"`) {
			assert.Contains(t, invite.Get(header), w)
		}
	}
	answer("407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="r", nonce="n1"`, "Proxy-Authorization", `nonce="n1"`)
	answer("407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="r", nonce="n2", qop="auth", stale=true`, "Proxy-Authorization", `nonce="n2"`, "qop=auth")
	answer("401 Unauthorized", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n3\", algorithm=MD5, qop=\"auth\"\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n4\", algorithm=SHA-256, qop=\"auth\"", "Authorization", `nonce="n4"`, "algorithm=SHA-256")
	r.respond(invite, "407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="r", nonce="n5", stale=true`)
	assert.ErrorContains(t, next(t, failed), "wrong username or password")
	r.want("ACK ")
}

// A server that gives an address which outlives the connection is taken at its word,
// among other contacts (RFC 5627).
func TestGRUU(t *testing.T) {
	defer func(d time.Duration) { keepAlive = d }(keepAlive)
	keepAlive = 100 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	accept := func() *raw {
		conn, err := l.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		return &raw{t, conn, textproto.NewReader(bufio.NewReader(conn))}
	}
	started := make(chan *Agent)
	go func() {
		a, err := Start(t.Context(), Options{URI: "sip:bob@" + l.Addr().String(), Register: true})
		assert.NoError(t, err)
		started <- a
	}()
	r := accept()
	m := r.want("REGISTER ")
	assert.Contains(t, m.Get("Contact"), `;+sip.instance="<urn:uuid:`)
	assert.Equal(t, "gruu", m.Get("Supported"))
	r.respond(m, "200 OK", `Contact: <sip:bob@192.0.2.1:5060>;expires=1;pub-gruu="sip:bob@example.com;gr=urn:uuid:other",`+
		m.Get("Contact")+`;pub-gruu="sip:bob@example.com;gr=urn:uuid:mine"`)
	a := next(t, started)
	go func() {
		for c := range a.Incoming() {
			c.Refuse(CodeDeclined, "no")
			return
		}
	}()
	r.request("INVITE", "", 1, "v=0")
	assert.Equal(t, "<sip:bob@example.com;gr=urn:uuid:mine>", r.want("SIP/2.0 180").Get("Contact"))

	// Where it is now is told the server, and where it is no longer.
	r.conn.Close()
	again := accept()
	next := again.want("REGISTER ")
	assert.NotContains(t, next.Get("Contact"), r.conn.RemoteAddr().String())
	again.respond(next, "200 OK", "Contact: "+next.Get("Contact"))
	last := again.want("REGISTER ")
	assert.Equal(t, "<sip:bob@"+r.conn.RemoteAddr().String()+";transport=tcp>;expires=0", last.Get("Contact"))
	again.respond(last, "200 OK")
	go a.Close()
	again.respond(again.want("REGISTER "), "200 OK")
	<-a.Done()
	a.Close()
}

// A registrar may want registrations to last longer.
func TestMinExpires(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	started := make(chan *Agent)
	go func() {
		a, err := Start(t.Context(), Options{URI: "sip:bob@" + l.Addr().String(), Register: true})
		assert.NoError(t, err)
		started <- a
	}()
	conn, err := l.Accept()
	require.NoError(t, err)
	r := &raw{t, conn, textproto.NewReader(bufio.NewReader(conn))}
	r.respond(r.want("REGISTER "), "423 Interval Too Brief", "Min-Expires: 7200")
	m := r.want("REGISTER ")
	assert.Contains(t, m.Get("Contact"), ";expires=7200")
	r.respond(m, "200 OK", "Contact: "+m.Get("Contact"))
	a := next(t, started)
	go a.Close()
	m = r.want("REGISTER ")
	assert.Contains(t, m.Get("Contact"), ";expires=0")
	r.respond(m, "200 OK")
	next(t, a.Done())
	a.Close()
	conn.Close()
}

// What is no SIP ends the connection and nothing else.
func TestGarbage(t *testing.T) {
	for name, garbage := range map[string]string{
		"no SIP":      "\x00\xff\x16\x03 nothing\r\n\r\n\r\n",
		"half":        "INVITE sip:bob@127.0.0.1 SIP/2.0\r\nVia",
		"huge":        "INVITE sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nContent-Length: 2000000000\r\n\r\n",
		"negative":    "INVITE sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nContent-Length: -1\r\n\r\n",
		"no headers":  "INVITE sip:bob@127.0.0.1 SIP/2.0\r\n\r\n",
		"no response": "SIP/2.0 200\r\n\r\n",
		"a response":  "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r, a := startRaw(t, Options{})
			io.WriteString(r.conn, garbage)
			r.conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, r.conn) // until it is closed
			assert.NoError(t, a.Err())
		})
	}
}
