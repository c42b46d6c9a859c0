package relay

import (
	"strconv"
	"strings"
	"time"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
)

// dialTimeout bounds how long connecting to a next hop takes.
const dialTimeout = 10 * time.Second

// handleAuth answers an AUTH whose target is this relay (RFC 4976, section
// 6.3).
func (l *Link) handleAuth(u *msrp.Unit) error {
	r, target := l.relay, u.To[0]
	switch {
	case !r.isSelf(target) && !(l.info.WebSocket && sameHost(target.Host(), l.info.Host)) && target.SessionID() == "":
		return l.foreign(u)
	case target.SessionID() != "":
		return l.reject(u, msrp.StatusNoSession)
	case !l.info.Secure && !r.config.PlainAuth:
		l.respond(u, msrp.StatusForbidden)
		l.finish()
		return nil
	case !target.Secure() && !r.config.PlainPeers, r.port(target.Secure()) == 0:
		return l.reject(u, msrp.StatusForbidden)
	}
	// What comes from further away than the neighbour comes through a relay,
	// which proves its name if it has a certificate. Those of clients do not
	// count (RFC 4976, sections 6.3 and 9.2).
	if certified, named := l.proves(u.From[0].Host()); len(u.From) > 1 && certified && !named {
		return l.reject(u, msrp.StatusForbidden)
	}

	if l.info.User != "" {
		// Known from the handshake; AUTH is still what asks for the token (RFC
		// 7977, section 5.3.1).
		return l.admit(u, l.info.User)
	}
	authorization, given := u.Header.Lookup("Authorization")
	authorization = strings.Clone(authorization) // what it says stays known for longer than the unit
	if !given {
		l.send(l.challenge(u, false))
		return nil
	}
	answer, err := digest.ParseCredentials(authorization)
	if err != nil {
		// The error would quote the field: no log shows credentials.
		return l.authFailed(u, "", "the credentials cannot be read")
	}
	guard := r.config.Guard
	if guard != nil && guard.Locked(l.whoGuesses(u), answer.Username) {
		r.authsLocked.Add(1)
		l.respond(u, msrp.StatusForbidden)
		if !l.isRelay(u) {
			l.finish()
		}
		return nil
	}
	ha1, user, known := r.config.Users.HA1(answer.Algorithm, answer.Username)
	good := answer.Verify(ha1, msrp.MethodAuth, u.To.Last().String())
	if !known || !good || answer.Realm != r.config.Realm {
		return l.authFailed(u, answer.Username, "wrong username or password")
	}
	if !r.nonces.use(answer.Nonce, answer.NC) {
		l.send(l.challenge(u, true)) // right password, worn out nonce
		return nil
	}
	if guard != nil {
		guard.Passed(l.whoGuesses(u), answer.Username)
	}
	return l.admit(u, user, msrp.Field{Name: "Authentication-Info", Value: answer.Info(ha1, u.To.Last().String()).String()})
}

// admit grants a token to a user who has proved who it is.
func (l *Link) admit(u *msrp.Unit, user string, proof ...msrp.Field) error {
	r, target := l.relay, u.To[0]
	expires, bound := r.expires(u)
	if bound.Name != "" {
		l.respond(u, msrp.StatusOutOfBounds, bound)
		return nil
	}
	features := ""
	if l.info.WebSocket && len(u.From) == 1 {
		features = u.Header.Get("Relay-Features")
	}
	direct := hasWord(features, "direct")
	t := &token{owner: l, client: u.From[:1].Clone()[0], user: user, direct: direct, ofRelay: l.isRelay(u)}
	if err := r.grant(t, target.Secure(), expires); err != nil {
		r.config.Log.Warn("token refused", "user", user, "remote", l.info.Remote, "error", err)
		return l.reject(u, msrp.StatusForbidden)
	}
	l.accept()
	r.config.Log.Debug("token granted", "user", user, "remote", l.info.Remote, "token", excerpt(t.uri), "direct", direct, "expires", expires)
	// Those behind a nearer relay reach this one through it: the way they came,
	// nearest relay first (RFC 4976, section 5.1).
	usePath := u.From[:len(u.From)-1].Reverse().Join(t.uri)
	header := append(msrp.Header{
		{Name: "Use-Path", Value: usePath.String()},
		{Name: "Expires", Value: strconv.Itoa(int(expires / time.Second))},
	}, proof...)
	var granted []string
	if direct {
		granted = append(granted, "direct", "chunk-size="+strconv.Itoa(r.config.ChunkSize))
		if r.config.Fingerprint != nil && t.uri.Secure() {
			granted = append(granted, `fingerprint="`+r.config.Fingerprint()+`"`)
		}
	}
	if hasWord(features, "release") {
		granted = append(granted, "release")
	}
	if len(granted) > 0 {
		header = append(header, msrp.Field{Name: "Relay-Features", Value: strings.Join(granted, " ")})
	}
	l.respond(u, msrp.StatusOK, header...)
	return nil
}

