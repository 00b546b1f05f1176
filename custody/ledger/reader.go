package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// reader reads entries back from a journal. What links, repeated refs and readers
// ask for is mostly recent, or near what was asked for last, so it keeps a few
// blocks.
type reader struct {
	journal Journal

	mu     sync.Mutex
	recent [8]*parsed
	oldest int // the one to be replaced next
}

// raw is the canonical encoding of an entry, which is in the given block.
func (r *reader) raw(ctx context.Context, block, seq uint64) ([]byte, error) {
	p, err := r.block(ctx, block)
	if err != nil {
		return nil, fmt.Errorf("reading entry %d: %w", seq, err)
	}
	i := int64(seq) - int64(p.Size) + int64(p.Count) - 1
	if i < 0 || i >= int64(p.Count) {
		return nil, fmt.Errorf("reading entry %d: block %d ends at entry %d and has %d", seq, block, p.Size, p.Count)
	}
	return p.raw(int(i)), nil
}

func (r *reader) block(ctx context.Context, number uint64) (*parsed, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.recent {
		if p != nil && p.Number == number {
			return p, nil
		}
	}
	var found *parsed
	err := r.journal.Read(ctx, number, func(b Block) (err error) {
		if found, err = b.parse(); err != nil {
			return err
		}
		return errEnough
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return nil, err
	case found == nil:
		return nil, fmt.Errorf("the journal has no block %d", number)
	}
	r.recent[r.oldest] = found
	r.oldest = (r.oldest + 1) % len(r.recent)
	return found, nil
}
