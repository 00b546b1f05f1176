package wallet

import (
	"fmt"
	"slices"
	"time"

	"goodcontrol/custody"
)

// State is where a withdrawal stands. The list is closed:
//
//	requested ─▶ held ─▶ signed ─▶ included ─▶ settled
//	    │          │        │         │
//	    └──────────┴─▶ voided         └─▶ signed (the block was orphaned)
//	               └────────┴─▶ failed (it was mined and moved nothing, or another
//	                            transaction has used its nonce)
type State string

// The states.
const (
	Requested State = "requested" // waits for approvals
	Held      State = "held"      // approved; its property is on hold
	SignedOff State = "signed"    // signed by the threshold signers, broadcast, not yet seen
	Included  State = "included"  // seen in a block: the property is gone from the books
	Completed State = "settled"   // final
	Voided    State = "voided"    // given up before it was signed
	Failed    State = "failed"    // mined and moved nothing, or its nonce is used up
)

// Withdrawal is one withdrawal and what became of it.
type Withdrawal struct {
	ID        string
	State     State
	Intent    Intent
	Canonical []byte // of the intent
	Hash      [32]byte
	Reason    string // the maker's words
	Approvals []Given
	Tx        string // hash, once signed
	Raw       []byte // the signed transaction
	Outcome   string // why it was voided, or failed
}

// Given is an approval and when it was given.
type Given struct {
	Approval
	At time.Time
}

// Open says whether the withdrawal may still use its nonce.
func (w Withdrawal) Open() bool {
	return w.State != Voided && w.State != Completed && w.State != Failed
}

// Request is what is sent to the signing parties.
func (w Withdrawal) Request() Request {
	r := Request{Intent: w.Canonical}
	for _, a := range w.Approvals {
		r.Approvals = append(r.Approvals, a.Approval)
	}
	return r
}

// Withdrawals is the register of withdrawals: a fold of the journal. The zero
// value is empty. It is not safe for concurrent use.
type Withdrawals struct {
	byID  map[string]*Withdrawal
	order []string
}

// Apply folds one entry. Entries of other kinds change nothing.
func (w *Withdrawals) Apply(e custody.Entry) error {
	switch e.Kind {
	case custody.KindWithdrawalRequested:
		return w.request(e)
	case custody.KindWithdrawalApproved:
		f, err := custody.Fact[custody.WithdrawalApproved](e)
		return w.change(e, f.ID, err, func(x *Withdrawal) {
			x.Approvals = append(x.Approvals, Given{Approval{Person: f.Person, Signature: f.Signature}, e.Effective})
		})
	case custody.KindWithdrawalHeld:
		f, err := custody.Fact[custody.WithdrawalHeld](e)
		return w.change(e, f.ID, err, to(Held))
	case custody.KindWithdrawalVoided:
		f, err := custody.Fact[custody.WithdrawalVoided](e)
		return w.change(e, f.ID, err, func(x *Withdrawal) { x.State, x.Outcome = Voided, f.Reason })
	case custody.KindWithdrawalSigned:
		f, err := custody.Fact[custody.WithdrawalSigned](e)
		return w.change(e, f.ID, err, func(x *Withdrawal) { x.State, x.Tx, x.Raw = SignedOff, f.Tx, f.Raw })
	}
	if state, ok := seen[e.Kind]; ok {
		f, err := custody.Fact[struct {
			Withdrawal string `json:"withdrawal"`
			Why        string `json:"why"`
		}](e)
		return w.change(e, f.Withdrawal, err, func(x *Withdrawal) { x.State, x.Outcome = state, f.Why })
	}
	return nil
}

// seen is where a withdrawal stands after what the chain has shown of it.
var seen = map[string]State{
	custody.KindWithdrawalIncluded: Included, custody.KindWithdrawalRetracted: SignedOff,
	custody.KindWithdrawalFinal: Completed, custody.KindWithdrawalFailed: Failed,
}

func to(s State) func(*Withdrawal) { return func(x *Withdrawal) { x.State = s } }

func (w *Withdrawals) request(e custody.Entry) error {
	f, err := custody.Fact[custody.WithdrawalRequested](e)
	if err != nil {
		return err
	}
	i, err := DecodeIntent(f.Intent)
	if err != nil {
		return fmt.Errorf("entry %s: %w", e.Ref, err)
	}
	if w.byID == nil {
		w.byID = map[string]*Withdrawal{}
	}
	w.byID[f.ID] = &Withdrawal{
		ID: f.ID, State: Requested, Intent: i, Canonical: f.Intent, Hash: HashIntent(f.Intent), Reason: f.Reason,
	}
	w.order = append(w.order, f.ID)
	return nil
}

func (w *Withdrawals) change(e custody.Entry, id string, err error, change func(*Withdrawal)) error {
	if err != nil {
		return err
	}
	x := w.byID[id]
	if x == nil {
		return fmt.Errorf("entry %s (%s): withdrawal %q was never requested", e.Ref, e.Kind, id)
	}
	change(x)
	return nil
}

// Find returns a withdrawal by its id.
func (w *Withdrawals) Find(id string) (Withdrawal, bool) {
	if x := w.byID[id]; x != nil {
		return *x, true
	}
	return Withdrawal{}, false
}

// All lists every withdrawal in the order in which they were requested. What it
// returns does not change with later entries.
func (w *Withdrawals) All() []Withdrawal {
	var all []Withdrawal
	for _, id := range w.order {
		x := *w.byID[id]
		x.Approvals = slices.Clone(x.Approvals)
		all = append(all, x)
	}
	return all
}

// NextNonce is the lowest nonce of an address, not below from, that no open
// withdrawal uses. A nonce that was given back is used before a higher one: behind
// a gap nothing is ever mined.
func (w *Withdrawals) NextNonce(place custody.Place, from uint64) (uint64, error) {
	used := map[uint64]bool{}
	for _, x := range w.byID {
		if !x.Open() || x.Intent.From != place {
			continue
		}
		tx, err := DecodeTransaction(x.Intent.Transaction)
		if err != nil {
			return 0, fmt.Errorf("withdrawal %s: %w", x.ID, err)
		}
		used[tx.Nonce] = true
	}
	for used[from] {
		from++
	}
	return from, nil
}
