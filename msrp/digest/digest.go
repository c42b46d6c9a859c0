// Package digest is the Digest authentication of MSRP: the AUTH requests of RFC
// 4976, section 9.1, with the algorithms MD5 and SHA-256 (RFC 7616) and the
// quality of protection "auth", which is the only one MSRP allows.
//
// A relay sends a [Challenge] per algorithm, the client answers one of them
// with [Credentials], the relay confirms with an [Info].
package digest

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An Algorithm names a hash function as the headers do.
type Algorithm string

// The algorithms, strongest first.
const (
	SHA256 Algorithm = "SHA-256"
	MD5    Algorithm = "MD5"
)

// parseAlgorithm reads the parameter algorithm; absent means MD5.
func parseAlgorithm(s string) (Algorithm, bool) {
	switch {
	case strings.EqualFold(s, string(SHA256)):
		return SHA256, true
	case s == "", strings.EqualFold(s, string(MD5)):
		return MD5, true
	}
	return Algorithm(s), false
}

// hash returns the lower-case hexadecimal hash of the parts joined by colons.
func (a Algorithm) hash(parts ...string) string {
	return hex.EncodeToString(Sum(a, []byte(strings.Join(parts, ":"))))
}

// HA1 returns the hash of username, realm and password that a server stores in
// place of the password.
func HA1(a Algorithm, username, realm, password string) string {
	return a.hash(username, realm, password)
}

// A Challenge is the value of a WWW-Authenticate field.
type Challenge struct {
	Realm, Nonce string
	Opaque       string // to be repeated, "" where absent
	Algorithm    Algorithm
	Stale        bool // only the nonce was wrong: try again with this one
}

// ErrUnsupported is the error of a challenge or answer that is well formed but
// needs an algorithm or protection that MSRP does not use.
var ErrUnsupported = errors.New("digest: unsupported")

// ParseChallenge reads the value of a WWW-Authenticate field. The error is
// [ErrUnsupported] for a scheme, algorithm or qop other than this package's.
func ParseChallenge(s string) (Challenge, error) {
	p, err := parseParams(s, true)
	if err != nil {
		return Challenge{}, err
	}
	c := Challenge{
		Realm: p["realm"], Nonce: p["nonce"], Opaque: p["opaque"],
		Stale: strings.EqualFold(p["stale"], "true"),
	}
	var ok bool
	if c.Algorithm, ok = parseAlgorithm(p["algorithm"]); !ok {
		return Challenge{}, fmt.Errorf("%w algorithm %q", ErrUnsupported, p["algorithm"])
	}
	// RFC 4976 wants qop in every challenge; one without is an older digest.
	if !listHas(p["qop"], "auth") {
		return Challenge{}, fmt.Errorf("%w qop %q", ErrUnsupported, p["qop"])
	}
	if c.Nonce == "" || p["realm"] == "" {
		return Challenge{}, errors.New("digest: a challenge without realm or nonce")
	}
	return c, nil
}

func listHas(list, want string) bool {
	for _, entry := range strings.Split(list, ",") {
		if strings.EqualFold(strings.TrimSpace(entry), want) {
			return true
		}
	}
	return false
}

// String returns the value of a WWW-Authenticate field.
func (c Challenge) String() string {
	s := "Digest realm=" + quote(c.Realm) + `, qop="auth", algorithm=` + string(c.Algorithm) + ", nonce=" + quote(c.Nonce)
	if c.Opaque != "" {
		s += ", opaque=" + quote(c.Opaque)
	}
	if c.Stale {
		s += ", stale=true"
	}
	return s
}

// Strongest returns the challenge to answer, out of the values of all
// WWW-Authenticate fields.
func Strongest(values []string) (Challenge, error) {
	var best Challenge
	problem := errors.New("digest: no challenge")
	for _, v := range values {
		c, err := ParseChallenge(v)
		if err != nil {
			if best.Nonce == "" {
				problem = err
			}
			continue
		}
		if best.Nonce == "" || best.Algorithm == MD5 && c.Algorithm == SHA256 {
			best, problem = c, nil
		}
	}
	return best, problem
}

