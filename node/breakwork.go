package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"goodcontrol/custody"
	"goodcontrol/custody/recon"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
	"goodcontrol/reserve"
)

// openBreak finds a break that is open, as the books stand now.
func (f *fold) openBreak(id string) (custody.Break, error) {
	if _, err := f.matcher.Look(); err != nil {
		return custody.Break{}, err
	}
	for _, b := range f.matcher.Breaks() {
		if b.ID == id {
			return b, nil
		}
	}
	return custody.Break{}, api.Errorf(api.CodeNotFound, "break %q is not open", id)
}

func (n *Node) explainBreak(c api.ExplainBreak) decision {
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		if _, err := f.openBreak(c.ID); err != nil {
			return "", nil, err
		}
		if !slices.Contains(custody.Causes(), c.Cause) {
			return "", nil, api.Errorf(api.CodeInvalid, "cause %q, expected one of %q", c.Cause, custody.Causes())
		}
		if !c.Until.IsZero() && !c.Until.After(now) {
			return "", nil, api.Errorf(api.CodeInvalid, "until %s has passed", c.Until.Format(time.RFC3339))
		}
		return record(kindExplained, fmt.Sprintf("break/%d", f.cases.n), c.ID, c.By, now,
			explanation{Break: c.ID, By: c.By, At: now, Cause: c.Cause, Note: c.Note, Until: c.Until.UTC()})
	}
}

func (n *Node) escalateBreak(c api.EscalateBreak) decision {
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		if _, err := f.openBreak(c.ID); err != nil {
			return "", nil, err
		}
		to := reserve.Stage(c.To)
		for _, e := range f.cases.of[c.ID].escalations {
			if !to.After(e.To) {
				return "", nil, api.Errorf(api.CodeConflict, "break %s is with %s since %s, by %s", c.ID, e.To, e.At.Format(time.RFC3339), e.By)
			}
		}
		return record(kindEscalated, fmt.Sprintf("break/%d", f.cases.n), c.ID, c.By, now, escalated{Break: c.ID, By: c.By, At: now, To: to, Note: c.Note})
	}
}

// adjustBreak proposes to bring the books to what the outside says. Nothing moves
// before checkers have approved the hash of the entry that would be posted.
func (n *Node) adjustBreak(ctx context.Context, c api.AdjustBreak) (decision, error) {
	policy := n.policy.Load()
	if policy == nil {
		return nil, api.Errorf(api.CodeRefused, "no policy is configured, and so nobody could check an adjustment")
	}
	if !policy.May(c.By, wallet.Maker) {
		return nil, api.Errorf(api.CodeRefused, "%q is no maker of policy %d", c.By, policy.Version)
	}
	if (c.Reverses == "") == (c.Counter == "") {
		return nil, api.Errorf(api.CodeInvalid, "expected either counter and amount, or reverses")
	}
	return func(f *fold, now time.Time) (string, []custody.Entry, error) {
		b, err := f.openBreak(c.ID)
		if err != nil {
			return "", nil, err
		}
		x := proposed{
			ID: fmt.Sprintf("adjustment-%d", f.cases.n), Break: c.ID, By: c.By, At: now.Truncate(time.Millisecond), Reason: c.Reason,
			Asset: b.Asset, Reverses: c.Reverses,
		}
		if c.Reverses == "" {
			if x.Account = b.Account; x.Account == (custody.Account{}) {
				x.Account, _ = f.settle.AccountAt(b.Place, b.Asset)
			}
			if x.Counter, err = custody.ParseAccount(c.Counter); err != nil {
				return "", nil, api.Errorf(api.CodeInvalid, "counter: %w", err)
			}
			listed, _ := f.settle.Master().Asset(b.Asset)
			if x.Amount, err = custody.AmountFromDecimal(c.Amount, listed.Scale); err != nil {
				return "", nil, api.Errorf(api.CodeInvalid, "%s: %v", b.Asset, err)
			}
		}
		e, err := n.adjustment(ctx, f, x)
		if err != nil {
			return "", nil, err
		}
		x.Hash = hashText(e)
		return record(kindProposed, fmt.Sprintf("break/%d", f.cases.n), x.ID, c.By, now, x)
	}, nil
}

