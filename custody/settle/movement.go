package settle

import (
	"fmt"

	"goodcontrol/custody"
)

// The kinds of entry that movements call for.
const (
	KindDepositIncluded  = "deposit.included"
	KindDepositFinal     = "deposit.final"
	KindDepositRetracted = "deposit.retracted"

	KindFeeIncluded  = "fee.included"
	KindFeeFinal     = "fee.final"
	KindFeeRetracted = "fee.retracted"

	KindUnauthorized          = "outflow.unauthorized"
	KindUnauthorizedFinal     = "outflow.final"
	KindUnauthorizedRetracted = "outflow.retracted"

	KindCashCredit   = "cash.credit"
	KindCashDebit    = "cash.debit"
	KindCashSuspense = "cash.suspense"
	KindCashMissing  = "cash.unexplained"
)

// life is the chain of kinds that one sort of movement goes through.
type life struct{ included, final, retracted string }

var lives = map[string]life{
	KindDepositIncluded:            {KindDepositIncluded, KindDepositFinal, KindDepositRetracted},
	custody.KindWithdrawalIncluded: {custody.KindWithdrawalIncluded, custody.KindWithdrawalFinal, custody.KindWithdrawalRetracted},
	KindFeeIncluded:                {KindFeeIncluded, KindFeeFinal, KindFeeRetracted},
	KindUnauthorized:               {KindUnauthorized, KindUnauthorizedFinal, KindUnauthorizedRetracted},
}

func (m *Machine) observeMovement(o custody.Observation) ([]custody.Entry, error) {
	if !m.onChain(o.From) && !m.onChain(o.To) {
		return m.observeCash(o)
	}
	seen := m.moves[o.Ref]
	switch o.Stage {
	case custody.Included:
		return m.include(o, seen)
	case custody.Final:
		return m.finalize(o, seen)
	case custody.Retracted:
		return m.retract(o, seen)
	}
	return nil, nil // heard of, or safe: neither moves a book
}

// include books a movement's inclusion in a block.
func (m *Machine) include(o custody.Observation, seen *move) ([]custody.Entry, error) {
	generation := 1
	if seen != nil {
		if seen.open && seen.seen.Evidence.BlockHash == o.Evidence.BlockHash {
			return nil, nil
		}
		if seen.open {
			return nil, fmt.Errorf("included in block %s while still included in %s", o.Evidence.BlockHash, seen.seen.Evidence.BlockHash)
		}
		generation = seen.generation + 1
	}
	kind, meaning, legs, err := m.meaningOf(o)
	if err != nil {
		return nil, err
	}
	meaning.Generation = generation
	e, err := entry(kind, suffix(generation, "included"), meaning, legs)
	if meaning.Withdrawal != "" {
		e.Resolves = m.holds[slot{o.From, o.Nonce}].entry
	}
	return one(e, err)
}

func suffix(generation int, stage string) string {
	return fmt.Sprintf("#%d/%s", generation, stage)
}

// finalize books that a movement can no longer be undone. A movement whose
// inclusion was never booked, because watching began later, is booked now.
func (m *Machine) finalize(o custody.Observation, seen *move) ([]custody.Entry, error) {
	if seen != nil && !seen.open {
		return nil, fmt.Errorf("final, but last retracted from block %s", seen.seen.Evidence.BlockHash)
	}
	if seen == nil {
		before, err := m.include(o, nil)
		if err != nil || len(before) == 0 {
			return nil, err
		}
		seen = &move{generation: 1, kind: before[0].Kind, entry: before[0].Ref, legs: before[0].Legs}
		after, err := m.finalEntries(o, seen)
		return append(before, after...), err
	}
	return m.finalEntries(o, seen)
}

func (m *Machine) finalEntries(o custody.Observation, seen *move) ([]custody.Entry, error) {
	meaning := Meaning{Observation: o, Generation: seen.generation, Withdrawal: m.taken(o, seen)}
	e, err := entry(lives[seen.kind].final, suffix(seen.generation, "final"), meaning, nil)
	if seen.kind == KindDepositIncluded {
		e.Legs = append(negated(seen.legs), m.settled(o, seen.legs)...)
		e.Resolves = seen.entry
	}
	entries := []custody.Entry{e}
	if err != nil || seen.kind != KindFeeIncluded {
		return entries, err
	}
	// The transaction is final and paid for, and its nonce used up. A hold on it
	// that was never taken belongs to a transfer that failed, or that another
	// transaction has shut out.
	h := m.holds[slot{o.From, o.Nonce}]
	if h == nil || h.taken {
		return entries, nil
	}
	meaning.Withdrawal, meaning.Why = h.ID, "its transaction was mined and moved nothing"
	if h.tx != o.Evidence.Tx {
		meaning.Why = fmt.Sprintf("nonce %d of %s was used by transaction %s: its own can never be mined", o.Nonce, o.From, o.Evidence.Tx)
	}
	failed, err := entry(custody.KindWithdrawalFailed, "#failed", meaning, negated(h.legs))
	failed.Resolves = h.entry
	return append(entries, failed), err
}

// settled turns pending deposit legs into settled ones. The place may have been
// frozen in the meantime, so the account is looked up again.
func (m *Machine) settled(o custody.Observation, pending []custody.Leg) []custody.Leg {
	var legs []custody.Leg
	for _, l := range pending {
		l.Layer = custody.Settled
		if l.Account.Side() == custody.At {
			l.Account = m.chainAccount(o.To, o.Asset)
		}
		legs = append(legs, l)
	}
	return legs
}

