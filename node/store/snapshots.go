package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"goodcontrol/custody/ledger"
)

// Snapshots keeps snapshots as files, each named by how many entries it holds. It
// keeps the newest two, and of the older ones fewer and fewer, so that a journal of
// any age can be asked about any time without keeping many.
type Snapshots struct{ dir string }

var _ ledger.Snapshots = (*Snapshots)(nil)

// OpenSnapshots opens a folder of snapshots, which is made if it is not there.
func OpenSnapshots(dir string) (*Snapshots, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the snapshots: %w", err)
	}
	return &Snapshots{dir}, nil
}

func (s *Snapshots) path(size uint64) string { return filepath.Join(s.dir, fmt.Sprintf("%020d", size)) }

// sizes lists what is there, the newest first. Other files, such as one that was
// not finished, are not looked at.
func (s *Snapshots) sizes() ([]uint64, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var sizes []uint64
	for _, f := range slices.Backward(files) {
		if size, err := strconv.ParseUint(f.Name(), 10, 64); err == nil && len(f.Name()) == 20 {
			sizes = append(sizes, size)
		}
	}
	return sizes, nil
}

// Open opens the newest snapshot of at most so many entries.
func (s *Snapshots) Open(atMost uint64) (io.ReadCloser, error) {
	sizes, err := s.sizes()
	if err != nil {
		return nil, fmt.Errorf("looking for a snapshot: %w", err)
	}
	for _, size := range sizes {
		if size <= atMost {
			return os.Open(s.path(size))
		}
	}
	return nil, nil
}

// Save writes a snapshot beside the others, and removes those that are too many.
func (s *Snapshots) Save(size uint64, write func(io.Writer) error) error {
	fresh := s.path(size) + ".new"
	if err := writeThrough(fresh, write); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := os.Rename(fresh, s.path(size)); err != nil {
		return err
	}
	if err := syncFolder(s.dir); err != nil {
		return err
	}
	return s.thin()
}

func writeThrough(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	if err = write(out); err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// thin removes what is little younger than the one kept before it, but for the
// newest two.
func (s *Snapshots) thin() error {
	sizes, err := s.sizes()
	if err != nil || len(sizes) <= 2 {
		return err
	}
	last := uint64(0)
	for _, size := range slices.Backward(sizes[2:]) {
		if size/4*3 >= last {
			last = size
			continue
		}
		err = errors.Join(err, os.Remove(s.path(size)))
	}
	return err
}
