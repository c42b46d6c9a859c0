//go:build hostcrypto

package msrp

import (
	"encoding/binary"
	"math/rand/v2"
)

// seed draws from the runtime's generator, a ChaCha8 that the browser's
// crypto.getRandomValues has seeded: crypto/rand brings all of the standard
// library's cryptography with it.
func seed() (s [32]byte) {
	for i := 0; i < len(s); i += 8 {
		binary.LittleEndian.PutUint64(s[i:], rand.Uint64())
	}
	return s
}
