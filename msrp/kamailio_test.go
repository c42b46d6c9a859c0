//go:build !js

package msrp_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

func init() {
	startKamailio, dialTCP, dialWebSocket = runKamailio, connectTCP, connectWebSocket
}

// runKamailio starts Kamailio on loopback and returns its host and port.
func runKamailio(t *testing.T) string {
	config, err := os.ReadFile("testdata/kamailio.cfg")
	require.NoError(t, err)
	modules, _ := filepath.Glob("/usr/lib/*/kamailio/modules")
	require.NotEmpty(t, modules, "Kamailio with its WebSocket module must be installed")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	dir := t.TempDir()
	file := filepath.Join(dir, "kamailio.cfg")
	text := strings.NewReplacer("@PORT@", port, "@MODULES@", modules[0]+"/").Replace(string(config))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))

	var log bytes.Buffer
	cmd := exec.Command("/usr/sbin/kamailio", "-f", file, "-DD", "-E", "-w", dir, "-P", filepath.Join(dir, "pid"), "-Y", dir)
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			t.Logf("Kamailio says:\n%s", &log)
		}
	})
	// It does not say when it listens.
	var c net.Conn
	require.Eventually(t, func() bool {
		c, err = net.Dial("tcp", address)
		return err == nil
	}, msrptest.Guard, 50*time.Millisecond, "Kamailio does not listen")
	c.Close()
	return address
}

func connectTCP(address string) (io.ReadWriteCloser, error) { return net.Dial("tcp", address) }

// connectWebSocket opens a WebSocket (RFC 6455) that does no more than a
// recording needs.
func connectWebSocket(address string) (msrp.MessageConn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "GET /msrp HTTP/1.1\r\nHost: %s\r\nOrigin: http://%[1]s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: msrp\r\n\r\n", address)
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, nil)
	if err == nil && r.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("no WebSocket: %s", r.Status)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return &webSocket{c, in}, nil
}

type webSocket struct {
	net.Conn
	in *bufio.Reader
}

func (w *webSocket) WriteMessage(p []byte) error {
	frame := []byte{0x82, 0x80 | 126, byte(len(p) >> 8), byte(len(p)), 0, 0, 0, 0} // binary, masked by zeros
	if len(p) < 126 {
		frame = []byte{0x82, 0x80 | byte(len(p)), 0, 0, 0, 0}
	}
	_, err := w.Write(append(frame, p...))
	return err
}

func (w *webSocket) ReadMessage() ([]byte, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(w.in, head[:]); err != nil {
			return nil, err
		}
		length := uint64(head[1] & 0x7f)
		if n := map[uint64]int{126: 2, 127: 8}[length]; n > 0 {
			var long [8]byte
			if _, err := io.ReadFull(w.in, long[8-n:]); err != nil {
				return nil, err
			}
			length = binary.BigEndian.Uint64(long[:])
		}
		p, err := io.ReadAll(io.LimitReader(w.in, int64(length)))
		switch opcode := head[0] & 0x0f; {
		case err != nil:
			return nil, err
		case opcode == 8:
			return nil, io.EOF
		case opcode == 1, opcode == 2: // Kamailio sends what is valid UTF-8 as text
			return p, nil
		}
	}
}

func (w *webSocket) Flush() error      { return nil }
func (w *webSocket) Close(error) error { return w.Conn.Close() }
