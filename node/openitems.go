package node

import (
	"cmp"
	"context"
	"slices"

	"goodcontrol/custody"
	"goodcontrol/node/api"
	"goodcontrol/offchain"
	"goodcontrol/reserve"
)

// openTypes are the accounts in which something is open with the street.
var openTypes = []custody.AccountType{
	custody.DueOnFail, custody.DueOnFailPAB, custody.DueOnFailFirm, custody.FailDeliver, custody.FailDeliverPAB, custody.FailDeliverFirm,
	custody.WithBorrower, custody.StockBorrower, custody.StockBorrowerPAB, custody.StockBorrowerFirm, custody.StockLender, custody.StockLenderCustomer, custody.StockLenderPAB,
	custody.MoneyLender, custody.MoneyLenderPAB, custody.MoneyLenderFirm, custody.Transfer, custody.DistributionDue, custody.SettlementCash,
}

// opened is since when each position that is open with the street has been.
func (f *fold) opened(positions []custody.Position) map[reserve.Key]reserve.Date {
	all := map[reserve.Key]reserve.Date{}
	for _, p := range positions {
		k := reserve.Key{Account: p.Account, Asset: p.Asset}
		if since, ok := f.lines.Since(k); ok && slices.Contains(openTypes, p.Account.Type) {
			all[k] = since
		}
	}
	return all
}

// OpenItems lists what is open with the street, the oldest first.
func (n *Node) OpenItems(_ context.Context, q api.ListQuery) (api.Page[api.OpenItem], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.OpenItem]{}, err
	}
	today := reserve.DateOf(p.at, n.rule.Schedule.Place)
	var items []api.OpenItem
	for _, x := range p.positions {
		since, open := p.opened[reserve.Key{Account: x.Account, Asset: x.Asset}]
		if !open {
			continue
		}
		items = append(items, api.OpenItem{
			ID: x.Account.String() + "/" + string(x.Asset), Type: x.Account.Type.String(), Ref: x.Account.Name, Asset: string(x.Asset), Symbol: n.symbol(x.Asset),
			Quantity: n.whole(x.Asset, x.Settled), Since: since.String(), AgeDays: max(0, int(today-since)), // a day may have begun elsewhere
		})
	}
	slices.SortStableFunc(items, func(a, b api.OpenItem) int { return cmp.Or(b.AgeDays-a.AgeDays, cmp.Compare(a.ID, b.ID)) })
	return api.Cut(p.headOf(), items, func(i api.OpenItem) string { return i.ID }, q), nil
}

// identify gives each holding that is named by its ISIN alone the CUSIP that the
// security master knew it by on the statement's day, so that it is compared with what
// the books hold of the same instrument.
func (in *inbox) identify(s *offchain.SecuritiesStatement) {
	master := in.n.listed.Load()
	for i, h := range s.Holdings {
		if h.CUSIP != "" || h.ISIN == "" {
			continue
		}
		asset, err := master.Resolve("isin:"+string(h.ISIN), custody.DayOf(s.AsOf.Time))
		if err != nil {
			continue // an ISIN that is not listed, or mistyped, is told of when it is observed
		}
		if code, is := asset.CUSIP(); is {
			s.Holdings[i].CUSIP = offchain.Text(code)
		}
	}
}
