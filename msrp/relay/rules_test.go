package relay

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/digest"
)

// RFC 4976, section 9.1: what a challenge says.
func TestChallenge(t *testing.T) {
	for _, id := range []string{"R-01", "R-03", "B-09"} {
		t.Attr("requirement", id)
	}
	alice := newRig(t).browser()
	for name, fields := range map[string][]string{
		"section 5.1: no credentials":        nil,
		"section 9.1: Basic is not for MSRP": {"Authorization: Basic YWxpY2U6c2VjcmV0"},
		"section 10.3: no sense":             {"Authorization: Digest"},
	} {
		id := alice.send("AUTH", relayURI, aliceURI, nil, fields...)
		g := alice.wantCode(id, 401, aliceURI, relayURI)
		challenges := g.Header.Values("WWW-Authenticate")
		require.Len(t, challenges, 2, name)
		for i, algorithm := range []string{"SHA-256", "MD5"} { // RFC 7616, section 3.7: strongest first
			assert.True(t, strings.HasPrefix(challenges[i], "Digest "), name)
			assert.Contains(t, challenges[i], `realm="relay.example.com"`)
			assert.Contains(t, challenges[i], `qop="auth"`)
			assert.Contains(t, challenges[i], "algorithm="+algorithm)
			assert.Regexp(t, `nonce="[^"]{16,}"`, challenges[i])
			assert.NotContains(t, challenges[i], "domain")
			assert.NotContains(t, challenges[i], "-sess")
			assert.NotContains(t, challenges[i], "stale=true")
		}
	}
}

// RFC 4976, section 9.1: what credentials prove.
func TestCredentials(t *testing.T) {
	other := "msrp://relay.example.com:2855;tcp"
	for _, c := range []struct {
		name   string
		id     string
		change func(c *digest.Challenge) (method, uri string)
		edit   func(credentials string) string
		want   int
	}{
		{"section 9.1: AUTH and the rightmost URI", "R-04", nil, nil, 200},
		{"section 9.1: MD5", "R-04", func(c *digest.Challenge) (string, string) { c.Algorithm = digest.MD5; return "AUTH", relayURI }, nil, 200},
		{"section 9.1: another method", "R-04", func(*digest.Challenge) (string, string) { return "MSRP", relayURI }, nil, 401},
		{"section 9.1: another URI", "R-04", func(*digest.Challenge) (string, string) { return "AUTH", other }, nil, 401},
		{"section 9.1: another URI, and uri= that of To-Path", "R-04", func(*digest.Challenge) (string, string) { return "AUTH", other }, func(s string) string { return strings.Replace(s, other, relayURI, 1) }, 401},
		{"section 9.1: the right one, and uri= another", "R-04", nil, func(s string) string { return strings.Replace(s, relayURI, other, 1) }, 401},
		{"another realm", "R-06", func(c *digest.Challenge) (string, string) { c.Realm = "elsewhere"; return "AUTH", relayURI }, nil, 401},
		{"a nonce of one's own", "R-06", func(c *digest.Challenge) (string, string) { c.Nonce = strings.Repeat("A", 43); return "AUTH", relayURI }, nil, 401},
		{"section 9.1: auth-int", "R-03", nil, func(s string) string { return strings.Replace(s, "qop=auth", "qop=auth-int", 1) }, 401},
		{"section 9.1: no qop", "R-03", nil, func(s string) string { return strings.Replace(s, "qop=auth, ", "", 1) }, 401},
		{"section 9.1: MD5-sess", "R-03", func(c *digest.Challenge) (string, string) { c.Algorithm = digest.MD5; return "AUTH", relayURI }, func(s string) string { return strings.Replace(s, "algorithm=MD5", "algorithm=MD5-sess", 1) }, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Attr("requirement", c.id)
			r := newRig(t)
			alice := r.browser()
			id := alice.send("AUTH", relayURI, aliceURI, nil)
			g := alice.wantCode(id, 401, aliceURI, relayURI)
			challenge, err := digest.Strongest(g.Header.Values("WWW-Authenticate"))
			require.NoError(t, err)
			method, uri := "AUTH", relayURI
			if c.change != nil {
				method, uri = c.change(&challenge)
			}
			credentials := challenge.Answer("alice", "secret", method, uri, "cnonce", 1).String()
			if c.edit != nil {
				edited := c.edit(credentials)
				require.NotEqual(t, credentials, edited)
				credentials = edited
			}
			id = alice.send("AUTH", relayURI, aliceURI, nil, "Authorization: "+credentials)
			alice.wantCode(id, c.want, aliceURI, relayURI)
			assert.Equal(t, map[int]int{200: 1, 401: 0}[c.want], r.relay.Stats().Tokens)
		})
	}
	t.Run("section 10.3: an old nonce is stale, and a new one needs no new password", func(t *testing.T) {
		t.Attr("requirement", "R-06")
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			alice := r.browser()
			alice.c.SetDeadline(time.Time{})
			token := alice.token("alice", aliceURI, false) // the connection may stay
			id := alice.send("AUTH", relayURI, aliceURI, nil)
			g := alice.wantCode(id, 401, aliceURI, relayURI)
			for _, c := range []struct {
				after    time.Duration
				password string
				code     int
				stale    bool
			}{{nonceLife + time.Second, "secret", 401, true}, {0, "secret", 200, false}, {nonceLife + time.Second, "wrong", 401, false}} {
				challenge, err := digest.Strongest(g.Header.Values("WWW-Authenticate"))
				require.NoError(t, err)
				time.Sleep(c.after)
				id = alice.send("AUTH", relayURI, aliceURI, nil, "Authorization: "+challenge.Answer("alice", c.password, "AUTH", relayURI, "cnonce", 1).String())
				g = alice.wantCode(id, c.code, aliceURI, relayURI)
				if c.code == 401 {
					challenge, err = digest.Strongest(g.Header.Values("WWW-Authenticate"))
					require.NoError(t, err)
					assert.Equal(t, c.stale, challenge.Stale)
				} else {
					id = alice.send("AUTH", relayURI, aliceURI, nil)
					g = alice.wantCode(id, 401, aliceURI, relayURI)
				}
			}
			alice.wantSilence(token, aliceURI)
			r.relay.Close()
		})
	})
}

