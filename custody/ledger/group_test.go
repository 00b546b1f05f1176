package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
)

// slow is a journal whose appends take a while, so that others join meanwhile.
type slow struct {
	*ledger.Memory
	wait   func()
	blocks int
}

func (s *slow) Append(ctx context.Context, b ledger.Block) error {
	s.wait()
	s.blocks++
	return s.Memory.Append(ctx, b)
}

// poster posts batches of its own, each of which it can tell good from bad: a good
// one is taken, a bad one refused, whoever shares its block.
type poster struct {
	id      int
	random  *rand.Rand
	taken   map[custody.Ref]uint64
	refused map[custody.Ref]bool
}

func (p *poster) post(books *ledger.Books, n int) error {
	var batch []custody.Entry
	for i := range 1 + p.random.IntN(4) {
		ref := custody.Ref(fmt.Sprintf("%d/%d/%d", p.id, n, i))
		e := ledgertest.Deposit(ref, fmt.Sprint("client ", p.random.IntN(5)), ether, 1)
		if p.random.IntN(3) == 0 {
			for j := range e.Legs {
				e.Legs[j].Layer = custody.Pending
			}
		}
		batch = append(batch, e)
	}
	bad := p.random.IntN(4)
	switch bad {
	case 0: // the same ref with other content
		batch = append(batch, ledgertest.Deposit(batch[0].Ref, "other", ether, 2))
	case 1: // a reversal of nothing, behind what is good
		batch = append(batch, takingBack(custody.Ref(fmt.Sprintf("%d/%d/back", p.id, n)), ledgertest.Deposit("nothing", "other", ether, 1)))
	}
	cursor := map[string][]byte{fmt.Sprint("source ", p.id): fmt.Append(nil, n)}
	posted, err := books.Post(context.Background(), cursor, batch...)
	if (err != nil) != (bad <= 1) {
		return fmt.Errorf("batch %d/%d: error %v, expected one: %v", p.id, n, err, bad <= 1)
	}
	for i, e := range batch {
		if err != nil {
			p.refused[e.Ref] = true
			continue
		}
		p.taken[e.Ref] = posted[i].Seq
	}
	if err == nil && p.random.IntN(2) == 0 {
		return again(books, batch, posted)
	}
	return nil
}

// again posts what was posted, and expects the first answers.
func again(books *ledger.Books, batch []custody.Entry, first []ledger.Posted) error {
	posted, err := books.Post(context.Background(), nil, batch...)
	if err != nil {
		return err
	}
	for i := range posted {
		if !posted[i].Existing || posted[i].Seq != first[i].Seq || !posted[i].Recorded.Equal(first[i].Recorded) {
			return fmt.Errorf("entry %s again gave %v, expected %v", batch[i].Ref, posted[i], first[i])
		}
	}
	return nil
}

// TestTogether lets many post at once, good batches and bad ones. They share
// blocks; every answer is right; and what the journal holds afterwards is what was
// taken, as a replay finds it.
func TestTogether(t *testing.T) {
	const posters, batches = 16, 40
	j := &slow{Memory: ledger.NewMemory(), wait: func() { time.Sleep(100 * time.Microsecond) }}
	books := ledgertest.Open(t, j)
	all := make([]*poster, posters)
	var wg sync.WaitGroup
	for id := range all {
		p := &poster{id, rand.New(rand.NewPCG(7, uint64(id))), map[custody.Ref]uint64{}, map[custody.Ref]bool{}}
		all[id] = p
		wg.Go(func() {
			for n := range batches {
				if err := p.post(books, n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if j.blocks >= posters*batches/2 {
		t.Errorf("%d batches made %d blocks, expected that many shared one", posters*batches, j.blocks)
	}
	found := map[custody.Ref]uint64{}
	if err := books.Entries(context.Background(), 0, func(e custody.Entry) error {
		found[e.Ref] = e.Seq
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	taken := 0
	for _, p := range all {
		taken += len(p.taken)
		for ref, seq := range p.taken {
			if found[ref] != seq {
				t.Errorf("entry %s is %d in the journal, its poster was told %d", ref, found[ref], seq)
			}
		}
		for ref := range p.refused {
			if found[ref] != 0 {
				t.Errorf("entry %s was refused and is entry %d", ref, found[ref])
			}
		}
	}
	if taken != len(found) {
		t.Errorf("%d entries are in the journal, %d were taken", len(found), taken)
	}
	if again := ledgertest.Open(t, j); again.Head() != books.Head() {
		t.Errorf("replayed to %s, expected %s", again.Head(), books.Head())
	}
}

// TestTogetherFailing makes an append fail while others wait for it and for the
// block that stands on it: nobody is told that something is kept that is not, and
// after a restart everything that was acknowledged is there.
func TestTogetherFailing(t *testing.T) {
	for _, row := range []struct {
		fault ledger.Fault
		again bool // whether posting goes on
	}{{ledger.Full, true}, {ledger.Lost, false}, {ledger.Kept, false}} {
		m := ledger.NewMemory()
		begun, goOn := make(chan bool, 1), make(chan bool)
		j := &slow{Memory: m, wait: func() {}}
		books := ledgertest.Open(t, j)
		post(t, books, ledgertest.Deposit("before", "alice", ether, 1))
		j.wait = func() {
			begun <- true
			<-goOn
		}
		m.FailNext(row.fault)
		errs := make(chan error, 3)
		send := func(ref custody.Ref) {
			_, err := books.Post(context.Background(), nil, ledgertest.Deposit(ref, "alice", ether, 1))
			errs <- err
		}
		go send("fails")
		<-begun
		go send("stands on it")
		for _, n := books.Ahead(alice, ether); n < 3; _, n = books.Ahead(alice, ether) {
			time.Sleep(time.Millisecond)
		}
		go send("fails") // the same entry again has to wait for the first, if it is in time
		time.Sleep(20 * time.Millisecond)
		j.wait = func() {}
		goOn <- true
		kept := int64(0)
		for range 3 {
			switch err := <-errs; {
			case err == nil:
				kept++
			case row.fault == ledger.Full && !errors.Is(err, ledger.ErrNotAppended):
				t.Errorf("fault %d: error %v, expected ErrNotAppended", row.fault, err)
			}
		}
		if kept > 0 && !row.again || kept > 1 {
			t.Errorf("fault %d: %d were told that it is kept", row.fault, kept)
		}
		checkSettled(t, books, alice, 1+kept)
		_, err := books.Post(context.Background(), nil, ledgertest.Deposit("after", "alice", ether, 1))
		if (err == nil) != row.again || err != nil && !errors.Is(err, ledger.ErrHalted) {
			t.Errorf("fault %d: posting afterwards gave %v", row.fault, err)
		}
		want := int64(2) + kept
		if row.fault == ledger.Lost {
			want = 1
		}
		checkSettled(t, ledgertest.Open(t, m.Reopen()), alice, want)
	}
}
