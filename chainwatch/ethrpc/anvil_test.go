package ethrpc_test

import (
	"bufio"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/chainwatch/sourcetest"
	"goodcontrol/custody"
)

// anvil is a chain of another client, which shares no code with go-ethereum: what
// holds only among ourselves shows here.
type anvil struct {
	t     *testing.T
	url   string
	rpc   *rpc.Client
	nonce uint64
	sent  []*types.Transaction // one for each block, nil for an empty one
}

const anvilID = 31337

// newAnvil starts one on a free port of loopback: the program of GOODCONTROL_ANVIL, or
// the one in the path. Blocks are mined when told; the last but two is finalized.
func newAnvil(t *testing.T) *anvil {
	t.Helper()
	program := os.Getenv("GOODCONTROL_ANVIL")
	if program == "" {
		found, err := exec.LookPath("anvil")
		if err != nil {
			t.Skip("LOUDLY SKIPPED: no anvil here, so nothing was tested against a second client (npm install @foundry-rs/anvil@1.7.1)")
		}
		program = found
	}
	cmd := exec.Command(program, "--port", "0", "--no-mining", "--slots-in-an-epoch", "1", "--chain-id", "31337")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has nothing to lose
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, at, listening := strings.Cut(lines.Text(), "Listening on "); listening {
			a := &anvil{t: t, url: "http://" + strings.TrimSpace(at)}
			go func() {
				for lines.Scan() { // so that it never waits for a reader
				}
			}()
			a.rpc = must(rpc.Dial(a.url))
			t.Cleanup(a.rpc.Close)
			return a
		}
	}
	t.Fatalf("%s ended without listening", program)
	return nil
}

func (a *anvil) call(method string, args ...any) {
	a.t.Helper()
	if err := a.rpc.CallContext(a.t.Context(), nil, method, args...); err != nil {
		a.t.Fatalf("%s: %v", method, err)
	}
}

// mine makes a block of these transactions and returns its hash.
func (a *anvil) mine(txs ...*types.Transaction) common.Hash {
	a.t.Helper()
	for _, tx := range txs {
		a.call("eth_sendRawTransaction", hexutil.Encode(must(tx.MarshalBinary())))
	}
	a.call("evm_mine")
	var head struct{ Hash common.Hash }
	if err := a.rpc.CallContext(a.t.Context(), &head, "eth_getBlockByNumber", "latest", false); err != nil {
		a.t.Fatal(err)
	}
	return head.Hash
}

// extend mines a payment from the first of anvil's rich accounts, whose key is public.
func (a *anvil) extend(to common.Address, units int64) common.Hash {
	a.t.Helper()
	key := must(crypto.HexToECDSA("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
	tx := must(types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(anvilID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(anvilID), Nonce: a.nonce, GasTipCap: big.NewInt(1e9), GasFeeCap: big.NewInt(1e11), Gas: 21_000, To: &to, Value: big.NewInt(units),
	}))
	a.nonce++
	a.sent = append(a.sent, tx)
	return a.mine(tx)
}

func (a *anvil) reinclude(n int) common.Hash {
	a.t.Helper()
	a.call("anvil_rollback", n)
	a.mine()
	txs := slices.DeleteFunc(slices.Clone(a.sent[len(a.sent)-n:]), func(tx *types.Transaction) bool { return tx == nil })
	return a.mine(txs...)
}

func (a *anvil) dial() *ethrpc.Client {
	a.t.Helper()
	c := must(ethrpc.Dial(a.t.Context(), ethrpc.Config{ChainID: anvilID, Endpoints: []string{a.url}}))
	a.t.Cleanup(c.Close)
	return c
}

// TestAnvilIsASource holds the source to its contract in front of a second client.
func TestAnvilIsASource(t *testing.T) {
	sourcetest.Test(t, func(t *testing.T) sourcetest.World {
		a := newAnvil(t)
		return sourcetest.World{
			Source: a.dial(), Watch: chainwatch.NewWatchSet("eip155:31337"),
			Addresses: [2]common.Address{{0xaa, 1}, {0xaa, 2}}, Extend: a.extend, Reinclude: a.reinclude,
		}
	})
}

// TestFollowAnvil follows a second client through a reorganisation to finality: the
// sum of what is said is what the chain has.
func TestFollowAnvil(t *testing.T) {
	a := newAnvil(t)
	ours := common.Address{0xaa, 7}
	watch := chainwatch.NewWatchSet("eip155:31337")
	place := custody.EVMPlace("eip155:31337", ours)
	if err := watch.AddUsed(place, 0); err != nil {
		t.Fatal(err)
	}
	a.extend(ours, 1)
	f := &chainwatch.Follower{Source: a.dial(), Watch: watch, Now: time.Now, Poll: 5 * time.Millisecond, SweepEvery: 1, Start: 1}
	tape := follow(t, f)
	reaches := func(head common.Hash) {
		t.Helper()
		tape.wait("the head", func(b []chainwatch.Batch) bool { return len(b) > 0 && b[len(b)-1].Head.Hash == head })
	}
	reaches(a.extend(ours, 20))
	reaches(a.reinclude(1))
	a.extend(ours, 300)
	for range 3 {
		a.mine()
	}
	reaches(a.mine())
	said := all(tape.wait("finality", func(b []chainwatch.Batch) bool { return finalSum(all(b)) == 321 }))
	var balance hexutil.Big
	if err := a.rpc.CallContext(t.Context(), &balance, "eth_getBalance", ours, "latest"); err != nil || balance.ToInt().Int64() != 321 {
		t.Errorf("the chain has %s, %v", balance.ToInt(), err)
	}
	last := lastBalances(said)[key{place, chainwatch.NativeAsset("eip155:31337")}]
	if last != "321" {
		t.Errorf("last balance read is %s", last)
	}
	if !slices.ContainsFunc(said, func(o custody.Observation) bool { return o.Stage == custody.Retracted }) {
		t.Error("the reorganisation was not seen")
	}
}

func finalSum(observations []custody.Observation) (sum int64) {
	for _, o := range observations {
		if o.Kind == custody.Movement && o.Stage == custody.Final {
			sum += o.Amount.Big().Int64()
		}
	}
	return sum
}
