package reserve

import (
	"fmt"
	"maps"
	"slices"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// Selection is which margin securities of customers the firm may use, by account: of the
// rest, excess margin and what is fully paid must be in control, 15c3-3(a)(3) to (a)(5).
// Without one all of a margin account must be.
type Selection map[custody.Account]map[custody.AssetID]custody.Amount

// Released is what a selection lets the firm use of each asset, and why it does not where
// it no longer holds: what is left must be worth at least the excess margin at the prices
// of the moment. An account of which it does not is wholly in control again.
type Released struct {
	By     map[custody.AssetID]custody.Amount
	Lapsed map[custody.Account]string
}

// release judges a selection. Lots are the positions of an account.
func (s Selection) release(lots func(custody.Account) ([]lot, error), value valuer, pack Pack) (Released, error) {
	r := Released{By: map[custody.AssetID]custody.Amount{}, Lapsed: map[custody.Account]string{}}
	for _, account := range slices.SortedFunc(maps.Keys(s), compareAccounts) {
		held, err := lots(account)
		if err != nil {
			return r, err
		}
		if why := lapsed(account, s[account], held, value, pack); why != "" {
			r.Lapsed[account] = why
			continue
		}
		for id, quantity := range s[account] {
			sum := r.By[id]
			if err := add(&sum, quantity); err != nil {
				return r, fmt.Errorf("released of %s: %w", id, err)
			}
			r.By[id] = sum
		}
	}
	return r, nil
}

// lapsed says why a selection of one account does not hold, or nothing.
func lapsed(account custody.Account, released map[custody.AssetID]custody.Amount, held []lot, value valuer, pack Pack) string {
	if account.Type != custody.CustomerMargin {
		return "only of a customer's margin account may securities be used"
	}
	owed, _, err := securedDebit(held, value)
	if err != nil {
		return err.Error()
	}
	worth, used, seen := decimal.Zero, decimal.Zero, 0
	for _, l := range held {
		if l.quantity.Sign() <= 0 || l.asset.Class != custody.Security && l.asset.Class != custody.QualifiedSecurity {
			continue
		}
		v, err := value(l)
		if err != nil {
			return err.Error()
		}
		worth = worth.Add(v)
		part, is := released[l.asset.ID]
		if !is {
			continue
		}
		seen++
		if part.Sign() < 0 || part.Cmp(l.quantity) > 0 {
			return fmt.Sprintf("%s of %s are released, and %s are there", part, l.asset.ID, l.quantity)
		}
		v, err = value(lot{l.asset, part})
		if err != nil {
			return err.Error()
		}
		used = used.Add(v)
	}
	if seen != len(released) {
		return "a security is released that the account does not have"
	}
	if locked, excess := worth.Sub(used), ExcessMargin(worth, owed, pack); locked.Cmp(excess) < 0 {
		return fmt.Sprintf("securities worth %s are left in control, and excess margin is %s", locked, excess)
	}
	return ""
}

// Reselection is the record of a change of selection, before and after.
type Reselection struct {
	Before  Selection           `json:"before"`
	After   Selection           `json:"after"`
	Changes []ReselectedControl `json:"changes"`
}

// ReselectedControl is what a change of selection does to one security.
type ReselectedControl struct {
	Asset                       custody.AssetID
	RequiredBefore, DeficitFrom custody.Amount
	RequiredAfter, DeficitTo    custody.Amount
}

// Reselect says whether one selection may stand in the place of another: no security's
// deficit may be created or grow, and no account may lapse. Since when a deficit stands is
// not touched by it, so no clock starts anew.
func (t *Tracker) Reselect(before, after Selection, register ControlRegister) (Reselection, error) {
	r := Reselection{Before: before, After: after}
	register.Selection = before
	was, err := t.Control(&register)
	if err != nil {
		return r, err
	}
	register.Selection = after
	judged, err := t.released(&register)
	if err != nil {
		return r, err
	}
	for account, why := range judged.Lapsed {
		return r, fmt.Errorf("selection of %s: %s", account, why)
	}
	is, err := t.Control(&register)
	if err != nil {
		return r, err
	}
	old := map[custody.AssetID]SecurityControl{}
	for _, c := range was {
		old[c.Asset] = c
	}
	for _, c := range is {
		o := old[c.Asset]
		if c.Deficit.Cmp(o.Deficit) > 0 {
			return r, fmt.Errorf("selection: the deficit of %s would grow from %s to %s", c.Asset, o.Deficit, c.Deficit)
		}
		if c.Required != o.Required {
			r.Changes = append(r.Changes, ReselectedControl{c.Asset, o.Required, o.Deficit, c.Required, c.Deficit})
		}
	}
	return r, nil
}

// released judges the register's selection by the tracker's own positions and prices.
func (t *Tracker) released(register *ControlRegister) (Released, error) {
	if register == nil || len(register.Selection) == 0 {
		return Released{}, nil
	}
	return register.Selection.release(func(account custody.Account) ([]lot, error) {
		a := t.debtors.accounts[account]
		if a == nil {
			return nil, nil
		}
		return t.lots(account, a)
	}, valuation(t.prices), register.Rules)
}

// lots are an account's settled positions.
func (t *Tracker) lots(account custody.Account, a *debtorAccount) ([]lot, error) {
	lots := make([]lot, 0, len(a.assets))
	for _, id := range a.assets {
		asset, found := t.assets(id)
		if !found {
			return nil, fmt.Errorf("%s: asset %s is no longer known", account, id)
		}
		lots = append(lots, lot{asset, t.positions[Key{account, id}].settled})
	}
	return lots, nil
}

// releasedOf judges the register's selection by positions and the register's prices.
func releasedOf(positions []custody.Position, assets AssetLookup, register *ControlRegister) (Released, error) {
	if register == nil || len(register.Selection) == 0 {
		return Released{}, nil
	}
	byAccount := map[custody.Account][]lot{}
	for _, p := range positions {
		if _, selected := register.Selection[p.Account]; selected {
			asset, _ := assets(p.Asset) // Control has looked it up
			byAccount[p.Account] = append(byAccount[p.Account], lot{asset, p.Settled})
		}
	}
	return register.Selection.release(func(a custody.Account) ([]lot, error) { return byAccount[a], nil }, valuation(register.Prices), register.Rules)
}
