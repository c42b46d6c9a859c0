package relay

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/webmsrp/webmsrp/msrp"
)

// maxOtherBody is the largest body of a request that is not a SEND (RFC 4975,
// section 7.1).
const maxOtherBody = 10240

// errForeign ends a connection that sends what is not addressed to this relay
// (RFC 4976, section 6.2).
var errForeign = errors.New("relay: a request for another relay")

// handle takes one unit from the neighbour (RFC 4976, section 6.2).
func (l *Link) handle(u *msrp.Unit) error {
	r := l.relay
	if l.traces() {
		l.trace("received", u)
	}
	switch {
	case u.IsResponse():
		l.handleResponse(u)
		return nil
	case u.To == nil:
		// Nobody to answer. Whoever never made sense is not an MSRP peer.
		if !l.isAccepted() {
			return u.Invalid
		}
		return nil
	case r.draining.Load() && expectsAnswer(u):
		return nil // sent once more after the reconnection that follows
	case u.Invalid != nil:
		return l.reject(u, msrp.StatusBadRequest)
	case u.Method == msrp.MethodAuth && len(u.To) == 1 && r.lookup(u.To[0]) == nil:
		// Its hashes need a deeper stack than all else, which the reader would
		// keep for as long as the connection lives.
		l.handOver()
		done := make(chan error)
		go func() { done <- l.handleAuth(u) }()
		return <-done
	}
	r.requests.Add(1)
	if l.reading == nil {
		l.reading = new(reading)
	}
	rt, outcome := r.route(l, u)
	switch outcome {
	case forward:
	case forMe:
		return l.handleOwn(u, &rt)
	case forAnyone:
		return l.foreign(u)
	default:
		return l.reject(u, outcome)
	}
	if !rt.fits(u) {
		return l.reject(u, msrp.StatusBadRequest)
	}
	l.accept()
	switch u.Method {
	case msrp.MethodSend:
		return l.forwardSend(u, &rt)
	default:
		return l.forwardOther(u, &rt)
	}
}

// foreign takes a request that is not addressed to this relay. It ends the
// connection, but not that of a relay, which serves others as well.
func (l *Link) foreign(u *msrp.Unit) error {
	if _, named := l.proves(u.From[0].Host()); named {
		return l.reject(u, msrp.StatusNoSession)
	}
	return errForeign
}

func (l *Link) isAccepted() bool { return l.accepted.Load() }

func (l *Link) accept() {
	if l.isAccepted() {
		return
	}
	l.mu.Lock()
	l.accepted.Store(true)
	if l.first != nil {
		l.first.Stop()
		l.first = nil
	}
	l.mu.Unlock()
}

// reject answers a request that is not forwarded, where an answer is owed, and
// ends a connection that brings nothing else.
func (l *Link) reject(u *msrp.Unit, code int) error {
	l.respond(u, code)
	if l.failures++; l.failures >= maxFailures && !l.isAccepted() {
		l.finish()
	}
	return nil
}

// respond answers a request: a SEND as its Failure-Report says, a REPORT
// never, all others always (RFC 4975, section 7.2).
func (l *Link) respond(u *msrp.Unit, code int, header ...msrp.Field) {
	to := u.From
	l.note(u, code)
	switch u.Method {
	case msrp.MethodReport:
		return
	case msrp.MethodSend:
		if f := u.FailureReport(); f == msrp.FailureNo || f == msrp.FailurePartial && code/100 == 2 {
			return
		}
		to = to[:1]
	}
	l.send(&msrp.Unit{TransactionID: u.TransactionID, Code: code, To: to, From: u.To[:1], Header: header})
}

// handleOwn takes a request whose target is the relay itself: its owner asks
// whether the token still stands, or does not need it any more.
func (l *Link) handleOwn(u *msrp.Unit, rt *route) error {
	l.accept()
	switch {
	case u.Method == msrp.MethodSend && u.Body == nil:
		l.respond(u, msrp.StatusOK)
		if t := l.relay.lookup(u.To[0]); t != nil && hasWord(u.Header.Get("Relay-Features"), "release") {
			l.relay.revoke(t)
		}
	case u.Method == msrp.MethodSend && !l.relay.lookup(u.To[0]).isDirect():
		l.respond(u, msrp.StatusForbidden)
	default:
		l.respond(u, msrp.StatusUnknownMethod)
	}
	return nil
}

