package ethrpc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
	"goodcontrol/testnet"
)

func TestSendRaw(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	c := w.dial(w.chain.HTTPURL())
	before := must(c.PendingNonce(w.ctx, w.bob.Address))
	tip, feeCap, err := c.FeeCaps(w.ctx)
	if err != nil || tip.Sign() <= 0 || feeCap.Cmp(tip) <= 0 {
		t.Fatalf("tip %s, cap %s, %v", tip, feeCap, err)
	}
	gas := must(c.EstimateGas(w.ctx, ethrpc.Call{From: w.bob.Address, To: w.carol.Address, Value: big.NewInt(9)}))
	if gas != 21000 {
		t.Errorf("a transfer takes %d gas", gas)
	}
	tx := must(w.chain.Sign(w.bob, testnet.Tx{To: &w.carol.Address, Value: big.NewInt(9), Gas: gas, Nonce: &before, GasTipCap: tip, GasFeeCap: feeCap}))
	raw := must(tx.MarshalBinary())
	for range 2 { // the second time it is known
		if hash, err := c.SendRaw(w.ctx, raw); err != nil || hash != tx.Hash() {
			t.Fatalf("sent %s: %s, %v", tx.Hash(), hash, err)
		}
	}
	if after := must(c.PendingNonce(w.ctx, w.bob.Address)); after != before+1 {
		t.Errorf("pending nonce %d after %d", after, before)
	}
	w.seal()
	if hash, err := c.SendRaw(w.ctx, raw); err != nil || hash != tx.Hash() {
		t.Errorf("sent when it was included already: %s, %v", hash, err)
	}
	other := must(must(w.chain.Sign(w.bob, testnet.Tx{To: &w.carol.Address, Value: big.NewInt(10), Nonce: &before})).MarshalBinary())
	if _, err := c.SendRaw(w.ctx, other); err == nil || !strings.Contains(err.Error(), "nonce too low") {
		t.Errorf("another transaction of the same nonce: %v", err)
	}
	if _, err := c.SendRaw(w.ctx, []byte{2, 1}); err == nil {
		t.Error("sent what is no transaction")
	}
	if gas, err := c.EstimateGas(w.ctx, ethrpc.Call{From: w.carol.Address, To: w.token.Address, Data: make([]byte, 100_000)}); err == nil {
		t.Errorf("a call that takes too much gas: %d", gas)
	}
}

// TestAccountProof: what is handed to an auditor is judged right by itself.
func TestAccountProof(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	w.mint(w.alice.Address, 321)
	block := w.seal()
	w.seal()
	c := w.dial(w.chain.HTTPURL())
	layout := evm.USDCv22Layout()
	slot := layout.Slot(w.alice.Address)
	proof, header, err := c.AccountProof(w.ctx, w.place(w.token.Address), []common.Hash{slot}, block.Hash())
	if err != nil {
		t.Fatal(err)
	}
	trusted := block.Hash()
	j := evm.JudgeProof(proof, header, &trusted)
	if !j.OK || !j.Anchored || j.Account == nil || len(j.Account.Slots) != 1 || layout.Balance(j.Account.Slots[0].Value).Int64() != 321 {
		t.Errorf("judged %+v", j)
	}
	if testnet.TokenBalanceSlot(w.alice.Address) != slot || layout.ImplementationSlot != testnet.TokenImplementationSlot() {
		t.Error("the token's slots are not where the layout says")
	}
	if _, _, err := c.AccountProof(w.ctx, "eip155:1:0x0000000000000000000000000000000000000001", nil, block.Hash()); err == nil {
		t.Error("a place on another chain was proven")
	}
}

func TestDialRefuses(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	silent := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(silent.Close)
	for want, config := range map[string]ethrpc.Config{
		"a chain id and an endpoint": {},
		"chain id 1337, expected 5":  {ChainID: 5, Endpoints: []string{w.chain.HTTPURL()}},
	} {
		if _, err := ethrpc.Dial(w.ctx, config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	dark := w.dial("http://127.0.0.1:1", silent.URL)
	if _, err := dark.Header(w.ctx, chainwatch.At{Tag: chainwatch.Latest}); err == nil || errors.Is(err, chainwatch.ErrNotFound) {
		t.Errorf("no endpoint answers, and the header is said to be: %v", err)
	}
	c := w.dial("http://127.0.0.1:1", silent.URL, w.chain.WSURL())
	if h, err := c.Header(w.ctx, chainwatch.At{Tag: chainwatch.Latest}); err != nil || h.Hash != w.chain.Head().Hash() {
		t.Errorf("third endpoint of three: %+v, %v", h, err)
	}
}

func TestAnswerTooLong(t *testing.T) {
	w := newWorld(t, testnet.Osaka)
	c := must(ethrpc.Dial(w.ctx, ethrpc.Config{ChainID: 1337, Endpoints: []string{w.chain.HTTPURL()}, MaxResponse: 4096, Timeout: 10 * time.Second}))
	t.Cleanup(c.Close)
	if _, err := c.Header(w.ctx, chainwatch.At{Number: 0}); err != nil {
		t.Errorf("a header: %v", err)
	}
	if _, err := c.Block(w.ctx, chainwatch.At{Number: 1}, w.watch); err == nil || !strings.Contains(err.Error(), "longer than 4096 bytes") {
		t.Errorf("a block with contracts: %v", err)
	}
}

// TestBeaconWithdrawal: the chain in this process makes none, so a block is made by
// hand, with all its roots right, and served.
func TestBeaconWithdrawal(t *testing.T) {
	ours := common.HexToAddress("0x00000000000000000000000000000000000000aa")
	watch := chainwatch.NewWatchSet("eip155:5")
	if err := watch.Add(custody.EVMPlace("eip155:5", ours)); err != nil {
		t.Fatal(err)
	}
	body := &types.Body{Withdrawals: []*types.Withdrawal{{Index: 7, Validator: 1, Address: ours, Amount: 32_000_000_001}, {Index: 8, Address: common.Address{1}, Amount: 5}, {Index: 9, Address: ours}}}
	header := &types.Header{Number: big.NewInt(100), Difficulty: new(big.Int), Extra: []byte{}, BaseFee: big.NewInt(7), Time: 1_700_000_000}
	block := types.NewBlock(header, body, nil, trie.NewStackTrie(nil))
	var object map[string]any
	mustJSON(json.Unmarshal(must(json.Marshal(block.Header())), &object))
	object["transactions"], object["withdrawals"] = []any{}, body.Withdrawals
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage
			Method string
		}
		mustJSON(json.NewDecoder(r.Body).Decode(&call))
		answer := map[string]any{"eth_chainId": "0x5", "eth_getBlockByHash": object, "eth_getBlockReceipts": []any{}}[call.Method]
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, call.ID, must(json.Marshal(answer)))
	}))
	t.Cleanup(server.Close)
	c := must(ethrpc.Dial(t.Context(), ethrpc.Config{ChainID: 5, Endpoints: []string{server.URL}, Plain: true}))
	t.Cleanup(c.Close)
	b, err := c.Block(t.Context(), chainwatch.At{Hash: block.Hash()}, watch)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Movements) != 1 || b.Movements[0].Ref != "eip155:5/withdrawal/7" || b.Movements[0].Amount.String() != "32000000001000000000" ||
		b.Movements[0].From != "" || b.Movements[0].To != custody.EVMPlace("eip155:5", ours) {
		t.Errorf("seen %+v", b.Movements)
	}
	for _, o := range b.Movements {
		if err := o.Check(); err != nil {
			t.Error(err)
		}
	}
}
