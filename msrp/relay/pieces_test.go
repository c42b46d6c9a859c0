package relay

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// RFC 4976, section 6.4.1: chunks may be cut on the way; the octets keep their
// order, the ranges say what is really sent, and the last piece has the flag.
func TestPieces(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 1250) // 20,000 octets
	for _, c := range []struct {
		name, byteRange, flag string
		size, limit           int
		want                  []string // range and flag of each piece
	}{
		{"fits", "1-100/100", "$", 100, 8192, []string{"1-100/100 $"}},
		{"fits exactly", "1-*/8192", "$", 8192, 8192, []string{"1-*/8192 $"}},
		{"one octet more", "1-*/8193", "$", 8193, 8192, []string{"1-8192/8193 +", "8193-8193/8193 $"}},
		{"three", "1-*/20000", "$", 20000, 8192, []string{"1-8192/20000 +", "8193-16384/20000 +", "16385-20000/20000 $"}},
		{"from the middle", "5001-*/*", "+", 20000, 8192, []string{"5001-13192/* +", "13193-21384/* +", "21385-25000/* +"}},
		{"aborted", "1-*/90000", "#", 10000, 8192, []string{"1-8192/90000 +", "8193-10000/90000 #"}},
		{"a lie about the end", "1-4/4", "$", 10000, 8192, []string{"1-8192/* +", "8193-10000/* $"}},
		{"no range", "", "$", 10000, 8192, []string{"1-8192/* +", "8193-10000/* $"}},
		{"no range and no need", "", "$", 10, 8192, []string{" $"}},
		{"empty", "1-0/0", "$", 0, 8192, []string{"1-0/0 $"}},
		{"as it comes", "1-*/20000", "$", 20000, 0, []string{"1-*/20000 $"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Attr("requirement", "R-18")
			t.Attr("requirement", "R-31")
			t.Attr("requirement", "R-32")
			r := newRig(t, func(config *Config) { config.PeerChunk = func(msrp.URI) int { return c.limit } })
			dialled := r.door(bobHost)
			alice := r.browser()
			token := alice.token("alice", aliceURI, true)
			fields := []string{"Message-ID: m3ss4ge1", "Success-Report: yes", "Failure-Report: yes", "X-Note: Grüße, 世界 ☃", "Content-Disposition: inline", "Content-Type: image/png", "flag: " + c.flag}
			if c.byteRange != "" {
				fields = append(fields, "Byte-Range: "+c.byteRange)
			}
			id := alice.send("SEND", token+" "+bobURI, aliceURI, text(body[:c.size]), fields...)
			alice.wantCode(id, 200, aliceURI, token)
			bob := dialled()
			var octets strings.Builder
			ids := map[string]bool{}
			for _, want := range c.want {
				g := bob.want("SEND", bobURI, token)
				assert.Equal(t, want, g.Header.Get("Byte-Range")+" "+string(g.Flag))
				octets.WriteString(g.body)
				ids[g.TransactionID] = true
				for name, value := range map[string]string{
					"Message-ID": "m3ss4ge1", "Success-Report": "yes", "Failure-Report": "yes", "X-Note": "Grüße, 世界 ☃",
					"Content-Disposition": "inline", "Content-Type": "image/png",
				} {
					assert.Equal(t, value, g.Header.Get(name), name)
				}
				assert.Equal(t, "Content-Type", g.Header[len(g.Header)-1].Name)
			}
			assert.Equal(t, body[:c.size], octets.String())
			assert.Len(t, ids, len(c.want))

			// Each piece is a transaction of its own.
			last := ""
			for id := range ids {
				last = id
			}
			bob.answer(last, 413, token, bobURI)
			g := alice.want("REPORT", aliceURI, token)
			assert.Equal(t, 413, g.Unit.Status().Code)

			// No more of a message that the peer does not want.
			id = alice.send("SEND", token+" "+bobURI, aliceURI, text("more"), "Message-ID: m3ss4ge1", "Byte-Range: 30001-30004/*")
			alice.wantCode(id, 413, aliceURI, token)
		})
	}
	t.Run("towards a WebSocket", func(t *testing.T) {
		t.Attr("requirement", "R-32")
		t.Attr("requirement", "B-06")
		r := newRig(t)
		alice := r.browser()
		token := alice.token("alice", aliceURI, true)
		bob := r.peer()
		large := strings.Repeat(body, 10)
		go bob.send("SEND", token, bobURI, &large, "Message-ID: m3ss4ge1", "Byte-Range: 1-*/*")
		var octets strings.Builder
		for flag := msrp.FlagInterrupted; flag == msrp.FlagInterrupted; {
			g := alice.want("SEND", aliceURI, token+" "+bobURI)
			assert.LessOrEqual(t, len(g.body), 64<<10)
			octets.WriteString(g.body)
			flag = g.Flag
		}
		assert.Equal(t, large, octets.String())
		require.Equal(t, 200, bob.read().Code)
	})
}

