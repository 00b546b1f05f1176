package camt_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/camt"
)

const corpus = "../../../shared/corpus/bank"

// expectation is what the corpus says of one file.
type expectation struct {
	Valid    bool     `json:"valid"`
	Flags    []string `json:"consistency_flags"`
	Accounts []struct {
		ID        string  `json:"id"`
		Currency  *string `json:"currency"`
		Statement string  `json:"statement_id"`
		Opening   *string `json:"opening"`
		Closing   *string `json:"closing"`
		Date      *string `json:"closing_date"`
		Entries   int64   `json:"entries"`
		Booked    int64   `json:"booked_entries"`
		Credits   string  `json:"credits"`
		Debits    string  `json:"debits"`
	} `json:"accounts"`
}

type reader func(io.Reader, string) (offchain.Result, error)

// TestCorpus judges every file of the public corpus: refused, flagged or read, and
// every number equal.
func TestCorpus(t *testing.T) {
	for folder, read := range map[string]reader{"camt053": camt.ReadStatement, "camt052": camt.ReadReport} {
		files, _ := filepath.Glob(filepath.Join(corpus, folder, "*.xml"))
		if len(files) == 0 {
			t.Skipf("SKIPPED: the corpus is not at %s", filepath.Join(corpus, folder))
		}
		for _, file := range files {
			t.Run(folder+"/"+filepath.Base(file), func(t *testing.T) { judge(t, file, read) })
		}
	}
}

func judge(t *testing.T, file string, read reader) {
	text, err := os.ReadFile(strings.TrimSuffix(file, ".xml") + ".expect.json")
	if err != nil {
		t.Fatal(err)
	}
	var want expectation
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := read(f, file)
	if err != nil {
		t.Fatal(err)
	}
	if got.Valid() != want.Valid {
		t.Fatalf("valid = %v, want %v: %v", got.Valid(), want.Valid, got.Errors)
	}
	if !want.Valid {
		if e := got.Errors[0]; e.File != file || e.Expected == "" || e.Line == 0 && len(want.Accounts) > 0 {
			t.Errorf("error does not say where and what: %v", e)
		}
		return
	}
	mustFlag := len(want.Flags) > 0 || strings.HasPrefix(filepath.Base(file), "flag-")
	if mustFlag != (len(got.Flags) > 0) {
		t.Errorf("flags = %v, want %q", got.Flags, want.Flags)
	}
	if len(got.Bank) != len(want.Accounts) {
		t.Fatalf("%d statements, want %d", len(got.Bank), len(want.Accounts))
	}
	for i, s := range got.Bank {
		w := want.Accounts[i]
		same(t, "id", s.ID, w.Statement)
		same(t, "account", s.Account, w.ID)
		same(t, "currency", string(s.Currency), deref(w.Currency))
		same(t, "entry_count", fmt.Sprint(s.EntryCount, len(s.Entries)), fmt.Sprint(w.Entries, w.Entries))
		same(t, "booked_count", fmt.Sprint(s.BookedCount), fmt.Sprint(w.Booked))
		equal(t, "opening", s.Opening, w.Opening)
		equal(t, "closing", s.Closing, w.Closing)
		equal(t, "credits", s.Credits, &w.Credits)
		equal(t, "debits", s.Debits, &w.Debits)
		if w.Date != nil {
			same(t, "as_of", s.AsOf.String(), *w.Date)
		}
	}
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %q, want %q", what, got, want)
	}
}

func equal(t *testing.T, what string, got offchain.Number, want *string) {
	t.Helper()
	if got.Given != (want != nil) {
		t.Errorf("%s = %v, want %v", what, got, deref(want))
		return
	}
	if want != nil && !got.Value.Equal(decimal.RequireFromString(*want)) {
		t.Errorf("%s = %s, want %s", what, got, *want)
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
