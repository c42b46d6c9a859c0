package sdp

import (
	"crypto/sha1"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// RFC 5547, section 6.
func TestFileSelectors(t *testing.T) {
	const hash = "hash:sha-1:72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E"
	sha256 := strings.TrimSuffix(strings.Repeat("0A:", 32), ":")
	for _, c := range []struct {
		value string
		want  *FileSelector // nil where it is bad
		wire  string        // "" where it is value
	}{
		{`name:"My cool picture.jpg" type:image/jpeg size:32349 ` + hash, &FileSelector{"My cool picture.jpg", "image/jpeg", 32349, []Hash{aliceHash}}, ""},
		{hash + ` size:32349 type:image/jpeg name:"My cool picture.jpg"`, &FileSelector{"My cool picture.jpg", "image/jpeg", 32349, []Hash{aliceHash}}, `name:"My cool picture.jpg" type:image/jpeg size:32349 ` + hash},
		{hash, &FileSelector{"", "", -1, []Hash{aliceHash}}, ""},
		{"size:0", &FileSelector{"", "", 0, nil}, ""},
		{"size:9223372036854775807", &FileSelector{"", "", 1<<63 - 1, nil}, ""},
		{"", &FileSelector{"", "", -1, nil}, ""},
		{`name:"a%22b%25c%0D%0A%00%2Fd%5Ce"`, &FileSelector{"a\"b%c\r\n\x00/d\\e", "", -1, nil}, ""},
		{`name:"Grüße ☃.txt"`, &FileSelector{"Grüße ☃.txt", "", -1, nil}, ""},
		{`name:"../../etc/passwd"`, &FileSelector{"../../etc/passwd", "", -1, nil}, `name:"..%2F..%2Fetc%2Fpasswd"`},
		{`name:"%e2%98%83"`, &FileSelector{"☃", "", -1, nil}, `name:"☃"`},
		{`name:"100% sure %2"`, &FileSelector{"100% sure %2", "", -1, nil}, `name:"100%25 sure %252"`}, // Blink
		{`name:plain.txt size:1`, &FileSelector{"plain.txt", "", 1, nil}, `name:"plain.txt" size:1`},
		{`type:text/plain;charset="utf-8" size:5`, &FileSelector{"", `text/plain;charset="utf-8"`, 5, nil}, ""},
		{`type:text/plain;title="a b%22c" size:5`, &FileSelector{"", `text/plain;title="a b%22c"`, 5, nil}, ""},
		{"  size:5   type:a/b ", &FileSelector{"", "a/b", 5, nil}, "type:a/b size:5"},
		{"hash:sha-256:" + sha256 + " " + hash, &FileSelector{"", "", -1, []Hash{{"sha-256", sha256}, aliceHash}}, ""},
		{"hash:SHA-1:" + strings.ToLower(aliceHash.Sum), &FileSelector{"", "", -1, []Hash{{"sha-1", strings.ToLower(aliceHash.Sum)}}}, "hash:sha-1:" + strings.ToLower(aliceHash.Sum)},
		{"hash:md5:AB:CD", &FileSelector{"", "", -1, []Hash{{"md5", "AB:CD"}}}, ""},
		{"mood:good size:1", &FileSelector{"", "", 1, nil}, "size:1"},

		{`name:"open`, nil, ""},
		{`size:1 type:a/b;c="open`, nil, ""},
		{"size:-1", nil, ""},
		{"size:9223372036854775808", nil, ""},
		{"size:", nil, ""},
		{"type:jpeg", nil, ""},
		{"hash:sha-1:72:24", nil, ""},
		{"hash:sha-256:" + aliceHash.Sum, nil, ""},
		{"hash:sha-1:" + strings.Replace(aliceHash.Sum, "7", "G", 1), nil, ""},
		{"hash:md5:A", nil, ""},
		{"hash::AB", nil, ""},
		{"hash:md5", nil, ""},
	} {
		t.Run(c.value, func(t *testing.T) {
			got, err := ParseFileSelector(c.value)
			if c.want == nil {
				assert.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, *c.want, got)
			assert.Equal(t, c.value == "", got.IsZero())
			if c.wire == "" {
				c.wire = c.value
			}
			assert.Equal(t, c.wire, got.String())
			again, err := ParseFileSelector(got.String())
			require.NoError(t, err)
			assert.Equal(t, got, again)
		})
	}
	sum := sha1.Sum([]byte("abc"))
	assert.Equal(t, Hash{"sha-1", "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D"}, NewHash("sha-1", sum[:]))
}

// RFC 5547, section 6, against RFC 5322, section 3.2.4.
func TestFileTypes(t *testing.T) {
	for _, c := range []struct{ header, selector, back string }{
		{"image/png", "image/png", "image/png"},
		{"text/plain; charset=utf-8", `text/plain;charset="utf-8"`, `text/plain;charset="utf-8"`},
		{`text/plain;a="b;c" ; d=e`, `text/plain;a="b;c";d="e"`, `text/plain;a="b;c";d="e"`},
		{`a/b;c="say \"%\" \\ and \/"`, `a/b;c="say %22%25%22 %5C and %2F"`, `a/b;c="say \"%\" \\ and /"`},
		{"a/b;c", "a/b", "a/b"},
		{"", "", ""},
	} {
		f := FileSelector{Type: FileType(c.header)}
		assert.Equal(t, c.selector, f.Type)
		assert.Equal(t, c.back, f.ContentType())
		again := FileSelector{Type: FileType(f.ContentType())}
		assert.Equal(t, f, again)
	}
}

// RFC 5547, section 6: both ends are included, and the first octet is 1.
func TestFileRanges(t *testing.T) {
	const any = -1
	for _, c := range []struct {
		value  string
		want   FileRange
		size   int64 // of the file
		octets int64
	}{
		{"1-*", FileRange{1, any}, 100, 100},
		{"1-*", FileRange{1, any}, any, any},
		{"1-1", FileRange{1, 1}, 100, 1},
		{"51-100", FileRange{51, 100}, 100, 50},
		{"51-*", FileRange{51, any}, 100, 50},
		{"100-*", FileRange{100, any}, 100, 1},
		{"2-9223372036854775807", FileRange{2, 1<<63 - 1}, any, 1<<63 - 2},
		{"0-1", FileRange{}, 0, 0},
		{"2-1", FileRange{}, 0, 0},
		{"*-1", FileRange{}, 0, 0},
		{"1", FileRange{}, 0, 0},
		{"-", FileRange{}, 0, 0},
		{"1-9223372036854775808", FileRange{}, 0, 0},
		{"1-x", FileRange{}, 0, 0},
	} {
		s, err := parse(t, description("", "a=file-selector:size:5\r\na=file-range:"+c.value+"\r\n")).Stream(0)
		if c.want.Start == 0 {
			assert.Error(t, err, c.value)
			continue
		}
		require.NoError(t, err, c.value)
		assert.Equal(t, c.want, s.File.Range)
		assert.Equal(t, c.octets, s.File.Range.Octets(c.size), c.value)
		value, _ := Offer("", 1, s).Media[0].Get("file-range")
		assert.Equal(t, c.value, value)
	}
	assert.Equal(t, int64(7), FileRange{}.Octets(7))
	assert.Equal(t, int64(0), FileRange{}.Octets(0))
	assert.Equal(t, int64(any), FileRange{}.Octets(any))
}

// RFC 5547, section 6.
func TestFileDates(t *testing.T) {
	const date = "Mon, 15 May 2006 15:01:31 +0300"
	for value, want := range map[string]FileDate{
		`creation:"` + date + `"`: {Creation: date},
		`creation:"` + date + `" modification:"2 Jun 2006 00:00 +0000" read:"3 Jun 2006 00:00 +0000"`: {date, "2 Jun 2006 00:00 +0000", "3 Jun 2006 00:00 +0000"},
		`read:"x" invented:"y"`:         {Read: "x"},
		"creation:2010-02-13T17:50:31Z": {Creation: "2010-02-13T17:50:31Z"}, // Boghe
		`creation:"open`:                {Creation: `"open`},
		"":                              {},
	} {
		got := ParseFileDate(value)
		assert.Equal(t, want, got, value)
		if !strings.Contains(value, "open") {
			assert.Equal(t, want, ParseFileDate(got.String()), value)
		}
	}
	assert.Equal(t, `creation:"a" read:"b"`, FileDate{Creation: "a", Read: "b"}.String())
}

// RFC 5547, sections 8.3.1 and 8.3.2.
func TestSelecting(t *testing.T) {
	file := minutes().Selector
	other := NewHash("sha-1", make([]byte, 20))
	sha256 := NewHash("sha-256", make([]byte, 32))
	for name, c := range map[string]struct {
		asked                FileSelector
		selects, contradicts bool
	}{
		"all":                        {file, true, false},
		"the hash alone":             {FileSelector{Size: -1, Hashes: []Hash{aliceHash}}, true, false},
		"the hash in lower case":     {FileSelector{Size: -1, Hashes: []Hash{{"sha-1", strings.ToLower(aliceHash.Sum)}}}, true, false},
		"one of two hashes is known": {FileSelector{Size: -1, Hashes: []Hash{sha256, aliceHash}}, true, false},
		"a hash that is not known":   {FileSelector{Size: -1, Hashes: []Hash{sha256}}, false, false},
		"nothing":                    {FileSelector{Size: -1}, true, false},
		"the type with a parameter":  {FileSelector{Type: `application/vnd.oasis.opendocument.text;a="b"`, Size: -1}, true, false},
		"another name":               {FileSelector{Name: "Minutes.odt", Size: -1}, false, true},
		"another type":               {FileSelector{Type: "text/plain", Size: -1}, false, true},
		"another size":               {FileSelector{Size: 0}, false, true},
		"another hash":               {FileSelector{Size: -1, Hashes: []Hash{other}}, false, true},
		"another hash of two":        {FileSelector{Size: -1, Hashes: []Hash{aliceHash, other}}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.selects, c.asked.Selects(&file))
			assert.Equal(t, c.contradicts, c.asked.Contradicts(&file))
			assert.Equal(t, c.contradicts, file.Contradicts(&c.asked))
		})
	}
	unknown := FileSelector{Size: -1}
	assert.False(t, file.Selects(&unknown))
	assert.False(t, file.Contradicts(&unknown))
}

