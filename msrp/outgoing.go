package msrp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// minChunk is the least that a chunk should have which does not end its
// message, and the most that a chunk may have whose length is announced (RFC
// 4975, section 7.1.1).
const minChunk = 2048

// Bounds on the messages that are remembered after they were sent, for a report
// that may still come: of those that want a success report, which a busy peer may
// owe for long, and of the others. There are up to twice as many, which is no more
// than what a history knows if all are sent again.
const (
	maxUnconfirmed = maxHistory / 2
	maxUnreported  = 1024
)

// maxRefusedTypes is how many types a session remembers that were answered
// with 415.
const maxRefusedTypes = 64

// A Message is something to send.
type Message struct {
	// ID is the Message-ID, 4 to 32 letters, digits and .-+%=. Default: a new
	// one. Only a message that is sent once more after a failure repeats its
	// ID (RFC 4975, section 5.4).
	ID string
	// ContentType is required, unless Body is nil.
	ContentType string
	// Body is read once, in another goroutine, until io.EOF; it is not closed.
	// nil sends a request without a body.
	Body io.Reader
	// Size is the length of Body in octets. 0 stands for unknown, except that
	// the readers of the packages bytes and strings tell it themselves.
	Size int64
	// SuccessReport asks the peer to confirm the arrival, see [Outgoing.Delivered].
	SuccessReport bool
	// DeliveryTimeout is how long the success report may take from when all was
	// sent on; then the message fails with 408, Local set: nobody knows whether
	// it has arrived. RFC 4975, section 7.1.1 leaves it to the application;
	// where the peer is behind gateways 2 minutes are usual. Default: until the
	// end of the session.
	DeliveryTimeout time.Duration
	// FailureReport says which failures are wanted. Default: all.
	FailureReport FailureReport
	// Control is set for what keeps the conversation going and is no ordinary
	// message, such as isComposing and disposition notifications: it goes out
	// whatever the direction of the session (RFC 4975, section 8.9).
	Control bool
	// Header holds further fields, such as Content-Disposition; those that
	// describe the body only where there is one. What the other fields of this
	// struct say is not repeated here.
	Header Header
	// Changed is called after each change of the message's progress, in order.
	// It must return quickly.
	Changed func(Progress)
}

// Progress tells how far a message has come.
type Progress struct {
	// Acknowledged is how many octets the next hop has answered for; without
	// responses, see [FailureReport], how many were sent.
	Acknowledged int64
	// Sent is set when all octets are acknowledged. With a relay in between
	// that says nothing of the peer.
	Sent bool
	// Delivered is set when success reports cover the whole message.
	Delivered bool
	// Err is the failure that ended the message.
	Err error
}

// Text returns a message of type text/plain that asks for a success report.
func Text(text string) *Message {
	return &Message{ContentType: "text/plain", Body: strings.NewReader(text), SuccessReport: true}
}

// An Outgoing is a message that is being sent, or was. Its methods are safe
// for concurrent use.
type Outgoing struct {
	session *Session
	id      string
	message Message // without its body

	// Guarded by session.mu:
	source     source // nil once the message is over
	serial     uint64 // its place in the queue
	size       int64  // -1 if unknown
	offset     int64  // octets given to the connection
	unanswered int64  // octets that wait for their responses, heads included
	latest     uint64 // number of the latest chunk that does
	ended      bool   // the last chunk was given to the connection
	aborting   bool   // a chunk with # is owed
	progress   Progress
	reported   octetSet

	lane          *lane // of the session's queue, or nil
	before, after *Outgoing

	timer    *time.Timer   // for the success report, or nil
	original io.Reader     // the body, for Again, until the message has arrived
	begin    int64         // where original began, -1 where it cannot go back
	released chan struct{} // closed when nobody reads original any more

	unwatch   func() bool   // ends waiting for the caller's context, or nil
	sent      chan struct{} // closed with progress.Sent or progress.Err
	delivered chan struct{} // closed with progress.Delivered or progress.Err
}

// outbox is the part of a Session that sends; its mutex guards it.
type outbox struct {
	messages   sendQueue            // those with a chunk to send
	serial     uint64               // of the latest message
	unanswered int64                // octets that wait for their responses, heads included
	blocked    bool                 // by the window
	scratch    []byte               // for one chunk
	latest     uint64               // number of the latest chunk that owes a response
	sent       map[string]*Outgoing // by Message-ID, until nothing more can come

	answeredUpTo uint64 // the highest number of a chunk that was answered

	refusedTypes []string // that the peer answered with 415

	// Of sent, in order, and some that are over:
	unconfirmed []*Outgoing // those whose success report did not come
	unreported  []*Outgoing // those that can still fail
}

