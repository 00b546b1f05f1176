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

// Observations says what a statement of one page amounts to; see [BankPages].
func (s BankStatement) Observations(r Received) ([]custody.Observation, error) {
	return BankPages{{s, r}}.Observations()
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

// Observations says what a statement of one page amounts to; see [SecuritiesPages].
func (s SecuritiesStatement) Observations(r Received, scale func(custody.AssetID) (uint8, bool)) ([]custody.Observation, error) {
	return SecuritiesPages{{s, r}}.Observations(scale)
}

// held is an instrument in a safekeeping account.
type held struct {
	account string
	asset   custody.AssetID
}

// observe says what one page amounts to; seen is what the pages before it list.
func (s SecuritiesStatement) observe(r Received, scale func(custody.AssetID) (uint8, bool), seen map[held]bool) ([]custody.Observation, error) {
	if s.Basis == "TRAD" && len(s.Holdings) > 0 {
		at := s.Holdings[0].At
		return nil, Fault(r.Name, at.Line, at.From, "balances of the trade date (TRAD)", "settled balances (SETT)")
	}
	all := make([]custody.Observation, 0, 2*len(s.Holdings))
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
		if seen[held{account, asset}] {
			return nil, Fault(r.Name, h.At.Line, h.At.From, string(asset)+" again", "each instrument once in a safekeeping account")
		}
		seen[held{account, asset}] = true
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

// Gone says what a statement of one page denies; see [SecuritiesPages].
func (s SecuritiesStatement) Gone(r Received, before []custody.Holding) []custody.Observation {
	return SecuritiesPages{{s, r}}.Gone(before)
}

func (s SecuritiesStatement) gone(r Received, before []custody.Holding, listed map[custody.AssetID]bool) []custody.Observation {
	places := []custody.Place{FreePlace(s.Account), PledgedPlace(s.Account)}
	var all []custody.Observation
	for _, h := range before {
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
	case h.CUSIP != "" && custody.CheckCUSIP(string(h.CUSIP)) == nil:
		return custody.AssetID("cusip:" + string(h.CUSIP)), nil
	case h.ISIN != "" && h.CUSIP == "":
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
