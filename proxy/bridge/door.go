// Package bridge connects the relay to the world: browsers come in over
// WebSocket, peers and other relays over TCP and TLS, and it dials them where
// the policy allows.
package bridge

import (
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
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
	// ChunkSize is the most octets of body in one message.
	ChunkSize int
	Log       *slog.Logger

	mu   sync.Mutex
	open map[*webSocket]struct{}
}

func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.Secure != nil && !d.Secure(r) {
		http.Error(w, "MSRP over WebSocket needs wss://", http.StatusForbidden)
		return
	}
	if !Offers(r, Subprotocol) {
		w.Header().Set("Sec-WebSocket-Protocol", Subprotocol)
		http.Error(w, "this is the MSRP door: open a WebSocket with the subprotocol msrp", http.StatusBadRequest)
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin) // RFC 7977, section 7; Accept checks it
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:   []string{Subprotocol},
		OriginPatterns: d.Origins,
		// Compressing costs five sixths of the throughput in browsers.
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		d.Log.Info("WebSocket refused", "remote", r.RemoteAddr, "origin", r.Header.Get("Origin"), "error", err)
		return
	}
	info := relay.LinkInfo{Remote: r.RemoteAddr, WebSocket: true, Secure: d.Secure != nil, Host: hostname(r.Host)}
	ws := newWebSocket(c, d.ChunkSize)
	d.enter(ws)
	// Returning from here frees what net/http holds for the request.
	go func() {
		go ws.keepAlive()
		err := d.Relay.Serve(msrp.NewMessages(ws), info)
		d.Log.Debug("WebSocket closed", "remote", info.Remote, "error", err)
		<-ws.over
		d.leave(ws)
	}()
}

// hostname takes the port off a header Host, and the brackets off an IPv6
// address.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

func (d *Door) enter(ws *webSocket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.open = make(map[*webSocket]struct{})
	}
	d.open[ws] = struct{}{}
}

func (d *Door) leave(ws *webSocket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, ws)
}

// Wait waits until the WebSockets have ended that the relay has closed, all of
// them for no longer than patience: a program that exits at once would cut off
// their close frames.
func (d *Door) Wait(patience time.Duration) {
	d.mu.Lock()
	open := slices.Collect(maps.Keys(d.open))
	d.mu.Unlock()
	timeout := time.After(patience)
	for _, ws := range open {
		select {
		case <-ws.over:
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
