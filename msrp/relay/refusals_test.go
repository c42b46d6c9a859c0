package relay

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/digest"
)

const victim = "msrp://victim.example.net:9000/v1ct1m;tcp"

// Nobody gets a byte forwarded without a token of his own: RFC 4976, section 6.4.
func TestNeverAnOpenRelay(t *testing.T) {
	mid := "Message-ID: m3ss4ge1"
	setUp := func(t *testing.T, direct bool) (r *rig, alice *side, token string) {
		r = newRig(t)
		r.door("victim.example.net:9000") // there to be dialled: nobody must
		alice = r.browser()
		return r, alice, alice.token("alice", aliceURI, direct)
	}
	undialled := func(t *testing.T, r *rig) {
		t.Helper()
		assert.Empty(t, r.doors["victim.example.net:9000"])
		assert.Zero(t, r.relay.Stats().Dials)
	}

	for _, direct := range []bool{false, true} {
		mode := map[bool]string{false: ", relay mode", true: ", direct mode"}[direct]
		t.Run("a browser without a token"+mode, func(t *testing.T) {
			t.Attr("requirement", "R-13")
			t.Attr("requirement", "R-14")
			t.Attr("requirement", "B-05")
			t.Attr("requirement", "B-09")
			r, alice, token := setUp(t, direct)
			mallory := r.browser()
			own := "msrp://m.invalid:2855/m4ll0ry;ws"
			for _, to := range []string{token, token + " " + victim, token + " " + aliceURI} {
				id := mallory.send("SEND", to, own, text("x"), mid)
				mallory.wantCode(id, 481, own, token)
				mallory.send("REPORT", to, own, nil, mid, "Status: 000 200 OK")
				id = mallory.send("AUTH", to, own, nil)
				mallory.wantCode(id, 481, own, token)
			}
			alice.wantSilence(token, aliceURI)
			undialled(t, r)
		})
		t.Run("a browser with a token of its own uses another's"+mode, func(t *testing.T) {
			t.Attr("requirement", "R-12")
			t.Attr("requirement", "R-13")
			t.Attr("requirement", "R-14")
			r, alice, token := setUp(t, direct)
			carol := r.browser()
			carol.token("carol", carolURI, direct)
			for _, from := range []string{carolURI, aliceURI} {
				id := carol.send("SEND", token+" "+victim, from, text("x"), mid)
				carol.wantCode(id, 481, from, token)
				id = carol.send("SEND", token, from, text("x"), mid)
				carol.wantCode(id, 481, from, token)
			}
			alice.wantSilence(token, aliceURI)
			undialled(t, r)
		})
		t.Run("a TCP peer relays through a token it knows"+mode, func(t *testing.T) {
			t.Attr("requirement", "R-13")
			t.Attr("requirement", "R-14")
			r, alice, token := setUp(t, direct)
			mallory := r.peer()
			for _, to := range []string{token + " " + victim, token + " " + victim + " " + aliceURI} {
				id := mallory.send("SEND", to, bobURI, text("x"), mid)
				mallory.wantCode(id, 481, bobURI, token)
				id = mallory.send("AUTH", to, bobURI, nil)
				mallory.wantCode(id, 481, bobURI, token)
			}
			if direct { // nor with the owner's own URI behind it
				id := mallory.send("SEND", token+" "+aliceURI, bobURI, text("x"), mid)
				mallory.wantCode(id, 481, bobURI, token)
			}
			alice.wantSilence(token, aliceURI)
			undialled(t, r)
		})
		t.Run("the owner's URI on another connection"+mode, func(t *testing.T) {
			t.Attr("requirement", "R-12")
			t.Attr("requirement", "R-13")
			r, _, token := setUp(t, direct)
			mallory := r.peer()
			id := mallory.send("SEND", token+" "+victim, aliceURI, text("x"), mid)
			mallory.wantCode(id, 481, aliceURI, token)
			undialled(t, r)
		})
		t.Run("another URI on the owner's connection"+mode, func(t *testing.T) {
			t.Attr("requirement", "R-13")
			r, alice, token := setUp(t, direct)
			id := alice.send("SEND", token+" "+victim, carolURI, text("x"), mid)
			alice.wantCode(id, 481, carolURI, token)
			undialled(t, r)
		})
	}

	t.Run("no token at all", func(t *testing.T) {
		t.Attr("requirement", "R-13")
		t.Attr("requirement", "R-14")
		t.Attr("requirement", "R-15")
		r, _, _ := setUp(t, true)
		mallory := r.peer()
		id := mallory.send("SEND", "msrp://relay.example.com:2856/n0t1ssued;tcp "+victim, bobURI, text("x"), mid)
		mallory.wantCode(id, 481, bobURI, "msrp://relay.example.com:2856/n0t1ssued;tcp")
		mallory.send("SEND", victim, bobURI, text("x"), mid)
		mallory.wantEnd() // RFC 4976, section 6.2: not addressed to this relay
		undialled(t, r)
	})
	t.Run("an AUTH chain on a direct token", func(t *testing.T) {
		r, alice, token := setUp(t, true)
		id := alice.send("AUTH", token+" msrp://victim.example.net:9000;tcp", aliceURI, nil)
		alice.wantCode(id, 403, aliceURI, token)
		id = alice.send("AUTH", token, aliceURI, nil)
		alice.wantCode(id, 501, aliceURI, token)
		undialled(t, r)
	})
	t.Run("the relay itself as target", func(t *testing.T) {
		t.Attr("requirement", "R-47")
		t.Attr("requirement", "B-11")
		for _, direct := range []bool{false, true} {
			_, alice, token := setUp(t, direct)
			id := alice.send("SEND", token, aliceURI, nil, mid)
			alice.wantCode(id, 200, aliceURI, token)
			id = alice.send("SEND", token, aliceURI, text("x"), mid)
			alice.wantCode(id, map[bool]int{false: 403, true: 501}[direct], aliceURI, token)
		}
	})
}

