package reserve

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// Tracker keeps the lines of both computations as entries are folded in. The cost of
// an entry grows with its legs, and for an account that owes money with the number of
// assets in it; it does not grow with the number of accounts. A price revalues the sums
// of the lines it stands in and the accounts that owe money against that security.
//
// It is a fold like any other: the same entries and prices in the same order give the
// same books, which are those of FromPositions. It is not safe for concurrent use. After
// an error from Apply or SetPrice it must be thrown away and built again.
type Tracker struct {
	mapping   mapping
	assets    AssetLookup
	place     *time.Location
	prices    map[custody.AssetID]Price
	positions map[Key]*trackedPosition

	// totals are the running values of the lines that are a plain sum, aged those
	// of the lines that depend on a holding's age, by the day it began.
	totals [2][16]decimal.Decimal
	aged   map[agedCell]decimal.Decimal
	// held is the quantity behind each sum, by asset, so that a price can revalue
	// it. US dollars need none.
	held map[custody.AssetID]map[agedCell]custody.Amount
	// unpriced are the assets that have stood in held and have no price.
	unpriced map[custody.AssetID]struct{}

	// apart are positions that are computed anew when asked for, because a limit
	// applies to the account: reserve accounts and accounts that count by terms.
	apart map[Key]*trackedPosition

	debtors debtors
	stock   stockKeeper
	shown   map[custody.Account]Debtor
	control map[custody.AssetID]*controlTally
	covers  map[custody.Place]Cover
	// deficits are the assets in deficit, and since when.
	deficits map[custody.AssetID]Date
	// touchedAssets are those that the entry being folded moves, and its day.
	touchedAssets map[custody.AssetID]Date
	wallets       map[string]custody.WalletOpened
	// onChain are the assets that an address has had.
	onChain map[custody.Place][]custody.AssetID
}

type trackedPosition struct {
	settled, pending custody.Amount
	since            Date
}

// agedCell is one running sum. Since is zero for a line that does not depend on age.
type agedCell struct {
	population uint8 // 0 customer, 1 PAB
	item       Item
	since      Date
}

// NewTracker is an empty tracker. An entry's effective time becomes a day in the
// given place. It is an error if the mapping of the books is not complete.
func NewTracker(assets AssetLookup, place *time.Location) (*Tracker, error) {
	m, err := newMapping()
	if err != nil {
		return nil, err
	}
	return &Tracker{
		mapping: m, assets: assets, place: place,
		prices: map[custody.AssetID]Price{}, positions: map[Key]*trackedPosition{},
		aged: map[agedCell]decimal.Decimal{}, held: map[custody.AssetID]map[agedCell]custody.Amount{},
		apart: map[Key]*trackedPosition{}, debtors: newDebtors(), stock: newStockKeeper(DefaultAllocation()), control: map[custody.AssetID]*controlTally{}, covers: map[custody.Place]Cover{}, deficits: map[custody.AssetID]Date{}, touchedAssets: map[custody.AssetID]Date{},
		wallets: map[string]custody.WalletOpened{}, onChain: map[custody.Place][]custody.AssetID{},
		unpriced: map[custody.AssetID]struct{}{},
	}, nil
}

// Register gives the tracker the registers that the Basis of every later computation has.
// It must be called before the first entry.
func (t *Tracker) Register(r Registers) error {
	if len(t.positions) > 0 {
		return fmt.Errorf("registers: %d positions were folded without them", len(t.positions))
	}
	t.stock, t.shown = newStockKeeper(r.order()), r.Debtors
	return r.Check()
}

func populationIndex(t custody.AccountType) uint8 {
	if pab(t) {
		return 1
	}
	return 0
}

// Apply folds one entry of the journal: its legs, or the price that it carries.
func (t *Tracker) Apply(e custody.Entry) error {
	if err := t.fact(e); err != nil {
		return fmt.Errorf("entry %d (%s): %w", e.Seq, e.Ref, err)
	}
	for i, l := range e.Legs {
		if err := t.leg(l, DateOf(e.Effective, t.place)); err != nil {
			return fmt.Errorf("entry %d (%s), leg %d: %w", e.Seq, e.Ref, i+1, err)
		}
	}
	for id, on := range t.touchedAssets {
		if err := t.noteDeficit(id, t.control[id], on); err != nil {
			return fmt.Errorf("entry %d (%s): control of %s: %w", e.Seq, e.Ref, id, err)
		}
		delete(t.touchedAssets, id)
	}
	return t.debtorsTouched()
}

