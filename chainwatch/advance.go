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
	k            int      // how many witnesses have to agree
	stands       []*stand // what they say
	disagreement *Disagreement
	held         bool   // they disagree about the next block
	backed       uint64 // the height up to which k witnesses have our chain now
	top          uint64 // how far the witnesses' chain goes that we are on the way to
	observations []custody.Observation
	reorg        *Reorg
	connected    int
	marked       bool
	quarantined  uint64
	read         bool // balances were read
	swept        sweepDelta
	unproven     map[custody.AssetID]string // as of the balances read, with why
}

// advance makes one advance. It may return both an advance and an error: what was
// learned before the error is sound.
func (f *Follower) advance(ctx context.Context) (*advance, error) {
	a := &advance{f: f, position: f.pos.clone()}
	defer f.showRound(a)
	if err := a.hear(ctx); err != nil {
		return nil, err
	}
	if err := a.realign(); err != nil {
		return nil, err
	}
	err := a.connect(ctx)
	if a.reorg != nil && a.connected == 0 {
		// The other branch is a header so far. Nothing is taken back for the sake
		// of a block that nobody has seen.
		return nil, errors.Join(fmt.Errorf("reorganisation after block %s: no block of it could be read", a.head.Tip().BlockID), err)
	}
	if err != nil && a.connected == 0 {
		return nil, err
	}
	merr := a.mark(ctx)
	if errors.Is(merr, ErrFinalityViolated) {
		return nil, merr
	}
	return a, errors.Join(err, merr, a.readBalances(ctx), a.trouble())
}

// changed says that there is something to emit: at first start, that it has begun.
func (a *advance) changed() bool {
	return !a.f.pos.saved || a.reorg != nil || a.connected > 0 || a.marked || len(a.observations) > 0
}

// more says that the chain goes on, or that there are more balances to read.
func (a *advance) more() bool {
	if a.head.Tip().Number < a.top {
		return true
	}
	return a.read && (len(a.due) > 0 || a.swept.at < a.f.Watch.Len() || a.head.Tip().Number >= a.swept.next)
}

// takeBack disconnects every block above the common ancestor, newest first.
func (a *advance) takeBack(ancestor BlockID) error {
	a.reorg = &Reorg{Old: a.head.Tip().BlockID}
	a.turns++
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

// connect reads the blocks from the tip to the goal, each by its hash: whoever
// delivers one cannot deliver another. When the chain is reorganised meanwhile it
// stops, and the next advance realigns.
func (a *advance) connect(ctx context.Context) error {
	goal, agreed, err := a.goal(ctx)
	if err != nil || goal.Hash == a.head.Tip().Hash {
		return err
	}
	path, err := a.path(ctx, goal)
	if err != nil {
		return err
	}
	reading, stop := a.f.read(ctx, path)
	defer stop()
	for i, h := range path {
		b, err := reading[i]()
		if err != nil {
			return fmt.Errorf("reading block %s: %w", h.BlockID, err)
		}
		if err := a.head.Connect(b); err != nil {
			return err
		}
		a.connected++
		if agreed {
			a.backed, a.vouched = h.Number, max(a.vouched, h.Number)
		}
		a.quarantined += b.Quarantined
		a.observations = append(a.observations, b.Movements...)
		a.touch(b.Touched)
	}
	return nil
}

// mark advances safe and final, by the witnesses' tags or by depth.
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
	if err := a.advanceTo(final, custody.Final, a.head.MarkFinal); err != nil {
		return err
	}
	a.cordon()
	return nil
}

// finality is the last block of our own chain that the policy calls safe or final,
// and that k witnesses have.
func (a *advance) finality(ctx context.Context, tag Tag, depth uint64) (BlockID, error) {
	if a.f.Finality.FinalDepth == 0 {
		return a.settled(ctx, tag)
	}
	tip := a.head.Tip().Number
	if id, ok := a.head.At(min(tip-min(depth, tip), a.backed)); ok {
		return id, nil
	}
	return a.head.Final(), nil
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
