package chainwatch_test

import (
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

func BenchmarkWatchSetHas(b *testing.B) {
	w := chainwatch.NewWatchSet("eip155:7")
	addresses := make([]common.Address, 1_000_000)
	for i := range addresses {
		addresses[i] = common.BytesToAddress([]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
		if err := w.Add(custody.EVMPlace("eip155:7", addresses[i])); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for i := range b.N {
		if !w.HasAddress(addresses[i*7919%len(addresses)]) {
			b.Fatal("missing")
		}
	}
}
