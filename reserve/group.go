package reserve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// A group is the money and the securities of one dealing: what a borrower has and what is
// payable against it, a fail and its contract value. Money and securities belong together
// by the account that holds both, or by the counterparty's name, which is the same on both
// sides of the books. All money borrowed and everything pledged is one group: a depository
// does not say for which loan a security is pledged.
type groupKey struct {
	item    Item
	account custody.Account
	asset   custody.AssetID // where each security is a group of its own
}

// String names the group.
func (k groupKey) String() string {
	if k.account.Name == "" {
		return "money borrowed and all that is pledged"
	}
	return k.account.String()
}

// groupOf is the group of a part of a security's stock record.
func groupOf(account custody.Account, asset custody.AssetID) groupKey {
	switch account.Type {
	case custody.DTCPledged:
		return groupKey{item: 2}
	case custody.OCCMargin, custody.ClearingMargin:
		return groupKey{item: 2, account: account, asset: asset}
	case custody.WithBorrower:
		return groupKey{item: 3, account: account}
	case custody.Transfer:
		return groupKey{item: 9, account: account, asset: asset}
	case custody.StockLender, custody.StockLenderCustomer, custody.StockLenderPAB:
		return groupKey{item: 11, account: account}
	case custody.FailDeliver, custody.FailDeliverPAB, custody.FailDeliverFirm:
		return groupKey{item: 12, account: account}
	}
	return groupKey{item: 4, account: account}
}

// moneyGroup is the group of a holding of cash, and whether it has one.
func moneyGroup(account custody.Account, h holding) (groupKey, bool) {
	if !h.cash() {
		return groupKey{}, false
	}
	switch account.Type {
	case custody.MoneyLender, custody.MoneyLenderPAB, custody.MoneyLenderFirm:
		return groupKey{item: 2}, !h.negative
	case custody.StockBorrower, custody.StockBorrowerPAB, custody.StockBorrowerFirm:
		return groupKey{item: 3, account: custody.Account{Type: custody.WithBorrower, Name: account.Name}}, !h.negative
	case custody.DueOnFail, custody.DueOnFailPAB, custody.DueOnFailFirm:
		return groupKey{item: 4, account: account}, h.negative
	case custody.StockLender, custody.StockLenderCustomer, custody.StockLenderPAB:
		return groupKey{item: 11, account: account}, h.negative
	case custody.FailDeliver, custody.FailDeliverPAB, custody.FailDeliverFirm:
		return groupKey{item: 12, account: account}, h.negative
	}
	return groupKey{}, false
}

// moneyTag is whose business the type of an account of money says that it is: the firm's,
// PAB holders', or as the securities have it.
func moneyTag(t custody.AccountType) Holder {
	switch t {
	case custody.MoneyLenderPAB, custody.StockBorrowerPAB, custody.DueOnFailPAB:
		return ForPAB
	case custody.MoneyLenderFirm, custody.StockBorrowerFirm, custody.DueOnFailFirm:
		return ForFirm
	}
	return ForCustomers
}

type group struct {
	money map[Key]custody.Amount // without a sign
	// value is what the securities are worth, in all and by holder; present is how
	// many parts each holder has. Unpriced are parts that have no price.
	value    decimal.Decimal
	by       [holders]decimal.Decimal
	present  [holders]int
	unpriced map[Key]struct{}
	// days counts positions by the day since which each has stood.
	days map[Date]int

	made []contribution // what it has been counted as
}

func newGroup() *group {
	return &group{money: map[Key]custody.Amount{}, unpriced: map[Key]struct{}{}, days: map[Date]int{}}
}

func (g *group) empty() bool { return len(g.days) == 0 }

// oldest is the day since which the first of its positions has stood.
func (g *group) oldest() Date {
	first, found := Date(0), false
	for d := range g.days {
		if !found || d < first {
			first, found = d, true
		}
	}
	return first
}

func (g *group) day(since Date, sign int) {
	if g.days[since] += sign; g.days[since] == 0 {
		delete(g.days, since)
	}
}

