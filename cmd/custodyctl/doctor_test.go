package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"goodcontrol/node/alert"
	"goodcontrol/node/api"
	"goodcontrol/node/runbook"
)

// patients is a node that answers what it is given, by path, to who has the token.
func patients(t *testing.T, answers map[string]any) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer right" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(answers[r.URL.Path]) // the client has it or the test fails
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestDoctor(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	well := map[string]any{"/v1/status": api.Status{Status: api.Compliant}, "/v1/alerts": api.Page[api.Alert]{}, "/v1/breaks": api.Page[api.Break]{}}
	ill := map[string]any{
		"/v1/status": api.Status{
			Status: api.UnderFunded, Reasons: []string{"short by 5.00"}, Rails: []api.Rail{{Name: "eip155:1", State: api.RailHalted, Detail: "broke its promise"}, {Name: "bank:1", State: api.RailOK}},
			Inputs: []api.Input{{Source: "dtc:1", AgeSeconds: 95, MaxAgeSeconds: 100}},
		},
		"/v1/alerts": api.Page[api.Alert]{Items: []api.Alert{{ID: "01A", Key: "reserve.shortfall/customer", State: alert.Opened, Severity: alert.Critical, Runbook: "RB-06"}}},
		"/v1/breaks": api.Page[api.Break]{Items: []api.Break{{ID: "b", AgeSeconds: 200_000, Deadline: time.Now().Add(-time.Hour), NextStep: "ask the bank"}}},
	}
	code, out, errs := custodyctl(t, "doctor", "--url", patients(t, well), "--token-file", token)
	if code != exitHolds || !strings.Contains(out, " 0 findings") || errs != "" {
		t.Errorf("a healthy node: %d %s %s", code, out, errs)
	}
	code, out, _ = custodyctl(t, "doctor", "--url", patients(t, ill), "--token-file", token)
	for _, what := range []string{"1. wrong  status: UNDER-FUNDED because short by 5.00", "fix:", "eip155:1: halted", "watch  dtc:1", "reserve.shortfall/customer is critical", "ask the bank", "watch  break", "6 findings"} {
		if !strings.Contains(out, what) {
			t.Errorf("not found: %s in\n%s", what, out)
		}
	}
	if code != exitNo {
		t.Errorf("an ill node: %d", code)
	}
	code, out, _ = custodyctl(t, "doctor", "--url", patients(t, well), "--json")
	var report struct{ Findings []finding }
	oneDocument(t, out, &report)
	if code != exitUnknown || len(report.Findings) != 1 || !strings.Contains(report.Findings[0].Fix, "--token-file") {
		t.Errorf("without a credential: %d %s", code, out)
	}
	if code, _, _ := custodyctl(t, "doctor", "--url", "http://127.0.0.1:1"); code != exitUnknown {
		t.Errorf("no node: %d", code)
	}
}

// The doctor looks at what a configuration names, and what is missing is found.
func TestDoctorMachine(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join("..", "..", "node", "testdata", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "http://127.0.0.1:8545", "http://127.0.0.1:1", 1))
	path := filepath.Join(dir, "custodyd.yaml")
	refused := filepath.Join(dir, "inbox", "bank", "quarantine", "ab")
	for _, folder := range []string{filepath.Join(dir, "data"), refused} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{path: string(text), filepath.Join(refused, "x.report.txt"): "bad"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, _ := custodyctl(t, "doctor", "--offline", "--config", path)
	for _, what := range []string{"endpoint http://127.0.0.1:1", "wrong  dtc:0123", "watch  bank:FEB: 1 files lie in quarantine", "watch  witness", "watch  api"} {
		if !strings.Contains(out, what) {
			t.Errorf("not found: %s in\n%s", what, out)
		}
	}
	if code != exitNo || strings.Contains(out, "wrong  data") {
		t.Errorf("code %d: %s", code, out)
	}
	if err := os.WriteFile(path, []byte("entity: x\nsurprise: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := custodyctl(t, "doctor", "--offline", "--config", path); code != exitNo || !strings.Contains(out, "line 2") {
		t.Errorf("a configuration with an unknown key: %d %s", code, out)
	}
}

// Every command that a runbook names is one, with its flags.
func TestRunbookCommands(t *testing.T) {
	pages, err := runbook.Pages()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, p := range pages {
		for _, b := range p.Blocks() {
			words := strings.Fields(b.Text)
			if b.Kind != "command" || words[0] != "custodyctl" {
				continue
			}
			checked++
			c, rest, err := root().Find(words[1:])
			if err != nil || c.Parent() == nil {
				t.Errorf("%s: %s: %v", p.ID, b.Text, err)
				continue
			}
			if err := c.ParseFlags(rest); err != nil {
				t.Errorf("%s: %s: %v", p.ID, b.Text, err)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d commands were checked", checked)
	}
	for _, name := range []string{"recon.break", "RB-06"} {
		if code, out, _ := custodyctl(t, "runbook", name); code != exitHolds || !strings.Contains(out, "## ") {
			t.Errorf("runbook %s: %d %s", name, code, out)
		}
	}
	if code, _, _ := custodyctl(t, "runbook", "weather"); code != exitBadUse {
		t.Errorf("runbook of no kind: %d", code)
	}
}

// The commands about breaks send what their flags say.
func TestBreaksCommands(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_ = json.NewEncoder(w).Encode(api.Page[api.Break]{Items: []api.Break{{ID: "bank:1/iso4217:USD", Symbol: "USD", NextStep: "ask"}}}) // as above
			return
		}
		var body map[string]string
		_ = json.NewDecoder(r.Body).Decode(&body) // as above
		got = r.URL.Path + " " + body["by"] + " " + body["cause"] + body["to"] + body["amount"]
		if r.Header.Get("Idempotency-Key") == "" {
			t.Error("no key")
		}
		if body["by"] == "eve" {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(api.Problem{Code: api.CodeForbidden, Detail: "not eve"}) // as above
			return
		}
		_ = json.NewEncoder(w).Encode(api.Result{ID: "x"}) // as above
	}))
	defer s.Close()
	if code, out, _ := custodyctl(t, "breaks", "--url", s.URL); code != exitNo || !strings.Contains(out, "next step  ask") {
		t.Errorf("list: %d %s", code, out)
	}
	for _, r := range []struct {
		args string
		code int
		want string
	}{
		{"explain bank:1/iso4217:USD --by olga --cause fee --note x", exitHolds, "/v1/breaks/bank:1/iso4217:USD/explain olga fee"},
		{"escalate b --by olga --to cco --note x", exitHolds, "/v1/breaks/b/escalate olga cco"},
		{"adjust b --by max --counter for:firm:firm --amount -5 --reason x", exitHolds, "/v1/breaks/b/adjust max -5"},
		{"adjust b --by eve --reverses a --reason x", exitNo, "/v1/breaks/b/adjust eve "},
		{"explain b --by olga", exitBadUse, ""},
	} {
		got = ""
		code, _, errs := custodyctl(t, append([]string{"breaks"}, append(strings.Fields(r.args), "--url", s.URL)...)...)
		if code != r.code || got != r.want {
			t.Errorf("%s: %d %q %s, expected %d %q", r.args, code, got, errs, r.code, r.want)
		}
	}
}
