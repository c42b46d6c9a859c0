package msrp

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// RFC 4975, section 7.3: the URI in To-Path must be that of a session of this
// very connection, and the only one. Who else learned URI and Message-ID cannot
// make a message fail, or delivered.
func TestReportsOfStrangers(t *testing.T) {
	for _, c := range []struct {
		name     string
		stranger bool
		to       string
		fails    bool
	}{
		{"of the peer", false, rawOwnURI, true},
		{"on another connection", true, rawOwnURI, false},
		{"with a second URI in To-Path", false, rawOwnURI + " " + rawPeerURI, false},
		{"behind another URI in To-Path", false, rawPeerURI + " " + rawOwnURI, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
				out, err := s.Send(t.Context(), &Message{ID: "m3ss4ge", ContentType: "text/plain", Body: stream(5), SuccessReport: true})
				require.NoError(t, err)
				require.NoError(t, out.Sent(t.Context()))
				from := p
				if c.stranger {
					_, from = newRawConn(t, s.endpoint, nil)
				}
				for _, status := range []string{"000 413 no", "000 200 OK"} {
					from.send("method: REPORT", "to: "+c.to, "Message-ID: m3ss4ge", "Byte-Range: 1-5/5", "Status: "+status)
				}
				synctest.Wait()
				if c.fails {
					assert.EqualError(t, out.Progress().Err, "msrp: 413 no (message m3ss4ge)")
				} else {
					assert.Equal(t, Progress{Acknowledged: 5, Sent: true}, out.Progress())
				}
				s.conn.Close()
				if c.stranger {
					from.Close()
				}
			})
		})
	}
}

// RFC 4975, section 8.6: what the peer's SDP excludes is not sent, whether the
// SDP was there before the message or came after it.
func TestTermsOfThePeer(t *testing.T) {
	whole := func(size int) io.Reader { return strings.NewReader(strings.Repeat("x", size)) }
	for _, c := range []struct {
		name string
		send *Message
		want error
		ids  []string
	}{
		{"section 8.6: a type that is listed", &Message{ContentType: "text/plain", Body: whole(5)}, nil, nil},
		{"section 8.6: a type by wildcard, with a parameter", &Message{ContentType: "Image/PNG; a=b", Body: whole(5)}, nil, nil},
		{"section 8.6: a type that is not listed", &Message{ContentType: "text/html", Body: whole(5)}, ErrUnsupportedType, []string{"S-22"}},
		{"section 8.6: such a type from a reader", &Message{ContentType: "text/html", Body: stream(5)}, ErrUnsupportedType, []string{"S-22"}},
		{"section 8.6: max-size octets", &Message{ContentType: "text/plain", Body: whole(10)}, nil, nil},
		{"section 8.6: one octet more", &Message{ContentType: "text/plain", Body: whole(11)}, ErrMessageTooLarge, []string{"S-23"}},
		{"section 8.6: one octet more is announced", &Message{ContentType: "text/plain", Body: stream(11), Size: 11}, ErrMessageTooLarge, []string{"S-23"}},
		{"section 8.6: one octet more, found on reading", &Message{ContentType: "text/plain", Body: stream(11)}, ErrMessageTooLarge, []string{"S-23"}},
		{"no body is no type", &Message{}, nil, nil},
	} {
		for _, early := range []bool{true, false} {
			t.Run(c.name+map[bool]string{true: ", before the SDP", false: ", after the SDP"}[early], func(t *testing.T) {
				for _, id := range c.ids {
					t.Attr("requirement", id)
				}
				synctest.Test(t, func(t *testing.T) {
					e := NewEndpoint(nil)
					s := newRawSession(t, e, SessionOptions{})
					conn, p := newRawConn(t, e, nil)
					remote := Remote{Path: rawPath(t, rawPeerURI), Conn: conn, AcceptTypes: []string{"text/plain", "image/*"}, MaxSize: 10}
					m := *c.send
					switch body := m.Body.(type) { // each has to be read twice
					case *strings.Reader:
						m.Body = whole(body.Len())
					case *io.LimitedReader:
						m.Body = stream(int(body.N))
					}
					if !early {
						require.NoError(t, s.Start(remote))
						p.send("Message-ID: b1nd")
					}
					out, err := s.Send(t.Context(), &m)
					if early {
						require.NoError(t, err)
						synctest.Wait()
						require.NoError(t, s.Start(remote))
						p.send("Message-ID: b1nd")
					}
					if err == nil {
						err = out.Sent(t.Context())
					}
					assert.ErrorIs(t, err, c.want)
					synctest.Wait()
					sent := len(p.got())
					assert.Equal(t, c.want == nil, sent == 1, "requests sent: %d", sent)
					conn.Close()
				})
			})
		}
	}
}

// RFC 4975, section 8.4: so do terms that change while messages wait.
func TestNewTermsOfThePeer(t *testing.T) {
	t.Attr("requirement", "S-22")
	for name, c := range map[string]struct {
		terms Remote
		want  error
	}{
		"types":     {Remote{AcceptTypes: []string{"text/*"}}, ErrUnsupportedType},
		"max-size":  {Remote{MaxSize: 4}, ErrMessageTooLarge},
		"direction": {Remote{RecvOnly: true}, ErrRecvOnly},
		"no change": {Remote{AcceptTypes: []string{"image/*"}, MaxSize: 5}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := unconnected(t, Remote{})
			out := sendAs(t, s, "wa1ts", 5)
			begun := sendAs(t, s, "beg1ns", 5)
			begun.offset = 1
			s.Update(c.terms)
			assert.Equal(t, c.want, out.Progress().Err)
			assert.NoError(t, begun.Progress().Err, "whose peer knows of it")
		})
	}
}

