package cpim

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, text string) Header {
	t.Helper()
	var h Header
	for line := range strings.SplitSeq(text, "\n") {
		f, ok := parseField(line)
		require.True(t, ok, line)
		h = append(h, f)
	}
	return h
}

// RFC 3862, sections 3.4 and 4.6.
func TestNamespaces(t *testing.T) {
	t.Attr("requirement", "X-01")
	const widgets = "http://id.acme.widgets/wily-headers/"
	for name, c := range map[string]struct {
		text             string
		namespace, local string
		want             []string
	}{
		"a prefix":                   {"NS: acme <http://id.acme.widgets/wily-headers/>\nacme.runner-trap: set", widgets, "runner-trap", []string{"set"}},
		"another prefix":             {"NS: widget <http://id.acme.widgets/wily-headers/>\nwidget.runner-trap: set", widgets, "runner-trap", []string{"set"}},
		"the default":                {"NS: <http://id.acme.widgets/wily-headers/>\nrunner-trap: set", widgets, "runner-trap", []string{"set"}},
		"both":                       {"NS: <" + widgets + ">\nx: 1\nNS: w <" + widgets + ">\nw.x: 2\nx: 3", widgets, "x", []string{"1", "2", "3"}},
		"no blank, as in the ABNF":   {"NS: acme<http://id.acme.widgets/wily-headers/>\nacme.runner-trap: set", widgets, "runner-trap", []string{"set"}},
		"MyAlias":                    {"NS: MyAlias <mid:MessageFeatures@id.foo.com>\nMyAlias.MyHeader: private-extension-data", "mid:MessageFeatures@id.foo.com", "MyHeader", []string{"private-extension-data"}},
		"used before declared":       {"w.x: 1\nNS: w <urn:w>\nw.x: 2", "urn:w", "x", []string{"2"}},
		"declared anew":              {"NS: w <urn:w>\nw.x: 1\nNS: w <urn:v>\nw.x: 2", "urn:w", "x", []string{"1"}},
		"prefixes have cases":        {"NS: w <urn:w>\nW.x: 1", "urn:w", "x", nil},
		"RFC 3862 by prefix":         {"NS: c <" + Namespace + ">\nc.From: <sip:a@x>", Namespace, "From", []string{"<sip:a@x>"}},
		"NS by prefix":               {"NS: c <" + Namespace + ">\nc.NS: w <urn:w>\nw.x: 1", "urn:w", "x", []string{"1"}},
		"NS of another namespace":    {"NS: w <urn:w>\nw.NS: v <urn:v>\nv.x: 1", "urn:v", "x", nil},
		"the default is another":     {"NS: <urn:w>\nFrom: x", Namespace, "From", nil},
		"and back":                   {"NS: <urn:w>\nNS: <" + Namespace + ">\nFrom: x", Namespace, "From", []string{"x"}},
		"NS without brackets":        {"NS: w urn:w\nw.x: 1", "urn:w", "x", nil},
		"NS without URI":             {"NS: w <>\nw.x: 1", "", "x", nil},
		"NS with a blank in its URI": {"NS: w <urn: w>\nw.x: 1", "urn: w", "x", nil},
		"no namespace at all":        {"w.x: 1", "", "x", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var values []string
			h := parse(t, c.text)
			for _, f := range h.Fields(c.namespace, c.local) {
				values = append(values, f.Value)
			}
			assert.Equal(t, c.want, values)
			f, ok := h.Get(c.namespace, c.local)
			assert.Equal(t, c.want != nil, ok)
			if ok {
				assert.Equal(t, c.want[0], f.Value)
			}
		})
	}
}

func TestUnknown(t *testing.T) {
	t.Attr("requirement", "X-01")
	t.Attr("requirement", "X-05")
	understood := func(namespace, name string) bool {
		return namespace == "urn:w" && name == "x" || namespace == Namespace && name == "Subject"
	}
	for text, want := range map[string][]string{
		"From: <sip:a@x>":                         nil,
		"Require: From,To, DateTime , NS,Require": nil,
		"Require: Subject":                        nil,
		"Require: cc,subject":                     {"cc", "subject"},
		"NS: w <urn:w>\nRequire: w.x":             nil,
		"NS: w <urn:w>\nRequire: w.x,w.y,w.From":  {"w.y", "w.From"},
		"Require: w.x\nNS: w <urn:w>":             {"w.x"},
		"Require: Locale.MustRenderKanji":         {"Locale.MustRenderKanji"},
		"Require: a\nRequire: b":                  {"a", "b"},
		"Require: ,, ,":                           nil,
		"Require: no name":                        {"no name"},
		"require: x":                              nil,
		"NS: <urn:w>\nRequire: x":                 nil,
		"NS: <urn:w>\nx: y":                       nil,
		"NS: c <" + Namespace + ">\nNS: <urn:w>\nc.Require: x,From,c.From": {"From"},
	} {
		assert.Equal(t, want, parse(t, text).Unknown(understood), text)
	}
	assert.Equal(t, []string{"Subject"}, Header{Require("From", "Subject")}.Unknown(nil))
}

