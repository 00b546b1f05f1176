package bai2

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
)

// parser follows the records of a file.
type parser struct {
	each       Each
	expect     string // what has to come next, for a file that ends too early; empty after 99
	statements []offchain.BankStatement
	flags      []offchain.Flag

	file    control
	group   control
	account control
	header  header
	current *offchain.BankStatement
	scale   uint8
	badText bool // has been flagged
}

// control is what a trailer has to say of what came before it.
type control struct {
	open     bool
	total    int64
	children int64
	records  int64
}

// header is what a group says of its accounts.
type header struct {
	originator string
	date       string
	asOf       offchain.Moment
	currency   string
	interim    bool
}

func (p *parser) take(r record) error {
	n := int64(len(r.lines))
	switch r.code {
	case "01", "02", "03", "16", "49", "98", "99":
	default:
		return &misfit{r.code, "a record 01, 02, 03, 16, 49, 88, 98 or 99"}
	}
	p.file.records += n
	if r.code != "01" && r.code != "99" {
		p.group.records += n
	}
	if r.code == "03" || r.code == "16" || r.code == "49" {
		p.account.records += n
	}
	switch r.code {
	case "01":
		return p.takeFile(r)
	case "02":
		return p.takeGroup(r)
	case "03":
		return p.takeAccount(r)
	case "16":
		return p.takeEntry(r)
	case "49":
		return p.endAccount(r)
	case "98":
		return p.endGroup(r)
	}
	return p.endFile(r)
}

// flagText says once that a text could not be read whole.
func (p *parser) flagText(at offchain.Range) {
	if p.badText {
		return
	}
	p.badText = true
	p.flags = append(p.flags, offchain.Flag{Code: offchain.NotUTF8, Detail: fmt.Sprintf("line %d (byte %d): text that is not UTF-8", at.Line, at.From)})
}

// summaries are the fields of an account's record after its currency. Some banks
// end each line of it with one comma more than it has fields.
func (r record) summaries() []string {
	var all []string
	for i, l := range r.lines {
		f := strings.Split(l, ",")
		if i == 0 {
			f = f[min(len(f), 2):]
		}
		if n := len(f); i < len(r.lines)-1 && n > 1 && f[n-1] == "" && wholeGroups(append(all, f[:n-1]...)) {
			f = f[:n-1]
		}
		all = append(all, f...)
	}
	return all
}

// wholeGroups says whether the fields are whole groups of type, amount, items and
// funds type.
func wholeGroups(f []string) bool {
	i := 0
	for i < len(f) {
		extra, err := funds(f, i+3)
		if err != nil {
			return false
		}
		i += 4 + extra
	}
	return i == len(f)
}

// fields are those of all lines of a record.
func (r record) fields() []string { return strings.Split(strings.Join(r.lines, ","), ",") }

// at is the field of that index, empty if the record is shorter.
func at(fields []string, i int) string {
	if i < len(fields) {
		return strings.TrimSpace(fields[i])
	}
	return ""
}

func (p *parser) takeFile(r record) error {
	f := r.fields()
	if p.expect != "01" {
		return &misfit{"01", "one file header, at the beginning"}
	}
	if version := at(f, 7); version != "2" {
		return &misfit{"version " + version, "version 2"}
	}
	p.file.open, p.expect = true, "99"
	return nil
}

func (p *parser) takeGroup(r record) error {
	f := r.fields()
	if !p.file.open || p.group.open {
		return &misfit{"02", "a group header after 01 or 98"}
	}
	if status := at(f, 2); status != "1" && status != "3" {
		return &misfit{"group status " + status, "1 (update) or 3 (correction)"}
	}
	h := header{originator: at(f, 1), date: at(f, 3), currency: at(f, 5)}
	modifier := at(f, 6)
	h.interim = modifier == "1" || modifier == "3"
	if h.currency == "" {
		h.currency = "USD" // the specification's default
	}
	var err error
	if h.asOf, err = readMoment(h.date, at(f, 4)); err != nil {
		return err
	}
	p.header = h
	p.group = control{open: true, records: 1}
	return nil
}

