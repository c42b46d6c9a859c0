package xmlread

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWalk(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader("<a> text <b> one <c>not this</c> two\n</b><!-- nor this --><d/></a>"))
	a, err := Child(d)
	require.NoError(t, err)
	assert.Equal(t, "a", a.Name.Local)
	b, err := Child(d)
	require.NoError(t, err)
	assert.Equal(t, "b", b.Name.Local)
	text, err := Content(d)
	require.NoError(t, err)
	assert.Equal(t, "one  two", text)
	e, err := Child(d)
	require.NoError(t, err)
	assert.Equal(t, "d", e.Name.Local)
	text, err = Content(d)
	require.NoError(t, err)
	assert.Empty(t, text)
	e, err = Child(d)
	require.NoError(t, err)
	assert.Nil(t, e, "the end of a")
}

func TestRefused(t *testing.T) {
	for _, document := range []string{"", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "<a", "</a>x<"} {
		d := xml.NewDecoder(strings.NewReader(document))
		_, err := Child(d)
		assert.Error(t, err, document)
	}
	d := xml.NewDecoder(strings.NewReader("<a>&b;</a>"))
	_, err := Child(d)
	require.NoError(t, err)
	_, err = Content(d)
	assert.Error(t, err, "no entities but those of XML")
}
