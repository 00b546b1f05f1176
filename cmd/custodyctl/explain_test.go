package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"goodcontrol/custody"
	"goodcontrol/node/api"
)

// asked is a node that answers one document and keeps what it was asked.
func asked(t *testing.T, status int, document any) (where string, last *url.URL) {
	t.Helper()
	last = &url.URL{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*last = *r.URL
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(document) // the client has it or the test fails
	}))
	t.Cleanup(server.Close)
	return server.URL, last
}

func explained() api.Term {
	moment := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	file := api.EntryPoint{Seq: 31, Ref: "f", Kind: "cash.credit", Effective: moment, Actor: "settle", Evidence: custody.Evidence{File: "3fa2", From: 812, To: 1301}}
	log := api.EntryPoint{Seq: 32, Ref: "c", Kind: "deposit.final", Effective: moment, Actor: "settle", Evidence: custody.Evidence{Chain: "eip155:1", Block: 9, BlockHash: "0xab", Tx: "0xcd", Log: 2}}
	person := api.EntryPoint{Seq: 33, Ref: "p", Kind: "outflow.released", Effective: moment, Actor: "mia", Approvals: []string{"carl"}}
	return api.Term{Kind: "line", Name: "item1", Caption: "Free credit balances", Citation: "item 1", Amount: "70.00", Terms: []api.Term{
		{Kind: "entry", Name: "f", Amount: "100.00", Quantity: "10", Price: "10", Entry: &file, Priced: &file},
		{Kind: "entry", Name: "c", Amount: "-20.00", Quantity: "-20", Price: "1", Entry: &log},
		{Kind: "entry", Name: "p", Amount: "-10.00", Entry: &person},
	}}
}

// TestExplainText shows the tree as people read it, and what the node was asked.
func TestExplainText(t *testing.T) {
	where, last := asked(t, http.StatusOK, api.Explanation{Line: "reserve/customer/item1", Unit: "USD", Head: api.Head{Seq: 40}, Term: explained()})
	code, out, errs := custodyctl(t, "explain", "reserve", "item1", "--as-of", "2026-03-02", "--limit", "7", "--url", where)
	if code != exitHolds || errs != "" {
		t.Fatalf("explain = %d %s", code, errs)
	}
	if q := last.Query(); last.Path != "/v1/explain" || q.Get("line") != "reserve item1" || q.Get("as_of") != "2026-03-02T23:59:59.999999999-05:00" || q.Get("limit") != "7" {
		t.Errorf("asked %s", last)
	}
	for _, want := range []string{
		"reserve/customer/item1   as of", "journal entry 40, in USD\n", "70.00  item1: Free credit balances (item 1)\n", "  100.00  f = 10 at 10\n",
		"price of entry 31: file 3fa2 bytes 812 to 1301", "entry 31 cash.credit, effective 2026-03-02T12:00:00Z, by settle: file 3fa2 bytes 812 to 1301\n",
		"eip155:1 block 9 0xab transaction 0xcd log 2\n", "by mia, approved by carl: decided by mia\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	var x api.Explanation
	_, out, _ = custodyctl(t, "explain", "reserve item1", "--json", "--url", where)
	if oneDocument(t, out, &x); x.Amount != "70.00" || len(x.Terms) != 3 {
		t.Errorf("as JSON: %+v", x)
	}
}

// TestDiffText shows both moments, and the codes of what a node refuses.
func TestDiffText(t *testing.T) {
	where, last := asked(t, http.StatusOK, api.Difference{
		Line: "reserve/customer/item1", Unit: "USD", From: api.Moved{Head: api.Head{Seq: 4}, Figure: "30.00"}, To: api.Moved{Head: api.Head{Seq: 40}, Figure: "100.00"}, Term: explained(),
	})
	code, out, _ := custodyctl(t, "diff", "reserve", "item1", "--from", "4", "--url", where)
	if code != exitHolds || !strings.Contains(out, "from 30.00 at") || !strings.Contains(out, "to   100.00 at") || last.Query().Get("from") != "4" || last.Query().Get("to") != "now" {
		t.Errorf("diff = %d of %s\n%s", code, last, out)
	}
	for status, want := range map[int]int{
		http.StatusUnprocessableEntity: exitBadUse, http.StatusNotFound: exitBadUse, http.StatusBadRequest: exitBadUse,
		http.StatusNotImplemented: exitUnknown, http.StatusConflict: exitUnknown, http.StatusInternalServerError: exitUnknown,
	} {
		where, _ := asked(t, status, api.Problem{Detail: "because"})
		code, out, errs := custodyctl(t, "explain", "reserve", "item1", "--url", where)
		if code != want || out != "" || !strings.Contains(errs, "because") {
			t.Errorf("a node that answers %d = %d, expected %d: %s", status, code, want, errs)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{") }))
	defer server.Close()
	if code, _, _ := custodyctl(t, "explain", "reserve", "item1", "--url", server.URL); code != exitUnknown {
		t.Errorf("half an answer = %d", code)
	}
}
