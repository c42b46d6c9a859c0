package relay

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A wire is a neighbour whose octets are written by hand and read as they are.
type wire struct {
	t  *testing.T
	c  net.Conn
	in *bufio.Reader
}

func newWire(s *side) *wire { return &wire{s.t, s.c, bufio.NewReader(s.c)} }

// crlf is fmt.Sprintf for what has \n in place of \r\n.
func crlf(format string, values ...any) string {
	return strings.ReplaceAll(fmt.Sprintf(format, values...), "\n", "\r\n")
}

func (w *wire) write(format string, values ...any) {
	w.t.Helper()
	_, err := w.c.Write([]byte(crlf(format, values...)))
	require.NoError(w.t, err)
}

// want reads a unit and compares it, octet by octet. $id stands for the
// transaction ID, which it returns.
func (w *wire) want(want string, values ...any) (id string) {
	w.t.Helper()
	got := w.read()
	id = strings.Fields(got)[1]
	require.Equal(w.t, strings.ReplaceAll(crlf(want, values...), "$id", id), got)
	return id
}

// read reads up to the end-line: no body here has one.
func (w *wire) read() string {
	w.t.Helper()
	var b strings.Builder
	for {
		line, err := w.in.ReadString('\n')
		require.NoError(w.t, err, "%s", b.String())
		b.WriteString(line)
		if strings.HasPrefix(line, "-------") {
			return b.String()
		}
	}
}

// How python3-msrplib 0.20.1 reads what it gets: the start line, the URIs, and
// the parameters of a challenge. Of a header field that is there twice it keeps
// the last.
var (
	msrplibStart  = regexp.MustCompile(`^MSRP ([A-Za-z0-9][A-Za-z0-9.+%=-]{3,31}) (?:([A-Z_]+)|(\d{3})(?: (.+))?)$`)
	msrplibURI    = regexp.MustCompile(`^(msrps?)://((([^@/]*)@)?([^:/;]+)(:([0-9]+))?)(/([^;]+))?;(tcp)$`)
	msrplibParams = regexp.MustCompile(`(\w+)=("[^"]+"|[^",]+)`)
)

// msrplibField returns a header field as msrplib sees it.
func msrplibField(unit, name string) string {
	value := ""
	for line := range strings.SplitSeq(unit, "\r\n") {
		if n, v, ok := strings.Cut(line, ": "); ok && n == name {
			value = v
		}
	}
	return value
}

func msrplibDecode(params string) map[string]string {
	decoded := map[string]string{}
	for _, m := range msrplibParams.FindAllStringSubmatch(params, -1) {
		decoded[m[1]] = strings.Trim(m[2], `"`)
	}
	return decoded
}

func md5Hex(format string, values ...any) string {
	sum := md5.Sum(fmt.Appendf(nil, format, values...))
	return hex.EncodeToString(sum[:])
}

