package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Replay folds the whole journal and holds each block against the fold: the chain
// of hashes, the root of the tree, the digest of the positions, and every rule
// that an entry has to keep. The first block that does not fit is an error.
func Replay(ctx context.Context, j Journal) (*View, error) {
	v := newView()
	if err := j.Read(ctx, 1, v.follow); err != nil {
		return nil, fmt.Errorf("replaying the journal: %w", err)
	}
	head, err := j.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("head of the journal: %w", err)
	}
	if head != v.head {
		return nil, fmt.Errorf("replaying the journal ended at %s, its head is %s", v.head, head)
	}
	return v, nil
}

// follow folds the next block.
func (v *View) follow(b Block) error {
	if err := v.head.Check(b); err != nil {
		return err
	}
	cursors, lines, err := b.lines()
	if err != nil {
		return err
	}
	d := v.draft(len(lines))
	for i := range lines {
		if err := d.apply(&lines[i].entry, lines[i].raw); err != nil {
			return fmt.Errorf("block %d: %w", b.Number, err)
		}
	}
	if made := b.Time.UnixNano(); len(lines) > 0 && made != d.at {
		return fmt.Errorf("block %d is of %s, its last entry of %s", b.Number, b.Time, time.Unix(0, d.at).UTC())
	}
	root, err := d.tree.root()
	if err != nil {
		return fmt.Errorf("block %d: %w", b.Number, err)
	}
	if root != b.Root {
		return fmt.Errorf("block %d says root %x, its entries give %x", b.Number, b.Root, root)
	}
	if state := d.digest(); state != b.State {
		return fmt.Errorf("block %d says state %x, its entries give %x", b.Number, b.State, state)
	}
	d.publish(b.Head(), cursorMap(cursors))
	return nil
}

func cursorMap(cursors []Cursor) map[string][]byte {
	m := make(map[string][]byte, len(cursors))
	for _, c := range cursors {
		m[c.Source] = c.Value
	}
	return m
}

// errEnough ends a reading that has what it wanted.
var errEnough = errors.New("enough")

// viewUntil folds the journal up to the last entry that is wanted, given its number
// and when it was recorded. Blocks are verified as in Replay, but for the last if
// only a part of it is wanted.
func viewUntil(ctx context.Context, j Journal, wanted func(seq uint64, recorded time.Time) bool) (*View, error) {
	v := newView()
	err := j.Read(ctx, 1, func(b Block) error {
		if wanted(b.Size, b.Time) { // which are those of its last entry, if it has any
			return v.follow(b)
		}
		_, lines, err := b.lines()
		if err != nil {
			return err
		}
		d := v.draft(len(lines))
		for i := range lines {
			if e := &lines[i].entry; !wanted(e.Seq, e.Recorded) {
				break
			}
			if err := d.apply(&lines[i].entry, lines[i].raw); err != nil {
				return fmt.Errorf("block %d: %w", b.Number, err)
			}
		}
		d.merge()
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("replaying the journal: %w", err)
	}
	return v, nil
}
