package relay

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// all returns what comes until nothing more does. It is for synctest, where
// waiting takes no time.
func (s *side) all() []got {
	s.t.Helper()
	s.c.SetReadDeadline(time.Now().Add(time.Second))
	defer s.c.SetReadDeadline(time.Time{})
	for {
		u, err := s.in.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		require.NoError(s.t, err)
		require.Nil(s.t, u.Body)
		s.passed = append(s.passed, got{Unit: u})
	}
	units := s.passed
	s.passed = nil
	return units
}

// A walk is one of the ways from a sender past the relay to a receiver.
type walk struct {
	sender *side
	// The paths of the sender's SEND, of what the receiver gets, and the token in
	// between.
	to, from, nextTo, nextFrom, token string
	receiver                          func() *side
	relay                             *Relay
}

// walks are those that differ in who hears of a failure, and along which path.
var walks = map[string]func(r *rig) walk{
	"to a peer": func(r *rig) walk {
		dialled, alice := r.door(bobHost), r.browser()
		d := alice.token("alice", aliceURI, false)
		return walk{alice, d + " " + bobURI, aliceURI, bobURI, d + " " + aliceURI, d, dialled, nil}
	},
	"to a peer, direct": func(r *rig) walk {
		dialled, alice := r.door(bobHost), r.browser()
		d := alice.token("alice", aliceURI, true)
		return walk{alice, d + " " + bobURI, aliceURI, bobURI, d, d, dialled, nil}
	},
	"from a peer behind a relay": func(r *rig) walk {
		alice, other := r.browser(), r.peer()
		d := alice.token("alice", aliceURI, false)
		return walk{other, d + " " + aliceURI, bobRelay + " " + bobURI, aliceURI, d + " " + bobRelay + " " + bobURI, d, func() *side { return alice }, nil}
	},
	"between two browsers": func(r *rig) walk {
		alice, carol := r.browser(), r.browser()
		d1, d2 := alice.token("alice", aliceURI, false), carol.token("carol", carolURI, false)
		return walk{alice, d1 + " " + d2 + " " + carolURI, aliceURI, carolURI, d2 + " " + d1 + " " + aliceURI, d1, func() *side { return carol }, nil}
	},
}

