// Package api is the node's face to programs and people: HTTP with OpenAPI 3.1,
// and a websocket stream of what happens.
//
// The types of this package are the wire forms. Amounts are decimal strings in
// whole units (dollars where a computation is meant), times are RFC 3339 with
// offset, assets are CAIP-19 or the node's own ids, addresses EIP-55.
//
// The package declares what it needs as [Broker]; the node implements it. Reads
// are answered from published pictures, with as_of on each. Writes are commands
// by people, each under an Idempotency-Key that the broker keeps in the journal.
// Errors are problem details (RFC 9457) with a stable code.
//
// The stream is a tail of the journal, and a cursor is a place in it: it outlives
// the connection, the client and the server. A reader that is too slow is told
// so and disconnected with the cursor from which to resume; nothing is dropped
// in silence, and a slow reader costs the server a cursor and no memory.
//
// Who asks is found out by an [Authenticator], and what they may do follows from
// their [Role]. Without one whoever reaches the port is believed, so then the
// server listens on loopback only, and answers to no other host names, so that a
// web page cannot reach it under a name of its own.
//
// At a steady rate, beside a plain gorilla broadcast of the same bytes in the same run,
// from the journal's entry to the client's socket, both sides in one process
// (GOODCONTROL_LONG=1 go test -run Load -v ./node/api; two shared cores that seven other
// programs kept busy, so read the ratios):
//
//	clients × events/s    stream p50, p99        plain p50, p99
//	     10 × 1000         6.5 ms, 103 ms        0.5 ms,  33 ms
//	   1000 × 10            54 ms, 242 ms         89 ms, 418 ms
//	   5000 × 2            167 ms, 323 ms        338 ms, 862 ms
//
// A client costs 40 kB with its reader in the same process, a plain one with a queue
// of 4096 messages 115 kB; what it has yet to read costs nothing more.
//
// The package decides nothing: it holds no rule of accounting, law or policy,
// keeps no state but connections, and never changes what a broker said.
package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// Options are what a server is made with. The zero value of each field but Log
// has a meaning.
type Options struct {
	// Log is the journal's id. Cursors are bound to it.
	Log string
	// Version is the program's, as it stands in the OpenAPI document.
	Version string
	// Pages are further handlers by pattern, such as the dashboard at "/" and
	// metrics at "/metrics".
	Pages map[string]http.Handler
	// Hosts are the host names that are served, without port. Empty means the
	// names of loopback.
	Hosts []string
	// Auth finds out who asks. Nil asks nobody.
	Auth Authenticator
	// ReadLog keeps each read by an auditor. A read that it cannot keep is refused.
	ReadLog func(ReadRecord) error
	// Observe, if not nil, is told of each request that was answered: the pattern
	// of its path, and the status. Streams are not told of.
	Observe func(method, pattern string, status int, took time.Duration)
	// Logger gets the errors that callers are not told. Nil means none does.
	Logger *slog.Logger
	Stream StreamOptions
}

// StreamOptions bound the websocket stream. Zero fields take the value named.
type StreamOptions struct {
	// Heartbeat is how often each connection is told how far it has come: 5 s.
	Heartbeat time.Duration
	// WriteTimeout is how long a client may take no byte at all: 10 s.
	WriteTimeout time.Duration
	// QueueEntries and QueueBytes bound the end of the journal that is kept in
	// memory, once for all clients: 4096 entries, 16 MiB.
	QueueEntries int
	QueueBytes   int
	// LagTimeout is how long a client that had reached the end may be behind it
	// by more than the queue: 5 s. Then it is told that it lags.
	LagTimeout time.Duration
	// MaxConns is how many streams may be open: 1024.
	MaxConns int
	// MaxSubs is how many subscriptions a connection may have: 16.
	MaxSubs int
}

func (o StreamOptions) withDefaults() StreamOptions {
	def := func(v *int, n int) {
		if *v == 0 {
			*v = n
		}
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 5 * time.Second
	}
	if o.LagTimeout == 0 {
		o.LagTimeout = 5 * time.Second
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 10 * time.Second
	}
	def(&o.QueueEntries, 4096)
	def(&o.QueueBytes, 16<<20)
	def(&o.MaxConns, 1024)
	def(&o.MaxSubs, 16)
	return o
}

