package reserve

import (
	"cmp"
	"fmt"
	"slices"

	"goodcontrol/custody"
)

// The stock record of a security says how much of it is long and short for each class of
// holder, and where it is. It does not say whose the shares are that a bank or a borrower
// has, or that were not received. That is allocated here, security by security, in a
// stated order, and items 2, 3, 4, 9, 11 and 12 follow from it.

// A Holder is a class of those for whom securities are carried.
type Holder uint8

// The holders. ForOthers are lenders of securities and buyers of what was not delivered.
const (
	ForCustomers Holder = iota
	ForPAB
	ForNonCustomers
	ForFirm
	ForOthers
	holders
)

var holderNames = [...]string{"customer", "pab", "non_customer", "firm", "others"}

// String is the holder's name.
func (h Holder) String() string {
	if int(h) < len(holderNames) {
		return holderNames[h]
	}
	return fmt.Sprintf("unknown(%d)", uint8(h))
}

// MarshalText writes the holder's name.
func (h Holder) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads a holder's name.
func (h *Holder) UnmarshalText(text []byte) error {
	i := slices.Index(holderNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("holder %q, expected one of %q", text, holderNames)
	}
	*h = Holder(i)
	return nil
}

// Allocation is the order in which is allocated, each list a permutation of all there is.
type Allocation struct {
	// Sources is the order in which places that are not in good control take up longs.
	Sources []custody.Control
	// Credits is whose longs a place takes up first: the first is the most likely to
	// make a credit.
	Credits []Holder
	// Debits is whose shorts borrowed securities cover first: the first is the least
	// likely to make a debit.
	Debits []Holder
}

// DefaultAllocation decides against the firm: what is pledged, lent or not received is
// customers' before it is anybody else's, and what was borrowed was borrowed for customers
// last.
func DefaultAllocation() Allocation {
	return Allocation{
		Sources: []custody.Control{custody.Pledged, custody.Loaned, custody.FailToReceive, custody.InTransfer, custody.NoControl},
		Credits: []Holder{ForCustomers, ForPAB, ForNonCustomers, ForFirm, ForOthers},
		Debits:  []Holder{ForFirm, ForNonCustomers, ForPAB, ForCustomers},
	}
}

// Check says what is wrong with the order: something twice, or left out.
func (a Allocation) Check() error {
	want := DefaultAllocation()
	if !permutes(a.Sources, want.Sources) {
		return fmt.Errorf("allocation: sources %v, expected each of %v once", a.Sources, want.Sources)
	}
	if !permutes(a.Credits, want.Credits) {
		return fmt.Errorf("allocation: credits %v, expected each of %v once", a.Credits, want.Credits)
	}
	if !permutes(a.Debits, want.Debits) {
		return fmt.Errorf("allocation: debits %v, expected each of %v once", a.Debits, want.Debits)
	}
	return nil
}

func permutes[T cmp.Ordered](a, b []T) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// role is what an account is to the allocation of a security.
type role uint8

const (
	noRole role = iota
	claim       // a long or short of a holder
	source      // a place that is not in good control: what is there makes a credit
	need        // owed to a lender or a buyer: what is owed may make a debit
)

func roleOf(t custody.AccountType) role {
	switch t {
	case custody.DTCPledged, custody.WithBorrower, custody.DueOnFail, custody.DueOnFailPAB, custody.DueOnFailFirm, custody.Transfer,
		custody.OCCMargin, custody.ClearingMargin:
		return source
	case custody.StockLender, custody.StockLenderCustomer, custody.StockLenderPAB, custody.FailDeliver, custody.FailDeliverPAB, custody.FailDeliverFirm:
		return need
	}
	switch t.Owner() {
	case custody.Customer, custody.PAB, custody.NonCustomer, custody.Firm, custody.Suspense:
		return claim
	}
	return noRole
}

// holderOf is whose a claim is. What is in suspense may be a customer's.
func holderOf(t custody.AccountType) Holder {
	switch t.Owner() {
	case custody.PAB:
		return ForPAB
	case custody.NonCustomer:
		return ForNonCustomers
	case custody.Firm:
		return ForFirm
	}
	return ForCustomers
}

// named is the holder that the type of account itself names, and whether it names one.
// It goes before the order; it cannot make more of a holder's than that holder has.
func named(t custody.AccountType) (Holder, bool) {
	switch t {
	case custody.DueOnFailPAB, custody.FailDeliverPAB, custody.StockLenderPAB:
		return ForPAB, true
	case custody.DueOnFailFirm, custody.FailDeliverFirm:
		return ForFirm, true
	case custody.StockLenderCustomer:
		return ForCustomers, true
	}
	return 0, false
}

// split is a quantity by holder.
type split [holders]custody.Amount

// part is one account's position in a security that has to be allocated.
type part struct {
	account  custody.Account
	quantity custody.Amount // more than zero
	since    Date
	split    split
}

// stock is the stock record of one security.
type stock struct {
	long, short split
	parts       []*part // by compareParts
}

// comparer orders parts as they are allocated.
func (a Allocation) compareParts(x, y custody.Account) int {
	return cmp.Or(
		cmp.Compare(slices.Index(a.Sources, x.Type.Control()), slices.Index(a.Sources, y.Type.Control())),
		cmp.Compare(x.Type, y.Type), cmp.Compare(x.Name, y.Name))
}

