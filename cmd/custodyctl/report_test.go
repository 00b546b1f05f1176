package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"goodcontrol/node/api"
	"goodcontrol/node/focus"
)

// TestReportOfItems makes each form of a filed schedule, without a node.
func TestReportOfItems(t *testing.T) {
	schwab := filepath.Join("testdata", "reserve-schwab-2011-12-31.json")
	dir := t.TempDir()
	for _, f := range focus.Formats() {
		out := filepath.Join(dir, "report."+string(f))
		if code, _, errs := custodyctl(t, "reserve", "report", "--items", schwab, "--entity", "Charles Schwab & Co.", "-o", out); code != exitHolds {
			t.Fatalf("%s = %d %s", f, code, errs)
		}
		if info, err := os.Stat(out); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", f, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := focus.Parse(b)
	if err != nil || d.Unit != "1000000" {
		t.Fatalf("unit %q, %v", d.Unit, err)
	}
	for _, l := range d.Lines {
		if l.Box == "4490" && l.Amount != "25499" {
			t.Errorf("excess credits %s, filed 25499", l.Amount)
		}
	}
}

// TestReportOfNode asks for the report, gets it, and holds it to its digest.
func TestReportOfNode(t *testing.T) {
	content, given := []byte("the report"), []byte("the report")
	sum := sha256.Sum256(content)
	id := hex.EncodeToString(sum[:])
	var command map[string]string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /v1/reserve/reports":
			if r.Header.Get("Idempotency-Key") == "" || json.NewDecoder(r.Body).Decode(&command) != nil {
				t.Errorf("asked without a key, or with no command")
			}
			_ = json.NewEncoder(w).Encode(api.Result{ID: id, Seq: 7}) // the client has it or the test fails
		case "GET /v1/reserve/reports/" + id:
			_, _ = w.Write(given)
		default:
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
	}))
	defer server.Close()
	out := filepath.Join(t.TempDir(), "report.pdf")
	code, said, errs := custodyctl(t, "reserve", "report", "--url", server.URL, "--as-of", "2026-03-02", "--population", "pab", "--by", "olga", "-o", out)
	if code != exitHolds || !strings.Contains(said, id) || !strings.Contains(said, "journal entry 7") {
		t.Errorf("report = %d %s %s", code, said, errs)
	}
	if command["by"] != "olga" || command["population"] != "pab" || command["format"] != "pdf" || command["as_of"] != "2026-03-02T23:59:59.999999999-05:00" {
		t.Errorf("asked for %v", command)
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "the report" {
		t.Errorf("written: %q %v", b, err)
	}
	given = []byte("another one")
	other := filepath.Join(t.TempDir(), "report.csv")
	code, _, errs = custodyctl(t, "reserve", "report", "--url", server.URL, "-o", other)
	if _, err := os.Stat(other); code != exitNo || !strings.Contains(errs, id) || err == nil {
		t.Errorf("a report with another digest = %d %s, written: %v", code, errs, err)
	}
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, "a price is missing")
	})
	if code, _, errs := custodyctl(t, "reserve", "report", "--url", server.URL, "-o", other); code != exitUnknown || !strings.Contains(errs, "price is missing") {
		t.Errorf("what cannot be known = %d %s", code, errs)
	}
	for _, bad := range [][]string{{"-o", other, "--format", "docx"}, {"-o", other, "--population", "all"}, {}, {"-o", other, "--items", "nowhere.json"}, {"-o", other, "--items", "main.go"}} {
		if code, _, _ := custodyctl(t, append([]string{"reserve", "report"}, bad...)...); code != exitBadUse {
			t.Errorf("reserve report %q = %d", bad, code)
		}
	}
}
