package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"goodcontrol/custody"
	"goodcontrol/node/api"
	"goodcontrol/node/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const journal = "7f3a91c2d4e5"

// tail is a journal of notes.
type tail struct {
	mu      sync.Mutex
	entries []custody.Entry
	moved   chan struct{}
}

func (l *tail) post(count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range count {
		seq := uint64(len(l.entries) + 1)
		l.entries = append(l.entries, custody.Entry{Seq: seq, Recorded: time.Unix(int64(seq), 0), Effective: time.Unix(int64(seq), 0), Kind: "noted", Actor: "test", Ref: custody.Ref(fmt.Sprint(seq)), Body: []byte("{}")})
	}
	close(l.moved)
	l.moved = make(chan struct{})
}

func (l *tail) Head() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.entries))
}

func (l *tail) Entries(_ context.Context, after uint64, limit int) ([]custody.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.entries[after:]
	return rest[:min(limit, len(rest))], nil
}

func (l *tail) Wait(ctx context.Context, after uint64) error {
	for {
		l.mu.Lock()
		moved, there := l.moved, uint64(len(l.entries)) > after
		l.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *tail) Snapshot(context.Context, api.Channel) ([]custody.Entry, uint64, error) {
	return nil, l.Head(), nil
}

var key = []byte("0123456789abcdefghijklmnop")

// receiver checks and keeps what is sent to it.
type receiver struct {
	t      *testing.T
	mu     sync.Mutex
	got    []string // cursors
	ids    map[string]bool
	answer func(cursor string, times int) int
	times  map[string]int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	var p struct {
		Type string    `json:"type"`
		Data api.Event `json:"data"`
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Type != "noted" || p.Data.ID != q.Header.Get("Webhook-Id") {
		r.t.Errorf("body %s: %v", body, err)
	}
	want := "v1," + webhook.Sign(key, q.Header.Get("Webhook-Id"), q.Header.Get("Webhook-Timestamp"), body)
	if q.Header.Get("Webhook-Signature") != want {
		r.t.Errorf("signature %s, expected %s", q.Header.Get("Webhook-Signature"), want)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times[p.Data.Cursor]++
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(p.Data.Cursor, r.times[p.Data.Cursor])
	}
	if status/100 == 2 {
		r.got = append(r.got, p.Data.Cursor)
		r.ids[p.Data.ID] = true
	}
	w.WriteHeader(status)
}

func (r *receiver) wait(count int) []string {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		got := append([]string{}, r.got...)
		r.mu.Unlock()
		if len(got) >= count {
			return got
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d came, expected %d: %v", len(got), count, got)
		}
	}
}

type hooked struct {
	*receiver
	tail   *tail
	dir    string
	url    string
	client *http.Client
}

func newHooked(t *testing.T) *hooked {
	r := &receiver{t: t, ids: map[string]bool{}, times: map[string]int{}}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	h := &hooked{receiver: r, tail: &tail{moved: make(chan struct{})}, dir: t.TempDir(), url: s.URL, client: s.Client()}
	if err := os.WriteFile(filepath.Join(h.dir, "secret"), []byte("whsec_"+base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// run opens the hook and runs it until stop.
func (h *hooked) run(t *testing.T) (hook *webhook.Hook, stop func()) {
	t.Helper()
	hook, err := webhook.Open(webhook.Config{ID: "pager", URL: h.url, Secret: filepath.Join(h.dir, "secret"), Channel: api.ChannelJournal},
		webhook.Options{Tail: h.tail, Log: journal, Dir: filepath.Join(h.dir, "hooks"), Logger: slog.New(slog.DiscardHandler), First: time.Millisecond, Client: h.client})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { hook.Run(ctx); close(done) }()
	return hook, func() { cancel(); <-done }
}

// In order, over failures and restarts, nothing is left out.
func TestDelivery(t *testing.T) {
	h := newHooked(t)
	h.tail.post(3) // before the hook was there
	h.answer = func(cursor string, times int) int {
		if times < 3 && strings.HasSuffix(strings.Split(cursor, ".")[0], "5") {
			return http.StatusBadGateway
		}
		return http.StatusOK
	}
	_, stop := h.run(t)
	h.tail.post(10)
	h.wait(10)
	stop()
	h.tail.post(10)
	hook, stop := h.run(t)
	got := h.wait(20)
	for i, cursor := range got[:20] {
		if want := fmt.Sprintf("%d.%s", i+4, journal[:8]); cursor != want {
			t.Fatalf("%d came as %s, expected %s: %v", i, cursor, want, got)
		}
	}
	if err := hook.Rewind(20); err != nil {
		t.Fatal(err)
	}
	again := h.wait(23)
	if again[20] != "21."+journal[:8] || len(h.ids) != 20 {
		t.Errorf("after it was sent back came %v with %d ids", again[20:], len(h.ids))
	}
	stop()
}

// What is refused outright goes to the dead letters, and the next is sent.
func TestDeadLetters(t *testing.T) {
	h := newHooked(t)
	h.answer = func(cursor string, _ int) int {
		if strings.HasPrefix(cursor, "2.") {
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	}
	hook, stop := h.run(t)
	h.tail.post(3)
	got := h.wait(2)
	for end := time.Now().Add(5 * time.Second); hook.Status().Behind > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // the answer to the last one is on its way
	}
	stop()
	if fmt.Sprint(got) != fmt.Sprintf("[1.%s 3.%s]", journal[:8], journal[:8]) || h.times["2."+journal[:8]] != 5 {
		t.Errorf("came %v, the refused one %d times", got, h.times["2."+journal[:8]])
	}
	if s := hook.Status(); s.DeadLetters != 1 || s.Behind != 0 || s.LastError != "" {
		t.Errorf("status %+v", s)
	}
	b, err := os.ReadFile(filepath.Join(h.dir, "hooks", "pager.dead.jsonl"))
	if err != nil || !strings.Contains(string(b), `"cursor":"2.`) || !strings.Contains(string(b), "422") {
		t.Errorf("dead letters %s: %v", b, err)
	}
}

func TestConfig(t *testing.T) {
	good := webhook.Config{ID: "pager", URL: "https://example.com/hook", Secret: "s"}
	for want, change := range map[string]func(*webhook.Config){
		"":             func(*webhook.Config) {},
		"id":           func(c *webhook.Config) { c.ID = "../x" },
		"https":        func(c *webhook.Config) { c.URL = "http://example.com" },
		"secret":       func(c *webhook.Config) { c.Secret = "" },
		"channel":      func(c *webhook.Config) { c.Channel = "weather" },
		"severity":     func(c *webhook.Config) { c.MinSeverity = "loud" },
		"min_severity": func(c *webhook.Config) { c.Channel, c.MinSeverity = api.ChannelJournal, "info" },
	} {
		c := good
		change(&c)
		if err := c.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, expected %q", c, err, want)
		}
	}
	for _, text := range []string{"", "whsec_", "whsec_c2hvcnQ=", base64.StdEncoding.EncodeToString(key)} {
		if _, err := webhook.ParseSecret(text); err == nil {
			t.Errorf("secret %q was taken", text)
		}
	}
	// The example of the Standard Webhooks specification.
	k, err := webhook.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	if got := webhook.Sign(k, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); got != "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("the specification's example is signed %s", got)
	}
}
