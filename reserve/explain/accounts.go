package explain

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/reserve"
)

// accounts are the accounts in an item, and those whose debit it leaves out, the
// largest first.
func (c computation) accounts(i reserve.Item) ([]Term, error) {
	parts := map[reserve.Key]*part{}
	of := func(d reserve.Driver) *part {
		key := reserve.Key{Account: d.Account, Asset: d.Asset}
		if parts[key] == nil {
			parts[key] = &part{item: i, key: key}
		}
		return parts[key]
	}
	for _, d := range c.books.Drivers {
		if d.Item == i {
			p := of(d)
			p.amount = p.amount.Add(d.Amount)
		}
	}
	for _, x := range c.books.LeftOut {
		if x.Item == i {
			p := of(x.Driver)
			p.without = append(p.without, x)
		}
	}
	var terms []Term
	for _, p := range parts {
		t, err := c.account(*p)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", itemName(i), p.key.Account, err)
		}
		terms = append(terms, t)
	}
	slices.SortFunc(terms, func(a, b Term) int { return cmp.Or(b.Amount.Cmp(a.Amount), cmp.Compare(a.Name, b.Name)) })
	return terms, nil
}

// part is an account's part in an item. The asset is empty where the account counts
// as a whole.
type part struct {
	item    reserve.Item
	key     reserve.Key
	amount  decimal.Decimal
	without []reserve.LeftOut
}

// account is the term of an account's part: its positions, what of them the rule
// leaves out with its reasons, and what else the rule does.
func (c computation) account(p part) (Term, error) {
	t := Term{Kind: OfAccount, Name: p.key.Account.String(), Amount: p.amount}
	if p.key.Asset != "" {
		t.Name += " of " + string(p.key.Asset)
	}
	for _, key := range c.state.behind(p) {
		position, err := c.state.valued(key, p.item)
		if err != nil {
			return Term{}, err
		}
		t.Terms = append(t.Terms, position)
	}
	for _, x := range p.without {
		t.Terms = append(t.Terms, Term{Kind: OfRule, Name: x.Reason, Amount: x.Amount.Neg()})
	}
	return t.closed(ruleOf(p.item)), nil
}

// ruleOf names what an item does beside valuing positions.
func ruleOf(i reserve.Item) string {
	switch i {
	case 1:
		return "what is not a credit balance stands in another line"
	case 9, 12:
		return "by how long it has stood, and whose it is by the allocation of the stock record"
	case 10:
		return "debits that Note E leaves out"
	case 2, 3, 4:
		return "whose the securities are by the allocation of the stock record, and Notes B to D"
	case 11:
		return "for whose shorts and fails it was borrowed, by the allocation of the stock record"
	case 13, 14, 15:
		return "margin over what is required and proven"
	}
	return "by the rule of the line"
}

// behind are the positions that an account's part comes from: the one of its asset,
// or those that make the account count as a whole.
func (s State) behind(p part) []reserve.Key {
	if p.key.Asset != "" {
		return []reserve.Key{p.key}
	}
	var keys []reserve.Key
	for key, quantity := range s.Positions {
		asset, found := s.Assets(key.Asset)
		if key.Account != p.key.Account || !found || quantity.IsZero() {
			continue
		}
		owed := quantity.Sign() < 0
		switch {
		case (p.item == 10 || p.item == 11) && asset.Class == custody.Cash && owed,
			p.item != 10 && p.item != 11 && !owed && (asset.Class == custody.Cash || asset.Class == custody.QualifiedSecurity):
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b reserve.Key) int { return cmp.Compare(a.Asset, b.Asset) })
	return keys
}

// valued is the term of a position at its price. What counts is how much there is,
// whichever side of zero it stands on.
func (s State) valued(key reserve.Key, item reserve.Item) (Term, error) {
	asset, found := s.Assets(key.Asset)
	if !found {
		return Term{}, fmt.Errorf("asset %s is not known", key.Asset)
	}
	unit, err := s.price(asset)
	if err != nil {
		return Term{}, err
	}
	if sign := s.Positions[key].Sign(); sign < 0 || sign == 0 && item == 10 {
		unit = unit.Neg()
	}
	return s.position(place{key.Account, asset, unit, true}), nil
}

// price is what one whole unit is worth in dollars.
func (s State) price(a custody.Asset) (decimal.Decimal, error) {
	if a.ID == custody.USD {
		return decimal.NewFromInt(1), nil
	}
	p, found := s.Prices[a.ID]
	if !found {
		return decimal.Zero, fmt.Errorf("%s: %w", a.ID, reserve.ErrMissingPrice)
	}
	return p.USD, nil
}

// deposits is what counts as on deposit: the positions in each reserve account, less
// what is on its way out or does not count.
func (c computation) deposits() (Term, error) {
	if c.s.Funding == nil {
		return Term{}, fmt.Errorf("%s: nothing is known of deposits", eligible)
	}
	t := c.line(eligible, "On deposit and eligible", "17 CFR 240.15c3-3(e)(1), (e)(5), (f)", c.s.Funding.Eligible)
	for _, d := range c.s.Funding.Deposits {
		account, err := custody.ParseAccount(d.Account)
		if err != nil {
			return Term{}, fmt.Errorf("deposit: %w", err)
		}
		id := custody.AssetID(d.Asset)
		if d.Asset == "USD" {
			id = custody.USD
		}
		position, err := c.state.valued(reserve.Key{Account: account, Asset: id}, 0)
		if err != nil {
			return Term{}, fmt.Errorf("deposit at %s: %w", account, err)
		}
		term := Term{Kind: OfAccount, Name: position.Name, Caption: d.Bank, Amount: d.Counted, Terms: []Term{position}}
		if out := d.Amount.Sub(position.Amount); !out.IsZero() {
			term.Terms = append(term.Terms, Term{Kind: OfRule, Name: "on its way out of the account", Amount: out})
		}
		t.Terms = append(t.Terms, term.closed(c.ineligible(d)))
	}
	for _, x := range c.s.Funding.Ineligible {
		if asset, found := c.state.Assets(custody.AssetID(x.Asset)); found && asset.Class != custody.Cash && asset.Class != custody.QualifiedSecurity {
			t.Terms = append(t.Terms, Term{Kind: OfRule, Name: fmt.Sprintf("%s %s: %s", x.Amount, asset.Symbol, x.Reason)})
		}
	}
	return t.closed("stated without the accounts behind it"), nil
}

// ineligible is why a part of a deposit does not count.
func (c computation) ineligible(d reserve.Counted) string {
	left := d.Amount.Sub(d.Counted).String()
	for _, x := range c.s.Funding.Ineligible {
		if x.Asset == d.Asset && x.Amount == left {
			return x.Reason
		}
	}
	return "does not count as deposited"
}
