package iscomposing

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The examples of RFC 3994, section 5.
const exampleActive = `<?xml version="1.0" encoding="UTF-8"?>
<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="urn:ietf:params:xml:ns:im-composing
    iscomposing.xsd">
    <state>active</state>
    <contenttype>text/plain</contenttype>
    <refresh>90</refresh>
</isComposing>
`

const exampleIdle = `<?xml version="1.0" encoding="UTF-8"?>
<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="urn:ietf:params:xml:ns:im-composing
    iscomposing.xsd">
    <state>idle</state>
    <lastactive>2003-01-27T10:43:00Z</lastactive>
    <contenttype>audio</contenttype>
</isComposing>
`

func TestExamplesOfRFC3994(t *testing.T) {
	for text, want := range map[string]Status{
		exampleActive: {Active: true, ContentType: "text/plain", Refresh: 90 * time.Second},
		exampleIdle:   {LastActive: "2003-01-27T10:43:00Z", ContentType: "audio"},
	} {
		got, err := Parse(strings.NewReader(text))
		require.NoError(t, err)
		assert.Equal(t, want, got)
		got, err = Parse(iotest.OneByteReader(strings.NewReader(text)))
		require.NoError(t, err)
		assert.Equal(t, want, got)
		for n := range len(text) - len("</isComposing>\n") {
			_, err := Parse(strings.NewReader(text[:n]))
			assert.Error(t, err, "%d octets", n)
		}
	}
}

func TestMarshal(t *testing.T) {
	const start = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">`
	for want, s := range map[string]Status{
		"<state>idle</state>":                                                           {},
		"<state>active</state>":                                                         {Active: true},
		"<state>active</state><refresh>60</refresh>":                                    {Active: true, Refresh: time.Minute},
		"<state>active</state><refresh>1</refresh>":                                     {Active: true, Refresh: 1},
		"<state>active</state><refresh>2</refresh>":                                     {Active: true, Refresh: 1001 * time.Millisecond},
		"<state>active</state><refresh>2147483647</refresh>":                            {Active: true, Refresh: math.MaxInt64},
		"<state>idle</state><lastactive>2003-01-27T10:43:00Z</lastactive>":              {LastActive: "2003-01-27T10:43:00Z"},
		"<state>idle</state><contenttype>&lt;/contenttype&gt;&amp;&#34;é</contenttype>": {ContentType: `</contenttype>&"é`, Refresh: -1},
	} {
		got := s.Marshal()
		assert.Equal(t, start+want+"</isComposing>", string(got))
		read, err := Parse(strings.NewReader(string(got)))
		require.NoError(t, err)
		assert.Equal(t, s.Active, read.Active)
		assert.Equal(t, string(got), string(read.Marshal()))
	}
	assert.Contains(t, string(Status{ContentType: "a\x00b"}.Marshal()), "<contenttype>a\ufffdb</contenttype>")
}

func TestParse(t *testing.T) {
	t.Attr("requirement", "X-07")
	const start = `<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">`
	const end = `</isComposing>`
	for name, c := range map[string]struct {
		text string
		want Status
	}{
		"idle":            {"<state>idle</state>", Status{}},
		"active":          {"<state>\r\n active </state>", Status{Active: true}},
		"another state":   {"<state>recording</state>", Status{}},
		"another case":    {"<state>ACTIVE</state>", Status{}},
		"an empty state":  {"<state/>", Status{}},
		"another order":   {"<refresh>60</refresh><state>active</state>", Status{Active: true, Refresh: time.Minute}},
		"comments, CDATA": {"<!-- a --><state><![CDATA[act]]>i<!-- b -->ve</state>", Status{Active: true}},
		"extensions": {
			`<state>active</state><x xmlns="urn:x"><state>idle</state></x><state xmlns="urn:x">idle</state><y>z</y>`,
			Status{Active: true},
		},
		"a time":                  {"<state>idle</state><lastactive> 2003-01-27T11:43:00 </lastactive>", Status{LastActive: "2003-01-27T11:43:00"}},
		"a refresh with a sign":   {"<state>idle</state><refresh>+0090</refresh>", Status{Refresh: 90 * time.Second}},
		"a refresh for ever":      {"<state>idle</state><refresh>99999999999999999999999</refresh>", Status{Refresh: maxRefresh}},
		"a refresh of 0":          {"<state>idle</state><refresh>0</refresh>", Status{}},
		"a refresh below 0":       {"<state>idle</state><refresh>-1</refresh>", Status{}},
		"a refresh of no integer": {"<state>idle</state><refresh>1.5</refresh>", Status{}},
		"an empty refresh":        {"<state>idle</state><refresh/>", Status{}},
	} {
		got, err := Parse(strings.NewReader(start + c.text + end))
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
		_, err = Parse(strings.NewReader(start + c.text))
		assert.Error(t, err, name+", not closed")
	}
	for name, text := range map[string]string{
		"no state":                  start + "<refresh>60</refresh>" + end,
		"two states":                start + "<state>idle</state><state>active</state>" + end,
		"no namespace":              "<isComposing><state>active</state></isComposing>",
		"a state of no namespace":   start + `<state xmlns="">active</state>` + end,
		"another namespace":         `<isComposing xmlns="urn:ietf:params:xml:ns:im-composing"><state>active</state></isComposing>`,
		"another root":              `<iscomposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state></iscomposing>`,
		"another encoding":          `<?xml version="1.0" encoding="UTF-16"?>` + start + "<state>active</state>" + end,
		"bad UTF-8":                 start + "<state>\xff</state>" + end,
		"a DTD":                     `<!DOCTYPE x [<!ENTITY a "active">]>` + start + "<state>&a;</state>" + end,
		"an empty DTD":              `<!DOCTYPE x>` + start + "<state>active</state>" + end,
		"an entity of one's own":    start + "<state>&a;</state>" + end,
		"not closed within skipped": start + `<x xmlns="urn:x">`,
		"not closed within a text":  start + "<state><x>",
		"text":                      "active",
		"empty":                     "",
		"an end only":               end,
		"16 KiB and more":           start + strings.Repeat(" ", maxSize) + "<state>active</state>" + end,
		"deep":                      start + strings.Repeat("<x>", 5000),
	} {
		got, err := Parse(strings.NewReader(text))
		assert.Error(t, err, name)
		assert.Zero(t, got, name)
	}
	broken := errors.New("broken")
	_, err := Parse(iotest.ErrReader(broken))
	assert.ErrorIs(t, err, broken)
}

// What parses prints, and what is printed parses equal.
func FuzzParse(f *testing.F) {
	f.Add(exampleActive)
	f.Add(exampleIdle)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		printed := s.Marshal()
		if len(printed) > maxSize {
			return
		}
		again, err := Parse(strings.NewReader(string(printed)))
		require.NoError(t, err)
		assert.Equal(t, s, again)
	})
}
