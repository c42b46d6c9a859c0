// Webmsrp is MSRP for the Web: a relay for browsers (serve), an ordinary peer
// in the terminal (peer), and a mint of credentials (credential).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/webmsrp/webmsrp/proxy/credential"
	"github.com/webmsrp/webmsrp/proxy/peer"
	"github.com/webmsrp/webmsrp/proxy/serve"
	"github.com/webmsrp/webmsrp/proxy/settings"
)

const usage = `webmsrp: MSRP for the Web

  webmsrp serve        run the relay, the rendezvous and the page
  webmsrp serve --dev  the same on this machine with nothing to configure
  webmsrp peer         an ordinary MSRP endpoint in the terminal
  webmsrp credential   make a time-limited username and password
  webmsrp version      say which build this is

Each command explains its settings with --help.
`

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, stop := context.WithCancel(context.Background())
	hurry := make(chan struct{})
	go func() {
		<-signals
		stop()
		<-signals
		close(hurry)
	}()
	err := run(ctx, hurry, os.Args[1:])
	var wrong *settings.UsageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &wrong):
		fmt.Fprintln(os.Stderr, "webmsrp:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "webmsrp:", err)
		os.Exit(1)
	}
}

// run runs a command until ctx ends, and what it has to finish then until hurry
// is closed.
func run(ctx context.Context, hurry <-chan struct{}, args []string) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "serve":
		config, err := serve.Parse(args, os.Stdout)
		if err != nil {
			return err
		}
		config.Hurry = hurry
		if os.Getenv("GOGC") == "" {
			// Forwarding makes next to no garbage, so what counts is what clients
			// hold. The floor, of which no page is ever touched, keeps a small heap
			// from being collected all the time.
			debug.SetGCPercent(25)
			floor := make([]byte, 32<<20)
			defer runtime.KeepAlive(floor)
		}
		return serve.Run(ctx, config, os.Stderr, func(s *serve.Server) {
			if config.Dev {
				s.Welcome(os.Stdout)
			}
		})
	case "peer":
		return peer.Command(ctx, args, os.Stdin, os.Stdout)
	case "credential":
		return mint(args, os.Stdout)
	case "version", "--version":
		fmt.Println(version())
		return nil
	case "", "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	}
	return settings.Errorf("unknown command %q\n\n%s", command, usage)
}

// version names the release, or the commit that was built, and what built it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "webmsrp, of unknown origin"
	}
	commit, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = ", commit " + s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	return fmt.Sprintf("webmsrp %s%s%s, %s %s/%s", info.Main.Version, commit, changed, info.GoVersion, runtime.GOOS, runtime.GOARCH)
}

// mint is the command "webmsrp credential".
func mint(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("credential", flag.ContinueOnError)
	secret := fs.String("secret", "", "the shared `secret` of webmsrp serve")
	user := fs.String("user", "", "the `name` of the user")
	var ttl time.Duration
	settings.Duration(fs, &ttl, "ttl", 24*time.Hour, "how long the credentials last")
	if err := settings.Parse(fs, args, "webmsrp credential makes a username and password that last for a time.", out); err != nil {
		return err
	}
	if *secret == "" || *user == "" || ttl <= 0 {
		return settings.Errorf("credential needs --secret, --user and a positive --ttl")
	}
	username, password := credential.Mint(*secret, *user, time.Now().Add(ttl))
	_, err := fmt.Fprintf(out, "username %s\npassword %s\n", username, password)
	return err
}
