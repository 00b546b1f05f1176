package reserve_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// randomWorld draws one event after another on both rails: legs of every type of account
// in every asset, on both layers, and prices that appear late and move.
type randomWorld struct {
	basis    reserve.Basis
	prices   map[custody.AssetID]reserve.Price
	firm     reserve.Firm
	tracker  *reserve.Tracker
	day      reserve.Date
	seq      uint64
	register reserve.ControlRegister
}

var symbols = []string{"USD", "USD", "USD", "EUR", "AAPL", "MSFT", "UST", "TOKN", "USDC", "ETH"}

func newRandomWorld(t *testing.T, rt *rapid.T) *randomWorld {
	t.Helper()
	p := params(t, "2026-11-20")
	tracker, err := reserve.NewTracker(lookup, newYork(t))
	if err != nil {
		t.Fatal(err)
	}
	w := &randomWorld{
		tracker: tracker, day: p.AsOf - 90, prices: map[custody.AssetID]reserve.Price{}, register: reserve.ControlRegister{
			AsOf: p.AsOf, Covers: map[custody.Place]reserve.Cover{}, Attestations: map[custody.AssetID]reserve.Attestation{},
			Locations: map[custody.Place]reserve.ControlLocation{"a": {Kind: reserve.BankCustodian, Letter: 1, NoLien: true}, "b": {Kind: reserve.BankCustodian, Letter: 1}},
		},
		firm:  reserve.Firm{Method: p.Method, Frequency: p.Frequency, Schedule: p.Schedule},
		basis: reserve.Basis{AsOf: p.AsOf, Rules: p.Rules, Banks: map[custody.Account]reserve.ReserveAccount{}, Terms: map[custody.Account]reserve.Terms{}},
	}
	for i, name := range []string{"a", "b"} {
		for _, t := range []custody.AccountType{custody.ReserveCustomer, custody.ReservePAB} {
			w.basis.Banks[custody.Account{Type: t, Name: name}] = reserve.ReserveAccount{
				Bank: "FNB", EquityCapital: decimal.NewNullDecimal(decimal.New(int64(40*(i+1)), 0)), Notified: 1, Contracted: 1,
			}
		}
	}
	w.basis.Terms[custody.Account{Type: custody.OCCMargin, Name: "a"}] = reserve.Terms{Item: 13, UpTo: decimal.New(50, 0)}
	w.basis.Terms[custody.Account{Type: custody.ClearingMargin, Name: "a"}] = reserve.Terms{Item: 15, UpTo: decimal.New(60, 0)}
	w.basis.Terms[custody.Account{Type: custody.ClearingMargin, Name: "b"}] = reserve.Terms{Item: 14, UpTo: decimal.New(70, 0)}
	w.basis.Debtors = map[custody.Account]reserve.Debtor{
		{Type: custody.CustomerCash, Name: "a"}:   {NonCustomerPct: decimal.New(30, 0)},
		{Type: custody.CustomerMargin, Name: "b"}: {Customer: "a"},
		{Type: custody.CustomerDVP, Name: "b"}:    {Excluded: "doubtful"},
		{Type: custody.PABMargin, Name: "b"}:      {NonCustomerPct: decimal.New(60, 0), AgainstCredits: "x"},
	}
	// Small enough that Note E(5) cuts amounts as small as these.
	w.basis.Rules.Reserve.NoteE5Floor, w.basis.TentativeNetCapital = decimal.New(3, 0), decimal.NewNullDecimal(decimal.New(40, 0))
	if rapid.Bool().Draw(rt, "reversed") {
		order := reserve.DefaultAllocation()
		slices.Reverse(order.Sources)
		slices.Reverse(order.Credits)
		slices.Reverse(order.Debits)
		w.basis.Allocation = &order
	}
	if err := tracker.Register(w.basis.Registers); err != nil {
		t.Fatal(err)
	}
	return w
}

