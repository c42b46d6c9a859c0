package msrp

import (
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestByteRangeBounds(t *testing.T) {
	r, err := ParseByteRange("4611686018427387904-*/4611686018427387904")
	require.NoError(t, err)
	assert.Equal(t, ByteRange{maxOctet, -1, maxOctet}, r)
	for _, s := range []string{"4611686018427387905-*/*", "1-4611686018427387905/*", "1-*/9223372036854775807", "9223372036854775798-*/*"} {
		_, err := ParseByteRange(s)
		assert.Error(t, err, s)
	}
}

func TestAssemblyRefusesWhatIsBeyondCounting(t *testing.T) {
	var a assembly
	require.True(t, a.add(maxOctet, []byte("abc")))
	for at := int64(math.MaxInt64) - 12; at < math.MaxInt64; at++ {
		assert.False(t, a.add(at, make([]byte, 16)))
	}
	assert.Equal(t, 3, a.held)
}

// Chunks at the far end of the numbers: the session lives, and its bounds hold.
func TestChunksFarAway(t *testing.T) {
	_, p := newRawPeer(t, SessionOptions{MaxSize: 10}, Remote{}, nil)
	for i, start := range []int64{math.MaxInt64 - 9, math.MaxInt64 - 3, math.MaxInt64} {
		r := fmt.Sprintf("Byte-Range: %d-*/*", start)
		assert.Equal(t, 400, p.code(p.send("Message-ID: far"+fmt.Sprint(i), r, "flag: +", "body: abcdef")))
	}
	for i, start := range []int64{maxOctet, maxOctet - 3, 12} {
		r := fmt.Sprintf("Byte-Range: %d-*/*", start)
		assert.Equal(t, 413, p.code(p.send("Message-ID: big"+fmt.Sprint(i), r, "flag: +", "body: abcdef")), "MaxSize")
	}
	assert.Equal(t, 200, p.code(p.send("Message-ID: l1ve", "Byte-Range: 1-2/2", "body: ok")))
}

// The head of a message is held as long as the message, and counts.
func TestHeadsCount(t *testing.T) {
	for _, flag := range []string{"+", "$"} {
		synctest.Test(t, func(t *testing.T) {
			s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			pad := "X-Pad: " + strings.Repeat("p", 15_000)
			var ids []string
			for i := range 20 {
				ids = append(ids, p.send(fmt.Sprintf("Message-ID: m3ss%d", i), "Byte-Range: 1-1/*", pad, pad, pad, pad, "flag: "+flag, "body: x"))
			}
			synctest.Wait()
			assert.Equal(t, defaultMaxBuffered/60_000, p.answered(200, ids...), "the others wait until something is read")
			s.mu.Lock()
			assert.InEpsilon(t, 20*60_000, s.buffered, 0.02)
			s.mu.Unlock()
			inHead := map[*byte]bool{}
			for range 20 {
				s.mu.Lock()
				partial := flag == "+" && len(s.queue) == 0
				if partial {
					for _, in := range s.partial {
						s.refuse(in, ErrAborted)
					}
				}
				s.mu.Unlock()
				if partial {
					break
				}
				in, err := s.Receive(t.Context())
				require.NoError(t, err)
				in.Close()
				inHead[unsafe.StringData(in.ID)] = true
			}
			synctest.Wait()
			assert.Equal(t, 20, p.answered(200, ids...))
			s.mu.Lock()
			assert.Zero(t, s.buffered)
			assert.Empty(t, s.owed)
			for id := range s.seen.fates {
				assert.False(t, inHead[unsafe.StringData(id)], "what is remembered is not part of it")
			}
			s.mu.Unlock()
			s.conn.Close()
		})
	}
}

// Who goes on without 200s is stopped at a bound, whatever the messages are.
func TestCreditIgnored(t *testing.T) {
	for name, fields := range map[string][]string{
		"empty messages": {"Byte-Range: 1-0/0", "body: ", "X-Pad: " + strings.Repeat("p", 1000)},
		"empty chunks":   {"Message-ID: m3ss4ge", "Byte-Range: 1-*/*", "flag: +", "body: ", "X-Pad: " + strings.Repeat("p", 1000)},
		"one message":    {"Message-ID: m3ss4ge", "Byte-Range: 1-*/*", "flag: +"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
				var ids []string
				if name == "empty chunks" {
					p.send("Message-ID: m3ss4ge", "Byte-Range: 1-*/*", "flag: +", "body: "+strings.Repeat("x", 300_000))
				}
				for i := range 4000 {
					more := fields
					switch name {
					case "empty messages":
						more = append([]string{fmt.Sprintf("Message-ID: m3ss%d", i)}, fields...)
					case "one message":
						more = append([]string{"body: " + strings.Repeat("x", 2000)}, fields...)
						more[2] = fmt.Sprintf("Byte-Range: %d-*/*", 1+2000*i)
					}
					ids = append(ids, p.send(more...))
				}
				p.code(ids[len(ids)-1])
				assert.NotZero(t, p.answered(413, ids...))
				s.mu.Lock()
				assert.LessOrEqual(t, s.buffered, s.opts.MaxBuffered+overrun+2000)
				s.mu.Unlock()
				s.conn.Close()
			})
		})
	}
}

