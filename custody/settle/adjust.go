package settle

import (
	"fmt"

	"goodcontrol/custody"
)

// Adjust completes the entry by which people bring the books of an account to what
// the outside says: the account changes by amount, and counter takes the other side.
//
// A place's counter is whom the difference is for, or where it was taken from: the
// firm's own account, an owner's, suspense, or missing property and cash in transit.
// What leaves suspense is for an owner or the firm. No owner but the firm ever loses
// by an adjustment: what is missing of a client's is the firm's to bear.
func (m *Machine) Adjust(e custody.Entry, account custody.Account, asset custody.AssetID, amount custody.Amount, counter custody.Account) (custody.Entry, error) {
	if amount.IsZero() {
		return e, fmt.Errorf("adjusting %s of %s by nothing", account, asset)
	}
	if err := m.checkCounter(account, counter); err != nil {
		return e, err
	}
	change := amount // of the counter, if it stands on the other side
	if account.Side() == counter.Side() {
		change = amount.Neg()
	}
	switch kind := counter.Type.Owner(); kind {
	case custody.Customer, custody.PAB, custody.NonCustomer:
		if change.Sign() < 0 {
			return e, fmt.Errorf("%s would be owed less by %s: an adjustment takes from the firm or from suspense only", counter, change.Neg())
		}
	}
	e.Legs = []custody.Leg{
		{Account: account, Asset: asset, Layer: custody.Settled, Amount: amount},
		{Account: counter, Asset: asset, Layer: custody.Settled, Amount: change},
	}
	return e, nil
}

func (m *Machine) checkCounter(account, counter custody.Account) error {
	if err := counter.Check(); err != nil {
		return err
	}
	switch counter.Type {
	case custody.SuspenseAny:
		if account.Side() == custody.At && counter.Name == account.Name {
			return nil
		}
		return fmt.Errorf("counter account %s: expected suspense of %s itself, and for a place only", counter, account.Name)
	case custody.GoneMissing:
		if account.Side() == custody.At && counter.Name == account.Name {
			return nil
		}
		return fmt.Errorf("counter account %s: expected what is missing from %s itself", counter, account.Name)
	case custody.BankTransit:
		if account.Side() == custody.At {
			return nil
		}
		return fmt.Errorf("counter account %s: what is in suspense is in no transit", counter)
	}
	own, err := m.OwnerAccount(counter.Name)
	if err != nil {
		return fmt.Errorf("counter account %s: %w", counter, err)
	}
	if own != counter {
		return fmt.Errorf("counter account %s, expected %s, or suspense, missing or transit", counter, own)
	}
	return nil
}
