package sdp

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// RFC 6135, section 4.2: an offer says a=setup, and never passive.
func TestOfferedRoles(t *testing.T) {
	proves(t, "D-12")
	relayed := path(t, "msrp://relay.example.com:2855/t;tcp msrp://192.0.2.1:2855/s;tcp")
	for _, c := range []struct {
		rfc     string
		stream  Stream
		offered Setup
	}{
		{"6135, section 4.2.1", Stream{Setup: ActPass}, ActPass},
		{"6135, section 4.2.1", Stream{Setup: Active}, Active},
		{"6135, section 4.2.1: not passive", Stream{Setup: Passive}, ActPass},
		{"6135, section 4.2.1: not holdconn", Stream{Setup: "holdconn"}, Active},
		{"4975, section 8.5: the offerer is active", Stream{}, Active},
		{"6714, section 4.2: behind a relay", Stream{Setup: Active, CEMA: true, Path: relayed}, ActPass},
		{"4976, section 5.1: behind a relay", Stream{Setup: Active, Path: relayed}, Active},
	} {
		offered, ok := Offer("alice", 1, c.stream).Media[0].Get("setup")
		assert.True(t, ok, c.rfc)
		assert.Equal(t, string(c.offered), offered, c.rfc)
	}
}

// Who connects, by both descriptions, and what contradicts itself.
func TestConcludedRoles(t *testing.T) {
	proves(t, "D-15")
	for _, c := range []struct {
		rfc               string
		offered, answered Setup
		active, valid     bool
	}{
		{"6135, section 4.2", ActPass, Passive, true, true},
		{"6135, section 4.2", ActPass, Active, false, true},
		{"6135, section 4.2", Active, Passive, true, true},
		{"4975, section 8.5: who does not know setup is passive", ActPass, "", true, true},
		{"4975, section 8.5: who does not know setup is passive", Active, "", true, true},
		{"4145, section 4: no answer, taken as absent", ActPass, ActPass, true, true},
		{"4145, section 4: two that connect", Active, Active, false, false},
	} {
		own, peer := bob(t, false), bob(t, false)
		own.Setup, peer.Setup = c.offered, c.answered
		offer := Offer("alice", 1, own)
		answer := describe("bob", 1, peer.Media())
		for _, conclude := range []func() (Agreement, error){
			func() (Agreement, error) { return Conclude(offer, answer, 0) },
			func() (Agreement, error) { return Accepted(c.offered, answer) },
		} {
			agreed, err := conclude()
			assert.Equal(t, c.valid, err == nil, c.rfc)
			if c.valid {
				assert.Equal(t, c.active, agreed.Active, c.rfc)
			}
		}
	}
}

// RFC 3264, sections 6 and 8: what an answer and the next description look like.
func TestSeveralStreams(t *testing.T) {
	chat, file := bob(t, false), bob(t, false)
	file.Direction, file.File = SendOnly, minutes()
	second := file
	second.File = &FileTransfer{Selector: FileSelector{"more.txt", "text/plain", 7, nil}, ID: "m2"}
	offer := Offer("alice", 1, chat, file, second)
	offer.Media = append([]Media{{Kind: "audio", Port: 4000, Proto: "RTP/AVP", Formats: "0 8"}}, offer.Media...)

	t.Run("RFC 5547, section 8.2.3: each is taken or refused for itself", func(t *testing.T) {
		var asked []int
		busy := errors.New("busy")
		answer, agreements := AnswerStreams("bob", 2, offer, func(i int, peer *Stream) (*Stream, error) {
			asked = append(asked, i)
			if peer.File != nil && peer.File.ID == "m2" {
				return nil, busy
			}
			own := bob(t, false)
			return &own, nil
		})
		assert.Equal(t, []int{1, 2, 3}, asked)
		assert.Equal(t, []int{0, 9000, 9000, 0}, ports(answer))
		assert.Equal(t, []Attribute{{"file-selector", `name:"more.txt" type:text/plain size:7`}, {"file-transfer-id", "m2"}}, answer.Media[3].Attributes)
		assert.Error(t, agreements[0].Err)
		assert.NoError(t, agreements[1].Err)
		assert.NoError(t, agreements[2].Err)
		assert.Equal(t, minutes().Selector, agreements[2].Peer.File.Selector)
		assert.ErrorIs(t, agreements[3].Err, busy)
		for i, want := range []bool{false, true, true, false} {
			_, err := Conclude(offer, answer, i)
			assert.Equal(t, want, err == nil, "%d: %v", i, err)
		}
		_, err := Conclude(offer, answer, 3)
		assert.ErrorIs(t, err, ErrRefused)
		_, err = Conclude(offer, answer, 4)
		assert.Error(t, err)
	})
	t.Run("RFC 4975, section 8.6: for a conversation, the one that is", func(t *testing.T) {
		files := *offer
		files.Media = []Media{offer.Media[2], offer.Media[1]}
		answer, agreed, err := Answer("bob", 2, &files, bob(t, false))
		require.NoError(t, err)
		assert.Equal(t, []int{0, 9000}, ports(answer))
		assert.Nil(t, agreed.Peer.File)
	})
	t.Run("RFC 5547, section 8.3.1: for a file, that one", func(t *testing.T) {
		own := bob(t, false)
		own.File = &FileTransfer{Selector: FileSelector{Name: "more.txt", Size: -1}}
		answer, agreed, err := Answer("bob", 2, offer, own)
		require.NoError(t, err)
		assert.Equal(t, []int{0, 0, 0, 9000}, ports(answer))
		assert.Equal(t, "m2", agreed.Peer.File.ID)
	})
	t.Run("RFC 3264, section 6: not in another number or order", func(t *testing.T) {
		answer, _, err := Answer("bob", 2, offer, bob(t, false))
		require.NoError(t, err)
		short := *answer
		short.Media = answer.Media[:2]
		_, err = Conclude(offer, &short, 1)
		assert.Error(t, err)
		tls := bob(t, true)
		short.Media = append([]Media{answer.Media[0], tls.Media()}, answer.Media[2:]...)
		_, err = Conclude(offer, &short, 1)
		assert.Error(t, err)
	})
}

