package relay

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
)

const (
	nearToken   = "msrps://near.example.com:2855/ne4rt0ken;tcp"
	nearHost    = "near.example.com:2855"
	throughNear = nearToken + " " + aliceURI
)

// certified is a neighbour whose certificate has a name.
func (r *rig) certified(host string) *side {
	return r.connect(LinkInfo{Secure: true, Proves: func(h string) (bool, bool) { return true, strings.EqualFold(h, host) }})
}

// RFC 4976, section 6.3: who the previous hop is, and what of it counts.
func TestPreviousHop(t *testing.T) {
	for _, c := range []struct {
		name, certificate, from string
		ids                     string
		want                    int
	}{
		{"section 6.3: a relay that proves the name in From-Path", "near.example.com", throughNear, "R-35", 200},
		{"section 6.3: whatever the case of the name", "NEAR.example.COM", throughNear, "R-35", 200},
		{"section 6.3: a relay with the name of another", "other.example.com", throughNear, "R-35", 403},
		{"section 6.3: without a certificate it is as a client", "", throughNear, "R-35", 200},
		{"section 9.2: the certificate of a client does not count", "other.example.com", aliceURI, "R-37", 200},
		{"section 9.2: nor in its favour", "a1.invalid", aliceURI, "R-37", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Attr("requirement", c.ids)
			r := newRig(t)
			hop := r.connect(LinkInfo{Secure: true})
			if c.certificate != "" {
				hop = r.certified(c.certificate)
			}
			id := hop.send("AUTH", relayURI, c.from, nil)
			if c.want == 403 {
				hop.wantCode(id, 403, c.from, relayURI)
				return
			}
			hop.wantCode(id, 401, c.from, relayURI) // never without the password
			g := hop.auth("alice", "secret", c.from)
			require.Equal(t, c.want, g.Code)
			// Use-Path goes the way that the AUTH came (section 5.1).
			use := path(t, g.Header.Get("Use-Path"))
			assert.Equal(t, path(t, c.from)[:len(use)-1].String(), use[:len(use)-1].String())
			assert.Equal(t, "relay.example.com", use.Last().Host())
		})
	}
}

