package reserve_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// listed are the assets of the tests, one of each class and a foreign currency.
var listed = map[string]custody.Asset{
	"USD":  {ID: custody.USD, Symbol: "USD", Class: custody.Cash, Scale: 2},
	"EUR":  {ID: "iso4217:EUR", Symbol: "EUR", Class: custody.Cash, Scale: 2},
	"AAPL": {ID: "cusip:037833100", Symbol: "AAPL", Class: custody.Security, Scale: 0},
	"MSFT": {ID: "cusip:594918104", Symbol: "MSFT", Class: custody.Security, Scale: 4},
	"UST":  {ID: "cusip:912828ZQ6", Symbol: "UST", Class: custody.QualifiedSecurity, Scale: 0},
	"TOKN": {ID: "eip155:1/erc20:0x1111111111111111111111111111111111111111", Symbol: "TOKN", Class: custody.CryptoSecurity, Scale: 6},
	"USDC": {ID: "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", Symbol: "USDC", Class: custody.PaymentStablecoin, Scale: 6},
	"ETH":  {ID: "eip155:1/slip44:60", Symbol: "ETH", Class: custody.OtherCrypto, Scale: 18},
}

func lookup(id custody.AssetID) (custody.Asset, bool) {
	for _, a := range listed {
		if a.ID == id {
			return a, true
		}
	}
	return custody.Asset{}, false
}

func symbol(id custody.AssetID) string {
	if a, found := lookup(id); found {
		return a.Symbol
	}
	return string(id)
}

// world is the books of a text case, kept both ways: as journal entries folded by a
// tracker, and as the positions and registers handed to FromPositions.
type world struct {
	t       *testing.T
	inputs  reserve.Inputs
	firm    reserve.Firm
	tracker *reserve.Tracker
	entries uint64
	control reserve.ControlRegister
}

func newWorld(t *testing.T, asOf string) *world {
	t.Helper()
	p := params(t, asOf)
	tracker, err := reserve.NewTracker(lookup, newYork(t))
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		control: reserve.ControlRegister{Locations: map[custody.Place]reserve.ControlLocation{}, Attestations: map[custody.AssetID]reserve.Attestation{}},
		t:       t, tracker: tracker, firm: reserve.Firm{Method: p.Method, Frequency: p.Frequency, Schedule: p.Schedule},
		inputs: reserve.Inputs{
			Basis: reserve.Basis{AsOf: p.AsOf, Rules: p.Rules, Banks: map[custody.Account]reserve.ReserveAccount{}, Terms: map[custody.Account]reserve.Terms{},
				Registers: reserve.Registers{Debtors: map[custody.Account]reserve.Debtor{}}},
			Assets: lookup, Prices: map[custody.AssetID]reserve.Price{},
		},
	}
}