func (t *Tracker) leg(l custody.Leg, on Date) error {
	asset, found := t.assets(l.Asset)
	if !found {
		return fmt.Errorf("%s: asset %s is not known", l.Account, l.Asset)
	}
	key := Key{l.Account, l.Asset}
	p := t.positions[key]
	if p == nil {
		p = &trackedPosition{}
		t.positions[key] = p
		t.open(key, p, asset)
	}
	before := *p
	sum := &p.settled
	if l.Layer == custody.Pending {
		sum = &p.pending
	}
	next, ok := sum.Add(l.Amount)
	if !ok {
		return fmt.Errorf("%s of %s: %s and %s overflow", l.Account, l.Asset, *sum, l.Amount)
	}
	*sum = next
	if l.Layer == custody.Pending {
		return nil // only positions apart read what is pending
	}
	if before.settled.Sign() != p.settled.Sign() {
		p.since = on
	}
	return t.settled(key, asset, before, *p, on)
}

// open files a new position where it is looked for later.
func (t *Tracker) open(key Key, p *trackedPosition, asset custody.Asset) {
	h := holding{account: key.Account.Type, class: asset.Class}
	if h.client() {
		t.debtors.open(key)
	}
	if key.Account.Type == custody.ChainWallet {
		place := custody.Place(key.Account.Name)
		t.onChain[place] = append(t.onChain[place], key.Asset)
		t.controlOf(asset)
	}
	if isReserve(key.Account.Type) || key.Account.Type == custody.ChainReserve || countsByTerms(key.Account.Type) {
		t.apart[key] = p
	}
}

func countsByTerms(t custody.AccountType) bool {
	return t == custody.OCCMargin || t == custody.ClearingMargin
}

// settled moves a position's part of every sum from what it was to what it is.
func (t *Tracker) settled(key Key, asset custody.Asset, before, after trackedPosition, on Date) error {
	if asset.Class != custody.Cash {
		tally := t.controlOf(asset)
		if err := tally.move(key.Account, t.covers, before.settled, after.settled); err != nil {
			return fmt.Errorf("control of %s: %w", asset.ID, err)
		}
		t.touchedAssets[asset.ID] = on
	}
	if err := t.stockMoved(key, asset, before, after); err != nil {
		return fmt.Errorf("%s of %s: %w", key.Account, key.Asset, err)
	}
	if _, apart := t.apart[key]; apart {
		return nil
	}
	for _, side := range [2]struct {
		p    trackedPosition
		sign int
	}{{before, -1}, {after, 1}} {
		if err := t.lines(key, lot{asset, side.p.settled}, side.p.since, side.sign); err != nil {
			return err
		}
	}
	if !(holding{account: key.Account.Type}).client() {
		return nil
	}
	t.debtors.moved(key.Account, asset, before.settled, after.settled)
	t.debtors.touch(key.Account)
	return nil
}

func (t *Tracker) controlOf(asset custody.Asset) *controlTally {
	tally := t.control[asset.ID]
	if tally == nil {
		tally = newTally(asset)
		t.control[asset.ID] = tally
	}
	return tally
}

// lines adds a lot to the sums of its lines, or takes it away.
func (t *Tracker) lines(key Key, l lot, since Date, sign int) error {
	if l.quantity.IsZero() {
		return nil
	}
	treatment, err := t.mapping.of(l.holding(key.Account.Type))
	if err != nil {
		return err
	}
	for _, item := range treatment.items {
		if item == 10 || item.byTerms(key.Account.Type) || stocked(item, key.Account, l.holding(key.Account.Type)) {
			continue
		}
		cell := agedCell{population: populationIndex(key.Account.Type), item: item}
		if item.aged() {
			cell.since = since
		}
		quantity := l.quantity.Abs()
		if sign < 0 {
			quantity = quantity.Neg()
		}
		if err := t.add(cell, lot{l.asset, quantity}); err != nil {
			return fmt.Errorf("item %s: %w", item, err)
		}
	}
	return nil
}

