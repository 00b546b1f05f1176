package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"goodcontrol/custody"
)

// register is what the entries of the journal say, as far as the package repeats
// it in a form that people and other tools can read: who owns which address, what
// moved after the proven blocks, and which received files are cited. Export derives the
// package's lists from it, and Verify derives them again.
type register struct {
	heights   map[string]uint64 // by chain: the block at which its balances are proven
	assets    map[custody.AssetID]custody.Asset
	owners    map[string]custody.OwnerOpened
	wallets   map[string]custody.WalletOpened
	addresses map[custody.Place]custody.AddressAssigned
	later     map[spot]custody.Amount                            // settled, on evidence from blocks after the proven one
	moved     map[custody.Ref]map[custody.AssetID]custody.Amount // by later entry: what came to the addresses
	cited     map[string]citation
	keys      []string // that sign checkpoints, in the order in which they were named
}

// spot is an account and an asset, which have a position.
type spot struct {
	account custody.Account
	asset   custody.AssetID
}

// citation is how an entry cites a received file.
type citation struct {
	seq uint64
	end int64 // the last byte that any entry cites, plus one
}

func newRegister(heads []chainHead) *register {
	r := &register{
		heights:   map[string]uint64{},
		assets:    map[custody.AssetID]custody.Asset{},
		owners:    map[string]custody.OwnerOpened{},
		wallets:   map[string]custody.WalletOpened{},
		addresses: map[custody.Place]custody.AddressAssigned{},
		later:     map[spot]custody.Amount{},
		moved:     map[custody.Ref]map[custody.AssetID]custody.Amount{},
		cited:     map[string]citation{},
	}
	for _, h := range heads {
		r.heights[h.Chain] = h.Number
	}
	return r
}

// apply folds one entry.
func (r *register) apply(e custody.Entry) error {
	if err := r.applyFact(e); err != nil {
		return err
	}
	if f := e.Evidence.File; f != "" {
		if e.Evidence.From < 0 || e.Evidence.To < e.Evidence.From {
			return fmt.Errorf("entry %d cites bytes %d to %d of file %s", e.Seq, e.Evidence.From, e.Evidence.To, f)
		}
		c, known := r.cited[f]
		if !known {
			c.seq = e.Seq
		}
		c.end = max(c.end, e.Evidence.To)
		r.cited[f] = c
	}
	if height, onChain := r.heights[e.Evidence.Chain]; onChain && e.Evidence.Block > height {
		return r.applyLater(e, height)
	}
	return nil
}

// applyLater folds an entry whose evidence is in a block after the proven one. It
// may take from the addresses or move between them: outflows count before they are
// final. What it says has arrived is proven by nothing, and is refused, unless it
// takes back such an outflow whose block was orphaned.
func (r *register) applyLater(e custody.Entry, height uint64) error {
	came := map[custody.AssetID]custody.Amount{}
	for _, l := range e.Legs {
		if l.Layer != custody.Settled {
			continue
		}
		k, ok := spot{l.Account, l.Asset}, false
		if r.later[k], ok = r.later[k].Add(l.Amount); ok && atAddress(l.Account.Type) {
			came[l.Asset], ok = came[l.Asset].Add(l.Amount)
		}
		if !ok {
			return fmt.Errorf("entry %d: later movements of %s %s overflow", e.Seq, l.Account, l.Asset)
		}
	}
	for _, asset := range slices.Sorted(maps.Keys(came)) {
		if came[asset].Sign() > 0 && came[asset] != r.moved[e.Reverses][asset].Neg() {
			return fmt.Errorf("entry %d: %s of %s came in block %d, which is after block %d of %s, whose state is proven", e.Seq, came[asset], asset, e.Evidence.Block, height, e.Evidence.Chain)
		}
	}
	r.moved[e.Ref] = came
	return nil
}

// atAddress says whether accounts of the type are what is at an address on a chain.
func atAddress(t custody.AccountType) bool {
	return t == custody.ChainWallet || t == custody.ChainReserve || t == custody.ChainFrozen
}

func (r *register) applyFact(e custody.Entry) error {
	switch e.Kind {
	case custody.KindAssetListed:
		return keep(r.assets, e, func(a custody.Asset) custody.AssetID { return a.ID })
	case custody.KindInstrumentListed:
		i, err := custody.Fact[custody.Instrument](e)
		for _, a := range i.Assets() {
			r.assets[a.ID] = a
		}
		return err
	case custody.KindOwnerOpened:
		return keep(r.owners, e, func(o custody.OwnerOpened) string { return o.ID })
	case custody.KindWalletOpened:
		return keep(r.wallets, e, func(w custody.WalletOpened) string { return w.ID })
	case KindCheckpointKey:
		k, err := custody.Fact[CheckpointKey](e)
		r.keys = append(r.keys, k.Key)
		return err
	case custody.KindAddressAssigned:
		a, err := custody.Fact[custody.AddressAssigned](e)
		if err != nil {
			return err
		}
		if before, twice := r.addresses[a.Place]; twice && before != a {
			return fmt.Errorf("entry %d assigns %s to wallet %q and owner %q, it has wallet %q and owner %q",
				e.Seq, a.Place, a.Wallet, a.Owner, before.Wallet, before.Owner)
		}
		r.addresses[a.Place] = a
	}
	return nil
}

