package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lock holds a folder for one process. The kernel lets go of it when the process
// ends, however it ends.
type lock struct{ file *os.File }

// ErrInUse says that another process has the journal open.
var ErrInUse = errors.New("the folder is in use")

// takeLock takes the folder, or says which process has it.
func takeLock(dir string) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(f.Name()) // only to name it
		return nil, errors.Join(fmt.Errorf("%w by process %s: %w", ErrInUse, strings.TrimSpace(string(holder)), err), f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing %s: %w", f.Name(), err), f.Close())
	}
	return &lock{f}, nil
}

func (l *lock) release() error { return l.file.Close() }

// folder makes the names of new files in a directory durable. Badger syncs what
// it writes into a new file but not that the file is there.
type folder struct {
	dir    *os.File
	synced time.Time // the directory's own time when it was last synced
}

func openFolder(path string) (*folder, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := &folder{dir: dir}
	if err := f.sync(); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return f, nil
}

// sync syncs the directory if it may have changed since the last time. Two
// changes within one tick of the file system's clock have the same time, so the
// time of a directory that changed just now does not count as synced.
func (f *folder) sync() error {
	info, err := f.dir.Stat()
	if err != nil {
		return err
	}
	changed := info.ModTime()
	if changed.Equal(f.synced) {
		return nil
	}
	const tick = 100 * time.Millisecond
	if time.Since(changed) > tick {
		f.synced = changed
	}
	return f.dir.Sync()
}

func (f *folder) close() error { return f.dir.Close() }

// syncFolder makes the names in a directory durable.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// freeBytes is how much an ordinary user can still write to the disk of path.
func freeBytes(path string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}
