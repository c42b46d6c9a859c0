package msrp

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// RFC 4975, section 7.1: the peer learns at once that no more will come of what
// it has begun to receive, also where that was given up just before.
func TestCloseEndsWhatHasBegun(t *testing.T) {
	for name, end := range map[string]func(s *Session, o *Outgoing){
		"closed":                    func(s *Session, o *Outgoing) { s.Close() },
		"given up, and then closed": func(s *Session, o *Outgoing) { o.Abort(); s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, peer := newRawPeer(t, SessionOptions{}, Remote{}, nil)
				body, more := io.Pipe()
				defer more.Close()
				out, err := s.Send(t.Context(), &Message{ContentType: "image/jpeg", Body: body, Size: 1 << 20})
				require.NoError(t, err)
				_, err = s.Send(t.Context(), Text("whole"))
				require.NoError(t, err)
				go more.Write(make([]byte, 3*minChunk))
				synctest.Wait() // part of it is there
				before := len(peer.got())

				end(s, out)
				synctest.Wait()
				units := peer.got()[before:]
				require.Len(t, units, 1)
				assert.Equal(t, out.ID(), units[0].MessageID())
				assert.Equal(t, FlagAborted, units[0].Flag)
				assert.Error(t, out.Progress().Err)
				s.conn.Close()
			})
		})
	}
}

// RFC 4975, section 8.9: the direction is for ordinary messages alone, and a
// renewed exchange can change it (section 8.4).
func TestRecvOnly(t *testing.T) {
	s, peer := newRawPeer(t, SessionOptions{}, Remote{RecvOnly: true}, nil)
	_, err := s.Send(t.Context(), Text("not now"))
	assert.ErrorIs(t, err, ErrRecvOnly)
	_, err = s.Send(t.Context(), &Message{})
	assert.NoError(t, err)
	_, err = s.Send(t.Context(), &Message{ContentType: "application/im-iscomposing+xml", Body: strings.NewReader("<isComposing/>"), Control: true})
	assert.NoError(t, err)
	assert.NoError(t, s.Probe(t.Context()))
	assert.Equal(t, 200, peer.code(peer.send("Message-ID: m3ss4ge", "Byte-Range: 1-2/2", "body: hi")))

	s.Update(Remote{AcceptTypes: []string{"text/*"}, MaxSize: 3})
	out, err := s.Send(t.Context(), Text("now"))
	require.NoError(t, err)
	assert.NoError(t, out.Sent(t.Context()))
	_, err = s.Send(t.Context(), Text("then"))
	assert.ErrorIs(t, err, ErrMessageTooLarge)
	_, err = s.Send(t.Context(), &Message{ContentType: "image/png", Body: strings.NewReader("x")})
	assert.ErrorIs(t, err, ErrUnsupportedType)
}

// Whoever came first under the session's URI is asked for the certificate, also
// where this side is to connect itself.
func TestVerifyWhoCameBeforeStart(t *testing.T) {
	e := NewEndpoint(nil)
	s := newRawSession(t, e, SessionOptions{})
	_, first := newRawConn(t, e, nil)
	require.Equal(t, 200, first.code(first.send("Message-ID: b1nd", "Byte-Range: 1-0/0")))
	own, _ := newRawConn(t, e, nil)
	stranger := errors.New("a stranger")
	var asked *Conn
	err := s.Start(Remote{Path: rawPath(t, rawPeerURI), Conn: own, Active: true, Verify: func(c *Conn) error {
		asked = c
		return stranger
	}})
	assert.ErrorIs(t, err, stranger)
	require.NotNil(t, asked)
	assert.NotSame(t, own, asked)
	assert.ErrorIs(t, s.Err(), stranger)
}

// Update leaves a message alone that has begun and was within the terms.
func TestUpdateLeavesWhatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newRawPeer(t, SessionOptions{}, Remote{}, nil)
		body, more := io.Pipe()
		out, err := s.Send(t.Context(), &Message{ContentType: "image/jpeg", Body: body, Size: 8 * minChunk})
		require.NoError(t, err)
		more.Write(make([]byte, 4*minChunk))
		synctest.Wait()
		require.NotZero(t, out.Progress().Acknowledged)
		s.Update(Remote{MaxSize: minChunk})
		more.Write(make([]byte, 4*minChunk))
		assert.NoError(t, out.Sent(t.Context()))
		s.conn.Close()
	})
}
