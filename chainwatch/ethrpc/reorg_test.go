package ethrpc_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/sourcetest"
	"goodcontrol/custody"
	"goodcontrol/testnet"
)

func TestContract(t *testing.T) {
	sourcetest.Test(t, func(t *testing.T) sourcetest.World {
		w := newWorld(t, testnet.Osaka)
		return sourcetest.World{
			Source: w.dial(w.chain.HTTPURL()), Watch: chainwatch.NewWatchSet("eip155:1337"),
			Addresses: [2]common.Address{w.chain.Account("dave").Address, w.chain.Account("erin").Address},
			Extend: func(to common.Address, units int64) common.Hash {
				w.pay(to, units)
				return w.seal().Hash()
			},
			Reinclude: func(n int) common.Hash {
				head := w.chain.Head()
				var txs []*types.Transaction
				for range n {
					b := must(w.chain.Block(head.Hash()))
					txs = append(slices.Clone(b.Transactions()), txs...)
					head = must(w.chain.Block(b.ParentHash())).Header()
				}
				block, _, err := w.chain.Reorg(w.ctx, uint64(n), [][]*types.Transaction{nil, txs})
				if err != nil {
					t.Fatal(err)
				}
				return block.Hash()
			},
		}
	})
}

// TestReorg follows a chain through reorganisations: of three deposits in the
// orphaned blocks one is dropped, one moves to another block, one is in another
// place with another log index.
func TestReorg(t *testing.T) {
	for _, depth := range []int{1, 3, 20} {
		t.Run(fmt.Sprint("depth ", depth), func(t *testing.T) {
			w := newWorld(t, testnet.Osaka)
			tape := follow(t, w.follower(w.dial(w.chain.HTTPURL())))
			tape.head(w)

			dropped := w.pay(w.alice.Address, 11)
			again := w.mint(w.alice.Address, 1_000_000)
			moved := must(w.token.Mint(w.ctx, w.bob.Address, big.NewInt(2_000_000)))
			w.seal()
			for range depth - 1 {
				w.seal()
			}
			tape.head(w)

			// The mints come in another block, behind the log of a third party that
			// takes the place of the dropped deposit.
			noise := must(w.chain.Sign(w.carol, testnet.Tx{Nonce: nonce(dropped.Nonce()), To: &w.token.Address, Data: approval(w.bob.Address)}))
			blocks := make([][]*types.Transaction, depth+1)
			blocks[depth] = []*types.Transaction{noise, again, moved}
			head, _, err := w.chain.Reorg(w.ctx, uint64(depth), blocks)
			if err != nil {
				t.Fatal(err)
			}
			seen := tape.head(w)
			wantStages(t, seen, "tx/"+dropped.Hash().Hex()+"/value", custody.Included, custody.Retracted)
			for _, tx := range []*types.Transaction{again, moved} {
				m := wantStages(t, seen, "tx/"+tx.Hash().Hex()+"/log/1", custody.Included, custody.Retracted, custody.Included)
				if len(m) == 3 && (m[0].Evidence != m[1].Evidence || m[2].Evidence.BlockHash != head.Hash().Hex() || m[2].Amount != m[0].Amount) {
					t.Errorf("included, retracted, included again: %+v", m)
				}
			}
			reorgs := 0
			for _, b := range tape.wait("", func([]chainwatch.Batch) bool { return true }) {
				if b.Reorg != nil {
					reorgs++
					if b.Reorg.Depth != uint64(depth) {
						t.Errorf("reorg of depth %d, expected %d", b.Reorg.Depth, depth)
					}
				}
			}
			if reorgs != 1 {
				t.Errorf("%d reorganisations, expected 1", reorgs)
			}
			w.finalize()
			final := all(tape.wait("final", func(b []chainwatch.Batch) bool { return b[len(b)-1].Final.Hash == head.Hash() }))
			wantStages(t, final, "tx/"+again.Hash().Hex()+"/log/1", custody.Included, custody.Retracted, custody.Included, custody.Safe, custody.Final)
		})
	}
}

func nonce(n uint64) *uint64 { return &n }

// approval is the call data of approve(address,uint256), which leaves a log.
func approval(spender common.Address) []byte {
	return slices.Concat(common.FromHex("0x095ea7b3"), common.LeftPadBytes(spender[:], 32), make([]byte, 32))
}

// TestPingPong: the chain goes from one branch to the other and back.
func TestPingPong(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	tape := follow(t, w.follower(w.dial(w.chain.HTTPURL())))
	tx := w.pay(w.alice.Address, 5)
	a := w.seal()
	tape.head(w)
	b, _, err := w.chain.Reorg(w.ctx, 1, [][]*types.Transaction{nil, nil})
	if err != nil {
		t.Fatal(err)
	}
	tape.head(w)
	// Back to A, and one further, so that nobody can think A only lags.
	a2 := must(w.chain.SealOn(w.ctx, must(w.chain.SealOn(w.ctx, a.Hash())).Hash()))
	for _, head := range []common.Hash{a2.Hash(), must(w.chain.SealOn(w.ctx, must(w.chain.SealOn(w.ctx, b.Hash())).Hash())).Hash()} {
		if _, err := w.chain.SetHead(w.ctx, head); err != nil {
			t.Fatal(err)
		}
		tape.head(w)
	}
	m := movement(tape.head(w), "tx/"+tx.Hash().Hex()+"/value")
	if want := []custody.Stage{custody.Included, custody.Retracted, custody.Included, custody.Retracted}; !slices.Equal(stages(m), want) {
		t.Errorf("stages %v, expected %v", stages(m), want)
	}
}

// TestReorgWhileDown: what was seen before the follower stopped is retracted after it
// starts again.
func TestReorgWhileDown(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	client := w.dial(w.chain.HTTPURL())
	first := follow(t, w.follower(client))
	tx := w.pay(w.alice.Address, 5)
	w.seal()
	before := first.head(w)
	first.stop()
	if _, _, err := w.chain.Reorg(w.ctx, 1, [][]*types.Transaction{nil, nil}); err != nil {
		t.Fatal(err)
	}
	f := w.follower(client)
	f.Cursor = first.batches[len(first.batches)-1].Cursor
	after := follow(t, f).head(w)
	wantStages(t, append(before, after...), "tx/"+tx.Hash().Hex()+"/value", custody.Included, custody.Retracted)
}

func TestBrokenFinality(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	fork := w.chain.Head().Hash()
	w.pay(w.alice.Address, 5)
	w.seal()
	w.finalize()
	tape := follow(t, w.follower(w.dial(w.chain.HTTPURL())))
	tape.wait("final", func(b []chainwatch.Batch) bool {
		return len(b) > 0 && b[len(b)-1].Final.Hash == w.chain.Head().Hash()
	})
	other := must(w.chain.SealOn(w.ctx, must(w.chain.SealOn(w.ctx, fork)).Hash()))
	if _, err := w.chain.BreakFinality(w.ctx, other.Hash()); err != nil {
		t.Fatal(err)
	}
	<-tape.ended
	if !errors.Is(tape.err, chainwatch.ErrFinalityViolated) {
		t.Fatalf("run ended with %v", tape.err)
	}
	f := w.follower(w.dial(w.chain.HTTPURL()))
	f.Cursor = tape.batches[len(tape.batches)-1].Cursor
	refuse := func(context.Context, chainwatch.Batch) error { return errStopped }
	if err := f.Run(w.ctx, refuse); !errors.Is(err, chainwatch.ErrFinalityViolated) {
		t.Errorf("started again: %v", err)
	}
}
