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

// simWitness is an endpoint with a chain of its own. It may be some blocks behind.
type simWitness struct {
	name     string
	chain    *simChain
	behind   int
	down     bool
	evidence error
}

func (w *simWitness) Name() string          { return w.name }
func (w *simWitness) Cordon(evidence error) { w.evidence = evidence }
func (w *simWitness) Cordoned() error       { return w.evidence }

func (w *simWitness) Header(ctx context.Context, at chainwatch.At) (chainwatch.Header, error) {
	if w.down {
		return chainwatch.Header{}, errSim
	}
	tip := uint64(max(0, len(w.chain.canon)-1-w.behind))
	b, err := w.chain.find(ctx, at)
	if err != nil {
		return chainwatch.Header{}, err
	}
	if b.header.Number > tip {
		if at.Tag == "" {
			return chainwatch.Header{}, chainwatch.ErrNotFound
		}
		return w.chain.canon[tip].header, nil
	}
	return b.header, nil
}

// simPanel is a source whose endpoint for bulk data is hostile when there is one: all
// that is not asked by hash it answers from the hostile chain.
type simPanel struct {
	truth     *simChain
	hostile   *simChain
	k         int
	witnesses []*simWitness
}

var (
	_ chainwatch.Source = (*simPanel)(nil)
	_ chainwatch.Panel  = (*simPanel)(nil)
)

// newPanel has n witnesses, of which the first are hostile, all on one forged chain.
func newPanel(k, n, hostile int) *simPanel {
	p := &simPanel{truth: newSim(), k: k}
	for i := range n {
		p.witnesses = append(p.witnesses, &simWitness{name: fmt.Sprint("honest ", i), chain: p.truth})
	}
	p.fork(0)
	for _, w := range p.witnesses[:hostile] {
		w.name, w.chain = "hostile"+w.name[len("honest"):], p.hostile
	}
	return p
}

// fork makes the hostile chain begin anew after the given height of the true one.
func (p *simPanel) fork(height int) {
	if p.hostile == nil {
		p.hostile = newSim()
		p.hostile.made = 1 << 32 // so that no block of it is one of the true chain
	}
	p.hostile.canon = slices.Clone(p.truth.canon[:height+1])
	for _, b := range p.hostile.canon {
		p.hostile.all[b.header.Hash] = b
	}
	p.hostile.safe, p.hostile.final = min(p.hostile.safe, height), min(p.hostile.final, height)
}

func (p *simPanel) Quorum() int { return p.k }

func (p *simPanel) Witnesses() (all []chainwatch.Witness) {
	for _, w := range p.witnesses {
		all = append(all, w)
	}
	return all
}

func (p *simPanel) Chain() string { return simChainName }

func (p *simPanel) holder(at chainwatch.At) *simChain {
	if p.truth.all[at.Hash] != nil {
		return p.truth
	}
	return p.hostile
}

func (p *simPanel) Header(ctx context.Context, at chainwatch.At) (chainwatch.Header, error) {
	return p.holder(at).Header(ctx, at)
}

func (p *simPanel) Block(ctx context.Context, at chainwatch.At, watch *chainwatch.WatchSet) (chainwatch.Block, error) {
	return p.holder(at).Block(ctx, at, watch)
}

func (p *simPanel) Balances(ctx context.Context, at chainwatch.BlockID, addresses []common.Address) ([]chainwatch.Balance, error) {
	return p.holder(chainwatch.At{Hash: at.Hash}).Balances(ctx, at, addresses)
}

// court is a follower before a panel, and what of the true chain was ever so.
type court struct {
	*simPanel
	f       *chainwatch.Follower
	batches []chainwatch.Batch
	checked int
	ids     int
	safe    map[common.Hash]bool // blocks that were safe at some time
	cut     map[common.Hash]bool // blocks that were orphaned at some time
	tip     map[common.Hash]bool // blocks that the true chain had at some time
	stage   map[custody.Ref]custody.Stage
}

func newCourt(k, n, hostile int) *court {
	c := &court{
		simPanel: newPanel(k, n, hostile), safe: map[common.Hash]bool{}, cut: map[common.Hash]bool{},
		tip: map[common.Hash]bool{}, stage: map[custody.Ref]custody.Stage{},
	}
	c.start()
	return c
}

func (c *court) start() {
	watch := chainwatch.NewWatchSet(simChainName)
	for i := range simWatched {
		if err := watch.Add(custody.EVMPlace(simChainName, simAddress(i))); err != nil {
			panic(err)
		}
	}
	c.f = &chainwatch.Follower{Source: c.simPanel, Watch: watch, Now: func() time.Time { return time.Unix(int64(c.checked), 0) }, Start: 1, MaxBlocks: 3, Parallel: 1, SweepEvery: 1}
	if n := len(c.batches); n > 0 {
		c.f.Cursor = c.batches[n-1].Cursor
	}
}

// grow appends blocks with a payment each to a chain.
func (c *court) grow(chain *simChain, blocks int) {
	for range blocks {
		c.ids++
		b := chain.extend([]simTx{{id: c.ids, to: simAddress(c.ids % simWatched), units: 1}}, nil)
		if chain == c.truth {
			c.tip[b.header.Hash] = true
		}
	}
}

// settle makes the true chain safe and final up to these heights.
func (c *court) settle(safe, final int) {
	c.truth.safe, c.truth.final = safe, final
	for _, b := range c.truth.canon[:safe+1] {
		c.safe[b.header.Hash] = true
	}
}

func (c *court) reorg(depth, blocks int) {
	for _, b := range c.truth.canon[len(c.truth.canon)-depth:] {
		c.cut[b.header.Hash] = true
	}
	c.truth.cut(depth)
	c.grow(c.truth, blocks)
}

