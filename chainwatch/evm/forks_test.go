package evm_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/consensus/misc/eip4844"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"

	"goodcontrol/chainwatch/evm"
)

// fork is a header form, and the transaction types of its time.
type fork struct {
	name   string
	number int64
	time   uint64
	types  int // how many transaction types there are
	shape  func(*types.Header)
}

// forks are moments of the main network, each with the header form of its time.
var forks = []fork{
	{"frontier", 100_000, 1_438_900_000, 1, func(*types.Header) {}},
	{"byzantium", 4_500_000, 1_510_000_000, 1, func(*types.Header) {}},
	{"berlin", 12_300_000, 1_619_000_000, 2, func(*types.Header) {}},
	{"london", 13_000_000, 1_629_000_000, 3, func(h *types.Header) { h.BaseFee = big.NewInt(7e9) }},
	{"shanghai", 17_100_000, 1_682_000_000, 3, shanghai},
	{"cancun", 19_500_000, 1_711_000_000, 4, cancun},
	{"prague", 22_500_000, 1_748_000_000, 5, prague},
	{"bpo2", 24_200_000, 1_768_000_000, 5, prague},
	{"amsterdam", 30_000_000, 1_900_000_000, 5, func(h *types.Header) {
		prague(h)
		list, slot := common.Hash{7}, uint64(9)
		h.BlockAccessListHash, h.SlotNumber = &list, &slot
	}},
}

func shanghai(h *types.Header) {
	h.BaseFee, h.WithdrawalsHash, h.Difficulty = big.NewInt(7e9), &types.EmptyRootHash, new(big.Int)
}

func cancun(h *types.Header) {
	shanghai(h)
	used, excess := uint64(params.BlobTxBlobGasPerBlob), uint64(80*params.BlobTxBlobGasPerBlob)
	h.BlobGasUsed, h.ExcessBlobGas, h.ParentBeaconRoot = &used, &excess, &common.Hash{5}
}

func prague(h *types.Header) { cancun(h); h.RequestsHash = &types.EmptyRequestsHash }

// forged is a block of a fork with a transaction of every type, its JSON-RPC object
// and the result of eth_getBlockReceipts, as go-ethereum would give them.
func forged(t testing.TB, f fork) (block map[string]any, receipts []map[string]any, raw []string) {
	t.Helper()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("somebody")))
	if err != nil {
		t.Fatal(err)
	}
	to, contract := common.Address{0xaa}, common.Address{0xcc}
	one, gwei := big.NewInt(1), big.NewInt(20e9)
	inner := [][]types.TxData{
		{&types.LegacyTx{GasPrice: gwei, Gas: 21000, To: &to, Value: one}, &types.LegacyTx{Nonce: 1, GasPrice: gwei, Gas: 90000, Data: []byte{1}}},
		{&types.AccessListTx{ChainID: one, Nonce: 2, GasPrice: gwei, Gas: 50000, To: &contract, AccessList: types.AccessList{{Address: to, StorageKeys: []common.Hash{{4}}}}}},
		{&types.DynamicFeeTx{ChainID: one, Nonce: 3, GasTipCap: one, GasFeeCap: gwei, Gas: 50000, To: &contract}, &types.DynamicFeeTx{ChainID: one, Nonce: 4, GasTipCap: gwei, GasFeeCap: gwei, Gas: 90000}},
		{&types.BlobTx{ChainID: uint256.NewInt(1), Nonce: 5, GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.NewInt(20e9), BlobFeeCap: uint256.NewInt(1e9), Gas: 50000, To: contract, BlobHashes: []common.Hash{{1}}}},
		{&types.SetCodeTx{ChainID: uint256.NewInt(1), Nonce: 6, GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.NewInt(20e9), Gas: 90000, To: contract, AuthList: []types.SetCodeAuthorization{{Address: to}}}},
	}
	h := &types.Header{
		Number: big.NewInt(f.number), Time: f.time, Difficulty: big.NewInt(1), GasLimit: 30_000_000, UncleHash: types.EmptyUncleHash,
		ParentHash: common.Hash{1}, Root: common.Hash{2}, Extra: []byte("forged"),
	}
	f.shape(h)
	var txs types.Transactions
	for _, group := range inner[:f.types] {
		for i, data := range group {
			signer := types.LatestSignerForChainID(one)
			if _, legacy := data.(*types.LegacyTx); legacy && (i == 0 || f.name == "frontier") {
				signer = types.HomesteadSigner{} // before EIP-155
			}
			tx, err := types.SignNewTx(key, signer, data)
			if err != nil {
				t.Fatal(err)
			}
			txs = append(txs, tx)
		}
	}
	list := forgeReceipts(f, h, txs, contract)
	h.TxHash, h.ReceiptHash, h.Bloom = types.DeriveSha(txs, trie.NewStackTrie(nil)), types.DeriveSha(list, trie.NewStackTrie(nil)), types.MergeBloom(list)
	h.GasUsed = list[len(list)-1].CumulativeGasUsed
	if err := list.DeriveFields(params.MainnetChainConfig, h.Hash(), h.Number.Uint64(), h.Time, h.BaseFee, blobPrice(h), txs); err != nil {
		t.Fatal(err)
	}
	return forgedObjects(t, h, txs, list)
}

func blobPrice(h *types.Header) *big.Int {
	if h.ExcessBlobGas == nil {
		return nil
	}
	return eip4844.CalcBlobFee(params.MainnetChainConfig, h)
}

