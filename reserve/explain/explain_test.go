package explain_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/reserve"
	"goodcontrol/reserve/explain"
)

// listed are assets of each class.
var listed = listAssets()

func listAssets() map[custody.AssetID]custody.Asset {
	listed := map[custody.AssetID]custody.Asset{}
	for _, a := range []custody.Asset{
		{ID: custody.USD, Symbol: "USD", Class: custody.Cash, Scale: 2},
		{ID: "iso4217:EUR", Symbol: "EUR", Class: custody.Cash, Scale: 2},
		{ID: "cusip:037833100", Symbol: "AAPL", Class: custody.Security},
		{ID: "cusip:594918104", Symbol: "MSFT", Class: custody.Security, Scale: 4},
		{ID: "cusip:912828ZQ6", Symbol: "UST", Class: custody.QualifiedSecurity},
		{ID: "eip155:1/slip44:60", Symbol: "ETH", Class: custody.OtherCrypto, Scale: 18},
	} {
		listed[a.ID] = a
	}
	return listed
}

func lookup(id custody.AssetID) (custody.Asset, bool) {
	a, found := listed[id]
	return a, found
}

// books is a journal and what follows from it.
type books struct {
	t       rapid.TB
	firm    reserve.Firm
	basis   reserve.Basis
	tracker *reserve.Tracker
	prices  map[custody.AssetID]reserve.Price
	entries []custody.Entry
}

func newBooks(t rapid.TB) *books {
	t.Helper()
	place, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := reserve.LoadRules()
	if err != nil {
		t.Fatal(err)
	}
	day := reserve.NewDate(2026, time.November, 20)
	pack, err := rules.At(day)
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := reserve.NewTracker(lookup, place)
	if err != nil {
		t.Fatal(err)
	}
	bank := reserve.ReserveAccount{Bank: "FNB", EquityCapital: decimal.NewNullDecimal(decimal.New(400, 0)), Notified: 1, Contracted: 1}
	return &books{
		t: t, tracker: tracker, prices: map[custody.AssetID]reserve.Price{},
		firm: reserve.Firm{Method: reserve.Alternative, Frequency: reserve.Daily, Schedule: reserve.Schedule{Banking: rules.Calendars.Banking, Place: place}},
		basis: reserve.Basis{
			AsOf: day, Rules: pack,
			Banks: map[custody.Account]reserve.ReserveAccount{{Type: custody.ReserveCustomer, Name: "a"}: bank, {Type: custody.ReservePAB, Name: "a"}: bank},
			Terms: map[custody.Account]reserve.Terms{
				{Type: custody.OCCMargin, Name: "a"}:   {Item: 13, UpTo: decimal.New(50, 0)},
				{Type: custody.StockLender, Name: "b"}: {Item: 11, UpTo: decimal.New(80, 0)},
			},
		},
	}
}

func (b *books) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *books) price(id custody.AssetID, usd decimal.Decimal) {
	b.t.Helper()
	b.prices[id] = reserve.Price{USD: usd}
	b.ok(b.tracker.SetPrice(id, b.prices[id]))
}

func (b *books) post(on reserve.Date, legs ...custody.Leg) {
	b.t.Helper()
	n := len(b.entries) + 1
	e := custody.Entry{Seq: uint64(n), Ref: custody.Ref(fmt.Sprint("ref/", n)), Kind: "test", Effective: on.At(11*60, b.firm.Schedule.Place), Legs: legs}
	b.ok(b.tracker.Apply(e))
	b.entries = append(b.entries, e)
}

// leg is "ACCOUNT SYMBOL AMOUNT", settled.
func (b *books) leg(text string) custody.Leg {
	b.t.Helper()
	words := strings.Fields(text)
	account, err := custody.ParseAccount(words[0])
	b.ok(err)
	for _, a := range listed {
		if a.Symbol == words[1] {
			d, err := decimal.NewFromString(words[2])
			b.ok(err)
			amount, err := custody.AmountFromDecimal(d, a.Scale)
			b.ok(err)
			return custody.Leg{Account: account, Asset: a.ID, Layer: custody.Settled, Amount: amount}
		}
	}
	b.t.Fatalf("no asset %s", words[1])
	return custody.Leg{}
}

