// Package layout reads files of records by a layout that stands in a file of its own:
// position files of fixed width, such as a depository sends its participants, and
// delimited files (CSV) of a custodian or a bank.
//
// A layout says which records a file has, how they are told apart, where their
// fields stand and how numbers and dates are written in them. Depositories publish
// theirs to participants only; [Neutral] is a layout of our own in the same manner,
// and is no one else's. Nothing is guessed: a line that is none of the layout's
// records, a field that does not fit, or a trailer whose count is not that of the
// records refuses the file.
package layout

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The formats that are read by a layout.
const (
	// Position is a depository's position file.
	Position = "dtc-position"
	// CSV is a delimited file, of holdings or of a bank's entries.
	CSV = "csv"
)

// Form is how records are divided into fields.
type Form string

// The forms.
const (
	Fixed     Form = "fixed"     // by position in the line
	Delimited Form = "delimited" // by a character between them
)

// Kind is what a file tells of.
type Kind string

// The kinds.
const (
	Securities Kind = "securities"
	Bank       Kind = "bank"
)

// Role is what a record is for.
type Role string

// The roles. Fields of a statement hold for the items after it until the next one.
const (
	Statement Role = "statement"
	Item      Role = "item"
	Trailer   Role = "trailer"
	Skip      Role = "skip"
)

// Layout describes the files of one sender.
type Layout struct {
	Name string `yaml:"name"`
	Form Form   `yaml:"form"`
	Kind Kind   `yaml:"kind"`
	// Delimiter stands between fields, a comma if empty.
	Delimiter string `yaml:"delimiter"`
	// Header says that the first line names the columns.
	Header bool `yaml:"header"`
	// Complete says that every file lists all that there is, also where no trailer
	// counts its records.
	Complete bool     `yaml:"complete"`
	Records  []Record `yaml:"records"`
}

// Record is one kind of line. The first whose When fits is taken.
type Record struct {
	Role Role `yaml:"role"`
	// When tells the record from others; without it every line fits.
	When *Match `yaml:"when"`
	// Length is that of a line of fixed width without blanks at its end, at most;
	// none is asked for if it is zero.
	Length int              `yaml:"length"`
	Fields map[string]Field `yaml:"fields"`

	names []string // of Fields, in order
}

// Match is a field that has to be as it says.
type Match struct {
	Place `yaml:",inline"`
	Is    string `yaml:"is"`
}

// Place is where a field stands: at a position counted from one, with a length in
// characters; or in a column, by name or by its number from one.
type Place struct {
	At     int    `yaml:"at"`
	Length int    `yaml:"length"`
	Column string `yaml:"column"`
}

// Field is where a value stands and how it is written.
type Field struct {
	Place `yaml:",inline"`
	// Const is the value itself, where no file gives it.
	Const string `yaml:"const"`
	// Optional says that the field may be blank.
	Optional bool `yaml:"optional"`
	// Scale is the number of digits after a decimal mark that is not written. Without
	// it the mark is written, or the number is whole.
	Scale *int `yaml:"scale"`
	// Mark is the decimal mark, "." if empty, and Thousands what groups digits.
	Mark      string `yaml:"mark"`
	Thousands string `yaml:"thousands"`
	Sign      Sign   `yaml:"sign"`
	// Format of a date is made of YYYY, YY, MM, DD, hh, mm and ss.
	Format string `yaml:"format"`
	// Values says what codes of the file stand for. A code that is not in it is
	// refused.
	Values map[string]string `yaml:"values"`
}

// Sign is how a number shows that it is negative.
type Sign string

// The signs.
const (
	Unsigned    Sign = ""
	Leading     Sign = "leading"     // -1 or +1
	Trailing    Sign = "trailing"    // 1- or 1+
	Overpunch   Sign = "overpunch"   // the last digit is {, A-I or }, J-R
	Parentheses Sign = "parentheses" // (1)
)

//go:embed neutral.yaml
var neutral []byte

// Neutral is the layout that comes with the program.
func Neutral() *Layout {
	l, err := Load(bytes.NewReader(neutral), "neutral.yaml")
	if err != nil {
		panic(err) // it is part of the program, and tested
	}
	return l
}

// sizeMax bounds a layout.
const sizeMax = 1 << 20

// Load reads a layout and checks that a file can be read by it.
func Load(r io.Reader, file string) (*Layout, error) {
	dec := yaml.NewDecoder(io.LimitReader(r, sizeMax))
	dec.KnownFields(true)
	var l Layout
	if err := dec.Decode(&l); err != nil {
		return nil, fmt.Errorf("layout %s: %w", file, err)
	}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("layout %s: %w", file, err)
	}
	return &l, nil
}

// The types of a value.
type valueType uint8

const (
	text valueType = iota + 1
	number
	moment
	ordinal
)

// subBalance begins the name of a field that is a sub-balance: "sub:PLED".
const subBalance = "sub:"