// RFC 4975, section 7.1.4 and RFC 4976, section 6.4.1: whatever becomes of a SEND
// at the next hop, its sender hears of it once, and only what Failure-Report asks
// for.
func TestFailures(t *testing.T) {
	const octets = 20
	answer := func(code int) func(t *testing.T, w walk, next *side) {
		return func(t *testing.T, w walk, next *side) {
			g := next.want("SEND", w.nextTo, w.nextFrom)
			next.answer(g.TransactionID, code, g.From.First().String(), w.nextTo)
		}
	}
	type failure struct {
		name    string
		dial    error // of the relay; the receiver gets nothing then
		happen  func(t *testing.T, w walk, next *side)
		status  string // "" for success
		partial bool   // whether Failure-Report partial has it reported
		ids     []string
	}
	cases := []failure{
		{"200", nil, answer(200), "", false, []string{"R-19", "R-22"}},
		{"no response, RFC 4976 section 6.4.1", nil, func(t *testing.T, w walk, next *side) {
			next.want("SEND", w.nextTo, w.nextFrom)
			time.Sleep(msrp.TransactionTimeout - time.Millisecond)
			synctest.Wait()
			assert.Zero(t, w.relay.Stats().FailureReports)
			time.Sleep(2 * time.Millisecond)
		}, "000 408 Downstream timeout", false, []string{"R-20", "R-22", "R-23"}},
		{"the connection breaks before the response", nil, func(t *testing.T, w walk, next *side) {
			next.want("SEND", w.nextTo, w.nextFrom)
			next.c.Close()
		}, "000 408 Next hop unreachable", true, []string{"R-22", "R-23", "R-24", "R-25"}},
		{"the connection breaks within the chunk", nil, func(t *testing.T, w walk, next *side) {
			_, err := next.c.Read(make([]byte, 50))
			require.NoError(t, err)
			next.c.Close()
		}, "000 408 Next hop unreachable", true, []string{"R-22", "R-23", "R-24", "R-25"}},
		{"the connection breaks before the chunk", nil, func(t *testing.T, w walk, next *side) {
			next.c.Close()
		}, "000 408 Next hop unreachable", true, []string{"R-22", "R-23", "R-24", "R-25"}},
		{"the connection is refused", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, nil, "000 408 Next hop unreachable", true, []string{"R-24", "R-25"}},
		{"there is no such host", &net.DNSError{IsNotFound: true}, nil, "000 408 Next hop unreachable", true, []string{"R-24", "R-25"}},
		{"TLS fails", x509.UnknownAuthorityError{}, nil, "000 408 Next hop unreachable", true, []string{"R-24", "R-25"}},
		{"nobody answers the dial", context.DeadlineExceeded, nil, "000 408 Next hop unreachable", true, []string{"R-24", "R-25"}},
		{"the policy refuses the address", fmt.Errorf("loopback: %w", ErrRefused), nil, "000 403 Next hop not allowed", true, []string{"R-24", "R-45"}},
	}
	for code, text := range map[int]string{
		400: "Bad Request", 403: "Forbidden", 408: "Downstream Transaction Timed Out", 413: "Stop Sending", 415: "Unsupported Media Type",
		481: "No Such Session", 501: "Unknown Method", 506: "Session In Use", 599: "Status 599",
	} {
		if known := msrp.StatusText(code); known != "" {
			text = known
		}
		cases = append(cases, failure{fmt.Sprint(code), nil, answer(code), fmt.Sprintf("000 %d %s", code, text), true, []string{"R-21", "R-22", "R-23", "R-24"}})
	}
	for _, c := range cases {
		for name, set := range walks {
			for _, wants := range []string{"", "yes", "partial", "no"} {
				if c.dial != nil && !strings.HasPrefix(name, "to a peer") {
					continue // nobody dials a browser
				}
				title := c.name + ", " + name + ", Failure-Report " + wants
				t.Run(strings.TrimSpace(title), func(t *testing.T) {
					for _, id := range c.ids {
						t.Attr("requirement", id)
					}
					synctest.Test(t, func(t *testing.T) {
						r := newRig(t, func(config *Config) {
							if c.dial != nil {
								config.Dial = func(context.Context, Hop) (msrp.Transport, error) { return nil, c.dial }
							}
						})
						defer r.relay.Close()
						w := set(r)
						w.relay = r.relay
						w.sender.c.SetDeadline(time.Time{})
						fields := []string{"Message-ID: m3ss4ge1", "Byte-Range: 101-*/500", "Success-Report: yes", "flag: +"}
						if wants != "" {
							fields = append(fields, "Failure-Report: "+wants)
						}
						id := w.sender.send("SEND", w.to, w.from, text(strings.Repeat("x", octets)), fields...)
						if c.happen != nil {
							next := w.receiver()
							next.c.SetDeadline(time.Time{})
							synctest.Wait() // the relay has begun to send it
							c.happen(t, w, next)
						}
						var responses, reports []got
						for _, g := range w.sender.all() {
							if g.IsResponse() {
								responses = append(responses, g)
							} else {
								reports = append(reports, g)
							}
						}
						failed := c.status != "" && wants != "no" && (c.partial || wants != "partial")
						told := 0
						for _, g := range responses {
							assert.Equal(t, id, g.TransactionID)
							assert.Equal(t, path(t, w.from)[0].String(), g.To.String(), "the hop before alone")
							assert.Equal(t, w.token, g.From.String())
							if g.Code != 200 {
								told++
								assert.Contains(t, c.status, fmt.Sprintf("000 %d ", g.Code))
							}
						}
						for _, g := range reports {
							t.Attr("requirement", "S-36")
							told++
							assert.Equal(t, "REPORT", g.Method)
							assert.NotEqual(t, id, g.TransactionID)
							assert.Equal(t, w.from, g.To.String(), "the whole From-Path")
							assert.Equal(t, w.token, g.From.String())
							assert.Equal(t, msrp.Header{
								{Name: "Message-ID", Value: "m3ss4ge1"}, {Name: "Byte-Range", Value: "101-120/500"}, {Name: "Status", Value: c.status},
							}, g.Header)
							assert.Equal(t, msrp.FlagComplete, g.Flag)
						}
						switch {
						case wants == "no":
							assert.Empty(t, responses)
							assert.Empty(t, reports)
						case !failed:
							assert.Zero(t, told)
							assert.Len(t, responses, map[string]int{"": 1, "yes": 1, "partial": 0}[wants])
						default:
							assert.Equal(t, 1, told, "one notice")
							assert.Len(t, responses, map[bool]int{true: 0, false: 1}[wants == "partial" && len(reports) == 1])
						}
					})
				})
			}
		}
	}
}

