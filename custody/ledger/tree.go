package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// tree is the Merkle tree over the canonical entries, as far as is needed to let
// it grow and to know its root: the newest complete subtree of each level. The
// functions of tlog never ask for another.
type tree struct {
	size int64
	last [64]tlog.Hash // by level
}

// add appends the record with the given leaf hash.
func (t *tree) add(leaf tlog.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(t.size, leaf, t)
	if err != nil {
		return fmt.Errorf("adding record %d to the tree: %w", t.size, err)
	}
	copy(t.last[:], hashes)
	t.size++
	return nil
}

// root is the hash of the whole tree.
func (t *tree) root() ([32]byte, error) {
	h, err := tlog.TreeHash(t.size, t)
	if err != nil {
		return [32]byte{}, fmt.Errorf("root of a tree of %d: %w", t.size, err)
	}
	return h, nil
}

// ReadHashes implements tlog.HashReader over the newest subtrees.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		if newest := t.size>>level - 1; n != newest {
			return nil, fmt.Errorf("level %d: subtree %d is not kept, the newest is %d", level, n, newest)
		}
		out[i] = t.last[level]
	}
	return out, nil
}
