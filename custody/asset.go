package custody

import (
	"errors"
	"fmt"
	"strings"
)

// AssetID names an asset in its canonical form:
//
//	iso4217:USD                  a currency (ISO 4217)
//	cusip:037833100              a security (CUSIP)
//	isin:IE00B4L5Y983            a security that has no CUSIP (ISIN)
//	eip155:1/slip44:60           a chain's own coin (CAIP-19)
//	eip155:1/erc20:0x…           a token (CAIP-19, address in EIP-55 case)
type AssetID string

// USD is the currency in which the reserve is computed.
const USD AssetID = "iso4217:USD"

// OnChain says whether the asset is named by CAIP-19, and so lives on a chain.
func (id AssetID) OnChain() bool { return strings.ContainsRune(string(id), '/') }

// Chain is the CAIP-2 name of the chain the asset lives on, empty off chain.
func (id AssetID) Chain() string {
	chain, _, found := strings.Cut(string(id), "/")
	if !found {
		return ""
	}
	return chain
}

// Check says what is wrong with the name. Only the form of a currency is checked,
// not that there is one.
func (id AssetID) Check() error {
	if id.OnChain() {
		return CheckCAIP19(string(id))
	}
	kind, code, _ := strings.Cut(string(id), ":")
	switch kind {
	case "iso4217":
		return checkRuns("currency", code, run{3, letters})
	case "cusip":
		return CheckCUSIP(code)
	case "isin":
		return CheckISIN(code)
	}
	return errors.New("expected an id such as iso4217:USD, cusip:…, isin:…, or CAIP-19")
}

// AssetClass is what an asset is in law, which decides what it counts for.
type AssetClass uint8

// The classes of asset. Only cash and qualified securities can count as reserve
// (15c3-3(a)(6), (e)(1)); none of the digital classes can.
const (
	// Cash is money in a currency.
	Cash AssetClass = iota + 1
	// Security is any security that is not a qualified one.
	Security
	// QualifiedSecurity is issued by the United States, or guaranteed by it as
	// to principal and interest (15c3-3(a)(6)).
	QualifiedSecurity
	// CryptoSecurity is a security recorded on a chain.
	CryptoSecurity
	// PaymentStablecoin is a dollar token that is neither cash nor a security.
	PaymentStablecoin
	// OtherCrypto is a coin or token that is not a security.
	OtherCrypto
)

var assetClassNames = [...]string{
	Cash: "cash", Security: "security", QualifiedSecurity: "qualified_security",
	CryptoSecurity: "crypto_asset_security", PaymentStablecoin: "payment_stablecoin", OtherCrypto: "other_crypto",
}

// String is the class's name.
func (c AssetClass) String() string { return nameOf(assetClassNames[:], c) }

// MarshalText writes the class's name.
func (c AssetClass) MarshalText() ([]byte, error) { return marshalName(assetClassNames[:], c) }

// UnmarshalText reads a class's name.
func (c *AssetClass) UnmarshalText(text []byte) error {
	return unmarshalName(assetClassNames[:], c, "asset class", text)
}

// Digital says whether the class is one of those recorded on a chain.
func (c AssetClass) Digital() bool { return c >= CryptoSecurity }

// Asset is what is known of one asset. Scale is the number of decimals between
// a whole unit and the smallest one; it never changes once listed.
type Asset struct {
	ID     AssetID    `json:"id"`
	Symbol string     `json:"symbol"`
	Class  AssetClass `json:"class"`
	Scale  uint8      `json:"scale"`
}

// Check says what is wrong with the asset's own description.
func (a Asset) Check() error {
	if err := a.ID.Check(); err != nil {
		return fmt.Errorf("asset %q: %w", a.ID, err)
	}
	switch {
	case a.Symbol == "":
		return fmt.Errorf("asset %s has no symbol", a.ID)
	case a.Class < Cash || a.Class > OtherCrypto:
		return fmt.Errorf("asset %s has no class", a.ID)
	case a.Class.Digital() != a.ID.OnChain():
		return fmt.Errorf("asset %s: class %s does not fit an id of this form", a.ID, a.Class)
	case a.Scale > 36:
		return fmt.Errorf("asset %s: scale %d, expected at most 36", a.ID, a.Scale)
	}
	return nil
}

// CUSIP is the asset's CUSIP, if it is named by one.
func (a Asset) CUSIP() (string, bool) { return strings.CutPrefix(string(a.ID), "cusip:") }

// Format writes an amount of the asset in whole units, for people and for JSON.
func (a Asset) Format(n Amount) string { return n.Decimal(a.Scale).StringFixed(int32(a.Scale)) }
