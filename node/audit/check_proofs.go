package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"goodcontrol/chainwatch/evm"
	"goodcontrol/custody"
)

// holding is an asset at one of the firm's addresses.
type holding struct {
	place custody.Place
	asset custody.AssetID
}

// proven is what the state of a chain shows of a holding.
type proven struct {
	amount  custody.Amount
	frozen  bool   // by the issuer
	stopped bool   // the whole token
	file    string // where it is proven
	row     int
}

// holders are the firm's addresses on a chain, in the order of the list.
func (v *verifier) holders(chain string) (places []custody.Place, addresses []common.Address) {
	for _, a := range v.addresses {
		if on, address, err := splitPlace(a.Address); err == nil && on == chain {
			places, addresses = append(places, a.Address), append(addresses, address)
		}
	}
	return places, addresses
}

// native is the chain's own coin, if it is listed.
func (r *register) native(chain string) (custody.AssetID, bool) {
	for _, id := range slices.Sorted(maps.Keys(r.assets)) {
		if id.Chain() == chain && strings.Contains(string(id), "/slip44:") {
			return id, true
		}
	}
	return "", false
}

// checkAccounts checks the account proof of every address.
func (v *verifier) checkAccounts() outcome {
	v.holdings, v.code = map[holding]*proven{}, map[custody.Place]bool{}
	var o outcome
	for _, c := range v.manifest.Chains {
		f, fail := v.use(accountsName(c.Chain))
		if fail != nil {
			o.of, o.fail = o.of+1, cmp.Or(o.fail, fail)
			continue
		}
		rows, fail := decodeRows[proofRow](f)
		if fail != nil {
			o.of, o.fail = o.of+1, cmp.Or(o.fail, fail)
			continue
		}
		places, addresses := v.holders(c.Chain)
		o.of += max(len(rows), len(places))
		passed, fail := v.checkAccountsOf(c, f, rows, places, addresses)
		o.passed, o.fail = o.passed+passed, cmp.Or(o.fail, fail)
	}
	return o
}

func (v *verifier) checkAccountsOf(c chainHead, f file, rows []proofRow, places []custody.Place, addresses []common.Address) (passed int, fail *failure) {
	native, listed := v.journal.native(c.Chain)
	for i, place := range places {
		if i >= len(rows) {
			return i, failf(f.name, rowOf(i), "no proof for %s", place)
		}
		p, err := checkProof(c.StateRoot, rows[i], addresses[i])
		if err == nil && len(p.Slots) > 0 {
			err = fmt.Errorf("%d storage slots, expected none", len(p.Slots))
		}
		if err != nil {
			return i, failf(f.name, rowOf(i), "%s: %s", place, err)
		}
		amount, err := custody.AmountFromBig(p.Balance)
		if err != nil {
			return i, failf(f.name, rowOf(i), "%s: %s", place, err)
		}
		code := p.CodeHash != types.EmptyCodeHash && p.CodeHash != common.Hash{}
		if listed {
			v.holdings[holding{place, native}] = &proven{amount: amount, file: f.name, row: rowOf(i)}
		}
		if code {
			v.code[place] = true
			v.limit("%s runs code with hash %s: what is there is not counted as controllable", place, p.CodeHash)
		}
	}
	if len(rows) > len(places) {
		return len(places), failf(f.name, rowOf(len(places)), "a proof of %s, which is not in %s", rows[len(places)].Address, addressesName)
	}
	return len(places), nil
}

// checkProof checks a proof of the account that is expected.
func checkProof(root common.Hash, row proofRow, address common.Address) (*evm.AccountProof, error) {
	text, err := json.Marshal(row)
	if err != nil {
		return nil, err
	}
	p, err := evm.ParseProof(text)
	if err != nil {
		return nil, err
	}
	if p.Address != address {
		return nil, fmt.Errorf("proof of %s, expected %s", p.Address, address)
	}
	return p, evm.VerifyProof(root, p)
}

// checkTokens checks the storage proofs of every token: of each address exactly
// the slot in which the token keeps its balance.
func (v *verifier) checkTokens() outcome {
	f, fail := v.use(tokensName)
	if fail != nil {
		return outcome{of: 1, fail: fail}
	}
	tokens, fail := decodeRows[tokenRow](f)
	if fail != nil {
		return outcome{of: 1, fail: fail}
	}
	var o outcome
	for _, id := range slices.Sorted(maps.Keys(v.journal.assets)) {
		_, isToken := contractOf(id)
		if isToken && v.headers[id.Chain()] != nil && !slices.ContainsFunc(tokens, func(t tokenRow) bool { return t.Asset == id }) {
			return outcome{of: len(tokens) + 1, fail: failf(f.name, 0, "the journal lists %s, expected it here", id)}
		}
	}
	for i, t := range tokens {
		passed, of, fail := v.checkToken(t)
		if fail != nil && fail.file == tokensName {
			fail.row = rowOf(i)
		}
		if fail == nil && i > 0 && tokens[i-1].Asset >= t.Asset {
			fail = failf(f.name, rowOf(i), "token %s stands after %s, expected each once and in order", t.Asset, tokens[i-1].Asset)
		}
		o.passed, o.of, o.fail = o.passed+passed, o.of+of, cmp.Or(o.fail, fail)
	}
	return o
}

