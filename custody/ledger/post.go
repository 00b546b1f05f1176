package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"goodcontrol/custody"
)

// Posting is a pipeline of two steps without a goroutine of its own. A batch first
// joins the block in the making: that takes the posting lock, and no I/O. Then one
// of those who wait for that block commits it, for all of them, while others join
// the next one, which stands on it. So the more who post at once, the larger the
// blocks, and the disk and the books work at the same time.

// block is a block in the making: a draft and those who wait for it.
type block struct {
	draft *draft
	done  chan struct{} // closed when it was committed, or was not
	err   error         // why it was not; read after done
}

// begin makes a block that stands on the one being committed, if there is one.
func (b *Books) begin(below *draft) *block {
	d := b.spare
	if b.spare = nil; d == nil {
		d = b.live.draft(below)
	} else {
		d.begin(below)
	}
	return &block{draft: d, done: make(chan struct{})}
}

// headSize is how many bytes of an entry's encoding are its number and time.
const headSize = 16

// batch is what one call posts, checked and encoded before it takes a lock. The
// number and the time of each entry are still to be written.
type batch struct {
	cursors map[string][]byte
	entries []custody.Entry
	encoded []byte
	starts  []int // of the entries in encoded, and its length
	posted  []Posted
}

func newBatch(cursors map[string][]byte, entries []custody.Entry) (*batch, error) {
	const usual = 448 // bytes of an entry
	p := &batch{
		cursors: cursors, entries: entries, posted: make([]Posted, len(entries)),
		encoded: make([]byte, 0, usual*len(entries)), starts: make([]int, 0, len(entries)+1),
	}
	for i := range entries {
		if err := entries[i].Check(); err != nil {
			return nil, err
		}
		p.starts = append(p.starts, len(p.encoded))
		p.encoded = append(p.encoded, make([]byte, headSize)...)
		p.encoded = entries[i].AppendContent(p.encoded)
	}
	p.starts = append(p.starts, len(p.encoded))
	return p, nil
}

// Post records entries, and how far their sources have been read, in one block.
// Either all of it is posted or nothing is, and then the error says why.
//
// An entry whose Ref was posted before with the same content is not posted again:
// its answer is the first one. With other content it is an ErrRefConflict, and
// the whole batch is refused. Seq and Recorded of the entries given do not count.
// When there is nothing new, neither entry nor cursor, no block is made.
//
// Batches that are posted at the same time may share a block; each is still taken
// or refused by itself. After an error of the journal whose outcome is unknown,
// Post returns ErrHalted from then on. Reading goes on.
func (b *Books) Post(ctx context.Context, cursors map[string][]byte, entries ...custody.Entry) ([]Posted, error) {
	posted, begun, err := b.Begin(ctx, cursors, entries...)
	if err == nil {
		err = begun.Wait(ctx)
	}
	if err != nil {
		return nil, err
	}
	return posted, nil
}

// Begun is a batch on its way: it has its place in the books, and is not durable
// before Wait has returned without an error.
type Begun struct {
	books   *Books
	block   *block // nil if everything was durable already
	entries int
}

// Wait returns when the batch is durable, or is not and will not be. Whoever begins
// batches has to wait for the last of them, since it may be the caller of Wait who
// commits; an earlier one is durable if a later one is, but if a later one is not
// its own Wait has to be asked.
func (g *Begun) Wait(ctx context.Context) error {
	if g == nil || g.block == nil {
		return nil
	}
	if err := g.books.await(ctx, g.block); err != nil {
		return fmt.Errorf("posting %d entries: %w", g.entries, err)
	}
	return nil
}

