//go:build !hostcrypto

package digest

import (
	"crypto/md5"
	"crypto/sha256"
)

// Sum returns the hash of text.
func Sum(a Algorithm, text []byte) []byte {
	if a == SHA256 {
		sum := sha256.Sum256(text)
		return sum[:]
	}
	sum := md5.Sum(text)
	return sum[:]
}
