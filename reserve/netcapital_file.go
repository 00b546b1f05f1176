package reserve

import (
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
	} {
		var err error
		if *field.to, err = f.number(field.name); err != nil {
			return err
		}
	}
	if !netCapital.Valid {
		return fmt.Errorf("net_capital: missing, expected a number")
	}
	in.NetCapital = netCapital.Decimal
	return in.check()
}

// NetCapitalResult is the computation as it is printed: amounts in the input's unit,
// rounded half-up to it, or to the cent where no unit was stated.
type NetCapitalResult struct {
	Method           Method               `json:"method"`
	RulePack         string               `json:"rule_pack"`
	NetCapital       string               `json:"net_capital"`
	Requirement      string               `json:"requirement"`
	PercentOfDebits  *string              `json:"percent_of_debits"` // null without debits
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
	n, err := ComputeNetCapital(in, pack)
	if err != nil {
		return NetCapitalResult{}, err
	}
	text := func(d decimal.Decimal) string { return halfUp(d, places(in.Unit)) }
	r := NetCapitalResult{
		Method: in.Method, RulePack: pack.ID, NetCapital: text(in.NetCapital), Requirement: text(n.Requirement), Excess: text(n.Excess),
		ExcessOverFactor: text(n.ExcessOverFactor), Holds: !n.Excess.IsNegative(), EarlyWarning: []WarningLevelResult{}, Notices: n.Notices,
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
