package msrp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"testing"
)

var benchSizes = []int{100, 2 << 10, 8 << 10, 64 << 10}

func benchUnit(size int) []byte {
	u := Unit{TransactionID: NewTransactionID(), Method: MethodSend, Header: Header{
		{"Message-ID", NewID()}, {"Byte-Range", fmt.Sprintf("1-%d/%d", size, size)}, {"Success-Report", "yes"}, {"Content-Type", "text/plain"},
	}}
	u.To, _ = ParsePath("msrps://relay.example.com:2855/Zr4hVb0pQx8mLk2wSd9y;tcp msrps://bob.example.net:9000/Wq7uJn5eRt1oPa3s;tcp")
	u.From, _ = ParsePath("msrps://df7jal23ls0d.invalid:2855/Hq9vT2mX4cLp8sKd;ws")
	return u.Append(nil, bytes.Repeat([]byte("x"), size))
}

// loop is a stream of the same octets without end.
type loop struct {
	data []byte
	at   int
}

func (l *loop) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], l.data[l.at:])
		n += m
		if l.at += m; l.at == len(l.data) {
			l.at = 0
		}
	}
	return n, nil
}

// Reading a stream of SENDs, beside what net/textproto takes to read the same
// header lines and skip the same body.
func BenchmarkRead(b *testing.B) {
	for _, size := range benchSizes {
		unit := benchUnit(size)
		b.Run(fmt.Sprintf("%d/msrp", size), func(b *testing.B) {
			b.SetBytes(int64(len(unit)))
			b.ReportAllocs()
			r := NewReader(&loop{data: unit})
			for b.Loop() {
				u, err := r.Next()
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for {
					piece, err := u.Body.Next()
					if err != nil {
						break
					}
					n += len(piece)
				}
				if n != size || u.Flag != FlagComplete {
					b.Fatal(n)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/textproto", size), func(b *testing.B) {
			b.SetBytes(int64(len(unit)))
			b.ReportAllocs()
			buffered := bufio.NewReaderSize(&loop{data: unit}, 64<<10)
			r := textproto.NewReader(buffered)
			for b.Loop() {
				if _, err := r.ReadLine(); err != nil {
					b.Fatal(err)
				}
				if _, err := r.ReadMIMEHeader(); err != nil {
					b.Fatal(err)
				}
				if _, err := buffered.Discard(size + 2); err != nil {
					b.Fatal(err)
				}
				if _, err := r.ReadLine(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Parsing whole messages, as they come out of a WebSocket.
func BenchmarkParse(b *testing.B) {
	for _, size := range benchSizes {
		unit := benchUnit(size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(len(unit)))
			b.ReportAllocs()
			var r Reader
			for b.Loop() {
				if _, err := r.Parse(unit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range benchSizes {
		var r Reader
		u, _ := r.Parse(benchUnit(size))
		body := bytes.Repeat([]byte("x"), size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				u.TransactionID = NewTransactionID()
				if BodyHolds(body, u.TransactionID) {
					b.Fatal()
				}
				buf = u.Append(buf[:0], body)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

// A session at full speed: messages of a size, each received and read, with
// 200s, over a pipe and over TCP.
func BenchmarkSession(b *testing.B) {
	for _, network := range []string{"pipe", "tcp"} {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", network, size), func(b *testing.B) {
				a, c := net.Pipe()
				if network == "tcp" {
					a, c = tcpPair(b)
				}
				alice, bob := startedPair(b, a, c)
				body := bytes.Repeat([]byte("x"), size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				done := make(chan error, 1)
				go func() {
					for range b.N {
						in, err := bob.Receive(context.Background())
						if err == nil {
							_, err = io.Copy(io.Discard, in)
						}
						if err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
				slots := make(chan struct{}, 64)
				for range b.N {
					slots <- struct{}{}
					_, err := alice.Send(context.Background(), &Message{ContentType: "text/plain", Body: bytes.NewReader(body), Changed: func(p Progress) {
						if p.Sent {
							<-slots
						}
					}})
					if err != nil {
						b.Fatal(err)
					}
				}
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// startedPair returns two sessions that are connected by a and c.
func startedPair(t testing.TB, a, c net.Conn) (alice, bob *Session) {
	sessions := make([]*Session, 2)
	conns := make([]*Conn, 2)
	for i, transport := range []net.Conn{a, c} {
		e := NewEndpoint(nil)
		uri, err := MakeURI(false, "h.example.com", 2855, NewID(), "tcp")
		if err != nil {
			t.Fatal(err)
		}
		if sessions[i], err = e.NewSession(SessionOptions{URI: uri}); err != nil {
			t.Fatal(err)
		}
		conns[i] = e.NewConn(NewStream(transport))
		t.Cleanup(func() { conns[i].Close() })
	}
	for i := range sessions {
		err := sessions[i].Start(Remote{Path: Path{sessions[1-i].URI()}, Conn: conns[i], Active: i == 0, ChunkSize: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
	}
	return sessions[0], sessions[1]
}
