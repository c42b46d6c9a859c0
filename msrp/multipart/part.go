package multipart

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"mime/quotedprintable"
	"strconv"
	"strings"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/internal/percent"
)

// A Part is one part of a body. Read reads what is in it, octet by octet as it
// stands there, until [Reader.Next] is called again.
type Part struct {
	// Header is in the order of the wire, lines that go on in one.
	Header msrp.Header
	// ContentType is the media type with its parameters: text/plain where the
	// part does not say, message/rfc822 in a multipart/digest.
	ContentType string

	body  io.Reader
	depth int // of the Reader
	parts *int
}

// Read implements io.Reader.
func (p *Part) Read(b []byte) (int, error) { return p.body.Read(b) }

// ContentID returns the part's Content-ID without its angle brackets, or "".
func (p *Part) ContentID() string { return trimID(p.Header.Get("Content-ID")) }

// Disposition returns the part's Content-Disposition in lower case and its
// parameters (RFC 2183), or "" where it has none that can be read: then it is to
// be rendered (RFC 4975, section 7.3.1). A filename among them is not to be
// trusted: the sender can name any path.
func (p *Part) Disposition() (kind string, params map[string]string) {
	kind, params, err := parseParams(p.Header.Get("Content-Disposition"))
	if err != nil {
		return "", nil
	}
	return kind, params
}

// IsMultipart reports whether the part has parts itself.
func (p *Part) IsMultipart() bool { return msrp.MatchType("multipart/*", p.ContentType) }

// Parts returns a reader of the part's own parts. It is an error below the
// eighth level.
func (p *Part) Parts() (*Reader, error) {
	return newReader(p, p.ContentType, p.depth+1, p.parts)
}

// Decode returns what is in the part without its Content-Transfer-Encoding (RFC
// 2045, section 6), which over MSRP should be 7bit, 8bit, binary or absent, as
// nothing is to be encoded (RFC 4975, section 14.3). But a part of a message
// that came from elsewhere can be in base64 or quoted-printable, above all a
// signed one, which nobody on the way may change.
func (p *Part) Decode() (io.Reader, error) {
	switch encoding := p.Header.Get("Content-Transfer-Encoding"); strings.ToLower(encoding) {
	case "", "7bit", "8bit", "binary":
		return p, nil
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, p), nil
	case "quoted-printable":
		return quotedprintable.NewReader(p), nil
	default:
		return nil, errors.New("multipart: Content-Transfer-Encoding " + strconv.Quote(encoding) + " is not known")
	}
}

// hold reads a part into memory and reports whether it has up to limit octets.
func (p *Part) hold(limit int64) (size int64, ok bool, err error) {
	limit = min(max(limit, 0), math.MaxInt64-1)
	content, err := io.ReadAll(io.LimitReader(p, limit+1))
	if size = int64(len(content)); err != nil || size > limit {
		return 0, false, err
	}
	p.body = bytes.NewReader(content)
	return size, true, nil
}

// ErrNoPart is the error of a body without the part that is looked for.
var ErrNoPart = errors.New("multipart: no such part")

// Best reads a multipart/alternative to its end and returns its last part, which
// is the one with the most in it, of a type that accept lists, with * and type/*
// as wildcards (RFC 2046, section 5.1.4), in memory. Parts of more than limit
// octets do not count. The error is [ErrNoPart] where there is none.
func (r *Reader) Best(limit int64, accept ...string) (*Part, error) {
	var best *Part
	for {
		p, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		for _, entry := range accept {
			if !msrp.MatchType(entry, p.ContentType) {
				continue
			}
			if _, ok, err := p.hold(limit); err != nil {
				return nil, fmt.Errorf("multipart: part %d: %w", r.n, err)
			} else if ok {
				best = p
			}
			break
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%w: no alternative of a type among %q", ErrNoPart, accept)
	}
	return best, nil
}

// A Related is a multipart/related in memory (RFC 2387).
type Related struct {
	// Root is the part to begin with, which refers to the others.
	Root *Part
	// Parts are all parts in their order.
	Parts []*Part
}

// Related reads a multipart/related to its end. Its root is the part that the
// start parameter names, else the first. It is an error if all parts together
// have more than limit octets, and [ErrNoPart] where there is no root.
func (r *Reader) Related(limit int64) (*Related, error) {
	all := &Related{}
	for {
		p, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		size, ok, err := p.hold(limit)
		if err == nil && !ok {
			err = errors.New("more octets than are taken")
		}
		if err != nil {
			return nil, fmt.Errorf("multipart: part %d: %w", r.n, err)
		}
		limit -= size
		all.Parts = append(all.Parts, p)
	}
	switch {
	case r.start != "":
		all.Root = all.Find(r.start)
	case len(all.Parts) > 0:
		all.Root = all.Parts[0]
	}
	if all.Root == nil {
		return nil, fmt.Errorf("%w: the root is missing", ErrNoPart)
	}
	return all, nil
}

// Find returns the first part with that Content-ID, with or without angle
// brackets or as a cid: URL (RFC 2392), or nil.
func (r *Related) Find(id string) *Part {
	if len(id) >= 4 && strings.EqualFold(id[:4], "cid:") {
		id = percent.Decode(id[4:])
	}
	if id = trimID(id); id == "" {
		return nil
	}
	for _, p := range r.Parts {
		if p.ContentID() == id {
			return p
		}
	}
	return nil
}

func trimID(s string) string {
	return strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
}
