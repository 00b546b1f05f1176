package testnet_test

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/testnet"
)

func grow(t testing.TB, c *testnet.Chain, n int) []*types.Block {
	t.Helper()
	blocks := []*types.Block{c.Genesis()}
	for range n {
		block, err := c.SealEmpty(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, block)
	}
	return blocks
}

// wantTags compares the three tags over the connection.
func wantTags(t *testing.T, client *ethclient.Client, head, safe, finalized common.Hash) {
	t.Helper()
	for _, tag := range []struct {
		name rpc.BlockNumber
		want common.Hash
	}{{rpc.LatestBlockNumber, head}, {rpc.SafeBlockNumber, safe}, {rpc.FinalizedBlockNumber, finalized}} {
		header := must[*types.Header](t)(client.HeaderByNumber(t.Context(), big.NewInt(tag.name.Int64())))
		if header.Hash() != tag.want {
			t.Errorf("%s = block %d %s, want %s", tag.name, header.Number, header.Hash(), tag.want)
		}
	}
}

func TestTagsMoveIndependently(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	client := dial(t, c.HTTPURL())
	b := grow(t, c, 6)
	wantTags(t, client, b[6].Hash(), b[0].Hash(), b[0].Hash())

	if err := c.SetSafe(b[4].Hash()); err != nil {
		t.Fatal(err)
	}
	wantTags(t, client, b[6].Hash(), b[4].Hash(), b[0].Hash())
	if err := c.SetFinalized(b[2].Hash()); err != nil {
		t.Fatal(err)
	}
	wantTags(t, client, b[6].Hash(), b[4].Hash(), b[2].Hash())
	if err := c.SetFinalized(b[1].Hash()); err != nil {
		t.Fatal(err)
	}
	wantTags(t, client, b[6].Hash(), b[4].Hash(), b[1].Hash())
	if err := c.Finalize(3); err != nil {
		t.Fatal(err)
	}
	wantTags(t, client, b[6].Hash(), b[4].Hash(), b[3].Hash())
	if err := c.Finalize(5); err != nil {
		t.Fatal(err)
	}
	wantTags(t, client, b[6].Hash(), b[5].Hash(), b[5].Hash())
}

