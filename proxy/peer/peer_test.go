package peer

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/proxy/settings"
)

// guard is how long a test waits for something that should happen soon.
const guard = 30 * time.Second

// A command is "webmsrp peer" that runs.
type command struct {
	t      *testing.T
	stdin  *io.PipeWriter
	events chan Event
	ended  chan error
	cancel context.CancelFunc
}

// run starts the command with --json and these arguments.
func run(t *testing.T, args ...string) *command {
	ctx, cancel := context.WithCancel(context.Background())
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	c := &command{t: t, stdin: stdin, events: make(chan Event, 1000), ended: make(chan error, 1), cancel: cancel}
	go func() {
		defer close(c.events)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var e Event
			if !assert.NoError(t, json.Unmarshal(lines.Bytes(), &e), lines.Text()) {
				break
			}
			c.events <- e
		}
	}()
	go func() {
		c.ended <- Command(ctx, append([]string{"--json"}, args...), in, out)
		out.Close()
	}()
	t.Cleanup(func() {
		cancel()
		stdin.Close()
		for range c.events { // until it has ended
		}
	})
	return c
}

// want waits for the next event of that name and returns it.
func (c *command) want(name string) Event {
	c.t.Helper()
	timeout := time.After(guard)
	for {
		select {
		case e, ok := <-c.events:
			require.True(c.t, ok, "no event %s, the end", name)
			if e.Event == name {
				return e
			}
			require.NotEqual(c.t, EventFailed, e.Event, e.Error)
		case <-timeout:
			require.FailNow(c.t, "no event "+name)
		}
	}
}

// end waits until the command is over.
func (c *command) end() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(guard):
		require.FailNow(c.t, "the command does not end")
		return nil
	}
}

func (c *command) type_(line string) {
	_, err := io.WriteString(c.stdin, line+"\n")
	require.NoError(c.t, err)
}

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	pair, err := msrpnet.SelfSigned("127.0.0.1")
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	return write("cert.pem", "CERTIFICATE", pair.Certificate[0]), write("key.pem", "PRIVATE KEY", key)
}

// sumOf returns size and SHA-256 of a file.
func sumOf(t *testing.T, name string) (int64, string) {
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	sum := sha256.Sum256(data)
	return int64(len(data)), hex.EncodeToString(sum[:])
}

func writeFile(t *testing.T, name string, size int64) string {
	data, err := io.ReadAll(msrptest.Octets(size, 7))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, data, 0o600))
	return file
}

// One peer listens and the other connects: text, files and echo, over TCP and
// over TLS.
func TestTwoPeers(t *testing.T) {
	cert, key := certificate(t)
	for _, way := range []struct {
		name, scheme   string
		listen, dialer []string
	}{
		{"TCP", "msrp://", nil, nil},
		{"TLS", "msrps://", []string{"--tls", "--tls-cert=" + cert, "--tls-key=" + key}, []string{"--ca=" + cert}},
	} {
		start := func(t *testing.T, args ...string) (bob *command, connect func(args ...string) *command) {
			bob = run(t, append(append([]string{"--listen=127.0.0.1:0"}, way.listen...), args...)...)
			uri := bob.want(EventListening).URI
			require.True(t, strings.HasPrefix(uri, way.scheme), uri)
			return bob, func(args ...string) *command {
				return run(t, append(append([]string{"--connect=" + uri}, way.dialer...), args...)...)
			}
		}
		t.Run(way.name+", files", func(t *testing.T) {
			dir := t.TempDir()
			bob, connect := start(t, "--receive="+dir)
			// One after the other on the same URI.
			for _, f := range []struct {
				name string
				size int64
			}{{"photo.png", 3_000_000}, {"Grüße ☃.bin", 100_000}, {"note.txt", 5}, {"empty", 0}, {"note.txt", 6}} {
				file := writeFile(t, f.name, f.size)
				size, sum := sumOf(t, file)
				alice := connect("--send=" + file)
				sent := alice.want(EventSent)
				delivered := alice.want(EventDelivered)
				assert.Equal(t, sent.ID, delivered.ID)
				require.NoError(t, alice.end())

				got := bob.want(EventMessage)
				assert.Equal(t, sent.ID, got.ID)
				assert.Equal(t, size, got.Size)
				assert.Equal(t, sum, got.SHA256)
				assert.Equal(t, dir, filepath.Dir(got.File))
				_, saved := sumOf(t, got.File)
				assert.Equal(t, sum, saved)
				bob.want(EventClosed)
			}
			var names []string
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			for _, e := range entries {
				names = append(names, e.Name())
			}
			assert.ElementsMatch(t, []string{"photo.png", "Grüße ☃.bin", "note.txt", "note (1).txt", "empty"}, names)
		})
		t.Run(way.name+", text", func(t *testing.T) {
			bob, connect := start(t)
			alice := connect()
			alice.type_("Grüße, 世界 ☃")
			got := bob.want(EventMessage)
			assert.Equal(t, "Grüße, 世界 ☃", got.Text)
			assert.Equal(t, "text/plain", got.Type)
			alice.want(EventDelivered)
			bob.type_("and back")
			assert.Equal(t, "and back", alice.want(EventMessage).Text)
			bob.want(EventDelivered)
			alice.stdin.Close()
			assert.NoError(t, alice.end())
			bob.want(EventClosed)
			bob.cancel()
			assert.NoError(t, bob.end())
		})
		t.Run(way.name+", echo", func(t *testing.T) {
			_, connect := start(t, "--echo")
			dir := t.TempDir()
			alice := connect("--receive=" + dir)
			alice.type_("hello")
			assert.Equal(t, "hello", alice.want(EventMessage).Text)
			file := writeFile(t, "photo.png", 1_000_000)
			size, sum := sumOf(t, file)
			alice.type_("/file " + file)
			got := alice.want(EventMessage)
			assert.Equal(t, size, got.Size)
			assert.Equal(t, sum, got.SHA256)
			assert.Equal(t, filepath.Join(dir, "photo.png"), got.File)
		})
	}
}

