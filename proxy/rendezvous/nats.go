package rendezvous

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/webmsrp/webmsrp/msrp"
)

// Subjects, all below webmsrp. The number is to change with what they carry.
const (
	subjectName     = "webmsrp.1.name."     // + name: for who has it
	subjectInstance = "webmsrp.1.instance." // + instance: for members there
	subjectReceipt  = "webmsrp.1.receipt."  // + instance + number: for a message that was sent
	subjectAll      = "webmsrp.1.all"       // for every instance
)

const (
	// receiptTime is how long an offer or answer waits for its receipt.
	receiptTime = 5 * time.Second
	// announceEvery is how often an instance says which names it has. What it
	// said before may have got lost where the cluster was split.
	announceEvery = time.Minute
	// claimsAtOnce keeps an announcement far below the megabyte that a NATS
	// server takes.
	claimsAtOnce = 500
	// incomingLength is how many messages wait to be delivered. Delivering does
	// not block, so that few do.
	incomingLength = 8192
)

// NATS is a bus that instances share over a cluster of NATS servers, all that
// use one account there. A name is a subject: an offer is a request to it, an
// answer goes back to where the offer came from. Members of one instance reach
// each other without NATS.
//
// A name is the newest's, as with [Memory]. Each registration has a stamp, from
// the clock but later than all that its instance has heard of, so that clocks
// need not agree; instances tell each other the stamps when someone registers,
// when they are connected again, and each minute. Of two that have a name, the
// one with the older stamp is told CodeReplaced. Where the cluster is split, a
// name can so be had once on each side, until the minute after it is whole. A
// name of an instance that died is free: whoever registers it has it at once.
type NATS struct {
	log      *slog.Logger
	conn     *nats.Conn
	instance string        // its ID
	patience time.Duration // receiptTime
	local    Memory

	incoming chan *nats.Msg
	again    chan struct{} // tells that the connection is there again
	closing  chan struct{}
	wg       sync.WaitGroup

	mu      sync.Mutex
	clock   int64                  // the newest stamp of all
	holders map[string]*natsMember // by name
	serial  uint64                 // of receipts
	pending map[string]*posted     // by subject of the receipt
	lost    uint64
}

type natsMember struct {
	*memoryMember
	bus   *NATS
	sub   *nats.Subscription // to the name
	stamp int64
}

// posted is a message that waits for its receipt.
type posted struct {
	member  *natsMember
	message Message
	timer   *time.Timer
}

// envelope is a message on its way.
type envelope struct {
	Message
	To     string `json:"recipient"` // as for Post
	Sender string `json:"sender"`
}

// A notice is for every instance.
type notice struct {
	Instance string  `json:"instance"`
	Claims   []claim `json:"claims,omitempty"`
	Offers   string  `json:"offers,omitempty"` // the name of someone who makes a call
}

type claim struct {
	Name  string `json:"name"`
	Stamp int64  `json:"stamp"`
}

// gone is the receipt of an instance that has no such member.
const gone = "gone"

// A NATSConfig says where the servers are. The zero value of a field leaves the
// thing out.
type NATSConfig struct {
	// Servers are URLs of servers of one cluster, nats:// or tls://. They may
	// hold a user and a password, or a token.
	Servers []string
	// Credentials is a file with a JWT and its key, read anew for each connection.
	Credentials string
	// Roots are the authorities for the servers' certificates, nil for the
	// system's. TLS is required with them, and by tls:// in a URL.
	Roots *x509.CertPool
	// Name tells the operators of NATS who is connected.
	Name string
	Log  *slog.Logger
}

