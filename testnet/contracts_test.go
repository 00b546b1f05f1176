package testnet_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"os"
	"os/exec"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"goodcontrol/testnet"
)

// solcjs names the environment variable with the path of the compiler's command.
const solcjs = "GOODCONTROL_SOLCJS"

// The committed bytecode is what the committed sources compile to.
func TestContractsAreWhatTheirSourcesSay(t *testing.T) {
	compiler := os.Getenv(solcjs)
	if compiler == "" {
		t.Skipf("SKIPPED: the contracts were not compiled again: set %s to the solcjs of an installed solc 0.8.37", solcjs)
	}
	input, err := os.Open("token/solc.json")
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	command := exec.CommandContext(t.Context(), compiler, "--standard-json", "--base-path", ".")
	command.Dir, command.Stdin, command.Stderr = "token", input, os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	// The compiler may speak before its answer.
	got := output[max(0, bytes.IndexByte(output, '{')):]
	want, err := os.ReadFile("token/contracts.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.TrimSpace(got), bytes.TrimSpace(want)) {
		t.Errorf("token/contracts.json has %d bytes and differs from the compiler's %d: make it again as contracts.go says", len(want), len(got))
	}
}

func topic(signature string) common.Hash { return crypto.Keccak256Hash([]byte(signature)) }

// What a watcher reads from the token's logs: which event, and which of its
// arguments are topics.
func TestTokenEvents(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{Prefund: []string{"alice"}})
	token := must[*testnet.Token](t)(c.DeployToken(t.Context()))
	alice, bob := c.Account("alice"), c.Account("bob").Address
	second := must[*testnet.Contract](t)(c.Deploy(t.Context(), alice, testnet.Dollar))
	one, ctx := big.NewInt(1), t.Context()
	seal(t, c)
	type action func() (*types.Transaction, error)
	for _, row := range []struct {
		do     action
		events []string
		topics []int
	}{
		{func() (*types.Transaction, error) { return token.Mint(ctx, alice.Address, one) },
			[]string{"Mint(address,address,uint256)", "Transfer(address,address,uint256)"}, []int{3, 3}},
		{func() (*types.Transaction, error) { return token.Approve(ctx, alice, bob, one) },
			[]string{"Approval(address,address,uint256)"}, []int{3}},
		{func() (*types.Transaction, error) { return token.Transfer(ctx, alice, token.Issuer.Address, one) },
			[]string{"Transfer(address,address,uint256)"}, []int{3}},
		{func() (*types.Transaction, error) { return token.Burn(ctx, one) },
			[]string{"Burn(address,uint256)", "Transfer(address,address,uint256)"}, []int{2, 3}},
		{func() (*types.Transaction, error) { return token.Blacklist(ctx, bob) }, []string{"Blacklisted(address)"}, []int{2}},
		{func() (*types.Transaction, error) { return token.UnBlacklist(ctx, bob) }, []string{"UnBlacklisted(address)"}, []int{2}},
		{func() (*types.Transaction, error) { return token.Pause(ctx) }, []string{"Pause()"}, []int{1}},
		{func() (*types.Transaction, error) { return token.Unpause(ctx) }, []string{"Unpause()"}, []int{1}},
		{func() (*types.Transaction, error) { return token.Upgrade(ctx, second.Address) }, []string{"Upgraded(address)"}, []int{1}},
	} {
		tx := must[*types.Transaction](t)(row.do())
		seal(t, c)
		logs := succeeded(t, c, tx, true).Logs
		if len(logs) != len(row.events) {
			t.Fatalf("%v: %d logs, want %d", row.events, len(logs), len(row.events))
		}
		for i, log := range logs {
			if log.Address != token.Address || log.Topics[0] != topic(row.events[i]) || len(log.Topics) != row.topics[i] {
				t.Errorf("log %d of %v: from %s, topics %v; want %d topics from %s", i, row.events, log.Address, log.Topics, row.topics[i], token.Address)
			}
		}
	}
}

func TestFakeTokenMovesNothing(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	faucet, bob := c.Account("faucet"), c.Account("bob").Address
	fake := must[*testnet.Contract](t)(c.Deploy(t.Context(), faucet, testnet.FakeToken))
	tx := must[*types.Transaction](t)(fake.Send(t.Context(), faucet, nil, "claim", faucet.Address, bob, big.NewInt(1e9)))
	seal(t, c)
	logs := succeeded(t, c, tx, true).Logs
	if len(logs) != 1 || logs[0].Topics[0] != topic("Transfer(address,address,uint256)") || len(logs[0].Topics) != 3 {
		t.Fatalf("logs %v, want one ERC-20 transfer", logs)
	}
	if got := must[[]any](t)(fake.Read(t.Context(), "balanceOf", bob)); got[0].(*big.Int).Sign() != 0 {
		t.Errorf("balance = %s, want 0", got[0])
	}
}

