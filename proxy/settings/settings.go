// Package settings reads flags that are environment variables as well.
package settings

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A UsageError is a setting that is unknown, malformed or contradicts another:
// the program ends with status 2.
type UsageError struct{ Problem string }

func (e *UsageError) Error() string { return e.Problem }

// Errorf returns a UsageError.
func Errorf(format string, args ...any) error {
	return &UsageError{fmt.Sprintf(format, args...)}
}

// Variable returns the environment variable of a flag.
func Variable(flagName string) string {
	return "WEBMSRP_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// plain makes package flag's errors name settings as the help does.
var plain = strings.NewReplacer("flag provided but not defined: -", "unknown setting --", "for flag -", "for --", "for -", "for --", "flag needs an argument: -", "no value for --")

// Parse sets the flags of fs from args, and those that args leave out from the
// environment. It returns flag.ErrHelp after printing the help to out where
// that was asked for, and otherwise a *[UsageError].
func Parse(fs *flag.FlagSet, args []string, summary string, out io.Writer) error {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			help(fs, summary, out)
			return flag.ErrHelp
		}
		return Errorf("%s (--help lists the settings)", plain.Replace(err.Error()))
	}
	if fs.NArg() > 0 {
		return Errorf("unexpected argument %q (--help lists the settings)", fs.Arg(0))
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var problem error
	fs.VisitAll(func(f *flag.Flag) {
		value, ok := os.LookupEnv(Variable(f.Name))
		if !ok || given[f.Name] || problem != nil {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			problem = Errorf("%s: invalid value %q: %v", Variable(f.Name), value, err)
		}
	})
	return problem
}

// Unknown returns the environment variables that look like settings and are none
// of these flags, nor of other names, sorted: mistakes, probably. Those that
// Kubernetes sets for a service called webmsrp look alike and are left out.
func Unknown(fs *flag.FlagSet, others ...string) []string {
	known := map[string]bool{}
	fs.VisitAll(func(f *flag.Flag) { known[Variable(f.Name)] = true })
	for _, name := range others {
		known[Variable(name)] = true
	}
	var unknown []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, Variable("")) && !known[name] && !ofService.MatchString(name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

var ofService = regexp.MustCompile(`_(SERVICE_(HOST|PORT).*|PORT|PORT_\d+_(TCP|UDP).*)$`)

// Duration defines a setting that is a time, as package flag does, with an error
// that shows what one looks like.
func Duration(fs *flag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	fs.Var((*duration)(p), name, usage)
}

type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("a time is a number with its unit, such as 30s, 5m or 24h")
	}
	*d = duration(v)
	return nil
}

func help(fs *flag.FlagSet, summary string, out io.Writer) {
	fmt.Fprintf(out, "%s\n\nEach setting is an environment variable too, --some-name being %s.\n\n", summary, Variable("some-name"))
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		line := "  --" + f.Name
		if value != "" {
			line += " " + value
		}
		fmt.Fprintf(out, "%s\n        %s", line, strings.ReplaceAll(text, "\n", "\n        "))
		if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "false" && f.DefValue != "0s" {
			fmt.Fprintf(out, " (default %s)", f.DefValue)
		}
		fmt.Fprintln(out)
	})
}
