package credential

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/digest"
)

func TestMinted(t *testing.T) {
	s, err := NewStore("", "the shared secret", "realm")
	require.NoError(t, err)
	username, password := Mint("the shared secret", "alice", time.Now().Add(time.Minute))
	user, ok := s.Check(username, password)
	assert.True(t, ok)
	assert.Equal(t, "alice", user)

	for name, c := range map[string][2]string{
		"another password": {username, password + "x"},
		"another name":     {username + "x", password},
		"no expiry":        {"alice", password},
		"no number":        {"soon:alice", password},
		"nobody":           {"99999999999:", sign("the shared secret", "99999999999:")},
	} {
		_, ok := s.Check(c[0], c[1])
		assert.False(t, ok, name)
	}
	username, password = Mint("the shared secret", "alice", time.Now())
	_, ok = s.Check(username, password)
	assert.False(t, ok, "expired")
	username, password = Mint("another secret", "alice", time.Now().Add(time.Minute))
	_, ok = s.Check(username, password)
	assert.False(t, ok, "another secret")
}

// The value that a TURN server's REST API would give.
func TestConvention(t *testing.T) {
	username, password := Mint("north", "alice", time.Unix(1433895918, 0))
	assert.Equal(t, "1433895918:alice", username)
	assert.Len(t, password, 28)
	assert.Equal(t, sign("north", "1433895918:alice"), password)
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write := func(text string, modTime time.Time) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(path, modTime, modTime))
	}
	line := func(a digest.Algorithm, user, password string) string {
		return user + ":realm:" + digest.HA1(a, user, "realm", password) + "\n"
	}
	write("# users\n\n"+line(digest.MD5, "alice", "one")+line(digest.MD5, "bob", "two")+line(digest.SHA256, "bob", "two")+"dora:elsewhere:"+strings.Repeat("a", 32), time.Now().Add(-time.Hour))
	s, err := NewStore(path, "", "realm")
	require.NoError(t, err)
	assert.Equal(t, []digest.Algorithm{digest.MD5}, s.Algorithms(), "what alice can answer")
	for _, c := range []struct {
		user, password string
		ok             bool
	}{{"dora", "four", false}, {"alice", "one", true}, {"alice", "two", false}, {"bob", "two", true}, {"carol", "three", false}} {
		_, ok := s.Check(c.user, c.password)
		assert.Equal(t, c.ok, ok, c.user)
	}
	write(line(digest.SHA256, "carol", "three"), time.Now())
	s.checked = time.Time{}
	_, ok := s.Check("carol", "three")
	assert.True(t, ok, "a change is seen")
	write("broken", time.Now().Add(time.Hour))
	s.checked = time.Time{}
	_, ok = s.Check("carol", "three")
	assert.True(t, ok, "a broken file changes nothing")
	assert.Equal(t, []digest.Algorithm{digest.SHA256}, s.Algorithms())
}

func TestBrokenFiles(t *testing.T) {
	md5, sha := strings.Repeat("a", 32), strings.Repeat("b", 64)
	for text, want := range map[string]string{
		"alice:other:" + md5:                        `no user of the realm "realm"`,
		"alice:realm:" + md5 + "\nbob:realm:" + sha: "a line of the same",
	} {
		path := filepath.Join(t.TempDir(), "users")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := NewStore(path, "", "realm")
		assert.ErrorContains(t, err, want)
	}
	for _, text := range []string{"alice:realm", "alice:realm:abc", "alice:realm:" + "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"} {
		path := filepath.Join(t.TempDir(), "users")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := NewStore(path, "", "realm")
		assert.ErrorContains(t, err, "line 1")
	}
	_, err := NewStore("", "", "realm")
	assert.Error(t, err)
	_, err = NewStore(filepath.Join(t.TempDir(), "none"), "", "realm")
	assert.Error(t, err)
}