// What is known before the first octet goes on is told by the response.
func TestRefusedAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		to   string
		ids  string
		want int
	}{
		"a WebSocket elsewhere":                               {"msrp://x.invalid:2855/s;ws", "R-25", 408},
		"RFC 6135, section 4.2.2: a peer that connects":       {"msrp://bob.example.net:9/s;tcp", "R-25", 408},
		"RFC 4976, section 9.2: a relay without TLS":          {bobRelay + " " + bobURI, "R-46", 403},
		"RFC 4976, section 6.3: a token that is over":         {"msrp://relay.example.com:2856/g0ne;tcp", "R-14", 481},
		"an unknown transport":                                {"msrp://bob.example.net:9000/s;sctp", "R-25", 408},
		"RFC 4976, section 9.2: peers without TLS by setting": {"msrp://bob.example.net:9000/s;tcp", "R-46", 403},
	} {
		for _, failure := range []string{"yes", "partial", "no"} {
			t.Run(name+", Failure-Report "+failure, func(t *testing.T) {
				t.Attr("requirement", "R-24")
				t.Attr("requirement", c.ids)
				r := newRig(t)
				alice := r.browser()
				token := alice.token("alice", aliceURI, true)
				r.relay.config.PlainPeers = !strings.Contains(name, "by setting")
				id := alice.send("SEND", token+" "+c.to, aliceURI, text("hi"), "Message-ID: m3ss4ge1", "Byte-Range: 1-2/2", "Failure-Report: "+failure)
				if failure != "no" {
					alice.wantCode(id, c.want, aliceURI, token)
				}
				alice.send("REPORT", token+" "+c.to, aliceURI, nil, "Message-ID: m3ss4ge1", "Status: 000 200 OK")
				alice.wantSilence(token, aliceURI) // of a REPORT nobody hears
				assert.Zero(t, r.relay.Stats().Dials)
			})
		}
	}
}

// RFC 4976, section 6.4.1: each piece of a chunk is one SEND to the next hop, and
// is reported as one.
func TestFailureWithinAChunk(t *testing.T) {
	const size = 20000
	ranges := []string{"1-8192/20000", "8193-16384/20000", "16385-20000/20000"}
	for name, happen := range map[string]func(bob *side, alice func()){
		"the next hop breaks off before the rest comes": func(bob *side, rest func()) {
			bob.read()
			bob.c.Close()
			synctest.Wait()
			rest()
		},
		"the next hop breaks off within a piece": func(bob *side, rest func()) {
			bob.read()
			rest()
			bob.c.Read(make([]byte, 500))
			bob.c.Close()
		},
		"the next hop says nothing": func(bob *side, rest func()) {
			rest()
			for range ranges {
				bob.read()
			}
			time.Sleep(msrp.TransactionTimeout + time.Second)
		},
	} {
		for _, failure := range []string{"yes", "partial", "no"} {
			t.Run(name+", Failure-Report "+failure, func(t *testing.T) {
				t.Attr("requirement", "R-20")
				t.Attr("requirement", "R-23")
				t.Attr("requirement", "R-24")
				t.Attr("requirement", "R-32")
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t)
					defer r.relay.Close()
					dialled := r.door(bobHost)
					alice := r.connect(LinkInfo{Secure: true})
					alice.c.SetDeadline(time.Time{})
					d := alice.token("alice", aliceURI, false)
					wire := "MSRP l0ngch4nk SEND\r\nTo-Path: " + d + " " + bobURI + "\r\nFrom-Path: " + aliceURI + "\r\nMessage-ID: m3ss4ge1\r\nByte-Range: 1-20000/20000\r\n" +
						"Failure-Report: " + failure + "\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("x", size) + "\r\n-------l0ngch4nk$\r\n"
					go alice.c.Write([]byte(wire[:9000]))
					bob := dialled()
					bob.c.SetDeadline(time.Time{})
					happen(bob, func() {
						synctest.Wait()
						go alice.c.Write([]byte(wire[9000:]))
						synctest.Wait()
					})
					var reported []string
					responses := 0
					for _, g := range alice.all() {
						if g.IsResponse() {
							responses++
							assert.Equal(t, 200, g.Code)
							continue
						}
						reported = append(reported, g.Header.Get("Byte-Range"))
						assert.Equal(t, msrp.StatusTimeout, g.Unit.Status().Code)
						assert.Equal(t, aliceURI, g.To.String())
						assert.Equal(t, d, g.From.String())
					}
					want := ranges
					if failure == "no" || failure == "partial" && strings.Contains(name, "nothing") {
						want = nil
					}
					assert.ElementsMatch(t, want, reported)
					assert.Equal(t, map[bool]int{true: 1, false: 0}[failure == "yes"], responses)
				})
			})
		}
	}
}