// part adds a part of a stock record, or takes it away. Price is not valid when unknown.
func (g *group) part(p *part, asset custody.Asset, price decimal.NullDecimal, sign int) {
	g.day(p.since, sign)
	key := Key{p.account, asset.ID}
	if delete(g.unpriced, key); !price.Valid && sign > 0 {
		g.unpriced[key] = struct{}{}
	}
	for h, quantity := range p.split {
		if quantity.IsZero() {
			continue
		}
		g.present[h] += sign
		worth := quantity.Decimal(asset.Scale).Mul(price.Decimal) // nothing without a price
		if sign < 0 {
			worth = worth.Neg()
		}
		g.by[h], g.value = g.by[h].Add(worth), g.value.Add(worth)
	}
}

func (g *group) cash(key Key, quantity custody.Amount, since Date, sign int) {
	g.day(since, sign)
	if delete(g.money, key); sign > 0 {
		g.money[key] = quantity.Abs()
	}
}

// owed is the money by what its accounts' types say.
func (g *group) owed(value valuer, assets AssetLookup) (by [holders]decimal.Decimal, all decimal.Decimal, err error) {
	for key, quantity := range g.money {
		asset, found := assets(key.Asset)
		if !found {
			return by, all, fmt.Errorf("%s: asset %s is not known", key.Account, key.Asset)
		}
		worth, err := value(lot{asset, quantity})
		if err != nil {
			return by, all, err
		}
		h := moneyTag(key.Account.Type)
		by[h], all = by[h].Add(worth), all.Add(worth)
	}
	return by, all, nil
}

// only says whether a holder has every part, of which there is at least one.
func (g *group) only(h Holder) bool {
	for other, n := range g.present {
		if n > 0 && Holder(other) != h {
			return false
		}
	}
	return g.present[h] > 0
}

func (g *group) securities() bool { return g.present != [holders]int{} }

// contribution is a group's part of one line of one population.
type contribution struct {
	population uint8 // 0 customer, 1 PAB
	line       groupLine
	since      Date
	amount     decimal.Decimal
	// missing is why the amount is not known.
	missing error
	byValue bool // the securities' prices were asked for
}

// groupLine is an item, or the addition of Note D to item 4, which has an age.
type groupLine struct {
	Item
	noteD bool
}

// counts says whether a contribution stands in its line on a day.
func (l groupLine) counts(since, asOf Date, p Pack) bool {
	switch {
	case l.noteD:
		return int(asOf-since) > p.Reserve.NoteDDays
	case l.aged():
		return l.oldEnough(since, true, asOf, p.Reserve)
	}
	return true
}

// contributions are what the group makes of which lines. What cannot be known for want of
// a price is told where it would be needed, and only there.
func (k groupKey) contributions(g *group, value valuer, assets AssetLookup) []contribution {
	var missing error
	for _, key := range slices.SortedFunc(maps.Keys(g.unpriced), compareKeys) {
		missing = fmt.Errorf("%s: %w", key.Asset, ErrMissingPrice)
		break
	}
	c := counter{key: k, g: g, missing: missing}
	owed, all, err := g.owed(value, assets)
	switch {
	case err != nil:
		c.unknown(err)
	case k.item == 9 || k.asset != "":
		for h, p := range populations {
			c.put(uint8(p), k.item, g.by[h], g.present[h] > 0)
		}
	case k.item == 11 || k.item == 12:
		c.debits(all)
	default:
		c.credits(owed, all)
	}
	return c.made
}

// populations is the population of the two holders that have one.
var populations = [2]int{ForCustomers: 0, ForPAB: 1}

// counter gathers the contributions of one group.
type counter struct {
	key     groupKey
	g       *group
	missing error
	made    []contribution
}

