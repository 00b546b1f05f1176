package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"goodcontrol/node/api"
)

type m map[string]any

// answer is what the API said.
type answer struct {
	status int
	body   []byte
	api.Problem
}

// send makes a request with an Idempotency-Key.
func (w *world) send(key, path string, body any) answer {
	w.Helper()
	b, err := json.Marshal(body)
	w.ok(err)
	return w.sendAs(key, path, "application/json", b)
}

// sendAs sends a body of some media type.
func (w *world) sendAs(key, path, media string, body []byte) answer {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.url+path, bytes.NewReader(body))
	w.ok(err)
	r.Header.Set("Content-Type", media)
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(r)
	w.ok(err)
	defer response.Body.Close()
	a := answer{status: response.StatusCode}
	a.body, err = io.ReadAll(response.Body)
	w.ok(err)
	if a.status/100 != 2 {
		w.ok(json.Unmarshal(a.body, &a.Problem))
	}
	return a
}

func (w *world) key() string { return fmt.Sprintf("key-%d", w.keys.Add(1)) }

// post asks for something that must be granted, and returns the id.
func (w *world) post(path string, body any) string {
	w.Helper()
	a := w.send(w.key(), path, body)
	if a.status/100 != 2 {
		w.Fatalf("POST %s %v = %d %s", path, body, a.status, a.body)
	}
	var made api.Result
	w.ok(json.Unmarshal(a.body, &made))
	return made.ID
}

// refused asks for something that must be refused with a code, and a detail that
// has the words.
func (w *world) refused(code api.Code, words, path string, body any) {
	w.Helper()
	a := w.send(w.key(), path, body)
	if a.Code != code || !strings.Contains(a.Detail, words) {
		w.Errorf("POST %s %v = %d %s, expected %s with %q", path, body, a.status, a.body, code, words)
	}
}

func (w *world) get(path string, to any) {
	w.Helper()
	w.ok(w.tryGet(path, to))
}

func (w *world) tryGet(path string, to any) error {
	response, err := http.Get(w.url + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s = %d %s", path, response.StatusCode, b)
	}
	return json.Unmarshal(b, to)
}

// until makes the node look again until what it shows is as expected.
func until[T any](w *world, path, what string, holds func(T) bool) T {
	w.Helper()
	deadline := time.Now().Add(patience)
	for {
		var seen T
		err := w.node.Look(w.Context())
		if err == nil {
			err = w.tryGet(path, &seen)
		}
		if err == nil && holds(seen) {
			return seen
		}
		if time.Now().After(deadline) {
			text, _ := json.Marshal(seen) // for the message only
			w.Fatalf("waited for %s; %s is %.3000s (%v)", what, path, text, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// status waits for the status word, with reasons that have all the words.
func (w *world) status(word api.StatusWord, reasons ...string) api.Status {
	w.Helper()
	return until(w, "/v1/status", fmt.Sprintf("%s because of %q", word, reasons), func(s api.Status) bool {
		all := strings.Join(s.Reasons, "\n")
		for _, r := range reasons {
			if !strings.Contains(all, r) {
				return false
			}
		}
		return s.Status == word
	})
}

// holds waits until an account holds exactly so much.
func (w *world) holds(account, asset, settled, pending string) {
	w.Helper()
	until(w, "/v1/positions?account="+account+"&asset="+asset, fmt.Sprintf("%s to hold %s and %s pending", account, settled, pending), func(p api.Page[api.Position]) bool {
		if len(p.Items) == 0 {
			return strings.Trim(settled+pending, "0.") == ""
		}
		return p.Items[0].Settled == settled && p.Items[0].Pending == pending
	})
}

func (w *world) positions() []api.Position {
	w.Helper()
	var p api.Page[api.Position]
	w.get("/v1/positions?limit=1000", &p)
	return p.Items
}

// alerts are the open alerts, by key.
func (w *world) alerts() map[string]api.Alert {
	w.Helper()
	var p api.Page[api.Alert]
	w.get("/v1/alerts?limit=1000", &p)
	all := map[string]api.Alert{}
	for _, a := range p.Items {
		all[a.Key] = a
	}
	return all
}