func TestTagsRefuseWhatIsNotCanonical(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	b := grow(t, c, 2)
	side := must[*types.Block](t)(c.SealOn(t.Context(), b[1].Hash()))
	for name, err := range map[string]error{
		"safe on a side branch":      c.SetSafe(side.Hash()),
		"finalized on a side branch": c.SetFinalized(side.Hash()),
		"unknown safe":               c.SetSafe(common.Hash{1}),
		"finalize past the head":     c.Finalize(3),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	wantTags(t, dial(t, c.HTTPURL()), b[2].Hash(), b[0].Hash(), b[0].Hash())
}

func TestReorg(t *testing.T) {
	for _, depth := range []uint64{1, 3, 40} {
		t.Run(fmt.Sprintf("depth %d", depth), func(t *testing.T) {
			c := newChain(t, testnet.ChainConfig{})
			client := dial(t, c.HTTPURL())
			grow(t, c, 2)
			bob := c.Account("bob").Address
			var sent []*types.Transaction
			var old []*types.Block
			for range depth {
				sent = append(sent, must[*types.Transaction](t)(c.Fund(t.Context(), bob, big.NewInt(5))))
				old = append(old, seal(t, c))
			}

			head, dropped, err := c.Reorg(t.Context(), depth, make([][]*types.Transaction, depth+1))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(hashes(dropped), hashes(sent)) {
				t.Errorf("dropped %v, want %v", hashes(dropped), hashes(sent))
			}
			if want := 2 + depth + 1; head.NumberU64() != want || c.Head().Hash() != head.Hash() {
				t.Errorf("head is block %d, and the chain's %d; want %d", head.NumberU64(), c.Head().Number, want)
			}
			for i, was := range old {
				now := must[*types.Header](t)(client.HeaderByNumber(t.Context(), was.Number()))
				if now.Hash() == was.Hash() {
					t.Errorf("block %d still has hash %s", was.Number(), was.Hash())
				}
				if r, err := client.TransactionReceipt(t.Context(), sent[i].Hash()); !errors.Is(err, ethereum.NotFound) {
					t.Errorf("receipt of orphaned %s: %v, %v; want not found", sent[i].Hash(), r, err)
				}
			}
			if got := balance(t, c, bob); got.Sign() != 0 {
				t.Errorf("balance after the reorg = %s, want 0", got)
			}
			if block := seal(t, c); len(block.Transactions()) != 0 {
				t.Errorf("orphaned transactions came back by themselves: %v", hashes(block.Transactions()))
			}
			if err := c.Send(t.Context(), dropped...); err != nil {
				t.Fatal(err)
			}
			if block := seal(t, c); !slices.Equal(hashes(block.Transactions()), hashes(sent)) {
				t.Errorf("after sending them again: %v, want %v", hashes(block.Transactions()), hashes(sent))
			}
		})
	}
}

func hashes(txs []*types.Transaction) []common.Hash {
	var all []common.Hash
	for _, tx := range txs {
		all = append(all, tx.Hash())
	}
	return all
}

// A twin of a block with the same transactions is another block, and what is in
// both branches was not dropped.
func TestReorgKeepsWhatIsInBothBranches(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	grow(t, c, 1)
	bob := c.Account("bob").Address
	kept := must[*types.Transaction](t)(c.Fund(t.Context(), bob, big.NewInt(5)))
	lost := must[*types.Transaction](t)(c.Fund(t.Context(), bob, big.NewInt(6)))
	was := seal(t, c)
	head, dropped, err := c.Reorg(t.Context(), 1, [][]*types.Transaction{{kept}})
	if err != nil {
		t.Fatal(err)
	}
	if head.Hash() == was.Hash() {
		t.Errorf("the new block is the old one: %s", was.Hash())
	}
	if got := hashes(dropped); !slices.Equal(got, []common.Hash{lost.Hash()}) {
		t.Errorf("dropped %v, want %s", got, lost.Hash())
	}
	if got := balance(t, c, bob); got.Int64() != 5 {
		t.Errorf("balance = %s, want 5", got)
	}
}

// What was waiting in the pool before the reorg waits there after it.
func TestReorgKeepsThePool(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{Prefund: []string{"alice"}})
	bob := c.Account("bob").Address
	must[*types.Transaction](t)(c.Fund(t.Context(), bob, big.NewInt(5)))
	seal(t, c)
	waiting := must[*types.Transaction](t)(c.SendETH(t.Context(), c.Account("alice"), bob, big.NewInt(9)))
	if _, _, err := c.Reorg(t.Context(), 1, make([][]*types.Transaction, 1)); err != nil {
		t.Fatal(err)
	}
	if got := hashes(seal(t, c).Transactions()); !slices.Equal(got, []common.Hash{waiting.Hash()}) {
		t.Errorf("next block holds %v, want %s", got, waiting.Hash())
	}
}

// A chain can go to another branch and come back, and a nonce can be used
// otherwise there.
func TestPingPongAndReplacement(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	client := dial(t, c.HTTPURL())
	faucet := c.Account("faucet")
	bob, carol := c.Account("bob").Address, c.Account("carol").Address
	tx := must[*types.Transaction](t)(c.Fund(t.Context(), bob, big.NewInt(5)))
	a := seal(t, c)
	nonce := must[uint64](t)(c.NonceAt(c.Genesis().Hash(), faucet.Address))
	if nonce != tx.Nonce() {
		t.Fatalf("nonce at genesis = %d, want %d", nonce, tx.Nonce())
	}
	instead := must[*types.Transaction](t)(c.Sign(faucet, testnet.Tx{To: &carol, Value: big.NewInt(8), Nonce: &nonce}))
	b := must[*types.Block](t)(c.SealOn(t.Context(), c.Genesis().Hash(), instead))
	for _, step := range []struct {
		to       *types.Block
		bob, car int64
		dropped  *types.Transaction
	}{{b, 0, 8, tx}, {a, 5, 0, instead}, {b, 0, 8, tx}} {
		dropped := must[[]*types.Transaction](t)(c.SetHead(t.Context(), step.to.Hash()))
		if got := hashes(dropped); !slices.Equal(got, []common.Hash{step.dropped.Hash()}) {
			t.Errorf("dropped %v, want %s", got, step.dropped.Hash())
		}
		wantTags(t, client, step.to.Hash(), c.Genesis().Hash(), c.Genesis().Hash())
		if x, y := balance(t, c, bob), balance(t, c, carol); x.Int64() != step.bob || y.Int64() != step.car {
			t.Errorf("balances %s and %s, want %d and %d", x, y, step.bob, step.car)
		}
	}
}

