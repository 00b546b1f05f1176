package custody

import (
	"fmt"
	"time"
)

// Ref is the outside identity under which an entry is posted once: the same Ref
// with the same content is the same entry, with other content it is refused.
type Ref string

// ObservationKind tells a movement from a balance.
type ObservationKind uint8

const (
	// Movement says that this much moved. It may call for an entry with legs.
	Movement ObservationKind = iota + 1
	// Balance says that this much is here. It posts nothing; where it differs
	// from the books there is a break.
	Balance
	// StateChange says that a place or an asset changed its condition, such as
	// an issuer freezing an address.
	StateChange
)

var observationKindNames = [...]string{Movement: "movement", Balance: "balance", StateChange: "state_change"}

// String is the kind's name.
func (k ObservationKind) String() string { return nameOf(observationKindNames[:], k) }

// MarshalText writes the kind's name.
func (k ObservationKind) MarshalText() ([]byte, error) {
	return marshalName(observationKindNames[:], k)
}

// UnmarshalText reads a kind's name.
func (k *ObservationKind) UnmarshalText(text []byte) error {
	return unmarshalName(observationKindNames[:], k, "observation kind", text)
}

// Stage is how far an observed fact is from being undone.
type Stage uint8

// The stages. A statement from a bank or a depository is Final when it is read.
// On a chain a movement goes Included, Safe, Final; or it is Retracted when the
// block that held it is orphaned.
const (
	Seen Stage = iota + 1 // heard of, advisory
	Included
	Safe
	Final
	Retracted
)

var stageNames = [...]string{Seen: "seen", Included: "included", Safe: "safe", Final: "final", Retracted: "retracted"}

// String is the stage's name.
func (s Stage) String() string { return nameOf(stageNames[:], s) }

// MarshalText writes the stage's name.
func (s Stage) MarshalText() ([]byte, error) { return marshalName(stageNames[:], s) }

// UnmarshalText reads a stage's name.
func (s *Stage) UnmarshalText(text []byte) error {
	return unmarshalName(stageNames[:], s, "stage", text)
}

// Condition is what a StateChange says of a place.
type Condition uint8

// Frozen and Unfrozen are the conditions an issuer can put an address in, and lift.
// The others say that a signature of the place's own key has let somebody else move
// what is there, whoever sent the transaction that carried it; Text says whom.
const (
	Frozen Condition = iota + 1
	Unfrozen
	Allowed   // a spender may take a token (ERC-20 approve, ERC-2612 permit)
	Delegated // the address runs somebody's code (EIP-7702)
)

// Exposes says whether the condition lets somebody else move what is at the place.
func (c Condition) Exposes() bool { return c == Allowed || c == Delegated }

var conditionNames = [...]string{Frozen: "frozen", Unfrozen: "unfrozen", Allowed: "allowed", Delegated: "delegated"}

// String is the condition's name.
func (c Condition) String() string { return nameOf(conditionNames[:], c) }

// MarshalText writes the condition's name.
func (c Condition) MarshalText() ([]byte, error) { return marshalName(conditionNames[:], c) }

// UnmarshalText reads a condition's name.
func (c *Condition) UnmarshalText(text []byte) error {
	return unmarshalName(conditionNames[:], c, "condition", text)
}

// Evidence says where a fact came from: a range of bytes in a received file, or a
// place in a chain. Explaining a number ends here.
type Evidence struct {
	// File is the SHA-256 of the received file in hex, From and To the bytes
	// [From, To) in it that say so.
	File string `json:"file,omitempty"`
	From int64  `json:"from,omitempty"`
	To   int64  `json:"to,omitempty"`
	// Chain is the CAIP-2 name. Log is the index within the transaction of the
	// log that says so, or -1 for the transaction itself.
	Chain     string `json:"chain,omitempty"`
	Block     uint64 `json:"block,omitempty"`
	BlockHash string `json:"block_hash,omitempty"`
	Tx        string `json:"tx,omitempty"`
	Log       int    `json:"log,omitempty"`
}

// Observation is one outside record, in words that are the same for both rails.
type Observation struct {
	// Ref is what the fact is, in the outside's own terms, and stays the same
	// whatever becomes of it: for a chain the transaction hash and the ordinal
	// within it, for a statement the file's hash and the byte where it stands.
	Ref   Ref             `json:"ref"`
	Kind  ObservationKind `json:"kind"`
	Stage Stage           `json:"stage"`
	// Source is who says so: "eip155:1", "bank:FNB", "dtc:0123".
	Source string  `json:"source"`
	Asset  AssetID `json:"asset"`
	// Amount is the size of a movement, never negative, or the balance of To.
	Amount Amount `json:"amount"`
	// From and To are outside names. Either may be empty where the record does
	// not say. A balance or a change of state is about To.
	From Place `json:"from,omitempty"`
	To   Place `json:"to,omitempty"`
	// Fee marks a movement which is the chain's charge for a transaction of From.
	Fee bool `json:"fee,omitempty"`
	// Nonce is the sender's transaction count, with which an intent is matched. With
	// the balance of a chain's coin it is how many transactions the place has sent.
	Nonce uint64 `json:"nonce,omitempty"`
	// By is who sent the transaction, where that is not From: somebody else has
	// moved what is there.
	By Place `json:"by,omitempty"`
	// Condition is set on a StateChange only.
	Condition Condition `json:"condition,omitempty"`
	// Text is the remittance information or the like, as received.
	Text string `json:"text,omitempty"`
	// Effective is when the fact was so: block time, value date.
	Effective time.Time `json:"effective"`
	Evidence  Evidence  `json:"evidence"`
}

// Check says what is wrong with the observation itself.
func (o Observation) Check() error {
	switch {
	case o.Ref == "":
		return fmt.Errorf("observation from %s has no ref", o.Source)
	case o.Source == "":
		return fmt.Errorf("observation %s has no source", o.Ref)
	case o.Asset == "":
		return fmt.Errorf("observation %s has no asset", o.Ref)
	case o.Stage < Seen || o.Stage > Retracted:
		return fmt.Errorf("observation %s has no stage", o.Ref)
	case o.Effective.IsZero():
		return fmt.Errorf("observation %s has no effective time", o.Ref)
	}
	switch o.Kind {
	case Movement:
		if o.Amount.Sign() < 0 {
			return fmt.Errorf("observation %s: movement of %s, expected zero or more", o.Ref, o.Amount)
		}
		if o.From == "" && o.To == "" {
			return fmt.Errorf("observation %s: movement from nowhere to nowhere", o.Ref)
		}
	case Balance:
		if o.To == "" {
			return fmt.Errorf("observation %s: balance of no place", o.Ref)
		}
	case StateChange:
		if o.To == "" || o.Condition == 0 {
			return fmt.Errorf("observation %s: change of state without place or condition", o.Ref)
		}
	default:
		return fmt.Errorf("observation %s has no kind", o.Ref)
	}
	return nil
}
