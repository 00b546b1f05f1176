package ethrpc_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/testnet"
)

// TestFakesAndCollectibles: what looks like a deposit of a listed token and is none.
func TestFakesAndCollectibles(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	fake := must(w.chain.Deploy(w.ctx, w.carol, "FakeToken"))
	thing := must(w.chain.Deploy(w.ctx, w.carol, "Collectible"))
	w.seal()
	f := w.follower(w.dial(w.chain.HTTPURL()))
	tape := follow(t, f)
	must(fake.Send(w.ctx, w.carol, nil, "claim", w.carol.Address, w.alice.Address, big.NewInt(1_000_000)))
	must(fake.Send(w.ctx, w.carol, nil, "claim", w.alice.Address, w.carol.Address, big.NewInt(1_000_000)))
	must(fake.Send(w.ctx, w.carol, nil, "claim", w.carol.Address, w.alice.Address, big.NewInt(0)))
	must(thing.Send(w.ctx, w.carol, nil, "mint", w.alice.Address, big.NewInt(42)))
	w.seal()
	for _, o := range tape.head(w) {
		if o.Kind == custody.Movement {
			t.Errorf("seen: %+v", o)
		}
	}
	tape.stop()
	if got := f.Health().Quarantined; got != 2 {
		t.Errorf("%d quarantined, expected the two claims", got)
	}
}

// TestTransfersOfNothing: zero, to oneself, and failed.
func TestTransfersOfNothing(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	w.mint(w.bob.Address, 10)
	w.seal()
	tape := follow(t, w.follower(w.dial(w.chain.HTTPURL())))
	tape.head(w)
	self := must(w.token.Transfer(w.ctx, w.bob, w.bob.Address, big.NewInt(10)))
	zero := must(w.token.Transfer(w.ctx, w.bob, w.carol.Address, big.NewInt(0)))
	failed := must(w.token.Transfer(w.ctx, w.bob, w.carol.Address, big.NewInt(11)))
	ether := must(w.chain.SendETH(w.ctx, w.bob, w.bob.Address, big.NewInt(3)))
	refused := must(w.chain.SendETH(w.ctx, w.bob, w.token.Address, big.NewInt(3)))
	w.seal()
	seen := tape.head(w)
	for name, hash := range map[string]common.Hash{"self": self.Hash(), "zero": zero.Hash(), "failed": failed.Hash(), "ether to oneself": ether.Hash(), "ether refused": refused.Hash()} {
		wantStages(t, seen, "tx/"+hash.Hex()+"/fee", custody.Included)
		for _, o := range seen {
			if o.Evidence.Tx == hash.Hex() && !o.Fee {
				t.Errorf("%s: %+v", name, o)
			}
		}
	}
}

// TestThirdPartyPull: a spender moves tokens of ours. The nonce is not ours.
func TestThirdPartyPull(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	w.mint(w.bob.Address, 10)
	w.seal()
	must(w.token.Approve(w.ctx, w.bob, w.carol.Address, big.NewInt(10)))
	w.pay(w.carol.Address, 0) // so that the nonce of the spender is not zero
	w.seal()
	tape := follow(t, w.follower(w.dial(w.chain.HTTPURL())))
	pull := must(w.token.TransferFrom(w.ctx, w.carol, w.bob.Address, w.carol.Address, big.NewInt(4)))
	w.seal()
	m := wantStages(t, tape.head(w), "tx/"+pull.Hash().Hex()+"/log/0", custody.Included)
	if len(m) == 1 && (m[0].From != w.place(w.bob.Address) || m[0].Nonce != 0 || m[0].Amount != custody.NewAmount(4)) {
		t.Errorf("pulled: %+v", m[0])
	}
}

