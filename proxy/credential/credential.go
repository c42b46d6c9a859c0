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
	"log/slog"
	"maps"
	"os"
	"slices"
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
	realm  string
	log    *slog.Logger

	mu         sync.Mutex
	problem    string // why the file could not be read again, "" if it could
	users      hashes
	algorithms []digest.Algorithm // that every user has a hash of
	checked    time.Time          // when the file was last looked at
	modTime    time.Time
}

// hashes are the HA1s of each username.
type hashes map[string]map[digest.Algorithm]string

// algorithms are those of htdigest files, strongest first.
var algorithms = []digest.Algorithm{digest.SHA256, digest.MD5}

// checkEvery is how often the file is looked at for changes, at most.
const checkEvery = time.Second

// NewStore returns a store over an htdigest file, with lines user:realm:hash of
// MD5 or SHA-256, and a secret; either may be "". The file is read again when
// it changes, and the log gets what becomes of that. Lines of other realms do
// not count.
func NewStore(path, secret, realm string, log *slog.Logger) (*Store, error) {
	s := &Store{secret: secret, path: path, realm: realm, log: log, algorithms: algorithms}
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
	s.checked = time.Now()
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	if info.ModTime().Equal(s.modTime) {
		return nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	users, err := parse(f, s.realm)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	common, err := users.common()
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	s.users, s.algorithms, s.modTime = users, common, info.ModTime()
	return nil
}

// common returns the algorithms that every user has a hash of. A relay asks
// for the password before it knows who comes, and must not ask in terms in
// which some cannot answer.
func (h hashes) common() ([]digest.Algorithm, error) {
	var common []digest.Algorithm
	for _, a := range algorithms {
		without := func(of map[digest.Algorithm]string) bool { return of[a] == "" }
		if !slices.ContainsFunc(slices.Collect(maps.Values(h)), without) {
			common = append(common, a)
		}
	}
	if len(common) == 0 {
		return nil, errors.New("some users have an MD5 hash only and others SHA-256 only: give all of them a line of the same")
	}
	return common, nil
}

// parse reads the htdigest lines of a realm. Blank lines and those that start
// with # are skipped.
func parse(r io.Reader, realm string) (hashes, error) {
	users, elsewhere := make(hashes), ""
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
		if f[1] != realm {
			elsewhere = f[1]
			continue
		}
		if users[f[0]] == nil {
			users[f[0]] = make(map[digest.Algorithm]string)
		}
		users[f[0]][algorithm] = strings.ToLower(f[2])
	}
	if len(users) == 0 && elsewhere != "" {
		return nil, fmt.Errorf("no user of the realm %q, only of %q", realm, elsewhere)
	}
	return users, lines.Err()
}

// Algorithms implements [relay.Users].
func (s *Store) Algorithms() []digest.Algorithm {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	return s.algorithms
}

// refresh looks at the file now and then; s.mu is held. A file that is broken
// leaves the users as they were, and is told once.
func (s *Store) refresh() {
	if s.path == "" || time.Since(s.checked) <= checkEvery {
		return
	}
	before, problem := s.modTime, ""
	if err := s.reload(); err != nil {
		problem = err.Error()
	}
	if problem != s.problem && problem != "" {
		s.log.Error("the new users file cannot be used, the old users stay", "error", problem)
	}
	s.problem = problem
	if !s.modTime.Equal(before) {
		s.log.Info("the users file was read again", "file", s.path, "users", len(s.users))
	}
}

// HA1 implements [relay.Users]. The user of a minted name is the part behind
// its expiry.
func (s *Store) HA1(a digest.Algorithm, username string) (ha1, user string, ok bool) {
	if expiry, name, minted := strings.Cut(username, ":"); minted && s.secret != "" {
		seconds, err := strconv.ParseInt(expiry, 10, 64)
		if err != nil || name == "" || time.Now().Unix() >= seconds {
			return "", "", false
		}
		return digest.HA1(a, username, s.realm, sign(s.secret, username)), name, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	ha1 = s.users[username][a]
	return ha1, username, ha1 != ""
}

// Check reports whether a password belongs to a username, and the user.
func (s *Store) Check(username, password string) (user string, ok bool) {
	for _, a := range algorithms {
		ha1, user, known := s.HA1(a, username)
		if known && hmac.Equal([]byte(ha1), []byte(digest.HA1(a, username, s.realm, password))) {
			return user, true
		}
	}
	return "", false
}
