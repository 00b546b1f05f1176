package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/node/alert"
	"goodcontrol/node/api"
)

// Version is the program's.
const Version = "0.1.0"

var _ api.Broker = (*Node)(nil)

// at is the picture that a question is about. Only now can be answered from a
// picture; the journal has the rest, and positions are asked of it as of a moment.
func (n *Node) at(at api.AsOf) (*picture, error) {
	if !at.Now() {
		return nil, api.Errorf(api.CodeAsOfUnavailable, "as_of %s: this can be answered for now only; positions, the reserve and control can be asked for as of any moment", at)
	}
	return n.picture.Load(), nil
}

func (p *picture) headOf() api.Head { return api.Head{AsOf: p.at.UTC(), Seq: p.head.Size} }

// dollars writes an exact figure in dollars and cents.
func dollars(d decimal.Decimal) string { return d.StringFixed(cents) }

// Status is the one word and what it stands on.
func (n *Node) Status(_ context.Context, at api.AsOf) (api.Status, error) {
	p, err := n.at(at)
	if err != nil {
		return api.Status{}, err
	}
	s := api.Status{
		Head: p.headOf(), Status: api.StatusWord(p.verdict.Status), Reasons: append([]string{}, p.verdict.Reasons...),
		Control: n.controlLines(p), Rails: []api.Rail{}, Inputs: []api.Input{}, Breaks: len(p.breaks), Version: Version,
		Journal: api.JournalHead{Seq: p.head.Size, Head: "0x" + hex.EncodeToString(p.head.Hash[:])},
	}
	for i, to := range []*api.ReserveSummary{&s.Reserves.Customer, &s.Reserves.PAB} {
		if i < len(p.statements) {
			*to = summary(p, i)
		}
	}
	for _, a := range p.alerts.Open() {
		count := map[alert.Severity]*int{alert.Critical: &s.Alerts.Critical, alert.Warning: &s.Alerts.Warning, alert.Info: &s.Alerts.Info}
		*count[a.Severity]++
	}
	for _, name := range slices.Sorted(maps.Keys(p.inputs)) {
		in := p.inputs[name]
		s.Inputs = append(s.Inputs, api.Input{
			Source: name, AsOf: in.asOf, AgeSeconds: age(p.at, in.asOf), MaxAgeSeconds: int64(in.maxAge / time.Second), Stale: in.stale(name, p.at) != "",
		})
		s.Rails = append(s.Rails, railOf(name, in, p))
	}
	return s, nil
}

func age(now, then time.Time) int64 {
	if then.IsZero() {
		return 0
	}
	return int64(now.Sub(then) / time.Second)
}

func railOf(name string, in input, p *picture) api.Rail {
	r := api.Rail{Name: name, State: api.RailOK, Detail: in.detail}
	why := in.stale(name, p.at)
	switch {
	case p.halted != nil || in.halted:
		r.State = api.RailHalted
	case in.asOf.IsZero() || in.refused != "":
		r.State = api.RailUnknown
	case why != "":
		r.State = api.RailStale
	}
	if why != "" {
		r.Detail = why
	}
	return r
}

func summary(p *picture, i int) api.ReserveSummary {
	s := p.statements[i]
	out := api.ReserveSummary{Required: dollars(s.Required), ComputedAt: p.at.UTC(), DepositDueBy: p.due[i], Eligible: "0.00", Shortfall: "0.00", Excess: "0.00"}
	if s.Funding != nil {
		out.Eligible, out.Shortfall, out.Excess = dollars(s.Funding.Eligible), dollars(s.Funding.MinimumDeposit), dollars(s.Funding.MaximumWithdrawal)
	}
	return out
}

// Reserve is one population's computation.
func (n *Node) Reserve(ctx context.Context, at api.AsOf, population api.Population) (api.Reserve, error) {
	p, err := n.ofLines(ctx, at)
	if err != nil {
		return api.Reserve{}, err
	}
	for i, s := range p.statements {
		if string(s.Params.Population) == string(population) {
			return n.reserveOf(p, i), nil
		}
	}
	return api.Reserve{}, api.Errorf(api.CodeNotFound, "the %s computation could not be made: %v", population, p.verdict.Reasons)
}

func (n *Node) reserveOf(p *picture, i int) api.Reserve {
	s, drivers := p.statements[i], p.drivers[i]
	r := s.Report(cents)
	out := api.Reserve{
		Head: p.headOf(), Population: api.Population(s.Params.Population), ReserveSummary: summary(p, i),
		NetCapitalMethod: string(r.NetCapitalMethod), Frequency: string(r.Frequency), RulePack: r.RulePack,
		DebitReductionRate: r.DebitReductionRate, CoveredByCustomer: r.CustomerExcessDebits, RequiredOnDeposit: r.Required, EligibleOnDeposit: "0.00",
		MinimumDeposit: "0.00", MaximumWithdrawal: "0.00", TotalCredits: r.TotalCredits, AggregateDebitItems: r.AggregateDebitItems, DebitReduction: r.DebitReduction, TotalDebits: r.TotalDebits,
		ExcessCredits: r.ExcessCredits, ExcessDebits: r.ExcessDebits, Deposits: []api.Deposit{}, Ineligible: []api.Ineligible{},
	}
	for _, l := range r.Lines {
		line := api.ReserveLine{Item: l.Item.String(), Caption: l.Caption, Side: string(l.Side), Amount: l.Amount, Citation: l.Citation, Box: l.Box, Drivers: []api.Driver{}}
		for _, d := range drivers {
			if d.Item == l.Item {
				line.Drivers = append(line.Drivers, api.Driver{Item: l.Item.String(), Account: d.Account.String(), Asset: string(d.Asset), Amount: dollars(d.Amount)})
			}
		}
		out.Lines = append(out.Lines, line)
	}
	if s.Funding == nil {
		return out
	}
	out.EligibleOnDeposit = dollars(s.Funding.Eligible)
	out.MinimumDeposit, out.MaximumWithdrawal = dollars(s.Funding.MinimumDeposit), dollars(s.Funding.MaximumWithdrawal)
	for _, d := range s.Funding.Deposits {
		out.Deposits = append(out.Deposits, api.Deposit{Kind: kindOf(d.Asset), Account: d.Account, Asset: d.Asset, Amount: dollars(d.Amount), Counts: dollars(d.Counted)})
	}
	for _, x := range s.Funding.Ineligible {
		out.Ineligible = append(out.Ineligible, api.Ineligible{Asset: x.Asset, Amount: x.Amount, Reason: x.Reason})
	}
	return out
}

func kindOf(asset string) string {
	if asset == "USD" {
		return "cash"
	}
	return "qualified_security"
}

// Alerts lists the open alerts, the most severe first.
func (n *Node) Alerts(_ context.Context, q api.AlertQuery) (api.Page[api.Alert], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.Alert]{}, err
	}
	var items []api.Alert
	for _, a := range p.alerts.Open() {
		if a.Severity >= q.MinSeverity && (q.Kind == "" || q.Kind == a.Kind) {
			items = append(items, api.AlertOf(a))
		}
	}
	return api.Cut(p.headOf(), items, func(a api.Alert) string { return a.ID }, q.ListQuery), nil
}

// Ready lists why the node should not be asked to act now.
func (n *Node) Ready(context.Context) []string {
	p := n.picture.Load()
	if p.halted != nil {
		return []string{p.halted.Error()}
	}
	return p.stale(p.at)
}

// Control lists possession or control by asset.
func (n *Node) Control(ctx context.Context, q api.ListQuery) (api.Page[api.ControlLine], error) {
	p, err := n.ofLines(ctx, q.At)
	if err != nil {
		return api.Page[api.ControlLine]{}, err
	}
	return api.Cut(p.headOf(), n.controlLines(p), func(c api.ControlLine) string { return c.Asset }, q), nil
}