// RFC 4976, section 6.3: "the URI MUST be valid to route across any connection
// the relay has to the previous hop relay", and across no other.
func TestTokenOfARelay(t *testing.T) {
	setUp := func(t *testing.T) (r *rig, first *side, token string) {
		t.Attr("requirement", "R-12")
		r = newRig(t)
		first = r.certified("near.example.com")
		g := first.auth("alice", "secret", throughNear)
		require.Equal(t, 200, g.Code)
		return r, first, path(t, g.Header.Get("Use-Path")).Last().String()
	}
	// outbound sends to Bob from the relay.
	outbound := func(s *side, token string) string {
		return s.send("SEND", token+" "+bobURI, throughNear, text("hi"), "Message-ID: m3ss4ge1")
	}
	// inbound has a peer send to alice.
	const peerURI = "msrp://peer.example.net:9/p33rS3ss10n;tcp"
	inbound := func(r *rig, token, body string) {
		peer := r.peer()
		id := peer.send("SEND", token+" "+throughNear, peerURI, text(body), "Message-ID: m3ss4ge2")
		peer.wantCode(id, 200, peerURI, token)
	}
	t.Run("another connection of the relay", func(t *testing.T) {
		r, first, token := setUp(t)
		dialled := r.door(bobHost)
		second := r.certified("near.example.com")
		id := outbound(second, token)
		second.wantCode(id, 200, nearToken, token)
		dialled().want("SEND", bobURI, token+" "+throughNear)
		// What comes back takes the first as long as there is one.
		inbound(r, token, "one")
		assert.Equal(t, "one", first.want("SEND", throughNear, token+" "+peerURI).body)
		first.c.Close()
		<-first.done
		inbound(r, token, "two")
		assert.Equal(t, "two", second.want("SEND", throughNear, token+" "+peerURI).body)
	})
	t.Run("the relay has no connection and is connected to", func(t *testing.T) {
		r, first, token := setUp(t)
		dialled := r.door(nearHost)
		first.c.Close()
		<-first.done
		inbound(r, token, "one")
		near := dialled()
		assert.Equal(t, "one", near.want("SEND", throughNear, token+" "+peerURI).body)
		inbound(r, token, "two")
		assert.Equal(t, "two", near.want("SEND", throughNear, token+" "+peerURI).body)
		assert.EqualValues(t, 1, r.relay.Stats().Dials)
		// The certificate of whom one connects to counts as well.
		bob := r.door(bobHost)
		id := outbound(near, token)
		near.wantCode(id, 200, nearToken, token)
		bob().want("SEND", bobURI, token+" "+throughNear)
	})
	t.Run("another relay, or none", func(t *testing.T) {
		r, first, token := setUp(t)
		for _, other := range []*side{r.certified("other.example.com"), r.connect(LinkInfo{Secure: true}), r.peer()} {
			id := outbound(other, token)
			other.wantCode(id, 481, nearToken, token)
		}
		assert.Zero(t, r.relay.Stats().Dials)
		// Nor does one attract what is for the relay by taking its name.
		mallory := r.peer()
		id := mallory.send("SEND", token+" "+throughNear, nearToken, text("x"), "Message-ID: m3ss4ge0")
		mallory.wantCode(id, 200, nearToken, token)
		first.want("SEND", throughNear, token+" "+nearToken)
		dialled := r.door(nearHost)
		first.c.Close()
		<-first.done
		inbound(r, token, "one")
		assert.Equal(t, "one", dialled().want("SEND", throughNear, token+" "+peerURI).body)
	})
	t.Run("a client's token stays on its connection", func(t *testing.T) {
		t.Attr("requirement", "R-12")
		r := newRig(t)
		token := r.certified("a1.invalid").token("alice", aliceURI, false)
		other := r.certified("a1.invalid")
		id := other.send("SEND", token+" "+bobURI, aliceURI, text("x"), "Message-ID: m3ss4ge1")
		other.wantCode(id, 481, aliceURI, token)
		assert.Zero(t, r.relay.Stats().Dials)
	})
	t.Run("it ends with its time", func(t *testing.T) {
		t.Attr("requirement", "R-11")
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			near := r.certified("near.example.com")
			near.c.SetDeadline(time.Time{})
			g := near.auth("alice", "secret", throughNear, "Expires: 60")
			token := path(t, g.Header.Get("Use-Path")).Last().String()
			time.Sleep(59 * time.Second)
			id := near.send("SEND", token, throughNear, nil, "Message-ID: pr0be")
			near.wantCode(id, 200, nearToken, token)
			time.Sleep(2 * time.Second)
			id = near.send("SEND", token, throughNear, nil, "Message-ID: pr0be")
			near.wantCode(id, 481, nearToken, token)
			assert.Zero(t, r.relay.Stats().Tokens)
			r.relay.Close()
		})
	})
	t.Run("and with the program", func(t *testing.T) {
		r, _, _ := setUp(t)
		r.relay.Close()
		assert.Zero(t, r.relay.Stats().Tokens)
	})
}

// RFC 4976, section 6.2: what is not addressed to this relay ends the connection.
// That of a relay carries others as well, and goes on.
func TestForeignRequests(t *testing.T) {
	t.Attr("requirement", "R-15")
	const elsewhere = "msrps://elsewhere.example.com:2855/s3ss10n;tcp"
	for _, method := range []string{"SEND", "REPORT", "AUTH", "NICKNAME"} {
		to := elsewhere
		if method == "AUTH" {
			to = "msrps://elsewhere.example.com:2855;tcp"
		}
		t.Run(method+" of an endpoint", func(t *testing.T) {
			peer := newRig(t).peer()
			peer.send(method, to, bobURI, nil, "Message-ID: m3ss4ge1", "Status: 000 200 OK")
			peer.wantEnd()
		})
		t.Run(method+" of an endpoint that takes a relay's name", func(t *testing.T) {
			peer := newRig(t).certified("other.example.com")
			peer.send(method, to, nearToken, nil, "Message-ID: m3ss4ge1", "Status: 000 200 OK")
			peer.wantEnd()
		})
		t.Run(method+" of a relay", func(t *testing.T) {
			r := newRig(t)
			near := r.certified("near.example.com")
			g := near.auth("alice", "secret", throughNear)
			token := path(t, g.Header.Get("Use-Path")).Last().String()
			id := near.send(method, to, throughNear, nil, "Message-ID: m3ss4ge1", "Status: 000 200 OK")
			if method != "REPORT" {
				g := near.next(true)
				assert.Equal(t, id, g.TransactionID)
				assert.Equal(t, 481, g.Code)
			}
			id = near.send("SEND", token, throughNear, nil, "Message-ID: pr0be")
			near.wantCode(id, 200, nearToken, token)
			assert.Zero(t, r.relay.Stats().Dials)
		})
	}
}

