//go:build hostcrypto

package file

// NewHash returns a new hash by the algorithm sha-1 or sha-256, or nil where
// there is none. Whoever builds with the tag hostcrypto sets it before anything
// else: the packages of the standard library are a twentieth of a browser's
// program, after compression.
var NewHash func(algorithm string) Hash

func newHash(algorithm string) Hash {
	if NewHash == nil {
		return nil
	}
	return NewHash(algorithm)
}