// ConnectNATS joins the cluster. Later it connects again by itself whenever the
// connection is lost. The caller closes the bus.
func ConnectNATS(c NATSConfig) (*NATS, error) {
	b := &NATS{
		log: c.Log, instance: msrp.NewID(), patience: receiptTime, clock: time.Now().UnixMilli(),
		incoming: make(chan *nats.Msg, incomingLength), again: make(chan struct{}, 1), closing: make(chan struct{}),
		holders: map[string]*natsMember{}, pending: map[string]*posted{},
	}
	options := []nats.Option{
		nats.Name(c.Name), nats.NoEcho(), nats.Timeout(5 * time.Second),
		nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond), nats.IgnoreAuthErrorAbort(),
		// A server that says nothing more is left after 20 to 30 seconds.
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2),
		// For ends of calls, which wait until the connection is there again.
		nats.ReconnectBufSize(1 << 20),
		nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			b.log.Warn("NATS is lost: calls to other instances fail until it is back", "error", err)
			b.abandon()
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			b.log.Info("NATS is back", "server", conn.ConnectedAddr())
			select {
			case b.again <- struct{}{}:
			default:
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { b.log.Error("NATS", "error", err) }),
	}
	if c.Credentials != "" {
		options = append(options, nats.UserCredentials(c.Credentials))
	}
	if c.Roots != nil {
		options = append(options, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots}))
	}
	conn, err := nats.Connect(strings.Join(c.Servers, ","), options...)
	if err != nil {
		return nil, err
	}
	b.conn = conn
	if err := b.subscribe(); err != nil {
		conn.Close()
		return nil, err
	}
	at, _ := netip.ParseAddrPort(conn.ConnectedAddr())
	if _, err := conn.TLSConnectionState(); err != nil && !at.Addr().IsLoopback() {
		b.log.Warn("the connection to NATS has no TLS: on its way others can read who calls whom, and the offers and answers", "server", at)
	}
	b.wg.Go(b.run)
	return b, nil
}

// subscribe subscribes to what is for this instance. It tries the rest of what
// an account must be allowed to as well.
func (b *NATS) subscribe() error {
	if !b.conn.HeadersSupported() {
		return errors.New("the NATS server is older than version 2.2")
	}
	for _, subject := range []string{subjectInstance + b.instance, subjectReceipt + b.instance + ".*", subjectAll} {
		if _, err := b.conn.ChanSubscribe(subject, b.incoming); err != nil {
			return err
		}
	}
	trial, err := b.conn.ChanSubscribe(subjectName+b.instance, b.incoming)
	if err != nil {
		return err
	}
	for _, subject := range []string{subjectName, subjectInstance, subjectReceipt} {
		if err := b.conn.Publish(subject+b.instance, nil); err != nil {
			return err
		}
	}
	b.publish(notice{})
	if err := b.conn.FlushTimeout(receiptTime); err != nil {
		return err
	}
	if err := b.conn.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return err
	}
	return trial.Unsubscribe()
}

// Close leaves the cluster. Members that have not left reach each other only.
func (b *NATS) Close() {
	if b.conn.IsConnected() {
		b.conn.FlushTimeout(time.Second) // who has left has said so
	}
	b.conn.Close()
	close(b.closing)
	b.wg.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pending {
		p.timer.Stop()
	}
}

// Ready implements [Bus].
func (b *NATS) Ready() error {
	if b.conn.IsConnected() {
		return nil
	}
	if err := b.conn.LastError(); err != nil {
		return fmt.Errorf("%w: NATS: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: NATS is not connected", ErrUnavailable)
}

// NATSStats are counters of one instance.
type NATSStats struct {
	Connected  bool   // to a server of the cluster
	Reconnects uint64 // to the same or another
	Lost       uint64 // offers and answers to other instances that nobody took
}

// Stats returns the counters.
func (b *NATS) Stats() NATSStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return NATSStats{b.conn.IsConnected(), b.conn.Stats().Reconnects, b.lost}
}

