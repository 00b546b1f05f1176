package node_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/api"
)

// theBreak waits until there is one break, and returns it.
func (w *world) theBreak() api.Break {
	w.Helper()
	return until(w, "/v1/breaks", "one break", func(p api.Page[api.Break]) bool { return len(p.Items) == 1 }).Items[0]
}

func (w *world) noBreak() {
	w.Helper()
	until(w, "/v1/breaks", "no break", func(p api.Page[api.Break]) bool { return len(p.Items) == 0 })
}

// signed is a person's approval of a hash.
func (w *world) signed(who, hash string) m {
	w.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(hash, "0x"))
	w.ok(err)
	return m{"person": who, "hash": hash, "signature": base64.StdEncoding.EncodeToString(ed25519.Sign(w.people[who], b))}
}

// TestBreakIsAdjusted is the life of a break that a person ends: explained, handed
// on, adjusted by two people; and the adjustment reversed when it was wrong.
func TestBreakIsAdjusted(t *testing.T) {
	w := opened(t)
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(500))) // nobody said so: twice what the books have
	w.deliver(w.securities())
	b := w.theBreak()
	if b.Cause != custody.CauseCorporateAction || b.Unexplained != "500" || b.Stage != "settlement" || b.Deadline.IsZero() || b.Runbook == "" ||
		b.NextStep == "" || b.Effect == "" || b.Citation == "" || b.Account != "at:dtc.free:"+dtcPlace {
		t.Errorf("break %+v", b)
	}
	w.status(api.UnknownStatus, "differ")
	path := "/v1/breaks/" + b.ID // as it is, with its slashes
	w.refused("invalid", "", path+"/explain", m{"by": "olga", "cause": "weather", "note": "rain"})
	w.refused(api.CodeNotFound, "not open", "/v1/breaks/elsewhere/explain", m{"by": "olga", "cause": "fee", "note": "?"})
	w.post(path+"/explain", m{"by": "olga", "cause": "corporate_action", "note": "2:1 split, ex today"})
	w.status(api.UnknownStatus, "differ") // a word explains nothing away
	w.post(path+"/escalate", m{"by": "olga", "to": "break_management", "note": "not in the calendar"})
	w.refused(api.CodeConflict, "is with break_management", path+"/escalate", m{"by": "mia", "to": "break_management", "note": "again"})
	if b = w.theBreak(); b.Stage != "break_management" || len(b.Explanations) != 1 || b.Explanations[0].By != "olga" || b.Escalations[0].To != "break_management" {
		t.Errorf("break %+v", b)
	}

	for _, r := range []struct {
		code  api.Code
		words string
		body  m
	}{
		{api.CodeRefused, "no maker", m{"by": "olga", "counter": "for:firm:firm", "amount": "500", "reason": "split"}},
		{api.CodeConflict, "expected no more", m{"by": "max", "counter": "for:firm:firm", "amount": "501", "reason": "split"}},
		{api.CodeConflict, "same direction", m{"by": "max", "counter": "for:firm:firm", "amount": "-500", "reason": "split"}},
		{api.CodeInvalid, "never opened", m{"by": "max", "counter": "for:customer.cash:nobody", "amount": "500", "reason": "split"}},
		{api.CodeInvalid, "account", m{"by": "max", "counter": "firm", "amount": "500", "reason": "split"}},
		{api.CodeInvalid, "either", m{"by": "max", "reason": "split"}},
		{api.CodeInvalid, "expected an adjustment", m{"by": "max", "reverses": "owner/firm", "reason": "split"}},
	} {
		w.refused(r.code, r.words, path+"/adjust", r.body)
	}
	id := w.post(path+"/adjust", m{"by": "max", "counter": "for:firm:firm", "amount": "500", "reason": "split of the firm's own"})
	waiting := until(w, "/v1/approvals", "the adjustment", func(p api.Page[api.Approval]) bool { return len(p.Items) == 1 }).Items[0]
	if waiting.ID != id || waiting.Kind != "adjustment" || w.theBreak().Adjustments[0].Hash != waiting.Hash {
		t.Errorf("waiting %+v", waiting)
	}
	if _, open := w.alerts()["approval.waiting/"+id]; !open {
		t.Error("nobody is told that an approval is waited for")
	}
	approve := "/v1/approvals/" + id
	w.refused(api.CodeRefused, "another person", approve, w.signed("max", waiting.Hash))
	w.refused(api.CodeRefused, "no checker", approve, w.signed("olga", waiting.Hash))
	w.refused(api.CodeHashMismatch, "", approve, w.signed("carl", "0x"+strings.Repeat("0", 64)))
	wrong := w.signed("carl", waiting.Hash)
	wrong["signature"] = w.signed("cleo", waiting.Hash)["signature"]
	w.refused(api.CodeBadSignature, "", approve, wrong)
	w.holds("at:dtc.free:"+dtcPlace, shares, "500", "0")
	w.post(approve, w.signed("carl", waiting.Hash))
	w.holds("at:dtc.free:"+dtcPlace, shares, "1000", "0")
	w.holds("for:firm:firm", shares, "1000", "0")
	w.noBreak()
	w.status(api.Compliant)
	w.refused(api.CodeNotFound, "", approve, w.signed("cleo", waiting.Hash))

	// It was a mistake of the depository's, which takes it back.
	w.clock.advance(time.Minute)
	w.ok(w.dtc.Deliver("037833100", dollars(500)))
	w.deliver(w.securities())
	if b = w.theBreak(); b.Difference != "-500" || len(b.Explanations) != 0 {
		t.Errorf("after it was taken back %+v", b)
	}
	w.refused(api.CodeInvalid, "owed less", path+"/adjust", m{"by": "max", "counter": "for:customer.cash:alice", "amount": "-500", "reason": "hers"})
	id = w.post(path+"/adjust", m{"by": "max", "reverses": "adjusted/" + id, "reason": "the depository took it back"})
	w.post("/v1/approvals/"+id, w.signed("carl", w.theBreak().Adjustments[0].Hash))
	w.noBreak()
	w.holds("for:firm:firm", shares, "500", "0")
	w.stop()
	w.start() // and the same from the journal
	w.noBreak()
	w.holds("for:firm:firm", shares, "500", "0")
}

