package serve

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The examples of proxy/deploy are settings with which the program starts.
func TestDeployExamples(t *testing.T) {
	for name, find := range map[string]*regexp.Regexp{
		"compose.yaml":    regexp.MustCompile(`(?m)^ *(WEBMSRP_[A-Z_]+): "(.*)"$`),
		"kubernetes.yaml": regexp.MustCompile(`(?m)^ *- name: (WEBMSRP_[A-Z_]+)\n *value(?:From)?: "?(.*?)"?$`),
		"webmsrp.service": regexp.MustCompile(`(?m)^# *(WEBMSRP_[A-Z_]+)=(\S+)`),
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("..", "deploy", name))
			require.NoError(t, err)
			text := string(data)
			found := find.FindAllStringSubmatch(text, -1)
			require.NotEmpty(t, found)
			for _, m := range found {
				t.Setenv(m[1], m[2])
			}
			var args []string
			if m := regexp.MustCompile(`(?m)^ExecStart=\S+ serve (.*)$`).FindStringSubmatch(text); m != nil {
				args = strings.Fields(m[1])
			}
			_, err = Parse(args, io.Discard)
			assert.NoError(t, err)

			// Nothing is named that does not exist: unknown variables are no error.
			var help strings.Builder
			Parse([]string{"--help"}, &help)
			for _, variable := range regexp.MustCompile(`WEBMSRP_[A-Z_]+`).FindAllString(text, -1) {
				flagName := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "WEBMSRP_"), "_", "-"))
				assert.Contains(t, help.String(), "  --"+flagName+" ", variable)
			}
			for _, m := range regexp.MustCompile(`(?:^|[ \n])--([a-z-]+)\b`).FindAllStringSubmatch(text, -1) {
				switch m[1] {
				case "system", "home-dir", "shell", "now", "from": // of other programs
				default:
					assert.Contains(t, help.String(), "  --"+m[1]+" ", name)
				}
			}
		})
	}
}

// systemd understands the unit.
func TestUnitFile(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd here")
	}
	// It looks for the program as well, so the copy names one that is there.
	data, err := os.ReadFile(filepath.Join("..", "deploy", "webmsrp.service"))
	require.NoError(t, err)
	unit := filepath.Join(t.TempDir(), "webmsrp.service")
	require.NoError(t, os.WriteFile(unit, []byte(strings.Replace(string(data), "/usr/local/bin/webmsrp", "/bin/true", 1)), 0o644))
	out, err := exec.Command(analyze, "verify", "--recursive-errors=no", unit).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		assert.NotContains(t, line, "webmsrp.service")
	}
	assert.NoError(t, err, "%s", out)
}
