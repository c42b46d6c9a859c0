package main

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/proxy/bridge"
	"github.com/webmsrp/webmsrp/proxy/settings"
)

// The test program is the program itself where this is set.
const asProgram = "AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program starts the program and returns it once it has said where it listens.
func program(t *testing.T, args ...string) (cmd *exec.Cmd, address string) {
	cmd = exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/`).FindStringSubmatch(lines.Text()); m != nil {
			return cmd, m[1]
		}
	}
	require.FailNow(t, "it does not start")
	return nil, ""
}

func wait(t *testing.T, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(20 * time.Second):
		require.FailNow(t, "it does not end")
		return nil
	}
}

// SIGTERM and SIGINT end the program with status 0, and another takes its place
// on the same port at once.
func TestSignals(t *testing.T) {
	address := "127.0.0.1:0"
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		var cmd *exec.Cmd
		cmd, address = program(t, "serve", "--dev", "--listen="+address, "--msrp-listen=127.0.0.1:0", "--msrps-listen=127.0.0.1:0", "--admin-listen=")
		response, err := http.Get("http://" + address + "/credentials?name=alice")
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, 200, response.StatusCode)
		require.NoError(t, cmd.Process.Signal(signal))
		assert.NoError(t, wait(t, cmd))
		_, err = net.Dial("tcp", address)
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
}

// A second signal does not wait for what is under way: a message to a peer that
// does not answer.
func TestSecondSignal(t *testing.T) {
	cmd, address := program(t, "serve", "--dev", "--listen=127.0.0.1:0", "--msrp-listen=127.0.0.1:0", "--msrps-listen=127.0.0.1:0", "--admin-listen=", "--drain-timeout=1h")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()

	response, err := http.Get("http://" + address + "/credentials?name=alice")
	require.NoError(t, err)
	var credentials struct{ Username, Password string }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&credentials))
	response.Body.Close()
	ws, err := bridge.DialWebSocket(t.Context(), "ws://"+address+"/msrp", 1<<16, nil)
	require.NoError(t, err)
	endpoint := msrp.NewEndpoint(nil)
	conn := endpoint.NewConn(msrp.NewMessages(ws))
	defer conn.Close()
	relay, err := msrp.ParseURI("msrp://" + address + ";ws")
	require.NoError(t, err)
	own, err := msrp.ParseURI("msrp://a.invalid:2855/al1ceS3ss10n;ws")
	require.NoError(t, err)
	grant, err := conn.Authenticate(t.Context(), msrp.Auth{
		Relay: msrp.Path{relay}, URI: own, Username: credentials.Username, Password: credentials.Password, Direct: true,
	})
	require.NoError(t, err)
	session, err := endpoint.NewSession(msrp.SessionOptions{URI: own})
	require.NoError(t, err)
	peer, err := msrp.ParsePath("msrp://" + silent.Addr().String() + "/b0b;tcp")
	require.NoError(t, err)
	require.NoError(t, session.Start(msrp.Remote{Path: grant.ToPath(peer), Conn: conn, Active: true}))
	_, err = session.Send(t.Context(), msrp.Text("no answer comes"))
	require.NoError(t, err)
	c, err := silent.Accept()
	require.NoError(t, err)
	defer c.Close()
	_, err = msrp.NewReader(c).Next()
	require.NoError(t, err)

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err != nil
	}, 20*time.Second, 10*time.Millisecond, "it stops accepting")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	assert.NoError(t, wait(t, cmd))
}

// Settings that contradict each other end it with status 2 and one line.
func TestUsageErrors(t *testing.T) {
	cmd := exec.Command(os.Args[0], "serve", "--auth-header=X-Forwarded-User")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 2, exit.ExitCode())
	assert.Equal(t, 1, strings.Count(string(out), "\n"), "%s", out)
}

// They say what is wrong in the words of the command line.
func TestUsageTexts(t *testing.T) {
	for want, args := range map[string][]string{
		"unknown command \"server\"":                {"server"},
		"a time is a number with its unit":          {"serve", "--drain-timeout=5"},
		"--connect: msrp: URI \"bob\": no scheme":   {"peer", "--connect=bob"},
		"--uri: msrp: URI \"bob\": no scheme":       {"peer", "--listen=127.0.0.1:0", "--uri=bob"},
		"--relay: msrp: URI \"relay\": no scheme":   {"peer", "--listen=127.0.0.1:0", "--relay=relay", "--user=bob", "--password=secret"},
		"credential needs --secret, --user and a":   {"credential", "--secret=x"},
		"--listen takes every address: give --host": {"peer", "--listen=:0"},
	} {
		err := run(t.Context(), nil, args)
		var usage *settings.UsageError
		if assert.ErrorAs(t, err, &usage, want) {
			assert.Contains(t, err.Error(), want)
		}
	}
}

// Whoever runs a build can say which it is.
func TestVersion(t *testing.T) {
	cmd := exec.Command(os.Args[0], "version")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.Output()
	require.NoError(t, err)
	assert.Regexp(t, `^webmsrp .+, go1\.\S+ \w+/\w+\n$`, string(out))
}