// keep puts the fact of an entry into a map, under its id.
func keep[K comparable, V any](into map[K]V, e custody.Entry, id func(V) K) error {
	v, err := custody.Fact[V](e)
	if err == nil {
		into[id(v)] = v
	}
	return err
}

// addressRow says whose an address is.
type addressRow struct {
	Address    custody.Place      `json:"address"` // CAIP-10, EIP-55
	Wallet     string             `json:"wallet"`
	WalletKind custody.WalletKind `json:"wallet_kind"`
	Key        string             `json:"key"`
	Path       string             `json:"path"`
	// Owner is the client whose property is there; empty where the wallet is an
	// omnibus wallet or the firm's, whose owner follows from its kind.
	Owner          string             `json:"owner,omitempty"`
	OwnerKind      *custody.OwnerKind `json:"owner_kind,omitempty"`
	OwnerName      string             `json:"owner_name,omitempty"`
	Purpose        string             `json:"purpose"`
	ValidFromBlock uint64             `json:"valid_from_block"`
}

// addressRows lists every address that was assigned.
func (r *register) addressRows() ([]addressRow, error) {
	rows := make([]addressRow, 0, len(r.addresses))
	for _, place := range slices.Sorted(maps.Keys(r.addresses)) {
		a := r.addresses[place]
		w, ok := r.wallets[a.Wallet]
		if !ok {
			return nil, fmt.Errorf("address %s is assigned to wallet %q, which was never opened", place, a.Wallet)
		}
		row := addressRow{
			Address: place, Wallet: w.ID, WalletKind: w.Kind, Key: w.Key, Path: a.Path, Owner: a.Owner,
			Purpose: a.Purpose, ValidFromBlock: a.FromBlock,
		}
		if w.Kind == custody.Segregated {
			if a.Owner != w.Owner && a.Owner != "" {
				return nil, fmt.Errorf("address %s is assigned to %q, its wallet %s holds the property of %q alone", place, a.Owner, w.ID, w.Owner)
			}
			row.Owner = w.Owner
		}
		switch o, ok := r.owners[row.Owner]; {
		case ok:
			row.OwnerKind, row.OwnerName = &o.Kind, o.Name
		case row.Owner != "":
			return nil, fmt.Errorf("address %s is assigned to %q, whose accounts were never opened", place, row.Owner)
		case w.Kind == custody.Segregated:
			return nil, fmt.Errorf("address %s of segregated wallet %s has no owner", place, w.ID)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// positionRow is what the books say of one account and asset.
type positionRow struct {
	custody.Position
	// Later is the part of Settled which stands on evidence from blocks after
	// the one whose state is proven: outflows that are not final yet.
	Later custody.Amount `json:"later,omitzero"`
}

// atProof is the settled balance at the block whose state is proven.
func (p positionRow) atProof() (custody.Amount, error) {
	n, ok := p.Settled.Sub(p.Later)
	if !ok {
		return n, fmt.Errorf("%s %s: %s less %s overflows", p.Account, p.Asset, p.Settled, p.Later)
	}
	return n, nil
}

// owedToClient says whether the position is a credit balance of anybody but the firm.
func (p positionRow) owedToClient() bool {
	kind := p.Account.Type.Owner()
	return kind != custody.NoOwner && kind != custody.Firm && p.Settled.Sign() > 0
}

// positionRows lists every position that is not nothing, or was not nothing at the
// proven block.
func (r *register) positionRows(positions []custody.Position) []positionRow {
	rows := make([]positionRow, 0, len(positions))
	later := maps.Clone(r.later)
	for _, p := range positions {
		k := spot{p.Account, p.Asset}
		rows = append(rows, positionRow{Position: p, Later: later[k]})
		delete(later, k)
	}
	for k, amount := range later {
		if !amount.IsZero() {
			rows = append(rows, positionRow{Position: custody.Position{Account: k.account, Asset: k.asset}, Later: amount})
		}
	}
	slices.SortFunc(rows, func(a, b positionRow) int {
		return cmp.Or(cmp.Compare(a.Account.Type, b.Account.Type), cmp.Compare(a.Account.Name, b.Account.Name), cmp.Compare(a.Asset, b.Asset))
	})
	return rows
}

// splitPlace reads a CAIP-10 account of an Ethereum chain.
func splitPlace(place custody.Place) (chain string, address common.Address, err error) {
	at := strings.LastIndexByte(string(place), ':')
	if at < 0 || !strings.HasPrefix(string(place), "eip155:") || at < len("eip155:") {
		return "", address, fmt.Errorf("place %q, expected eip155:CHAIN:ADDRESS", place)
	}
	chain, text := string(place[:at]), string(place[at+1:])
	if address = common.HexToAddress(text); address.Hex() != text {
		return "", address, fmt.Errorf("place %q: address %q, expected the EIP-55 form %s", place, text, address.Hex())
	}
	return chain, address, nil
}

// contractOf is the contract of a token named by CAIP-19; ok is false for another
// asset, such as the chain's own coin.
func contractOf(asset custody.AssetID) (address common.Address, ok bool) {
	_, text, found := strings.Cut(string(asset), "/erc20:")
	if !found {
		return address, false
	}
	address = common.HexToAddress(text)
	return address, address.Hex() == text
}
