package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/cpim"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// piece is how much is written at once where so much is there: browsers write
// small pieces slowly.
const piece = 256 << 10

// A MismatchError tells that what has come is not the file that was described
// (RFC 5547, section 8.3.1).
type MismatchError struct {
	// Selector names what differs: "name", "type", "size", "sha-1" or
	// "sha-256".
	Selector  string
	Want, Got string
}

func (e *MismatchError) Error() string {
	return "file: the " + e.Selector + " should be " + strconv.Quote(e.Want) + " and is " + strconv.Quote(e.Got)
}

// ErrGap is the error of a part that begins behind what has come so far.
var ErrGap = errors.New("file: the part of the file does not follow what is there")

// A Receiver takes one file, in as many transfers as it needs. Its methods are
// for one goroutine at a time, except for Octets.
type Receiver struct {
	// Progress, if set, is told after each piece how many octets of the file
	// have been written in all. It must return quickly.
	Progress func(octets int64)

	w      io.Writer
	want   sdp.FileSelector // what is known of the file, Type and Hashes as any side gave them
	sums   sums
	octets atomic.Int64 // written and hashed
	whole  bool
}

// NewReceiver returns a receiver of the file that a selector describes, or of
// one of those; its Size is -1 where it is not known. w gets every octet once,
// from the first to the last. The error tells that there are no hashes: see
// NewHash in programs built with the tag hostcrypto.
func NewReceiver(w io.Writer, selector sdp.FileSelector) (*Receiver, error) {
	selector.Hashes = slices.Clone(selector.Hashes)
	s, err := newSums()
	return &Receiver{w: w, want: selector, sums: s}, err
}

// Have reads up to its end what an earlier Receiver of the same file has written,
// before anything else is done. It is not written once more.
func (r *Receiver) Have(written io.Reader) error {
	buf := make([]byte, piece)
	for {
		n, err := written.Read(buf)
		if err := r.sums.add(buf[:n]); err != nil {
			return err
		}
		if octets := r.octets.Add(int64(n)); r.want.Size >= 0 && octets > r.want.Size {
			return r.mismatch("size", strconv.FormatInt(r.want.Size, 10), "more")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return readError(err)
		}
	}
}

// Octets returns how many octets of the file are there. It is safe for
// concurrent use.
func (r *Receiver) Octets() int64 { return r.octets.Load() }

// Whole reports whether the file is there to its end, and is the one that was
// described.
func (r *Receiver) Whole() bool { return r.whole }

// Selector returns what is known of the file; once it is whole, with the size and
// the hashes of what is there. The name is the peer's: see [SafeName].
func (r *Receiver) Selector() sdp.FileSelector {
	s := r.want
	if r.whole {
		s.Size, s.Hashes = r.Octets(), r.sums.hashes()
	}
	return s
}

// Ask returns a new transfer of what is missing of the file, to be asked for by
// an offer with the direction recvonly.
func (r *Receiver) Ask() *sdp.FileTransfer { return NewTransfer(r.want, r.Octets()) }

// Accept returns what to answer to an offered transfer, for [call.Options]. The
// error, which is [ErrGap] for a part that comes later, tells why it is not
// wanted: then the offer is to be refused, see [call.Call.Refuse].
func (r *Receiver) Accept(offered *sdp.FileTransfer) (*sdp.FileTransfer, error) {
	if _, err := r.fits(offered); err != nil {
		return nil, err
	}
	return &sdp.FileTransfer{Selector: r.want, Range: offered.Range}, nil
}

// fits returns how many octets of the file come before the transfer, or why it is
// not for this receiver.
func (r *Receiver) fits(t *sdp.FileTransfer) (from int64, err error) {
	from = max(t.Range.Start, 1) - 1
	switch {
	case r.whole:
		return from, errors.New("file: all of it is there")
	case r.want.Contradicts(&t.Selector):
		return from, errors.New("file: the transfer is of another file")
	case from > r.Octets():
		return from, ErrGap
	}
	return from, nil
}

// learn adds what a selector tells.
func (r *Receiver) learn(s *sdp.FileSelector) {
	w := &r.want
	if w.Name == "" {
		w.Name = s.Name
	}
	if w.Type == "" {
		w.Type = s.Type
	}
	if w.Size < 0 {
		w.Size = s.Size
	}
	for _, h := range s.Hashes {
		if !slices.ContainsFunc(w.Hashes, func(known sdp.Hash) bool { return known.Algorithm == h.Algorithm }) {
			w.Hashes = append(w.Hashes, h)
		}
	}
}

