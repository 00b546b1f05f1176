package bai2_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/bai2"
	"goodcontrol/offchain/offchaintest"
)

const corpus = "../../../shared/corpus/bank/bai2"

// TestCorpus judges every file of the public corpus: refused, flagged or read, and
// every number equal.
func TestCorpus(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(corpus, "*.txt"))
	if len(files) == 0 {
		t.Skipf("SKIPPED: the corpus is not at %s", corpus)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { judge(t, file) })
	}
}

func judge(t *testing.T, file string) {
	var want struct {
		Valid    bool `json:"valid"`
		Accounts []struct {
			ID       string  `json:"id"`
			Currency string  `json:"currency"`
			Date     string  `json:"as_of"`
			Opening  *string `json:"opening"`
			Closing  *string `json:"closing"`
			Entries  int64   `json:"entries"`
			Credits  string  `json:"credits"`
			Debits   string  `json:"debits"`
			Rolls    *bool   `json:"opening_plus_entries_equals_closing"`
		} `json:"accounts"`
	}
	text, err := os.ReadFile(strings.TrimSuffix(file, ".txt") + ".expect.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := bai2.Read(f, file)
	if err != nil {
		t.Fatal(err)
	}
	if got.Valid() != want.Valid {
		t.Fatalf("valid = %v, want %v: %v", got.Valid(), want.Valid, got.Errors)
	}
	if !want.Valid {
		return
	}
	if len(got.Bank) != len(want.Accounts) {
		t.Fatalf("%d statements, want %d", len(got.Bank), len(want.Accounts))
	}
	flags := 0
	for i, s := range got.Bank {
		w := want.Accounts[i]
		if s.Account != w.ID || string(s.Currency) != w.Currency || s.AsOf.Time.Format("060102") != w.Date || s.EntryCount != w.Entries || int64(len(s.Entries)) != w.Entries {
			t.Errorf("account %s %s as of %s with %d entries, want %+v", s.Account, s.Currency, s.AsOf, s.EntryCount, w)
		}
		for _, n := range []struct {
			got  offchain.Number
			want *string
		}{{s.Opening, w.Opening}, {s.Closing, w.Closing}, {s.Credits, &w.Credits}, {s.Debits, &w.Debits}} {
			if n.got.Given != (n.want != nil) || n.want != nil && !n.got.Value.Equal(decimal.RequireFromString(*n.want)) {
				t.Errorf("account %s: number %s, want %v", s.Account, n.got, n.want)
			}
		}
		if w.Rolls != nil && !*w.Rolls {
			flags++
		}
	}
	if len(got.Flags) != flags {
		t.Errorf("flags %v, want %d", got.Flags, flags)
	}
}

// good is a small file that adds up; each row of TestBad changes one thing.
const good = `01,BANK,FIRM,261120,0600,77,,,2/
02,FIRM,BANK,1,261119,2400,USD,2/
03,0001,,010,100000,,,015/
88,+120000,,,045,-50,,/
16,165,15000,V,261120,,REF1,CUST1,WIRE IN, WITH COMMA
88,AND / MORE/
16,475,10000,S,1,2,9997,REF2,,CHECK/
16,399,15000/
88,Z,REF3,,LATE FIELDS/
16,890,,,,,NOTE/
49,259950,9/
98,259950,1,11/
99,259950,1,13/
`

// TestGood reads every field of the good file.
func TestGood(t *testing.T) {
	result, err := bai2.Read(iotest.OneByteReader(strings.NewReader(good)), "s.txt")
	if err != nil || !result.Valid() || len(result.Flags) > 0 {
		t.Fatal(err, result.Errors, result.Flags)
	}
	got, err := json.Marshal(result.Bank)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"id":"BANK/261119","account":"0001","currency":"USD","as_of":"2026-11-19","created":null,"sequence":null,"page":null,"last_page":null,` +
		`"intraday":false,"opening":"1000.00","closing":"1200.00","available":"-0.50","entry_count":4,"booked_count":3,"credits":"300.00","debits":"100.00","entries":[` +
		`{"amount":"150.00","currency":"USD","side":"credit","status":"BOOK","booked":"2026-11-19","value":"2026-11-20","reference":"REF1","end_to_end":"CUST1","code":"165","text":"WIRE IN, WITH COMMA\nAND / MORE","bytes":[118,187]},` +
		`{"amount":"100.00","currency":"USD","side":"debit","status":"BOOK","booked":"2026-11-19","value":null,"reference":"REF2","end_to_end":null,"code":"475","text":"CHECK","bytes":[187,224]},` +
		`{"amount":"150.00","currency":"USD","side":"credit","status":"BOOK","booked":"2026-11-19","value":null,"reference":"REF3","end_to_end":null,"code":"399","text":"LATE FIELDS","bytes":[224,262]},` +
		`{"amount":"0.00","currency":"USD","side":"","status":"INFO","booked":"2026-11-19","value":null,"reference":null,"end_to_end":null,"code":"890","text":"NOTE","bytes":[262,279]}]}]`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBad changes one thing at a time in a good file and compares the line, and a
// part of what was got and expected.
func TestBad(t *testing.T) {
	offchaintest.Bad(t, bai2.Read, good, []offchaintest.Row{
		{"49,259950,9/", "49,259951,9/", 11, "259951", "account control total 259950"},
		{"49,259950,9/", "49,259950,8/", 11, "8", "records of the account 9"},
		{"98,259950,1,11/", "98,259951,1,11/", 12, "259951", "group control total 259950"},
		{"98,259950,1,11/", "98,259950,2,11/", 12, "2", "number of accounts 1"},
		{"98,259950,1,11/", "98,259950,1,10/", 12, "10", "records of the group 11"},
		{"99,259950,1,13/", "99,259950,2,13/", 13, "2", "number of groups 1"},
		{"99,259950,1,13/", "99,259950,1,12/", 13, "12", "records of the file 13"},
		{"99,259950,1,13/\n", "", 13, "end of file", "99"},
		{"98,259950,1,11/\n", "", 12, "99", "after 98"},
		{"49,259950,9/\n", "", 11, "98", "after 49"},
		{"99,259950,1,13/\n", "99,259950,1,13/\n16,165,1,,,,X/\n", 14, "16", "within an account"},
		{"16,165,15000", "16,165,150.00", 5, "150.00", "smallest unit"},
		{"16,165,15000", "16,165,-15000", 5, "-15000", "without sign"},
		{"16,165,15000", "16,165,1234567890123456789", 5, "1234567890123456789", "smallest unit"},
		{"16,165,", "16,721,", 5, "721", "credit"},
		{"16,165,", "16,X65,", 5, "X65", "credit"},
		{"15000,V,", "15000,Q,", 5, "Q", "funds type"},
		{"V,261120", "V,261320", 5, "261320", "YYMMDD"},
		{"16,475", "17,475", 7, "17", "a record 01"},
		{"02,FIRM,BANK,1,", "02,FIRM,BANK,4,", 2, "status 4", "update"},
		{"USD", "ZZZ", 3, "ZZZ", "ISO 4217"},
		{",,,2/", ",,,3/", 1, "version 3", "version 2"},
		{"2400,USD,2/\n", "2400,USD,2/ 03,1,,,,,/\n", 2, "2/ 03", "one record on a line"},
		{"99,259950,1,13/", "99,259950,1,1", 13, "1", "records of the file 13"},
		{"49,259950,9/", "49,,9/", 11, "", "account control total 259950"},
		{"02,FIRM,BANK,1,261119,2400,USD,2/", "02,FIRM,BANK,1,261119,2400,USD,2", 2, "02,FIRM", "ends in /"},
		{"03,0001,", "03,,", 3, "no account", "account number"},
		{"98,", "88,x/\n98,", 12, "88 after 49", "continuation of 03 or 16"},
		{"WIRE IN", strings.Repeat("W", 5000), 5, "longer line", "4096"},
	})
}

// TestDialects reads what banks do otherwise and say no other for.
func TestDialects(t *testing.T) {
	want, err := bai2.Read(strings.NewReader(good), "s.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"byte order mark": "\ufeff" + good,
		"CRLF":            strings.ReplaceAll(good, "\n", "\r\n"),
		"padded":          strings.ReplaceAll(good, "\n", "      \n"),
		"end of DOS":      good + "\x1a",
		"no last /":       strings.TrimSuffix(good, "/\n"),
		"comma too many":  strings.Replace(good, "03,0001,,010,100000,,,015/\n88,+120000,,,045", "03,0001,,010,100000,,,/\n88,015,+120000,,,045", 1),
	} {
		got, err := bai2.Read(strings.NewReader(text), "s.txt")
		if err != nil || !got.Valid() || len(got.Flags) > 0 {
			t.Errorf("%s: %v %v %v", name, err, got.Errors, got.Flags)
			continue
		}
		s, w := got.Bank[0], want.Bank[0]
		if s.Opening.String() != w.Opening.String() || s.Closing.String() != w.Closing.String() || s.Available.String() != w.Available.String() || len(s.Entries) != len(w.Entries) {
			t.Errorf("%s: %+v, want %+v", name, s, w)
		}
	}
	latin := strings.Replace(good, "WIRE IN", "Z\xfcrich", 1)
	got, err := bai2.Read(strings.NewReader(latin), "s.txt")
	if err != nil || !got.Valid() || len(got.Flags) != 1 || got.Flags[0].Code != offchain.NotUTF8 || !strings.HasPrefix(string(got.Bank[0].Entries[0].Text), "Z\ufffdrich") {
		t.Errorf("Latin-1: %v %v %v", err, got.Errors, got.Flags)
	}
}

// TestCutOff cuts the good file off after every byte: no part of it reads.
func TestCutOff(t *testing.T) { offchaintest.CutOff(t, bai2.Read, good, 1) }

// TestReaderFails tells a failing disk from a bad file.
func TestReaderFails(t *testing.T) { offchaintest.ReaderFails(t, bai2.Read, good) }

// TestSamples compares the errors of the broken samples, word for word.
func TestSamples(t *testing.T) { offchaintest.Samples(t, "bai2", bai2.Read) }

// FuzzParse feeds the reader anything.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	offchaintest.Seeds(f, filepath.Join(corpus, "*.txt"))
	f.Fuzz(func(t *testing.T, text []byte) { offchaintest.Fuzz(t, bai2.Read, text) })
}

// large is a file of so many entries.
func large(items int) *offchaintest.Large {
	const amount = 15000
	total := 100000 + amount*items
	return &offchaintest.Large{
		Items: items,
		Head:  "01,BANK,FIRM,261120,0600,77,,,2/\n02,FIRM,BANK,1,261119,2400,USD,2/\n03,0001,,010,100000,,/\n",
		Item: func(int) string {
			return "16,165,15000,V,261120,,REF0000001,CUST1,WIRE IN, WITH COMMA\n88,ORG:=ALICE NOVEMBER DEPOSIT\n"
		},
		Tail: fmt.Sprintf("49,%d,%d/\n98,%d,1,%d/\n99,%d,1,%d/\n", total, 2*items+2, total, 2*items+4, total, 2*items+6),
	}
}

// TestMemory reads a large file and sees that what is held does not grow with it.
func TestMemory(t *testing.T) {
	offchaintest.Memory(t, large, func(r io.Reader, each func()) (offchain.Result, error) {
		return bai2.Scan(r, "s.txt", func(*offchain.BankStatement, offchain.BankEntry) error { each(); return nil })
	})
}

// BenchmarkParse reads one large file as it comes.
func BenchmarkParse(b *testing.B) {
	const entries = 100_000
	text, err := io.ReadAll(large(entries))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		result, err := bai2.Scan(bytes.NewReader(text), "s.txt", func(*offchain.BankStatement, offchain.BankEntry) error { n++; return nil })
		if err != nil || !result.Valid() || n != entries {
			b.Fatal(err, result.Errors, n)
		}
	}
}