// moment is a state, and how many entries it has.
type moment struct {
	explain.State
	seq uint64
}

// now is the state, and whether every price that it needs is there.
func (b *books) now() (moment, bool) {
	b.t.Helper()
	plain, err := reserve.FromPositions(reserve.Inputs{
		Basis: b.basis, Assets: lookup, Positions: b.tracker.Positions(), Prices: b.prices, Opened: b.tracker.Opened(),
	})
	if err != nil {
		return moment{}, false
	}
	m := moment{State: explain.State{Books: plain, Assets: lookup, Positions: map[reserve.Key]custody.Amount{}, Prices: map[custody.AssetID]reserve.Price{}}, seq: uint64(len(b.entries))}
	m.Customer, m.PAB, err = plain.Compute(b.firm, b.basis)
	b.ok(err)
	m.Control, err = b.tracker.Control(nil)
	b.ok(err)
	for _, p := range b.tracker.Positions() {
		m.Positions[reserve.Key{Account: p.Account, Asset: p.Asset}] = p.Settled
	}
	for id, p := range b.prices {
		m.Prices[id] = p
	}
	return m, true
}

// histories are the postings behind positions, between two moments.
func (b *books) histories(keys map[reserve.Key]bool, after, upTo uint64, keep int) map[reserve.Key]*explain.History {
	b.t.Helper()
	all := map[reserve.Key]*explain.History{}
	for key := range keys {
		all[key] = &explain.History{}
		for _, e := range b.entries[after:upTo] {
			p, touched, err := explain.PostingOf(e, key)
			b.ok(err)
			if touched {
				b.ok(all[key].Add(p, keep))
			}
		}
	}
	return all
}

func (b *books) explain(m moment, line explain.Line, keep int) explain.Term {
	b.t.Helper()
	term, err := m.Explain(line)
	b.ok(err)
	term.Limit(keep)
	b.ok(term.Fill(b.histories(term.Positions(), 0, m.seq, keep), nil))
	b.ok(term.Check())
	return term
}

func (b *books) diff(from, to moment, line explain.Line, keep int) explain.Term {
	b.t.Helper()
	term, err := explain.Diff(from.State, to.State, line)
	b.ok(err)
	term.Limit(keep)
	b.ok(term.Fill(b.histories(term.Positions(), from.seq, to.seq, keep), nil))
	b.ok(term.Check())
	return term
}

// lines are all figures that can be asked for.
func (b *books) lines() []explain.Line {
	b.t.Helper()
	var texts []string
	for _, p := range []string{"customer", "pab"} {
		for i := range 15 {
			texts = append(texts, fmt.Sprintf("reserve %s item%d", p, i+1))
		}
		for _, name := range []string{
			"other_credits", "other_debits", "total_credits", "aggregate_debit_items", "debit_reduction", "total_debits",
			"excess_credits_over_debits", "excess_debits_over_credits", "covered_by_customer_excess_debits", "required_on_deposit",
			"eligible_on_deposit", "minimum_deposit", "maximum_withdrawal",
		} {
			texts = append(texts, "reserve "+p+" "+name)
		}
	}
	for id := range listed {
		for _, name := range []string{"deficit", "required", "in_control"} {
			texts = append(texts, "control "+string(id)+" "+name)
		}
	}
	var lines []explain.Line
	for _, text := range append(texts, "netcapital requirement") {
		l, err := explain.ParseLine(text, nil)
		b.ok(err)
		again, err := explain.ParseLine(l.String(), nil)
		if b.ok(err); again != l {
			b.t.Fatalf("%q is %s, which reads as %s", text, l, again)
		}
		lines = append(lines, l)
	}
	return lines
}