// RFC 3264, section 8; RFC 4975, section 8.4.
func TestVersions(t *testing.T) {
	alice := bob(t, false)
	first := Offer("alice", 77, alice)
	other := alice
	other.Path = path(t, "msrp://alice.example.com:9001/new;tcp")
	hold := alice
	hold.Direction = Inactive
	for name, c := range map[string]struct {
		next *Description
		want uint64
	}{
		"nothing changed":             {Offer("alice", 77, alice), 1},
		"made by another hand":        {Offer("", 99, alice), 1},
		"another path":                {Offer("alice", 77, other), 2},
		"on hold":                     {Offer("alice", 77, hold), 2},
		"one more stream":             {Offer("alice", 77, alice, other), 2},
		"the stream is over":          {Offer("alice", 77), 2},
		"the same, read from a trace": {parse(t, first.String()), 1},
	} {
		t.Run(name, func(t *testing.T) {
			before := first.String()
			next := c.next.After(first)
			want := first.Origin
			want.Version = c.want
			assert.Equal(t, want, next.Origin)
			assert.Equal(t, c.want == 1, next.String() == before)
			assert.Equal(t, before, first.String())
			again := c.next.After(next)
			assert.Equal(t, next.String(), again.String())
		})
	}

	t.Run("lines are never taken away", func(t *testing.T) {
		file := alice
		file.Direction, file.File = SendOnly, minutes()
		two := Offer("alice", 77, alice, file)
		one := Offer("alice", 77, alice).After(two)
		assert.Equal(t, []int{9000, 0}, ports(one))
		assert.Equal(t, uint64(2), one.Origin.Version)
		// RFC 5547, section 8.4: the same transfer is given up.
		id, _ := one.Media[1].Get("file-transfer-id")
		assert.Equal(t, minutes().ID, id)
		_, sends := one.Media[1].Get("sendonly")
		assert.True(t, sends)
		_, err := one.Stream(1)
		assert.ErrorIs(t, err, ErrRefused)
		// RFC 3264, section 8.1: its line can be used again.
		three := Offer("alice", 77, alice, other).After(one)
		assert.Equal(t, []int{9000, 9001}, ports(three))
		assert.Equal(t, uint64(3), three.Origin.Version)
	})
	t.Run("an answer to a renewed offer may have a new path", func(t *testing.T) {
		mine, _, err := Answer("bob", 5, first, bob(t, false))
		require.NoError(t, err)
		same, _, err := Answer("bob", 5, first, bob(t, false))
		require.NoError(t, err)
		assert.Equal(t, mine.String(), same.After(mine).String())
		moved, agreed, err := Answer("bob", 5, Offer("alice", 77, other).After(first), other)
		require.NoError(t, err)
		assert.Equal(t, uint64(2), moved.After(mine).Origin.Version)
		assert.Equal(t, other.Path, agreed.Peer.Path)
	})
}

