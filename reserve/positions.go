package reserve

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// ErrMissingPrice is in the chain of an error that says a line needs the price of an
// asset and none was given. The computation is then not known.
var ErrMissingPrice = errors.New("missing price")

// Price is what one whole unit of an asset is worth in US dollars, and when.
type Price struct {
	USD decimal.Decimal `json:"usd"`
	At  time.Time       `json:"at"`
	// Source is who gave it.
	Source string `json:"source,omitempty"`
}

// ReserveAccount is what is known of a reserve bank account, 15c3-3(e), (f). A date of
// zero means that the letter is not held.
type ReserveAccount struct {
	Bank          string              `json:"bank"`
	Affiliated    bool                `json:"affiliated"`
	EquityCapital decimal.NullDecimal `json:"bank_equity_capital"`
	Notified      Date                `json:"notified"`
	Contracted    Date                `json:"contracted"`
}

func (r ReserveAccount) on(d Date) Bank {
	return Bank{
		Name: r.Bank, Affiliated: r.Affiliated, EquityCapital: r.EquityCapital,
		Notified: r.Notified != 0 && r.Notified <= d, Contracted: r.Contracted != 0 && r.Contracted <= d,
	}
}

// Terms are what the firm has shown of an account whose type alone proves no debit: margin
// required for customers (items 13, 14, 15). UpTo is how many dollars of it.
type Terms struct {
	Item Item            `json:"item"`
	UpTo decimal.Decimal `json:"up_to"`
}

// Basis is what the lines depend on beside positions and prices.
type Basis struct {
	AsOf  Date
	Rules Pack
	// Banks is the register of reserve bank accounts. One that is not in it counts
	// zero.
	Banks map[custody.Account]ReserveAccount
	// Terms is the register of proofs. An account without terms is no debit.
	Terms map[custody.Account]Terms
	// TentativeNetCapital is what Note E(5) goes by; where it is not known, the floor.
	TentativeNetCapital decimal.NullDecimal
	Registers
}

// Registers are what the firm has decided and shown, which the books cannot say.
type Registers struct {
	// Allocation is the order of the stock record's allocation, the default one if nil.
	Allocation *Allocation
	// Debtors is what was shown of accounts that owe money.
	Debtors map[custody.Account]Debtor
}

// order is the order of allocation.
func (r Registers) order() Allocation {
	if r.Allocation == nil {
		return DefaultAllocation()
	}
	return *r.Allocation
}

// Check says what is wrong with the registers.
func (r Registers) Check() error {
	for account, d := range r.Debtors {
		if err := d.Check(); err != nil {
			return fmt.Errorf("debtor %s: %w", account, err)
		}
	}
	return r.order().Check()
}

// Key is one position: an account and an asset.
type Key struct {
	Account custody.Account
	Asset   custody.AssetID
}

// AssetLookup gives what is known of an asset.
type AssetLookup func(custody.AssetID) (custody.Asset, bool)

// Inputs is everything that the lines are computed from.
type Inputs struct {
	Basis
	Assets    AssetLookup
	Positions []custody.Position
	Prices    map[custody.AssetID]Price
	// Opened is the day since which a position has stood on its side of zero. Only
	// lines that depend on age read it; where it is missing they decide against
	// the firm.
	Opened map[Key]Date
}

// Driver is one account's part of a line.
type Driver struct {
	Item    Item            `json:"item"`
	Account custody.Account `json:"account"`
	Asset   custody.AssetID `json:"asset,omitempty"` // empty where it is the account as a whole
	Amount  decimal.Decimal `json:"amount"`
}

// LeftOut is a debit that stands in the books and does not count, and why.
type LeftOut struct {
	Driver
	Reason string `json:"reason"`
}

// PopulationBooks is what the books say of one population.
type PopulationBooks struct {
	Items    LineItems
	Deposits Deposits
	// Drivers and LeftOut are the accounts behind the lines, largest first.
	Drivers []Driver
	LeftOut []LeftOut
}

