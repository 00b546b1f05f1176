package reserve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"goodcontrol/custody"
)

// ControlClass tells the duty of the rule from the node's own.
type ControlClass string

// The classes.
const (
	// PossessionOrControl is 15c3-3(b): securities, on a chain or not.
	PossessionOrControl ControlClass = "possession or control"
	// ClientCrypto is clients' coins and tokens that are no securities. The rule
	// does not reach them; that they are short is told all the same, and is never
	// set off against any item of the formula.
	ClientCrypto ControlClass = "client crypto short"
)

// SecurityControl says whether what is owed of one asset is in good control.
type SecurityControl struct {
	Asset custody.AssetID `json:"asset"`
	Class ControlClass    `json:"class"`
	// Required is what is owed to customers and PAB holders, and what is in suspense and
	// may be theirs, less margin securities that the firm may use. One client's short is not set off against
	// another's long.
	Required custody.Amount `json:"required"`
	// InControl is what is in good control and can be given to those to whom it is
	// owed: of a segregated wallet no more than its owner's claim.
	InControl custody.Amount `json:"in_control"`
	Deficit   custody.Amount `json:"deficit"`
	// Reserved is in good control too and covers nobody else's claim: more in
	// segregated wallets than their owners are owed, and what is in the firm's.
	Reserved custody.Amount `json:"reserved_for_others"`
	// Unproven is where it could be in good control, and nothing held shows that it is:
	// a custodian without a letter, a security on a chain without its attestation.
	Unproven custody.Amount `json:"unproven"`
	Reasons  []string       `json:"reasons,omitempty"`
	// Elsewhere is where the rest is, by the reason why it is not in good control.
	Elsewhere []Elsewhere `json:"elsewhere"`
}

// Elsewhere is a quantity that is not in good control.
type Elsewhere struct {
	Control  custody.Control `json:"control"`
	Quantity custody.Amount  `json:"quantity"`
}

// Cover says whose claims the contents of an address can cover.
type Cover struct {
	Kind  custody.WalletKind
	Owner string // of a segregated wallet
}

// Control computes possession or control from all settled positions: every asset but
// cash of which there is any, in the order of asset names. All of a margin account is required, but
// for what a Selection that holds has released.
func Control(positions []custody.Position, assets AssetLookup, register *ControlRegister) ([]SecurityControl, error) {
	tallies := map[custody.AssetID]*controlTally{}
	for _, p := range positions {
		asset, found := assets(p.Asset)
		if !found {
			return nil, fmt.Errorf("position %s: asset %s is not known", p.Account, p.Asset)
		}
		if asset.Class == custody.Cash {
			continue
		}
		t := tallies[p.Asset]
		if t == nil {
			t = newTally(asset)
			tallies[p.Asset] = t
		}
		if err := t.move(p.Account, register.covers(), custody.Amount{}, p.Settled); err != nil {
			return nil, fmt.Errorf("control of %s: %w", p.Asset, err)
		}
	}
	released, err := releasedOf(positions, assets, register)
	if err != nil {
		return nil, err
	}
	return controls(tallies, register, released)
}

func classOf(a custody.Asset) ControlClass {
	if (holding{class: a.Class}).security() {
		return PossessionOrControl
	}
	return ClientCrypto
}

// controlTally is the running sums of one asset.
type controlTally struct {
	class    ControlClass
	required custody.Amount
	at       [custody.DistributionReceivable + 1]custody.Amount // by control state
	// Of an asset on a chain, by owner: what is owed, and what is in the owner's
	// own segregated wallets. Covered is the lesser of the two, summed.
	claims, apart map[string]custody.Amount
	covered       custody.Amount
	segregated    custody.Amount // in all segregated wallets
	firm          custody.Amount // in the firm's own wallets
	suspense      custody.Amount // what of required is not known whose it is
	// Of a security on a chain, what is at its addresses; of any, what is at each
	// sub-custodian.
	attested   bool
	atWallets  custody.Amount
	custodians map[custody.Place]custody.Amount
}

func newTally(a custody.Asset) *controlTally {
	t := &controlTally{class: classOf(a), attested: a.Class == custody.CryptoSecurity, custodians: map[custody.Place]custody.Amount{}}
	if a.ID.OnChain() {
		t.claims, t.apart = map[string]custody.Amount{}, map[string]custody.Amount{}
	}
	return t
}

// move takes a position from one settled quantity to another.
func (c *controlTally) move(account custody.Account, addresses map[custody.Place]Cover, from, to custody.Amount) error {
	t := account.Type
	sum, client := &c.required, (holding{account: t}).client()
	switch {
	case t.Side() == custody.At:
		sum = &c.at[t.Control()]
	case client || t == custody.SuspenseAny:
		from, to = positivePart(from), positivePart(to)
	default:
		return nil
	}
	change, ok := to.Sub(from)
	if !ok {
		return fmt.Errorf("from %s to %s in %s: overflow", from, to, t)
	}
	if err := add(sum, change); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	if t == custody.SubCustodian {
		at := c.custodians[custody.Place(account.Name)]
		if err := add(&at, change); err != nil {
			return err
		}
		c.custodians[custody.Place(account.Name)] = at
	}
	if t == custody.ChainWallet {
		if err := add(&c.atWallets, change); err != nil {
			return err
		}
	}
	switch cover := addresses[custody.Place(account.Name)]; {
	case t == custody.SuspenseAny:
		return add(&c.suspense, change)
	case c.claims == nil || change.IsZero():
	case client:
		return c.cover(c.claims, account.Name, change)
	case t != custody.ChainWallet || cover.Kind != custody.Segregated && cover.Kind != custody.FirmWallet:
	case cover.Kind == custody.FirmWallet:
		return add(&c.firm, change)
	default:
		if err := add(&c.segregated, change); err != nil {
			return err
		}
		return c.cover(c.apart, cover.Owner, change)
	}
	return nil
}