// Whoever pipes text into the command gets all of it across, in order, before
// it ends.
func TestPipedText(t *testing.T) {
	const n = 200
	bob := run(t, "--listen=127.0.0.1:0")
	var lines strings.Builder
	for i := range n {
		fmt.Fprintln(&lines, i)
	}
	err := Command(t.Context(), []string{"--connect=" + bob.want(EventListening).URI}, strings.NewReader(lines.String()), io.Discard)
	require.NoError(t, err)
	for i := range n {
		require.Equal(t, fmt.Sprint(i), bob.want(EventMessage).Text)
	}
}

// What people see without --json.
func TestTextOutput(t *testing.T) {
	dir := t.TempDir()
	bob := run(t, "--listen=127.0.0.1:0", "--echo")
	uri := bob.want(EventListening).URI
	stdout, out := io.Pipe()
	in, stdin := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Command(t.Context(), []string{"--connect=" + uri}, in, out)
		out.Close()
	}()
	lines := bufio.NewScanner(stdout)
	var seen []string
	see := func(want string) {
		t.Helper()
		for lines.Scan() {
			if seen = append(seen, lines.Text()); strings.Contains(lines.Text(), want) {
				return
			}
		}
		require.FailNow(t, want, "%q", seen)
	}
	see("— " + uri + " —")
	io.WriteString(stdin, "hi\n")
	see(uri + "> hi")
	io.WriteString(stdin, "/file "+filepath.Join(dir, "none")+"\n")
	see("✗ open ")
	file := writeFile(t, "photo.png", 10)
	_, sum := sumOf(t, file)
	io.WriteString(stdin, "/file "+file+"\n")
	see("10 octets, not saved (SHA-256 " + sum + ")")
	stdin.Close()
	go io.Copy(io.Discard, stdout)
	assert.NoError(t, <-ended)
}

// Text whose length is not announced may turn out too long to be shown.
func TestLongText(t *testing.T) {
	bob := run(t, "--listen=127.0.0.1:0")
	alice := dial(t, bob.want(EventListening).URI)
	text := strings.Repeat("x", 3*maxText)
	sum := sha256.Sum256([]byte(text))
	body, more := io.Pipe()
	half := make(chan bool, 1000)
	out, err := alice.Send(t.Context(), &msrp.Message{
		ContentType: "text/plain", SuccessReport: true, Body: body,
		Changed: func(p msrp.Progress) { half <- p.Acknowledged > maxText },
	})
	require.NoError(t, err)
	io.WriteString(more, text[:2*maxText])
	for !<-half { // until Bob has begun to receive it
	}
	io.WriteString(more, text[2*maxText:])
	more.Close()
	require.NoError(t, out.Delivered(t.Context()))
	got := bob.want(EventMessage)
	assert.EqualValues(t, len(text), got.Size)
	assert.Equal(t, hex.EncodeToString(sum[:]), got.SHA256)
	assert.Empty(t, got.Text)
}

// dial connects to a peer by hand.
func dial(t *testing.T, peer string) *msrp.Session {
	uri, err := msrp.ParseURI(peer)
	require.NoError(t, err)
	c, err := msrpnet.Dial(t.Context(), uri, nil)
	require.NoError(t, err)
	endpoint := msrp.NewEndpoint(nil)
	conn := endpoint.NewConn(msrp.NewStream(c))
	t.Cleanup(func() { conn.Close() })
	s, err := endpoint.NewSession(msrp.SessionOptions{URI: msrptest.NewURI(t, "alice")})
	require.NoError(t, err)
	require.NoError(t, s.Start(msrp.Remote{Path: msrp.Path{uri}, Conn: conn, Active: true}))
	return s
}

