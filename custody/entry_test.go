package custody_test

import (
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"goodcontrol/custody"
)

// balanced is the simplest entry with legs: five dollars for alice at a bank.
func balanced() custody.Entry {
	leg := custody.Leg{Asset: custody.USD, Layer: custody.Settled, Amount: custody.NewAmount(5)}
	owner, at := leg, leg
	owner.Account = custody.ForOwner(custody.CustomerCash, "alice")
	at.Account = custody.AtPlace(custody.BankOperating, "bank:FNB")
	return custody.Entry{
		Ref: "r", Kind: "k", Actor: "a", Effective: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Legs: []custody.Leg{owner, at},
	}
}

func TestEntryCheck(t *testing.T) {
	most := amount(t, most())
	rows := []struct {
		name   string
		change func(*custody.Entry)
		says   string // empty: nothing is wrong
	}{
		{"balanced", func(*custody.Entry) {}, ""},
		{"body only", func(e *custody.Entry) { e.Legs, e.Body = nil, []byte("{}") }, ""},
		{"no ref", func(e *custody.Entry) { e.Ref = "" }, "no ref"},
		{"no kind", func(e *custody.Entry) { e.Kind = "" }, "no kind"},
		{"no actor", func(e *custody.Entry) { e.Actor = "" }, "no actor"},
		{"no effective time", func(e *custody.Entry) { e.Effective = time.Time{} }, "no effective time"},
		{"a time too late to encode", func(e *custody.Entry) { e.Effective = e.Effective.AddDate(300, 0, 0) }, "cannot be encoded"},
		{"a time too early to encode", func(e *custody.Entry) { e.Effective = e.Effective.AddDate(-400, 0, 0) }, "cannot be encoded"},
		{"the time that stands for none", func(e *custody.Entry) { e.Effective = time.Unix(0, 0) }, "cannot be encoded"},
		{"neither legs nor body", func(e *custody.Entry) { e.Legs = nil }, "neither"},
		{"a reversal", func(e *custody.Entry) { e.Reverses = "q" }, ""},
		{"a resolution", func(e *custody.Entry) { e.Resolves = "q" }, ""},
		{"a reversal and a resolution", func(e *custody.Entry) { e.Reverses, e.Resolves = "q", "p" }, "reverses q and resolves p"},
		{"no layer", func(e *custody.Entry) { e.Legs[0].Layer = 0 }, "leg 1: for:customer.cash:alice: no layer"},
		{"no asset", func(e *custody.Entry) { e.Legs[1].Asset = "" }, "leg 2: at:bank.operating:bank:FNB: no asset"},
		{"an amount of zero", func(e *custody.Entry) { e.Legs[0].Amount = custody.Amount{} }, "amount is zero"},
		{"an unknown account type", func(e *custody.Entry) { e.Legs[0].Account.Type = 40 }, "account type 40"},
		{"an account of nobody", func(e *custody.Entry) { e.Legs[0].Account.Name = "" }, "no owner or place"},
		{"one leg", func(e *custody.Entry) { e.Legs = e.Legs[:1] }, "off by -5"},
		{"amounts differ", func(e *custody.Entry) { e.Legs[1].Amount = custody.NewAmount(6) }, "iso4217:USD settled is off by 1"},
		{"layers differ", func(e *custody.Entry) { e.Legs[1].Layer = custody.Pending }, "unbalanced"},
		{"assets differ", func(e *custody.Entry) { e.Legs[1].Asset = "iso4217:EUR" }, "unbalanced"},
		{"the sum overflows", func(e *custody.Entry) {
			e.Legs[1].Amount = most
			e.Legs = append(e.Legs, e.Legs[1])
		}, "overflows"},
		{"too many legs", func(e *custody.Entry) { e.Legs = slices.Repeat(e.Legs, custody.MaxLegs) }, "at most 1024"},
	}
	for _, row := range rows {
		e := balanced()
		row.change(&e)
		err := e.Check()
		if row.says == "" && err != nil || row.says != "" && (err == nil || !strings.Contains(err.Error(), row.says)) {
			t.Errorf("%s: error %v, expected one that says %q", row.name, err, row.says)
		}
	}
}

