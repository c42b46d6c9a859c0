//go:build js && wasm

package main

import (
	"strings"
	"testing"

	"github.com/hack-pad/safejs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// RFC 5547, section 9.1.
const fileOffer = `v=0
o=alice 2890844526 2890844526 IN IP4 host.atlanta.example.com
s=
c=IN IP4 host.atlanta.example.com
t=0 0
m=message 7654 TCP/MSRP *
i=This is my latest picture
a=sendonly
a=accept-types:message/cpim
a=accept-wrapped-types:*
a=path:msrp://atlanta.example.com:7654/jshA7we;tcp
a=file-selector:name:"My cool picture.jpg" type:image/jpeg size:32349 hash:sha-1:72:24:5f:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E
a=file-transfer-id:vBnG916bdberum2fFEABR1FR3ExZMUrd
a=file-range:1-32349
`

// offered returns what the page is told of an offer.
func offered(t *testing.T, offer string) object {
	x := &session{}
	o, err := safejs.ValueOf(map[string]any{"sdp": strings.ReplaceAll(offer, "\n", "\r\n")})
	require.NoError(t, err)
	describe := x.offeredFile(request{o})
	if describe == nil {
		assert.Nil(t, x.offered)
		return nil
	}
	description, err := describe()
	require.NoError(t, err)
	require.NotNil(t, x.offered)
	assert.Empty(t, x.offered.ID, "the answer takes it from the offer")
	return description.(object)
}

func TestOfferedFile(t *testing.T) {
	const sum = "72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E"
	assert.Equal(t, object{
		"name": "My cool picture.jpg", "type": "image/jpeg", "size": int64(32349), "offset": int64(0), "end": int64(32349), "asked": false, "sha-1": strings.Replace(sum, "F", "f", 1),
	}, offered(t, fileOffer))
	for _, c := range []struct {
		old, new string
		want     object // what is different, nil of what is absent
	}{
		{"a=sendonly", "a=recvonly", object{"asked": true}},
		{"1-32349", "20001-*", object{"offset": int64(20000)}},
		{"1-32349", "20001-30000", object{"offset": int64(20000), "end": int64(30000)}},
		{"a=file-range:1-32349\n", "", object{}},
		{"size:32349 ", "", object{"size": int64(-1)}}, // the range still has an end
		{"1-32349", "1-9223372036854775807", object{"end": int64(1<<63 - 1)}},
		{`"My cool picture.jpg"`, `"%22..%2F%C3%BC size:5 hash:sha-1:00"`, object{"name": `"../ü size:5 hash:sha-1:00`}},
		{"size:32349 ", "size:9223372036854775807 ", object{"size": int64(1<<63 - 1)}},
		{"-32349", "-*", object{}},
		{"hash:sha-1", "hash:sha-512:00:11 hash:SHA-1", object{}},
		{" hash:", " hash:__proto__:00 hash:", object{}},
	} {
		want := offered(t, fileOffer)
		for name, value := range c.want {
			want[name] = value
		}
		assert.Equal(t, want, offered(t, strings.Replace(fileOffer, c.old, c.new, 1)), c.new)
	}
}

// Of what cannot be taken the answer tells.
func TestNoOfferedFile(t *testing.T) {
	const conversation = "m=message 7654 TCP/MSRP *\na=accept-types:*\na=path:msrp://b.example.com:7654/x;tcp\n"
	for _, c := range [][2]string{
		{"a=sendonly", "a=inactive"},
		{"a=sendonly", "a=sendrecv"},
		{"7654 TCP", "0 TCP"},
		{"file-selector:", "x:"},
		{"size:32349", "size:18446744073709551616"},
		{"size:32349", "size:-1"},
		{"1-32349", "0-5"},
		{"72:24", "72"},
		{fileOffer, ""},
		{fileOffer, fileOffer + conversation},
		{fileOffer, strings.Replace(fileOffer, "m=message", conversation+"m=message", 1)},
	} {
		assert.Nil(t, offered(t, strings.Replace(fileOffer, c[0], c[1], 1)), "%s", c[1])
	}
	assert.NotNil(t, offered(t, fileOffer+strings.Replace(conversation, "7654", "0", 1)))
	assert.NotNil(t, offered(t, fileOffer+strings.Replace(fileOffer[strings.Index(fileOffer, "m="):], "cool", "other", 1)), "the first of several")
	f, _ := fileOf(strings.ReplaceAll(fileOffer, "\n", "\r\n"))
	assert.Equal(t, "My cool picture.jpg", f.Selector.Name)
	assert.Equal(t, sdp.FileRange{Start: 1, Stop: 32349}, f.Range)
}
