package ethrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
)

// Header returns a header whose hash follows from its fields.
func (c *Client) Header(ctx context.Context, at chainwatch.At) (chainwatch.Header, error) {
	h, err := c.header(ctx, at)
	if err != nil {
		return chainwatch.Header{}, fmt.Errorf("header %s: %w", at, err)
	}
	return headerOf(h), nil
}

func headerOf(h *types.Header) chainwatch.Header {
	return chainwatch.Header{
		BlockID: chainwatch.BlockID{Number: h.Number.Uint64(), Hash: h.Hash(), Parent: h.ParentHash},
		Time:    time.Unix(int64(h.Time), 0).UTC(),
	}
}

func (c *Client) header(ctx context.Context, at chainwatch.At) (*types.Header, error) {
	if at.Tag == "" && at.Hash != (common.Hash{}) {
		if h := c.remembered(at.Hash); h != nil {
			return h, nil
		}
	}
	var header *types.Header
	err := c.try(ctx, func(ctx context.Context, client *rpc.Client) (err error) {
		header, err = fetchHeader(ctx, client, at)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.remember(header)
	return header, nil
}

func fetchHeader(ctx context.Context, client *rpc.Client, at chainwatch.At) (*types.Header, error) {
	object, err := blockObject(ctx, client, at, false)
	if err != nil {
		return nil, err
	}
	header, err := evm.ParseHeader(object)
	if err != nil {
		return nil, err
	}
	return header, asked(at, header)
}

// blockObject fetches a block object, with its transactions in full or as hashes.
func blockObject(ctx context.Context, client *rpc.Client, at chainwatch.At, full bool) (json.RawMessage, error) {
	switch {
	case at.Tag != "":
		object, err := raw(ctx, client, "eth_getBlockByNumber", string(at.Tag), full)
		if unknownTag(err) {
			err = fmt.Errorf("%s: %w", at.Tag, chainwatch.ErrNotFound)
		}
		return object, err
	case at.Hash != common.Hash{}:
		return raw(ctx, client, "eth_getBlockByHash", at.Hash, full)
	}
	return raw(ctx, client, "eth_getBlockByNumber", hexutil.EncodeUint64(at.Number), full)
}

// unknownTag recognises how clients say that nothing is safe or finalized yet.
func unknownTag(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "block not found") || strings.Contains(err.Error(), "Unknown block"))
}

// asked checks that a header is the one that was asked for.
func asked(at chainwatch.At, h *types.Header) error {
	switch hash := h.Hash(); {
	case at.Tag != "":
		return nil
	case at.Hash != common.Hash{}:
		if hash != at.Hash {
			return fmt.Errorf("%w: asked for block %s, got %s", evm.ErrInvalid, at.Hash, hash)
		}
	case h.Number.Uint64() != at.Number:
		return fmt.Errorf("%w: asked for block %d, got %d", evm.ErrInvalid, at.Number, h.Number)
	}
	return nil
}

// Block returns what a block did to the watched addresses, from its transactions,
// receipts and withdrawals, all of them checked against the header.
func (c *Client) Block(ctx context.Context, at chainwatch.At, watch *chainwatch.WatchSet) (chainwatch.Block, error) {
	var block chainwatch.Block
	err := c.try(ctx, func(ctx context.Context, client *rpc.Client) error {
		b, receipts, err := c.fetchBlock(ctx, client, at)
		if err != nil {
			return err
		}
		c.remember(b.Header)
		block, err = c.extract(b, receipts, watch)
		return err
	})
	if err != nil {
		return chainwatch.Block{}, fmt.Errorf("block %s: %w", at, err)
	}
	return block, nil
}

func (c *Client) fetchBlock(ctx context.Context, client *rpc.Client, at chainwatch.At) (*evm.Block, []*evm.Receipt, error) {
	if at.Tag == "" && at.Hash != (common.Hash{}) {
		b, receipts, err := c.fetchRaw(ctx, client, at.Hash)
		if err == nil || errors.Is(err, evm.ErrInvalid) || errors.Is(err, evm.ErrUnknownFork) || ctx.Err() != nil {
			return b, receipts, err
		}
	}
	object, err := blockObject(ctx, client, at, true)
	if err != nil {
		return nil, nil, err
	}
	b, err := evm.ParseBlock(object)
	if err != nil {
		return nil, nil, err
	}
	if err := asked(at, b.Header); err != nil {
		return nil, nil, err
	}
	list, err := raw(ctx, client, "eth_getBlockReceipts", b.Header.Hash())
	if err != nil {
		return nil, nil, err
	}
	receipts, err := evm.ParseReceipts(list)
	if err != nil {
		return nil, nil, err
	}
	return b, receipts, evm.VerifyReceipts(b.Header, b.Hashes, receipts)
}

