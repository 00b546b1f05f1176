package chainwatch_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
)

func TestAssetNames(t *testing.T) {
	const vitalik = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045" // EIP-55 case
	if got := chainwatch.TokenAsset("eip155:1", common.HexToAddress(vitalik)); got != "eip155:1/erc20:"+vitalik {
		t.Errorf("asset is %s", got)
	}
}

func TestWatchSet(t *testing.T) {
	w := chainwatch.NewWatchSet("eip155:7")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 100 {
				if err := w.Add(custody.EVMPlace("eip155:7", simAddress(i))); err != nil {
					t.Error(err)
				}
				if !w.HasAddress(simAddress(i)) || !w.Has(custody.EVMPlace("eip155:7", simAddress(i))) {
					t.Errorf("address %d is not in the set it was added to", i)
				}
			}
		})
	}
	wg.Wait()
	if w.Len() != 100 || w.Has(custody.EVMPlace("eip155:7", simAddress(100))) || w.Has("eip155:8:"+custody.Place(simAddress(1).Hex())) {
		t.Errorf("%d addresses", w.Len())
	}
	if err := w.Add("bank:FNB"); err == nil {
		t.Error("a bank is on the chain")
	}
}

// TestWatchSetHoldsAll holds the table to a map.
func TestWatchSetHoldsAll(t *testing.T) {
	w, all := chainwatch.NewWatchSet("eip155:7"), map[common.Address]bool{}
	for i := range 20_000 {
		address := common.BytesToAddress([]byte{byte(i >> 8), byte(i), 1})
		all[address] = true
		for range 2 {
			if err := w.Add(custody.EVMPlace("eip155:7", address)); err != nil {
				t.Fatal(err)
			}
		}
		if other := common.BytesToAddress([]byte{byte(i >> 8), byte(i), 2}); w.HasAddress(other) {
			t.Fatalf("%s is in the set", other)
		}
	}
	if w.Len() != len(all) {
		t.Errorf("%d addresses, expected %d", w.Len(), len(all))
	}
	for address := range all {
		if !w.HasAddress(address) {
			t.Fatalf("%s is missing", address)
		}
	}
}

// TestNonces: a transaction may be ours when its nonce is the next one of an address,
// or one that was used and may be used again; with one address of which nothing is
// known, any may.
func TestNonces(t *testing.T) {
	w := chainwatch.NewWatchSet("eip155:7")
	if w.MayUse(0) {
		t.Error("nobody's nonce may be used")
	}
	for i, next := range []uint64{0, 5000} {
		if err := w.AddUsed(custody.EVMPlace("eip155:7", simAddress(i)), next); err != nil {
			t.Fatal(err)
		}
	}
	w.Use(0)
	for nonce, want := range map[uint64]bool{0: true, 1: true, 2: false, 3975: false, 3976: true, 5000: true, 5001: false} {
		if got := w.MayUse(nonce); got != want {
			t.Errorf("nonce %d may be used: %v, expected %v", nonce, got, want)
		}
	}
	if err := w.Add(custody.EVMPlace("eip155:7", simAddress(1))); err != nil || w.MayUse(2) {
		t.Errorf("an address that is known already makes others unknown: %v", err)
	}
	if err := w.Add(custody.EVMPlace("eip155:7", simAddress(2))); err != nil || !w.MayUse(2) {
		t.Errorf("an address of which nothing is known: %v", err)
	}
}

// BenchmarkWatchSet is a million addresses: what they take, beside a map of them, and
// how long one that is not among them takes to be told.
func BenchmarkWatchSet(b *testing.B) {
	const count = 1_000_000
	address := func(i int, other byte) common.Address {
		return common.BytesToAddress([]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, other})
	}
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := heap()
	w := chainwatch.NewWatchSet("eip155:7")
	for i := range count {
		if err := w.AddUsed(custody.EVMPlace("eip155:7", address(i, 1)), 0); err != nil {
			b.Fatal(err)
		}
	}
	set := heap() - before
	before = heap()
	plain := make(map[common.Address]struct{})
	for i := range count {
		plain[address(i, 1)] = struct{}{}
	}
	other := heap() - before
	b.ResetTimer()
	for i := range b.N {
		if w.HasAddress(address(i*7919%count, 2)) {
			b.Fatal("found")
		}
	}
	b.ReportMetric(set, "MB")
	b.ReportMetric(other, "MB/map")
	runtime.KeepAlive(plain)
}