func (t *token) isDirect() bool { return t != nil && t.direct }

// forwardSend passes a SEND on, in pieces of what the next hop takes, while it
// arrives (RFC 4976, section 6.4.1).
func (l *Link) forwardSend(u *msrp.Unit, rt *route) error {
	r := l.relay
	failure, octets := u.FailureReport(), u.ByteRange()
	message := refused{u.To[0].SessionID(), u.MessageID()}
	if code := l.refusal(message, octets.Start); code != 0 {
		return l.forwardEnd(u, rt, octets, code)
	}
	next, code := l.linkFor(u, rt)
	if code != 0 {
		l.respond(u, code)
		return nil
	}
	token := rt.token()
	switch l.sole {
	case token:
	case nil:
		l.sole = token
	default:
		l.shared = true
	}
	p := newPieces(u, rt, octets, next.chunk)
	if failure != msrp.FailureNo && (!slices.Equal(l.origin, u.From) || l.target != u.To[0]) {
		// What waits for a response must not hold on to the whole header. Most
		// have the same paths as the one before.
		l.origin, l.target = u.From.Clone(), u.To[:1].Clone()[0]
	}
	queued := credited
	for first := true; ; first = false {
		piece, err := p.next()
		if err != nil {
			return err // the rest never comes; what was whole is on its way
		}
		fr := frame{octets: piece.memory.bytes, memory: piece.memory, id: piece.id}
		if failure != msrp.FailureNo {
			fr.tx = newSending(l, failure, message.message, piece.octets)
		}
		size := len(fr.octets) // the frame may be gone when it was queued
		for queued = next.enqueue(token, fr, l); queued == crowded; queued = next.enqueue(token, fr, l) {
			if !next.room(token, l) {
				l.refuse(message, msrp.StatusStopSending)
				if !first {
					next.enqueue(token, p.abort(), l)
				}
				piece.memory.free()
				l.respond(u, msrp.StatusStopSending)
				return nil
			}
		}
		if queued == unqueued {
			code, comment := next.whyLost()
			if first {
				l.respond(u, code)
				return nil
			}
			// Of the pieces before this one a report tells, so of this one too.
			if fr.tx != nil {
				fr.tx.fail(code, comment)
			}
		}
		rt.traffic(r).octets.Add(int64(size))
		l.charge(rt, size)
		if piece.last {
			break
		}
	}
	rt.traffic(r).sends.Add(1)
	if u.Flag == msrp.FlagComplete {
		rt.traffic(r).messages.Add(1)
	}
	switch {
	case !failure.WantsOK():
	case queued == credited:
		l.sendOK(u.TransactionID, u.From[:1], u.To[:1], l)
	default:
		next.credit(token, l, u.TransactionID, message.message)
	}
	return nil
}

// forwardEnd answers a chunk of a message that was refused, of which nothing is
// forwarded but the news that it is over: the next hop may hold half of it.
func (l *Link) forwardEnd(u *msrp.Unit, rt *route, octets msrp.ByteRange, code int) error {
	if u.Body != nil {
		if _, err := io.Copy(io.Discard, u.Body); err != nil {
			return err
		}
	}
	if u.Flag != msrp.FlagInterrupted && rt.link != nil && rt.link.roomForEnd(rt.token()) {
		p := newPieces(u, rt, octets, rt.link.chunk)
		rt.link.enqueue(rt.token(), p.abort(), l)
	}
	l.respond(u, code)
	return nil
}

// pieces cuts a SEND for the next hop.
type pieces struct {
	unit        *msrp.Unit
	to, from    msrp.Path
	start       int64 // of the next piece
	total       int64
	limit       int
	whole       bool        // nothing was cut yet
	fingerprint bool        // the relay takes Peer-Fingerprint out
	fields      msrp.Header // to send, nil before they are other than those of unit
	at          int         // of Byte-Range in fields, -1 without one
}

// A piece is one SEND in wire form.
type piece struct {
	memory *frameMemory
	id     transactionID
	octets msrp.ByteRange
	last   bool
}

// A transactionID is one of this relay's making.
type transactionID [16]byte

