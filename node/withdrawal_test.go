package node_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"goodcontrol/custody"
	"goodcontrol/custody/wallet"
	"goodcontrol/node/api"
	"goodcontrol/testnet"
)

// funded is an opened world in which bob has 25,000 tokens in the omnibus, alice 10
// ETH in her own address, and the firm 1 ETH for fees in the omnibus.
func funded(t testing.TB) *world { return fundedAs(t, func(*world) {}) }

func fundedAs(t testing.TB, change func(*world)) *world {
	t.Helper()
	w := openedAs(t, change)
	_, err := w.token.Transfer(t.Context(), w.chain.Account("bob"), w.addressOf("omnibus"), tokens(25_000))
	w.ok(err)
	_, err = w.chain.SendETH(t.Context(), w.chain.Account("treasury"), w.addressOf("omnibus"), coins(1))
	w.ok(err)
	_, err = w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(10))
	w.ok(err)
	w.seal()
	w.finalize()
	w.holds(forClient("bob"), w.asset, dollarTokens(25_000), dollarTokens(0))
	w.holds(forClient("alice"), ether, ethers(10), ethers(0))
	w.followed()
	return w
}

// forBob asks for tokens of bob's.
func (w *world) forBob(amount string) m {
	return m{"by": "mia", "wallet": "omnibus", "owner": "bob", "to": w.outside("bob"), "asset": w.asset, "amount": amount}
}

func (w *world) detail(id string) api.WithdrawalDetail {
	w.Helper()
	var d api.WithdrawalDetail
	w.get("/v1/withdrawals/"+id, &d)
	return d
}

// approval is a person's approval of what waits under the id.
func (w *world) approval(id, who string) m {
	w.Helper()
	hash := w.detail(id).IntentHash
	b, err := hex.DecodeString(strings.TrimPrefix(hash, "0x"))
	w.ok(err)
	return m{"person": who, "hash": hash, "signature": base64.StdEncoding.EncodeToString(ed25519.Sign(w.people[who], b))}
}

func (w *world) approve(id string, who ...string) {
	w.Helper()
	for _, person := range who {
		w.post("/v1/approvals/"+id, w.approval(id, person))
	}
}

// withdrawalIs waits until a withdrawal is in a state.
func (w *world) withdrawalIs(id string, state wallet.State) api.WithdrawalDetail {
	w.Helper()
	return until(w, "/v1/withdrawals/"+id, id+" to be "+string(state), func(d api.WithdrawalDetail) bool { return d.State == string(state) })
}