// RFC 4975, section 10.6: a type that was answered with 415 is not sent again in
// this session.
func TestRefusedTypeIsAvoided(t *testing.T) {
	t.Attr("requirement", "S-45")
	synctest.Test(t, func(t *testing.T) {
		s, p := newRawPeer(t, SessionOptions{}, Remote{}, func(u *Unit) int {
			if MatchType("text/plain", u.ContentType()) {
				return 200
			}
			return StatusUnsupportedType
		})
		send := func(contentType string) error {
			out, err := s.Send(t.Context(), &Message{ContentType: contentType, Body: strings.NewReader("x")})
			if err != nil {
				return err
			}
			return out.Sent(t.Context())
		}
		var status *StatusError
		require.ErrorAs(t, send("text/html"), &status)
		assert.Equal(t, StatusUnsupportedType, status.Code)
		assert.ErrorIs(t, send("Text/HTML; charset=utf-8"), ErrUnsupportedType)
		assert.NoError(t, send("text/plain"))
		for range 2 { // what it does not take may be inside
			assert.ErrorAs(t, send("message/cpim"), &status)
			assert.ErrorAs(t, send("multipart/mixed; boundary=x"), &status)
		}
		assert.Len(t, p.got(), 6)

		// One that waits for its turn when another is answered so.
		block, waiting := io.Pipe()
		queued, err := s.Send(t.Context(), &Message{ContentType: "image/png", Body: block})
		require.NoError(t, err)
		require.ErrorAs(t, send("image/png"), &status)
		assert.ErrorIs(t, queued.Sent(t.Context()), ErrUnsupportedType)
		waiting.Close()
		s.conn.Close()
	})
}

// what sums up units: the codes of responses and reports, and the range of a
// report.
func what(units []*Unit) string {
	var all []string
	for _, u := range units {
		switch {
		case u.IsResponse():
			all = append(all, strconv.Itoa(u.Code))
		case u.Method == MethodReport:
			all = append(all, "REPORT "+u.Header.Get("Status")+" "+u.Header.Get("Byte-Range"))
		default:
			all = append(all, u.Method)
		}
	}
	return strings.Join(all, ", ")
}

// eachReporting calls f for every combination of the two fields, absent ones
// included.
func eachReporting(t *testing.T, successes []string, f func(t *testing.T, failure, success string)) {
	for _, failure := range []string{"", "yes", "partial", "no"} {
		for _, success := range successes {
			t.Run("Failure-Report "+failure+", Success-Report "+success, func(t *testing.T) {
				f(t, failure, success)
			})
		}
	}
}

// RFC 4975, sections 7.1.3, 7.1.4 and 7.2: what the receiver of a SEND owes.
func TestWhatAReceiverOwes(t *testing.T) {
	type request []string // the fields of a SEND
	whole := func(fields ...string) request {
		return append(request{"Message-ID: m3ss4ge", "Byte-Range: 1-5/5", "body: hello"}, fields...)
	}
	chunks := []request{
		{"Message-ID: m3ss4ge", "Byte-Range: 1-5/11", "flag: +", "body: hello"},
		{"Message-ID: m3ss4ge", "Byte-Range: 6-*/11", "body:  there"},
	}
	eachReporting(t, []string{"", "yes", "no"}, func(t *testing.T, failure, success string) {
		for _, c := range []struct {
			name      string
			session   SessionOptions
			requests  []request
			responses []string // where all are wanted
			report    string
		}{
			{"success", SessionOptions{}, []request{whole()}, []string{"200"}, "REPORT 000 200 OK 1-5/5"},
			{"success in chunks", SessionOptions{}, chunks, []string{"200", "200"}, "REPORT 000 200 OK 1-11/11"},
			{"success in chunks, the last first", SessionOptions{}, []request{chunks[1], chunks[0]}, []string{"200", "200"}, "REPORT 000 200 OK 1-11/11"},
			{"success without a body", SessionOptions{}, []request{{"Message-ID: m3ss4ge", "Byte-Range: 1-0/0"}}, []string{"200"}, "REPORT 000 200 OK 1-0/0"},
			{"success without a Byte-Range", SessionOptions{}, []request{{"Message-ID: m3ss4ge", "body: hello"}}, []string{"200"}, "REPORT 000 200 OK 1-5/5"},
			{"a part only", SessionOptions{}, chunks[:1], []string{"200"}, ""},
			{"aborted", SessionOptions{}, []request{chunks[0], {"Message-ID: m3ss4ge", "Byte-Range: 6-5/11", "flag: #", "body: "}}, []string{"200", "200"}, ""},
			{"an error, section 10.2", SessionOptions{}, []request{whole("Byte-Range: x")}, []string{"400"}, ""},
			{"an error, section 10.5", SessionOptions{MaxSize: 4}, []request{whole()}, []string{"413"}, ""},
			{"an error in the second chunk, section 10.5", SessionOptions{MaxSize: 6}, []request{{"Message-ID: m3ss4ge", "Byte-Range: 1-*/*", "flag: +", "body: hello"}, {"Message-ID: m3ss4ge", "Byte-Range: 6-*/*", "body:  there"}}, []string{"200", "413"}, ""},
			{"an error, section 10.6", SessionOptions{}, []request{whole("type: text/html")}, []string{"415"}, ""},
			{"an error, section 10.8", SessionOptions{}, []request{whole("to: msrp://bob.example.com:8493/other;tcp")}, []string{"481"}, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				refused := c.responses[len(c.responses)-1] != "200"
				switch {
				case failure == "no":
					t.Attr("requirement", "S-32")
				case failure == "partial":
					t.Attr("requirement", "S-31")
				default:
					t.Attr("requirement", "S-30")
				}
				if refused && strings.Contains(c.name, "10.6") {
					t.Attr("requirement", "S-45")
				}
				switch {
				case success != "yes":
					t.Attr("requirement", "S-34")
				case c.report != "":
					t.Attr("requirement", "S-33")
				}
				synctest.Test(t, func(t *testing.T) {
					c.session.AcceptTypes = []string{"text/plain"}
					s, p := newRawPeer(t, c.session, Remote{}, nil)
					before := len(p.heardAll(0))
					start := time.Now()
					var want []string
					for i, r := range c.requests {
						fields := append([]string(nil), r...)
						if failure != "" {
							fields = append(fields, "Failure-Report: "+failure)
						}
						if success != "" {
							fields = append(fields, "Success-Report: "+success)
						}
						p.send(fields...)
						synctest.Wait()
						if code := c.responses[i]; failure != "no" && (failure != "partial" || code != "200") {
							want = append(want, code)
						}
					}
					assert.Zero(t, time.Since(start), "at once")
					if c.report != "" && success == "yes" {
						want = append(want, c.report)
					}
					time.Sleep(2 * TransactionTimeout)
					assert.Equal(t, strings.Join(want, ", "), what(p.heardAll(before)))
					s.conn.Close()
				})
			})
		}
	})
}

