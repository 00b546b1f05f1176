package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"goodcontrol/custody/ledger"
)

// ballast is a file that holds room on the disk for the worst moment. The store
// stops posting long before the disk is full, but others may fill it further, and
// Badger, which writes through memory maps, dies when a page finds no room: while it
// moves what it has, and even when it is opened to be read. Then the ballast goes.
type ballast struct {
	path string
	size uint64 // half of what must be free; 0 for none worth the name
}

// leastBallast is what a memory table and a compaction take at least.
const leastBallast = 64 << 20

func newBallast(dir string, minFree uint64) ballast {
	b := ballast{path: filepath.Join(dir, "ballast"), size: minFree / 2}
	if b.size < leastBallast || b.size > 1<<40 {
		b.size = 0
	}
	return b
}

// set takes the ballast on board, if it is not and there is room for it beside what
// must be free.
func (b ballast) set(free, minFree uint64) error {
	if _, err := os.Stat(b.path); b.size == 0 || err == nil || free < minFree+b.size {
		return nil
	}
	f, err := os.OpenFile(b.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(allocate(f, int64(b.size)), f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("ballast: %w", err), os.Remove(b.path))
	}
	return nil
}

// drop gives its room back, and says whether there was any.
func (b ballast) drop() (bool, error) {
	err := os.Remove(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Room says whether there is room for an append, and keeps the ballast: whoever has
// the store open asks now and then, also while nothing is posted.
func (s *Store) Room() error {
	if err := s.room(s.minFree); err != nil {
		return err
	}
	free, err := freeBytes(s.dir)
	if err != nil {
		return err
	}
	return s.ballast.set(free, s.minFree)
}

// room refuses to write to a disk that is nearly full, and drops the ballast if it is
// full.
func (s *Store) room(needed uint64) error {
	for {
		free, err := freeBytes(s.dir)
		if err != nil {
			return fmt.Errorf("%w: asking for the free space of %s: %w", ledger.ErrNotAppended, s.dir, err)
		}
		if free >= needed {
			return nil
		}
		if free < s.minFree/4 {
			if dropped, err := s.ballast.drop(); err == nil && dropped {
				s.log.Error("the disk is full: the journal's ballast was dropped", "dir", s.dir, "free", free)
				continue
			}
		}
		return fmt.Errorf("%w: the disk of %s has %d bytes free, %d are needed", ledger.ErrNotAppended, s.dir, free, needed)
	}
}
