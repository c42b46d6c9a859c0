package msrp

import (
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A readUnit is a Unit with its body read, in the terms of the vectors.
type readUnit struct {
	kind, tid, method, comment, flag, invalid string
	code                                      int
	header                                    [][2]string
	body                                      *string // hex
}

func readAll(u *Unit) (readUnit, error) {
	got := readUnit{kind: "request", tid: u.TransactionID, method: u.Method, comment: u.Comment, code: u.Code}
	if u.IsResponse() {
		got.kind = "response"
	}
	if u.To != nil {
		got.header = append(got.header, [2]string{"to-path", u.To.String()}, [2]string{"from-path", u.From.String()})
	}
	for _, f := range u.Header {
		got.header = append(got.header, [2]string{strings.ToLower(f.Name), f.Value})
	}
	switch {
	case u.Invalid != nil && (u.To == nil || u.IsResponse()):
		got.invalid = "drop"
	case u.Invalid != nil:
		got.invalid = "400"
	}
	if u.Body != nil {
		body, err := io.ReadAll(u.Body)
		if err != nil {
			return got, err
		}
		h := hex.EncodeToString(body)
		got.body = &h
	}
	got.flag = string(u.Flag)
	return got, nil
}

func readStream(r io.Reader) (units []readUnit, err error) {
	reader := NewReader(r)
	for {
		u, err := reader.Next()
		if err != nil {
			return units, err
		}
		got, err := readAll(u)
		if err != nil {
			return units, err
		}
		units = append(units, got)
	}
}

func (m vectorMessage) compare(t *testing.T, got readUnit) {
	t.Helper()
	assert.Equal(t, m.Kind, got.kind)
	assert.Equal(t, m.TID, got.tid)
	assert.Equal(t, m.Method, got.method)
	assert.Equal(t, m.Code, got.code)
	assert.Equal(t, m.Comment, got.comment)
	assert.Equal(t, m.Flag, got.flag)
	assert.Equal(t, m.Body, got.body)
	wantInvalid := m.Error
	if strings.HasPrefix(wantInvalid, "400") {
		wantInvalid = "400"
	}
	assert.Equal(t, wantInvalid, got.invalid)
	if wantInvalid == "" {
		var want [][2]string
		for _, h := range m.Headers {
			want = append(want, [2]string{strings.ToLower(h[0]), h[1]})
		}
		assert.Equal(t, want, got.header)
	}
}

// RFC 4975, section 7: every vector, whole and in every split.
func TestReaderVectors(t *testing.T) {
	proves(t, "W-21")
	for _, v := range loadVectors(t).Vectors {
		t.Run(v.name(), func(t *testing.T) {
			input := v.input(t)
			check := func(r io.Reader) {
				t.Helper()
				got, err := readStream(r)
				want := v.Messages
				if n := len(want); n > 0 && want[n-1].Kind == "fatal" {
					want = want[:n-1]
					var syntax *SyntaxError
					require.ErrorAs(t, err, &syntax)
					assert.True(t, syntax.Fatal)
				} else if v.Incomplete {
					assert.Equal(t, io.ErrUnexpectedEOF, err)
				} else {
					assert.Equal(t, io.EOF, err)
				}
				require.Len(t, got, len(want))
				for i := range want {
					want[i].compare(t, got[i])
				}
			}
			everySplit(input, check)
		})
	}
}

// RFC 7977, section 5.1: a WebSocket message holds exactly one unit.
func TestParseVectors(t *testing.T) {
	var parser Reader
	for _, v := range loadVectors(t).Vectors {
		t.Run(v.name(), func(t *testing.T) {
			u, err := parser.Parse(v.input(t))
			if len(v.Messages) != 1 || v.Messages[0].Kind == "fatal" {
				var syntax *SyntaxError
				require.ErrorAs(t, err, &syntax)
				assert.True(t, syntax.Fatal)
				return
			}
			require.NoError(t, err)
			got, err := readAll(u)
			require.NoError(t, err)
			v.Messages[0].compare(t, got)
		})
	}
}

func TestParseRefusesRemainders(t *testing.T) {
	proves(t, "B-02")
	vectors := loadVectors(t).Vectors
	whole, ping := vectors[0].input(t), vectors[1].input(t)
	for name, msg := range map[string][]byte{
		"nothing":             nil,
		"two units":           append(whole[:len(whole):len(whole)], ping...),
		"a first half":        whole[:len(whole)/2],
		"a trailing CRLF":     append(whole[:len(whole):len(whole)], "\r\n"...),
		"trailing bodiless":   append(ping[:len(ping):len(ping)], '\n'),
		"no end-line":         whole[:bytes.Index(whole, []byte("\r\n-------"))],
		"a foreign end-line":  bytes.Replace(whole, []byte("-------a786hjs2"), []byte("-------a786hjs3"), 1),
		"only an empty line":  []byte("\r\n"),
		"only the start line": whole[:bytes.Index(whole, []byte("\r\n"))+2],
	} {
		t.Run(name, func(t *testing.T) {
			var parser Reader
			_, err := parser.Parse(msg)
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax)
			assert.True(t, syntax.Fatal)
			assert.NotEmpty(t, syntax.Expected)
		})
	}
}
