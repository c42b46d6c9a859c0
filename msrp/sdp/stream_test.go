package sdp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// description returns one with these lines for the session and for one stream
// at alice.example.com:2855.
func description(session, stream string) string {
	return "v=0\r\no=alice 1 1 IN IP4 alice.example.com\r\ns=-\r\nc=IN IP4 alice.example.com\r\nt=0 0\r\n" + session +
		"m=message 2855 TCP/MSRP *\r\na=path:msrp://alice.example.com:2855/s;tcp\r\na=accept-types:*\r\n" + stream
}

// What a stream takes from the session, and what wins.
func TestSessionLevel(t *testing.T) {
	const tls = "tls"
	for _, c := range []struct {
		rfc, session, media string
		want                Stream // as far as it is about these
	}{
		{rfc: "8866, section 6.7", session: "a=sendonly\r\n", want: Stream{Direction: SendOnly}},
		{rfc: "8866, section 6.7", session: "a=inactive\r\n", media: "a=sendrecv\r\n", want: Stream{Direction: SendRecv}},
		{rfc: "8866, section 6.7", media: "a=recvonly\r\n", want: Stream{Direction: RecvOnly}},
		{rfc: "8866, section 6.7: sendrecv is the default"},
		{rfc: "4145, section 4", session: "a=setup:actpass\r\n", want: Stream{Setup: ActPass}},
		{rfc: "4145, section 4", session: "a=setup:actpass\r\n", media: "a=setup:active\r\n", want: Stream{Setup: Active}},
		{rfc: "8122, section 5", session: tls + "a=fingerprint:sha-256 AA\r\n", want: Stream{Fingerprints: []string{"sha-256 AA"}}},
		{rfc: "8122, section 5", session: tls + "a=fingerprint:sha-256 AA\r\n", media: "a=fingerprint:sha-1 BB\r\na=fingerprint:sha-256 CC\r\n", want: Stream{Fingerprints: []string{"sha-1 BB", "sha-256 CC"}}},
		{rfc: "8122, section 3.4: nothing is said about TCP", session: "a=fingerprint:sha-256 AA\r\n"},
		{rfc: "4975, section 8.6: not for sessions", session: "a=accept-types:text/plain\r\na=max-size:5\r\na=x-y:1\r\n"},
		{rfc: "7701, section 8: not for sessions", session: "a=chatroom:nickname\r\n"},
	} {
		t.Run("RFC "+c.rfc, func(t *testing.T) {
			text := description(strings.TrimPrefix(c.session, tls), c.media)
			if strings.HasPrefix(c.session, tls) {
				text = strings.NewReplacer("TCP/MSRP", "TCP/TLS/MSRP", "msrp:", "msrps:").Replace(text)
			}
			d := parse(t, text)
			got, err := d.Stream(0)
			require.NoError(t, err)
			assert.Equal(t, c.want.Direction, got.Direction)
			assert.Equal(t, c.want.Setup, got.Setup)
			assert.ElementsMatch(t, c.want.Fingerprints, got.Fingerprints)
			assert.Equal(t, []string{"*"}, got.AcceptTypes)
			assert.Zero(t, got.MaxSize)
			assert.Nil(t, got.Chatroom)
			assert.Nil(t, got.Attributes)
		})
	}
	_, err := parse(t, description("", "")).Stream(1)
	assert.Error(t, err)
}

