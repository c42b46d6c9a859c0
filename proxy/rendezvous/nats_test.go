package rendezvous

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/proxy/rendezvous/natstest"
)

// No name can be a subject of another kind, a pattern or more than one token.
func TestNamesAsSubjects(t *testing.T) {
	s := natstest.Start(t, 0)
	here, there := connect(t, s), connect(t, s)
	alice, bystander := join(unlimited{here}, "alice"), join(there, "bystander")
	for i, name := range []string{
		"*", ">", "webmsrp.>", "webmsrp.1.all", ".", "..", "a.b", "a b", "a\u00a0b", "$SYS.>", "_INBOX.x", `"`, "-", "_",
		"Alice", strings.Repeat("🦆", maxName),
	} {
		call := fmt.Sprint(i)
		require.NoError(t, alice.send(offerOf(call, name)))
		assert.Equal(t, CodeNobody, told(t, alice).Code, name)
		one := join(there, name)
		require.NoError(t, alice.send(offerOf(call, name)))
		m := told(t, one)
		assert.Equal(t, TypeOffer, m.Type, name)
		assert.Equal(t, "alice", m.From, name)
		require.NoError(t, one.send(Message{Type: TypeAnswer, Call: call, SDP: "answer"}))
		assert.Equal(t, TypeAnswer, told(t, alice).Type, name)
		one.leave(false)
		assert.Equal(t, TypeBye, told(t, alice).Type, name)
	}
	for i, to := range []string{"#", "#>", "#*.x", "#" + there.instance, "#" + there.instance + ".x", "#.", strings.Repeat("x", maxName+1), strings.Repeat("x", 60_000)} {
		require.NoError(t, alice.send(offerOf(fmt.Sprint("nowhere", i), to)))
		assert.Equal(t, CodeNobody, told(t, alice).Code, to)
	}
	assert.Empty(t, bystander.line.out)
}

// Of two who register a name at once, one has it, whatever the order in which
// instances hear of it.
func TestRegisteredAtOnce(t *testing.T) {
	s := natstest.Start(t, 0)
	here, there, third := connect(t, s), connect(t, s), connect(t, s)
	for i := range 50 {
		name := fmt.Sprint("alice", i)
		heard := [2]chan Message{make(chan Message, 9), make(chan Message, 9)}
		var wg sync.WaitGroup
		for k, bus := range []Bus{here, there} {
			wg.Go(func() { bus.Join(name, func(m Message) { heard[k] <- m }) })
		}
		wg.Wait()
		hear := func() (int, Message) {
			select {
			case m := <-heard[0]:
				return 0, m
			case m := <-heard[1]:
				return 1, m
			case <-time.After(guard):
				require.FailNow(t, "both have the name")
				return 0, Message{}
			}
		}
		loser, m := hear()
		assert.Equal(t, CodeReplaced, m.Code)
		third.Join("bob", func(Message) {}).Post(name, offerOf("c", name))
		winner, m := hear()
		assert.Equal(t, 1-loser, winner)
		assert.Equal(t, TypeOffer, m.Type)
	}
}

// Who registers later has the name, although the clock of the first is ahead.
func TestClocksDisagree(t *testing.T) {
	s := natstest.Start(t, 0)
	here, there := connect(t, s), connect(t, s)
	here.clock = time.Now().Add(time.Hour).UnixMilli()
	first := join(here, "alice")
	bob, carol := join(here, "bob"), join(there, "carol")
	require.NoError(t, bob.send(offerOf("c", "carol")))
	assert.Equal(t, TypeOffer, told(t, carol).Type) // what here said before has come as well
	second := join(there, "alice")
	assert.Equal(t, CodeReplaced, told(t, first).Code)
	require.NoError(t, bob.send(offerOf("d", "alice")))
	assert.Equal(t, TypeOffer, told(t, second).Type)
}

