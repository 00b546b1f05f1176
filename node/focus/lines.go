package focus

import (
	"fmt"
	"strings"

	"github.com/shopspring/decimal"

	"goodcontrol/reserve"
)

// The keys of the lines that are no items.
const (
	keyRate           = "debit_reduction_rate"
	keyFactor         = "deposit_factor"
	keyCustomerExcess = "customer_excess_debits"
	keyCredits        = "total_credits"
	keyAggregate      = "aggregate_debit_items"
	keyReduction      = "debit_reduction"
	keyDebits         = "total_debits"
	keyExcessDebits   = "excess_debits_over_credits"
	keyExcessCredits  = "excess_credits_over_debits"
	keyCovered        = "covered_by_customer_excess_debits"
	keyRequired       = "required_on_deposit"
	keyHeld           = "eligible_on_deposit"
	keyQualified      = "eligible_qualified_securities"
	keyDeposit        = "minimum_deposit"
	keyWithdrawal     = "maximum_withdrawal"
	keyAfter          = "on_deposit_after"
)

func itemKey(i reserve.Item) string {
	if i <= 15 {
		return "item" + i.String()
	}
	return i.String()
}

// values are figures by the keys of their lines.
type values = map[string]decimal.Decimal

// rules say how each line follows from others; their text stands in the line's
// formula for a spreadsheet.
var rules = map[string]func(values, Document) decimal.Decimal{
	keyCredits:   func(v values, _ Document) decimal.Decimal { return sumOf(v, reserve.Credit) },
	keyAggregate: func(v values, _ Document) decimal.Decimal { return sumOf(v, reserve.Debit) },
	keyReduction: func(v values, d Document) decimal.Decimal {
		if d.Method == reserve.Basic {
			return v["item10"].Mul(v[keyRate])
		}
		return v[keyAggregate].Mul(v[keyRate])
	},
	keyDebits:        func(v values, _ Document) decimal.Decimal { return v[keyAggregate].Sub(v[keyReduction]) },
	keyExcessDebits:  func(v values, _ Document) decimal.Decimal { return over(v[keyDebits], v[keyCredits]) },
	keyExcessCredits: func(v values, _ Document) decimal.Decimal { return over(v[keyCredits], v[keyDebits]) },
	keyCovered: func(v values, _ Document) decimal.Decimal {
		return decimal.Min(v[keyExcessCredits], v[keyCustomerExcess])
	},
	keyRequired: func(v values, _ Document) decimal.Decimal {
		return v[keyExcessCredits].Sub(v[keyCovered]).Mul(v[keyFactor])
	},
	keyDeposit:    func(v values, _ Document) decimal.Decimal { return over(v[keyRequired], v[keyHeld]) },
	keyWithdrawal: func(v values, _ Document) decimal.Decimal { return over(v[keyHeld], v[keyRequired]) },
	keyAfter:      func(v values, _ Document) decimal.Decimal { return v[keyHeld].Add(v[keyDeposit]) },
}

func over(a, b decimal.Decimal) decimal.Decimal { return decimal.Max(a.Sub(b), decimal.Zero) }

func sumOf(v values, side reserve.LineSide) decimal.Decimal {
	sum := decimal.Zero
	for i := reserve.Item(1); i <= reserve.OtherDebits; i++ {
		if i.Info().Side == side {
			sum = sum.Add(v[itemKey(i)])
		}
	}
	return sum
}

// printer makes lines of figures.
type printer struct {
	places int32
	lines  []Line
}

func (p *printer) figure(l Line, d decimal.Decimal) {
	l.Exact, l.Amount = decimal.NewNullDecimal(d), d.StringFixed(p.places)
	p.lines = append(p.lines, l)
}

func (p *printer) parameter(key, caption, citation string, d decimal.Decimal) {
	p.lines = append(p.lines, Line{Key: key, Section: Parameters, Caption: caption, Citation: citation, Exact: decimal.NewNullDecimal(d), Amount: d.String()})
}

// linesOf are the lines of a statement in the order of the form. The boxes are those
// of the customer computation; the form prints others for PAB, which are not known
// here.
func linesOf(s reserve.Statement, places int32) []Line {
	p := &printer{places: places}
	customer := s.Params.Population == reserve.CustomerAccounts
	box := func(code string) string {
		if customer {
			return code
		}
		return ""
	}
	factor := decimal.NewFromInt(1)
	if s.Params.Frequency == reserve.Monthly {
		factor = s.Params.Rules.Reserve.MonthlyFactor
	}
	p.parameter(keyRate, "Reduction of debits", "17 CFR 240.15c3-1(a)(1)(ii)(A); 15c3-3a Note E(3)", s.ReductionRate)
	p.parameter(keyFactor, "Share of the excess to be deposited", "17 CFR 240.15c3-3(e)(3)(i)(C)", factor)
	p.parameter(keyCustomerExcess, "Excess debits of the customer computation of the same day", "17 CFR 240.15c3-3(e)(4)", s.Params.CustomerExcessDebits)
	p.side(s, reserve.Credit, Credits, box)
	p.figure(Line{Key: keyCredits, Section: Credits, Box: box("4430"), Caption: "Total credits", Formula: "SUM({item1}:{other_credits})"}, s.TotalCredits)
	p.side(s, reserve.Debit, Debits, box)
	p.figure(Line{Key: keyAggregate, Section: Debits, Box: box("4470"), Caption: "Aggregate debit items", Formula: "SUM({item10}:{other_debits})"}, s.AggregateDebits)
	reduced := keyAggregate
	if s.Params.Method == reserve.Basic {
		reduced = "item10"
	}
	p.figure(Line{
		Key: keyReduction, Section: Debits, Box: box("4471"), Caption: fmt.Sprintf("Less %s%%", s.ReductionRate.Shift(2)),
		Citation: "17 CFR 240.15c3-1(a)(1)(ii)(A); 15c3-3a Note E(3)", Formula: "{" + reduced + "}*{" + keyRate + "}",
	}, s.Reduction)
	p.figure(Line{Key: keyDebits, Section: Debits, Box: box("4472"), Caption: "Total 15c3-3 debits", Formula: "{aggregate_debit_items}-{debit_reduction}"}, s.TotalDebits)
	p.computation(s, box)
	p.deposit(s, box)
	return p.lines
}