// add changes a sum by a signed quantity.
func (t *Tracker) add(cell agedCell, l lot) error {
	if l.asset.ID == custody.USD {
		t.addValue(cell, l.quantity.Decimal(l.asset.Scale))
		return nil
	}
	cells := t.held[l.asset.ID]
	if cells == nil {
		cells = map[agedCell]custody.Amount{}
		t.held[l.asset.ID] = cells
	}
	sum, ok := cells[cell].Add(l.quantity)
	if !ok {
		return fmt.Errorf("sum of %s: %s and %s overflow", l.asset.ID, cells[cell], l.quantity)
	}
	cells[cell] = sum
	if sum.IsZero() {
		delete(cells, cell)
	}
	price, found := t.prices[l.asset.ID]
	if !found {
		t.unpriced[l.asset.ID] = struct{}{}
		return nil
	}
	t.addValue(cell, l.quantity.Decimal(l.asset.Scale).Mul(price.USD))
	return nil
}

func (t *Tracker) addValue(cell agedCell, change decimal.Decimal) {
	if !cell.item.aged() {
		sum := &t.totals[cell.population][cell.item]
		*sum = sum.Add(change)
		return
	}
	sum := t.aged[cell].Add(change)
	if sum.IsZero() {
		delete(t.aged, cell)
		return
	}
	t.aged[cell] = sum
}

// fact folds what an entry says beside its legs.
func (t *Tracker) fact(e custody.Entry) error {
	switch e.Kind {
	case custody.KindPriceSet:
		return t.priceSet(e)
	case custody.KindWalletOpened:
		f, err := custody.Fact[custody.WalletOpened](e)
		t.wallets[f.ID] = f
		return err
	case custody.KindAddressAssigned:
		f, err := custody.Fact[custody.AddressAssigned](e)
		if err != nil {
			return err
		}
		return t.assign(f)
	}
	return nil
}

// assign folds the fact of an address. What it holds already is taken out of the sums
// and put in again as what it now is.
func (t *Tracker) assign(f custody.AddressAssigned) error {
	account := custody.AtPlace(custody.ChainWallet, f.Place)
	for i, cover := range [2]Cover{t.covers[f.Place], {Kind: t.wallets[f.Wallet].Kind, Owner: t.wallets[f.Wallet].Owner}} {
		t.covers[f.Place] = cover
		for _, id := range t.onChain[f.Place] {
			held := t.positions[Key{account, id}].settled
			from, to := held, custody.Amount{}
			if i == 1 {
				from, to = to, held
			}
			if err := t.control[id].move(account, t.covers, from, to); err != nil {
				return fmt.Errorf("control of %s: %w", id, err)
			}
		}
	}
	return nil
}

// Covers is whose claims each address covers, as Control asks for it.
func (t *Tracker) Covers() map[custody.Place]Cover { return maps.Clone(t.covers) }

// Books is what the books say as of a day, under the rules and registers of that day.
// Drivers and what was left out are not in it: FromPositions gives them.
func (t *Tracker) Books(basis Basis) (Books, error) {
	f := newFold(t.mapping, basis, t.prices)
	if err := t.debtorRules(basis.Rules.Reserve); err != nil {
		return Books{}, err
	}
	for account, err := range t.debtors.unpriced {
		return Books{}, fmt.Errorf("item 10, %s: %w", account, err)
	}
	if err := t.checkPrices(basis); err != nil {
		return Books{}, err
	}
	for key, p := range t.apart {
		asset, _ := t.assets(key.Asset)
		quantity, err := counted(custody.Position{Account: key.Account, Asset: key.Asset, Settled: p.settled, Pending: p.pending})
		if err != nil {
			return Books{}, err
		}
		if err := f.position(key.Account, lot{asset, quantity}, p.since, true); err != nil {
			return Books{}, err
		}
	}
	books := f.finish()
	for i, p := range []*PopulationBooks{&books.Customer, &books.PAB} {
		p.Drivers, p.LeftOut = nil, nil
		for item, total := range t.totals[i] {
			p.Items.Items[item] = p.Items.Items[item].Add(total)
		}
		sums := t.debtors.sums[i]
		p.Items.Items[10] = p.Items.Items[10].Add(sums.item10(sums.cuts(i, basis.TentativeNetCapital, basis.Rules)))
	}
	if err := t.stockLines(&books, basis); err != nil {
		return Books{}, err
	}
	for cell, value := range t.aged {
		if cell.item.oldEnough(cell.since, true, basis.AsOf, basis.Rules.Reserve) {
			p := []*PopulationBooks{&books.Customer, &books.PAB}[cell.population]
			p.Items.Items[cell.item] = p.Items.Items[cell.item].Add(value)
		}
	}
	return books, nil
}

