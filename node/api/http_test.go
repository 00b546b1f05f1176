package api_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"goodcontrol/node/api"
)

var update = flag.Bool("update", false, "rewrite golden files")

func server(tb testing.TB, m *memory) http.Handler {
	tb.Helper()
	s, err := api.New(m, api.Options{Log: journalID, Version: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	return s.Handler()
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	return do(h, http.MethodGet, path, "", nil)
}

func do(h http.Handler, method, path, body string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8443"+path, strings.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	if body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// golden compares JSON with a file of testdata, indented.
func golden(t *testing.T, name string, text []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(text), "", "  "); err != nil {
		t.Fatalf("%s is not JSON: %v: %s", name, err, text)
	}
	b.WriteByte('\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s is\n%s\nexpected\n%s", name, b.Bytes(), want)
	}
}

func TestWireForms(t *testing.T) {
	m := full(t)
	h := server(t, m)
	for name, path := range map[string]string{
		"status": "/v1/status", "reserve": "/v1/reserve/customer", "control": "/v1/control", "positions": "/v1/positions",
		"breaks": "/v1/breaks?as_of=now", "wallets": "/v1/wallets", "addresses": "/v1/wallets/w1/addresses", "withdrawals": "/v1/withdrawals",
		"withdrawal": "/v1/withdrawals/wd1", "approvals": "/v1/approvals", "alerts": "/v1/alerts", "journal": "/v1/journal?limit=3",
		"explain": "/v1/explain?line=reserve/customer/item1", "diff": "/v1/diff?line=reserve/customer/item1&from=2",
		"reports": "/v1/reserve/reports",
		"livez":   "/livez", "readyz": "/readyz",
	} {
		w := get(h, path)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("GET %s: %d %s %s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
			continue
		}
		if strings.Contains(w.Body.String(), "0001-01-01") {
			t.Errorf("GET %s tells a time that is none: %s", path, w.Body)
		}
		golden(t, name, w.Body.Bytes())
	}
}

func TestOpenAPI(t *testing.T) {
	w := get(server(t, newMemory()), "/v1/openapi.json")
	if w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Errorf("content type %q", w.Header().Get("Content-Type"))
	}
	if *update {
		if err := os.WriteFile("openapi.json", w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(w.Body.Bytes(), want) {
		t.Error("the served document is not the committed openapi.json; if the change is meant, run the test with -update")
	}
	var doc struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(want, &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("version %q: %v", doc.OpenAPI, err)
	}
	for _, path := range []string{"/v1/status", "/v1/withdrawals/{id}", "/v1/audit/package", "/v1/alerts/{id}/release", "/readyz"} {
		if doc.Paths[path] == nil {
			t.Errorf("%s is not described", path)
		}
	}
}

func TestPages(t *testing.T) {
	m := full(t)
	h := server(t, m)
	for _, path := range []string{"/v1/positions", "/v1/journal", "/v1/control", "/v1/alerts"} {
		var whole, parts []json.RawMessage
		page := func(query string) (next string) {
			var p struct {
				Items []json.RawMessage `json:"items"`
				Next  string            `json:"next"`
			}
			w := get(h, path+query)
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
				t.Fatalf("GET %s%s: %d %v %s", path, query, w.Code, err, w.Body)
			}
			if query == "" {
				whole = p.Items
			} else {
				parts = append(parts, p.Items...)
			}
			return p.Next
		}
		if next := page(""); next != "" || len(whole) < 2 {
			t.Errorf("%s: %d items and next %q, expected all of at least two", path, len(whole), next)
		}
		query := "?limit=1"
		for range len(whole) + 1 {
			next := page(query)
			if next == "" {
				break
			}
			query = "?limit=1&after=" + strings.ReplaceAll(next, " ", "%20")
		}
		if fmt.Sprint(parts) != fmt.Sprint(whole) {
			t.Errorf("%s: one by one %s, expected %s", path, parts, whole)
		}
	}
	if w := get(h, "/v1/journal?as_of=2"); strings.Contains(w.Body.String(), "deposit.final") || strings.Contains(w.Body.String(), `"next"`) {
		t.Errorf("the journal as of 2 goes further: %s", w.Body)
	}
	if w := get(h, "/v1/positions?asset=iso4217:USD"); !strings.Contains(w.Body.String(), `"iso4217:USD"`) || strings.Contains(w.Body.String(), "erc20") {
		t.Errorf("positions of USD: %s", w.Body)
	}
	if w := get(h, "/v1/alerts?min_severity=critical"); !strings.Contains(w.Body.String(), "reserve.shortfall") || strings.Contains(w.Body.String(), "recon.break") {
		t.Errorf("critical alerts: %s", w.Body)
	}
}

func problem(t *testing.T, w *httptest.ResponseRecorder) api.Problem {
	t.Helper()
	var p api.Problem
	if w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("content type %q, expected problem details: %d %s", w.Header().Get("Content-Type"), w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Errorf("problem %s: %v", w.Body, err)
	}
	if p.Status != w.Code || p.Type != "urn:goodcontrol:problem:"+string(p.Code) || p.Title == "" {
		t.Errorf("problem %+v under status %d", p, w.Code)
	}
	return p
}

func TestReadProblems(t *testing.T) {
	h := server(t, full(t))
	for path, want := range map[string]struct {
		status int
		code   api.Code
	}{
		"/v1/status?as_of=yesterday":                  {400, api.CodeBadAsOf},
		"/v1/status?as_of=eip155:1@x":                 {400, api.CodeBadAsOf},
		"/v1/status?as_of=0":                          {400, api.CodeBadAsOf},
		"/v1/status?as_of=12":                         {501, api.CodeAsOfUnavailable},
		"/v1/status?as_of=2026-03-31T17:00:00-04:00":  {501, api.CodeAsOfUnavailable},
		"/v1/status?as_of=eip155:1@23481002":          {501, api.CodeAsOfUnavailable},
		"/v1/reserve/everybody":                       {422, api.CodeInvalid},
		"/v1/positions?limit=0":                       {422, api.CodeInvalid},
		"/v1/positions?limit=many":                    {422, api.CodeInvalid},
		"/v1/alerts?min_severity=loud":                {422, api.CodeInvalid},
		"/v1/alerts?kind=no.such":                     {422, api.CodeInvalid},
		"/v1/journal?after=1.00000000":                {400, api.CodeBadCursor},
		"/v1/journal?as_of=999":                       {501, api.CodeAsOfUnavailable},
		"/v1/journal?as_of=2026-03-31T17:00:00-04:00": {501, api.CodeAsOfUnavailable},
		"/v1/journal?as_of=1&after=2.7f3a91c2":        {400, api.CodeBadCursor},
		"/v1/journal?after=999.7f3a91c2":              {400, api.CodeBadCursor},
		"/v1/wallets/none/addresses":                  {404, api.CodeNotFound},
		"/v1/withdrawals/none":                        {404, api.CodeNotFound},
		"/v1/nothing":                                 {404, api.CodeNotFound},
		"/v1/audit/package?nonce=refuse":              {503, api.CodeHalted},
		"/v1/stream":                                  {400, api.CodeBadRequest},
	} {
		w := get(h, path)
		if p := problem(t, w); w.Code != want.status || p.Code != want.code {
			t.Errorf("GET %s: %d %+v, expected %d %s", path, w.Code, p, want.status, want.code)
		}
	}
}

func TestAuditPackage(t *testing.T) {
	m := full(t)
	w := get(server(t, m), "/v1/audit/package?as_of=12&nonce=n1")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/zip" || w.Body.String() != "PK as of 12 nonce n1" {
		t.Errorf("package %d %v %s", w.Code, w.Header(), w.Body)
	}
	// Half a package must not look like a whole one.
	response, err := http.Get("http://" + serve(t, m, api.StreamOptions{}) + "/v1/audit/package?nonce=break")
	if err == nil {
		_, err = io.ReadAll(response.Body)
		response.Body.Close()
	}
	if err == nil {
		t.Error("a package that broke off was read to its end")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestReady(t *testing.T) {
	m := newMemory()
	h := server(t, m)
	m.ready = []string{"replaying the journal: 41 of 100"}
	w := get(h, "/readyz")
	if want := `{"ok":false,"reasons":["replaying the journal: 41 of 100"]}`; w.Code != 503 || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("readyz %d %s, expected 503 %s", w.Code, w.Body, want)
	}
	if w := get(h, "/livez"); w.Code != 200 {
		t.Errorf("livez %d while not ready", w.Code)
	}
}

func TestHostAndListen(t *testing.T) {
	h := server(t, newMemory())
	r := httptest.NewRequest(http.MethodGet, "http://rebound.example:8443/v1/status", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if p := problem(t, w); p.Code != api.CodeMisdirected {
		t.Errorf("under another host name: %+v", p)
	}
	r = httptest.NewRequest(http.MethodGet, "http://[::1]:8443/livez", nil)
	w = httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 200 {
		t.Errorf("under [::1]: %d %s", w.Code, w.Body)
	}
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "no port"} {
		if l, err := api.Listen(address, nil); err == nil {
			l.Close()
			t.Errorf("listened on %s without TLS", address)
		}
	}
	l, err := api.Listen("0.0.0.0:0", &tls.Config{MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatalf("listening with TLS: %v", err)
	}
	l.Close()
	if _, err := api.New(newMemory(), api.Options{}); err == nil {
		t.Error("a server without a journal's id was made")
	}
}

// TestReportFile gives the bytes with their type, name and digest.
func TestReportFile(t *testing.T) {
	h := server(t, newMemory())
	sum := sha256.Sum256(filed)
	w := get(h, "/v1/reserve/reports/"+hex.EncodeToString(sum[:]))
	if w.Code != http.StatusOK || w.Body.String() != string(filed) || w.Header().Get("Content-Type") != "text/csv; charset=utf-8" ||
		w.Header().Get("Content-Disposition") != `attachment; filename="reserve-customer-20261120T090000Z-1.csv"` ||
		w.Header().Get("Repr-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
		t.Errorf("a report: %d %v %q", w.Code, w.Header(), w.Body)
	}
	if w := get(h, "/v1/reserve/reports/"+strings.Repeat("0", 64)); w.Code != http.StatusNotFound {
		t.Errorf("no report: %d %s", w.Code, w.Body)
	}
	if w := get(h, "/v1/reserve/reports/nonsense"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("no digest: %d %s", w.Code, w.Body)
	}
}
