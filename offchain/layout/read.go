package layout

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"goodcontrol/custody"
	"goodcontrol/offchain"
)

// EachHolding is called with every holding and the statement that it belongs to,
// which is not yet complete. What it got is worth nothing until Scan has returned a
// valid result: a file with an error in it is refused whole.
type EachHolding func(of *offchain.SecuritiesStatement, h offchain.Holding) error

// EachEntry is called likewise with every entry of a bank.
type EachEntry func(of *offchain.BankStatement, e offchain.BankEntry) error

// Scan reads a file by a layout and hands over each holding or entry. The error is
// the reader's below, or what was returned for one; a fault of the file is in the
// result. It keeps one statement for each account, and nothing else that grows.
func (l *Layout) Scan(r io.Reader, file string, holding EachHolding, entry EachEntry) (offchain.Result, error) {
	p := &parser{layout: l, file: file, holding: holding, entry: entry}
	err := p.run(newRows(l, r, file))
	var fault *offchain.Error
	switch {
	case errors.As(err, &fault):
		return offchain.Refused(l.format(), fault), nil
	case err != nil:
		return offchain.Result{}, err
	}
	return p.result(), nil
}

// Read reads a file with all that is in it.
func (l *Layout) Read(r io.Reader, file string) (offchain.Result, error) {
	return l.Scan(r, file, func(of *offchain.SecuritiesStatement, h offchain.Holding) error {
		of.Holdings = append(of.Holdings, h)
		return nil
	}, func(of *offchain.BankStatement, e offchain.BankEntry) error {
		of.Entries = append(of.Entries, e)
		return nil
	})
}

// format is the name that results carry.
func (l *Layout) format() string {
	if l.Form == Fixed {
		return Position
	}
	return CSV
}

// parser follows the records of a file.
type parser struct {
	layout  *Layout
	file    string
	holding EachHolding
	entry   EachEntry

	head    values // of the statement record before
	headAt  offchain.Range
	headed  bool
	items   int64
	sum     decimal.Decimal
	trailed bool // after a trailer nothing but another statement may come

	securities []*offchain.SecuritiesStatement
	banks      []*offchain.BankStatement
	flags      []offchain.Flag
}

func (p *parser) run(in rows) error {
	for {
		r, err := in.next()
		if err == io.EOF {
			return p.end(in.here())
		}
		if err == nil {
			err = p.take(r)
		}
		if err != nil {
			return err
		}
	}
}

// take takes one row as the record that it is.
func (p *parser) take(r *row) error {
	rec := p.layout.recordOf(r)
	if rec == nil {
		return offchain.Fault(p.file, r.at.Line, r.at.From, r.text, "a record of the layout "+p.layout.Name)
	}
	if rec.Length > 0 && len(r.line) > rec.Length {
		return offchain.Fault(p.file, r.at.Line, r.at.From, fmt.Sprintf("%d characters", len(r.line)), fmt.Sprintf("at most %d in a record %s", rec.Length, rec.Role))
	}
	v, err := p.layout.read(rec, r)
	if err == nil {
		err = p.record(rec.Role, v, r.at)
	}
	var bad *misfit
	if errors.As(err, &bad) {
		return offchain.Fault(p.file, r.at.Line, r.at.From, bad.got, bad.expected)
	}
	return err
}

func (l *Layout) recordOf(r *row) *Record {
	for i := range l.Records {
		rec := &l.Records[i]
		if rec.When == nil {
			return rec
		}
		if s, ok := r.get(rec.When.Place); ok && s == rec.When.Is {
			return rec
		}
	}
	return nil
}

func (p *parser) record(role Role, v values, at offchain.Range) error {
	switch role {
	case Statement:
		if p.headed && !p.trailed && p.layout.hasTrailer() {
			return &misfit{"a second statement", "a trailer before it"}
		}
		p.head, p.headAt, p.headed, p.trailed = v, at, true, false
		if p.layout.Kind == Securities {
			_, err := p.securitiesOf(v)
			return err
		}
		_, err := p.bankOf(v)
		return err
	case Trailer:
		return p.trailer(v, at)
	case Item:
		if p.trailed || p.layout.hasHead() && !p.headed {
			return &misfit{"an item", "items after the record of their statement, and before its trailer"}
		}
		p.items++
		if p.layout.Kind == Securities {
			return p.takeHolding(v, at)
		}
		return p.takeEntry(v, at)
	}
	return nil
}

func (l *Layout) has(role Role) bool {
	return slices.ContainsFunc(l.Records, func(r Record) bool { return r.Role == role })
}

func (l *Layout) hasTrailer() bool { return l.has(Trailer) }
func (l *Layout) hasHead() bool    { return l.has(Statement) }

// trailer holds what the file says of itself against what was read.
func (p *parser) trailer(v values, at offchain.Range) error {
	if n, given := v.counts["records"]; given && n != p.items {
		return &misfit{fmt.Sprintf("records %d", n), fmt.Sprintf("%d, as many items as were read", p.items)}
	}
	if q, given := v.numbers["quantity"]; given && !q.Value.Equal(p.sum) {
		return &misfit{"quantity " + q.String(), p.sum.String() + ", the sum of the items' quantities"}
	}
	for _, s := range p.banks {
		setOnce(&s.Opening, v.numbers["opening"])
		if setOnce(&s.Closing, v.numbers["closing"]) {
			s.ClosingAt = at
		}
	}
	p.items, p.sum, p.trailed = 0, decimal.Decimal{}, true
	return nil
}

