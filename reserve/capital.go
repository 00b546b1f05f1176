package reserve

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// Capital is what net capital is computed from, where the firm does not state it: net worth
// and subordinated liabilities, less what is not allowable and other charges, is tentative
// net capital; less haircuts, net capital, 15c3-1(c)(2).
type Capital struct {
	Equity       decimal.Decimal // net worth; may be negative
	Subordinated decimal.Decimal // allowable under Appendix D
	Nonallowable decimal.Decimal
	Charges      decimal.Decimal // without haircuts
	// Haircuts are those that the firm states. Those of Positions are computed and come
	// on top.
	Haircuts  decimal.Decimal
	Positions []OwnPosition
}

// tentative is net capital before haircuts.
func (c Capital) tentative() decimal.Decimal {
	return c.Equity.Add(c.Subordinated).Sub(c.Nonallowable).Sub(c.Charges)
}

// parseCapital reads the parts of net capital. They stand beside each other as a filed
// computation names them: equity, subordinated, nonallowable, charges, positions.
func parseCapital(f fields) (*Capital, error) {
	var c Capital
	equity, err := f.number("equity")
	if err != nil {
		return nil, err
	}
	if !equity.Valid {
		return nil, fmt.Errorf("net_capital: missing, expected a number; or equity and the other parts of it")
	}
	c.Equity = equity.Decimal
	if c.Subordinated, err = f.amount("subordinated"); err != nil {
		return nil, err
	}
	if c.Nonallowable, _, err = parseSum(f, "nonallowable"); err != nil {
		return nil, err
	}
	if c.Charges, c.Haircuts, err = parseSum(f, "charges"); err != nil {
		return nil, err
	}
	if total, err := f.number("total_capital"); err != nil {
		return nil, err
	} else if total.Valid && total.Decimal.Sub(c.Equity.Add(c.Subordinated)).Abs().Cmp(decimal.NewFromInt(1)) > 0 { // filed figures are rounded
		return nil, fmt.Errorf("total_capital: got %s, expected equity and subordinated, %s", total.Decimal, c.Equity.Add(c.Subordinated))
	}
	rows, err := f.list("positions")
	if err != nil {
		return nil, err
	}
	for i, raw := range rows {
		p, err := parsePosition(raw, fmt.Sprintf("positions[%d]", i))
		if err != nil {
			return nil, err
		}
		c.Positions = append(c.Positions, p)
	}
	return &c, nil
}

// parseSum reads a number or an object of numbers, none negative. What an object calls
// haircuts is summed apart.
func parseSum(f fields, name string) (sum, haircuts decimal.Decimal, err error) {
	if !f.has(name) || f.values[name][0] != '{' {
		sum, err = f.amount(name)
		return sum, haircuts, err
	}
	object, err := parseObject(f.values[name], f.name(name))
	if err != nil {
		return sum, haircuts, err
	}
	for key := range object.values {
		n, err := object.amount(key)
		if err != nil {
			return sum, haircuts, err
		}
		if key == "haircuts" {
			haircuts = n
		} else {
			sum = sum.Add(n)
		}
	}
	return sum, haircuts, nil
}

func parsePosition(data []byte, path string) (OwnPosition, error) {
	row, err := parseObject(data, path)
	if err != nil {
		return OwnPosition{}, err
	}
	var p OwnPosition
	if p.Asset, err = row.text("asset"); err != nil {
		return p, err
	}
	if p.Category, err = row.text("category"); err != nil {
		return p, err
	}
	if p.Asset == "" || p.Category == "" {
		return p, fmt.Errorf("%s: expected an asset and a category", path)
	}
	for name, to := range map[string]*decimal.Decimal{"long": &p.Long, "short": &p.Short, "share_price": &p.SharePrice} {
		if *to, err = row.amount(name); err != nil {
			return p, err
		}
	}
	if !row.has("maturity") {
		return p, nil
	}
	day, err := row.text("maturity")
	if err != nil {
		return p, err
	}
	if p.Maturity, err = ParseDate(day); err != nil {
		return p, fmt.Errorf("%s: %w", row.name("maturity"), err)
	}
	return p, nil
}

// withCapital is the input with its net capital computed, where it has the parts of it.
func (in NetCapitalInput) withCapital(rules Rules) (NetCapitalInput, []Haircut, error) {
	if in.Capital == nil {
		return in, nil, nil
	}
	if in.AsOf == 0 && len(in.Capital.Positions) > 0 {
		return in, nil, fmt.Errorf("as_of: missing, expected the day from which maturities count")
	}
	unit := decimal.NewFromInt(1)
	if in.Unit.Valid {
		unit = in.Unit.Decimal
	}
	tentative := in.Capital.tentative()
	if in.TentativeNetCapital.Valid && !in.TentativeNetCapital.Decimal.Equal(tentative) {
		return in, nil, fmt.Errorf("tentative_net_capital: got %s, expected %s, what its parts come to", in.TentativeNetCapital.Decimal, tentative)
	}
	cuts, err := rules.Haircuts.Take(in.Capital.Positions, in.AsOf, tentative, unit)
	if err != nil {
		return in, nil, err
	}
	in.TentativeNetCapital = decimal.NewNullDecimal(tentative)
	in.NetCapital = tentative.Sub(in.Capital.Haircuts)
	for _, c := range cuts {
		in.NetCapital = in.NetCapital.Sub(c.Deduction)
	}
	return in, cuts, nil
}
