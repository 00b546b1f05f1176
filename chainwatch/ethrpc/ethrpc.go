// Package ethrpc reaches an Ethereum chain over JSON-RPC. It is a chainwatch.Source,
// and has what a wallet needs to send a signed transaction.
//
// It believes no endpoint: whatever it hands out as a Source has been checked by
// package evm against the hash of the block it is about. An endpoint whose answer
// fails is cordoned: it is asked only when all others fail, and what it said is kept
// as [Evidence]. eth_getLogs is not used.
//
// Blocks are read in their consensus encodings where an endpoint serves these, and the
// sender of a transaction is recovered only where it may be one of ours or the
// transaction touches us. What each step costs, beside eth_getLogs as others use it:
//
//	go test -run xxx -bench . ./chainwatch/ethrpc
//
// It does not decide which block hash is right, either. For that it is a
// chainwatch.Panel: the follower asks each endpoint alone, and lets Config.Agree of
// them agree. That they belong to different operators is for whoever configures them.
//
// It never holds a key, never signs, never decides what is final, and never takes an
// error or an empty answer for the absence of something.
package ethrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/evm"
)

// Token is a token contract that is listed: its transfers are credited.
type Token struct {
	Contract common.Address
	// Layout, where it is known, lets balances and freezes be proven. Without it
	// transfers are seen but no balance is.
	Layout *evm.TokenLayout
	// Implementation is the code behind the proxy for which Layout was established.
	// While the proxy points to other code no balance is proven: an upgrade may have
	// moved everything. Zero compares nothing.
	Implementation common.Address
}

// Config says how to reach a chain and what to look for.
type Config struct {
	// ChainID is the EIP-155 id that every endpoint must report.
	ChainID uint64
	// Endpoints are http, https, ws or wss URLs, the preferred one first.
	Endpoints []string
	// Agree is how many endpoints have to name the same block before it becomes safe
	// or final, or takes the place of another (default 1 with one endpoint, else 2).
	// It protects while fewer than Agree endpoints are hostile.
	Agree int
	// Tokens are the listed tokens. Others are quarantined.
	Tokens []Token
	// Timeout bounds one request (default 20 s), MaxResponse the bytes of one
	// answer (default 64 MiB).
	Timeout     time.Duration
	MaxResponse int64
	// Patience is how long one of several endpoints may take before the next is asked
	// (default 1.5 s).
	Patience time.Duration
	// Plain never asks for blocks in their consensus encodings, which cost a third of
	// JSON objects where an endpoint serves them.
	Plain bool
	// Evidence, when set, is given what an endpoint said that is cordoned, once.
	Evidence func(Evidence)
	// MaxGas bounds what EstimateGas returns (default 1,000,000).
	MaxGas uint64
}

// Client talks to the endpoints of one chain. It may be used by several goroutines.
type Client struct {
	config    Config
	chain     string
	tokens    map[common.Address]Token
	endpoints []*endpoint
	transport *http.Transport

	mu        sync.Mutex
	preferred *endpoint
	headers   map[common.Hash]*types.Header
	recent    []common.Hash        // keys of headers, oldest first
	plain     map[*rpc.Client]bool // of endpoints without consensus encodings
}

var (
	_ chainwatch.Source = (*Client)(nil)
	_ chainwatch.Panel  = (*Client)(nil)
)

// endpoint is one server. Its flags are guarded by Client.mu.
type endpoint struct {
	url      string
	name     string
	rpc      *rpc.Client
	checked  bool // it has reported the right chain id
	slow     bool // it let the last request time out
	cordoned error
}

// Dial prepares the endpoints and asks them for their chain id. One that cannot be
// reached is asked again before it is first used, also when none can: a watcher has
// to start, and to say that it knows nothing, while its chain is dark. One of another
// chain is an error, and when that shows later it is cordoned. The caller closes the
// client.
func Dial(ctx context.Context, config Config) (*Client, error) {
	if config.ChainID == 0 || len(config.Endpoints) == 0 {
		return nil, errors.New("a chain needs a chain id and an endpoint")
	}
	names, err := endpointNames(config.Endpoints)
	if err != nil {
		return nil, err
	}
	if config.Agree == 0 {
		config.Agree = min(2, len(names))
	}
	if config.Agree < 0 || config.Agree > len(names) {
		return nil, fmt.Errorf("%d endpoints have to agree, expected 1 to %d: as many as there are", config.Agree, len(names))
	}
	if config.Timeout == 0 {
		config.Timeout = 20 * time.Second
	}
	if config.Patience == 0 {
		config.Patience = 1500 * time.Millisecond
	}
	if config.MaxResponse == 0 {
		config.MaxResponse = 64 << 20
	}
	if config.MaxGas == 0 {
		config.MaxGas = 1_000_000
	}
	c := &Client{
		config: config, chain: fmt.Sprintf("eip155:%d", config.ChainID),
		tokens:  make(map[common.Address]Token),
		headers: make(map[common.Hash]*types.Header), plain: make(map[*rpc.Client]bool),
		transport: newTransport(config.Endpoints),
	}
	for _, t := range config.Tokens {
		if t.pinned() && (t.Layout == nil || t.Layout.ImplementationSlot == (common.Hash{})) {
			return nil, fmt.Errorf("token %s has a pinned implementation, but no layout that says where to find it", t.Contract)
		}
		c.tokens[t.Contract] = t
	}
	for i, url := range config.Endpoints {
		c.endpoints = append(c.endpoints, &endpoint{url: url, name: names[i]})
	}
	if err := c.dialAll(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) dialAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	errs := make([]error, len(c.endpoints))
	var all sync.WaitGroup
	for i, ep := range c.endpoints {
		all.Go(func() { errs[i] = c.use(ctx, ep) })
	}
	all.Wait()
	for _, err := range errs {
		if errors.Is(err, errOtherChain) {
			return err
		}
	}
	return nil
}

// dialTimeout bounds how long Dial waits for endpoints that do not answer.
const dialTimeout = 3 * time.Second

// Close ends the connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ep := range c.endpoints {
		if ep.rpc != nil {
			ep.rpc.Close()
		}
	}
	c.transport.CloseIdleConnections()
}

// Chain is the chain's CAIP-2 name.
func (c *Client) Chain() string { return c.chain }

// Cordoned lists by name the endpoints that delivered data which do not verify, or that
// others have contradicted, with why.
func (c *Client) Cordoned() map[string]error {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]error)
	for _, ep := range c.endpoints {
		if ep.cordoned != nil {
			out[ep.name] = ep.cordoned
		}
	}
	return out
}

// maxHeaders bounds the verified headers that are remembered: enough for the blocks
// that are not yet final.
const maxHeaders = 128

func (c *Client) remember(h *types.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hash := h.Hash()
	if _, ok := c.headers[hash]; ok {
		return
	}
	if len(c.recent) == maxHeaders {
		delete(c.headers, c.recent[0])
		c.recent = slices.Delete(c.recent, 0, 1)
	}
	c.headers[hash] = h
	c.recent = append(c.recent, hash)
}

func (c *Client) remembered(hash common.Hash) *types.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers[hash]
}

// newTransport compresses nothing when every endpoint is on this machine: unpacking
// costs more than it saves there.
func newTransport(urls []string) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 8
	t.DisableCompression = !slices.ContainsFunc(urls, func(url string) bool {
		return !strings.Contains(url, "://127.0.0.1") && !strings.Contains(url, "://localhost") && !strings.Contains(url, "://[::1]")
	})
	return t
}
