package chainwatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Errors that say why nothing becomes safe or final. Neither stops a follower.
var (
	// ErrDisagreement says that endpoints name different blocks at one height, and
	// that none of these is named by enough of them.
	ErrDisagreement = errors.New("endpoints disagree")
	// ErrTooFew says that fewer endpoints answer than have to agree.
	ErrTooFew = errors.New("too few endpoints answer")
)

// Witness is one endpoint, asked alone: it says which block its chain has under a
// tag or at a height. What it says of a block is checked against the hash it names;
// that this is the right hash is not.
type Witness interface {
	// Name tells the endpoint apart from the others of its chain. It holds no secret.
	Name() string
	// Header answers as that of a Source does. A lagging endpoint says ErrNotFound.
	Header(ctx context.Context, at At) (Header, error)
	// Cordon ends the trust in the endpoint and keeps the evidence.
	Cordon(evidence error)
	// Cordoned is the evidence, or nil. A cordoned witness is not counted.
	Cordoned() error
}

// Panel is what a Source may also be when several endpoints stand behind it. A
// follower of such a source lets Quorum witnesses agree on block hashes. It is safe
// while fewer than Quorum of them are hostile, and goes on while Quorum are honest
// and answer. The follower of a source that is no panel, or whose quorum is one,
// takes the source's word.
type Panel interface {
	// Quorum is how many witnesses have to name the same block.
	Quorum() int
	// Witnesses are the endpoints, always in the same order.
	Witnesses() []Witness
}

// Claim is a block hash and who names it.
type Claim struct {
	Hash common.Hash `json:"hash"`
	// Endpoints are names of witnesses, sorted. It is empty for a block of the
	// follower's own chain that no endpoint names any more.
	Endpoints []string `json:"endpoints"`
}

// Disagreement says that endpoints name different blocks at one height.
type Disagreement struct {
	Height uint64 `json:"height"`
	// Claims has the hash that most endpoints name first.
	Claims []Claim `json:"claims"`
	// Since is when it was first seen, and Until when it was seen no more; that is
	// zero while the disagreement lasts.
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
}

// String says who names what.
func (d Disagreement) String() string {
	var said []string
	for _, c := range d.Claims {
		who := strings.Join(c.Endpoints, ", ")
		if who == "" {
			who = "no endpoint, but our chain"
		}
		said = append(said, fmt.Sprintf("%s by %s", c.Hash, who))
	}
	return fmt.Sprintf("at height %d: %s", d.Height, strings.Join(said, "; "))
}

func (d Disagreement) same(other Disagreement) bool {
	return d.Height == other.Height && slices.EqualFunc(d.Claims, other.Claims, func(a, b Claim) bool {
		return a.Hash == b.Hash && slices.Equal(a.Endpoints, b.Endpoints)
	})
}

// Standing is what a witness said last.
type Standing struct {
	Endpoint string `json:"endpoint"`
	// Latest is its tip. It is zero when it did not answer.
	Latest BlockID `json:"latest"`
	// Fork is its first block that is not in the follower's chain, zero when there
	// is none.
	Fork BlockID `json:"fork,omitzero"`
	// Error is why it does not count: it failed, it lags behind what is final, or
	// it is cordoned.
	Error    string `json:"error,omitempty"`
	Cordoned bool   `json:"cordoned,omitempty"`
}

// sole lets a source be its own only witness.
type sole struct{ Source }

func (s sole) Name() string  { return s.Chain() }
func (sole) Cordon(error)    {}
func (sole) Cordoned() error { return nil }

// stand is what one witness says in one advance, and how that relates to our chain.
type stand struct {
	witness Witness
	err     error // it did not answer all it was asked: it counts for nothing
	latest  Header
	backs   uint64  // the height up to which its chain is known to be ours
	fork    BlockID // its first block that is not ours, where it has one
}

