package chatroom_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/chatroom"
	"github.com/webmsrp/webmsrp/msrp/cpim"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

var (
	alice = cpim.Address{Name: "Alice", URI: "sip:alice@example.com"}
	bob   = cpim.Address{Name: "Bob", URI: "sip:bob@example.com"}
)

// room returns a chat room of which the SDP has these lines.
func room(t *testing.T, lines ...string) chatroom.Room {
	t.Helper()
	d, err := sdp.Parse("v=0\r\no=- 1 1 IN IP4 chat.example.com\r\ns=-\r\nt=0 0\r\nm=message 12763 TCP/MSRP *\r\n" +
		"a=path:msrp://chat.example.com:12763/kjhd37s2s20w2a;tcp\r\n" + strings.Join(lines, "\r\n") + "\r\n")
	require.NoError(t, err)
	s, err := d.Stream(0)
	require.NoError(t, err)
	return chatroom.Room{URI: roomURI, Stream: s}
}

// The SDP of the example of RFC 7701, section 9.1, and others.
const (
	onlyCPIM = "a=accept-types:message/cpim"
	wrapped  = "a=accept-wrapped-types:text/plain text/html"
	features = "a=chatroom:nickname private-messages"
)

func TestFeatures(t *testing.T) {
	t.Attr("requirement", "X-22")
	for line, want := range map[string][2]bool{
		features:                      {true, true},
		"a=chatroom:private-messages": {false, true},
		"a=chatroom:nickname com.example.chat.foo": {true, false},
		"a=chatroom":           {},
		"a=sendrecv":           {},
		"a=chatroom:nicknames": {}, // the prose of RFC 7701, but not its grammar
	} {
		r := room(t, onlyCPIM, wrapped, line)
		assert.Equal(t, want, [2]bool{r.Nicknames(), r.PrivateMessages()}, line)

		_, err := r.PrivateMessage(alice, bob, "text/plain", nil)
		if want[1] {
			assert.NoError(t, err)
		} else {
			assert.ErrorIs(t, err, chatroom.ErrNoPrivateMessages)
		}
		if !want[0] {
			assert.ErrorIs(t, r.SetNickname(t.Context(), nil, "Alice"), chatroom.ErrNoNicknames, "before the session is asked")
		}
		_, err = r.Message(alice, "text/plain", nil)
		assert.NoError(t, err, "needs no feature")
	}
}

func TestMessage(t *testing.T) {
	t.Attr("requirement", "X-21")
	r := room(t, onlyCPIM, wrapped, features)
	m, err := r.Message(alice, "text/plain", strings.NewReader("Hi"))
	require.NoError(t, err)
	to, err := m.Header.To()
	require.NoError(t, err)
	assert.Equal(t, []cpim.Address{{URI: roomURI}}, to)
	from, err := m.Header.From()
	require.NoError(t, err)
	assert.Equal(t, alice, from)
	sent, err := m.Header.DateTime()
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), sent, time.Minute)
	e, err := r.Envelope(m)
	require.NoError(t, err)
	assert.Equal(t, chatroom.Envelope{From: alice, To: to[0]}, e)

	m, err = r.PrivateMessage(alice, bob, "text/html", strings.NewReader("psst"))
	require.NoError(t, err)
	to, err = m.Header.To()
	require.NoError(t, err)
	assert.Equal(t, []cpim.Address{bob}, to)
	e, err = r.Envelope(m)
	require.NoError(t, err)
	assert.Equal(t, chatroom.Envelope{From: alice, To: bob, Private: true}, e)

	for name, f := range map[string]func() error{
		"private to all": func() error {
			_, err := r.PrivateMessage(alice, cpim.Address{URI: "SIP:room@CHAT.example.com;x=y"}, "text/plain", nil)
			return err
		},
		"private to nobody": func() error { _, err := r.PrivateMessage(alice, cpim.Address{}, "text/plain", nil); return err },
		"from nobody":       func() error { _, err := r.Message(cpim.Address{Name: "Alice"}, "text/plain", nil); return err },
		"to more than one": func() error {
			_, err := r.PrivateMessage(alice, cpim.Address{URI: "sip:bob@example.com>\r\nTo: <sip:carol@example.com"}, "text/plain", nil)
			return err
		},
		"a type with a line break": func() error { _, err := r.Message(alice, "text/plain\r\nX: y", nil); return err },
		"in a room without a URI":  func() error { _, err := chatroom.Room{Stream: r.Stream}.Message(alice, "text/plain", nil); return err },
		"a type that is not taken": func() error { _, err := r.Message(alice, "image/png", nil); return err },
		"a room that takes no CPIM": func() error {
			_, err := room(t, "a=accept-types:text/plain").Message(alice, "text/plain", nil)
			return err
		},
		"private, a type not taken": func() error { _, err := r.PrivateMessage(alice, bob, "image/png", nil); return err },
	} {
		assert.Error(t, f(), name)
	}
	_, err = r.Message(alice, "image/png", nil)
	assert.ErrorIs(t, err, msrp.ErrUnsupportedType)
}

