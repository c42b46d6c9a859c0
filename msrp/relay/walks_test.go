package relay

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	aliceURI = "msrp://a1.invalid:2855/al1ceS3ss10n;ws"
	carolURI = "msrp://c1.invalid:2855/car0lS3ss10n;ws"
	bobURI   = "msrp://bob.example.net:9000/b0bS3ss10n;tcp"
	bobHost  = "bob.example.net:9000"
	bobRelay = "msrp://other.example.net:2855/st0ken;tcp"
)

// Every walk a request takes past the relay, its paths at each hop, the
// responses, and the way back of reports: RFC 4976, section 6.4 for relay mode,
// RFC 7977, section 8.3 for two browsers, and direct mode.
func TestWalks(t *testing.T) {
	fields := []string{"Message-ID: m3ss4ge1", "Byte-Range: 1-2/2", "Success-Report: yes"}
	reportFields := []string{"Message-ID: m3ss4ge1", "Byte-Range: 1-2/2", "Status: 000 200 OK"}

	for _, direct := range []bool{false, true} {
		mode := map[bool]string{false: "relay mode, ", true: "direct mode, "}[direct]
		// self is what stands for Alice behind the token: her own URI in relay
		// mode, nothing in direct mode.
		self := func(token string) string {
			if direct {
				return token
			}
			return token + " " + aliceURI
		}

		t.Run(mode+"browser to a TCP peer that the relay dials", func(t *testing.T) {
			t.Attr("requirement", "R-13")
			t.Attr("requirement", "R-16")
			t.Attr("requirement", "R-17")
			t.Attr("requirement", "R-26")
			r := newRig(t)
			dialled := r.door(bobHost)
			alice := r.browser()
			d := alice.token("alice", aliceURI, direct)
			id := alice.send("SEND", d+" "+bobURI, aliceURI, text("hi"), fields...)
			alice.wantCode(id, 200, aliceURI, d)
			bob := dialled()
			g := bob.want("SEND", bobURI, self(d))
			assert.Equal(t, "hi", g.body)
			assert.NotEqual(t, id, g.TransactionID)
			assert.Equal(t, "yes", g.Header.Get("Success-Report"))
			assert.Equal(t, "1-2/2", g.Header.Get("Byte-Range"))
			bob.answer(g.TransactionID, 200, d, bobURI)
			bob.send("REPORT", self(d), bobURI, nil, reportFields...)
			g = alice.want("REPORT", aliceURI, d+" "+bobURI)
			assert.Equal(t, "000 200 OK", g.Header.Get("Status"))
			alice.wantSilence(d, aliceURI) // the peer's 200 ended at the relay

			// The peer answers on the same connection.
			id = bob.send("SEND", self(d), bobURI, text("ho"), fields...)
			bob.wantCode(id, 200, bobURI, d)
			g = alice.want("SEND", aliceURI, d+" "+bobURI)
			assert.Equal(t, "ho", g.body)
			alice.answer(g.TransactionID, 200, d, aliceURI)
			alice.send("REPORT", d+" "+bobURI, aliceURI, nil, reportFields...)
			bob.want("REPORT", bobURI, self(d))
		})
		t.Run(mode+"a TCP peer that dials the relay", func(t *testing.T) {
			t.Attr("requirement", "R-13")
			t.Attr("requirement", "R-34")
			r := newRig(t)
			alice := r.browser()
			d := alice.token("alice", aliceURI, direct)
			bob := r.peer()
			id := bob.send("SEND", self(d), bobURI, text("ho"), fields...)
			bob.wantCode(id, 200, bobURI, d)
			g := alice.want("SEND", aliceURI, d+" "+bobURI)
			assert.Equal(t, "ho", g.body)
			alice.answer(g.TransactionID, 200, d, aliceURI)
			// No door: the answer must take the connection that Bob opened.
			id = alice.send("SEND", d+" "+bobURI, aliceURI, text("hi"), fields...)
			alice.wantCode(id, 200, aliceURI, d)
			g = bob.want("SEND", bobURI, self(d))
			assert.Equal(t, "hi", g.body)
		})
		t.Run(mode+"failure of the peer", func(t *testing.T) {
			t.Attr("requirement", "R-21")
			t.Attr("requirement", "R-23")
			r := newRig(t)
			dialled := r.door(bobHost)
			alice := r.browser()
			d := alice.token("alice", aliceURI, direct)
			id := alice.send("SEND", d+" "+bobURI, aliceURI, text("hi"), fields...)
			alice.wantCode(id, 200, aliceURI, d)
			bob := dialled()
			g := bob.read()
			bob.answer(g.TransactionID, 415, d, bobURI)
			g = alice.want("REPORT", aliceURI, d)
			assert.Equal(t, "000 415 Unsupported Media Type", g.Header.Get("Status"))
			assert.Equal(t, "1-2/2", g.Header.Get("Byte-Range"))
			assert.Equal(t, "m3ss4ge1", g.Header.Get("Message-ID"))
		})
		t.Run(mode+"a peer behind a relay of its own", func(t *testing.T) {
			t.Attr("requirement", "R-16")
			t.Attr("requirement", "R-19")
			r := newRig(t, func(c *Config) { c.PlainPeers = true })
			alice := r.browser()
			d := alice.token("alice", aliceURI, direct)
			// The other relay has a connection already: it delivered for Bob.
			other := r.peer()
			id := other.send("SEND", self(d), bobRelay+" "+bobURI, text("ho"), fields...)
			other.wantCode(id, 200, bobRelay, d)
			alice.want("SEND", aliceURI, d+" "+bobRelay+" "+bobURI)
			id = alice.send("SEND", d+" "+bobRelay+" "+bobURI, aliceURI, text("hi"), fields...)
			alice.wantCode(id, 200, aliceURI, d)
			g := other.want("SEND", bobRelay+" "+bobURI, self(d))
			other.answer(g.TransactionID, 200, d, bobRelay)
			other.send("REPORT", self(d), bobRelay+" "+bobURI, nil, reportFields...)
			alice.want("REPORT", aliceURI, d+" "+bobRelay+" "+bobURI)
		})
		t.Run(mode+"other methods, there and back", func(t *testing.T) {
			t.Attr("requirement", "R-27")
			t.Attr("requirement", "R-28")
			r := newRig(t)
			dialled := r.door(bobHost)
			alice := r.browser()
			d := alice.token("alice", aliceURI, direct)
			id := alice.send("NICKNAME", d+" "+bobURI, aliceURI, nil, `Use-Nickname: "Al"`)
			bob := dialled()
			g := bob.want("NICKNAME", bobURI, self(d))
			assert.Equal(t, `"Al"`, g.Header.Get("Use-Nickname"))
			bob.answer(g.TransactionID, 425, self(d), bobURI)
			alice.wantCode(id, 425, aliceURI, d+" "+bobURI)

			id = bob.send("PUBLISH", self(d), bobURI, nil)
			g = alice.want("PUBLISH", aliceURI, d+" "+bobURI)
			alice.answer(g.TransactionID, 501, d+" "+bobURI, aliceURI)
			bob.wantCode(id, 501, bobURI, self(d))
		})

		for _, one := range []bool{false, true} {
			name := map[bool]string{false: "two browsers", true: "two sessions on one WebSocket"}[one]
			t.Run(mode+name, func(t *testing.T) {
				if !direct {
					t.Attr("requirement", "R-41")
				}
				r := newRig(t)
				alice := r.browser()
				carol := alice
				if !one {
					carol = r.browser()
				}
				d1 := alice.token("alice", aliceURI, direct)
				d2 := carol.token("carol", carolURI, direct)
				toCarol, toAlice := d1+" "+d2+" "+carolURI, d2+" "+d1+" "+aliceURI
				fromAlice, fromCarol := d2+" "+d1+" "+aliceURI, d1+" "+d2+" "+carolURI
				if direct {
					toCarol, toAlice = d1+" "+d2, d2+" "+d1
					fromAlice, fromCarol = d2+" "+d1, d1+" "+d2
				}
				id := alice.send("SEND", toCarol, aliceURI, text("hi"), fields...)
				alice.wantCode(id, 200, aliceURI, d1)
				g := carol.want("SEND", carolURI, fromAlice)
				assert.Equal(t, "hi", g.body)
				carol.answer(g.TransactionID, 200, d2, carolURI)
				carol.send("REPORT", toAlice, carolURI, nil, reportFields...)
				alice.want("REPORT", aliceURI, fromCarol)

				// A response along the whole path.
				id = alice.send("NICKNAME", toCarol, aliceURI, nil, `Use-Nickname: "Al"`)
				g = carol.want("NICKNAME", carolURI, fromAlice)
				carol.answer(g.TransactionID, 501, fromAlice, carolURI)
				alice.wantCode(id, 501, aliceURI, toCarol)

				// And a failure.
				id = alice.send("SEND", toCarol, aliceURI, text("no"), fields...)
				alice.wantCode(id, 200, aliceURI, d1)
				g = carol.want("SEND", carolURI, fromAlice)
				carol.answer(g.TransactionID, 413, d2, carolURI)
				alice.want("REPORT", aliceURI, d1)
			})
		}
	}

	t.Run("a direct browser and one in relay mode", func(t *testing.T) {
		r := newRig(t)
		alice, carol := r.browser(), r.browser()
		d, c := alice.token("alice", aliceURI, true), carol.token("carol", carolURI, false)
		alice.send("SEND", d+" "+c+" "+carolURI, aliceURI, text("hi"), fields...)
		alice.read()
		g := carol.want("SEND", carolURI, c+" "+d)
		carol.answer(g.TransactionID, 200, c, carolURI)
		carol.send("REPORT", c+" "+d, carolURI, nil, reportFields...)
		alice.want("REPORT", aliceURI, d+" "+c+" "+carolURI)

		carol.send("SEND", c+" "+d, carolURI, text("ho"), fields...)
		carol.read()
		g = alice.want("SEND", aliceURI, d+" "+c+" "+carolURI)
		alice.answer(g.TransactionID, 200, d, aliceURI)
		alice.send("REPORT", d+" "+c+" "+carolURI, aliceURI, nil, reportFields...)
		carol.want("REPORT", carolURI, c+" "+d)
	})
}