// RFC 4976, section 6.4: of what is forwarded only the paths and the transaction
// ID change.
func TestNothingElseChanges(t *testing.T) {
	header := []string{"Message-ID: m3ss4ge1", "Byte-Range: 1-5/5", "Success-Report: yes", "Failure-Report: partial", "X-First: 1",
		"Expires: 5", "Use-Path: msrps://x.example.com:2855/y;tcp", `Authorization: Digest username="x"`, "X-Note: Grüße, 世界 ☃", "x-first: 2"}
	mime := []string{"Content-ID: <a@b>", "Content-Description: ☃", "Content-Disposition: attachment; filename=\"a b\"", "Content-Type: text/x-none; charset=\"q\""}
	body := "\x00\xff\r\n-------"
	for _, c := range []struct {
		method string
		body   *string
		fields []string
	}{
		{"SEND", &body, append(header[:len(header):len(header)], mime...)},
		{"SEND", nil, header},
		{"REPORT", nil, append(header[:len(header):len(header)], "Status: 000 200 That's it")},
		{"NICKNAME", nil, append(header[:len(header):len(header)], `Use-Nickname: "Al"`)},
		{"PUBLISH", &body, append(header[:len(header):len(header)], mime...)},
		{"PUBLISH", nil, header},
	} {
		for name, set := range walks {
			for _, flag := range []string{"$", "+", "#"} {
				if flag != "$" && c.method != "SEND" {
					continue
				}
				t.Run(fmt.Sprint(c.method, ", body ", c.body != nil, ", ", name, " ", flag), func(t *testing.T) {
					for _, id := range []string{"R-16", "R-17", "R-18"} {
						t.Attr("requirement", id)
					}
					if c.method == "REPORT" {
						t.Attr("requirement", "R-26")
					} else if c.method != "SEND" {
						t.Attr("requirement", "R-27")
						t.Attr("requirement", "R-28")
					}
					if name == "between two browsers" {
						t.Attr("requirement", "R-41")
					}
					w := set(newRig(t))
					id := w.sender.send(c.method, w.to, w.from, c.body, append(c.fields, "flag: "+flag)...)
					next := w.receiver()
					g := next.want(c.method, w.nextTo, w.nextFrom)
					assert.NotEqual(t, id, g.TransactionID)
					assert.Equal(t, flag, string(g.Flag))
					var got []string
					for _, f := range g.Header {
						got = append(got, f.Name+": "+f.Value)
					}
					assert.Equal(t, c.fields, got)
					if c.body != nil {
						assert.Equal(t, *c.body, g.body)
					}
					switch c.method {
					case "SEND", "REPORT":
						return
					}
					u := msrp.Unit{TransactionID: g.TransactionID, Code: 425, Comment: "No, not you", To: path(t, w.nextFrom), From: path(t, w.nextTo),
						Header: msrp.Header{{Name: "X-Why", Value: "☃"}}}
					next.write(u.Append(nil, nil))
					r := w.sender.next(true)
					assert.Equal(t, id, r.TransactionID)
					assert.Equal(t, 425, r.Code)
					assert.Equal(t, "No, not you", r.Comment)
					assert.Equal(t, u.Header, r.Header)
					assert.Equal(t, w.from, r.To.String())
					if !strings.Contains(w.nextFrom, " ") { // direct: the other side is all that is seen
						return
					}
					assert.Equal(t, path(t, w.to)[:len(r.From)].String(), r.From.String())
				})
			}
		}
	}
}

