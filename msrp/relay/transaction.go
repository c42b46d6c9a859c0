package relay

import (
	"slices"
	"sync"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
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
	messageID []byte
	octets    msrp.ByteRange
	flow      *flow         // whose window it takes from, nil for none
	size      int           // octets of window
	sentAs    transactionID // towards the next hop

	// For other requests: the way back of the response.
	id    string // transaction ID as received
	hops  []hop
	guess bool // an AUTH with credentials
}

// transactions are those of SENDs, for further ones: only what a response ended
// comes back.
var transactions = sync.Pool{New: func() any { return new(transaction) }}

// newSending returns the transaction of a SEND that came on origin, from its
// present path.
func newSending(origin *Link, failure msrp.FailureReport, messageID string, octets msrp.ByteRange) *transaction {
	tx := transactions.Get().(*transaction)
	*tx = transaction{
		origin: origin, send: true, failure: failure, to: origin.origin, from: origin.target,
		messageID: append(tx.messageID[:0], messageID...), octets: octets,
	}
	return tx
}

// free gives tx, which nobody else knows any more, to a further SEND.
func (tx *transaction) free() {
	if tx.send {
		*tx = transaction{messageID: tx.messageID}
		transactions.Put(tx)
	}
}

// fail tells the sender of a request that it did not arrive: of a SEND by a
// REPORT (RFC 4976, section 6.4.1), of others in place of their response.
func (tx *transaction) fail(code int, comment string) {
	if !tx.send {
		tx.origin.send(&msrp.Unit{TransactionID: tx.id, Code: code, Comment: comment, To: tx.to, From: msrp.Path{tx.from}})
		return
	}
	tx.origin.relay.reports.Add(1)
	tx.origin.relay.outcomes.add(code)
	if code == msrp.StatusStopSending {
		tx.origin.refuse(refused{tx.from.SessionID(), string(tx.messageID)}, code)
	}
	tx.origin.send(&msrp.Unit{
		TransactionID: msrp.NewTransactionID(),
		Method:        msrp.MethodReport,
		To:            tx.to,
		From:          msrp.Path{tx.from},
		Header: msrp.Header{
			{Name: "Message-ID", Value: string(tx.messageID)},
			{Name: "Byte-Range", Value: tx.octets.String()},
			{Name: "Status", Value: msrp.Status{Code: code, Comment: comment}.String()},
		},
	})
}

// timeout ends a transaction without a response. With Failure-Report partial
// silence means success.
func (tx *transaction) timeout() {
	if !tx.send || tx.failure.WantsOK() {
		tx.fail(msrp.StatusTimeout, "Downstream timeout")
	}
}

// handleResponse takes a response from the next hop (RFC 4976, section 6.4.3).
func (l *Link) handleResponse(u *msrp.Unit) {
	if u.Invalid != nil {
		return
	}
	if !l.relay.isSelf(u.To[0]) {
		return
	}
	var id transactionID
	if len(u.TransactionID) != len(id) {
		return
	}
	copy(id[:], u.TransactionID)
	l.mu.Lock()
	tx, ok := l.inFlight.Take(id)
	if ok {
		if tx.flow != nil {
			tx.flow.progress = l.now
		}
		l.release(tx)
	}
	l.mu.Unlock()
	if !ok {
		return // too late, or nobody asked
	}
	defer tx.free()
	switch {
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
	if len(u.Comment) > maxComment {
		return // it would grow beyond what a neighbour reads
	}
	if last := len(tx.hops) - 1; !u.To[0].Equal(tx.hops[last].token.uri) {
		return // not what we asked
	}
	from := u.From
	for _, h := range slices.Backward(tx.hops) {
		from = h.response(from)
	}
	// The rest of To-Path is known from the request. Kamailio and msrprelay leave
	// it out: TestShortResponses.
	tx.origin.send(&msrp.Unit{TransactionID: tx.id, Code: u.Code, Comment: u.Comment, To: tx.to, From: from, Header: u.Header})
	if tx.guess && u.Code == msrp.StatusUnauthorized && !isStale(u) && tx.origin.countGuess(tx.to[0]) {
		tx.origin.finish()
	}
}

// isStale reports whether a 401 wants the same credentials for a new nonce.
func isStale(u *msrp.Unit) bool {
	c, err := digest.Strongest(u.Header.Values("WWW-Authenticate"))
	return err == nil && c.Stale
}
