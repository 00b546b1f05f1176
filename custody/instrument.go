package custody

import (
	"errors"
	"fmt"
	"slices"
)

// InstrumentType is what an instrument is in the field's own terms.
type InstrumentType uint8

// The types of instrument. The numbers are stored: never renumber.
const (
	Currency InstrumentType = iota + 1
	Equity
	Option
	Bond
	Treasury
	Fund
	Stablecoin
	SecurityToken
	CryptoAsset
)

var instrumentTypeNames = [...]string{
	Currency: "currency", Equity: "equity", Option: "option", Bond: "bond", Treasury: "treasury", Fund: "fund",
	Stablecoin: "payment_stablecoin", SecurityToken: "crypto_asset_security", CryptoAsset: "other_crypto",
}

// String is the type's name.
func (t InstrumentType) String() string { return nameOf(instrumentTypeNames[:], t) }

// MarshalText writes the type's name.
func (t InstrumentType) MarshalText() ([]byte, error) {
	return marshalName(instrumentTypeNames[:], t)
}

// UnmarshalText reads a type's name.
func (t *InstrumentType) UnmarshalText(text []byte) error {
	return unmarshalName(instrumentTypeNames[:], t, "instrument type", text)
}

// bookEntry is the class in law of a type's book-entry form, and of its native form
// for what lives on a chain only.
var bookEntry = [...]AssetClass{
	Currency: Cash, Equity: Security, Option: Security, Bond: Security, Treasury: QualifiedSecurity, Fund: Security,
	Stablecoin: PaymentStablecoin, SecurityToken: CryptoSecurity, CryptoAsset: OtherCrypto,
}

// class is what one form of an instrument is in law: a token of a security is a
// security recorded on a chain, whatever its book-entry form is.
func (t InstrumentType) class(id AssetID) AssetClass {
	c := bookEntry[t]
	if id.OnChain() && (c == Security || c == QualifiedSecurity) {
		return CryptoSecurity
	}
	return c
}

// Identifier is a code by which the outside knows an instrument, from a day, which
// is included, until one that is not. An empty day sets no bound.
type Identifier struct {
	Kind  string `json:"kind"` // cusip, isin, figi, dti or symbol
	Code  string `json:"code"`
	From  Day    `json:"from,omitempty"`
	Until Day    `json:"until,omitempty"`
}

func (i Identifier) on(d Day) bool { return i.From <= d && (i.Until == "" || d < i.Until) }

// identifierKinds are what an instrument may be known by.
var identifierKinds = []string{"cusip", "isin", "figi", "dti", "symbol"}

func (i Identifier) check() error {
	if !slices.Contains(identifierKinds, i.Kind) {
		return fmt.Errorf("identifier kind %q, expected one of %q", i.Kind, identifierKinds)
	}
	if i.Kind == "symbol" {
		if i.Code == "" {
			return errors.New("an empty symbol")
		}
	} else if err := Identifiers()[i.Kind](i.Code); err != nil {
		return err
	}
	if i.Until != "" && i.Until <= i.From {
		return fmt.Errorf("%s %s until %s, expected after %s", i.Kind, i.Code, i.Until, i.From)
	}
	return nil
}

// Instrument is one line of the security master as of a day: one thing that can be
// owned, whatever forms it is held in. It is a fact of the journal; a later one of the
// same ID says how it is from its day on.
type Instrument struct {
	// ID is the asset in which the instrument is counted: "cusip:…" for a security
	// that has a book-entry form.
	ID   AssetID        `json:"id"`
	Type InstrumentType `json:"type"`
	Name string         `json:"name"`
	// Symbol is how people call it.
	Symbol string `json:"symbol"`
	// Scale is the number of decimals of its smallest unit. It never changes.
	Scale uint8 `json:"scale"`
	// From is the day from which this holds.
	From Day `json:"from"`
	// MarginEligible says whether a broker may lend on it (Regulation T), and
	// ReadyMarket whether it has one, 15c3-1(c)(11).
	MarginEligible bool `json:"margin_eligible"`
	ReadyMarket    bool `json:"ready_market"`
	// SettlementDays is the usual cycle: 1 for T+1 (15c6-1), 0 for T+0.
	SettlementDays uint8 `json:"settlement_days"`
	// Identifiers are all codes that it has or had. Those of the newest line count.
	Identifiers []Identifier `json:"identifiers,omitempty"`
	// Tokens are further forms of the same instrument, one token standing for one
	// unit: they are counted with it, once.
	Tokens []Token `json:"tokens,omitempty"`
}

// Token is a form of an instrument that is recorded on a chain.
type Token struct {
	Asset AssetID `json:"asset"` // CAIP-19
	Scale uint8   `json:"scale"`
}

// Assets are the instrument's forms, the one it is counted in first.
func (i Instrument) Assets() []Asset {
	all := []Asset{{ID: i.ID, Symbol: i.Symbol, Class: i.Type.class(i.ID), Scale: i.Scale}}
	for _, t := range i.Tokens {
		all = append(all, Asset{ID: t.Asset, Symbol: i.Symbol, Class: i.Type.class(t.Asset), Scale: t.Scale})
	}
	return all
}

// Check says what is wrong with the instrument itself.
func (i Instrument) Check() error {
	if i.Type < Currency || i.Type > CryptoAsset {
		return fmt.Errorf("instrument %q has no type", i.ID)
	}
	if i.From == "" {
		return fmt.Errorf("instrument %s: from: expected the day from which it holds", i.ID)
	}
	forms := i.Assets()
	for n, a := range forms {
		if err := a.Check(); err != nil {
			return fmt.Errorf("instrument %s: %w", i.ID, err)
		}
		if n > 0 && !a.ID.OnChain() {
			return fmt.Errorf("instrument %s: token %s is not on a chain", i.ID, a.ID)
		}
		if slices.ContainsFunc(forms[:n], func(b Asset) bool { return a.ID == b.ID }) {
			return fmt.Errorf("instrument %s: %s stands twice", i.ID, a.ID)
		}
	}
	if i.SettlementDays > 30 {
		return fmt.Errorf("instrument %s: settlement_days %d, expected at most 30", i.ID, i.SettlementDays)
	}
	for _, c := range i.Identifiers {
		if err := c.check(); err != nil {
			return fmt.Errorf("instrument %s: %w", i.ID, err)
		}
	}
	return nil
}
