package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"goodcontrol/custody"
)

// draft is a block in the making: the changes that its entries make to a view,
// kept beside the view until they are published. Posting and replay build the
// same draft with the same apply; there is no other way to change a balance.
type draft struct {
	view    *View
	changed []change // in the order first touched, which is the digest's
	index   map[key]int
	refs    []custody.Ref          // of new entries, in order
	numbers map[custody.Ref]uint64 // of new entries
	records []record               // of new entries, in order
	altered map[uint64]record      // of earlier ones, those changed
	pending map[uint64][]custody.Leg
	tree    tree
	seq     uint64
	at      int64 // when the newest entry was recorded, in nanoseconds
}

type change struct {
	key     key
	balance balance
}

// draft begins a draft of so many entries.
func (v *View) draft(entries int) *draft {
	return &draft{
		view: v, tree: v.tree, seq: v.seq, at: v.recorded,
		index:   make(map[key]int, 2*entries),
		changed: make([]change, 0, 2*entries),
		refs:    make([]custody.Ref, 0, entries),
		numbers: make(map[custody.Ref]uint64, entries),
		records: make([]record, 0, entries),
		altered: make(map[uint64]record),
		pending: make(map[uint64][]custody.Leg),
	}
}

// apply folds one entry, whose canonical bytes are raw, into the draft. It
// refuses what no journal may hold; after an error the draft is to be dropped.
func (d *draft) apply(e *custody.Entry, raw []byte) error {
	if err := e.Check(); err != nil {
		return err
	}
	recorded := e.Recorded.UnixNano()
	if e.Seq != d.seq+1 || recorded <= d.at {
		return fmt.Errorf("entry %s: sequence %d at %s, expected %d after %s",
			e.Ref, e.Seq, e.Recorded, d.seq+1, time.Unix(0, d.at).UTC())
	}
	if seq, ok := d.seqOf(e.Ref); ok {
		return fmt.Errorf("%w: %s is entry %d already", ErrRefConflict, e.Ref, seq)
	}
	r, err := d.link(e)
	if err != nil {
		return err
	}
	for i := range e.Legs {
		if err := d.add(&e.Legs[i]); err != nil {
			return fmt.Errorf("entry %s, leg %d: %w", e.Ref, i+1, err)
		}
	}
	r.recorded, r.leaf = recorded, tlog.RecordHash(raw)
	d.tree.add(r.leaf)
	d.refs = append(d.refs, e.Ref)
	d.numbers[e.Ref] = e.Seq
	d.records = append(d.records, r)
	d.seq, d.at = e.Seq, recorded
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
	i, ok := d.index[k]
	if !ok {
		i = len(d.changed)
		d.changed = append(d.changed, change{key: k, balance: d.view.balances[k]})
		d.index[k] = i
	}
	return &d.changed[i].balance
}

// digest is the digest of the state after the draft.
func (d *draft) digest() [32]byte {
	const usual = 128 // bytes of a position
	b := append(make([]byte, 0, usual*(1+len(d.changed))), "goodcontrol state 1\n"...)
	b = append(b, d.view.head.State[:]...)
	b = binary.AppendUvarint(b, uint64(len(d.changed)))
	for _, c := range d.changed {
		account, asset := d.view.names(c.key)
		b = append(b, byte(account.Type))
		b = appendString(b, account.Name)
		b = appendString(b, string(asset))
		b = c.balance.settled.Append(b)
		b = c.balance.pending.Append(b)
	}
	return sha256.Sum256(b)
}

// publish makes the draft part of its view, for all readers at once, with the head
// and the cursors of its block. The caller has made sure that the block is durable.
func (d *draft) publish(head Head, cursors map[string][]byte) {
	v := d.view
	v.mu.Lock()
	defer v.mu.Unlock()
	d.merge()
	for source, value := range cursors {
		v.cursors[source] = slices.Clone(value)
	}
	v.recorded = head.Time.UnixNano()
	v.head = head
	v.sizes = append(v.sizes, head.Size)
}

// merge makes the entries of the draft part of its view.
func (d *draft) merge() {
	v := d.view
	for _, c := range d.changed {
		if c.balance.isZero() {
			delete(v.balances, c.key)
		} else {
			v.balances[c.key] = c.balance
		}
	}
	for i, ref := range d.refs {
		v.refs[ref] = v.seq + 1 + uint64(i)
	}
	v.records = append(v.records, d.records...)
	for seq, r := range d.altered {
		v.records[seq-1] = r
	}
	for seq, legs := range d.pending {
		if legs == nil {
			delete(v.pending, seq)
		} else {
			v.pending[seq] = legs
		}
	}
	v.tree, v.seq, v.recorded = d.tree, d.seq, d.at
}
