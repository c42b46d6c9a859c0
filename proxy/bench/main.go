//go:build linux

// Command bench measures the relay of "webmsrp serve" beside programs that are
// known for their speed, on one machine: haproxy, which copies octets and knows
// no MSRP, and Kamailio, which relays MSRP.
//
// The server at hand has one core, the load generator and the peer another.
// Rounds of the relay and of the baseline take turns, and what counts is the
// median of their ratios: a machine that does other things besides disturbs both
// alike. CPU time per message is the steadier figure, MB/s and messages/s are
// what users see.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func main() {
	b := &bench{}
	flag.StringVar(&b.relayProgram, "relay", "bin/webmsrp", "the `program` whose command serve is measured")
	flag.IntVar(&b.rounds, "rounds", 3, "how often each figure is taken")
	flag.DurationVar(&b.length, "length", time.Second, "how long each round measures, after a third of it to warm up")
	flag.IntVar(&b.clients, "clients", 10_000, "how many clients are idle at once")
	only := flag.String("run", "", "run what this `expression` matches")
	limit := flag.Duration("limit", 8*time.Minute, "end after this time at the latest")
	flag.Parse()
	if os.Getenv(inside) == "" {
		os.Exit(enter())
	}
	// Servers die with the thread that started them.
	runtime.LockOSThread()
	prepareNetwork()
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, func() {
		fmt.Fprintln(os.Stderr, "bench:", context.Cause(ctx))
		os.Exit(1)
	})()
	var err error
	if b.only, err = regexp.Compile(*only); err == nil {
		err = b.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// inside is the variable that tells the program that it has its core already,
// and whether the network is its own.
const (
	inside     = "WEBMSRP_BENCH"
	ownNetwork = "own network"
)

// The cores of the servers and of everything else, the same where there is but
// one.
const serverCore = 0

var loadCore = min(1, runtime.NumCPU()-1)

// enter runs the program again on its core and, where it may, in a network
// namespace of its own. It returns the exit code.
func enter() int {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	start := func(network string, flags uintptr) (*exec.Cmd, error) {
		cmd := exec.Command("taskset", append([]string{"-c", strconv.Itoa(loadCore), self}, os.Args[1:]...)...)
		cmd.Env = append(os.Environ(), inside+"="+network)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGTERM}
		return cmd, cmd.Start()
	}
	runtime.LockOSThread()
	cmd, err := start(ownNetwork, syscall.CLONE_NEWNET)
	if err != nil {
		fmt.Println("No network namespace of its own:", err)
		cmd, err = start("shared network", 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	signal.Ignore(os.Interrupt) // it gets there as well, and ends
	cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

// prepareNetwork brings up loopback, with a congestion control that does not
// wait where no octets are lost: bbr does.
func prepareNetwork() {
	if os.Getenv(inside) != ownNetwork {
		return
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"route", "replace", "local", "127.0.0.0/8", "dev", "lo", "table", "local", "proto", "kernel", "scope", "host", "src", "127.0.0.1", "congctl", "cubic"},
		{"route", "replace", "local", "127.0.0.1", "dev", "lo", "table", "local", "proto", "kernel", "scope", "host", "src", "127.0.0.1", "congctl", "cubic"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			fmt.Printf("ip %v: %v %s\n", args, err, out)
		}
	}
}