func newTransactionID() (id transactionID) {
	msrp.AppendTransactionID(id[:0])
	return id
}

// usualHead is what most headers have, in octets. Memory grows for others.
const usualHead = 600

// newPieces begins to cut a SEND.
func newPieces(u *msrp.Unit, rt *route, octets msrp.ByteRange, limit int) pieces {
	p := pieces{
		unit: u, to: rt.to, from: rt.from, start: 1, total: -1, limit: limit, whole: true,
		fingerprint: len(rt.fingerprints) > 0,
	}
	if p.limit <= 0 {
		p.limit = 64 << 10
	}
	if !octets.IsZero() {
		p.start, p.total = octets.Start, octets.Total
	}
	return p
}

// next reads the next piece of the body and makes a SEND of it, with a
// transaction ID of its own. It is chosen when the body is here, so nobody can
// have written a body that holds it.
func (p *pieces) next() (piece, error) {
	u := p.unit
	var body []byte
	out := piece{id: newTransactionID(), last: true}
	if u.Body != nil {
		var err error
		if body, out.last, err = u.Body.Take(p.limit); err != nil {
			return piece{}, err
		}
	}
	end := p.start + int64(len(body)) - 1
	if p.total >= 0 && end > p.total {
		p.total = -1 // the sender was wrong about it
	}
	out.octets = msrp.ByteRange{Start: p.start, End: end, Total: p.total}
	p.start += int64(len(body))
	p.whole = p.whole && out.last
	out.memory = takeFrame(len(body) + usualHead)
	if p.whole && !p.fingerprint {
		var ok bool
		if out.memory.bytes, ok = u.AppendForwarded(out.memory.bytes[:0], view(out.id[:]), p.to, p.from, body); ok {
			return out, nil
		}
	}
	head := p.head(string(out.id[:]))
	if !p.whole {
		// What is really sent, now that it is more than one (RFC 4976, section
		// 6.4.1).
		field := msrp.Field{Name: "Byte-Range", Value: out.octets.String()}
		if p.at < 0 {
			p.at = len(p.fields)
			p.fields = append(p.fields, field)
		}
		p.fields[p.at] = field
		head.Header = p.fields
	}
	if head.Flag = u.Flag; !out.last {
		head.Flag = msrp.FlagInterrupted
	}
	out.memory.bytes = head.Append(out.memory.bytes[:0], body)
	return out, nil
}

// head returns what a SEND has beside its body.
func (p *pieces) head(id string) msrp.Unit {
	if p.fields == nil {
		p.at = -1
		p.fields = make(msrp.Header, 0, len(p.unit.Header)+1)
		for _, f := range p.unit.Header {
			if f.Name == "Byte-Range" {
				p.at = len(p.fields)
			}
			if !p.fingerprint || !isPeerFingerprint(f) {
				p.fields = append(p.fields, f)
			}
		}
	}
	return msrp.Unit{Method: p.unit.Method, TransactionID: id, To: p.to, From: p.from, Header: p.fields}
}

// abort makes the frame that ends the message here, with nobody to tell of its
// response.
func (p *pieces) abort() frame {
	id := newTransactionID()
	head := p.head(string(id[:]))
	head.Flag = msrp.FlagAborted
	head.Header = slices.DeleteFunc(slices.Clone(head.Header), func(f msrp.Field) bool {
		return f.Name == "Byte-Range" || f.Name == "Failure-Report" || strings.HasPrefix(f.Name, "Content-")
	})
	octets := msrp.ByteRange{Start: p.start, End: p.start - 1, Total: p.total}
	head.Header = append(head.Header, msrp.Field{Name: "Byte-Range", Value: octets.String()}, msrp.Field{Name: "Failure-Report", Value: "no"})
	return frame{octets: head.Append(nil, nil), id: id}
}

