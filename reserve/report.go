package reserve

import (
	"time"

	"github.com/shopspring/decimal"
)

// Result is a computation as it is printed. Amounts are decimal strings, each
// rounded half-up from its exact value: a sum of rounded lines may differ from the
// rounded sum by a unit, as it does in filed schedules.
type Result struct {
	Computation          Population   `json:"computation"`
	AsOf                 Date         `json:"as_of"`
	NetCapitalMethod     Method       `json:"net_capital_method"`
	Frequency            Frequency    `json:"frequency"`
	RulePack             string       `json:"rule_pack"`
	TotalCredits         string       `json:"total_credits"`
	AggregateDebitItems  string       `json:"aggregate_debit_items"`
	DebitReductionRate   string       `json:"debit_reduction_rate"`
	DebitReduction       string       `json:"debit_reduction"`
	TotalDebits          string       `json:"total_debits"`
	ExcessCredits        string       `json:"excess_credits_over_debits"`
	ExcessDebits         string       `json:"excess_debits_over_credits"`
	CustomerExcessDebits string       `json:"covered_by_customer_excess_debits"`
	Required             string       `json:"required_on_deposit"`
	Eligible             *string      `json:"eligible_on_deposit"` // null where no deposits were stated
	MinimumDeposit       *string      `json:"minimum_deposit"`
	MaximumWithdrawal    *string      `json:"maximum_withdrawal"`
	DepositDueBy         time.Time    `json:"deposit_due_by"`
	Status               Status       `json:"status"`
	Ineligible           []Ineligible `json:"ineligible"`
	Lines                []ResultLine `json:"lines"`
}

// ResultLine is one printed line.
type ResultLine struct {
	Item     Item     `json:"item"`
	Caption  string   `json:"caption"`
	Side     LineSide `json:"side"`
	Amount   string   `json:"amount"`
	Citation string   `json:"citation"`
	Box      string   `json:"focus_box,omitempty"`
}

// Report prints the statement with so many decimals. It is the only place where a
// figure of a statement is rounded.
func (s Statement) Report(places int32) Result {
	text := func(d decimal.Decimal) string { return halfUp(d, places) }
	r := Result{
		Computation: s.Params.Population, AsOf: s.Params.AsOf, NetCapitalMethod: s.Params.Method, Frequency: s.Params.Frequency,
		RulePack: s.Params.Rules.ID, TotalCredits: text(s.TotalCredits), AggregateDebitItems: text(s.AggregateDebits),
		DebitReductionRate: s.ReductionRate.String(), DebitReduction: text(s.Reduction), TotalDebits: text(s.TotalDebits),
		ExcessCredits: text(s.ExcessCredits), ExcessDebits: text(s.ExcessDebits), CustomerExcessDebits: text(s.CoveredByCustomer),
		Required: text(s.Required), DepositDueBy: s.Deadline.Due, Status: s.Status(), Ineligible: []Ineligible{},
	}
	if f := s.Funding; f != nil {
		eligible, minimum, maximum := text(f.Eligible), text(f.MinimumDeposit), text(f.MaximumWithdrawal)
		r.Eligible, r.MinimumDeposit, r.MaximumWithdrawal = &eligible, &minimum, &maximum
		r.Ineligible = append(r.Ineligible, f.Ineligible...)
	}
	for _, i := range formOrder {
		info := i.Info()
		r.Lines = append(r.Lines, ResultLine{Item: i, Caption: info.Caption, Side: info.Side, Amount: text(s.Items.Amount(i)), Citation: info.Citation, Box: info.Box})
	}
	return r
}

// halfUp prints d with so many decimals, a half going away from zero: a loss of half
// a unit is printed as a unit, as a gain is.
func halfUp(d decimal.Decimal, places int32) string { return d.StringFixed(places) }
