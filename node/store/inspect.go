package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// ErrDamaged is wrapped by what Inspect finds wrong with a journal itself, and not
// with how it was asked to open it.
var ErrDamaged = errors.New("the journal does not hold")

// Inspect opens a journal that nobody has open, to be read only, and leaves its
// files as they are. Badger changes what it opens, and where its write-ahead file
// is damaged it cuts off the damaged part, so it is given a copy: tables, which are
// never rewritten, are linked, the rest is copied. The copy stands in a folder of
// its own in o.Dir until Close. Only the lock is written, to keep a node away.
//
// The store is held against its witness as in Open, and AcceptHead has no
// meaning. What is wrong with store or witness wraps ErrDamaged.
func Inspect(o Options) (*Store, error) {
	s, err := inspect(o)
	if err != nil {
		return nil, fmt.Errorf("inspecting the journal in %s: %w", o.Dir, err)
	}
	return s, nil
}

func inspect(o Options) (_ *Store, err error) {
	o = o.withDefaults()
	blocks := filepath.Join(o.Dir, "blocks")
	if _, err := os.Stat(blocks); err != nil {
		return nil, err
	}
	s := &Store{dir: o.Dir, minFree: o.MinFree, log: o.Log, failed: errors.New("it is open to be inspected only")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.lock, err = takeLock(o.Dir); err != nil {
		return nil, err
	}
	if err := s.room(s.minFree / 4); err != nil {
		return nil, err
	}
	if s.copied, err = os.MkdirTemp(o.Dir, "inspected-"); err != nil {
		return nil, err
	}
	if err := copyBlocks(blocks, s.copied); err != nil {
		return nil, err
	}
	if err := s.meetCopy(o); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return s, nil
}

// meetCopy opens the copy and holds it against the witness.
func (s *Store) meetCopy(o Options) (err error) {
	if s.db, err = openBadger(s.copied, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if s.head, err = s.findHead(); err != nil {
		return err
	}
	if s.witness, err = openWitness(o.Witness); err != nil {
		return err
	}
	return s.witness.judge(s.head, s.hashOf)
}

// Witnessed names the newest block that the witness has seen.
func (s *Store) Witnessed() string {
	if s.witness.newest.Number == 0 {
		return "no block"
	}
	return s.witness.newest.String()
}

func copyBlocks(from, to string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		source, target := filepath.Join(from, f.Name()), filepath.Join(to, f.Name())
		if strings.HasSuffix(source, ".sst") && os.Link(source, target) == nil {
			continue
		}
		if err := copyFile(source, target); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return errors.Join(err, source.Close())
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close(), source.Close())
}
