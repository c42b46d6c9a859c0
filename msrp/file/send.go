package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/cpim"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// slice is how much is read at once to be hashed: browsers read files fastest
// so.
const slice = 1 << 20

// A File is one to be sent, in any number of transfers.
type File struct {
	// Name is what the peer is told, without directories.
	Name string
	// Type is the media type, as in Content-Type. Default
	// application/octet-stream.
	Type string
	// Size is in octets.
	Size int64
	// Octets are read in order, from where a transfer begins, one call at a
	// time for each transfer. They must stay the same.
	Octets io.ReaderAt
}

func (f *File) contentType() string {
	if f.Type == "" {
		return "application/octet-stream"
	}
	return f.Type
}

// Describe reads the whole file once and returns its selector, with hashes by
// SHA-1 and SHA-256. progress, if not nil, is told after each piece how many
// octets were read. The error is of reading, of a file that is shorter than it
// should be, or the cause of ctx.
func (f *File) Describe(ctx context.Context, progress func(octets int64)) (sdp.FileSelector, error) {
	selector := sdp.FileSelector{Name: f.Name, Type: sdp.FileType(f.contentType()), Size: f.Size}
	s, err := newSums()
	if err != nil {
		return selector, err
	}
	buf := make([]byte, min(slice, max(f.Size, 1)))
	for at := int64(0); at < f.Size; {
		if err := context.Cause(ctx); err != nil {
			return selector, err
		}
		n, err := f.Octets.ReadAt(buf[:min(int64(len(buf)), f.Size-at)], at)
		if at += int64(n); n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return selector, readError(err)
		}
		if err := s.add(buf[:n]); err != nil {
			return selector, err
		}
		if progress != nil {
			progress(at)
		}
	}
	selector.Hashes = s.hashes()
	return selector, nil
}

// NewTransfer returns a transfer with a new ID, of all of a file but the octets
// that the receiver has: 0 for a whole file. It is to be offered by who sends
// the file. The last octet is always transferred, because a part cannot be
// empty.
func NewTransfer(selector sdp.FileSelector, octets int64) *sdp.FileTransfer {
	// 32 characters, as RFC 5547, section 8.1 suggests.
	t := &sdp.FileTransfer{Selector: selector, ID: (msrp.NewID() + msrp.NewID())[:32]}
	if selector.Size >= 0 {
		octets = min(octets, selector.Size-1)
	}
	if octets > 0 {
		t.Range = sdp.FileRange{Start: octets + 1, Stop: -1}
	}
	return t
}

// SendOptions adjust [File.Send]. nil is fine.
type SendOptions struct {
	// Wrapper, if not nil, is the header of a wrapper of type message/cpim
	// around the file: for peers whose accept-types have only that.
	Wrapper cpim.Header
	// Progress is told how many octets of the file the next hop has, those of
	// earlier transfers included. It must return quickly.
	Progress func(octets int64)
}

// A Sending is a file on its way. That it was delivered says that all octets
// have arrived; what the receiver found in them it does not tell.
type Sending struct {
	*msrp.Outgoing
	from, head int64
}

// Octets returns how many octets of the file, from the first one on, the next
// hop has: what need not be sent again if no relay is in between. A receiver that
// has less refuses a transfer that begins there.
func (s *Sending) Octets() int64 { return s.octets(s.Progress()) }

func (s *Sending) octets(p msrp.Progress) int64 { return s.from + max(0, p.Acknowledged-s.head) }

// Send starts to send the part of f that the transfer names, as one message of
// type f.Type (RFC 5547, section 8.7). A success report is asked for. Canceling
// ctx, or [msrp.Outgoing.Abort], ends the transfer. The error tells of a part
// that f does not have, or is that of [msrp.Session.Send].
func (f *File) Send(ctx context.Context, session *msrp.Session, t *sdp.FileTransfer, o *SendOptions) (*Sending, error) {
	if o == nil {
		o = &SendOptions{}
	}
	from, n := max(t.Range.Start, 1)-1, t.Range.Octets(f.Size)
	switch {
	case t.Selector.Size >= 0 && t.Selector.Size != f.Size:
		return nil, errors.New("file: " + strconv.FormatInt(t.Selector.Size, 10) + " octets were described, and the file has " + strconv.FormatInt(f.Size, 10))
	case n < 0 || from > f.Size || n > f.Size-from:
		return nil, errors.New("file: the part to be sent is not within the file")
	}
	m := &msrp.Message{
		ContentType: f.contentType(), Body: io.NewSectionReader(f.Octets, from, n), Size: n, SuccessReport: true,
		Header: msrp.Header{{Name: "Content-Disposition", Value: disposition(f.Name)}},
	}
	if n == 0 {
		m.Body = bytes.NewReader(nil)
	}
	s := &Sending{from: from}
	if o.Wrapper != nil {
		w := cpim.Message{
			Header: o.Wrapper, ContentType: m.ContentType, Body: m.Body, Size: n,
			MIME: cpim.MIMEHeader{{Name: "Content-Disposition", Value: disposition(f.Name)}},
		}
		body, size, err := w.Encode()
		if err != nil {
			return nil, err
		}
		m.ContentType, m.Body, m.Size = cpim.ContentType, body, size
		s.head = size - n
	}
	if o.Progress != nil {
		m.Changed = func(p msrp.Progress) { o.Progress(s.octets(p)) }
	}
	var err error
	s.Outgoing, err = session.Send(ctx, m)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func readError(err error) error { return &ioError{"reading the file", err} }

// An ioError is one of the application's reader or writer.
type ioError struct {
	doing string
	err   error
}

func (e *ioError) Error() string { return "file: " + e.doing + ": " + e.err.Error() }
func (e *ioError) Unwrap() error { return e.err }
