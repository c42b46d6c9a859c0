package msrp

import (
	"bytes"
	"math/bits"
	mathrand "math/rand/v2"
	"sync"
)

const idAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// idSource makes identifiers without asking the operating system for each: in
// a browser that costs more than the message it is for. a well seeded
// ChaCha8 cannot be predicted from its output, which matters because a
// transaction ID that a peer could foresee would let it put a false end-line
// into a body that a relay passes on.
var idSource struct {
	sync.Mutex
	*mathrand.ChaCha8
}

// appendID appends n random letters and digits, 5.95 bits each.
func appendID(dst []byte, n int) []byte {
	idSource.Lock()
	defer idSource.Unlock()
	if idSource.ChaCha8 == nil {
		idSource.ChaCha8 = mathrand.NewChaCha8(seed())
	}
	for n > 0 {
		// Ten digits of base 62 use 59.5 of the 64 bits; what is lost in
		// evenness is below 2^-4 of one character's.
		for x, i := idSource.Uint64(), 0; i < 10 && n > 0; i++ {
			var digit uint64
			digit, x = bits.Mul64(x, uint64(len(idAlphabet)))
			dst = append(dst, idAlphabet[digit])
			n--
		}
	}
	return dst
}

// NewID returns a random identifier of 20 letters and digits, 119 bits: for
// session IDs (RFC 4975, section 14.1 asks for 80), Message-IDs and tokens.
func NewID() string {
	var id [20]byte
	return string(appendID(id[:0], len(id)))
}

// NewTransactionID returns a random transaction ID of 16 letters and digits,
// 95 bits (RFC 4975, section 7.1 asks for 64).
func NewTransactionID() string {
	var id [16]byte
	return string(appendID(id[:0], len(id)))
}

// AppendTransactionID appends one to dst.
func AppendTransactionID(dst []byte) []byte { return appendID(dst, 16) }

// BodyHolds reports whether a body holds what a receiver could take for the
// end-line of that transaction: then another ID must be chosen. The flag is
// not looked at, because some receivers do not look at it either.
func BodyHolds(body []byte, transactionID string) bool {
	var needle [len(hyphens) + 32]byte
	return bytes.Contains(body, append(append(needle[:0], hyphens...), transactionID...))
}
