// Package sip is a user agent of SIP (RFC 3261) for one user: it registers,
// calls and is called. The descriptions of the sessions are the caller's: this
// package carries them and does not read them.
//
// Transactions, the transports and the syntax are sipgo's. The dialogs are this
// package's own, because either side may begin a new exchange in them at any
// time (RFC 3261, section 14), which those of sipgo leave to others.
package sip

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// sipgo's layers take a logger each, its connections only this one.
func init() { sip.SetDefaultLogger(slog.New(slog.DiscardHandler)) }

// Options say who an agent is.
type Options struct {
	// URI is the user's own, sip:bob@example.com, with a port if need be. Its
	// parameter transport says how the server is reached: udp, tcp (the default),
	// tls, ws or wss.
	URI string
	// Username is that of the credentials, the one in URI by default.
	Username, Password string
	// Register lets others call, and says so to the server until Close.
	Register bool
	// Roots are the authorities of servers, nil for those of the system.
	Roots *x509.CertPool
}

// An Agent is a user at a server. Its methods are safe for concurrent use.
type Agent struct {
	opts      Options
	own       sip.Uri // without parameters: the address of record
	server    string  // host:port
	transport string  // "TCP"
	local     net.IP  // with UDP, which has no connection to ask
	instance  string  // the URN of this user agent (RFC 5626, section 4.1)

	transports   *sip.TransportLayer
	transactions *sip.TransactionLayer
	incoming     chan *Call

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	byes   sync.WaitGroup // those under way, none begun after the end
	done   chan struct{}

	registration registration  // of stay alone, once it runs
	registered   chan struct{} // closed when it is no longer

	mu    sync.Mutex
	calls map[string]*Call // by Call-ID and own tag, nil after the end
	err   error
	gone  bool    // nothing more is begun
	gruu  sip.Uri // by which others reach this user agent (RFC 5627), if any
}

const (
	// lifetime is how long a registration is to last.
	lifetime = 10 * time.Minute
	// parting is how long the end waits for the server.
	parting = 2 * time.Second
)

// keepAlive is how often the connection is looked after (RFC 5626, section
// 4.4.1): at the latest then a new one takes the place of one that was lost.
var keepAlive = 15 * time.Second // less in a test

// Start registers if that is wanted, and returns an agent that calls and is
// called until Close or until the server lets nobody in any more.
func Start(ctx context.Context, opts Options) (*Agent, error) {
	a := &Agent{opts: opts, incoming: make(chan *Call, 16), done: make(chan struct{}), registered: make(chan struct{}), calls: map[string]*Call{}}
	uri, err := parseURI(opts.URI)
	if err != nil {
		return nil, err
	}
	if uri.User == "" {
		return nil, fmt.Errorf("sip: %q names no user: sip:user@host", opts.URI)
	}
	a.transport = strings.ToUpper(uri.UriParams.GetOr("transport", "tcp"))
	if uri.IsEncrypted() {
		a.transport = map[string]string{"TCP": "TLS", "WS": "WSS"}[a.transport]
	}
	options := []sip.TransportLayerOption{sip.WithTransportLayerLogger(slog.New(slog.DiscardHandler))}
	switch a.transport {
	case "UDP", "TCP", "TLS", "WS", "WSS":
	default:
		return nil, fmt.Errorf("sip: %q: the transport is udp, tcp, tls, ws or wss", opts.URI)
	}
	if uri.Port == 0 {
		options = append(options, sip.WithTransportLayerDNSLookupSRV(true)) // RFC 3263, section 4.2
	}
	a.instance = newURN()
	a.own = sip.Uri{Scheme: uri.Scheme, User: uri.User, Host: uri.Host, Port: uri.Port}
	a.server = hostPort(uri, a.transport)
	if a.opts.Username == "" {
		a.opts.Username = uri.User
	}
	if a.transport == "UDP" {
		c, err := net.Dial("udp", a.server)
		if err != nil {
			return nil, err
		}
		a.local = c.LocalAddr().(*net.UDPAddr).IP
		c.Close()
	}
	a.transports = sip.NewTransportLayer(net.DefaultResolver, sip.NewParser(sip.WithHeadersParsers(parsers())), &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: opts.Roots}, options...)
	a.transactions = sip.NewTransactionLayer(a.transports,
		sip.WithTransactionLayerLogger(slog.New(slog.DiscardHandler)),
		sip.WithTransactionLayerTerminateOnConnClose(),
		sip.WithTransactionLayerUnhandledResponseHandler(a.stray))
	a.transactions.OnRequest(a.receive)
	a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if opts.Register {
		if err := a.register(ctx, lifetime); err != nil {
			a.shut()
			return nil, err
		}
		a.wg.Go(a.stay)
	} else {
		close(a.registered)
	}
	return a, nil
}