// move takes a position from one quantity to another. A negative quantity at a place or
// owed to a counterparty is nothing to be allocated.
func (s *stock) move(a Allocation, account custody.Account, from, to custody.Amount, since Date) error {
	switch roleOf(account.Type) {
	case claim:
		h := holderOf(account.Type)
		return s.claim(&s.long[h], &s.short[h], from, to)
	case need:
		if err := s.claim(&s.long[ForOthers], &s.short[ForOthers], from, to); err != nil {
			return err
		}
		s.keep(a, account, positivePart(to), since)
	case source:
		s.keep(a, account, positivePart(to), since)
	}
	return nil
}

func (s *stock) claim(long, short *custody.Amount, from, to custody.Amount) error {
	for _, side := range []struct {
		sum      *custody.Amount
		from, to custody.Amount
	}{{long, positivePart(from), positivePart(to)}, {short, positivePart(from.Neg()), positivePart(to.Neg())}} {
		change, ok := side.to.Sub(side.from)
		if !ok {
			return fmt.Errorf("stock record from %s to %s: overflow", from, to)
		}
		if err := add(side.sum, change); err != nil {
			return fmt.Errorf("stock record: %w", err)
		}
	}
	return nil
}

func (s *stock) keep(a Allocation, account custody.Account, quantity custody.Amount, since Date) {
	i, found := slices.BinarySearchFunc(s.parts, account, func(p *part, x custody.Account) int { return a.compareParts(p.account, x) })
	switch {
	case quantity.IsZero() && found:
		s.parts = slices.Delete(s.parts, i, i+1)
	case quantity.IsZero():
	case found:
		s.parts[i].quantity, s.parts[i].since = quantity, since
	default:
		s.parts = slices.Insert(s.parts, i, &part{account: account, quantity: quantity, since: since})
	}
}

// allocate gives every part its split.
func (s *stock) allocate(a Allocation) { s.give(s.splits(a)) }

func (s *stock) give(splits []split) {
	for i, p := range s.parts {
		p.split = splits[i]
	}
}

// has says whether every part has its split already.
func (s *stock) has(splits []split) bool {
	for i, p := range s.parts {
		if p.split != splits[i] {
			return false
		}
	}
	return true
}

// splits is what every part should have.
func (s *stock) splits(a Allocation) []split {
	splits := make([]split, len(s.parts))
	left := s.long
	for i, p := range s.parts {
		if roleOf(p.account.Type) == source {
			// What nobody is long of is taken to be customers'.
			take(&splits[i], p.quantity, a.order(p.account.Type, a.Credits), &left, ForCustomers)
		}
	}
	s.allocateNeeds(a, splits)
	return splits
}

// order is the order of an account: the holder that its type names, and then the others.
func (a Allocation) order(t custody.AccountType, order []Holder) []Holder {
	h, is := named(t)
	if !is {
		return order
	}
	return append([]Holder{h}, slices.DeleteFunc(slices.Clone(order), func(x Holder) bool { return x == h })...)
}

// take gives out a quantity in an order, to each no more than is left; and the rest.
func take(to *split, quantity custody.Amount, order []Holder, left *split, rest Holder) {
	for _, h := range order {
		part := lesser(quantity, left[h])
		to[h], _ = to[h].Add(part)       // at most the whole quantity
		left[h], _ = left[h].Sub(part)   // at least zero
		quantity, _ = quantity.Sub(part) // at least zero
	}
	to[rest], _ = to[rest].Add(quantity)
}

// allocateNeeds says for whom securities were borrowed, and whose a failed delivery is.
// Borrowings cover shorts; what covers none is in the box, and is for others. A failed
// delivery is that of a short which no borrowing covers; then of what was not received
// for others, one fail against the other; and otherwise a customer's.
func (s *stock) allocateNeeds(a Allocation, splits []split) {
	short, received := s.short, custody.Amount{}
	for i, p := range s.parts {
		switch {
		case p.account.Type.Control() == custody.FailToReceive:
			received, _ = received.Add(splits[i][ForOthers]) // at most what is owed to others
		case roleOf(p.account.Type) == need && !isFail(p.account.Type):
			take(&splits[i], p.quantity, a.order(p.account.Type, a.Debits), &short, ForOthers)
		}
	}
	for i, p := range s.parts {
		t := p.account.Type
		h, is := named(t)
		switch {
		case !isFail(t) || roleOf(t) != need:
		case is && h == ForFirm:
			splits[i][ForFirm] = p.quantity
		case is:
			take(&splits[i], p.quantity, []Holder{ForFirm, ForNonCustomers}, &short, h)
		default:
			shorts := split{ForFirm: short[ForFirm], ForNonCustomers: short[ForNonCustomers], ForPAB: short[ForPAB], ForOthers: received}
			take(&splits[i], p.quantity, []Holder{ForFirm, ForNonCustomers, ForPAB, ForOthers}, &shorts, ForCustomers)
			short[ForFirm], short[ForNonCustomers], short[ForPAB], received = shorts[ForFirm], shorts[ForNonCustomers], shorts[ForPAB], shorts[ForOthers]
		}
	}
}

func isFail(t custody.AccountType) bool {
	return t == custody.FailDeliver || t == custody.FailDeliverPAB || t == custody.FailDeliverFirm
}
