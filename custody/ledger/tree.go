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

// add appends the record with the given leaf hash, and every subtree which it
// completes.
func (t *tree) add(leaf tlog.Hash) {
	hash, level := leaf, 0
	for ; t.size>>level&1 == 1; level++ {
		hash, t.last[level] = tlog.NodeHash(t.last[level], hash), hash
	}
	t.last[level] = hash
	t.size++
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
