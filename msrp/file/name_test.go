package file

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

// RFC 5547, section 6.
func TestSafeName(t *testing.T) {
	t.Attr("requirement", "X-18")
	long := strings.Repeat("ü", 200)
	for _, c := range []struct{ name, want string }{
		{"sunset.jpg", "sunset.jpg"},
		{"My cool picture.jpg", "My cool picture.jpg"},
		{"Grüße ☃ 日本.txt", "Grüße ☃ 日本.txt"},
		{"archive.tar.gz", "archive.tar.gz"},
		{"-rf", "-rf"},

		{"../../etc/passwd", "passwd"},
		{"/etc/passwd", "passwd"},
		{`C:\Windows\system32\cmd.exe`, "cmd.exe"},
		{`\\server\share\x.txt`, "x.txt"},
		{"c:autoexec.bat", "c_autoexec.bat"},
		{"notes.txt:stream", "notes.txt_stream"},
		{"dir/", "dir"},
		{`dir\/\`, "dir"},

		{"a\x00b\x1b[31m\x7f.txt", "ab[31m.txt"},
		{"a\tb\r\nc", "a b  c"},
		{"a\u00a0b\u3000c\u2028d", "a b c d"},
		{"photo\u202egpj.exe", "photogpj.exe"}, // shown as photoexe.jpg
		{"\u2066a\u2069\u200e\u200f\u061c\ufeff\u200b.txt", "a.txt"},
		{"a\u0085b\u009fc", "a bc"},
		{"a\xff\xfe.txt", "a__.txt"},
		{`a<b>c:d"e|f?g*h`, "a_b_c_d_e_f_g_h"},

		{".bashrc", "bashrc"},
		{"..", "file"},
		{" . . a . . ", "a"},
		{"\u200b.htaccess", "htaccess"},
		{"setup.exe. .", "setup.exe"},

		{"CON", "_CON"},
		{"con.txt", "_con.txt"},
		{"Aux .txt", "_Aux .txt"},
		{"nul.tar.gz", "_nul.tar.gz"},
		{"COM1", "_COM1"},
		{"lpt9.log", "_lpt9.log"},
		{"COM¹.txt", "_COM¹.txt"},
		{"conin$", "_conin$"},
		{".con", "_con"},
		{"c\u200bon", "_con"},
		{"COM10", "COM10"},
		{"COM", "COM"},
		{"console", "console"},
		{"COMx", "COMx"},

		{"", "file"},
		{"/", "file"},
		{"\u202e", "file"},
		{"...", "file"},

		{long + ".jpeg", strings.Repeat("ü", 97) + ".jpeg"},
		{long, strings.Repeat("ü", 100)},
		{"a" + long, "a" + strings.Repeat("ü", 99)},
		{strings.Repeat("a ", 150), strings.TrimRight(strings.Repeat("a ", 100), " ")},
		{"a." + long, "a." + strings.Repeat("ü", 99)}, // no ending is so long
		{strings.Repeat(".a", 300), "a" + strings.Repeat(".a", 99)},
	} {
		got := SafeName(c.name)
		assert.Equal(t, c.want, got, "%q", c.name)
		safe(t, got)
	}
}

// safe checks what SafeName promises of any name.
func safe(t *testing.T, name string) {
	assert.NotEmpty(t, name)
	assert.LessOrEqual(t, len(name), 200)
	assert.True(t, utf8.ValidString(name), "%q", name)
	assert.Equal(t, strings.Trim(name, ". "), name, "%q", name)
	assert.False(t, strings.ContainsAny(name, "/\\<>:\"|?*\u2028\u2029"), "%q", name)
	assert.NotContains(t, name, "\ufffd")
	for _, r := range name {
		assert.False(t, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Bidi_Control), "%q", name)
	}
	stem, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch stem = strings.TrimSpace(stem); {
	case len(stem) == 4 && (strings.HasPrefix(stem, "com") || strings.HasPrefix(stem, "lpt")):
		assert.False(t, '0' <= stem[3] && stem[3] <= '9', "%q", name)
	default:
		assert.NotContains(t, []string{"con", "prn", "aux", "nul"}, stem, "%q", name)
	}
	assert.Equal(t, name, SafeName(name))
}

func FuzzSafeName(f *testing.F) {
	for _, name := range []string{"", "../../a.txt", "con.txt", "COM¹", "a\u202eb", "\xff.\xff", strings.Repeat("a.", 200), strings.Repeat("☃", 99) + ".jpg", " . ", "lpt1 .x", "a:b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) { safe(t, SafeName(name)) })
}

// The names in Content-Disposition, quoted or not (RFC 2183).
func TestDispositionNames(t *testing.T) {
	for value, want := range map[string]string{
		`attachment; filename="My cool picture.jpg"; size=4092`: "My cool picture.jpg",
		`render;size=5 ; FileName = a.txt`:                      "a.txt",
		`attachment; x="filename=no; y"; filename="a;b\"c\\d"`:  `a;b"c\d`,
		`attachment; filename="Grüße ☃.txt"`:                    "Grüße ☃.txt",
		`attachment; filename=""`:                               "",
		`attachment; filename="`:                                "",
		`attachment; filename="open`:                            "",
		`attachment; filename`:                                  "",
		"filename=a":                                            "",
		"inline":                                                "",
		"":                                                      "",
	} {
		assert.Equal(t, want, dispositionName(value), value)
	}
	for _, name := range []string{"a.txt", "Grüße ☃.txt", `a"b\c;d`, "", "\r\n"} {
		assert.Equal(t, SafeName(name), dispositionName(disposition(name)))
	}
}
