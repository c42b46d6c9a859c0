package credential

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/digest"
)

var discard = slog.New(slog.DiscardHandler)

func TestMinted(t *testing.T) {
	s, err := NewStore("", "the shared secret", "realm", discard)
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
	var log bytes.Buffer
	s, err := NewStore(path, "", "realm", slog.New(slog.NewTextHandler(&log, nil)))
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
	_, ok = s.Check("alice", "one")
	assert.False(t, ok, "who was taken out is out")
	assert.Equal(t, 1, strings.Count(log.String(), "was read again"), &log)
	for name, spoil := range map[string]func(){
		"broken": func() { write("broken", time.Now().Add(time.Hour)) },
		"gone":   func() { require.NoError(t, os.Remove(path)) },
	} {
		log.Reset()
		spoil()
		for range 3 {
			s.checked = time.Time{}
			_, ok = s.Check("carol", "three")
			assert.True(t, ok, "a file that is %s changes nothing", name)
		}
		assert.Equal(t, 1, strings.Count(log.String(), "cannot be used"), "told once:\n%s", &log)
	}
	write(line(digest.SHA256, "dora", "four"), time.Now().Add(2*time.Hour))
	s.checked = time.Time{}
	_, ok = s.Check("dora", "four")
	assert.True(t, ok, "a file that is mended is used")
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
		_, err := NewStore(path, "", "realm", discard)
		assert.ErrorContains(t, err, want)
	}
	for _, text := range []string{"alice:realm", "alice:realm:abc", "alice:realm:" + "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"} {
		path := filepath.Join(t.TempDir(), "users")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := NewStore(path, "", "realm", discard)
		assert.ErrorContains(t, err, "line 1")
	}
	_, err := NewStore("", "", "realm", discard)
	assert.Error(t, err)
	_, err = NewStore(filepath.Join(t.TempDir(), "none"), "", "realm", discard)
	assert.Error(t, err)
}
