//go:build !js

package site_test

import (
	"go/build"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The program for browsers must not stand in the way of a plain "go build
// ./..." anywhere else: its files are for js/wasm alone.
func TestWasmIsForBrowsersAlone(t *testing.T) {
	files, err := filepath.Glob("wasm/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		for _, system := range []struct{ os, arch string }{{"linux", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"wasip1", "wasm"}} {
			context := build.Default
			context.GOOS, context.GOARCH = system.os, system.arch
			taken, err := context.MatchFile(filepath.Split(file))
			require.NoError(t, err)
			assert.False(t, taken, "%s for %s/%s", file, system.os, system.arch)
		}
	}
}

// RFC 7977, section 10: relays read along, so nothing that people see may promise
// more, and the README says it.
func TestNothingPromisesSecrecy(t *testing.T) {
	t.Attr("requirement", "B-13")
	files := []string{"index.html"}
	for _, pattern := range []string{"web/*.js", "web/*.css", "web/signalling/*.js"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.NotRegexp(t, `(?i)end.to.end|encrypt|🔒|🔐|padlock`, string(text), file)
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), "It sees plaintext")
}
