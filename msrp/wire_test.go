package msrp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// proves names the requirements that a test proves.
func proves(t *testing.T, ids ...string) {
	for _, id := range ids {
		t.Attr("requirement", id)
	}
}

// everySplit gives read the input whole, octet by octet, and in every two
// parts.
func everySplit(input []byte, read func(io.Reader)) {
	read(bytes.NewReader(input))
	read(iotest.OneByteReader(bytes.NewReader(input)))
	read(iotest.DataErrReader(bytes.NewReader(input)))
	for i := 1; i < len(input); i++ {
		read(io.MultiReader(bytes.NewReader(input[:i]), bytes.NewReader(input[i:])))
	}
}

// Parts of requests.
const (
	paths    = "To-Path: " + rawOwnURI + "\r\nFrom-Path: " + rawPeerURI + "\r\n"
	sendTID1 = "MSRP tid1 SEND\r\n"
	anID     = "Message-ID: m3ss\r\n"
	aType    = "Content-Type: text/plain\r\n"
	endTID1  = "-------tid1$\r\n"
	aBody    = "\r\nhi\r\n"
)

// What is read from the wire, in every split.
func TestWire(t *testing.T) {
	const valid, bad, dropped, fatal = "", "400", "drop", "fatal"
	field := func(name, value string) string { // one unit with that field
		return sendTID1 + paths + anID + name + ": " + value + "\r\n" + endTID1
	}
	start := func(line string) string { return line + "\r\n" + paths + endTID1 }
	type result = readUnit
	var (
		body = func(want string) func(*testing.T, result) {
			return func(t *testing.T, u result) {
				if assert.NotNil(t, u.body) {
					assert.Equal(t, fmt.Sprintf("%x", want), *u.body)
				}
			}
		}
		bodiless = func(t *testing.T, u result) { assert.Nil(t, u.body) }
		is       = func(name, value string) func(*testing.T, result) {
			return func(t *testing.T, u result) {
				assert.Contains(t, u.header, [2]string{strings.ToLower(name), value})
			}
		}
		comment = func(want string) func(*testing.T, result) {
			return func(t *testing.T, u result) { assert.Equal(t, want, u.comment) }
		}
		code = func(want int) func(*testing.T, result) {
			return func(t *testing.T, u result) { assert.Equal(t, want, u.code) }
		}
	)
	for _, c := range []struct {
		ids, name, input, want string
		check                  func(*testing.T, result) // may be nil
	}{
		{"W-01", "RFC 4975, section 9: a method", start("MSRP tid1 NOTHING"), valid, nil},
		{"W-01", "RFC 4975, section 9: a response", start("MSRP tid1 200 OK"), valid, code(200)},
		{"W-01 W-42", "RFC 4975, section 9: a response without a comment", start("MSRP tid1 481"), valid, code(481)},
		{"W-01 W-26", "RFC 4975, section 9: the protocol in lower case", start("msrp tid1 SEND"), fatal, nil},
		{"W-01 W-26", "RFC 4975, section 9: another protocol", start("SIP/2.0 200 OK"), fatal, nil},
		{"W-01 W-26", "RFC 4975, section 9: two blanks", start("MSRP  tid1 SEND"), fatal, nil},
		{"W-01 W-26", "RFC 4975, section 9: two blanks before the method", start("MSRP tid1  SEND"), fatal, nil},
		{"W-01 W-26", "RFC 4975, section 9: a blank after the method", start("MSRP tid1 SEND "), fatal, nil},
		{"W-01 W-26", "RFC 4975, section 9: a method in lower case", start("MSRP tid1 send"), fatal, nil},
		{"W-01 W-26", "RFC 4975, section 9: a method with an underscore", start("MSRP tid1 FILE_OFFSET"), fatal, nil},
		{"W-01 W-26", "RFC 4975, section 9: no method", start("MSRP tid1"), fatal, nil},
		{"W-01 W-26", "RFC 4975, section 9: two digits", start("MSRP tid1 20 OK"), fatal, nil},
		{"W-01 W-26", "RFC 4975, section 9: four digits", start("MSRP tid1 2000 OK"), fatal, nil},
		{"W-01 W-26", "RFC 4975, section 9: a start line that ends in LF", "MSRP tid1 SEND\n" + paths + endTID1, fatal, nil},
		{"W-26 W-30", "RFC 4975, section 9: a control character in a comment", start("MSRP tid1 200 O\x01K"), fatal, nil},

		{"W-02", "RFC 4975, section 9: a transaction ID of 32 of all characters", "MSRP Ab.-+%=9Zb.-+%=9Zb.-+%=9Z0123456 AUTH\r\n" + paths + "-------Ab.-+%=9Zb.-+%=9Zb.-+%=9Z0123456$\r\n", valid, nil},
		{"W-02 W-26", "RFC 4975, section 9: one of 3", "MSRP tid SEND\r\n" + paths + "-------tid$\r\n", fatal, nil},
		{"W-02 W-26", "RFC 4975, section 9: one of 33", "MSRP " + strings.Repeat("t", 33) + " SEND\r\n" + paths, fatal, nil},
		{"W-02 W-26", "RFC 4975, section 9: one that begins with a dot", "MSRP .tid1 SEND\r\n" + paths, fatal, nil},
		{"W-02 W-26", "RFC 4975, section 9: one with an underscore", "MSRP t_d1 SEND\r\n" + paths, fatal, nil},
		{"W-02 W-26", "RFC 4975, section 9: one with a slash", "MSRP t/d1 SEND\r\n" + paths, fatal, nil},

		{"W-04 W-28", "RFC 4975, section 9: From-Path first", sendTID1 + "From-Path: " + rawPeerURI + "\r\nTo-Path: " + rawOwnURI + "\r\n" + anID + endTID1, bad, nil},
		{"W-04 W-28", "RFC 4975, section 9: another field first", sendTID1 + anID + paths + endTID1, bad, nil},
		{"W-04 W-28", "RFC 4975, section 9: another field between the paths", sendTID1 + "To-Path: " + rawOwnURI + "\r\n" + anID + "From-Path: " + rawPeerURI + "\r\n" + endTID1, bad, nil},

		{"W-05", "RFC 4976, section 3: no folding", field("X-Long", "one\r\n two"), bad, nil},
		{"W-05", "RFC 4976, section 3: no folding with a tab", field("X-Long", "one\r\n\ttwo"), bad, nil},
		{"W-05", "RFC 4975, section 9: a line without a colon", sendTID1 + paths + anID + "nothing\r\n" + endTID1, bad, nil},
		{"W-05", "RFC 4975, section 9: a blank before the colon", field("X-A ", "1"), bad, nil},
		{"W-05", "RFC 4975, section 9: a name that begins with a digit", field("1X", "1"), bad, nil},
		{"W-06", "RFC 4975, section 9: no blank after the colon", sendTID1 + paths + "Message-ID:m3ss\r\n" + endTID1, valid, is("Message-ID", "m3ss")},
		{"W-06", "RFC 7977, section 8.2.3: blanks around the value", sendTID1 + paths + "Message-ID: \t m3ss \t\r\n" + endTID1, valid, is("Message-ID", "m3ss")},
		{"W-06", "RFC 4975, section 9: blanks within the value", field("X-A", "1  2"), valid, is("X-A", "1  2")},
		{"W-07", "RFC 4975, section 9: names in any case", sendTID1 + "TO-PATH: " + rawOwnURI + "\r\nfrom-path: " + rawPeerURI + "\r\nMESSAGE-id: m3ss\r\n" + endTID1, valid, is("Message-ID", "m3ss")},
		{"W-08", "RFC 4975, section 12: unknown fields", field("X-New.Field~", "any: thing; at=all"), valid, is("X-New.Field~", "any: thing; at=all")},
		{"W-08", "RFC 4975, section 12: an unknown field twice", sendTID1 + paths + anID + "X-A: 1\r\nX-A: 2\r\n" + endTID1, valid, is("X-A", "2")},
		{"W-09", "RFC 4975, section 7.1: Content-Type before other fields", sendTID1 + paths + aType + anID + aBody + endTID1, valid, body("hi")},

		{"W-10 W-28", "RFC 4975, section 7.1: a body without Content-Type", sendTID1 + paths + anID + aBody + endTID1, bad, nil},
		{"W-10 W-28", "RFC 4975, section 7.1: Content-Type without a body", sendTID1 + paths + anID + aType + endTID1, bad, nil},
		{"W-10 W-28", "RFC 4975, section 7.1: another MIME field without a body", field("Content-Disposition", "inline"), bad, nil},
		{"W-10 W-28", "RFC 4975, section 7.1: an unknown MIME field without a body", field("Content-Language", "de"), bad, nil},
		{"W-11", "RFC 4975, section 7.1.1: all octets in a body", sendTID1 + paths + anID + aType + "\r\n" + allOctets + "\r\n" + endTID1, valid, body(allOctets)},
		{"W-12 W-14", "RFC 4975, section 7.1: the end-line directly after the last header field of a request without a body", sendTID1 + paths + anID + endTID1, valid, bodiless},
		{"W-14 W-13", "RFC 4975, section 7.1: an empty body", sendTID1 + paths + anID + aType + "\r\n\r\n" + endTID1, valid, body("")},
		{"W-15", "RFC 4975, section 7.1: an empty body without its CRLF", sendTID1 + paths + anID + aType + "\r\n" + endTID1, valid, body("")},
		{"W-13", "RFC 4975, section 7.1: a body that is one CRLF", sendTID1 + paths + anID + aType + "\r\n\r\n\r\n" + endTID1, valid, body("\r\n")},
		{"W-13", "RFC 4975, section 7.1: a body that begins and ends with CRLF", sendTID1 + paths + anID + aType + "\r\n\r\nhi\r\n\r\n" + endTID1, valid, body("\r\nhi\r\n")},
		{"W-16 W-19", "RFC 4975, section 7.1: six hyphens, eight, another case, another flag, no CRLF", sendTID1 + paths + anID + aType + "\r\n" + lookAlikes + "\r\n" + endTID1, valid, body(lookAlikes)},
		{"W-19", "RFC 4975, section 7.1: the end-line behind a bare LF", sendTID1 + paths + anID + aType + "\r\nhi\n" + endTID1 + "\r\n" + endTID1, valid, body("hi\n-------tid1$\r\n")},
		{"W-19", "RFC 4975, section 7.1: the end-line behind two CRs", sendTID1 + paths + anID + aType + "\r\nhi\r\r\n" + endTID1, valid, body("hi\r")},
		{"W-20", "RFC 4975, section 7.1: an MSRP request as the body", sendTID1 + paths + anID + aType + "\r\nMSRP tid2 SEND\r\n" + paths + anID + "-------tid2$\r\n\r\n" + endTID1, valid, body("MSRP tid2 SEND\r\n" + paths + anID + "-------tid2$\r\n")},
		{"W-20", "RFC 4975, section 7.1: an end-line whose ID begins with this one", sendTID1 + paths + anID + aType + "\r\n\r\n-------tid12$\r\n\r\n" + endTID1, valid, body("\r\n-------tid12$\r\n")},

		{"W-20", "RFC 4975, section 7.1: the end-line of another transaction first of all", sendTID1 + paths + anID + aType + "\r\n-------tid2$\r\n\r\n" + endTID1, valid, body("-------tid2$\r\n")},
		{"W-20", "RFC 4975, section 7.1: the end-line of another transaction in the header", sendTID1 + paths + anID + "-------tid2$\r\n" + endTID1, bad, bodiless},

		{"W-27", "RFC 4975, section 7.1: no To-Path", sendTID1 + "From-Path: " + rawPeerURI + "\r\n" + anID + endTID1, dropped, nil},
		{"W-27", "RFC 4975, section 7.1: no From-Path", sendTID1 + "To-Path: " + rawOwnURI + "\r\n" + anID + endTID1, dropped, nil},
		{"W-27", "RFC 4975, section 7.1: neither", sendTID1 + anID + endTID1, dropped, nil},
		{"W-27", "RFC 4975, section 7.1: an empty path", sendTID1 + "To-Path: " + rawOwnURI + "\r\nFrom-Path: \r\n" + anID + endTID1, dropped, nil},
		{"W-27", "RFC 4975, section 6: a path of another scheme", sendTID1 + "To-Path: " + rawOwnURI + "\r\nFrom-Path: sip:alice@example.com\r\n" + anID + endTID1, dropped, nil},
		{"W-27 W-31", "RFC 4975, section 6: a URI that is not ASCII", sendTID1 + "To-Path: msrp://bücher.example.com:2855/s;tcp\r\nFrom-Path: " + rawPeerURI + "\r\n" + anID + endTID1, dropped, nil},
		{"W-28", "RFC 4975, section 7.1.1: SEND without Message-ID", sendTID1 + paths + endTID1, bad, nil},
		{"W-28", "RFC 4975, section 7.1.2: REPORT without Status", "MSRP tid1 REPORT\r\n" + paths + anID + endTID1, bad, nil},
		{"W-28", "RFC 4975, section 7.1.2: REPORT without Message-ID", "MSRP tid1 REPORT\r\n" + paths + "Status: 000 200 OK\r\n" + endTID1, bad, nil},
		{"W-31", "RFC 4975, section 9: UTF-8 in a comment", start("MSRP tid1 403 interdit à Zoé"), valid, comment("interdit à Zoé")},
		{"W-31", "RFC 4975, section 9: UTF-8 in an extension", field("X-Note", "Grüße, 世界 ☃"), valid, is("X-Note", "Grüße, 世界 ☃")},
		{"W-31", "RFC 4975, section 9: UTF-8 in a quoted string", sendTID1 + paths + anID + "Content-Type: text/plain;name=\"Grüße\"\r\n" + aBody + endTID1, valid, is("Content-Type", `text/plain;name="Grüße"`)},
		{"W-31", "RFC 4975, section 9: what is no UTF-8", field("X-Note", "\xff\xc3"), valid, is("X-Note", "\xff\xc3")},

		{"W-32", "RFC 4975, section 7.1.1: a range", field("Byte-Range", "1-6/6"), valid, is("Byte-Range", "1-6/6")},
		{"W-32", "RFC 4975, section 7.1.1: open ends", field("Byte-Range", "1025-*/*"), valid, nil},
		{"W-38", "RFC 4975, section 7.1.1: Failure-Report yes", field("Failure-Report", "YES"), valid, nil},
		{"W-38", "RFC 4975, section 7.1.1: Failure-Report partial", field("Failure-Report", "partial"), valid, nil},
		{"W-38", "RFC 4975, section 7.1.1: another Failure-Report", field("Failure-Report", "maybe"), bad, nil},
		{"W-38", "RFC 4975, section 7.1.1: an empty Failure-Report", field("Failure-Report", ""), bad, nil},
		{"W-38", "RFC 4975, section 7.1.1: Success-Report no", field("Success-Report", "No"), valid, nil},
		{"W-38", "RFC 4975, section 7.1.1: Success-Report is never partial", field("Success-Report", "partial"), bad, nil},
		{"W-39", "RFC 4975, section 7.1.2: a status without its namespace", "MSRP tid1 REPORT\r\n" + paths + anID + "Status: 200 OK\r\n" + endTID1, bad, nil},
		{"W-40", "RFC 4975, section 9: a Message-ID of 128", sendTID1 + paths + "Message-ID: " + strings.Repeat("<", 128) + "\r\n" + endTID1, valid, is("Message-ID", strings.Repeat("<", 128))},
		{"W-40", "RFC 4975, section 9: a Message-ID of 129", sendTID1 + paths + "Message-ID: " + strings.Repeat("m", 129) + "\r\n" + endTID1, bad, nil},
		{"W-40", "RFC 4975, section 9: an empty Message-ID", sendTID1 + paths + "Message-ID: \r\n" + endTID1, bad, nil},
		{"W-40", "RFC 4975, section 9: a Message-ID of two words", sendTID1 + paths + "Message-ID: m3 ss\r\n" + endTID1, bad, nil},
		{"W-41 W-24", "RFC 4975, section 9: a response with a body", "MSRP tid1 200 OK\r\n" + paths + aType + aBody + endTID1, dropped, nil},
		{"W-41", "RFC 4976, section 6.4.3: a response with a broken header", "MSRP tid1 200 OK\r\n" + paths + "nothing\r\n" + endTID1, dropped, nil},
		{"W-41", "RFC 4976, section 6.4.3: a response without paths", "MSRP tid1 200 OK\r\n" + endTID1, dropped, nil},
		{"W-42", "RFC 4976, section 3: a response with fields of its request", "MSRP tid1 200 OK\r\n" + paths + anID + "Byte-Range: 1-2048/4385\r\nX-A: 1\r\n" + endTID1, valid, code(200)},

		{"W-44", "RFC 4976, section 8: To-Path of AUTH without a port", "MSRP tid1 AUTH\r\nTo-Path: msrps://relay.example.com;tcp\r\nFrom-Path: " + rawPeerURI + "\r\n" + endTID1, valid, nil},
		{"W-44", "RFC 4976, section 8: From-Path of AUTH without a port", "MSRP tid1 AUTH\r\nTo-Path: msrps://relay.example.com;tcp\r\nFrom-Path: msrp://alice.example.com/s;tcp\r\n" + endTID1, bad, nil},
		{"W-44", "RFC 4976, section 8: To-Path of SEND without a port", sendTID1 + "To-Path: msrp://bob.example.com/s;tcp\r\nFrom-Path: " + rawPeerURI + "\r\n" + anID + endTID1, bad, nil},
		{"W-44", "RFC 4976, section 8: one of several in From-Path without a port", sendTID1 + "To-Path: " + rawOwnURI + "\r\nFrom-Path: " + rawPeerURI + " msrp://relay.example.com/s;tcp\r\n" + anID + endTID1, bad, nil},
		{"W-46", "RFC 7977, section 5.2.2: a transport nobody knows", sendTID1 + "To-Path: " + rawOwnURI + "\r\nFrom-Path: " + rawPeerURI + " msrps://c.example.com:9/s;carrierpigeon\r\n" + anID + endTID1, valid, is("From-Path", rawPeerURI+" msrps://c.example.com:9/s;carrierpigeon")},
	} {
		t.Run(c.name, func(t *testing.T) {
			proves(t, strings.Fields(c.ids)...)
			everySplit([]byte(c.input), func(r io.Reader) {
				units, err := readStream(r)
				if c.want == fatal {
					var syntax *SyntaxError
					require.ErrorAs(t, err, &syntax)
					require.True(t, syntax.Fatal)
					require.Empty(t, units)
					return
				}
				require.Equal(t, io.EOF, err)
				require.Len(t, units, 1)
				require.Equal(t, c.want, units[0].invalid)
				if c.check != nil {
					c.check(t, units[0])
				}
			})
			// RFC 7977, section 5.1: the same as a message of its own.
			u, err := new(Reader).Parse([]byte(c.input))
			if c.want == fatal {
				assert.Error(t, err)
				return
			}
			require.NoError(t, err)
			got, err := readAll(u)
			require.NoError(t, err)
			units, _ := readStream(strings.NewReader(c.input))
			assert.Equal(t, units[0], got)
		})
	}

	t.Run("RFC 4975, section 9: fields that occur once", func(t *testing.T) {
		proves(t, "W-29", "W-28")
		values := map[string]string{
			"To-Path": rawOwnURI, "From-Path": rawPeerURI, "Message-ID": "m3ss", "Byte-Range": "1-2/2", "Success-Report": "yes", "Failure-Report": "no",
			"Status": "000 200 OK", "Content-Type": "text/plain", "Content-ID": "<x>", "Content-Description": "x", "Content-Disposition": "inline",
			"Expires": "1", "Min-Expires": "1", "Max-Expires": "1", "Use-Path": rawPeerURI, "Authorization": "Digest", "Authentication-Info": "x", "Use-Nickname": `"x"`,
		}
		for name, value := range values {
			once := name + ": " + value + "\r\n"
			head := sendTID1 + paths
			for _, line := range []string{anID, aType} {
				if line != once {
					head += line
				}
			}
			twice := strings.ToUpper(name) + ": " + value + "\r\n"
			if name == "To-Path" || name == "From-Path" {
				once = ""
			}
			for input, want := range map[string]string{
				head + once + aBody + endTID1:         valid,
				head + once + twice + aBody + endTID1: bad,
			} {
				units, err := readStream(strings.NewReader(input))
				require.Equal(t, io.EOF, err)
				require.Len(t, units, 1)
				assert.Equal(t, want, units[0].invalid, name)
			}
		}
		assert.Len(t, values, len(knownFields)-1) // a 401 may have several WWW-Authenticate
		units, err := readStream(strings.NewReader("MSRP tid1 401 Unauthorized\r\n" + paths + "WWW-Authenticate: Digest a\r\nWWW-Authenticate: Digest b\r\n" + endTID1))
		require.Equal(t, io.EOF, err)
		assert.Empty(t, units[0].invalid)
	})
	t.Run("RFC 4975, section 9: no control characters", func(t *testing.T) {
		proves(t, "W-30")
		for c := range 0x100 {
			if c == '\t' {
				continue // is no control character there
			}
			want := valid
			if c < ' ' || c == 0x7f {
				want = bad
			}
			for _, place := range []string{"X-A: a%cb", "X-A: %cb", "X-A: a%c", "Content-Type: text/plain;a=\"%cb\""} {
				line := strings.Replace(place, "%c", string([]byte{byte(c)}), 1)
				input := sendTID1 + paths + anID + aType + line + "\r\n" + aBody + endTID1
				if strings.HasPrefix(line, "Content") {
					input = sendTID1 + paths + anID + line + "\r\n" + aBody + endTID1
				}
				for _, size := range []int{1, len(input)} {
					units, err := readStream(&inPieces{input, size})
					require.Equal(t, io.EOF, err)
					require.Len(t, units, 1)
					require.Equal(t, want, units[0].invalid, "%q", line)
				}
			}
		}
	})
}

