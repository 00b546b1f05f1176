package store_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
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

// batches calls each with batches of new entries for as long as the benchmark runs.
func batches(b *testing.B, size int, each func([]custody.Entry)) {
	next := 0
	batch := make([]custody.Entry, size)
	bytes := 0
	for i := range batch {
		e := benchEntry(i)
		data, err := e.AppendBinary(nil)
		if err != nil {
			b.Fatal(err)
		}
		bytes += len(data)
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range batch {
			batch[i] = benchEntry(next)
			next++
		}
		b.StartTimer()
		each(batch)
	}
	b.ReportMetric(float64(next)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkAppend(b *testing.B) {
	ways := []struct {
		name  string
		start func(b *testing.B) func([]custody.Entry)
	}{
		{"raw", startRaw},
		{"key-per-entry", startKeyPerEntry},
		{"books", startBooks},
		{"books-in-memory", startMemory},
	}
	for _, size := range []int{1, 100, 1000} {
		for _, way := range ways {
			b.Run(fmt.Sprintf("batch=%d/%s", size, way.name), func(b *testing.B) { batches(b, size, way.start(b)) })
		}
	}
}

func startRaw(b *testing.B) func([]custody.Entry) {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return func(batch []custody.Entry) {
		var data []byte
		for i := range batch {
			if data, err = batch[i].AppendBinary(data); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := f.Write(data); err != nil {
			b.Fatal(err)
		}
		if err := store.DataSync(f); err != nil {
			b.Fatal(err)
		}
	}
}

func startKeyPerEntry(b *testing.B) func([]custody.Entry) {
	db, err := store.OpenBadger(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	seq := uint64(0)
	return func(batch []custody.Entry) {
		err := db.Update(func(txn *badger.Txn) error {
			for i := range batch {
				seq++
				batch[i].Seq = seq
				data, err := batch[i].AppendBinary(nil)
				if err != nil {
					return err
				}
				number := binary.BigEndian.AppendUint64(nil, seq)
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
		if err != nil {
			b.Fatal(err)
		}
	}
}

func startBooks(b *testing.B) func([]custody.Entry) {
	return startPosting(b, open(b, store.Options{Dir: b.TempDir(), MinFree: 1}))
}

func startMemory(b *testing.B) func([]custody.Entry) { return startPosting(b, ledger.NewMemory()) }

func startPosting(b *testing.B, j ledger.Journal) func([]custody.Entry) {
	books := ledgertest.Open(b, j)
	return func(batch []custody.Entry) {
		if _, err := books.Post(context.Background(), nil, batch...); err != nil {
			b.Fatal(err)
		}
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
		if n%size == size-1 {
			post(batch)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		ledgertest.Open(b, s)
	}
	b.ReportMetric(float64(entries*b.N)/b.Elapsed().Seconds(), "entries/s")
}
