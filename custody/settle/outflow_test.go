package settle_test

import (
	"slices"
	"strings"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/custody/settle"
)

// TestRetractedAfterFreeze: what a retraction gives back to an address that the
// issuer has frozen since is frozen too, and the other way round.
func TestRetractedAfterFreeze(t *testing.T) {
	state := custody.Observation{Ref: "f1", Kind: custody.StateChange, Stage: custody.Included, Source: chain, Asset: coin, To: pool, Condition: custody.Frozen, Effective: start}
	b := newBooks(t)
	b.observe(moved("d", bobOutside, pool, 100, custody.Final, "b0"))
	b.hold("w", 40, 0, "x")
	b.observe(sent("x", bobOutside, 40, 0, custody.Included, "b1"))
	b.observe(state)
	if kinds := b.observe(sent("x", bobOutside, 40, 0, custody.Retracted, "b1")); !slices.Equal(kinds, []string{custody.KindWithdrawalRetracted, settle.KindFollows}) {
		t.Errorf("calls for %v", kinds)
	}
	held := []string{"at:chain.wallet:eip155:1:0xB eip155:1/slip44:60 pending -40", "for:customer.cash:bob eip155:1/slip44:60 pending -40"}
	b.expect(append(held, "at:chain.frozen:eip155:1:0xB eip155:1/slip44:60 settled 100", "for:customer.cash:bob eip155:1/slip44:60 settled 100")...)
	// It leaves from where it is now, and is set free meanwhile.
	b.observe(sent("x", bobOutside, 40, 0, custody.Included, "b2"))
	state.Ref, state.Condition = "f2", custody.Unfrozen
	b.observe(state)
	b.observe(sent("x", bobOutside, 40, 0, custody.Retracted, "b2"))
	b.expect(append(held, "at:chain.wallet:eip155:1:0xB eip155:1/slip44:60 settled 100", "for:customer.cash:bob eip155:1/slip44:60 settled 100")...)
}

// feeOf is the fee of a transaction of the pool.
func feeOf(tx string, nonce uint64, stage custody.Stage) custody.Observation {
	o := sent(tx+"/fee", "", 2, nonce, stage, "b1")
	o.Fee, o.Evidence.Tx = true, tx
	return o
}

// TestNonceUsedUp: a hold whose nonce another transaction has used is lifted when
// that is final and not before, and the fee tells of a transaction nobody approved.
func TestNonceUsedUp(t *testing.T) {
	b := newBooks(t)
	b.observe(moved("d", bobOutside, pool, 100, custody.Final, "b0"))
	b.hold("w", 40, 0, "x")
	b.observe(feeOf("y", 0, custody.Included))
	if out := b.m.Unauthorized(); len(out) != 1 || out[0].Class != settle.KeyUsed || out[0].Wallet != "omnibus" {
		t.Fatalf("Unauthorized() = %+v", out)
	}
	if kinds := b.observe(feeOf("y", 0, custody.Final)); !slices.Equal(kinds, []string{settle.KindFeeFinal, custody.KindWithdrawalFailed}) {
		t.Errorf("calls for %v", kinds)
	}
	failed, err := custody.Fact[settle.Meaning](b.journal[len(b.journal)-1])
	if err != nil || failed.Withdrawal != "w" || !strings.Contains(failed.Why, "used by transaction y") {
		t.Errorf("failed: %+v, %v", failed, err)
	}
	b.expect("at:chain.wallet:eip155:1:0xB eip155:1/slip44:60 settled 98", "for:customer.cash:bob eip155:1/slip44:60 settled 100",
		"for:firm:firm eip155:1/slip44:60 settled -2")
	released, err := b.m.Release(custody.Entry{}, "y/fee")
	if err != nil || len(released.Legs) != 0 {
		t.Errorf("releasing a fee, which the firm has borne: %+v, %v", released, err)
	}
}

