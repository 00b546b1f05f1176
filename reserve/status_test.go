package reserve_test

import (
	"fmt"
	"strings"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// TestVerdicts prints the word, the exit code and the reasons for every combination of
// what can be known of control, of the reserve and of the inputs.
func TestVerdicts(t *testing.T) {
	statement := func(cash, held string, stated bool) []reserve.Statement {
		p := params(t, "2026-11-20")
		var deposits *reserve.Deposits
		if stated {
			deposits = &reserve.Deposits{Unlimited: dec(t, held)}
		}
		s, err := reserve.Compute(lineItems(t, map[string]string{"1": cash}), deposits, p)
		if err != nil {
			t.Fatal(err)
		}
		return []reserve.Statement{s}
	}
	reserves := []struct {
		name       string
		statements []reserve.Statement
	}{
		{"funded", statement("100", "100", true)},
		{"short", statement("100", "99", true)},
		{"no deposits stated", statement("100", "", false)},
		{"not computed", nil},
	}
	held := reserve.SecurityControl{Asset: "cusip:037833100", Class: reserve.PossessionOrControl, Required: custody.NewAmount(5), InControl: custody.NewAmount(5)}
	gone := held
	gone.InControl, gone.Deficit = custody.NewAmount(3), custody.NewAmount(2)
	controls := []struct {
		name  string
		known bool
		list  []reserve.SecurityControl
	}{{"in control", true, []reserve.SecurityControl{held}}, {"deficit", true, []reserve.SecurityControl{gone}}, {"not computed", false, nil}}
	inputs := []struct {
		name    string
		unknown []string
	}{{"fresh", nil}, {"stale", []string{"prices: last of 2026-11-18"}}}

	runText(t, "verdicts.txt", func(t *testing.T, _ []string) string {
		var b strings.Builder
		for _, control := range controls {
			for _, money := range reserves {
				for _, in := range inputs {
					v := reserve.Judge(reserve.Findings{Statements: money.statements, Controls: control.list, ControlKnown: control.known, Unknown: in.unknown})
					fmt.Fprintf(&b, "control %s, reserve %s, inputs %s: %s %d\n", control.name, money.name, in.name, v.Status, v.Status.ExitCode())
					for _, reason := range v.Reasons {
						fmt.Fprintf(&b, "  %s\n", reason)
					}
				}
			}
		}
		return b.String()
	})
	if code := reserve.Status("GREEN").ExitCode(); code != reserve.ExitUnknown {
		t.Errorf("a word that is none exits with %d, want %d", code, reserve.ExitUnknown)
	}
}
