package sip

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A Call is a call that an agent made or got: a dialog (RFC 3261, section 12).
// Its methods are safe for concurrent use.
type Call struct {
	// Peer is the URI of the other side, Offer the offer of an incoming call.
	Peer, Offer string

	agent  *Agent
	id     sip.CallIDHeader
	local  sip.FromHeader
	made   bool          // by this side
	tx     *sip.ServerTx // of the INVITE of an incoming call
	offers chan *Offer
	back   chan struct{}
	over   chan struct{} // closed at the end

	mu       sync.Mutex
	remote   sip.ToHeader
	target   sip.Uri       // where the other side is
	routes   []sip.Uri     // on the way there
	cseq     uint32        // of this side's last request
	peerCSeq uint32        // of the other's
	ack      *sip.Request  // for the last 2xx, which may come again
	acked    chan struct{} // closed when the other side has this one's last 2xx, nil before one
	offering bool          // an INVITE of this side waits for its response
	asked    bool          // one of the other side
	state    state
	reason   string // valid once over is closed
}

type state int

const (
	ringing state = iota
	talking
	ended
)

// An Offer is a further offer of the other side during a call, to be answered or
// refused at once: the other side waits.
type Offer struct {
	SDP  string
	call *Call
	req  *sip.Request
	tx   *sip.ServerTx
}

func key(id sip.CallIDHeader, tag string) string { return string(id) + " " + tag }

func tagOf(p sip.HeaderParams) string { return p.GetOr("tag", "") }

// enter makes a call known, or reports that the agent has ended.
func (a *Agent) enter(c *Call) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls == nil {
		return false
	}
	a.calls[key(c.id, tagOf(c.local.Params))] = c
	return true
}

func (a *Agent) find(id sip.CallIDHeader, own string) *Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[key(id, own)]
}

// Call offers a call to a SIP URI, or a user of the same server, and waits for the answer, however long the
// other side rings; the end of ctx cancels it. The error is a *[RefusedError]
// where there is none.
func (a *Agent) Call(ctx context.Context, to, offer string) (call *Call, answer string, err error) {
	if !strings.ContainsAny(to, ":@") {
		own := a.own
		own.User = to
		to = own.String()
	}
	uri, err := parseURI(to)
	if err != nil {
		return nil, "", err
	}
	server := sip.Uri{Scheme: a.own.Scheme, Host: a.own.Host, Port: a.own.Port}
	req := a.newRequest(sip.INVITE, uri, server)
	c := &Call{Peer: to, agent: a, made: true, offers: make(chan *Offer, 1), back: make(chan struct{}, 1), over: make(chan struct{})}
	c.id, c.local = sip.CallIDHeader(sip.GenerateTagN(24)), sip.FromHeader{Address: a.own}
	c.local.Params.Add("tag", sip.GenerateTagN(16))
	from := c.local
	req.AppendHeader(&from)
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: uri.Scheme, User: uri.User, Host: uri.Host, Port: uri.Port}})
	req.AppendHeader(&c.id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.INVITE})
	req.AppendHeader(&sip.ContactHeader{})
	setBody(req, offer)
	res, err := a.ask(ctx, req)
	switch {
	case err != nil:
		return nil, "", err
	case !res.IsSuccess():
		return nil, "", refused(to, res)
	}
	c.establish(req, res)
	entered := a.enter(c) // before anybody knows that it is there
	c.mu.Lock()
	c.acknowledge(req)
	c.mu.Unlock()
	switch {
	case !entered:
		c.finish("the caller has left")
		return nil, "", errOver
	case len(res.Body()) == 0:
		c.finish("an answer without a description")
		return nil, "", &RefusedError{Code: sip.StatusNotAcceptableHere, To: to, Reason: "its answer is empty"}
	}
	return c, string(res.Body()), nil
}

func setBody(m sip.Message, description string) {
	m.AppendHeader(sip.NewHeader("Content-Type", sdpType))
	m.SetBody([]byte(description))
}

