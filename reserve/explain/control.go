package explain

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

const controlCitation = "17 CFR 240.15c3-3(b), (c), (d)"

// controlFigure is a figure of possession or control, in whole units of its asset.
func (s State) controlFigure(l Line) (Term, error) {
	asset, found := s.Assets(l.Asset)
	if !found {
		return Term{}, fmt.Errorf("%s: asset %s is not known", l, l.Asset)
	}
	figure := reserve.SecurityControl{Asset: l.Asset}
	for _, c := range s.Control {
		if c.Asset == l.Asset {
			figure = c
		}
	}
	whole := func(a custody.Amount) decimal.Decimal { return a.Decimal(asset.Scale) }
	owed := s.controlSide(controlRequired, "Required in possession or control", asset, whole(figure.Required), isOwed, "not required by the rule of possession or control")
	there := s.controlSide(controlIn, "In good control", asset, whole(figure.InControl), inGoodControl, "in a wallet of one owner's, over what that owner is owed: it covers nobody else")
	switch l.Name {
	case controlRequired:
		return owed, nil
	case controlIn:
		return there, nil
	}
	t := Term{Kind: OfLine, Name: controlDeficit, Caption: "Deficit of " + asset.Symbol, Citation: controlCitation, Amount: whole(figure.Deficit)}
	t.Terms = []Term{owed, negative(there)}
	return t.closed("more is in control than is required"), nil
}

// isOwed says whether a position is owed to clients, or may be theirs.
func isOwed(a custody.Account, quantity custody.Amount) bool {
	owner := a.Type.Owner()
	return (owner == custody.Customer || owner == custody.PAB || owner == custody.Suspense) && quantity.Sign() > 0
}

func inGoodControl(a custody.Account, _ custody.Amount) bool {
	return a.Type.Control() == custody.GoodControl
}

// controlSide is what is required, or what is in control, by account.
func (s State) controlSide(name, caption string, asset custody.Asset, amount decimal.Decimal, counts func(custody.Account, custody.Amount) bool, rest string) Term {
	t := Term{Kind: OfLine, Name: name, Caption: caption, Citation: controlCitation, Amount: amount}
	for key, quantity := range s.Positions {
		if key.Asset != asset.ID || quantity.IsZero() || !counts(key.Account, quantity) {
			continue
		}
		position := s.position(place{account: key.Account, asset: asset, unit: decimal.NewFromInt(1)})
		t.Terms = append(t.Terms, Term{Kind: OfAccount, Name: position.Name, Amount: position.Amount, Terms: []Term{position}})
	}
	slices.SortFunc(t.Terms, func(a, b Term) int { return cmp.Or(b.Amount.Cmp(a.Amount), cmp.Compare(a.Name, b.Name)) })
	return t.closed(rest)
}