// TestSuspenseIsAllocated gives a deposit of nobody known to whose it turns out to be.
func TestSuspenseIsAllocated(t *testing.T) {
	w := opened(t)
	w.ok(w.bank.Credit(operating, dollars(70), "no reference", "X-1"))
	w.deliver(w.statement(operating))
	b := w.theBreak()
	if b.Cause != custody.CauseUnknownOrigin || b.Account != "for:suspense:bank:"+operating {
		t.Errorf("break %+v", b)
	}
	id := w.post("/v1/breaks/"+b.ID+"/adjust", m{"by": "max", "counter": "for:customer.cash:bob", "amount": "-70", "reason": "his letter of today"})
	w.post("/v1/approvals/"+id, w.signed("carl", w.theBreak().Adjustments[0].Hash))
	w.noBreak()
	w.holds(forClient("bob"), "iso4217:USD", "70.00", "0.00")
}

// TestEscalation shows the clock handing a break on.
func TestEscalation(t *testing.T) {
	w := opened(t)
	w.config.Inboxes[0].MaxAge, w.config.Inboxes[1].MaxAge = 1000*time.Hour, 1000*time.Hour
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(7)))
	w.deliver(w.securities())
	var stages []string
	for day := range 8 {
		stage := until(w, "/v1/breaks", "the break", func(p api.Page[api.Break]) bool { return len(p.Items) == 1 }).Items[0].Stage
		if day == 0 || stage != stages[len(stages)-1] {
			stages = append(stages, stage)
		}
		w.clock.advance(24 * time.Hour)
	}
	if got := fmt.Sprint(stages); got != "[settlement break_management cco]" {
		t.Errorf("stages %s", got)
	}
	if a := w.alerts()["recon.break/"+dtcPlace+"/"+shares]; a.Severity.String() != "critical" {
		t.Errorf("alert %+v", a)
	}
}