// RFC 4975, sections 7.1.1, 7.3.2 and 10.4: what the sender of a message makes of
// its answers, and of silence.
func TestWhatASenderHears(t *testing.T) {
	reports := map[string]FailureReport{"": FailureDefault, "yes": FailureYes, "partial": FailurePartial, "no": FailureNo}
	eachReporting(t, []string{"", "yes"}, func(t *testing.T, failure, success string) {
		for _, c := range []struct {
			name   string
			code   int               // of the responses, 0 for silence
			report string            // Status of a REPORT on the whole message, or ""
			want   map[string]string // by Failure-Report: what becomes of the message, and what that proves
		}{
			{"section 7.2: 200", 200, "",
				map[string]string{"yes": "sent", "partial": "sent", "no": "sent"}},
			{"section 7.3.2: 200 and a success report", 200, "000 200 OK",
				map[string]string{"yes": "delivered S-39", "partial": "delivered S-39", "no": "delivered S-39"}},
			{"section 7.3.2: a success report alone", 0, "000 200 OK",
				map[string]string{"yes": "delivered S-39", "partial": "delivered S-39", "no": "delivered S-39"}},
			{"section 7.1.1: an error", 403, "",
				map[string]string{"yes": "403", "partial": "403 S-42", "no": "sent"}},
			{"section 7.3.2: an error in a report", 200, "000 403 Forbidden",
				map[string]string{"yes": "403 S-39", "partial": "403 S-39", "no": "403 S-39"}},
			{"section 7.3.2: a report in another namespace", 200, "001 403 Forbidden",
				map[string]string{"yes": "sent", "partial": "sent", "no": "sent"}},
			{"section 10.4: 408", 408, "",
				map[string]string{"yes": "408 S-43", "partial": "408 S-43", "no": "sent"}},
			{"section 10.4: 408 in a report", 200, "000 408 Timeout",
				map[string]string{"yes": "408 S-39 S-43", "partial": "408 S-39 S-43", "no": "408"}},
			{"section 7.1.1: silence", 0, "",
				map[string]string{"yes": "local408 S-41 S-43", "partial": "sent S-42", "no": "sent S-42"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				want := strings.Fields(c.want[cmp.Or(failure, "yes")])
				for _, id := range want[1:] {
					t.Attr("requirement", id)
				}
				if want[0] == "sent" && success == "yes" {
					t.Attr("requirement", "S-41") // see the end
				}
				synctest.Test(t, func(t *testing.T) {
					s, p := newRawPeer(t, SessionOptions{}, Remote{ChunkSize: 2048}, func(*Unit) int { return c.code })
					start := time.Now()
					out, err := s.Send(t.Context(), &Message{
						ContentType: "image/jpeg", Body: strings.NewReader(strings.Repeat("x", 5000)),
						FailureReport: reports[failure], SuccessReport: success == "yes",
					})
					require.NoError(t, err)
					synctest.Wait()
					if c.report != "" {
						p.send("method: REPORT", "Message-ID: "+out.ID(), "Byte-Range: 1-5000/5000", "Status: "+c.report)
						synctest.Wait()
					}
					if want[0] == "local408" {
						time.Sleep(30*time.Second - time.Millisecond)
						synctest.Wait()
						assert.Equal(t, Progress{}, out.Progress(), "not before 30 seconds")
						assert.Error(t, out.Sent(t.Context()))
						assert.Equal(t, 30*time.Second, time.Since(start).Truncate(time.Millisecond))
					}
					got := func() string {
						progress := out.Progress()
						var status *StatusError
						switch {
						case errors.As(progress.Err, &status) && status.Local:
							return "local" + strconv.Itoa(status.Code)
						case errors.As(progress.Err, &status):
							return strconv.Itoa(status.Code)
						case progress.Err != nil:
							return progress.Err.Error()
						case progress.Delivered:
							return "delivered"
						case progress.Sent:
							return "sent"
						}
						return "pending"
					}
					assert.Equal(t, want[0], got())
					time.Sleep(3 * TransactionTimeout)
					synctest.Wait()
					assert.Equal(t, want[0], got(), "no timer runs any more")

					for _, u := range p.got() {
						if u.Method == MethodSend {
							assert.Equal(t, reports[cmp.Or(failure, "yes")].WantsOK(), u.FailureReport().WantsOK())
							assert.Equal(t, failure == "no", u.FailureReport() == FailureNo)
							assert.Equal(t, success, u.Header.Get("Success-Report"))
						}
					}
					s.Close()
					if want[0] == "sent" && success == "yes" {
						assert.ErrorIs(t, out.Delivered(t.Context()), ErrSessionClosed, "section 7.1.1: the report is missing at the end of the session")
					} else {
						assert.Equal(t, want[0], got())
					}
					s.conn.Close()
				})
			})
		}
	})
}

// A rule is one case of a table of raw conversations.
type rule struct {
	name string
	ids  string
	run  func(t *testing.T)
}

func runRules(t *testing.T, rules []rule) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, id := range strings.Fields(r.ids) {
				t.Attr("requirement", id)
			}
			synctest.Test(t, r.run)
		})
	}
}

// otherURI is a second session of the endpoint of rawOwnURI.
const otherURI = "msrp://bob.example.com:8493/5ec0nd0ne;tcp"

