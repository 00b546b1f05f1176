package offchain

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Number is a decimal that a statement gives, exactly and with the decimals it
// was written with, or does not give. The zero value is not given.
type Number struct {
	Value decimal.Decimal
	Given bool
}

// Exactly is the number d, given.
func Exactly(d decimal.Decimal) Number { return Number{Value: d, Given: true} }

// String is the number with all the decimals it was written with, empty when it
// is not given.
func (n Number) String() string {
	if !n.Given {
		return ""
	}
	return n.Value.StringFixed(max(0, -n.Value.Exponent()))
}

// MarshalJSON writes a decimal string, or null.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Given {
		return []byte("null"), nil
	}
	return json.Marshal(n.String())
}

// Text is what stands in a field, empty (null in JSON) where there is none.
type Text string

// MarshalJSON writes a string, or null.
func (t Text) MarshalJSON() ([]byte, error) {
	if t == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(t))
}

// Moment is a day, or a time, that a statement gives. A day stands for its first
// instant and a time without a zone is read as UTC, since the formats do not say.
type Moment struct {
	Time time.Time
	// Day says that only a day was given.
	Day bool
}

// OnDay is the day that t falls on, in t's zone.
func OnDay(t time.Time) Moment {
	return Moment{Time: time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC), Day: true}
}

// Given says whether there is one.
func (m Moment) Given() bool { return !m.Time.IsZero() }

// String is a date, or a time as in RFC 3339, or empty.
func (m Moment) String() string {
	switch {
	case !m.Given():
		return ""
	case m.Day:
		return m.Time.Format(time.DateOnly)
	}
	return m.Time.Format(time.RFC3339Nano)
}

// MarshalJSON writes what String gives, or null.
func (m Moment) MarshalJSON() ([]byte, error) { return Text(m.String()).MarshalJSON() }

// Decimal is a grammar of unsigned decimals.
type Decimal struct {
	// Mark is the decimal mark, '.' or ','.
	Mark byte
	// MarkRequired says that a whole number carries the mark too, as in SWIFT's "5,".
	MarkRequired bool
	// Digits and Fraction are the most digits in all, at most 18, and after the mark.
	Digits, Fraction int
}

// The grammars of amounts.
var (
	// ISOAmount is ActiveOrHistoricCurrencyAndAmount of ISO 20022.
	ISOAmount = Decimal{Mark: '.', Digits: 18, Fraction: 5}
	// ISONumber is DecimalNumber and ImpliedCurrencyAndAmount of ISO 20022.
	ISONumber = Decimal{Mark: '.', Digits: 18, Fraction: 17}
	// SwiftAmount is "15d" of ISO 15022: fifteen characters, one of them a comma.
	SwiftAmount = Decimal{Mark: ',', MarkRequired: true, Digits: 14, Fraction: 14}
)

// Expected says in words what the grammar takes.
func (g Decimal) Expected() string {
	name, whole := "point", ""
	if g.Mark == ',' {
		name = "comma"
	}
	if g.MarkRequired {
		whole = " always"
	}
	return fmt.Sprintf("digits with a decimal %s%s, at most %d digits and %d of them after it", name, whole, g.Digits, g.Fraction)
}

// Parse reads s, and says whether the grammar takes it. Nothing is rounded.
func (g Decimal) Parse(s string) (decimal.Decimal, bool) {
	whole, fraction, marked := strings.Cut(s, string(rune(g.Mark)))
	digits := len(whole) + len(fraction)
	if digits == 0 || digits > g.Digits || len(fraction) > g.Fraction || (g.MarkRequired && (!marked || whole == "")) {
		return decimal.Decimal{}, false
	}
	var n int64 // at most 18 digits: it cannot overflow
	for _, part := range [2]string{whole, fraction} {
		for i := range len(part) {
			if part[i] < '0' || part[i] > '9' {
				return decimal.Decimal{}, false
			}
			n = n*10 + int64(part[i]-'0')
		}
	}
	return decimal.New(n, -int32(len(fraction))), true
}

// Write writes d, which must not be negative, in the grammar, or says what does
// not fit. Nothing is rounded: only zeros at the end give way.
func (g Decimal) Write(d decimal.Decimal) (string, error) {
	if short := d.Truncate(int32(g.Fraction)); short.Equal(d) {
		d = short
	}
	s := Exactly(d).String()
	if g.Mark != '.' {
		s = strings.Replace(s, ".", string(rune(g.Mark)), 1)
	}
	if g.MarkRequired && d.Exponent() >= 0 {
		s += string(rune(g.Mark))
	}
	if _, ok := g.Parse(s); !ok {
		return "", fmt.Errorf("amount %s, expected %s", s, g.Expected())
	}
	return s, nil
}

// Answer is a yes or no that a statement gives, or does not give.
type Answer uint8

// The answers.
const (
	NotSaid Answer = iota
	Yes
	No
)

// Said is the answer of a statement that says b.
func Said(b bool) Answer {
	if b {
		return Yes
	}
	return No
}

// MarshalJSON writes true, false, or null.
func (a Answer) MarshalJSON() ([]byte, error) {
	return []byte([...]string{NotSaid: "null", Yes: "true", No: "false"}[a]), nil
}

// Ordinal is a number that counts from one, zero (null in JSON) if not given.
type Ordinal int64

// MarshalJSON writes a number, or null.
func (o Ordinal) MarshalJSON() ([]byte, error) {
	if o == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(o), 10), nil
}
