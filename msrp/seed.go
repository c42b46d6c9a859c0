//go:build !hostcrypto

package msrp

import "crypto/rand"

func seed() (s [32]byte) {
	rand.Read(s[:]) // never fails: it stops the program instead
	return s
}