func TestCollectibleTransferHasFourTopics(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	faucet, bob := c.Account("faucet"), c.Account("bob").Address
	things := must[*testnet.Contract](t)(c.Deploy(t.Context(), faucet, testnet.Collectible))
	tx := must[*types.Transaction](t)(things.Send(t.Context(), faucet, nil, "mint", bob, big.NewInt(77)))
	seal(t, c)
	logs := succeeded(t, c, tx, true).Logs
	if len(logs) != 1 || logs[0].Topics[0] != topic("Transfer(address,address,uint256)") || len(logs[0].Topics) != 4 || len(logs[0].Data) != 0 {
		t.Errorf("logs %v, want one transfer with four topics and no data", logs)
	}
}

// The money arrives without a log; only a trace shows it.
func TestForwarderPaysByInternalCall(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	faucet, bob := c.Account("faucet"), c.Account("bob").Address
	forwarder := must[*testnet.Contract](t)(c.Deploy(t.Context(), faucet, testnet.Forwarder))
	tx := must[*types.Transaction](t)(forwarder.Send(t.Context(), faucet, big.NewInt(123), "pay", bob))
	block := seal(t, c)
	if receipt := succeeded(t, c, tx, true); len(receipt.Logs) != 0 || *tx.To() == bob {
		t.Errorf("transaction to %s with %d logs; want the forwarder and none", tx.To(), len(receipt.Logs))
	}
	if got := balance(t, c, bob); got.Int64() != 123 {
		t.Errorf("balance = %s, want 123", got)
	}
	var traces []struct {
		TxHash common.Hash
		Result struct{ Calls []struct{ To, Value string } }
	}
	err := dial(t, c.HTTPURL()).Client().CallContext(t.Context(), &traces, "debug_traceBlockByHash", block.Hash(), map[string]any{"tracer": "callTracer"})
	if err != nil {
		t.Fatal(err)
	}
	last := traces[len(traces)-1]
	if calls := last.Result.Calls; last.TxHash != tx.Hash() || len(calls) != 1 || common.HexToAddress(calls[0].To) != bob || calls[0].Value != "0x7b" {
		t.Errorf("trace %+v, want one call of %s with 0x7b wei", last, bob)
	}
}

func TestFeeTokenMovesLessThanItLogs(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	faucet, bob, collector := c.Account("faucet"), c.Account("bob").Address, c.Account("collector").Address
	token := must[*testnet.Contract](t)(c.Deploy(t.Context(), faucet, testnet.FeeToken, collector))
	must[*types.Transaction](t)(token.Send(t.Context(), faucet, nil, "mint", faucet.Address, big.NewInt(5000)))
	tx := must[*types.Transaction](t)(token.Send(t.Context(), faucet, nil, "transfer", bob, big.NewInt(1050)))
	seal(t, c)
	logs := succeeded(t, c, tx, true).Logs
	if len(logs) != 1 || new(big.Int).SetBytes(logs[0].Data).Int64() != 1050 {
		t.Errorf("logs %v, want one of 1050", logs)
	}
	for holder, want := range map[common.Address]int64{bob: 1040, collector: 10, faucet.Address: 3950} {
		if got := must[[]any](t)(token.Read(t.Context(), "balanceOf", holder)); got[0].(*big.Int).Int64() != want {
			t.Errorf("balance of %s = %s, want %d", holder, got[0], want)
		}
	}
}

func TestDeployRefuses(t *testing.T) {
	c := newChain(t, testnet.ChainConfig{})
	faucet := c.Account("faucet")
	if _, err := c.Deploy(t.Context(), faucet, "Nothing"); err == nil {
		t.Error("unknown contract: no error")
	}
	if _, err := c.Deploy(t.Context(), faucet, testnet.FeeToken); err == nil {
		t.Error("missing argument: no error")
	}
}

// The compiler's own account of the layout names the variables that stand in
// the slots of which the constants speak.
func TestTokenLayout(t *testing.T) {
	raw, err := os.ReadFile("token/contracts.json")
	if err != nil {
		t.Fatal(err)
	}
	var output struct {
		Contracts map[string]map[string]struct {
			StorageLayout struct {
				Storage []struct {
					Label  string
					Slot   json.Number
					Offset int
				}
			}
		}
	}
	if err := json.Unmarshal(raw, &output); err != nil {
		t.Fatal(err)
	}
	at := make(map[string][2]int64)
	for _, v := range output.Contracts["Dollar.sol"]["Dollar"].StorageLayout.Storage {
		slot, err := v.Slot.Int64()
		if err != nil {
			t.Fatal(err)
		}
		at[v.Label] = [2]int64{slot, int64(v.Offset)}
	}
	for label, want := range map[string][2]int64{
		"paused":      {testnet.TokenPausedSlot, testnet.TokenPausedByte},
		"_states":     {testnet.TokenBalancesSlot, 0},
		"totalSupply": {testnet.TokenSupplySlot, 0},
	} {
		if at[label] != want {
			t.Errorf("%s lies at slot and byte %v, want %v", label, at[label], want)
		}
	}
}
