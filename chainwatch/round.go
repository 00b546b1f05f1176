package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

// stands prepares what each witness is asked for, and says how many have to agree.
func (f *Follower) stands() (k int, stands []*stand) {
	panel, ok := f.Source.(Panel)
	if !ok || panel.Quorum() <= 1 {
		return 1, []*stand{{witness: sole{f.Source}}}
	}
	for _, w := range panel.Witnesses() {
		s := &stand{witness: w}
		if evidence := w.Cordoned(); evidence != nil {
			s.err = fmt.Errorf("cordoned: %w", evidence)
		}
		stands = append(stands, s)
	}
	return panel.Quorum(), stands
}

// each lets every stand that counts be asked, all at once. One of several witnesses
// that takes longer than Patience has not answered, and has a tenth of it from then
// on until it answers in time: a server that hangs does not hold up the others.
func (f *Follower) each(ctx context.Context, stands []*stand, ask func(context.Context, *stand) error) {
	var all sync.WaitGroup
	for _, s := range stands {
		if !s.counts() {
			continue
		}
		all.Go(func() {
			if len(stands) == 1 {
				s.err = ask(ctx, s)
				return
			}
			name, patience := s.witness.Name(), f.Patience
			if _, late := f.late.Load(name); late {
				patience /= 10
			}
			timed, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			if s.err = ask(timed, s); timed.Err() != nil && ctx.Err() == nil {
				f.late.Store(name, true)
			} else {
				f.late.Delete(name)
			}
		})
	}
	all.Wait()
}

// silence is the error of a round in which nobody answers, or nil.
func silence(stands []*stand) error {
	if slices.ContainsFunc(stands, (*stand).counts) {
		return nil
	}
	return silent(stands)
}

// silent says why each witness that does not count does not.
func silent(stands []*stand) error {
	var all error
	for _, s := range stands {
		if s.err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", s.witness.Name(), s.err))
		}
	}
	return all
}

