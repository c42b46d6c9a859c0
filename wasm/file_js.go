//go:build js && wasm

package main

import (
	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// The session for a file (RFC 5547): what is offered of one, and taken. The page
// hashes and writes: package file costs 25 KB here, and octets would pass between
// JavaScript and Go once more.

// hashAlgorithms are those that the page knows, in the order that selectors
// need.
var hashAlgorithms = [...]string{"sha-1", "sha-256"}

// offerFile makes the next offer one of a file, all or the rest of it.
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
	return x.setFile(sdp.SendOnly, f)
}

// offeredFile describes the file that a peer offers, nil where it offers a
// conversation or nothing that can be taken, of which the answer will tell. What
// is not known of it is -1.
func (x *session) offeredFile(r request) later {
	x.offered = fileOf(r.str("sdp"))
	var description any
	if f := x.offered; f != nil {
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
		description = o
	}
	return func() (any, error) { return description, nil }
}

// fileOf returns the file that an offer is for, or nil.
func fileOf(offer string) *sdp.FileTransfer {
	d, err := sdp.Parse(offer)
	if err != nil {
		return nil
	}
	var f *sdp.FileTransfer
	for i := range d.Media {
		s, err := d.Stream(i)
		if err != nil {
			continue
		}
		if s.File == nil || s.File.Selector.IsZero() || s.Direction != sdp.SendOnly {
			return nil
		}
		if f == nil {
			f = s.File
		}
	}
	if f == nil {
		return nil
	}
	return &sdp.FileTransfer{Selector: f.Selector, Range: f.Range}
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
