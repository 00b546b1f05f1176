package settle

import (
	"fmt"
	"slices"
	"strings"

	"goodcontrol/custody"
)

// Apply folds one entry of the journal into the machine. Entries of kinds that
// the machine does not know change nothing but the balances of their legs.
func (m *Machine) Apply(e custody.Entry) error {
	fold, ok := folds[e.Kind]
	if strings.HasPrefix(e.Kind, KindActivity) {
		fold, ok = (*Machine).keepActivity, true
	}
	if ok {
		if err := fold(m, e); err != nil {
			return err
		}
	}
	if err := m.call(e); err != nil {
		return err
	}
	for _, l := range e.Legs {
		if !followed(l.Account.Type) || l.Layer != custody.Settled {
			continue
		}
		k := spot{l.Account, l.Asset}
		sum, ok := m.at[k].Add(l.Amount)
		if !ok {
			return fmt.Errorf("entry %s: balance of %s %s overflows", e.Ref, l.Account, l.Asset)
		}
		if m.draft != nil {
			m.draft = append(m.draft, func() { m.keepDue(k) }) // after its balance is as it was
		}
		put(m, m.at, k, sum)
		if sum.IsZero() {
			delete(m.at, k)
		}
		m.keepDue(k)
	}
	return nil
}

// call folds the money that an activity calls for.
func (m *Machine) call(e custody.Entry) error {
	if !strings.HasPrefix(e.Kind, KindActivity) {
		return nil
	}
	for _, l := range e.Legs {
		if l.Account.Type != custody.SettlementCash || l.Layer != custody.Settled {
			continue
		}
		k := spot{l.Account, l.Asset}
		sum, ok := m.called[k].Add(l.Amount)
		if !ok {
			return fmt.Errorf("entry %s: money of %s overflows", e.Ref, l.Account.Name)
		}
		put(m, m.called, k, sum)
		if sum.IsZero() {
			delete(m.called, k)
		}
	}
	return nil
}

// Called is the money that activities call for in a settlement: positive to come in.
func (m *Machine) Called(place custody.Place, asset custody.AssetID) custody.Amount {
	return m.called[spot{custody.AtPlace(custody.SettlementCash, place), asset}]
}

// followed says whether balances of the type of account decide what something means.
func followed(t custody.AccountType) bool {
	return t.Side() == custody.At || t.Owner() == custody.Counterparty || t == custody.CustomerSweep
}

// folds says, for each kind of entry, how it changes the machine.
var folds = map[string]func(*Machine, custody.Entry) error{
	custody.KindAssetListed:      (*Machine).keepListing,
	custody.KindInstrumentListed: (*Machine).keepListing,

	custody.KindCorporate: fact((*Machine).keepCorporate),

	custody.KindOwnerOpened: fact(func(m *Machine, f custody.OwnerOpened) { m.owners[f.ID] = f }),
	custody.KindLocationOpened: fact(func(m *Machine, f custody.LocationOpened) {
		m.locations[f.Place] = f
	}),
	custody.KindWalletOpened:    fact(func(m *Machine, f custody.WalletOpened) { m.wallets[f.ID] = f }),
	custody.KindAddressAssigned: fact(func(m *Machine, f custody.AddressAssigned) { m.addresses[f.Place] = f }),
	custody.KindAddressBooked:   fact(func(m *Machine, f custody.AddressBooked) { m.book[f.Place] = f.Owner }),
	custody.KindExpected: factOf(func(m *Machine, e custody.Entry, f custody.TransferExpected) {
		m.expected = append(m.expected, expectation{TransferExpected: f, entry: e.Ref, legs: e.Legs})
	}),
	KindReceived: fact(func(m *Machine, f custody.TransferExpected) {
		m.expected = slices.DeleteFunc(m.expected, func(x expectation) bool { return x.ID == f.ID })
	}),
	custody.KindWithdrawalHeld: factOf(func(m *Machine, e custody.Entry, f custody.WithdrawalHeld) {
		m.holds[slot{f.From, f.Nonce}] = &hold{WithdrawalHeld: f, entry: e.Ref, legs: e.Legs}
	}),
	custody.KindWithdrawalSigned: fact(func(m *Machine, f custody.WithdrawalSigned) {
		if h := m.holds[slot{f.From, f.Nonce}]; h != nil {
			h.tx = f.Tx
		}
	}),
	custody.KindWithdrawalVoided: fact(func(m *Machine, f custody.WithdrawalVoided) { delete(m.holds, slot{f.From, f.Nonce}) }),
	custody.KindReleased: fact(func(m *Machine, f custody.OutflowReleased) {
		m.dropOutflow(f.Outflow)
	}),
	custody.KindObserved: fact(func(m *Machine, f Meaning) { m.keepHolding(f.Observation) }),
	KindFrozen:           fact(func(m *Machine, f Meaning) { m.frozen[holdingKey{f.Observation.To, f.Observation.Asset}] = true }),
	KindUnfrozen:         fact(func(m *Machine, f Meaning) { delete(m.frozen, holdingKey{f.Observation.To, f.Observation.Asset}) }),

	KindCashCredit:   factOf((*Machine).keepCash),
	KindCashDebit:    factOf((*Machine).keepCash),
	KindCashSuspense: factOf((*Machine).keepCash),
	KindCashMissing:  factOf((*Machine).keepCash),

	KindCashRetracted: fact(func(m *Machine, f Meaning) { delete(m.cash, f.Observation.Ref) }),

	KindDepositIncluded:            included(nil),
	custody.KindWithdrawalIncluded: included(func(m *Machine, f Meaning) { m.take(f, true) }),
	KindFeeIncluded:                included((*Machine).keepFee),
	KindUnseen: fact(func(m *Machine, f Meaning) {
		m.nonces[f.Observation.To] = f.Observation.Nonce
		m.keepOutflow(f)
	}),
	KindExposed:                     fact(func(m *Machine, f Meaning) { m.keepExposure(f, true) }),
	KindExposedRetracted:            fact(func(m *Machine, f Meaning) { m.keepExposure(f, false) }),
	KindUnauthorized:                included((*Machine).keepOutflow),
	KindDepositFinal:                final,
	KindFeeFinal:                    final,
	KindUnauthorizedFinal:           final,
	custody.KindWithdrawalFinal:     fact(func(m *Machine, f Meaning) { m.closeMove(f); m.dropHold(f) }),
	custody.KindWithdrawalFailed:    fact(func(m *Machine, f Meaning) { m.dropHold(f) }),
	KindDepositRetracted:            fact((*Machine).retractMove),
	KindFeeRetracted:                fact((*Machine).dropFee),
	custody.KindWithdrawalRetracted: fact(func(m *Machine, f Meaning) { m.retractMove(f); m.take(f, false) }),
	KindUnauthorizedRetracted:       fact(func(m *Machine, f Meaning) { m.retractMove(f); m.dropOutflow(f.Observation.Ref) }),
}

