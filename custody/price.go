package custody

import (
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// KindPriceSet is the kind of entry that carries a PriceSet.
const KindPriceSet = "price.set"

// PriceSet is the fact that somebody outside gave a price: what one whole unit of an
// asset was worth at a moment. The newest as-of time holds; of two with the same, the
// one that is later in the journal, which is how a price is corrected.
type PriceSet struct {
	Asset AssetID `json:"asset"`
	// Currency is what the price is in. The reserve is computed in dollars, and a
	// price in anything else is refused where it is used.
	Currency AssetID `json:"currency"`
	// Price is exact: an unsigned decimal of at most MaxPriceDigits digits, without an
	// exponent.
	Price  string    `json:"price"`
	Source string    `json:"source"`
	AsOf   time.Time `json:"as_of"`
}

// MaxPriceDigits bounds the digits of a price, before and after the point together.
const MaxPriceDigits = 38

// ParsePrice reads a price: digits, at most one point with digits on both sides.
func ParsePrice(s string) (decimal.Decimal, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if !allDigits(whole) || point && !allDigits(fraction) || len(whole)+len(fraction) > MaxPriceDigits {
		return decimal.Zero, fmt.Errorf("got %.80q, expected a plain decimal such as 230.10, zero or more, of at most %d digits", s, MaxPriceDigits)
	}
	return decimal.NewFromString(s)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Check says what is wrong with the fact, and gives the price as a number.
func (p PriceSet) Check() (decimal.Decimal, error) {
	price, err := ParsePrice(p.Price)
	switch {
	case err != nil:
		return price, fmt.Errorf("price of %s: %w", p.Asset, err)
	case p.Asset == USD || p.Currency != USD:
		return price, fmt.Errorf("price of %s in %s, expected that of another asset in %s", p.Asset, p.Currency, USD)
	case p.Source == "":
		return price, fmt.Errorf("price of %s: expected who gave it", p.Asset)
	case p.AsOf.IsZero():
		return price, fmt.Errorf("price of %s: expected when it was so", p.Asset)
	}
	return price, p.Asset.Check()
}
