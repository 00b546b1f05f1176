package explain

import (
	"fmt"

	"github.com/shopspring/decimal"

	"goodcontrol/reserve"
)

// Explain says what a figure is made of, down to positions. [Term.Positions] then
// names those whose histories [Term.Fill] puts below them.
func (s State) Explain(l Line) (Term, error) {
	switch {
	case l.Asset != "":
		return s.controlFigure(l)
	case l.Population == "":
		return s.netCapital(), nil
	}
	c := s.computation(l.Population)
	if c.s.Params.Population != l.Population {
		return Term{}, fmt.Errorf("%s: the %s computation was not made", l, l.Population)
	}
	return c.figure(l.Name)
}

// computation is one population's statement with the books behind it.
type computation struct {
	state State
	s     reserve.Statement
	books reserve.PopulationBooks
}

func (s State) computation(p reserve.Population) computation {
	if p == reserve.PABAccounts {
		return computation{s, s.PAB, s.Books.PAB}
	}
	return computation{s, s.Customer, s.Books.Customer}
}

// figure is a figure by its name in a result.
func (c computation) figure(name string) (Term, error) {
	for i := reserve.Item(1); i <= reserve.OtherDebits; i++ {
		if itemName(i) == name {
			return c.item(i)
		}
	}
	switch name {
	case totalCredits:
		return c.sum(name, "Total credits", c.s.TotalCredits, reserve.Credit)
	case aggregateDebits:
		return c.sum(name, "Aggregate debit items", c.s.AggregateDebits, reserve.Debit)
	case debitReduction:
		return c.reduction(), nil
	case totalDebits:
		return c.difference(name, "Total 15c3-3 debits", c.s.TotalDebits, aggregateDebits, debitReduction)
	case excessCredits:
		return c.difference(name, "Excess of total credits over total debits", c.s.ExcessCredits, totalCredits, totalDebits)
	case excessDebits:
		return c.difference(name, "Excess of total debits over total credits", c.s.ExcessDebits, totalDebits, totalCredits)
	case covered:
		return c.covered(), nil
	case required:
		return c.required()
	case eligible:
		return c.deposits()
	case minimumDeposit:
		return c.funded(name, "To be deposited", required, eligible)
	case maximumTaken:
		return c.funded(name, "May be withdrawn", eligible, required)
	}
	return Term{}, fmt.Errorf("figure %q is not known", name)
}

func (c computation) line(name, caption, citation string, amount decimal.Decimal) Term {
	return Term{Kind: OfLine, Name: name, Caption: caption, Citation: citation, Amount: amount}
}

// item is a line of Exhibit A: the accounts in it, or the rows of a list.
func (c computation) item(i reserve.Item) (Term, error) {
	info := i.Info()
	t := c.line(itemName(i), info.Caption, info.Citation, c.s.Items.Amount(i))
	lists := map[reserve.Item][]reserve.Other{reserve.OtherCredits: c.s.Items.OtherCredits, reserve.OtherDebits: c.s.Items.OtherDebits}
	for _, o := range lists[i] {
		t.Terms = append(t.Terms, Term{Kind: OfRule, Name: o.Caption, Amount: o.Amount})
	}
	accounts, err := c.accounts(i)
	t.Terms = append(t.Terms, accounts...)
	return t.closed("stated without the accounts behind it"), err
}

// closed adds what a term's own terms leave over, with its reason.
func (t Term) closed(reason string) Term {
	rest := t.Amount
	for _, x := range t.Terms {
		rest = rest.Sub(x.Amount)
	}
	if !rest.IsZero() {
		t.Terms = append(t.Terms, Term{Kind: OfRule, Name: reason, Amount: rest})
	}
	return t
}

// sum is the total of one side. Items that are zero are not listed.
func (c computation) sum(name, caption string, amount decimal.Decimal, side reserve.LineSide) (Term, error) {
	t := c.line(name, caption, "17 CFR 240.15c3-3a", amount)
	for i := reserve.Item(1); i <= reserve.OtherDebits; i++ {
		if i.Info().Side != side {
			continue
		}
		item, err := c.item(i)
		if err != nil {
			return Term{}, err
		}
		if !item.Amount.IsZero() || len(item.Terms) > 0 {
			t.Terms = append(t.Terms, item)
		}
	}
	return t, nil
}

