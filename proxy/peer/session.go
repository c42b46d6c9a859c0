package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/file"
)

// run holds a conversation until it ends, on either side, and returns the event
// that tells so; over is closed when signalling ends it, nil without any.
func (p *Peer) run(s *msrp.Session, with string, over <-chan struct{}) Event {
	p.mu.Lock()
	p.sessions++
	session := &session{s, p.sessions, with}
	p.newest = session
	p.mu.Unlock()
	p.emit(Event{Event: EventConnected, Session: session.number, Peer: with})

	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	go func() {
		select {
		case <-over:
			s.Close()
		case <-ctx.Done():
			s.Close()
		case <-s.Done():
		}
	}()
	var arriving sync.WaitGroup
	for {
		in, err := s.Receive(ctx)
		if err != nil {
			break
		}
		switch {
		case p.config.Echo:
			p.echo(session, in)
		case in.Complete():
			p.take(session, in)
		default:
			// One after the other, except that a file does not hold up chat.
			arriving.Go(func() { p.take(session, in) })
		}
	}
	<-s.Done()
	arriving.Wait()
	p.mu.Lock()
	if p.newest == session {
		p.newest = nil
	}
	p.mu.Unlock()
	e := Event{Event: EventClosed, Session: session.number, Peer: with}
	if err := s.Err(); !errors.Is(err, msrp.ErrSessionClosed) {
		e.Error = err.Error()
	}
	return e
}

// echo sends a message back while it arrives.
func (p *Peer) echo(s *session, in *msrp.Incoming) {
	var header msrp.Header
	if d := in.Header.Get("Content-Disposition"); d != "" {
		header = msrp.Header{{Name: "Content-Disposition", Value: d}}
	}
	_, err := s.Send(p.ctx, &msrp.Message{
		ContentType: in.ContentType, Body: in, Size: max(in.Size(), 0), Header: header, SuccessReport: true,
	})
	if err != nil {
		in.Close()
		p.emit(Event{Event: EventFailed, Session: s.number, ID: in.ID, Error: err.Error()})
	}
}

// maxText is the longest text that is shown and not saved, in octets.
const maxText = 64 << 10

// take reads a message: short text to be shown, all else to be saved.
func (p *Peer) take(s *session, in *msrp.Incoming) {
	e := Event{Event: EventMessage, Session: s.number, Peer: s.peer, ID: in.ID, Type: in.ContentType}
	err := func() error {
		disposition, params, _ := mime.ParseMediaType(in.Header.Get("Content-Disposition"))
		isText := msrp.MatchType("text/*", in.ContentType) && disposition != "attachment" && in.Size() <= maxText
		sum := sha256.New()
		var body io.Reader = in
		if isText {
			text, err := io.ReadAll(io.LimitReader(in, maxText+1))
			if err != nil || len(text) <= maxText {
				e.Text, e.Size = string(text), int64(len(text))
				return err
			}
			// Longer than it could be known before.
			body = io.MultiReader(bytes.NewReader(text), in)
		}
		if p.config.Receive == "" {
			n, err := io.Copy(sum, body)
			e.Size = n
			e.SHA256 = hex.EncodeToString(sum.Sum(nil))
			return err
		}
		f, err := create(p.config.Receive, params["filename"], in.ID)
		if err != nil {
			in.Close()
			return err
		}
		e.Size, err = io.Copy(io.MultiWriter(f, sum), body)
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(f.Name())
			return err
		}
		e.File, e.SHA256 = f.Name(), hex.EncodeToString(sum.Sum(nil))
		return nil
	}()
	if err != nil {
		e.Event, e.Error = EventFailed, err.Error()
	}
	p.emit(e)
}

// create makes a new file in dir with a name that the peer suggests, made
// harmless, and never over one that is there.
func create(dir, suggested, id string) (*os.File, error) {
	if suggested == "" {
		suggested = "message-" + id
	}
	name := file.SafeName(suggested)
	ext := filepath.Ext(name)
	base := strings.TrimSuffix(name, ext)
	for n := 1; n < 1000; n++ {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
		name = fmt.Sprintf("%s (%d)%s", base, n, ext)
	}
	return nil, fmt.Errorf("too many files named %s", name)
}

// SendText sends a line of text in the newest session.
func (p *Peer) SendText(text string) error {
	m := msrp.Text(text)
	return p.send(m)
}

// SendFile sends a file in the newest session. It is open until it was sent.
func (p *Peer) SendFile(name string) error {
	f, info, err := open(name)
	if err != nil {
		return err
	}
	contentType := mime.TypeByExtension(filepath.Ext(name))
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	m := &msrp.Message{
		ContentType: contentType, Size: info.Size(), Body: f, SuccessReport: true,
		Header: msrp.Header{{Name: "Content-Disposition", Value: mime.FormatMediaType("attachment", map[string]string{"filename": filepath.Base(name)})}},
	}
	if info.Size() == 0 {
		f.Close()
		m.Body = strings.NewReader("")
	}
	err = p.send(m)
	if err != nil {
		f.Close()
	}
	return err
}

// open opens a file that can be sent.
func open(name string) (*os.File, os.FileInfo, error) {
	// Before it is opened: a pipe would wait for its writer.
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
	}
	return f, info, err
}

var errNoSession = errors.New("nobody is connected")

// send starts a message and tells of what becomes of it.
func (p *Peer) send(m *msrp.Message) error {
	p.mu.Lock()
	s := p.newest
	p.mu.Unlock()
	if s == nil {
		return errNoSession
	}
	id := msrp.NewID()
	m.ID = id
	done := make(chan error, 1) // told after the events
	sent := false
	m.Changed = func(progress msrp.Progress) {
		e := Event{Session: s.number, ID: id}
		if progress.Sent && !sent {
			sent = true
			e.Event = EventSent
			p.emit(e)
		}
		switch {
		case progress.Err != nil:
			e.Event, e.Error = EventFailed, progress.Err.Error()
		case progress.Delivered:
			e.Event = EventDelivered
		default:
			return
		}
		p.emit(e)
		done <- progress.Err
	}
	if _, err := s.Send(p.ctx, m); err != nil {
		return err
	}
	p.pending.Go(func() {
		err := <-done // which comes with the end of the session, if not before
		if f, ok := m.Body.(*os.File); ok {
			f.Close()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.failed == nil {
			p.failed = err
		}
	})
	return nil
}

// Drain waits until what was sent is delivered or has failed, and returns the
// first failure there ever was.
func (p *Peer) Drain() error {
	p.pending.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}
