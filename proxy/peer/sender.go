package peer

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/webmsrp/webmsrp/msrp"
)

// A sender is the part of a session that sends: in one MSRP session after the
// other, in order, until each message is confirmed.
type sender struct {
	order sync.Mutex // held while messages are given to an MSRP session

	// Guarded by the mutex of session:
	current     *msrp.Session
	ready       bool       // current has all that came before
	unconfirmed []*sending // in order
	over        bool
}

// sending is a message that is not confirmed.
type sending struct {
	message *msrp.Message
	in      *msrp.Session  // that has it, or nil
	out     *msrp.Outgoing // there
}

// move sends on in an MSRP session, once the one before is over.
func (s *session) move(before, next *msrp.Session) {
	if before == nil {
		s.sendAll(next)
		return
	}
	go func() {
		<-before.Done()
		s.sendAll(next)
	}()
}

// sendAll sends all that is not confirmed, in an MSRP session that begins.
func (s *session) sendAll(in *msrp.Session) {
	s.order.Lock()
	defer s.order.Unlock()
	s.mu.Lock()
	if s.current != in || s.over {
		s.mu.Unlock()
		return
	}
	s.ready = true
	waiting := slices.Clone(s.unconfirmed)
	s.mu.Unlock()
	for _, o := range waiting {
		if err := s.give(in, o); err != nil {
			s.finish(o, msrp.Progress{Err: err})
		}
	}
}

// send starts a message, or keeps it for the next MSRP session where there is
// none.
func (s *session) send(m *msrp.Message) error {
	s.order.Lock()
	defer s.order.Unlock()
	o := &sending{message: m}
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return errNoSession
	}
	s.unconfirmed = append(s.unconfirmed, o)
	in, ready := s.current, s.ready
	s.mu.Unlock()
	if !ready {
		return nil
	}
	err := s.give(in, o)
	if err != nil {
		s.remove(o)
	}
	return err
}

// give gives a message to an MSRP session; s.order is held. If that is over
// already, the next one gets it.
func (s *session) give(in *msrp.Session, o *sending) error {
	s.mu.Lock()
	out, open := o.out, slices.Contains(s.unconfirmed, o)
	s.mu.Unlock()
	if !open {
		return nil // confirmed meanwhile
	}
	m := *o.message
	if out != nil {
		again, err := out.Again(s.peer.ctx)
		if err != nil {
			return err
		}
		if m = *again; m.Body == nil && m.ContentType != "" {
			return out.Progress().Err // it cannot be sent again
		}
	}
	s.mu.Lock()
	o.in = in
	s.mu.Unlock()
	m.Changed = func(p msrp.Progress) { s.changed(in, o, p) }
	out, err := in.Send(s.peer.ctx, &m)
	if err != nil {
		if s.resumes && in.Err() != nil {
			return nil
		}
		return err
	}
	s.mu.Lock()
	o.out = out
	s.mu.Unlock()
	return nil
}

// changed takes what becomes of a message in an MSRP session.
func (s *session) changed(in *msrp.Session, o *sending, p msrp.Progress) {
	s.mu.Lock()
	stale := o.in != in || s.resumes && !s.over && p.Err != nil && mayGoOn(p.Err)
	s.mu.Unlock()
	switch {
	case stale:
	case p.Err != nil || p.Delivered:
		s.finish(o, p)
	case o.message.Changed != nil:
		o.message.Changed(p)
	}
}

// mayGoOn tells of an error that ends the MSRP session with the message, which can
// be sent again in the next one.
func mayGoOn(err error) bool {
	var status *msrp.StatusError
	if errors.As(err, &status) {
		// A relay says 408 of what was on its way to a connection that is lost.
		return status.Code == msrp.StatusNoSession || status.Code == msrp.StatusSessionInUse || status.Code == msrp.StatusTimeout
	}
	for _, final := range []error{msrp.ErrAborted, msrp.ErrUnsupportedType, msrp.ErrMessageTooLarge, msrp.ErrRecvOnly, context.Canceled} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// finish tells of the end of a message, once.
func (s *session) finish(o *sending, p msrp.Progress) {
	if !s.remove(o) {
		return
	}
	if o.message.Changed != nil {
		o.message.Changed(p)
	}
}

// remove forgets a message, and returns whether it was known.
func (s *session) remove(o *sending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.unconfirmed, o)
	if i < 0 {
		return false
	}
	s.unconfirmed = slices.Delete(s.unconfirmed, i, i+1)
	return true
}

// giveUp fails what is not confirmed; err is nil for an end on purpose.
func (s *session) giveUp(err error) {
	s.order.Lock()
	s.mu.Lock()
	s.over = true
	waiting := slices.Clone(s.unconfirmed)
	s.mu.Unlock()
	s.order.Unlock()
	if err == nil {
		err = msrp.ErrSessionClosed
	}
	for _, o := range waiting {
		s.finish(o, msrp.Progress{Err: err})
	}
}

// A rewinder is a body that can be read once more.
type rewinder struct {
	source io.Reader
	read   []byte // of source
	at     int
}

func (r *rewinder) Read(p []byte) (int, error) {
	if r.at < len(r.read) {
		n := copy(p, r.read[r.at:])
		r.at += n
		return n, nil
	}
	n, err := r.source.Read(p)
	r.read = append(r.read, p[:n]...)
	r.at += n
	return n, err
}

// Seek implements [io.Seeker] for what was read.
func (r *rewinder) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekCurrent {
		offset += int64(r.at)
	}
	if whence == io.SeekEnd || offset < 0 || offset > int64(len(r.read)) {
		return 0, errors.New("peer: that was not read")
	}
	r.at = int(offset)
	return offset, nil
}