// allOctets is what no text could carry.
var allOctets = func() string {
	var b []byte
	for i := range 256 {
		b = append(b, byte(i))
	}
	return string(b)
}()

// lookAlikes are no end-lines of tid1.
const lookAlikes = "\r\n------tid1$\r\n--------tid1$\r\n-------TID1$\r\n-------tid1!\r\n-------tid1\r\n-------tid1$x\r\n-------tid1$\n-------tid1$\rx -------tid1$\r\n"

// Bounds on both sides of each.
func TestWireLimits(t *testing.T) {
	proves(t, "W-47")
	pad := func(n int) string { return "X-Pad: " + strings.Repeat("x", n-len("X-Pad: ")) + "\r\n" }
	request := func(fields string) string { return sendTID1 + paths + anID + fields + endTID1 }
	comment := func(n int) string {
		return "MSRP tid1 200 " + strings.Repeat("x", n-len("MSRP tid1 200 ")) + "\r\n" + paths + endTID1
	}
	path := func(n int) string {
		return sendTID1 + "To-Path: " + rawOwnURI + "\r\nFrom-Path:" + strings.Repeat(" "+rawPeerURI, n) + "\r\n" + anID + endTID1
	}
	uri := func(n int) string {
		const before, after = "msrp://a.example.com:1/", ";tcp"
		return sendTID1 + "To-Path: " + rawOwnURI + "\r\nFrom-Path: " + before + strings.Repeat("s", n-len(before+after)) + after + "\r\n" + anID + endTID1
	}
	const startAndPaths = len(sendTID1 + paths + anID)
	for name, c := range map[string]struct{ input, want string }{
		"a start line of 1024":            {comment(1024), ""},
		"a start line of 1025":            {comment(1025), "drop"},
		"a header line of 16384":          {request(pad(16384)), ""},
		"a header line of 16385":          {request(pad(16385)), "400"},
		"64 lines":                        {request(strings.Repeat(pad(10), 61)), ""},
		"65 lines":                        {request(strings.Repeat(pad(10), 62)), "400"},
		"a head of 64 KiB":                {request(strings.Repeat(pad(10000), 6) + pad(65536-6*10002-startAndPaths-2)), ""},
		"a head of more":                  {request(strings.Repeat(pad(10000), 6) + pad(65536-6*10002-startAndPaths-1)), "400"},
		"32 URIs":                         {path(32), ""},
		"33 URIs":                         {path(33), "drop"},
		"a URI of 2048":                   {uri(2048), ""},
		"a URI of 2049":                   {uri(2049), "drop"},
		"a start line that does not end":  {"MSRP tid1 200 " + strings.Repeat("x", 1<<20), "end"},
		"a header line that does not end": {sendTID1 + paths + "X-A: " + strings.Repeat("x", 1<<20), "end"},
		"a header that does not end":      {sendTID1 + paths + strings.Repeat(pad(1000), 1000), "end"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 1000, 1 << 20} {
				r := NewReader(&inPieces{c.input, size})
				u, err := r.Next()
				assert.LessOrEqual(t, cap(r.buf), 2*maxBuffer)
				if c.want == "end" {
					assert.Equal(t, io.ErrUnexpectedEOF, err)
					continue
				}
				require.NoError(t, err)
				got, err := readAll(u)
				require.NoError(t, err)
				assert.Equal(t, c.want, got.invalid)
				_, err = r.Next()
				assert.Equal(t, io.EOF, err)
			}
		})
	}
}

