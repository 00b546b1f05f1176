package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

func channelIndex(c Channel) int { return slices.Index(channels[:], c) }

// stream is the websocket side of the server.
type stream struct {
	tail     Tail
	log      string
	options  StreamOptions
	logger   *slog.Logger
	feed     *feed
	upgrader websocket.Upgrader

	mu     sync.Mutex
	closed bool // no more connections are taken
	open   int  // connections, with those not yet upgraded
	conns  map[*websocket.Conn]bool
	wait   sync.WaitGroup
	drain  chan struct{} // closed when connections must end

	sent, lagged atomic.Uint64 // events, and clients told that they lag
}

func newStream(tail Tail, log string, o StreamOptions, logger *slog.Logger) *stream {
	return &stream{
		tail: tail, log: log, options: o, logger: logger, feed: newFeed(tail, log, o), conns: make(map[*websocket.Conn]bool), drain: make(chan struct{}),
		upgrader: websocket.Upgrader{Subprotocols: []string{Subprotocol}, Error: refuseUpgrade},
	}
}

// run feeds the connections until the context ends or the journal fails, then
// ends them.
func (s *stream) run(ctx context.Context) error {
	err := s.feed.run(ctx)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.drain)
	cut := time.AfterFunc(drainGrace, s.cut)
	defer cut.Stop()
	s.wait.Wait()
	return err
}

// drainGrace is how long connections have to end by themselves: one that is in
// the middle of a write to a client that does not read cannot.
const drainGrace = 2 * time.Second

// cut closes what is left of the connections.
func (s *stream) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ws := range s.conns {
		_ = ws.NetConn().Close() // its own goroutine reports what matters
	}
}

// track keeps a connection while f runs.
func (s *stream) track(ws *websocket.Conn, f func() error) error {
	s.mu.Lock()
	s.conns[ws] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, ws)
	}()
	return f()
}

// enter counts a connection in, or says why not.
func (s *stream) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return Errorf(CodeOverloaded, "the service restarts")
	case s.open >= s.options.MaxConns:
		return Errorf(CodeTooManyConnections, "%d streams are open, which is the most", s.open)
	}
	s.open++
	s.wait.Add(1)
	return nil
}

func (s *stream) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.wait.Done()
}

// ServeHTTP upgrades a request and serves the connection until it ends.
func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if websocket.IsWebSocketUpgrade(r) && !slices.Contains(websocket.Subprotocols(r), Subprotocol) {
		writeProblem(w, newProblem(CodeSubprotocolRequired, fmt.Sprintf("subprotocols %q, expected %q among them", websocket.Subprotocols(r), Subprotocol)))
		return
	}
	if err := s.enter(); err != nil {
		writeProblem(w, ProblemOf(s.logger, err))
		return
	}
	defer s.leave()
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c := newConn(s, ws)
	err = s.track(ws, func() error { return c.serve(context.WithoutCancel(r.Context())) })
	if err != nil && !errors.Is(err, errGone) {
		s.logger.Error("stream ended", "err", err, "remote", r.RemoteAddr)
	}
}

// StreamStats counts what streams have done since the server was made.
type StreamStats struct {
	Open   int    // connections now
	Sent   uint64 // events
	Lagged uint64 // clients told that they lag
}

// Streams says what the streams have done.
func (s *Server) Streams() StreamStats {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	return StreamStats{Open: s.stream.open, Sent: s.stream.sent.Load(), Lagged: s.stream.lagged.Load()}
}

// refuseUpgrade answers a request that cannot be upgraded.
func refuseUpgrade(w http.ResponseWriter, _ *http.Request, status int, reason error) {
	code := CodeBadRequest
	if status == http.StatusForbidden {
		code = CodeForbiddenOrigin
	}
	p := newProblem(code, reason.Error())
	p.Status = status
	writeProblem(w, p)
}
