package node_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"goodcontrol/node/api"
)

// TestPoolIsNotForOthers shows that a client's property in a segregated wallet gives
// no claim on a pool, and that no other's wallet may be spent for a client, however
// many would approve.
func TestPoolIsNotForOthers(t *testing.T) {
	w := funded(t)
	_, err := w.chain.SendETH(t.Context(), w.chain.Account("bob"), w.addressOf("omnibus"), coins(5))
	w.ok(err)
	w.seal()
	w.finalize()
	w.holds(forClient("bob"), ether, ethers(5), ethers(0))
	for _, test := range []struct {
		owner, from, amount, words string
	}{
		{"alice", "omnibus", "2", "segregation: alice has 0." + strings.Repeat("0", 18)},
		{"bob", "segregated", "2", "is the property of alice"},
	} {
		w.refused(api.CodeRefused, test.words, "/v1/withdrawals",
			m{"by": "mia", "wallet": test.from, "owner": test.owner, "to": w.outside(test.owner), "asset": ether, "amount": test.amount})
	}
	w.refused(api.CodeRefused, "is not in the book of bob", "/v1/withdrawals",
		m{"by": "mia", "wallet": "omnibus", "owner": "bob", "to": w.outside("alice"), "asset": w.asset, "amount": "1"})
	w.post("/v1/withdrawals", m{"by": "mia", "wallet": "omnibus", "owner": "bob", "to": w.outside("bob"), "asset": ether, "amount": "2"})
}

// TestFutureStatement: a statement from the future would look fresh for ever.
func TestFutureStatement(t *testing.T) {
	w := opened(t)
	before, err := os.ReadFile(w.statement(operating))
	w.ok(err)
	future := bytes.ReplaceAll(before, []byte("2026-"), []byte("2099-"))
	if bytes.Equal(before, future) {
		t.Skip("the bank's statements are of another year than the test knows")
	}
	if where := w.put("bank", "future.xml", future); where != "quarantine" {
		t.Fatalf("a statement of 2099 went to %s", where)
	}
	if report := w.report("bank", future); !strings.Contains(report, "2099-") || !strings.Contains(report, "a time not after") {
		t.Errorf("the report says %s", report)
	}
	w.status(api.UnknownStatus, "was refused")
}

// TestOlderStatement: one that was superseded and comes again, otherwise spelt, says
// what was and clears no break.
func TestOlderStatement(t *testing.T) {
	w := opened(t)
	early, err := os.ReadFile(w.securities())
	w.ok(err)
	w.put("dtc", "early.txt", early)
	w.ok(w.dtc.Receive("037833100", "APPLE INC", dollars(7))) // nobody expects them
	late, err := os.ReadFile(w.securities())
	w.ok(err)
	if where := w.put("dtc", "late.txt", late); where != "archive" {
		t.Fatalf("the newer statement went to %s", where)
	}
	w.status(api.UnknownStatus, "differ")
	before := regexp.MustCompile(`STAT//\d{8}`).ReplaceAll(early, []byte("STAT//20260102"))
	if where := w.put("dtc", "again.txt", before); where != "archive" {
		t.Fatalf("the older statement went to %s", where)
	}
	if s := w.status(api.UnknownStatus, "differ"); s.Breaks == 0 {
		t.Error("an older statement closed the break of the newer one")
	}
}

// TestEmptyAccount: a statement of an account in which nothing ever was is a
// statement all the same.
func TestEmptyAccount(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.deliver(w.statement(operating), w.statement(special), w.securities())
	for _, in := range w.status(api.Compliant).Inputs {
		if in.Stale || in.AsOf.IsZero() {
			t.Errorf("%s is stale, or nobody spoke of it: %+v", in.Source, in)
		}
	}
}