// RFC 4976, section 6.4: two senders may have the same transaction ID, and the
// same peer.
func TestSameTransactionID(t *testing.T) {
	t.Attr("requirement", "R-17")
	t.Attr("requirement", "R-28")
	r := newRig(t)
	alice, carol, bob := r.browser(), r.browser(), r.peer()
	d1, d2 := alice.token("alice", aliceURI, true), carol.token("carol", carolURI, true)
	for s, d := range map[*side]string{alice: d1, carol: d2} {
		id := bob.send("SEND", d, bobURI, nil, "Message-ID: b1nd")
		bob.wantCode(id, 200, bobURI, d)
		s.next(false)
	}
	ids := map[string]bool{}
	codes := map[string]int{d1: 425, d2: 200}
	for s, own := range map[*side]string{alice: aliceURI, carol: carolURI} {
		d := map[*side]string{alice: d1, carol: d2}[s]
		s.write([]byte("MSRP s4me0000 NICKNAME\r\nTo-Path: " + d + " " + bobURI + "\r\nFrom-Path: " + own + "\r\n-------s4me0000$\r\n"))
	}
	for range codes {
		g := bob.next(false)
		ids[g.TransactionID] = true
		bob.answer(g.TransactionID, codes[g.From.String()], g.From.String(), bobURI)
	}
	assert.Len(t, ids, 2)
	alice.wantCode("s4me0000", 425, aliceURI, d1+" "+bobURI)
	carol.wantCode("s4me0000", 200, carolURI, d2+" "+bobURI)
}

// RFC 4976, section 6.4.3: which responses count.
func TestResponses(t *testing.T) {
	for name, wrong := range map[string]string{
		"section 6.4.3: for somebody else":                     "MSRP @ 415 No\r\nTo-Path: msrp://elsewhere.example.com:2856/x;tcp\r\nFrom-Path: " + bobURI + "\r\n-------@$\r\n",
		"section 6.4.3: for another port":                      "MSRP @ 415 No\r\nTo-Path: msrp://relay.example.com:99/x;tcp\r\nFrom-Path: " + bobURI + "\r\n-------@$\r\n",
		"section 6.4.3: that cannot be read, a path missing":   "MSRP @ 415 No\r\nTo-Path: TOKEN\r\n-------@$\r\n",
		"section 6.4.3: that cannot be read, no path":          "MSRP @ 415 No\r\n-------@$\r\n",
		"section 6.4.3: that cannot be read, a path in pieces": "MSRP @ 415 No\r\nTo-Path: TOKEN\r\nFrom-Path: hello\r\n-------@$\r\n",
		"an unknown transaction":                               "MSRP unkn0wn0 415 No\r\nTo-Path: TOKEN\r\nFrom-Path: " + bobURI + "\r\n-------unkn0wn0$\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Attr("requirement", "R-29")
			r := newRig(t)
			dialled := r.door(bobHost)
			alice := r.browser()
			d := alice.token("alice", aliceURI, true)
			id := alice.send("SEND", d+" "+bobURI, aliceURI, text("hi"), "Message-ID: m3ss4ge1", "Byte-Range: 1-2/2")
			alice.wantCode(id, 200, aliceURI, d)
			bob := dialled()
			g := bob.want("SEND", bobURI, d)
			bob.write([]byte(strings.NewReplacer("@", g.TransactionID, "TOKEN", d).Replace(wrong)))
			bob.answer(g.TransactionID, 413, d, bobURI) // the one that counts
			g = alice.want("REPORT", aliceURI, d)
			assert.Equal(t, 413, g.Unit.Status().Code)
			bob.answer(g.TransactionID, 413, d, bobURI) // and once only
			id = bob.send("SEND", d, bobURI, nil, "Message-ID: m3ss4ge2")
			bob.wantCode(id, 200, bobURI, d)
			alice.next(false)
			alice.wantSilence(d, aliceURI)
		})
	}
	t.Run("section 6.4.3: whoever asked is gone", func(t *testing.T) {
		t.Attr("requirement", "R-30")
		r := newRig(t)
		r.door(bobHost) // to be dialled, which nobody must
		alice := r.browser()
		d := alice.token("alice", aliceURI, true)
		bob := r.peer()
		bob.send("SEND", d, bobURI, nil, "Message-ID: m3ss4ge1")
		first := alice.want("SEND", aliceURI, d+" "+bobURI)
		bob.send("NICKNAME", d, bobURI, nil)
		second := alice.want("NICKNAME", aliceURI, d+" "+bobURI)
		bob.c.Close()
		<-bob.done
		alice.answer(first.TransactionID, 415, d, aliceURI)
		alice.answer(second.TransactionID, 200, d+" "+bobURI, aliceURI)
		alice.wantSilence(d, aliceURI)
		assert.Zero(t, r.relay.Stats().Dials)
		assert.Empty(t, r.doors[bobHost])
	})
}

