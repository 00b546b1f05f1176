package settle_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// The places of a carrying broker.
const (
	pledged   = custody.Place("dtc:0123/pledged")
	euroclear = custody.Place("custodian:EUR")
	occ       = custody.Place("occ:0123")
	ficc      = custody.Place("ficc:0123")
	nscc      = custody.Place("nscc:0123")
	sweepBank = custody.Place("bank:P1")
)

// instruments are those of the tests.
var instruments = []custody.Instrument{
	{ID: "iso4217:USD", Type: custody.Currency, Symbol: "USD", Scale: 2, From: "2020-01-01"},
	{ID: share, Type: custody.Equity, Symbol: "AAPL", From: "2020-01-01", MarginEligible: true, ReadyMarket: true, SettlementDays: 1,
		Identifiers: []custody.Identifier{{Kind: "isin", Code: "US0378331005"}, {Kind: "symbol", Code: "AAPL"}, {Kind: "figi", Code: "BBG000B9XRY4"}}},
	{ID: "cusip:594918104", Type: custody.Equity, Symbol: "MSFT", Scale: 4, From: "2020-01-01", Identifiers: []custody.Identifier{{Kind: "symbol", Code: "MSFT"}}},
	{ID: "cusip:912828ZQ6", Type: custody.Treasury, Symbol: "UST", From: "2020-01-01", Identifiers: []custody.Identifier{{Kind: "symbol", Code: "UST"}}},
	{ID: "cusip:912810TM0", Type: custody.Treasury, Symbol: "BOND", From: "2020-01-01", Identifiers: []custody.Identifier{{Kind: "symbol", Code: "BOND"}}},
	{ID: coin, Type: custody.CryptoAsset, Symbol: "ETH", Scale: 18, From: "2020-01-01", Identifiers: []custody.Identifier{{Kind: "symbol", Code: "ETH"}, {Kind: "dti", Code: "X9J9K872S"}}},
}

// newBroker is books with everything that activities are about.
func newBroker(t testing.TB) *books {
	b := newBooks(t)
	for _, i := range instruments {
		b.fact(custody.KindInstrumentListed, i)
	}
	b.fact(custody.KindOwnerOpened, custody.OwnerOpened{ID: "dealer", Kind: custody.PAB})
	b.fact(custody.KindOwnerOpened, custody.OwnerOpened{ID: "officer", Kind: custody.NonCustomer})
	for place, kind := range map[custody.Place]custody.AccountType{
		pledged: custody.DTCPledged, euroclear: custody.SubCustodian, occ: custody.OCCMargin, ficc: custody.ClearingMargin,
		nscc: custody.ClearingFund, sweepBank: custody.SweepBank,
	} {
		b.fact(custody.KindLocationOpened, custody.LocationOpened{Place: place, Type: kind, Source: "test"})
	}
	return b
}

// find finds an entry of the journal.
func (b *books) find(ref custody.Ref) (custody.Entry, bool, error) {
	return b.ledger.EntryByRef(context.Background(), ref)
}

// act books an activity and returns its entries.
func (b *books) act(a custody.Activity) ([]custody.Entry, error) {
	entries, err := b.m.Act(a, b.find)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b.post(e)
	}
	return entries, nil
}

// parseActivity reads "kind field=value …"; a value's underscores are spaces.
func parseActivity(t testing.TB, line string) custody.Activity {
	t.Helper()
	words := strings.Fields(line)
	a := custody.Activity{Kind: custody.ActivityKind(words[0]), On: "2026-11-20"}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		at := a.Field(name)
		if at == nil {
			t.Fatalf("%q: no field %q", line, name)
		}
		*at = value
	}
	return a
}

// allPositions folds the journal into positions.
func (b *books) allPositions() []custody.Position {
	sums := map[reserve.Key]custody.Position{}
	for _, e := range b.journal {
		for _, l := range e.Legs {
			k := reserve.Key{Account: l.Account, Asset: l.Asset}
			p := sums[k]
			p.Account, p.Asset = l.Account, l.Asset
			if l.Layer == custody.Pending {
				p.Pending, _ = p.Pending.Add(l.Amount)
			} else {
				p.Settled, _ = p.Settled.Add(l.Amount)
			}
			sums[k] = p
		}
	}
	return slices.SortedFunc(maps.Values(sums), func(x, y custody.Position) int {
		return strings.Compare(x.Account.String()+string(x.Asset), y.Account.String()+string(y.Asset))
	})
}