func setOnce(to *offchain.Number, n offchain.Number) bool {
	if n.Given && !to.Given {
		*to = n
		return true
	}
	return false
}

// end checks that the file is whole.
func (p *parser) end(at offchain.Range) error {
	switch {
	case p.layout.hasTrailer() && !p.trailed:
		return offchain.Fault(p.file, at.Line, at.From, "end of file", "a trailer")
	case len(p.securities)+len(p.banks) == 0:
		return offchain.Fault(p.file, at.Line, at.From, "end of file", "a statement")
	}
	return nil
}

// or is a value of the record itself, or else of the statement record before it.
func (p *parser) or(v values, name string) string {
	if s := v.texts[name]; s != "" {
		return s
	}
	return p.head.texts[name]
}

func (p *parser) momentOr(v values, name string) offchain.Moment {
	if m := v.moments[name]; m.Given() {
		return m
	}
	return p.head.moments[name]
}

// whole says which page a file is, where it says so or is known to be all.
func (p *parser) whole(v values) (page offchain.Ordinal, last offchain.Answer, err error) {
	page = offchain.Ordinal(v.counts["page"])
	switch s := strings.ToLower(v.texts["last_page"]); s {
	case "":
	case "y", "yes", "true", "1":
		last = offchain.Yes
	case "n", "no", "false", "0":
		last = offchain.No
	default:
		return 0, last, &misfit{s, "last_page as yes or no"}
	}
	if page == 0 && (p.layout.Complete || p.layout.hasTrailer()) {
		return 1, offchain.Yes, nil
	}
	return page, last, nil
}

func (p *parser) securitiesOf(v values) (*offchain.SecuritiesStatement, error) {
	account, asOf := p.or(v, "account"), p.momentOr(v, "as_of")
	if account == "" || !asOf.Given() {
		return nil, &misfit{fmt.Sprintf("account %q, date %q", account, asOf), "an account and a date"}
	}
	for _, s := range p.securities {
		if s.Account == account {
			if s.AsOf != asOf {
				return nil, &misfit{asOf.String(), "one date of account " + account + ", " + s.AsOf.String()}
			}
			return s, nil
		}
	}
	if len(p.securities) == accountsMax {
		return nil, &misfit{account, fmt.Sprintf("at most %d accounts", accountsMax)}
	}
	page, last, err := p.whole(v)
	s := &offchain.SecuritiesStatement{ID: p.or(v, "id"), Account: account, AsOf: asOf, Page: page, LastPage: last, Complete: offchain.Said(page == 1 && last == offchain.Yes),
		Holdings: []offchain.Holding{}, Transactions: []offchain.Transaction{}}
	p.securities = append(p.securities, s)
	return s, err
}

// accountsMax bounds the accounts of one file.
const accountsMax = 1 << 10

func (p *parser) takeHolding(v values, at offchain.Range) error {
	s, err := p.securitiesOf(v)
	if err != nil {
		return err
	}
	t, n := v.texts, v.numbers
	h := offchain.Holding{
		ISIN: offchain.Text(t["isin"]), CUSIP: offchain.Text(t["cusip"]), OtherID: offchain.Text(t["other_id"]), Description: offchain.Text(t["description"]),
		Quantity: n["quantity"], QuantityType: offchain.Text(t["quantity_type"]), Available: n["available"], NotAvailable: n["not_available"],
		SubBalances: []offchain.SubBalance{}, Price: n["price"], PriceCurrency: offchain.Text(t["price_currency"]), Value: n["value"], ValueCurrency: offchain.Text(t["value_currency"]), At: at,
	}
	if h.QuantityType == "" {
		h.QuantityType = "UNIT"
	}
	if h.ISIN == "" && h.CUSIP == "" || !h.Quantity.Given {
		return &misfit{h.Name(), "an instrument and a quantity"}
	}
	if h.CUSIP == "" {
		cusip, _ := custody.CUSIPOfISIN(string(h.ISIN)) // empty where the ISIN holds none
		h.CUSIP = offchain.Text(cusip)
	}
	for _, f := range p.layout.subBalances() {
		if q := n[f]; q.Given {
			h.SubBalances = append(h.SubBalances, offchain.SubBalance{Type: strings.TrimPrefix(f, subBalance), Quantity: q})
		}
	}
	p.sum = p.sum.Add(h.Quantity.Value)
	p.flags = append(p.flags, offchain.About(s.Account, h.Check())...)
	return p.holding(s, h)
}

// subBalances are the names of such fields, in order.
func (l *Layout) subBalances() []string {
	var all []string
	for _, r := range l.Records {
		for name := range r.Fields {
			if strings.HasPrefix(name, subBalance) && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return all
}

// result completes the statements, and flags what does not add up.
func (p *parser) result() offchain.Result {
	out := offchain.Result{Format: p.layout.format()}
	for _, s := range p.securities {
		p.flags = append(p.flags, offchain.About(s.Account, s.CheckPage())...)
		out.Securities = append(out.Securities, *s)
	}
	for _, s := range p.banks {
		if s.Currency == "" {
			s.Currency = s.ClosingCurrency
		}
		p.flags = append(p.flags, s.CheckRoll()...)
		out.Bank = append(out.Bank, *s)
	}
	out.Flags = p.flags
	return out
}
