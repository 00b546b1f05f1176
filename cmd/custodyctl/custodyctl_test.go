package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"goodcontrol/node/api"
	"goodcontrol/testnet/books"
)

// custodyctl runs a command in this process.
func custodyctl(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := root()
	c.SetArgs(args)
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SetIn(strings.NewReader(""))
	err := c.ExecuteContext(t.Context())
	code = exitCode(&stderr, err)
	return code, stdout.String(), stderr.String()
}

// oneDocument fails the test unless the text is exactly one JSON document, and
// decodes it.
func oneDocument(t *testing.T, text string, to any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(to); err != nil {
		t.Fatalf("%v: %.200s", err, text)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("more than one document on standard output: %.300s", text)
	}
}

// evmData are the proofs and blocks that the checks of package evm are tested with.
var evmData = filepath.Join("..", "..", "chainwatch", "evm", "testdata")

// TestExitCodes holds commands to the codes that scripts rely on.
func TestExitCodes(t *testing.T) {
	proof := func(name string) []string {
		dir := filepath.Join(evmData, "proofs", name)
		return []string{"proof", "verify", filepath.Join(dir, "proof.json"), "--header", filepath.Join(dir, "header.json")}
	}
	block := func(name string) []string {
		dir := filepath.Join(evmData, "blocks", name)
		return []string{"block", "verify", "--header", filepath.Join(dir, "header.json"), "--receipts", filepath.Join(dir, "receipts.json")}
	}
	schwab := filepath.Join("testdata", "reserve-schwab-2011-12-31.json")
	rows := []struct {
		args []string
		code int
		want string // on standard output when the code is 0 or 1 and nothing is told, else on the other
	}{
		{[]string{"nonsense"}, exitBadUse, `unknown command "nonsense"`},
		{[]string{}, exitBadUse, "expected one of"},
		{[]string{"reserve"}, exitBadUse, "expected one of"},
		{[]string{"reserve", "nonsense"}, exitBadUse, `unknown command "nonsense"`},
		{[]string{"status", "--nonsense"}, exitBadUse, "unknown flag"},
		{[]string{"status", "more"}, exitBadUse, "more"},
		{[]string{"status", "--url", "http://127.0.0.1:1"}, exitUnknown, "127.0.0.1:1"},
		{[]string{"export", "audit", "--url", "http://127.0.0.1:1", "-o", filepath.Join(t.TempDir(), "x.zip")}, exitUnknown, "127.0.0.1:1"},
		{[]string{"export", "audit"}, exitBadUse, "out"},
		{[]string{"explain"}, exitBadUse, "arg"},
		{[]string{"explain", "reserve", "item1", "--url", "http://127.0.0.1:1"}, exitUnknown, "127.0.0.1:1"},
		{[]string{"diff", "reserve", "item1"}, exitBadUse, "from"},
		{[]string{"diff", "reserve", "item1", "--from", "1", "--url", "http://127.0.0.1:1"}, exitUnknown, "127.0.0.1:1"},
		{[]string{"demo", "--run", "some"}, exitBadUse, "some"},

		{[]string{"verify", "nowhere.zip"}, exitBadUse, "nowhere.zip"},
		{[]string{"verify"}, exitBadUse, "arg"},
		{[]string{"verify", schwab}, exitNo, "FAILED"},
		{[]string{"verify", schwab, "--header", "0x12"}, exitBadUse, "0x12"},
		{[]string{"verify", schwab, "--verifier", "example+00000000+AA"}, exitNo, "FAILED"},

		{proof("chainstorage-eoa-1000"), exitHolds, "ok"},
		{append(proof("chainstorage-eoa-1000"), "--trusted-hash", "0x"+strings.Repeat("0", 64)), exitNo, "trusted hash"},
		{append(proof("chainstorage-eoa-1000"), "--trusted-hash", "0x00"), exitBadUse, "trusted-hash"},
		{proof("chainstorage-eoa-1000--bad-forged-trie"), exitNo, "FAIL"},
		{proof("chainstorage-eoa-1000--bad-claimed-absent-truncated"), exitNo, "FAIL"},
		{proof("ethereumjs-uni-token-0x1--ok-shortkey"), exitHolds, "ok"},
		{proof("ethereumjs-uni-token-0x1--bad-slot-value-plus1"), exitNo, "FAIL"},
		{[]string{"proof", "verify", schwab, "--header", schwab}, exitBadUse, ""},
		{[]string{"proof", "verify", schwab}, exitBadUse, "header"},
		{block("chainstorage-mainnet-13998626"), exitHolds, "ok"},
		{block("chainstorage-mainnet-13998626--bad-txhash-unbound"), exitNo, "FAIL"},
		{[]string{"block", "verify", "--header", schwab, "--receipts", schwab}, exitBadUse, ""},

		{[]string{"reserve", "compute", schwab}, exitNo, "required 25499"},
		{[]string{"reserve", "compute", "nowhere.json"}, exitBadUse, "nowhere.json"},
		{[]string{"reserve", "compute", "main.go"}, exitBadUse, "main.go"},
		{[]string{"netcapital", "compute", filepath.Join("testdata", "netcapital-schwab-2011-12-31.json")}, exitHolds, `"excess": "948"`},
		{[]string{"netcapital", "compute", schwab}, exitBadUse, schwab},
		{[]string{"calendar", "deadline", "--as-of", "2011-12-31"}, exitHolds, "2012-01-04"},
		{[]string{"calendar", "deadline", "--as-of", "2011-02-30"}, exitBadUse, "2011-02-30"},
		{[]string{"calendar", "deadline"}, exitBadUse, "as-of"},
		{[]string{"parse", "camt.999", "x"}, exitBadUse, "camt.053"},
		{[]string{"parse", "camt.053", "nowhere.xml"}, exitBadUse, "nowhere.xml"},
		{[]string{"parse", "csv", "x"}, exitBadUse, "--layout"},
		{[]string{"parse", "dtc-position", "x", "--layout", "nowhere.yaml"}, exitBadUse, "nowhere.yaml"},
		{[]string{"parse", "mt535", "x", "--layout", "l.yaml"}, exitBadUse, "has no layout"},
	}
	for _, row := range rows {
		code, out, errs := custodyctl(t, row.args...)
		if code != row.code || !strings.Contains(out+errs, row.want) {
			t.Errorf("custodyctl %q = %d, expected %d with %q\nout %.600s\nerr %.600s", row.args, code, row.code, row.want, out, errs)
		}
		judged := len(row.args) > 0 && (row.args[0] == "proof" || row.args[0] == "block") // they list their checks also when one could not be made
		if (code == exitBadUse || code == exitUnknown) && (out != "" && !judged || errs == "") {
			t.Errorf("custodyctl %q: what went wrong belongs on standard error; out %.200q, err %.200q", row.args, out, errs)
		}
	}
}

