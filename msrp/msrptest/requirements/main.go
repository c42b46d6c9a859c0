// Requirements tells which rules of the RFCs the tests prove. It reads the
// events of go test, prints what go test prints without -json, and then one
// line for each rule in requirements.tsv:
//
//	go test -json ./... | go run ./msrp/msrptest/requirements
//
// A test names a rule that it proves by its id, one call for each:
//
//	t.Attr("requirement", "S-10")
//
// The exit status is 1 if a test failed, if a test names an id that is not in
// the table, or if a rule in there has neither a test that passes nor a reason
// to differ from it. Rules of level MAY are free. With -letters only the rules
// whose ids begin with these count:
//
//	W  the wire format
//	S  endpoints
//	D  SDP
//	X  extensions
//	B  WebSocket
//	R  relays
//
// The levels are the RFC's own words; RULE is what an RFC says without one, and
// PD a decision of this project where the RFCs are silent.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	letters := flag.String("letters", "W,S,D,X,B,R", "first letters of the ids that count, with commas")
	flag.Parse()
	ok, err := run(os.Stdin, os.Stdout, strings.Split(*letters, ","))
	if err != nil {
		fmt.Fprintln(os.Stderr, "requirements:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}