func TestSafeFollowsTheForkAndFinalizedHolds(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	client := dial(t, c.HTTPURL())
	b := grow(t, c, 6)
	if err := c.SetFinalized(b[2].Hash()); err != nil {
		t.Fatal(err)
	}
	if err := c.SetSafe(b[5].Hash()); err != nil {
		t.Fatal(err)
	}
	head, _, err := c.Reorg(t.Context(), 3, make([][]*types.Transaction, 2))
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, client, head.Hash(), b[3].Hash(), b[2].Hash())

	_, _, err = c.Reorg(t.Context(), 4, make([][]*types.Transaction, 9))
	if err == nil || !strings.Contains(err.Error(), b[2].Hash().String()) {
		t.Errorf("reorg below the finalized block: %v, want an error naming %s", err, b[2].Hash())
	}
	wantTags(t, client, head.Hash(), b[3].Hash(), b[2].Hash())

	side := must[*types.Block](t)(c.SealOn(t.Context(), b[1].Hash()))
	must[[]*types.Transaction](t)(c.BreakFinality(t.Context(), side.Hash()))
	wantTags(t, client, side.Hash(), b[1].Hash(), b[1].Hash())
	if err := c.SetFinalized(side.Hash()); err != nil {
		t.Fatal(err)
	}
	wantTags(t, client, side.Hash(), b[1].Hash(), side.Hash())
}

func TestReorgWithoutNewBlocksCutsTheChain(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	b := grow(t, c, 5)
	head, dropped, err := c.Reorg(t.Context(), 2, nil)
	if err != nil || len(dropped) != 0 || head.Hash() != b[3].Hash() {
		t.Errorf("Reorg = %v, %v, %v; want block 3 %s", head, dropped, err, b[3].Hash())
	}
	for _, depth := range []uint64{0, 4} {
		if _, _, err := c.Reorg(t.Context(), depth, nil); err == nil {
			t.Errorf("reorg of depth %d at height 3: no error", depth)
		}
	}
}

// A subscriber hears of a reorg: the orphaned log is taken back.
func TestReorgRetractsLogsOverWebSocket(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	token := must[*testnet.Token](t)(c.DeployToken(t.Context()))
	ws := dial(t, c.WSURL())
	logs := make(chan types.Log, 16)
	sub, err := ws.SubscribeFilterLogs(t.Context(), ethereum.FilterQuery{Addresses: []common.Address{token.Address}}, logs)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	must[*types.Transaction](t)(token.Pause(t.Context()))
	block := seal(t, c)
	want := func(removed bool) {
		t.Helper()
		select {
		case log := <-logs:
			if log.BlockHash != block.Hash() || log.Removed != removed {
				t.Errorf("log of block %s, removed %t; want %s, %t", log.BlockHash, log.Removed, block.Hash(), removed)
			}
		case err := <-sub.Err():
			t.Fatal(err)
		}
	}
	// The node sends what is new and what is removed over two channels: only the
	// first answer makes the order certain.
	want(false)
	if _, _, err := c.Reorg(t.Context(), 1, make([][]*types.Transaction, 1)); err != nil {
		t.Fatal(err)
	}
	want(true)
}
