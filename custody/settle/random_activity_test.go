package settle_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/custody/settle"
)

// drawActivity draws an activity that may or may not be accepted.
func drawActivity(t *rapid.T, n int, before []custody.Activity) custody.Activity {
	kinds := slices.Sorted(maps.Keys(custody.ActivityKinds()))
	// What others build on comes more often.
	kinds = append(kinds, custody.Trade, custody.Trade, custody.Deposit, custody.Deposit, custody.TradeSettled, custody.TradeSettled, custody.FailSettled, custody.FailSettled, custody.PledgeMade, custody.LoanMade)
	a := custody.Activity{Ref: custody.Ref(fmt.Sprint("a", n)), Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), On: custody.Day(fmt.Sprintf("2026-10-%02d", 1+n%28))}
	fields := custody.ActivityKinds()[a.Kind]
	of := []string{"a0"}
	for _, b := range before {
		if a.Kind == custody.Reversal || slices.Contains(continues[a.Kind], b.Kind) {
			of = append(of, string(b.Ref), string(b.Ref), string(b.Ref))
		}
	}
	values := map[string][]string{
		"account": {"customer.cash:alice", "customer.margin:alice", "customer.margin:bob", "customer.short:bob", "pab.cash:dealer", "pab.margin:dealer", "firm:firm", "non_customer:officer", "customer.omnibus:dealer", "suspense:x"},
		"contra":  {"customer.cash:bob", "firm:firm", "pab.cash:dealer"}, "side": {"buy", "sell"}, "instrument": {"symbol:AAPL", "symbol:AAPL", "symbol:MSFT", "symbol:UST", "symbol:ETH", "usd"},
		"quantity": {"1", "3", "7", "20", "50"}, "amount": {"1", "33.33", "100", "2500.01"}, "payment": {"dvp", "dvp", "free"}, "place": {string(dtc), string(dtc), string(dtc), string(euroclear), string(pledged)},
		"to": {string(dtc), string(euroclear), string(pledged), string(occ), string(ficc), string(nscc)}, "for": {"customer", "pab", "firm"}, "settle_on": {"2026-10-28", string(a.On)},
		"settlement": {"S1", "S2"}, "of": of, "item": {"14", "15"}, "counterparty": {"X"},
	}
	switch a.Kind {
	case custody.PledgeMade:
		values["to"] = []string{string(pledged)}
	case custody.MarginDeposited:
		values["to"] = values["to"][3:]
	case custody.MarginReturned, custody.MarginRequired:
		values["place"] = values["to"][3:]
	case custody.SweepConsented, custody.SweepRevoked, custody.SweepOut, custody.SweepBack:
		values["account"], values["place"] = []string{"customer.cash:alice"}, []string{string(sweepBank)}
	}
	for _, name := range fields.Needs {
		*a.Field(name) = rapid.SampledFrom(values[name]).Draw(t, name)
	}
	for _, name := range fields.May {
		// Alternatives of a kind that has some are drawn too, and refused where they do not fit.
		if name == "amount" || name == "place" || rapid.IntRange(0, 2).Draw(t, "give") == 0 {
			*a.Field(name) = rapid.SampledFrom(values[name]).Draw(t, name)
		}
	}
	if a.Payment == "free" {
		a.Amount = ""
	}
	if a.Kind == custody.Trade && a.Contra != "" {
		a.Place = ""
	}
	if margin := a.Kind == custody.MarginDeposited || a.Kind == custody.MarginReturned; margin && a.Instrument == "" {
		a.Quantity = ""
		if a.Kind == custody.MarginDeposited {
			a.Place = ""
		} else {
			a.To = ""
		}
	} else if margin {
		a.Amount, a.Settlement, a.Quantity, a.Place, a.To = "", "", "1", cmp.Or(a.Place, string(dtc)), cmp.Or(a.To, string(dtc))
	}
	return a
}

// continues says what each kind continues.
var continues = map[custody.ActivityKind][]custody.ActivityKind{
	custody.TradeSettled: {custody.Trade}, custody.TradeCancelled: {custody.Trade}, custody.FailSettled: {custody.Trade},
	custody.TransferSettled: {custody.TransferBegun, custody.TransferIn}, custody.LoanMarked: {custody.LoanMade}, custody.LoanReturned: {custody.LoanMade},
	custody.BorrowMarked: {custody.BorrowMade}, custody.BorrowReturned: {custody.BorrowMade}, custody.PledgeReleased: {custody.PledgeMade},
}