// TestSilentChanges: ether that comes by an internal call, and a token that takes a
// fee, show only in the proven balance.
func TestSilentChanges(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	forwarder := must(w.chain.Deploy(w.ctx, w.carol, "Forwarder"))
	fees := must(w.chain.Deploy(w.ctx, w.carol, "FeeToken", w.chain.Account("collector").Address))
	w.seal()
	must(fees.Send(w.ctx, w.carol, nil, "mint", w.carol.Address, big.NewInt(1000)))
	w.seal()
	layout := evm.ERC20Layout(0)
	client := must(ethrpc.Dial(w.ctx, ethrpc.Config{ChainID: 1337, Endpoints: []string{w.chain.HTTPURL()}, Tokens: []ethrpc.Token{{Contract: fees.Address, Layout: &layout}}}))
	t.Cleanup(client.Close)
	tape := follow(t, w.follower(client))
	must(forwarder.Send(w.ctx, w.carol, big.NewInt(12345), "pay", w.alice.Address))
	sent := must(fees.Send(w.ctx, w.carol, nil, "transfer", w.alice.Address, big.NewInt(100)))
	block := w.seal()
	asset := chainwatch.TokenAsset("eip155:1337", fees.Address)
	seen := all(tape.wait("both balances", func(b []chainwatch.Batch) bool {
		last := lastBalances(all(b))
		return last[key{w.place(w.alice.Address), w.coin()}] == "12345" && last[key{w.place(w.alice.Address), asset}] == "99"
	}))
	m := wantStages(t, seen, "tx/"+sent.Hash().Hex()+"/log/0", custody.Included)
	if len(m) == 1 && m[0].Amount != custody.NewAmount(100) {
		t.Errorf("the log says 100, seen %+v", m[0])
	}
	for _, o := range seen {
		if o.Kind == custody.Movement && o.Asset == w.coin() {
			t.Errorf("an internal transfer leaves no trace before EIP-7708, seen %+v", o)
		}
		if o.Kind == custody.Balance && o.To == w.place(w.alice.Address) && o.Amount == custody.NewAmount(12345) &&
			(o.Evidence.BlockHash != block.Hash().Hex() || string(o.Ref) != "eip155:1337/balance/"+w.alice.Address.Hex()+"/"+string(w.coin())+"/"+block.Hash().Hex()) {
			t.Errorf("balance: %+v", o)
		}
	}
}

// TestInternalTransfersAreLogged: from Amsterdam on they are (EIP-7708), and a
// top-level transfer must not be counted twice.
func TestInternalTransfersAreLogged(t *testing.T) {
	w := newWorld(t, testnet.Amsterdam)
	forwarder := must(w.chain.Deploy(w.ctx, w.carol, "Forwarder"))
	w.seal()
	tape := follow(t, w.follower(w.dial(w.chain.HTTPURL())))
	direct := w.pay(w.alice.Address, 7)
	inner := must(forwarder.Send(w.ctx, w.carol, big.NewInt(12345), "pay", w.alice.Address))
	w.seal()
	var sum custody.Amount
	for _, o := range tape.head(w) {
		if o.Kind == custody.Movement && o.Asset == w.coin() && o.To == w.place(w.alice.Address) {
			sum, _ = sum.Add(o.Amount)
			if o.Evidence.Tx != direct.Hash().Hex() && o.Evidence.Tx != inner.Hash().Hex() {
				t.Errorf("seen %+v", o)
			}
		}
	}
	if sum != custody.NewAmount(7+12345) {
		t.Errorf("deposits of %s wei seen, expected %d", sum, 7+12345)
	}
}

// TestFreeze: the issuer freezes an address whose balance reads as before, then stops
// the token for everybody.
func TestFreeze(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	w.mint(w.alice.Address, 500)
	w.seal()
	tape := follow(t, w.follower(w.dial(w.chain.HTTPURL())))
	tape.head(w)
	conditions := func(b []chainwatch.Batch) (out []custody.Condition) {
		for _, o := range all(b) {
			if o.Kind == custody.StateChange && o.To == w.place(w.alice.Address) && o.Asset == w.dollar() {
				out = append(out, o.Condition)
			}
		}
		return out
	}
	must(w.token.Blacklist(w.ctx, w.alice.Address))
	w.seal()
	seen := tape.wait("frozen", func(b []chainwatch.Batch) bool { return len(conditions(b)) == 1 })
	if got := lastBalances(all(seen))[key{w.place(w.alice.Address), w.dollar()}]; got != "500" || conditions(seen)[0] != custody.Frozen {
		t.Errorf("balance %s, conditions %v", got, conditions(seen))
	}
	must(w.token.UnBlacklist(w.ctx, w.alice.Address))
	w.seal()
	seen = tape.wait("unfrozen", func(b []chainwatch.Batch) bool { return len(conditions(b)) == 2 })
	if conditions(seen)[1] != custody.Unfrozen {
		t.Errorf("conditions %v", conditions(seen))
	}
	must(w.token.Pause(w.ctx)) // nobody is named
	w.seal()
	tape.wait("paused", func(b []chainwatch.Batch) bool { return len(conditions(b)) == 3 })
	must(w.token.Unpause(w.ctx))
	w.seal()
	seen = tape.wait("unpaused", func(b []chainwatch.Batch) bool { return len(conditions(b)) == 4 })
	if got := conditions(seen)[2:]; got[0] != custody.Frozen || got[1] != custody.Unfrozen {
		t.Errorf("conditions %v", got)
	}
}

