package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
)

// wallet finds a wallet by its id.
func (p *picture) wallet(id string) (custody.WalletOpened, bool) {
	for _, w := range p.wallets {
		if w.ID == id {
			return w, true
		}
	}
	return custody.WalletOpened{}, false
}

// addressesOf counts the addresses of a wallet.
func (p *picture) addressesOf(id string) int {
	count := 0
	for _, a := range p.addresses {
		if a.Wallet == id {
			count++
		}
	}
	return count
}

// hasAddress says whether a wallet has an address of the owner's own.
func (p *picture) hasAddress(wallet, owner string) bool {
	return slices.ContainsFunc(p.addresses, func(a custody.AddressAssigned) bool { return a.Wallet == wallet && a.Owner == owner })
}

// fundedAddress finds the address of a wallet that holds enough of an asset.
func (p *picture) fundedAddress(id string, asset custody.AssetID, amount custody.Amount) (custody.AddressAssigned, bool) {
	for _, a := range p.addresses {
		if a.Wallet == id && p.settledAt(a.Place, asset).Cmp(amount) >= 0 {
			return a, true
		}
	}
	return custody.AddressAssigned{}, false
}

// source is the address that a withdrawal leaves from.
func (p *picture) source(c api.RequestWithdrawal, amount custody.Amount) (custody.AddressAssigned, bool) {
	if c.Exact == nil {
		return p.fundedAddress(c.Wallet, c.Asset, amount)
	}
	for _, a := range p.addresses {
		if a.Place == c.Exact.From && a.Wallet == c.Wallet {
			return a, p.settledAt(a.Place, c.Asset).Cmp(amount) >= 0
		}
	}
	return custody.AddressAssigned{}, false
}

// settledAt is what the books say is at an address and free to move.
func (p *picture) settledAt(place custody.Place, asset custody.AssetID) custody.Amount {
	for _, x := range p.positions {
		if x.Account == custody.AtPlace(custody.ChainWallet, place) && x.Asset == asset {
			return x.Settled
		}
	}
	return custody.Amount{}
}

func (p *picture) ownerName(id string) string {
	for _, o := range p.owners {
		if o.ID == id {
			return o.Name
		}
	}
	return ""
}

// balances are the settled amounts at the places that match.
func (n *Node) balances(p *picture, at func(custody.Place) bool) (list []api.Balance, frozen bool) {
	list = []api.Balance{}
	sums := map[custody.AssetID]custody.Amount{}
	var order []custody.AssetID
	for _, x := range p.positions {
		switch x.Account.Type {
		case custody.ChainFrozen:
			frozen = frozen || at(custody.Place(x.Account.Name))
		case custody.ChainWallet, custody.ChainReserve:
		default:
			continue
		}
		if !at(custody.Place(x.Account.Name)) {
			continue
		}
		if _, seen := sums[x.Asset]; !seen {
			order = append(order, x.Asset)
		}
		sums[x.Asset], _ = sums[x.Asset].Add(x.Settled) // the stock record added them up before
	}
	for _, id := range order {
		list = append(list, api.Balance{Asset: string(id), Symbol: n.symbol(id), Amount: n.whole(id, sums[id])})
	}
	return list, frozen
}

// Wallets lists the register of wallets.
func (n *Node) Wallets(_ context.Context, q api.ListQuery) (api.Page[api.Wallet], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.Wallet]{}, err
	}
	of := map[custody.Place]string{}
	for _, a := range p.addresses {
		of[a.Place] = a.Wallet
	}
	var items []api.Wallet
	for _, w := range p.wallets {
		if q.Owner != "" && w.Owner != q.Owner {
			continue
		}
		balances, _ := n.balances(p, func(place custody.Place) bool { return of[place] == w.ID })
		items = append(items, api.Wallet{
			ID: w.ID, Kind: w.Kind.String(), Chain: w.Chain, Key: w.Key, Owner: w.Owner, OwnerName: p.ownerName(w.Owner),
			Addresses: p.addressesOf(w.ID), Balances: balances,
		})
	}
	return api.Cut(p.headOf(), items, func(w api.Wallet) string { return w.ID }, q), nil
}

// Addresses lists the addresses of a wallet.
func (n *Node) Addresses(_ context.Context, q api.AddressQuery) (api.Page[api.Address], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.Address]{}, err
	}
	w, ok := p.wallet(q.Wallet)
	if !ok || q.Owner != "" && w.Owner != q.Owner && !p.hasAddress(w.ID, q.Owner) {
		return api.Page[api.Address]{}, api.Errorf(api.CodeNotFound, "wallet %q is not in the register", q.Wallet)
	}
	var items []api.Address
	for _, a := range p.addresses {
		if a.Wallet != q.Wallet || q.Owner != "" && w.Owner != q.Owner && a.Owner != q.Owner {
			continue
		}
		balances, frozen := n.balances(p, func(place custody.Place) bool { return place == a.Place })
		items = append(items, api.Address{
			Place: a.Place, Address: string(a.Place[strings.LastIndexByte(string(a.Place), ':')+1:]), Wallet: a.Wallet, Path: a.Path,
			Owner: a.Owner, OwnerName: p.ownerName(a.Owner), Purpose: a.Purpose, FromBlock: a.FromBlock, Frozen: frozen, Balances: balances,
		})
	}
	return api.Cut(p.headOf(), items, func(a api.Address) string { return string(a.Place) }, q.ListQuery), nil
}