// Any activities that are accepted leave a stock record that balances, lines that the
// running sums and the plain recomputation agree on, and a machine that folding the
// journal again gives; and taking them all back, the last one first, leaves nothing.
func TestRandomActivities(t *testing.T) {
	accepted := map[custody.ActivityKind]int{}
	rapid.Check(t, func(rt *rapid.T) {
		b := newBroker(t)
		r := newRule(t, b, "2026-11-20")
		var done []custody.Activity
		folded := 0
		for _, symbol := range []string{"AAPL", "MSFT", "UST"} {
			a := custody.Activity{Ref: custody.Ref("start-" + symbol), Kind: custody.Deposit, On: "2026-09-30", Account: "customer.margin:alice", Instrument: "symbol:" + symbol, Quantity: "100", Place: string(dtc)}
			if _, err := b.act(a); err != nil {
				rt.Fatal(err)
			}
			done = append(done, a)
		}
		for n := range rapid.IntRange(1, 60).Draw(rt, "activities") {
			a := drawActivity(rt, n, done)
			entries, err := b.act(a)
			if err != nil {
				continue
			}
			accepted[a.Kind]++
			done = append(done, a)
			for _, e := range b.journal[folded:] {
				if err := r.tracker.Apply(e); err != nil {
					rt.Fatal(err)
				}
			}
			folded = len(b.journal)
			r.lines(t, b)
			stockRecord(rt, b)
			if again, err := b.m.Act(a, b.find); err != nil || again != nil || len(entries) != 1 {
				rt.Fatalf("%+v once more calls for %v (%v)", a, again, err)
			}
			a.Note = "changed"
			if _, err := b.m.Act(a, b.find); err == nil {
				rt.Fatalf("%+v with other content is accepted", a)
			}
		}
		again := settle.New()
		for _, e := range b.journal {
			if err := again.Apply(e); err != nil {
				rt.Fatal(err)
			}
		}
		if x, y := again.Deals(), b.m.Deals(); x != y {
			rt.Fatalf("folded again:\n%s\nrunning:\n%s", x, y)
		}
		undoAll(rt, b, done)
	})
	if len(accepted) < 15 {
		t.Errorf("only activities of %d kinds were ever accepted: %v", len(accepted), accepted)
	}
}

// undoAll reverses what was not reversed, the last first, and holds that nothing is left.
// What may not go yet, because a place would be short, goes when the rest has.
func undoAll(t *rapid.T, b *books, done []custody.Activity) {
	reversed := map[custody.Ref]bool{}
	for _, a := range done {
		if a.Kind == custody.Reversal {
			reversed[a.Of], reversed[a.Ref] = true, true
		}
	}
	facts := []custody.ActivityKind{custody.MarginRequired, custody.SweepConsented, custody.SweepRevoked}
	done = slices.DeleteFunc(slices.Clone(done), func(a custody.Activity) bool { return reversed[a.Ref] || slices.Contains(facts, a.Kind) })
	for len(done) > 0 {
		var left []custody.Activity
		var why error
		for _, a := range slices.Backward(done) {
			if _, err := b.act(custody.Activity{Ref: "undo-" + a.Ref, Kind: custody.Reversal, On: "2026-11-01", Of: a.Ref}); err != nil {
				left, why = append(left, a), err
			}
		}
		if len(left) == len(done) {
			t.Fatalf("taking back %+v: %v", left, why)
		}
		slices.Reverse(left)
		done = left
	}
	if left := b.positions(); len(left) > 0 {
		t.Fatalf("everything is taken back, and there is %v", left)
	}
}

// stockRecord holds that both sides are equal for every asset and layer.
func stockRecord(t *rapid.T, b *books) {
	off := map[string]custody.Amount{}
	for _, p := range b.allPositions() {
		for layer, n := range map[string]custody.Amount{"settled": p.Settled, "pending": p.Pending} {
			if p.Account.Side() == custody.For {
				n = n.Neg()
			}
			k := string(p.Asset) + " " + layer
			off[k], _ = off[k].Add(n)
		}
	}
	for k, n := range off {
		if !n.IsZero() {
			t.Fatalf("%s: AT less FOR is %s", k, n)
		}
	}
}

// A batch calls for the entries that its activities call for one by one, or for none,
// and in both cases leaves the machine as it was.
func TestRandomBatches(t *testing.T) {
	whole, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		b, one := newBroker(t), newBroker(t)
		var all, fit []custody.Activity
		for n := range rapid.IntRange(1, 30).Draw(rt, "activities") {
			a := drawActivity(rt, n, fit)
			if _, err := one.act(a); err == nil {
				fit = append(fit, a)
			}
			all = append(all, a)
		}
		before := b.m.Deals()
		entries, _, err := b.m.ActAll(fit, b.find)
		if err != nil {
			rt.Fatal(err)
		}
		if b.m.Deals() != before {
			rt.Fatalf("after the batch the machine has\n%s, before\n%s", b.m.Deals(), before)
		}
		want := one.journal[len(b.journal):]
		if !slices.EqualFunc(entries, want, func(x, y custody.Entry) bool { return x.ContentHash() == y.ContentHash() }) {
			rt.Fatalf("the batch calls for\n%+v, its activities one by one for\n%+v", entries, want)
		}
		whole++
		if len(fit) == len(all) {
			return
		}
		refused++
		if entries, at, err := b.m.ActAll(all, b.find); err == nil || entries != nil || at >= len(all) {
			rt.Fatalf("a batch with a wrong activity calls for %d entries (%v)", len(entries), err)
		}
		if b.m.Deals() != before {
			rt.Fatalf("after the refused batch the machine has\n%s, before\n%s", b.m.Deals(), before)
		}
	})
	if whole == 0 || refused == 0 {
		t.Errorf("%d whole batches and %d refused ones", whole, refused)
	}
}
