package ethrpc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/custody"
	"goodcontrol/testnet"
	"goodcontrol/testnet/faultproxy"
)

// lie changes the answer to a method. It returns false for what it leaves alone.
type lie func(method string, answer map[string]json.RawMessage) bool

// liar is an endpoint between a client and a real node.
type liar struct {
	*faultproxy.Proxy
	URL string
}

func newLiar(t testing.TB, node string) *liar {
	p, err := faultproxy.New(node)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return &liar{p, p.URL()}
}

// tell makes the liar tell this from now on. The channel is closed when it has been
// told three times.
func (l *liar) tell(next lie) <-chan struct{} {
	if next == nil {
		return l.Set(nil)
	}
	return l.Set(func(x *faultproxy.Exchange) {
		x.Each(nil, func(c faultproxy.Call, a *faultproxy.Answer) bool {
			answer := map[string]json.RawMessage{}
			if a.Result != nil {
				answer["result"] = a.Result
			}
			if a.Error != nil {
				answer["error"] = a.Error
			}
			told := next(c.Method, answer)
			a.Result, a.Error = answer["result"], answer["error"]
			return told
		})
	})
}

// turn makes the liar answer from another node.
func (l *liar) turn(node string) { l.Turn(node) }

func (l *liar) lies() int { return l.Hits() }

func mustJSON(errs ...error) {
	if err := errors.Join(errs...); err != nil {
		panic(err)
	}
}

// about makes a lie about one method, by changing its decoded result.
func about(method string, change func(result any) any) lie {
	return func(m string, answer map[string]json.RawMessage) bool {
		if m != method || len(answer["result"]) == 0 || string(answer["result"]) == "null" {
			return false
		}
		var result any
		mustJSON(json.Unmarshal(answer["result"], &result))
		changed, err := json.Marshal(change(result))
		mustJSON(err)
		if bytes.Equal(changed, compact(answer["result"])) {
			return false
		}
		answer["result"] = changed
		return true
	}
}

func compact(raw []byte) []byte {
	var v any
	mustJSON(json.Unmarshal(raw, &v))
	out, err := json.Marshal(v)
	mustJSON(err)
	return out
}

type object = map[string]any

// receipts changes the list of a block's receipts, where there is one to change.
func receipts(change func(list []any) []any) lie {
	return about("eth_getBlockReceipts", func(r any) any {
		if list := r.([]any); len(list) > 0 {
			return change(list)
		}
		return r
	})
}

// logs changes each log.
func logs(change func(log object)) lie {
	return receipts(func(list []any) []any {
		for _, r := range list {
			for _, log := range r.(object)["logs"].([]any) {
				change(log.(object))
			}
		}
		return list
	})
}

func field(method, name string, value func(was any) any) lie {
	return about(method, func(r any) any {
		o := r.(object)
		if _, ok := o[name]; ok {
			o[name] = value(o[name])
		}
		return o
	})
}

func flip(was any) any {
	s := was.(string)
	last := "0"
	if strings.HasSuffix(s, "0") {
		last = "1"
	}
	return s[:len(s)-1] + last
}

// plusOne adds one to a number in hex.
func plusOne(was any) any {
	n := hexutil.MustDecodeBig(was.(string))
	return hexutil.EncodeBig(n.Add(n, big.NewInt(1)))
}

// fullBlock makes a lie about block objects that carry transactions.
func fullBlock(change func(block object, txs []any)) lie {
	both := func(r any) any {
		o := r.(object)
		if txs, ok := o["transactions"].([]any); ok && len(txs) > 0 {
			if _, full := txs[0].(object); full {
				change(o, txs)
			}
		}
		return o
	}
	byHash, byNumber := about("eth_getBlockByHash", both), about("eth_getBlockByNumber", both)
	return func(m string, a map[string]json.RawMessage) bool { return byHash(m, a) || byNumber(m, a) }
}

func header(name string) lie {
	byHash, byNumber := field("eth_getBlockByHash", name, flip), field("eth_getBlockByNumber", name, flip)
	return func(m string, a map[string]json.RawMessage) bool { return byHash(m, a) || byNumber(m, a) }
}