func (v *verifier) checkToken(t tokenRow) (passed, of int, fail *failure) {
	chain := t.Asset.Chain()
	contract, ok := contractOf(t.Asset)
	h := v.headers[chain]
	if _, listed := v.journal.assets[t.Asset]; !ok || h == nil || !listed {
		return 0, 1, failf(tokensName, 0, "token %s, expected an ERC-20 asset that the journal lists, on a chain with a header", t.Asset)
	}
	l := t.layout()
	if err := checkLayout(l); err != nil {
		return 0, 1, failf(tokensName, 0, "token %s: %s", t.Asset, err)
	}
	f, fail := v.use(tokenName(t.Asset))
	if fail != nil {
		return 0, 1, fail
	}
	rows, fail := decodeRows[proofRow](f)
	if fail != nil {
		return 0, 1, fail
	}
	places, holders := v.holders(chain)
	want := tokenSlots(l, holders)
	shown, fail := readSlots(f, rows, h.Root, contract, want)
	if fail != nil {
		return len(shown), len(want), fail
	}
	return len(want), len(want), v.keepToken(t, f, places, shown)
}

// checkLayout refuses a layout that cannot be read.
func checkLayout(l evm.TokenLayout) error {
	if l.FrozenBit < -1 || l.FrozenBit > 255 || l.PauseByte < -1 || l.PauseByte > 31 {
		return fmt.Errorf("frozen bit %d and pause byte %d, expected -1 to 255 and -1 to 31", l.FrozenBit, l.PauseByte)
	}
	if l.FrozenBit >= 0 && l.BalanceMask.Big().Bit(l.FrozenBit) == 1 {
		return fmt.Errorf("bit %d is said to be both balance and freeze", l.FrozenBit)
	}
	return nil
}

// shownSlot is a proven slot, and the line of its proof.
type shownSlot struct {
	value common.Hash
	row   int
}

// readSlots checks the proofs of a token contract, which together show exactly the
// wanted slots, in order.
func readSlots(f file, rows []proofRow, root common.Hash, contract common.Address, want []common.Hash) ([]shownSlot, *failure) {
	var shown []shownSlot
	for i, r := range rows {
		p, err := checkProof(root, r, contract)
		if err == nil && (p.CodeHash == types.EmptyCodeHash || p.CodeHash == common.Hash{}) {
			err = fmt.Errorf("the contract %s has no code: a zero there shows nothing", contract)
		}
		if err != nil {
			return shown, failf(f.name, rowOf(i), "%s", err)
		}
		for k, s := range p.Slots {
			if len(shown) >= len(want) {
				return shown, failf(f.name, rowOf(i), "storageProof %d: slot %s, expected no more than %d slots", k, s.Key, len(want))
			}
			if s.Key != want[len(shown)] {
				return shown, failf(f.name, rowOf(i), "storageProof %d: slot %s, expected %s", k, s.Key, want[len(shown)])
			}
			shown = append(shown, shownSlot{value: s.Value, row: rowOf(i)})
		}
	}
	if len(shown) < len(want) {
		return shown, failf(f.name, rowOf(max(len(rows)-1, 0)), "%d slots, expected %d: slot %s is not proven", len(shown), len(want), want[len(shown)])
	}
	return shown, nil
}

// keepToken keeps the balances of a token at the firm's addresses.
func (v *verifier) keepToken(t tokenRow, f file, places []custody.Place, shown []shownSlot) *failure {
	l := t.layout()
	stopped := false
	head := headSlots(l)
	if l.PauseByte >= 0 {
		stopped = l.Paused(shown[0].value)
	}
	code := "no proxy is declared"
	if l.ImplementationSlot != (common.Hash{}) {
		code = "it runs the code at " + common.BytesToAddress(shown[len(head)-1].value[:]).Hex()
	}
	v.limit("%s: that balances lie in the mapping at slot %d is attested; %s", t.Asset, l.BalanceSlot, code)
	if stopped {
		v.limit("%s is stopped by its issuer: nothing of it is counted as controllable", t.Asset)
	}
	for i, place := range places {
		s := shown[len(head)+i]
		amount, err := custody.AmountFromBig(l.Balance(s.value))
		if err != nil {
			return failf(f.name, s.row, "%s: %s", place, err)
		}
		v.holdings[holding{place, t.Asset}] = &proven{amount: amount, frozen: l.Frozen(s.value), stopped: stopped, file: f.name, row: s.row}
	}
	return nil
}