// name asks the stands whose latest block is not below the height which block they
// have there.
func (f *Follower) name(ctx context.Context, stands []*stand, height uint64) *ballot {
	b := newBallot(height)
	var mu sync.Mutex
	f.each(ctx, stands, func(ctx context.Context, s *stand) error {
		if s.latest.Number < height {
			return nil
		}
		h := s.latest
		if h.Number > height {
			var err error
			if h, err = s.witness.Header(ctx, At{Number: height}); err != nil {
				return fmt.Errorf("reading header %d: %w", height, err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		b.add(h, s.witness.Name())
		return nil
	})
	return b
}

// hear asks every witness for its latest block and how that relates to our chain.
func (a *advance) hear(ctx context.Context) error {
	a.k, a.stands = a.f.stands()
	a.f.each(ctx, a.stands, func(ctx context.Context, s *stand) error {
		var err error
		if s.latest, err = s.witness.Header(ctx, At{Tag: Latest}); err != nil {
			return fmt.Errorf("reading the latest header: %w", err)
		}
		return a.relate(ctx, s)
	})
	if err := silence(a.stands); err != nil {
		return err
	}
	a.back()
	return nil
}

// back notes up to which height k witnesses now have our chain.
func (a *advance) back() {
	var heights []uint64
	for _, s := range a.stands {
		if s.counts() {
			heights = append(heights, s.backs)
		}
	}
	a.backed, _ = highest(a.k, heights)
	a.vouched = max(a.vouched, a.backed)
}

// relate walks a witness's chain back to ours, by parent hash.
func (a *advance) relate(ctx context.Context, s *stand) error {
	tip, final, candidate := a.head.Tip(), a.head.Final(), s.latest
	if candidate.Number < final.Number {
		return fmt.Errorf("latest block %s is below %s, which is final: the source lags", candidate.BlockID, final)
	}
	if candidate.Number > tip.Number && candidate.Parent != tip.Hash {
		var err error
		if candidate, err = s.witness.Header(ctx, At{Number: tip.Number}); err != nil {
			return fmt.Errorf("reading header %d: %w", tip.Number, err)
		}
	}
	if candidate.Number == tip.Number+1 {
		candidate = tip // its parent
	}
	for !a.head.Contains(candidate.BlockID) {
		s.fork = candidate.BlockID
		if candidate.Number <= final.Number {
			return nil // it backs nothing that we know
		}
		parent, err := s.witness.Header(ctx, At{Hash: candidate.Parent})
		if err != nil {
			return fmt.Errorf("walking back from block %d to %s: %w", candidate.Number, candidate.Parent, err)
		}
		if parent.Number+1 != candidate.Number {
			return fmt.Errorf("%w: block %d has a parent of height %d", ErrInvalid, candidate.Number, parent.Number)
		}
		candidate = parent
	}
	s.backs = candidate.Number
	return nil
}

// realign takes back the blocks that are no longer in the chain of enough witnesses.
func (a *advance) realign() error {
	if d := branches(a.head, a.stands); len(d) > 0 {
		a.disagreement = d[0].disagreement()
	}
	fork, ok := turn(a.k, a.vouched, a.head, a.stands)
	if !ok {
		return nil
	}
	if fork.Number <= a.head.Final().Number {
		return a.head.Violate(fork)
	}
	orphan, _ := a.head.At(fork.Number)
	ancestor, _ := a.head.At(fork.Number - 1)
	if err := a.takeBack(ancestor); err != nil {
		return err
	}
	a.vouched = min(a.vouched, ancestor.Number)
	for _, s := range a.stands {
		switch {
		case s.fork == fork:
			s.fork = BlockID{}
		case s.counts() && s.backs > ancestor.Number:
			s.fork, s.backs = orphan, ancestor.Number
		}
	}
	if d := branches(a.head, a.stands); len(d) == 0 {
		a.disagreement = nil // all have turned
	}
	a.back()
	return nil
}

// goal is the block to go on to, at most MaxBlocks above the tip: the last one that k
// witnesses name, or if nobody contradicts it, the last one that any names. Where
// witnesses name different blocks next and none has k, we stay where we are.
func (a *advance) goal(ctx context.Context) (goal Header, agreed bool, err error) {
	tip := a.head.Tip()
	a.top = tip.Number
	var ahead []*stand
	var heights []uint64
	for _, s := range a.stands {
		if s.follows() && s.latest.Number > tip.Number {
			ahead, heights = append(ahead, s), append(heights, s.latest.Number)
		}
	}
	if len(ahead) == 0 {
		return tip, true, nil
	}
	limit := tip.Number + uint64(a.f.MaxBlocks)
	if top, ok := highest(a.k, heights); ok {
		if h, ok := a.f.name(ctx, ahead, min(top, limit)).agreed(a.k); ok {
			a.top = top
			return h, true, nil
		}
	}
	next := a.f.name(ctx, ahead, tip.Number+1)
	if h, ok := next.agreed(a.k); ok {
		a.top = h.Number
		return h, true, nil
	}
	if a.held = len(next.names) > 1; a.held {
		a.disagreement = next.disagreement()
		return tip, true, nil
	}
	top, _ := highest(1, heights)
	if h, ok := a.f.name(ctx, ahead, min(top, limit)).agreed(1); ok {
		a.top = h.Number // one alone leads us on no faster than at each poll
		return h, false, nil
	}
	return tip, true, silence(ahead)
}

// settled is the last block of our own chain that k witnesses put under the tag. One
// that names another block of that height, or has one at our tip, supports nothing.
func (a *advance) settled(ctx context.Context, tag Tag) (BlockID, error) {
	var mu sync.Mutex
	var heights []uint64
	a.f.each(ctx, a.stands, func(ctx context.Context, s *stand) error {
		h, err := a.tagged(ctx, s, tag)
		if err != nil {
			return err
		}
		own, known := a.head.At(h.Number)
		if known && h.Hash != (common.Hash{}) && own.Hash != h.Hash {
			s.leave(h.BlockID)
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		heights = append(heights, h.Number)
		return nil
	})
	if err := silence(a.stands); err != nil {
		return BlockID{}, err
	}
	height, ok := highest(a.k, heights)
	if id, known := a.head.At(height); ok && known {
		return id, nil
	}
	return a.head.Final(), nil
}

// leave notes that a witness has another block than ours, where it was thought to
// have our chain.
func (s *stand) leave(fork BlockID) {
	if s.follows() || fork.Number < s.fork.Number {
		s.fork, s.backs = fork, min(s.backs, max(fork.Number, 1)-1)
	}
}

// tagged is the block that a witness has under the tag, or at our tip if it is above
// that: blocks are read by height, so our tip is then below what it calls final.
func (a *advance) tagged(ctx context.Context, s *stand, tag Tag) (Header, error) {
	tip := a.head.Tip()
	h, err := s.witness.Header(ctx, At{Tag: tag})
	if err == nil && h.Number > tip.Number {
		h, err = s.witness.Header(ctx, At{Number: tip.Number})
	} else if errors.Is(err, ErrNotFound) {
		return Header{}, nil // the chain has none yet, or the witness lags: no height
	}
	if err != nil {
		return Header{}, fmt.Errorf("reading the %s header: %w", tag, err)
	}
	return h, nil
}

// cordon ends the trust in witnesses which have another block where k others have one
// that is safe; where depth decides, one that is final. Nearer to the tip honest
// endpoints may be on different branches for a while.
func (a *advance) cordon() {
	if b := branches(a.head, a.stands); a.disagreement == nil && len(b) > 0 {
		a.disagreement = b[0].disagreement()
	}
	settled := a.head.Safe().Number
	if a.f.Finality.FinalDepth > 0 {
		settled = a.head.Final().Number
	}
	for _, s := range a.stands {
		if !s.counts() || s.follows() || s.fork.Number > settled {
			continue
		}
		if others := backers(a.stands, s.fork.Number); len(others) >= a.k {
			s.witness.Cordon(fmt.Errorf("%w: it has block %s, of which %d others (%q) have another that is safe", ErrDisagreement, s.fork, len(others), others))
		}
	}
}

// trouble says why fewer than k witnesses stand with our chain, or why we stay.
func (a *advance) trouble() error {
	follow := 0
	for _, s := range a.stands {
		if s.follows() {
			follow++
		}
	}
	switch {
	case a.held, follow < a.k && a.disagreement != nil:
		return fmt.Errorf("%w %s", ErrDisagreement, a.disagreement)
	case follow < a.k:
		return fmt.Errorf("%w: %d of %d, %d have to agree: %w", ErrTooFew, follow, len(a.stands), a.k, silent(a.stands))
	}
	return nil
}
