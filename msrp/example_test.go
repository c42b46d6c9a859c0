package msrp_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/relay"
)

// Connect to a peer whose URI is known, from its SDP for instance. With an
// msrps URI the same code speaks TLS.
func Example_dial() {
	ctx := context.Background()
	peer := bob() // such as msrp://bob.example.com:2855/k3o4nnWWM7QcB2eq;tcp
	c, err := msrpnet.Dial(ctx, peer, nil)
	if err != nil {
		log.Fatal(err)
	}
	endpoint := msrp.NewEndpoint(nil)
	conn := endpoint.NewConn(msrp.NewStream(c))
	defer conn.Close()

	// The own URI is where the peer's messages go: back on this connection, as
	// port 9 says that nobody can connect here.
	own, err := msrp.MakeURI(false, "127.0.0.1", 9, msrp.NewID(), msrp.TransportTCP)
	if err != nil {
		log.Fatal(err)
	}
	session, err := endpoint.NewSession(msrp.SessionOptions{URI: own})
	if err != nil {
		log.Fatal(err)
	}
	if err := session.Start(msrp.Remote{Path: msrp.Path{peer}, Conn: conn, Active: true}); err != nil {
		log.Fatal(err)
	}
	if err := session.Probe(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("Bob is there")
	// Output: Bob is there
}

// Wait for a peer on a port, receive a text and answer it.
func Example_listen() {
	ctx := context.Background()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	endpoint := msrp.NewEndpoint(nil)
	go msrpnet.Serve(l, endpoint)

	own, err := msrp.MakeURI(false, "127.0.0.1", l.Addr().(*net.TCPAddr).Port, msrp.NewID(), msrp.TransportTCP)
	if err != nil {
		log.Fatal(err)
	}
	greeted := make(chan msrp.Path, 1)
	session, err := endpoint.NewSession(msrp.SessionOptions{
		URI:     own,
		Greeted: func(from msrp.Path) { greeted <- from },
	})
	if err != nil {
		log.Fatal(err)
	}
	alice(own) // gets the URI, connects and says hello

	in, err := session.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(in.ContentType, string(text))

	// To send, the peer's path is needed. Without SDP its first request tells.
	if err := session.Start(msrp.Remote{Path: <-greeted}); err != nil {
		log.Fatal(err)
	}
	answer, err := session.Send(ctx, msrp.Text("Hello, Alice!"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Delivered(ctx))
	// Output:
	// text/plain Hello, Bob!
	// <nil>
}

// Send a text and wait until the peer has confirmed that it arrived.
func ExampleText() {
	ctx := context.Background()
	session, _ := connected()

	out, err := session.Send(ctx, msrp.Text("Grüße aus Köln"))
	if err != nil {
		log.Fatal(err)
	}
	if err := out.Delivered(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("delivered")
	// Output: delivered
}

// Send a file.
func ExampleSession_Send() {
	ctx := context.Background()
	session, _ := connected()

	f, err := os.Open("testdata/vectors.json")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close() // it is read until it is sent
	info, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	out, err := session.Send(ctx, &msrp.Message{
		ContentType:   "application/json",
		Body:          f,
		Size:          info.Size(),
		SuccessReport: true,
		Header:        msrp.Header{{Name: "Content-Disposition", Value: `attachment; filename="vectors.json"`}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := out.Delivered(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("delivered:", out.Progress().Acknowledged == info.Size())
	// Output: delivered: true
}

// Receive a message to disk, whatever its size.
func ExampleSession_Receive() {
	ctx := context.Background()
	peer, session := connected()
	peer.Send(ctx, &msrp.Message{ContentType: "image/png", Body: strings.NewReader(strings.Repeat("x", 1_000_000))})

	in, err := session.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	// The name of the file is ours: what a peer suggests is not to be trusted.
	f, err := os.CreateTemp("", "msrp-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	n, err := io.Copy(f, in) // while it arrives
	if err == nil {
		err = f.Close()
	}
	fmt.Println(in.ContentType, n, err)
	// Output: image/png 1000000 <nil>
}

// Reach a peer through a relay (RFC 4976), as those do whom nobody can connect
// to.
func Example_relay() {
	ctx := context.Background()
	relayURI := relayOnLoopback() // such as msrps://relay.example.com:2855;tcp
	c, err := msrpnet.Dial(ctx, relayURI, nil)
	if err != nil {
		log.Fatal(err)
	}
	endpoint := msrp.NewEndpoint(nil)
	conn := endpoint.NewConn(msrp.NewStream(c))
	defer conn.Close()

	own, err := msrp.MakeURI(relayURI.Secure(), "alice.invalid", msrp.DefaultPort, msrp.NewID(), msrp.TransportTCP)
	if err != nil {
		log.Fatal(err)
	}
	grant, err := conn.Authenticate(ctx, msrp.Auth{
		Relay: msrp.Path{relayURI}, URI: own, Username: "alice", Password: "secret",
	})
	if err != nil {
		log.Fatal(err)
	}
	session, err := endpoint.NewSession(msrp.SessionOptions{URI: own})
	if err != nil {
		log.Fatal(err)
	}
	// The a=path of the own SDP is grant.PathFor(own); the peer's is:
	peer := msrp.Path{bob()}
	if err := session.Start(msrp.Remote{Path: grant.ToPath(peer), Conn: conn, Active: true}); err != nil {
		log.Fatal(err)
	}
	out, err := session.Send(ctx, msrp.Text("Hello, Bob!"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.Delivered(ctx))
	// Output: <nil>
}

// After a lost connection, send in a new session what the peer did not confirm.
func ExampleOutgoing_Again() {
	ctx := context.Background()
	peer, session := connected()
	out, err := peer.Send(ctx, msrp.Text("Is anybody there?"))
	if err != nil {
		log.Fatal(err)
	}
	session.Close() // stands for a connection that broke off
	if out.Delivered(ctx) == nil {
		log.Fatal("delivered to nobody")
	}

	// Signalling has agreed on new URIs, and each side names what it resumes.
	next := resume(peer, session)
	again, err := out.Again(ctx)
	if err != nil {
		log.Fatal(err)
	}
	out, err = next.Send(ctx, again)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.Delivered(ctx))
	// Output: <nil>
}

// What follows is the other side of the examples.

// resume returns alice's side of a new session that takes the place of an old one.
func resume(alice, bob *msrp.Session) *msrp.Session {
	endpoint, port := listening()
	uri := newURI(port)
	other, err := endpoint.NewSession(msrp.SessionOptions{URI: uri, Resumes: bob})
	if err != nil {
		log.Fatal(err)
	}
	next := connect(uri, alice)
	if err := other.Start(msrp.Remote{Path: msrp.Path{next.URI()}}); err != nil {
		log.Fatal(err)
	}
	return next
}

// leftOpen is what they leave open.
var leftOpen []io.Closer

func closeExamples() {
	for _, c := range leftOpen {
		c.Close()
	}
}

// listening returns an endpoint on a port of its own.
func listening() (*msrp.Endpoint, int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	leftOpen = append(leftOpen, l)
	endpoint := msrp.NewEndpoint(nil)
	go msrpnet.Serve(l, endpoint)
	return endpoint, l.Addr().(*net.TCPAddr).Port
}

func newURI(port int) msrp.URI {
	uri, err := msrp.MakeURI(false, "127.0.0.1", port, msrp.NewID(), msrp.TransportTCP)
	if err != nil {
		log.Fatal(err)
	}
	return uri
}

// bob waits for a peer and confirms what it sends.
func bob() msrp.URI {
	endpoint, port := listening()
	uri := newURI(port)
	if _, err := endpoint.NewSession(msrp.SessionOptions{URI: uri}); err != nil {
		log.Fatal(err)
	}
	return uri
}

// alice connects to a peer and says hello.
func alice(peer msrp.URI) *msrp.Session {
	session := connect(peer, nil)
	session.Send(context.Background(), msrp.Text("Hello, Bob!"))
	return session
}

// connect starts a session with a peer, which may take the place of another.
func connect(peer msrp.URI, resumes *msrp.Session) *msrp.Session {
	c, err := msrpnet.Dial(context.Background(), peer, nil)
	if err != nil {
		log.Fatal(err)
	}
	endpoint := msrp.NewEndpoint(nil)
	session, err := endpoint.NewSession(msrp.SessionOptions{URI: newURI(9), Resumes: resumes})
	if err != nil {
		log.Fatal(err)
	}
	conn := endpoint.NewConn(msrp.NewStream(c))
	leftOpen = append(leftOpen, conn)
	err = session.Start(msrp.Remote{Path: msrp.Path{peer}, Conn: conn, Active: true})
	if err != nil {
		log.Fatal(err)
	}
	return session
}

// connected returns two sessions that have said hello.
func connected() (*msrp.Session, *msrp.Session) {
	endpoint, port := listening()
	session, err := endpoint.NewSession(msrp.SessionOptions{URI: newURI(port)})
	if err != nil {
		log.Fatal(err)
	}
	peer := alice(session.URI())
	if _, err := session.Receive(context.Background()); err != nil {
		log.Fatal(err)
	}
	return peer, session
}

// users are alice with the password secret.
type users struct{}

func (users) Algorithms() []digest.Algorithm { return []digest.Algorithm{digest.SHA256} }

func (users) HA1(a digest.Algorithm, username string) (ha1, user string, ok bool) {
	return digest.HA1(a, username, "127.0.0.1", "secret"), username, username == "alice"
}

func relayOnLoopback() msrp.URI {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	r, err := relay.New(relay.Config{
		Host: "127.0.0.1", PlainPort: port, PlainAuth: true, PlainPeers: true, Users: users{},
		Dial: func(ctx context.Context, to relay.Hop) (msrp.Transport, error) {
			c, err := msrpnet.Dial(ctx, to.URI, nil)
			if err != nil {
				return nil, err
			}
			return msrp.NewStream(c), nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	leftOpen = append(leftOpen, l, r)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.Serve(msrp.NewStream(c), relay.LinkInfo{})
		}
	}()
	uri, err := msrp.MakeURI(false, "127.0.0.1", port, "", msrp.TransportTCP)
	if err != nil {
		log.Fatal(err)
	}
	return uri
}
