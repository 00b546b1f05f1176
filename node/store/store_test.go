package store_test

import (
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
		return open(t, o)
	}
}

func TestJournal(t *testing.T) { ledgertest.Test(t, disk) }
