package chainwatch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// path lists the headers from the tip to the goal, oldest first.
func (a *advance) path(ctx context.Context, goal Header) ([]Header, error) {
	tip := a.head.Tip()
	path := make([]Header, goal.Number-tip.Number)
	if a.ranged(ctx, goal, path) {
		return path, nil
	}
	for i := len(path) - 1; i >= 0; i-- {
		path[i] = goal
		if i == 0 {
			break
		}
		parent, err := a.f.Source.Header(ctx, At{Hash: goal.Parent})
		if err != nil {
			return nil, fmt.Errorf("walking back from block %d to %s: %w", goal.Number, goal.Parent, err)
		}
		if parent.Number+1 != goal.Number {
			return nil, fmt.Errorf("%w: block %d has a parent of height %d", ErrInvalid, goal.Number, parent.Number)
		}
		goal = parent
	}
	return path, nil
}

// ranged fills the path from a source that has many headers at once, and says whether
// they lead from the tip to the goal. If they do not, the chain has moved meanwhile,
// and walking back by hash tells more.
func (a *advance) ranged(ctx context.Context, goal Header, path []Header) bool {
	source, ok := a.f.Source.(Ranger)
	last := len(path) - 1
	if !ok || last < 1 {
		return false
	}
	headers, err := source.Headers(ctx, a.head.Tip().Number+1, goal.Number-1)
	if err != nil || len(headers) != last {
		return false
	}
	copy(path, headers)
	path[last] = goal
	for i := last; i > 0; i-- {
		if path[i].Parent != path[i-1].Hash || path[i].Number != path[i-1].Number+1 {
			return false
		}
	}
	return true
}

// read reads the blocks of a path in their order, several at once, each by its hash. It
// returns a function for each that waits for it, and one that ends the reading and has
// to be called.
func (f *Follower) read(ctx context.Context, path []Header) (blocks []func() (Block, error), stop func()) {
	type result struct {
		block Block
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	results := make([]chan result, len(path))
	for i := range path {
		results[i] = make(chan result, 1)
		blocks = append(blocks, func() (Block, error) { r := <-results[i]; return r.block, r.err })
	}
	var all sync.WaitGroup
	var next atomic.Int64
	for range min(f.Parallel, len(path)) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(path)); i = next.Add(1) - 1 {
				var r result
				if r.err = ctx.Err(); r.err == nil {
					r.block, r.err = f.Source.Block(ctx, At{Hash: path[i].Hash}, f.Watch)
				}
				results[i] <- r
			}
		})
	}
	return blocks, func() { cancel(); all.Wait() }
}
