//go:build js && wasm

package main

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// inline is the longest message, in octets, that goes to the page with the
// event that announces it. Longer ones are read in pieces.
const inline = 64 << 10

// A session is one conversation.
type session struct {
	service *service
	number  int64
	client  *client
	call    *call.Call
	traced  atomic.Bool
	offered *sdp.FileTransfer // what the peer's last offer is for, nil for a conversation
}

func (s *service) newSession(c *client, r request) error {
	if c.conn == nil {
		return errNoClient
	}
	x := &session{service: s, number: r.num("session"), client: c}
	host := c.direct
	if r.flag("noDirect") {
		host = c.relayed
	}
	x.call = call.New(call.Options{
		Endpoint: c.endpoint, Host: host, Secure: r.flag("secure"), Username: r.str("displayName"),
		Session: msrp.SessionOptions{
			AcceptTypes: r.strs("acceptTypes"), MaxSize: r.num("maxSize"),
			StateChanged: x.stateChanged, Trace: x.trace,
		},
		AcceptWrappedTypes: r.strs("acceptWrappedTypes"),
	})
	s.sessions[x.number] = x
	return nil
}

func (x *session) stateChanged(state msrp.State, err error) {
	e := object{"event": "state", "session": x.number, "state": state.String()}
	if err != nil {
		e["error"] = errorObject(err)
	}
	x.service.post(e)
}

func (x *session) offer(r request) later {
	x.client.setCredentials(r)
	return func() (any, error) {
		sdp, err := x.call.Offer(context.Background())
		if err == nil {
			go x.receive()
		}
		return sdp, err
	}
}

func (x *session) answer(r request) later {
	x.client.setCredentials(r)
	offer := r.str("sdp")
	return func() (any, error) {
		sdp, err := x.call.Answer(context.Background(), offer)
		if err == nil {
			go x.receive()
		}
		return sdp, err
	}
}

func (x *session) accept(r request) later {
	answer := r.str("sdp")
	return func() (any, error) {
		err := x.call.Accept(context.Background(), answer)
		if f := x.call.File(); err == nil && f != nil {
			return describe(f), nil
		}
		return nil, err
	}
}

// probe asks the next hop whether the session still stands.
func (x *session) probe() (any, error) {
	s := x.call.Session()
	if s == nil {
		return nil, errNotBegun
	}
	return nil, s.Probe(context.Background())
}

// nickname asks the chat room that the peer is for a nickname.
func (x *session) nickname(r request) later {
	name := r.str("name")
	return func() (any, error) {
		s := x.call.Session()
		if s == nil {
			return nil, errNotBegun
		}
		return nil, s.SetNickname(context.Background(), name)
	}
}

// receive tells the page of each message, in order.
func (x *session) receive() {
	s := x.call.Session()
	for {
		in, err := s.Receive(context.Background())
		if err != nil {
			return
		}
		e := object{
			"event": "message", "session": x.number, "messageId": in.ID, "contentType": in.ContentType,
			"disposition": in.Header.Get("Content-Disposition"), "from": in.From.Last().String(), "to": s.URI().String(),
		}
		if size := in.Size(); size >= 0 {
			e["size"] = size
		}
		if in.Complete() && in.Size() <= inline {
			data, err := io.ReadAll(in)
			if err == nil {
				x.service.postOctets(e, "data", data)
			}
			continue
		}
		e["incoming"] = x.service.addIncoming(in)
		// The wrapper of a message is read before the page hears of it.
		if n := in.Buffered(); n > 0 && msrp.MatchType("message/cpim", in.ContentType) {
			data := make([]byte, min(n, inline))
			n, _ = in.Read(data)
			x.service.postOctets(e, "data", data[:n])
			continue
		}
		x.service.post(e)
	}
}

// An incoming is a message that the page reads in pieces.
type incoming struct {
	*msrp.Incoming
	service *service
	number  int64
}

func (s *service) addIncoming(in *msrp.Incoming) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest++
	s.incoming[s.latest] = &incoming{Incoming: in, service: s, number: s.latest}
	return s.latest
}

func (s *service) lookupIncoming(number int64) *incoming {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.incoming[number]
}

// Close gives the message up.
func (in *incoming) Close() error {
	in.service.mu.Lock()
	delete(in.service.incoming, in.number)
	in.service.mu.Unlock()
	return in.Incoming.Close()
}

// maxRead bounds the octets that go to the page at once, but for the last piece.
const maxRead = 1 << 20

// read returns the next pieces, about as many octets as are wanted, or null at
// the end. The page asks for one piece at a time.
func (in *incoming) read(wanted int) later {
	return func() (any, error) {
		wanted = min(wanted, maxRead)
		var list pieces
		for n := 0; ; {
			data, k, err := in.Next()
			if err != nil {
				in.Close()
				if err == io.EOF {
					err = nil
				}
				return nil, err
			}
			if k == nil {
				k = kept(octetsStore(pointer(data), int32(len(data))))
			}
			list = append(list, k.(kept))
			// What is there already goes along: fewer messages to the page.
			if n += k.Len(); n >= wanted || in.Buffered() == 0 {
				return list, nil
			}
		}
	}
}
