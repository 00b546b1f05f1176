// Package recon holds the books against the world: what the journal says is at
// each place, against what the chain, the depository or the bank says is there.
//
// Each difference is a [custody.Break] with its size, its cause if one is known,
// how much of it that cause explains, and who should bring the record that closes
// it. A difference that the chain shows and finality has yet to confirm is not a
// break. What left a place without an approved intent is booked as missing, and
// is a deficit in control, not a break: books and chain agree that it is gone.
//
// [Compare] compares everything; a [Matcher] only what an entry touched, and is held
// to the other by sweeps.
//
// The package changes nothing, does no I/O, and reads no clock.
package recon

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"goodcontrol/custody"
)

// Inputs is what is compared.
type Inputs struct {
	Positions []custody.Position
	Holdings  []custody.Holding
	// InFlight is what a place shows already and the settled books do not yet.
	InFlight func(custody.Place, custody.AssetID) custody.Amount
	// Called is the money that activities call for in a settlement: positive to come
	// in, negative to go out. Without it no settlement is explained.
	Called func(custody.Place, custody.AssetID) custody.Amount
}

// spot is one asset at one place.
type spot struct {
	place custody.Place
	asset custody.AssetID
}

// Compare returns every break, sorted by id. The slices are not changed.
func Compare(in Inputs) ([]custody.Break, error) {
	books := make(map[spot]custody.Amount, len(in.Positions))
	var breaks []custody.Break
	for _, p := range in.Positions {
		if between(p.Account.Type) {
			if !p.Settled.IsZero() {
				breaks = append(breaks, unplaced(p, in.Called))
			}
			continue
		}
		if !present(p.Account.Type) || p.Settled.IsZero() {
			continue
		}
		k := spot{custody.Place(p.Account.Name), p.Asset}
		sum, ok := books[k].Add(p.Settled)
		if !ok {
			return nil, fmt.Errorf("comparing %s at %s: books overflow", k.asset, k.place)
		}
		books[k] = sum
	}
	for _, h := range in.Holdings {
		k := spot{h.Place, h.Asset}
		b, err := compare(books[k], h, in.InFlight(h.Place, h.Asset))
		if err != nil {
			return nil, err
		}
		if !b.Difference.IsZero() {
			breaks = append(breaks, b)
		}
		delete(books, k)
	}
	for k, amount := range books {
		if !amount.IsZero() { // two accounts of a place may cancel out
			breaks = append(breaks, unconfirmed(k, amount))
		}
	}
	slices.SortFunc(breaks, func(a, b custody.Break) int { return cmp.Compare(a.ID, b.ID) })
	return breaks, nil
}

// present says whether an account of the type says that something is at a place
// which somebody outside reports on.
func present(t custody.AccountType) bool {
	switch t {
	case custody.DTCFree, custody.DTCPledged, custody.SubCustodian, custody.BankOperating, custody.ReserveCustomer,
		custody.ReservePAB, custody.ChainWallet, custody.ChainReserve, custody.ChainFrozen, custody.OCCMargin, custody.ClearingMargin, custody.ClearingFund, custody.SweepBank:
		return true
	}
	return false
}

func id(place custody.Place, asset custody.AssetID) string {
	return string(place) + "/" + string(asset)
}

// compare holds one place's books against its holding. What is in flight is taken
// off first: the place shows it, and the settled books rightly do not.
func compare(books custody.Amount, h custody.Holding, inFlight custody.Amount) (custody.Break, error) {
	total, ok := h.Amount.Sub(books)
	rest, ok2 := total.Sub(inFlight)
	if !ok || !ok2 {
		return custody.Break{}, fmt.Errorf("comparing %s at %s: difference overflows", h.Asset, h.Place)
	}
	if rest.IsZero() {
		return custody.Break{}, nil
	}
	return custody.Break{
		ID: id(h.Place, h.Asset), Place: h.Place, Asset: h.Asset,
		Books: books, Outside: h.Amount, Difference: total, Explained: inFlight,
		Cause: custody.CauseUnknown, ExpectedSource: h.Source,
		AffectsReserve: h.Asset == custody.USD, Evidence: h.Evidence,
	}, nil
}

// unconfirmed is a break for what nobody outside has ever confirmed.
func unconfirmed(k spot, amount custody.Amount) custody.Break {
	return custody.Break{
		ID: id(k.place, k.asset), Place: k.place, Asset: k.asset,
		Books: amount, Difference: amount.Neg(), Cause: custody.CauseNoStatement,
		ExpectedSource: string(k.place), AffectsReserve: k.asset == custody.USD,
	}
}

// unplaced is a break for what is between two places, or for nobody known. It is
// explained: what is missing is the other half, or the owner's name. But money that
// arrived and never left explains nothing: whoever sent it may have called it a
// transfer of ours.
func unplaced(p custody.Position, called func(custody.Place, custody.AssetID) custody.Amount) custody.Break {
	b := custody.Break{
		ID: p.Account.Type.String() + "/" + id(custody.Place(p.Account.Name), p.Asset), Place: custody.Place(p.Account.Name), Account: p.Account, Asset: p.Asset,
		Books: p.Settled, Difference: p.Settled.Neg(), Explained: p.Settled.Neg(),
		Cause: custody.CauseInTransit, AffectsReserve: p.Asset == custody.USD,
		ExpectedSource: "the other account's statement",
	}
	if p.Account.Type == custody.SettlementCash {
		return unsettled(b, called)
	}
	if p.Account.Type == custody.SuspenseAny {
		b.Cause, b.ExpectedSource = custody.CauseUnknownOrigin, "the depositor's name"
	} else if p.Settled.Sign() < 0 {
		b.Cause, b.Explained = custody.CauseUnknown, custody.Amount{}
	}
	return b
}

// unsettled completes the break of a settlement whose money has not all moved. What
// activities call for and the bank has still to show explains it. What the bank has
// shown beyond that, or without any activity, explains nothing.
func unsettled(b custody.Break, called func(custody.Place, custody.AssetID) custody.Amount) custody.Break {
	b.ExpectedSource = "the bank's record of the settlement"
	var due custody.Amount
	if called != nil {
		due = called(b.Place, b.Asset)
	}
	if due.Sign() != b.Books.Sign() || due.Abs().Cmp(b.Books.Abs()) < 0 {
		b.Cause, b.Explained, b.ExpectedSource = custody.CauseUnknown, custody.Amount{}, "the activity that the money is for"
	}
	return b
}

// Age gives each break the time since when it stands: that of the same break
// before, or now for a new one.
func Age(breaks, before []custody.Break, now time.Time) {
	since := map[string]time.Time{}
	for _, b := range before {
		since[b.ID] = b.FirstSeen
	}
	for i := range breaks {
		breaks[i].FirstSeen = now
		if t, ok := since[breaks[i].ID]; ok {
			breaks[i].FirstSeen = t
		}
	}
}
