package msrptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
)

// A Conversation is what the connections of a test and their neighbours say to
// each other. It is recorded once, from real software, into a file; from then
// on a fake neighbour says what the real one said, and requires that this side
// says what it said.
//
// The file is text. Each unit stands below a line that names the connection and
// the direction, alice> for what alice says and alice< for what she hears, with
// its octets as they were: \r, \n, \\ and \x00 are escapes, and line breaks of
// the file have no meaning. A line "alice< closed" is the end of the connection
// by the neighbour. Values of [Conversation.Value] stand above all, and lines
// with # are comments.
//
// What is random may differ from the recording, but consistently so:
// transaction IDs of requests, Message-IDs, cnonce and response of credentials.
// What repeats them, in whatever direction, follows.
type Conversation struct {
	t         testing.TB
	file      string
	recording bool
	over      chan struct{} // closed when all was played, or something failed
	stop      chan struct{} // closed at the end of the test

	mu     sync.Mutex
	values []value
	events []event
	flush  []func() // with recording: what is not a whole unit yet

	lines map[string]*line
	names names
}

type value struct{ name, value string }

type event struct {
	line   string
	out    bool // this side says it
	closed bool // the neighbour ends the connection
	octets []byte
}

// NewConversation returns the conversation in a file, to be played, or with
// record one that will be written there. It ends with the test.
func NewConversation(t testing.TB, file string, record bool) *Conversation {
	c := &Conversation{
		t: t, file: file, recording: record,
		over: make(chan struct{}), stop: make(chan struct{}), lines: make(map[string]*line),
	}
	if record {
		return c
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	c.values, c.events, err = parseConversation(string(text))
	require.NoError(t, err, file)
	for _, e := range c.events {
		if c.lines[e.line] == nil {
			c.lines[e.line] = &line{opened: make(chan struct{}), closed: make(chan struct{}), said: make(chan []byte, 1024)}
		}
	}
	go c.play()
	t.Cleanup(c.cleanUp)
	return c
}

// Value returns what differs from one recording to the next and is not said by
// this side at random, such as a port: get's result, or what it was when the
// conversation was recorded.
func (c *Conversation) Value(name string, get func() string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.values {
		if v.name == name {
			return v.value
		}
	}
	require.True(c.t, c.recording, "%s has no value %q", c.file, name)
	v := value{name, get()}
	c.values = append(c.values, v)
	return v.value
}

// Stream returns a connection of that name which carries octets, such as TCP.
// dial connects to the real neighbour, for the recording.
func (c *Conversation) Stream(name string, dial func() (io.ReadWriteCloser, error)) msrp.Transport {
	if c.recording {
		real, err := dial()
		require.NoError(c.t, err)
		r := &recordedStream{ReadWriteCloser: real, c: c, line: name}
		c.mu.Lock()
		c.flush = append(c.flush, r.flush)
		c.mu.Unlock()
		return msrp.NewStream(r)
	}
	l := c.open(name)
	ours, theirs := net.Pipe()
	l.say = func(unit []byte) error {
		theirs.SetWriteDeadline(time.Now().Add(Guard))
		_, err := theirs.Write(unit)
		return err
	}
	l.hangUp = func() { theirs.Close() }
	go func() {
		defer close(l.said)
		var heard []byte
		for buf := make([]byte, 32<<10); ; {
			n, err := theirs.Read(buf)
			heard = append(heard, buf[:n]...)
			for {
				n := unitLength(heard)
				if n == 0 {
					break
				}
				l.said <- bytes.Clone(heard[:n])
				heard = heard[n:]
			}
			if err != nil {
				if len(heard) > 0 {
					l.said <- heard
				}
				return
			}
		}
	}()
	close(l.opened)
	return msrp.NewStream(ours)
}

// Messages returns a connection of that name which carries messages, such as a
// WebSocket. dial connects to the real neighbour, for the recording.
func (c *Conversation) Messages(name string, dial func() (msrp.MessageConn, error)) msrp.Transport {
	if c.recording {
		real, err := dial()
		require.NoError(c.t, err)
		return msrp.NewMessages(&recordedMessages{MessageConn: real, c: c, line: name})
	}
	l := c.open(name)
	m := &playedMessages{l: l, heard: make(chan []byte)}
	l.say = m.say
	l.hangUp = func() { m.Close(nil) }
	close(l.opened)
	return msrp.NewMessages(m)
}

func (c *Conversation) open(name string) *line {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lines[name]
	require.NotNil(c.t, l, "%s has no connection %q", c.file, name)
	return l
}

// End ends the conversation: all that was recorded has been said then, or the
// test has failed. A new recording is written.
func (c *Conversation) End() {
	c.t.Helper()
	if !c.recording {
		<-c.over
		return
	}
	for _, flush := range c.flush {
		flush()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.t.Failed() {
		return // the old recording is better
	}
	require.NoError(c.t, os.MkdirAll(filepath.Dir(c.file), 0o777))
	require.NoError(c.t, os.WriteFile(c.file, []byte(formatConversation(c.values, c.events)), 0o666))
}

// record adds what passed a connection and returns what is not a whole unit
// yet.
func (c *Conversation) record(e event) (rest []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest = e.octets; ; {
		n := unitLength(rest)
		if n == 0 {
			return rest
		}
		c.events = append(c.events, event{line: e.line, out: e.out, octets: bytes.Clone(rest[:n])})
		rest = rest[n:]
	}
}

// recordWhole adds something as it is.
func (c *Conversation) recordWhole(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.octets = bytes.Clone(e.octets)
	c.events = append(c.events, e)
}

// unitLength returns the length of the unit at the start of octets, or 0 where
// it is not whole. Both sides mean well here.
func unitLength(octets []byte) int {
	start, _, ok := bytes.Cut(octets, []byte("\r\n"))
	words := bytes.Fields(start)
	if !ok || len(words) < 2 {
		return 0
	}
	end := append([]byte("\r\n-------"), words[1]...)
	for at := 0; ; {
		i := bytes.Index(octets[at:], end)
		if i < 0 || len(octets) < at+i+len(end)+3 {
			return 0
		}
		at += i + len(end)
		if bytes.ContainsAny(octets[at:at+1], "$+#") && bytes.HasPrefix(octets[at+1:], []byte("\r\n")) {
			return at + 3
		}
	}
}

// recordedStream records the units that pass a stream: those that are sent
// before anyone can answer, those that are received before anyone sees them.
type recordedStream struct {
	io.ReadWriteCloser
	c       *Conversation
	line    string
	in, out []byte // not yet a whole unit
	mu      sync.Mutex
	over    bool
}

func (r *recordedStream) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.out = r.c.record(event{line: r.line, out: true, octets: append(r.out, p...)})
	r.mu.Unlock()
	return r.ReadWriteCloser.Write(p)
}

func (r *recordedStream) Read(p []byte) (int, error) {
	n, err := r.ReadWriteCloser.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.in = r.c.record(event{line: r.line, octets: append(r.in, p[:n]...)})
	if err != nil && !r.over {
		r.c.recordWhole(event{line: r.line, closed: true})
		r.over = true
	}
	return n, err
}

func (r *recordedStream) Close() error {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	return r.ReadWriteCloser.Close()
}

// flush records what never became a unit.
func (r *recordedStream) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.in) > 0 {
		r.c.recordWhole(event{line: r.line, octets: r.in})
	}
	if len(r.out) > 0 {
		r.c.recordWhole(event{line: r.line, out: true, octets: r.out})
	}
}

