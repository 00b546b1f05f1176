package recon_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/custody/recon"
)

// outside is a world that says what it was told to say.
type outside struct {
	holdings map[string]custody.Holding
	inFlight map[string]custody.Amount
}

func (o *outside) Holding(p custody.Place, a custody.AssetID) (custody.Holding, bool) {
	h, ok := o.holdings[string(p)+string(a)]
	return h, ok
}

func (o *outside) InFlight(p custody.Place, a custody.AssetID) custody.Amount {
	return o.inFlight[string(p)+string(a)]
}

func (o *outside) Called(p custody.Place, a custody.AssetID) custody.Amount {
	return o.inFlight["called "+string(p)+string(a)]
}

func observed(p custody.Place, a custody.AssetID) custody.Entry {
	return custody.Entry{Kind: custody.KindObserved, Body: fmt.Appendf(nil, `{"observation":{"to":%q,"asset":%q}}`, p, a)}
}

// Whatever happens, in whatever order it is looked at, the increments find what a
// comparison of everything finds.
func TestMatcherIsCompare(t *testing.T) {
	accounts := []custody.Account{
		custody.AtPlace(custody.ChainWallet, "eip155:1:0xA"), custody.AtPlace(custody.ChainFrozen, "eip155:1:0xA"), custody.AtPlace(custody.BankOperating, "bank:1"),
		custody.AtPlace(custody.DTCFree, "dtc:1"), custody.AtPlace(custody.BankTransit, "transfer:1"), custody.ForOwner(custody.SuspenseAny, "bank:1"),
		custody.AtPlace(custody.SettlementCash, "settlement:1"),
		custody.AtPlace(custody.GoneMissing, "bank:1"), custody.ForOwner(custody.CustomerCash, "alice"),
	}
	assets := []custody.AssetID{coin, custody.USD, "cusip:037833100"}
	rapid.Check(t, func(t *rapid.T) {
		w := &outside{map[string]custody.Holding{}, map[string]custody.Amount{}}
		m := recon.NewMatcher(w)
		books := map[custody.Account]map[custody.AssetID]custody.Amount{}
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			account, asset := rapid.SampledFrom(accounts).Draw(t, "account"), rapid.SampledFrom(assets).Draw(t, "asset")
			amount := custody.NewAmount(rapid.Int64Range(-3, 3).Draw(t, "amount"))
			place := custody.Place(account.Name)
			e := custody.Entry{Legs: []custody.Leg{{Account: account, Asset: asset, Layer: custody.Settled, Amount: amount}}}
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				w.holdings[string(place)+string(asset)] = custody.Holding{Place: place, Asset: asset, Amount: amount}
				e = observed(place, asset)
			case 1:
				account = accounts[0]
				w.inFlight[account.Name+string(asset)] = amount
				e.Legs[0].Account, e.Legs[0].Layer = account, custody.Pending
			default:
				if books[account] == nil {
					books[account] = map[custody.AssetID]custody.Amount{}
				}
				books[account][asset], _ = books[account][asset].Add(amount)
				if k := "called " + account.Name + string(asset); rapid.Bool().Draw(t, "called for") {
					w.inFlight[k], _ = w.inFlight[k].Add(amount)
				}
			}
			if err := m.Apply(e); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "look") {
				held(t, m, w, books)
			}
		}
		held(t, m, w, books)
	})
}