// Send starts to send a message and returns at once; messages are sent in the
// order of the calls, except that much shorter ones pass longer ones. Canceling
// ctx aborts the message as [Outgoing.Abort] does. The error tells of a message
// that cannot be sent as it is, or of a session that is over.
func (s *Session) Send(ctx context.Context, m *Message) (*Outgoing, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	o := &Outgoing{
		session: s, id: m.ID, message: *m,
		sent: make(chan struct{}), delivered: make(chan struct{}), released: make(chan struct{}),
	}
	if o.id == "" {
		o.id = NewID()
	}
	s.mu.Lock()
	defer s.unlock()
	if s.err != nil {
		return nil, s.err
	}
	if s.outbox.sent[o.id] != nil {
		return nil, errors.New("msrp: the Message-ID " + o.id + " was used already")
	}
	o.begin = -1
	if body, ok := m.Body.(io.Seeker); ok {
		if at, err := body.Seek(0, io.SeekCurrent); err == nil {
			o.original, o.begin = m.Body, at
		}
	}
	o.source, o.size = newSource(o)
	o.message.Body = nil
	if err := s.unfit(o); err != nil {
		return nil, err
	}
	s.outbox.sent[o.id] = o
	s.outbox.serial++
	o.serial = notBegun + s.outbox.serial
	if ctx.Done() != nil {
		o.unwatch = context.AfterFunc(ctx, func() { o.abort(context.Cause(ctx)) })
	}
	o.source.start()
	return o, nil
}

// unfit returns why a message is nothing for the peer, or nil; s.mu is held. As
// long as its terms are not known, that is only known of types it refused.
func (s *Session) unfit(o *Outgoing) error {
	m := &o.message
	switch {
	case m.ContentType == "":
		return nil
	case s.remote.RecvOnly && !m.Control:
		return ErrRecvOnly
	case !accepts(s.remote.AcceptTypes, m.ContentType),
		len(s.refusedTypes) > 0 && accepts(s.refusedTypes, m.ContentType):
		return ErrUnsupportedType
	case s.remote.MaxSize > 0 && max(o.size, o.source.held()) > s.remote.MaxSize:
		return ErrMessageTooLarge
	}
	return nil
}

// dropUnfit fails the messages that turn out to be nothing for the peer before
// anything of them was sent; s.mu is held.
func (s *Session) dropUnfit() {
	for _, o := range s.outbox.sent {
		if o.offset == 0 && !o.ended {
			if err := s.unfit(o); err != nil {
				s.failMessage(o, err)
			}
		}
	}
}

// noteRefused notes that the peer answered 415 to that type, which is not to be
// sent to it again (RFC 4975, section 10.6); s.mu is held. Containers are
// excepted: what it does not take may be inside.
func (s *Session) noteRefused(contentType string) {
	contentType = mediaTypeOf(contentType)
	if MatchType("message/*", contentType) || MatchType("multipart/*", contentType) || len(s.refusedTypes) == maxRefusedTypes {
		return
	}
	s.refusedTypes = append(s.refusedTypes, contentType)
	s.dropUnfit()
}

func (m *Message) check() error {
	switch {
	case m.ID != "" && !isIdent(m.ID):
		return errors.New("msrp: a Message-ID is 4 to 32 letters, digits and .-+%=")
	case m.Body != nil && m.ContentType == "":
		return errors.New("msrp: a message with a body needs a ContentType")
	case m.Body == nil && m.ContentType != "":
		return errors.New("msrp: a message with a ContentType needs a body")
	case !isText(m.ContentType):
		return errors.New("msrp: control character in the ContentType")
	}
	seen := toPathBit | fromPathBit | messageIDBit | byteRangeBit | successBit | failureBit | contentTypeBit
	for _, f := range m.Header {
		name, bit := knownField(f.Name)
		switch {
		case seen&bit != 0:
			return errors.New("msrp: the header field " + name + " is set already")
		case strings.EqualFold(name, "Content-Transfer-Encoding"):
			return errors.New("msrp: bodies are never encoded (RFC 4975, section 7.1.1)")
		case m.Body == nil && fieldClass(name) > 0:
			return errors.New("msrp: " + name + " without a body")
		}
		seen |= bit
	}
	return m.Header.check()
}

// ID returns the Message-ID.
func (o *Outgoing) ID() string { return o.id }

// Size returns the length of the message in octets, or -1 as long as it is not
// known.
func (o *Outgoing) Size() int64 {
	o.session.mu.Lock()
	defer o.session.mu.Unlock()
	return o.size
}

