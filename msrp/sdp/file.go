package sdp

import (
	"errors"
	"strconv"
	"strings"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/internal/percent"
)

// A FileTransfer is the one file that a stream is for (RFC 5547): the offerer
// pushes it where it says sendonly and pulls it where it says recvonly. The
// file is one message of the session.
type FileTransfer struct {
	Selector FileSelector
	// ID tells transfers apart. A new transfer, a resumed one too, has a new
	// one, for instance from [msrp.NewID]. FreeSWITCH and RCS's large messages
	// have none, which reads "".
	ID string
	// Disposition is "render", the default, or "attachment"; RCS has others.
	Disposition string
	// Date is the value of a=file-date, or "": see [ParseFileDate].
	Date string
	// Icon is the cid: URL of a picture of the file, carried in the same
	// multipart/related body as the description, or "".
	Icon string
	// Range is the part that is transferred, zero for all.
	Range FileRange
}

// A FileRange are the octets from Start to Stop, both included, of which the
// first is 1. Stop is -1 for the last one. The zero value is an absent range
// and means all. The Byte-Range of the messages counts from 1 again (RFC 5547,
// section 8.7).
type FileRange struct{ Start, Stop int64 }

// Octets returns how many octets of a file of that size are transferred, -1 if
// unknown; size is -1 if unknown.
func (r FileRange) Octets(size int64) int64 {
	stop := r.Stop
	if r.Start == 0 || stop < 0 {
		stop = size
	}
	if stop < 0 {
		return -1
	}
	return stop - max(r.Start, 1) + 1
}

// same reports whether r and other are the same part of a file of that size.
func (r FileRange) same(other FileRange, size int64) bool {
	return max(r.Start, 1) == max(other.Start, 1) && r.Octets(size) == other.Octets(size)
}

// Continues reports whether f belongs to the same transfer as previous, of the
// last exchange, so that nothing is to be started (RFC 5547, section 8.1). A
// different file, or a different part of it, under the same ID is an error,
// and both are to be given up.
func (f *FileTransfer) Continues(previous *FileTransfer) (bool, error) {
	if f.ID == "" || f.ID != previous.ID {
		return false, nil
	}
	if f.Selector.Contradicts(&previous.Selector) || !f.Range.same(previous.Range, f.Selector.Size) {
		return false, errors.New("sdp: the transfer " + strconv.Quote(f.ID) + " became one of another file")
	}
	return true, nil
}

// The attributes of a file that are taken as they are.
var fileAttributes = [...]string{"file-transfer-id", "file-disposition", "file-date", "file-icon"}

func (f *FileTransfer) fields() [len(fileAttributes)]*string {
	return [...]*string{&f.ID, &f.Disposition, &f.Date, &f.Icon}
}

// attribute reads an attribute, if it is one of a file.
func (f *FileTransfer) attribute(name, value string) (known bool, err error) {
	switch name {
	case "file-selector":
		f.Selector, err = ParseFileSelector(value)
		return true, err
	case "file-range":
		start, stop, _ := strings.Cut(value, "-")
		first, ok := parseCount(start)
		last, valid := parseCount(stop)
		if stop == "*" {
			last = -1
		} else if !valid || last < first {
			ok = false
		}
		if f.Range = (FileRange{first, last}); !ok || first == 0 {
			err = errors.New("sdp: bad a=file-range")
		}
		return true, err
	}
	for i, field := range f.fields() {
		if name == fileAttributes[i] {
			*field = value
			return true, nil
		}
	}
	return false, nil
}

// parseCount reads a number of octets.
func parseCount(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}

// write hands the attributes of a file to add.
func (f *FileTransfer) write(add func(name, value string)) {
	add("file-selector", f.Selector.String())
	for i, field := range f.fields() {
		if *field != "" {
			add(fileAttributes[i], *field)
		}
	}
	if f.Range.Start != 0 {
		stop := "*"
		if f.Range.Stop >= 0 {
			stop = strconv.FormatInt(f.Range.Stop, 10)
		}
		add("file-range", strconv.FormatInt(f.Range.Start, 10)+"-"+stop)
	}
}

