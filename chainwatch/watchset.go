package chainwatch

import (
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// WatchSet is the set of addresses of one chain that are ours. It may be used by
// several goroutines. An address is never removed: what was once ours stays
// watched. A million addresses take about 80 MB.
type WatchSet struct {
	chain string
	mu    sync.RWMutex
	has   map[common.Address]struct{}
	order []common.Address
}

// NewWatchSet returns an empty set for the chain of the given CAIP-2 name.
func NewWatchSet(chain string) *WatchSet {
	return &WatchSet{chain: chain, has: make(map[common.Address]struct{})}
}

// Add adds a CAIP-10 place of the chain. It is seen from the next block on.
func (w *WatchSet) Add(place custody.Place) error {
	address, err := w.address(place)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.has[address]; !ok {
		w.has[address] = struct{}{}
		w.order = append(w.order, address)
	}
	return nil
}

func (w *WatchSet) address(place custody.Place) (common.Address, error) {
	chain, address, err := custody.ParseEVMPlace(place)
	if err == nil && chain != w.chain {
		err = fmt.Errorf("place %q is not on chain %s", place, w.chain)
	}
	return address, err
}

// Has says whether a place is in the set.
func (w *WatchSet) Has(place custody.Place) bool {
	address, err := w.address(place)
	return err == nil && w.HasAddress(address)
}

// HasAddress says whether an address is in the set.
func (w *WatchSet) HasAddress(address common.Address) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	_, ok := w.has[address]
	return ok
}

// Len is the number of addresses in the set.
func (w *WatchSet) Len() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return len(w.order)
}

// slice returns at most limit addresses in the order in which they were added,
// beginning with the one at index from.
func (w *WatchSet) slice(from, limit int) []common.Address {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if from >= len(w.order) {
		return nil
	}
	return append([]common.Address(nil), w.order[from:min(from+limit, len(w.order))]...)
}
