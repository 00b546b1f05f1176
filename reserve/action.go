package reserve

import (
	"cmp"
	"fmt"
	"slices"

	"goodcontrol/custody"
)

// ActionState says how far a duty to act is.
type ActionState string

// The states. No rule gives a day to cure a deficit; each gives steps and their days.
const (
	// DeficitLag: the deficit is there and no step is due yet; (b)(2) lets it be while
	// steps are taken in time, and the firm has to show that they were.
	DeficitLag ActionState = "DEFICIT_LAG"
	// ActionDue: a step is due today.
	ActionDue ActionState = "ACTION_DUE"
	// Overdue: the last day of a step has passed.
	Overdue ActionState = "OVERDUE"
)

// Action is a step that the rule asks for because a security is not in possession or
// control.
type Action struct {
	Asset    custody.AssetID `json:"asset"`
	Account  custody.Account `json:"account"` // where the securities are, or who is short
	Quantity custody.Amount  `json:"quantity"`
	What     string          `json:"what"`
	Citation string          `json:"citation"`
	// Determine is the last day to find the deficit, Act to take the step, Finish for it
	// to have had its effect; zero where the rule sets none.
	Determine Date        `json:"determine"`
	Act       Date        `json:"act"`
	Finish    Date        `json:"finish"`
	State     ActionState `json:"state"`
	// Extended is why the authority gave more time, paragraph (n).
	Extended string `json:"extended,omitempty"`
}

// Extension is more time that the examining authority gave for one account and asset under
// paragraph (n); it is kept for three years.
type Extension struct {
	Until  Date   `json:"until"`
	Reason string `json:"reason"`
}

// ControlWatch is what actions follow from beside positions.
type ControlWatch struct {
	AsOf      Date
	Rules     Pack
	Calendars Calendars
	Assets    AssetLookup
	// Opened is the day since which a position has stood on its side of zero. One that
	// is missing is taken to be as old as can be.
	Opened map[Key]Date
	// Since is the close as of which a deficit first stood. It is not restarted by a
	// choice of other securities.
	Since map[custody.AssetID]Date
	// Extensions are those of paragraph (n). They do not move the days of (d)(1).
	Extensions map[Key]Extension
}

// Actions lists every step that is due or will be, the most urgent first. Those of (d)(1)
// run while there is a deficit and name no more than it; the others run by the age of what
// was not received, distributed, delivered or found.
func Actions(positions []custody.Position, controls []SecurityControl, w ControlWatch) ([]Action, error) {
	deficits := map[custody.AssetID]custody.Amount{}
	for _, c := range controls {
		if c.Class == PossessionOrControl && c.Deficit.Sign() > 0 {
			deficits[c.Asset] = c.Deficit
		}
	}
	sorted := slices.Clone(positions)
	slices.SortFunc(sorted, func(a, b custody.Position) int { return compareKeys(Key{a.Account, a.Asset}, Key{b.Account, b.Asset}) })
	var all []Action
	for _, p := range sorted {
		asset, found := w.Assets(p.Asset)
		if !found {
			return nil, fmt.Errorf("position %s: asset %s is not known", p.Account, p.Asset)
		}
		if p.Settled.IsZero() || !(holding{class: asset.Class}).security() {
			continue
		}
		if a, is := w.action(p, asset, deficits[p.Asset]); is {
			w.judge(&a, Key{p.Account, p.Asset})
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b Action) int { return cmp.Compare(a.last(), b.last()) })
	return all, nil
}

// last is the last day of the step that is next.
func (a Action) last() Date {
	if a.Finish != 0 && (a.Act == 0 || a.Finish < a.Act) {
		return a.Finish
	}
	return a.Act
}

