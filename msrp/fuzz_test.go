package msrp

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// addVectors seeds a target with what the codec is tested with anyway.
func addVectors(f *testing.F) {
	for _, v := range loadVectors(f).Vectors {
		f.Add(v.input(f))
	}
}

// Whatever arrives, and however it was split, the units are the same; those
// that break no rule can be written, and what is written reads the same.
func FuzzReader(f *testing.F) {
	addVectors(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		units, err := readStream(bytes.NewReader(data))
		require.Error(t, err)
		half := len(data) / 2
		for _, r := range []io.Reader{
			iotest.OneByteReader(bytes.NewReader(data)),
			io.MultiReader(bytes.NewReader(data[:half]), bytes.NewReader(data[half:])),
		} {
			again, errAgain := readStream(r)
			require.Equal(t, units, again)
			require.Equal(t, kindOf(err), kindOf(errAgain))
		}

		r, relay := NewReader(bytes.NewReader(data)), NewReader(bytes.NewReader(data))
		relay.Reuse()
		for {
			u, err := r.Next()
			if err != nil {
				return
			}
			forwarded, err := relay.Next()
			require.NoError(t, err)
			var body, taken []byte
			if u.Body != nil {
				body, err = io.ReadAll(u.Body)
				var errTaken error
				taken, errTaken = takeAll(forwarded.Body)
				require.Equal(t, err, errTaken)
				if err != nil {
					return
				}
				require.Equal(t, body, taken)
			}
			if u.Invalid != nil {
				continue
			}
			require.NoError(t, u.Check())
			wire := u.Append(nil, body)
			if verbatim, ok := forwarded.AppendForwarded(nil, u.TransactionID, u.To, u.From, taken); ok {
				require.Equal(t, wire, verbatim, "what is forwarded is as if it was written anew")
			}
			want, err := readStream(bytes.NewReader(wire))
			require.Equal(t, io.EOF, err)
			require.Len(t, want, 1)
			require.Equal(t, "", want[0].invalid)
			require.Equal(t, wire, rewrite(t, wire), "what is written reads the same")
		}
	})
}

// takeAll reads a body as a relay does.
func takeAll(b *Body) ([]byte, error) {
	all := []byte{}
	for {
		piece, last, err := b.Take(7)
		if err != nil {
			return nil, err
		}
		if all = append(all, piece...); last {
			return all, nil
		}
	}
}

// kindOf tells apart the ways in which a stream ends.
func kindOf(err error) string {
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		return "syntax"
	}
	return err.Error()
}

// rewrite reads the one unit in wire and writes it again.
func rewrite(t *testing.T, wire []byte) []byte {
	u, err := NewReader(bytes.NewReader(wire)).Next()
	require.NoError(t, err)
	var body []byte
	if u.Body != nil {
		body, err = io.ReadAll(u.Body)
		require.NoError(t, err)
	}
	return u.Append(nil, body)
}

// RFC 7977, section 5.1: a WebSocket message is one unit, and what a stream
// makes of the same octets is the same.
func FuzzParse(f *testing.F) {
	addVectors(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var parser Reader
		u, err := parser.Parse(data)
		if err != nil {
			return
		}
		got, err := readAll(u)
		require.NoError(t, err)
		if got.body != nil && BodyHolds(unhex(t, *got.body), u.TransactionID) {
			return // its sender broke a rule, and only the stream would notice
		}
		units, err := readStream(bytes.NewReader(data))
		require.Equal(t, io.EOF, err)
		require.Equal(t, []readUnit{got}, units)
	})
}

func FuzzURI(f *testing.F) {
	for _, s := range []string{
		"msrp://alice@host.example.com:2855/sess;tcp", "msrps://[2001:db8::1]:9/a;ws;x=y", "MSRP://1.2.3.4:1;sctp", "msrp://h%41.example:7/+=/;tcp",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			return
		}
		assert.Equal(t, s, u.String())
		v, err := ParseURI(u.String())
		require.NoError(t, err)
		assert.True(t, u.Equal(v))
		// RFC 4975, section 6.1: neither the user part nor parameters count.
		made, err := MakeURI(u.Secure(), u.Host(), u.Port(), u.SessionID(), u.Transport())
		require.NoError(t, err)
		assert.True(t, u.Equal(made) && made.Equal(u), made.String())
		path, err := ParsePath(s + " " + made.String())
		require.NoError(t, err)
		assert.True(t, path[0].Equal(path[1]))
	})
}

