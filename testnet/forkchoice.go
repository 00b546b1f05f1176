package testnet

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// SetHead makes a known block the latest, on whatever branch it stands, and
// returns the transactions that left the chain by this, oldest first. They leave
// the pool too and do not come back: whoever wants them back sends them again
// ([Chain.Send]).
//
// The new head must descend from the finalized block (see [Chain.BreakFinality]).
// If the safe block is orphaned, the last block common to both branches becomes
// the safe one.
func (c *Chain) SetHead(ctx context.Context, hash common.Hash) ([]*types.Transaction, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setHead(ctx, hash)
}

// BreakFinality is SetHead for a chain that breaks its promise: the finalized
// block may be orphaned, and then the last common block becomes the finalized
// and the safe one.
func (c *Chain) BreakFinality(ctx context.Context, hash common.Hash) ([]*types.Transaction, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moveHead(ctx, hash)
}

// Reorg replaces the last depth blocks by len(newBlocks) others with these
// transactions, and makes the last of them the head. It returns the new head and
// the transactions that are no longer in the chain, as [Chain.SetHead] does.
// Without new blocks the chain is only cut back.
func (c *Chain) Reorg(ctx context.Context, depth uint64, newBlocks [][]*types.Transaction) (*types.Block, []*types.Transaction, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := c.Head().Number.Uint64()
	if depth == 0 || depth > head {
		return nil, nil, fmt.Errorf("reorg of depth %d: want 1 to %d, the height of the head", depth, head)
	}
	block := c.backend.BlockChain().GetBlockByNumber(head - depth)
	for i, txs := range newBlocks {
		next, err := c.sealOn(ctx, block.Hash(), txs)
		if err != nil {
			return nil, nil, fmt.Errorf("reorg of depth %d, new block %d of %d: %w", depth, i+1, len(newBlocks), err)
		}
		block = next
	}
	dropped, err := c.setHead(ctx, block.Hash())
	if err != nil {
		return nil, nil, fmt.Errorf("reorg of depth %d: %w", depth, err)
	}
	return block, dropped, nil
}

// SetSafe makes a block of the canonical chain the one that the tag "safe"
// names. The other tags stay.
func (c *Chain) SetSafe(hash common.Hash) error {
	header, err := c.canonical(hash)
	if err != nil {
		return fmt.Errorf("safe block: %w", err)
	}
	c.backend.BlockChain().SetSafe(header)
	return nil
}

// SetFinalized makes a block of the canonical chain the one that the tag
// "finalized" names. The other tags stay, and it may go backwards: that a
// watcher has to notice.
func (c *Chain) SetFinalized(hash common.Hash) error {
	header, err := c.canonical(hash)
	if err != nil {
		return fmt.Errorf("finalized block: %w", err)
	}
	c.backend.BlockChain().SetFinalized(header)
	return nil
}

// Finalize makes the canonical block of that number finalized, and safe if the
// safe block stands below it.
func (c *Chain) Finalize(number uint64) error {
	header := c.backend.BlockChain().GetHeaderByNumber(number)
	if header == nil {
		return fmt.Errorf("finalizing block %d: the head is block %d", number, c.Head().Number)
	}
	if c.Safe().Number.Uint64() < number {
		c.backend.BlockChain().SetSafe(header)
	}
	c.backend.BlockChain().SetFinalized(header)
	return nil
}

func (c *Chain) canonical(hash common.Hash) (*types.Header, error) {
	block, err := c.Block(hash)
	if err != nil {
		return nil, err
	}
	if at := c.backend.BlockChain().GetCanonicalHash(block.NumberU64()); at != hash {
		return nil, fmt.Errorf("block %d %s is not on the canonical chain, which has %s there", block.Number(), hash, at)
	}
	return block.Header(), nil
}

func (c *Chain) setHead(ctx context.Context, hash common.Hash) ([]*types.Transaction, error) {
	target, err := c.Block(hash)
	if err != nil {
		return nil, fmt.Errorf("setting the head: %w", err)
	}
	final := c.Finalized()
	if fork := c.commonAncestor(final, target.Header()); fork.Hash() != final.Hash() {
		return nil, fmt.Errorf("setting the head to block %d %s: it does not descend from the finalized block %d %s",
			target.Number(), hash, final.Number, final.Hash())
	}
	return c.moveHead(ctx, hash)
}

func (c *Chain) moveHead(ctx context.Context, hash common.Hash) ([]*types.Transaction, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("setting the head to %s: %w", hash, err)
	}
	target, err := c.Block(hash)
	if err != nil {
		return nil, fmt.Errorf("setting the head: %w", err)
	}
	if hash == c.Head().Hash() {
		return nil, nil
	}
	fork := c.commonAncestor(c.Head(), target.Header())
	dropped := missing(c.branch(c.Head(), fork), c.branch(target.Header(), fork))
	c.lowerTags(target.Header())
	if err := c.adopt(target); err != nil {
		return nil, err
	}
	return dropped, c.forget(dropped)
}

// lowerTags moves the safe and the finalized block back to where their branch
// and the target's part.
func (c *Chain) lowerTags(target *types.Header) {
	bc := c.backend.BlockChain()
	if fork := c.commonAncestor(c.Finalized(), target); fork.Hash() != c.Finalized().Hash() {
		bc.SetFinalized(fork)
	}
	if fork := c.commonAncestor(c.Safe(), target); fork.Hash() != c.Safe().Hash() {
		bc.SetSafe(fork)
	}
}

func (c *Chain) commonAncestor(a, b *types.Header) *types.Header {
	for a.Hash() != b.Hash() {
		if a.Number.Cmp(b.Number) >= 0 {
			a = c.parent(a)
		} else {
			b = c.parent(b)
		}
	}
	return a
}

func (c *Chain) parent(h *types.Header) *types.Header {
	return c.backend.BlockChain().GetHeader(h.ParentHash, h.Number.Uint64()-1)
}

// branch is the transactions from after the ancestor up to the tip, oldest first.
func (c *Chain) branch(tip, ancestor *types.Header) []*types.Transaction {
	var blocks []*types.Block
	for h := tip; h.Hash() != ancestor.Hash(); h = c.parent(h) {
		blocks = append(blocks, c.backend.BlockChain().GetBlock(h.Hash(), h.Number.Uint64()))
	}
	var txs []*types.Transaction
	for i := len(blocks) - 1; i >= 0; i-- {
		txs = append(txs, blocks[i].Transactions()...)
	}
	return txs
}

// missing is what stands in the old branch and not in the new one.
func missing(old, now []*types.Transaction) []*types.Transaction {
	kept := make(map[common.Hash]bool, len(now))
	for _, tx := range now {
		kept[tx.Hash()] = true
	}
	var gone []*types.Transaction
	for _, tx := range old {
		if !kept[tx.Hash()] {
			gone = append(gone, tx)
		}
	}
	return gone
}

// forget takes transactions out of the pool, which put them back by itself when
// their block was orphaned. The pool can only be emptied as a whole, so the
// others are put in again.
func (c *Chain) forget(txs []*types.Transaction) error {
	if len(txs) == 0 {
		return nil
	}
	pool := c.backend.TxPool()
	pending, queued := pool.Content()
	pool.Clear()
	for _, accounts := range []map[common.Address][]*types.Transaction{pending, queued} {
		for _, waiting := range accounts {
			// What the pool refuses here is invalid on the new branch, and a
			// node would drop it too.
			pool.Add(missing(waiting, txs), true)
		}
	}
	return nil
}
