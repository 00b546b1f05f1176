package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
)

// Prover captures the state of accounts at one block of one chain.
type Prover interface {
	// Prove returns the header of the block with this hash, as a JSON-RPC block
	// object or as RLP in 0x-hex, and for each query, in order, the raw result
	// of eth_getProof (EIP-1186) at that block, asked for by its hash. The block
	// is one that the chain has finalized, and whose state is still kept: an
	// ordinary full node forgets it after 128 blocks. An error is never an
	// absence; what is returned need not be right, since every reader of the
	// package checks it.
	Prove(ctx context.Context, block common.Hash, queries []Query) (header []byte, proofs []json.RawMessage, err error)
}

// Query asks for an account and storage slots of it.
type Query struct {
	Address common.Address
	Slots   []common.Hash
}

// maxSlots is how many slots one proof asks for: clients answer 1024.
const maxSlots = 1000

// Chain is the state of one chain, as captured.
type Chain struct {
	ID     string // CAIP-2
	Header []byte // as Prover.Prove returns it
	// Accounts are the proofs of the firm's addresses, in the order of their
	// EIP-55 form; Tokens those of the tokens, in the order of their ids.
	Accounts []json.RawMessage
	Tokens   []TokenProofs
}

// Token says where a token contract keeps its balances.
type Token struct {
	Asset  custody.AssetID
	Layout evm.TokenLayout
}

// TokenProofs are the proofs of a token contract with the slots of the firm's
// addresses, up to a thousand slots in each.
type TokenProofs struct {
	Token
	Proofs []json.RawMessage
}

// Capture asks for everything that a package needs of one chain at one block: the
// account of each address, and of each token the balances of all addresses, and
// whether it is stopped and which code it runs. Places are CAIP-10 accounts of
// the chain.
func Capture(ctx context.Context, p Prover, chain string, block common.Hash, places []custody.Place, tokens []Token) (Chain, error) {
	holders, err := holdersOf(chain, places)
	if err != nil {
		return Chain{}, err
	}
	tokens = slices.SortedFunc(slices.Values(tokens), func(a, b Token) int { return bytes.Compare([]byte(a.Asset), []byte(b.Asset)) })
	queries := make([]Query, len(holders))
	for i, h := range holders {
		queries[i] = Query{Address: h}
	}
	counts := make([]int, len(tokens))
	for i, t := range tokens {
		contract, ok := contractOf(t.Asset)
		if !ok || t.Asset.Chain() != chain {
			return Chain{}, fmt.Errorf("token %s, expected an asset %s/erc20:0x… with the address in EIP-55 form", t.Asset, chain)
		}
		for slots := range slices.Chunk(tokenSlots(t.Layout, holders), maxSlots) {
			queries = append(queries, Query{Address: contract, Slots: slots})
			counts[i]++
		}
	}
	header, proofs, err := p.Prove(ctx, block, queries)
	if err != nil {
		return Chain{}, fmt.Errorf("proving %d accounts of %s at block %s: %w", len(queries), chain, block, err)
	}
	if len(proofs) != len(queries) {
		return Chain{}, fmt.Errorf("proving accounts of %s at block %s: %d proofs, expected %d", chain, block, len(proofs), len(queries))
	}
	c := Chain{ID: chain, Header: header, Accounts: proofs[:len(holders)]}
	rest := proofs[len(holders):]
	for i, t := range tokens {
		c.Tokens = append(c.Tokens, TokenProofs{Token: t, Proofs: rest[:counts[i]]})
		rest = rest[counts[i]:]
	}
	return c, nil
}

// holdersOf are the addresses of the places, which are all on the chain, in the
// order in which the package lists them.
func holdersOf(chain string, places []custody.Place) ([]common.Address, error) {
	holders := make([]common.Address, len(places))
	for i, place := range slices.Sorted(slices.Values(places)) {
		on, address, err := splitPlace(place)
		if err != nil {
			return nil, err
		}
		if on != chain {
			return nil, fmt.Errorf("place %s is not on chain %s", place, chain)
		}
		holders[i] = address
	}
	return holders, nil
}

// tokenSlots are the slots of a token that are proven, in order: whether it is
// stopped, which code it runs, and the balance of each holder.
func tokenSlots(l evm.TokenLayout, holders []common.Address) []common.Hash {
	slots := headSlots(l)
	for _, h := range holders {
		slots = append(slots, l.Slot(h))
	}
	return slots
}

// headSlots are those before the holders'.
func headSlots(l evm.TokenLayout) []common.Hash {
	var slots []common.Hash
	if l.PauseByte >= 0 {
		slots = append(slots, common.BigToHash(new(big.Int).SetUint64(l.PauseSlot)))
	}
	if l.ImplementationSlot != (common.Hash{}) {
		slots = append(slots, l.ImplementationSlot)
	}
	return slots
}