func (w *world) account(text string) custody.Account {
	w.t.Helper()
	a, err := custody.ParseAccount(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) amount(symbol, text string) custody.Amount {
	w.t.Helper()
	amount, err := custody.AmountFromDecimal(dec(w.t, text), listed[symbol].Scale)
	if err != nil {
		w.t.Fatal(err)
	}
	return amount
}

// do carries out one line of a case.
func (w *world) do(line string) {
	w.t.Helper()
	words := strings.Fields(line)
	switch words[0] {
	case "settled", "pending": // settled DATE ACCOUNT ASSET AMOUNT
		asset := listed[words[3]]
		amount, err := custody.AmountFromDecimal(dec(w.t, words[4]), asset.Scale)
		if err != nil {
			w.t.Fatal(err)
		}
		layer := custody.Settled
		if words[0] == "pending" {
			layer = custody.Pending
		}
		w.post(words[1], custody.Leg{Account: w.account(words[2]), Asset: asset.ID, Layer: layer, Amount: amount})
	case "price": // price ASSET USD
		w.price(words[1], words[2])
	case "bank": // bank ACCOUNT NAME EQUITY NOTIFIED CONTRACTED [affiliated]
		r := reserve.ReserveAccount{Bank: words[2], Affiliated: len(words) == 7}
		if words[3] != "-" {
			r.EquityCapital = decimal.NewNullDecimal(dec(w.t, words[3]))
		}
		if words[4] != "-" {
			r.Notified = day(w.t, words[4])
		}
		if words[5] != "-" {
			r.Contracted = day(w.t, words[5])
		}
		w.inputs.Banks[w.account(words[1])] = r
	case "terms": // terms ACCOUNT ITEM UPTO
		var item reserve.Item
		if err := item.UnmarshalText([]byte(words[2])); err != nil {
			w.t.Fatal(err)
		}
		w.inputs.Terms[w.account(words[1])] = reserve.Terms{Item: item, UpTo: dec(w.t, words[3])}
	case "debtor": // debtor ACCOUNT EXCLUDED PCT CUSTOMER EVIDENCE
		text := func(i int) string { return strings.ReplaceAll(strings.TrimPrefix(words[i], "-"), "_", " ") }
		w.inputs.Debtors[w.account(words[1])] = reserve.Debtor{Excluded: text(2), NonCustomerPct: dec(w.t, words[3]), Customer: text(4), AgainstCredits: text(5)}
	case "capital": // capital TENTATIVE
		w.inputs.TentativeNetCapital = decimal.NewNullDecimal(dec(w.t, words[1]))
	case "order": // order credits HOLDER,…
		order := reserve.DefaultAllocation()
		for i, name := range strings.Split(words[2], ",") {
			if err := order.Credits[i].UnmarshalText([]byte(name)); err != nil {
				w.t.Fatal(err)
			}
		}
		w.inputs.Allocation = &order
	case "location": // location PLACE KIND LETTER EXPIRES NOLIEN
		l := reserve.ControlLocation{Kind: reserve.LocationKind(words[2]), NoLien: words[5] == "no_lien"}
		for i, to := range []*reserve.Date{&l.Letter, &l.Expires} {
			if words[3+i] != "-" {
				*to = day(w.t, words[3+i])
			}
		}
		w.control.Locations[custody.Place(words[1])] = l
	case "attested": // attested ASSET UNTIL THRESHOLD OWN OTHERS
		made := reserve.Stated{On: day(w.t, "2026-01-01"), Until: day(w.t, words[2])}
		a := reserve.Attestation{Access: made, Assessment: made, NoProblem: made, KeyControls: made, Plans: made}
		for i, to := range []*int{&a.Threshold, &a.Own, &a.Others} {
			*to = int(dec(w.t, words[3+i]).IntPart())
		}
		w.control.Attestations[listed[words[1]].ID] = a
	case "released": // released ACCOUNT ASSET AMOUNT
		account := w.account(words[1])
		if w.control.Selection == nil {
			w.control.Selection = reserve.Selection{}
		}
		if w.control.Selection[account] == nil {
			w.control.Selection[account] = map[custody.AssetID]custody.Amount{}
		}
		w.control.Selection[account][listed[words[2]].ID] = w.amount(words[2], words[3])
	case "wallet": // wallet PLACE KIND [OWNER]
		w.wallet(words[1], words[2], words[3:])
	case "firm": // firm METHOD FREQUENCY
		w.firm.Method, w.firm.Frequency = reserve.Method(words[1]), reserve.Frequency(words[2])
	default:
		w.t.Fatalf("%q: not a command", line)
	}
}

func (w *world) wallet(place, kind string, owner []string) {
	w.t.Helper()
	opened := custody.WalletOpened{ID: "w-" + place, Chain: "eip155:1", Key: "k", Owner: strings.Join(owner, "")}
	if err := opened.Kind.UnmarshalText([]byte(kind)); err != nil {
		w.t.Fatal(err)
	}
	applyFacts(w.t, w.tracker, opened, custody.AddressAssigned{Place: custody.Place(place), Wallet: opened.ID, Path: "m/0/0", Owner: opened.Owner})
}

// applyFacts folds the facts of a wallet and its address.
func applyFacts(t testing.TB, tracker *reserve.Tracker, opened custody.WalletOpened, assigned custody.AddressAssigned) {
	t.Helper()
	applyFact(t, tracker, custody.KindWalletOpened, opened)
	applyFact(t, tracker, custody.KindAddressAssigned, assigned)
}

func applyFact(t testing.TB, tracker *reserve.Tracker, kind string, fact any) {
	t.Helper()
	e, err := custody.FactEntry(kind, "x", "test", time.Unix(1, 0), fact)
	if err == nil {
		err = tracker.Apply(e)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// register is the one of the case, with the addresses that the tracker has folded.
func (w *world) register() *reserve.ControlRegister {
	w.control.AsOf, w.control.Covers = w.inputs.AsOf, w.tracker.Covers()
	w.control.Rules, w.control.Prices = w.inputs.Rules, w.inputs.Prices
	return &w.control
}

func (w *world) price(asset, usd string) {
	w.t.Helper()
	p := reserve.Price{USD: dec(w.t, usd)}
	w.inputs.Prices[listed[asset].ID] = p
	if err := w.tracker.SetPrice(listed[asset].ID, p); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) post(date string, legs ...custody.Leg) {
	w.t.Helper()
	w.entries++
	e := custody.Entry{Seq: w.entries, Ref: custody.Ref(fmt.Sprint(w.entries)), Effective: day(w.t, date).At(12*60, w.firm.Schedule.Place), Legs: legs}
	if err := w.tracker.Apply(e); err != nil {
		w.t.Fatal(err)
	}
}

// books are computed both ways, which must agree.
func (w *world) books() (reserve.Books, error) {
	w.t.Helper()
	w.inputs.Positions, w.inputs.Opened = w.tracker.Positions(), w.tracker.Opened()
	slow, slowErr := reserve.FromPositions(w.inputs)
	fast, fastErr := w.tracker.Books(w.inputs.Basis)
	if (slowErr == nil) != (fastErr == nil) {
		w.t.Fatalf("from positions: %v; tracker: %v", slowErr, fastErr)
	}
	if slowErr == nil {
		sameBooks(w.t, fast, slow)
	}
	return slow, slowErr
}

func sameBooks(t testing.TB, got, want reserve.Books) {
	t.Helper()
	for _, p := range []struct {
		name      string
		got, want reserve.PopulationBooks
	}{{"customer", got.Customer, want.Customer}, {"pab", got.PAB, want.PAB}} {
		for i := range p.want.Items.Items {
			if !p.got.Items.Items[i].Equal(p.want.Items.Items[i]) {
				t.Fatalf("%s item %d: tracker %s, positions %s", p.name, i, p.got.Items.Items[i], p.want.Items.Items[i])
			}
		}
		if got, want := fmt.Sprint(p.got.Deposits), fmt.Sprint(p.want.Deposits); got != want {
			t.Fatalf("%s deposits: tracker %s, positions %s", p.name, got, want)
		}
	}
}

func sameControls(t testing.TB, got, want []reserve.SecurityControl) {
	t.Helper()
	if got, want := fmt.Sprint(got), fmt.Sprint(want); got != want {
		t.Fatalf("control: tracker %s, positions %s", got, want)
	}
}

func TestBooksToStatement(t *testing.T) {
	runText(t, "books.txt", func(t *testing.T, input []string) string {
		w := newWorld(t, "2026-11-20")
		registers := func(line string) bool { return strings.HasPrefix(line, "debtor ") || strings.HasPrefix(line, "order ") }
		for _, line := range input {
			if registers(line) {
				w.do(line)
			}
		}
		if err := w.tracker.Register(w.inputs.Registers); err != nil {
			t.Fatal(err)
		}
		for _, line := range input {
			if !registers(line) {
				w.do(line)
			}
		}
		return w.describe()
	})
}

// describe prints what is not zero of everything that the books give.
func (w *world) describe() string {
	var b strings.Builder
	books, err := w.books()
	if err != nil {
		return "error: " + err.Error()
	}
	customer, pab, err := books.Compute(w.firm, w.inputs.Basis)
	if err != nil {
		return "error: " + err.Error()
	}
	for _, s := range []struct {
		books     reserve.PopulationBooks
		statement reserve.Statement
	}{{books.Customer, customer}, {books.PAB, pab}} {
		describeStatement(&b, s.books, s.statement)
	}
	controls, err := reserve.Control(w.inputs.Positions, lookup, w.register())
	if err != nil {
		return "error: " + err.Error()
	}
	fast, err := w.tracker.Control(w.register())
	if err != nil {
		return "error: " + err.Error()
	}
	sameControls(w.t, fast, controls)
	for _, c := range controls {
		fmt.Fprintf(&b, "control %s (%s): required %s, in control %s, deficit %s", symbol(c.Asset), c.Class, c.Required, c.InControl, c.Deficit)
		if !c.Reserved.IsZero() {
			fmt.Fprintf(&b, ", reserved for others %s", c.Reserved)
		}
		if !c.Unproven.IsZero() {
			fmt.Fprintf(&b, ", unproven %s (%s)", c.Unproven, strings.Join(c.Reasons, "; "))
		}
		for _, e := range c.Elsewhere {
			fmt.Fprintf(&b, ", %s %s", e.Control, e.Quantity)
		}
		b.WriteByte('\n')
	}
	v := reserve.Judge(reserve.Findings{Statements: []reserve.Statement{customer, pab}, Controls: controls, ControlKnown: true})
	fmt.Fprintf(&b, "%s %d\n", v.Status, v.Status.ExitCode())
	return b.String()
}

func describeStatement(b *strings.Builder, books reserve.PopulationBooks, s reserve.Statement) {
	if s.TotalCredits.IsZero() && s.AggregateDebits.IsZero() && len(s.Funding.Deposits)+len(s.Funding.Ineligible) == 0 && len(books.LeftOut) == 0 {
		return
	}
	r := s.Report(2)
	fmt.Fprintf(b, "%s:\n", r.Computation)
	for _, l := range r.Lines {
		if l.Amount != "0.00" {
			fmt.Fprintf(b, "  item %s %s\n", l.Item, l.Amount)
		}
	}
	for _, d := range books.Drivers {
		fmt.Fprintf(b, "  driver %s %s %s %s\n", d.Item, d.Account, symbol(d.Asset), d.Amount)
	}
	for _, d := range books.LeftOut {
		fmt.Fprintf(b, "  left out of %s: %s %s: %s\n", d.Item, d.Account, d.Amount, d.Reason)
	}
	fmt.Fprintf(b, "  reduction %s, excess debits %s, required %s, eligible %s, deposit %s, withdrawal %s\n",
		r.DebitReduction, r.ExcessDebits, r.Required, *r.Eligible, *r.MinimumDeposit, *r.MaximumWithdrawal)
	for _, x := range r.Ineligible {
		fmt.Fprintf(b, "  ineligible %s %s: %s\n", symbol(custody.AssetID(x.Asset)), x.Amount, x.Reason)
	}
}

func TestMapping(t *testing.T) {
	runText(t, "mapping.txt", func(t *testing.T, _ []string) string {
		lines, err := reserve.Mapping()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	})
}

func TestShortfall(t *testing.T) {
	w := newWorld(t, "2026-11-20")
	for _, line := range []string{
		"settled 2026-11-20 for:customer.cash:alice USD 1000000.01",
		"settled 2026-11-20 for:customer.cash:bob USD 250000",
		"settled 2026-11-20 for:customer.cash:carol USD -50",
		"settled 2026-11-20 for:customer.cash:carol AAPL 10",
		"price AAPL 230.10",
		"settled 2026-11-20 at:bank.reserve.customer:bank:FNB USD 300000",
		"bank at:bank.reserve.customer:bank:FNB FNB 900000000 2020-01-01 2020-01-01",
	} {
		w.do(line)
	}
	books, err := w.books()
	if err != nil {
		t.Fatal(err)
	}
	customer, pab, err := books.Compute(w.firm, w.inputs.Basis)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC) // 09:00 in New York
	fact, short := reserve.ShortfallOf(customer, books.Customer.Drivers, now, "bank:FNB:operating", "bank:FNB")
	// 1,250,000.01 less 97% of 50 is 1,249,951.51; 300,000 is on deposit.
	if !short || fact.Required != "1249951.51" || fact.Eligible != "300000.00" || fact.Shortfall != "949951.51" || fact.SecondsLeft != 3600 ||
		fact.ProposedWire != (reserve.Wire{From: "bank:FNB:operating", To: "bank:FNB", Amount: "949951.51", Currency: "USD"}) {
		t.Errorf("shortfall %t: %+v", short, fact)
	}
	if len(fact.Drivers) != 2 || fact.Drivers[0].Account != "for:customer.cash:alice" || fact.Drivers[0].Amount != "1000000.01" || fact.Drivers[1].Item != 1 {
		t.Errorf("drivers %+v, want alice and bob", fact.Drivers)
	}
	if fact, short := reserve.ShortfallOf(pab, nil, now, "", ""); short {
		t.Errorf("a PAB shortfall where nothing is owed: %+v", fact)
	}
}

// TestStalePrices holds that a price is asked after only while something depends on it.
func TestStalePrices(t *testing.T) {
	w := newWorld(t, "2026-11-20")
	at := func(hour int) time.Time { return time.Date(2026, 11, 20, hour, 0, 0, 0, time.UTC) }
	stale := func() string {
		var names []string
		for _, id := range w.tracker.StalePrices(at(12)) {
			names = append(names, symbol(id))
		}
		return strings.Join(names, " ")
	}
	for hour, name := range []string{"AAPL", "MSFT", "UST", "TOKN", "ETH"} {
		if err := w.tracker.SetPrice(listed[name].ID, reserve.Price{USD: dec(t, "10"), At: at(hour)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ line, want string }{
		{"settled 2026-11-20 for:customer.margin:carol AAPL 10", ""},
		{"settled 2026-11-20 for:customer.margin:carol USD -50", "AAPL"},
		{"settled 2026-11-20 for:firm:own MSFT -1", "AAPL MSFT"},
		{"settled 2026-11-20 at:bank.reserve.customer:FNB UST 1", "AAPL MSFT UST"},
		{"settled 2026-11-20 for:customer.cash:carol ETH 1", "AAPL MSFT UST"},
		{"settled 2026-11-20 for:customer.margin:carol USD 50", "MSFT UST"},
		{"settled 2026-11-20 for:firm:own MSFT 1", "UST"},
	} {
		w.do(c.line)
		if got := stale(); got != c.want {
			t.Errorf("after %q: stale %q, want %q", c.line, got, c.want)
		}
	}
	if err := w.tracker.SetPrice(listed["UST"].ID, reserve.Price{USD: dec(t, "10"), At: at(12)}); err != nil {
		t.Fatal(err)
	}
	if got := stale(); got != "" {
		t.Errorf("after a fresh price: stale %q", got)
	}
}

// TestTrackerRefuses holds what the tracker cannot fold.
func TestTrackerRefuses(t *testing.T) {
	tracker, err := reserve.NewTracker(lookup, newYork(t))
	if err != nil {
		t.Fatal(err)
	}
	account := custody.ForOwner(custody.CustomerCash, "alice")
	apply := func(asset custody.AssetID, n custody.Amount) error {
		return tracker.Apply(custody.Entry{Seq: 7, Ref: "x", Legs: []custody.Leg{{Account: account, Asset: asset, Layer: custody.Settled, Amount: n}}})
	}
	if err := apply("cusip:000000000", custody.NewAmount(1)); err == nil || !strings.Contains(err.Error(), "entry 7 (x), leg 1") {
		t.Errorf("an asset that is not listed: %v", err)
	}
	most, err := custody.ParseAmount("170141183460469231731687303715884105727")
	if err != nil {
		t.Fatal(err)
	}
	if err := apply(custody.USD, most); err != nil {
		t.Error(err)
	}
	if err := apply(custody.USD, most); err == nil || !strings.Contains(err.Error(), "overflow") {
		t.Errorf("twice the most there can be: %v", err)
	}
	for name, p := range map[custody.AssetID]reserve.Price{custody.USD: {USD: dec(t, "1")}, "cusip:000000000": {USD: dec(t, "1")}, listed["AAPL"].ID: {USD: dec(t, "-1")}} {
		if err := tracker.SetPrice(name, p); err == nil {
			t.Errorf("price %s of %s was accepted", p.USD, name)
		}
	}
}

// TestPositionsRefused holds what FromPositions does not compute from.
func TestPositionsRefused(t *testing.T) {
	p := params(t, "2026-11-20")
	account := custody.ForOwner(custody.CustomerCash, "alice")
	in := reserve.Inputs{Basis: reserve.Basis{AsOf: p.AsOf, Rules: p.Rules}, Assets: lookup}
	for _, c := range []struct {
		positions []custody.Position
		price     string
		want      string
	}{
		{[]custody.Position{{Account: account, Asset: custody.USD}, {Account: account, Asset: custody.USD}}, "1", "stands twice"},
		{[]custody.Position{{Account: account, Asset: "cusip:000000000"}}, "1", "is not known"},
		{[]custody.Position{{Account: custody.Account{Type: 200, Name: "x"}, Asset: custody.USD, Settled: custody.NewAmount(1)}}, "1", "expected a known type"},
		{[]custody.Position{{Account: custody.ForOwner(custody.FirmOwn, "x"), Asset: listed["AAPL"].ID, Settled: custody.NewAmount(-1)}}, "-1", "expected zero or more"},
	} {
		in.Positions = c.positions
		in.Prices = map[custody.AssetID]reserve.Price{listed["AAPL"].ID: {USD: dec(t, c.price)}}
		if books, err := reserve.FromPositions(in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q (%v)", c.positions, err, c.want, books)
		}
	}
	if _, err := reserve.Control([]custody.Position{{Account: account, Asset: "cusip:000000000"}}, lookup, nil); err == nil {
		t.Error("control of an asset that is not listed")
	}
}
