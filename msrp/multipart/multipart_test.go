package multipart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	stdlib "mime/multipart"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crlf makes wire text of text with the line breaks of Go.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// readAll returns the types and contents of the parts, those of parts within
// parts in brackets.
func readAll(r *Reader) (parts []string, err error) {
	for {
		p, err := r.Next()
		if err == io.EOF {
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		if p.IsMultipart() {
			inner, err := p.Parts()
			if err != nil {
				return parts, err
			}
			within, err := readAll(inner)
			if err != nil {
				return parts, err
			}
			parts = append(append(append(parts, "["), within...), "]")
			continue
		}
		content, err := io.ReadAll(p)
		if err != nil {
			return parts, err
		}
		parts = append(parts, p.ContentType+"|"+string(content))
	}
}

// rfc2046 is the example of RFC 2046, section 5.1.1.
const rfc2046 = `This is the preamble.  It is to be ignored, though it
is a handy place for composition agents to include an
explanatory note to non-MIME conformant readers.

--simple boundary

This is implicitly typed plain US-ASCII text.
It does NOT end with a linebreak.
--simple boundary
Content-type: text/plain; charset=us-ascii

This is explicitly typed plain US-ASCII text.
It DOES end with a linebreak.

--simple boundary--

This is the epilogue.  It is also to be ignored.
`

func TestExampleOfRFC2046(t *testing.T) {
	for name, text := range map[string]string{"CRLF": crlf(rfc2046), "LF": rfc2046} {
		r, err := NewReader(strings.NewReader(text), `multipart/mixed; boundary="simple boundary"`)
		require.NoError(t, err)
		parts, err := readAll(r)
		require.NoError(t, err, name)
		assert.Equal(t, []string{
			"text/plain|This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak.",
			"text/plain; charset=us-ascii|This is explicitly typed plain US-ASCII text.\r\nIt DOES end with a linebreak.\r\n",
		}, strings.Split(strings.ReplaceAll(strings.ReplaceAll(strings.Join(parts, "§"), "\r\n", "\n"), "\n", "\r\n"), "§"), name)
	}
}

func TestRead(t *testing.T) {
	const text = "Content-Type: a/b\n\n"
	for name, c := range map[string]struct {
		body string
		want []string // nil where it is an error
	}{
		"one part":                  {"--b\n" + text + "Hi\n--b--", []string{"a/b|Hi"}},
		"an end with a line break":  {"--b\n" + text + "Hi\n--b--\n", []string{"a/b|Hi"}},
		"blanks behind boundaries":  {"--b \t\n" + text + "Hi\n--b  \n\nHo\n--b-- \t\n", []string{"a/b|Hi", "text/plain|Ho"}},
		"an empty part":             {"--b\n" + text + "\n--b--", []string{"a/b|"}},
		"no line break in it":       {"--b\n" + text + "--b--", []string{"a/b|"}},
		"no blank line":             {"--b\nContent-Type: a/b\n--b--", []string{"a/b|"}},
		"nothing of a part":         {"--b\n--b\n\n--b--", []string{"text/plain|", "text/plain|"}},
		"line breaks":               {"--b\n" + text + "\n\n\n--b--", []string{"a/b|\r\n\r\n"}},
		"no parts":                  {"--b--", []string{}},
		"a longer line":             {"--bb\n--b\n" + text + "--bb\n--b-\n--b-x\n-b--\nx--b--\n--b--", []string{"a/b|--bb\r\n--b-\r\n--b-x\r\n-b--\r\nx--b--"}},
		"lone CR and LF":            {"--b\n" + text + "\r--b--\r\r\n--b--", []string{"a/b|\r--b--\r\r"}},
		"what is behind the end":    {"--b\n" + text + "Hi\n--b--x\n--b\n\n--b\n", []string{"a/b|Hi"}},
		"a folded header":           {"--b\nContent-Type: a/b;\n  c=\"d\"\n\te\nX: y\n\nHi\n--b--", []string{`a/b; c="d" e|Hi`}},
		"UTF-8 in a header":         {"--b\nContent-Type: a/b; c=é\n\nHi\n--b--", []string{"a/b; c=é|Hi"}},
		"parts within a part":       {"--b\nContent-Type: multipart/x; boundary=bc\n\nx\n--bc\n\n1\n--bc\n\n2\n--bc--\ny\n--b\n\n3\n--b--", []string{"[", "text/plain|1", "text/plain|2", "]", "text/plain|3"}},
		"a digest":                  {"--b\nContent-Type: multipart/digest; boundary=c\n\n--c\n\n1\n--c--\n--b--", []string{"[", "message/rfc822|1", "]"}},
		"a long preamble":           {strings.Repeat("x", 10_000) + "--b\n--b\n" + text + "Hi\n--b--", []string{"a/b|Hi"}},
		"a long part":               {"--b\n" + text + strings.Repeat("\n--", 10_000) + "\n--b--", []string{"a/b|" + crlf(strings.Repeat("\n--", 10_000))}},
		"a header of 16 KiB":        {"--b\nX: " + strings.Repeat("x", maxHeader-7) + "\n\nHi\n--b--", []string{"text/plain|Hi"}},
		"a header of 16 KiB, and 1": {"--b\nX: " + strings.Repeat("x", maxHeader-6) + "\n\nHi\n--b--", nil},
		"64 lines":                  {"--b\n" + strings.Repeat("X: y\n", 32) + strings.Repeat(" z\n", 32) + "\nHi\n--b--", []string{"text/plain|Hi"}},
		"65 lines":                  {"--b\n" + strings.Repeat("X: y\n", 32) + strings.Repeat(" z\n", 33) + "\nHi\n--b--", nil},
		"a field for ever":          {"--b\n" + strings.Repeat("x", 1<<16), nil},
		"no boundary":               {"Hi\n", nil},
		"empty":                     {"", nil},
		"text behind a boundary":    {"--b x\n\nHi\n--b--", nil},
		"much behind a boundary":    {"--b" + strings.Repeat(" ", 10_000) + "\n\nHi\n--b--", nil},
		"no end":                    {"--b\n" + text + "Hi", nil},
		"no end behind a boundary":  {"--b\n" + text + "Hi\n--b\n", nil},
		"the end of another":        {"--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\n1\n--b--", nil},
		"a line without a colon":    {"--b\nHello\n\nHi\n--b--", nil},
		"a blank before a header":   {"--b\n Content-Type: a/b\n\nHi\n--b--", nil},
		"a blank before a colon":    {"--b\nContent-Type : a/b\n\nHi\n--b--", nil},
		"no name":                   {"--b\n: a/b\n\nHi\n--b--", nil},
		"NUL in a header":           {"--b\nX: \x00\n\nHi\n--b--", nil},
		"CR in a header":            {"--b\nX: a\rContent-Type: c/d\n\nHi\n--b--", nil},
		"two types":                 {"--b\nContent-Type: a/b\ncontent-type: c/d\n\nHi\n--b--", nil},
	} {
		body := strings.ReplaceAll(strings.ReplaceAll(c.body, "\r", "\x01"), "\n", "\r\n")
		body = strings.ReplaceAll(body, "\x01", "\r")
		for style, in := range map[string]io.Reader{
			"":                               strings.NewReader(body),
			", octet by octet":               iotest.OneByteReader(strings.NewReader(body)),
			", a reader that ends with data": iotest.DataErrReader(strings.NewReader(body)),
			", half of what is asked for":    iotest.HalfReader(strings.NewReader(body)),
		} {
			t.Run(name+style, func(t *testing.T) {
				r, err := NewReader(in, "multipart/mixed; boundary=b")
				require.NoError(t, err)
				parts, err := readAll(r)
				if c.want == nil {
					require.Error(t, err)
					assert.NotErrorIs(t, err, io.EOF)
					_, again := r.Next()
					assert.Error(t, again, "it stays so")
					return
				}
				require.NoError(t, err)
				assert.Equal(t, len(c.want), len(parts))
				assert.Equal(t, strings.Join(c.want, "§"), strings.Join(parts, "§"))
				_, err = r.Next()
				assert.Equal(t, io.EOF, err)
			})
		}
	}
}

// A body that is cut off is never taken for a whole one.
func TestCut(t *testing.T) {
	whole := crlf("x\n--b\nContent-Type: multipart/x; boundary=bc\n\n--bc\nX: y\n\n1\n--bc--\n--b\n\n3\n--b--")
	broken := errors.New("broken")
	for n := range len(whole) {
		for _, end := range []error{io.ErrUnexpectedEOF, broken} {
			in := io.Reader(strings.NewReader(whole[:n]))
			if end == broken {
				in = io.MultiReader(in, iotest.ErrReader(broken))
			}
			r, err := NewReader(in, "multipart/mixed; boundary=b")
			require.NoError(t, err)
			_, err = readAll(r)
			require.ErrorIs(t, err, end, "%d octets", n)
		}
	}
	// Nor is one whose sender gives up behind the last part.
	r, err := NewReader(io.MultiReader(strings.NewReader(whole+"\r\n"), iotest.ErrReader(broken)), "multipart/mixed; boundary=b")
	require.NoError(t, err)
	_, err = readAll(r)
	assert.ErrorIs(t, err, broken)
}

func TestContentType(t *testing.T) {
	for contentType, ok := range map[string]bool{
		"multipart/mixed; boundary=b":                                 true,
		`Multipart/Mixed; charset=x; Boundary="gc0pJq0M:08jU534c0p"`:  true,
		`multipart/mixed; boundary="` + strings.Repeat("b", 70) + `"`: true,
		`multipart/mixed; boundary="` + strings.Repeat("b", 71) + `"`: false,
		"multipart/mixed":                          false,
		`multipart/mixed; boundary=""`:             false,
		`multipart/mixed; boundary="b "`:           false,
		"multipart/mixed; boundary=\"b\r\nc\"":     false,
		"multipart/mixed; boundary*=utf-8''%C3%A9": false,
		"text/plain; boundary=b":                   false,
		"multipart; boundary=b":                    false,
		"multipart/mixed; boundary=a; boundary=b":  false,
		"": false,
	} {
		_, err := NewReader(nil, contentType)
		assert.Equal(t, ok, err == nil, "%s: %v", contentType, err)
	}
}

func TestBounds(t *testing.T) {
	nested := func(levels int) io.Reader {
		body := "--b1\r\nContent-Type: x/y\r\n\r\nHi\r\n--b1--"
		for i := 2; i <= levels; i++ {
			body = fmt.Sprintf("--b%d\r\nContent-Type: multipart/x; boundary=b%d\r\n\r\n%s\r\n--b%[1]d--", i, i-1, body)
		}
		return strings.NewReader(body)
	}
	r, err := NewReader(nested(8), "multipart/mixed; boundary=b8")
	require.NoError(t, err)
	parts, err := readAll(r)
	require.NoError(t, err)
	assert.Contains(t, parts, "x/y|Hi")
	r, err = NewReader(nested(9), "multipart/mixed; boundary=b9")
	require.NoError(t, err)
	_, err = readAll(r)
	assert.ErrorContains(t, err, "8 deep")

	// Parts are counted on all levels.
	for n, ok := range map[int]bool{maxParts - 1: true, maxParts: false} {
		body := "--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n" + strings.Repeat("--c\r\n\r\n\r\n", n) + "--c--\r\n--b--"
		r, err := NewReader(strings.NewReader(body), "multipart/mixed; boundary=b")
		require.NoError(t, err)
		_, err = readAll(r)
		assert.Equal(t, ok, err == nil, "%v", err)
	}
}

// What the standard library writes is read as it was, whatever it is.
func TestBinary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var body bytes.Buffer
		w := stdlib.NewWriter(&body)
		require.NoError(t, w.SetBoundary("b-b"))
		var want []string
		for range random.IntN(5) {
			// Octets of which many look like a boundary.
			content := make([]byte, random.IntN(1000)*random.IntN(20))
			for i := range content {
				content[i] = "\r\n--b-b-\x00\xff"[random.IntN(10)]
			}
			for bytes.Contains(content, []byte("--b-b")) {
				content = bytes.ReplaceAll(content, []byte("--b-b"), []byte("--b"))
			}
			p, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"a/b"}})
			require.NoError(t, err)
			p.Write(content)
			want = append(want, "a/b|"+string(content))
		}
		require.NoError(t, w.Close())
		r, err := NewReader(iotest.HalfReader(&body), "multipart/mixed; boundary=b-b")
		require.NoError(t, err)
		got, err := readAll(r)
		require.NoError(t, err)
		require.True(t, strings.Join(want, "§") == strings.Join(got, "§"))
	}
}

