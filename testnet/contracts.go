package testnet

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// compiled is what the compiler made of the sources in testnet/token. To make it
// again, in testnet/token, with solc 0.8.37 installed anywhere else
// (npm install solc@0.8.37):
//
//	solcjs --standard-json --base-path . < solc.json | grep '^{' > contracts.json
//
//go:embed token/contracts.json
var compiled []byte

// Contracts that [Chain.Deploy] knows. Their sources say what they do.
const (
	Dollar      = "Dollar"      // the token's code, to be used behind a Proxy
	Proxy       = "Proxy"       // arguments: code address, admin address, first call bytes
	FakeToken   = "FakeToken"   // claim(from, to, value): a Transfer log and nothing else
	Collectible = "Collectible" // mint(to, id): a Transfer log with four topics
	Forwarder   = "Forwarder"   // pay(to): passes the ether on by an internal call
	FeeToken    = "FeeToken"    // argument: fee collector; transfers move less than they log
)

// program is a compiled contract.
type program struct {
	abi  abi.ABI
	code []byte
}

// programs are the compiled contracts by name, read once.
var programs = sync.OnceValues(func() (map[string]program, error) {
	var output struct {
		Contracts map[string]map[string]struct {
			ABI abi.ABI `json:"abi"`
			EVM struct {
				Bytecode struct{ Object string }
			}
		}
	}
	if err := json.Unmarshal(compiled, &output); err != nil {
		return nil, fmt.Errorf("token/contracts.json: %w", err)
	}
	byName := make(map[string]program)
	for _, source := range output.Contracts {
		for name, c := range source {
			byName[name] = program{abi: c.ABI, code: common.FromHex(c.EVM.Bytecode.Object)}
		}
	}
	return byName, nil
})

// Contract is a contract on a chain, with the words to speak to it.
type Contract struct {
	Address common.Address

	chain *Chain
	abi   abi.ABI
}

// Deploy sends the transaction that creates a contract. Its address is certain
// at once; its code is there after the next Seal.
func (c *Chain) Deploy(ctx context.Context, from Account, name string, args ...any) (*Contract, error) {
	all, err := programs()
	if err != nil {
		return nil, err
	}
	p, ok := all[name]
	if !ok {
		return nil, fmt.Errorf("deploying %q: no such contract in token/contracts.json", name)
	}
	packed, err := p.abi.Pack("", args...)
	if err != nil {
		return nil, fmt.Errorf("deploying %s: %w", name, err)
	}
	tx, err := c.Transact(ctx, from, Tx{Data: append(append([]byte{}, p.code...), packed...)})
	if err != nil {
		return nil, fmt.Errorf("deploying %s: %w", name, err)
	}
	return &Contract{Address: crypto.CreateAddress(from.Address, tx.Nonce()), chain: c, abi: p.abi}, nil
}

// Pack encodes a call.
func (k *Contract) Pack(method string, args ...any) ([]byte, error) {
	data, err := k.abi.Pack(method, args...)
	if err != nil {
		return nil, fmt.Errorf("call of %s: %w", method, err)
	}
	return data, nil
}

// Send sends a transaction that calls the method, with that many wei (nil is
// none).
func (k *Contract) Send(ctx context.Context, from Account, wei *big.Int, method string, args ...any) (*types.Transaction, error) {
	data, err := k.Pack(method, args...)
	if err != nil {
		return nil, err
	}
	return k.chain.Transact(ctx, from, Tx{To: &k.Address, Value: wei, Data: data})
}

// Read calls the method on the head without a transaction and decodes its
// results.
func (k *Contract) Read(ctx context.Context, method string, args ...any) ([]any, error) {
	data, err := k.Pack(method, args...)
	if err != nil {
		return nil, err
	}
	out, err := k.chain.Call(ctx, k.Address, data)
	if err != nil {
		return nil, err
	}
	results, err := k.abi.Unpack(method, out)
	if err != nil {
		return nil, fmt.Errorf("result of %s of %s: %w", method, k.Address, err)
	}
	return results, nil
}
