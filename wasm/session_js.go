//go:build js && wasm

package main

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// inline is the longest message, in octets, that goes to the page with the
// event that announces it. Longer ones are read in pieces.
const inline = 64 << 10

// A session is one conversation, whatever sessions of the core it takes one
// after the other.
type session struct {
	service *service
	number  int64
	client  *client
	call    *call.Call
	traced  atomic.Bool
	hasFile bool
	offered *sdp.FileTransfer // what the peer's last offer is for, nil for a conversation

	newest     *msrp.Session // of the call
	received   chan struct{} // closed once all is received that came in newest
	moved      chan struct{} // closed once current is newest
	current    *msrp.Session // takes messages: the one before newest until that has ended
	generation int64         // how many have taken the place of another as current
	agreed     bool          // an exchange has succeeded
}

func (s *service) newSession(c *client, r request) {
	x := &session{service: s, number: r.num("session"), client: c}
	x.call = call.New(call.Options{
		Endpoint: c.endpoint, Host: places{x, r.flag("noDirect")}, Secure: r.flag("secure"), Username: r.str("displayName"),
		Session: msrp.SessionOptions{
			AcceptTypes: r.strs("acceptTypes"), MaxSize: r.num("maxSize"),
			StateChanged: x.stateChanged, Trace: x.trace,
		},
		AcceptWrappedTypes: r.strs("acceptWrappedTypes"),
	})
	s.sessions[x.number] = x
}

func (x *session) stateChanged(state msrp.State, err error) {
	e := object{"event": "state", "session": x.number, "state": state.String()}
	if err != nil {
		e["error"], e["outlived"] = errorObject(err), x.agreed && outlived(err)
	}
	x.service.post(e)
}

// outlived tells whether the conversation can go on in another session after
// one has ended with that error.
func outlived(err error) bool {
	var status *msrp.StatusError
	if errors.As(err, &status) {
		return status.Code == msrp.StatusNoSession || status.Code == msrp.StatusSessionInUse || status.Code == msrp.StatusTimeout
	}
	return errors.Is(err, msrp.ErrConnLost) || errors.Is(err, msrp.ErrSessionClosed)
}

// offer makes an offer, in place of one that waits for its answer.
func (x *session) offer(r request) later {
	x.client.setCredentials(r)
	offer := x.call.Offer
	if r.flag("renew") {
		offer = x.call.Renew
	}
	return func() (any, error) {
		x.call.Rollback() // most times of none
		sdp, err := offer(context.Background())
		if err == nil {
			x.follow()
		}
		return sdp, err
	}
}

// answer answers an offer, and gives up one that waits for its own answer.
func (x *session) answer(r request) later {
	x.client.setCredentials(r)
	offer := r.str("sdp")
	return func() (any, error) {
		x.call.Rollback()
		sdp, err := x.call.Answer(context.Background(), offer)
		if err == nil {
			x.agree()
		}
		return sdp, err
	}
}

func (x *session) accept(r request) later {
	answer := r.str("sdp")
	return func() (any, error) {
		err := x.call.Accept(context.Background(), answer)
		if err != nil {
			return nil, err
		}
		x.agree()
		if f := x.call.File(); f != nil {
			return describe(f), nil
		}
		return nil, nil
	}
}

// agree takes the outcome of an exchange, and tells the page for how many
// milliseconds the place of the session lasts, 0 if that is not known.
func (x *session) agree() {
	x.agreed = true
	stays := !x.follow()
	left := int64(0)
	if until := x.call.Until(); !until.IsZero() {
		left = max(1, until.Sub(time.Now()).Milliseconds())
	}
	x.service.post(object{"event": "agreed", "session": x.number, "left": left, "stays": stays})
}

// follow goes on in the session of the last exchange. It receives once nothing
// more comes of the one before, and sends once that has ended: so everything
// stays in order. The page sends again there what was not confirmed. It returns
// whether there is another session.
func (x *session) follow() bool {
	next, before := x.call.Session(), x.newest
	if next == before {
		return false
	}
	moved, received := x.moved, x.received
	x.newest, x.moved, x.received = next, make(chan struct{}), make(chan struct{})
	if before == nil {
		x.current = next
		close(x.moved)
		go x.receive(next, x.received)
		return true
	}
	now, all := x.moved, x.received
	go func() {
		<-received
		x.receive(next, all)
	}()
	go func() {
		<-moved
		<-before.Done()
		x.current = next
		x.generation++
		x.service.post(object{"event": "moved", "session": x.number, "generation": x.generation})
		close(now)
	}()
	return true
}

// close ends the session.
func (x *session) close() {
	go x.call.Close() // which waits for an exchange that is under way
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

// receive tells the page of each message, in order, until the session is over
// and done is closed.
func (x *session) receive(s *msrp.Session, done chan struct{}) {
	defer close(done)
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
