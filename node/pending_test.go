package node_test

import (
	"testing"
	"time"

	"goodcontrol/node/api"
)

// TestLateStatement: a statement that comes after a newer one does not take its
// place.
func TestLateStatement(t *testing.T) {
	w := opened(t)
	w.ok(w.bank.Credit(special, dollars(5), "ACCT/firm", "A"))
	old := w.statement(special)
	w.ok(w.bank.Credit(special, dollars(6), "ACCT/firm", "B"))
	w.deliver(w.statement(special))
	w.status(api.UnknownStatus, "bank:"+special) // the first page is missing
	w.deliver(old)
	w.status(api.Compliant)
}

// TestPolicyAtRequest: what no approval can make right is refused at once.
func TestPolicyAtRequest(t *testing.T) {
	w := funded(t)
	edit := func(key string, value any) m {
		body := w.forBob("10")
		body[key] = value
		return body
	}
	w.refused(api.CodeRefused, "not in the book", "/v1/withdrawals", edit("to", w.outside("alice")))
	w.refused(api.CodeRefused, "over the limit", "/v1/withdrawals",
		m{"by": "mia", "wallet": "segregated", "owner": "alice", "to": w.outside("alice"), "asset": ether, "amount": "10"})
	w.refused(api.CodeRefused, "segregation", "/v1/withdrawals",
		m{"by": "mia", "wallet": "segregated", "owner": "bob", "to": w.outside("bob"), "asset": ether, "amount": "1"})
}

// TestGapIsFilled: the nonce of a withdrawal that was given up is used by the next
// one, so that what waits behind it can be mined.
func TestGapIsFilled(t *testing.T) {
	w := funded(t)
	first := w.post("/v1/withdrawals", w.forBob("1"))
	w.clock.advance(40 * time.Minute)
	second := w.post("/v1/withdrawals", w.forBob("2"))
	w.approve(second, "mia", "carl")
	w.withdrawalIs(second, "signed")
	w.clock.advance(21 * time.Minute)
	w.chainGoesOn()
	w.withdrawalIs(first, "voided")
	third := w.post("/v1/withdrawals", w.forBob("3"))
	if w.nonce(third) != w.nonce(first) {
		t.Errorf("nonces %d, %d, %d", w.nonce(first), w.nonce(second), w.nonce(third))
	}
	w.approve(third, "mia", "carl")
	w.mine(w.withdrawalIs(third, "signed").Tx)
	w.clock.advance(6 * time.Second)
	w.chainGoesOn()
	w.mine(w.detail(second).Tx)
}