// An instance that is cut off says so: calls to others fail at once, its own
// users reach each other, and nobody is thrown out. When it is back, the newest
// of each name has it.
func TestCutOff(t *testing.T) {
	one := natstest.Start(t, 0)
	two := natstest.Start(t, 0, one)
	here, there := connect(t, one), connect(t, two)
	alice, bob := join(unlimited{here}, "alice"), join(there, "bob")
	talk := reach(t, alice, bob)
	assert.NoError(t, here.Ready())

	// A call that nobody has taken when it happens does not hang.
	silent, err := nats.Connect(one.ClientURL())
	require.NoError(t, err)
	t.Cleanup(silent.Close)
	taken, err := silent.SubscribeSync(subjectName + encode("silent"))
	require.NoError(t, err)
	require.NoError(t, silent.Flush())
	here.patience = time.Hour
	require.NoError(t, alice.send(offerOf("pending", "silent")))
	_, err = taken.NextMsgWithContext(t.Context())
	require.NoError(t, err)

	disconnected := here.conn.StatusChanged(nats.RECONNECTING)
	port := natstest.Port(one)
	natstest.Stop(one)
	event(t, disconnected)
	m := told(t, alice)
	assert.Equal(t, "pending", m.Call)
	assert.Equal(t, CodeUnavailable, m.Code)
	assert.ErrorIs(t, here.Ready(), ErrUnavailable)
	assert.False(t, here.Stats().Connected)
	require.NoError(t, alice.send(offerOf("cut", "bob")))
	m = told(t, alice)
	assert.Equal(t, CodeUnavailable, m.Code)
	assert.Equal(t, "bob cannot be reached at the moment", m.Reason)
	old, dave := join(here, "carol"), join(here, "dave")
	require.NoError(t, alice.send(offerOf("local", "dave")))
	assert.Equal(t, TypeOffer, told(t, dave).Type)
	require.NoError(t, dave.send(Message{Type: TypeRefuse, Call: "local", Code: CodeDeclined}))
	assert.Equal(t, CodeDeclined, told(t, alice).Code)
	there.clock = old.member.(*natsMember).stamp // later, even in the same millisecond
	carol := join(there, "carol")
	// bob hangs up meanwhile, alice hears of it when it is possible.
	require.NoError(t, alice.send(Message{Type: TypeBye, Call: talk}))

	natstest.Start(t, port, two)
	assert.Equal(t, TypeBye, told(t, bob).Type)
	m = told(t, old)
	assert.Equal(t, CodeReplaced, m.Code)
	assert.NoError(t, here.Ready())
	assert.EqualValues(t, 1, here.Stats().Reconnects)
	reach(t, alice, carol)
	assert.Empty(t, carol.line.out, "carol keeps her name")
}

// reach calls until the call gets through: a name needs a moment to be known
// through a cluster.
func reach(t *testing.T, from, to *calls) (call string) {
	for end := time.Now().Add(guard); time.Now().Before(end); {
		call = msrp.NewID()
		require.NoError(t, from.send(offerOf(call, to.name)))
		select {
		case m := <-to.line.out:
			require.Equal(t, TypeOffer, m.Type)
			require.NoError(t, to.send(Message{Type: TypeAnswer, Call: call, SDP: "answer"}))
			require.Equal(t, TypeAnswer, told(t, from).Type)
			return call
		case m := <-from.line.out:
			require.Contains(t, []int{CodeNobody, CodeUnavailable}, m.Code, m.Reason)
		}
	}
	require.FailNow(t, to.name+" cannot be reached")
	return ""
}

func event[T any](t *testing.T, c <-chan T) T {
	select {
	case v := <-c:
		return v
	case <-time.After(guard):
		require.FailNow(t, "it does not happen")
		panic("")
	}
}

// A call to someone whose instance has died without NATS knowing it yet fails
// after a while, and whoever registers the name has it at once.
func TestDeadInstance(t *testing.T) {
	s := natstest.Start(t, 0)
	here, there := connect(t, s), connect(t, s)
	dead, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(dead.Close)
	offers, err := dead.SubscribeSync(subjectName + encode("bob"))
	require.NoError(t, err)
	require.NoError(t, dead.Flush())
	here.patience = time.Millisecond
	alice := join(here, "alice")
	require.NoError(t, alice.send(offerOf("c", "bob")))
	m := told(t, alice)
	assert.Equal(t, CodeUnavailable, m.Code)
	for _, want := range []string{TypeOffer, TypeBye} { // had it only been slow, it would not ring on
		got, err := offers.NextMsg(guard)
		require.NoError(t, err)
		assert.Contains(t, string(got.Data), `"type":"`+want+`"`)
	}
	assert.EqualValues(t, 1, here.Stats().Lost)

	here.patience = receiptTime
	bob := join(there, "bob")
	require.NoError(t, alice.send(offerOf("d", "bob")))
	assert.Equal(t, TypeOffer, told(t, bob).Type)
}

