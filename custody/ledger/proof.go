package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Tree is the whole Merkle tree over a journal's entries, from which proofs are
// made. It takes 64 bytes an entry, so it is read when it is needed.
//
// In tlog's functions record n is the entry with Seq n+1, and its data is the
// entry's canonical encoding: tlog.CheckRecord with tlog.RecordHash of it checks a
// proof against a checkpoint's size and root, and tlog.CheckTree a proof between
// two checkpoints.
type Tree struct {
	size   int64
	hashes []tlog.Hash // by tlog.StoredHashIndex
}

// ReadTree reads the journal and makes the tree over its first size entries.
func ReadTree(ctx context.Context, j Journal, size uint64) (*Tree, error) {
	t := &Tree{}
	err := j.Read(ctx, 1, func(b Block) error {
		p, err := b.parse()
		if err != nil {
			return err
		}
		for i := range p.entries {
			if uint64(t.size) == size {
				return errEnough
			}
			if err := t.add(p.raw(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && err != errEnough {
		return nil, fmt.Errorf("reading the tree: %w", err)
	}
	if uint64(t.size) != size {
		return nil, fmt.Errorf("reading the tree: the journal has %d entries, expected %d", t.size, size)
	}
	return t, nil
}

func (t *Tree) add(raw []byte) error {
	hashes, err := tlog.StoredHashes(t.size, raw, t)
	if err != nil {
		return err
	}
	t.hashes = append(t.hashes, hashes...)
	t.size++
	return nil
}

// ReadHashes implements tlog.HashReader.
func (t *Tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index < 0 || index >= int64(len(t.hashes)) {
			return nil, fmt.Errorf("hash %d of a tree of %d entries", index, t.size)
		}
		out[i] = t.hashes[index]
	}
	return out, nil
}

// Root is the root of the tree, as a checkpoint of its size has it.
func (t *Tree) Root() ([32]byte, error) {
	h, err := tlog.TreeHash(t.size, t)
	return h, err
}

// ProveEntry proves that the entry with the given number is in the tree.
func (t *Tree) ProveEntry(seq uint64) (tlog.RecordProof, error) {
	proof, err := tlog.ProveRecord(t.size, int64(seq)-1, t)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d of %d: %w", seq, t.size, err)
	}
	return proof, nil
}

// ProveGrowth proves that the tree over the first size entries has only grown to
// become this one: none of them was changed.
func (t *Tree) ProveGrowth(size uint64) (tlog.TreeProof, error) {
	proof, err := tlog.ProveTree(t.size, int64(size), t)
	if err != nil {
		return nil, fmt.Errorf("proving growth from %d to %d entries: %w", size, t.size, err)
	}
	return proof, nil
}

// ReadEntry is the canonical encoding of the entry with the given number: the record
// of which ProveEntry speaks.
func ReadEntry(ctx context.Context, j Journal, seq uint64) ([]byte, error) {
	var raw []byte
	err := j.Read(ctx, 1, func(b Block) error {
		if b.Size < seq {
			return nil
		}
		p, err := b.parse()
		if err != nil {
			return err
		}
		i := int(int64(seq) - int64(b.Size) + int64(b.Count) - 1)
		if i < 0 || i >= len(p.entries) {
			return fmt.Errorf("block %d has no entry %d", b.Number, seq)
		}
		raw = p.raw(i)
		return errEnough
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return nil, fmt.Errorf("reading entry %d: %w", seq, err)
	case raw == nil:
		return nil, fmt.Errorf("reading entry %d: the journal ends before", seq)
	}
	return raw, nil
}
