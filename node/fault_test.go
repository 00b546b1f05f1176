package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/node/api"
	"goodcontrol/testnet"
	"goodcontrol/testnet/faultproxy"
)

// long runs the whole matrix: .ci/run does.
var long = os.Getenv("GOODCONTROL_LONG") != ""

// faulted is a world whose node reaches its chain through three endpoints, of which
// two have to agree, and any of which may be made to fail or to lie.
type faulted struct {
	*world
	ends  [3]*faultproxy.Proxy
	spent int64
}

func faulty(t *testing.T, change ...func(*world)) *faulted {
	if testing.Short() {
		t.Skip("the fault matrix is not short")
	}
	f := &faulted{}
	f.world = fundedAs(t, func(w *world) {
		w.config.Chains[0].Endpoints, w.config.Chains[0].Agree = nil, 2
		for i := range f.ends {
			p, err := faultproxy.New(w.chain.HTTPURL())
			w.ok(err)
			t.Cleanup(func() { w.ok(p.Close()) })
			f.ends[i] = p
			w.config.Chains[0].Endpoints = append(w.config.Chains[0].Endpoints, p.URL())
		}
		for _, c := range change {
			c(w)
		}
	})
	return f
}

// deposits sends a deposit of each kind, and returns the transactions, which wait for
// a block.
func (f *faulted) deposits() []*types.Transaction {
	f.Helper()
	f.spent++
	coin, err := f.chain.SendETH(f.Context(), f.chain.Account("alice"), f.addressOf("segregated"), coins(f.spent))
	f.ok(err)
	token, err := f.token.Transfer(f.Context(), f.chain.Account("bob"), f.addressOf("omnibus"), tokens(10*f.spent))
	f.ok(err)
	return []*types.Transaction{coin, token}
}

// paid is a block with deposits.
func (f *faulted) paid() *types.Block {
	f.Helper()
	f.deposits()
	f.seal()
	b, err := f.chain.Block(f.chain.Head().Hash())
	f.ok(err)
	return b
}

// truth waits until the settled books at every address are what the chain has there,
// with nothing pending and no difference unexplained; then starts the node again and
// asks the same of what it folds from the journal.
func (f *faulted) truth() {
	f.Helper()
	f.finalize()
	f.followed()
	f.agrees()
	f.stop()
	f.start()
	f.followed()
	f.agrees()
}

func (f *faulted) agrees() {
	f.Helper()
	deadline := time.Now().Add(patience)
	for {
		wrong := f.differences()
		if len(wrong) == 0 {
			return
		}
		if time.Now().After(deadline) {
			f.Fatal(strings.Join(wrong, "; "))
		}
		f.ok(f.node.Look(f.Context()))
		time.Sleep(5 * time.Millisecond)
	}
}

// differences are what is not the same in the books and on the chain.
func (f *faulted) differences() (wrong []string) {
	f.Helper()
	positions, _ := f.node.Published()
	for _, id := range []string{"segregated", "omnibus"} {
		coin, err := f.chain.Client().BalanceAt(f.Context(), f.addressOf(id), nil)
		f.ok(err)
		token, err := f.token.BalanceOf(f.Context(), f.addressOf(id))
		f.ok(err)
		for asset, truth := range map[string]*big.Int{ether: coin, f.asset: token} {
			if books := atPlace(positions, f.wallets[id], asset); books.Big().Cmp(truth) != 0 {
				wrong = append(wrong, fmt.Sprintf("%s at %s: books %s, chain %s", asset, id, books, truth))
			}
		}
	}
	for _, p := range positions {
		if !p.Pending.IsZero() && p.Asset.OnChain() {
			wrong = append(wrong, fmt.Sprintf("%s has %s of %s pending", p.Account, p.Pending, p.Asset))
		}
	}
	var breaks api.Page[api.Break]
	f.get("/v1/breaks", &breaks)
	for _, b := range breaks.Items {
		wrong = append(wrong, fmt.Sprintf("break of %s at %s: %s", b.Asset, b.Place, b.Difference))
	}
	return wrong
}