// RFC 4975, section 7.1.1.
func TestByteRange(t *testing.T) {
	for s, want := range map[string]ByteRange{
		"1-6/6": {1, 6, 6}, "1-*/*": {1, -1, -1}, "1-*/8": {1, -1, 8}, "5-8/*": {5, 8, -1}, "1-0/0": {1, 0, 0}, "9-8/8": {9, 8, 8}, "9-*/8": {9, -1, 8}, "0001-02/2": {1, 2, 2},
	} {
		t.Run(s, func(t *testing.T) {
			proves(t, "W-32")
			got, err := ParseByteRange(s)
			require.NoError(t, err)
			assert.Equal(t, want, got)
			again, err := ParseByteRange(got.String())
			require.NoError(t, err)
			assert.Equal(t, got, again)
		})
	}
	for _, s := range []string{
		"", "0-5/5", "0-*/*", "1-5", "1/5", "1-/5", "-5/5", "1-5/", "1-5/4", "7-5/10", "7-6/5", "7-*/5", "-1-5/5", "1-5/5/5", "a-b/c", "1 - 5/5", "1-*5/5", "*-5/5", "+1-5/5", "1-5/5x", "1-0x5/5",
		"9223372036854775808-*/*", "99999999999999999999999-*/*", "1-99999999999999999999/*", "1-*/18446744073709551617",
	} {
		t.Run("not "+s, func(t *testing.T) {
			proves(t, "W-34", "W-32")
			_, err := ParseByteRange(s)
			assert.Error(t, err)
			units, err := readStream(strings.NewReader(sendTID1 + paths + anID + "Byte-Range: " + s + "\r\n" + endTID1))
			require.Equal(t, io.EOF, err)
			require.Len(t, units, 1)
			assert.Equal(t, "400", units[0].invalid)
		})
	}
}