// RFC 5547, section 8.1: what a renewed offer is about.
func TestContinues(t *testing.T) {
	for name, c := range map[string]struct {
		adjust    func(*FileTransfer)
		continues bool
		valid     bool
	}{
		"the same ID, a refresh":     {func(*FileTransfer) {}, true, true},
		"the same ID, less is said":  {func(f *FileTransfer) { f.Selector.Hashes, f.Selector.Name = nil, "" }, true, true},
		"the same ID, all of it":     {func(f *FileTransfer) { f.Range = FileRange{1, 18231} }, true, true},
		"the same ID, another file":  {func(f *FileTransfer) { f.Selector.Size++ }, false, false},
		"the same ID, another part":  {func(f *FileTransfer) { f.Range.Start, f.Range.Stop = 2, -1 }, false, false},
		"a new ID":                   {func(f *FileTransfer) { f.ID = "other" }, false, true},
		"a new ID for another part":  {func(f *FileTransfer) { f.ID, f.Range = "other", FileRange{2, -1} }, false, true},
		"no ID, nothing can be said": {func(f *FileTransfer) { f.ID = "" }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := minutes()
			c.adjust(f)
			continues, err := f.Continues(minutes())
			assert.Equal(t, c.continues, continues)
			assert.Equal(t, c.valid, err == nil, "%v", err)
		})
	}
}
