package node_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/api"
)

// TestStale shows that nothing is green which has not been heard of for too long.
func TestStale(t *testing.T) {
	w := opened(t)
	w.clock.advance(time.Hour + time.Minute)
	w.status(api.UnknownStatus, chainID+": newest is 1h1m", "at most 1h0m0s allowed")
	var s api.Status
	w.get("/v1/status", &s)
	for _, in := range s.Inputs {
		if in.Stale != (in.Source == chainID) {
			t.Errorf("input %s of age %d s is stale: %t", in.Source, in.AgeSeconds, in.Stale)
		}
	}
	if a, open := w.alerts()["input.stale/"+chainID]; !open || !strings.Contains(string(a.Data), "newest is") {
		t.Errorf("alert of the stale chain: %+v", a)
	}
	w.chainGoesOn()
	w.status(api.Compliant)
	w.clock.advance(36 * time.Hour)
	w.chainGoesOn()
	w.status(api.UnknownStatus, "bank:"+operating, "bank:"+special, dtcPlace+": newest")
	w.deliver(w.statement(operating), w.securities())
	w.status(api.UnknownStatus, "bank:"+special)
	w.deliver(w.statement(special))
	w.status(api.Compliant)
}

// TestMissing shows that a place of which nothing was ever heard is not green.
func TestMissing(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.clients()
	w.ok(w.bank.Credit(operating, dollars(1), "ACCT/firm", "C"))
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(500)))
	w.deliver(w.statement(operating), w.securities())
	s := w.status(api.UnknownStatus, "bank:"+special+": nothing received yet")
	if len(s.Reasons) != 1 {
		t.Errorf("reasons are %q", s.Reasons)
	}
	w.deliver(w.statement(special))
	w.status(api.Compliant)
}

// TestUnexplainedBreak shows that a difference which nothing explains is not green,
// and that the record which explains it closes it.
func TestUnexplainedBreak(t *testing.T) {
	w := opened(t)
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(7)))
	w.deliver(w.securities())
	w.status(api.UnknownStatus, shares+" at "+dtcPlace)
	breaks := until(w, "/v1/breaks", "the break", func(p api.Page[api.Break]) bool { return len(p.Items) == 1 })
	if b := breaks.Items[0]; b.Difference != "7" || b.Unexplained != "7" || b.Cause != custody.CauseUnknown || b.ExpectedSource != "dtc:0123" {
		t.Errorf("break is %+v", b)
	}
	if _, open := w.alerts()["recon.break/"+breaks.Items[0].ID]; !open {
		t.Error("no alert tells of the break")
	}
	w.post("/v1/transfers/expected", m{"by": "olga", "id": "late", "owner": "bob", "place": dtcPlace, "asset": shares, "amount": "7"})
	w.deliver(w.securities())
	w.status(api.Compliant)
	w.holds(forClient("bob"), shares, "7", "0")

	// Tokens that came without a log, as a stolen issuer key could make them.
	w.ok(w.dtc.Deliver("037833100", dollars(1)))
	w.deliver(w.securities())
	w.status(api.UnknownStatus, shares+" at "+dtcPlace)
}

// TestFreeze shows that what an issuer has frozen is owed as before and not in
// control, while balanceOf says nothing of it.
func TestFreeze(t *testing.T) {
	w := opened(t)
	_, err := w.token.Transfer(t.Context(), w.chain.Account("bob"), w.addressOf("omnibus"), tokens(25_000))
	w.ok(err)
	w.seal()
	w.finalize()
	w.holds(forClient("bob"), w.asset, dollarTokens(25_000), dollarTokens(0))
	_, err = w.token.Blacklist(t.Context(), w.addressOf("omnibus"))
	w.ok(err)
	w.seal()
	w.finalize()
	w.status(api.InDeficit)
	w.holds("at:chain.frozen:"+w.wallets["omnibus"], w.asset, dollarTokens(25_000), dollarTokens(0))
	w.holds(forClient("bob"), w.asset, dollarTokens(25_000), dollarTokens(0))
	w.refused(api.CodeInvalid, "no address of wallet omnibus holds", "/v1/withdrawals",
		m{"by": "mia", "wallet": "omnibus", "owner": "bob", "to": w.outside("bob"), "asset": w.asset, "amount": "1"})
	_, err = w.token.UnBlacklist(t.Context(), w.addressOf("omnibus"))
	w.ok(err)
	w.seal()
	w.finalize()
	w.status(api.Compliant)
}

