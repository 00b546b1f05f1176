package reserve_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"goodcontrol/reserve"
)

// contractExample is the file that the contract of `reserve compute` shows.
const contractExample = `{"computation":"customer","net_capital_method":"alternative","frequency":"weekly","debit_reduction_rate":"0.03","as_of":"2011-12-31","unit":1000,
 "items":{"1":"316999","2":"0","15":"0"},"other_credits":"845983","other_debits":"0",
 "deposits":[{"kind":"cash","bank":"A","affiliated":false,"bank_equity_capital":"9000000","amount":"588136"},{"kind":"qualified_security","asset":"UST","amount":"0"},{"kind":"digital","asset":"eip155:1/erc20:0x","amount":"5"}],
 "customer_excess_debits":"0"}`

func compute(t testing.TB, file string) (reserve.Result, error) {
	t.Helper()
	in, err := reserve.ParseLineItems([]byte(file))
	if err != nil {
		return reserve.Result{}, err
	}
	return in.Compute(loadRules(t), newYork(t))
}

func TestContractExample(t *testing.T) {
	r, err := compute(t, contractExample)
	if err != nil {
		t.Fatal(err)
	}
	if r.TotalCredits != "1162982" || r.Required != "1162982" || *r.Eligible != "588136" || *r.MinimumDeposit != "574846" || r.Status != reserve.UnderFunded {
		t.Errorf("%+v", r)
	}
	if len(r.Ineligible) != 1 || r.Ineligible[0].Amount != "5" {
		t.Errorf("ineligible %+v, want the digital deposit alone", r.Ineligible)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"total_credits", "aggregate_debit_items", "debit_reduction", "total_debits", "excess_credits_over_debits", "excess_debits_over_credits",
		"required_on_deposit", "eligible_on_deposit", "minimum_deposit", "maximum_withdrawal",
	} {
		if _, isText := fields[name].(string); !isText {
			t.Errorf("%s = %v, want a decimal string", name, fields[name])
		}
	}
	if fields["deposit_due_by"] != "2012-01-04T10:00:00-05:00" {
		t.Errorf("deposit_due_by = %v", fields["deposit_due_by"])
	}
	line := fields["lines"].([]any)[0].(map[string]any)
	if line["item"] != "1" || line["side"] != "credit" || line["amount"] != "316999" || line["caption"] == "" || line["citation"] == "" {
		t.Errorf("first line %v", line)
	}
}

// TestStates holds the word for each state of the deposits, and for a requirement
// that is zero.
func TestStates(t *testing.T) {
	file := func(credits, deposits string) string {
		return `{"computation":"customer","net_capital_method":"basic","as_of":"2026-11-20","items":{"1":"` + credits + `"}` + deposits + `}`
	}
	for _, c := range []struct {
		file string
		want reserve.Status
	}{
		{file("100", ""), reserve.Unknown},
		{file("0", ""), reserve.Compliant},
		{file("100", `,"on_deposit_before":"99.99"`), reserve.UnderFunded},
		{file("100", `,"on_deposit_before":"100"`), reserve.Compliant},
		{file("100", `,"on_deposit_before":null`), reserve.Unknown},
		{file("100", `,"deposits":[]`), reserve.UnderFunded},
		{file("100", `,"deposits":[{"kind":"digital","asset":"eip155:1/slip44:60","amount":"1000"}]`), reserve.UnderFunded},
		{file("100", `,"deposits":[{"kind":"money_market_fund","amount":"1000"}]`), reserve.UnderFunded},
		{file("100", `,"deposits":[{"kind":"qualified_security","asset":"FNMA","amount":"1000"}]`), reserve.UnderFunded},
		{file("100", `,"deposits":[{"kind":"qualified_security","asset":"UST","amount":"1000"}]`), reserve.Compliant},
		{file("100", `,"deposits":[{"kind":"qualified_security","asset":"cusip:91282CAV3","amount":"1000"}]`), reserve.Compliant},
		{file("100", `,"deposits":[{"kind":"qualified_security","asset":"US91282CAV37","amount":"1000"}]`), reserve.Compliant},
		{file("100", `,"deposits":[{"kind":"qualified_security","asset":"XS91282CAV37","amount":"1000"}]`), reserve.UnderFunded},
		{file("100", `,"deposits":[{"kind":"qualified_security","asset":"USMMF","amount":"1000"}]`), reserve.UnderFunded},
		{file("100", `,"deposits":[{"kind":"qualified_security","asset":"912909108","amount":"1000"}]`), reserve.UnderFunded},
		{file("100", `,"on_deposit_before":"1000","deposits":[{"kind":"cash","bank":"A","affiliated":true,"amount":"1000"}]`), reserve.UnderFunded},
		{file("100", `,"deposits":[{"kind":"cash","bank":"A","affiliated":true,"amount":"1000"}]`), reserve.UnderFunded},
		{file("100", `,"deposits":[{"kind":"cash","bank":"A","bank_equity_capital":"666.66","amount":"1000"}]`), reserve.UnderFunded},
		{file("100", `,"deposits":[{"kind":"cash","bank":"A","bank_equity_capital":"666.67","amount":"1000"}]`), reserve.Compliant},
	} {
		r, err := compute(t, c.file)
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if r.Status != c.want {
			t.Errorf("%s: %s, want %s", c.file, r.Status, c.want)
		}
		if (r.Eligible == nil) != (c.want == reserve.Unknown || !strings.Contains(c.file, "deposit")) {
			t.Errorf("%s: eligible %v", c.file, r.Eligible)
		}
	}
}

