package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// of makes events of one package: "action test text", where the text of attr is
// an id.
func of(pkg string, lines ...string) string {
	var s strings.Builder
	for _, line := range lines {
		f := append(strings.SplitN(line, " ", 3), "", "")
		e := event{Action: f[0], Package: "github.com/webmsrp/webmsrp/" + pkg, Test: f[1], Output: f[2]}
		if e.Action == "attr" {
			e.Key, e.Value, e.Output = "requirement", f[2], ""
		}
		json.NewEncoder(&s).Encode(e)
	}
	return s.String()
}

// test makes the events of one test that claims to prove these.
func test(name, outcome string, ids ...string) []string {
	list := []string{"run " + name, "output " + name + " === RUN   " + name + "\n"}
	for _, id := range ids {
		list = append(list, "attr "+name+" "+id)
	}
	return append(list, "output "+name+"     x_test.go:1: logged by "+name+"\n",
		"output "+name+" --- "+strings.ToUpper(outcome)+": "+name+" (0.00s)\n", outcome+" "+name)
}

func ids(level string) (list []string) {
	for _, q := range requirements() {
		if q.id[0] == 'D' && q.differs == "" && (level == "" || q.level == level) {
			list = append(list, q.id)
		}
	}
	return list
}

const ending = "output  ok  \tmsrp\t0.1s\n"

func TestTable(t *testing.T) {
	every := ids("")
	passed := of("msrp", append(test("TestAll", "pass", every...), "output  PASS\n", ending, "pass")...)
	for name, c := range map[string]struct {
		stream      string
		ok          bool
		want, never []string
	}{
		"all proven": {
			passed, true,
			[]string{"ok  \tmsrp\t0.1s\n", "D-01  MUST    4975 8.1", "pass  msrp TestAll\n", "18 of 18"},
			[]string{"logged", "PASS", "MISSING", "FAIL", "W-01", "==="},
		},
		"from several tests": {
			passed + of("msrp/sdp", append(test("TestMore", "pass", "D-01"), "output  ok  \tmsrp/sdp\t(cached)\n", "pass")...), true,
			[]string{"(cached)", "msrp TestAll +1\n"}, []string{"MISSING"},
		},
		"one is missing": {
			of("msrp", append(test("TestAll", "pass", every[1:]...), ending, "pass")...), false,
			[]string{"MISSING  write m=message", "17 of 18", "1 MISSING"}, []string{"FAIL"},
		},
		"a test that was skipped proves nothing": {
			of("msrp", append(append(test("TestAll", "pass", every[1:]...), test("TestSkipped", "skip", every[0])...), ending, "pass")...), false,
			[]string{"1 MISSING"}, []string{"TestSkipped"},
		},
		"an unknown id": {
			passed + of("msrp/sdp", append(test("TestMore", "pass", "D-99"), ending, "pass")...), false,
			[]string{"unknown requirement D-99: msrp/sdp TestMore\n", "18 of 18"}, []string{"MISSING"},
		},
		"ids that do not count are known": {
			passed + of("msrp/sdp", append(test("TestMore", "pass", "R-01"), ending, "pass")...), true,
			[]string{"18 of 18"}, []string{"unknown", "R-01"},
		},
		"a test fails": {
			passed + of("msrp/sdp", append(append(test("TestFine", "pass", "D-02"), test("TestBad", "fail", "D-01")...),
				"output TestFine WARNING: DATA RACE\n", "output  FAIL\tmsrp/sdp\t0.1s\n", "fail")...), false,
			[]string{
				"--- FAIL: TestBad (0.00s)\n    x_test.go:1: logged by TestBad\n", "FAIL\tmsrp/sdp\t0.1s\n", "WARNING: DATA RACE\n",
				"FAIL  msrp/sdp TestBad +1\n", "1 FAILED", "FAIL: msrp/sdp\n",
			},
			[]string{"logged by TestFine", "PASS"},
		},
		"a test that proves nothing fails": {
			passed + of("msrp/sdp", append(test("TestBad", "fail"), "fail")...), false,
			[]string{"18 of 18", "FAIL: msrp/sdp\n"}, []string{"FAILED"},
		},
		"cut off": {
			passed + of("msrp/sdp", "run TestHung", "attr TestHung D-02", "output TestHung panic: test timed out\n"), false,
			[]string{"panic: test timed out\n", "FAIL  msrp/sdp TestHung +1\n", "FAIL: msrp/sdp\n"}, nil,
		},
		"a broken build": {
			passed + `{"ImportPath":"x","Action":"build-output","Output":"x.go:1: undefined: y\n"}` + "\n" +
				`{"ImportPath":"x","Action":"build-fail"}` + "\n" +
				of("msrp/sdp", "output  FAIL\tmsrp/sdp [build failed]\n", "fail"), false,
			[]string{"x.go:1: undefined: y\nFAIL\tmsrp/sdp [build failed]\n", "FAIL: msrp/sdp\n"}, nil,
		},
		"other lines pass": {"pattern ./x: no such directory\n" + passed, true, []string{"pattern ./x"}, nil},
		"nothing":          {"", false, []string{"0 of 18"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			ok, err := run(strings.NewReader(c.stream), &out, []string{"D"})
			require.NoError(t, err)
			assert.Equal(t, c.ok, ok)
			text := regexp.MustCompile(` {2,}(pass|FAIL|MISSING|reason) +`).ReplaceAllString(out.String(), "  $1  ")
			for _, want := range c.want {
				assert.Contains(t, text, want)
			}
			for _, never := range c.never {
				assert.NotContains(t, text, never)
			}
		})
	}
}

// What stands in the data: ids without gaps, levels that are known, and each
// reason also where people look for it.
func TestRequirements(t *testing.T) {
	text, err := os.ReadFile("../../doc.go")
	require.NoError(t, err)
	words := strings.Join(strings.Fields(strings.ReplaceAll(string(text), "\n//", " ")), " ")
	_, differences, ok := strings.Cut(words, "# Where it differs on purpose")
	require.True(t, ok)
	seen := map[string]bool{}
	count := map[string]int{}
	for _, q := range requirements() {
		assert.Regexp(t, `^[WSDXBR]-\d\d$`, q.id)
		assert.False(t, seen[q.id], q.id)
		seen[q.id] = true
		count[q.id[:1]]++
		assert.Contains(t, []string{"MUST", "SHOULD", "MAY", "RULE", "PD"}, q.level, q.id)
		assert.NotEmpty(t, q.text, q.id)
		if q.level != "PD" && q.id != "W-48" {
			assert.Regexp(t, `^\d{4} `, q.rfc, q.id)
		}
		assert.Contains(t, differences, q.differs, q.id)
	}
	assert.Equal(t, map[string]int{"W": 48, "S": 52, "D": 18, "X": 22, "B": 13, "R": 47}, count)
}
