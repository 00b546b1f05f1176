package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/node/store"
)

// scale is how many accounts and entries the benchmarks of a large journal make:
// a hundred thousand, or with GOODCONTROL_LARGE a million, which takes minutes.
func scale() int {
	if os.Getenv("GOODCONTROL_LARGE") != "" {
		return 1_000_000
	}
	return 100_000
}

// opening gives an account five positions.
func opening(n int) custody.Entry {
	e := benchEntry(n)
	e.Ref, e.Legs = custody.Ref(fmt.Sprint("opening ", n)), nil
	for i := range 5 {
		l := custody.Leg{Asset: custody.AssetID(fmt.Sprintf("cusip:%09d", (n+i*997)%500)), Layer: custody.Settled, Amount: custody.NewAmount(int64(n + 1))}
		owner, at := l, l
		owner.Account = custody.ForOwner(custody.CustomerCash, fmt.Sprintf("client-%07d", n))
		at.Account = custody.AtPlace(custody.DTCFree, "dtc:0123")
		e.Legs = append(e.Legs, owner, at)
	}
	return e
}

// large is a journal in which so many accounts have five positions each, a snapshot
// and the history of that, and as many entries again behind it.
type large struct {
	dir       string
	store     *store.Store
	snapshots *store.Snapshots
	positions int
}

func newLarge(b *testing.B) *large {
	b.Helper()
	l := &large{dir: b.TempDir()}
	l.store = open(b, store.Options{Dir: l.dir, MinFree: 1})
	var err error
	if l.snapshots, err = store.OpenSnapshots(filepath.Join(l.dir, "snapshots")); err != nil {
		b.Fatal(err)
	}
	books := l.open(b)
	fill := func(entry func(int) custody.Entry) {
		const size = 1000
		for n := 0; n < scale(); n += size {
			batch := make([]custody.Entry, size)
			for i := range batch {
				batch[i] = entry(n + i)
			}
			if _, err := books.Post(context.Background(), nil, batch...); err != nil {
				b.Fatal(err)
			}
		}
	}
	fill(opening)
	if err := ledger.NewShadow(books, uint64(scale())).Follow(context.Background()); err != nil {
		b.Fatal(err)
	}
	l.positions = len(books.Positions())
	fill(func(n int) custody.Entry {
		e := benchEntry(n)
		e.Legs[0].Account.Name = fmt.Sprintf("client-%07d", n*7919%scale())
		return e
	})
	return l
}

func (l *large) open(b *testing.B) *ledger.Books {
	b.Helper()
	books, err := ledger.Open(context.Background(), l.store, ledger.Options{Now: time.Now, Snapshots: l.snapshots})
	if err != nil || books.Origin().Refused != nil {
		b.Fatal(err, books.Origin().Refused)
	}
	return books
}

// BenchmarkRestart opens books from a snapshot with a tail of entries behind it. The
// memory is that of everything the books keep, names and refs among it, by position.
func BenchmarkRestart(b *testing.B) {
	l := newLarge(b)
	var books *ledger.Books
	b.ResetTimer()
	for range b.N {
		books = nil
		books = l.open(b)
	}
	b.StopTimer()
	with := heap()
	runtime.KeepAlive(books)
	books = nil
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/restart")
	b.ReportMetric(float64(with-heap())/float64(l.positions), "B/position")
}

// heap is how much of the heap is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkAsOf asks for single positions as of random entries.
func BenchmarkAsOf(b *testing.B) {
	dir := b.TempDir()
	s := open(b, store.Options{Dir: dir, MinFree: 1})
	history, err := store.OpenHistory(filepath.Join(dir, "history"), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { history.Close() })
	books, err := ledger.Open(context.Background(), s, ledger.Options{Now: time.Now, History: history})
	if err != nil {
		b.Fatal(err)
	}
	for n := 0; n < scale(); n += 1000 {
		batch := make([]custody.Entry, 1000)
		for i := range batch {
			batch[i] = benchEntry(n + i)
		}
		if _, err := books.Post(context.Background(), nil, batch...); err != nil {
			b.Fatal(err)
		}
	}
	begun := time.Now()
	if err := ledger.NewShadow(books, 0).Follow(context.Background()); err != nil {
		b.Fatal(err)
	}
	shadowed := time.Since(begun)
	waits := make([]time.Duration, b.N)
	b.ResetTimer()
	for i := range b.N {
		leg := benchEntry(rand.IntN(scale())).Legs[0]
		begun := time.Now()
		if _, err := books.PositionAsOf(context.Background(), leg.Account, leg.Asset, rand.Uint64N(uint64(scale()))+1); err != nil {
			b.Fatal(err)
		}
		waits[i] = time.Since(begun)
	}
	b.StopTimer()
	reportWaits(b, waits)
	b.ReportMetric(float64(scale())/shadowed.Seconds(), "shadowed-entries/s")
}
