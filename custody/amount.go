package custody

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"

	"github.com/shopspring/decimal"
)

// Amount is an exact signed count of an asset's smallest unit. It holds every
// integer from -(2^127-1) to 2^127-1: about 1.7e20 whole units of a token with
// 18 decimals. The range is symmetric, so that Neg and Abs cannot overflow.
// Amounts compare with ==. The zero value is zero.
type Amount struct {
	hi int64
	lo uint64
}

// NewAmount returns n as an Amount.
func NewAmount(n int64) Amount { return Amount{hi: n >> 63, lo: uint64(n)} }

// AmountFromBig converts n, or reports that it is outside the range.
func AmountFromBig(n *big.Int) (Amount, error) {
	if n.BitLen() > 127 {
		return Amount{}, fmt.Errorf("amount %s is outside ±(2^127-1)", n)
	}
	var b [16]byte
	new(big.Int).Abs(n).FillBytes(b[:])
	a := Amount{hi: int64(be64(b[:8])), lo: be64(b[8:])}
	if n.Sign() < 0 {
		a = a.Neg()
	}
	return a, nil
}

// AmountFromBytes reads the 16 bytes that Append writes.
func AmountFromBytes(b [16]byte) (Amount, error) {
	a := Amount{hi: int64(be64(b[:8])), lo: be64(b[8:])}
	if a == (Amount{hi: -1 << 63}) {
		return Amount{}, errLowest
	}
	return a, nil
}

// errLowest refuses the one number of 128 bits that has no negative.
var errLowest = errors.New("amount is -2^127, expected at least -(2^127-1)")

// ParseAmount reads a decimal integer, with an optional leading minus.
func ParseAmount(s string) (Amount, error) {
	digits := s
	if len(s) > 0 && s[0] == '-' {
		digits = s[1:]
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return Amount{}, fmt.Errorf("amount %q: byte %d is %q, expected a digit", s, len(s)-len(digits)+i, digits[i])
		}
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return Amount{}, fmt.Errorf("amount %q: expected a decimal integer", s)
	}
	return AmountFromBig(n)
}

// AmountFromDecimal converts d whole units of an asset with the given scale. It
// never rounds: a value finer than the smallest unit is an error.
func AmountFromDecimal(d decimal.Decimal, scale uint8) (Amount, error) {
	units := d.Shift(int32(scale))
	if !units.IsInteger() {
		return Amount{}, fmt.Errorf("amount %s is finer than the smallest unit (scale %d)", d, scale)
	}
	return AmountFromBig(units.BigInt())
}

// Add returns a+b, and whether the sum is in range. A sum out of range is zero.
func (a Amount) Add(b Amount) (sum Amount, ok bool) {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(uint64(a.hi), uint64(b.hi), carry)
	sum = Amount{hi: int64(hi), lo: lo}
	wrapped := (a.hi^sum.hi)&(b.hi^sum.hi) < 0
	if wrapped || sum == (Amount{hi: -1 << 63}) {
		return Amount{}, false
	}
	return sum, true
}

// Sub returns a-b, and whether the difference is in range.
func (a Amount) Sub(b Amount) (difference Amount, ok bool) { return a.Add(b.Neg()) }

// Neg returns -a.
func (a Amount) Neg() Amount {
	lo, borrow := bits.Sub64(0, a.lo, 0)
	hi, _ := bits.Sub64(0, uint64(a.hi), borrow)
	return Amount{hi: int64(hi), lo: lo}
}

// Abs returns the magnitude of a.
func (a Amount) Abs() Amount {
	if a.hi < 0 {
		return a.Neg()
	}
	return a
}

// Sign is -1, 0 or 1.
func (a Amount) Sign() int {
	switch {
	case a.hi < 0:
		return -1
	case a == Amount{}:
		return 0
	}
	return 1
}

// IsZero says whether a is zero.
func (a Amount) IsZero() bool { return a == Amount{} }

// Cmp is -1, 0 or 1 as a is less than, equal to or more than b.
func (a Amount) Cmp(b Amount) int {
	switch {
	case a == b:
		return 0
	case a.hi < b.hi, a.hi == b.hi && a.lo < b.lo:
		return -1
	}
	return 1
}

// Big returns a as a new big integer.
func (a Amount) Big() *big.Int {
	m := a.Abs()
	n := new(big.Int).SetUint64(uint64(m.hi))
	n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(m.lo))
	if a.hi < 0 {
		n.Neg(n)
	}
	return n
}

// Decimal returns a in whole units of an asset with the given scale, exactly.
func (a Amount) Decimal(scale uint8) decimal.Decimal {
	return decimal.NewFromBigInt(a.Big(), -int32(scale))
}

// String is the count of smallest units in decimal.
func (a Amount) String() string {
	if a.hi == 0 && a.lo < 1<<63 {
		return fmt.Sprint(a.lo)
	}
	return a.Big().String()
}

// MarshalText writes the count of smallest units in decimal.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (a *Amount) UnmarshalText(text []byte) error {
	parsed, err := ParseAmount(string(text))
	if err == nil {
		*a = parsed
	}
	return err
}
