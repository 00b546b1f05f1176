package reserve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// Debtor is what the firm has shown of an account that owes it money, beside what stands in
// the account. Without it a debit is cut by what the books alone say.
type Debtor struct {
	// Excluded says why none of the debit counts: it is doubtful of collection, or the
	// account of a related or affiliated person, Note E(4).
	Excluded string `json:"excluded,omitempty"`
	// NonCustomerPct is the share, in percent, of a non-customer in a joint, custodian
	// or similar account, Note E(6).
	NonCustomerPct decimal.Decimal `json:"non_customer_pct"`
	// Customer names the one customer that accounts related, commonly controlled or
	// guaranteed by each other are, Note E(5). Empty is the owner alone.
	Customer string `json:"customer,omitempty"`
	// AgainstCredits is the evidence that the debit is directly related to credit items
	// of the formula. With it Notes E(4), (5) and (6) cut nothing.
	AgainstCredits string `json:"against_credits,omitempty"`
}

// Check says what is wrong with the entry.
func (d Debtor) Check() error {
	if d.NonCustomerPct.IsNegative() || d.NonCustomerPct.Cmp(hundred) > 0 {
		return fmt.Errorf("share of the non-customer is %s%%, expected 0 to 100", d.NonCustomerPct)
	}
	return nil
}

// debit is what one account owes, and how much of it is included before the cuts that look
// at several accounts.
type debit struct {
	owed, included decimal.Decimal
	left           []cut // what of it is not included, and why
	// Of a margin account: whose it is for E(5), and for E(1) the value of its
	// securities, and of each that is not exempted, up to the cap.
	margin   bool
	customer string
	total    decimal.Decimal
	by       map[custody.AssetID]decimal.Decimal
}

type cut struct {
	amount decimal.Decimal
	reason string
}

const (
	cutUnsecured = "not secured by securities in the account (item 10)"
	cutE6        = "share of a non-customer (Note E(6))"
	cutE1        = "more than 15% of the securities behind all margin debits are this one (Note E(1))"
	cutE5        = "more than 25% of tentative net capital owed by one customer (Note E(5))"
)

func (d *debit) cut(amount decimal.Decimal, reason string) {
	if amount.IsPositive() {
		d.left = append(d.left, cut{amount, reason})
		d.included = d.included.Sub(amount)
	}
}

// debitOf is an account's debit: what it owes, up to what its securities are worth, less
// Notes E(4) and E(6). Note E(2), the deficit of an omnibus account, is what its securities
// do not cover, and so is cut with it; calls that are outstanding are not netted against it.
func debitOf(account custody.Account, lots []lot, value valuer, terms Debtor, numbers ReserveNumbers) (debit, error) {
	owed, secured, err := securedDebit(lots, value)
	if err != nil || owed.IsZero() {
		return debit{}, err
	}
	d := debit{owed: owed, included: owed}
	d.cut(owed.Sub(secured), cutUnsecured)
	if terms.AgainstCredits == "" {
		if terms.Excluded != "" {
			d.cut(d.included, terms.Excluded)
		}
		if !terms.NonCustomerPct.IsZero() {
			included, err := noteE6(d.included, terms.NonCustomerPct, numbers)
			if err != nil {
				return debit{}, err
			}
			d.cut(d.included.Sub(included), cutE6)
		}
	}
	if account.Type != custody.CustomerMargin && account.Type != custody.PABMargin || d.included.IsZero() {
		return d, nil
	}
	d.margin, d.customer = true, cmp.Or(terms.Customer, account.Name)
	if terms.AgainstCredits != "" {
		d.customer = ""
	}
	return d, d.collateral(lots, value, numbers)
}

// collateral values an account's securities for Note E(1): each up to 140% of the debit,
// and so all of them together.
func (d *debit) collateral(lots []lot, value valuer, numbers ReserveNumbers) error {
	limit := d.included.Mul(numbers.NoteE1Cap)
	d.by = map[custody.AssetID]decimal.Decimal{}
	for _, l := range lots {
		if l.quantity.Sign() <= 0 || l.asset.Class != custody.Security && l.asset.Class != custody.QualifiedSecurity {
			continue
		}
		worth, err := value(l)
		if err != nil {
			return err
		}
		d.total = d.total.Add(worth)
		if l.asset.Class == custody.Security { // the other are exempted securities
			d.by[l.asset.ID] = decimal.Min(worth, limit)
		}
	}
	d.total = decimal.Min(d.total, limit)
	return nil
}