// TestToldOnce: a transaction that nobody approved is told of once, by what it moved
// and not by its fee too; and no more when its block was orphaned.
func TestToldOnce(t *testing.T) {
	b := newBooks(t)
	b.observe(moved("d", bobOutside, pool, 100, custody.Final, "b0"))
	b.observe(sent("y", nobody, 40, 0, custody.Included, "b1"))
	b.observe(feeOf("y", 0, custody.Included))
	if out := b.m.Unauthorized(); len(out) != 1 || out[0].Observation.Fee {
		t.Errorf("Unauthorized() = %+v", out)
	}
	b.observe(feeOf("z", 1, custody.Included))
	if out := b.m.Unauthorized(); len(out) != 2 {
		t.Errorf("Unauthorized() = %+v", out)
	}
	b.observe(feeOf("z", 1, custody.Retracted))
	b.observe(feeOf("y", 0, custody.Retracted))
	b.observe(sent("y", nobody, 40, 0, custody.Retracted, "b1"))
	if out := b.m.Unauthorized(); len(out) != 0 {
		t.Errorf("still told of what was orphaned: %+v", out)
	}
	b.expect("at:chain.wallet:eip155:1:0xB eip155:1/slip44:60 settled 100", "for:customer.cash:bob eip155:1/slip44:60 settled 100")
}

// TestExposure: an allowance is told of while it is on the chain, however often its
// block comes and goes, and moves nothing.
func TestExposure(t *testing.T) {
	b := newBooks(t)
	o := custody.Observation{
		Ref: "a", Kind: custody.StateChange, Stage: custody.Included, Source: chain, Asset: coin, From: pool, To: pool, By: nobody,
		Condition: custody.Allowed, Text: "spender may take 5", Effective: start,
	}
	for range 3 {
		o.Stage = custody.Included
		b.observe(o)
		if kinds := b.observe(o); len(kinds) != 0 {
			t.Errorf("the same again calls for %v", kinds)
		}
		if out := b.m.Unauthorized(); len(out) != 1 || out[0].Class != settle.Exposed || out[0].Why != o.Text || out[0].Wallet != "omnibus" {
			t.Errorf("Unauthorized() = %+v", out)
		}
		o.Stage = custody.Retracted
		b.observe(o)
		if out := b.m.Unauthorized(); len(out) != 0 {
			t.Errorf("Unauthorized() = %+v", out)
		}
	}
	b.expect()
	pulled := moved("p", pool, nobody, 7, custody.Included, "b1")
	pulled.By = nobody
	b.observe(pulled)
	if out := b.m.Unauthorized(); len(out) != 1 || out[0].Class != settle.Pulled {
		t.Errorf("Unauthorized() = %+v", out)
	}
}

// TestUnseen: an account that shows more transactions than were seen has signed
// something without us. It is told once, and what was seen is not told at all.
func TestUnseen(t *testing.T) {
	b := newBooks(t)
	account := func(ref string, nonce uint64) custody.Observation {
		return custody.Observation{Ref: custody.Ref(ref), Kind: custody.Balance, Stage: custody.Included, Source: chain, Asset: coin, To: pool, Nonce: nonce, Effective: start}
	}
	b.hold("w", 40, 0, "x")
	b.observe(feeOf("x", 0, custody.Included))
	b.observe(account("b1", 1))
	if out := b.m.Unauthorized(); len(out) != 0 || b.m.NextNonce(pool) != 1 {
		t.Fatalf("what was seen is told of: %+v; next nonce %d", out, b.m.NextNonce(pool))
	}
	b.observe(feeOf("x", 0, custody.Retracted))
	if n := b.m.NextNonce(pool); n != 0 {
		t.Errorf("next nonce %d after the transaction was orphaned", n)
	}
	b.observe(feeOf("x", 0, custody.Included))
	b.observe(account("b2", 3))
	b.observe(account("b3", 3))
	if out := b.m.Unauthorized(); len(out) != 1 || out[0].Class != settle.Unseen || out[0].Wallet != "omnibus" || !strings.Contains(out[0].Why, "sent 3 transactions, 1 were seen") {
		t.Errorf("Unauthorized() = %+v", out)
	}
}
