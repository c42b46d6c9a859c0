package msrp

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Options are the settings of an [Endpoint]. The zero value of each field
// stands for its default.
type Options struct {
	// Trace is called for every request and response that passes a connection,
	// in order for each direction. It must return quickly and must not call
	// back into this package. Default: that of each session, see
	// [Endpoint.SetTracing].
	Trace func(TraceEvent)
}

// An Endpoint is the table of the sessions of one program: a request that
// arrives on any of its connections finds its session there (RFC 4975, section
// 7.3). Its methods are safe for concurrent use.
type Endpoint struct {
	opts    Options
	tracing atomic.Bool

	mu       sync.RWMutex
	sessions map[string]*Session // by the session ID of their own URI
}

// NewEndpoint returns an endpoint without sessions. nil options mean defaults.
func NewEndpoint(opts *Options) *Endpoint {
	e := &Endpoint{sessions: make(map[string]*Session)}
	if opts != nil {
		e.opts = *opts
	}
	return e
}

// NewSession enters a session. From then on it takes messages of whoever knows
// its URI; sending waits for [Session.Start].
func (e *Endpoint) NewSession(opts SessionOptions) (*Session, error) {
	if opts.URI.SessionID() == "" || opts.URI.Port() == 0 {
		return nil, errors.New("msrp: a session needs a URI with a port and a session ID")
	}
	s := newSession(e, opts)
	e.mu.Lock()
	defer e.mu.Unlock()
	id := opts.URI.SessionID()
	if e.sessions[id] != nil {
		return nil, errors.New("msrp: the session ID " + id + " is in use")
	}
	e.sessions[id] = s
	return s, nil
}

func (e *Endpoint) lookup(uri URI) *Session {
	e.mu.RLock()
	s := e.sessions[uri.SessionID()]
	e.mu.RUnlock()
	if s == nil || !s.opts.URI.Equal(uri) {
		return nil
	}
	return s
}

func (e *Endpoint) remove(s *Session) {
	e.mu.Lock()
	delete(e.sessions, s.opts.URI.SessionID())
	e.mu.Unlock()
}