// Blink and SylkServer behind this relay: msrplib's octets, and answers that it can
// read. Its digest has no uri and no algorithm, echoes opaque, which must be there,
// and quotes everything; its keep-alive is an empty SEND with a field of its own;
// its long chunks have no end in Byte-Range.
func TestMsrplib(t *testing.T) {
	for _, id := range []string{"R-04", "R-05", "R-09", "R-16", "R-18", "S-50"} {
		t.Attr("requirement", id)
	}
	const (
		relay = "msrps://relay.example.com:2855;tcp"
		own   = "msrps://192.0.2.5:48233/5f0c9d2e81b7a3c4d6e9;tcp"
		bob   = "msrps://bob.example.net:9000/b0bS3ss10n;tcp"
	)
	r := newRig(t)
	dialled := r.door(bobHost)
	blink := newWire(r.connect(LinkInfo{Secure: true}))

	// RelayConnection._relay_connect, in connect.py.
	blink.write("MSRP 2f6ac1d09be7483 AUTH\nTo-Path: %s\nFrom-Path: %s\n-------2f6ac1d09be7483$\n", relay, own)
	got := blink.read()
	require.Regexp(t, msrplibStart, strings.Split(got, "\r\n")[0])
	assert.Regexp(t, `^MSRP 2f6ac1d09be7483 401 Unauthorized\r
To-Path: msrps://192\.0\.2\.5:48233/5f0c9d2e81b7a3c4d6e9;tcp\r
From-Path: msrps://relay\.example\.com:2855;tcp\r
WWW-Authenticate: Digest realm="relay\.example\.com", qop="auth", algorithm=SHA-256, nonce="[\w-]{43}", opaque="webmsrp"\r
WWW-Authenticate: Digest realm="relay\.example\.com", qop="auth", algorithm=MD5, nonce="[\w-]{43}", opaque="webmsrp"\r
-------2f6ac1d09be7483\$\r
$`, got)
	challenge := msrplibDecode(msrplibField(got, "WWW-Authenticate"))

	// process_www_authenticate, in digest.py, and ParameterListHeaderType.encode.
	const nc, cnonce = "00000001", "c3a5120bc2931f7dc3bec2b70e44c28a5d2b39c3b8"
	ha1 := md5Hex("alice:%s:secret", challenge["realm"])
	hash := func(ha2 string) string {
		return md5Hex("%s:%s:%s:%s:auth:%s", ha1, challenge["nonce"], nc, cnonce, ha2)
	}
	authorization := fmt.Sprintf(`Digest username="alice", realm="%s", nonce="%s", qop="auth", nc="%s", cnonce="%s", response="%s", opaque="%s"`,
		challenge["realm"], challenge["nonce"], nc, cnonce, hash(md5Hex("AUTH:%s", relay)), challenge["opaque"])
	blink.write("MSRP 9d41e07b3c8f5a26 AUTH\nTo-Path: %s\nFrom-Path: %s\nAuthorization: %s\n-------9d41e07b3c8f5a26$\n", relay, own, authorization)
	got = blink.read()
	token := msrplibField(got, "Use-Path")
	require.Regexp(t, msrplibURI, token, "%s", got)
	assert.Equal(t, crlf(`MSRP 9d41e07b3c8f5a26 200 OK
To-Path: %s
From-Path: %s
Use-Path: %s
Expires: 3600
Authentication-Info: rspauth="%s", cnonce="%s", nc=00000001, qop=auth
-------9d41e07b3c8f5a26$
`, own, relay, token, hash(md5Hex(":%s", relay)), cnonce), got)

	// sends has msrplib make a request, which the relay answers and passes on.
	var peer *wire
	sends := func(id, fields, content string, flag string) {
		t.Helper()
		blink.write("MSRP %s SEND\nTo-Path: %s %s\nFrom-Path: %s\n%s%s\n-------%[1]s%[7]s\n", id, token, bob, own, fields, content, flag)
		blink.want("MSRP %s 200 OK\nTo-Path: %s\nFrom-Path: %s\n-------%[1]s$\n", id, own, token)
		if peer == nil {
			peer = newWire(dialled())
		}
		forwarded := peer.want("MSRP $id SEND\nTo-Path: %s\nFrom-Path: %s %s\n%s%s\n-------$id%s\n", bob, token, own, fields, content, flag)
		assert.NotEqual(t, id, forwarded)
		peer.write("MSRP %s 200 OK\nTo-Path: %s\nFrom-Path: %s\n-------%[1]s$\n", forwarded, token, bob)
	}
	// MSRPTransport.bind; MSRPSession.send_message and _keepalive.
	sends("4a41016b9d5d614", "Byte-Range: 1-0/0\n", "Message-ID: 7b80ab02424297f1", "$")
	sends("3687fc1e565892ab", "Byte-Range: 1-18/18\nMessage-ID: 85eb3a61d077e4d6\nContent-Type: text/plain\n", "\nhello from msrplib", "$")
	sends("6d1b7e1f0a2c4d38", "Byte-Range: 1-0/0\nMessage-ID: 1f2e3d4c5b6a7988\n", "Keep-Alive: yes", "$")
	long := strings.Repeat("long text of Blink ", 108)[:2048]
	sends("7e2c8f201b3d5e49", "Byte-Range: 1-*/4096\nMessage-ID: 9b8a7c6d5e4f3021\nContent-Type: text/plain\n", "\n"+long, "+")
	sends("8f3d90312c4e6f5a", "Byte-Range: 2049-*/4096\nMessage-ID: 9b8a7c6d5e4f3021\nContent-Type: text/plain\n", "\n"+long, "$")

	// What comes in has the paths that check_incoming_SEND_chunk wants: its own URI,
	// and all of Use-Path and the peer's path.
	peer.write("MSRP b0b5ent1 SEND\nTo-Path: %s %s\nFrom-Path: %s\nMessage-ID: fr0mb0b\nByte-Range: 1-2/2\nSuccess-Report: yes\nContent-Type: text/plain\n\nho\n-------b0b5ent1$\n", token, own, bob)
	peer.want("MSRP b0b5ent1 200 OK\nTo-Path: %s\nFrom-Path: %s\n-------b0b5ent1$\n", bob, token)
	id := blink.want("MSRP $id SEND\nTo-Path: %s\nFrom-Path: %s %s\nMessage-ID: fr0mb0b\nByte-Range: 1-2/2\nSuccess-Report: yes\nContent-Type: text/plain\n\nho\n-------$id$\n", own, token, bob)
	blink.write("MSRP %s 200 OK\nTo-Path: %s\nFrom-Path: %s\n-------%[1]s$\n", id, token, own)
	blink.write("MSRP 52f0b1a6c7f3d2e1 REPORT\nTo-Path: %s %s\nFrom-Path: %s\nStatus: 000 200 OK\nMessage-ID: fr0mb0b\nByte-Range: 1-2/2\n-------52f0b1a6c7f3d2e1$\n", token, bob, own)
	peer.want("MSRP $id REPORT\nTo-Path: %s\nFrom-Path: %s %s\nStatus: 000 200 OK\nMessage-ID: fr0mb0b\nByte-Range: 1-2/2\n-------$id$\n", bob, token, own)

	// A failure, as its reader needs it: with a comment, and a REPORT whose status
	// has the namespace. No answer of the peer but this came through.
	blink.write("MSRP 1c9d3e5f70a2b4c6 SEND\nTo-Path: %s %s\nFrom-Path: %s\nByte-Range: 1-2/2\nMessage-ID: 0a1b2c3d4e5f6071\nContent-Type: text/plain\n\nhi\n-------1c9d3e5f70a2b4c6$\n", token, bob, own)
	blink.want("MSRP 1c9d3e5f70a2b4c6 200 OK\nTo-Path: %s\nFrom-Path: %s\n-------1c9d3e5f70a2b4c6$\n", own, token)
	id = msrplibStart.FindStringSubmatch(strings.Split(peer.read(), "\r\n")[0])[1]
	peer.write("MSRP %s 415 Unsupported media type\nTo-Path: %s\nFrom-Path: %s\n-------%[1]s$\n", id, token, bob)
	blink.want("MSRP $id REPORT\nTo-Path: %s\nFrom-Path: %s\nMessage-ID: 0a1b2c3d4e5f6071\nByte-Range: 1-2/2\nStatus: 000 415 Unsupported media type\n-------$id$\n", own, token)
}
