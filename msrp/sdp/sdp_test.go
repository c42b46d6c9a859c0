package sdp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

const browserOffer = "v=0\r\n" +
	"o=alice 2890844526 1 IN IP4 relay.example.com\r\n" +
	"s=-\r\n" +
	"c=IN IP4 relay.example.com\r\n" +
	"t=0 0\r\n" +
	"m=message 2855 TCP/TLS/MSRP *\r\n" +
	"c=IN IP4 relay.example.com\r\n" +
	"a=accept-types:message/cpim text/plain application/im-iscomposing+xml\r\n" +
	"a=accept-wrapped-types:*\r\n" +
	"a=max-size:10485760\r\n" +
	"a=setup:actpass\r\n" +
	"a=path:msrps://relay.example.com:2855/Zr4hVb0pQx8mLk2wSd9y;tcp msrps://df7jal23ls0d.invalid:2855/Hq9vT2mX4cLp8sKd;ws\r\n"

const nativeAnswer = "v=0\r\n" +
	"o=bob 2890844530 1 IN IP4 bob.example.net\r\n" +
	"s=-\r\n" +
	"c=IN IP4 bob.example.net\r\n" +
	"t=0 0\r\n" +
	"m=message 9 TCP/TLS/MSRP *\r\n" +
	"a=accept-types:message/cpim text/plain\r\n" +
	"a=setup:active\r\n" +
	"a=path:msrps://bob.example.net:9/Wq7uJn5eRt1oPa3s;tcp\r\n"

// proves names the requirements that a test proves.
func proves(t *testing.T, ids string) {
	for id := range strings.FieldsSeq(ids) {
		t.Attr("requirement", id)
	}
}

func path(t *testing.T, s string) msrp.Path {
	p, err := msrp.ParsePath(s)
	require.NoError(t, err)
	return p
}

func TestBrowserOffer(t *testing.T) {
	s := Stream{
		Path:               path(t, "msrps://relay.example.com:2855/Zr4hVb0pQx8mLk2wSd9y;tcp msrps://df7jal23ls0d.invalid:2855/Hq9vT2mX4cLp8sKd;ws"),
		AcceptTypes:        []string{"message/cpim", "text/plain", "application/im-iscomposing+xml"},
		AcceptWrappedTypes: []string{"*"},
		MaxSize:            10485760,
		Setup:              ActPass,
	}
	proves(t, "D-01 D-02 D-12")
	assert.Equal(t, browserOffer, Offer("alice", 2890844526, s).String())
	d, err := Parse(browserOffer)
	require.NoError(t, err)
	read, err := d.Media[0].Stream()
	require.NoError(t, err)
	assert.Equal(t, s, read)
}

// RFC 4975, sections 8.1, 8.2 and 8.6, to the octet and over plain TCP; the
// active side cannot be reached (RFC 6135, section 4.2.2).
func TestPlainOffer(t *testing.T) {
	proves(t, "D-01 D-02 D-12 D-14")
	s := Stream{Path: path(t, "msrp://alice.example.com:9/Hq9vT2mX4cLp8sKd;tcp"), AcceptTypes: []string{"text/plain"}, Setup: Active}
	assert.Equal(t, "v=0\r\no=- 1 1 IN IP4 alice.example.com\r\ns=-\r\nc=IN IP4 alice.example.com\r\nt=0 0\r\n"+
		"m=message 9 TCP/MSRP *\r\nc=IN IP4 alice.example.com\r\na=accept-types:text/plain\r\na=setup:active\r\n"+
		"a=path:msrp://alice.example.com:9/Hq9vT2mX4cLp8sKd;tcp\r\n", Offer("", 1, s).String())
}

// RFC 4975, section 8.3: all of a path is taken, in its order.
func TestLongPath(t *testing.T) {
	proves(t, "D-04")
	const long = "msrp://a.example.com:1/x;tcp msrps://b.example.com:2/y;ws msrp://c.example.com:3/z;carrierpigeon;a=b"
	d, err := Parse("v=0\r\nm=message 1 TCP/MSRP *\r\na=accept-types:*\r\na=path:" + long + "\r\n")
	require.NoError(t, err)
	s, err := d.Stream(0)
	require.NoError(t, err)
	assert.Equal(t, long, s.Path.String())
	assert.Contains(t, Offer("", 1, s).String(), "a=path:"+long+"\r\n")
}

func TestNativeAnswer(t *testing.T) {
	for _, wire := range []string{nativeAnswer, strings.ReplaceAll(nativeAnswer, "\r\n", "\n")} {
		d, err := Parse(wire)
		require.NoError(t, err)
		got, err := Accepted(ActPass, d)
		require.NoError(t, err)
		assert.False(t, got.Active)
		assert.Equal(t, path(t, "msrps://bob.example.net:9/Wq7uJn5eRt1oPa3s;tcp"), got.Peer.Path)
	}
}

