package reserve

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// Population is whose money a computation protects. The two are computed apart.
type Population string

// The populations.
const (
	CustomerAccounts Population = "customer" // 15c3-3(a)(1)
	PABAccounts      Population = "pab"      // proprietary accounts of brokers and dealers, 15c3-3(a)(16)
)

// Method is how the firm computes its net capital, 15c3-1(a)(1).
type Method string

// The methods.
const (
	Basic       Method = "basic"
	Alternative Method = "alternative"
)

// Frequency is how often the firm computes. Daily means a firm that is required to,
// or that elected it on notice, 15c3-3(e)(3)(v): one that computes daily without
// either keeps the weekly rate, and so is Weekly here.
type Frequency string

// The frequencies.
const (
	Weekly  Frequency = "weekly"
	Daily   Frequency = "daily"
	Monthly Frequency = "monthly"
)

// Other is one row of the form's "Other (list)".
type Other struct {
	Caption string          `json:"caption"`
	Amount  decimal.Decimal `json:"amount"`
}

// LineItems are the amounts of Exhibit A for one population, none negative. Item 10
// is net of Note E(1), (2), (4), (5) and (6), but not of the percentage of E(3).
type LineItems struct {
	Items        [16]decimal.Decimal // by item number; index 0 is not used
	OtherCredits []Other
	OtherDebits  []Other
}

// Amount is what stands on an item's line.
func (l LineItems) Amount(i Item) decimal.Decimal {
	switch i {
	case OtherCredits:
		return sumOthers(l.OtherCredits)
	case OtherDebits:
		return sumOthers(l.OtherDebits)
	}
	return l.Items[i]
}

func sumOthers(list []Other) decimal.Decimal {
	sum := decimal.Zero
	for _, o := range list {
		sum = sum.Add(o.Amount)
	}
	return sum
}

func (l LineItems) check() error {
	for i, amount := range l.Items {
		if amount.IsNegative() {
			return fmt.Errorf("item %d is %s, expected zero or more", i, amount)
		}
	}
	for item, list := range map[Item][]Other{OtherCredits: l.OtherCredits, OtherDebits: l.OtherDebits} {
		for _, o := range list {
			if o.Amount.IsNegative() {
				return fmt.Errorf("%s %q is %s, expected zero or more", item, o.Caption, o.Amount)
			}
		}
	}
	return nil
}

// Params is what a computation depends on beside the amounts.
type Params struct {
	Population Population
	Method     Method
	Frequency  Frequency
	AsOf       Date
	Rules      Pack
	Schedule   Schedule
	// ReductionRate stands for the rate that method, frequency and rule pack
	// give, where a firm states its own.
	ReductionRate decimal.NullDecimal
	// CustomerExcessDebits is what the customer computation of the same day left
	// over. Only a PAB computation reads it, 15c3-3(e)(4).
	CustomerExcessDebits decimal.Decimal
	// CashCounted is what the other computation of the same day already counted at
	// each bank. The limit of 15c3-3(e)(5) is on the bank, whichever of the firm's
	// reserve accounts the cash lies in.
	CashCounted map[string]decimal.Decimal

	deadline *Deadline // where it is known already
}

func (p Params) check() error {
	switch {
	case p.Population != CustomerAccounts && p.Population != PABAccounts:
		return fmt.Errorf("computation %q, expected %q or %q", p.Population, CustomerAccounts, PABAccounts)
	case p.Frequency != Weekly && p.Frequency != Daily && p.Frequency != Monthly:
		return fmt.Errorf("frequency %q, expected %q, %q or %q", p.Frequency, Weekly, Daily, Monthly)
	case p.Method != Basic && p.Method != Alternative:
		return fmt.Errorf("net_capital_method %q, expected %q or %q", p.Method, Basic, Alternative)
	case p.Population == CustomerAccounts && p.Method == Alternative && p.Frequency == Monthly:
		return fmt.Errorf("frequency %q with net_capital_method %q, expected at least weekly (15c3-1(a)(1)(ii)(A))", p.Frequency, p.Method)
	case p.CustomerExcessDebits.IsNegative():
		return fmt.Errorf("customer_excess_debits is %s, expected zero or more", p.CustomerExcessDebits)
	case p.ReductionRate.Valid && (p.ReductionRate.Decimal.IsNegative() || p.ReductionRate.Decimal.Cmp(decimal.NewFromInt(1)) >= 0):
		return fmt.Errorf("debit_reduction_rate %s, expected a fraction from 0 to less than 1", p.ReductionRate.Decimal)
	case p.ReductionRate.Valid && p.Population == PABAccounts && !p.ReductionRate.Decimal.IsZero():
		return fmt.Errorf("debit_reduction_rate %s in a %s computation, expected none (PAB Note 4)", p.ReductionRate.Decimal, p.Population)
	}
	return nil
}