// put notes an amount; byValue says that it depends on what securities are worth.
func (c *counter) put(population uint8, item Item, amount decimal.Decimal, byValue bool) {
	made := contribution{population: population, line: groupLine{Item: item}, since: c.g.oldest(), amount: amount, byValue: byValue}
	if byValue {
		made.missing = c.missing
	}
	if byValue || !amount.IsZero() {
		c.made = append(c.made, made)
	}
}

func (c *counter) unknown(err error) {
	c.made = append(c.made, contribution{line: groupLine{Item: c.key.item}, since: c.g.oldest(), missing: err, byValue: true})
}

// credits is items 2, 3 and 4. Where the securities are of several holders, the money is
// taken to be owed against customers' first, up to what theirs are worth and with all that
// exceeds the worth of the whole: never less than in proportion. Money of the firm's own
// business is owed against what is neither customers' nor PAB holders', as far as there is
// any. Note C adds what loaned securities are worth more than the money, Note D the same of
// old fails.
func (c *counter) credits(owed [holders]decimal.Decimal, all decimal.Decimal) {
	g := c.g
	if !g.securities() {
		c.put(0, c.key.item, owed[ForCustomers], false)
		c.put(1, c.key.item, owed[ForPAB], false)
		return
	}
	ours := g.present[ForCustomers] > 0 || g.present[ForPAB] > 0
	if !ours && c.key.item != 2 {
		c.put(1, c.key.item, owed[ForPAB], false)
		return
	}
	pabOwn := owed[ForPAB]
	if c.key.item == 4 { // the account's name has already gone into the allocation
		pabOwn = decimal.Zero
	}
	rest := all.Sub(pabOwn)
	var parts [2]decimal.Decimal
	mixed := true
	switch {
	case g.only(ForCustomers):
		parts[0], mixed = rest, false
	case g.only(ForPAB):
		parts[1], mixed = rest, false
	default:
		others := g.value.Sub(g.by[ForCustomers]).Sub(g.by[ForPAB])
		rest = rest.Sub(decimal.Min(owed[ForFirm], others))
		over := atLeastZero(all.Sub(g.value))
		first, second := ForCustomers, ForPAB
		if g.present[ForCustomers] == 0 && g.present[ForPAB] > 0 {
			first, second = ForPAB, ForCustomers
		}
		parts[populations[first]] = decimal.Min(rest, g.by[first].Add(over))
		parts[populations[second]] = decimal.Min(rest.Sub(parts[populations[first]]), g.by[second])
	}
	parts[1] = parts[1].Add(pabOwn)
	for h, p := range populations {
		if c.key.item == 3 { // Note C
			c.put(uint8(p), 3, decimal.Max(parts[p], g.by[h]), mixed || g.present[h] > 0)
			continue
		}
		c.put(uint8(p), c.key.item, parts[p], mixed)
	}
	if c.key.item == 4 {
		c.noteD(all)
	}
}

// noteD adds to item 4 what an old fail is worth more than its contract value, whole, to
// the first population that has a part of it.
func (c *counter) noteD(contract decimal.Decimal) {
	population := uint8(0)
	if c.g.present[ForCustomers] == 0 {
		population = 1
	}
	more := atLeastZero(c.g.value.Sub(contract))
	if more.IsZero() && c.missing == nil {
		return
	}
	c.made = append(c.made, contribution{
		population: population, line: groupLine{Item: 4, noteD: true}, since: c.g.oldest(), amount: more, missing: c.missing, byValue: true,
	})
}

// debits is items 11 and 12: money that customers' shorts or failed deliveries account for.
// Where others share in it, no more than what is certainly customers': the money less what
// the others' part is worth, and at most what theirs is.
func (c *counter) debits(all decimal.Decimal) {
	g := c.g
	for h, p := range populations {
		switch {
		case g.only(Holder(h)):
			c.put(uint8(p), c.key.item, all, false)
		case g.present[h] > 0:
			others := g.value.Sub(g.by[h])
			c.put(uint8(p), c.key.item, atLeastZero(decimal.Min(g.by[h], all.Sub(others))), true)
		}
	}
}

