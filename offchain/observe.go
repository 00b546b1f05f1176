package offchain

import (
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
)

// pledgedSuffix is what the place of a depository account carries for the part of
// it that cannot be had without restriction.
const pledgedSuffix = "/pledged"

// BankPlace is the place of an account at a bank.
func BankPlace(account string) custody.Place { return custody.Place("bank:" + account) }

// FreePlace is the place of what is freely available in a safekeeping account.
func FreePlace(account string) custody.Place { return custody.Place("dtc:" + account) }

// PledgedPlace is the place of what is pledged, or for another reason not available.
func PledgedPlace(account string) custody.Place { return FreePlace(account) + pledgedSuffix }

// Observations says what the statement amounts to: a movement for each booked
// entry and, if the file is the whole statement, the closing balance. Movements
// are Final: a bank that takes a booking back books the contrary.
//
// A report within the day gives none, since its entries come again in the statement.
//
// The Ref of a movement is the account, the statement and the bank's reference; or
// the place in the file, if the bank gives none or has given it before.
func (s BankStatement) Observations(r Received) ([]custody.Observation, error) {
	if s.Intraday {
		return nil, nil
	}
	var all []custody.Observation
	used := make(map[Text]bool, len(s.Entries))
	for _, e := range s.Entries {
		if e.Status != Booked {
			continue
		}
		o, err := s.movement(e, r)
		if err != nil {
			return nil, err
		}
		if e.Reference == "" || used[e.Reference] {
			o.Ref = r.ref(e.At)
		}
		used[e.Reference] = true
		all = append(all, o)
	}
	whole := s.Page == 0 || (s.Page == 1 && s.LastPage != No)
	if !whole || !s.Closing.Given {
		return all, nil
	}
	closing, err := s.closing(r)
	if err != nil {
		return nil, err
	}
	return append(all, closing), nil
}

// movement is what one entry amounts to. It is effective when it was booked, or
// else from its value date.
func (s BankStatement) movement(e BankEntry, r Received) (custody.Observation, error) {
	asset, amount, err := r.money(e.Currency, e.Amount, e.At)
	if err != nil {
		return custody.Observation{}, err
	}
	effective := e.Booked
	if !effective.Given() {
		effective = e.Value
	}
	if !effective.Given() {
		return custody.Observation{}, Fault(r.Name, e.At.Line, e.At.From, "an entry without a date", "a booking or a value date")
	}
	o := custody.Observation{
		Ref:    custody.Ref(fmt.Sprintf("bank:%s/%s/%s", s.Account, s.ID, e.Reference)),
		Kind:   custody.Movement,
		Stage:  custody.Final,
		Source: r.Source,
		Asset:  asset,
		Amount: amount,

		Text:      e.Words(),
		Effective: effective.Time,
		Evidence:  r.evidence(e.At),
	}
	if e.Side == Credit {
		o.To = BankPlace(s.Account)
	} else {
		o.From = BankPlace(s.Account)
	}
	return o, nil
}

// Words is all that an entry says: its text and the payer's own reference.
func (e BankEntry) Words() string {
	if e.Text == "" || e.EndToEnd == "" {
		return string(e.Text + e.EndToEnd)
	}
	return string(e.Text + "\n" + e.EndToEnd)
}

func (s BankStatement) closing(r Received) (custody.Observation, error) {
	asset, amount, err := r.money(s.ClosingCurrency, s.Closing, s.ClosingAt)
	if err != nil {
		return custody.Observation{}, err
	}
	if !s.AsOf.Given() {
		return custody.Observation{}, Fault(r.Name, s.ClosingAt.Line, s.ClosingAt.From, "a closing balance without a date", "a date of the balance or of the statement")
	}
	o := r.balance(BankPlace(s.Account), asset, amount, s.ClosingAt)
	o.Effective = s.AsOf.Time
	return o, nil
}

// Observations says what the statement amounts to: for each instrument and
// safekeeping account, how much is freely available and how much is pledged or for
// another reason not available, zero included, so that the end of a pledge is seen.
//
// scale gives the decimals of an asset. An instrument that it does not know, or a
// quantity finer than the asset's smallest unit, refuses the whole statement.
func (s SecuritiesStatement) Observations(r Received, scale func(custody.AssetID) (uint8, bool)) ([]custody.Observation, error) {
	if s.Basis == "TRAD" && len(s.Holdings) > 0 {
		at := s.Holdings[0].At
		return nil, Fault(r.Name, at.Line, at.From, "balances of the trade date (TRAD)", "settled balances (SETT)")
	}
	var all []custody.Observation
	type key struct {
		account string
		asset   custody.AssetID
	}
	seen := make(map[key]bool, len(s.Holdings))
	for _, h := range s.Holdings {
		asset, err := h.asset(r)
		if err != nil {
			return nil, err
		}
		decimals, known := scale(asset)
		if !known {
			return nil, Fault(r.Name, h.At.Line, h.At.From, string(asset), "an instrument that is listed")
		}
		account := s.Account
		if h.Account != "" {
			account = string(h.Account)
		}
		if seen[key{account, asset}] {
			return nil, Fault(r.Name, h.At.Line, h.At.From, string(asset)+" again", "each instrument once in a safekeeping account")
		}
		seen[key{account, asset}] = true
		free, restricted := h.split()
		for _, part := range []struct {
			place    custody.Place
			quantity decimal.Decimal
		}{{FreePlace(account), free}, {PledgedPlace(account), restricted}} {
			amount, err := custody.AmountFromDecimal(part.quantity, decimals)
			if err != nil {
				return nil, Fault(r.Name, h.At.Line, h.At.From, part.quantity.String(), fmt.Sprintf("a quantity of %s with at most %d decimals", asset, decimals))
			}
			o := r.balance(part.place, asset, amount, h.At)
			o.Effective = s.AsOf.Time
			all = append(all, o)
		}
	}
	return all, nil
}

