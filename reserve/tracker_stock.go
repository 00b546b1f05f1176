package reserve

import (
	"fmt"
	"maps"
	"slices"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// stockKeeper is the part of a Tracker that keeps the stock record and the lines that come
// out of it. An event costs what the security has of accounts that are allocated, and what
// a group has of currencies; a price, the groups that the security is in.
type stockKeeper struct {
	record
	// lines are the sums by line and the day since which, unknown the groups of which
	// something is not known for want of a price.
	lines   map[lineCell]decimal.Decimal
	unknown map[groupKey]struct{}
	// moneyIn are the groups with money in a currency other than the dollar.
	moneyIn map[custody.AssetID]map[groupKey]int
}

// lineCell is one running sum of a line that comes out of the stock record. Since is zero
// where age does not matter.
type lineCell struct {
	population uint8
	line       groupLine
	since      Date
}

func newStockKeeper(order Allocation) stockKeeper {
	return stockKeeper{
		record: *newRecord(order), lines: map[lineCell]decimal.Decimal{}, unknown: map[groupKey]struct{}{},
		moneyIn: map[custody.AssetID]map[groupKey]int{},
	}
}

// stockMoved folds a change of a settled position into the stock record.
func (t *Tracker) stockMoved(key Key, asset custody.Asset, before, after trackedPosition) error {
	h := holding{account: key.Account.Type, class: asset.Class}
	switch {
	case h.cash():
		return t.moneyMoved(key, asset, before, after)
	case !h.security() || roleOf(key.Account.Type) == noRole:
		return nil
	}
	s := t.stock.stock(asset.ID)
	if roleOf(key.Account.Type) == claim {
		if err := s.move(t.stock.order, key.Account, before.settled, after.settled, after.since); err != nil {
			return err
		}
		// Most changes of a claim leave to everybody what they had.
		if splits := s.splits(t.stock.order); !s.has(splits) {
			return t.reallocated(s, asset, func() error { s.give(splits); return nil })
		}
		return nil
	}
	return t.reallocated(s, asset, func() error {
		err := s.move(t.stock.order, key.Account, before.settled, after.settled, after.since)
		s.allocate(t.stock.order)
		return err
	})
}

// reallocated runs a change of a security's parts with all of them out of their groups.
func (t *Tracker) reallocated(s *stock, asset custody.Asset, change func() error) error {
	touched := t.withdraw(s, asset, map[groupKey]struct{}{})
	err := change()
	t.deposit(s, asset, touched)
	t.recount(touched)
	return err
}

// withdraw takes a security's parts out of their groups, deposit puts them in. Both note
// which groups these are.
func (t *Tracker) withdraw(s *stock, asset custody.Asset, touched map[groupKey]struct{}) map[groupKey]struct{} {
	return t.eachPart(s, asset, -1, touched)
}

func (t *Tracker) deposit(s *stock, asset custody.Asset, touched map[groupKey]struct{}) {
	t.eachPart(s, asset, 1, touched)
}

func (t *Tracker) eachPart(s *stock, asset custody.Asset, sign int, touched map[groupKey]struct{}) map[groupKey]struct{} {
	price, found := t.prices[asset.ID]
	for _, p := range s.parts {
		k := groupOf(p.account, asset.ID)
		t.stock.group(k).part(p, asset, decimal.NullDecimal{Decimal: price.USD, Valid: found}, sign)
		touched[k] = struct{}{}
	}
	return touched
}

// moneyMoved folds a change of cash that belongs to a group.
func (t *Tracker) moneyMoved(key Key, asset custody.Asset, before, after trackedPosition) error {
	touched := map[groupKey]struct{}{}
	for _, side := range [2]struct {
		p    trackedPosition
		sign int
	}{{before, -1}, {after, 1}} {
		k, is := moneyGroup(key.Account, lot{asset, side.p.settled}.holding(key.Account.Type))
		if !is || side.p.settled.IsZero() {
			continue
		}
		t.stock.group(k).cash(key, side.p.settled, side.p.since, side.sign)
		touched[k] = struct{}{}
		if asset.ID != custody.USD {
			t.countCurrency(asset.ID, k, side.sign)
		}
	}
	t.recount(touched)
	return nil
}

func (t *Tracker) countCurrency(id custody.AssetID, k groupKey, sign int) {
	in := t.stock.moneyIn[id]
	if in == nil {
		in = map[groupKey]int{}
		t.stock.moneyIn[id] = in
	}
	if in[k] += sign; in[k] == 0 {
		delete(in, k)
	}
}

// recount counts groups anew.
func (t *Tracker) recount(touched map[groupKey]struct{}) {
	for k := range touched {
		g := t.stock.groups[k]
		t.count(g, -1)
		delete(t.stock.unknown, k)
		g.made = k.contributions(g, valuation(t.prices), t.assets)
		t.count(g, 1)
		for _, c := range g.made {
			if c.missing != nil {
				t.stock.unknown[k] = struct{}{}
			}
		}
		if g.empty() {
			delete(t.stock.groups, k)
		}
	}
}

func (t *Tracker) count(g *group, sign int) {
	for _, c := range g.made {
		if c.missing != nil {
			continue
		}
		cell := lineCell{population: c.population, line: c.line}
		if c.line.noteD || c.line.aged() {
			cell.since = c.since
		}
		amount := c.amount
		if sign < 0 {
			amount = amount.Neg()
		}
		if sum := t.stock.lines[cell].Add(amount); sum.IsZero() {
			delete(t.stock.lines, cell)
		} else {
			t.stock.lines[cell] = sum
		}
	}
}

// repriced runs a change of a price with the asset's parts taken out of their groups.
func (t *Tracker) repriced(asset custody.Asset, change func()) {
	touched := map[groupKey]struct{}{}
	s := t.stock.stocks[asset.ID]
	if s != nil {
		t.withdraw(s, asset, touched)
	}
	change()
	if s != nil {
		t.deposit(s, asset, touched)
	}
	for k := range t.stock.moneyIn[asset.ID] {
		touched[k] = struct{}{}
	}
	t.recount(touched)
}

// stockLines adds the lines to the books of a day.
func (t *Tracker) stockLines(books *Books, basis Basis) error {
	for _, k := range slices.SortedFunc(maps.Keys(t.stock.unknown), compareGroups) {
		for _, c := range t.stock.groups[k].made {
			if c.missing != nil && c.line.counts(c.since, basis.AsOf, basis.Rules) {
				return fmt.Errorf("item %s, %s: %w", k.item, k, c.missing)
			}
		}
	}
	for cell, sum := range t.stock.lines {
		if cell.line.counts(cell.since, basis.AsOf, basis.Rules) {
			items := &[]*PopulationBooks{&books.Customer, &books.PAB}[cell.population].Items.Items
			items[cell.line.Item] = items[cell.line.Item].Add(sum)
		}
	}
	return nil
}

// needsPrice adds the assets whose price something in a group depends on.
func (t *Tracker) needsPrice(needed map[custody.AssetID]bool) {
	depends := func(k groupKey) bool {
		return slices.ContainsFunc(t.stock.groups[k].made, func(c contribution) bool { return c.byValue })
	}
	for id, s := range t.stock.stocks {
		for _, p := range s.parts {
			needed[id] = needed[id] || depends(groupOf(p.account, id))
		}
	}
	for id, groups := range t.stock.moneyIn {
		needed[id] = needed[id] || len(groups) > 0
	}
}
