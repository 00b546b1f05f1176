package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

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

// Books post entries to a journal and answer from what it holds. Post may be
// called from one goroutine at a time or several, which wait for each other; all
// other methods may be called from any goroutine meanwhile, and see each batch
// whole or not at all.
type Books struct {
	journal Journal
	options Options
	epoch   uint64
	live    *View

	posting sync.Mutex            // held by Post throughout
	halted  atomic.Pointer[error] // why nothing more is posted
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
	return &Books{journal: j, options: o, epoch: epoch, live: v}, nil
}

// Post records entries, and how far their sources have been read, in one block.
// Either all of it is posted or nothing is, and then the error says why.
//
// An entry whose Ref was posted before with the same content is not posted again:
// its answer is the first one. With other content it is an ErrRefConflict, and
// the whole batch is refused. Seq and Recorded of the entries given do not count.
// When there is nothing new, neither entry nor cursor, no block is made.
//
// After an error of the journal whose outcome is unknown, Post returns ErrHalted
// from then on. Reading goes on.
func (b *Books) Post(ctx context.Context, cursors map[string][]byte, entries ...custody.Entry) ([]Posted, error) {
	b.posting.Lock()
	defer b.posting.Unlock()
	if err := b.Halted(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHalted, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("posting %d entries: %w", len(entries), err)
	}
	cursors = moved(b.live.cursors, cursors)
	batch := b.begin(cursors, len(entries))
	posted := make([]Posted, len(entries))
	for i := range entries {
		var err error
		if posted[i], err = batch.admit(ctx, entries[i]); err != nil {
			return nil, fmt.Errorf("posting %d entries: %w", len(entries), err)
		}
	}
	if len(batch.records) == 0 && len(cursors) == 0 {
		return posted, nil
	}
	block, err := batch.seal()
	if err != nil {
		return nil, fmt.Errorf("posting %d entries: %w", len(entries), err)
	}

	// This is the commit point. Before it nothing has happened; once Append has
	// returned without an error everything has, and the rest only tells readers.
	if err := b.journal.Append(ctx, block); err != nil {
		err = fmt.Errorf("appending block %d with %d entries: %w", block.Number, block.Count, err)
		if !errors.Is(err, ErrNotAppended) {
			b.halted.Store(&err)
		}
		return nil, err
	}
	batch.publish(block.Head(), cursors)
	return posted, nil
}

// Halted is why posting is halted, or nil.
func (b *Books) Halted() error {
	if err := b.halted.Load(); err != nil {
		return *err
	}
	return nil
}

// batch is a draft of new entries: it gives them their numbers and times, and
// refuses what may not be posted.
type batch struct {
	*draft
	books  *Books
	body   []byte // of the block: cursors and canonical entries
	starts []int  // of the entries in body
}

// begin starts a batch whose first entry is recorded now, or just after the
// newest there is if the clock is not past that.
func (b *Books) begin(cursors map[string][]byte, entries int) *batch {
	d := b.live.draft(entries)
	d.at = max(d.at, b.options.Now().UnixNano()-1)
	const usual = 512 // bytes of an entry
	return &batch{
		draft: d, books: b, starts: make([]int, 0, entries),
		body: appendCursors(make([]byte, 0, usual*(1+entries)), cursors),
	}
}

// admit adds e to the batch, or finds that it was posted before.
func (p *batch) admit(ctx context.Context, e custody.Entry) (Posted, error) {
	if seq, ok := p.seqOf(e.Ref); ok {
		return p.again(e, seq)
	}
	e.Seq, e.Recorded = p.seq+1, time.Unix(0, p.at+1).UTC()
	start := len(p.body)
	body, err := e.AppendBinary(p.body)
	if err != nil {
		return Posted{}, fmt.Errorf("encoding entry %s: %w", e.Ref, err)
	}
	if err := p.mirrors(ctx, &e); err != nil {
		return Posted{}, err
	}
	if err := p.apply(&e, body[start:]); err != nil {
		return Posted{}, err
	}
	if err := p.overdrawn(&e); err != nil {
		return Posted{}, err
	}
	p.body, p.starts = body, append(p.starts, start)
	return Posted{Seq: e.Seq, Recorded: e.Recorded}, nil
}

// again gives the first answer for an entry whose ref was posted as entry seq. It
// has the same content if, with the number and the time of then, it has the same
// place in the tree.
func (p *batch) again(e custody.Entry, seq uint64) (Posted, error) {
	old := p.record(seq)
	e.Seq, e.Recorded = seq, time.Unix(0, old.recorded).UTC()
	raw, err := e.AppendBinary(nil)
	if err != nil {
		return Posted{}, fmt.Errorf("encoding entry %s: %w", e.Ref, err)
	}
	if leaf := tlog.RecordHash(raw); leaf != old.leaf {
		return Posted{}, fmt.Errorf("%w: %s was posted as entry %d with hash %x, this one would have %x", ErrRefConflict, e.Ref, seq, old.leaf, leaf)
	}
	return Posted{Seq: seq, Recorded: e.Recorded, Existing: true}, nil
}

// entry is the entry with the given number, from the batch or the journal.
func (p *batch) entry(ctx context.Context, seq uint64) (custody.Entry, error) {
	if posted := p.view.seq; seq > posted {
		e, _, err := custody.DecodeEntry(p.body[p.starts[seq-posted-1]:])
		return e, err
	}
	return p.books.entry(ctx, seq)
}

// overdrawn refuses an entry that took too much from an account with a limit.
func (p *batch) overdrawn(e *custody.Entry) error {
	if p.books.options.NoOverdraft == nil {
		return nil
	}
	for _, l := range e.Legs {
		if l.Amount.Sign() > 0 || !p.books.options.NoOverdraft(l.Account) {
			continue
		}
		b := p.balance(p.view.key(l.Account, l.Asset))
		both, ok := b.settled.Add(b.pending)
		if !ok || both.Sign() < 0 || b.settled.Sign() < 0 {
			return fmt.Errorf("entry %s: %w: it takes %s %s %s from %s, which leaves %s settled and %s pending",
				e.Ref, ErrOverdrawn, l.Amount.Abs(), l.Asset, l.Layer, l.Account, b.settled, b.pending)
		}
	}
	return nil
}

// seal makes the block of the batch.
func (p *batch) seal() (Block, error) {
	root, err := p.tree.root()
	if err != nil {
		return Block{}, err
	}
	head := p.view.head
	if len(p.records) == 0 {
		p.at++ // the block's own time, after everything before it
	}
	b := Block{
		Header: Header{
			Number: head.Number + 1, Count: uint32(len(p.records)), Size: p.seq, Epoch: p.books.epoch,
			Time: time.Unix(0, p.at).UTC(), Prev: head.Hash, Root: root, State: p.digest(),
		},
		Body: p.body,
	}
	b.Header.Body = sha256.Sum256(b.Body)
	if size := b.EncodedSize(); size > MaxBlock {
		return Block{}, fmt.Errorf("%w: %d entries make %d bytes, expected at most %d", ErrTooLarge, b.Count, size, MaxBlock)
	}
	return b, nil
}
