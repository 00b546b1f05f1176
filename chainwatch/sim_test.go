package chainwatch_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
)

const simChainName = "eip155:7"

// simTx pays units to an address. A silent one leaves no trace in the block.
type simTx struct {
	id     int
	to     common.Address
	units  int64
	silent bool
}

type simBlock struct {
	header  chainwatch.Header
	txs     []simTx
	balance map[common.Address]int64
	frozen  map[common.Address]bool
}

// simChain is a chain in memory: the slow oracle, and a source. It is the second
// implementation of chainwatch.Source.
type simChain struct {
	mu          sync.Mutex
	all         map[common.Hash]*simBlock
	canon       []*simBlock
	safe, final int
	made        int
	fail        func() error // asked before each answer
}

func newSim() *simChain {
	c := &simChain{all: map[common.Hash]*simBlock{}, fail: func() error { return nil }}
	c.extend(nil, nil)
	return c
}

var errSim = errors.New("the source is out of order")

func (c *simChain) tip() *simBlock { return c.canon[len(c.canon)-1] }

// extend appends a block with these transactions; the addresses in toggle change
// between frozen and not.
func (c *simChain) extend(txs []simTx, toggle []common.Address) *simBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	b := &simBlock{txs: txs, balance: map[common.Address]int64{}, frozen: map[common.Address]bool{}}
	var seed [16]byte
	binary.BigEndian.PutUint64(seed[:], uint64(c.made))
	b.header.Number = uint64(len(c.canon))
	if len(c.canon) > 0 {
		parent := c.tip()
		b.header.Parent = parent.header.Hash
		maps.Copy(b.balance, parent.balance)
		maps.Copy(b.frozen, parent.frozen)
	}
	b.header.Hash = crypto.Keccak256Hash(seed[:], b.header.Parent[:])
	b.header.Time = time.Unix(1_700_000_000+12*int64(b.header.Number), 0).UTC()
	for _, tx := range txs {
		b.balance[tx.to] += tx.units
	}
	for _, a := range toggle {
		b.frozen[a] = !b.frozen[a]
	}
	c.all[b.header.Hash] = b
	c.canon = append(c.canon, b)
	return b
}

// cut takes the last n blocks away and returns their transactions, oldest first.
func (c *simChain) cut(n int) []simTx {
	var txs []simTx
	for _, b := range c.canon[len(c.canon)-n:] {
		txs = append(txs, b.txs...)
	}
	c.canon = c.canon[:len(c.canon)-n]
	c.safe = min(c.safe, len(c.canon)-1)
	return txs
}

func (c *simChain) find(ctx context.Context, at chainwatch.At) (*simBlock, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(ctx.Err(), c.fail()); err != nil {
		return nil, err
	}
	number := at.Number
	switch {
	case at.Tag == chainwatch.Latest:
		number = uint64(len(c.canon) - 1)
	case at.Tag == chainwatch.SafeHead:
		number = uint64(c.safe)
	case at.Tag == chainwatch.Finalized:
		number = uint64(c.final)
	case at.Hash != common.Hash{}:
		if b := c.all[at.Hash]; b != nil {
			return b, nil
		}
		return nil, chainwatch.ErrNotFound
	}
	if number >= uint64(len(c.canon)) {
		return nil, chainwatch.ErrNotFound
	}
	return c.canon[number], nil
}

func (c *simChain) Chain() string { return simChainName }

func (c *simChain) Header(ctx context.Context, at chainwatch.At) (chainwatch.Header, error) {
	b, err := c.find(ctx, at)
	if err != nil {
		return chainwatch.Header{}, err
	}
	return b.header, nil
}

func (c *simChain) Block(ctx context.Context, at chainwatch.At, watch *chainwatch.WatchSet) (chainwatch.Block, error) {
	b, err := c.find(ctx, at)
	if err != nil {
		return chainwatch.Block{}, err
	}
	out := chainwatch.Block{Header: b.header}
	for _, tx := range b.txs {
		if watch.HasAddress(tx.to) && !tx.silent {
			out.Movements = append(out.Movements, b.movement(tx))
			out.Touched = append(out.Touched, tx.to)
		}
	}
	return out, nil
}

func simRef(tx simTx) custody.Ref {
	return custody.Ref(fmt.Sprintf("%s/tx/%d/value", simChainName, tx.id))
}

func (b *simBlock) movement(tx simTx) custody.Observation {
	return custody.Observation{
		Ref: simRef(tx), Kind: custody.Movement, Stage: custody.Included, Source: simChainName,
		Asset: chainwatch.NativeAsset(simChainName), Amount: custody.NewAmount(tx.units), To: custody.EVMPlace(simChainName, tx.to),
		Effective: b.header.Time,
		Evidence:  custody.Evidence{Chain: simChainName, Block: b.header.Number, BlockHash: b.header.Hash.Hex(), Log: -1},
	}
}

func (c *simChain) Balances(ctx context.Context, at chainwatch.BlockID, addresses []common.Address) ([]chainwatch.Balance, error) {
	b, err := c.find(ctx, chainwatch.At{Number: at.Number})
	if err != nil {
		return nil, err
	}
	if b.header.Hash != at.Hash {
		return nil, errors.New("hash is not currently canonical")
	}
	var out []chainwatch.Balance
	for _, a := range addresses {
		out = append(out, chainwatch.Balance{
			Address: a, Asset: chainwatch.NativeAsset(simChainName), Amount: custody.NewAmount(b.balance[a]), Frozen: b.frozen[a],
		})
	}
	return out, nil
}

func simAddress(i int) common.Address { return common.BytesToAddress([]byte{0xad, byte(i)}) }
