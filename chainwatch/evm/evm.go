// Package evm checks what an Ethereum client says against one block hash.
//
// Whoever trusts a block hash can trust everything that hangs from it: the header
// is its preimage; transactions, receipts and withdrawals are bound by the roots in
// the header; accounts and storage by its state root (EIP-1186). So the data may
// come from anybody. What the tries do not bind, such as a log's index in the block
// or a receipt's transaction hash, is derived here and compared with what was
// claimed.
//
// The package never does I/O, never decides which block hash to trust, and never
// lets an unknown form pass: a header with fields it does not know, whose hash does
// not follow from those it knows, is an unknown fork.
package evm

import (
	"errors"
	"fmt"
)

// ErrInvalid is in the chain of every error that says: these data are not what the
// hash, the root or the rest of them binds. Whoever delivered them lied or is broken.
var ErrInvalid = errors.New("data do not verify")

// ErrUnknownFork says that data carry fields or types which this program does not
// know, so that it cannot tell whether they are right. Nobody need have lied.
var ErrUnknownFork = errors.New("unknown fork")

// ErrUnreadable says that an input is not of the form it should have.
var ErrUnreadable = errors.New("unreadable")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func unreadable(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnreadable, what, err)
}