// Knowing a token must not attract what its owner sends to someone else.
func TestTokenDoesNotCapture(t *testing.T) {
	t.Attr("requirement", "R-44")
	for _, direct := range []bool{false, true} {
		r := newRig(t)
		dialled := r.door(bobHost)
		alice := r.browser()
		token := alice.token("alice", aliceURI, direct)
		to := token
		if !direct {
			to += " " + aliceURI
		}
		mallory := r.peer()
		// Mallory may reach Alice, as every peer may.
		id := mallory.send("SEND", to, "msrp://bob.example.net:9000/gu3ss3d;tcp", text("x"), "Message-ID: m3ss4ge1")
		mallory.wantCode(id, 200, "msrp://bob.example.net:9000/gu3ss3d;tcp", token)
		g := alice.read()
		alice.answer(g.TransactionID, 200, token, aliceURI)
		// What Alice sends to Bob goes to Bob.
		alice.send("SEND", token+" "+bobURI, aliceURI, text("for Bob"), "Message-ID: m3ss4ge2")
		alice.read()
		g = dialled().read()
		assert.Equal(t, "for Bob", g.body)
		// What she sends to Mallory's URI goes to Mallory.
		alice.send("SEND", token+" msrp://bob.example.net:9000/gu3ss3d;tcp", aliceURI, text("for Mallory"), "Message-ID: m3ss4ge3")
		g = mallory.read()
		assert.Equal(t, "for Mallory", g.body)
	}
}