// encode makes a name one token of a subject. No name can be a wildcard or have
// several levels.
func encode(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

// subjectOf returns where a name or address is reached. ok is false for what
// nobody can have.
func subjectOf(to string) (subject string, ok bool) {
	if address, isAddress := strings.CutPrefix(to, "#"); isAddress {
		instance, _, _ := strings.Cut(address, ".")
		alien := func(r rune) bool { return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') }
		return subjectInstance + instance, len(instance) == len(msrp.NewID()) && !strings.ContainsFunc(instance, alien)
	}
	return subjectName + encode(to), to != "" && utf8.RuneCountInString(to) <= maxName
}

// Join implements [Bus]. It waits until the own NATS server knows of the name,
// as far as one is connected.
func (b *NATS) Join(name string, deliver func(Message)) Member {
	m := &natsMember{bus: b, memoryMember: &memoryMember{&b.local, name, "#" + b.instance + "." + msrp.NewID(), deliver}}
	var err error
	if m.sub, err = b.conn.ChanSubscribe(subjectName+encode(name), b.incoming); err != nil {
		b.log.Error("NATS", "error", err) // it is closed
	}
	if b.conn.IsConnected() {
		b.conn.FlushTimeout(receiptTime)
	}
	b.mu.Lock()
	b.clock = max(b.clock+1, time.Now().UnixMilli())
	m.stamp = b.clock
	if old := b.holders[name]; old != nil {
		old.unsubscribe()
	}
	b.holders[name] = m
	old := b.local.enter(m.memoryMember)
	b.mu.Unlock()
	b.publish(notice{Claims: []claim{{name, m.stamp}}})
	if old != nil {
		old.replaced()
	}
	return m
}

// unsubscribe is for the holder of a name that ceases to be it.
func (m *natsMember) unsubscribe() {
	if m.sub != nil {
		m.sub.Unsubscribe() // fails where it or the connection is closed
	}
}

func (m *natsMember) Leave() {
	m.bus.mu.Lock()
	if m.bus.holders[m.name] == m {
		delete(m.bus.holders, m.name)
		m.unsubscribe()
	}
	m.bus.mu.Unlock()
	m.memoryMember.Leave()
}

// MayOffer implements [Bus]. Instances count together: changing to another
// gives nobody more calls.
func (b *NATS) MayOffer(name string) bool {
	may := b.local.MayOffer(name)
	if may {
		b.publish(notice{Offers: name})
	}
	return may
}

// publish tells every other instance, if NATS is there.
func (b *NATS) publish(n notice) {
	if !b.conn.IsConnected() {
		return // claims are repeated when it is back
	}
	n.Instance = b.instance
	data, err := json.Marshal(n)
	if err == nil {
		err = b.conn.Publish(subjectAll, data)
	}
	if err != nil {
		b.log.Debug("NATS", "error", err)
	}
}

// announce repeats the claims to all names of this instance.
func (b *NATS) announce() {
	b.mu.Lock()
	var claims []claim
	for name, m := range b.holders {
		claims = append(claims, claim{name, m.stamp})
	}
	b.mu.Unlock()
	for len(claims) > 0 {
		n := min(len(claims), claimsAtOnce)
		b.publish(notice{Claims: claims[:n]})
		claims = claims[n:]
	}
}

func (m *natsMember) Post(to string, msg Message) {
	b := m.bus
	if b.local.find(to) != nil {
		m.memoryMember.Post(to, msg)
		return
	}
	subject, ok := subjectOf(to)
	if !ok {
		m.lose(msg, ErrNobody)
		return
	}
	msg.From = m.name
	data, err := json.Marshal(envelope{msg, to, m.address})
	out := &nats.Msg{Subject: subject, Data: data}
	if comesBack(msg) {
		if err == nil && !b.conn.IsConnected() {
			err = nats.ErrDisconnected
		}
		out.Reply = b.expect(m, msg)
	}
	if err == nil {
		err = b.conn.PublishMsg(out)
	}
	if err != nil {
		b.log.Debug("NATS", "error", err)
		b.settle(out.Reply, ErrUnavailable)
	}
}

// expect returns the subject for the receipt of a message.
func (b *NATS) expect(m *natsMember, msg Message) (subject string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serial++
	subject = subjectReceipt + b.instance + "." + strconv.FormatUint(b.serial, 36)
	b.pending[subject] = &posted{m, msg, time.AfterFunc(b.patience, func() { b.settle(subject, ErrUnavailable) })}
	return subject
}

// settle ends the wait for a receipt; err is nil where it has come.
func (b *NATS) settle(subject string, err error) {
	b.mu.Lock()
	p := b.pending[subject]
	delete(b.pending, subject)
	if p != nil && err != nil {
		b.lost++
	}
	b.mu.Unlock()
	if p == nil {
		return
	}
	p.timer.Stop()
	if err != nil {
		p.member.lose(p.message, err)
	}
}

// abandon ends the wait for all receipts: they would have come over the
// connection that is lost.
func (b *NATS) abandon() {
	b.mu.Lock()
	waiting := slices.Collect(maps.Keys(b.pending))
	b.mu.Unlock()
	for _, subject := range waiting {
		b.settle(subject, ErrUnavailable)
	}
}

// run takes what comes from NATS, one after the other: so all that a sender
// sends stays in order, whatever the subject.
func (b *NATS) run() {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for {
		select {
		case m := <-b.incoming:
			b.take(m)
		case <-tick.C:
			b.announce()
		case <-b.again:
			b.announce()
		case <-b.closing:
			return
		}
	}
}

func (b *NATS) take(m *nats.Msg) {
	var err error
	switch {
	case strings.HasPrefix(m.Subject, subjectReceipt):
		if m.Header.Get("Status") == "503" || string(m.Data) == gone { // 503: nobody has subscribed
			err = ErrNobody
		}
		b.settle(m.Subject, err)
		return
	case len(m.Data) == 0: // the trial of an instance that starts
	case m.Subject == subjectAll:
		var n notice
		if err = json.Unmarshal(m.Data, &n); err == nil {
			b.note(n)
		}
	default:
		var e envelope
		if err = json.Unmarshal(m.Data, &e); err == nil {
			b.deliver(m, e)
		}
	}
	if err != nil {
		b.log.Debug("NATS", "error", err)
	}
}

// deliver gives a message to its recipient, and a receipt to the sender.
func (b *NATS) deliver(m *nats.Msg, e envelope) {
	target := b.local.find(e.To)
	receipt := gone
	if strings.HasPrefix(m.Subject, subjectName) {
		// Who has had the name or is about to have it leaves the receipt to who
		// has it.
		b.mu.Lock()
		holder := b.holders[e.To]
		b.mu.Unlock()
		if holder == nil || holder.sub != m.Sub {
			return
		}
		target = holder.memoryMember
	}
	if target != nil {
		receipt = ""
		e.Message.Sender = e.Sender
		target.deliver(e.Message)
	}
	if m.Reply != "" {
		if err := m.Respond([]byte(receipt)); err != nil {
			b.log.Debug("NATS", "error", err)
		}
	}
}

// note takes what another instance tells all.
func (b *NATS) note(n notice) {
	if n.Offers != "" {
		b.local.MayOffer(n.Offers)
	}
	for _, c := range n.Claims {
		b.mu.Lock()
		b.clock = max(b.clock, c.Stamp)
		holder := b.holders[c.Name]
		newer := holder != nil && (holder.stamp > c.Stamp || holder.stamp == c.Stamp && b.instance > n.Instance)
		if holder != nil && !newer {
			delete(b.holders, c.Name)
			b.local.drop(holder.memoryMember)
			holder.unsubscribe()
		}
		b.mu.Unlock()
		switch {
		case newer:
			b.publish(notice{Claims: []claim{{c.Name, holder.stamp}}})
		case holder != nil:
			holder.replaced()
		}
	}
}
