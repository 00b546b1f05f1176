package ethrpc_test

import (
	"context"
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch"
	"goodcontrol/testnet"
)

// BenchmarkFollow follows blocks of 50 token transfers each, one in fifty of them
// ours, from their first to the last, with everything verified.
func BenchmarkFollow(b *testing.B) {
	const blocks, transfers = 20, 50
	w := newWorld(b, testnet.Osaka)
	w.mint(w.carol.Address, 1_000_000)
	w.seal()
	start := w.chain.Head().Number.Uint64() + 1
	for range blocks {
		for i := range transfers {
			to := w.chain.Account("stranger").Address
			if i == 0 {
				to = w.alice.Address
			}
			must(w.token.Transfer(w.ctx, w.carol, to, big.NewInt(1)))
		}
		w.seal()
	}
	client, tip := w.dial(w.chain.HTTPURL()), w.chain.Head().Hash()
	b.ResetTimer()
	for range b.N {
		f := w.follower(client)
		f.Start, f.Watch = start, w.watch
		err := f.Run(w.ctx, func(_ context.Context, batch chainwatch.Batch) error {
			if batch.Head.Hash == tip {
				return errStopped
			}
			return nil
		})
		if !errors.Is(err, errStopped) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*blocks)/b.Elapsed().Seconds(), "blocks/s")
}

// BenchmarkBalances proves a coin and a token balance of each of 100 addresses.
func BenchmarkBalances(b *testing.B) {
	w := newWorld(b, testnet.Osaka)
	client := w.dial(w.chain.HTTPURL())
	head := w.chain.Head()
	id := chainwatch.BlockID{Number: head.Number.Uint64(), Hash: head.Hash(), Parent: head.ParentHash}
	var addresses []common.Address
	for i := range 100 {
		addresses = append(addresses, common.Address{1, byte(i)})
	}
	b.ResetTimer()
	for range b.N {
		if got, err := client.Balances(w.ctx, id, addresses); err != nil || len(got) != 2*len(addresses) {
			b.Fatal(len(got), err)
		}
	}
}