func TestDeclare(t *testing.T) {
	for name, c := range map[string]struct{ text, prefix, want string }{
		"new":              {"x: y", "w", "\nNS: w <urn:w>"},
		"there":            {"NS: v <urn:w>", "v", ""},
		"there but hidden": {"NS: v <urn:w>\nNS: v <urn:v>", "w", "\nNS: w <urn:w>"},
		"only as default":  {"NS: <urn:w>", "w", "\nNS: w <urn:w>"},
		"taken":            {"NS: w <urn:v>", "w2", "\nNS: w2 <urn:w>"},
		"taken twice":      {"NS: w <urn:v>\nNS: w2 <urn:v>", "w3", "\nNS: w3 <urn:w>"},
	} {
		h := parse(t, c.text)
		assert.Equal(t, c.prefix, h.Declare("w", "urn:w"), name)
		assert.Equal(t, parse(t, c.text+c.want), h, name)
		n := len(h)
		assert.Equal(t, c.prefix, h.Declare("w", "urn:w"), name)
		assert.Len(t, h, n, name)
	}
}

func TestHeaderOfOthers(t *testing.T) {
	h := parse(t, "From: alice\nTo: <sip:b@x>\nTo: bob\ncc: carol\nDateTime: 2021-05-04T19:33:18\nSubject: a\\nb")
	_, err := h.From()
	assert.ErrorContains(t, err, `"alice"`)
	_, err = h.To()
	assert.ErrorContains(t, err, `"bob"`)
	_, err = h.Cc()
	assert.ErrorContains(t, err, `"carol"`)
	_, err = h.DateTime()
	assert.ErrorContains(t, err, "DateTime")
	assert.Equal(t, "a\nb", h.Subject())

	h = parse(t, "From: <sip:a@x>\nFrom: <sip:b@x>\nDateTime: 2021-05-04T19:33:18Z\nDateTime: 2021-05-04T19:33:18Z")
	_, err = h.From()
	assert.ErrorContains(t, err, "twice")
	_, err = h.DateTime()
	assert.ErrorContains(t, err, "twice")

	for _, call := range []func() error{
		func() error { _, err := Header(nil).From(); return err },
		func() error { _, err := Header(nil).To(); return err },
		func() error { _, err := Header(nil).DateTime(); return err },
	} {
		assert.ErrorIs(t, call(), ErrNoHeader)
	}
	assert.Empty(t, Header(nil).Subject())
}

func TestDateTime(t *testing.T) {
	for text, want := range map[string]string{
		"2001-02-01T12:16:49-05:00":         "2001-02-01T17:16:49Z",
		"2026-05-15T12:00:00Z":              "2026-05-15T12:00:00Z",
		"2026-05-15t12:00:00z":              "2026-05-15T12:00:00Z",
		"2026-05-15T12:00:00.123+01:00":     "2026-05-15T11:00:00.123Z",
		"2026-05-15T12:00:00.1234567899Z":   "2026-05-15T12:00:00.123456789Z",
		"2024-02-29T23:59:59+23:59":         "2024-02-29T00:00:59Z",
		"2016-12-31T23:59:60Z":              "2017-01-01T00:00:00Z",
		"0000-01-01T00:00:00-00:00":         "0000-01-01T00:00:00Z",
		"2026-02-29T12:00:00Z":              "",
		"2026-02-30T12:00:00Z":              "",
		"2026-13-01T12:00:00Z":              "",
		"2026-00-01T12:00:00Z":              "",
		"2026-01-00T12:00:00Z":              "",
		"2026-01-01T24:00:00Z":              "",
		"2026-01-01T12:60:00Z":              "",
		"2026-01-01T12:00:61Z":              "",
		"2026-01-01T12:00:00":               "",
		"2026-01-01T12:00:00.Z":             "",
		"2026-01-01T12:00:00,1Z":            "",
		"2026-01-01T12:00:00.123456789012Y": "",
		"2026-01-01T12:00:00+0100":          "",
		"2026-01-01T12:00:00+01:00Z":        "",
		"2026-01-01T12:00:00+24:00":         "",
		"2026-01-01T12:00:00+01:60":         "",
		"2026-01-01 12:00:00Z":              "",
		"2026-01-01T12:00Z":                 "",
		"+026-01-01T12:00:00Z":              "",
		"Thu, 01 Feb 2001 12:16:49":         "",
		"":                                  "",
	} {
		got, err := parse(t, "DateTime: "+text).DateTime()
		assert.Equal(t, want == "", err != nil, text)
		if err == nil {
			assert.Equal(t, want, got.UTC().Format(time.RFC3339Nano))
		}
	}
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", -3*60*60-30*60), time.Local} {
		now := time.Now().Truncate(time.Second).In(zone)
		got, err := Header{DateTime(now)}.DateTime()
		require.NoError(t, err)
		assert.True(t, got.Equal(now))
	}
}

