package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"goodcontrol/node/alert"
	"goodcontrol/node/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for something that should come.
const patience = 10 * time.Second

func dial(tb testing.TB, address string) *websocket.Conn {
	tb.Helper()
	d := websocket.Dialer{Subprotocols: []string{api.Subprotocol}, HandshakeTimeout: patience}
	ws, response, err := d.Dial("ws://"+address+"/v1/stream", nil)
	if err != nil {
		tb.Fatalf("dialing %s: %v (%+v)", address, err, response)
	}
	tb.Cleanup(func() { ws.Close() })
	return ws
}

func receive(tb testing.TB, ws *websocket.Conn) api.Message {
	tb.Helper()
	ws.SetReadDeadline(time.Now().Add(patience))
	_, text, err := ws.ReadMessage()
	if err != nil {
		tb.Fatalf("reading a message: %v", err)
	}
	var m api.Message
	if err := json.Unmarshal(text, &m); err != nil {
		tb.Fatalf("message %s: %v", text, err)
	}
	return m
}

// next is the next message of a type, past heartbeats.
func next(tb testing.TB, ws *websocket.Conn, kind string) api.Message {
	tb.Helper()
	for {
		m := receive(tb, ws)
		if m.Type == kind {
			return m
		}
		if m.Type != api.TypeHeartbeat {
			tb.Fatalf("message %+v, expected one of type %s", m, kind)
		}
	}
}

func say(tb testing.TB, ws *websocket.Conn, text string) {
	tb.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		tb.Fatal(err)
	}
}

var short = alert.Condition{Key: "reserve.shortfall/customer", Kind: alert.ReserveShortfall, Data: map[string]string{"shortfall": "250.00"}}
var brk = alert.Condition{Key: "recon.break/1", Kind: alert.ReconBreak, Data: map[string]string{"difference": "-1"}}
var late = alert.Condition{Key: "input.stale/dtc", Kind: alert.InputStale, Data: "19 h"}

func TestSnapshotThenLive(t *testing.T) {
	m := newMemory()
	m.look(t, short, brk)
	m.look(t, short, brk, late)
	m.look(t, brk, late) // the shortfall is cured, and nobody is told who never heard of it
	m.post(note(1))
	ws := dial(t, serve(t, m, api.StreamOptions{}))

	hello := next(t, ws, api.TypeHello)
	if hello.Log != journalID || hello.HeartbeatMS != 5000 || hello.Head != "5.7f3a91c2" || ws.Subprotocol() != api.Subprotocol {
		t.Errorf("hello %+v under subprotocol %q", hello, ws.Subprotocol())
	}
	say(t, ws, `{"op":"subscribe","req":"1","channel":"alerts","from":"snapshot","later":"ignored"}`)
	subscribed := next(t, ws, api.TypeSubscribed)
	if subscribed.Req != "1" || subscribed.Sub != "s1" || subscribed.From != "0.7f3a91c2" {
		t.Errorf("subscribed %+v", subscribed)
	}
	m.look(t, late) // the break closes
	var got []string
	for range 3 {
		e := next(t, ws, api.TypeEvent)
		got = append(got, fmt.Sprintf("%d %s %s %s %s", e.Seq, e.Kind, e.State, e.Severity, e.Cursor))
		if e.RecordedAt.IsZero() || e.OccurredAt.IsZero() || len(e.ID) != 26 || e.Sub != "s1" {
			t.Errorf("event %+v", e)
		}
	}
	want := "[1 recon.break opened warning 1.7f3a91c2 2 input.stale opened warning 3.7f3a91c2 3 recon.break closed warning 6.7f3a91c2]"
	if fmt.Sprint(got) != want {
		t.Errorf("events %v, expected %s", got, want)
	}
}

func TestFilterAndChannels(t *testing.T) {
	m := newMemory()
	ws := dial(t, serve(t, m, api.StreamOptions{}))
	next(t, ws, api.TypeHello)
	for _, op := range []string{
		`{"op":"subscribe","req":"a","channel":"alerts","filter":{"min_severity":"critical"},"from":"now"}`,
		`{"op":"subscribe","req":"b","channel":"alerts","filter":{"kinds":["input.stale"]},"from":"now"}`,
		`{"op":"subscribe","req":"c","channel":"journal","filter":{"kinds":["noted"]},"from":"now"}`,
		`{"op":"subscribe","req":"d","channel":"reserve","from":"snapshot"}`,
	} {
		say(t, ws, op)
		next(t, ws, api.TypeSubscribed)
	}
	m.look(t, brk)
	m.look(t, brk, late)
	m.look(t, brk, late, short)
	m.post(note(1))
	computed := note(2)
	computed.Kind = api.KindReserveComputed
	m.post(computed)
	got := map[string]string{}
	for range 4 {
		e := next(t, ws, api.TypeEvent)
		got[e.Sub] += fmt.Sprintf("%d %s;", e.Seq, e.Kind)
	}
	want := map[string]string{"s1": "1 reserve.shortfall;", "s2": "1 input.stale;", "s3": "1 noted;", "s4": "1 reserve.computed;"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %v, expected %v", got, want)
	}
}

