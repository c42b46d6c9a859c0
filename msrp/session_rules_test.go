package msrp

import (
	"cmp"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
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
						time.Sleep(TransactionTimeout - time.Millisecond)
						synctest.Wait()
						assert.Equal(t, Progress{}, out.Progress(), "not before 30 seconds")
						assert.Error(t, out.Sent(t.Context()))
						assert.Equal(t, TransactionTimeout, time.Since(start).Truncate(time.Millisecond))
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
