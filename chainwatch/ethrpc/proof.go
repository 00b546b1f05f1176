package ethrpc

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
)

// prover asks one endpoint for proofs at one block and checks them.
type prover struct {
	client *rpc.Client
	header *types.Header
}

func (p prover) args(address common.Address, slots []common.Hash) []any {
	if slots == nil {
		slots = []common.Hash{}
	}
	// Asked by hash, so that a reorganisation in between cannot answer for
	// another block.
	return []any{address, slots, map[string]any{"blockHash": p.header.Hash(), "requireCanonical": true}}
}

// check reads a proof, and that it is of what was asked and holds.
func (p prover) check(result json.RawMessage, address common.Address, slots []common.Hash) (*evm.AccountProof, error) {
	proof, err := evm.ParseProof(result)
	if err != nil {
		return nil, err
	}
	if proof.Address != address || len(proof.Slots) != len(slots) {
		return nil, fmt.Errorf("%w: asked for a proof of %s with %d slots, got %s with %d", evm.ErrInvalid, address, len(slots), proof.Address, len(proof.Slots))
	}
	for i, s := range proof.Slots {
		if s.Key != slots[i] {
			return nil, fmt.Errorf("%w: asked for slot %s of %s, got %s", evm.ErrInvalid, slots[i], address, s.Key)
		}
	}
	return proof, evm.VerifyProof(p.header.Root, proof)
}

func (p prover) account(ctx context.Context, address common.Address, slots []common.Hash) (*evm.AccountProof, error) {
	result, err := raw(ctx, p.client, "eth_getProof", p.args(address, slots)...)
	if err != nil {
		return nil, err
	}
	return p.check(result, address, slots)
}

// accounts proves several accounts in one batch.
func (p prover) accounts(ctx context.Context, addresses []common.Address) ([]*evm.AccountProof, error) {
	results := make([]json.RawMessage, len(addresses))
	batch := make([]rpc.BatchElem, len(addresses))
	for i, address := range addresses {
		batch[i] = rpc.BatchElem{Method: "eth_getProof", Args: p.args(address, nil), Result: &results[i]}
	}
	if err := p.client.BatchCallContext(ctx, batch); err != nil {
		return nil, fmt.Errorf("eth_getProof of %d accounts: %w", len(addresses), err)
	}
	proofs := make([]*evm.AccountProof, len(addresses))
	for i, address := range addresses {
		if err := batch[i].Error; err != nil {
			return nil, fmt.Errorf("eth_getProof of %s: %w", address, err)
		}
		note(ctx, "eth_getProof", batch[i].Args, results[i])
		if err := present("eth_getProof", results[i]); err != nil {
			return nil, err
		}
		var err error
		if proofs[i], err = p.check(results[i], address, nil); err != nil {
			return nil, err
		}
	}
	return proofs, nil
}

// AccountProof returns the raw result of eth_getProof for a place and storage slots
// after the block of the given hash, and the RLP encoding of that block's header. It
// has checked the one against the other, so that whoever trusts the hash can do the
// same without this program.
func (c *Client) AccountProof(ctx context.Context, place custody.Place, slots []common.Hash, block common.Hash) (proof json.RawMessage, header []byte, err error) {
	chain, address, err := custody.ParseEVMPlace(place)
	if err != nil {
		return nil, nil, err
	}
	if chain != c.chain {
		return nil, nil, fmt.Errorf("place %q is not on chain %s", place, c.chain)
	}
	h, err := c.header(ctx, chainwatch.At{Hash: block})
	if err != nil {
		return nil, nil, fmt.Errorf("header of block %s: %w", block, err)
	}
	err = c.try(ctx, func(ctx context.Context, client *rpc.Client) error {
		p := prover{client: client, header: h}
		if proof, err = raw(ctx, client, "eth_getProof", p.args(address, slots)...); err != nil {
			return err
		}
		_, err = p.check(proof, address, slots)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("proof of %s at block %s: %w", place, block, err)
	}
	if header, err = rlp.EncodeToBytes(h); err != nil {
		return nil, nil, fmt.Errorf("encoding header of block %s: %w", block, err)
	}
	return proof, []byte(hexutil.Encode(header)), nil
}
