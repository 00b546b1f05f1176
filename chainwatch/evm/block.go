package evm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
)

// Block is a header and what its object carried of the body. Transactions is shorter
// than Hashes where the object gave only hashes, or transactions without their
// signatures; the hashes are then the object's claim. Hashes is nil where the object
// did not list the transactions at all.
type Block struct {
	Header       *types.Header
	Transactions types.Transactions
	Hashes       []common.Hash
	Withdrawals  types.Withdrawals

	claims []txClaim     // of the transactions that are given as objects: all or none
	uncles []common.Hash // nil where the object does not list them
}

// errUnsigned says that an object lists its transactions, but not so that their
// hashes can be recomputed.
var errUnsigned = errors.New("transactions are not given in full")

// ParseBlock reads a JSON-RPC block object with its transactions in full, and checks
// all of it against the header's hash.
func ParseBlock(data []byte) (*Block, error) {
	b, err := parseBlock(data)
	if err != nil {
		return nil, err
	}
	if b.Hashes == nil || len(b.Transactions) != len(b.Hashes) {
		return nil, fmt.Errorf("%w: block %d: %w", ErrUnreadable, b.Header.Number, errUnsigned)
	}
	if err := VerifyTransactions(b.Header, b.Transactions); err != nil {
		return nil, err
	}
	return b, VerifyWithdrawals(b.Header, b.Withdrawals)
}

// ParseRawBlock reads a block's consensus encoding, and checks all of it against the
// header's hash.
func ParseRawBlock(raw []byte) (*Block, error) {
	var block types.Block
	if err := rlp.DecodeBytes(raw, &block); err != nil {
		return nil, unreadable("RLP of block", err)
	}
	b := &Block{Header: block.Header(), Transactions: block.Transactions(), Withdrawals: block.Withdrawals()}
	if err := saneHeader(b.Header); err != nil {
		return nil, err
	}
	if got := types.CalcUncleHash(block.Uncles()); got != b.Header.UncleHash {
		return nil, invalid("block %d: hash of %d uncles is %s, the header says %s", b.Header.Number, len(block.Uncles()), got, b.Header.UncleHash)
	}
	b.Hashes = make([]common.Hash, len(b.Transactions))
	for i, tx := range b.Transactions {
		b.Hashes[i] = tx.Hash()
	}
	if err := VerifyTransactions(b.Header, b.Transactions); err != nil {
		return nil, err
	}
	return b, VerifyWithdrawals(b.Header, b.Withdrawals)
}

// parseBlock reads the object and checks its hash, and of each transaction given in
// full that it has the hash it claims.
func parseBlock(data []byte) (*Block, error) {
	var body struct {
		headerClaim
		Transactions []json.RawMessage   `json:"transactions"`
		Withdrawals  []*types.Withdrawal `json:"withdrawals"`
		Uncles       []common.Hash       `json:"uncles"`
	}
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] != '{' {
		h, err := parseHeaderRLP(data)
		return &Block{Header: h}, err
	}
	h, err := parseHeaderObject(data, &body)
	if err != nil {
		return nil, err
	}
	b := &Block{Header: h, Withdrawals: body.Withdrawals, uncles: body.Uncles}
	if body.Transactions != nil {
		b.Hashes = make([]common.Hash, 0, len(body.Transactions))
	}
	for i, raw := range body.Transactions {
		tx, hash, claim, err := parseTransaction(raw)
		if err != nil {
			return nil, fmt.Errorf("transaction %d of block %d: %w", i, h.Number, err)
		}
		if claim != nil {
			b.claims = append(b.claims, *claim)
		}
		b.Hashes = append(b.Hashes, hash)
		if tx != nil {
			b.Transactions = append(b.Transactions, tx)
		}
	}
	for i, w := range b.Withdrawals {
		if w == nil {
			return nil, unreadable("block body", fmt.Errorf("withdrawal %d is null", i))
		}
	}
	return b, nil
}

// parseTransaction reads a hash, or a transaction object. It returns no transaction
// for a hash, nor for an object without a signature, and no claim for a hash.
func parseTransaction(raw json.RawMessage) (*types.Transaction, common.Hash, *txClaim, error) {
	var hash common.Hash
	if len(raw) > 0 && raw[0] == '"' {
		if err := json.Unmarshal(raw, &hash); err != nil {
			return nil, hash, nil, unreadable("hash", err)
		}
		return nil, hash, nil, nil
	}
	var claim struct {
		txClaim
		Hash *common.Hash    `json:"hash"`
		Type *hexutil.Uint64 `json:"type"`
		R    *hexutil.Big    `json:"r"`
		S    *hexutil.Big    `json:"s"`
	}
	if err := json.Unmarshal(raw, &claim); err != nil {
		return nil, hash, nil, unreadable("object", err)
	}
	if claim.Hash == nil {
		return nil, hash, nil, unreadable("object", errors.New("it has no hash"))
	}
	if claim.R == nil || claim.S == nil {
		return nil, *claim.Hash, &claim.txClaim, nil
	}
	if claim.Type != nil && *claim.Type > types.SetCodeTxType {
		return nil, hash, nil, fmt.Errorf("%w: transaction %s is of type %d", ErrUnknownFork, claim.Hash, *claim.Type)
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalJSON(raw); err != nil {
		return nil, hash, nil, unreadable("object", err)
	}
	if tx.Hash() != *claim.Hash {
		return nil, hash, nil, invalid("transaction says its hash is %s, its fields hash to %s", claim.Hash, tx.Hash())
	}
	return tx, *claim.Hash, &claim.txClaim, nil
}

// VerifyTransactions checks the transactions of a block against its header.
func VerifyTransactions(h *types.Header, txs types.Transactions) error {
	if got := types.DeriveSha(txs, trie.NewStackTrie(nil)); got != h.TxHash {
		return invalid("block %d: root of %d transactions is %s, the header says %s", h.Number, len(txs), got, h.TxHash)
	}
	return nil
}

// VerifyWithdrawals checks the withdrawals of a block against its header (EIP-4895).
func VerifyWithdrawals(h *types.Header, ws types.Withdrawals) error {
	if h.WithdrawalsHash == nil {
		if len(ws) > 0 {
			return invalid("block %d carries %d withdrawals, its header none", h.Number, len(ws))
		}
		return nil
	}
	if got := types.DeriveSha(ws, trie.NewStackTrie(nil)); got != *h.WithdrawalsHash {
		return invalid("block %d: root of %d withdrawals is %s, the header says %s", h.Number, len(ws), got, h.WithdrawalsHash)
	}
	return nil
}
