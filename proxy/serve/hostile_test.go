package serve

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/proxy/credential"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
)

// hostile is where the attacks take place: a server with an honest pair on it.
type hostile struct {
	*testing.T
	*Server
	alice *raw   // an honest client; her token may be known
	port  string // of a listener that nobody may reach
	plain string // the address of the listener for peers
}

// http returns the status of a request of lines.
func (h *hostile) http(lines ...string) string {
	_, _, r := h.request(h.T, lines...)
	return fmt.Sprint("HTTP ", r.StatusCode)
}

// upgrade returns the status of a handshake.
func (h *hostile) upgrade(lines ...string) string { return h.http(h.handshake(lines...)...) }

func (h *hostile) ws() *raw  { return h.open(h.T) }
func (h *hostile) tcp() *raw { return h.dial(h.T, "msrp-listen") }

// as opens a WebSocket with a token of that user.
func (h *hostile) as(user string) *raw {
	return h.ws().login(credential.Mint(h.secret, user, time.Now().Add(time.Hour)))
}

func (h *hostile) mallory() *raw { return h.as("mallory") }

// after returns what a new WebSocket hears after a frame, message or octets.
func (h *hostile) frame(first byte, payload string) string {
	c := h.ws()
	c.frame(first, payload)
	return c.next()
}

func (h *hostile) octets(s string) string {
	c := h.ws()
	c.octets(s)
	return c.next()
}

// unit returns what a new client with a token hears after a request to it.
func (h *hostile) unit(method, behind string, lines ...string) string {
	c := h.mallory()
	to := c.token
	if behind != "" {
		to += " " + behind
	}
	c.unit(method, to, lines...)
	return c.next()
}

// hop returns the code of a SEND by a client with a token to a next hop, whether
// it comes as the answer or, where that was faster, in a report.
func (h *hostile) hop(next string) string {
	c := h.mallory()
	c.unit("SEND", c.token+" "+next, mid)
	said := c.next()
	if said == "200" {
		said = c.next()
	}
	return strings.TrimPrefix(said, "REPORT ")
}

// peer sends what a stranger over TCP does.
func (h *hostile) peer(method, to string, lines ...string) string {
	c := h.tcp()
	c.unit(method, to, lines...)
	return c.next()
}

// authorize returns the answer to an AUTH with that Authorization.
func (h *hostile) authorize(change func(nonce, whole string) string) string {
	c := h.ws()
	challenge := c.challenge()
	username, password := credential.Mint(h.secret, "mallory", time.Now().Add(time.Hour))
	answer := challenge.Answer(username, password, "AUTH", c.relay, "cnonce", 1)
	c.unit("AUTH", c.relay, "Authorization: "+change(challenge.Nonce, answer.String()))
	return c.next()
}

// meet registers at the rendezvous, sends, and returns what comes then: the
// code of a message, or the status of the close frame. Of many messages that are
// refused, what counts is that they are too many.
func (h *hostile) meet(name string, messages ...any) string {
	ctx, cancel := context.WithTimeout(h.Context(), guard)
	defer cancel()
	c, _, err := websocket.Dial(ctx, h.Server.ws("/rendezvous"), &websocket.DialOptions{Subprotocols: []string{rendezvous.Subprotocol}})
	require.NoError(h, err)
	defer c.CloseNow()
	if name != "" {
		require.NoError(h, wsjson.Write(ctx, c, rendezvous.Message{Type: rendezvous.TypeRegister, Name: name}))
	}
	for _, m := range messages {
		switch m := m.(type) {
		case []byte:
			c.Write(ctx, websocket.MessageBinary, m)
		case string:
			c.Write(ctx, websocket.MessageText, []byte(m))
		default:
			wsjson.Write(ctx, c, m)
		}
	}
	for {
		var m rendezvous.Message
		if err := wsjson.Read(ctx, c, &m); err != nil {
			return fmt.Sprint("close ", int(websocket.CloseStatus(err)))
		}
		if m.Code != 0 && (len(messages) <= 1 || m.Type == rendezvous.TypeError || m.Code == rendezvous.CodeTooMany) {
			return fmt.Sprint(m.Type, " ", m.Code)
		}
	}
}

const mid = "Message-ID: m3ss4ge1"

// offers are more calls than anybody may make.
func offers(to string) (messages []any) {
	for i := range 40 {
		messages = append(messages, rendezvous.Message{Type: rendezvous.TypeOffer, Call: fmt.Sprint("call", i), To: to, SDP: "v=0"})
	}
	return messages
}

