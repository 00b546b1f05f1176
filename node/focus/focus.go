// Package focus is the reserve computation as it is filed and archived: the lines in
// the order of Form X-17A-5 Part II (FOCUS) with its box codes, and behind them the
// accounts and deposits that make them, as JSON, CSV, XLSX and PDF.
//
// A [Document] holds everything that is printed, so that each form is made of it
// alone: who has the JSON can make the others again and compare them, byte for byte.
// The bytes depend on the document only, not on the clock, the machine or a
// compressor. In the workbook every sum is a live formula over the accounts and
// deposits beside it, and equals the figure of the computation.
//
// The package computes nothing. Figures and their rounding are those of package
// reserve; a document whose lines do not follow from each other is refused by
// [Document.Check].
package focus

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/reserve"
)

// Version names the form of the JSON document.
const Version = "goodcontrol.reserve-report.v1"

// Document is one computation as it is printed.
type Document struct {
	Version     string             `json:"format"`
	Entity      string             `json:"entity"`
	Computation reserve.Population `json:"computation"`
	// AsOf is the day as of which is computed, At the moment at which the books stood
	// so, and Seq the newest entry of the journal then. The last two are zero for a
	// computation from a file.
	AsOf      reserve.Date      `json:"as_of"`
	At        time.Time         `json:"as_of_time,omitzero"`
	Seq       uint64            `json:"journal_seq"`
	Method    reserve.Method    `json:"net_capital_method"`
	Frequency reserve.Frequency `json:"frequency"`
	RulePack  string            `json:"rule_pack"`
	// Unit is the number of dollars in which every amount is given.
	Unit         string               `json:"unit"`
	Status       reserve.Status       `json:"status"`
	DepositDueBy time.Time            `json:"deposit_due_by"`
	Lines        []Line               `json:"lines"`
	Deposits     []Deposit            `json:"deposits"`
	Ineligible   []reserve.Ineligible `json:"ineligible"`
	Accounts     []Account            `json:"accounts"`
	LeftOut      []Account            `json:"left_out"`
}

// Section is a part of the form.
type Section string

// The sections, in their order.
const (
	Parameters  Section = "parameters"
	Credits     Section = "credits"
	Debits      Section = "debits"
	Computation Section = "computation"
	OnDeposit   Section = "deposit"
)

// Line is one line of the form. Exact is the figure itself and Amount what is printed,
// rounded half-up. A line of words has neither, but a Text.
type Line struct {
	Key      string              `json:"key"`
	Section  Section             `json:"section"`
	Item     string              `json:"item,omitempty"`
	Box      string              `json:"focus_box,omitempty"`
	Caption  string              `json:"caption"`
	Citation string              `json:"citation,omitempty"`
	Exact    decimal.NullDecimal `json:"exact"`
	Amount   string              `json:"amount,omitempty"`
	Text     string              `json:"text,omitempty"`
	// Formula says how the line follows from others, which stand in it by their keys
	// in braces. Empty for what comes from outside.
	Formula string `json:"formula,omitempty"`
}

// Account is an account's part in an item, or what an item leaves out of it and why.
type Account struct {
	Item    reserve.Item    `json:"item"`
	Account string          `json:"account"`
	Asset   string          `json:"asset,omitempty"`
	Amount  decimal.Decimal `json:"amount"`
	Reason  string          `json:"reason,omitempty"`
}

// Deposit is what lies in a reserve account, and how much of it counts.
type Deposit struct {
	Account string          `json:"account"`
	Bank    string          `json:"bank,omitempty"`
	Asset   string          `json:"asset"`
	Amount  decimal.Decimal `json:"amount"`
	Counted decimal.Decimal `json:"counted"`
}

// cash says whether the deposit is cash, and not a security.
func (x Deposit) cash() bool { return x.Asset == "USD" }

// Source is what a document is made of.
type Source struct {
	Entity    string
	At        time.Time
	Seq       uint64
	Statement reserve.Statement
	Drivers   []reserve.Driver
	LeftOut   []reserve.LeftOut
	// Places is how many decimals are printed: 2 for dollars.
	Places int32
	// Unit is the number of dollars in which the statement's amounts are; one if it is
	// not valid.
	Unit decimal.NullDecimal
}

// New makes the document of a computation.
func New(src Source) (Document, error) {
	s := src.Statement
	d := Document{
		Version: Version, Entity: src.Entity, Computation: s.Params.Population, AsOf: s.Params.AsOf, At: src.At.UTC(), Seq: src.Seq,
		Method: s.Params.Method, Frequency: s.Params.Frequency, RulePack: s.Params.Rules.ID, Status: s.Status(), DepositDueBy: s.Deadline.Due,
		Deposits: []Deposit{}, Ineligible: []reserve.Ineligible{}, Accounts: []Account{}, LeftOut: []Account{},
	}
	if src.At.IsZero() {
		d.At = time.Time{}
	}
	if d.Unit = "1"; src.Unit.Valid {
		d.Unit = src.Unit.Decimal.String()
	}
	for _, x := range src.Drivers {
		d.Accounts = append(d.Accounts, Account{Item: x.Item, Account: x.Account.String(), Asset: string(x.Asset), Amount: x.Amount})
	}
	for _, x := range src.LeftOut {
		d.LeftOut = append(d.LeftOut, Account{Item: x.Item, Account: x.Account.String(), Asset: string(x.Asset), Amount: x.Amount, Reason: x.Reason})
	}
	// The largest come first within each item, as the books give them.
	byItem := func(a, b Account) int { return int(a.Item) - int(b.Item) }
	slices.SortStableFunc(d.Accounts, byItem)
	slices.SortStableFunc(d.LeftOut, byItem)
	if f := s.Funding; f != nil {
		for _, x := range f.Deposits {
			d.Deposits = append(d.Deposits, Deposit{Account: x.Account, Bank: x.Bank, Asset: x.Asset, Amount: x.Amount, Counted: x.Counted})
		}
		slices.SortStableFunc(d.Deposits, func(a, b Deposit) int {
			switch {
			case a.cash() && !b.cash():
				return -1
			case b.cash() && !a.cash():
				return 1
			}
			return 0
		})
		d.Ineligible = append(d.Ineligible, f.Ineligible...)
	}
	d.Lines = linesOf(s, src.Places)
	return d, d.Check()
}

