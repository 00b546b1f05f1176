package testnet_test

import (
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"go.uber.org/goleak"

	"goodcontrol/testnet"
)

func TestChainServesHTTPAndWebSocket(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	if progress, err := dial(t, c.HTTPURL()).SyncProgress(t.Context()); err != nil || progress != nil {
		t.Errorf("sync progress at the genesis block: %v, %v; want none", progress, err)
	}
	start := c.Head().Time
	alice := c.Account("alice")
	deposit := must[*types.Transaction](t)(c.Fund(t.Context(), alice.Address, big.NewInt(7)))

	ws := dial(t, c.WSURL())
	heads := make(chan *types.Header, 1)
	sub, err := ws.SubscribeNewHead(t.Context(), heads)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	block := seal(t, c)

	select {
	case head := <-heads:
		if head.Hash() != block.Hash() {
			t.Errorf("subscribed head = %s, want %s", head.Hash(), block.Hash())
		}
	case err := <-sub.Err():
		t.Fatal(err)
	}
	for _, url := range []string{c.HTTPURL(), c.WSURL()} {
		client := dial(t, url)
		if id := must[*big.Int](t)(client.ChainID(t.Context())); id.Cmp(c.ChainID()) != 0 || id.Int64() != testnet.DefaultChainID {
			t.Errorf("%s: chain id %s, want %d", url, id, testnet.DefaultChainID)
		}
		if got := must[*big.Int](t)(client.BalanceAt(t.Context(), alice.Address, nil)); got.Int64() != 7 {
			t.Errorf("%s: balance %s, want 7", url, got)
		}
		receipt := must[*types.Receipt](t)(client.TransactionReceipt(t.Context(), deposit.Hash()))
		if receipt.BlockHash != block.Hash() || receipt.Status != types.ReceiptStatusSuccessful {
			t.Errorf("%s: receipt in block %s with status %d, want %s and success", url, receipt.BlockHash, receipt.Status, block.Hash())
		}
		if progress, err := client.SyncProgress(t.Context()); err != nil || progress != nil {
			t.Errorf("%s: sync progress %v, %v; want none", url, progress, err)
		}
	}
	if got := time.Duration(block.Time()-start) * time.Second; got != testnet.BlockInterval {
		t.Errorf("block stands %s after its parent, want %s", got, testnet.BlockInterval)
	}
}

// story is a small life of a chain: transfers, a token, a fork.
func story(t *testing.T, config testnet.ChainConfig) *types.Header {
	t.Helper()
	config.Prefund = []string{"alice"}
	c := newChain(t, config)
	bob := c.Account("bob").Address
	token := must[*testnet.Token](t)(c.DeployToken(t.Context()))
	for i := range int64(5) {
		must[*types.Transaction](t)(token.Mint(t.Context(), bob, big.NewInt(i)))
		must[*types.Transaction](t)(c.SendETH(t.Context(), c.Account("alice"), bob, big.NewInt(i)))
		seal(t, c)
	}
	_, dropped, err := c.Reorg(t.Context(), 3, make([][]*types.Transaction, 4))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), dropped...); err != nil {
		t.Fatal(err)
	}
	return seal(t, c).Header()
}

func TestSameSeedSameHead(t *testing.T) {
	first, second := story(t, testnet.ChainConfig{Seed: 7}), story(t, testnet.ChainConfig{Seed: 7})
	if first.Hash() != second.Hash() {
		t.Errorf("the same seed and script gave heads %s and %s", first.Hash(), second.Hash())
	}
	if other := story(t, testnet.ChainConfig{Seed: 8}); other.Hash() == first.Hash() {
		t.Errorf("seeds 7 and 8 gave the same head %s", first.Hash())
	}
}

func TestTwoChainsSideBySide(t *testing.T) {
	one, two := newChain(t, testnet.ChainConfig{ChainID: 1, Seed: 3}), newChain(t, testnet.ChainConfig{ChainID: 8453, Seed: 3})
	if one.HTTPURL() == two.HTTPURL() {
		t.Fatalf("both chains answer at %s", one.HTTPURL())
	}
	if one.Account("alice").Address != two.Account("alice").Address {
		t.Error("chains of one seed have different accounts")
	}
	if one.Account("alice").Address == one.Account("bob").Address {
		t.Error("two names have one account")
	}
	to := one.Account("alice").Address
	tx := must[*types.Transaction](t)(one.Fund(t.Context(), to, big.NewInt(1)))
	if err := two.Send(t.Context(), tx); err == nil {
		t.Error("a transaction of chain 1 was taken by chain 8453")
	}
	seal(t, one)
	seal(t, two)
	for c, want := range map[*testnet.Chain]int64{one: 1, two: 0} {
		client := dial(t, c.HTTPURL())
		if got := must[*big.Int](t)(client.ChainID(t.Context())); got.Cmp(c.ChainID()) != 0 {
			t.Errorf("chain id %s, want %s", got, c.ChainID())
		}
		if got := must[*big.Int](t)(client.BalanceAt(t.Context(), to, nil)); got.Int64() != want {
			t.Errorf("chain %s: balance %s, want %d", c.ChainID(), got, want)
		}
	}
}

func TestCloseFreesPortsAndGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	c, err := testnet.NewChain(testnet.ChainConfig{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := ethclient.Dial(c.WSURL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ChainID(t.Context()); err != nil {
		t.Fatal(err)
	}
	must[*types.Transaction](t)(c.Fund(t.Context(), common.Address{1}, big.NewInt(1)))
	seal(t, c)
	client.Close()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second Close = %v, want the first answer", err)
	}
	address := strings.TrimPrefix(c.HTTPURL(), "http://")
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Errorf("the port of %s is still taken: %v", address, err)
	} else {
		listener.Close()
	}
	// The node's table of peers lies in a database that waits one second for its
	// last buffer before its goroutine ends.
	goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

func TestChainContinuesFromDisk(t *testing.T) {
	config := testnet.ChainConfig{DataDir: t.TempDir()}
	bob := common.Address{0xb0}
	first := must[*testnet.Chain](t)(testnet.NewChain(config))
	must[*types.Transaction](t)(first.Fund(t.Context(), bob, big.NewInt(4)))
	seal(t, first)
	head := seal(t, first)
	if err := first.Finalize(1); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := newChain(t, config)
	if got := second.Head().Hash(); got != head.Hash() {
		t.Errorf("head = %s, want %s", got, head.Hash())
	}
	if got := second.Finalized().Number.Uint64(); got != 1 {
		t.Errorf("finalized = block %d, want 1", got)
	}
	must[*types.Transaction](t)(second.Fund(t.Context(), bob, big.NewInt(5)))
	seal(t, second)
	if got := balance(t, second, bob); got.Int64() != 9 {
		t.Errorf("balance = %s, want 9", got)
	}
}

func TestPrunedChainForgetsOldState(t *testing.T) {
	const window = 128
	for _, pruned := range []bool{true, false} {
		c := newChain(t, testnet.ChainConfig{Pruned: pruned})
		grow(t, c, window+2)
		client := dial(t, c.HTTPURL())
		_, err := client.BalanceAt(t.Context(), common.Address{}, big.NewInt(1))
		if (err != nil) != pruned {
			t.Errorf("pruned %t: state of block 1 at height %d: %v", pruned, window+2, err)
		}
		if _, err := client.BalanceAt(t.Context(), common.Address{}, big.NewInt(3)); err != nil {
			t.Errorf("pruned %t: state of block 3 at height %d: %v", pruned, window+2, err)
		}
	}
}

// Amsterdam and what follows log a native transfer like a token's (EIP-7708);
// the rules of the main network do not.
func TestRules(t *testing.T) {
	for rules, logs := range map[testnet.Rules]int{testnet.Osaka: 0, testnet.Amsterdam: 1, testnet.Bogota: 1} {
		c := newChain(t, testnet.ChainConfig{Rules: rules, Prefund: []string{"alice"}})
		alice, fresh := c.Account("alice"), c.Account("fresh").Address
		native := must[*types.Transaction](t)(c.SendETH(t.Context(), alice, fresh, big.NewInt(1)))
		token := must[*testnet.Token](t)(c.DeployToken(t.Context()))
		receipt := succeeded(t, c, native, true)
		if len(receipt.Logs) != logs {
			t.Errorf("rules %d: native transfer has %d logs, want %d", rules, len(receipt.Logs), logs)
		}
		minted := must[*types.Transaction](t)(token.Mint(t.Context(), alice.Address, big.NewInt(10)))
		moved := must[*types.Transaction](t)(token.Transfer(t.Context(), alice, fresh, big.NewInt(3)))
		seal(t, c)
		succeeded(t, c, minted, true)
		t.Logf("rules %d: native transfer to a fresh account %d gas, token transfer to a new holder %d gas",
			rules, receipt.GasUsed, succeeded(t, c, moved, true).GasUsed)
		if got := must[*big.Int](t)(token.BalanceOf(t.Context(), fresh)); got.Int64() != 3 {
			t.Errorf("rules %d: balance %s, want 3", rules, got)
		}
	}
}

func TestNewChainRefuses(t *testing.T) {
	faucet := newChain(t, testnet.ChainConfig{}).Account("faucet").Address
	for name, config := range map[string]testnet.ChainConfig{
		"unknown rules":           {Rules: 9},
		"genesis before 1970":     {GenesisTime: time.Unix(-1, 0)},
		"alloc of a made account": {Alloc: types.GenesisAlloc{faucet: {}}},
	} {
		if c, err := testnet.NewChain(config); err == nil {
			t.Errorf("%s: no error", name)
			c.Close()
		}
	}
}
