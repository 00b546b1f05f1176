// Package webhook sends events to other people's servers, signed as Standard
// Webhooks says (https://www.standardwebhooks.com): headers webhook-id,
// webhook-timestamp and webhook-signature, an HMAC-SHA256 over id, time and body.
//
// Events of one hook are sent one after the other, in the order of the journal, each
// at least once and with the id that it has on the stream. What is not taken is tried
// again, later and later, for three days; what is refused outright, a few times. Then
// it goes to the dead letters, and the next one is sent. How far a hook has come is
// kept in a file of its own and outlives restarts; a person may send a hook back.
//
// The package decides nothing, and a slow or dead receiver costs a cursor and one
// goroutine: it never slows the node.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"goodcontrol/node/api"
)

// Config is one hook.
type Config struct {
	// ID names the hook, and its files.
	ID  string `yaml:"id"`
	URL string `yaml:"url"`
	// Secret is a file with the shared secret, "whsec_" and base64 of 24 to 64 bytes.
	Secret string `yaml:"secret"`
	// Channel is alerts (if empty), journal or reserve.
	Channel api.Channel `yaml:"channel"`
	// Kinds and MinSeverity say which events are sent; empty: all.
	Kinds       []string `yaml:"kinds"`
	MinSeverity string   `yaml:"min_severity"`
}

// Check says what is wrong with a hook's configuration, but for its secret.
func (c Config) Check() error {
	u, err := url.Parse(c.URL)
	switch {
	case c.ID == "" || strings.Trim(c.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return fmt.Errorf("webhooks: id %q, expected lower case letters, digits and dashes", c.ID)
	case err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return fmt.Errorf("webhooks: %s: url: expected https, or http on loopback", c.ID)
	case c.Secret == "":
		return fmt.Errorf("webhooks: %s: expected a secret, a file that holds whsec_ and base64", c.ID)
	}
	_, err = c.filter()
	return err
}

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

func (c Config) channel() api.Channel {
	if c.Channel == "" {
		return api.ChannelAlerts
	}
	return c.Channel
}

func (c Config) filter() (api.Filter, error) {
	f := api.Filter{Kinds: c.Kinds}
	var err error
	if c.MinSeverity != "" {
		err = f.MinSeverity.UnmarshalText([]byte(c.MinSeverity))
	}
	if err = errors.Join(err, f.Check(c.channel())); err != nil {
		return f, fmt.Errorf("webhooks: %s: %w", c.ID, err)
	}
	return f, nil
}

// ParseSecret reads a shared secret.
func ParseSecret(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("secret: expected whsec_ and the base64 of 24 to 64 bytes")
	}
	return key, nil
}

// Options are what a hook is made with.
type Options struct {
	Tail api.Tail
	// Log is the journal's id.
	Log string
	// Dir is the folder of the hooks' files.
	Dir    string
	Logger *slog.Logger
	// Client sends; nil means one with a timeout of ten seconds that follows no
	// redirect.
	Client *http.Client
	// First is the first pause after a failure, 1 s if zero. It doubles up to an hour.
	First time.Duration
}

// How often and for how long an event is tried.
const (
	refusals  = 5 // times that a receiver may say no (4xx) to one event
	patience  = 72 * time.Hour
	mostPause = time.Hour
	batch     = 64
)

// Hook sends the events of one hook.
type Hook struct {
	config Config
	filter api.Filter
	key    []byte
	o      Options

	mu    sync.Mutex
	state state
	sent  chan struct{} // closed and replaced when a person sends the hook back
}

// state is what a hook's file holds.
type state struct {
	// At is the sequence up to which everything is dealt with.
	At   uint64 `json:"at"`
	Log  string `json:"log"`
	Dead int    `json:"dead"`

	failing time.Time
	why     string
	again   time.Time
}

