package keys

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Request is what one party has decided to sign, after it read the intent,
// checked its own copy of the policy and computed the digest itself.
type Request struct {
	Intent [32]byte // hash of the intent, as the approvers signed it
	Key    KeyID
	Path   Path
	// Address, unless it is zero, is the Ethereum address that the key at the
	// path must have; the party derives it and refuses if it is another.
	Address [20]byte
	Digest  [32]byte // what ECDSA signs; computed by this party, never received
	// Slot names what the chain lets happen only once, such as
	// chain|address|nonce. A party that has agreed to one intent for a slot
	// refuses every other for ever; asking again for the same one is a retry.
	// The empty slot is used by nothing that spends.
	Slot string
	// Expires is when the authorizer begins to refuse the intent; zero is never.
	// A slot goes back after it, if no signature can have been made.
	Expires time.Time
	// Policy is the version of the policy that allowed it, if it has versions.
	Policy uint64
}

// Check says what is wrong with the request, if anything.
func (r Request) Check() error {
	if err := r.Key.Check(); err != nil {
		return err
	}
	if err := r.Path.Check(); err != nil {
		return err
	}
	if r.Digest == ([32]byte{}) {
		return errors.New("digest is zero; expected the digest of a transaction or message")
	}
	if len(r.Slot) > 256 {
		return fmt.Errorf("slot has %d bytes; expected at most 256", len(r.Slot))
	}
	return nil
}

// Equal reports whether both sign the same for the same. Address, Expires and
// Policy are left out: key and path, and the intent, determine them.
func (r Request) Equal(o Request) bool {
	return r.Intent == o.Intent && r.Key == o.Key && r.Path.Equal(o.Path) && r.Digest == o.Digest && r.Slot == o.Slot
}

// Authorizer decides, inside one party, whether an intent may be signed.
//
// Authorize is handed the raw bytes the party was sent. It decodes them, checks
// approvals, limits and destination against the party's own copy of the policy
// at time now, and computes the digest from the decoded transaction. It must
// not ask the node. Any error is a refusal. The same bytes must give the same
// Request in every party whose policy allows them.
type Authorizer interface {
	Authorize(ctx context.Context, intent []byte, now time.Time) (Request, error)
}

// Versioned is an Authorizer whose policy has versions that only grow. A party
// remembers the highest for ever, and refuses to sign under a lower one.
type Versioned interface {
	PolicyVersion() (uint64, error)
}

// Cancellation names an intent that people have taken back.
type Cancellation struct {
	Intent [32]byte
	Slot   string // what the intent would have used up
	Policy uint64 // version under which it was taken back
}

// Canceller is an Authorizer that understands cancellations. AuthorizeCancel is
// to Cancellation what Authorize is to Request: it checks, from the bytes and the
// party's own policy alone, that the people who could have approved the intent
// take it back.
type Canceller interface {
	AuthorizeCancel(ctx context.Context, cancellation []byte, now time.Time) (Cancellation, error)
}

// What a caller may have to tell apart. Everything else is an ordinary failure.
var (
	// ErrRefused: a party's policy, or its memory of an earlier intent for the
	// same slot, says no. Asking again will not help.
	ErrRefused = errors.New("refused")
	// ErrFrozen: after a cryptographic abort the party signs nothing more with
	// this key until a person has looked and unfrozen it.
	ErrFrozen = errors.New("key is frozen")
	// ErrAborted: the protocol was broken off because a message was wrong in a
	// way no honest party makes one. There is no automatic second attempt.
	ErrAborted = errors.New("aborted")
	// ErrUnknownKey: the party has no active share of that key.
	ErrUnknownKey = errors.New("unknown key")
	// ErrQuorum: fewer parties than the threshold could be reached.
	ErrQuorum = errors.New("no quorum of parties")
	// ErrBusy: the party has as many sessions as it admits, or makes no key
	// now because its pool of pre-parameters is empty. Asking later may help.
	ErrBusy = errors.New("busy")
)
