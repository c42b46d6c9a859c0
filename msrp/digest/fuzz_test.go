package digest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What parses prints, and what is printed parses equal.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{
		`Digest realm="example.com", qop="auth", algorithm=SHA-256, nonce="abc", opaque="x\"y", stale=true`,
		`Digest username="Mufasa", realm="atlanta.example.com", nonce="IV2rQ2", response="dcd9", cnonce="9j", qop=auth, nc=00000001, uri="msrps://x:1;tcp"`,
		`rspauth="6629", cnonce="0a4f", nc=00000001, qop=auth`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseChallenge(s); err == nil {
			again, err := ParseChallenge(c.String())
			require.NoError(t, err, c.String())
			assert.Equal(t, c, again)
			a := c.Answer("alice", "secret", "AUTH", "msrps://relay.example.com:2855;tcp", "cnonce", 1)
			assert.True(t, a.Verify(HA1(c.Algorithm, "alice", c.Realm, "secret"), "AUTH", "msrps://relay.example.com:2855;tcp"))
		}
		if c, err := ParseCredentials(s); err == nil {
			again, err := ParseCredentials(c.String())
			require.NoError(t, err, c.String())
			assert.Equal(t, c, again)
			c.Verify("", "AUTH", "")
		}
		if i, err := ParseInfo(s); err == nil {
			again, err := ParseInfo(i.String())
			require.NoError(t, err, i.String())
			assert.Equal(t, i, again)
		}
	})
}