// TestUpgradeMakesUnproven: after the proxy points to other code the layout is not
// believed, until it points to the pinned code again.
func TestUpgradeMakesUnproven(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	layout := evm.USDCv22Layout()
	slot := must(w.chain.Client().StorageAt(w.ctx, w.token.Address, layout.ImplementationSlot, nil))
	token := ethrpc.Token{Contract: w.token.Address, Layout: &layout, Implementation: common.BytesToAddress(slot)}
	config := ethrpc.Config{ChainID: 1337, Endpoints: []string{w.chain.HTTPURL()}, Tokens: []ethrpc.Token{token}}
	client := must(ethrpc.Dial(w.ctx, config))
	t.Cleanup(client.Close)
	w.mint(w.alice.Address, 500)
	w.seal()
	f := w.follower(client)
	tape := follow(t, f)
	tape.head(w)
	if u := f.Health().Unproven; len(u) != 0 {
		t.Errorf("unproven: %v", u)
	}
	other := must(w.chain.Deploy(w.ctx, w.carol, "FakeToken"))
	w.seal()
	must(w.token.Upgrade(w.ctx, other.Address))
	upgraded := w.seal()
	w.pay(w.alice.Address, 3)
	w.seal()
	coin := func(wei string) []chainwatch.Batch {
		return tape.wait("the coin", func(b []chainwatch.Batch) bool {
			return lastBalances(all(b))[key{w.place(w.alice.Address), w.coin()}] == wei
		})
	}
	for _, o := range all(coin("3")) {
		if o.Kind == custody.Balance && o.Asset == w.dollar() && o.Evidence.Block >= upgraded.NumberU64() {
			t.Errorf("said after the upgrade: %+v", o)
		}
	}
	w.pay(w.alice.Address, 1)
	w.seal()
	coin("4") // what the batch before said is then in Health
	if why := f.Health().Unproven[w.dollar()]; !strings.Contains(strings.ToLower(why), strings.ToLower(other.Address.Hex()[2:])) {
		t.Errorf("unproven: %q", why)
	}
	must(w.token.Upgrade(w.ctx, token.Implementation))
	w.pay(w.alice.Address, 1)
	w.mint(w.alice.Address, 1)
	w.seal()
	tape.head(w)
	w.pay(w.alice.Address, 1)
	w.seal()
	coin("6")
	if u := f.Health().Unproven; len(u) != 0 {
		t.Errorf("unproven: %v", u)
	}
	token.Layout = nil
	config.Tokens = []ethrpc.Token{token}
	if _, err := ethrpc.Dial(w.ctx, config); err == nil {
		t.Error("a pinned implementation without a layout is accepted")
	}
}

// TestAddressAddedLater is seen from the next block on, with its balance.
func TestAddressAddedLater(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	dave := w.chain.Account("dave")
	w.pay(dave.Address, 3)
	w.seal()
	tape := follow(t, w.follower(w.dial(w.chain.HTTPURL())))
	tape.head(w)
	w.add(dave)
	tx := w.pay(dave.Address, 4)
	w.seal()
	seen := all(tape.wait("balance", func(b []chainwatch.Batch) bool {
		return lastBalances(all(b))[key{w.place(dave.Address), w.coin()}] == "7"
	}))
	wantStages(t, seen, "tx/"+tx.Hash().Hex()+"/value", custody.Included)
}

// TestHints: a new head makes the follower poll long before its time.
func TestHints(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	client := w.dial(w.chain.HTTPURL())
	f := w.follower(client)
	hints := make(chan struct{}, 1)
	f.Hints, f.Poll, f.MaxBackoff = hints, time.Hour, time.Hour
	ended := make(chan error)
	go func() { ended <- client.Hints(t.Context(), w.chain.WSURL(), time.Millisecond, hints) }()
	tape := follow(t, f)
	t.Cleanup(func() { <-ended })
	tape.wait("first poll", func(b []chainwatch.Batch) bool { return len(b) > 0 })
	for tape.len() < 2 { // the first blocks may come before the subscription stands
		w.seal()
	}
	tape.head(w)
}
