package imdn

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/cpim"
)

// What parses prints, and what is printed parses equal.
func FuzzParseNotification(f *testing.F) {
	f.Add([]byte(delivered))
	f.Add([]byte(displayed))
	f.Add([]byte(`<i:imdn xmlns:i="urn:ietf:params:xml:ns:imdn"><i:message-id>1</i:message-id><i:datetime>2</i:datetime><i:subject xml:lang="a">b</i:subject>` +
		`<x/><i:processing-notification><i:status><i:stored/></i:status></i:processing-notification></i:imdn>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		text, err := n.Marshal()
		require.NoError(t, err)
		if len(text) > maxSize {
			return
		}
		again, err := Parse(bytes.NewReader(text))
		require.NoError(t, err)
		assert.Equal(t, n, again)
	})
}

// Whoever asks, and however, gets a notification that can be sent and read, or
// none.
func FuzzParseRequest(f *testing.F) {
	f.Add("From: A <im:a>\nTo: <im:b>\nNS: i <urn:ietf:params:imdn>\ni.Message-ID: 1\nDateTime: 2\ni.IMDN-Record-Route: <im:c>\ni.Original-To: <im:d>\n" +
		"i.Disposition-Notification: positive-delivery, negative-delivery;x=y, display\n\nContent-Type: text/plain\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := cpim.Read(strings.NewReader(text))
		if err != nil {
			return
		}
		r, ok := ReadRequest(m)
		if !ok {
			return
		}
		assert.Equal(t, r.Wanted, ParseDisposition(r.Wanted.String()))
		for _, typ := range []Type{TypeDelivery, TypeDisplay} {
			if !r.Wants(typ, Error) {
				continue
			}
			answer, err := r.Notify(cpim.Address{URI: "im:me"}, typ, Error)
			require.NoError(t, err)
			if _, err := answer.Head(); err != nil {
				assert.ErrorContains(t, err, "64 lines") // as many servers as a header can have
				continue
			}
			body, _, err := answer.Encode()
			require.NoError(t, err)
			got, err := cpim.Read(body)
			require.NoError(t, err)
			_, ok := ReadRequest(got)
			assert.False(t, ok)
			assert.Len(t, got.Header.Fields(Namespace, "IMDN-Route"), len(r.RecordRoute))
			n, err := ReadNotification(got)
			require.NoError(t, err)
			assert.Equal(t, r.MessageID, n.MessageID)
			assert.Equal(t, Error, n.Status)
		}
	})
}
