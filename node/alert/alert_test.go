package alert_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
)

var morning = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// journal keeps entries as the ledger would: numbered, and read back from their
// encoding.
type journal struct {
	entries []custody.Entry
}

func (j *journal) post(t rapid.TB, set *alert.Set, at time.Time, events ...alert.Event) {
	t.Helper()
	for _, v := range events {
		e, err := v.Entry("node")
		if err != nil {
			t.Fatal(err)
		}
		e.Seq, e.Recorded = uint64(len(j.entries)+1), at
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		encoded, _ := e.AppendBinary(nil)
		e, _, err = custody.DecodeEntry(string(encoded))
		if err != nil {
			t.Fatal(err)
		}
		j.entries = append(j.entries, e)
		if err := set.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
}

func diff(t rapid.TB, set *alert.Set, p alert.Picture) []alert.Event {
	t.Helper()
	events, err := set.Diff(p)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

type shortfall struct {
	Shortfall   string `json:"shortfall"`
	SecondsLeft int    `json:"seconds_left"`
}

func TestLife(t *testing.T) {
	var set alert.Set
	var j journal
	deadline := morning.Add(30 * time.Hour)
	at := func(hours int, dollars string) alert.Picture {
		now := morning.Add(time.Duration(hours) * time.Hour)
		p := alert.Picture{At: now, Seq: uint64(100 + hours)}
		if dollars != "" {
			data := shortfall{dollars, int(deadline.Sub(now).Seconds())}
			p.Conditions = []alert.Condition{{
				Key: "reserve.shortfall/customer", Kind: alert.ReserveShortfall, Severity: alert.Info,
				Deadline: deadline, Data: data, Matters: data.Shortfall,
			}}
		}
		return p
	}
	rows := []struct {
		hours   int
		dollars string
		want    string
	}{
		{0, "", ""},
		{1, "100.00", "opened info holds=true"},
		{2, "100.00", ""}, // only the seconds left have ticked
		{3, "250.00", "changed info holds=true"},
		{7, "250.00", "changed warning holds=true"}, // a day left
		{8, "250.00", ""},
		{27, "250.00", "changed critical holds=true"}, // four hours left
		{29, "", "closed critical holds=false"},
		{30, "", ""},
		{31, "1.00", "opened critical holds=true"},
	}
	for _, r := range rows {
		p := at(r.hours, r.dollars)
		events := diff(t, &set, p)
		got := ""
		for _, v := range events {
			got += fmt.Sprintf("%s %s holds=%t", v.State, v.Severity, v.Holds)
		}
		if got != r.want {
			t.Errorf("at %dh with %q short: told %q, expected %q", r.hours, r.dollars, got, r.want)
		}
		if r.hours == 29 {
			want := `{"checked_seq":129,"last":{"shortfall":"250.00","seconds_left":10800}}`
			if string(events[0].Data) != want {
				t.Errorf("closing proof %s, expected %s", events[0].Data, want)
			}
		}
		j.post(t, &set, p.At, events...)
	}
	open := set.Open()
	if len(open) != 1 || open[0].ID != string(j.entries[len(j.entries)-1].Ref)[len("alert:"):] {
		t.Errorf("open alerts %+v, expected the second one only", open)
	}
}

func TestProofOfClosing(t *testing.T) {
	var set alert.Set
	var j journal
	c := alert.Condition{Key: "b", Kind: alert.ReconBreak, Data: "books 10, outside 7"}
	j.post(t, &set, morning, diff(t, &set, alert.Picture{At: morning, Conditions: []alert.Condition{c}})...)
	events := diff(t, &set, alert.Picture{At: morning, Seq: 9, Proof: func(a alert.Alert) any { return a.Key + " matches at 10" }})
	want := `{"checked_seq":9,"evidence":"b matches at 10","last":"books 10, outside 7"}`
	if len(events) != 1 || string(events[0].Data) != want {
		t.Fatalf("told %+v, expected one closing with %s", events, want)
	}
}

func TestLatched(t *testing.T) {
	var set alert.Set
	var j journal
	outflow := alert.Condition{Key: "chain.unauthorized_outflow/0xab", Kind: alert.UnauthorizedOutflow, Latched: true, Data: "5 ETH"}
	holds := alert.Picture{At: morning, Conditions: []alert.Condition{outflow}}
	j.post(t, &set, morning, diff(t, &set, holds)...)
	id := set.Open()[0].ID

	if _, err := set.Release(id, "ann", "", morning); !errors.Is(err, alert.ErrHolds) {
		t.Errorf("release while it holds: %v, expected %v", err, alert.ErrHolds)
	}
	j.post(t, &set, morning, diff(t, &set, alert.Picture{At: morning, Seq: 1})...)
	if a, ok := set.Alert(id); !ok || a.Holds {
		t.Fatalf("alert %+v, %t; expected it open and not holding", a, ok)
	}
	if again := diff(t, &set, alert.Picture{At: morning, Seq: 2}); len(again) != 0 {
		t.Errorf("told again %+v, expected nothing", again)
	}
	j.post(t, &set, morning, diff(t, &set, holds)...)
	if a, _ := set.Alert(id); !a.Holds {
		t.Error("condition came back but the alert does not hold")
	}
	j.post(t, &set, morning, diff(t, &set, alert.Picture{At: morning, Seq: 3})...)
	v, err := set.Release(id, "ann", "coins returned", morning)
	if err != nil {
		t.Fatal(err)
	}
	if v.State != alert.Closed || v.By != "ann" || v.Note != "coins returned" {
		t.Errorf("release is %+v", v)
	}
	j.post(t, &set, morning, v)
	if open := set.Open(); len(open) != 0 {
		t.Errorf("open after release: %+v", open)
	}
}

func TestAcknowledge(t *testing.T) {
	var set alert.Set
	var j journal
	c := alert.Condition{Key: "b", Kind: alert.ReconBreak, Data: 1}
	j.post(t, &set, morning, diff(t, &set, alert.Picture{At: morning, Conditions: []alert.Condition{c}})...)
	id := set.Open()[0].ID
	v, err := set.Acknowledge(id, "ann", "on it", morning)
	if err != nil {
		t.Fatal(err)
	}
	j.post(t, &set, morning, v)
	if a, _ := set.Alert(id); a.AcknowledgedBy != "ann" {
		t.Errorf("acknowledged by %q, expected ann", a.AcknowledgedBy)
	}
	if _, err := set.Acknowledge(id, "bob", "", morning); !errors.Is(err, alert.ErrAcknowledged) {
		t.Errorf("second acknowledgement: %v, expected %v", err, alert.ErrAcknowledged)
	}
	if _, err := set.Release(id, "ann", "", morning); !errors.Is(err, alert.ErrNotLatched) {
		t.Errorf("release: %v, expected %v", err, alert.ErrNotLatched)
	}
	if _, err := set.Acknowledge("01", "bob", "", morning); !errors.Is(err, alert.ErrNotOpen) {
		t.Errorf("unknown id: %v, expected %v", err, alert.ErrNotOpen)
	}
	// It gets worse: whoever took it up took up something less.
	c.Severity = alert.Critical
	j.post(t, &set, morning, diff(t, &set, alert.Picture{At: morning, Conditions: []alert.Condition{c}})...)
	if a, _ := set.Alert(id); a.AcknowledgedBy != "" || a.Severity != alert.Critical {
		t.Errorf("after it got worse: %+v", a)
	}
	if _, err := set.Acknowledge(id, "", "", morning); err == nil {
		t.Error("an acknowledgement by nobody was accepted")
	}
}

func TestRefused(t *testing.T) {
	var set alert.Set
	good := alert.Condition{Key: "k", Kind: alert.ReconBreak}
	for name, conditions := range map[string][]alert.Condition{
		"same key twice":   {good, good},
		"no key":           {{Kind: alert.ReconBreak}},
		"unknown kind":     {{Key: "k", Kind: "recon.brake"}},
		"unknown severity": {{Key: "k", Kind: alert.ReconBreak, Severity: 9}},
		"data not JSON":    {{Key: "k", Kind: alert.ReconBreak, Data: func() {}}},
		"matters not JSON": {{Key: "k", Kind: alert.ReconBreak, Matters: make(chan int)}},
		"before the epoch": nil,
		"kind under a key": {{Key: "open", Kind: alert.Reorg}},
	} {
		p := alert.Picture{At: morning, Conditions: conditions}
		if conditions == nil {
			p = alert.Picture{At: time.Unix(-1, 0), Conditions: []alert.Condition{good}}
		}
		with := set.Clone()
		var j journal
		j.post(t, with, morning, diff(t, with, alert.Picture{At: morning, Conditions: []alert.Condition{{Key: "open", Kind: alert.ReconBreak}}})...)
		if events, err := with.Diff(p); err == nil {
			t.Errorf("%s: told %+v, expected an error", name, events)
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	var set alert.Set
	var j journal
	opened := diff(t, &set, alert.Picture{At: morning, Conditions: []alert.Condition{{Key: "k", Kind: alert.ReconBreak}}})[0]
	stray := opened
	stray.State, stray.Alert = alert.Changed, "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	unknown := opened
	unknown.Kind = "x"
	alias := opened
	alias.Alert = stray.Alert

	for name, v := range map[string]alert.Event{"changed before opened": stray, "unknown kind": unknown, "opened under another id": alias} {
		e, _ := v.Entry("node")
		if err := set.Apply(e); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	j.post(t, &set, morning, opened)
	for name, v := range map[string]alert.Event{"opened twice": opened, "of another alert": stray} {
		e, _ := v.Entry("node")
		if err := set.Apply(e); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	wrong, _ := opened.Entry("node")
	wrong.Kind = "alert.closed"
	if err := set.Apply(wrong); err == nil {
		t.Error("entry whose kind is not its event's state: accepted")
	}
	if len(set.Open()) != 1 {
		t.Errorf("open %+v, expected what it was before the refusals", set.Open())
	}
	if err := set.Apply(custody.Entry{Kind: "reserve.computed"}); err != nil {
		t.Errorf("another kind of entry: %v", err)
	}
}

// world is the slow oracle of TestFold: it holds for each key the condition that
// holds, and whether an alert that has ended waits for its release.
type world struct {
	holds   map[string]alert.Condition
	waiting map[string]bool
}

func (w world) draw(t *rapid.T) []alert.Condition {
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		was, held := w.holds[key]
		switch rapid.IntRange(0, 3).Draw(t, key) {
		case 0:
			if held && was.Latched {
				w.waiting[key] = true
			}
			delete(w.holds, key)
		case 1:
			latched := w.waiting[key] || held && was.Latched
			if !held && !latched {
				latched = rapid.Bool().Draw(t, "latched")
			}
			w.holds[key] = alert.Condition{
				Key: key, Kind: alert.Kinds()[int(key[0]-'a')], Latched: latched,
				Severity: alert.Severity(rapid.IntRange(0, 3).Draw(t, "severity")),
				Data:     shortfall{Shortfall: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "data")},
			}
			delete(w.waiting, key)
		}
	}
	var all []alert.Condition
	for _, c := range w.holds {
		all = append(all, c)
	}
	return all
}

func (w world) check(t *rapid.T, set *alert.Set) {
	open := set.Open()
	if len(open) != len(w.holds)+len(w.waiting) {
		t.Fatalf("%d alerts open, expected %d holding and %d waiting for release", len(open), len(w.holds), len(w.waiting))
	}
	for _, a := range open {
		c, holds := w.holds[a.Key]
		if holds != a.Holds || holds == w.waiting[a.Key] {
			t.Fatalf("alert %s: holds is %t, expected %t", a.Key, a.Holds, holds)
		}
		if data, _ := json.Marshal(c.Data); holds && string(data) != string(a.Data) {
			t.Fatalf("alert %s says %s, expected %s", a.Key, a.Data, data)
		}
	}
}

// Folding all events of any history gives exactly the conditions that hold and
// the latched ones that nobody released; ids are unique and in order; the same
// history gives the same bytes; the open alerts' last entries alone give the
// same open alerts.
func TestFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set alert.Set
		var j journal
		w := world{map[string]alert.Condition{}, map[string]bool{}}
		now := morning
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "ms")) * time.Millisecond)
			p := alert.Picture{At: now, Seq: uint64(len(j.entries)), Conditions: w.draw(t)}
			events := diff(t, &set, p)
			if again := diff(t, &set, alert.Picture{At: p.At, Seq: p.Seq, Conditions: shuffled(t, p.Conditions)}); fmt.Sprint(again) != fmt.Sprint(events) {
				t.Fatalf("same picture in another order: %v, then %v", events, again)
			}
			j.post(t, &set, now, events...)
			if again := diff(t, &set, p); len(again) != 0 {
				t.Fatalf("told twice: %v", again)
			}
			for _, a := range set.Open() {
				if w.waiting[a.Key] && rapid.Bool().Draw(t, "release") {
					v, err := set.Release(a.ID, "ann", "", now)
					if err != nil {
						t.Fatal(err)
					}
					j.post(t, &set, now, v)
					delete(w.waiting, a.Key)
				}
			}
			w.check(t, &set)
		}
		checkIDs(t, j.entries)
		var again alert.Set
		for _, e := range j.entries {
			if err := again.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := fmt.Sprint(again.Open()), fmt.Sprint(set.Open()); got != want {
			t.Fatalf("replayed %s, expected %s", got, want)
		}
		if len(set.Entries()) != len(set.Open()) || !slices.IsSortedFunc(set.Entries(), func(a, b custody.Entry) int { return int(a.Seq) - int(b.Seq) }) {
			t.Fatalf("entries %v do not fit the open alerts", set.Entries())
		}
	})
}