// storage makes a lie about the slots of a proof.
func storage(change func(slot object)) lie {
	return about("eth_getProof", func(r any) any {
		for _, s := range r.(object)["storageProof"].([]any) {
			change(s.(object))
		}
		return r
	})
}

// lies are what an endpoint may say that data of the block disprove.
func lies() map[string]lie {
	return map[string]lie{
		"amount in a log altered":     logs(func(l object) { l["data"] = flip(l["data"]) }),
		"recipient in a log altered":  logs(func(l object) { l["topics"].([]any)[1] = flip(l["topics"].([]any)[1]) }),
		"token of a log altered":      logs(func(l object) { l["address"] = flip(l["address"]) }),
		"index of a log altered":      logs(func(l object) { l["logIndex"] = plusOne(l["logIndex"]) }),
		"log said to be removed":      logs(func(l object) { l["removed"] = true }),
		"receipt dropped":             receipts(func(l []any) []any { return l[1:] }),
		"all receipts dropped":        receipts(func([]any) []any { return []any{} }),
		"receipt doubled":             receipts(func(l []any) []any { return append(l, l[0]) }),
		"logs dropped":                receipts(func(l []any) []any { l[0].(object)["logs"] = []any{}; return l }),
		"status flipped":              receipts(func(l []any) []any { l[0].(object)["status"] = flip(l[0].(object)["status"]); return l }),
		"transaction hash swapped":    receipts(func(l []any) []any { l[0].(object)["transactionHash"] = common.Hash{7}; return l }),
		"gas used altered":            receipts(func(l []any) []any { l[0].(object)["gasUsed"] = plusOne(l[0].(object)["gasUsed"]); return l }),
		"receipts of an unknown form": receipts(func([]any) []any { return []any{"0x01"} }),
		"state root forged":           header("stateRoot"),
		"receipts root forged":        header("receiptsRoot"),
		"parent forged":               header("parentHash"),
		"number forged":               header("number"),
		"hash forged":                 header("hash"),
		"value of a transaction":      fullBlock(func(_ object, txs []any) { txs[0].(object)["value"] = plusOne(txs[0].(object)["value"]) }),
		"signature of a transaction":  fullBlock(func(_ object, txs []any) { txs[0].(object)["r"] = plusOne(txs[0].(object)["r"]) }),
		"transaction dropped":         fullBlock(func(b object, txs []any) { b["transactions"] = txs[1:] }),
		"withdrawal invented": fullBlock(func(b object, _ []any) {
			b["withdrawals"] = []any{object{"index": "0x1", "validatorIndex": "0x1", "address": common.Address{}, "amount": "0x1"}}
		}),
		"balance one more":             field("eth_getProof", "balance", plusOne),
		"nonce one more":               field("eth_getProof", "nonce", plusOne),
		"another account":              field("eth_getProof", "address", flip),
		"account proof cut":            field("eth_getProof", "accountProof", func(was any) any { return was.([]any)[:len(was.([]any))-1] }),
		"account said to be absent":    about("eth_getProof", absent),
		"slot one more":                storage(func(s object) { s["value"] = plusOne(s["value"]) }),
		"slot proof of another slot":   storage(func(s object) { s["key"] = flip(s["key"]) }),
		"slot proof cut":               storage(func(s object) { s["proof"] = []any{} }),
		"slots in another order":       about("eth_getProof", func(r any) any { slices.Reverse(r.(object)["storageProof"].([]any)); return r }),
		"proof of another account":     sameAccount(),
		"slots not answered":           field("eth_getProof", "storageProof", func(any) any { return []any{} }),
		"proof of an unknown form":     about("eth_getProof", func(any) any { return "yes" }),
		"header of an unknown form":    about("eth_getBlockByNumber", func(any) any { return object{"hash": common.Hash{1}} }),
		"another block, asked by hash": anotherBlock(),
	}
}

// sameAccount answers every question for an account with the proof of the first one.
func sameAccount() lie {
	var first json.RawMessage
	return func(m string, answer map[string]json.RawMessage) bool {
		if m != "eth_getProof" {
			return false
		}
		if first == nil || bytes.Equal(first, answer["result"]) {
			first = answer["result"]
			return false
		}
		answer["result"] = first
		return true
	}
}