func TestEnvelope(t *testing.T) {
	t.Attr("requirement", "X-21")
	for to, private := range map[string]string{
		"To: <sip:room@chat.example.com>":                            "no",
		"To: Room <SIP:room@Chat.Example.COM;transport=tcp>":         "no",
		"To: <sip:room@chat.example.com?subject=x>":                  "no",
		"To: <sip:Room@chat.example.com>":                            "yes",
		"To: <sips:room@chat.example.com>":                           "yes",
		"To: <sip:room@chat.example.com:5061>":                       "yes",
		"To: <sip:bob@example.com;x=@chat.example.com>":              "yes",
		"To: <sip:bob@example.com>":                                  "yes",
		"To: <tel:+358-555-1234567>":                                 "yes",
		"To: <sip:bob@example.com>\nTo: <sip:room@chat.example.com>": "-",
		"To: bob": "-",
		"X: y":    "-",
		"To: <sip:bob@example.com>\nFrom: <sip:carol@example.com>": "-",
	} {
		m := letter(t, "From: Alice <sip:alice@example.com>\n"+to)
		e, err := room(t, onlyCPIM).Envelope(m)
		if private == "-" {
			assert.Error(t, err, to)
			continue
		}
		require.NoError(t, err, to)
		assert.Equal(t, private == "yes", e.Private, to)
		assert.Equal(t, alice, e.From)
	}
	_, err := room(t, onlyCPIM).Envelope(letter(t, "To: <sip:room@chat.example.com>"))
	assert.ErrorIs(t, err, cpim.ErrNoHeader)
}

// letter reads a text with these message headers.
func letter(t *testing.T, header string) *cpim.Message {
	t.Helper()
	m, err := cpim.Read(strings.NewReader(header + "\n\nContent-Type: text/plain\n\nHi"))
	require.NoError(t, err)
	return m
}