// transfer returns the file that the stream is for. An empty selector alone
// only says that the peer can transfer files (RFC 5547, section 8.5).
func (s *Stream) transfer() *FileTransfer {
	if s.File != nil && s.File.ID == "" && s.File.Selector.IsZero() {
		return nil
	}
	return s.File
}

// check says what is wrong with a transfer in direction d.
func (f *FileTransfer) check(d Direction) error {
	size := f.Selector.Size
	if f.Selector.IsZero() || d.Sends() == d.Receives() || size >= 0 && max(f.Range.Start, f.Range.Stop) > size {
		return errors.New("sdp: a file needs a selector, one direction, and a range within its size")
	}
	return nil
}

// checkOwn is check for those who are to know better.
func (f *FileTransfer) checkOwn(d Direction) error {
	if err := f.check(d); err != nil {
		return err
	}
	hashes := f.Selector.Hashes
	switch {
	case f.ID == "":
		return errors.New("sdp: a file without a transfer ID")
	case d == SendOnly && f.Selector.Type == "" && f.Selector.Size < 0 && len(hashes) == 0:
		return errors.New("sdp: a file to be sent needs a type, size or hash")
	case len(hashes) > 0 && hashes[0].Algorithm != sha1Name:
		return errors.New("sdp: the first hash of a file must be by SHA-1")
	}
	return nil
}

// fits says whether those who take messages of at most maxSize octets, or of
// any size for 0, take the file (RFC 5547, section 8.7).
func (f *FileTransfer) fits(maxSize int64) error {
	if maxSize > 0 && f.Range.Octets(f.Selector.Size) > maxSize {
		return errors.New("sdp: the file is larger than is taken")
	}
	return nil
}

// acceptFile settles in taken what is transferred over an offered stream. This
// side's own stream names the file it has for a pull; for a push it may name
// the file that it wants, and which part.
func (s *Stream) acceptFile(peer, taken *Stream) error {
	offered := peer.transfer()
	if offered == nil {
		if s.File != nil {
			return errors.New("sdp: the stream is not for a file")
		}
		return nil
	}
	if err := offered.check(peer.Direction); err != nil {
		return err
	}
	own := FileTransfer{Selector: FileSelector{Size: -1}}
	if s.File != nil {
		own = *s.File
	}
	push, maxSize := peer.Direction.Sends(), peer.MaxSize
	if push && (own.Selector.Contradicts(&offered.Selector) || !offered.Range.same(own.Range, offered.Selector.Size)) ||
		!push && !offered.Selector.Selects(&own.Selector) {
		return errors.New("sdp: the file, or the part of it, is not the one that this side has or wants")
	}
	if push {
		// No icon, disposition or date (RFC 5547, section 8.3.1).
		own = FileTransfer{Selector: offered.Selector}
		maxSize = s.MaxSize
	}
	own.ID, own.Range = offered.ID, offered.Range
	taken.File = &own
	if err := own.check(taken.Direction); err != nil {
		return err
	}
	return own.fits(maxSize)
}

// concludeFile checks the answer to an own offer of a file.
func (s *Stream) concludeFile(peer *Stream) error {
	own, answered := s.transfer(), peer.transfer()
	if own == nil {
		return nil
	}
	push := s.Direction == SendOnly
	if answered == nil {
		// Who does not know RFC 5547, or like crocodile-msrp does not say so,
		// still takes a message.
		if push && own.Range.same(FileRange{}, own.Selector.Size) {
			return own.fits(peer.MaxSize)
		}
	} else if (answered.ID == own.ID || answered.ID == "") && !own.Selector.Contradicts(&answered.Selector) &&
		answered.Range.same(own.Range, max(own.Selector.Size, answered.Selector.Size)) {
		if push {
			return own.fits(peer.MaxSize)
		}
		return answered.fits(s.MaxSize)
	}
	return errors.New("sdp: the answer is not about the file, or the part of it, that was offered")
}

// A FileSelector describes a file, or those that are asked for.
type FileSelector struct {
	// Name is as the peer wrote it, only decoded: not safe to be used as the
	// name of a file. "" if absent.
	Name string
	// Type is the media type, "" if absent. Parameters are in the form of RFC
	// 5547: see [FileType] and [FileSelector.ContentType].
	Type string
	// Size is in octets, -1 if absent: beware that the zero value is an empty
	// file.
	Size int64
	// Hashes begin with that by SHA-1, which must be there if any is; Blink
	// reads no other.
	Hashes []Hash
}