func (n *Node) controlLines(p *picture) []api.ControlLine {
	lines := []api.ControlLine{}
	for _, c := range p.control {
		line := api.ControlLine{
			Asset: string(c.Asset), Symbol: n.symbol(c.Asset), Required: n.whole(c.Asset, c.Required),
			InControl: n.whole(c.Asset, c.InControl), Deficit: n.whole(c.Asset, c.Deficit),
		}
		for _, e := range c.Elsewhere {
			line.Elsewhere = append(line.Elsewhere, api.Location{Control: e.Control.String(), Amount: n.whole(c.Asset, e.Quantity)})
		}
		lines = append(lines, line)
	}
	return lines
}

// Positions lists positions, now or as of any moment.
func (n *Node) Positions(ctx context.Context, q api.PositionQuery) (api.Page[api.Position], error) {
	p := n.picture.Load()
	positions, head := p.positions, p.headOf()
	if !q.At.Now() || !q.Effective.IsZero() {
		var err error
		if positions, head, err = n.positionsAsOf(ctx, q); err != nil {
			return api.Page[api.Position]{}, err
		}
	}
	var items []api.Position
	for _, x := range positions {
		if q.Owner != "" && !ownedBy(x.Account, q.Owner) {
			continue
		}
		if (q.Asset == "" || q.Asset == x.Asset) && (q.Account == "" || q.Account == x.Account.String()) {
			items = append(items, n.positionOf(p, x))
		}
	}
	return api.Cut(head, items, func(x api.Position) string { return x.Account + " " + x.Asset }, q.ListQuery), nil
}

// ownedBy says whether an account is held for an owner as such, and not for a
// counterparty or a place that happens to have the same name.
func ownedBy(a custody.Account, owner string) bool {
	switch a.Type.Owner() {
	case custody.Customer, custody.PAB, custody.NonCustomer, custody.Firm:
		return a.Side() == custody.For && a.Name == owner
	}
	return false
}

func (n *Node) positionOf(p *picture, x custody.Position) api.Position {
	out := api.Position{
		Account: x.Account.String(), Side: x.Account.Side().String(), Type: x.Account.Type.String(), Asset: string(x.Asset),
		Symbol: n.symbol(x.Asset), Settled: n.whole(x.Asset, x.Settled), Pending: n.whole(x.Asset, x.Pending),
	}
	if x.Account.Side() == custody.At {
		out.Control = x.Account.Type.Control().String()
	} else {
		out.Owner = p.ownerName(x.Account.Name)
	}
	return out
}

// Breaks lists the differences between the books and the outside.
func (n *Node) Breaks(_ context.Context, q api.ListQuery) (api.Page[api.Break], error) {
	p, err := n.at(q.At)
	if err != nil {
		return api.Page[api.Break]{}, err
	}
	var items []api.Break
	for _, s := range p.standings {
		items = append(items, n.breakItem(p, s))
	}
	return api.Cut(p.headOf(), items, func(b api.Break) string { return b.ID }, q), nil
}

// Head is the sequence of the journal's last entry.
func (n *Node) Head() uint64 { return n.books.Head().Size }

// errEnough ends a read that has what it wants.
var errEnough = fmt.Errorf("enough")

// Entries returns entries of the journal.
func (n *Node) Entries(ctx context.Context, after uint64, limit int) ([]custody.Entry, error) {
	var entries []custody.Entry
	err := n.books.Entries(ctx, after, func(e custody.Entry) error {
		entries = append(entries, e)
		if len(entries) == limit {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return entries, err
}

// Wait returns when the journal holds an entry after a sequence.
func (n *Node) Wait(ctx context.Context, after uint64) error {
	for {
		grown := n.grown.wait()
		if n.books.Head().Size > after {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// Snapshot is what holds as of the head, as the entries that say so.
func (n *Node) Snapshot(_ context.Context, channel api.Channel) ([]custody.Entry, uint64, error) {
	p := n.picture.Load()
	switch channel {
	case api.ChannelAlerts:
		return p.alerts.Entries(), p.head.Size, nil
	case api.ChannelReserve:
		latest := slices.Collect(maps.Values(p.computed))
		slices.SortFunc(latest, func(a, b custody.Entry) int { return int(int64(a.Seq) - int64(b.Seq)) })
		return latest, p.head.Size, nil
	}
	return nil, p.head.Size, nil
}
