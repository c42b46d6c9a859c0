package relay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"
)

// nonceLife is how long a nonce can be answered.
const nonceLife = time.Minute

// nonces makes nonces that prove their own age, so that those who ask for one
// cost no memory, and remembers the ones that were answered rightly until they
// are too old.
type nonces struct {
	key [32]byte

	mu    sync.Mutex
	used  map[stamp]uint32 // the highest nc so far
	sweep time.Time        // when to forget the old ones
}

// A stamp is what makes a nonce one of its kind: its time, something random.
type stamp [16]byte

// until returns when the nonce is too old.
func (s stamp) until() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(s[:]))).Add(nonceLife)
}

func newNonces() *nonces {
	n := &nonces{used: make(map[stamp]uint32)}
	rand.Read(n.key[:])
	return n
}

// next returns a new nonce: its time, something random, and a proof of both.
func (n *nonces) next() string {
	var b [16 + 16]byte
	binary.BigEndian.PutUint64(b[:], uint64(time.Now().UnixMilli()))
	rand.Read(b[8:16])
	n.sign(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (n *nonces) sign(b []byte) {
	mac := hmac.New(sha256.New, n.key[:])
	mac.Write(b[:16])
	copy(b[16:], mac.Sum(nil))
}

// use reports whether a nonce is this relay's, young enough, and was not used
// with this count or a higher one before.
func (n *nonces) use(nonce string, count uint32) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(b) != 32 {
		return false
	}
	signed := append([]byte(nil), b...)
	n.sign(signed)
	now := time.Now()
	made := stamp(b)
	if !hmac.Equal(b, signed) || now.After(made.until()) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.After(n.sweep) {
		for old := range n.used {
			if now.After(old.until()) {
				delete(n.used, old)
			}
		}
		n.sweep = now.Add(nonceLife)
	}
	if count <= n.used[made] {
		return false
	}
	n.used[made] = count
	return true
}
