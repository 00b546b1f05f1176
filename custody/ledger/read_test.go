package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
)

// TestReadersSeeWholeBatches reads from several goroutines while batches are posted,
// each of which moves all of alice's ether to bob or back. Whoever looks finds it
// with one of them, whole.
func TestReadersSeeWholeBatches(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	books := ledgertest.Open(t, ledger.NewMemory())
	post(t, books, ledgertest.Deposit("first", "alice", ether, 10))
	readers := []func() error{
		func() error { return whole(books.Positions()) },
		func() error {
			view, err := books.AsOfSeq(ctx, books.Head().Size)
			if err != nil {
				return err
			}
			return whole(view.Positions())
		},
		func() error {
			totals, err := books.TrialBalance()
			if err != nil || len(totals) != 1 || totals[0].For != totals[0].At {
				return fmt.Errorf("trial balance %v, %w", totals, err)
			}
			return nil
		},
		func() error {
			last := uint64(0)
			return books.Entries(context.Background(), 0, func(e custody.Entry) error {
				if e.Seq != last+1 {
					return fmt.Errorf("entry %d after %d", e.Seq, last)
				}
				last = e.Seq
				return nil
			})
		},
		func() error {
			e, found, err := books.EntryByRef(context.Background(), "first")
			if err != nil || !found || e.Seq != 1 {
				return fmt.Errorf("the first entry is %d, found %v, %w", e.Seq, found, err)
			}
			return nil
		},
	}
	var wg sync.WaitGroup
	for _, read := range readers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := read(); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 100 {
		from, to := "alice", "bob"
		if n%2 == 1 {
			from, to = to, from
		}
		// Ten entries to a batch, of which only the sum makes sense.
		var batch []custody.Entry
		for i := range 5 {
			batch = append(batch,
				ledgertest.Deposit(custody.Ref(fmt.Sprint("out ", n, i)), from, ether, -2),
				ledgertest.Deposit(custody.Ref(fmt.Sprint("in ", n, i)), to, ether, 2))
		}
		post(t, books, batch...)
	}
	stop()
	wg.Wait()
}

// whole says if positions are not those of ten ether at the wallet, all for one.
func whole(positions []custody.Position) error {
	ten := custody.NewAmount(10)
	if len(positions) != 2 || positions[0].Settled != ten || positions[1].Settled != ten {
		return fmt.Errorf("positions are %v, expected ten for one client and ten at the wallet", positions)
	}
	return nil
}
