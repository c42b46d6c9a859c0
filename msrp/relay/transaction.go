package relay

import (
	"github.com/webmsrp/webmsrp/msrp"
)

// A transaction is a forwarded request that waits for its response (RFC 4976,
// section 6.4).
type transaction struct {
	origin *Link // where the request came from

	// For a SEND: what a failure report needs.
	send      bool
	failure   msrp.FailureReport // yes or partial; with no there is no transaction
	to        msrp.Path          // From-Path as received
	from      msrp.URI           // the token it was sent to
	messageID string
	octets    msrp.ByteRange
	flow      *flow  // whose window it takes from, nil for none
	size      int    // octets of window
	sentAs    string // the transaction ID of the next hop

	// For other requests: the way back of the response.
	id   string // transaction ID as received
	hops []hop
}

// fail tells the sender of a SEND that it did not arrive (RFC 4976, section
// 6.4.1). Of other requests nobody is told: their own timer ends.
func (tx *transaction) fail(code int, comment string) {
	if !tx.send {
		return
	}
	tx.origin.relay.reports.Add(1)
	tx.origin.relay.outcomes.add(code)
	if code == msrp.StatusStopSending {
		tx.origin.refuse(refused{tx.from.SessionID(), tx.messageID}, code)
	}
	tx.origin.send(&msrp.Unit{
		TransactionID: msrp.NewTransactionID(),
		Method:        msrp.MethodReport,
		To:            tx.to,
		From:          msrp.Path{tx.from},
		Header: msrp.Header{
			{Name: "Message-ID", Value: tx.messageID},
			{Name: "Byte-Range", Value: tx.octets.String()},
			{Name: "Status", Value: msrp.Status{Code: code, Comment: comment}.String()},
		},
	})
}

// timeout ends a transaction without a response. With Failure-Report partial
// silence means success.
func (tx *transaction) timeout() {
	switch {
	case tx.send && tx.failure.WantsOK():
		tx.fail(msrp.StatusTimeout, "Downstream timeout")
	case tx.send:
	default:
		tx.origin.relay.answerLate(tx)
	}
}

// handleResponse takes a response from the next hop (RFC 4976, section 6.4.3).
func (l *Link) handleResponse(u *msrp.Unit) {
	if u.Invalid != nil {
		return
	}
	l.mu.Lock()
	tx, ok := l.inFlight.Take(u.TransactionID)
	if ok {
		l.answered(tx)
	}
	l.mu.Unlock()
	switch {
	case !ok: // too late, or nobody asked
	case tx.send:
		if u.Code/100 != 2 {
			comment := u.Comment
			if comment == "" {
				comment = msrp.StatusText(u.Code)
			}
			tx.fail(u.Code, comment)
		} else {
			l.relay.outcomes.add(u.Code)
		}
	default:
		tx.back(u)
	}
}

// back sends the response of a request that is not a SEND on to its sender.
func (tx *transaction) back(u *msrp.Unit) {
	to, from := u.To, u.From
	if len(u.Comment) > maxComment {
		return // it would grow beyond what a neighbour reads
	}
	for i := len(tx.hops) - 1; i >= 0; i-- {
		var ok bool
		if to, from, ok = tx.hops[i].response(to, from); !ok {
			return
		}
	}
	tx.origin.send(&msrp.Unit{TransactionID: tx.id, Code: u.Code, Comment: u.Comment, To: to, From: from, Header: u.Header})
}
