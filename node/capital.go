package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
	"goodcontrol/offchain"
	"goodcontrol/reserve"
)

// capitalFormat is the format of an inbox whose files are of the firm's net capital: each
// is what `custodyctl netcapital compute` reads.
const capitalFormat = "net-capital"

// kindCapital is the kind of entry that keeps what the firm says of its capital.
const kindCapital = "capital.reported"

// maxCapitalFile bounds such a file.
const maxCapitalFile = 1 << 20

// capitalReported is the body of such an entry.
type capitalReported struct {
	Source      string          `json:"source"`
	Computation json.RawMessage `json:"computation"`
}

// takeCapital puts one file into the journal. What cannot be computed from is refused.
func (in *inbox) takeCapital(ctx context.Context, r offchain.Received, put func(context.Context, reading) error) ([]*offchain.Error, error) {
	f, err := r.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: opening %s: %w", errRetry, r.Name, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxCapitalFile))
	if err != nil {
		return nil, fmt.Errorf("%w: reading %s: %w", errRetry, r.Name, err)
	}
	stated, err := reserve.ParseNetCapital(content)
	if err == nil {
		_, err = stated.Compute(in.n.rules)
	}
	today := reserve.DateOf(in.n.now(), in.n.rule.Schedule.Place)
	switch {
	case err != nil:
		return []*offchain.Error{offchain.Fault(r.Name, 0, 0, err.Error(), "a net capital computation")}, nil
	case stated.AsOf == 0 || stated.AsOf > today:
		return []*offchain.Error{offchain.Fault(r.Name, 0, 0, stated.AsOf.String(), "as_of of a day not after "+today.String())}, nil
	}
	at := stated.AsOf.At(0, in.n.rule.Schedule.Place).UTC()
	e, err := custody.FactEntry(kindCapital, custody.Ref("capital/"+r.Hash), "inbox", at, capitalReported{in.name(), content})
	if err != nil {
		return nil, err
	}
	e.Evidence = custody.Evidence{File: r.Hash, To: int64(len(content))}
	return nil, put(ctx, reading{source: in.name(), input: &input{}, decide: func(*fold) ([]custody.Entry, error) { return []custody.Entry{e}, nil }})
}

// capital is the fold of the newest computation that the firm gave.
type capital struct {
	source string
	asOf   time.Time
	stated *reserve.NetCapitalInput
}

func (c *capital) apply(e custody.Entry) error {
	if e.Kind != kindCapital || e.Effective.Before(c.asOf) {
		return nil
	}
	f, err := custody.Fact[capitalReported](e)
	if err != nil {
		return err
	}
	stated, err := reserve.ParseNetCapital(f.Computation)
	*c = capital{f.Source, e.Effective, &stated}
	return err
}

// capitalHeard says of each source of net capital how fresh it is.
func (n *Node) capitalHeard() map[string]input {
	heard := map[string]input{}
	for _, box := range n.config.Inboxes {
		if box.Format != capitalFormat {
			continue
		}
		in := n.inputs[box.Source]
		in.maxAge = box.MaxAge
		if n.fold.capital.source == box.Source {
			in.asOf = n.fold.capital.asOf
		}
		if why := n.fold.refused.of(box.Source, ""); why != "" {
			in.refused = why
		}
		heard[box.Source] = in
	}
	return heard
}

// tentative is what Note E(5) goes by, in dollars; not valid when the firm gave nothing.
func (c capital) tentative(rules reserve.Rules) decimal.NullDecimal {
	if c.stated == nil {
		return decimal.NullDecimal{}
	}
	dollars, err := c.stated.InDollars(rules)
	if err != nil {
		return decimal.NullDecimal{} // it was computed from when it was taken in
	}
	return dollars.TentativeNetCapital
}

// judge computes the requirement of now: the capital that the firm stated, against the
// debits of this moment.
func (c capital) judge(rules reserve.Rules, customer reserve.Statement) (*reserve.NetCapitalResult, error) {
	if c.stated == nil {
		return nil, nil
	}
	now, err := c.stated.InDollars(rules)
	if err != nil {
		return nil, err
	}
	now.AsOf, now.AggregateDebits = customer.Params.AsOf, decimal.NewNullDecimal(customer.AggregateDebits)
	result, err := now.Compute(rules)
	return &result, err
}

// capitalConditions tell each notice that is due, to whom and by when.
func (n *Node) capitalConditions(p *picture) []alert.Condition {
	if p.capital == nil {
		return nil
	}
	var all []alert.Condition
	for _, notice := range p.capital.Notices {
		key := "netcapital.early_warning/" + notice.Citation
		since := p.at
		for _, a := range n.fold.alerts.Open() {
			if a.Key == key {
				since = a.OpenedAt
			}
		}
		deadline := notice.Due(since, n.rule.Schedule.Place)
		all = append(all, alert.Condition{
			Key: key, Kind: alert.EarlyWarning, Deadline: deadline,
			Data: map[string]any{
				"trigger": notice.Trigger, "when": notice.When, "deadline": deadline.Format(time.RFC3339), "to": notice.To, "citation": notice.Citation,
				"net_capital": p.capital.NetCapital, "requirement": p.capital.Requirement, "excess": p.capital.Excess, "early_warning": p.capital.EarlyWarning,
			},
			Matters: notice.Trigger,
		})
	}
	return all
}