// Statement is one computation under 15c3-3(e), in exact decimals of the unit in
// which the amounts were given. Nothing in it is rounded; a Report is.
type Statement struct {
	Params Params
	Items  LineItems

	TotalCredits decimal.Decimal
	// AggregateDebits is items 10 to 15 before any percentage: the figure of the 2%
	// net capital test.
	AggregateDebits decimal.Decimal
	ReductionRate   decimal.Decimal
	Reduction       decimal.Decimal
	TotalDebits     decimal.Decimal
	ExcessCredits   decimal.Decimal
	ExcessDebits    decimal.Decimal
	// CoveredByCustomer is how much of a PAB excess the customer computation's
	// excess debits cover; zero in a customer computation.
	CoveredByCustomer decimal.Decimal
	Required          decimal.Decimal
	Deadline          Deadline
	// Funding is nil where nothing was said about deposits.
	Funding *Funding
}

// Compute carries out line 16 of Exhibit A. Without deposits it gives the
// requirement alone.
func Compute(items LineItems, deposits *Deposits, p Params) (Statement, error) {
	if err := p.check(); err != nil {
		return Statement{}, err
	}
	if err := items.check(); err != nil {
		return Statement{}, fmt.Errorf("%s computation as of %s: %w", p.Population, p.AsOf, err)
	}
	s := Statement{Params: p, Items: items}
	s.Params.deadline = nil
	for _, i := range formOrder {
		if i.Info().Side == Credit {
			s.TotalCredits = s.TotalCredits.Add(items.Amount(i))
		} else {
			s.AggregateDebits = s.AggregateDebits.Add(items.Amount(i))
		}
	}
	s.ReductionRate, s.Reduction = reduction(items, s.AggregateDebits, p)
	s.TotalDebits = s.AggregateDebits.Sub(s.Reduction)
	s.ExcessCredits = atLeastZero(s.TotalCredits.Sub(s.TotalDebits))
	s.ExcessDebits = atLeastZero(s.TotalDebits.Sub(s.TotalCredits))
	s.CoveredByCustomer, s.Required = requirement(s.ExcessCredits, p)

	var err error
	if p.deadline != nil {
		s.Deadline = *p.deadline
	} else if s.Deadline, err = p.Schedule.Deadline(p.AsOf, p.Rules); err != nil {
		return Statement{}, err
	}
	if deposits != nil {
		if s.Funding, err = fund(*deposits, s.Required, p); err != nil {
			return Statement{}, fmt.Errorf("%s deposits as of %s: %w", p.Population, p.AsOf, err)
		}
	}
	return s, nil
}

// reduction is the percentage by which debits are cut. Basic method: Note E(3), of
// item 10. Alternative method: 15c3-1(a)(1)(ii)(A), of all debits, less for daily
// computations. PAB: none (PAB Note 4; the alternative percentage is the customer
// computation's own).
func reduction(items LineItems, aggregate decimal.Decimal, p Params) (rate, amount decimal.Decimal) {
	if p.Population == PABAccounts {
		return decimal.Zero, decimal.Zero
	}
	base := aggregate
	switch {
	case p.Method == Basic:
		rate, base = p.Rules.Reserve.BasicReduction, items.Items[10]
	case p.Frequency == Daily:
		rate = p.Rules.Reserve.AlternativeDailyReduction
	default:
		rate = p.Rules.Reserve.AlternativeReduction
	}
	if p.ReductionRate.Valid {
		rate = p.ReductionRate.Decimal
	}
	return rate, base.Mul(rate)
}

// requirement is what must be on deposit for an excess of credits. The customer
// computation's excess debits may cover a PAB excess, 15c3-3(e)(4), and never the
// other way round. Monthly computations are deposited with five percent more,
// (e)(3)(i)(C), which is applied to PAB as well: the stricter reading.
func requirement(excess decimal.Decimal, p Params) (covered, required decimal.Decimal) {
	if p.Population == PABAccounts {
		covered = decimal.Min(excess, p.CustomerExcessDebits)
	}
	required = excess.Sub(covered)
	if p.Frequency == Monthly {
		required = required.Mul(p.Rules.Reserve.MonthlyFactor)
	}
	return covered, required
}

func atLeastZero(d decimal.Decimal) decimal.Decimal { return decimal.Max(d, decimal.Zero) }
