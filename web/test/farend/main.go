// Command farend is what browsers talk to in the benchmark: an MSRP endpoint over
// TCP, and a WebSocket without any protocol. Both discard what comes, and send
// what they are asked for.
//
// It prints the URL of its HTTP server as a line of its own:
//
//	/session                         the URI of a new MSRP session, which discards
//	                                 messages and answers "send N" with N octets
//	/websocket                       discards messages and answers a text, once all before it came
//	/websocket?octets=N&size=N       sends so many octets in messages of that size
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/coder/websocket"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
)

func main() {
	peers, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	browsers, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	endpoint := msrp.NewEndpoint(nil)
	go msrpnet.Serve(peers, endpoint)
	http.HandleFunc("/session", func(w http.ResponseWriter, r *http.Request) {
		uri, err := newSession(endpoint, peers.Addr().(*net.TCPAddr).Port)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, uri)
	})
	http.HandleFunc("/websocket", serveWebSocket)
	fmt.Printf("http://%s\n", browsers.Addr())
	go func() { log.Fatal(http.Serve(browsers, nil)) }()
	io.Copy(io.Discard, os.Stdin) // ends with who started it
}

// newSession waits for the first request of a peer and serves it.
func newSession(endpoint *msrp.Endpoint, port int) (msrp.URI, error) {
	uri, err := msrp.MakeURI(false, "127.0.0.1", port, msrp.NewID(), msrp.TransportTCP)
	if err != nil {
		return uri, err
	}
	greeted := make(chan msrp.Path, 1)
	s, err := endpoint.NewSession(msrp.SessionOptions{
		URI: uri, MaxBuffered: 1 << 20, Greeted: func(from msrp.Path) { greeted <- from },
	})
	if err != nil {
		return uri, err
	}
	go func() {
		if err := s.Start(msrp.Remote{Path: <-greeted, ChunkSize: 64 << 10}); err != nil {
			log.Print(err)
			return
		}
		for {
			in, err := s.Receive(context.Background())
			if err != nil {
				return
			}
			if err := serve(s, in); err != nil {
				log.Print(err)
			}
		}
	}()
	return uri, nil
}

func serve(s *msrp.Session, in *msrp.Incoming) error {
	if in.ContentType != "text/plain" {
		_, err := io.Copy(io.Discard, in)
		return err
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var octets int64
	if _, err := fmt.Sscanf(string(text), "send %d", &octets); err != nil {
		return err
	}
	_, err = s.Send(context.Background(), &msrp.Message{
		ContentType: "application/octet-stream", Body: io.LimitReader(zeros{}, octets), Size: octets,
	})
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func serveWebSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		log.Print(err)
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	octets, _ := strconv.Atoi(r.FormValue("octets"))
	size, _ := strconv.Atoi(r.FormValue("size"))
	ctx := context.Background()
	for message := make([]byte, size); octets > 0; octets -= size {
		if err := c.Write(ctx, websocket.MessageBinary, message[:min(size, octets)]); err != nil {
			return
		}
	}
	for buf := make([]byte, 64<<10); ; {
		kind, message, err := c.Reader(ctx)
		for err == nil {
			_, err = message.Read(buf)
		}
		if err == io.EOF && kind == websocket.MessageText {
			err = c.Write(ctx, kind, []byte("received"))
		}
		if err != nil && err != io.EOF {
			return
		}
	}
}
