package sip

import (
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Codes of refusals, of which there are more.
const (
	CodeBusy         = sip.StatusBusyHere
	CodeUnacceptable = sip.StatusNotAcceptableHere
	CodePending      = sip.StatusRequestPending
	CodeDeclined     = sip.StatusGlobalDecline
)

// A RefusedError is a no to a call, an offer or a registration.
type RefusedError struct {
	Code int
	// To is whom it was to, Reason what the answer says of why, or "".
	To, Reason string
}

// refused is the error for a response that is no success.
func refused(to string, res *sip.Response) *RefusedError {
	e := &RefusedError{Code: res.StatusCode, To: to, Reason: res.Reason}
	// 399 "text": RFC 3261, section 20.43. Some put only that in words.
	if warning := value(res, "Warning"); warning != "" {
		if _, text, ok := strings.Cut(warning, `"`); ok {
			if text = unquote(`"` + text); text != "" {
				e.Reason = text
			}
		}
	}
	return e
}

func (e *RefusedError) Error() string {
	text := map[int]string{
		sip.StatusUnauthorized:                 "%s: wrong username or password",
		sip.StatusProxyAuthRequired:            "%s: wrong username or password",
		sip.StatusForbidden:                    "the server does not allow this user to reach %s",
		sip.StatusNotFound:                     "nobody is called %s, or is there at the moment",
		sip.StatusRequestTimeout:               "%s does not answer",
		sip.StatusGone:                         "%s is there no more",
		sip.StatusUnsupportedMediaType:         "%s does not take this kind of session",
		sip.StatusTemporarilyUnavailable:       "%s cannot be reached at the moment",
		sip.StatusCallTransactionDoesNotExists: "%s does not know this call any more",
		sip.StatusBusyHere:                     "%s is busy",
		sip.StatusRequestTerminated:            "the call to %s was canceled",
		sip.StatusNotAcceptableHere:            "%s cannot accept this session",
		sip.StatusRequestPending:               "%s makes an offer at the same time",
		sip.StatusServiceUnavailable:           "the server cannot serve %s at the moment",
		sip.StatusGlobalBusyEverywhere:         "%s is busy",
		sip.StatusGlobalDecline:                "%s declined",
		sip.StatusGlobalDoesNotExistAnywhere:   "nobody is called %s",
		sip.StatusGlobalNotAcceptable:          "%s cannot accept this session",
	}[e.Code]
	if text == "" {
		text = "%s refused"
	}
	s := fmt.Sprintf("sip: "+text+" (%d", e.To, e.Code)
	if e.Reason != "" {
		s += " " + e.Reason
	}
	return s + ")"
}

// phrase is the reason phrase of a code.
func phrase(code int) string {
	known := map[int]string{
		sip.StatusRinging: "Ringing", sip.StatusOK: "OK", sip.StatusBadRequest: "Bad Request",
		sip.StatusNotFound: "Not Found", sip.StatusMethodNotAllowed: "Method Not Allowed",
		sip.StatusRequestTimeout: "Request Timeout", sip.StatusUnsupportedMediaType: "Unsupported Media Type",
		sip.StatusBadExtension: "Bad Extension", sip.StatusTemporarilyUnavailable: "Temporarily Unavailable",
		sip.StatusCallTransactionDoesNotExists: "Call/Transaction Does Not Exist", sip.StatusBusyHere: "Busy Here",
		sip.StatusNotAcceptableHere: "Not Acceptable Here", sip.StatusRequestPending: "Request Pending",
		sip.StatusInternalServerError: "Server Internal Error", sip.StatusGlobalDecline: "Decline",
	}[code]
	if known == "" {
		return "Refused"
	}
	return known
}

// quote writes a text as a quoted string (RFC 3261, section 25.1).
func quote(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// unquote reads the quoted string at the start of s.
func unquote(s string) string {
	var b strings.Builder
	for i := 1; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parameter returns that of a header's value, or "".
func parameter(value, name string) string {
	at := strings.Index(strings.ToLower(value), name+"=")
	if at < 0 {
		return ""
	}
	value = value[at+len(name)+1:]
	if strings.HasPrefix(value, `"`) {
		return unquote(value)
	}
	value, _, _ = strings.Cut(value, ";")
	return strings.TrimSpace(value)
}
