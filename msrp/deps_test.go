//go:build !js

package msrp_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/webmsrp/webmsrp"

// A pkg is one package with what it imports itself and what it reaches, tests
// left out.
type pkg struct {
	path          string // below the module
	imports, deps []string
}

// below reports whether p is that directory of the module, or within it.
func (p pkg) below(dir string) bool { return p.path == dir || strings.HasPrefix(p.path, dir+"/") }

func packages(t *testing.T, env ...string) []pkg {
	list := exec.Command("go", "list", "-f", `{{.ImportPath}}|{{join .Imports " "}}|{{join .Deps " "}}`, module+"/...")
	list.Env = append(os.Environ(), env...)
	out, err := list.Output()
	require.NoError(t, err)
	var all []pkg
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		require.Len(t, f, 3)
		all = append(all, pkg{strings.TrimPrefix(strings.TrimPrefix(f[0], module), "/"), strings.Fields(f[1]), strings.Fields(f[2])})
	}
	return all
}

// The core knows nothing of HTTP, browsers and programs, so that a browser loads
// only what it uses: imports point one way.
func TestImportsPointOneWay(t *testing.T) {
	const js, safejs = "syscall/js", "github.com/hack-pad/safejs"
	core := []string{"net/http", "net", "encoding/json", "log/slog"}
	tests := []string{"msrp/msrptest", "proxy/rendezvous/natstest", "proxy/sip/siptest"} // for tests only
	// What these packages must not reach, however far away.
	never := map[string][]string{
		"msrp": core, "msrp/digest": core, "msrp/sdp": core, "msrp/call": core, "msrp/file": core, "wasm": core,
		"msrp/cpim": core, "msrp/imdn": core, "msrp/iscomposing": core, "msrp/chatroom": core, "msrp/multipart": core,
		"msrp/relay": {"net/http", "net"}, // it logs with log/slog, which reaches encoding/json
	}
	for system, env := range map[string][]string{"native": nil, "browser": {"GOOS=js", "GOARCH=wasm"}} {
		t.Run(system, func(t *testing.T) {
			seen := map[string]bool{}
			for _, p := range packages(t, env...) {
				seen[p.path] = true
				refuse := func(found bool, dependency string) {
					assert.False(t, found, "%s must not reach %s", p.path, dependency)
				}
				for _, d := range never[p.path] {
					refuse(slices.Contains(p.deps, d), d)
				}
				// The standard library itself reaches it where that is the system.
				refuse(slices.Contains(p.imports, js) && !p.below("wasm"), js)
				if slices.Contains(tests, p.path) {
					assert.Contains(t, p.deps, "github.com/stretchr/testify/require") // what others must not
					continue
				}
				for _, d := range p.deps {
					dep := pkg{path: strings.TrimPrefix(d, module+"/")}
					standard := !strings.Contains(strings.Split(d, "/")[0], ".")
					switch {
					case p.path == "msrp/digest", p.below("msrp/internal"):
						refuse(!standard, d)
					case p.below("msrp"):
						refuse(!standard && !dep.below("msrp"), d)
					case p.below("wasm"):
						refuse(!standard && !dep.below("msrp") && d != safejs && !strings.HasPrefix(d, safejs+"/"), d)
					}
					refuse(slices.Contains(tests, dep.path) || strings.HasPrefix(d, "github.com/stretchr/"), d)
				}
			}
			for path := range never {
				assert.Equal(t, path != "wasm" || system == "browser", seen[path], path)
			}
		})
	}
}
