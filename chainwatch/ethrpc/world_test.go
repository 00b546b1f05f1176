package ethrpc_test

import (
	"context"
	"errors"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"go.uber.org/goleak"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/testnet"
)

// What the node in this process leaves behind is not ours.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

// world is a real chain with a dollar token, and a few accounts.
type world struct {
	t     testing.TB
	ctx   context.Context
	chain *testnet.Chain
	token *testnet.Token
	watch *chainwatch.WatchSet
	alice testnet.Account // ours
	bob   testnet.Account // ours
	carol testnet.Account // a stranger with a million ether
}

func newWorld(t testing.TB, rules testnet.Rules) *world {
	t.Helper()
	w := &world{t: t, ctx: context.Background(), watch: chainwatch.NewWatchSet("eip155:1337")}
	w.chain = must(testnet.NewChain(testnet.ChainConfig{Seed: 7, Rules: rules, Prefund: []string{"carol", "bob"}}))
	t.Cleanup(func() {
		if err := w.chain.Close(); err != nil {
			t.Error(err)
		}
	})
	w.alice, w.bob, w.carol = w.chain.Account("alice"), w.chain.Account("bob"), w.chain.Account("carol")
	token, err := w.chain.DeployToken(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.token = token
	w.seal()
	w.add(w.alice, w.bob)
	return w
}

// must is for the world itself: that it breaks is not what a test is about.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (w *world) add(accounts ...testnet.Account) {
	w.t.Helper()
	for _, a := range accounts {
		if err := w.watch.Add(w.place(a.Address)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) place(a common.Address) custody.Place { return custody.EVMPlace("eip155:1337", a) }

func (w *world) coin() custody.AssetID { return chainwatch.NativeAsset("eip155:1337") }

func (w *world) dollar() custody.AssetID {
	return chainwatch.TokenAsset("eip155:1337", w.token.Address)
}

func (w *world) seal() *types.Block {
	w.t.Helper()
	return must(w.chain.Seal(w.ctx))
}

func (w *world) finalize() {
	w.t.Helper()
	if err := w.chain.Finalize(w.chain.Head().Number.Uint64()); err != nil {
		w.t.Fatal(err)
	}
}

// pay sends ether from the stranger.
func (w *world) pay(to common.Address, wei int64) *types.Transaction {
	w.t.Helper()
	return must(w.chain.SendETH(w.ctx, w.carol, to, big.NewInt(wei)))
}

func (w *world) mint(to common.Address, units int64) *types.Transaction {
	w.t.Helper()
	return must(w.token.Mint(w.ctx, to, big.NewInt(units)))
}

func (w *world) dial(urls ...string) *ethrpc.Client {
	w.t.Helper()
	layout := evm.USDCv22Layout()
	c := must(ethrpc.Dial(w.ctx, ethrpc.Config{ChainID: 1337, Endpoints: urls, Plain: true, Tokens: []ethrpc.Token{{Contract: w.token.Address, Layout: &layout}}}))
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) follower(source chainwatch.Source) *chainwatch.Follower {
	return &chainwatch.Follower{Source: source, Watch: w.watch, Now: time.Now, Poll: 2 * time.Millisecond, MaxBackoff: 20 * time.Millisecond, SweepEvery: 1, Start: 1}
}

// tape is what a follower has emitted.
type tape struct {
	t       testing.TB
	mu      sync.Mutex
	changed chan struct{}
	batches []chainwatch.Batch
	err     error
	done    bool
	ended   chan struct{} // closed after the follower has ended
	stop    func()
}

// follow runs a follower until the test ends or the tape is stopped.
func follow(t testing.TB, f *chainwatch.Follower) *tape {
	ctx, cancel := context.WithCancel(context.Background())
	tp := &tape{t: t, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	tp.stop = func() { cancel(); <-tp.ended }
	go func() {
		defer close(tp.ended)
		err := f.Run(ctx, func(_ context.Context, b chainwatch.Batch) error {
			tp.set(func() { tp.batches = append(tp.batches, b) })
			return nil
		})
		tp.set(func() { tp.err, tp.done = err, true })
	}()
	t.Cleanup(tp.stop)
	return tp
}

func (tp *tape) set(change func()) {
	tp.mu.Lock()
	change()
	tp.mu.Unlock()
	select {
	case tp.changed <- struct{}{}:
	default:
	}
}

func (tp *tape) len() int {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return len(tp.batches)
}

// wait ends when the condition holds of what was emitted so far.
func (tp *tape) wait(what string, holds func([]chainwatch.Batch) bool) []chainwatch.Batch {
	tp.t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		tp.mu.Lock()
		batches, err, done := slices.Clone(tp.batches), tp.err, tp.done
		tp.mu.Unlock()
		if holds(batches) {
			return batches
		}
		if done {
			tp.t.Fatalf("waiting for %s: the follower ended: %v", what, err)
		}
		select {
		case <-tp.changed:
		case <-limit.C:
			tp.t.Fatalf("waiting for %s: nothing after 30 s; %d batches", what, len(batches))
		}
	}
}

// head waits until the follower has the chain's head, with all balances read.
func (tp *tape) head(w *world) []custody.Observation {
	tp.t.Helper()
	want := w.chain.Head().Hash()
	return all(tp.wait("head", func(batches []chainwatch.Batch) bool {
		return len(batches) > 0 && batches[len(batches)-1].Head.Hash == want && balanced(w, batches)
	}))
}

// balanced says whether the last balance seen of each watched address is the true one.
func balanced(w *world, batches []chainwatch.Batch) bool {
	seen := lastBalances(all(batches))
	for _, a := range []common.Address{w.alice.Address, w.bob.Address} {
		wei := must(w.chain.Client().BalanceAt(w.ctx, a, nil))
		if seen[key{w.place(a), w.coin()}] != wei.String() {
			return false
		}
		units := must(w.token.BalanceOf(w.ctx, a))
		if seen[key{w.place(a), w.dollar()}] != units.String() {
			return false
		}
	}
	return true
}

type key struct {
	place custody.Place
	asset custody.AssetID
}

func lastBalances(observations []custody.Observation) map[key]string {
	last := make(map[key]string)
	for _, o := range observations {
		if o.Kind == custody.Balance {
			last[key{o.To, o.Asset}] = o.Amount.String()
		}
	}
	return last
}

func all(batches []chainwatch.Batch) []custody.Observation {
	var out []custody.Observation
	for _, b := range batches {
		out = append(out, b.Observations...)
	}
	return out
}

// movement returns the observations of one movement, in order.
func movement(observations []custody.Observation, ref string) []custody.Observation {
	var out []custody.Observation
	for _, o := range observations {
		if o.Kind == custody.Movement && string(o.Ref) == "eip155:1337/"+ref {
			out = append(out, o)
		}
	}
	return out
}

func stages(observations []custody.Observation) []custody.Stage {
	var out []custody.Stage
	for _, o := range observations {
		out = append(out, o.Stage)
	}
	return out
}

func wantStages(t testing.TB, observations []custody.Observation, ref string, want ...custody.Stage) []custody.Observation {
	t.Helper()
	m := movement(observations, ref)
	if got := stages(m); !slices.Equal(got, want) {
		t.Errorf("stages of %s: %v, expected %v", ref, got, want)
	}
	return m
}

var errStopped = errors.New("stopped by the test")
