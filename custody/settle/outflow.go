package settle

import (
	"fmt"
	"slices"

	"goodcontrol/custody"
)

// Class is the sort of an outflow that no intent explains: what must have happened
// for it to be there.
type Class string

// The classes.
const (
	// KeyUsed is a transaction of our address that nobody approved: its key has
	// signed without us.
	KeyUsed Class = "key_used"
	// Differs is a transaction that was approved, but does something else.
	Differs Class = "differs"
	// Pulled is a movement that another's transaction made, by an allowance or by
	// the issuer's own power over its token.
	Pulled Class = "pulled"
	// Unseen is an account that shows more transactions than were seen: its key has
	// signed something without us, such as a delegation that another has carried.
	Unseen Class = "unseen"
	// Exposed is an allowance or a delegation: nothing has moved yet, but somebody
	// else can move it.
	Exposed Class = "exposed"
)

// The kinds of entry for what lets somebody else move what is at an address.
const (
	KindExposed          = "outflow.exposed"
	KindExposedRetracted = "outflow.exposed_retracted"
	KindUnseen           = "outflow.unseen"
)

// Outflow is a movement out of one of our addresses that no approved intent
// explains, until people have dealt with it: or a fee that shows a transaction which
// nobody approved, or an allowance or delegation.
type Outflow struct {
	Ref         custody.Ref         `json:"ref"`
	Observation custody.Observation `json:"observation"`
	Class       Class               `json:"class"`
	Why         string              `json:"why"`
	Wallet      string              `json:"wallet"`
}

// outflow tells a withdrawal that an approved intent explains from everything else.
func (m *Machine) outflow(o custody.Observation) (string, Meaning, []custody.Leg, error) {
	meaning := Meaning{Observation: o}
	from := m.chainAccount(o.From, o.Asset)
	h := m.holds[slot{o.From, o.Nonce}]
	if meaning.Class, meaning.Why = differs(o, h); meaning.Why == "" {
		meaning.Withdrawal = h.ID
		client, err := m.OwnerAccount(h.Client)
		legs := append(negated(h.legs), both(client, from, o.Asset, custody.Settled, o.Amount.Neg())...)
		return custody.KindWithdrawalIncluded, meaning, legs, err
	}
	// Whom it is held for does not change: it is still owed. Where it is does.
	to := custody.AtPlace(custody.GoneMissing, o.From)
	if m.onChain(o.To) {
		to = m.chainAccount(o.To, o.Asset)
	}
	return KindUnauthorized, meaning, between(from, to, o.Asset, o.Amount), nil
}

// differs says in what an outflow is not the one that was approved, or nothing.
func differs(o custody.Observation, h *hold) (Class, string) {
	switch {
	case o.By != "":
		return Pulled, fmt.Sprintf("%s moved it, by transaction %s of its own", o.By, o.Evidence.Tx)
	case h == nil:
		return KeyUsed, fmt.Sprintf("no approved intent for nonce %d of %s", o.Nonce, o.From)
	case h.tx != o.Evidence.Tx:
		return KeyUsed, fmt.Sprintf("withdrawal %s was signed as transaction %s, not %s", h.ID, h.tx, o.Evidence.Tx)
	case h.taken:
		return Differs, fmt.Sprintf("withdrawal %s was already taken", h.ID)
	case h.Asset != o.Asset:
		return Differs, fmt.Sprintf("withdrawal %s is of %s, not %s", h.ID, h.Asset, o.Asset)
	case h.To != o.To:
		return Differs, fmt.Sprintf("withdrawal %s goes to %s, not %s", h.ID, h.To, o.To)
	case h.Amount != o.Amount:
		return Differs, fmt.Sprintf("withdrawal %s is of %s units, not %s", h.ID, h.Amount, o.Amount)
	}
	return "", ""
}

