// Package bridge connects the relay to the world: browsers come in over
// WebSocket, peers and other relays over TCP and TLS, and it dials them where
// the policy allows.
package bridge

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

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
	host, _, _ := strings.Cut(r.Host, ":")
	info := relay.LinkInfo{Remote: r.RemoteAddr, WebSocket: true, Secure: d.Secure != nil, Host: host}
	// Returning from here frees what net/http holds for the request.
	go func() {
		ws := newWebSocket(c, d.ChunkSize)
		done := make(chan struct{})
		go ws.keepAlive(done)
		err := d.Relay.Serve(msrp.NewMessages(ws), info)
		close(done)
		d.Log.Debug("WebSocket closed", "remote", info.Remote, "error", err)
	}()
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