func (c *court) step(t rapid.TB) error {
	t.Helper()
	_, err := c.f.Step(context.Background(), func(_ context.Context, b chainwatch.Batch) error {
		c.batches = append(c.batches, b)
		return nil
	})
	c.check(t)
	return err
}

// rest lets the follower come to rest and returns the last error.
func (c *court) rest(t rapid.TB) (err error) {
	t.Helper()
	for range 60 {
		err = c.step(t)
	}
	return err
}

func (c *court) last() chainwatch.Batch { return c.batches[len(c.batches)-1] }

// check holds everything that was said against the true chain: nothing false is safe
// or final, no block that was safe is taken back but when the true chain did so, and
// balances are those of true blocks.
func (c *court) check(t rapid.TB) {
	t.Helper()
	final := func(hash common.Hash, number uint64) bool {
		return number <= uint64(c.truth.final) && c.truth.canon[number].header.Hash == hash
	}
	for ; c.checked < len(c.batches); c.checked++ {
		b := c.batches[c.checked]
		if b.Safe.Number > 0 && !c.safe[b.Safe.Hash] || !final(b.Final.Hash, b.Final.Number) {
			t.Fatalf("safe %s, final %s; the chain has final %s", b.Safe, b.Final, c.truth.canon[c.truth.final].header.BlockID)
		}
		for _, o := range b.Observations {
			hash := common.HexToHash(o.Evidence.BlockHash)
			switch {
			case o.Kind == custody.Balance && !c.tip[hash] && o.Evidence.Block > 0,
				o.Kind == custody.Movement && o.Stage == custody.Safe && !c.safe[hash],
				o.Kind == custody.Movement && o.Stage == custody.Final && !final(hash, o.Evidence.Block),
				o.Kind == custody.Movement && o.Stage == custody.Retracted && c.stage[o.Ref] == custody.Safe && !c.cut[hash]:
				t.Fatalf("the true chain knows nothing of it: %+v", o)
			}
			if o.Kind == custody.Movement {
				c.stage[o.Ref] = o.Stage
			}
		}
	}
}

func (c *court) actions() map[string]func(*rapid.T) {
	number := func(t *rapid.T, low, high int) int { return rapid.IntRange(low, max(low, high)).Draw(t, "n") }
	return map[string]func(*rapid.T){
		"grow":       func(t *rapid.T) { c.grow(c.truth, number(t, 1, 4)) },
		"grow false": func(t *rapid.T) { c.grow(c.hostile, number(t, 1, 8)) },
		"fork":       func(t *rapid.T) { c.fork(number(t, 0, len(c.truth.canon)-1)) },
		"honest now": func(*rapid.T) { c.fork(len(c.truth.canon) - 1) },
		"settle": func(t *rapid.T) {
			safe := number(t, c.truth.safe, len(c.truth.canon)-1)
			c.settle(safe, number(t, c.truth.final, safe))
		},
		"settle false": func(t *rapid.T) {
			c.hostile.safe = number(t, 0, len(c.hostile.canon)-1)
			c.hostile.final = number(t, 0, len(c.hostile.canon)-1)
		},
		"reorg": func(t *rapid.T) {
			if deepest := len(c.truth.canon) - 1 - c.truth.final; deepest > 0 {
				c.reorg(number(t, 1, deepest), number(t, 1, 5))
			}
		},
		"lag": func(t *rapid.T) { c.witnesses[number(t, 0, len(c.witnesses)-1)].behind = number(t, 0, 4) },
		"fail": func(t *rapid.T) {
			w := c.witnesses[number(t, 0, len(c.witnesses)-1)]
			w.down = !w.down
		},
		"honest outage": func(*rapid.T) {
			for _, w := range c.witnesses {
				w.down = w.chain == c.truth
			}
		},
		"crash": func(*rapid.T) { c.start() },
		"step": func(t *rapid.T) {
			err := c.step(t)
			if errors.Is(err, chainwatch.ErrFinalityViolated) {
				t.Fatal(err)
			}
		},
	}
}

// TestNothingFalseSettles: with fewer hostile endpoints than have to agree, and as
// many honest ones, nothing false becomes safe or final, whatever the hostile ones
// make up together; and once the honest ones answer, everything true does.
func TestNothingFalseSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SampledFrom([][3]int{{2, 3, 1}, {3, 5, 2}, {2, 4, 1}, {3, 6, 2}}).Draw(t, "k of n, hostile")
		c := newCourt(shape[0], shape[1], shape[2])
		t.Repeat(c.actions())
		for i, w := range c.witnesses {
			w.down, w.behind = false, 0
			if i >= shape[2] && w.evidence != nil {
				t.Fatalf("%s is honest and cordoned: %v", w.name, w.evidence)
			}
		}
		if err := c.rest(t); err != nil && !errors.Is(err, errSim) {
			t.Fatal(err)
		}
		b, truth := c.last(), c.truth
		if b.Final != truth.canon[truth.final].header.BlockID || b.Safe != truth.canon[truth.safe].header.BlockID {
			t.Fatalf("safe %s, final %s, expected %s and %s", b.Safe, b.Final, truth.canon[truth.safe].header.BlockID, truth.canon[truth.final].header.BlockID)
		}
		for _, own := range truth.canon {
			if own.header.Number <= b.Head.Number && own.header.Number > b.Final.Number && !c.has(own.header.BlockID) {
				t.Fatalf("head %s does not stand on %s", b.Head, own.header.BlockID)
			}
		}
	})
}

// has says whether the block's payment is included as of now.
func (c *court) has(id chainwatch.BlockID) bool {
	for _, tx := range c.truth.all[id.Hash].txs {
		if s := c.stage[simRef(tx)]; s == 0 || s == custody.Retracted {
			return false
		}
	}
	return true
}