// RFC 6714, section 4.3.
func TestCEMAAnswers(t *testing.T) {
	direct, relay := "msrp://alice.example.com:2855/s;tcp", "msrp://relay.example.com:2855/t;tcp msrp://alice.example.com:2855/s;tcp"
	const none, middlebox = "", "sbc.example.com"
	ownRelay := path(t, "msrp://ours.example.net:2855/t;tcp msrp://bob.example.net:9000/s;tcp")
	for _, c := range []struct {
		name, path, c string
		cema          bool // in the offer
		offered       Setup
		own           Setup
		ownRelay      bool
		answered      bool // with CEMA
		setup         Setup
		anchor        bool
		refused       bool
	}{
		{name: "both know it, no middlebox", path: direct, cema: true, offered: ActPass, own: ActPass, answered: true, setup: Passive},
		{name: "both know it, this side is passive", path: direct, c: middlebox, cema: true, offered: ActPass, own: ActPass, answered: true, setup: Passive},
		{name: "both know it, this side connects to the middlebox", path: direct, c: middlebox, cema: true, offered: ActPass, own: Active, answered: true, setup: Active, anchor: true},
		{name: "the offerer does not, no middlebox", path: direct, offered: ActPass, own: ActPass, setup: Passive},
		{name: "the offerer does not, a middlebox", path: direct, c: middlebox, offered: ActPass, own: ActPass, refused: true},
		{name: "both have relays", path: relay, c: middlebox, cema: true, offered: ActPass, own: ActPass, ownRelay: true, setup: Passive},
		{name: "the offerer has a relay, this side connects", path: relay, c: middlebox, cema: true, offered: ActPass, own: ActPass, answered: true, setup: Active, anchor: true},
		{name: "the offerer has a relay and would connect", path: relay, c: middlebox, cema: true, offered: ActPass, own: Passive, setup: Passive},
		{name: "the offerer has a relay and connects", path: relay, c: middlebox, cema: true, offered: Active, own: ActPass, setup: Passive},
		{name: "this side has a relay and is passive", path: direct, c: middlebox, cema: true, offered: ActPass, own: ActPass, ownRelay: true, answered: true, setup: Passive},
		{name: "this side has a relay and cannot be passive", path: direct, c: middlebox, cema: true, offered: ActPass, own: Active, ownRelay: true, setup: Active},
	} {
		t.Run(c.name, func(t *testing.T) {
			proves(t, "D-16 D-05")
			peer := Stream{Path: path(t, c.path), AcceptTypes: []string{"*"}, Setup: c.offered, CEMA: c.cema}
			if c.c != none {
				peer.Anchor = Address{c.c, 5000}
			}
			// As a description: the tests are not to lean on Offer.
			offer := parse(t, describe("alice", 1, peer.Media()).String())
			own := bob(t, false)
			own.CEMA, own.Setup = true, c.own
			if c.ownRelay {
				own.Path = ownRelay
			}
			answer, agreed, err := Answer("bob", 1, offer, own)
			if c.refused {
				assert.Error(t, err)
				own.CEMA = false // who does not know it goes by the path
				_, agreed, err = Answer("bob", 1, offer, own)
				require.NoError(t, err)
				assert.Zero(t, agreed.Anchor)
				return
			}
			require.NoError(t, err)
			s, err := answer.Stream(0)
			require.NoError(t, err)
			assert.Equal(t, c.answered, s.CEMA)
			assert.Equal(t, c.setup, s.Setup)
			assert.Equal(t, c.setup == Active, agreed.Active)
			if c.anchor {
				assert.Equal(t, peer.Anchor, agreed.Anchor)
			} else {
				assert.Zero(t, agreed.Anchor)
			}
			assert.Equal(t, own.Path.First().Port(), answer.Media[0].Port) // the relay's, behind one

			own.CEMA = false
			answer, agreed, err = Answer("bob", 1, offer, own)
			require.NoError(t, err)
			assert.NotContains(t, answer.String(), "cema")
			assert.Zero(t, agreed.Anchor)
		})
	}
}

