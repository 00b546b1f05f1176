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
	// mu lets readers in beside the one goroutine at a time that posts. It alone
	// changes the fields below, and so reads them without it.
	mu        sync.RWMutex
	names     names
	positions table[balance] // by key
	refs      table[uint64]  // the number of each entry, by hash of its ref
	links     map[uint64]link
	pending   map[uint64]waiting // by number
	cursors   map[string][]byte
	sizes     []uint64          // by block, from the first: entries up to and with it
	times     []int64           // by block: when its last entry was recorded
	chains    map[string][]mark // how far each chain had been seen
	tree      tree
	head      Head
	seq       uint64 // newest entry; head.Size except within a block
	recorded  int64  // when it was recorded, or its block made, in nanoseconds
	journal   *reader
}

// key is the number of an account in the upper half, of an asset in the lower.
type key uint64

func (k key) account() uint32 { return uint32(k >> 32) }
func (k key) asset() uint32   { return uint32(k) }

type balance struct{ settled, pending custody.Amount }

func (b balance) isZero() bool { return b == balance{} }

func newView(j Journal) *View {
	return &View{
		links:   make(map[uint64]link),
		pending: make(map[uint64]waiting),
		cursors: make(map[string][]byte),
		chains:  make(map[string][]mark),
		journal: &reader{journal: j},
	}
}

// key finds or gives the numbers of an account and an asset. A number given to a
// batch that is refused later stays unused, and harms nothing.
func (v *View) key(account custody.Account, asset custody.AssetID) key {
	a := v.names.number(account.Name, account.Type)
	s := v.names.last.number
	if v.names.last.text != string(asset) {
		s = v.names.number(string(asset), 0)
	}
	if a == 0 || s == 0 {
		v.mu.Lock()
		if a == 0 {
			a = v.names.add(account.Name, account.Type)
		}
		if s == 0 {
			s = v.names.add(string(asset), 0)
		}
		v.mu.Unlock()
	}
	v.names.last.text, v.names.last.number = v.names.of(s).text, s
	return key(a)<<32 | key(s)
}

// keyOf is the key of an account and an asset, if both have numbers.
func (v *View) keyOf(account custody.Account, asset custody.AssetID) (key, bool) {
	a, s := v.names.number(account.Name, account.Type), v.names.number(string(asset), 0)
	return key(a)<<32 | key(s), a != 0 && s != 0
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
	if k, ok := v.keyOf(account, asset); ok {
		if b := v.positions.find(uint64(k)); b != nil {
			p.Settled, p.Pending = b.settled, b.pending
		}
	}
	return p
}

// Positions lists every position that is not zero in both layers, by account
// (type, then name) and asset.
func (v *View) Positions() []custody.Position {
	v.mu.RLock()
	out := make([]custody.Position, 0, v.positions.len())
	v.positions.each(func(k uint64, b *balance) {
		if !b.isZero() {
			out = append(out, v.position(key(k), *b))
		}
	})
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

// position names a balance.
func (v *View) position(k key, b balance) custody.Position {
	return custody.Position{
		Account: v.names.of(k.account()).account(), Asset: custody.AssetID(v.names.of(k.asset()).text),
		Settled: b.settled, Pending: b.pending,
	}
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
