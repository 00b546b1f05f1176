// Package chainwatch says what happens on a chain to the addresses that are ours,
// in the words of package custody.
//
// A [Source] answers for one chain with data already checked against block hashes.
// [Head] is the machine that keeps the chain as we know it, by parent hash and
// without I/O. A [Follower] polls the source, feeds the machine, and hands out
// batches: movements as they are included, become safe and final, or are retracted
// by a reorganisation; proven balances; addresses frozen by an issuer. Each batch
// carries a cursor from which another follower, after a crash, goes on: also with a
// reorganisation that happened meanwhile.
//
// Behind a source may stand several endpoints, each a [Witness]. Only one thing has to
// be agreed on, the hash of a block; whatever hangs from it may come from anybody. The
// follower of such a [Panel] asks every witness for its tip and tags, and decides
// without further I/O (agreement is here, not in a source, because what needs it
// depends on what has been agreed on before):
//
//   - A block becomes included at the word of one witness, unless others name another
//     block of its height: then k have to agree on it.
//   - A block becomes safe or final when k witnesses have it at or below the block
//     under that tag, or where depth decides, when k have it.
//   - A branch takes the place of blocks that k agreed on when k witnesses are on it,
//     and more than on ours. The same goes for a contradiction of the final block.
//   - Balances are read at a block that k witnesses have.
//   - A witness which has another block where k others have one that is safe is
//     cordoned. One that lags contradicts nobody; one that fails says nothing.
//
// Where that leaves fewer than k with our chain, nothing becomes safe or final, and
// [Health] says who says what. With fewer than k hostile witnesses nothing false
// becomes safe or final; with k honest ones that answer, following goes on.
//
// The package never knows an owner or an account, never takes an error for an
// absence, and never clears a contradiction of something final: the chain has then
// broken its promise, and people must decide.
package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// Errors that a Source and a Follower tell apart.
var (
	// ErrNotFound says that the source has no such block, or no block under the
	// tag. A source that lags says so too: it proves nothing.
	ErrNotFound = errors.New("no such block")
	// ErrInvalid says that what a source delivered fails verification.
	ErrInvalid = errors.New("source delivered data that do not verify")
	// ErrNotConnected says that a block does not continue the chain as we know it.
	ErrNotConnected = errors.New("block does not connect")
	// ErrFinalityViolated says that the chain contradicts a block that was final.
	// Once it is seen it stays.
	ErrFinalityViolated = errors.New("finality violated")
)

// BlockID names a block and its place in the chain.
type BlockID struct {
	Number uint64      `json:"number"`
	Hash   common.Hash `json:"hash"`
	Parent common.Hash `json:"parent"`
}

// String is the number and the first bytes of the hash.
func (id BlockID) String() string { return fmt.Sprintf("%d (%x…)", id.Number, id.Hash[:6]) }

// Header is a block's identity and its time.
type Header struct {
	BlockID
	Time time.Time `json:"time"`
}

// Block is what a block did to watched addresses.
type Block struct {
	Header
	// Movements are in the order of the block, at stage Included. Among them are
	// the changes of state that a transaction makes: allowances and delegations.
	Movements []custody.Observation `json:"movements,omitempty"`
	// Touched are the watched addresses whose balance or condition the block may
	// have changed.
	Touched []common.Address `json:"touched,omitempty"`
	// Quarantined counts what looks like a transfer to or from a watched address
	// but is of no listed asset, or of no possible amount.
	Quarantined uint64 `json:"-"`
}

// Tag is a name that a source gives to one of its blocks.
type Tag string

// The tags.
const (
	Latest    Tag = "latest"
	SafeHead  Tag = "safe"
	Finalized Tag = "finalized"
)

// At says which block is meant: the one under Tag if that is set, else the one of
// Hash if that is set, else the one of Number.
type At struct {
	Tag    Tag
	Hash   common.Hash
	Number uint64
}

// String names what is asked for.
func (at At) String() string {
	switch {
	case at.Tag != "":
		return string(at.Tag)
	case at.Hash != common.Hash{}:
		return at.Hash.Hex()
	}
	return fmt.Sprint(at.Number)
}

// Balance is the proven holding of one address.
type Balance struct {
	Address common.Address
	Asset   custody.AssetID
	Amount  custody.Amount
	// Nonce is how many transactions the address has sent, with the chain's coin only.
	Nonce uint64
	// Frozen says that the asset's issuer does not let the address move it.
	Frozen bool
	// Unproven, when set, says why the asset's balances cannot be proven any more.
	// Amount and Frozen then mean nothing.
	Unproven string
}

// Source answers for one chain. Everything it returns is bound to the hash of the
// block it is about, and checked; which hash is the right one is the follower's to
// decide. Errors: ErrNotFound and ErrInvalid as above, anything else is temporary.
// An implementation passes sourcetest.Test.
type Source interface {
	// Chain is the chain's CAIP-2 name.
	Chain() string
	// Header returns the header of a block.
	Header(ctx context.Context, at At) (Header, error)
	// Block returns what a block did to the watched addresses: all of it, or an
	// error.
	Block(ctx context.Context, at At, watch *WatchSet) (Block, error)
	// Balances returns the proven balances of each address in every asset of
	// which a balance can be proven, zeros too, and of one of which it can no longer
	// be proven, after the given block and while
	// that is canonical.
	Balances(ctx context.Context, at BlockID, addresses []common.Address) ([]Balance, error)
}

// Ranger is what a Source may also be that has many headers at once. They are those of
// the heights from one to another, both included, as the source has them now: whether
// they belong together is for the follower to see.
type Ranger interface {
	Headers(ctx context.Context, from, to uint64) ([]Header, error)
}

// Reorg says that the chain was reorganised: Depth blocks back from Old were
// orphaned. New is the tip of what stands there instead as of the same batch.
type Reorg struct {
	Depth uint64  `json:"depth"`
	Old   BlockID `json:"old"`
	New   BlockID `json:"new"`
}

// Batch is one advance of a follower.
type Batch struct {
	// Source is the chain's CAIP-2 name.
	Source string
	// Cursor is all that a follower needs to go on after this batch. It is opaque.
	Cursor []byte
	// Observations are in order: retractions (newest first), inclusions, stages,
	// balances, conditions.
	Observations []custody.Observation
	// Head, Safe and Final are the chain as known after the batch.
	Head, Safe, Final BlockID
	// Reorg is set when blocks were orphaned.
	Reorg *Reorg
	// At is when the batch was made.
	At time.Time
}
