package msrp

// owesResponse reports whether a SEND with that Failure-Report is answered
// with that code (RFC 4975, section 7.2): yes wants every answer, partial only
// those that tell of a failure, no none.
func owesResponse(f FailureReport, code int) bool {
	switch f {
	case FailureNo:
		return false
	case FailurePartial:
		return code != StatusOK
	default:
		return true
	}
}

// response returns the response to a request. That to a SEND goes to the
// previous hop alone, all others along the whole path (RFC 4975, section 7.2).
func response(req *Unit, code int) *Unit {
	to := req.From
	if req.Method == MethodSend {
		to = to[:1]
	}
	return &Unit{TransactionID: req.TransactionID, Code: code, To: to, From: req.To[:1]}
}

// report returns the REPORT that tells the sender of a message what became of
// the octets in r (RFC 4975, section 7.1.2). own is the URI of the session.
func report(own URI, to Path, messageID string, r ByteRange, code int) *Unit {
	return &Unit{
		TransactionID: NewTransactionID(),
		Method:        MethodReport,
		To:            to,
		From:          Path{own},
		Header: Header{
			{"Message-ID", messageID},
			{"Byte-Range", r.String()},
			{"Status", Status{Code: code, Comment: StatusText(code)}.String()},
		},
	}
}