// RFC 4975, section 6.
func TestURI(t *testing.T) {
	for _, s := range []string{
		"msrps://alice@intra.example.com;tcp", "msrps://[2001:db8::1]:2855/ab+c=/d;tcp;foo=bar", "msrps://df7jal23ls0d.invalid:2855/98cjs;ws", "msrps://h.example.com:443;ws",
		"msrp://192.0.2.1:1/a;tcp", "MSRP://h:65535/a;TCP", "msrp://h:1/aB0-._~+=/;x9;lr;a=b", "msrp://h%41.example.com:1/a;tcp",
	} {
		t.Run(s, func(t *testing.T) {
			proves(t, "W-43", "W-44")
			u, err := ParseURI(s)
			require.NoError(t, err)
			assert.Equal(t, s, u.String())
		})
	}
	for _, c := range []struct{ ids, s string }{
		{"W-43", "msrp://h:1/a"}, {"W-43", "msrp://h:1/a;"}, {"W-43", "msrp://h:1"}, {"W-43", "msrp://h:1/a;=b"}, {"W-43", "msrp://h:1/a;tc-p"}, {"W-43", "msrp://h:1/a;tcp;"}, {"W-43", "msrp://h:1/a;tcp;x="}, {"W-43", "msrp://h:1/a;tcp x"},
		{"W-43", "msrp://h:1/;tcp"}, {"W-43", "msrp://h:1/as%20df;tcp"}, {"W-43", "msrp://h:1/a b;tcp"}, {"W-43", "msrp://h:1/a?b;tcp"},
		{"W-43", "msrp://u:p@h:1/a;tcp"}, {"W-43", "msrp://2001:db8::1:1/a;tcp"}, {"W-43", "msrp://[2001:db8::1/a;tcp"}, {"W-43", "msrp://[h]:1/a;tcp"}, {"W-43", "msrp://[192.0.2.1]:1/a;tcp"},
		{"W-44", "msrp://192.0.2.1/a;tcp"}, {"W-44", "msrp://[2001:db8::1]/a;tcp"}, {"W-43", "msrp://h:0/a;tcp"}, {"W-43", "msrp://h:65536/a;tcp"}, {"W-43", "msrp://h:/a;tcp"}, {"W-43", "msrp://h:x/a;tcp"}, {"W-43", "msrp://h:-1/a;tcp"},
		{"W-31", "msrp://bücher.example:1/a;tcp"}, {"W-31", "msrp://é@h:1/a;tcp"}, {"W-31", "msrp://h:1/é;tcp"}, {"W-31", "msrp://h:1/a;tcp;x=é"},
		{"W-43", "sip://h:1/a;tcp"}, {"W-43", "msrp:h:1/a;tcp"}, {"W-43", "msrp:///a;tcp"}, {"W-43", "://h:1/a;tcp"}, {"W-43", ""},
	} {
		t.Run("not "+c.s, func(t *testing.T) {
			proves(t, c.ids)
			_, err := ParseURI(c.s)
			assert.Error(t, err)
		})
	}
}

