package msrp

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outcomes says what Bob's session makes of each vector: the codes of its
// responses and reports in order, and the messages its application gets.
var outcomes = map[string]struct {
	answers  string
	messages []string
	closed   bool
}{
	"V-01": {"200", []string{"Hi Bob"}, false},
	"V-02": {"200", nil, false},
	"V-03": {"200", []string{""}, false},
	"V-04": {"200", []string{""}, false},
	"V-05": {"200 200", []string{"abcdEFGH"}, false},
	"V-06": {"200 200", []string{"abcdEFGH"}, false},
	"V-07": {"200 200 200", []string{"small", "0123456789abc"}, false},
	"V-08": {"200 200", []string{"AAABBBBB"}, false},
	"V-09": {"200 200", nil, false},
	"V-10": {"200 200", nil, false},
	"V-11": {"200", []string{"line1\r\n"}, false},
	"V-12": {"200", []string{"see -------look0001$\r\nstill body\n"}, false},
	"V-13": {"200", []string{"a\r\n-------look0002x$\r\nb c\n"}, false},
	"V-14": {"200", []string{"\r\n-------look0003!\r\n-------look0003$x\r\n------look0003$\r\n--------look0003$\r\n-------LOOK0003$\r\nend"}, false},
	"V-15": {"200", []string{"*"}, false},
	"V-16": {"200", []string{"\r\n"}, false},
	"V-17": {"200", []string{"\r\r\n\r\r\n------\r\n-------crcrcrl"}, false},
	"V-18": {"200", []string{"\x00\x01\x02\x03\x04\x05\x06\x07\xff\xfe\x00\r\n-\x80\xc3"}, false},
	"V-19": {"200", []string{"ab\r\n---"}, false},
	"V-20": {"200", []string{"hi"}, false},
	"V-21": {"200", []string{"hi"}, false},
	"V-22": {"200", []string{"hi"}, false},
	"V-23": {"", []string{"hi"}, false},
	"V-24": {"200", []string{"hi"}, false},
	"V-25": {"", nil, false},
	"V-26": {"200", []string{"hi"}, false},
	"V-27": {"", nil, true},
	"V-28": {"501", nil, false},
	"V-29": {"", nil, true},
	"V-30": {"200 200", []string{"hi"}, false}, // the second repeats the first one's Message-ID
	"V-31": {"", nil, true},
	"V-32": {"", nil, true},
	"V-33": {"200", []string{"hi"}, false},
	"V-34": {"", nil, false},
	"V-35": {"400", nil, false},
	"V-36": {"400", nil, false},
	"V-37": {"400", nil, false},
	"V-38": {"", nil, true},
	"V-39": {"400", nil, false},
	"V-40": {"400", nil, false},
	"V-41": {"400", nil, false},
	"V-42": {"400", nil, false},
	"V-43": {"400", nil, false},
	"V-44": {"200", []string{"hi"}, false},
	"V-45": {"200", nil, false},
	"V-46": {"400", nil, false}, // a to k
	"V-47": {"", nil, false},
	"V-48": {"481", nil, false},
	"V-49": {"481", nil, false},
	"V-50": {"", nil, false},
	"V-51": {"", nil, false},
	"V-52": {"", nil, false},
	"V-53": {"", nil, true},
	"V-54": {"", nil, true},
	"V-55": {"", nil, false},
	"V-56": {"", nil, false},
	"V-57": {"501", nil, false},
	"V-58": {"501", nil, false},
	"V-59": {"400", nil, false},
	"V-60": {"415", nil, false},
}

// provenBy says which requirements a vector proves.
var provenBy = map[string]string{
	"V-01": "W-01", "V-02": "W-12 W-14 S-50", "V-03": "W-14", "V-04": "W-15", "V-06": "S-24", "V-07": "S-26 S-27", "V-08": "S-25", "V-09": "S-28", "V-10": "S-28",
	"V-11": "W-13", "V-12": "W-19", "V-13": "W-19", "V-14": "W-19", "V-15": "W-20", "V-16": "W-13", "V-17": "W-21", "V-18": "W-11", "V-19": "W-21", "V-20": "W-22",
	"V-21": "W-06", "V-22": "W-06", "V-23": "W-07", "V-24": "W-08 W-31", "V-26": "W-09", "V-27": "W-01 W-26", "V-28": "S-49", "V-29": "W-02 W-26", "V-30": "W-02 S-11",
	"V-31": "W-02 W-26", "V-32": "W-02 W-26", "V-33": "W-40", "V-34": "W-27", "V-35": "W-04 W-28", "V-36": "W-29", "V-37": "W-30", "V-38": "W-26", "V-39": "W-30",
	"V-40": "W-05", "V-41": "W-10 W-28", "V-42": "W-10 W-28", "V-43": "W-28", "V-46": "W-34", "V-47": "S-32", "V-48": "S-07", "V-49": "S-07", "V-50": "S-37 S-38",
	"V-53": "W-26", "V-54": "W-01 W-26", "V-56": "W-41", "V-59": "W-38", "V-60": "S-31",
}