// Limits of one request: go-ethereum answers at most 1024 storage keys, and a batch
// is kept well below its 25 MB.
const (
	maxBatch = 100
	maxSlots = 256
)

// Balances returns the proven balances of addresses after a block: the chain's coin,
// and every listed token whose layout is known. A balance is frozen when the issuer
// has frozen the address, or stopped the token for everybody.
func (c *Client) Balances(ctx context.Context, at chainwatch.BlockID, addresses []common.Address) ([]chainwatch.Balance, error) {
	header, err := c.header(ctx, chainwatch.At{Hash: at.Hash})
	if err != nil {
		return nil, fmt.Errorf("header of block %s: %w", at, err)
	}
	var balances []chainwatch.Balance
	err = c.try(ctx, func(ctx context.Context, client *rpc.Client) error {
		p := prover{client: client, header: header}
		if balances, err = c.coinBalances(ctx, p, addresses); err != nil {
			return err
		}
		for _, t := range c.config.Tokens {
			if t.Layout == nil {
				continue
			}
			held, err := c.tokenBalances(ctx, p, t, addresses)
			if err != nil {
				return err
			}
			balances = append(balances, held...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("balances at block %s: %w", at, err)
	}
	return balances, nil
}

func (c *Client) coinBalances(ctx context.Context, p prover, addresses []common.Address) ([]chainwatch.Balance, error) {
	var balances []chainwatch.Balance
	for len(addresses) > 0 {
		n := min(len(addresses), maxBatch)
		proofs, err := p.accounts(ctx, addresses[:n])
		if err != nil {
			return nil, err
		}
		for _, proof := range proofs {
			b, err := balanceOf(proof.Address, chainwatch.NativeAsset(c.chain), proof.Balance, false)
			if err != nil {
				return nil, err
			}
			b.Nonce = proof.Nonce
			balances = append(balances, b)
		}
		addresses = addresses[n:]
	}
	return balances, nil
}

func (c *Client) tokenBalances(ctx context.Context, p prover, t Token, holders []common.Address) ([]chainwatch.Balance, error) {
	var balances []chainwatch.Balance
	asset := chainwatch.TokenAsset(c.chain, t.Contract)
	for len(holders) > 0 {
		n := min(len(holders), maxSlots)
		slots := []common.Hash{t.Layout.Pause()}
		for _, holder := range holders[:n] {
			slots = append(slots, t.Layout.Slot(holder))
		}
		if t.pinned() {
			slots = append(slots, t.Layout.ImplementationSlot)
		}
		proof, err := p.account(ctx, t.Contract, slots)
		if err != nil {
			return nil, err
		}
		paused, unproven := t.Layout.Paused(proof.Slots[0].Value), t.upgraded(proof.Slots[len(slots)-1].Value)
		for i, s := range proof.Slots[1 : n+1] {
			if unproven != "" {
				balances = append(balances, chainwatch.Balance{Address: holders[i], Asset: asset, Unproven: unproven})
				continue
			}
			b, err := balanceOf(holders[i], asset, t.Layout.Balance(s.Value), paused || t.Layout.Frozen(s.Value))
			if err != nil {
				return nil, err
			}
			balances = append(balances, b)
		}
		holders = holders[n:]
	}
	return balances, nil
}

func (t Token) pinned() bool { return t.Implementation != common.Address{} }

// upgraded says, given the value of the implementation slot of a pinned token, that the layout is of
// other code than the token has now.
func (t Token) upgraded(value common.Hash) string {
	pinned := common.BytesToHash(t.Implementation[:])
	if !t.pinned() || value == pinned {
		return ""
	}
	return fmt.Sprintf("the proxy %s points to code at %s, its layout is of %s", t.Contract, value.Hex(), t.Implementation)
}

func balanceOf(address common.Address, asset custody.AssetID, units *big.Int, frozen bool) (chainwatch.Balance, error) {
	amount, err := custody.AmountFromBig(units)
	if err != nil {
		return chainwatch.Balance{}, fmt.Errorf("balance of %s in %s: %w", address, asset, err)
	}
	return chainwatch.Balance{Address: address, Asset: asset, Amount: amount, Frozen: frozen}, nil
}