// RFC 4975, section 6.1.
func TestURIEqual(t *testing.T) {
	for _, c := range []struct {
		rule, a, b string
		equal      bool
	}{
		{"1 and 5", "msrp://host.example.com:8493/asfd34;tcp", "MSRP://Host.Example.COM:8493/asfd34;TCP", true},
		{"1", "msrp://h.example.com:1/a;tcp", "msrps://h.example.com:1/a;tcp", false},
		{"2, hosts", "msrps://h.example.com:1/a;tcp", "msrps://i.example.com:1/a;tcp", false},
		{"2, users", "msrps://bob@h.example.com:1/a;tcp", "msrps://h.example.com:1/a;tcp", true},
		{"2, escapes", "msrps://h%6Fst.example.com:1/a;tcp", "msrps://host.example.com:1/a;tcp", true},
		{"2, escapes that mean something", "msrps://h%2Bst.example.com:1/a;tcp", "msrps://h+st.example.com:1/a;tcp", false},
		{"2, IPv6", "msrp://[2001:db8::1]:1/a;tcp", "msrp://[2001:0DB8:0:0:0:0:0:1]:1/a;tcp", true},
		{"2, other IPv6", "msrp://[2001:db8::1]:1/a;tcp", "msrp://[2001:db8::2]:1/a;tcp", false},
		{"2, an address and a name", "msrp://192.0.2.1:1/a;tcp", "msrp://host-with-that-address.example:1/a;tcp", false},
		{"3, one port", "msrp://host.example.com:2855/asfd34;tcp", "msrp://host.example.com/asfd34;tcp", false},
		{"3, no ports", "msrp://host.example.com/asfd34;tcp", "msrp://host.example.com/asfd34;tcp", true},
		{"3, two ports", "msrp://h.example.com:1/a;tcp", "msrp://h.example.com:2/a;tcp", false},
		{"3, ports are numbers", "msrps://h.example.com:01/a;tcp", "msrps://h.example.com:1/a;tcp", true},
		{"4, case", "msrp://host.example.com:8493/asfd34;tcp", "msrp://host.example.com:8493/asFd34;tcp", false},
		{"4, none", "msrps://h.example.com:1;tcp", "msrps://h.example.com:1/a;tcp", false},
		{"4, no path is normalized", "msrps://h.example.com:1/a/b;tcp", "msrps://h.example.com:1/a/./b;tcp", false},
		{"5", "msrps://h.example.com:1/a;tcp", "msrps://h.example.com:1/a;ws", false},
		{"other parameters", "msrps://h.example.com:1/a;tcp;x=1", "msrps://h.example.com:1/a;tcp", true},
	} {
		t.Run("rule "+c.rule, func(t *testing.T) {
			proves(t, "W-45")
			a, err := ParseURI(c.a)
			require.NoError(t, err)
			b, err := ParseURI(c.b)
			require.NoError(t, err)
			assert.Equal(t, c.equal, a.Equal(b))
			assert.Equal(t, c.equal, b.Equal(a))
			assert.True(t, a.Equal(a))
		})
	}
}