var attacks = []struct {
	name, want string
	attack     func(h *hostile) string
}{
	// The handshake (RFC 6455, section 4.2; RFC 7977, section 4).
	{"no subprotocol", "HTTP 400", func(h *hostile) string { return h.upgrade("Sec-WebSocket-Protocol:") }},
	{"another subprotocol", "HTTP 400", func(h *hostile) string { return h.upgrade("Sec-WebSocket-Protocol: sip, xmpp") }},
	{"a page of another site", "HTTP 403", func(h *hostile) string { return h.upgrade("Origin: https://evil.example") }},
	{"a sandboxed page", "HTTP 403", func(h *hostile) string { return h.upgrade("Origin: null") }},
	{"another port of this machine", "HTTP 403", func(h *hostile) string { return h.upgrade("Origin: http://127.0.0.1:1") }},
	{"an Origin that only looks like ours", "HTTP 403", func(h *hostile) string {
		return h.upgrade("Origin: http://" + h.Addr["listen"] + "@evil.example")
	}},
	{"an Origin that begins like ours", "HTTP 403", func(h *hostile) string { return h.upgrade("Origin: http://" + h.Addr["listen"] + ".evil.example") }},
	{"DNS rebinding: a foreign Host", "HTTP 421", func(h *hostile) string {
		return h.upgrade("Host: evil.example", "Origin: http://evil.example")
	}},
	{"no Host", "HTTP 400", func(h *hostile) string { return h.upgrade("Host:") }},
	{"two Hosts", "HTTP 400", func(h *hostile) string {
		return h.http(append(h.handshake(), "Host: evil.example")...)
	}},
	{"POST", "HTTP 405", func(h *hostile) string {
		return h.http(append([]string{"POST /msrp HTTP/1.1"}, h.handshake()[1:]...)...)
	}},
	{"an old version", "HTTP 400", func(h *hostile) string { return h.upgrade("Sec-WebSocket-Version: 8") }},
	{"a bad key", "HTTP 400", func(h *hostile) string { return h.upgrade("Sec-WebSocket-Key: short") }},
	{"another path", "HTTP 404", func(h *hostile) string {
		return h.http(append([]string{"GET /msrp/admin HTTP/1.1"}, h.handshake()[1:]...)...)
	}},
	{"a header bomb of one line", "HTTP 431", func(h *hostile) string { return h.upgrade("X-Bomb: " + strings.Repeat("x", 1<<20)) }},
	{"a header bomb of many lines", "HTTP 431", func(h *hostile) string {
		return h.http(append(h.handshake(), strings.Split(strings.Repeat("X-Bomb: boom\r\n", 5000), "\r\n")[:5000]...)...)
	}},
	{"a line feed in a header", "HTTP 400", func(h *hostile) string { return h.upgrade("X-Bad: a\x00b") }},
	{"HTTP/2 without TLS", "HTTP 421", func(h *hostile) string { return h.http("PRI * HTTP/2.0") }},
	{"the metrics on the public port", "HTTP 404", func(h *hostile) string { return h.http("GET /metrics HTTP/1.1", "Host: "+h.Addr["listen"]) }},
	{"credentials for another site", "HTTP 403", func(h *hostile) string {
		return h.http("GET /credentials?name=alice HTTP/1.1", "Host: "+h.Addr["listen"], "Origin: https://evil.example")
	}},
	{"credentials by a form of another site", "HTTP 404", func(h *hostile) string {
		return h.http("POST /credentials?name=alice HTTP/1.1", "Host: "+h.Addr["listen"], "Content-Length: 0")
	}},
	{"a user by header, from no proxy", "401", func(h *hostile) string {
		c := h.open(h.T, "X-Forwarded-User: alice")
		c.unit("AUTH", c.relay)
		return c.next()
	}},

	// Frames (RFC 6455, section 5).
	{"compression", "no extensions", func(h *hostile) string {
		_, _, r := h.request(h.T, h.handshake("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8")...)
		if r.StatusCode == 101 && r.Header.Get("Sec-WebSocket-Extensions") == "" {
			return "no extensions"
		}
		return "compressed"
	}},
	{"a compressed frame", "close 1002", func(h *hostile) string { return h.frame(0xc2, "\x00") }},
	{"an unmasked frame", "close 1002", func(h *hostile) string { return h.octets("\x82\x05hello") }},
	{"reserved bits", "close 1002", func(h *hostile) string { return h.frame(0x92, "hello") }},
	{"a reserved opcode", "close 1002", func(h *hostile) string { return h.frame(0x83, "hello") }},
	{"a reserved control opcode", "close 1002", func(h *hostile) string { return h.frame(0x8b, "hello") }},
	{"a ping in fragments", "close 1002", func(h *hostile) string { return h.frame(0x09, "hello") }},
	{"a ping of 126 octets", "close 1002", func(h *hostile) string { return h.frame(0x89, strings.Repeat("x", 126)) }},
	{"a continuation of nothing", "close 1002", func(h *hostile) string { return h.frame(0x80, "hello") }},
	{"a message within another", "close 1002", func(h *hostile) string {
		c := h.ws()
		c.frame(0x02, "MSRP ")
		c.frame(0x82, "MSRP ")
		return c.next()
	}},
	{"a frame of 2^63 octets, declared", "close 1002", func(h *hostile) string { return h.octets("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") }},
	{"a frame of 2^63-1 octets, declared", "close 1009", func(h *hostile) string {
		return h.octets("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00" + strings.Repeat("x", 1<<17))
	}},
	{"a megabyte in small fragments", "close 1009", func(h *hostile) string {
		c := h.ws()
		c.frame(0x02, "MSRP b1gb1g00 SEND\r\n")
		go func() {
			for range 1 << 10 {
				c.frame(0x00, strings.Repeat("x", 1<<10))
			}
		}()
		return c.next()
	}},
	{"empty fragments without end", "401", func(h *hostile) string {
		c := h.ws()
		c.frame(0x02, "MSRP")
		for range 10_000 {
			c.frame(0x00, "")
		}
		c.frame(0x80, strings.TrimPrefix("MSRP 4bcd3fgh AUTH\r\nTo-Path: "+c.relay+"\r\nFrom-Path: "+c.own+"\r\n-------4bcd3fgh$\r\n", "MSRP"))
		return c.next()
	}},
	{"a flood of pings", "401", func(h *hostile) string {
		c := h.ws()
		go func() {
			for range 10_000 {
				c.frame(0x89, "x")
			}
			c.unit("AUTH", c.relay)
		}()
		return c.next()
	}},
	{"pongs that nobody asked for", "401", func(h *hostile) string {
		c := h.ws()
		for range 1000 {
			c.frame(0x8a, "x")
		}
		c.unit("AUTH", c.relay)
		return c.next()
	}},
	{"a close frame of one octet", "close 1002", func(h *hostile) string { return h.frame(0x88, "x") }},
	{"gone in the middle of a frame", "", func(h *hostile) string {
		c := h.ws()
		c.octets("\x82\xfe\xff\xff\x00\x00\x00\x00MSRP")
		c.c.(*net.TCPConn).SetLinger(0)
		c.c.Close()
		return ""
	}},
	{"text that is no UTF-8", "close 1002", func(h *hostile) string { return h.frame(0x81, "\xff\xfe\xfd") }},
	{"text that is no UTF-8, in a body", "501", func(h *hostile) string {
		c := h.mallory()
		c.frame(0x81, "MSRP 4bcd3fgh SEND\r\nTo-Path: "+c.token+"\r\nFrom-Path: "+c.own+"\r\n"+mid+"\r\nContent-Type: text/plain\r\n\r\n\xff\xfe\r\n-------4bcd3fgh$\r\n")
		return c.next()
	}},

	// Requests (RFC 4975, section 9).
	{"nothing", "close 1002", func(h *hostile) string { return h.frame(0x82, "") }},
	{"two requests in one message", "close 1002", func(h *hostile) string {
		c := h.ws()
		one := "MSRP 4bcd3fgh AUTH\r\nTo-Path: " + c.relay + "\r\nFrom-Path: " + c.own + "\r\n-------4bcd3fgh$\r\n"
		c.send(one + one)
		return c.next()
	}},
	{"half a request", "close 1002", func(h *hostile) string { return h.frame(0x82, "MSRP 4bcd3fgh AUTH\r\nTo-Path: ") }},
	{"a short transaction ID", "close 1002", func(h *hostile) string { return h.frame(0x82, "MSRP abc AUTH\r\n-------abc$\r\n") }},
	{"a method in lower case", "close 1002", func(h *hostile) string { return h.frame(0x82, "MSRP 4bcd3fgh auth\r\n-------4bcd3fgh$\r\n") }},
	{"a header line of 20,000 octets", "400", func(h *hostile) string {
		return h.peer("AUTH", "msrp://"+h.plain+";tcp", "X: "+strings.Repeat("x", 20_000))
	}},
	{"a header line without end", "end", func(h *hostile) string {
		c := h.tcp()
		go func() {
			c.octets("MSRP 4bcd3fgh SEND\r\nX: " + strings.Repeat("x", 1<<20))
			c.c.(*net.TCPConn).CloseWrite()
		}()
		return c.next()
	}},
	{"a hundred header lines", "400", func(h *hostile) string {
		return h.peer("AUTH", "msrp://"+h.plain+";tcp", strings.Split(strings.Repeat("X: x\n", 100), "\n")[:100]...)
	}},
	{"a path of a hundred URIs", "end", func(h *hostile) string {
		return h.peer("SEND", strings.TrimSpace(strings.Repeat("msrp://"+h.plain+"/a;tcp ", 100)), mid)
	}},
	{"a header over two lines", "400", func(h *hostile) string { return h.unit("SEND", "", mid, "X: a", " b") }},
	{"a NUL in a header", "400", func(h *hostile) string { return h.unit("SEND", "", mid, "X: a\x00b") }},
	{"To-Path twice", "400", func(h *hostile) string { return h.unit("SEND", "", "To-Path: "+h.alice.token, mid) }},
	{"a range beyond 64 bits", "400", func(h *hostile) string { return h.unit("SEND", "", mid, "Byte-Range: 18446744073709551617-*/*") }},
	{"a body of another method that is too large", "400", func(h *hostile) string {
		return h.unit("NICKNAME", "msrp://192.0.2.1:2855/s;tcp", "Content-Type: text/plain", "", strings.Repeat("x", 20_000))
	}},
	{"HTTP on the port for peers", "end", func(h *hostile) string {
		c := h.tcp()
		c.octets("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		return c.next()
	}},
	{"TLS on the plain port", "end", func(h *hostile) string {
		c := h.tcp()
		c.octets("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\n", 600))
		return c.next()
	}},
	{"plain MSRP on the TLS port", "end", func(h *hostile) string {
		c := h.dial(h.T, "msrps-listen")
		c.unit("AUTH", c.relay)
		return c.next()
	}},
	{"a start line without end", "end", func(h *hostile) string {
		c := h.tcp()
		go c.octets(strings.Repeat("M", 1<<20))
		return c.next()
	}},
	{"a body without end, for nobody", "481", func(h *hostile) string {
		c := h.tcp()
		go c.octets("MSRP 4bcd3fgh SEND\r\nTo-Path: msrp://" + h.plain + "/n0b0dy;tcp\r\nFrom-Path: " + c.own + "\r\n" + mid + "\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("x", 1<<20))
		return c.next()
	}},

	// AUTH (RFC 4976, section 6.3; RFC 7616).
	{"a wrong password", "401", func(h *hostile) string {
		return h.authorize(func(_, a string) string {
			return strings.Replace(a, `response="`, `response="0`, 1)
		})
	}},
	{"an unknown user", "401", func(h *hostile) string {
		u, _ := h.ws().auth("nobody", "password")
		return fmt.Sprint(u.Code)
	}},
	{"credentials that are over", "401", func(h *hostile) string {
		username, password := credential.Mint(h.secret, "mallory", time.Now().Add(-time.Second))
		u, _ := h.ws().auth(username, password)
		return fmt.Sprint(u.Code)
	}},
	{"credentials made longer", "401", func(h *hostile) string {
		username, password := credential.Mint(h.secret, "mallory", time.Now().Add(time.Hour))
		u, _ := h.ws().auth("9"+username, password)
		return fmt.Sprint(u.Code)
	}},
	{"Basic", "401", func(h *hostile) string { return h.authorize(func(_, _ string) string { return "Basic bWFsbG9yeTp4" }) }},
	{"auth-int", "401", func(h *hostile) string {
		return h.authorize(func(_, a string) string { return strings.Replace(a, "qop=auth", "qop=auth-int", 1) })
	}},
	{"MD5-sess", "401", func(h *hostile) string {
		return h.authorize(func(_, a string) string { return strings.Replace(a, "SHA-256", "MD5-sess", 1) })
	}},
	{"a parameter twice", "401", func(h *hostile) string {
		return h.authorize(func(_, a string) string { return a + `, username="alice"` })
	}},
	{"a nonce of one's own", "401 stale", func(h *hostile) string {
		c := h.ws()
		challenge := c.challenge()
		challenge.Nonce = strings.Repeat("A", len(challenge.Nonce))
		username, password := credential.Mint(h.secret, "mallory", time.Now().Add(time.Hour))
		c.unit("AUTH", c.relay, "Authorization: "+challenge.Answer(username, password, "AUTH", c.relay, "cnonce", 1).String())
		return c.next()
	}},
	{"an answer replayed on another connection", "401 stale", func(h *hostile) string {
		c, other := h.ws(), h.ws()
		username, password := credential.Mint(h.secret, "mallory", time.Now().Add(time.Hour))
		answer := "Authorization: " + c.challenge().Answer(username, password, "AUTH", c.relay, "cnonce", 1).String()
		c.unit("AUTH", c.relay, answer)
		require.Equal(h, "200", c.next())
		other.unit("AUTH", c.relay, answer)
		return other.next()
	}},
	{"an answer for another relay", "401", func(h *hostile) string {
		c := h.ws()
		username, password := credential.Mint(h.secret, "mallory", time.Now().Add(time.Hour))
		answer := c.challenge().Answer(username, password, "AUTH", "msrp://other.example.com:2855;tcp", "cnonce", 1)
		c.unit("AUTH", c.relay, "Authorization: "+answer.String())
		return c.next()
	}},
	{"AUTH for a foreign relay", "close 1000", func(h *hostile) string {
		c := h.ws()
		c.unit("AUTH", "msrp://other.example.com:2855;tcp")
		return c.next()
	}},
	{"a token for ever", "423", func(h *hostile) string {
		username, password := credential.Mint(h.secret, "mallory", time.Now().Add(time.Hour))
		u, _ := h.ws().auth(username, password, "Expires: 99999999999999999999")
		return fmt.Sprint(u.Code)
	}},
	{"more tokens than one user may have", "403", func(h *hostile) string {
		username, password := credential.Mint(h.secret, "greedy", time.Now().Add(time.Hour))
		c := h.ws()
		for range h.config.MaxTokensPerUser {
			c.login(username, password)
		}
		u, _ := c.auth(username, password)
		return fmt.Sprint(u.Code)
	}},

	// The tokens of others (RFC 4976, sections 6.3 and 6.4).
	{"another's token, from a browser", "481", func(h *hostile) string {
		c := h.mallory()
		c.unit("SEND", h.alice.token, mid)
		return c.next()
	}},
	{"another's token, as its owner", "481", func(h *hostile) string {
		c := h.mallory()
		c.own = h.alice.own
		c.unit("SEND", h.alice.token+" msrp://127.0.0.1:"+h.port+"/v1ct1m;tcp", mid)
		return c.next()
	}},
	{"a peer relays past a token it knows", "481", func(h *hostile) string {
		return h.peer("SEND", h.alice.token+" msrp://127.0.0.1:"+h.port+"/v1ct1m;tcp", mid)
	}},
	{"a peer as the token's owner", "481", func(h *hostile) string {
		c := h.tcp()
		c.own = h.alice.own
		c.unit("SEND", h.alice.token+" msrp://127.0.0.1:"+h.port+"/v1ct1m;tcp", mid)
		return c.next()
	}},
	{"a peer names the owner behind the token", "481", func(h *hostile) string {
		return h.peer("SEND", h.alice.token+" "+h.alice.own, mid)
	}},
	{"AUTH to another's token", "481", func(h *hostile) string { return h.peer("AUTH", h.alice.token) }},
	{"a chain of AUTH past a direct token", "403", func(h *hostile) string { return h.unit("AUTH", "msrp://127.0.0.1:"+h.port+";tcp") }},
	{"a guessed token", "481", func(h *hostile) string { return h.peer("SEND", "msrp://"+h.plain+"/"+msrp.NewID()+";tcp", mid) }},
	{"guessing tokens", "end", func(h *hostile) string {
		c := h.tcp()
		for range 20 {
			c.unit("SEND", "msrp://"+h.plain+"/"+msrp.NewID()+";tcp", mid)
		}
		for {
			if said := c.next(); said != "481" {
				return said
			}
		}
	}},
	{"a success report that nobody earned", "REPORT 200", func(h *hostile) string {
		// It reaches its session, which does not know the message.
		c := h.tcp()
		c.unit("REPORT", h.alice.token, mid, "Byte-Range: 1-5/5", "Status: 000 200 OK")
		return h.alice.next()
	}},
	{"a flood of reports", "200", func(h *hostile) string {
		c := h.mallory()
		for range 5000 {
			c.unit("REPORT", c.token+" "+h.alice.token+" "+h.alice.token, mid, "Status: 000 200 OK")
		}
		return c.probe()
	}},
	{"responses that nobody asked for", "200", func(h *hostile) string {
		c := h.mallory()
		for _, id := range []string{"4bcd3fgh", msrp.NewTransactionID()} {
			c.send("MSRP " + id + " 200 OK\r\nTo-Path: " + h.alice.token + "\r\nFrom-Path: " + c.own + "\r\n-------" + id + "$\r\n")
		}
		return c.probe()
	}},
	{"a response in the name of another's peer", "200", func(h *hostile) string {
		// alice's request to herself waits for her own response; mallory gives
		// it with the same transaction ID, which is each connection's own.
		h.alice.unit("NICKNAME", h.alice.token+" "+h.alice.token)
		u, _ := h.alice.read()
		c := h.mallory()
		c.send("MSRP " + u.TransactionID + " 200 OK\r\nTo-Path: " + u.From.String() + "\r\nFrom-Path: " + h.alice.own + "\r\n-------" + u.TransactionID + "$\r\n")
		require.Equal(h, "200", c.probe())
		return h.alice.probe()
	}},
	{"a comment of 900 octets in a response", "200", func(h *hostile) string {
		h.alice.unit("NICKNAME", h.alice.token+" "+h.alice.token)
		u, _ := h.alice.read()
		h.alice.send("MSRP " + u.TransactionID + " 425 " + strings.Repeat("x", 900) + "\r\nTo-Path: " + u.From.String() + "\r\nFrom-Path: " + h.alice.own + "\r\n-------" + u.TransactionID + "$\r\n")
		return h.alice.probe()
	}},

	// Where the relay would connect to.
	{"a private address", "403", func(h *hostile) string { return h.hop("msrp://10.0.0.1:2855/s;tcp") }},
	{"the metadata service", "403", func(h *hostile) string { return h.hop("msrp://169.254.169.254:80/latest;tcp") }},
	{"the metadata service over IPv6", "403", func(h *hostile) string { return h.hop("msrp://[fd00:ec2::254]:2855/latest;tcp") }},
	{"the metadata service in IPv6 clothes", "403", func(h *hostile) string { return h.hop("msrp://[::ffff:169.254.169.254]:2855/latest;tcp") }},
	{"the mail server of this machine", "403", func(h *hostile) string { return h.hop("msrp://localhost:25/s;tcp") }},
	{"this machine by 0.0.0.0", "403", func(h *hostile) string { return h.hop("msrp://0.0.0.0:" + h.port + "/s;tcp") }},
	{"a WebSocket elsewhere", "408", func(h *hostile) string { return h.hop("msrp://127.0.0.1:" + h.port + "/s;ws") }},
	{"the port that says do not connect", "408", func(h *hostile) string { return h.hop("msrp://127.0.0.1:9/s;tcp") }},
	{"a plain hop that is a relay", "403", func(h *hostile) string {
		return h.hop("msrp://127.0.0.1:" + h.port + "/r;tcp msrp://127.0.0.1:" + h.port + "/s;tcp")
	}},

	// Loops through ourselves.
	{"the own token three times", "481", func(h *hostile) string {
		c := h.mallory()
		c.unit("SEND", c.token+" "+c.token+" "+c.token, mid)
		return c.next()
	}},
	{"a token and the relay without one", "481", func(h *hostile) string { return h.hop("msrp://" + h.plain + ";tcp") }},
	{"the relay by another name", "408", func(h *hostile) string {
		_, port, _ := net.SplitHostPort(h.plain)
		return h.hop("msrp://localhost:" + port + "/" + msrp.NewID() + ";tcp")
	}},
	{"a request to oneself, round and round", "200", func(h *hostile) string {
		c := h.mallory()
		c.unit("SEND", c.token+" "+c.token, mid, "Failure-Report: no")
		for range 50 {
			if said := c.next(); said != "SEND" {
				return said
			}
			c.unit("SEND", c.token+" "+c.token, mid, "Failure-Report: no")
		}
		require.Equal(h, "SEND", c.next())
		return c.probe()
	}},
	{"hundreds of silent connections", "401", func(h *hostile) string {
		for range 400 { // one address may have a thousand
			h.tcp()
			c, err := net.Dial("tcp", h.Addr["listen"])
			require.NoError(h, err)
			h.Cleanup(func() { c.Close() })
			io.WriteString(c, "GET /msrp HTTP/1.1\r\nHost: ")
		}
		c := h.ws()
		c.unit("AUTH", c.relay)
		return c.next()
	}},

	// The rendezvous.
	{"the rendezvous from another site", "HTTP 403", func(h *hostile) string {
		return h.http(append([]string{"GET /rendezvous HTTP/1.1"}, h.handshake("Origin: https://evil.example", "Sec-WebSocket-Protocol: "+rendezvous.Subprotocol)[1:]...)...)
	}},
	{"a call before registering", "error 400", func(h *hostile) string { return h.meet("", offers("alice")[0]) }},
	{"no JSON", "error 400", func(h *hostile) string { return h.meet("", "{") }},
	{"binary", "error 400", func(h *hostile) string { return h.meet("", []byte(`{"type":"register","name":"mallory"}`)) }},
	{"a name with a control character", "error 400", func(h *hostile) string { return h.meet("mal\x00lory") }},
	{"a name that is an address", "error 400", func(h *hostile) string { return h.meet("#" + msrp.NewID()) }},
	{"an offer of 70,000 octets", "close 1009", func(h *hostile) string {
		return h.meet("mallory", rendezvous.Message{Type: rendezvous.TypeOffer, Call: "c", To: "alice", SDP: strings.Repeat("x", 70_000)})
	}},
	{"a call with a long name", "error 400", func(h *hostile) string {
		return h.meet("mallory2", rendezvous.Message{Type: rendezvous.TypeOffer, Call: strings.Repeat("x", 65), To: "alice"})
	}},
	{"calls without end", "refuse 429", func(h *hostile) string {
		return h.meet("mallory3", offers("echo")...)
	}},
	{"a call to nobody", "refuse 404", func(h *hostile) string { return h.meet("mallory4", offers("nobody")[0]) }},
}

// What hostile clients try, and what comes of it. After each attack the server
// still serves an honest pair that was there before, and a new one.
func TestHostileClients(t *testing.T) {
	s := dev(t)
	t.Attr("requirement", "R-13")
	t.Attr("requirement", "R-45")
	t.Attr("requirement", "B-12")
	require.GreaterOrEqual(t, len(attacks), 60)
	victim, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer victim.Close()
	reached := make(chan net.Conn, 100)
	go func() {
		for {
			c, err := victim.Accept()
			if err != nil {
				return
			}
			reached <- c
		}
	}()
	_, port, err := net.SplitHostPort(victim.Addr().String())
	require.NoError(t, err)

	newPair := func(t *testing.T) (*msrp.Session, *msrp.Session) {
		aliceEndpoint, aliceHost := s.caller(t, "alice")
		bobEndpoint, bobHost := s.caller(t, "bob")
		return setUp(t, newCall(aliceEndpoint, aliceHost, false), newCall(bobEndpoint, bobHost, false))
	}
	works := func(t *testing.T, from, to *msrp.Session) {
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		defer cancel()
		out, err := from.Send(ctx, msrp.Text("hello"))
		require.NoError(t, err)
		require.NoError(t, out.Delivered(ctx))
		require.Equal(t, "hello", msrptest.Read(t, ctx, to))
	}
	alice, bob := newPair(t)
	h := &hostile{T: t, Server: s, port: port, plain: s.Addr["msrp-listen"]}
	h.alice = h.as("alice")
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			at := *h
			at.T = t
			at.alice.c.SetDeadline(time.Now().Add(guard))
			assert.Equal(t, a.want, a.attack(&at))
			assert.Equal(t, "200", at.alice.probe(), "whose token is known")
			works(t, alice, bob)
			works(t, bob, alice)
			from, to := newPair(t)
			works(t, from, to)
		})
	}
	assert.Empty(t, reached, "nobody reached what must not be reached")
	response, err := http.Get("http://" + s.Addr["admin-listen"] + "/healthz")
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, 200, response.StatusCode)
}