// RFC 6714, section 4.2.
func TestCEMAConclusions(t *testing.T) {
	direct, relay := path(t, "msrp://bob.example.net:9000/s;tcp"), path(t, "msrp://relay.example.net:2855/t;tcp msrp://bob.example.net:9000/s;tcp")
	ownRelay := path(t, "msrp://ours.example.com:2855/t;tcp msrp://alice.example.com:2855/s;tcp")
	sbc := Address{"192.0.2.99", 5000}
	for _, c := range []struct {
		name      string
		path      msrp.Path
		c         Address
		cema      bool // in the answer
		answered  Setup
		ownRelay  bool
		fallback  bool
		toTheSBC  bool
		ownActive bool
	}{
		{name: "both know it, no middlebox", path: direct, cema: true, answered: Passive, ownActive: true},
		{name: "both know it, and this side connects", path: direct, c: sbc, cema: true, answered: Passive, ownActive: true, toTheSBC: true},
		{name: "both know it, and the peer connects", path: direct, c: sbc, cema: true, answered: Active},
		{name: "both know it, the peer has a relay", path: relay, c: sbc, cema: true, answered: Passive, ownActive: true, toTheSBC: true},
		{name: "both know it, this side has a relay", path: direct, c: sbc, cema: true, answered: Active, ownRelay: true},
		{name: "the peer does not, no middlebox", path: direct, answered: Passive, ownActive: true},
		{name: "the peer does not, no middlebox, a relay", path: relay, answered: Passive, ownActive: true},
		{name: "the peer does not, this side is passive", path: direct, c: sbc, answered: Active, fallback: true},
		{name: "the peer does not, this side has a relay and connects", path: direct, c: sbc, answered: Passive, ownRelay: true, fallback: true},
		{name: "the peer does not, the peer has a relay", path: relay, c: sbc, answered: Passive, fallback: true},
		{name: "the peer does not, this side connects", path: direct, c: sbc, answered: Passive, ownActive: true, toTheSBC: true},
		{name: "the peer knows neither this nor setup", path: direct, c: sbc, ownActive: true, toTheSBC: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			proves(t, "D-16 D-05")
			own := Stream{Path: path(t, "msrp://alice.example.com:2855/s;tcp"), AcceptTypes: []string{"*"}, Setup: ActPass, CEMA: true}
			if c.ownRelay {
				own.Path = ownRelay
			}
			peer := Stream{Path: c.path, AcceptTypes: []string{"*"}, Setup: c.answered, CEMA: c.cema, Anchor: c.c}
			answer := parse(t, describe("bob", 1, peer.Media()).String())
			offer := Offer("alice", 1, own)
			assert.Contains(t, offer.String(), "a=msrp-cema\r\n")
			agreed, err := Conclude(offer, answer, 0)
			if c.fallback {
				assert.ErrorIs(t, err, ErrFallback)
				own.CEMA = false // and once more
				offer = Offer("alice", 1, own).After(offer)
				assert.Equal(t, uint64(2), offer.Origin.Version)
				agreed, err = Conclude(offer, answer, 0)
				require.NoError(t, err)
				assert.Zero(t, agreed.Anchor)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.ownActive, agreed.Active)
			if c.toTheSBC {
				assert.Equal(t, sbc, agreed.Anchor)
			} else {
				assert.Zero(t, agreed.Anchor)
			}
		})
	}
}

