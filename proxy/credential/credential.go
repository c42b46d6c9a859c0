// Package credential knows who may use the proxy: users in an htdigest file,
// and names that carry their own expiry and prove it with a shared secret.
package credential

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/webmsrp/webmsrp/msrp/digest"
)

// Mint returns a username and password that prove user until expiry, by the
// convention of TURN's REST API: the username is "expiry:user" with the time
// in Unix seconds, the password the base64 HMAC-SHA1 of it. Whoever holds the
// secret can mint, a web application for instance for those logged in to it.
func Mint(secret, user string, expiry time.Time) (username, password string) {
	username = strconv.FormatInt(expiry.Unix(), 10) + ":" + user
	return username, sign(secret, username)
}

func sign(secret, username string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// A Store answers for both kinds of credentials. Its methods are safe for
// concurrent use.
type Store struct {
	secret string
	path   string

	mu      sync.Mutex
	users   map[key]string // HA1s
	checked time.Time      // when the file was last looked at
	modTime time.Time
}

type key struct {
	algorithm       digest.Algorithm
	username, realm string
}

// checkEvery is how often the file is looked at for changes, at most.
const checkEvery = time.Second

// NewStore returns a store over an htdigest file, with lines user:realm:hash of
// MD5 or SHA-256, and a secret; either may be "". The file is read again when
// it changes.
func NewStore(path, secret string) (*Store, error) {
	s := &Store{secret: secret, path: path}
	if path == "" && secret == "" {
		return nil, errors.New("no users file and no secret")
	}
	if path != "" {
		if err := s.reload(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// reload reads the file if it has changed; s.mu is held or not needed yet.
func (s *Store) reload() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	s.checked = time.Now()
	if info.ModTime().Equal(s.modTime) {
		return nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	users, err := parse(f)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	s.users, s.modTime = users, info.ModTime()
	return nil
}

// parse reads htdigest lines. Blank lines and those that start with # are
// skipped.
func parse(r io.Reader) (map[key]string, error) {
	users := make(map[key]string)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, ":")
		if len(f) != 3 {
			return nil, fmt.Errorf("line %d: want user:realm:hash", n)
		}
		algorithm := map[int]digest.Algorithm{32: digest.MD5, 64: digest.SHA256}[len(f[2])]
		if algorithm == "" || strings.Trim(strings.ToLower(f[2]), "0123456789abcdef") != "" {
			return nil, fmt.Errorf("line %d: the hash is neither MD5 (32 digits) nor SHA-256 (64)", n)
		}
		users[key{algorithm, f[0], f[1]}] = strings.ToLower(f[2])
	}
	return users, lines.Err()
}

// HA1 implements [relay.Users]. The user of a minted name is the part behind
// its expiry.
func (s *Store) HA1(a digest.Algorithm, username, realm string) (ha1, user string, ok bool) {
	if expiry, name, minted := strings.Cut(username, ":"); minted && s.secret != "" {
		seconds, err := strconv.ParseInt(expiry, 10, 64)
		if err != nil || name == "" || time.Now().Unix() >= seconds {
			return "", "", false
		}
		return digest.HA1(a, username, realm, sign(s.secret, username)), name, true
	}
	if s.path == "" {
		return "", "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.checked) > checkEvery {
		// A file that is broken for a moment leaves the users as they were.
		s.reload()
	}
	ha1, ok = s.users[key{a, username, realm}]
	return ha1, username, ok
}

// Check reports whether a password belongs to a username, and the user.
func (s *Store) Check(username, password, realm string) (user string, ok bool) {
	for _, a := range []digest.Algorithm{digest.SHA256, digest.MD5} {
		ha1, user, known := s.HA1(a, username, realm)
		if known && hmac.Equal([]byte(ha1), []byte(digest.HA1(a, username, realm, password))) {
			return user, true
		}
	}
	return "", false
}
