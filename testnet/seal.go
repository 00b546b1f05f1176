package testnet

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/txpool"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/miner"
)

// Seal builds a block of the pool's transactions on the head and makes it the
// head. Every transaction whose sending had returned before Seal was called is
// in it, unless the block is full or the transaction cannot pay the base fee;
// if the node leaves out another one, that is an error and the head stays.
// Transactions stand in the order of their fee, then of their arrival.
func (c *Chain) Seal(ctx context.Context) (*types.Block, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := c.Head()
	block, err := c.buildFromPool(ctx, head)
	if err != nil {
		return nil, fmt.Errorf("sealing on block %d %s: %w", head.Number, head.Hash(), err)
	}
	return block, c.adopt(block)
}

// SealEmpty builds a block without transactions on the head and makes it the
// head. The pool keeps what it has.
func (c *Chain) SealEmpty(ctx context.Context) (*types.Block, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := c.Head()
	block, err := c.build(ctx, head, []*types.Transaction{})
	if err != nil {
		return nil, fmt.Errorf("sealing empty on block %d %s: %w", head.Number, head.Hash(), err)
	}
	return block, c.adopt(block)
}

// SealOn builds a block of exactly these transactions, in this order, on any
// block the node knows. The head stays where it is: see [Chain.SetHead]. Each
// transaction must be valid there; the pool is neither asked nor told.
func (c *Chain) SealOn(ctx context.Context, parent common.Hash, txs ...*types.Transaction) (*types.Block, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sealOn(ctx, parent, txs)
}

// sealOn is SealOn for those who hold the lock.
func (c *Chain) sealOn(ctx context.Context, parent common.Hash, txs []*types.Transaction) (*types.Block, error) {
	on, err := c.Block(parent)
	if err != nil {
		return nil, fmt.Errorf("sealing on a parent: %w", err)
	}
	block, err := c.build(ctx, on.Header(), append([]*types.Transaction{}, txs...))
	if err != nil {
		return nil, fmt.Errorf("sealing %d transactions on block %d %s: %w", len(txs), on.Number(), parent, err)
	}
	return block, nil
}

// buildFromPool builds a block and sees to it that the pool's transactions are
// in it.
func (c *Chain) buildFromPool(ctx context.Context, parent *types.Header) (*types.Block, error) {
	waiting, _ := c.backend.TxPool().Pending(txpool.PendingFilter{})
	block, err := c.build(ctx, parent, nil)
	if err != nil {
		return nil, err
	}
	return block, checkFilled(block, waiting)
}

// checkFilled tells a transaction that had to stay outside from one that was
// lost. Only the first of each account can be judged: the others wait for it.
func checkFilled(block *types.Block, waiting map[common.Address][]*txpool.LazyTransaction) error {
	inside := make(map[common.Hash]bool, len(block.Transactions()))
	for _, tx := range block.Transactions() {
		inside[tx.Hash()] = true
	}
	room := block.GasLimit() - block.GasUsed()
	for from, txs := range waiting {
		for _, tx := range txs {
			if inside[tx.Hash] {
				continue
			}
			if tx.Gas <= room && tx.GasFeeCap.ToBig().Cmp(block.BaseFee()) >= 0 {
				return fmt.Errorf("transaction %s of %s was left out of a block of %d transactions with %d gas to spare (its limit: %d), in at most %s",
					tx.Hash, from, len(inside), room, tx.Gas, buildBudget)
			}
			break
		}
	}
	return nil
}

// build makes a block on the parent and stores it beside the chain. Nil
// transactions mean: those of the pool.
func (c *Chain) build(ctx context.Context, parent *types.Header, txs []*types.Transaction) (*types.Block, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	args := &miner.BuildPayloadArgs{
		Parent:       parent.Hash(),
		Timestamp:    c.nextTime(parent),
		FeeRecipient: c.Account(proposerName).Address,
		Random:       c.randomness(),
		Withdrawals:  types.Withdrawals{},
		BeaconRoot:   new(common.Hash),
		SlotNum:      c.nextSlot(parent),
	}
	empty := txs != nil && len(txs) == 0
	block, _, err := c.backend.Miner().BuildTestingPayload(args, txs, empty, nil)
	if err != nil {
		return nil, err
	}
	// The node executes the block again, as it would one from a stranger.
	if _, err := c.backend.BlockChain().InsertBlockWithoutSetHead(ctx, block, false); err != nil {
		return nil, fmt.Errorf("the node refuses its own block: %w", err)
	}
	return block, nil
}

// adopt makes a child of the head the head, and returns when the pool knows it.
func (c *Chain) adopt(block *types.Block) error {
	if _, err := c.backend.BlockChain().SetCanonical(block); err != nil {
		return fmt.Errorf("making block %d %s the head: %w", block.Number(), block.Hash(), err)
	}
	if err := c.backend.TxPool().Sync(); err != nil {
		return fmt.Errorf("waiting for the pool after block %d: %w", block.Number(), err)
	}
	return nil
}

func (c *Chain) nextTime(parent *types.Header) uint64 {
	if c.config.Now == nil {
		return parent.Time + uint64(BlockInterval/time.Second)
	}
	return max(parent.Time+1, uint64(max(0, c.config.Now().Unix())))
}

// nextSlot is the slot number that EIP-7843 puts into the header; before
// Amsterdam there is none.
func (c *Chain) nextSlot(parent *types.Header) *uint64 {
	if c.config.Rules < Amsterdam {
		return nil
	}
	var slot uint64
	if parent.SlotNumber != nil {
		slot = *parent.SlotNumber
	}
	slot++
	return &slot
}
