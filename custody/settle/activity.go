package settle

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// KindActivity begins the kind of every entry that an activity calls for, before the
// activity's own kind.
const KindActivity = "activity."

// ErrRefTaken says that an activity has the ref of another one.
var ErrRefTaken = errors.New("the ref is that of another activity")

// ActivityRef is the ref of the entry that an activity calls for.
func ActivityRef(ref custody.Ref) custody.Ref { return "activity/" + ref }

// A Finder finds an entry of the journal by its ref.
type Finder func(custody.Ref) (custody.Entry, bool, error)

// Booked is the body of the entry that an activity calls for.
type Booked struct {
	Activity custody.Activity `json:"activity"`
	// Deal is set where later activities continue this one.
	Deal *Deal `json:"deal,omitempty"`
	// Undoes is the activity that a reversal takes back.
	Undoes *custody.Activity `json:"undoes,omitempty"`
	// Required is set where margin is required.
	Required *Requirement `json:"required,omitempty"`
}

// Deal is what later activities need to know of the one they continue. What is left of
// it stands in the books, at its accounts.
type Deal struct {
	Asset    custody.AssetID `json:"asset"`
	Quantity custody.Amount  `json:"quantity"`
	Money    custody.Amount  `json:"money"`
	Buy      bool            `json:"buy,omitempty"`
	// Account and Contra are the sides of a trade, Place is where its securities are
	// or go, Cash the settlement that its money belongs to.
	Account custody.Account `json:"account,omitzero"`
	Contra  custody.Account `json:"contra,omitzero"`
	Place   custody.Account `json:"place,omitzero"`
	Cash    custody.Account `json:"cash,omitzero"`
	// Out is the account in which what is lent, pledged, borrowed or in transfer
	// stands, Owed the one in which the money for it does.
	Out  custody.Account `json:"out,omitzero"`
	Owed custody.Account `json:"owed,omitzero"`
}

// Requirement is how much margin a clearing agency requires for customers, and the line
// of Exhibit A that it belongs to.
type Requirement struct {
	Account custody.Account `json:"account"`
	Item    int             `json:"item"`
	Dollars decimal.Decimal `json:"dollars"`
}

// dealState is a deal as the journal has it.
type dealState struct {
	Deal
	kind    custody.ActivityKind
	entry   custody.Ref
	pending []custody.Leg // of a trade that has not settled
	open    bool          // of a trade: whether it waits to settle
}

// acted is what is known of an activity that was booked.
type acted struct {
	content  [32]byte
	reversed bool
}

// acts is the part of a machine that folds activities.
type acts struct {
	master   *custody.Master
	done     map[custody.Ref]acted
	deals    map[custody.Ref]*dealState
	required map[custody.Account]Requirement
	consents map[holdingKey]bool // owner, as a place, and program, as an asset

	corporate map[custody.Ref]string                  // corporate actions booked, by their content
	due       map[holdingKey]map[custody.Account]bool // distributions due from a place
}

func newActs() acts {
	return acts{
		master: custody.NewMaster(), done: map[custody.Ref]acted{}, deals: map[custody.Ref]*dealState{},
		required: map[custody.Account]Requirement{}, consents: map[holdingKey]bool{},
		corporate: map[custody.Ref]string{}, due: map[holdingKey]map[custody.Account]bool{},
	}
}

// Master is the security master. It belongs to the machine: whoever needs it elsewhere
// makes a clone.
func (m *Machine) Master() *custody.Master { return m.acts.master }

// Required is the margin that clearing agencies require for customers, by the account
// in which it is on deposit.
func (m *Machine) Required() map[custody.Account]Requirement { return m.acts.required }

// Act says which entry an activity calls for. An activity that was booked before with
// the same content calls for none. A fault of the activity is a [custody.FieldError]:
// it names the field, and nothing of the activity is booked.
func (m *Machine) Act(a custody.Activity, find Finder) ([]custody.Entry, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	if before, known := m.acts.done[a.Ref]; known {
		if before.content != content(a) {
			return nil, errors.Join(ErrRefTaken, &custody.FieldError{Field: "ref", Got: string(a.Ref), Expected: "a ref that was not used for another activity; a correction is a reversal and a new activity"})
		}
		return nil, nil
	}
	b := &booking{m: m, a: a, body: Booked{Activity: a}, find: find}
	bookings[a.Kind](b)
	if b.err == nil {
		b.err = b.balances()
	}
	if b.err != nil {
		return nil, b.err
	}
	e, err := custody.FactEntry(KindActivity+string(a.Kind), ActivityRef(a.Ref), actor, a.On.Noon(), b.body)
	if err != nil {
		return nil, err
	}
	e.Legs, e.Resolves, e.Reverses = b.legs, b.resolves, b.reverses
	return []custody.Entry{e}, e.Check()
}

