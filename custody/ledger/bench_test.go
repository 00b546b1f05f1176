package ledger_test

import (
	"context"
	"fmt"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
)

// written is a journal of so many entries, a thousand to a block, over as many
// accounts.
func written(b *testing.B, entries, accounts int) *ledger.Memory {
	b.Helper()
	m := ledger.NewMemory()
	books := ledgertest.Open(b, m)
	for n := 0; n < entries; {
		batch := make([]custody.Entry, 0, 1000)
		for range cap(batch) {
			batch = append(batch, ledgertest.Deposit(
				custody.Ref(fmt.Sprintf("eip155:1:%064x#0", n)), fmt.Sprint("client-", n*7919%accounts), "eip155:1/slip44:60", 1))
			n++
		}
		if _, err := books.Post(context.Background(), nil, batch...); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

// BenchmarkApply folds entries that are decoded already into books that know every
// account. An operation is an entry.
func BenchmarkApply(b *testing.B) {
	for _, accounts := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("accounts=", accounts), func(b *testing.B) {
			const entries = 100_000
			fold, err := ledger.NewFold(ledgertest.Read(b, written(b, accounts+entries, accounts), 1))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += entries {
				b.StopTimer()
				err := fold.Begin(accounts / 1000)
				b.StartTimer()
				if err == nil {
					err = fold.Apply(entries / 1000)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReplay reads, decodes, verifies and folds. An operation is an entry.
func BenchmarkReplay(b *testing.B) {
	const entries = 100_000
	m := written(b, entries, 10_000)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += entries {
		if _, err := ledger.Replay(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}