// RFC 4976, section 6.3: clients that guess passwords are cut off, here and at
// relays behind this one; relays are not.
func TestGuessing(t *testing.T) {
	t.Attr("requirement", "R-39")
	const far, farHost = "msrps://far.example.com:2855;tcp", "far.example.com:2855"
	// through returns what sends an AUTH to the far relay, and has that refuse it.
	through := func(t *testing.T, s *side, token, own string, dialled func() *side) func(stale, credentials bool) {
		var relay *side
		return func(stale, credentials bool) {
			t.Helper()
			var fields []string
			if credentials {
				fields = append(fields, `Authorization: Digest username="alice", realm="far"`)
			}
			id := s.send("AUTH", token+" "+far, own, nil, fields...)
			if relay == nil {
				relay = dialled()
			}
			g := relay.want("AUTH", far, token+" "+own)
			c := digest.Challenge{Realm: "far", Nonce: "n0nce", Algorithm: digest.SHA256, Stale: stale}
			u := msrp.Unit{TransactionID: g.TransactionID, Code: 401, To: g.From, From: g.To, Header: msrp.Header{{Name: "WWW-Authenticate", Value: c.String()}}}
			relay.write(u.Append(nil, nil))
			g = s.wantCode(id, 401, own, token+" "+far)
			assert.Equal(t, c.String(), g.Header.Get("WWW-Authenticate"))
		}
	}
	t.Run("a client at a relay behind this one", func(t *testing.T) {
		r := newRig(t)
		alice := r.browser()
		ask := through(t, alice, alice.token("alice", aliceURI, false), aliceURI, r.door(farHost))
		for range 2 * maxAuths {
			ask(false, false) // has not tried yet
			ask(true, true)   // was right
		}
		for range maxAuths {
			ask(false, true)
		}
		alice.wantEnd()
	})
	t.Run("here and there", func(t *testing.T) {
		r := newRig(t)
		alice := r.browser()
		ask := through(t, alice, alice.token("alice", aliceURI, false), aliceURI, r.door(farHost))
		ask(false, true)
		for range maxAuths - 1 {
			assert.Equal(t, 401, alice.auth("alice", "wrong", aliceURI).Code)
		}
		alice.wantEnd()
	})
	t.Run("a relay, for its clients", func(t *testing.T) {
		r := newRig(t)
		near := r.certified("near.example.com")
		for range 2 * maxAuths {
			assert.Equal(t, 401, near.auth("alice", "wrong", throughNear).Code)
		}
		g := near.auth("alice", "secret", throughNear)
		require.Equal(t, 200, g.Code)
		ask := through(t, near, path(t, g.Header.Get("Use-Path")).Last().String(), throughNear, r.door(farHost))
		for range 2 * maxAuths {
			ask(false, true)
		}
		assert.Equal(t, 200, near.auth("alice", "secret", throughNear).Code)
	})
}