// loopbackHosts are the names under which loopback is reached.
var loopbackHosts = []string{"localhost", "127.0.0.1", "::1"}

// Server serves the API of one broker.
type Server struct {
	broker  Broker
	log     *slog.Logger
	stream  *stream
	auth    Authenticator
	readLog func(ReadRecord) error
	observe func(method, pattern string, status int, took time.Duration)
	tickets tickets
	handler http.Handler
}

// New makes a server. It serves nothing before Run.
func New(b Broker, o Options) (*Server, error) {
	if o.Log == "" {
		return nil, errors.New("options name no journal")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Hosts) == 0 {
		o.Hosts = loopbackHosts
	}
	s := &Server{
		broker: b, log: o.Logger, stream: newStream(b, o.Log, o.Stream.withDefaults(), o.Logger),
		auth: o.Auth, readLog: o.ReadLog, observe: o.Observe,
	}
	mux := http.NewServeMux()
	if err := s.register(mux, o); err != nil {
		return nil, err
	}
	mux.Handle("GET /v1/stream", s.stream)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, newProblem(CodeNotFound, fmt.Sprintf("%s %s is not an operation of this API", r.Method, r.URL.Path)))
	})
	for pattern, page := range o.Pages {
		mux.Handle(pattern, page)
	}
	s.handler = s.guard(s.divert(mux), o.Hosts)
	return s, nil
}

// Handler is the server's handler, with everything but the stream's events,
// which Run feeds.
func (s *Server) Handler() http.Handler { return s.handler }

// guard refuses requests under other host names, by people who are not known, and
// writes by foreign web pages; and forbids caches to keep answers.
func (s *Server) guard(next http.Handler, hosts []string) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, newProblem(CodeForbiddenOrigin, fmt.Sprintf("a page of %q may not send %s", r.Header.Get("Origin"), r.Method)))
	}))
	inner := origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if !served(r.Host, hosts) {
			writeProblem(w, newProblem(CodeMisdirected, fmt.Sprintf("host %q, expected one of %q", r.Host, hosts)))
			return
		}
		admitted, problem := s.admit(r)
		if problem != nil {
			if problem.Code == CodeUnauthenticated {
				// A browser then asks its user: the token is the password.
				w.Header().Add("WWW-Authenticate", `Bearer realm="goodcontrol"`)
				w.Header().Add("WWW-Authenticate", `Basic realm="goodcontrol"`)
			}
			writeProblem(w, problem)
			return
		}
		s.watched(inner, w, admitted)
	})
}

// watched serves a request and tells how it went. A stream takes the connection
// over, and tells of itself.
func (s *Server) watched(next http.Handler, w http.ResponseWriter, r *http.Request) {
	if s.observe == nil || streams(r) {
		next.ServeHTTP(w, r)
		return
	}
	began := time.Now()
	out := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	next.ServeHTTP(out, r)
	s.observe(r.Method, r.Pattern, out.status, time.Since(began))
}

// statusWriter remembers what was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func served(host string, hosts []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	for _, h := range hosts {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

// Listen listens on an address. Without a TLS configuration it refuses any
// address that is not of loopback.
func Listen(address string, config *tls.Config) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", address, err)
	}
	if config == nil && !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("listen address %q is not of loopback, and no TLS configuration is given: expected one such as 127.0.0.1:8443", address)
	}
	l, err := net.ListenTCP("tcp", resolved)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	if config != nil {
		return tls.NewListener(l, config), nil
	}
	return l, nil
}

// How long a request may take to arrive and an answer to be taken.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	drainTimeout  = 5 * time.Second
)

// Run serves until the context ends or the journal cannot be followed, then
// tells every stream that the service restarts, lets requests finish and closes
// the listener. It returns nil when it ended because it was asked to.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hs := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	followed := make(chan error, 1)
	go func() {
		err := s.stream.run(ctx)
		cancel(err)
		followed <- err
	}()
	served := make(chan error, 1)
	go func() {
		err := hs.Serve(l)
		cancel(err)
		served <- err
	}()

	<-ctx.Done()
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer stop()
	err := hs.Shutdown(drain)
	if err != nil {
		err = errors.Join(fmt.Errorf("letting requests finish: %w", err), hs.Close())
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serving %s: %w", l.Addr(), serveErr))
	}
	return errors.Join(err, <-followed)
}