// ParseFileSelector reads the value of a=file-selector, which is empty where
// a peer only says that it can transfer files (RFC 5547, sections 6 and 8.5).
// Selectors come in any order; unknown ones are skipped.
func ParseFileSelector(s string) (FileSelector, error) {
	f := FileSelector{Size: -1}
	ok := true
	for ok && s != "" {
		var word string
		word, s, ok = cutQuoted(s, ' ', false)
		name, value, _ := strings.Cut(word, ":")
		valid := true
		switch name {
		case "name":
			f.Name = percent.Decode(unquote(value))
		case "type":
			f.Type = value
			valid = strings.Contains(value, "/")
		case "size":
			f.Size, valid = parseCount(value)
		case "hash":
			algorithm, sum, _ := strings.Cut(value, ":")
			h := Hash{strings.ToLower(algorithm), sum}
			f.Hashes = append(f.Hashes, h)
			valid = h.valid()
		}
		ok = ok && valid
	}
	if !ok {
		return f, errors.New("sdp: bad a=file-selector")
	}
	return f, nil
}

// String returns the value of a=file-selector.
func (f *FileSelector) String() string {
	s := ""
	if f.Name != "" {
		s = ` name:"` + escape(f.Name) + `"`
	}
	if f.Type != "" {
		s += " type:" + f.Type
	}
	if f.Size >= 0 {
		s += " size:" + strconv.FormatInt(f.Size, 10)
	}
	for _, h := range f.Hashes {
		s += " hash:" + h.Algorithm + ":" + h.Sum
	}
	if s != "" {
		s = s[1:]
	}
	return s
}

// IsZero reports whether f selects nothing in particular.
func (f *FileSelector) IsZero() bool {
	return f.Name == "" && f.Type == "" && f.Size < 0 && len(f.Hashes) == 0
}

// Selects reports whether file is one of those that f asks for: it has all that
// f names, of several hashes one (RFC 5547, section 8.3.2).
func (f *FileSelector) Selects(file *FileSelector) bool {
	same, hashed := f.compare(file)
	return same && (f.Name == "" || file.Name != "") && (f.Type == "" || file.Type != "") &&
		(f.Size < 0 || file.Size >= 0) && (hashed || len(f.Hashes) == 0)
}

// Contradicts reports whether f and file cannot be the same file, by what both
// say: to check what arrived (RFC 5547, section 8.3.1), and renewed offers.
func (f *FileSelector) Contradicts(file *FileSelector) bool {
	same, _ := f.compare(file)
	return !same
}

// compare reports whether f and file say the same where both say something,
// and whether they have a hash to compare.
func (f *FileSelector) compare(file *FileSelector) (same, hashed bool) {
	same = (f.Name == file.Name || f.Name == "" || file.Name == "") &&
		(f.Size == file.Size || f.Size < 0 || file.Size < 0) &&
		(f.Type == "" || file.Type == "" || msrp.MatchType(f.Type, file.Type))
	for _, h := range f.Hashes {
		for _, other := range file.Hashes {
			if h.Algorithm == other.Algorithm {
				hashed = true
				same = same && strings.EqualFold(h.Sum, other.Sum)
			}
		}
	}
	return same, hashed
}

// A Hash is one of the whole file, whatever part of it is transferred. It does
// not protect against anyone.
type Hash struct {
	Algorithm string // "sha-1", "sha-256", …
	Sum       string // "72:24:5F:…"
}

const sha1Name = "sha-1"

// NewHash returns the hash of a file by an algorithm.
func NewHash(algorithm string, sum []byte) Hash {
	var b []byte
	for i, c := range sum {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return Hash{algorithm, string(b)}
}

func (h *Hash) valid() bool {
	n := len(h.Sum)
	return h.Algorithm != "" && n%3 == 2 && strings.Trim(h.Sum, hexDigits+"abcdef:") == "" &&
		(h.Algorithm != sha1Name || n == 59) && (h.Algorithm != "sha-256" || n == 95)
}
