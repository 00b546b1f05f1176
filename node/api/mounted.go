package api

import (
	"context"
	"math/big"

	"goodcontrol/custody"
)

// Asker is who asks, for what is served beside the API under the same guard.
func Asker(ctx context.Context) Principal { return principalOf(ctx) }

// Authorize says whether who asks may give a command, and is the person it names.
func Authorize(ctx context.Context, c Command) error { return authorize(ctx, c) }

// ExactTransaction is what a program that builds its own transactions asks for,
// where otherwise the node fills it in. It does not come in by the API.
type ExactTransaction struct {
	From           custody.Place
	Nonce, Gas     uint64
	TipCap, FeeCap *big.Int // wei per gas
}

// RequestMessage asks for something other than a transaction to be signed with an
// address. It does not come in by the API.
type RequestMessage struct {
	Signed
	From    custody.Place
	Type    string // of the content, such as text/plain
	Content []byte
}

func (RequestMessage) command() {}