func (p *printer) side(s reserve.Statement, side reserve.LineSide, section Section, box func(string) string) {
	for i := reserve.Item(1); i <= reserve.OtherDebits; i++ {
		if info := i.Info(); info.Side == side {
			p.figure(Line{Key: itemKey(i), Section: section, Item: i.String(), Box: box(info.Box), Caption: info.Caption, Citation: info.Citation}, s.Items.Amount(i))
		}
	}
}

func (p *printer) computation(s reserve.Statement, box func(string) string) {
	const line16 = "17 CFR 240.15c3-3a line 16"
	p.figure(Line{
		Key: keyExcessDebits, Section: Computation, Box: box("4480"), Caption: "Excess of total debits over total credits", Citation: line16,
		Formula: "MAX(0,{total_debits}-{total_credits})",
	}, s.ExcessDebits)
	p.figure(Line{
		Key: keyExcessCredits, Section: Computation, Box: box("4490"), Caption: "Excess of total credits over total debits", Citation: line16,
		Formula: "MAX(0,{total_credits}-{total_debits})",
	}, s.ExcessCredits)
	if s.Params.Population == reserve.PABAccounts {
		p.figure(Line{
			Key: keyCovered, Section: Computation, Caption: "Covered by excess debits of the customer computation", Citation: "17 CFR 240.15c3-3(e)(4)",
			Formula: "MIN({excess_credits_over_debits},{customer_excess_debits})",
		}, s.CoveredByCustomer)
	} else {
		p.figure(Line{Key: keyCovered, Section: Computation, Caption: "Covered by another computation", Citation: "17 CFR 240.15c3-3(e)(4)"}, decimal.Zero)
	}
	required := Line{
		Key: keyRequired, Section: Computation, Caption: "Required on deposit", Citation: "17 CFR 240.15c3-3(e)(1)",
		Formula: "({excess_credits_over_debits}-{covered_by_customer_excess_debits})*{deposit_factor}",
	}
	if s.Params.Frequency == reserve.Monthly {
		required.Box, required.Caption = box("4500"), "If computation permitted on a monthly basis, 105% of the excess of total credits over total debits"
	}
	p.figure(required, s.Required)
}

func (p *printer) deposit(s reserve.Statement, box func(string) string) {
	frequency := Line{Key: "frequency", Section: OnDeposit, Caption: "Frequency of computation", Text: string(s.Params.Frequency)}
	frequency.Box = box(map[reserve.Frequency]string{reserve.Daily: "4332", reserve.Weekly: "4333", reserve.Monthly: "4334"}[s.Params.Frequency])
	if f := s.Funding; f != nil {
		qualified := decimal.Zero
		for _, x := range f.Deposits {
			if x.Asset != "USD" {
				qualified = qualified.Add(x.Counted)
			}
		}
		p.figure(Line{
			Key: keyHeld, Section: OnDeposit, Box: box("4510"), Caption: "Held on deposit and eligible, qualified securities included", Citation: "17 CFR 240.15c3-3(e)(1), (e)(5), (f)",
		}, f.Eligible)
		p.figure(Line{Key: keyQualified, Section: OnDeposit, Caption: "of which qualified securities", Citation: "17 CFR 240.15c3-3(a)(6)"}, qualified)
		p.figure(Line{
			Key: keyDeposit, Section: OnDeposit, Box: box("4520"), Caption: "Deposit required", Citation: "17 CFR 240.15c3-3(e)(3)",
			Formula: "MAX(0,{required_on_deposit}-{eligible_on_deposit})",
		}, f.MinimumDeposit)
		p.figure(Line{
			Key: keyAfter, Section: OnDeposit, Box: box("4530"), Caption: "On deposit after the deposit required", Formula: "{eligible_on_deposit}+{minimum_deposit}",
		}, f.Eligible.Add(f.MinimumDeposit))
		p.figure(Line{
			Key: keyWithdrawal, Section: OnDeposit, Caption: "May be withdrawn on the strength of this computation", Citation: "17 CFR 240.15c3-3(g)",
			Formula: "MAX(0,{eligible_on_deposit}-{required_on_deposit})",
		}, f.MaximumWithdrawal)
	}
	due := Line{Key: "deposit_date", Section: OnDeposit, Box: box("4540"), Caption: "Deposit due by", Citation: "17 CFR 240.15c3-3(e)(3)", Text: s.Deadline.Due.Format("2006-01-02 15:04 MST")}
	p.lines = append(p.lines, due, frequency)
}

// cellFormula puts cells in the place of the keys of a formula.
func cellFormula(formula string, cell map[string]string) string {
	for key, at := range cell {
		formula = strings.ReplaceAll(formula, "{"+key+"}", at)
	}
	return formula
}