// RFC 5547, sections 8.3.1 and 8.3.2: what is answered to the offer of a file.
func TestFileAnswers(t *testing.T) {
	file := minutes()
	part := *file
	part.ID, part.Range = "resumed", FileRange{101, -1}
	byHash := &FileTransfer{Selector: FileSelector{Size: -1, Hashes: []Hash{aliceHash}}, ID: "pull"}
	byPart := *byHash
	byPart.Range = FileRange{2, 18232}
	dated := *file
	dated.Disposition, dated.Date, dated.Icon = "attachment", `creation:"x"`, "cid:x"
	for _, c := range []struct {
		name      string
		direction Direction
		offered   *FileTransfer
		own       func(*Stream)
		answered  *FileTransfer // nil where the answer is port 0
	}{
		{"a push, to anyone", SendOnly, &dated, func(*Stream) {}, file},
		{"a push, to one who wants it", SendOnly, file, func(s *Stream) { s.File = byHash }, file},
		{"a push, to one who wants another", SendOnly, file, func(s *Stream) { s.File = &FileTransfer{Selector: FileSelector{Size: 1}} }, nil},
		{"a push, to one who only sends", SendOnly, file, func(s *Stream) { s.Direction = SendOnly }, nil},
		{"a push that fits", SendOnly, file, func(s *Stream) { s.MaxSize = 18231 }, file},
		{"a push that is too large", SendOnly, file, func(s *Stream) { s.MaxSize = 18230 }, nil},
		{"the rest, to anyone", SendOnly, &part, func(*Stream) {}, nil},
		{"the rest, to one who wants it", SendOnly, &part, func(s *Stream) {
			s.File = &FileTransfer{Selector: byHash.Selector, Range: FileRange{101, 18231}}
			s.MaxSize = 18131 // one octet less would not do
		}, &part},
		{"the rest, to one who wants another part", SendOnly, &part, func(s *Stream) {
			s.File = &FileTransfer{Selector: byHash.Selector, Range: FileRange{102, -1}}
		}, nil},
		{"all, to one who wants a part", SendOnly, file, func(s *Stream) { s.File = &part }, nil},
		{"a pull", RecvOnly, byHash, func(s *Stream) { s.File = file }, &FileTransfer{Selector: file.Selector, ID: "pull"}},
		{"a pull of what is not here", RecvOnly, byHash, func(s *Stream) { s.File = &FileTransfer{Selector: FileSelector{Name: "x", Size: 1}} }, nil},
		{"a pull, to one who has nothing", RecvOnly, byHash, func(*Stream) {}, nil},
		{"a pull of a part", RecvOnly, &part, func(s *Stream) { s.File = file }, &part},
		{"a pull beyond the end", RecvOnly, &byPart, func(s *Stream) { s.File = file }, nil},
		{"a pull of more than is taken", RecvOnly, byHash, func(s *Stream) { s.File = file; s.Attributes = []Attribute{{"test", "small"}} }, nil},
		{"both ways", SendRecv, file, func(*Stream) {}, nil},
		{"no way", Inactive, file, func(*Stream) {}, nil},
		{"no selector", SendOnly, &FileTransfer{Selector: FileSelector{Size: -1}, ID: "x"}, func(*Stream) {}, nil},
		{"no selector, a pull", RecvOnly, &FileTransfer{Selector: FileSelector{Size: -1}, ID: "x"}, func(s *Stream) { s.File = file }, nil},
		{"a conversation, to one who wants a file", "", nil, func(s *Stream) { s.File = file }, nil},
		{"a capability, to one who wants a file", "", &FileTransfer{Selector: FileSelector{Size: -1}}, func(s *Stream) { s.File = file }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			own, peer := bob(t, false), bob(t, false)
			c.own(&own)
			if own.Attributes != nil {
				own.Attributes, peer.MaxSize = nil, 5
			}
			peer.Direction, peer.File = c.direction, c.offered
			offer := parse(t, Offer("alice", 1, peer).String())
			_, agreed, err := Answer("bob", 1, offer, own)
			assert.Equal(t, c.answered != nil, err == nil, "%v", err)
			answer, _ := AnswerStreams("bob", 1, offer, func(int, *Stream) (*Stream, error) { return &own, nil })
			if c.answered == nil {
				// The same selector and transfer ID, as they are.
				assert.Zero(t, answer.Media[0].Port)
				for _, name := range []string{"file-selector", "file-transfer-id"} {
					offered, _ := offer.Media[0].Get(name)
					mirrored, _ := answer.Media[0].Get(name)
					assert.Equal(t, offered, mirrored)
				}
				return
			}
			s, err := parse(t, answer.String()).Stream(0)
			require.NoError(t, err)
			assert.Equal(t, c.direction.Reverse(), s.Direction)
			assert.Equal(t, c.answered, s.File)
			assert.Equal(t, c.offered.ID, agreed.Peer.File.ID)
			_, err = Conclude(offer, answer, 0)
			assert.NoError(t, err)
		})
	}
	t.Run("only a capability", func(t *testing.T) {
		peer := bob(t, false)
		peer.File = &FileTransfer{Selector: FileSelector{Size: -1}}
		answer, _, err := Answer("bob", 1, Offer("alice", 1, peer), bob(t, false))
		require.NoError(t, err)
		assert.NotContains(t, answer.String(), "file-")
	})
	t.Run("crocodile-msrp fails without a disposition", func(t *testing.T) {
		own := bob(t, false)
		own.Direction, own.File = SendOnly, minutes()
		assert.Contains(t, Offer("alice", 1, own).String(), "a=file-disposition:render\r\n")
		assert.Empty(t, own.File.Disposition)
	})
}

