package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrpnet"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
	"github.com/webmsrp/webmsrp/proxy/bridge"
	"github.com/webmsrp/webmsrp/proxy/credential"
)

// foreign is a relay that is not ours, Kamailio on loopback: plain WebSocket on one port, MSRP over
// TLS on another, the user alice with the password secret.
type foreign struct {
	webSocket string
	uri       msrp.URI
}

// startKamailio runs it with the certificate of "localhost" in cert and key.
func startKamailio(t *testing.T, cert, key string) foreign {
	const program = "/usr/sbin/kamailio"
	modules, _ := filepath.Glob("/usr/lib/*/kamailio/modules/tls.so")
	if _, err := os.Stat(program); err != nil || len(modules) == 0 {
		t.Skip("NOT TESTED: there is no Kamailio here (Debian: kamailio, kamailio-tls-modules, kamailio-websocket-modules)")
	}
	config, err := os.ReadFile("../../msrp/testdata/kamailio.cfg")
	require.NoError(t, err)
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return port
	}
	plain, secure := free(), free()
	dir := t.TempDir()
	// The configuration of the recorded conversations, and TLS.
	replace := func(old, with string) {
		require.Equal(t, 1, strings.Count(string(config), old), old)
		config = []byte(strings.Replace(string(config), old, with, 1))
	}
	replace("listen=tcp:127.0.0.1:@PORT@\n", "listen=tcp:127.0.0.1:"+plain+"\nlisten=tls:127.0.0.1:"+secure+"\nenable_tls=yes\n")
	replace("\n\nmodparam(", "\nloadmodule \"tls.so\"\nmodparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\n"+
		"modparam(\"tls\", \"certificate\", \""+cert+"\")\nmodparam(\"tls\", \"private_key\", \""+key+"\")\n\nmodparam(")
	replace("Use-Path: msrp://127.0.0.1:@PORT@/", "Use-Path: msrps://localhost:"+secure+"/")
	// Responses to requests that went further than the next hop go back to
	// clients that nobody can connect to.
	replace("\tif (msrp_is_reply()) {\n", "\tif (msrp_is_reply()) {\n"+
		"\t\t$var(id) = $msrp(sessid);\n\t\tif ($msrp(nexthops) > 0 && $sht(msrp=>$var(id)::addr) != $null) {\n"+
		"\t\t\tmsrp_relay_flags(\"1\");\n\t\t\tmsrp_set_dst(\"$sht(msrp=>$var(id)::addr)\", \"$sht(msrp=>$var(id)::sock)\");\n\t\t}\n")
	replace("@MODULES@", filepath.Dir(modules[0])+"/")
	file := filepath.Join(dir, "kamailio.cfg")
	require.NoError(t, os.WriteFile(file, config, 0o600))

	var log bytes.Buffer
	cmd := exec.Command(program, "-f", file, "-DD", "-E", "-w", dir, "-P", filepath.Join(dir, "pid"), "-Y", dir)
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
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+secure)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, guard, 50*time.Millisecond, "Kamailio does not listen")
	uri, err := msrp.ParseURI("msrps://localhost:" + secure + ";tcp")
	require.NoError(t, err)
	return foreign{"ws://127.0.0.1:" + plain + "/msrp", uri}
}

