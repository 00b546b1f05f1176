package ledger

import (
	"context"
	"errors"
	"fmt"
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
}

// Books post entries to a journal and answer from what it holds. Any method may be
// called from any goroutine; each sees a batch whole or not at all.
type Books struct {
	journal Journal
	options Options
	epoch   uint64
	live    *View

	posting sync.Mutex // held while a batch joins the block in the making, and while a block is published
	next    *block     // the block in the making
	last    *block     // the one being committed, or nil

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
	v, err := Replay(ctx, j)
	if err != nil {
		return nil, fmt.Errorf("opening the books: %w", err)
	}
	epoch := o.Epoch
	if epoch == 0 {
		epoch = v.head.Epoch + 1
	}
	if epoch < v.head.Epoch {
		return nil, fmt.Errorf("opening the books: %w: epoch %d, the head is %s", ErrFenced, epoch, v.head)
	}
	b := &Books{journal: j, options: o, epoch: epoch, live: v, committing: make(chan struct{}, 1)}
	b.next = b.begin(nil)
	return b, nil
}

// Halted is why posting is halted, or nil.
func (b *Books) Halted() error {
	if err := b.halted.Load(); err != nil {
		return *err
	}
	return nil
}
