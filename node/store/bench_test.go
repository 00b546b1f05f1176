package store_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/node/store"
)

// The benchmarks write the same entries, of about 300 bytes, in batches: raw, each
// batch appended to a file and synced; key per entry, as Badger would be used
// without blocks, with an index row for the ref; and through the books, that is
// validated, folded, encoded, hashed, in Badger and in the witness. Compare them
// within one run only.

func benchEntry(n int) custody.Entry {
	asset := custody.AssetID(fmt.Sprintf("eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE36%06d", n%20))
	leg := custody.Leg{Asset: asset, Layer: custody.Settled, Amount: custody.NewAmount(int64(n%1000 + 1))}
	owner, at := leg, leg
	owner.Account = custody.ForOwner(custody.CustomerCash, fmt.Sprint("client-", n*7919%10000))
	at.Account = custody.AtPlace(custody.ChainWallet, custody.Place(fmt.Sprintf("eip155:1:0x%040x", n*104729%10000)))
	return custody.Entry{
		Ref: custody.Ref(fmt.Sprintf("eip155:1:%064x#0", n)), Kind: "deposit.final", Actor: "settle",
		Effective: time.Unix(1_790_000_000, int64(n)), Legs: []custody.Leg{owner, at},
		Evidence: custody.Evidence{Chain: "eip155:1", Block: uint64(n), Log: 3},
	}
}

// posters is how many post at the same time: one commits while the other gets the
// next batch ready.
const posters = 2

// batches lets posters call each with batches of new entries, b.N in all.
func batches(b *testing.B, size int, each func([]custody.Entry) error) {
	all, bytes := make([][]custody.Entry, b.N), 0
	for i := range all {
		all[i] = make([]custody.Entry, size)
		for j := range all[i] {
			all[i][j] = benchEntry(i*size + j)
			bytes += len(all[i][j].AppendContent(nil)) + 16
		}
	}
	b.SetBytes(int64(bytes / b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range posters {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				if err := each(all[i]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkAppend(b *testing.B) {
	ways := []struct {
		name  string
		start func(b *testing.B) func([]custody.Entry) error
	}{
		{"raw", startRaw},
		{"key-per-entry", startKeyPerEntry},
		{"value-per-batch", startValuePerBatch},
		{"books", startBooks},
		{"books-in-memory", startMemory},
	}
	for _, size := range []int{1, 100, 1000} {
		for _, way := range ways {
			b.Run(fmt.Sprintf("batch=%d/%s", size, way.name), func(b *testing.B) { batches(b, size, way.start(b)) })
		}
	}
}

func startRaw(b *testing.B) func([]custody.Entry) error {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	var mu sync.Mutex
	return func(batch []custody.Entry) (err error) {
		var data []byte
		for i := range batch {
			if data, err = batch[i].AppendBinary(data); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if _, err := f.Write(data); err != nil {
			return err
		}
		return store.DataSync(f)
	}
}

func startKeyPerEntry(b *testing.B) func([]custody.Entry) error {
	db, err := store.OpenBadger(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	var seq atomic.Uint64
	return func(batch []custody.Entry) error {
		return db.Update(func(txn *badger.Txn) error {
			for i := range batch {
				batch[i].Seq = seq.Add(1)
				data, err := batch[i].AppendBinary(nil)
				if err != nil {
					return err
				}
				number := binary.BigEndian.AppendUint64(nil, batch[i].Seq)
				ref := append([]byte("r"), batch[i].Ref...)
				if _, err := txn.Get(ref); err != badger.ErrKeyNotFound {
					return fmt.Errorf("ref %s: %w", batch[i].Ref, err)
				}
				if err := txn.Set(ref, number); err != nil {
					return err
				}
				if err := txn.Set(append([]byte("e"), number...), data); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// startValuePerBatch is what Badger itself allows: the batch as one value, encoded and
// nothing more.
func startValuePerBatch(b *testing.B) func([]custody.Entry) error {
	db, err := store.OpenBadger(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	var number atomic.Uint64
	return func(batch []custody.Entry) (err error) {
		var data []byte
		for i := range batch {
			if data, err = batch[i].AppendBinary(data); err != nil {
				return err
			}
		}
		return db.Update(func(txn *badger.Txn) error {
			return txn.Set(binary.BigEndian.AppendUint64(nil, number.Add(1)), data)
		})
	}
}

func startBooks(b *testing.B) func([]custody.Entry) error {
	return startPosting(b, open(b, store.Options{Dir: b.TempDir(), MinFree: 1}))
}

func startMemory(b *testing.B) func([]custody.Entry) error {
	return startPosting(b, ledger.NewMemory())
}

func startPosting(b *testing.B, j ledger.Journal) func([]custody.Entry) error {
	books, err := ledger.Open(context.Background(), j, ledger.Options{Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	return func(batch []custody.Entry) error {
		_, err := books.Post(context.Background(), nil, batch...)
		return err
	}
}

// BenchmarkAcknowledge posts ten entries every millisecond, whether those before are
// durable or not, and tells how long each batch had to wait.
func BenchmarkAcknowledge(b *testing.B) {
	post := startBooks(b)
	waits, every := make([]time.Duration, b.N), time.NewTicker(time.Millisecond)
	defer every.Stop()
	var wg sync.WaitGroup
	for i := range b.N {
		batch := make([]custody.Entry, 10)
		for j := range batch {
			batch[j] = benchEntry(i*10 + j)
		}
		<-every.C
		begun := time.Now()
		wg.Go(func() {
			if err := post(batch); err != nil {
				b.Error(err)
			}
			waits[i] = time.Since(begun)
		})
	}
	wg.Wait()
	reportWaits(b, waits)
	b.ReportMetric(float64(b.N*10)/b.Elapsed().Seconds(), "entries/s")
}

func reportWaits(b *testing.B, waits []time.Duration) {
	slices.Sort(waits)
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}} {
		b.ReportMetric(float64(waits[int(q.at*float64(len(waits)-1))].Nanoseconds())/1000, q.name+"-µs")
	}
}

// BenchmarkReplay opens the books on a hundred thousand entries: read, verified,
// decoded and folded.
func BenchmarkReplay(b *testing.B) {
	const entries, size = 100_000, 1000
	s := open(b, store.Options{Dir: b.TempDir(), MinFree: 1})
	post := startPosting(b, s)
	batch := make([]custody.Entry, size)
	for n := range entries {
		batch[n%size] = benchEntry(n)
		if n%size < size-1 {
			continue
		}
		if err := post(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		ledgertest.Open(b, s)
	}
	b.ReportMetric(float64(entries*b.N)/b.Elapsed().Seconds(), "entries/s")
}