// Chains of our relay and a foreign one (RFC 4976, section 5.1): alice authenticates
// at the nearer one and through it at the farther one, which stands in for her.
func TestChainsWithKamailio(t *testing.T) {
	certificate, args := files(t)
	value := func(name string) string {
		for _, a := range args {
			if v, ok := strings.CutPrefix(a, "--"+name+"="); ok {
				return v
			}
		}
		require.FailNow(t, name)
		return ""
	}
	kamailio := startKamailio(t, value("tls-cert"), value("tls-key"))
	s := run(t, append(args, "--peer-ca="+value("tls-cert"), "--peer-allow=127.0.0.0/8:1024-65535")...)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}}
	_, port, _ := net.SplitHostPort(s.Addr["msrps-listen"])
	ours, err := msrp.ParseURI("msrps://localhost:" + port + ";tcp")
	require.NoError(t, err)
	username, password := credential.Mint("north", "alice", time.Now().Add(time.Hour))

	type relay struct {
		uri                msrp.URI
		username, password string
	}
	we, they := relay{ours, username, password}, relay{kamailio.uri, "alice", "secret"}
	for name, c := range map[string]struct {
		webSocket string
		near, far relay
	}{
		"alice, ours, Kamailio, bob": {"wss://" + s.Addr["listen"] + "/msrp", we, they},
		"alice, Kamailio, ours, bob": {kamailio.webSocket, they, we},
	} {
		t.Run(name, func(t *testing.T) {
			for _, id := range []string{"R-42", "R-43"} {
				t.Attr("requirement", id)
			}
			ctx, cancel := context.WithTimeout(t.Context(), guard)
			defer cancel()
			ws, err := bridge.DialWebSocket(ctx, c.webSocket, 64<<10, client)
			require.NoError(t, err)
			alices, bobs := msrp.NewEndpoint(nil), msrp.NewEndpoint(nil)
			conn := alices.NewConn(msrp.NewMessages(ws))
			defer conn.Close()
			own, err := msrp.MakeURI(true, "alice.invalid", 2855, msrp.NewID(), msrp.TransportWS)
			require.NoError(t, err)
			near, err := conn.Authenticate(ctx, msrp.Auth{Relay: msrp.Path{c.near.uri}, URI: own, Username: c.near.username, Password: c.near.password})
			require.NoError(t, err)
			place, err := conn.Authenticate(ctx, msrp.Auth{Relay: near.UsePath.Join(c.far.uri), URI: own, Username: c.far.username, Password: c.far.password})
			require.NoError(t, err)
			if len(place.UsePath) == 1 { // this configuration of Kamailio names itself alone
				place.UsePath = near.UsePath.Join(place.UsePath...)
			}
			require.Len(t, place.UsePath, 2)

			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			go msrpnet.Serve(tls.NewListener(l, msrpnet.ServerConfig(mustLoad(t, value("tls-cert"), value("tls-key")))), bobs)
			bobURI, err := msrp.MakeURI(true, "localhost", l.Addr().(*net.TCPAddr).Port, msrp.NewID(), msrp.TransportTCP)
			require.NoError(t, err)
			alice, err := alices.NewSession(msrp.SessionOptions{URI: own})
			require.NoError(t, err)
			bob, err := bobs.NewSession(msrp.SessionOptions{URI: bobURI})
			require.NoError(t, err)
			require.NoError(t, bob.Start(msrp.Remote{Path: place.PathFor(own)}))
			require.NoError(t, alice.Start(msrp.Remote{Path: place.ToPath(msrp.Path{bobURI}), Conn: conn, Active: true}))
			for _, s := range [][2]*msrp.Session{{alice, bob}, {bob, alice}} {
				out, err := s[0].Send(ctx, msrp.Text("Grüße über zwei Relays 👋"))
				require.NoError(t, err)
				require.NoError(t, out.Delivered(ctx))
				assert.Equal(t, "Grüße über zwei Relays 👋", msrptest.Read(t, ctx, s[1]))

				const size = 300_000
				want, got := sha256.New(), sha256.New()
				_, err = s[0].Send(ctx, &msrp.Message{ContentType: "application/octet-stream", Size: size, Body: io.TeeReader(msrptest.Octets(size, 1), want)})
				require.NoError(t, err)
				in, err := s[1].Receive(ctx)
				require.NoError(t, err)
				n, err := io.Copy(got, in)
				require.NoError(t, err)
				assert.EqualValues(t, size, n)
				assert.Equal(t, want.Sum(nil), got.Sum(nil))
			}
		})
	}
}

func mustLoad(t *testing.T, cert, key string) tls.Certificate {
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	return pair
}
