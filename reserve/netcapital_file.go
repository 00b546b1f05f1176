package reserve

import (
	"errors"
	"fmt"

	"github.com/shopspring/decimal"
)

// ParseNetCapital reads the file of `netcapital compute`. Fields it does not know are
// ignored. Without an as_of the newest rules hold. A filed computation calls the fixed
// minimum min_dollar, which is read as well.
func ParseNetCapital(data []byte) (NetCapitalInput, error) {
	f, err := parseObject(data, "")
	if err != nil {
		return NetCapitalInput{}, err
	}
	var in NetCapitalInput
	method, err := f.text("method")
	if err != nil {
		return NetCapitalInput{}, err
	}
	in.Method = Method(method)
	if f.has("as_of") {
		day, err := f.text("as_of")
		if err != nil {
			return NetCapitalInput{}, err
		}
		if in.AsOf, err = ParseDate(day); err != nil {
			return NetCapitalInput{}, fmt.Errorf("as_of: %w", err)
		}
	}
	if in.Unit, err = parseUnit(f); err != nil {
		return NetCapitalInput{}, err
	}
	if in.FirstYear, err = f.flag("first_year"); err != nil {
		return NetCapitalInput{}, err
	}
	if in.MonthlyToAuthority, err = f.flag("reported_monthly"); err != nil {
		return NetCapitalInput{}, err
	}
	return in, in.parseNumbers(f)
}

func (in *NetCapitalInput) parseNumbers(f fields) error {
	minimum := "minimum_dollar"
	if f.has("min_dollar") {
		if f.has(minimum) {
			return fmt.Errorf("%s and min_dollar: both given, expected one", minimum)
		}
		minimum = "min_dollar"
	}
	var netCapital decimal.NullDecimal
	for _, field := range []struct {
		name string
		to   *decimal.NullDecimal
	}{
		{"net_capital", &netCapital},
		{"aggregate_debit_items", &in.AggregateDebits},
		{"aggregate_indebtedness", &in.AggregateIndebtedness},
		{minimum, &in.MinimumDollar},
		{"tentative_net_capital", &in.TentativeNetCapital},
		{"stock_loan_repo_payable", &in.StockLoanPayable},
		{"stock_borrow_reverse_repo", &in.StockBorrowReceivable},
	} {
		var err error
		if *field.to, err = f.number(field.name); err != nil {
			return err
		}
	}
	var err error
	switch {
	case !netCapital.Valid:
		in.Capital, err = parseCapital(f)
	case f.has("positions"):
		err = fmt.Errorf("positions: given with net_capital %s, from which their haircuts are already taken, expected one of the two", netCapital.Decimal)
	}
	in.NetCapital = netCapital.Decimal
	return errors.Join(err, in.check())
}

// NetCapitalResult is the computation as it is printed: amounts in the input's unit,
// rounded half-up to it, or to the cent where no unit was stated.
type NetCapitalResult struct {
	Method           Method               `json:"method"`
	RulePack         string               `json:"rule_pack"`
	NetCapital       string               `json:"net_capital"`
	Requirement      string               `json:"requirement"`
	PercentOfDebits  *string              `json:"percent_of_debits"`     // null without debits
	Tentative        *string              `json:"tentative_net_capital"` // null where it is not known
	Haircuts         []HaircutResult      `json:"haircuts,omitempty"`
	Excess           string               `json:"excess"`
	ExcessOverShare  *string              `json:"excess_over_5pct"` // null under the basic method
	ExcessOverFactor string               `json:"excess_over_120pct"`
	Holds            bool                 `json:"holds"`
	EarlyWarning     []WarningLevelResult `json:"early_warning"`
	Notices          []Notice             `json:"notices"`
}

// WarningLevelResult is a level as it is printed.
type WarningLevelResult struct {
	Trigger  string `json:"trigger"`
	Level    string `json:"level"`
	Breached bool   `json:"breached"`
	Citation string `json:"citation"`
}

// HaircutResult is a deduction as it is printed.
type HaircutResult struct {
	Category  string `json:"category"`
	Asset     string `json:"asset,omitempty"`
	Long      string `json:"long"`
	Short     string `json:"short"`
	Deduction string `json:"deduction"`
	Citation  string `json:"citation"`
}

// percentPlaces is how exactly a ratio is printed.
const percentPlaces = 2

// Compute carries out the computation of the file under the rules of its day.
func (in NetCapitalInput) Compute(rules Rules) (NetCapitalResult, error) {
	pack, err := rules.latest()
	if in.AsOf != 0 {
		pack, err = rules.At(in.AsOf)
	}
	if err != nil {
		return NetCapitalResult{}, fmt.Errorf("as_of: %w", err)
	}
	in, cuts, err := in.withCapital(rules)
	if err != nil {
		return NetCapitalResult{}, err
	}
	n, err := ComputeNetCapital(in, pack)
	if err != nil {
		return NetCapitalResult{}, err
	}
	text := func(d decimal.Decimal) string { return halfUp(d, places(in.Unit)) }
	r := NetCapitalResult{
		Method: in.Method, RulePack: pack.ID, NetCapital: text(in.NetCapital), Requirement: text(n.Requirement), Excess: text(n.Excess),
		ExcessOverFactor: text(n.ExcessOverFactor), Holds: !n.Excess.IsNegative(), EarlyWarning: []WarningLevelResult{}, Notices: n.Notices,
	}
	if in.TentativeNetCapital.Valid {
		tentative := text(in.TentativeNetCapital.Decimal)
		r.Tentative = &tentative
	}
	for _, c := range cuts {
		r.Haircuts = append(r.Haircuts, HaircutResult{c.Category, c.Asset, text(c.Long), text(c.Short), text(c.Deduction), c.Citation})
	}
	if n.PercentOfDebits.Valid {
		percent := halfUp(n.PercentOfDebits.Decimal, percentPlaces)
		r.PercentOfDebits = &percent
	}
	if n.ExcessOverShare.Valid {
		excess := text(n.ExcessOverShare.Decimal)
		r.ExcessOverShare = &excess
	}
	for _, w := range n.EarlyWarning {
		r.EarlyWarning = append(r.EarlyWarning, WarningLevelResult{Trigger: w.Trigger, Level: text(w.Level), Breached: w.Breached, Citation: w.Citation})
	}
	return r, nil
}

// latest is the last of the packs.
func (r Rules) latest() (Pack, error) {
	if len(r.Packs) == 0 {
		return Pack{}, fmt.Errorf("no rule pack at all")
	}
	return r.Packs[len(r.Packs)-1], nil
}

// InDollars is the input with its net capital computed and every amount in dollars.
func (in NetCapitalInput) InDollars(rules Rules) (NetCapitalInput, error) {
	in, _, err := in.withCapital(rules)
	if err != nil || !in.Unit.Valid {
		return in, err
	}
	in.NetCapital = in.NetCapital.Mul(in.Unit.Decimal)
	for _, n := range []*decimal.NullDecimal{
		&in.AggregateDebits, &in.AggregateIndebtedness, &in.MinimumDollar, &in.TentativeNetCapital, &in.StockLoanPayable, &in.StockBorrowReceivable,
	} {
		n.Decimal = n.Decimal.Mul(in.Unit.Decimal)
	}
	in.Capital, in.Unit = nil, decimal.NullDecimal{}
	return in, nil
}
