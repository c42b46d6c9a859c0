package imdn

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The contents of the examples of RFC 5438, sections 7.2.1.1 and 7.2.1.2.
const delivered = `<?xml version="1.0" encoding="UTF-8"?>
<imdn xmlns="urn:ietf:params:xml:ns:imdn">
      <message-id>34jk324j</message-id>
      <datetime>2008-04-04T12:16:49-05:00</datetime>
     <recipient-uri>im:bob@example.com</recipient-uri>
      <original-recipient-uri
        >im:bob@example.com</original-recipient-uri>
      <delivery-notification>
         <status>
            <delivered/>
         </status>
      </delivery-notification>
    </imdn>
`

const displayed = `<?xml version="1.0" encoding="UTF-8"?>
<imdn xmlns="urn:ietf:params:xml:ns:imdn">
      <message-id>34jk324j</message-id>
      <datetime>2008-04-04T12:16:49-05:00</datetime>
     <recipient-uri>im:bob@example.com</recipient-uri>
      <original-recipient-uri
         >im:bob@example.com</original-recipient-uri>
      <display-notification>
         <status>
            <displayed/>
         </status>
      </display-notification>
    </imdn>
`

// notification is what both say.
func notification(t Type, s Status) Notification {
	return Notification{
		MessageID: "34jk324j", DateTime: "2008-04-04T12:16:49-05:00",
		Recipient: "im:bob@example.com", OriginalRecipient: "im:bob@example.com", Type: t, Status: s,
	}
}

func TestExamplesOfRFC5438(t *testing.T) {
	for text, want := range map[string]Notification{
		delivered: notification(TypeDelivery, Delivered),
		displayed: notification(TypeDisplay, Displayed),
	} {
		got, err := Parse(strings.NewReader(text))
		require.NoError(t, err)
		assert.Equal(t, want, got)
		got, err = Parse(iotest.OneByteReader(strings.NewReader(text)))
		require.NoError(t, err)
		assert.Equal(t, want, got)
		for n := range len(text) - len("</imdn>\n") {
			_, err := Parse(strings.NewReader(text[:n]))
			assert.Error(t, err, "%d octets", n)
		}
	}
}