// What cannot work ends with an error that says why.
func TestCannotConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().String()
	l.Close()
	listening := func(args ...string) string {
		return run(t, append(args, "--listen=127.0.0.1:0")...).want(EventListening).URI
	}
	plainURI, secureURI := listening(), listening("--tls")
	at := strings.LastIndexByte(plainURI, '/')
	_, key := certificate(t)
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"nobody there", []string{"--connect=msrp://" + nobody + "/s3ss10n;tcp"}, []string{nobody, "connection refused"}},
		{"no such session", []string{"--connect=" + plainURI[:at] + "/n0ne;tcp"}, []string{"481"}},
		{"self-signed", []string{"--connect=" + secureURI}, []string{"certificate"}},
		{"TLS where there is none", []string{"--connect=" + strings.Replace(plainURI, "msrp:", "msrps:", 1)}, []string{"TLS"}},
		{"no URI", []string{"--connect=bob.example.com"}, []string{"bob.example.com", "msrp://"}},
		{"no port", []string{"--connect=msrp://bob.example.com/s3ss10n;tcp"}, []string{"no port"}},
		{"port in use", []string{"--listen=" + strings.Split(plainURI, "/")[2]}, []string{"address already in use"}},
		{"every address without a name", []string{"--listen=127.0.0.1:0", "--listen=0.0.0.0:0"}, []string{"--host"}},
		{"nothing to do", nil, []string{"--listen", "--connect"}},
		{"a name without a rendezvous", []string{"--name=bob"}, []string{"--name", "--rendezvous"}},
		{"with and without signalling", []string{"--name=bob", "--rendezvous=ws://" + nobody, "--connect=" + plainURI}, []string{"--connect", "--rendezvous"}},
		{"no rendezvous there", []string{"--name=bob", "--rendezvous=ws://" + nobody}, []string{"rendezvous ws://" + nobody}},
		{"half a key pair", []string{"--listen=127.0.0.1:0", "--tls", "--tls-key=" + key}, []string{"--tls-cert and --tls-key"}},
		{"no certificate in it", []string{"--connect=" + plainURI, "--ca=" + key}, []string{"no certificate in " + key}},
		{"no file to send", []string{"--connect=" + listening(), "--send=" + key + ".none"}, []string{"--send", key + ".none"}},
		{"no file to send and nobody to send it to", []string{"--connect=msrp://" + nobody + "/s3ss10n;tcp", "--send=" + key + ".none"}, []string{"--send", key + ".none"}},
		{"a directory to send", []string{"--connect=" + listening(), "--send=" + filepath.Dir(key)}, []string{"not a file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := run(t, c.args...).end()
			for _, want := range c.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
	_, err = os.Stat(key + ".none")
	assert.ErrorIs(t, err, os.ErrNotExist)
	var usage *settings.UsageError
	assert.ErrorAs(t, run(t, "--typo").end(), &usage)
}

// Whoever sends a file learns from the command's end that it did not arrive.
func TestSendFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	endpoint := msrp.NewEndpoint(nil)
	go msrpnet.Serve(l, endpoint)
	uri, err := msrp.MakeURI(false, "127.0.0.1", l.Addr().(*net.TCPAddr).Port, msrp.NewID(), msrp.TransportTCP)
	require.NoError(t, err)
	_, err = endpoint.NewSession(msrp.SessionOptions{URI: uri, MaxSize: 5})
	require.NoError(t, err)
	alice := run(t, "--connect="+uri.String(), "--send="+writeFile(t, "photo.png", 6))
	err = alice.end()
	var status *msrp.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, msrp.StatusStopSending, status.Code)
}

// The listener talks to one peer at a time (RFC 4975, section 5.4), and to the
// next afterwards.
func TestOnePeerAtATime(t *testing.T) {
	bob := run(t, "--listen=127.0.0.1:0", "--session-id=0nly0ne")
	uri := bob.want(EventListening).URI
	assert.Contains(t, uri, "/0nly0ne;tcp")
	alice := run(t, "--connect="+uri)
	bob.want(EventConnected)
	err := run(t, "--connect="+uri).end()
	var status *msrp.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, msrp.StatusSessionInUse, status.Code)
	alice.cancel()
	assert.NoError(t, alice.end())
	bob.want(EventClosed)
	run(t, "--connect="+uri)
	assert.Equal(t, 2, bob.want(EventConnected).Session)
}

// Nothing that is there is written over, not even through a link.
func TestCreate(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "note.tar.gz"), []byte("old"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	for _, c := range []struct{ suggested, want string }{
		{"new", "new"}, {"new", "new (1)"}, {"new", "new (2)"},
		{"note.tar.gz", "note.tar (1).gz"},
		{"folder", "folder (1)"},
		{"link", "link (1)"},
		{"../note.tar.gz", "note.tar (2).gz"},
		{"", "message-m3ss4ge1"}, {"..", "file"}, {"/", "file (1)"},
	} {
		f, err := create(dir, c.suggested, "m3ss4ge1")
		require.NoError(t, err)
		_, err = f.WriteString("new")
		require.NoError(t, err)
		require.NoError(t, f.Close())
		assert.Equal(t, filepath.Join(dir, c.want), f.Name())
	}
	old, err := os.ReadFile(filepath.Join(dir, "note.tar.gz"))
	require.NoError(t, err)
	assert.Equal(t, "old", string(old))
	_, err = os.Stat(outside)
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = create(filepath.Join(dir, "none"), "x", "m3ss4ge1")
	assert.True(t, errors.Is(err, os.ErrNotExist))
}
