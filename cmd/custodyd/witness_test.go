package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/node/alert"
	"goodcontrol/node/api"
	"goodcontrol/node/api/client"
)

// witness follows the alerts of a daemon over all of its lives.
type witness struct {
	mu   sync.Mutex
	seen map[string]int
	last string // cursor of the last event
	stop func()
}

// follow begins at the journal's beginning, with the daemon that runs now.
func follow(t *testing.T, url string) *witness {
	t.Helper()
	w := &witness{seen: map[string]int{}}
	dialer := client.Dialer{URL: strings.Replace(url, "http", "ws", 1) + "/v1/stream"}
	c, err := dialer.Dial(t.Context())
	must(t, err)
	_, tag, _ := strings.Cut(c.Head(), ".")
	must(t, c.Close())
	f := &client.Follower{Dialer: dialer, Subscription: client.Subscription{Channel: api.ChannelAlerts, From: "0." + tag}, Backoff: 200 * time.Millisecond}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- f.Run(ctx, func(m api.Message) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen[m.ID]++
			w.last = m.Cursor
			return nil
		})
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(w.stop)
	return w
}

// caughtUp waits until the witness has seen the last alert of the journal.
func (w *witness) caughtUp(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var last string
		for after, more := "", true; more; {
			var page api.EventPage
			must(t, ask(url+"/v1/events?limit=1000&after="+after, &page))
			if n := len(page.Items); n > 0 {
				last = page.Items[n-1].Cursor
			}
			after, more = page.Next, page.More
		}
		w.mu.Lock()
		done := w.last == last
		w.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the witness has seen alerts up to %s, the journal has them up to %s", w.last, last)
		}
	}
}

// check holds what was seen to the journal: every event once, and none that the
// journal does not have.
func (w *witness) check(t *testing.T, b *ledger.Books) {
	t.Helper()
	events := 0
	err := b.Entries(t.Context(), 0, func(e custody.Entry) error {
		if !alert.IsKind(e.Kind) {
			return nil
		}
		v, err := alert.EventOf(e)
		if err != nil {
			return err
		}
		events++
		if w.seen[v.ID] != 1 {
			t.Errorf("event %s (%s %s) was told %d times", v.ID, v.Key, v.State, w.seen[v.ID])
		}
		delete(w.seen, v.ID)
		return nil
	})
	must(t, err)
	for id := range w.seen {
		t.Errorf("event %s was told, and the journal does not have it", id)
	}
	if events < 10 {
		t.Errorf("only %d events were told", events)
	}
}
