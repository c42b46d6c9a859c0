//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

// pause is a moment, for others to come in between.
func pause(longest time.Duration) { time.Sleep(rand.N(longest)) }

// A manner is what a client does between coming and going.
type manner struct {
	name string
	do   func(l *load, ctx context.Context, in *instance, number int) error
}

// withPlace makes a manner of those who log in first and send something.
func withPlace(secure bool, do func(l *load, ctx context.Context, p *place) error) func(*load, context.Context, *instance, int) error {
	return func(l *load, ctx context.Context, in *instance, number int) error {
		p, err := l.place(ctx, in, number, secure, 0)
		if err != nil {
			return err
		}
		defer p.leave()
		return do(l, ctx, p)
	}
}

// sendTo makes a manner of those who send to a peer, and do not wait for what
// becomes of it.
func sendTo(size int64, secure bool, to func(l *load) msrp.Path, fingerprints ...string) func(*load, context.Context, *instance, int) error {
	return withPlace(secure, func(l *load, ctx context.Context, p *place) error {
		s, err := p.session(to(l), fingerprints...)
		if err != nil {
			return err
		}
		_, err = s.Send(ctx, &msrp.Message{ContentType: "text/plain", Body: msrptest.Octets(size, 1), Size: size})
		pause(2 * time.Second)
		return err
	})
}

// outsider makes a manner of those who connect to a listener and say something.
func outsider(address func(*instance) string, say string) func(*load, context.Context, *instance, int) error {
	return func(l *load, ctx context.Context, in *instance, number int) error {
		c, err := net.Dial("tcp", address(in))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.WriteString(c, say)
		pause(time.Second)
		return err
	}
}

const wrongFingerprint = "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"

// manners are taken in turn.
var manners = []manner{
	{"talk to a browser and hang up", func(l *load, ctx context.Context, in *instance, number int) error {
		alice, err := l.browser(ctx, in, number)
		if err != nil {
			return err
		}
		defer alice.Close()
		bob, err := l.browser(ctx, in, number+1)
		if err != nil {
			return err
		}
		k := &talk{alice: alice.side(number/2%2 == 0), bob: bob.side(number/4%2 == 0), secure: number/8%2 == 0, every: 10 * time.Millisecond, least: 3}
		return l.short(ctx, k)
	}},
	{"talk to a peer and hang up", func(l *load, ctx context.Context, in *instance, number int) error {
		alice, err := l.browser(ctx, in, number)
		if err != nil {
			return err
		}
		peer := l.plain
		if number/2%2 == 0 {
			peer = l.secure
		}
		k := &talk{alice: alice.side(number/4%2 == 0), bob: peer.side(true), secure: peer == l.secure, every: 10 * time.Millisecond, least: 3}
		return l.short(ctx, k)
	}},
	{"leave within a frame", withPlace(false, func(l *load, ctx context.Context, p *place) error {
		_, err := p.raw.Write(frame(make([]byte, 1000))[:300])
		pause(time.Second)
		return err
	})},
	{"leave within a message", withPlace(false, func(l *load, ctx context.Context, p *place) error {
		peer, err := msrp.MakeURI(false, "127.0.0.1", l.plain.port, msrp.NewID(), msrp.TransportTCP)
		if err != nil {
			return err
		}
		u := msrp.Unit{
			TransactionID: msrp.NewTransactionID(), Method: msrp.MethodSend, To: p.grant.ToPath(msrp.Path{peer}), From: msrp.Path{p.own},
			Header: msrp.Header{{Name: "Message-ID", Value: msrp.NewID()}, {Name: "Byte-Range", Value: "1-*/100000"}, {Name: "Content-Type", Value: "text/plain"}},
			Flag:   msrp.FlagInterrupted,
		}
		_, err = p.raw.Write(frame(u.Append(nil, make([]byte, 9000))))
		pause(time.Second)
		return err
	})},
	{"never log in", func(l *load, ctx context.Context, in *instance, number int) error {
		b, err := l.browser(ctx, in, number)
		if err != nil {
			return err
		}
		pause(2 * time.Second)
		b.leave()
		return nil
	}},
	{"guess a password", func(l *load, ctx context.Context, in *instance, number int) error {
		b, err := l.browser(ctx, in, -1-number%10) // where nobody else comes from, who would be locked out
		if err != nil {
			return err
		}
		defer b.leave()
		relay, err := b.relay(true)
		if err != nil {
			return err
		}
		own, err := msrp.MakeURI(true, "a.invalid", 2855, msrp.NewID(), msrp.TransportWS)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, rand.N(3*time.Second))
		defer cancel()
		if _, err = b.Authenticate(ctx, msrp.Auth{Relay: msrp.Path{relay}, URI: own, Username: fmt.Sprint("mallory", number%5), Password: "wrong"}); err == nil {
			return errors.New("a wrong password is taken")
		}
		return nil
	}},
	{"send to one who never answers", sendTo(5000, false, func(l *load) msrp.Path { return l.silent })},
	{"send to one who does not read", sendTo(1_000_000, false, func(l *load) msrp.Path { return l.stalled })},
	{"send to one who hangs up", sendTo(5000, false, func(l *load) msrp.Path { return l.leaving })},
	{"send over TLS to one who hangs up", sendTo(5000, true, func(l *load) msrp.Path { return l.leavingTLS })},
	{"send to where nobody is", sendTo(100, false, func(l *load) msrp.Path { return l.gone })},
	{"send to one who is deaf to TLS", sendTo(100, true, func(l *load) msrp.Path { return l.deaf })},
	{"send to one with another certificate", sendTo(100, true, func(l *load) msrp.Path {
		uri, _ := msrp.MakeURI(true, "127.0.0.1", l.secure.port, msrp.NewID(), msrp.TransportTCP)
		return msrp.Path{uri}
	}, wrongFingerprint)},
	{"send to a room and vanish", withPlace(false, func(l *load, ctx context.Context, p *place) error {
		s, err := p.endpoint.NewSession(msrp.SessionOptions{URI: p.own})
		if err == nil {
			err = s.Start(msrp.Remote{Path: p.grant.ToPath(p.in.room.path), Conn: p.Conn, ChunkSize: 64 << 10})
		}
		if err == nil {
			err = p.in.room.greet(p.grant.PathFor(p.own))
		}
		if err != nil {
			return err
		}
		const size = 200_000
		out, err := s.Send(ctx, &msrp.Message{ContentType: "text/plain", Body: msrptest.Octets(size, 1), Size: size, FailureReport: msrp.FailureNo})
		if err == nil {
			err = out.Sent(ctx)
		}
		p.reset()
		return err
	})},
	{"register and call nobody", func(l *load, ctx context.Context, in *instance, number int) error {
		return l.calls(ctx, in, number, "nobody")
	}},
	{"register and call one who does not answer", func(l *load, ctx context.Context, in *instance, number int) error {
		return l.calls(ctx, in, number, userName(0))
	}},
	{"half a request of HTTP", outsider(func(in *instance) string { return in.listen }, "GET /msrp HTTP/1.1\r\nHost: localh")},
	{"half a hello of TLS", outsider(func(in *instance) string { return in.msrps }, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
	{"say nothing over TCP", outsider(func(in *instance) string { return in.msrp }, "")},
	{"no MSRP over TCP", outsider(func(in *instance) string { return in.msrp }, "EHLO relay.example.com\r\n")},
	{"half a SEND to an unknown token", outsider(func(in *instance) string { return in.msrp }, "MSRP a786hjs2 SEND\r\nTo-Path: msrp://localhost:2855/unkn0wn;tcp\r\nFrom-Path: msrp://127.0.0.1:9/s;tcp\r\nMess")},
	{"get the page", func(l *load, ctx context.Context, in *instance, number int) error {
		url := map[bool]string{true: "https://", false: "http://"}[in.secure] + in.listen + "/"
		r, err := l.httpClient(in, number%users, nil).Get(url)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		_, err = io.Copy(io.Discard, r.Body)
		return err
	}},
}

// short has two talk for a moment and hang up.
func (l *load) short(ctx context.Context, k *talk) error {
	defer k.end()
	if err := k.begin(ctx); err != nil {
		return err
	}
	stop := make(chan struct{})
	close(stop)
	messages, err := k.run(ctx, stop)
	l.add("messages", int(messages))
	return err
}

// calls registers, and leaves while the call may still be going on.
func (l *load) calls(ctx context.Context, in *instance, number int, to string) error {
	c, err := l.register(ctx, in, 1+number%(users-1))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rand.N(time.Second))
	defer cancel()
	c.Call(ctx, to, "v=0")
	c.Close()
	<-c.Done()
	return nil
}