// TestEntryBalance holds Check against sums of big integers, over entries of a few
// accounts, assets and layers, of which many balance.
func TestEntryBalance(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		e := balanced()
		e.Legs = nil
		sums := make(map[string]*big.Int)
		for range rapid.IntRange(1, 8).Draw(r, "legs") {
			l := custody.Leg{
				Account: custody.Account{
					Type: rapid.SampledFrom([]custody.AccountType{custody.CustomerCash, custody.FirmOwn, custody.DTCFree, custody.ChainWallet}).Draw(r, "type"),
					Name: "x",
				},
				Asset:  rapid.SampledFrom([]custody.AssetID{custody.USD, "cusip:037833100"}).Draw(r, "asset"),
				Layer:  rapid.SampledFrom([]custody.Layer{custody.Settled, custody.Pending}).Draw(r, "layer"),
				Amount: custody.NewAmount(rapid.SampledFrom([]int64{-2, -1, 1, 2}).Draw(r, "amount")),
			}
			e.Legs = append(e.Legs, l)
			column := string(l.Asset) + l.Layer.String()
			if sums[column] == nil {
				sums[column] = new(big.Int)
			}
			if l.Account.Side() == custody.For {
				sums[column].Sub(sums[column], l.Amount.Big())
			} else {
				sums[column].Add(sums[column], l.Amount.Big())
			}
		}
		want := true
		for _, sum := range sums {
			want = want && sum.Sign() == 0
		}
		if err := e.Check(); (err == nil) != want {
			r.Fatalf("%v: error %v, expected that it balances: %v", e.Legs, err, want)
		}
	})
}

func TestFactRoundTrip(t *testing.T) {
	want := custody.OwnerOpened{ID: "alice", Kind: custody.Customer, Name: "Alice & Sons <Ltd>"}
	e, err := custody.FactEntry(custody.KindOwnerOpened, "owner alice", "mia", time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), want)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Check(); err != nil {
		t.Error(err)
	}
	got, err := custody.Fact[custody.OwnerOpened](e)
	if err != nil || got != want {
		t.Errorf("the fact comes back as %+v, %v, expected %+v", got, err, want)
	}
	e.Body = []byte(`{"kind":"king"}`)
	if _, err := custody.Fact[custody.OwnerOpened](e); err == nil || !strings.Contains(err.Error(), "king") {
		t.Errorf("an unknown kind gave error %v", err)
	}
}

func TestObservationCheck(t *testing.T) {
	good := custody.Observation{
		Ref: "r", Kind: custody.Movement, Stage: custody.Final, Source: "eip155:1", Asset: "eip155:1/slip44:60",
		Amount: custody.NewAmount(1), To: "eip155:1:0x01", Effective: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
	}
	rows := []struct {
		change func(*custody.Observation)
		says   string
	}{
		{func(*custody.Observation) {}, ""},
		{func(o *custody.Observation) { o.Amount = custody.Amount{} }, ""},
		{func(o *custody.Observation) { o.Kind, o.Amount = custody.Balance, custody.NewAmount(-1) }, ""},
		{func(o *custody.Observation) { o.Kind, o.Condition = custody.StateChange, custody.Frozen }, ""},
		{func(o *custody.Observation) { o.Ref = "" }, "no ref"},
		{func(o *custody.Observation) { o.Source = "" }, "no source"},
		{func(o *custody.Observation) { o.Asset = "" }, "no asset"},
		{func(o *custody.Observation) { o.Stage = 0 }, "no stage"},
		{func(o *custody.Observation) { o.Stage = custody.Retracted + 1 }, "no stage"},
		{func(o *custody.Observation) { o.Effective = time.Time{} }, "no effective time"},
		{func(o *custody.Observation) { o.Kind = 0 }, "no kind"},
		{func(o *custody.Observation) { o.Amount = custody.NewAmount(-1) }, "expected zero or more"},
		{func(o *custody.Observation) { o.To = "" }, "from nowhere to nowhere"},
		{func(o *custody.Observation) { o.Kind, o.To = custody.Balance, "" }, "balance of no place"},
		{func(o *custody.Observation) { o.Kind = custody.StateChange }, "without place or condition"},
	}
	for _, row := range rows {
		o := good
		row.change(&o)
		err := o.Check()
		if row.says == "" && err != nil || row.says != "" && (err == nil || !strings.Contains(err.Error(), row.says)) {
			t.Errorf("%+v: error %v, expected one that says %q", o, err, row.says)
		}
		text, err := json.Marshal(o)
		var back custody.Observation
		if row.says == "" && (err != nil || json.Unmarshal(text, &back) != nil || back != o) {
			t.Errorf("%s comes back as %+v, expected %+v", text, back, o)
		}
	}
}
