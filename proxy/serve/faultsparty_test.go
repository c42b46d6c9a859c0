package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// A ledger is what a party knows whatever becomes of its process: lines of a
// file, of which each is written before anybody hears of what it tells.
//
//	out CONVERSATION ID                a message begins
//	again CONVERSATION ID              it is sent once more
//	told CONVERSATION ID OUTCOME …     what became of it, as its sender sees it
//	in CONVERSATION ID good|bad|twice  it is received
type ledger struct {
	account // as of the start
	written atomic.Int64

	mu   sync.Mutex
	file *os.File
	has  map[string]bool // received, at any time
	got  *sync.Cond      // has grew
}

// Outcomes of a message, as its sender sees it.
const (
	delivered = "delivered" // the success report came
	failed    = "failed"    // it did not arrive
	unknown   = "unknown"   // it may have arrived
	taken     = "taken"     // by the next hop, and nobody was asked to tell more
	orphaned  = "orphaned"  // its sender died
)

// An account is what the lines of a ledger say.
type account struct {
	out   []string            // IDs
	about map[string]string   // the conversation of each
	told  map[string][]string // outcomes by ID, with taken what died meanwhile
	in    map[string][]string
	again int
}

// readAccount reads the lines of a ledger, and returns how many octets they have:
// behind them may lie the beginning of one within which its writer was killed.
func readAccount(t *testing.T, name string) (a account, octets int64) {
	a = account{about: map[string]string{}, told: map[string][]string{}, in: map[string][]string{}}
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 4)
		switch id := f[2]; f[0] {
		case "out":
			a.out = append(a.out, id)
			a.about[id] = f[1]
		case "again":
			a.again++
		case "told":
			a.told[id] = append(a.told[id], f[3])
		case "in":
			a.in[id] = append(a.in[id], f[3])
		}
	}
	return a, int64(len(text))
}

func openLedger(t *testing.T, name string) *ledger {
	l := &ledger{has: map[string]bool{}}
	l.got = sync.NewCond(&l.mu)
	var err error
	l.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { l.file.Close() })
	var octets int64
	l.account, octets = readAccount(t, name)
	require.NoError(t, l.file.Truncate(octets))
	for id := range l.in {
		l.has[id] = true
	}
	return l
}

func (l *ledger) write(fields ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(fields)
}

func (l *ledger) append(fields []string) {
	_, err := l.file.WriteString(strings.Join(fields, " ") + "\n")
	if err != nil && !errors.Is(err, os.ErrClosed) { // after a test that failed
		panic(err)
	}
	l.written.Add(1)
}

// receive enters a message. One that an earlier life of the process has received
// is nothing new to it, and one that this life has comes twice.
func (l *ledger) receive(conversation, id, how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, before := l.in[id]; before {
		return
	}
	if l.has[id] {
		how = "twice"
	}
	l.append([]string{"in", conversation, id, how})
	l.has[id] = true
	l.got.Broadcast()
}

// A durable transport holds the last 200 and the success report of a message back
// until that is in the ledger: what a party has answered for stays, even if it is
// killed.
type durable struct {
	*msrp.Stream
	ledger *ledger
	mu     sync.Mutex
	sends  map[string]*msrp.Unit // that wait for their responses, by transaction ID
}

func (d *durable) Receive() (*msrp.Unit, error) {
	u, err := d.Stream.Receive()
	if err == nil && u.Method == msrp.MethodSend && u.Body != nil {
		d.mu.Lock()
		d.sends[u.TransactionID] = u
		d.mu.Unlock()
	}
	return u, err
}

func (d *durable) Send(unit []byte) error {
	if line, _, _ := bytes.Cut(unit, []byte("\r\n")); !bytes.HasSuffix(line, []byte(" SEND")) {
		u, err := msrp.NewReader(bytes.NewReader(unit)).Next()
		if err != nil {
			return err
		}
		d.mu.Lock()
		request := d.sends[u.TransactionID]
		delete(d.sends, u.TransactionID)
		d.mu.Unlock()
		switch {
		case u.Method == msrp.MethodReport && u.Status().Code == msrp.StatusOK:
			d.ledger.await(u.MessageID())
		case u.Code == msrp.StatusOK && request != nil && request.Flag == msrp.FlagComplete:
			d.ledger.await(request.MessageID())
		}
	}
	return d.Stream.Send(unit)
}

// await waits until a message is in the ledger.
func (l *ledger) await(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.has[id] {
		l.got.Wait()
	}
}

// A talker is one side of a conversation. It has always a few messages on their
// way, large ones among them.
type talker struct {
	name    string
	ledger  *ledger
	resends bool // what was not confirmed, in the session after that
	wg      sync.WaitGroup
	large   atomic.Int64 // messages on their way

	mu      sync.Mutex
	changed *sync.Cond
	stint   *stint
	paused  bool     // no new messages
	stopped bool     // for good
	busy    int      // messages without an outcome
	open    []string // from an earlier life of the process
}

// A stint is the time of one session.
type stint struct {
	session *msrp.Session
	killed  string // what died in it, "" if nothing did; the talker's mutex guards it
}

const (
	messagesAtOnce = 6
	largeMessage   = 60_000
	// deliveryTimeout is for those who do not send again. Where it is too short,
	// more of what arrives is not known to.
	deliveryTimeout = 700 * time.Millisecond
)

func newTalker(name string, l *ledger, resends bool) *talker {
	t := &talker{name: name, ledger: l, resends: resends}
	t.changed = sync.NewCond(&t.mu)
	for _, id := range l.out {
		switch {
		case l.about[id] != name || len(l.told[id]) > 0:
		case resends:
			t.open = append(t.open, id)
		default:
			l.write("told", name, id, orphaned)
		}
	}
	for range messagesAtOnce {
		t.wg.Go(t.work)
	}
	return t
}