// What is written, to the octet.
func TestWritten(t *testing.T) {
	to, err := ParsePath(rawPeerURI + " msrps://c.example.com:9/s;carrierpigeon")
	require.NoError(t, err)
	from, err := ParsePath(rawOwnURI)
	require.NoError(t, err)
	const written = "To-Path: " + rawPeerURI + " msrps://c.example.com:9/s;carrierpigeon\r\nFrom-Path: " + rawOwnURI + "\r\n"
	fields := Header{{"content-type", "text/plain"}, {"Content-Disposition", "inline"}, {"Message-ID", "m3ss"}, {"X-Note", "Grüße"}}
	for _, c := range []struct {
		ids, name string
		unit      Unit
		body      []byte
		want      string
	}{
		{
			"W-01 W-04 W-05 W-12 W-16 W-46", "RFC 4975, section 7.1: a request without a body",
			Unit{Method: MethodSend, Header: fields[2:]}, nil,
			"MSRP tid1 SEND\r\n" + written + "Message-ID: m3ss\r\nX-Note: Grüße\r\n-------tid1$\r\n",
		},
		{
			"W-09 W-13 W-16", "RFC 4975, section 7.1: a body, its fields last and Content-Type at the very end",
			Unit{Method: MethodSend, Header: fields, Flag: FlagInterrupted}, []byte("hi"),
			"MSRP tid1 SEND\r\n" + written + "Message-ID: m3ss\r\nX-Note: Grüße\r\nContent-Disposition: inline\r\ncontent-type: text/plain\r\n\r\nhi\r\n-------tid1+\r\n",
		},
		{
			"W-14 W-16", "RFC 4975, section 7.1: an empty body",
			Unit{Method: MethodSend, Header: fields[:1], Flag: FlagAborted}, []byte{},
			"MSRP tid1 SEND\r\n" + written + "content-type: text/plain\r\n\r\n\r\n-------tid1#\r\n",
		},
		{
			"W-01 W-24", "RFC 4975, section 7.2: a response", Unit{Code: 200, Comment: "Grüße", Flag: FlagInterrupted}, nil,
			"MSRP tid1 200 Grüße\r\n" + written + "-------tid1$\r\n",
		},
		{
			"W-24", "RFC 4975, section 7.1: a request that is not chunked", Unit{Method: MethodReport, Flag: FlagInterrupted}, nil,
			"MSRP tid1 REPORT\r\n" + written + "-------tid1$\r\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			proves(t, strings.Fields(c.ids)...)
			c.unit.TransactionID, c.unit.To, c.unit.From = "tid1", to, from
			require.NoError(t, c.unit.Check())
			assert.Equal(t, c.want, string(c.unit.Append(nil, c.body)))
		})
	}
	t.Run("RFC 4975, section 9: nothing that breaks the grammar", func(t *testing.T) {
		proves(t, "W-05", "W-02", "W-44")
		for name, spoil := range map[string]func(*Unit){
			"a transaction ID that is too short": func(u *Unit) { u.TransactionID = "tid" },
			"a method in lower case":             func(u *Unit) { u.Method = "send" },
			"a comment of two lines":             func(u *Unit) { u.Method, u.Code, u.Comment = "", 200, "a\r\nb" },
			"no code":                            func(u *Unit) { u.Method = "" },
			"no paths":                           func(u *Unit) { u.To = nil },
			"no port":                            func(u *Unit) { u.To = Path{must(ParseURI("msrp://a.example.com/s;tcp"))} },
			"a value of two lines":               func(u *Unit) { u.Header = Header{{"X-A", "1\r\n 2"}} },
			"a value with a bare LF":             func(u *Unit) { u.Header = Header{{"X-A", "1\nX-B: 2"}} },
			"a name with a colon":                func(u *Unit) { u.Header = Header{{"X-A:", "1"}} },
			"no name":                            func(u *Unit) { u.Header = Header{{"", "1"}} },
		} {
			u := Unit{TransactionID: "tid1", Method: MethodSend, To: to, From: from}
			require.NoError(t, u.Check())
			spoil(&u)
			assert.Error(t, u.Check(), name)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// RFC 4975, section 7.1: 64 bits of randomness. Each of 16 places takes each of
// 62 characters, and nothing comes twice.
func TestTransactionIDs(t *testing.T) {
	proves(t, "W-03")
	const n = 20_000
	seen := map[string]bool{}
	var places [16]map[byte]int
	for range n {
		id := NewTransactionID()
		require.Len(t, id, len(places))
		require.True(t, isIdent(id))
		require.False(t, seen[id])
		seen[id] = true
		for i := range id {
			if places[i] == nil {
				places[i] = map[byte]int{}
			}
			places[i][id[i]]++
		}
	}
	for _, place := range places {
		require.Len(t, place, 62)
		for c, count := range place {
			assert.InDelta(t, n/62, count, n/62/2, "%c", c) // nine standard deviations
		}
	}
}

// written takes the chunks that a session has to send, and answers them.
func written(t *testing.T, s *Session) (units []readUnit, wire []string) {
	for {
		octets, r := s.nextChunk(nil)
		if len(octets) == 0 {
			return units, wire
		}
		got, err := readStream(bytes.NewReader(octets))
		require.Equal(t, io.EOF, err)
		require.Len(t, got, 1)
		require.Empty(t, got[0].invalid)
		units, wire = append(units, got[0]), append(wire, string(octets))
		if r.done != nil {
			r.done(&Unit{Code: 200}, nil)
		}
	}
}

// The chunks of a session.
func TestWrittenChunks(t *testing.T) {
	get := func(u readUnit, name string) string {
		for _, f := range u.header {
			if f[0] == strings.ToLower(name) {
				return f[1]
			}
		}
		return ""
	}
	t.Run("RFC 4975, section 7.1: flags", func(t *testing.T) {
		proves(t, "W-17")
		s := unconnected(t, Remote{})
		sendAs(t, s, "m3ss", 20_000)
		units, _ := written(t, s)
		var flags string
		for _, u := range units {
			flags += u.flag
		}
		assert.Equal(t, "++$", flags)
		out := sendAs(t, s, "m3s2", 20_000)
		_, flag, _, _ := next(t, s)
		assert.Equal(t, FlagInterrupted, flag)
		out.Abort()
		units, _ = written(t, s)
		require.Len(t, units, 1)
		assert.Equal(t, "#", units[0].flag)
	})
	t.Run("RFC 4975, section 7.1.1: ranges of what has no octets", func(t *testing.T) {
		proves(t, "W-33", "W-14")
		s := unconnected(t, Remote{})
		for _, m := range []*Message{{ContentType: "text/plain", Body: strings.NewReader("")}, {}} {
			_, err := s.Send(t.Context(), m)
			require.NoError(t, err)
			units, _ := written(t, s)
			require.Len(t, units, 1)
			assert.Equal(t, "1-0/0", get(units[0], "Byte-Range"))
			assert.Equal(t, "$", units[0].flag)
			assert.Equal(t, m.Body != nil, units[0].body != nil)
		}
		greeting, err := readAll(s.bodiless())
		require.NoError(t, err)
		assert.Equal(t, "1-0/0", get(greeting, "Byte-Range"))
	})
	t.Run("RFC 4975, section 7.1: Content-Type is the last field of each chunk with a body", func(t *testing.T) {
		proves(t, "W-09", "W-10", "W-04", "W-11")
		s := unconnected(t, Remote{})
		_, err := s.Send(t.Context(), &Message{
			ContentType: "image/jpeg", Body: strings.NewReader(strings.Repeat(allOctets, 100)), SuccessReport: true,
			Header: Header{{"Content-Description", "x"}, {"X-A", "1"}},
		})
		require.NoError(t, err)
		units, wire := written(t, s)
		assert.Greater(t, len(units), 2)
		body := ""
		for i, u := range units {
			head, _, _ := strings.Cut(wire[i], "\r\n\r\n")
			lines := strings.Split(head, "\r\n")
			assert.Equal(t, "Content-Type: image/jpeg", lines[len(lines)-1])
			assert.Equal(t, "To-Path: "+rawPeerURI, lines[1])
			assert.Equal(t, "From-Path: "+rawOwnURI, lines[2])
			assert.NotContains(t, head, "Transfer-Encoding")
			body += string(unhex(t, *u.body))
		}
		assert.Equal(t, strings.Repeat(allOctets, 100), body)
	})
	t.Run("RFC 4975, section 7.1: what a message cannot say", func(t *testing.T) {
		s := unconnected(t, Remote{})
		text := func() io.Reader { return strings.NewReader("x") }
		for _, c := range []struct {
			ids, name string
			m         Message
		}{
			{"W-10", "a body without a type", Message{Body: text()}},
			{"W-10", "a type without a body", Message{ContentType: "text/plain"}},
			{"W-10", "a MIME field without a body", Message{Header: Header{{"content-disposition", "inline"}}}},
			{"W-11", "a transfer encoding", Message{ContentType: "a/b", Body: text(), Header: Header{{"content-transfer-encoding", "base64"}}}},
			{"W-29", "a second type", Message{ContentType: "a/b", Body: text(), Header: Header{{"content-type", "c/d"}}}},
			{"W-29", "a second Message-ID", Message{Header: Header{{"Message-ID", "m3ss"}}}},
			{"W-29", "a third path", Message{Header: Header{{"to-path", rawPeerURI}}}},
			{"W-29", "two dispositions", Message{ContentType: "a/b", Body: text(), Header: Header{{"Content-Disposition", "x"}, {"content-disposition", "y"}}}},
			{"W-40", "a Message-ID of 3", Message{ID: "m3s"}},
			{"W-40", "a Message-ID of 33", Message{ID: strings.Repeat("m", 33)}},
			{"W-40", "a Message-ID with a slash", Message{ID: "m3ss/"}},
			{"W-05", "a line break", Message{Header: Header{{"X-A", "1\r\nX-B: 2"}}}},
			{"W-05", "a line break in the type", Message{ContentType: "a/b\r\nX-B: 2", Body: text()}},
		} {
			proves(t, c.ids)
			_, err := s.Send(t.Context(), &c.m)
			assert.Error(t, err, c.name)
		}
		units, _ := written(t, s)
		assert.Empty(t, units)
	})
	t.Run("RFC 4975, section 9: Message-IDs", func(t *testing.T) {
		proves(t, "W-40")
		s := unconnected(t, Remote{})
		seen := map[string]bool{}
		for range 100 {
			out, err := s.Send(t.Context(), Text("x"))
			require.NoError(t, err)
			assert.True(t, isIdent(out.ID()))
			seen[out.ID()] = true
		}
		assert.Len(t, seen, 100)
	})
	t.Run("RFC 7977, section 5.2.2: paths pass as they are", func(t *testing.T) {
		proves(t, "W-46")
		s := unconnected(t, Remote{})
		const path = "msrps://relay.example.com:9/t;tcp msrps://x.invalid:2855/s;carrierpigeon;a=b"
		s.remote.Path = must(ParsePath(path))
		sendAs(t, s, "m3ss", 1)
		units, _ := written(t, s)
		require.Len(t, units, 1)
		assert.Equal(t, path, get(units[0], "To-Path"))
	})
	t.Run("RFC 4976, section 8: no path without a port", func(t *testing.T) {
		proves(t, "W-44")
		s, err := NewEndpoint(nil).NewSession(SessionOptions{URI: must(ParseURI(rawOwnURI))})
		require.NoError(t, err)
		assert.Error(t, s.Start(Remote{Path: must(ParsePath(rawPeerURI + " msrp://h.example.com/s;tcp"))}))
		_, err = NewEndpoint(nil).NewSession(SessionOptions{URI: must(ParseURI("msrp://h.example.com/s;tcp"))})
		assert.Error(t, err)
	})
}

// RFC 4975, sections 7.1 and 7.2: only SEND comes in chunks, and responses have
// no body.
func TestOtherThanSend(t *testing.T) {
	proves(t, "W-24", "W-25")
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		e := NewEndpoint(nil)
		s, err := e.NewSession(SessionOptions{URI: must(ParseURI(rawOwnURI)), AcceptTypes: []string{"text/plain"}})
		require.NoError(t, err)
		conn := e.NewConn(NewStream(ours))
		require.NoError(t, s.Start(Remote{Path: must(ParsePath(rawPeerURI)), Conn: conn}))
		got := make(chan readUnit, 100)
		go func() {
			units, _ := readStream(theirs)
			for _, u := range units {
				got <- u
			}
			close(got)
		}()
		go conn.Authenticate(t.Context(), Auth{Relay: must(ParsePath("msrps://relay.example.com:2855;tcp")), URI: s.URI()})
		for i, unit := range []string{
			"SEND\r\n" + paths + anID + "Success-Report: yes\r\n" + aType + "\r\n" + strings.Repeat("x", 20_000) + "\r\n",
			"SEND\r\n" + paths + "Message-ID: m3s2\r\nContent-Type: x/y\r\n" + aBody,
			"SEND\r\n" + paths + "Message-ID: m3s3\r\nFailure-Report: maybe\r\n",
			"SEND\r\nTo-Path: msrp://bob.example.com:8493/nobody;tcp\r\nFrom-Path: " + rawPeerURI + "\r\n" + anID,
			"PUBLISH\r\n" + paths + aType + "\r\n" + strings.Repeat("x", 20_000) + "\r\n",
		} {
			_, err := fmt.Fprintf(theirs, "MSRP tid%d %s-------tid%d$\r\n", i, unit, i)
			require.NoError(t, err)
		}
		synctest.Wait()
		conn.Close()
		kinds := map[string]int{}
		for u := range got {
			kinds[u.method]++
			assert.Equal(t, "$", u.flag)
			assert.Nil(t, u.body)
		}
		assert.Equal(t, map[string]int{"": 5, MethodReport: 1, MethodAuth: 1}, kinds)
	})
}

// RFC 4975, section 7.1.1: a chunk may be of any size, so what is there of it
// is handed on.
func TestBodyBeforeItsEnd(t *testing.T) {
	proves(t, "W-23")
	s, p := newRawPeer(t, SessionOptions{StreamAfter: 1}, Remote{}, nil)
	p.write(sendTID1 + paths + anID + "Byte-Range: 1-*/*\r\n" + aType + "\r\nabc")
	in, err := s.Receive(t.Context())
	require.NoError(t, err)
	buf := make([]byte, 10)
	n, err := in.Read(buf)
	require.NoError(t, err)
	assert.Equal(t, "abc", string(buf[:n]))
	p.write("\r\n-------tid")
	p.write("2$\r\ndef")
	_, err = io.ReadFull(in, buf)
	require.NoError(t, err)
	assert.Equal(t, "\r\n-------t", string(buf))
	assert.False(t, in.Complete())
	p.write("\r\n" + endTID1)
	rest, err := io.ReadAll(in)
	require.NoError(t, err)
	assert.Equal(t, "id2$\r\ndef", string(rest))
}

// RFC 4975, section 7.3.1: where a chunk ends is where its body ends.
func TestRangeEndIsAHint(t *testing.T) {
	for name, ranges := range map[string][2]string{
		"too far":       {"1-10/10", "5-10/10"},
		"too near":      {"1-2/10", "5-5/10"},
		"open":          {"1-*/*", "5-*/*"},
		"a wrong total": {"1-4/100", "5-8/100"},
	} {
		t.Run(name, func(t *testing.T) {
			proves(t, "W-35")
			s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			assert.Equal(t, 200, p.code(p.send("Message-ID: m3ss", "Byte-Range: "+ranges[0], "Success-Report: yes", "flag: +", "body: four")))
			assert.Equal(t, 200, p.code(p.send("Message-ID: m3ss", "Byte-Range: "+ranges[1], "Success-Report: yes", "body: more")))
			in, err := s.Receive(t.Context())
			require.NoError(t, err)
			body, err := io.ReadAll(in)
			require.NoError(t, err)
			assert.Equal(t, "fourmore", string(body))
			assert.EqualValues(t, 8, in.Size())
		})
	}
}

// RFC 4975, section 14.5: numbers alone cost nothing.
func TestRangesAreCheckedFirst(t *testing.T) {
	proves(t, "W-36")
	s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i, r := range []string{"1-*/4611686018427387904", "4611686018427387000-*/*", "1-4611686018427387904/4611686018427387904", "1073741824-*/2147483648"} {
		assert.Equal(t, 200, p.code(p.send(fmt.Sprintf("Message-ID: big%d", i), "Byte-Range: "+r, "flag: +", "body: abc")))
	}
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
	s.mu.Lock()
	for _, in := range s.partial {
		assert.Equal(t, 3, in.octets.held)
	}
	s.mu.Unlock()

	_, p = newRawPeer(t, SessionOptions{MaxSize: 10}, Remote{}, nil)
	p.write(sendTID1 + paths + anID + "Byte-Range: 1-*/11\r\n" + aType + "\r\n") // no octet yet
	assert.Equal(t, 413, p.code("tid1"))
}

// RFC 4975, section 7.1.1: what is not said.
func TestReportsByDefault(t *testing.T) {
	for _, c := range []struct {
		ids, fields     string
		codes, reported int
	}{
		{"W-37", "", 1, 0},
		{"W-37", "Success-Report: no", 1, 0},
		{"W-37", "Failure-Report: yes", 1, 0},
		{"W-37", "Success-Report: yes", 1, 1},
		{"W-37", "Failure-Report: no", 0, 0},
	} {
		t.Run(c.fields, func(t *testing.T) {
			proves(t, c.ids)
			synctest.Test(t, func(t *testing.T) {
				s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
				fields := []string{"Message-ID: m3ss", "Byte-Range: 1-2/2", "body: hi"}
				if c.fields != "" {
					fields = append([]string{c.fields}, fields...)
				}
				id := p.send(fields...)
				synctest.Wait()
				assert.Equal(t, c.codes, p.answered(200, id))
				assert.Len(t, p.got(), c.reported)
				s.conn.Close()
			})
		})
	}
	t.Run("RFC 4975, section 10.2: no 400 to those who want no failures", func(t *testing.T) {
		proves(t, "W-28")
		synctest.Test(t, func(t *testing.T) {
			s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
			id := p.send("Message-ID: m3ss", "Failure-Report: no", "Byte-Range: 0-1/2")
			other := p.send("Message-ID: m3ss", "Failure-Report: partial", "Byte-Range: 0-1/2")
			assert.Equal(t, 400, p.code(other))
			synctest.Wait()
			assert.Zero(t, p.answered(400, id))
			s.conn.Close()
		})
	})
}

// RFC 4975, sections 7.1.2 and 7.3.2.
func TestStatus(t *testing.T) {
	proves(t, "W-39")
	s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
	long := strings.Repeat("m", 100) // longer than the grammar has it, and copied
	p.code(p.send("Message-ID: "+long, "Success-Report: yes", "Byte-Range: 1-2/2", "body: hi"))
	p.code(p.send("Message-ID: l4st")) // is answered after the report
	require.Len(t, p.got(), 1)
	assert.Equal(t, "000 200 OK", p.got()[0].Header.Get("Status"))
	assert.Equal(t, long, p.got()[0].MessageID())

	report := func(id, status string) {
		p.write("MSRP rep1 REPORT\r\n" + paths + "Message-ID: " + id + "\r\nByte-Range: 1-1/1\r\nStatus: " + status + "\r\n-------rep1$\r\n")
		p.code(p.send("Message-ID: l4st"))
	}
	sendText := func(id string) *Outgoing {
		out, err := s.Send(t.Context(), &Message{ID: id, ContentType: "text/plain", Body: strings.NewReader("x"), SuccessReport: true})
		require.NoError(t, err)
		require.NoError(t, out.Sent(t.Context()))
		return out
	}
	out := sendText("m3ss")
	report("m3ss", "001 413 Not this")
	report("m3ss", "001 200 OK")
	assert.Equal(t, Progress{Acknowledged: 1, Sent: true}, out.Progress(), "other namespaces are other languages")
	report("m3ss", "000 200")
	assert.NoError(t, out.Delivered(t.Context()))
	assert.True(t, out.Progress().Delivered)

	out = sendText("m3s2")
	report("m3s2", "000 413")
	var status *StatusError
	require.ErrorAs(t, out.Delivered(t.Context()), &status)
	assert.Equal(t, 413, status.Code)
}

// What a response says, and which count.
func TestResponses(t *testing.T) {
	respond := func(p *rawPeer, id, rest string) { p.write("MSRP " + id + " " + rest + "-------" + id + "$\r\n") }
	for _, c := range []struct {
		ids, name, response string
		code                int // 0 is success
	}{
		{"W-42", "RFC 4975, section 9: without a comment", "200\r\n" + paths, 0},
		{"W-42", "RFC 4976, section 3: with other fields", "200 OK\r\n" + paths + anID + "Byte-Range: 1-2048/4385\r\nX-A: b\r\n", 0},
		{"W-42", "RFC 4975, section 9: a failure without a comment", "403\r\n" + paths, 403},
		{"W-48", "RFC 4975, section 9: a comment means nothing", "200 Not OK, 400 failed\r\n" + paths, 0},
		{"W-48", "RFC 4975, section 9: nor does this one", "400 200 OK\r\n" + paths, 400},
		{"W-48", "RFC 4975, section 10: an unknown success", "299 New\r\n" + paths, 0},
		{"W-48", "RFC 4975, section 10: an unknown failure", "499 New\r\n" + paths, 499},
		{"W-48", "RFC 4975, section 10: what is no success", "300 OK\r\n" + paths, 300},
		{"W-48", "RFC 4975, section 10: nor is that", "100 OK\r\n" + paths, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			proves(t, c.ids)
			synctest.Test(t, func(t *testing.T) {
				s, p := newRawPeer(t, SessionOptions{}, Remote{}, func(*Unit) int { return 0 })
				out, err := s.Send(t.Context(), Text("x"))
				require.NoError(t, err)
				synctest.Wait()
				require.Len(t, p.got(), 1)
				respond(p, p.got()[0].TransactionID, c.response)
				err = out.Sent(t.Context())
				if c.code == 0 {
					assert.NoError(t, err)
				} else {
					var status *StatusError
					require.ErrorAs(t, err, &status)
					assert.Equal(t, c.code, status.Code)
					assert.False(t, status.Local)
				}
				s.conn.Close()
			})
		})
	}
	for name, junk := range map[string]string{
		"a body":         "200 OK\r\n" + paths + aType + aBody,
		"no paths":       "200 OK\r\n",
		"a broken field": "400 Bad\r\n" + paths + "nothing\r\n",
		"an unknown ID":  "-",
	} {
		t.Run("RFC 4976, section 6.4.3: discarded for "+name, func(t *testing.T) {
			proves(t, "W-41")
			synctest.Test(t, func(t *testing.T) {
				s, p := newRawPeer(t, SessionOptions{}, Remote{}, func(*Unit) int { return 0 })
				out, err := s.Send(t.Context(), Text("x"))
				require.NoError(t, err)
				synctest.Wait()
				id := p.got()[0].TransactionID
				if junk == "-" {
					respond(p, "unknown1", "400 Bad\r\n"+paths)
					respond(p, strings.ToLower(id)+"x", "200 OK\r\n"+paths)
				} else {
					respond(p, id, junk)
				}
				synctest.Wait()
				assert.Equal(t, Progress{}, out.Progress(), "it waits for its response")
				time.Sleep(TransactionTimeout / 2)
				respond(p, id, "200 OK\r\n"+paths)
				assert.NoError(t, out.Sent(t.Context()))
				s.conn.Close()
			})
		})
	}
}
