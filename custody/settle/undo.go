package settle

import (
	"fmt"
	"slices"

	"goodcontrol/custody"
)

// irreversible are the kinds that a reversal does not take back: what they say holds
// until the next of them says otherwise.
var irreversible = []custody.ActivityKind{custody.Reversal, custody.MarginRequired, custody.SweepConsented, custody.SweepRevoked}

// reversal takes an activity back whole. What was built on it goes first.
func (b *booking) reversal() {
	done, known := b.m.acts.done[b.a.Of]
	switch {
	case !known:
		b.fail("of", "an activity that is in the journal")
	case done.reversed:
		b.fail("of", "an activity that was not reversed before")
	}
	if b.err != nil {
		return
	}
	e, found, err := b.find(ActivityRef(b.a.Of))
	if err != nil {
		b.err = err
		return
	}
	if !found {
		b.fail("of", "an activity that is in the journal")
		return
	}
	was, err := custody.Fact[Booked](e)
	if err != nil {
		b.err = err
		return
	}
	if slices.Contains(irreversible, was.Activity.Kind) {
		b.fail("of", "an activity of another kind: a %s is replaced by the next one", was.Activity.Kind)
	}
	if d := b.m.acts.deals[b.a.Of]; d != nil && len(d.pending) > 0 && !d.open {
		b.fail("of", "a trade that has neither settled nor been cancelled; reverse that first")
	}
	b.legs, b.reverses, b.body.Undoes = negated(e.Legs), e.Ref, &was.Activity
}

// signs says, of types of account that an activity may not take beyond zero, on which
// side of it securities and money must stand.
func signs(t custody.AccountType) (security, money int) {
	switch t {
	case custody.DTCFree, custody.DTCPledged, custody.SubCustodian, custody.WithBorrower, custody.Transfer,
		custody.OCCMargin, custody.ClearingMargin, custody.ClearingFund, custody.SweepBank, custody.CustomerSweep,
		custody.StockBorrower, custody.StockBorrowerPAB, custody.StockBorrowerFirm,
		custody.MoneyLender, custody.MoneyLenderPAB, custody.MoneyLenderFirm, custody.DistributionDue:
		return 1, 1
	case custody.DueOnFail, custody.DueOnFailPAB, custody.DueOnFailFirm, custody.FailDeliver, custody.FailDeliverPAB, custody.FailDeliverFirm,
		custody.StockLender, custody.StockLenderCustomer, custody.StockLenderPAB:
		return 1, -1
	}
	return 0, 0
}

// balances holds that no place and no counterparty's account is taken beyond zero: more
// cannot leave a place than is there, nor be given back than is owed.
func (b *booking) balances() error {
	after := map[spot]custody.Amount{}
	for _, l := range b.legs {
		if l.Layer != custody.Settled {
			continue
		}
		k := spot{l.Account, l.Asset}
		if _, seen := after[k]; !seen {
			after[k] = b.m.at[k]
		}
		sum, ok := after[k].Add(l.Amount)
		if !ok {
			return &custody.FieldError{Field: "ref", Got: string(b.a.Ref), Expected: fmt.Sprintf("a balance of %s at %s in range", l.Asset, l.Account)}
		}
		after[k] = sum
	}
	for _, l := range b.legs { // in the order of the legs, so that the same one is always named
		k := spot{l.Account, l.Asset}
		sum, changed := after[k]
		security, money := signs(l.Account.Type)
		asset, _ := b.m.acts.master.Asset(l.Asset)
		want := security
		if asset.Class == custody.Cash {
			want = money
		}
		if change, ok := sum.Sub(b.m.at[k]); !changed || want == 0 || sum.Sign()*want >= 0 || ok && change.Sign()*want >= 0 {
			continue
		}
		field := "quantity"
		if asset.Class == custody.Cash && b.a.Amount != "" {
			field = "amount"
		}
		if b.a.Kind == custody.Reversal {
			field = "of"
		}
		return &custody.FieldError{
			Field: field, Got: *b.a.Field(field),
			Expected: fmt.Sprintf("no more than is there: %s has %s %s, and would have %s", l.Account, asset.Format(b.m.at[k]), asset.ID, asset.Format(sum)),
		}
	}
	return nil
}

// keepActivity folds an activity that was booked.
func (m *Machine) keepActivity(e custody.Entry) error {
	f, err := custody.Fact[Booked](e)
	if err != nil {
		return err
	}
	a := f.Activity
	put(m, m.acts.done, a.Ref, acted{content: content(a)})
	if f.Deal != nil {
		d := &dealState{Deal: *f.Deal, kind: a.Kind, entry: e.Ref}
		for _, l := range e.Legs {
			if l.Layer == custody.Pending {
				d.pending, d.open = append(d.pending, l), true
			}
		}
		put(m, m.acts.deals, a.Ref, d)
	}
	switch a.Kind {
	case custody.TradeSettled, custody.TradeCancelled:
		m.open(a.Of, false)
	case custody.MarginRequired:
		put(m, m.acts.required, f.Required.Account, *f.Required)
	case custody.SweepConsented, custody.SweepRevoked:
		account, err := custody.ParseAccount("for:" + a.Account)
		if err != nil {
			return err
		}
		put(m, m.acts.consents, holdingKey{custody.Place(account.Name), custody.AssetID(a.Place)}, a.Kind == custody.SweepConsented)
	case custody.Reversal:
		m.undo(*f.Undoes)
	}
	return nil
}

// undo folds that an activity was taken back.
func (m *Machine) undo(was custody.Activity) {
	put(m, m.acts.done, was.Ref, acted{content: m.acts.done[was.Ref].content, reversed: true})
	switch was.Kind {
	case custody.TradeSettled, custody.TradeCancelled:
		m.open(was.Of, true)
	case custody.Trade:
		m.open(was.Ref, false)
	}
}

// open says whether a trade waits to settle.
func (m *Machine) open(ref custody.Ref, open bool) {
	d := *m.acts.deals[ref]
	d.open = open
	put(m, m.acts.deals, ref, &d)
}

// distributed books that a distribution of a corporate action came in, in securities at
// a place, or in money of a settlement. It is due from the place, or from whoever the
// counterparty names: the ref of a loan or a fail.
func (b *booking) distributed() {
	asset, place := b.asset(), b.place("place", append([]custody.AccountType{custody.DTCPledged}, append(boxTypes, marginTypes...)...)...)
	from := place.Name
	if b.a.Counterparty != "" {
		from = b.a.Counterparty
	}
	due := custody.AtPlace(custody.DistributionDue, custody.Place(string(b.a.Of)+"@"+from))
	to := place
	if asset.Class == custody.Cash {
		to = b.settlement()
	}
	b.shift(due, to, asset.ID, b.quantity(asset))
}
