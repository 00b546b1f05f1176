package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"goodcontrol/custody"
)

// anchor is the block that is final before the first one read, as k witnesses have
// it. A chain that has finalized nothing yet is read from its first block.
func (f *Follower) anchor(ctx context.Context) (Header, error) {
	k, stands := f.stands()
	var mu sync.Mutex
	var heights []uint64
	f.each(ctx, stands, func(ctx context.Context, s *stand) (err error) {
		s.latest, err = s.witness.Header(ctx, At{Tag: Finalized})
		if errors.Is(err, ErrNotFound) {
			s.latest, err = s.witness.Header(ctx, At{Number: 0})
		}
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			heights = append(heights, s.latest.Number)
		}
		return err
	})
	a := &advance{f: f, k: k, stands: stands}
	defer f.showRound(a)
	err := silence(stands)
	if height, ok := highest(k, heights); ok {
		if f.Start > 0 {
			height = min(height, f.Start-1)
		}
		b := f.name(ctx, stands, height)
		if anchor, ok := b.agreed(k); ok {
			return anchor, nil
		}
		a.disagreement, err = b.disagreement(), silence(stands)
	}
	switch {
	case err != nil:
	case a.disagreement != nil:
		err = fmt.Errorf("%w %s", ErrDisagreement, a.disagreement)
	default:
		err = fmt.Errorf("%w: %d have to agree: %w", ErrTooFew, k, silent(stands))
	}
	return Header{}, fmt.Errorf("finding where to start: %w", err)
}

// resume goes on after a violation that people have released.
func (f *Follower) resume(ctx context.Context, emit func(context.Context, Batch) error) error {
	old := f.pos.head
	anchor, err := f.standing(ctx, old.Final().Number)
	if err != nil {
		return err
	}
	if anchor.Hash == old.Final().Hash {
		pos := f.pos.clone()
		pos.head.violated, pos.saved = nil, false // the next batch says so
		f.pos = pos
		f.show()
		return nil
	}
	a := &advance{f: f, position: newPosition(anchor), reorg: &Reorg{Depth: uint64(len(old.blocks)), Old: old.Tip().BlockID}}
	a.frozen, a.turns, a.saved = f.pos.frozen, f.pos.turns+1, true
	for _, b := range slices.Backward(old.blocks[1:]) {
		for _, m := range slices.Backward(b.Movements) {
			a.observations = append(a.observations, atStage(m, custody.Retracted))
		}
	}
	batch, err := a.batch(f.Now())
	if err != nil {
		return err
	}
	if err := emit(ctx, batch); err != nil {
		return errStop{fmt.Errorf("batch up to block %s: %w", batch.Head, err)}
	}
	f.commit(a)
	f.sweep = sweep{} // what was read before may have been so on the other chain only
	return nil
}

// standing is the block that k witnesses have at a height, and call final.
func (f *Follower) standing(ctx context.Context, height uint64) (Header, error) {
	k, stands := f.stands()
	f.each(ctx, stands, func(ctx context.Context, s *stand) (err error) {
		s.latest, err = s.witness.Header(ctx, At{Tag: Finalized})
		if depth := f.Finality.FinalDepth; depth > 0 {
			s.latest, err = s.witness.Header(ctx, At{Tag: Latest})
			s.latest.Number -= min(depth, s.latest.Number)
		}
		if err == nil && s.latest.Number < height {
			err = fmt.Errorf("%w: it calls block %d final, ours was final at %d", ErrNotFound, s.latest.Number, height)
		}
		return err
	})
	a := &advance{f: f, k: k, stands: stands}
	defer f.showRound(a)
	b := newBallot(height)
	var mu sync.Mutex
	f.each(ctx, stands, func(ctx context.Context, s *stand) error {
		h, err := s.witness.Header(ctx, At{Number: height})
		if err != nil {
			return fmt.Errorf("reading header %d: %w", height, err)
		}
		mu.Lock()
		defer mu.Unlock()
		b.add(h, s.witness.Name())
		return nil
	})
	if h, ok := b.agreed(k); ok {
		return h, nil
	}
	if a.disagreement = b.disagreement(); a.disagreement != nil {
		return Header{}, fmt.Errorf("%w %s", ErrDisagreement, a.disagreement)
	}
	return Header{}, fmt.Errorf("going on after a violation of finality: %w: %d have to agree: %w", ErrTooFew, k, silent(stands))
}
