package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"goodcontrol/custody/ledger"
)

// badgerOptions are set for few, large, final values: nothing is compressed or
// cached, nothing is ever overwritten, and one goroutine writes. A base level
// larger than any journal makes the last level the only one beside the newest
// tables, so that compaction moves each block once in its life, and not once for
// every ten-fold growth: blocks come in order, and there is nothing to sort.
func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(32 << 20).
		WithNumMemtables(2).
		WithBaseTableSize(32 << 20).
		WithBaseLevelSize(1 << 50).
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

// partSize is the most of a block that is kept as one value. Values of a megabyte
// and more go to another file of Badger's, whose failed syncs it only logs.
const partSize = 512 << 10

// commit writes a block as the values of its parts, all in one transaction.
func (s *Store) commit(number uint64, block []byte) error {
	return s.db.Update(func(txn *badger.Txn) error {
		part := uint8(0)
		for p := range slices.Chunk(block, partSize) {
			if err := txn.Set(partKey(number, part), p); err != nil {
				return err
			}
			part++
		}
		return nil
	})
}

// scan is a reading of blocks in the order of their numbers.
type scan struct {
	txn   *badger.Txn
	it    *badger.Iterator
	begun bool // the iterator stands behind the block read last
}

func (s *Store) scan(o badger.IteratorOptions) (*scan, error) {
	o.PrefetchValues = false // values stand beside their keys
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

// block reads the next block, which should have the given number.
func (c *scan) block(number uint64) (b ledger.Block, err error) {
	err = guarded(func() error {
		if !c.begun {
			c.it.Seek(partKey(number, 0))
			c.begun = true
		}
		data, err := c.parts(number)
		if err != nil {
			return fmt.Errorf("reading block %d: %w", number, err)
		}
		if b, err = ledger.DecodeBlock(data); err != nil {
			return fmt.Errorf("reading block %d: %w", number, err)
		}
		if b.Number != number {
			return fmt.Errorf("block %d stands under the key of block %d", b.Number, number)
		}
		return nil
	})
	return b, err
}

// parts joins the values of a block, and moves behind them.
func (c *scan) parts(number uint64) (data []byte, err error) {
	for part := uint8(0); c.it.Valid() && string(c.it.Item().Key()) == string(partKey(number, part)); part++ {
		err := c.it.Item().Value(func(value []byte) error {
			data = append(data, value...)
			return nil
		})
		if err != nil {
			return nil, err
		}
		c.it.Next()
	}
	switch {
	case data != nil:
		return data, nil
	case c.it.Valid():
		return nil, fmt.Errorf("it is missing: key %x stands in its place", c.it.Item().Key())
	}
	return nil, errors.New("it is missing, and every later one")
}

// newest is the number of the last block that Badger has, 0 if it has none.
func (s *Store) newest() (number uint64, err error) {
	o := badger.DefaultIteratorOptions
	o.Reverse = true
	c, err := s.scan(o)
	if err != nil {
		return 0, err
	}
	defer c.close()
	err = guarded(func() error {
		c.it.Rewind()
		if !c.it.Valid() {
			return nil
		}
		key := c.it.Item().Key()
		if len(key) != len(partKey(0, 0)) || string(key[:len(keyPrefix)]) != keyPrefix {
			return fmt.Errorf("key %x is not that of a block", key)
		}
		number = binary.BigEndian.Uint64(key[len(keyPrefix):])
		return nil
	})
	return number, err
}

const keyPrefix = "block/"

func partKey(number uint64, part uint8) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(keyPrefix), number), part)
}

// quiet passes on what Badger says is wrong, and the rest only for debugging.
type quiet struct{ log *slog.Logger }

func (q quiet) Errorf(format string, args ...any)   { q.log.Error("badger: " + text(format, args)) }
func (q quiet) Warningf(format string, args ...any) { q.log.Warn("badger: " + text(format, args)) }
func (q quiet) Infof(format string, args ...any)    { q.log.Debug("badger: " + text(format, args)) }
func (q quiet) Debugf(format string, args ...any)   { q.log.Debug("badger: " + text(format, args)) }

func text(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }
