//go:build js && wasm

package main

import (
	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// The session for a file (RFC 5547): what is offered, asked for, and taken. The
// page hashes and writes: package file costs 25 KB here, and octets would pass
// between JavaScript and Go once more.

// hashAlgorithms are those that the page knows, in the order that selectors
// need.
var hashAlgorithms = [...]string{"sha-1", "sha-256"}

// offerFile makes the next offer one of a file, all or the rest of it, or one that
// asks for that; or the next answer one that has the file that was asked for.
func (x *session) offerFile(r request) later {
	// 32 characters, as RFC 5547, section 8.1 suggests.
	f := &sdp.FileTransfer{ID: (msrp.NewID() + msrp.NewID())[:32]}
	f.Selector = sdp.FileSelector{Name: r.str("name"), Type: r.str("type"), Size: r.num("size")}
	for _, algorithm := range hashAlgorithms {
		if sum := r.str(algorithm); sum != "" {
			f.Selector.Hashes = append(f.Selector.Hashes, sdp.Hash{Algorithm: algorithm, Sum: sum})
		}
	}
	if from := r.num("offset"); from > 0 {
		f.Range = sdp.FileRange{Start: from + 1, Stop: -1}
	}
	d := sdp.SendOnly
	if r.flag("asked") {
		d = sdp.RecvOnly
	}
	return x.setFile(d, f)
}

// offeredFile describes the file that a peer offers or asks for, nil where it
// offers a conversation or nothing that can be taken, of which the answer will
// tell.
func (x *session) offeredFile(r request) later {
	f, asked := fileOf(r.str("sdp"))
	x.offered = f
	if f == nil {
		return nil
	}
	description := describe(f)
	description["asked"] = asked
	return func() (any, error) { return description, nil }
}

// describe tells the page of a file. What is not known of it is -1.
func describe(f *sdp.FileTransfer) object {
	offset, end := max(f.Range.Start, 1)-1, int64(-1)
	if n := f.Range.Octets(f.Selector.Size); n >= 0 {
		end = offset + n
	}
	o := object{"name": f.Selector.Name, "type": f.Selector.Type, "size": f.Selector.Size, "offset": offset, "end": end}
	for _, h := range f.Selector.Hashes {
		if h.Algorithm == hashAlgorithms[0] || h.Algorithm == hashAlgorithms[1] {
			o[h.Algorithm] = h.Sum
		}
	}
	return o
}

// fileOf returns the file that an offer is for, or nil, and whether it is asked
// for.
func fileOf(offer string) (f *sdp.FileTransfer, asked bool) {
	d, err := sdp.Parse(offer)
	if err != nil {
		return nil, false
	}
	for i := range d.Media {
		s, err := d.Stream(i)
		if err != nil {
			continue
		}
		if s.File == nil || s.File.Selector.IsZero() || s.Direction.Sends() == s.Direction.Receives() {
			return nil, false
		}
		if f == nil {
			f, asked = &sdp.FileTransfer{Selector: s.File.Selector, Range: s.File.Range}, s.Direction == sdp.RecvOnly
		}
	}
	return f, asked
}

// takeFile has the next answer take the file that was offered last.
func (x *session) takeFile() later { return x.setFile("", x.offered) }

// setFile waits for an exchange that is under way.
func (x *session) setFile(d sdp.Direction, f *sdp.FileTransfer) later {
	x.hasFile = f != nil
	return func() (any, error) {
		x.call.SetFile(d, f)
		return nil, nil
	}
}

// refuse answers an offer with no.
func (x *session) refuse(r request) later {
	offer := r.str("sdp")
	return func() (any, error) { return x.call.Refuse(offer) }
}
