package settle

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"goodcontrol/custody"
)

// KindDistributed is the kind of entry by which a statement shows that a distribution
// has come in.
const KindDistributed = "corporate.received"

// Corporate says which entries a corporate action calls for, given all positions as of
// the end of its record date, in an order that is always the same. An action that was
// booked before with the same content calls for none.
//
// Every account on the FOR side is entitled by what it held: who is short, or owes to a
// lender or to the buyer of a fail, owes it on. Every account on the AT side says from
// whom it is due: a depository, a borrower, whoever failed. What holders hold in an
// instrument that is gone is taken back at once; what they get is due at
// distribution.receivable:<ref>@<place> until it comes.
//
// New units are rounded towards zero to the smallest unit, account by account, and the
// fraction is paid in cash at the price in lieu; money is rounded to the cent, half
// away from zero. The depository rounds once for each place: what is left between the
// two is the firm's.
func (m *Machine) Corporate(c custody.CorporateAction, positions []custody.Position) ([]custody.Entry, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if before, known := m.acts.corporate[c.Ref]; known {
		if before != c.Content() {
			return nil, c.Wrong("ref", "a ref that was not used for another corporate action")
		}
		return nil, nil
	}
	d, err := m.distribution(c)
	if err != nil {
		return nil, err
	}
	fact, err := custody.FactEntry(custody.KindCorporate, custody.Ref("corporate/"+c.Ref), actor, c.Payable.Noon(), c)
	if err != nil {
		return nil, err
	}
	d.entries = []custody.Entry{fact}
	for _, side := range []custody.Side{custody.For, custody.At} {
		for _, p := range positions {
			if p.Asset != d.from.ID || p.Account.Side() != side || p.Settled.IsZero() {
				continue
			}
			if err := d.entitle(p); err != nil {
				return nil, err
			}
		}
		if err := d.flush(); err != nil {
			return nil, err
		}
	}
	return d.entries, d.rest()
}

// distribution is the booking of one corporate action.
type distribution struct {
	c        custody.CorporateAction
	from, to custody.Asset
	gone     bool // whether holders give up what they held
	cash     *big.Rat
	ratio    *big.Rat // smallest units of to, for each smallest unit of from
	lieu     *big.Rat // cents for each smallest unit of to
	clearing custody.Account
	legs     []custody.Leg
	entries  []custody.Entry
	off      map[custody.AssetID]custody.Amount // what stands at clearing
}

func (m *Machine) distribution(c custody.CorporateAction) (*distribution, error) {
	d := &distribution{c: c, off: map[custody.AssetID]custody.Amount{}, clearing: custody.AtPlace(custody.DistributionDue, custody.Place(c.Ref))}
	for _, x := range []struct {
		field, text string
		asset       *custody.Asset
	}{{"instrument", c.Instrument, &d.from}, {"into", c.Into, &d.to}} {
		if x.text == "" {
			d.to = d.from
			continue
		}
		var err error
		*x.asset, err = m.acts.master.Resolve(x.text, c.Record)
		if errors.Is(err, custody.ErrUnknownInstrument) {
			return nil, c.Wrong(x.field, "an instrument that is listed on %s", c.Record)
		} else if err != nil {
			return nil, c.Wrong(x.field, "a valid code (%v)", err)
		}
		if x.asset.Class == custody.Cash || x.asset.ID.OnChain() {
			return nil, c.Wrong(x.field, "a security off chain")
		}
	}
	if c.Into != "" && d.to.ID == d.from.ID {
		return nil, c.Wrong("into", "another instrument")
	}
	usd, listed := m.acts.master.Asset(custody.USD)
	if !listed {
		return nil, c.Wrong("cash", "nothing before %s is listed", custody.USD)
	}
	d.gone = c.Type == custody.Merger || c.Type == custody.Split && d.to.ID != d.from.ID
	d.cash = over(mul(number(c.Cash), ten(usd.Scale)), ten(d.from.Scale))
	if c.New != "" {
		d.ratio = over(mul(over(number(c.New), number(c.Old)), ten(d.to.Scale)), ten(d.from.Scale))
	}
	if c.Type == custody.Split && !d.gone {
		d.ratio.Sub(d.ratio, big.NewRat(1, 1)) // what comes on top of what is there
	}
	d.lieu = over(mul(number(c.Lieu), ten(usd.Scale)), ten(d.to.Scale))
	return d, nil
}