func draw(t *rapid.T, b *books) {
	ids := make([]custody.AssetID, 0, len(listed))
	for id := range listed {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for range rapid.IntRange(1, 30).Draw(t, "events") {
		if rapid.IntRange(0, 5).Draw(t, "event") == 0 {
			if id := rapid.SampledFrom(ids).Draw(t, "priced"); id != custody.USD {
				b.price(id, decimal.New(rapid.Int64Range(0, 100000).Draw(t, "price"), -3))
			}
			continue
		}
		day := b.basis.AsOf - reserve.Date(rapid.IntRange(0, 60).Draw(t, "ago"))
		b.post(day, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) custody.Leg {
			id := rapid.SampledFrom(append(ids, custody.USD, custody.USD, custody.USD)).Draw(t, "asset")
			amount, err := custody.AmountFromDecimal(decimal.New(rapid.Int64Range(-99, 99).Draw(t, "amount"), 0), listed[id].Scale)
			if err != nil {
				t.Fatal(err)
			}
			return custody.Leg{
				Account: custody.Account{Type: rapid.SampledFrom(custody.AccountTypes()).Draw(t, "type"), Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")},
				Asset:   id, Layer: rapid.SampledFrom([]custody.Layer{custody.Settled, custody.Settled, custody.Pending}).Draw(t, "layer"), Amount: amount,
			}
		}), 1, 4).Draw(t, "legs")...)
	}
}

// TestSums holds that every figure of random books is at every level the exact sum of
// what it is said to be made of, as is every difference between two moments; that it is
// the figure of the statement; and that the difference is the difference.
func TestSums(t *testing.T) {
	known := 0
	rapid.Check(t, func(rt *rapid.T) {
		b := newBooks(rt)
		for _, id := range []custody.AssetID{"iso4217:EUR", "cusip:037833100", "cusip:594918104", "cusip:912828ZQ6"} {
			b.price(id, decimal.New(rapid.Int64Range(1, 100000).Draw(rt, "first price"), -3))
		}
		keep := rapid.IntRange(0, 3).Draw(rt, "keep")
		draw(rt, b)
		from, ok := b.now()
		if !ok {
			return
		}
		draw(rt, b)
		b.basis.AsOf += reserve.Date(rapid.IntRange(0, 40).Draw(rt, "days"))
		to, ok := b.now()
		if !ok {
			return
		}
		known++
		for _, line := range b.lines() {
			before, after, moved := b.explain(from, line, keep), b.explain(to, line, keep), b.diff(from, to, line, keep)
			if !moved.Amount.Equal(after.Amount.Sub(before.Amount)) {
				rt.Fatalf("%s went from %s to %s, and was moved by %s", line, before.Amount, after.Amount, moved.Amount)
			}
			if want, is := figureOf(to, line); is && !want.Equal(after.Amount) {
				rt.Fatalf("%s is %s in the statement, %s explained", line, want, after.Amount)
			}
		}
	})
	if known == 0 {
		t.Error("no draw had every price that it needed: nothing was explained")
	}
}

// figureOf finds a figure where the computation keeps it.
func figureOf(m moment, l explain.Line) (decimal.Decimal, bool) {
	s := map[reserve.Population]reserve.Statement{reserve.CustomerAccounts: m.Customer, reserve.PABAccounts: m.PAB}[l.Population]
	var item reserve.Item
	if item.UnmarshalText([]byte(strings.TrimPrefix(l.Name, "item"))) == nil && l.Population != "" {
		return s.Items.Amount(item), true
	}
	if s.Funding == nil {
		return decimal.Zero, false
	}
	d, is := map[string]decimal.Decimal{
		"total_credits": s.TotalCredits, "total_debits": s.TotalDebits, "required_on_deposit": s.Required,
		"minimum_deposit": s.Funding.MinimumDeposit, "eligible_on_deposit": s.Funding.Eligible,
	}[l.Name]
	return d, is
}