func TestMarshal(t *testing.T) {
	xml, err := notification(TypeDelivery, Delivered).Marshal()
	require.NoError(t, err)
	assert.Equal(t, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<imdn xmlns="urn:ietf:params:xml:ns:imdn">`+
		`<message-id>34jk324j</message-id><datetime>2008-04-04T12:16:49-05:00</datetime>`+
		`<recipient-uri>im:bob@example.com</recipient-uri><original-recipient-uri>im:bob@example.com</original-recipient-uri>`+
		`<delivery-notification><status><delivered/></status></delivery-notification></imdn>`, string(xml))

	for typ, statuses := range map[Type][]Status{
		TypeDelivery:   {Delivered, Failed, Forbidden, Error},
		TypeProcessing: {Processed, Stored, Forbidden, Error},
		TypeDisplay:    {Displayed, Forbidden, Error},
	} {
		for _, s := range statuses {
			n := Notification{MessageID: "<&>'\"]]>", DateTime: "a\r\nb\tc", Type: typ, Status: s}
			n.Recipient, n.Subject, n.Lang = "im:b?a=1&b=2", "</subject><!-- Grüße 👋", `fr" x="y`
			text, err := n.Marshal()
			require.NoError(t, err)
			got, err := Parse(strings.NewReader(string(text)))
			require.NoError(t, err)
			assert.Equal(t, n, got)
		}
	}

	for name, n := range map[string]Notification{
		"no ID":                     {DateTime: "x", Type: TypeDisplay, Status: Displayed},
		"an ID with a line break":   {MessageID: "a\nb", DateTime: "x", Type: TypeDisplay, Status: Displayed},
		"no time":                   {MessageID: "x", Type: TypeDisplay, Status: Displayed},
		"no type":                   {MessageID: "x", DateTime: "x", Status: Error},
		"two types":                 {MessageID: "x", DateTime: "x", Type: TypeDisplay | TypeDelivery, Status: Error},
		"no status":                 {MessageID: "x", DateTime: "x", Type: TypeDisplay},
		"a status of another type":  {MessageID: "x", DateTime: "x", Type: TypeDisplay, Status: Delivered},
		"a status with its own XML": {MessageID: "x", DateTime: "x", Type: TypeDisplay, Status: "x/><y"},
	} {
		_, err := n.Marshal()
		assert.Error(t, err, name)
	}
}

func TestParse(t *testing.T) {
	const start = `<imdn xmlns="urn:ietf:params:xml:ns:imdn">`
	const ids = `<message-id>1</message-id><datetime>2</datetime>`
	const stored = `<processing-notification><status><stored/></status></processing-notification>`
	least := Notification{MessageID: "1", DateTime: "2", Type: TypeProcessing, Status: Stored}
	with := func(change func(n *Notification)) *Notification {
		n := least
		change(&n)
		return &n
	}
	for name, c := range map[string]struct {
		text string
		want *Notification // nil where Parse fails
	}{
		"the least":       {start + ids + stored + `</imdn>`, &least},
		"another prefix":  {`<i:imdn xmlns:i="urn:ietf:params:xml:ns:imdn">` + strings.NewReplacer("</", "</i:", "<", "<i:").Replace(ids+stored) + `</i:imdn>`, &least},
		"another order":   {start + stored + ids + `</imdn>`, &least},
		"comments, CDATA": {`<!-- a --><?pi x?>` + start + `<message-id><!-- b --> <![CDATA[1]]> </message-id><datetime>&#x32;</datetime>` + stored + `</imdn><!-- c -->`, &least},
		"a subject": {
			start + ids + `<subject xml:lang="fr" lang="de"> beau&#10;temps </subject>` + stored + `</imdn>`,
			with(func(n *Notification) { n.Subject, n.Lang = "beau\ntemps", "fr" }),
		},
		"a language of nothing": {start + ids + `<subject xml:lang="fr"/>` + stored + `</imdn>`, &least},
		"one recipient":         {start + ids + `<recipient-uri>im:b</recipient-uri>` + stored + `</imdn>`, with(func(n *Notification) { n.Recipient = "im:b" })},
		"a URI with an element": {start + ids + `<recipient-uri>im:<b>c</b>d</recipient-uri>` + stored + `</imdn>`, with(func(n *Notification) { n.Recipient = "im:d" })},
		"extensions": {
			start + `<x xmlns="urn:x"><message-id>3</message-id></x><y/>` + ids + `<message-id xmlns="urn:x">3</message-id>` +
				`<processing-notification><x/><status><z xmlns="urn:x"><processed/></z><processed xmlns="urn:x"/><stored><x/></stored><x/></status><x>y</x></processing-notification></imdn>`,
			&least,
		},
		"UTF-8 by name": {`<?xml version="1.0" encoding="utf-8" ?>` + start + ids + stored + `</imdn>`, &least},

		"another encoding":              {`<?xml version="1.0" encoding="ISO-8859-1"?>` + start + ids + stored + `</imdn>`, nil},
		"bad UTF-8":                     {start + ids + "<subject>\xff</subject>" + stored + `</imdn>`, nil},
		"no namespace":                  {`<imdn>` + ids + stored + `</imdn>`, nil},
		"the namespace of the headers":  {`<imdn xmlns="urn:ietf:params:imdn">` + ids + stored + `</imdn>`, nil},
		"another root":                  {`<IMDN xmlns="urn:ietf:params:xml:ns:imdn">` + ids + stored + `</IMDN>`, nil},
		"a DTD":                         {`<!DOCTYPE imdn [<!ENTITY a "1">]>` + start + ids + stored + `</imdn>`, nil},
		"a DTD within":                  {start + `<!ENTITY a "1">` + ids + stored + `</imdn>`, nil},
		"an entity of one's own":        {start + `<message-id>&a;</message-id><datetime>2</datetime>` + stored + `</imdn>`, nil},
		"no ID":                         {start + `<datetime>2</datetime>` + stored + `</imdn>`, nil},
		"an empty ID":                   {start + `<message-id> </message-id><datetime>2</datetime>` + stored + `</imdn>`, nil},
		"an ID with a blank":            {start + `<message-id>1 1</message-id><datetime>2</datetime>` + stored + `</imdn>`, nil},
		"no time":                       {start + `<message-id>1</message-id>` + stored + `</imdn>`, nil},
		"no type":                       {start + ids + `</imdn>`, nil},
		"no status":                     {start + ids + `<display-notification/></imdn>`, nil},
		"an empty status":               {start + ids + `<display-notification><status/></display-notification></imdn>`, nil},
		"a status that is not known":    {start + ids + `<display-notification><status><read/></status></display-notification></imdn>`, nil},
		"a status of another type":      {start + ids + `<display-notification><status><delivered/></status></display-notification></imdn>`, nil},
		"a status outside of its place": {start + ids + `<display-notification><displayed/></display-notification></imdn>`, nil},
		"two statuses":                  {start + ids + `<display-notification><status><error/><displayed/></status></display-notification></imdn>`, nil},
		"two types":                     {start + ids + stored + `<display-notification><status><displayed/></status></display-notification></imdn>`, nil},
		"the same type twice":           {start + ids + stored + stored + `</imdn>`, nil},
		"two IDs":                       {start + ids + `<message-id>1</message-id>` + stored + `</imdn>`, nil},
		"not closed":                    {start + ids + stored, nil},
		"not well formed":               {start + ids + `</message-id>` + stored + `</imdn>`, nil},
		"not closed within a skipped":   {start + `<x><y>`, nil},
		"not closed within a text":      {start + `<subject><x>`, nil},
		"text":                          {"Hello", nil},
		"empty":                         {"", nil},
		"an end only":                   {"</imdn>", nil},
		"64 KiB and more":               {start + strings.Repeat(" ", maxSize) + ids + stored + `</imdn>`, nil},
		"deep":                          {start + strings.Repeat("<x>", 20_000), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(c.text))
			if c.want == nil {
				assert.Error(t, err)
				assert.Zero(t, got)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, *c.want, got)
		})
	}
	broken := errors.New("broken")
	_, err := Parse(iotest.ErrReader(broken))
	assert.ErrorIs(t, err, broken)
}
