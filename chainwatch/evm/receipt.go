package evm

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"
)

// Receipt is one member of the result of eth_getBlockReceipts. The fields that the
// receipt trie binds, and after VerifyReceipts also TxHash, GasUsed, the block, and
// the logs' places, are in the embedded receipt; the rest is only claimed.
type Receipt struct {
	types.Receipt
	claim receiptClaim
}

// receiptClaim is what a receipt says and its trie does not bind. A nil was not said.
type receiptClaim struct {
	TxHash            *common.Hash    `json:"transactionHash"`
	TxIndex           *hexutil.Uint64 `json:"transactionIndex"`
	BlockHash         *common.Hash    `json:"blockHash"`
	BlockNumber       *hexutil.Uint64 `json:"blockNumber"`
	GasUsed           *hexutil.Uint64 `json:"gasUsed"`
	From              *common.Address `json:"from"`
	To                *common.Address `json:"to"`
	ContractAddress   *common.Address `json:"contractAddress"`
	EffectiveGasPrice *hexutil.Big    `json:"effectiveGasPrice"`
	BlobGasUsed       *hexutil.Uint64 `json:"blobGasUsed"`
	BlobGasPrice      *hexutil.Big    `json:"blobGasPrice"`
	logs              []logClaim
	status            bool // it says a status beside a post-state root
}

// logClaim is what a log says of its place.
type logClaim struct {
	TxHash         *common.Hash    `json:"transactionHash"`
	TxIndex        *hexutil.Uint64 `json:"transactionIndex"`
	BlockHash      *common.Hash    `json:"blockHash"`
	BlockNumber    *hexutil.Uint64 `json:"blockNumber"`
	BlockTimestamp *hexutil.Uint64 `json:"blockTimestamp"`
	Index          *hexutil.Uint64 `json:"logIndex"`
	IndexInTx      *hexutil.Uint64 `json:"transactionLogIndex"`
	Removed        bool            `json:"removed"`
}

type receiptJSON struct {
	receiptClaim
	Type              *hexutil.Uint64 `json:"type"`
	Root              *hexutil.Bytes  `json:"root"`
	Status            *hexutil.Uint64 `json:"status"`
	CumulativeGasUsed *hexutil.Uint64 `json:"cumulativeGasUsed"`
	Bloom             *types.Bloom    `json:"logsBloom"`
	Logs              []logJSON       `json:"logs"`
}

type logJSON struct {
	logClaim
	Address *common.Address `json:"address"`
	Topics  []common.Hash   `json:"topics"`
	Data    *hexutil.Bytes  `json:"data"`
}

// ParseReceipts reads the result of eth_getBlockReceipts. It checks nothing yet.
func ParseReceipts(data []byte) ([]*Receipt, error) {
	var list []*receiptJSON
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, unreadable("receipts", err)
	}
	if list == nil {
		return nil, unreadable("receipts", errors.New("null, expected a list"))
	}
	receipts := make([]*Receipt, len(list))
	for i, j := range list {
		if j == nil {
			return nil, unreadable("receipts", fmt.Errorf("receipt %d is null", i))
		}
		r, err := j.receipt()
		if err != nil {
			return nil, fmt.Errorf("receipt %d: %w", i, err)
		}
		receipts[i] = r
	}
	return receipts, nil
}