// guard is how long a test waits for something that should happen at once.
const guard = 20 * time.Second

func tcpPair(t testing.TB) (client, server net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// Every vector against a session over TCP, whole and octet by octet: RFC 4975,
// sections 7.2, 7.3 and 10.
func TestSessionVectors(t *testing.T) {
	file := loadVectors(t)
	own, err := ParseURI(file.B)
	require.NoError(t, err)
	bind := "MSRP bindb1nd SEND\r\nTo-Path: " + file.B + "\r\nFrom-Path: " + file.A +
		"\r\nMessage-ID: bindb1nd\r\nByte-Range: 1-0/0\r\n-------bindb1nd$\r\n"
	for _, v := range file.Vectors {
		id := strings.TrimRight(v.ID, "abcdefghijk")
		want, ok := outcomes[id]
		require.True(t, ok, v.ID)
		for _, way := range []string{"whole", "octet by octet"} {
			t.Run(v.name()+" "+way, func(t *testing.T) {
				t.Parallel()
				proves(t, strings.Fields(provenBy[id])...)
				alice, server := tcpPair(t)
				alice.SetDeadline(time.Now().Add(guard))
				endpoint := NewEndpoint(nil)
				bob, err := endpoint.NewSession(SessionOptions{
					URI: own, AcceptTypes: []string{"text/plain", "message/cpim", "application/octet-stream"},
				})
				require.NoError(t, err)
				conn := endpoint.NewConn(NewStream(server))
				defer conn.Close()

				answers := NewReader(alice)
				_, err = io.WriteString(alice, bind)
				require.NoError(t, err)
				u, err := answers.Next()
				require.NoError(t, err)
				require.Equal(t, "bindb1nd", u.TransactionID)

				input := v.input(t)
				if !v.Incomplete {
					input = append(input, strings.ReplaceAll(bind, "bindb1nd", "s3nt1nel")...)
				}
				if way == "whole" {
					_, err = alice.Write(input)
				} else {
					for i := range input {
						if _, err = alice.Write(input[i : i+1]); err != nil {
							break
						}
					}
				}
				if !want.closed {
					require.NoError(t, err)
				}

				var got []string
				var first []byte
				for !v.Incomplete {
					u, err := answers.Next()
					if want.closed {
						require.Error(t, err)
						var syntax *SyntaxError
						<-conn.Done()
						assert.ErrorAs(t, conn.Err(), &syntax)
						break
					}
					require.NoError(t, err)
					require.Nil(t, u.Invalid)
					if u.TransactionID == "s3nt1nel" {
						break
					}
					require.True(t, u.IsResponse())
					got = append(got, strconv.Itoa(u.Code))
					if first == nil {
						u.Comment = ""
						first = u.Append(nil, nil)
					}
				}
				assert.Equal(t, want.answers, strings.Join(got, " "))
				if v.Reply != nil {
					u, err := NewReader(strings.NewReader(string(unhex(t, *v.Reply)))).Next()
					require.NoError(t, err)
					u.Comment = ""
					assert.Equal(t, string(u.Append(nil, nil)), string(first))
				}

				if !want.closed {
					bob.Close() // what arrived can still be received
				}
				<-bob.Done()
				ctx, cancel := context.WithTimeout(t.Context(), guard)
				defer cancel()
				for _, message := range want.messages {
					in, err := bob.Receive(ctx)
					require.NoError(t, err)
					body, err := io.ReadAll(in)
					require.NoError(t, err)
					if message != "*" {
						assert.Equal(t, message, string(body))
					}
					assert.EqualValues(t, len(body), in.Size())
				}
				end := ErrSessionClosed
				if want.closed {
					end = ErrConnLost
				}
				_, err = bob.Receive(ctx)
				assert.ErrorIs(t, err, end)
			})
		}
	}
}
