package layout_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"goodcontrol/offchain"
	"goodcontrol/offchain/layout"
	"goodcontrol/offchain/offchaintest"
)

// position is one line of the neutral layout.
func position(cusip, description, quantity, available, not, pledged string) string {
	return fmt.Sprintf("POS%-9s%-30s%18s%18s%18s%18s\n", cusip, description, quantity, available, not, pledged)
}

var good = fmt.Sprintf("HDR%-8s%8s%-16s\n", "0123", "20261120", "P0001") +
	position("037833100", "APPLE INC", "180000000+", "150000000+", "30000000", "30000000") +
	position("38259P508", "GOOGLE", "250000-", "250000-", "0", "") +
	fmt.Sprintf("TRL%09d%22s\n", 2, "179750000")

// TestNeutral reads every field of a file in the layout that comes with the program.
func TestNeutral(t *testing.T) {
	result, err := layout.Neutral().Read(iotest.OneByteReader(strings.NewReader(good)), "p.txt")
	if err != nil || !result.Valid() || len(result.Flags) > 0 {
		t.Fatal(err, result.Errors, result.Flags)
	}
	got, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"format":"dtc-position","valid":true,"flags":[],"statements":[{"id":"P0001","account":"0123","as_of":"2026-11-20","page":1,"last_page":true,"complete":true,"basis":null,"activity":null,"holdings":[` +
		`{"isin":null,"cusip":"037833100","other_id":null,"description":"APPLE INC","account":null,"quantity":"1800.00000","quantity_type":"UNIT","available":"1500.00000","not_available":"300.00000","sub_balances":[{"type":"PLED","quantity":"300.00000","availability":null}],"price":null,"price_currency":null,"value":null,"value_currency":null,"bytes":[36,151]},` +
		`{"isin":null,"cusip":"38259P508","other_id":null,"description":"GOOGLE","account":null,"quantity":"-2.50000","quantity_type":"UNIT","available":"-2.50000","not_available":"0.00000","sub_balances":[],"price":null,"price_currency":null,"value":null,"value_currency":null,"bytes":[151,266]}],"transactions":[]}]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBad changes one thing at a time in a good file and compares the line, and a
// part of what was got and expected.
func TestBad(t *testing.T) {
	offchaintest.Bad(t, layout.Neutral().Read, good, []offchaintest.Row{
		{"POS037833100", "PSO037833100", 2, "PSO037833100", "a record of the layout neutral position file"},
		{"180000000+", "180000000*", 2, "180000000*", "quantity as at most 18 digits"},
		{"180000000+", "1800.0000+", 2, "1800.0000+", "without a decimal mark"},
		{"180000000+", "          ", 2, "", "a value of quantity"},
		{"POS037833100", "POS         ", 2, "", "a value of cusip"},
		{"20261120", "20261320", 1, "20261320", "as_of as YYYYMMDD"},
		{"TRL000000002", "TRL000000003", 4, "records 3", "2, as many items"},
		{"179750000", "179750001", 4, "quantity 1797.50001", "1797.5, the sum"},
		{"HDR0123    ", "HDR        ", 1, "", "a value of account"},
		{"APPLE", "\xc4PPLE", 2, "\ufffdPPLE", "UTF-8"},
		{"30000000          30000000\n", "30000000          30000000xxxxxxxxx\n", 2, "123 characters", "at most 120"},
		{"APPLE", strings.Repeat("A", 1<<14), 2, "a longer line", "at most 16384 bytes"},
	})
	lines := strings.SplitAfter(good, "\n")
	wantError(t, layout.Neutral(), "no trailer", strings.Join(lines[:3], ""), 4, "end of file", "a trailer")
	wantError(t, layout.Neutral(), "no header", strings.Join(lines[1:], ""), 1, "an item", "after the record of their statement")
	wantError(t, layout.Neutral(), "after the trailer", good+lines[1], 5, "an item", "before its trailer")
	wantError(t, layout.Neutral(), "empty", "", 1, "end of file", "a trailer")
}

func wantError(t *testing.T, l *layout.Layout, name, text string, line int64, got, expected string) {
	t.Helper()
	offchaintest.Refused(t, l.Read, name, text, offchaintest.Row{Line: line, Got: got, Expected: expected})
}

// TestCutOff cuts the good file off after every byte: no part of it reads.
func TestCutOff(t *testing.T) { offchaintest.CutOff(t, layout.Neutral().Read, good, 0) }

// TestSamples compares the errors of the broken samples, word for word.
func TestSamples(t *testing.T) { offchaintest.Samples(t, layout.Position, layout.Neutral().Read) }

// TestMemory reads a large file and sees that what is held does not grow with it.
func TestMemory(t *testing.T) {
	head, tail, _ := strings.Cut(good, "POS")
	line := "POS" + tail[:strings.Index(tail, "\n")+1]
	offchaintest.Memory(t, func(items int) *offchaintest.Large {
		return &offchaintest.Large{Items: items, Head: head, Item: func(int) string { return line }, Tail: fmt.Sprintf("TRL%09d%22d\n", items, 180000000*items)}
	}, func(r io.Reader, each func()) (offchain.Result, error) {
		return layout.Neutral().Scan(r, "p.txt", func(*offchain.SecuritiesStatement, offchain.Holding) error { each(); return nil }, nil)
	})
}

// TestFlags lists what reads and does not add up.
func TestFlags(t *testing.T) {
	for _, row := range []struct {
		from, to string
		want     offchain.FlagCode
	}{
		{"037833100", "037833101", offchain.CheckDigit},
		{"150000000+", "150000001+", offchain.SubBalances},
	} {
		result, err := layout.Neutral().Read(strings.NewReader(strings.Replace(good, row.from, row.to, 1)), "p.txt")
		if err != nil || !result.Valid() || len(result.Flags) != 1 || result.Flags[0].Code != row.want {
			t.Errorf("%s -> %s: %v %v %v, want %s", row.from, row.to, err, result.Errors, result.Flags, row.want)
		}
	}
}

const bankMapping = `
name: a bank's CSV
form: delimited
kind: bank
delimiter: ";"
header: true
complete: true
records:
  - role: item
    fields:
      account: {column: Konto}
      as_of: {column: Stand, format: DD.MM.YYYY}
      currency: {const: USD}
      booked: {column: Datum, format: DD.MM.YYYY}
      amount: {column: Betrag, mark: ",", thousands: ".", sign: leading}
      closing: {column: Saldo, mark: ",", thousands: ".", sign: leading}
      reference: {column: Ref, optional: true}
      text: {column: Text, optional: true}
`

func load(t testing.TB, text string) *layout.Layout {
	t.Helper()
	l, err := layout.Load(strings.NewReader(text), "l.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestBankCSV reads a bank's entries, with the account's balance after each.
func TestBankCSV(t *testing.T) {
	l := load(t, bankMapping)
	const file = "\ufeffKonto;Stand;Datum;Betrag;Saldo;Ref;Text\r\n" +
		"R1;20.11.2026;19.11.2026;1.250,00;11.250,00;A1;\"rent; and \"\"more\"\"\"\r\n" +
		"R1;20.11.2026;20.11.2026;-250,50;10.999,50;A2;\r\n"
	result, err := l.Read(strings.NewReader(file), "b.csv")
	if err != nil || !result.Valid() || len(result.Flags) > 0 {
		t.Fatal(err, result.Errors, result.Flags)
	}
	s := result.Bank[0]
	if s.Account != "R1" || s.Closing.String() != "10999.50" || s.Credits.String() != "1250.00" || s.Debits.String() != "250.50" || s.AsOf.String() != "2026-11-20" || s.Page != 1 || len(s.Entries) != 2 {
		t.Errorf("statement %+v", s)
	}
	e := s.Entries[0]
	if e.Text != `rent; and "more"` || e.Side != offchain.Credit || !strings.HasPrefix(file[e.At.From:e.At.To], "R1;20.11.2026;19.11.2026") || e.At.Line != 2 {
		t.Errorf("entry %+v at %q", e, file[e.At.From:e.At.To])
	}
	for _, row := range []struct {
		from, to      string
		line          int64
		got, expected string
	}{
		{"-250,50", "-250.50,1", 0, "", ""}, // thousands are taken out wherever they stand
		{"-250,50", "-250,5O", 3, "-250,5O", "amount as at most 18 digits"},
		{"A2;", "A2;x;y", 3, "8 fields", "7 fields, as the header has"},
		{"Saldo", "Betrag", 1, `column "Betrag"`, "once"},
		{"Saldo", "Balance", 2, "no such field", "a value of closing"},
		{"\"rent", "rent\"", 2, "bare", "RFC 4180"},
		{"R1;20.11.2026;20.11", "R1;21.11.2026;20.11", 3, "2026-11-21", "one date of account R1"},
	} {
		if row.line > 0 {
			wantErrorIn(t, l, strings.Replace(file, row.from, row.to, 1), row.line, row.got, row.expected)
		}
	}
}

func wantErrorIn(t *testing.T, l *layout.Layout, text string, line int64, got, expected string) {
	t.Helper()
	wantError(t, l, got, text, line, got, expected)
}

// TestSides reads which way money went, in each of the ways that banks say it.
func TestSides(t *testing.T) {
	const head = "name: x\nform: delimited\nkind: bank\nrecords:\n  - role: item\n    fields:\n      account: {const: A}\n      as_of: {const: '20261120', format: YYYYMMDD}\n      currency: {const: USD}\n"
	const bySide = head + "      amount: {column: '1'}\n      side: {column: '2', values: {C: credit, D: debit}}\n"
	const byColumn = head + "      credit: {column: '1', optional: true}\n      debit: {column: '2', optional: true}\n"
	const bySign = head + "      amount: {column: '1', sign: parentheses}\n"
	const punched = head + "      amount: {column: '1', sign: overpunch, scale: 2}\n"
	for _, row := range []struct {
		mapping, line, want string // what the entry is, or what the error expects
	}{
		{bySide, "5.10,C", "5.10"},
		{bySide, "5.10,D", "-5.10"},
		{bySide, "5.10,X", "one of the values of side"},
		{byColumn, "5.10,", "5.10"},
		{byColumn, ",5.10", "-5.10"},
		{byColumn, "1,1", "one of them"},
		{byColumn, "0.00,5.10", "-5.10"},
		{bySign, "(5.10)", "-5.10"},
		{bySign, "-5.10", "sign: parentheses"},
		{punched, "51}", "-5.10"},
		{punched, "51A", "5.11"},
		{punched, "00000000000000000000000051A", "5.11"},
		{punched, "0000000000000000001000000000000000051A", "digits"},
	} {
		result, err := load(t, row.mapping).Read(strings.NewReader(row.line+"\n"), "b.csv")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if !result.Valid() {
			got = result.Errors[0].Expected
		} else {
			got = result.Bank[0].Entries[0].Signed().StringFixed(2)
		}
		if got != row.want && (result.Valid() || !strings.Contains(got, row.want)) {
			t.Errorf("%s: %s, want %s", row.line, got, row.want)
		}
	}
}

// TestLoad lists layouts by which no file can be read.
func TestLoad(t *testing.T) {
	for _, row := range []struct{ from, to, expected string }{
		{"form: delimited", "form: columns", "fixed or delimited"},
		{"kind: bank", "kind: broker", "securities or bank"},
		{"role: item", "role: row", "the role statement"},
		{"{column: Saldo", "{at: 3, length: 4", "expected a column"},
		{"mark: \",\", thousands: \".\"", "mark: \",\", thousands: \",\"", "another character"},
		{"DD.MM.YYYY", "DD.MM", "with year, month and day"},
		{"sign: leading", "sign: before", "leading, trailing"},
		{"text:", "txt:", "field txt"},
		{"amount:", "opening:", "no item has an amount"},
		{"header: true", "heading: true", "heading"},
		{"delimiter: \";\"", "delimiter: \";;\"", "one character"},
		{"const: USD", "konst: USD", "konst"},
	} {
		text := strings.Replace(bankMapping, row.from, row.to, 1)
		if _, err := layout.Load(strings.NewReader(text), "l.yaml"); err == nil || !strings.Contains(err.Error(), row.expected) || !strings.Contains(err.Error(), "l.yaml") {
			t.Errorf("%s -> %s: %v, want %q", row.from, row.to, err, row.expected)
		}
	}
}

// TestQuantities writes numbers at random in the neutral layout and reads the same.
func TestQuantities(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.Int64Range(-99999999999999999, 99999999999999999).Draw(rt, "quantity")
		digits := fmt.Sprint(n)
		if n < 0 {
			digits = digits[1:] + "-"
		}
		text := fmt.Sprintf("HDR%-8s%8s%-16s\n", "0123", "20261120", "P0001") + position("037833100", "", digits, digits, "0", "") + fmt.Sprintf("TRL%09d%22s\n", 1, digits)
		result, err := layout.Neutral().Read(strings.NewReader(text), "p.txt")
		if err != nil || !result.Valid() {
			rt.Fatal(err, result.Errors)
		}
		if got := result.Securities[0].Holdings[0].Quantity.Value.Shift(5).IntPart(); got != n {
			rt.Errorf("read %d, wrote %d", got, n)
		}
	})
}

// TestReaderFails tells a failing disk from a bad file.
func TestReaderFails(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, l := range []*layout.Layout{layout.Neutral(), load(t, bankMapping)} {
		r := io.MultiReader(strings.NewReader(good[:50]), iotest.ErrReader(broken))
		if _, err := l.Read(r, "p.txt"); !errors.Is(err, broken) {
			t.Errorf("error = %v, want %v", err, broken)
		}
	}
}

// TestBounded refuses a quote that is not closed before it has filled the memory.
func TestBounded(t *testing.T) {
	r := strings.NewReader("Konto\n\"" + strings.Repeat("x", 1<<20))
	result, err := load(t, bankMapping).Read(r, "b.csv")
	if err != nil || result.Valid() || !strings.Contains(result.Errors[0].Expected, "at most") {
		t.Errorf("%v %v", err, result.Errors)
	}
}

// FuzzRead feeds both forms anything.
func FuzzRead(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("Konto;Stand;Datum;Betrag;Saldo;Ref;Text\nR1;20.11.2026;19.11.2026;1.250,00;11.250,00;A1;x\n"))
	mapping := load(f, bankMapping)
	neutral := layout.Neutral()
	f.Fuzz(func(t *testing.T, text []byte) {
		offchaintest.Fuzz(t, neutral.Read, text)
		offchaintest.Fuzz(t, mapping.Read, text)
	})
}
