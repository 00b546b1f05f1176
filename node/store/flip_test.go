package store_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

// long says whether the tests that run for minutes were asked for.
func long() bool { return os.Getenv("GOODCONTROL_LONG") != "" }

// TestBitFlips flips one bit at a time in every file of a journal that was killed,
// and of one that was closed, and opens it. Either opening or replaying says that
// something is wrong, or everything is there: never less without a word.
func TestBitFlips(t *testing.T) {
	const entries = 40
	dir := t.TempDir()
	o := store.Options{Dir: dir, MinFree: 1}
	s := open(t, o)
	books := ledgertest.Open(t, s)
	grow(t, books, 1, entries)
	want := books.Head()
	killed := imageOf(t, dir)
	s.Close()
	closed := imageOf(t, dir)

	flips := 4
	if long() {
		flips = 300
	}
	random := rand.New(rand.NewPCG(1, 2))
	for state, m := range map[string]image{"killed": killed, "closed": closed} {
		detected, harmless := make(map[string]int), make(map[string]int)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			for range flips {
				length := len(m[name].data)
				if length == 0 {
					break
				}
				at, bit := random.IntN(length), random.IntN(8)
				changed := m.clone()
				changed[name].data[at] ^= 1 << bit
				what := fmt.Sprintf("%s: %s, byte %d of %d, bit %d", state, name, at, length, bit)
				if err := reopens(t, changed, want, what); err != nil {
					detected[name]++
				} else {
					harmless[name]++
				}
			}
		}
		t.Logf("%s: detected %v, harmless %v", state, detected, harmless)
	}
}

// reopens opens the journal of an image. It returns what was found wrong; finding
// nothing wrong and not everything there is what must not happen.
func reopens(t *testing.T, m image, want ledger.Head, what string) error {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	m.write(t, dir)
	s, err := store.Open(store.Options{Dir: dir, MinFree: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	books, err := ledger.Open(context.Background(), s, ledger.Options{Now: ledgertest.Clock()})
	if err != nil {
		return err
	}
	if books.Head() != want {
		t.Errorf("%s: opened without a word at %s, expected %s", what, books.Head(), want)
	}
	return nil
}
