package testnet

import (
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/node"
)

const (
	// DefaultChainID is the chain id of a ChainConfig that names none.
	DefaultChainID = 1337

	// BlockInterval is the time between two blocks of a chain without a clock:
	// a slot of the Ethereum main network.
	BlockInterval = 12 * time.Second

	defaultGenesisTime = 1767225600 // 2026-01-01T00:00:00Z
	etherInWei         = 1_000_000_000_000_000_000
	prefundedEther     = 1_000_000
)

// Rules names the protocol rules that hold from the genesis block on. Each set
// includes those before it.
type Rules int

// The rule sets. Gas costs and logs differ between them: no test should count
// on a gas amount without naming its rules.
const (
	Osaka     Rules = iota // the rules of the main network; native transfers leave no log
	Amsterdam              // native transfers leave a log (EIP-7708), state is dearer
	Bogota
)

// ChainConfig says which chain to build. The zero value is a chain like the
// main network with id 1337, in memory.
type ChainConfig struct {
	// ChainID is the EIP-155 chain id; zero means DefaultChainID.
	ChainID uint64

	// Seed makes keys and block randomness. Chains of the same seed have the
	// same accounts, whatever their ids.
	Seed uint64

	// Prefund names the accounts (see [Chain.Account]) that own a million ether
	// in the genesis block. The faucet, the token's admin and its issuer always do.
	Prefund []string

	// Alloc is put into the genesis block beside the prefunded accounts and the
	// system contracts.
	Alloc types.GenesisAlloc

	// Rules are the protocol rules; the zero value is Osaka.
	Rules Rules

	// GenesisTime is when the first block was made; the zero value means the
	// start of 2026, UTC. The time is cut to seconds.
	GenesisTime time.Time

	// Now is asked for the time of each block. A block is never older than one
	// second after its parent. Without Now a block stands BlockInterval after
	// its parent.
	Now func() time.Time

	// Pruned forgets the state of blocks older than 128, as an ordinary full
	// node does. Otherwise the state of every block can be asked for.
	Pruned bool

	// DataDir keeps the chain on disk, and continues the chain that lies there.
	// Empty means in memory.
	DataDir string
}

// Chain is an Ethereum node of one, in this process. Its methods may be called
// from several goroutines; those that build blocks, move the head or send
// transactions wait for each other, and so do senders over RPC.
type Chain struct {
	config  ChainConfig
	chainID *big.Int
	signer  types.Signer
	stack   *node.Node
	backend *eth.Ethereum
	client  *ethclient.Client

	closing  sync.Once
	closeErr error

	// mu is held while a block is built, while the head moves and while a
	// transaction enters the pool. The pool promotes nothing that arrives while
	// it follows the head, and answers only one of two that wait for it; so
	// nobody but the holder speaks to it.
	mu       sync.Mutex
	built    uint64 // blocks built so far, on any branch: makes twins differ
	arrivals int64  // transactions taken so far: their order, which no clock blurs
}

// NewChain starts a node and makes its genesis block latest, safe and finalized.
// The caller closes it.
func NewChain(config ChainConfig) (*Chain, error) {
	if config.ChainID == 0 {
		config.ChainID = DefaultChainID
	}
	if config.GenesisTime.IsZero() {
		config.GenesisTime = time.Unix(defaultGenesisTime, 0)
	}
	c := &Chain{config: config, chainID: new(big.Int).SetUint64(config.ChainID)}
	c.signer = types.LatestSignerForChainID(c.chainID)
	genesis, err := c.genesisSpec()
	if err != nil {
		return nil, fmt.Errorf("genesis of chain %d: %w", config.ChainID, err)
	}
	if err := c.assemble(genesis); err != nil {
		return nil, fmt.Errorf("starting the node of chain %d: %w", config.ChainID, err)
	}
	c.client = ethclient.NewClient(c.stack.Attach())

	if err := c.settle(); err != nil {
		return nil, closeAfter(c.stack, fmt.Errorf("starting the node of chain %d: %w", config.ChainID, err))
	}
	return c, nil
}

