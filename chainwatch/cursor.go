package chainwatch

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// cursorVersion changes when a cursor of an older program can no longer be read.
const cursorVersion = 1

// holding is one address and one asset.
type holding struct {
	Address common.Address  `json:"address"`
	Asset   custody.AssetID `json:"asset"`
}

// position is where a follower stands. What it must not forget is in the cursor: the
// chain from the last final block on, with the movements that a reorganisation would
// retract, and the holdings known to be frozen.
type position struct {
	head *Head
	// vouched is the height up to which k witnesses have had our chain. A cursor
	// does not hold it: a follower that starts again lets no single witness take
	// back what stands in the cursor.
	vouched uint64
	frozen  map[holding]struct{}
	due     map[common.Address]struct{} // addresses whose balance is to be read next
	saved   bool                        // a cursor has been emitted
	// turns counts how often blocks were taken back. What is read at a block that has
	// come back is another reading than the one before it went.
	turns uint64
	// violatedAt is when the head's violation was found: its name, for those who
	// release it.
	violatedAt time.Time
}

func newPosition(anchor Header) *position {
	return &position{head: NewHead(anchor), vouched: anchor.Number, due: make(map[common.Address]struct{}), frozen: make(map[holding]struct{})}
}

func (p *position) clone() *position {
	return &position{head: p.head.clone(), vouched: p.vouched, due: maps.Clone(p.due), frozen: maps.Clone(p.frozen), saved: true, turns: p.turns, violatedAt: p.violatedAt}
}

type cursorJSON struct {
	Version  int       `json:"v"`
	Chain    string    `json:"chain"`
	Blocks   []Block   `json:"blocks"`
	Safe     int       `json:"safe"`
	Frozen   []holding `json:"frozen,omitempty"`
	Turns    uint64    `json:"turns,omitempty"`
	Violated string    `json:"violated,omitempty"`
	// ViolatedAt is set where Violated is.
	ViolatedAt time.Time `json:"violated_at,omitzero"`
}

func (p *position) encode(chain string) ([]byte, error) {
	c := cursorJSON{
		Version: cursorVersion, Chain: chain, Blocks: p.head.blocks, Safe: p.head.safe, Turns: p.turns,
		Frozen: slices.SortedFunc(maps.Keys(p.frozen), compareHoldings),
	}
	if err := p.head.violated; err != nil {
		c.Violated, c.ViolatedAt = err.Error(), p.violatedAt
	}
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding cursor: %w", err)
	}
	return data, nil
}

func sortedAddresses(set map[common.Address]struct{}) []common.Address {
	return slices.SortedFunc(maps.Keys(set), common.Address.Cmp)
}

func compareHoldings(a, b holding) int {
	return cmp.Or(a.Address.Cmp(b.Address), cmp.Compare(a.Asset, b.Asset))
}

// FinalOf is the block that is final in a cursor of the given chain: up to there
// whoever keeps the cursor has followed it.
func FinalOf(chain string, cursor []byte) (BlockID, error) {
	p, err := decodePosition(chain, cursor)
	if err != nil {
		return BlockID{}, err
	}
	return p.head.Final(), nil
}

// decodePosition reads a cursor of the given chain.
func decodePosition(chain string, data []byte) (*position, error) {
	var c cursorJSON
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("decoding cursor: %w", err)
	}
	switch {
	case c.Version != cursorVersion:
		return nil, fmt.Errorf("cursor is of version %d, expected %d", c.Version, cursorVersion)
	case c.Chain != chain:
		return nil, fmt.Errorf("cursor is of chain %q, expected %q", c.Chain, chain)
	case len(c.Blocks) == 0:
		return nil, errors.New("cursor has no block")
	case c.Safe < 0 || c.Safe >= len(c.Blocks):
		return nil, fmt.Errorf("cursor says that block %d of %d is safe", c.Safe, len(c.Blocks))
	}
	p := newPosition(c.Blocks[0].Header)
	p.saved, p.turns = true, c.Turns
	for _, b := range c.Blocks[1:] {
		if err := p.head.Connect(b); err != nil {
			return nil, fmt.Errorf("cursor: %w", err)
		}
	}
	p.head.safe, p.vouched = c.Safe, p.head.Tip().Number
	for _, h := range c.Frozen {
		p.frozen[h] = struct{}{}
	}
	if c.Violated != "" {
		p.head.violated, p.violatedAt = fmt.Errorf("%w (as recorded): %s", ErrFinalityViolated, c.Violated), c.ViolatedAt
	}
	return p, nil
}
