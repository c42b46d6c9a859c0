package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// A requirement is a line of requirements.tsv.
type requirement struct {
	id, level, rfc, text string
	differs              string // why it is not met, on purpose; doc.go of package msrp says the same
}

//go:embed requirements.tsv
var data string

func requirements() (list []requirement) {
	for line := range strings.Lines(data) {
		f := append(strings.Split(strings.TrimSpace(line), "\t"), "") // most have no reason
		list = append(list, requirement{f[0], f[1], f[2], f[3], f[4]})
	}
	return list[1:] // without the names of the columns
}

// run prints the tests and the table, and reports whether all is well.
func run(r io.Reader, w io.Writer, letters []string) (ok bool, err error) {
	claims, failed, err := readEvents(r, w)
	if err != nil {
		return false, err
	}
	// Failures first, then a fixed order.
	slices.SortFunc(claims, func(a, b claim) int {
		if a.passed != b.passed && b.passed {
			return -1
		} else if a.passed != b.passed {
			return 1
		}
		return cmp.Or(cmp.Compare(a.test, b.test), cmp.Compare(a.id, b.id))
	})
	by := map[string][]claim{}
	for _, c := range slices.Compact(claims) {
		by[c.id] = append(by[c.id], c)
	}

	var all, proven, different, wrong, missing int
	ok = len(failed) == 0
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table)
	for _, q := range requirements() {
		tests := by[q.id]
		delete(by, q.id)
		if !slices.Contains(letters, q.id[:1]) {
			continue
		}
		all++
		result, by := "pass", ""
		switch {
		case len(tests) > 0:
			by = tests[0].test
			if len(tests) > 1 {
				by += fmt.Sprintf(" +%d", len(tests)-1)
			}
		case q.differs != "":
			by = q.differs
		default:
			by = q.text
		}
		switch {
		case len(tests) > 0 && !tests[0].passed:
			result, ok = "FAIL", false
			wrong++
		case q.differs != "":
			result = "reason"
			different++
		case len(tests) > 0:
			proven++
		default:
			result = "MISSING"
			missing++
			ok = ok && q.level == "MAY"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", q.id, q.level, q.rfc, result, by)
	}
	table.Flush()
	for _, id := range slices.Sorted(maps.Keys(by)) {
		ok = false
		fmt.Fprintf(w, "unknown requirement %s: %s\n", id, by[id][0].test)
	}
	fmt.Fprintf(w, "requirements: %d of %d: %d proven by tests, %d deliberately different", proven+different, all, proven, different)
	if wrong > 0 {
		fmt.Fprintf(w, ", %d FAILED", wrong)
	}
	if missing > 0 {
		fmt.Fprintf(w, ", %d MISSING", missing)
	}
	fmt.Fprintln(w)
	if len(failed) > 0 {
		fmt.Fprintln(w, "FAIL:", strings.Join(failed, ", "))
	}
	return ok, nil
}
