package evm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// ParseHeader reads a header from a JSON-RPC block object, or from its RLP encoding
// in hex. Where the object names its hash, the hash recomputed from the other fields
// must be the same; the caller asks the result for its Hash and compares that with
// one it trusts.
func ParseHeader(data []byte) (*types.Header, error) {
	data = bytes.TrimSpace(data)
	if len(data) > 0 && data[0] == '{' {
		h, _, err := parseHeaderObject(unwrap(data))
		return h, err
	}
	return parseHeaderRLP(data)
}

func parseHeaderRLP(data []byte) (*types.Header, error) {
	raw, err := hexutil.Decode(string(bytes.Trim(data, `"`)))
	if err != nil {
		return nil, unreadable("header: expected a JSON object or RLP in 0x-hex", err)
	}
	h := new(types.Header)
	if err := rlp.DecodeBytes(raw, h); err != nil {
		return nil, unreadable("RLP of header", err)
	}
	return h, saneHeader(h)
}

// headerClaim is what a block object says of itself beside the header's own fields.
type headerClaim struct {
	Hash *common.Hash `json:"hash"`
}

func parseHeaderObject(data []byte) (*types.Header, *headerClaim, error) {
	var claim headerClaim
	if err := json.Unmarshal(data, &claim); err != nil {
		return nil, nil, unreadable("block object", err)
	}
	h := new(types.Header)
	if err := json.Unmarshal(data, h); err != nil {
		return nil, nil, unreadable("header", err)
	}
	if err := saneHeader(h); err != nil {
		return nil, nil, err
	}
	if claim.Hash == nil || *claim.Hash == h.Hash() {
		return h, &claim, nil
	}
	if unknown := unknownFields(data); len(unknown) > 0 {
		return nil, nil, fmt.Errorf("%w: header %s carries %s, and its hash without them is %s", ErrUnknownFork, claim.Hash, strings.Join(unknown, ", "), h.Hash())
	}
	return nil, nil, invalid("header says its hash is %s, its fields hash to %s", claim.Hash, h.Hash())
}

func saneHeader(h *types.Header) error {
	if err := h.SanityCheck(); err != nil {
		return unreadable("header", err)
	}
	if h.Number == nil || h.Number.Sign() < 0 || h.Difficulty == nil || h.Difficulty.Sign() < 0 {
		return unreadable("header", errors.New("number and difficulty: expected unsigned"))
	}
	return nil
}

// knownFields are the members of a JSON-RPC block object that are in the header's
// hash, and those that every client adds to it without their being in the hash.
const knownFields = " parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom difficulty number gasLimit gasUsed timestamp extraData mixHash nonce" +
	" baseFeePerGas withdrawalsRoot blobGasUsed excessBlobGas parentBeaconBlockRoot requestsHash blockAccessListHash slotNumber" +
	" hash size totalDifficulty transactions uncles withdrawals author sealFields "

func unknownFields(data []byte) []string {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil
	}
	var unknown []string
	for name, value := range fields {
		if string(value) != "null" && !strings.Contains(knownFields, " "+name+" ") {
			unknown = append(unknown, name)
		}
	}
	sort.Strings(unknown)
	return unknown
}

// unwrap returns the result of a whole JSON-RPC response, and anything else as it is.
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