// stocked says whether a line of a holding comes out of the stock record.
func stocked(item Item, account custody.Account, h holding) bool {
	if item == 9 {
		return true
	}
	if h.security() && item == 2 {
		return true
	}
	k, is := moneyGroup(account, h)
	return is && k.item == item
}

// payers gives a contribution out to the accounts of a group's money, in order of names,
// each no more than it owes, and what is left to the group itself.
func (k groupKey) payers(g *group, amount decimal.Decimal, value valuer, assets AssetLookup) []Driver {
	var all []Driver
	for _, key := range slices.SortedFunc(maps.Keys(g.money), compareKeys) {
		asset, _ := assets(key.Asset)
		worth, err := value(lot{asset, g.money[key]})
		if err != nil {
			return nil // the contribution would not be known either
		}
		if part := decimal.Min(worth, amount); part.IsPositive() {
			all = append(all, Driver{Item: k.item, Account: key.Account, Asset: key.Asset, Amount: part})
			amount = amount.Sub(part)
		}
	}
	if amount.IsPositive() {
		account := k.account
		if account.Name == "" && len(all) > 0 {
			account = all[0].Account
		}
		all = append(all, Driver{Item: k.item, Account: account, Asset: k.asset, Amount: amount})
	}
	return all
}

// record is the stock record of all securities with the groups of its parts, gathered from
// positions.
type record struct {
	order  Allocation
	stocks map[custody.AssetID]*stock
	groups map[groupKey]*group
}

func newRecord(order Allocation) *record {
	return &record{order: order, stocks: map[custody.AssetID]*stock{}, groups: map[groupKey]*group{}}
}

func (r *record) group(k groupKey) *group {
	g := r.groups[k]
	if g == nil {
		g = newGroup()
		r.groups[k] = g
	}
	return g
}

func (r *record) stock(id custody.AssetID) *stock {
	s := r.stocks[id]
	if s == nil {
		s = &stock{}
		r.stocks[id] = s
	}
	return s
}

// position adds one position.
func (r *record) position(key Key, l lot, since Date) error {
	h := l.holding(key.Account.Type)
	if h.security() {
		return r.stock(key.Asset).move(r.order, key.Account, custody.Amount{}, l.quantity, since)
	}
	if k, is := moneyGroup(key.Account, h); is && !l.quantity.IsZero() {
		r.group(k).cash(key, l.quantity, since, 1)
	}
	return nil
}

// record adds the lines that come out of the stock record.
func (f *fold) record(r *record, assets AssetLookup, prices map[custody.AssetID]Price) error {
	for id, s := range r.stocks {
		s.allocate(r.order)
		asset, _ := assets(id) // every position's asset is known
		price, found := prices[id]
		for _, p := range s.parts {
			r.group(groupOf(p.account, id)).part(p, asset, decimal.NullDecimal{Decimal: price.USD, Valid: found}, 1)
		}
	}
	for k, g := range r.groups {
		for _, c := range k.contributions(g, f.value, assets) {
			if err := f.contribution(k, g, c, assets); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fold) contribution(k groupKey, g *group, c contribution, assets AssetLookup) error {
	p := []*PopulationBooks{&f.books.Customer, &f.books.PAB}[c.population]
	counts := c.line.counts(c.since, f.basis.AsOf, f.basis.Rules)
	switch {
	case counts && c.missing != nil:
		return fmt.Errorf("item %s, %s: %w", k.item, k, c.missing)
	case c.missing != nil:
		return nil
	}
	for _, d := range k.payers(g, c.amount, f.value, assets) {
		if counts {
			p.add(d)
		} else if k.item.Info().Side == Debit {
			p.LeftOut = append(p.LeftOut, LeftOut{d, fmt.Sprintf("not shown to be at most %d calendar days old", f.basis.Rules.Reserve.FailDays)})
		}
	}
	return nil
}

func compareGroups(a, b groupKey) int {
	return cmp.Or(cmp.Compare(a.item, b.item), compareKeys(Key{a.account, a.asset}, Key{b.account, b.asset}))
}
