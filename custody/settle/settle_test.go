package settle_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/custody/ledger"
	"goodcontrol/custody/ledger/ledgertest"
	"goodcontrol/custody/settle"
)

const (
	chain = "eip155:1"
	coin  = custody.AssetID("eip155:1/slip44:60")
	share = custody.AssetID("cusip:037833100")

	aliceWallet = custody.Place("eip155:1:0xA")
	pool        = custody.Place("eip155:1:0xB")
	bobOutside  = custody.Place("eip155:1:0xC")
	nobody      = custody.Place("eip155:1:0xD")
	bank        = custody.Place("bank:100")
	dtc         = custody.Place("dtc:0123")
)

var start = time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC)

// books post what the machine says to a ledger.
type books struct {
	t      testing.TB
	m      *settle.Machine
	ledger *ledger.Books
	// journal keeps every entry, to fold it again from nothing.
	journal []custody.Entry
}

func newBooks(t testing.TB) *books {
	b := &books{t: t, m: settle.New(), ledger: ledgertest.Open(t, ledger.NewMemory())}
	b.fact(custody.KindOwnerOpened, custody.OwnerOpened{ID: "firm", Kind: custody.Firm})
	b.fact(custody.KindOwnerOpened, custody.OwnerOpened{ID: "alice", Kind: custody.Customer})
	b.fact(custody.KindOwnerOpened, custody.OwnerOpened{ID: "bob", Kind: custody.Customer})
	b.fact(custody.KindWalletOpened, custody.WalletOpened{ID: "alice", Kind: custody.Segregated, Chain: chain, Owner: "alice"})
	b.fact(custody.KindWalletOpened, custody.WalletOpened{ID: "omnibus", Kind: custody.Omnibus, Chain: chain})
	b.fact(custody.KindAddressAssigned, custody.AddressAssigned{Place: aliceWallet, Wallet: "alice", Owner: "alice"})
	b.fact(custody.KindAddressAssigned, custody.AddressAssigned{Place: pool, Wallet: "omnibus"})
	b.fact(custody.KindAddressBooked, custody.AddressBooked{Place: bobOutside, Owner: "bob"})
	b.fact(custody.KindLocationOpened, custody.LocationOpened{Place: bank, Type: custody.BankOperating, Source: "bank"})
	b.fact(custody.KindLocationOpened, custody.LocationOpened{Place: dtc, Type: custody.DTCFree, Source: "dtc"})
	return b
}

func (b *books) fact(kind string, fact any) {
	b.t.Helper()
	e, err := custody.FactEntry(kind, custody.Ref(fmt.Sprintf("%s/%d", kind, len(b.journal))), "test", start, fact)
	if err != nil {
		b.t.Fatal(err)
	}
	b.post(e)
}

func (b *books) post(e custody.Entry) {
	b.t.Helper()
	posted, err := b.ledger.Post(context.Background(), nil, e)
	if err != nil {
		b.t.Fatal(err)
	}
	if posted[0].Existing {
		b.t.Fatalf("ref %s is posted twice", e.Ref)
	}
	places := []string{settle.KindDepositIncluded, custody.KindWithdrawalHeld, custody.KindExpected, settle.KindActivity + string(custody.Trade)}
	pending := slices.ContainsFunc(e.Legs, func(l custody.Leg) bool { return l.Layer == custody.Pending })
	if linked := e.Reverses != "" || e.Resolves != ""; pending && linked == slices.Contains(places, e.Kind) {
		b.t.Errorf("%s has pending legs, reverses %q and resolves %q", e.Ref, e.Reverses, e.Resolves)
	}
	if err := b.m.Apply(e); err != nil {
		b.t.Fatal(err)
	}
	b.journal = append(b.journal, e)
}