// atAddresses adds up what the books had at each address at the proven block; with
// only, of one type of account alone.
func (v *verifier) atAddresses(only custody.AccountType) (map[holding]custody.Amount, *failure) {
	books := map[holding]custody.Amount{}
	for i, p := range v.positions {
		if t := p.Account.Type; !atAddress(t) || only != 0 && t != only {
			continue
		}
		at, err := p.atProof()
		if err != nil {
			return nil, failf(positionsName, rowOf(i), "%s", err)
		}
		k := holding{custody.Place(p.Account.Name), p.Asset}
		if v.holdings[k] == nil {
			return nil, failf(positionsName, rowOf(i), "%s %s: nothing in the package proves it", p.Account, p.Asset)
		}
		sum, ok := books[k].Add(at)
		if !ok {
			return nil, failf(positionsName, rowOf(i), "%s %s: sum overflows", p.Account, p.Asset)
		}
		books[k] = sum
	}
	return books, nil
}

// provenHoldings are the holdings of which there is a proof, in order.
func (v *verifier) provenHoldings() []holding {
	return slices.SortedFunc(maps.Keys(v.holdings), func(a, b holding) int {
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.asset, b.asset))
	})
}

// checkBalances holds what is proven against the books, per address and asset.
func (v *verifier) checkBalances() outcome {
	all := v.provenHoldings()
	o := outcome{of: len(all)}
	books, fail := v.atAddresses(0)
	if fail != nil {
		o.fail = fail
		return o
	}
	for _, h := range all {
		p := v.holdings[h]
		if p.amount == books[h] {
			o.passed++
		} else if o.fail == nil {
			o.fail = failf(p.file, p.row, "%s %s: the chain proves %s, the books say %s", h.place, h.asset, p.amount, books[h])
		}
	}
	return o
}

// checkControl holds what the issuers have frozen against what the books call frozen.
func (v *verifier) checkControl() outcome {
	all := v.provenHoldings()
	o := outcome{of: len(all)}
	books, fail := v.atAddresses(custody.ChainFrozen)
	if fail != nil {
		o.fail = fail
		return o
	}
	for _, h := range all {
		p, frozen := v.holdings[h], custody.Amount{}
		if p.frozen {
			frozen = p.amount
		}
		if frozen == books[h] {
			o.passed++
		} else if o.fail == nil {
			o.fail = failf(p.file, p.row, "%s %s: the chain shows %s frozen by the issuer, the books say %s", h.place, h.asset, frozen, books[h])
		}
	}
	return o
}

// checkCoverage holds, for every asset on a chain, what is at the addresses against
// what the books hold for everybody, and against what they owe to clients alone: a
// debit balance, which a client is said to owe, pays nobody else.
func (v *verifier) checkCoverage() outcome {
	totals, fail := v.totals()
	o := outcome{of: len(totals), fail: fail}
	for _, asset := range slices.Sorted(maps.Keys(totals)) {
		t := totals[asset]
		v.report.Proven = append(v.report.Proven, *t)
		there, okThere := t.Proven.Add(t.InFlight)
		held, okHeld := t.Owed.Add(t.Firm)
		if okThere && okHeld && there == held && t.Firm.Sign() >= 0 {
			o.passed++
		} else if o.fail == nil {
			o.fail = failf(positionsName, v.rowOfAsset(asset), "%s: %s owed to clients and %s of the firm's own, %s proven at addresses and %s moved since", asset, t.Owed, t.Firm, t.Proven, t.InFlight)
		}
	}
	return o
}

// totals adds up each asset on a chain.
func (v *verifier) totals() (map[custody.AssetID]*Proven, *failure) {
	totals := map[custody.AssetID]*Proven{}
	of := func(asset custody.AssetID) *Proven {
		if totals[asset] == nil {
			totals[asset] = &Proven{Asset: asset}
		}
		return totals[asset]
	}
	for i, p := range v.positions {
		if !p.Asset.OnChain() {
			continue
		}
		t, ok := of(p.Asset), true
		switch {
		case atAddress(p.Account.Type):
			t.InFlight, ok = t.InFlight.Add(p.Later)
		case p.owedToClient():
			t.Owed, ok = t.Owed.Add(p.Settled)
		case p.Account.Side() == custody.For:
			t.Firm, ok = t.Firm.Add(p.Settled)
		}
		if !ok {
			return nil, failf(positionsName, rowOf(i), "sum of %s overflows", p.Asset)
		}
	}
	for _, h := range v.provenHoldings() {
		t, p := of(h.asset), v.holdings[h]
		sum, ok := t.Proven.Add(p.amount)
		if !ok {
			return nil, failf(p.file, p.row, "sum of %s overflows", h.asset)
		}
		t.Proven = sum
		if !p.frozen && !p.stopped && !v.code[h.place] {
			t.Controllable, _ = t.Controllable.Add(p.amount) // no more than Proven
		}
	}
	return totals, nil
}

// rowOfAsset is the line of the first position of an asset, or 0.
func (v *verifier) rowOfAsset(asset custody.AssetID) int {
	i := slices.IndexFunc(v.positions, func(p positionRow) bool { return p.Asset == asset })
	if i < 0 {
		return 0
	}
	return rowOf(i)
}