// Credentials are the value of an Authorization field.
type Credentials struct {
	Username, Realm, Nonce, Opaque string
	// URI is the rightmost URI of the request's To-Path as written. It is ""
	// where the field leaves it out, as RFC 4976's own example and msrplib do.
	URI       string
	Algorithm Algorithm
	CNonce    string
	NC        uint32 // how often the nonce was used, this time included
	Response  string
}

// Answer returns the credentials that answer c for a request with that method
// and rightmost To-Path URI. cnonce is random, nc counts the uses of the
// challenge's nonce from 1.
func (c Challenge) Answer(username, password, method, uri, cnonce string, nc uint32) Credentials {
	cr := Credentials{
		Username: username, Realm: c.Realm, Nonce: c.Nonce, Opaque: c.Opaque,
		URI: uri, Algorithm: c.Algorithm, CNonce: cnonce, NC: nc,
	}
	cr.Response = cr.expected(HA1(c.Algorithm, username, c.Realm, password), method, uri)
	return cr
}

// ParseCredentials reads the value of an Authorization field.
func ParseCredentials(s string) (Credentials, error) {
	p, err := parseParams(s, true)
	if err != nil {
		return Credentials{}, err
	}
	cr := Credentials{
		Username: p["username"], Realm: p["realm"], Nonce: p["nonce"], Opaque: p["opaque"],
		URI: p["uri"], CNonce: p["cnonce"], Response: p["response"],
	}
	var ok bool
	if cr.Algorithm, ok = parseAlgorithm(p["algorithm"]); !ok {
		return Credentials{}, fmt.Errorf("%w algorithm %q", ErrUnsupported, p["algorithm"])
	}
	if !strings.EqualFold(p["qop"], "auth") {
		return Credentials{}, fmt.Errorf("%w qop %q", ErrUnsupported, p["qop"])
	}
	nc, err := strconv.ParseUint(p["nc"], 16, 32)
	if err != nil || len(p["nc"]) != 8 || nc == 0 {
		return Credentials{}, errors.New("digest: nc is not eight hexadecimal digits")
	}
	cr.NC = uint32(nc)
	for name, value := range map[string]string{"username": cr.Username, "realm": cr.Realm, "nonce": cr.Nonce, "cnonce": cr.CNonce, "response": cr.Response} {
		if value == "" {
			return Credentials{}, errors.New("digest: an answer without " + name)
		}
	}
	return cr, nil
}

// String returns the value of an Authorization field.
func (cr Credentials) String() string {
	s := "Digest username=" + quote(cr.Username) + ", realm=" + quote(cr.Realm) + ", nonce=" + quote(cr.Nonce)
	if cr.URI != "" {
		s += ", uri=" + quote(cr.URI) // Kamailio refuses an answer without it
	}
	s += ", response=" + quote(cr.Response) + ", algorithm=" + string(cr.Algorithm) +
		", qop=auth, cnonce=" + quote(cr.CNonce) + ", nc=" + cr.nc()
	if cr.Opaque != "" {
		s += ", opaque=" + quote(cr.Opaque)
	}
	return s
}

func (cr Credentials) nc() string { return eightHex(cr.NC) }

func eightHex(n uint32) string {
	s := strconv.FormatUint(uint64(n), 16)
	return "00000000"[len(s):] + s
}

func (cr Credentials) expected(ha1, method, uri string) string {
	return cr.Algorithm.hash(ha1, cr.Nonce, cr.nc(), cr.CNonce, "auth", cr.Algorithm.hash(method, uri))
}

