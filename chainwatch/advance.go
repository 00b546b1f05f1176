package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// advance is one step of a follower in the making: a copy of its position, changed,
// and what has to be said of the change. It becomes the follower's position only
// after what it says is durable.
type advance struct {
	*position
	f            *Follower
	latest       Header // the source's tip
	observations []custody.Observation
	reorg        *Reorg
	connected    int
	marked       bool
	quarantined  uint64
	read         bool // balances were read
	swept        sweepDelta
}

// advance makes one advance. It may return both an advance and an error: what was
// learned before the error is sound.
func (f *Follower) advance(ctx context.Context) (*advance, error) {
	latest, err := f.Source.Header(ctx, At{Tag: Latest})
	if err != nil {
		return nil, fmt.Errorf("reading the latest header: %w", err)
	}
	a := &advance{f: f, position: f.pos.clone(), latest: latest}
	if err := a.realign(ctx); err != nil {
		return nil, err
	}
	err = a.connect(ctx)
	if a.reorg != nil && a.connected == 0 {
		// The other branch is a header so far. Nothing is taken back for the sake
		// of a block that nobody has seen.
		return nil, errors.Join(fmt.Errorf("reorganisation to %s: no block of it could be read", latest.BlockID), err)
	}
	if err != nil && a.connected == 0 {
		return nil, err
	}
	merr := a.mark(ctx)
	if errors.Is(merr, ErrFinalityViolated) {
		return nil, merr
	}
	return a, errors.Join(err, merr, a.readBalances(ctx))
}

// changed says that there is something to emit: at first start, that it has begun.
func (a *advance) changed() bool {
	return !a.f.pos.saved || a.reorg != nil || a.connected > 0 || a.marked || len(a.observations) > 0
}

// more says that the chain goes on, or that there are more balances to read.
func (a *advance) more() bool {
	if a.head.Tip().Number < a.latest.Number {
		return true
	}
	return a.read && (len(a.due) > 0 || a.swept.at < a.f.Watch.Len() || a.head.Tip().Number >= a.swept.next)
}

// realign takes back the blocks that are no longer in the source's chain.
func (a *advance) realign(ctx context.Context) error {
	tip, final := a.head.Tip(), a.head.Final()
	if a.latest.Hash == tip.Hash || a.latest.Parent == tip.Hash {
		return nil
	}
	if a.latest.Number < final.Number {
		return fmt.Errorf("latest block %s is below %s, which is final: the source lags", a.latest.BlockID, final)
	}
	if a.head.Contains(a.latest.BlockID) {
		return nil // the source is behind; nothing contradicts what we have
	}
	candidate := a.latest
	var err error
	if a.latest.Number > tip.Number {
		if candidate, err = a.f.Source.Header(ctx, At{Number: tip.Number}); err != nil {
			return fmt.Errorf("reading header %d: %w", tip.Number, err)
		}
	}
	for !a.head.Contains(candidate.BlockID) {
		if candidate.Number <= final.Number {
			return a.head.Violate(candidate.BlockID)
		}
		parent, number := candidate.Parent, candidate.Number
		if candidate, err = a.f.Source.Header(ctx, At{Hash: parent}); err != nil {
			return fmt.Errorf("walking back from block %d to %s: %w", number, parent, err)
		}
		if candidate.Number+1 != number {
			return fmt.Errorf("%w: block %d has a parent of height %d", ErrInvalid, number, candidate.Number)
		}
	}
	if candidate.Hash == tip.Hash {
		return nil
	}
	return a.takeBack(candidate.BlockID)
}

// takeBack disconnects every block above the common ancestor, newest first.
func (a *advance) takeBack(ancestor BlockID) error {
	a.reorg = &Reorg{Old: a.head.Tip().BlockID}
	for a.head.Tip().Hash != ancestor.Hash {
		b, err := a.head.Disconnect()
		if err != nil {
			return err
		}
		a.reorg.Depth++
		for _, m := range slices.Backward(b.Movements) {
			a.observations = append(a.observations, atStage(m, custody.Retracted))
		}
		a.touch(b.Touched)
	}
	return nil
}

func (a *advance) touch(addresses []common.Address) {
	for _, address := range addresses {
		a.due[address] = struct{}{}
	}
}

// connect reads new blocks up to the source's latest, at most MaxBlocks. When the
// chain is reorganised meanwhile it stops, and the next advance realigns.
func (a *advance) connect(ctx context.Context) error {
	for a.connected < a.f.MaxBlocks && a.head.Tip().Number < a.latest.Number {
		at := At{Number: a.head.Tip().Number + 1}
		if a.latest.Number == at.Number {
			at = At{Hash: a.latest.Hash}
		}
		b, err := a.f.Source.Block(ctx, at, a.f.Watch)
		if err != nil {
			return fmt.Errorf("reading block %s: %w", at, err)
		}
		if err := a.head.Connect(b); err != nil {
			return err
		}
		a.connected++
		a.quarantined += b.Quarantined
		a.observations = append(a.observations, b.Movements...)
		a.touch(b.Touched)
	}
	return nil
}

// mark advances safe and final, by the source's tags or by depth.
func (a *advance) mark(ctx context.Context) error {
	safe, serr := a.finality(ctx, SafeHead, a.f.Finality.SafeDepth)
	final, ferr := a.finality(ctx, Finalized, a.f.Finality.FinalDepth)
	if err := errors.Join(serr, ferr); err != nil {
		return err
	}
	if final.Number > safe.Number {
		safe = final
	}
	if err := a.advanceTo(safe, custody.Safe, a.head.MarkSafe); err != nil {
		return err
	}
	return a.advanceTo(final, custody.Final, a.head.MarkFinal)
}

// finality is the last block of our own chain that the policy calls safe or final.
func (a *advance) finality(ctx context.Context, tag Tag, depth uint64) (BlockID, error) {
	tip := a.head.Tip().BlockID
	if a.f.Finality.FinalDepth > 0 {
		if id, ok := a.head.At(tip.Number - min(depth, tip.Number)); ok {
			return id, nil
		}
		return a.head.Final(), nil
	}
	h, err := a.f.Source.Header(ctx, At{Tag: tag})
	switch {
	case errors.Is(err, ErrNotFound):
		return a.head.Final(), nil // the chain has none yet
	case err != nil:
		return BlockID{}, fmt.Errorf("reading the %s header: %w", tag, err)
	case h.Number > tip.Number:
		// Blocks are read by height, so the source says that our tip is below
		// what it calls final. When we get there, the hashes must agree.
		return tip, nil
	}
	return h.BlockID, nil
}

func (a *advance) advanceTo(id BlockID, stage custody.Stage, mark func(BlockID) ([]Block, error)) error {
	blocks, err := mark(id)
	if err != nil {
		return fmt.Errorf("marking %s %s: %w", id, stage, err)
	}
	for _, b := range blocks {
		a.marked = true
		for _, m := range b.Movements {
			a.observations = append(a.observations, atStage(m, stage))
		}
	}
	return nil
}

func (a *advance) batch(now time.Time) (Batch, error) {
	chain := a.f.Source.Chain()
	cursor, err := a.encode(chain)
	if err != nil {
		return Batch{}, err
	}
	tip := a.head.Tip().BlockID
	if a.reorg != nil {
		a.reorg.New = tip
	}
	return Batch{
		Source: chain, Cursor: cursor, Observations: a.observations,
		Head: tip, Safe: a.head.Safe(), Final: a.head.Final(), Reorg: a.reorg, At: now,
	}, nil
}
