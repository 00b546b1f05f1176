package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
)

// History keeps the changes of positions in a Badger of its own, by position and
// entry, so that the last one up to an entry is one seek. It is a cache, and not
// synced: one that was not closed in order is thrown away and made again, since
// Badger would not say what it has lost.
type History struct {
	dir string
	log *slog.Logger
	db  *badger.DB
	end atomic.Pointer[ledger.Head]
}

var _ ledger.History = (*History)(nil)

// OpenHistory opens the history in a folder, or begins an empty one there.
func OpenHistory(dir string, log *slog.Logger) (*History, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &History{dir: dir, log: log}
	err := os.Remove(h.closed())
	switch {
	case err == nil:
		err = syncFolder(dir) // a mark that came back would vouch for what is written from now on
	case errors.Is(err, fs.ErrNotExist):
		err = os.RemoveAll(dir) // the process that had it was ended
	}
	if err == nil {
		err = h.open()
	}
	if err != nil {
		log.Warn("the history of positions cannot be read, and is made again", "dir", dir, "err", err)
		if h.db != nil {
			err = h.db.Close()
		}
		if err = errors.Join(err, os.RemoveAll(dir)); err == nil {
			err = h.open()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the history in %s: %w", dir, err)
	}
	return h, nil
}

// closed is the file that says that the history was closed in order.
func (h *History) closed() string { return filepath.Join(h.dir, "closed") }

func (h *History) open() error {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return err
	}
	h.end.Store(&ledger.Head{})
	h.db = nil
	err := guarded(func() (err error) {
		o := badgerOptions(h.dir, h.log).WithSyncWrites(false).WithMemTableSize(16 << 20).
			WithBaseTableSize(16 << 20).WithBaseLevelSize(128 << 20).WithValueLogFileSize(16 << 20)
		h.db, err = badger.Open(o)
		return err
	})
	if err != nil {
		h.db = nil
		return err
	}
	return guarded(h.readHead)
}

// headKey is shorter than any change's, and so cannot be one.
var headKey = []byte("head")

func (h *History) readHead() error {
	return h.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(headKey)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(b []byte) error {
			if len(b) != 3*8+3*32+8 {
				return fmt.Errorf("its head has %d bytes", len(b))
			}
			var end ledger.Head
			for _, n := range []*uint64{&end.Number, &end.Size, &end.Epoch} {
				*n, b = binary.BigEndian.Uint64(b), b[8:]
			}
			for _, hash := range []*[32]byte{&end.Hash, &end.Root, &end.State} {
				*hash, b = [32]byte(b), b[32:]
			}
			end.Time = time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC()
			h.end.Store(&end)
			return nil
		})
	})
}

func encodeHead(h ledger.Head) []byte {
	var b []byte
	for _, n := range []uint64{h.Number, h.Size, h.Epoch} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, hash := range [][32]byte{h.Hash, h.Root, h.State} {
		b = append(b, hash[:]...)
	}
	return binary.BigEndian.AppendUint64(b, uint64(h.Time.UnixNano()))
}

// Head is the block up to which changes are kept.
func (h *History) Head() ledger.Head { return *h.end.Load() }

// Add keeps changes, and then the head.
func (h *History) Add(changes []ledger.Change, head ledger.Head) error {
	batch := h.db.NewWriteBatch()
	defer batch.Cancel()
	for _, c := range changes {
		if err := batch.Set(changeKey(c.Position, c.Seq), c.Pending.Append(c.Settled.Append(nil))); err != nil {
			return err
		}
	}
	if err := batch.Flush(); err != nil {
		return err
	}
	err := h.db.Update(func(txn *badger.Txn) error { return txn.Set(headKey, encodeHead(head)) })
	if err == nil {
		h.end.Store(&head)
	}
	return err
}

func changeKey(position [16]byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 24), position[:]...), seq)
}

// At is the last change of a position up to an entry.
func (h *History) At(position [16]byte, seq uint64) (c ledger.Change, err error) {
	err = guarded(func() error {
		return h.db.View(func(txn *badger.Txn) error {
			o := badger.DefaultIteratorOptions
			o.Reverse, o.PrefetchValues, o.Prefix = true, false, position[:]
			it := txn.NewIterator(o)
			defer it.Close()
			it.Seek(changeKey(position, seq))
			if !it.ValidForPrefix(position[:]) {
				return nil
			}
			key := it.Item().Key()
			c.Position, c.Seq = position, binary.BigEndian.Uint64(key[16:])
			return it.Item().Value(func(b []byte) error {
				if len(b) != 32 {
					return fmt.Errorf("a change of %d bytes, expected 32", len(b))
				}
				var errs [2]error
				c.Settled, errs[0] = custody.AmountFromBytes([16]byte(b))
				c.Pending, errs[1] = custody.AmountFromBytes([16]byte(b[16:]))
				return errors.Join(errs[:]...)
			})
		})
	})
	if err != nil {
		return ledger.Change{}, fmt.Errorf("history of position %x: %w", position, err)
	}
	return c, nil
}

// Reset forgets everything.
func (h *History) Reset() error {
	if err := h.db.Close(); err != nil {
		return err
	}
	if err := os.RemoveAll(h.dir); err != nil {
		return err
	}
	return h.open()
}

// Close closes the history in order.
func (h *History) Close() error {
	if err := h.db.Close(); err != nil {
		return err
	}
	if err := writeSynced(h.closed(), nil); err != nil {
		return err
	}
	return syncFolder(h.dir)
}
