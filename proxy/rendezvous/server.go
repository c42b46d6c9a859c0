package rendezvous

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// Subprotocol of the WebSocket.
const Subprotocol = "webmsrp-rendezvous"

// StatusComesBack is the code with which a client closes a WebSocket that it
// takes for dead, to come back with another.
const StatusComesBack websocket.StatusCode = 4000

const (
	maxMessage   = 64 << 10 // octets of JSON
	maxName      = 64       // characters
	registerTime = 10 * time.Second
	pingEvery    = 30 * time.Second
	pingTimeout  = 20 * time.Second
)

// A Server is the http.Handler of the rendezvous.
type Server struct {
	Bus Bus
	// Check returns the user whom a handshake, or else a username and password,
	// prove. A client may register that name alone. nil lets everyone take every
	// name, for a server on loopback.
	Check func(r *http.Request, username, password string) (user string, ok bool)
	// Origins are the allowed values of the header Origin beside the server's
	// own.
	Origins []string
	// Secure tells whether TLS protects a request; others are refused. nil
	// takes all, for a server on loopback.
	Secure func(*http.Request) bool
	// Grace is how long a call goes on whose party was lost and resumes, before the
	// other is told that it has not come back. Default [Grace].
	Grace time.Duration
	Log   *slog.Logger

	mu   sync.Mutex
	open map[*calls]struct{}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Secure != nil && !s.Secure(r) {
		http.Error(w, "the rendezvous needs wss://", http.StatusForbidden)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{Subprotocol}, OriginPatterns: s.Origins, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		s.Log.Info("rendezvous refused", "remote", r.RemoteAddr, "error", err)
		return
	}
	defer c.CloseNow()
	if c.Subprotocol() != Subprotocol {
		c.Close(websocket.StatusPolicyViolation, "the subprotocol must be "+Subprotocol)
		return
	}
	c.SetReadLimit(maxMessage)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := s.serve(ctx, c, r); err != nil {
		s.Log.Debug("rendezvous ended", "remote", r.RemoteAddr, "error", err)
	}
}

// refusal is an error that the client is told before its connection ends.
type refusal struct {
	code   int
	reason string
}

func (e *refusal) Error() string { return e.reason }

func (s *Server) serve(ctx context.Context, c *websocket.Conn, r *http.Request) error {
	l := newLine()
	failed := make(chan error, 1)
	go func() {
		defer close(l.over)
		failed <- s.receive(ctx, c, l, r)
	}()

	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case m := <-l.out:
			if err := write(ctx, c, *m); err != nil {
				return err
			}
			if m.Type == TypeError {
				c.Close(websocket.StatusPolicyViolation, shorten(m.Reason))
				return errors.New(m.Reason)
			}
		case err := <-failed:
			var r *refusal
			if errors.As(err, &r) {
				write(ctx, c, Message{Type: TypeError, Code: r.code, Reason: r.reason})
				c.Close(websocket.StatusPolicyViolation, shorten(r.reason))
			}
			return err
		case <-l.overflow:
			c.Close(websocket.StatusPolicyViolation, "the client does not read")
			return errors.New("the client does not read")
		case <-ping.C:
			ctx, cancel := context.WithTimeout(ctx, pingTimeout)
			err := c.Ping(ctx)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

// receive registers the client and passes on what it sends, until it ends.
func (s *Server) receive(ctx context.Context, c *websocket.Conn, l *line, r *http.Request) error {
	first, cancel := context.WithTimeout(ctx, registerTime)
	m, err := read(first, c)
	cancel()
	if err != nil {
		return err
	}
	name, err := s.register(m, r)
	if err != nil {
		return err
	}
	calls := start(s.Bus, name, l, func(c *calls) {
		c.resumes = m.Resumes
		if s.Grace > 0 {
			c.grace = s.Grace
		}
	})
	s.enter(calls)
	lost := false
	defer func() { s.leave(calls, lost) }()
	l.send(Message{Type: TypeRegistered, Name: name})
	s.Log.Debug("registered", "name", name)
	for {
		m, err := read(ctx, c)
		if err != nil {
			// Half a message, which is none of JSON, is what a lost connection ends with.
			status := websocket.CloseStatus(err)
			lost = status < 0 || status == StatusComesBack
			return err
		}
		if m.Type == TypePing {
			l.send(Message{Type: TypePong})
			continue
		}
		if err := calls.send(m); err != nil {
			return &refusal{http.StatusBadRequest, err.Error()}
		}
	}
}

func (s *Server) enter(c *calls) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*calls]struct{})
	}
	s.open[c] = struct{}{}
}

// leave ends a registration. lost tells that the client has not ended it.
func (s *Server) leave(c *calls, lost bool) {
	c.leave(lost)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// Stats are how many names are registered, and how many calls they have made
// that are not over.
type Stats struct{ Names, Calls int }

// Stats returns a snapshot.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	stats := Stats{Names: len(open)}
	for _, c := range open {
		c.mu.Lock()
		stats.Calls += c.count(isOwn)
		c.mu.Unlock()
	}
	return stats
}

// Close ends all registrations: the clients and those they talk to are told. It
// waits for the clients to go, for no longer than patience. The server must not
// get new ones.
func (s *Server) Close(patience time.Duration) {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, c := range open {
		c.line.send(Message{Type: TypeError, Code: CodeUnavailable, Reason: "the server stops"})
		c.leave(true)
	}
	timeout := time.After(patience)
	for _, c := range open {
		select {
		case <-c.line.over:
		case <-timeout:
			return
		}
	}
}

func (s *Server) register(m Message, r *http.Request) (string, error) {
	if m.Type != TypeRegister {
		return "", &refusal{http.StatusBadRequest, "the first message must be register"}
	}
	name := strings.TrimSpace(m.Name)
	if name == "" || utf8.RuneCountInString(name) > maxName || strings.ContainsRune(name, '#') || strings.IndexFunc(name, unicode.IsControl) >= 0 {
		return "", &refusal{http.StatusBadRequest, "a name has 1 to 64 characters, none of them # or a control character"}
	}
	if s.Check == nil {
		return name, nil
	}
	user, ok := s.Check(r, m.Username, m.Password)
	switch {
	case !ok:
		return "", &refusal{CodeUnauthorized, "wrong username or password"}
	case user != name:
		return "", &refusal{CodeForbidden, "these credentials are for the name " + user}
	}
	return name, nil
}

func read(ctx context.Context, c *websocket.Conn) (Message, error) {
	kind, data, err := c.Read(ctx)
	if err != nil {
		return Message{}, err
	}
	var m Message
	if kind != websocket.MessageText || json.Unmarshal(data, &m) != nil {
		return Message{}, &refusal{http.StatusBadRequest, "a message must be text and one object of JSON"}
	}
	return m, nil
}

func write(ctx context.Context, c *websocket.Conn, m Message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return c.Write(ctx, websocket.MessageText, data)
}

// shorten fits a reason into a close frame.
func shorten(s string) string {
	for len(s) > 120 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
