//go:build js && wasm

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/hack-pad/safejs"

	"github.com/webmsrp/webmsrp/msrp"
)

// send starts a message. Its body is a string, a Uint8Array, or an object with
// a method pull that promises the next Uint8Array and at the end null. The page
// sends it again in the session that follows this one, if that ends before.
func (s *service) send(x *session, r request) error {
	session := x.current
	if session == nil {
		return errNotBegun
	}
	number := r.num("message")
	m := &msrp.Message{
		ID: r.str("messageId"), ContentType: r.str("contentType"), Size: r.num("size"),
		SuccessReport: r.flag("successReport"), Control: r.flag("control"),
	}
	switch r.str("failureReport") {
	case "yes":
		m.FailureReport = msrp.FailureYes
	case "no":
		m.FailureReport = msrp.FailureNo
	case "partial":
		m.FailureReport = msrp.FailurePartial
	}
	if d := r.str("disposition"); d != "" {
		m.Header = msrp.Header{{Name: "Content-Disposition", Value: d}}
	}
	body := r.get("body")
	var pulled *pulledBody
	switch isBytes, _ := body.InstanceOf(uint8Array); {
	case body.Type() == safejs.TypeString:
		text, _ := body.String()
		m.Body = bytes.NewReader([]byte(text))
	case isBytes:
		data, err := toGo(nil, body)
		if err != nil {
			return err
		}
		m.Body = bytes.NewReader(data)
	case body.Type() == safejs.TypeObject:
		pulled = &pulledBody{source: body}
		m.Body = pulled
	default:
		return errors.New("a message needs a body")
	}
	m.Changed = func(p msrp.Progress) {
		e := object{"event": "progress", "message": number, "acknowledged": p.Acknowledged, "sent": p.Sent, "delivered": p.Delivered}
		if p.Err != nil {
			e["error"] = errorObject(p.Err)
			e["outlived"] = outlived(p.Err) // or is about to be, or was only the peer's connection
		}
		s.postProgress(number, e, p.Sent || p.Err != nil)
		if p.Err == nil && !p.Delivered && (!p.Sent || m.SuccessReport) {
			return
		}
		delete(s.outgoing, number)
		if pulled != nil {
			pulled.cancel()
		}
	}
	if session.Err() != nil || r.num("generation") != x.generation {
		s.post(object{"event": "progress", "message": number, "unsent": true})
		return nil
	}
	out, err := session.Send(context.Background(), m)
	if err == nil {
		s.outgoing[number] = out
	}
	return err
}

// progressEvery is the least time between two events of progress that tell of
// octets alone. There may be thousands of them a second.
const progressEvery = 20 * time.Millisecond

// A progress holds back such events.
type progress struct {
	latest map[int64]object // by the message's number
	timer  *time.Timer      // nil before the first
	runs   bool             // of timer
}

// postProgress tells the page how far a message is: at once, or soon where it
// was told something of the kind just now.
func (s *service) postProgress(number int64, e object, atOnce bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.progress
	switch {
	case atOnce:
		delete(p.latest, number)
	case p.runs:
		p.latest[number] = e
		return
	case p.timer == nil:
		p.latest = map[int64]object{}
		p.timer = time.AfterFunc(progressEvery, s.postLatest)
		p.runs = true
	default:
		p.timer.Reset(progressEvery)
		p.runs = true
	}
	s.post(e)
}

func (s *service) postLatest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.progress
	for _, e := range p.latest {
		s.post(e)
	}
	if p.runs = len(p.latest) > 0; p.runs {
		clear(p.latest)
		p.timer.Reset(progressEvery)
	}
}

// A pulledBody reads a body that the page supplies in pieces.
type pulledBody struct {
	source safejs.Value
	piece  safejs.Value // a Uint8Array
	from   int          // octets of it that were read
	size   int
}

func (b *pulledBody) Read(p []byte) (int, error) {
	for b.from == b.size {
		promise, err := b.source.Call("pull")
		if err != nil {
			return 0, err
		}
		piece, err := await(promise)
		if err != nil {
			return 0, err
		}
		if piece.IsNull() || piece.IsUndefined() {
			return 0, io.EOF
		}
		b.piece, b.from = piece, 0
		if b.size, err = piece.Length(); err != nil {
			return 0, err
		}
	}
	view, err := b.piece.Call("subarray", b.from, min(b.from+len(p), b.size))
	if err != nil {
		return 0, err
	}
	n, err := safejs.CopyBytesToGo(p, view)
	b.from += n
	return n, err
}

// cancel tells the page that no more is wanted. Calling it twice is harmless.
func (b *pulledBody) cancel() { b.source.Call("cancel") }
