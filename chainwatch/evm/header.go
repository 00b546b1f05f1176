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
		var claim headerClaim
		return parseHeaderObject(data, &claim)
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

// headerClaim is what a block object says of its own hash.
type headerClaim struct {
	Hash *common.Hash `json:"hash"`
}

func (c *headerClaim) hash() *common.Hash { return c.Hash }

// parseHeaderObject reads the header of a block object, and into claim what else is
// wanted of it.
func parseHeaderObject(data []byte, claim interface{ hash() *common.Hash }) (*types.Header, error) {
	if err := json.Unmarshal(data, claim); err != nil {
		return nil, unreadable("block object", err)
	}
	h := new(types.Header)
	if err := json.Unmarshal(data, h); err != nil {
		return nil, unreadable("header", err)
	}
	if err := saneHeader(h); err != nil {
		return nil, err
	}
	claimed := claim.hash()
	if claimed == nil || *claimed == h.Hash() {
		return h, nil
	}
	if unknown := unknownFields(data); len(unknown) > 0 {
		return nil, fmt.Errorf("%w: header %s carries %s, and its hash without them is %s", ErrUnknownFork, claimed, strings.Join(unknown, ", "), h.Hash())
	}
	return nil, invalid("header says its hash is %s, its fields hash to %s", claimed, h.Hash())
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
