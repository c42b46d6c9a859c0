package sdp

import (
	"embed"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// The descriptions in testdata have the form of those that other programs
// write, by their source code or their traces, with addresses for examples.
//
//go:embed testdata/*.sdp
var testdata embed.FS

// corpus returns all of them by name.
func corpus(t testing.TB) map[string]string {
	entries, err := testdata.ReadDir("testdata")
	require.NoError(t, err)
	all := map[string]string{}
	for _, e := range entries {
		text, err := testdata.ReadFile("testdata/" + e.Name())
		require.NoError(t, err)
		all[strings.TrimSuffix(e.Name(), ".sdp")] = string(text)
	}
	return all
}

func parse(t testing.TB, s string) *Description {
	t.Helper()
	d, err := Parse(s)
	require.NoError(t, err)
	return d
}

// bob is the own side of the tests: with one URI, and for all types.
func bob(t testing.TB, secure bool) Stream {
	uri, err := msrp.MakeURI(secure, "bob.example.net", 9000, "Wq7uJn5eRt1oPa3s", msrp.TransportTCP)
	require.NoError(t, err)
	return Stream{Path: msrp.Path{uri}, AcceptTypes: []string{"*"}, Setup: ActPass}
}

func ports(d *Description) (list []int) {
	for _, m := range d.Media {
		list = append(list, m.Port)
	}
	return list
}

var aliceHash = Hash{"sha-1", "72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E"}

func TestOffersOfOthers(t *testing.T) {
	const push = "a=recvonly\r\n"
	rcsHash := []Hash{{"sha-1", "58:23:1F:E8:65:3B:BC:F3:71:36:2F:86:D4:71:91:3E:E4:B1:DF:2F"}}
	seen := map[string]bool{}
	for _, c := range []struct {
		name   string
		secure bool
		own    func(*Stream) // may be nil
		ports  []int         // of the answer
		active bool          // this side
		uris   int           // in the peer's path
		file   *FileTransfer
		answer []string // that it contains
	}{
		{name: "blink-chat-offer", secure: true, ports: []int{9000}, uris: 2, answer: []string{"a=setup:passive\r\n", "m=message 9000 TCP/TLS/MSRP *\r\n"}},
		{name: "blink-chat-offer", secure: true, own: func(s *Stream) { s.Setup = Active }, ports: []int{9000}, active: true, uris: 2, answer: []string{"a=setup:active\r\n"}},
		{
			name: "blink-file-offer", ports: []int{9000}, uris: 1,
			file:   &FileTransfer{Selector: FileSelector{"100% my cool picture.jpg", "image/jpeg", 32349, []Hash{aliceHash}}, ID: "5b2c8ad0-6f3e-4a91-9c3f-0e2d5a7b1c44"},
			answer: []string{push, "a=file-transfer-id:5b2c8ad0-6f3e-4a91-9c3f-0e2d5a7b1c44\r\n", `a=file-selector:name:"100%25 my cool picture.jpg" type:image/jpeg size:32349 hash:sha-1:72:`},
		},
		{name: "crocodile-chat-offer", secure: true, ports: []int{9000}, uris: 2, answer: []string{"a=setup:passive\r\n"}},
		{
			name: "crocodile-file-offer", ports: []int{9000}, uris: 2,
			file:   &FileTransfer{Selector: FileSelector{`50% /done".svg`, `image/svg+xml;charset="utf-8"`, 300000, nil}, ID: "nxj2ddcr6p7tde39", Disposition: "attachment"},
			answer: []string{push, `a=file-selector:name:"50%25 %2Fdone%22.svg" type:image/svg+xml;charset="utf-8" size:300000` + "\r\n"},
		},
		{name: "msrp-node-lib-active-offer", ports: []int{9000}, uris: 1, answer: []string{"a=setup:passive\r\n"}},
		{name: "msrp-node-lib-passive-offer", ports: []int{9000}, active: true, uris: 1, answer: []string{"a=setup:active\r\n"}},
		{name: "freeswitch-offer", ports: []int{0, 9000}, active: true, uris: 1, answer: []string{"m=audio 0 RTP/AVP 0 8 101\r\n", "a=setup:active\r\n"}},
		{
			name: "freeswitch-file-offer", ports: []int{9000}, active: true, uris: 1,
			file:   &FileTransfer{Selector: FileSelector{"voicemail.wav", "audio/wav", 44044, nil}},
			answer: []string{push, `a=file-selector:name:"voicemail.wav" type:audio/wav size:44044` + "\r\n"},
		},
		{name: "rcs-chat-offer", ports: []int{9000}, uris: 1, answer: []string{"a=setup:passive\r\n", "a=sendrecv\r\n"}},
		{name: "rcs-chat-offer", own: func(s *Stream) { s.CEMA = true }, ports: []int{9000}, uris: 1, answer: []string{"a=msrp-cema\r\n"}},
		{
			name: "rcs-file-offer", ports: []int{9000}, uris: 1,
			file: &FileTransfer{
				Selector: FileSelector{"photo_3.jpg", "image/jpeg", 195490, rcsHash}, ID: "1391518338244", Disposition: "attachment", Icon: "cid:image@joyn.com",
			},
			answer: []string{push, "a=file-transfer-id:1391518338244\r\n"},
		},
		{
			name: "rcs-file-resumed-offer", ports: []int{9000}, uris: 1,
			own: func(s *Stream) {
				s.File = &FileTransfer{Selector: FileSelector{Size: 195490, Hashes: rcsHash}, Range: FileRange{100001, -1}}
			},
			file:   &FileTransfer{Selector: FileSelector{"photo_3.jpg", "image/jpeg", 195490, rcsHash}, ID: "1391518438244", Range: FileRange{100001, 195490}},
			answer: []string{push, "a=file-range:100001-195490\r\n"},
		},
		{
			name: "rcs-large-message-offer", ports: []int{9000}, uris: 1,
			file:   &FileTransfer{Selector: FileSelector{Size: 2048}},
			answer: []string{push, "a=file-selector:size:2048\r\n"},
		},
		{
			name: "doubango-file-offer", ports: []int{9000}, uris: 1,
			file: &FileTransfer{
				Selector: FileSelector{"test.pcap", "application/octet-stream", 11376, []Hash{{"sha-1", "8D:55:24:2B:F4:F9:9B:A2:54:A3:5B:91:00:15:9E:A3:D4:48:D7:DF"}}},
				ID:       "vscxggbwkfnqduxwfnfozvsrtkjprepg", Disposition: "attachment", Date: "creation:2010-02-13T17:50:31.763Z", Icon: "cid:test@doubango.org",
			},
			answer: []string{push},
		},
		{name: "sipjs-offer", secure: true, ports: []int{0, 0, 0, 9000, 0}, uris: 2, answer: []string{
			"m=audio 0 UDP/TLS/RTP/SAVPF 109 0 8\r\nm=video 0 UDP/TLS/RTP/SAVPF 120\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nm=message 9000 TCP/TLS/MSRP *\r\n",
			"m=message 0 TCP/TLS/MSRP *\r\na=file-selector:name:\"minutes.odt\" type:application/vnd.oasis.opendocument.text size:18231\r\na=file-transfer-id:n5Eq2Lw8\r\n",
		}},
		{name: "jssip-offer", secure: true, ports: []int{9000}, uris: 2, answer: []string{"a=setup:passive\r\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen[c.name] = true
			offer := parse(t, corpus(t)[c.name])
			own := bob(t, c.secure)
			if c.own != nil {
				c.own(&own)
			}
			answer, agreed, err := Answer("bob", 1, offer, own)
			require.NoError(t, err)
			assert.Equal(t, c.ports, ports(answer))
			assert.Equal(t, c.active, agreed.Active)
			assert.Len(t, agreed.Peer.Path, c.uris)
			assert.Equal(t, c.file, agreed.Peer.File)
			assert.Equal(t, c.file == nil, agreed.Direction.Sends())
			for _, want := range c.answer {
				assert.Contains(t, answer.String(), want)
			}
			for _, name := range []string{"file-icon", "file-disposition", "file-date"} {
				assert.NotContains(t, answer.String(), name)
			}

			// The other side would agree.
			for i, port := range c.ports {
				theirs, err := Conclude(offer, parse(t, answer.String()), i)
				if port == 0 {
					assert.Error(t, err)
					continue
				}
				require.NoError(t, err)
				assert.NotEqual(t, agreed.Active, theirs.Active)
				assert.Equal(t, agreed.Direction.Reverse(), theirs.Direction)
			}
		})
	}
	for name := range corpus(t) {
		assert.Equal(t, strings.HasSuffix(name, "-offer"), seen[name], name)
	}
}

func TestAnswersOfOthers(t *testing.T) {
	notes := &FileTransfer{Selector: FileSelector{"notes.txt", "text/plain", 11, []Hash{aliceHash}}, ID: "Kq7fJ2mZ0xPw"}
	for name, c := range map[string]struct {
		secure bool
		file   *FileTransfer // pushed
		active bool
		known  bool // the peer says that it is about the file
		check  func(*testing.T, Stream)
	}{
		"blink-file-answer":     {file: notes, known: true},
		"crocodile-file-answer": {file: notes, active: true},
		"sylkserver-room-answer": {secure: true, active: true, check: func(t *testing.T, s Stream) {
			assert.Equal(t, []string{ChatroomNickname, ChatroomPrivateMessages, "com.ag-projects.screen-sharing", "com.ag-projects.zrtp-sas"}, s.Chatroom)
			bare, wrapped := s.Takes("text/plain")
			assert.Equal(t, [2]bool{false, true}, [2]bool{bare, wrapped})
		}},
		"msrp-node-lib-answer": {active: true},
		"freeswitch-answer":    {secure: true, active: true},
		"rcs-server-answer": {secure: true, active: true, check: func(t *testing.T, s Stream) {
			assert.Equal(t, []string{"SHA-1 AB:C9:00:1D:00:11:22:33:0D:F8:44:91:55:66:77:88:8D:99:AA:F7"}, s.Fingerprints)
			assert.Zero(t, s.MaxSize)
			assert.Equal(t, []Attribute{{"maxsize", "10000"}}, s.Attributes)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			own := bob(t, c.secure)
			if own.File = c.file; c.file != nil {
				own.Direction = SendOnly
			}
			require.NoError(t, own.Check())
			offer, answer := Offer("bob", 1, own), parse(t, corpus(t)[name])
			agreed, err := Conclude(offer, answer, 0)
			require.NoError(t, err)
			assert.Equal(t, c.active, agreed.Active)
			assert.Equal(t, c.file == nil, agreed.Direction.Receives())
			assert.Equal(t, c.known, agreed.Peer.File != nil)
			if c.check != nil {
				c.check(t, agreed.Peer)
			}
			short, err := Accepted(ActPass, answer)
			require.NoError(t, err)
			assert.Equal(t, agreed.Peer, short.Peer)
			assert.Equal(t, agreed.Active, short.Active)
		})
	}
}
