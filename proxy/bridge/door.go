// Package bridge connects the relay to the world: browsers come in over
// WebSocket, peers and other relays over TCP and TLS, and it dials them where
// the policy allows.
package bridge

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/relay"
)

// A Door takes WebSockets of MSRP clients (RFC 7977). It is an http.Handler for
// one path of any server.
type Door struct {
	Relay *relay.Relay
	// Origins are the allowed values of the header Origin, as host patterns or
	// with a scheme, beside the origin of the server itself. Clients that are
	// no browsers send none and are let in.
	Origins []string
	// Secure tells whether TLS protects a request. Others are refused: MSRP
	// over WebSocket must be (RFC 7977, section 10). nil takes all, for a
	// server on loopback.
	Secure func(*http.Request) bool
	// Trusted are the proxies whose X-Forwarded-For is believed.
	Trusted Trusted
	// PerAddress bounds the clients behind each address that a trusted proxy
	// names. nil is no bound.
	PerAddress *PerAddress
	// User returns the user whom the handshake proves, or "" for one who has to
	// log in with AUTH. nil stands for handshakes that prove nothing.
	User func(*http.Request) (string, error)
	// Refused hears why a handshake was refused: tls, subprotocol, origin,
	// handshake, user, address. nil is fine.
	Refused func(reason string)
	// ChunkSize is the most octets of body in one message.
	ChunkSize int
	Log       *slog.Logger

	keeper keeper
}

func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(reason, text string, status int) {
		d.refused(reason)
		http.Error(w, text, status)
	}
	if d.Secure != nil && !d.Secure(r) {
		refuse("tls", "MSRP over WebSocket needs wss://", http.StatusForbidden)
		return
	}
	if !Offers(r, Subprotocol) {
		w.Header().Set("Sec-WebSocket-Protocol", Subprotocol)
		refuse("subprotocol", "this is the MSRP door: open a WebSocket with the subprotocol msrp", http.StatusBadRequest)
		return
	}
	info := relay.LinkInfo{Remote: d.Trusted.Client(r), WebSocket: true, Secure: d.Secure != nil, Host: hostname(r.Host)}
	if d.User != nil {
		var err error
		if info.User, err = d.User(r); err != nil {
			refuse("user", err.Error(), http.StatusBadRequest)
			return
		}
	}
	leave := func() {}
	if d.Trusted.Contains(r.RemoteAddr) {
		var ok bool
		if leave, ok = d.PerAddress.Enter(info.Remote); !ok {
			refuse("address", "too many connections from one address", http.StatusTooManyRequests)
			return
		}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin) // RFC 7977, section 7; Accept checks it
	}
	h := &hijacker{ResponseWriter: w}
	c, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		Subprotocols:   []string{Subprotocol},
		OriginPatterns: d.Origins,
		// Compressing costs five sixths of the throughput in browsers.
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		leave()
		reason := "handshake"
		if strings.Contains(err.Error(), "Origin") {
			reason = "origin"
		}
		d.refused(reason)
		d.Log.Info("WebSocket refused", "remote", info.Remote, "origin", clip(r.Header.Get("Origin")), "reason", reason)
		return
	}
	h.unwrap()
	ws := newWebSocket(c, h.conn, d.ChunkSize)
	d.keeper.enter(ws)
	link, err := d.Relay.Open(newClient(ws), info)
	remote := info.Remote
	if err != nil {
		go d.ended(ws, remote, err, leave)
		return
	}
	// Returning from here frees what net/http holds for the request, and what it
	// took of the stack.
	go func() { d.ended(ws, remote, link.Serve(), leave) }()
}

// ended takes leave of a client that the relay has closed.
func (d *Door) ended(ws *webSocket, remote string, err error, leave func()) {
	d.Log.Debug("WebSocket closed", "remote", remote, "error", discreet(err))
	<-ws.end()
	d.keeper.leave(ws)
	leave()
}

func (d *Door) refused(reason string) {
	if d.Refused != nil {
		d.Refused(reason)
	}
}

// clip bounds what a client says in a log.
func clip(s string) string { return s[:min(len(s), 100)] }

// discreet returns an error as a log may have it: what a client sent in place
// of MSRP may be anything.
func discreet(err error) error {
	var syntax *msrp.SyntaxError
	if errors.As(err, &syntax) {
		return &msrp.SyntaxError{Offset: syntax.Offset, Expected: syntax.Expected}
	}
	return err
}

// hostname takes the port off a header Host, and the brackets off an IPv6
// address.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// Wait waits until the WebSockets have ended that the relay has closed, all of
// them for no longer than patience: a program that exits at once would cut off
// their close frames.
func (d *Door) Wait(patience time.Duration) {
	timeout := time.After(patience)
	for _, ws := range d.keeper.all() {
		select {
		case <-ws.end():
		case <-timeout:
			return
		}
	}
}

// Offers reports whether the client of a WebSocket names that subprotocol, to
// the letter.
func Offers(r *http.Request, subprotocol string) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for _, name := range strings.Split(line, ",") {
			if strings.TrimSpace(name) == subprotocol {
				return true
			}
		}
	}
	return slices.Contains(r.Header.Values("Sec-WebSocket-Protocol"), subprotocol)
}
