package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"goodcontrol/custody"
)

// draft is a block in the making: the changes that its entries make to a view,
// kept beside the view until they are published. Posting and replay build the
// same draft with the same apply; there is no other way to change a balance.
//
// A draft may stand on another that is being committed, and sees its changes as
// if they were in the view.
type draft struct {
	view    *View
	below   *draft // the draft that is being committed, or nil
	body    []byte // of the block: canonical entries
	starts  []int  // of the entries in body
	changed []change
	index   part[uint32] // of changes, by key; they stand in the order first touched
	hashes  []uint64     // of the refs of new entries, in order
	numbers part[uint64] // of new entries, by hash of the ref
	links   map[uint64]link
	pending map[uint64]waiting
	cursors map[string][]byte
	chains  map[string][]mark
	seq     uint64
	at      int64 // when the newest entry was recorded, in nanoseconds
	now     int64 // the clock, when the newest batch joined
}

type change struct {
	key     key
	balance balance
}

// draft begins a draft on the view, or on a draft above it.
func (v *View) draft(below *draft) *draft {
	d := &draft{view: v, links: map[uint64]link{}, pending: map[uint64]waiting{}, cursors: map[string][]byte{}, chains: map[string][]mark{}}
	d.begin(below)
	return d
}

// begin makes the draft empty, to be used again.
func (d *draft) begin(below *draft) {
	d.below, d.seq, d.at = below, d.view.seq, d.view.recorded
	if below != nil {
		d.seq, d.at = below.seq, below.at
	}
	d.body, d.starts, d.changed, d.hashes = nil, d.starts[:0], d.changed[:0], d.hashes[:0]
	d.index.clear()
	d.numbers.clear()
	clear(d.links)
	clear(d.pending)
	clear(d.cursors)
	clear(d.chains)
}

// apply folds an entry of the journal into the draft. Entry.Check has found it
// good, and its canonical bytes begin at start of the body. After an error the
// draft is to be dropped.
func (d *draft) apply(ctx context.Context, e *custody.Entry, start int) error {
	recorded := e.Recorded.UnixNano()
	if e.Seq != d.seq+1 || recorded <= d.at {
		return fmt.Errorf("entry %s: sequence %d at %s, expected %d after %s",
			e.Ref, e.Seq, e.Recorded, d.seq+1, time.Unix(0, d.at).UTC())
	}
	seq, hash, err := d.seqOf(ctx, e.Ref)
	if err != nil {
		return err
	}
	if seq != 0 {
		return fmt.Errorf("%w: %s is entry %d already", ErrRefConflict, e.Ref, seq)
	}
	return d.take(ctx, e, recorded, hash, start)
}

// take adds an entry as the next one, where hash is that of its ref. It refuses
// what no journal may hold.
func (d *draft) take(ctx context.Context, e *custody.Entry, recorded int64, hash uint64, start int) error {
	if err := d.link(ctx, e); err != nil {
		return err
	}
	for i := range e.Legs {
		if err := d.add(&e.Legs[i]); err != nil {
			return fmt.Errorf("entry %s, leg %d: %w", e.Ref, i+1, err)
		}
	}
	d.seq++
	d.at = recorded
	d.see(e)
	d.hashes = append(d.hashes, hash)
	*d.numbers.put(hash, mix(hash)) = d.seq
	d.starts = append(d.starts, start)
	return nil
}

func (d *draft) add(l *custody.Leg) error {
	b := d.balance(d.view.key(l.Account, l.Asset))
	sum, ok := &b.settled, false
	if l.Layer == custody.Pending {
		sum = &b.pending
	}
	if *sum, ok = sum.Add(l.Amount); !ok {
		return fmt.Errorf("%s: adding %s %s overflows", l.Account, l.Amount, l.Asset)
	}
	return nil
}

