package reserve

import (
	"fmt"
	"slices"
	"strings"

	"goodcontrol/custody"
)

// depositUse is what a holding in a reserve account is to 15c3-3(e).
type depositUse uint8

const (
	noDeposit depositUse = iota
	cashDeposit
	qualifiedDeposit
	uncountedDeposit
)

// use says what a holding is as a deposit. An address on a chain that somebody calls
// reserve is none, whatever lies at it.
func (h holding) use() depositUse {
	switch {
	case h.is(custody.ChainReserve):
		return uncountedDeposit
	case !h.is(custody.ReserveCustomer) && !h.is(custody.ReservePAB), h.negative:
		return noDeposit
	case h.cash():
		return cashDeposit
	case h.class == custody.QualifiedSecurity:
		return qualifiedDeposit
	}
	return uncountedDeposit
}

// An exclusion states why holdings feed no line and are no deposit.
type exclusion struct {
	accounts []custody.AccountType
	applies  func(holding) bool
	reason   string
}

var (
	clientTypes = []custody.AccountType{
		custody.CustomerCash, custody.CustomerMargin, custody.CustomerShort, custody.CustomerDVP, custody.CustomerOmnibus,
		custody.PABCash, custody.PABMargin,
	}
	bankTypes     = []custody.AccountType{custody.BankOperating, custody.BankTransit, custody.SettlementCash}
	marginTypes   = []custody.AccountType{custody.OCCMargin, custody.ClearingMargin}
	failTypes     = []custody.AccountType{custody.FailDeliver, custody.DueOnFail, custody.FailDeliverPAB, custody.DueOnFailPAB}
	lenderTypes   = []custody.AccountType{custody.StockLender, custody.StockLenderCustomer, custody.StockLenderPAB}
	firmTypes     = []custody.AccountType{custody.FailDeliverFirm, custody.DueOnFailFirm, custody.MoneyLenderFirm, custody.StockBorrowerFirm}
	locationTypes = []custody.AccountType{
		custody.DTCFree, custody.DTCPledged, custody.WithBorrower, custody.SubCustodian, custody.ChainWallet, custody.ChainFrozen,
	}
)

func whole(holding) bool            { return true }
func coin(h holding) bool           { return !h.cash() && !h.security() }
func ofSecurity(h holding) bool     { return h.security() }
func notCash(h holding) bool        { return !h.cash() }
func reserveDebit(h holding) bool   { return h.negative && !h.cash() }
func negativeMargin(h holding) bool { return h.negative && !coin(h) }

// exclusions are every holding that feeds nothing, and why. Together with the lines
// and the deposits they cover every type of account and class of asset exactly once.
var exclusions = []exclusion{
	{clientTypes, ofSecurity, "a security owed and not money: possession or control, 15c3-3(b)"},
	{clientTypes, coin, "neither cash nor a security: no line; its shortage is an alert of its own"},
	{[]custody.AccountType{custody.NonCustomerAny}, whole, "not a customer, 15c3-3(a)(1)"},
	{[]custody.AccountType{custody.CustomerSweep, custody.SweepBank}, whole, "swept with the customer's consent to a bank that owes it, 15c3-3(j)(2): no credit balance of the firm"},
	{firmTypes, whole, "of the firm's own business: no item, unless the stock record shows that the securities are customers'"},
	{[]custody.AccountType{custody.ClearingFund}, whole, "the firm's own deposit in a clearing agency's fund: no item"},
	{[]custody.AccountType{custody.DistributionDue}, func(h holding) bool { return !item6(h) }, "only a security distribution receivable is item 6"},
	{[]custody.AccountType{custody.FirmOwn}, func(h holding) bool { return !item5(h) }, "the firm's own property"},
	{lenderTypes, func(h holding) bool { return !item11(h) }, "owed to the lender of securities: no item is a credit for it"},
	{[]custody.AccountType{custody.MoneyLender, custody.MoneyLenderPAB}, func(h holding) bool { return !item2(h) }, "only money borrowed is item 2: the collateral is where it is pledged, and what a lender owes is no debit"},
	{[]custody.AccountType{custody.StockBorrower, custody.StockBorrowerPAB}, func(h holding) bool { return !item3(h) }, "only money owed for a loan of securities is item 3: what a borrower owes is no debit"},
	{failTypes, notCash, "the security of a fail: its contract value stands as money, and what has not come in is not in control"},
	{[]custody.AccountType{custody.SuspenseAny}, func(h holding) bool { return h.cash() && h.negative }, "a debit in suspense offsets nothing (item 8)"},
	{[]custody.AccountType{custody.SuspenseAny}, func(h holding) bool { return h.security() && !h.negative }, "a long in suspense offsets nothing (item 8); it is property to be controlled"},
	{[]custody.AccountType{custody.SuspenseAny}, coin, "neither cash nor a security: no line; its shortage is an alert of its own"},
	{locationTypes, whole, "where property is, and not what is owed: possession or control"},
	{[]custody.AccountType{custody.Transfer}, func(h holding) bool { return !item9(h) }, "only a security in transfer is item 9"},
	{bankTypes[:1], func(h holding) bool { return h.cash() && !h.negative }, "the firm's operating account is no reserve account: what customers are owed is already a credit"},
	{bankTypes[2:], func(h holding) bool { return h.cash() }, "to settle with a counterparty: what customers are owed or owe for it stands with them, or as a fail"},
	{bankTypes[1:2], func(h holding) bool { return h.cash() }, "between two accounts of the firm: not yet on deposit, and no longer"},
	{bankTypes, notCash, "not in a reserve account: nothing but cash is expected here, and it counts for nothing"},
	{[]custody.AccountType{custody.ReserveCustomer, custody.ReservePAB}, reserveDebit, "less than nothing in a reserve account is no deposit"},
	{[]custody.AccountType{custody.GoneMissing}, func(h holding) bool { return !item7(h) }, "missing, and no security: it counts for nothing where it should be, and what is owed is already a credit or a control deficit"},
	{marginTypes, coin, "neither cash nor a security: no margin of Notes F to H"},
	{marginTypes, negativeMargin, "owed to the clearing agency: no margin on deposit"},
}