// URI returns the user's own URI, as others call it.
func (a *Agent) URI() string { return a.own.String() }

// Incoming delivers the calls of others, each to be answered or refused.
func (a *Agent) Incoming() <-chan *Call { return a.incoming }

// Done is closed when the agent has ended; Err says why.
func (a *Agent) Done() <-chan struct{} { return a.done }

// Err returns why the agent ended, or nil.
func (a *Agent) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// Close ends all calls and the registration.
func (a *Agent) Close() error {
	a.end(errors.New("sip: closed"))
	a.wg.Wait()
	return nil
}

// end ends the agent in the background.
func (a *Agent) end(err error) {
	a.mu.Lock()
	calls := a.calls
	if calls == nil {
		a.mu.Unlock()
		return
	}
	a.calls, a.err = nil, err
	// Before anybody can wait for it.
	a.wg.Go(func() {
		for _, call := range calls {
			a.byes.Go(func() { call.finish("the session is over") })
		}
		a.byes.Wait()
		a.cancel()
		<-a.registered
		a.shut()
		close(a.done)
	})
	a.mu.Unlock()
}

// background runs f, which Close waits for, unless it is too late.
func (a *Agent) background(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.gone {
		a.wg.Go(f)
	}
}

func (a *Agent) shut() {
	a.mu.Lock()
	a.gone = true
	a.mu.Unlock()
	a.cancel()
	a.transactions.Close()
	a.transports.Close()
}

// parseURI reads a SIP URI.
func parseURI(s string) (sip.Uri, error) {
	var uri sip.Uri
	lower := strings.ToLower(s)
	if !strings.HasPrefix(lower, "sip:") && !strings.HasPrefix(lower, "sips:") || strings.ContainsAny(s, " <>\r\n\t\"") {
		return uri, fmt.Errorf("sip: %q is not a SIP URI: sip:user@host", s)
	}
	if err := sip.ParseUri(s, &uri); err != nil || uri.Host == "" {
		return uri, fmt.Errorf("sip: %q is not a SIP URI: sip:user@host", s)
	}
	return uri, nil
}

// newURN returns the name of a user agent.
func newURN() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func hostPort(uri sip.Uri, transport string) string {
	port := uri.Port
	if port == 0 {
		port = sip.DefaultPort(transport)
	}
	return net.JoinHostPort(strings.Trim(uri.Host, "[]"), strconv.Itoa(port))
}

// newRequest returns a request with what all have. Its destination is next, the
// next hop.
func (a *Agent) newRequest(method sip.RequestMethod, to, next sip.Uri) *sip.Request {
	req := sip.NewRequest(method, to)
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(sip.NewHeader("User-Agent", "webmsrp"))
	if method == sip.INVITE {
		req.AppendHeader(sip.NewHeader("Allow", allow))
		req.AppendHeader(sip.NewHeader("Accept", sdpType))
	}
	transport := a.transport
	if addr := hostPort(next, transport); addr != a.server {
		transport = strings.ToUpper(next.UriParams.GetOr("transport", transport))
		req.SetDestination(hostPort(next, transport))
	} else {
		req.SetDestination(a.server)
	}
	req.SetTransport(transport)
	req.Laddr.IP = a.local
	return req
}

