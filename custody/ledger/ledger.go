// Package ledger keeps the journal and the books that follow from it.
//
// The journal is a chain of blocks. Each [Block] holds the entries of one commit
// and the cursors of the sources they came from, the hash of the block before it,
// the root of the RFC 6962 Merkle tree over every entry so far, and a digest of
// the positions after it. [Books] posts entries to a [Journal] and answers what
// the positions are.
//
// What may not be lost is the journal: every block for which Post returned
// without an error. What may be lost is everything else here. Positions, refs,
// cursors, the tree and the digest are a fold of the journal, made by the same
// function when the node starts and while it runs, and each block says what that
// fold must give, so that a store which forgot or changed something is found out
// at the first start after it. [Snapshots] and the [History] of positions are
// caches; a [Shadow] makes them by folding the journal a second time, and so checks
// without end that the same journal gives the same books.
//
// Nothing in the journal is edited. A mistake is taken back by an entry that
// reverses it. What was believed at any moment can be asked for, by entry, time or
// block of a chain, and so can, as another question, what was so at a moment as far
// as was known at another: see asof.go.
//
// The package does no I/O and reads no clock: the Journal and the time are given
// to it. It does not know why an entry was made, and never splits a batch: all of
// it is posted, in one block, or nothing is. It has no goroutine of its own but for
// the one that reads ahead while a journal is folded.
//
// # Measurements
//
//	go test -run xxx -bench 'Apply|Replay' -benchtime 300000x ./custody/ledger
//	go test -run xxx -bench Simulation -benchtime 100x ./custody/ledger
//
// Two EPYC cores, of which one was idle:
//
//	applied, over 10³ accounts            1,920,000 entries/s
//	              10⁴                     1,690,000
//	              10⁵                     1,270,000
//	              10⁶                     1,070,000
//	replayed, every hash and rule checked 1,250,000 entries/s
//	lives of the simulation                      68 a second
//
// Applied means found new, balanced, linked, numbered, added up, digested and
// published; it is what the one at a time who posts does under the lock. With a
// million accounts it costs 1.8 times what it costs with a thousand, because what is
// looked for is then in no cache. Replay reads, decodes and hashes on one core and
// applies on the other.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Journal keeps blocks. It stands with the ledger, which calls it, and is
// implemented where there is a disk or a database; package ledgertest holds the
// suite that every implementation passes.
//
// One goroutine appends. Head and Read may be called from others meanwhile.
type Journal interface {
	// Head is where the chain ends; the zero Head when there is no block.
	Head(ctx context.Context) (Head, error)

	// Append adds b behind the head, after checking in the same step that
	// nothing came in between: [Head.Check] is the rule. The block is durable
	// when Append returns without an error.
	//
	// An error that wraps ErrNotAppended says that nothing was kept, and that
	// the same block may be tried again. One that wraps ErrFenced says that
	// nothing was kept and that somebody else is writing. After any other error
	// the caller does not know which: it must stop, open the journal again and
	// read it.
	Append(ctx context.Context, b Block) error

	// Read calls fn for each block from number from (the first is 1) to the
	// head, in order and without a gap, until fn returns an error, which Read
	// then returns as it is. A block whose bytes are not as they were written
	// is an error. fn may keep the block but not change it.
	Read(ctx context.Context, from uint64, fn func(Block) error) error
}

// The errors that a caller acts on. Each is wrapped with what happened.
var (
	// ErrNotAppended is a Journal's word that nothing was kept, and that a later
	// try may succeed: the disk is nearly full, the database cannot be reached.
	ErrNotAppended = errors.New("not appended")
	// ErrFenced is a Journal's word that the block does not follow its head: the
	// writer has been replaced, or has not read everything.
	ErrFenced = errors.New("fenced")
	// ErrTooLarge refuses a batch whose block would be larger than MaxBlock.
	ErrTooLarge = errors.New("block too large")
	// ErrRefConflict refuses a batch that has an entry with the Ref of another
	// entry and other content.
	ErrRefConflict = errors.New("ref conflict")
	// ErrReversal refuses a batch that has an entry reversing one that does not
	// exist, was reversed before, is a reversal itself, is resolved, or is not
	// taken back exactly.
	ErrReversal = errors.New("not a reversal")
	// ErrResolution refuses a batch that has an entry resolving one that does not
	// exist, has no pending legs of its own, was resolved or reversed, or whose
	// pending legs are not taken back exactly.
	ErrResolution = errors.New("not a resolution")
	// ErrOverdrawn refuses a batch that takes more from an account than there is.
	ErrOverdrawn = errors.New("overdrawn")
	// ErrDiverged is a Shadow's word that the books are not what the journal gives, or
	// that the journal cannot be read any more.
	ErrDiverged = errors.New("the books and the journal have come apart")
	// ErrHalted refuses every batch after an append of unknown outcome. Reading
	// goes on; posting resumes when the journal has been opened again.
	ErrHalted = errors.New("posting is halted")
)

// Head is where a chain of blocks ends. Who knows a Head can check that a journal
// still holds everything up to it.
type Head struct {
	Number uint64    // the newest block's number; 0 when there is none
	Hash   [32]byte  // its hash
	Size   uint64    // how many entries the journal holds, which is the newest Seq
	Root   [32]byte  // the root of the Merkle tree over them
	State  [32]byte  // the digest of the positions
	Epoch  uint64    // the epoch of the writer
	Time   time.Time // when the block was made
}

// String names the head for messages.
func (h Head) String() string {
	if h.Number == 0 {
		return "no block"
	}
	return fmt.Sprintf("block %d (%x, entries to %d, epoch %d)", h.Number, h.Hash[:8], h.Size, h.Epoch)
}

// Check says whether b may follow the head. Its errors wrap ErrFenced.
func (h Head) Check(b Block) error {
	switch {
	case b.Number != h.Number+1 || b.Prev != h.Hash:
		return fmt.Errorf("%w: block %d follows block %x, the head is %s", ErrFenced, b.Number, b.Prev[:8], h)
	case b.Epoch < h.Epoch:
		return fmt.Errorf("%w: block %d is of epoch %d, the head is %s", ErrFenced, b.Number, b.Epoch, h)
	case b.Size != h.Size+uint64(b.Count):
		return fmt.Errorf("%w: block %d with %d entries ends at entry %d, the head is %s", ErrFenced, b.Number, b.Count, b.Size, h)
	case !b.Time.After(h.Time):
		return fmt.Errorf("%w: block %d is of %s, the head of %s", ErrFenced, b.Number, b.Time, h.Time)
	}
	return nil
}