// Books is what the books say of both.
type Books struct {
	Customer PopulationBooks
	PAB      PopulationBooks
}

func (b *Books) of(t custody.AccountType) *PopulationBooks {
	if pab(t) {
		return &b.PAB
	}
	return &b.Customer
}

// pab says in which computation an account stands. Counterparties' accounts whose type
// does not say PAB and suspense stand in the customers': whose they are is not in the books, and there no
// credit is covered by anything else.
func pab(t custody.AccountType) bool {
	switch t {
	case custody.ReservePAB, custody.FailDeliverPAB, custody.DueOnFailPAB, custody.MoneyLenderPAB, custody.StockBorrowerPAB, custody.StockLenderPAB:
		return true
	}
	return t.Owner() == custody.PAB
}

// counted is the quantity of a position that the computation goes by: what is settled.
// What is pending neither makes nor takes away a line, since it may still be voided; but
// money on its way out of a reserve account no longer counts as deposited.
func counted(p custody.Position) (custody.Amount, error) {
	if !isReserve(p.Account.Type) || p.Pending.Sign() >= 0 || p.Settled.Sign() <= 0 {
		return p.Settled, nil
	}
	rest, ok := p.Settled.Add(p.Pending)
	if !ok {
		return custody.Amount{}, fmt.Errorf("%s of %s: settled and pending overflow", p.Account, p.Asset)
	}
	return positivePart(rest), nil // more on its way out than is there is no overdraft yet
}

func isReserve(t custody.AccountType) bool {
	return t == custody.ReserveCustomer || t == custody.ReservePAB
}

// FromPositions computes every line from all positions: the slow and plain way, by
// which the Tracker is judged. An asset that is not known, a price that a line needs
// and that is missing, and a position that stands twice are errors.
func FromPositions(in Inputs) (Books, error) {
	m, err := newMapping()
	if err != nil {
		return Books{}, err
	}
	if err := in.Registers.Check(); err != nil {
		return Books{}, err
	}
	f := newFold(m, in.Basis, in.Prices)
	record := newRecord(in.Registers.order())
	debtors := map[custody.Account][]lot{}
	seen := make(map[Key]bool, len(in.Positions))
	for _, p := range in.Positions {
		key := Key{p.Account, p.Asset}
		if seen[key] {
			return Books{}, fmt.Errorf("position %s of %s stands twice", p.Account, p.Asset)
		}
		seen[key] = true
		asset, found := in.Assets(p.Asset)
		if !found {
			return Books{}, fmt.Errorf("position %s: asset %s is not known", p.Account, p.Asset)
		}
		quantity, err := counted(p)
		if err != nil {
			return Books{}, err
		}
		if (holding{account: p.Account.Type}).client() {
			debtors[p.Account] = append(debtors[p.Account], lot{asset, quantity})
		}
		since, known := in.Opened[key]
		if err := f.position(p.Account, lot{asset, quantity}, since, known); err != nil {
			return Books{}, err
		}
		if err := record.position(key, lot{asset, quantity}, since); err != nil {
			return Books{}, fmt.Errorf("%s of %s: %w", p.Account, p.Asset, err)
		}
	}
	if err := f.record(record, in.Assets, in.Prices); err != nil {
		return Books{}, err
	}
	if err := f.debtors(debtors); err != nil {
		return Books{}, err
	}
	return f.finish(), nil
}

// A lot is a quantity of an asset.
type lot struct {
	asset    custody.Asset
	quantity custody.Amount
}

func (l lot) holding(t custody.AccountType) holding {
	return holding{t, l.asset.Class, l.quantity.Sign() < 0}
}

// fold gathers positions into books.
type fold struct {
	mapping mapping
	basis   Basis
	value   valuer
	books   Books
	// terms gathers the value of accounts that count by their terms.
	terms map[termsKey]decimal.Decimal
}