// What a stream says about itself.
func TestAttributes(t *testing.T) {
	for _, c := range []struct {
		rfc, media string
		valid      bool
		want       func(*Stream)
	}{
		{"4975, section 8.6: the largest message", "a=max-size:10\r\n", true, func(s *Stream) { s.MaxSize = 10 }},
		{"4975, section 8.6: no number, no limit", "a=max-size:ten\r\n", true, func(*Stream) {}},
		{"4975, section 8.6: types inside others", "a=accept-wrapped-types:text/plain  image/* \r\n", true, func(s *Stream) { s.AcceptWrappedTypes = []string{"text/plain", "image/*"} }},
		{"4975, section 8.6: no such types", "a=accept-wrapped-types:\r\n", true, func(*Stream) {}},
		{"6135, section 4.2: without regard to case", "a=setup:ActPass\r\n", true, func(s *Stream) { s.Setup = ActPass }},
		{"6135, section 4.2.1: holdconn is as if absent", "a=setup:holdconn\r\n", true, func(*Stream) {}},
		{"6135, section 4.4: connection is to be ignored", "a=connection:existing\r\n", true, func(*Stream) {}},
		{"6714, section 5", "a=msrp-cema\r\n", true, func(s *Stream) { s.CEMA = true }},
		{"7701, section 8: no features", "a=chatroom\r\n", true, func(s *Stream) { s.Chatroom = []string{} }},
		{"7701, section 8: known ones, and another", "a=chatroom:nickname private-messages x.y\r\n", true, func(s *Stream) { s.Chatroom = []string{"nickname", "private-messages", "x.y"} }},
		{"7701, section 8: on several lines", "a=chatroom:nickname\r\na=chatroom:private-messages\r\n", true, func(s *Stream) { s.Chatroom = []string{"nickname", "private-messages"} }},
		{"8866, section 5.13: unknown ones are kept", "a=x-new:1\r\na=file-size:7\r\n", true, func(s *Stream) {
			s.Attributes = []Attribute{{"x-new", "1"}, {"file-size", "7"}}
		}},
		{"5547, section 8.5: only a capability", "a=file-selector\r\n", true, func(s *Stream) { s.File = &FileTransfer{Selector: FileSelector{Size: -1}} }},
		{"5547, section 6: a bad selector", "a=file-selector:size:-1\r\n", false, nil},
		{"5547, section 6: a bad range", "a=file-selector:size:1\r\na=file-range:0-1\r\n", false, nil},
		{"4975, section 8.2: a bad path", "a=path:msrp://x\r\n", false, nil},
	} {
		t.Run("RFC "+c.rfc, func(t *testing.T) {
			if strings.Contains(c.rfc, "holdconn") || strings.Contains(c.rfc, "connection") {
				proves(t, "D-13")
			}
			got, err := parse(t, description("", c.media)).Stream(0)
			if !c.valid {
				assert.Error(t, err)
				return
			}
			require.NoError(t, err)
			want := Stream{Path: path(t, "msrp://alice.example.com:2855/s;tcp"), AcceptTypes: []string{"*"}}
			c.want(&want)
			assert.Equal(t, want, got)
			m := got.Media()
			again, err := m.Stream()
			require.NoError(t, err)
			assert.Equal(t, got, again)
		})
	}
}

// RFC 3264, section 6.1: the answer takes no more than is offered, and offers
// no more than is taken.
func TestDirections(t *testing.T) {
	for _, c := range []struct{ offered, own, answered Direction }{
		{"", "", ""}, {"", SendRecv, ""}, {SendRecv, "", SendRecv}, {"", SendOnly, SendOnly}, {SendRecv, RecvOnly, RecvOnly}, {"", Inactive, Inactive},
		{SendOnly, "", RecvOnly}, {SendOnly, SendRecv, RecvOnly}, {SendOnly, RecvOnly, RecvOnly}, {SendOnly, SendOnly, Inactive}, {SendOnly, Inactive, Inactive},
		{RecvOnly, "", SendOnly}, {RecvOnly, SendOnly, SendOnly}, {RecvOnly, RecvOnly, Inactive}, {RecvOnly, Inactive, Inactive},
		{Inactive, "", Inactive}, {Inactive, SendOnly, Inactive}, {Inactive, RecvOnly, Inactive}, {Inactive, SendRecv, Inactive},
	} {
		t.Run(string(c.offered)+" to "+string(c.own), func(t *testing.T) {
			theirs, ours := bob(t, false), bob(t, false)
			theirs.Direction, ours.Direction = c.offered, c.own
			offer := Offer("alice", 1, theirs)
			answer, agreed, err := Answer("bob", 1, offer, ours)
			require.NoError(t, err)
			read, err := answer.Stream(0)
			require.NoError(t, err)
			assert.Equal(t, c.answered, read.Direction)
			assert.Equal(t, c.answered, agreed.Direction)
			concluded, err := Conclude(offer, answer, 0)
			require.NoError(t, err)
			assert.Equal(t, agreed.Direction.Sends(), concluded.Direction.Receives())
			assert.Equal(t, agreed.Direction.Receives(), concluded.Direction.Sends())
		})
	}
	// RFC 4975, section 8.9, from the side that says it.
	for d, want := range map[Direction][2]bool{"": {true, true}, SendRecv: {true, true}, SendOnly: {true, false}, RecvOnly: {false, true}, Inactive: {false, false}} {
		assert.Equal(t, want, [2]bool{d.Sends(), d.Receives()}, d)
		assert.Equal(t, want, [2]bool{d.Reverse().Receives(), d.Reverse().Sends()}, d)
	}
}