// Open makes a hook and reads how far it had come. One that is new begins at the
// journal's end.
func Open(c Config, o Options) (*Hook, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(c.Secret)
	if err != nil {
		return nil, fmt.Errorf("webhooks: %s: %w", c.ID, err)
	}
	key, err := ParseSecret(string(text))
	if err != nil {
		return nil, fmt.Errorf("webhooks: %s: %w", c.ID, err)
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.First == 0 {
		o.First = time.Second
	}
	h := &Hook{config: c, key: key, o: o, sent: make(chan struct{})}
	if h.filter, err = c.filter(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	b, err := os.ReadFile(h.path())
	switch {
	case errors.Is(err, os.ErrNotExist):
		h.state = state{At: o.Tail.Head(), Log: o.Log}
		return h, h.save()
	case err != nil:
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	if err := json.Unmarshal(b, &h.state); err != nil || h.state.Log != o.Log || h.state.At > o.Tail.Head() {
		return nil, fmt.Errorf("webhooks: %s: %s does not say how far this journal was sent: %w", c.ID, h.path(), errors.Join(err, fmt.Errorf("journal %q at %d", h.state.Log, h.state.At)))
	}
	return h, nil
}

func (h *Hook) path() string { return filepath.Join(h.o.Dir, h.config.ID+".json") }

// save writes the hook's file, whole or not at all.
func (h *Hook) save() error {
	b, err := json.Marshal(h.state)
	if err != nil {
		return err
	}
	part := h.path() + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(part, h.path())
}

// Status is how a hook is doing.
func (h *Hook) Status() api.Webhook {
	h.mu.Lock()
	defer h.mu.Unlock()
	return api.Webhook{
		ID: h.config.ID, URL: h.config.URL, Channel: h.config.channel(), Cursor: api.CursorOf(h.o.Log, h.state.At), Behind: h.o.Tail.Head() - min(h.o.Tail.Head(), h.state.At),
		DeadLetters: h.state.Dead, FailingSince: h.state.failing, LastError: h.state.why, NextTry: h.state.again,
	}
}

// Rewind sends the hook back: events after the sequence are sent again.
func (h *Hook) Rewind(to uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.At = min(to, h.o.Tail.Head())
	close(h.sent)
	h.sent = make(chan struct{})
	return h.save()
}

// Run sends until the context ends.
func (h *Hook) Run(ctx context.Context) {
	for ctx.Err() == nil {
		h.mu.Lock()
		at, back := h.state.At, h.sent
		h.mu.Unlock()
		entries, err := h.o.Tail.Entries(ctx, at, batch)
		if err == nil && len(entries) == 0 {
			waiting, stop := context.WithCancel(ctx)
			go func() {
				select {
				case <-back:
				case <-waiting.Done():
				}
				stop()
			}()
			_ = h.o.Tail.Wait(waiting, at) // more, sent back, or the end
			stop()
			continue
		}
		if err != nil {
			h.o.Logger.Error("webhook: reading the journal", "hook", h.config.ID, "err", err)
			pause(ctx, h.o.First, back)
			continue
		}
		for _, e := range entries {
			event, err := api.EventOf(h.o.Log, h.config.channel(), h.filter, e)
			if err == nil && event != nil {
				err = h.deliver(ctx, *event, back)
			}
			if err != nil {
				break // sent back, or the end
			}
			if !h.passed(at, e.Seq) {
				break
			}
			at = e.Seq
		}
	}
}

// passed keeps that an entry is dealt with, unless the hook was sent back meanwhile.
func (h *Hook) passed(was, at uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state.At != was {
		return false
	}
	h.state.At = at
	if err := h.save(); err != nil {
		h.o.Logger.Error("webhook: keeping how far it has come; after a restart some events come again", "hook", h.config.ID, "err", err)
	}
	return true
}

// errBack says that a person sent the hook back.
var errBack = errors.New("sent back")

// deliver sends one event until it is taken or given up.
func (h *Hook) deliver(ctx context.Context, v api.Event, back <-chan struct{}) error {
	began, wait, refused := time.Now(), h.o.First, 0
	for {
		no, err := h.send(ctx, v)
		if err == nil {
			h.note(time.Time{}, "", time.Time{})
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if no {
			refused++
		}
		if refused >= refusals || time.Since(began) > patience {
			return h.bury(v, err)
		}
		h.note(began, err.Error(), time.Now().Add(wait))
		h.o.Logger.Warn("webhook not taken; trying again", "hook", h.config.ID, "event", v.ID, "err", err, "in", wait)
		if err := pause(ctx, wait, back); err != nil {
			return err
		}
		wait = min(2*wait, mostPause)
	}
}

func (h *Hook) note(since time.Time, why string, again time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.failing, h.state.why, h.state.again = since, why, again
}

func pause(ctx context.Context, d time.Duration, back <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-back:
		return errBack
	case <-ctx.Done():
		return ctx.Err()
	}
}

// payload is the body of a webhook.
type payload struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      api.Event `json:"data"`
}

// send sends an event once. No says that the receiver refused it outright, and that
// to send the same again is of little use.
func (h *Hook) send(ctx context.Context, v api.Event) (no bool, err error) {
	body, err := json.Marshal(payload{v.Kind, v.OccurredAt, v})
	if err != nil {
		return true, fmt.Errorf("encoding event %s: %w", v.ID, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.config.URL, bytes.NewReader(body))
	if err != nil {
		return true, err
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Webhook-Id", v.ID)
	r.Header.Set("Webhook-Timestamp", now)
	r.Header.Set("Webhook-Signature", "v1,"+Sign(h.key, v.ID, now, body))
	response, err := h.o.Client.Do(r)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 512)) // for the message only
	switch s := response.StatusCode; {
	case s/100 == 2:
		return false, nil
	case s/100 == 4 && s != http.StatusTooManyRequests && s != http.StatusRequestTimeout:
		return true, fmt.Errorf("%s: %s", response.Status, text)
	}
	return false, fmt.Errorf("%s: %s", response.Status, text)
}

// Sign is the signature of a webhook, without its version.
func Sign(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// deadLetter is an event that was given up.
type deadLetter struct {
	At    time.Time `json:"at"`
	Why   string    `json:"why"`
	Event api.Event `json:"event"`
}

// bury keeps an event that was given up in the dead letters. If even that fails, it
// is not given up.
func (h *Hook) bury(v api.Event, why error) error {
	line, err := json.Marshal(deadLetter{time.Now().UTC(), why.Error(), v})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(h.o.Dir, h.config.ID+".dead.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	h.o.Logger.Error("webhook given up; the event is among the dead letters", "hook", h.config.ID, "event", v.ID, "kind", v.Kind, "err", why)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.Dead++
	h.state.failing, h.state.why, h.state.again = time.Time{}, "", time.Time{}
	return nil
}