// Receive takes the message of the transfer t that was agreed on, see
// [call.Call.File], and returns nil once it has come to its end. If that is the
// end of the file, it is also found to be the one that was described, and else
// the error is a *[MismatchError]: then it is of no use, nor is this Receiver.
//
// After any other error what has come stays, and the rest can be transferred
// later. The error is [msrp.ErrAborted] where the sender has stopped, that of the
// session where it has ended, the cause of ctx, or one of the writer. After the
// last two the sender is told to stop (RFC 5547, section 8.4: 413), and should
// be by SDP too. A file that lacks only its end on the wire is taken as whole.
func (r *Receiver) Receive(ctx context.Context, session *msrp.Session, t *sdp.FileTransfer) error {
	at, err := r.fits(t)
	if err != nil {
		return err
	}
	r.learn(&t.Selector)
	in, err := session.Receive(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	defer context.AfterFunc(ctx, func() { in.Close() })()
	end := int64(-1)
	if n := t.Range.Octets(r.want.Size); n >= 0 {
		end = at + n
	}
	at, err = r.take(in, at, end)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	all := at == end || end < 0 && err == nil
	last := t.Range.Start == 0 || t.Range.Stop < 0 || t.Range.Stop == r.want.Size
	switch {
	case err != nil && (!all || !last || errors.Is(err, msrp.ErrAborted) || errors.As(err, new(*MismatchError)) || errors.As(err, new(*ioError))):
		return err
	case !all:
		return r.mismatch("size", strconv.FormatInt(end, 10), strconv.FormatInt(at, 10))
	case !last:
		return nil
	}
	for _, h := range r.sums.hashes() {
		for _, want := range r.want.Hashes {
			if h.Algorithm == want.Algorithm && !strings.EqualFold(h.Sum, want.Sum) {
				return r.mismatch(h.Algorithm, want.Sum, h.Sum)
			}
		}
	}
	r.whole = true
	return nil
}

func (r *Receiver) mismatch(selector, want, got string) error {
	return &MismatchError{selector, want, got}
}

// take writes what arrives of the octets at..end-1 of the file, and returns up to
// where it came. end is -1 if it is not known.
func (r *Receiver) take(in *msrp.Incoming, at, end int64) (int64, error) {
	body, err := r.open(in)
	if err != nil {
		return at, err
	}
	buf := make([]byte, piece)
	for {
		n, err := body.Read(buf)
		for err == nil && n < len(buf) && in.Buffered() > 0 {
			var more int
			more, err = body.Read(buf[n:])
			n += more
		}
		if end >= 0 && int64(n) > end-at {
			return at, r.mismatch("size", strconv.FormatInt(end, 10), "more")
		}
		skip := min(int64(n), r.Octets()-at) // which are there already
		at += int64(n)
		if err := r.write(buf[skip:n]); err != nil {
			return at, err
		}
		if err == io.EOF {
			return at, nil
		}
		if err != nil {
			return at, err
		}
	}
}

// open returns the octets of the file that are in a message, with or without a
// wrapper, if the message is what was described.
func (r *Receiver) open(in *msrp.Incoming) (body io.Reader, err error) {
	contentType, named := in.ContentType, in.Header.Get("Content-Disposition")
	body = in
	if msrp.MatchType(cpim.ContentType, contentType) && !msrp.MatchType(cpim.ContentType, r.want.Type) {
		m, err := cpim.Read(in)
		if err != nil {
			return nil, err
		}
		if unknown := m.Header.Unknown(nil); len(unknown) > 0 {
			return nil, fmt.Errorf("file: the wrapper wants to be understood: %s", strings.Join(unknown, ", "))
		}
		contentType, body = m.ContentType, m.Body
		if d := m.MIME.Get("Content-Disposition"); d != "" {
			named = d
		}
	}
	if r.want.Type != "" && !msrp.MatchType(r.want.Type, contentType) {
		return nil, r.mismatch("type", r.want.Type, contentType)
	}
	// Names are compared as they would be used: not everyone can write them all.
	name := dispositionName(named)
	if name != "" && r.want.Name != "" && SafeName(name) != SafeName(r.want.Name) {
		return nil, r.mismatch("name", r.want.Name, name)
	}
	r.learn(&sdp.FileSelector{Name: name, Type: sdp.FileType(contentType), Size: -1})
	return body, nil
}

// write writes and hashes p, as far as the writer takes it.
func (r *Receiver) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := r.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err := r.sums.add(p[:n]); err != nil {
		return err
	}
	octets := r.octets.Add(int64(n))
	if r.Progress != nil {
		r.Progress(octets)
	}
	if err != nil {
		return &ioError{"writing the file", err}
	}
	return nil
}
