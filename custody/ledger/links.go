package ledger

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

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

// record is what is known of a posted entry without reading the journal. Entries
// are named by their numbers, and 0 is none.
type record struct {
	recorded   int64     // in nanoseconds
	leaf       tlog.Hash // of its canonical encoding, in the tree
	resolves   uint64    // the entry that it resolves
	reversal   bool      // whether it reverses another
	reversedBy uint64    // the entry that takes it back
	resolvedBy uint64    // the entry that resolves it and was not reversed
}

// seqOf is the number of the entry with the given ref, in the draft or before.
func (d *draft) seqOf(ref custody.Ref) (uint64, bool) {
	if seq, ok := d.numbers[ref]; ok {
		return seq, true
	}
	seq, ok := d.view.refs[ref]
	return seq, ok
}

// record is what is known of the entry with the given number, in the draft or
// before.
func (d *draft) record(seq uint64) record {
	if before := d.view.seq; seq > before {
		return d.records[seq-before-1]
	}
	if r, ok := d.altered[seq]; ok {
		return r
	}
	return d.view.records[seq-1]
}

// alter changes what is known of an entry.
func (d *draft) alter(seq uint64, r record) {
	if before := d.view.seq; seq > before {
		d.records[seq-before-1] = r
		return
	}
	d.altered[seq] = r
}

// pendingOf are the pending legs of an entry as long as they wait to be resolved.
func (d *draft) pendingOf(seq uint64) []custody.Leg {
	if legs, ok := d.pending[seq]; ok {
		return legs
	}
	return d.view.pending[seq]
}

// link follows e's link, if it has one, and gives its own part of e's record.
func (d *draft) link(e *custody.Entry) (record, error) {
	switch {
	case e.Reverses != "":
		return record{reversal: true}, d.reverse(e)
	case e.Resolves != "":
		seq, err := d.resolve(e)
		return record{resolves: seq}, err
	}
	if legs := pendingLegs(e.Legs); legs != nil {
		d.pending[e.Seq] = legs
	}
	return record{}, nil
}

// reverse marks the entry that e takes back.
func (d *draft) reverse(e *custody.Entry) error {
	seq, ok := d.seqOf(e.Reverses)
	if !ok {
		return fmt.Errorf("entry %s: %w: it reverses %s, which does not exist", e.Ref, ErrReversal, e.Reverses)
	}
	r := d.record(seq)
	switch {
	case r.reversedBy != 0:
		return fmt.Errorf("entry %s: %w: it reverses %s, which entry %d has reversed", e.Ref, ErrReversal, e.Reverses, r.reversedBy)
	case r.reversal:
		return fmt.Errorf("entry %s: %w: it reverses %s, which is a reversal itself", e.Ref, ErrReversal, e.Reverses)
	case r.resolvedBy != 0:
		return fmt.Errorf("entry %s: %w: it reverses %s, which entry %d has resolved", e.Ref, ErrReversal, e.Reverses, r.resolvedBy)
	}
	r.reversedBy = e.Seq
	d.alter(seq, r)
	d.pending[seq] = nil
	if r.resolves != 0 {
		again := d.record(r.resolves)
		again.resolvedBy = 0
		d.alter(r.resolves, again)
		d.pending[r.resolves] = pendingLegs(e.Legs)
	}
	return nil
}

// resolve marks the entry whose pending legs e takes back, and gives its number.
func (d *draft) resolve(e *custody.Entry) (uint64, error) {
	seq, ok := d.seqOf(e.Resolves)
	if !ok {
		return 0, fmt.Errorf("entry %s: %w: it resolves %s, which does not exist", e.Ref, ErrResolution, e.Resolves)
	}
	r := d.record(seq)
	legs := d.pendingOf(seq)
	switch {
	case r.resolvedBy != 0:
		return 0, fmt.Errorf("entry %s: %w: it resolves %s, which entry %d has resolved", e.Ref, ErrResolution, e.Resolves, r.resolvedBy)
	case r.reversedBy != 0:
		return 0, fmt.Errorf("entry %s: %w: it resolves %s, which entry %d has reversed", e.Ref, ErrResolution, e.Resolves, r.reversedBy)
	case legs == nil:
		return 0, fmt.Errorf("entry %s: %w: it resolves %s, which has no pending legs of its own", e.Ref, ErrResolution, e.Resolves)
	}
	if left, err := remainder(legs, pendingLegs(e.Legs)); err != nil {
		return 0, fmt.Errorf("entry %s: %w: it resolves %s and %w", e.Ref, ErrResolution, e.Resolves, err)
	} else if left != nil {
		return 0, fmt.Errorf("entry %s: %w: it resolves %s and leaves %s %s %s at %s",
			e.Ref, ErrResolution, e.Resolves, left.Amount, left.Asset, left.Layer, left.Account)
	}
	r.resolvedBy = e.Seq
	d.alter(seq, r)
	d.pending[seq] = nil
	return seq, nil
}

func pendingLegs(legs []custody.Leg) (pending []custody.Leg) {
	for _, l := range legs {
		if l.Layer == custody.Pending {
			pending = append(pending, l)
		}
	}
	return pending
}

// mirrors holds a reversal against what it reverses: together their legs must
// come to nothing. Whether there is such an entry is for apply to say.
func (p *batch) mirrors(ctx context.Context, e *custody.Entry) error {
	seq, ok := p.seqOf(e.Reverses)
	if e.Reverses == "" || !ok {
		return nil
	}
	original, err := p.entry(ctx, seq)
	if err != nil {
		return fmt.Errorf("entry %s reverses %s: %w", e.Ref, e.Reverses, err)
	}
	if left, err := remainder(original.Legs, e.Legs); err != nil {
		return fmt.Errorf("entry %s: %w: it reverses %s and %w", e.Ref, ErrReversal, e.Reverses, err)
	} else if left != nil {
		return fmt.Errorf("entry %s: %w: it reverses %s and leaves %s %s %s at %s",
			e.Ref, ErrReversal, e.Reverses, left.Amount, left.Asset, left.Layer, left.Account)
	}
	return nil
}

// remainder adds up two lists of legs, and gives one sum that is not zero, or nil
// if there is none.
func remainder(legs, back []custody.Leg) (*custody.Leg, error) {
	var sums []custody.Leg
	for _, some := range [][]custody.Leg{legs, back} {
		for _, l := range some {
			if err := addLeg(&sums, l); err != nil {
				return nil, err
			}
		}
	}
	for i := range sums {
		if !sums[i].Amount.IsZero() {
			return &sums[i], nil
		}
	}
	return nil, nil
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