// establish takes what a 2xx response says of the dialog that this side's INVITE
// has begun, before others know the call.
func (c *Call) establish(req *sip.Request, res *sip.Response) {
	c.state, c.cseq = talking, req.CSeq().SeqNo
	if to := res.To(); to != nil {
		c.remote = *to
	}
	c.target = req.Recipient
	if contact := res.Contact(); contact != nil {
		c.target = contact.Address
	}
	c.routes = routesOf(res)
	slices.Reverse(c.routes)
}

// routesOf returns the proxies that want to stay on the way.
func routesOf(m sip.Message) (routes []sip.Uri) {
	for _, h := range m.GetHeaders("Record-Route") {
		if r, ok := h.(*sip.RecordRouteHeader); ok {
			routes = append(routes, r.Address)
		}
	}
	return routes
}

// request returns the next request of this side; c.mu is held.
func (c *Call) request(method sip.RequestMethod) *sip.Request {
	next := c.target
	if len(c.routes) > 0 {
		next = c.routes[0]
	}
	req := c.agent.newRequest(method, c.target, next)
	for _, r := range c.routes {
		req.AppendHeader(&sip.RouteHeader{Address: r})
	}
	from, to, id := c.local, c.remote, c.id
	req.AppendHeader(&from)
	req.AppendHeader(&to)
	req.AppendHeader(&id)
	if method != sip.ACK {
		c.cseq++
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: c.cseq, MethodName: method})
	return req
}

// acknowledge says that the 2xx to an INVITE is here (RFC 3261, section
// 13.2.2.4); c.mu is held.
func (c *Call) acknowledge(invite *sip.Request) {
	c.cseq = invite.CSeq().SeqNo
	ack := c.request(sip.ACK)
	ack.SetBody(nil)
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		sip.CopyHeaders(name, invite, ack)
	}
	c.ack = ack
	c.sendACK()
}

// sendACK sends it, the first time or again; c.mu is held.
func (c *Call) sendACK() {
	stamp(c.ack)
	c.agent.transports.WriteMsg(c.ack) // if it is lost, the other side asks again
}

// stray takes a response that belongs to no transaction any more.
func (a *Agent) stray(res *sip.Response) {
	cseq, from, to, id := res.CSeq(), res.From(), res.To(), res.CallID()
	if cseq == nil || from == nil || to == nil || id == nil || cseq.MethodName != sip.INVITE || !res.IsSuccess() {
		return
	}
	c := a.find(*id, tagOf(from.Params))
	if c != nil {
		c.mu.Lock()
		same := tagOf(c.remote.Params) == tagOf(to.Params)
		if same && c.ack != nil && c.ack.CSeq().SeqNo == cseq.SeqNo {
			c.sendACK()
		}
		c.mu.Unlock()
		if same {
			return
		}
	}
	// Another of those who were called has answered as well, or one who did not
	// hear in time that the call was canceled.
	other := &Call{agent: a, id: *id, local: *from, offers: make(chan *Offer, 1), back: make(chan struct{}, 1), over: make(chan struct{})}
	req := sip.NewRequest(sip.INVITE, to.Address)
	req.AppendHeader(cseq)
	other.establish(req, res)
	other.mu.Lock()
	other.acknowledge(req)
	other.mu.Unlock()
	a.background(func() { other.finish("somebody else has answered, or nobody waits any more") })
}