// What makes a stream unusable, and what does not.
func TestStreams(t *testing.T) {
	const m = "m=message 2855 TCP/MSRP *\r\n"
	const types = "a=accept-types:text/plain\r\n"
	const p = "a=path:msrp://h.example.com:2855/s;tcp\r\n"
	for name, c := range map[string]struct {
		media string
		ok    bool
		ids   string
	}{
		"RFC 4975, section 8.1: plain":                         {m + types + p, true, "D-01 D-02"},
		"RFC 4975, section 8.6: extra blanks in the types":     {m + "a=accept-types: text/plain  text/html \r\n" + p, true, "D-02"},
		"RFC 4975, section 8.6: any type":                      {m + "a=accept-types:*\r\n" + p, true, "D-10"},
		"RFC 7977, section 5.2.2: the last transport is alien": {m + types + "a=path:msrp://a:1/x;tcp msrp://b:2/y;tcp msrp://c:3/z;foo\r\n", true, "D-04"},
		"RFC 8866, section 5.13: an unknown attribute":         {m + types + p + "a=x-new:1\r\n", true, ""},
		"RFC 6135, section 4.2.1: holdconn is ignored":         {m + types + p + "a=setup:holdconn\r\n", true, "D-13"},
		"RFC 6135, section 4.4: connection is ignored":         {m + types + p + "a=connection:new\r\n", true, "D-13"},
		"RFC 6135, section 4.2.2: port 9":                      {"m=message 9 TCP/MSRP *\r\n" + types + "a=path:msrp://h.example.com:9/s;tcp\r\n", true, "D-14"},
		"RFC 4975, section 8.1: c= and m= say something else":  {"m=message 1 TCP/MSRP *\r\nc=IN IP4 x.example.com\r\n" + types + p, true, "D-05"},
		"RFC 4975, section 8.1: TCP with an msrps path":        {m + types + "a=path:msrps://h:1/s;tcp\r\n", false, "D-18"},
		"RFC 4975, section 8.1: TLS with an msrp path":         {strings.Replace(m, "TCP/", "TCP/TLS/", 1) + types + p, false, "D-18"},
		"RFC 4975, section 8.2: no path":                       {m + types, false, "D-02"},
		"RFC 4975, section 8.6: no types":                      {m + p, false, "D-02"},
		"RFC 3264, section 6: port 0":                          {strings.Replace(m, "2855", "0", 1) + types + p, false, ""},
		"RFC 4975, section 8.1: formats":                       {strings.Replace(m, "*", "98 99", 1) + types + p, false, "D-01"},
		"RFC 4975, section 8.2: a URI without a port":          {m + types + "a=path:msrp://h.example.com/s;tcp\r\n", false, "D-02"},
		"RFC 4975, section 8.2: one of two without a port":     {m + types + "a=path:msrp://a:1/s;tcp msrp://h.example.com/s;tcp\r\n", false, "D-02"},
		"RFC 4975, section 8.2: a broken URI":                  {m + types + "a=path:sip:bob@example.com\r\n", false, ""},
		"RFC 4975, section 8.1: audio":                         {"m=audio 4000 RTP/AVP 0\r\n" + types + p, false, "D-01"},
		"RFC 4975, section 8.1: another protocol":              {strings.Replace(m, "TCP/MSRP", "UDP/MSRP", 1) + types + p, false, "D-01"},
		"RFC 7977, section 5.2: a protocol of JsSIP":           {strings.Replace(m, "TCP/MSRP", "WS/MSRP", 1) + types + p, false, "D-01"},
	} {
		t.Run(name, func(t *testing.T) {
			proves(t, c.ids)
			d, err := Parse("v=0\r\no=- 1 1 IN IP4 h\r\ns= \r\nt=0 0\r\n" + c.media)
			require.NoError(t, err)
			_, err = d.Media[0].Stream()
			assert.Equal(t, c.ok, err == nil, "%v", err)
		})
	}
}