// Withdrawals lists all withdrawals, oldest first.
func (n *Node) Withdrawals(_ context.Context, q api.ListQuery) (api.Page[api.Withdrawal], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.Withdrawal]{}, err
	}
	var items []api.Withdrawal
	for _, w := range p.withdrawals {
		if q.Owner == "" || w.Intent.Client == q.Owner {
			items = append(items, n.withdrawalOf(w))
		}
	}
	return api.Cut(p.headOf(), items, func(w api.Withdrawal) string { return w.ID }, q), nil
}

func (n *Node) withdrawalOf(w wallet.Withdrawal) api.Withdrawal {
	i, reason := w.Intent, w.Reason
	if w.Outcome != "" {
		reason = w.Outcome
	}
	return api.Withdrawal{
		ID: w.ID, State: string(w.State), Wallet: i.Wallet, Owner: i.Client, From: i.From, To: i.To, Asset: string(i.Asset),
		Symbol: n.symbol(i.Asset), Amount: n.whole(i.Asset, i.Amount), RequestedBy: i.Maker, RequestedAt: i.Created,
		IntentHash: fmt.Sprintf("0x%x", w.Hash), Approvals: approvers(w), Needed: n.needed(), Tx: w.Tx, Reason: reason,
	}
}

// needed is how many people must approve: the maker, and the policy's checkers.
// A node that has lost its policy cannot say.
func (n *Node) needed() int {
	if p := n.policy.Load(); p != nil {
		return p.Checkers + 1
	}
	return 0
}

func approvers(w wallet.Withdrawal) []api.Approver {
	list := []api.Approver{}
	for _, a := range w.Approvals {
		list = append(list, api.Approver{Person: a.Person, At: a.At})
	}
	return list
}

// Withdrawal is one withdrawal with the bytes that its approvers sign.
func (n *Node) Withdrawal(_ context.Context, at api.AsOf, id string) (api.WithdrawalDetail, error) {
	p, err := n.at(at)
	if err != nil {
		return api.WithdrawalDetail{}, err
	}
	for _, w := range p.withdrawals {
		if w.ID == id {
			return api.WithdrawalDetail{Head: p.headOf(), Withdrawal: n.withdrawalOf(w), Intent: w.Canonical, Bytes: w.Canonical}, nil
		}
	}
	return api.WithdrawalDetail{}, api.Errorf(api.CodeNotFound, "withdrawal %q is not known", id)
}

// withdrawalsWaiting are the withdrawals that wait for a person.
func (n *Node) withdrawalsWaiting(p *picture) []api.Approval {
	var items []api.Approval
	for _, w := range p.withdrawals {
		if w.State == wallet.Requested && p.at.Before(w.Intent.Expires) {
			items = append(items, api.Approval{
				ID: w.ID, Kind: "withdrawal", Hash: fmt.Sprintf("0x%x", w.Hash), Needed: n.needed(), Have: approvers(w), Since: w.Intent.Created,
				Summary: fmt.Sprintf("%s %s of %s from wallet %s to %s", n.whole(w.Intent.Asset, w.Intent.Amount), n.symbol(w.Intent.Asset), w.Intent.Client, w.Intent.Wallet, w.Intent.To),
			})
		}
	}
	return items
}

// Approvals lists what waits for approval.
func (n *Node) Approvals(_ context.Context, q api.ListQuery) (api.Page[api.Approval], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.Approval]{}, err
	}
	items := append(n.withdrawalsWaiting(p), n.adjustmentsWaiting(p)...)
	for _, w := range p.wires {
		if w.State == wireRequested {
			shown := n.wireShown(w)
			items = append(items, api.Approval{
				ID: w.ID, Kind: "wire", Hash: shown.Hash, Needed: shown.Needed, Have: shown.Approvals, Since: shown.RequestedAt, Document: shown.Document,
				Summary: fmt.Sprintf("%s of %s dollars from %s to %s (%s)", shown.Direction, shown.Amount, w.From, w.To, w.Population),
			})
		}
	}
	items = append(items, p.messages.waiting(p.at, n.needed())...)
	return api.Cut(p.headOf(), items, func(a api.Approval) string { return a.ID }, q), nil
}

// journalID names the journal: its first entry, which no other journal has.
func (n *Node) journalID() string {
	var id string
	// The register was written when the node was opened, so there is an entry.
	_ = n.books.Entries(context.Background(), 0, func(e custody.Entry) error {
		id = fmt.Sprintf("%x", e.ContentHash())[:16]
		return errEnough
	})
	return id
}
