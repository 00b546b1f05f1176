package reserve

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Input is a line-item file: the amounts of one computation, and what was on
// deposit before it. All amounts are in the file's unit.
type Input struct {
	Population Population
	Method     Method
	Frequency  Frequency
	AsOf       Date
	// Unit is the number of dollars in which amounts are given, 1 when the file does
	// not say; then the result is in cents, and otherwise rounded to the unit.
	Unit          decimal.NullDecimal
	ReductionRate decimal.NullDecimal
	Items         LineItems
	// Deposits is nil when the file says nothing of them. A list of deposits stands
	// before a single figure.
	Deposits             *Deposits
	CustomerExcessDebits decimal.Decimal
}

// ParseLineItems reads a line-item file. Fields it does not know are ignored, so that
// a filed schedule is valid input; an item it does not know, a number that is none,
// and a negative amount are errors that name the field, the value and what was expected.
func ParseLineItems(data []byte) (Input, error) {
	f, err := parseObject(data, "")
	if err != nil {
		return Input{}, err
	}
	var in Input
	steps := []func(fields) error{in.parseHead, in.parseNumbers, in.parseItems, in.parseDeposits}
	for _, step := range steps {
		if err := step(f); err != nil {
			return Input{}, err
		}
	}
	return in, nil
}

func (in *Input) parseHead(f fields) error {
	population, err := f.text("computation")
	if err != nil {
		return err
	}
	if in.Population = Population(population); in.Population != CustomerAccounts && in.Population != PABAccounts {
		return fmt.Errorf("computation: got %q, expected %q or %q", population, CustomerAccounts, PABAccounts)
	}
	method, err := f.text("net_capital_method")
	if err != nil {
		return err
	}
	if method == "" && in.Population == PABAccounts {
		method = string(Basic) // no PAB debit is reduced under either method
	}
	if in.Method = Method(method); in.Method != Basic && in.Method != Alternative {
		return fmt.Errorf("net_capital_method: got %q, expected %q or %q", method, Basic, Alternative)
	}
	frequency, err := f.text("frequency")
	if err != nil {
		return err
	}
	if in.Frequency, err = parseFrequency(frequency); err != nil {
		return err
	}
	day, err := f.text("as_of")
	if err != nil {
		return err
	}
	if in.AsOf, err = ParseDate(day); err != nil {
		return fmt.Errorf("as_of: %w", err)
	}
	return nil
}

// parseFrequency reads how often the firm computes. Weekly is what the rule asks of
// a firm that is nothing else, and so stands where none is given or where a schedule
// was filed without one.
func parseFrequency(s string) (Frequency, error) {
	switch f := Frequency(s); {
	case f == Weekly, f == Daily, f == Monthly:
		return f, nil
	case s == "", strings.HasPrefix(s, "not printed"):
		return Weekly, nil
	}
	return "", fmt.Errorf("frequency: got %q, expected %q, %q or %q", s, Weekly, Daily, Monthly)
}

func (in *Input) parseNumbers(f fields) error {
	var err error
	if in.Unit, err = parseUnit(f); err != nil {
		return err
	}
	if in.ReductionRate, err = f.number("debit_reduction_rate"); err != nil {
		return err
	}
	in.CustomerExcessDebits, err = f.amount("customer_excess_debits")
	return err
}

// parseUnit reads the number of dollars in which amounts are given.
func parseUnit(f fields) (decimal.NullDecimal, error) {
	unit, err := f.number("unit")
	if err == nil && unit.Valid && (!unit.Decimal.IsPositive() || !unit.Decimal.IsInteger()) {
		err = fmt.Errorf("unit: got %s, expected a whole number of dollars such as 1, 1000 or 1000000", unit.Decimal)
	}
	return unit, err
}

func (in *Input) parseItems(f fields) error {
	if !f.has("items") {
		return fmt.Errorf(`items: missing, expected an object such as {"1":"316999"}`)
	}
	items, err := parseObject(f.values["items"], "items")
	if err != nil {
		return err
	}
	for name := range items.values {
		var item Item
		if err := item.UnmarshalText([]byte(name)); err != nil || !item.numbered() {
			return fmt.Errorf("items: got %q, expected an item from 1 to 15", name)
		}
		if in.Items.Items[item], err = items.amount(name); err != nil {
			return err
		}
	}
	if in.Items.OtherCredits, err = parseOthers(f, OtherCredits); err != nil {
		return err
	}
	in.Items.OtherDebits, err = parseOthers(f, OtherDebits)
	return err
}

// parseOthers reads one of the two lists: a list of caption and amount, or their sum.
func parseOthers(f fields, item Item) ([]Other, error) {
	name := item.String()
	if !f.has(name) {
		return nil, nil
	}
	if f.values[name][0] != '[' {
		amount, err := f.amount(name)
		return []Other{{Caption: item.Info().Caption, Amount: amount}}, err
	}
	rows, err := f.list(name)
	if err != nil {
		return nil, err
	}
	var others []Other
	for i, raw := range rows {
		row, err := parseObject(raw, fmt.Sprintf("%s[%d]", f.name(name), i))
		if err != nil {
			return nil, err
		}
		caption, err := row.text("caption")
		if err != nil {
			return nil, err
		}
		if !row.has("amount") {
			return nil, fmt.Errorf("%s: missing, expected an amount", row.name("amount"))
		}
		amount, err := row.amount("amount")
		if err != nil {
			return nil, err
		}
		others = append(others, Other{Caption: caption, Amount: amount})
	}
	return others, nil
}