func (s *stand) counts() bool  { return s.err == nil }
func (s *stand) follows() bool { return s.err == nil && s.fork == BlockID{} }

func (s *stand) standing() Standing {
	out := Standing{Endpoint: s.witness.Name(), Latest: s.latest.BlockID, Fork: s.fork, Cordoned: s.witness.Cordoned() != nil}
	if s.err != nil {
		out.Error = s.err.Error()
	}
	return out
}

// highest is the greatest height that at least k of these reach.
func highest(k int, heights []uint64) (uint64, bool) {
	if len(heights) < k {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(heights))
	return sorted[len(sorted)-k], true
}

// backers counts the stands whose chain is ours up to the height.
func backers(stands []*stand, height uint64) []string {
	var names []string
	for _, s := range stands {
		if s.counts() && s.backs >= height {
			names = append(names, s.witness.Name())
		}
	}
	return names
}

// ballot is what witnesses name at one height.
type ballot struct {
	height  uint64
	names   map[common.Hash][]string
	headers map[common.Hash]Header
}

func newBallot(height uint64) *ballot {
	return &ballot{height: height, names: make(map[common.Hash][]string), headers: make(map[common.Hash]Header)}
}

func (b *ballot) add(h Header, name string) {
	b.headers[h.Hash] = h
	b.names[h.Hash] = append(b.names[h.Hash], name)
}

// claims lists what is named, the most named first.
func (b *ballot) claims() []Claim {
	var claims []Claim
	for hash, names := range b.names {
		claims = append(claims, Claim{Hash: hash, Endpoints: slices.Sorted(slices.Values(names))})
	}
	slices.SortFunc(claims, func(x, y Claim) int {
		return cmp.Or(cmp.Compare(len(y.Endpoints), len(x.Endpoints)), x.Hash.Cmp(y.Hash))
	})
	return claims
}

// agreed is the block that at least k name, and more than name any other.
func (b *ballot) agreed(k int) (Header, bool) {
	claims := b.claims()
	if len(claims) == 0 || len(claims[0].Endpoints) < k {
		return Header{}, false
	}
	if len(claims) > 1 && len(claims[1].Endpoints) == len(claims[0].Endpoints) {
		return Header{}, false
	}
	return b.headers[claims[0].Hash], true
}

// disagreement is what is contradictory in the ballot, or nil.
func (b *ballot) disagreement() *Disagreement {
	if len(b.names) < 2 {
		return nil
	}
	return &Disagreement{Height: b.height, Claims: b.claims()}
}

// branches are the ballots at each height where some witness leaves our chain,
// lowest first. Those that are still on our chain there name our own block.
func branches(head *Head, stands []*stand) []*ballot {
	at := make(map[uint64]*ballot)
	for _, s := range stands {
		if !s.counts() || s.follows() {
			continue
		}
		b := at[s.fork.Number]
		if b == nil {
			b = newBallot(s.fork.Number)
			at[b.height] = b
			if own, ok := head.At(b.height); ok {
				b.headers[own.Hash] = Header{BlockID: own}
				b.names[own.Hash] = backers(stands, b.height)
			}
		}
		b.add(Header{BlockID: s.fork}, s.witness.Name())
	}
	var out []*ballot
	for _, b := range at {
		out = append(out, b)
	}
	slices.SortFunc(out, func(x, y *ballot) int { return cmp.Compare(x.height, y.height) })
	return out
}

// turn is the first block of the branch that takes the place of ours: k witnesses
// are on it, and more than on any other; where our own blocks were never vouched for
// by k, more than on any other will do.
func turn(k int, vouched uint64, head *Head, stands []*stand) (BlockID, bool) {
	for _, b := range branches(head, stands) {
		need := k
		if b.height > vouched {
			need = 1
		}
		h, ok := b.agreed(need)
		if own, known := head.At(b.height); ok && !(known && own.Hash == h.Hash) {
			return h.BlockID, true
		}
	}
	return BlockID{}, false
}
