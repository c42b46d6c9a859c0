// Package siptest runs Kamailio as a SIP registrar and proxy, for tests.
package siptest

import (
	"bytes"
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	program = "/usr/sbin/kamailio"
	// guard is how long a test waits for something that should happen soon.
	guard = 30 * time.Second
)

//go:embed kamailio.cfg
var config string

// A Registrar is Kamailio on loopback, over UDP, TCP and WebSockets at the same
// port. Everybody's password is "secret".
type Registrar struct {
	Host string // 127.0.0.1:port

	t    *testing.T
	dir  string
	stop func()

	mu   sync.Mutex
	log  bytes.Buffer
	more chan struct{}
}

// Start starts one until the test ends, or skips the test where there is no
// Kamailio. Registrations last so many seconds at most.
func Start(t *testing.T, expires int) *Registrar {
	modules, _ := filepath.Glob("/usr/lib/*/kamailio/modules/websocket.so")
	if _, err := os.Stat(program); err != nil || len(modules) == 0 {
		t.Skip("NOT TESTED: there is no Kamailio here (Debian: kamailio, kamailio-websocket-modules)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &Registrar{Host: l.Addr().String(), t: t, dir: t.TempDir(), more: make(chan struct{}, 1)}
	l.Close()
	_, port, _ := net.SplitHostPort(r.Host)
	text := strings.NewReplacer("@PORT@", port, "@MODULES@", filepath.Dir(modules[0])+"/", "@EXPIRES@", fmt.Sprint(expires)).Replace(config)
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "kamailio.cfg"), []byte(text), 0o600))
	r.start()
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("Kamailio says:\n%s", r)
		}
	})
	return r
}

func (r *Registrar) start() {
	cmd := exec.Command(program, "-f", filepath.Join(r.dir, "kamailio.cfg"), "-DD", "-E", "-w", r.dir, "-P", filepath.Join(r.dir, "pid"), "-Y", r.dir)
	cmd.Stdout, cmd.Stderr = (*writer)(r), (*writer)(r)
	require.NoError(r.t, cmd.Start())
	r.stop = func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	}
	// It does not say when it listens.
	require.Eventually(r.t, func() bool {
		c, err := net.Dial("tcp", r.Host)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, guard, 50*time.Millisecond, "Kamailio does not listen")
}

// Restart stops it, which forgets everything, and starts it again.
func (r *Registrar) Restart() {
	r.stop()
	r.start()
}

// URI returns that of a user there.
func (r *Registrar) URI(name string) string { return "sip:" + name + "@" + r.Host }

type writer Registrar

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	return w.log.Write(p)
}

// String returns what it has said.
func (r *Registrar) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// Says waits until it has said something so many times.
func (r *Registrar) Says(text string, times int) {
	r.t.Helper()
	timeout := time.After(guard)
	for strings.Count(r.String(), text) < times {
		select {
		case <-r.more:
		case <-timeout:
			require.FailNow(r.t, "Kamailio does not say "+text)
		}
	}
}