// RFC 4975, section 8.6.
func TestTypes(t *testing.T) {
	proves(t, "D-10")
	for _, c := range []struct {
		accept, wrapped, contentType string
		bare, inCPIM                 bool
	}{
		{"text/plain", "", "text/plain", true, false},
		{"text/plain", "", "TEXT/Plain;charset=utf-8", true, false},
		{"text/plain;charset=utf-8", "", "text/plain; charset=latin-1", true, false},
		{"text/*", "", "text/html", true, false},
		{"text/*", "", "image/png", false, false},
		{"text/*", "", "text", false, false},
		{"*", "", "image/png", true, true},
		{"message/cpim", "text/plain", "text/plain", false, true},
		{"message/cpim", "*", "image/png", false, true},
		{"message/cpim text/plain", "", "text/plain", true, true},
		{"message/CPIM", "text/*", "text/plain;x=y", false, true},
		{"text/plain", "image/png", "image/png", false, false}, // no container
		{"message/cpim", "", "text/plain", false, false},
	} {
		s := Stream{AcceptTypes: strings.Fields(c.accept), AcceptWrappedTypes: strings.Fields(c.wrapped)}
		bare, wrapped := s.Takes(c.contentType)
		assert.Equal(t, [2]bool{c.bare, c.inCPIM}, [2]bool{bare, wrapped}, "%+v", c)
	}
	for _, c := range []struct {
		a, b   string
		common bool
	}{
		{"text/plain", "image/png text/plain", true}, {"text/plain;charset=utf-8", "Text/Plain", true}, {"*", "x/y", true}, {"x/y", "*", true},
		{"*", "*", true}, {"text/*", "text/html", true}, {"text/*", "text/*", true}, {"text/html", "text/*", true},
		{"text/plain", "text/html", false}, {"text/*", "image/*", false}, {"", "*", false}, {"message/cpim", "text/plain", false},
	} {
		assert.Equal(t, c.common, Common(strings.Fields(c.a), strings.Fields(c.b)), "%+v", c)
	}
}

// RFC 4975, section 8.1: c= and m= are those of the path. RFC 6714, section 4:
// where they are not, something is in between.
func TestAnchors(t *testing.T) {
	const one, two = "msrp://alice.example.com:2855/s;tcp", "msrp://relay.example.com:2856/t;tcp msrp://192.0.2.1:2855/s;tcp"
	for name, c := range map[string]struct {
		path, c, port string
		anchor        Address
	}{
		"the same":                               {one, "IN IP4 alice.example.com", "2855", Address{}},
		"the same in capitals":                   {one, "IN IP4 ALICE.example.com", "2855", Address{}},
		"the own URI behind a relay":             {two, "IN IP4 192.0.2.1", "2855", Address{}},
		"the relay":                              {two, "IN IP4 relay.example.com", "2856", Address{}},
		"host of one and port of the other":      {two, "IN IP4 relay.example.com", "2855", Address{"relay.example.com", 2855}},
		"another host":                           {one, "IN IP4 sbc.example.com", "2855", Address{"sbc.example.com", 2855}},
		"another port":                           {one, "IN IP4 alice.example.com", "2857", Address{"alice.example.com", 2857}},
		"IPv6 written in another way":            {"msrp://[2001:DB8::1]:2855/s;tcp", "IN IP6 2001:db8:0:0::1", "2855", Address{}},
		"another IPv6 address":                   {one, "IN IP6 2001:db8::2", "2855", Address{"2001:db8::2", 2855}},
		"with a TTL":                             {"msrp://192.0.2.1:2855/s;tcp", "IN IP4 192.0.2.1/127", "2855", Address{}},
		"no c= line that can be read":            {one, "IN IP4", "2855", Address{}},
		"nowhere, as in old holds":               {one, "IN IP4 0.0.0.0", "2855", Address{}},
		"port 9 of the active (RFC 6135, 4.2.2)": {one, "IN IP4 sbc.example.com", "9", Address{}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, session := range []bool{true, false} {
				line := "c=" + c.c + "\r\n"
				m := "m=message " + c.port + " TCP/MSRP *\r\n"
				if session {
					m = line + m
				} else {
					m = "c=IN IP4 elsewhere.example.com\r\n" + m + line
					if c.c == "IN IP4" {
						continue // then that of the session counts
					}
				}
				s, err := parse(t, "v=0\r\n"+m+"a=accept-types:*\r\na=path:"+c.path+"\r\n").Stream(0)
				require.NoError(t, err)
				assert.Equal(t, c.anchor, s.Anchor)
				again, err := Offer("", 1, s).Stream(0)
				require.NoError(t, err)
				assert.Equal(t, c.anchor, again.Anchor)
			}
		})
	}
}

// RFC 6714, section 4: addresses are to be compared, not names.
func TestResolve(t *testing.T) {
	lookup := func(host string) []string {
		return map[string][]string{"alice.example.com": {"192.0.2.1", "2001:db8::1"}, "sbc.example.com": {"192.0.2.99"}, "www.example.com": {"192.0.2.1"}}[host]
	}
	for host, same := range map[string]bool{"192.0.2.1": true, "2001:DB8:0::1": true, "www.example.com": true, "192.0.2.99": false, "sbc.example.com": false, "nobody.example.com": false} {
		d := parse(t, strings.Replace(description("", ""), "c=IN IP4 alice.example.com", "c=IN IP6 "+host, 1))
		s, err := d.Stream(0)
		require.NoError(t, err)
		assert.Equal(t, Address{host, 2855}, s.Anchor)
		d.Resolve(lookup)
		s, err = d.Stream(0)
		require.NoError(t, err)
		assert.Equal(t, same, s.Anchor == Address{}, host)
	}
}

