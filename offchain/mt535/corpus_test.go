package mt535_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"goodcontrol/offchain"
	"goodcontrol/offchain/mt535"
)

const corpus = "../../../shared/corpus/securities"

// expectation is what the corpus says of one file.
type expectation struct {
	Valid     bool     `json:"valid"`
	Flags     []string `json:"consistency_flags"`
	Statement struct {
		Account   string  `json:"account"`
		Reference string  `json:"reference"`
		Date      *string `json:"date"`
		Holdings  []struct {
			ISIN         string              `json:"isin"`
			Description  string              `json:"desc"`
			Aggregate    *string             `json:"aggregate"`
			Type         *string             `json:"qty_type"`
			Available    *string             `json:"available"`
			NotAvailable *string             `json:"not_available"`
			SubBalances  []map[string]string `json:"sub_balances"`
		} `json:"holdings"`
		Transactions []struct {
			Reference string `json:"ref"`
			Direction string `json:"direction"`
			Quantity  string `json:"quantity"`
			ISIN      string `json:"isin"`
			Kind      string `json:"kind"`
		} `json:"transactions"`
	} `json:"statement"`
}

type reader func(io.Reader, string) (offchain.Result, error)

// TestCorpus judges every file of the public corpus: refused, flagged or read, and
// every number equal.
func TestCorpus(t *testing.T) {
	for folder, read := range map[string]reader{"mt535": mt535.Read, "mt536": mt535.ReadTransactions} {
		files, _ := filepath.Glob(filepath.Join(corpus, folder, "*.txt"))
		if len(files) == 0 {
			t.Skipf("SKIPPED: the corpus is not at %s", filepath.Join(corpus, folder))
		}
		for _, file := range files {
			t.Run(folder+"/"+filepath.Base(file), func(t *testing.T) { judge(t, file, read) })
		}
	}
}

func judge(t *testing.T, file string, read reader) {
	text, err := os.ReadFile(strings.TrimSuffix(file, ".txt") + ".expect.json")
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
		if e := got.Errors[0]; e.File != file || e.Expected == "" || e.Line == 0 {
			t.Errorf("error does not say where and what: %v", e)
		}
		return
	}
	if (len(want.Flags) > 0) != (len(got.Flags) > 0) {
		t.Errorf("flags = %v, want %q", got.Flags, want.Flags)
	}
	if len(got.Securities) != 1 {
		t.Fatalf("%d statements, want one", len(got.Securities))
	}
	judgeStatement(t, got.Securities[0], want)
}

func judgeStatement(t *testing.T, s offchain.SecuritiesStatement, want expectation) {
	w := want.Statement
	same(t, "account", s.Account, w.Account)
	same(t, "id", s.ID, w.Reference)
	if w.Date != nil {
		same(t, "as_of", s.AsOf.Time.Format("20060102"), *w.Date)
	}
	if strings.HasPrefix(t.Name(), "TestCorpus/mt535") {
		if len(s.Holdings) != len(w.Holdings) {
			t.Fatalf("%d holdings, want %d", len(s.Holdings), len(w.Holdings))
		}
		for i, h := range s.Holdings {
			w := w.Holdings[i]
			same(t, "isin", string(h.ISIN), w.ISIN)
			same(t, "description", string(h.Description), w.Description)
			same(t, "type", string(h.QuantityType), *w.Type)
			equal(t, "quantity", h.Quantity, w.Aggregate)
			equal(t, "available", h.Available, w.Available)
			equal(t, "not_available", h.NotAvailable, w.NotAvailable)
			if len(h.SubBalances) != len(w.SubBalances) {
				t.Fatalf("%d sub-balances, want %d", len(h.SubBalances), len(w.SubBalances))
			}
			for j, b := range h.SubBalances {
				quantity := w.SubBalances[j][b.Type]
				equal(t, "sub-balance "+b.Type, b.Quantity, &quantity)
			}
		}
	}
	if len(s.Transactions) != len(w.Transactions) {
		t.Fatalf("%d transactions, want %d", len(s.Transactions), len(w.Transactions))
	}
	for i, got := range s.Transactions {
		w := w.Transactions[i]
		same(t, "reference", string(got.Reference), w.Reference)
		same(t, "direction", string(got.Direction), w.Direction)
		same(t, "isin", string(got.ISIN), w.ISIN)
		same(t, "kind", string(got.Kind), w.Kind)
		equal(t, "quantity", got.Quantity, &w.Quantity)
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
	switch {
	case got.Given != (want != nil):
		t.Errorf("%s = %v, want given: %v", what, got, want != nil)
	case want != nil && !got.Value.Equal(decimal.RequireFromString(*want)):
		t.Errorf("%s = %s, want %s", what, got, *want)
	}
}