func content(a custody.Activity) [32]byte {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // an activity is texts
	}
	return sha256.Sum256(text)
}

// booking is the making of one activity's entry. After the first error nothing more of
// it counts.
type booking struct {
	m                  *Machine
	a                  custody.Activity
	body               Booked
	legs               []custody.Leg
	resolves, reverses custody.Ref
	find               Finder
	err                error
}

func (b *booking) fail(field, expected string, args ...any) {
	if b.err == nil {
		b.err = &custody.FieldError{Field: field, Got: *b.a.Field(field), Expected: fmt.Sprintf(expected, args...)}
	}
}

// move adds a leg, unless it is of nothing.
func (b *booking) move(account custody.Account, asset custody.AssetID, amount custody.Amount) {
	if !amount.IsZero() {
		b.legs = append(b.legs, custody.Leg{Account: account, Asset: asset, Layer: custody.Settled, Amount: amount})
	}
}

// both changes two accounts alike: one on each side of the books.
func (b *booking) both(x, y custody.Account, asset custody.AssetID, amount custody.Amount) {
	b.move(x, asset, amount)
	b.move(y, asset, amount)
}

// shift takes from one account and gives to another on the same side.
func (b *booking) shift(from, to custody.Account, asset custody.AssetID, amount custody.Amount) {
	b.move(from, asset, amount.Neg())
	b.move(to, asset, amount)
}

// account reads an account of an owner, who must be open and of the kind that the type
// of account says.
func (b *booking) account(field string) custody.Account {
	text := *b.a.Field(field)
	account, err := custody.ParseAccount("for:" + text)
	switch {
	case err != nil:
		b.fail(field, "TYPE:OWNER such as customer.cash:alice (%v)", err)
		return account
	case account.Type.Owner() == custody.Counterparty || account.Type == custody.CustomerSweep:
		b.fail(field, "an account of an owner, or suspense; counterparties' and sweep accounts follow from the activity")
	case account.Type == custody.SuspenseAny:
	case b.m.Owner(account.Name) == custody.NoOwner:
		b.fail(field, "an owner that was opened")
	case account.Type == custody.CustomerOmnibus && b.m.Owner(account.Name) == custody.PAB:
		// a correspondent is a broker, and its customers are customers
	case b.m.Owner(account.Name) != account.Type.Owner():
		b.fail(field, "an account of the owner's kind, which is %s", b.m.Owner(account.Name))
	}
	return account
}

// place reads a place off chain that is of one of some types.
func (b *booking) place(field string, types ...custody.AccountType) custody.Account {
	l, ok := b.m.locations[custody.Place(*b.a.Field(field))]
	if !ok {
		b.fail(field, "a place that is one of ours")
	} else if !slices.Contains(types, l.Type) {
		b.fail(field, "a place of type %s; it is of type %s", fmt.Sprintf("%v", types), l.Type)
	}
	return custody.AtPlace(l.Type, l.Place)
}

// The types of place that securities come from and go to.
var (
	boxTypes    = []custody.AccountType{custody.DTCFree, custody.SubCustodian}
	marginTypes = []custody.AccountType{custody.OCCMargin, custody.ClearingMargin, custody.ClearingFund}
)

// asset reads the instrument.
func (b *booking) asset() custody.Asset {
	asset, err := b.m.acts.master.Resolve(b.a.Instrument, b.a.On)
	if errors.Is(err, custody.ErrUnknownInstrument) {
		b.fail("instrument", "an instrument that is listed on %s", b.a.On)
	} else if err != nil {
		b.fail("instrument", "a valid code (%v)", err)
	}
	return asset
}

// security reads an instrument that is neither cash nor on a chain.
func (b *booking) security() custody.Asset {
	asset := b.asset()
	switch {
	case b.err != nil:
	case asset.Class == custody.Cash:
		b.fail("instrument", "no cash: it moves by amount")
	case asset.ID.OnChain():
		b.fail("instrument", "an instrument off chain: what is on a chain moves when the chain shows it, or between two accounts on our books")
	}
	return asset
}

// number reads an exact amount of an asset, more than zero.
func (b *booking) number(field string, asset custody.Asset) custody.Amount {
	n := b.numberOrZero(field, asset)
	if n.Sign() == 0 {
		b.fail(field, "more than zero")
	}
	return n
}

func (b *booking) numberOrZero(field string, asset custody.Asset) custody.Amount {
	text := *b.a.Field(field)
	if text == "" || b.err != nil {
		return custody.Amount{}
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		b.fail(field, "a decimal number")
		return custody.Amount{}
	}
	n, err := custody.AmountFromDecimal(d, asset.Scale)
	if err != nil {
		b.fail(field, "at most %d decimals of %s, in range", asset.Scale, asset.ID)
	}
	return n
}

