package testnet_test

import (
	"context"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/txpool"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"goodcontrol/testnet"
)

// Senders on their own connections send while blocks are sealed. Every
// transaction whose sending returned is in the block sealed next, at the latest.
func TestSealLosesNothingSentOverRPC(t *testing.T) {
	const each = 40
	names := []string{"a", "b", "c", "d"}
	c := newChain(t, testnet.ChainConfig{Prefund: names})
	to := c.Account("receiver").Address
	var wg sync.WaitGroup
	for _, name := range names {
		client := dial(t, c.HTTPURL())
		wg.Go(func() {
			for nonce := range uint64(each) {
				tx, err := c.Sign(c.Account(name), testnet.Tx{To: &to, Value: big.NewInt(1), Gas: 21_000, Nonce: &nonce})
				if err == nil {
					err = client.SendTransaction(context.Background(), tx)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	sent := make(chan struct{})
	go func() {
		wg.Wait()
		close(sent)
	}()
	for sealing := true; sealing; {
		select {
		case <-sent:
			sealing = false
		default:
		}
		seal(t, c)
	}
	if got := balance(t, c, to); got.Int64() != each*int64(len(names)) {
		t.Errorf("after the last block the balance is %s, want %d", got, each*len(names))
	}
}

func TestSealKeepsTheOrderOfArrival(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{Prefund: []string{"a", "b", "c"}})
	to := c.Account("receiver").Address
	var want []common.Hash
	for range 5 {
		for _, name := range []string{"c", "a", "b"} {
			tx := must[*types.Transaction](t)(c.SendETH(t.Context(), c.Account(name), to, big.NewInt(1)))
			want = append(want, tx.Hash())
		}
	}
	got := hashes(seal(t, c).Transactions())
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("block holds %v, want %v", got, want)
		}
	}
}

// A full block leaves the rest waiting; a transaction that cannot pay the base
// fee waits too. Neither is an error, and neither is lost.
func TestSealLeavesWhatCannotBeIn(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{Prefund: []string{"poor"}})
	to := c.Account("receiver").Address
	stingy := must[*types.Transaction](t)(c.Transact(t.Context(), c.Account("poor"),
		testnet.Tx{To: &to, GasFeeCap: big.NewInt(2), GasTipCap: big.NewInt(1)}))
	const gas = 1_000_000
	waste := make([]byte, 100_000) // 10 gas for each zero byte: exactly what the limit allows to burn
	for range 70 {
		must[*types.Transaction](t)(c.Transact(t.Context(), c.Account("faucet"), testnet.Tx{To: &to, Data: waste, Gas: gas + 21_000}))
	}
	first, second := seal(t, c), seal(t, c)
	if n, m := len(first.Transactions()), len(second.Transactions()); n+m != 70 || n < 58 || n > 59 {
		t.Errorf("blocks hold %d and %d transactions, want 58 or 59 and the rest of 70", n, m)
	}
	for _, block := range []*types.Block{first, second} {
		if block.Transaction(stingy.Hash()) != nil {
			t.Errorf("block %d holds a transaction that pays less than the base fee", block.Number())
		}
	}
}

func TestSealEmptyLeavesThePool(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	must[*types.Transaction](t)(c.Fund(t.Context(), c.Account("bob").Address, big.NewInt(1)))
	if got := len(must[*types.Block](t)(c.SealEmpty(t.Context())).Transactions()); got != 0 {
		t.Errorf("empty block holds %d transactions", got)
	}
	if got := len(seal(t, c).Transactions()); got != 1 {
		t.Errorf("next block holds %d transactions, want 1", got)
	}
}

func TestSealOnTakesWhatItIsGiven(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	bob := c.Account("bob").Address
	must[*types.Transaction](t)(c.Fund(t.Context(), bob, big.NewInt(1)))
	nonce := uint64(0)
	tx := must[*types.Transaction](t)(c.Sign(c.Account("faucet"), testnet.Tx{To: &bob, Value: big.NewInt(2), Nonce: &nonce}))
	block := must[*types.Block](t)(c.SealOn(t.Context(), c.Genesis().Hash(), tx))
	if c.Head().Hash() != c.Genesis().Hash() {
		t.Errorf("SealOn moved the head to block %d", c.Head().Number)
	}
	if len(block.Transactions()) != 1 || block.Transactions()[0].Hash() != tx.Hash() {
		t.Errorf("block holds %v, want %s", hashes(block.Transactions()), tx.Hash())
	}
	if _, err := c.SealOn(t.Context(), block.Hash(), tx); err == nil {
		t.Error("the same nonce twice on one branch: no error")
	}
	if _, err := c.SealOn(t.Context(), common.Hash{1}); err == nil {
		t.Error("unknown parent: no error")
	}
}

func TestBlockTimeFollowsTheClock(t *testing.T) {
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	now := start
	c := newChain(t, testnet.ChainConfig{GenesisTime: start, Now: func() time.Time { return now }})
	for _, step := range []struct{ forward, want time.Duration }{
		{time.Hour, time.Hour},
		{0, time.Hour + time.Second}, // a block is younger than its parent
		{-2 * time.Hour, time.Hour + 2*time.Second},
		{4 * time.Hour, 3 * time.Hour},
	} {
		now = now.Add(step.forward)
		block := must[*types.Block](t)(c.SealEmpty(t.Context()))
		if got := time.Unix(int64(block.Time()), 0).Sub(start); got != step.want {
			t.Errorf("after %s: block at start + %s, want %s", step.forward, got, step.want)
		}
	}
}

func TestEndedContext(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Seal(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Seal = %v, want %v", err, context.Canceled)
	}
	if _, err := c.Fund(ctx, common.Address{1}, big.NewInt(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Fund = %v, want %v", err, context.Canceled)
	}
}

func TestLostTransactionIsAnError(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	empty := must[*types.Block](t)(c.SealEmpty(t.Context()))
	from := common.Address{0xf0}
	pays, poor := uint256.MustFromBig(empty.BaseFee()), uint256.NewInt(1)
	for _, row := range []struct {
		name string
		tx   txpool.LazyTransaction
		lost bool
	}{
		{"fits and pays", txpool.LazyTransaction{Gas: empty.GasLimit(), GasFeeCap: pays}, true},
		{"is too large", txpool.LazyTransaction{Gas: empty.GasLimit() + 1, GasFeeCap: pays}, false},
		{"does not pay", txpool.LazyTransaction{Gas: 21_000, GasFeeCap: poor}, false},
	} {
		err := testnet.CheckFilled(empty, map[common.Address][]*txpool.LazyTransaction{from: {&row.tx}})
		if (err != nil) != row.lost {
			t.Errorf("%s: %v, want an error: %t", row.name, err, row.lost)
		}
	}
}
