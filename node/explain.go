package node

import (
	"context"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/node/api"
	"goodcontrol/reserve"
	"goodcontrol/reserve/explain"
)

// explained is everything that a figure comes from, at a moment.
type explained struct {
	explain.State
	moment
}

// state is what figures come from as of a moment.
func (n *Node) state(ctx context.Context, at api.AsOf) (explained, error) {
	p, f, err := n.replayed(ctx, at)
	if err != nil {
		return explained{}, err
	}
	s := explained{
		State: explain.State{
			Customer: p.statements[0], PAB: p.statements[1], Books: p.plain, Control: p.control,
			Positions: map[reserve.Key]custody.Amount{}, Prices: f.lines.Prices(), Assets: n.lookup,
		},
		moment: moment{seq: p.head.Size, at: p.at},
	}
	for _, x := range p.positions {
		s.Positions[reserve.Key{Account: x.Account, Asset: x.Asset}] = x.Settled
	}
	return s, nil
}

func (m moment) head() api.Head { return api.Head{AsOf: m.at.UTC(), Seq: m.seq} }

// figureLine reads the name of a figure, in which an asset may be called by its symbol.
func (n *Node) figureLine(text string) (explain.Line, error) {
	symbols := map[string]custody.AssetID{}
	for _, a := range n.listed.Load().Assets() {
		if _, taken := symbols[a.Symbol]; !taken {
			symbols[a.Symbol] = a.ID
		}
	}
	l, err := explain.ParseLine(text, symbols)
	if err != nil {
		return l, api.Errorf(api.CodeInvalid, "%v", err)
	}
	if _, listed := n.lookup(l.Asset); l.Asset != "" && !listed {
		return l, api.Errorf(api.CodeNotFound, "line %q: asset %s is not listed", text, l.Asset)
	}
	return l, nil
}

func unitOf(l explain.Line) string {
	if l.Asset != "" {
		return string(l.Asset)
	}
	return "USD"
}

// Explain says what a figure is made of.
func (n *Node) Explain(ctx context.Context, q api.ExplainQuery) (api.Explanation, error) {
	l, err := n.figureLine(q.Line)
	if err != nil {
		return api.Explanation{}, err
	}
	s, err := n.state(ctx, q.At)
	if err != nil {
		return api.Explanation{}, err
	}
	term, err := s.State.Explain(l)
	if err != nil {
		return api.Explanation{}, api.Errorf(api.CodeConflict, "%v", err)
	}
	if err := n.fill(ctx, &term, moment{}, s.moment, q.Limit); err != nil {
		return api.Explanation{}, err
	}
	return api.Explanation{Head: s.head(), Line: l.String(), Unit: unitOf(l), Term: termOf(term)}, nil
}

// Diff says what moved a figure.
func (n *Node) Diff(ctx context.Context, q api.DiffQuery) (api.Difference, error) {
	l, err := n.figureLine(q.Line)
	if err != nil {
		return api.Difference{}, err
	}
	from, err := n.state(ctx, q.From)
	if err != nil {
		return api.Difference{}, err
	}
	to, err := n.state(ctx, q.To)
	if err != nil {
		return api.Difference{}, err
	}
	if to.seq < from.seq {
		return api.Difference{}, api.Errorf(api.CodeInvalid, "from %s (entry %d) to %s (entry %d): expected the earlier moment first", q.From, from.seq, q.To, to.seq)
	}
	was, err := from.State.Explain(l)
	if err != nil {
		return api.Difference{}, api.Errorf(api.CodeConflict, "as of %s: %v", q.From, err)
	}
	is, err := to.State.Explain(l)
	if err != nil {
		return api.Difference{}, api.Errorf(api.CodeConflict, "as of %s: %v", q.To, err)
	}
	term, err := explain.Diff(from.State, to.State, l)
	if err != nil {
		return api.Difference{}, err
	}
	if err := n.fill(ctx, &term, from.moment, to.moment, q.Limit); err != nil {
		return api.Difference{}, err
	}
	return api.Difference{
		Line: l.String(), Unit: unitOf(l), Term: termOf(term),
		From: api.Moved{Head: from.head(), Figure: exact(was.Amount)}, To: api.Moved{Head: to.head(), Figure: exact(is.Amount)},
	}, nil
}

// fill puts under each position the entries between two moments, and holds the whole
// to adding up: an answer that does not is an error of the node.
func (n *Node) fill(ctx context.Context, t *explain.Term, after, upTo moment, limit int) error {
	t.Limit(limit)
	histories := map[reserve.Key]*explain.History{}
	for key := range t.Positions() {
		histories[key] = &explain.History{}
	}
	priced := map[custody.AssetID]explain.Posting{}
	newest := map[custody.AssetID]custody.PriceSet{}
	err := n.books.Entries(ctx, 0, func(e custody.Entry) error {
		if e.Seq > upTo.seq {
			return errEnough
		}
		if e.Kind == custody.KindPriceSet {
			f, err := custody.Fact[custody.PriceSet](e)
			if !f.AsOf.Before(newest[f.Asset].AsOf) {
				newest[f.Asset] = f
				priced[f.Asset], _, _ = explain.PostingOf(e, reserve.Key{}) // it has no legs
			}
			return err
		}
		if e.Seq <= after.seq {
			return nil
		}
		return touch(histories, e, limit)
	})
	if err != nil && err != errEnough {
		return err
	}
	if err := t.Fill(histories, priced); err != nil {
		return err
	}
	return t.Check()
}

// touch adds an entry to the histories of the positions that it moved.
func touch(histories map[reserve.Key]*explain.History, e custody.Entry, limit int) error {
	done := map[reserve.Key]bool{}
	for _, leg := range e.Legs {
		key := reserve.Key{Account: leg.Account, Asset: leg.Asset}
		h := histories[key]
		if h == nil || done[key] {
			continue
		}
		done[key] = true
		p, touched, err := explain.PostingOf(e, key)
		if err != nil {
			return err
		}
		if !touched {
			continue
		}
		if err := h.Add(p, limit); err != nil {
			return err
		}
	}
	return nil
}

// exact writes a figure without rounding, and with cents at least.
func exact(d decimal.Decimal) string {
	if d.Exponent() > -cents || d.Equal(d.Truncate(cents)) {
		return d.StringFixed(cents)
	}
	return d.String()
}

func termOf(t explain.Term) api.Term {
	out := api.Term{Kind: string(t.Kind), Name: t.Name, Caption: t.Caption, Citation: t.Citation, Amount: exact(t.Amount)}
	if t.Quantity.Valid {
		out.Quantity, out.Price = t.Quantity.Decimal.String(), t.Price.Decimal.String()
	}
	out.Entry, out.Priced = pointOf(t.Entry), pointOf(t.PricedBy)
	for _, x := range t.Terms {
		out.Terms = append(out.Terms, termOf(x))
	}
	return out
}

func pointOf(p *explain.Posting) *api.EntryPoint {
	if p == nil {
		return nil
	}
	return &api.EntryPoint{
		Seq: p.Seq, Ref: p.Ref, Kind: p.Kind, Recorded: p.Recorded.UTC(), Effective: p.Effective.UTC(), Actor: p.Actor,
		Approvals: p.Approvals, Reverses: p.Reverses, Resolves: p.Resolves, Evidence: p.Evidence,
	}
}
