package cpim

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crlf makes wire text of text with the line breaks of Go.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// read reads a whole message.
func read(t *testing.T, r io.Reader) (*Message, string) {
	t.Helper()
	m, err := Read(r)
	require.NoError(t, err)
	body, err := io.ReadAll(m.Body)
	require.NoError(t, err)
	return m, string(body)
}

// rfc3862 is the example of RFC 3862, section 5.1, its outer MIME headers
// included.
const rfc3862 = `Content-type: Message/CPIM

From: MR SANDERS <im:piglet@100akerwood.com>
To: Depressed Donkey <im:eeyore@100akerwood.com>
DateTime: 2000-12-13T13:40:00-08:00
Subject: the weather will be fine today
Subject:;lang=fr beau temps prevu pour aujourd'hui
NS: MyFeatures <mid:MessageFeatures@id.foo.com>
Require: MyFeatures.VitalMessageOption
MyFeatures.VitalMessageOption: Confirmation-requested
MyFeatures.WackyMessageOption: Use-silly-font

Content-type: text/xml; charset=utf-8
Content-ID: <1234567890@foo.com>

<body>
Here is the text of my message.
</body>
`

func TestExampleOfRFC3862(t *testing.T) {
	t.Attr("requirement", "X-01")
	wire := crlf(rfc3862)
	_, inner, _ := strings.Cut(wire, "\r\n\r\n")
	for name, r := range map[string]io.Reader{
		"with the headers of the whole": strings.NewReader(wire),
		"without":                       strings.NewReader(inner),
		"octet by octet":                iotest.OneByteReader(strings.NewReader(wire)),
		"lines that end in LF":          strings.NewReader(rfc3862),
		"a reader that ends with data":  iotest.DataErrReader(strings.NewReader(wire)),
	} {
		t.Run(name, func(t *testing.T) {
			m, body := read(t, r)
			body = strings.ReplaceAll(body, "\r", "")
			assert.Equal(t, "<body>\nHere is the text of my message.\n</body>\n", body)
			assert.Equal(t, "text/xml; charset=utf-8", m.ContentType)
			assert.Equal(t, MIMEHeader{{"Content-ID", "<1234567890@foo.com>"}}, m.MIME)
			assert.Equal(t, "<1234567890@foo.com>", m.MIME.Get("content-id"))
			assert.Empty(t, m.MIME.Get("Content-Disposition"))

			from, err := m.Header.From()
			require.NoError(t, err)
			assert.Equal(t, Address{"MR SANDERS", "im:piglet@100akerwood.com"}, from)
			to, err := m.Header.To()
			require.NoError(t, err)
			assert.Equal(t, []Address{{"Depressed Donkey", "im:eeyore@100akerwood.com"}}, to)
			cc, err := m.Header.Cc()
			require.NoError(t, err)
			assert.Empty(t, cc)
			sent, err := m.Header.DateTime()
			require.NoError(t, err)
			assert.Equal(t, "2000-12-13T21:40:00Z", sent.UTC().Format(time.RFC3339))
			assert.Equal(t, "the weather will be fine today", m.Header.Subject())
			subjects := m.Header.Fields(Namespace, "Subject")
			require.Len(t, subjects, 2)
			assert.Equal(t, "fr", subjects[1].Lang())
			assert.Equal(t, "beau temps prevu pour aujourd'hui", subjects[1].Text())

			const features = "mid:MessageFeatures@id.foo.com"
			option, ok := m.Header.Get(features, "WackyMessageOption")
			assert.True(t, ok)
			assert.Equal(t, "Use-silly-font", option.Value)
			assert.Equal(t, []string{"MyFeatures.VitalMessageOption"}, m.Header.Unknown(nil))
			assert.Empty(t, m.Header.Unknown(func(namespace, name string) bool {
				return namespace == features && name == "VitalMessageOption"
			}))

			_, err = m.Head()
			assert.ErrorContains(t, err, "Subject occurs twice", "RFC 4975, section 13")
			m.Header = append(m.Header[:4], m.Header[5:]...)
			head, err := m.Head()
			require.NoError(t, err)
			want := strings.Replace(inner[:len(inner)-len(crlf(body))], "Content-type", "Content-Type", 1)
			assert.Equal(t, strings.Replace(want, "Subject:;lang=fr beau temps prevu pour aujourd'hui\r\n", "", 1), string(head))
		})
	}
}