// RFC 4976, section 6.4.1: messages do not mix, and their octets keep their order.
func TestMessagesDoNotMix(t *testing.T) {
	t.Attr("requirement", "R-31")
	t.Attr("requirement", "R-32")
	r := newRig(t)
	dialled := r.door(bobHost)
	alice := r.browser()
	d := alice.token("alice", aliceURI, true)
	want := map[string]string{}
	go func() {
		for n := range 6 {
			for _, id := range []string{"m3ss4ge1", "m3ss4ge2"} {
				u := msrp.Unit{
					TransactionID: msrp.NewTransactionID(), Method: "SEND", To: path(t, d+" "+bobURI), From: path(t, aliceURI), Flag: msrp.FlagInterrupted,
					Header: msrp.Header{{Name: "Message-ID", Value: id}, {Name: "Byte-Range", Value: fmt.Sprintf("%d-*/*", 1+n*20000)}, {Name: "Failure-Report", Value: "no"}, {Name: "Content-Type", Value: "text/plain"}},
				}
				if n == 5 {
					u.Flag = msrp.FlagComplete
				}
				alice.c.Write(u.Append(nil, []byte(strings.Repeat(id[7:]+string(rune('a'+n)), 10000))))
			}
		}
	}()
	for n := range 6 {
		for _, id := range []string{"m3ss4ge1", "m3ss4ge2"} {
			want[id] += strings.Repeat(id[7:]+string(rune('a'+n)), 10000)
		}
	}
	bob := dialled()
	got, ended := map[string]string{}, 0
	for ended < 2 {
		g := bob.want("SEND", bobURI, d)
		id := g.MessageID()
		assert.EqualValues(t, len(got[id])+1, g.ByteRange().Start)
		assert.EqualValues(t, len(got[id])+len(g.body), g.ByteRange().End)
		got[id] += g.body
		if g.Flag == msrp.FlagComplete {
			ended++
			assert.Len(t, got[id], 120000)
		}
	}
	assert.Equal(t, want, got)
}

// RFC 4975, section 7.1.1: responses and reports do not wait for a long SEND, but
// for the piece that is being sent at most.
func TestResponsesGoFirst(t *testing.T) {
	t.Attr("requirement", "R-33")
	for _, direct := range []bool{false, true} {
		t.Run(fmt.Sprint("direct ", direct), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.relay.Close()
				alice, bob := r.browser(), r.connect(LinkInfo{Secure: true})
				alice.c.SetDeadline(time.Time{})
				d := alice.token("alice", aliceURI, direct)
				to := d
				if !direct {
					to += " " + aliceURI
				}
				const size = 500_000
				large := strings.Repeat("x", size)
				go bob.send("SEND", to, bobURI, &large, "Message-ID: l0ng", "Byte-Range: 1-*/*", "Failure-Report: no")
				synctest.Wait() // one piece is on its way to alice, the others wait
				other := r.peer()
				go other.send("REPORT", to, bobURI, nil, "Message-ID: m3ss4ge1", "Byte-Range: 1-1/1", "Status: 000 200 OK")
				id := alice.send("SEND", d, aliceURI, nil, "Message-ID: pr0be")
				synctest.Wait()
				octets, before := 0, 0
				for answered, reported := false, false; !answered || !reported; {
					g := alice.read()
					switch {
					case g.IsResponse():
						assert.Equal(t, id, g.TransactionID)
						answered = true
					case g.Method == "REPORT":
						reported = true
					default:
						octets += len(g.body)
						before++
					}
				}
				assert.LessOrEqual(t, before, 1)
				for octets < size {
					octets += len(alice.want("SEND", aliceURI, d+" "+bobURI).body)
				}
			})
		})
	}
}