// RFC 7701, sections 6.1 to 6.3.
func TestDeliver(t *testing.T) {
	t.Attr("requirement", "X-20")
	t.Attr("requirement", "X-21")
	t.Attr("requirement", "X-22")
	participant := func(stream sdp.Stream, uris ...string) *chatroom.Participant {
		return &chatroom.Participant{URIs: uris, Stream: stream}
	}
	able := room(t, "a=accept-types:message/cpim text/plain", features).Stream
	unaware := room(t, "a=accept-types:message/cpim text/plain").Stream
	pictures := room(t, "a=accept-types:message/cpim image/png", features).Stream
	people := map[string]*chatroom.Participant{
		"alice":  participant(able, alice.URI, "sip:anonymous-1@chat.example.com"),
		"alice2": participant(able, alice.URI),
		"bob":    participant(able, bob.URI),
		"bob2":   participant(unaware, bob.URI),
		"carol":  participant(unaware, "sip:carol@example.com"),
		"dave":   participant(pictures, "tel:+358-555-1234567"),
	}
	names := []string{"alice", "alice2", "bob", "bob2", "carol", "dave"}
	var all []*chatroom.Participant
	for _, name := range names {
		all = append(all, people[name])
	}
	const (
		fromAlice = "From: Alice <sip:alice@example.com>\n"
		toRoom    = "To: <sip:room@chat.example.com>"
	)
	for name, c := range map[string]struct {
		header   string // "" for no CPIM
		features string
		code     int
		to       string
	}{
		"to all":                        {fromAlice + toRoom, features, 200, "alice2 bob bob2 carol"},
		"anonymous":                     {"From: <sip:anonymous-1@chat.example.com>\n" + toRoom, features, 200, "alice2 bob bob2 carol"},
		"to all, without features":      {fromAlice + toRoom, "a=chatroom", 200, "alice2 bob bob2 carol"},
		"private":                       {fromAlice + "To: Bob <sip:bob@example.com>", features, 200, "bob"},
		"private, to other cases":       {fromAlice + "To: <SIP:bob@EXAMPLE.com;transport=tcp>", features, 200, "bob"},
		"private, to the own other end": {fromAlice + "To: <sip:alice@example.com>", features, 200, "alice2"},
		"private, of a type not taken":  {fromAlice + "To: <tel:+3585551234567>", features, 200, ""},
		"no CPIM":                       {"", features, 415, ""},
		"in another's name":             {"From: <sip:bob@example.com>\n" + toRoom, features, 403, ""},
		"in nobody's name":              {toRoom, features, 403, ""},
		"in two names":                  {fromAlice + "From: <sip:bob@example.com>\n" + toRoom, features, 403, ""},
		"in a name that looks alike":    {"From: <sip:bob@example.com;x=alice@example.com>\n" + toRoom, features, 403, ""},
		"in a name with another user":   {"From: <sip:Alice@example.com>\n" + toRoom, features, 403, ""},
		"to several":                    {fromAlice + "To: <sip:bob@example.com>\nTo: <sip:carol@example.com>", features, 403, ""},
		"to one and all":                {fromAlice + "To: <sip:bob@example.com>\n" + toRoom, features, 403, ""},
		"to several, one of them none":  {fromAlice + "To: bob\n" + toRoom, features, 403, ""},
		"to somebody else":              {fromAlice + "To: <sip:eve@example.com>", features, 404, ""},
		"to who is none":                {fromAlice + "To: bob", features, 404, ""},
		"to nobody":                     {fromAlice + "Subject: x", features, 404, ""},
		"to who supports none":          {fromAlice + "To: <sip:carol@example.com>", features, 428, ""},
		"private, where there is none":  {fromAlice + "To: <sip:bob@example.com>", "a=chatroom:nickname", 403, ""},
	} {
		var m *cpim.Message
		if c.header != "" {
			m = letter(t, c.header)
		}
		to, code := room(t, onlyCPIM, wrapped, c.features).Deliver(m, people["alice"], all)
		assert.Equal(t, c.code, code, name)
		var got []string
		for _, p := range to {
			for n, other := range people {
				if p == other {
					got = append(got, n)
				}
			}
		}
		assert.Equal(t, c.to, strings.Join(got, " "), name)
	}
	m := letter(t, fromAlice+toRoom)
	m.ContentType = "image/png"
	_, code := room(t, onlyCPIM, wrapped, features).Deliver(m, people["alice"], all)
	assert.Equal(t, msrp.StatusUnsupportedType, code, "a type that the room does not take")
}

// What a later SDP leaves out is withdrawn (RFC 7701, section 8).
func TestWithdrawn(t *testing.T) {
	t.Attr("requirement", "X-22")
	before, after := room(t, onlyCPIM, wrapped, features), room(t, onlyCPIM, wrapped)
	m, err := before.PrivateMessage(alice, bob, "text/plain", nil)
	require.NoError(t, err)
	_, err = after.PrivateMessage(alice, bob, "text/plain", nil)
	assert.ErrorIs(t, err, chatroom.ErrNoPrivateMessages)
	assert.ErrorIs(t, after.SetNickname(t.Context(), nil, "Alice"), chatroom.ErrNoNicknames)

	sender, recipient := &chatroom.Participant{URIs: []string{alice.URI}}, &chatroom.Participant{URIs: []string{bob.URI}, Stream: before.Stream}
	all := []*chatroom.Participant{sender, recipient}
	to, code := before.Deliver(m, sender, all)
	assert.Equal(t, msrp.StatusOK, code)
	assert.Equal(t, []*chatroom.Participant{recipient}, to)
	recipient.Stream = after.Stream
	to, code = before.Deliver(m, sender, all)
	assert.Equal(t, msrp.StatusNoPrivateMessage, code)
	assert.Empty(t, to)
}