// RFC 4976, sections 6.3 and 9.
func TestAuth(t *testing.T) {
	t.Run("wrong password, until the connection ends", func(t *testing.T) {
		t.Attr("requirement", "R-06")
		t.Attr("requirement", "R-39")
		r := newRig(t)
		alice := r.browser()
		for range maxAuths {
			assert.Equal(t, 401, alice.auth("alice", "wrong", aliceURI).Code)
		}
		alice.wantEnd()
		assert.EqualValues(t, maxAuths, r.relay.Stats().AuthsFailed)
		assert.Zero(t, r.relay.Stats().Tokens)
	})
	t.Run("unknown user", func(t *testing.T) {
		t.Attr("requirement", "R-06")
		assert.Equal(t, 401, newRig(t).browser().auth("nobody", "secret", aliceURI).Code)
	})
	t.Run("without TLS", func(t *testing.T) {
		t.Attr("requirement", "R-02")
		r := newRig(t)
		bob := r.peer()
		id := bob.send("AUTH", relayURI, bobURI, nil)
		bob.wantCode(id, 403, bobURI, relayURI)
		bob.wantEnd()
	})
	t.Run("the 200 proves the relay", func(t *testing.T) {
		t.Attr("requirement", "R-05")
		t.Attr("requirement", "R-09")
		r := newRig(t)
		alice := r.browser()
		g := alice.auth("alice", "secret", aliceURI)
		info, err := digest.ParseInfo(g.Header.Get("Authentication-Info"))
		require.NoError(t, err)
		assert.NotEmpty(t, info.RspAuth)
		for _, parameter := range []string{`cnonce="cnonce"`, "nc=00000001", "qop=auth"} {
			assert.Contains(t, g.Header.Get("Authentication-Info"), parameter)
		}
		assert.Equal(t, "3600", g.Header.Get("Expires"))
		assert.Empty(t, g.Header.Get("Relay-Features"), "not asked for")
		use := path(t, g.Header.Get("Use-Path"))
		require.Len(t, use, 1)
		assert.Equal(t, "relay.example.com", use[0].Host())
		assert.Equal(t, 2856, use[0].Port())
		assert.GreaterOrEqual(t, len(use[0].SessionID()), 20)
	})
	t.Run("each AUTH its own token", func(t *testing.T) {
		t.Attr("requirement", "R-10")
		alice := newRig(t).browser()
		assert.NotEqual(t, alice.token("alice", aliceURI, false), alice.token("alice", aliceURI, false))
	})
	t.Run("an answer serves once", func(t *testing.T) {
		t.Attr("requirement", "R-06")
		alice := newRig(t).browser()
		id := alice.send("AUTH", relayURI, aliceURI, nil)
		g := alice.wantCode(id, 401, aliceURI, relayURI)
		c, err := digest.Strongest(g.Header.Values("WWW-Authenticate"))
		require.NoError(t, err)
		answer := "Authorization: " + c.Answer("alice", "secret", "AUTH", relayURI, "c", 1).String()
		id = alice.send("AUTH", relayURI, aliceURI, nil, answer)
		alice.wantCode(id, 200, aliceURI, relayURI)
		id = alice.send("AUTH", relayURI, aliceURI, nil, answer)
		g = alice.wantCode(id, 401, aliceURI, relayURI)
		c, err = digest.Strongest(g.Header.Values("WWW-Authenticate"))
		require.NoError(t, err)
		assert.True(t, c.Stale)
		// The same nonce counts on, and a nonce of someone else's making does not.
		for nonce, code := range map[string]int{c.Nonce: 200, strings.ToUpper(c.Nonce): 401, "": 401} {
			c.Nonce = nonce
			id = alice.send("AUTH", relayURI, aliceURI, nil, "Authorization: "+c.Answer("alice", "secret", "AUTH", relayURI, "c", 2).String())
			alice.wantCode(id, code, aliceURI, relayURI)
		}
	})
	t.Run("Expires", func(t *testing.T) {
		t.Attr("requirement", "R-08")
		t.Attr("requirement", "R-09")
		alice := newRig(t).browser()
		for asked, want := range map[string]string{
			"60": "Expires: 60", "86400": "Expires: 86400", "59": "Min-Expires: 60", "0": "Min-Expires: 60",
			"86401": "Max-Expires: 86400", "99999999999999999999": "Max-Expires: 86400", "-1": "Min-Expires: 60",
		} {
			g := alice.auth("alice", "secret", aliceURI, "Expires: "+asked)
			name, value, _ := strings.Cut(want, ": ")
			assert.Equal(t, value, g.Header.Get(name), asked)
			assert.Equal(t, map[bool]int{true: 200, false: 423}[name == "Expires"], g.Code, asked)
		}
	})
	t.Run("too many tokens", func(t *testing.T) {
		t.Attr("requirement", "R-07")
		r := newRig(t, func(c *Config) { c.MaxTokensPerUser = 2 })
		alice := r.browser()
		for _, code := range []int{200, 200, 403} {
			assert.Equal(t, code, alice.auth("alice", "secret", aliceURI).Code)
		}
		assert.Equal(t, 200, r.browser().auth("carol", "hidden", carolURI).Code)
	})
	t.Run("a token that is given back", func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxTokensPerUser = 1 })
		alice, bob := r.browser(), r.peer()
		granted := func(own, wanted string) (token, features string) {
			g := alice.auth("alice", "secret", own, "Relay-Features: "+wanted)
			require.Equal(t, 200, g.Code)
			return g.Header.Get("Use-Path"), g.Header.Get("Relay-Features")
		}
		token, features := granted(aliceURI, "direct release")
		assert.Regexp(t, `^direct chunk-size=\d+( fingerprint="[^"]*")? release$`, features)
		// Only its owner can.
		bob.send("SEND", token, bobURI, nil, "Message-ID: b0b", "Relay-Features: release")
		alice.want("SEND", aliceURI, token+" "+bobURI)
		alice.wantSilence(token, aliceURI)
		id := alice.send("SEND", token, aliceURI, nil, "Message-ID: gone", "Relay-Features: release")
		alice.wantCode(id, 200, aliceURI, token)
		id = alice.send("SEND", token, aliceURI, nil, "Message-ID: gone2")
		alice.wantCode(id, 481, aliceURI, token)
		other, features := granted(aliceURI, "release")
		assert.Equal(t, "release", features)
		assert.NotEqual(t, token, other)
	})
	t.Run("another relay's name", func(t *testing.T) {
		t.Attr("requirement", "R-15")
		r := newRig(t)
		alice := r.browser()
		alice.send("AUTH", "msrp://elsewhere.example.com:2856;tcp", aliceURI, nil)
		alice.wantEnd()
	})
	t.Run("msrp tokens only where plain peers are allowed", func(t *testing.T) {
		t.Attr("requirement", "R-46")
		r := newRig(t, func(c *Config) { c.PlainPeers = false })
		alice := r.browser()
		id := alice.send("AUTH", relayURI, aliceURI, nil)
		alice.wantCode(id, 403, aliceURI, relayURI)
	})
}