func (b *booking) quantity(asset custody.Asset) custody.Amount { return b.number("quantity", asset) }

// dollars is the asset in which amounts are.
func (b *booking) dollars() custody.Asset {
	usd, ok := b.m.acts.master.Asset(custody.USD)
	if !ok {
		b.fail("amount", "nothing before %s is listed", custody.USD)
	}
	return usd
}

func (b *booking) money() custody.Amount { return b.numberOrZero("amount", b.dollars()) }

// settlement is the account of the money movement that the activity is part of.
func (b *booking) settlement() custody.Account {
	name := b.a.Settlement
	if name == "" {
		name = string(b.a.Ref)
	}
	return custody.AtPlace(custody.SettlementCash, custody.Place("settlement:"+name))
}

// cashOf is the settlement of a deal, unless the activity names one.
func (b *booking) cashOf(d *dealState) custody.Account {
	if b.a.Settlement != "" {
		return b.settlement()
	}
	return d.Cash
}

// population is whose business an account or the field for says it is: the place in the
// tables below.
func (b *booking) population() int {
	i := slices.Index([]string{"customer", "pab", "firm"}, b.a.For)
	if i < 0 {
		b.fail("for", "customer, pab or firm")
		return 0
	}
	return i
}

func populationOf(t custody.AccountType) int {
	switch t.Owner() {
	case custody.Customer, custody.Suspense:
		return 0
	case custody.PAB:
		return 1
	}
	return 2
}

// The accounts with the street, by whose business it is: customers', PAB holders', the
// firm's or a non-customer's.
var (
	failReceive   = [3]custody.AccountType{custody.DueOnFail, custody.DueOnFailPAB, custody.DueOnFailFirm}
	failDeliver   = [3]custody.AccountType{custody.FailDeliver, custody.FailDeliverPAB, custody.FailDeliverFirm}
	moneyLender   = [3]custody.AccountType{custody.MoneyLender, custody.MoneyLenderPAB, custody.MoneyLenderFirm}
	stockBorrower = [3]custody.AccountType{custody.StockBorrower, custody.StockBorrowerPAB, custody.StockBorrowerFirm}
	stockLender   = [3]custody.AccountType{custody.StockLenderCustomer, custody.StockLenderPAB, custody.StockLender}
)

// own is the account of a type that belongs to this activity alone, so that its age is
// the activity's.
func (b *booking) own(t custody.AccountType) custody.Account {
	return custody.Account{Type: t, Name: string(b.a.Ref)}
}

// deal finds what the activity continues.
func (b *booking) deal(kinds ...custody.ActivityKind) *dealState {
	d := b.m.acts.deals[b.a.Of]
	switch {
	case d == nil:
		b.fail("of", "an activity that was booked, of kind %s", kinds)
	case !slices.Contains(kinds, d.kind):
		b.fail("of", "an activity of kind %s; it is a %s", kinds, d.kind)
	case b.m.acts.done[b.a.Of].reversed:
		b.fail("of", "an activity that was not reversed")
	default:
		return d
	}
	return &dealState{}
}

// part is how much of a deal the activity is about: all that is left, or the quantity.
func (b *booking) part(d *dealState, left custody.Amount) custody.Amount {
	if b.a.Quantity == "" || b.err != nil {
		return left
	}
	asset, _ := b.m.acts.master.Asset(d.Asset)
	q := b.numberOrZero("quantity", asset)
	if q.Cmp(left) > 0 {
		b.fail("quantity", "at most the %s that are left", asset.Format(left))
	}
	return q
}

// share is the money that goes with a part of a quantity: all of it with all, and else
// in proportion, rounded down; the last part takes the rest.
func (b *booking) share(money, part, whole custody.Amount) custody.Amount {
	if part == whole || whole.IsZero() {
		return money
	}
	n := money.Big()
	n.Mul(n, part.Big())
	n.Quo(n, whole.Big()) // towards zero
	share, err := custody.AmountFromBig(n)
	if err != nil {
		b.fail("quantity", "a part whose money is in range")
	}
	return share
}

// at is the settled balance of an account.
func (b *booking) at(account custody.Account, asset custody.AssetID) custody.Amount {
	return b.m.at[spot{account, asset}]
}

// less is a-b, which is in range where both are sums of legs of one sign.
func (b *booking) less(a, c custody.Amount) custody.Amount {
	n, ok := a.Sub(c)
	if !ok {
		b.fail("ref", "sums in range")
	}
	return n
}
