package custody

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// Layer tells what is settled from what is pending: promised, on hold, or seen
// but not yet final. A pending leg is later posted to the settled layer or voided.
type Layer uint8

// The layers.
const (
	Settled Layer = iota + 1
	Pending
)

var layerNames = [...]string{Settled: "settled", Pending: "pending"}

// String is the layer's name.
func (l Layer) String() string { return nameOf(layerNames[:], l) }

// MarshalText writes the layer's name.
func (l Layer) MarshalText() ([]byte, error) { return marshalName(layerNames[:], l) }

// UnmarshalText reads a layer's name.
func (l *Layer) UnmarshalText(text []byte) error {
	return unmarshalName(layerNames[:], l, "layer", text)
}

// Leg changes one account by Amount of an asset. On both sides a positive amount
// means more: more is owed to the owner, or more is at the place.
type Leg struct {
	Account Account `json:"account"`
	Asset   AssetID `json:"asset"`
	Layer   Layer   `json:"layer"`
	Amount  Amount  `json:"amount"`
}

// Entry is one line of the journal. Seq and Recorded are given by the ledger when
// it is posted; everything else is its content.
type Entry struct {
	Seq      uint64    `json:"seq"`
	Recorded time.Time `json:"recorded"`
	// Effective is when the outside says it was so.
	Effective time.Time `json:"effective"`
	Ref       Ref       `json:"ref"`
	// Kind names why the entry was made, such as "deposit.final". The ledger
	// gives it no meaning.
	Kind string `json:"kind"`
	// Actor is the person or the part of the node that made the entry, and
	// Approvals the people who approved it.
	Actor     string   `json:"actor"`
	Approvals []string `json:"approvals,omitempty"`
	Legs      []Leg    `json:"legs,omitempty"`
	// Reverses names the entry that this one takes back whole.
	Reverses Ref `json:"reverses,omitempty"`
	// Resolves names the entry whose pending legs this one takes back, to post
	// them as settled legs or to void them.
	Resolves Ref      `json:"resolves,omitempty"`
	Evidence Evidence `json:"evidence"`
	// Body is the fact that the entry records, as JSON: an observation, an
	// address assigned, an approval. An entry may have legs, a body, or both.
	Body []byte `json:"body,omitempty"`
}

// Check says what is wrong with the entry: above all, legs that do not balance.
// For every asset and layer the sum of FOR legs must equal the sum of AT legs.
func (e *Entry) Check() error {
	switch {
	case e.Ref == "":
		return fmt.Errorf("entry of kind %q has no ref", e.Kind)
	case e.Kind == "":
		return fmt.Errorf("entry %s has no kind", e.Ref)
	case e.Actor == "":
		return fmt.Errorf("entry %s has no actor", e.Ref)
	case e.Effective.IsZero():
		return fmt.Errorf("entry %s has no effective time", e.Ref)
	case !encodable(e.Effective):
		return fmt.Errorf("entry %s: effective time %s cannot be encoded, expected one from 1678 to 2262 and not 1970-01-01T00:00:00Z", e.Ref, e.Effective)
	case len(e.Legs) == 0 && len(e.Body) == 0:
		return fmt.Errorf("entry %s has neither legs nor a body", e.Ref)
	case e.Reverses != "" && e.Resolves != "":
		return fmt.Errorf("entry %s reverses %s and resolves %s, expected one of the two at most", e.Ref, e.Reverses, e.Resolves)
	case len(e.Legs) > MaxLegs:
		return fmt.Errorf("entry %s has %d legs, expected at most %d", e.Ref, len(e.Legs), MaxLegs)
	}
	for i, l := range e.Legs {
		if err := l.check(); err != nil {
			return fmt.Errorf("entry %s, leg %d: %w", e.Ref, i+1, err)
		}
	}
	return e.checkBalance()
}

// MaxLegs bounds the legs of one entry.
const MaxLegs = 1024

func (l Leg) check() error {
	if err := l.Account.Check(); err != nil {
		return err
	}
	switch {
	case l.Asset == "":
		return fmt.Errorf("%s: no asset", l.Account)
	case l.Layer != Settled && l.Layer != Pending:
		return fmt.Errorf("%s: no layer", l.Account)
	case l.Amount.IsZero():
		return fmt.Errorf("%s: amount is zero", l.Account)
	}
	return nil
}

// checkBalance sums each (asset, layer) at its first leg. Entries have a handful
// of legs, so looking back is cheaper than a map.
func (e *Entry) checkBalance() error {
	for i, first := range e.Legs {
		if earlier(e.Legs[:i], first) {
			continue
		}
		var off Amount // AT less FOR
		for _, l := range e.Legs[i:] {
			if l.Asset != first.Asset || l.Layer != first.Layer {
				continue
			}
			amount, ok := l.Amount, true
			if l.Account.Side() == For {
				amount = amount.Neg()
			}
			if off, ok = off.Add(amount); !ok {
				return fmt.Errorf("entry %s: sum of %s overflows", e.Ref, l.Asset)
			}
		}
		if !off.IsZero() {
			return fmt.Errorf("entry %s: unbalanced: %s %s is off by %s (AT less FOR)", e.Ref, first.Asset, first.Layer, off)
		}
	}
	return nil
}

func earlier(legs []Leg, l Leg) bool {
	for _, e := range legs {
		if e.Asset == l.Asset && e.Layer == l.Layer {
			return true
		}
	}
	return false
}

// ContentHash identifies the entry's content, without Seq and Recorded: two
// entries with the same Ref are the same if and only if their hashes are equal.
func (e *Entry) ContentHash() [32]byte {
	return sha256.Sum256(e.AppendContent(nil))
}
