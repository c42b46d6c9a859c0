package msrp

import (
	"context"
	"errors"
	"strconv"
	"unicode/utf8"
)

// maxNickname is the most octets of a nickname (RFC 7701, section 7.1).
const maxNickname = 1023

// SetNickname asks the chat room that the peer stands for to let this side be
// known by a nickname of up to 1023 octets in place of the one it had, or with
// "" by none (RFC 7701, section 7). It must not be called unless the room's SDP
// declares nicknames; package chatroom sees to that. A *[StatusError] says why
// not: 403 where the room has no nicknames, 424 for one that it finds malformed,
// 425 for one that is taken, and then the old one stays; 501 comes of who is no
// chat room at all.
func (s *Session) SetNickname(ctx context.Context, name string) error {
	switch {
	case len(name) > maxNickname:
		return errors.New("msrp: a nickname of " + strconv.Itoa(len(name)) + " octets, more than 1023")
	case !utf8.ValidString(name):
		return errors.New("msrp: a nickname that is not UTF-8")
	case !isText(name):
		return errors.New("msrp: control character in a nickname")
	}
	return s.ask(ctx, func() *Unit {
		return s.newRequest(MethodNickname, Field{"Use-Nickname", quoteNickname(name)})
	})
}

// handleNickname returns the answer to a NICKNAME.
func (s *Session) handleNickname(u *Unit) int {
	use, ok := u.Header.Lookup("Use-Nickname")
	_, success := u.Header.Lookup("Success-Report")
	_, failure := u.Header.Lookup("Failure-Report")
	switch {
	case s.opts.Nickname == nil:
		return StatusUnknownMethod
	case !ok, success, failure: // RFC 7701, section 7.1: MUST, and MUST NOT
		return StatusBadRequest
	}
	name, ok := unquoteNickname(use)
	if !ok {
		return StatusBadNickname
	}
	code := s.opts.Nickname(name)
	if code < 200 || code > 999 {
		return StatusForbidden // nothing that could be sent
	}
	return code
}

// quoteNickname returns a nickname as a quoted-string of RFC 4975, section 9.
func quoteNickname(name string) string {
	quoted := []byte{'"'}
	for i := range len(name) {
		if name[i] == '"' || name[i] == '\\' {
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, name[i])
	}
	return string(append(quoted, '"'))
}

// unquoteNickname is the reverse. The grammar of RFC 7701, section 7.1 has no
// empty nickname, section 7.3 does.
func unquoteNickname(s string) (name string, ok bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' || !utf8.ValidString(s) || !isText(s) {
		return "", false
	}
	inner := s[1 : len(s)-1]
	b := make([]byte, 0, len(inner))
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return "", false
		case '\\':
			if i++; i == len(inner) || inner[i] != '\\' && inner[i] != '"' {
				return "", false
			}
		}
		b = append(b, inner[i])
	}
	return string(b), len(b) <= maxNickname
}