// Progress returns how far the message has come.
func (o *Outgoing) Progress() Progress {
	o.session.mu.Lock()
	defer o.session.mu.Unlock()
	return o.progress
}

// Sent waits until the next hop has taken the whole message. The error is a
// *[StatusError] of the next hop or the peer, [ErrAborted], the end of the
// session, or the cause of ctx.
func (o *Outgoing) Sent(ctx context.Context) error {
	return o.wait(ctx, o.sent)
}

// Delivered waits until the peer has confirmed the whole message, for which
// SuccessReport must be set. The errors are those of [Outgoing.Sent].
func (o *Outgoing) Delivered(ctx context.Context) error {
	if !o.message.SuccessReport {
		return errors.New("msrp: the message did not ask for a success report")
	}
	return o.wait(ctx, o.delivered)
}

func (o *Outgoing) wait(ctx context.Context, ch <-chan struct{}) error {
	select {
	case <-ch:
		p := o.Progress()
		if ch == o.sent && p.Sent {
			return nil
		}
		return p.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Again returns the message for another session, under the same Message-ID, so
// that the peer does not take it twice (RFC 4975, section 5.4): for when this
// one failed with [ErrConnLost] or without an answer, and may have arrived. The
// peer has to remember, see Resumes of [SessionOptions]. A Body that is an
// [io.Seeker] begins once more where it began; for others Again waits until
// nobody reads the body, and leaves Body for the caller to set. The error is the
// cause of ctx or that of seeking.
func (o *Outgoing) Again(ctx context.Context) (*Message, error) {
	select {
	case <-o.released:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	m := o.message
	m.ID = o.id
	o.session.mu.Lock()
	body := o.original
	o.session.mu.Unlock()
	if seeker, ok := body.(io.Seeker); ok {
		if _, err := seeker.Seek(o.begin, io.SeekStart); err != nil {
			return nil, fmt.Errorf("msrp: the body to be sent again: %w", err)
		}
		m.Body = body
	}
	return &m, nil
}

// Abort stops the message: the peer drops what it has of it, and waiting for
// it ends with [ErrAborted]. It does nothing to a message that was sent whole.
func (o *Outgoing) Abort() { o.abort(ErrAborted) }

func (o *Outgoing) abort(reason error) {
	s := o.session
	s.mu.Lock()
	defer s.unlock()
	if !o.ended {
		s.failMessage(o, reason)
	}
}

// failMessage ends a message before its success; s.mu is held. The peer is
// told with # if it has begun to receive it (RFC 4975, section 7.1).
func (s *Session) failMessage(o *Outgoing, reason error) {
	if o.progress.Err != nil || o.progress.Delivered {
		return
	}
	wasSent := o.progress.Sent
	o.progress.Err = reason
	s.messages.remove(o)
	if !o.ended && o.offset > 0 && s.err == nil {
		o.aborting = true
		s.enqueue(o)
	}
	o.ended = true
	o.drop()
	if !wasSent {
		o.closeSent()
	}
	close(o.delivered)
	s.settled(o)
}

// closeSent wakes those who wait until the message is sent, or has failed.
func (o *Outgoing) closeSent() {
	if o.unwatch != nil {
		o.unwatch()
	}
	close(o.sent)
}

// abandon ends what the peer has begun to receive, before the session ends: an
// end with # is owed for each such message, and nothing else will be sent.
func (s *Session) abandon() {
	var owed []*Outgoing
	for i := range s.messages.lanes {
		for o := s.messages.lanes[i].first; o != nil; o = o.after {
			if o.aborting {
				owed = append(owed, o)
			}
		}
	}
	for _, o := range s.outbox.sent {
		if o.offset > 0 && !o.ended {
			o.aborting = true
			owed = append(owed, o)
		}
	}
	for _, o := range owed {
		chunk, _ := o.appendChunk(nil, 0, false)
		s.conn.sendOctets(chunk)
	}
}

// drop gives up the body.
func (o *Outgoing) drop() {
	if o.source != nil {
		o.source.stop()
		o.source = nil
	}
}

// settled forgets a message that nothing more can happen to and tells of it.
func (s *Session) settled(o *Outgoing) {
	if o.timer != nil {
		o.timer.Stop()
	}
	if o.progress.Err == nil {
		o.original = nil
	}
	if s.outbox.sent[o.id] == o {
		delete(s.outbox.sent, o.id)
	}
	s.changed(o)
}

// changed reports a new progress; s.mu is held.
func (s *Session) changed(o *Outgoing) {
	if f, p := o.message.Changed, o.progress; f != nil {
		s.later(func() { f(p) })
	}
}

// fail ends every message when the session ends, except those that were sent
// and wait for nothing more.
func (b *outbox) fail(err error) {
	for _, o := range b.sent {
		if !o.progress.Sent || o.message.SuccessReport {
			o.session.failMessage(o, err)
		}
	}
	clear(b.sent)
}

// enqueue enters a message that has a chunk to send; s.mu is held.
func (s *Session) enqueue(o *Outgoing) {
	s.messages.add(o)
	if s.open {
		s.conn.ready(s)
	}
}

// answered takes the outcome of a chunk of n octets; s.mu is held.
func (s *Session) answered(o *Outgoing, n int, err error) {
	var status *StatusError
	if errors.As(err, &status) {
		status.MessageID = o.id
		switch status.Code {
		case StatusNoSession, StatusSessionInUse:
			// The session is over, not only the message, if that is not over
			// anyway (RFC 4975, sections 10.8 and 10.10).
			s.later(func() { s.end(err) })
		case StatusUnsupportedType:
			s.noteRefused(o.message.ContentType)
		}
	}
	switch {
	case o.progress.Err != nil || o.progress.Delivered:
		return
	case err != nil:
		s.failMessage(o, err)
		return
	}
	o.progress.Acknowledged += int64(n)
	if o.ended && o.unanswered == 0 && !o.progress.Sent {
		o.progress.Sent = true
		o.closeSent()
		o.drop()
		s.awaitReport(o)
		s.remember(o)
	}
	s.changed(o)
}

// awaitReport starts the time for the success report of a message that was sent.
func (s *Session) awaitReport(o *Outgoing) {
	switch {
	case !o.message.SuccessReport:
		o.original = nil
	case o.message.DeliveryTimeout > 0:
		o.timer = time.AfterFunc(o.message.DeliveryTimeout, func() {
			s.mu.Lock()
			defer s.unlock()
			s.failMessage(o, &StatusError{Code: StatusTimeout, MessageID: o.id, Local: true})
		})
	}
}

// remember keeps a sent message for the reports that may come, and forgets the
// oldest such message: if it waits for its success report, that did not come.
func (s *Session) remember(o *Outgoing) {
	list, most := &s.unreported, maxUnreported
	if o.message.SuccessReport {
		list, most = &s.unconfirmed, maxUnconfirmed
	}
	*list = append(*list, o)
	if len(*list) <= 2*most {
		return
	}
	open := make([]*Outgoing, 0, 2*most+1)
	for _, o := range *list {
		if s.outbox.sent[o.id] == o {
			open = append(open, o)
		}
	}
	for ; len(open) > most; open = open[1:] {
		if o := open[0]; o.message.SuccessReport {
			s.failMessage(o, &StatusError{Code: StatusTimeout, MessageID: o.id, Local: true})
		} else {
			delete(s.outbox.sent, o.id)
		}
	}
	*list = open
}

// handleReport takes a REPORT of the peer or a relay. One that fits nothing is
// ignored (RFC 4975, section 7.1.2), and so is one on a connection that is not
// the session's: whoever learned its URI could send it (section 7.3).
func (s *Session) handleReport(c *Conn, u *Unit) {
	status := u.Status()
	if status.Namespace != 0 {
		return
	}
	s.mu.Lock()
	defer s.unlock()
	o := s.outbox.sent[u.MessageID()]
	if s.conn != c || o == nil || o.offset == 0 && !o.ended {
		return
	}
	if status.Code/100 != 2 {
		// Same meaning as a response with that code (RFC 4975, section 7.3.2).
		s.answered(o, 0, &StatusError{Code: status.Code, Comment: status.Comment})
		return
	}
	r := u.ByteRange()
	if r.IsZero() {
		r = ByteRange{Start: 1, End: -1, Total: -1} // all there is
	}
	if r.End < 0 || r.End > o.offset {
		r.End = o.offset
	}
	if !o.reported.add(r.Start-1, r.End) || !o.ended || o.progress.Delivered || !o.reported.covers(o.size) {
		return
	}
	if !o.progress.Sent {
		// The peer has it all, whatever became of the responses on the way.
		o.progress.Sent, o.progress.Acknowledged = true, o.size
		o.closeSent()
		o.drop()
	}
	o.progress.Delivered = true
	close(o.delivered)
	s.settled(o)
}

// BufferedAmount returns how many octets of messages given to [Session.Send]
// have not been acknowledged. Octets of a reader whose length is unknown count
// once they were read.
func (s *Session) BufferedAmount() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	for _, o := range s.outbox.sent {
		switch {
		case o.progress.Sent:
		case o.size >= 0:
			n += o.size - o.progress.Acknowledged
		default:
			n += o.offset - o.progress.Acknowledged
		}
	}
	return n
}