// What stands in front of the content is either whole or an error.
func TestCutHead(t *testing.T) {
	wire := crlf(rfc3862)
	m, body := read(t, strings.NewReader(wire))
	assert.EqualValues(t, len(wire)-len(body), m.HeadSize)
	for n := range len(wire) {
		m, err := Read(strings.NewReader(wire[:n]))
		if n < len(wire)-len(body) {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d octets", n)
			continue
		}
		require.NoError(t, err)
		got, err := io.ReadAll(m.Body)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(body, string(got)))
	}
	broken := errors.New("broken")
	_, err := Read(io.MultiReader(strings.NewReader(wire[:100]), iotest.ErrReader(broken)))
	assert.ErrorIs(t, err, broken)
	_, err = Read(stuck{})
	assert.ErrorIs(t, err, io.ErrNoProgress)
}

// stuck is a reader that never comes to anything.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestRead(t *testing.T) {
	const top = "From: <sip:a@x>\nTo: <sip:b@x>\n"
	const bottom = "Content-Type: text/plain\n\nHi"
	for name, c := range map[string]struct {
		text string
		head string // as printed, "" where Read fails
	}{
		"the least":                     {top + "\n" + bottom, top + "\nContent-Type: text/plain\n\n"},
		"no blank line, as in RFC 5438": {top + bottom, top + "\nContent-Type: text/plain\n\n"},
		"spelling of Content-Type kept apart": {
			top + "\ncontent-TYPE:text/plain\ncontent-length: 2\n\nHi", top + "\nContent-Type: text/plain\ncontent-length: 2\n\n",
		},
		"a folded header of the content": {
			top + "\nContent-type: multipart/mixed;\n   boundary=\"imdn-boundary\"\n\t\n;x=y\n\n", "",
		},
		"a folded type, as in RFC 5438, section 8.3": {
			top + "\nContent-type: multipart/mixed;\n   boundary=\"imdn-boundary\"\nContent-Disposition: notification\n\n",
			top + "\nContent-Type: multipart/mixed; boundary=\"imdn-boundary\"\nContent-Disposition: notification\n\n",
		},
		"no or many blanks behind a colon": {
			"From:<sip:a@x>\nTo:   <sip:b@x> \nSubject: \nx:\n\n" + bottom,
			top + "Subject: \nx: \n\nContent-Type: text/plain\n\n",
		},
		"several recipients and parameters": {
			top + "To: \"C\" <sip:c@x>\ncc: D <sip:d@x>\nSubject:;lang=de;x=\"a; b\\\"c\" Gruß\n\n" + bottom,
			top + "To: \"C\" <sip:c@x>\ncc: D <sip:d@x>\nSubject:;lang=de;x=\"a; b\\\"c\" Gruß\n\nContent-Type: text/plain\n\n",
		},
		"a value that looks like a parameter": {
			top + "x: ;y=z w\n\n" + bottom, top + "x: ;y=z w\n\nContent-Type: text/plain\n\n",
		},
		"other cases are other headers": {
			"FROM: x\n" + top + "CC: <>\ndatetime: today\n\n" + bottom,
			"FROM: x\n" + top + "CC: <>\ndatetime: today\n\nContent-Type: text/plain\n\n",
		},
		"no type":                        {top + "\nContent-ID: <1@x>\n\nHi", ""},
		"no headers of the content":      {top + "\n\nHi", ""},
		"an empty type":                  {top + "\nContent-Type: \n\nHi", ""},
		"two types":                      {top + "\nContent-Type: text/plain\nContent-type: text/html\n\nHi", ""},
		"a line without colon":           {top + "Hello\n\n" + bottom, ""},
		"a folded message header":        {top + "Subject: a\n b\n\n" + bottom, ""},
		"a blank in front of a line":     {" From: <sip:a@x>\n\n" + bottom, ""},
		"a blank in front of the type":   {top + "\n " + bottom, ""},
		"a name with a blank":            {top + "My name: x\n\n" + bottom, ""},
		"a blank in front of a colon":    {top + "x : y\n\n" + bottom, ""},
		"a name with two dots":           {top + "a.b.c: x\n\n" + bottom, ""},
		"a name without local part":      {top + "a.: x\n\n" + bottom, ""},
		"a lone CR":                      {top + "Subject: a\rFrom: <sip:c@x>\n\n" + bottom, ""},
		"NUL":                            {top + "Subject: a\x00\n\n" + bottom, ""},
		"TAB":                            {top + "Subject: a\tb\n\n" + bottom, ""},
		"DEL":                            {top + "Subject: a\x7f\n\n" + bottom, ""},
		"Latin-1":                        {top + "Subject: Gru\xdf\n\n" + bottom, ""},
		"a parameter without end":        {top + "Subject:;lang=\"fr x\n\n" + bottom, ""},
		"a parameter without name":       {top + "Subject:; x\n\n" + bottom, ""},
		"a control in the content's":     {top + "\nContent-Type: text/plain\rX: y\n\n", ""},
		"a nameless header of a content": {top + "\nContent-Type: text/plain\n: y\n\n", ""},
		"empty":                          {"", ""},
		"blank lines only":               {"\n\n", ""},
	} {
		for style, text := range map[string]string{"": crlf(c.text), ", LF": c.text} {
			t.Run(name+style, func(t *testing.T) {
				m, err := Read(strings.NewReader(text))
				_, errAgain := Read(iotest.OneByteReader(strings.NewReader(text)))
				assert.Equal(t, err, errAgain)
				if c.head == "" {
					require.Error(t, err)
					return
				}
				require.NoError(t, err)
				head, err := m.Head()
				require.NoError(t, err)
				assert.Equal(t, crlf(c.head), string(head))
			})
		}
	}
}