// forwardOther passes on a request that is not a SEND (RFC 4976, section
// 6.4.2). REPORTs have no response, all others do.
func (l *Link) forwardOther(u *msrp.Unit, rt *route) error {
	var body []byte
	if u.Body != nil {
		var err error
		body, err = io.ReadAll(io.LimitReader(u.Body, maxOtherBody+1))
		if err != nil {
			return err
		}
		if len(body) > maxOtherBody {
			return l.reject(u, msrp.StatusBadRequest)
		}
	}
	next, code := l.linkFor(u, rt)
	if code != 0 {
		l.respond(u, code)
		return nil
	}
	out := msrp.Unit{TransactionID: msrp.NewTransactionID(), Method: u.Method, To: rt.to, From: rt.from, Header: u.Header, Flag: u.Flag}
	if len(rt.fingerprints) > 0 {
		out.Header = slices.DeleteFunc(slices.Clone(u.Header), isPeerFingerprint)
	}
	var tx *transaction
	if u.Method != msrp.MethodReport {
		tx = &transaction{
			origin: l, id: strings.Clone(u.TransactionID), hops: slices.Clone(rt.hops), to: u.From.Clone(), from: u.To[:1].Clone()[0],
			guess: u.Method == msrp.MethodAuth && u.Header.Get("Authorization") != "",
		}
	}
	if !next.sendRequest(&out, body, tx, l) {
		code, _ := next.whyLost()
		l.respond(u, code)
	}
	l.charge(rt, len(body))
	return nil
}

// peerFingerprint is the field in which a direct client tells its relay what
// the peer's SDP said about its certificate (RFC 8122). It is for the relay
// alone.
const peerFingerprint = "Peer-Fingerprint"

func isPeerFingerprint(f msrp.Field) bool { return strings.EqualFold(f.Name, peerFingerprint) }

// linkFor returns the connection for the route of u, opening one if there is
// none, or the code that says why not.
func (l *Link) linkFor(u *msrp.Unit, rt *route) (*Link, int) {
	if rt.link != nil {
		return rt.link, 0
	}
	r, t, next := l.relay, rt.token(), rt.to[0]
	switch {
	case !next.HasTransport(msrp.TransportTCP), next.Port() == 9,
		next.Port() == 0 && u.Method != msrp.MethodAuth:
		// A WebSocket elsewhere, a peer that connects to us (RFC 6135, section
		// 4.2.2) and has not, or no port where there must be one (RFC 4976,
		// section 8).
		return nil, msrp.StatusTimeout
	case !next.Secure() && (!r.config.PlainPeers || len(rt.to) > 1 || u.Method == msrp.MethodAuth):
		// Without TLS at most to an endpoint, never to a relay (RFC 4976,
		// section 9.2).
		return nil, msrp.StatusForbidden
	case !t.mayDial():
		return nil, msrp.StatusForbidden
	}
	next = msrp.Path{next}.Clone()[0] // the unit is used again
	fingerprints := strings.Split(strings.Clone(strings.Join(rt.fingerprints, "\n")), "\n")[:len(rt.fingerprints)]
	info := LinkInfo{Remote: next.HostPort(), Secure: next.Secure()}
	if next.Secure() && len(rt.fingerprints) == 0 {
		host := next.Host()
		info.Proves = func(name string) (bool, bool) { return true, strings.EqualFold(name, host) } // or Dial fails
	}
	hop, err := r.newLink(nil, info, t)
	if err != nil {
		return nil, msrp.StatusTimeout
	}
	hop.chunk = r.config.PeerChunk(next)
	hop.fingerprints = strings.Join(fingerprints, "\n")
	if !t.keep(next, hop) {
		hop.close(msrp.ErrConnClosed)
		return nil, msrp.StatusNoSession
	}
	go hop.dial(Hop{URI: next, User: t.user, Fingerprints: fingerprints})
	return hop, 0
}

// dial connects a link whose queues are filling already, and serves it.
func (l *Link) dial(to Hop) {
	r := l.relay
	r.dials.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	t, err := r.config.Dial(ctx, to)
	if err != nil {
		r.dialsFailed.Add(1)
		r.config.Log.Info("cannot reach next hop", "host", to.URI.Host(), "port", strconv.Itoa(to.URI.Port()), "user", to.User, "error", err)
		l.close(err)
		return
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		t.Close(nil)
		return
	}
	l.t = t
	l.attach()
	l.accepted.Store(true) // its requests have no deadline: the relay wanted it
	l.startWriting(nil)
	l.mu.Unlock()
	l.read()
}

// view returns b as a string without copying it; b must not change while the
// string is in use.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