func TestAnswer(t *testing.T) {
	own := Stream{Path: path(t, "msrp://bob.example.net:9000/s;tcp"), AcceptTypes: []string{"text/plain"}, Setup: ActPass}
	offer := func(media string) *Description {
		d, err := Parse("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n" + media)
		require.NoError(t, err)
		return d
	}
	stream := func(attributes string) string {
		return "m=message 2855 TCP/MSRP *\r\na=path:msrp://a.example.com:2855/x;tcp\r\n" + attributes
	}

	// RFC 6135, section 4.2 and RFC 4975, section 8.5.
	t.Run("roles", func(t *testing.T) {
		proves(t, "D-12 D-15")
		for _, c := range []struct {
			offered, own Setup
			answered     Setup // "" where the offer must be refused
		}{
			{ActPass, ActPass, Passive}, {ActPass, Active, Active}, {ActPass, Passive, Passive},
			{Active, ActPass, Passive}, {Active, Passive, Passive}, {Active, Active, ""},
			{"", ActPass, Passive}, {"", Passive, Passive}, {"", Active, ""},
			{Passive, ActPass, Active}, {Passive, Active, Active}, {Passive, Passive, ""},
		} {
			setup := ""
			if c.offered != "" {
				setup = "a=setup:" + string(c.offered) + "\r\n"
			}
			own := own
			own.Setup = c.own
			answer, agreed, err := Answer("bob", 1, offer(stream(setup+"a=accept-types:*\r\n")), own)
			if c.answered == "" {
				assert.Error(t, err, "%+v", c)
				continue
			}
			require.NoError(t, err, "%+v", c)
			got, _ := answer.Media[0].Get("setup")
			assert.Equal(t, string(c.answered), got, "%+v", c)
			assert.Equal(t, c.answered == Active, agreed.Active, "%+v", c)

			// Both sides agree who is active.
			read, err := Parse(answer.String())
			require.NoError(t, err)
			theirs, err := Accepted(c.offered, read)
			require.NoError(t, err, "%+v", c)
			assert.NotEqual(t, agreed.Active, theirs.Active, "%+v", c)
		}
	})
	t.Run("one of several lines", func(t *testing.T) {
		proves(t, "D-08")
		answer, _, err := Answer("bob", 1, offer("m=audio 4000 RTP/AVP 0\r\n"+stream("a=accept-types:image/png\r\n")+stream("a=accept-types:text/*\r\n")+stream("a=accept-types:*\r\n")), own)
		require.NoError(t, err)
		var ports []int
		for _, m := range answer.Media {
			ports = append(ports, m.Port)
		}
		assert.Equal(t, []int{0, 0, 9000, 0}, ports)
		assert.Contains(t, answer.String(), "m=audio 0 RTP/AVP 0\r\n")
	})
	t.Run("no common type", func(t *testing.T) {
		proves(t, "D-08")
		_, _, err := Answer("bob", 1, offer(stream("a=accept-types:image/png\r\n")), own)
		assert.ErrorContains(t, err, "image/png")
	})
	t.Run("TLS on one side", func(t *testing.T) {
		proves(t, "D-18")
		_, _, err := Answer("bob", 1, offer("m=message 2855 TCP/TLS/MSRP *\r\na=path:msrps://a:1/x;tcp\r\na=accept-types:*\r\n"), own)
		assert.ErrorContains(t, err, "TLS")
	})
	t.Run("direction", func(t *testing.T) {
		answer, _, err := Answer("bob", 1, offer(stream("a=accept-types:*\r\na=sendonly\r\n")), own)
		require.NoError(t, err)
		assert.Contains(t, answer.String(), "a=recvonly\r\n")
	})
	t.Run("nothing", func(t *testing.T) {
		_, _, err := Answer("bob", 1, offer(""), own)
		assert.Error(t, err)
	})
}

func TestRefusedAnswer(t *testing.T) {
	d, err := Parse("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=message 0 TCP/MSRP *\r\n")
	require.NoError(t, err)
	_, err = Accepted(ActPass, d)
	assert.ErrorIs(t, err, ErrRefused)
}

func TestParseRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"nothing":        "",
		"no v= first":    "o=- 1 1 IN IP4 h\r\nv=0\r\n",
		"another v=":     "v=1\r\n",
		"v= twice":       "v=0\r\nv=0\r\n",
		"not x=value":    "v=0\r\nhello\r\n",
		"a bad o=":       "v=0\r\no=alice\r\n",
		"a bad m=":       "v=0\r\nm=message 2855\r\n",
		"a bad port":     "v=0\r\nm=message 99999 TCP/MSRP *\r\n",
		"too long":       "v=0\r\n" + strings.Repeat("a=x\r\n", 20000),
		"too many media": "v=0\r\n" + strings.Repeat("m=message 1 TCP/MSRP *\r\n", 65),
		"a CR in a line": "v=0\r\na=x:1\ra=y:2\r\n",
		"a NUL":          "v=0\r\na=x:\x00\r\n",
	} {
		_, err := Parse(s)
		assert.Error(t, err, name)
	}
}