// TestJSON shows that what is printed as JSON is one document with what matters.
func TestJSON(t *testing.T) {
	var r struct {
		Required string `json:"required_on_deposit"`
		Credits  string `json:"total_credits"`
		Lines    []any  `json:"lines"`
	}
	_, out, _ := custodyctl(t, "reserve", "compute", filepath.Join("testdata", "reserve-schwab-2011-12-31.json"), "--json")
	if oneDocument(t, out, &r); r.Required != "25499" || r.Credits != "37128" || len(r.Lines) < 15 {
		t.Errorf("reserve compute: %+v", r)
	}
	var d struct {
		First  string    `json:"first_banking_day"`
		Second string    `json:"second_banking_day"`
		Due    time.Time `json:"deposit_due_by"`
	}
	_, out, _ = custodyctl(t, "calendar", "deadline", "--as-of", "2005-12-31", "--json")
	if oneDocument(t, out, &d); d.First != "2006-01-03" || d.Second != "2006-01-04" || d.Due.Format("2006-01-02T15:04Z07:00") != "2006-01-04T10:00-05:00" {
		t.Errorf("calendar deadline: %+v", d)
	}
	var j struct {
		OK     bool `json:"ok"`
		Checks []struct {
			Name string `json:"name"`
			OK   bool   `json:"ok"`
		} `json:"checks"`
	}
	dir := filepath.Join(evmData, "proofs", "chainstorage-eoa-1000--bad-forged-trie")
	code, out, _ := custodyctl(t, "proof", "verify", filepath.Join(dir, "proof.json"), "--header", filepath.Join(dir, "header.json"), "--json")
	if oneDocument(t, out, &j); code != exitNo || j.OK || len(j.Checks) == 0 {
		t.Errorf("proof verify of a forged trie = %d %+v", code, j)
	}
	dir = filepath.Join(evmData, "blocks", "chainstorage-mainnet-13998626--bad-txhash-unbound")
	code, out, _ = custodyctl(t, "block", "verify", "--header", filepath.Join(dir, "header.json"), "--receipts", filepath.Join(dir, "receipts.json"), "--json")
	if oneDocument(t, out, &j); code != exitNo || j.OK {
		t.Errorf("block verify of a bad receipt = %d %+v", code, j)
	}
}

