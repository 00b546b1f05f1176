package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// ticketLife is how long a ticket waits to be used.
const ticketLife = 30 * time.Second

// maxTickets bounds the tickets that wait.
const maxTickets = 4096

// Ticket opens one stream in place of a credential: a browser cannot send headers
// with a websocket, and a lasting secret does not belong into a URL.
type Ticket struct {
	Ticket  string    `json:"ticket" doc:"Give it as ?ticket= to /v1/stream or /v1/events, once"`
	Expires time.Time `json:"expires_at"`
}

// tickets are those that wait to be used, by digest: what is kept opens nothing.
type tickets struct {
	mu   sync.Mutex
	open map[[32]byte]held
}

type held struct {
	by      Principal
	expires time.Time
}

// issue makes a ticket that stands for the principal, once, for a short while.
func (t *tickets) issue(p Principal, now time.Time) (Ticket, error) {
	var b [32]byte
	rand.Read(b[:]) // never fails: see crypto/rand
	text := base64.RawURLEncoding.EncodeToString(b[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, h := range t.open {
		if now.After(h.expires) {
			delete(t.open, k)
		}
	}
	if len(t.open) >= maxTickets {
		return Ticket{}, Errorf(CodeOverloaded, "%d tickets wait to be used, which is the most", len(t.open))
	}
	if t.open == nil {
		t.open = map[[32]byte]held{}
	}
	p.Means = "ticket"
	expires := now.Add(ticketLife)
	t.open[sha256.Sum256([]byte(text))] = held{p, expires}
	return Ticket{Ticket: text, Expires: expires.UTC().Truncate(time.Second)}, nil
}

// redeem uses a ticket up.
func (t *tickets) redeem(text string, now time.Time) (Principal, bool) {
	k := sha256.Sum256([]byte(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	h, ok := t.open[k]
	delete(t.open, k)
	return h.by, ok && !now.After(h.expires)
}

func (s *Server) registerTickets(api huma.API) {
	op := huma.Operation{
		Method: http.MethodPost, Path: "/v1/stream/tickets", OperationID: "post-stream-tickets", DefaultStatus: http.StatusCreated,
		Summary: "A ticket that opens one stream, for callers that cannot send headers; it changes nothing and needs no Idempotency-Key",
	}
	huma.Register(api, op, func(ctx context.Context, _ *struct{}) (*answer[Ticket], error) {
		t, err := s.tickets.issue(principalOf(ctx), time.Now())
		if err != nil {
			return nil, ProblemOf(s.log, err)
		}
		return &answer[Ticket]{t}, nil
	})
}
