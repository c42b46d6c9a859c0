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
	"sync/atomic"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/file"
)

// A session is one conversation, in one MSRP session or in several, one after the
// other.
type session struct {
	peer    *Peer
	number  int
	with    string      // the peer
	resumes bool        // another MSRP session may follow
	lost    atomic.Bool // there is none at the moment
	quit    func()      // ends it from inside
	renew   func()      // moves it to another place, or is nil

	arriving sync.WaitGroup // messages that do not hold up others
	kept     atomic.Int64   // octets of echoes

	mu   sync.Mutex
	read chan struct{} // closed when all is read that came so far
	sender
}

// begin begins a conversation.
func (p *Peer) begin(with string, resumes bool) *session {
	s := &session{peer: p, with: with, resumes: resumes}
	p.mu.Lock()
	p.sessions++
	s.number = p.sessions
	p.newest = s
	p.mu.Unlock()
	p.emit(Event{Event: EventConnected, Session: s.number, Peer: with})
	return s
}

// add lets the conversation go on in an MSRP session, and reports whether it did
// not already. What came in the one before is read first.
func (s *session) add(next *msrp.Session) bool {
	s.mu.Lock()
	before := s.current
	if before == next {
		s.mu.Unlock()
		return false
	}
	s.current, s.ready = next, false
	earlier, read := s.read, make(chan struct{})
	s.read = read
	s.mu.Unlock()
	go func() {
		defer close(read)
		if earlier != nil {
			<-earlier
		}
		s.receive(next)
	}()
	s.move(before, next)
	return true
}

// end ends the conversation, of which all MSRP sessions are over, and returns the
// event that tells so.
func (s *session) end(err error) Event {
	p := s.peer
	<-s.read
	s.arriving.Wait()
	s.giveUp(err)
	p.mu.Lock()
	if p.newest == s {
		p.newest = nil
	}
	p.mu.Unlock()
	e := Event{Event: EventClosed, Session: s.number, Peer: s.with}
	if err != nil && !errors.Is(err, msrp.ErrSessionClosed) {
		e.Error = err.Error()
	}
	return e
}

// run holds a conversation without signalling, which has one MSRP session, and
// returns the event that tells of its end.
func (p *Peer) run(ms *msrp.Session, with string) Event {
	s := p.begin(with, false)
	s.add(ms)
	stop := context.AfterFunc(p.ctx, func() { ms.Close() })
	defer stop()
	<-ms.Done()
	return s.end(ms.Err())
}

// receive takes what comes in one MSRP session.
func (s *session) receive(ms *msrp.Session) {
	for {
		in, err := ms.Receive(s.peer.ctx)
		switch {
		case err != nil:
			return
		case s.peer.config.Echo:
			s.echo(in)
		case in.Complete():
			s.take(in)
		default:
			// One after the other, except that a file does not hold up chat.
			s.arriving.Go(func() { s.take(in) })
		}
	}
}

// maxKept is how many octets of echoes are kept to be sent again, if need be.
const maxKept = 1 << 20

// echo sends a message back while it arrives.
func (s *session) echo(in *msrp.Incoming) {
	var header msrp.Header
	if d := in.Header.Get("Content-Disposition"); d != "" {
		header = msrp.Header{{Name: "Content-Disposition", Value: d}}
	}
	m := &msrp.Message{ContentType: in.ContentType, Body: in, Size: max(in.Size(), 0), Header: header, SuccessReport: true}
	if size := in.Size(); in.Complete() && s.kept.Add(size) <= maxKept {
		m.Body = &rewinder{source: in}
		m.Changed = func(p msrp.Progress) {
			if p.Err != nil || p.Delivered {
				s.kept.Add(-size)
			}
		}
	} else if in.Complete() {
		s.kept.Add(-size)
	}
	if err := s.send(m); err != nil {
		in.Close()
		s.peer.emit(Event{Event: EventFailed, Session: s.number, ID: in.ID, Error: err.Error()})
	}
}

// maxText is the longest text that is shown and not saved, in octets.
const maxText = 64 << 10

// take reads a message: short text to be shown, all else to be saved.
func (s *session) take(in *msrp.Incoming) {
	e := Event{Event: EventMessage, Session: s.number, Peer: s.with, ID: in.ID, Type: in.ContentType}
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
		if s.peer.config.Receive == "" {
			n, err := io.Copy(sum, body)
			e.Size = n
			e.SHA256 = hex.EncodeToString(sum.Sum(nil))
			return err
		}
		f, err := create(s.peer.config.Receive, params["filename"], in.ID)
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
	switch {
	case errors.Is(err, msrp.ErrDuplicate):
		return // it has come in the next MSRP session
	case err != nil:
		e.Event, e.Error = EventFailed, err.Error()
	}
	s.peer.emit(e)
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
	if err := s.send(m); err != nil {
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
