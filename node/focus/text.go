package focus

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/reserve"
)

func (d Document) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(d)
}

// Parse reads the JSON form, and refuses one whose lines do not follow from each
// other.
func Parse(b []byte) (Document, error) {
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return Document{}, fmt.Errorf("reserve report: %w", err)
	}
	return d, d.Check()
}

// writeCSV writes one table: what the row is, where it stands in the form, what it is
// of, and its amount, exact for accounts and as printed for lines.
func (d Document) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true // RFC 4180
	rows := [][]string{{"row", "section", "item", "focus_box", "name", "amount", "counted", "note"}}
	for _, f := range d.head() {
		rows = append(rows, []string{"report", "", "", "", f[0], f[1], "", ""})
	}
	for _, l := range d.Lines {
		rows = append(rows, []string{"line", string(l.Section), l.Item, l.Box, l.Caption, l.Amount + l.Text, "", l.Citation})
	}
	for _, a := range d.Accounts {
		rows = append(rows, []string{"account", "", a.Item.String(), "", a.name(), a.Amount.String(), "", ""})
	}
	for _, a := range d.LeftOut {
		rows = append(rows, []string{"left out", "", a.Item.String(), "", a.name(), a.Amount.String(), "0", a.Reason})
	}
	for _, x := range d.Deposits {
		rows = append(rows, []string{"deposit", "", "", "", x.Account + " " + x.Asset, x.Amount.String(), x.Counted.String(), x.Bank})
	}
	for _, x := range d.Ineligible {
		rows = append(rows, []string{"ineligible", "", "", "", x.Asset, x.Amount, "0", x.Reason})
	}
	return out.WriteAll(rows)
}

func (a Account) name() string {
	if a.Asset == "" {
		return a.Account
	}
	return a.Account + " " + a.Asset
}

// title is what the form is called.
func (d Document) title() string {
	if d.Computation == reserve.PABAccounts {
		return "Computation for Determination of PAB Reserve Requirements, Rule 15c3-3"
	}
	return "Computation for Determination of Customer Reserve Requirements, Rule 15c3-3"
}

// head is what every form says first, name and value.
func (d Document) head() [][2]string {
	head := [][2]string{
		{"entity", d.Entity}, {"computation", string(d.Computation)}, {"as of", d.AsOf.String()}, {"net capital method", string(d.Method)},
		{"rule pack", d.RulePack}, {"amounts in", unitName(d.Unit)}, {"status", string(d.Status)},
	}
	if d.Seq > 0 {
		head = append(head, [2]string{"books as of", d.At.Format(time.RFC3339Nano)}, [2]string{"journal entry", strconv.FormatUint(d.Seq, 10)})
	}
	return head
}

func unitName(unit string) string {
	if unit == "1" {
		return "dollars"
	}
	return unit + " dollars"
}

// capped leaves at most so many accounts, and sums up the others of each item in one
// row, so that the items still are the sums of their rows.
func capped(accounts []Account, most int) []Account {
	if len(accounts) <= most {
		return accounts
	}
	per := max(1, most/int(reserve.OtherDebits))
	var out []Account
	for i := reserve.Item(1); i <= reserve.OtherDebits; i++ {
		var of []Account
		for _, a := range accounts {
			if a.Item == i {
				of = append(of, a)
			}
		}
		if len(of) <= per {
			out = append(out, of...)
			continue
		}
		out = append(out, of[:per]...)
		rest := decimal.Zero
		for _, a := range of[per:] {
			rest = rest.Add(a.Amount)
		}
		out = append(out, Account{Item: i, Account: fmt.Sprintf("%d more accounts", len(of)-per), Amount: rest})
	}
	return out
}
