package store_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

const ether custody.AssetID = "eip155:1/slip44:60"

// deposit is the nth entry of a history in which each gives alice one more.
func deposit(n int) custody.Entry {
	return ledgertest.Deposit(custody.Ref(fmt.Sprintf("deposit %d", n)), "alice", ether, 1)
}

// grow posts entries from first to last, one to a block.
func grow(t testing.TB, b *ledger.Books, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		if _, err := b.Post(context.Background(), map[string][]byte{"source": {byte(n)}}, deposit(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// checkAll opens the books, which verifies every hash, and checks each balance and
// the cursor: alice has as many as there are entries, and so has the wallet.
func checkAll(t testing.TB, s *store.Store, entries int) *ledger.Books {
	t.Helper()
	books := ledgertest.Open(t, s)
	if size := books.Head().Size; size != uint64(entries) {
		t.Fatalf("%d entries were kept, expected %d", size, entries)
	}
	want := custody.NewAmount(int64(entries))
	for _, p := range books.Positions() {
		if p.Settled != want {
			t.Errorf("%s has %s, expected %s", p.Account, p.Settled, want)
		}
	}
	if cursor, _ := books.Cursor("source"); entries > 0 && (len(cursor) != 1 || cursor[0] != byte(entries)) {
		t.Errorf("the cursor is %x, expected %x", cursor, byte(entries))
	}
	return books
}

// TestFaults makes each durable step of an append fail, kept and not kept, opens
// the folder again, verifies everything and goes on.
func TestFaults(t *testing.T) {
	type row struct {
		name   string
		inject func(*store.Store)
		remain int // entries found after the restart
	}
	broken := errors.New("input/output error")
	var rows []row
	for i, step := range store.Steps {
		remain := 4
		if i == 0 {
			remain = 3 // nothing was written anywhere
		}
		rows = append(rows,
			row{step + " failed and not kept", func(s *store.Store) { s.Fail(step, false, broken) }, remain},
			row{step + " failed but kept", func(s *store.Store) { s.Fail(step, true, broken) }, 4})
	}
	for _, n := range []int{1, 8, 40, 63} {
		rows = append(rows, row{
			fmt.Sprintf("witness torn after %d bytes", n), func(s *store.Store) { s.TearWitness(n, broken) }, 4,
		})
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			o := store.Options{Dir: t.TempDir(), MinFree: 1}
			s := open(t, o)
			books := ledgertest.Open(t, s)
			grow(t, books, 1, 3)
			row.inject(s)
			if _, err := books.Post(context.Background(), nil, deposit(4)); !errors.Is(err, broken) {
				t.Fatalf("posting gave error %v, expected the fault", err)
			}
			if _, err := books.Post(context.Background(), nil, deposit(4)); !errors.Is(err, ledger.ErrHalted) {
				t.Errorf("posting after the fault gave error %v, expected ErrHalted", err)
			}
			if err := s.Append(context.Background(), ledgertest.Blocks(t, 4)[3]); err == nil || errors.Is(err, ledger.ErrNotAppended) {
				t.Errorf("the store took or promised another try after an unknown outcome: %v", err)
			}
			s.Close()
			s = open(t, o)
			books = ledgertest.Open(t, s)
			if size := books.Head().Size; size != uint64(row.remain) {
				t.Fatalf("%d entries were found, expected %d", size, row.remain)
			}
			grow(t, books, 4, 6) // the fourth is found again or posted now
			s.Close()
			checkAll(t, open(t, o), 6)
		})
	}
}

func TestNearlyFullDisk(t *testing.T) {
	o := store.Options{Dir: t.TempDir(), MinFree: 1}
	s := open(t, o)
	books := ledgertest.Open(t, s)
	grow(t, books, 1, 2)
	s.NeedFree(math.MaxUint64)
	if _, err := books.Post(context.Background(), nil, deposit(3)); !errors.Is(err, ledger.ErrNotAppended) || !strings.Contains(err.Error(), o.Dir) {
		t.Errorf("posting with no room gave error %v, expected ErrNotAppended naming %s", err, o.Dir)
	}
	s.NeedFree(1)
	grow(t, books, 3, 3)
	s.Close()
	o.MinFree = math.MaxUint64
	if _, err := store.Open(o); err == nil || !strings.Contains(err.Error(), "free") {
		t.Errorf("opening with no room gave error %v", err)
	}
}

func TestOneHolder(t *testing.T) {
	o := store.Options{Dir: t.TempDir(), MinFree: 1}
	s := open(t, o)
	_, err := store.Open(o)
	if err == nil || !strings.Contains(err.Error(), o.Dir) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("a second opening gave error %v, expected one naming %s and process %d", err, o.Dir, os.Getpid())
	}
	grow(t, ledgertest.Open(t, s), 1, 1)
	s.Close()
	checkAll(t, open(t, o), 1)
}

