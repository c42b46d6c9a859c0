package sdp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func seeds(f *testing.F, add func(string)) {
	for _, s := range corpus(f) {
		add(s)
	}
	add(browserOffer)
	add(nativeAnswer)
	add("v=0\no=- 1 1 IN IP6 ::1\ns= \nt=0 0\na=fingerprint:sha-1 AA\nm=message 9 TCP/TLS/MSRP *\na=fingerprint:sha-256 AB:CD\na=path:msrps://[::1]:9/s;tcp\na=accept-types:*\n")
	add("v=0\nm=message 5 TCP/MSRP *\nc=IN IP4 sbc.example.com\na=path:msrp://a:1/x;tcp\na=accept-types:*\na=msrp-cema\na=setup:actpass\na=chatroom:nickname a b\na=recvonly\na=file-selector:hash:x:AB:CD hash:" + aliceHash.Algorithm + ":" + aliceHash.Sum + " size:7\n")
	add("v=0\nm=message 5 TCP/MSRP *\na=path:msrp://a:5/x;tcp\na=accept-types:*\na=recvonly\na=file-selector:hash:" + aliceHash.Algorithm + ":" + aliceHash.Sum + "\na=file-transfer-id:x\na=file-range:2-*\n")
}

// What parses prints, and what is printed parses equal.
func FuzzParse(f *testing.F) {
	seeds(f, func(s string) { f.Add(s) })
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if err != nil || len(d.String()) > maxSize {
			return
		}
		again, err := Parse(d.String())
		require.NoError(t, err, d.String())
		require.Equal(t, d, again)
		for i := range d.Media {
			stream, err := d.Stream(i)
			if err != nil {
				continue
			}
			m := stream.Media()
			same, err := m.Stream()
			require.NoError(t, err)
			require.Equal(t, stream, same)
		}
	})
}

// Answers fit their offers, and the offerer reads out of them what the answerer
// does.
func FuzzAnswer(f *testing.F) {
	seeds(f, func(s string) {
		for _, terms := range []byte{0, 1, 2, 3, 4, 8, 16, 32, 33, 34, 96, 98, 128, 162} {
			f.Add(s, terms)
		}
	})
	f.Fuzz(func(t *testing.T, s string, terms byte) {
		offer, err := Parse(s)
		if err != nil {
			return
		}
		own := bob(t, terms&1 != 0)
		own.Setup = [...]Setup{ActPass, Active, Passive, ""}[terms>>1&3]
		own.Direction = [...]Direction{"", SendOnly, RecvOnly, Inactive}[terms>>3&3]
		own.CEMA = terms&32 != 0
		if terms&64 != 0 {
			own.Path = own.Path.Join(own.Path...)
		}
		if terms&128 != 0 {
			own.File = &FileTransfer{Selector: FileSelector{"minutes.odt", "text/plain", 18231, []Hash{aliceHash}}}
		}
		before := offer.String()
		answer, agreed, err := Answer("bob", 1, offer, own)
		require.Equal(t, before, offer.String())
		if err != nil {
			return
		}
		read, err := Parse(answer.String())
		require.NoError(t, err, answer.String())
		require.Len(t, read.Media, len(offer.Media))
		taken := 0
		for i, m := range read.Media {
			require.Equal(t, [3]string{offer.Media[i].Kind, offer.Media[i].Proto, offer.Media[i].Formats}, [3]string{m.Kind, m.Proto, m.Formats})
			if m.Port == 0 {
				continue
			}
			taken++
			theirs, err := Conclude(offer, read, i)
			require.NoError(t, err)
			assert.NotEqual(t, agreed.Active, theirs.Active)
			assert.Equal(t, agreed.Direction.Sends(), theirs.Direction.Receives())
			assert.Equal(t, agreed.Direction.Receives(), theirs.Direction.Sends())
		}
		require.Equal(t, 1, taken)
		require.Equal(t, answer.Origin, answer.After(answer).Origin)
	})
}