// retract reverses a movement whose block was orphaned.
func (m *Machine) retract(o custody.Observation, seen *move) ([]custody.Entry, error) {
	if seen == nil || !seen.open {
		return nil, nil // never booked, so there is nothing to take back
	}
	meaning := Meaning{Observation: o, Generation: seen.generation, Withdrawal: m.taken(o, seen)}
	e, err := entry(lives[seen.kind].retracted, suffix(seen.generation, "retracted"), meaning, negated(seen.legs))
	e.Reverses = seen.entry
	if err != nil {
		return nil, err
	}
	legs := m.follow(e.Legs)
	if len(legs) == 0 {
		return []custody.Entry{e}, nil
	}
	follows, err := entry(KindFollows, suffix(seen.generation, "follows"), Meaning{Observation: o, Generation: seen.generation}, legs)
	return []custody.Entry{e, follows}, err
}

// follow moves what a reversal gave back to where it belongs now: the issuer may
// have frozen the address meanwhile, or lifted that.
func (m *Machine) follow(reversed []custody.Leg) (legs []custody.Leg) {
	for _, l := range reversed {
		place := custody.Place(l.Account.Name)
		if l.Account.Side() != custody.At || l.Layer != custody.Settled || l.Account.Type == custody.GoneMissing || !m.onChain(place) {
			continue
		}
		if now := m.chainAccount(place, l.Asset); now != l.Account {
			legs = append(legs, between(l.Account, now, l.Asset, l.Amount)...)
		}
	}
	return legs
}

// taken is the id of the withdrawal that the movement took, if it did.
func (m *Machine) taken(o custody.Observation, seen *move) string {
	if h := m.holds[slot{o.From, o.Nonce}]; h != nil && seen.kind == custody.KindWithdrawalIncluded {
		return h.ID
	}
	return ""
}

func negated(legs []custody.Leg) []custody.Leg {
	var out []custody.Leg
	for _, l := range legs {
		l.Amount = l.Amount.Neg()
		out = append(out, l)
	}
	return out
}

// meaningOf says what the inclusion of a movement on a chain means.
func (m *Machine) meaningOf(o custody.Observation) (kind string, meaning Meaning, legs []custody.Leg, err error) {
	meaning = Meaning{Observation: o}
	switch {
	case o.Fee:
		meaning.Class, meaning.Why = m.charged(o)
		legs = both(custody.ForOwner(custody.FirmOwn, firm), m.chainAccount(o.From, o.Asset), o.Asset, custody.Settled, o.Amount.Neg())
		return KindFeeIncluded, meaning, legs, nil
	case m.onChain(o.From):
		return m.outflow(o)
	}
	account, err := m.depositor(o)
	legs = both(account, m.chainAccount(o.To, o.Asset), o.Asset, custody.Pending, o.Amount)
	return KindDepositIncluded, meaning, legs, err
}

// firm is the owner id of the broker itself, which bears fees and losses.
const firm = "firm"

// both makes the two legs that change a FOR and an AT account alike.
func both(owner, place custody.Account, asset custody.AssetID, layer custody.Layer, amount custody.Amount) []custody.Leg {
	return []custody.Leg{
		{Account: owner, Asset: asset, Layer: layer, Amount: amount},
		{Account: place, Asset: asset, Layer: layer, Amount: amount},
	}
}

// between makes the two legs that move an asset from one place to another.
func between(from, to custody.Account, asset custody.AssetID, amount custody.Amount) []custody.Leg {
	return []custody.Leg{
		{Account: from, Asset: asset, Layer: custody.Settled, Amount: amount.Neg()},
		{Account: to, Asset: asset, Layer: custody.Settled, Amount: amount},
	}
}

// depositor is whose a deposit is: the address's own owner, the wallet's, or the
// client in whose book the sender stands. Otherwise it goes to suspense.
func (m *Machine) depositor(o custody.Observation) (custody.Account, error) {
	address := m.addresses[o.To]
	w := m.wallets[address.Wallet]
	owner := address.Owner
	switch {
	case owner != "":
	case w.Kind == custody.Segregated:
		owner = w.Owner
	case w.Kind == custody.FirmWallet || w.Kind == custody.SoCalledReserve:
		owner = firm
	default:
		owner = m.book[o.From]
	}
	if owner == "" {
		return custody.ForOwner(custody.SuspenseAny, string(o.To)), nil
	}
	return m.OwnerAccount(owner)
}

// Hold makes the entry that puts property on hold for an approved withdrawal.
func (m *Machine) Hold(e custody.Entry, h custody.WithdrawalHeld) (custody.Entry, error) {
	client, err := m.OwnerAccount(h.Client)
	if err != nil {
		return e, err
	}
	if other := m.holds[slot{h.From, h.Nonce}]; other != nil {
		return e, fmt.Errorf("nonce %d of %s is held by withdrawal %s", h.Nonce, h.From, other.ID)
	}
	e.Legs = both(client, custody.AtPlace(custody.ChainWallet, h.From), h.Asset, custody.Pending, h.Amount.Neg())
	return e, nil
}

// Void makes the entry that lifts a hold which was never taken.
func (m *Machine) Void(e custody.Entry, from custody.Place, nonce uint64) (custody.Entry, error) {
	h := m.holds[slot{from, nonce}]
	if h == nil || h.taken {
		return e, fmt.Errorf("nonce %d of %s has no hold to lift", nonce, from)
	}
	e.Legs, e.Resolves = negated(h.legs), h.entry
	return e, nil
}