// readMoment takes YYMMDD and HHMM; 2400 and 9999 are the end of the day.
func readMoment(date, clock string) (offchain.Moment, error) {
	day, err := time.Parse("060102", date)
	if err != nil {
		return offchain.Moment{}, &misfit{date, "an as-of date YYMMDD"}
	}
	if clock == "" || clock == "2400" || clock == "9999" || clock == "2359" {
		return offchain.OnDay(day), nil
	}
	t, err := time.Parse("1504", clock)
	if err != nil {
		return offchain.Moment{}, &misfit{clock, "an as-of time HHMM"}
	}
	return offchain.Moment{Time: day.Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute)}, nil
}

func (p *parser) takeAccount(r record) error {
	f := r.fields()
	if !p.group.open || p.account.open {
		return &misfit{"03", "an account within a group, after the account before has ended with 49"}
	}
	currency := at(f, 1)
	if currency == "" {
		currency = p.header.currency
	}
	var known bool
	if p.scale, known = offchain.MinorUnits(currency); !known {
		return &misfit{currency, "a currency of ISO 4217"}
	}
	p.account = control{open: true, records: int64(len(r.lines))}
	p.current = &offchain.BankStatement{
		ID:       p.header.originator + "/" + p.header.date,
		Account:  at(f, 0),
		Currency: offchain.Text(currency),
		AsOf:     p.header.asOf,
		Intraday: p.header.interim,
		Credits:  offchain.Exactly(decimal.New(0, -int32(p.scale))),
		Debits:   offchain.Exactly(decimal.New(0, -int32(p.scale))),
		Entries:  []offchain.BankEntry{},
	}
	if p.current.Account == "" {
		return &misfit{"no account number", "an account number"}
	}
	f = r.summaries()
	for i := 0; i < len(f); {
		next, err := p.takeBalance(f, i, r.at)
		if err != nil {
			return err
		}
		i = next
	}
	return nil
}

// takeBalance takes type, amount, item count and funds type from the field of that
// index, and gives the index after them.
func (p *parser) takeBalance(f []string, i int, where offchain.Range) (int, error) {
	code, text := at(f, i), at(f, i+1)
	extra, err := funds(f, i+3)
	if err != nil {
		return 0, err
	}
	next := i + 4 + extra
	if text == "" {
		return next, nil
	}
	n, ok := readAmount(text)
	if !ok || code == "" {
		return 0, &misfit{code + "," + text, "a type code and an amount in the smallest unit"}
	}
	if err := p.account.add(n); err != nil {
		return 0, err
	}
	value := offchain.Exactly(decimal.New(n, -int32(p.scale)))
	switch code {
	case "010":
		p.current.Opening = value
	case "015":
		p.current.Closing, p.current.ClosingCurrency, p.current.ClosingAt = value, p.current.Currency, where
	case "045":
		p.current.Available = value
	}
	return next, nil
}

// funds is how many fields follow a funds type, which is the field of that index.
func funds(f []string, i int) (int, error) {
	switch kind := at(f, i); kind {
	case "", "0", "1", "2", "Z":
		return 0, nil
	case "V":
		return 2, nil // value date and time
	case "S":
		return 3, nil // available immediately, in one day, in two or more
	case "D":
		n, err := strconv.ParseUint(at(f, i+1), 10, 8)
		if err != nil {
			return 0, &misfit{at(f, i+1), "the number of distributions of funds type D"}
		}
		return 1 + 2*int(n), nil
	default:
		return 0, &misfit{kind, "a funds type 0, 1, 2, V, S, D or Z"}
	}
}

// readAmount takes a whole number of at most 18 digits with an optional sign.
func readAmount(text string) (int64, bool) {
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "+"), "-")
	if digits == "" || len(digits) > 18 || len(text)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

func (c *control) add(n int64) error {
	sum := c.total + n
	if (sum > c.total) != (n > 0) && n != 0 {
		return &misfit{strconv.FormatInt(n, 10), "control totals below 2^63"}
	}
	c.total = sum
	return nil
}

