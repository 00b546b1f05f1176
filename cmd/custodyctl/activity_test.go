package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"goodcontrol/custody"
	"goodcontrol/node/api"
)

// TestActivityCommand shows what the commands say of a file, and their exit codes.
func TestActivityCommand(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.csv", "ref,kind,on,of\nT-1/S,trade.settled,2026-11-23,T-1\n")
	bad := file("bad.json", `[{"ref":"T-1/S","kind":"trade.settled","on":"2026-11-23"}]`)
	booked, last := asked(t, http.StatusOK, api.Result{ID: "T-1/S", Seq: 77})
	refused, _ := asked(t, http.StatusUnprocessableEntity, api.Problem{
		Status: 422, Code: api.CodeInvalid, Detail: "no", Errors: []api.Mistake{{Where: "row 1, of", Detail: "expected an activity that was booked", Got: []byte(`"T-1"`)}},
	})
	down, _ := asked(t, http.StatusInternalServerError, api.Problem{Status: 500, Code: api.CodeInternal, Detail: "log"})
	for _, c := range []struct {
		name      string
		args      []string
		code      int
		out, errs string
	}{
		{"check", []string{"check", good}, exitHolds, "1 activities", ""},
		{"check of a bad file", []string{"check", bad}, exitNo, "", "row 1, of: a value; trade.settled needs one"},
		{"check of another form", []string{"check", file("x.txt", "")}, exitBadUse, "", ".csv or .json"},
		{"check of no file", []string{"check", filepath.Join(dir, "none.csv")}, exitBadUse, "", "none.csv"},
		{"post", []string{"post", good, "--by", "mia", "--url", booked}, exitHolds, "T-1/S: booked from entry 77 on", ""},
		{"post of a bad file", []string{"post", bad, "--url", booked}, exitNo, "", "row 1, of"},
		{"post that is refused", []string{"post", good, "--url", refused}, exitNo, "", `row 1, of: got "T-1", expected an activity that was booked`},
		{"post to a node that fails", []string{"post", good, "--url", down}, exitUnknown, "", "internal"},
		{"post to no node", []string{"post", good, "--url", "http://127.0.0.1:1"}, exitUnknown, "", "127.0.0.1:1"},
		{"kinds", []string{"kinds"}, exitHolds, "sweep.consented", ""},
	} {
		code, out, errs := custodyctl(t, append([]string{"activity"}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) || c.errs == "" && errs != "" {
			t.Errorf("%s: %d %q %q, want %d with %q and %q", c.name, code, out, errs, c.code, c.out, c.errs)
		}
	}
	if last.Path != "/v1/activity" || last.Query().Get("by") != "mia" {
		t.Errorf("posted to %s", last)
	}
	_, out, _ := custodyctl(t, "activity", "kinds")
	for kind := range custody.ActivityKinds() {
		if !strings.Contains(out, string(kind)) {
			t.Errorf("kinds does not list %s", kind)
		}
	}
}