// What an own stream lacks before it can be offered.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		valid  bool
		adjust func(*Stream)
	}{
		"RFC 4975, section 8":                   {true, func(*Stream) {}},
		"RFC 6135, section 4.2.2: port 9":       {true, func(s *Stream) { s.Path, s.Setup = path(t, "msrp://192.0.2.1:9/s;tcp"), Active }},
		"RFC 4975, section 8.2: no path":        {false, func(s *Stream) { s.Path = nil }},
		"RFC 4975, section 8.2: no port":        {false, func(s *Stream) { s.Path = path(t, "msrp://alice.example.com/s;tcp") }},
		"RFC 4975, section 8.6: no types":       {false, func(s *Stream) { s.AcceptTypes = nil }},
		"RFC 5547, section 8.2.1: push":         {true, func(s *Stream) { s.Direction, s.File = SendOnly, minutes() }},
		"RFC 5547, section 8.2.2: pull":         {true, func(s *Stream) { s.Direction, s.File = RecvOnly, minutes() }},
		"RFC 5547, section 8.2.2: pull by hash": {true, func(s *Stream) { s.Direction, s.File = RecvOnly, minutes(); s.File.Selector.Name = "" }},
		"RFC 5547, section 8.2: both ways":      {false, func(s *Stream) { s.File = minutes() }},
		"RFC 5547, section 8.2: inactive":       {false, func(s *Stream) { s.Direction, s.File = Inactive, minutes() }},
		"RFC 5547, section 8.1: no transfer ID": {false, func(s *Stream) { s.Direction, s.File = SendOnly, minutes(); s.File.ID = "" }},
		"RFC 5547, section 6: no selector":      {false, func(s *Stream) { s.Direction, s.File = RecvOnly, minutes(); s.File.Selector = FileSelector{Size: -1} }},
		"RFC 5547, section 8.2.1: name alone": {false, func(s *Stream) {
			s.Direction, s.File = SendOnly, minutes()
			s.File.Selector = FileSelector{Name: "x", Size: -1}
		}},
		"RFC 5547, section 8.2.2: pull by name": {true, func(s *Stream) {
			s.Direction, s.File = RecvOnly, minutes()
			s.File.Selector = FileSelector{Name: "x", Size: -1}
		}},
		"RFC 5547, section 6: SHA-256 without 1": {false, func(s *Stream) {
			s.Direction, s.File = SendOnly, minutes()
			s.File.Selector.Hashes[0] = NewHash("sha-256", make([]byte, 32))
		}},
		"RFC 5547, section 6: SHA-256 beside it": {true, func(s *Stream) {
			s.Direction, s.File = SendOnly, minutes()
			s.File.Selector.Hashes = append(s.File.Selector.Hashes, NewHash("sha-256", make([]byte, 32)))
		}},
		"RFC 5547, section 6: SHA-256 before it": {false, func(s *Stream) {
			s.Direction, s.File = SendOnly, minutes()
			s.File.Selector.Hashes = []Hash{NewHash("sha-256", make([]byte, 32)), aliceHash}
		}},
		"RFC 5547, section 6: a range":         {true, func(s *Stream) { s.Direction, s.File = SendOnly, minutes(); s.File.Range = FileRange{18231, 18231} }},
		"RFC 5547, section 6: beyond the end":  {false, func(s *Stream) { s.Direction, s.File = SendOnly, minutes(); s.File.Range = FileRange{18231, 18232} }},
		"RFC 5547, section 6: begins after it": {false, func(s *Stream) { s.Direction, s.File = SendOnly, minutes(); s.File.Range = FileRange{18232, -1} }},
		"RFC 5547, section 6: backwards":       {false, func(s *Stream) { s.Direction, s.File = SendOnly, minutes(); s.File.Range = FileRange{7, 6} }},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "RFC 4975, section 8") {
				proves(t, "D-02")
			}
			s := bob(t, false)
			c.adjust(&s)
			err := s.Check()
			assert.Equal(t, c.valid, err == nil, "%v", err)
		})
	}
}

// minutes is a file to be transferred.
func minutes() *FileTransfer {
	return &FileTransfer{Selector: FileSelector{"minutes.odt", "application/vnd.oasis.opendocument.text", 18231, []Hash{aliceHash}}, ID: "n5Eq2Lw8"}
}
