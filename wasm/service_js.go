//go:build js && wasm

package main

import (
	"errors"
	"sync"
	"unsafe"

	"github.com/hack-pad/safejs"

	"github.com/webmsrp/webmsrp/msrp"
)

// A service answers the requests of the page and sends it events.
//
// A request is {id, op, …}; its answer {id, result} or {id, error}. Requests
// are begun in the order in which they come, by one goroutine; those that wait
// go on in their own. An event is {event, …}. The page chooses the numbers of
// clients, sessions and outgoing messages, the service those of incoming ones.
//
// There is one thread, and a goroutine gives way to another only where it waits:
// what is done without waiting needs no lock.
type service struct {
	host safejs.Value

	// Only the goroutine of run:
	clients  map[int64]*client
	sessions map[int64]*session

	mu       sync.Mutex
	requests []safejs.Value
	came     *sync.Cond
	outgoing map[int64]*msrp.Outgoing
	incoming map[int64]*incoming
	latest   int64 // the highest number of incoming
	progress progress
}

func newService(host safejs.Value) *service {
	s := &service{
		host:    host,
		clients: map[int64]*client{}, sessions: map[int64]*session{},
		outgoing: map[int64]*msrp.Outgoing{}, incoming: map[int64]*incoming{},
	}
	s.came = sync.NewCond(&s.mu)
	return s
}

// enqueue takes a request. It is called from JavaScript and must not block.
func (s *service) enqueue(r safejs.Value) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	s.came.Signal()
}

// run begins one request after the other.
func (s *service) run() {
	for {
		s.mu.Lock()
		for len(s.requests) == 0 {
			s.came.Wait()
		}
		r := request{s.requests[0]}
		s.requests[0] = safejs.Value{}
		s.requests = s.requests[1:]
		s.mu.Unlock()
		s.begin(r)
	}
}

// begin starts a request and answers it, at once or later.
func (s *service) begin(r request) {
	id := r.num("id")
	later, err := s.dispatch(r)
	switch {
	case err != nil:
		s.answer(id, nil, err)
	case later == nil:
		s.answer(id, nil, nil)
	default:
		go func() {
			result, err := later()
			s.answer(id, result, err)
		}()
	}
}

// later is the part of a request that waits.
type later func() (result any, err error)

// pieces is a result to be transferred: an array of Uint8Arrays.
type pieces []kept

// dispatch does what must be done in order, and returns what is left to do.
func (s *service) dispatch(r request) (later, error) {
	op := r.str("op")
	if op == "connect" {
		return s.connect(r), nil
	}
	if op == "session" || op == "check" || op == "disconnect" {
		c := s.clients[r.num("client")]
		if c == nil {
			return nil, errNoClient
		}
		switch op {
		case "session":
			s.newSession(c, r)
		case "check":
			if c.link != nil {
				c.link.ws.socket.Call("check")
			}
		default:
			return s.disconnect(r.num("client"), c), nil
		}
		return nil, nil
	}
	if op == "read" || op == "drop" {
		in := s.lookupIncoming(r.num("incoming"))
		if in == nil {
			return nil, errors.New("the message is over")
		}
		if op == "read" {
			return in.read(int(r.num("max"))), nil
		}
		return nil, in.Close()
	}
	if op == "abort" {
		if out := s.outgoing[r.num("message")]; out != nil {
			out.Abort()
		}
		return nil, nil
	}
	session := s.sessions[r.num("session")]
	if session == nil {
		return nil, errNoSession
	}
	switch op {
	case "offer":
		return session.offer(r), nil
	case "answer":
		return session.answer(r), nil
	case "accept":
		return session.accept(r), nil
	case "send":
		return nil, s.send(session, r)
	case "probe":
		return session.probe, nil
	case "offerfile":
		return session.offerFile(r), nil
	case "offeredfile":
		return session.offeredFile(r), nil
	case "takefile":
		return session.takeFile(), nil
	case "refuse":
		return session.refuse(r), nil
	case "nickname":
		return session.nickname(r), nil
	case "trace":
		session.traceFrom()
		return nil, nil
	case "close":
		delete(s.sessions, r.num("session"))
		session.close()
		return nil, nil
	}
	return nil, errors.New("unknown operation " + op)
}

var (
	errNoClient  = errors.New("the client is closed")
	errNoSession = errors.New("the session is closed")
	errNotBegun  = errors.New("the session has not begun: call createOffer or createAnswer first")
)

func (s *service) answer(id int64, result any, err error) {
	if err != nil {
		s.post(object{"id": id, "error": errorObject(err)})
		return
	}
	if list, ok := result.(pieces); ok {
		answerOctets(float64(id), unsafe.Pointer(unsafe.SliceData(list)), int32(len(list)))
		return
	}
	s.post(object{"id": id, "result": result})
}

// post sends a message to the page.
func (s *service) post(message object, transfer ...any) {
	if _, err := s.host.Call("post", message, transfer); err != nil {
		println("webmsrp: the page cannot be told:", err.Error())
	}
}

// postOctets sends a message with octets under that name.
func (s *service) postOctets(message object, name string, data []byte) {
	array, buffer, err := toJS(data)
	if err != nil {
		println("webmsrp: cannot copy octets:", err.Error())
		return
	}
	message[name] = array
	s.post(message, buffer)
}
