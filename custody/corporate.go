package custody

import (
	"encoding/json"
	"fmt"
	"slices"
)

// A CorporateAction is what an issuer did to all holders of an instrument as of a
// record date. Its fields are texts, as those of an [Activity] are.
type CorporateAction struct {
	Ref  Ref           `json:"ref"`
	Type CorporateType `json:"type"`
	// Instrument is what it was done to; Into is what holders get instead or besides,
	// where that is another instrument.
	Instrument string `json:"instrument"`
	Into       string `json:"into,omitempty"`
	// Record is the day as of whose end holders are entitled, and Payable the day
	// from which they are owed.
	Record  Day `json:"record"`
	Payable Day `json:"payable"`
	// Cash is dollars for each whole unit. New units are given for every Old ones:
	// besides them for a stock dividend, instead of them otherwise.
	Cash string `json:"cash,omitempty"`
	New  string `json:"new,omitempty"`
	Old  string `json:"old,omitempty"`
	// Lieu is the dollars for a whole unit at which fractions are paid in cash.
	Lieu string `json:"lieu,omitempty"`
	Note string `json:"note,omitempty"`
}

// CorporateType is what sort of corporate action it is.
type CorporateType string

// The types of corporate action. A split with less new than old is a reverse split.
const (
	CashDividend  CorporateType = "cash_dividend"
	StockDividend CorporateType = "stock_dividend"
	Split         CorporateType = "split"
	Merger        CorporateType = "merger"
)

// KindCorporate is the kind of the entry that carries a [CorporateAction],
// KindEntitled and KindDue those of what it books: to holders, and where it is due from.
const (
	KindCorporate = "corporate.action"
	KindEntitled  = "corporate.entitled"
	KindDue       = "corporate.due"
)

// field is where a field's value stands.
func (c *CorporateAction) field(name string) *string {
	return map[string]*string{
		"ref": (*string)(&c.Ref), "type": (*string)(&c.Type), "instrument": &c.Instrument, "into": &c.Into, "record": (*string)(&c.Record),
		"payable": (*string)(&c.Payable), "cash": &c.Cash, "new": &c.New, "old": &c.Old, "lieu": &c.Lieu, "note": &c.Note,
	}[name]
}

// Wrong is the error that says what was expected of a field.
func (c *CorporateAction) Wrong(field, expected string, args ...any) error {
	return &FieldError{Field: field, Got: *c.field(field), Expected: fmt.Sprintf(expected, args...)}
}

// corporateFields are the fields that a type needs and may have, beside those that
// all need.
var corporateFields = map[CorporateType]struct{ needs, may []string }{
	CashDividend:  {[]string{"cash"}, nil},
	StockDividend: {[]string{"new", "old"}, []string{"into", "lieu"}},
	Split:         {[]string{"new", "old"}, []string{"into", "lieu"}},
	Merger:        {nil, []string{"into", "new", "old", "cash", "lieu"}},
}

// Check brings numbers into their one form, and says what of the action is wrong by
// itself.
func (c *CorporateAction) Check() error {
	fields, known := corporateFields[c.Type]
	if !known {
		return c.Wrong("type", "cash_dividend, stock_dividend, split or merger")
	}
	for _, name := range []string{"ref", "instrument", "record", "payable"} {
		if *c.field(name) == "" {
			return c.Wrong(name, "a value")
		}
	}
	for _, name := range []string{"into", "cash", "new", "old", "lieu"} {
		switch value := c.field(name); {
		case *value == "" && slices.Contains(fields.needs, name):
			return c.Wrong(name, "a value; a %s needs one", c.Type)
		case *value != "" && !slices.Contains(fields.needs, name) && !slices.Contains(fields.may, name):
			return c.Wrong(name, "nothing; a %s has no %s", c.Type, name)
		case *value != "" && name != "into":
			n, err := parseNumber(*value)
			if err != nil || !n.IsPositive() {
				return c.Wrong(name, "a decimal number of more than zero")
			}
			*value = n.String()
		}
	}
	a := Activity{Ref: c.Ref, Kind: TradeCancelled, On: c.Record, Of: "x", Note: c.Note}
	if err := a.Check(); err != nil { // the same bounds of texts
		return err
	}
	if _, err := ParseDay(string(c.Record)); err != nil {
		return c.Wrong("record", "a date such as 2026-11-20")
	}
	if _, err := ParseDay(string(c.Payable)); err != nil || c.Payable < c.Record {
		return c.Wrong("payable", "a date such as 2026-11-20, not before the record date")
	}
	switch {
	case c.Type == Merger && (c.Into == "") != (c.New == ""), (c.New == "") != (c.Old == ""):
		return c.Wrong("new", "a number with old, and into with both")
	case c.Type == Merger && c.Into == "" && c.Cash == "":
		return c.Wrong("cash", "cash, or another instrument, for what holders give up")
	}
	return nil
}

// Content is the action's text, which tells whether two of one ref are the same.
func (c CorporateAction) Content() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // it is texts
	}
	return string(text)
}
