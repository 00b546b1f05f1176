package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"goodcontrol/custody"
)

// Head is where the journal ends.
func (b *Books) Head() Head { return b.live.Head() }

// Position is what the books say of one account and asset; zero where they say
// nothing.
func (b *Books) Position(account custody.Account, asset custody.AssetID) custody.Position {
	return b.live.Position(account, asset)
}

// Positions lists every position that is not zero in both layers, by account
// (type, then name) and asset.
func (b *Books) Positions() []custody.Position { return b.live.Positions() }

// TrialBalance is the sum of the positions on each side, per asset and layer.
func (b *Books) TrialBalance() ([]Total, error) { return b.live.TrialBalance() }

// Cursor is how far the source has been read, and whether anything was.
func (b *Books) Cursor(source string) ([]byte, bool) { return b.live.Cursor(source) }

// AsOfSeq is the books as they were after the entry with the given number, by
// replay of the journal: what was known then.
func (b *Books) AsOfSeq(ctx context.Context, seq uint64) (*View, error) {
	if newest := b.live.Seq(); seq > newest {
		return nil, fmt.Errorf("books as of entry %d: the newest is %d", seq, newest)
	}
	return viewUntil(ctx, b.journal, func(n uint64, _ time.Time) bool { return n <= seq })
}

// AsOfTime is the books as they were at a moment, by replay of the journal: with
// every entry recorded at or before it, and no other.
func (b *Books) AsOfTime(ctx context.Context, at time.Time) (*View, error) {
	return viewUntil(ctx, b.journal, func(_ uint64, recorded time.Time) bool { return !recorded.After(at) })
}

// Entries calls fn with each entry behind the given number, in order, up to the
// newest block in the journal, until fn returns an error, which it then returns
// as it is. Zero begins with the first entry.
func (b *Books) Entries(ctx context.Context, afterSeq uint64, fn func(custody.Entry) error) error {
	return b.journal.Read(ctx, b.blockOf(afterSeq+1), func(block Block) error {
		_, entries, err := block.Contents()
		if err != nil {
			return err
		}
		for i := range entries {
			if entries[i].Seq <= afterSeq {
				continue
			}
			if err := fn(entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// EntryByRef reads the entry posted under ref, and says whether there is one.
func (b *Books) EntryByRef(ctx context.Context, ref custody.Ref) (custody.Entry, bool, error) {
	b.live.mu.RLock()
	seq, ok := b.live.refs[ref]
	b.live.mu.RUnlock()
	if !ok {
		return custody.Entry{}, false, nil
	}
	e, err := b.entry(ctx, seq)
	return e, err == nil, err
}

// entry reads one entry that is known to be posted.
func (b *Books) entry(ctx context.Context, seq uint64) (custody.Entry, error) {
	var found custody.Entry
	err := b.Entries(ctx, seq-1, func(e custody.Entry) error {
		found = e
		return errEnough
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return custody.Entry{}, fmt.Errorf("reading entry %d: %w", seq, err)
	case found.Seq != seq:
		return custody.Entry{}, fmt.Errorf("reading entry %d: the journal gave %d", seq, found.Seq)
	}
	return found, nil
}

// blockOf is the number of the block that holds the entry, or would hold it next.
func (b *Books) blockOf(seq uint64) uint64 {
	b.live.mu.RLock()
	defer b.live.mu.RUnlock()
	i, _ := slices.BinarySearch(b.live.sizes, seq)
	return uint64(i) + 1
}