// A chunk goes on while it arrives, and what is whole of it survives its
// sender.
func TestChunkIsNotWaitedFor(t *testing.T) {
	r := newRig(t)
	alice := r.browser()
	token := alice.token("alice", aliceURI, true)
	bob := r.peer()
	go bob.write([]byte("MSRP l0ngch4nk SEND\r\nTo-Path: " + token + "\r\nFrom-Path: " + bobURI +
		"\r\nMessage-ID: m3ss4ge1\r\nByte-Range: 1-*/*\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("x", 70_000)))
	g := alice.want("SEND", aliceURI, token+" "+bobURI)
	assert.Equal(t, "1-65536/*", g.Header.Get("Byte-Range"))
	assert.Equal(t, msrp.FlagInterrupted, g.Flag)
	bob.c.Close()
	alice.wantSilence(token, aliceURI)
}

// The 200 is the sender's credit: while the receiver does not read, it is held
// back, and after 10 seconds the sender hears 408.
func TestCredit(t *testing.T) {
	const size = 64 << 10
	const paid = maxQueued/size - 1 // with their headers, one more is too many
	chunk := strings.Repeat("x", size)
	setUp := func(t *testing.T) (alice, bob *side, token string) {
		r := newRig(t, func(c *Config) { c.PeerChunk = func(msrp.URI) int { return 0 } })
		t.Cleanup(func() { synctest.Wait() })
		alice = r.browser()
		alice.c.SetDeadline(time.Time{})
		token = alice.token("alice", aliceURI, true)
		bob = r.peer()
		bob.c.SetDeadline(time.Time{})
		// Bob's first request binds his connection; then he stops to read.
		id := bob.send("SEND", token, bobURI, nil, "Message-ID: b1nd")
		bob.wantCode(id, 200, bobURI, token)
		alice.read()
		t.Cleanup(func() { r.relay.Close() })
		return alice, bob, token
	}
	send := func(alice *side, token, message string) string {
		return alice.send("SEND", token+" "+bobURI, aliceURI, &chunk, "Message-ID: "+message, "Byte-Range: 1-*/*", "flag: +")
	}
	t.Run("held back and paid", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			alice, bob, token := setUp(t)
			for range paid {
				alice.wantCode(send(alice, token, "m3ss4ge1"), 200, aliceURI, token)
			}
			held := []string{send(alice, token, "m3ss4ge1"), send(alice, token, "m3ss4ge1")}
			alice.wantSilence(token, aliceURI) // another request passes, and neither 200
			read := make(chan bool)
			go func() {
				defer close(read)
				for range paid + len(held) {
					bob.read()
				}
			}()
			for _, id := range held {
				alice.wantCode(id, 200, aliceURI, token)
			}
			<-read
		})
	})
	t.Run("never paid", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			alice, bob, token := setUp(t)
			for range paid {
				alice.wantCode(send(alice, token, "m3ss4ge1"), 200, aliceURI, token)
			}
			start := time.Now()
			held := send(alice, token, "m3ss4ge1")
			g := alice.wantCode(held, 408, aliceURI, token)
			assert.Equal(t, stallTimeout, time.Since(start))
			assert.Equal(t, "The peer does not read", g.Comment)
			alice.wantCode(send(alice, token, "m3ss4ge1"), 408, aliceURI, token) // nor the rest of the message
			bob.c.Close()
		})
	})
	t.Run("whoever ignores it is not read from", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			alice, bob, token := setUp(t)
			sent := make(chan int, 1)
			go func() {
				n := 0
				for range 100 {
					u := msrp.Unit{TransactionID: msrp.NewTransactionID(), Method: "SEND", To: path(t, token+" "+bobURI), From: path(t, aliceURI),
						Header: msrp.Header{{Name: "Message-ID", Value: "m3ss4ge1"}, {Name: "Failure-Report", Value: "no"}, {Name: "Content-Type", Value: "text/plain"}}}
					if _, err := alice.c.Write(u.Append(nil, []byte(chunk))); err != nil {
						break
					}
					n++
				}
				sent <- n
			}()
			synctest.Wait()
			alice.c.Close()
			assert.LessOrEqual(t, <-sent, (maxQueued+overrun)/size+3)
			bob.c.Close()
		})
	})
}
