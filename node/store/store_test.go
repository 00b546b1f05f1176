package store_test

import (
	"flag"
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func disk(t testing.TB) (ledger.Journal, func() ledger.Journal) {
	o := store.Options{Dir: t.TempDir(), MinFree: 1}
	s := open(t, o)
	return s, func() ledger.Journal {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, o)
		return s
	}
}

func TestJournal(t *testing.T) { ledgertest.Test(t, disk) }

// TestModel compares the books on a disk with the naive ledger. Making and opening
// journals takes most of its time, so a few histories have to do.
func TestModel(t *testing.T) {
	if !long() {
		if err := flag.Set("rapid.checks", "8"); err != nil {
			t.Fatal(err)
		}
	}
	ledgertest.Model(t, disk)
}