// included waits until the node has the chain's head, whatever is said of its finality.
func (f *faulted) included() {
	f.Helper()
	f.eventually("the node to have the head", func() bool { return f.node.Chain(chainID).Head.Hash == f.chain.Head().Hash() })
}

func (f *faulted) eventually(what string, holds func() bool) {
	f.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			f.Fatalf("waited for %s: %+v", what, f.node.Chain(chainID))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestReorgs: blocks are taken back to any depth and come again with the same
// transactions, in another order, without some, or with another of the same nonce.
func TestReorgs(t *testing.T) {
	for _, depth := range []uint64{1, 2, 7, 32, 63} {
		for name, branch := range map[string]func(f *faulted, txs []*types.Transaction) []*types.Transaction{
			"the same":  func(_ *faulted, txs []*types.Transaction) []*types.Transaction { return txs },
			"reordered": func(_ *faulted, txs []*types.Transaction) []*types.Transaction { return alternated(txs) },
			"dropped":   func(*faulted, []*types.Transaction) []*types.Transaction { return nil },
			"replaced":  (*faulted).replaced,
		} {
			if depth != 2 && (depth != 63 || name != "dropped") && !long {
				continue
			}
			t.Run(fmt.Sprintf("%d blocks, %s", depth, name), func(t *testing.T) {
				f := faulty(t)
				var txs []*types.Transaction
				for i := range depth {
					if i < 3 {
						txs = append(txs, f.deposits()...)
					}
					f.seal()
				}
				f.included()
				blocks := make([][]*types.Transaction, depth+1)
				blocks[depth/2] = branch(f, txs)
				_, _, err := f.chain.Reorg(t.Context(), depth, blocks)
				f.ok(err)
				f.included()
				f.truth()
			})
		}
	}
}

// alternated puts the transactions of the second sender before those of the first;
// each sender's own keep their order, which their nonces demand.
func alternated(txs []*types.Transaction) (out []*types.Transaction) {
	for _, odd := range []int{1, 0} {
		for i, tx := range txs {
			if i%2 == odd {
				out = append(out, tx)
			}
		}
	}
	return out
}

// replaced are transactions of the same senders and nonces that do something else:
// alice's pay a stranger, bob's pay the omnibus another amount.
func (f *faulted) replaced(txs []*types.Transaction) (out []*types.Transaction) {
	f.Helper()
	stranger := common.Address{0x99}
	for i, tx := range txs {
		from, to, nonce := f.chain.Account("alice"), stranger, tx.Nonce()
		if i%2 == 1 {
			from, to = f.chain.Account("bob"), f.addressOf("omnibus")
		}
		other, err := f.chain.Sign(from, testnet.Tx{To: &to, Value: big.NewInt(int64(i) + 1), Nonce: &nonce, GasFeeCap: big.NewInt(50e9), GasTipCap: big.NewInt(2e9)})
		f.ok(err)
		out = append(out, other)
	}
	return out
}

// TestPingPong: the chain goes from one branch to the other and back, and back again.
func TestPingPong(t *testing.T) {
	f := faulty(t)
	txs := f.deposits()
	parent := f.chain.Head().Hash()
	f.seal()
	a := f.chain.Head().Hash()
	f.included()
	b, err := f.chain.SealOn(t.Context(), parent, txs[1])
	f.ok(err)
	for range 3 {
		for _, head := range []common.Hash{b.Hash(), a} {
			_, err := f.chain.SetHead(t.Context(), head)
			f.ok(err)
			f.included()
		}
	}
	f.truth()
}

// TestReorgBetween: the chain is reorganised between two questions that belong
// together, of the tip and while many blocks are caught up with.
func TestReorgBetween(t *testing.T) {
	for _, method := range []string{"debug_getRawReceipts", "eth_getBlockByNumber", "eth_getProof"} {
		t.Run(method, func(t *testing.T) {
			f := faulty(t)
			f.stop()
			for range 8 {
				f.paid()
			}
			reorg := func() {
				if _, _, err := f.chain.Reorg(context.Background(), 4, make([][]*types.Transaction, 6)); err != nil {
					t.Error(err)
				}
			}
			for _, p := range f.ends {
				p.Set(faultproxy.Then(method, reorg))
			}
			f.start()
			f.eventually("the question", func() bool { return f.ends[0].Hits()+f.ends[1].Hits()+f.ends[2].Hits() > 0 })
			for _, p := range f.ends {
				p.Set(nil)
			}
			f.included()
			f.truth()
		})
	}
}

// lies are answers that the block's own header, or a proof's root, disproves.
var bundleLies = map[string]faultproxy.Fault{
	"logs omitted":       twistReceipts(func(r map[string]any) { r["logs"] = []any{} }),
	"amount altered":     twistLogs(func(l map[string]any) { l["data"] = "0x" + strings.Repeat("0", 62) + "07" }),
	"extra log":          twistReceipts(func(r map[string]any) { r["logs"] = append(r["logs"].([]any), r["logs"].([]any)...) }),
	"receipts truncated": faultproxy.Twist("eth_getBlockReceipts", func(r any) any { return r.([]any)[:len(r.([]any))/2] }),
	"receipts reordered": faultproxy.Twist("eth_getBlockReceipts", func(r any) any { slices.Reverse(r.([]any)); return r }),
	"no receipts":        faultproxy.Empty("eth_getBlockReceipts"),
	"raw, unreadable receipts": faultproxy.Twist("debug_getRawReceipts", func(r any) any {
		l := r.([]any)
		l[0] = l[0].(string)[:20] + "00" + l[0].(string)[22:]
		return l
	}),
	"raw receipts doubled":   faultproxy.Twist("debug_getRawReceipts", func(r any) any { return append(r.([]any), r.([]any)...) }),
	"raw, unreadable block":  faultproxy.Twist("debug_getRawBlock", func(any) any { return "0xc0" }),
	"raw, unreadable as cut": faultproxy.Twist("debug_getRawBlock", func(r any) any { return r.(string)[:len(r.(string))/4*2] }),
	"forged header": faultproxy.Twist("eth_getBlockByHash", func(r any) any {
		r.(map[string]any)["stateRoot"] = common.Hash{1}
		return r
	}),
	"balance altered": faultproxy.Twist("eth_getProof", func(r any) any { r.(map[string]any)["balance"] = "0x1"; return r }),
}

func twistReceipts(change func(r map[string]any)) faultproxy.Fault {
	return faultproxy.Twist("eth_getBlockReceipts", func(result any) any {
		for _, r := range result.([]any) {
			change(r.(map[string]any))
		}
		return result
	})
}

func twistLogs(change func(l map[string]any)) faultproxy.Fault {
	return twistReceipts(func(r map[string]any) {
		for _, l := range r["logs"].([]any) {
			change(l.(map[string]any))
		}
	})
}

// TestBundleLies: one endpoint delivers what its own header disproves. It is cordoned,
// another delivers, and nothing false is booked.
func TestBundleLies(t *testing.T) {
	for name, fault := range bundleLies {
		t.Run(name, func(t *testing.T) {
			f := faulty(t, func(w *world) { w.config.Chains[0].Plain = !strings.HasPrefix(name, "raw") })
			for _, p := range f.ends[:1] {
				p.Set(fault)
			}
			for range 3 {
				f.paid()
			}
			f.included()
			f.finalize()
			f.followed()
			f.agrees()
			if !strings.HasPrefix(name, "raw, unreadable") { // that may be anybody's fault, and JSON shows it
				f.blamed()
			}
			f.truth()
		})
	}
}

// blamed sees that the liar, if it was ever asked for what it lies about, is told of,
// and that what it said is kept.
func (f *faulted) blamed() {
	f.Helper()
	if f.ends[0].Hits() == 0 {
		f.Fatal("the liar was never asked")
	}
	files, err := filepath.Glob(f.path("data", "evidence", "*.json"))
	f.ok(err)
	told := 0
	for _, a := range f.alerts() {
		if strings.HasPrefix(a.Key, "chain.endpoint_cordoned/") {
			told++
		}
	}
	if told != 1 || len(files) != 1 {
		f.Errorf("%d alerts and %d files of evidence, expected one of each", told, len(files))
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		f.ok(err)
		var e ethrpc.Evidence
		if err := json.Unmarshal(content, &e); err != nil || e.Why == "" || len(e.Exchanges) == 0 {
			f.Errorf("evidence %s: %v", content[:min(200, len(content))], err)
		}
	}
}

// breakages are endpoints that are no use for a while. None of them proves anything.
var breakages = map[string]faultproxy.Fault{
	"429":          faultproxy.Status(429),
	"413":          faultproxy.Status(413),
	"500":          faultproxy.Status(500),
	"html":         faultproxy.HTML,
	"partial json": faultproxy.Partial,
	"gzip bomb":    faultproxy.Bomb(256 << 20),
	"half open":    faultproxy.Hang,
	"slow loris":   faultproxy.Drip(100 * time.Millisecond),
	"pruned":       faultproxy.Refuse("historical state is not available", "eth_getProof"),
	"limits":       faultproxy.Refuse("query returned too many results", "eth_getBlockReceipts", "debug_getRawReceipts"),
}

// TestBreakages: with one endpoint broken the others go on; with all of them broken
// nothing is booked and the rail is not green; healed, the books are the chain's.
func TestBreakages(t *testing.T) {
	for name, fault := range breakages {
		if (name == "half open" || name == "slow loris") && !long {
			continue // they wait for patience to end, again and again
		}
		t.Run(name, func(t *testing.T) {
			f := faulty(t, func(w *world) { w.config.Chains[0].MaxAge = 30 * time.Second })
			f.ends[0].Set(fault)
			f.paid()
			f.included()
			for _, p := range f.ends {
				p.Set(fault)
			}
			f.paid()
			f.eventually("the fault to strike", func() bool { return f.ends[1].Hits() > 0 || f.ends[2].Hits() > 0 })
			for _, p := range f.ends {
				p.Set(nil)
			}
			f.included()
			f.truth()
			for _, s := range f.node.Chain(chainID).Endpoints {
				if s.Cordoned {
					t.Errorf("%s is cordoned for being broken: %s", s.Endpoint, s.Error)
				}
			}
		})
	}
}

// TestLagging: an endpoint that is behind, stands still or goes back delays nothing,
// takes nothing back, and is not evidence that nothing happened.
func TestLagging(t *testing.T) {
	for name, height := range map[string]func(at, head uint64) uint64{
		"behind":     func(_, head uint64) uint64 { return head - 5 },
		"frozen":     func(at, _ uint64) uint64 { return at },
		"regress":    func(at, head uint64) uint64 { return at - min(3, head-at) },
		"to and fro": func(_, head uint64) uint64 { return head - uint64(time.Now().UnixMilli()/20%6) },
	} {
		t.Run(name, func(t *testing.T) {
			f := faulty(t)
			for range 8 {
				f.seal()
			}
			at := f.chain.Head().Number.Uint64()
			f.ends[0].Set(faultproxy.Capped(func() uint64 { return height(at, f.chain.Head().Number.Uint64()) }))
			for range 4 {
				f.paid()
			}
			f.included()
			for _, p := range f.ends[1:] {
				p.Set(faultproxy.Capped(func() uint64 { return height(at, f.chain.Head().Number.Uint64()) }))
			}
			f.paid()
			for _, p := range f.ends {
				p.Set(nil)
			}
			f.included()
			f.truth()
		})
	}
}

// TestColluding documents the limit: two of three endpoints on another chain can move
// what is not final yet, but not what is. Nothing of theirs becomes final here, since
// they contradict a final block: the chain latches.
func TestColluding(t *testing.T) {
	f := faulty(t)
	forged, err := testnet.NewChain(testnet.ChainConfig{Seed: 7, Prefund: []string{"alice", "bob", "treasury"}, GenesisTime: time.Now().Add(-time.Hour)})
	f.ok(err)
	t.Cleanup(func() { f.ok(forged.Close()) })
	for range 12 {
		_, err := forged.SendETH(t.Context(), forged.Account("alice"), f.addressOf("segregated"), coins(1_000))
		f.ok(err)
		_, err = forged.Seal(t.Context())
		f.ok(err)
	}
	f.ok(forged.Finalize(forged.Head().Number.Uint64()))
	f.ends[1].Turn(forged.HTTPURL())
	f.ends[2].Turn(forged.HTTPURL())
	f.status(api.UnknownStatus, chainID)
	f.holds(forClient("alice"), ether, ethers(10), ethers(0))
	if h := f.node.Chain(chainID); h.State != chainwatch.Violated && h.State != chainwatch.Disagreeing && h.State != chainwatch.TooFew {
		t.Errorf("the follower is %s: %+v", h.State, h)
	}
}

// TestHintsGoSilent: a WebSocket that stays open and says nothing more delays, and
// loses nothing: polling goes on.
func TestHintsGoSilent(t *testing.T) {
	f := faulty(t, func(w *world) {
		p, err := faultproxy.New(w.chain.HTTPURL())
		w.ok(err)
		t.Cleanup(func() { w.ok(p.Close()) })
		w.config.Chains[0].Hints, w.config.Chains[0].Poll = p.WSURL(), 200*time.Millisecond
		w.silence = p.Silence
	})
	f.paid()
	f.included()
	f.silence()
	f.paid()
	f.included()
	f.truth()
}

// TestHugeBlock: thousands of transfers of others beside one of ours, with large call
// data and logs of every number of topics.
func TestHugeBlock(t *testing.T) {
	f := faulty(t)
	collectible, err := f.chain.Deploy(t.Context(), f.chain.Account("treasury"), testnet.Collectible)
	f.ok(err)
	fake, err := f.chain.Deploy(t.Context(), f.chain.Account("treasury"), testnet.FakeToken)
	f.ok(err)
	f.seal()
	for i := range 600 {
		_, err := f.token.Transfer(t.Context(), f.chain.Account("treasury"), common.BigToAddress(big.NewInt(int64(i)+1000)), tokens(1))
		f.ok(err)
	}
	_, err = f.chain.Transact(t.Context(), f.chain.Account("treasury"), testnet.Tx{To: &common.Address{7}, Data: make([]byte, 100<<10), Gas: 6_000_000})
	f.ok(err)
	_, err = collectible.Send(t.Context(), f.chain.Account("treasury"), nil, "mint", f.addressOf("omnibus"), big.NewInt(1))
	f.ok(err)
	_, err = fake.Send(t.Context(), f.chain.Account("treasury"), nil, "claim", f.chain.Account("bob").Address, f.addressOf("omnibus"), big.NewInt(1_000_000))
	f.ok(err)
	_, err = fake.Send(t.Context(), f.chain.Account("treasury"), nil, "claim", f.addressOf("omnibus"), common.Address{5}, big.NewInt(1_000_000))
	f.ok(err)
	f.paid()
	f.included()
	f.truth()
	if h := f.node.Chain(chainID); len(f.outflows()) != 0 {
		t.Errorf("a fake token is told of as an outflow: %v, %+v", f.outflows(), h)
	}
}

// TestKilled: the process ends between any two steps of its work, as often as it
// likes, and the books are the chain's.
func TestKilled(t *testing.T) {
	f := faulty(t)
	for i := range 6 {
		f.paid()
		if i == 2 {
			f.finalize()
		}
		time.Sleep(time.Duration(i) * 7 * time.Millisecond)
		f.stop()
		if i == 4 {
			_, _, err := f.chain.Reorg(t.Context(), 1, make([][]*types.Transaction, 2))
			f.ok(err)
		}
		f.start()
	}
	f.truth()
}
