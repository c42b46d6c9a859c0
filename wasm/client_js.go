//go:build js && wasm

package main

import (
	"context"
	"sync"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
)

// A client is one WebSocket to a relay, and after that was lost another.
type client struct {
	number    int64
	url       string
	secure    bool
	chunkSize int // 0 for the default
	endpoint  *msrp.Endpoint
	until     until // the page wants no more

	username, password string
	opening            sync.Mutex // held meanwhile
	link               *link      // the latest, nil before the first
}

// A link is a WebSocket of a client, after AUTH.
type link struct {
	ws      *webSocket
	conn    *msrp.Conn
	direct  *call.RelayHost // for sessions that ask for direct mode
	relayed *call.RelayHost // and those that do not
}

// connect opens the WebSocket of a client: of a new one, or of one that has lost
// its own.
func (s *service) connect(r request) later {
	number := r.num("client")
	c := s.clients[number]
	if c == nil {
		c = &client{
			number: number, url: r.str("url"), secure: r.flag("secure"), chunkSize: int(r.num("chunkSize")),
			endpoint: msrp.NewEndpoint(nil), until: make(until),
		}
		s.clients[number] = c
	}
	c.setCredentials(r)
	return func() (any, error) { return nil, s.open(c) }
}

// open gives a client a link. The page is told of its end in an event.
func (s *service) open(c *client) error {
	c.opening.Lock()
	defer c.opening.Unlock()
	ws, err := dialWebSocket(s.host, c.url, c.until)
	if err != nil {
		return err
	}
	l := &link{ws: ws, conn: c.endpoint.NewConn(msrp.NewMessages(ws))}
	l.direct, l.relayed = c.host(l.conn, false), c.host(l.conn, true)
	ws.silent = l.direct.KeepAlive
	err = l.direct.Reserve(c.until, c.secure)
	if err == nil {
		err = c.until.Err()
	}
	if err != nil {
		l.conn.Close()
		return err
	}
	c.link = l
	go func() {
		<-l.conn.Done()
		s.post(object{"event": "lost", "client": c.number, "error": errorObject(l.conn.Err())})
	}()
	return nil
}

// disconnect closes a client and the sessions it carries.
func (s *service) disconnect(number int64, c *client) later {
	delete(s.clients, number)
	for n, session := range s.sessions {
		if session.client == c {
			delete(s.sessions, n)
			session.close()
		}
	}
	close(c.until)
	return func() (any, error) {
		c.opening.Lock() // until what is being opened was given up
		if c.link != nil {
			c.link.conn.Close()
		}
		return nil, nil
	}
}

// fileTime is how long places are wanted of our own relays for files, which cannot
// move to others before they are through. Of Kamailio nothing can be wanted.
const fileTime = 12 * time.Hour

// places finds the places of a session at the link that there is.
type places struct {
	session  *session
	noDirect bool
}

// Place implements [call.Host].
func (p places) Place(ctx context.Context, secure bool) (*call.Place, error) {
	c := p.session.client
	l := c.link
	switch {
	case l == nil:
		return nil, errNoClient
	case p.session.hasFile && l.direct.Releases():
		host := c.host(l.conn, p.noDirect)
		host.Expires = fileTime
		return host.Place(ctx, secure)
	case p.noDirect:
		return l.relayed.Place(ctx, secure)
	}
	return l.direct.Place(ctx, secure)
}

// setCredentials takes the username and password that a request brings along.
func (c *client) setCredentials(r request) {
	if r.str("username") == "" {
		return
	}
	c.username, c.password = r.str("username"), r.str("password")
}

// host gives the client's sessions their places at the relay.
func (c *client) host(conn *msrp.Conn, noDirect bool) *call.RelayHost {
	return &call.RelayHost{
		Conn: conn, Transport: msrp.TransportWS, NoDirect: noDirect, ChunkSize: c.chunkSize,
		Relay: func(secure bool) (msrp.URI, error) { return call.RelayURI(c.url, secure) },
		Credentials: func(context.Context) (string, string, error) {
			return c.username, c.password, nil
		},
	}
}

// until is a context that lasts until it is closed. It takes the place of
// context.WithCancel, which makes the program 8 KB larger after brotli.
type until chan struct{}

func (until) Deadline() (t time.Time, ok bool) { return }
func (u until) Done() <-chan struct{}          { return u }
func (until) Value(any) any                    { return nil }

func (u until) Err() error {
	select {
	case <-u:
		return context.Canceled
	default:
		return nil
	}
}
