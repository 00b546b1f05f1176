package node

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"goodcontrol/chainwatch"
	"goodcontrol/custody"
	"goodcontrol/custody/settle"
	"goodcontrol/node/alert"
	"goodcontrol/node/api"
	"goodcontrol/reserve"
)

// kindComputed is the kind of entry that keeps a reserve computation whose figures
// are new: every computation made is a record (15c3-3(e)(3)(vi)).
const kindComputed = "reserve.computed"

// computation is the body of such an entry.
type computation struct {
	Population reserve.Population `json:"population"`
	Result     reserve.Result     `json:"result"`
	Drivers    []reserve.Driver   `json:"drivers"`
}

// computed is the latest computation of each population.
type computed map[reserve.Population]custody.Entry

func (c computed) apply(e custody.Entry) error {
	if e.Kind != kindComputed {
		return nil
	}
	f, err := custody.Fact[computation](e)
	c[f.Population] = e
	return err
}

// cents is the precision in which dollars are told.
const cents = 2

// tell makes the entries for what is new in the picture: computations, and alerts
// that open, change or close.
func (n *Node) tell(p *picture) ([]custody.Entry, error) {
	var told []custody.Entry
	if last := n.picture.Load(); last == nil || !sameLines(last.statements, p.statements) {
		for i, s := range p.statements {
			e, err := custody.FactEntry(kindComputed, custody.Ref(fmt.Sprintf("computed/%s/%d", s.Params.Population, n.books.Head().Size)), "reserve", p.at.UTC(),
				computation{Population: s.Params.Population, Result: s.Report(cents), Drivers: p.drivers[i]})
			if err != nil {
				return nil, err
			}
			told = append(told, e)
		}
	}
	events, err := n.fold.alerts.Diff(alert.Picture{
		At: p.at.UTC(), Seq: n.books.Head().Size, Conditions: n.conditions(p),
		Proof: func(a alert.Alert) any {
			if a.Key == statusKey {
				return p.verdict
			}
			if id, is := strings.CutPrefix(a.Key, breakKey); is {
				return n.settledBreak(id)
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	for _, v := range events {
		e, err := v.Entry("node")
		if err != nil {
			return nil, err
		}
		told = append(told, e)
	}
	return told, nil
}

// conditions is everything that holds now and that a person has to know of.
func (n *Node) conditions(p *picture) []alert.Condition {
	all := n.quorum.conditions()
	if p.verdict.Status != reserve.Compliant {
		all = append(all, statusOf(p))
	}
	for i, s := range p.statements {
		all = append(all, n.reserveConditions(p, s, p.drivers[i])...)
	}
	all = append(append(all, n.capitalConditions(p)...), n.actionConditions(p)...)
	for _, c := range p.control {
		if c.Deficit.Sign() > 0 {
			all = append(all, n.deficit(p, c))
		}
	}
	for _, s := range p.standings {
		all = append(all, n.breakOf(s))
	}
	if len(n.missed) > 0 {
		all = append(all, alert.Condition{Key: "recon.sweep", Kind: alert.ReconBreak, Severity: alert.Critical, Latched: true, Data: map[string]any{"missed": n.missed}})
	}
	for _, x := range append(n.withdrawalsWaiting(p), n.adjustmentsWaiting(p)...) {
		all = append(all, waiting(x))
	}
	all = append(all, n.fold.failed.conditions(n, p.withdrawals)...)
	for _, out := range p.unauthorized {
		all = append(all, n.unauthorized(out))
	}
	for id, c := range n.chains {
		all = append(all, c.cordons()...)
		if v, is := c.violation(); is {
			all = append(all, v)
		}
		if d := c.follower.Health().Disagreement; d != nil && d.Until.IsZero() {
			all = append(all, alert.Condition{
				Key: "chain.endpoint_disagreement/" + id, Kind: alert.EndpointDisagreement, Since: d.Since,
				Data: map[string]any{"chain": id, "height": d.Height, "claims": d.Claims}, Matters: d.Height,
			})
		}
	}
	for id, reorg := range n.reorgs {
		if n.chains[id].follower.Health().Final.Number < reorg.Old.Number {
			all = append(all, reorgOf(id, reorg))
		}
	}
	all = append(append(all, n.fold.heard.gaps()...), n.fold.wires.conditions(p.at)...)
	for name, in := range p.inputs {
		if why := in.stale(name, p.at); why != "" {
			all = append(all, alert.Condition{
				Key: "input.stale/" + name, Kind: alert.InputStale,
				Data: map[string]string{"input": name, "why": why}, Matters: name,
			})
		}
	}
	return all
}

const statusKey = "status"

// statusOf tells that the status is not COMPLIANT. That the word changed is the
// news; it closes, with the new word as its proof, when it is COMPLIANT again.
func statusOf(p *picture) alert.Condition {
	return alert.Condition{Key: statusKey, Kind: alert.StatusChanged, Severity: alert.Warning, Data: p.verdict, Matters: p.verdict.Status}
}

func (n *Node) reserveConditions(p *picture, s reserve.Statement, drivers []reserve.Driver) []alert.Condition {
	var all []alert.Condition
	from, to := n.wireAccounts(s.Params.Population)
	if short, is := reserve.ShortfallOf(s, drivers, p.at, from, to); is {
		short.Deadline = n.fold.dueSince(s)
		short.SecondsLeft = int64(short.Deadline.Sub(p.at) / time.Second)
		all = append(all, alert.Condition{
			Key: shortfallKey(s), Kind: alert.ReserveShortfall, Deadline: short.Deadline,
			Data: short, Matters: []string{short.Required, short.Eligible, short.Deadline.Format(time.RFC3339)},
		})
		if p.at.After(short.Deadline) {
			all = append(all, overdue(s, short))
		}
	}
	if s.Funding == nil {
		return all
	}
	for _, x := range s.Funding.Ineligible {
		if a, ok := n.lookup(custody.AssetID(x.Asset)); ok && a.Class.Digital() {
			all = append(all, alert.Condition{
				Key:  fmt.Sprintf("reserve.ineligible_asset/%s/%s", s.Params.Population, x.Asset),
				Kind: alert.IneligibleAsset,
				Data: map[string]string{"population": string(s.Params.Population), "asset": x.Asset, "symbol": a.Symbol, "amount": x.Amount, "counted": "0", "reason": x.Reason},
			})
		}
	}
	return all
}

func shortfallKey(s reserve.Statement) string {
	return "reserve.shortfall/" + string(s.Params.Population)
}

// dueSince is when the deposit for a shortfall is due. One that stands since an
// earlier day is due when it was due then: a later computation does not move it.
func (f *fold) dueSince(s reserve.Statement) time.Time {
	for _, a := range f.alerts.Open() {
		var before reserve.Shortfall
		if a.Key != shortfallKey(s) || json.Unmarshal(a.Data, &before) != nil {
			continue
		}
		if before.Deadline.Before(s.Deadline.Due) {
			return before.Deadline
		}
	}
	return s.Deadline.Due
}

// overdue tells that a deposit was not made in time: there is no cure period, and
// notice is due at once.
func overdue(s reserve.Statement, short reserve.Shortfall) alert.Condition {
	return alert.Condition{
		Key: "reserve.deposit_overdue/" + string(s.Params.Population), Kind: alert.DepositOverdue, Since: short.Deadline,
		Data: map[string]string{
			"population": string(s.Params.Population), "shortfall": short.Shortfall, "deadline": short.Deadline.Format(time.RFC3339),
			"notice": "immediately to the Commission and the examining authority, confirmed in writing", "citation": "17 CFR 240.15c3-3(i)",
		}, Matters: short.Deadline.Format(time.RFC3339),
	}
}

// wireAccounts are the account that could pay a deposit and the one it would go to,
// where there is exactly one of each.
func (n *Node) wireAccounts(population reserve.Population) (from, to string) {
	want := custody.ReserveCustomer
	if population == reserve.PABAccounts {
		want = custody.ReservePAB
	}
	for _, l := range n.config.Locations {
		switch l.Type {
		case custody.BankOperating:
			from = string(l.Place)
		case want:
			to = string(l.Place)
		}
	}
	return from, to
}

func (n *Node) deficit(p *picture, c reserve.SecurityControl) alert.Condition {
	data := struct {
		Asset     custody.AssetID      `json:"asset"`
		Symbol    string               `json:"symbol"`
		Class     reserve.ControlClass `json:"class"`
		Required  string               `json:"required"`
		InControl string               `json:"in_control"`
		Deficit   string               `json:"deficit"`
		Elsewhere map[string]string    `json:"elsewhere"`
		Unproven  string               `json:"unproven"`
		Reasons   []string             `json:"reasons,omitempty"`
		Actions   []reserve.Action     `json:"actions"`
	}{
		c.Asset, n.symbol(c.Asset), c.Class, n.whole(c.Asset, c.Required), n.whole(c.Asset, c.InControl), n.whole(c.Asset, c.Deficit), map[string]string{},
		n.whole(c.Asset, c.Unproven), c.Reasons, p.actionsOf(c.Asset),
	}
	for _, e := range c.Elsewhere {
		data.Elsewhere[e.Control.String()] = n.whole(c.Asset, e.Quantity)
	}
	return alert.Condition{Key: "control.deficit/" + string(c.Asset), Kind: alert.ControlDeficit, Data: data}
}

// waiting tells that something waits for a person's approval.
func waiting(x api.Approval) alert.Condition {
	return alert.Condition{
		Key: "approval.waiting/" + x.ID, Kind: alert.ApprovalWaiting, Since: x.Since,
		Data: map[string]any{"id": x.ID, "kind": x.Kind, "summary": x.Summary, "hash": x.Hash, "needed": x.Needed, "have": x.Have}, Matters: len(x.Have),
	}
}

func outflowKey(o settle.Outflow) string { return "chain.unauthorized_outflow/" + string(o.Ref) }

// unauthorized tells an outflow that no intent explains. It holds until two people
// have dealt with it.
func (n *Node) unauthorized(o settle.Outflow) alert.Condition {
	return alert.Condition{
		Key: outflowKey(o), Kind: alert.UnauthorizedOutflow, Since: o.Observation.Effective, Latched: true,
		Data: map[string]any{
			"class": o.Class, "by": o.Observation.By, "wallet": o.Wallet, "from": o.Observation.From, "to": o.Observation.To, "asset": o.Observation.Asset,
			"symbol": n.symbol(o.Observation.Asset), "amount": n.whole(o.Observation.Asset, o.Observation.Amount),
			"tx": o.Observation.Evidence.Tx, "block": o.Observation.Evidence.Block, "why": o.Why,
		},
	}
}

// recall takes from the open alerts what only a source can tell of and none has told
// of yet, so that a restart does not close what still holds.
func (n *Node) recall() {
	n.quorum.down = map[string]string{}
	for _, a := range n.fold.alerts.Open() {
		var data struct {
			Chain      string
			Depth      uint64
			Old, New   chainwatch.BlockID
			Party, Why string
			Needed     int
		}
		if json.Unmarshal(a.Data, &data) != nil {
			continue // of another kind, with data of another form
		}
		switch {
		case a.Kind == alert.Reorg && n.chains[data.Chain] != nil:
			n.reorgs[data.Chain] = chainwatch.Reorg{Depth: data.Depth, Old: data.Old, New: data.New}
		case a.Kind == alert.PartyDown:
			n.quorum.down[data.Party] = data.Why
		case a.Kind == alert.QuorumLost:
			n.quorum.threshold = data.Needed
		}
	}
}

// reorgOf tells that a chain took blocks back. It holds until the chain is final
// beyond them.
func reorgOf(chain string, r chainwatch.Reorg) alert.Condition {
	return alert.Condition{
		Key: "chain.reorg/" + chain, Kind: alert.Reorg,
		Data: map[string]any{"chain": chain, "depth": r.Depth, "old": r.Old, "new": r.New}, Matters: r.Old.Hash,
	}
}

// publish lets readers see the picture, and wakes those who follow the journal.
func (n *Node) publish(p *picture) {
	n.heed()
	p.head = n.books.Head()
	p.alerts = n.fold.alerts.Clone()
	p.reports = n.fold.reports
	p.computed = computed{}
	for k, v := range n.fold.computed {
		p.computed[k] = v
	}
	n.picture.Store(p)
	n.grown.wake()
}

// halt publishes that posting has stopped: what is known stays readable, and the
// word is UNKNOWN from then on.
func (n *Node) halt(why error) {
	last := *n.picture.Load()
	last.halted = why
	last.verdict = reserve.Verdict{Status: reserve.Unknown, Reasons: append([]string{why.Error()}, last.verdict.Reasons...)}
	n.picture.Store(&last)
}
