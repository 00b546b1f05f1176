package reserve

import (
	"cmp"
	"fmt"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// debtors keeps item 10 as accounts move: which clients' accounts owe money, and how
// much of it their own securities secure.
type debtors struct {
	accounts map[custody.Account]*debtorAccount
	totals   [2]decimal.Decimal // by population
	// holders are the accounts that owe money, by each asset that decides how much
	// of it counts.
	holders map[custody.AssetID]map[custody.Account]struct{}
	// unpriced are the accounts whose debit cannot be valued.
	unpriced map[custody.Account]error
}

type debtorAccount struct {
	assets  []custody.AssetID
	owing   int             // how many currencies are owed
	secured decimal.Decimal // its part of the total
	indexed bool            // whether it stands in holders
}

func newDebtors() debtors {
	return debtors{
		accounts: map[custody.Account]*debtorAccount{}, holders: map[custody.AssetID]map[custody.Account]struct{}{},
		unpriced: map[custody.Account]error{},
	}
}

// open notes that an account has a position in an asset.
func (d *debtors) open(key Key) {
	a := d.accounts[key.Account]
	if a == nil {
		a = &debtorAccount{}
		d.accounts[key.Account] = a
	}
	a.assets = append(a.assets, key.Asset)
	if a.indexed {
		d.hold(key.Asset, key.Account)
	}
}

func (d *debtors) hold(asset custody.AssetID, account custody.Account) {
	if d.holders[asset] == nil {
		d.holders[asset] = map[custody.Account]struct{}{}
	}
	d.holders[asset][account] = struct{}{}
}

// moved notes that a position went from one settled quantity to another.
func (d *debtors) moved(account custody.Account, asset custody.Asset, before, after custody.Amount) {
	if asset.Class != custody.Cash {
		return
	}
	a := d.accounts[account]
	if before.Sign() < 0 {
		a.owing--
	}
	if after.Sign() < 0 {
		a.owing++
	}
}

// index puts the account into holders while it owes money, and takes it out after.
func (d *debtors) index(account custody.Account, a *debtorAccount) {
	if owes := a.owing > 0; owes == a.indexed {
		return
	}
	a.indexed = !a.indexed
	for _, asset := range a.assets {
		if a.indexed {
			d.hold(asset, account)
		} else {
			delete(d.holders[asset], account)
		}
	}
}

// debtor computes anew an account's part of item 10.
func (t *Tracker) debtor(account custody.Account) error {
	a := t.debtors.accounts[account]
	if a.owing == 0 && !a.indexed {
		return nil
	}
	t.debtors.index(account, a)
	delete(t.debtors.unpriced, account)
	secured := decimal.Zero
	if a.owing > 0 {
		lots := make([]lot, 0, len(a.assets))
		for _, id := range a.assets {
			asset, found := t.assets(id)
			if !found {
				return fmt.Errorf("item 10, %s: asset %s is no longer known", account, id)
			}
			lots = append(lots, lot{asset, t.positions[Key{account, id}].settled})
		}
		var err error
		if _, secured, err = securedDebit(lots, valuation(t.prices)); err != nil {
			t.debtors.unpriced[account] = err
			secured = decimal.Zero
		}
	}
	total := &t.debtors.totals[populationIndex(account.Type)]
	*total = total.Add(secured).Sub(a.secured)
	a.secured = secured
	return nil
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Account.Type, b.Account.Type), cmp.Compare(a.Account.Name, b.Account.Name), cmp.Compare(a.Asset, b.Asset))
}