// The content can be a wrapped message itself, and is left alone.
func TestNested(t *testing.T) {
	inner := crlf("From: <sip:c@x>\nTo: <sip:d@x>\n\nContent-Type: text/plain\n\nFrom: nobody\n\n")
	outer := Message{Header: letter().Header, ContentType: ContentType, Body: strings.NewReader(inner)}
	body, _, err := outer.Encode()
	require.NoError(t, err)
	m, text := read(t, body)
	assert.Equal(t, ContentType, m.ContentType)
	m, text = read(t, strings.NewReader(text))
	from, err := m.Header.From()
	require.NoError(t, err)
	assert.Equal(t, "sip:c@x", from.URI)
	assert.Equal(t, "From: nobody\r\n\r\n", text)
}

func TestBounds(t *testing.T) {
	const end = "\r\nContent-Type: text/plain\r\n\r\nHi"
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"64 lines":           {strings.Repeat("x: y\r\n", 63) + end, true},
		"65 lines":           {strings.Repeat("x: y\r\n", 64) + end, false},
		"64 KiB":             {"x: " + strings.Repeat("y", 64<<10-len(end)+2-5) + "\r\n" + end, true},
		"64 KiB and 1 octet": {"x: " + strings.Repeat("y", 64<<10-len(end)+2-4) + "\r\n" + end, false},
		"a line for ever":    {strings.Repeat("y", 1<<20), false},
		"blank lines":        {strings.Repeat("\r\n", 1<<16), false},
		"folded for ever":    {"Content-Type: x\r\n" + strings.Repeat(" y\r\n", 100), false},
	} {
		r := strings.NewReader(c.text)
		m, err := Read(r)
		assert.Equal(t, c.ok, err == nil, name)
		assert.Less(t, int(r.Size())-r.Len(), 80<<10, name)
		if c.ok {
			body, err := io.ReadAll(m.Body)
			require.NoError(t, err)
			assert.Equal(t, "Hi", string(body))
			m.Header = append(m.Header, letter().Header...)
			_, err = m.Head()
			assert.Equal(t, errTooLong, err, name)
		}
	}
}