// recordedMessages records the messages that pass a connection.
type recordedMessages struct {
	msrp.MessageConn
	c    *Conversation
	line string
	mu   sync.Mutex
	over bool
}

func (r *recordedMessages) WriteMessage(p []byte) error {
	r.c.recordWhole(event{line: r.line, out: true, octets: p})
	return r.MessageConn.WriteMessage(p)
}

func (r *recordedMessages) ReadMessage() ([]byte, error) {
	p, err := r.MessageConn.ReadMessage()
	if err == nil {
		r.c.recordWhole(event{line: r.line, octets: p})
		return p, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.c.recordWhole(event{line: r.line, closed: true})
		r.over = true
	}
	return nil, err
}

func (r *recordedMessages) Close(reason error) error {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	return r.MessageConn.Close(reason)
}

// A line is a connection that is played: the neighbour's end of it.
type line struct {
	opened chan struct{} // closed when the fields that follow are set
	say    func(unit []byte) error
	hangUp func()

	said   chan []byte   // by this side, unit by unit; closed with the connection
	closed chan struct{} // of messages
	once   sync.Once
}

// playedMessages is this side's end of a connection that is played.
type playedMessages struct {
	l     *line
	heard chan []byte
	mu    sync.Mutex // keeps said from being closed while WriteMessage uses it
}

