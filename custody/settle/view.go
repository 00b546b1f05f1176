package settle

import (
	"cmp"
	"maps"
	"slices"

	"goodcontrol/custody"
)

// onChain says whether the place is an address of one of our wallets.
func (m *Machine) onChain(place custody.Place) bool {
	_, ok := m.addresses[place]
	return ok
}

// walletType is the type of account that an address's wallet makes it.
func (m *Machine) walletType(place custody.Place) custody.AccountType {
	if m.wallets[m.addresses[place].Wallet].Kind == custody.SoCalledReserve {
		return custody.ChainReserve
	}
	return custody.ChainWallet
}

// chainAccount is the account of an asset at one of our addresses.
func (m *Machine) chainAccount(place custody.Place, asset custody.AssetID) custody.Account {
	if m.frozen[holdingKey{place, asset}] {
		return custody.AtPlace(custody.ChainFrozen, place)
	}
	return custody.AtPlace(m.walletType(place), place)
}

// Holdings is what the outside last said is at each of our places, sorted.
func (m *Machine) Holdings() []custody.Holding {
	var all []custody.Holding
	for _, h := range m.holdings {
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b custody.Holding) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Asset, b.Asset))
	})
	return all
}

// Holding is what the outside last said is at one of our places.
func (m *Machine) Holding(place custody.Place, asset custody.AssetID) (custody.Holding, bool) {
	h, ok := m.holdings[holdingKey{place, asset}]
	return h, ok
}

// AccountAt is the account of an asset at one of our places.
func (m *Machine) AccountAt(place custody.Place, asset custody.AssetID) (custody.Account, bool) {
	if m.onChain(place) {
		return m.chainAccount(place, asset), true
	}
	l, ok := m.locations[place]
	return custody.AtPlace(l.Type, place), ok
}

// InFlight is what is included at a place but not yet final: the chain shows it
// already, the settled books do not.
func (m *Machine) InFlight(place custody.Place, asset custody.AssetID) custody.Amount {
	var sum custody.Amount
	for _, mv := range m.moves {
		if mv.open && mv.kind == KindDepositIncluded && mv.seen.To == place && mv.seen.Asset == asset {
			sum, _ = sum.Add(mv.seen.Amount) // each was checked when it was posted
		}
	}
	return sum
}

// Expected is what is on its way to us.
func (m *Machine) Expected() []custody.TransferExpected {
	var all []custody.TransferExpected
	for _, x := range m.expected {
		all = append(all, x.TransferExpected)
	}
	return all
}

// Unauthorized is every outflow that no approved intent explains and that nobody
// has released.
func (m *Machine) Unauthorized() []Outflow { return slices.Clone(m.outflows) }

// Locations is every place off chain that is ours, sorted.
func (m *Machine) Locations() []custody.LocationOpened {
	return sorted(m.locations, func(l custody.LocationOpened) string { return string(l.Place) })
}

// Wallets is every wallet, sorted by id.
func (m *Machine) Wallets() []custody.WalletOpened {
	return sorted(m.wallets, func(w custody.WalletOpened) string { return w.ID })
}

// Addresses is every address assigned, sorted by place.
func (m *Machine) Addresses() []custody.AddressAssigned {
	return sorted(m.addresses, func(a custody.AddressAssigned) string { return string(a.Place) })
}

// Wallet finds a wallet by its id.
func (m *Machine) Wallet(id string) (custody.WalletOpened, bool) {
	w, ok := m.wallets[id]
	return w, ok
}

// Address finds an address of ours.
func (m *Machine) Address(place custody.Place) (custody.AddressAssigned, bool) {
	a, ok := m.addresses[place]
	return a, ok
}

// Owner finds the kind of an owner; it is NoOwner for one that was never opened.
func (m *Machine) Owner(id string) custody.OwnerKind { return m.owners[id].Kind }

// Owners is every owner, sorted by id.
func (m *Machine) Owners() []custody.OwnerOpened {
	return sorted(m.owners, func(o custody.OwnerOpened) string { return o.ID })
}

// Booked is the owner in whose book an outside address stands, or empty.
func (m *Machine) Booked(place custody.Place) string { return m.book[place] }

func sortedAccounts(all map[custody.Account]bool) []custody.Account {
	return slices.SortedFunc(maps.Keys(all), func(a, b custody.Account) int { return cmp.Compare(a.Name, b.Name) })
}

func sorted[K comparable, V any](all map[K]V, key func(V) string) []V {
	var out []V
	for _, v := range all {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b V) int { return cmp.Compare(key(a), key(b)) })
	return out
}