// checkPrices holds that every asset that stands in a line has a price.
func (t *Tracker) checkPrices(basis Basis) error {
	for id := range t.unpriced {
		for cell := range t.held[id] {
			if !cell.item.aged() || cell.item.oldEnough(cell.since, true, basis.AsOf, basis.Rules.Reserve) || cell.item.Info().Side == Debit {
				return fmt.Errorf("item %s: %s: %w", cell.item, id, ErrMissingPrice)
			}
		}
	}
	return nil
}

// StalePrices lists the assets whose price something depends on and is older than a
// moment: while there is one, the lines are not known.
func (t *Tracker) StalePrices(notBefore time.Time) []custody.AssetID {
	needed := map[custody.AssetID]bool{}
	for id, cells := range t.held {
		needed[id] = len(cells) > 0
	}
	for id, accounts := range t.debtors.holders {
		needed[id] = needed[id] || len(accounts) > 0
	}
	t.needsPrice(needed)
	for key, p := range t.apart {
		needed[key.Asset] = needed[key.Asset] || !p.settled.IsZero()
	}
	var stale []custody.AssetID
	for id := range needed {
		if price, found := t.prices[id]; found && needed[id] && price.At.Before(notBefore) {
			stale = append(stale, id)
		}
	}
	slices.Sort(stale)
	return stale
}

// Control is possession or control by asset, from the running sums. The register's own
// covers are not read: the tracker has folded them.
func (t *Tracker) Control(register *ControlRegister) ([]SecurityControl, error) {
	released, err := t.released(register)
	if err != nil {
		return nil, err
	}
	return controls(t.control, register, released)
}

// DeficitSince is the close as of which each deficit first stood that events made and none
// has cured. It does not look at the register, whose letters expire by themselves.
func (t *Tracker) DeficitSince() map[custody.AssetID]Date { return maps.Clone(t.deficits) }

// noteDeficit keeps since when an asset has been in deficit.
func (t *Tracker) noteDeficit(id custody.AssetID, tally *controlTally, on Date) error {
	c := SecurityControl{Asset: id, Required: tally.required}
	if err := tally.deficit(&c); err != nil {
		return err
	}
	if _, known := t.deficits[id]; c.Deficit.IsZero() {
		delete(t.deficits, id)
	} else if !known {
		t.deficits[id] = on
	}
	return nil
}

// Since is the day since which a position has stood on its side of zero; none for one
// that is zero.
func (t *Tracker) Since(k Key) (Date, bool) {
	p := t.positions[k]
	if p == nil || p.settled.IsZero() {
		return 0, false
	}
	return p.since, true
}

// Opened is the day since which each position that is not zero has stood on its side
// of zero, as FromPositions asks for it.
func (t *Tracker) Opened() map[Key]Date {
	opened := make(map[Key]Date, len(t.positions))
	for key, p := range t.positions {
		if !p.settled.IsZero() {
			opened[key] = p.since
		}
	}
	return opened
}

// Positions lists all positions, in the order of accounts and assets.
func (t *Tracker) Positions() []custody.Position {
	all := make([]custody.Position, 0, len(t.positions))
	for _, key := range slices.SortedFunc(maps.Keys(t.positions), compareKeys) {
		p := t.positions[key]
		all = append(all, custody.Position{Account: key.Account, Asset: key.Asset, Settled: p.settled, Pending: p.pending})
	}
	return all
}