// Gone says what a whole statement denies by not listing it: a balance of zero for
// each of the holdings last observed at the statement's account whose asset it
// does not list. A statement that is not whole denies nothing.
func (s SecuritiesStatement) Gone(r Received, held []custody.Holding) []custody.Observation {
	if !s.Whole() {
		return nil
	}
	places := []custody.Place{FreePlace(s.Account), PledgedPlace(s.Account)}
	listed := make(map[custody.AssetID]bool, len(s.Holdings))
	for _, h := range s.Holdings {
		if asset, err := h.asset(r); err == nil {
			listed[asset] = true
		}
	}
	var all []custody.Observation
	for _, h := range held {
		if !slices.Contains(places, h.Place) || listed[h.Asset] || h.Amount.IsZero() {
			continue
		}
		o := r.balance(h.Place, h.Asset, custody.Amount{}, Range{})
		o.Effective = s.AsOf.Time
		all = append(all, o)
	}
	return all
}

// asset names the instrument: by CUSIP where there is one, or else by ISIN.
func (h Holding) asset(r Received) (custody.AssetID, error) {
	switch {
	case h.ISIN != "" && custody.CheckISIN(string(h.ISIN)) != nil:
	case h.CUSIP != "":
		return custody.AssetID("cusip:" + string(h.CUSIP)), nil
	case h.ISIN != "":
		return custody.AssetID("isin:" + string(h.ISIN)), nil
	}
	return "", Fault(r.Name, h.At.Line, h.At.From, h.Name(), "a CUSIP or an ISIN with the right check digit")
}

// restricting are the types of sub-balance that take a quantity out of free
// disposal (SecuritiesBalanceType of ISO 20022, the same codes in ISO 15022).
var restricting = []string{"NAVL", "PLED", "COLO", "BLOK", "BLCA", "BLOV", "BLOT", "MARG", "RSTR", "DRAW"}

// split divides the holding into what is freely available and what is not: as the
// statement says of the whole, or else by the sub-balances it marks as not
// available or that are of a restricting type.
func (h Holding) split() (free, restricted decimal.Decimal) {
	total := h.Quantity.Value
	switch {
	case h.Available.Given && h.NotAvailable.Given:
		return h.Available.Value, h.NotAvailable.Value
	case h.Available.Given:
		return h.Available.Value, total.Sub(h.Available.Value)
	case h.NotAvailable.Given:
		return total.Sub(h.NotAvailable.Value), h.NotAvailable.Value
	}
	counts := func(b SubBalance) bool { return slices.Contains(restricting, b.Type) }
	switch {
	case slices.ContainsFunc(h.SubBalances, func(b SubBalance) bool { return b.Availability != "" }):
		counts = func(b SubBalance) bool { return b.Availability == "NAVL" }
	case slices.ContainsFunc(h.SubBalances, func(b SubBalance) bool { return b.Type == "NAVL" }):
		counts = func(b SubBalance) bool { return b.Type == "NAVL" }
	}
	for _, b := range h.SubBalances {
		if counts(b) {
			restricted = restricted.Add(b.Quantity.Value)
		}
	}
	return total.Sub(restricted), restricted
}

// money turns an amount of a currency into its minor units.
func (r Received) money(currency Text, n Number, at Range) (custody.AssetID, custody.Amount, error) {
	scale, known := MinorUnits(string(currency))
	if !known {
		return "", custody.Amount{}, Fault(r.Name, at.Line, at.From, string(currency), "a currency of ISO 4217")
	}
	amount, err := custody.AmountFromDecimal(n.Value, scale)
	if err != nil {
		return "", custody.Amount{}, Fault(r.Name, at.Line, at.From, n.String(), fmt.Sprintf("an amount of %s with at most %d decimals", currency, scale))
	}
	return custody.AssetID("iso4217:" + string(currency)), amount, nil
}

// balance is the observation that so much of an asset is at a place.
func (r Received) balance(place custody.Place, asset custody.AssetID, amount custody.Amount, at Range) custody.Observation {
	return custody.Observation{
		Ref:    r.ref(at) + custody.Ref("/"+string(place)+"/"+string(asset)),
		Kind:   custody.Balance,
		Stage:  custody.Final,
		Source: r.Source,
		Asset:  asset,
		Amount: amount,
		To:     place,

		Evidence: r.evidence(at),
	}
}

func (r Received) ref(at Range) custody.Ref {
	return custody.Ref(fmt.Sprintf("file:%s/%d", r.Hash, at.From))
}

func (r Received) evidence(at Range) custody.Evidence {
	return custody.Evidence{File: r.Hash, From: at.From, To: at.To}
}
