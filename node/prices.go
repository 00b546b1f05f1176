package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"goodcontrol/custody"
	"goodcontrol/offchain"
	"goodcontrol/offchain/pricefile"
)

// pricesFormat is the format of an inbox whose files are of prices and not of places.
const pricesFormat = "prices"

// takePrices puts one file of prices into the journal, each price an entry of its own,
// so that what a figure was worth is explained by a line of a file.
func (in *inbox) takePrices(ctx context.Context, r offchain.Received, put func(context.Context, reading) error) ([]*offchain.Error, error) {
	f, err := r.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: opening %s: %w", errRetry, r.Name, err)
	}
	defer f.Close()
	prices, bad, err := pricefile.Read(f, r.Name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: reading %s: %w", errRetry, r.Name, err)
	case len(bad) > 0:
		return bad, nil
	}
	limit := in.n.now().Add(tomorrow)
	var entries []custody.Entry
	for _, p := range prices {
		if p.AsOf.After(limit) {
			return []*offchain.Error{offchain.Fault(r.Name, p.Range.Line, p.Range.From, p.AsOf.Format(time.RFC3339), "a time not after "+limit.UTC().Format(time.RFC3339))}, nil
		}
		p.Asset = canonicalAsset(p.Asset)
		// A vendor's file may be of more than we hold. What is not listed is held by
		// nobody, so its price moves nothing.
		if _, listed := in.n.lookup(p.Asset); !listed {
			continue
		}
		p.Source = in.name()
		e, err := custody.FactEntry(custody.KindPriceSet, custody.Ref(fmt.Sprintf("price/%s/%d", r.Hash, p.Range.From)), "inbox", p.AsOf, p.PriceSet)
		if err != nil {
			return nil, err
		}
		e.Evidence = custody.Evidence{File: r.Hash, From: p.Range.From, To: p.Range.To}
		entries = append(entries, e)
	}
	// A vendor's file may be of more than we hold. What is not listed is held by nobody,
	// so its price moves nothing.
	listed := func(f *fold) ([]custody.Entry, error) {
		kept := slices.DeleteFunc(entries, func(e custody.Entry) bool {
			price, err := custody.Fact[custody.PriceSet](e)
			_, found := f.settle.Master().Asset(price.Asset)
			return err != nil || !found
		})
		if len(kept) == 0 {
			return nil, fmt.Errorf("%d prices, none of an asset that is listed", len(prices))
		}
		return kept, nil
	}
	return nil, put(ctx, reading{source: in.name(), input: &input{}, decide: listed})
}

// priced is the fold of when each source last gave a price.
type priced map[string]time.Time

func (p priced) apply(e custody.Entry) error {
	if e.Kind != custody.KindPriceSet {
		return nil
	}
	f, err := custody.Fact[custody.PriceSet](e)
	if f.AsOf.After(p[f.Source]) {
		p[f.Source] = f.AsOf
	}
	return err
}

// pricesHeard says of each source of prices when it last gave one.
func (n *Node) pricesHeard() map[string]input {
	heard := map[string]input{}
	for _, box := range n.config.Inboxes {
		if box.Format != pricesFormat {
			continue
		}
		in := n.inputs[box.Source]
		in.asOf, in.maxAge = n.fold.priced[box.Source], box.MaxAge
		if why := n.fold.refused.of(box.Source, ""); why != "" {
			in.refused = why
		}
		heard[box.Source] = in
	}
	return heard
}

// stalePrices says which prices something depends on and are too old to be believed. A
// price may be as old as the sources of prices may be; with several, as the strictest.
// That one is missing is an error of the computation itself.
func (n *Node) stalePrices(now time.Time) []string {
	var maxAge time.Duration
	for _, box := range n.config.Inboxes {
		if box.Format == pricesFormat && (maxAge == 0 || box.MaxAge < maxAge) {
			maxAge = box.MaxAge
		}
	}
	var why []string
	for _, id := range n.fold.lines.StalePrices(now.Add(-maxAge)) {
		why = append(why, fmt.Sprintf("price of %s is of %s, at most %s old is allowed", id, n.fold.lines.Price(id).At.Format(time.RFC3339), maxAge))
	}
	return why
}