// body is what the message with that ID has to say.
func body(id string) []byte {
	random := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(id))))
	size := random.IntN(1000)
	switch random.IntN(10) {
	case 0:
		size = random.IntN(400_000)
	case 1, 2:
		size = random.IntN(20_000)
	}
	b := make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], random.Uint64())
	}
	return b
}

// connect goes on in a session.
func (t *talker) connect(s *msrp.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stint, t.paused = &stint{session: s}, false
	t.changed.Broadcast()
	t.wg.Go(func() { t.receive(s) })
}

// terms are those of the talker's sessions, which tell when they are connected.
func (t *talker) terms() msrp.SessionOptions {
	return msrp.SessionOptions{StateChanged: func(msrp.State, error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.changed.Broadcast()
	}}
}

// pause waits until the outcome of every message is known, because something on
// the way was killed.
func (t *talker) pause(killed string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paused = true
	if t.stint != nil {
		t.stint.killed += " " + killed
	}
	for t.busy > 0 {
		t.changed.Wait()
	}
}

// stop begins no more messages, and waits for the outcome of those there are and
// of a last one, which arrives behind them all.
func (t *talker) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.changed.Broadcast()
	for t.busy > 0 || len(t.open) > 0 {
		t.changed.Wait()
	}
	t.mu.Unlock()
	id := msrp.NewID()
	t.ledger.write("out", t.name, id)
	t.carry(id, true, 0)
	t.mu.Lock()
}

func (t *talker) work() {
	timeout := deliveryTimeout
	if t.resends {
		timeout = 0
	}
	for {
		id, ok := t.begin()
		if !ok {
			return
		}
		t.carry(id, t.resends || id[0]&3 > 0, timeout)
		t.mu.Lock()
		t.busy--
		t.changed.Broadcast()
		t.mu.Unlock()
	}
}

// begin returns the ID of the next message, as soon as it is time for one.
func (t *talker) begin() (id string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Before the peer has connected a session promises nothing.
	for !t.stopped && (t.paused || t.stint == nil || t.stint.session.State() != msrp.StateConnected) {
		t.changed.Wait()
	}
	if len(t.open) > 0 {
		id, t.open = t.open[0], t.open[1:]
	} else if t.stopped {
		return "", false
	} else {
		id = msrp.NewID()
		t.ledger.write("out", t.name, id)
	}
	t.busy++
	return id, true
}

// next waits for a stint that is not the one that was.
func (t *talker) next(was *stint) *stint {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.stint == nil || t.stint == was {
		t.changed.Wait()
	}
	return t.stint
}

// carry sends a message until there is nothing to do for it any more.
func (t *talker) carry(id string, wantsReport bool, timeout time.Duration) {
	ctx := context.Background()
	fresh := func() *msrp.Message {
		return &msrp.Message{
			ID: id, ContentType: "application/octet-stream", Body: bytes.NewReader(body(id)),
			SuccessReport: wantsReport, DeliveryTimeout: timeout,
		}
	}
	m := fresh()
	if m.Body.(*bytes.Reader).Size() >= largeMessage {
		t.large.Add(1)
		defer t.large.Add(-1)
	}
	for at := t.next(nil); ; at = t.next(at) {
		out, err := at.session.Send(ctx, m)
		switch {
		case err != nil:
			m = fresh()
		case wantsReport:
			err = out.Delivered(ctx)
		default:
			err = out.Sent(ctx)
		}
		switch {
		case err == nil && wantsReport:
			t.tell(id, delivered)
			return
		case err == nil:
			t.wg.Go(func() { t.follow(at, out) })
			return
		case !t.resends && out == nil:
			t.tell(id, failed)
			return
		case !t.resends:
			t.tell(id, outcomeOf(out, err))
			return
		}
		if out != nil {
			if m, err = out.Again(ctx); err != nil {
				panic(err)
			}
		}
		t.ledger.write("again", t.name, id)
	}
}

// follow tells of a message that the next hop took, once nothing more can come.
func (t *talker) follow(at *stint, out *msrp.Outgoing) {
	<-at.session.Done()
	switch err := out.Progress().Err; {
	case err != nil:
		t.tell(out.ID(), outcomeOf(out, err))
	case !errors.Is(at.session.Err(), msrp.ErrSessionClosed):
		t.tell(out.ID(), unknown) // it went the way of the connection
	default:
		t.mu.Lock()
		killed := at.killed
		t.mu.Unlock()
		t.tell(out.ID(), taken+killed)
	}
}

func (t *talker) tell(id, outcome string) { t.ledger.write("told", t.name, id, outcome) }

// outcomeOf says what an error of a message means: a code other than 408 about
// the message itself that it did not arrive.
func outcomeOf(out *msrp.Outgoing, err error) string {
	var status *msrp.StatusError
	if errors.As(err, &status) && status.MessageID == out.ID() && status.Code != msrp.StatusTimeout {
		return failed
	}
	return unknown
}

// receive enters what comes in a session, to its end.
func (t *talker) receive(s *msrp.Session) {
	for {
		in, err := s.Receive(context.Background())
		if err != nil {
			return
		}
		t.wg.Go(func() {
			got, err := io.ReadAll(in)
			if err != nil {
				return // the rest did not come
			}
			how := "good"
			if !bytes.Equal(got, body(in.ID)) {
				how = "bad"
			}
			t.ledger.receive(t.name, in.ID, how)
		})
	}
}
