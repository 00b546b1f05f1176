package reserve

import (
	"cmp"
	"fmt"
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
	// Required is what is owed to customers and PAB holders, and what is in
	// suspense and may be theirs. One client's short is not set off against
	// another's long.
	Required  custody.Amount `json:"required"`
	InControl custody.Amount `json:"in_control"`
	Deficit   custody.Amount `json:"deficit"`
	// Elsewhere is where the rest is, by the reason why it is not in good control.
	Elsewhere []Elsewhere `json:"elsewhere"`
}

// Elsewhere is a quantity that is not in good control.
type Elsewhere struct {
	Control  custody.Control `json:"control"`
	Quantity custody.Amount  `json:"quantity"`
}

// Control computes possession or control from all settled positions: every asset but
// cash of which there is any, in the order of asset names. All of a margin account is required, not only
// what is fully paid and excess margin: the stricter reading, until the split of (a)(3)
// to (a)(5) is made.
func Control(positions []custody.Position, assets AssetLookup) ([]SecurityControl, error) {
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
			t = &controlTally{class: classOf(asset)}
			tallies[p.Asset] = t
		}
		if err := t.move(p.Account.Type, custody.Amount{}, p.Settled); err != nil {
			return nil, fmt.Errorf("control of %s: %w", p.Asset, err)
		}
	}
	return controls(tallies)
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
}

// move takes a position from one settled quantity to another.
func (c *controlTally) move(t custody.AccountType, from, to custody.Amount) error {
	sum := &c.required
	switch {
	case t.Side() == custody.At:
		sum = &c.at[t.Control()]
	case (holding{account: t}).client() || t == custody.SuspenseAny:
		from, to = positivePart(from), positivePart(to)
	default:
		return nil
	}
	change, ok := to.Sub(from)
	if !ok {
		return fmt.Errorf("from %s to %s in %s: overflow", from, to, t)
	}
	next, ok := sum.Add(change)
	if !ok {
		return fmt.Errorf("sum of %s and %s in %s: overflow", *sum, change, t)
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

func controls(tallies map[custody.AssetID]*controlTally) ([]SecurityControl, error) {
	all := make([]SecurityControl, 0, len(tallies))
	for asset, t := range tallies {
		c := SecurityControl{Asset: asset, Class: t.class, Required: t.required, InControl: t.at[custody.GoodControl]}
		short, ok := c.Required.Sub(c.InControl)
		if !ok {
			return nil, fmt.Errorf("control of %s: %s less %s: overflow", asset, c.Required, c.InControl)
		}
		c.Deficit = positivePart(short)
		for state, quantity := range t.at {
			if custody.Control(state) != custody.GoodControl && !quantity.IsZero() {
				c.Elsewhere = append(c.Elsewhere, Elsewhere{custody.Control(state), quantity})
			}
		}
		if !c.Required.IsZero() || !c.InControl.IsZero() || len(c.Elsewhere) > 0 {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b SecurityControl) int { return cmp.Compare(a.Asset, b.Asset) })
	return all, nil
}
