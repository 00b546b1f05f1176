package evm

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Judgement is what was checked of a document, and whether it holds.
type Judgement struct {
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"` // why not: the first check that failed
	// Unreadable says that the input is not of the form it should have, so that
	// there was nothing to judge.
	Unreadable bool `json:"unreadable,omitempty"`
	// Anchored says that the block hash is one the caller trusts. Without it the
	// judgement holds under a header that anybody may have made.
	Anchored bool    `json:"anchored"`
	Checks   []Check `json:"checks"`

	BlockHash *common.Hash   `json:"block_hash,omitempty"`
	Number    string         `json:"block_number,omitempty"`
	StateRoot *common.Hash   `json:"state_root,omitempty"`
	Account   *ProvenAccount `json:"account,omitempty"`
}

// Check is one thing that was checked. A check that could not be made, for want of
// what it needs, is skipped: it neither holds nor fails.
type Check struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Skipped bool   `json:"skipped,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// ProvenAccount is what a proof that holds says, with amounts in wei as decimals.
type ProvenAccount struct {
	Address     string       `json:"address"`
	Balance     string       `json:"balance"`
	Nonce       uint64       `json:"nonce"`
	CodeHash    common.Hash  `json:"code_hash"`
	StorageHash common.Hash  `json:"storage_hash"`
	Slots       []ProvenSlot `json:"slots,omitempty"`
}

// ProvenSlot is one storage slot of a ProvenAccount.
type ProvenSlot struct {
	Key   common.Hash `json:"key"`
	Value common.Hash `json:"value"`
}

// check records the outcome of one check and says whether it held.
func (j *Judgement) check(name string, err error) bool {
	c := Check{Name: name, OK: err == nil}
	if err != nil {
		c.Detail = err.Error()
		if j.Reason == "" {
			j.Reason = name + ": " + err.Error()
		}
		j.Unreadable = j.Unreadable || errors.Is(err, ErrUnreadable)
	}
	j.Checks = append(j.Checks, c)
	return err == nil
}

func (j *Judgement) skip(name, why string) {
	j.Checks = append(j.Checks, Check{Name: name, Skipped: true, Detail: why})
}

func (j *Judgement) done() Judgement {
	j.OK = j.Reason == ""
	return *j
}

// JudgeProof judges the result of eth_getProof against a block header: a JSON-RPC
// block object, RLP in hex, or a bare {"stateRoot": …}, which is not anchored. With
// a trusted hash, the header must be the one of that hash.
func JudgeProof(proofJSON, headerJSON []byte, trusted *common.Hash) Judgement {
	var j Judgement
	root, ok := j.stateRoot(unwrap(headerJSON), trusted)
	if !ok {
		return j.done()
	}
	p, err := ParseProof(unwrap(proofJSON))
	if !j.check("proof form", err) {
		return j.done()
	}
	storage, err := verifyAccount(root, p)
	if j.check("account proof", err) {
		for _, s := range p.Slots {
			j.check("storage proof", verifySlot(storage, s))
		}
	}
	if j.Reason == "" {
		j.Account = provenAccount(p)
	}
	return j.done()
}

// stateRoot judges the header and returns the state root under which to prove.
func (j *Judgement) stateRoot(headerJSON []byte, trusted *common.Hash) (common.Hash, bool) {
	if root, bare := bareStateRoot(headerJSON); bare {
		j.StateRoot = &root
		j.skip("header hash", "only a state root was given: what is proven is not anchored in a block")
		if trusted != nil {
			j.check("trusted hash", invalid("a bare state root has no block hash, expected %s", trusted))
			return root, false
		}
		return root, true
	}
	h, err := ParseHeader(headerJSON)
	if !j.check("header hash", err) {
		return common.Hash{}, false
	}
	j.header(h)
	if trusted == nil {
		j.skip("trusted hash", "no trusted hash was given: the header's hash follows from its fields, but nobody vouches for it")
		return h.Root, true
	}
	if *j.BlockHash != *trusted {
		err = invalid("header hashes to %s, expected %s", j.BlockHash, trusted)
	}
	j.Anchored = j.check("trusted hash", err)
	return h.Root, j.Anchored
}

func (j *Judgement) header(h *types.Header) {
	hash := h.Hash()
	j.BlockHash, j.StateRoot, j.Number = &hash, &h.Root, h.Number.String()
}

// bareStateRoot reads an object that has a stateRoot and is no header.
func bareStateRoot(data []byte) (common.Hash, bool) {
	var fields struct {
		StateRoot  *common.Hash    `json:"stateRoot"`
		ParentHash json.RawMessage `json:"parentHash"`
	}
	if json.Unmarshal(data, &fields) != nil || fields.StateRoot == nil || fields.ParentHash != nil {
		return common.Hash{}, false
	}
	return *fields.StateRoot, true
}

func provenAccount(p *AccountProof) *ProvenAccount {
	a := &ProvenAccount{
		Address: p.Address.Hex(), Balance: p.Balance.String(), Nonce: p.Nonce,
		CodeHash: p.CodeHash, StorageHash: p.StorageHash,
	}
	for _, s := range p.Slots {
		a.Slots = append(a.Slots, ProvenSlot{Key: s.Key, Value: s.Value})
	}
	return a
}

// JudgeBlock judges the receipts of a block against a JSON-RPC block object, whose
// transactions may be given in full or as hashes, or against its header alone, which
// may be RLP in hex. The receipts are the result of eth_getBlockReceipts, or that of
// debug_getRawReceipts, which claims nothing beside what the trie binds.
func JudgeBlock(headerJSON, receiptsJSON []byte) Judgement {
	var j Judgement
	b, err := parseBlock(unwrap(headerJSON))
	if !j.check("header hash", err) {
		return j.done()
	}
	j.header(b.Header)
	receipts, err := parseAnyReceipts(unwrap(receiptsJSON))
	if !j.check("receipts form", err) {
		return j.done()
	}
	if fields := unjudged(unwrap(receiptsJSON)); len(fields) > 0 {
		j.skip("other fields", "nothing here binds "+strings.Join(fields, ", "))
	}
	if slices.ContainsFunc(receipts, (*Receipt).claimsStatus) {
		j.skip("status", "from before Byzantium (EIP-658): the trie binds a state root in its place")
	}
	j.check("receipts root", verifyReceiptsRoot(b.Header, receipts))
	j.check("logs bloom", verifyBloom(b.Header, receipts))
	j.check("gas", verifyGas(b.Header, receipts))
	j.body(b, receipts)
	return j.done()
}

// body judges what the receipts claim of their places and transactions.
func (j *Judgement) body(b *Block, receipts []*Receipt) {
	hashes := b.Hashes
	complete := hashes != nil && len(b.Transactions) == len(hashes)
	switch {
	case hashes == nil:
		j.skip("transactions root", "the block object lists no transactions: their hashes stand as the receipts claim them")
		for _, r := range receipts {
			hashes = append(hashes, r.claimedTx())
		}
	case complete:
		j.check("transactions root", VerifyTransactions(b.Header, b.Transactions))
	default:
		j.skip("transactions root", errUnsigned.Error()+": their hashes stand as the block object claims them")
	}
	j.check("uncles", verifyUncles(b))
	j.check("transactions' places", verifyTransactionClaims(b))
	j.check("places", verifyPlaces(b.Header, hashes, receipts))
	switch {
	case !complete:
		j.check("prices", verifyBounds(b.Header, receipts))
		j.skip("senders and prices", errUnsigned.Error())
	case len(hashes) == len(receipts): // otherwise the places have failed
		j.check("senders and prices", verifyClaims(b, receipts))
	}
	if b.Withdrawals != nil {
		j.check("withdrawals root", VerifyWithdrawals(b.Header, b.Withdrawals))
	}
}

func (r *Receipt) claimedTx() common.Hash {
	if r.claim.TxHash == nil {
		return common.Hash{}
	}
	return *r.claim.TxHash
}

// unwrap returns the result of a whole JSON-RPC response, as tools save it, and
// anything else as it is.
func unwrap(data []byte) []byte {
	var response struct {
		JSONRPC string          `json:"jsonrpc"`
		Result  json.RawMessage `json:"result"`
	}
	if json.Unmarshal(data, &response) == nil && response.JSONRPC != "" && len(response.Result) > 0 {
		return response.Result
	}
	return data
}
