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
