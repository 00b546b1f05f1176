package focus_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/shopspring/decimal"
	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"goodcontrol/custody"
	"goodcontrol/node/focus"
	"goodcontrol/reserve"
)

var update = flag.Bool("update", false, "rewrite golden files")

func dec(s string) decimal.Decimal { return decimal.RequireFromString(s) }

// rule is what a computation needs beside its amounts.
func rule(t rapid.TB, population reserve.Population, method reserve.Method, frequency reserve.Frequency) reserve.Params {
	t.Helper()
	rules, err := reserve.LoadRules()
	if err != nil {
		t.Fatal(err)
	}
	place, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	day := reserve.NewDate(2026, time.November, 20)
	pack, err := rules.At(day)
	if err != nil {
		t.Fatal(err)
	}
	return reserve.Params{
		Population: population, Method: method, Frequency: frequency, AsOf: day, Rules: pack,
		Schedule: reserve.Schedule{Banking: rules.Calendars.Banking, Place: place},
	}
}

func compute(t rapid.TB, items reserve.LineItems, deposits *reserve.Deposits, p reserve.Params) reserve.Statement {
	t.Helper()
	s, err := reserve.Compute(items, deposits, p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func made(t rapid.TB, src focus.Source) focus.Document {
	t.Helper()
	d, err := focus.New(src)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// example is a computation with something in every part of the report.
func example(t rapid.TB) focus.Document {
	t.Helper()
	bank := reserve.Bank{Name: "First Example Bank", EquityCapital: decimal.NewNullDecimal(dec("9000000")), Notified: true, Contracted: true}
	items := reserve.LineItems{OtherCredits: []reserve.Other{{Caption: "pledged to OCC", Amount: dec("1000.10")}}}
	items.Items[1], items.Items[4], items.Items[10], items.Items[12] = dec("1250000.125"), dec("300.004"), dec("80000.33"), dec("40")
	deposits := &reserve.Deposits{
		Cash:      []reserve.CashDeposit{{Account: "at:bank.reserve.customer:bank:1", Bank: bank, Amount: dec("500000")}, {Account: "at:bank.reserve.customer:bank:2", Bank: bank, Amount: dec("900000")}},
		Qualified: []reserve.QualifiedSecurityDeposit{{Account: "at:bank.reserve.customer:bank:1", Bank: bank, Asset: "cusip:912828ZQ6", Value: dec("25000.50")}},
		Digital:   []reserve.DigitalDeposit{{Asset: "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", Quantity: "750000.000000"}},
	}
	client := func(kind custody.AccountType, name string) custody.Account { return custody.ForOwner(kind, name) }
	return made(t, focus.Source{
		Entity: "Example Brokerage LLC", At: time.Date(2026, 11, 20, 21, 0, 0, 0, time.UTC), Seq: 1042, Places: 2,
		Statement: compute(t, items, deposits, rule(t, reserve.CustomerAccounts, reserve.Alternative, reserve.Daily)),
		Drivers: []reserve.Driver{
			{Item: 1, Account: client(custody.CustomerCash, "alice"), Asset: custody.USD, Amount: dec("1000000")},
			{Item: 1, Account: client(custody.CustomerCash, "böb & sons, \"inc\""), Asset: custody.USD, Amount: dec("250000.125")},
			{Item: 10, Account: client(custody.CustomerMargin, "eve"), Amount: dec("80000.33")},
			{Item: 4, Account: custody.ForOwner(custody.FailDeliver, "x"), Asset: custody.USD, Amount: dec("300.004")},
			{Item: 12, Account: custody.AtPlace(custody.DueOnFail, "y"), Asset: custody.USD, Amount: dec("40")},
		},
		LeftOut: []reserve.LeftOut{{Driver: reserve.Driver{Item: 10, Account: client(custody.CustomerMargin, "eve"), Amount: dec("5")}, Reason: "not secured"}},
	})
}

func written(t rapid.TB, d focus.Document, f focus.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := d.Write(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestGolden holds the bytes of every form: those of JSON and CSV to read, those of
// the others by their digest, since an archived report must come out the same again.
func TestGolden(t *testing.T) {
	d := example(t)
	for _, f := range focus.Formats() {
		got := written(t, d, f)
		if again := written(t, d, f); !bytes.Equal(got, again) {
			t.Errorf("%s: two writings differ", f)
		}
		name := filepath.Join("testdata", "example."+string(f))
		if f == focus.XLSX || f == focus.PDF {
			sum := sha256.Sum256(got)
			name, got = name+".sha256", []byte(hex.EncodeToString(sum[:])+"\n")
		}
		if *update {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not as committed; if the change is meant, run the test with -update\n%.2000s", name, got)
		}
	}
}

// TestParse shows that the JSON is the whole of it: every other form follows.
func TestParse(t *testing.T) {
	d := example(t)
	parsed, err := focus.Parse(written(t, d, focus.JSON))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range focus.Formats() {
		if !bytes.Equal(written(t, parsed, f), written(t, d, f)) {
			t.Errorf("%s of the parsed document differs", f)
		}
	}
	var tree map[string]any
	if err := json.Unmarshal(written(t, d, focus.JSON), &tree); err != nil {
		t.Fatal(err)
	}
	edit := func(what string, change func(map[string]any)) {
		var copied map[string]any
		if err := json.Unmarshal(written(t, d, focus.JSON), &copied); err != nil {
			t.Fatal(err)
		}
		change(copied)
		b, err := json.Marshal(copied)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := focus.Parse(b); err == nil {
			t.Errorf("%s passes", what)
		}
	}
	for i := range tree["lines"].([]any) {
		key := tree["lines"].([]any)[i].(map[string]any)["key"].(string)
		if formula, _ := tree["lines"].([]any)[i].(map[string]any)["formula"].(string); formula == "" {
			continue
		}
		edit("another "+key, func(m map[string]any) { m["lines"].([]any)[i].(map[string]any)["exact"] = "7" })
	}
	edit("another account", func(m map[string]any) { m["accounts"].([]any)[0].(map[string]any)["amount"] = "7" })
	edit("another deposit", func(m map[string]any) { m["deposits"].([]any)[0].(map[string]any)["counted"] = "7" })
	edit("another version", func(m map[string]any) { m["format"] = "v0" })
	if _, err := focus.Parse([]byte("{")); err == nil {
		t.Error("half a document passes")
	}
}

// live calculates every formula of a workbook, and holds it to the figure beside it.
func live(t rapid.TB, d focus.Document) int {
	t.Helper()
	f, err := excelize.OpenReader(bytes.NewReader(written(t, d, focus.XLSX)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := f.GetRows("Computation", excelize.Options{RawCellValue: true})
	if err != nil {
		t.Fatal(err)
	}
	exact := map[string]focus.Line{}
	largest := decimal.Zero
	for _, l := range d.Lines {
		exact[l.Caption] = l
		largest = decimal.Max(largest, l.Exact.Decimal)
	}
	// A spreadsheet counts to fifteen digits, and so does what is left when it takes
	// one large number from another.
	within := dec("0.0001").Add(largest.Mul(dec("0.00000000000001")))
	formulas := 0
	for i, row := range rows {
		if len(row) < 5 {
			continue
		}
		l, is := exact[row[2]]
		cell := "E" + decimal.NewFromInt(int64(i+1)).String()
		if formula, _ := f.GetCellFormula("Computation", cell); !is || formula == "" {
			continue
		}
		formulas++
		if cached := row[4]; cached != l.Exact.Decimal.String() {
			t.Fatalf("%s shows %s, expected %s", l.Key, cached, l.Exact.Decimal)
		}
		value, err := f.CalcCellValue("Computation", cell, excelize.Options{RawCellValue: true})
		if err != nil {
			t.Fatalf("%s: %v", l.Key, err)
		}
		got, err := decimal.NewFromString(value)
		if err != nil {
			t.Fatalf("%s calculates as %q: %v", l.Key, value, err)
		}
		if off := got.Sub(l.Exact.Decimal).Abs(); off.Cmp(within) > 0 {
			t.Fatalf("%s calculates as %s, expected %s", l.Key, value, l.Exact.Decimal)
		}
		rounding, err := f.CalcCellValue("Computation", strings.Replace(cell, "E", "G", 1), excelize.Options{RawCellValue: true})
		if err != nil {
			t.Fatalf("rounding of %s: %v", l.Key, err)
		}
		if off, err := decimal.NewFromString(rounding); err != nil || off.Abs().Cmp(within.Add(dec("0.005"))) > 0 {
			t.Fatalf("%s as filed is off by %s", l.Key, rounding)
		}
	}
	return formulas
}

// TestLiveFormulas calculates the example's workbook as a spreadsheet does.
func TestLiveFormulas(t *testing.T) {
	d := example(t)
	if n := live(t, d); n != 16 {
		t.Errorf("%d live formulas, expected 16", n)
	}
	f, err := excelize.OpenReader(bytes.NewReader(written(t, d, focus.XLSX)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Who changes an account sees the requirement move.
	if err := f.SetCellValue("Accounts", "D2", 1_000_001); err != nil {
		t.Fatal(err)
	}
	rows, err := f.GetRows("Computation")
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		if len(row) > 5 && row[2] == "Required on deposit" {
			value, err := f.CalcCellValue("Computation", "E"+decimal.NewFromInt(int64(i+1)).String(), excelize.Options{RawCellValue: true})
			if got, bad := decimal.NewFromString(value); err != nil || bad != nil || got.Sub(dec("1172861.7056")).Abs().Cmp(dec("0.001")) > 0 {
				t.Errorf("with a dollar more it is %s (%v)", value, err)
			}
		}
	}
}

// TestRandom makes reports of random computations of both populations, every method
// and frequency: the workbook calculates to the statement, and the JSON reads back.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		population := rapid.SampledFrom([]reserve.Population{reserve.CustomerAccounts, reserve.PABAccounts}).Draw(rt, "population")
		method := rapid.SampledFrom([]reserve.Method{reserve.Basic, reserve.Alternative}).Draw(rt, "method")
		frequency := rapid.SampledFrom([]reserve.Frequency{reserve.Daily, reserve.Weekly, reserve.Monthly}).Draw(rt, "frequency")
		if population == reserve.CustomerAccounts && method == reserve.Alternative && frequency == reserve.Monthly {
			return
		}
		amount := func(name string) decimal.Decimal {
			return decimal.New(rapid.Int64Range(0, 1e12).Draw(rt, name), -int32(rapid.IntRange(0, 6).Draw(rt, "places")))
		}
		var items reserve.LineItems
		var drivers []reserve.Driver
		for i := reserve.Item(1); i <= 15; i++ {
			for range rapid.IntRange(0, 2).Draw(rt, "accounts") {
				d := reserve.Driver{Item: i, Account: custody.ForOwner(custody.CustomerCash, "a"), Asset: custody.USD, Amount: amount("amount")}
				items.Items[i] = items.Items[i].Add(d.Amount)
				drivers = append(drivers, d)
			}
		}
		p := rule(rt, population, method, frequency)
		if population == reserve.PABAccounts {
			p.CustomerExcessDebits = amount("excess")
		}
		var deposits *reserve.Deposits
		if rapid.Bool().Draw(rt, "known") {
			bank := reserve.Bank{Name: "B", EquityCapital: decimal.NewNullDecimal(amount("capital")), Notified: true, Contracted: true}
			deposits = &reserve.Deposits{Cash: []reserve.CashDeposit{{Account: "x", Bank: bank, Amount: amount("cash")}}}
		}
		d := made(rt, focus.Source{Entity: "E", At: time.Unix(1e9, 0), Seq: 1, Places: 2, Statement: compute(rt, items, deposits, p), Drivers: drivers})
		live(rt, d)
		if _, err := focus.Parse(written(rt, d, focus.JSON)); err != nil {
			rt.Fatal(err)
		}
		if got := written(rt, d, focus.PDF); !bytes.HasPrefix(got, []byte("%PDF-")) {
			rt.Fatalf("%.20q is no PDF", got)
		}
	})
}

// TestCSV reads the table back.
func TestCSV(t *testing.T) {
	rows, err := csv.NewReader(bytes.NewReader(written(t, example(t), focus.CSV))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, r := range rows[1:] {
		kinds[r[0]]++
		if r[0] == "line" && r[3] == "4430" && r[5] != "1251300.23" {
			t.Errorf("total credits: %q", r)
		}
	}
	if kinds["line"] < 30 || kinds["account"] != 5 || kinds["left out"] != 1 || kinds["deposit"] != 3 || kinds["ineligible"] != 2 {
		t.Errorf("rows: %v", kinds)
	}
}

// TestPDF finds the form's boxes and figures in the text of the pages, in the form's
// order.
func TestPDF(t *testing.T) {
	text := string(written(t, example(t), focus.PDF))
	at := 0
	for _, want := range []string{
		"Customer Reserve Requirements", "Example Brokerage LLC", "1042", "1,250,000.13", "[4340]", "[4370]", "[4425]", "1,251,300.23", "[4430]",
		"80,000.33", "[4440]", "[4470]", "[4471]", "[4472]", "[4480]", "[4490]", "Required on deposit", "[4510]", "[4520]", "[4530]", "[4540]", "[4332]",
		"Reserve accounts", "counts 500,000.00", "digital currency", "Accounts behind the lines", "for:customer.cash:alice", "Left out of the lines", "not secured",
	} {
		want = strings.NewReplacer("(", `\(`, ")", `\)`).Replace(want)
		next := strings.Index(text[at:], want)
		if next < 0 {
			t.Fatalf("%q does not follow at byte %d", want, at)
		}
		at += next
	}
}

// TestPAB prints no box that is the customers', and what their excess covers.
func TestPAB(t *testing.T) {
	p := rule(t, reserve.PABAccounts, reserve.Alternative, reserve.Weekly)
	p.CustomerExcessDebits = dec("30")
	var items reserve.LineItems
	items.Items[1] = dec("100")
	d := made(t, focus.Source{Entity: "E", Places: 2, Statement: compute(t, items, nil, p)})
	for _, l := range d.Lines {
		if l.Box != "" {
			t.Errorf("line %s has box %s", l.Key, l.Box)
		}
		if l.Key == "required_on_deposit" && l.Amount != "70.00" {
			t.Errorf("required: %s", l.Amount)
		}
	}
	live(t, d)
}

// TestMany sums up accounts that a page or a sheet does not list, and loses none.
func TestMany(t *testing.T) {
	var items reserve.LineItems
	var drivers []reserve.Driver
	for i := range 1500 {
		amount := decimal.New(int64(i)+1, -2)
		items.Items[1] = items.Items[1].Add(amount)
		drivers = append(drivers, reserve.Driver{Item: 1, Account: custody.ForOwner(custody.CustomerCash, "c"+decimal.NewFromInt(int64(i)).String()), Asset: custody.USD, Amount: amount})
	}
	d := made(t, focus.Source{Entity: "E", Places: 2, Statement: compute(t, items, nil, rule(t, reserve.CustomerAccounts, reserve.Alternative, reserve.Daily)), Drivers: drivers})
	if text := string(written(t, d, focus.PDF)); !strings.Contains(text, "1442 more accounts") {
		t.Error("the page does not say how many accounts it leaves out")
	}
	if rows := bytes.Count(written(t, d, focus.CSV), []byte("\naccount,")); rows != 1500 {
		t.Errorf("%d accounts in the table, expected all 1500", rows)
	}
	live(t, d)
}

// TestBadFormat names the forms there are.
func TestBadFormat(t *testing.T) {
	if err := example(t).Write(&bytes.Buffer{}, "docx"); err == nil || !strings.Contains(err.Error(), "xlsx") {
		t.Errorf("docx: %v", err)
	}
	for _, f := range focus.Formats() {
		if f.MediaType() == "" {
			t.Errorf("%s has no media type", f)
		}
	}
}

// FuzzParse: a document that is read can be written in every form, and its JSON reads
// as the same document.
func FuzzParse(f *testing.F) {
	f.Add(written(f, example(f), focus.JSON))
	f.Add([]byte(`{"format":"goodcontrol.reserve-report.v1","lines":[{"key":"item1","exact":"1"}]}`))
	f.Add([]byte(`{"format":"goodcontrol.reserve-report.v1","lines":[{"key":"item1","exact":"1e999999"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := focus.Parse(b)
		if err != nil {
			return
		}
		for _, form := range focus.Formats() {
			if err := d.Write(&bytes.Buffer{}, form); err != nil && form == focus.JSON {
				t.Fatalf("%s: %v", form, err)
			}
		}
		if _, err := focus.Parse(written(t, d, focus.JSON)); err != nil {
			t.Errorf("its own JSON: %v", err)
		}
	})
}