func (j *receiptJSON) receipt() (*Receipt, error) {
	if j.CumulativeGasUsed == nil {
		return nil, unreadable("receipt", errors.New("cumulativeGasUsed is required"))
	}
	r := &Receipt{claim: j.receiptClaim}
	r.CumulativeGasUsed = uint64(*j.CumulativeGasUsed)
	if err := j.setStatus(r); err != nil {
		return nil, err
	}
	if j.Type != nil {
		if *j.Type > types.SetCodeTxType {
			return nil, fmt.Errorf("%w: receipt of type %d", ErrUnknownFork, *j.Type)
		}
		r.Type = uint8(*j.Type)
	}
	r.Logs = make([]*types.Log, len(j.Logs))
	r.claim.logs = make([]logClaim, len(j.Logs))
	for i, l := range j.Logs {
		if l.Address == nil || l.Data == nil {
			return nil, unreadable("log", fmt.Errorf("log %d: address and data are required", i))
		}
		r.Logs[i] = &types.Log{Address: *l.Address, Topics: l.Topics, Data: *l.Data}
		r.claim.logs[i] = l.logClaim
	}
	if r.Bloom = types.CreateBloom(&r.Receipt); j.Bloom != nil {
		r.Bloom = *j.Bloom // a wrong one is for verifyBloom to find
	}
	return r, nil
}

// parseAnyReceipts reads receipts as JSON objects, or as the list of their consensus
// encodings in hex that debug_getRawReceipts returns.
func parseAnyReceipts(data []byte) ([]*Receipt, error) {
	var raw []hexutil.Bytes
	if err := json.Unmarshal(data, &raw); err != nil || len(raw) == 0 {
		return ParseReceipts(data)
	}
	return ParseRawReceipts(raw)
}

// ParseRawReceipts reads the consensus encodings of receipts (EIP-2718). It checks
// nothing yet.
func ParseRawReceipts(raw []hexutil.Bytes) ([]*Receipt, error) {
	receipts := make([]*Receipt, len(raw))
	for i, b := range raw {
		r := new(Receipt)
		if err := r.UnmarshalBinary(b); errors.Is(err, types.ErrTxTypeNotSupported) {
			return nil, fmt.Errorf("%w: receipt %d of type %d", ErrUnknownFork, i, b[0])
		} else if err != nil {
			return nil, unreadable(fmt.Sprintf("receipt %d", i), err)
		}
		r.claim.logs = make([]logClaim, len(r.Logs))
		receipts[i] = r
	}
	return receipts, nil
}

// setStatus takes the status, or the post-state root that stood in its place before
// Byzantium. A status other than 0 and 1 would encode as 1, so the trie would not
// tell it from one.
func (j *receiptJSON) setStatus(r *Receipt) error {
	switch {
	case j.Root != nil && len(*j.Root) == common.HashLength:
		r.PostState, r.claim.status = *j.Root, j.Status != nil
	case j.Root != nil && len(*j.Root) != 0:
		return unreadable("receipt", fmt.Errorf("root of %d bytes, expected %d", len(*j.Root), common.HashLength))
	case j.Status == nil || *j.Status > 1:
		return unreadable("receipt", errors.New("status: expected 0x0 or 0x1"))
	default:
		r.Status = uint64(*j.Status)
	}
	return nil
}

// claimsStatus says whether a receipt has a status that nothing binds.
func (r *Receipt) claimsStatus() bool { return r.claim.status }

// VerifyReceipts checks the receipts of a block against its header: their root, the
// bloom, the gas. It derives each receipt's and each log's place from their order
// and from the hashes of the block's transactions, fails where a claim differs, and
// writes the derived values into the receipts.
func VerifyReceipts(h *types.Header, hashes []common.Hash, receipts []*Receipt) error {
	if err := verifyReceiptsRoot(h, receipts); err != nil {
		return err
	}
	if err := verifyBloom(h, receipts); err != nil {
		return err
	}
	if err := verifyGas(h, receipts); err != nil {
		return err
	}
	return verifyPlaces(h, hashes, receipts)
}

func verifyReceiptsRoot(h *types.Header, receipts []*Receipt) error {
	list := make(types.Receipts, len(receipts))
	for i, r := range receipts {
		list[i] = &r.Receipt
	}
	if got := types.DeriveSha(list, trie.NewStackTrie(nil)); got != h.ReceiptHash {
		return invalid("block %d: root of %d receipts is %s, the header says %s", h.Number, len(receipts), got, h.ReceiptHash)
	}
	return nil
}