// The answer to a caller whose instance is gone ends the call.
func TestAnswerToTheDead(t *testing.T) {
	s := natstest.Start(t, 0)
	here, there := connect(t, s), connect(t, s)
	alice, bob := join(here, "alice"), join(there, "bob")
	require.NoError(t, alice.send(offerOf("c", "bob")))
	assert.Equal(t, TypeOffer, told(t, bob).Type)
	here.conn.Close()
	require.NoError(t, there.conn.Flush())
	require.NoError(t, bob.send(Message{Type: TypeAnswer, Call: "c", SDP: "answer"}))
	m := told(t, bob)
	assert.Equal(t, TypeBye, m.Type)
	assert.Equal(t, "the caller is gone", m.Reason)
}

// What others write to the subjects does no harm.
func TestJunkOnSubjects(t *testing.T) {
	s := natstest.Start(t, 0)
	here, there := connect(t, s), connect(t, s)
	alice, bob := join(here, "alice"), join(there, "bob")
	stranger, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(stranger.Close)
	for _, subject := range []string{
		subjectAll, subjectName + encode("alice"), subjectInstance + here.instance,
		subjectReceipt + here.instance + ".1", subjectReceipt + here.instance + ".x",
	} {
		for _, text := range []string{"", "{", "[]", "null", "{}", `{"recipient":"alice"}`, `{"type":"offer"}`, `{"claims":[{}]}`, `{"claims":[{"name":"alice","stamp":-1}]}`, `{"stamp":"x"}`, "\xff", strings.Repeat("[", 100_000)} {
			require.NoError(t, stranger.Publish(subject, []byte(text)))
		}
	}
	require.NoError(t, stranger.Flush())
	require.NoError(t, bob.send(offerOf("c", "alice")))
	for m := told(t, alice); m.Type != TypeOffer || m.From != "bob"; m = told(t, alice) {
		assert.Empty(t, m.Code)
	}
}

// A name that was had twice while the cluster was split is the newest's once
// either side announces its names.
func TestSplitHeals(t *testing.T) {
	s := natstest.Start(t, 0)
	here, there := connect(t, s), connect(t, s)
	for i, side := range []*NATS{here, there} {
		name := fmt.Sprint("alice", i)
		first := join(here, name)
		kept := make(chan Message, 1)
		there.mu.Lock()
		there.holders[name] = &natsMember{
			memoryMember: &memoryMember{name: name, deliver: func(m Message) { kept <- m }}, stamp: first.member.(*natsMember).stamp + 1,
		}
		there.mu.Unlock()
		side.announce()
		assert.Equal(t, CodeReplaced, told(t, first).Code)
		assert.Empty(t, kept)
	}
}

// More names than one announcement holds.
func TestAnnounceMany(t *testing.T) {
	s := natstest.Start(t, 0)
	here := connect(t, s)
	const many = 2*claimsAtOnce + 1
	for i := range many {
		here.holders[fmt.Sprint(i)] = &natsMember{memoryMember: &memoryMember{}}
	}
	listener, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(listener.Close)
	notices, err := listener.SubscribeSync(subjectAll)
	require.NoError(t, err)
	require.NoError(t, listener.Flush())
	here.announce()
	seen := map[string]bool{}
	for len(seen) < many {
		m, err := notices.NextMsg(guard)
		require.NoError(t, err)
		var n notice
		require.NoError(t, json.Unmarshal(m.Data, &n))
		assert.LessOrEqual(t, len(n.Claims), claimsAtOnce)
		for _, c := range n.Claims {
			seen[c.Name] = true
		}
	}
}

// Registrations end with the server, and those in calls are told at once.
func TestServerCloses(t *testing.T) {
	everywhere(t, func(t *testing.T, here, there Bus) {
		var s *Server
		alice := dial(t, serve(t, here), "alice")
		bob := dial(t, serve(t, there, func(made *Server) { s = made }), "bob")
		go func() { incoming(t, bob).Answer("answer") }()
		call, _, err := alice.Call(deadline(t), "bob", "offer")
		require.NoError(t, err)
		s.Close(guard)
		assert.Equal(t, "bob is gone", over(t, call))
		event(t, bob.Done())
		assert.Equal(t, &RefusedError{CodeUnavailable, "the server stops"}, bob.Err())
		_, _, err = alice.Call(deadline(t), "bob", "offer")
		assert.ErrorContains(t, err, "404")
	})
}