// RFC 4975, section 5.4: connections and the sessions on them.
func TestConnectionRules(t *testing.T) {
	bind := []string{"Message-ID: b1nd", "Byte-Range: 1-0/0"}
	toOther := append([]string{"to: " + otherURI}, bind...)
	two := func(t *testing.T) (one, other *Session) {
		e := NewEndpoint(nil)
		one = newRawSession(t, e, SessionOptions{})
		other = newRawSession(t, e, SessionOptions{URI: rawPath(t, otherURI)[0]})
		return one, other
	}
	runRules(t, []rule{
		{"section 5.4: the active side sends a SEND immediately", "S-03", func(t *testing.T) {
			s, _ := two(t)
			conn, p := newRawConn(t, s.endpoint, nil)
			start := time.Now()
			require.NoError(t, s.Start(Remote{Path: rawPath(t, rawPeerURI), Conn: conn, Active: true}))
			synctest.Wait()
			require.Len(t, p.got(), 1)
			u := p.got()[0]
			assert.Equal(t, MethodSend, u.Method)
			assert.Nil(t, u.Body)
			assert.Equal(t, rawPeerURI, u.To.String())
			assert.Equal(t, rawOwnURI, u.From.String())
			assert.Zero(t, time.Since(start))
			assert.Equal(t, StateConnected, s.State())
			conn.Close()
		}},
		{"section 5.4: the passive side waits for the first request", "S-04", func(t *testing.T) {
			s, other := two(t)
			conn, p := newRawConn(t, s.endpoint, nil)
			require.NoError(t, s.Start(Remote{Path: rawPath(t, rawPeerURI), Conn: conn}))
			_, err := s.Send(t.Context(), Text("too early"))
			require.NoError(t, err)
			time.Sleep(time.Hour)
			assert.Error(t, s.Probe(t.Context()))
			p.send("Message-ID: b1nd", "Byte-Range: x")                                 // broken
			p.send("method: REPORT", "Message-ID: b1nd", "Status: 000 200 OK")          // no SEND
			p.send("to: "+otherURI, "Message-ID: b1nd", "Byte-Range: 1-0/0")            // for another
			p.send("to: "+rawPeerURI, "Message-ID: b1nd", "Failure-Report: no")         // for nobody
			p.send("to: "+rawOwnURI+" "+rawOwnURI, "Message-ID: b1nd", "Byte-Range: x") // through us
			synctest.Wait()
			assert.Empty(t, p.got())
			assert.Equal(t, StateConnecting, s.State())
			assert.Equal(t, StateNew, other.State())
			p.send(bind...)
			synctest.Wait()
			assert.Equal(t, "SEND", what(p.got()))
			conn.Close()
		}},
		{"section 5.4: a passive side without a connection takes that of the first request", "S-06", func(t *testing.T) {
			s, other := two(t)
			conn, p := newRawConn(t, s.endpoint, nil)
			require.NoError(t, s.Start(Remote{Path: rawPath(t, rawPeerURI)}))
			require.NoError(t, other.Start(Remote{Path: rawPath(t, rawPeerURI)}))
			assert.Zero(t, conn.Sessions())
			assert.Equal(t, 200, p.code(p.send(bind...)))
			assert.Equal(t, 1, conn.Sessions())
			assert.Equal(t, StateConnected, s.State())
			assert.Equal(t, StateConnecting, other.State())
			assert.Equal(t, 200, p.code(p.send(toOther...)))
			assert.Equal(t, 2, conn.Sessions())
			for _, s := range []*Session{s, other} {
				out, err := s.Send(t.Context(), Text("hello"))
				require.NoError(t, err)
				require.NoError(t, out.Sent(t.Context()))
				u := p.got()[len(p.got())-1]
				assert.Equal(t, s.URI().String(), u.From.String(), "the one that was named")
			}
			conn.Close()
		}},
		{"section 5.4: 506 on another connection, which changes nothing", "S-08", func(t *testing.T) {
			s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			conn, stranger := newRawConn(t, s.endpoint, nil)
			for _, fields := range [][]string{bind, {"Message-ID: m3ss4ge", "Byte-Range: 1-2/2", "body: no"}} {
				assert.Equal(t, StatusSessionInUse, stranger.code(stranger.send(fields...)))
			}
			silent := stranger.send("Message-ID: m3ss4ge", "Byte-Range: 1-2/2", "Failure-Report: no", "body: no")
			synctest.Wait()
			assert.Zero(t, stranger.answered(StatusSessionInUse, silent))
			assert.Zero(t, conn.Sessions())
			out, err := s.Send(t.Context(), Text("to the right one"))
			require.NoError(t, err)
			require.NoError(t, out.Sent(t.Context()))
			assert.Equal(t, "SEND", what(p.got()))
			assert.Empty(t, stranger.got())
			conn.Close()
			synctest.Wait()
			assert.Equal(t, StateConnected, s.State())
			assert.Equal(t, 200, p.code(p.send(bind...)))
			s.conn.Close()
		}},
		{"section 7.3: 481 where To-Path is not that of a session", "S-07", func(t *testing.T) {
			s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			for _, to := range []string{
				otherURI, rawPeerURI, "msrps" + strings.TrimPrefix(rawOwnURI, "msrp"), strings.Replace(rawOwnURI, "8493", "8494", 1), strings.Replace(rawOwnURI, "bob", "mallory", 1),
				rawOwnURI + " " + rawPeerURI, rawPeerURI + " " + rawOwnURI, rawOwnURI + " " + rawOwnURI,
			} {
				assert.Equal(t, StatusNoSession, p.code(p.send("to: "+to, "Message-ID: m3ss4ge", "Byte-Range: 1-2/2", "body: no")), to)
			}
			s.Close()
			assert.Equal(t, StatusNoSession, p.code(p.send(bind...)), "a session that is over")
			_, err := s.Receive(t.Context())
			assert.ErrorIs(t, err, ErrSessionClosed)
			s.conn.Close()
		}},
		{"section 5.4: sessions share a connection, which outlives each of them", "S-12", func(t *testing.T) {
			one, other := two(t)
			conn, p := newRawConn(t, one.endpoint, nil)
			for _, s := range []*Session{one, other} {
				require.NoError(t, s.Start(Remote{Path: rawPath(t, rawPeerURI), Conn: conn, Active: true}))
			}
			require.NoError(t, one.Close())
			assert.Equal(t, StatusNoSession, p.code(p.send(bind...)))
			time.Sleep(24 * time.Hour)
			assert.Equal(t, 200, p.code(p.send(toOther...)))
			assert.NoError(t, other.Probe(t.Context()))
			require.NoError(t, other.Close())
			time.Sleep(time.Hour)
			assert.NoError(t, conn.Err(), "its owner closes it")
			conn.Close()
		}},
		{"sections 10.8 and 10.10: 481 ends the session, 506 too, others do not", "S-48", func(t *testing.T) {
			for code, ends := range map[int]bool{400: false, 403: false, 413: false, 415: false, 481: true, 501: false, 506: true} {
				s, p := newRawPeer(t, SessionOptions{}, Remote{}, func(*Unit) int { return code })
				out, err := s.Send(t.Context(), Text("hello"))
				require.NoError(t, err)
				var status *StatusError
				require.ErrorAs(t, out.Sent(t.Context()), &status)
				assert.Equal(t, code, status.Code)
				synctest.Wait()
				assert.Equal(t, ends, s.Err() != nil, code)
				if ends {
					require.ErrorAs(t, s.Err(), &status)
					assert.Equal(t, code, status.Code)
					_, err := s.Send(t.Context(), Text("more"))
					assert.Equal(t, s.Err(), err)
				}
				sent := len(p.got())
				conn := s.conn
				assert.NoError(t, conn.Err(), "the connection stays for others")
				synctest.Wait()
				assert.Len(t, p.got(), sent)
				conn.Close()
			}
		}},
		{"section 7.1: a SEND without a body at any time", "S-50", func(t *testing.T) {
			e := NewEndpoint(nil)
			s := newRawSession(t, e, SessionOptions{StreamAfter: 1})
			conn, p := newRawConn(t, e, nil)
			empty := func(more ...string) {
				assert.Equal(t, 200, p.code(p.send(append([]string{"Message-ID: " + NewID()}, more...)...)))
			}
			empty() // before the SDP is known
			require.NoError(t, s.Start(Remote{Path: rawPath(t, rawPeerURI)}))
			empty("Byte-Range: 1-0/0")
			require.Equal(t, 200, p.code(p.send("Message-ID: m3ss4ge", "Byte-Range: 1-2/4", "flag: +", "body: ab")))
			empty("Byte-Range: 1-0/0") // between two chunks
			empty("Byte-Range: 1-0/*")
			p.send("Message-ID: m3ss4ge", "Byte-Range: 1-0/0", "flag: +") // even of the same message
			require.Equal(t, 200, p.code(p.send("Message-ID: m3ss4ge", "Byte-Range: 3-4/4", "body: cd")))
			in, err := s.Receive(t.Context())
			require.NoError(t, err)
			body, err := io.ReadAll(in)
			assert.Equal(t, "abcd", string(body))
			assert.NoError(t, err)
			s.mu.Lock()
			assert.Empty(t, s.queue)
			s.mu.Unlock()
			conn.Close()
		}},
		{"section 12: an unknown method, along the whole path back", "S-49 S-40", func(t *testing.T) {
			s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			const back = "msrp://relay.example.com:2855/t0ken;tcp " + rawPeerURI
			for _, method := range []string{"FETCH", "AUTH", "NICKNAME", "X"} {
				assert.Equal(t, StatusUnknownMethod, p.code(p.send("method: "+method, "from: "+back, "Message-ID: m3ss4ge")))
				u := p.heardAll(0)[len(p.heardAll(0))-1]
				assert.Equal(t, back, u.To.String())
				assert.Equal(t, rawOwnURI, u.From.String())
			}
			s.conn.Close()
		}},
		{"section 7.2: the response to a SEND goes to the previous hop alone", "S-40", func(t *testing.T) {
			s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			const hop = "msrp://relay.example.com:2855/t0ken;tcp"
			for _, fields := range [][]string{{"body: x"}, {"body: x", "Byte-Range: x"}, {"to: " + otherURI}} {
				p.code(p.send(append([]string{"from: " + hop + " " + rawPeerURI, "Message-ID: " + NewID()}, fields...)...))
				u := p.heardAll(0)[len(p.heardAll(0))-1]
				assert.Equal(t, hop, u.To.String())
				assert.Len(t, u.From, 1)
			}
			s.conn.Close()
		}},
		{"section 7.1.2: a REPORT goes back the whole way, and asks for nothing", "S-35 S-37", func(t *testing.T) {
			s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			const back = "msrp://relay.example.com:2855/t0ken;tcp " + rawPeerURI
			p.send("from: "+back, "Message-ID: m3ss4ge", "Success-Report: yes", "Failure-Report: yes", "body: x")
			synctest.Wait()
			require.Equal(t, "REPORT 000 200 OK 1-1/1", what(p.got()))
			u := p.got()[0]
			assert.Equal(t, back, u.To.String())
			assert.Equal(t, rawOwnURI, u.From.String())
			assert.Equal(t, "m3ss4ge", u.MessageID())
			for _, name := range []string{"Success-Report", "Failure-Report"} {
				_, ok := u.Header.Lookup(name)
				assert.False(t, ok, name)
			}
			assert.Nil(t, u.Body)
			assert.Equal(t, FlagComplete, u.Flag)
			s.conn.Close()
		}},
		{"section 7.1.2: a REPORT is not answered, whatever is in it", "S-37 S-38", func(t *testing.T) {
			s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			heard := len(p.heardAll(0))
			for _, fields := range [][]string{
				{"Status: 000 200 OK"}, {"Status: 000 481 gone"}, {"Status: 000 481 gone", "to: " + otherURI}, {"Status: 001 481 gone"},
				{"Status: 000 200 OK", "Success-Report: yes", "Failure-Report: yes"}, {"Status: 000 413 Stop", "body: text"},
				{"Status: x"}, {}, {"Status: 000 200 OK", "Byte-Range: 9-1/2"}, {"Status: 000 200 OK", "to: " + rawOwnURI + " " + rawOwnURI},
			} {
				p.send(append([]string{"method: REPORT", "Message-ID: unkn0wn", "Failure-Report: yes"}, fields...)...)
			}
			time.Sleep(time.Minute)
			assert.Len(t, p.heardAll(0), heard)
			assert.Equal(t, StateConnected, s.State())
			s.conn.Close()
		}},
	})
}

