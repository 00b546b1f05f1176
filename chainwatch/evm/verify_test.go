package evm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
	"pgregory.net/rapid"

	"goodcontrol/chainwatch/evm"
)

const (
	london = "testdata/blocks/chainstorage-mainnet-13998626"
	eoa    = "testdata/proofs/chainstorage-eoa-1000"
)

func object(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseHeader(t *testing.T) {
	data := read(t, london, "header.json")
	want := common.HexToHash("0x68985b6b06bb5c6012393145729babb983fc16c50ec5207972ddda02de02f7e2")
	h, err := evm.ParseHeader(data)
	if err != nil || h.Hash() != want {
		t.Fatalf("header %v, %v, expected %s", h, err, want)
	}
	raw, err := rlp.EncodeToBytes(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{hexutil.Encode(raw), ` "` + hexutil.Encode(raw) + "\"\n"} {
		if h, err := evm.ParseHeader([]byte(form)); err != nil || h.Hash() != want {
			t.Errorf("as RLP: %v, %v", h, err)
		}
	}
	change := func(f func(map[string]any)) error {
		o := object(t, data)
		f(o)
		_, err := evm.ParseHeader(encode(t, o))
		return err
	}
	for name, tc := range map[string]struct {
		change func(map[string]any)
		want   error
	}{
		"another root":          {func(o map[string]any) { o["stateRoot"] = common.Hash{1} }, evm.ErrInvalid},
		"another hash":          {func(o map[string]any) { o["hash"] = common.Hash{1} }, evm.ErrInvalid},
		"a field of a new fork": {func(o map[string]any) { o["hash"], o["proverRoot"] = common.Hash{1}, "0x1" }, evm.ErrUnknownFork},
		"a null of a new fork":  {func(o map[string]any) { o["hash"], o["proverRoot"] = common.Hash{1}, nil }, evm.ErrInvalid},
		"a field that binds":    {func(o map[string]any) { o["requestsHash"] = common.Hash{1} }, evm.ErrInvalid},
		"a field that does not": {func(o map[string]any) { o["l1BlockNumber"] = "0x1" }, nil},
		"no state root":         {func(o map[string]any) { delete(o, "stateRoot") }, evm.ErrUnreadable},
		"a number too long":     {func(o map[string]any) { o["number"] = "0x1" + strings.Repeat("0", 40) }, evm.ErrUnreadable},
	} {
		if err := change(tc.change); !errors.Is(err, tc.want) || tc.want == nil && err != nil {
			t.Errorf("%s: %v, expected %v", name, err, tc.want)
		}
	}
	for _, bad := range []string{"", "{", "0x", "0xc0", "null", "[]", "7", `{"hash":"0x1"}`} {
		if _, err := evm.ParseHeader([]byte(bad)); !errors.Is(err, evm.ErrUnreadable) {
			t.Errorf("header %q: %v, expected ErrUnreadable", bad, err)
		}
	}
}

// unsigned takes the signatures from a block's transactions.
func unsigned(o map[string]any) {
	for _, tx := range o["transactions"].([]any) {
		delete(tx.(map[string]any), "r")
	}
}

// TestJudgeBlockForms: a block may list transactions in full, without signatures, as
// hashes, or not at all; what could not be checked is said to be skipped.
func TestJudgeBlockForms(t *testing.T) {
	receipts := read(t, london, "receipts.json")
	for name, tc := range map[string]struct {
		change  func(map[string]any)
		skipped string
	}{
		"in full":            {func(map[string]any) {}, ""},
		"without signatures": {unsigned, "transactions root, senders and prices"},
		"as hashes": {func(o map[string]any) {
			txs := o["transactions"].([]any)
			for i, tx := range txs {
				txs[i] = tx.(map[string]any)["hash"]
			}
		}, "transactions root, senders and prices"},
		"not at all": {func(o map[string]any) { delete(o, "transactions") }, "transactions root, senders and prices"},
	} {
		o := object(t, read(t, london, "header.json"))
		tc.change(o)
		j := evm.JudgeBlock(encode(t, o), receipts)
		var skipped []string
		for _, c := range j.Checks {
			if c.Skipped {
				skipped = append(skipped, c.Name)
			}
		}
		if !j.OK || strings.Join(skipped, ", ") != tc.skipped {
			t.Errorf("%s: ok=%v %s, skipped %v, expected %q", name, j.OK, j.Reason, skipped, tc.skipped)
		}
		wrapped := append(append([]byte(`{"jsonrpc":"2.0","id":1,"result":`), receipts...), '}')
		if j := evm.JudgeBlock(encode(t, o), wrapped); !j.OK {
			t.Errorf("%s, in a response: %s", name, j.Reason)
		}
	}
}

// TestEveryClaimIsChecked changes each field of each receipt and of each log in turn.
func TestEveryClaimIsChecked(t *testing.T) {
	header := read(t, london, "header.json")
	var list []map[string]any
	if err := json.Unmarshal(read(t, london, "receipts.json"), &list); err != nil {
		t.Fatal(err)
	}
	for i, r := range list {
		for name := range r {
			spoil(t, header, list, list[i], name)
		}
		for _, l := range r["logs"].([]any) {
			for name := range l.(map[string]any) {
				spoil(t, header, list, l.(map[string]any), name)
			}
		}
	}
}

func spoil(t *testing.T, header []byte, list []map[string]any, o map[string]any, name string) {
	t.Helper()
	was := o[name]
	switch v := was.(type) {
	case string:
		last := "1"
		if strings.HasSuffix(v, "1") {
			last = "0"
		}
		o[name] = v[:len(v)-1] + last
		if v == "0x" { // no data
			o[name] = "0x01"
		}
	case bool:
		o[name] = !v
	case nil: // no contract was created
		o[name] = common.Address{1}
	case []any:
		o[name] = append([]any{}, v...)[:max(0, len(v)-1)]
		if len(v) == 0 {
			return
		}
	}
	if j := evm.JudgeBlock(header, encode(t, list)); j.OK {
		t.Errorf("%s changed from %v to %v, judged ok", name, was, o[name])
	}
	o[name] = was
}

// TestConsistentLies: a header that hashes to what it says, with receipts that match
// its root, may still contradict itself.
func TestConsistentLies(t *testing.T) {
	h, hashes, data := transferBlock(t, 3)
	for name, change := range map[string]func(*types.Header, []map[string]any){
		"bloom of the header": func(h *types.Header, _ []map[string]any) { h.Bloom = types.Bloom{} },
		"bloom of a receipt":  func(h *types.Header, l []map[string]any) { l[0]["logsBloom"] = h.Bloom },
		"gas that falls":      func(_ *types.Header, l []map[string]any) { l[1]["cumulativeGasUsed"] = "0x1" },
		"gas that stands":     func(_ *types.Header, l []map[string]any) { l[1]["cumulativeGasUsed"] = l[0]["cumulativeGasUsed"] },
		"a receipt too many":  func(_ *types.Header, l []map[string]any) { l[2] = l[1] },
	} {
		header, list := *h, []map[string]any{}
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatal(err)
		}
		change(&header, list)
		for _, r := range list { // nothing that its place would disprove
			for _, o := range append(r["logs"].([]any), r) {
				delete(o.(map[string]any), "blockHash")
				delete(o.(map[string]any), "gasUsed")
			}
		}
		receipts, err := evm.ParseReceipts(encode(t, list))
		if err != nil {
			t.Fatal(err)
		}
		bound := make(types.Receipts, len(receipts))
		for i, r := range receipts {
			bound[i] = &r.Receipt
		}
		header.ReceiptHash = types.DeriveSha(bound, trie.NewStackTrie(nil))
		if err := evm.VerifyReceipts(&header, hashes, receipts); !errors.Is(err, evm.ErrInvalid) {
			t.Errorf("%s: %v, expected ErrInvalid", name, err)
		}
	}
	if _, err := evm.ParseReceipts(bytes.Replace(data, []byte(`"status":"0x1"`), []byte(`"status":"0x2"`), 1)); !errors.Is(err, evm.ErrUnreadable) {
		t.Errorf("status 2, which the trie does not tell from 1: %v", err)
	}
}

// TestAgreedTransactionHash: block and receipts agree on a hash that the transaction
// does not have.
func TestAgreedTransactionHash(t *testing.T) {
	header, receipts := read(t, london, "header.json"), read(t, london, "receipts.json")
	hash := object(t, header)["transactions"].([]any)[0].(map[string]any)["hash"].(string)
	other := common.Hash{7}.Hex()
	swap := func(data []byte) []byte { return bytes.ReplaceAll(data, []byte(hash), []byte(other)) }
	if j := evm.JudgeBlock(swap(header), swap(receipts)); j.OK {
		t.Errorf("judged %+v", j)
	}
	if _, err := evm.ParseBlock(swap(header)); !errors.Is(err, evm.ErrInvalid) {
		t.Errorf("parsed with %v", err)
	}
}

func TestEveryProofFieldIsChecked(t *testing.T) {
	header := read(t, eoa, "header.json")
	for name := range object(t, read(t, eoa, "proof.json")) {
		if name == "storageProof" { // it has none
			continue
		}
		o := object(t, read(t, eoa, "proof.json"))
		switch v := o[name].(type) {
		case string:
			last := "1"
			if strings.HasSuffix(v, "1") {
				last = "2"
			}
			o[name] = v[:len(v)-1] + last
		case []any:
			o[name] = v[:1]
		}
		if j := evm.JudgeProof(encode(t, o), header, nil); j.OK {
			t.Errorf("%s changed to %v, judged ok", name, o[name])
		}
	}
}

func TestJudgeProofAnchors(t *testing.T) {
	proof, header := read(t, eoa, "proof.json"), read(t, eoa, "header.json")
	hash := common.HexToHash(object(t, header)["hash"].(string))
	if j := evm.JudgeProof(proof, header, &hash); !j.OK || !j.Anchored || *j.BlockHash != hash || j.Account.Balance != "2209062500000000000000" {
		t.Errorf("with the trusted hash: %+v", j)
	}
	if j := evm.JudgeProof(proof, header, nil); !j.OK || j.Anchored {
		t.Errorf("without a trusted hash: %+v", j)
	}
	if j := evm.JudgeProof(proof, header, &common.Hash{1}); j.OK || j.Anchored || j.Account != nil {
		t.Errorf("with another trusted hash: %+v", j)
	}
	bare := encode(t, map[string]any{"stateRoot": object(t, header)["stateRoot"]})
	if j := evm.JudgeProof(proof, bare, nil); !j.OK || j.Anchored || !j.Checks[0].Skipped {
		t.Errorf("under a bare root: %+v", j)
	}
	if j := evm.JudgeProof(proof, bare, &hash); j.OK {
		t.Errorf("under a bare root, with a trusted hash: %+v", j)
	}
	for _, bad := range [][]byte{nil, []byte("{}"), []byte("[]"), []byte(`{"address":"0x1"}`)} {
		if j := evm.JudgeProof(bad, header, nil); j.OK || !j.Unreadable {
			t.Errorf("proof %q: %+v", bad, j)
		}
		if j := evm.JudgeProof(proof, bad, nil); j.OK || !j.Unreadable {
			t.Errorf("header %q: %+v", bad, j)
		}
		if j := evm.JudgeBlock(header, bad); string(bad) != "[]" && (j.OK || !j.Unreadable) {
			t.Errorf("receipts %q: %+v", bad, j)
		}
	}
}

// TestAbsence: of an account that is proven absent, and of a slot in empty storage,
// nothing but nothing may be claimed.
func TestAbsence(t *testing.T) {
	empty := types.EmptyRootHash
	nothing := evm.AccountProof{Address: common.Address{1}, Balance: common.Big0, CodeHash: types.EmptyCodeHash, StorageHash: empty,
		Slots: []evm.SlotProof{{Key: common.Hash{1}}}}
	if err := evm.VerifyProof(empty, &nothing); err != nil {
		t.Errorf("nothing in an empty state: %v", err)
	}
	zeros := nothing
	zeros.CodeHash, zeros.StorageHash = common.Hash{}, common.Hash{}
	if err := evm.VerifyProof(empty, &zeros); err != nil {
		t.Errorf("nothing, with hashes of zero: %v", err)
	}
	for name, change := range map[string]func(*evm.AccountProof){
		"balance": func(p *evm.AccountProof) { p.Balance = common.Big1 },
		"nonce":   func(p *evm.AccountProof) { p.Nonce = 1 },
		"code":    func(p *evm.AccountProof) { p.CodeHash = common.Hash{1} },
		"storage": func(p *evm.AccountProof) { p.StorageHash = common.Hash{1} },
		"slot":    func(p *evm.AccountProof) { p.Slots = []evm.SlotProof{{Key: common.Hash{1}, Value: common.Hash{31: 1}}} },
	} {
		p := nothing
		change(&p)
		if err := evm.VerifyProof(empty, &p); !errors.Is(err, evm.ErrInvalid) {
			t.Errorf("absent account with %s: %v", name, err)
		}
	}
}

func TestTokenLayout(t *testing.T) {
	usdc := evm.USDCv22Layout()
	rapid.Check(t, func(t *rapid.T) {
		balance := rapid.Uint64().Draw(t, "balance")
		frozen := rapid.Bool().Draw(t, "frozen")
		value := common.BigToHash(hexutil.MustDecodeBig(hexutil.EncodeUint64(balance)))
		if frozen {
			value[0] |= 0x80
		}
		if got := usdc.Balance(value); got.Uint64() != balance || !got.IsUint64() || usdc.Frozen(value) != frozen {
			t.Fatalf("value %s: balance %s, frozen %v", value, got, usdc.Frozen(value))
		}
		plain := evm.ERC20Layout(0)
		if plain.Frozen(value) || plain.Paused(value) || plain.Balance(value).Cmp(value.Big()) != 0 {
			t.Fatalf("plain token: value %s, balance %s", value, plain.Balance(value))
		}
	})
	for value, want := range map[common.Hash]bool{{31 - 20: 1}: true, {31 - 20: 0xff}: true, {31 - 19: 0xff, 31 - 21: 0xff}: false} {
		if usdc.Paused(value) != want {
			t.Errorf("pause slot %s: paused %v", value, !want)
		}
	}
}

// Seeds are small: a fuzzer takes them apart byte by byte.

func FuzzHeader(f *testing.F) {
	header := readFile(f, filepath.Join(eoa, "header.json"))
	f.Add(header)
	f.Add([]byte("0xc0"))
	f.Add(bytes.Replace(header, []byte("{"), []byte(`{"transactions":[{"hash":"0x","type":"0x2","r":"0x1","s":"0x1"},"0x"],"withdrawals":[null],`), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := evm.ParseHeader(data)
		if (h == nil) == (err == nil) {
			t.Fatalf("header %v, error %v", h, err)
		}
		if b, err := evm.ParseBlock(data); err == nil && b.Header.Hash() != h.Hash() {
			t.Fatalf("block %s, header %s", b.Header.Hash(), h.Hash())
		}
	})
}

func FuzzReceipts(f *testing.F) {
	h, hashes, honest := transferBlock(f, 2)
	want, err := evm.ParseReceipts(honest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(honest)
	f.Add([]byte(`[{"cumulativeGasUsed":"0x1","logsBloom":null,"logs":[null]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := evm.ParseReceipts(data)
		if err != nil || evm.VerifyReceipts(h, hashes, got) != nil {
			return
		}
		for i, r := range got { // what verifies says what the honest receipts say
			if r.Status != want[i].Status || r.TxHash != hashes[i] || !bytes.Equal(r.Logs[0].Data, want[i].Logs[0].Data) {
				t.Fatalf("receipt %d verifies: %+v", i, r)
			}
		}
	})
}

func FuzzProof(f *testing.F) {
	f.Add(readFile(f, filepath.Join(eoa, "proof.json")))
	f.Add([]byte(`{"address":"0x0000000000000000000000000000000000000001","balance":"0x0","nonce":"0x0","codeHash":"0x0","storageHash":"0x0","accountProof":["0x80"],"storageProof":[{"key":"0x1","value":"0x","proof":[]}]}`))
	header := []byte(`{"stateRoot":"` + types.EmptyRootHash.Hex() + `"}`)
	f.Fuzz(func(t *testing.T, data []byte) {
		if j := evm.JudgeProof(data, header, nil); j.OK && j.Account.Balance != "0" {
			t.Fatalf("an account in an empty state: %+v", j.Account)
		}
	})
}
