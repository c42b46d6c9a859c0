package sdp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// RFC 4975, section 13.
func TestPrefersWrapped(t *testing.T) {
	t.Attr("requirement", "X-03")
	for types, want := range map[string]bool{
		"message/cpim":              true,
		"Message/CPIM text/plain":   true,
		"message/cpim;x=y *":        true,
		"text/plain message/cpim":   false,
		"* message/cpim":            false,
		"message/* message/cpim":    false,
		"multipart/mixed text/html": false,
		"":                          false,
	} {
		s := Stream{AcceptTypes: strings.Fields(types)}
		assert.Equal(t, want, s.PrefersWrapped(), types)
	}
}

// What is taken only within others needs one of the others in accept-types, and
// both lists get to the peer (RFC 4975, section 8.6).
func TestContainers(t *testing.T) {
	t.Attr("requirement", "D-09")
	for types, valid := range map[string]bool{
		"message/cpim":                true,
		"text/plain Message/CPIM;x=y": true,
		"*":                           true,
		"message/*":                   true,
		"multipart/mixed":             true,
		"multipart/*":                 true,
		"text/plain":                  false,
		"message/imdn+xml text/*":     false,
	} {
		s := bob(t, false)
		s.AcceptTypes, s.AcceptWrappedTypes = strings.Fields(types), []string{"text/html", "image/*"}
		assert.Equal(t, valid, s.Check() == nil, types)
		read, err := Offer("bob", 1, s).Stream(0)
		require.NoError(t, err)
		assert.Equal(t, s.AcceptTypes, read.AcceptTypes)
		assert.Equal(t, s.AcceptWrappedTypes, read.AcceptWrappedTypes)
		s.AcceptWrappedTypes = nil
		assert.NoError(t, s.Check(), types)
	}
}