// reduction is the percentage of each debit item by which debits are cut.
func (c computation) reduction() Term {
	t := c.line(debitReduction, fmt.Sprintf("Less %s%% of debits", c.s.ReductionRate.Shift(2)), "17 CFR 240.15c3-1(a)(1)(ii)(A); 15c3-3a Note E(3)", c.s.Reduction)
	rest := c.s.Reduction
	for i := reserve.Item(10); i <= reserve.OtherDebits && !rest.IsZero(); i++ {
		amount := c.s.Items.Amount(i).Mul(c.s.ReductionRate)
		if i.Info().Side != reserve.Debit || amount.IsZero() || c.s.Params.Method == reserve.Basic && i != 10 {
			continue
		}
		t.Terms = append(t.Terms, Term{Kind: OfRule, Name: fmt.Sprintf("%s%% of %s", c.s.ReductionRate.Shift(2), itemName(i)), Amount: amount})
	}
	return t.closed("rate of the rule")
}

// negative turns a figure into what is taken away.
func negative(t Term) Term {
	t.Amount = t.Amount.Neg()
	if t.at != nil {
		at := *t.at
		at.unit = at.unit.Neg()
		t.at = &at
	}
	if t.Price.Valid {
		t.Price.Decimal = t.Price.Decimal.Neg()
	}
	terms := t.Terms
	t.Terms = make([]Term, 0, len(terms))
	for _, x := range terms {
		t.Terms = append(t.Terms, negative(x))
	}
	return t
}

const floorReason = "not less than zero: the difference has the other sign"

// difference is one figure less another, and not less than zero.
func (c computation) difference(name, caption string, amount decimal.Decimal, plus, less string) (Term, error) {
	t := c.line(name, caption, "17 CFR 240.15c3-3a line 16", amount)
	a, err := c.figure(plus)
	if err != nil {
		return Term{}, err
	}
	b, err := c.figure(less)
	if err != nil {
		return Term{}, err
	}
	t.Terms = []Term{a, negative(b)}
	return t.closed(floorReason), nil
}

// covered is how much of a PAB excess the customers' excess debits cover.
func (c computation) covered() Term {
	t := c.line(covered, "Covered by excess debits of the customer computation", "17 CFR 240.15c3-3(e)(4)", c.s.CoveredByCustomer)
	if !c.s.Params.CustomerExcessDebits.IsZero() {
		t.Terms = []Term{{Kind: OfLine, Name: "reserve/customer/" + excessDebits, Amount: c.s.Params.CustomerExcessDebits}}
	}
	return t.closed("not more than the excess to be covered")
}

// required is what must be on deposit.
func (c computation) required() (Term, error) {
	t := c.line(required, "Required on deposit", "17 CFR 240.15c3-3(e)(1)", c.s.Required)
	excess, err := c.figure(excessCredits)
	if err != nil {
		return Term{}, err
	}
	t.Terms = []Term{excess}
	if !c.s.CoveredByCustomer.IsZero() {
		t.Terms = append(t.Terms, negative(c.covered()))
	}
	return t.closed("monthly computations are deposited with more (15c3-3(e)(3)(i)(C))"), nil
}

// funded compares what is required with what is on deposit.
func (c computation) funded(name, caption, plus, less string) (Term, error) {
	if c.s.Funding == nil {
		return Term{}, fmt.Errorf("%s: nothing is known of deposits", name)
	}
	amount := c.s.Funding.MinimumDeposit
	if name == maximumTaken {
		amount = c.s.Funding.MaximumWithdrawal
	}
	return c.difference(name, caption, amount, plus, less)
}

// netCapital is the requirement under the alternative method: a share of the customer
// computation's debits, or the minimum if that is more. What net capital the firm has
// is not in these books.
func (s State) netCapital() Term {
	c := s.computation(reserve.CustomerAccounts)
	numbers := c.s.Params.Rules.NetCapital
	share := c.s.AggregateDebits.Mul(numbers.DebitShare)
	t := c.line(requirement, "Net capital requirement", "17 CFR 240.15c3-1(a)(1)(ii)(A), (a)(2)(i)", decimal.Max(share, numbers.Floor))
	for i := reserve.Item(10); i <= reserve.OtherDebits; i++ {
		if amount := c.s.Items.Amount(i); i.Info().Side == reserve.Debit && !amount.IsZero() {
			t.Terms = append(t.Terms, Term{
				Kind: OfRule, Name: fmt.Sprintf("%s%% of %s", numbers.DebitShare.Shift(2), itemName(i)), Amount: amount.Mul(numbers.DebitShare),
			})
		}
	}
	return t.closed("the minimum of a firm that carries customers' accounts is more")
}