// adjustment makes the entry of a proposal in the state it finds, if it fits the
// break still. Its content hash is what checkers approve.
func (n *Node) adjustment(ctx context.Context, f *fold, x proposed) (custody.Entry, error) {
	b, err := f.openBreak(x.Break)
	if err != nil {
		return custody.Entry{}, err
	}
	body := x
	body.Hash = "" // it is the hash of this
	e, err := custody.FactEntry(recon.KindAdjusted, custody.Ref("adjusted/"+x.ID), x.By, x.At, body)
	if err != nil {
		return custody.Entry{}, err
	}
	if x.Reverses != "" {
		before, found, err := n.books.EntryByRef(ctx, x.Reverses)
		if err != nil {
			return custody.Entry{}, err
		}
		if !found || before.Kind != recon.KindAdjusted || before.Reverses != "" || !touches(before, b) {
			return custody.Entry{}, api.Errorf(api.CodeInvalid, "reverses %q: expected an adjustment of %s at %s", x.Reverses, b.Asset, b.Place)
		}
		e.Reverses = x.Reverses
		for _, l := range before.Legs {
			l.Amount = l.Amount.Neg()
			e.Legs = append(e.Legs, l)
		}
		return e, nil
	}
	most := b.Unexplained()
	if b.Account != (custody.Account{}) {
		most = b.Difference // what is in transit or in suspense is explained, and there all the same
	}
	if x.Amount.Sign() != most.Sign() || magnitude(x.Amount).Cmp(magnitude(most)) > 0 {
		return custody.Entry{}, api.Errorf(api.CodeConflict, "an adjustment by %s of a difference of which %s is open: expected no more, in the same direction", n.whole(x.Asset, x.Amount), n.whole(x.Asset, most))
	}
	if e, err = f.settle.Adjust(e, x.Account, x.Asset, x.Amount, x.Counter); err != nil {
		return custody.Entry{}, api.Errorf(api.CodeInvalid, "%v", err)
	}
	return e, nil
}

func touches(e custody.Entry, b custody.Break) bool {
	return slices.ContainsFunc(e.Legs, func(l custody.Leg) bool { return l.Account.Name == string(b.Place) && l.Asset == b.Asset })
}

func magnitude(a custody.Amount) custody.Amount {
	if a.Sign() < 0 {
		return a.Neg()
	}
	return a
}

// approveAdjustment takes a checker's signature over the hash of the entry that
// would be posted. With the last one that the policy asks for it is posted.
func (n *Node) approveAdjustment(ctx context.Context, f *fold, c api.Approve, now time.Time) (string, []custody.Entry, error) {
	x := f.cases.proposals[f.cases.find(c.ID)]
	policy := n.policy.Load()
	hash, err := hex.DecodeString(strings.TrimPrefix(x.Hash, "0x"))
	switch {
	case err != nil || len(hash) != 32:
		return "", nil, fmt.Errorf("adjustment %s has the hash %q", x.ID, x.Hash)
	case c.Hash != x.Hash:
		return "", nil, api.Errorf(api.CodeHashMismatch, "the adjustment's hash is %s, not %s", x.Hash, c.Hash)
	case c.Approver == x.By:
		return "", nil, api.Errorf(api.CodeRefused, "%s proposed it: it is for another person to check", c.Approver)
	case !policy.May(c.Approver, wallet.Checker):
		return "", nil, api.Errorf(api.CodeRefused, "%q is no checker of policy %d", c.Approver, policy.Version)
	case !policy.Signed(c.Approver, [32]byte(hash), c.Signature):
		return "", nil, api.Errorf(api.CodeBadSignature, "the signature is not one of %q over %s", c.Approver, c.Hash)
	case slices.ContainsFunc(x.have, func(a api.Approver) bool { return a.Person == c.Approver }):
		return "", nil, api.Errorf(api.CodeConflict, "%s has approved already", c.Approver)
	}
	e, err := n.adjustment(ctx, f, x.proposed)
	if err != nil {
		return "", nil, err
	}
	if hashText(e) != x.Hash {
		return "", nil, api.Errorf(api.CodeHashMismatch, "what would be posted now is %s, not what was proposed", hashText(e))
	}
	_, entries, err := record(kindApproved, "approved/"+x.ID+"/"+c.Approver, x.ID, c.Approver, now,
		adjustmentApproved{ID: x.ID, Person: c.Approver, At: now, Signature: c.Signature})
	if err != nil || len(x.have)+1 < policy.Checkers {
		return x.ID, entries, err
	}
	for _, a := range x.have {
		e.Approvals = append(e.Approvals, a.Person)
	}
	e.Approvals = append(e.Approvals, c.Approver)
	return x.ID, append(entries, e), nil
}
