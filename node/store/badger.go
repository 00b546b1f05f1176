package store

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"goodcontrol/custody/ledger"
)

// badgerOptions are set for few, large, final values: nothing is compressed or
// cached, nothing is ever overwritten, and one goroutine writes.
func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(32 << 20).
		WithNumMemtables(2).
		WithBaseTableSize(8 << 20).
		WithCompression(0).
		WithBlockCacheSize(0).
		WithIndexCacheSize(16 << 20).
		WithNumCompactors(2).
		WithDetectConflicts(false).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithValueLogFileSize(16 << 20).
		WithMetricsEnabled(false).
		WithLogger(quiet{log})
}

func openBadger(dir string, log *slog.Logger) (db *badger.DB, err error) {
	err = guarded(func() (err error) {
		db, err = badger.Open(badgerOptions(dir, log))
		return err
	})
	if err != nil {
		return nil, err // what Badger returns beside an error is not to be closed
	}
	return db, nil
}

// guarded runs a step inside Badger. Badger trusts some lengths and offsets in its
// files, and panics on damaged ones; here that is an error like any other.
func guarded(step func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // its files are memory maps
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger cannot read its files: %v", p)
		}
	}()
	return step()
}

func (s *Store) commit(key, value []byte) error {
	return s.db.Update(func(txn *badger.Txn) error { return txn.Set(key, value) })
}

// scan is a reading of blocks in the order of their numbers, or backwards.
type scan struct {
	txn *badger.Txn
	it  *badger.Iterator
	at  bool // the iterator stands at the next block
}

func (s *Store) scan(backwards bool) (*scan, error) {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false // values stand beside their keys
	o.Reverse = backwards
	c := &scan{txn: s.db.NewTransaction(false)}
	err := guarded(func() error {
		c.it = c.txn.NewIterator(o)
		return nil
	})
	if err != nil {
		c.txn.Discard()
		return nil, err
	}
	return c, nil
}

func (c *scan) close() {
	c.it.Close()
	c.txn.Discard()
}

// newest reads the last block of a backward scan, and says whether there is one.
func (c *scan) newest() (b ledger.Block, ok bool, err error) {
	err = guarded(func() error {
		c.it.Rewind()
		if ok = c.it.Valid(); !ok {
			return nil
		}
		number, err := parseBlockKey(c.it.Item().Key())
		if err != nil {
			return err
		}
		b, err = decodeItem(c.it.Item(), number)
		return err
	})
	return b, ok, err
}

// block reads the next block, which should have the given number.
func (c *scan) block(number uint64) (b ledger.Block, err error) {
	err = guarded(func() error {
		if c.at {
			c.it.Next()
		} else {
			c.it.Seek(blockKey(number))
		}
		c.at = true
		if !c.it.Valid() {
			return fmt.Errorf("block %d is missing, and every later one", number)
		}
		b, err = decodeItem(c.it.Item(), number)
		return err
	})
	return b, err
}

// decodeItem reads a block which should have the given number.
func decodeItem(item *badger.Item, number uint64) (ledger.Block, error) {
	if got, err := parseBlockKey(item.Key()); err != nil || got != number {
		return ledger.Block{}, fmt.Errorf("block %d is missing: key %x stands in its place", number, item.Key())
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return ledger.Block{}, fmt.Errorf("reading block %d: %w", number, err)
	}
	b, err := ledger.DecodeBlock(value)
	if err != nil {
		return ledger.Block{}, fmt.Errorf("reading block %d: %w", number, err)
	}
	if b.Number != number {
		return ledger.Block{}, fmt.Errorf("block %d stands under the key of block %d", b.Number, number)
	}
	return b, nil
}

func blockPrefix() []byte { return []byte("block/") }

func blockKey(number uint64) []byte { return binary.BigEndian.AppendUint64(blockPrefix(), number) }

func parseBlockKey(key []byte) (uint64, error) {
	if n := len(blockPrefix()); len(key) == n+8 && string(key[:n]) == string(blockPrefix()) {
		return binary.BigEndian.Uint64(key[n:]), nil
	}
	return 0, fmt.Errorf("key %x is not that of a block", key)
}

// quiet passes on what Badger says is wrong, and the rest only for debugging.
type quiet struct{ log *slog.Logger }

func (q quiet) Errorf(format string, args ...any)   { q.log.Error("badger: " + text(format, args)) }
func (q quiet) Warningf(format string, args ...any) { q.log.Warn("badger: " + text(format, args)) }
func (q quiet) Infof(format string, args ...any)    { q.log.Debug("badger: " + text(format, args)) }
func (q quiet) Debugf(format string, args ...any)   { q.log.Debug("badger: " + text(format, args)) }

func text(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }
