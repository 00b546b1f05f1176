package node

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
	"goodcontrol/reserve"
)

// ControlConfig is the register of possession or control: what is held of the places and of
// the securities that are not in control by themselves.
type ControlConfig struct {
	Locations    []ControlLocationConfig `yaml:"locations"`
	Attestations []AttestationConfig     `yaml:"attestations"`
	Extensions   []ExtensionConfig       `yaml:"extensions"`
	// Released is which margin securities the firm uses. A change of it is recorded, and
	// refused where it would create a deficit or let one grow.
	Released []ReleasedConfig `yaml:"released"`
}

// ReleasedConfig is so much of a margin account's security, in whole units, that the firm
// uses: what is left must be worth the account's excess margin (15c3-3(a)(5)).
type ReleasedConfig struct {
	Account  custody.Account `yaml:"account"`
	Asset    custody.AssetID `yaml:"asset"`
	Quantity string          `yaml:"quantity"`
}

// ControlLocationConfig is a control location under 15c3-3(c). A sub-custodian that is not
// listed, or whose letter is missing or has expired, is not in control.
type ControlLocationConfig struct {
	Place    custody.Place        `yaml:"place"`
	Kind     reserve.LocationKind `yaml:"kind"` // bank_custodian, foreign_depository, omnibus_account, …
	Letter   reserve.Date         `yaml:"letter"`
	Expires  reserve.Date         `yaml:"expires"`
	NoLien   bool                 `yaml:"no_lien"`
	Evidence string               `yaml:"evidence"`
}

// AttestationConfig is what the firm has written down of a security on a chain.
type AttestationConfig struct {
	Asset       custody.AssetID `yaml:"asset"`
	Access      StatedConfig    `yaml:"access"`
	Assessment  StatedConfig    `yaml:"assessment"`
	NoProblem   StatedConfig    `yaml:"no_problem"`
	KeyControls StatedConfig    `yaml:"keys"`
	Plans       StatedConfig    `yaml:"contingency"`
	Threshold   int             `yaml:"threshold"`
	Own         int             `yaml:"own_shares"`
	Others      int             `yaml:"others_shares"`
}

// StatedConfig is one dated statement; it ends on a day, or with no day never.
type StatedConfig struct {
	On       reserve.Date `yaml:"on"`
	Until    reserve.Date `yaml:"until"`
	Evidence string       `yaml:"evidence"`
}

// ExtensionConfig is more time that the examining authority gave, 15c3-3(n).
type ExtensionConfig struct {
	Account custody.Account `yaml:"account"`
	Asset   custody.AssetID `yaml:"asset"`
	Until   reserve.Date    `yaml:"until"`
	Reason  string          `yaml:"reason"`
}

// kindSelected is the kind of entry that keeps a change of selection, before and after.
const kindSelected = "segregation.selected"

// selection is the fold of what the firm may use.
type selection struct{ reserve.Selection }

func (s *selection) apply(e custody.Entry) error {
	if e.Kind != kindSelected {
		return nil
	}
	f, err := custody.Fact[reserve.Reselection](e)
	s.Selection = f.After
	return err
}

// selected is what the configuration says.
func (n *Node) selected() (reserve.Selection, error) {
	s := reserve.Selection{}
	for _, r := range n.config.Reserve.Control.Released {
		asset, listed := n.fold.settle.Master().Asset(canonicalAsset(r.Asset))
		quantity, err := decimal.NewFromString(r.Quantity)
		if !listed || err != nil {
			return nil, fmt.Errorf("reserve: control: released %q of %s in %s: expected a quantity of a listed asset", r.Quantity, r.Asset, r.Account)
		}
		amount, err := custody.AmountFromDecimal(quantity, asset.Scale)
		if err != nil {
			return nil, fmt.Errorf("reserve: control: released of %s in %s: %w", r.Asset, r.Account, err)
		}
		if s[r.Account] == nil {
			s[r.Account] = map[custody.AssetID]custody.Amount{}
		}
		if _, twice := s[r.Account][asset.ID]; twice {
			return nil, fmt.Errorf("reserve: control: released of %s in %s stands twice", r.Asset, r.Account)
		}
		s[r.Account][asset.ID] = amount
	}
	return s, nil
}

