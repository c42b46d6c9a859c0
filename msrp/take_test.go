package msrp

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A body is taken in pieces of one size, however it arrives and whatever
// Byte-Range says of it, and the units behind it do not notice.
func TestBodyTake(t *testing.T) {
	const start = "MSRP 4bcd3fgh SEND\r\nTo-Path: msrp://a.example.com:9/a;tcp\r\nFrom-Path: msrp://b.example.com:9/b;tcp\r\nMessage-ID: m3ss4ge1\r\n"
	const end = "\r\n-------4bcd3fgh+\r\n"
	const falseEnd = "hello\r\n-------4bcd3fgh"
	for _, body := range []string{"", "h", "\r\n", falseEnd, falseEnd + "\r\n", strings.Repeat(falseEnd+"\r", 7000)} {
		for _, byteRange := range []string{"", "Byte-Range: 1-*/*\r\n", fmt.Sprintf("Byte-Range: 1-%d/%[1]d\r\n", len(body)), "Byte-Range: 4-6/6\r\n", "Byte-Range: 1-200000/200000\r\n"} {
			unit := start + byteRange + "Content-Type: text/plain\r\n\r\n" + body + end
			for _, size := range []int{1, 7, 1000, maxTake, 1 << 20} {
				if len(body) > 100 && size < 1000 {
					continue
				}
				var want []string
				for rest := body; ; {
					n := min(len(rest), size, maxTake)
					want = append(want, rest[:n])
					if rest = rest[n:]; rest == "" {
						break
					}
				}
				for name, in := range map[string]func() (*Unit, error){
					"at once":        reuse(strings.NewReader(strings.Repeat(unit, 2))),
					"octet by octet": reuse(iotest.OneByteReader(strings.NewReader(strings.Repeat(unit, 2)))),
					"a message":      func() (*Unit, error) { return NewReader(nil).Parse([]byte(unit)) },
				} {
					for range 2 {
						u, err := in()
						require.NoError(t, err)
						var got []string
						for last := false; !last; {
							var piece []byte
							piece, last, err = u.Body.Take(size)
							require.NoError(t, err)
							got = append(got, string(piece))
						}
						if !assert.Equal(t, want, got, "%s, %.20q of %d in %d, %s", name, body, len(body), size, byteRange) {
							return
						}
						assert.Equal(t, FlagInterrupted, u.Flag)
					}
				}
			}
		}
	}
}

// The end-line ends a body wherever Byte-Range has it (RFC 4975, section 7.1): what
// follows may be another's, from a neighbour that passes on transaction IDs and
// Byte-Ranges as it gets them.
func TestBodyTakeIgnoresByteRange(t *testing.T) {
	const start = "MSRP 4bcd3fgh SEND\r\nTo-Path: msrp://a.example.com:9/a;tcp\r\nFrom-Path: msrp://b.example.com:9/b;tcp\r\nMessage-ID: m3ss4ge1\r\n"
	const end = "\r\n-------4bcd3fgh$\r\n"
	const others = "MSRP efgh SEND\r\nTo-Path: msrp://a.example.com:9/a;tcp\r\nFrom-Path: msrp://c.example.com:9/c;tcp\r\nMessage-ID: s3cr3t\r\n-------efgh$\r\n"
	in := reuse(strings.NewReader(start + fmt.Sprintf("Byte-Range: 1-%d/*\r\n", len("hello"+end+others)) + "Content-Type: text/plain\r\n\r\nhello" + end + others + end))
	u, err := in()
	require.NoError(t, err)
	piece, last, err := u.Body.Take(maxTake)
	require.NoError(t, err)
	assert.True(t, last)
	assert.Equal(t, "hello", string(piece))
	u, err = in()
	require.NoError(t, err)
	assert.Equal(t, "s3cr3t", u.MessageID())
}

func reuse(r io.Reader) func() (*Unit, error) {
	in := NewReader(r)
	in.Reuse()
	return in.Next
}

// What ends before the end-line is no body.
func TestBodyTakeCutOff(t *testing.T) {
	const start = "MSRP 4bcd3fgh SEND\r\nTo-Path: msrp://a.example.com:9/a;tcp\r\nFrom-Path: msrp://b.example.com:9/b;tcp\r\nMessage-ID: m3ss4ge1\r\nContent-Type: text/plain\r\n\r\n"
	for _, body := range []string{"", "hello", "hello\r\n-------4bcd3fgh$"} {
		u, err := NewReader(strings.NewReader(start + body)).Next()
		require.NoError(t, err)
		_, _, err = u.Body.Take(1000)
		assert.Equal(t, io.ErrUnexpectedEOF, err)
	}
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
