package demo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"goodcontrol/node/api"
	"goodcontrol/node/api/client"
)

// The demo speaks to the node as any program does: over HTTP and the websocket.

// patience is how long a step waits for what it expects to see.
const patience = 20 * time.Second

// call sends one request and reads the answer into to.
func (w *world) call(ctx context.Context, method, path string, body, to any) error {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, w.url+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", fmt.Sprintf("demo-%d", time.Now().UnixNano()))
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return &refusal{status: response.StatusCode, text: strings.TrimSpace(string(answer))}
	}
	if raw, ok := to.(*[]byte); ok {
		*raw = answer
		return nil
	}
	if to == nil {
		return nil
	}
	return json.Unmarshal(answer, to)
}

// refusal is the node's no.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("HTTP %d: %s", r.status, r.text) }

func (w *world) get(ctx context.Context, path string, to any) error {
	return w.call(ctx, http.MethodGet, path, nil, to)
}

// post asks for something and returns the id of what was made.
func (w *world) post(ctx context.Context, path string, body any) (string, error) {
	var made api.Result
	if err := w.call(ctx, http.MethodPost, path, body, &made); err != nil {
		return "", fmt.Errorf("POST %s: %w", path, err)
	}
	return made.ID, nil
}

// posts asks for several things in turn.
func (w *world) posts(ctx context.Context, list ...request) error {
	for _, r := range list {
		if _, err := w.post(ctx, r.path, r.body); err != nil {
			return err
		}
	}
	return nil
}

type request struct {
	path string
	body map[string]any
}

// until asks again until the answer is as expected, or patience ends.
func until[T any](ctx context.Context, w *world, path, what string, holds func(T) bool) (T, error) {
	deadline := time.Now().Add(patience)
	for {
		var answer T
		err := w.get(ctx, path, &answer)
		if err == nil && holds(answer) {
			return answer, nil
		}
		if time.Now().After(deadline) {
			text, _ := json.Marshal(answer) // for the message only
			return answer, fmt.Errorf("waited %s for %s; %s is %.600s (%v)", patience, what, path, text, err)
		}
		select {
		case <-ctx.Done():
			return answer, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// status waits for the status word.
func (w *world) status(ctx context.Context, word api.StatusWord) (api.Status, error) {
	return until(ctx, w, "/v1/status", "status "+string(word), func(s api.Status) bool { return s.Status == word })
}

// word is the status word now, for telling.
func (w *world) word(ctx context.Context) string {
	if w.url == "" {
		return "no node yet"
	}
	var s api.Status
	if err := w.get(ctx, "/v1/status", &s); err != nil {
		return err.Error()
	}
	return string(s.Status)
}

// waitUp waits until the node answers.
func (w *world) waitUp(ctx context.Context) error {
	deadline := time.Now().Add(patience)
	for {
		var raw []byte
		err := w.get(ctx, "/livez", &raw)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the node does not answer: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// position waits until an account holds exactly so much, settled and pending.
func (w *world) position(ctx context.Context, account, asset, settled, pending string) error {
	_, err := until(ctx, w, "/v1/positions?account="+account+"&asset="+asset, fmt.Sprintf("%s to hold %s settled and %s pending", account, settled, pending),
		func(p api.Page[api.Position]) bool {
			if len(p.Items) == 0 {
				return isZero(settled) && isZero(pending)
			}
			return len(p.Items) == 1 && p.Items[0].Settled == settled && p.Items[0].Pending == pending
		})
	return err
}

func isZero(amount string) bool { return strings.Trim(amount, "0.") == "" }

// approve signs what the node shows, as a person would who computed the hash
// themselves, and sends the signature.
func (w *world) approve(ctx context.Context, withdrawal, who string) error {
	var detail api.WithdrawalDetail
	if err := w.get(ctx, "/v1/withdrawals/"+withdrawal, &detail); err != nil {
		return err
	}
	hash, err := hex.DecodeString(strings.TrimPrefix(detail.IntentHash, "0x"))
	if err != nil {
		return err
	}
	signature := ed25519.Sign(w.people[who].key, hash)
	_, err = w.post(ctx, "/v1/approvals/"+withdrawal, map[string]any{
		"person": who, "hash": detail.IntentHash, "signature": base64.StdEncoding.EncodeToString(signature),
	})
	return err
}

// listener is a client of the alert stream. It keeps every event that it got.
type listener struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	events []heard
	grown  chan struct{}
}

// heard is an event of the stream and when it arrived.
type heard struct {
	api.Message
	at time.Time
}

func listen(url string) *listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{cancel: cancel, done: make(chan struct{}), grown: make(chan struct{})}
	f := &client.Follower{
		Dialer:       client.Dialer{URL: strings.Replace(url, "http://", "ws://", 1) + "/v1/stream"},
		Subscription: client.Subscription{Channel: api.ChannelAlerts, From: "snapshot"},
	}
	go func() {
		defer close(l.done)
		_ = f.Run(ctx, func(m api.Message) error { // it ends with the context
			l.mu.Lock()
			defer l.mu.Unlock()
			l.events = append(l.events, heard{m, time.Now()})
			close(l.grown)
			l.grown = make(chan struct{})
			return nil
		})
	}()
	return l
}

func (l *listener) close() {
	l.cancel()
	<-l.done
}

// mark is how many events were heard so far.
func (l *listener) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

// hear waits for an event after a mark.
func (l *listener) hear(ctx context.Context, mark int, kind, state string, fits func(json.RawMessage) bool) (heard, error) {
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		events, grown := l.events, l.grown
		l.mu.Unlock()
		for _, e := range events[mark:] {
			if e.Kind == kind && string(e.State) == state && (fits == nil || fits(e.Data)) {
				return e, nil
			}
		}
		select {
		case <-ctx.Done():
			return heard{}, ctx.Err()
		case <-timeout:
			return heard{}, fmt.Errorf("waited %s for %s %s on the websocket; heard %d other events", patience, kind, state, len(events)-mark)
		case <-grown:
		}
	}
}
