package settings_test

import (
	"bytes"
	"flag"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/proxy/settings"
)

// values are settings of each kind.
type values struct {
	host  string
	links int
	plain bool
	ttl   time.Duration
}

// parse reads settings with these variables and arguments, and returns which
// flags count as set.
func parse(t *testing.T, env map[string]string, args ...string) (v values, set []string, help string, err error) {
	for name, value := range env {
		t.Setenv(name, value)
	}
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.StringVar(&v.host, "public-host", "localhost", "the `name` of\nthis instance")
	fs.IntVar(&v.links, "max-links", 10, "a `number`")
	fs.BoolVar(&v.plain, "plain", false, "without TLS")
	settings.Duration(fs, &v.ttl, "ttl", 0, "how long")
	var out bytes.Buffer
	err = settings.Parse(fs, args, "A summary.", &out)
	fs.Visit(func(f *flag.Flag) { set = append(set, f.Name) })
	return v, set, out.String(), err
}

type env = map[string]string

// A flag counts more than its environment variable, and that more than the
// default.
func TestPrecedence(t *testing.T) {
	for _, c := range []struct {
		name string
		env  env
		args []string
		want values
		set  []string
	}{
		{"defaults", nil, nil, values{"localhost", 10, false, 0}, nil},
		{"variables", env{"WEBMSRP_PUBLIC_HOST": "a.example", "WEBMSRP_MAX_LINKS": "20", "WEBMSRP_PLAIN": "true", "WEBMSRP_TTL": "1m"}, nil,
			values{"a.example", 20, true, time.Minute}, []string{"max-links", "plain", "public-host", "ttl"}},
		{"flags", nil, []string{"--public-host=b.example", "--max-links", "30", "--plain", "-ttl=2m"},
			values{"b.example", 30, true, 2 * time.Minute}, []string{"max-links", "plain", "public-host", "ttl"}},
		{"flags before variables", env{"WEBMSRP_PUBLIC_HOST": "a.example", "WEBMSRP_MAX_LINKS": "20", "WEBMSRP_PLAIN": "true"}, []string{"--public-host=b.example", "--plain=false"},
			values{"b.example", 20, false, 0}, []string{"max-links", "plain", "public-host"}},
		{"a flag that repeats the default", env{"WEBMSRP_MAX_LINKS": "20"}, []string{"--max-links=10"}, values{"localhost", 10, false, 0}, []string{"max-links"}},
		{"a flag saves from a broken variable", env{"WEBMSRP_MAX_LINKS": "many"}, []string{"--max-links=30"}, values{"localhost", 30, false, 0}, []string{"max-links"}},
		{"an empty variable is a value", env{"WEBMSRP_PUBLIC_HOST": ""}, nil, values{"", 10, false, 0}, []string{"public-host"}},
		{"variables of other commands", env{"WEBMSRP_SECRET": "x", "WEBMSRP_MAXLINKS": "20"}, nil, values{"localhost", 10, false, 0}, nil},
		{"variables without the prefix", env{"MAX_LINKS": "30"}, nil, values{"localhost", 10, false, 0}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, set, help, err := parse(t, c.env, c.args...)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.set, set)
			assert.Empty(t, help)
		})
	}
}

// What is wrong is named as the user wrote it.
func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		env  env
		args []string
		want []string
	}{
		{"unknown flag", nil, []string{"--typo"}, []string{"unknown setting --typo", "--help"}},
		{"unknown flag with one dash", nil, []string{"-typo=1"}, []string{"unknown setting --typo"}},
		{"argument", nil, []string{"relay.example.com"}, []string{`unexpected argument "relay.example.com"`, "--help"}},
		{"argument behind flags", nil, []string{"--plain", "true"}, []string{`unexpected argument "true"`}},
		{"no value", nil, []string{"--max-links"}, []string{"no value for --max-links"}},
		{"bad number", nil, []string{"--max-links=many"}, []string{`invalid value "many" for --max-links:`}},
		{"bad truth", nil, []string{"--plain=perhaps"}, []string{`"perhaps" for --plain:`}},
		{"bad duration", nil, []string{"--ttl=1"}, []string{`"1" for --ttl: a time is a number with its unit, such as 30s`}},
		{"bad duration in a variable", env{"WEBMSRP_TTL": "1"}, nil, []string{"WEBMSRP_TTL", `"1"`, "such as 30s"}},
		{"bad variable", env{"WEBMSRP_MAX_LINKS": "many"}, nil, []string{"WEBMSRP_MAX_LINKS", `"many"`}},
		{"empty variable for a number", env{"WEBMSRP_MAX_LINKS": ""}, nil, []string{"WEBMSRP_MAX_LINKS", `""`}},
		{"two bad variables, the first is told", env{"WEBMSRP_MAX_LINKS": "many", "WEBMSRP_TTL": "long"}, nil, []string{"WEBMSRP_MAX_LINKS"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, help, err := parse(t, c.env, c.args...)
			var usage *settings.UsageError
			require.ErrorAs(t, err, &usage)
			for _, want := range c.want {
				assert.Contains(t, err.Error(), want)
			}
			assert.NotContains(t, err.Error(), "\n")
			assert.Empty(t, help)
		})
	}
}

func TestHelp(t *testing.T) {
	for _, arg := range []string{"--help", "-h"} {
		_, _, help, err := parse(t, nil, arg)
		assert.Equal(t, flag.ErrHelp, err)
		assert.Contains(t, help, "A summary.\n")
		assert.Contains(t, help, "WEBMSRP_SOME_NAME")
		assert.Contains(t, help, "  --public-host name\n        the name of\n        this instance (default localhost)\n")
		assert.Contains(t, help, "  --plain\n        without TLS\n")
	}
}

// A variable that was misspelt is found; those of other commands and of
// Kubernetes are none.
func TestUnknown(t *testing.T) {
	for _, name := range []string{"WEBMSRP_PLIAN", "WEBMSRP_PORTS", "WEBMSRP_PLAIN", "WEBMSRP_USER", "WEBMSRP_SERVICE_HOST", "WEBMSRP_SERVICE_PORT_HTTP", "WEBMSRP_PORT", "WEBMSRP_PORT_8080_TCP_ADDR", "XWEBMSRP_A"} {
		t.Setenv(name, "x")
	}
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.Bool("plain", false, "")
	assert.Equal(t, []string{"WEBMSRP_PLIAN", "WEBMSRP_PORTS"}, settings.Unknown(fs, "user"))
}

func TestErrorf(t *testing.T) {
	var usage *settings.UsageError
	require.ErrorAs(t, settings.Errorf("--%s: %d", "ttl", 1), &usage)
	assert.Equal(t, "--ttl: 1", usage.Problem)
	assert.NotErrorAs(t, io.EOF, &usage)
	assert.Equal(t, "WEBMSRP_MAX_TOKENS_PER_USER", settings.Variable("max-tokens-per-user"))
}
