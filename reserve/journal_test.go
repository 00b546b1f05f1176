package reserve_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// poster posts balanced entries that lead to the lines of a filed schedule. Every security
// is worth one dollar, so that quantities are dollars.
type poster struct {
	t       *testing.T
	tracker *reserve.Tracker
	seq     uint64
	unit    int64
}

// post folds one entry, which has to balance. Legs are pairs of account and quantity of the
// asset, in the unit of the schedule.
func (p *poster) post(on reserve.Date, asset string, legs ...any) {
	p.t.Helper()
	p.seq++
	place := newYork(p.t)
	e := custody.Entry{Seq: p.seq, Ref: custody.Ref(fmt.Sprint("post/", p.seq)), Kind: "test", Actor: "test", Effective: on.At(12*60, place)}
	a := listed[asset]
	for i := 0; i < len(legs); i += 2 {
		account, err := custody.ParseAccount(legs[i].(string))
		if err != nil {
			p.t.Fatal(err)
		}
		amount, err := custody.AmountFromDecimal(legs[i+1].(decimal.Decimal).Mul(decimal.New(p.unit, 0)), a.Scale)
		if err != nil {
			p.t.Fatal(err)
		}
		if !amount.IsZero() {
			e.Legs = append(e.Legs, custody.Leg{Account: account, Asset: a.ID, Layer: custody.Settled, Amount: amount})
		}
	}
	if len(e.Legs) == 0 {
		return
	}
	if err := e.Check(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.tracker.Apply(e); err != nil {
		p.t.Fatal(err)
	}
}

// lead posts what leads to the items as of a day.
func (p *poster) lead(asOf reserve.Date, item func(int) decimal.Decimal) {
	const operating = "at:bank.operating:bank:1"
	plenty := decimal.New(1, 13).Div(decimal.New(p.unit, 0)) // so that no bank account is overdrawn (Note A)
	p.post(asOf, "USD", "for:firm:own", plenty, operating, plenty)
	p.post(asOf, "USD", "for:customer.cash:free", item(1), operating, item(1))
	// Customers' securities that are pledged, loaned, not received, in transfer.
	p.post(asOf, "UST", "for:customer.margin:m", item(2), "at:dtc.pledged:dtc:1", item(2))
	p.post(asOf, "USD", "for:lender.money:bank", item(2), operating, item(2))
	p.post(asOf, "UST", "for:customer.margin:m", item(3), "at:borrower:broker", item(3))
	p.post(asOf, "USD", "for:borrower.stock:broker", item(3), operating, item(3))
	p.post(asOf, "UST", "for:customer.cash:buyer", item(4), "at:fail.receive:f", item(4))
	p.post(asOf, "USD", "at:fail.receive:f", item(4).Neg(), operating, item(4))
	// The firm sold to a customer what it does not have.
	p.post(asOf, "MSFT", "for:firm:own", item(5).Neg(), "for:customer.cash:buyer", item(5))
	p.post(asOf-31, "AAPL", "for:customer.cash:holder", item(6), "at:distribution.receivable:agent", item(6))
	p.post(asOf-31, "AAPL", "for:customer.cash:holder", item(7), "at:missing:vault", item(7))
	p.post(asOf-31, "USD", "for:suspense:unknown", item(8), operating, item(8))
	p.post(asOf-41, "UST", "for:customer.cash:holder", item(9), "at:transfer:agent", item(9))
	// A debit that Treasuries in the account secure.
	p.post(asOf, "USD", "for:customer.cash:owing", item(10).Neg(), operating, item(10).Neg())
	p.post(asOf, "UST", "for:customer.cash:owing", item(10), "at:dtc.free:dtc:1", item(10))
	// Borrowed for a customer's short; sold by a customer and not delivered.
	p.post(asOf, "UST", "for:customer.short:s", item(11).Neg(), "for:lender.stock:broker", item(11))
	p.post(asOf, "USD", "for:lender.stock:broker", item(11).Neg(), operating, item(11).Neg())
	p.post(asOf-30, "UST", "for:fail.deliver:d", item(12), "at:dtc.free:dtc:1", item(12))
	p.post(asOf-30, "USD", "for:fail.deliver:d", item(12).Neg(), operating, item(12).Neg())
	// Margin of the firm's own cash.
	for i, account := range map[int]string{13: "at:occ.margin:occ", 14: "at:clearing.margin:dco", 15: "at:clearing.margin:ficc"} {
		p.post(asOf, "USD", "for:firm:own", item(i), account, item(i))
	}
}

// TestFiledFromJournal reproduces every filed schedule from journal entries: its items out
// of the books, by tracker and from positions, and its totals out of the items. The form's
// lists of other items have no account; they are taken from the file.
func TestFiledFromJournal(t *testing.T) {
	names, err := filepath.Glob("testdata/golden/reserve-*.json")
	if err != nil || len(names) != 9 {
		t.Fatalf("%d schedules, expected 9 (%v)", len(names), err)
	}
	rules, place := loadRules(t), newYork(t)
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			var filed map[string]any
			text := readJSON(t, name, &filed)
			in, err := reserve.ParseLineItems(text)
			if err != nil {
				t.Fatal(err)
			}
			tracker, err := reserve.NewTracker(lookup, place)
			if err != nil {
				t.Fatal(err)
			}
			p := &poster{t: t, tracker: tracker, unit: in.Unit.Decimal.IntPart()}
			p.lead(in.AsOf, func(i int) decimal.Decimal { return in.Items.Items[i] })
			prices := map[custody.AssetID]reserve.Price{}
			for _, symbol := range []string{"UST", "MSFT", "AAPL"} {
				prices[listed[symbol].ID] = reserve.Price{USD: decimal.New(1, 0)}
				if err := tracker.SetPrice(listed[symbol].ID, prices[listed[symbol].ID]); err != nil {
					t.Fatal(err)
				}
			}
			pack, err := rules.At(in.AsOf)
			if err != nil {
				t.Fatal(err)
			}
			all := decimal.New(1, 20)
			basis := reserve.Basis{AsOf: in.AsOf, Rules: pack, Terms: map[custody.Account]reserve.Terms{
				custody.AtPlace(custody.OCCMargin, "occ"): {Item: 13, UpTo: all}, custody.AtPlace(custody.ClearingMargin, "dco"): {Item: 14, UpTo: all}, custody.AtPlace(custody.ClearingMargin, "ficc"): {Item: 15, UpTo: all},
			}}
			books, err := tracker.Books(basis)
			if err != nil {
				t.Fatal(err)
			}
			slow, err := reserve.FromPositions(reserve.Inputs{Basis: basis, Assets: lookup, Positions: tracker.Positions(), Prices: prices, Opened: tracker.Opened()})
			if err != nil {
				t.Fatal(err)
			}
			sameBooks(t, books, slow)
			for i, amount := range books.Customer.Items.Items {
				if want := in.Items.Items[i].Mul(in.Unit.Decimal); !amount.Equal(want) {
					t.Errorf("item %d out of the books is %s, filed %s", i, amount, want)
				}
				in.Items.Items[i] = amount.Div(in.Unit.Decimal)
			}
			result, err := in.Compute(rules, place)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := json.Marshal(result); err != nil {
				t.Fatal(err)
			}
			compareFiled(t, result, filed)
		})
	}
}