func held(t *rapid.T, m *recon.Matcher, w *outside, books map[custody.Account]map[custody.AssetID]custody.Amount) {
	in := recon.Inputs{InFlight: w.InFlight, Called: w.Called}
	for account, assets := range books {
		for asset, amount := range assets {
			in.Positions = append(in.Positions, custody.Position{Account: account, Asset: asset, Settled: amount})
		}
	}
	for _, h := range w.holdings {
		in.Holdings = append(in.Holdings, h)
	}
	full, err := recon.Compare(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Look(); err != nil {
		t.Fatal(err)
	}
	if missed := recon.Missed(full, m.Breaks()); len(missed) > 0 {
		t.Fatalf("missed %q", missed)
	}
}

// An entry makes the matcher look at its own places only; and what it is not told
// of, a sweep finds and Forget repairs.
func TestSweepFindsWhatWasMissed(t *testing.T) {
	w := &outside{map[string]custody.Holding{}, nil}
	m := recon.NewMatcher(w)
	for i := range 100 {
		p := custody.Place(fmt.Sprint("bank:", i))
		h := holding(p, custody.USD, 0)
		w.holdings[string(p)+string(custody.USD)] = h
		if err := m.Apply(observed(p, custody.USD)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := m.Look(); n != 100 || err != nil {
		t.Fatalf("first look at %d places: %v", n, err)
	}
	h := w.holdings["bank:7"+string(custody.USD)]
	h.Amount = custody.NewAmount(5)
	w.holdings["bank:7"+string(custody.USD)] = h // and no entry says so
	if err := m.Apply(observed("bank:8", custody.USD)); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Look(); n != 1 || err != nil || len(m.Breaks()) != 0 {
		t.Fatalf("second look at %d places: %v", n, err)
	}
	full, err := recon.Compare(recon.Inputs{Holdings: []custody.Holding{h}, InFlight: w.InFlight})
	if err != nil {
		t.Fatal(err)
	}
	if missed := recon.Missed(full, m.Breaks()); len(missed) != 1 {
		t.Fatalf("missed %q", missed)
	}
	m.Forget(nil, []custody.Holding{h})
	if _, err := m.Look(); err != nil || len(recon.Missed(full, m.Breaks())) != 0 {
		t.Fatalf("after forgetting: %v %v", m.Breaks(), err)
	}
}

// What is likeliest to have caused a difference.
func TestCauses(t *testing.T) {
	const shares = custody.AssetID("cusip:037833100")
	statement := time.Date(2026, 11, 20, 21, 0, 0, 0, time.UTC)
	rows := []struct {
		name    string
		account custody.Account
		asset   custody.AssetID
		booked  []int64 // negative hours from the statement come first
		late    int64   // booked after the statement
		outside int64
		want    custody.Cause
	}{
		{"moved after the statement", custody.AtPlace(custody.BankOperating, "bank:1"), custody.USD, []int64{100}, -30, 100, custody.CauseTiming},
		{"booked twice", custody.AtPlace(custody.BankOperating, "bank:1"), custody.USD, []int64{100, 40, 40}, 0, 140, custody.CauseDuplicate},
		{"split", custody.AtPlace(custody.DTCFree, "dtc:1"), shares, []int64{100}, 0, 300, custody.CauseCorporateAction},
		{"reverse split", custody.AtPlace(custody.DTCFree, "dtc:1"), shares, []int64{100}, 0, 10, custody.CauseCorporateAction},
		{"no split", custody.AtPlace(custody.DTCFree, "dtc:1"), shares, []int64{100}, 0, 101, custody.CauseUnknown},
		{"frozen", custody.AtPlace(custody.ChainFrozen, addr), coin, []int64{100}, 0, 0, custody.CauseFreeze},
		{"gone", custody.AtPlace(custody.ChainWallet, addr), coin, []int64{100}, 0, 99, custody.CauseUnauthorised},
		{"come", custody.AtPlace(custody.ChainWallet, addr), coin, []int64{100}, 0, 101, custody.CauseUnknownOrigin},
		{"a bank's own", custody.AtPlace(custody.BankOperating, "bank:1"), custody.USD, []int64{100}, 0, 99, custody.CauseUnknown},
	}
	for _, r := range rows {
		place := custody.Place(r.account.Name)
		h := holding(place, r.asset, r.outside)
		h.AsOf = statement
		m := recon.NewMatcher(&outside{map[string]custody.Holding{string(place) + string(r.asset): h}, nil})
		book := func(amount int64, at time.Time) {
			leg := custody.Leg{Account: r.account, Asset: r.asset, Layer: custody.Settled, Amount: custody.NewAmount(amount)}
			if err := m.Apply(custody.Entry{Effective: at, Legs: []custody.Leg{leg}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, amount := range r.booked {
			book(amount, statement.Add(-time.Hour))
		}
		if r.late != 0 {
			book(r.late, statement.Add(time.Hour))
		}
		if _, err := m.Look(); err != nil {
			t.Fatal(err)
		}
		breaks := m.Breaks()
		if len(breaks) != 1 || breaks[0].Cause != r.want || !breaks[0].Explained.IsZero() {
			t.Errorf("%s: %+v, expected %s and nothing explained", r.name, breaks, r.want)
		}
	}
}
