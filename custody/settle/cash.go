package settle

import (
	"fmt"
	"strings"

	"goodcontrol/custody"
)

// References that a bank movement may carry in its remittance information:
//
//	ACCT/<owner>    it is for, or from, that owner
//	XFER/<id>       it is one half of a transfer between two of the firm's accounts
//	STL/<name>      it is money of a settlement, which activities have booked or will
const (
	referenceOwner      = "ACCT/"
	referenceTransfer   = "XFER/"
	referenceSettlement = "STL/"
)

// observeCash books one movement on a bank account. What its reference does not
// explain is not guessed at: a credit goes to suspense, a debit to missing.
func (m *Machine) observeCash(o custody.Observation) ([]custody.Entry, error) {
	place, amount := o.To, o.Amount
	if place == "" {
		place, amount = o.From, o.Amount.Neg()
	}
	bank, err := m.location(place, o.Source)
	if err != nil {
		return nil, err
	}
	if o.Stage == custody.Retracted {
		return m.retractCash(o)
	}
	if before, booked := m.cash[o.Ref]; booked {
		if before.amount != amount {
			return nil, fmt.Errorf("booked before as %s, now said to be %s", before.amount, amount)
		}
		return nil, nil // another statement tells of the same movement
	}
	kind := KindCashCredit
	if amount.Sign() < 0 {
		kind = KindCashDebit
	}
	meaning := Meaning{Observation: o}
	var legs []custody.Leg
	transfer, owner, settlement := reference(o.Text, referenceTransfer), reference(o.Text, referenceOwner), reference(o.Text, referenceSettlement)
	if transfer != "" && owner != "" || settlement != "" && transfer+owner != "" {
		transfer, owner, settlement = "", "", "" // two references contradict each other
	}
	if settlement != "" {
		due := custody.AtPlace(custody.SettlementCash, custody.Place("settlement:"+settlement))
		legs = between(due, bank, o.Asset, amount)
	} else if transfer != "" {
		transit := custody.AtPlace(custody.BankTransit, custody.Place("transfer:"+transfer))
		legs = between(transit, bank, o.Asset, amount)
	} else if m.Owner(owner) != custody.NoOwner {
		account, err := m.OwnerAccount(owner)
		if err != nil {
			return nil, err
		}
		legs = both(account, bank, o.Asset, custody.Settled, amount)
	} else if amount.Sign() > 0 {
		kind = KindCashSuspense
		legs = both(custody.ForOwner(custody.SuspenseAny, string(place)), bank, o.Asset, custody.Settled, amount)
	} else {
		kind = KindCashMissing
		legs = between(bank, custody.AtPlace(custody.GoneMissing, place), o.Asset, o.Amount)
	}
	if o.Amount.IsZero() {
		legs = nil
	}
	return one(entry(kind, "", meaning, legs))
}

// reference finds the one value that follows a prefix in a text of words. Two
// different values are as good as none.
func reference(text, prefix string) string {
	var found string
	for word := range strings.FieldsSeq(text) {
		value, ok := strings.CutPrefix(word, prefix)
		if !ok {
			continue
		}
		if found != "" && found != value {
			return ""
		}
		found = value
	}
	return found
}

// location is the account of a place off chain, as reported on by source.
func (m *Machine) location(place custody.Place, source string) (custody.Account, error) {
	l, ok := m.locations[place]
	if !ok {
		return custody.Account{}, fmt.Errorf("%w: %s, reported by %s", ErrUnknownPlace, place, source)
	}
	if l.Source != source {
		return custody.Account{}, fmt.Errorf("%w: %s is reported on by %s, expected not from %s", ErrUnknownPlace, place, l.Source, source)
	}
	return custody.AtPlace(l.Type, place), nil
}

// OwnerAccount is the account an owner's property is booked to.
func (m *Machine) OwnerAccount(owner string) (custody.Account, error) {
	switch m.Owner(owner) {
	case custody.Customer:
		return custody.ForOwner(custody.CustomerCash, owner), nil
	case custody.PAB:
		return custody.ForOwner(custody.PABCash, owner), nil
	case custody.NonCustomer:
		return custody.ForOwner(custody.NonCustomerAny, owner), nil
	case custody.Firm:
		return custody.ForOwner(custody.FirmOwn, owner), nil
	}
	return custody.Account{}, fmt.Errorf("owner %q was never opened", owner)
}