// treatment is what becomes of a holding: one or more lines, or a deposit, or a
// stated exclusion.
type treatment struct {
	items    []Item
	deposit  depositUse
	excluded string
}

// treat finds what becomes of a holding. None, or two that contradict, is an error.
func treat(h holding) (treatment, error) {
	var t treatment
	for i := Item(1); i.numbered(); i++ {
		if lineFunctions[i](h) {
			t.items = append(t.items, i)
		}
	}
	t.deposit = h.use()
	ways := 0
	if len(t.items) > 0 {
		ways++
	}
	if t.deposit != noDeposit {
		ways++
	}
	for _, x := range exclusions {
		if slices.Contains(x.accounts, h.account) && x.applies(h) {
			t.excluded = x.reason
			ways++
		}
	}
	if ways != 1 {
		return treatment{}, fmt.Errorf("%s: %d treatments (items %v, deposit %t, excluded %q), expected exactly one", h, ways, t.items, t.deposit != noDeposit, t.excluded)
	}
	return t, nil
}

// String names the holding, such as "customer.cash of cash, negative".
func (h holding) String() string {
	sign := "positive"
	if h.negative {
		sign = "negative"
	}
	return fmt.Sprintf("%s of %s, %s", h.account, h.class, sign)
}

// String is the treatment on one line.
func (t treatment) String() string {
	switch {
	case t.excluded != "":
		return "excluded: " + t.excluded
	case t.deposit == uncountedDeposit:
		return "in a reserve account, counts zero"
	case t.deposit != noDeposit:
		return "deposit"
	}
	var names []string
	for _, i := range t.items {
		names = append(names, i.String())
	}
	return "item " + strings.Join(names, ", ")
}

// everyHolding lists each pair of an account type and an asset class, on both sides of
// zero.
func everyHolding() []holding {
	var all []holding
	for _, account := range custody.AccountTypes() {
		for class := custody.Cash; class <= custody.OtherCrypto; class++ {
			all = append(all, holding{account, class, false}, holding{account, class, true})
		}
	}
	return all
}

// A mapping is what becomes of every holding there can be.
type mapping map[holding]treatment

// newMapping proves the mapping complete: every type of account with every class of
// asset feeds a line, or is a deposit, or is excluded with a reason.
func newMapping() (mapping, error) {
	m := mapping{}
	for _, h := range everyHolding() {
		t, err := treat(h)
		if err != nil {
			return nil, fmt.Errorf("mapping of the books to Exhibit A: %w", err)
		}
		m[h] = t
	}
	return m, nil
}

// of is what becomes of a holding. One that is not in the mapping has a type or class
// that is not known.
func (m mapping) of(h holding) (treatment, error) {
	t, found := m[h]
	if !found {
		return treatment{}, fmt.Errorf("%s: expected a known type of account and class of asset", h)
	}
	return t, nil
}

// CheckComplete holds that the mapping of the books to Exhibit A has no hole. A
// program that starts calls it: a type of account that somebody adds and to which nobody
// gives a meaning is an error before it is money not counted.
func CheckComplete() error {
	_, err := newMapping()
	return err
}

// Mapping describes, a line each, what becomes of every type of account with every
// class of asset.
func Mapping() ([]string, error) {
	m, err := newMapping()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, h := range everyHolding() {
		lines = append(lines, fmt.Sprintf("%-55s %s", h, m[h]))
	}
	return lines, nil
}
