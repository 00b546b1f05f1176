package ledger

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"goodcontrol/custody"
)

// Shadow folds the journal a second time, from the first block, out of what the
// journal has kept and not of what was posted. So it checks all the time that the
// same journal gives the same books; and since nobody waits for it, it makes the
// snapshots and the history. It takes as much memory as the books.
type Shadow struct {
	books *Books
	every uint64 // entries from one snapshot to the next
	view  *View
	draft *draft
	saved uint64 // entries in the newest snapshot
	rows  []Change
}

// DefaultSnapshotEvery is after how many entries a snapshot is made. So many are
// folded in a second or two.
const DefaultSnapshotEvery = 500_000

// NewShadow makes the shadow of books, which saves a snapshot about every so many
// entries; 0 means DefaultSnapshotEvery.
func NewShadow(b *Books, every uint64) *Shadow {
	if every == 0 {
		every = DefaultSnapshotEvery
	}
	v := newView(b.journal)
	return &Shadow{books: b, every: every, view: v, draft: v.draft(nil), saved: b.origin.Snapshot.Size}
}

// Head is how far the shadow has come.
func (s *Shadow) Head() Head { return s.view.Head() }

// Follow folds what the journal has got since the last call. An error that wraps
// ErrDiverged says that the books are not what the journal gives, or that the journal
// cannot be read any more: then nothing more should be posted. After any other, which
// is one of the caches or of the context, it can be called again and goes on. One
// goroutine at a time calls it.
func (s *Shadow) Follow(ctx context.Context) error {
	var cache error
	err := verified(ctx, s.books.journal, s.view.head.Number+1, func(b *verifiedBlock) error {
		if err := s.view.follow(ctx, s.draft, b, s.note); err != nil {
			return err
		}
		if err := s.compare(); err != nil {
			return err
		}
		if cache = s.keepRows(b.head, rowsAtOnce); cache == nil {
			cache = s.save()
		}
		return cache
	})
	switch {
	case err == nil:
		return s.keepRows(s.view.head, 0) // without changes too: what is behind the history is read again for each question
	case cache != nil || ctx.Err() != nil:
		return err
	}
	return fmt.Errorf("%w: %w", ErrDiverged, err)
}

// rowsAtOnce is how many changes are kept in one go while there are more to come.
const rowsAtOnce = 20_000

// note takes down what an entry, which was just folded, has changed.
func (s *Shadow) note(e *custody.Entry) {
	if s.books.options.History == nil || e.Seq <= s.books.options.History.Head().Size {
		return
	}
	for _, l := range e.Legs {
		b := s.draft.balance(s.view.key(l.Account, l.Asset))
		s.rows = append(s.rows, Change{Position: PositionID(l.Account, l.Asset), Seq: e.Seq, Settled: b.settled, Pending: b.pending})
	}
}

// keepRows hands what was taken down to the history, if it is so much at least.
func (s *Shadow) keepRows(head Head, atLeast int) error {
	h := s.books.options.History
	if h == nil || len(s.rows) < atLeast || head.Number <= h.Head().Number {
		return nil
	}
	if err := h.Add(s.rows, head); err != nil {
		return fmt.Errorf("keeping the history up to %s: %w", head, err)
	}
	s.rows = s.rows[:0]
	return nil
}

// compare holds the snapshot from which the books were opened against the shadow,
// when it comes by.
func (s *Shadow) compare() error {
	origin := s.books.origin
	if s.view.head != origin.Snapshot || s.view.head.Number == 0 {
		return nil
	}
	_, sum, err := s.view.write(io.Discard)
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, origin.sum) {
		return fmt.Errorf("the books were opened from a snapshot of %s with sum %x, the journal gives %x", origin.Snapshot, origin.sum, sum)
	}
	return nil
}

// save makes a snapshot if one is due.
func (s *Shadow) save() error {
	if s.books.options.Snapshots == nil || s.view.head.Size < s.saved+s.every {
		return nil
	}
	head := s.view.head
	err := s.books.options.Snapshots.Save(head.Size, func(w io.Writer) error {
		_, err := s.view.WriteTo(w)
		return err
	})
	if err != nil {
		return fmt.Errorf("saving a snapshot of %s: %w", head, err)
	}
	s.saved = head.Size
	return nil
}
