package multipart

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func reader(t *testing.T, contentType, body string) *Reader {
	t.Helper()
	r, err := NewReader(strings.NewReader(crlf(body)), contentType)
	require.NoError(t, err)
	return r
}

func content(t *testing.T, p *Part) string {
	t.Helper()
	text, err := io.ReadAll(p)
	require.NoError(t, err)
	return string(text)
}

func TestPart(t *testing.T) {
	r := reader(t, "multipart/mixed; boundary=b", `--b
Content-Type: image/png
Content-ID: <icon@alice.example.com>
Content-Disposition: Attachment; filename="../a.png"; size=2

PN
--b
Content-Disposition: "

--b--`)
	p, err := r.Next()
	require.NoError(t, err)
	assert.Equal(t, "image/png", p.ContentType)
	assert.Equal(t, "icon@alice.example.com", p.ContentID())
	kind, params := p.Disposition()
	assert.Equal(t, "attachment", kind)
	assert.Equal(t, map[string]string{"filename": "../a.png", "size": "2"}, params)
	assert.False(t, p.IsMultipart())
	_, err = p.Parts()
	assert.ErrorContains(t, err, "image/png")
	p, err = r.Next()
	require.NoError(t, err)
	kind, params = p.Disposition()
	assert.Empty(t, kind)
	assert.Empty(t, params)
	assert.Empty(t, p.ContentID())
}

func TestDecode(t *testing.T) {
	for header, want := range map[string]string{
		"X: y":                                        "R3LDvMOfZQ=\r\n=3D",
		"Content-Transfer-Encoding: Binary":           "R3LDvMOfZQ=\r\n=3D",
		"Content-Transfer-Encoding: 8bit":             "R3LDvMOfZQ=\r\n=3D",
		"content-transfer-encoding: quoted-printable": "R3LDvMOfZQ=",
		"Content-Transfer-Encoding: x-zip":            "-",
	} {
		p, err := reader(t, "multipart/mixed; boundary=b", "--b\n"+header+"\n\nR3LDvMOfZQ=\n=3D\n--b--").Next()
		require.NoError(t, err)
		in, err := p.Decode()
		if want == "-" {
			assert.ErrorContains(t, err, "x-zip")
			continue
		}
		require.NoError(t, err)
		text, err := io.ReadAll(in)
		require.NoError(t, err)
		assert.Equal(t, want, string(text), header)
	}
	p, err := reader(t, "multipart/mixed; boundary=b", "--b\nContent-Transfer-Encoding: BASE64\n\nR3LDvM\nOfZQ==\n--b--").Next()
	require.NoError(t, err)
	in, err := p.Decode()
	require.NoError(t, err)
	text, err := io.ReadAll(in)
	require.NoError(t, err)
	assert.Equal(t, "Grüße", string(text))
}

// RFC 2046, section 5.1.4.
func TestBest(t *testing.T) {
	const body = `--b
Content-Type: text/plain; charset=utf-8

Hi
--b
Content-Type: text/html

<b>Hi</b>
--b
Content-Type: multipart/related; boundary=c

--c
Content-Type: text/html

<img>
--c--
--b--`
	for name, c := range map[string]struct {
		limit  int64
		accept []string
		want   string // "" for none
	}{
		"the plain one":        {100, []string{"text/plain"}, "Hi"},
		"whatever the order":   {100, []string{"TEXT/HTML;x=y", "text/plain"}, "<b>Hi</b>"},
		"a wildcard":           {100, []string{"text/*"}, "<b>Hi</b>"},
		"all":                  {100, []string{"*"}, "--c\r\nContent-Type: text/html\r\n\r\n<img>\r\n--c--"},
		"no bound":             {math.MaxInt64, []string{"text/html"}, "<b>Hi</b>"},
		"the best is too long": {8, []string{"text/*"}, "Hi"},
		"to the octet":         {9, []string{"text/*"}, "<b>Hi</b>"},
		"all are too long":     {1, []string{"text/*"}, ""},
		"nothing goes":         {-1, []string{"text/*"}, ""},
		"none":                 {100, []string{"image/*", "text/x"}, ""},
		"nothing accepted":     {100, nil, ""},
	} {
		p, err := reader(t, "multipart/alternative; boundary=b", body).Best(c.limit, c.accept...)
		if c.want == "" {
			assert.ErrorIs(t, err, ErrNoPart, name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, c.want, content(t, p), name)
	}
	p, err := reader(t, "multipart/alternative; boundary=b", body).Best(100, "multipart/related")
	require.NoError(t, err)
	inner, err := p.Parts()
	require.NoError(t, err)
	parts, err := readAll(inner)
	require.NoError(t, err)
	assert.Equal(t, []string{"text/html|<img>"}, parts)

	// Half of it is not the best.
	_, err = reader(t, "multipart/alternative; boundary=b", body[:len(body)-30]).Best(100, "*")
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	broken := errors.New("broken")
	r, err := NewReader(io.MultiReader(strings.NewReader("--b\r\n\r\nHi"), iotest.ErrReader(broken)), "multipart/alternative; boundary=b")
	require.NoError(t, err)
	_, err = r.Best(100, "*")
	assert.ErrorIs(t, err, broken)
}

// RFC 2387.
func TestRelated(t *testing.T) {
	const body = `--b
Content-Type: image/png
Content-ID: <a%b@x>

PNG
--b
Content-Type: text/html
Content-ID: <root@x>

<img src="cid:a%25b@x">
--b--`
	const long = int64(len("PNG") + len(`<img src="cid:a%25b@x">`))
	for name, c := range map[string]struct {
		params string
		limit  int64
		root   string // "" for an error
	}{
		"the first":                {"", long, "image/png"},
		"named":                    {`; type="text/html"; start="<root@x>"`, long, "text/html"},
		"named without brackets":   {`; start="root@x"`, long, "text/html"},
		"named one that is not":    {`; start="<other@x>"`, long, ""},
		"an octet more than taken": {"", long - 1, ""},
		"no bound":                 {"", math.MaxInt64, "image/png"},
	} {
		all, err := reader(t, "multipart/related; boundary=b"+c.params, body).Related(c.limit)
		if c.root == "" {
			assert.Error(t, err, name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, c.root, all.Root.ContentType, name)
		require.Len(t, all.Parts, 2)
		for id, want := range map[string]*Part{
			"cid:a%25b@x": all.Parts[0], "CID:a%25b@x": all.Parts[0], "<a%b@x>": all.Parts[0], "a%b@x": all.Parts[0], "cid:a%b@x": all.Parts[0],
			"root@x": all.Parts[1], "cid:ROOT@x": nil, "": nil, "<>": nil, "cid:": nil, "x": nil,
		} {
			assert.Same(t, want, all.Find(id), id)
		}
		assert.Equal(t, "PNG", content(t, all.Parts[0]))
	}
	_, err := reader(t, "multipart/related; boundary=b", "--b--").Related(100)
	assert.ErrorIs(t, err, ErrNoPart)
	_, err = reader(t, "multipart/related; boundary=b", body[:100]).Related(100)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}