// adoptSelection puts a change of selection into the journal, if it may be made.
func (n *Node) adoptSelection(ctx context.Context) error {
	after, err := n.selected()
	before := n.fold.selection.Selection
	if err != nil || maps.EqualFunc(before, after, maps.Equal[map[custody.AssetID]custody.Amount]) {
		return err
	}
	now := n.now()
	r, err := n.controlRegister(n.fold, now)
	if err != nil {
		return err
	}
	change, err := n.fold.lines.Reselect(before, after, *r)
	if err != nil {
		return fmt.Errorf("reserve: control: released: %w", err)
	}
	e, err := custody.FactEntry(kindSelected, custody.Ref(fmt.Sprintf("%s/%d", kindSelected, n.books.Head().Size)), "configuration", now.UTC(), change)
	if err != nil {
		return err
	}
	return n.postAll(ctx, []custody.Entry{e})
}

// controlRegister is the register of a moment.
func (n *Node) controlRegister(f *fold, at time.Time) (*reserve.ControlRegister, error) {
	day := reserve.DateOf(at, n.rule.Schedule.Place)
	pack, err := n.rules.At(day)
	if err != nil {
		return nil, err
	}
	r := n.config.Reserve.Control.register(day)
	r.Rules, r.Selection = pack, f.selection.Selection
	return r, nil
}

// register is the register as of a day.
func (c ControlConfig) register(on reserve.Date) *reserve.ControlRegister {
	r := &reserve.ControlRegister{AsOf: on, Locations: map[custody.Place]reserve.ControlLocation{}, Attestations: map[custody.AssetID]reserve.Attestation{}}
	for _, l := range c.Locations {
		r.Locations[l.Place] = reserve.ControlLocation{Kind: l.Kind, Letter: l.Letter, Expires: l.Expires, NoLien: l.NoLien, Evidence: l.Evidence}
	}
	for _, a := range c.Attestations {
		r.Attestations[canonicalAsset(a.Asset)] = reserve.Attestation{
			Access: reserve.Stated(a.Access), Assessment: reserve.Stated(a.Assessment), NoProblem: reserve.Stated(a.NoProblem),
			KeyControls: reserve.Stated(a.KeyControls), Plans: reserve.Stated(a.Plans), Threshold: a.Threshold, Own: a.Own, Others: a.Others,
		}
	}
	return r
}

// control computes possession or control, and the steps that it asks for.
func (n *Node) control(f *fold, p *picture) error {
	r, err := n.controlRegister(f, p.at)
	if err != nil {
		return err
	}
	if p.control, err = f.lines.Control(r); err != nil {
		return err
	}
	w := reserve.ControlWatch{
		AsOf: r.AsOf, Rules: r.Rules, Calendars: n.rules.Calendars, Assets: f.settle.Master().Asset, Opened: f.lines.Opened(), Since: f.lines.DeficitSince(),
		Extensions: map[reserve.Key]reserve.Extension{},
	}
	for _, x := range n.config.Reserve.Control.Extensions {
		w.Extensions[reserve.Key{Account: x.Account, Asset: x.Asset}] = reserve.Extension{Until: x.Until, Reason: x.Reason}
	}
	p.actions, err = reserve.Actions(p.positions, p.control, w)
	return err
}

// actionConditions tell of steps that are due or overdue. Those of a deficit are told with
// the deficit as well.
func (n *Node) actionConditions(p *picture) []alert.Condition {
	var all []alert.Condition
	for _, a := range p.actions {
		if a.State == reserve.DeficitLag {
			continue
		}
		all = append(all, alert.Condition{
			Key: fmt.Sprintf("control.action/%s/%s", a.Account, a.Asset), Kind: alert.ControlDeficit,
			Data: a, Matters: []string{string(a.State), a.Quantity.String()},
		})
	}
	return all
}

// actionsOf are the steps that a deficit asks for.
func (p *picture) actionsOf(id custody.AssetID) []reserve.Action {
	list := []reserve.Action{}
	for _, a := range p.actions {
		if a.Asset == id {
			list = append(list, a)
		}
	}
	return list
}