// challenge returns what asks for credentials, strongest first (RFC 7616, section 3.7).
func (l *Link) challenge(u *msrp.Unit, stale bool) *msrp.Unit {
	c := digest.Challenge{
		Realm: l.relay.config.Realm, Nonce: l.relay.nonces.next(), Opaque: "webmsrp", // msrplib fails without one
		Stale: stale,
	}
	var header msrp.Header
	for _, c.Algorithm = range l.relay.config.Users.Algorithms() {
		header = append(header, msrp.Field{Name: "WWW-Authenticate", Value: c.String()})
	}
	l.note(u, msrp.StatusUnauthorized)
	return &msrp.Unit{TransactionID: u.TransactionID, Code: msrp.StatusUnauthorized, To: u.From, From: u.To[:1], Header: header}
}

// authFailed answers credentials that prove nothing, and ends a connection
// that keeps guessing (RFC 4976, section 6.3).
func (l *Link) authFailed(u *msrp.Unit, username, reason string) error {
	l.relay.authsFailed.Add(1)
	l.relay.config.Log.Warn("AUTH failed", "username", clip(username), "remote", l.info.Remote, "reason", reason)
	answer := l.challenge(u, false)
	// It may wait for longer than the unit it answers.
	answer.TransactionID, answer.To, answer.From = strings.Clone(answer.TransactionID), answer.To.Clone(), answer.From.Clone()
	last := l.countGuess(u.From[0])
	tell := func() {
		l.send(answer)
		if last {
			l.finish()
		}
	}
	if guard := l.relay.config.Guard; guard != nil && username != "" { // or else it is no guess
		if wait := guard.Failed(l.whoGuesses(u), username); wait > 0 {
			time.AfterFunc(wait, tell)
			return nil
		}
	}
	tell()
	return nil
}

// countGuess counts an AUTH that failed, here or at a relay behind this one, and
// reports whether the client has guessed often enough to lose its connection. A
// relay fails for many clients (RFC 4976, section 6.3).
func (l *Link) countGuess(from msrp.URI) (last bool) {
	if _, named := l.proves(from.Host()); named {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.guesses++
	return l.guesses >= maxAuths
}

// isRelay reports whether a request comes from further away, and the neighbour
// has proved to be the relay that it says it is.
func (l *Link) isRelay(u *msrp.Unit) bool {
	_, named := l.proves(u.From[0].Host())
	return len(u.From) > 1 && named
}

// whoGuesses is who Config.Guard knows the sender of an AUTH as: the neighbour's
// address, or the client behind a relay.
func (l *Link) whoGuesses(u *msrp.Unit) string {
	if l.isRelay(u) {
		return strings.Clone(u.From.Last().String()) // the guard remembers it
	}
	return l.info.Remote
}

// proves is Proves of LinkInfo.
func (l *Link) proves(host string) (certified, named bool) {
	if l.info.Proves == nil {
		return false, false
	}
	return l.info.Proves(host)
}

// expires returns how long a token lives, or the field that says what could be
// asked for (RFC 4976, section 6.3).
func (r *Relay) expires(u *msrp.Unit) (time.Duration, msrp.Field) {
	asked, given := u.Header.Lookup("Expires")
	if !given {
		return r.config.DefaultExpires, msrp.Field{}
	}
	n, err := strconv.ParseInt(asked, 10, 32)
	d := time.Duration(n) * time.Second
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	switch {
	case d > r.config.MaxExpires || err != nil && !strings.HasPrefix(asked, "-"):
		return 0, msrp.Field{Name: "Max-Expires", Value: seconds(r.config.MaxExpires)}
	case d < r.config.MinExpires:
		return 0, msrp.Field{Name: "Min-Expires", Value: seconds(r.config.MinExpires)}
	}
	return d, msrp.Field{}
}

func hasWord(s, word string) bool {
	for _, w := range strings.Fields(s) {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}
