package store_test

import (
	"context"
	"errors"
	"testing"

	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

// TestInspect reads a journal that was opened to be inspected: it has everything,
// takes nothing, and the journal opens as before.
func TestInspect(t *testing.T) {
	o := store.Options{Dir: t.TempDir(), MinFree: 1}
	if _, err := store.Inspect(store.Options{Dir: o.Dir + "/none", MinFree: 1}); err == nil || errors.Is(err, store.ErrDamaged) {
		t.Errorf("inspecting no journal gave error %v, expected one that is not ErrDamaged", err)
	}
	s := open(t, o)
	books := ledgertest.Open(t, s)
	grow(t, books, 1, 5)
	want := books.Head()
	if _, err := store.Inspect(o); !errors.Is(err, store.ErrInUse) {
		t.Errorf("inspecting a journal in use gave error %v, expected ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := store.Inspect(o)
	if err != nil {
		t.Fatal(err)
	}
	inspected := ledgertest.Open(t, s)
	if inspected.Head() != want {
		t.Errorf("inspected it ends at %s, expected %s", inspected.Head(), want)
	}
	if _, err := inspected.Post(context.Background(), nil, ledgertest.Deposit("more", "alice", "iso4217:USD", 1)); err == nil {
		t.Error("a journal that is inspected takes an entry")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if head := ledgertest.Open(t, open(t, o)).Head(); head != want {
		t.Errorf("opened again it ends at %s, expected %s", head, want)
	}
}
