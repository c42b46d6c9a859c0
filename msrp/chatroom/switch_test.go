package chatroom_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/chatroom"
	"github.com/webmsrp/webmsrp/msrp/cpim"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

const roomURI = "sip:room@chat.example.com"

// A focus is a chat room in memory: what passes messages on in these tests.
type focus struct {
	endpoint *msrp.Endpoint
	features []string
	decided  chan int // each code of Deliver, as it is decided

	mu        sync.Mutex
	seats     map[*chatroom.Participant]*msrp.Session
	nicknames map[string]*chatroom.Participant
}

func newFocus(features ...string) *focus {
	return &focus{
		endpoint: msrp.NewEndpoint(nil), features: append([]string{}, features...), decided: make(chan int, 100),
		seats: map[*chatroom.Participant]*msrp.Session{}, nicknames: map[string]*chatroom.Participant{},
	}
}

// place is where a session is reached on a pipe.
type place struct {
	host  string
	setup sdp.Setup
	dial  func(context.Context, sdp.Stream) (*msrp.Conn, error)
}

func (p place) Place(context.Context, bool) (*call.Place, error) {
	uri, err := msrp.MakeURI(false, p.host, msrp.DefaultPort, msrp.NewID(), msrp.TransportTCP)
	return &call.Place{URI: uri, Path: msrp.Path{uri}, Setup: p.setup, Dial: p.dial}, err
}

// join has a participant known by uri join the room: by offer and answer, as an
// INVITE does. opts are the terms of the participant's call.
func (f *focus) join(ctx context.Context, uri string, opts call.Options) (*msrp.Session, chatroom.Room, error) {
	opts.Endpoint = msrp.NewEndpoint(nil)
	opts.Host = place{"client.example.com", sdp.Active, func(context.Context, sdp.Stream) (*msrp.Conn, error) {
		ours, theirs := net.Pipe()
		f.endpoint.NewConn(msrp.NewStream(theirs))
		return opts.Endpoint.NewConn(msrp.NewStream(ours)), nil
	}}
	caller := call.New(opts)
	offer, err := caller.Offer(ctx)
	if err != nil {
		return nil, chatroom.Room{}, err
	}
	p := &chatroom.Participant{URIs: []string{uri}}
	answerer := call.New(call.Options{
		Endpoint: f.endpoint, Host: place{"chat.example.com", sdp.Passive, nil},
		Session:            msrp.SessionOptions{AcceptTypes: []string{cpim.ContentType}, Nickname: f.nickname(p)},
		AcceptWrappedTypes: []string{"text/plain"}, Chatroom: f.features,
	})
	answer, err := answerer.Answer(ctx, offer)
	if err != nil {
		return nil, chatroom.Room{}, err
	}
	p.Stream = answerer.Peer()
	f.mu.Lock()
	f.seats[p] = answerer.Session()
	f.mu.Unlock()
	go f.serve(ctx, p, answerer.Session())
	if err := caller.Accept(ctx, answer); err != nil {
		return nil, chatroom.Room{}, err
	}
	return caller.Session(), chatroom.Room{URI: roomURI, Stream: caller.Peer()}, nil
}

// serve passes on what a participant sends.
func (f *focus) serve(ctx context.Context, sender *chatroom.Participant, s *msrp.Session) {
	room := chatroom.Room{URI: roomURI, Stream: sdp.Stream{
		AcceptTypes: []string{cpim.ContentType}, AcceptWrappedTypes: []string{"text/plain"}, Chatroom: f.features,
	}}
	for {
		in, err := s.Receive(ctx)
		if err != nil {
			return
		}
		octets, err := io.ReadAll(in)
		if err != nil {
			return
		}
		m, _ := cpim.Read(bytes.NewReader(octets)) // nil where it is none
		f.mu.Lock()
		var all []*chatroom.Participant
		for p := range f.seats {
			all = append(all, p)
		}
		to, code := room.Deliver(m, sender, all)
		for _, p := range to {
			f.seats[p].Send(ctx, &msrp.Message{ContentType: cpim.ContentType, Body: bytes.NewReader(octets)})
		}
		f.mu.Unlock()
		f.decided <- code
	}
}

// nickname keeps who has which.
func (f *focus) nickname(p *chatroom.Participant) func(string) int {
	return func(name string) int {
		f.mu.Lock()
		defer f.mu.Unlock()
		if owner := f.nicknames[name]; owner != nil && owner != p {
			return msrp.StatusNicknameInUse
		}
		for old, owner := range f.nicknames {
			if owner == p {
				delete(f.nicknames, old)
			}
		}
		if name != "" {
			f.nicknames[name] = p
		}
		return msrp.StatusOK
	}
}
