package reserve_test

import (
	"strings"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// TestReselect holds that a change of selection is refused where any deficit would begin or
// grow, or too little would be left in control, and that it restarts no clock.
func TestReselect(t *testing.T) {
	w := newWorld(t, "2026-11-20")
	for _, line := range []string{
		"settled 2026-11-02 for:customer.margin:alice USD -2000",
		"settled 2026-11-02 for:customer.margin:alice AAPL 100",
		"settled 2026-11-02 for:customer.margin:alice MSFT 20",
		"settled 2026-11-02 at:dtc.free:dtc:1 AAPL 90",
		"settled 2026-11-02 at:dtc.pledged:dtc:1 AAPL 10",
		"settled 2026-11-02 at:dtc.free:dtc:1 MSFT 10",
		"settled 2026-11-02 at:dtc.pledged:dtc:1 MSFT 10",
		"price AAPL 50",
		"price MSFT 100",
	} {
		w.do(line)
	}
	alice := custody.ForOwner(custody.CustomerMargin, "alice")
	use := func(shares, others string) reserve.Selection {
		return reserve.Selection{alice: {listed["AAPL"].ID: w.amount("AAPL", shares), listed["MSFT"].ID: w.amount("MSFT", others)}}
	}
	since := w.tracker.DeficitSince()[listed["AAPL"].ID]
	r, err := w.tracker.Reselect(nil, use("10", "10"), *w.register())
	if err != nil || len(r.Changes) != 2 {
		t.Fatalf("the first selection: %+v, %v", r, err)
	}
	for _, c := range []struct {
		name string
		to   reserve.Selection
		want string
	}{
		{"a deficit would begin", use("9", "10"), "would grow from 0 to 1"},
		{"more than the debit allows", use("40", "10"), "excess margin"},
		{"more than there is", use("10", "21"), "are there"},
		{"a security that is not there", reserve.Selection{alice: {listed["UST"].ID: w.amount("UST", "1")}}, "does not have"},
		{"a cash account", reserve.Selection{custody.ForOwner(custody.CustomerCash, "alice"): {}}, "only of a customer's margin account"},
	} {
		if r, err := w.tracker.Reselect(use("10", "10"), c.to, *w.register()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q (%+v)", c.name, err, c.want, r)
		}
	}
	if _, err := w.tracker.Reselect(use("10", "10"), use("12", "10"), *w.register()); err != nil {
		t.Errorf("what makes no deficit: %v", err)
	}
	if got := w.tracker.DeficitSince()[listed["AAPL"].ID]; got != since {
		t.Errorf("the clock went from %s to %s", since, got)
	}
}