// What the answer to an own offer of a file may say.
func TestFileConclusions(t *testing.T) {
	file := minutes()
	part := *file
	part.Range = FileRange{101, -1}
	pull := &FileTransfer{Selector: FileSelector{Size: -1, Hashes: []Hash{aliceHash}}, ID: "n5Eq2Lw8"}
	for name, c := range map[string]struct {
		direction Direction
		offered   *FileTransfer
		adjust    func(*Stream) // of the answer, which else is the right one
		valid     bool
	}{
		"RFC 5547, section 8.3.1: a push":           {SendOnly, file, func(*Stream) {}, true},
		"RFC 5547, section 8.3.2: a pull":           {RecvOnly, pull, func(s *Stream) { s.File.Selector = file.Selector }, true},
		"RFC 5547, section 8.1: another transfer":   {SendOnly, file, func(s *Stream) { s.File.ID = "other" }, false},
		"RFC 5547, section 8.1: no ID, as Blink":    {SendOnly, file, func(s *Stream) { s.File.ID = "" }, true},
		"RFC 5547, section 8.3: another file":       {SendOnly, file, func(s *Stream) { s.File.Selector.Size++ }, false},
		"RFC 5547, section 8.3.2: another file":     {RecvOnly, pull, func(s *Stream) { s.File.Selector.Hashes = []Hash{NewHash("sha-1", make([]byte, 20))} }, false},
		"RFC 5547, section 8.3: not about the file": {SendOnly, file, func(s *Stream) { s.File = nil }, true},
		"RFC 5547, section 8.3: nor about a pull":   {RecvOnly, pull, func(s *Stream) { s.File = nil }, false},
		"RFC 5547, section 8.3: nor about a part":   {SendOnly, &part, func(s *Stream) { s.File = nil }, false},
		"RFC 5547, section 6: the part":             {SendOnly, &part, func(*Stream) {}, true},
		"RFC 5547, section 6: said differently":     {SendOnly, &part, func(s *Stream) { s.File.Range.Stop = 18231 }, true},
		"RFC 5547, section 6: all instead":          {SendOnly, &part, func(s *Stream) { s.File.Range = FileRange{} }, false},
		"RFC 5547, section 6: all, in other words":  {SendOnly, file, func(s *Stream) { s.File.Range = FileRange{1, -1} }, true},
		"RFC 5547, section 6: a part instead":       {SendOnly, file, func(s *Stream) { s.File.Range = FileRange{2, -1} }, false},
		"RFC 5547, section 8.7: fits":               {SendOnly, &part, func(s *Stream) { s.MaxSize = 18131 }, true},
		"RFC 5547, section 8.7: too large":          {SendOnly, file, func(s *Stream) { s.MaxSize = 18230 }, false},
		"RFC 5547, section 8.7: too large, unsaid":  {SendOnly, file, func(s *Stream) { s.MaxSize, s.File = 18230, nil }, false},
		"RFC 5547, section 8.7: a pull too large":   {RecvOnly, pull, func(s *Stream) { s.File.Selector.Size = 20001 }, false},
		"RFC 5547, section 8.7: a pull that fits":   {RecvOnly, pull, func(s *Stream) { s.File.Selector.Size = 20000 }, true},
		"RFC 3264, section 6: refused":              {SendOnly, file, func(s *Stream) { s.Path = path(t, "msrp://h/s;tcp") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			own, peer := bob(t, false), bob(t, false)
			own.Direction, own.File = c.direction, c.offered
			answered := *c.offered
			peer.Direction, peer.File, peer.Setup = c.direction.Reverse(), &answered, Passive
			c.adjust(&peer)
			own.MaxSize = 20000
			_, err := Conclude(Offer("alice", 1, own), parse(t, describe("bob", 1, peer.Media()).String()), 0)
			assert.Equal(t, c.valid, err == nil, "%v", err)
		})
	}
}

// What a user supplied stays on its line.
func TestInjection(t *testing.T) {
	s := bob(t, false)
	s.AcceptTypes = []string{"text/plain\r\na=setup:active"}
	s.Chatroom = []string{"x\x00y"}
	s.Direction, s.File = SendOnly, minutes()
	s.File.Selector.Name = "a\r\nm=audio 1 RTP/AVP 0"
	text := Offer("Alice\r\nin Wonderland", 1, s).String()
	d := parse(t, text)
	require.Len(t, d.Media, 1)
	assert.Equal(t, "Alice_in_Wonderland", d.Origin.Username)
	setup, _ := d.Media[0].Get("setup")
	assert.Equal(t, "actpass", setup)
	read, err := d.Stream(0)
	require.NoError(t, err)
	assert.Equal(t, s.File.Selector, read.File.Selector)
	assert.Equal(t, 1, strings.Count(text, "\r\nm="))
}