func TestAddress(t *testing.T) {
	t.Attr("requirement", "X-04")
	for text, want := range map[string]Address{
		"Winnie the Pooh <im:pooh@100akerwood.com>":    {"Winnie the Pooh", "im:pooh@100akerwood.com"},
		"<im:tigger@100akerwood.com>":                  {"", "im:tigger@100akerwood.com"},
		`"Doe, John" <sip:j@x>`:                        {"Doe, John", "sip:j@x"},
		`"John \"<JD>\" \\ Doe\r\n" <sip:j@x>`:         {"John \"<JD>\" \\ Doe\r\n", "sip:j@x"},
		`"two  blanks" <sip:j@x>`:                      {"two  blanks", "sip:j@x"},
		"O'Neill J. Müller 王 <sip:j@x;user=phone?a=b>": {"O'Neill J. Müller 王", "sip:j@x;user=phone?a=b"},
		"<sip:j@xn--bcher-kva.example>":                {"", "sip:j@xn--bcher-kva.example"},
	} {
		got, err := ParseAddress(text)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Equal(t, text, got.String())
	}
	// Otherwise than it would be written.
	for text, want := range map[string]Address{
		"Alice<sip:a@x>":          {"Alice", "sip:a@x"},
		`"Alice"<sip:a@x>`:        {"Alice", "sip:a@x"},
		`"" <sip:a@x>`:            {"", "sip:a@x"},
		" Alice  B  <sip:a@x>":    {"Alice  B", "sip:a@x"},
		"Doe, John <sip:a@x>":     {"Doe, John", "sip:a@x"},
		`Al\u0069ce\'s <sip:a@x>`: {"Alice's", "sip:a@x"},
		"<anonymous>":             {"", "anonymous"},
	} {
		got, err := ParseAddress(text)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		again, err := ParseAddress(got.String())
		require.NoError(t, err)
		assert.Equal(t, got, again)
	}
	for _, text := range []string{
		"", "sip:a@x", "<>", "Alice", "Alice <>", "Alice <sip:a@x", "Alice sip:a@x>", "<sip:a@x> Alice", "<sip:a@x>;tag=1",
		"<sip:a@x> <sip:b@x>", "<<sip:a@x>>", "<sip: a@x>", `"Alice <sip:a@x>`, `"Alice\" <sip:a@x>`, `"Alice" Bob <sip:a@x>`,
		`"Alice"`, "<sip:a\r\n@x>", "Al\x00ice <sip:a@x>", "J\xf6rg <sip:a@x>", `<sip:a\u0040x>`,
	} {
		_, err := ParseAddress(text)
		assert.Error(t, err, text)
	}
}

// RFC 3862, section 2.3.
func TestEscapes(t *testing.T) {
	t.Attr("requirement", "X-04")
	for text, value := range map[string]string{
		"":                             "",
		"Eeyore's \"feeling\" low":     "Eeyore's \"feeling\" low",
		`C:\new`:                       `C:\\new`,
		"\b\t\n\r":                     `\b\t\n\r`,
		"\x00\x07\x0b\x0c\x0e\x1f\x7f": `\u0000\u0007\u000b\u000c\u000e\u001f\u007f`,
		"é 王 😀 \u0080":                 "é 王 😀 \u0080",
	} {
		assert.Equal(t, value, Escape(text))
		assert.Equal(t, text, Unescape(value))
	}
	for value, text := range map[string]string{
		`\"\'`:                `"'`,
		`\u00e9\u00E9\u738b`:  "éé王",
		`\ud83d\ude00!`:       "😀!",
		`\ud83d!`:             "\ufffd!",
		`\ude00\ud83d`:        "\ufffd\ufffd",
		`\ud83d\u0041`:        "\ufffdA",
		`\ud83d\ud83d\ude00`:  "\ufffd😀",
		`\x\q`:                "xq",
		`\u12`:                "u12",
		`\u12g4`:              "u12g4",
		"\\u\x10\x10\x10\x10": "u\x10\x10\x10\x10",
		`\U0041`:              "U0041",
		`\`:                   "",
		`a\\\`:                `a\`,
		`\é`:                  "é",
	} {
		assert.Equal(t, text, Unescape(value), value)
		assert.Equal(t, text, Unescape(Escape(text)))
	}
}

func TestLang(t *testing.T) {
	for params, want := range map[string]string{
		"":                             "",
		";lang=fr":                     "fr",
		`;x="a;lang=b";lang=de-AT;y=z`: "de-AT",
		";Lang=fr":                     "",
		";language=fr":                 "",
	} {
		assert.Equal(t, want, Field{Params: params}.Lang(), params)
	}
}
