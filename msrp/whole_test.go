package msrp

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A body is handed over whole where all of it is there, and in pieces
// otherwise; the units behind it do not notice.
func TestBodyWhole(t *testing.T) {
	const head = "MSRP 4bcd3fgh SEND\r\nTo-Path: msrp://a.example.com:9/a;tcp\r\nFrom-Path: msrp://b.example.com:9/b;tcp\r\nMessage-ID: m3ss4ge1\r\nContent-Type: text/plain\r\n\r\n"
	const body, end = "hello\r\n-------4bcd3fgh", "\r\n-------4bcd3fgh+\r\n"
	for name, r := range map[string]io.Reader{
		"at once":        strings.NewReader(strings.Repeat(head+body+end, 2)),
		"octet by octet": iotest.OneByteReader(strings.NewReader(strings.Repeat(head+body+end, 2))),
	} {
		t.Run(name, func(t *testing.T) {
			in := NewReader(r)
			in.Reuse()
			for range 2 {
				u, err := in.Next()
				require.NoError(t, err)
				got, ok := u.Body.Whole()
				assert.Equal(t, name == "at once", ok)
				rest, err := io.ReadAll(u.Body)
				require.NoError(t, err)
				assert.Equal(t, body, string(got)+string(rest))
				assert.Equal(t, FlagInterrupted, u.Flag)
			}
			_, err := in.Next()
			assert.Equal(t, io.EOF, err)
		})
	}
	u, err := NewReader(nil).Parse([]byte(head + body + end))
	require.NoError(t, err)
	got, ok := u.Body.Whole()
	assert.True(t, ok)
	assert.Equal(t, body, string(got))
	_, err = u.Body.Next()
	assert.Equal(t, io.EOF, err)
}

// A reader that reuses its unit does not take one path for another.
func TestReuse(t *testing.T) {
	in := NewReader(nil)
	in.Reuse()
	for _, to := range []string{"msrp://a.example.com:9/a;tcp", "msrp://a.example.com:9/a;tcp", "bad", "msrp://a.example.com:9/b;tcp", "msrp://r.example.com:9/r;tcp msrp://a.example.com:9/a;tcp"} {
		u, err := in.Parse([]byte("MSRP 4bcd3fgh SEND\r\nTo-Path: " + to + "\r\nFrom-Path: msrp://b.example.com:9/b;tcp\r\nMessage-ID: m3ss4ge1\r\n-------4bcd3fgh$\r\n"))
		require.NoError(t, err)
		if to == "bad" {
			assert.NotNil(t, u.Invalid)
			continue
		}
		require.Nil(t, u.Invalid)
		assert.Equal(t, to, u.To.String())
	}
}
