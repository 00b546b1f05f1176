package testnet

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

// Names of accounts that every chain has. All but the proposer are prefunded.
const (
	faucetName   = "faucet"
	adminName    = "token admin"
	issuerName   = "token issuer"
	proposerName = "proposer"
)

// Gas limits of transactions that name none. They hold under every rule set;
// what is not used costs nothing. Creation stands just below the limit of one
// transaction (EIP-7825).
const (
	sendGas   = 300_000
	callGas   = 3_000_000
	createGas = 16_000_000
)

// Account is a key in the open.
type Account struct {
	Name    string
	Address common.Address
	Key     *ecdsa.PrivateKey
}

// Account is the account of that name. It follows from the seed and the name
// alone, and owns nothing until it is funded.
func (c *Chain) Account(name string) Account {
	material := fmt.Appendf(nil, "goodcontrol/testnet key seed %d account %s", c.config.Seed, name)
	for {
		material = crypto.Keccak256(material)
		// A hash is no key with a chance of one in 2^127: then its hash is taken.
		if key, err := crypto.ToECDSA(material); err == nil {
			return Account{Name: name, Address: crypto.PubkeyToAddress(key.PublicKey), Key: key}
		}
	}
}

// Tx is a transaction before it is signed. Fields left out get values that work
// on the head.
type Tx struct {
	To        *common.Address // nil creates a contract
	Value     *big.Int        // wei; nil is none
	Data      []byte
	Gas       uint64   // limit; zero means a generous one
	Nonce     *uint64  // nil means the next after what the pool holds
	GasTipCap *big.Int // wei per gas; nil means one gwei
	GasFeeCap *big.Int // wei per gas; nil means the tip and twice the head's base fee
}

// Sign makes a signed EIP-1559 transaction. For a block on another branch than
// the head's, give the nonce: see [Chain.NonceAt].
func (c *Chain) Sign(from Account, tx Tx) (*types.Transaction, error) {
	inner := &types.DynamicFeeTx{
		ChainID: c.chainID, To: tx.To, Value: tx.Value, Data: tx.Data,
		Gas: tx.Gas, GasTipCap: tx.GasTipCap, GasFeeCap: tx.GasFeeCap,
	}
	if inner.Gas == 0 {
		inner.Gas = defaultGas(tx)
	}
	if inner.GasTipCap == nil {
		inner.GasTipCap = big.NewInt(params.GWei)
	}
	if inner.GasFeeCap == nil {
		twice := new(big.Int).Lsh(c.Head().BaseFee, 1)
		inner.GasFeeCap = twice.Add(twice, inner.GasTipCap)
	}
	if tx.Nonce != nil {
		inner.Nonce = *tx.Nonce
	} else {
		inner.Nonce = c.backend.TxPool().PoolNonce(from.Address)
	}
	signed, err := types.SignNewTx(from.Key, c.signer, inner)
	if err != nil {
		return nil, fmt.Errorf("signing transaction %d of %s: %w", inner.Nonce, from.Address, err)
	}
	return signed, nil
}

func defaultGas(tx Tx) uint64 {
	switch {
	case tx.To == nil:
		return createGas
	case len(tx.Data) > 0:
		return callGas
	default:
		return sendGas
	}
}

// Send puts signed transactions into the pool, and returns when they can be
// sealed. It stops at the first that the pool refuses.
func (c *Chain) Send(ctx context.Context, txs ...*types.Transaction) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send(ctx, txs)
}

// send is Send for those who hold the lock.
func (c *Chain) send(ctx context.Context, txs []*types.Transaction) error {
	for _, tx := range txs {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("sending transaction %s: %w", tx.Hash(), err)
		}
		raw, err := tx.MarshalBinary()
		if err != nil {
			return fmt.Errorf("encoding transaction %s: %w", tx.Hash(), err)
		}
		if _, err := c.enter(raw); err != nil {
			return fmt.Errorf("sending transaction %s: %w", tx.Hash(), err)
		}
	}
	return nil
}

// enter is the one way into the pool, for those who hold the lock. The pool gets
// a transaction of its own, because it is told when it arrived: by count and not
// by clock, so that the order within a block is certain.
func (c *Chain) enter(raw []byte) (common.Hash, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(raw); err != nil {
		return common.Hash{}, err
	}
	if !tx.Protected() {
		return common.Hash{}, errors.New("only replay-protected (EIP-155) transactions allowed over RPC")
	}
	c.arrivals++
	tx.SetTime(time.Unix(0, c.arrivals))
	return tx.Hash(), c.backend.TxPool().Add([]*types.Transaction{tx}, true)[0]
}

// entrance takes the place of the node's own eth_sendRawTransaction, which
// answers before the pool has made up its mind and whatever the chain is doing
// at that moment.
type entrance struct{ chain *Chain }

// SendRawTransaction is eth_sendRawTransaction.
func (e *entrance) SendRawTransaction(raw hexutil.Bytes) (common.Hash, error) {
	e.chain.mu.Lock()
	defer e.chain.mu.Unlock()
	return e.chain.enter(raw)
}

// Transact signs and sends. The transaction waits in the pool for the next Seal.
func (c *Chain) Transact(ctx context.Context, from Account, tx Tx) (*types.Transaction, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	signed, err := c.Sign(from, tx)
	if err != nil {
		return nil, err
	}
	return signed, c.send(ctx, []*types.Transaction{signed})
}

// SendETH sends that many wei.
func (c *Chain) SendETH(ctx context.Context, from Account, to common.Address, wei *big.Int) (*types.Transaction, error) {
	return c.Transact(ctx, from, Tx{To: &to, Value: wei})
}

// Fund sends that many wei from the faucet.
func (c *Chain) Fund(ctx context.Context, to common.Address, wei *big.Int) (*types.Transaction, error) {
	return c.SendETH(ctx, c.Account(faucetName), to, wei)
}

// Call executes a message on the head without a transaction, and returns what it
// returned.
func (c *Chain) Call(ctx context.Context, to common.Address, data []byte) ([]byte, error) {
	out, err := c.client.CallContract(ctx, ethereum.CallMsg{To: &to, Data: data}, nil)
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", to, err)
	}
	return out, nil
}

// NonceAt is the account's next nonce after a block of any branch.
func (c *Chain) NonceAt(hash common.Hash, address common.Address) (uint64, error) {
	block, err := c.Block(hash)
	if err != nil {
		return 0, fmt.Errorf("nonce of %s: %w", address, err)
	}
	state, err := c.backend.BlockChain().StateAt(block.Root(), block.Number(), block.Time())
	if err != nil {
		return 0, fmt.Errorf("nonce of %s at block %s: %w", address, hash, err)
	}
	return state.GetNonce(address), nil
}
