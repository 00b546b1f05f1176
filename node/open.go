package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch"
	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody/wallet"
	"goodcontrol/offchain"
)

// layouts are the ways in which tokens keep balances that can be proven.
var layouts = map[string]evm.TokenLayout{"": {}, "usdc-v2.2": evm.USDCv22Layout()}

func layoutNames() []string { return slices.Sorted(maps.Keys(layouts))[1:] }

// openSources prepares every source. Chains are dialled, so that an endpoint of
// another chain is found out at start.
func (n *Node) openSources(ctx context.Context) error {
	for _, config := range n.config.Chains {
		c, err := n.openChain(ctx, config)
		if err != nil {
			return fmt.Errorf("chain %s: %w", config.ID, err)
		}
		n.chains[config.ID] = c
		n.sources = append(n.sources, c)
		if config.Hints != "" {
			n.sources = append(n.sources, hints{c})
		}
	}
	for _, w := range n.fold.settle.Wallets() {
		if n.chains[w.Chain] == nil {
			return fmt.Errorf("wallet %s is on chain %s, which is not among the chains: what is ours is always watched", w.ID, w.Chain)
		}
	}
	for _, config := range n.config.Inboxes {
		in, err := offchain.OpenInbox(offchain.InboxConfig{Source: config.Source, Dir: config.Folder})
		if err != nil {
			return err
		}
		read, err := config.reader()
		if err != nil {
			return fmt.Errorf("inbox of %s: %w", config.Source, err)
		}
		n.sources = append(n.sources, &inbox{n: n, config: config, files: in, reader: read})
	}
	if n.config.Wires.Outbox != "" {
		n.sources = append(n.sources, outbox{n})
	}
	if n.signers != nil {
		n.sources = append(n.sources, quorum{n})
	}
	if n.signers != nil && n.policy.Load() != nil {
		n.sources = append(n.sources, wayOut{n})
	}
	return n.watchAddresses()
}

func (n *Node) openChain(ctx context.Context, config ChainConfig) (*chain, error) {
	id, err := wallet.ParseChain(config.ID)
	if err != nil {
		return nil, err
	}
	if !id.IsUint64() {
		return nil, fmt.Errorf("chain id %s, expected at most 64 bits", id)
	}
	client, err := ethrpc.Dial(ctx, ethrpc.Config{ChainID: id.Uint64(), Endpoints: config.Endpoints, Agree: config.Agree, Plain: config.Plain, Evidence: n.keepEvidence, Tokens: n.tokens(config.ID)})
	if err != nil {
		return nil, err
	}
	watch := chainwatch.NewWatchSet(config.ID)
	cursor, followed := n.books.Cursor(config.ID)
	if followed {
		if n.finals[config.ID], err = chainwatch.FinalOf(config.ID, cursor); err != nil {
			client.Close()
			return nil, err
		}
	}
	c := &chain{config: config, watch: watch, client: client, hints: make(chan struct{}, 1)}
	c.follower = &chainwatch.Follower{
		Source: client, Watch: watch, Now: n.now, Cursor: cursor, Poll: config.Poll, SweepEvery: config.Sweep, Hints: c.hints,
		Released: c.released,
	}
	return c, nil
}

// tokens are the listed tokens of a chain.
func (n *Node) tokens(chain string) []ethrpc.Token {
	var all []ethrpc.Token
	for _, a := range n.config.Assets {
		_, contract, is := strings.Cut(string(a.ID), "/erc20:")
		if !is || a.ID.Chain() != chain {
			continue
		}
		layout := layouts[a.Layout]
		all = append(all, ethrpc.Token{
			Contract: common.HexToAddress(contract), Layout: &layout, Implementation: common.HexToAddress(a.Implementation),
		})
	}
	return all
}

// hints listens for word of new blocks. Without it the chain is still polled.
type hints struct{ c *chain }

func (h hints) name() string { return h.c.name() + " hints" }

// pause is the wait before a broken subscription is made anew.
const pause = 5 * time.Second

func (h hints) run(ctx context.Context, _ func(context.Context, reading) error) error {
	return h.c.client.Hints(ctx, h.c.config.Hints, pause, h.c.hints)
}
