package chainwatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
)

// machine drives a simulated chain and a follower at random: the chain grows, forks
// and finalizes; the source fails; the follower dies between batches and starts
// again from a cursor that was acknowledged, however old.
type machine struct {
	chain   *simChain
	f       *chainwatch.Follower
	watch   *chainwatch.WatchSet
	batches []chainwatch.Batch // the durable ones
	ids     int
	refuse  bool // emit fails once
}

const simWatched = 3 // of 5 addresses

func newMachine() *machine {
	m := &machine{chain: newSim(), watch: chainwatch.NewWatchSet(simChainName)}
	for i := range simWatched {
		if err := m.watch.Add(custody.EVMPlace(simChainName, simAddress(i))); err != nil {
			panic(err)
		}
	}
	m.start()
	return m
}

// start makes a follower that goes on after the last durable batch.
func (m *machine) start() {
	m.f = &chainwatch.Follower{Source: m.chain, Watch: m.watch, Now: func() time.Time { return time.Unix(0, 0) }, Start: 1, MaxBlocks: 3, Parallel: 1, MaxBalances: 2, SweepEvery: 1}
	if n := len(m.batches); n > 0 {
		m.f.Cursor = m.batches[n-1].Cursor
	}
}

func (m *machine) emit(_ context.Context, b chainwatch.Batch) error {
	if m.refuse {
		m.refuse = false
		return errSim
	}
	m.batches = append(m.batches, b)
	return nil
}

func (m *machine) txs(t *rapid.T) []simTx {
	txs := make([]simTx, rapid.IntRange(0, 3).Draw(t, "txs"))
	for i := range txs {
		m.ids++
		txs[i] = simTx{
			id: m.ids, to: simAddress(rapid.IntRange(0, 4).Draw(t, "to")), units: rapid.Int64Range(1, 100).Draw(t, "units"),
			silent: rapid.IntRange(0, 4).Draw(t, "silent") == 0,
		}
	}
	return txs
}

func (m *machine) toggle(t *rapid.T) []common.Address {
	if rapid.IntRange(0, 4).Draw(t, "freeze") > 0 {
		return nil
	}
	return []common.Address{simAddress(rapid.IntRange(0, 4).Draw(t, "whom"))}
}

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"extend": func(t *rapid.T) { m.chain.extend(m.txs(t), m.toggle(t)) },
		"reorg": func(t *rapid.T) {
			deepest := len(m.chain.canon) - 1 - m.chain.final
			if deepest < 1 {
				return
			}
			old := m.chain.cut(rapid.IntRange(1, deepest).Draw(t, "depth"))
			for range rapid.IntRange(1, 6).Draw(t, "new") {
				n := rapid.IntRange(0, len(old)).Draw(t, "again")
				m.chain.extend(append(m.txs(t), old[:n]...), m.toggle(t)) // some again, with other neighbours
				old = old[n:]
			} // what is left was dropped
		},
		"safe": func(t *rapid.T) {
			m.chain.safe = rapid.IntRange(m.chain.safe, len(m.chain.canon)-1).Draw(t, "safe")
		},
		"final": func(t *rapid.T) { m.chain.final = rapid.IntRange(m.chain.final, m.chain.safe).Draw(t, "final") },
		"step": func(t *rapid.T) {
			if _, err := m.f.Step(t.Context(), m.emit); err != nil {
				t.Fatal(err)
			}
		},
		"step with faults": func(t *rapid.T) {
			n := rapid.IntRange(0, 12).Draw(t, "answers")
			m.chain.fail = func() error {
				if n--; n < 0 {
					return errSim
				}
				return nil
			}
			_, err := m.f.Step(t.Context(), m.emit)
			m.chain.fail = func() error { return nil }
			if err != nil && !errors.Is(err, errSim) {
				t.Fatal(err)
			}
		},
		"step not acknowledged": func(t *rapid.T) {
			m.refuse = true
			if _, err := m.f.Step(t.Context(), m.emit); err != nil && !errors.Is(err, errSim) {
				t.Fatal(err)
			}
			m.refuse = false
		},
		"crash": func(t *rapid.T) {
			m.batches = m.batches[:rapid.IntRange(0, len(m.batches)).Draw(t, "kept")]
			m.start()
		},
		"": func(t *rapid.T) { m.checkStages(t) },
	}
}