// targets are the fields that a record of a role may fill.
var targets = map[Kind]map[Role]map[string]valueType{
	Securities: {
		Statement: {"id": text, "account": text, "as_of": moment, "page": ordinal, "last_page": text},
		Item: {"id": text, "account": text, "as_of": moment, "isin": text, "cusip": text, "other_id": text, "description": text, "quantity": number, "quantity_type": text,
			"available": number, "not_available": number, "price": number, "price_currency": text, "value": number, "value_currency": text},
		Trailer: {"records": ordinal, "quantity": number},
	},
	Bank: {
		Statement: {"id": text, "account": text, "currency": text, "as_of": moment, "page": ordinal, "last_page": text, "sequence": ordinal, "opening": number, "closing": number, "available": number},
		Item: {"id": text, "account": text, "currency": text, "as_of": moment, "opening": number, "closing": number, "amount": number, "side": text, "credit": number, "debit": number,
			"booked": moment, "value": moment, "reference": text, "end_to_end": text, "code": text, "text": text},
		Trailer: {"records": ordinal, "opening": number, "closing": number},
	},
}

func typeOf(kind Kind, role Role, name string) valueType {
	if kind == Securities && role == Item && strings.HasPrefix(name, subBalance) && len(name) == len(subBalance)+4 {
		return number
	}
	return targets[kind][role][name]
}

func (l *Layout) check() error {
	switch {
	case l.Form != Fixed && l.Form != Delimited:
		return fmt.Errorf("form %q, expected fixed or delimited", l.Form)
	case l.Kind != Securities && l.Kind != Bank:
		return fmt.Errorf("kind %q, expected securities or bank", l.Kind)
	case l.Form == Delimited && len(l.delimiter()) != 1:
		return fmt.Errorf("delimiter %q, expected one character of ASCII", l.Delimiter)
	case l.Form == Fixed && (l.Header || l.Delimiter != ""):
		return errors.New("header and delimiter are of delimited files")
	}
	filled := map[string]bool{}
	for i, r := range l.Records {
		l.Records[i].names = slices.Sorted(maps.Keys(r.Fields))
		if err := l.checkRecord(r, filled); err != nil {
			return fmt.Errorf("record %d (%s): %w", i+1, r.Role, err)
		}
	}
	need := []string{"account", "as_of"}
	if l.Kind == Securities {
		need = append(need, "quantity")
	}
	for _, name := range need {
		if !filled[name] {
			return fmt.Errorf("no record has the field %s", name)
		}
	}
	if l.Kind == Securities && !filled["isin"] && !filled["cusip"] {
		return errors.New("no item has an isin or a cusip")
	}
	if l.Kind == Bank && !(filled["amount"] || filled["credit"] && filled["debit"]) {
		return errors.New("no item has an amount, or a credit and a debit")
	}
	return nil
}

func (l *Layout) delimiter() string {
	if l.Delimiter == "" {
		return ","
	}
	return l.Delimiter
}

func (l *Layout) checkRecord(r Record, filled map[string]bool) error {
	if targets[l.Kind][r.Role] == nil && r.Role != Skip {
		return errors.New("expected the role statement, item, trailer or skip")
	}
	if r.When != nil {
		if err := l.checkPlace(r.When.Place); err != nil {
			return fmt.Errorf("when: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Fields)) {
		f := r.Fields[name]
		if typeOf(l.Kind, r.Role, name) == 0 {
			return fmt.Errorf("field %s, expected one of %s", name, strings.Join(slices.Sorted(maps.Keys(targets[l.Kind][r.Role])), ", "))
		}
		if err := l.checkField(f, typeOf(l.Kind, r.Role, name)); err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
		filled[name] = true
	}
	return nil
}

func (l *Layout) checkPlace(p Place) error {
	if l.Form == Fixed && (p.At < 1 || p.Length < 1 || p.Column != "" || p.At+p.Length > lineMax) {
		return errors.New("expected at and length, counted from one")
	}
	if l.Form == Delimited && (p.Column == "" || p.At != 0 || p.Length != 0) {
		return errors.New("expected a column")
	}
	return nil
}

func (l *Layout) checkField(f Field, t valueType) error {
	if f.Const == "" {
		if err := l.checkPlace(f.Place); err != nil {
			return err
		}
	}
	switch f.Sign {
	case Unsigned, Leading, Trailing, Overpunch, Parentheses:
	default:
		return fmt.Errorf("sign %q, expected leading, trailing, overpunch or parentheses", f.Sign)
	}
	if f.Scale != nil && (*f.Scale < 0 || *f.Scale > 18) {
		return fmt.Errorf("scale %d, expected 0 to 18", *f.Scale)
	}
	if f.Mark != "" && f.Mark != "." && f.Mark != "," || len(f.Thousands) > 1 || f.Thousands != "" && f.Thousands == f.mark() {
		return fmt.Errorf("mark %q and thousands %q, expected a point or a comma, and another character", f.Mark, f.Thousands)
	}
	if t == moment && goLayout(f.Format) == "" {
		return fmt.Errorf("format %q, expected one of YYYY, YY, MM, DD, hh, mm and ss, with year, month and day", f.Format)
	}
	return nil
}

func (f Field) mark() string {
	if f.Mark == "" {
		return "."
	}
	return f.Mark
}

// goLayout is a date's format as package time has it, empty if it is none.
func goLayout(format string) string {
	for _, part := range []string{"MM", "DD", "YY"} {
		if strings.Count(format, part) == 0 {
			return ""
		}
	}
	out := strings.NewReplacer("YYYY", "2006", "YY", "06", "MM", "01", "DD", "02", "hh", "15", "mm", "04", "ss", "05").Replace(format)
	if strings.ContainsAny(out, "YMDhms") {
		return ""
	}
	return out
}
