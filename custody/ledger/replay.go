package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"goodcontrol/custody"
)

// Replay folds the whole journal and holds each block against the fold: the chain
// of hashes, the root of the tree, the digest of the positions, and every rule
// that an entry has to keep. The first block that does not fit is an error.
func Replay(ctx context.Context, j Journal) (*View, error) {
	v := newView(j)
	if err := v.catchUp(ctx, j); err != nil {
		return nil, fmt.Errorf("replaying the journal: %w", err)
	}
	return v, v.complete(ctx, j)
}

// complete makes sure that the view ends where the journal does.
func (v *View) complete(ctx context.Context, j Journal) error {
	head, err := j.Head(ctx)
	if err != nil {
		return fmt.Errorf("head of the journal: %w", err)
	}
	if head != v.head {
		return fmt.Errorf("replaying the journal ended at %s, its head is %s", v.head, head)
	}
	return nil
}

// catchUp folds the blocks behind the view's head.
func (v *View) catchUp(ctx context.Context, j Journal) error {
	d := v.draft(nil)
	return verified(ctx, j, v.head.Number+1, func(b *verifiedBlock) error { return v.follow(ctx, d, b, nil) })
}

// verifiedBlock is a block of which everything is known to be right that can be
// known from it alone.
type verifiedBlock struct {
	*parsed
	head   Head
	leaves []tlog.Hash // of its entries, in the tree
}

func (p *parsed) verify() (*verifiedBlock, error) {
	b := &verifiedBlock{parsed: p, head: p.Block.Head(), leaves: make([]tlog.Hash, len(p.entries))}
	for i := range p.entries {
		if err := p.entries[i].Check(); err != nil {
			return nil, fmt.Errorf("block %d: %w", p.Number, err)
		}
		b.leaves[i] = tlog.RecordHash(p.raw(i))
	}
	if made, n := p.Time, len(p.entries); n > 0 && !made.Equal(p.entries[n-1].Recorded) {
		return nil, fmt.Errorf("block %d is of %s, its last entry of %s", p.Number, made, p.entries[n-1].Recorded)
	}
	return b, nil
}

// BlockError says which block of a journal does not hold: the one at Place, where 1
// is the first that is read of a whole journal.
type BlockError struct {
	Place uint64
	Err   error
}

func (e *BlockError) Error() string { return e.Err.Error() }
func (e *BlockError) Unwrap() error { return e.Err }

// verified reads blocks and verifies each by itself, while fn, which is called with
// them in order, is at work on those before.
func verified(ctx context.Context, j Journal, from uint64, fn func(*verifiedBlock) error) error {
	ctx, stop := context.WithCancel(ctx)
	blocks, failed := make(chan *verifiedBlock, 4), make(chan error, 1)
	defer func() { // it must not outlive the call
		stop()
		for range blocks {
		}
	}()
	go func() {
		defer close(blocks)
		at := from
		err := j.Read(ctx, from, func(b Block) error {
			p, err := b.parse()
			if err != nil {
				return err
			}
			v, err := p.verify()
			if err != nil {
				return err
			}
			at++
			select {
			case blocks <- v:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil {
			err = &BlockError{at, err}
		}
		failed <- err
	}()
	at := from
	for b := range blocks {
		if err := fn(b); err != nil {
			return &BlockError{at, err}
		}
		at++
	}
	return <-failed
}

// follow folds the next block, in a draft that is used again and again. After each
// entry it calls each, if there is one.
func (v *View) follow(ctx context.Context, d *draft, b *verifiedBlock, each func(*custody.Entry)) error {
	if err := v.head.Check(b.Block); err != nil {
		return err
	}
	grown := v.tree
	if err := d.fold(ctx, b, len(b.entries), each); err != nil {
		return err
	}
	for _, leaf := range b.leaves {
		grown.add(leaf)
	}
	root, err := grown.root()
	if err != nil {
		return fmt.Errorf("block %d: %w", b.Number, err)
	}
	if root != b.Root {
		return fmt.Errorf("block %d says root %x, its entries give %x", b.Number, b.Root, root)
	}
	if state := d.digest(v.head.State); state != b.State {
		return fmt.Errorf("block %d says state %x, its entries give %x", b.Number, b.State, state)
	}
	d.publish(b.head, &grown)
	return nil
}

// fold begins the draft anew with the block's cursors and its first n entries.
func (d *draft) fold(ctx context.Context, b *verifiedBlock, n int, each func(*custody.Entry)) error {
	d.begin(nil)
	d.body = b.Body
	for _, c := range b.cursors {
		d.cursors[c.Source] = c.Value
	}
	for i := range b.entries[:n] {
		if err := d.apply(ctx, &b.entries[i], b.starts[i]); err != nil {
			return fmt.Errorf("block %d: %w", b.Number, err)
		}
		if each != nil {
			each(&b.entries[i])
		}
	}
	return nil
}

// errEnough ends a reading that has what it wanted.
var errEnough = errors.New("enough")
