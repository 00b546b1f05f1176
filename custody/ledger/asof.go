package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"goodcontrol/custody"
)

// What was known at some moment is what the entries up to some number say. A time
// and a chain's block each lead to such a number. What was so at some moment, as far
// as is known, is another question: an entry tells of a day before the one on which
// it was recorded, and [Books.AsOfEffective] answers it.

// SeqAtTime is the newest entry that was recorded at or before a moment, and 0 if
// there is none.
func (b *Books) SeqAtTime(ctx context.Context, at time.Time) (uint64, error) {
	v := b.live
	v.mu.RLock()
	i, _ := slices.BinarySearch(v.times, at.UnixNano()+1) // the first block that ends later
	blocks, before := len(v.sizes), uint64(0)
	if i > 0 {
		before = v.sizes[i-1]
	}
	v.mu.RUnlock()
	if i == blocks {
		return before, nil
	}
	p, err := v.journal.block(ctx, uint64(i)+1)
	if err != nil {
		return 0, fmt.Errorf("entries as of %s: %w", at.Format(time.RFC3339Nano), err)
	}
	for _, e := range p.entries {
		if e.Recorded.After(at) {
			break
		}
		before = e.Seq
	}
	return before, nil
}

// SeqAtBlock is the newest entry before the first that speaks of a later block of a
// chain than the given one: what was known when the chain had been seen so far. When
// no entry does yet, it is the newest there is.
func (b *Books) SeqAtBlock(chain string, block uint64) uint64 {
	v := b.live
	v.mu.RLock()
	defer v.mu.RUnlock()
	marks := v.chains[chain]
	i, _ := slices.BinarySearchFunc(marks, block+1, func(m mark, at uint64) int {
		if m.block < at {
			return -1
		}
		return 1
	})
	if i < len(marks) {
		return marks[i].seq - 1
	}
	return v.seq
}

// AsOfSeq is the books as they were after the entry with the given number: what was
// known then. It is folded from the nearest snapshot before.
func (b *Books) AsOfSeq(ctx context.Context, seq uint64) (*View, error) {
	if newest := b.live.Seq(); seq > newest {
		return nil, fmt.Errorf("books as of entry %d: the newest is %d", seq, newest)
	}
	return b.fold(ctx, seq, func(Head) bool { return true })
}