// TestWitnessDisagrees holds stores against witnesses that are not theirs, and
// expects each to be refused with what is missing.
func TestWitnessDisagrees(t *testing.T) {
	base := t.TempDir()
	o := store.Options{Dir: filepath.Join(base, "journal"), Witness: filepath.Join(base, "other disk", "witness"), MinFree: 1}
	s := open(t, o)
	books := ledgertest.Open(t, s)
	grow(t, books, 1, 3)
	older := imageOf(t, base)
	grow(t, books, 4, 9)
	s.Close()
	whole := imageOf(t, base)

	witness := filepath.Join("other disk", "witness")
	record := func(m image, number uint64) []byte { return m[witness].data[store.RecordAt(number):][:64] }
	rows := []struct {
		name   string
		change func(image)
		says   string // empty: it opens, and everything is there
	}{
		{"unchanged", func(image) {}, ""},
		{"the store is older", func(m image) { m.take(older, "journal") }, "blocks 4 to 9 and entries 4 to 9 are missing"},
		{"the store is gone", func(m image) { m.drop("journal") }, "blocks 1 to 9 and entries 1 to 9 are missing"},
		{"the witness is gone", func(m image) { m.drop(witness) }, "its witness is gone"},
		{"the witness is older", func(m image) { m.take(older, witness) }, "it has seen block 3"},
		{"the witness is cut short", func(m image) { m[witness].data = m[witness].data[:1000] }, "1000 bytes, expected"},
		{"the witness is empty", func(m image) { m[witness].data = nil }, "0 bytes, expected"},
		{"the witness's title is damaged", func(m image) { m[witness].data[3] ^= 8 }, "begins with"},
		{"the newest record is damaged", func(m image) { record(m, 9)[20] ^= 1 }, ""},
		{"an older record is damaged", func(m image) { record(m, 4)[20] ^= 1 }, ""},
		{"a record stands in the wrong place", func(m image) { copy(record(m, 10), record(m, 9)) }, "place 10 holds block 9"},
		{"the newest record is damaged, the store without that block", func(m image) {
			m.take(older, "journal")
			for n := uint64(5); n <= 9; n++ {
				clear(record(m, n))
			}
			record(m, 4)[0] ^= 1
		}, "may have lost block 4"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			m := whole.clone()
			row.change(m)
			here := t.TempDir()
			m.write(t, here)
			o := store.Options{Dir: filepath.Join(here, "journal"), Witness: filepath.Join(here, witness), MinFree: 1}
			if row.says == "" {
				checkAll(t, open(t, o), 9)
				return
			}
			if _, err := store.Open(o); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("opening gave error %v, expected one that says %q", err, row.says)
			}
		})
	}
}

// TestWitnessWraps holds what a witness knows when its ring is not full, just full,
// and has been written over, whole and with a damaged record.
func TestWitnessWraps(t *testing.T) {
	for _, row := range []struct {
		last, damaged uint64
		newest        uint64
		torn          bool
	}{
		{0, 0, 0, false},
		{1, 0, 1, false},
		{1, 1, 0, true},
		{store.RingLength - 1, 0, store.RingLength - 1, false},
		{store.RingLength, 0, store.RingLength, false},
		{store.RingLength, store.RingLength, store.RingLength - 1, true},
		{store.RingLength, 1, store.RingLength, true}, // it stands where the next would: let the store prove it has that
		{store.RingLength, 2, store.RingLength, false},
		{3*store.RingLength + 7, 0, 3*store.RingLength + 7, false},
		{3*store.RingLength + 7, 3*store.RingLength + 7, 3*store.RingLength + 6, true},
	} {
		newest, torn, err := store.WitnessOf(filepath.Join(t.TempDir(), "witness"), row.last, row.damaged)
		if err != nil || newest != row.newest || torn != row.torn {
			t.Errorf("after blocks 1 to %d, with %d damaged, the newest is %d, torn %v, %v, expected %d, %v",
				row.last, row.damaged, newest, torn, err, row.newest, row.torn)
		}
	}
}

// TestAcceptHead opens a store whose witness is gone, or damaged, by naming its
// head, and by no other name. The damaged witness is kept.
func TestAcceptHead(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"gone":    os.Remove,
		"damaged": func(path string) error { return os.Truncate(path, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			o := store.Options{Dir: t.TempDir(), MinFree: 1}
			s := open(t, o)
			books := ledgertest.Open(t, s)
			grow(t, books, 1, 5)
			head := books.Head()
			s.Close()
			witness := filepath.Join(o.Dir, "witness")
			if err := harm(witness); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Open(o); err == nil {
				t.Fatal("the store opened without its witness")
			}
			wrong := o
			wrong.AcceptHead = [32]byte{1}
			if _, err := store.Open(wrong); err == nil || !strings.Contains(err.Error(), "0100000000") {
				t.Errorf("accepting another head gave error %v, expected one that names both", err)
			}
			right := o
			right.AcceptHead = head.Hash
			s = open(t, right)
			grow(t, ledgertest.Open(t, s), 6, 6)
			s.Close()
			checkAll(t, open(t, o), 6)
			if _, err := os.Stat(witness + ".before"); (err == nil) != (name == "damaged") {
				t.Errorf("looking for the old witness: %v", err)
			}
		})
	}
}
