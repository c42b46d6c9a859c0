package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// attribute is the key under which a test names what it proves.
const attribute = "requirement"

// An event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output, Key, Value string
}

// A testRun is what became of the tests of one package.
type testRun struct {
	output  []event           // in order
	tests   []string          // in the order of their begin
	outcome map[string]string // by test: pass, fail or skip
	claims  []event           // what tests name
}

// A claim says that a test names a requirement.
type claim struct {
	id, test string // the test with its package
	passed   bool
}

// readEvents prints the events of r to w as go test prints them without -json,
// and returns what tests name and the packages that failed.
func readEvents(r io.Reader, w io.Writer) (claims []claim, failed []string, err error) {
	open := map[string]*testRun{}
	var order []string
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line == "" && err == io.EOF {
			break
		}
		if err != nil && err != io.EOF {
			return nil, nil, err
		}
		var e event
		if json.Unmarshal([]byte(line), &e) != nil {
			fmt.Fprint(w, line)
			continue
		}
		if e.Package == "" { // build-output
			fmt.Fprint(w, e.Output)
			continue
		}
		run := open[e.Package]
		if run == nil {
			run = &testRun{outcome: map[string]string{}}
			open[e.Package] = run
			order = append(order, e.Package)
		}
		switch e.Action {
		case "run":
			run.tests = append(run.tests, e.Test)
		case "output":
			run.output = append(run.output, e)
		case "attr":
			if e.Key == attribute {
				run.claims = append(run.claims, e)
			}
		case "pass", "fail", "skip":
			run.outcome[e.Test] = e.Action
			if e.Test != "" {
				continue
			}
			run.print(w)
			claims = append(claims, run.proven(e.Package)...)
			if e.Action == "fail" {
				failed = append(failed, shorten(e.Package))
			}
			delete(open, e.Package)
		}
	}
	for _, name := range order { // those that were cut off
		if run := open[name]; run != nil {
			run.print(w)
			claims = append(claims, run.proven(name)...)
			failed = append(failed, shorten(name))
		}
	}
	return claims, failed, nil
}

func (run *testRun) proven(name string) []claim {
	var list []claim
	for _, e := range run.claims {
		if outcome := run.outcome[e.Test]; outcome != "skip" {
			list = append(list, claim{e.Value, shorten(name) + " " + e.Test, outcome == "pass"})
		}
	}
	return list
}

// print writes the last line of a package that passed, and of another all that
// belongs to its failures.
func (run *testRun) print(w io.Writer) {
	if outcome := run.outcome[""]; outcome == "pass" || outcome == "skip" {
		for _, e := range run.output {
			if e.Test == "" && e.Output != "PASS\n" && e.Output != "testing: warning: no tests to run\n" {
				fmt.Fprint(w, e.Output)
			}
		}
		return
	}
	of := map[string][]string{}
	for _, e := range run.output {
		of[e.Test] = append(of[e.Test], e.Output)
	}
	for _, test := range append(run.tests, "") {
		fine := run.outcome[test] == "pass" || run.outcome[test] == "skip"
		for _, verdict := range of[test] {
			if strings.HasPrefix(verdict, "--- FAIL") {
				fmt.Fprint(w, verdict)
			}
		}
		for _, text := range of[test] {
			// What a test logs is of interest if it failed. What was printed
			// otherwise, a data race for one, is anyway.
			logged := strings.HasPrefix(text, "    ")
			if !strings.HasPrefix(text, "=== ") && !strings.HasPrefix(text, "--- ") && !(fine && logged) {
				fmt.Fprint(w, text)
			}
		}
	}
}

// shorten returns a package's path below the module.
func shorten(name string) string {
	return strings.TrimPrefix(name, "github.com/webmsrp/webmsrp/")
}