func (m *Machine) keepListing(e custody.Entry) error { return m.acts.master.Apply(e) }

// fact adapts a function of an entry's body.
func fact[T any](apply func(*Machine, T)) func(*Machine, custody.Entry) error {
	return factOf(func(m *Machine, _ custody.Entry, body T) { apply(m, body) })
}

// factOf adapts a function of an entry and its body.
func factOf[T any](apply func(*Machine, custody.Entry, T)) func(*Machine, custody.Entry) error {
	return func(m *Machine, e custody.Entry) error {
		body, err := custody.Fact[T](e)
		if err == nil {
			apply(m, e, body)
		}
		return err
	}
}

// included keeps the movement open until it is final or retracted.
func included(then func(*Machine, Meaning)) func(*Machine, custody.Entry) error {
	return factOf(func(m *Machine, e custody.Entry, f Meaning) {
		m.moves[f.Observation.Ref] = &move{
			generation: f.Generation, open: true, kind: e.Kind, entry: e.Ref, legs: e.Legs, seen: f.Observation,
		}
		if then != nil {
			then(m, f)
		}
	})
}

var final = fact((*Machine).closeMove)

// closeMove forgets a movement that is final: nothing more can happen to it.
func (m *Machine) closeMove(f Meaning) { delete(m.moves, f.Observation.Ref) }

func (m *Machine) retractMove(f Meaning) {
	if seen := m.moves[f.Observation.Ref]; seen != nil {
		seen.open = false
	}
}

func (m *Machine) take(f Meaning, taken bool) {
	if h := m.holds[slot{f.Observation.From, f.Observation.Nonce}]; h != nil {
		h.taken = taken
	}
}

func (m *Machine) dropHold(f Meaning) {
	delete(m.holds, slot{f.Observation.From, f.Observation.Nonce})
}

func (m *Machine) keepCash(e custody.Entry, f Meaning) {
	amount := f.Observation.Amount
	if f.Observation.To == "" {
		amount = amount.Neg()
	}
	m.cash[f.Observation.Ref] = cashMove{amount: amount, seen: f.Observation, entry: e.Ref, legs: e.Legs}
}

// keepHolding keeps the newest balance. A statement that comes late says what was,
// not what is. A chain's balance is always the newest: after a reorg the block it
// stands for may be the older one.
func (m *Machine) keepHolding(o custody.Observation) {
	if m.superseded(o) {
		return
	}
	m.holdings[holdingKey{o.To, o.Asset}] = custody.Holding{
		Place: o.To, Asset: o.Asset, Amount: o.Amount, AsOf: o.Effective, Source: o.Source, Evidence: o.Evidence,
	}
}
