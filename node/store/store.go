package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"goodcontrol/custody/ledger"
)

// Options say where the journal is kept.
type Options struct {
	// Dir is the journal's folder, which is made if it is not there. One process
	// at a time may have it open.
	Dir string
	// Witness is the path of the witness file, best on another disk. Empty puts
	// it into Dir, where it still guards against all but the loss of that disk.
	Witness string
	// MinFree is how many bytes must be free on the disk of Dir for an append.
	// Badger writes through memory maps and does not survive a full disk, so the
	// store stops before that; to open it takes a quarter of it. Half as much more
	// is held by a file, the ballast, for the moment when others have filled the
	// disk. Zero means DefaultMinFree.
	MinFree uint64
	// AcceptHead takes the place of a witness that is lost or unreadable: the
	// hash of the head that the store has, which a person has compared with a
	// checkpoint, an export or another copy. A new witness is then made from the
	// store. It is refused if the store's head has another hash.
	AcceptHead [32]byte
	// Log takes what Badger and the store have to say. Nil discards it.
	Log *slog.Logger
}

// DefaultMinFree is room for Badger's two memory tables, their files, and a
// compaction of a few tables.
const DefaultMinFree = 512 << 20

// Store is a journal on disk. Its methods may be called from any goroutine.
type Store struct {
	dir     string
	minFree uint64
	ballast ballast
	log     *slog.Logger
	lock    *lock
	db      *badger.DB
	folder  *folder
	witness *witness
	steps   steps
	copied  string // the folder of the copy that Inspect made, or empty

	mu     sync.Mutex // held by Append throughout
	head   ledger.Head
	failed error // the append after which the outcome is unknown
}

var _ ledger.Journal = (*Store)(nil)

// steps are the durable steps of an append, in order. Tests make each of them fail.
type steps struct {
	commit func(number uint64, block []byte) error // into Badger
	folder func() error                            // the names of Badger's files
	attest func(ledger.Head) error                 // into the witness
}

// Open opens the journal, or makes an empty one, and holds it against its witness.
func Open(o Options) (*Store, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("opening the journal in %s: %w", o.Dir, err)
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.Witness == "" {
		o.Witness = filepath.Join(o.Dir, "witness")
	}
	return o
}

func open(o Options) (_ *Store, err error) {
	o = o.withDefaults()
	if err := os.MkdirAll(filepath.Join(o.Dir, "blocks"), 0o700); err != nil {
		return nil, err
	}
	s := &Store{dir: o.Dir, minFree: o.MinFree, ballast: newBallast(o.Dir, o.MinFree), log: o.Log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.lock, err = takeLock(o.Dir); err != nil {
		return nil, err
	}
	// Badger needs room to open, for the tables it makes of what it finds, but less
	// than it takes to go on writing: what is there can still be read.
	if err := s.room(s.minFree / 4); err != nil {
		return nil, err
	}
	if s.db, err = openBadger(filepath.Join(o.Dir, "blocks"), o.Log); err != nil {
		return nil, err
	}
	if s.folder, err = openFolder(filepath.Join(o.Dir, "blocks")); err != nil {
		return nil, err
	}
	if s.head, err = s.findHead(); err != nil {
		return nil, err
	}
	if s.witness, err = s.meetWitness(o); err != nil {
		return nil, err
	}
	s.steps = steps{commit: s.commit, folder: s.folder.sync, attest: s.witness.attest}
	if err := s.Room(); err != nil && !errors.Is(err, ledger.ErrNotAppended) {
		return nil, err
	}
	return s, errors.Join(syncFolder(o.Dir), syncFolder(filepath.Dir(o.Dir)))
}

// Close releases the folder. Everything acknowledged is durable without it.
func (s *Store) Close() error {
	var errs []error
	if s.witness != nil {
		errs = append(errs, s.witness.close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.folder != nil {
		errs = append(errs, s.folder.close())
	}
	if s.copied != "" {
		errs = append(errs, os.RemoveAll(s.copied))
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// Head is where the chain ends.
func (s *Store) Head(context.Context) (ledger.Head, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head, nil
}

// Append adds a block behind the head. When it returns without an error the block
// is in Badger and its head in the witness, both synced.
func (s *Store) Append(ctx context.Context, b ledger.Block) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return fmt.Errorf("an earlier append had an unknown outcome, the journal must be opened again: %w", s.failed)
	}
	if err := s.head.Check(b); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ledger.ErrNotAppended, err)
	}
	if err := s.room(s.minFree); err != nil {
		return err
	}
	block, err := b.AppendBinary(make([]byte, 0, b.EncodedSize()))
	if err != nil {
		return fmt.Errorf("%w: %w", ledger.ErrNotAppended, err)
	}
	head := b.Head()
	if err := s.keep(head, block); err != nil {
		s.failed = err
		return err
	}
	s.head = head
	return nil
}

// keep takes the durable steps in their order. The witness is last: what it has
// seen was in Badger, and so a store without it has lost it.
func (s *Store) keep(head ledger.Head, block []byte) error {
	if err := s.steps.commit(head.Number, block); err != nil {
		return fmt.Errorf("committing block %d: %w", head.Number, err)
	}
	if err := s.steps.folder(); err != nil {
		return fmt.Errorf("syncing the folder of block %d: %w", head.Number, err)
	}
	if err := s.steps.attest(head); err != nil {
		return fmt.Errorf("witnessing block %d: %w", head.Number, err)
	}
	return nil
}

// Read calls fn for each block from number from to the head.
func (s *Store) Read(ctx context.Context, from uint64, fn func(ledger.Block) error) error {
	s.mu.Lock()
	last := s.head.Number
	s.mu.Unlock()
	return s.read(ctx, max(from, 1), last, fn)
}

func (s *Store) read(ctx context.Context, from, last uint64, fn func(ledger.Block) error) error {
	it, err := s.scan(badger.DefaultIteratorOptions)
	if err != nil {
		return err
	}
	defer it.close()
	for next := from; next <= last; next++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := it.block(next)
		if err != nil {
			return err
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// findHead is the head according to Badger.
func (s *Store) findHead() (head ledger.Head, err error) {
	number, err := s.newest()
	if err != nil || number == 0 {
		return ledger.Head{}, err
	}
	err = s.read(context.Background(), number, number, func(b ledger.Block) error {
		head = b.Head()
		return nil
	})
	return head, err
}

// hashOf is the hash of one block.
func (s *Store) hashOf(number uint64) (hash [32]byte, err error) {
	err = s.read(context.Background(), number, number, func(b ledger.Block) error {
		hash = b.Hash()
		return nil
	})
	return hash, err
}
