//go:build !js

package msrp

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A heap measures what lives on the heap.
type heap struct{ before, peak, total uint64 }

func measureHeap() *heap {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return &heap{before: stats.HeapAlloc, total: stats.TotalAlloc}
}

// look takes a measurement.
func (h *heap) look() {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	if stats.HeapAlloc > h.before {
		h.peak = max(h.peak, stats.HeapAlloc-h.before)
	}
}

// allocated returns how many octets were allocated in all, given back or not.
func (h *heap) allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc - h.total
}

// A flood is what a hostile peer sends, in pieces.
type flood func(i int) string

// chunkOf writes a chunk with these fields before Content-Type.
func chunkOf(id int, fields, flag, body string) string {
	return fmt.Sprintf("MSRP tid%d SEND\r\nTo-Path: %s\r\nFrom-Path: %s\r\n%s\r\nContent-Type: a/b\r\n\r\n%s\r\n-------tid%d%s\r\n",
		id, rawOwnURI, rawPeerURI, fields, body, id, flag)
}

// Whatever a peer sends and however much of it, what is held of it is bounded.
func TestMemoryOfHostileInput(t *testing.T) {
	t.Attr("requirement", "S-29")
	const paths = "To-Path: " + rawOwnURI + "\r\nFrom-Path: " + rawPeerURI + "\r\n"
	block := strings.Repeat("x", 64<<10)
	after := func(first, more string) flood {
		return func(i int) string {
			if i == 0 {
				return first
			}
			return more
		}
	}
	const (
		held  = defaultMaxBuffered + overrun
		small = 5 // times what they hold is what many small things cost
	)
	for name, c := range map[string]struct {
		flood  flood
		pieces int
		limit  int // of heap
	}{
		"a start line without end":     {after("MSRP tid1 200 ", block), 1000, 1 << 20},
		"a method without end":         {after("MSRP tid1 ", strings.ToUpper(block)), 1000, 1 << 20},
		"a header line without end":    {after("MSRP tid1 SEND\r\n"+paths+"X-Pad: ", block), 1000, 1 << 20},
		"a path without end":           {after("MSRP tid1 SEND\r\nTo-Path:", strings.Repeat(" "+rawOwnURI, 1000)), 1000, 1 << 20},
		"header lines without end":     {after("MSRP tid1 SEND\r\n"+paths, strings.Repeat("X-Pad: x\r\n", 5000)), 1000, 1 << 20},
		"a body without end":           {after("MSRP tid1 SEND\r\n"+paths+"Message-ID: m3ss\r\nByte-Range: 1-*/*\r\nContent-Type: a/b\r\n\r\n", block), 1000, 2 * held},
		"a body without end to nobody": {after("MSRP tid1 SEND\r\nTo-Path: "+rawPeerURI+"\r\nFrom-Path: "+rawPeerURI+"\r\nMessage-ID: m3ss\r\nByte-Range: 1-*/*\r\nContent-Type: a/b\r\n\r\n", block), 1000, 1 << 20},
		"chunks with gaps": {func(i int) string {
			return chunkOf(i, fmt.Sprintf("Message-ID: m3ss%d\r\nByte-Range: %d-*/*", i/1000, 2+2*(i%1000)), "+", "x")
		}, 80_000, small * held},
		"chunks with gaps, unanswered": {func(i int) string {
			return chunkOf(i, fmt.Sprintf("Message-ID: m3ss%d\r\nByte-Range: %d-*/*\r\nFailure-Report: no", i/1000, 2+2*(i%1000)), "+", "x")
		}, 80_000, small * held},
		"messages that are never complete": {func(i int) string {
			return chunkOf(i, fmt.Sprintf("Message-ID: m3ss%d\r\nByte-Range: 1-*/9", i), "+", "x")
		}, 30_000, small * held},
		"messages that nobody reads": {func(i int) string {
			return chunkOf(i, fmt.Sprintf("Message-ID: m3ss%d\r\nByte-Range: 1-1/1", i), "$", "x")
		}, 30_000, small * held},
		"messages that are aborted": {func(i int) string {
			return chunkOf(i, fmt.Sprintf("Message-ID: %0128d\r\nByte-Range: 1-*/9", i), "#", "x")
		}, 30_000, 512 * maxHistory},
		"reports of nothing": {func(i int) string {
			return fmt.Sprintf("MSRP tid%d REPORT\r\n%sMessage-ID: m3ss%[1]d\r\nStatus: 000 200 OK\r\n-------tid%[1]d$\r\n", i, paths)
		}, 30_000, 1 << 20},
		"responses to nothing": {func(i int) string {
			return fmt.Sprintf("MSRP tid%d 200 OK\r\n%s-------tid%[1]d$\r\n", i, paths)
		}, 30_000, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				e := NewEndpoint(nil)
				own, err := ParseURI(rawOwnURI)
				require.NoError(t, err)
				s, err := e.NewSession(SessionOptions{URI: own})
				require.NoError(t, err)
				peer, err := ParsePath(rawPeerURI)
				require.NoError(t, err)
				require.NoError(t, s.Start(Remote{Path: peer}))
				conn := e.NewConn(NewStream(ours))
				defer theirs.Close()
				defer conn.Close()
				go io.Copy(io.Discard, theirs)
				h := measureHeap()
				for i := range c.pieces {
					if _, err := io.WriteString(theirs, c.flood(i)); err != nil {
						assert.Error(t, conn.Err())
						break
					}
					if i%(c.pieces/10) == 0 {
						h.look()
					}
				}
				h.look()
				assert.Less(t, h.peak, uint64(c.limit))
				t.Logf("%d KiB of heap, of %d", h.peak>>10, c.limit>>10)
			})
		})
	}
}

// Nothing is allocated because a peer says how large it will be (RFC 4975,
// section 14.5).
func TestMemoryOfDeclaredSizes(t *testing.T) {
	t.Attr("requirement", "W-36")
	t.Attr("requirement", "W-34")
	_, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
	for i, c := range []struct {
		byteRange string
		code      int
	}{
		{"1-4/4611686018427387904", 200}, // 2^62
		{"1-4611686018427387904/4611686018427387904", 200},
		{"1-*/4611686018427387904", 200},
		{"4611686018427387900-*/4611686018427387904", 200},
		{"4611686018427387904-4611686018427387904/*", 200},
		{"1-4/4611686018427387905", 400},
		{"1-4/9223372036854775807", 400},
		{"1-4/9223372036854775808", 400}, // 2^63
		{"1-9223372036854775808/*", 400},
		{"9223372036854775808-*/*", 400},
		{"1-4/18446744073709551617", 400}, // 2^64 + 1
		{"1-4/999999999999999999999999999999", 400},
	} {
		h := measureHeap()
		id := p.send(fmt.Sprintf("Message-ID: m3ss%d", i), "Byte-Range: "+c.byteRange, "flag: +", "body: abcd")
		assert.Equal(t, c.code, p.code(id), c.byteRange)
		assert.Less(t, h.allocated(), uint64(1<<20), c.byteRange)
	}
}
