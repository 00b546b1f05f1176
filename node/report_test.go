package node_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"goodcontrol/node/api"
	"goodcontrol/node/focus"
)

// file gets an archived report.
func (w *world) file(id string) (status int, content []byte) {
	w.Helper()
	response, err := http.Get(w.url + "/v1/reserve/reports/" + id)
	w.ok(err)
	defer response.Body.Close()
	content, err = io.ReadAll(response.Body)
	w.ok(err)
	return response.StatusCode, content
}

// TestReports archives a report in every form, as of now and as of before; proves
// them by the digest that is in the journal; and makes one again that was changed.
func TestReports(t *testing.T) {
	w := opened(t)
	before := w.status(api.Compliant)
	w.ok(w.bank.Credit(operating, dollars(700_000), "ACCT/bob deposit", "B-1"))
	w.deliver(w.statement(operating))
	w.status(api.UnderFunded)

	ids := map[string]string{}
	for _, format := range []string{"json", "csv", "xlsx", "pdf"} {
		id := w.post("/v1/reserve/reports", m{"by": "olga", "population": "customer", "as_of": seq(before.Seq), "format": format})
		status, content := w.file(id)
		if sum := sha256.Sum256(content); status != http.StatusOK || hex.EncodeToString(sum[:]) != id {
			t.Fatalf("%s: %d, %d bytes with SHA-256 %x, archived is %s", format, status, len(content), sum, id)
		}
		if again := w.post("/v1/reserve/reports", m{"by": "max", "population": "customer", "as_of": seq(before.Seq), "format": format}); again != id {
			t.Errorf("%s: the same report is %s and then %s", format, id, again)
		}
		ids[format] = id
	}
	id := w.post("/v1/reserve/reports", m{"by": "olga", "population": "customer", "format": "json"})
	_, content := w.file(id)
	d, err := focus.Parse(content)
	w.ok(err)
	amounts := map[string]string{}
	for _, l := range d.Lines {
		amounts[l.Box+l.Key] = l.Amount
	}
	if d.Entity != "Example Brokerage LLC" || amounts["4340item1"] != "700000.00" || amounts["4520minimum_deposit"] != "200000.00" || len(d.Accounts) != 1 || d.Status != "UNDER-FUNDED" {
		t.Errorf("the report of now: %+v", d)
	}
	pab := w.post("/v1/reserve/reports", m{"by": "olga", "population": "pab", "format": "json"})
	_, content = w.file(pab)
	if d, err := focus.Parse(content); err != nil || d.Computation != "pab" {
		t.Errorf("the PAB report: %+v (%v)", d, err)
	}

	// A changed file is found out and made again, the same byte for byte; also by
	// another run of the node.
	path := w.path("data", "reports", ids["pdf"])
	was, err := os.ReadFile(path)
	w.ok(err)
	w.stop()
	w.ok(os.WriteFile(path, []byte("another report"), 0o600))
	w.start()
	if status, content := w.file(ids["pdf"]); status != http.StatusOK || !bytes.Equal(content, was) {
		t.Errorf("a changed report is %d, %.40q", status, content)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, was) {
		t.Errorf("the archive was not mended: %.40q (%v)", now, err)
	}
	w.ok(os.Remove(path))
	if _, content := w.file(ids["pdf"]); !bytes.Equal(content, was) {
		t.Error("a lost report was not made again")
	}

	var page api.Page[api.Report]
	w.get("/v1/reserve/reports", &page)
	if len(page.Items) != 6 {
		t.Errorf("%d reports, expected 6: asked for twice is archived once", len(page.Items))
	}
	for _, r := range page.Items {
		if r.By != "olga" || r.Seq == 0 || r.Size == 0 || r.ID != ids[r.Format] && r.ID != id && r.ID != pab {
			t.Errorf("report %+v", r)
		}
	}

	// What the present configuration no longer gives is not passed off as the report.
	w.stop()
	w.config.Entity = "Another Name LLC"
	w.ok(os.Remove(path))
	if _, err := w.open(); err == nil || !strings.Contains(err.Error(), "Another Name") {
		t.Errorf("another entity on the same journal: %v", err)
	}
	w.config.Entity = "Example Brokerage LLC"
	w.config.Reserve.Accounts[0].Bank = "Renamed Bank"
	w.start()
	if status, content := w.file(ids["pdf"]); status != http.StatusInternalServerError {
		t.Errorf("a report that cannot be made again is %d, %.40q", status, content)
	}
}

// TestNoReport refuses what is no report.
func TestNoReport(t *testing.T) {
	w := opened(t)
	w.refused(api.CodeAsOfUnavailable, "ends at", "/v1/reserve/reports", m{"by": "olga", "population": "customer", "as_of": "999999", "format": "pdf"})
	w.refused(api.CodeBadAsOf, "yesterday", "/v1/reserve/reports", m{"by": "olga", "population": "customer", "as_of": "yesterday", "format": "pdf"})
	w.refused(api.CodeInvalid, "", "/v1/reserve/reports", m{"by": "olga", "population": "customer", "format": "docx"})
	w.refused(api.CodeInvalid, "", "/v1/reserve/reports", m{"by": "olga", "population": "nobody", "format": "pdf"})
	if status, _ := w.file(strings.Repeat("0", 64)); status != http.StatusNotFound {
		t.Errorf("a report that was never archived is %d", status)
	}
}
