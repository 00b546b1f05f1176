package recon_test

import (
	"fmt"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/custody/recon"
)

// omnibus is a depository account of so many instruments, a part of each of them
// pledged, as the books have it and as the depository says. The last one differs.
func omnibus(n int) recon.Inputs {
	free, pledged := custody.Place("dtc:0123"), custody.Place("dtc:0123/pledged")
	in := recon.Inputs{InFlight: func(custody.Place, custody.AssetID) custody.Amount { return custody.Amount{} }}
	for i := range n {
		asset := custody.AssetID(fmt.Sprintf("cusip:%09d", i))
		for _, part := range []struct {
			kind   custody.AccountType
			place  custody.Place
			amount int64
		}{{custody.DTCFree, free, int64(i)*3 + 1}, {custody.DTCPledged, pledged, int64(i) + 1}} {
			amount := custody.NewAmount(part.amount)
			in.Positions = append(in.Positions, custody.Position{Account: custody.AtPlace(part.kind, part.place), Asset: asset, Settled: amount})
			if i == n-1 {
				amount, _ = amount.Add(custody.NewAmount(1))
			}
			in.Holdings = append(in.Holdings, custody.Holding{Place: part.place, Asset: asset, Amount: amount})
		}
	}
	return in
}

// TestOmnibus: what is free and what is pledged are compared apart, so that one cannot
// make up for the other.
func TestOmnibus(t *testing.T) {
	in := omnibus(3)
	in.Holdings[0].Amount, in.Holdings[1].Amount = in.Holdings[1].Amount, in.Holdings[0].Amount
	in.Holdings[0].Amount, _ = in.Holdings[0].Amount.Add(custody.NewAmount(1))
	breaks, err := recon.Compare(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(breaks) != 3 {
		t.Errorf("%d breaks %+v, expected one of the first instrument and two of the last", len(breaks), breaks)
	}
}

// BenchmarkOmnibus compares 1,000,000 positions with the sub-ledger: 500,000
// instruments, free and pledged apart.
//
//	go test -run '^$' -bench Omnibus ./custody/recon
func BenchmarkOmnibus(b *testing.B) {
	in := omnibus(500_000)
	b.ReportAllocs()
	for b.Loop() {
		breaks, err := recon.Compare(in)
		if err != nil || len(breaks) != 2 {
			b.Fatal(err, len(breaks))
		}
	}
}