// Begin is the first half of Post: it takes or refuses the batch, and gives its
// entries their numbers. Batches that are begun one after the other, without
// waiting, are committed together.
func (b *Books) Begin(ctx context.Context, cursors map[string][]byte, entries ...custody.Entry) ([]Posted, *Begun, error) {
	p, err := newBatch(cursors, entries)
	var joined *block
	for fits := false; err == nil && !fits; {
		if joined, fits, err = b.join(ctx, p); err == nil && !fits {
			err = b.await(ctx, joined) // the next block has room
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("posting %d entries: %w", len(entries), err)
	}
	return p.posted, &Begun{b, joined, len(entries)}, nil
}

// Ahead is what a position will be, and how many entries there will be, when
// everything that was begun is durable. It is for whoever begins batches.
func (b *Books) Ahead(account custody.Account, asset custody.AssetID) (custody.Position, uint64) {
	b.posting.Lock()
	defer b.posting.Unlock()
	p, d := custody.Position{Account: account, Asset: asset}, b.next.draft
	if k, ok := b.live.keyOf(account, asset); ok {
		held := d.peek(k)
		p.Settled, p.Pending = held.settled, held.pending
	}
	return p, d.seq
}

// join adds the batch to the block in the making, and returns the block to wait
// for, or nil if everything in the batch is durable already. If the batch does not
// fit beside those that are there, it has to join again when that block is done.
func (b *Books) join(ctx context.Context, p *batch) (_ *block, fits bool, err error) {
	b.posting.Lock()
	defer b.posting.Unlock()
	if err := b.Halted(); err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrHalted, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	d := b.next.draft
	before := d.mark()
	d.now = b.options.Now().UnixNano()
	err = d.admit(ctx, p, b.options.NoOverdraft)
	size := d.size()
	if err == nil && size <= MaxBlock {
		if d.isEmpty() {
			return b.last, true, nil // it may hold what was posted before
		}
		return b.next, true, nil
	}
	if again := d.takeBack(ctx, before); again != nil {
		again = fmt.Errorf("taking back a refused batch: %w", again)
		b.halted.Store(&again)
		return nil, false, errors.Join(err, again)
	}
	switch {
	case err != nil:
		return nil, false, err
	case before.isEmpty():
		return nil, false, fmt.Errorf("%w: %d entries make %d bytes, expected at most %d", ErrTooLarge, len(p.entries), size, MaxBlock)
	}
	return b.next, false, nil
}

// await returns when the block is committed, or was not. Who finds that nobody
// commits does it.
func (b *Books) await(ctx context.Context, blk *block) error {
	select {
	case <-blk.done:
	case b.committing <- struct{}{}:
		select {
		case <-blk.done:
		default: // then it is the one in the making: only the committer takes that away
			b.commit(context.WithoutCancel(ctx), blk) // others wait for it too
		}
		<-b.committing
	}
	return blk.err
}

// commit closes the block in the making, appends it to the journal, and publishes
// it. Meanwhile others join the next one.
func (b *Books) commit(ctx context.Context, blk *block) {
	b.posting.Lock()
	d := blk.draft
	if len(d.starts) == 0 {
		d.at = d.next() // the block's own time, after everything before it
	}
	b.last, b.next = blk, b.begin(d)
	err := b.Halted()
	b.posting.Unlock()

	var sealed Block
	var grown tree
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrHalted, err)
	} else if sealed, grown, err = d.seal(b.epoch); err == nil {
		// This is the commit point. Before it nothing has happened; once Append has
		// returned without an error everything has, and the rest only tells readers.
		err = b.journal.Append(ctx, sealed)
		if err != nil {
			err = fmt.Errorf("appending block %d with %d entries: %w", sealed.Number, sealed.Count, err)
		}
	}

	b.posting.Lock()
	defer b.posting.Unlock()
	b.last = nil
	if err == nil {
		d.publish(sealed.Head(), &grown)
		b.next.draft.below = nil
		b.spare = d
	} else {
		b.abandon(err)
	}
	blk.err = err
	close(blk.done)
}

// abandon gives up the block in the making, because the one it stands on was not
// committed, and halts posting if nobody knows whether it was.
func (b *Books) abandon(why error) {
	if !errors.Is(why, ErrNotAppended) && b.Halted() == nil {
		b.halted.Store(&why)
	}
	b.next.err = fmt.Errorf("the block before was not kept: %w", why)
	close(b.next.done)
	b.next = b.begin(nil)
}

// admit adds a batch to the draft, or finds that it was posted before. After an
// error the draft has to take back what it has taken.
func (d *draft) admit(ctx context.Context, p *batch, limited func(custody.Account) bool) error {
	if d.body == nil {
		d.body = make([]byte, 0, len(p.encoded)+256)
	}
	for i := range p.entries {
		e, content := &p.entries[i], p.encoded[p.starts[i]+headSize:p.starts[i+1]]
		seq, hash, err := d.seqOf(ctx, e.Ref)
		if err != nil {
			return err
		}
		if seq != 0 {
			if p.posted[i], err = d.again(ctx, e, seq, content); err != nil {
				return err
			}
			continue
		}
		start, recorded := len(d.body), d.next()
		d.body = binary.BigEndian.AppendUint64(d.body, d.seq+1)
		d.body = binary.BigEndian.AppendUint64(d.body, uint64(recorded))
		d.body = append(d.body, content...)
		if err := d.take(ctx, e, recorded, hash, start); err != nil {
			return err
		}
		if err := d.overdrawn(e, limited); err != nil {
			return err
		}
		p.posted[i] = Posted{Seq: d.seq, Recorded: time.Unix(0, d.at).UTC()}
	}
	for source, value := range p.cursors {
		if old, ok := d.cursor(source); !ok || !bytes.Equal(old, value) {
			d.cursors[source] = value
		}
	}
	return nil
}

