package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"goodcontrol/custody/ledger"
)

// Checkpoints is the folder into which signed checkpoints are exported, one file
// each, named by the number of entries. It is meant to be write-once: a bucket with
// an object lock, a WORM share. So a file is made under its name at once, never
// renamed, never written again and never removed, but for one that could not be
// written to its end.
type Checkpoints struct{ dir string }

// ErrTorn is wrapped by what says that a file has the beginning of what it should
// have: a crash ended an earlier write. Its name is spent; the next size has another.
var ErrTorn = errors.New("an earlier write was cut short")

// OpenCheckpoints opens a folder, which must be there: one that was made here would
// hide that the right one is not mounted.
func OpenCheckpoints(dir string) (*Checkpoints, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: dir, Err: errors.New("not a folder")}
	}
	if err != nil {
		return nil, fmt.Errorf("folder of checkpoints: %w", err)
	}
	return &Checkpoints{dir}, nil
}

const checkpointEnding = ".checkpoint"

// Path is the file of the checkpoint with so many entries.
func (c *Checkpoints) Path(size uint64) string {
	return filepath.Join(c.dir, fmt.Sprintf("%020d", size)+checkpointEnding)
}

// Sizes are the sizes of which there are files, the largest first.
func (c *Checkpoints) Sizes() ([]uint64, error) {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("folder of checkpoints: %w", err)
	}
	var sizes []uint64
	for _, f := range files {
		digits, is := strings.CutSuffix(f.Name(), checkpointEnding)
		size, err := strconv.ParseUint(digits, 10, 64)
		if is && err == nil && filepath.Base(c.Path(size)) == f.Name() {
			sizes = append(sizes, size)
		}
	}
	slices.Sort(sizes)
	slices.Reverse(sizes)
	return sizes, nil
}

// Newest is the checkpoint with the most entries that open takes, and why each file
// of more entries is none. The zero Checkpoint says that there is none at all.
func (c *Checkpoints) Newest(open func(signed []byte) (ledger.Checkpoint, error)) (newest ledger.Checkpoint, refused []error, err error) {
	sizes, err := c.Sizes()
	if err != nil {
		return ledger.Checkpoint{}, nil, err
	}
	for _, size := range sizes {
		signed, err := os.ReadFile(c.Path(size))
		if err != nil {
			return ledger.Checkpoint{}, refused, fmt.Errorf("reading a checkpoint: %w", err)
		}
		found, err := open(signed)
		if err == nil && found.Head.Size != size {
			err = fmt.Errorf("it is of %d entries", found.Head.Size)
		}
		if err == nil {
			return found, refused, nil
		}
		refused = append(refused, fmt.Errorf("%s: %w", c.Path(size), err))
	}
	return ledger.Checkpoint{}, refused, nil
}

// Put exports a signed checkpoint, and returns when it is durable. A file of its name
// that has the same bytes is as good. One that has their beginning is an error that
// wraps ErrTorn, and any other an error as well: nothing is written over.
func (c *Checkpoints) Put(size uint64, signed []byte) error {
	path := c.Path(size)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	switch {
	case errors.Is(err, fs.ErrExist):
		err = c.again(path, signed)
	case err == nil:
		err = c.write(f, signed)
	}
	if err == nil {
		err = syncFolder(c.dir)
	}
	if err != nil {
		return fmt.Errorf("exporting a checkpoint: %w", err)
	}
	return nil
}

// write fills a new file. If that fails it tries to remove it, so that the name is
// not spent; a folder that is write-once does not let it.
func (c *Checkpoints) write(f *os.File, signed []byte) error {
	_, err := f.Write(signed)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// again looks at a file that is there already. A crash may have come before it was
// synced.
func (c *Checkpoints) again(path string, signed []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	there, err := os.ReadFile(path)
	switch {
	case err != nil:
	case bytes.Equal(there, signed):
		err = f.Sync()
	case bytes.HasPrefix(signed, there):
		err = fmt.Errorf("%w: %s has %d of %d bytes", ErrTorn, path, len(there), len(signed))
	default:
		err = fmt.Errorf("%s is there and holds another checkpoint: somebody else writes into the folder, or the journal was taken back", path)
	}
	return errors.Join(err, f.Close())
}

// ReadKey reads a file with a signing key, which nobody but its owner may read.
func ReadKey(path string) (ledger.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return ledger.Key{}, fmt.Errorf("signing key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return ledger.Key{}, fmt.Errorf("signing key %s has mode %04o: others may read it, expected 0600", path, mode)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return ledger.Key{}, fmt.Errorf("signing key: %w", err)
	}
	k, err := ledger.ParseKey(string(secret))
	if err != nil {
		return ledger.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}
