//go:build hostcrypto

package file_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/webmsrp/webmsrp/msrp/file"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

func init() {
	file.NewHash = func(algorithm string) file.Hash {
		return map[string]func() file.Hash{
			"sha-1":   func() file.Hash { return sha1.New() },
			"sha-256": func() file.Hash { return sha256.New() },
		}[algorithm]()
	}
}

// A host that has set no hashes learns so, in the place of a panic.
func TestHostWithoutHashes(t *testing.T) {
	set := file.NewHash
	defer func() { file.NewHash = set }()
	for _, none := range []func(string) file.Hash{nil, func(string) file.Hash { return nil }} {
		file.NewHash = none
		_, err := file.NewReceiver(io.Discard, sdp.FileSelector{Size: -1})
		assert.ErrorContains(t, err, "NewHash")
		_, err = (&file.File{Octets: strings.NewReader("")}).Describe(t.Context(), nil)
		assert.ErrorContains(t, err, "NewHash")
	}
}
