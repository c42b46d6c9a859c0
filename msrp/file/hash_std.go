//go:build !hostcrypto

package file

import (
	"crypto/sha1"
	"crypto/sha256"
)

func newHash(algorithm string) Hash {
	if algorithm == "sha-1" {
		return sha1.New()
	}
	return sha256.New()
}