// A part that was passed over is not read any more, in whole or half.
func TestPassedOver(t *testing.T) {
	r, err := NewReader(strings.NewReader(crlf("--b\n\n12345\n--b\n\n67\n--b--")), "multipart/mixed; boundary=b")
	require.NoError(t, err)
	first, err := r.Next()
	require.NoError(t, err)
	_, err = io.ReadFull(first, make([]byte, 2))
	require.NoError(t, err)
	n, err := first.Read(nil)
	assert.Zero(t, n)
	assert.NoError(t, err)
	second, err := r.Next()
	require.NoError(t, err)
	_, err = first.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "passed over")
	content, err := io.ReadAll(second)
	require.NoError(t, err)
	assert.Equal(t, "67", string(content))
}

// However it comes, it is read the same, and what has no boundary in it comes
// out as it went in.
func FuzzMultipart(f *testing.F) {
	f.Add([]byte(crlf(rfc2046)), "simple boundary")
	f.Add([]byte(crlf("--b\nContent-Type: multipart/x;\n boundary=bc\n\n--bc\nX: y\n\n1\n--bc--\n--b\n\n3\n--b--")), "b")
	f.Add([]byte("\r\n--b\r\n\r\n--b--"), "b")
	f.Fuzz(func(t *testing.T, data []byte, boundary string) {
		contentType := `multipart/mixed; boundary="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(boundary) + `"`
		read := func(in io.Reader) ([]string, error) {
			r, err := NewReader(in, contentType)
			if err != nil {
				return nil, err
			}
			return readAll(r)
		}
		want, err := read(bytes.NewReader(data))
		for _, in := range []io.Reader{iotest.OneByteReader(bytes.NewReader(data)), iotest.DataErrReader(bytes.NewReader(data))} {
			got, errAgain := read(in)
			require.Equal(t, want, got)
			require.Equal(t, fmt.Sprint(err), fmt.Sprint(errAgain))
		}
		if _, err := NewReader(nil, contentType); err != nil || strings.Contains(string(data), "--"+boundary) {
			return
		}
		content := string(data)
		dash := "--" + boundary
		got, err := read(strings.NewReader(dash + "\r\nContent-Type: a/b\r\n\r\n" + content + "\r\n" + dash + "\r\n\r\n" + content + "\r\n" + dash + "--"))
		require.NoError(t, err)
		require.Equal(t, []string{"a/b|" + content, "text/plain|" + content}, got)
	})
}
