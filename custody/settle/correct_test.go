package settle_test

import (
	"slices"
	"testing"

	"goodcontrol/custody"
)

// TestCorrect: of a corrected statement what is booked already stays, what is new is
// booked, and what it no longer has is taken back, once.
func TestCorrect(t *testing.T) {
	b := newBooks(t)
	from := func(file string, o custody.Observation) custody.Observation {
		o.Evidence.File = file
		return o
	}
	for _, o := range []custody.Observation{
		from("first", cash("s/1", "ACCT/alice", "", bank, 100)),
		from("first", cash("s/2", "ACCT/alice", "", bank, 7)),
		from("first", cash("s/3", "ACCT/alice", "", bank, 7)),
		from("other", cash("o/1", "ACCT/alice", "", bank, 1000)),
	} {
		b.observe(o)
	}
	before := b.positions()
	second := []custody.Observation{
		from("second", cash("s/1", "ACCT/alice", "", bank, 101)),
		from("second", cash("s/2", "ACCT/alice", "", bank, 7)),
	}
	var refs []string
	for _, o := range b.m.Correct(bank, []string{"first"}, second) {
		refs = append(refs, string(o.Ref)+" "+o.Stage.String())
		b.observe(o)
	}
	if want := []string{"s/1 retracted", "s/3 retracted", "s/1/corrected/second final"}; !slices.Equal(refs, want) {
		t.Errorf("corrections %q, want %q", refs, want)
	}
	after := b.positions()
	if len(after) != len(before) {
		t.Errorf("positions %v, were %v", after, before)
	}
	// The first version again: everything goes back.
	first := []custody.Observation{
		from("first", cash("s/1", "ACCT/alice", "", bank, 100)), from("first", cash("s/2", "ACCT/alice", "", bank, 7)), from("first", cash("s/3", "ACCT/alice", "", bank, 7)),
	}
	var again int
	for _, o := range b.m.Correct(bank, []string{"first", "second"}, first) {
		again++
		b.observe(o)
	}
	if again != 3 {
		t.Errorf("%d corrections back, want 3", again)
	}
	for k, v := range b.positions() {
		if before[k] != v {
			t.Errorf("%s is %s, was %s", k, v, before[k])
		}
	}
}
