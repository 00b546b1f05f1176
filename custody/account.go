package custody

import (
	"fmt"
	"strings"
)

// Side is one of the two sides of the books.
type Side uint8

const (
	// For is the side that says whom something is held for.
	For Side = iota + 1
	// At is the side that says where something is.
	At
)

var sideNames = [...]string{For: "for", At: "at"}

// String is the side's name, "for" or "at".
func (s Side) String() string { return nameOf(sideNames[:], s) }

// OwnerKind is who stands behind a FOR account, in the rule's terms.
type OwnerKind uint8

// The kinds of owner. A customer is one under 15c3-3(a)(1), a PAB holder a broker
// or dealer under 15c3-3(a)(16), a non-customer an officer, director or partner.
const (
	NoOwner OwnerKind = iota
	Customer
	PAB
	NonCustomer
	Firm
	Counterparty
	Suspense
)

var ownerKindNames = [...]string{Customer: "customer", PAB: "pab", NonCustomer: "non_customer", Firm: "firm", Counterparty: "counterparty", Suspense: "suspense"}

// String is the kind's name.
func (k OwnerKind) String() string { return nameOf(ownerKindNames[:], k) }

// MarshalText writes the kind's name.
func (k OwnerKind) MarshalText() ([]byte, error) { return marshalName(ownerKindNames[:], k) }

// UnmarshalText reads a kind's name.
func (k *OwnerKind) UnmarshalText(text []byte) error {
	return unmarshalName(ownerKindNames[:], k, "owner kind", text)
}

// Control says whether a location is one from which the firm can give a client
// its property back without restriction, or why not (15c3-3(c), (d)).
type Control uint8

// The control states of a location.
const (
	NoControl Control = iota // not a location of client property
	GoodControl
	Pledged
	Loaned
	FailToReceive
	InTransfer
	InTransit
	FrozenByIssuer
	Missing
	DistributionReceivable // a dividend, split or the like that has not come in, 15c3-3(d)(3)
)

var controlNames = [...]string{
	NoControl: "none", GoodControl: "good_control", Pledged: "pledged", Loaned: "loaned", FailToReceive: "fail_to_receive",
	InTransfer: "in_transfer", InTransit: "in_transit", FrozenByIssuer: "frozen_by_issuer", Missing: "missing",
	DistributionReceivable: "distribution_receivable",
}

// String is the control state's name.
func (c Control) String() string { return nameOf(controlNames[:], c) }

// MarshalText writes the control state's name.
func (c Control) MarshalText() ([]byte, error) { return marshalName(controlNames[:], c) }

// UnmarshalText reads a control state's name.
func (c *Control) UnmarshalText(text []byte) error {
	return unmarshalName(controlNames[:], c, "control state", text)
}

// AccountType is what an account is. It alone decides the account's side, its
// owner's kind, its control state and the reserve line it feeds. The numbers are
// stored in the journal: never renumber, never reuse.
type AccountType uint8

// Accounts FOR whom something is held. A customer's or PAB holder's negative cash
// is a debit balance: the firm has lent it.
const (
	CustomerCash   AccountType = 1 // cash account: fully paid securities, free credit balances
	CustomerMargin AccountType = 2
	CustomerShort  AccountType = 3
	CustomerDVP    AccountType = 4
	PABCash        AccountType = 5
	PABMargin      AccountType = 6
	NonCustomerAny AccountType = 7
	FirmOwn        AccountType = 8  // the firm's own property
	StockLender    AccountType = 9  // securities the firm has borrowed and owes back
	MoneyLender    AccountType = 10 // money borrowed against customers' securities (item 2)
	StockBorrower  AccountType = 11 // money owed for customers' securities loaned out (item 3)
	FailDeliver    AccountType = 12 // property owed to the buyer of a failed delivery
	SuspenseAny    AccountType = 13 // received and not yet known for whom (item 8)

	// The counterparties' accounts above are taken to be of customers' business.
	// These are of PAB holders' and of the firm's own.
	FailDeliverPAB      AccountType = 14
	FailDeliverFirm     AccountType = 15
	MoneyLenderPAB      AccountType = 16
	MoneyLenderFirm     AccountType = 17
	StockBorrowerPAB    AccountType = 18
	StockBorrowerFirm   AccountType = 19
	StockLenderCustomer AccountType = 20 // securities borrowed for customers' short sales, or to deliver on their fails (item 11)
	StockLenderPAB      AccountType = 21 // the same for PAB holders'
	CustomerOmnibus     AccountType = 22 // another broker's customers, carried together (Regulation T, 220.7(f))
	CustomerSweep       AccountType = 23 // cash that a customer let us sweep to a bank, 15c3-3(j)(2)
)

