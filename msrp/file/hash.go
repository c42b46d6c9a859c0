package file

import (
	"errors"
	"io"

	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// A Hash takes octets and returns the hash of all so far, appended to b.
type Hash interface {
	io.Writer
	Sum(b []byte) []byte
}

// algorithms are those of selectors that are computed: SHA-1 must come first, as
// old peers know no other (RFC 5547, section 6).
var algorithms = [...]string{"sha-1", "sha-256"}

// sums are the hashes of one file while it is read.
type sums [len(algorithms)]Hash

func newSums() (s sums, err error) {
	for i, a := range algorithms {
		if s[i] = newHash(a); s[i] == nil {
			return s, errors.New("file: built with hostcrypto, but the host has set no NewHash for " + a)
		}
	}
	return s, nil
}

func (s *sums) add(p []byte) error {
	for _, h := range s {
		if _, err := h.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// hashes returns the hashes in the form of a selector.
func (s *sums) hashes() []sdp.Hash {
	list := make([]sdp.Hash, len(s))
	for i, h := range s {
		list[i] = sdp.NewHash(algorithms[i], h.Sum(nil))
	}
	return list
}