func newFold(m mapping, basis Basis, prices map[custody.AssetID]Price) *fold {
	return &fold{mapping: m, basis: basis, value: valuation(prices), terms: map[termsKey]decimal.Decimal{}}
}

type termsKey struct {
	account custody.Account
	item    Item
}

// A valuer gives what a lot is worth in dollars, without its sign.
type valuer func(lot) (decimal.Decimal, error)

// valuation values lots by the given prices.
func valuation(prices map[custody.AssetID]Price) valuer {
	return func(l lot) (decimal.Decimal, error) {
		units := l.quantity.Abs().Decimal(l.asset.Scale)
		if l.asset.ID == custody.USD {
			return units, nil
		}
		price, found := prices[l.asset.ID]
		if !found {
			return decimal.Zero, fmt.Errorf("%s: %w", l.asset.ID, ErrMissingPrice)
		}
		if price.USD.IsNegative() {
			return decimal.Zero, fmt.Errorf("%s: price %s, expected zero or more", l.asset.ID, price.USD)
		}
		return units.Mul(price.USD), nil
	}
}

// position adds one position to the lines or the deposits it feeds. Item 10 is left
// to debtor, which sees the whole account.
func (f *fold) position(account custody.Account, l lot, since Date, known bool) error {
	if l.quantity.IsZero() {
		return nil
	}
	t, err := f.mapping.of(l.holding(account.Type))
	if err != nil {
		return err
	}
	if t.deposit != noDeposit {
		return f.deposit(account, l, t.deposit)
	}
	for _, item := range t.items {
		if stocked(item, account, l.holding(account.Type)) {
			continue
		}
		if err := f.line(item, account, l, since, known); err != nil {
			return fmt.Errorf("item %s, %s: %w", item, account, err)
		}
	}
	return nil
}

func (f *fold) line(item Item, account custody.Account, l lot, since Date, known bool) error {
	p := f.books.of(account.Type)
	d := Driver{Item: item, Account: account, Asset: l.asset.ID}
	counts := !item.aged() || item.oldEnough(since, known, f.basis.AsOf, f.basis.Rules.Reserve)
	switch {
	case item == 10:
		return nil
	case item.byTerms(account.Type):
		if f.basis.Terms[account].Item != item {
			return nil
		}
	case !counts && item.Info().Side == Credit:
		return nil
	}
	var err error
	if d.Amount, err = f.value(l); err != nil {
		return err
	}
	switch {
	case !counts:
		p.LeftOut = append(p.LeftOut, LeftOut{d, fmt.Sprintf("not shown to be at most %d calendar days old", f.basis.Rules.Reserve.FailDays)})
	case item.byTerms(account.Type):
		k := termsKey{account, item}
		f.terms[k] = f.terms[k].Add(d.Amount)
	default:
		p.add(d)
	}
	return nil
}

func (p *PopulationBooks) add(d Driver) {
	if d.Amount.IsZero() {
		return
	}
	p.Items.Items[d.Item] = p.Items.Items[d.Item].Add(d.Amount)
	p.Drivers = append(p.Drivers, d)
}

// deposit adds what lies in a reserve account.
func (f *fold) deposit(account custody.Account, l lot, use depositUse) error {
	deposits := &f.books.of(account.Type).Deposits
	bank := f.basis.Banks[account].on(f.basis.AsOf)
	if bank.Name == "" {
		bank.Name = account.Name
	}
	quantity := l.asset.Format(l.quantity)
	switch {
	case use == cashDeposit && l.asset.ID == custody.USD:
		deposits.Cash = append(deposits.Cash, CashDeposit{Account: account.String(), Bank: bank, Amount: l.quantity.Decimal(l.asset.Scale)})
	case use == cashDeposit:
		deposits.Rest = append(deposits.Rest, Ineligible{Asset: string(l.asset.ID), Amount: quantity, Reason: "foreign currency: only US dollars are counted as cash on deposit"})
	case use == qualifiedDeposit:
		value, err := f.value(l)
		if err != nil {
			return fmt.Errorf("deposit at %s: %w", account, err)
		}
		deposits.Qualified = append(deposits.Qualified, QualifiedSecurityDeposit{Account: account.String(), Bank: bank, Asset: string(l.asset.ID), Value: value})
	case l.asset.Class.Digital():
		deposits.Digital = append(deposits.Digital, DigitalDeposit{Asset: string(l.asset.ID), Quantity: quantity})
	default:
		deposits.Rest = append(deposits.Rest, Ineligible{Asset: string(l.asset.ID), Amount: quantity, Reason: "not a qualified security (15c3-3(a)(6))"})
	}
	return nil
}