func (m *playedMessages) say(unit []byte) error {
	guard := time.NewTimer(Guard)
	defer guard.Stop()
	select {
	case m.heard <- unit:
		return nil
	case <-m.l.closed:
		return net.ErrClosed
	case <-guard.C:
		return errors.New("nobody reads it")
	}
}

func (m *playedMessages) ReadMessage() ([]byte, error) {
	select {
	case p := <-m.heard:
		return p, nil
	case <-m.l.closed:
		return nil, io.EOF
	}
}

func (m *playedMessages) WriteMessage(p []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.l.closed:
		return net.ErrClosed
	default:
	}
	select {
	case m.l.said <- bytes.Clone(p):
		return nil
	case <-m.l.closed:
		return net.ErrClosed
	}
}

func (m *playedMessages) Flush() error { return nil }

func (m *playedMessages) Close(error) error {
	m.l.once.Do(func() {
		close(m.l.closed)
		m.mu.Lock()
		close(m.l.said)
		m.mu.Unlock()
	})
	return nil
}

// play is the neighbour on all connections.
func (c *Conversation) play() {
	defer close(c.over)
	for i, e := range c.events {
		if !c.playEvent(i, e) {
			for _, l := range c.lines { // or the test would wait for them
				select {
				case <-l.opened:
					l.hangUp()
				default:
				}
			}
			return
		}
	}
}

// playEvent plays one event and reports whether the next one can follow.
func (c *Conversation) playEvent(i int, e event) bool {
	l, guard := c.lines[e.line], time.NewTimer(Guard)
	defer guard.Stop()
	where := fmt.Sprintf("%s, unit %d, %s", c.file, i+1, e.line)
	select {
	case <-l.opened:
	case <-c.stop:
		return assert.Fail(c.t, where+" was not connected", "it should have gone on with\n%s", escape(e.octets))
	case <-guard.C:
		return assert.Fail(c.t, where+" was not connected in time")
	}
	switch {
	case e.closed:
		l.hangUp()
		return true
	case !e.out:
		err := l.say(c.names.apply(e.octets))
		return assert.NoError(c.t, err, "%s could not hear\n%s", where, escape(e.octets))
	}
	select {
	case got, ok := <-l.said:
		if !ok {
			return assert.Fail(c.t, where+" has gone", "it should have said\n%s", escape(e.octets))
		}
		if !assert.NoError(c.t, c.names.learn(e.octets, got), where) {
			return false
		}
		return assert.Equal(c.t, escape(c.names.apply(e.octets)), escape(got), where)
	case <-c.stop:
		return assert.Fail(c.t, where+" did not go on", "it should have said\n%s", escape(e.octets))
	case <-guard.C:
		return assert.Fail(c.t, where+" is silent", "it should have said\n%s", escape(e.octets))
	}
}

// cleanUp waits until nobody speaks any more; nobody may have gone on after the
// last word of the recording.
func (c *Conversation) cleanUp() {
	close(c.stop)
	<-c.over
	failed := c.t.Failed()
	for name, l := range c.lines {
		select {
		case <-l.opened:
		default:
			continue
		}
		l.hangUp()
		for unit := range l.said {
			if !failed {
				assert.Fail(c.t, name+" said more than was recorded", escape(unit))
			}
		}
	}
}

// names translates what was random in the recording into what it is now.
type names struct {
	now  map[string]string
	then map[string]string // the other way: two must not become one
}

// Where something random stands in what this side says. Message-IDs of others
// are known by then.
var random = []*regexp.Regexp{
	regexp.MustCompile(`^MSRP (\S+) [A-Z]+\r\n`),
	regexp.MustCompile(`\r\nMessage-ID: (\S+)\r\n`),
	regexp.MustCompile(`\r\nAuthorization: .*\bcnonce="([^"]+)"`),
	regexp.MustCompile(`\r\nAuthorization: .*\bresponse="([^"]+)"`),
}