// lasting are those who stay until the relay has had enough of them.
var lasting = []manner{
	{"stay until the token is over", func(l *load, ctx context.Context, in *instance, number int) error {
		p, err := l.place(ctx, in, number, true, time.Minute)
		if err != nil {
			return err
		}
		defer p.leave()
		s, err := p.session(nil)
		if err != nil {
			return err
		}
		for ; ; time.Sleep(time.Second) { // the session is with the relay alone, which tells when it is over
			if s.State() == msrp.StateConnecting {
				continue
			}
			var status *msrp.StatusError
			if err := s.Probe(ctx); errors.As(err, &status) && status.Code == msrp.StatusNoSession {
				return nil
			} else if err != nil {
				return err
			}
		}
	}},
	{"stay without logging in", func(l *load, ctx context.Context, in *instance, number int) error {
		b, err := l.browser(ctx, in, number)
		if err != nil {
			return err
		}
		defer b.Close()
		select {
		case <-b.Done():
			return nil
		case <-ctx.Done():
			return errors.New("the relay does not mind")
		}
	}},
	{"stay without reading", func(l *load, ctx context.Context, in *instance, number int) error {
		p, err := l.place(ctx, in, number, true, 0)
		if err != nil {
			return err
		}
		close(p.gate)
		l.hold(p.gated)
		return nil
	}},
	{"wait for one who never answers", withPlace(false, func(l *load, ctx context.Context, p *place) error {
		s, err := p.session(l.silent)
		if err != nil {
			return err
		}
		out, err := s.Send(ctx, msrp.Text("is anybody there?"))
		if err != nil {
			return err
		}
		var status *msrp.StatusError
		if err := out.Delivered(ctx); !errors.As(err, &status) || status.Code != msrp.StatusTimeout {
			return fmt.Errorf("in place of 408: %w", err)
		}
		return nil
	})},
}