func (b *books) observe(o custody.Observation) []string {
	b.t.Helper()
	entries, err := b.m.Observe(o)
	if err != nil {
		b.t.Fatal(err)
	}
	var kinds []string
	for _, e := range entries {
		b.post(e)
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// positions folds the journal by itself, without the machine.
func (b *books) positions() map[string]string {
	sums := map[string]custody.Amount{}
	for _, e := range b.journal {
		for _, l := range e.Legs {
			k := l.Account.String() + " " + string(l.Asset) + " " + l.Layer.String()
			sums[k], _ = sums[k].Add(l.Amount)
		}
	}
	out := map[string]string{}
	for k, v := range sums {
		if !v.IsZero() {
			out[k] = v.String()
		}
	}
	return out
}

func (b *books) expect(want ...string) {
	b.t.Helper()
	var got []string
	for k, v := range b.positions() {
		got = append(got, k+" "+v)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.t.Errorf("positions are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func moved(ref string, from, to custody.Place, amount int64, stage custody.Stage, block string) custody.Observation {
	return custody.Observation{
		Ref: custody.Ref(ref), Kind: custody.Movement, Stage: stage, Source: chain, Asset: coin, Amount: custody.NewAmount(amount),
		From: from, To: to, Effective: start, Evidence: custody.Evidence{Chain: chain, BlockHash: block, Tx: ref},
	}
}

func cash(ref, text string, from, to custody.Place, amount int64) custody.Observation {
	return custody.Observation{
		Ref: custody.Ref(ref), Kind: custody.Movement, Stage: custody.Final, Source: "bank", Asset: custody.USD,
		Amount: custody.NewAmount(amount), From: from, To: to, Text: text, Effective: start,
	}
}

func balance(ref, source string, place custody.Place, asset custody.AssetID, amount int64) custody.Observation {
	return custody.Observation{
		Ref: custody.Ref(ref), Kind: custody.Balance, Stage: custody.Final, Source: source, Asset: asset,
		Amount: custody.NewAmount(amount), To: place, Effective: start,
	}
}

func TestDeposit(t *testing.T) {
	b := newBooks(t)
	b.observe(moved("t1", nobody, aliceWallet, 10, custody.Included, "b1"))
	b.expect("at:chain.wallet:eip155:1:0xA eip155:1/slip44:60 pending 10", "for:customer.cash:alice eip155:1/slip44:60 pending 10")
	if got := b.m.InFlight(aliceWallet, coin); got != custody.NewAmount(10) {
		t.Errorf("InFlight() = %s, want 10", got)
	}
	if again := b.observe(moved("t1", nobody, aliceWallet, 10, custody.Included, "b1")); again != nil {
		t.Errorf("the same inclusion again calls for %v", again)
	}
	b.observe(moved("t1", nobody, aliceWallet, 10, custody.Safe, "b1"))
	b.observe(moved("t1", nobody, aliceWallet, 10, custody.Final, "b1"))
	b.expect("at:chain.wallet:eip155:1:0xA eip155:1/slip44:60 settled 10", "for:customer.cash:alice eip155:1/slip44:60 settled 10")
	if got := b.m.InFlight(aliceWallet, coin); !got.IsZero() {
		t.Errorf("InFlight() = %s after finality, want 0", got)
	}
}

func TestDepositor(t *testing.T) {
	b := newBooks(t)
	b.observe(moved("t1", bobOutside, pool, 3, custody.Final, "b1"))
	b.observe(moved("t2", nobody, pool, 4, custody.Final, "b1"))
	b.expect("at:chain.wallet:eip155:1:0xB eip155:1/slip44:60 settled 7",
		"for:customer.cash:bob eip155:1/slip44:60 settled 3", "for:suspense:eip155:1:0xB eip155:1/slip44:60 settled 4")
}

func TestReorg(t *testing.T) {
	b := newBooks(t)
	for generation, block := range []string{"b1", "b2", "b1"} { // there, elsewhere, and back again
		b.observe(moved("t1", nobody, aliceWallet, 10, custody.Included, block))
		b.observe(moved("t1", nobody, aliceWallet, 10, custody.Retracted, block))
		b.expect()
		if last := b.journal[len(b.journal)-1]; last.Reverses != custody.Ref(fmt.Sprintf("t1#%d/included", generation+1)) {
			t.Errorf("%s reverses %s", last.Ref, last.Reverses)
		}
	}
	b.observe(moved("t1", nobody, aliceWallet, 10, custody.Included, "b3"))
	if _, err := b.m.Observe(moved("t1", nobody, aliceWallet, 10, custody.Included, "b4")); err == nil {
		t.Error("included in two blocks at once, want an error")
	}
}

func (b *books) hold(id string, amount int64, nonce uint64, tx string) {
	b.t.Helper()
	h := custody.WithdrawalHeld{ID: id, Client: "bob", Asset: coin, Amount: custody.NewAmount(amount), From: pool, To: bobOutside, Nonce: nonce}
	e, err := custody.FactEntry(custody.KindWithdrawalHeld, custody.Ref("hold/"+id), "test", start, h)
	if err != nil {
		b.t.Fatal(err)
	}
	if e, err = b.m.Hold(e, h); err != nil {
		b.t.Fatal(err)
	}
	b.post(e)
	b.fact(custody.KindWithdrawalSigned, custody.WithdrawalSigned{ID: id, From: pool, Nonce: nonce, Tx: tx})
}

func sent(ref string, to custody.Place, amount int64, nonce uint64, stage custody.Stage, block string) custody.Observation {
	o := moved(ref, pool, to, amount, stage, block)
	o.Nonce = nonce
	return o
}

func TestWithdrawal(t *testing.T) {
	b := newBooks(t)
	b.observe(moved("d", bobOutside, pool, 100, custody.Final, "b0"))
	b.hold("w", 40, 0, "x")
	b.expect("at:chain.wallet:eip155:1:0xB eip155:1/slip44:60 settled 100", "for:customer.cash:bob eip155:1/slip44:60 settled 100",
		"at:chain.wallet:eip155:1:0xB eip155:1/slip44:60 pending -40", "for:customer.cash:bob eip155:1/slip44:60 pending -40")
	gone := []string{"at:chain.wallet:eip155:1:0xB eip155:1/slip44:60 settled 60", "for:customer.cash:bob eip155:1/slip44:60 settled 60"}
	for _, block := range []string{"b1", "b2"} {
		b.observe(sent("x", bobOutside, 40, 0, custody.Included, block))
		b.expect(gone...)
		if last := b.journal[len(b.journal)-1]; last.Resolves != "hold/w" {
			t.Errorf("%s resolves %q, expected the hold, which a retraction gives back", last.Ref, last.Resolves)
		}
		if block == "b1" {
			b.observe(sent("x", bobOutside, 40, 0, custody.Retracted, block))
		}
	}
	b.observe(sent("x", bobOutside, 40, 0, custody.Final, "b2"))
	b.expect(gone...)
	if len(b.m.Unauthorized()) != 0 {
		t.Errorf("Unauthorized() = %v, want none", b.m.Unauthorized())
	}
}

// A hold that is lifted is resolved; one that was taken is not lifted.
func TestVoid(t *testing.T) {
	b := newBooks(t)
	b.observe(moved("d", bobOutside, pool, 100, custody.Final, "b0"))
	b.hold("w", 40, 0, "x")
	void := func() (custody.Entry, error) {
		e, err := custody.FactEntry(custody.KindWithdrawalVoided, "voided/w", "test", start, custody.WithdrawalVoided{ID: "w", From: pool})
		if err != nil {
			t.Fatal(err)
		}
		return b.m.Void(e, pool, 0)
	}
	b.observe(sent("x", bobOutside, 40, 0, custody.Included, "b1"))
	if _, err := void(); err == nil {
		t.Error("a hold that was taken is lifted")
	}
	b.observe(sent("x", bobOutside, 40, 0, custody.Retracted, "b1"))
	e, err := void()
	if err != nil {
		t.Fatal(err)
	}
	b.post(e)
	if e.Resolves != "hold/w" {
		t.Errorf("it resolves %q, expected the hold", e.Resolves)
	}
	b.expect("at:chain.wallet:eip155:1:0xB eip155:1/slip44:60 settled 100", "for:customer.cash:bob eip155:1/slip44:60 settled 100")
}

// Whatever differs from the approved intent is an unauthorised outflow: what is
// owed stays owed, and where it was it is missing.
func TestUnauthorized(t *testing.T) {
	for _, test := range []struct {
		name, why string
		o         custody.Observation
	}{
		{"no intent", "no approved intent for nonce 5", sent("x", bobOutside, 40, 5, custody.Included, "b1")},
		{"other transaction", "signed as transaction x, not y", sent("y", bobOutside, 40, 0, custody.Included, "b1")},
		{"other amount", "is of 40 units, not 41", sent("x", bobOutside, 41, 0, custody.Included, "b1")},
		{"other destination", "goes to eip155:1:0xC, not eip155:1:0xD", sent("x", nobody, 40, 0, custody.Included, "b1")},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBooks(t)
			b.observe(moved("d", bobOutside, pool, 100, custody.Final, "b0"))
			b.hold("w", 40, 0, "x")
			if kinds := b.observe(test.o); !slices.Equal(kinds, []string{settle.KindUnauthorized}) {
				t.Fatalf("calls for %v", kinds)
			}
			out := b.m.Unauthorized()
			if len(out) != 1 || !strings.Contains(out[0].Why, test.why) || out[0].Wallet != "omnibus" {
				t.Fatalf("Unauthorized() = %+v, want %q of wallet omnibus", out, test.why)
			}
			positions := b.positions()
			if got := positions["for:customer.cash:bob "+string(coin)+" settled"]; got != "100" {
				t.Errorf("owed to bob: %s, want 100", got)
			}
			if got := positions["at:missing:"+string(pool)+" "+string(coin)+" settled"]; got != test.o.Amount.String() {
				t.Errorf("missing: %s, want %s", got, test.o.Amount)
			}
			released, err := custody.FactEntry(custody.KindReleased, "released", "b", start, custody.OutflowReleased{Outflow: test.o.Ref, By: []string{"a", "b"}})
			if err != nil {
				t.Fatal(err)
			}
			if released, err = b.m.Release(released, test.o.Ref); err != nil {
				t.Fatal(err)
			}
			b.post(released)
			positions = b.positions()
			if got := positions["for:firm:firm "+string(coin)+" settled"]; got != "-"+test.o.Amount.String() {
				t.Errorf("the firm bears %s, want -%s", got, test.o.Amount)
			}
			if got := positions["for:customer.cash:bob "+string(coin)+" settled"]; got != "100" {
				t.Errorf("owed to bob after the release: %s, want 100", got)
			}
			if len(b.m.Unauthorized()) != 0 {
				t.Error("still open after it was released")
			}
		})
	}
}

// A transfer that failed on the chain costs its fee and gives the hold back.
func TestFailedWithdrawal(t *testing.T) {
	b := newBooks(t)
	b.observe(moved("d", bobOutside, pool, 100, custody.Final, "b0"))
	b.hold("w", 40, 0, "x")
	fee := sent("x/fee", "", 2, 0, custody.Included, "b1")
	fee.Fee, fee.Evidence.Tx = true, "x"
	b.observe(fee)
	fee.Stage = custody.Final
	if kinds := b.observe(fee); !slices.Equal(kinds, []string{settle.KindFeeFinal, custody.KindWithdrawalFailed}) {
		t.Errorf("calls for %v", kinds)
	}
	b.expect("at:chain.wallet:eip155:1:0xB eip155:1/slip44:60 settled 98", "for:customer.cash:bob eip155:1/slip44:60 settled 100",
		"for:firm:firm eip155:1/slip44:60 settled -2")
}

func TestFreeze(t *testing.T) {
	b := newBooks(t)
	b.observe(moved("d", nobody, aliceWallet, 10, custody.Final, "b0"))
	state := custody.Observation{
		Ref: "f1", Kind: custody.StateChange, Stage: custody.Included, Source: chain, Asset: coin, To: aliceWallet,
		Condition: custody.Frozen, Effective: start,
	}
	b.observe(state)
	b.observe(moved("d2", nobody, aliceWallet, 5, custody.Final, "b1"))
	b.expect("at:chain.frozen:eip155:1:0xA eip155:1/slip44:60 settled 15", "for:customer.cash:alice eip155:1/slip44:60 settled 15")
	state.Ref, state.Condition = "f2", custody.Unfrozen
	b.observe(state)
	b.expect("at:chain.wallet:eip155:1:0xA eip155:1/slip44:60 settled 15", "for:customer.cash:alice eip155:1/slip44:60 settled 15")
}

func TestCash(t *testing.T) {
	for _, test := range []struct {
		name string
		o    custody.Observation
		want []string
	}{
		{"credit for a client", cash("1", "wire ACCT/alice thanks", "", bank, 5), []string{"for:customer.cash:alice iso4217:USD settled 5", "at:bank.operating:bank:100 iso4217:USD settled 5"}},
		{"debit for a client", cash("1", "ACCT/alice", bank, "", 5), []string{"for:customer.cash:alice iso4217:USD settled -5", "at:bank.operating:bank:100 iso4217:USD settled -5"}},
		{"unknown reference", cash("1", "ACCT/zoe", "", bank, 5), []string{"for:suspense:bank:100 iso4217:USD settled 5", "at:bank.operating:bank:100 iso4217:USD settled 5"}},
		{"two references", cash("1", "ACCT/alice ACCT/bob", "", bank, 5), []string{"for:suspense:bank:100 iso4217:USD settled 5", "at:bank.operating:bank:100 iso4217:USD settled 5"}},
		{"a client and a transfer", cash("1", "ACCT/alice XFER/1", "", bank, 5), []string{"for:suspense:bank:100 iso4217:USD settled 5", "at:bank.operating:bank:100 iso4217:USD settled 5"}},
		{"unexplained debit", cash("1", "charges", bank, "", 5), []string{"at:missing:bank:100 iso4217:USD settled 5", "at:bank.operating:bank:100 iso4217:USD settled -5"}},
		{"half a transfer", cash("1", "XFER/9", bank, "", 5), []string{"at:bank.transit:transfer:9 iso4217:USD settled 5", "at:bank.operating:bank:100 iso4217:USD settled -5"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBooks(t)
			b.observe(test.o)
			b.expect(test.want...)
		})
	}
	b := newBooks(t)
	b.observe(cash("1", "ACCT/alice", "", bank, 5))
	if again := b.observe(cash("1", "ACCT/alice", "", bank, 5)); again != nil {
		t.Errorf("the same movement in another statement calls for %v", again)
	}
	if _, err := b.m.Observe(cash("1", "ACCT/alice", "", bank, 6)); err == nil {
		t.Error("the same movement with another amount, want an error")
	}
	other := cash("1", "ACCT/alice", "", bank, 5)
	other.Source = "another bank"
	for _, o := range []custody.Observation{other, cash("1", "ACCT/alice", "", "bank:999", 5)} {
		if _, err := b.m.Observe(o); err == nil || !strings.Contains(err.Error(), settle.ErrUnknownPlace.Error()) {
			t.Errorf("Observe(%s from %s) = %v, want %v", o.To, o.Source, err, settle.ErrUnknownPlace)
		}
	}
}

// A balance books nothing by itself. Shares that were expected and are now shown,
// exactly, are received; any other sum is left to be a break.
func TestExpectedShares(t *testing.T) {
	b := newBooks(t)
	for id, amount := range map[string]int64{"x1": 600, "x2": 400} {
		x := custody.TransferExpected{ID: id, Owner: "alice", Place: dtc, Asset: share, Amount: custody.NewAmount(amount)}
		e, err := custody.FactEntry(custody.KindExpected, custody.Ref(id), "test", start, x)
		if err != nil {
			t.Fatal(err)
		}
		if e, err = b.m.Expect(e, x); err != nil {
			t.Fatal(err)
		}
		b.post(e)
	}
	b.observe(balance("s1", "dtc", dtc, share, 999))
	if kinds := b.observe(balance("s2", "dtc", dtc, share, 1000)); len(kinds) != 3 {
		t.Errorf("the full balance calls for %v, want a fact and two receipts", kinds)
	}
	b.expect("at:dtc.free:dtc:0123 cusip:037833100 settled 1000", "for:customer.cash:alice cusip:037833100 settled 1000")
	if left := b.m.Expected(); len(left) != 0 {
		t.Errorf("Expected() = %v, want none", left)
	}
}

// A statement that comes late says what was, not what is.
func TestLateStatement(t *testing.T) {
	b := newBooks(t)
	b.observe(balance("new", "dtc", dtc, share, 7))
	late := balance("old", "dtc", dtc, share, 5)
	late.Effective = start.Add(-time.Hour)
	if kinds := b.observe(late); len(kinds) != 1 {
		t.Errorf("the late statement calls for %v, want the fact alone", kinds)
	}
	if h := b.m.Holdings(); len(h) != 1 || h[0].Amount != custody.NewAmount(7) {
		t.Errorf("Holdings() = %v, want the 7 of the newer statement", h)
	}
}

// Any history of inclusions, retractions and finality leaves books that balance
// and say what the chain says; folding the journal again gives the same machine.
func TestHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBooks(t)
		type tx struct {
			o        custody.Observation
			included bool
			final    bool
		}
		var txs []*tx
		for n := range rapid.IntRange(1, 12).Draw(rt, "transactions") {
			places := []custody.Place{aliceWallet, pool, nobody, bobOutside}
			from := rapid.SampledFrom(places).Draw(rt, "from")
			to := rapid.SampledFrom(places[:2]).Draw(rt, "to")
			if from == to {
				continue
			}
			o := moved(fmt.Sprintf("t%d", n), from, to, rapid.Int64Range(1, 1000).Draw(rt, "amount"), custody.Included, "")
			o.Nonce = uint64(n)
			txs = append(txs, &tx{o: o})
		}
		for step := range rapid.IntRange(0, 40).Draw(rt, "steps") {
			if len(txs) == 0 {
				break
			}
			x := rapid.SampledFrom(txs).Draw(rt, "which")
			switch {
			case x.final:
			case !x.included:
				x.o.Stage, x.o.Evidence.BlockHash, x.included = custody.Included, fmt.Sprint("b", step), true
				b.observe(x.o)
			case rapid.Bool().Draw(rt, "retract"):
				x.o.Stage, x.included = custody.Retracted, false
				b.observe(x.o)
			default:
				x.o.Stage, x.final = custody.Final, true
				b.observe(x.o)
			}
		}
		truth := map[custody.Place]custody.Amount{}
		for _, x := range txs {
			if x.included {
				truth[x.o.To], _ = truth[x.o.To].Add(x.o.Amount)
				truth[x.o.From], _ = truth[x.o.From].Sub(x.o.Amount)
			}
		}
		for _, place := range []custody.Place{aliceWallet, pool} {
			var got custody.Amount
			for _, e := range b.journal {
				for _, l := range e.Legs {
					if l.Account == custody.AtPlace(custody.ChainWallet, place) {
						got, _ = got.Add(l.Amount)
					}
				}
			}
			if got != truth[place] {
				rt.Fatalf("books say %s at %s, the chain %s", got, place, truth[place])
			}
		}
		again := settle.New()
		for _, e := range b.journal {
			if err := again.Apply(e); err != nil {
				rt.Fatal(err)
			}
		}
		if x, y := view(again), view(b.m); !maps.Equal(x, y) {
			rt.Fatalf("folded again: %v, running: %v", x, y)
		}
	})
}

func view(m *settle.Machine) map[string]string {
	return map[string]string{
		"unauthorized": fmt.Sprint(m.Unauthorized()), "holdings": fmt.Sprint(m.Holdings()),
		"alice": m.InFlight(aliceWallet, coin).String(), "pool": m.InFlight(pool, coin).String(),
	}
}
