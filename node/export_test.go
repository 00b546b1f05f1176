package node

import (
	"context"
	"fmt"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/reserve"
)

// Chain is how far the node has followed a chain.
func (n *Node) Chain(id string) chainwatch.Health { return n.chains[id].follower.Health() }

// Look makes the node look at everything again, and returns when that is
// published: what was known before the call is in the picture after it.
func (n *Node) Look(ctx context.Context) error { return n.put(ctx, reading{}) }

// Halt stops posting, as a journal in an unknown state does.
func (n *Node) Halt(ctx context.Context, why error) error {
	return n.put(ctx, reading{decide: func(*fold) ([]custody.Entry, error) { return nil, fmt.Errorf("%w: %w", errHalt, why) }})
}

// Trial is the trial balance.
func (n *Node) Trial() ([]ledger.Total, error) { return n.books.TrialBalance() }

// Published are the positions and the reserve lines of the picture that readers see.
func (n *Node) Published() ([]custody.Position, []reserve.Statement) {
	p := n.picture.Load()
	return p.positions, p.statements
}

// PlainLines computes the lines of the published picture the slow way, from its
// positions.
func (n *Node) PlainLines() ([]reserve.LineItems, error) {
	p := n.picture.Load()
	day := p.statements[0].Params.AsOf
	pack, err := n.rules.At(day)
	if err != nil {
		return nil, err
	}
	var prices map[custody.AssetID]reserve.Price
	err = n.put(context.Background(), reading{decide: func(f *fold) ([]custody.Entry, error) {
		prices = f.lines.Prices() // on the goroutine that owns them
		return nil, nil
	}})
	if err != nil {
		return nil, err
	}
	b, err := reserve.FromPositions(reserve.Inputs{Basis: reserve.Basis{AsOf: day, Rules: pack, Banks: n.banks, Registers: n.registers}, Assets: n.lookup, Positions: p.positions, Prices: prices})
	return []reserve.LineItems{b.Customer.Items, b.PAB.Items}, err
}

// Whole is an amount as people read it.
func (n *Node) Whole(asset custody.AssetID, amount custody.Amount) string {
	return n.whole(asset, amount)
}

// Journal is what the node's books stand on.
func (n *Node) Journal() ledger.Journal { return n.store }
