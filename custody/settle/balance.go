package settle

import (
	"fmt"

	"goodcontrol/custody"
)

// The kinds of entry that balances and changes of state call for.
const (
	KindReceived = "transfer.received"
	KindFrozen   = "issuer.frozen"
	KindUnfrozen = "issuer.unfrozen"
	// KindFollows moves what a retraction gave back in or out of good control, as
	// the issuer has frozen the address since, or lifted that.
	KindFollows = "issuer.follows"
)

// observeBalance keeps what the outside says is at a place. It posts nothing for
// a difference. The one thing a balance can settle is a receipt that was expected.
func (m *Machine) observeBalance(o custody.Observation) ([]custody.Entry, error) {
	var place custody.Account
	if m.onChain(o.To) {
		place = m.chainAccount(o.To, o.Asset)
	} else {
		var err error
		if place, err = m.location(o.To, o.Source); err != nil {
			return nil, err
		}
	}
	entries, err := one(entry(custody.KindObserved, "", Meaning{Observation: o}, nil))
	if err != nil {
		return nil, err
	}
	if m.superseded(o) {
		return entries, nil
	}
	unseen, err := m.unseen(o)
	if err != nil {
		return nil, err
	}
	received, err := m.receive(o, place)
	if err == nil && len(received) == 0 {
		received, err = m.distributed(o, place)
	}
	return append(append(entries, unseen...), received...), err
}

// superseded says whether a later statement of the same place is known.
func (m *Machine) superseded(o custody.Observation) bool {
	return !m.onChain(o.To) && m.holdings[holdingKey{o.To, o.Asset}].AsOf.After(o.Effective)
}

// receive books the expected transfers that the balance now shows: the oldest
// ones whose sum is exactly what the balance has more than the books. When no
// such run exists nothing is booked, and the difference stays a break.
func (m *Machine) receive(o custody.Observation, place custody.Account) ([]custody.Entry, error) {
	more, ok := o.Amount.Sub(m.at[spot{place, o.Asset}])
	if !ok || more.Sign() <= 0 {
		return nil, nil
	}
	var due []expectation
	var sum custody.Amount
	for _, x := range m.expected {
		if x.Place != o.To || x.Asset != o.Asset {
			continue
		}
		if sum, ok = sum.Add(x.Amount); !ok || sum.Cmp(more) > 0 {
			return nil, nil
		}
		due = append(due, x)
		if sum == more {
			return receipts(o, place, due)
		}
	}
	return nil, nil
}

// receipts resolve transfers that have come in: what was pending is posted.
func receipts(o custody.Observation, place custody.Account, due []expectation) ([]custody.Entry, error) {
	var entries []custody.Entry
	for _, x := range due {
		e, err := custody.FactEntry(KindReceived, custody.Ref("received/"+x.ID), actor, o.Effective, x.TransferExpected)
		if err != nil {
			return nil, err
		}
		owner := x.legs[0].Account
		e.Legs = append(negated(x.legs), both(owner, place, x.Asset, custody.Settled, x.Amount)...)
		e.Resolves, e.Evidence = x.entry, o.Evidence
		entries = append(entries, e)
	}
	return entries, nil
}

// Expect completes the entry that records a transfer on its way to us.
func (m *Machine) Expect(e custody.Entry, x custody.TransferExpected) (custody.Entry, error) {
	if _, ok := m.locations[x.Place]; !ok {
		return e, fmt.Errorf("%w: %s", ErrUnknownPlace, x.Place)
	}
	if x.Amount.Sign() <= 0 {
		return e, fmt.Errorf("expected transfer %s of %s %s, expected more than zero", x.ID, x.Amount, x.Asset)
	}
	owner, err := m.OwnerAccount(x.Owner)
	if err != nil {
		return e, err
	}
	e.Legs = both(owner, custody.AtPlace(custody.Transfer, x.Place), x.Asset, custody.Pending, x.Amount)
	return e, nil
}

// observeState books that an issuer froze an address, or let it go again: what is
// there stays owed and stays there, but leaves good control or comes back to it.
func (m *Machine) observeState(o custody.Observation) ([]custody.Entry, error) {
	if !m.onChain(o.To) {
		return nil, fmt.Errorf("%w: %s, reported by %s", ErrUnknownPlace, o.To, o.Source)
	}
	if o.Condition.Exposes() {
		return m.expose(o)
	}
	freeze := o.Condition == custody.Frozen
	if m.frozen[holdingKey{o.To, o.Asset}] == freeze {
		return nil, nil
	}
	from := m.chainAccount(o.To, o.Asset)
	kind, to := KindUnfrozen, custody.AtPlace(m.walletType(o.To), o.To)
	if freeze {
		kind, to = KindFrozen, custody.AtPlace(custody.ChainFrozen, o.To)
	}
	var legs []custody.Leg
	if here := m.at[spot{from, o.Asset}]; !here.IsZero() {
		legs = between(from, to, o.Asset, here)
	}
	return one(entry(kind, "", Meaning{Observation: o}, legs))
}