func (in *Input) parseDeposits(f fields) error {
	if f.has("deposits") {
		rows, err := f.list("deposits")
		if err != nil {
			return err
		}
		in.Deposits = &Deposits{}
		for i, raw := range rows {
			if err := in.Deposits.parse(raw, fmt.Sprintf("deposits[%d]", i)); err != nil {
				return err
			}
		}
		return nil
	}
	if !f.has("on_deposit_before") {
		return nil
	}
	cash, err := f.amount("on_deposit_before")
	in.Deposits = &Deposits{Unlimited: cash}
	return err
}

// parse reads one deposit. The file does not speak of the letters of 15c3-3(f): they
// are taken to be held. What is neither cash nor a security on the rule pack's list
// counts zero, whatever it is called.
func (d *Deposits) parse(raw json.RawMessage, path string) error {
	row, err := parseObject(raw, path)
	if err != nil {
		return err
	}
	kind, err := row.text("kind")
	if err != nil {
		return err
	}
	if kind == "" || !row.has("amount") {
		return fmt.Errorf("%s: got %.80s, expected a kind and an amount", path, raw)
	}
	asset, err := row.text("asset")
	if err != nil {
		return err
	}
	amount, err := row.amount("amount")
	if err != nil {
		return err
	}
	switch kind {
	case "cash":
		return d.parseCash(row, amount)
	case "qualified_security":
		if asset == "" {
			return fmt.Errorf("%s: missing, expected the asset, such as UST", row.name("asset"))
		}
		d.Qualified = append(d.Qualified, QualifiedSecurityDeposit{Account: path, Bank: assumedLetters(""), Asset: asset, Value: amount})
	case "digital":
		d.Digital = append(d.Digital, DigitalDeposit{Asset: asset, Quantity: amount.String()})
	default:
		if asset == "" {
			asset = kind
		}
		d.Rest = append(d.Rest, Ineligible{Asset: asset, Amount: amount.String(), Reason: fmt.Sprintf("kind %q is neither cash nor a qualified security (15c3-3(a)(6), (e)(1))", kind)})
	}
	return nil
}

func (d *Deposits) parseCash(row fields, amount decimal.Decimal) error {
	name, err := row.text("bank")
	if err != nil {
		return err
	}
	if name == "" {
		return fmt.Errorf("%s: missing, expected the bank's name", row.name("bank"))
	}
	bank := assumedLetters(name)
	if bank.Affiliated, err = row.flag("affiliated"); err != nil {
		return err
	}
	if bank.EquityCapital, err = row.number("bank_equity_capital"); err != nil {
		return err
	}
	if !bank.EquityCapital.Valid && !bank.Affiliated {
		return fmt.Errorf("%s: missing, expected the bank's equity capital from its last Call Report", row.name("bank_equity_capital"))
	}
	d.Cash = append(d.Cash, CashDeposit{Account: row.path, Bank: bank, Amount: amount})
	return nil
}

func assumedLetters(bank string) Bank { return Bank{Name: bank, Notified: true, Contracted: true} }

// Compute carries out the computation of the file under the rules of its day, and
// prints it.
func (in Input) Compute(rules Rules, place *time.Location) (Result, error) {
	statement, err := in.Statement(rules, place)
	if err != nil {
		return Result{}, err
	}
	return statement.Report(in.Places()), nil
}

// Statement carries out the computation of the file under the rules of its day.
func (in Input) Statement(rules Rules, place *time.Location) (Statement, error) {
	pack, err := rules.At(in.AsOf)
	if err != nil {
		return Statement{}, fmt.Errorf("as_of: %w", err)
	}
	return Compute(in.Items, in.Deposits.qualified(pack), Params{
		Population: in.Population, Method: in.Method, Frequency: in.Frequency, AsOf: in.AsOf, Rules: pack,
		Schedule:      Schedule{Banking: rules.Calendars.Banking, Place: place},
		ReductionRate: in.ReductionRate, CustomerExcessDebits: in.CustomerExcessDebits,
	})
}

// qualified moves what the rule pack does not list as qualified to where it does not
// count.
func (d *Deposits) qualified(pack Pack) *Deposits {
	if d == nil {
		return nil
	}
	out := *d
	out.Qualified = nil
	for _, q := range d.Qualified {
		if pack.qualifiedAsset(q.Asset) {
			out.Qualified = append(out.Qualified, q)
			continue
		}
		out.Rest = append(out.Rest[:len(out.Rest):len(out.Rest)], Ineligible{
			Asset: q.Asset, Amount: q.Value.String(),
			Reason: fmt.Sprintf("neither %s nor an issue of the Treasury by its CUSIP (15c3-3(a)(6))", strings.Join(pack.Reserve.QualifiedAssets, ", ")),
		})
	}
	return &out
}

// Places is how many decimals a report of the file has.
func (in Input) Places() int32 { return places(in.Unit) }

// places is how many decimals a report in the unit has: none, or cents where no unit
// was stated.
func places(unit decimal.NullDecimal) int32 {
	if unit.Valid {
		return 0
	}
	return 2
}
