// Package sourcetest holds an implementation of chainwatch.Source to its contract.
//
// It never looks into the implementation: it makes a chain grow and fork, and asks.
package sourcetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
)

// World is a chain with the source under test in front of it. Its functions end the
// test when they fail.
type World struct {
	Source chainwatch.Source
	// Watch is empty, and Addresses are two that hold nothing.
	Watch     *chainwatch.WatchSet
	Addresses [2]common.Address
	// Extend appends a block that pays so much of the chain's coin to the address.
	Extend func(to common.Address, units int64) common.Hash
	// Reinclude orphans the last n blocks and appends one that holds all their
	// payments, preceded by an empty one.
	Reinclude func(n int) common.Hash
}

// Test runs the contract against worlds made by newWorld, one for each part.
func Test(t *testing.T, newWorld func(t *testing.T) World) {
	parts := map[string]func(*testing.T, World){
		"headers": headers, "blocks": blocks, "watch set": watchSet,
		"reinclusion": reinclusion, "balances": balances, "cancelled": cancelled,
	}
	for name, part := range parts {
		t.Run(name, func(t *testing.T) { part(t, newWorld(t)) })
	}
}

func headers(t *testing.T, w World) {
	ctx := t.Context()
	w.Extend(w.Addresses[0], 1)
	tip := w.Extend(w.Addresses[0], 2)
	latest, err := w.Source.Header(ctx, chainwatch.At{Tag: chainwatch.Latest})
	if err != nil || latest.Hash != tip {
		t.Fatalf("latest header: %s, %v, expected %s", latest.BlockID, err, tip)
	}
	for h := latest; h.Number > 0; {
		parent, err := w.Source.Header(ctx, chainwatch.At{Hash: h.Parent})
		if err != nil || parent.Number+1 != h.Number || parent.Hash != h.Parent || parent.Time.After(h.Time) {
			t.Fatalf("parent of %+v: %+v, %v", h, parent, err)
		}
		same, err := w.Source.Header(ctx, chainwatch.At{Number: parent.Number})
		if err != nil || same != parent {
			t.Fatalf("block %d by number: %+v, %v, expected %+v", parent.Number, same, err, parent)
		}
		h = parent
	}
	for _, at := range []chainwatch.At{{Number: latest.Number + 1}, {Hash: common.Hash{1}}} {
		if _, err := w.Source.Header(ctx, at); !errors.Is(err, chainwatch.ErrNotFound) {
			t.Errorf("header %s: %v, expected ErrNotFound", at, err)
		}
		if _, err := w.Source.Block(ctx, at, w.Watch); !errors.Is(err, chainwatch.ErrNotFound) {
			t.Errorf("block %s: %v, expected ErrNotFound", at, err)
		}
	}
}

func (w World) block(t *testing.T, hash common.Hash) chainwatch.Block {
	t.Helper()
	b, err := w.Source.Block(t.Context(), chainwatch.At{Hash: hash}, w.Watch)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (w World) watch(t *testing.T, address common.Address) {
	t.Helper()
	if err := w.Watch.Add(custody.EVMPlace(w.Source.Chain(), address)); err != nil {
		t.Fatal(err)
	}
}

func blocks(t *testing.T, w World) {
	w.watch(t, w.Addresses[0])
	hash := w.Extend(w.Addresses[0], 41)
	b := w.block(t, hash)
	again, err := w.Source.Block(t.Context(), chainwatch.At{Number: b.Number}, w.Watch)
	if err != nil || again.Header != b.Header || !slices.Equal(again.Movements, b.Movements) {
		t.Errorf("by number %+v, %v; by hash %+v", again, err, b)
	}
	if len(b.Movements) != 1 || !slices.Contains(b.Touched, w.Addresses[0]) {
		t.Fatalf("block with one payment: %+v", b)
	}
	o := b.Movements[0]
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	want := custody.EVMPlace(w.Source.Chain(), w.Addresses[0])
	if o.To != want || o.Amount != custody.NewAmount(41) || o.Stage != custody.Included || o.Kind != custody.Movement ||
		o.Source != w.Source.Chain() || o.Evidence.Chain != o.Source || !strings.HasPrefix(string(o.Ref), o.Source+"/") ||
		o.Evidence.BlockHash != hash.Hex() || o.Evidence.Block != b.Number || !o.Effective.Equal(b.Time) {
		t.Errorf("payment of 41 to %s in block %s seen as %+v", want, hash, o)
	}
}

func watchSet(t *testing.T, w World) {
	w.watch(t, w.Addresses[0])
	hash := w.Extend(w.Addresses[1], 5)
	if b := w.block(t, hash); len(b.Movements) != 0 || len(b.Touched) != 0 {
		t.Errorf("payment to a stranger: %+v", b)
	}
	w.watch(t, w.Addresses[1])
	if b := w.block(t, w.Extend(w.Addresses[1], 6)); len(b.Movements) != 1 {
		t.Errorf("payment to an address added before: %+v", b)
	}
}

func reinclusion(t *testing.T, w World) {
	w.watch(t, w.Addresses[0])
	var before []custody.Observation
	for units := range int64(3) {
		before = append(before, w.block(t, w.Extend(w.Addresses[0], units+1)).Movements...)
	}
	b := w.block(t, w.Reinclude(3))
	if len(before) != 3 || len(b.Movements) != 3 {
		t.Fatalf("%d movements before, %d after, expected 3", len(before), len(b.Movements))
	}
	for i, was := range before {
		is := b.Movements[i]
		if is.Ref != was.Ref || is.Amount != was.Amount || is.Evidence.BlockHash != b.Hash.Hex() || is.Evidence.BlockHash == was.Evidence.BlockHash {
			t.Errorf("included again: %+v\nwas %+v", is, was)
		}
	}
}

func balances(t *testing.T, w World) {
	ctx := t.Context()
	first := w.block(t, w.Extend(w.Addresses[0], 7))
	orphan := w.block(t, w.Extend(w.Addresses[0], 5))
	want := func(at chainwatch.BlockID, amount int64) {
		t.Helper()
		got, err := w.Source.Balances(ctx, at, w.Addresses[:])
		if err != nil {
			t.Fatal(err)
		}
		found := map[common.Address]custody.Amount{}
		for _, b := range got {
			if b.Asset == chainwatch.NativeAsset(w.Source.Chain()) {
				found[b.Address] = b.Amount
			}
		}
		none, ok := found[w.Addresses[1]]
		if found[w.Addresses[0]] != custody.NewAmount(amount) || !ok || !none.IsZero() {
			t.Errorf("balances at %s: %v, expected %d and a zero that is said", at, found, amount)
		}
	}
	want(first.BlockID, 7)
	want(orphan.BlockID, 12)
	w.Reinclude(1)
	if got, err := w.Source.Balances(ctx, orphan.BlockID, w.Addresses[:]); err == nil {
		t.Errorf("balances at orphan %s: %v, expected an error", orphan.BlockID, got)
	}
}

func cancelled(t *testing.T, w World) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tip := chainwatch.At{Tag: chainwatch.Latest}
	if _, err := w.Source.Header(ctx, tip); !errors.Is(err, context.Canceled) {
		t.Errorf("header with an ended context: %v", err)
	}
	if _, err := w.Source.Block(ctx, tip, w.Watch); !errors.Is(err, context.Canceled) {
		t.Errorf("block with an ended context: %v", err)
	}
}