// TestRatesByDate holds which percentage belongs to which method, frequency and day.
func TestRatesByDate(t *testing.T) {
	for _, c := range []struct{ population, method, frequency, asOf, reduction, required string }{
		{"customer", "alternative", "weekly", "2011-12-31", "30.00", "30.00"},
		{"customer", "alternative", "daily", "2025-03-13", "30.00", "30.00"},
		{"customer", "alternative", "daily", "2025-03-14", "20.00", "20.00"},
		{"customer", "alternative", "daily", "2026-11-20", "20.00", "20.00"},
		{"customer", "alternative", "weekly", "2026-11-20", "30.00", "30.00"},
		{"customer", "basic", "daily", "2026-11-20", "4.00", "4.00"},
		{"customer", "basic", "monthly", "2026-11-20", "4.00", "4.20"},
		{"pab", "alternative", "daily", "2026-11-20", "0.00", "0.00"},
		{"pab", "", "", "2026-11-20", "0.00", "0.00"},
	} {
		file := `{"computation":"` + c.population + `","net_capital_method":"` + c.method + `","frequency":"` + c.frequency + `","as_of":"` + c.asOf +
			`","items":{"1":1000,"10":"400","11":600.00}}`
		r, err := compute(t, file)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if r.DebitReduction != c.reduction || r.Required != c.required {
			t.Errorf("%+v: reduction %s, required %s", c, r.DebitReduction, r.Required)
		}
	}
}