// settle brings a started node to rest: in sync with the network that it is
// alone in, its index of transactions begun, its three tags set.
func (c *Chain) settle() error {
	c.backend.SetSynced()
	bc := c.backend.BlockChain()
	if bc.CurrentBlock().Number.Sign() == 0 {
		// The index starts with the first block, on a goroutine of its own, and
		// until it has started the node says that it is syncing and that an
		// unknown transaction may exist. An index from block zero on is
		// complete; the node takes it up when it is told of a head.
		rawdb.WriteTxIndexTail(c.backend.ChainDb(), 0)
		if err := bc.SetHead(0); err != nil {
			return fmt.Errorf("announcing the genesis block: %w", err)
		}
	}
	if bc.CurrentFinalBlock() == nil {
		bc.SetFinalized(bc.Genesis().Header())
	}
	if bc.CurrentSafeBlock() == nil {
		bc.SetSafe(bc.CurrentFinalBlock())
	}
	if err := c.backend.TxPool().Sync(); err != nil {
		return fmt.Errorf("waiting for the pool: %w", err)
	}
	return c.awaitIndex()
}

// awaitIndex returns when the node has an index of its transactions. The node
// sends no word of that, so it is asked again and again.
func (c *Chain) awaitIndex() error {
	limit, again := time.NewTimer(startBudget), time.NewTicker(100*time.Microsecond)
	defer limit.Stop()
	defer again.Stop()
	for !c.backend.BlockChain().TxIndexDone() {
		select {
		case <-again.C:
		case <-limit.C:
			return fmt.Errorf("no index of transactions after %s", startBudget)
		}
	}
	return nil
}

// Close stops the node and frees its ports. Closing twice gives the first answer
// again. A subscription that is open at this moment, or was ended just before,
// may leave one goroutine of the node behind.
func (c *Chain) Close() error {
	c.closing.Do(func() {
		c.client.Close()
		if err := c.stack.Close(); err != nil {
			c.closeErr = fmt.Errorf("closing the node of chain %d: %w", c.config.ChainID, err)
		}
	})
	return c.closeErr
}

// HTTPURL is where the node answers JSON-RPC over HTTP.
func (c *Chain) HTTPURL() string { return c.stack.HTTPEndpoint() }

// WSURL is where the node answers JSON-RPC over WebSocket.
func (c *Chain) WSURL() string { return c.stack.WSEndpoint() }

// ChainID is the EIP-155 chain id.
func (c *Chain) ChainID() *big.Int { return new(big.Int).Set(c.chainID) }

// Client asks the node without a connection. It is the caller's shortcut; what
// is under test should use the URLs.
func (c *Chain) Client() *ethclient.Client { return c.client }

// Genesis is block zero.
func (c *Chain) Genesis() *types.Block { return c.backend.BlockChain().Genesis() }

// Head is the latest block.
func (c *Chain) Head() *types.Header { return c.backend.BlockChain().CurrentBlock() }

// Safe is the block that the tag "safe" names.
func (c *Chain) Safe() *types.Header { return c.backend.BlockChain().CurrentSafeBlock() }

// Finalized is the block that the tag "finalized" names.
func (c *Chain) Finalized() *types.Header { return c.backend.BlockChain().CurrentFinalBlock() }

// Block is the block of that hash on any branch.
func (c *Chain) Block(hash common.Hash) (*types.Block, error) {
	b := c.backend.BlockChain().GetBlockByHash(hash)
	if b == nil {
		return nil, fmt.Errorf("block %s is unknown to chain %d", hash, c.config.ChainID)
	}
	return b, nil
}

// randomness is what the beacon chain would have given the next block. Two
// blocks built since NewChain never share it, so that a sibling with the same
// transactions is still another block.
func (c *Chain) randomness() common.Hash {
	c.built++
	return crypto.Keccak256Hash(fmt.Appendf(nil, "goodcontrol/testnet block %d of chain %d seed %d",
		c.built, c.config.ChainID, c.config.Seed))
}
