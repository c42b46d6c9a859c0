//go:build js && wasm && hostcrypto

package main

import (
	"github.com/hack-pad/safejs"

	"github.com/webmsrp/webmsrp/msrp/digest"
)

// hashWith makes the host's hash(algorithm, octets) that of the digests.
func hashWith(host safejs.Value) {
	digest.Sum = func(a digest.Algorithm, text []byte) []byte {
		array, _, err := toJS(text)
		if err == nil {
			array, err = host.Call("hash", string(a), array)
		}
		var sum []byte
		if err == nil {
			sum, err = toGo(nil, array)
		}
		if err != nil {
			panic(err) // the host is not the one this was built for
		}
		return sum
	}
}
