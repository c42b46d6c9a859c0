package msrp

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// begin writes the head of a SEND, whose body and end follow.
func (p *rawPeer) begin(id, message, byteRange string) {
	p.write("MSRP " + id + " SEND\r\nTo-Path: " + rawOwnURI + "\r\nFrom-Path: " + rawPeerURI +
		"\r\nMessage-ID: " + message + "\r\nByte-Range: " + byteRange + "\r\nContent-Type: text/plain\r\n\r\n")
}

// A message is given up when its next chunk does not come, however long the
// chunk itself takes.
func TestSlowChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
		require.Equal(t, 200, p.code(p.send("Message-ID: m3ss4ge", "Byte-Range: 1-4/*", "flag: +", "body: abcd")))
		time.Sleep(partialTimeout - time.Second)
		p.begin("sl0w", "m3ss4ge", "5-*/*")
		for range 10 {
			p.write("x")
			time.Sleep(partialTimeout / 5)
		}
		p.write("\r\n-------sl0w+\r\n")
		assert.Equal(t, 200, p.code("sl0w"))
		time.Sleep(partialTimeout + time.Second)
		assert.Equal(t, 413, p.code(p.send("Message-ID: m3ss4ge", "Byte-Range: 15-18/18", "body: efgh")))
		s.conn.Close()
	})
}

// A session that ends in the middle of a chunk takes no message any more, and
// says so.
func TestEndInMidChunk(t *testing.T) {
	for name, body := range map[string]string{"before the last octet": "cd", "behind the last octet": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
				p.begin("m1dd", "m3ss4ge", "1-*/*")
				p.write(strings.Repeat("ab", 50))
				synctest.Wait()
				s.Close()
				p.write(body + "\r\n-------m1dd$\r\n")
				assert.Equal(t, StatusNoSession, p.code("m1dd"))
				_, err := s.Receive(t.Context())
				assert.ErrorIs(t, err, ErrSessionClosed)
				s.mu.Lock()
				assert.Empty(t, s.queue)
				s.mu.Unlock()
			})
		})
	}
}

// RFC 4975, section 10.8: 481 ends the session, also where it answers a message
// that was given up in the meantime.
func TestNoSessionAfterAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newRawPeer(t, SessionOptions{}, Remote{Window: 1}, func(u *Unit) int { return 0 })
		out := send(t, s, 100_000, bytes.NewReader(make([]byte, 100_000)))
		synctest.Wait()
		out.Abort()
		synctest.Wait()
		first := p.got()[0]
		p.write(string(response(first, StatusNoSession).Append(nil, nil)))
		synctest.Wait()
		var status *StatusError
		require.ErrorAs(t, s.Err(), &status)
		assert.Equal(t, StatusNoSession, status.Code)
		assert.ErrorIs(t, out.Progress().Err, ErrAborted)
		s.conn.Close()
	})
}

// A reader whose octets come in odd pieces does not leave a small chunk behind
// where the window lets only a small one go.
func TestNoSmallRemainder(t *testing.T) {
	t.Attr("requirement", "S-20")
	synctest.Test(t, func(t *testing.T) {
		s := unconnected(t, Remote{Window: 8 << 10, ChunkSize: 8 << 10})
		var answers []request
		take := func() (id string, n int, flag Flag) {
			id, flag, n, r := next(t, s)
			answers = append(answers, r)
			return id, n, flag
		}
		sendAs(t, s, "f1rst", 12_000)
		for {
			if id, _, _ := take(); id == "" {
				break
			}
		}
		body, octets := io.Pipe()
		_, err := s.Send(t.Context(), &Message{ID: "sec0nd", ContentType: "image/jpeg", Body: body})
		require.NoError(t, err)
		go func() {
			octets.Write(make([]byte, 3000))
			octets.Write(make([]byte, 5000))
			octets.Close()
		}()
		synctest.Wait()
		for sent := 0; sent < 8000; {
			id, n, flag := take()
			require.Equal(t, "sec0nd", id)
			if sent += n; flag == FlagInterrupted {
				assert.GreaterOrEqual(t, n, minChunk)
			}
			last := answers[len(answers)-1]
			last.done(&Unit{Code: 200}, nil)
			synctest.Wait()
		}
	})
}