// A whole room: three join, take nicknames and write to all and to one.
func TestRoom(t *testing.T) {
	for _, id := range []string{"X-19", "X-20", "X-21", "X-22"} {
		t.Attr("requirement", id)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f := newFocus(sdp.ChatroomNickname, sdp.ChatroomPrivateMessages)
	join := func(uri string, declared ...string) (*msrp.Session, chatroom.Room) {
		s, r, err := f.join(ctx, uri, call.Options{
			Session:            msrp.SessionOptions{AcceptTypes: []string{cpim.ContentType}},
			AcceptWrappedTypes: []string{"text/plain"}, Chatroom: declared,
		})
		require.NoError(t, err)
		t.Cleanup(func() { s.Close() })
		require.NoError(t, s.Probe(ctx))
		return s, r
	}
	send := func(s *msrp.Session, m *cpim.Message, err error) int {
		require.NoError(t, err)
		body, size, err := m.Encode()
		require.NoError(t, err)
		_, err = s.Send(ctx, &msrp.Message{ContentType: cpim.ContentType, Body: body, Size: size})
		require.NoError(t, err)
		return <-f.decided
	}
	read := func(s *msrp.Session, r chatroom.Room) (chatroom.Envelope, string) {
		in, err := s.Receive(ctx)
		require.NoError(t, err)
		m, err := cpim.Read(in)
		require.NoError(t, err)
		e, err := r.Envelope(m)
		require.NoError(t, err)
		text, err := io.ReadAll(m.Body)
		require.NoError(t, err)
		return e, string(text)
	}
	carol := cpim.Address{URI: "sip:carol@example.com"}
	as, ar := join(alice.URI, sdp.ChatroomNickname, sdp.ChatroomPrivateMessages)
	bs, br := join(bob.URI, sdp.ChatroomPrivateMessages)
	cs, cr := join(carol.URI) // knows no chat rooms
	assert.True(t, ar.Nicknames())
	assert.True(t, ar.PrivateMessages())

	require.NoError(t, ar.SetNickname(ctx, as, "Alice"))
	var status *msrp.StatusError
	require.ErrorAs(t, br.SetNickname(ctx, bs, "Alice"), &status)
	assert.Equal(t, msrp.StatusNicknameInUse, status.Code)
	require.NoError(t, ar.SetNickname(ctx, as, "Queen of Hearts"))
	require.NoError(t, br.SetNickname(ctx, bs, "Alice"))
	require.NoError(t, br.SetNickname(ctx, bs, ""))
	require.NoError(t, ar.SetNickname(ctx, as, "Alice"))

	m, err := ar.PrivateMessage(alice, bob, "text/plain", strings.NewReader("psst"))
	assert.Equal(t, 200, send(as, m, err))
	m, err = ar.PrivateMessage(alice, carol, "text/plain", strings.NewReader("psst"))
	assert.Equal(t, 428, send(as, m, err))
	m, err = ar.Message(bob, "text/plain", strings.NewReader("I am Bob"))
	assert.Equal(t, 403, send(as, m, err))
	m, err = ar.Message(alice, "text/plain", strings.NewReader("Hello"))
	assert.Equal(t, 200, send(as, m, err))
	m, err = br.Message(bob, "text/plain", strings.NewReader("Hi"))
	assert.Equal(t, 200, send(bs, m, err))

	e, text := read(bs, br)
	assert.Equal(t, chatroom.Envelope{From: alice, To: bob, Private: true}, e)
	assert.Equal(t, "psst", text)
	for _, s := range []*msrp.Session{bs, cs} {
		e, text = read(s, cr)
		assert.Equal(t, chatroom.Envelope{From: alice, To: cpim.Address{URI: roomURI}}, e)
		assert.Equal(t, "Hello", text)
	}
	for _, s := range []*msrp.Session{as, cs} {
		e, text = read(s, ar)
		assert.Equal(t, bob, e.From)
		assert.Equal(t, "Hi", text)
	}
	// Without a wrapper nothing gets as far as the room.
	_, err = as.Send(ctx, msrp.Text("Hello"))
	assert.ErrorIs(t, err, msrp.ErrUnsupportedType)
}