// balance is the balance of a key in the draft, to be changed in place.
func (d *draft) balance(k key) *balance {
	hash := mix(uint64(k))
	if i := d.index.find(uint64(k), hash); i != nil {
		return &d.changed[*i].balance
	}
	c := change{k, d.peek(k)}
	*d.index.put(uint64(k), hash) = uint32(len(d.changed))
	d.changed = append(d.changed, c)
	return &d.changed[len(d.changed)-1].balance
}

// peek is the balance of a key in the draft, or before it.
func (d *draft) peek(k key) balance {
	view, hash := d.view, mix(uint64(k))
	for ; d != nil; d = d.below {
		if i := d.index.find(uint64(k), hash); i != nil {
			return d.changed[*i].balance
		}
	}
	if b := view.positions.parts[hash>>56].find(uint64(k), hash); b != nil {
		return *b
	}
	return balance{}
}

// raw is the canonical encoding of an entry, from the draft or before it.
func (d *draft) raw(ctx context.Context, seq uint64) ([]byte, error) {
	for ; d != nil; d = d.below {
		first := d.seq + 1 - uint64(len(d.starts))
		if seq < first {
			if d.below == nil {
				return d.view.journal.raw(ctx, d.view.blockOf(seq), seq)
			}
			continue
		}
		i := int(seq - first)
		end := len(d.body)
		if i+1 < len(d.starts) {
			end = d.starts[i+1]
		}
		return d.body[d.starts[i]:end], nil
	}
	return nil, fmt.Errorf("entry %d is not there", seq)
}

// digest is the digest of the state after the draft, where before is that before.
func (d *draft) digest(before [32]byte) [32]byte {
	const usual = 128 // bytes of a position
	b := append(make([]byte, 0, usual*(1+len(d.changed))), "goodcontrol state 1\n"...)
	b = append(b, before[:]...)
	b = binary.AppendUvarint(b, uint64(len(d.changed)))
	for i := range d.changed {
		c := &d.changed[i]
		account, asset := d.view.names.of(c.key.account()), d.view.names.of(c.key.asset())
		b = append(b, byte(account.kind))
		b = appendString(b, account.text)
		b = appendString(b, asset.text)
		b = c.balance.settled.Append(b)
		b = c.balance.pending.Append(b)
	}
	return sha256.Sum256(b)
}

// publish makes the draft part of its view, for all readers at once, with the head
// and the tree of its block. The caller has made sure that the block is durable.
func (d *draft) publish(head Head, grown *tree) {
	v := d.view
	v.mu.Lock()
	defer v.mu.Unlock()
	d.merge()
	for source, value := range d.cursors {
		v.cursors[source] = slices.Clone(value)
	}
	v.tree = *grown
	v.recorded = head.Time.UnixNano()
	v.head = head
	v.sizes = append(v.sizes, head.Size)
	v.times = append(v.times, v.recorded)
}

// cursor is a source's newest cursor, in the draft or before it.
func (d *draft) cursor(source string) ([]byte, bool) {
	view := d.view
	for ; d != nil; d = d.below {
		if value, ok := d.cursors[source]; ok {
			return value, true
		}
	}
	value, ok := view.cursors[source]
	return value, ok
}

// merge makes the entries of the draft part of its view.
func (d *draft) merge() {
	v := d.view
	for i := range d.changed {
		*v.positions.put(uint64(d.changed[i].key)) = d.changed[i].balance
	}
	for i, hash := range d.hashes {
		*v.refs.put(hash) = v.seq + 1 + uint64(i)
	}
	for seq, l := range d.links {
		if l == (link{}) {
			delete(v.links, seq)
		} else {
			v.links[seq] = l
		}
	}
	for seq, w := range d.pending {
		if w.legs == nil {
			delete(v.pending, seq)
		} else {
			v.pending[seq] = w
		}
	}
	for chain, marks := range d.chains {
		v.chains[chain] = append(v.chains[chain], marks...)
	}
	v.seq, v.recorded = d.seq, d.at
}
