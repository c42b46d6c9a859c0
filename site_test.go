//go:build !js

package site_test

import (
	"go/build"
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
