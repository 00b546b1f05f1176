package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"goodcontrol/node/api"
)

// The same events stand in the list, under both of its paths, and a page ends
// where the next begins.
func TestEventsAfter(t *testing.T) {
	m := newMemory()
	m.look(t, short)
	m.post(note(1))
	m.look(t, short, brk)
	m.look(t, brk)
	h := server(t, m)
	var got []string
	after := "0." + journalID[:8]
	for range 10 {
		w := get(h, "/v1/alerts?limit=1&after="+after)
		var page api.EventPage
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %v %s", w.Code, err, w.Body)
		}
		for _, v := range page.Items {
			got = append(got, fmt.Sprintf("%s %s %s", v.Cursor, v.Kind, v.State))
		}
		if after = page.Next; !page.More {
			break
		}
	}
	tag := journalID[:8]
	want := fmt.Sprintf("[1.%s reserve.shortfall opened 3.%s recon.break opened 4.%s reserve.shortfall closed]", tag, tag, tag)
	if fmt.Sprint(got) != want {
		t.Errorf("events %v, expected %s", got, want)
	}
	if after != "4."+tag {
		t.Errorf("the last page goes on after %s", after)
	}
	for path, code := range map[string]api.Code{
		"/v1/events?channel=weather":                             "invalid",
		"/v1/events?min_severity=loud":                           "invalid",
		"/v1/events?channel=journal&min_severity=info":           "invalid",
		"/v1/alerts?after=9." + tag:                              api.CodeBadCursor,
		"/v1/alerts?after=1.00000000":                            api.CodeBadCursor,
		"/v1/events?as_of=9":                                     api.CodeAsOfUnavailable,
		"/v1/events?as_of=2026-11-20T09:00:00Z":                  api.CodeAsOfUnavailable,
		"/v1/events?kinds=no.such&after=0." + tag + "&as_of=now": "invalid",
	} {
		var p api.Problem
		if w := get(h, path); json.Unmarshal(w.Body.Bytes(), &p) != nil || p.Code != code {
			t.Errorf("GET %s = %d %s, expected %s", path, w.Code, w.Body, code)
		}
	}
}

// sseEvent is one event of an event source, as the specification reads it.
type sseEvent struct{ id, name, data string }

// source reads server-sent events.
func source(t *testing.T, address, path, last string) (next func() sseEvent, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	client := &http.Client{Transport: &http.Transport{}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("GET %s = %s %s", path, response.Status, response.Header)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	next = func() sseEvent {
		t.Helper()
		timer := time.AfterFunc(patience, cancel)
		defer timer.Stop()
		var v sseEvent
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				v.id = value
			case "event":
				v.name = value
			case "data":
				v.data = value
			case "":
				if v.name == api.TypeHeartbeat {
					v = sseEvent{}
					continue
				}
				return v
			}
		}
		t.Fatalf("the event source ended: %v", lines.Err())
		return v
	}
	return next, func() {
		cancel()
		response.Body.Close()
		client.CloseIdleConnections()
	}
}

func TestServerSentEvents(t *testing.T) {
	m := newMemory()
	m.look(t, short)
	m.post(note(1))
	address, stop := serveUntil(t, m, api.StreamOptions{Heartbeat: 20 * time.Millisecond})
	next, end := source(t, address, "/v1/stream", "")
	if hello := next(); hello.name != api.TypeHello || !strings.Contains(hello.data, journalID) {
		t.Fatalf("first is %+v", hello)
	}
	tag := journalID[:8]
	var v api.Message
	first := next()
	if err := json.Unmarshal([]byte(first.data), &v); err != nil || first.id != "1."+tag || first.name != "" || v.Kind != "reserve.shortfall" || v.Seq != 1 || v.Type != api.TypeEvent {
		t.Fatalf("snapshot %+v: %v", first, err)
	}
	m.look(t, short, brk)
	if live := next(); live.id != "3."+tag || !strings.Contains(live.data, `"seq":2,`) {
		t.Fatalf("live %+v", live)
	}
	end()
	m.look(t, brk)
	next, end = source(t, address, "/v1/events?min_severity=critical", "3."+tag)
	defer end()
	next() // hello
	if again := next(); again.id != "4."+tag || !strings.Contains(again.data, `"closed"`) {
		t.Fatalf("after Last-Event-ID %+v", again)
	}
	go stop()
	if bye := next(); bye.name != "restart" {
		t.Errorf("at the end %+v", bye)
	}
}

// The AsyncAPI document names every field of every message, and no other.
func TestAsyncAPI(t *testing.T) {
	var doc struct {
		AsyncAPI   string `json:"asyncapi"`
		Components struct {
			Messages map[string]struct {
				Payload struct {
					Properties map[string]json.RawMessage `json:"properties"`
				} `json:"payload"`
			} `json:"messages"`
		} `json:"components"`
	}
	w := get(server(t, newMemory()), "/v1/asyncapi.json")
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || !strings.HasPrefix(doc.AsyncAPI, "3.") {
		t.Fatalf("%v: %s", err, w.Body)
	}
	fields := func(t reflect.Type) map[string]bool {
		all := map[string]bool{}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			all[name] = true
		}
		return all
	}
	told, asked := fields(reflect.TypeFor[api.Message]()), fields(reflect.TypeFor[api.Operation]())
	for name, m := range doc.Components.Messages {
		real := told
		if name == api.OpSubscribe || name == api.OpAck {
			real = asked
		}
		for field := range m.Payload.Properties {
			if !real[field] {
				t.Errorf("message %s: field %s is not one", name, field)
			}
			if name != api.OpSubscribe && name != api.OpAck {
				defer delete(told, field)
			} else {
				defer delete(asked, field)
			}
		}
	}
	t.Cleanup(func() {
		if len(told)+len(asked) > 0 {
			t.Errorf("not described: %v %v", told, asked)
		}
	})
}