// mine seals blocks until one has the transaction.
func (w *world) mine(hash string) {
	w.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		w.seal()
		if r, err := w.chain.Client().TransactionReceipt(w.Context(), common.HexToHash(hash)); err == nil {
			if r.Status != types.ReceiptStatusSuccessful {
				w.Fatalf("transaction %s failed", hash)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.Fatalf("transaction %s was not mined", hash)
}

// nonce is that of the transaction an intent would send.
func (w *world) nonce(id string) uint64 {
	w.Helper()
	var i wallet.Intent
	w.ok(json.Unmarshal(w.detail(id).Intent, &i))
	tx, err := wallet.DecodeTransaction(i.Transaction)
	w.ok(err)
	return tx.Nonce
}

// TestApprovals shows everything that is not enough to have a withdrawal signed.
func TestApprovals(t *testing.T) {
	w := funded(t)
	id := w.post("/v1/withdrawals", w.forBob("5000"))
	path := "/v1/approvals/" + id
	good := w.approval(id, "carl")
	edit := func(of m, key string, value any) m {
		out := m{}
		for k, v := range of {
			out[k] = v
		}
		out[key] = value
		return out
	}
	other := base64.StdEncoding.EncodeToString(ed25519.Sign(w.people["carl"], make([]byte, 32)))
	w.refused(api.CodeHashMismatch, "hash", path, edit(good, "hash", "0x"+strings.Repeat("0", 64)))
	w.refused(api.CodeBadSignature, "carl", path, edit(good, "signature", other))
	w.refused(api.CodeBadSignature, "cleo", path, edit(good, "person", "cleo"))
	w.refused(api.CodeBadSignature, "stranger", path, w.approval(id, "stranger"))
	w.refused(api.CodeNotFound, "w-1x", "/v1/approvals/w-1x", good)

	w.approve(id, "mia") // the maker alone, who may check what others make
	w.refused(api.CodeConflict, "mia has approved already", path, w.approval(id, "mia"))
	w.approve(id, "olga") // in the policy, without a role
	if d := w.detail(id); d.State != string(wallet.Requested) || len(d.Approvals) != 2 || d.Needed != 2 {
		t.Errorf("after the maker and one without a role it is %s with %v of %d", d.State, d.Approvals, d.Needed)
	}
	if n := w.signers.count(); n != 0 {
		t.Errorf("the signers were asked %d times before a checker approved", n)
	}
	w.approve(id, "carl")
	signed := w.withdrawalIs(id, wallet.SignedOff)
	w.refused(api.CodeConflict, "takes no more approvals", path, w.approval(id, "cleo"))
	w.mine(signed.Tx)
	w.withdrawalIs(id, wallet.Included)
	w.finalize()
	w.withdrawalIs(id, wallet.Completed)
	w.holds(forClient("bob"), w.asset, dollarTokens(20_000), dollarTokens(0))
	w.status(api.Compliant)
	balance, err := w.token.BalanceOf(t.Context(), w.chain.Account("bob").Address)
	w.ok(err)
	if want := tokens(10_000_000 - 20_000); balance.Cmp(want) != 0 {
		t.Errorf("bob has %s units on the chain, expected %s", balance, want)
	}
}

// TestRequestsThatPolicyRefuses are refused before anybody is asked to approve.
func TestRequestsThatPolicyRefuses(t *testing.T) {
	w := funded(t)
	edit := func(key string, value any) m {
		body := w.forBob("10")
		body[key] = value
		return body
	}
	w.refused(api.CodeNotFound, "nowhere", "/v1/withdrawals", edit("wallet", "nowhere"))
	w.refused(api.CodeInvalid, "not listed", "/v1/withdrawals", edit("asset", chainID+"/erc20:0x0000000000000000000000000000000000000001"))
	w.refused(api.CodeInvalid, "no address of wallet", "/v1/withdrawals", edit("amount", "25000.000001"))
	w.refused(api.CodeInvalid, "finer than", "/v1/withdrawals", edit("amount", "0.0000001"))
	w.refused(api.CodeInvalid, "more than zero", "/v1/withdrawals", edit("amount", "0"))
	w.refused(api.CodeInvalid, "EIP-55", "/v1/withdrawals", edit("to", mistyped(w.outside("bob"))))
	w.refused(api.CodeRefused, "free", "/v1/withdrawals",
		m{"by": "mia", "wallet": "omnibus", "owner": "alice", "to": w.outside("alice"), "asset": w.asset, "amount": "1"})
	if n := w.signers.count(); n != 0 {
		t.Errorf("the signers were asked %d times", n)
	}
}

// mistyped is a place with one letter of its address in the wrong case.
func mistyped(place custody.Place) custody.Place {
	b := []byte(place)
	for i := len(b) - 1; ; i-- {
		if b[i] >= 'A' {
			b[i] ^= 'a' - 'A'
			return custody.Place(b)
		}
	}
}

// TestHoldsCount shows that what is on hold is not free, whatever has just come in
// and may yet be taken back.
func TestHoldsCount(t *testing.T) {
	w := funded(t)
	w.signers.fail(errors.New("party b is away"))
	first := w.post("/v1/withdrawals", w.forBob("20000"))
	w.approve(first, "mia", "carl")
	w.withdrawalIs(first, wallet.Held)
	w.holds(forClient("bob"), w.asset, dollarTokens(25_000), "-"+dollarTokens(20_000))
	w.refused(api.CodeRefused, "5000.000000 free", "/v1/withdrawals", w.forBob("5000.000001"))

	_, err := w.token.Transfer(t.Context(), w.chain.Account("bob"), w.addressOf("omnibus"), tokens(20_000))
	w.ok(err)
	w.seal()
	w.holds(forClient("bob"), w.asset, dollarTokens(25_000), dollarTokens(0))
	w.refused(api.CodeRefused, "5000.000000 free", "/v1/withdrawals", w.forBob("5000.000001"))

	// Both may be asked for while nothing is held; the second to be approved is refused.
	second, third := w.post("/v1/withdrawals", w.forBob("5000")), w.post("/v1/withdrawals", w.forBob("4000"))
	if a, b, c := w.nonce(first), w.nonce(second), w.nonce(third); a == b || b == c || a == c {
		t.Errorf("nonces %d, %d and %d", a, b, c)
	}
	w.approve(second, "mia", "carl")
	w.withdrawalIs(second, wallet.Held)
	w.approve(third, "mia")
	w.refused(api.CodeRefused, "free", "/v1/approvals/"+third, w.approval(third, "carl"))
	if d := w.detail(third); d.State != string(wallet.Requested) || len(d.Approvals) != 1 {
		t.Errorf("the refused approval left it %s with %v", d.State, d.Approvals)
	}
}

// TestSigningIsTriedAgain shows that a withdrawal which the signers do not sign
// stays on hold and is signed later, and what happens when it never is.
func TestSigningIsTriedAgain(t *testing.T) {
	w := funded(t)
	w.signers.fail(errors.New("party b is away"))
	id := w.post("/v1/withdrawals", w.forBob("5000"))
	w.approve(id, "mia", "carl")
	until(w, "/v1/withdrawals/"+id, "the signers to be asked", func(api.WithdrawalDetail) bool { return w.signers.count() == 1 })
	w.withdrawalIs(id, wallet.Held)
	w.signers.fail(nil)
	w.clock.advance(6 * time.Second)
	w.post("/v1/owners", m{"by": "olga", "id": "carol", "kind": "customer", "name": "Carol"}) // the journal grows
	signed := w.withdrawalIs(id, wallet.SignedOff)
	w.mine(signed.Tx)
	w.finalize()
	w.withdrawalIs(id, wallet.Completed)
	w.holds(forClient("bob"), w.asset, dollarTokens(20_000), dollarTokens(0))

	w.signers.fail(errors.New("party b is gone"))
	lost := w.post("/v1/withdrawals", w.forBob("700"))
	w.approve(lost, "mia", "carl")
	w.withdrawalIs(lost, wallet.Held)
	w.holds(forClient("bob"), w.asset, dollarTokens(20_000), "-"+dollarTokens(700))
	w.clock.advance(61 * time.Minute)
	w.post("/v1/owners", m{"by": "olga", "id": "dora", "kind": "customer", "name": "Dora"})
	w.withdrawalIs(lost, wallet.Voided)
	w.holds(forClient("bob"), w.asset, dollarTokens(20_000), dollarTokens(0))
	w.refused(api.CodeConflict, "voided", "/v1/approvals/"+lost, w.approval(lost, "cleo"))
}

// TestNobodyApproves shows that a request which nobody approves in time is given up,
// and that what comes after it can still be mined.
func TestNobodyApproves(t *testing.T) {
	w := funded(t)
	forgotten := w.post("/v1/withdrawals", w.forBob("1"))
	w.approve(forgotten, "mia")
	w.clock.advance(61 * time.Minute)
	if a := w.send(w.key(), "/v1/approvals/"+forgotten, w.approval(forgotten, "carl")); a.Code != api.CodeRefused && a.Code != api.CodeConflict {
		t.Errorf("approved after it expired: %d %s", a.status, a.body)
	}
	w.chainGoesOn()
	w.withdrawalIs(forgotten, wallet.Voided)
	id := w.post("/v1/withdrawals", w.forBob("2"))
	if a, b := w.nonce(forgotten), w.nonce(id); a != b {
		t.Errorf("nonce %d was never used, and the next withdrawal has %d", a, b)
	}
	w.approve(id, "mia", "carl")
	w.mine(w.withdrawalIs(id, wallet.SignedOff).Tx)
}

// chainGoesOn makes a block, as chains do while nobody acts.
func (w *world) chainGoesOn() {
	w.Helper()
	_, err := w.chain.SealEmpty(w.Context())
	w.ok(err)
	w.followed()
}

// TestPolicyReplaced shows that an intent made under one version of the policy is
// not carried out under another, and that an unreadable policy lets nothing pass.
func TestPolicyReplaced(t *testing.T) {
	w := funded(t)
	id := w.post("/v1/withdrawals", w.forBob("5000"))
	w.approve(id, "mia")
	w.writePolicy(3)
	w.refused(api.CodeRefused, "made under policy 2, this party holds 3", "/v1/approvals/"+id, w.approval(id, "carl"))
	w.ok(os.WriteFile(w.path("policy.json"), []byte("{"), 0o600))
	w.refused(api.CodeRefused, w.path("policy.json"), "/v1/withdrawals", w.forBob("1"))
	w.refused(api.CodeRefused, w.path("policy.json"), "/v1/approvals/"+id, w.approval(id, "cleo"))
	w.post("/v1/owners", m{"by": "olga", "id": "carol", "kind": "customer", "name": "Carol"}) // no policy speaks of it
	w.writePolicy(4)
	next := w.post("/v1/withdrawals", w.forBob("5000"))
	w.approve(next, "mia", "carl")
	w.withdrawalIs(next, wallet.SignedOff)
	if n := w.signers.count(); n != 1 {
		t.Errorf("the signers were asked %d times", n)
	}
}

// TestRebroadcast shows that a transaction which was signed and never reached the
// chain is broadcast after a restart, and is signed only once.
func TestRebroadcast(t *testing.T) {
	w := funded(t)
	id := w.post("/v1/withdrawals", w.forBob("5000"))
	w.approve(id, "mia", "carl")
	signed := w.withdrawalIs(id, wallet.SignedOff)
	w.stop()
	// A reorganisation drops the pool's transaction.
	w.seal()
	w.reorg(1)
	if _, pending, err := w.chain.Client().TransactionByHash(t.Context(), common.HexToHash(signed.Tx)); err == nil {
		t.Fatalf("the transaction is still known, pending %t", pending)
	}
	w.start()
	w.mine(signed.Tx)
	w.withdrawalIs(id, wallet.Included)
	w.finalize()
	w.withdrawalIs(id, wallet.Completed)
	w.holds(forClient("bob"), w.asset, dollarTokens(20_000), dollarTokens(0))
	w.status(api.Compliant)
	if n := w.signers.count(); n != 1 {
		t.Errorf("the signers were asked %d times", n)
	}
}

// TestUnauthorizedOutflow takes coins with the wallet's key and without an intent:
// the wallet stands still until two people have dealt with it.
func TestUnauthorizedOutflow(t *testing.T) {
	w := funded(t)
	key, err := crypto.ToECDSA(child("root", "m/1/0"))
	w.ok(err)
	thief := testnet.Account{Name: "thief", Address: w.addressOf("omnibus"), Key: key}
	_, err = w.token.Transfer(t.Context(), thief, common.HexToAddress("0x00000000000000000000000000000000000000aa"), tokens(1_000))
	w.ok(err)
	w.seal()
	w.status(api.InDeficit)
	w.holds(forClient("bob"), w.asset, dollarTokens(25_000), dollarTokens(0))
	var id string
	for _, a := range w.alerts() {
		if a.Kind == "chain.unauthorized_outflow" {
			id = a.ID
		}
	}
	if id == "" {
		t.Fatalf("no alert of the outflow: %v", w.alerts())
	}
	w.refused(api.CodeRefused, "wallet omnibus is stopped", "/v1/withdrawals", w.forBob("10"))
	w.finalize()
	_, err = w.token.Transfer(t.Context(), w.chain.Account("treasury"), w.addressOf("omnibus"), tokens(1_000))
	w.ok(err)
	w.seal()
	w.finalize()
	w.holds("at:chain.wallet:"+w.wallets["omnibus"], w.asset, dollarTokens(25_000), dollarTokens(0))
	w.refused(api.CodeRefused, "wallet omnibus is stopped", "/v1/withdrawals", w.forBob("10"))
	w.refused(api.CodeRefused, "another person", "/v1/alerts/"+id+"/release", m{"by": "cleo", "note": "nobody acknowledged it"})
	w.post("/v1/alerts/"+id+"/ack", m{"by": "olga", "note": "seen"})
	w.refused(api.CodeRefused, "another person", "/v1/alerts/"+id+"/release", m{"by": "olga", "note": "the same person"})
	w.post("/v1/alerts/"+id+"/release", m{"by": "cleo", "note": "made whole"})
	w.status(api.Compliant)
	w.post("/v1/withdrawals", w.forBob("10"))
	w.stop()
	w.start()
	w.followed()
	w.status(api.Compliant)
	w.post("/v1/withdrawals", w.forBob("10"))
}

// TestIdempotency shows that the same request under the same key has the same answer,
// also after a restart and when it could not be granted any more; and that no other
// request has it.
func TestIdempotency(t *testing.T) {
	w := funded(t)
	body := w.forBob("25000")
	first := w.send("once", "/v1/withdrawals", body)
	again := w.send("once", "/v1/withdrawals", body)
	if first.status/100 != 2 || string(first.body) != string(again.body) {
		t.Fatalf("first %d %s, again %d %s", first.status, first.body, again.status, again.body)
	}
	var made api.Result
	w.ok(json.Unmarshal(first.body, &made))
	w.approve(made.ID, "mia", "carl")
	w.mine(w.withdrawalIs(made.ID, wallet.SignedOff).Tx)
	w.finalize()
	w.withdrawalIs(made.ID, wallet.Completed)
	if later := w.send("once", "/v1/withdrawals", body); string(later.body) != string(first.body) {
		t.Errorf("after the money is gone: %d %s, first %s", later.status, later.body, first.body)
	}
	w.stop()
	w.start()
	if later := w.send("once", "/v1/withdrawals", body); string(later.body) != string(first.body) {
		t.Errorf("after a restart: %d %s, first %s", later.status, later.body, first.body)
	}
	for _, other := range []answer{w.send("once", "/v1/withdrawals", w.forBob("24999")), w.send("once", "/v1/owners", m{"by": "olga", "id": "x", "kind": "customer", "name": "X"})} {
		if other.status != 409 || other.Code != api.CodeIdempotencyConflict {
			t.Errorf("another request under the key = %d %s", other.status, other.body)
		}
	}
	var all api.Page[api.Withdrawal]
	w.get("/v1/withdrawals", &all)
	if len(all.Items) != 1 {
		t.Errorf("%d withdrawals", len(all.Items))
	}
}

// TestDuplicateExpectation: an id names one transfer.
func TestDuplicateExpectation(t *testing.T) {
	w := opened(t)
	body := m{"by": "olga", "id": "inventory", "owner": "bob", "place": dtcPlace, "asset": shares, "amount": "7"}
	w.refused(api.CodeConflict, "inventory", "/v1/transfers/expected", body)
	w.holds(forClient("bob"), shares, "0", "0")
}

// TestFeeMustBePayable shows that a withdrawal whose fee the address could not pay
// is refused, and that one which leaves enough goes through.
func TestFeeMustBePayable(t *testing.T) {
	w := funded(t)
	body := func(amount string) m {
		return m{"by": "mia", "wallet": "segregated", "owner": "alice", "to": w.outside("alice"), "asset": ether, "amount": amount}
	}
	first := w.post("/v1/withdrawals", body("9"))
	w.approve(first, "mia", "carl")
	w.mine(w.withdrawalIs(first, wallet.SignedOff).Tx)
	w.finalize()
	w.withdrawalIs(first, wallet.Completed)
	w.holds(forClient("alice"), ether, ethers(1), ethers(0))
	w.refused(api.CodeInvalid, "no address of wallet", "/v1/withdrawals", body("1")) // the first one's fee is gone
	_, err := w.chain.SendETH(t.Context(), w.chain.Account("alice"), w.addressOf("segregated"), coins(2))
	w.ok(err)
	w.seal()
	w.finalize()
	w.holds(forClient("alice"), ether, ethers(3), ethers(0))
	var all api.Page[api.Position]
	w.get("/v1/positions?account=at:chain.wallet:"+w.wallets["segregated"]+"&asset="+ether, &all)
	w.refused(api.CodeRefused, "fee", "/v1/withdrawals", body(all.Items[0].Settled)) // all that is there, to the last wei
	last := w.post("/v1/withdrawals", body("2.9"))
	w.approve(last, "mia", "carl")
	w.mine(w.withdrawalIs(last, wallet.SignedOff).Tx)
	w.finalize()
	w.withdrawalIs(last, wallet.Completed)
	w.status(api.Compliant)
}