const (
	sdpType = "application/sdp"
	allow   = "INVITE, ACK, CANCEL, BYE, OPTIONS"
)

// stamp gives a request a Via of its own: the host is filled in with that of
// the connection.
func stamp(req *sip.Request) {
	req.RemoveHeader("Via")
	via := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: req.Transport()}
	via.Params.Add("branch", sip.GenerateBranch())
	via.Params.Add("rport", "") // RFC 3581: the answer comes back the same way
	req.PrependHeader(via)
}

// contactAt is where the other side reaches this one: at an address that the server
// keeps up to date, if it gives any, or over this connection.
func (a *Agent) contactAt(conn sip.Connection, transport string) sip.Uri {
	a.mu.Lock()
	gruu := a.gruu
	a.mu.Unlock()
	if gruu.Host != "" {
		return gruu
	}
	return a.addressOf(conn, transport)
}

func (a *Agent) addressOf(conn sip.Connection, transport string) sip.Uri {
	host, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	n, _ := strconv.Atoi(port)
	uri := sip.Uri{Scheme: a.own.Scheme, User: a.own.User, Host: host, Port: n}
	uri.UriParams.Add("transport", strings.ToLower(transport))
	return uri
}

// ask sends a request and returns the final response, with credentials where
// they are asked for.
func (a *Agent) ask(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	for tries := 1; ; tries++ {
		res, err := a.transact(ctx, req)
		// At most for a proxy, for the other side, and for a nonce that was too old.
		if err != nil || tries == 4 || !a.authorize(req, res) {
			return res, err
		}
		req.CSeq().SeqNo++
	}
}

// transact sends a request once. Where ctx ends before the final response of an
// INVITE, that is canceled in the background.
func (a *Agent) transact(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	stamp(req)
	tx, err := a.transactions.NewClientTransaction(ctx, req)
	if err == nil {
		switch contact := req.Contact(); {
		case contact == nil:
		case req.Method == sip.REGISTER:
			contact.Address = a.addressOf(tx.Connection(), req.Transport())
		default:
			contact.Address = a.contactAt(tx.Connection(), req.Transport())
		}
		if err = tx.Init(); err != nil {
			tx.Terminate()
		}
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, fmt.Errorf("sip: %s cannot be reached: %w", req.Destination(), err)
	}
	for provisional := false; ; {
		select {
		case res := <-tx.Responses():
			if res.IsProvisional() {
				provisional = true
				continue
			}
			// Over UDP it goes on to take what is sent again.
			if sip.IsReliable(req.Transport()) || res.IsSuccess() {
				tx.Terminate()
			}
			return res, nil
		case <-tx.Done():
			if err := tx.Err(); !errors.Is(err, sip.ErrTransactionTimeout) {
				return nil, fmt.Errorf("sip: the connection to %s was lost", req.Destination())
			}
			return nil, &RefusedError{Code: sip.StatusRequestTimeout, To: req.Destination(), Reason: "no response"}
		case <-ctx.Done():
			if req.IsInvite() {
				a.background(func() { a.withdraw(tx, req, provisional) })
			} else {
				tx.Terminate()
			}
			return nil, context.Cause(ctx)
		}
	}
}

// withdraw cancels an INVITE (RFC 3261, section 9.1), which is possible only once
// something was heard of it. If it was accepted in the meantime, that is ended.
func (a *Agent) withdraw(tx *sip.ClientTx, req *sip.Request, provisional bool) {
	defer tx.Terminate()
	patience := time.NewTimer(parting)
	defer patience.Stop()
	for sent := false; ; {
		if provisional && !sent {
			sent = true
			cancel := sip.NewRequest(sip.CANCEL, req.Recipient)
			for _, name := range []string{"Route", "Max-Forwards", "From", "To", "Call-ID"} {
				sip.CopyHeaders(name, req, cancel)
			}
			cancel.PrependHeader(req.Via().Clone())
			cancel.AppendHeader(&sip.CSeqHeader{SeqNo: req.CSeq().SeqNo, MethodName: sip.CANCEL})
			cancel.SetBody(nil)
			cancel.SetTransport(req.Transport())
			cancel.SetDestination(req.Destination())
			cancel.Laddr = req.Laddr
			if tx, err := a.transactions.Request(a.ctx, cancel); err == nil {
				defer tx.Terminate()
				a.background(func() { // its response holds up nothing
					select {
					case <-tx.Responses():
					case <-tx.Done():
					}
				})
			}
		}
		select {
		case res := <-tx.Responses():
			if res.IsSuccess() {
				a.stray(res)
			}
			if !res.IsProvisional() {
				return
			}
			provisional = true
		case <-tx.Done():
			return
		case <-patience.C:
			return
		}
	}
}