// Settings that cannot work are errors at the start.
func TestConnectErrors(t *testing.T) {
	config := func(url string) NATSConfig {
		return NATSConfig{Servers: []string{url}, Log: slog.New(slog.DiscardHandler)}
	}
	s := natstest.StartWith(t, &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		Users: []*server.User{
			{Username: "all", Password: "secret"},
			{Username: "ours", Password: "secret", Permissions: permissions("webmsrp.>", "webmsrp.>")},
			{Username: "deaf", Password: "secret", Permissions: permissions("webmsrp.>", "other.>")},
			{Username: "dumb", Password: "secret", Permissions: permissions("other.>", "webmsrp.>")},
		},
	}, 0)
	for user, want := range map[string]string{
		"all:secret": "", "ours:secret": "", "all:wrong": "Authorization Violation", "": "Authorization Violation",
		"deaf:secret": "Permissions Violation for Subscription", "dumb:secret": "Permissions Violation for Publish",
	} {
		b, err := ConnectNATS(config("nats://" + user + "@" + s.Addr().String()))
		if want != "" {
			assert.ErrorContains(t, err, want, user)
			continue
		}
		require.NoError(t, err, user)
		b.Close()
	}
	_, err := ConnectNATS(config("tls://all:secret@" + s.Addr().String()))
	assert.ErrorContains(t, err, "secure")
	address := s.Addr().String()
	natstest.Stop(s)
	_, err = ConnectNATS(config("nats://all:secret@" + address))
	assert.ErrorIs(t, err, nats.ErrNoServers)
}

// NATS over TLS with an authority of one's own, and credentials in a file.
func TestConnectSecurely(t *testing.T) {
	pair, err := msrpnet.SelfSigned("127.0.0.1")
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)

	operator, account, user := key(t, nkeys.CreateOperator), key(t, nkeys.CreateAccount), key(t, nkeys.CreateUser)
	operatorJWT, err := jwt.NewOperatorClaims(operator.public).Encode(operator)
	require.NoError(t, err)
	trusted, err := jwt.DecodeOperatorClaims(operatorJWT)
	require.NoError(t, err)
	accountJWT, err := jwt.NewAccountClaims(account.public).Encode(operator)
	require.NoError(t, err)
	userJWT, err := jwt.NewUserClaims(user.public).Encode(account)
	require.NoError(t, err)
	seed, err := user.Seed()
	require.NoError(t, err)
	text, err := jwt.FormatUserConfig(userJWT, seed)
	require.NoError(t, err)
	credentials := filepath.Join(t.TempDir(), "user.creds")
	require.NoError(t, os.WriteFile(credentials, text, 0o600))

	accounts := &server.MemAccResolver{}
	require.NoError(t, accounts.Store(account.public, accountJWT))
	s := natstest.StartWith(t, &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, TLS: true, TLSTimeout: 5,
		TLSConfig:        &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}},
		TrustedOperators: []*jwt.OperatorClaims{trusted}, AccountResolver: accounts,
	}, 0)
	log := slog.New(slog.DiscardHandler)
	servers := []string{"tls://" + s.Addr().String()}
	_, err = ConnectNATS(NATSConfig{Servers: servers, Credentials: credentials, Log: log})
	assert.ErrorContains(t, err, "unknown authority")
	_, err = ConnectNATS(NATSConfig{Servers: servers, Roots: roots, Log: log})
	assert.ErrorContains(t, err, "Authorization Violation")
	b, err := ConnectNATS(NATSConfig{Servers: servers, Roots: roots, Credentials: credentials, Log: log})
	require.NoError(t, err)
	assert.NoError(t, b.Ready())
	b.Close()
}

// A keyPair is a key of NATS with its public half.
type keyPair struct {
	nkeys.KeyPair
	public string
}

func key(t *testing.T, create func() (nkeys.KeyPair, error)) keyPair {
	k, err := create()
	require.NoError(t, err)
	public, err := k.PublicKey()
	require.NoError(t, err)
	return keyPair{k, public}
}

func permissions(publish, subscribe string) *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{publish}},
		Subscribe: &server.SubjectPermission{Allow: []string{subscribe}},
	}
}
