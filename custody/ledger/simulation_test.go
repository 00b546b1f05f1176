package ledger_test

import (
	"os"
	"testing"

	"goodcontrol/custody/ledger/ledgertest"
)

// TestSimulation plays many lives of books. The seed of one that fails plays it
// again: put it in front.
func TestSimulation(t *testing.T) {
	seeds := uint64(60)
	if os.Getenv("GOODCONTROL_LONG") != "" {
		seeds = 5_000
	}
	for seed := range seeds {
		if err := ledgertest.Simulate(seed); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkSimulation is how long one life takes.
func BenchmarkSimulation(b *testing.B) {
	for seed := range uint64(b.N) {
		if err := ledgertest.Simulate(seed); err != nil {
			b.Fatal(err)
		}
	}
}
