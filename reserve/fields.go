package reserve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/shopspring/decimal"
)

// fields is one JSON object of an input file. Its methods name the field, the value
// and what was expected in every error. A null stands for a field that is absent.
type fields struct {
	path   string // of the object, empty for the document
	values map[string]json.RawMessage
}

// parseObject reads one JSON object. A name that appears twice is an error: which of
// the two values holds cannot be known.
func parseObject(data []byte, path string) (fields, error) {
	f := fields{path: path, values: map[string]json.RawMessage{}}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fields{}, fmt.Errorf("%s: got %.40q, expected a JSON object", f.where(), data)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fields{}, fmt.Errorf("%s: byte %d: %w", f.where(), d.InputOffset(), err)
		}
		name, isName := t.(string)
		if !isName {
			return fields{}, fmt.Errorf("%s: byte %d: got %v, expected a field name", f.where(), d.InputOffset(), t)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fields{}, fmt.Errorf("%s: byte %d: %w", f.name(name), d.InputOffset(), err)
		}
		if _, twice := f.values[name]; twice {
			return fields{}, fmt.Errorf("%s stands twice, expected once", f.name(name))
		}
		f.values[name] = value
	}
	if _, err := d.Token(); err != nil {
		return fields{}, fmt.Errorf("%s: byte %d: %w", f.where(), d.InputOffset(), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fields{}, fmt.Errorf("%s: byte %d: more after the object", f.where(), d.InputOffset())
	}
	return f, nil
}

func (f fields) where() string {
	if f.path == "" {
		return "document"
	}
	return f.path
}

func (f fields) name(field string) string {
	if f.path == "" {
		return field
	}
	return f.path + "." + field
}

func (f fields) has(field string) bool {
	value, found := f.values[field]
	return found && string(value) != "null"
}

// text is a string field, empty when absent.
func (f fields) text(field string) (string, error) {
	if !f.has(field) {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(f.values[field], &s); err != nil {
		return "", fmt.Errorf("%s: got %.40s, expected a string", f.name(field), f.values[field])
	}
	return s, nil
}

// flag is a boolean field, false when absent.
func (f fields) flag(field string) (bool, error) {
	if !f.has(field) {
		return false, nil
	}
	var b bool
	if err := json.Unmarshal(f.values[field], &b); err != nil {
		return false, fmt.Errorf("%s: got %.40s, expected true or false", f.name(field), f.values[field])
	}
	return b, nil
}

// number is an amount or a rate, as a string or a JSON number, exactly; not valid
// when absent.
func (f fields) number(field string) (decimal.NullDecimal, error) {
	if !f.has(field) {
		return decimal.NullDecimal{}, nil
	}
	raw := string(f.values[field])
	s := raw
	if strings.HasPrefix(raw, `"`) {
		if err := json.Unmarshal(f.values[field], &s); err != nil {
			return decimal.NullDecimal{}, fmt.Errorf("%s: got %.40s, expected a number", f.name(field), raw)
		}
	}
	n, err := parseNumber(s)
	if err != nil {
		return decimal.NullDecimal{}, fmt.Errorf("%s: %w", f.name(field), err)
	}
	return decimal.NewNullDecimal(n), nil
}

// amount is a number that cannot be negative, zero when absent.
func (f fields) amount(field string) (decimal.Decimal, error) {
	n, err := f.number(field)
	if err == nil && n.Decimal.IsNegative() {
		err = fmt.Errorf("%s: got %s, expected zero or more", f.name(field), n.Decimal)
	}
	return n.Decimal, err
}

// list is an array field, empty when absent.
func (f fields) list(field string) ([]json.RawMessage, error) {
	if !f.has(field) {
		return nil, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(f.values[field], &items); err != nil {
		return nil, fmt.Errorf("%s: got %.40s, expected a list", f.name(field), f.values[field])
	}
	return items, nil
}

// maxDigits bounds a number in a file: far beyond any sum of money, and short enough
// that computing with it is quick.
const maxDigits = 60

// parseNumber reads a plain decimal: digits, at most one point, at most a minus
// before them. No exponent, no grouping, no plus.
func parseNumber(s string) (decimal.Decimal, error) {
	digits := strings.TrimPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if len(s) > maxDigits || !allDigits(whole) || point && !allDigits(fraction) {
		return decimal.Zero, fmt.Errorf("got %.80q, expected a plain decimal number such as 316999 or 0.03", s)
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
