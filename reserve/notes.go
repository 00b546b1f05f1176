package reserve

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// NoteE5 is the cut of one customer's margin debit under Note E(5): what exceeds a
// quarter of tentative net capital, or the floor if that is more. Related accounts are
// one customer.
func NoteE5(debit, tentativeNetCapital decimal.Decimal, pack Pack) decimal.Decimal {
	return atLeastZero(debit.Sub(noteE5Allowed(tentativeNetCapital, pack)))
}

func noteE5Allowed(tentativeNetCapital decimal.Decimal, pack Pack) decimal.Decimal {
	return decimal.Max(tentativeNetCapital.Mul(pack.Reserve.NoteE5Share), pack.Reserve.NoteE5Floor)
}

// NoteE6 is how much of the debit of an account shared with a non-customer is included
// under Note E(6): all of it below the lower share, none above the higher, and the
// customer's own part between them, both bounds included. The share is in percent.
func NoteE6(debit, nonCustomerPct decimal.Decimal, pack Pack) (decimal.Decimal, error) {
	return noteE6(debit, nonCustomerPct, pack.Reserve)
}

func noteE6(debit, nonCustomerPct decimal.Decimal, numbers ReserveNumbers) (decimal.Decimal, error) {
	switch {
	case nonCustomerPct.IsNegative() || nonCustomerPct.Cmp(hundred) > 0:
		return decimal.Zero, fmt.Errorf("share of the non-customer is %s%%, expected 0 to 100", nonCustomerPct)
	case nonCustomerPct.Cmp(numbers.NoteE6Low) < 0:
		return debit, nil
	case nonCustomerPct.Cmp(numbers.NoteE6High) > 0:
		return decimal.Zero, nil
	}
	return debit.Sub(debit.Mul(nonCustomerPct).Shift(-2)), nil
}

// ExcessMargin is the market value of margin securities over 140% of the debits of the
// customer's margin accounts, 15c3-3(a)(5): it must be in control.
func ExcessMargin(marketValue, debit decimal.Decimal, pack Pack) decimal.Decimal {
	return atLeastZero(marketValue.Sub(atLeastZero(debit).Mul(pack.Control.ExcessMarginFactor)))
}

// LockedShares is how many of a customer's shares of one security must be in control so
// that they are worth at least a value, rounded up to a whole share: against the firm.
func LockedShares(value, price, held decimal.Decimal) (decimal.Decimal, error) {
	if !price.IsPositive() {
		return decimal.Zero, fmt.Errorf("price %s, expected more than zero", price)
	}
	shares, rest := value.QuoRem(price, 0)
	if rest.IsPositive() {
		shares = shares.Add(decimal.NewFromInt(1))
	}
	return decimal.Min(shares, held), nil
}
