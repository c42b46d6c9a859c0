package msrptest

import (
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// module is the path of this module, of which a package's functions have names
// such as module/msrp.NewReader.
var module = strings.TrimSuffix(reflect.TypeFor[Conversation]().PkgPath(), "msrp/msrptest")

// CheckLeaks runs the tests of a package and returns the status to exit with:
// a failure, with their stacks, where goroutines of this module live on after
// all tests have ended.
//
//	func TestMain(m *testing.M) { os.Exit(msrptest.CheckLeaks(m)) }
//
// What closing holds is called in between: examples have no other way to close
// what they do not show.
func CheckLeaks(m *testing.M, closing ...func()) int {
	run := func() int {
		code := m.Run()
		for _, f := range closing {
			f()
		}
		return code
	}
	return checkLeaks(run, os.Stderr, Guard)
}

func checkLeaks(run func() int, log io.Writer, patience time.Duration) int {
	code := run()
	if code != 0 || fuzzing() {
		return code
	}
	// What was closed may still be on its way out.
	var leaked []string
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if leaked = alive(); len(leaked) == 0 {
			return code
		}
		if time.Now().After(end) {
			break
		}
	}
	fmt.Fprintf(log, "%d goroutines live on after all tests:\n\n%s\n", len(leaked), strings.Join(leaked, "\n\n"))
	return 1
}

// fuzzing reports whether tests run in pieces that are broken off.
func fuzzing() bool {
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

// alive returns the stacks of the goroutines that run a function of this
// module, or were started by one, but for the one that calls it and the one that
// runs the tests.
func alive() []string {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*n)
		n = runtime.Stack(buf, true)
	}
	_, others, _ := strings.Cut(string(buf[:n]), "\n\n")
	var ours []string
	for stack := range strings.SplitSeq(others, "\n\n") {
		if strings.Contains(stack, "\ntesting.(*M).Run(") {
			continue
		}
		for line := range strings.Lines(stack) {
			if strings.HasPrefix(strings.TrimPrefix(line, "created by "), module) {
				ours = append(ours, stack)
				break
			}
		}
	}
	return ours
}