// What a relay made too long for this reader is skipped, wherever it is split.
func TestOverlongHeadIsSkipped(t *testing.T) {
	const to, from = "To-Path: " + rawOwnURI + "\r\n", "From-Path: " + rawPeerURI + "\r\n"
	const next = "MSRP next 200 OK\r\n" + to + from + "-------next$\r\n"
	for name, unit := range map[string]string{
		"From-Path":          "MSRP tid1 SEND\r\n" + to + "From-Path: " + strings.Repeat(rawPeerURI+" ", 500) + "\r\nMessage-ID: abcd\r\n-------tid1$\r\n",
		"From-Path and body": "MSRP tid1 SEND\r\n" + to + "From-Path: " + strings.Repeat("x", 40_000) + "\r\nMessage-ID: abcd\r\n\r\n-------tid2$\r\n\r\n-------tid1$\r\n",
		"33 URIs":            "MSRP tid1 SEND\r\n" + to + "From-Path:" + strings.Repeat(" "+rawPeerURI, 33) + "\r\nMessage-ID: abcd\r\n-------tid1$\r\n",
		"To-Path":            "MSRP tid1 SEND\r\nTo-Path: " + strings.Repeat("x", 20_000) + "\r\n" + from + "-------tid1$\r\n",
		"comment":            "MSRP tid1 200 " + strings.Repeat("x", 2000) + "\r\n" + to + from + "-------tid1$\r\n",
		"comment by one":     "MSRP tid1 200 " + strings.Repeat("x", maxStartLine-len("MSRP tid1 200 ")+1) + "\r\n" + to + from + "-------tid1$\r\n",
		"a bare LF in there": "MSRP tid1 200 " + strings.Repeat("x", 1200) + "\n" + to + from + "-------tid1$\r\n",
		"method":             "MSRP tid1 " + strings.Repeat("X", 20_000) + "\r\n" + to + from + "Content-Type: a/b\r\n\r\nabc\r\n-------tid1+\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var parser Reader
			u, err := parser.Parse([]byte(unit))
			require.NoError(t, err)
			require.NotNil(t, u.Invalid)
			for _, size := range []int{1, 1000, 1027, 1 << 20} {
				r := NewReader(&inPieces{unit + next, size})
				u, err := r.Next()
				require.NoError(t, err)
				require.NotNil(t, u.Invalid)
				assert.False(t, u.Invalid.Fatal)
				assert.Nil(t, u.To)
				assert.Nil(t, u.From)
				assert.Equal(t, "tid1", u.TransactionID)
				u, err = r.Next()
				require.NoError(t, err)
				assert.Equal(t, "next", u.TransactionID)
				assert.Nil(t, u.Invalid)
			}
		})
	}
	for name, start := range map[string]string{
		"no protocol":       strings.Repeat("x", 2000) + "\r\n",
		"no transaction ID": "MSRP " + strings.Repeat("x", 2000) + "\r\n",
		"a bare LF":         "MSRP tid1 200 x\n" + strings.Repeat("x", 2000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 1 << 20} {
				_, err := NewReader(&inPieces{start + next, size}).Next()
				var syntax *SyntaxError
				require.ErrorAs(t, err, &syntax)
				assert.True(t, syntax.Fatal)
			}
		})
	}
}

// inPieces is a stream that comes in pieces of a size.
type inPieces struct {
	rest string
	size int
}

func (r *inPieces) Read(p []byte) (int, error) {
	if r.rest == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.size)], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// A unit without paths ends a connection only where it is the first of all.
func TestUnitWithoutPaths(t *testing.T) {
	const noPaths = "MSRP d34d SEND\r\nTo-Path: x\r\nFrom-Path: x\r\n-------d34d$\r\n"
	for name, before := range map[string]string{
		"first":                "",
		"after a response":     "MSRP tid1 200 OK\r\nTo-Path: " + rawOwnURI + "\r\nFrom-Path: " + rawPeerURI + "\r\n-------tid1$\r\n",
		"after a lost request": "MSRP tid1 REPORT\r\nTo-Path: " + rawOwnURI + "\r\nFrom-Path: " + rawPeerURI + "\r\nMessage-ID: abcd\r\nStatus: 000 200\r\n-------tid1$\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			conn := NewEndpoint(nil).NewConn(NewStream(ours))
			defer conn.Close()
			io.WriteString(theirs, before+noPaths)
			if name == "first" {
				<-conn.Done()
				return
			}
			go io.WriteString(theirs, "MSRP tid2 NOTHING\r\nTo-Path: "+rawOwnURI+"\r\nFrom-Path: "+rawPeerURI+"\r\n-------tid2$\r\n")
			u, err := NewReader(theirs).Next()
			require.NoError(t, err)
			assert.Equal(t, 501, u.Code)
		})
	}
}
