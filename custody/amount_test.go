package custody_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"goodcontrol/custody"
)

// most is 2^127-1, the largest amount.
func most() *big.Int {
	return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 127), big.NewInt(1))
}

func amount(t testing.TB, n *big.Int) custody.Amount {
	t.Helper()
	a, err := custody.AmountFromBig(n)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// anyAmount draws numbers of every size, and the ones around the edges of a word
// and of the range more often than chance would.
func anyAmount() *rapid.Generator[*big.Int] {
	edges := []*big.Int{new(big.Int), big.NewInt(1), most()}
	for _, bits := range []uint{31, 32, 63, 64, 126} {
		edge := new(big.Int).Lsh(big.NewInt(1), bits)
		edges = append(edges, edge, new(big.Int).Sub(edge, big.NewInt(1)))
	}
	return rapid.Custom(func(t *rapid.T) *big.Int {
		n := new(big.Int)
		if rapid.Bool().Draw(t, "edge") {
			n.Set(rapid.SampledFrom(edges).Draw(t, "of"))
		} else {
			n.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "bytes"))
			n.And(n, most())
		}
		if rapid.Bool().Draw(t, "negative") {
			n.Neg(n)
		}
		return n
	})
}

// TestAmountArithmetic holds every operation against big integers.
func TestAmountArithmetic(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		x, y := anyAmount().Draw(r, "x"), anyAmount().Draw(r, "y")
		a, b := amount(t, x), amount(t, y)
		for _, op := range []struct {
			name string
			got  func(custody.Amount) (custody.Amount, bool)
			want *big.Int
		}{
			{"+", a.Add, new(big.Int).Add(x, y)},
			{"-", a.Sub, new(big.Int).Sub(x, y)},
		} {
			got, ok := op.got(b)
			inRange := op.want.CmpAbs(most()) <= 0
			if ok != inRange || ok && got.Big().Cmp(op.want) != 0 || !ok && !got.IsZero() {
				r.Fatalf("%s %s %s = %s, %v, expected %s, %v", x, op.name, y, got, ok, op.want, inRange)
			}
		}
		if got := a.Neg().Big(); got.Cmp(new(big.Int).Neg(x)) != 0 {
			r.Fatalf("the negative of %s is %s", x, got)
		}
		if got := a.Abs().Big(); got.Cmp(new(big.Int).Abs(x)) != 0 {
			r.Fatalf("the magnitude of %s is %s", x, got)
		}
		if a.Sign() != x.Sign() || a.IsZero() != (x.Sign() == 0) {
			r.Fatalf("the sign of %s is %d, zero %v", x, a.Sign(), a.IsZero())
		}
		if a.Cmp(b) != x.Cmp(y) || (a == b) != (x.Cmp(y) == 0) {
			r.Fatalf("%s compares with %s as %d, expected %d", x, y, a.Cmp(b), x.Cmp(y))
		}
	})
}

// TestAmountText holds printing and parsing, plain, as JSON and as a decimal,
// against big integers.
func TestAmountText(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		x := anyAmount().Draw(r, "x")
		a := amount(t, x)
		if a.String() != x.String() {
			r.Fatalf("%s prints as %s", x, a)
		}
		parsed, err := custody.ParseAmount(x.String())
		if err != nil || parsed != a {
			r.Fatalf("%s parses as %s, %v", x, parsed, err)
		}
		text, err := json.Marshal(a)
		if err != nil {
			r.Fatal(err)
		}
		var back custody.Amount
		if err := json.Unmarshal(text, &back); err != nil || back != a || string(text) != `"`+x.String()+`"` {
			r.Fatalf("%s is %s as JSON, and comes back as %s, %v", x, text, back, err)
		}
		scale := rapid.Uint8Range(0, 36).Draw(r, "scale")
		if back, err := custody.AmountFromDecimal(a.Decimal(scale), scale); err != nil || back != a {
			r.Fatalf("%s at scale %d is %s, and comes back as %s, %v", x, scale, a.Decimal(scale), back, err)
		}
	})
}

func TestParseAmount(t *testing.T) {
	for _, s := range []string{"", "-", "+1", "--1", " 1", "1 ", "1.0", "1e3", "0x10", "1_000", "١", "170141183460469231731687303715884105728", "-170141183460469231731687303715884105728", strings.Repeat("9", 100)} {
		if a, err := custody.ParseAmount(s); err == nil {
			t.Errorf("%q parses as %s", s, a)
		} else if !strings.Contains(err.Error(), "amount") {
			t.Errorf("%q: error %q does not say what it is about", s, err)
		}
	}
	for s, want := range map[string]string{"0": "0", "-0": "0", "007": "7", "-170141183460469231731687303715884105727": "-170141183460469231731687303715884105727"} {
		if a, err := custody.ParseAmount(s); err != nil || a.String() != want {
			t.Errorf("%q parses as %s, %v, expected %s", s, a, err, want)
		}
	}
}

func TestAmountFromDecimal(t *testing.T) {
	rows := []struct {
		value string
		scale uint8
		want  string // empty: refused
	}{
		{"1.23", 2, "123"},
		{"-1.23", 2, "-123"},
		{"1.230", 2, "123"},
		{"1.235", 2, ""},
		{"0.0000000000000000001", 18, ""},
		{"1e3", 0, "1000"},
		{"1.5e1", 0, "15"},
		{"170141183460469231731.687303715884105727", 18, "170141183460469231731687303715884105727"},
		{"170141183460469231731.687303715884105728", 18, ""},
		{"0e-10000", 2, "0"},
		{"0e10000", 2, "0"},
		{"1e10000", 2, ""},
		{"1e-10000", 2, ""},
	}
	for _, row := range rows {
		d, err := decimal.NewFromString(row.value)
		if err != nil {
			t.Fatal(err)
		}
		a, err := custody.AmountFromDecimal(d, row.scale)
		switch {
		case row.want == "" && err == nil:
			t.Errorf("%s at scale %d is %s, expected an error", row.value, row.scale, a)
		case row.want != "" && (err != nil || a.String() != row.want):
			t.Errorf("%s at scale %d is %s, %v, expected %s", row.value, row.scale, a, err, row.want)
		}
	}
}

func TestAmountFromBigRange(t *testing.T) {
	over := new(big.Int).Add(most(), big.NewInt(1))
	for _, n := range []*big.Int{over, new(big.Int).Neg(over), new(big.Int).Lsh(over, 64)} {
		if a, err := custody.AmountFromBig(n); err == nil {
			t.Errorf("%s is the amount %s, expected an error", n, a)
		}
	}
}

func TestAmountAppend(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		x := anyAmount().Draw(r, "x")
		want := new(big.Int).Set(x)
		if x.Sign() < 0 {
			want.Add(want, new(big.Int).Lsh(big.NewInt(1), 128))
		}
		got := amount(t, x).Append(nil)
		if len(got) != 16 || new(big.Int).SetBytes(got).Cmp(want) != 0 {
			r.Fatalf("%s appends %x", x, got)
		}
	})
}

func BenchmarkAmountAdd(b *testing.B) {
	x, y := custody.NewAmount(1<<40), custody.NewAmount(-3)
	b.ReportAllocs()
	for b.Loop() {
		x, _ = x.Add(y)
	}
}
