package ledger

import (
	"context"
	"fmt"
	"strings"

	"goodcontrol/custody"
)

// An entry may have one link to an earlier one. It reverses it, and takes all of
// it back; or it resolves it, and takes back its pending legs, which are thereby
// posted or voided. What holds of links:
//
//   - An entry is reversed at most once, and resolved at most once at a time.
//   - What was resolved is not reversed while the resolution stands; first that is
//     to be reversed.
//   - When a resolution is reversed it no longer counts: what it had resolved
//     is pending again, and can be resolved again.
//   - A reversal is final: nothing reverses it. What it took back by mistake is
//     posted again, as an entry of its own.
//
// The pending legs of reversals and resolutions belong to the entry they lead to,
// and are never resolved by themselves.

// link is what is known of a posted entry that has a link, or that a link leads
// to, without reading the journal. Entries are named by their numbers, and 0 is
// none.
type link struct {
	resolves   uint64 // the entry that it resolves
	reversal   bool   // whether it reverses another
	reversedBy uint64 // the entry that takes it back
	resolvedBy uint64 // the entry that resolves it and was not reversed
}

// waiting is an entry whose pending legs wait to be resolved.
type waiting struct {
	ref  custody.Ref
	legs []custody.Leg // nil when it waits no longer
}

// own gives what waits its own memory, since an entry may share that of a block.
func (w waiting) own() waiting {
	w.ref = custody.Ref(strings.Clone(string(w.ref)))
	for i := range w.legs {
		l := &w.legs[i]
		l.Account.Name, l.Asset = strings.Clone(l.Account.Name), custody.AssetID(strings.Clone(string(l.Asset)))
	}
	return w
}

// seqOf is the number of the entry with the given ref, in the draft or before, and
// 0 if there is none; then hash is where it would stand. Only hashes of refs are
// kept, so what is found under one is read and compared.
func (d *draft) seqOf(ctx context.Context, ref custody.Ref) (seq, hash uint64, err error) {
	for try := uint64(0); ; try++ {
		hash = hashText(string(ref), 0, try)
		seq = d.numbered(hash)
		if seq == 0 {
			return 0, hash, nil
		}
		if d.waits(seq).ref == ref {
			return seq, hash, nil
		}
		e, err := d.entry(ctx, seq)
		if err != nil {
			return 0, 0, err
		}
		if e.Ref == ref {
			return seq, hash, nil
		}
	}
}

// numbered is the number of the entry whose ref has the given hash, or 0.
func (d *draft) numbered(hash uint64) uint64 {
	view, mixed := d.view, mix(hash)
	for ; d != nil; d = d.below {
		if seq := d.numbers.find(hash, mixed); seq != nil {
			return *seq
		}
	}
	if seq := view.refs.parts[mixed>>56].find(hash, mixed); seq != nil {
		return *seq
	}
	return 0
}

// entry reads an entry from the draft or before it.
func (d *draft) entry(ctx context.Context, seq uint64) (custody.Entry, error) {
	raw, err := d.raw(ctx, seq)
	if err != nil {
		return custody.Entry{}, err
	}
	e, _, err := custody.DecodeEntry(string(raw))
	return e, err
}

// linkOf is what is known of the links of an entry.
func (d *draft) linkOf(seq uint64) link {
	view := d.view
	for ; d != nil; d = d.below {
		if l, ok := d.links[seq]; ok {
			return l
		}
	}
	return view.links[seq]
}

// waits is an entry as long as it waits to be resolved.
func (d *draft) waits(seq uint64) waiting {
	view := d.view
	for ; d != nil; d = d.below {
		if w, ok := d.pending[seq]; ok {
			return w
		}
	}
	return view.pending[seq]
}

// link follows e's link, if it has one, and keeps what later entries have to know
// of e.
func (d *draft) link(ctx context.Context, e *custody.Entry) error {
	seq := d.seq + 1
	switch {
	case e.Reverses != "":
		d.links[seq] = link{reversal: true}
		return d.reverse(ctx, e, seq)
	case e.Resolves != "":
		return d.resolve(ctx, e, seq)
	}
	if legs := pendingLegs(e.Legs); legs != nil {
		d.pending[seq] = waiting{e.Ref, legs}.own()
	}
	return nil
}