// receive takes a request.
func (a *Agent) receive(req *sip.Request, tx *sip.ServerTx) {
	from, to, id, cseq := req.From(), req.To(), req.CallID(), req.CSeq()
	if from == nil || to == nil || id == nil || cseq == nil {
		a.respond(req, tx, sip.StatusBadRequest, "")
		return
	}
	if req.IsAck() {
		if c := a.find(*id, tagOf(to.Params)); c != nil {
			c.confirmed(cseq.SeqNo)
		}
		tx.Terminate()
		return
	}
	if unknown := value(req, "Require"); unknown != "" {
		a.respond(req, tx, sip.StatusBadExtension, "", sip.NewHeader("Unsupported", unknown))
		return
	}
	within := to.Params.Has("tag")
	c := a.find(*id, tagOf(to.Params))
	switch {
	case req.Method == sip.OPTIONS:
		a.respond(req, tx, sip.StatusOK, "", sip.NewHeader("Allow", allow), sip.NewHeader("Accept", sdpType))
	case within && (c == nil || tagOf(c.remote.Params) != tagOf(from.Params)):
		a.respond(req, tx, sip.StatusCallTransactionDoesNotExists, "")
	case req.IsInvite() && (len(req.Body()) == 0 || contentType(req) != sdpType):
		if len(req.Body()) > 0 {
			a.respond(req, tx, sip.StatusUnsupportedMediaType, "", sip.NewHeader("Accept", sdpType))
			return
		}
		a.respond(req, tx, sip.StatusNotAcceptableHere, "an INVITE without an offer")
	case req.IsInvite() && within:
		c.invited(req, tx)
	case req.IsInvite():
		a.invited(req, tx)
	case req.Method == sip.BYE && within:
		a.respond(req, tx, sip.StatusOK, "")
		c.finished(reasonOf(req))
	case req.Method == sip.BYE, req.IsCancel():
		a.respond(req, tx, sip.StatusCallTransactionDoesNotExists, "")
	default:
		a.respond(req, tx, sip.StatusMethodNotAllowed, "", sip.NewHeader("Allow", allow))
	}
}