// authorize answers the challenge of a response in the request, and reports
// whether there was one to be answered: the first, or one that only has another
// nonce.
func (a *Agent) authorize(req *sip.Request, res *sip.Response) bool {
	ask, answer := "WWW-Authenticate", "Authorization"
	switch res.StatusCode {
	case sip.StatusUnauthorized:
	case sip.StatusProxyAuthRequired:
		ask, answer = "Proxy-Authenticate", "Proxy-Authorization"
	default:
		return false
	}
	if a.opts.Password == "" {
		return false
	}
	var best *digest.Challenge
	for _, h := range res.GetHeaders(ask) {
		c, err := digest.ParseChallenge(h.Value())
		if err != nil || !digest.CanDigest(c) {
			continue
		}
		c.Algorithm = strings.ToUpper(c.Algorithm)
		if best == nil || strings.HasPrefix(c.Algorithm, "SHA") && !strings.HasPrefix(best.Algorithm, "SHA") {
			best = c // RFC 8760, section 2.4
		}
	}
	if best == nil || req.GetHeader(answer) != nil && !best.Stale {
		return false // that was the wrong password
	}
	credentials, err := digest.Digest(best, digest.Options{
		Method: req.Method.String(), URI: req.Recipient.String(), Username: a.opts.Username, Password: a.opts.Password,
	})
	if err != nil {
		return false
	}
	req.RemoveHeader(answer)
	req.AppendHeader(sip.NewHeader(answer, credentials.String()))
	return true
}

// A registration is what one has to know for the next.
type registration struct {
	id      sip.CallIDHeader
	cseq    uint32
	contact sip.Uri       // none before the first
	granted time.Duration // it lasts so long
	least   time.Duration // the server takes none that is shorter
}

// register registers for a time, or ends that with 0 (RFC 3261, section 10.2).
func (a *Agent) register(ctx context.Context, expires time.Duration) error {
	r := &a.registration
	if r.id == "" {
		r.id, r.cseq = sip.CallIDHeader(rand.Text()), 1
	}
	for {
		if expires > 0 {
			expires = max(expires, r.least)
		}
		registrar := sip.Uri{Scheme: a.own.Scheme, Host: a.own.Host, Port: a.own.Port}
		req := a.newRequest(sip.REGISTER, registrar, registrar)
		from := &sip.FromHeader{Address: a.own}
		from.Params.Add("tag", sip.GenerateTagN(16))
		req.AppendHeader(from)
		req.AppendHeader(&sip.ToHeader{Address: a.own})
		req.AppendHeader(&r.id)
		req.AppendHeader(&sip.CSeqHeader{SeqNo: r.cseq, MethodName: sip.REGISTER})
		contact := &sip.ContactHeader{}
		contact.Params.Add("expires", strconv.Itoa(int(expires.Seconds())))
		contact.Params.Add("+sip.instance", `"<`+a.instance+`>"`)
		req.AppendHeader(contact)
		req.AppendHeader(sip.NewHeader("Supported", "gruu"))
		req.SetBody(nil)
		res, err := a.ask(ctx, req)
		r.cseq = req.CSeq().SeqNo + 1
		switch {
		case err != nil:
			return err
		case res.StatusCode == sip.StatusIntervalToBrief && r.least == 0:
			n, _ := strconv.Atoi(value(res, "Min-Expires"))
			r.least = time.Duration(n) * time.Second
			continue
		case !res.IsSuccess():
			return refused(a.own.String(), res)
		case expires == 0:
			return nil
		}
		previous := r.contact
		r.contact, r.granted = contact.Address, expires
		a.granted(res)
		if previous.Host != "" && previous.String() != r.contact.String() {
			// The place that was lost: calls would still be tried there. Which one has
			// taken its place is not known before.
			a.forget(ctx, req, previous)
			a.mu.Lock()
			for _, call := range a.calls {
				select {
				case call.back <- struct{}{}:
				default:
				}
			}
			a.mu.Unlock()
		}
		return nil
	}
}