// RFC 4975, section 7.3.1: chunks become messages.
func TestReceivingRules(t *testing.T) {
	type chunk struct{ message, byteRange, flag, body string }
	big := strings.Repeat("0123456789abcde\n", 64<<10) // 1 MiB
	for _, c := range []struct {
		name   string
		ids    string
		chunks []chunk
		want   []string // the messages, in the order of their completion
		code   int      // of the last response, 0 for 200
	}{
		{"section 7.3.1: $ in the middle", "S-24 S-26", []chunk{{"one", "5-6/6", "+", "ef"}, {"one", "1-2/6", "+", "ab"}, {"one", "3-4/6", "$", "cd"}}, []string{"abcd"}, 0},
		{"section 7.3.1: $ before +", "S-24", []chunk{{"one", "5-8/8", "$", "EFGH"}, {"one", "1-4/8", "+", "abcd"}}, []string{"abcdEFGH"}, 0},
		{"section 7.3.1: every order of three", "S-24", []chunk{
			{"one", "1-2/6", "+", "ab"}, {"one", "5-6/6", "$", "ef"}, {"one", "3-4/6", "+", "cd"},
			{"two", "5-6/6", "$", "ef"}, {"two", "3-4/6", "+", "cd"}, {"two", "1-2/6", "+", "ab"},
			{"three", "5-6/6", "$", "ef"}, {"three", "1-2/6", "+", "ab"}, {"three", "3-4/6", "+", "cd"},
			{"four", "3-4/6", "+", "cd"}, {"four", "5-6/6", "$", "ef"}, {"four", "1-2/6", "+", "ab"},
			{"five", "3-4/6", "+", "cd"}, {"five", "1-2/6", "+", "ab"}, {"five", "5-6/6", "$", "ef"},
		}, []string{"abcdef", "abcdef", "abcdef", "abcdef", "abcdef"}, 0},
		{"section 7.3.1: the last received octets stand", "S-25", []chunk{{"one", "1-100/150", "+", strings.Repeat("a", 100)}, {"one", "50-150/150", "$", strings.Repeat("b", 101)}}, []string{strings.Repeat("a", 49) + strings.Repeat("b", 101)}, 0},
		{"section 7.3.1: also where they came in the other order", "S-25", []chunk{{"one", "5-8/8", "$", "bbbb"}, {"one", "1-6/8", "+", "aaaaaa"}}, []string{"aaaaaabb"}, 0},
		{"section 7.3.1: the chunk with $ tells the total", "S-26", []chunk{{"one", "1-*/1000", "+", "abc"}, {"one", "4-*/2000", "$", "def"}}, []string{"abcdef"}, 0},
		{"section 7.3.1: even less than what is there", "S-26", []chunk{{"one", "4-*/*", "+", "defghi"}, {"one", "1-*/*", "+", "abc"}, {"one", "4-*/*", "$", "DE"}}, []string{"abcDE"}, 0},
		{"section 7.3.1: the end is where the body ends, not range-end", "S-26", []chunk{{"one", "1-10/20", "+", "abc"}, {"one", "4-20/20", "$", "def"}}, []string{"abcdef"}, 0},
		{"section 5.1: messages interleave", "S-27", []chunk{
			{"one", "1-*/*", "+", "ab"}, {"two", "1-*/*", "+", "AB"}, {"three", "1-3/3", "$", "---"},
			{"one", "3-*/*", "+", "cd"}, {"two", "3-*/*", "$", "CD"}, {"one", "5-*/*", "$", "ef"},
		}, []string{"---", "ABCD", "abcdef"}, 0},
		{"section 7.1: # ends a message without it", "S-28", []chunk{{"one", "1-*/9", "+", "abc"}, {"one", "4-*/9", "#", "def"}}, nil, 0},
		{"section 7.1: # in its only chunk", "S-28", []chunk{{"one", "1-*/9", "#", "abc"}}, nil, 0},
		{"section 7.1: # and what comes after it", "S-28", []chunk{{"one", "1-*/9", "+", "abc"}, {"one", "4-3/9", "#", ""}, {"one", "4-*/6", "$", "def"}}, nil, 413},
		{"section 7.1: # concerns one message", "S-28", []chunk{{"one", "1-*/9", "+", "abc"}, {"two", "1-*/9", "+", "ABC"}, {"one", "4-*/9", "#", ""}, {"two", "4-*/*", "$", "DEF"}}, []string{"ABCDEF"}, 0},
		{"section 7.1.1: chunks of no octets", "S-29", []chunk{{"one", "1-0/2", "+", ""}, {"one", "1-*/2", "+", "a"}, {"one", "2-1/2", "+", ""}, {"one", "2-*/2", "+", "b"}, {"one", "3-2/2", "$", ""}}, []string{"ab"}, 0},
		{"section 7.1.1: chunks of one octet", "S-29", []chunk{{"one", "1-1/3", "+", "a"}, {"one", "2-2/3", "+", "b"}, {"one", "3-3/3", "$", "c"}}, []string{"abc"}, 0},
		{"section 7.1.1: a chunk of the largest message", "S-29", []chunk{{"one", "1-*/*", "$", big}}, []string{big}, 0},
		{"section 7.1.1: an octet more than that", "S-29", []chunk{{"one", "1-*/*", "$", big + "x"}}, nil, 413},
		{"section 7.1.1: one large chunk, and one small", "S-29", []chunk{{"one", "1-*/*", "+", big[:len(big)-1]}, {"one", "1048576-*/*", "$", "\n"}}, []string{big}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, id := range strings.Fields(c.ids) {
				t.Attr("requirement", id)
			}
			synctest.Test(t, func(t *testing.T) {
				// StreamAfter: only what is complete is shown.
				s, p := newRawPeer(t, SessionOptions{MaxSize: 1 << 20, StreamAfter: 2 << 20, MaxBuffered: 2 << 20}, Remote{}, nil)
				for i, ch := range c.chunks {
					want := 200
					if i == len(c.chunks)-1 && c.code != 0 {
						want = c.code
					}
					assert.Equal(t, want, p.code(p.send("Message-ID: m3ss."+ch.message, "Byte-Range: "+ch.byteRange, "flag: "+ch.flag, "body: "+ch.body)), i)
				}
				s.Close()
				for _, want := range c.want {
					in, err := s.Receive(t.Context())
					require.NoError(t, err)
					body, err := io.ReadAll(in)
					assert.NoError(t, err)
					assert.Equal(t, want, string(body))
				}
				_, err := s.Receive(t.Context())
				assert.ErrorIs(t, err, ErrSessionClosed)
				s.conn.Close()
			})
		})
	}

	// What was being read already.
	runRules(t, []rule{{"section 7.1: # is told to who reads the message", "S-28", func(t *testing.T) {
		s, p := newRawPeer(t, SessionOptions{StreamAfter: 1}, Remote{}, nil)
		p.send("Message-ID: m3ss4ge", "Byte-Range: 1-3/9", "flag: +", "body: abc")
		in, err := s.Receive(t.Context())
		require.NoError(t, err)
		p.send("Message-ID: m3ss4ge", "Byte-Range: 4-3/9", "flag: #", "body: ")
		body, err := io.ReadAll(in)
		assert.Equal(t, "abc", string(body))
		assert.ErrorIs(t, err, ErrAborted)
		s.conn.Close()
	}}})
}

