package settle_test

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"goodcontrol/custody"
)

// TestManyHolders books a split to more holders than one entry has legs for.
func TestManyHolders(t *testing.T) {
	b := newBroker(t)
	const holders = 2500
	for n := range holders {
		b.fact(custody.KindOwnerOpened, custody.OwnerOpened{ID: fmt.Sprint("h", n), Kind: custody.Customer})
		if _, err := b.act(parseActivity(t, fmt.Sprintf("deposit ref=d%d account=customer.cash:h%d instrument=symbol:AAPL quantity=%d place=dtc:0123", n, n, n%7+1))); err != nil {
			t.Fatal(err)
		}
	}
	c := custody.CorporateAction{Ref: "ca", Type: custody.Split, Instrument: "symbol:AAPL", Record: "2026-11-20", Payable: "2026-11-20", New: "3", Old: "2", Lieu: "200"}
	entries, err := b.m.Corporate(c, b.allPositions())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b.post(e)
	}
	if len(entries) < 5 {
		t.Errorf("%d entries for %d holders", len(entries), holders)
	}
	positions := b.positions()
	for n := range holders {
		held := n%7 + 1
		if got := positions[fmt.Sprintf("for:customer.cash:h%d cusip:037833100 settled", n)]; got != fmt.Sprint(held*3/2) {
			t.Fatalf("holder of %d has %s after 3 for 2", held, got)
		}
		want := ""
		if held%2 == 1 {
			want = "10000" // half a share at 200 dollars, in cents
		}
		if got := positions[fmt.Sprintf("for:customer.cash:h%d iso4217:USD settled", n)]; got != want {
			t.Fatalf("holder of %d gets %s cents in lieu, want %q", held, got, want)
		}
	}
}

// Any corporate action on any holdings leaves a stock record that balances; gives each
// account what whole numbers say it is due; leaves nothing at clearing, of an instrument
// that is gone nothing anywhere, and with the firm no more than rounding can.
func TestRandomCorporateActions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBroker(t)
		var held []custody.Activity
		for n := range rapid.IntRange(1, 25).Draw(rt, "activities") {
			a := drawActivity(rt, n, held)
			if _, err := b.act(a); err == nil {
				held = append(held, a)
			}
		}
		before := b.allPositions()
		number := func(name string) string { return fmt.Sprint(rapid.IntRange(1, 30).Draw(rt, name)) }
		c := custody.CorporateAction{Ref: "ca", Instrument: string(share), Record: "2026-11-20", Payable: "2026-11-20"}
		c.Type = rapid.SampledFrom([]custody.CorporateType{custody.CashDividend, custody.StockDividend, custody.Split, custody.Merger}).Draw(rt, "type")
		if c.Type == custody.CashDividend || c.Type == custody.Merger {
			c.Cash = "0.3" + number("cash")
		}
		if c.Type != custody.CashDividend {
			c.New, c.Old, c.Lieu = number("new"), number("old"), number("lieu")
		}
		if into := rapid.Bool().Draw(rt, "into"); c.Type == custody.Merger || into && c.Type != custody.CashDividend {
			c.Into = "symbol:UST"
		}
		entries, err := b.m.Corporate(c, before)
		if err != nil {
			rt.Fatal(err)
		}
		for _, e := range entries {
			b.post(e)
		}
		stockRecord(rt, b)
		after := b.positions()
		to, gone := share, c.Type == custody.Merger || c.Type == custody.Split && c.Into != ""
		if c.Into != "" {
			to = "cusip:912828ZQ6"
		}
		holders := int64(0)
		for _, p := range before {
			if p.Asset != share || p.Settled.IsZero() {
				continue
			}
			holders++
			if p.Account.Side() == custody.For && p.Account.Type != custody.FirmOwn {
				if got, want := after[p.Account.String()+" "+string(to)+" settled"], wantUnits(c, gone, to, p, before); got != want {
					rt.Fatalf("%s held %s and has %q of %s, want %q: %+v", p.Account, p.Settled, got, to, want, c)
				}
			}
			if got := after[p.Account.String()+" "+string(share)+" settled"]; gone && got != "" {
				rt.Fatalf("%s still has %s of what is gone", p.Account, got)
			}
		}
		for _, asset := range []custody.AssetID{share, to, custody.USD} {
			if got := after["at:distribution.receivable:ca "+string(asset)+" settled"]; got != "" {
				rt.Fatalf("%s of %s is left at clearing", got, asset)
			}
		}
		if again, err := b.m.Corporate(c, before); err != nil || again != nil {
			rt.Fatalf("once more it calls for %d entries (%v)", len(again), err)
		}
		// What rounding left is less than a unit for each holding.
		if last := entries[len(entries)-1]; len(entries) > 2 && last.Kind == custody.KindEntitled && entries[len(entries)-2].Kind == custody.KindDue {
			if rest := last.Legs[0]; rest.Asset == to && rest.Amount.Abs().Cmp(custody.NewAmount(holders)) > 0 {
				rt.Fatalf("the firm gets %s of %s for rounding of %d holdings", rest.Amount, to, holders)
			}
		}
	})
}

// wantUnits is what an account has of the new instrument after the action, by whole
// numbers alone.
func wantUnits(c custody.CorporateAction, gone bool, to custody.AssetID, p custody.Position, before []custody.Position) string {
	had := new(big.Int)
	for _, x := range before {
		if x.Account == p.Account && x.Asset == to {
			had = x.Settled.Big()
		}
	}
	if c.New != "" {
		n, o := new(big.Int), new(big.Int)
		n.SetString(c.New, 10)
		o.SetString(c.Old, 10)
		units := new(big.Int).Mul(p.Settled.Big(), n)
		units.Quo(units, o) // towards zero
		if c.Type == custody.Split && !gone {
			had = new(big.Int)
		}
		had.Add(had, units)
	}
	if had.Sign() == 0 {
		return ""
	}
	return had.String()
}
