package reserve

import (
	"fmt"

	"goodcontrol/custody"
)

// LocationKind is the paragraph of 15c3-3(c) by which a place is a control location.
type LocationKind string

// The kinds of control location.
const (
	ClearingCorporation LocationKind = "clearing_corporation" // (c)(1)
	OmnibusAccount      LocationKind = "omnibus_account"      // (c)(2)
	ForeignDepository   LocationKind = "foreign_depository"   // (c)(4)
	BankCustodian       LocationKind = "bank_custodian"       // (c)(5)
	OwnOffice           LocationKind = "own_office"           // (c)(6)
	ApprovedLocation    LocationKind = "approved_location"    // (c)(7)
)

// ControlLocation is what is held of one place: the letter by which its keeper acknowledges
// that the securities are not subject to any right, charge or lien and are delivered
// without payment, or the Commission's approval.
type ControlLocation struct {
	Kind     LocationKind `json:"kind"`
	Letter   Date         `json:"letter"`  // zero: not held
	Expires  Date         `json:"expires"` // zero: no end
	NoLien   bool         `json:"no_lien"`
	Evidence string       `json:"evidence"` // where the letter is
}

// lacks says why the place is not a control location on a day, or nothing.
func (l ControlLocation) lacks(on Date) string {
	switch l.Kind {
	case ClearingCorporation, OwnOffice:
		return ""
	case OmnibusAccount, ForeignDepository, BankCustodian, ApprovedLocation:
	default:
		return fmt.Sprintf("%q is no kind of control location (15c3-3(c))", l.Kind)
	}
	switch {
	case l.Letter == 0 || l.Letter > on:
		return "no letter or approval is held (15c3-3(c))"
	case l.Expires != 0 && l.Expires < on:
		return fmt.Sprintf("the letter expired on %s (15c3-3(c))", l.Expires)
	case !l.NoLien:
		return "the letter does not exclude liens (15c3-3(c))"
	}
	return ""
}

// Attestation is what the firm has written down of a security on a chain, by which it may
// deem itself to possess it: the five circumstances of the staff statement of 2025-12-17,
// and the key-share test. A statement without a date is not made, and one past its end no
// longer holds.
type Attestation struct {
	Access      Stated `json:"access"`      // it has the keys and can transfer on the ledger
	Assessment  Stated `json:"assessment"`  // written assessment of ledger and network
	NoProblem   Stated `json:"no_problem"`  // no material security or operational problem is known
	KeyControls Stated `json:"keys"`        // controls against theft, loss and misuse of keys
	Plans       Stated `json:"contingency"` // malfunctions, forks, lawful orders, a successor
	// Threshold is how many key shares sign. Own are those that the firm can use, recovery
	// included, Others those that anybody else controls.
	Threshold int `json:"threshold"`
	Own       int `json:"own_shares"`
	Others    int `json:"others_shares"`
}

// Stated is one dated statement.
type Stated struct {
	On       Date   `json:"on"`
	Until    Date   `json:"until"` // zero: no end
	Evidence string `json:"evidence"`
}

func (s Stated) holds(on Date) bool {
	return s.On != 0 && s.On <= on && (s.Until == 0 || on <= s.Until)
}

// lacks says why the firm may not deem itself in possession on a day, or nothing.
func (a Attestation) lacks(on Date) string {
	for _, s := range []struct {
		name string
		Stated
	}{
		{"access to the ledger", a.Access}, {"the assessment of the ledger", a.Assessment}, {"that no material problem is known", a.NoProblem},
		{"controls of the keys", a.KeyControls}, {"contingency plans", a.Plans},
	} {
		if !s.holds(on) {
			return fmt.Sprintf("no statement of %s holds on %s", s.name, on)
		}
	}
	switch {
	case a.Threshold <= 0:
		return "no threshold of key shares is stated"
	case a.Own < a.Threshold:
		return fmt.Sprintf("the firm can use %d key shares of the %d that sign", a.Own, a.Threshold)
	case a.Others >= a.Threshold:
		return fmt.Sprintf("others control %d key shares, and %d sign", a.Others, a.Threshold)
	}
	return ""
}

// ControlRegister is what control depends on beside positions, on a day. A sub-custodian
// that is not in it is no control location, and a security on a chain that is not in it is
// not in control wherever its keys are. Without any register types are taken at their word.
type ControlRegister struct {
	AsOf         Date
	Locations    map[custody.Place]ControlLocation
	Attestations map[custody.AssetID]Attestation
	Covers       map[custody.Place]Cover
	// Selection is what the firm may use of margin securities, under the numbers of
	// Rules. Prices are for who computes from positions: the tracker has its own.
	Selection Selection
	Rules     Pack
	Prices    map[custody.AssetID]Price
}

func (r *ControlRegister) covers() map[custody.Place]Cover {
	if r == nil {
		return nil
	}
	return r.Covers
}

// location says why a place is not a control location, or nothing.
func (r *ControlRegister) location(place custody.Place) string {
	if r == nil {
		return ""
	}
	l, found := r.Locations[place]
	if !found {
		return "it is not in the register of control locations (15c3-3(c))"
	}
	return l.lacks(r.AsOf)
}

// attestation says why the firm may not deem itself in possession of a security on a chain,
// or nothing.
func (r *ControlRegister) attestation(id custody.AssetID) string {
	if r == nil {
		return ""
	}
	a, found := r.Attestations[id]
	if !found {
		return "nothing is attested of this security on its chain"
	}
	return a.lacks(r.AsOf)
}
