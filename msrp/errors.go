package msrp

import (
	"errors"
	"strconv"
)

// Errors that callers compare with errors.Is.
var (
	// ErrSessionClosed ends what waits on a session that was closed on purpose.
	ErrSessionClosed = errors.New("msrp: the session is closed")
	// ErrConnClosed ends what waits on a connection that was closed on purpose.
	ErrConnClosed = errors.New("msrp: the connection is closed")
	// ErrConnLost ends what waits on a connection that broke off. What it says
	// of a message: nobody knows whether the peer has it.
	ErrConnLost = errors.New("msrp: the connection was lost")
	// ErrAborted is the end of a message that its sender stopped, with the
	// continuation flag # or by [Outgoing.Abort].
	ErrAborted = errors.New("msrp: the message was aborted by its sender")
	// ErrDuplicate ends a message that meanwhile has come whole in the session
	// which takes the place of this one, see Resumes.
	ErrDuplicate = errors.New("msrp: the message came once more and whole")
	// ErrUnsupportedType is the refusal to send a type that the peer's
	// accept-types do not list (RFC 4975, section 8.6), or that it has answered
	// with 415 in this session (section 10.6).
	ErrUnsupportedType = errors.New("msrp: the peer does not accept this content type")
	// ErrRecvOnly is the refusal to send where the direction that was agreed on
	// lets only the peer send (RFC 4975, section 8.9).
	ErrRecvOnly = errors.New("msrp: this side of the session only receives")
	// ErrMessageTooLarge is the refusal to send more than the peer's max-size
	// (RFC 4975, section 8.6).
	ErrMessageTooLarge = errors.New("msrp: the message is larger than the peer accepts")
)

// Status codes of responses and reports (RFC 4975, section 10; RFC 4976,
// section 10; RFC 7701, section 7).
const (
	StatusOK               = 200
	StatusBadRequest       = 400
	StatusUnauthorized     = 401
	StatusForbidden        = 403
	StatusNotFound         = 404
	StatusTimeout          = 408
	StatusStopSending      = 413
	StatusUnsupportedType  = 415
	StatusOutOfBounds      = 423
	StatusBadNickname      = 424
	StatusNicknameInUse    = 425
	StatusNoPrivateMessage = 428
	StatusNoSession        = 481
	StatusUnknownMethod    = 501
	StatusSessionInUse     = 506
)

// StatusText returns the comment to write beside a status code. Some peers
// cannot read a start line without one, so it is never empty.
func StatusText(code int) string {
	switch code {
	case StatusOK:
		return "OK"
	case StatusBadRequest:
		return "Bad Request"
	case StatusUnauthorized:
		return "Unauthorized"
	case StatusForbidden:
		return "Forbidden"
	case StatusNotFound:
		return "Not Found"
	case StatusTimeout:
		return "Timeout"
	case StatusStopSending:
		return "Stop Sending"
	case StatusUnsupportedType:
		return "Unsupported Media Type"
	case StatusOutOfBounds:
		return "Interval Out-of-Bounds"
	case StatusBadNickname:
		return "Malformed Nickname"
	case StatusNicknameInUse:
		return "Nickname Reserved or In Use"
	case StatusNoPrivateMessage:
		return "Private Messages Not Supported"
	case StatusNoSession:
		return "No Such Session"
	case StatusUnknownMethod:
		return "Unknown Method"
	case StatusSessionInUse:
		return "Session In Use"
	}
	return "Status " + strconv.Itoa(code)
}

// A StatusError is a request's failure in the protocol's own terms: an error
// response, a failure REPORT, or 408 for a response that did not come within
// 30 seconds (RFC 4975, section 10.4 treats both alike).
type StatusError struct {
	Code    int
	Comment string // the peer's words, for people only
	// MessageID names the message that failed, "" where none is concerned.
	MessageID string
	// Local is set when no answer came and 408 is this side's own timer.
	Local bool
}

func (e *StatusError) Error() string {
	text := e.Comment
	if text == "" {
		text = StatusText(e.Code)
	}
	if e.Local {
		text += ", no answer came"
	}
	if e.MessageID != "" {
		text += " (message " + e.MessageID + ")"
	}
	return "msrp: " + strconv.Itoa(e.Code) + " " + text
}

// A SyntaxError tells where input left the grammar of RFC 4975, section 9.
type SyntaxError struct {
	// Offset counts octets from the first octet of the request or response.
	Offset int
	// Expected names what the grammar asks for there, Got shows what stood there.
	Expected, Got string
	// Fatal is set where the octets that follow cannot be framed: the
	// connection must be closed.
	Fatal bool
}

func (e *SyntaxError) Error() string {
	s := "msrp: octet " + strconv.Itoa(e.Offset) + ": want " + e.Expected
	if e.Got != "" {
		got := e.Got
		if len(got) > 60 {
			got = got[:60] + "…"
		}
		s += ", got " + strconv.Quote(got)
	}
	return s
}