// TestFinalityViolated shows a chain that breaks its promise: nothing of it is
// booked any more, also not after a restart, and the node goes on serving and
// booking what others say.
func TestFinalityViolated(t *testing.T) {
	w := opened(t)
	_, err := w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(10))
	w.ok(err)
	before := w.chain.Head().Hash()
	w.seal()
	w.finalize()
	w.holds(forClient("alice"), ether, ethers(10), ethers(0))
	w.followed()
	other := before
	for range 3 {
		b, err := w.chain.SealOn(t.Context(), other)
		w.ok(err)
		other = b.Hash()
	}
	_, err = w.chain.BreakFinality(t.Context(), other)
	w.ok(err)
	w.status(api.UnknownStatus, chainID, "finality violated")
	check := func() {
		t.Helper()
		var s api.Status
		w.get("/v1/status", &s)
		for _, r := range s.Rails {
			if (r.State == api.RailHalted) != (r.Name == chainID) {
				t.Errorf("rail %s is %s: %s", r.Name, r.State, r.Detail)
			}
		}
		w.holds(forClient("alice"), ether, ethers(10), ethers(0))
	}
	check()
	_, err = w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(2))
	w.ok(err)
	w.seal()
	w.finalize()
	w.ok(w.bank.Credit(operating, dollars(100), "ACCT/bob", "W"))
	w.deliver(w.statement(operating))
	w.holds(forClient("bob"), string(custody.USD), "100.00", "0.00")
	check()
	w.stop()
	w.start()
	w.status(api.UnknownStatus, chainID, "finality violated")
	check()
	var id string
	for _, a := range w.alerts() {
		if a.Kind == "chain.deep_reorg" {
			id = a.ID
		}
	}
	w.refused(api.CodeRefused, "another person", "/v1/alerts/"+id+"/release", m{"by": "cleo", "note": "nobody acknowledged it"})
	w.post("/v1/alerts/"+id+"/ack", m{"by": "olga", "note": "the chain's operators confirm"})
	w.refused(api.CodeRefused, "another person", "/v1/alerts/"+id+"/release", m{"by": "olga", "note": "the same person"})
	w.post("/v1/alerts/"+id+"/release", m{"by": "cleo", "note": "follow the new chain"})
	// What was final is not on the chain any more: that is said, and booked by nobody.
	w.status(api.UnknownStatus, "books and "+chainID+" differ")
	w.holds(forClient("alice"), ether, ethers(12), ethers(0)) // with what came since
	w.stop()
	w.start()
	w.followed()
	_, err = w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(8))
	w.ok(err)
	w.seal()
	w.finalize()
	w.holds(forClient("alice"), ether, ethers(20), ethers(0))
}

// TestInboxThatStops: an inbox that cannot go on is not green.
func TestInboxThatStops(t *testing.T) {
	w := opened(t)
	w.ok(w.bank.Credit(special, dollars(5), "ACCT/firm", "A"))
	b, err := os.ReadFile(w.statement(special))
	w.ok(err)
	w.ok(os.RemoveAll(w.path("inbox", "bank", "archive")))
	w.ok(os.WriteFile(w.path("inbox", "bank", "archive"), nil, 0o600)) // a file where the folder was
	w.ok(os.WriteFile(w.path("inbox", "bank", "late.xml"), b, 0o600))
	w.status(api.UnknownStatus, "bank:"+special+": stopped", "archive")
}

// TestCallerWhoHangsUp: a request whose caller has gone is carried out or not, and
// the node does not trip over it.
func TestCallerWhoHangsUp(t *testing.T) {
	w := opened(t)
	for i := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, _ = w.node.Submit(ctx, api.Request{Key: w.key(), Command: api.OpenOwner{ID: "c" + strings.Repeat("x", i), Kind: custody.Customer, Name: "C", Signed: api.Signed{By: "olga"}}})
	}
	w.status(api.Compliant)
}

// TestRefusalOutlivesRestart: what was refused is still missing after a restart.
func TestRefusalOutlivesRestart(t *testing.T) {
	w := opened(t)
	if where := w.put("bank", "bad.txt", []byte("<Document")); where != "quarantine" {
		t.Fatalf("it went to %s", where)
	}
	w.status(api.UnknownStatus, "bad.txt was refused")
	w.stop()
	w.start()
	w.followed()
	w.status(api.UnknownStatus, "bad.txt was refused")
	w.deliver(w.statement(operating))
	w.status(api.UnknownStatus, special+": file bad.txt was refused")
	w.deliver(w.statement(special))
	w.status(api.Compliant)
}
