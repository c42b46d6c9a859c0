//go:build !js

package call_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/file"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// tcp is a host of sessions without a relay: the answerer connects to the
// offerer, who listens.
type tcp struct {
	endpoint *msrp.Endpoint
	listener net.Listener

	mu    sync.Mutex
	conns []*msrp.Conn // that it has opened
}

func listenTCP() (*tcp, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &tcp{endpoint: msrp.NewEndpoint(nil), listener: l}
	go msrpnet.Serve(l, h.endpoint)
	return h, nil
}

// close ends what is the host's: the listener, and the connections that it has
// opened. A host that lives longer closes each once its session is over.
func (h *tcp) close() {
	h.listener.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, conn := range h.conns {
		conn.Close()
	}
}

// Place gives each session a URI of its own at the listener.
func (h *tcp) Place(context.Context, bool) (*call.Place, error) {
	at := h.listener.Addr().(*net.TCPAddr)
	uri, err := msrp.MakeURI(false, at.IP.String(), at.Port, msrp.NewID(), msrp.TransportTCP)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, peer sdp.Stream) (*msrp.Conn, error) {
		stream, err := msrpnet.Dial(ctx, peer.Path.First(), nil)
		if err != nil {
			return nil, err
		}
		conn := h.endpoint.NewConn(msrp.NewStream(stream))
		h.mu.Lock()
		defer h.mu.Unlock()
		h.conns = append(h.conns, conn)
		return conn, nil
	}
	return &call.Place{URI: uri, Path: msrp.Path{uri}, Setup: sdp.ActPass, Dial: dial}, nil
}

// A host over TCP, and a file that goes from alice to bob. What takes the SDP
// from one to the other, such as SIP, is left out.
func ExampleHost() {
	ctx := context.Background()
	alice, err := listenTCP()
	if err != nil {
		panic(err)
	}
	defer alice.close()
	bob, err := listenTCP()
	if err != nil {
		panic(err)
	}
	defer bob.close()

	// alice offers the file.
	text := "The north exit is free."
	f := &file.File{Name: "exits.txt", Type: "text/plain", Size: int64(len(text)), Octets: strings.NewReader(text)}
	selector, err := f.Describe(ctx, nil)
	if err != nil {
		panic(err)
	}
	out := call.New(call.Options{Endpoint: alice.endpoint, Host: alice, Direction: sdp.SendOnly, File: file.NewTransfer(selector, 0)})
	defer out.Close()
	offer, err := out.Offer(ctx)
	if err != nil {
		panic(err)
	}

	// bob looks at what is offered, and takes it.
	description, err := sdp.Parse(offer)
	if err != nil {
		panic(err)
	}
	stream, err := description.Stream(0)
	if err != nil {
		panic(err)
	}
	var saved strings.Builder
	receiver, err := file.NewReceiver(&saved, stream.File.Selector)
	if err != nil {
		panic(err)
	}
	own, err := receiver.Accept(stream.File)
	if err != nil {
		panic(err)
	}
	in := call.New(call.Options{Endpoint: bob.endpoint, Host: bob, File: own})
	defer in.Close()
	answer, err := in.Answer(ctx, offer)
	if err != nil {
		panic(err)
	}
	received := make(chan error, 1)
	go func() { received <- receiver.Receive(ctx, in.Session(), in.File()) }()

	// alice has the answer and sends.
	if err := out.Accept(ctx, answer); err != nil {
		panic(err)
	}
	sending, err := f.Send(ctx, out.Session(), out.File(), nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(sending.Delivered(ctx), <-received, saved.String())
	// Output: <nil> <nil> The north exit is free.
}
