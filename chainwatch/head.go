package chainwatch

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// Head is the chain as we know it, from the last final block to the tip. It does no
// I/O. Blocks connect to the tip and disconnect from it; the safe and the final
// block advance within it. A contradiction of the final block latches: from then on
// every change is refused with ErrFinalityViolated.
type Head struct {
	blocks   []Block // the first is final, the others are not
	safe     int     // index of the last safe block
	violated error
}

// NewHead returns the chain that consists of one final block.
func NewHead(anchor Header) *Head { return &Head{blocks: []Block{{Header: anchor}}} }

func (h *Head) clone() *Head {
	c := *h
	c.blocks = slices.Clone(h.blocks)
	return &c
}

// Tip is the last block.
func (h *Head) Tip() Header { return h.blocks[len(h.blocks)-1].Header }

// Safe is the last block said to be safe.
func (h *Head) Safe() BlockID { return h.blocks[h.safe].BlockID }

// Final is the last block said to be final.
func (h *Head) Final() BlockID { return h.blocks[0].BlockID }

// At is the block at a height, if it is neither below the final one nor above the tip.
func (h *Head) At(number uint64) (BlockID, bool) {
	if number < h.Final().Number || number > h.Tip().Number {
		return BlockID{}, false
	}
	return h.blocks[number-h.Final().Number].BlockID, true
}

// Contains says whether the block is in the chain from the final one to the tip.
func (h *Head) Contains(id BlockID) bool {
	own, ok := h.At(id.Number)
	return ok && own.Hash == id.Hash
}

// Connect appends a block. It is refused with ErrNotConnected when its parent is not
// the tip.
func (h *Head) Connect(b Block) error {
	if h.violated != nil {
		return h.violated
	}
	tip := h.Tip()
	if b.Parent != tip.Hash || b.Number != tip.Number+1 {
		return fmt.Errorf("%w: block %s has parent %x…, the tip is %s", ErrNotConnected, b.BlockID, b.Parent[:6], tip.BlockID)
	}
	h.blocks = append(h.blocks, b)
	return nil
}

// Disconnect removes the tip and returns it. The final block cannot be removed: the
// attempt is a violation.
func (h *Head) Disconnect() (Block, error) {
	if h.violated != nil {
		return Block{}, h.violated
	}
	last := len(h.blocks) - 1
	if last == 0 {
		return Block{}, h.Violate(BlockID{Number: h.Final().Number})
	}
	b := h.blocks[last]
	h.blocks = h.blocks[:last]
	h.safe = min(h.safe, last-1)
	return b, nil
}

// Violate latches: the chain has the found block where ours is final.
func (h *Head) Violate(found BlockID) error {
	if h.violated == nil {
		h.violated = fmt.Errorf("%w: block %s was final, the chain now has %s", ErrFinalityViolated, h.Final(), found)
	}
	return h.violated
}

// Violated is the latched violation, or nil.
func (h *Head) Violated() error { return h.violated }

// MarkSafe says that a block of the chain is safe, and returns those that are newly
// so, oldest first. A block below the one that is safe changes nothing.
func (h *Head) MarkSafe(id BlockID) ([]Block, error) {
	index, err := h.index(id)
	if err != nil || index <= h.safe {
		return nil, err
	}
	newly := slices.Clone(h.blocks[h.safe+1 : index+1])
	h.safe = index
	return newly, nil
}

// MarkFinal says that a block of the chain is final, and returns those that are
// newly so, oldest first; they leave the machine, but for the last. A final block is
// also safe: the caller marks that first. A block below the one that is final
// changes nothing; another one of its height is a violation.
func (h *Head) MarkFinal(id BlockID) ([]Block, error) {
	index, err := h.index(id)
	if err != nil || index <= 0 {
		return nil, err
	}
	newly := slices.Clone(h.blocks[1 : index+1])
	h.blocks = slices.Clone(h.blocks[index:])
	h.blocks[0].Movements, h.blocks[0].Touched = nil, nil
	h.safe = max(0, h.safe-index)
	return newly, nil
}

// touchTip remembers that an address was read at the tip and had changed, so that it
// is read again if the tip is taken back.
func (h *Head) touchTip(address common.Address) {
	tip := &h.blocks[len(h.blocks)-1]
	if len(h.blocks) > 1 && !slices.Contains(tip.Touched, address) {
		tip.Touched = append(slices.Clone(tip.Touched), address)
	}
}

// index is the place of a block in the machine, or -1 when it is below the final one.
func (h *Head) index(id BlockID) (int, error) {
	if h.violated != nil {
		return 0, h.violated
	}
	final := h.Final()
	switch {
	case id.Number < final.Number:
		return -1, nil
	case id.Number == final.Number && id.Hash != final.Hash:
		return 0, h.Violate(id)
	case !h.Contains(id):
		return 0, fmt.Errorf("%w: block %s is not an ancestor of the tip %s", ErrNotConnected, id, h.Tip().BlockID)
	}
	return int(id.Number - final.Number), nil
}
