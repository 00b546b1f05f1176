package store_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

func caches(t testing.TB) (ledgertest.Caches, func() ledgertest.Caches) {
	dir := t.TempDir()
	var history *store.History
	opened := func() ledgertest.Caches {
		snapshots, err := store.OpenSnapshots(filepath.Join(dir, "snapshots"))
		if err != nil {
			t.Fatal(err)
		}
		if history, err = store.OpenHistory(filepath.Join(dir, "history"), nil); err != nil {
			t.Fatal(err)
		}
		return ledgertest.Caches{Snapshots: snapshots, History: history}
	}
	c := opened()
	t.Cleanup(func() { history.Close() })
	return c, func() ledgertest.Caches {
		if err := history.Close(); err != nil {
			t.Fatal(err)
		}
		return opened()
	}
}

func TestCaches(t *testing.T) { ledgertest.TestCaches(t, caches) }

// TestHistoryNotClosed opens a history that a killed process left, and expects an
// empty one: nobody knows what Badger has lost.
func TestHistoryNotClosed(t *testing.T) {
	dir := t.TempDir()
	h, err := store.OpenHistory(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Add([]ledger.Change{{Position: [16]byte{1}, Seq: 1}}, ledger.Head{Number: 1, Size: 1}); err != nil {
		t.Fatal(err)
	}
	killed := imageOf(t, dir)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	again := t.TempDir()
	killed.write(t, again)
	if h, err = store.OpenHistory(again, nil); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.Head().Number != 0 {
		t.Errorf("it goes on at %s, expected that it begins anew", h.Head())
	}
}

// TestSnapshotsThin saves many snapshots, and expects that few are kept, among them
// the newest two, and for every time one that is not much older.
func TestSnapshotsThin(t *testing.T) {
	dir := t.TempDir()
	s, err := store.OpenSnapshots(dir)
	if err != nil {
		t.Fatal(err)
	}
	for size := uint64(1); size <= 200; size++ {
		if err := s.Save(size*1000, func(w io.Writer) error {
			_, err := io.WriteString(w, strconv.FormatUint(size, 10))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, f := range files {
		size, err := strconv.Atoi(f.Name())
		if err != nil {
			t.Fatalf("a file %s is left", f.Name())
		}
		sizes = append(sizes, size)
	}
	if len(sizes) > 25 || !slices.Contains(sizes, 200_000) || !slices.Contains(sizes, 199_000) {
		t.Errorf("kept are %v", sizes)
	}
	for i, size := range sizes {
		before := 0
		if i > 0 {
			before = sizes[i-1]
		}
		if before < size/2-1000 {
			t.Errorf("before %d comes %d: that is too far to fold", size, before)
		}
	}
}
