// Package mpc runs GG18 threshold ECDSA over secp256k1 as one party's side of
// it: a state machine that is given messages and gives messages back. The
// arithmetic is tss-lib's; everything that reaches the library has passed
// package guard first.
//
// It does no I/O and starts nothing that outlives a call. It knows no sessions:
// who sent a message, that it belongs to this run, and that it is the only one
// of its type from that sender, is for the caller to make sure.
package mpc

import "math/big"

// These are never written to.
var (
	one = big.NewInt(1)
	two = big.NewInt(2)
)