// RFC 4976, section 6.4.2: connections are used again, and opened for requests
// alone.
func TestConnectionsAreReused(t *testing.T) {
	t.Attr("requirement", "R-34")
	r := newRig(t)
	dialled := r.door(bobHost)
	alice := r.browser()
	d := alice.token("alice", aliceURI, false)
	var bob *side
	for i, to := range []string{bobURI, bobURI, "msrp://bob.example.net:9000/an0ther;tcp", "msrp://BOB.example.net:9000/b0bS3ss10n;tcp"} {
		for _, method := range []string{"SEND", "NICKNAME", "REPORT"} {
			alice.send(method, d+" "+to, aliceURI, nil, "Message-ID: m3ss4ge1", "Failure-Report: no", "Status: 000 200 OK")
			if bob == nil {
				bob = dialled()
			}
			assert.Equal(t, method, bob.next(false).Method, i)
		}
	}
	assert.EqualValues(t, 1, r.relay.Stats().Dials)
}

// Kamailio and msrprelay answer the previous hop alone where RFC 4975, section 7.2
// wants the whole path. The transaction knows the rest.
func TestShortResponses(t *testing.T) {
	t.Attr("requirement", "R-28")
	for name, set := range walks {
		t.Run(name, func(t *testing.T) {
			w := set(newRig(t))
			id := w.sender.send("PUBLISH", w.to, w.from, nil)
			next := w.receiver()
			g := next.want("PUBLISH", w.nextTo, w.nextFrom)
			next.answer(g.TransactionID, 200, g.From.First().String(), w.nextTo)
			r := w.sender.next(true)
			assert.Equal(t, id, r.TransactionID)
			assert.Equal(t, w.from, r.To.String())
			assert.Equal(t, w.token, r.From.First().String())
		})
	}
}

// RFC 4975, section 6.1: an IPv6 address has many forms, brackets around it in
// URIs and none elsewhere.
func TestIPv6(t *testing.T) {
	for _, host := range []string{"2001:db8::1", "[2001:db8::1]", "2001:DB8:0:0::1"} {
		for _, to := range []string{"2001:db8::1", "2001:0DB8::0.0.0.1", "2001:db8:0:0:0:0:0:1"} {
			t.Run(host+" as "+to, func(t *testing.T) {
				r := newRig(t, func(c *Config) { c.Host, c.Realm = host, "relay.example.com" })
				dialled := r.door("[2001:db8::2]:9000")
				alice := r.browser()
				target := "msrp://[" + to + "]:2856;tcp"
				id := alice.send("AUTH", target, aliceURI, nil)
				g := alice.wantCode(id, 401, aliceURI, target)
				c, err := digest.Strongest(g.Header.Values("WWW-Authenticate"))
				require.NoError(t, err)
				id = alice.send("AUTH", target, aliceURI, nil, "Authorization: "+c.Answer("alice", "secret", "AUTH", target, "c", 1).String())
				token := alice.wantCode(id, 200, aliceURI, target).Header.Get("Use-Path")
				assert.Contains(t, token, "]:2856/")

				const bob = "msrp://[2001:db8::2]:9000/b0b;tcp"
				other := strings.Replace(path(t, token)[0].String(), path(t, token)[0].Host(), to, 1)
				id = alice.send("SEND", other+" "+bob, aliceURI, text("hi"), "Message-ID: m3ss4ge1")
				assert.Equal(t, id, alice.next(true).TransactionID)
				peer := dialled()
				g = peer.next(false)
				assert.Equal(t, "hi", g.body)
				peer.answer(g.TransactionID, 413, other, bob)
				assert.Equal(t, 413, alice.next(false).Unit.Status().Code)
			})
		}
	}
}
