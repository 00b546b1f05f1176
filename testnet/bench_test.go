package testnet_test

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"goodcontrol/testnet"
)

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		c, err := testnet.NewChain(testnet.ChainConfig{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, transfers := range []int{0, 200} {
		b.Run(fmt.Sprintf("%d transfers", transfers), func(b *testing.B) {
			c := newChain(b, testnet.ChainConfig{})
			to := c.Account("receiver").Address
			for b.Loop() {
				b.StopTimer()
				for range transfers {
					must[*types.Transaction](b)(c.Fund(b.Context(), to, big.NewInt(1)))
				}
				b.StartTimer()
				if got := len(seal(b, c).Transactions()); got != transfers {
					b.Fatalf("block holds %d transactions, want %d", got, transfers)
				}
			}
		})
	}
}

func BenchmarkSend(b *testing.B) {
	c := newChain(b, testnet.ChainConfig{})
	to := c.Account("receiver").Address
	sent := 0
	for b.Loop() {
		must[*types.Transaction](b)(c.Fund(b.Context(), to, big.NewInt(1)))
		if sent++; sent%1000 == 0 {
			b.StopTimer()
			seal(b, c)
			b.StartTimer()
		}
	}
}
