package evm

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
)

// verifyClaims compares what receipts say of their transactions with the signed
// transactions themselves.
func verifyClaims(b *Block, receipts []*Receipt) error {
	for i, r := range receipts {
		tx := b.Transactions[i]
		from, err := Sender(tx)
		if err != nil {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
		var contract *common.Address
		if c := r.claim.ContractAddress; c != nil && *c == (common.Address{}) {
			r.claim.ContractAddress = nil // some clients write none so
		}
		if tx.To() == nil {
			address := Recipient(tx, from)
			contract = &address
		}
		err = errors.Join(differ("from", r.claim.From, from), differAddress("to", r.claim.To, tx.To()),
			differAddress("contractAddress", r.claim.ContractAddress, contract), r.blobClaims(tx, b.Header))
		if p := r.claim.EffectiveGasPrice; p != nil && p.ToInt().Cmp(GasPrice(tx, b.Header)) != 0 {
			err = errors.Join(err, invalid("effectiveGasPrice %s, the transaction says %s", p.ToInt(), GasPrice(tx, b.Header)))
		}
		if r.Type != tx.Type() {
			err = errors.Join(err, invalid("receipt is of type %d, its transaction of type %d", r.Type, tx.Type()))
		}
		if err != nil {
			return fmt.Errorf("receipt %d: %w", i, err)
		}
	}
	return nil
}

// blobClaims compares what a receipt says of the transaction's blobs. Clients write
// either nothing or zero where there are none.
func (r *Receipt) blobClaims(tx *types.Transaction, h *types.Header) error {
	var err error
	if g := r.claim.BlobGasUsed; g != nil && uint64(*g) != tx.BlobGas() {
		err = invalid("blobGasUsed %d, the transaction says %d", uint64(*g), tx.BlobGas())
	}
	claimed := r.claim.BlobGasPrice
	if claimed == nil {
		return err
	}
	if tx.Type() != types.BlobTxType {
		if claimed.ToInt().Sign() != 0 {
			err = errors.Join(err, invalid("blobGasPrice %s, the transaction has no blobs", claimed.ToInt()))
		}
		return err
	}
	possible := blobPrices(tx.ChainId(), h)
	if !slices.ContainsFunc(possible, func(p *big.Int) bool { return p.Cmp(claimed.ToInt()) == 0 }) {
		err = errors.Join(err, invalid("blobGasPrice %s, the header's excess of blob gas says one of %s", claimed.ToInt(), possible))
	}
	return err
}

// verifyBounds checks what a receipt claims and the header limits, where the
// transactions themselves are not given.
func verifyBounds(h *types.Header, receipts []*Receipt) error {
	for i, r := range receipts {
		if p := r.claim.EffectiveGasPrice; p != nil && h.BaseFee != nil && p.ToInt().Cmp(h.BaseFee) < 0 {
			return invalid("receipt %d: effectiveGasPrice %s is below the block's base fee %s", i, p.ToInt(), h.BaseFee)
		}
		blobs, price := r.claim.BlobGasUsed, r.claim.BlobGasPrice
		if r.Type != types.BlobTxType {
			if blobs != nil && *blobs != 0 || price != nil && price.ToInt().Sign() != 0 {
				return invalid("receipt %d: a transaction of type %d has no blobs", i, r.Type)
			}
			continue
		}
		if possible := blobPrices(nil, h); price != nil && !slices.ContainsFunc(possible, func(p *big.Int) bool { return p.Cmp(price.ToInt()) == 0 }) {
			return invalid("receipt %d: blobGasPrice %s, the header's excess of blob gas says one of %s", i, price.ToInt(), possible)
		}
	}
	return nil
}

// differAddress compares an address that may be absent on either side. An absent
// claim claims nothing.
func differAddress(field string, claimed, derived *common.Address) error {
	if claimed == nil {
		return nil
	}
	if derived == nil {
		return invalid("%s %s, the transaction says none", field, claimed)
	}
	return differ(field, claimed, *derived)
}

// txClaim is what a transaction in a block object says of its place and sender.
type txClaim struct {
	BlockHash   *common.Hash    `json:"blockHash"`
	BlockNumber *hexutil.Big    `json:"blockNumber"`
	Index       *hexutil.Uint64 `json:"transactionIndex"`
	From        *common.Address `json:"from"`
}

// verifyPlace compares the claims of a transaction's place.
func (c *txClaim) verifyPlace(h *types.Header, index int) error {
	err := errors.Join(differ("blockHash", c.BlockHash, h.Hash()), differ("transactionIndex", c.Index, hexutil.Uint64(index)))
	if c.BlockNumber != nil && c.BlockNumber.ToInt().Cmp(h.Number) != 0 {
		err = errors.Join(err, invalid("blockNumber %s, its place says %s", c.BlockNumber.ToInt(), h.Number))
	}
	return err
}

// verifyTransactionClaims compares what the block object says of each of its
// transactions, beside what their hashes bind.
func verifyTransactionClaims(b *Block) error {
	for i, c := range b.claims {
		err := c.verifyPlace(b.Header, i)
		if c.From != nil && len(b.Transactions) == len(b.Hashes) {
			from, serr := Sender(b.Transactions[i])
			if err = errors.Join(err, serr); serr == nil {
				err = errors.Join(err, differ("from", c.From, from))
			}
		}
		if err != nil {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
	}
	return nil
}

// verifyUncles checks as much of the uncles as a block object shows, which is their
// hashes: whether there are any.
func verifyUncles(b *Block) error {
	if b.uncles == nil {
		return nil
	}
	if none := b.Header.UncleHash == types.EmptyUncleHash; none != (len(b.uncles) == 0) {
		return invalid("block %d lists %d uncles, its sha3Uncles is %s", b.Header.Number, len(b.uncles), b.Header.UncleHash)
	}
	return nil
}

// knownReceiptFields and knownLogFields are the members that are judged.
const (
	knownReceiptFields = " type root status cumulativeGasUsed logsBloom logs transactionHash transactionIndex blockHash blockNumber gasUsed from to contractAddress effectiveGasPrice blobGasUsed blobGasPrice "
	knownLogFields     = " address topics data transactionHash transactionIndex blockHash blockNumber blockTimestamp logIndex removed transactionLogIndex "
)

// unjudged lists the members of receipts and logs about which this program knows
// nothing, sorted.
func unjudged(receiptsJSON []byte) []string {
	var list []map[string]json.RawMessage
	if json.Unmarshal(receiptsJSON, &list) != nil {
		return nil
	}
	names := make(map[string]bool)
	add := func(prefix, known string, members map[string]json.RawMessage) {
		for name, value := range members {
			if string(value) != "null" && !strings.Contains(known, " "+name+" ") {
				names[prefix+name] = true
			}
		}
	}
	for _, r := range list {
		add("", knownReceiptFields, r)
		var logs []map[string]json.RawMessage
		if json.Unmarshal(r["logs"], &logs) != nil {
			continue
		}
		for _, l := range logs {
			add("log's ", knownLogFields, l)
		}
	}
	var all []string
	for name := range names {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
