package node

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/recon"
	"goodcontrol/node/alert"
	"goodcontrol/node/api"
	"goodcontrol/reserve"
)

// The kinds of entry by which people deal with a break. An adjustment that enough
// people have approved is of kind [recon.KindAdjusted], and the only one with legs.
const (
	kindExplained = "break.explained"
	kindEscalated = "break.escalated"
	kindProposed  = "break.adjustment.proposed"
	kindApproved  = "break.adjustment.approved"
)

// explanation is what a person says a break comes from. It is their word: it neither
// moves an amount nor makes the status better.
type explanation struct {
	Break string        `json:"break"`
	By    string        `json:"by"`
	At    time.Time     `json:"at"`
	Cause custody.Cause `json:"cause"`
	Note  string        `json:"note"`
	Until time.Time     `json:"until,omitzero"`
}

// escalated is that a person handed a break on.
type escalated struct {
	Break string        `json:"break"`
	By    string        `json:"by"`
	At    time.Time     `json:"at"`
	To    reserve.Stage `json:"to"`
	Note  string        `json:"note"`
}

// proposed is an adjustment that a maker proposes.
type proposed struct {
	ID       string          `json:"id"`
	Break    string          `json:"break"`
	By       string          `json:"by"`
	At       time.Time       `json:"at"`
	Reason   string          `json:"reason"`
	Asset    custody.AssetID `json:"asset"`
	Account  custody.Account `json:"account,omitzero"`
	Counter  custody.Account `json:"counter,omitzero"`
	Amount   custody.Amount  `json:"amount,omitzero"`
	Reverses custody.Ref     `json:"reverses,omitempty"`
	// Hash is the content hash of the entry that will be posted.
	Hash string `json:"hash"`
}

// adjustmentApproved is that a checker approved an adjustment.
type adjustmentApproved struct {
	ID        string    `json:"id"`
	Person    string    `json:"person"`
	At        time.Time `json:"at"`
	Signature []byte    `json:"signature"`
}

// breakCase is what people have done about an open break.
type breakCase struct {
	explanations []explanation
	escalations  []escalated
}

// proposal is an adjustment that waits for checkers.
type proposal struct {
	proposed
	have []api.Approver
}

// cases is what people have done about the breaks that are open: a fold of the
// journal. A break that closes takes its case with it; the journal keeps it.
type cases struct {
	of        map[string]breakCase
	proposals []proposal
	n         int // entries folded, for their names
}

func newCases() *cases { return &cases{of: map[string]breakCase{}} }

// apply folds what people do.
func (c *cases) apply(e custody.Entry) error {
	switch e.Kind {
	case kindExplained:
		f, err := custody.Fact[explanation](e)
		if err != nil {
			return err
		}
		k := c.of[f.Break]
		k.explanations = append(slices.Clone(k.explanations), f)
		c.of[f.Break] = k
	case kindEscalated:
		f, err := custody.Fact[escalated](e)
		if err != nil {
			return err
		}
		k := c.of[f.Break]
		k.escalations = append(slices.Clone(k.escalations), f)
		c.of[f.Break] = k
	case kindProposed:
		f, err := custody.Fact[proposed](e)
		if err != nil {
			return err
		}
		c.proposals = append(slices.Clone(c.proposals), proposal{proposed: f})
	case kindApproved:
		f, err := custody.Fact[adjustmentApproved](e)
		if err != nil {
			return err
		}
		c.proposals = slices.Clone(c.proposals)
		if i := c.find(f.ID); i >= 0 {
			c.proposals[i].have = append(slices.Clone(c.proposals[i].have), api.Approver{Person: f.Person, At: f.At})
		}
	case recon.KindAdjusted:
		f, err := custody.Fact[proposed](e)
		if err != nil {
			return err
		}
		c.proposals = slices.DeleteFunc(slices.Clone(c.proposals), func(p proposal) bool { return p.ID == f.ID })
	default:
		return nil
	}
	c.n++
	return nil
}