func forgeReceipts(f fork, h *types.Header, txs types.Transactions, contract common.Address) (list types.Receipts) {
	var gas uint64
	for i, tx := range txs {
		gas += 21000 + uint64(i)
		r := &types.Receipt{Type: tx.Type(), Status: uint64(i+1) % 2, CumulativeGasUsed: gas}
		if f.name == "frontier" {
			r.PostState = common.Hash{byte(i), 1}.Bytes()
		}
		for l := range i % 3 {
			r.Logs = append(r.Logs, &types.Log{Address: contract, Topics: []common.Hash{{byte(l)}}, Data: []byte{byte(l)}})
		}
		r.Bloom = types.CreateBloom(r)
		list = append(list, r)
	}
	return list
}

// forgedObjects are the JSON forms of a block, and the receipts' consensus encodings.
func forgedObjects(t testing.TB, h *types.Header, txs types.Transactions, list types.Receipts) (block map[string]any, receipts []map[string]any, raw []string) {
	remarshal := func(v, to any) {
		data, err := json.Marshal(v)
		if err == nil {
			err = json.Unmarshal(data, to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	remarshal(h, &block)
	var objects []map[string]any
	remarshal(txs, &objects)
	for i, o := range objects {
		from, err := evm.Sender(txs[i])
		if err != nil {
			t.Fatal(err)
		}
		o["from"], o["blockHash"], o["blockNumber"], o["transactionIndex"] = from.Hex(), h.Hash(), (*hexutil.Big)(h.Number), hexutil.Uint64(i)
		if o["to"] = nil; txs[i].To() != nil {
			o["to"] = txs[i].To().Hex()
		}
	}
	block["transactions"], block["uncles"] = objects, []any{}
	if h.WithdrawalsHash != nil {
		block["withdrawals"] = []any{}
	}
	for i, r := range list {
		var o map[string]any
		remarshal(r, &o)
		o["from"], o["to"] = objects[i]["from"], objects[i]["to"]
		receipts = append(receipts, o)
		b, err := r.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, hexutil.Encode(b))
	}
	return block, receipts, raw
}

// TestEveryFork: a block of every header form with every transaction type of its
// time holds, whichever form its transactions and receipts come in.
func TestEveryFork(t *testing.T) {
	for _, f := range forks {
		block, receipts, raw := forged(t, f)
		if j := evm.JudgeBlock(encode(t, block), encode(t, receipts)); !j.OK {
			t.Errorf("%s: %s", f.name, j.Reason)
		}
		if j := evm.JudgeBlock(encode(t, block), encode(t, raw)); !j.OK {
			t.Errorf("%s, raw receipts: %s", f.name, j.Reason)
		}
		h, err := evm.ParseHeader(encode(t, block))
		if err != nil {
			t.Fatal(err)
		}
		if j := evm.JudgeBlock([]byte(hexutil.Encode(rlpOf(t, h))), encode(t, receipts)); !j.OK {
			t.Errorf("%s, header as RLP: %s", f.name, j.Reason)
		}
		var hashes []any
		for _, tx := range block["transactions"].([]map[string]any) {
			hashes = append(hashes, tx["hash"])
		}
		block["transactions"] = hashes
		if j := evm.JudgeBlock(encode(t, block), encode(t, receipts)); !j.OK {
			t.Errorf("%s, transactions as hashes: %s", f.name, j.Reason)
		}
	}
}

// other is another value of the same form as v.
func other(v any) any {
	switch v := v.(type) {
	case string:
		last := map[bool]string{true: "1", false: "0"}[v[len(v)-1] == '0']
		if len(v) <= 2 {
			return "0x01"
		}
		return v[:len(v)-1] + last
	case bool:
		return !v
	case nil:
		return common.Address{3}.Hex()
	}
	return nil
}

// unbound are the fields of which nothing in the block says what they should be.
var unbound = map[string]bool{"frontier status": true}

// TestEveryField: whichever field of a receipt, a log or a transaction's place is
// changed, the judgement is no. The one exception is the status that clients add to
// receipts from before Byzantium, which have a post-state root in its place.
func TestEveryField(t *testing.T) {
	tried := 0
	for i, f := range forks {
		if testing.Short() && i%4 != 0 {
			continue
		}
		_, sample, _ := forged(t, f)
		for i := range sample {
			try := func(what string, change func(block map[string]any, receipts []map[string]any)) {
				tried++
				block, receipts, _ := forged(t, f)
				change(block, receipts)
				j := evm.JudgeBlock(encode(t, block), encode(t, receipts))
				if j.OK != unbound[f.name+" "+what] {
					t.Errorf("%s, %s of transaction %d: judged %v (%s)", f.name, what, i, j.OK, j.Reason)
				}
			}
			for field, was := range sample[i] {
				if field == "logs" {
					continue
				}
				try(field, func(_ map[string]any, r []map[string]any) { r[i][field] = changed(field, was) })
			}
			logs, _ := sample[i]["logs"].([]any)
			for k := range logs {
				for field, was := range logs[k].(map[string]any) {
					try("log's "+field, func(_ map[string]any, r []map[string]any) {
						l := r[i]["logs"].([]any)[k].(map[string]any)
						if l[field] = other(was); field == "topics" {
							l[field] = []common.Hash{{0xee}}
						}
					})
				}
			}
			for _, field := range []string{"from", "blockHash", "blockNumber", "transactionIndex"} {
				try("tx "+field, func(b map[string]any, _ []map[string]any) {
					tx := b["transactions"].([]map[string]any)[i]
					tx[field] = other(fmt.Sprint(tx[field]))
				})
			}
		}
	}
	if tried < 100 {
		t.Errorf("%d changes were tried, expected more", tried)
	}
}

func changed(field string, was any) any {
	if field == "root" && was == "0x" {
		return common.Hash{9}
	}
	return other(was)
}

func rlpOf(t testing.TB, h *types.Header) []byte {
	t.Helper()
	raw, err := rlp.EncodeToBytes(h)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