// charged says of a fee that it belongs to a transaction which nobody approved, or
// nothing where that is known from what the transaction moved.
func (m *Machine) charged(o custody.Observation) (Class, string) {
	if h := m.holds[slot{o.From, o.Nonce}]; h != nil && h.tx == o.Evidence.Tx {
		return "", ""
	}
	if slices.ContainsFunc(m.outflows, func(out Outflow) bool { return out.Observation.Evidence.Tx == o.Evidence.Tx && !out.Observation.Fee }) {
		return "", ""
	}
	return KeyUsed, fmt.Sprintf("transaction %s of %s, with nonce %d, was approved by no intent", o.Evidence.Tx, o.From, o.Nonce)
}

// exposure is an allowance or a delegation as last seen.
type exposure struct {
	generation int
	open       bool
}

// expose tells of what lets somebody else move what is at an address. No intent ever
// asks for it.
func (m *Machine) expose(o custody.Observation) ([]custody.Entry, error) {
	seen := m.exposed[o.Ref]
	meaning := Meaning{Observation: o, Generation: seen.generation, Class: Exposed, Why: o.Text}
	switch {
	case o.Stage == custody.Included && !seen.open:
		meaning.Generation++
		return one(entry(KindExposed, suffix(meaning.Generation, "included"), meaning, nil))
	case o.Stage == custody.Retracted && seen.open:
		return one(entry(KindExposedRetracted, suffix(meaning.Generation, "retracted"), meaning, nil))
	}
	return nil, nil
}

// NextNonce is the nonce of the next transaction of one of our addresses.
func (m *Machine) NextNonce(place custody.Place) uint64 { return m.nonces[place] }

// unseen tells of an account whose nonce, proven with its balance, is beyond what its
// transactions explain. A movement may be missed; that one was signed cannot be.
func (m *Machine) unseen(o custody.Observation) ([]custody.Entry, error) {
	known := m.nonces[o.To]
	if !m.onChain(o.To) || o.Nonce <= known {
		return nil, nil
	}
	o.Ref, o.From = o.Ref+"#nonce", o.To
	return one(entry(KindUnseen, "", Meaning{
		Observation: o, Class: Unseen, Why: fmt.Sprintf("%s has sent %d transactions, %d were seen", o.To, o.Nonce, known),
	}, nil))
}

// keepFee keeps the nonce that a transaction of ours has used.
func (m *Machine) keepFee(f Meaning) {
	o := f.Observation
	m.nonces[o.From] = max(m.nonces[o.From], o.Nonce+1)
	if f.Why != "" {
		m.keepOutflow(f)
	}
}

// dropFee gives the nonce back.
func (m *Machine) dropFee(f Meaning) {
	o := f.Observation
	m.retractMove(f)
	m.dropOutflow(o.Ref)
	m.nonces[o.From] = min(m.nonces[o.From], o.Nonce)
}

func (m *Machine) keepExposure(f Meaning, open bool) {
	m.exposed[f.Observation.Ref] = exposure{generation: f.Generation, open: open}
	if open {
		m.keepOutflow(f)
	} else {
		m.dropOutflow(f.Observation.Ref)
	}
}

func (m *Machine) keepOutflow(f Meaning) {
	m.outflows = append(m.outflows, Outflow{
		Ref: f.Observation.Ref, Observation: f.Observation, Class: f.Class, Why: f.Why, Wallet: m.addresses[f.Observation.From].Wallet,
	})
}

func (m *Machine) dropOutflow(ref custody.Ref) {
	m.outflows = slices.DeleteFunc(m.outflows, func(o Outflow) bool { return o.Ref == ref })
}

// Release completes the entry by which people let a wallet be used again after an
// outflow that no intent explained. What is missing stays missed by nobody but the
// firm: the loss is its own, and clients are owed what they were owed.
func (m *Machine) Release(e custody.Entry, outflow custody.Ref) (custody.Entry, error) {
	for _, out := range m.outflows {
		o := out.Observation
		if out.Ref != outflow {
			continue
		}
		if o.Kind == custody.Movement && !o.Fee && !m.onChain(o.To) {
			e.Legs = both(custody.ForOwner(custody.FirmOwn, firm), custody.AtPlace(custody.GoneMissing, o.From), o.Asset, custody.Settled, o.Amount.Neg())
		}
		return e, nil
	}
	return e, fmt.Errorf("no outflow %s waits to be released", outflow)
}
