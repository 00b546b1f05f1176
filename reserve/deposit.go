package reserve

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// Deposits is what lies in the reserve bank accounts of one population. Its
// lists have different types, and only the first two have a value in dollars: the
// sum of eligible deposits cannot be made to include a digital one.
type Deposits struct {
	Cash      []CashDeposit
	Qualified []QualifiedSecurityDeposit
	Digital   []DigitalDeposit
	// Rest is anything else: money funds, agency debt, foreign currency. It does not
	// count either.
	Rest []Ineligible
	// Unlimited is cash of which only the sum was stated, as a filed schedule does:
	// the bank limits are taken to have been applied already.
	Unlimited decimal.Decimal
}

// Bank is what the rule asks of the bank that keeps a reserve account.
type Bank struct {
	Name string
	// Affiliated banks' cash does not count, 15c3-3(e)(5).
	Affiliated bool
	// EquityCapital is as of the bank's last Call Report, in the computation's
	// unit. Cash at a bank of which it is not known does not count.
	EquityCapital decimal.NullDecimal
	// Notified and Contracted say that the bank's written notification and the
	// contract of 15c3-3(f) are held. Without either the account does not count.
	Notified, Contracted bool
}

// CashDeposit is cash in one reserve account.
type CashDeposit struct {
	Account string
	Bank    Bank
	Amount  decimal.Decimal
}

// QualifiedSecurityDeposit is the market value of securities of or guaranteed by the
// United States in one reserve account, 15c3-3(a)(6).
type QualifiedSecurityDeposit struct {
	Account string
	Bank    Bank
	Asset   string
	Value   decimal.Decimal
}

// DigitalDeposit is a coin or token in what somebody calls a reserve account. It
// has a quantity and no value: digital currency is not on the closed list of what may
// be deposited.
type DigitalDeposit struct {
	Asset    string
	Quantity string
}

// Ineligible is something in a reserve account that does not count, and why.
type Ineligible struct {
	Asset  string `json:"asset"`
	Amount string `json:"amount"`
	Reason string `json:"reason"`
}

const digitalReason = "digital currency is neither cash nor a qualified security (15c3-3(a)(6), (e)(1)): it counts zero"

// Counted is how much of one deposit counts.
type Counted struct {
	Account string
	Bank    string
	Asset   string
	Amount  decimal.Decimal
	Counted decimal.Decimal
}

// Funding is what is on deposit against a requirement.
type Funding struct {
	Eligible decimal.Decimal
	// Deposits says of each account how much counts.
	Deposits   []Counted
	Ineligible []Ineligible
	// CashCounted is the cash counted at each bank by this computation and by the
	// one whose cash was handed in.
	CashCounted       map[string]decimal.Decimal
	MinimumDeposit    decimal.Decimal
	MaximumWithdrawal decimal.Decimal
}

// fund counts what is on deposit. Cash is counted in the order given, until its
// bank's limit is reached.
func fund(d Deposits, required decimal.Decimal, p Params) (*Funding, error) {
	if d.Unlimited.IsNegative() {
		return nil, fmt.Errorf("cash on deposit is %s, expected zero or more", d.Unlimited)
	}
	f := &Funding{Eligible: d.Unlimited, CashCounted: map[string]decimal.Decimal{}}
	for bank, counted := range p.CashCounted {
		f.CashCounted[bank] = counted
	}
	for _, c := range d.Cash {
		if err := f.countCash(c, p.Rules.Reserve.BankEquityCap); err != nil {
			return nil, err
		}
	}
	for _, q := range d.Qualified {
		if err := f.countQualified(q); err != nil {
			return nil, err
		}
	}
	for _, x := range d.Digital {
		f.Ineligible = append(f.Ineligible, Ineligible{Asset: x.Asset, Amount: x.Quantity, Reason: digitalReason})
	}
	f.Ineligible = append(f.Ineligible, d.Rest...)
	f.MinimumDeposit = atLeastZero(required.Sub(f.Eligible))
	f.MaximumWithdrawal = atLeastZero(f.Eligible.Sub(required))
	return f, nil
}