// Check holds that the lines follow from each other and from the accounts and
// deposits, as the formulas say.
func (d Document) Check() error {
	if d.Version != Version {
		return fmt.Errorf("reserve report of format %q, expected %q", d.Version, Version)
	}
	if err := d.plain(); err != nil {
		return err
	}
	exact := map[string]decimal.Decimal{}
	for _, l := range d.Lines {
		if _, twice := exact[l.Key]; twice || l.Key == "" {
			return fmt.Errorf("line %q stands twice or has no key", l.Key)
		}
		if err := l.printed(); err != nil {
			return err
		}
		exact[l.Key] = l.Exact.Decimal
	}
	items := map[string]decimal.Decimal{}
	listed := map[string]bool{}
	for _, a := range d.Accounts {
		key := itemKey(a.Item)
		items[key], listed[key] = items[key].Add(a.Amount), true
	}
	for key, sum := range items {
		if listed[key] && !sum.Equal(exact[key]) {
			return fmt.Errorf("line %s is %s, its accounts add up to %s", key, exact[key], sum)
		}
	}
	counted := decimal.Zero
	for _, x := range d.Deposits {
		counted = counted.Add(x.Counted)
	}
	if len(d.Deposits) > 0 && !counted.Equal(exact[keyHeld]) {
		return fmt.Errorf("line %s is %s, the deposits that count add up to %s", keyHeld, exact[keyHeld], counted)
	}
	for _, l := range d.Lines {
		follows, is := rules[l.Key]
		if !is || l.Formula == "" {
			continue
		}
		if want := follows(exact, d); !want.Equal(l.Exact.Decimal) {
			return fmt.Errorf("line %s is %s, the lines that it follows from give %s", l.Key, l.Exact.Decimal, want)
		}
	}
	return nil
}

// plain holds that no figure is longer than any sum of money: a few letters such as
// 1e999999999 would take for ever to add or to print.
func (d Document) plain() error {
	var figures []decimal.Decimal
	for _, l := range d.Lines {
		figures = append(figures, l.Exact.Decimal)
	}
	for _, a := range append(slices.Clone(d.Accounts), d.LeftOut...) {
		figures = append(figures, a.Amount)
	}
	for _, x := range d.Deposits {
		figures = append(figures, x.Amount, x.Counted)
	}
	for _, f := range figures {
		if f.Exponent() > maxExponent || f.Exponent() < -maxExponent || f.NumDigits() > 2*maxExponent {
			return fmt.Errorf("figure of %d digits and exponent %d, expected at most %d and %d", f.NumDigits(), f.Exponent(), 2*maxExponent, maxExponent)
		}
	}
	return nil
}

// printed holds that what is printed is the figure, rounded half-up.
func (l Line) printed() error {
	want := ""
	if l.Exact.Valid {
		_, fraction, _ := strings.Cut(l.Amount, ".")
		want = l.Exact.Decimal.StringFixed(int32(min(len(fraction), maxExponent)))
		if l.Section == Parameters {
			want = l.Exact.Decimal.String()
		}
	}
	if l.Amount != want {
		return fmt.Errorf("line %s prints %.80q, expected %q", l.Key, l.Amount, want)
	}
	return nil
}

// maxExponent bounds the digits of a figure on either side of the point.
const maxExponent = 100

// Format is a form in which a document can be written.
type Format string

// The forms.
const (
	JSON Format = "json"
	CSV  Format = "csv"
	XLSX Format = "xlsx"
	PDF  Format = "pdf"
)

// Formats lists every form.
func Formats() []Format { return []Format{JSON, CSV, XLSX, PDF} }

// MediaType is what HTTP calls the form.
func (f Format) MediaType() string {
	switch f {
	case JSON:
		return "application/json"
	case CSV:
		return "text/csv; charset=utf-8"
	case XLSX:
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case PDF:
		return "application/pdf"
	}
	return ""
}

// Write writes the document in a form.
func (d Document) Write(w io.Writer, f Format) error {
	switch f {
	case JSON:
		return d.writeJSON(w)
	case CSV:
		return d.writeCSV(w)
	case XLSX:
		return d.writeXLSX(w)
	case PDF:
		return d.writePDF(w)
	}
	return fmt.Errorf("format %q, expected one of %q", f, Formats())
}
