package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

// TestFullDisk fills a small file system, with the default reserve, until posting
// stops. Badger must survive that, everything acknowledged must be there after a
// restart, and posting must go on when there is room again.
func TestFullDisk(t *testing.T) {
	if !long() {
		t.Skip("fills a file system of a gigabyte; set GOODCONTROL_LONG=1")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1g"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := open(t, store.Options{Dir: dir})
	books := ledgertest.Open(t, s)
	next := 1
	fill := func(until int) error {
		for ; next <= until; next++ {
			e := deposit(next)
			e.Body = make([]byte, 300<<10)
			if _, err := books.Post(context.Background(), map[string][]byte{"source": {byte(next)}}, e); err != nil {
				return fmt.Errorf("entry %d: %w", next, err)
			}
		}
		return nil
	}
	err := fill(10_000)
	if !errors.Is(err, ledger.ErrNotAppended) || books.Halted() != nil {
		t.Fatalf("filling the disk ended with %v, halted %v, expected ErrNotAppended and no halt", err, books.Halted())
	}
	t.Logf("filled: %v", err)
	entries := next - 1
	// Others fill the rest. The ballast goes, and with the room that it held the
	// store is closed in order, and opened to be read.
	if err := fillUp(dir); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Room(); !errors.Is(err, ledger.ErrNotAppended) {
			t.Errorf("a full disk has room: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, store.Options{Dir: dir})
		checkAll(t, s, entries)
	}
	if err := errors.Join(s.Close(), os.Remove(filepath.Join(dir, "of others"))); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=2g"); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Options{Dir: dir})
	books = checkAll(t, s, entries)
	if err := fill(entries + 3); err != nil {
		t.Error(err)
	}
	if err := s.Room(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ballast")); err != nil {
		t.Errorf("with room again, the ballast is not back: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// fillUp writes until there is no room.
func fillUp(dir string) error {
	f, err := os.Create(filepath.Join(dir, "of others"))
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; ; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			if size > 4096 {
				size = 4096
				continue
			}
			return err
		}
	}
}