// reverse marks the entry that e, as entry by, takes back. Together their legs must
// come to nothing.
func (d *draft) reverse(ctx context.Context, e *custody.Entry, by uint64) error {
	seq, _, err := d.seqOf(ctx, e.Reverses)
	if err != nil {
		return fmt.Errorf("entry %s reverses %s: %w", e.Ref, e.Reverses, err)
	}
	if seq == 0 {
		return fmt.Errorf("entry %s: %w: it reverses %s, which does not exist", e.Ref, ErrReversal, e.Reverses)
	}
	l := d.linkOf(seq)
	switch {
	case l.reversedBy != 0:
		return fmt.Errorf("entry %s: %w: it reverses %s, which entry %d has reversed", e.Ref, ErrReversal, e.Reverses, l.reversedBy)
	case l.reversal:
		return fmt.Errorf("entry %s: %w: it reverses %s, which is a reversal itself", e.Ref, ErrReversal, e.Reverses)
	case l.resolvedBy != 0:
		return fmt.Errorf("entry %s: %w: it reverses %s, which entry %d has resolved", e.Ref, ErrReversal, e.Reverses, l.resolvedBy)
	}
	original, err := d.entry(ctx, seq)
	if err != nil {
		return fmt.Errorf("entry %s reverses %s: %w", e.Ref, e.Reverses, err)
	}
	if err := nothingLeft(original.Legs, e.Legs); err != nil {
		return fmt.Errorf("entry %s: %w: it reverses %s and %w", e.Ref, ErrReversal, e.Reverses, err)
	}
	l.reversedBy = by
	d.links[seq] = l
	d.pending[seq] = waiting{}
	if l.resolves != 0 {
		again := d.linkOf(l.resolves)
		again.resolvedBy = 0
		d.links[l.resolves] = again
		d.pending[l.resolves] = waiting{original.Resolves, pendingLegs(e.Legs)}.own()
	}
	return nil
}

// resolve marks the entry whose pending legs e, as entry by, takes back.
func (d *draft) resolve(ctx context.Context, e *custody.Entry, by uint64) error {
	seq, _, err := d.seqOf(ctx, e.Resolves)
	if err != nil {
		return fmt.Errorf("entry %s resolves %s: %w", e.Ref, e.Resolves, err)
	}
	if seq == 0 {
		return fmt.Errorf("entry %s: %w: it resolves %s, which does not exist", e.Ref, ErrResolution, e.Resolves)
	}
	l, waits := d.linkOf(seq), d.waits(seq)
	switch {
	case l.resolvedBy != 0:
		return fmt.Errorf("entry %s: %w: it resolves %s, which entry %d has resolved", e.Ref, ErrResolution, e.Resolves, l.resolvedBy)
	case l.reversedBy != 0:
		return fmt.Errorf("entry %s: %w: it resolves %s, which entry %d has reversed", e.Ref, ErrResolution, e.Resolves, l.reversedBy)
	case waits.legs == nil:
		return fmt.Errorf("entry %s: %w: it resolves %s, which has no pending legs of its own", e.Ref, ErrResolution, e.Resolves)
	}
	if err := nothingLeft(waits.legs, pendingLegs(e.Legs)); err != nil {
		return fmt.Errorf("entry %s: %w: it resolves %s and %w", e.Ref, ErrResolution, e.Resolves, err)
	}
	l.resolvedBy = by
	d.links[seq] = l
	d.links[by] = link{resolves: seq}
	d.pending[seq] = waiting{}
	return nil
}

func pendingLegs(legs []custody.Leg) (pending []custody.Leg) {
	for _, l := range legs {
		if l.Layer == custody.Pending {
			pending = append(pending, l)
		}
	}
	return pending
}

// nothingLeft says what is left of legs when others take them back.
func nothingLeft(legs, back []custody.Leg) error {
	var sums []custody.Leg
	for _, some := range [][]custody.Leg{legs, back} {
		for _, l := range some {
			if err := addLeg(&sums, l); err != nil {
				return err
			}
		}
	}
	for _, left := range sums {
		if !left.Amount.IsZero() {
			return fmt.Errorf("leaves %s %s %s at %s", left.Amount, left.Asset, left.Layer, left.Account)
		}
	}
	return nil
}

// addLeg adds a leg to the sum of its account, asset and layer. Entries have a
// handful of legs, so looking for it is cheaper than a map.
func addLeg(sums *[]custody.Leg, l custody.Leg) error {
	for i := range *sums {
		sum := &(*sums)[i]
		if sum.Account != l.Account || sum.Asset != l.Asset || sum.Layer != l.Layer {
			continue
		}
		amount, ok := sum.Amount.Add(l.Amount)
		if !ok {
			return fmt.Errorf("its sum of %s at %s overflows", l.Asset, l.Account)
		}
		sum.Amount = amount
		return nil
	}
	*sums = append(*sums, l)
	return nil
}