func absent(r any) any {
	o := r.(object)
	o["balance"], o["nonce"], o["codeHash"], o["storageHash"] = "0x0", "0x1", common.Hash{}, common.Hash{}
	return o
}

// anotherBlock answers a question for a block with the one that was asked for before.
func anotherBlock() lie {
	var before json.RawMessage
	return func(m string, answer map[string]json.RawMessage) bool {
		if m != "eth_getBlockByHash" && m != "eth_getBlockByNumber" {
			return false
		}
		was := before
		before = answer["result"]
		if was == nil || bytes.Equal(was, before) {
			return false
		}
		answer["result"] = was
		return true
	}
}

// failures are answers that say nothing.
func failures() map[string]lie {
	fail := func(replace map[string]json.RawMessage) lie {
		return func(m string, answer map[string]json.RawMessage) bool {
			if m == "eth_chainId" {
				return false
			}
			delete(answer, "result")
			maps.Copy(answer, replace)
			return true
		}
	}
	return map[string]lie{
		"error":     fail(map[string]json.RawMessage{"error": json.RawMessage(`{"code":-32000,"message":"historical state is not available"}`)}),
		"null":      fail(map[string]json.RawMessage{"result": json.RawMessage("null")}),
		"no result": fail(nil),
	}
}

// liarWorld has a block with a deposit of each kind, and a liar before the node.
func liarWorld(t *testing.T) (*world, *liar) {
	w := newWorld(t, testnet.Osaka)
	w.mint(w.alice.Address, 100)
	w.pay(w.alice.Address, 5)
	must(w.token.Transfer(w.ctx, w.bob, w.carol.Address, big.NewInt(0)))
	w.seal()
	return w, newLiar(t, w.chain.HTTPURL())
}

// askAll asks for everything a follower asks for at the head. It forgets what the
// client remembers, by taking a new one.
func askAll(w *world, urls ...string) (*ethrpc.Client, error) {
	client := w.dial(urls...)
	head := w.chain.Head()
	id := chainwatch.BlockID{Number: head.Number.Uint64(), Hash: head.Hash(), Parent: head.ParentHash}
	_, err1 := client.Header(w.ctx, chainwatch.At{Hash: head.ParentHash})
	_, err2 := client.Block(w.ctx, chainwatch.At{Number: id.Number}, w.watch)
	_, err3 := client.Balances(w.ctx, id, []common.Address{w.alice.Address, w.chain.Account("nobody").Address})
	return client, errors.Join(err1, err2, err3)
}

// TestLiesAreRefused: each is an error that says so, cordons the endpoint, and is no
// harm when another endpoint is honest.
func TestLiesAreRefused(t *testing.T) {
	w, l := liarWorld(t)
	for name, lie := range lies() {
		l.tell(lie)
		client, err := askAll(w, l.URL)
		if l.lies() == 0 {
			t.Errorf("%s: nothing was asked that it is about", name)
		}
		if !errors.Is(err, chainwatch.ErrInvalid) || errors.Is(err, chainwatch.ErrNotFound) {
			t.Errorf("%s: %v, expected ErrInvalid", name, err)
		}
		if len(client.Cordoned()) != 1 {
			t.Errorf("%s: the endpoint is not cordoned", name)
		}
		l.tell(lie)
		if client, err = askAll(w, l.URL, w.chain.HTTPURL()); err != nil || client.Cordoned()[l.URL[len("http://"):]] == nil {
			t.Errorf("%s, with an honest endpoint behind: %v, cordoned %v", name, err, client.Cordoned())
		}
	}
}

// TestFailuresAreNotAbsence: an endpoint that does not answer proves nothing, and is
// not cordoned.
func TestFailuresAreNotAbsence(t *testing.T) {
	w, l := liarWorld(t)
	for name, failure := range failures() {
		l.tell(failure)
		client, err := askAll(w, l.URL)
		if err == nil || errors.Is(err, chainwatch.ErrInvalid) || len(client.Cordoned()) != 0 {
			t.Errorf("%s: %v, cordoned %v", name, err, client.Cordoned())
		}
		if client, err = askAll(w, l.URL, w.chain.HTTPURL()); err != nil || len(client.Cordoned()) != 0 {
			t.Errorf("%s, with an honest endpoint behind: %v", name, err)
		}
	}
}