// Accounts AT which something is.
const (
	DTCFree         AccountType = 64
	DTCPledged      AccountType = 65
	WithBorrower    AccountType = 66
	DueOnFail       AccountType = 67 // a fail to receive
	Transfer        AccountType = 68 // in transfer to the firm, expected
	SubCustodian    AccountType = 69
	BankOperating   AccountType = 70
	ReserveCustomer AccountType = 71 // Special Reserve Bank Account for the Exclusive Benefit of Customers
	ReservePAB      AccountType = 72 // Special Reserve Bank Account for Brokers and Dealers
	BankTransit     AccountType = 73 // cash between two of the firm's own bank accounts
	ChainWallet     AccountType = 74 // an address whose key is held by threshold signers
	ChainReserve    AccountType = 75 // an address somebody calls reserve: it counts for nothing
	ChainFrozen     AccountType = 76 // in a wallet, but frozen by the asset's issuer
	GoneMissing     AccountType = 77 // left a location and no approved intent explains it
	OCCMargin       AccountType = 78 // on deposit at OCC for customers' options (item 13)
	ClearingMargin  AccountType = 79 // on deposit at a clearing agency or DCO (items 14, 15)
	DueOnFailPAB    AccountType = 80 // a fail to receive of PAB holders' securities
	DueOnFailFirm   AccountType = 81 // a fail to receive of the firm's own
	DistributionDue AccountType = 82 // a dividend, split or the like that is payable and has not come in (item 6)
	SweepBank       AccountType = 83 // customers' swept cash at a program bank
	ClearingFund    AccountType = 84 // the firm's own deposit in a clearing agency's fund, such as NSCC's
	SettlementCash  AccountType = 85 // money of settlements that the bank has not shown yet, to come in or to go out
)

// typeInfo is the meaning of an account type.
type typeInfo struct {
	name    string
	side    Side
	owner   OwnerKind
	control Control
}

var accountTypes = [...]typeInfo{
	CustomerCash:   {"customer.cash", For, Customer, NoControl},
	CustomerMargin: {"customer.margin", For, Customer, NoControl},
	CustomerShort:  {"customer.short", For, Customer, NoControl},
	CustomerDVP:    {"customer.dvp", For, Customer, NoControl},
	PABCash:        {"pab.cash", For, PAB, NoControl},
	PABMargin:      {"pab.margin", For, PAB, NoControl},
	NonCustomerAny: {"non_customer", For, NonCustomer, NoControl},
	FirmOwn:        {"firm", For, Firm, NoControl},
	StockLender:    {"lender.stock", For, Counterparty, NoControl},
	MoneyLender:    {"lender.money", For, Counterparty, NoControl},
	StockBorrower:  {"borrower.stock", For, Counterparty, NoControl},
	FailDeliver:    {"fail.deliver", For, Counterparty, NoControl},
	SuspenseAny:    {"suspense", For, Suspense, NoControl},

	FailDeliverPAB:      {"fail.deliver.pab", For, Counterparty, NoControl},
	FailDeliverFirm:     {"fail.deliver.firm", For, Counterparty, NoControl},
	MoneyLenderPAB:      {"lender.money.pab", For, Counterparty, NoControl},
	MoneyLenderFirm:     {"lender.money.firm", For, Counterparty, NoControl},
	StockBorrowerPAB:    {"borrower.stock.pab", For, Counterparty, NoControl},
	StockBorrowerFirm:   {"borrower.stock.firm", For, Counterparty, NoControl},
	StockLenderCustomer: {"lender.stock.customer", For, Counterparty, NoControl},
	StockLenderPAB:      {"lender.stock.pab", For, Counterparty, NoControl},
	CustomerOmnibus:     {"customer.omnibus", For, Customer, NoControl},
	CustomerSweep:       {"customer.sweep", For, Customer, NoControl},

	DTCFree:         {"dtc.free", At, NoOwner, GoodControl},
	DTCPledged:      {"dtc.pledged", At, NoOwner, Pledged},
	WithBorrower:    {"borrower", At, NoOwner, Loaned},
	DueOnFail:       {"fail.receive", At, NoOwner, FailToReceive},
	Transfer:        {"transfer", At, NoOwner, InTransfer},
	SubCustodian:    {"sub_custodian", At, NoOwner, GoodControl},
	BankOperating:   {"bank.operating", At, NoOwner, NoControl},
	ReserveCustomer: {"bank.reserve.customer", At, NoOwner, NoControl},
	ReservePAB:      {"bank.reserve.pab", At, NoOwner, NoControl},
	BankTransit:     {"bank.transit", At, NoOwner, InTransit},
	ChainWallet:     {"chain.wallet", At, NoOwner, GoodControl},
	ChainReserve:    {"chain.reserve", At, NoOwner, NoControl},
	ChainFrozen:     {"chain.frozen", At, NoOwner, FrozenByIssuer},
	GoneMissing:     {"missing", At, NoOwner, Missing},
	OCCMargin:       {"occ.margin", At, NoOwner, NoControl},
	ClearingMargin:  {"clearing.margin", At, NoOwner, NoControl},
	DueOnFailPAB:    {"fail.receive.pab", At, NoOwner, FailToReceive},
	DueOnFailFirm:   {"fail.receive.firm", At, NoOwner, FailToReceive},
	DistributionDue: {"distribution.receivable", At, NoOwner, DistributionReceivable},
	SweepBank:       {"bank.sweep", At, NoOwner, NoControl},
	ClearingFund:    {"clearing.fund", At, NoOwner, NoControl},
	SettlementCash:  {"bank.settlement", At, NoOwner, InTransit},
}

