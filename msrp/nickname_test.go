package msrp

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSetNickname(t *testing.T) {
	t.Attr("requirement", "X-19")
	for name, quoted := range map[string]string{
		"Alice in Wonderland":     `"Alice in Wonderland"`,
		`Alice "the" great ☃`:     `"Alice \"the\" great ☃"`,
		`a\b`:                     `"a\\b"`,
		"":                        `""`, // RFC 7701, section 7.3
		" \t":                     "\" \t\"",
		strings.Repeat("é", 511):  `"` + strings.Repeat("é", 511) + `"`,
		strings.Repeat(`"`, 1023): `"` + strings.Repeat(`\"`, 1023) + `"`,
	} {
		synctest.Test(t, func(t *testing.T) {
			alice, room := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			require.NoError(t, alice.SetNickname(t.Context(), name))
			require.Len(t, room.got(), 1)
			u := room.got()[0]
			assert.Equal(t, MethodNickname, u.Method)
			assert.Equal(t, Header{{"Use-Nickname", quoted}}, u.Header, "neither reports nor a Message-ID")
			assert.Equal(t, rawPeerURI, u.To.String())
			assert.Equal(t, rawOwnURI, u.From.String())
			assert.Nil(t, u.Body)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		alice, room := newRawPeer(t, SessionOptions{}, Remote{}, nil)
		for name, problem := range map[string]string{
			strings.Repeat("x", 1024):                               "1024 octets",
			"Alice\"\r\n-------a786hjs2$\r\nMSRP a786hjs2 SEND\r\n": "control character",
			"Alice\nTo-Path: msrp://mallory.example.com:2855/x;tcp": "control character",
			"Alice\x00":    "control character",
			"Alice\x7f":    "control character",
			"J\xf6rg":      "UTF-8",
			"\xed\xa0\x80": "UTF-8",
		} {
			assert.ErrorContains(t, alice.SetNickname(t.Context(), name), problem)
		}
		synctest.Wait()
		assert.Empty(t, room.got(), "nothing of it was sent")
	})
}

// What rooms answer. The session goes on unless it is not known any more.
func TestNicknameRefused(t *testing.T) {
	t.Attr("requirement", "X-20")
	for code, ends := range map[int]bool{
		StatusForbidden: false, StatusOutOfBounds: false, StatusBadNickname: false, StatusNicknameInUse: false, StatusUnknownMethod: false,
		StatusNoSession: true, StatusSessionInUse: true,
	} {
		synctest.Test(t, func(t *testing.T) {
			alice, _ := newRawPeer(t, SessionOptions{}, Remote{}, func(*Unit) int { return code })
			var status *StatusError
			require.ErrorAs(t, alice.SetNickname(t.Context(), "Alice"), &status)
			assert.Equal(t, code, status.Code)
			if ends {
				require.ErrorAs(t, alice.Err(), &status)
				assert.Equal(t, code, status.Code)
				assert.ErrorAs(t, alice.SetNickname(t.Context(), "Alice"), &status)
				return
			}
			assert.NoError(t, alice.Err())
		})
	}
	synctest.Test(t, func(t *testing.T) {
		alice, _ := newRawPeer(t, SessionOptions{}, Remote{}, func(*Unit) int { return 0 })
		var status *StatusError
		require.ErrorAs(t, alice.SetNickname(t.Context(), "Alice"), &status)
		assert.True(t, status.Local, "nobody answered")
	})
}

// Messages in a chat room are refused with codes of their own (RFC 7701,
// section 6).
func TestRoomRefusesMessage(t *testing.T) {
	t.Attr("requirement", "X-20")
	for _, code := range []int{StatusForbidden, StatusNotFound, StatusNoPrivateMessage} {
		synctest.Test(t, func(t *testing.T) {
			alice, _ := newRawPeer(t, SessionOptions{}, Remote{}, func(*Unit) int { return code })
			out, err := alice.Send(t.Context(), Text("psst"))
			require.NoError(t, err)
			var status *StatusError
			require.ErrorAs(t, out.Sent(t.Context()), &status)
			assert.Equal(t, code, status.Code)
			assert.Equal(t, out.ID(), status.MessageID)
			assert.NotContains(t, status.Error(), "Status "+strconv.Itoa(code), "it has words for it")
			assert.NoError(t, alice.Err())
		})
	}
}

func TestNickname(t *testing.T) {
	t.Attr("requirement", "X-19")
	const stranger = "msrp://bob.example.com:8493/other;tcp"
	for name, c := range map[string]struct {
		to, from string
		fields   []string
		asked    string // "-" where nobody is
		code     int
	}{
		"a nickname":             {fields: []string{`Use-Nickname: "Alice"`}, asked: "Alice", code: 200},
		"with escapes":           {fields: []string{`Use-Nickname: "Alice \"the\" \\ great ☃"`}, asked: `Alice "the" \ great ☃`, code: 200},
		"none any more":          {fields: []string{`Use-Nickname: ""`}, asked: "", code: 200},
		"of 1023 octets":         {fields: []string{`Use-Nickname: "` + strings.Repeat("x", 1023) + `"`}, asked: strings.Repeat("x", 1023), code: 200},
		"of 1024 octets":         {fields: []string{`Use-Nickname: "` + strings.Repeat("x", 1024) + `"`}, asked: "-", code: 424},
		"in use":                 {fields: []string{`Use-Nickname: "Carol"`}, asked: "Carol", code: 425},
		"a code that is none":    {fields: []string{`Use-Nickname: "7"`}, asked: "7", code: 403},
		"along the whole path":   {from: "msrp://relay.example.com:2855/t0ken;tcp " + rawPeerURI, fields: []string{`Use-Nickname: "Alice"`}, asked: "Alice", code: 200},
		"without quotes":         {fields: []string{`Use-Nickname: Alice`}, asked: "-", code: 424},
		"a quote within":         {fields: []string{`Use-Nickname: "Al"ice"`}, asked: "-", code: 424},
		"one quote":              {fields: []string{`Use-Nickname: "`}, asked: "-", code: 424},
		"no end":                 {fields: []string{`Use-Nickname: "Alice\"`}, asked: "-", code: 424},
		"an escape there is not": {fields: []string{`Use-Nickname: "\Alice"`}, asked: "-", code: 424},
		"something behind":       {fields: []string{`Use-Nickname: "Alice" x`}, asked: "-", code: 424},
		"not UTF-8":              {fields: []string{"Use-Nickname: \"J\xf6rg\""}, asked: "-", code: 424},
		"empty":                  {fields: []string{"Use-Nickname: "}, asked: "-", code: 424},
		"absent":                 {asked: "-", code: 400},
		"twice":                  {fields: []string{`Use-Nickname: "a"`, `Use-Nickname: "b"`}, asked: "-", code: 400},
		"a control character":    {fields: []string{"Use-Nickname: \"a\x01\""}, asked: "-", code: 400},
		"with Success-Report":    {fields: []string{`Use-Nickname: "a"`, "Success-Report: no"}, asked: "-", code: 400},
		"with Failure-Report":    {fields: []string{`Use-Nickname: "a"`, "Failure-Report: no"}, asked: "-", code: 400},
		"to no session":          {to: stranger, fields: []string{`Use-Nickname: "a"`}, asked: "-", code: 481},
		"to who is not the last": {to: rawOwnURI + " " + stranger, fields: []string{`Use-Nickname: "a"`}, asked: "-", code: 481},
	} {
		t.Run(name, func(t *testing.T) {
			asked := "-"
			room, alice := newRawPeer(t, SessionOptions{Nickname: func(nickname string) int {
				asked = nickname
				switch nickname {
				case "Carol":
					return StatusNicknameInUse
				case "7":
					return 7
				}
				return StatusOK
			}}, Remote{}, nil)
			if c.to == "" {
				c.to = rawOwnURI
			}
			if c.from == "" {
				c.from = rawPeerURI
			}
			assert.Equal(t, c.code, alice.code(alice.nickname(c.to, c.from, c.fields...)))
			assert.Equal(t, c.asked, asked)
			assert.Equal(t, c.from, alice.reply.To.String())
			assert.Equal(t, strings.Fields(c.to)[0], alice.reply.From.String())
			assert.NoError(t, room.Err())
		})
	}
	t.Run("who is no room", func(t *testing.T) {
		_, alice := newRawPeer(t, SessionOptions{}, Remote{}, nil)
		assert.Equal(t, 501, alice.code(alice.nickname(rawOwnURI, rawPeerURI, `Use-Nickname: "a"`)))
	})
	t.Run("on another connection", func(t *testing.T) {
		room, alice := newRawPeer(t, SessionOptions{Nickname: func(string) int { return StatusOK }}, Remote{}, nil)
		_, mallory := newRawConn(t, room.endpoint, nil)
		assert.Equal(t, 506, mallory.code(mallory.nickname(rawOwnURI, rawPeerURI, `Use-Nickname: "a"`)))
		assert.Equal(t, 200, alice.code(alice.nickname(rawOwnURI, rawPeerURI, `Use-Nickname: "a"`)))
	})
}

// What is quoted is read as it was, and what is read is quoted as it was: there
// is one way to write each nickname.
func FuzzNickname(f *testing.F) {
	for _, s := range []string{"", `"`, `""`, `\`, `"a\"b\\"`, `"a"b"`, "\"\xff\"", "Alice in Wonderland", `"☃"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, ok := unquoteNickname(s); ok {
			require.Equal(t, s, quoteNickname(name))
			require.LessOrEqual(t, len(name), maxNickname)
		}
		name, ok := unquoteNickname(quoteNickname(s))
		sendable := len(s) <= maxNickname && strings.ToValidUTF8(s, "") == s && isText(s)
		require.Equal(t, sendable, ok)
		if ok {
			require.Equal(t, s, name)
		}
	})
}
