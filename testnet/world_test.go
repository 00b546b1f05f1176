package testnet_test

import (
	"context"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"

	"goodcontrol/testnet"
)

// newChain is a chain that ends with the test.
func newChain(t testing.TB, config testnet.ChainConfig) *testnet.Chain {
	t.Helper()
	c, err := testnet.NewChain(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// dial is a client on a real connection.
func dial(t testing.TB, url string) *ethclient.Client {
	t.Helper()
	client, err := ethclient.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// must ends the test on an error: must(t)(f()).
func must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// seal seals and ends the test if that goes wrong.
func seal(t testing.TB, c *testnet.Chain) *types.Block {
	t.Helper()
	block, err := c.Seal(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return block
}

// succeeded ends the test unless the transaction is in the chain with that status.
func succeeded(t testing.TB, c *testnet.Chain, tx *types.Transaction, want bool) *types.Receipt {
	t.Helper()
	receipt, err := c.Client().TransactionReceipt(context.Background(), tx.Hash())
	if err != nil {
		t.Fatalf("receipt of %s: %v", tx.Hash(), err)
	}
	if got := receipt.Status == types.ReceiptStatusSuccessful; got != want {
		t.Fatalf("transaction %s succeeded: %t, want %t", tx.Hash(), got, want)
	}
	return receipt
}

func balance(t testing.TB, c *testnet.Chain, a common.Address) *big.Int {
	t.Helper()
	b, err := c.Client().BalanceAt(context.Background(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
