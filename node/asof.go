package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/node/api"
)

// moment is a point of the journal that a question is about: its newest entry then,
// and the time of which an answer is true.
type moment struct {
	seq uint64
	at  time.Time
}

// known is the sequence or the time that a question is about which is not about now.
// A block of a chain stands for the last entry before the journal spoke of a later
// one.
func (n *Node) known(at api.AsOf) (api.AsOf, error) {
	head := n.books.Head()
	switch {
	case at.Chain != "" && n.chains[at.Chain] == nil:
		return at, api.Errorf(api.CodeAsOfUnavailable, "as_of %s: the chain is not watched", at)
	case at.Chain != "" && n.chains[at.Chain].follower.Health().Head.Number < at.Block:
		return at, api.Errorf(api.CodeAsOfUnavailable, "as_of %s: the chain has been followed to block %d", at, n.chains[at.Chain].follower.Health().Head.Number)
	case at.Chain != "":
		seq := n.books.SeqAtBlock(at.Chain, at.Block)
		if seq == 0 {
			return at, api.Errorf(api.CodeAsOfUnavailable, "as_of %s: the journal was empty", at)
		}
		return api.AsOf{Seq: seq}, nil
	case at.Seq > head.Size:
		return at, api.Errorf(api.CodeAsOfUnavailable, "as_of %s: the journal ends at %d", at, head.Size)
	case at.Time.After(n.now()):
		return at, api.Errorf(api.CodeAsOfUnavailable, "as_of %s has not come yet", at)
	}
	return at, nil
}

// positionsAsOf asks the journal for positions of the past: as known then, and if
// the question names a time of effect, as they were then as far as was known. One
// position is looked up; for more the journal is folded.
func (n *Node) positionsAsOf(ctx context.Context, q api.PositionQuery) ([]custody.Position, api.Head, error) {
	at, head := q.At, n.books.Head()
	if at.Now() {
		at.Seq = head.Size
	}
	at, err := n.known(at)
	if err != nil {
		return nil, api.Head{}, err
	}
	seq := at.Seq
	if !at.Time.IsZero() {
		if seq, err = n.books.SeqAtTime(ctx, at.Time); err != nil {
			return nil, api.Head{}, err
		}
	}
	said := api.Head{AsOf: at.Time, Seq: seq}
	if seq > 0 && said.AsOf.IsZero() {
		newest, err := n.books.Entry(ctx, seq)
		if err != nil {
			return nil, api.Head{}, err
		}
		said.AsOf = newest.Recorded
	}
	account, unreadable := custody.ParseAccount(q.Account)
	var view *ledger.View
	switch {
	case !q.Effective.IsZero():
		view, err = n.books.AsOfEffective(ctx, seq, q.Effective)
		said.AsOf = q.Effective
	case q.Asset != "" && q.Account != "" && unreadable == nil:
		p, err := n.books.PositionAsOf(ctx, account, q.Asset, seq)
		if err != nil || p.Settled.IsZero() && p.Pending.IsZero() {
			return nil, said, err
		}
		return []custody.Position{p}, said, nil
	default:
		view, err = n.books.AsOfSeq(ctx, seq)
	}
	if err != nil {
		return nil, api.Head{}, api.Errorf(api.CodeAsOfUnavailable, "%v", err)
	}
	return view.Positions(), said, nil
}

// replay folds the journal up to what was known at a moment. What holds now is made
// again as well: the fold of the node itself belongs to the goroutine that writes.
func (n *Node) replay(ctx context.Context, at api.AsOf) (*fold, moment, error) {
	m := moment{at: at.Time}
	if p := n.picture.Load(); at.Now() {
		at.Seq, m.at = p.head.Size, p.at
	}
	at, err := n.known(at)
	if err != nil {
		return nil, moment{}, err
	}
	f, last, err := n.foldUntil(ctx, func(e custody.Entry) bool {
		return at.Seq > 0 && e.Seq > at.Seq || !at.Time.IsZero() && e.Recorded.After(at.Time)
	})
	switch {
	case err != nil:
		return nil, moment{}, fmt.Errorf("folding the journal as of %s: %w", at, err)
	case last.Seq == 0:
		return nil, moment{}, api.Errorf(api.CodeAsOfUnavailable, "as_of %s: the journal was empty", at)
	case m.at.IsZero():
		m.at = last.Recorded
	}
	m.seq = last.Seq
	return f, m, nil
}

// foldUntil folds the journal up to the first entry that is beyond, and returns the
// last one before it.
func (n *Node) foldUntil(ctx context.Context, beyond func(custody.Entry) bool) (f *fold, last custody.Entry, err error) {
	if f, err = n.newFold(); err != nil {
		return nil, last, err
	}
	err = n.books.Entries(ctx, 0, func(e custody.Entry) error {
		if beyond(e) {
			return errEnough
		}
		last = e
		return errors.Join(f.mean(e), f.keep(e))
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return f, last, err
}

// replayed is the picture of a moment as far as the journal alone gives it: positions,
// both computations, possession or control. It has no verdict, since how fresh the
// inputs were is not in the journal.
func (n *Node) replayed(ctx context.Context, at api.AsOf) (*picture, *fold, error) {
	f, m, err := n.replay(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	p, err := n.pictureOf(f, m)
	return p, f, err
}

// pictureOf is the picture of a moment whose fold is given.
func (n *Node) pictureOf(f *fold, m moment) (p *picture, err error) {
	p = &picture{at: m.at, positions: f.lines.Positions()}
	p.head.Size = m.seq
	if err = n.control(f, p); err != nil {
		return nil, api.Errorf(api.CodeConflict, "possession or control as of entry %d cannot be known: %v", m.seq, err)
	}
	if err := n.compute(f, p, nil); err != nil {
		return nil, api.Errorf(api.CodeConflict, "the reserve as of entry %d cannot be known: %v", m.seq, err)
	}
	return p, nil
}

// ofLines is the picture for a question about the reserve or possession or control,
// which the journal can answer as of any moment.
func (n *Node) ofLines(ctx context.Context, at api.AsOf) (*picture, error) {
	if at.Now() {
		return n.picture.Load(), nil
	}
	p, _, err := n.replayed(ctx, at)
	return p, err
}
