// Package imdn asks for and answers with instant message disposition
// notifications (RFC 5438): what became of a message, as told by who received
// it. MSRP itself confirms that a message has arrived; this tells beyond it that
// a message was shown, and what happened behind a gateway.
//
// Who sends a message in a CPIM wrapper calls [Ask] on its header, and later
// reads the answers with [ReadNotification]. Who receives one looks for the
// wish with [ReadRequest]; whether the user wants to tell is to be asked first
// (RFC 5438, section 14.2). [Tracker.Due] says whether an answer is due, and
// [Request.Notify] makes it.
//
// RFC 5438, section 13 leaves the use over MSRP open, so that it is offered only
// to peers that accept [ContentType] within CPIM.
package imdn

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/webmsrp/webmsrp/msrp/cpim"
)

// Namespace is that of the headers in the wrapper (RFC 5438, section 6.1).
const Namespace = "urn:ietf:params:imdn"

// maxID is the most octets of a Message-ID that is answered to.
const maxID = 256

// A Disposition is a set of what a sender can want to be notified of (RFC 5438,
// section 7.1.1.3).
type Disposition uint8

const (
	PositiveDelivery Disposition = 1 << iota // the message has reached the recipient
	NegativeDelivery                         // it has not
	Processing                               // a server on the way has it
	Display                                  // it was shown
)

var dispositions = [...]string{"positive-delivery", "negative-delivery", "processing", "display"}