// number is a number that Check has read, or zero.
func number(s string) *big.Rat {
	n, ok := new(big.Rat).SetString(s)
	if !ok {
		return new(big.Rat)
	}
	return n
}

func ten(scale uint8) *big.Rat {
	return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
}

func mul(a, b *big.Rat) *big.Rat  { return new(big.Rat).Mul(a, b) }
func over(a, b *big.Rat) *big.Rat { return new(big.Rat).Quo(a, b) }

// truncate rounds towards zero, and gives the fraction that is left.
func truncate(x *big.Rat) (*big.Int, *big.Rat) {
	whole := new(big.Int).Quo(x.Num(), x.Denom())
	return whole, new(big.Rat).Sub(x, new(big.Rat).SetInt(whole))
}

// nearest rounds to the nearest whole number, half away from zero.
func nearest(x *big.Rat) *big.Int {
	half := big.NewRat(int64(x.Sign()), 2)
	whole, _ := truncate(new(big.Rat).Add(x, half))
	return whole
}

// entitle books what one position is entitled to, or what is due for it.
func (d *distribution) entitle(p custody.Position) error {
	q := new(big.Rat).SetInt(p.Settled.Big())
	money := mul(q, d.cash)
	units := new(big.Int)
	if d.ratio != nil {
		exact := mul(q, d.ratio)
		var fraction *big.Rat
		if d.c.Type == custody.Split && !d.gone {
			// The holding after the split is what is whole, not the change of it.
			after, rest := truncate(new(big.Rat).Add(exact, q))
			units, fraction = after.Sub(after, p.Settled.Big()), rest
		} else {
			units, fraction = truncate(exact)
		}
		if fraction.Sign() != 0 && d.c.Lieu == "" {
			return d.c.Wrong("lieu", "a price: %s holds %s, which leaves a fraction", p.Account, d.from.Format(p.Settled))
		}
		money.Add(money, mul(fraction, d.lieu))
	}
	got, err := custody.AmountFromBig(units)
	if err != nil {
		return d.c.Wrong("new", "amounts in range (%v)", err)
	}
	cents, err := custody.AmountFromBig(nearest(money))
	if err != nil {
		return d.c.Wrong("cash", "amounts in range (%v)", err)
	}
	gets, pays := p.Account, p.Account
	if p.Account.Side() == custody.At {
		due := custody.AtPlace(custody.DistributionDue, custody.Place(string(d.c.Ref)+"@"+p.Account.Name))
		pays = due
		if outside(p.Account.Type) && got.Sign() > 0 {
			gets = due
		}
	}
	if d.gone {
		d.leg(p.Account, d.from.ID, p.Settled.Neg())
	}
	d.leg(gets, d.to.ID, got)
	d.leg(pays, custody.USD, cents)
	if len(d.legs) > custody.MaxLegs-16 {
		return d.flush()
	}
	return nil
}

// outside says whether a place is kept by somebody who will credit it by themselves.
// What a borrower has, or whoever failed, is a claim, which grows or changes as such.
func outside(t custody.AccountType) bool {
	switch t {
	case custody.DTCFree, custody.DTCPledged, custody.SubCustodian, custody.OCCMargin, custody.ClearingMargin, custody.ClearingFund:
		return true
	}
	return false
}

func (d *distribution) leg(account custody.Account, asset custody.AssetID, n custody.Amount) {
	if !n.IsZero() {
		d.legs = append(d.legs, custody.Leg{Account: account, Asset: asset, Layer: custody.Settled, Amount: n})
	}
}

