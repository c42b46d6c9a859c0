package msrp

import (
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