// TestParse reads a statement as a bank writes it, whole and cut off.
func TestParse(t *testing.T) {
	dir := t.TempDir()
	bank := books.NewBank("First Example Bank", dir, func() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) })
	if err := errors.Join(bank.Open("100", "USD", decimal.NewFromInt(5)), bank.Credit("100", decimal.RequireFromString("7.25"), "ACCT/bob", "E2E")); err != nil {
		t.Fatal(err)
	}
	path, err := bank.WriteStatement("100")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Valid      bool `json:"valid"`
		Statements []struct {
			Account string `json:"account"`
			Opening string `json:"opening"`
			Closing string `json:"closing"`
			Count   int    `json:"entry_count"`
		} `json:"statements"`
		Errors []struct {
			File     string `json:"file"`
			Line     int64  `json:"line"`
			Byte     int64  `json:"byte"`
			Expected string `json:"expected"`
		} `json:"errors"`
	}
	code, out, errs := custodyctl(t, "parse", "camt.053", path, "--json")
	oneDocument(t, out, &got)
	if code != exitHolds || !got.Valid || len(got.Statements) != 1 || got.Statements[0].Account != "100" || got.Statements[0].Closing != "12.25" || got.Statements[0].Count != 1 {
		t.Errorf("a good statement = %d %+v %s", code, got, errs)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.xml")
	if err := os.WriteFile(cut, b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	got.Statements = nil
	code, out, errs = custodyctl(t, "parse", "camt.053", cut, "--json")
	oneDocument(t, out, &got)
	if code != exitNo || got.Valid || len(got.Errors) == 0 || got.Errors[0].File != cut || got.Errors[0].Line < 2 || got.Errors[0].Byte == 0 || got.Errors[0].Expected == "" {
		t.Errorf("a statement cut off = %d %+v", code, got)
	}
	if !strings.Contains(errs, cut) {
		t.Errorf("standard error does not name the file: %s", errs)
	}
	if code, _, _ := custodyctl(t, "parse", "mt535", path); code != exitNo {
		t.Errorf("a camt.053 read as an mt535 = %d", code)
	}
}

// TestStatus: the code follows the word, and no answer is no good news.
func TestStatus(t *testing.T) {
	answer := struct {
		code int
		body string
	}{code: http.StatusOK}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/status" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(answer.code)
		_, _ = io.WriteString(w, answer.body) // the client has it or the test fails
	}))
	defer server.Close()
	for word, want := range map[api.StatusWord]int{api.Compliant: exitHolds, api.UnderFunded: exitNo, api.InDeficit: exitNo, api.UnknownStatus: exitUnknown, "": exitUnknown, "FINE": exitUnknown} {
		b, err := json.Marshal(api.Status{Status: word, Reasons: []string{"the reason"}})
		if err != nil {
			t.Fatal(err)
		}
		answer.body = string(b)
		code, out, _ := custodyctl(t, "status", "--url", server.URL+"/")
		if code != want || !strings.Contains(out, string(word)) || !strings.Contains(out, "the reason") {
			t.Errorf("status %s = %d, expected %d: %s", word, code, want, out)
		}
		var s api.Status
		code, out, _ = custodyctl(t, "status", "--url", server.URL, "--json")
		if oneDocument(t, out, &s); code != want || s.Status != word {
			t.Errorf("status %s as JSON = %d, expected %d: %s", word, code, want, out)
		}
	}
	answer.body = "{"
	if code, out, _ := custodyctl(t, "status", "--url", server.URL); code != exitUnknown || out != "" {
		t.Errorf("half an answer = %d %s", code, out)
	}
	answer.code = http.StatusInternalServerError
	if code, _, errs := custodyctl(t, "status", "--url", server.URL); code != exitUnknown || !strings.Contains(errs, "500") {
		t.Errorf("an error = %d %s", code, errs)
	}
}
