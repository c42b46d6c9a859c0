//go:build hostcrypto

package digest

// Sum returns the hash of text. Whoever builds with the tag hostcrypto sets it
// before anything else: the packages of the standard library are a twentieth of
// a browser's program, after compression.
var Sum func(a Algorithm, text []byte) []byte
