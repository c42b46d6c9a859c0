package msrptest

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// A failing records the failures of a test in place of having them.
type failing struct {
	testing.TB
	mu      sync.Mutex
	said    []string
	cleanup []func()
}

func (f *failing) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

func (f *failing) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.said) > 0
}

func (f *failing) Helper()           {}
func (f *failing) Cleanup(fn func()) { f.cleanup = append(f.cleanup, fn) }

// end is the end of the test.
func (f *failing) end() string {
	for i := len(f.cleanup) - 1; i >= 0; i-- {
		f.cleanup[i]()
	}
	return strings.Join(f.said, "\n")
}

const (
	bobURI   = "msrp://bob.example.com:8493/si438dsaodes;tcp"
	aliceURI = "msrp://alice.example.com:7394/2s93i93idj;tcp"
	toBob    = `To-Path: ` + bobURI + `\r\n
From-Path: ` + aliceURI + `\r\n
`
	toAlice = `To-Path: ` + aliceURI + `\r\n
From-Path: ` + bobURI + `\r\n
`
	hello    = "bob<\nMSRP tid1 SEND\\r\\n\n" + toBob + "Message-ID: m3ss1\\r\\n\nByte-Range: 1-5/5\\r\\n\nSuccess-Report: yes\\r\\n\nContent-Type: text/plain\\r\\n\n\\r\\n\nhello\\r\\n\n-------tid1$\\r\\n\n"
	response = "\nbob>\nMSRP tid1 200 OK\\r\\n\n" + toAlice + "-------tid1$\\r\\n\n"
	report   = "\nbob>\nMSRP tid2 REPORT\\r\\n\n" + toAlice + "Message-ID: m3ss1\\r\\n\nByte-Range: 1-5/5\\r\\n\nStatus: 000 200 OK\\r\\n\n-------tid2$\\r\\n\n"
	taken    = response + report
)

// Bob, played against a recording, passes or does not.
func TestConversation(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string // what fails, "" for nothing
	}{
		"as recorded":        {hello + taken, ""},
		"closed by the peer": {hello + taken + "\nbob< closed\n", ""},
		"other words":        {hello + strings.Replace(taken, "200 OK", "200 Okay", 1), "unit 2, bob"},
		"another range":      {hello + strings.Replace(taken, "1-5/5", "1-4/5", 1), "unit 3, bob"},
		"another order":      {hello + report + response, "unit 2, bob"},
		"less than is said":  {hello + response, "bob said more than was recorded"},
		"more than is said":  {hello + taken + "\nbob>\nMSRP tid3 SEND\\r\\n\n" + toAlice + "-------tid3$\\r\\n\n", "unit 4, bob is silent"},
		"another connection": {"carol< closed\n" + hello + taken, "unit 1, carol was not connected"},
	} {
		for _, kind := range []string{"stream", "messages"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &failing{TB: t}
					file := filepath.Join(t.TempDir(), "c.txt")
					require.NoError(t, os.WriteFile(file, []byte("# a comment\nown = "+bobURI+"\n\n"+c.text), 0o600))
					conv := NewConversation(f, file, false)
					endpoint := msrp.NewEndpoint(nil)
					own, err := msrp.ParseURI(conv.Value("own", nil))
					require.NoError(t, err)
					_, err = endpoint.NewSession(msrp.SessionOptions{URI: own})
					require.NoError(t, err)
					var transport msrp.Transport
					if kind == "stream" {
						transport = conv.Stream("bob", nil)
					} else {
						transport = conv.Messages("bob", nil)
					}
					conn := endpoint.NewConn(transport)
					f.Cleanup(func() { conn.Close() })
					synctest.Wait()
					conv.End()
					synctest.Wait()
					said := f.end()
					if c.want == "" {
						assert.Empty(t, said)
					} else {
						assert.Contains(t, said, c.want)
					}
				})
			})
		}
	}
}

