package node

import (
	"errors"
	"fmt"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// DebtorConfig is what the firm has shown of an account that owes it money (Note E).
type DebtorConfig struct {
	Account custody.Account `yaml:"account"`
	// Excluded says why none of the debit counts: doubtful, or a related person's.
	Excluded string `yaml:"excluded"`
	// NonCustomerPct is the share of a non-customer, in percent: "12.5".
	NonCustomerPct string `yaml:"non_customer_pct"`
	// Customer names the one customer that related accounts are.
	Customer string `yaml:"customer"`
	// AgainstCredits is where the evidence is that the debit is against credit items.
	AgainstCredits string `yaml:"against_credits"`
}

// AllocationConfig is the order in which securities that are not in control are allocated.
// A list that is empty is the default one, which decides against the firm.
type AllocationConfig struct {
	Sources []custody.Control `yaml:"sources"`
	Credits []reserve.Holder  `yaml:"credits"`
	Debits  []reserve.Holder  `yaml:"debits"`
}

// FiledConfig is a month-end report as filed; its total credits decide whether the firm
// must compute daily.
type FiledConfig struct {
	PeriodEnd reserve.Date    `yaml:"period_end"`
	Filed     reserve.Date    `yaml:"filed"`
	Customer  decimal.Decimal `yaml:"customer_total_credits"`
	PAB       decimal.Decimal `yaml:"pab_total_credits"`
}

// NoticeConfig is a notice given to the examining authority: stop_daily, voluntary_daily or
// stop_approved.
type NoticeConfig struct {
	Kind  reserve.NoticeKind `yaml:"kind"`
	Given reserve.Date       `yaml:"given"`
}

// registers are what the configuration says that books cannot.
func (c ReserveConfig) registers() (reserve.Registers, error) {
	order := reserve.DefaultAllocation()
	if len(c.Allocation.Sources) > 0 {
		order.Sources = c.Allocation.Sources
	}
	if len(c.Allocation.Credits) > 0 {
		order.Credits = c.Allocation.Credits
	}
	if len(c.Allocation.Debits) > 0 {
		order.Debits = c.Allocation.Debits
	}
	r := reserve.Registers{Allocation: &order, Debtors: map[custody.Account]reserve.Debtor{}}
	for _, d := range c.Debtors {
		known := reserve.Debtor{Excluded: d.Excluded, Customer: d.Customer, AgainstCredits: d.AgainstCredits}
		if d.NonCustomerPct != "" {
			share, err := decimal.NewFromString(d.NonCustomerPct)
			if err != nil {
				return r, fmt.Errorf("reserve: debtor %s: non_customer_pct %q, expected a percentage such as 12.5", d.Account, d.NonCustomerPct)
			}
			known.NonCustomerPct = share
		}
		if _, twice := r.Debtors[d.Account]; twice || d.Account.Side() != custody.For {
			return r, fmt.Errorf("reserve: debtor %s: expected an account on the FOR side, once", d.Account)
		}
		r.Debtors[d.Account] = known
	}
	if err := r.Check(); err != nil {
		return r, fmt.Errorf("reserve: %w", err)
	}
	return r, nil
}

// duty says on a day whether the firm computes daily by right. Known is false where no
// month-end was given at all: then the frequency that is configured is taken at its word.
func (c ReserveConfig) duty(asOf reserve.Date, pack reserve.Pack) (d reserve.DailyDuty, known bool, err error) {
	if len(c.Filed) == 0 && len(c.Notices) == 0 {
		return d, false, nil
	}
	var filed []reserve.FiledMonth
	for _, m := range c.Filed {
		filed = append(filed, reserve.FiledMonth(m))
	}
	var notices []reserve.DailyNotice
	for _, n := range c.Notices {
		notices = append(notices, reserve.DailyNotice(n))
	}
	d, err = reserve.DailyOn(asOf, filed, notices, pack)
	return d, true, err
}

// errNotDaily marks that the firm must compute daily and is configured not to.
var errNotDaily = errors.New("the computation must be made daily")

// frequency is that of the computation. A firm that computes daily without being required
// to and without notice keeps the weekly rate.
func (c ReserveConfig) frequency(asOf reserve.Date, pack reserve.Pack) (reserve.Frequency, error) {
	d, known, err := c.duty(asOf, pack)
	switch {
	case err != nil || !known:
		return c.Frequency, err
	case d.Required && c.Frequency != reserve.Daily:
		return c.Frequency, fmt.Errorf("%w since %s, and is configured to be %s (15c3-3(e)(3)(i)(B))", errNotDaily, d.StartBy, c.Frequency)
	case c.Frequency == reserve.Daily && !d.Daily():
		return reserve.Weekly, nil
	}
	return c.Frequency, nil
}
