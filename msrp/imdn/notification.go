package imdn

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/webmsrp/webmsrp/msrp/internal/xmlread"
)

// ContentType is the media type of a notification.
const ContentType = "message/imdn+xml"

// space is the XML namespace of a notification (RFC 5438, section 11.1).
const space = "urn:ietf:params:xml:ns:imdn"

// maxSize is the most octets of a notification.
const maxSize = 64 << 10

// A Type says what a notification is about.
type Type uint8

// Types of notifications (RFC 5438, section 7.2.1).
const (
	TypeDelivery Type = 1 << iota
	TypeProcessing
	TypeDisplay
)

// A Status is what a notification says.
type Status string

const (
	Delivered Status = "delivered" // of delivery
	Failed    Status = "failed"    // of delivery
	Processed Status = "processed" // of processing
	Stored    Status = "stored"    // of processing
	Displayed Status = "displayed" // of display
	Forbidden Status = "forbidden" // of any type: the recipient does not tell
	Error     Status = "error"     // of any type: nobody knows
)

// types are the elements of each type and what they can say.
var types = []struct {
	Type
	element  string
	statuses []Status
}{
	{TypeDelivery, "delivery-notification", []Status{Delivered, Failed, Forbidden, Error}},
	{TypeProcessing, "processing-notification", []Status{Processed, Stored, Forbidden, Error}},
	{TypeDisplay, "display-notification", []Status{Displayed, Forbidden, Error}},
}

// has reports whether a notification of type t can say s.
func (t Type) has(s Status) bool {
	for _, known := range types {
		if known.Type == t {
			return slices.Contains(known.statuses, s)
		}
	}
	return false
}

// A Notification tells what became of a message (RFC 5438, section 11).
type Notification struct {
	// MessageID is that of the message, not of the notification.
	MessageID string
	// DateTime is when the message was sent, as its header says.
	DateTime string
	// Recipient and OriginalRecipient are URIs, or "": who got the message, and
	// to whom it was before servers changed that.
	Recipient, OriginalRecipient string
	// Subject is one of the message's, and Lang the tag of its language; both
	// may be "".
	Subject, Lang string
	Type          Type
	Status        Status
}

// Marshal returns the notification as XML. MessageID, DateTime, Type and a
// Status that goes with it are required.
func (n Notification) Marshal() ([]byte, error) {
	if !isID(n.MessageID) || n.DateTime == "" || !n.Type.has(n.Status) {
		return nil, errors.New("imdn: an incomplete notification")
	}
	var b bytes.Buffer
	b.WriteString(xml.Header + `<imdn xmlns="` + space + `">`)
	element := func(name, lang, text string) {
		if text == "" {
			return
		}
		b.WriteString("<" + name)
		if lang != "" {
			b.WriteString(` xml:lang="`)
			xml.EscapeText(&b, []byte(lang))
			b.WriteByte('"')
		}
		b.WriteByte('>')
		xml.EscapeText(&b, []byte(text))
		b.WriteString("</" + name + ">")
	}
	element("message-id", "", n.MessageID)
	element("datetime", "", n.DateTime)
	element("recipient-uri", "", n.Recipient)
	element("original-recipient-uri", "", n.OriginalRecipient)
	element("subject", n.Lang, n.Subject)
	for _, t := range types {
		if t.Type == n.Type {
			b.WriteString("<" + t.element + "><status><" + string(n.Status) + "/></status></" + t.element + "></imdn>")
		}
	}
	return b.Bytes(), nil
}

// Parse reads a notification of up to 64 KiB. Elements it does not know are
// skipped; a document with a DTD, and one without MessageID, DateTime, type and
// status, is an error.
func Parse(r io.Reader) (Notification, error) {
	var n Notification
	text, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return n, fmt.Errorf("imdn: %w", err)
	}
	if len(text) > maxSize {
		return n, errors.New("imdn: longer than 64 KiB")
	}
	if err := n.parse(xml.NewDecoder(bytes.NewReader(text))); err != nil {
		return Notification{}, fmt.Errorf("imdn: %w", err)
	}
	return n, nil
}

func (n *Notification) parse(d *xml.Decoder) error {
	root, err := xmlread.Child(d)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if root.Name != (xml.Name{Space: space, Local: "imdn"}) {
		return errors.New("the document is not an imdn")
	}
	seen := map[string]bool{}
	err = each(d, func(name string, e *xml.StartElement) (err error) {
		if seen[name] && name != "" {
			return errors.New(name + " occurs twice") // the two ends could take different ones
		}
		seen[name] = true
		switch name {
		case "message-id":
			n.MessageID, err = xmlread.Content(d)
		case "datetime":
			n.DateTime, err = xmlread.Content(d)
		case "recipient-uri":
			n.Recipient, err = xmlread.Content(d)
		case "original-recipient-uri":
			n.OriginalRecipient, err = xmlread.Content(d)
		case "subject":
			if n.Subject, err = xmlread.Content(d); n.Subject != "" {
				n.Lang = lang(e)
			}
		default:
			err = n.parseType(d, name)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !isID(n.MessageID):
		return errors.New("no message-id")
	case n.DateTime == "":
		return errors.New("no datetime")
	case n.Status == "":
		return errors.New("no status that is known")
	}
	return nil
}

// parseType reads the element that says what the notification is about, or
// skips another.
func (n *Notification) parseType(d *xml.Decoder, name string) error {
	i := 0
	for i < len(types) && types[i].element != name {
		i++
	}
	if i == len(types) {
		return d.Skip()
	}
	if n.Type != 0 {
		return errors.New("notifications of two types")
	}
	n.Type = types[i].Type
	return each(d, func(name string, _ *xml.StartElement) error {
		if name != "status" {
			return d.Skip()
		}
		return each(d, func(name string, _ *xml.StartElement) error {
			if s := Status(name); n.Type.has(s) {
				if n.Status != "" {
					return errors.New("two statuses")
				}
				n.Status = s
			}
			return d.Skip()
		})
	})
}

// each calls f for the children of the element just begun, with "" for a name
// that is not of this format. f reads the child to its end.
func each(d *xml.Decoder, f func(name string, e *xml.StartElement) error) error {
	for {
		e, err := xmlread.Child(d)
		if e == nil || err != nil {
			return err
		}
		name := e.Name.Local
		if e.Name.Space != space {
			name = ""
		}
		if err := f(name, e); err != nil {
			return err
		}
	}
}

// lang returns the xml:lang of an element, or "".
func lang(e *xml.StartElement) string {
	for _, a := range e.Attr {
		if a.Name.Local == "lang" && a.Name.Space == "http://www.w3.org/XML/1998/namespace" {
			return a.Value
		}
	}
	return ""
}
