package chainwatch

import (
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// WatchSet is the set of addresses of one chain that are ours. It may be used by
// several goroutines. An address is never removed: what was once ours stays
// watched.
//
// A million addresses take 29 MB (BenchmarkWatchSet): the addresses themselves, in pieces that are never
// moved, and a table of open addressing with four bytes of index and one of the hash
// for each place. The hash is seeded, so that nobody can choose addresses which
// collide.
//
// It also knows which nonces our addresses may use, so that the sender of a
// transaction needs to be recovered from its signature, the dearest step of all, only
// where its nonce is one of these: see [WatchSet.Use].
type WatchSet struct {
	chain  string
	seed   maphash.Seed
	mu     sync.RWMutex
	pieces [][]common.Address // each of pieceSize but the last
	count  int
	index  []uint32 // of an address, plus one; zero is a free place
	marks  []uint8  // a part of the hash of what is at the place

	nonces  map[uint64]struct{} // that some address may use, or has used
	unknown bool                // of some address they are not known
}

const pieceSize = 4096

// NewWatchSet returns an empty set for the chain of the given CAIP-2 name.
func NewWatchSet(chain string) *WatchSet {
	const places = 1024
	return &WatchSet{
		chain: chain, seed: maphash.MakeSeed(), index: make([]uint32, places), marks: make([]uint8, places),
		nonces: make(map[uint64]struct{}),
	}
}

// Add adds a CAIP-10 place of the chain. It is seen from the next block on. Which
// nonces it uses is not known.
func (w *WatchSet) Add(place custody.Place) error {
	address, err := w.address(place)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.add(address) {
		w.unknown = true
	}
	return nil
}

// AddUsed adds a place of which it is known that its next transaction has the given
// nonce: zero for an address that has never sent one. Those that it may use when the
// last ones are taken back count too.
func (w *WatchSet) AddUsed(place custody.Place, next uint64) error {
	address, err := w.address(place)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(address)
	for n := next - min(next, takenBack); n <= next; n++ {
		w.nonces[n] = struct{}{}
	}
	return nil
}

// takenBack bounds how many transactions of one address a reorganisation takes back.
const takenBack = 1024

// Use says that one of our addresses has used a nonce: the next one may come.
func (w *WatchSet) Use(nonce uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nonces[nonce], w.nonces[nonce+1] = struct{}{}, struct{}{}
}

// expect says that the next transaction of one of our addresses has this nonce, as its
// account shows.
func (w *WatchSet) expect(next uint64) {
	if w.MayUse(next) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nonces[next] = struct{}{}
}

// MayUse says whether a transaction with this nonce may be one of our addresses'.
// Nonces of an account have no gaps (EIP-161, EIP-7702), so no other can.
func (w *WatchSet) MayUse(nonce uint64) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	_, may := w.nonces[nonce]
	return may || w.unknown
}

// add says whether the address is new. The caller holds the lock.
func (w *WatchSet) add(address common.Address) bool {
	at, found := w.find(address)
	if found {
		return false
	}
	if w.count%pieceSize == 0 {
		w.pieces = append(w.pieces, make([]common.Address, 0, pieceSize))
	}
	last := &w.pieces[len(w.pieces)-1]
	*last = append(*last, address)
	w.count++
	w.place(at, w.count, address)
	if 4*w.count > 3*len(w.index) {
		w.grow()
	}
	return true
}

func (w *WatchSet) place(at, ordinal int, address common.Address) {
	w.index[at], w.marks[at] = uint32(ordinal), w.mark(w.hash(address))
}

func (w *WatchSet) hash(address common.Address) uint64 { return maphash.Bytes(w.seed, address[:]) }

func (w *WatchSet) mark(hash uint64) uint8 { return uint8(hash >> 56) }

// find is where an address is, or where it would be.
func (w *WatchSet) find(address common.Address) (at int, found bool) {
	hash := w.hash(address)
	mark, mask := w.mark(hash), len(w.index)-1
	for at = int(hash) & mask; w.index[at] != 0; at = (at + 1) & mask {
		if w.marks[at] == mark && w.at(int(w.index[at])-1) == address {
			return at, true
		}
	}
	return at, false
}

func (w *WatchSet) at(i int) common.Address { return w.pieces[i/pieceSize][i%pieceSize] }

// grow doubles the table.
func (w *WatchSet) grow() {
	places := 2 * len(w.index)
	w.index, w.marks = make([]uint32, places), make([]uint8, places)
	for i := range w.count {
		address := w.at(i)
		at, _ := w.find(address)
		w.place(at, i+1, address)
	}
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
	_, found := w.find(address)
	return found
}

// Len is the number of addresses in the set.
func (w *WatchSet) Len() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.count
}

// slice returns at most limit addresses in the order in which they were added,
// beginning with the one at index from.
func (w *WatchSet) slice(from, limit int) []common.Address {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var out []common.Address
	for i := from; i < min(from+limit, w.count); i++ {
		out = append(out, w.at(i))
	}
	return out
}