// verifyBloom checks that each receipt's bloom is that of its logs, and the header's
// the union of them.
func verifyBloom(h *types.Header, receipts []*Receipt) error {
	var union types.Bloom
	for i, r := range receipts {
		bloom := types.CreateBloom(&r.Receipt)
		if bloom != r.Bloom {
			return invalid("block %d, receipt %d: bloom is not that of its %d logs", h.Number, i, len(r.Logs))
		}
		for k, b := range bloom {
			union[k] |= b
		}
	}
	if union != h.Bloom {
		return invalid("block %d: the header's bloom is not that of its logs", h.Number)
	}
	return nil
}

// verifyGas derives the gas of each transaction from the cumulative gas, which the
// trie binds.
func verifyGas(h *types.Header, receipts []*Receipt) error {
	var before uint64
	for i, r := range receipts {
		if r.CumulativeGasUsed <= before {
			return invalid("block %d, receipt %d: cumulative gas %d after %d", h.Number, i, r.CumulativeGasUsed, before)
		}
		r.GasUsed = r.CumulativeGasUsed - before
		before = r.CumulativeGasUsed
		if c := r.claim.GasUsed; c != nil && uint64(*c) != r.GasUsed {
			return invalid("block %d, receipt %d: gasUsed %d, cumulative gas says %d", h.Number, i, uint64(*c), r.GasUsed)
		}
	}
	return nil
}

func verifyPlaces(h *types.Header, hashes []common.Hash, receipts []*Receipt) error {
	if len(hashes) != len(receipts) {
		return invalid("block %d: %d receipts for %d transactions", h.Number, len(receipts), len(hashes))
	}
	place := receiptPlace{block: h.Hash(), header: h}
	for i, r := range receipts {
		place.tx, place.index = hashes[i], uint64(i)
		if err := place.settle(r); err != nil {
			return fmt.Errorf("block %d, receipt %d: %w", h.Number, i, err)
		}
	}
	return nil
}

// receiptPlace is where a receipt stands, and the index in the block of its next log.
type receiptPlace struct {
	header *types.Header
	block  common.Hash
	tx     common.Hash
	index  uint64
	log    uint64
}

// settle compares a receipt's claims with its place, then writes the place into it.
func (p *receiptPlace) settle(r *Receipt) error {
	number := p.header.Number.Uint64()
	c := &r.claim
	err := errors.Join(
		differ("transactionHash", c.TxHash, p.tx),
		differ("blockHash", c.BlockHash, p.block),
		differ("transactionIndex", c.TxIndex, hexutil.Uint64(p.index)),
		differ("blockNumber", c.BlockNumber, hexutil.Uint64(number)),
	)
	r.TxHash, r.BlockHash, r.BlockNumber, r.TransactionIndex = p.tx, p.block, p.header.Number, uint(p.index)
	for i, l := range r.Logs {
		lc := &c.logs[i]
		err = errors.Join(err,
			differ("log's transactionHash", lc.TxHash, p.tx),
			differ("log's blockHash", lc.BlockHash, p.block),
			differ("log's transactionIndex", lc.TxIndex, hexutil.Uint64(p.index)),
			differ("log's blockNumber", lc.BlockNumber, hexutil.Uint64(number)),
			differ("log's blockTimestamp", lc.BlockTimestamp, hexutil.Uint64(p.header.Time)),
			differ("logIndex", lc.Index, hexutil.Uint64(p.log)),
			differ("transactionLogIndex", lc.IndexInTx, hexutil.Uint64(i)),
			differ("removed", &lc.Removed, false),
		)
		l.TxHash, l.TxIndex, l.BlockHash, l.BlockNumber, l.BlockTimestamp, l.Index = p.tx, uint(p.index), p.block, number, p.header.Time, uint(p.log)
		p.log++
	}
	return err
}

func differ[T comparable](field string, claimed *T, derived T) error {
	if claimed == nil || *claimed == derived {
		return nil
	}
	return invalid("%s %v, its place says %v", field, *claimed, derived)
}
