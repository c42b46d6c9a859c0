package msrp

import (
	"bytes"
	"encoding/hex"
	"io"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// random returns a source that is different each time, and says which it is if
// the test fails.
func random(t *testing.T) *mathrand.Rand {
	seed := mathrand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("seed", seed)
		}
	})
	return mathrand.New(mathrand.NewPCG(seed, 0))
}

// pick returns one of several.
func pick[T any](r *mathrand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// word returns up to n of these characters, at least one.
func word(r *mathrand.Rand, chars string, n int) string {
	b := make([]byte, 1+r.IntN(n))
	for i := range b {
		b[i] = chars[r.IntN(len(chars))]
	}
	return string(b)
}

const identChars = digits + upper + lower + ".-+%="

func randomURI(r *mathrand.Rand) URI {
	host := pick(r, word(r, lower+digits+"-.", 20), word(r, upper, 5)+".example.com", "192.0.2.1", "[2001:DB8::1]", "h%6Fst.example")
	user := pick(r, "", "", word(r, lower+"%._", 8)+"@")
	params := pick(r, "", "", ";"+word(r, lower, 4), ";"+word(r, lower, 4)+"="+word(r, tokens, 9))
	return must(ParseURI(pick(r, "msrp", "MSRPS", "msrps") + "://" + user + host + ":" + strconv.Itoa(1+r.IntN(65535)) +
		pick(r, "", "/"+word(r, identChars[:62]+"-._~+=/", 30)) + ";" + pick(r, "tcp", "ws", "dc", word(r, lower+digits, 8)) + params))
}

const tokens = digits + lower + upper + "!#$%&'*+-.^_`{|}~"

// randomUnit returns a unit that breaks no rule, and its body.
func randomUnit(r *mathrand.Rand) (*Unit, []byte) {
	u := &Unit{TransactionID: pick(r, lower, digits, upper)[:1] + word(r, identChars, 29) + "abc", Flag: FlagComplete}
	u.TransactionID = u.TransactionID[:min(32, len(u.TransactionID))]
	for range 1 + r.IntN(5) {
		u.To = append(u.To, randomURI(r))
	}
	for range 1 + r.IntN(5) {
		u.From = append(u.From, randomURI(r))
	}
	text := func() string {
		return trimBlanks(pick(r, "", word(r, tokens+" \t:;,\"\\/()<>@[]=", 40), "Grüße, 世界 ☃ "+word(r, "\x80\xff\xc3", 5)))
	}
	var body []byte
	switch r.IntN(4) {
	case 0:
		u.Code, u.Comment = 100+r.IntN(900), text()
		if u.Comment == "" {
			u.Comment = "OK"
		}
	case 1:
		u.Method = pick(r, MethodReport, MethodAuth, MethodNickname, word(r, upper, 12))
	default:
		u.Method = MethodSend
		u.Flag = pick(r, FlagComplete, FlagInterrupted, FlagAborted)
	}
	if u.Method == MethodSend || u.Method == MethodReport || r.IntN(3) == 0 {
		u.Header = append(u.Header, Field{"Message-ID", word(r, identChars, 100)})
	}
	if u.Method == MethodReport || r.IntN(3) == 0 {
		u.Header = append(u.Header, Field{"Status", Status{r.IntN(1000), r.IntN(1000), text()}.String()})
	}
	if r.IntN(2) == 0 {
		b := ByteRange{Start: 1 + r.Int64N(maxOctet), End: -1, Total: -1}
		if r.IntN(2) == 0 {
			b.End = b.Start - 1 + r.Int64N(maxOctet-b.Start+2)
		}
		if r.IntN(2) == 0 {
			b.Total = max(b.Start, b.End)
		}
		u.Header = append(u.Header, Field{"Byte-Range", b.String()})
	}
	if r.IntN(3) == 0 {
		u.Header = append(u.Header, Field{"Success-Report", pick(r, "yes", "no")}, Field{"Failure-Report", pick(r, "yes", "no", "partial")})
	}
	for range r.IntN(20) {
		u.Header = append(u.Header, Field{"X-" + word(r, tokens, 20), text()})
	}
	if u.Method != "" && r.IntN(3) > 0 {
		for range r.IntN(3) {
			u.Header = append(u.Header, Field{"Content-X" + word(r, tokens, 5), text()})
		}
		u.Header = append(u.Header, Field{"Content-Type", "a/" + word(r, lower, 9) + pick(r, "", `;x="Grüße"`)})
		body = randomBody(r, u.TransactionID)
		for BodyHolds(body, u.TransactionID) {
			body = randomBody(r, "other") // as if the sender had taken another ID
		}
	}
	return u, body
}

// randomBody returns octets that look as if they ended a unit with one of these
// transaction IDs.
func randomBody(r *mathrand.Rand, transactionIDs ...string) []byte {
	body := []byte{}
	for range r.IntN(30) {
		id := pick(r, transactionIDs...)
		body = append(body, pick(r,
			"\r\n", "\r", "\n", "\r\n\r\n", "-", "------", hyphens, hyphens+id, "\r\n"+hyphens+id, id, "$", "+", "#", "$\r\n", "\r\n"+hyphens+id+"$\r\n",
			hyphens+id+"+\r\n", "\r\n"+hyphens+id+"x$\r\n", "MSRP "+id+" SEND\r\n", "MSRP ", word(r, "\x00\xff\r\n-$ ", 9), "text",
		)...)
	}
	return body
}

// RFC 4975, section 9: what is written reads the same, whatever it is and
// however it is split.
func TestWhatIsWrittenReadsTheSame(t *testing.T) {
	proves(t, "W-21", "W-22", "W-16", "W-24")
	r := random(t)
	for range 300 {
		var want []readUnit
		var wire []byte
		for range 1 + r.IntN(3) {
			u, body := randomUnit(r)
			require.NoError(t, u.Check())
			wire = u.Append(wire, body)
			u.Body = nil
			expected, err := readAll(u)
			require.NoError(t, err)
			if body != nil {
				expected.body = ptr(hex.EncodeToString(body))
			}
			want = append(want, expected)
		}
		check := func(stream io.Reader) {
			got, err := readStream(stream)
			require.Equal(t, io.EOF, err)
			require.Equal(t, want, got, "%q", wire)
		}
		check(bytes.NewReader(wire))
		check(&inPieces{string(wire), 1})
		for range 10 {
			check(&inPieces{string(wire), 1 + r.IntN(len(wire))})
			check(&randomPieces{r, wire})
		}
		if len(want) == 1 {
			u, err := new(Reader).Parse(wire)
			require.NoError(t, err)
			got, err := readAll(u)
			require.NoError(t, err)
			require.Equal(t, want[0], got)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// randomPieces is a stream that comes in pieces of any size.
type randomPieces struct {
	*mathrand.Rand
	rest []byte
}

func (p *randomPieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:1+p.IntN(min(len(b), 40))], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// foresee makes the transaction IDs that come next known, for as long as the
// test runs.
func foresee(t *testing.T, r *mathrand.Rand, n int) (ids []string) {
	var key [32]byte
	for i := range key {
		key[i] = byte(r.Uint32())
	}
	idSource.Lock()
	defer idSource.Unlock()
	before := idSource.ChaCha8
	t.Cleanup(func() {
		idSource.Lock()
		defer idSource.Unlock()
		idSource.ChaCha8 = before
	})
	idSource.ChaCha8 = mathrand.NewChaCha8(key)
	idSource.Unlock()
	for range n {
		ids = append(ids, NewTransactionID())
	}
	idSource.Lock()
	idSource.ChaCha8 = mathrand.NewChaCha8(key)
	return ids
}

// RFC 4975, section 7.1: whatever a body holds, end-lines with the very
// transaction ID that would have come next included, it arrives to the octet.
func TestBodiesOfEndLines(t *testing.T) {
	proves(t, "W-18", "W-20", "W-13")
	r := random(t)
	avoided := 0
	for range 40 {
		ids := foresee(t, r, 5)
		body := randomBody(r, ids...)
		s := unconnected(t, Remote{ChunkSize: 1 + len(body)/3 + r.IntN(len(body)+1)})
		_, err := s.Send(t.Context(), &Message{ID: "m3ss", ContentType: "a/b", Body: bytes.NewReader(body)})
		require.NoError(t, err)
		units, chunks := written(t, s)
		for i, u := range units {
			require.False(t, BodyHolds(unhex(t, *u.body), u.tid))
			if len(ids) > 0 && u.tid != ids[min(i, len(ids)-1)] {
				avoided++
			}
		}
		wire := strings.Join(chunks, "")
		everySplit([]byte(wire), func(stream io.Reader) {
			got, err := readStream(stream)
			require.Equal(t, io.EOF, err)
			require.Equal(t, units, got)
			arrived := []byte{}
			for _, u := range got {
				arrived = append(arrived, unhex(t, *u.body)...)
			}
			require.Equal(t, body, arrived)
		})
	}
	assert.NotZero(t, avoided)
}

// RFC 4975, section 7.3.1: chunks in any order, that overlap and come twice. Of
// each octet what came last counts, and the chunk with $ tells the length,
// wherever it stands among the others.
func TestChunksInAnyOrder(t *testing.T) {
	proves(t, "S-24", "S-25", "S-26", "S-29")
	r := random(t)
	s, p := newRawPeer(t, SessionOptions{}, Remote{}, nil)
	for i := range 100 {
		total := 1 + r.IntN(300)
		type part struct{ from, to int }
		var parts []part
		for from := 0; from < total; { // all of it, in order
			to := min(total, from+r.IntN(60))
			parts = append(parts, part{from, to})
			from = to
		}
		for range r.IntN(10) { // and some of it again
			from := r.IntN(total)
			parts = append(parts, part{from, from + r.IntN(total-from+1)})
		}
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		want, known, missing, ended := make([]byte, total), make([]bool, total), total, false
		for n, c := range parts {
			if missing == 0 && ended {
				break // the message is complete
			}
			data := []byte(word(r, lower, 1) + strings.Repeat(string(rune('A'+n%50)), c.to-c.from))[:c.to-c.from]
			flag := "+"
			if c.to == total {
				flag, ended = "$", true
			}
			announced := pick(r, "*", strconv.Itoa(total))
			end := pick(r, "*", strconv.Itoa(c.to))
			require.Equal(t, 200, p.code(p.send("Message-ID: m3ss"+strconv.Itoa(i), "flag: "+flag,
				"Byte-Range: "+strconv.Itoa(c.from+1)+"-"+end+"/"+announced, "body: "+string(data))))
			copy(want[c.from:], data)
			for at := c.from; at < c.to; at++ {
				if !known[at] {
					known[at] = true
					missing--
				}
			}
		}
		in, err := s.Receive(t.Context())
		require.NoError(t, err)
		got, err := io.ReadAll(in)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
		require.EqualValues(t, total, in.Size())
	}
}

// The same for what an application reads in the middle of it, see FuzzAssembly.
func TestAssemblyOfAnything(t *testing.T) {
	r := random(t)
	for range 2000 {
		ops := make([]byte, r.IntN(60))
		for i := range ops {
			ops[i] = byte(r.Uint32())
			if i%2 == 0 && r.IntN(8) == 0 {
				ops[i] = pick[byte](r, 254, 255)
			}
		}
		checkAssembly(t, ops)
	}
}