// forget takes back a contact that the registrar still has.
func (a *Agent) forget(ctx context.Context, like *sip.Request, contact sip.Uri) {
	req := like.Clone()
	req.RemoveHeader("Contact")
	req.RemoveHeader("Authorization")
	req.AppendHeader(sip.NewHeader("Contact", "<"+contact.String()+">;expires=0"))
	req.CSeq().SeqNo = a.registration.cseq
	if _, err := a.ask(ctx, req); err == nil {
		a.registration.cseq = req.CSeq().SeqNo + 1
	}
}

// granted takes what the registrar says of the own contact: how long it stands, and
// the address by which others reach it wherever it is.
func (a *Agent) granted(res *sip.Response) {
	r := &a.registration
	seconds, err := strconv.Atoi(value(res, "Expires"))
	var gruu sip.Uri
	for _, h := range res.GetHeaders("Contact") {
		for entry := range strings.SplitSeq(h.Value(), "<sip") { // several, perhaps
			if !strings.Contains(entry, "@"+r.contact.HostPort()) {
				continue
			}
			if n, err2 := strconv.Atoi(parameter(entry, "expires")); err2 == nil {
				seconds, err = n, nil
			}
			gruu, _ = parseURI(parameter(entry, "pub-gruu"))
		}
	}
	if d := time.Duration(seconds) * time.Second; err == nil && d > 0 && d < r.granted {
		r.granted = d
	}
	a.mu.Lock()
	a.gruu = gruu
	a.mu.Unlock()
}

// parsers are sipgo's but the one of Contact, which takes the semicolons within
// quotes for others.
func parsers() sip.HeadersParser {
	own := maps.Clone(sip.HeadersParser(sip.DefaultHeadersParser()))
	delete(own, "contact")
	delete(own, "m")
	return own
}

// stay keeps the registration until the end, and ends it.
func (a *Agent) stay() {
	defer close(a.registered)
	due := time.Now().Add(a.registration.granted / 2)
	failures := 0
	for {
		select {
		case <-time.After(min(keepAlive, time.Until(due))):
		case <-a.ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), parting)
			defer cancel()
			a.register(ctx, 0)
			return
		}
		if time.Now().Before(due) && a.alive() {
			continue
		}
		err := a.register(a.ctx, lifetime)
		var refused *RefusedError
		switch {
		case a.ctx.Err() != nil: // of which the next round takes notice
		case err == nil:
			failures = 0
			due = time.Now().Add(a.registration.granted / 2)
		case errors.As(err, &refused) && refused.Code < 500 && refused.Code != sip.StatusRequestTimeout:
			a.end(err) // it will not get better by itself
			return
		default:
			failures++
			due = time.Now().Add(min(time.Second<<min(failures, 6), time.Minute))
		}
	}
}

// alive keeps the way to the server open and reports whether there is one.
func (a *Agent) alive() bool {
	contact := a.registration.contact
	conn, err := a.transports.GetConnection(a.transport, contact.HostPort())
	if err != nil {
		return false
	}
	defer conn.TryClose()
	w, ok := conn.(io.Writer)
	if !ok {
		return true // UDP has no connection that could be lost
	}
	_, err = io.WriteString(w, "\r\n\r\n")
	return err == nil
}

// value returns that of a header, or "".
func value(m sip.Message, name string) string {
	for _, h := range m.GetHeaders(name) {
		return h.Value()
	}
	return ""
}