// countCash counts cash in one account: nothing at an affiliated bank, and at any
// other bank no more than the limit allows in all, 15c3-3(e)(5).
func (f *Funding) countCash(c CashDeposit, limit decimal.Decimal) error {
	if c.Amount.IsNegative() {
		return fmt.Errorf("cash at bank %q is %s, expected zero or more", c.Bank.Name, c.Amount)
	}
	counted, reason := decimal.Zero, c.Bank.withoutLetters()
	switch {
	case reason != "":
	case c.Bank.Affiliated:
		reason = fmt.Sprintf("cash at bank %q, which is affiliated (15c3-3(e)(5))", c.Bank.Name)
	case !c.Bank.EquityCapital.Valid:
		reason = fmt.Sprintf("cash at bank %q, of which no equity capital is known (15c3-3(e)(5))", c.Bank.Name)
	default:
		room := atLeastZero(c.Bank.EquityCapital.Decimal.Mul(limit).Sub(f.CashCounted[c.Bank.Name]))
		counted = decimal.Min(c.Amount, room)
		f.CashCounted[c.Bank.Name] = f.CashCounted[c.Bank.Name].Add(counted)
		reason = fmt.Sprintf("cash over %s of the equity capital of bank %q, %s (15c3-3(e)(5))", limit, c.Bank.Name, c.Bank.EquityCapital.Decimal)
	}
	f.count(Counted{Account: c.Account, Bank: c.Bank.Name, Asset: "USD", Amount: c.Amount, Counted: counted}, reason)
	return nil
}

// countQualified counts the securities in one account. They have no limit: the one
// of (e)(5) is on cash.
func (f *Funding) countQualified(q QualifiedSecurityDeposit) error {
	if q.Value.IsNegative() {
		return fmt.Errorf("qualified security %s is worth %s, expected zero or more", q.Asset, q.Value)
	}
	counted, reason := q.Value, q.Bank.withoutLetters()
	if reason != "" {
		counted = decimal.Zero
	}
	f.count(Counted{Account: q.Account, Bank: q.Bank.Name, Asset: q.Asset, Amount: q.Value, Counted: counted}, reason)
	return nil
}

// count adds a deposit, and names what of it does not count.
func (f *Funding) count(c Counted, reason string) {
	f.Deposits = append(f.Deposits, c)
	f.Eligible = f.Eligible.Add(c.Counted)
	if left := c.Amount.Sub(c.Counted); left.IsPositive() {
		f.Ineligible = append(f.Ineligible, Ineligible{Asset: c.Asset, Amount: left.String(), Reason: reason})
	}
}

// withoutLetters says what the account lacks of 15c3-3(f), if anything.
func (b Bank) withoutLetters() string {
	switch {
	case !b.Notified:
		return fmt.Sprintf("account at bank %q without the bank's written notification (15c3-3(f))", b.Name)
	case !b.Contracted:
		return fmt.Sprintf("account at bank %q without the contract of no lien (15c3-3(f))", b.Name)
	}
	return ""
}

// cusipLength and isinLength are those of ISO 6166; an ISIN of a US security is its
// CUSIP between "US" and a check digit.
const (
	cusipLength = 9
	isinLength  = 12
)

// qualifiedAsset says whether a line-item file may call the asset qualified: by a
// name on the list, or by the CUSIP or ISIN of an issue of the Treasury.
func (p Pack) qualifiedAsset(name string) bool {
	if slices.Contains(p.Reserve.QualifiedAssets, name) {
		return true
	}
	cusip := strings.TrimPrefix(name, "cusip:")
	if len(cusip) == isinLength && strings.HasPrefix(cusip, "US") {
		cusip = cusip[2 : isinLength-1]
	}
	return len(cusip) == cusipLength && slices.ContainsFunc(p.Reserve.TreasuryCUSIPs, func(prefix string) bool { return strings.HasPrefix(cusip, prefix) })
}
