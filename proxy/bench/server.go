//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/webmsrp/webmsrp/msrp/msrpnet"
)

// secret is what credentials of the relay are made with.
const secret = "bench"

// A server is a program under load.
type server struct {
	name    string
	address string // where clients connect
	peers   string // where peers of the relay connect
	admin   string // of the relay's metrics
	secure  bool

	cmd *exec.Cmd
	log bytes.Buffer
}

// freePort returns an address on loopback where nobody listens.
func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a program on the core of the servers until it listens.
func (s *server) start(program string, args ...string) error {
	s.cmd = exec.Command("taskset", append([]string{"-c", strconv.Itoa(serverCore), program}, args...)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", s.address); err == nil {
			c.Close()
			return nil
		} else if time.Now().After(deadline) {
			s.stop()
			return fmt.Errorf("%s does not listen: %w\n%s", s.name, err, &s.log)
		}
	}
}

func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(5*time.Second, func() { syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	s.cmd.Wait()
}

// startRelay runs "webmsrp serve" as it stands behind a proxy that ends TLS, or
// with TLS of its own, and takes chunks as they come. Its peers find it at an
// address of theirs.
func startRelay(program, dir, forPeers string, secure bool) (*server, error) {
	_, port, _ := net.SplitHostPort(freePort())
	s := &server{name: "relay", address: freePort(), peers: net.JoinHostPort(forPeers, port), admin: freePort(), secure: secure}
	args := []string{
		"serve", "--listen", s.address, "--msrp-listen", s.peers, "--admin-listen", s.admin, "--public-host", forPeers, "--secret", secret,
		"--plain-peers", "--peer-allow", "127.0.0.0/8:1024-65535," + farEnd + ":1024-65535", "--peer-chunk", "0", "--max-connections", "15000", "--max-connections-per-address", "0", "--log-level", "error",
	}
	if secure {
		cert, key, err := writeCertificate(dir)
		if err != nil {
			return nil, err
		}
		args = append(args, "--tls-cert", cert, "--tls-key", key, "--msrps-listen", freePort())
	} else {
		args = append(args, "--trusted-proxy", "127.0.0.0/8")
	}
	return s, s.start(program, args...)
}

func writeCertificate(dir string) (cert, key string, err error) {
	pair, err := msrpnet.SelfSigned("127.0.0.1", "localhost")
	if err != nil {
		return "", "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return "", "", err
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	return cert, key, errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}

// errAbsent is for baselines that are not installed.
var errAbsent = errors.New("not installed")

const haproxyConfig = `global
  nbthread 1
  maxconn 1000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen bench
  bind %s
  server peer %s
`

// startHAProxy runs haproxy as a TCP proxy to a peer, with its defaults.
func startHAProxy(dir, peer string) (*server, error) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		return nil, errAbsent
	}
	s := &server{name: "haproxy", address: freePort()}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, haproxyConfig, s.address, peer), 0o600); err != nil {
		return nil, err
	}
	return s, s.start(program, "-db", "-f", file)
}

// Kamailio asks nobody who it is here and relays whatever To-Path says: less
// than it would do in earnest. Responses of the peer end there, as RFC 4976
// has it.
const kamailioConfig = `#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
disable_tcp=no
tcp_children=1
tcp_connection_lifetime=3604
tcp_accept_no_cl=yes
tcp_rd_buf_size=16384
tcp_conn_wq_max=4194304
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=no
listen=tcp:%s
mpath="%s/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "xhttp.so"
loadmodule "msrp.so"
loadmodule "websocket.so"
request_route {
	sl_send_reply("404", "Not here");
}
event_route[xhttp:request] {
	ws_handle_handshake();
	exit;
}
event_route[msrp:frame-in] {
	msrp_reply_flags("1");
	if (msrp_is_reply()) exit;
	msrp_reply("200", "OK");
	msrp_relay();
}
`

func startKamailio(dir string) (*server, error) {
	program := "/usr/sbin/kamailio"
	modules, _ := filepath.Glob("/usr/lib/*/kamailio/modules/websocket.so")
	if _, err := os.Stat(program); err != nil || len(modules) == 0 {
		return nil, errAbsent
	}
	s := &server{name: "kamailio", address: freePort()}
	s.peers = s.address
	file := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, kamailioConfig, s.address, filepath.Dir(modules[0])), 0o600); err != nil {
		return nil, err
	}
	return s, s.start(program, "-f", file, "-DD", "-E", "-w", dir, "-P", filepath.Join(dir, "pid"), "-Y", dir)
}

// cpu returns the CPU time of the server and its children so far.
func (s *server) cpu() time.Duration {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	group := strconv.Itoa(s.cmd.Process.Pid)
	var ticks int64
	for _, name := range stats {
		text, _ := os.ReadFile(name)
		// The name in parentheses may hold anything.
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 12 && f[2] == group {
			for _, field := range f[11:13] {
				n, _ := strconv.ParseInt(field, 10, 64)
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * time.Second / 100
}

// rss returns how many octets of memory the server has.
func (s *server) rss() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(f[0], 10, 64)
	return n << 10
}

// mallocs returns how many allocations the relay has made.
func (s *server) mallocs() float64 { return s.metric("go_memstats_mallocs_total") }

func (s *server) metric(name string) float64 {
	r, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	defer io.Copy(io.Discard, r.Body)
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, _ := strconv.ParseFloat(value, 64)
			return n
		}
	}
	return 0
}