// takeEntry takes a 16 with its continuations: fields up to the references, and
// all that comes after them is text.
func (p *parser) takeEntry(r record) error {
	if !p.account.open {
		return &misfit{"16", "a transaction within an account"}
	}
	f := strings.Split(r.lines[0], ",")
	rest := r.lines[1:]
	need := 0
	for {
		extra, err := funds(f, 2)
		if need = 3 + extra + 2; len(f) >= need && err == nil || len(rest) == 0 {
			if err != nil {
				return err
			}
			break
		}
		f, rest = append(f, strings.Split(rest[0], ",")...), rest[1:]
	}
	var words []string
	if len(f) > need {
		words = append(words, strings.TrimSpace(strings.Join(f[need:], ",")))
	}
	for _, l := range rest {
		words = append(words, strings.TrimSpace(l))
	}
	e := offchain.BankEntry{
		Currency:  p.current.Currency,
		Status:    offchain.Booked,
		Booked:    p.header.asOf,
		Code:      offchain.Text(at(f, 0)),
		Reference: offchain.Text(at(f, need-2)),
		EndToEnd:  offchain.Text(at(f, need-1)),
		Text:      offchain.Text(strings.TrimSpace(strings.Join(words, "\n"))),
		At:        r.at,
	}
	if len(e.Text) > offchain.TextMax {
		e.Text = offchain.Text(strings.ToValidUTF8(string(e.Text[:offchain.TextMax]), ""))
	}
	if at(f, 2) == "V" && at(f, 3) != "" {
		value, err := readMoment(at(f, 3), at(f, 4))
		if err != nil {
			return err
		}
		e.Value = value
	}
	return p.entry(e, at(f, 1))
}

// entry gives an entry its side and amount, and hands it over.
func (p *parser) entry(e offchain.BankEntry, text string) error {
	n, ok := readAmount(text)
	switch {
	case e.Code == "890": // information without money
		e.Status = offchain.Information
		ok = text == "" || ok
	case e.Code >= "100" && e.Code <= "399", e.Code >= "920" && e.Code <= "959":
		e.Side = offchain.Credit
	case e.Code >= "400" && e.Code <= "699", e.Code >= "960" && e.Code <= "999":
		e.Side = offchain.Debit
	}
	if len(e.Code) != 3 || (e.Side == "" && e.Status == offchain.Booked) {
		return &misfit{"type code " + string(e.Code), "a type code that says credit (1xx-3xx, 920-959) or debit (4xx-6xx, 960-999)"}
	}
	if !ok || n < 0 {
		return &misfit{text, "an amount in the smallest unit, without sign"}
	}
	if err := p.account.add(n); err != nil {
		return err
	}
	e.Amount = offchain.Exactly(decimal.New(n, -int32(p.scale)))
	s := p.current
	s.EntryCount++
	if e.Status == offchain.Booked {
		s.BookedCount++
		sum := &s.Credits
		if e.Side == offchain.Debit {
			sum = &s.Debits
		}
		sum.Value = sum.Value.Add(e.Amount.Value)
	}
	return p.each(s, e)
}

// hold compares a trailer's numbers with what came before it.
func (c control) hold(r record, what string, children string) error {
	f := r.fields()
	want := []struct {
		name string
		n    int64
	}{{what + " control total", c.total}}
	if children != "" {
		want = append(want, struct {
			name string
			n    int64
		}{"number of " + children, c.children})
	}
	want = append(want, struct {
		name string
		n    int64
	}{"number of records of the " + what, c.records})
	for i, w := range want {
		if i == 0 && w.n == 0 && at(f, i) == "" { // some banks write no zero
			continue
		}
		if n, ok := readAmount(at(f, i)); !ok || n != w.n {
			return &misfit{at(f, i), fmt.Sprintf("%s %d", w.name, w.n)}
		}
	}
	return nil
}

func (p *parser) endAccount(r record) error {
	if !p.account.open {
		return &misfit{"49", "an account trailer after an account"}
	}
	if err := p.account.hold(r, "account", ""); err != nil {
		return err
	}
	s := p.current
	p.flags = append(p.flags, s.CheckRoll()...)
	p.statements = append(p.statements, *s)
	p.account.open, p.current = false, nil
	p.group.children++
	return p.group.add(p.account.total)
}

func (p *parser) endGroup(r record) error {
	if !p.group.open || p.account.open {
		return &misfit{"98", "a group trailer after 49"}
	}
	if err := p.group.hold(r, "group", "accounts"); err != nil {
		return err
	}
	p.group.open = false
	p.file.children++
	return p.file.add(p.group.total)
}

func (p *parser) endFile(r record) error {
	if !p.file.open || p.group.open {
		return &misfit{"99", "a file trailer after 98"}
	}
	p.file.open, p.expect = false, ""
	return p.file.hold(r, "file", "groups")
}
