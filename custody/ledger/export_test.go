package ledger

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"
)

// RootOf is the root of a tree over records, which the tree has taken one by one.
func RootOf(records [][]byte) ([32]byte, error) {
	var t tree
	for _, r := range records {
		t.add(tlog.RecordHash(r))
	}
	return t.root()
}

// Fold is a view and the blocks to fold into it.
type Fold struct {
	view   *View
	blocks []*verifiedBlock
	next   int
}

// NewFold takes blocks, decoded and verified by themselves.
func NewFold(blocks []Block) (*Fold, error) {
	f := &Fold{}
	for _, b := range blocks {
		p, err := b.parse()
		if err != nil {
			return nil, err
		}
		v, err := p.verify()
		if err != nil {
			return nil, err
		}
		f.blocks = append(f.blocks, v)
	}
	return f, nil
}

// Begin folds the first n blocks into an empty view.
func (f *Fold) Begin(n int) error {
	f.view, f.next = newView(NewMemory()), 0
	return f.Apply(n)
}

// Apply folds the next n blocks: refs, links, numbers, sums, digest, and publishes
// them. The tree is not made.
func (f *Fold) Apply(n int) error {
	d := f.view.draft(nil)
	for _, b := range f.blocks[f.next : f.next+n] {
		if err := d.fold(context.Background(), b, len(b.entries), nil); err != nil {
			return err
		}
		if d.digest(f.view.head.State) != b.State {
			return errEnough
		}
		d.publish(b.head, &tree{})
	}
	f.next += n
	return nil
}