// letter returns a message that can be sent.
func letter() *Message {
	return &Message{
		Header: Header{
			From(Address{"Alice", "sip:alice@example.com"}),
			To(Address{"Bob", "sip:bob@example.com"}),
			DateTime(time.Date(2006, 5, 15, 15, 2, 31, 5, time.FixedZone("", -3*60*60))),
		},
		ContentType: "text/plain; charset=utf-8",
	}
}

// The header of the example of RFC 4975, section 11.4.
func TestEncode(t *testing.T) {
	t.Attr("requirement", "X-01")
	t.Attr("requirement", "X-04")
	const head = "From: Alice <sip:alice@example.com>\r\n" +
		"To: Bob <sip:bob@example.com>\r\n" +
		"DateTime: 2006-05-15T15:02:31-03:00\r\n" +
		"\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n" +
		"\r\n"
	const n = int64(len(head))
	const long = maxShort + 1
	text := "Hi \r\n\r\nBob"
	for name, c := range map[string]struct {
		body io.Reader
		size int64
		want int64
		text string
	}{
		"no content":             {nil, 0, n, ""},
		"a string":               {strings.NewReader(text), 0, n + 10, text},
		"octets, a wrong size":   {bytes.NewReader([]byte(text)), 99, n + 10, text},
		"a buffer":               {bytes.NewBufferString(text), 0, n + 10, text},
		"a long string":          {strings.NewReader(strings.Repeat("x", long)), 0, n + long, strings.Repeat("x", long)},
		"a stream of known size": {iotest.OneByteReader(strings.NewReader(text)), 10, n + 10, text},
		"a stream":               {iotest.OneByteReader(strings.NewReader(text)), 0, 0, text},
		"less than no size":      {iotest.OneByteReader(strings.NewReader(text)), -1, 0, text},
	} {
		t.Run(name, func(t *testing.T) {
			m := letter()
			m.Body, m.Size = c.body, c.size
			body, size, err := m.Encode()
			require.NoError(t, err)
			assert.Equal(t, c.want, size)
			wire, err := io.ReadAll(body)
			require.NoError(t, err)
			assert.Equal(t, head+c.text, string(wire))
			got, content := read(t, bytes.NewReader(wire))
			assert.Equal(t, m.Header, got.Header)
			assert.Equal(t, m.ContentType, got.ContentType)
			assert.Equal(t, c.text, content)
		})
	}
}

