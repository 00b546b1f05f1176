package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"goodcontrol/cmd/custodyctl/demo"
	"goodcontrol/node/audit"
)

// TestDemo plays the whole story, as `custodyctl demo --run all --json` does, and
// then checks the package that it leaves.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes threshold keys, which takes a quarter of a minute of processor time")
	}
	dir := t.TempDir()
	code, out, errs := custodyctl(t, "demo", "--run", "all", "--json", "--dir", dir)
	var result demo.Result
	oneDocument(t, out, &result)
	if code != exitHolds || !result.OK {
		t.Fatalf("demo = %d\n%s\n%s", code, out, errs)
	}
	// The facts without which a step has shown nothing.
	facts := map[string][]string{
		"world": {"chain", "rpc", "websocket"}, "node": {"api", "status", "reasons"}, "keys": {"threshold", "public_key", "active_shares", "shares_at_node"},
		"opening": {"addresses", "required", "eligible"}, "deposits": {"alice", "bob", "block"},
		"shortfall": {"required", "eligible", "shortfall", "deadline", "drivers", "proposed_wire"}, "funded": {"eligible", "alert_closed"},
		"theft": {"stolen", "transaction", "why", "status"}, "cure": {"released_by", "deficit_closed"}, "reorg": {"orphaned_block", "instead", "reversal", "reverses"},
		"ineligible": {"counted", "eligible", "reason"}, "withdrawal": {"intent_hash", "approved_by", "transaction", "state"},
		"restart": {"positions", "journal_head"}, "audit": {"checks", "anchored_at"}, "tampered": {"valid", "failed_check", "file"},
	}
	seen := map[string]demo.StepResult{}
	for _, s := range result.Steps {
		seen[s.Name] = s
		if !s.OK || s.Error != "" || s.Title == "" || len(s.ShownBy) == 0 || strings.Contains(strings.Join(s.ShownBy, " "), "$API") {
			t.Errorf("step %s: %+v", s.Name, s)
		}
	}
	for step, names := range facts {
		for _, name := range names {
			if v, ok := seen[step].Facts[name]; !ok || v == nil || v == "" {
				t.Errorf("step %s does not tell %s: %v", step, name, seen[step].Facts)
			}
		}
	}
	for step, want := range map[string]map[string]any{
		"shortfall": {"required": "1250000.00", "eligible": "500000.00", "shortfall": "750000.00"},
		"theft":     {"status": "CONTROL-DEFICIT"}, "ineligible": {"counted": "0"}, "withdrawal": {"state": "settled", "with_maker_alone": "requested"},
		"keys": {"shares_at_node": 0.0, "active_shares": 3.0}, "tampered": {"valid": false},
	} {
		for name, value := range want {
			if got := seen[step].Facts[name]; got != value {
				t.Errorf("step %s: %s is %v, expected %v", step, name, got, value)
			}
		}
	}
	verifyPackage(t, dir, seen["audit"].Facts["anchored_at"].(string))
}

// verifyPackage checks the demo's package with the command.
func verifyPackage(t *testing.T, dir, block string) {
	t.Helper()
	path := filepath.Join(dir, "audit.zip")
	var report audit.Report
	code, out, errs := custodyctl(t, "verify", path, "--header", block, "--json")
	if oneDocument(t, out, &report); code != exitHolds || !report.Valid || !report.Anchored {
		t.Errorf("verify = %d %+v %s", code, report, errs)
	}
	if code, out, _ := custodyctl(t, "verify", path, "--header", "0x"+strings.Repeat("1", 64)); code != exitNo {
		t.Errorf("verify against another block = %d %s", code, out)
	}
	if code, out, _ := custodyctl(t, "verify", filepath.Join(dir, "tampered.zip")); code != exitNo || !strings.Contains(out, "FAILED") {
		t.Errorf("verify of the tampered package = %d %s", code, out)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.zip")
	if err := os.WriteFile(cut, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := custodyctl(t, "verify", cut); code != exitNo {
		t.Errorf("verify of a package cut off = %d %s", code, out)
	}
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(r.File) < 5 {
		t.Errorf("the package has %d files", len(r.File))
	}
}
