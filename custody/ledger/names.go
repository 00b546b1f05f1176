package ledger

import (
	"strings"

	"github.com/cespare/xxhash/v2"

	"goodcontrol/custody"
)

// names gives each account and each asset a small number, in the order of first
// use, from 1. A position is then two numbers, and an account's name is kept once.
type names struct {
	list  []name
	index table[uint32]   // by hash of the name; on a collision, by the next hash
	room  strings.Builder // in which new names stand together
	last  struct {        // the asset asked for last: most entries have one only
		text   string
		number uint32
	}
}

// name is an account, or an asset if it has no type.
type name struct {
	text string
	kind custody.AccountType
}

func (n name) account() custody.Account { return custody.Account{Type: n.kind, Name: n.text} }

// hashText is the hash of a text under which it is looked for at the given try.
// Others may choose the text; a collision only costs another try.
func hashText(text string, kind uint8, try uint64) uint64 {
	h := xxhash.Sum64String(text) + uint64(kind)
	if try > 0 {
		h = mix(h + try)
	}
	return max(h, 1)
}

// number finds the number of a name; 0 if it has none.
func (n *names) number(text string, kind custody.AccountType) uint32 {
	for try := uint64(0); ; try++ {
		number := n.index.find(hashText(text, uint8(kind), try))
		if number == nil {
			return 0
		}
		if found := &n.list[*number-1]; found.text == text && found.kind == kind {
			return *number
		}
	}
}

// of is the name with a number.
func (n *names) of(number uint32) name { return n.list[number-1] }

// roomSize is how many bytes of names are kept in one piece.
const roomSize = 64 << 10

// add gives a name that has none a number. It keeps a copy of the text.
func (n *names) add(text string, kind custody.AccountType) uint32 {
	if n.room.Cap()-n.room.Len() < len(text) {
		n.room = strings.Builder{}
		n.room.Grow(max(roomSize, len(text)))
	}
	at := n.room.Len()
	n.room.WriteString(text)
	n.list = append(n.list, name{n.room.String()[at:], kind})
	number := uint32(len(n.list))
	try := uint64(0)
	for n.index.find(hashText(text, uint8(kind), try)) != nil {
		try++
	}
	*n.index.put(hashText(text, uint8(kind), try)) = number
	return number
}
