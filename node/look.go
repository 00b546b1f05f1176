package node

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/recon"
	"goodcontrol/custody/settle"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/alert"
	"goodcontrol/reserve"
)

// picture is everything that is known at one moment. It is published whole and
// never changed, so that any number of readers may hold it.
type picture struct {
	at      time.Time
	head    ledger.Head
	verdict reserve.Verdict
	// statements are the customer computation and the PAB one, in this order; empty
	// when they could not be made.
	statements []reserve.Statement
	deposits   [2]reserve.Deposits
	due        [2]time.Time // when a deposit is due, if one is
	drivers    [2][]reserve.Driver
	// plain is what the drivers are from; empty where they are those of the picture
	// before.
	plain     reserve.Books
	control   []reserve.SecurityControl
	actions   []reserve.Action
	capital   *reserve.NetCapitalResult // nil where the firm gave no figures
	schedule  error                     // why the computation is not made as often as it must be
	breaks    []custody.Break
	standings []standing // of the breaks
	inputs    map[string]input
	finals    map[string]chainwatch.BlockID
	halted    error
	missed    int // what sweeps found that the increments had missed
	quorum    parties

	positions    []custody.Position
	opened       map[reserve.Key]reserve.Date
	holdings     []custody.Holding
	unauthorized []settle.Outflow
	locations    []custody.LocationOpened
	owners       []custody.OwnerOpened
	wallets      []custody.WalletOpened
	addresses    []custody.AddressAssigned
	withdrawals  []wallet.Withdrawal
	messages     messages
	alerts       *alert.Set
	computed     computed
	reports      reports
	wires        []payment
}

// look makes the picture of what the books and the inputs say now.
func (n *Node) look(now time.Time) (*picture, error) {
	n.freshen()
	f := n.fold
	n.list(f)
	p := &picture{
		at: now, finals: maps.Clone(n.finals), inputs: n.locationsHeard(), positions: n.books.Positions(), holdings: f.settle.Holdings(),
		unauthorized: f.settle.Unauthorized(), locations: f.settle.Locations(), owners: f.settle.Owners(), wallets: f.settle.Wallets(), addresses: f.settle.Addresses(),
		withdrawals: f.withdrawals.All(), messages: f.messages,
	}
	for _, w := range f.wires.all {
		p.wires = append(p.wires, *w)
	}
	p.opened = f.opened(p.positions)
	for id := range n.chains {
		p.inputs[id] = n.inputs[id]
	}
	var err error
	if p.breaks, err = n.compare(p, now); err != nil {
		return nil, err
	}
	recon.Age(p.breaks, f.told(), now)

	maps.Copy(p.inputs, n.pricesHeard())
	maps.Copy(p.inputs, n.checkpoints.heard())
	maps.Copy(p.inputs, n.activityHeard(now))
	maps.Copy(p.inputs, n.capitalHeard())
	findings := reserve.Findings{Unknown: append(append(p.stale(now), n.stalePrices(now)...), n.missed...)}
	if p.standings, err = n.stand(p.breaks, now); err != nil {
		findings.Unknown = append(findings.Unknown, err.Error())
	}
	if err := n.store.Room(); err != nil { // what happens cannot be booked
		findings.Unknown = append(findings.Unknown, err.Error())
	}
	if err := n.compute(f, p, n.picture.Load()); err != nil {
		findings.Unknown = append(findings.Unknown, err.Error())
	}
	if p.schedule != nil {
		findings.Unknown = append(findings.Unknown, p.schedule.Error())
	}
	if err = n.control(f, p); err != nil {
		findings.Unknown = append(findings.Unknown, fmt.Sprintf("possession or control: %v", err))
	}
	findings.Statements, findings.Controls, findings.ControlKnown = p.statements, p.control, err == nil
	findings.Unknown = append(findings.Unknown, contradictions(p.breaks)...)
	p.verdict = reserve.Judge(findings)
	p.missed, p.quorum = len(n.missed), n.quorum
	return p, nil
}

// sweepEvery is how often everything is compared, and not only what was touched.
const sweepEvery = time.Minute