// Verify reports in constant time whether the answer proves knowledge of the
// password whose HA1 is given. uri is the rightmost URI of the request's
// To-Path.
func (cr Credentials) Verify(ha1, method, uri string) bool {
	if cr.URI != "" && cr.URI != uri {
		return false
	}
	want := cr.expected(ha1, method, uri)
	return subtle.ConstantTimeCompare([]byte(want), []byte(cr.Response)) == 1
}

// An Info is the value of an Authentication-Info field: the relay's proof that
// it knows the password as well.
type Info struct {
	RspAuth, CNonce string
	NC              uint32
	NextNonce       string // for the next request, "" where absent
}

// Info returns the proof that belongs to the answer cr.
func (cr Credentials) Info(ha1, uri string) Info {
	return Info{RspAuth: cr.expected(ha1, "", uri), CNonce: cr.CNonce, NC: cr.NC}
}

// Proves reports whether i is the relay's proof for the answer cr.
func (i Info) Proves(cr Credentials, password string) bool {
	want := cr.expected(HA1(cr.Algorithm, cr.Username, cr.Realm, password), "", cr.URI)
	return i.CNonce == cr.CNonce && i.NC == cr.NC && subtle.ConstantTimeCompare([]byte(want), []byte(i.RspAuth)) == 1
}

// ParseInfo reads the value of an Authentication-Info field.
func ParseInfo(s string) (Info, error) {
	p, err := parseParams(s, false)
	if err != nil {
		return Info{}, err
	}
	i := Info{RspAuth: p["rspauth"], CNonce: p["cnonce"], NextNonce: p["nextnonce"]}
	nc, err := strconv.ParseUint(p["nc"], 16, 32)
	if p["nc"] != "" && err != nil {
		return Info{}, errors.New("digest: nc is not hexadecimal")
	}
	i.NC = uint32(nc)
	return i, nil
}

// String returns the value of an Authentication-Info field.
func (i Info) String() string {
	s := "rspauth=" + quote(i.RspAuth) + ", cnonce=" + quote(i.CNonce) + ", nc=" + eightHex(i.NC) + ", qop=auth"
	if i.NextNonce != "" {
		s += ", nextnonce=" + quote(i.NextNonce)
	}
	return s
}

func quote(s string) string {
	quoted := make([]byte, 1, len(s)+2)
	quoted[0] = '"'
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, s[i])
	}
	return string(append(quoted, '"'))
}

// parseParams reads name=value pairs separated by commas, values being tokens
// or quoted strings, behind the word Digest if scheme is set. Names come out in
// lower case. The same name twice is an error: the two ends could take
// different ones.
func parseParams(s string, scheme bool) (map[string]string, error) {
	s = strings.TrimLeft(s, " \t")
	if scheme {
		word, rest, _ := strings.Cut(s, " ")
		if !strings.EqualFold(word, "Digest") {
			return nil, fmt.Errorf("%w scheme %q", ErrUnsupported, word)
		}
		s = rest
	}
	params := make(map[string]string)
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return params, nil
		}
		name, rest, ok := strings.Cut(s, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || name == "" || strings.ContainsAny(name, " \t,\"") {
			return nil, errors.New("digest: want name=value at " + strconv.Quote(s))
		}
		var value string
		rest = strings.TrimLeft(rest, " \t")
		if strings.HasPrefix(rest, `"`) {
			if value, rest, ok = unquote(rest); !ok {
				return nil, errors.New("digest: " + name + " has no closing quote")
			}
			if rest = strings.TrimLeft(rest, " \t"); rest != "" && rest[0] != ',' {
				return nil, errors.New("digest: want a comma behind " + name)
			}
		} else {
			value, rest, _ = strings.Cut(rest, ",")
			value = strings.TrimSpace(value)
		}
		if _, twice := params[name]; twice {
			return nil, errors.New("digest: " + name + " occurs twice")
		}
		params[name] = value
		s = rest
	}
}

// unquote reads the quoted string at the start of s.
func unquote(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
