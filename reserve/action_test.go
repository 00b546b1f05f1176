package reserve_test

import (
	"fmt"
	"strings"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// TestActions is the steps of 15c3-3(d), (h), (m) and their days, as text.
func TestActions(t *testing.T) {
	runText(t, "actions.txt", func(t *testing.T, input []string) string {
		w := newWorld(t, "2026-11-20")
		asOf := w.inputs.AsOf
		extensions := map[reserve.Key]reserve.Extension{}
		for _, line := range input {
			words := strings.Fields(line)
			switch words[0] {
			case "as-of":
				asOf = day(t, words[1])
			case "extended": // extended ACCOUNT ASSET UNTIL REASON
				extensions[reserve.Key{Account: w.account(words[1]), Asset: listed[words[2]].ID}] = reserve.Extension{Until: day(t, words[3]), Reason: words[4]}
			default:
				w.do(line)
			}
		}
		rules := loadRules(t)
		positions := w.tracker.Positions()
		controls, err := w.tracker.Control(w.register())
		if err != nil {
			t.Fatal(err)
		}
		actions, err := reserve.Actions(positions, controls, reserve.ControlWatch{
			AsOf: asOf, Rules: w.inputs.Rules, Calendars: rules.Calendars, Assets: lookup, Opened: w.tracker.Opened(), Since: w.tracker.DeficitSince(), Extensions: extensions,
		})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, a := range actions {
			fmt.Fprintf(&b, "%s %s %s: %s, %s: determine %s, act %s, finish %s, %s%s\n", a.Quantity, symbol(a.Asset), a.Account, a.What, strings.TrimPrefix(a.Citation, "17 CFR 240."),
				orNone(a.Determine), orNone(a.Act), orNone(a.Finish), a.State, strings.TrimRight(" "+a.Extended, " "))
		}
		return b.String()
	})
}

func orNone(d reserve.Date) string {
	if d == 0 {
		return "-"
	}
	return d.String()
}

// TestDeficitSince holds that the clock of a deficit starts when it first stands, is not
// started again while it stands, and ends with it.
func TestDeficitSince(t *testing.T) {
	w := newWorld(t, "2026-11-20")
	for _, c := range []struct{ line, want string }{
		{"settled 2026-11-02 for:customer.cash:alice AAPL 10", "2026-11-02"},
		{"settled 2026-11-04 for:customer.cash:bob AAPL 10", "2026-11-02"},
		{"settled 2026-11-05 at:dtc.free:dtc:1 AAPL 19", "2026-11-02"},
		{"settled 2026-11-06 at:dtc.free:dtc:1 AAPL 1", "-"},
		{"settled 2026-11-09 at:dtc.free:dtc:1 AAPL -1", "2026-11-09"},
	} {
		w.do(c.line)
		if got := orNone(w.tracker.DeficitSince()[listed["AAPL"].ID]); got != c.want {
			t.Errorf("after %q: since %s, want %s", c.line, got, c.want)
		}
	}
	if _, err := reserve.Actions([]custody.Position{{Account: custody.AtPlace(custody.DTCFree, "x"), Asset: "cusip:000000000"}}, nil, reserve.ControlWatch{Assets: lookup}); err == nil {
		t.Error("actions of an asset that is not listed")
	}
}