func TestBadMessagesKeepTheConnection(t *testing.T) {
	m := newMemory()
	m.post(note(1))
	ws := dial(t, serve(t, m, api.StreamOptions{MaxSubs: 1}))
	next(t, ws, api.TypeHello)
	for text, code := range map[string]api.Code{
		`not json`:                 api.CodeBadRequest,
		`{"op":"dance","req":"r"}`: api.CodeInvalid,
		`{"op":"subscribe","req":"r","channel":"weather","from":"now"}`:                                  api.CodeInvalid,
		`{"op":"subscribe","req":"r","channel":"alerts"}`:                                                api.CodeBadCursor,
		`{"op":"subscribe","req":"r","channel":"alerts","from":"9.7f3a91c2"}`:                            api.CodeBadCursor,
		`{"op":"subscribe","req":"r","channel":"alerts","from":"1.00000000"}`:                            api.CodeBadCursor,
		`{"op":"subscribe","req":"r","channel":"alerts","from":"now","filter":{"kinds":["no.such"]}}`:    api.CodeInvalid,
		`{"op":"subscribe","req":"r","channel":"alerts","from":"now","filter":{"min_severity":"loud"}}`:  api.CodeBadRequest,
		`{"op":"subscribe","req":"r","channel":"journal","from":"now","filter":{"min_severity":"info"}}`: api.CodeInvalid,
		`{"op":"subscribe","req":"r","channel":"journal","from":"snapshot"}`:                             api.CodeInvalid,
		`{"op":"ack","req":"r","sub":"s9","cursor":"1.7f3a91c2"}`:                                        api.CodeNotFound,
	} {
		say(t, ws, text)
		if e := next(t, ws, api.TypeError); e.Code != code || e.Detail == "" || text[0] == '{' && e.Req != "r" {
			t.Errorf("%s: answered %+v, expected code %s", text, e, code)
		}
	}
	if err := ws.WriteMessage(websocket.BinaryMessage, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	next(t, ws, api.TypeError)
	say(t, ws, `{"op":"subscribe","channel":"journal","from":"0.7f3a91c2"}`)
	next(t, ws, api.TypeSubscribed)
	if e := next(t, ws, api.TypeEvent); e.Cursor != "1.7f3a91c2" {
		t.Errorf("event %+v", e)
	}
	say(t, ws, `{"op":"subscribe","channel":"journal","from":"now"}`)
	if e := next(t, ws, api.TypeError); e.Code != api.CodeInvalid {
		t.Errorf("one subscription too many: %+v", e)
	}
}

// A subscription may begin anywhere before, at or within the feed.
func TestResumeAnywhere(t *testing.T) {
	m := newMemory()
	m.post(note(0))
	address := serve(t, m, api.StreamOptions{QueueEntries: 4})
	live := dial(t, address)
	next(t, live, api.TypeHello)
	say(t, live, `{"op":"subscribe","channel":"journal","from":"now"}`)
	next(t, live, api.TypeSubscribed)
	for n := range 10 {
		m.post(note(n + 1))
		next(t, live, api.TypeEvent)
	}
	const head = 11
	for from := range head {
		ws := dial(t, address)
		next(t, ws, api.TypeHello)
		say(t, ws, fmt.Sprintf(`{"op":"subscribe","channel":"journal","from":"%d.7f3a91c2"}`, from))
		next(t, ws, api.TypeSubscribed)
		for want := from + 1; want <= head; want++ {
			if e := next(t, ws, api.TypeEvent); e.Cursor != api.Cursor(journalID, uint64(want)) {
				t.Fatalf("from %d: event %+v, expected entry %d", from, e, want)
			}
		}
		ws.Close()
	}
}

// What is not of a channel moves its subscriptions on all the same.
func TestProgressPastOthers(t *testing.T) {
	m := newMemory()
	ws := dial(t, serve(t, m, api.StreamOptions{Heartbeat: 20 * time.Millisecond}))
	next(t, ws, api.TypeHello)
	say(t, ws, `{"op":"subscribe","channel":"alerts","from":"now"}`)
	next(t, ws, api.TypeSubscribed)
	m.post(note(1), note(2))
	for deadline := time.Now().Add(patience); ; {
		p := next(t, ws, api.TypeHeartbeat).Heads["s1"]
		if p == (api.Progress{Cursor: "2.7f3a91c2"}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("progress %+v after two entries that are no alerts", p)
		}
	}
}

func TestHeartbeatAndAck(t *testing.T) {
	m := newMemory()
	m.post(note(1), note(2))
	ws := dial(t, serve(t, m, api.StreamOptions{Heartbeat: 20 * time.Millisecond}))
	next(t, ws, api.TypeHello)
	say(t, ws, `{"op":"subscribe","channel":"journal","from":"0.7f3a91c2"}`)
	next(t, ws, api.TypeSubscribed)
	next(t, ws, api.TypeEvent)
	next(t, ws, api.TypeEvent)
	say(t, ws, `{"op":"ack","sub":"s1","cursor":"1.7f3a91c2"}`)
	for {
		beat := next(t, ws, api.TypeHeartbeat)
		if p := beat.Heads["s1"]; p.Acked != "" {
			if p != (api.Progress{Seq: 2, Cursor: "2.7f3a91c2", Acked: "1.7f3a91c2"}) {
				t.Errorf("progress %+v", p)
			}
			break
		}
	}
	say(t, ws, `{"op":"ack","req":"x","sub":"s1","cursor":"3.7f3a91c2"}`)
	if e := next(t, ws, api.TypeError); e.Code != api.CodeBadCursor {
		t.Errorf("ack of what was not sent: %+v", e)
	}
}

// Every message of the stream, as it stands on the wire.
func TestStreamForms(t *testing.T) {
	m := full(t)
	computed := note(4)
	computed.Kind = api.KindReserveComputed
	m.post(computed)
	ws := dial(t, serve(t, m, api.StreamOptions{Heartbeat: 100 * time.Millisecond}))
	var all []string
	take := func(kinds ...string) {
		for len(kinds) > 0 {
			ws.SetReadDeadline(time.Now().Add(patience))
			_, text, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(string(text), `{"type":"`+kinds[0]+`"`) {
				all, kinds = append(all, string(text)), kinds[1:]
			} else if !strings.HasPrefix(string(text), `{"type":"heartbeat"`) {
				t.Fatalf("message %s, expected one of type %s", text, kinds[0])
			}
		}
	}
	take("hello")
	for _, op := range []string{
		`{"op":"subscribe","req":"1","channel":"alerts","filter":{"min_severity":"critical"},"from":"snapshot"}`,
		`{"op":"subscribe","req":"2","channel":"reserve","from":"snapshot"}`,
		`{"op":"subscribe","req":"3","channel":"journal","from":"2.7f3a91c2","filter":{"kinds":["deposit.final"]}}`,
	} {
		say(t, ws, op)
		take("subscribed", "event")
	}
	say(t, ws, `{"op":"ack","sub":"s1","cursor":"2.7f3a91c2"}`)
	say(t, ws, `{"op":"ack","req":"4","sub":"s9","cursor":"2.7f3a91c2"}`)
	take("error", "heartbeat")
	golden(t, "stream", []byte("["+strings.Join(all, ",")+"]"))
}

func TestUpgradeRefused(t *testing.T) {
	address := serve(t, newMemory(), api.StreamOptions{MaxConns: 1})
	for name, c := range map[string]struct {
		dialer websocket.Dialer
		header http.Header
		status int
		code   api.Code
	}{
		"no subprotocol": {websocket.Dialer{}, nil, 400, api.CodeSubprotocolRequired},
		"other origin":   {websocket.Dialer{Subprotocols: []string{api.Subprotocol}}, http.Header{"Origin": {"http://evil.example"}}, 403, api.CodeForbiddenOrigin},
	} {
		_, response, err := c.dialer.Dial("ws://"+address+"/v1/stream", c.header)
		if err == nil || response == nil || response.StatusCode != c.status {
			t.Errorf("%s: %v, %+v; expected status %d", name, err, response, c.status)
			continue
		}
		var p api.Problem
		if err := json.NewDecoder(response.Body).Decode(&p); err != nil || p.Code != c.code {
			t.Errorf("%s: problem %+v (%v), expected code %s", name, p, err, c.code)
		}
	}
	ws := dial(t, address)
	next(t, ws, api.TypeHello)
	d := websocket.Dialer{Subprotocols: []string{api.Subprotocol}}
	if _, response, err := d.Dial("ws://"+address+"/v1/stream", nil); err == nil || response.StatusCode != 503 {
		t.Errorf("one connection too many: %v, %+v", err, response)
	}
}

func TestDrain(t *testing.T) {
	m := newMemory()
	address, stop := serveUntil(t, m, api.StreamOptions{})
	ws := dial(t, address)
	next(t, ws, api.TypeHello)
	go stop()
	ws.SetReadDeadline(time.Now().Add(patience))
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("read after the server stopped: %v, expected close %d", err, websocket.CloseServiceRestart)
	}
}