// record are the types of account between which the stock record is allocated.
var record = []custody.AccountType{
	custody.CustomerMargin, custody.CustomerShort, custody.PABMargin, custody.NonCustomerAny, custody.FirmOwn, custody.SuspenseAny,
	custody.StockLender, custody.StockLenderCustomer, custody.StockLenderPAB, custody.FailDeliver, custody.FailDeliverPAB, custody.FailDeliverFirm,
	custody.MoneyLender, custody.MoneyLenderPAB, custody.MoneyLenderFirm, custody.StockBorrower, custody.StockBorrowerPAB, custody.StockBorrowerFirm,
	custody.DTCPledged, custody.WithBorrower, custody.DueOnFail, custody.DueOnFailPAB, custody.DueOnFailFirm, custody.Transfer, custody.OCCMargin,
}

func drawLeg(t *rapid.T) custody.Leg {
	assets, types := symbols, custody.AccountTypes()
	if rapid.Bool().Draw(t, "dense") { // so that accounts meet in one security
		assets, types = []string{"USD", "AAPL", "AAPL", "MSFT", "EUR"}, record
	}
	asset := listed[rapid.SampledFrom(assets).Draw(t, "asset")]
	amount := rapid.Int64Range(-9, 9).Filter(func(n int64) bool { return n != 0 }).Draw(t, "amount")
	units, err := custody.AmountFromDecimal(decimal.New(amount, 0), asset.Scale)
	if err != nil {
		t.Fatal(err)
	}
	return custody.Leg{
		Account: custody.Account{Type: rapid.SampledFrom(types).Draw(t, "type"), Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")},
		Asset:   asset.ID, Amount: units,
		Layer: rapid.SampledFrom([]custody.Layer{custody.Settled, custody.Settled, custody.Settled, custody.Pending}).Draw(t, "layer"),
	}
}

// event draws and carries out one event.
func (w *randomWorld) event(t *rapid.T) {
	switch rapid.IntRange(0, 9).Draw(t, "event") {
	case 0:
		id := listed[rapid.SampledFrom(symbols[3:]).Draw(t, "priced")].ID
		p := reserve.Price{USD: decimal.New(rapid.Int64Range(0, 100000).Draw(t, "price"), -3)}
		w.prices[id] = p
		if err := w.tracker.SetPrice(id, p); err != nil {
			t.Fatal(err)
		}
	case 1:
		if rapid.Bool().Draw(t, "assign") {
			w.assign(t)
			return
		}
		w.day = min(w.day+reserve.Date(rapid.IntRange(0, 20).Draw(t, "days")), w.basis.AsOf)
	default:
		w.seq++
		e := custody.Entry{Seq: w.seq, Effective: w.day.At(11*60, w.firm.Schedule.Place), Legs: rapid.SliceOfN(rapid.Custom(drawLeg), 1, 4).Draw(t, "legs")}
		if err := w.tracker.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
}

// assign makes an address one of a wallet, whatever it holds already.
func (w *randomWorld) assign(t *rapid.T) {
	place := rapid.SampledFrom([]custody.Place{"a", "b"}).Draw(t, "address")
	kind := rapid.SampledFrom([]custody.WalletKind{custody.Segregated, custody.Omnibus, custody.FirmWallet}).Draw(t, "kind")
	opened := custody.WalletOpened{ID: "w", Kind: kind}
	if kind == custody.Segregated {
		opened.Owner = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "owner")
	}
	for kind, fact := range []any{opened, custody.AddressAssigned{Place: place, Wallet: "w"}} {
		e, err := custody.FactEntry([]string{custody.KindWalletOpened, custody.KindAddressAssigned}[kind], "x", "test", time.Unix(1, 0), fact)
		if err == nil {
			err = w.tracker.Apply(e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.register.Covers[place] = reserve.Cover{Kind: opened.Kind, Owner: opened.Owner}
}

func (w *randomWorld) inputs() reserve.Inputs {
	return reserve.Inputs{Basis: w.basis, Assets: lookup, Positions: w.tracker.Positions(), Prices: w.prices, Opened: w.tracker.Opened()}
}

// TestTrackerEqualsPositions holds the tracker to the slow recomputation after every
// event: every line, every deposit, every control figure, and whether they can be known.
func TestTrackerEqualsPositions(t *testing.T) {
	known := 0
	rapid.Check(t, func(rt *rapid.T) {
		w := newRandomWorld(t, rt)
		for range rapid.IntRange(1, 60).Draw(rt, "events") {
			w.event(rt)
			slow, slowErr := reserve.FromPositions(w.inputs())
			fast, fastErr := w.tracker.Books(w.basis)
			if errors.Is(slowErr, reserve.ErrMissingPrice) != errors.Is(fastErr, reserve.ErrMissingPrice) || (slowErr == nil) != (fastErr == nil) {
				rt.Fatalf("from positions: %v; tracker: %v", slowErr, fastErr)
			}
			controls, err := reserve.Control(w.inputs().Positions, lookup, &w.register)
			if err != nil {
				rt.Fatal(err)
			}
			running, err := w.tracker.Control(&w.register)
			if err != nil {
				rt.Fatal(err)
			}
			sameControls(t, running, controls)
			if slowErr != nil {
				continue
			}
			known++
			sameBooks(t, fast, slow)
			sameStatements(rt, w, fast, slow)
		}
	})
	if known == 0 {
		t.Error("no draw had every price that it needed: nothing was compared")
	}
}

func sameStatements(t *rapid.T, w *randomWorld, fast, slow reserve.Books) {
	gotCustomer, gotPAB, err := fast.Compute(w.firm, w.basis)
	if err != nil {
		t.Fatal(err)
	}
	customer, pab, err := slow.Compute(w.firm, w.basis)
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]reserve.Statement{{gotCustomer, customer}, {gotPAB, pab}} {
		got, want := marshal(t, pair[0]), marshal(t, pair[1])
		if got != want {
			t.Fatalf("tracker %s, positions %s", got, want)
		}
	}
}

// exactly is more decimals than any product of amounts, prices and rates has here.
const exactly = 30

func marshal(t *rapid.T, s reserve.Statement) string {
	text, err := json.Marshal(s.Report(exactly))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestOrderDoesNotMatter holds that positions in any order give the same books, drivers
// and what was left out included.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newRandomWorld(t, rt)
		for symbol := range listed {
			if symbol != "USD" {
				w.prices[listed[symbol].ID] = reserve.Price{USD: decimal.New(1, 1)}
			}
		}
		for range rapid.IntRange(1, 30).Draw(rt, "events") {
			w.event(rt)
		}
		in := w.inputs()
		want, err := reserve.FromPositions(in)
		if err != nil {
			rt.Fatal(err)
		}
		in.Positions = rapid.Permutation(in.Positions).Draw(rt, "order")
		got, err := reserve.FromPositions(in)
		if err != nil {
			rt.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("in another order %v, want %v", got, want)
		}
	})
}

func drawAmount(t *rapid.T, label string) decimal.Decimal {
	return decimal.New(rapid.Int64Range(0, 1_000_000_00).Draw(t, label), -2)
}

// TestMonotone holds the signs of the formula: a credit never lowers what is required, a
// debit never raises it, and a deposit never raises what must be deposited.
func TestMonotone(t *testing.T) {
	base := params(t, "2026-11-20")
	rapid.Check(t, func(rt *rapid.T) {
		p := base
		p.Population = rapid.SampledFrom([]reserve.Population{reserve.CustomerAccounts, reserve.PABAccounts}).Draw(rt, "population")
		p.Method = rapid.SampledFrom([]reserve.Method{reserve.Basic, reserve.Alternative}).Draw(rt, "method")
		p.Frequency = rapid.SampledFrom([]reserve.Frequency{reserve.Weekly, reserve.Daily}).Draw(rt, "frequency")
		p.CustomerExcessDebits = drawAmount(rt, "excess")
		var items reserve.LineItems
		for i := 1; i <= 15; i++ {
			items.Items[i] = drawAmount(rt, "amount")
		}
		bank := reserve.Bank{Name: "A", EquityCapital: decimal.NewNullDecimal(drawAmount(rt, "equity")), Notified: true, Contracted: true}
		deposits := reserve.Deposits{Cash: []reserve.CashDeposit{{Bank: bank, Amount: drawAmount(rt, "cash")}}}
		before, err := reserve.Compute(items, &deposits, p)
		if err != nil {
			rt.Fatal(err)
		}
		checkIdentities(rt, before)

		item := reserve.Item(rapid.IntRange(1, 15).Draw(rt, "item"))
		more := items
		more.Items[item] = more.Items[item].Add(drawAmount(rt, "more").Add(decimal.New(1, -2)))
		after, err := reserve.Compute(more, &deposits, p)
		if err != nil {
			rt.Fatal(err)
		}
		if change := after.Required.Cmp(before.Required); item.Info().Side == reserve.Credit && change < 0 || item.Info().Side == reserve.Debit && change > 0 {
			rt.Fatalf("item %s from %s to %s: required from %s to %s", item, items.Items[item], more.Items[item], before.Required, after.Required)
		}
		deposits.Cash = append(slices.Clone(deposits.Cash), reserve.CashDeposit{Bank: bank, Amount: drawAmount(rt, "deposited")})
		deposits.Digital = []reserve.DigitalDeposit{{Asset: "eip155:1/slip44:60", Quantity: "1000000000"}}
		funded, err := reserve.Compute(items, &deposits, p)
		if err != nil {
			rt.Fatal(err)
		}
		limit := bank.EquityCapital.Decimal.Mul(p.Rules.Reserve.BankEquityCap)
		if funded.Funding.MinimumDeposit.Cmp(before.Funding.MinimumDeposit) > 0 || funded.Funding.Eligible.Cmp(limit) > 0 {
			rt.Fatalf("deposit due from %s to %s, eligible %s of at most %s", before.Funding.MinimumDeposit, funded.Funding.MinimumDeposit, funded.Funding.Eligible, limit)
		}
	})
}

// checkIdentities holds the sums of one statement.
func checkIdentities(t *rapid.T, s reserve.Statement) {
	net := s.TotalCredits.Sub(s.TotalDebits)
	switch {
	case !s.ExcessCredits.Sub(s.ExcessDebits).Equal(net), s.ExcessCredits.IsPositive() && s.ExcessDebits.IsPositive():
		t.Fatalf("credits %s less debits %s, excess %s and %s", s.TotalCredits, s.TotalDebits, s.ExcessCredits, s.ExcessDebits)
	case !s.TotalDebits.Add(s.Reduction).Equal(s.AggregateDebits):
		t.Fatalf("debits %s and reduction %s, aggregate %s", s.TotalDebits, s.Reduction, s.AggregateDebits)
	case !s.CoveredByCustomer.Add(s.Required).Equal(s.ExcessCredits):
		t.Fatalf("covered %s and required %s of %s", s.CoveredByCustomer, s.Required, s.ExcessCredits)
	case !s.Funding.Eligible.Add(s.Funding.MinimumDeposit).Sub(s.Funding.MaximumWithdrawal).Equal(s.Required):
		t.Fatalf("eligible %s, deposit %s, withdrawal %s, required %s", s.Funding.Eligible, s.Funding.MinimumDeposit, s.Funding.MaximumWithdrawal, s.Required)
	}
	if s.Params.Population == reserve.CustomerAccounts && !s.CoveredByCustomer.IsZero() {
		t.Fatalf("a customer computation was covered by %s", s.CoveredByCustomer)
	}
}