// A file is wrapped and unwrapped without being held.
func TestEncodeLargeFile(t *testing.T) {
	const size = 10 << 30
	m := letter()
	m.ContentType, m.Body, m.Size = "application/octet-stream", io.LimitReader(zeros{}, size), size
	body, total, err := m.Encode()
	require.NoError(t, err)
	got, err := Read(body)
	require.NoError(t, err)
	assert.EqualValues(t, size, total-got.HeadSize)
	n, err := io.CopyN(io.Discard, got.Body, 1<<20)
	require.NoError(t, err)
	assert.EqualValues(t, 1<<20, n)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Nothing a user supplies breaks the header.
func TestHeadRefuses(t *testing.T) {
	t.Attr("requirement", "X-01")
	t.Attr("requirement", "X-04")
	alice, bob := Address{"", "sip:a@x"}, Address{"", "sip:b@x"}
	for name, m := range map[string]*Message{
		"no From":                      {ContentType: "a/b", Header: Header{To(bob)}},
		"no To":                        {ContentType: "a/b", Header: Header{From(alice)}},
		"two of From":                  {ContentType: "a/b", Header: Header{From(alice), From(bob), To(bob)}},
		"two of From, one hidden":      {ContentType: "a/b", Header: Header{From(alice), NS("c", Namespace), {Name: "c.From", Value: "<sip:b@x>"}, To(bob)}},
		"no type":                      {Header: Header{From(alice), To(bob)}},
		"a type with a line break":     {ContentType: "a/b\r\nX: y", Header: Header{From(alice), To(bob)}},
		"a type that is blank":         {ContentType: " ", Header: Header{From(alice), To(bob)}},
		"a second type":                {ContentType: "a/b", MIME: MIMEHeader{{"content-type", "c/d"}}, Header: Header{From(alice), To(bob)}},
		"a MIME name with a colon":     {ContentType: "a/b", MIME: MIMEHeader{{"X:", "y"}}, Header: Header{From(alice), To(bob)}},
		"no MIME name":                 {ContentType: "a/b", MIME: MIMEHeader{{"", "y"}}, Header: Header{From(alice), To(bob)}},
		"a MIME value with LF":         {ContentType: "a/b", MIME: MIMEHeader{{"X", "y\n\n"}}, Header: Header{From(alice), To(bob)}},
		"no URI":                       {ContentType: "a/b", Header: Header{From(Address{Name: "A"}), To(bob)}},
		"a URI with CRLF":              {ContentType: "a/b", Header: Header{From(alice), To(Address{"", "sip:b@x>\r\nFrom: <sip:c@x"})}},
		"a URI with a bracket":         {ContentType: "a/b", Header: Header{From(Address{"", "sip:a@x> <sip:c@x"}), To(bob)}},
		"a URI with a blank":           {ContentType: "a/b", Header: Header{From(alice), To(Address{"", "sip:b x"})}},
		"a copy without URI":           {ContentType: "a/b", Header: Header{From(alice), To(bob), Cc(Address{})}},
		"a name of Latin-1":            {ContentType: "a/b", Header: Header{From(Address{"J\xf6rg", "sip:a@x"}), To(bob)}},
		"no time":                      {ContentType: "a/b", Header: Header{From(alice), To(bob), {Name: "DateTime", Value: "today"}}},
		"two times":                    {ContentType: "a/b", Header: Header{From(alice), To(bob), DateTime(time.Time{}), DateTime(time.Time{})}},
		"two subjects":                 {ContentType: "a/b", Header: Header{From(alice), To(bob), Subject("x", ""), Subject("y", "fr")}},
		"two lists of requirements":    {ContentType: "a/b", Header: Header{From(alice), To(bob), Require("x"), Require("y")}},
		"a language with CRLF":         {ContentType: "a/b", Header: Header{From(alice), To(bob), Subject("x", "fr\r\nX: y")}},
		"a language with a blank":      {ContentType: "a/b", Header: Header{From(alice), To(bob), Subject("x", "fr x")}},
		"a prefix with CRLF":           {ContentType: "a/b", Header: Header{From(alice), To(bob), NS("x\r\ny", "urn:x")}},
		"a namespace with CRLF":        {ContentType: "a/b", Header: Header{From(alice), To(bob), NS("x", "urn:x\r\ny: z")}},
		"a requirement with CRLF":      {ContentType: "a/b", Header: Header{From(alice), To(bob), Require("x\r\ny")}},
		"a value with LF":              {ContentType: "a/b", Header: Header{From(alice), To(bob), {Name: "x", Value: "y\nz: w"}}},
		"a value with a blank behind":  {ContentType: "a/b", Header: Header{From(alice), To(bob), {Name: "x", Value: "y "}}},
		"parameters without semicolon": {ContentType: "a/b", Header: Header{From(alice), To(bob), {Name: "x", Params: "lang=fr"}}},
		"a name with a colon":          {ContentType: "a/b", Header: Header{From(alice), To(bob), {Name: "x:y"}}},
		"no name":                      {ContentType: "a/b", Header: Header{From(alice), To(bob), {Value: "y"}}},
		"a name as of a content":       {ContentType: "a/b", Header: Header{From(alice), To(bob), {Name: "content-foo"}}},
	} {
		_, err := m.Head()
		assert.Error(t, err, name)
		_, _, err = m.Encode()
		assert.Error(t, err, name)
	}
	m := &Message{ContentType: "a/b", Header: Header{
		From(Address{"A\r\nTo: <sip:c@x>", "sip:a@x"}), To(bob), Subject("\r\n\r\n\x00Hi ", "en"),
	}}
	body, _, err := m.Encode()
	require.NoError(t, err)
	got, _ := read(t, body)
	from, err := got.Header.From()
	require.NoError(t, err)
	assert.Equal(t, "A\r\nTo: <sip:c@x>", from.Name)
	assert.Len(t, got.Header.Fields(Namespace, "To"), 1)
	assert.Equal(t, "\r\n\r\n\x00Hi", got.Header.Subject())
}
