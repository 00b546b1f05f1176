package evm_test

import (
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"

	"goodcontrol/chainwatch/evm"
)

func readFile(tb testing.TB, file string) []byte {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// transferBlock is a block of n token transfers, with receipts as JSON.
func transferBlock(b testing.TB, n int) (*types.Header, []common.Hash, []byte) {
	b.Helper()
	var receipts []*types.Receipt
	var hashes []common.Hash
	transfer := crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))
	for i := range n {
		who := common.BigToHash(big.NewInt(int64(i)))
		r := &types.Receipt{Type: types.DynamicFeeTxType, Status: 1, CumulativeGasUsed: uint64(51361 * (i + 1)), GasUsed: 51361, TxHash: common.Hash{byte(i), byte(i >> 8), 1}, TransactionIndex: uint(i),
			Logs: []*types.Log{{Address: common.Address{9}, Topics: []common.Hash{transfer, who, {31: 1}}, Data: who[:], TxHash: common.Hash{byte(i), byte(i >> 8), 1}, TxIndex: uint(i), Index: uint(i), BlockNumber: 1}}}
		r.Bloom = types.CreateBloom(r)
		receipts, hashes = append(receipts, r), append(hashes, r.TxHash)
	}
	h := &types.Header{Number: big.NewInt(1), Difficulty: new(big.Int), Bloom: types.MergeBloom(receipts), ReceiptHash: types.DeriveSha(types.Receipts(receipts), trie.NewStackTrie(nil))}
	for _, r := range receipts {
		r.BlockHash, r.BlockNumber = h.Hash(), h.Number
		r.Logs[0].BlockHash = h.Hash()
	}
	return h, hashes, encode(b, receipts)
}

func BenchmarkReceiptsOf200Transfers(b *testing.B) {
	h, hashes, data := transferBlock(b, 200)
	parsed, err := evm.ParseReceipts(data)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parse and verify", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			receipts, err := evm.ParseReceipts(data)
			if err == nil {
				err = evm.VerifyReceipts(h, hashes, receipts)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if err := evm.VerifyReceipts(h, hashes, parsed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("root alone", func(b *testing.B) {
		list := make(types.Receipts, len(parsed))
		for i, r := range parsed {
			list[i] = &r.Receipt
		}
		for b.Loop() {
			if types.DeriveSha(list, trie.NewStackTrie(nil)) != h.ReceiptHash {
				b.Fatal("another root")
			}
		}
	})
}

func BenchmarkProof(b *testing.B) {
	header, err := evm.ParseHeader(readFile(b, filepath.Join(eoa, "header.json")))
	if err != nil {
		b.Fatal(err)
	}
	p, err := evm.ParseProof(readFile(b, filepath.Join(eoa, "proof.json")))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := evm.VerifyProof(header.Root, p); err != nil {
			b.Fatal(err)
		}
	}
}
