package ledger

import (
	"golang.org/x/mod/sumdb/tlog"

	"goodcontrol/custody"
)

// RootOf is the root of a tree over records, which the tree has taken one by one.
func RootOf(records [][]byte) ([32]byte, error) {
	var t tree
	for _, r := range records {
		t.add(tlog.RecordHash(r))
	}
	return t.root()
}

// Fold is a view and the entries to fold into it.
type Fold struct {
	view    *View
	entries []custody.Entry
	raws    [][]byte
}

// NewFold takes the entries of blocks, decoded.
func NewFold(blocks []Block) (*Fold, error) {
	f := &Fold{view: newView()}
	for _, b := range blocks {
		_, lines, err := b.lines()
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			f.entries = append(f.entries, l.entry)
			f.raws = append(f.raws, l.raw)
		}
	}
	return f, nil
}

// Apply folds the entries into an empty view in batches: checked, balanced,
// numbered, added up, hashed into the tree, digested and published.
func (f *Fold) Apply(size int) error {
	f.view = newView()
	for at := 0; at < len(f.entries); at += size {
		d := f.view.draft(size)
		for i := at; i < min(at+size, len(f.entries)); i++ {
			if err := d.apply(&f.entries[i], f.raws[i]); err != nil {
				return err
			}
		}
		d.publish(Head{Size: d.seq, State: d.digest(), Time: f.entries[min(at+size, len(f.entries))-1].Recorded}, nil)
	}
	return nil
}
