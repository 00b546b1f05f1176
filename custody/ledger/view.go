package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"goodcontrol/custody"
)

// A View is the books as they are after some entry: the fold of all entries up to
// it. The one inside Books goes on; the one that AsOf returns stands still.
//
// Its digest, Header.State, is a chain: the digest after a block is the SHA-256 of
// the digest before it and of every position that the block changed, in the order
// first touched, with the account, the asset and both layers as they are after the
// block. It costs a block its own changes, however many positions there are, and
// two folds agree in it only if they agreed after every block before.
type View struct {
	// mu lets readers in beside the one goroutine that posts. That goroutine
	// alone changes the fields below, and so reads them without it.
	mu       sync.RWMutex
	accounts names[custody.Account]
	assets   names[custody.AssetID]
	balances map[key]balance          // without those that are zero in both layers
	refs     map[custody.Ref]uint64   // the number of each entry
	records  []record                 // by number, from the first
	pending  map[uint64][]custody.Leg // by number, of entries that wait to be resolved
	cursors  map[string][]byte
	sizes    []uint64 // by block, from the first: entries up to and with it
	tree     tree
	head     Head
	seq      uint64 // newest entry; head.Size except within a block
	recorded int64  // when it was recorded, or its block made, in nanoseconds
}

// key is the number of an account in the upper half, of an asset in the lower: a
// map of such keys to plain numbers has nothing for the garbage collector to
// follow.
type key uint64

type balance struct{ settled, pending custody.Amount }

func (b balance) isZero() bool { return b == balance{} }

// names gives each name a small number, in the order of first use.
type names[T comparable] struct {
	number map[T]uint32
	list   []T
}

func (n *names[T]) add(name T) uint32 {
	number := uint32(len(n.list))
	n.number[name] = number
	n.list = append(n.list, name)
	return number
}

func newView() *View {
	return &View{
		accounts: names[custody.Account]{number: make(map[custody.Account]uint32)},
		assets:   names[custody.AssetID]{number: make(map[custody.AssetID]uint32)},
		balances: make(map[key]balance),
		refs:     make(map[custody.Ref]uint64),
		pending:  make(map[uint64][]custody.Leg),
		cursors:  make(map[string][]byte),
	}
}

// key finds or gives the numbers of an account and an asset. A number given to a
// batch that is refused later stays unused, and harms nothing.
func (v *View) key(account custody.Account, asset custody.AssetID) key {
	a, knownAccount := v.accounts.number[account]
	s, knownAsset := v.assets.number[asset]
	if !knownAccount || !knownAsset {
		v.mu.Lock()
		defer v.mu.Unlock()
		if !knownAccount {
			a = v.accounts.add(account)
		}
		if !knownAsset {
			s = v.assets.add(asset)
		}
	}
	return key(a)<<32 | key(s)
}

// names is the account and asset of a key.
func (v *View) names(k key) (custody.Account, custody.AssetID) {
	return v.accounts.list[k>>32], v.assets.list[uint32(k)]
}

// Head is where the journal ended when the view was made. For a view within a
// block it is the head before that block.
func (v *View) Head() Head {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.head
}

// Seq is the number of the newest entry in the view.
func (v *View) Seq() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.seq
}

// Position is what the books say of one account and asset; zero where they say
// nothing.
func (v *View) Position(account custody.Account, asset custody.AssetID) custody.Position {
	v.mu.RLock()
	defer v.mu.RUnlock()
	p := custody.Position{Account: account, Asset: asset}
	a, knownAccount := v.accounts.number[account]
	s, knownAsset := v.assets.number[asset]
	if knownAccount && knownAsset {
		b := v.balances[key(a)<<32|key(s)]
		p.Settled, p.Pending = b.settled, b.pending
	}
	return p
}

// Positions lists every position that is not zero in both layers, by account
// (type, then name) and asset.
func (v *View) Positions() []custody.Position {
	v.mu.RLock()
	out := make([]custody.Position, 0, len(v.balances))
	for k, b := range v.balances {
		account, asset := v.names(k)
		out = append(out, custody.Position{Account: account, Asset: asset, Settled: b.settled, Pending: b.pending})
	}
	v.mu.RUnlock()
	slices.SortFunc(out, func(a, b custody.Position) int {
		return cmp.Or(
			cmp.Compare(a.Account.Type, b.Account.Type),
			cmp.Compare(a.Account.Name, b.Account.Name),
			cmp.Compare(a.Asset, b.Asset),
		)
	})
	return out
}

// Total is one line of the trial balance.
type Total struct {
	Asset custody.AssetID `json:"asset"`
	Layer custody.Layer   `json:"layer"`
	For   custody.Amount  `json:"for"`
	At    custody.Amount  `json:"at"`
}

// TrialBalance adds up the positions of each side, per asset and layer. For
// equals At in every line of it; the sums are made afresh from the positions at
// each call, so that a caller who compares them has checked something. A sum
// that does not fit an Amount is an error.
func (v *View) TrialBalance() ([]Total, error) {
	type column struct {
		asset custody.AssetID
		layer custody.Layer
	}
	sums := make(map[column]*Total)
	for _, p := range v.Positions() {
		for layer, amount := range map[custody.Layer]custody.Amount{custody.Settled: p.Settled, custody.Pending: p.Pending} {
			if amount.IsZero() {
				continue
			}
			t, ok := sums[column{p.Asset, layer}]
			if !ok {
				t = &Total{Asset: p.Asset, Layer: layer}
				sums[column{p.Asset, layer}] = t
			}
			side := &t.At
			if p.Account.Side() == custody.For {
				side = &t.For
			}
			if *side, ok = side.Add(amount); !ok {
				return nil, fmt.Errorf("trial balance: sum of %s %s on side %s overflows at %s", p.Asset, layer, p.Account.Side(), p.Account)
			}
		}
	}
	out := make([]Total, 0, len(sums))
	for _, t := range sums {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b Total) int {
		return cmp.Or(cmp.Compare(a.Asset, b.Asset), cmp.Compare(a.Layer, b.Layer))
	})
	return out, nil
}

// Cursor is the source's newest cursor, and whether it has one.
func (v *View) Cursor(source string) ([]byte, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	value, ok := v.cursors[source]
	return slices.Clone(value), ok
}
