package serve

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/webmsrp/webmsrp/proxy/bridge"
	"github.com/webmsrp/webmsrp/proxy/credential"
	"github.com/webmsrp/webmsrp/proxy/rendezvous"
)

// handler serves --listen: the two WebSockets and the page.
func (s *Server) handler() http.Handler {
	c := s.config
	origins := list(c.Origin)
	mux := http.NewServeMux()
	s.door = &bridge.Door{
		Relay: s.relay, Origins: origins, Secure: s.secure(), Trusted: c.trusted, PerAddress: s.perAddress, User: s.userOf,
		Refused:   func(reason string) { s.counts.refused.WithLabelValues(reason).Inc() },
		ChunkSize: chunkSize, Log: s.log,
	}
	mux.Handle("/msrp", s.door)
	s.names = &rendezvous.Server{Bus: s.bus, Origins: origins, Secure: s.secure(), Log: s.log}
	if !c.Dev {
		s.names.Check = s.check
	}
	mux.Handle("/rendezvous", s.perClient(s.names))
	if c.Dev {
		mux.HandleFunc("GET /credentials", s.demoCredentials)
	}
	mux.Handle("/", newAssets(c, s.log))
	if c.Dev {
		return s.unlessDraining(localOnly(mux))
	}
	return s.unlessDraining(mux)
}

// unlessDraining answers nothing any more once the program is told to stop: the
// client shall try another instance, or this one when it is back.
func (s *Server) unlessDraining(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
			http.Error(w, "the server stops", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// perClient bounds the connections of each client behind a trusted proxy to a
// handler that returns when they end. Those of others the listener counts.
func (s *Server) perClient(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.config.trusted.Contains(r.RemoteAddr) {
			leave, ok := s.perAddress.Enter(s.config.trusted.Client(r))
			if !ok {
				s.counts.refused.WithLabelValues("address").Inc()
				http.Error(w, "too many connections from one address", http.StatusTooManyRequests)
				return
			}
			defer leave()
		}
		h.ServeHTTP(w, r)
	})
}

// userOf returns the user whom a trusted proxy has authenticated, or "".
func (s *Server) userOf(r *http.Request) (string, error) {
	c := s.config
	if c.AuthHeader == "" || !c.trusted.Contains(r.RemoteAddr) {
		return "", nil
	}
	values := r.Header.Values(c.AuthHeader)
	switch {
	case len(values) > 1:
		// One of them may be the client's.
		return "", errors.New("the header " + c.AuthHeader + " is there twice: the proxy must remove that of clients")
	case len(values) == 0:
		return "", nil
	case len(values[0]) > maxUser:
		return "", errors.New("the header " + c.AuthHeader + " is too long")
	}
	return values[0], nil
}

// maxUser is the longest name of a user from a header, in octets.
const maxUser = 256

// check is [rendezvous.Server.Check].
func (s *Server) check(r *http.Request, username, password string) (user string, ok bool) {
	if user, err := s.userOf(r); err != nil || user != "" {
		return user, err == nil
	}
	remote := s.config.trusted.Client(r)
	if s.lockout.Locked(remote, username) {
		return "", false
	}
	if user, ok = s.users.Check(username, password); ok {
		s.lockout.Passed(remote, username)
		return user, true
	}
	s.log.Warn("rendezvous: wrong username or password", "remote", remote, "username", username[:min(len(username), 64)])
	select {
	case <-time.After(s.lockout.Failed(remote, username)):
	case <-s.stopped:
	}
	return "", false
}

// localOnly answers only to names of this machine: a page elsewhere could have
// its own name lead to 127.0.0.1 and talk to us as its own server.
func localOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := url.Parse("//" + r.Host)
		if err != nil || u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" {
			http.Error(w, "the development server answers only as localhost", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// demoLife is how long the credentials of --dev last.
const demoLife = 24 * time.Hour

// demoCredentials gives credentials for any name to the page of --dev.
func (s *Server) demoCredentials(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		http.Error(w, "credentials are for the own page only", http.StatusForbidden)
		return
	}
	name := strings.TrimSpace(r.URL.Query().Get("name"))
	if name == "" || utf8.RuneCountInString(name) > 64 || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		http.Error(w, "name must have 1 to 64 characters", http.StatusBadRequest)
		return
	}
	username, password := credential.Mint(s.secret, name, time.Now().Add(demoLife))
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"username": username, "password": password, "ttl": int(demoLife / time.Second)})
}

// adminHandler serves --admin-listen.
func (s *Server) adminHandler() http.Handler {
	registry := prometheus.NewRegistry()
	// What lives after a collection tells a leak from garbage.
	live := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}
	meetings := func(name, help string, value func(rendezvous.Stats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "webmsrp_rendezvous_" + name, Help: help}, func() float64 { return float64(value(s.names.Stats())) })
	}
	registry.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(live)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		metrics{s.relay}, s.counts.refused, s.counts.dialsFailed,
		meetings("names", "Names registered at this instance.", func(s rendezvous.Stats) int { return s.Names }),
		meetings("calls", "Calls that names registered at this instance have made and that are not over.", func(s rendezvous.Stats) int { return s.Calls }),
	)
	if bus, ok := s.bus.(*rendezvous.NATS); ok {
		registry.MustRegister(natsMetrics{bus})
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	ok := func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok\n")) }
	mux.HandleFunc("GET /healthz", ok)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		if err := s.bus.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		ok(w, r)
	})
	return mux
}