// RFC 4975, section 7.1.1: messages become chunks.
func TestSendingRules(t *testing.T) {
	text := func(n int) string { return strings.Repeat("0123456789", n/10+1)[:n] }
	shapes := []struct {
		name string
		make func(n int) (io.Reader, int64)
	}{
		{"in memory", func(n int) (io.Reader, int64) { return strings.NewReader(text(n)), 0 }},
		{"from a reader", func(n int) (io.Reader, int64) { return io.LimitReader(strings.NewReader(text(n)), int64(n)), int64(n) }},
		{"of unknown length", func(n int) (io.Reader, int64) { return io.LimitReader(strings.NewReader(text(n)), int64(n)), 0 }},
		{"octet by octet", func(n int) (io.Reader, int64) { return iotest.OneByteReader(strings.NewReader(text(n))), 0 }},
	}
	for _, shape := range shapes {
		for _, chunkSize := range []int{2048, 8192, 65536} {
			for _, n := range []int{0, 1, 2047, 2048, 2049, 4096, 8192, 8193, 70_000, 300_000} {
				t.Run(fmt.Sprintf("section 7.1.1: %d octets %s, chunks of %d", n, shape.name, chunkSize), func(t *testing.T) {
					for _, id := range []string{"S-16", "S-17", "S-18", "S-20", "S-21"} {
						t.Attr("requirement", id)
					}
					synctest.Test(t, func(t *testing.T) {
						// Nobody answers: there is no need to wait for that.
						s, p := newRawPeer(t, SessionOptions{}, Remote{ChunkSize: chunkSize}, func(*Unit) int { return 0 })
						body, size := shape.make(n)
						_, err := s.Send(t.Context(), &Message{ContentType: "text/plain", Body: body, Size: size, SuccessReport: true, FailureReport: FailureYes})
						require.NoError(t, err)
						synctest.Wait()
						chunks := p.got()
						require.NotEmpty(t, chunks)
						got, tids := "", map[string]bool{}
						for i, u := range chunks {
							body, r, last := p.bodyOf(u), u.ByteRange(), i == len(chunks)-1
							assert.Equal(t, chunks[0].MessageID(), u.MessageID())
							assert.Equal(t, "yes", u.Header.Get("Success-Report"))
							assert.Equal(t, "yes", u.Header.Get("Failure-Report"))
							assert.Equal(t, "text/plain", u.ContentType())
							assert.False(t, tids[u.TransactionID])
							tids[u.TransactionID] = true
							require.False(t, r.IsZero())
							assert.EqualValues(t, len(got)+1, r.Start, "in order, and without a gap")
							got += body
							if len(body) > 2048 {
								assert.EqualValues(t, -1, r.End, "may be interrupted")
							} else {
								assert.EqualValues(t, len(got), r.End)
							}
							assert.LessOrEqual(t, len(body), chunkSize)
							if last {
								assert.Equal(t, FlagComplete, u.Flag)
								assert.EqualValues(t, n, r.Total)
							} else {
								assert.Equal(t, FlagInterrupted, u.Flag)
								assert.GreaterOrEqual(t, len(body), 2048)
							}
						}
						assert.Equal(t, text(n), got)
						s.conn.Close()
					})
				})
			}
		}
	}

	stop := func(code int, report bool) func(*testing.T) {
		return func(t *testing.T) {
			s, g := newGate(t, SessionOptions{}, Remote{})
			out := file(t, s, 1_000_000)
			first := g.take()
			g.take()
			synctest.Wait() // the third is being sent
			if report {
				g.arrived <- "MSRP r3p0rt REPORT\r\nTo-Path: " + rawOwnURI + "\r\nFrom-Path: " + rawPeerURI + "\r\nMessage-ID: " + out.ID() +
					"\r\nByte-Range: 1-8192/1000000\r\nStatus: 000 " + strconv.Itoa(code) + " No\r\n-------r3p0rt$\r\n"
			} else {
				g.answer(first, code)
			}
			var status *StatusError
			require.ErrorAs(t, out.Sent(t.Context()), &status)
			assert.Equal(t, code, status.Code)
			assert.Equal(t, FlagInterrupted, g.take().Flag)
			u := g.take()
			assert.Equal(t, FlagAborted, u.Flag)
			assert.Equal(t, out.ID(), u.MessageID())
			assert.EqualValues(t, 3*defaultChunkSize+1, u.ByteRange().Start)
			assert.EqualValues(t, 3*defaultChunkSize, u.ByteRange().End)
			select {
			case <-g.sent:
				t.Error("more of the message")
			case <-time.After(time.Hour):
			}
			s.conn.Close()
		}
	}
	var rules []rule
	for _, code := range []int{400, 403, 408, 413, 415, 423, 501} {
		ids := "S-46"
		if code == StatusStopSending {
			ids += " S-44"
		}
		rules = append(rules, rule{fmt.Sprintf("section 7.3.2: %d for a message that is being sent", code), ids, stop(code, false)})
		rules = append(rules, rule{fmt.Sprintf("section 7.3.2: %d in a report on it", code), ids, stop(code, true)})
	}
	rules = append(rules,
		rule{"section 7.1.1: answers, reports and short messages go before the next chunk", "S-18", func(t *testing.T) {
			s, g := newGate(t, SessionOptions{}, Remote{})
			large := file(t, s, 100_000)
			at := int64(0)
			chunk := func(u *Unit) {
				require.Equal(t, large.ID(), u.MessageID())
				assert.Equal(t, ByteRange{Start: at + 1, End: -1, Total: 100_000}, u.ByteRange())
				assert.Equal(t, FlagInterrupted, u.Flag)
				at += defaultChunkSize
			}
			chunk(g.take())
			synctest.Wait() // the next one is in hand
			g.arrive("4sk1", "Message-ID: m3ss4ge", "Byte-Range: 1-1/1", "Success-Report: yes", "body: x")
			g.arrive("4sk2", "Message-ID: m3ss4gf", "Byte-Range: x", "body: x")
			small := file(t, s, 10)
			synctest.Wait()
			chunk(g.take())
			var units []*Unit
			for range 4 {
				units = append(units, g.take())
			}
			assert.Equal(t, "200, REPORT 000 200 OK 1-1/1, 400, SEND", what(units))
			assert.Equal(t, small.ID(), units[3].MessageID())
			chunk(g.take()) // goes on where it was
			s.conn.Close()
		}},
		rule{"section 7.1.1: sessions take turns on a connection", "S-20", func(t *testing.T) {
			e := NewEndpoint(nil)
			g := &gate{t: t, sent: make(chan []byte), arrived: make(chan string), closed: make(chan struct{})}
			conn := e.NewConn(g)
			got := map[string]int{}
			for i, size := range []int{64 << 10, 8 << 10, 2 << 10} {
				uri := fmt.Sprintf("msrp://bob.example.com:8493/s3ss10n%d;tcp", i)
				s := newRawSession(t, e, SessionOptions{URI: rawPath(t, uri)[0]})
				require.NoError(t, s.Start(Remote{Path: rawPath(t, rawPeerURI), Conn: conn, ChunkSize: size, Active: true}))
				_, err := s.Send(t.Context(), &Message{ContentType: "a/b", Body: stream(100 << 20), Size: 100 << 20, FailureReport: FailureNo})
				require.NoError(t, err)
			}
			for total := 0; total < 20<<20; {
				unit := <-g.sent
				u, err := new(Reader).Parse(unit)
				require.NoError(t, err)
				got[u.From.String()] += len(unit)
				total += len(unit)
				synctest.Wait()
			}
			assert.Len(t, got, 3)
			for uri, n := range got {
				assert.InEpsilon(t, 20<<20/3, n, 0.1, uri)
			}
			conn.Close()
		}},
		rule{"section 7.3.2: what was lost is not sent once more in the same session", "S-47", func(t *testing.T) {
			s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			out := file(t, s, 20_000)
			require.NoError(t, out.Sent(t.Context()))
			sent := len(p.got())
			p.send("method: REPORT", "Message-ID: "+out.ID(), "Byte-Range: 8193-16384/20000", "Status: 000 481 gone")
			synctest.Wait()
			var status *StatusError
			require.ErrorAs(t, s.Err(), &status)
			assert.Equal(t, StatusNoSession, status.Code)
			assert.ErrorAs(t, out.Progress().Err, &status)
			time.Sleep(time.Hour)
			assert.Len(t, p.got(), sent)
			_, err := s.Send(t.Context(), Text("more"))
			assert.ErrorAs(t, err, &status)
			p.Close()
		}},
	)
	runRules(t, rules)
}