// debits is what the debits of all accounts of one population come to.
type debits struct {
	included decimal.Decimal
	margin   decimal.Decimal // of it that of margin accounts, which alone are cut
	// behind is the value behind all margin debits. Of each security it is in by,
	// and owed is what the accounts owe that hold it.
	behind    decimal.Decimal
	by        *ranking[custody.AssetID]
	owed      map[custody.AssetID]decimal.Decimal
	customers *ranking[string]
}

func newDebits() *debits {
	return &debits{by: newRanking[custody.AssetID](), owed: map[custody.AssetID]decimal.Decimal{}, customers: newRanking[string]()}
}

// add adds an account's debit, or takes it away.
func (s *debits) add(d debit, sign int) {
	signed := func(x decimal.Decimal) decimal.Decimal {
		if sign < 0 {
			return x.Neg()
		}
		return x
	}
	s.included = s.included.Add(signed(d.included))
	if !d.margin {
		return
	}
	s.margin = s.margin.Add(signed(d.included))
	if d.customer != "" {
		s.customers.add(d.customer, signed(d.included))
	}
	s.behind = s.behind.Add(signed(d.total))
	for id, worth := range d.by {
		s.by.add(id, signed(worth))
		if s.owed[id] = s.owed[id].Add(signed(d.included)); s.owed[id].IsZero() {
			delete(s.owed, id)
		}
	}
}

// A concern is a security or a customer for which a debit is cut, and by how much.
type concern struct {
	asset    custody.AssetID
	customer string
	cut
}

// cuts are those of Note E(1), which PAB computations do not have, and of E(5), by their
// securities and customers. Tentative net capital that is not known is taken to be nothing:
// then the floor alone is allowed.
func (s *debits) cuts(population int, tentative decimal.NullDecimal, p Pack) []concern {
	var all []concern
	if population == 0 { // PAB Note 3
		limit := s.behind.Mul(p.Reserve.NoteE1Share)
		for id, worth := range s.by.over(limit) {
			all = append(all, concern{asset: id, cut: cut{decimal.Min(worth.Sub(limit), s.owed[id]), cutE1}})
		}
	}
	allowed := atLeastZero(tentative.Decimal)
	for customer, owed := range s.customers.over(noteE5Allowed(allowed, p)) {
		all = append(all, concern{customer: customer, cut: cut{NoteE5(owed, allowed, p), cutE5}})
	}
	slices.SortFunc(all, func(a, b concern) int {
		return cmp.Or(cmp.Compare(a.asset, b.asset), cmp.Compare(a.customer, b.customer))
	})
	return all
}

// item10 is what is left of all debits.
func (s *debits) item10(cuts []concern) decimal.Decimal {
	all := decimal.Zero
	for _, c := range cuts {
		all = all.Add(c.amount)
	}
	return s.included.Sub(decimal.Min(all, s.margin))
}

// A ranking keeps sums so that those over a limit are found without looking at the others:
// a heap, the largest on top.
type ranking[K comparable] struct {
	heap []ranked[K]
	at   map[K]int
}

type ranked[K comparable] struct {
	key K
	sum decimal.Decimal
}

func newRanking[K comparable]() *ranking[K] { return &ranking[K]{at: map[K]int{}} }

// add changes a sum. One that is zero is forgotten.
func (r *ranking[K]) add(key K, change decimal.Decimal) {
	i, found := r.at[key]
	if !found {
		if change.IsZero() {
			return
		}
		i = len(r.heap)
		r.heap = append(r.heap, ranked[K]{key: key})
		r.at[key] = i
	}
	r.heap[i].sum = r.heap[i].sum.Add(change)
	if !r.heap[i].sum.IsZero() {
		r.settle(i)
		return
	}
	last := len(r.heap) - 1
	r.swap(i, last)
	r.heap = r.heap[:last]
	delete(r.at, key)
	if i < last {
		r.settle(i)
	}
}

func (r *ranking[K]) swap(i, j int) {
	r.heap[i], r.heap[j] = r.heap[j], r.heap[i]
	r.at[r.heap[i].key], r.at[r.heap[j].key] = i, j
}

