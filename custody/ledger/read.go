package ledger

import (
	"context"
	"fmt"
	"slices"

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

// Entries calls fn with each entry behind the given number, in order, up to the
// newest block in the journal, until fn returns an error, which it then returns
// as it is. Zero begins with the first entry.
func (b *Books) Entries(ctx context.Context, afterSeq uint64, fn func(custody.Entry) error) error {
	return b.journal.Read(ctx, b.live.blockAfter(afterSeq), func(block Block) error {
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

// blockAfter is the number of the block that holds the entry behind the given one,
// or would hold it next.
func (v *View) blockAfter(seq uint64) uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.blockOf(seq + 1)
}

// Entry reads the entry with the given number.
func (b *Books) Entry(ctx context.Context, seq uint64) (custody.Entry, error) {
	if newest := b.live.Seq(); seq == 0 || seq > newest {
		return custody.Entry{}, fmt.Errorf("entry %d: there are 1 to %d", seq, newest)
	}
	return b.live.entry(ctx, seq)
}

// EntryByRef reads the entry posted under ref, and says whether there is one.
func (b *Books) EntryByRef(ctx context.Context, ref custody.Ref) (custody.Entry, bool, error) {
	for try := uint64(0); ; try++ {
		seq, ok := b.live.numbered(hashText(string(ref), 0, try))
		if !ok {
			return custody.Entry{}, false, nil
		}
		e, err := b.live.entry(ctx, seq)
		if err != nil || e.Ref == ref {
			return e, err == nil, err
		}
	}
}

// numbered is the number of the entry whose ref has the given hash.
func (v *View) numbered(hash uint64) (uint64, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if seq := v.refs.find(hash); seq != nil {
		return *seq, true
	}
	return 0, false
}

// entry reads one entry that is known to be posted.
func (v *View) entry(ctx context.Context, seq uint64) (custody.Entry, error) {
	v.mu.RLock()
	block := v.blockOf(seq)
	v.mu.RUnlock()
	raw, err := v.journal.raw(ctx, block, seq)
	if err != nil {
		return custody.Entry{}, err
	}
	e, _, err := custody.DecodeEntry(string(raw))
	return e, err
}

// blockOf is the number of the block that holds the entry, or would hold it next.
func (v *View) blockOf(seq uint64) uint64 {
	i, _ := slices.BinarySearch(v.sizes, seq)
	return uint64(i) + 1
}
