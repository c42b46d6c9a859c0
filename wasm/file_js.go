//go:build js && wasm

package main

import (
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// file makes the session one for a file (RFC 5547): what is offered of it, or
// taken. The page hashes and writes: package file costs 25 KB here, and octets
// would pass between JavaScript and Go once more.
func (x *session) file(r request) later {
	direction := sdp.Direction(r.str("direction"))
	f := &sdp.FileTransfer{ID: r.str("transferId"), Range: sdp.FileRange{Start: r.num("start"), Stop: r.num("stop")}}
	selector := r.str("selector")
	return func() (_ any, err error) {
		if f.Selector, err = sdp.ParseFileSelector(selector); err == nil {
			x.call.SetFile(direction, f)
		}
		return nil, err
	}
}

// refuse answers an offer with no.
func (x *session) refuse(r request) later {
	offer := r.str("sdp")
	return func() (any, error) { return x.call.Refuse(offer) }
}