// settle folds that a break has closed.
func (c *cases) settle(e custody.Entry) error {
	if e.Kind != "alert.closed" {
		return nil
	}
	v, err := alert.EventOf(e)
	id, is := strings.CutPrefix(v.Key, breakKey)
	if err != nil || !is {
		return err
	}
	delete(c.of, id)
	c.proposals = slices.DeleteFunc(slices.Clone(c.proposals), func(p proposal) bool { return p.Break == id })
	return nil
}

func (c *cases) find(id string) int {
	return slices.IndexFunc(c.proposals, func(p proposal) bool { return p.ID == id })
}

// standing is a break with what the rule and people say of it.
type standing struct {
	custody.Break
	clock reserve.ExceptionClock
	due   time.Time
	stage reserve.Stage
	breakCase
	proposals []proposal
}

// stand says of each break what the rule wants done, by when, and by whom.
func (n *Node) stand(breaks []custody.Break, now time.Time) ([]standing, error) {
	if len(breaks) == 0 {
		return nil, nil
	}
	place := n.rule.Schedule.Place
	today := reserve.DateOf(now, place)
	pack, err := n.rules.At(today)
	if err != nil {
		return nil, err
	}
	all := make([]standing, len(breaks))
	for i, b := range breaks {
		listed, _ := n.lookup(b.Asset) // what is not listed has no class
		x := reserve.Exception{Account: b.Account.Type, Class: listed.Class, Short: b.Difference.Sign() < 0, Since: reserve.DateOf(b.FirstSeen, place)}
		if b.Account == (custody.Account{}) {
			account, _ := n.fold.settle.AccountAt(b.Place, b.Asset)
			x.Account, b.Account = account.Type, account
		}
		s := standing{Break: b, clock: n.rules.Calendars.Exception(x, pack), breakCase: n.fold.cases.of[b.ID]}
		s.due = (s.clock.Due + 1).At(0, place)
		s.stage = n.rules.Calendars.Stage(x.Since, s.clock.Due, today)
		for _, e := range s.escalations {
			if e.To.After(s.stage) {
				s.stage = e.To
			}
		}
		for _, p := range n.fold.cases.proposals {
			if p.Break == b.ID {
				s.proposals = append(s.proposals, p)
			}
		}
		all[i] = s
	}
	return all, nil
}

// cause is what a person says it comes from, or what is found likeliest.
func (s standing) cause() custody.Cause {
	if n := len(s.explanations); n > 0 {
		return s.explanations[n-1].Cause
	}
	return s.Cause
}

// breakOf tells a break. What is wholly explained is told too, but calmly, until
// its clock has nearly run out.
func (n *Node) breakOf(s standing) alert.Condition {
	b := s.Break
	severity := alert.Warning
	if b.Unexplained().IsZero() {
		severity = alert.Info
	}
	data := map[string]any{
		"id": b.ID, "place": b.Place, "account": b.Account.String(), "asset": b.Asset, "symbol": n.symbol(b.Asset),
		"books": n.whole(b.Asset, b.Books), "outside": n.whole(b.Asset, b.Outside), "difference": n.whole(b.Asset, b.Difference),
		"explained": n.whole(b.Asset, b.Explained), "unexplained": n.whole(b.Asset, b.Unexplained()), "cause": s.cause(),
		"first_seen": b.FirstSeen.UTC(), "expected_source": b.ExpectedSource, "affects_reserve": b.AffectsReserve,
		"effect": s.clock.Effect, "deadline": s.due.Format(time.RFC3339), "citation": s.clock.Citation, "stage": s.stage, "next_step": s.clock.Step,
	}
	if len(s.explanations) > 0 {
		data["explanation"] = explanationOf(s.explanations[len(s.explanations)-1])
	}
	return alert.Condition{Key: breakKey + b.ID, Kind: alert.ReconBreak, Severity: severity, Since: b.FirstSeen, Deadline: s.due, Data: data}
}