// finish adds the accounts that count by their terms, and puts everything in order.
func (f *fold) finish() Books {
	for k, held := range f.terms {
		p := f.books.of(k.account.Type)
		d := Driver{Item: k.item, Account: k.account, Amount: decimal.Min(held, atLeastZero(f.basis.Terms[k.account].UpTo))}
		p.add(d)
		if d.Amount = held.Sub(d.Amount); d.Amount.IsPositive() {
			p.LeftOut = append(p.LeftOut, LeftOut{d, "more than the terms of the account prove"})
		}
	}
	for _, p := range []*PopulationBooks{&f.books.Customer, &f.books.PAB} {
		slices.SortFunc(p.Drivers, compareDrivers)
		slices.SortFunc(p.LeftOut, func(a, b LeftOut) int { return compareDrivers(a.Driver, b.Driver) })
		p.Deposits.sort()
	}
	return f.books
}

// compareDrivers puts the largest first, and the same ones always in the same order.
func compareDrivers(a, b Driver) int {
	if c := cmp.Or(b.Amount.Cmp(a.Amount), cmp.Compare(a.Item, b.Item)); c != 0 {
		return c
	}
	return compareKeys(Key{a.Account, a.Asset}, Key{b.Account, b.Asset})
}

// sort puts deposits in the order of their accounts, in which bank limits are used up.
func (d *Deposits) sort() {
	slices.SortFunc(d.Cash, func(a, b CashDeposit) int { return cmp.Compare(a.Account, b.Account) })
	slices.SortFunc(d.Qualified, func(a, b QualifiedSecurityDeposit) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Asset, b.Asset))
	})
	slices.SortFunc(d.Digital, func(a, b DigitalDeposit) int {
		return cmp.Or(cmp.Compare(a.Asset, b.Asset), cmp.Compare(a.Quantity, b.Quantity))
	})
	slices.SortFunc(d.Rest, func(a, b Ineligible) int {
		return cmp.Or(cmp.Compare(a.Asset, b.Asset), cmp.Compare(a.Amount, b.Amount))
	})
}

// Firm is how the firm computes.
type Firm struct {
	Method    Method
	Frequency Frequency
	Schedule  Schedule
}

// Compute carries out the two computations of a day, the customers' first: what it
// leaves over may cover the PAB requirement, and the cash it counted at a bank uses up
// that bank's limit.
func (b Books) Compute(f Firm, basis Basis) (customer, pab Statement, err error) {
	p := Params{
		Population: CustomerAccounts, Method: f.Method, Frequency: f.Frequency,
		AsOf: basis.AsOf, Rules: basis.Rules, Schedule: f.Schedule,
	}
	if customer, err = Compute(b.Customer.Items, &b.Customer.Deposits, p); err != nil {
		return Statement{}, Statement{}, err
	}
	p.Population = PABAccounts
	p.CustomerExcessDebits = customer.ExcessDebits
	p.CashCounted = customer.Funding.CashCounted
	p.deadline = &customer.Deadline
	if pab, err = Compute(b.PAB.Items, &b.PAB.Deposits, p); err != nil {
		return Statement{}, Statement{}, err
	}
	return customer, pab, nil
}
