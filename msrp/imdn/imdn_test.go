package imdn

import (
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/cpim"
)

var alice, bob = cpim.Address{Name: "Alice", URI: "im:alice@example.com"}, cpim.Address{Name: "Bob", URI: "im:bob@example.com"}

func read(t *testing.T, text string) *cpim.Message {
	t.Helper()
	m, err := cpim.Read(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")))
	require.NoError(t, err)
	return m
}

// The example of RFC 5438, section 7.1.1.3, and what else may stand in its
// place.
func TestReadRequest(t *testing.T) {
	t.Attr("requirement", "X-08")
	t.Attr("requirement", "X-09")
	const example = `From: Alice <im:alice@example.com>
To: Bob <im:bob@example.com>
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: 34jk324j
DateTime: 2006-04-04T12:16:49-05:00
imdn.Disposition-Notification: positive-delivery, negative-delivery
Content-type: text/plain
Content-length: 12

Hello World
`
	want := Request{
		MessageID: "34jk324j", DateTime: "2006-04-04T12:16:49-05:00", From: alice, To: []cpim.Address{bob},
		Wanted: PositiveDelivery | NegativeDelivery,
	}
	carol := cpim.Address{URI: "im:carol@example.com"}
	for name, c := range map[string]struct {
		old, new string
		change   func(r *Request) // nil where there is no request
	}{
		"the example":           {"", "", func(*Request) {}},
		"all":                   {"negative-delivery", "negative-delivery,display , processing", func(r *Request) { r.Wanted = 15 }},
		"what is not known":     {"negative-delivery", "negative-delivery;x=y, interworking;a=b,Display", func(*Request) {}},
		"in two headers":        {"To:", "NS: imdn <urn:ietf:params:imdn>\nimdn.Disposition-Notification: display\nTo:", func(r *Request) { r.Wanted |= Display }},
		"two recipients":        {"NS:", "To: <im:carol@example.com>\nNS:", func(r *Request) { r.To = append(r.To, carol) }},
		"before it was sent on": {"Content-type", "imdn.Original-To: <im:carol@example.com>\nContent-type", func(r *Request) { r.OriginalTo = carol.URI }},
		"by servers": {
			"Content-type", "imdn.IMDN-Record-Route: Bob <im:bob@example.com>\nimdn.IMDN-Record-Route: <im:carol@example.com>\nContent-type",
			func(r *Request) { r.RecordRoute = []cpim.Address{bob, carol} },
		},
		"an ID that is not a token":   {"34jk324j", "<a/b@c>", func(r *Request) { r.MessageID = "<a/b@c>" }},
		"nothing asked":               {"positive-delivery, negative-delivery", "", nil},
		"not asked":                   {"imdn.Disposition-Notification: positive-delivery, negative-delivery\n", "", nil},
		"only what is not known":      {"positive-delivery, negative-delivery", "Display", nil},
		"in another namespace":        {"urn:ietf:params:imdn", "urn:ietf:params:IMDN", nil},
		"no namespace":                {"NS: imdn <urn:ietf:params:imdn>\n", "", nil},
		"no Message-ID":               {"imdn.Message-ID: 34jk324j\n", "", nil},
		"an empty Message-ID":         {"34jk324j", "", nil},
		"a Message-ID with a blank":   {"34jk324j", "34jk 324j", nil},
		"a Message-ID too long":       {"34jk324j", strings.Repeat("x", maxID+1), nil},
		"no DateTime":                 {"DateTime: 2006-04-04T12:16:49-05:00\n", "", nil},
		"no From":                     {"From: Alice <im:alice@example.com>\n", "", nil},
		"no To":                       {"To: Bob <im:bob@example.com>\n", "", nil},
		"a route that is none":        {"Content-type", "imdn.IMDN-Record-Route: bob\nContent-type", nil},
		"an Original-To that is none": {"Content-type", "imdn.Original-To: bob\nContent-type", nil},
		"of a notification":           {"text/plain", "message/IMDN+xml; charset=utf-8", nil},
		"of several notifications":    {"text/plain", "multipart/mixed\nContent-Disposition: Notification; x=y", nil},
	} {
		text := strings.Replace(example, c.old, c.new, 1)
		got, ok := ReadRequest(read(t, text))
		assert.Equal(t, c.change != nil, ok, name)
		if ok {
			want := want
			c.change(&want)
			assert.Equal(t, want, got, name)
		}
	}
	got, ok := ReadRequest(read(t, strings.NewReplacer("NS: imdn", "NS: I", "imdn.", "I.").Replace(example)))
	assert.True(t, ok, "another prefix")
	assert.Equal(t, want, got)
}

func TestAsk(t *testing.T) {
	t.Attr("requirement", "X-09")
	synctest.Test(t, func(t *testing.T) {
		h := cpim.Header{cpim.From(alice), cpim.To(bob)}
		id, err := Ask(&h, "", PositiveDelivery|Display)
		require.NoError(t, err)
		assert.Len(t, id, 26)
		text, err := (&cpim.Message{Header: h, ContentType: "text/plain"}).Head()
		require.NoError(t, err)
		assert.Equal(t, "From: Alice <im:alice@example.com>\r\n"+
			"To: Bob <im:bob@example.com>\r\n"+
			"NS: imdn <urn:ietf:params:imdn>\r\n"+
			"imdn.Message-ID: "+id+"\r\n"+
			"DateTime: "+time.Now().Format(time.RFC3339)+"\r\n"+
			"imdn.Disposition-Notification: positive-delivery, display\r\n"+
			"\r\nContent-Type: text/plain\r\n\r\n", string(text))
		r, ok := ReadRequest(&cpim.Message{Header: h, ContentType: "text/plain"})
		require.True(t, ok)
		assert.Equal(t, id, r.MessageID)
		assert.Equal(t, PositiveDelivery|Display, r.Wanted)

		_, err = Ask(&h, "", Display)
		assert.ErrorContains(t, err, "has a Message-ID")
	})

	sent := cpim.DateTime(time.Date(2006, 4, 4, 12, 16, 49, 0, time.UTC))
	h := cpim.Header{sent, cpim.NS("imdn", "urn:x"), cpim.NS("n", Namespace)}
	id, err := Ask(&h, "34jk324j", Processing|NegativeDelivery)
	require.NoError(t, err)
	assert.Equal(t, "34jk324j", id)
	assert.Equal(t, cpim.Header{
		sent, cpim.NS("imdn", "urn:x"), cpim.NS("n", Namespace),
		{Name: "n.Message-ID", Value: "34jk324j"},
		{Name: "n.Disposition-Notification", Value: "negative-delivery, processing"},
	}, h)

	for name, c := range map[string]struct {
		id string
		d  Disposition
		h  cpim.Header
	}{
		"nothing":             {"", 0, nil},
		"what there is not":   {"", 16, nil},
		"an ID with a blank":  {"a b", Display, nil},
		"an ID not of XML":    {"a\uffffb", Display, nil},
		"an ID with CRLF":     {"a\r\nb", Display, nil},
		"an ID not a token":   {"<a@b>", Display, nil},
		"a time that is none": {"", Display, cpim.Header{{Name: "DateTime", Value: "today"}}},
	} {
		before := len(c.h)
		_, err := Ask(&c.h, c.id, c.d)
		assert.Error(t, err, name)
		assert.Len(t, c.h, before, name)
	}
	assert.NotEqual(t, NewMessageID(), NewMessageID())
}

func TestNotify(t *testing.T) {
	t.Attr("requirement", "X-08")
	relay1, relay2 := cpim.Address{URI: "im:relay1@example.com"}, cpim.Address{Name: "R", URI: "im:relay2@example.com"}
	r := Request{
		MessageID: "34jk324j", DateTime: "2008-04-04T12:16:49-05:00", From: alice, To: []cpim.Address{bob},
		RecordRoute: []cpim.Address{relay1, relay2}, Wanted: PositiveDelivery | Display | Processing,
	}
	m, err := r.Notify(cpim.Address{}, TypeDisplay, Displayed)
	require.NoError(t, err)
	body, _, err := m.Encode()
	require.NoError(t, err)
	got, err := cpim.Read(body)
	require.NoError(t, err)

	from, err := got.Header.From()
	require.NoError(t, err)
	assert.Equal(t, bob, from)
	to, err := got.Header.To()
	require.NoError(t, err)
	assert.Equal(t, []cpim.Address{alice}, to)
	id, ok := got.Header.Get(Namespace, "Message-ID")
	assert.True(t, ok)
	assert.NotEqual(t, r.MessageID, id.Value)
	var routes []string
	for _, f := range got.Header.Fields(Namespace, "IMDN-Route") {
		routes = append(routes, f.Value)
	}
	assert.Equal(t, []string{"<im:relay1@example.com>", "R <im:relay2@example.com>"}, routes)
	assert.Empty(t, got.Header.Fields(Namespace, "IMDN-Record-Route"))
	assert.Empty(t, got.Header.Fields(Namespace, "Disposition-Notification"))
	assert.Equal(t, ContentType, got.ContentType)
	assert.Equal(t, "notification", got.MIME.Get("Content-Disposition"))
	assert.True(t, IsNotification(got))
	n, err := ReadNotification(got)
	require.NoError(t, err)
	assert.Equal(t, Notification{
		MessageID: "34jk324j", DateTime: "2008-04-04T12:16:49-05:00",
		Recipient: "im:bob@example.com", OriginalRecipient: "im:bob@example.com",
		Type: TypeDisplay, Status: Displayed,
	}, n)
	_, ok = ReadRequest(got)
	assert.False(t, ok)

	// The recipient is one of several, behind a server.
	r.To, r.OriginalTo, r.RecordRoute = []cpim.Address{alice, bob}, "im:team@example.com", nil
	_, err = r.Notify(cpim.Address{}, TypeDelivery, Delivered)
	assert.ErrorContains(t, err, "which")
	m, err = r.Notify(bob, TypeDelivery, Delivered)
	require.NoError(t, err)
	n, err = ReadNotification(m)
	require.NoError(t, err)
	assert.Equal(t, "im:team@example.com", n.OriginalRecipient)
	assert.Equal(t, "im:bob@example.com", n.Recipient)
	assert.Empty(t, m.Header.Fields(Namespace, "IMDN-Route"))

	_, err = r.Notify(bob, TypeDelivery, Failed)
	assert.ErrorContains(t, err, "does not want")
	r.DateTime = ""
	_, err = r.Notify(bob, TypeDelivery, Delivered)
	assert.ErrorContains(t, err, "incomplete")
}

// What can become of a message: each is told if it is asked for, once, and
// arrives as it was told.
func TestFates(t *testing.T) {
	t.Attr("requirement", "X-08")
	t.Attr("requirement", "X-09")
	for status, c := range map[Status]struct {
		wish Disposition
		typ  Type
	}{
		Delivered: {PositiveDelivery, TypeDelivery},
		Failed:    {NegativeDelivery, TypeDelivery},
		Displayed: {Display, TypeDisplay},
	} {
		letter := &cpim.Message{Header: cpim.Header{cpim.From(alice), cpim.To(bob)}, ContentType: "text/plain", Body: strings.NewReader("Hi")}
		id, err := Ask(&letter.Header, "", c.wish)
		require.NoError(t, err)
		body, _, err := letter.Encode()
		require.NoError(t, err)

		got, err := cpim.Read(body)
		require.NoError(t, err)
		r, ok := ReadRequest(got)
		require.True(t, ok)
		var tracker Tracker
		for _, other := range []Status{Delivered, Failed, Displayed} {
			typ := TypeDelivery
			if other == Displayed {
				typ = TypeDisplay
			}
			assert.Equal(t, other == status, tracker.Due(r, typ, other), "%s instead of %s", other, status)
			assert.False(t, tracker.Due(r, typ, other), "a second time")
		}
		answer, err := r.Notify(cpim.Address{}, c.typ, status)
		require.NoError(t, err)
		body, _, err = answer.Encode()
		require.NoError(t, err)

		got, err = cpim.Read(body)
		require.NoError(t, err)
		_, ok = ReadRequest(got)
		assert.False(t, ok, "nothing is to be told of a notification")
		n, err := ReadNotification(got)
		require.NoError(t, err)
		assert.Equal(t, [3]any{id, c.typ, status}, [3]any{n.MessageID, n.Type, n.Status})
	}
}

func TestWants(t *testing.T) {
	all := []Status{Delivered, Failed, Processed, Stored, Displayed, Forbidden, Error, "", "x"}
	for wanted, want := range map[Disposition]map[Type][]Status{
		0:                {},
		PositiveDelivery: {TypeDelivery: {Delivered, Forbidden, Error}},
		NegativeDelivery: {TypeDelivery: {Failed, Forbidden, Error}},
		Display:          {TypeDisplay: {Displayed, Forbidden, Error}},
		Processing:       {},
		15:               {TypeDelivery: {Delivered, Failed, Forbidden, Error}, TypeDisplay: {Displayed, Forbidden, Error}},
	} {
		for _, typ := range []Type{0, TypeDelivery, TypeProcessing, TypeDisplay, TypeDelivery | TypeDisplay} {
			var got []Status
			for _, s := range all {
				if (Request{Wanted: wanted}).Wants(typ, s) {
					got = append(got, s)
				}
			}
			assert.Equal(t, want[typ], got, "%v, type %d", wanted, typ)
		}
	}
}

func TestTracker(t *testing.T) {
	t.Attr("requirement", "X-08")
	var tracker Tracker
	r := Request{MessageID: "1", From: alice, Wanted: 15}
	assert.False(t, tracker.Due(r, TypeProcessing, Processed))
	assert.False(t, tracker.Due(Request{MessageID: "1", From: alice, Wanted: Display}, TypeDelivery, Delivered))
	assert.True(t, tracker.Due(r, TypeDelivery, Delivered))
	assert.False(t, tracker.Due(r, TypeDelivery, Delivered))
	assert.False(t, tracker.Due(r, TypeDelivery, Failed), "RFC 5438, section 7.2.1")
	assert.True(t, tracker.Due(r, TypeDisplay, Displayed))
	assert.False(t, tracker.Due(r, TypeDisplay, Error))
	assert.True(t, tracker.Due(Request{MessageID: "1", From: bob, Wanted: 15}, TypeDelivery, Delivered), "of another sender")

	// It forgets the oldest.
	for i := range maxTracked {
		assert.True(t, tracker.Due(Request{MessageID: "n" + strconv.Itoa(i), From: alice, Wanted: 15}, TypeDelivery, Delivered))
	}
	assert.False(t, tracker.Due(Request{MessageID: "n0", From: alice, Wanted: 15}, TypeDelivery, Delivered))
	assert.True(t, tracker.Due(r, TypeDelivery, Delivered))
	assert.False(t, tracker.Due(r, TypeDelivery, Delivered))
	assert.Len(t, tracker.made, maxTracked)
	assert.Len(t, tracker.order, maxTracked)
}

func TestDisposition(t *testing.T) {
	for d := range Disposition(16) {
		assert.Equal(t, d, ParseDisposition(d.String()))
	}
	assert.Equal(t, "positive-delivery, negative-delivery, processing, display", Disposition(15).String())
	assert.Equal(t, Disposition(0), ParseDisposition(" ,;, positive_delivery ,DISPLAY"))
}

// The example of RFC 5438, section 7.2.1.1.
func TestNotificationOfRFC5438(t *testing.T) {
	m := read(t, `From: Bob <im:bob@example.com>
To: Alice <im:alice@example.com>
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: d834jied93rf
Content-type: message/imdn+xml
Content-Disposition: notification
Content-length: ...

`+delivered)
	assert.True(t, IsNotification(m))
	from, err := m.Header.From()
	require.NoError(t, err)
	assert.Equal(t, bob, from)
	n, err := ReadNotification(m)
	require.NoError(t, err)
	assert.Equal(t, notification(TypeDelivery, Delivered), n)
}

func TestReadNotification(t *testing.T) {
	for name, m := range map[string]*cpim.Message{
		"a text":          {ContentType: "text/plain", Body: strings.NewReader(delivered)},
		"several at once": {ContentType: "multipart/mixed", Body: strings.NewReader(delivered)},
		"no content":      {ContentType: ContentType},
		"an empty one":    {ContentType: ContentType, Body: strings.NewReader("")},
	} {
		_, err := ReadNotification(m)
		assert.Error(t, err, name)
		assert.NotErrorIs(t, err, io.EOF, name)
	}
	n, err := ReadNotification(&cpim.Message{ContentType: "Message/IMDN+XML ; charset=utf-8", Body: strings.NewReader(delivered)})
	require.NoError(t, err)
	assert.Equal(t, Delivered, n.Status)
}