// RFC 4976, section 5.1: AUTH to a further relay goes under this one's token, and
// comes back, with nothing changed but the paths.
func TestAuthThroughRelay(t *testing.T) {
	const far = "msrps://far.example.com:2855;tcp"
	r := newRig(t)
	dialled := r.door("far.example.com:2855")
	alice := r.browser()
	token := alice.token("alice", aliceURI, false)
	exchange := func(t *testing.T, credentials string, answer msrp.Unit) {
		t.Attr("requirement", "R-18")
		t.Attr("requirement", "R-28")
		t.Attr("requirement", "R-42")
		var fields []string
		if credentials != "" {
			fields = append(fields, "Authorization: "+credentials)
		}
		id := alice.send("AUTH", token+" "+far, aliceURI, nil, append(fields, "Expires: 1800", "X-Unknown: y")...)
		relay := dialled()
		g := relay.want("AUTH", far, token+" "+aliceURI)
		assert.NotEqual(t, id, g.TransactionID)
		assert.Equal(t, credentials, g.Header.Get("Authorization"))
		assert.Equal(t, "1800", g.Header.Get("Expires"))
		assert.Equal(t, "y", g.Header.Get("X-Unknown"))
		answer.TransactionID, answer.To, answer.From = g.TransactionID, g.From, g.To
		relay.write(answer.Append(nil, nil))
		dialled = func() *side { return relay }
		g = alice.wantCode(id, answer.Code, aliceURI, token+" "+far)
		assert.Equal(t, answer.Header, g.Header)
		assert.Equal(t, answer.Comment, g.Comment)
	}
	t.Run("401", func(t *testing.T) {
		exchange(t, "", msrp.Unit{Code: 401, Comment: "Who are you?", Header: msrp.Header{
			{Name: "WWW-Authenticate", Value: `Digest realm="far", qop="auth", algorithm=SHA-256, nonce="a"`},
			{Name: "WWW-Authenticate", Value: `Digest realm="far", qop="auth", algorithm=MD5, nonce="a"`},
		}})
	})
	t.Run("200", func(t *testing.T) {
		exchange(t, `Digest username="alice", realm="far", nonce="a", response="b"`, msrp.Unit{Code: 200, Comment: "OK", Header: msrp.Header{
			{Name: "Use-Path", Value: token + " msrps://far.example.com:2855/f4rt0ken;tcp"},
			{Name: "Authentication-Info", Value: `rspauth="c", cnonce="d", nc=00000001, qop=auth`},
			{Name: "Expires", Value: "1800"},
		}})
	})
	t.Run("423", func(t *testing.T) {
		exchange(t, "", msrp.Unit{Code: 423, Comment: "Interval Out-of-Bounds", Header: msrp.Header{{Name: "Max-Expires", Value: "600"}}})
	})
	t.Run("section 8: the relay is found by its domain", func(t *testing.T) {
		const domain = "msrps://example.org;tcp"
		dialled := r.door("example.org:0") // Dial looks where that is
		id := alice.send("AUTH", token+" "+domain, aliceURI, nil)
		relay := dialled()
		g := relay.want("AUTH", domain, token+" "+aliceURI)
		relay.answer(g.TransactionID, 403, token+" "+aliceURI, domain)
		alice.wantCode(id, 403, aliceURI, token+" "+domain)
		id = alice.send("SEND", token+" "+domain, aliceURI, nil, "Message-ID: m3ss4ge1")
		alice.wantCode(id, 400, aliceURI, token) // in AUTH alone
	})
	t.Run("a relay that cannot be reached", func(t *testing.T) {
		const nowhere = "msrps://nowhere.example.com:2855;tcp"
		id := alice.send("AUTH", token+" "+nowhere, aliceURI, nil)
		g := alice.next(true)
		assert.Equal(t, id, g.TransactionID)
		assert.Equal(t, 408, g.Code)
		assert.Equal(t, aliceURI, g.To.String())
	})
}

// RFC 4976, section 6.5: where there is no room, what was unused for longest goes.
func TestRoom(t *testing.T) {
	full := func(c *Config) { c.MaxLinks, c.DefaultExpires = 2, 2*time.Hour }
	t.Run("connections without a request first", func(t *testing.T) {
		t.Attr("requirement", "R-40")
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, full)
			alice, idle := r.browser(), r.peer()
			alice.c.SetDeadline(time.Time{})
			idle.c.SetDeadline(time.Time{})
			synctest.Wait()
			token := alice.token("alice", aliceURI, true)
			time.Sleep(time.Second)
			carol := r.browser()
			carol.c.SetDeadline(time.Time{})
			carol.token("carol", carolURI, true)
			idle.wantEnd()
			alice.wantSilence(token, aliceURI)
			// Both are in use.
			late := r.browser()
			assert.Equal(t, errFull, <-late.done)
			r.relay.Close()
		})
	})
	for name, c := range map[string]struct {
		client   bool
		patience time.Duration
	}{
		"section 5.4: a client for an hour":    {true, time.Hour},
		"section 5.4: others for five minutes": {false, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Attr("requirement", "R-40")
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, full)
				alice, other := r.browser(), (*side)(nil)
				if c.client {
					other = r.browser()
				} else {
					other = r.peer()
				}
				for _, s := range []*side{alice, other} {
					s.c.SetDeadline(time.Time{})
				}
				token := alice.token("alice", aliceURI, true)
				if c.client {
					other.token("carol", carolURI, true)
				} else {
					id := other.send("SEND", token, bobURI, nil, "Message-ID: m3ss4ge1")
					other.wantCode(id, 200, bobURI, token)
					alice.answer(alice.next(false).TransactionID, 200, token, aliceURI)
				}
				time.Sleep(c.patience - time.Second)
				alice.wantSilence(token, aliceURI)
				late := r.browser()
				assert.Equal(t, errFull, <-late.done)
				time.Sleep(2 * time.Second)
				r.browser()
				other.wantEnd()
				alice.wantSilence(token, aliceURI)
				r.relay.Close()
			})
		})
	}
}