// rule is what the rule makes of the books.
type rule struct {
	tracker *reserve.Tracker
	basis   reserve.Basis
	prices  map[custody.AssetID]reserve.Price
}

func newRule(t testing.TB, b *books, asOf string) *rule {
	t.Helper()
	rules, err := reserve.LoadRules()
	if err != nil {
		t.Fatal(err)
	}
	day, err := time.Parse(time.DateOnly, asOf)
	if err != nil {
		t.Fatal(err)
	}
	place, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	r := &rule{prices: map[custody.AssetID]reserve.Price{}}
	r.basis.AsOf = reserve.DateOf(day.Add(17*time.Hour), place)
	if r.basis.Rules, err = rules.At(r.basis.AsOf); err != nil {
		t.Fatal(err)
	}
	if r.tracker, err = reserve.NewTracker(b.m.Master().Asset, place); err != nil {
		t.Fatal(err)
	}
	for symbol, usd := range map[string]int64{"AAPL": 200, "MSFT": 400, "UST": 100, "BOND": 200} {
		asset, err := b.m.Master().Resolve("symbol:"+symbol, "2026-11-20")
		if err != nil {
			t.Fatal(err)
		}
		r.prices[asset.ID] = reserve.Price{USD: decimal.New(usd, 0)}
		if err := r.tracker.SetPrice(asset.ID, r.prices[asset.ID]); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// lines are the lines and the control of the books, which the running sums and the
// plain recomputation must agree on.
func (r *rule) lines(t testing.TB, b *books) (reserve.Books, []reserve.SecurityControl) {
	t.Helper()
	r.basis.Terms = map[custody.Account]reserve.Terms{}
	for account, q := range b.m.Required() {
		r.basis.Terms[account] = reserve.Terms{Item: reserve.Item(q.Item), UpTo: q.Dollars}
	}
	positions := b.allPositions()
	plain, err := reserve.FromPositions(reserve.Inputs{Basis: r.basis, Assets: b.m.Master().Asset, Positions: positions, Prices: r.prices, Opened: r.tracker.Opened()})
	if err != nil {
		t.Fatal(err)
	}
	running, err := r.tracker.Books(r.basis)
	if err != nil {
		t.Fatal(err)
	}
	if x, y := itemsText(running), itemsText(plain); x != y {
		t.Fatalf("the running sums are\n%s\nthe plain recomputation\n%s", x, y)
	}
	control, err := reserve.Control(positions, b.m.Master().Asset, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plain, control
}

func itemsText(b reserve.Books) string {
	var out strings.Builder
	for _, p := range []struct {
		name  string
		items reserve.LineItems
	}{{"customer", b.Customer.Items}, {"pab", b.PAB.Items}} {
		for i, n := range p.items.Items {
			if !n.IsZero() {
				fmt.Fprintf(&out, "%s item %d %s\n", p.name, i, n.StringFixed(2))
			}
		}
	}
	return out.String()
}

// TestActivities holds, for every kind of activity, what it books and what the rule
// makes of it against a file that a person has read.
func TestActivities(t *testing.T) {
	const path = "testdata/activity.txt"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[custody.ActivityKind]bool{}
	var rewritten []string
	for _, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		input, want, _ := strings.Cut(block, "\n----")
		got := strings.TrimSpace(runActivities(t, strings.Split(input, "\n"), kinds))
		if want = strings.TrimSpace(want); got != want && !*update {
			t.Errorf("%s:\n%s\ngot:\n%s\nwant:\n%s", path, input, got, want)
		}
		rewritten = append(rewritten, input+"\n----\n"+got)
	}
	for kind := range custody.ActivityKinds() {
		if !kinds[kind] {
			t.Errorf("%s has no case of kind %s", path, kind)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(rewritten, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// runActivities carries out the lines of a case: activities, "quiet" ones that set the
// scene, movements at the bank, and the day as of which the rule is asked.
func runActivities(t *testing.T, lines []string, kinds map[custody.ActivityKind]bool) string {
	t.Helper()
	b := newBroker(t)
	var out strings.Builder
	asOf, shown := "2026-11-20", 0
	for _, line := range lines {
		words := strings.Fields(line)
		switch {
		case line == "" || words[0] == "#":
			continue
		case words[0] == "as-of":
			asOf = words[1]
			continue
		case words[0] == "bank":
			amount, err := decimal.NewFromString(words[1])
			if err != nil {
				t.Fatal(err)
			}
			cents := amount.Shift(2).IntPart()
			o := cash(fmt.Sprint("bank", len(b.journal)), strings.Join(words[2:], " "), "", bank, cents)
			if cents < 0 {
				o = cash(fmt.Sprint("bank", len(b.journal)), strings.Join(words[2:], " "), bank, "", -cents)
			}
			b.observe(o)
			continue
		}
		if words[0] == "corporate" {
			fmt.Fprint(&out, corporateText(t, b, line))
			continue
		}
		if words[0] == "statement" { // statement PLACE SYMBOL QUANTITY: what a depository shows
			asset, err := b.m.Master().Resolve("symbol:"+words[2], "2026-11-20")
			if err != nil {
				t.Fatal(err)
			}
			n, err := decimal.NewFromString(words[3])
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range b.observe(balance(fmt.Sprint("statement", len(b.journal)), "dtc", custody.Place(words[1]), asset.ID, n.IntPart())) {
				fmt.Fprintf(&out, "statement: %s\n", kind)
			}
			continue
		}
		quiet := words[0] == "quiet"
		a := parseActivity(t, strings.TrimPrefix(line, "quiet "))
		entries, err := b.act(a)
		var wrong *custody.FieldError
		switch {
		case errors.As(err, &wrong):
			fmt.Fprintf(&out, "refused: %v\n", wrong)
		case err != nil:
			t.Fatalf("%s: %v", line, err)
		case quiet:
		default:
			kinds[a.Kind] = true
			shown++
			for _, e := range entries {
				fmt.Fprintf(&out, "%s:%s\n%s", a.Ref, linkText(e), legsText(b, e.Legs))
			}
		}
	}
	r := newRule(t, b, asOf)
	for _, e := range b.journal {
		if err := r.tracker.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	plain, control := r.lines(t, b)
	out.WriteString(itemsText(plain))
	for _, c := range control {
		fmt.Fprintf(&out, "control %s: required %s, in control %s, deficit %s", b.symbol(c.Asset), b.whole(c.Asset, c.Required), b.whole(c.Asset, c.InControl), b.whole(c.Asset, c.Deficit))
		for _, e := range c.Elsewhere {
			fmt.Fprintf(&out, ", %s %s", e.Control, b.whole(c.Asset, e.Quantity))
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// corporateText books a corporate action on all holders.
func corporateText(t *testing.T, b *books, line string) string {
	t.Helper()
	fields := map[string]string{}
	for _, w := range strings.Fields(line)[1:] {
		name, value, _ := strings.Cut(w, "=")
		fields[name] = value
	}
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	var c custody.CorporateAction
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	entries, err := b.m.Corporate(c, b.allPositions())
	var wrong *custody.FieldError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("refused: %v\n", wrong)
	}
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&out, "%s:%s\n%s", e.Ref, linkText(e), legsText(b, e.Legs))
		b.post(e)
	}
	return out.String()
}

func linkText(e custody.Entry) string {
	switch {
	case e.Resolves != "":
		return " resolves " + string(e.Resolves)
	case e.Reverses != "":
		return " reverses " + string(e.Reverses)
	case len(e.Legs) == 0:
		return " no legs"
	}
	return ""
}

func legsText(b *books, legs []custody.Leg) string {
	var out strings.Builder
	for _, l := range legs {
		sign := ""
		if l.Amount.Sign() > 0 {
			sign = "+"
		}
		layer := ""
		if l.Layer == custody.Pending {
			layer = " pending"
		}
		fmt.Fprintf(&out, "  %-55s %s%s %s%s\n", l.Account, sign, b.whole(l.Asset, l.Amount), b.symbol(l.Asset), layer)
	}
	return out.String()
}

func (b *books) symbol(id custody.AssetID) string {
	asset, _ := b.m.Master().Asset(id)
	return asset.Symbol
}

func (b *books) whole(id custody.AssetID, n custody.Amount) string {
	asset, _ := b.m.Master().Asset(id)
	return n.Decimal(asset.Scale).String()
}