// action is the step that a position calls for, if any.
func (w ControlWatch) action(p custody.Position, asset custody.Asset, deficit custody.Amount) (Action, bool) {
	a := Action{Asset: p.Asset, Account: p.Account, Quantity: p.Settled.Abs()}
	age, c, t := w.age(p), w.Rules.Control, p.Account.Type
	since, short := w.Since[p.Asset], p.Settled.Sign() < 0
	switch {
	case t == custody.DTCPledged && deficit.Sign() > 0 && !short:
		clock := w.Calendars.LienClock(since, w.Rules)
		a.What, a.Citation = "have the lien released", "17 CFR 240.15c3-3(d)(1)"
		a.Determine, a.Act, a.Finish, a.Quantity = clock.Determine, clock.Instruct, clock.Obtain, lesser(a.Quantity, deficit)
	case t == custody.WithBorrower && deficit.Sign() > 0 && !short:
		clock := w.Calendars.LoanClock(since, w.Rules)
		a.What, a.Citation = "recall the loan", "17 CFR 240.15c3-3(d)(1)"
		a.Determine, a.Act, a.Finish, a.Quantity = clock.Determine, clock.Instruct, clock.Obtain, lesser(a.Quantity, deficit)
	case (t == custody.DueOnFail || t == custody.DueOnFailPAB) && !short && age > c.FailToReceiveDays:
		a.aged(w, p, c.FailToReceiveDays, "buy in the fail to receive, or otherwise obtain the securities", "17 CFR 240.15c3-3(d)(2)")
	case t == custody.DistributionDue && !short && age > c.DividendDays:
		a.aged(w, p, c.DividendDays, "obtain the distribution, by buying in or otherwise", "17 CFR 240.15c3-3(d)(3)")
	case (t == custody.FirmOwn || t == custody.NonCustomerAny) && short && deficit.Sign() > 0 && age > c.ShortDays:
		a.aged(w, p, c.ShortDays, "cover the short to which customers' securities are allocated", "17 CFR 240.15c3-3(d)(4)")
		a.Quantity = lesser(a.Quantity, deficit)
	case t == custody.GoneMissing && !short:
		a.What, a.Citation = "buy in what is missing", "17 CFR 240.15c3-3(h)"
		a.Finish = w.opened(p) + Date(c.CountDifferenceDays)
	case (t == custody.CustomerCash || t == custody.CustomerDVP) && short && asset.Class != custody.QualifiedSecurity:
		// Sold and not delivered by the customer; exempted securities are suspended.
		a.What, a.Citation = "close out the customer's sale that was not delivered", "17 CFR 240.15c3-3(m)"
		a.Finish = w.Calendars.addOpen(w.opened(p), c.SellOrderDays+1)
	default:
		return Action{}, false
	}
	return a, true
}

// aged sets the days of a duty that begins when something is older than so many calendar
// days: one business day after that is found.
func (a *Action) aged(w ControlWatch, p custody.Position, days int, what, citation string) {
	a.What, a.Citation = what, citation
	a.Determine = w.Calendars.addOpen(w.opened(p)+Date(days), 1)
	a.Act = w.Calendars.addOpen(a.Determine, w.Rules.Control.InstructDays)
}

func (w ControlWatch) opened(p custody.Position) Date { return w.Opened[Key{p.Account, p.Asset}] }

func (w ControlWatch) age(p custody.Position) int { return int(w.AsOf - w.opened(p)) }

// judge says how far the action is, with the extension that it may have.
func (w ControlWatch) judge(a *Action, key Key) {
	if x, given := w.Extensions[key]; given && a.Citation != "17 CFR 240.15c3-3(d)(1)" {
		a.Extended = x.Reason
		if a.Act != 0 {
			a.Act = max(a.Act, x.Until)
		}
		if a.Finish != 0 {
			a.Finish = max(a.Finish, x.Until)
		}
	}
	final := max(a.Act, a.Finish)
	switch {
	case w.AsOf > final:
		a.State = Overdue
	case w.AsOf == a.Act || w.AsOf == a.Finish || a.Act != 0 && w.AsOf > a.Act:
		a.State = ActionDue
	default:
		a.State = DeficitLag
	}
}