// TestHalfUp holds the direction of rounding on an exact half.
func TestHalfUp(t *testing.T) {
	r, err := compute(t, `{"computation":"customer","net_capital_method":"alternative","as_of":"2011-12-31","unit":1,"items":{"1":"100","10":"50"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if r.DebitReduction != "2" || r.TotalDebits != "49" || r.ExcessCredits != "52" { // 1.5, 48.5, 51.5
		t.Errorf("reduction %s, debits %s, excess %s, want 2, 49, 52", r.DebitReduction, r.TotalDebits, r.ExcessCredits)
	}
}

func TestBadLineItems(t *testing.T) {
	const head = `"computation":"customer","net_capital_method":"alternative","as_of":"2026-11-20"`
	for _, c := range []struct{ file, want string }{
		{``, "expected a JSON object"},
		{`null`, "expected a JSON object"},
		{`{` + head, "document"},
		{`{` + head + `} {}`, "more after the object"},
		{`{` + head + `}`, "items: missing"},
		{`{` + head + `,"items":{"16":"1"}}`, `items: got "16"`},
		{`{` + head + `,"items":{"01":"1"}}`, `items: got "01"`},
		{`{` + head + `,"items":{"other_credits":"1"}}`, `items: got "other_credits"`},
		{`{` + head + `,"items":{"1":"1","1":"2"}}`, "items.1 stands twice"},
		{`{` + head + `,"items":{"1":"-0.01"}}`, "items.1: got -0.01, expected zero or more"},
		{`{` + head + `,"items":{"1":"1,000"}}`, `items.1: got "1,000"`},
		{`{` + head + `,"items":{"1":"1e3"}}`, `items.1: got "1e3"`},
		{`{` + head + `,"items":{"1":1e3}}`, `items.1: got "1e3"`},
		{`{` + head + `,"items":{"1":""}}`, `items.1: got ""`},
		{`{` + head + `,"items":{"1":".5"}}`, `items.1: got ".5"`},
		{`{` + head + `,"items":{"1":true}}`, `items.1: got "true"`},
		{`{` + head + `,"items":{"1":"` + strings.Repeat("9", 61) + `"}}`, "expected a plain decimal number"},
		{`{` + head + `,"items":{},"other_credits":"-1"}`, "other_credits: got -1"},
		{`{` + head + `,"items":{},"other_debits":[{"caption":"x"}]}`, "other_debits[0].amount: missing"},
		{`{` + head + `,"items":{},"unit":0}`, "unit: got 0"},
		{`{` + head + `,"items":{},"debit_reduction_rate":"3"}`, "debit_reduction_rate 3"},
		{`{` + head + `,"items":{},"debit_reduction_rate":"-0.03"}`, "debit_reduction_rate -0.03"},
		{`{` + head + `,"items":{},"frequency":"fortnightly"}`, `frequency: got "fortnightly"`},
		{`{` + head + `,"items":{},"frequency":"monthly"}`, "expected at least weekly"},
		{`{` + head + `,"items":{},"on_deposit_before":"-1"}`, "on_deposit_before: got -1"},
		{`{` + head + `,"items":{},"deposits":{}}`, "deposits: got {}"},
		{`{` + head + `,"items":{},"deposits":[{"amount":"1"}]}`, "deposits[0]: got"},
		{`{` + head + `,"items":{},"deposits":[{"kind":"cash","amount":"1"}]}`, "deposits[0].bank: missing"},
		{`{` + head + `,"items":{},"deposits":[{"kind":"cash","bank":"A","amount":"1"}]}`, "deposits[0].bank_equity_capital: missing"},
		{`{` + head + `,"items":{},"deposits":[{"kind":"cash","bank":"A","affiliated":"no","amount":"1"}]}`, "deposits[0].affiliated: got"},
		{`{` + head + `,"items":{},"deposits":[{"kind":"cash","bank":"A","bank_equity_capital":"1","amount":"-1"}]}`, "deposits[0].amount: got -1"},
		{`{` + head + `,"items":{},"deposits":[{"kind":"qualified_security","amount":"1"}]}`, "deposits[0].asset: missing"},
		{`{"computation":"both","items":{}}`, `computation: got "both"`},
		{`{"computation":"customer","items":{}}`, `net_capital_method: got ""`},
		{`{"computation":"customer","net_capital_method":"basic","items":{}}`, "as_of"},
		{`{"computation":"customer","net_capital_method":"basic","as_of":"2026-13-01","items":{}}`, `as_of: date "2026-13-01"`},
		{`{"computation":"customer","net_capital_method":"basic","as_of":"1990-01-02","items":{}}`, "no rule pack for 1990-01-02"},
		{`{"computation":"pab","as_of":"2026-11-20","items":{},"debit_reduction_rate":"0.03"}`, "PAB Note 4"},
		{`{"computation":"pab","as_of":"2026-11-20","items":{},"customer_excess_debits":"-1"}`, "customer_excess_debits: got -1"},
	} {
		if r, err := compute(t, c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q (%+v)", c.file, err, c.want, r)
		}
	}
}

func TestOtherLists(t *testing.T) {
	r, err := compute(t, `{"computation":"customer","net_capital_method":"basic","as_of":"2026-11-20","items":{},
		"other_credits":[{"caption":"pledged to OCC","amount":"7"},{"caption":"drafts","amount":"5"}],"other_debits":[{"caption":"x","amount":2}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if r.TotalCredits != "12.00" || r.AggregateDebitItems != "2.00" || r.DebitReduction != "0.00" || r.Required != "10.00" {
		t.Errorf("%+v", r)
	}
}

func FuzzParseLineItems(f *testing.F) {
	names, err := filepath.Glob("testdata/golden/reserve-*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(contractExample))
	f.Add([]byte(`{"computation":"pab","as_of":"2026-11-20","items":{"1":5},"other_credits":[{"amount":"1"}],"customer_excess_debits":1}`))
	rules, place := loadRules(f), newYork(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := reserve.ParseLineItems(data)
		if err != nil {
			return
		}
		r, err := in.Compute(rules, place)
		if err != nil {
			return
		}
		// Whatever was read: never both an excess of credits and of debits, never
		// a negative figure, and green only with enough on deposit.
		figures := []string{r.TotalCredits, r.AggregateDebitItems, r.DebitReduction, r.TotalDebits, r.ExcessCredits, r.ExcessDebits, r.Required}
		if slices.ContainsFunc(figures, func(s string) bool { return strings.HasPrefix(s, "-") }) {
			t.Errorf("%s: a negative figure in %v", data, figures)
		}
		if dec(t, r.ExcessCredits).IsPositive() && dec(t, r.ExcessDebits).IsPositive() {
			t.Errorf("%s: excess %s of credits and %s of debits", data, r.ExcessCredits, r.ExcessDebits)
		}
		if r.Status == reserve.Compliant && dec(t, r.Required).IsPositive() && (r.Eligible == nil || dec(t, *r.Eligible).Cmp(dec(t, r.Required)) < 0) {
			t.Errorf("%s: compliant with %v of %s", data, r.Eligible, r.Required)
		}
	})
}