// fold folds the journal up to an entry, and no block that is not wanted.
func (b *Books) fold(ctx context.Context, seq uint64, wanted func(Head) bool) (*View, error) {
	v, _, err := begun(ctx, b.journal, b.options.Snapshots, seq)
	if err != nil || !wanted(v.head) { // it is only a cache
		v = newView(b.journal)
	}
	d := v.draft(nil)
	err = verified(ctx, b.journal, v.head.Number+1, func(block *verifiedBlock) error {
		if block.Size <= seq && wanted(block.head) {
			return v.follow(ctx, d, block, nil)
		}
		if n := len(block.entries) - int(block.Size-seq); block.Size > seq && n > 0 {
			if err := d.fold(ctx, block, n, nil); err != nil {
				return err
			}
			d.merge()
		}
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("books as of entry %d: %w", seq, err)
	}
	return v, nil
}

// AsOfTime is the books as they were at a moment: with every entry recorded at or
// before it, and no other.
func (b *Books) AsOfTime(ctx context.Context, at time.Time) (*View, error) {
	seq, err := b.SeqAtTime(ctx, at)
	if err != nil {
		return nil, err
	}
	return b.fold(ctx, seq, func(h Head) bool { return !h.Time.After(at) })
}

// AsOfEffective is what the books, with what was known after the entry with the
// given number, say of a moment: the positions that the entries make which took
// effect at or before it. An entry that was recorded late counts from when it took
// effect; one that was recorded ahead does not count yet. The view has positions
// and nothing else. It reads the journal up to that entry.
func (b *Books) AsOfEffective(ctx context.Context, seq uint64, effective time.Time) (*View, error) {
	if newest := b.live.Seq(); seq > newest {
		return nil, fmt.Errorf("books as of entry %d: the newest is %d", seq, newest)
	}
	v := newView(b.journal)
	d := v.draft(nil)
	err := verified(ctx, b.journal, 1, func(block *verifiedBlock) error {
		for i := range block.entries {
			e := &block.entries[i]
			if e.Seq > seq {
				return errEnough
			}
			if e.Effective.After(effective) {
				continue
			}
			for j := range e.Legs {
				if err := d.add(&e.Legs[j]); err != nil {
					return fmt.Errorf("entry %d: %w", e.Seq, err)
				}
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("books effective %s as of entry %d: %w", effective.Format(time.RFC3339Nano), seq, err)
	}
	d.seq = seq
	d.merge()
	return v, nil
}

// History keeps every change of every position, so that one position as of one entry
// need not be folded. Like Snapshots it is a cache, and stands with the ledger.
type History interface {
	// Head is the block up to which changes are kept.
	Head() Head
	// Add keeps changes, in order, and then that those up to the head are kept.
	Add(changes []Change, head Head) error
	// At is the last change of a position up to an entry, and the zero Change if
	// there is none.
	At(position [16]byte, seq uint64) (Change, error)
	// Reset forgets everything.
	Reset() error
}

// Change is what a position was after an entry.
type Change struct {
	Position         [16]byte // see PositionID
	Seq              uint64
	Settled, Pending custody.Amount
}

// PositionID names a position by half a SHA-256 of its account and asset, which no
// two have in common.
func PositionID(account custody.Account, asset custody.AssetID) [16]byte {
	var room [256]byte
	b := append(room[:0], byte(account.Type))
	b = appendString(b, account.Name)
	b = appendString(b, string(asset))
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

// PositionAsOf is what the books said of one account and asset after the entry with
// the given number.
func (b *Books) PositionAsOf(ctx context.Context, account custody.Account, asset custody.AssetID, seq uint64) (custody.Position, error) {
	p := custody.Position{Account: account, Asset: asset}
	newest := b.live.Seq()
	switch {
	case seq > newest:
		return p, fmt.Errorf("%s as of entry %d: the newest is %d", account, seq, newest)
	case b.options.History == nil:
		v, err := b.AsOfSeq(ctx, seq)
		if err != nil {
			return p, err
		}
		return v.Position(account, asset), nil
	}
	kept := min(b.options.History.Head().Size, seq)
	change, err := b.options.History.At(PositionID(account, asset), kept)
	if err != nil {
		return p, fmt.Errorf("%s as of entry %d: %w", account, seq, err)
	}
	p.Settled, p.Pending = change.Settled, change.Pending
	if kept == seq {
		return p, nil
	}
	err = b.Entries(ctx, kept, func(e custody.Entry) error { // what the history has not yet
		if e.Seq > seq {
			return errEnough
		}
		for _, l := range e.Legs {
			if l.Account == account && l.Asset == asset {
				if err := p.Add(l); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return p, err
}

// begun is the view of the newest snapshot of at most so many entries, or an empty
// view if there is none, and the sum of the snapshot.
func begun(ctx context.Context, j Journal, kept Snapshots, atMost uint64) (*View, []byte, error) {
	if kept == nil {
		return newView(j), nil, nil
	}
	in, err := kept.Open(atMost)
	if err != nil {
		return nil, nil, err
	}
	if in == nil {
		return newView(j), nil, nil
	}
	v, sum, err := readView(ctx, in, j)
	return v, sum, errors.Join(err, in.Close())
}

// mark says that entry seq was the first to speak of a chain's block, or of one
// beyond it.
type mark struct{ block, seq uint64 }

// see notes how far the chain has been seen that an entry speaks of, which is the
// draft's newest.
func (d *draft) see(e *custody.Entry) {
	chain, block := e.Evidence.Chain, e.Evidence.Block
	if chain == "" || block <= d.seen(chain).block {
		return
	}
	marks, ok := d.chains[chain]
	if !ok {
		chain = strings.Clone(chain)
	}
	d.chains[chain] = append(marks, mark{block, d.seq})
}

// seen is the last mark of a chain, in the draft or before.
func (d *draft) seen(chain string) mark {
	view := d.view
	for ; d != nil; d = d.below {
		if marks := d.chains[chain]; len(marks) > 0 {
			return marks[len(marks)-1]
		}
	}
	if marks := view.chains[chain]; len(marks) > 0 {
		return marks[len(marks)-1]
	}
	return mark{}
}