func shuffled(t *rapid.T, c []alert.Condition) []alert.Condition {
	if len(c) == 0 {
		return c
	}
	return rapid.Permutation(c).Draw(t, "order")
}

func checkIDs(t *rapid.T, entries []custody.Entry) {
	open := map[string]bool{}
	last := ""
	for _, e := range entries {
		v, err := alert.EventOf(e)
		if err != nil {
			t.Fatal(err)
		}
		if v.ID <= last {
			t.Fatalf("id %s follows %s", v.ID, last)
		}
		last = v.ID
		switch {
		case v.State == alert.Opened && open[v.Key]:
			t.Fatalf("%s opened twice", v.Key)
		case v.State != alert.Opened && !open[v.Key]:
			t.Fatalf("%s is %s but not open", v.Key, v.State)
		}
		open[v.Key] = v.State != alert.Closed
	}
}

func TestKinds(t *testing.T) {
	seen := map[alert.Kind]bool{}
	for _, k := range alert.Kinds() {
		if err := k.Check(); err != nil || seen[k] || k.Runbook() == "" {
			t.Errorf("kind %s: error %v, seen %t, runbook %q", k, err, seen[k], k.Runbook())
		}
		seen[k] = true
	}
	if len(seen) != 18 {
		t.Errorf("%d kinds, expected those of the contract, wire.unsettled and withdrawal.failed", len(seen))
	}
	for s := alert.Info; s <= alert.Critical; s++ {
		text, err := s.MarshalText()
		var back alert.Severity
		if err != nil || back.UnmarshalText(text) != nil || back != s || s.String() != string(text) {
			t.Errorf("severity %s does not survive its name: %v", s, err)
		}
	}
	var s alert.Severity
	if err := s.UnmarshalText([]byte("unknown(0)")); err == nil {
		t.Error("severity unknown(0) was read")
	}
	if _, err := s.MarshalText(); err == nil {
		t.Error("the zero severity was written")
	}
}

func FuzzEventOf(f *testing.F) {
	var set alert.Set
	events, err := set.Diff(alert.Picture{At: morning, Conditions: []alert.Condition{{Key: "k", Kind: alert.ReconBreak, Data: 1}}})
	if err != nil {
		f.Fatal(err)
	}
	e, _ := events[0].Entry("node")
	f.Add(e.Body)
	f.Add([]byte(`{"state":"opened"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := alert.EventOf(custody.Entry{Kind: "alert.opened", Body: body})
		if err != nil {
			return
		}
		again, err := v.Entry("node")
		if err != nil {
			return // data that is no JSON of its own, such as none
		}
		if back, err := alert.EventOf(again); err != nil || back.Key != v.Key || back.ID != v.ID {
			t.Fatalf("%+v came back as %+v: %v", v, back, err)
		}
	})
}