// compare finds the breaks: by what entries have touched since the last look, and
// now and then by comparing everything. What a sweep finds that the increments have
// missed is a fault of the program: it alarms, and the status is UNKNOWN from then
// on, for as long as the program runs.
func (n *Node) compare(p *picture, now time.Time) ([]custody.Break, error) {
	if _, err := n.fold.matcher.Look(); err != nil {
		return nil, err
	}
	breaks := n.fold.matcher.Breaks()
	if now.Sub(n.swept).Abs() < sweepEvery {
		return breaks, nil
	}
	full, err := recon.Compare(recon.Inputs{Positions: p.positions, Holdings: p.holdings, InFlight: n.fold.settle.InFlight, Called: n.fold.settle.Called})
	if err != nil {
		return nil, err
	}
	n.swept = now
	missed := recon.Missed(full, breaks)
	if len(missed) == 0 {
		return breaks, nil
	}
	for _, m := range missed {
		n.log.Error("a sweep found what the increments had missed", "what", m)
		n.missed = append(n.missed, "reconciliation missed that "+m)
	}
	n.fold.matcher.Forget(p.positions, p.holdings)
	if _, err := n.fold.matcher.Look(); err != nil {
		return nil, err
	}
	return n.fold.matcher.Breaks(), nil
}

// breakKey begins the key of every alert that tells of a break.
const breakKey = "recon.break/"

// told are the breaks that are open, as their alerts in the journal tell: since
// when each stands outlives a restart.
func (f *fold) told() []custody.Break {
	var open []custody.Break
	for _, a := range f.alerts.Open() {
		if id, is := strings.CutPrefix(a.Key, breakKey); is {
			open = append(open, custody.Break{ID: id, FirstSeen: a.OpenedAt})
		}
	}
	return open
}

// stale says of each input why it cannot be believed.
func (p *picture) stale(now time.Time) []string {
	var why []string
	for _, name := range slices.Sorted(maps.Keys(p.inputs)) {
		if s := p.inputs[name].stale(name, now); s != "" {
			why = append(why, s)
		}
	}
	return why
}

// contradictions are the breaks that nothing known explains: books and outside say
// different things, and which of them is right is not known.
func contradictions(breaks []custody.Break) []string {
	var why []string
	for _, b := range breaks {
		if !b.Unexplained().IsZero() {
			why = append(why, fmt.Sprintf("%s at %s: books and %s differ", b.Asset, b.Place, b.ExpectedSource))
		}
	}
	return why
}

// lookup finds a listed asset.
func (n *Node) lookup(id custody.AssetID) (custody.Asset, bool) {
	return n.listed.Load().Asset(id)
}

// list publishes the security master, if anything was listed since.
func (n *Node) list(f *fold) {
	if last := n.listed.Load(); last == nil || last.Version != f.settle.Master().Version {
		n.listed.Store(f.settle.Master().Clone())
	}
}

// symbol is how people call an asset.
func (n *Node) symbol(id custody.AssetID) string {
	a, _ := n.lookup(id)
	return a.Symbol
}

// whole writes an amount in whole units of its asset.
func (n *Node) whole(id custody.AssetID, amount custody.Amount) string {
	if a, ok := n.lookup(id); ok {
		return a.Format(amount)
	}
	return amount.String()
}

