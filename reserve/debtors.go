package reserve

import (
	"cmp"
	"fmt"

	"goodcontrol/custody"
)

// debtors keeps item 10 as accounts move: which clients' accounts owe money, and how
// much of it their own securities secure.
type debtors struct {
	accounts map[custody.Account]*debtorAccount
	sums     [2]*debits // by population
	touched  []custody.Account
	// numbers are those of the rule under which the sums were made.
	numbers ReserveNumbers
	// holders are the accounts that owe money, by each asset that decides how much
	// of it counts.
	holders map[custody.AssetID]map[custody.Account]struct{}
	// unpriced are the accounts whose debit cannot be valued.
	unpriced map[custody.Account]error
}

type debtorAccount struct {
	assets  []custody.AssetID
	owing   int   // how many currencies are owed
	part    debit // of the sums
	indexed bool  // whether it stands in holders
	touched bool  // whether it stands in touched
}

func newDebtors() debtors {
	return debtors{
		accounts: map[custody.Account]*debtorAccount{}, sums: [2]*debits{newDebits(), newDebits()}, holders: map[custody.AssetID]map[custody.Account]struct{}{},
		unpriced: map[custody.Account]error{},
	}
}

// touch notes that an account's part has to be computed anew before the entry is folded.
func (d *debtors) touch(account custody.Account) {
	if a := d.accounts[account]; (a.owing > 0 || a.indexed) && !a.touched {
		a.touched = true
		d.touched = append(d.touched, account)
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
	sums := t.debtors.sums[populationIndex(account.Type)]
	sums.add(a.part, -1)
	a.part = debit{}
	if a.owing > 0 {
		lots, err := t.lots(account, a)
		if err != nil {
			return fmt.Errorf("item 10: %w", err)
		}
		if a.part, err = debitOf(account, lots, valuation(t.prices), t.shown[account], t.debtors.numbers); err != nil {
			t.debtors.unpriced[account] = err
			a.part = debit{}
		}
	}
	sums.add(a.part, 1)
	return nil
}

// debtorsTouched computes anew the accounts that an entry touched.
func (t *Tracker) debtorsTouched() error {
	for _, account := range t.debtors.touched {
		t.debtors.accounts[account].touched = false
		if err := t.debtor(account); err != nil {
			return err
		}
	}
	t.debtors.touched = t.debtors.touched[:0]
	return nil
}

// debtorRules makes the sums anew where the numbers of the rule are not those under which
// they were made.
func (t *Tracker) debtorRules(n ReserveNumbers) error {
	was := &t.debtors.numbers
	if was.NoteE1Cap.Equal(n.NoteE1Cap) && was.NoteE6Low.Equal(n.NoteE6Low) && was.NoteE6High.Equal(n.NoteE6High) {
		return nil
	}
	*was = n
	for account := range t.debtors.accounts {
		if err := t.debtor(account); err != nil {
			return err
		}
	}
	return nil
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Account.Type, b.Account.Type), cmp.Compare(a.Account.Name, b.Account.Name), cmp.Compare(a.Asset, b.Asset))
}
