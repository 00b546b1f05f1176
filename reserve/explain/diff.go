package explain

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"
)

// Diff says what moved a figure from one moment to another. A position's part is what
// the entries between the two did, at the later price; what the price did to what was
// there before; and what the rule did beside that, each a term of its own.
func Diff(from, to State, l Line) (Term, error) {
	before, err := from.Explain(l)
	if err != nil {
		return Term{}, err
	}
	after, err := to.Explain(l)
	if err != nil {
		return Term{}, err
	}
	t, err := differ{from, to}.term(&before, &after)
	t.order()
	return t, err
}

type differ struct{ from, to State }

// term is the difference of two terms of the same name. Either may be missing.
func (d differ) term(before, after *Term) (Term, error) {
	x := cmp.Or(after, before)
	t := Term{Kind: x.Kind, Name: x.Name, Caption: x.Caption, Citation: x.Citation}
	if after != nil {
		t.Amount = after.Amount
	}
	if before != nil {
		t.Amount = t.Amount.Sub(before.Amount)
	}
	if t.Kind == OfPosition {
		return d.position(t, before, after)
	}
	for _, pair := range pairs(before, after) {
		x, err := d.term(pair[0], pair[1])
		if err != nil {
			return Term{}, err
		}
		if !x.Amount.IsZero() || len(x.Terms) > 0 {
			t.Terms = append(t.Terms, x)
		}
	}
	return t, nil
}

// pairs finds the terms of two that have the same name, in the order of the later.
func pairs(before, after *Term) [][2]*Term {
	var all [][2]*Term
	index := map[string]int{}
	name := func(t *Term) string { return string(t.Kind) + " " + t.Name }
	if after != nil {
		for i := range after.Terms {
			x := &after.Terms[i]
			index[name(x)] = len(all)
			all = append(all, [2]*Term{nil, x})
		}
	}
	if before != nil {
		for i := range before.Terms {
			x := &before.Terms[i]
			if at, found := index[name(x)]; found && all[at][0] == nil {
				all[at][0] = x
				continue
			}
			all = append(all, [2]*Term{x, nil})
		}
	}
	return all
}

// position is what moved a position's part. A position that counts at one of the two
// moments only is followed all the same: it was there, and the line did not count it.
func (d differ) position(t Term, before, after *Term) (Term, error) {
	now := *cmp.Or(after, before).at
	then := now
	if before != nil {
		then = *before.at
	} else {
		then.unit = d.from.unit(now)
	}
	if after == nil {
		now.unit = d.to.unit(then)
	}
	was, is := d.from.Positions[now.key()], d.to.Positions[now.key()]
	change, ok := is.Sub(was)
	if !ok {
		return Term{}, fmt.Errorf("%s: from %s to %s: overflow", t.Name, was, is)
	}
	if !change.IsZero() {
		// What the entries did, at what a unit adds now. Fill puts them below.
		moved := now.moved(OfPosition, "entries", change)
		moved.at = &now
		t.Terms = append(t.Terms, moved)
	}
	held, rise := was.Decimal(now.asset.Scale), now.unit.Sub(then.unit)
	if effect := held.Mul(rise); !effect.IsZero() {
		t.Terms = append(t.Terms, Term{
			Kind: OfRule, Name: "price of what was there before", Amount: effect,
			Quantity: decimal.NewNullDecimal(held), Price: decimal.NewNullDecimal(rise),
		})
	}
	return t.closed("came to count, or ceased to, by the rule of the line"), nil
}

// unit is what one unit of a position would add to the figure in a state in which it
// does not count, on the side on which it does in the other. Where there is no price
// the other state's stands for it.
func (s State) unit(p place) decimal.Decimal {
	if !p.priced {
		return p.unit
	}
	unit, err := s.price(p.asset)
	switch {
	case err != nil:
		return p.unit
	case p.unit.IsNegative():
		return unit.Neg()
	}
	return unit
}

// order puts accounts in the order of how much they moved a line, the most first.
func (t *Term) order() {
	for i := range t.Terms {
		t.Terms[i].order()
	}
	slices.SortStableFunc(t.Terms, func(a, b Term) int {
		if a.Kind != OfAccount || b.Kind != OfAccount {
			return 0
		}
		return b.Amount.Abs().Cmp(a.Amount.Abs())
	})
}