// next are the stages that may follow each stage of a movement.
var next = map[custody.Stage][]custody.Stage{
	0:                 {custody.Included},
	custody.Included:  {custody.Safe, custody.Retracted},
	custody.Safe:      {custody.Final, custody.Retracted},
	custody.Retracted: {custody.Included},
}

// checkStages follows each movement through what was emitted.
func (m *machine) checkStages(t *rapid.T) map[custody.Ref]custody.Observation {
	last := map[custody.Ref]custody.Observation{}
	for _, b := range m.batches {
		if b.Safe.Number > b.Head.Number || b.Final.Number > b.Safe.Number {
			t.Fatalf("head %s, safe %s, final %s", b.Head, b.Safe, b.Final)
		}
		for _, o := range b.Observations {
			if err := o.Check(); err != nil {
				t.Fatal(err)
			}
			if o.Kind != custody.Movement {
				continue
			}
			was := last[o.Ref]
			if !slices.Contains(next[was.Stage], o.Stage) {
				t.Fatalf("%s is %s after %s", o.Ref, o.Stage, was.Stage)
			}
			if o.Stage != custody.Included && o.Evidence != was.Evidence {
				t.Fatalf("%s is %s with evidence %+v, included with %+v", o.Ref, o.Stage, o.Evidence, was.Evidence)
			}
			last[o.Ref] = o
		}
	}
	return last
}

// settle lets the follower come to rest.
func (m *machine) settle(t *rapid.T) {
	for range 1000 {
		before := len(m.batches)
		more, err := m.f.Step(t.Context(), m.emit)
		if err != nil {
			t.Fatal(err)
		}
		if !more && len(m.batches) == before {
			return
		}
	}
	t.Fatal("the follower does not come to rest")
}

// checkTruth compares what was emitted with the chain itself.
func (m *machine) checkTruth(t *rapid.T) {
	last := m.checkStages(t)
	for _, b := range m.chain.canon {
		stage := custody.Included
		if b.header.Number <= uint64(m.chain.safe) {
			stage = custody.Safe
		}
		if b.header.Number <= uint64(m.chain.final) {
			stage = custody.Final
		}
		for _, tx := range b.txs {
			want := b.movement(tx)
			want.Stage = stage
			if !m.watch.HasAddress(tx.to) || tx.silent {
				continue
			}
			if got := last[want.Ref]; got != want {
				t.Fatalf("the chain has %+v\nlast said: %+v", want, got)
			}
			delete(last, want.Ref)
		}
	}
	for ref, o := range last {
		if o.Stage != custody.Retracted {
			t.Fatalf("%s is not in the chain, last said: %s", ref, o.Stage)
		}
	}
	m.checkHoldings(t)
}

func (m *machine) checkHoldings(t *rapid.T) {
	balance, frozen := map[custody.Place]string{}, map[custody.Place]bool{}
	for _, b := range m.batches {
		for _, o := range b.Observations {
			switch o.Kind {
			case custody.Balance:
				balance[o.To] = o.Amount.String()
			case custody.StateChange:
				if frozen[o.To] == (o.Condition == custody.Frozen) {
					t.Fatalf("%s is %s again", o.To, o.Condition)
				}
				frozen[o.To] = o.Condition == custody.Frozen
			}
		}
	}
	tip := m.chain.tip()
	for i := range simWatched {
		place := custody.EVMPlace(simChainName, simAddress(i))
		if want := fmt.Sprint(tip.balance[simAddress(i)]); balance[place] != want {
			t.Fatalf("balance of %s last said to be %s, is %s", place, balance[place], want)
		}
		if frozen[place] != tip.frozen[simAddress(i)] {
			t.Fatalf("%s last said to be frozen: %v, is: %v", place, frozen[place], tip.frozen[simAddress(i)])
		}
	}
}

func TestFollowerAgainstTheChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		t.Repeat(m.actions())
		m.settle(t)
		m.checkTruth(t)
	})
}
