package recon_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/custody/recon"
)

const (
	coin = custody.AssetID("eip155:1/slip44:60")
	addr = custody.Place("eip155:1:0xA")
)

func at(t custody.AccountType, place custody.Place, asset custody.AssetID, n int64) custody.Position {
	return custody.Position{Account: custody.AtPlace(t, place), Asset: asset, Settled: custody.NewAmount(n)}
}

func holding(place custody.Place, asset custody.AssetID, n int64) custody.Holding {
	return custody.Holding{Place: place, Asset: asset, Amount: custody.NewAmount(n), Source: "outside"}
}

func TestCompare(t *testing.T) {
	wallet := at(custody.ChainWallet, addr, coin, 10)
	for _, test := range []struct {
		name      string
		positions []custody.Position
		holdings  []custody.Holding
		inFlight  int64
		want      string
	}{
		{"equal", []custody.Position{wallet}, []custody.Holding{holding(addr, coin, 10)}, 0, "[]"},
		{"short", []custody.Position{wallet}, []custody.Holding{holding(addr, coin, 9)}, 0, "[unknown -1 explained 0]"},
		{"unseen by us", nil, []custody.Holding{holding(addr, coin, 4)}, 0, "[unknown 4 explained 0]"},
		{"not yet final", []custody.Position{wallet}, []custody.Holding{holding(addr, coin, 15)}, 5, "[]"},
		{"not yet final, and more", []custody.Position{wallet}, []custody.Holding{holding(addr, coin, 16)}, 5, "[unknown 6 explained 5]"},
		{"never confirmed", []custody.Position{wallet}, nil, 0, "[missing_statement -10 explained 0]"},
		{"free and frozen are one place", []custody.Position{wallet, at(custody.ChainFrozen, addr, coin, 2)}, []custody.Holding{holding(addr, coin, 12)}, 0, "[]"},
		{"missing is booked as such", []custody.Position{wallet, at(custody.GoneMissing, addr, coin, 3)}, []custody.Holding{holding(addr, coin, 10)}, 0, "[]"},
		{"between two banks", []custody.Position{at(custody.BankTransit, "transfer:1", custody.USD, 7)}, nil, 0, "[in_transit -7 explained -7]"},
		{"arrived and never left", []custody.Position{at(custody.BankTransit, "transfer:1", custody.USD, -7)}, nil, 0, "[unknown 7 explained 0]"},
		{"for nobody known", []custody.Position{{Account: custody.ForOwner(custody.SuspenseAny, "bank:1"), Asset: custody.USD, Settled: custody.NewAmount(7)}}, nil, 0, "[unknown_deposit -7 explained -7]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			breaks, err := recon.Compare(recon.Inputs{Positions: test.positions, Holdings: test.holdings,
				InFlight: func(custody.Place, custody.AssetID) custody.Amount { return custody.NewAmount(test.inFlight) }})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range breaks {
				got = append(got, fmt.Sprintf("%s %s explained %s", b.Cause, b.Difference, b.Explained))
			}
			if fmt.Sprint(got) != test.want {
				t.Errorf("breaks are %v, want %s", got, test.want)
			}
		})
	}
}

// What is found is exactly the difference of the two sides, place by place, and
// nothing is found when they are equal.
func TestDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var positions []custody.Position
		var holdings []custody.Holding
		want := map[custody.Place]int64{}
		for i := range rapid.IntRange(0, 20).Draw(t, "places") {
			place := custody.Place(fmt.Sprintf("eip155:1:%d", i))
			books, outside := rapid.Int64Range(0, 3).Draw(t, "books"), rapid.Int64Range(0, 3).Draw(t, "outside")
			positions = append(positions, at(custody.ChainWallet, place, coin, books))
			holdings = append(holdings, holding(place, coin, outside))
			if books != outside {
				want[place] = outside - books
			}
		}
		breaks, err := recon.Compare(recon.Inputs{Positions: positions, Holdings: holdings,
			InFlight: func(custody.Place, custody.AssetID) custody.Amount { return custody.Amount{} }})
		if err != nil {
			t.Fatal(err)
		}
		if len(breaks) != len(want) {
			t.Fatalf("%d breaks, want %d", len(breaks), len(want))
		}
		for _, b := range breaks {
			if b.Difference != custody.NewAmount(want[b.Place]) || b.Unexplained() != b.Difference {
				t.Fatalf("%s differs by %s, want %d", b.Place, b.Difference, want[b.Place])
			}
		}
	})
}

func TestAge(t *testing.T) {
	monday := time.Date(2026, 11, 16, 9, 0, 0, 0, time.UTC)
	breaks := []custody.Break{{ID: "old"}, {ID: "new"}}
	recon.Age(breaks, []custody.Break{{ID: "old", FirstSeen: monday}}, monday.AddDate(0, 0, 1))
	if breaks[0].FirstSeen != monday || breaks[1].FirstSeen != monday.AddDate(0, 0, 1) {
		t.Errorf("first seen %s and %s", breaks[0].FirstSeen, breaks[1].FirstSeen)
	}
}