// RFC 4975, sections 7.1.1, 8.2 and 14.1: identifiers.
func TestIdentifierRules(t *testing.T) {
	const n = 100_000
	perCharacter := math.Log2(float64(len(idAlphabet)))
	t.Run("section 14.1: 80 random bits in a session ID", func(t *testing.T) {
		t.Attr("requirement", "S-14")
		seen := map[string]bool{}
		var counts [256]int
		for range n {
			id := NewID()
			seen[id] = true
			assert.GreaterOrEqual(t, perCharacter*float64(len(id)), 80.0)
			for _, c := range []byte(id) {
				counts[c]++
			}
		}
		assert.Len(t, seen, n)
		expected := float64(n*len(NewID())) / float64(len(idAlphabet))
		for _, c := range []byte(idAlphabet) {
			assert.InEpsilon(t, expected, counts[c], 0.05, string(c))
		}
	})
	t.Run("section 8.2: a URI in use is not given to a second session", func(t *testing.T) {
		t.Attr("requirement", "S-14")
		e := NewEndpoint(nil)
		s := newRawSession(t, e, SessionOptions{})
		for _, uri := range []string{rawOwnURI, "msrps" + strings.TrimPrefix(rawOwnURI, "msrp")} {
			_, err := e.NewSession(SessionOptions{URI: rawPath(t, uri)[0]})
			assert.ErrorContains(t, err, "in use")
		}
		s.Close()
		newRawSession(t, e, SessionOptions{}).Close()
	})
	t.Run("section 7.1.1: Message-IDs do not repeat", func(t *testing.T) {
		t.Attr("requirement", "S-15")
		s := unconnected(t, Remote{})
		seen := map[string]bool{}
		for range 1000 {
			out, err := s.Send(t.Context(), Text("hello"))
			require.NoError(t, err)
			seen[out.ID()] = true
			seen[s.bodiless().MessageID()] = true
			assert.GreaterOrEqual(t, perCharacter*float64(len(out.ID())), 64.0)
		}
		assert.Len(t, seen, 2000)
		_, err := s.Send(t.Context(), &Message{ID: "m3ss4ge"})
		require.NoError(t, err)
		_, err = s.Send(t.Context(), &Message{ID: "m3ss4ge"})
		assert.ErrorContains(t, err, "was used already")
	})
}