func (t AccountType) info() typeInfo {
	if int(t) < len(accountTypes) {
		return accountTypes[t]
	}
	return typeInfo{}
}

// String is the type's name, such as "customer.cash".
func (t AccountType) String() string {
	if name := t.info().name; name != "" {
		return name
	}
	return fmt.Sprintf("unknown(%d)", uint8(t))
}

// Side is the side the type stands on.
func (t AccountType) Side() Side { return t.info().side }

// Owner is the kind of owner of a FOR account; NoOwner on the AT side.
func (t AccountType) Owner() OwnerKind { return t.info().owner }

// Control is the control state of an AT account; NoControl on the FOR side and
// for locations that hold no client property.
func (t AccountType) Control() Control { return t.info().control }

// MarshalText writes the type's name.
func (t AccountType) MarshalText() ([]byte, error) {
	if t.info().name == "" {
		return nil, fmt.Errorf("account type %d has no name", uint8(t))
	}
	return []byte(t.info().name), nil
}

// UnmarshalText reads a type's name.
func (t *AccountType) UnmarshalText(text []byte) error {
	for i, info := range accountTypes {
		if info.name != "" && info.name == string(text) {
			*t = AccountType(i)
			return nil
		}
	}
	return fmt.Errorf("account type %q is not known", text)
}

// AccountTypes lists every type, in the order of its number. A package that gives
// types a meaning uses it to prove that it left none out.
func AccountTypes() []AccountType {
	var all []AccountType
	for i, info := range accountTypes {
		if info.name != "" {
			all = append(all, AccountType(i))
		}
	}
	return all
}

// Account is one account: its type, and the owner's id on the FOR side or the
// place on the AT side. Accounts compare with ==.
type Account struct {
	Type AccountType
	Name string
}

// ForOwner is the account of the given type held for an owner.
func ForOwner(t AccountType, owner string) Account { return Account{Type: t, Name: owner} }

// AtPlace is the account of the given type at a place.
func AtPlace(t AccountType, place Place) Account { return Account{Type: t, Name: string(place)} }

// Side is the side the account stands on.
func (a Account) Side() Side { return a.Type.Side() }

// String is the account's canonical text, such as "for:customer.cash:alice" or
// "at:chain.wallet:eip155:1:0x…".
func (a Account) String() string { return a.Side().String() + ":" + a.Type.String() + ":" + a.Name }

// ParseAccount reads an account's canonical text.
func ParseAccount(s string) (Account, error) {
	side, rest, _ := strings.Cut(s, ":")
	name, place, found := strings.Cut(rest, ":")
	var a Account
	if err := a.Type.UnmarshalText([]byte(name)); err != nil {
		return Account{}, fmt.Errorf("account %q: %w", s, err)
	}
	a.Name = place
	if side != a.Side().String() {
		return Account{}, fmt.Errorf("account %q: %s stands on side %q, not %q", s, a.Type, a.Side(), side)
	}
	if !found || place == "" {
		return Account{}, fmt.Errorf("account %q has no owner or place", s)
	}
	return a, nil
}

// Check says what is wrong with the account.
func (a Account) Check() error {
	if a.Type.info().name == "" {
		return fmt.Errorf("account type %d is not known", uint8(a.Type))
	}
	if a.Name == "" {
		return fmt.Errorf("account of type %s has no owner or place", a.Type)
	}
	return nil
}

// MarshalText writes the canonical text.
func (a Account) MarshalText() ([]byte, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	return []byte(a.String()), nil
}

// UnmarshalText reads the canonical text.
func (a *Account) UnmarshalText(text []byte) error {
	parsed, err := ParseAccount(string(text))
	if err == nil {
		*a = parsed
	}
	return err
}
