//go:build js && wasm

package main

import (
	"context"
	"sync"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
)

// A client is one WebSocket to a relay.
type client struct {
	url      string
	endpoint *msrp.Endpoint
	until    until         // the page wants no more
	ready    chan struct{} // closed when conn or err is set
	conn     *msrp.Conn
	err      error
	direct   *call.RelayHost // for sessions that ask for direct mode
	relayed  *call.RelayHost // and those that do not

	chunkSize int // 0 for the default

	mu                 sync.Mutex
	username, password string
}

// connect opens the WebSocket of a new client.
func (s *service) connect(r request) later {
	number := r.num("client")
	c := &client{
		url: r.str("url"), username: r.str("username"), password: r.str("password"),
		endpoint: msrp.NewEndpoint(nil), until: make(until), ready: make(chan struct{}),
		chunkSize: int(r.num("chunkSize")),
	}
	secure := r.flag("secure")
	s.clients[number] = c
	return func() (any, error) {
		defer close(c.ready)
		ws, err := dialWebSocket(s.host, c.url, c.until)
		if err != nil {
			c.err = err
			return nil, err
		}
		c.conn = c.endpoint.NewConn(msrp.NewMessages(ws))
		c.direct, c.relayed = c.host(false), c.host(true)
		if err := c.direct.Reserve(c.until, secure); err != nil {
			return nil, err // the page disconnects
		}
		go func() {
			<-c.conn.Done()
			s.post(object{"event": "clientclosed", "client": number, "error": errorObject(c.conn.Err())})
		}()
		return nil, nil
	}
}

// disconnect closes a client and the sessions it carries.
func (s *service) disconnect(number int64, c *client) later {
	delete(s.clients, number)
	for n, session := range s.sessions {
		if session.client == c {
			delete(s.sessions, n)
		}
	}
	close(c.until)
	return func() (any, error) {
		<-c.ready
		if c.conn != nil {
			c.conn.Close()
		}
		return nil, nil
	}
}

// setCredentials takes the username and password that a request brings along.
func (c *client) setCredentials(r request) {
	if r.str("username") == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.username, c.password = r.str("username"), r.str("password")
}

// host gives the client's sessions their places at the relay.
func (c *client) host(noDirect bool) *call.RelayHost {
	return &call.RelayHost{
		Conn: c.conn, Transport: msrp.TransportWS, NoDirect: noDirect, ChunkSize: c.chunkSize,
		Relay: func(secure bool) (msrp.URI, error) { return call.RelayURI(c.url, secure) },
		Credentials: func(context.Context) (string, string, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
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
