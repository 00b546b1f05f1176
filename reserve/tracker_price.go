package reserve

import (
	"fmt"
	"maps"

	"goodcontrol/custody"
)

// SetPrice gives an asset a price from now on.
func (t *Tracker) SetPrice(id custody.AssetID, price Price) error {
	asset, found := t.assets(id)
	switch {
	case !found:
		return fmt.Errorf("price of %s: asset is not known", id)
	case id == custody.USD:
		return fmt.Errorf("price of %s: it is what prices are in", id)
	case price.USD.IsNegative():
		return fmt.Errorf("price of %s is %s, expected zero or more", id, price.USD)
	}
	change := price.USD.Sub(t.prices[id].USD) // a missing price has added nothing
	t.repriced(asset, func() { t.prices[id] = price })
	delete(t.unpriced, id)
	for cell, quantity := range t.held[id] {
		t.addValue(cell, quantity.Decimal(asset.Scale).Mul(change))
	}
	for account := range t.debtors.holders[id] {
		if err := t.debtor(account); err != nil {
			return err
		}
	}
	return nil
}

// priceSet folds the fact of a price. One that is older than what is known changes
// nothing, and neither does one of an asset that is not listed: nobody holds it.
func (t *Tracker) priceSet(e custody.Entry) error {
	f, err := custody.Fact[custody.PriceSet](e)
	if err != nil {
		return err
	}
	usd, err := f.Check()
	if err != nil {
		return err
	}
	last, found := t.prices[f.Asset]
	if _, listed := t.assets(f.Asset); !listed || found && f.AsOf.Before(last.At) {
		return nil
	}
	return t.SetPrice(f.Asset, Price{USD: usd, At: f.AsOf, Source: f.Source})
}

// Price is what is known of an asset's price; the zero Price if nothing is.
func (t *Tracker) Price(id custody.AssetID) Price { return t.prices[id] }

// Prices are all prices that are known.
func (t *Tracker) Prices() map[custody.AssetID]Price { return maps.Clone(t.prices) }