// TestAnotherBlock: asked by hash or by height, an endpoint answers with a block that
// is real, but not the one.
func TestAnotherBlock(t *testing.T) {
	w, l := liarWorld(t)
	head := w.chain.Head()
	for _, at := range []chainwatch.At{{Hash: head.Hash()}, {Number: head.Number.Uint64()}} {
		client := w.dial(l.URL)
		l.tell(anotherBlock())
		if _, err := client.Header(w.ctx, chainwatch.At{Number: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Header(w.ctx, at); !errors.Is(err, chainwatch.ErrInvalid) {
			t.Errorf("header %s: %v, expected ErrInvalid", at, err)
		}
		if _, err := client.Block(w.ctx, at, w.watch); err != nil && !errors.Is(err, chainwatch.ErrInvalid) {
			t.Errorf("block %s: %v", at, err)
		}
	}
}

// TestCordonedIsAskedLast: when the endpoint in use fails, one that lied is not asked
// before one that did not.
func TestCordonedIsAskedLast(t *testing.T) {
	w, lying := liarWorld(t)
	first, second := newLiar(t, w.chain.HTTPURL()), newLiar(t, w.chain.HTTPURL())
	client := w.dial(lying.URL, first.URL, second.URL)
	latest := func() {
		t.Helper()
		if _, err := client.Header(w.ctx, chainwatch.At{Tag: chainwatch.Latest}); err != nil {
			t.Fatal(err)
		}
	}
	lying.tell(header("stateRoot"))
	latest()
	lying.tell(header("stateRoot"))
	first.tell(failures()["error"])
	latest()
	if lying.lies() != 0 || first.lies() != 1 {
		t.Errorf("the liar was asked %d times, the failing endpoint %d", lying.lies(), first.lies())
	}
	second.tell(failures()["error"])
	lying.tell(nil)
	latest() // better than nobody: what it says is checked
}

// TestNothingFinalYet: how clients say that a chain has no safe or finalized block.
func TestNothingFinalYet(t *testing.T) {
	w, l := liarWorld(t)
	for _, answer := range []map[string]json.RawMessage{
		{"result": json.RawMessage("null")},
		{"error": json.RawMessage(`{"code":-32000,"message":"finalized block not found"}`)},
		{"error": json.RawMessage(`{"code":-39001,"message":"Unknown block"}`)},
	} {
		client := w.dial(l.URL)
		l.tell(func(_ string, a map[string]json.RawMessage) bool {
			delete(a, "result")
			maps.Copy(a, answer)
			return true
		})
		if _, err := client.Header(w.ctx, chainwatch.At{Tag: chainwatch.Finalized}); !errors.Is(err, chainwatch.ErrNotFound) {
			t.Errorf("%s: %v, expected ErrNotFound", answer, err)
		}
		l.tell(nil)
	}
}

// TestFollowerBehindALiar: with no other endpoint the follower says nothing wrong, and
// as soon as the endpoint is honest, everything.
func TestFollowerBehindALiar(t *testing.T) {
	w, l := liarWorld(t)
	honest := map[string]bool{}
	for _, o := range follow(t, w.follower(w.dial(w.chain.HTTPURL()))).head(w) {
		honest[said(o)] = true
	}
	every := lies()
	delete(every, "another block, asked by hash") // for the latest block this is an endpoint that lags
	for name, failure := range failures() {
		every[name] = failure
	}
	for name, lie := range every {
		met := l.tell(lie)
		f := w.follower(w.dial(l.URL))
		tape := follow(t, f)
		<-met
		l.tell(nil)
		for _, o := range tape.head(w) {
			if !honest[said(o)] {
				t.Errorf("%s: the follower said %+v", name, o)
			}
		}
		tape.stop()
		if h := f.Health(); h.LastError == "" {
			t.Errorf("%s: health does not show it: %+v", name, h)
		}
	}
}

// said is what an observation says, whenever it was said.
func said(o custody.Observation) string { return fmt.Sprintf("%+v", o) }