// String returns the value of a Disposition-Notification header.
func (d Disposition) String() string {
	var names []string
	for i, name := range dispositions {
		if d&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// ParseDisposition reads the value of a Disposition-Notification header. What
// this package does not know, parameters among it, is ignored (RFC 5438,
// section 7.2.1).
func ParseDisposition(s string) Disposition {
	var d Disposition
	for name := range strings.SplitSeq(s, ",") {
		name, _, _ = strings.Cut(name, ";")
		if i := slices.Index(dispositions[:], strings.Trim(name, " ")); i >= 0 {
			d |= 1 << i
		}
	}
	return d
}

// NewMessageID returns a random Message-ID of 26 letters and digits, 130 bits.
// RFC 5438, section 6.3 recommends 64.
func NewMessageID() string { return rand.Text() }

// Ask adds the wish for notifications to the header of a message, and the
// DateTime that goes with it unless it is there. It returns the Message-ID, by
// which the notifications tell the message: id, a token that nobody can guess,
// or a new one if id is "". Nobody may ask for notifications of notifications.
func Ask(h *cpim.Header, id string, d Disposition) (string, error) {
	if id == "" {
		id = NewMessageID()
	}
	if _, asked := h.Get(Namespace, "Message-ID"); asked {
		return "", errors.New("imdn: the message has a Message-ID")
	}
	if d == 0 || d >= 1<<len(dispositions) {
		return "", errors.New("imdn: nothing to ask for")
	}
	added := slices.Clone(*h)
	if err := addID(&added, id); err != nil {
		return "", err
	}
	if _, ok := added.Get(cpim.Namespace, "DateTime"); !ok {
		added = append(added, cpim.DateTime(time.Now()))
	}
	if _, err := added.DateTime(); err != nil {
		return "", err
	}
	add(&added, "Disposition-Notification", d.String())
	*h = added
	return id, nil
}

// add appends a header of this package's namespace.
func add(h *cpim.Header, name, value string) {
	prefix := h.Declare("imdn", Namespace)
	*h = append(*h, cpim.Field{Name: prefix + "." + name, Value: value})
}

func addID(h *cpim.Header, id string) error {
	if !isID(id) || strings.ContainsAny(id, `()<>@,;:\"/[]?={}`) { // RFC 3862, section 3.6: Token
		return errors.New("imdn: Message-ID " + strconv.Quote(id) + " is not a token")
	}
	add(h, "Message-ID", id)
	return nil
}

// isID is what is accepted on receipt: peers use more than tokens, and the
// value is only ever compared and copied, which XML must allow.
func isID(s string) bool {
	bad := func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == utf8.RuneError || r == 0xfffe || r == 0xffff
	}
	return s != "" && len(s) <= maxID && strings.IndexFunc(s, bad) < 0
}

// A Request is a sender's wish for notifications of one message.
type Request struct {
	// MessageID and DateTime are the message's own, to be repeated.
	MessageID, DateTime string
	// From is the sender, who gets the notifications.
	From cpim.Address
	// To are the recipients.
	To []cpim.Address
	// OriginalTo is the URI of the recipient before a server changed it, or "".
	OriginalTo string
	// RecordRoute are the servers that notifications pass, the first one first.
	RecordRoute []cpim.Address
	// Wanted is not empty.
	Wanted Disposition
}

// ReadRequest returns the wish for notifications in a message, if there is one.
// There is none that could be granted in a notification, or without the sender,
// recipient, Message-ID and DateTime that RFC 5438, section 7.1.1 requires. The
// content is not read.
func ReadRequest(m *cpim.Message) (r Request, ok bool) {
	if IsNotification(m) {
		return Request{}, false
	}
	for _, f := range m.Header.Fields(Namespace, "Disposition-Notification") {
		r.Wanted |= ParseDisposition(f.Value)
	}
	id, _ := m.Header.Get(Namespace, "Message-ID")
	sent, _ := m.Header.Get(cpim.Namespace, "DateTime")
	r.MessageID, r.DateTime = id.Text(), sent.Text()
	ok = r.Wanted != 0 && isID(r.MessageID) && r.DateTime != ""

	address := func(f cpim.Field) cpim.Address {
		a, err := cpim.ParseAddress(f.Value)
		ok = ok && err == nil
		return a
	}
	for _, f := range m.Header.Fields(Namespace, "IMDN-Record-Route") {
		r.RecordRoute = append(r.RecordRoute, address(f))
	}
	if f, there := m.Header.Get(Namespace, "Original-To"); there {
		r.OriginalTo = address(f).URI
	}
	var err1, err2 error
	r.From, err1 = m.Header.From()
	r.To, err2 = m.Header.To()
	if !ok || err1 != nil || err2 != nil {
		return Request{}, false
	}
	return r, true
}

// Wants reports whether the sender asked for this notification. It is false for
// those about processing, which only servers make (RFC 5438, section 7.2.1). A
// refusal and an error answer any wish of their type.
func (r Request) Wants(t Type, s Status) bool {
	wish := Disposition(0)
	switch {
	case !t.has(s):
	case t == TypeDisplay:
		wish = Display
	case t == TypeDelivery && s == Delivered:
		wish = PositiveDelivery
	case t == TypeDelivery && s == Failed:
		wish = NegativeDelivery
	case t == TypeDelivery:
		wish = PositiveDelivery | NegativeDelivery
	}
	return r.Wanted&wish != 0
}

// Notify returns a notification in its wrapper, to be sent to the first of the
// request's RecordRoute or else to its From, which over MSRP is where the
// message came from. me is the own address, which may be left empty where the
// message was to one recipient. It is an error to notify of what the request
// does not want, see [Request.Wants].
func (r Request) Notify(me cpim.Address, t Type, s Status) (*cpim.Message, error) {
	if !r.Wants(t, s) {
		return nil, errors.New("imdn: the sender does not want to know that")
	}
	if me.URI == "" {
		if len(r.To) != 1 {
			return nil, errors.New("imdn: which of the recipients is this?")
		}
		me = r.To[0]
	}
	n := Notification{
		MessageID: r.MessageID, DateTime: r.DateTime, Type: t, Status: s,
		// The schema has both or neither.
		Recipient: me.URI, OriginalRecipient: r.OriginalTo,
	}
	if n.OriginalRecipient == "" {
		n.OriginalRecipient = me.URI
	}
	content, err := n.Marshal()
	if err != nil {
		return nil, err
	}
	m := &cpim.Message{
		Header:      cpim.Header{cpim.From(me), cpim.To(r.From), cpim.DateTime(time.Now())},
		ContentType: ContentType,
		MIME:        cpim.MIMEHeader{{Name: "Content-Disposition", Value: "notification"}},
		Body:        bytes.NewReader(content),
	}
	if err := addID(&m.Header, NewMessageID()); err != nil {
		return nil, err
	}
	for _, server := range r.RecordRoute {
		add(&m.Header, "IMDN-Route", server.String())
	}
	return m, nil
}

// IsNotification reports whether a message is one or more notifications, which
// must not be notified of. Either of the two signs of RFC 5438, section 9 will
// do, so that no loop can arise.
func IsNotification(m *cpim.Message) bool {
	disposition, _, _ := strings.Cut(m.MIME.Get("Content-Disposition"), ";")
	return isType(m) || strings.EqualFold(strings.Trim(disposition, " \t"), "notification")
}

func isType(m *cpim.Message) bool {
	mediaType, _, _ := strings.Cut(m.ContentType, ";")
	return strings.EqualFold(strings.Trim(mediaType, " \t"), ContentType)
}

// ReadNotification reads the content of a message of type [ContentType].
// Notifications that a server has put together in a multipart/mixed are for the
// caller to take apart, with package multipart, and each to be read with [Parse].
func ReadNotification(m *cpim.Message) (Notification, error) {
	if !isType(m) || m.Body == nil {
		return Notification{}, errors.New("imdn: not a notification, but " + strconv.Quote(m.ContentType))
	}
	return Parse(m.Body)
}

// maxTracked is how many messages a Tracker remembers.
const maxTracked = 1024

// A Tracker sees to it that there is at most one notification of each type of a
// message (RFC 5438, section 7.2.1), even if the message comes twice. It
// remembers the latest 1024 messages. The zero value is ready for use, by
// several goroutines.
type Tracker struct {
	mu    sync.Mutex
	made  map[trackedID]Type // guarded by mu; a set of types
	order []trackedID        // guarded by mu; the keys of made
	next  int                // guarded by mu; in order, the oldest once it is full
}

// A trackedID is the hash of a sender and a Message-ID, both of a length that
// others choose.
type trackedID [sha256.Size]byte

// Due reports whether the request wants that notification and it is the first
// of its type, and takes note that it is now made.
func (t *Tracker) Due(r Request, typ Type, s Status) bool {
	if !r.Wants(typ, s) {
		return false
	}
	id := trackedID(sha256.Sum256([]byte(r.MessageID + "\x00" + r.From.URI)))
	t.mu.Lock()
	defer t.mu.Unlock()
	made, known := t.made[id]
	if made&typ != 0 {
		return false
	}
	if !known {
		if t.made == nil {
			t.made = make(map[trackedID]Type)
		}
		if len(t.order) < maxTracked {
			t.order = append(t.order, id)
		} else {
			delete(t.made, t.order[t.next])
			t.order[t.next] = id
			t.next = (t.next + 1) % maxTracked
		}
	}
	t.made[id] = made | typ
	return true
}