// settledBreak is the proof that a break is no more: what the books and the outside
// say now.
func (n *Node) settledBreak(id string) any {
	place, asset, ok := strings.Cut(id, "/")
	if i := strings.LastIndex(id, "/"); ok && !custody.AssetID(asset).OnChain() {
		place, asset = id[:i], id[i+1:]
	}
	h, known := n.fold.settle.Holding(custody.Place(place), custody.AssetID(asset))
	if !known {
		return nil
	}
	return map[string]any{"place": h.Place, "asset": h.Asset, "outside": n.whole(h.Asset, h.Amount), "as_of": h.AsOf.UTC(), "source": h.Source, "evidence": h.Evidence}
}

func explanationOf(e explanation) api.BreakExplanation {
	return api.BreakExplanation{By: e.By, At: e.At, Cause: e.Cause, Note: e.Note, Until: e.Until}
}

// breakItem is the wire form of a break.
func (n *Node) breakItem(p *picture, s standing) api.Break {
	b := s.Break
	out := api.Break{
		ID: b.ID, Place: b.Place, Asset: string(b.Asset), Symbol: n.symbol(b.Asset), Books: n.whole(b.Asset, b.Books),
		Outside: n.whole(b.Asset, b.Outside), Difference: n.whole(b.Asset, b.Difference), Explained: n.whole(b.Asset, b.Explained),
		Unexplained: n.whole(b.Asset, b.Unexplained()), Cause: s.cause(), FirstSeen: b.FirstSeen.UTC(), AgeSeconds: age(p.at, b.FirstSeen),
		ExpectedSource: b.ExpectedSource, AffectsReserve: b.AffectsReserve, Evidence: b.Evidence, Deadline: s.due,
		Account: b.Account.String(), Effect: s.clock.Effect, Citation: s.clock.Citation, Stage: string(s.stage), NextStep: s.clock.Step, Runbook: alert.ReconBreak.Runbook(),
		Explanations: []api.BreakExplanation{}, Escalations: []api.Escalation{}, Adjustments: []api.Adjustment{},
	}
	for _, e := range s.explanations {
		out.Explanations = append(out.Explanations, explanationOf(e))
	}
	for _, e := range s.escalations {
		out.Escalations = append(out.Escalations, api.Escalation{By: e.By, At: e.At, To: string(e.To), Note: e.Note})
	}
	for _, x := range s.proposals {
		out.Adjustments = append(out.Adjustments, api.Adjustment{
			ID: x.ID, By: x.By, At: x.At, Counter: accountText(x.Counter), Amount: n.whole(x.Asset, x.Amount), Reverses: x.Reverses,
			Reason: x.Reason, Hash: x.Hash, Approvals: append([]api.Approver{}, x.have...),
		})
	}
	return out
}

func accountText(a custody.Account) string {
	if a == (custody.Account{}) {
		return ""
	}
	return a.String()
}

// adjustmentsWaiting are the adjustments that wait for a checker.
func (n *Node) adjustmentsWaiting(p *picture) []api.Approval {
	var all []api.Approval
	for _, s := range p.standings {
		for _, x := range s.proposals {
			summary := fmt.Sprintf("change %s by %s %s against %s: %s", x.Account, n.whole(x.Asset, x.Amount), n.symbol(x.Asset), x.Counter, x.Reason)
			if x.Reverses != "" {
				summary = fmt.Sprintf("reverse %s: %s", x.Reverses, x.Reason)
			}
			all = append(all, api.Approval{ID: x.ID, Kind: "adjustment", Summary: summary, Hash: x.Hash, Needed: n.checkers(), Have: append([]api.Approver{}, x.have...), Since: x.At})
		}
	}
	return all
}

// checkers is how many checkers the policy asks for, 0 without one.
func (n *Node) checkers() int {
	if p := n.policy.Load(); p != nil {
		return p.Checkers
	}
	return 0
}

func hashText(e custody.Entry) string {
	h := e.ContentHash()
	return "0x" + hex.EncodeToString(h[:])
}
