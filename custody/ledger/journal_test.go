package ledger_test

import (
	"testing"

	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
)

func memory(testing.TB) (ledger.Journal, func() ledger.Journal) {
	m := ledger.NewMemory()
	return m, func() ledger.Journal { return m.Reopen() }
}

func TestMemory(t *testing.T) { ledgertest.Test(t, memory) }
