package testnet

import (
	"fmt"
	"maps"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/eth/tracers"
	_ "github.com/ethereum/go-ethereum/eth/tracers/native" // prestateTracer and callTracer
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
)

const (
	loopback      = "127.0.0.1"
	blockGasLimit = 60_000_000 // the main network's

	// buildBudget bounds the filling of one block. Nothing waits for it: a block
	// takes milliseconds, and one that takes longer than this is an error.
	buildBudget = 20 * time.Second

	// startBudget bounds the wait for a started node in the same way.
	startBudget = 10 * time.Second

	// poolSlots lets one account have as many transactions waiting as a block
	// can hold several times over; the node's defaults cut it to 16 under load.
	poolSlots = 32_768

	cacheMegabytes = 16
)

// assemble puts the node together and starts it. The engine API is not part of
// it: what it does with a block are two calls on the block chain (see seal and
// moveHead), its object never ends its own goroutine, and it skips in silence
// some of the very moves a test world is for.
func (c *Chain) assemble(genesis *core.Genesis) error {
	stack, err := node.New(c.nodeConfig())
	if err != nil {
		return err
	}
	c.backend, err = eth.New(stack, c.ethConfig(genesis))
	if err != nil {
		return closeAfter(stack, err)
	}
	logs := filters.NewFilterSystem(c.backend.APIBackend, filters.Config{})
	stack.RegisterAPIs([]rpc.API{{Namespace: "eth", Service: filters.NewFilterAPI(logs)}})
	stack.RegisterAPIs(tracers.APIs(c.backend.APIBackend))
	stack.RegisterAPIs([]rpc.API{{Namespace: "eth", Service: &entrance{chain: c}}})
	if err := stack.Start(); err != nil {
		return closeAfter(stack, err)
	}
	c.stack = stack
	return nil
}

// closeAfter frees what a node took before its start went wrong.
func closeAfter(stack *node.Node, cause error) error {
	if err := stack.Close(); err != nil {
		return fmt.Errorf("%w (and closing it: %w)", cause, err)
	}
	return cause
}

// nodeConfig serves HTTP and WebSocket on one free port of loopback, and reaches
// no other node.
func (c *Chain) nodeConfig() *node.Config {
	config := node.DefaultConfig
	config.Name = "testnet"
	config.DataDir = c.config.DataDir
	config.P2P = p2p.Config{NoDiscovery: true, NoDial: true}
	config.HTTPHost, config.HTTPPort = loopback, 0
	config.WSHost, config.WSPort = loopback, 0
	config.HTTPModules = []string{"eth", "net", "web3", "debug", "txpool"}
	config.WSModules = config.HTTPModules
	return &config
}

func (c *Chain) ethConfig(genesis *core.Genesis) *ethconfig.Config {
	config := ethconfig.Defaults
	config.Genesis = genesis
	config.SyncMode = ethconfig.FullSync
	config.StateScheme = rawdb.HashScheme // keeps the state of every branch, not only of the last 128 blocks
	config.NoPruning = !c.config.Pruned
	config.LogNoHistory = true
	config.DatabaseCache = cacheMegabytes
	config.TrieCleanCache = cacheMegabytes
	config.TrieDirtyCache = cacheMegabytes
	config.SnapshotCache = 0
	config.RPCTxFeeCap = 0 // none: gas limits here are generous, and unused gas costs nothing
	config.Miner.Recommit = buildBudget
	config.Miner.GasCeil = blockGasLimit
	config.Miner.GasPrice = big.NewInt(1)
	config.TxPool.NoLocals = true
	config.TxPool.Journal = ""
	config.TxPool.PriceLimit = 1
	config.TxPool.AccountSlots, config.TxPool.GlobalSlots = poolSlots, 2*poolSlots
	config.TxPool.AccountQueue, config.TxPool.GlobalQueue = poolSlots, 2*poolSlots
	return &config
}

// genesisSpec is block zero: the system contracts, the prefunded accounts, and
// what the caller wants there.
func (c *Chain) genesisSpec() (*core.Genesis, error) {
	seconds := c.config.GenesisTime.Unix()
	if seconds < 0 {
		return nil, fmt.Errorf("time %s is before 1970", c.config.GenesisTime.Format(time.RFC3339))
	}
	rules, err := chainRules(c.config.Rules, c.chainID)
	if err != nil {
		return nil, err
	}
	alloc := core.SystemContractAllocs()
	fortune := new(big.Int).Mul(big.NewInt(prefundedEther), big.NewInt(etherInWei))
	for _, name := range append([]string{faucetName, adminName, issuerName}, c.config.Prefund...) {
		alloc[c.Account(name).Address] = types.Account{Balance: fortune}
	}
	for address := range c.config.Alloc {
		if _, taken := alloc[address]; taken {
			return nil, fmt.Errorf("alloc names %s, which is a prefunded account or a system contract", address)
		}
	}
	maps.Copy(alloc, c.config.Alloc)
	return &core.Genesis{
		Config:     rules,
		Timestamp:  uint64(seconds),
		GasLimit:   blockGasLimit,
		Difficulty: new(big.Int),
		Alloc:      alloc,
		ExtraData:  crypto.Keccak256(fmt.Appendf(nil, "goodcontrol/testnet seed %d", c.config.Seed)),
	}, nil
}

// chainRules is the node's own development configuration up to the named fork.
func chainRules(rules Rules, chainID *big.Int) (*params.ChainConfig, error) {
	config := *params.AllDevChainProtocolChanges
	config.ChainID = chainID
	config.AmsterdamTime, config.BogotaTime = nil, nil
	switch rules {
	case Osaka:
	case Amsterdam:
		config.AmsterdamTime = new(uint64)
	case Bogota:
		config.AmsterdamTime, config.BogotaTime = new(uint64), new(uint64)
	default:
		return nil, fmt.Errorf("rules %d: want Osaka (%d), Amsterdam (%d) or Bogota (%d)", rules, Osaka, Amsterdam, Bogota)
	}
	return &config, nil
}