// flush makes an entry of the legs so far. Both sides meet at a clearing account, so
// that each entry balances by itself.
func (d *distribution) flush() error {
	if len(d.legs) == 0 {
		return nil
	}
	kind := custody.KindEntitled
	if d.legs[0].Account.Side() == custody.At {
		kind = custody.KindDue
	}
	legs := d.legs
	for _, asset := range d.assets() {
		var sum custody.Amount
		for _, l := range legs {
			if l.Asset != asset {
				continue
			}
			var ok bool
			if sum, ok = sum.Add(l.Amount); !ok {
				return d.c.Wrong("ref", "sums in range")
			}
		}
		if kind == custody.KindDue {
			sum = sum.Neg()
		}
		d.leg(d.clearing, asset, sum)
		off, ok := d.off[asset].Add(sum)
		if !ok {
			return d.c.Wrong("ref", "sums in range")
		}
		d.off[asset] = off
	}
	return d.add(kind)
}

func (d *distribution) assets() []custody.AssetID {
	all := []custody.AssetID{d.from.ID}
	if d.to.ID != d.from.ID {
		all = append(all, d.to.ID)
	}
	return append(all, custody.USD)
}

func (d *distribution) add(kind string) error {
	legs := d.legs
	d.legs = nil
	if len(legs) == 0 {
		return nil
	}
	e := custody.Entry{
		Ref: custody.Ref(fmt.Sprintf("corporate/%s/%d", d.c.Ref, len(d.entries))), Kind: kind, Actor: actor,
		Effective: d.c.Payable.Noon(), Legs: legs,
	}
	d.entries = append(d.entries, e)
	return e.Check()
}

// rest gives the firm what rounding left, or takes it from the firm.
func (d *distribution) rest() error {
	own := custody.ForOwner(custody.FirmOwn, firm)
	for _, asset := range d.assets() {
		d.leg(own, asset, d.off[asset].Neg())
		d.leg(d.clearing, asset, d.off[asset].Neg())
	}
	return d.add(custody.KindEntitled)
}

// keepCorporate folds that a corporate action was booked.
func (m *Machine) keepCorporate(c custody.CorporateAction) { m.acts.corporate[c.Ref] = c.Content() }

// keepDue keeps which distributions are due from each place.
func (m *Machine) keepDue(k spot) {
	_, place, found := strings.Cut(k.account.Name, "@")
	if k.account.Type != custody.DistributionDue || !found {
		return
	}
	at := holdingKey{custody.Place(place), k.asset}
	if m.acts.due[at] == nil {
		m.acts.due[at] = map[custody.Account]bool{}
	}
	if m.at[k].IsZero() {
		delete(m.acts.due[at], k.account)
	} else {
		m.acts.due[at][k.account] = true
	}
}

// distributed books the distributions that a balance now shows: one of them, or all,
// if that is exactly what the balance has more than the books.
func (m *Machine) distributed(o custody.Observation, place custody.Account) ([]custody.Entry, error) {
	dues := m.acts.due[holdingKey{o.To, o.Asset}]
	more, ok := o.Amount.Sub(m.at[spot{place, o.Asset}])
	if !ok || more.Sign() <= 0 || len(dues) == 0 {
		return nil, nil
	}
	all := sortedAccounts(dues)
	var sum custody.Amount
	for _, due := range all {
		amount := m.at[spot{due, o.Asset}]
		if amount == more {
			return m.received(o, place, []custody.Account{due})
		}
		if sum, ok = sum.Add(amount); !ok {
			return nil, nil
		}
	}
	if sum == more {
		return m.received(o, place, all)
	}
	return nil, nil
}

func (m *Machine) received(o custody.Observation, place custody.Account, dues []custody.Account) ([]custody.Entry, error) {
	var legs []custody.Leg
	for _, due := range dues {
		legs = append(legs, between(due, place, o.Asset, m.at[spot{due, o.Asset}])...)
	}
	return one(entry(KindDistributed, "/distributed", Meaning{Observation: o}, legs))
}
