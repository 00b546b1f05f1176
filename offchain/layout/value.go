package layout

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
)

// misfit is a field that cannot be read; the reader adds the place.
type misfit struct{ got, expected string }

// Error names both sides.
func (m *misfit) Error() string { return fmt.Sprintf("got %q, expected %s", m.got, m.expected) }

// values are the fields of one record, by name.
type values struct {
	texts   map[string]string
	numbers map[string]offchain.Number
	moments map[string]offchain.Moment
	counts  map[string]int64
}

// read reads the fields of a record from a row.
func (l *Layout) read(rec *Record, r *row) (values, error) {
	v := values{map[string]string{}, map[string]offchain.Number{}, map[string]offchain.Moment{}, map[string]int64{}}
	for _, name := range rec.names {
		f := rec.Fields[name]
		s, found := f.Const, f.Const != ""
		if !found {
			s, found = r.get(f.Place)
		}
		if s == "" {
			if !f.Optional {
				return v, &misfit{missing(found), "a value of " + name}
			}
			continue
		}
		if f.Values != nil {
			plain, known := f.Values[s]
			if !known {
				return v, &misfit{s, fmt.Sprintf("one of the values of %s", name)}
			}
			s = plain
		}
		if err := v.set(name, s, f, typeOf(l.Kind, rec.Role, name)); err != nil {
			return v, err
		}
	}
	return v, nil
}

func missing(found bool) string {
	if found {
		return ""
	}
	return "no such field"
}

func (v values) set(name, s string, f Field, t valueType) error {
	switch t {
	case text:
		v.texts[name] = s
	case moment:
		at, err := time.Parse(goLayout(f.Format), s)
		if err != nil {
			return &misfit{s, name + " as " + f.Format}
		}
		v.moments[name] = offchain.OnDay(at)
		if strings.Contains(f.Format, "hh") {
			v.moments[name] = offchain.Moment{Time: at}
		}
	case ordinal:
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			return &misfit{s, name + " as a whole number"}
		}
		v.counts[name] = int64(n)
	case number:
		d, ok := f.number(s)
		if !ok {
			return &misfit{s, name + " as " + f.expected()}
		}
		v.numbers[name] = offchain.Exactly(d)
	}
	return nil
}

// zoned are the last digits of a number whose sign is punched over it: the first
// ten are positive, from 0 to 9, and the others negative.
const zoned = "{ABCDEFGHI}JKLMNOPQR"

// number reads a number as the field has it written. Nothing is rounded.
func (f Field) number(s string) (decimal.Decimal, bool) {
	s, negative, ok := f.unsigned(s)
	if !ok {
		return decimal.Decimal{}, false
	}
	if f.Thousands != "" {
		s = strings.ReplaceAll(s, f.Thousands, "")
	}
	g := offchain.Decimal{Mark: f.mark()[0], Digits: 18, Fraction: 18}
	d, ok := g.Parse(strings.TrimLeft(s[:max(0, len(s)-18)], "0") + s[max(0, len(s)-18):])
	if !ok || s[0] == g.Mark || s[len(s)-1] == g.Mark {
		return decimal.Decimal{}, false
	}
	if f.Scale != nil {
		if d.Exponent() < 0 {
			return decimal.Decimal{}, false
		}
		d = d.Shift(int32(-*f.Scale))
	}
	if negative {
		d = d.Neg()
	}
	return d, true
}

// unsigned takes the sign off a number.
func (f Field) unsigned(s string) (digits string, negative, ok bool) {
	n := len(s)
	switch f.Sign {
	case Leading:
		if s[0] == '-' || s[0] == '+' {
			return strings.TrimSpace(s[1:]), s[0] == '-', n > 1
		}
	case Trailing:
		if s[n-1] == '-' || s[n-1] == '+' {
			return strings.TrimSpace(s[:n-1]), s[n-1] == '-', n > 1
		}
	case Overpunch:
		if i := strings.IndexByte(zoned, s[n-1]); i >= 0 {
			return s[:n-1] + string(rune('0'+i%10)), i >= 10, true
		}
	case Parentheses:
		if s[0] == '(' && s[n-1] == ')' {
			return s[1 : n-1], true, n > 2
		}
	}
	return s, false, true
}

func (f Field) expected() string {
	if f.Scale != nil {
		return fmt.Sprintf("at most 18 digits without a decimal mark, the last %d of them after it; sign: %s", *f.Scale, f.sign())
	}
	return fmt.Sprintf("at most 18 digits with a decimal mark %q; sign: %s", f.mark(), f.sign())
}

func (f Field) sign() string {
	if f.Sign == Unsigned {
		return "none"
	}
	return string(f.Sign)
}