// An assembly against the simplest thing that could do it, see checkAssembly.
func FuzzAssembly(f *testing.F) {
	f.Add([]byte{0, 10, 20, 40, 30, 10, 255, 50, 254, 3})
	f.Add([]byte{200, 1, 100, 1, 0, 1, 50, 200, 255, 201})
	f.Fuzz(checkAssembly)
}

// checkAssembly compares an assembly with an array.
func checkAssembly(t *testing.T, ops []byte) {
	var a assembly
	var octets, known [600]byte // what is at each place, and whether it is there
	read, total, next := 0, -1, byte(0)
	var want, got []byte
	for ; len(ops) >= 2; ops = ops[2:] {
		switch at, n := int(ops[0]), int(ops[1]); at {
		case 255: // the end
			a.seal(int64(n))
			if total < 0 {
				total = max(n, read)
			}
		case 254: // the application reads
			for n > 0 && a.available() > 0 {
				m := min(n, a.available())
				part := make([]byte, m)
				a.copy(part)
				got = append(got, part...)
				n -= m
			}
			for read < len(got) {
				require.NotZero(t, known[read])
				want = append(want, octets[read])
				read++
			}
		default:
			p := make([]byte, n)
			for i := range p {
				next++
				p[i] = next
			}
			if n%2 == 0 {
				require.True(t, a.keep(int64(at), &elsewhere{octets: bytes.Clone(p)}))
			} else {
				require.True(t, a.add(int64(at), p))
			}
			for i, octet := range p {
				if at+i >= read && (total < 0 || at+i < total) {
					octets[at+i], known[at+i] = octet, 1
				}
			}
		}
		if total >= 0 {
			clear(known[total:])
		}
		require.Equal(t, want, got)
		held := 0
		for _, k := range known[read:] {
			held += int(k)
		}
		require.Equal(t, held, a.held)
		require.Equal(t, total >= 0 && read+held == total, a.complete())
		require.True(t, slices.IsSortedFunc(a.pieces, func(x, y piece) int { return int(x.end() - y.end()) }))
	}
}

// A connection that is fed anything at all ends when its peer does, whatever
// its session made of it.
func FuzzConn(f *testing.F) {
	const own = "msrp://alice.example.com:7394/2s93i93idj;tcp"
	addVectors(f)
	f.Add([]byte(strings.ReplaceAll("MSRP d93kswow SEND\r\nTo-Path: "+own+"\r\nFrom-Path: msrp://bob.example.com:8493/si438dsaodes;tcp\r\n"+
		"Message-ID: 12339sdqwer\r\nByte-Range: 5-*/4611686018427387904\r\nContent-Type: text/plain\r\n\r\nabc\r\n-------d93kswow+\r\n", "abc", strings.Repeat("abc", 100))))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := NewEndpoint(nil)
		uri, err := ParseURI(own)
		require.NoError(t, err)
		peer, err := ParsePath("msrp://bob.example.com:8493/si438dsaodes;tcp")
		require.NoError(t, err)
		s, err := e.NewSession(SessionOptions{URI: uri})
		require.NoError(t, err)
		c := e.NewConn(NewStream(struct {
			io.Reader
			io.Writer
			io.Closer
		}{bytes.NewReader(data), io.Discard, io.NopCloser(nil)}))
		if s.Start(Remote{Path: peer, Conn: c}) != nil {
			s.Close() // the connection has ended by now
		}
		<-c.Done()
		<-s.Done()
		for {
			in, err := s.Receive(t.Context())
			if err != nil {
				break
			}
			io.Copy(io.Discard, in)
		}
	})
}