// RFC 4976, section 6.3: a token ends with its time and with its owner's
// connection.
func TestTokenEnds(t *testing.T) {
	t.Run("with the connection", func(t *testing.T) {
		t.Attr("requirement", "R-11")
		r := newRig(t)
		alice := r.browser()
		token := alice.token("alice", aliceURI, true)
		dialled := r.door(bobHost)
		alice.send("SEND", token+" "+bobURI, aliceURI, text("x"), "Message-ID: m3ss4ge1")
		bob := dialled()
		bob.read()
		alice.c.Close()
		<-alice.done
		_, err := bob.in.Next()
		assert.Error(t, err, "the connection that was opened for her ends as well")
		peer := r.peer()
		id := peer.send("SEND", token, bobURI, text("x"), "Message-ID: m3ss4ge1")
		peer.wantCode(id, 481, bobURI, token)
		assert.Zero(t, r.relay.Stats().Tokens)
	})
	t.Run("with its time", func(t *testing.T) {
		t.Attr("requirement", "R-11")
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			alice := r.browser()
			alice.c.SetDeadline(time.Time{})
			g := alice.auth("alice", "secret", aliceURI, "Expires: 60")
			token := g.Header.Get("Use-Path")
			time.Sleep(59 * time.Second)
			id := alice.send("SEND", token, aliceURI, nil, "Message-ID: pr0be")
			alice.wantCode(id, 200, aliceURI, token)
			time.Sleep(2 * time.Second)
			id = alice.send("SEND", token, aliceURI, nil, "Message-ID: pr0be")
			alice.wantCode(id, 481, aliceURI, token)
			r.relay.Close()
		})
	})
}

// RFC 4976, section 6.1.
func TestIdleAndFutileConnections(t *testing.T) {
	t.Run("nothing within 30 seconds", func(t *testing.T) {
		t.Attr("requirement", "R-38")
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			start := time.Now()
			bob := r.peer()
			bob.c.SetDeadline(time.Time{})
			bob.wantEnd()
			assert.Equal(t, firstRequest, time.Since(start))
		})
	})
	t.Run("nothing that succeeds", func(t *testing.T) {
		t.Attr("requirement", "R-38")
		r := newRig(t)
		bob := r.peer()
		const unknown = "msrp://relay.example.com:2856/n0t1ssued;tcp"
		for range maxFailures {
			id := bob.send("SEND", unknown, bobURI, text("x"), "Message-ID: m3ss4ge1")
			bob.wantCode(id, 481, bobURI, unknown)
		}
		bob.wantEnd()
	})
	t.Run("nothing that succeeds within 30 seconds", func(t *testing.T) {
		t.Attr("requirement", "R-38")
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			start := time.Now()
			alice := r.browser()
			alice.c.SetDeadline(time.Time{})
			time.Sleep(firstRequest - time.Second)
			id := alice.send("AUTH", relayURI, aliceURI, nil)
			alice.wantCode(id, 401, aliceURI, relayURI)
			alice.wantEnd()
			assert.Equal(t, firstRequest, time.Since(start))
		})
	})
	t.Run("no MSRP", func(t *testing.T) {
		r := newRig(t)
		bob := r.peer()
		bob.write([]byte("GET / HTTP/1.1\r\n\r\n"))
		bob.wantEnd()
	})
}
