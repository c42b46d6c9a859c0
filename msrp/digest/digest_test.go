package digest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Answers worked out by hand after RFC 4976, section 9.1 and RFC 7616.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name                        string
		algorithm                   Algorithm
		uri, ha1, response, rspauth string
	}{{
		"MD5", MD5, "msrps://relay.example.com:443;ws",
		"9641e2e6db1e3d1ab25896bda4d0aba9", "633be7e6d7e975611e0736b31bb15a0c", "25b0bc6702b4972f812a66aa55382228",
	}, {
		"SHA-256", SHA256, "msrps://relay.example.com:443;ws",
		"34dfb28a703d09ed9e1fa376aff86ec8150a3e39201750f4c68ceaa957d56b11",
		"79a5809600325d1b29142aebd29567f10c9115b90fe1581a90f868b516bd7c69",
		"fd5bae0a4ee1ed3f9156f3918d75ac9fa4665366316ccb824a112e164558bca2",
	}, {
		"a To-Path URI with a user", MD5, "msrps://alice@relay.example.com;tcp",
		"9641e2e6db1e3d1ab25896bda4d0aba9", "9956f05a2dcc2db7d784c8dbda433eae", "0a56578e40f02e18a0cfa5a28239d4df",
	}} {
		t.Run(c.name, func(t *testing.T) {
			const password = "s3cr3t-Pa55"
			challenge, err := ParseChallenge(Challenge{
				Realm: "relay.example.com", Nonce: "Vf3kTq9ZbW1nY2RlLTAwMDE", Algorithm: c.algorithm,
			}.String())
			require.NoError(t, err)
			ha1 := HA1(c.algorithm, "alice", challenge.Realm, password)
			assert.Equal(t, c.ha1, ha1)
			answer := challenge.Answer("alice", password, "AUTH", c.uri, "8c7f2b6d0e9a4153", 1)
			assert.Equal(t, c.response, answer.Response)

			read, err := ParseCredentials(answer.String())
			require.NoError(t, err)
			assert.Equal(t, answer, read)
			assert.True(t, read.Verify(ha1, "AUTH", c.uri))
			assert.False(t, read.Verify(ha1, "MSRP", c.uri))
			assert.False(t, read.Verify(ha1, "AUTH", c.uri+"x"))
			assert.False(t, read.Verify(HA1(c.algorithm, "alice", challenge.Realm, "wrong"), "AUTH", c.uri))

			info, err := ParseInfo(read.Info(ha1, c.uri).String())
			require.NoError(t, err)
			assert.Equal(t, c.rspauth, info.RspAuth)
			assert.True(t, info.Proves(answer, password))
			assert.False(t, info.Proves(answer, "wrong"))
		})
	}
}

// msrplib leaves uri out, and needs opaque back.
func TestAnswerWithoutURI(t *testing.T) {
	challenge := Challenge{Realm: "rig", Nonce: "n", Opaque: `o"p\q`, Algorithm: MD5}
	answer := challenge.Answer("bob", "pw", "AUTH", "msrps://r:1;tcp", "c", 1)
	answer.URI = ""
	read, err := ParseCredentials(answer.String())
	require.NoError(t, err)
	assert.Empty(t, read.URI)
	assert.Equal(t, `o"p\q`, read.Opaque)
	assert.True(t, read.Verify(HA1(MD5, "bob", "rig", "pw"), "AUTH", "msrps://r:1;tcp"))
}

// What Kamailio 5.6.3 sends: no algorithm, no opaque.
func TestKamailioChallenge(t *testing.T) {
	c, err := ParseChallenge(`Digest realm="rig", nonce="awOyIWsDsPWd7xUXdZ9rkm49Y36+eXyAK6oJZoA=", qop="auth"`)
	require.NoError(t, err)
	assert.Equal(t, Challenge{Realm: "rig", Nonce: "awOyIWsDsPWd7xUXdZ9rkm49Y36+eXyAK6oJZoA=", Algorithm: MD5}, c)
	answer := c.Answer("alice", "secret", "AUTH", "msrp://127.0.0.1:2855;tcp", "bf26be99801fcc5b", 1)
	assert.Contains(t, answer.String(), `uri="msrp://127.0.0.1:2855;tcp"`)
}

func TestStrongest(t *testing.T) {
	md5 := Challenge{Realm: "r", Nonce: "1", Algorithm: MD5}.String()
	sha := Challenge{Realm: "r", Nonce: "2", Algorithm: SHA256}.String()
	for _, values := range [][]string{{md5, sha}, {sha, md5}, {`Basic realm="r"`, sha}, {`Digest realm="r", nonce="3", algorithm=SHA-512-256, qop="auth"`, sha}} {
		c, err := Strongest(values)
		require.NoError(t, err)
		assert.Equal(t, SHA256, c.Algorithm)
	}
	_, err := Strongest(nil)
	assert.Error(t, err)
	_, err = Strongest([]string{`Basic realm="r"`})
	assert.ErrorIs(t, err, ErrUnsupported)
}

func TestRefused(t *testing.T) {
	for name, s := range map[string]string{
		"Basic":                `Basic realm="r"`,
		"auth-int":             `Digest realm="r", nonce="n", qop="auth-int"`,
		"no qop":               `Digest realm="r", nonce="n"`,
		"MD5-sess":             `Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess`,
		"no nonce":             `Digest realm="r", qop="auth"`,
		"no closing quote":     `Digest realm="r, nonce=n, qop=auth`,
		"a parameter twice":    `Digest realm="r", nonce="n", nonce="m", qop="auth"`,
		"a value without name": `Digest realm="r", nonce="n", "auth"`,
		"text behind a quote":  `Digest realm="r"x, nonce="n", qop="auth"`,
	} {
		_, err := ParseChallenge(s)
		assert.Error(t, err, name)
	}
	const good = `Digest username="u", realm="r", nonce="n", uri="x", response="0", algorithm=MD5, qop=auth, cnonce="c", nc=00000001`
	_, err := ParseCredentials(good)
	require.NoError(t, err)
	for name, s := range map[string]string{
		"a short nc":   `Digest username="u", realm="r", nonce="n", response="0", qop=auth, cnonce="c", nc=1`,
		"nc 0":         `Digest username="u", realm="r", nonce="n", response="0", qop=auth, cnonce="c", nc=00000000`,
		"no cnonce":    `Digest username="u", realm="r", nonce="n", response="0", qop=auth, nc=00000001`,
		"no username":  `Digest realm="r", nonce="n", response="0", qop=auth, cnonce="c", nc=00000001`,
		"qop auth-int": `Digest username="u", realm="r", nonce="n", response="0", qop=auth-int, cnonce="c", nc=00000001`,
	} {
		_, err := ParseCredentials(s)
		assert.Error(t, err, name)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256, opaque="a\"b", stale=true`)
	f.Add(`Digest username="u", realm="r", nonce="n", uri="x", response="0", algorithm=MD5, qop=auth, cnonce="c", nc=0000000a`)
	f.Add(`rspauth="fd", cnonce="8c", nc=00000001, qop=auth,nextnonce="n"`)
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseChallenge(s); err == nil {
			again, err := ParseChallenge(c.String())
			require.NoError(t, err)
			assert.Equal(t, c, again)
		}
		if c, err := ParseCredentials(s); err == nil {
			again, err := ParseCredentials(c.String())
			require.NoError(t, err)
			assert.Equal(t, c, again)
		}
		if i, err := ParseInfo(s); err == nil {
			again, err := ParseInfo(i.String())
			require.NoError(t, err)
			assert.Equal(t, i, again)
		}
	})
}
