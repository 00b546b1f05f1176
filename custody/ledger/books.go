package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"goodcontrol/custody"
)

// Options say how books are kept.
type Options struct {
	// Now gives the time at which entries are recorded. It may stand still or go
	// back; recorded times strictly rise all the same.
	Now func() time.Time
	// Epoch is the writer's epoch, which stands in every block it makes. Zero
	// takes one more than that of the journal's head.
	Epoch uint64
	// NoOverdraft tells the accounts from which no entry may take more than
	// there is: neither the settled amount nor settled plus pending may be made
	// negative, or more negative, by an entry that takes from the account. Nil
	// lets every account go negative. It judges new entries only: a limit made
	// later does not refuse the past.
	NoOverdraft func(custody.Account) bool
	// Snapshots, if given, is where views are kept, so that Open need not begin
	// with the first block; and History where past positions are. A Shadow fills
	// both.
	Snapshots Snapshots
	History   History
}

// Books post entries to a journal and answer from what it holds. Any method may be
// called from any goroutine; each sees a batch whole or not at all.
type Books struct {
	journal Journal
	options Options
	epoch   uint64
	live    *View
	origin  Origin

	posting sync.Mutex // held while a batch joins the block in the making, and while a block is published
	next    *block     // the block in the making
	last    *block     // the one being committed, or nil
	spare   *draft     // of a block that was committed: its tables have grown to size

	committing chan struct{}         // holds a token for whoever commits a block
	halted     atomic.Pointer[error] // why nothing more is posted
}

// Posted is the ledger's answer for one entry.
type Posted struct {
	Seq      uint64    `json:"seq"`
	Recorded time.Time `json:"recorded"`
	// Existing says that the same entry was posted before. Seq and Recorded are
	// those of the first time.
	Existing bool `json:"existing"`
}

// Open replays the journal and makes books that go on from its head.
func Open(ctx context.Context, j Journal, o Options) (*Books, error) {
	if o.Now == nil {
		return nil, errors.New("opening the books: no clock was given")
	}
	v, origin, err := openView(ctx, j, o.Snapshots)
	if err != nil {
		return nil, fmt.Errorf("opening the books: %w", err)
	}
	if err := matchHistory(ctx, v, o.History); err != nil {
		return nil, fmt.Errorf("opening the books: %w", err)
	}
	epoch := o.Epoch
	if epoch == 0 {
		epoch = v.head.Epoch + 1
	}
	if epoch < v.head.Epoch {
		return nil, fmt.Errorf("opening the books: %w: epoch %d, the head is %s", ErrFenced, epoch, v.head)
	}
	b := &Books{journal: j, options: o, epoch: epoch, live: v, origin: origin, committing: make(chan struct{}, 1)}
	b.next = b.begin(nil)
	return b, nil
}

// Origin says from what books were opened.
type Origin struct {
	// Snapshot is the head of the snapshot from which the journal was folded; the
	// zero Head when it was folded from the first block.
	Snapshot Head
	// Refused is why a snapshot that was there was not used, or nil.
	Refused error

	sum []byte // at the end of the snapshot
}

// Origin says from what the books were opened.
func (b *Books) Origin() Origin { return b.origin }

// openView folds the journal, from a snapshot if there is a good one.
func openView(ctx context.Context, j Journal, kept Snapshots) (*View, Origin, error) {
	v, sum, err := begun(ctx, j, kept, math.MaxUint64)
	if err != nil {
		v, again := Replay(ctx, j)
		return v, Origin{Refused: err}, again
	}
	origin := Origin{Snapshot: v.head, sum: sum}
	if err := v.catchUp(ctx, j); err != nil {
		return nil, Origin{}, fmt.Errorf("replaying the journal after %s: %w", origin.Snapshot, err)
	}
	return v, origin, v.complete(ctx, j)
}

// matchHistory empties a history that is not of this journal.
func matchHistory(ctx context.Context, v *View, h History) error {
	if h == nil || h.Head().Number == 0 {
		return nil
	}
	head := h.Head()
	if head.Number <= v.head.Number {
		b, err := v.journal.block(ctx, head.Number)
		if err != nil {
			return err
		}
		if b.Hash() == head.Hash {
			return nil
		}
	}
	return h.Reset()
}

// Halt stops posting for good, as an append of unknown outcome does, because
// somebody has found out that the books may be wrong.
func (b *Books) Halt(why error) {
	b.posting.Lock()
	defer b.posting.Unlock()
	if b.Halted() == nil {
		b.halted.Store(&why)
	}
}

// Halted is why posting is halted, or nil.
func (b *Books) Halted() error {
	if err := b.halted.Load(); err != nil {
		return *err
	}
	return nil
}
