// Package iscomposing tells that somebody is writing a message, or recording
// one, and notices it of others (RFC 3994).
//
// A [Composer] turns what the user does into status messages, a [Watcher] turns
// those of one peer into what to show. Status messages go in the session of the
// messages they announce, in XML of type [ContentType], to peers that accept it.
// A Failure-Report of partial suits them: a refusal comes back, and nothing else.
package iscomposing

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/webmsrp/webmsrp/msrp/internal/xmlread"
)

// ContentType is the media type of a status message.
const ContentType = "application/im-iscomposing+xml"

// space is the XML namespace of a status message (RFC 3994, section 6).
const space = "urn:ietf:params:xml:ns:im-iscomposing"

// maxSize is the most octets of a status message.
const maxSize = 16 << 10

// maxRefresh is what a longer interval counts as: 68 years.
const maxRefresh = math.MaxInt32 * time.Second

// A Status is the content of a status message (RFC 3994, section 3.4).
type Status struct {
	// Active is set while the sender composes. States that RFC 3994 does not
	// know are idle.
	Active bool
	// LastActive is when the sender last did, such as "2003-01-27T10:43:00Z"
	// (RFC 3339, but the time zone may be absent), or "".
	LastActive string
	// ContentType is what is composed, a media type with or without subtype, or
	// "": a hint to the user.
	ContentType string
	// Refresh is after how long the sender says again that it is active, in
	// whole seconds, or 0 if it does not.
	Refresh time.Duration
}

// Marshal returns the status as XML, with Refresh rounded up.
func (s Status) Marshal() []byte {
	var b bytes.Buffer
	element := func(name, text string) {
		b.WriteString("<" + name + ">")
		xml.EscapeText(&b, []byte(text))
		b.WriteString("</" + name + ">")
	}
	b.WriteString(xml.Header + `<isComposing xmlns="` + space + `">`)
	if s.Active {
		element("state", "active")
	} else {
		element("state", "idle")
	}
	if s.LastActive != "" {
		element("lastactive", s.LastActive)
	}
	if s.ContentType != "" {
		element("contenttype", s.ContentType)
	}
	if s.Refresh > 0 {
		seconds := min(s.Refresh, maxRefresh) + time.Second - 1
		element("refresh", strconv.FormatInt(int64(seconds/time.Second), 10))
	}
	b.WriteString("</isComposing>")
	return b.Bytes()
}

// Parse reads a status message of up to 16 KiB. Elements it does not know are
// skipped, and a Refresh that is no number counts as absent. A document without
// a state or with a DTD is an error.
func Parse(r io.Reader) (Status, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return Status{}, fmt.Errorf("iscomposing: %w", err)
	}
	if len(text) > maxSize {
		return Status{}, errors.New("iscomposing: longer than 16 KiB")
	}
	s, err := parse(xml.NewDecoder(bytes.NewReader(text)))
	if err != nil {
		return Status{}, fmt.Errorf("iscomposing: %w", err)
	}
	return s, nil
}

func parse(d *xml.Decoder) (s Status, err error) {
	root, err := xmlread.Child(d)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return s, err
	}
	if root.Name != (xml.Name{Space: space, Local: "isComposing"}) {
		return s, errors.New("the document is not an isComposing")
	}
	seen := map[string]bool{}
	for {
		e, err := xmlread.Child(d)
		if err != nil {
			return s, err
		}
		if e == nil {
			break
		}
		if e.Name.Space != space {
			if err := d.Skip(); err != nil {
				return s, err
			}
			continue
		}
		name := e.Name.Local
		if seen[name] {
			return s, errors.New(name + " occurs twice") // the two ends could take different ones
		}
		seen[name] = true
		text, err := xmlread.Content(d)
		if err != nil {
			return s, err
		}
		switch name {
		case "state":
			s.Active = text == "active"
		case "lastactive":
			s.LastActive = text
		case "contenttype":
			s.ContentType = text
		case "refresh":
			s.Refresh = parseRefresh(text)
		}
	}
	if !seen["state"] {
		return s, errors.New("no state")
	}
	return s, nil
}

// parseRefresh reads an xs:positiveInteger.
func parseRefresh(s string) time.Duration {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 10, 64)
	if err != nil && n == 0 { // no number, rather than one out of range
		return 0
	}
	return time.Duration(min(n, math.MaxInt32)) * time.Second
}