func contentType(m sip.Message) string {
	kind, _, _ := strings.Cut(value(m, "Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// respond refuses a request, or confirms one that needs no more.
func (a *Agent) respond(req *sip.Request, tx *sip.ServerTx, code int, warning string, headers ...sip.Header) {
	res := sip.NewResponseFromRequest(req, code, phrase(code), nil)
	if warning != "" {
		res.AppendHeader(sip.NewHeader("Warning", "399 webmsrp "+quote(warning)))
	}
	for _, h := range headers {
		res.AppendHeader(h)
	}
	tx.Respond(res)
}

// invited takes a new call.
func (a *Agent) invited(req *sip.Request, tx *sip.ServerTx) {
	contact, from, to := req.Contact(), *req.From(), *req.To()
	if contact == nil {
		a.respond(req, tx, sip.StatusBadRequest, "no Contact")
		return
	}
	c := &Call{
		Peer: from.Address.Addr(), Offer: string(req.Body()),
		agent: a, id: *req.CallID(), tx: tx, offers: make(chan *Offer, 1), back: make(chan struct{}, 1), over: make(chan struct{}),
		local: to.AsFrom(), remote: from.AsTo(), target: contact.Address, routes: routesOf(req),
		peerCSeq: req.CSeq().SeqNo, cseq: 0,
	}
	c.local.Params = c.local.Params.Clone()
	c.local.Params.Add("tag", sip.GenerateTagN(16))
	if !a.enter(c) {
		a.respond(req, tx, sip.StatusTemporarilyUnavailable, "")
		return
	}
	if !tx.OnCancel(func(*sip.Request) { c.finished("canceled") }) {
		c.finished("canceled")
		return
	}
	if tx.Respond(c.response(req, tx, sip.StatusRinging)) != nil {
		c.finished("the connection was lost")
		return
	}
	select {
	case a.incoming <- c:
	default:
		c.Refuse(CodeBusy, "busy")
	}
}

// response is one that makes the dialog, or belongs to it.
func (c *Call) response(req *sip.Request, tx *sip.ServerTx, code int) *sip.Response {
	res := sip.NewResponseFromRequest(req, code, phrase(code), nil)
	res.To().Params.Add("tag", tagOf(c.local.Params))
	res.AppendHeader(&sip.ContactHeader{Address: c.agent.contactAt(tx.Connection(), req.Transport())})
	res.AppendHeader(sip.NewHeader("Allow", allow))
	return res
}

// accept sends the 2xx response to an INVITE, until it was confirmed (RFC 3261,
// section 13.3.1.4).
func (c *Call) accept(req *sip.Request, tx *sip.ServerTx, answer string) error {
	res := c.response(req, tx, sip.StatusOK)
	setBody(res, answer)
	c.mu.Lock()
	acked := make(chan struct{})
	c.acked = acked
	c.mu.Unlock()
	if err := tx.Respond(res); err != nil {
		return err
	}
	c.agent.background(func() {
		defer tx.Terminate()
		patience := time.After(64 * sip.T1)
		for wait := sip.T1; ; wait = min(2*wait, sip.T2) {
			select {
			case <-acked:
				return
			case <-tx.Acks(): // of who gives it the number of the INVITE's transaction
				c.confirmed(req.CSeq().SeqNo)
				return
			case <-time.After(wait):
				tx.Respond(res)
			case <-patience:
				c.finish("the answer was not confirmed")
				return
			case <-c.over:
				return
			case <-c.agent.ctx.Done():
				return
			}
		}
	})
	return nil
}

// confirmed takes the ACK for a 2xx.
func (c *Call) confirmed(cseq uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acked != nil && cseq == c.peerCSeq {
		close(c.acked)
		c.acked = nil
	}
}

var errOver = errors.New("sip: the call has ended")

// Answer accepts an incoming call.
func (c *Call) Answer(answer string) error {
	c.mu.Lock()
	if c.state != ringing || c.tx == nil {
		c.mu.Unlock()
		return errOver
	}
	c.state = talking
	c.mu.Unlock()
	return c.accept(c.tx.Origin(), c.tx, answer)
}

// Refuse declines an incoming call.
func (c *Call) Refuse(code int, reason string) error {
	c.mu.Lock()
	open := c.tx != nil && c.state == ringing
	c.mu.Unlock()
	if !open || !c.finished(reason) {
		return nil
	}
	res := c.response(c.tx.Origin(), c.tx, code)
	res.AppendHeader(sip.NewHeader("Warning", "399 webmsrp "+quote(reason)))
	return c.tx.Respond(res)
}

// Bye ends a call. It does not wait until the other side has heard of it.
func (c *Call) Bye(reason string) error {
	a := c.agent
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls != nil { // else the end of the agent does it
		a.byes.Go(func() { c.finish(reason) })
	}
	return nil
}

// finish ends a call on this side and tells the other.
func (c *Call) finish(reason string) {
	c.Refuse(sip.StatusTemporarilyUnavailable, reason) // if it still rings
	if !c.finished(reason) {
		return
	}
	c.mu.Lock()
	bye := c.request(sip.BYE)
	c.mu.Unlock()
	bye.AppendHeader(sip.NewHeader("Reason", "SIP ;cause=200 ;text="+quote(reason)))
	bye.SetBody(nil)
	ctx, cancel := context.WithTimeout(context.Background(), parting)
	defer cancel()
	c.agent.ask(ctx, bye)
}

// finished takes it that the call is over, and reports whether it was not before.
func (c *Call) finished(reason string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == ended {
		return false
	}
	c.state, c.reason = ended, reason
	close(c.over)
	a := c.agent
	a.mu.Lock()
	delete(a.calls, key(c.id, tagOf(c.local.Params)))
	a.mu.Unlock()
	return true
}

// Over is closed when the call has ended, by either side; Reason says why.
func (c *Call) Over() <-chan struct{} { return c.over }

// Reason returns why the call ended; it is valid once Over is closed.
func (c *Call) Reason() string { return c.reason }

// Err returns nil: nothing ends a call but its sides.
func (c *Call) Err() error { return nil }

// Offers delivers further offers of the other side.
func (c *Call) Offers() <-chan *Offer { return c.offers }

// Back tells that the server was lost and is there again: the other side does not
// know where to find this one until the next [Call.Reoffer].
func (c *Call) Back() <-chan struct{} { return c.back }

// invited takes a further offer (RFC 3261, section 14.2).
func (c *Call) invited(req *sip.Request, tx *sip.ServerTx) {
	c.mu.Lock()
	var code int
	switch {
	case c.state != talking:
		code = sip.StatusCallTransactionDoesNotExists
	case req.CSeq().SeqNo <= c.peerCSeq, c.asked:
		code = sip.StatusInternalServerError
	case c.offering:
		code = sip.StatusRequestPending
	default:
		if c.acked != nil { // or its ACK has been overtaken
			close(c.acked)
			c.acked = nil
		}
		c.asked, c.peerCSeq = true, req.CSeq().SeqNo
		if contact := req.Contact(); contact != nil {
			c.target = contact.Address
		}
	}
	c.mu.Unlock()
	if code == sip.StatusInternalServerError {
		c.agent.respond(req, tx, code, "", sip.NewHeader("Retry-After", "1"))
		return
	}
	if code != 0 {
		c.agent.respond(req, tx, code, "")
		return
	}
	c.offers <- &Offer{string(req.Body()), c, req, tx} // has room: the last one was answered
}

// Answer accepts the offer.
func (o *Offer) Answer(answer string) error {
	o.done()
	return o.call.accept(o.req, o.tx, answer)
}

// Refuse declines the offer: things stay as they were.
func (o *Offer) Refuse(code int, reason string) error {
	o.done()
	o.call.agent.respond(o.req, o.tx, code, reason)
	return nil
}

func (o *Offer) done() {
	o.call.mu.Lock()
	o.call.asked = false
	o.call.mu.Unlock()
}

// Reoffer makes a further offer and waits for the answer. The error is a
// *[RefusedError] where there is none, with [CodePending] where the other side
// makes an offer at the same time: then that is to be answered, and this one made
// again after a while.
func (c *Call) Reoffer(ctx context.Context, offer string) (answer string, err error) {
	c.mu.Lock()
	switch {
	case c.state != talking:
		c.mu.Unlock()
		return "", errOver
	case c.offering || c.asked:
		c.mu.Unlock()
		return "", &RefusedError{Code: CodePending, To: c.Peer}
	}
	c.offering = true
	req := c.request(sip.INVITE)
	c.mu.Unlock()
	req.AppendHeader(&sip.ContactHeader{})
	setBody(req, offer)
	res, err := c.agent.ask(ctx, req)
	c.mu.Lock()
	c.offering = false
	c.cseq = max(c.cseq, req.CSeq().SeqNo) // it may have been sent twice
	if err == nil && res.IsSuccess() {
		if contact := res.Contact(); contact != nil {
			c.target = contact.Address
		}
		c.acknowledge(req)
	}
	c.mu.Unlock()
	switch {
	case err != nil:
		return "", err
	case res.StatusCode == sip.StatusCallTransactionDoesNotExists, res.StatusCode == sip.StatusRequestTimeout:
		c.Bye("the other side does not know the call any more") // RFC 3261, section 14.1
	}
	if !res.IsSuccess() {
		return "", refused(c.Peer, res)
	}
	return string(res.Body()), nil
}

// Made tells whether this side made the call. Where both sides make an offer at
// the same time the offer of the one who made the call had better be first (RFC
// 3261, section 14.1).
func (c *Call) Made() bool { return c.made }

// reasonOf returns why the other side ends the call, in its words if it has any.
func reasonOf(req *sip.Request) string {
	for _, h := range req.GetHeaders("Reason") {
		if text := parameter(h.Value(), "text"); text != "" {
			return text
		}
	}
	return "hung up"
}