// cover changes one side of an owner's own account, and what of it is covered.
func (c *controlTally) cover(side map[string]custody.Amount, owner string, change custody.Amount) error {
	before := lesser(c.claims[owner], c.apart[owner])
	sum := side[owner]
	if err := add(&sum, change); err != nil {
		return err
	}
	if side[owner] = sum; sum.IsZero() {
		delete(side, owner)
	}
	difference, ok := lesser(c.claims[owner], c.apart[owner]).Sub(before)
	if !ok {
		return fmt.Errorf("of %s: overflow", owner)
	}
	return add(&c.covered, difference)
}

func lesser(a, b custody.Amount) custody.Amount {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

// add adds to a sum in place.
func add(sum *custody.Amount, change custody.Amount) error {
	next, ok := sum.Add(change)
	if !ok {
		return fmt.Errorf("sum of %s and %s: overflow", *sum, change)
	}
	*sum = next
	return nil
}

func positivePart(a custody.Amount) custody.Amount {
	if a.Sign() < 0 {
		return custody.Amount{}
	}
	return a
}

func controls(tallies map[custody.AssetID]*controlTally, register *ControlRegister, released Released) ([]SecurityControl, error) {
	all := make([]SecurityControl, 0, len(tallies))
	for asset, t := range tallies {
		required, ok := t.required.Sub(released.By[asset])
		if !ok {
			return nil, fmt.Errorf("control of %s: %s required, %s released: overflow", asset, t.required, released.By[asset])
		}
		c := SecurityControl{Asset: asset, Class: t.class, Required: required}
		if err := t.judge(&c, register); err != nil {
			return nil, fmt.Errorf("control of %s: %w", asset, err)
		}
		for state, quantity := range t.at {
			if custody.Control(state) != custody.GoodControl && !quantity.IsZero() {
				c.Elsewhere = append(c.Elsewhere, Elsewhere{custody.Control(state), quantity})
			}
		}
		if !c.Required.IsZero() || !c.InControl.IsZero() || !c.Reserved.IsZero() || !c.Unproven.IsZero() || len(c.Elsewhere) > 0 {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b SecurityControl) int { return cmp.Compare(a.Asset, b.Asset) })
	return all, nil
}

// deficit is the deficit by the books alone, every custodian and chain taken to be good.
func (c *controlTally) deficit(s *SecurityControl) error {
	if err := c.reserved(s); err != nil {
		return err
	}
	return c.free(s)
}

// reserved is what in segregated and firm wallets covers nobody else's claim.
func (c *controlTally) reserved(s *SecurityControl) error {
	surplus, ok := c.segregated.Sub(c.covered)
	if !ok {
		return fmt.Errorf("%s in segregated wallets, %s covered: overflow", c.segregated, c.covered)
	}
	// What came to a client's own address and is in suspense may be that client's.
	mine := positivePart(lesser(surplus, c.suspense))
	if s.Reserved, ok = surplus.Sub(mine); !ok {
		return fmt.Errorf("%s more in segregated wallets than is owed: overflow", surplus)
	}
	return add(&s.Reserved, c.firm)
}

// judge says how much of what is in good control can be given to those to whom it is owed.
func (c *controlTally) judge(s *SecurityControl, register *ControlRegister) error {
	if err := c.reserved(s); err != nil {
		return err
	}
	if why := register.attestation(s.Asset); c.attested && !c.atWallets.IsZero() && why != "" {
		s.Reserved, s.Unproven, s.Reasons = custody.Amount{}, c.atWallets, []string{why}
	}
	for _, place := range slices.Sorted(maps.Keys(c.custodians)) {
		why := register.location(place)
		if c.custodians[place].IsZero() || why == "" {
			continue
		}
		if err := add(&s.Unproven, c.custodians[place]); err != nil {
			return err
		}
		s.Reasons = append(s.Reasons, fmt.Sprintf("%s: %s", place, why))
	}
	return c.free(s)
}

// free is what is left in good control, and what is short of it.
func (c *controlTally) free(s *SecurityControl) error {
	free, ok1 := c.at[custody.GoodControl].Sub(s.Reserved)
	free, ok2 := free.Sub(s.Unproven)
	short, ok3 := s.Required.Sub(free)
	if !ok1 || !ok2 || !ok3 {
		return fmt.Errorf("%s required, %s in good control, %s of it reserved: overflow", s.Required, c.at[custody.GoodControl], s.Reserved)
	}
	s.InControl, s.Deficit = free, positivePart(short)
	return nil
}
