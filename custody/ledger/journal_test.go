package ledger_test

import (
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
)

func memory(testing.TB) (ledger.Journal, func() ledger.Journal) {
	m := ledger.NewMemory()
	return m, func() ledger.Journal {
		m = m.Reopen()
		return m
	}
}

func TestMemory(t *testing.T) { ledgertest.Test(t, memory) }

func TestModel(t *testing.T) { ledgertest.Model(t, memory) }

func TestCaches(t *testing.T) {
	ledgertest.TestCaches(t, func(testing.TB) (ledgertest.Caches, func() ledgertest.Caches) {
		c := ledgertest.Caches{Snapshots: ledgertest.Snapshots{}, History: &ledgertest.History{}}
		return c, func() ledgertest.Caches { return c }
	})
}