// learn takes what is random in a unit that was said, and should have been want.
func (n *names) learn(want, got []byte) error {
	head, _, _ := parts(want)
	gotHead, _, _ := parts(got)
	for _, pattern := range random {
		w, g := pattern.FindSubmatch(head), pattern.FindSubmatch(gotHead)
		if w == nil || g == nil {
			continue // which the comparison will show
		}
		then, now := string(w[1]), string(g[1])
		if _, known := n.now[then]; known {
			continue
		}
		if other, used := n.then[now]; used {
			return fmt.Errorf("%s stands for both %s and %s", now, other, then)
		}
		if n.now == nil {
			n.now, n.then = make(map[string]string), make(map[string]string)
		}
		n.now[then], n.then[now] = now, then
	}
	return nil
}

// apply translates a recorded unit, all but its body.
func (n *names) apply(unit []byte) []byte {
	var pairs []string
	for then, now := range n.now {
		pairs = append(pairs, then, now)
	}
	r := strings.NewReplacer(pairs...)
	head, body, end := parts(unit)
	return []byte(r.Replace(string(head)) + string(body) + r.Replace(string(end)))
}

// parts cuts a unit into its head, its body with the line breaks around it, and
// its end-line.
func parts(unit []byte) (head, body, end []byte) {
	at := max(0, bytes.LastIndex(unit, []byte("\r\n-------")))
	if i := bytes.Index(unit, []byte("\r\n\r\n")); i >= 0 && i <= at {
		return unit[:i+2], unit[i+2 : at], unit[at:]
	}
	return unit[:at], nil, unit[at:]
}

// formatConversation writes the text of a file.
func formatConversation(values []value, events []event) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, "%s = %s\n", v.name, v.value)
	}
	for _, e := range events {
		switch {
		case e.closed:
			fmt.Fprintf(&b, "\n%s< closed\n", e.line)
		case e.out:
			fmt.Fprintf(&b, "\n%s>\n%s", e.line, escape(e.octets))
		default:
			fmt.Fprintf(&b, "\n%s<\n%s", e.line, escape(e.octets))
		}
		if !e.closed && !bytes.HasSuffix(e.octets, []byte("\n")) {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

var heading = regexp.MustCompile(`^(\w+)([<>])( closed)?$`)

// parseConversation reads what formatConversation writes.
func parseConversation(text string) (values []value, events []event, err error) {
	var unit *event
	number := 0
	for s := range strings.Lines(text) {
		number++
		s = strings.TrimSuffix(s, "\n")
		h := heading.FindStringSubmatch(s)
		switch {
		case s == "":
			unit = nil
		case unit != nil:
			octets, err := unescape(s)
			if err != nil {
				return nil, nil, fmt.Errorf("line %d: %w", number, err)
			}
			unit.octets = append(unit.octets, octets...)
		case s[0] == '#':
		case h != nil:
			events = append(events, event{line: h[1], out: h[2] == ">", closed: h[3] != ""})
			if h[3] == "" {
				unit = &events[len(events)-1]
			}
		default:
			name, v, ok := strings.Cut(s, " = ")
			if !ok {
				return nil, nil, fmt.Errorf("line %d: neither a value nor a unit: %s", number, s)
			}
			values = append(values, value{name, v})
		}
	}
	return values, events, nil
}

// escape makes octets readable. Behind each \n the line ends.
func escape(octets []byte) string {
	var b strings.Builder
	for len(octets) > 0 {
		r, n := utf8.DecodeRune(octets)
		switch {
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\n':
			b.WriteString("\\n\n")
		case r == '\\':
			b.WriteString(`\\`)
		case r == utf8.RuneError && n == 1, !unicode.IsPrint(r):
			for _, octet := range octets[:n] {
				fmt.Fprintf(&b, `\x%02x`, octet)
			}
		default:
			b.WriteRune(r)
		}
		octets = octets[n:]
	}
	return b.String()
}

func unescape(s string) ([]byte, error) {
	var octets []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			octets = append(octets, s[i])
			continue
		}
		i++
		switch rest := s[i:]; {
		case strings.HasPrefix(rest, "r"):
			octets = append(octets, '\r')
		case strings.HasPrefix(rest, "n"):
			octets = append(octets, '\n')
		case strings.HasPrefix(rest, `\`):
			octets = append(octets, '\\')
		case strings.HasPrefix(rest, "x") && len(rest) >= 3:
			octet, err := strconv.ParseUint(rest[1:3], 16, 8)
			if err != nil {
				return nil, err
			}
			octets = append(octets, byte(octet))
			i += 2
		default:
			return nil, fmt.Errorf("unknown escape in %s", s)
		}
	}
	return octets, nil
}
