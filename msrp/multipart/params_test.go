package multipart

import (
	"fmt"
	"mime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParams(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "-",
		"a b":                        "-",
		"a/b/c":                      "-",
		"\"a\"; b=c":                 "-",
		" Text/Plain ":               "text/plain map[]",
		"a/b;":                       "a/b map[]",
		"a/b ; C = d ;e=\"f\";":      "a/b map[c:d e:f]",
		`a/b; c="\"\\;=x"`:           `a/b map[c:"\;=x]`,
		`a/b; c=""`:                  "a/b map[c:]",
		"a/b; boundary=----=_Part_1": "a/b map[boundary:----=_Part_1]",
		"attachment; filename=a.txt; filename*=UTF-8'de'%c3%a4;": "attachment map[filename:ä]",
		"attachment; filename*=utf-8''%e4%zz%":                   "attachment map[filename:\xe4%zz%]",
		"attachment; filename*=iso-8859-1''%e4":                  "attachment map[filename*:iso-8859-1''%e4]",
		"attachment; filename*=x":                                "attachment map[filename*:x]",
		"a/b; c":                                                 "-",
		"a/b; =d":                                                "-",
		"a/b; c=":                                                "-",
		"a/b; c=;d=e":                                            "-",
		`a/b; c="d`:                                              "-",
		`a/b; c="d\`:                                             "-",
		`a/b; c="d"e`:                                            "-",
		`a/b; c=d"e"`:                                            "-",
		"a/b; c d=e":                                             "-",
		"a/b; c=d e=f":                                           "-",
		"a/b; c=d; C=e":                                          "-",
		"a/b;; c=d":                                              "-",
	} {
		value, params, err := parseParams(text)
		assert.Equal(t, want == "-", err != nil, text)
		if err == nil {
			assert.Equal(t, want, value+" "+fmt.Sprint(params), text)
		}
	}
}

// What the standard library writes is read the same.
func FuzzParams(f *testing.F) {
	f.Add("boundary", "gc0pJq0M:08jU534c0p", "x", "\"\\\x00")
	f.Add("filename", "ä.png", "size", "")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		parseParams(name1 + ";" + value1)
		text := mime.FormatMediaType("a/b", map[string]string{name1: value1, name2: value2})
		if text == "" || strings.Contains(name1+name2, "*") || name1 != name2 && strings.EqualFold(name1, name2) {
			return // the latter is one parameter twice, which the standard library takes if both are the same
		}
		_, want, err := mime.ParseMediaType(text)
		if err != nil {
			return
		}
		value, params, err := parseParams(text)
		require.NoError(t, err)
		assert.Equal(t, "a/b", value)
		assert.Equal(t, want, params)
	})
}