// settle moves a sum up or down to where it belongs.
func (r *ranking[K]) settle(i int) {
	for i > 0 && r.heap[(i-1)/2].sum.Cmp(r.heap[i].sum) < 0 {
		r.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		largest := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(r.heap); child++ {
			if r.heap[child].sum.Cmp(r.heap[largest].sum) > 0 {
				largest = child
			}
		}
		if largest == i {
			return
		}
		r.swap(i, largest)
		i = largest
	}
}

// over are the sums over a limit.
func (r *ranking[K]) over(limit decimal.Decimal) map[K]decimal.Decimal {
	all := map[K]decimal.Decimal{}
	look := []int{0}
	for len(look) > 0 {
		i := look[len(look)-1]
		look = look[:len(look)-1]
		if i < len(r.heap) && r.heap[i].sum.Cmp(limit) > 0 {
			all[r.heap[i].key] = r.heap[i].sum
			look = append(look, 2*i+1, 2*i+2)
		}
	}
	return all
}

// debtors adds item 10, account by account, and the cuts that look at several.
func (f *fold) debtors(accounts map[custody.Account][]lot) error {
	sums, all := [2]*debits{newDebits(), newDebits()}, [2][]*owing{}
	for _, account := range slices.SortedFunc(maps.Keys(accounts), compareAccounts) {
		d, err := debitOf(account, accounts[account], f.value, f.basis.Debtors[account], f.basis.Rules.Reserve)
		if err != nil {
			return fmt.Errorf("item 10, %s: %w", account, err)
		}
		i := populationIndex(account.Type)
		sums[i].add(d, 1)
		all[i] = append(all[i], &owing{account, d})
	}
	for i, p := range []*PopulationBooks{&f.books.Customer, &f.books.PAB} {
		spread(sums[i].cuts(i, f.basis.TentativeNetCapital, f.basis.Rules), all[i])
		for _, o := range all[i] {
			p.add(Driver{Item: 10, Account: o.account, Amount: o.included})
			for _, c := range o.left {
				p.LeftOut = append(p.LeftOut, LeftOut{Driver{Item: 10, Account: o.account, Amount: c.amount}, c.reason})
			}
		}
	}
	return nil
}

// owing is an account and its debit.
type owing struct {
	account custody.Account
	debit
}

// spread takes cuts out of the accounts that they are about, in order of names; and what
// these no longer have, because it was cut before, out of the other margin accounts.
func spread(cuts []concern, accounts []*owing) {
	for _, c := range cuts {
		for _, about := range []bool{true, false} {
			for _, o := range accounts {
				_, holds := o.by[c.asset]
				if mine := holds || c.customer != "" && o.customer == c.customer; !o.margin || mine != about {
					continue
				}
				part := decimal.Min(c.amount, o.included)
				o.cut(part, c.reason)
				c.amount = c.amount.Sub(part)
			}
		}
	}
}

func compareAccounts(a, b custody.Account) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
}

// securedDebit is what an account owes, and how much of it counts in item 10: up to the
// market value of its securities, net of those it is short. Unsecured accounts are
// excluded by the item's own words, and the uncovered part of a partly secured one is
// taken to be as well. Coins and tokens secure nothing, securities on a chain
// included: none of them is known to have a ready market.
func securedDebit(lots []lot, value valuer) (debit, secured decimal.Decimal, err error) {
	for _, l := range lots {
		if l.asset.Class == custody.Cash && l.quantity.Sign() < 0 {
			owed, err := value(l)
			if err != nil {
				return decimal.Zero, decimal.Zero, err
			}
			debit = debit.Add(owed)
		}
	}
	if debit.IsZero() {
		return decimal.Zero, decimal.Zero, nil
	}
	collateral := decimal.Zero
	for _, l := range lots {
		if l.quantity.IsZero() || l.asset.Class != custody.Security && l.asset.Class != custody.QualifiedSecurity {
			continue
		}
		worth, err := value(l)
		if err != nil {
			return decimal.Zero, decimal.Zero, err
		}
		if l.quantity.Sign() < 0 {
			worth = worth.Neg()
		}
		collateral = collateral.Add(worth)
	}
	return debit, decimal.Min(debit, atLeastZero(collateral)), nil
}