// oneByOne is a connection of which every octet is read for itself.
type oneByOne struct {
	net.Conn
	in io.Reader
}

func (c oneByOne) Read(p []byte) (int, error) { return c.in.Read(p) }

// What is recorded plays, and does so only with those who say the same.
func TestRecording(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "c.txt")
	const text = "a \\ in\r\na \x00\xff\u2028 text 👋 "
	talk := func(t testing.TB, record bool, text string) {
		c := NewConversation(t, file, record)
		bobs := msrp.NewEndpoint(nil)
		a, b := net.Pipe()
		own := c.Value("own", func() string { return NewURI(t, "bob").String() })
		assert.Equal(t, own, c.Value("own", nil), "it does not change")
		uri, err := msrp.ParseURI(own)
		require.NoError(t, err)
		bob, err := bobs.NewSession(msrp.SessionOptions{URI: uri})
		require.NoError(t, err)
		bobConn := bobs.NewConn(c.Stream("bob", func() (io.ReadWriteCloser, error) { return oneByOne{b, iotest.OneByteReader(b)}, nil }))
		t.Cleanup(func() { bobConn.Close() })
		alice, err := msrp.ParseURI(aliceURI)
		require.NoError(t, err)
		require.NoError(t, bob.Start(msrp.Remote{Path: msrp.Path{alice}, Conn: bobConn, Active: true}))
		if record {
			alices := msrp.NewEndpoint(nil)
			session, err := alices.NewSession(msrp.SessionOptions{URI: alice})
			require.NoError(t, err)
			conn := alices.NewConn(msrp.NewStream(a))
			t.Cleanup(func() { conn.Close() })
			require.NoError(t, session.Start(msrp.Remote{Path: msrp.Path{uri}, Conn: conn}))
		}
		out, err := bob.Send(t.Context(), msrp.Text(text))
		require.NoError(t, err)
		err = out.Delivered(t.Context())
		c.End()
		if !t.Failed() {
			require.NoError(t, err)
		}
	}
	for _, record := range []bool{true, false, false} {
		t.Run(fmt.Sprintf("recorded now: %v", record), func(t *testing.T) { talk(t, record, text) })
	}
	t.Run("other words", func(t *testing.T) {
		f := &failing{TB: t}
		talk(f, false, "other words")
		assert.Contains(t, f.end(), "Not equal")
	})
}

// What is random may differ, but not become the same.
func TestNames(t *testing.T) {
	var n names
	unit := func(id, message string) []byte {
		return []byte("MSRP " + id + " SEND\r\nMessage-ID: " + message + "\r\n\r\nabc1 m3ss1\r\n-------" + id + "$\r\n")
	}
	require.NoError(t, n.learn(unit("abc1", "m3ss1"), unit("xyz1", "other1")))
	assert.Equal(t, unit("xyz1", "other1"), n.apply(unit("abc1", "m3ss1")), "the body stays")
	require.NoError(t, n.learn(unit("abc2", "m3ss1"), unit("xyz2", "other1")))
	assert.ErrorContains(t, n.learn(unit("abc3", "m3ss1"), unit("xyz2", "other1")), "xyz2 stands for both abc2 and abc3")
	assert.ErrorContains(t, n.learn(unit("abc4", "m3ss4"), unit("xyz4", "other1")), "other1 stands for both m3ss1 and m3ss4")
}

func TestBadRecordings(t *testing.T) {
	for text, want := range map[string]string{
		"own":                        "line 1: neither a value nor a unit",
		"a = b\n\nbob<\nMSRP \\q\n":  "line 4: unknown escape",
		"bob<\nMSRP \\x0\n":          "line 2: unknown escape",
		"bob>\nMSRP \\xgg\n":         "line 2: ",
		"bob<\nMSRP \\":              "line 2: unknown escape",
		"bob< closed\nbob> what\n\n": "line 2: neither",
	} {
		_, _, err := parseConversation(text)
		assert.ErrorContains(t, err, want, text)
	}
}
