package ledger

import "math/bits"

// table is a hash table from numbers to plain values, without a pointer for the
// garbage collector to follow and without a bucket to waste: at five million
// positions a Go map takes 62 to 100 bytes for each, this one, by its load, 46 to 56.
// It is made of parts that grow each for itself, by a fifth, so that no single
// addition has to move much. Key 0 is never used, and nothing is removed. The zero table
// is empty.
type table[V any] struct{ parts [256]part[V] }

// part is an open-addressing table with linear probing.
type part[V any] struct {
	slots []slot[V]
	used  int
}

type slot[V any] struct {
	key   uint64
	value V
}

// mix spreads a key over all bits of a hash: keys are numbers given in order.
func mix(key uint64) uint64 {
	key ^= key >> 32
	key *= 0x9e3779b97f4a7c15
	key ^= key >> 29
	key *= 0xbf58476d1ce4e5b9
	return key ^ key>>32
}

// find is the value of a key, or nil. It may be changed in place until the next
// put.
func (t *table[V]) find(key uint64) *V {
	h := mix(key)
	return t.parts[h>>56].find(key, h)
}

// put is the value of a key, which is added with a zero value if it is new.
func (t *table[V]) put(key uint64) *V {
	h := mix(key)
	return t.parts[h>>56].put(key, h)
}

// len is the number of keys.
func (t *table[V]) len() int {
	n := 0
	for i := range t.parts {
		n += t.parts[i].used
	}
	return n
}

// each calls fn with every key and its value, in no order.
func (t *table[V]) each(fn func(key uint64, value *V)) {
	for i := range t.parts {
		for j := range t.parts[i].slots {
			if s := &t.parts[i].slots[j]; s.key != 0 {
				fn(s.key, &s.value)
			}
		}
	}
}

// reserve makes room for so many keys, which are spread evenly.
func (t *table[V]) reserve(keys uint64) {
	for i := range t.parts {
		t.parts[i].resize(int(keys)/len(t.parts)*6/5 + 8)
	}
}

// place is where the search for a hash begins. The highest byte has chosen the
// part; the rest, as a fraction, chooses the slot.
func (p *part[V]) place(hash uint64) int {
	high, _ := bits.Mul64(hash<<8, uint64(len(p.slots)))
	return int(high)
}

func (p *part[V]) find(key, hash uint64) *V {
	if len(p.slots) == 0 {
		return nil
	}
	for i := p.place(hash); ; {
		s := &p.slots[i]
		if s.key == key {
			return &s.value
		}
		if s.key == 0 {
			return nil
		}
		if i++; i == len(p.slots) {
			i = 0
		}
	}
}

func (p *part[V]) put(key, hash uint64) *V {
	if (p.used+1)*8 > len(p.slots)*7 {
		if v := p.find(key, hash); v != nil {
			return v
		}
		p.resize(len(p.slots)*6/5 + 8)
	}
	for i := p.place(hash); ; {
		s := &p.slots[i]
		if s.key == 0 {
			s.key = key
			p.used++
		}
		if s.key == key {
			return &s.value
		}
		if i++; i == len(p.slots) {
			i = 0
		}
	}
}

// resize moves the keys into so many slots, if that is more than there are.
func (p *part[V]) resize(slots int) {
	if slots <= len(p.slots) {
		return
	}
	old := p.slots
	p.slots, p.used = make([]slot[V], slots), 0
	for i := range old {
		if old[i].key != 0 {
			*p.put(old[i].key, mix(old[i].key)) = old[i].value
		}
	}
}

// clear forgets all keys and keeps the room.
func (p *part[V]) clear() {
	clear(p.slots)
	p.used = 0
}