// compute makes both computations as of the picture's moment, from the running sums;
// and from the positions, which gives the accounts behind each line and holds the sums
// to account. The latter is not made anew where no line differs from the last picture's.
func (n *Node) compute(f *fold, p, last *picture) error {
	day := reserve.DateOf(p.at, n.rule.Schedule.Place)
	pack, err := n.rules.At(day)
	if err != nil {
		return err
	}
	basis := reserve.Basis{AsOf: day, Rules: pack, Banks: n.banks, Terms: f.terms(), TentativeNetCapital: f.capital.tentative(n.rules), Registers: n.registers}
	running, err := f.lines.Books(basis)
	if err != nil {
		return err
	}
	params := n.rule
	params.AsOf, params.Rules = day, pack
	params.Frequency, p.schedule = n.config.Reserve.frequency(day, pack)
	customer, err := reserve.Compute(running.Customer.Items, &running.Customer.Deposits, params)
	if err != nil {
		return err
	}
	params.Population, params.CustomerExcessDebits, params.CashCounted = reserve.PABAccounts, customer.ExcessDebits, customer.Funding.CashCounted
	pab, err := reserve.Compute(running.PAB.Items, &running.PAB.Deposits, params)
	if err != nil {
		return err
	}
	p.statements = []reserve.Statement{customer, pab}
	if p.capital, err = f.capital.judge(n.rules, customer); err != nil {
		return err
	}
	p.due = [2]time.Time{f.dueSince(customer), f.dueSince(pab)}
	p.deposits = [2]reserve.Deposits{running.Customer.Deposits, running.PAB.Deposits}
	if last != nil && sameLines(last.statements, p.statements) {
		p.drivers = last.drivers
		return nil
	}
	plain, err := reserve.FromPositions(reserve.Inputs{Basis: basis, Assets: n.lookup, Positions: p.positions, Prices: f.lines.Prices(), Opened: f.lines.Opened()})
	if err != nil {
		return err
	}
	p.drivers, p.plain = [2][]reserve.Driver{plain.Customer.Drivers, plain.PAB.Drivers}, plain
	for i, want := range []reserve.LineItems{plain.Customer.Items, plain.PAB.Items} {
		if !sameItems(p.statements[i].Items, want) {
			return errors.New("reserve: the running sums and the positions give different lines")
		}
	}
	return nil
}

func sameLines(a, b []reserve.Statement) bool {
	return slices.EqualFunc(a, b, func(a, b reserve.Statement) bool {
		return a.Params.AsOf == b.Params.AsOf && sameItems(a.Items, b.Items) && a.Required.Equal(b.Required) &&
			a.Funding.Eligible.Equal(b.Funding.Eligible) && slices.Equal(a.Funding.Ineligible, b.Funding.Ineligible)
	})
}

func sameItems(a, b reserve.LineItems) bool {
	for i := range a.Items {
		if !a.Items[i].Equal(b.Items[i]) {
			return false
		}
	}
	return true
}

// terms are what clearing agencies require for customers, as activities told.
func (f *fold) terms() map[custody.Account]reserve.Terms {
	terms := map[custody.Account]reserve.Terms{}
	for account, r := range f.settle.Required() {
		terms[account] = reserve.Terms{Item: reserve.Item(r.Item), UpTo: r.Dollars}
	}
	return terms
}

// params is what the configuration says of every computation.
func (c ReserveConfig) params(rules reserve.Rules) (reserve.Params, map[custody.Account]reserve.ReserveAccount, error) {
	place, err := time.LoadLocation("America/New_York")
	if err != nil {
		return reserve.Params{}, nil, fmt.Errorf("reserve: %w", err)
	}
	banks := map[custody.Account]reserve.ReserveAccount{}
	for _, a := range c.Accounts {
		known, err := a.account()
		if err != nil {
			return reserve.Params{}, nil, fmt.Errorf("reserve: account %s: %w", a.Place, err)
		}
		banks[custody.AtPlace(custody.ReserveCustomer, a.Place)] = known
		banks[custody.AtPlace(custody.ReservePAB, a.Place)] = known
	}
	return reserve.Params{
		Population: reserve.CustomerAccounts, Method: c.Method, Frequency: c.Frequency,
		Schedule: reserve.Schedule{Banking: rules.Calendars.Banking, Place: place, BankOpening: c.BankOpening},
	}, banks, nil
}

func (a ReserveBankConfig) account() (reserve.ReserveAccount, error) {
	known := reserve.ReserveAccount{Bank: a.Bank, Affiliated: a.Affiliated}
	if a.EquityCapital != "" {
		capital, err := decimal.NewFromString(a.EquityCapital)
		if err != nil {
			return known, fmt.Errorf("equity_capital %q: expected dollars such as 9000000000", a.EquityCapital)
		}
		known.EquityCapital = decimal.NewNullDecimal(capital)
	}
	for _, letter := range []struct {
		text string
		date *reserve.Date
	}{{a.Notification, &known.Notified}, {a.Contract, &known.Contracted}} {
		if letter.text == "" {
			continue
		}
		day, err := reserve.ParseDate(letter.text)
		if err != nil {
			return known, err
		}
		*letter.date = day
	}
	return known, nil
}
