package cpim

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is read and names sender, recipients and time can be written, and what
// is written reads the same.
func FuzzParseMessage(f *testing.F) {
	f.Add([]byte(crlf(rfc3862)))
	f.Add([]byte(strings.Replace(rfc3862, "Subject:;", "x:;", 1)))
	f.Add([]byte("From: \"A\\\"\\u000a\" <sip:a@x>\nTo:<sip:b@x>\ncc: C <sip:c@x>\nNS: <urn:y>\nSubject:;lang=\"x y\" \\z\nContent-Type: a/b;\n c=d\n\nHi"))
	f.Add([]byte("From: <sip:a@x>\r\nTo: <sip:b@x>\r\nNS: i <urn:i>\r\nRequire: i.x, y\r\n\r\nContent-Type: message/cpim\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Read(bytes.NewReader(data))
		slow, errSlow := Read(iotest.OneByteReader(bytes.NewReader(data)))
		require.Equal(t, err, errSlow)
		if err != nil {
			return
		}
		body, err := io.ReadAll(m.Body)
		require.NoError(t, err)
		bodySlow, err := io.ReadAll(slow.Body)
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, bodySlow))
		require.True(t, bytes.Equal(body, data[m.HeadSize:]))

		m.Header.Unknown(nil)
		_, err1 := m.Header.From()
		_, err2 := m.Header.To()
		_, err3 := m.Header.Cc()
		_, err4 := m.Header.DateTime()
		head, err := m.Head()
		sendable := err1 == nil && err2 == nil && err3 == nil && (err4 == nil || err4 == ErrNoHeader) &&
			len(m.Header.Fields(Namespace, "Subject")) < 2 && len(m.Header.Fields(Namespace, "Require")) < 2
		if err != nil {
			require.True(t, !sendable || err == errTooLong, "%v", err)
			return
		}
		require.True(t, sendable)
		again, text := read(t, io.MultiReader(bytes.NewReader(head), bytes.NewReader(body)))
		assert.EqualValues(t, len(head), again.HeadSize)
		assert.Equal(t, string(body), text)
		assert.Equal(t, m.Header, again.Header)
		assert.Equal(t, m.ContentType, again.ContentType)
		assert.Equal(t, m.MIME, again.MIME)
	})
}

// Whatever a name is made of, it stays one, and so does a text.
func FuzzParseAddress(f *testing.F) {
	f.Add(`"Doe, \"John\"" <sip:j@x>`)
	f.Add(`Winnie the Pooh <im:pooh@100akerwood.com>`)
	f.Add("a\\b\r\n\x7f😀")
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseAddress(s); err == nil {
			again, err := ParseAddress(a.String())
			require.NoError(t, err)
			assert.Equal(t, a, again)
		}
		Unescape(s)
		s = strings.ToValidUTF8(s, "?")
		a, err := ParseAddress(Address{s, "sip:a@x"}.String())
		require.NoError(t, err)
		assert.Equal(t, s, a.Name)
		assert.Equal(t, s, Unescape(Escape(s)))
		assert.True(t, isHeaderText(Escape(s)))
	})
}