// next is when the next entry is recorded: now, or just after the newest if the
// clock is not past that.
func (d *draft) next() int64 { return max(d.at+1, d.now) }

// again gives the first answer for an entry whose ref was posted as entry seq.
func (d *draft) again(ctx context.Context, e *custody.Entry, seq uint64, content []byte) (Posted, error) {
	raw, err := d.raw(ctx, seq)
	if err != nil {
		return Posted{}, err
	}
	if !bytes.Equal(raw[headSize:], content) {
		return Posted{}, fmt.Errorf("%w: %s was posted as entry %d with hash %x, this one has %x",
			ErrRefConflict, e.Ref, seq, sha256.Sum256(raw[headSize:]), sha256.Sum256(content))
	}
	recorded := int64(binary.BigEndian.Uint64(raw[headSize/2:]))
	return Posted{Seq: seq, Recorded: time.Unix(0, recorded).UTC(), Existing: true}, nil
}

// overdrawn refuses an entry that took too much from an account with a limit.
func (d *draft) overdrawn(e *custody.Entry, limited func(custody.Account) bool) error {
	if limited == nil {
		return nil
	}
	for _, l := range e.Legs {
		if l.Amount.Sign() > 0 || !limited(l.Account) {
			continue
		}
		b := d.balance(d.view.key(l.Account, l.Asset))
		both, ok := b.settled.Add(b.pending)
		if !ok || both.Sign() < 0 || b.settled.Sign() < 0 {
			return fmt.Errorf("entry %s: %w: it takes %s %s %s from %s, which leaves %s settled and %s pending",
				e.Ref, ErrOverdrawn, l.Amount.Abs(), l.Asset, l.Layer, l.Account, b.settled, b.pending)
		}
	}
	return nil
}

// draftMark is how far a draft has come.
type draftMark struct {
	entries, body int
	cursors       map[string][]byte
}

func (d *draft) mark() draftMark {
	return draftMark{len(d.starts), len(d.body), maps.Clone(d.cursors)}
}

func (m draftMark) isEmpty() bool { return m.entries == 0 && len(m.cursors) == 0 }

func (d *draft) isEmpty() bool { return len(d.starts) == 0 && len(d.cursors) == 0 }

// size is how many bytes the block of the draft takes.
func (d *draft) size() int { return HeaderSize + len(d.body) + len(appendCursors(nil, d.cursors)) }

// takeBack makes the draft what it was, by building it again from the entries that
// it had. That is dear, and rare: somebody was refused while others were waiting.
func (d *draft) takeBack(ctx context.Context, to draftMark) error {
	body, starts := d.body[:to.body], slices.Clone(d.starts[:to.entries])
	d.begin(d.below)
	d.body = body
	for _, start := range starts {
		e, _, err := custody.DecodeEntry(string(body[start:]))
		if err != nil {
			return err
		}
		if err := d.apply(ctx, &e, start); err != nil {
			return err
		}
	}
	maps.Copy(d.cursors, to.cursors)
	return nil
}

// seal makes the block of the draft, and the tree with its entries.
func (d *draft) seal(epoch uint64) (Block, tree, error) {
	head, grown := d.view.head, d.view.tree
	for i, start := range d.starts {
		end := len(d.body)
		if i+1 < len(d.starts) {
			end = d.starts[i+1]
		}
		grown.add(tlog.RecordHash(d.body[start:end]))
	}
	root, err := grown.root()
	if err != nil {
		return Block{}, tree{}, err
	}
	d.view.mu.RLock() // names are added meanwhile
	state := d.digest(head.State)
	d.view.mu.RUnlock()
	b := Block{
		Header: Header{
			Number: head.Number + 1, Count: uint32(len(d.starts)), Size: d.seq, Epoch: epoch,
			Time: time.Unix(0, d.at).UTC(), Prev: head.Hash, Root: root, State: state,
		},
		Body: appendCursors(d.body, d.cursors),
	}
	b.Header.Body = sha256.Sum256(b.Body)
	return b, grown, nil
}
