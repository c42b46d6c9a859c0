package msrp

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"

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
