package relay

import (
	"context"
	"log/slog"

	"github.com/webmsrp/webmsrp/msrp"
)

// traces reports whether the log wants every request and response.
func (l *Link) traces() bool {
	return l.relay.config.Log.Enabled(context.Background(), slog.LevelDebug)
}

// trace logs a unit at the debug level: what it is and what it concerns, never
// its body, its credentials or a whole token.
func (l *Link) trace(event string, u *msrp.Unit) {
	attrs := []slog.Attr{slog.String("remote", l.info.Remote), slog.String("transaction", u.TransactionID)}
	if u.IsResponse() {
		attrs = append(attrs, slog.Int("code", u.Code))
	} else {
		attrs = append(attrs, slog.String("method", clip(u.Method)))
	}
	if len(u.To) > 0 {
		attrs = append(attrs, slog.String("session", excerpt(u.To[0])), slog.Int("hops", len(u.To)))
	}
	if id := u.MessageID(); id != "" {
		attrs = append(attrs, slog.String("message_id", clip(id)))
	}
	if r := u.ByteRange(); !r.IsZero() {
		attrs = append(attrs, slog.String("range", r.String()))
	}
	if u.Invalid != nil {
		// Not what stood there: that may be anything.
		attrs = append(attrs, slog.String("invalid", "want "+u.Invalid.Expected))
	}
	l.relay.config.Log.LogAttrs(context.Background(), slog.LevelDebug, event, attrs...)
}

// note counts and logs the code that answers a request, or would.
func (l *Link) note(u *msrp.Unit, code int) {
	switch {
	case u.Method == msrp.MethodAuth:
		l.relay.auths.add(code)
	case code != msrp.StatusOK:
		l.relay.rejected.add(code)
	}
	if l.traces() {
		l.trace("answered", &msrp.Unit{TransactionID: u.TransactionID, Code: code, To: u.To})
	}
}

// excerpt returns what a log may show of a URI's session ID, which whoever
// knows it whole can use: enough to follow one session.
func excerpt(uri msrp.URI) string {
	id := uri.SessionID()
	return id[:min(len(id), 6, len(id)/2)]
}

// clip bounds what a client says in a log.
func clip(s string) string { return s[:min(len(s), 64)] }
