package percent

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDecode(t *testing.T) {
	for escaped, plain := range map[string]string{
		"": "", "plain": "plain", "a%20b": "a b", "%c3%BC": "ü", "%2525": "%25",
		"100%": "100%", "%": "%", "%4": "%4", "%zz": "%zz", "%+1": "%+1", "%%41": "%A",
	} {
		assert.Equal(t, plain, Decode(escaped), escaped)
	}
}
