package custody

import (
	"encoding/json"
	"fmt"
	"time"
)

// A fact is the body of an entry: something the node was told or decided, kept in
// the journal because what follows depends on it. The register of owners, places,
// wallets and addresses, and the life of each withdrawal, are folds of facts.

// The kinds of entry that carry the facts below.
const (
	KindAssetListed     = "asset.listed"
	KindOwnerOpened     = "owner.opened"
	KindLocationOpened  = "location.opened"
	KindWalletOpened    = "wallet.opened"
	KindAddressAssigned = "address.assigned"
	KindAddressBooked   = "address.booked"
	KindObserved        = "observed"
	KindExpected        = "transfer.expected"
	KindReleased        = "outflow.released"
	KindChainReleased   = "chain.released"
)

// The kinds of entry in the life of a withdrawal. The first five are decided by
// people and by the node; the rest follow from what the chain shows.
const (
	KindWithdrawalRequested = "withdrawal.requested"
	KindWithdrawalApproved  = "withdrawal.approved"
	KindWithdrawalHeld      = "withdrawal.held"
	KindWithdrawalSigned    = "withdrawal.signed"
	KindWithdrawalVoided    = "withdrawal.voided"

	KindWithdrawalIncluded  = "withdrawal.included"
	KindWithdrawalFinal     = "withdrawal.final"
	KindWithdrawalRetracted = "withdrawal.retracted"
	KindWithdrawalFailed    = "withdrawal.failed"
)

// OwnerOpened is the fact that an owner's accounts were opened.
type OwnerOpened struct {
	ID   string    `json:"id"`
	Kind OwnerKind `json:"kind"`
	Name string    `json:"name"`
}

// LocationOpened is the fact that a place off chain is one of ours, and of what
// type. Source is who reports on it: an observation of the place must say the same.
type LocationOpened struct {
	Place  Place       `json:"place"`
	Type   AccountType `json:"type"`
	Source string      `json:"source"`
	Label  string      `json:"label"`
}

// WalletKind tells how a wallet's contents are owned.
type WalletKind uint8

// The kinds of wallet.
const (
	// Segregated wallets hold the property of one client and of nobody else.
	Segregated WalletKind = iota + 1
	// Omnibus wallets hold the property of several clients; whose is what stands
	// in the books.
	Omnibus
	// FirmWallet holds the firm's own property.
	FirmWallet
	// SoCalledReserve holds what somebody wants to call reserve. It counts zero.
	SoCalledReserve
)

var walletKindNames = [...]string{Segregated: "segregated", Omnibus: "omnibus", FirmWallet: "firm", SoCalledReserve: "reserve"}

// String is the kind's name.
func (k WalletKind) String() string { return nameOf(walletKindNames[:], k) }

// MarshalText writes the kind's name.
func (k WalletKind) MarshalText() ([]byte, error) { return marshalName(walletKindNames[:], k) }

// UnmarshalText reads a kind's name.
func (k *WalletKind) UnmarshalText(text []byte) error {
	return unmarshalName(walletKindNames[:], k, "wallet kind", text)
}

// WalletOpened is the fact that a wallet was opened under a key of threshold
// signers. Owner is set for a segregated wallet and empty for the others.
type WalletOpened struct {
	ID    string     `json:"id"`
	Kind  WalletKind `json:"kind"`
	Chain string     `json:"chain"` // CAIP-2
	Key   string     `json:"key"`
	Owner string     `json:"owner,omitempty"`
	// Index is the first part of the path of each of its addresses. No two wallets
	// have the same.
	Index uint32 `json:"index"`
}

// AddressAssigned is the fact that an address of a wallet was assigned. Owner is
// empty for a pooled address of an omnibus wallet: there the sender tells whose a
// deposit is.
type AddressAssigned struct {
	Place     Place  `json:"place"` // CAIP-10
	Wallet    string `json:"wallet"`
	Path      string `json:"path"` // such as m/0/1
	Owner     string `json:"owner,omitempty"`
	Purpose   string `json:"purpose"`
	FromBlock uint64 `json:"from_block"`
}

// AddressBooked is the fact that an outside address was entered in an owner's
// book: deposits from it are that owner's, and withdrawals may go to it.
type AddressBooked struct {
	Place Place  `json:"place"` // CAIP-10
	Owner string `json:"owner"`
}

// TransferExpected is the fact that securities are on their way to us for an
// owner, which the next statement of the place should show.
type TransferExpected struct {
	ID     string  `json:"id"`
	Owner  string  `json:"owner"`
	Place  Place   `json:"place"`
	Asset  AssetID `json:"asset"`
	Amount Amount  `json:"amount"`
}

// WithdrawalRequested is the fact that somebody asked for a withdrawal, with the
// canonical bytes of the intent that approvers sign.
type WithdrawalRequested struct {
	ID     string `json:"id"`
	Intent []byte `json:"intent"`
	Reason string `json:"reason,omitempty"`
}

// WithdrawalApproved is the fact that a person approved it: their Ed25519
// signature over the hash of the intent.
type WithdrawalApproved struct {
	ID        string `json:"id"`
	Person    string `json:"person"`
	Signature []byte `json:"signature"`
}

// WithdrawalHeld is the fact that property was put on hold for an approved
// withdrawal. With From and Nonce it names the one transaction that may take it.
type WithdrawalHeld struct {
	ID     string  `json:"id"`
	Client string  `json:"client"`
	Asset  AssetID `json:"asset"`
	Amount Amount  `json:"amount"`
	From   Place   `json:"from"`
	To     Place   `json:"to"`
	Nonce  uint64  `json:"nonce"`
}

// WithdrawalSigned is the fact that the threshold signers signed the transaction
// with this hash. It is recorded before the transaction is broadcast.
type WithdrawalSigned struct {
	ID    string `json:"id"`
	From  Place  `json:"from"`
	Nonce uint64 `json:"nonce"`
	Tx    string `json:"tx"`
	Raw   []byte `json:"raw"`
}

// WithdrawalVoided is the fact that a hold was lifted without anything moving.
type WithdrawalVoided struct {
	ID     string `json:"id"`
	From   Place  `json:"from"`
	Nonce  uint64 `json:"nonce"`
	Reason string `json:"reason"`
}

// OutflowReleased is the fact that people have dealt with an outflow which no
// intent explained, and let its wallet be used again.
type OutflowReleased struct {
	Outflow Ref      `json:"outflow"`
	By      []string `json:"by"`
	Reason  string   `json:"reason"`
}

// ChainReleased is the fact that people let a chain be followed again which had
// contradicted something final. Violated is when that was found, and its name.
type ChainReleased struct {
	Chain    string    `json:"chain"`
	Violated time.Time `json:"violated"`
	By       []string  `json:"by"`
	Reason   string    `json:"reason"`
}

// FactEntry makes the entry that records a fact. The body is JSON, whose encoding
// by the standard library is the same for the same value.
func FactEntry(kind string, ref Ref, actor string, at time.Time, fact any) (Entry, error) {
	body, err := json.Marshal(fact)
	if err != nil {
		return Entry{}, fmt.Errorf("encoding %s %s: %w", kind, ref, err)
	}
	return Entry{Ref: ref, Kind: kind, Actor: actor, Effective: at, Body: body}, nil
}

// Fact reads the body of an entry.
func Fact[T any](e Entry) (T, error) {
	var v T
	if err := json.Unmarshal(e.Body, &v); err != nil {
		return v, fmt.Errorf("entry %d (%s %s): decoding its body: %w", e.Seq, e.Kind, e.Ref, err)
	}
	return v, nil
}
